"""The runs below some folders: who made them, of what, and what came out, as their own files say.

In: folders. Out: `Run`s and `Checkpoint`s in the order of their paths. Only manifests are read at first; marks and
summaries when they are asked for. Nothing is trusted: a manifest that was edited is read all the same, and said to be
damaged. Price: one look at each folder, 1 ms a run; folders that a run fills are not entered, links not followed.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import orjson

from runkit.errors import InputError
from runkit.rundir import checked
from runkit.source import shown

MANIFEST: Final = "manifest.json"
WEIGHTS: Final = "model.safetensors"
# What a run keeps in folders of its own; no run lies in them.
_FILLED: Final = frozenset(
    {
        *("documents", "rejected", "quarantine", "marks", "shards", "work", "tokenizer", "matches", "hits", "cuts"),
        *("answers", "tensorboard", "state", "adapter"),
    }
)
_MOST_BYTES: Final = 1_000_000_000  # of one JSON file


# Where the figures of a run stand that are written last, if not in summary.json.
FIGURES: Final = {"train eval mcq": "results.json", "judge selftest": "scorecard.json"}


@dataclass(frozen=True, slots=True)
class Input:
    """One input as a manifest names it."""

    name: str
    size: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Output:
    """A file of a run as its mark says it was."""

    sha256: str
    size: int


@dataclass(eq=False)
class Run:
    """A run directory."""

    path: Path
    name: str
    """Its path below the folder that was searched; for people, and unique."""
    command: str
    config: dict[str, Any]
    inputs: list[Input]
    versions: dict[str, Any]
    damage: list[str] = field(default_factory=list)

    def json(self, name: str) -> dict[str, Any]:
        """The object in one of its files, empty where there is none."""
        return read_object(self.path / name) or {}

    @cached_property
    def summary(self) -> dict[str, Any] | None:
        """None: the run has not come to its end."""
        return read_object(self.path / FIGURES.get(self.command, "summary.json"))

    @cached_property
    def usage(self) -> dict[str, Any]:
        return self.json("usage.json")

    @property
    def finished(self) -> bool:
        ended = self.summary is not None and self.summary.get("stopped") is None
        return ended and not (self.path / "work").exists()

    @cached_property
    def outputs(self) -> dict[str, Output]:
        """What the marks say was written, by its path in the run."""
        found: dict[str, Output] = {}
        for file in _files(self.path / "marks", ".json"):
            entries = (read_object(file) or {}).get("outputs")
            for name, entry in entries.items() if isinstance(entries, dict) else ():
                with suppress(TypeError, KeyError, ValueError):
                    found[name] = Output(str(entry["sha256"]), int(entry["size"]))
        return found

    def files(self, folder: str, ending: str) -> list[str]:
        """Names of its files in one of its folders, in order."""
        return [f"{folder}/{file.name}" for file in _files(self.path / folder, ending)]

    def wrong(self, name: str) -> str | None:
        """What is wrong with the size of a marked file; `None`: nothing, or nobody knows."""
        stated = self.outputs.get(name)
        if stated is None:
            return None
        try:
            size = (self.path / name).stat().st_size
        except OSError:
            return "missing"
        return None if size == stated.size else "changed"


@dataclass(eq=False)
class Checkpoint:
    """A folder with weights that `train` wrote, in a run or by itself."""

    path: Path
    name: str
    run: Run | None
    step: int
    files: dict[str, str]  # name -> sha256, as its manifest says
    sha256: str  # of the manifest's bytes

    @property
    def weights(self) -> str | None:
        return self.files.get(WEIGHTS)

    def wrong(self) -> str | None:
        """Whether a file that it names is not there."""
        return next((name for name in self.files if not (self.path / name).is_file()), None)


@dataclass(frozen=True, slots=True)
class Found:
    """All that lies below the folders."""

    places: list[Path]
    runs: list[Run]
    checkpoints: list[Checkpoint]
    unread: list[str]  # manifests that are none of ours, by path


def find_runs(places: Sequence[Path]) -> Found:
    """Everything below `places`. InputError: one of them is no folder."""
    found = Found(list(places), [], [], [])
    seen: set[Path] = set()
    for place in places:
        if not place.is_dir():
            raise InputError(f"{shown(str(place))} is no folder; give --runs a folder with runs.")
        for folder in _walk(place):
            real = folder.resolve()
            if real not in seen and (folder / MANIFEST).is_file():
                seen.add(real)
                _read(found, place, folder, len(places) > 1)
    return found


def _walk(place: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(place):
        is_run = MANIFEST in names
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name != "node_modules" and not (is_run and name in _FILLED)
        )
        yield Path(folder)


def name_below(place: Path, path: Path, several: bool) -> str:
    """The name of a path for people: below its place, with the place where there are several."""
    inside = path.relative_to(place)
    if str(inside) == ".":
        return shown(path.resolve().name or str(path))
    return shown(str(place / inside if several else inside))


def _read(found: Found, place: Path, folder: Path, several: bool) -> None:
    raw = _bytes(folder / MANIFEST)
    body = _parse(raw)
    name = name_below(place, folder, several)
    if body is not None and isinstance(body.get("command"), str) and isinstance(body.get("inputs"), list):
        run = Run(
            folder, name, body["command"], _dict(body, "config"), _inputs(body["inputs"]), _dict(body, "versions")
        )
        if raw is None or checked(raw) is None:
            run.damage.append("manifest")
        found.runs.append(run)
    elif body is not None and isinstance(body.get("files"), dict) and isinstance(body.get("step"), int):
        owner = next((run for run in reversed(found.runs) if folder.parent.parent == run.path), None)
        files = {str(key): str(value) for key, value in body["files"].items()}
        found.checkpoints.append(Checkpoint(folder, name, owner, body["step"], files, _sha256(raw or b"")))
    elif (folder / "resolved.yaml").is_file() or (folder / ".lock").is_file():
        found.unread.append(name)


def _inputs(items: Iterable[Any]) -> list[Input]:
    found = []
    for item in items:
        with suppress(TypeError, KeyError, ValueError):
            found.append(Input(str(item["name"]), int(item["size"]), str(item["fingerprint"])))
    return found


def _dict(body: dict[str, Any], key: str) -> dict[str, Any]:
    value = body.get(key)
    return value if isinstance(value, dict) else {}


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _files(folder: Path, ending: str) -> list[Path]:
    with suppress(OSError):
        return sorted(file for file in folder.iterdir() if file.name.endswith(ending) and file.is_file())
    return []


def _bytes(file: Path) -> bytes | None:
    with suppress(OSError):
        if file.is_file() and file.stat().st_size <= _MOST_BYTES:
            return file.read_bytes()
    return None


def _parse(raw: bytes | None) -> dict[str, Any] | None:
    with suppress(orjson.JSONDecodeError, TypeError):
        value = orjson.loads(raw or b"")
        return value if isinstance(value, dict) else None
    return None


def read_object(file: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is none."""
    return _parse(_bytes(file))
