"""Row 19: of many starts in one directory exactly one runs, and a dead holder's lock holds nobody up."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.faults.kill import assert_same
from tests.faults.launch import FAST, FULL, SHARDS, clean, start, until

pytestmark = pytest.mark.timeout(600 if FULL else 120)
STARTS = 20 if FULL else 6


def test_racing_starts(tmp_path: Path, dump: Path, expected: dict[str, str]) -> None:
    """The winner is halted while it holds the lock, so that it cannot be done before the last one tries."""
    out = tmp_path / "run"
    words = ["clean", dump, "--out", out, *FAST, *SHARDS]
    commands = [start(words, tmp_path / "streams") for _ in range(STARTS)]
    lock = out / ".lock"
    until(lambda: lock.is_file() and re.match(r"process \d+ on", lock.read_text()), "somebody holds the lock")
    holder = int(lock.read_text().split()[1])
    os.killpg(holder, signal.SIGSTOP)
    losers = [command for command in commands if command.pid != holder]
    assert len(losers) == STARTS - 1
    for command in losers:
        ended = command.result()
        assert (ended.code, ended.out) == (4, "")
        assert f"{out} is in use by process {holder} on" in ended.err
        assert len(ended.err.strip().splitlines()) == 1
    os.killpg(holder, signal.SIGCONT)
    [winner] = [command for command in commands if command.pid == holder]
    assert winner.result().code == 0
    assert_same(out, expected)


def test_a_stale_lock_is_taken_over(tmp_path: Path, dump: Path, expected: dict[str, str]) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / ".lock").write_text("process 1 on another-host\n")
    clean([dump], out, *SHARDS)
    assert_same(out, expected)
