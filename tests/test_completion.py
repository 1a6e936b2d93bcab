"""Shells complete the four commands: the script that they load, and what it asks for while a line is typed."""

import os
import subprocess
import sys

import pytest

COMMANDS = ("corpus", "train", "selfinstruct", "judge")


def asked(command: str, line: str) -> list[str]:
    """What bash is offered at the end of `line`."""
    words = line.split(" ")
    question = {f"_{command.upper()}_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", command], env={**os.environ, **question}, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("corpus cl", ["clean"]),
        ("corpus clean --sam", ["--sample"]),
        ("train eval ", ["ppl", "mcq"]),
        ("train export runs/base --format ", ["hf", "gguf"]),
        ("selfinstruct ov", ["overlap"]),
        ("judge comp", ["compare"]),
    ],
)
def test_a_line_is_completed(line: str, offered: list[str]) -> None:
    assert asked(line.split()[0], line) == offered


@pytest.mark.parametrize("command", COMMANDS)
def test_the_script_for_the_shell_is_shown(command: str) -> None:
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # there may be no shell above
    words = [sys.executable, "-m", command, "--show-completion", "bash"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert f"_{command}_completion" in done.stdout
    assert f"_{command.upper()}_COMPLETE=complete_bash" in done.stdout
