"""Files behind URLs read like local ones, whether or not the server can send ranges."""

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runkit.source import BUFFER_BYTES, Source, shown

DATA = bytes(range(256)) * (3 * BUFFER_BYTES // 256)


class _Handler(BaseHTTPRequestHandler):
    """`/ranges` and `/whole` hold DATA; the second knows no ranges and, for `?chunked`, does not say how long it is."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body, status = DATA, 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if self.path.startswith("/gone"):
            body, status = b"", 404
        elif self.path.startswith("/broken"):
            body, status = b"", 500
        elif asked and self.path == "/ranges":
            start, end = int(asked[1]), min(int(asked[2] or len(DATA)), len(DATA) - 1)
            body, status = DATA[start : end + 1], 206
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(DATA)}")
        if self.path.endswith("?chunked"):
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(("path", "copied"), [("ranges", False), ("whole", True), ("whole?chunked", True)])
def test_a_file_on_the_web(web: str, path: str, copied: bool) -> None:
    with Source(f"{web}/{path}") as source:
        assert (source.size, source.copied) == (len(DATA), copied)
        assert source.read_at(len(DATA) - 3, 9) == DATA[-3:]
        assert source.read_at(5, 2 * BUFFER_BYTES) == DATA[5 : 5 + 2 * BUFFER_BYTES]
        assert source.find(b"\xff\x00", 300, len(DATA)) == 511


def test_what_the_server_does_not_give_is_an_os_error(web: str) -> None:
    with pytest.raises(FileNotFoundError):
        Source(f"{web}/gone")
    with pytest.raises(OSError, match="500"):
        Source(f"{web}/broken")
    with pytest.raises(OSError, match="127"):
        Source("http://127.0.0.1:1/x")


def test_paths_are_shown_in_utf_8() -> None:
    assert shown("文/a.txt") == "文/a.txt"
    assert shown("bad\udcff.txt") == "bad\\xff.txt"
