"""What stands between Slurm or Ray and a user, with a cluster that is a process for each rank."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dill
import polars as pl
import pytest

from corpus.clean import open_run
from corpus.command import CleanCall, prepare
from corpus.config import load
from corpus.distributed import Launch, alone_mem_gb, run_decision, run_stage
from corpus.stages import DECIDE, EXACT, FINISH, READ, Job, Options
from runkit.errors import EnvironmentFault, InputError, UsageError
from runkit.inputs import plan
from runkit.rundir import RunDir
from tests.corpus.many_machines import QUICK
from tests.faults.kill import tree
from tests.faults.launch import clean
from tests.faults.texts import Size, mixed_dump

CONTEXT = multiprocessing.get_context("forkserver")  # its server has imported what a rank needs, and no more
CONTEXT.set_forkserver_preload(["corpus.distributed_rank", "dill"])
pytestmark = pytest.mark.timeout(200)


def work(step: Path, rank: int, log: Path) -> None:
    """A rank's life."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 2)
    os.chdir("/")
    dill.loads(step.read_bytes()).run(None, rank, 0)


class Processes:
    """A `Cluster`: a process for each rank; `lost` ranks are never started, as if they were killed at once."""

    settle_s = 0.0
    cpus_per_task = 1
    forked = False

    def __init__(self, ranks: int, lost: tuple[int, ...] = ()) -> None:
        self.count, self.lost = ranks, lost

    def ranks(self, shards: int) -> int:
        return self.count

    def run(self, launch: Launch, tick: Callable[[], None]) -> None:
        pickled = launch.folder / "step"
        pickled.write_bytes(dill.dumps(launch.step))
        for rank in range(len(launch.groups)):
            if rank not in self.lost:
                process = CONTEXT.Process(target=work, args=(pickled, rank, self.log(launch, rank)))
                process.start()
                process.join()
            tick()

    def log(self, launch: Launch, rank: int) -> Path:
        return launch.folder / f"{rank}.log"

    def take_over(self) -> None:
        pass


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mixed_dump(tmp_path_factory.mktemp("dump") / "mixed", 7, Size(warc=30, jsonl=40, files=3, sentences=12))


