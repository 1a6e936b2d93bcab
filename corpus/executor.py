"""Runs the pipeline's shards in worker processes, and outlives them.

A subclass of datatrove's local executor with its own pool: datatrove's waits for ever when a worker is killed.
Workers are forked after the imports (an import costs 1.5 s, a fork 20 ms) and take one shard at a time over a pipe.
A worker that dies, hangs or grows too large is replaced and its shard begun again, now record by record, since
among the pages of a batch nobody knows which one it was. A record that then crashes its worker, or takes too much
time or memory, is left out with a reason. Marks are written by the pipeline's last step, so resuming asks only them.
"""

import ctypes
import gc
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from corpus.config import WorkerConfig
from corpus.page import Page
from corpus.reading import UNREADABLE
from runkit.errors import EnvironmentFault, UserError
from runkit.workers import begin_worker, signals_held

POLL_S = 0.2
# So often in a row a worker must be killed at the same record, before the record is held to be the cause.
KILLS_TO_BLAME = 3
# A shard whose workers keep dying at ever other records is stopped after so many deaths.
MOST_DEATHS = 100
# Between records a worker only writes; a disk may be slow, but one that stands still this long is broken.
MOST_REST_S = 600


Advance: TypeAlias = Callable[[int], None]
Finished: TypeAlias = Callable[[int], None]


class First(Protocol):
    """What the first step of a pipeline has: the places it leaves out, and two ways to say that it is alive."""

    left_out: dict[int, str]
    beat: Callable[[int, int, bool], None]  # (records so far, place of the record, whether it is read already)
    rest: Callable[[], None]


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    beat: Any  # (place of the record, monotonic time of its start, whether it is read already, records so far)
    shard: int | None = None

    def suspect(self) -> tuple[int, bool] | None:
        """The record at hand, None between records; the worker has ended or hangs."""
        place, _, in_work, _ = self.beat
        return None if place < 0 else (int(place), bool(in_work))


@dataclass
class _Trouble:
    """What went wrong with one shard so far."""

    deaths: int = 0
    suspect: tuple[int, bool] | None = None
    times: int = 0  # that the suspect was at hand, one death after another
    left_out: dict[int, str] = field(default_factory=dict)


class ShardExecutor(LocalPipelineExecutor):
    """`pipeline` begins with a step that is a `First`, such as `ReadShard`; `shards` are the ranks to run."""

    def __init__(self, pipeline: Sequence[PipelineStep], workers: int, limits: WorkerConfig) -> None:
        # datatrove's logs and marks are not used: nothing is ever written to this folder.
        super().__init__(list(pipeline), tasks=1, workers=workers, logging_dir="memory://")
        self.limits = limits
        self.reader: First = pipeline[0]
        self.one_by_one = False
        self.most_deaths = MOST_DEATHS

    def run_shards(self, shards: Sequence[int], advance: Advance, finished: Finished) -> None:
        """Run every shard to its mark; `advance(records)` as they are read, `finished(shard)` as they end."""
        pool = _Pool(self, advance, finished)
        try:
            pool.run(deque(shards))
        finally:
            pool.close()

    def run_rank(self, rank: int, world_size: int) -> None:
        """Pull one shard through the pipeline, in this process."""
        first, *middle = self.pipeline
        last = middle.pop() if middle else None

        def through(pages: Iterable[Page]) -> Iterable[Page]:
            for step in middle:
                pages = step(pages, rank, world_size)
            return pages

        pages = first(None, rank, world_size)
        stream = chain.from_iterable(through([page]) for page in pages) if self.one_by_one else through(pages)
        deque(stream if last is None else last(stream, rank, world_size), maxlen=0)


