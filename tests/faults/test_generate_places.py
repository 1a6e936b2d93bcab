"""Rows 11, 19, 23 and 26 for `selfinstruct generate`: full disks, two starts in one directory, keys, hash seeds."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.checks import Resize, assert_full
from tests.faults.launch import FULL, Setup, until
from tests.faults.teaching import MODULE, SEEDS, School, outputs, rows, school, totals

pytestmark = pytest.mark.timeout(900 if FULL else 120)
N = 60
STARTS = 20 if FULL else 4
CANARY = "sk-canary-3c1d9f8e7d6c5b4a"
HASH_SEEDS = ("0", "1", "2") if FULL else ("1",)


@pytest.fixture(scope="module")
def lesson() -> Iterator[School]:
    with school() as found:
        yield found


@pytest.fixture(scope="module")
def whole(lesson: School) -> Path:
    return lesson.run(lesson.folder / "whole", N)


@pytest.mark.parametrize("file_bytes", [3_000, 60_000, 150_000])
def test_files_that_may_not_grow(lesson: School, whole: Path, file_bytes: int) -> None:
    """Whatever the first file above the limit is: the ledger, the items or the report."""
    run = lesson.folder / f"limited-{file_bytes}"
    before = len(lesson.server.log)
    limited = Setup(module=MODULE.module, file_bytes=file_bytes)
    assert_full(lesson.start(run, N, setup=limited).result(), run)
    kept = (run / "instructions.jsonl").read_bytes() if (run / "instructions.jsonl").is_file() else b""
    assert (whole / "instructions.jsonl").read_bytes().startswith(kept.rpartition(b"\n")[0])
    assert lesson.start(run, N).result().code == 0
    assert outputs(run) == outputs(whole)
    paid = sum(entry.fault == "ok" for entry in lesson.server.log[before:])
    # What was answered and could not be written is asked again: no more than was in flight.
    assert paid <= totals(whole).attempts["answer"] + 8


@pytest.mark.parametrize("size", ["100k", "400k"])
def test_a_small_disk(lesson: School, whole: Path, small_disk: Resize, size: str) -> None:
    run = small_disk(size) / "run"
    assert_full(lesson.start(run, N).result(), run)
    small_disk("64m")
    assert lesson.start(run, N).result().code == 0
    assert outputs(run) == outputs(whole)


def test_racing_starts(lesson: School, whole: Path) -> None:
    """The winner is halted while it waits for first replies, so that it cannot be done before the last one tries."""
    run = lesson.folder / "raced"
    lesson.server.latency_s = 0.5
    commands = [lesson.start(run, N) for _ in range(STARTS)]
    lock = run / ".lock"
    until(lambda: lock.is_file() and re.match(r"process \d+ on", lock.read_text()), "somebody holds the lock")
    holder = int(lock.read_text().split()[1])
    os.killpg(holder, signal.SIGSTOP)
    lesson.server.latency_s = 0.0
    for command in commands:
        if command.pid != holder:
            ended = command.result()
            assert (ended.code, ended.out) == (4, "")
            assert f"{run} is in use by process {holder} on" in ended.err
            assert len(ended.err.strip().splitlines()) == 1
    os.killpg(holder, signal.SIGCONT)
    [winner] = [command for command in commands if command.pid == holder]
    assert winner.result().code == 0
    assert outputs(run) == outputs(whole)
    assert set(totals(run).attempts) == {"answer"}


def test_the_key_is_nowhere_but_on_the_wire(lesson: School) -> None:
    """At -vv, with faults, by the environment; the endpoint repeats it in its last error."""
    run = lesson.folder / "canary"
    env = (("OPENAI_API_KEY", CANARY), ("OPENAI_BASE_URL", lesson.server.url), ("OPENAI_ORG_ID", "org-private"))
    faults = ("ok", "reset", "500", "bad_json", "ok", "content", "wait", "echo_key")
    before = len(lesson.server.log)
    lesson.server.script = lambda number: faults[min(number - before, len(faults) - 1)]
    lesson.server.release.clear()
    try:
        words = ("--model", "loop", "--concurrency", "1", "-vv", "--json", "--models", lesson.folder / "none.yaml")
        (lesson.folder / "none.yaml").write_text("{}", "utf-8")
        command = lesson.start(run, N, *words, setup=Setup(real=True, module=MODULE.module, env=env))
        until(lambda: any(one.fault == "wait" for one in lesson.server.log) or command.ended(0), "a call in flight")
        listed = b"".join(
            file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.parent.name != str(os.getpid())
        )
        lesson.server.release.set()
        ended = command.result()
    finally:
        lesson.server.release.set()
        lesson.server.script = lambda number: "ok"
    assert ended.code == 5, ended.err
    assert "refused the key in OPENAI_API_KEY" in ended.err and "Traceback" in ended.err and "***" in ended.err
    assert {entry.authorization for entry in lesson.server.log[before:]} == {f"Bearer {CANARY}"}
    assert "org-private" not in str([entry.headers for entry in lesson.server.log[before:]])
    files = [file for file in run.rglob("*") if file.is_file()]
    assert {"ledger.sqlite", "manifest.json", "summary.json", "calls.json", "report.html"} <= {f.name for f in files}
    for place in (ended.out.encode(), ended.err.encode(), listed, *(file.read_bytes() for file in files)):
        assert CANARY.encode() not in place
    found = totals(run).calls
    assert (found["done"], found["failed"]) == (3, 1)


@pytest.mark.parametrize("hash_seed", HASH_SEEDS)
def test_hash_seeds(lesson: School, whole: Path, hash_seed: str) -> None:
    run = lesson.folder / f"hash-{hash_seed}"
    setup = Setup(module=MODULE.module, env=(("PYTHONHASHSEED", hash_seed),))
    assert lesson.start(run, N, "--concurrency", "3", setup=setup).result().code == 0
    assert outputs(run) == outputs(whole)
    assert len(rows(run)) == N and SEEDS.is_file()
