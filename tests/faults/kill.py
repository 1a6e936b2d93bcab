"""The harness that kills: start a command, kill it at seeded random moments, start again, compare the bytes.

In: a function that starts the command on a run directory. Out: one `Landing` for each kill that came before
the end, with what lay in the directory at that moment. A finished directory is compared with an uninterrupted
one, file by file.
"""

import hashlib
import json
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from runkit.files import is_temp
from tests.faults.launch import Command, until

# Times, memory and the holder of the lock: what a run may tell differently each time.
NOT_COMPARED = {"usage.json", ".lock"}


@dataclass(frozen=True)
class Landing:
    """What a kill left: how far the run was, and the finished work with inode and time of change."""

    phase: str
    begun: int  # shards with files and no mark
    finished: dict[str, tuple[int, int]]


def tree(path: Path) -> dict[str, str]:
    """sha256 of every file that must be the same in two runs."""
    found = {}
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.name not in NOT_COMPARED:
            found[str(file.relative_to(path))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def assert_same(found: Path, expected: dict[str, str]) -> None:
    """Identical outputs, no stray temporary file, no `work/`, nothing lost and nothing twice."""
    now = tree(found)
    differ = sorted(name for name in {*now, *expected} if now.get(name) != expected.get(name))
    assert not differ, f"{len(differ)} files differ: {differ[:10]}"
    assert not [file for file in found.rglob("*") if is_temp(file.name)]
    assert not (found / "work").exists()
    assert set(Counter(identities(found)).values()) <= {1}, "a document came out twice"


def identities(run: Path) -> list[str]:
    """The ids of all documents: kept and rejected ones, or those in token shards."""
    parts = [*run.glob("documents/*.parquet"), *run.glob("rejected/*.parquet")]
    found = [identity for part in sorted(parts) for identity in pl.read_parquet(part, columns=["id"])["id"]]
    for file in sorted(run.glob("shards/*.ids.jsonl")):
        found += map(json.loads, file.read_bytes().splitlines())
    return found


def look(run: Path) -> Landing:
    """What a killed run left behind."""
    marks = {file.stem: _version(file) for file in run.glob("marks/*.json")}
    marked = {name[-5:] for name in marks if name not in ("copies", "tokenizer")}
    begun = {_shard(file) for place in ("work", "shards") for file in run.glob(f"{place}/*")} - marked
    written = {f"shards/{file.name}": _version(file) for file in run.glob("shards/[!.]*") if _shard(file) in marked}
    if not (run / "manifest.json").is_file():
        phase = "before the manifest"
    elif not marks:
        phase = "before the first mark"
    elif (run / "summary.json").is_file():
        phase = "all written"
    else:
        phase = "writing" if "copies" in marks else "reading"
    return Landing(phase, len(begun), marks | written)


def _version(file: Path) -> tuple[int, int]:
    return file.stat().st_ino, file.stat().st_mtime_ns


def _shard(file: Path) -> str:
    """The number of the shard that a file, or the half of one, belongs to."""
    return file.name.lstrip(".")[:5]


@dataclass
class Killer:
    """Kills until `wanted` have landed.

    `start(run)` starts the command; a kill waits at most `span_s` once the command has its directory.
    """

    start: Callable[[Path], Command]
    folder: Path
    seed: int
    span_s: float
    workers: int

    def kill(self, wanted: int, expected: dict[str, str]) -> list[Landing]:
        """Each round is one directory, killed and resumed until it ends, then compared and removed."""
        rng = random.Random(self.seed)
        landed: list[Landing] = []
        rounds = 0
        while len(landed) < wanted:
            rounds += 1
            assert rounds <= 4 * wanted + 4, f"only {len(landed)} kills landed in {rounds} runs"
            run = self.folder / f"killed-{self.seed}-{rounds}"
            self._round(run, rng, wanted, landed)
            assert_same(run, expected)
            shutil.rmtree(run)
        return landed

    def _round(self, run: Path, rng: random.Random, wanted: int, landed: list[Landing]) -> None:
        before: Landing | None = None
        while True:
            command = self.start(run)
            if len(landed) < wanted:
                self._kill_at_random(command, run, rng)
            ended = command.result()
            assert ended.code in (0, -signal.SIGKILL), ended.err
            now = look(run)
            if before is not None:
                _nothing_redone(before, now)
            if ended.code == 0:
                return
            assert now.begun <= self.workers, f"{now.begun} shards were in work at once"
            landed.append(now)
            before = now

    def _kill_at_random(self, command: Command, run: Path, rng: random.Random) -> None:
        # One in ten at any moment from the start of the process on, the others once the directory is its own.
        if rng.random() < 0.9:
            until(lambda: holds_lock(command, run) or command.ended(0), "the command takes its directory")
        if not command.ended(rng.uniform(0, self.span_s)):
            command.send(signal.SIGKILL)


def holds_lock(command: Command, run: Path) -> bool:
    """Whether the lock is signed by this very command: a killed one leaves its signature."""
    lock = run / ".lock"
    return lock.is_file() and lock.read_text().startswith(f"process {command.pid} ")


def _nothing_redone(before: Landing, now: Landing) -> None:
    """What was marked is not done again: its files are the same, or its mark went for that of the next step."""
    for name, was in before.finished.items():
        if name in now.finished:
            assert now.finished[name] == was, f"{name} was done again"
        else:
            assert name.startswith("work-") and name.replace("work", "done") in now.finished, f"{name} was lost"
