"""The ledger: what is on the disk when a call returns, what a kill leaves, and sums that match plain arithmetic."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from runkit.errors import EnvironmentFault, InputError
from runkit.ledger import Ended, Ledger, _fault_of

URL, MODEL = "http://127.0.0.1:1/v1", "m"


async def one(ledger: Ledger, key: str, usd: float = 1.0, cost: float | None = 0.25) -> None:
    call = ledger.plan(key, URL, MODEL, b"{}")
    attempt = ledger.reserve(call, usd, None)
    assert attempt is not None
    await ledger.send(call, attempt)
    ledger.settle(attempt, "answer", cost, 200)
    await ledger.end(key, Ended("done", b'{"a":1}', "stop", 10, 5))


def test_a_call_is_found_again_with_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        asyncio.run(one(ledger, "k1"))
        found = ledger.find("k1")
        assert found is not None
        assert (found.state, found.reply, found.finish_reason) == ("done", b'{"a":1}', "stop")
        assert (found.prompt_tokens, found.completion_tokens, found.cost_usd) == (10, 5, 0.25)
        assert ledger.find("k2") is None
    with Ledger.open(path) as ledger:
        assert ledger.find("k1") == found
        assert ledger.lost == 0


def test_sums(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> None:
        await asyncio.gather(*(one(ledger, f"k{i}", 2.0, None if i % 4 == 0 else 0.5) for i in range(40)))

    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        asyncio.run(work(ledger))
        totals = ledger.totals()
        assert totals.calls == {"done": 40}
        assert totals.attempts == {"answer": 40}
        assert (totals.prompt_tokens, totals.completion_tokens) == (400, 200)
        assert totals.spent_usd == pytest.approx(10 * 2.0 + 30 * 0.5)
        assert ledger.spent_usd == ledger.committed_usd == pytest.approx(totals.spent_usd)


def test_a_reservation_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        call = ledger.plan("k", URL, MODEL, b"{}")
        first = ledger.reserve(call, 0.6, 1.0)
        assert first is not None
        assert ledger.reserve(call, 0.6, 1.0) is None
        assert ledger.committed_usd == 0.6
        ledger.settle(first, "answer", 0.1)
        assert ledger.reserve(call, 0.6, 1.0) is not None


# Sends one call and dies with its request in the air; the parent looks at the file.
_DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from runkit.ledger import Ledger
async def work(ledger):
    call = ledger.plan("flying", "u", "m", b"{}")
    attempt = ledger.reserve(call, 0.5, None)
    print(await ledger.send(call, attempt), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
with Ledger.open(Path(sys.argv[1])) as ledger:
    asyncio.run(work(ledger))
"""


def test_what_was_in_flight_at_a_kill_is_lost_paid_for_and_sent_again_marked(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    root = Path(__file__).parents[2]
    for start in (1, 2):
        done = subprocess.run(
            [sys.executable, "-c", _DIES, str(path)],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
            env=os.environ | {"PYTHONPATH": str(root)},
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert done.stdout.strip() == str(start == 2)  # the second start repeats what the first had lost
    with Ledger.open(path) as ledger:
        assert ledger.lost == 1
        assert ledger.spent_usd == 1.0  # both reservations
        assert ledger.totals().attempts == {"lost": 2}
        assert ledger.totals().resent == 1
        found = ledger.find("flying")
        assert found is not None
        assert found.state == "sent"


def test_a_settled_retry_is_no_repetition(tmp_path: Path) -> None:
    async def work(ledger: Ledger) -> list[bool]:
        call = ledger.plan("k", URL, MODEL, b"{}")
        resent = []
        for outcome in ("http_500", "answer"):
            attempt = ledger.reserve(call, 0.0, None)
            assert attempt is not None
            resent.append(await ledger.send(call, attempt))
            ledger.settle(attempt, outcome, 0.0)
        return resent

    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert asyncio.run(work(ledger)) == [False, False]
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.totals().attempts == {"http_500": 1, "answer": 1}  # noted without a commit, kept at the end


def test_it_is_written_through(tmp_path: Path) -> None:
    """FULL, or a power cut takes the newest commits of a WAL."""
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        for connection in (ledger._writer, ledger._reader):
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert ledger._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at " * 50)
    with pytest.raises(InputError, match="damaged"), Ledger.open(path):
        pass
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE calls(a)")
    connection.close()
    with pytest.raises(InputError, match="no ledger"), Ledger.open(other):
        pass
    with pytest.raises(EnvironmentFault, match="Cannot write the ledger"), Ledger.open(tmp_path / "no" / "folder"):
        pass


def test_damage_that_is_found_later_is_told_in_a_sentence(tmp_path: Path) -> None:
    """SQLite opens a file whose pages are damaged behind the first ones."""
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        for number in range(30):
            asyncio.run(one(ledger, f"key {number}"))
    data = bytearray(path.read_bytes())
    for page in range(2 * 4096, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(InputError, match="is damaged"), Ledger.open(path) as ledger:
        for number in range(30):
            ledger.find(f"key {number}")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_FULL, "no space left on device"),
        (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error"),
        (sqlite3.SQLITE_READONLY, "check the disk, its permissions"),
    ],
)
def test_what_a_disk_says(tmp_path: Path, code: int, words: str) -> None:
    error = sqlite3.OperationalError("disk I/O error" if code == sqlite3.SQLITE_IOERR_WRITE else "no")
    error.sqlite_errorcode = code
    found = _fault_of(tmp_path / "ledger.sqlite", error, 1234)
    assert isinstance(found, EnvironmentFault) and words in str(found)
    assert ("1,234 bytes to write" in str(found)) == (code == sqlite3.SQLITE_FULL)
