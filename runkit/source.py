"""Random reading of one file, local or behind a URL.

In: a path or `scheme://` URL. Out: bytes by position, through one buffer of 1 MB, so that walking a file
piece by piece costs one system call for each megabyte, and looking at far places one for each place. A web
server that cannot send ranges of a file is asked for all of it, into a temporary file, each time it is opened.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

from runkit.errors import UserError

BUFFER_BYTES: Final = 1 << 20
WEB_SILENCE_S: Final = 60  # a server that sends nothing for so long is given up
STORE_BLOCK_BYTES: Final = 4 << 20  # of one request to S3 and the like
FEED_BYTES: Final = 1 << 16  # zlib copies what it has not used, so it is fed little at a time


def is_web(path: str) -> bool:
    """Is this the URL of a web page or file?"""
    return path.startswith(("http://", "https://"))


def shown(path: str) -> str:
    """A path as it can be written into any file: bytes that are not UTF-8 stand as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _open_web(url: str) -> tuple[BinaryIO, bool]:
    """The file behind a URL, and whether it had to be copied. FileNotFoundError: the server does not have it."""
    import aiohttp
    import fsspec  # type: ignore[import-untyped,unused-ignore]

    fs, path = fsspec.core.url_to_fs(url)
    # By default aiohttp ends every answer after five minutes, however well it flows.
    limits = aiohttp.ClientTimeout(total=None, sock_connect=WEB_SILENCE_S, sock_read=WEB_SILENCE_S)
    headers = {"Accept-Encoding": "identity"}
    try:
        # `block_size=0` streams one answer; with a size no other request is made.
        first = {**headers, "Range": "bytes=0-0"}
        with fs.open(path, block_size=0, size=1, headers=first, timeout=limits) as answer:
            total = str(answer.r.headers.get("Content-Range", "")).rpartition("/")[2]
            if answer.r.status == 206 and total.isdecimal():
                return cast(BinaryIO, fs.open(path, size=int(total), headers=headers, timeout=limits)), False
            if answer.r.status == 200:
                return _copy(answer), True
        with fs.open(path, block_size=0, size=1, headers=headers, timeout=limits) as answer:
            return _copy(answer), True
    except aiohttp.ClientError as error:
        raise OSError(str(error) or type(error).__name__) from None


def _copy(answer: BinaryIO) -> BinaryIO:
    copy = tempfile.TemporaryFile()  # noqa: SIM115  (closed by the Source)
    try:
        shutil.copyfileobj(answer, copy, BUFFER_BYTES)
    except BaseException:
        copy.close()
        raise
    return cast(BinaryIO, copy)


@contextmanager
def store_errors() -> Iterator[None]:
    """OSError for what the client of an object store raises: each has a family of errors of its own."""
    try:
        yield
    except (UserError, OSError, ImportError, ValueError, MemoryError):
        raise
    except Exception as error:
        raise OSError(" ".join(str(error).split()) or type(error).__name__) from error


class Source:
    """One open file. Local paths are opened directly, URLs through fsspec, which takes 0.15 s to import."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.copied = False  # the file is a temporary copy of what lies behind the URL
        if is_web(path):
            self.file, self.copied = _open_web(path)
        elif "://" in path:
            import fsspec  # type: ignore[import-untyped,unused-ignore]

            with store_errors():
                fs, inner = fsspec.core.url_to_fs(path)
                # A look at one place costs a block, and S3's is 50 MB by default.
                self.file = cast(BinaryIO, fs.open(inner, "rb", block_size=STORE_BLOCK_BYTES))
        else:
            self.file = Path(path).open("rb", buffering=0)  # noqa: SIM115  (closed by __exit__)
        self.size: int = self.file.seek(0, 2)
        self._start = 0
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def _fill(self, offset: int) -> int:
        """Make `offset` the first byte of the buffer unless it is buffered; return its index there."""
        index = offset - self._start
        if 0 <= index < len(self._buffer):
            return index
        self.file.seek(offset)
        self._start, self._buffer = offset, self._read(BUFFER_BYTES)
        return 0

    def _read(self, size: int) -> bytes:
        if self.copied or "://" not in self.path:
            return self.file.read(size)
        if not is_web(self.path):
            with store_errors():
                return self.file.read(size)
        import aiohttp

        try:
            return self.file.read(size)
        except (aiohttp.ClientError, ValueError) as error:
            raise OSError(str(error) or type(error).__name__) from None

    def chunk(self, offset: int, limit: int = FEED_BYTES) -> memoryview:
        """Between 1 and `limit` bytes from `offset` on; empty at the end of the file."""
        index = self._fill(offset)
        return memoryview(self._buffer)[index : index + limit]

    def read_at(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on, fewer only at the end of the file."""
        pieces: list[bytes] = []
        while size > 0 and (piece := bytes(self.chunk(offset, size))):
            pieces.append(piece)
            offset += len(piece)
            size -= len(piece)
        return b"".join(pieces)

    def find(self, pattern: bytes, start: int, end: int) -> int:
        """Position of the first `pattern` that begins in [start, end), or -1."""
        overlap = len(pattern) - 1
        while start < end:
            self._fill(start)
            index = self._buffer.find(pattern, start - self._start)
            if index >= 0:
                found = self._start + index
                return found if found < end else -1
            after = self._start + len(self._buffer)
            if after >= self.size or len(self._buffer) <= overlap:
                return -1
            start = max(start + 1, after - overlap)
            # The overlap lies in this buffer; drop it so that the next fill starts there.
            if start < after:
                self._start, self._buffer = start, b""
        return -1
