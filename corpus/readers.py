"""From a shard to pages, one at a time and in file order, with every record that is not a page accounted for.

In: a `Shard`. Out: `Page`s that hold bytes as served (HTML) or text, and a `Fault` for each quarantined
record, counted damage, or record passed over on purpose (reason `skip.…`). Nothing is dropped without a Fault
but blank lines. Memory is bounded by about three times `max_record_bytes`, whatever the file claims or
unpacks to.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from corpus.decode import decode
from corpus.http_message import HttpError, Response, parse_content_type, parse_response
from corpus.mediawiki import read_mediawiki
from corpus.page import Page
from corpus.warc import Flaw, Record, read_records
from runkit.fields import Fault, Fields, date_of, read_fields, reading, text_of, url_of
from runkit.inputs import Part, Shard
from runkit.jsonl import JsonLineError
from runkit.source import Source
from runkit.streams import Stream, StreamError, whole

_HTML_MIMES: Final = frozenset({"text/html", "application/xhtml+xml"})
_SNIFFED_MIMES: Final = frozenset({"", "application/octet-stream", "text/plain", "text/xml", "application/xml"})
_WANTED: Final = _HTML_MIMES | _SNIFFED_MIMES | {"text/markdown", "text/x-markdown"}
_HTML_HINT: Final = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_MAX_META_CHARS: Final = 1_000
_SETTING: Final = "-s read.text_field"  # what names the field that holds the text


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What to take from records, and how large they may be."""

    text_field: str = "text"
    html_field: str | None = None
    url_field: str = "url"
    max_record_bytes: int = 32_000_000
    max_line_bytes: int = 64_000_000


Item = Page | Fault


def read(shard: Shard, options: ReadOptions | None = None) -> Iterator[Item]:
    """Pages and faults of a shard, in order."""
    options = options or ReadOptions()
    for part in shard.parts:
        with reading(part):
            yield from _READERS[part.format](part, options)


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


def _read_records(part: Part, options: ReadOptions) -> Iterator[Item]:
    texts = [name for name in (options.text_field, options.html_field) if name is not None]
    wanted = {*texts, options.url_field, "date", "timestamp", "title", "id"}
    for item in read_fields(part, wanted, options.max_line_bytes, texts=texts, setting=_SETTING):
        if isinstance(item, Fault):
            yield item
            continue
        try:
            yield _from_fields(item, part.source, options)
        except JsonLineError as error:
            yield item.fault(error)


def _from_fields(item: Fields, source: str, options: ReadOptions) -> Page:
    """A page from named values; JsonLineError where the text is missing, empty of type, or not storable."""
    values = item.values
    html = options.html_field is not None and isinstance(values.get(options.html_field), str)
    name = options.html_field if html and options.html_field else options.text_field
    value = text_of(values, name, _SETTING)
    if len(value) > options.max_record_bytes // 4 and len(value.encode()) > options.max_record_bytes:
        raise JsonLineError("record.too_large", f"{name!r} holds {len(value)} characters")
    return Page(
        origin=item.origin,
        source=source,
        kind="html" if html else "text",
        text="" if html else value,
        payload=value.encode() if html else b"",
        charset="utf-8" if html else None,
        url=url_of(values, options.url_field),
        date=date_of(values),
        meta=_small_meta(values, {name, options.text_field, options.url_field, "date", "timestamp"}),
    )


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
    "jsonl": _read_records,
    "html": _read_document,
    "text": _read_document,
    "parquet": _read_records,
    "mediawiki": _read_wiki,
}
