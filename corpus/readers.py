"""From a shard to pages, one at a time and in file order, with every record that is not a page accounted for.

In: a `Shard`. Out: `Page`s that hold bytes as served (HTML) or text, and a `Fault` for each quarantined
record, counted damage, or record passed over on purpose (reason `skip.…`). Nothing is dropped without a Fault
but blank lines. Memory is bounded by about three times `max_record_bytes`, whatever the file claims or
unpacks to.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from corpus.decode import decode
from corpus.http_message import HttpError, Response, parse_content_type, parse_response
from corpus.inputs import Part, Shard
from corpus.mediawiki import read_mediawiki
from corpus.page import Page
from corpus.warc import Flaw, Record, read_records
from runkit.errors import EnvironmentFault, InputError
from runkit.jsonl import JsonLineError, iter_lines, parse_object
from runkit.source import Source, shown
from runkit.streams import Stream, StreamError, whole

_HTML_MIMES: Final = frozenset({"text/html", "application/xhtml+xml"})
_SNIFFED_MIMES: Final = frozenset({"", "application/octet-stream", "text/plain", "text/xml", "application/xml"})
_WANTED: Final = _HTML_MIMES | _SNIFFED_MIMES | {"text/markdown", "text/x-markdown"}
_HTML_HINT: Final = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_MAX_META_CHARS: Final = 1_000


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What to take from records, and how large they may be."""

    text_field: str = "text"
    html_field: str | None = None
    url_field: str = "url"
    max_record_bytes: int = 32_000_000
    max_line_bytes: int = 64_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """A record that is no page. `offset` is in the file, for JSON lines in the uncompressed stream."""

    name: str
    offset: int
    line: int | None
    reason: str
    detail: str = ""


Item = Page | Fault


def read(shard: Shard, options: ReadOptions | None = None) -> Iterator[Item]:
    """Pages and faults of a shard, in order."""
    options = options or ReadOptions()
    for part in shard.parts:
        try:
            yield from _READERS[part.format](part, options)
        except FileNotFoundError:
            raise InputError(f"{shown(part.path)} was there when the run was planned and is gone now") from None
        except OSError as error:
            raise EnvironmentFault(f"{shown(part.path)} cannot be read: {error.strerror or error}") from None


def _read_warc(part: Part, options: ReadOptions) -> Iterator[Item]:
    with Source(part.path) as source:
        for item in read_records(source, part.compression, part.start, part.end, options.max_record_bytes):
            if isinstance(item, Flaw):
                yield Fault(part.name, item.offset, None, item.reason, item.detail)
                continue
            try:
                yield _from_record(item, part, options)
            except HttpError as fault:
                yield Fault(part.name, item.offset, None, fault.reason, fault.detail)


def _from_record(record: Record, part: Part, options: ReadOptions) -> Item:
    kind = record.type
    if kind == "response":
        if not record.headers.get("warc-target-uri", "").lower().strip("<").startswith(("http:", "https:")):
            return Fault(part.name, record.offset, None, "skip.scheme", record.headers.get("warc-target-uri", ""))
        response = parse_response(record.block, options.max_record_bytes, wanted=_WANTED)
        if response.status != 200:
            return Fault(part.name, record.offset, None, "skip.status", str(response.status))
    elif kind in {"conversion", "resource"}:
        mime, charset = parse_content_type(record.headers.get("content-type", ""))
        if kind == "conversion" and charset is None:
            charset = "utf-8"  # WET text is UTF-8 by its specification
        response = Response(200, mime, charset, record.block)
    else:
        return Fault(part.name, record.offset, None, f"skip.{kind}" if kind.isalpha() else "skip.unknown_type")
    if response.mime not in _WANTED:
        return Fault(part.name, record.offset, None, "skip.mime", response.mime)
    if not response.body.strip():
        return Fault(part.name, record.offset, None, "skip.empty")
    return _page_of_record(record, part, response, plain=kind == "conversion")


