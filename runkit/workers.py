"""Work spread over processes: what a forked worker does first, and a pool that yields results as they come.

In: a function, its tasks, a number of processes. Out: (task, result) in the order in which they finish. Workers are
forked after the imports (20 ms each, where starting afresh costs an import of torch), so the caller starts no
threads before. They ignore Ctrl-C and die with their parent: the parent alone decides. At most two tasks for each
worker are submitted ahead, so tasks and results in memory are bounded. One worker means no pool at all.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from typing import Final, TypeVar, cast

from runkit.errors import EnvironmentFault

T = TypeVar("T")
R = TypeVar("R")

_PR_SET_PDEATHSIG: Final = 1
POLL_S: Final = 0.2
_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM})


@contextmanager
def signals_held() -> Iterator[None]:
    """Fork inside: until a child has called `begin_worker`, a signal to the group would raise our exceptions there."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def begin_worker(parent: int) -> None:
    """The first thing a forked worker does; `parent` is the process id of the one that forked it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def in_processes(function: Callable[[T], R], tasks: Sequence[T], workers: int) -> Iterator[tuple[T, R]]:
    """(task, function(task)) as they finish. What the function raises is raised here.

    EnvironmentFault: a worker died. However this ends before its end (an error, a signal, a consumer that stops),
    the workers are killed at once; half-written temporary files are the caller's to remove.
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        for task in tasks:
            yield task, function(task)
        return
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(workers, context, initializer=begin_worker, initargs=(os.getpid(),))
    finished = False
    try:
        yield from _results(pool, function, tasks, 2 * workers)
        finished = True
    except BrokenProcessPool:
        raise EnvironmentFault(
            "A worker process died (out of memory?); run the same command again to go on, "
            "with fewer --workers if memory is short."
        ) from None
    finally:
        if not finished:
            _kill(pool)
        pool.shutdown(wait=True, cancel_futures=True)


def in_child(function: Callable[[], R]) -> R:
    """function(), run in a forked process that is killed when this one is interrupted.

    For libraries that hear no signal while they work. What the function raises is raised here. EnvironmentFault: the
    child died.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run_child, args=(function, theirs, os.getpid()))
    try:  # a signal that was held while forking is raised at the end of the `with`
        with signals_held():
            process.start()
        theirs.close()
        while not ours.poll(POLL_S):  # a signal that comes just before a wait does not end it
            pass
        raised, outcome = ours.recv()
    except EOFError:
        raise EnvironmentFault("A child process died (out of memory?); run the same command again.") from None
    finally:
        ours.close()
        if process.pid is not None:
            process.kill()
            process.join()
    if raised:
        raise outcome
    return cast(R, outcome)


def _run_child(function: Callable[[], R], pipe: Connection, parent: int) -> None:
    begin_worker(parent)
    try:
        outcome: tuple[bool, object] = False, function()
    except Exception as error:
        outcome = True, error
    pipe.send(outcome)


def _results(
    pool: ProcessPoolExecutor, function: Callable[[T], R], tasks: Sequence[T], ahead: int
) -> Iterator[tuple[T, R]]:
    left = iter(tasks)
    waiting: dict[Future[R], T] = {}
    while True:
        with signals_held():  # the first submit forks all workers
            for task in islice(left, ahead - len(waiting)):
                waiting[pool.submit(function, task)] = task
        if not waiting:
            return
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield waiting.pop(future), future.result()


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()
