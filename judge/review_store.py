"""People's verdicts in SQLite: on the disk before the page is told, and never overwritten.

In: slots for each reviewer, then events: a verdict, a skip, or the undoing of one of them. Out: what holds now, and all
that was. An event has a name of its own, given by who sends it, so that one sent twice is kept once. Connections are
for one thread at a time; transactions keep two programs on one file apart. Price: one fsync (4 ms on a cloud disk) for
each verdict.
"""

import sqlite3
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from judge.review_plan import Slot
from runkit.errors import EnvironmentFault, InputError, UsageError

FILE: Final = "review.sqlite"
FORMAT: Final = 1
APPLICATION_ID: Final = 0x57485256  # "WHRV": not somebody else's SQLite file
NAME_CHARS: Final = 60
Kind = Literal["verdict", "skip", "undo"]
PersonsChoice = Literal["left", "right", "tie", "both_bad"]
CHOICES: Final[tuple[PersonsChoice, ...]] = ("left", "right", "tie", "both_bad")
_SCHEMA: Final = f"""
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE reviewers (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, joined_at REAL NOT NULL);
CREATE TABLE slots (
  reviewer INTEGER NOT NULL REFERENCES reviewers(id), number INTEGER NOT NULL, question_id TEXT NOT NULL,
  left_system TEXT NOT NULL, right_system TEXT NOT NULL, fingerprint TEXT NOT NULL, repeat_of INTEGER,
  PRIMARY KEY (reviewer, number)) WITHOUT ROWID;
CREATE TABLE events (
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, reviewer INTEGER NOT NULL REFERENCES reviewers(id),
  slot INTEGER NOT NULL, kind TEXT NOT NULL, undoes INTEGER REFERENCES events(id), choice TEXT, score_left REAL,
  score_right REAL, note TEXT NOT NULL, principles_version INTEGER, principles_sha256 TEXT, lang TEXT, seconds REAL,
  at REAL NOT NULL);
CREATE INDEX events_slot ON events(reviewer, slot);
CREATE UNIQUE INDEX events_undoes ON events(undoes) WHERE undoes IS NOT NULL;
CREATE VIEW standing AS SELECT * FROM events e WHERE kind <> 'undo'
  AND NOT EXISTS (SELECT 1 FROM events u WHERE u.undoes = e.id)
  AND NOT EXISTS (SELECT 1 FROM events f WHERE f.reviewer = e.reviewer AND f.slot = e.slot AND f.id > e.id
    AND f.kind <> 'undo' AND NOT EXISTS (SELECT 1 FROM events v WHERE v.undoes = f.id));
PRAGMA user_version={FORMAT};
PRAGMA application_id={APPLICATION_ID};
"""
_COLUMNS: Final = (
    *("id", "uid", "slot", "kind", "choice", "score_left", "score_right", "note"),
    *("principles_version", "principles_sha256", "lang", "seconds", "at"),
)
_EVENT: Final = ", ".join(_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A verdict or a skip. Scores go from 1 to 10; `seconds` from showing the item to the verdict."""

    uid: str
    slot: int
    kind: Kind
    choice: PersonsChoice | None = None
    score_left: float | None = None
    score_right: float | None = None
    note: str = ""
    principles_version: int | None = None
    principles_sha256: str | None = None
    lang: str | None = None
    seconds: float | None = None
    at: float = 0.0
    id: int = 0


@dataclass(frozen=True, slots=True)
class Reviewer:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A verdict that holds, with all that is known about where it was given."""

    reviewer: str
    slot: Slot
    event: Event


class Taken(Exception):
    """The slot has a verdict already, or the name of the event belongs to another one."""


class ReviewStore:
    """Made by `ReviewStore.open` only."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection

    @staticmethod
    @contextmanager
    def open(path: Path, create: bool = True) -> "Iterator[ReviewStore]":
        """InputError: the file is damaged, somebody else's, or (without `create`) not there."""
        if not create and not path.is_file():
            raise InputError(f"{path.parent} has no verdicts of people; collect them with `judge review`.")
        with _told(path):
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            try:
                _prepare(path, connection)
            except BaseException:
                connection.close()
                raise
        try:
            yield ReviewStore(path, connection)
        finally:
            with suppress(sqlite3.Error):  # what was promised is on the disk; the rest is tidying
                connection.close()

    def setting(self, name: str, value: str) -> str:
        """The value that was set first."""
        with self.together():
            self._connection.execute("INSERT OR IGNORE INTO settings VALUES(?,?)", (name, value))
        return str(self._all("SELECT value FROM settings WHERE name = ?", name)[0][0])

    def reviewer(self, name: str) -> Reviewer | None:
        found = self._all("SELECT id, name FROM reviewers WHERE key = ?", _key(name))
        return Reviewer(*found[0]) if found else None

    def reviewers(self) -> list[Reviewer]:
        return [Reviewer(*row) for row in self._all("SELECT id, name FROM reviewers ORDER BY key")]

    def join(self, name: str) -> Reviewer:
        """The reviewer of this name, new or known. UsageError: it is no name."""
        name = clean_name(name)
        with self.together():
            self._connection.execute(
                "INSERT OR IGNORE INTO reviewers(key, name, joined_at) VALUES(?,?,?)", (_key(name), name, time.time())
            )
        found = self.reviewer(name)
        assert found is not None
        return found

    def slots(self, reviewer: Reviewer) -> list[Slot]:
        rows = self._all(
            "SELECT number, question_id, left_system, right_system, fingerprint, repeat_of FROM slots "
            "WHERE reviewer = ? ORDER BY number",
            reviewer.id,
        )
        return [_slot(row) for row in rows]

    def add_slots(self, reviewer: Reviewer, slots: Sequence[Slot]) -> None:
        values = [(reviewer.id, *astuple(slot)) for slot in slots]
        with self.together():
            self._connection.executemany("INSERT OR IGNORE INTO slots VALUES(?,?,?,?,?,?,?)", values)

    def standing(self, reviewer: Reviewer) -> dict[int, Event]:
        """Slot number -> the verdict or skip that holds."""
        rows = self._all(f"SELECT {_EVENT} FROM standing WHERE reviewer = ?", reviewer.id)
        return {event.slot: event for event in map(_event, rows)}

    def latest(self, reviewer: Reviewer) -> Event | None:
        """What an undo takes back."""
        rows = self._all(f"SELECT {_EVENT} FROM standing WHERE reviewer = ? ORDER BY id DESC LIMIT 1", reviewer.id)
        return _event(rows[0]) if rows else None

    def find(self, uid: str) -> Event | None:
        rows = self._all(f"SELECT {_EVENT} FROM events WHERE uid = ?", uid)
        return _event(rows[0]) if rows else None

    def add(self, reviewer: Reviewer, event: Event) -> None:
        """On the disk when this returns; the same event again changes nothing. Taken: the slot has a verdict."""
        with self.together():
            if (known := self.find(event.uid)) is not None:
                if (known.slot, known.kind, known.choice) != (event.slot, event.kind, event.choice):
                    raise Taken
                return
            now = self._all("SELECT kind FROM standing WHERE reviewer = ? AND slot = ?", reviewer.id, event.slot)
            if now and now[0][0] == "verdict":
                raise Taken
            self._insert(reviewer, event, None)

    def undo(self, reviewer: Reviewer, uid: str) -> Event | None:
        """Take the latest verdict or skip back, and return it; None: there is none. It stays in the history."""
        with self.together():
            done = self._all("SELECT undoes FROM events WHERE uid = ?", uid)
            if done:  # sent twice
                rows = self._all(f"SELECT {_EVENT} FROM events WHERE id = ?", done[0][0])
                return _event(rows[0]) if rows else None
            latest = self.latest(reviewer)
            if latest is not None:
                self._insert(reviewer, Event(uid=uid, slot=latest.slot, kind="undo"), latest.id)
            return latest

    def supersede(self, reviewer: Reviewer, event: Event) -> bool:
        """Take an event from elsewhere; for a slot that has a verdict the newer one holds. False: nothing changed."""
        with self.together():
            if self.find(event.uid) is not None:
                return False
            rows = self._all(f"SELECT {_EVENT} FROM standing WHERE reviewer = ? AND slot = ?", reviewer.id, event.slot)
            if rows and (now := _event(rows[0])).kind == "verdict":
                if now.at >= event.at:
                    return False
                undo = Event(uid=f"{event.uid}~undo", slot=event.slot, kind="undo", at=event.at)
                self._insert(reviewer, undo, now.id)
            self._insert(reviewer, event, None)
            return True

    def verdicts(self) -> list[Standing]:
        """All verdicts that hold, by reviewer and slot."""
        rows = self._all(
            f"SELECT r.name, s.number, s.question_id, s.left_system, s.right_system, s.fingerprint, s.repeat_of, "
            f"{', '.join(f'e.{name}' for name in _COLUMNS)} FROM standing e "
            "JOIN reviewers r ON r.id = e.reviewer JOIN slots s ON s.reviewer = e.reviewer AND s.number = e.slot "
            "WHERE e.kind = 'verdict' ORDER BY r.key, s.number"
        )
        return [Standing(row[0], _slot(row[1:7]), _event(row[7:])) for row in rows]

    def _insert(self, reviewer: Reviewer, event: Event, undoes: int | None) -> None:
        scores = event.score_left, event.score_right
        principles = event.principles_version, event.principles_sha256
        self._connection.execute(
            "INSERT INTO events(uid, reviewer, slot, kind, undoes, choice, score_left, score_right, note, "
            "principles_version, principles_sha256, lang, seconds, at) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                *(event.uid, reviewer.id, event.slot, event.kind, undoes, event.choice, *scores, event.note),
                *(*principles, event.lang, event.seconds, event.at or time.time()),
            ),
        )

    @contextmanager
    def together(self) -> Iterator[None]:
        """One transaction for all that is written in the block, on the disk when it ends."""
        if self._connection.in_transaction:
            yield
            return
        with _told(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def _all(self, sql: str, *values: Any) -> list[Any]:
        with _told(self.path):
            return self._connection.execute(sql, values).fetchall()


def clean_name(name: str) -> str:
    """A reviewer's name as it is kept: NFKC, one space between words. UsageError: it is empty or too long."""
    found = " ".join(unicodedata.normalize("NFKC", name).split())
    if not found or len(found) > NAME_CHARS or not found.isprintable():
        raise UsageError(f"A reviewer's name takes 1 to {NAME_CHARS} letters.")
    return found


def _key(name: str) -> str:
    return clean_name(name).casefold()


def _slot(row: Sequence[Any]) -> Slot:
    number, question_id, left, right, fingerprint, repeat_of = row
    return Slot(
        number=number,
        question_id=question_id,
        left=left,
        right=right,
        fingerprint=fingerprint,
        repeat_of=repeat_of,
    )


def _event(row: Sequence[Any]) -> Event:
    return Event(**dict(zip(_COLUMNS, row, strict=True)))


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")  # WAL with NORMAL would lose the newest commits in a power cut
    if _is_empty(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")  # two programs may come at the same moment
        if _is_empty(connection):
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
        connection.execute("COMMIT")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if owner != APPLICATION_ID or version != FORMAT:
        raise InputError(f"{path} is no file of verdicts of format {FORMAT}; move it away, or name another run.")


def _is_empty(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
            raise InputError(f"{path} is damaged ({error}); restore it, or move it away.") from error
        reason = "the disk is full" if code == sqlite3.SQLITE_FULL else str(error)
        raise EnvironmentFault(
            f"Cannot write {path}: {reason}; check the disk and its permissions, and try again."
        ) from error