def _page_of_record(record: Record, part: Part, response: Response, *, plain: bool) -> Item:
    head = response.body[:1024]
    html = not plain and (response.mime in _HTML_MIMES or _HTML_HINT.search(head) is not None)
    if not html and (response.mime in {"application/octet-stream", "text/xml", "application/xml"} or b"\0" in head):
        return Fault(part.name, record.offset, None, "skip.mime", response.mime or "binary data")
    origin = f"{part.name}#{record.offset}" + (f"+{record.ordinal}" if record.ordinal else "")
    page = Page(
        origin=origin,
        source=part.source,
        kind="html" if html else "text",
        payload=response.body if html else b"",
        charset=response.charset,
        url=record.headers.get("warc-target-uri", "").strip("<>") or None,
        date=record.headers.get("warc-date"),
    )
    if not html:
        _set_text(page, response.body, response.charset)
    if "warc-truncated" in record.headers:
        page.meta["truncated"] = record.headers["warc-truncated"]
    return page


def _set_text(page: Page, payload: bytes, charset: str | None) -> None:
    decoded = decode(payload, charset, html=False)
    page.text = decoded.text
    page.meta["encoding"] = decoded.encoding
    if decoded.flags:
        page.meta["flags"] = list(decoded.flags)


def _read_jsonl(part: Part, options: ReadOptions) -> Iterator[Item]:
    # Only the first range of a compressed file knows where it stands in the uncompressed stream.
    relative = bool(part.compression) and part.start > 0
    prefix = f"{part.name}#{part.start}+" if relative else f"{part.name}#"
    with Source(part.path) as source:
        lines = iter_lines(
            Stream(source, part.compression, part.start, part.end),
            options.max_line_bytes,
            number=part.first_line or 1,
            offset=0 if part.compression else part.start,
        )
        for line in lines:
            number = None if part.first_line is None else line.number
            note = f" (counted from the member at byte {part.start})" if relative else ""
            if line.data is None:
                yield Fault(part.name, line.offset, number, line.reason, line.detail + note)
                continue
            try:
                fields = parse_object(line.data)
                yield _from_fields(fields, f"{prefix}{line.offset}", part.source, options)
            except JsonLineError as error:
                yield Fault(part.name, line.offset, number, error.reason, error.detail + note)


def _from_fields(fields: dict[str, Any], origin: str, source: str, options: ReadOptions) -> Page:
    """A page from named values; JsonLineError where the text is missing, empty of type, or not storable."""
    html = options.html_field is not None and isinstance(fields.get(options.html_field), str)
    name = options.html_field if html and options.html_field else options.text_field
    value = fields.get(name)
    if name not in fields:
        raise JsonLineError("field.missing", _missing("field", name, list(fields)))
    if not isinstance(value, str):
        raise JsonLineError("field.not_text", f"{name!r} holds {'null' if value is None else type(value).__name__}")
    if "\0" in value:
        raise JsonLineError("json.nul", f"{name!r} holds a NUL")
    url = fields.get(options.url_field)
    date = fields.get("date", fields.get("timestamp"))
    if len(value) > options.max_record_bytes // 4 and len(value.encode()) > options.max_record_bytes:
        raise JsonLineError("record.too_large", f"{name!r} holds {len(value)} characters")
    return Page(
        origin=origin,
        source=source,
        kind="html" if html else "text",
        text="" if html else value,
        payload=value.encode() if html else b"",
        charset="utf-8" if html else None,
        url=url if isinstance(url, str) and url else None,
        date=date if isinstance(date, str) else None if date is None else str(date),
        meta=_small_meta(fields, {name, options.text_field, options.url_field, "date", "timestamp"}),
    )


def _missing(what: str, name: str, there: list[str]) -> str:
    """What a record or table has instead of the text, and the setting that names it."""
    few = ", ".join(other[:40] for other in there[:12]) + (", …" if len(there) > 12 else "")
    return f"no {what} {name!r}; it has {few or 'none'}; name the one that holds the text: -s read.text_field=…"


def _small_meta(fields: dict[str, Any], taken: set[str]) -> dict[str, Any]:
    """The other fields, as far as they are small; a nested `meta` gives its own."""
    inner = fields.get("meta")
    merged = {
        **(inner if isinstance(inner, dict) else {}),
        **{k: v for k, v in fields.items() if k != "meta"},
    }
    return {
        key: value
        for key, value in merged.items()
        if key not in taken
        and (
            value is None
            or isinstance(value, bool | int | float)
            or (isinstance(value, str) and len(value) <= _MAX_META_CHARS)
        )
    }


