"""Rows 3, 4 and 8 for `selfinstruct generate`: killed and interrupted at any moment, it comes to the same set and pays
for no call twice."""

import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from runkit.ledger import Ledger
from tests.faults.kill import holds_lock
from tests.faults.launch import FULL, Command, until
from tests.faults.server import Entry, mixed
from tests.faults.teaching import CALL_USD, School, at_server, outputs, rows, school, totals

pytestmark = pytest.mark.timeout(3600 if FULL else 120)
# Items, kills and signals: 3,400 items are about 1,000 calls.
N, KILLS, SIGNALS = (3400, 100, 50) if FULL else (100, 3, 2)
AT_ONCE = 8
CODES = {signal.SIGINT: (130, "Interrupted."), signal.SIGTERM: (143, "Terminated.")}
SEEN = ("ok", "wait")


@pytest.fixture(scope="module")
def lesson() -> Iterator[School]:
    with school(latency_s=0.003) as found:
        yield found


@pytest.fixture(scope="module")
def whole(lesson: School) -> Path:
    run = lesson.run(lesson.folder / "whole", N)
    assert len(rows(run)) == N
    return run


def calls(run: Path) -> dict[str, str]:
    """The key of each call and its state."""
    with sqlite3.connect(run / "ledger.sqlite") as ledger:
        return dict(ledger.execute("SELECT key, state FROM calls"))


def sent_again(run: Path) -> int:
    """Attempts behind one that was answered."""
    with sqlite3.connect(run / "ledger.sqlite") as ledger:
        (count,) = ledger.execute(
            "SELECT count(*) FROM attempts a JOIN attempts b ON a.call = b.call AND a.id > b.id "
            "WHERE b.outcome = 'answer'"
        ).fetchone()
    return int(count)


def answered(entries: list[Entry]) -> Counter[bytes]:
    """Each request that the server answered well, and how often."""
    return Counter(orjson.dumps(entry.body, option=orjson.OPT_SORT_KEYS) for entry in entries if entry.fault in SEEN)


def kill_once(lesson: School, command: Command, run: Path, rng: random.Random) -> None:
    """At a request, as the server sees it; in full one in four at any moment, from the start of the process on.

    The small run has few calls, and a quick machine makes them all in the time that a random moment would wait.
    """
    if FULL and rng.random() < 0.25:
        command.ended(rng.uniform(0, 4.0))
    else:
        seen = len(lesson.server.log) + rng.randint(1, 20 if FULL else 3)
        until(lambda: len(lesson.server.log) >= seen or command.ended(0), "some requests")
    command.send(signal.SIGKILL)


def killed(lesson: School, run: Path, *words: str, kills: int, seed: int, ends: int = 0) -> tuple[int, int]:
    """Start, kill, start again, until so many kills have landed and it ends; returns kills and calls in flight then."""
    rng = random.Random(seed)
    landed = in_flight = 0
    while True:
        command = lesson.start(run, N, "--concurrency", str(AT_ONCE), *words)
        if landed < kills:
            kill_once(lesson, command, run, rng)
        ended = command.result()
        if ended.code == ends:
            return landed, in_flight
        assert ended.code == -signal.SIGKILL, ended.err
        landed += 1
        until(lambda: lesson.server.in_flight == 0, "the server is done with the killed")
        if (run / "ledger.sqlite").is_file():
            with Ledger.open(run / "ledger.sqlite") as ledger:
                assert ledger.lost <= AT_ONCE
                in_flight += ledger.lost


def test_kills(lesson: School, whole: Path) -> None:
    run = lesson.folder / "killed"
    before = len(lesson.server.log)
    landed, in_flight = killed(lesson, run, kills=KILLS, seed=3)
    assert landed == KILLS
    assert outputs(run) == outputs(whole)
    assert calls(run) == calls(whole)  # none lost, none doubled
    found = totals(run)
    assert set(found.calls) == {"done"}
    assert sent_again(run) == 0
    assert found.attempts.get("lost", 0) == found.resent == in_flight  # each one marked
    seen = answered(lesson.server.log[before:])
    assert len(seen) == found.calls["done"]
    assert seen.total() - len(seen) <= in_flight
    attempts = sum(found.attempts.values())
    assert seen.total() <= attempts <= seen.total() + in_flight  # a lost one may have been killed before it left
    print(f"\n{landed} of {KILLS} kills, {len(seen)} calls, {in_flight} in flight and sent again")


