"""Runs of `selfinstruct generate` against the loopback teacher: how they are started and what is compared.

A run is made within the test's own process where nothing kills it, else as `launch` does. All runs that are compared
ask the same server, since the key of a call, which is in every item, is made from the address too.
"""

import json
import multiprocessing
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runkit.console import run_app
from runkit.ledger import Ledger, Totals
from selfinstruct.cli import app
from tests.faults.launch import FULL, Command, Setup, start
from tests.faults.server import COMPLETION_TOKENS, PROMPT_TOKENS, Server, serving
from tests.faults.teacher import teach
from tests.faults.texts import ROOT

SEEDS = ROOT / "examples" / "seeds.jsonl"
MODULE = Setup(module="selfinstruct.__main__")
OUTPUTS = ("instructions.jsonl", "rejected.jsonl")
USD = {"prompt": 10.0, "completion": 20.0}  # a million tokens
CALL_USD = (PROMPT_TOKENS * USD["prompt"] + COMPLETION_TOKENS * USD["completion"]) / 1e6
MEMORY = Path("/dev/shm")
# There is one prepared process for the whole suite: whatever is started from it is imported there.
PREPARED = ["tests.faults.warm", "tests.faults.llm_child", "tests.faults.llm_warm"]
multiprocessing.get_context("forkserver").set_forkserver_preload(PREPARED)


@dataclass
class School:
    """A server with the teacher, and where its runs lie."""

    server: Server
    folder: Path

    def words(self, out: Path, n: int, *more: str | Path) -> list[str]:
        """The command line without the program's name; `more` may say the model again."""
        who = ("--models", self.models(), "--model", "loop")
        line = ("generate", "--seeds", SEEDS, "--out", out, "--n", n, *who, "-q", *more)
        return [str(word) for word in line]

    def models(self, **fields: Any) -> Path:
        """A models.yaml with the entry `loop`; JSON is YAML."""
        entry = {"url": self.server.url, "model": "loop", "price": USD, "timeout_s": 20, **fields}
        file = self.folder / f"models-{len(fields)}-{'-'.join(fields) or 'plain'}.yaml"
        file.write_text(json.dumps({"loop": {k: v for k, v in entry.items() if v is not None}}), "utf-8")
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
def school(folder: Path | None = None, **options: Any) -> Iterator[School]:
    """A server of one test, or of several; without a folder its own, in memory, which spares 4 ms of fsync a call."""
    own = tempfile.mkdtemp(prefix="wenhai-", dir=None if FULL or not os.access(MEMORY, os.W_OK) else MEMORY)
    try:
        with serving(**{"answer": teach, **options}) as server:
            yield School(server, folder or Path(own))
    finally:
        shutil.rmtree(own, ignore_errors=True)


def rows(run: Path, name: str = OUTPUTS[0]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_bytes().splitlines()]


def outputs(run: Path) -> dict[str, bytes]:
    """What must be the same however a run came about."""
    found = {name: (run / name).read_bytes() for name in OUTPUTS}
    return found | {"summary.json": (run / "summary.json").read_bytes()}


def totals(run: Path) -> Totals:
    with Ledger.open(run / "ledger.sqlite") as ledger:
        return ledger.totals()


def at_server(found: Totals) -> int:
    """How many requests of a ledger the server must have seen, where nothing was killed."""
    return sum(count for outcome, count in found.attempts.items() if outcome not in ("unreachable", "lost"))
