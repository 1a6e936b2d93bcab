"""Rows 1, 4 and 19 for `train`: killed, interrupted or raced, the same command comes to the same bytes."""

import random
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from runkit.files import is_temp
from tests.faults.kill import Killer, assert_same, holds_lock, look, tree
from tests.faults.launch import FULL, Command, until
from tests.faults.train_runs import begin_extend, begin_fit, begin_tokens, tokens, write_documents

pytestmark = pytest.mark.timeout(3600 if FULL else 120)
KILLS, SLOW_KILLS = (100, 20) if FULL else (4, 2)
SIGNALS = 10 if FULL else 1
CODES = {signal.SIGINT: (130, "Interrupted."), signal.SIGTERM: (143, "Terminated.")}
SHARD_MB = 0.4 if FULL else 0.02
Begin = Callable[[Path], Command]


@pytest.fixture(scope="module")
def large(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents of the full count: 20 MB."""
    return write_documents(tmp_path_factory.mktemp("large") / "set", 6_200) if FULL else documents


@pytest.fixture(scope="module")
def large_shards(large: Path, tokenizer: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not FULL:
        return shards
    out = tmp_path_factory.mktemp("large") / "run"
    assert begin_tokens(large, tokenizer, out, shard_mb=SHARD_MB).result().code == 0
    return out


@pytest.fixture
def begin(request: pytest.FixtureRequest, documents: Path, tokenizer: Path) -> Begin:
    """The command that a test is about, started on a run directory."""
    return {
        "fit": lambda out: begin_fit(documents, out, "--workers", "2"),
        "extend": lambda out: begin_extend(tokenizer, documents, out),
        "tokens": lambda out: begin_tokens(documents, tokenizer, out, "--workers", "2"),
    }[request.param]


@pytest.fixture
def wanted(begin: Begin, request: pytest.FixtureRequest) -> dict[str, str]:
    """What the command comes to when nothing disturbs it."""
    name = request.node.callspec.params["begin"]
    return tree(request.getfixturevalue({"fit": "tokenizer", "extend": "extended", "tokens": "shards"}[name]))


@pytest.mark.parametrize("workers", [1, 2])
def test_tokens_killed_at_random_moments(
    tmp_path: Path, large: Path, tokenizer: Path, large_shards: Path, workers: int
) -> None:
    assert len([*large_shards.glob("shards/*.bin")]) >= 8

    def again(out: Path) -> Command:
        return begin_tokens(large, tokenizer, out, "--workers", str(workers), shard_mb=SHARD_MB)

    killer = Killer(again, tmp_path, seed=workers, span_s=2.5 if FULL else 0.25, workers=workers)
    landed = killer.kill(KILLS, tree(large_shards))
    assert len(landed) == KILLS
    print(f"\n{KILLS} kills, {workers} workers:", dict(Counter(landing.phase for landing in landed)))


@pytest.mark.parametrize("begin", ["fit", "extend"], indirect=True)
def test_learning_killed_at_random_moments(tmp_path: Path, begin: Begin, wanted: dict[str, str]) -> None:
    landed = Killer(begin, tmp_path, seed=3, span_s=0.5, workers=2).kill(SLOW_KILLS, wanted)
    print(f"\n{SLOW_KILLS} kills:", dict(Counter(landing.phase for landing in landed)))


def test_what_is_finished_is_not_done_again(tmp_path: Path, documents: Path, tokenizer: Path, shards: Path) -> None:
    out = tmp_path / "run"
    command = begin_tokens(documents, tokenizer, out, "--workers", "2")
    until(lambda: len([*out.glob("marks/shard-*.json")]) >= 3 or command.ended(0), "three shards are done")
    command.send(signal.SIGKILL)
    command.result()
    before = look(out).finished
    assert 3 * 4 <= len(before) < len(tree(shards)), "the run had ended before the kill"
    assert tokens(documents, tokenizer, out).code == 0
    assert before.items() <= look(out).finished.items()
    assert_same(out, tree(shards))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("begin", ["fit", "extend", "tokens"], indirect=True)
def test_interrupted_at_random_moments(
    tmp_path: Path, begin: Begin, wanted: dict[str, str], number: signal.Signals
) -> None:
    """The signal goes to the whole group, as a terminal sends it."""
    rng = random.Random(number)
    code, word = CODES[number]
    landed = rounds = 0
    while landed < SIGNALS:
        out = tmp_path / f"run-{rounds}"
        rounds += 1
        assert rounds <= 4 * SIGNALS + 4, f"only {landed} signals landed in {rounds} runs"
        while True:
            command = begin(out)
            until(lambda command=command, out=out: holds_lock(command, out) or command.ended(0), "the run begins")
            if landed < SIGNALS and not command.ended(rng.uniform(0, 0.3)):
                command.send(number)
            ended = command.result()
            assert "Traceback" not in ended.err, ended.err
            if ended.code == 0 or (ended.code == -number and "; report: " in ended.err):
                break  # done; the signal may have come behind the last word, while Python leaves
            assert (ended.code, ended.out) == (code, ""), ended.err
            assert ended.err.strip().splitlines()[-1] == word, ended.err
            assert not [file for file in out.rglob("*") if is_temp(file.name)]
            landed += 1
        assert_same(out, wanted)


@pytest.mark.parametrize("begin", ["tokens"], indirect=True)
def test_a_second_interrupt_quits_at_once(tmp_path: Path, begin: Begin, wanted: dict[str, str]) -> None:
    out = tmp_path / "run"
    command = begin(out)
    until(lambda: any(out.glob("marks/shard-*.json")) or command.ended(0), "a first mark")
    command.send(signal.SIGINT)
    command.send(signal.SIGINT)
    assert command.result(timeout_s=10).code in (130, -signal.SIGINT)
    assert begin(out).result().code == 0
    assert_same(out, wanted)


@pytest.mark.parametrize("begin", ["fit", "tokens"], indirect=True)
def test_one_of_two_starts_runs(tmp_path: Path, begin: Begin, wanted: dict[str, str]) -> None:
    """The first is halted while it holds the lock, so that it cannot be done before the second one tries."""
    out = tmp_path / "run"
    first = begin(out)
    until(lambda: holds_lock(first, out) or first.ended(0), "the first holds the lock")
    first.send(signal.SIGSTOP)
    second = begin(out).result()
    first.send(signal.SIGCONT)
    assert (second.code, second.out) == (4, "")
    assert re.fullmatch(rf"Error: {re.escape(str(out))} is in use by process {first.pid} on .*\n", second.err)
    assert first.result().code == 0
    assert_same(out, wanted)