@pytest.fixture
def job(dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    monkeypatch.chdir(dump.parent)  # ranks are told whole paths
    config = load(None, ["extract.mode=fast", "read.shard_mb=0.05", "url.blocklist=false"])
    planned, options = plan(["mixed"], shard_bytes=50_000), Options(1, quiet=True)
    with open_run(tmp_path / "run", planned, config, options) as run:
        yield Job(run, planned, config, options)


def shards(job: Job) -> list[int]:
    return [shard.index for shard in job.plan.shards]


def test_stages_elsewhere_leave_the_same_bytes(job: Job, dump: Path, tmp_path: Path) -> None:
    """Though a rank is lost in the middle of the deduplication, and files of it are damaged before the next start."""
    clean([dump], tmp_path / "local", *QUICK[2:], "--workers", "1")
    cluster, seen = Processes(2), []
    run_stage(cluster, job, READ, shards(job), seen.append)
    with pytest.raises(EnvironmentFault, match=r"^Stage buckets: rank 1 of 3 failed, 5 ranges of hashes are missing"):
        run_decision(Processes(3, lost=(1,)), job, shards(job))
    signatures = sorted(job.run.file("work/signatures").rglob("*.sig"))
    signatures[0].unlink()
    signatures[-1].write_bytes(bytes(signatures[-1].stat().st_size))
    spent = len(job.options.cpu_seconds_elsewhere)
    run_decision(cluster, job, shards(job))
    assert len(job.options.cpu_seconds_elsewhere) - spent == 5  # two ranks sign, two compare, one gathers
    assert len(pl.read_parquet(job.run.file("copies.parquet"))) > 3
    run_stage(cluster, job, FINISH, shards(job), seen.append)
    assert sum(seen) == 2 * len(job.plan.shards)
    expected = {name: digest for name, digest in tree(tmp_path / "local").items() if "/" in name or "copies" in name}
    found = {name: digest for name, digest in tree(job.run.path).items() if name in expected}
    assert found == expected


def test_damage_is_not_taken_for_mended_when_the_rank_that_mends_it_is_lost(job: Job) -> None:
    """Zeros where bytes were, as a power cut leaves them: sizes alone would not tell."""
    run_stage(Processes(2), job, READ, shards(job))
    signature = sorted(job.run.file("work/signatures").rglob("*.sig"))[3]
    signature.write_bytes(bytes(signature.stat().st_size))
    for _ in range(2):
        with pytest.raises(EnvironmentFault, match=r"^Stage sign: rank 0 of 1 failed, 1 shards are missing"):
            run_decision(Processes(1, lost=(0,)), job, shards(job))


def test_a_shard_that_gives_other_pages_is_compared_anew(job: Job) -> None:
    """What was found among its old pages names others now."""
    run_stage(Processes(1), job, READ, shards(job))
    with pytest.raises(EnvironmentFault, match=r"^Stage buckets: rank 1 of 2 failed"):
        run_decision(Processes(2, lost=(1,)), job, shards(job))
    fewer = replace(job.plan.shards[0], parts=job.plan.shards[0].parts[:0])
    plan = replace(job.plan, shards=(fewer, *job.plan.shards[1:]))
    job.run.forget("work-00000")
    changed = replace(job, plan=plan)
    run_stage(Processes(1), changed, READ, [0])
    before = len(job.options.cpu_seconds_elsewhere)
    run_decision(Processes(1), changed, shards(job))
    assert len(job.options.cpu_seconds_elsewhere) - before == 3  # exact, buckets and decide, from the beginning


@pytest.mark.parametrize("name", ["mine.txt", "read-x", "notes-1-old"])
def test_what_lies_beside_the_jobs_does_no_harm(job: Job, name: str) -> None:
    job.run.file("jobs").mkdir()
    job.run.file(f"jobs/{name}").write_text("mine")
    run_stage(Processes(1), job, READ, shards(job)[:1])
    assert job.run.file("jobs/read-1").is_dir()


def test_jobs_stay_in_the_run_directory(job: Job, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    job.run.file("jobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="jobs"):
        run_stage(Processes(1), job, READ, shards(job)[:1])


def test_a_lost_rank_ends_the_stage(job: Job) -> None:
    with pytest.raises(EnvironmentFault) as told:
        run_stage(Processes(3, lost=(1, 2)), job, READ, shards(job))
    assert str(told.value).startswith("Stage read: ranks 1, 2 of 3 failed, ") and "is it on a disk" in str(told.value)
    with pytest.raises(InputError, match=r"has no mark; run again"):
        run_decision(Processes(1), job, shards(job))


def test_a_rank_says_what_was_wrong(job: Job, dump: Path) -> None:
    kept = next(path for path in dump.rglob("*.jsonl"))
    data = kept.read_bytes()
    kept.unlink()
    try:
        with pytest.raises(InputError, match=rf"Stage read: ranks? .*{kept.name}.*/read-1/\d\.log"):
            run_stage(Processes(2), job, READ, shards(job))
    finally:
        kept.write_bytes(data)


def test_another_version_of_a_library_is_refused(job: Job) -> None:
    job.run.manifest["versions"]["polars"] = "0.1"
    with pytest.raises(EnvironmentFault, match=r"polars is .* and 0\.1 where the run was started"):
        run_stage(Processes(1), job, READ, shards(job))


def test_a_run_directory_that_others_do_not_see(job: Job) -> None:
    elsewhere = Job(RunDir(job.run.path / "sub", job.run.manifest, False), job.plan, job.config, job.options)
    with pytest.raises(EnvironmentFault, match=r"ranks? 0"):
        run_stage(Processes(1), elsewhere, READ, shards(job))
    assert "must lie on a file system" in (job.run.path / "sub/jobs/read-1/0.log").read_text()


def test_memory_for_the_decision() -> None:
    assert alone_mem_gb(EXACT, 0) == alone_mem_gb(DECIDE, 0) == 1
    assert alone_mem_gb(EXACT, 100_000_000) > 144 * 100e6 / 2**30  # where all have one URL
    assert alone_mem_gb(DECIDE, 100_000_000) > 382 * 100e6 / 2**30  # where all are copies of one


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"executor": "spark"}, "choose one of local, slurm, ray"),
        ({"executor": "slurm", "limit": 3}, "--limit reads one shard after another"),
        ({"out": Path("s3://bucket/run")}, "add --upload URL"),
        ({"upload": "bucket/run"}, "is no URL"),
    ],
)
def test_calls_that_cannot_be(dump: Path, change: dict[str, object], said: str) -> None:
    call = dict.fromkeys(CleanCall.__slots__)
    call |= {"inputs": [str(dump)], "out": Path("run"), "settings": [], "seed": 0, "executor": "local", **change}
    with pytest.raises(UsageError, match=said):
        prepare(CleanCall(**call))  # type: ignore[arg-type]
