"""The stages of `corpus clean` on many machines: launch the ranks, wait for the last, check every mark ourselves.

In: a `Job` and a `Cluster` (Slurm or Ray, by way of datatrove's executors). Out: the marks of a stage, or one error
that names the stage, the ranks and their logs. Nothing is believed but the marks: datatrove's executors come back
before a Slurm job has begun, only warn of a failed rank, and let the next stage begin without it. So each stage is
launched alone, and only when every shard has its mark of the one before. The process that was started stays until the
end and holds the lock of the run directory; when it is killed, the same command stops what it left behind and does
what is missing.
"""

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import orjson
from loguru import logger

from corpus.dedup_staged import Compared, made_from
from corpus.distributed_rank import RankStep, end_file
from corpus.stages import BUCKETS, DECIDE, EXACT, READ, SIGN, Job, mark_name, parts_of, work_mark
from runkit.console import progress
from runkit.errors import EnvironmentFault, InputError, RefusedError, UsageError
from runkit.inputs import Part, Plan
from runkit.planned import tell_rebuilt
from runkit.rundir import RunDir

FOLDER = "jobs"
_ERRORS = {kind.exit_code: kind for kind in (UsageError, InputError, EnvironmentFault, RefusedError)}
_FOLDER = re.compile(r"[a-z]+-(\d{1,9})")
MOST_NAMED = 5
SETTLE_STEP_S = 0.5


@dataclass(frozen=True, slots=True)
class Launch:
    """One stage on its way: rank r works through `groups[r]`; logs and ends go to `folder`."""

    step: RankStep
    stage: str
    groups: list[list[int]]
    folder: Path
    compared: Compared | None = None

    @property
    def alone(self) -> bool:
        """One rank with one CPU, for which the settings name the memory apart."""
        return self.stage in ALONE

    def mem_gb(self, of_one: float | None, of_cpu: float, cpus: int) -> float:
        """Memory of a rank, given what the settings say of a rank that is `alone` and of a CPU, GiB."""
        documents = self.compared.total if self.compared else 0
        if self.alone:
            return of_one or alone_mem_gb(self.stage, documents)
        least = bucket_mem_gb(self.compared) if self.compared and self.stage == BUCKETS else 0
        return max(of_cpu, least) * cpus


class Cluster(Protocol):
    """Where ranks run."""

    settle_s: float
    cpus_per_task: int
    forked: bool
    """The step runs in a child of the process that the cluster started."""

    def ranks(self, shards: int) -> int:
        """Into how many ranks so many shards are shared out."""

    def run(self, launch: Launch, tick: Callable[[], None]) -> None:
        """Start the ranks, return when each has ended, well or badly; `tick` now and then. Stops them on an error."""

    def log(self, launch: Launch, rank: int) -> Path:
        """Where a rank's output lies."""

    def take_over(self) -> None:
        """Stop what an earlier start in the same run directory left running, and wait until it is gone."""


ALONE = {EXACT, DECIDE}  # stages of one rank and one CPU


def alone_mem_gb(stage: str, documents: int) -> float:
    """What the stages of one rank take. Measured: `exact` 112 bytes a document, 144 where all have one URL; `decide`
    112, and 270 for each copy."""
    return 1 + (0.15 if stage == EXACT else 0.4) * documents / 1e6


def bucket_mem_gb(compared: Compared) -> float:
    """What a worker of `buckets` takes: 25 bytes a document, and 110 for each in its range."""
    return 1 + 0.03 * compared.total / 1e6 + 0.1 * compared.total / compared.ranges / 1e6


def run_stage(
    cluster: Cluster,
    job: Job,
    stage: str,
    units: Sequence[int],
    advance: Callable[[int], None] = lambda count: None,
    compared: Compared | None = None,
) -> None:
    """One stage over units (shards, mostly) that have no mark yet. UserError: a rank did not do its part."""
    if not units:
        return
    count = 1 if stage in ALONE else min(cluster.ranks(len(units)), len(units))
    groups = [list(units[rank::count]) for rank in range(count)]
    folder = _next_folder(job.run, stage)
    workers = 1 if stage in ALONE else cluster.cpus_per_task
    step = RankStep(_portable(job, stage, workers), stage, groups, folder, cluster.forked, compared)
    launch = Launch(step, stage, groups, folder, compared)
    wanted = {f"{mark_name(stage, unit)}.json" for unit in units}
    seen = 0

    def tick() -> None:
        nonlocal seen
        now = _marked(job.run, wanted)
        advance(now - seen)
        seen = now

    logger.disable("datatrove")  # it speaks to people on its own
    cluster.run(launch, tick)
    ends = [_end(folder, rank) or {} for rank in range(count)]
    job.options.cpu_seconds_elsewhere.extend(float(end["cpu_seconds"]) for end in ends if "cpu_seconds" in end)
    _check(cluster, job, launch)
    tick()


def run_decision(cluster: Cluster, job: Job, shards: Sequence[int]) -> None:
    """Find the copies among the pages of all shards, in stages, up to the mark `copies`."""
    run, quiet = job.run, job.options.quiet
    # Their bytes were looked at when this start found them, or written by it.
    reading = [work_mark(run, shard, sizes_only=True) for shard in shards]
    parts = [parts_of(run, shard) for shard in shards]
    if not job.config.dedup.enabled:
        documents = [int(mark.data["documents"]) for mark in reading]
        run_stage(cluster, job, DECIDE, [0], compared=Compared(list(shards), parts, documents, ""))
        return
    sources = [made_from([mark]) for mark in reading]
    # Those of an earlier start without a cluster; where pages are read on one, they are signed there as well.
    run_stage(cluster, job, SIGN, _left(run, SIGN, shards, sources))
    signed = [run.done(mark_name(SIGN, shard), sizes_only=True) for shard in shards]
    documents = [int(mark.data["documents"]) if mark else 0 for mark in signed]
    compared = Compared(list(shards), parts, documents, made_from(reading))
    run_stage(cluster, job, EXACT, _left(run, EXACT, [0], [compared.made_from]), compared=compared)
    left = _left(run, BUCKETS, compared.units, [compared.made_from] * len(compared.units))
    with progress("Comparing", total=len(left), unit="ranges", quiet=quiet) as advance:
        run_stage(cluster, job, BUCKETS, left, advance, compared)
    run_stage(cluster, job, DECIDE, [0], compared=compared)


