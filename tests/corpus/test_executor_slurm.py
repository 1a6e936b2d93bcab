"""`corpus clean --executor slurm` on a cluster of this machine: the same bytes, and one clear end for each failure.

`make test-slurm` runs these; they start Slurm's daemons, so a plain `pytest` leaves them out.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corpus.many_machines import Here, marks, open_folder, workplace
from tests.corpus.slurm_here import slurm, why_not
from tests.faults.kill import assert_same
from tests.faults.launch import until

WANTED = os.environ.get("WENHAI_SLURM") == "1"
pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(not WANTED, reason="starts daemons: run by `make test-slurm`"),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]
HOW = ("--executor", "slurm", "-s", "slurm.mem_per_cpu_gb=2", "-s", "slurm.poll_s=0.2", "-s", "slurm.settle_s=0")
PATH = f'export PATH="{Path(sys.executable).parent}:$PATH"'


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with open_folder() as folder:
        (folder / "slurm").mkdir()
        with slurm(folder / "slurm") as env, workplace(env, HOW, folder) as place:
            yield place


def queue(here: Here) -> list[str]:
    """Ranks that Slurm still has: 12_3."""
    command = ["squeue", "--noheader", "--array", "--format=%i %T"]
    done = subprocess.run(command, env=here.env, capture_output=True, text=True, check=True)
    return [line.split()[0] for line in done.stdout.splitlines() if "COMPLETING" not in line]


def first_rank(path: str, rank: int, then: str) -> str:
    """A line for `slurm.env` that takes one rank of the first array out."""
    return f"slurm.env=test $RUN_OFFSET-$SLURM_ARRAY_TASK_ID != 0-{rank} || {then}; {path}"


def test_the_same_bytes(here: Here) -> None:
    out = here.folder / "same"
    ended = here.run(out, "-s", "slurm.tasks=3")
    assert ended.code == 0, ended.err
    assert_same(out, here.expected)
    assert not queue(here)


def test_a_rank_killed_in_the_middle(here: Here) -> None:
    out = here.folder / "killed"
    command = here.start(out, "-s", "slurm.tasks=2")
    until(lambda: len(marks(out, "work-*")) >= 2, "two shards")
    job = next(task for task in queue(here) if task.endswith("_1"))
    subprocess.run(["scancel", "--signal=KILL", job], env=here.env, check=True)
    ended = command.result()
    assert ended.code == 4, ended.err
    log = next(out.glob("jobs/read-1/slurm_logs/*_1.out"))
    assert "Error: Stage read: rank 1 of 2 failed" in ended.err and str(log) in ended.err, ended.err
    assert "copies" not in marks(out) and not queue(here)
    before = marks(out, "work-*")
    assert 2 <= len(before) < 18
    command = here.start(out, "-s", "slurm.tasks=2")
    until(lambda: len(marks(out, "work-*")) == 18, "all shards")
    now = marks(out, "work-*")
    assert {name: now[name] for name in before} == before, "a finished shard was read again"
    ended = command.result()
    assert ended.code == 0, ended.err
    assert_same(out, here.expected)


def test_a_failed_rank_of_an_earlier_array_is_not_lost(here: Here) -> None:
    out = here.folder / "arrays"
    more = ("-s", "slurm.tasks=4", "-s", "slurm.max_array_size=3")
    ended = here.run(out, *more, "-s", first_rank(PATH, 1, "exit 3"))
    assert ended.code == 4, ended.err
    assert "Stage read: rank 1 of 4 failed, 5 shards are missing" in ended.err, ended.err
    assert "copies" not in marks(out) and len(marks(out, "work-*")) == 13 and not queue(here)
    ended = here.run(out, *more)
    assert ended.code == 0, ended.err
    assert_same(out, here.expected)


def test_what_a_rank_says_is_said_by_the_command(here: Here) -> None:
    """Its exit code too: an input that went away is 3."""
    out, gone = here.folder / "gone", here.folder / "gone.jsonl"
    gone.write_bytes(next(here.dump.rglob("*.jsonl")).read_bytes())
    ended = here.run(out, str(gone), "-s", f"slurm.env=rm -f {gone}; {PATH}", "-s", "slurm.tasks=2")
    assert ended.code == 3, ended.err
    assert "Stage read: rank" in ended.err and "gone.jsonl" in ended.err and "/slurm_logs/" in ended.err, ended.err
    assert "Traceback" not in ended.err


def test_ctrl_c_stops_the_ranks(here: Here) -> None:
    out = here.folder / "stopped"
    command = here.start(out, "-s", "slurm.tasks=2")
    until(lambda: len(marks(out, "work-*")) >= 1, "a shard")
    command.send(signal.SIGINT)
    ended = command.result()
    assert ended.code == 130, ended.err
    assert not queue(here)


def test_a_killed_command_leaves_ranks_that_the_next_start_stops(here: Here) -> None:
    """Another executor takes over what is done."""
    out = here.folder / "orphans"
    command = here.start(out, "-s", "slurm.tasks=2", "-s", first_rank(PATH, 1, "sleep 1000"))
    until(lambda: len(marks(out, "work-*")) >= 2, "two shards")
    command.send(signal.SIGKILL)
    assert command.result().code == -signal.SIGKILL
    assert any(task.endswith("_1") for task in queue(here))
    ended = here.run(out, how=())
    assert ended.code == 0, ended.err
    assert "in Slurm" in ended.err
    assert_same(out, here.expected)
    assert not queue(here)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("slurm.partition=nowhere", "invalid partition"),
        ("slurm.time=2-00:00:00", "PartitionTimeLimit"),
        ("slurm.mem_per_cpu_gb=900", "node configuration is not available"),
        ("slurm.args={account: a, gres: 'gpu:1'}", "Slurm refuses the job"),
    ],
)
def test_what_slurm_refuses_is_one_sentence(here: Here, setting: str, said: str, tmp_path: Path) -> None:
    ended = here.run(tmp_path / "run", "-s", setting)
    assert ended.code == 2, ended.err
    assert said in ended.err.lower() or said in ended.err, ended.err
    assert "Traceback" not in ended.err and not queue(here)
