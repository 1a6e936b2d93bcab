"""The stages of `corpus clean`: read shards, decide about copies, finish shards. Each waits for all of the last.

In: a `Job`, which pickles, so that a stage runs in this process or on another machine that sees the run directory. Out:
marks, in the order in which they appear: `work-<shard>` (its pages lie in `work/`), `copies` (the deduplication is
decided), `done-<shard>` (its documents and rejected documents lie in place; its work files go). Many machines share the
decision as well: `sign`, `exact` and `buckets` come before it (`corpus/dedup_staged.py`). All run in the pool of
`corpus/executor.py`, so a worker that is killed costs the shard at hand and no more. The process that drives them never
calls polars before they are over: a forked worker would inherit threads that are not there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl
from datatrove.pipeline.base import PipelineStep

from corpus.config import CleanConfig, WorkerConfig
from corpus.dedup import ReadJoins, find_copies
from corpus.dedup_staged import Compared, compare_bucket, find_exact, made_from, read_joins, sign
from corpus.executor import Advance, Finished, ShardExecutor
from corpus.extract import warm_extractor
from corpus.finish import finish_shard
from corpus.minhash import warm_kernels
from corpus.pipeline import build
from corpus.readers import ReadOptions
from corpus.reading import ReadShard
from corpus.store import part_name, write_parquet
from corpus.upload import Upload
from runkit.errors import InputError
from runkit.inputs import Plan
from runkit.rundir import Mark, RunDir

COPIES = "copies.parquet"
MOST_STAGE_DEATHS = 3  # such a worker has no record that could be left out, and may have worked for an hour
READ, SIGN, EXACT, BUCKETS, DECIDE, FINISH = "read", "sign", "exact", "buckets", "decide", "finish"
MARKS = {
    READ: "work-{:05d}",
    SIGN: "sign-{:05d}",
    EXACT: "exact",
    BUCKETS: "bucket-{:05d}",
    DECIDE: "copies",
    FINISH: "done-{:05d}",
}


@dataclass(frozen=True, slots=True)
class Options:
    """How much is read, and how; nothing here changes what comes out of one page."""

    workers: int
    limit: int | None = None
    sample: float | None = None
    quiet: bool = False
    executor: str = "local"  # | slurm | ray
    upload: str | None = None  # URL of a folder that gets a copy of the run
    cpu_seconds_elsewhere: list[float] = field(default_factory=list)  # of ranks on a cluster, filled in as they end


@dataclass(frozen=True, slots=True)
class Job:
    """All that a stage needs to know."""

    run: RunDir
    plan: Plan
    config: CleanConfig
    options: Options


def mark_name(stage: str, unit: int = 0) -> str:
    """The mark that a stage leaves of a shard; of a range of hashes in `buckets`; of all in `exact` and `decide`."""
    return MARKS[stage].format(unit)


def read_shards(
    job: Job, shards: Sequence[int], advance: Advance, finished: Finished, limit: int | None = None
) -> None:
    """Push shards through the pipeline to their `work-*` marks; `limit` pages at most of each."""
    if not shards:
        return
    config = job.config
    cap = config.read.max_record_mb * 2**20
    reader = ReadShard(
        job.plan,
        ReadOptions(
            text_field=config.read.text_field,
            html_field=config.read.html_field,
            url_field=config.read.url_field,
            max_record_bytes=cap,
            max_line_bytes=2 * cap,
        ),
        job.options.sample,
        config.seed,
    )
    reader.limit = limit
    executor = ShardExecutor(build(reader, config, job.run), job.options.workers, config.worker)
    warm_kernels()
    if config.extract.mode == "best":
        warm_extractor()
    executor.run_shards(shards, advance, finished)


def parts_of(run: RunDir, shard: int) -> list[str]:
    """Names of the parts of a shard that was read."""
    return [part_name(shard, part) for part in range(int(work_mark(run, shard, sizes_only=True).data["parts"]))]


def decide(job: Job, shards: Sequence[int]) -> None:
    """Find the copies among all pages of `work/` and record the decision: the mark `copies`."""
    _run_units(job, DECIDE, partial(_decide, job, shards), [0], 1)


def sign_shards(job: Job, shards: Sequence[int]) -> None:
    """Write the band hashes of shards for `compare`."""

    def work(shard: int) -> None:
        source = made_from([work_mark(job.run, shard, sizes_only=True)])
        sign(job.run, mark_name(SIGN, shard), shard, parts_of(job.run, shard), source)

    _run_units(job, SIGN, work, shards, job.options.workers)


def compare(job: Job, stage: str, compared: Compared, units: Sequence[int]) -> None:
    """The stages `exact`, `buckets` and `decide` of a deduplication that many machines share."""
    run, config = job.run, job.config.dedup

    def work(unit: int) -> None:
        if stage == EXACT:
            find_exact(run, mark_name(EXACT), compared, config)
        elif stage == BUCKETS:
            compare_bucket(run, mark_name(BUCKETS, unit), compared, unit, config.jaccard)
        else:
            _decide(job, compared.shards, 0, read_joins(run, compared) if config.enabled else None)

    _run_units(job, stage, work, units, job.options.workers)


def forget_stages(run: RunDir) -> None:
    """Take back the marks of `sign`, `exact` and `buckets`, which are of no use once `copies` is there."""
    for stage in (SIGN, EXACT, BUCKETS):
        for file in (run.path / "marks").glob(f"{MARKS[stage].replace('{:05d}', '*')}.json"):
            run.forget(file.stem)


def _decide(job: Job, shards: Sequence[int], unit: int, joins: ReadJoins | None = None) -> None:
    run = job.run
    parts = [name for shard in shards for name in parts_of(run, shard)]
    copies = find_copies(run, parts, job.config.dedup, joins)
    run.mark(mark_name(DECIDE), write_parquet(run, COPIES, copies), {"copies": len(copies)})


def _run_units(job: Job, name: str, work: Callable[[int], None], units: Sequence[int], workers: int) -> None:
    # They take what memory and time they take, which grow with the run.
    limits = WorkerConfig(record_timeout_s=1e12, memory_mb=2**40)
    executor = ShardExecutor([_Units(job.run, name, work)], workers, limits)
    executor.most_deaths = MOST_STAGE_DEATHS
    executor.run_shards(units, _nothing, _nothing)


def finish_shards(job: Job, shards: Sequence[int], finished: Finished) -> None:
    """Write documents and rejected documents of shards to their `done-*` marks; their work files go."""
    ShardExecutor([_Finish(job.run, job.options.upload)], job.options.workers, job.config.worker).run_shards(
        shards, _nothing, finished
    )


def _nothing(count: int) -> None:
    pass


class Unit(PipelineStep):
    """A step that is a whole pipeline: what it does has no records, so its clock stands still."""

    type = "stage"

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self.run_dir = run
        self.left_out: dict[int, str] = {}
        self.beat: Callable[[int, int, bool], None] = lambda records, place, in_work: None
        self.rest: Callable[[], None] = lambda: None

    def unit(self, shard: int) -> None:
        raise NotImplementedError

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        self.rest()
        self.unit(rank)
        return iter(())


class _Units(Unit):
    def __init__(self, run: RunDir, name: str, work: Callable[[int], None]) -> None:
        super().__init__(run)
        self.name, self.work = name, work

    def unit(self, shard: int) -> None:
        self.work(shard)


class _Finish(Unit):
    name = "finish"

    def __init__(self, run: RunDir, url: str | None) -> None:
        super().__init__(run)
        self.url = url
        self._upload: Upload | None = None

    def unit(self, shard: int) -> None:
        run = self.run_dir
        # Done already: its worker was killed at the very end, or its pages were read again to mend something else.
        done = run.done(mark_name(FINISH, shard))
        if done is None:
            copies = pl.scan_parquet(run.file(COPIES)).filter(pl.col("shard") == shard).collect()
            done = finish_shard(run, shard, work_mark(run, shard), copies)
        if self.url is not None:
            self._upload = self._upload or Upload(self.url)  # in the worker: its connections survive no fork
            self._upload.shard(run, done)
        run.forget(mark_name(READ, shard))
        for file in run.file("work").glob(f"{shard:05d}-*"):
            file.unlink(missing_ok=True)


def work_mark(run: RunDir, shard: int, sizes_only: bool = False) -> Mark:
    """That a shard was read. InputError: its files are gone or damaged."""
    mark = run.done(mark_name(READ, shard), sizes_only)
    if mark is None:
        damage = "; ".join(run.damaged) or f"shard {shard} has no mark"
        raise InputError(f"Work files changed while the run went on: {damage}; run again to make them anew.")
    return mark
