"""Rows 11, 19, 23 and 26 for `judge compare`: full disks, two starts in one directory, keys, hash seeds, served
checkpoints that go with their parent."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from judge.cli import app
from runkit.console import run_app
from tests.faults.checks import Resize, assert_full
from tests.faults.judge_server import nonce_of
from tests.faults.judging import MODULE, Court, courtroom, outputs, states
from tests.faults.launch import FULL, Setup, start, until
from tests.faults.teaching import rows, totals
from tests.train.making import small_model
from tests.train.serving import saved_model
from train.tokenizer import load

pytestmark = pytest.mark.timeout(900 if FULL else 300)
N = 20
STARTS = 20 if FULL else 4
CANARY = "sk-canary-3c1d9f8e7d6c5b4a"
HASH_SEEDS = ("0", "1", "2") if FULL else ("1",)


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    with courtroom() as found:
        yield found


@pytest.fixture(scope="module")
def whole(court: Court) -> Path:
    return court.run(court.folder / "whole", N)


@pytest.mark.parametrize("file_bytes", [3_000, 60_000, 150_000])
def test_files_that_may_not_grow(court: Court, whole: Path, file_bytes: int) -> None:
    """Whatever the first file above the limit is: the ledger, the verdicts or the report."""
    run = court.folder / f"limited-{file_bytes}"
    before = len(court.server.log)
    limited = Setup(module=MODULE.module, file_bytes=file_bytes)
    assert_full(court.start(run, N, setup=limited).result(), run)
    assert court.start(run, N).result().code == 0
    assert outputs(run) == outputs(whole)
    paid = sum(entry.fault == "ok" for entry in court.server.log[before:])
    # What was answered and could not be written is asked again: no more than was in flight.
    assert paid <= totals(whole).attempts["answer"] + 8


@pytest.mark.parametrize("size", ["100k", "400k"])
def test_a_small_disk(court: Court, whole: Path, small_disk: Resize, size: str) -> None:
    run = small_disk(size) / "run"
    assert_full(court.start(run, N).result(), run)
    small_disk("64m")
    assert court.start(run, N).result().code == 0
    assert outputs(run) == outputs(whole)


def test_racing_starts(court: Court, whole: Path) -> None:
    """The winner is halted while it waits for first replies, so that it cannot be done before the last one tries."""
    run = court.folder / "raced"
    court.server.latency_s = 0.5
    commands = [court.start(run, N) for _ in range(STARTS)]
    lock = run / ".lock"
    until(lambda: lock.is_file() and re.match(r"process \d+ on", lock.read_text()), "somebody holds the lock")
    holder = int(lock.read_text().split()[1])
    os.killpg(holder, signal.SIGSTOP)
    court.server.latency_s = 0.0
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


def test_the_key_is_nowhere_but_on_the_wire(court: Court) -> None:
    """At -vv, with faults, by the environment; the endpoint repeats it in its last error, to a judge's request."""
    run = court.folder / "canary"
    env = (("OPENAI_API_KEY", CANARY), ("OPENAI_BASE_URL", court.server.url), ("OPENAI_ORG_ID", "org-private"))
    faults = ("ok", "reset", "500", "bad_json", "ok", "content", "wait", *["ok"] * (2 * N - 2), "echo_key")
    before = len(court.server.log)
    court.server.script = lambda number: faults[min(number - before, len(faults) - 1)]
    court.server.release.clear()
    try:
        words = ("--concurrency", "1", "-vv", "--json", "--models", court.folder / "none.yaml")
        (court.folder / "none.yaml").write_text("{}", "utf-8")
        command = court.start(run, N, *words, setup=Setup(real=True, module=MODULE.module, env=env))
        until(lambda: any(one.fault == "wait" for one in court.server.log) or command.ended(0), "a call in flight")
        listed = b"".join(
            file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.parent.name != str(os.getpid())
        )
        court.server.release.set()
        ended = command.result()
    finally:
        court.server.release.set()
        court.server.script = lambda number: "ok"
    assert ended.code == 5, ended.err
    assert "refused the key in OPENAI_API_KEY" in ended.err and "Traceback" in ended.err and "***" in ended.err
    assert nonce_of(court.server.log[-1].body)
    assert {entry.authorization for entry in court.server.log[before:]} == {f"Bearer {CANARY}"}
    assert "org-private" not in str([entry.headers for entry in court.server.log[before:]])
    files = [file for file in run.rglob("*") if file.is_file()]
    names = {"ledger.sqlite", "manifest.json", "summary.json", "calls.json", "report.html", "verdicts.jsonl"}
    assert names <= {file.name for file in files}
    for place in (ended.out.encode(), ended.err.encode(), listed, *(file.read_bytes() for file in files)):
        assert CANARY.encode() not in place
    assert run_app(app, ["report", str(run), "--json"]) == 0


@pytest.mark.parametrize("hash_seed", HASH_SEEDS)
def test_hash_seeds(court: Court, whole: Path, hash_seed: str) -> None:
    run = court.folder / f"hash-{hash_seed}"
    setup = Setup(module=MODULE.module, env=(("PYTHONHASHSEED", hash_seed),))
    assert court.start(run, N, "--concurrency", "3", setup=setup).result().code == 0
    assert outputs(run) == outputs(whole)
    assert states(run)["ok"]


def test_the_same_seed_gives_the_same_prompts_and_another_one_others(court: Court, whole: Path) -> None:
    again = court.run(court.folder / "again", N, "--seed", "0")
    other = court.run(court.folder / "other", N, "--seed", "1")
    assert outputs(again) == outputs(whole)
    assert (other / "answers.jsonl").read_bytes() == (whole / "answers.jsonl").read_bytes()
    ours, theirs = rows(whole, "verdicts.jsonl"), rows(other, "verdicts.jsonl")
    pairs = [(one["nonce"], two["nonce"]) for one, two in zip(ours, theirs, strict=True) if one["nonce"]]
    assert pairs and all(one != two for one, two in pairs)


def served(pid: int) -> list[int]:
    """Processes of `train serve` below a process, by what /proc says."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_served_checkpoint_goes_with_its_parent(court: Court, tmp_path: Path) -> None:
    """kill -9 of the command alone: the server, in a session of its own, is gone too; then the same command goes on."""
    model = saved_model(tmp_path / "model", load(small_model(tmp_path / "tokenizer").parent))
    questions = court.questions(3)
    line = ("answer", model, "--questions", questions, "--out", tmp_path / "run", "-s", "max_tokens=8", "-q")
    command = start(line, tmp_path / "streams", MODULE)
    until(lambda: served(command.pid) or command.ended(0), "the server is started")
    [child] = served(command.pid)
    command.kill_parent()
    command.result()
    until(lambda: not alive(child), "the server is gone")
    again = start(line, tmp_path / "streams", MODULE)
    until(lambda: served(again.pid) or again.ended(0), "the server is started")
    os.kill(served(again.pid)[0], signal.SIGKILL)  # as the kernel does where memory runs out
    ended = again.result()
    assert (ended.code, ended.out) == (4, "")
    assert "does not start: it said nothing and its exit code is -9; run again." in ended.err
    ended = start(line, tmp_path / "streams", MODULE).result()
    assert ended.code == 0, ended.err
    assert len(rows(tmp_path / "run", "answers.jsonl")) == 3
