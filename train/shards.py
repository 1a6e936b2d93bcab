"""Token shards: a folder of ids that training maps into memory, whole in itself, with the tokenizer that made them.

In: encoded documents of one shard. Out: `shards/<shard>.bin` (all ids one after another, little-endian uint16, or
uint32 where the tokenizer has more than 65,536), `<shard>.index.npy` (a row for each document) and `<shard>.ids.jsonl`
(the ids of the documents, read only when asked for). `open_shards` reads all indexes, 44 bytes a document, and of each
.bin the size and both ends: mixed-up and cut files are noticed in 1.5 ms a shard. Price: a byte changed in the middle
is not; the next start of `train tokens` on the folder notices that too.
"""

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import orjson
from numpy.typing import NDArray

from runkit.errors import InputError, UsageError
from runkit.files import atomic_write, safe_join, sha256_file, write_bytes
from runkit.records import Document, held_out_bound, held_out_hash
from train.pieces import Tokenizer
from train.tokenizer import load

FORMAT: Final = 1
COMMAND: Final = "train tokens"
SUMMARY: Final = "summary.json"
END_BYTES: Final = 4096  # of each end of a .bin, whose hash tells two files of one size apart
INDEX: Final = np.dtype(
    [
        ("start", "<i8"),  # in tokens, from the beginning of the shard
        ("length", "<i8"),  # tokens, with those that begin and end the text
        ("characters", "<i8"),
        ("bytes", "<i8"),  # of the text as UTF-8
        ("source", "<i4"),  # place in the shard's list of sources
        ("id_hash", "<u8"),  # runkit.records.held_out_hash
    ]
)

TokenArray = NDArray[np.unsignedinteger[Any]]


def token_type(size: int) -> np.dtype[Any]:
    """The type in which ids below `size` are stored."""
    return np.dtype("<u2" if size <= 65_536 else "<u4")


@dataclass(frozen=True, slots=True)
class Encoded:
    """Some documents of a shard, one after another."""

    tokens: TokenArray  # (T,)
    lengths: NDArray[np.int64]  # (D,), with the tokens that begin and end a text
    documents: list[Document]


@dataclass(frozen=True, slots=True)
class Written:
    """A shard on the disk."""

    outputs: dict[str, str]  # path in the folder -> sha256
    entry: dict[str, Any]  # of the list `shards` in summary.json
    index: NDArray[Any]  # (D,) of INDEX


def write_shard(file: Callable[[str], Path], name: str, batches: Iterable[Encoded]) -> Written:
    """Write the files of shard `name`; `file` gives the path of a name in the folder.

    Memory: one batch and the index.
    """
    binary, index_name, ids_name = (f"shards/{name}.{end}" for end in ("bin", "index.npy", "ids.jsonl"))
    digest = hashlib.sha256()
    sources: dict[str, int] = {}
    rows: list[NDArray[Any]] = []
    ids: list[bytes] = []
    with atomic_write(file(binary)) as stream:
        for batch in batches:
            raw = batch.tokens.tobytes()
            digest.update(raw)
            stream.write(raw)
            rows.append(_rows(batch, sources))
            ids += [orjson.dumps(document.id) + b"\n" for document in batch.documents]
    index = np.concatenate(rows) if rows else np.empty(0, INDEX)
    index["start"] = np.cumsum(index["length"]) - index["length"]
    buffer = io.BytesIO()
    np.save(buffer, index)
    outputs = {binary: digest.hexdigest()}
    for other, data in ((index_name, buffer.getvalue()), (ids_name, b"".join(ids))):
        write_bytes(file(other), data)
        outputs[other] = hashlib.sha256(data).hexdigest()
    entry = {
        "name": name,
        "documents": len(index),
        "tokens": int(index["length"].sum()),
        "sources": list(sources),
        "index_sha256": outputs[index_name],
        "ends_sha256": _ends(file(binary)),
    }
    return Written(outputs, entry, index)


def _rows(batch: Encoded, sources: dict[str, int]) -> NDArray[Any]:
    """Index of the documents of a batch, without `start`; new sources are added."""
    documents = batch.documents
    rows = np.zeros(len(documents), INDEX)
    rows["length"] = batch.lengths
    rows["characters"] = [len(document.text) for document in documents]
    rows["bytes"] = [len(document.text.encode()) for document in documents]
    rows["source"] = [sources.setdefault(document.source, len(sources)) for document in documents]
    rows["id_hash"] = np.fromiter((held_out_hash(document.id) for document in documents), np.uint64, len(documents))
    return rows


