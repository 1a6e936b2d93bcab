"""What stands between Slurm or Ray and a user, with a cluster that is a process for each rank."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dill
import pytest

from corpus.clean import open_run
from corpus.command import CleanCall, prepare
from corpus.config import load
from corpus.distributed import Launch, decide_mem_gb, run_decision, run_stage
from corpus.stages import FINISH, READ, Job, Options
from runkit.errors import EnvironmentFault, InputError, UsageError
from runkit.inputs import plan
from runkit.rundir import RunDir
from tests.corpus.many_machines import QUICK
from tests.faults.kill import tree
from tests.faults.launch import clean
from tests.faults.texts import Size, mixed_dump

RANK = "import dill, sys; step = dill.load(open(sys.argv[1], 'rb')); step.run(None, int(sys.argv[2]), 0)"
pytestmark = pytest.mark.timeout(200)


class Processes:
    """A `Cluster`: one Python for each rank; `lost` ranks are never started, as if they were killed at once."""

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
                done = subprocess.run([sys.executable, "-c", RANK, pickled, str(rank)], capture_output=True, cwd="/")
                self.log(launch, rank).write_bytes(done.stderr)
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
    clean([dump], tmp_path / "local", *QUICK[2:], "--workers", "1")
    cluster, seen = Processes(2), []
    run_stage(cluster, job, READ, shards(job), seen.append)
    run_decision(cluster, job, shards(job))
    run_stage(cluster, job, FINISH, shards(job), seen.append)
    assert sum(seen) == 2 * len(job.plan.shards)
    assert len(job.options.cpu_seconds_elsewhere) == 8  # two ranks to read, compare and finish, two that are alone
    expected = {name: digest for name, digest in tree(tmp_path / "local").items() if "/" in name}
    found = {name: digest for name, digest in tree(job.run.path).items() if name in expected}
    assert found == expected


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
    assert decide_mem_gb(0) == 1
    assert 10 < decide_mem_gb(100_000_000) < 20


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
