"""A set of clean documents: what may be one, how it is planned, and how its documents are read.

In: run directories of `corpus`, parquet, JSON lines and text files, as files, folders, globs or URLs. Out: a
`Plan`, and for each of its shards `Document`s in file order with a `Fault` for every record that is none. Raw
material (WARC, HTML, MediaWiki) is refused: to decode it and extract its text is the work of `corpus clean`. Of a
run only `documents/` is read, and only when the run is finished, so that nothing rejected slips in. Text files are
strict UTF-8 and are cut into documents of at most 1 MB; memory is bounded by two of these, by one line, or by
10,000 rows of parquet.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson

from runkit.errors import InputError
from runkit.fields import Fault, Fields, date_of, read_fields, reading, text_of, url_of
from runkit.inputs import SHARD_BYTES, Found, Part, Plan, Shard, plan
from runkit.jsonl import JsonLineError
from runkit.records import Document, held_out, id_of_text, sampled
from runkit.source import Source, is_web, shown
from runkit.streams import Stream, StreamError, pieces_of

__all__ = ["Document", "Fault", "held_out", "of_runs", "plan_documents", "read_documents", "read_rows", "sampled"]

TEXT_BYTES: Final = 1_000_000  # the longest document made of a text file
_RAW: Final = MappingProxyType(
    {
        "warc": "a WARC file: run `corpus clean` on it first",
        "html": "an HTML page: run `corpus clean` on it first",
        "mediawiki": "a MediaWiki dump: run `corpus clean` on it first",
    }
)
_RUNS: Final = frozenset(
    {"corpus clean", "corpus tune", "corpus dedup", "corpus decontaminate", "corpus quality score"}
)  # that write `documents/`
_COLUMNS: Final = frozenset({"id", "url", "source", "language", "date", "timestamp", "meta"})
_DOCUMENTS: Final = "documents"


def plan_documents(inputs: Sequence[str], *, shard_bytes: int = SHARD_BYTES) -> Plan:
    """Find and cut a set of documents. InputError: a run that is not finished or empty, or nothing to read."""
    return plan(inputs, shard_bytes=shard_bytes, choose=of_runs, refused=_RAW)


def read_documents(shard: Shard, text_field: str = "text") -> Iterator[Document | Fault]:
    """Documents of a shard in file order, and what is none. InputError: a file is gone since it was planned."""
    for item in read_rows(shard, text_field):
        yield item if isinstance(item, Fault) else item[0]


def read_rows(
    shard: Shard, text_field: str = "text", more: Collection[str] = ()
) -> Iterator[tuple[Document, Mapping[str, Any]] | Fault]:
    """As `read_documents`, with the values of the record beside each; of parquet those of the columns `more` too."""
    for part in shard.parts:
        with reading(part):
            if part.format == "text":
                for item in _read_text(part):
                    yield item if isinstance(item, Fault) else (item, {})
            else:
                yield from _read_records(part, text_field, more)


def of_runs(found: list[Found]) -> list[Found]:
    """Of files met in a folder, those that lie in a run but not in its `documents/` are left out."""
    places = [_place(file.path) for file in found]
    named = {place.removesuffix("/manifest.json") for place in places if place.endswith("/manifest.json")}
    named |= {folder[: -len(_DOCUMENTS) - 1] for place in places if (folder := _parent(place)).endswith("/documents")}
    runs = sorted(folder for folder in named if not is_web(folder) and _is_run(folder))
    for run in runs:
        _check(run)
    return [file for file, place in zip(found, places, strict=True) if file.explicit or _belongs(place, runs)]


def _place(path: str) -> str:
    return path if "://" in path else str(Path(path).absolute())


def _parent(place: str) -> str:
    return place.rpartition("/")[0]


def _belongs(place: str, runs: list[str]) -> bool:
    return all(place.startswith(f"{run}/{_DOCUMENTS}/") for run in runs if place.startswith(f"{run}/"))


def _is_run(folder: str) -> bool:
    return _command_of(folder) in _RUNS


def _command_of(folder: str) -> str | None:
    """What made a run directory."""
    manifest = _read_json(f"{folder}/manifest.json")
    command = manifest.get("command") if manifest is not None else None
    return command if isinstance(command, str) else None


def _check(run: str) -> None:
    """InputError where a run is not at its end, or came to nothing."""
    summary = _read_json(f"{run}/summary.json")
    if summary is None or _exists(f"{run}/work"):
        raise InputError(f"{shown(run)} is not finished; run `{_command_of(run)}` on it again first.")
    counts = summary.get("documents")
    if isinstance(counts, dict) and counts.get("kept") == 0:
        raise InputError(f"{shown(run)} kept no documents; its report.html says why each was rejected.")


def _read_json(path: str) -> dict[str, Any] | None:
    """The object in a small file, None where there is no such file or no object in it."""
    with suppress(OSError, orjson.JSONDecodeError), Source(path) as source:
        value = orjson.loads(source.read_at(0, source.size))
        return value if isinstance(value, dict) else None
    return None


def _exists(path: str) -> bool:
    if "://" not in path:
        return Path(path).exists()
    import fsspec  # type: ignore[import-untyped,unused-ignore]

    fs, inner = fsspec.core.url_to_fs(path)
    return bool(fs.exists(inner))


def _read_records(
    part: Part, text_field: str, more: Collection[str]
) -> Iterator[tuple[Document, Mapping[str, Any]] | Fault]:
    for item in read_fields(part, _COLUMNS | {text_field, *more}, texts=(text_field,)):
        if isinstance(item, Fault):
            yield item
            continue
        try:
            yield _document(item, part, text_field), item.values
        except JsonLineError as error:
            yield item.fault(error)


def _document(item: Fields, part: Part, text_field: str) -> Document:
    values = item.values
    text = text_of(values, text_field)
    if not text:
        raise JsonLineError("text.empty", f"{text_field!r} is empty")
    own_id, source = values.get("id"), values.get("source")
    if isinstance(own_id, int) and not isinstance(own_id, bool):
        own_id = str(own_id)
    return Document(
        own_id if isinstance(own_id, str) and own_id else id_of_text(text),
        item.origin,
        text,
        url_of(values),
        source if isinstance(source, str) and source and not part.labelled else part.source,
        url_of(values, "language"),
        date_of(values),
        _meta(values.get("meta")),
    )


def _meta(value: Any) -> str:
    """The record's `meta` as a JSON object: `corpus clean` writes it as text, others as an object."""
    if isinstance(value, str):
        with suppress(orjson.JSONDecodeError):
            if isinstance(orjson.loads(value), dict):
                return value
    if not isinstance(value, dict):
        return "{}"
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError as error:  # an integer beyond 64 bits
        raise JsonLineError("meta.not_json", f"'meta': {error}") from None


