"""The files of fitted models: plain arrays behind a readable head, known by their hash. Nothing in them is run.

In: a head (JSON-like) and named arrays. Out: one file: the line `wenhai-model 1 <sha256 of all that follows>`, a line
of JSON that names each array with its type, shape and place, and their bytes, little-endian. Reading checks the hash,
the head, and that every array lies inside the file; arrays are mapped, so processes share them. Price: the hash, 20 ms
for a model of 33 MB.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from runkit.errors import InputError, UsageError
from runkit.files import write_bytes

MAGIC: Final = b"wenhai-model"
VERSION: Final = 1
MAX_HEAD_BYTES: Final = 1_000_000
_TYPES: Final = frozenset({"<f4", "<u4", "<u8", "<i2", "|u1"})
_FIRST_LINE: Final = len(MAGIC) + 3 + 64 + 1  # `wenhai-model 1 <64 hex digits>\n`
NAME: Final = "quality.model"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What a model file holds."""

    kind: str
    head: dict[str, Any]
    arrays: dict[str, NDArray]
    sha256: str


def write_model(path: Path, kind: str, head: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> str:
    """Write a model; its sha256 as the file states it."""
    entries, blobs, place = [], [], 0
    for name, array in arrays.items():
        plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
        assert plain.dtype.str in _TYPES, plain.dtype
        entries.append({"name": name, "type": plain.dtype.str, "shape": list(plain.shape), "at": place})
        blobs.append(plain.tobytes())
        place += len(blobs[-1])
    body = {**head, "kind": kind, "arrays": entries}
    rest = orjson.dumps(body, option=orjson.OPT_SORT_KEYS) + b"\n" + b"".join(blobs)
    digest = hashlib.sha256(rest).hexdigest()
    write_bytes(path, b"%s %d %s\n" % (MAGIC, VERSION, digest.encode()) + rest)
    return digest


def model_path(path: Path) -> Path:
    """The model file that a run directory or a path means. UsageError: there is none."""
    found = path / NAME if path.is_dir() else path
    if not found.is_file():
        raise UsageError(f"There is no model at {path}; give a file or a run of `corpus quality fit`.")
    return found


def kind_of(path: Path) -> str:
    """The kind of the model in a file, whatever it is."""
    return _read(path).kind


def read_model(path: Path, kind: str) -> ModelFile:
    """UsageError: no model there, or one of another kind. InputError: it is damaged, or of another version."""
    found = _read(model_path(path))
    if found.kind != kind:
        raise UsageError(f"{path} is a model of the kind {found.kind!r}, not {kind!r}; name the other one.")
    return found


def _read(path: Path) -> ModelFile:
    try:
        mapped: Any = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the model {path}: {error}; fit it again.") from error
    words = bytes(mapped[:_FIRST_LINE]).split(b" ")
    if len(words) != 3 or words[0] != MAGIC or not words[2].endswith(b"\n"):
        raise InputError(f"{path} is no model of `corpus quality fit`; give the file that it wrote.")
    if words[1] != b"%d" % VERSION:
        raise InputError(f"{path} has version {words[1]!r}, this program reads {VERSION}; fit it again.")
    digest = hashlib.sha256(mapped[_FIRST_LINE:]).hexdigest()
    if words[2].strip().decode("ascii", "replace") != digest:
        raise InputError(f"The model {path} was damaged or edited; fit it again.")
    head_end = bytes(mapped[_FIRST_LINE : _FIRST_LINE + MAX_HEAD_BYTES]).find(b"\n")
    try:
        head = orjson.loads(bytes(mapped[_FIRST_LINE : _FIRST_LINE + head_end]))
        kind = str(head.pop("kind"))
        arrays = {entry["name"]: _array(mapped, _FIRST_LINE + head_end + 1, entry) for entry in head.pop("arrays")}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"The model {path} has a head that does not describe it; fit it again.") from error
    return ModelFile(kind, head, arrays, digest)


def _array(mapped: NDArray, start: int, entry: Mapping[str, Any]) -> NDArray:
    """ValueError where it does not lie in the file."""
    if entry["type"] not in _TYPES:
        raise ValueError(entry["type"])
    kind, shape = np.dtype(entry["type"]), tuple(int(size) for size in entry["shape"])
    if any(size < 0 for size in shape) or int(entry["at"]) < 0:
        raise ValueError(shape)
    size = kind.itemsize * int(np.prod(shape, dtype=np.int64))
    begin = start + int(entry["at"])
    if begin + size > len(mapped):
        raise ValueError(size)
    array = np.frombuffer(mapped[begin : begin + size], kind)  # a view of the mapped file, at any alignment
    return array.reshape(shape)
