"""Seed tasks in the layouts that are about: our own, Alpaca's and BELLE's, self-instruct's with `instances`.

In: JSON lines or JSON arrays. Out: `Seed`s in the order of the files. A seed is written by people and there are few of
them, so a bad one is an error that names file, line and field, not a record to be skipped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from runkit.errors import InputError
from runkit.jsonl import JsonLineError, parse_object
from selfinstruct.kinds import known_kind

MOST_BYTES: Final = 64_000_000


@dataclass(frozen=True, slots=True)
class Seed:
    """One task with its answer."""

    id: str
    instruction: str
    input: str
    output: str
    category: str | None  # a key of `kinds`, or None where the file does not say or says another


def read_seeds(paths: Sequence[Path]) -> list[Seed]:
    """All seeds. InputError: a file that is none, a bad seed, an id that stands twice, or no seed at all."""
    found: list[Seed] = []
    places: dict[str, str] = {}
    for path in paths:
        for place, record in _records(path):
            seed = _seed(place, record, f"{path.stem}-{len(found) + 1}")
            if seed.id in places:
                raise InputError(f"{place}: the id {seed.id} stands at {places[seed.id]} too; give each seed its own.")
            places[seed.id] = place
            found.append(seed)
    if not found:
        raise InputError(
            f"{' '.join(map(str, paths))}: no seed in it; give a JSON object with instruction and output a line."
        )
    return found


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """("FILE, line N", record); elements of an array are counted as items."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is larger than {MOST_BYTES // 10**6} MB; seeds are written by people.")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; name a file with seed tasks.") from error
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}; name a file with seed tasks.") from error
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        try:
            rows = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError as error:
            raise InputError(f"{path} is no JSON: {error}; mend it.") from error
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise InputError(f"{path}, item {number} is no object; give instruction and output.")
            yield f"{path}, item {number}", row
        return
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            try:
                yield f"{path}, line {number}", parse_object(line)
            except JsonLineError as error:
                raise InputError(f"{path}, line {number}: {error}; mend it.") from error


def _seed(place: str, record: dict[str, Any], other_id: str) -> Seed:
    instances = record.get("instances")
    if instances is not None:
        if not isinstance(instances, list) or not instances or not isinstance(instances[0], dict):
            raise InputError(f"{place}, field instances: is no list with an object; give [{{input, output}}].")
        answer, where = instances[0], "instances[0]."
    else:
        answer, where = record, ""
    name = record.get("id")
    if name is not None and not (isinstance(name, str | int) and str(name).strip()):
        raise InputError(f"{place}, field id: {name!r} is no text or number; mend it.")
    output = "target" if "target" in answer and "output" not in answer else "output"
    return Seed(
        id=str(name) if name is not None else other_id,
        instruction=_text(place, record, "instruction", "instruction"),
        input=_text(place, answer, "input", f"{where}input", needed=False),
        output=_text(place, answer, output, where + output),
        category=known_kind(record.get("category") if isinstance(record.get("category"), str) else None),
    )


def _text(place: str, record: dict[str, Any], key: str, field: str, needed: bool = True) -> str:
    value = record.get(key)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        said = "is missing" if value is None else f"is a {type(value).__name__}, not a text"
        raise InputError(f"{place}, field {field}: {said}; mend it.")
    if needed and not value.strip():
        raise InputError(f"{place}, field {field}: is empty; mend it.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{place}, field {field}: has half a character at {error.start}; mend it.") from error
    return value