def _read_text(part: Part) -> Iterator[Document | Fault]:
    """A text file as documents that together are its text; damage or bytes that are no UTF-8 end it, as one Fault."""
    offset = 0
    with Source(part.path) as source:
        try:
            for piece in cut_text(pieces_of(Stream(source, part.compression, part.start, part.end))):
                yield _piece(piece, offset, part)
                offset += len(piece)
        except StreamError as damage:
            yield Fault(part.name, damage.offset, None, damage.reason, damage.detail)
        except UnicodeDecodeError as error:
            detail = "run `corpus clean` on it first, which decodes GBK and others"
            yield Fault(part.name, offset + error.start, None, "text.not_utf8", detail)


def _piece(piece: bytes, offset: int, part: Part) -> Document | Fault:
    text = piece.decode()
    if offset == 0:
        text = text.removeprefix("\ufeff")
    if not text:
        return Fault(part.name, offset, None, "text.empty")
    if "\0" in text:
        return Fault(part.name, offset + piece.index(0), None, "text.nul", "a NUL; run `corpus clean` on it first")
    origin = f"{part.name}#{offset}"
    return Document(id_of_text(text), origin, text, None, part.source, None, None, "{}")


def cut_text(pieces: Iterable[bytes], most: int = TEXT_BYTES) -> Iterator[bytes]:
    """The bytes again in cuts of at most `most` (4 or more): after a line in the last half, else between characters."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) > most:
            size = _cut_place(held, most)
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


def _cut_place(held: bytearray, most: int) -> int:
    newline = held.rfind(b"\n", most // 2, most)
    if newline >= 0:
        return newline + 1
    # A character has at most four bytes; where none begins, this is no UTF-8 and any place will do.
    return next((end for end in range(most, most - 4, -1) if held[end] & 0xC0 != 0x80), most)
