"""Row 4 for `corpus clean`: Ctrl-C and SIGTERM end it cleanly; the same command goes on."""

import random
import signal
from pathlib import Path

import pytest

from runkit.files import is_temp
from tests.faults.kill import assert_same, holds_lock
from tests.faults.launch import FAST, FULL, SHARDS, Command, start, until

pytestmark = pytest.mark.timeout(3600 if FULL else 120)
TIMES = 50 if FULL else 2
CODES = {signal.SIGINT: (130, "Interrupted."), signal.SIGTERM: (143, "Terminated.")}


def begin(dump: Path, out: Path) -> Command:
    command = start(["clean", dump, "--out", out, *FAST, *SHARDS, "--workers", "2"], out.parent / "streams")
    until(lambda: holds_lock(command, out) or command.ended(0), "the run begins")
    return command


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_at_random_moments(
    tmp_path: Path, dump: Path, expected: dict[str, str], number: signal.Signals
) -> None:
    """The signal goes to the whole group, as a terminal sends it."""
    rng = random.Random(number)
    code, word = CODES[number]
    landed = rounds = 0
    while landed < TIMES:
        out = tmp_path / f"run-{rounds}"
        rounds += 1
        while True:
            command = begin(dump, out)
            if landed < TIMES and not command.ended(rng.uniform(0, 0.5)):
                command.send(number)
            ended = command.result()
            if ended.code == 0 or (ended.code == -number and "Report: " in ended.err):
                break  # done; the signal may have come behind the last word, while Python leaves
            assert (ended.code, ended.out) == (code, ""), ended.err
            assert ended.err.strip().splitlines()[-1] == word, ended.err
            assert "Traceback" not in ended.err, ended.err
            assert not [file for file in out.rglob("*") if is_temp(file.name)]
            landed += 1
        assert_same(out, expected)


def test_a_second_interrupt_quits_at_once(tmp_path: Path, dump: Path, expected: dict[str, str]) -> None:
    out = tmp_path / "run"
    command = begin(dump, out)
    until(lambda: any(out.glob("marks/work-*.json")) or command.ended(0), "a first mark")
    command.send(signal.SIGINT)
    command.send(signal.SIGINT)
    assert command.result(timeout_s=10).code in (130, -signal.SIGINT)
    assert begin(dump, out).result().code == 0
    assert_same(out, expected)