def _ends(path: Path) -> str:
    """sha256 over the first and last `END_BYTES`."""
    with path.open("rb") as file:
        head = file.read(END_BYTES)
        file.seek(max(0, path.stat().st_size - END_BYTES))
        return hashlib.sha256(head + file.read()).hexdigest()


def read_index(path: Path, name: str) -> NDArray[Any]:
    """The index of a shard that was written just now, (D,) of INDEX."""
    index: NDArray[Any] = np.load(path / "shards" / f"{name}.index.npy")
    return index


@dataclass(frozen=True)
class TokenShards:
    """All documents of a folder of shards, in order; made by `open_shards`."""

    path: Path
    tokenizer: Path  # the file in the folder
    tokenizer_sha256: str
    vocab_size: int
    dtype: np.dtype[Any]
    bos: int | None  # ids that begin and end each document here; None where none does
    eos: int | None
    sources: list[str]
    names: list[str]  # of the shards
    first: NDArray[np.int64]  # (shards + 1,): the document with which each shard begins
    shard: NDArray[np.int32]  # (D,), place in `names`
    start: NDArray[np.int64]  # (D,), in tokens of its shard
    length: NDArray[np.int64]  # (D,), tokens, with bos and eos
    characters: NDArray[np.int64]  # (D,)
    bytes: NDArray[np.int64]  # (D,)
    source: NDArray[np.int32]  # (D,), place in `sources`
    id_hash: NDArray[np.uint64]  # (D,)

    def __len__(self) -> int:
        """Documents."""
        return len(self.length)

    def tokens(self, document: int) -> TokenArray:
        """The ids of a document with bos and eos, (length,), mapped from the disk."""
        start = self.start[document]
        return self.mapped(int(self.shard[document]))[start : start + self.length[document]]

    def text(self, document: int) -> str:
        """The text of a document, decoded."""
        return self.loaded.decode(self.tokens(document).tolist())

    def id(self, document: int) -> str:
        """The id of a document; reads those of its whole shard."""
        shard = int(self.shard[document])
        return self.ids(shard)[document - int(self.first[shard])]

    def ids(self, shard: int) -> list[str]:
        """The ids of all documents of a shard. InputError: the file was cut or edited."""
        file = self.path / "shards" / f"{self.names[shard]}.ids.jsonl"
        try:
            ids = [str(orjson.loads(line)) for line in file.read_bytes().splitlines()]
        except (OSError, orjson.JSONDecodeError) as error:
            raise _broken(self.path, f"shards/{file.name} cannot be read") from error
        if len(ids) != self.first[shard + 1] - self.first[shard]:
            raise _broken(self.path, f"shards/{file.name} does not hold an id for each document")
        return ids

    def held_out(self, share: float) -> NDArray[np.bool_]:
        """Which documents `runkit.records.held_out` keeps from training, (D,)."""
        bound = held_out_bound(share)
        # numpy has no 2^64, and as a float64 a hash would lose its last bits.
        return self.id_hash < np.uint64(bound) if bound < 2**64 else np.ones(len(self), bool)

    def mapped(self, shard: int) -> TokenArray:
        """All ids of a shard, (T,), mapped from the disk."""
        if shard not in self._maps:
            file = self.path / "shards" / f"{self.names[shard]}.bin"
            empty = file.stat().st_size == 0  # which cannot be mapped
            self._maps[shard] = np.empty(0, self.dtype) if empty else np.memmap(file, self.dtype, "r")
        return self._maps[shard]

    @cached_property
    def loaded(self) -> Tokenizer:
        """The tokenizer that made the shards."""
        return load(self.tokenizer)

    @cached_property
    def _maps(self) -> dict[int, TokenArray]:
        return {}


def open_shards(path: Path | str) -> TokenShards:
    """The shards that `train tokens` wrote.

    UsageError: there is no such folder. InputError: the folder is something else, not finished, or its parts do not
    belong together.
    """
    path = Path(path)
    if not path.is_dir():
        raise UsageError(f"{path} is no folder; name the folder that `train tokens --out` wrote.")
    summary = _summary(path)
    try:
        size, entries = int(summary["tokenizer"]["size"]), list(summary["shards"])
        dtype = token_type(size)
        if summary["dtype"] != dtype.name:
            raise _broken(path, f"{SUMMARY} says {summary['dtype']} for {size:,} ids")
        file = _check_tokenizer(path, summary["tokenizer"])
        _check_others(path, entries)
        indexes = [_check_shard(path, entry, dtype) for entry in entries]
        return _joined(path, summary, file, entries, indexes)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _broken(path, f"{SUMMARY} was edited") from error


