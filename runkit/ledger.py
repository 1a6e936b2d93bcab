"""The ledger of model calls: what was asked, what came back, what it cost, durable before anybody acts on it.

In: calls keyed by the hash of their whole request, and one attempt for each HTTP request that is begun. Out: a SQLite
file that another run replays from, and sums over all of its starts. A call is `planned`, then `sent` on the disk before
a byte leaves, then `done` or `failed` on the disk before its reply is handed on. An attempt without an outcome when
the file is opened was in flight when the program died: it becomes `lost`, costs what was reserved for it, and the call
is sent again, marked as such. Price: one fsync (4 ms on a cloud disk) for all calls that are waiting at that moment,
made by a thread of its own; replies are kept as they came, some kB each.
"""

import asyncio
import errno
import os
import queue
import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from runkit.errors import EnvironmentFault, InputError
from runkit.files import disk_fault

State = Literal["planned", "sent", "done", "failed"]
LEDGER: Final = "ledger.sqlite"  # its name in a run
FORMAT: Final = 1
APPLICATION_ID: Final = 0x57484C44  # "WHLD": not somebody else's SQLite file
_SCHEMA: Final = f"""
CREATE TABLE calls (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, url TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL,
  request BLOB NOT NULL, reply BLOB, finish_reason TEXT, prompt_tokens INTEGER, completion_tokens INTEGER,
  cost_usd REAL, error_kind TEXT, error TEXT, planned_at REAL NOT NULL, ended_at REAL);
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY, call INTEGER NOT NULL REFERENCES calls(id), resend INTEGER NOT NULL, sent_at REAL NOT NULL,
  reserved_usd REAL NOT NULL, outcome TEXT, status INTEGER, cost_usd REAL, ended_at REAL, error TEXT);
CREATE INDEX attempts_call ON attempts(call);
CREATE INDEX attempts_open ON attempts(outcome) WHERE outcome IS NULL;
PRAGMA user_version={FORMAT};
PRAGMA application_id={APPLICATION_ID};
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One row of `calls`; `reply` is the body as it came."""

    id: int
    key: str
    state: State
    reply: bytes | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    error_kind: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended: `reply` for `done`, `error_kind` and `error` for `failed`."""

    state: Literal["done", "failed"]
    reply: bytes | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error_kind: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all starts on this file."""

    calls: dict[str, int]  # state -> calls
    attempts: dict[str, int]  # outcome -> HTTP requests begun
    resent: int  # attempts that follow a lost one
    prompt_tokens: int
    completion_tokens: int
    spent_usd: float  # settled by usage, or what was reserved where no usage came


