"""`corpus clean --executor ray` on a cluster of two machines made of processes: the same bytes, and clear ends.

`make test-ray` runs these; a cluster takes 800 MB and half a minute, so a plain `pytest` leaves them out.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.corpus.many_machines import Here, marks, open_folder, workplace
from tests.faults.kill import assert_same
from tests.faults.launch import until

WANTED = os.environ.get("WENHAI_RAY") == "1"
pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(not WANTED, reason="starts a Ray cluster: run by `make test-ray`"),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (pip install 'wenhai[ray]')"),
]
HOW = ("--executor", "ray", "-s", "ray.mem_per_cpu_gb=1", "-s", "ray.settle_s=0")
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
node = dict(num_cpus=1, memory=3 * 2**30, object_store_memory=10**8, include_dashboard=False)
cluster = Cluster(initialize_head=True, head_node_args=node)
cluster.add_node(**node)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    """A cluster of two raylets with a CPU each, in a process of its own."""
    env = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    with open_folder() as folder:
        command = [sys.executable, "-c", CLUSTER]
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address, "the cluster did not start"
            with workplace(env, (*HOW, "-s", f"ray.address={address}"), folder) as place:
                yield place
        finally:
            process.stdin.close()
            process.wait(60)


def actors() -> list[int]:
    """Processes of Ray that work on ranks."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if b"RankWorker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def test_the_same_bytes(here: Here) -> None:
    out = here.folder / "same"
    ended = here.run(out)
    assert ended.code == 0, ended.err
    assert_same(out, here.expected)
    assert not actors()


def test_a_killed_worker_is_replaced(here: Here) -> None:
    """Ray begins its rank again, which does only what is missing."""
    out = here.folder / "killed"
    command = here.start(out, "-s", "ray.tasks=2")
    until(lambda: len(marks(out, "work-*")) >= 2, "two shards")
    before = marks(out, "work-*")
    for pid in actors():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            break
    until(lambda: len(marks(out, "work-*")) == 18, "all shards")
    now = marks(out, "work-*")
    assert {name: now[name] for name in before} == before, "a finished shard was read again"
    ended = command.result(200)
    assert ended.code == 0, ended.err
    assert_same(out, here.expected)


def test_a_killed_command_takes_its_ranks_with_it(here: Here) -> None:
    out = here.folder / "orphans"
    command = here.start(out, "-s", "ray.tasks=2")
    until(lambda: len(marks(out, "work-*")) >= 2, "two shards")
    command.send(signal.SIGKILL)
    assert command.result().code == -signal.SIGKILL
    until(lambda: not actors(), "the ranks to end")
    assert "copies" not in marks(out)
    ended = here.run(out, how=())
    assert ended.code == 0, ended.err
    assert_same(out, here.expected)


def test_ctrl_c_stops_the_ranks(here: Here) -> None:
    out = here.folder / "stopped"
    command = here.start(out, "-s", "ray.tasks=2")
    until(lambda: len(marks(out, "work-*")) >= 1, "a shard")
    command.send(signal.SIGTERM)
    ended = command.result(200)
    assert ended.code == 143, ended.err
    until(lambda: not actors(), "the ranks to end")


def test_what_a_rank_says_is_said_by_the_command(here: Here) -> None:
    """Ray would only warn; the exit code is that of the fault: an input that went away is 3."""
    out, gone = here.folder / "gone", here.folder / "gone.jsonl"
    gone.write_bytes(next(here.dump.rglob("*.jsonl")).read_bytes())
    command = here.start(out, str(gone), "-s", "ray.tasks=2")
    until(lambda: (out / "jobs/read-1").is_dir(), "the first stage")
    gone.unlink()  # an actor takes a second to start
    ended = command.result(200)
    assert ended.code == 3, ended.err
    assert "Stage read: rank" in ended.err and "gone.jsonl" in ended.err and "/logs/task_" in ended.err, ended.err
    assert "copies" not in marks(out)


@pytest.mark.parametrize(
    ("setting", "code", "said"),
    [
        ("ray.mem_per_cpu_gb=900", 2, "No machine of the Ray cluster has 1 CPUs and 900 GiB"),
        ("ray.cpus_per_task=2", 2, "No machine of the Ray cluster has 2 CPUs"),
        ("ray.address=127.0.0.1:1", 4, "No Ray cluster at 127.0.0.1:1"),
        ("ray.env=[WENHAI_NOT_SET]", 2, "WENHAI_NOT_SET"),
    ],
)
def test_what_cannot_be_is_one_sentence(here: Here, setting: str, code: int, said: str, tmp_path: Path) -> None:
    ended = here.run(tmp_path / "run", "-s", "ray.tasks=2", "-s", setting)
    assert ended.code == code, ended.err
    assert said in ended.err and "Traceback" not in ended.err, ended.err
