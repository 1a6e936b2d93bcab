"""Rows 3 and 4 for calls to models: kills, Ctrl-C and SIGTERM, seen from the server and from the ledger."""

import multiprocessing
import os
import random
import signal
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from runkit.ledger import Ledger, Totals
from tests.faults.launch import FULL, until
from tests.faults.llm_child import ask, child
from tests.faults.server import Server, mixed, serving
from tests.faults.teaching import PREPARED

pytestmark = pytest.mark.timeout(1800 if FULL else 60)
CALLS, KILLS = (1000, 100) if FULL else (120, 4)
AT_ONCE = 8
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PREPARED)


def start(server: Server, folder: Path, calls: int = CALLS, window: int = 64) -> BaseProcess:
    process = _context.Process(target=child, args=(server.url, str(folder), calls, AT_ONCE, window))
    process.start()
    return process


def code_of(process: BaseProcess) -> int:
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


def ledger_of(folder: Path) -> Totals:
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        return ledger.totals()


def questions(server: Server) -> Counter[str]:
    """Each one that was answered, and how often."""
    return Counter(e.body["messages"][0]["content"] for e in server.log if e.fault in ("ok", "wait"))


def wait_for(server: Server, process: BaseProcess, requests: int) -> None:
    until(lambda: len(server.log) >= requests or not process.is_alive(), "some requests")


def test_kills(tmp_path: Path) -> None:
    """Nothing lost, nothing doubled, nothing that had ended sent again, re-sends within what was in flight."""
    rng = random.Random(3)
    script = mixed(0.1, 4, ("429", "500", "reset"))
    (tmp_path / "whole").mkdir()
    with serving(script=script) as server:
        whole = ask(server.url, tmp_path / "whole", CALLS, AT_ONCE, 64)
    landed = in_flight = 0
    with serving(script=script, latency_s=0.003) as server:
        while True:
            process = start(server, tmp_path)
            if landed < KILLS:
                # At a request, not at a time: the server says when.
                wait_for(server, process, len(server.log) + rng.randint(1, max(2, CALLS // KILLS // 2)))
                process.kill()
            code = code_of(process)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            landed += 1
            until(lambda: server.in_flight == 0, "the server is done with the killed")
            with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
                assert ledger.lost <= AT_ONCE
                in_flight += ledger.lost
        texts = ask(server.url, tmp_path, CALLS, AT_ONCE, 64)
        totals = ledger_of(tmp_path)
        assert texts == whole
        assert totals.calls == {"done": CALLS}
        assert landed == KILLS
        assert totals.attempts.get("lost", 0) == in_flight
        assert totals.resent == in_flight  # each one marked
        asked = questions(server)
        assert len(asked) == CALLS
        assert sum(asked.values()) - CALLS <= in_flight
        seen = len(server.log)
        # A lost attempt may have been killed before its bytes left.
        assert seen <= sum(totals.attempts.values()) <= seen + in_flight


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_drains(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with serving(fault_of=lambda body: "wait") as server:
        process = start(server, tmp_path, 20)
        until(lambda: server.in_flight == AT_ONCE, "calls in flight")
        assert process.pid is not None
        os.kill(process.pid, number)
        until(lambda: "Waiting for 8 calls" in (tmp_path / "err").read_text(), "the signal is understood")
        assert process.is_alive()
        server.release.set()
        assert code_of(process) == code
        assert len(server.log) == AT_ONCE
        totals = ledger_of(tmp_path)
        assert totals.attempts == {"answer": AT_ONCE}
        assert totals.calls["done"] == AT_ONCE
        assert "Traceback" not in (tmp_path / "err").read_text()
        assert len(ask(server.url, tmp_path, 20, AT_ONCE, 64)) == 20
        assert set(questions(server).values()) == {1}


def test_a_second_signal_quits_at_once(tmp_path: Path) -> None:
    with serving(fault_of=lambda body: "wait") as server:
        process = start(server, tmp_path, 20)
        until(lambda: server.in_flight == AT_ONCE, "calls in flight")
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        until(lambda: "Waiting for 8 calls" in (tmp_path / "err").read_text(), "the signal is understood")
        os.kill(process.pid, signal.SIGINT)
        assert code_of(process) == 130  # nobody released the server
        assert not server.release.is_set()
        with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
            assert ledger.totals().attempts == {"lost": AT_ONCE}


def test_the_same_requests_whatever_comes_back_first(tmp_path: Path) -> None:
    """Calls at a time, latency and faults change nothing about what is asked."""
    found = []
    for case, (at_once, script) in enumerate(((1, mixed(0, 1)), (16, mixed(0, 1)), (5, mixed(0.3, 9)))):
        folder = tmp_path / str(case)
        folder.mkdir()
        with serving(script=script) as server:
            texts = ask(server.url, folder, 60, at_once, 7)
            found.append((texts, sorted(questions(server))))
    assert found[0] == found[1] == found[2]