_Statement = tuple[str, tuple[Any, ...]]
_Waiting = tuple[list[_Statement], asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Ledger:
    """Made by `Ledger.open` only. One process at a time: the run directory's lock keeps the others out."""

    def __init__(self, path: Path, reader: sqlite3.Connection, writer: sqlite3.Connection) -> None:
        self.path = path
        self._reader, self._writer = reader, writer
        self._lazy: list[_Statement] = []
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._fault: Exception | None = None
        self._next_call = self._first_free("calls")
        self._next_attempt = self._first_free("attempts")
        self.lost = self._find_lost()
        """Attempts that were in flight when an earlier start was killed, found by this start."""
        self._spent_usd = float(self._one("SELECT total(cost_usd) FROM attempts")[0])
        self._reserved_usd = 0.0
        self._planned: dict[str, int] = {}  # perhaps not on the disk yet
        self._open: dict[int, float] = {}  # attempt -> what is reserved for it
        self._resend: set[int] = {row[0] for row in reader.execute(_LOST_LAST)}
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)

    @staticmethod
    @contextmanager
    def open(path: Path) -> "Iterator[Ledger]":
        """Open or make the ledger at `path`. InputError: it is damaged or no ledger. EnvironmentFault: the disk."""
        connections: list[sqlite3.Connection] = []
        try:
            writer = _connect(path)
            connections.append(writer)
            _prepare(path, writer)
            reader = _connect(path)
            connections.append(reader)
            ledger = Ledger(path, reader, writer)
        except sqlite3.Error as error:
            for connection in connections:
                connection.close()
            raise _fault_of(path, error) from error
        ledger._thread.start()
        try:
            yield ledger
        finally:
            ledger._queue.put(None)
            ledger._thread.join()
            ledger._write_rest()
            reader.close()
            with suppress(sqlite3.Error):  # what was promised is on the disk; the rest is tidying
                writer.close()

    @property
    def committed_usd(self) -> float:
        """What was spent, and what is reserved for attempts in flight."""
        return self._spent_usd + self._reserved_usd

    @property
    def spent_usd(self) -> float:
        """What was spent, over all starts."""
        return self._spent_usd

    @property
    def in_flight(self) -> int:
        """Attempts without an outcome."""
        return len(self._open)

    def find(self, key: str) -> Call | None:
        """The call with this key, as far as it is on the disk."""
        rows = self._read(
            "SELECT id, key, state, reply, finish_reason, prompt_tokens, completion_tokens, cost_usd, error_kind, "
            "error FROM calls WHERE key = ?",
            (key,),
        )
        return Call(*rows[0]) if rows else None

    def plan(self, key: str, url: str, model: str, request: bytes) -> int:
        """Note a call that will be made, and return its id. On the disk at the latest with the next commit."""
        known = self._planned.get(key)
        if known is None and (found := self._read("SELECT id FROM calls WHERE key = ?", (key,))):
            known = int(found[0][0])
        if known is not None:
            return known
        call, self._next_call = self._next_call, self._next_call + 1
        self._planned[key] = call
        self._lazy.append(
            (
                "INSERT INTO calls(id, key, url, model, state, request, planned_at) VALUES(?,?,?,?,'planned',?,?)",
                (call, key, url, model, request, time.time()),
            )
        )
        return call

    def reserve(self, call: int, usd: float, budget_usd: float | None) -> int | None:
        """Take `usd` from the budget for one attempt and return its id; None: it does not fit now."""
        if budget_usd is not None and self.committed_usd + usd > budget_usd:
            return None
        attempt, self._next_attempt = self._next_attempt, self._next_attempt + 1
        self._open[attempt] = usd
        self._reserved_usd += usd
        return attempt

    async def send(self, call: int, attempt: int) -> bool:
        """Write that the attempt leaves now; it may when this returns. True: it repeats one that was lost."""
        resend = call in self._resend
        self._resend.discard(call)
        reserved = self._open[attempt]
        sent = (attempt, call, int(resend), time.time(), reserved)
        await self._commit(
            ("UPDATE calls SET state = 'sent', ended_at = NULL WHERE id = ?", (call,)),
            ("INSERT INTO attempts(id, call, resend, sent_at, reserved_usd) VALUES(?,?,?,?,?)", sent),
        )
        return resend

    def settle(
        self, attempt: int, outcome: str, cost_usd: float | None, status: int | None = None, error: str | None = None
    ) -> None:
        """The attempt is over; `cost_usd` None: nobody knows, so it costs what was reserved.

        On the disk at the latest with the next commit: for the last attempt of a call that is its `end`.
        """
        reserved = self._close(attempt)
        cost = reserved if cost_usd is None else cost_usd
        self._spent_usd += cost
        self._lazy.append(
            (
                "UPDATE attempts SET outcome = ?, status = ?, cost_usd = ?, ended_at = ?, error = ? WHERE id = ?",
                (outcome, status, cost, time.time(), error, attempt),
            )
        )

    def withdraw(self, attempt: int) -> None:
        """The attempt did not leave after all, so there was none."""
        self._close(attempt)
        self._lazy.append(("DELETE FROM attempts WHERE id = ?", (attempt,)))

    def _close(self, attempt: int) -> float:
        reserved = self._open.pop(attempt)
        # Sums of floats drift; with nothing in flight nothing is reserved.
        self._reserved_usd = self._reserved_usd - reserved if self._open else 0.0
        return reserved

    async def end(self, key: str, ended: Ended) -> None:
        """Write how the call ended; it is on the disk when this returns."""
        await self._commit(
            (
                "UPDATE calls SET state = ?, reply = ?, finish_reason = ?, prompt_tokens = ?, completion_tokens = ?, "
                "error_kind = ?, error = ?, ended_at = ?, "
                "cost_usd = (SELECT total(cost_usd) FROM attempts WHERE call = calls.id) WHERE key = ?",
                (
                    *(ended.state, ended.reply, ended.finish_reason, ended.prompt_tokens, ended.completion_tokens),
                    *(ended.error_kind, ended.error, time.time(), key),
                ),
            )
        )
        self._planned.pop(key, None)

    async def flush(self) -> None:
        """Everything noted so far is on the disk when this returns."""
        await self._commit()

    def totals(self) -> Totals:
        """Sums over all starts, as far as they are on the disk."""
        calls = dict(self._read("SELECT state, count(*) FROM calls GROUP BY state"))
        attempts = dict(self._read("SELECT coalesce(outcome, 'in flight'), count(*) FROM attempts GROUP BY outcome"))
        prompt, completion = self._one(
            "SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0) FROM calls"
        )
        resent, spent = self._one("SELECT coalesce(sum(resend), 0), total(cost_usd) FROM attempts")
        return Totals(calls, attempts, resent, prompt, completion, spent)

    async def _commit(self, *statements: _Statement) -> None:
        if self._fault is not None:
            raise self._fault
        loop = asyncio.get_running_loop()
        durable: asyncio.Future[None] = loop.create_future()
        batch, self._lazy = [*self._lazy, *statements], []
        self._queue.put((batch, loop, durable))
        await durable

    def _write(self) -> None:
        """The writer thread: all batches that wait at one moment are one transaction."""
        while (first := self._queue.get()) is not None:
            waiting = [first]
            last = False
            with suppress(queue.Empty):
                while True:
                    following = self._queue.get_nowait()
                    if following is None:
                        last = True
                        break
                    waiting.append(following)
            try:
                if self._fault is None:
                    self._transact([batch for batch, _, _ in waiting])
            except sqlite3.Error as error:
                self._fault = _fault_of(self.path, error, _size([batch for batch, _, _ in waiting]))
                self._fault.__cause__ = error
            loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
            for _, loop, durable in waiting:
                loops.setdefault(loop, []).append(durable)
            for loop, futures in loops.items():
                with suppress(RuntimeError):  # the loop was closed by a second Ctrl-C: nobody waits any more
                    loop.call_soon_threadsafe(self._tell, futures)
            if last:
                break

    def _write_rest(self) -> None:
        """What no commit took along; the thread has ended."""
        if self._lazy and self._fault is None:
            with suppress(sqlite3.Error):  # an attempt that stays open counts as lost, which is the careful reading
                self._transact([self._lazy])
        self._lazy = []

    def _transact(self, batches: list[list[_Statement]]) -> None:
        execute = self._writer.execute
        execute("BEGIN IMMEDIATE")
        try:
            for batch in batches:
                for sql, values in batch:
                    execute(sql, values)
            execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                execute("ROLLBACK")
            raise

    def _tell(self, futures: "list[asyncio.Future[None]]") -> None:
        for future in futures:
            if future.done():  # its waiter was cancelled
                continue
            if self._fault is None:
                future.set_result(None)
            else:
                future.set_exception(self._fault)

    def _find_lost(self) -> int:
        return self._writer.execute(
            "UPDATE attempts SET outcome = 'lost', cost_usd = reserved_usd WHERE outcome IS NULL"
        ).rowcount

    def _first_free(self, table: str) -> int:
        return int(self._one(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")[0])

    def _one(self, sql: str) -> Any:
        return self._read(sql)[0]

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._reader.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _fault_of(self.path, error) from error


# Calls whose newest attempt was lost, and which have not ended: their next attempt is a repetition.
_LOST_LAST: Final = """
SELECT call FROM attempts JOIN calls ON calls.id = call
WHERE calls.state IN ('planned', 'sent')
GROUP BY call HAVING max(attempts.id) = max(CASE WHEN outcome = 'lost' THEN attempts.id END)
"""


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA synchronous = FULL")  # WAL with NORMAL would lose the newest commits in a power cut
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if version == 0 and owner == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        return
    if owner != APPLICATION_ID or version != FORMAT:
        raise InputError(f"{path} is no ledger of format {FORMAT}; give --out a new folder.")
    connection.execute("PRAGMA journal_mode = WAL")


def _size(batches: list[list[_Statement]]) -> int:
    """Bytes of the texts and replies in it."""
    values = (value for batch in batches for _, values in batch for value in values)
    return sum(len(value) for value in values if isinstance(value, str | bytes))


def _fault_of(path: Path, error: sqlite3.Error, size_bytes: int | None = None) -> InputError | EnvironmentFault:
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return InputError(f"The ledger {path} is damaged ({error}); give --out a new folder, or restore it.")
    # SQLite keeps the system's error number to itself but for a full disk; a limit on file sizes is a failed write.
    number = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_IOERR_SHMSIZE: errno.ENOSPC}.get(code)
    if code in (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_TRUNCATE) and _limited():
        number = errno.EFBIG
    fault = None if number is None else disk_fault(OSError(number, os.strerror(number)), path, path, size_bytes or 0)
    return fault or EnvironmentFault(
        f"Cannot write the ledger {path}: {error}; check the disk, its permissions and other runs, and run again."
    )


def _limited() -> bool:
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
