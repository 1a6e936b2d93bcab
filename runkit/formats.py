"""What kind of file is this? The bytes decide; the name only settles what bytes cannot.

In: an open `Source`. Out: `(format, compression)`, or `FormatError` with the reason why it is not read. At
most 64 kB are decompressed. Plain text met in a folder is taken only under a name that promises prose (.txt,
.md, none), since a stylesheet and a program are plain text too; named by the user, any text is taken.
"""

import re
from pathlib import PurePosixPath
from typing import Final

from runkit.jsonl import JsonLineError, parse_object
from runkit.source import Source
from runkit.streams import find_member, head_of, looks_like_text, starts_member

HEAD_BYTES: Final = 1 << 16
_TEXT_SUFFIXES: Final = frozenset({"", ".txt", ".text", ".md", ".markdown", ".rst"})
_HTML_SUFFIXES: Final = frozenset({".html", ".htm", ".xhtml", ".shtml"})
_JSONL_SUFFIXES: Final = frozenset({".jsonl", ".ndjson"})
_WARC_SUFFIXES: Final = frozenset({".warc", ".wet", ".wat"})
_COMPRESSIONS: Final = {".gz": "gz", ".gzip": "gz", ".zst": "zst", ".zstd": "zst", ".bz2": "bz2"}
_DAMAGED_BYTES: Final = 1 << 24  # how far a sound member is sought when the first one is not
_HTML_START: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:(?><!--.*?-->)\s*)*+<(?:!doctype\s+html|html|head|body|title|meta)\b",
    re.IGNORECASE | re.DOTALL,
)
_HTML_TAG: Final = re.compile(rb"<(?:html|head|body|title|div|p|a|table|meta|script)\b[^>]*>", re.IGNORECASE)
_KNOWN: Final = (
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"RIFF", "a picture or sound"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\xfd7zXZ\x00", "xz-compressed: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "a database"),
    (b"ARROW1", "an Arrow file: save it as parquet"),
)


class FormatError(ValueError):
    """Not a format that can be read; the message says what it is."""


def detect(source: Source, *, explicit: bool) -> tuple[str, str]:
    """Format and compression of a file. `explicit`: the user named this very file."""
    raw = source.read_at(0, 16)
    for magic, what in _KNOWN:
        if raw.startswith(magic):
            raise FormatError(what)
    if raw.startswith(b"PAR1"):
        return "parquet", ""
    compression = next((name for name in ("gz", "zst", "bz2") if starts_member(source, 0, name)), "")
    promised = _COMPRESSIONS.get(PurePosixPath(source.path.split("?", 1)[0]).suffix.lower(), "")
    head = _head(source, compression)
    if (compression and not head) or (promised and not compression and _binary(head)):
        # The first member is damaged; the next one that can be decompressed speaks for the file.
        compression = compression or promised
        end = min(source.size, _DAMAGED_BYTES)
        found = find_member(source, 1, end, compression, looks_like_text)
        head = head_of(source, found, compression, HEAD_BYTES) if found < end else b""
    if not head:
        raise FormatError("empty when decompressed, or damaged from its first byte on")
    return _content(head, _suffix(source.path), explicit), compression


def _head(source: Source, compression: str) -> bytes:
    if compression != "zst" or source.read_at(0, 4)[1:] != b"\x2a\x4d\x18":
        return head_of(source, 0, compression, HEAD_BYTES)
    # A skippable first frame: a dictionary, as in Common Crawl's .warc.zst, whose records cannot be tried
    # without it.
    return b"WARC/" if source.read_at(0, 1) == b"\x5d" else b""


def _suffix(path: str) -> str:
    name = PurePosixPath(path.split("?", 1)[0])
    if name.suffix.lower() in _COMPRESSIONS:
        name = name.with_suffix("")
    return name.suffix.lower()


def _content(head: bytes, suffix: str, explicit: bool) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"WARC/") or (b"\r\n\r\nWARC/1." in head and suffix in _WARC_SUFFIXES):
        return "warc"
    if b"<mediawiki" in head[:2048]:
        return "mediawiki"
    if suffix in _JSONL_SUFFIXES or _is_jsonl(start):
        return "jsonl"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = _narrow(head)
    if b"\0" in head[:4096] and suffix not in _HTML_SUFFIXES:
        raise FormatError("binary data")
    if suffix in _HTML_SUFFIXES or _HTML_START.match(head):
        return "html"
    if _binary(head):
        raise FormatError("binary data")
    if suffix == ".json":
        raise FormatError("JSON that does not hold one object a line: save it as JSON lines")
    if suffix not in _TEXT_SUFFIXES and len(_HTML_TAG.findall(head)) >= 5:
        return "html"
    if suffix in _TEXT_SUFFIXES or explicit:
        return "text"
    raise FormatError(f"text with the suffix {suffix}: name the file itself to read it")


def _narrow(head: bytes) -> bytes:
    """UTF-16 with its mark as UTF-8; FormatError where it decodes to no text (random bytes do so to 13 %)."""
    text = head[: len(head) & ~1].decode("utf-16", "replace")
    odd = sum(char == "\ufffd" or "\ue000" <= char <= "\uf8ff" for char in text)
    # The last character may be half of a pair that the head cuts.
    if (odd - 1) * 100 > len(text):
        raise FormatError("binary data")
    return text.encode()


def _binary(head: bytes) -> bool:
    """NULs, or more control bytes than a text has."""
    odd = sum(byte < 9 or 13 < byte < 27 for byte in head[:4096])
    return odd * 100 > len(head[:4096]) or b"\0" in head


def _is_jsonl(start: bytes) -> bool:
    """Is one of the first lines a JSON object, or the first one an object longer than the head?"""
    if not start.startswith((b"{", b"[", b"null", b'"')):
        return False
    lines = start.split(b"\n", 20)
    if len(lines) == 1 and len(start) > HEAD_BYTES // 2:
        return re.match(rb'\{\s*"', start) is not None
    for line in lines[:20]:
        try:
            if parse_object(line):
                return True
        except JsonLineError:
            continue
    return re.match(rb'\{\s*"', start) is not None and len(lines[0]) > HEAD_BYTES // 2