def _left(run: RunDir, stage: str, units: Sequence[int], sources: Sequence[str]) -> list[int]:
    """Units without a mark; a mark that was made from other pages, before a shard was read again, is taken back."""
    left = []
    for unit, source in zip(units, sources, strict=True):
        mark = run.standing(mark_name(stage, unit))
        if mark is None or mark.data["made_from"] != source:
            run.forget(mark_name(stage, unit))
            left.append(unit)
    tell_rebuilt(run)
    return left


def _portable(job: Job, stage: str, workers: int) -> Job:
    """The job as another machine needs it: whole paths, and nothing large that the stage does not read."""
    run = RunDir(job.run.path.resolve(), {"versions": job.run.manifest.get("versions", {})}, True)
    plan = _whole_paths(job.plan) if stage == READ else Plan((), (), ())
    lists = {name: [path.absolute() for path in getattr(job.config.url, name)] for name in ("domains", "urls", "words")}
    config = job.config.model_copy(update={"url": job.config.url.model_copy(update=lists)})
    return Job(run, plan, config, replace(job.options, workers=workers))


def _whole_paths(plan: Plan) -> Plan:
    def whole(part: Part) -> Part:
        return part if "://" in part.path else replace(part, path=os.path.abspath(part.path))  # noqa: PTH100

    return Plan(tuple(replace(shard, parts=tuple(map(whole, shard.parts))) for shard in plan.shards), (), ())


def _next_folder(run: RunDir, stage: str) -> Path:
    jobs = run.path.resolve() / FOLDER
    run.file(f"{FOLDER}/{stage}")  # refuses a link that leads elsewhere
    found = [_FOLDER.fullmatch(old.name) for old in (jobs.iterdir() if jobs.is_dir() else ())]
    folder = jobs / f"{stage}-{max((int(match[1]) for match in found if match), default=0) + 1}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise EnvironmentFault(f"Cannot make {folder}: {error.strerror}; free some space and run again.") from error
    return folder


def _marked(run: RunDir, wanted: set[str]) -> int:
    """How many of these marks are there; what they are worth is looked at when the stage is over."""
    with suppress(OSError):
        return sum(mark.name in wanted for mark in os.scandir(run.path / "marks"))
    return 0


def _check(cluster: Cluster, job: Job, launch: Launch) -> None:
    """Every shard has its mark, or one error says which ranks did not do their part."""
    deadline = time.monotonic() + cluster.settle_s
    while (missing := _missing(job.run, launch)) and not any(_fault(launch.folder, rank) for rank in missing):
        if time.monotonic() >= deadline:
            break
        time.sleep(SETTLE_STEP_S)  # a network file system shows what others wrote after a while
    if not missing:
        return
    ranks, units = sorted(missing), sum(map(len, missing.values()))
    logs = [cluster.log(launch, rank) for rank in ranks[:MOST_NAMED]]
    where = ", ".join(str(log) for log in logs if log.is_file())
    where = f"Log: {where}" if where else f"There is no log in {launch.folder}: is it on a disk that all machines see?"
    told = [(rank, fault) for rank in ranks if (fault := _fault(launch.folder, rank))]
    head = f"Stage {launch.stage}: {_ranks(ranks)} of {len(launch.groups)} failed"
    if not launch.alone:
        head += f", {units} {'ranges of hashes' if launch.stage == BUCKETS else 'shards'} are missing"
    if told:
        rank, fault = told[0]
        if fault["exit_code"] not in _ERRORS:
            raise RuntimeError(f"{head}. Rank {rank}:\n{fault.get('traceback')}\n{where}")
        raise _ERRORS[fault["exit_code"]](f"{head}. Rank {rank}: {fault['sentence']} {where}")
    raise EnvironmentFault(f"{head}: stopped from outside, or out of time or memory. {where}. Run again to go on.")


def _ranks(ranks: list[int]) -> str:
    names = ", ".join(map(str, ranks[:MOST_NAMED])) + (
        f" and {len(ranks) - MOST_NAMED} more" if len(ranks) > MOST_NAMED else ""
    )
    return f"rank {names}" if len(ranks) == 1 else f"ranks {names}"


def _missing(run: RunDir, launch: Launch) -> dict[int, list[int]]:
    """Units without their mark, by rank."""
    found = {}
    for rank, units in enumerate(launch.groups):
        if left := [unit for unit in units if run.done(mark_name(launch.stage, unit), sizes_only=True) is None]:
            found[rank] = left
    run.damaged.clear()
    return found


def _fault(folder: Path, rank: int) -> dict[str, Any] | None:
    end = _end(folder, rank)
    return end if end is not None and end["exit_code"] != 0 else None


def _end(folder: Path, rank: int) -> dict[str, Any] | None:
    with suppress(OSError, orjson.JSONDecodeError):
        end: dict[str, Any] = orjson.loads(end_file(folder, rank).read_bytes())
        return end
    return None
