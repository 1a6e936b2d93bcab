"""Fingerprints of folders, as `train` and `judge` bind their runs to them: token shards, and models that were judged.

In: a run of `train tokens`, or checkpoints. Out: the hash that a later run's manifest holds, computed from the files as
they are now (docs/formats.md says of what). Price: of shards 16 bytes a document are hashed, shard by shard, and 256
documents looked at; of checkpoints their manifests alone, which hold the sums of the weights.
"""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpus.runs_found import MANIFEST, Checkpoint, Found, Run
from corpus.runs_roles import JUDGES, MODELS
from runkit.files import sha256_file

PROBED: Final = 256  # documents whose ids are part of the fingerprint of token shards
CALLED: Final = "checkpoint-"  # how `judge` names a checkpoint as a model; 16 digits of its fingerprint follow


def shards_fingerprint(run: Run) -> str | None:
    """As a run that was trained on these shards has it in its manifest; None: they are not whole."""
    with suppress(OSError, ValueError, KeyError, TypeError, IndexError):
        summary = run.summary or {}
        names = [str(entry["name"]) for entry in summary["shards"]]
        digest = hashlib.sha256(str(summary["tokenizer"]["sha256"]).encode())
        counts = [len(index_of(run, name)) for name in names]
        for column in ("id_hash", "length"):
            digest.update(f"{sum(counts)} ".encode())
            for name in names:
                digest.update(np.ascontiguousarray(index_of(run, name)[column]).tobytes())
        for shard, number in _probed(counts):
            tokens = tokens_of(run, names[shard], number)
            digest.update(f"{len(tokens)} ".encode() + tokens.tobytes())
        return digest.hexdigest()
    return None


def index_of(run: Run, name: str) -> NDArray[Any]:
    """The rows of a shard's documents, mapped. OSError, ValueError: it is gone or damaged."""
    found: NDArray[Any] = np.load(run.path / "shards" / f"{name}.index.npy", mmap_mode="r", allow_pickle=False)
    return found


def tokens_of(run: Run, name: str, number: int) -> NDArray[Any]:
    """The ids of a document, as they lie in the shard."""
    kind = np.dtype("<u4" if (run.summary or {}).get("dtype") == "uint32" else "<u2")
    row = index_of(run, name)[number]
    return np.fromfile(
        run.path / "shards" / f"{name}.bin", kind, int(row["length"]), offset=int(row["start"]) * kind.itemsize
    )


def _probed(counts: list[int]) -> Iterator[tuple[int, int]]:
    total = sum(counts)
    first = np.append(0, np.cumsum(counts))
    for document in np.linspace(0, total - 1, min(PROBED, total), dtype=np.int64).tolist():
        shard = int(np.searchsorted(first, document, side="right")) - 1
        yield shard, document - int(first[shard])


def shown_models(run: Run) -> list[tuple[str, str, str]]:
    """Checkpoints that a run of `judge` asked: name, what it calls the model, and whether it answered or judged."""
    found = []
    for key, role in (("systems", "system"), ("judges", "judge")):
        entries = run.config.get(key) if run.command in JUDGES else None
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and str(entry.get("model", "")).startswith(CALLED):
                found.append((str(entry.get("name")), str(entry["model"]), role))
    return found


def judged_models(found: Found, wanted: set[str]) -> dict[str, list[Checkpoint]]:
    """Checkpoints by what `judge` calls them; of a run the newest, as it stood when it had these checkpoints."""
    models: dict[str, list[Checkpoint]] = {}
    if not any(name.startswith(CALLED) for name in wanted):
        return models
    for run in found.runs:
        own = sorted((one for one in found.checkpoints if one.run is run), key=lambda one: one.step)
        if run.command in MODELS and own:
            parts = [f"checkpoints/{one.path.name}/{MANIFEST}\0{one.sha256}" for one in _by_name(own)]
            models.setdefault(_called(parts), []).append(own[-1])
    for one in found.checkpoints:
        with suppress(OSError):
            files = sorted(file for file in one.path.iterdir() if file.is_file() and not file.name.startswith("."))
            sums = {**one.files, MANIFEST: one.sha256}
            models.setdefault(_called([f"{f.name}\0{sums.get(f.name) or sha256_file(f)}" for f in files]), []).append(
                one
            )
    return models


def _by_name(own: list[Checkpoint]) -> list[Checkpoint]:
    return sorted(own, key=lambda one: one.path)


def _called(parts: list[str]) -> str:
    return CALLED + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
