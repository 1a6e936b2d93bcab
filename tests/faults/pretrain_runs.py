"""`train pretrain` of a tiny model as the tests of its faults call it, and the harness that kills it inside a save.

In: token shards. Out: started commands, and all of a run that must be the same in two runs: every file by its sha256
but those that tell times, and the metrics without them. A kill is counted as one inside a save when the folder that a
checkpoint is written into still has its other name when the process is dead.
"""

import hashlib
import random
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from runkit.files import is_temp
from tests.faults.kill import holds_lock
from tests.faults.launch import TRAIN, Command, Ended, Setup, start, until
from tests.faults.train_runs import call
from train.checkpoint import FOLDER, folders, newest, step_of
from train.loop import METRICS, read_metrics

STEPS = 40
MODEL = {"vocab": 700, "dim": 32, "layers": 2, "heads": 4, "kv_heads": 2, "seq_len": 64}
SETTINGS: dict[str, Any] = {
    **{f"model.{name}": value for name, value in MODEL.items()},
    **{"data.seq_len": 64, "data.held_out": 0.1, "optim.lr": 1e-2, "optim.warmup": 5, "batch_rows": 2},
    **{"steps": STEPS, "checkpoint_every": 4, "eval_every": 20, "eval_rows": 4, "prompt_tokens": 2, "threads": 1},
}
TIMES = {"usage.json", ".lock", "report.html", "probe.json", METRICS}
SAVING = ".saving"


def words(shards: Path, out: Path, *more: str | Path, **settings: Any) -> list[str | Path]:
    """The command line; with --from no shape is given."""
    chosen = {name: value for name, value in SETTINGS.items() if "--from" not in more or not name.startswith("model.")}
    chosen |= {name.replace("__", "."): value for name, value in settings.items()}
    flags = [flag for name, value in chosen.items() for flag in ("-s", f"{name}={value}")]
    return ["pretrain", shards, "--out", out, "-q", *flags, *more]


def begin(shards: Path, out: Path, *more: str | Path, setup: Setup = TRAIN, **settings: Any) -> Command:
    """Started; `optim__kind="muon"` is `-s optim.kind=muon`."""
    return start(words(shards, out, *more, **settings), out.parent / "streams", setup)


def pretrain(
    shards: Path, out: Path, *more: str | Path, file_bytes: int | None = None, setup: Setup = TRAIN, **settings: Any
) -> Ended:
    """To its end."""
    return begin(shards, out, *more, setup=replace(setup, file_bytes=file_bytes), **settings).result()


def start_here(
    capsys: pytest.CaptureFixture[str], shards: Path, out: Path, *more: str | Path, **settings: Any
) -> Ended:
    """To its end in this process, by the script's own way; for what is neither killed nor limited."""
    return call(words(shards, out, *more, **settings), capsys)


def outcome(out: Path) -> dict[str, Any]:
    """All that must be the same in two runs; what lies there and should not is in it too."""
    files = [file for file in sorted(out.rglob("*")) if file.is_file() and file.name not in TIMES]
    found: dict[str, Any] = {str(file.relative_to(out)): _sha256(file) for file in files}
    found[METRICS] = [{key: row[key] for key in row if key != "seconds"} for row in read_metrics(out / METRICS)]
    return found


def assert_same(out: Path, expected: dict[str, Any]) -> None:
    """Identical, and no half file or folder left."""
    now = outcome(out)
    differ = sorted(name for name in {*now, *expected} if now.get(name) != expected.get(name))
    assert not differ, f"{len(differ)} differ: {differ[:8]}"
    assert not (out / FOLDER / SAVING).exists()
    assert not [file for file in out.rglob("*") if is_temp(file.name)]


def sums(folder: Path) -> dict[str, str]:
    """sha256 of every file below."""
    return {str(file.relative_to(folder)): _sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@dataclass
class Landed:
    """Kills that came before the end."""

    kills: int = 0
    in_save: int = 0
    with_weights: int = 0  # of those in a save, with the weights or half of them written
    before_any: int = 0  # before the first checkpoint was whole


@dataclass(frozen=True)
class Killer:
    """Kills `start(run)` until so many kills, and so many of them inside a save, have landed."""

    start: Callable[[Path], Command]
    folder: Path
    seed: int
    span_s: float  # a kill waits at most so long once the command has its directory
    save_s: float  # about what a save takes
    kills: int
    in_save: int

    def kill(self, expected: dict[str, Any]) -> Landed:
        """Each round is one run, killed and resumed until it ends, then compared and removed."""
        rng, landed, rounds = random.Random(self.seed), Landed(), 0
        while not self._enough(landed):
            rounds += 1
            assert rounds <= 10 * self.kills, f"only {landed} in {rounds} runs"
            out = self.folder / f"killed-{self.seed}-{rounds}"
            while self._killed(out, rng, landed):
                pass
            assert_same(out, expected)
            shutil.rmtree(out)
        return landed

    def _enough(self, landed: Landed) -> bool:
        return landed.kills >= self.kills and landed.in_save >= self.in_save

    def _killed(self, out: Path, rng: random.Random, landed: Landed) -> bool:
        """One start; whether it was killed. Its checkpoints are looked at then."""
        saving = out / FOLDER / SAVING
        before, command = _stamp(saving), self.start(out)
        if not self._enough(landed):
            until(lambda: holds_lock(command, out) or command.ended(0), "the command takes its directory")
            if landed.in_save < self.in_save and rng.random() < 0.7:
                passed = _newest_step(out) + rng.choice((0, 4, 8))
                until(lambda: _newest_step(out) >= passed or command.ended(0), "some saves")
                until(lambda: _stamp(saving) not in (None, before) or command.ended(0), "the next save")
                command.ended(rng.uniform(0, self.save_s))
            else:
                command.ended(rng.uniform(0, self.span_s))
            command.send(signal.SIGKILL)
        ended = command.result()
        assert ended.code in (0, -signal.SIGKILL), ended.err
        assert "damaged" not in ended.err and "metrics" not in ended.err, ended.err
        if ended.code == 0:
            return False
        checkpoint, warnings = newest(out) if (out / FOLDER).is_dir() else (None, [])
        assert not warnings
        landed.kills += 1
        landed.before_any += checkpoint is None
        if _stamp(saving) not in (None, before):  # what an earlier kill left stays until the next save
            landed.in_save += 1
            landed.with_weights += any(saving.glob("*model.safetensors*")) or any(saving.glob(".model*"))
        return True


def _newest_step(out: Path) -> int:
    return max(map(step_of, folders(out)), default=0)


def _stamp(folder: Path) -> tuple[int, int] | None:
    """Another one after any change in the folder; None: it is not there."""
    with suppress(FileNotFoundError):
        status = folder.stat()
        return status.st_ino, status.st_mtime_ns
    return None