def _summary(path: Path) -> dict[str, Any]:
    manifest, summary = _object(path / "manifest.json"), _object(path / SUMMARY)
    if manifest is None or manifest.get("command") != COMMAND:
        raise InputError(f"{path} holds no token shards; name the folder that `train tokens --out` wrote.")
    if summary is None:
        raise InputError(f"{path} is not finished; run `train tokens` on it again first.")
    if summary.get("format") != FORMAT:
        raise InputError(
            f"{path} holds token shards of format {summary.get('format')}, this program reads {FORMAT}; "
            "run `train tokens` into a new folder."
        )
    return summary


def _object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None where there is no such file."""
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, orjson.JSONDecodeError) as error:
        raise _broken(path.parent, f"{path.name} cannot be read") from error
    return value if isinstance(value, dict) else {}


def _broken(path: Path, fault: str) -> InputError:
    return InputError(f"{path}: {fault}; run the same `train tokens` on it again to mend it, or into a new folder.")


def _check_tokenizer(path: Path, stated: dict[str, Any]) -> Path:
    """The tokenizer's file, which is the one that made the shards."""
    file = safe_join(path, stated["file"])
    if not file.is_file():
        raise _broken(path, f"the tokenizer {stated['file']} is missing")
    if sha256_file(file) != stated["sha256"]:
        raise _broken(path, f"{stated['file']} is not the tokenizer that made the shards")
    size = load(file).size
    if size != stated["size"]:
        raise _broken(path, f"{stated['file']} has {size:,} ids, {SUMMARY} says {stated['size']:,}")
    return file


def _check_others(path: Path, entries: list[dict[str, Any]]) -> None:
    """Shards that the summary does not know come from another run."""
    known = {entry["name"] for entry in entries}
    for file in sorted((path / "shards").glob("*.bin")):
        if file.stem not in known:
            raise InputError(f"{path}: shards/{file.name} is of another run: {SUMMARY} does not name it; remove it.")


def _check_shard(path: Path, entry: dict[str, Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The index of one shard, which fits its ids."""
    name = f"shards/{entry['name']}"

    def broken(fault: str) -> NoReturn:
        raise _broken(path, fault)

    try:
        index_raw = safe_join(path, f"{name}.index.npy").read_bytes()
        binary = safe_join(path, f"{name}.bin")
        size, ends = binary.stat().st_size, _ends(binary)
    except OSError as error:
        missing = Path(str(error.filename)).name
        broken(f"shards/{missing} is missing or cannot be read")
    if size != entry["tokens"] * dtype.itemsize:
        broken(f"{name}.bin has {size:,} bytes, not {entry['tokens'] * dtype.itemsize:,}")
    if hashlib.sha256(index_raw).hexdigest() != entry["index_sha256"]:
        broken(f"{name}.index.npy is not the index that {SUMMARY} names; it was edited or is of another run")
    index: NDArray[Any] = np.load(io.BytesIO(index_raw))
    ended = np.cumsum(index["length"])
    last = int(ended[-1]) if len(index) else 0
    if len(index) != entry["documents"] or last != entry["tokens"] or (index["start"] != ended - index["length"]).any():
        broken(f"{name}.index.npy and {name}.bin do not belong together")
    if ends != entry["ends_sha256"]:
        broken(f"{name}.bin does not hold the ids that {SUMMARY} names; it was edited or is of another run")
    return index


def _joined(
    path: Path,
    summary: dict[str, Any],
    tokenizer: Path,
    entries: list[dict[str, Any]],
    indexes: list[NDArray[Any]],
) -> TokenShards:
    """All indexes one after another, sources by their names."""
    sources = sorted({source for entry in entries for source in entry["sources"]})
    place = {source: number for number, source in enumerate(sources)}
    counts = np.array([len(index) for index in indexes], np.int64)
    whole = np.concatenate(indexes) if indexes else np.empty(0, INDEX)
    numbers = [
        np.array([place[source] for source in entry["sources"]], np.int32)[index["source"]]
        for entry, index in zip(entries, indexes, strict=True)
        if len(index)
    ]
    return TokenShards(
        path=path,
        tokenizer=tokenizer,
        tokenizer_sha256=summary["tokenizer"]["sha256"],
        vocab_size=summary["tokenizer"]["size"],
        dtype=token_type(summary["tokenizer"]["size"]),
        bos=summary["bos"],
        eos=summary["eos"],
        sources=sources,
        names=[entry["name"] for entry in entries],
        first=np.append(0, np.cumsum(counts)),
        shard=np.repeat(np.arange(len(entries), dtype=np.int32), counts),
        start=whole["start"].copy(),
        length=whole["length"].copy(),
        characters=whole["characters"].copy(),
        bytes=whole["bytes"].copy(),
        source=np.concatenate(numbers) if numbers else np.empty(0, np.int32),
        id_hash=whole["id_hash"].copy(),
    )
