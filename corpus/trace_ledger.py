"""Model calls in the ledgers of runs, read without touching them.

In: runs with a ledger.sqlite, keys of calls or the beginnings of texts. Out: what was asked of whom, how it ended and
what it cost. A ledger whose last start was killed is read with its write-ahead log; else as a file that nobody
writes. Price: a search by text reads all requests, 1 s a GB.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson
import polars as pl

from corpus.runs_found import Run
from runkit.ledger import APPLICATION_ID, LEDGER

SCHEMA: Final[dict[str, Any]] = {
    "file": pl.String,
    "call_id": pl.String,
    "url": pl.String,
    "model": pl.String,
    "state": pl.String,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "cost_usd": pl.Float64,
    "ended_at": pl.Float64,
}
_COLUMNS: Final = "key, url, model, state, prompt_tokens, completion_tokens, cost_usd, ended_at"
_AT_ONCE: Final = 500
SNIPPET: Final = 40  # characters of a text that are looked for


@contextmanager
def _opened(run: Run) -> Iterator[sqlite3.Connection | None]:
    file = run.path / LEDGER
    connection: sqlite3.Connection | None = None
    with suppress(sqlite3.Error, OSError):
        if file.is_file():
            frozen = "" if Path(f"{file}-wal").exists() else "&immutable=1"
            connection = sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro{frozen}", uri=True)
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                connection.close()
                connection = None
    if connection is None:
        yield None
        return
    with closing(connection):
        yield connection


def calls_by_key(run: Run, keys: Collection[str]) -> pl.DataFrame:
    """The calls with these keys."""
    rows: list[tuple[Any, ...]] = []
    wanted = sorted(keys)
    with _opened(run) as connection, suppress(sqlite3.Error):
        for start in range(0, len(wanted) if connection is not None else 0, _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            assert connection is not None
            rows += connection.execute(f"SELECT {_COLUMNS} FROM calls WHERE key IN ({marks}) ORDER BY id", some)
    return _table(rows)


def calls_with(run: Run, texts: Sequence[str]) -> pl.DataFrame:
    """The calls whose requests hold the beginning of one of these texts."""
    rows: dict[str, tuple[Any, ...]] = {}
    with _opened(run) as connection, suppress(sqlite3.Error):
        for text in texts if connection is not None else ():
            beginning = text.strip()[:SNIPPET]
            if len(beginning) < SNIPPET // 2:
                continue
            needle = orjson.dumps(beginning)[1:-1]
            assert connection is not None
            found = connection.execute(f"SELECT {_COLUMNS} FROM calls WHERE instr(request, ?) ORDER BY id", (needle,))
            rows |= {row[0]: row for row in found}
    return _table(list(rows.values()))


def _table(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame([(LEDGER, *row) for row in rows], schema=SCHEMA, orient="row", strict=False)