class _Pool:
    def __init__(self, executor: ShardExecutor, advance: Advance, finished: Finished) -> None:
        self.executor = executor
        self.advance, self.finished = advance, finished
        self.context = multiprocessing.get_context("fork")
        self.workers: list[_Worker] = []
        self.trouble: dict[int, _Trouble] = {}
        self.counted: dict[int, int] = {}

    def run(self, queue: "deque[int]") -> None:
        wanted = min(self.executor.workers, len(queue))
        busy = 0
        while queue or busy:
            while len(self.workers) < min(wanted, len(queue) + busy):
                self.workers.append(self._start())
            for worker in self.workers:
                if worker.shard is None and queue:
                    self._give(worker, queue.popleft())
            wait([w.pipe for w in self.workers] + [w.process.sentinel for w in self.workers], timeout=POLL_S)
            for worker in list(self.workers):
                self._look_after(worker, queue)
            busy = sum(worker.shard is not None for worker in self.workers)

    def close(self) -> None:
        for worker in self.workers:
            worker.pipe.close()
            if worker.shard is not None:
                worker.process.kill()
            worker.process.join()
        self.workers = []

    def _start(self) -> _Worker:
        ours, theirs = self.context.Pipe()
        beat = self.context.RawArray(ctypes.c_double, 4)
        inherited = [worker.pipe for worker in self.workers] + [ours]
        process = self.context.Process(target=_work, args=(self.executor, theirs, beat, inherited, os.getpid()))
        with signals_held():
            process.start()
        theirs.close()
        return _Worker(process, ours, beat)

    def _give(self, worker: _Worker, shard: int) -> None:
        worker.shard = shard
        worker.beat[:] = (-1, time.monotonic(), 0, 0)
        trouble = self.trouble.setdefault(shard, _Trouble())
        with suppress(OSError):  # it died while idle; `_look_after` sees that next
            worker.pipe.send((shard, trouble.left_out, trouble.deaths > 0))

    def _look_after(self, worker: _Worker, queue: "deque[int]") -> None:
        shard = worker.shard
        if shard is None:
            if not worker.process.is_alive():
                self._drop(worker)
            return
        self._count(shard, int(worker.beat[3]))
        if worker.pipe.poll():
            try:
                outcome = worker.pipe.recv()
            except (EOFError, OSError):
                outcome = None
            if outcome is not None:
                self._settle(worker, shard, outcome)
                return
        reason = self._verdict(worker)
        if reason is not None:
            worker.process.kill()
            worker.process.join()
            self._drop(worker)
            # SIGKILL comes from outside as well: from the system when memory runs out, or from a person.
            proof = reason != "worker.died" or worker.process.exitcode != -signal.SIGKILL
            self._blame(shard, worker.suspect(), reason, proof)
            queue.appendleft(shard)

    def _settle(self, worker: _Worker, shard: int, outcome: "UserError | str | int") -> None:
        if isinstance(outcome, UserError):
            raise outcome
        if isinstance(outcome, str):
            raise RuntimeError(f"shard {shard} failed in its worker:\n{outcome}")
        self._count(shard, outcome)
        worker.shard = None
        self.finished(shard)

    def _verdict(self, worker: _Worker) -> str | None:
        """Why this worker must be replaced, or None."""
        if not worker.process.is_alive():
            return "worker.died"
        if time.monotonic() - worker.beat[1] > self.executor.limits.record_timeout_s:
            return "worker.timeout"
        if _resident_bytes(worker.process.pid) > self.executor.limits.memory_mb * 2**20:
            return "worker.memory"
        return None

    def _blame(self, shard: int, suspect: tuple[int, bool] | None, reason: str, proof: bool) -> None:
        """Note the death; leave the record out at once if that proves it, else when it is the third in a row."""
        trouble = self.trouble[shard]
        trouble.deaths += 1
        if trouble.deaths >= self.executor.most_deaths:
            raise EnvironmentFault(
                f"Shard {shard} ({self.executor.pipeline[0].name}) lost its worker {trouble.deaths} times; is memory "
                "short, or is something stopping processes here?"
            )
        if trouble.deaths == 1:  # in a batch; now the shard is read record by record
            return
        if suspect is None:
            if reason == "worker.memory":
                limit = self.executor.limits.memory_mb
                raise EnvironmentFault(f"Shard {shard} needs more than worker.memory_mb = {limit}; raise it.")
            if reason == "worker.timeout":
                raise EnvironmentFault(f"Shard {shard} could not be written within {MOST_REST_S} s; is the disk stuck?")
            return
        trouble.times = trouble.times + 1 if suspect == trouble.suspect else 1
        trouble.suspect = suspect
        if proof or trouble.times == KILLS_TO_BLAME:
            place, in_work = suspect
            trouble.left_out[place] = reason if in_work else UNREADABLE

    def _count(self, shard: int, record: int) -> None:
        before = self.counted.get(shard, 0)
        if record > before:
            self.counted[shard] = record
            self.advance(record - before)

    def _drop(self, worker: _Worker) -> None:
        worker.pipe.close()
        worker.process.join()
        self.workers.remove(worker)


def _work(executor: ShardExecutor, pipe: Connection, beat: Any, inherited: list[Connection], parent: int) -> None:
    """A worker's life: take a shard, run it, answer with its number of records, until the pipe closes."""
    begin_worker(parent)
    for other in inherited:  # else no worker would see the pipe of another close
        other.close()

    def tell(records: int, place: int, in_work: bool) -> None:
        beat[:] = (place, time.monotonic(), in_work, records)

    def pause() -> None:
        beat[0], beat[1] = -1, time.monotonic() + MOST_REST_S

    gc.freeze()  # the parent's half million objects need not be walked, and written to, by each collection here
    reader = executor.reader
    reader.beat, reader.rest = tell, pause
    while True:
        try:
            shard, reader.left_out, executor.one_by_one = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            executor.run_rank(shard, executor.world_size)
            outcome: UserError | str | int = int(beat[3])
        except UserError as error:
            outcome = error
        except MemoryError:
            os._exit(1)  # as if killed: the parent leaves the record out when it happens again
        except Exception:
            import traceback

            outcome = traceback.format_exc()
        pipe.send(outcome)


def _resident_bytes(pid: int | None) -> int:
    """Memory of its own: mapped files, such as the list of domains, can be dropped by the system at any time."""
    try:
        with Path(f"/proc/{pid}/statm").open("rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
            return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
