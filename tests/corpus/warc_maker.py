"""WARC files for the tests, written with warcio, an implementation that is not ours."""

import io
from dataclasses import dataclass

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

DATE = "2024-05-06T07:08:09Z"


@dataclass(frozen=True)
class Made:
    """The file, where each record begins, and the payload of each record by URL."""

    data: bytes
    starts: list[int]
    payloads: dict[str, bytes]


def payload_of(number: int) -> bytes:
    """A page whose length and content differ from record to record, not too compressible."""
    words = " ".join(f"{number * 7919 + step * 104729:x}" for step in range(20 + number % 60))
    return f"<html><body><h1>第{number}页</h1><p>{words}</p></body></html>".encode()


def make(count: int, *, gzip: bool = True, first: int = 0) -> Made:
    """`count` response records, one a member when compressed."""
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=gzip)
    starts: list[int] = []
    payloads: dict[str, bytes] = {}
    for number in range(first, first + count):
        starts.append(out.tell())
        url = f"http://site.example/{number}"
        payloads[url] = payload_of(number)
        head = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
        writer.write_record(
            writer.create_warc_record(
                url,
                "response",
                payload=io.BytesIO(payloads[url]),
                http_headers=head,
                warc_headers_dict={"WARC-Date": DATE},
            )
        )
    return Made(out.getvalue(), starts, payloads)


def plain_record(url: str, body: bytes, *, length: int | None = None, kind: str = "response") -> bytes:
    """A record without a digest, whose Content-Length may lie."""
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    claimed = len(block) if length is None else length
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Length: {claimed}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"
