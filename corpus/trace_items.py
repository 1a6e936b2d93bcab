"""Instructions that are meant: grounded in a document, or one by its id, in every run and file that holds them.

In: runs of `selfinstruct`, files of instructions that a run read, ids of documents or items. Out: tables of lines. From
run to run an item is followed by its id and its text together, for each run counts its items from one. Price: 0.4 s for
a million lines.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from corpus.runs_found import Run
from corpus.trace_documents import EXACT, Held, Vias
from runkit.errors import UserError
from runkit.fields import Fault
from runkit.instructions import find_items
from runkit.jsonl import JsonLineError, iter_lines, parse_object

SCHEMA: Final[dict[str, Any]] = {
    "file": pl.String,
    "line": pl.Int64,
    "id": pl.String,
    "instruction": pl.String,  # its beginning
    "document_ids": pl.List(pl.String),
    "seed_ids": pl.List(pl.String),
    "call_id": pl.String,
    "task_call_id": pl.String,
    "model": pl.String,
    "reasons": pl.List(pl.String),
    "key": pl.String,  # of id and text
    "via": pl.String,
    "how": pl.String,
}
KEPT, REJECTED = "instructions.jsonl", "rejected.jsonl"
SHOWN: Final = 60  # characters of an instruction
_FEW: Final = 64  # ids that are looked for as bytes before a line is parsed
Match = Callable[[Mapping[str, Any]], tuple[str, str] | None]  # (via, how) of a record that is meant


def key_of(record: Mapping[str, Any]) -> str:
    """The same for the same item, whatever run it lies in."""
    parts = "\0".join(str(record.get(name) or "") for name in ("id", "instruction", "input", "output"))
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def grounded(vias: Vias, how: str = EXACT) -> Match:
    """Items that are made from one of these documents."""

    def match(record: Mapping[str, Any]) -> tuple[str, str] | None:
        found = {vias[id] for id in texts(record, "document_ids") if id in vias}
        return (min(found, key=lambda via: via != "itself"), how) if found else None

    return match


def the_same(keys: Mapping[str, str], how: str = EXACT) -> Match:
    """Items whose key is one of these."""

    def match(record: Mapping[str, Any]) -> tuple[str, str] | None:
        via = keys.get(key_of(record))
        return None if via is None else (via, how)

    return match


def texts(record: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts in a record, whatever stands there."""
    value = record.get(name)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def items_of(run: Run, match: Match, held: Held, words: list[str] | None = None) -> pl.DataFrame:
    """The lines of a run's items that match; of few `words` one stands in each of them."""
    rows: list[dict[str, Any]] = []
    needles = [word.encode() for word in words] if words is not None and len(words) <= _FEW else None
    for name in (KEPT, REJECTED):
        for number, record in json_lines(run.path / name, needles):
            found = match(record)
            if found is not None:
                rows.append(_row(record, name, number, *found))
        if name in run.outputs and run.wrong(name):
            held.note("changed", run, f"{run.name}/{name}")
    return pl.DataFrame(rows, schema=SCHEMA, strict=False)


def json_lines(file: Path, needles: list[bytes] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, object) of the good lines of a file that hold one of `needles`; none where there is no file."""
    try:
        if not file.is_file():
            return
        with file.open("rb") as stream:
            for line in iter_lines(stream):
                data = line.data
                if data is None or (needles is not None and not any(needle in data for needle in needles)):
                    continue
                try:
                    yield line.number, parse_object(data)
                except JsonLineError:
                    continue
    except OSError:
        return


def items_in_file(path: Path, name: str, match: Match, held: Held) -> pl.DataFrame:
    """The same of a file in any layout, that no run wrote."""
    rows: list[dict[str, Any]] = []
    try:
        for number, found in enumerate(find_items([str(path)]).read(), 1):
            if not isinstance(found, Fault):
                record = {**found.record, "id": found.id}
                if (fits := match(record)) is not None:
                    rows.append(_row(record, name, number, *fits))
    except (UserError, orjson.JSONDecodeError):
        held.note("unreadable", None, name)
    return pl.DataFrame(rows, schema=SCHEMA, strict=False)


def _row(record: Mapping[str, Any], file: str, number: int, via: str, how: str) -> dict[str, Any]:
    def text(name: str) -> str | None:
        value = record.get(name)
        return value if isinstance(value, str) else None

    return {
        "file": file,
        "line": number,
        "id": str(record.get("id")),
        "instruction": (text("instruction") or "")[:SHOWN],
        "document_ids": texts(record, "document_ids"),
        "seed_ids": texts(record, "seed_ids"),
        "call_id": text("call_id"),
        "task_call_id": text("task_call_id"),
        "model": text("model"),
        "reasons": texts(record, "reasons"),
        "key": key_of(record),
        "via": via,
        "how": how,
    }


def keys_of(frame: pl.DataFrame) -> dict[str, str]:
    """key -> via."""
    return dict(frame.select("key", "via").iter_rows())


def call_ids(frame: pl.DataFrame) -> set[str]:
    """The calls that gave these items."""
    return {value for name in ("call_id", "task_call_id") for value in frame[name].to_list() if value}
