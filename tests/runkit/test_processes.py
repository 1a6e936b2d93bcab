"""Results come as they finish, errors as they are, and no worker outlives its parent or its use."""

import ctypes
import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from runkit.errors import EnvironmentFault, InputError
from runkit.workers import in_child, in_processes

FORK = get_context("fork")
PR_SET_CHILD_SUBREAPER = 36
GATE = FORK.Event()


def square(number: int) -> int:
    return number * number


def who(_: int) -> int:
    return os.getpid()


def is_running(pid: int) -> bool:
    """Whether the process lives; one that ended and waits for its parent does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_every_task_has_its_result_once(workers: int, count: int) -> None:
    assert sorted(in_processes(square, range(count), workers)) == [(n, n * n) for n in range(count)]


def test_one_worker_or_one_task_needs_no_process() -> None:
    assert [pid for _, pid in in_processes(who, range(3), 1)] == [os.getpid()] * 3
    assert [pid for _, pid in in_processes(who, [0], 8)] == [os.getpid()]
    pids = {pid for _, pid in in_processes(who, range(9), 2)}
    assert os.getpid() not in pids and not any(map(is_running, pids))


def wait_if_slow(task: str) -> bool:
    return task == "fast" or GATE.wait(30)


def test_what_is_done_first_comes_first() -> None:
    order = []
    for task, ended in in_processes(wait_if_slow, ["slow", "fast"], 2):
        assert ended
        order.append(task)
        GATE.set()  # by nothing else: so the slow task ends only when the fast one has been given
    assert order == ["fast", "slow"]


def test_tasks_are_taken_only_so_far_ahead() -> None:
    class Counted(list[int]):
        taken = 0

        def __iter__(self) -> Iterator[int]:
            for item in super().__iter__():
                self.taken += 1
                yield item

    tasks = Counted(range(100))
    for done, _ in enumerate(in_processes(square, tasks, 2), 1):
        assert tasks.taken <= done - 1 + 4
    assert tasks.taken == 100


def refuse(number: int) -> int:
    if number == 3:
        raise InputError("the third is bad")
    return number


def test_an_error_of_the_user_arrives_as_it_is() -> None:
    for workers in (1, 2):
        with pytest.raises(InputError, match=r"^the third is bad$"):
            list(in_processes(refuse, range(50), workers))


def fall(task: tuple[int, bytes]) -> int:
    if task[0] == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return task[0]


@pytest.mark.parametrize("size", [0, 3_000_000])
def test_a_worker_that_is_killed_is_one_sentence(size: int) -> None:
    """Tasks larger than a pipe: whoever feeds them must not wait for the dead."""
    with pytest.raises(EnvironmentFault, match=r"worker process died.*run the same command again.*--workers"):
        list(in_processes(fall, [(number, bytes(size)) for number in range(20)], 2))


def idle(task: int) -> int:
    if task > 1:
        signal.pause()
    return os.getpid()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_consumer_leaves_no_worker(error: type[BaseException]) -> None:
    pids = set()
    with pytest.raises(error):
        for _, pid in in_processes(idle, range(10), 2):
            pids.add(pid)
            raise error
    assert pids and not any(map(is_running, pids)) and FORK.active_children() == []


PARENT = """
import os, signal, sys
from runkit.workers import in_child, in_processes

def task(number):
    if number == 0:
        return os.getpid()
    signal.pause()

def main():
    for _, pid in in_processes(task, range(8), 2):
        print(os.getpid(), pid, flush=True)

try:
    main()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


@pytest.fixture
def parent() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process whose workers are at work for ever, and the id of one of them."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", PARENT], start_new_session=True, **pipes)
    assert process.stdout is not None
    _, worker = map(int, process.stdout.readline().split())
    yield process, worker
    process.communicate()


def test_ctrl_c_reaches_the_group_and_only_the_parent_speaks(parent: tuple[subprocess.Popen[str], int]) -> None:
    process, worker = parent
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "interrupted\n", "")
    assert not is_running(worker)


@pytest.fixture
def adopted() -> Iterator[None]:
    """Orphans of our children come to us, so that their end can be waited for."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    yield
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_workers_die_with_their_parent(adopted: None, parent: tuple[subprocess.Popen[str], int]) -> None:
    process, worker = parent
    process.kill()
    process.wait()
    ends = dict(os.waitpid(-process.pid, 0) for _ in range(2))  # of the group; waits for ever if one lives on
    assert worker in ends and {os.WTERMSIG(status) for status in ends.values()} == {signal.SIGKILL}


def masked(_: int) -> tuple[bool, bool]:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return signal.SIGINT in blocked or signal.SIGTERM in blocked, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_signals_are_as_they_were_afterwards() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert {result for _, result in in_processes(masked, range(4), 2)} == {(False, True)}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_a_child_gives_its_result_or_its_error() -> None:
    assert in_child(lambda: {"pid": os.getpid()})["pid"] != os.getpid()
    with pytest.raises(InputError, match="no text"):
        in_child(functools.partial(_refuse, "no text"))


def _refuse(reason: str) -> None:
    raise InputError(reason)


def test_a_child_that_dies_is_told() -> None:
    with pytest.raises(EnvironmentFault, match="died"):
        in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_a_child_ends_with_an_interrupted_parent() -> None:
    """Ctrl-C while the child works: the parent hears it at once, and the child is gone."""
    reading, writing = os.pipe()

    def work() -> None:
        os.write(writing, str(os.getpid()).encode())
        signal.pause()

    def interrupt() -> None:
        pids.append(int(os.read(reading, 20)))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    pids: list[int] = []
    thread = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        in_child(work)
    thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
