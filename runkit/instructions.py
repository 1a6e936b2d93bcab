"""Sets of instructions as they lie about: which files, and their records as ours.

In: JSON lines, parquet (also gz, zst, bz2) and JSON arrays, in any layout of layouts.py, runs of `generate` and `dedup`
among them. Out: a plan, and `Item`s in file order with a `Fault` for each record that is none. Price: one line in
memory; a JSON array as a whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from runkit.errors import InputError
from runkit.fields import Fault, Fields, read_fields, reading
from runkit.files import sha256_file
from runkit.inputs import Found, Plan, plan
from runkit.jsonl import UTF8_BOM, JsonLineError
from runkit.layouts import is_ours, ours
from runkit.planned import manifest_inputs
from runkit.records import id_of_text
from runkit.source import Source
from runkit.streams import StreamError, head_of, starts_member, whole

INSTRUCTIONS: Final = "instructions.jsonl"
# Columns of parquet whose values are texts or numbers as they are; everything else goes into one more as JSON.
PLAIN: Final = ("id", "instruction", "input", "output", "category", "model", "topic", "nearest", "nearest_rouge_l")
MORE: Final = "more"
_PACKED: Final = {*PLAIN, MORE}
_REFUSED: Final = MappingProxyType(
    dict.fromkeys(("warc", "html", "mediawiki", "text"), "no instruction set: give JSON lines, a JSON array or parquet")
)
_HEAD_BYTES: Final = 4096
_MOST_BYTES: Final = 2_000_000_000  # of an array, which takes five times as much as objects


class Item(NamedTuple):
    """One record: ours, with an id."""

    id: str
    record: dict[str, Any]

    @property
    def instruction(self) -> str:
        """What is compared."""
        return str(self.record["instruction"])


@dataclass(frozen=True, slots=True)
class Items:
    """Files of a set in the order in which they were named."""

    parts: tuple[Plan | Path, ...]  # a path is a JSON array

    def read(self) -> Iterator[Item | Fault]:
        """All records as ours. InputError: a file is gone or an array is no JSON."""
        for found in self.fields():
            yield found if isinstance(found, Fault) else _item(found)

    def fields(self) -> Iterator[Fields | Fault]:
        """All records as they stand, in whatever layout. InputError: as `read`."""
        for part in self.parts:
            yield from _read_array(part) if isinstance(part, Path) else _read_plan(part)

    def inputs(self) -> list[dict[str, Any]]:
        """As `RunDir.open` takes them."""
        found = []
        for number, part in enumerate(self.parts):
            if isinstance(part, Path):
                entry = {"name": part.name, "size": part.stat().st_size, "fingerprint": sha256_file(part)}
                found.append(entry)
            else:
                found += manifest_inputs(part)
            found = (
                [*found[:-1], {**found[-1], "name": f"{number}/{found[-1]['name']}"}] if len(self.parts) > 1 else found
            )
        return found


def find_items(paths: Sequence[str]) -> Items:
    """UsageError: a path does not exist. InputError: there is nothing to read in one of them."""
    return Items(
        tuple(Path(path) if _is_array(path) else plan([path], choose=_of_run, refused=_REFUSED) for path in paths)
    )


def _of_run(found: list[Found]) -> list[Found]:
    """Of a run's folder only what was kept."""
    kept = [file for file in found if not file.explicit and Path(file.path).name == INSTRUCTIONS]
    return kept or found


def _is_array(path: str) -> bool:
    """Lines of arrays are no array: each of them is a bad line."""
    if not Path(path).is_file():
        return False
    with suppress(OSError), Source(path) as source:
        head = head_of(source, 0, _compression(source), _HEAD_BYTES).removeprefix(UTF8_BOM).lstrip()
        first, newline, rest = head.partition(b"\n")
        return head.startswith(b"[") and not (newline and rest.strip() and first.rstrip().endswith(b"]"))
    return False


def _compression(source: Source) -> str:
    return next((name for name in ("gz", "zst", "bz2") if starts_member(source, 0, name)), "")


def _read_array(path: Path) -> Iterator[Fields | Fault]:
    try:
        with Source(str(path)) as source:
            data = whole(source, _compression(source), _MOST_BYTES)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except StreamError as error:
        raise InputError(f"{path} is damaged: {error}; get it again.") from error
    if data is None:
        raise InputError(f"{path} is one JSON array of more than {_MOST_BYTES:,} bytes; save it as JSON lines.")
    try:
        rows = orjson.loads(data.removeprefix(UTF8_BOM))
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path} is no JSON: {error}; mend it.") from error
    for number, row in enumerate(rows):
        if isinstance(row, dict):
            yield Fields(f"{path.name}#{number}", row, path.name, number)
        else:
            yield Fault(path.name, number, None, "json.not_an_object", f"the item is {type(row).__name__}")


def _read_plan(files: Plan) -> Iterator[Fields | Fault]:
    for shard in files.shards:
        for part in shard.parts:
            with reading(part):
                yield from read_fields(part)


def unpacked(values: dict[str, Any]) -> dict[str, Any]:
    """A row of an exported parquet file as the record that it was."""
    if values.keys() != _PACKED:
        return values
    record = {name: value for name, value in values.items() if name != MORE and value is not None}
    with suppress(orjson.JSONDecodeError):
        more = orjson.loads(values[MORE]) if isinstance(values[MORE], str) else {}
        return record | more if isinstance(more, dict) else values
    return values


def _item(found: Fields) -> Item | Fault:
    record = found.values
    if not is_ours(record):
        try:
            record = ours(unpacked(record))
        except JsonLineError as error:
            return found.fault(error)
    id = id_in(record) if "id" in record else None
    texts = (record["instruction"], record["input"], record["output"])
    return Item(id or id_of_text("\0".join(texts)), record)


def id_in(record: Mapping[str, Any]) -> str | None:
    """The id that a record brings; None: it has none, or one that is no name."""
    id = record.get("id")
    return str(id) if isinstance(id, str | int) and not isinstance(id, bool) and str(id) != "" else None
