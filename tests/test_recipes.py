"""The recipes in runs/: bash reads them, and every command, option and setting in them is one that there is.

`BIN` holds commands that only write down how they were called; then the real ones are asked whether they take these
words: typer parses them, and nothing runs.
"""

import functools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import corpus.cli
import judge.cli
import selfinstruct.cli
import train.cli

ROOT = Path(__file__).resolve().parent.parent
RECIPES = {
    "cpu.sh": [],
    "gpu.sh": ["demo=examples/dump"],
    "extend.sh": ["llama", "demo=examples/dump"],
}
APPS = {"corpus": corpus.cli.app, "selfinstruct": selfinstruct.cli.app, "train": train.cli.app, "judge": judge.cli.app}
# Writes the words of its call, one a line, and a blank line; what `kept` keeps must not be empty.
RECORDER = """#!/bin/sh
{ printf '%s\\n' "${0##*/}" "$@"; echo; } >> "$CALLS"
echo '{}'
"""
EVERY = {"MCQ": "c-eval", "DATA": "more.jsonl", "CLEAN": "--workers 2", "STEPS": "5", "SFT": "-s data.epochs=2"}


def recipe(name: str, folder: Path, **variables: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run a recipe against recording commands; how it ended and the calls in their order."""
    bin_ = folder / "bin"
    bin_.mkdir()
    for command in (*APPS, "python", "torchrun"):
        (bin_ / command).write_text(RECORDER)
        (bin_ / command).chmod(0o755)
    calls = folder / "calls"
    (folder / "out").mkdir()
    told = {"PATH": os.environ["PATH"], "BIN": str(bin_), "CALLS": str(calls), "OUT": str(folder / "out"), **variables}
    done = subprocess.run(
        ["bash", ROOT / "runs" / name, *RECIPES[name]], env=told, capture_output=True, text=True, timeout=30
    )
    found = calls.read_text("utf-8").split("\n\n") if calls.is_file() else []
    return done, [call.split("\n") for call in found if call]


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The command that `words` call, and its parameters; fails where it does not take them."""
    command: Any = typer.main.get_command(APPS[words[0]])
    context = command.make_context(words[0], words[1:])
    while hasattr(command, "resolve_command"):
        _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(command.name, rest, parent=context)
    return context.command_path, context.params


@functools.cache
def known_settings(command: str) -> set[str]:
    """Names that `-s` takes, as `COMMAND settings` lists them."""
    words = [sys.executable, "-m", command, "settings"]
    listed = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
    return set(re.findall(r"^(\S+)  \(", listed, re.MULTILINE))


@pytest.mark.parametrize("name", [*RECIPES, "steps.sh"])
def test_bash_reads_it(name: str) -> None:
    done = subprocess.run(["bash", "-n", ROOT / "runs" / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    long = [line for line in (ROOT / "runs" / name).read_text("utf-8").splitlines() if len(line) > 120]
    assert not long


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("cpu.sh", {}),
        ("cpu.sh", {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "MODEL": "some"}),
        ("gpu.sh", EVERY),
        ("gpu.sh", {"GPUS": "2", "SIZE": "350m"}),
        ("extend.sh", EVERY),
        ("extend.sh", {"LORA": "0"}),
    ],
)
def test_its_commands_and_options_exist(name: str, variables: dict[str, str], tmp_path: Path) -> None:
    done, calls = recipe(name, tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    used = set()
    for words in calls:
        if words[0] == "python":
            assert Path(ROOT, words[1]).is_file(), shlex.join(words)
            continue
        if words[0] == "torchrun":
            words = words[words.index("-m") + 1 :]
        path, params = parsed(words)
        for option in ("config", "seeds", "questions"):
            for file in [params[option]] if isinstance(params.get(option), str | Path) else params.get(option) or []:
                assert Path(ROOT, file).is_file(), f"{path}: {file}"
        used |= {(words[0], entry.partition("=")[0]) for entry in params.get("settings") or []}
    assert {"corpus", "train", "selfinstruct", "judge", "python"} <= {words[0] for words in calls}
    for command in {command for command, _ in used}:
        unknown = {key for of, key in used if of == command} - known_settings(command)
        unknown = {key for key in unknown if not key.startswith(("data.weights.", "rules."))}
        assert not unknown, f"{command}: {unknown}"


def test_minutes_stand_beside_each_step(tmp_path: Path) -> None:
    done, _ = recipe("cpu.sh", tmp_path)
    steps = re.findall(r"^== (\w+): \d+:\d\d minutes$", done.stderr, re.MULTILINE)
    assert steps == re.findall(r"^ +\d+:\d\d  (\w+)$", done.stdout, re.MULTILINE)[:-1]
    assert steps[0] == "clean" and steps[-1] == "index" and len(steps) == 10


def test_a_step_that_fails_ends_it_with_its_code(tmp_path: Path) -> None:
    script = f"""set -euo pipefail
BIN={tmp_path}; touch $BIN/corpus; chmod +x $BIN/corpus
source {ROOT}/runs/steps.sh
allowed=6 step judged bash -c 'exit 6'
step kept kept {tmp_path}/note echo once
step kept kept {tmp_path}/note echo twice
step clean bash -c 'exit 3'
echo never
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30)
    assert done.returncode == 3 and "never" not in done.stdout
    assert "== clean: exit code 3 after 0:00 minutes; start again to go on" in done.stderr
    assert (tmp_path / "note").read_text() == "once\n"


@pytest.mark.parametrize(
    ("ratio", "epochs", "fits", "code", "says"),
    [
        (20.0, 1.0, True, 0, "20.00 a parameter"),
        (2.0, 1.0, True, 3, "Too little data"),
        (20.0, 9.0, True, 3, "more than four times"),
        (20.0, 1.0, False, 4, "-s micro_rows=4"),
    ],
)
def test_the_plan_is_looked_at_before_training(
    ratio: float, epochs: float, fits: bool, code: int, says: str, tmp_path: Path
) -> None:
    here = {"share_is": "measured", "fits": fits, "largest_micro_rows": 4, "device": "a GPU"}
    plan = {
        **{"parameters": {"total": 1000}, "tokens": int(1000 * ratio), "steps": 5, "tokens_per_parameter": ratio},
        **{"sources": [{"epochs": epochs, "too_often": epochs > 4}], "estimates": [here], "disk_bytes": 1},
    }
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    words = [sys.executable, ROOT / "runs" / "enough.py", file, "--least", "10"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stdout


def test_the_table_before_and_after_says_what_was_measured(tmp_path: Path) -> None:
    measured = {
        "tokenizer/summary.json": {"before": {"tokens_per_character": 1.5}, "after": {"tokens_per_character": 0.75}},
        "ppl-model.json": {"bits_per_character": 9.0},
        "ppl-chat.json": {"bits_per_character": 4.25},
        "mcq-chat/results.json": {"all": {"n": 1000, "accuracy": 0.3, "low": 0.272, "high": 0.329}},
    }
    for name, content in measured.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    words = [sys.executable, ROOT / "runs" / "before_after.py", tmp_path]
    lines = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
    rows = [re.split(r" {2,}", line.strip()) for line in lines if line]
    assert rows == [
        ["tokens a character", "bits a character", "right choices (95 %)"],
        ["as it came", "1.500", "9.000", "–"],
        ["after Chinese text", "0.750", "–", "–"],
        ["after tuning", "0.750", "4.250", "30.0% of 1,000 (27.2%–32.9%)"],
    ]
