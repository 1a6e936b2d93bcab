"""Runs of `judge compare` against the loopback court: how they are started and what is compared.

A run is made within the test's own process where nothing kills it, else as `launch` does. All runs that are compared
ask the same server, since the key of a call, which is in every verdict, is made from the address too.
"""

import json
import multiprocessing
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge.cli import app
from runkit.console import run_app
from tests.faults.judge_server import court
from tests.faults.launch import FULL, Command, Setup, start
from tests.faults.server import COMPLETION_TOKENS, PROMPT_TOKENS, Server, serving
from tests.faults.teaching import MEMORY, PREPARED, rows
from tests.faults.texts import text

MODULE = Setup(module="judge.__main__")
OUTPUTS = ("questions.jsonl", "answers.jsonl", "verdicts.jsonl", "summary.json", "report.html")
USD = {"prompt": 10.0, "completion": 20.0}  # a million tokens
CALL_USD = (PROMPT_TOKENS * USD["prompt"] + COMPLETION_TOKENS * USD["completion"]) / 1e6
CLASSES = ("open qa", "数学", "Brainstorming", "写作", "code")
multiprocessing.get_context("forkserver").set_forkserver_preload([*PREPARED, "tests.faults.judge_warm"])


def write_questions(file: Path, count: int, seed: int = 1) -> Path:
    """Chinese questions of five classes, two in three with a reference answer."""
    rng = random.Random(seed)
    lines = []
    for number in range(count):
        one = {
            "id": f"q{number:04}",
            "text": f"第{number}题：{text(rng, 1)}",
            "category": CLASSES[number % len(CLASSES)],
        }
        lines.append(json.dumps({**one, **({"reference": text(rng, 2)} if number % 3 else {})}, ensure_ascii=False))
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def write_answers(file: Path, answers: dict[str, str]) -> Path:
    """A file of answers as other programs write it."""
    lines = [json.dumps({"question_id": id, "answer": said}, ensure_ascii=False) for id, said in answers.items()]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


@dataclass
class Court:
    """A server with two candidates and a judge, and where its runs lie."""

    server: Server
    folder: Path

    def words(self, out: Path, n: int, *more: str | Path) -> list[str]:
        """The command line without the program's name; `more` may say the models again."""
        line = ("compare", "a", "b", "--questions", self.questions(n), "--judge", "referee", "--out", out)
        return [str(word) for word in (*line, "--models", self.models(), "-q", *more)]

    def questions(self, n: int) -> Path:
        file = self.folder / f"questions-{n}.jsonl"
        return file if file.is_file() else write_questions(file, n)

    def models(self, **fields: Any) -> Path:
        """A models.yaml with the entries `a`, `b` and `referee`; JSON is YAML."""
        # The limit is told: a rate found by trying falls with 429s where a machine makes few calls a second.
        entry = {"url": self.server.url, "price": USD, "timeout_s": 20, "rpm": 60_000, **fields}
        whole = {k: v for k, v in entry.items() if v is not None}
        file = self.folder / f"models-{len(fields)}-{'-'.join(fields) or 'plain'}.yaml"
        file.write_text(json.dumps({name: {**whole, "model": name} for name in ("a", "b", "referee")}), "utf-8")
        return file

    def run(self, out: Path, n: int, *more: str | Path, code: int = 0) -> Path:
        """To its end, in this process."""
        found = run_app(app, self.words(out, n, *more))
        assert found == code, f"exit {found}, not {code}"
        return out

    def start(self, out: Path, n: int, *more: str | Path, setup: Setup = MODULE) -> Command:
        """In a process of its own."""
        return start(self.words(out, n, *more), self.folder / "streams", setup)

    @contextmanager
    def counted(self) -> "Iterator[Counter[str]]":
        """The requests that arrive in this block, by what became of them; filled at its end."""
        before, seen = len(self.server.log), Counter[str]()
        yield seen
        seen.update(entry.fault for entry in self.server.log[before:])


@contextmanager
def courtroom(folder: Path | None = None, **options: Any) -> Iterator[Court]:
    """A server of one test, or of several; without a folder its own, in memory, which spares 4 ms of fsync a call."""
    own = tempfile.mkdtemp(prefix="wenhai-", dir=None if FULL or not os.access(MEMORY, os.W_OK) else MEMORY)
    try:
        with serving(**{"answer": court, **options}) as server:
            yield Court(server, folder or Path(own))
    finally:
        shutil.rmtree(own, ignore_errors=True)


def outputs(run: Path) -> dict[str, bytes]:
    """What must be the same however a run came about."""
    return {name: (run / name).read_bytes() for name in OUTPUTS}


def states(run: Path) -> Counter[str]:
    """Verdicts by state."""
    return Counter(row["state"] for row in rows(run, "verdicts.jsonl"))