def _read_document(part: Part, options: ReadOptions) -> Iterator[Item]:
    """A file that is one page: HTML, Markdown, plain text."""
    with Source(part.path) as source:
        try:
            data = whole(source, part.compression, options.max_record_bytes)
        except StreamError as damage:
            yield Fault(part.name, damage.offset, None, damage.reason, damage.detail)
            return
    if data is None:
        yield Fault(part.name, 0, None, "record.too_large", f"more than {options.max_record_bytes} bytes")
    elif not data.strip():
        yield Fault(part.name, 0, None, "skip.empty")
    elif part.format == "html":
        yield Page(origin=f"{part.name}#0", source=part.source, kind="html", payload=data)
    else:
        page = Page(origin=f"{part.name}#0", source=part.source, kind="text")
        _set_text(page, data, None)
        yield page


def _read_parquet(part: Part, options: ReadOptions) -> Iterator[Item]:
    import polars as pl  # 0.7 s, and threads: only where a parquet file is read

    wanted = {options.text_field, options.html_field, options.url_field, "date", "timestamp", "title", "id"}
    with Source(part.path) as source:  # a missing file is the same error in every format
        by_name = not source.copied and shown(part.path) == part.path  # polars takes names in UTF-8 alone
        try:
            source.file.seek(0)
            scan = pl.scan_parquet(part.path if by_name else source.file)
            schema = scan.collect_schema()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            yield Fault(part.name, part.start, None, "parquet.damaged", _first_line(error))
            return
        if fault := _textless(part, options, {name: str(kind.base_type()) for name, kind in schema.items()}):
            yield fault
            return
        scan = scan.select([name for name in schema.names() if name in wanted])
        for start in range(part.start, part.end, _PARQUET_ROWS):
            try:
                frame = scan.slice(start, min(_PARQUET_ROWS, part.end - start)).collect()
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                yield Fault(part.name, start, None, "parquet.damaged", _first_line(error))
                continue
            for row, fields in enumerate(frame.iter_rows(named=True), start):
                try:
                    yield _from_fields(_decoded(fields), f"{part.name}#{row}", part.source, options)
                except JsonLineError as error:
                    yield Fault(part.name, row, None, error.reason, error.detail)


def _textless(part: Part, options: ReadOptions, kinds: dict[str, str]) -> Fault | None:
    """The fault of a part whose columns cannot hold text: one for the part, not one for each row."""
    named = {options.text_field, options.html_field} & kinds.keys()
    if not named:
        detail = _missing("column", options.text_field, list(kinds))
        return Fault(part.name, part.start, None, "field.missing", detail)
    if any(kinds[str(name)] in _TEXT_KINDS for name in named):
        return None
    detail = "; ".join(f"column {name!r} holds {kinds[str(name)]}" for name in sorted(map(str, named)))
    return Fault(part.name, part.start, None, "field.not_text", detail)


def _decoded(fields: dict[str, Any]) -> dict[str, Any]:
    """Binary values that are UTF-8 as text: older writers of parquet do not say which columns are text."""
    for name, value in fields.items():
        if isinstance(value, bytes):
            with contextlib.suppress(UnicodeDecodeError):
                fields[name] = value.decode()
    return fields


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


_PARQUET_ROWS: Final = 10_000
_TEXT_KINDS: Final = frozenset({"String", "Binary", "Categorical", "Enum"})


def _read_wiki(part: Part, options: ReadOptions) -> Iterator[Item]:
    with Source(part.path) as source:
        for entry in read_mediawiki(Stream(source, part.compression), options.max_record_bytes):
            if entry.reason:
                yield Fault(part.name, entry.ordinal, None, entry.reason, entry.title)
                continue
            yield Page(
                origin=f"{part.name}#{entry.ordinal}",
                source=part.source,
                kind="text",
                text=entry.text,
                url=entry.url,
                date=entry.date,
                meta={"title": entry.title, "id": entry.id},
            )


_READERS: Final[dict[str, Callable[[Part, ReadOptions], Iterator[Item]]]] = {
    "warc": _read_warc,
    "jsonl": _read_jsonl,
    "html": _read_document,
    "text": _read_document,
    "parquet": _read_parquet,
    "mediawiki": _read_wiki,
}
