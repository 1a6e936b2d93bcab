"""Rows 4, 9, 11 and 12 for `train sft`: killed, interrupted, on a full disk, with bad lines: the same bits."""

import json
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults.kill import holds_lock
from tests.faults.launch import FULL, TRAIN, Command, Setup, start, until
from tests.faults.lines import BAD_LINES
from tests.faults.pretrain_runs import SAVING, Killer, assert_same, outcome
from tests.faults.texts import text
from tests.faults.train_runs import call
from train.checkpoint import FOLDER
from train.loop import METRICS

pytestmark = pytest.mark.timeout(3600 if FULL else 120)
SIGNALS = 10 if FULL else 1
KILLS, IN_SAVE = (50, 20) if FULL else (2, 1)
SETTINGS: dict[str, Any] = {
    **{"data.seq_len": 64, "data.held_out": 0.1, "data.epochs": 100, "optim.lr": 1e-2, "optim.warmup": 5},
    **{"batch_rows": 2, "steps": 24, "checkpoint_every": 3, "eval_every": 12, "eval_rows": 4, "prompt_tokens": 2},
    "threads": 1,
}
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(0)
    rows = [{"instruction": text(rng, 1)[:12], "input": "", "output": text(rng, 1)[:12]} for _ in range(60)]
    file = tmp_path_factory.mktemp("dialogues") / "data.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return file


Begin = Callable[..., Command]


@pytest.fixture(scope="module")
def begin(model: Path, data: Path) -> Begin:
    def started(out: Path, setup: Setup = TRAIN) -> Command:
        return start(words(model, data, out), out.parent / "streams", setup)

    return started


def words(model: Path, data: Path, out: Path) -> list[str | Path]:
    flags = [flag for name, value in SETTINGS.items() for flag in ("-s", f"{name}={value}")]
    return ["sft", "--from", model, "--data", data, "--out", out, "-q", *flags]


@pytest.fixture(scope="module")
def expected(begin: Begin, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("whole") / "run"
    ended = begin(out).result()
    assert ended.code == 0, ended.err
    return outcome(out)


def test_killed_at_random_moments_and_while_saving(tmp_path: Path, begin: Begin, expected: dict[str, Any]) -> None:
    killer = Killer(
        begin,
        tmp_path,
        seed=9,
        span_s=6.0 if FULL else 0.8,
        save_s=0.1 if FULL else 0.01,
        kills=KILLS,
        in_save=IN_SAVE,
    )
    landed = killer.kill(expected)
    assert landed.kills >= KILLS and landed.in_save >= IN_SAVE
    print(f"\nsft: {landed}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_gone_on(
    tmp_path: Path, begin: Begin, expected: dict[str, Any], number: signal.Signals
) -> None:
    rng, out = random.Random(number), tmp_path / "run"
    for landed in range(SIGNALS + 1):
        command = begin(out)
        until(lambda command=command: holds_lock(command, out) or command.ended(0), "the run begins")
        if landed < SIGNALS and not command.ended(rng.uniform(0, 0.8)):
            command.send(number)
        ended = command.result()
        assert "Traceback" not in ended.err, ended.err
        if ended.code in (0, -number):
            break
        assert ended.code == CODES[number] and not ended.out, ended.err
    # A save at the signal takes the place of an older checkpoint, so the last one is compared, and every step.
    last = f"{FOLDER}/step-{SETTINGS['steps']:08}/"
    now = outcome(out)
    assert {name: now[name] for name in now if name.startswith(last)} == {
        name: expected[name] for name in expected if name.startswith(last)
    }
    assert now[METRICS] == expected[METRICS] and not (out / FOLDER / SAVING).exists()


def test_a_full_disk(tmp_path: Path, begin: Begin, expected: dict[str, Any]) -> None:
    """The weights do not fit below the limit; with room the same command comes to the same."""
    out = tmp_path / "run"
    ended = begin(out, setup=replace(TRAIN, file_bytes=100_000)).result()
    assert ended.code == 4 and "bytes" in ended.err.splitlines()[-1] and "Traceback" not in ended.err, ended.err
    assert begin(out).result().code == 0
    assert_same(out, expected)


def test_bad_lines_cost_nothing_else(
    tmp_path: Path, model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each bad line between good ones is named with its line; the good ones are learnt as if it were not there."""
    good = data.read_bytes().splitlines(keepends=True)
    mixed = tmp_path / "data.jsonl"
    bad = [line + b"\n" for line in BAD_LINES]
    pairs = [part for pair in zip(bad, good, strict=False) for part in pair]
    mixed.write_bytes(b"".join([*pairs, *good[len(bad) :]]))
    for file, out in ((data, tmp_path / "clean"), (mixed, tmp_path / "mixed")):
        ended = call(words(model, file, out), capsys)
        assert ended.code == 0, ended.err
    found = [json.loads(line) for line in (tmp_path / "mixed" / "quarantine.jsonl").read_text().splitlines()]
    assert [row["line"] for row in found] == [2 * number + 1 for number in range(len(BAD_LINES))]
    last = Path("checkpoints", "step-00000024", "model.safetensors")
    assert (tmp_path / "clean" / last).read_bytes() == (tmp_path / "mixed" / last).read_bytes()
