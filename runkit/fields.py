"""JSON lines and parquet as records with named fields, and the words for a record that cannot be had.

In: a `Part` of a plan. Out: `Fields` in file order, and a `Fault` for each bad line, bad row or damage. Memory is
bounded by one line or 10,000 rows. polars costs 0.7 s and threads that a fork breaks, so it is imported only where
a parquet file is read.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from runkit.errors import EnvironmentFault, InputError
from runkit.inputs import Part
from runkit.jsonl import MAX_LINE_BYTES, JsonLineError, iter_lines, parse_object
from runkit.source import Source, shown
from runkit.streams import Stream

_PARQUET_ROWS: Final = 10_000
_TEXT_KINDS: Final = frozenset({"String", "Binary", "Categorical", "Enum"})


@dataclass(frozen=True, slots=True)
class Fault:
    """A record that is no document. `offset` is in the file, for JSON lines in the uncompressed stream."""

    name: str
    offset: int
    line: int | None
    reason: str
    detail: str = ""


def fault_lines(faults: Iterable[Fault]) -> bytes:
    """A quarantine file: one JSON object a line for each record that could not be read."""
    return b"".join(
        orjson.dumps(
            {"file": f.name, "offset": f.offset, "line": f.line, "reason": f.reason, "detail": f.detail},
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for f in faults
    )


class Fields(NamedTuple):
    """One record: its values by name and where it lies. `offset` as in `Fault`; for parquet the row."""

    origin: str  # "<file>#<byte offset or row>"
    values: dict[str, Any]
    name: str
    offset: int
    line: int | None = None
    note: str = ""  # where `offset` is counted from, if that is not the file's start

    def fault(self, error: JsonLineError) -> Fault:
        """What is wrong with this record, at its place."""
        return Fault(self.name, self.offset, self.line, error.reason, error.detail + self.note)


@contextlib.contextmanager
def reading(part: Part) -> Iterator[None]:
    """Errors of the system while a part is read, as one sentence that names its file."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{shown(part.path)} was there when the run was planned and is gone now") from None
    except OSError as error:
        raise EnvironmentFault(f"{shown(part.path)} cannot be read: {error.strerror or error}") from None


def read_fields(
    part: Part,
    wanted: Collection[str] | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
    *,
    texts: Sequence[str] = (),
    setting: str = "text_field",
) -> Iterator[Fields | Fault]:
    """Records of a part in format `jsonl` or `parquet`.

    `wanted`: the columns to read of parquet, None for all; JSON lines always give every field. `texts`: of a table
    in which none of these columns can hold text, one Fault is given and no row. `setting` is what the user changes
    to name another column. Errors: as `reading` has them, if the caller puts that around.
    """
    if part.format == "jsonl":
        return _read_jsonl(part, max_line_bytes)
    if part.format == "parquet":
        return _read_parquet(part, wanted, texts, setting)
    raise ValueError(f"{part.format} has no named fields")


def text_of(values: dict[str, Any], name: str, setting: str = "text_field") -> str:
    """The text in field `name`; JsonLineError where it is missing, no text, or holds a NUL."""
    value = values.get(name)
    if name not in values:
        raise JsonLineError("field.missing", _missing("field", name, list(values), setting))
    if not isinstance(value, str):
        raise JsonLineError("field.not_text", f"{name!r} holds {'null' if value is None else type(value).__name__}")
    if "\0" in value:
        raise JsonLineError("json.nul", f"{name!r} holds a NUL")
    return value


def url_of(values: dict[str, Any], name: str = "url") -> str | None:
    """The field as it is, None where it is empty or no text."""
    url = values.get(name)
    return url if isinstance(url, str) and url else None


def date_of(values: dict[str, Any]) -> str | None:
    """`date`, else `timestamp`, as text."""
    date = values.get("date", values.get("timestamp"))
    return None if date is None else str(date)


def _read_jsonl(part: Part, max_line_bytes: int) -> Iterator[Fields | Fault]:
    # Only the first range of a compressed file knows where it stands in the uncompressed stream.
    relative = bool(part.compression) and part.start > 0
    prefix = f"{part.name}#{part.start}+" if relative else f"{part.name}#"
    note = f" (counted from the member at byte {part.start})" if relative else ""
    with Source(part.path) as source:
        lines = iter_lines(
            Stream(source, part.compression, part.start, part.end),
            max_line_bytes,
            number=part.first_line or 1,
            offset=0 if part.compression else part.start,
        )
        for line in lines:
            number = None if part.first_line is None else line.number
            if line.data is None:
                yield Fault(part.name, line.offset, number, line.reason, line.detail + note)
                continue
            try:
                values = parse_object(line.data)
            except JsonLineError as error:
                yield Fault(part.name, line.offset, number, error.reason, error.detail + note)
            else:
                yield Fields(f"{prefix}{line.offset}", values, part.name, line.offset, number, note)


def _read_parquet(
    part: Part, wanted: Collection[str] | None, texts: Sequence[str], setting: str
) -> Iterator[Fields | Fault]:
    import polars as pl

    with Source(part.path) as source:  # a missing file is the same error in every format
        by_name = not source.copied and shown(part.path) == part.path  # polars takes names in UTF-8 alone
        try:
            source.file.seek(0)
            scan = pl.scan_parquet(part.path if by_name else source.file)
            schema = scan.collect_schema()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            yield Fault(part.name, part.start, None, "parquet.damaged", _first_line(error))
            return
        kinds = {name: str(kind.base_type()) for name, kind in schema.items()}
        if texts and (fault := _textless(part, texts, kinds, setting)):
            yield fault
            return
        scan = scan.select([name for name in schema.names() if wanted is None or name in wanted])
        for start in range(part.start, part.end, _PARQUET_ROWS):
            try:
                frame = scan.slice(start, min(_PARQUET_ROWS, part.end - start)).collect()
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                yield Fault(part.name, start, None, "parquet.damaged", _first_line(error))
                continue
            for row, values in enumerate(frame.iter_rows(named=True), start):
                yield Fields(f"{part.name}#{row}", _decoded(values), part.name, row)


def _textless(part: Part, texts: Sequence[str], kinds: dict[str, str], setting: str) -> Fault | None:
    """The fault of a part whose columns cannot hold text: one for the part, not one for each row."""
    named = set(texts) & kinds.keys()
    if not named:
        detail = _missing("column", texts[0], list(kinds), setting)
        return Fault(part.name, part.start, None, "field.missing", detail)
    if any(kinds[name] in _TEXT_KINDS for name in named):
        return None
    detail = "; ".join(f"column {name!r} holds {kinds[name]}" for name in sorted(named))
    return Fault(part.name, part.start, None, "field.not_text", detail)


def _missing(what: str, name: str, there: list[str], setting: str) -> str:
    """What a record or table has instead of the text, and the setting that names it."""
    few = ", ".join(other[:40] for other in there[:12]) + (", …" if len(there) > 12 else "")
    return f"no {what} {name!r}; it has {few or 'none'}; name the one that holds the text: {setting}=…"


def _decoded(values: dict[str, Any]) -> dict[str, Any]:
    """Binary values that are UTF-8 as text: older writers of parquet do not say which columns are text."""
    for name, value in values.items():
        if isinstance(value, bytes):
            with contextlib.suppress(UnicodeDecodeError):
                values[name] = value.decode()
    return values


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
