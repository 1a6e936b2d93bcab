"""Rows 3, 4 and 8 for `judge compare`: killed and interrupted at any moment, it comes to the same verdicts and pays for
no call twice."""

import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from runkit.ledger import Ledger
from tests.faults.judging import CALL_USD, Court, courtroom, outputs, states
from tests.faults.kill import holds_lock
from tests.faults.launch import FULL, Command, until
from tests.faults.server import Entry, mixed
from tests.faults.teaching import at_server, rows, totals

pytestmark = pytest.mark.timeout(3600 if FULL else 300)
# Questions, kills and signals: of 265 questions about 1,000 calls are made, two answers and two verdicts each.
N, KILLS, SIGNALS = (265, 100, 50) if FULL else (25, 3, 2)
AT_ONCE = 8
CODES = {signal.SIGINT: (130, "Interrupted."), signal.SIGTERM: (143, "Terminated.")}
SEEN = ("ok", "wait")


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    with courtroom(latency_s=0.003) as found:
        yield found


@pytest.fixture(scope="module")
def whole(court: Court) -> Path:
    run = court.run(court.folder / "whole", N)
    found = states(run)
    assert found["ok"] and found["invalid"] and found["identical"]
    assert found.total() == 2 * N - found["identical"]
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


def kill_once(court: Court, command: Command, rng: random.Random) -> None:
    """At a request, as the server sees it; in full one in four at any moment, from the start of the process on."""
    if FULL and rng.random() < 0.25:
        command.ended(rng.uniform(0, 4.0))
    else:
        seen = len(court.server.log) + rng.randint(1, 20)
        until(lambda: len(court.server.log) >= seen or command.ended(0), "some requests")
    command.send(signal.SIGKILL)


def killed(court: Court, run: Path, *words: str, kills: int, seed: int, ends: int = 0) -> tuple[int, int]:
    """Start, kill, start again, until so many kills have landed and it ends; returns kills and calls in flight then."""
    rng = random.Random(seed)
    landed = in_flight = 0
    while True:
        command = court.start(run, N, "--concurrency", str(AT_ONCE), *words)
        if landed < kills:
            kill_once(court, command, rng)
        ended = command.result()
        if ended.code == ends:
            return landed, in_flight
        assert ended.code == -signal.SIGKILL, ended.err
        landed += 1
        until(lambda: court.server.in_flight == 0, "the server is done with the killed")
        if (run / "ledger.sqlite").is_file():
            with Ledger.open(run / "ledger.sqlite") as ledger:
                assert ledger.lost <= AT_ONCE
                in_flight += ledger.lost


def test_kills(court: Court, whole: Path) -> None:
    run = court.folder / "killed"
    before = len(court.server.log)
    landed, in_flight = killed(court, run, kills=KILLS, seed=3)
    assert landed == KILLS
    assert outputs(run) == outputs(whole)
    assert calls(run) == calls(whole)  # none lost, none doubled
    found = totals(run)
    assert set(found.calls) == {"done"}
    assert sent_again(run) == 0
    assert found.attempts.get("lost", 0) == found.resent == in_flight  # each one marked
    seen = answered(court.server.log[before:])
    assert len(seen) == found.calls["done"]
    assert seen.total() - len(seen) <= in_flight
    attempts = sum(found.attempts.values())
    assert seen.total() <= attempts <= seen.total() + in_flight  # a lost one may have been killed before it left
    print(f"\n{landed} of {KILLS} kills, {len(seen)} calls, {in_flight} in flight and sent again")


def test_faults_and_kills(court: Court, whole: Path) -> None:
    """A provider on a bad day: 30 % faults, and the command is killed again and again."""
    run = court.folder / "both"
    before = len(court.server.log)
    court.server.script = mixed(0.3, 11)
    try:
        landed, in_flight = killed(court, run, kills=20 if FULL else 2, seed=8)
    finally:
        court.server.script = lambda number: "ok"
    assert outputs(run) == outputs(whole)
    assert calls(run) == calls(whole)
    found = totals(run)
    assert sent_again(run) == 0
    assert found.attempts.get("lost", 0) == found.resent == in_flight
    entries = court.server.log[before:]
    assert sum(found.attempts.values()) - in_flight <= len(entries) <= sum(found.attempts.values())
    faults = sum(entry.fault not in SEEN for entry in entries)
    print(f"\n{landed} kills, {len(entries)} requests, {faults} faults, {in_flight} in flight and sent again")


