"""Articles out of a MediaWiki XML dump.

In: the decompressed stream of a dump. Out: one `Entry` for each page element, as text or with the reason why
not (another namespace, a redirect, damage). Pages are cut at `<page>` and `</page>` instead of through an XML
parser, so a damaged page costs itself and not the rest of the file, and no entity is ever expanded. The
wikitext is reduced to prose: templates, tables, references and files go, links leave their label. Templates
that carry text (dates, names in other languages) are lost with the rest; expanding them would need the wiki
itself.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from runkit.streams import Stream, StreamError

_MAX_HEAD: Final = 1 << 16
_BASE: Final = re.compile(rb"<base>(https?://[^<]{1,500}/)[^/<]*</base>")
_TITLE: Final = re.compile(r"<title>([^<]*)</title>")
_NAMESPACE: Final = re.compile(r"<ns>(-?\d+)</ns>")
_ID: Final = re.compile(r"<id>(\d+)</id>")
_TIMESTAMP: Final = re.compile(r"<timestamp>([^<]*)</timestamp>")
_TEXT: Final = re.compile(r"<text\b[^>]*>")


@dataclass(frozen=True, slots=True)
class Entry:
    """One page element; `ordinal` counts them from 0. With a `reason` there is no text."""

    ordinal: int
    title: str = ""
    id: str = ""
    url: str | None = None
    date: str | None = None
    text: str = ""
    reason: str = ""


def read_mediawiki(stream: Stream, max_page_bytes: int) -> Iterator[Entry]:
    """All pages in order. Damage in the stream and pages over the cap are entries with a reason."""
    buffer = bytearray()
    ordinal = 0
    base = ""
    ended = False
    while True:
        start = buffer.find(b"<page>")
        if not base and (found := _BASE.search(buffer, 0, _MAX_HEAD)):
            base = found.group(1).decode("ascii", "replace")
        stop = buffer.find(b"</page>", start) if start >= 0 else -1
        if stop >= 0:
            yield _entry(bytes(buffer[start:stop]), ordinal, base)
            del buffer[: stop + 7]
            ordinal += 1
            continue
        if start < 0:
            del buffer[: max(0, len(buffer) - (_MAX_HEAD if not base else 6))]
        elif len(buffer) - start > max_page_bytes:
            yield Entry(ordinal, reason="record.too_large")
            ordinal += 1
            buffer.clear()
        elif ended:
            yield Entry(ordinal, reason="mediawiki.cut")
            return
        if ended:
            return
        try:
            piece = stream.read()
        except StreamError as damage:
            yield Entry(ordinal, title=damage.detail, reason=damage.reason)
            ordinal += 1
            buffer.clear()
            continue
        buffer += piece
        ended = not piece


def _entry(data: bytes, ordinal: int, base: str) -> Entry:
    try:
        page = data.decode("utf-8")
    except UnicodeDecodeError:
        return Entry(ordinal, reason="mediawiki.invalid_utf8")
    title_found, text_found = _TITLE.search(page), _TEXT.search(page)
    title = html.unescape(title_found.group(1)) if title_found else ""
    namespace = _NAMESPACE.search(page)
    if title_found is None or text_found is None:
        return Entry(ordinal, title, reason="mediawiki.incomplete")
    if namespace and namespace.group(1) != "0":
        return Entry(ordinal, title, reason="skip.namespace")
    if "<redirect " in page[: text_found.start()]:
        return Entry(ordinal, title, reason="skip.redirect")
    end = page.find("</text>", text_found.end())
    if end < 0 and not text_found.group().endswith("/>"):
        return Entry(ordinal, title, reason="mediawiki.incomplete")
    text = plain_text(html.unescape(page[text_found.end() : max(end, text_found.end())]))
    if not text:
        return Entry(ordinal, title, reason="skip.empty")
    number, date = _ID.search(page), _TIMESTAMP.search(page)
    return Entry(
        ordinal,
        title,
        number.group(1) if number else "",
        base + quote(title.replace(" ", "_")) if base else None,
        date.group(1) if date else None,
        text,
    )


_DROPPED: Final = re.compile(
    r"<!--|<(ref|gallery|math|timeline|score|syntaxhighlight|imagemap|chem)\b[^<>]{0,500}>", re.IGNORECASE
)
_BRACES: Final = re.compile(r"\{\{|\}\}|\{\||\|\}")
_MEDIA: Final = re.compile(r"\[\[\s*(?:file|image|category|文件|檔案|档案|图像|圖像|分类|分類)\s*:", re.IGNORECASE)
_MAX_MEDIA: Final = 2_000  # each is looked at for 5,000 characters; real articles hold under 300
_VARIANT: Final = re.compile(r"-\{(?:[A-Za-z]*\|)?([^{}]*)\}-")
_LINK: Final = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_OUTSIDE_LINK: Final = re.compile(r"\[(?:https?:)?//[^\s\[\]]{1,2000}[ \t]{0,9}([^\[\]\n]{0,2000})\]")
_QUOTES: Final = re.compile(r"'{2,5}")
_HEADING: Final = re.compile(r"^(={1,6})[ \t]{0,9}(.{0,300}?)[ \t]{0,9}\1[ \t]{0,9}$", re.MULTILINE)
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]{0,500}>")
_MAGIC: Final = re.compile(r"__[A-Z]{3,30}__")
_MARKER: Final = re.compile(r"^[*#:;]+[ \t]*", re.MULTILINE)
_BLANKS: Final = re.compile(r"\n{3,}")


def plain_text(wikitext: str) -> str:
    """Prose of an article; every step is linear in its length."""
    text = _without_braces(_without_elements(wikitext))
    text = _VARIANT.sub(_chosen_variant, text)
    text = _without_media(text)
    text = _LINK.sub(r"\1", text)
    text = _OUTSIDE_LINK.sub(r"\1", text)
    text = _QUOTES.sub("", text)
    text = _HEADING.sub(r"\n\2\n", text)
    text = _TAG.sub("", text)
    text = _MAGIC.sub("", text)
    text = _MARKER.sub("", text)
    return _BLANKS.sub("\n\n", html.unescape(text)).strip()


def _without_elements(text: str) -> str:
    """Remove comments and elements that hold no prose; one that never closes loses its tag only."""
    lower = text.lower()
    if len(lower) != len(text):  # a few letters grow when lowered, and the positions would not agree
        lower = text
    unclosed: set[str] = set()
    kept: list[str] = []
    done = 0
    for opening in _DROPPED.finditer(text):
        if opening.start() < done:
            continue
        kept.append(text[done : opening.start()])
        done = opening.end()
        if opening.group().endswith("/>"):
            continue
        closing = f"</{opening.group(1).lower()}" if opening.group(1) else "-->"
        at = -1 if closing in unclosed else lower.find(closing, done)
        end = at + 3 if closing == "-->" else lower.find(">", at) + 1
        if at < 0 or end <= 0:
            unclosed.add(closing)
        else:
            done = end
    kept.append(text[done:])
    return "".join(kept)


def _without_braces(text: str) -> str:
    """Remove `{{…}}` and `{|…|}` with all that is nested in them; one that never closes stays as text."""
    kept: list[str] = []
    open_at: list[tuple[str, int, int]] = []  # closing mark, position in text, length of `kept` there
    done = 0
    for mark in _BRACES.finditer(text):
        token = mark.group()
        if token in {"{{", "{|"}:
            kept.append(text[done : mark.start()])
            open_at.append(("}}" if token == "{{" else "|}", mark.start(), len(kept)))
            done = mark.start()
        elif open_at and open_at[-1][0] == token:
            del kept[open_at.pop()[2] :]
            done = mark.end()
    kept.append(text[done:])
    return "".join(kept)


def _without_media(text: str) -> str:
    """Remove links to files and categories, whose captions may hold links themselves."""
    kept: list[str] = []
    done = tries = 0
    for found in _MEDIA.finditer(text):
        if found.start() < done or tries > _MAX_MEDIA:
            continue
        tries += 1
        depth, end = 1, found.end()
        for bracket in re.finditer(r"\[\[|\]\]", text[end : end + 5_000]):
            depth += 1 if bracket.group() == "[[" else -1
            if depth == 0:
                kept.append(text[done : found.start()])
                done = end + bracket.end()
                break
    kept.append(text[done:])
    return "".join(kept)


def _chosen_variant(found: re.Match[str]) -> str:
    """`-{zh-hans:计算机;zh-hant:電腦}-` gives its mainland form; text without variants stays as it is."""
    content: str = found.group(1)
    variants = {
        key.strip().lower(): value.strip()
        for key, colon, value in (piece.partition(":") for piece in content.split(";"))
        if colon
    }
    for wanted in ("zh-cn", "zh-hans", "zh"):
        if wanted in variants:
            return variants[wanted]
    return next(iter(variants.values()), content)