def test_faults_and_kills(lesson: School, whole: Path) -> None:
    """A provider on a bad day: 30 % faults, and the command is killed again and again."""
    run = lesson.folder / "both"
    before = len(lesson.server.log)
    lesson.server.script = mixed(0.3, 11)
    try:
        landed, in_flight = killed(lesson, run, kills=20 if FULL else 2, seed=8)
    finally:
        lesson.server.script = lambda number: "ok"
    assert outputs(run) == outputs(whole)
    assert calls(run) == calls(whole)
    found = totals(run)
    assert sent_again(run) == 0
    assert found.attempts.get("lost", 0) == found.resent == in_flight
    entries = lesson.server.log[before:]
    assert sum(found.attempts.values()) - in_flight <= len(entries) <= sum(found.attempts.values())
    faults = sum(entry.fault not in SEEN for entry in entries)
    print(f"\n{landed} kills, {len(entries)} requests, {faults} faults, {in_flight} in flight and sent again")


def test_a_budget_through_faults_and_kills(lesson: School, whole: Path) -> None:
    """What the server delivered never costs more than the budget, whatever was lost on the way."""
    run = lesson.folder / "budget"
    before = len(lesson.server.log)
    budget = 9.0 if FULL else 0.85  # USD: most of it goes for what is lost or comes without usage
    lesson.server.script = mixed(0.2, 4, ("500", "reset", "no_usage", "429:0.01"))
    try:
        landed, _ = killed(lesson, run, "--budget", f"{budget:.4f}", kills=20 if FULL else 2, seed=5, ends=5)
    finally:
        lesson.server.script = lambda number: "ok"
    assert landed
    found = totals(run)
    delivered = sum(entry.fault in ("ok", "no_usage") for entry in lesson.server.log[before:])
    assert delivered * CALL_USD <= found.spent_usd <= budget
    lesson.run(run, N)
    assert outputs(run) == outputs(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_at_random_moments(lesson: School, whole: Path, number: signal.Signals) -> None:
    """To the whole group, as a terminal sends it: what is in flight is waited for, and nothing is sent twice."""
    rng = random.Random(number)
    code, word = CODES[number]
    landed = rounds = 0
    while landed < SIGNALS:
        run = lesson.folder / f"signal-{number}-{rounds}"
        rounds += 1
        before = len(lesson.server.log)
        while True:
            command = lesson.start(run, N, "--concurrency", str(AT_ONCE))
            until(lambda run=run, command=command: holds_lock(command, run) or command.ended(0), "the run begins")
            if landed < SIGNALS and not command.ended(rng.uniform(0, 6.0 if FULL else 0.4)):
                command.send(number)
            ended = command.result()
            if ended.code == 0 or (ended.code == -number and "Report: " in ended.err):
                break
            assert (ended.code, ended.out) == (code, ""), ended.err
            assert ended.err.strip().splitlines()[-1] == word
            assert "Traceback" not in ended.err
            landed += 1
        assert outputs(run) == outputs(whole)
        found = totals(run)
        assert "lost" not in found.attempts and found.resent == 0
        assert set(answered(lesson.server.log[before:]).values()) == {1}
        assert at_server(found) == len(lesson.server.log) - before


def test_a_second_signal_quits_at_once(lesson: School) -> None:
    """The first one waits for the calls in flight and says so; the report is there all the same."""
    run = lesson.folder / "twice"
    lesson.server.release.clear()
    lesson.server.fault_of = lambda body: "wait"
    try:
        command = lesson.start(run, N, "--concurrency", str(AT_ONCE), "-s", "structured=on")
        until(lambda: lesson.server.in_flight == AT_ONCE or command.ended(0), "calls in flight")
        command.send(signal.SIGINT)
        until(lambda: f"Waiting for {AT_ONCE} calls" in command.said() or command.ended(0), "the signal is understood")
        command.send(signal.SIGINT)
        ended = command.result(timeout_s=20)
        assert ended.code == 130, ended.err
        assert "Traceback" not in ended.err
    finally:
        lesson.server.release.set()
        lesson.server.fault_of = None
    assert totals(run).attempts == {"lost": AT_ONCE}
    assert (run / "report.html").is_file()


def test_interrupted_while_it_waits_for_a_limit() -> None:
    """A Retry-After of two minutes keeps nobody waiting."""
    with school(script=lambda number: "429:120") as lesson:
        command = lesson.start(lesson.folder / "run", 12)
        try:
            assert not command.ended(0)
            until(lambda: len(lesson.server.log) >= 1 and lesson.server.in_flight == 0, "a refusal")
            command.send(signal.SIGINT)
            ended = command.result(timeout_s=20)
        finally:
            command.send(signal.SIGKILL)
    assert ended.code == 130, ended.err
    assert ended.err.strip().splitlines()[-1] == "Interrupted."
