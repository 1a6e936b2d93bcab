"""An HTTP response as a crawler stored it: status, headers, and the body with its codings undone.

In: the block of a WARC response record. Out: `Response`, or `HttpError` with the reason. Crawlers disagree on
whether the stored body is still chunked and still compressed, so the bytes decide and the headers are hints:
a body that does not begin as its header says is taken as it is. Decoding stops at `max_bytes`, so a bomb
costs the cap and no more.
"""

import re
import zlib
from dataclasses import dataclass
from typing import Any, Final

import zstandard

from corpus.warc import parse_headers

MAX_HEAD_BYTES: Final = 1 << 18
_CHUNK_SIZE: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_PIECE: Final = 1 << 16


class HttpError(ValueError):
    """A response whose body cannot be had whole."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Response:
    """`mime` in lower case without parameters, "" when not stated; `charset` verbatim."""

    status: int
    mime: str
    charset: str | None
    body: bytes


def parse_response(block: bytes, max_bytes: int, *, wanted: frozenset[str] = frozenset()) -> Response:
    """The response in `block`. The body is left empty for a status but 200 or a mime not in `wanted`."""
    end = _HEAD_END.search(block, 0, MAX_HEAD_BYTES)
    if not block.startswith(b"HTTP/") or end is None:
        raise HttpError("http.header", "no HTTP response header")
    head = block[: end.start()]
    status_words = head.split(b"\n", 1)[0].split(None, 2)
    if len(status_words) < 2 or not re.fullmatch(rb"[0-9]{3}", status_words[1]):
        raise HttpError("http.status", "no status code")
    status = int(status_words[1])
    headers = parse_headers(head, "latin-1")
    mime, charset = parse_content_type(headers.get("content-type", ""))
    if status != 200 or (wanted and mime not in wanted):
        return Response(status, mime, charset, b"")
    body = block[end.end() :]
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _dechunk(body)
    for coding in reversed(headers.get("content-encoding", "").lower().replace(" ", "").split(",")):
        body = _decode(body, coding, max_bytes)
    return Response(status, mime, charset, body)


def parse_content_type(value: str) -> tuple[str, str | None]:
    """Mime type and charset label of a Content-Type header."""
    mime, _, rest = value.partition(";")
    found = re.search(r"charset\s*=\s*[\"']?([^\s;,\"']+)", rest, re.IGNORECASE)
    return mime.strip().lower(), found.group(1) if found else None


def _dechunk(body: bytes) -> bytes:
    """Undo chunked coding; a body that was stored without it is returned as it is."""
    pieces: list[bytes] = []
    position = 0
    while True:
        size_line = _CHUNK_SIZE.match(body, position)
        if size_line is None:
            if position == 0:
                return body
            raise HttpError("http.chunked", f"no chunk size at byte {position}")
        size = int(size_line.group(1), 16)
        start = size_line.end()
        if size == 0:
            return b"".join(pieces)
        if start + size > len(body):
            raise HttpError("http.chunked", "the last chunk is cut")
        pieces.append(body[start : start + size])
        position = start + size
        if body[position : position + 2] == b"\r\n":
            position += 2
        elif body[position : position + 1] == b"\n":
            position += 1


def _decode(body: bytes, coding: str, max_bytes: int) -> bytes:
    if coding in {"gzip", "x-gzip"}:
        return _inflate(body, 31, max_bytes) if body.startswith(b"\x1f\x8b") else body
    if coding == "deflate" and body and not _looks_plain(body):
        # Some servers send raw deflate where RFC 9110 asks for zlib.
        zlib_header = body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
        return _inflate(body, 15 if zlib_header else -15, max_bytes)
    if coding == "zstd" and body.startswith(b"\x28\xb5\x2f\xfd"):
        return _unzstd(body, max_bytes)
    if coding == "br" and body and not _looks_plain(body):
        return _unbrotli(body, max_bytes)
    return body


def _looks_plain(body: bytes) -> bool:
    """Does the body begin as markup, though a coding without a magic number is announced?"""
    return re.match(rb"\s*<[A-Za-z!?/]", body) is not None


def _inflate(body: bytes, wbits: int, max_bytes: int) -> bytes:
    engine = zlib.decompressobj(wbits)
    try:
        out = engine.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise HttpError("http.encoding", str(error)) from None
    if len(out) > max_bytes:
        raise HttpError("http.too_large", f"more than {max_bytes} bytes when decompressed")
    if not engine.eof:
        raise HttpError("http.encoding", "the compressed body is cut")
    return out


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 26).stream_reader(body) as reader:
            pieces: list[bytes] = []
            total = 0
            while piece := reader.read(_PIECE):
                pieces.append(piece)
                total += len(piece)
                if total > max_bytes:
                    raise HttpError("http.too_large", f"more than {max_bytes} bytes when decompressed")
    except zstandard.ZstdError as error:
        raise HttpError("http.encoding", str(error)) from None
    return b"".join(pieces)


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    try:
        import brotli  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise HttpError("http.encoding", "brotli is not installed: pip install brotli") from None
    engine: Any = brotli.Decompressor()
    pieces: list[bytes] = []
    total = 0
    try:
        data = body
        while not engine.is_finished():
            piece = engine.process(data, output_buffer_limit=_PIECE)
            data = b""
            pieces.append(piece)
            total += len(piece)
            if total > max_bytes:
                raise HttpError("http.too_large", f"more than {max_bytes} bytes when decompressed")
            if not piece and engine.can_accept_more_data():
                break
        finished: bool = engine.is_finished()
    except brotli.error as error:
        raise HttpError("http.encoding", str(error)) from None
    if not finished:
        raise HttpError("http.encoding", "the compressed body is cut")
    return b"".join(pieces)
