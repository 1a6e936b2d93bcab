"""Rows 4, 9, 19 and 26 for `train pretrain`: killed anywhere, it comes to the same bits."""

import json
import random
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runkit.files import is_temp
from tests.faults.kill import holds_lock
from tests.faults.launch import FULL, TRAIN, Command, until
from tests.faults.pretrain_runs import (
    STEPS,
    TIMES,
    Killer,
    assert_same,
    begin,
    outcome,
    pretrain,
)
from train.checkpoint import FOLDER, folders, newest, step_of
from train.loop import METRICS, read_metrics

pytestmark = pytest.mark.timeout(3600 if FULL else 120)
SIGNALS = 25 if FULL else 1
CODES = {signal.SIGINT: (130, "Interrupted."), signal.SIGTERM: (143, "Terminated.")}
# How many, and how many of them inside a save.
KILLS = {"adamw": (50, 20), "muon": (20, 10), "lora": (20, 10)}
FEW_KILLS = {"adamw": (4, 2), "muon": (1, 1), "lora": (1, 1)}
KINDS: dict[str, dict[str, Any]] = {
    "adamw": {},
    "muon": {"optim__kind": "muon", "optim__muon_lr": 0.01},
    "lora": {"lora__rank": 4, "lora__embeddings": "true"},
}
Begin = Callable[..., Command]


@pytest.fixture(scope="module")
def start_on(shards: Path, model: Path) -> Callable[[str], Begin]:
    """How a kind of training is started on a run directory."""

    def of(kind: str) -> Begin:
        source = ("--from", model) if kind == "lora" else ()
        return lambda out, **more: begin(shards, out, *source, **KINDS[kind], **more)

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments_and_while_saving(
    tmp_path: Path, start_on: Callable[[str], Begin], trained: Path, kind: str
) -> None:
    if kind == "adamw":
        expected = outcome(trained)
    else:
        assert start_on(kind)(tmp_path / "whole").result().code == 0
        expected = outcome(tmp_path / "whole")
    kills, in_save = (KILLS if FULL else FEW_KILLS)[kind]
    killer = Killer(
        start_on(kind),
        tmp_path,
        seed=len(kind),
        span_s=6.0 if FULL else 0.8,
        save_s=0.1 if FULL else 0.01,
        kills=kills,
        in_save=in_save,
    )
    landed = killer.kill(expected)
    assert landed.kills >= kills and landed.in_save >= in_save
    print(f"\n{kind}: {landed}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_at_random_moments(tmp_path: Path, shards: Path, trained: Path, number: signal.Signals) -> None:
    """The step at hand is finished and saved; what is there before the first step is nothing."""
    rng = random.Random(number)
    code, word = CODES[number]
    landed = rounds = 0
    while landed < SIGNALS:
        out = tmp_path / f"run-{rounds}"
        rounds += 1
        assert rounds <= 4 * SIGNALS, f"only {landed} signals landed in {rounds} runs"
        while True:
            command = begin(shards, out)
            until(lambda command=command, out=out: holds_lock(command, out) or command.ended(0), "the run begins")
            if landed < SIGNALS and not command.ended(rng.uniform(0, 6.0 if FULL else 0.8)):
                command.send(number)
            ended = command.result()
            assert "Traceback" not in ended.err, ended.err
            if ended.code == 0 or (ended.code == -number and "; model: " in ended.err):
                break  # done; the signal may have come behind the last word, while Python leaves
            assert (ended.code, ended.out) == (code, ""), ended.err
            assert ended.err.strip().splitlines()[-1] == word, ended.err
            made = len(read_metrics(out / METRICS))
            assert (step_of(folders(out)[0]) if made else 0) == made and newest(out)[1] == []
            landed += 1
        assert_same(out, outcome(trained))


def test_a_second_interrupt_quits_at_once(tmp_path: Path, shards: Path) -> None:
    """In a step that takes a minute; what had been made before is there to go on from."""
    out = tmp_path / "run"
    settings = {"batch_rows": 40_000, "micro_rows": 2, "steps": 1, "eval_rows": 0}
    command = begin(shards, out, **settings)
    until(lambda: (out / METRICS).exists() or command.ended(0), "the loop begins")
    assert not command.ended(0.1)
    command.send(signal.SIGINT)
    assert not command.ended(0.3), "the first one waits for the step"
    assert command.said().endswith("Finishing this step and saving; a second signal stops at once.\n")
    command.send(signal.SIGINT)
    ended = command.result(timeout_s=10)
    assert ended.code == 130 and ended.err.endswith("Interrupted.\n") and "Traceback" not in ended.err, ended.err
    assert folders(out) == [] and not [file for file in out.rglob("*") if is_temp(file.name)]


def test_one_of_two_starts_runs(tmp_path: Path, shards: Path, trained: Path) -> None:
    out = tmp_path / "run"
    first = begin(shards, out)
    until(lambda: holds_lock(first, out) or first.ended(0), "the first holds the lock")
    first.send(signal.SIGSTOP)
    second = begin(shards, out).result()
    first.send(signal.SIGCONT)
    assert (second.code, second.out) == (4, "")
    told = rf"Error: {re.escape(str(out))} is in use by process {first.pid} on .*"
    assert re.fullmatch(told, second.err.strip().splitlines()[-1])
    assert first.result().code == 0
    assert_same(out, outcome(trained))


@pytest.mark.parametrize("seed", ["0", "1", "2"] if FULL else ["1"])
def test_hash_seeds(tmp_path: Path, shards: Path, trained: Path, seed: str) -> None:
    """By the installed script, so another process than that of the first run; the report differs in times alone."""
    out = tmp_path / "run"
    ended = pretrain(shards, out, "--json", setup=replace(TRAIN, env=(("PYTHONHASHSEED", seed),)))
    assert ended.code == 0, ended.err
    assert_same(out, outcome(trained))
    assert json.loads(ended.out)["steps"] == STEPS
    names = [{file.name for file in run.rglob("*") if file.is_file()} for run in (out, trained)]
    assert names[0] == names[1] and names[0] > TIMES


def test_fewer_steps_twice_are_the_whole(tmp_path: Path, shards: Path, trained: Path) -> None:
    """Killed behind the checkpoint in the middle and started again: 20 steps, kill, 20 steps."""
    out = tmp_path / "run"
    command = begin(shards, out, checkpoint_every=STEPS // 2)
    until(lambda: bool(folders(out)) or command.ended(0), "the checkpoint in the middle")
    command.send(signal.SIGKILL)
    assert command.result().code == -signal.SIGKILL and step_of(folders(out)[0]) == STEPS // 2
    assert pretrain(shards, out).code == 0
    ours, theirs = outcome(out), outcome(trained)
    assert ours[METRICS] == theirs[METRICS]
    last = f"{FOLDER}/step-{STEPS:08}/"
    assert {name: ours[name] for name in ours if name.startswith(last)} == {
        name: theirs[name] for name in theirs if name.startswith(last)
    }