def test_a_budget_through_faults_and_kills(court: Court, whole: Path) -> None:
    """What the server delivered never costs more than the budget, whatever was lost on the way."""
    run = court.folder / "budget"
    before = len(court.server.log)
    # Less than the calls cost: every one of them is reserved with 2,048 tokens of answer, 0.04 USD.
    budget = (totals(whole).calls["done"] - 3) * CALL_USD
    court.server.script = mixed(0.2, 4, ("500", "no_usage", "429:0.01"))
    try:
        landed, _ = killed(court, run, "--budget", f"{budget:.4f}", kills=20 if FULL else 2, seed=5, ends=5)
    finally:
        court.server.script = lambda number: "ok"
    assert landed
    found = totals(run)
    delivered = sum(entry.fault in ("ok", "no_usage") for entry in court.server.log[before:])
    assert delivered * CALL_USD <= found.spent_usd <= budget
    court.run(run, N)
    assert outputs(run) == outputs(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_at_random_moments(court: Court, whole: Path, number: signal.Signals) -> None:
    """To the whole group, as a terminal sends it: what is in flight is waited for, and nothing is sent twice."""
    rng = random.Random(number)
    code, word = CODES[number]
    landed = rounds = 0
    while landed < SIGNALS:
        run = court.folder / f"signal-{number}-{rounds}"
        rounds += 1
        before = len(court.server.log)
        while True:
            command = court.start(run, N, "--concurrency", str(AT_ONCE))
            until(lambda run=run, command=command: holds_lock(command, run) or command.ended(0), "the run begins")
            seen = len(court.server.log) + rng.randint(1, 4 * AT_ONCE)
            until(lambda command=command, seen=seen: len(court.server.log) >= seen or command.ended(0), "some requests")
            if landed < SIGNALS and not command.ended(0):
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
        assert set(answered(court.server.log[before:]).values()) == {1}
        assert at_server(found) == len(court.server.log) - before


def test_a_second_signal_quits_at_once(court: Court) -> None:
    """The first one waits for the calls in flight and says so."""
    run = court.folder / "twice"
    court.server.release.clear()
    court.server.fault_of = lambda body: "wait"
    try:
        command = court.start(run, N, "--concurrency", str(AT_ONCE))
        until(lambda: court.server.in_flight == AT_ONCE or command.ended(0), "calls in flight")
        command.send(signal.SIGINT)
        until(lambda: f"Waiting for {AT_ONCE} calls" in command.said() or command.ended(0), "the signal is understood")
        command.send(signal.SIGINT)
        ended = command.result(timeout_s=20)
        assert ended.code == 130, ended.err
        assert "Traceback" not in ended.err
    finally:
        court.server.release.set()
        court.server.fault_of = None
    assert totals(run).attempts == {"lost": AT_ONCE}


def test_interrupted_among_the_verdicts_it_leaves_those_it_has(court: Court, whole: Path) -> None:
    """The report of half a run says what is known, and the same command goes on."""
    run = court.folder / "half"
    answers = 2 * N
    wanted = len(court.server.log) + answers + 12
    command = court.start(run, N, "--concurrency", "1")
    until(lambda: len(court.server.log) >= wanted or command.ended(0), "verdicts")
    command.send(signal.SIGINT)
    ended = command.result()
    assert ended.code == 130, ended.err
    some, all_of_them = rows(run, "verdicts.jsonl"), rows(whole, "verdicts.jsonl")
    assert 0 < len(some) < len(all_of_them)
    assert [row for row in some if row["state"] != "identical"] == [
        row for row in all_of_them if row["state"] != "identical"
    ][: sum(row["state"] != "identical" for row in some)]
    court.run(run, N)
    assert outputs(run) == outputs(whole)
