"""Random reading of one file, local or behind a URL.

In: a path or `scheme://` URL. Out: bytes by position, through one buffer of 1 MB, so that walking a file
piece by piece costs one system call for each megabyte, and looking at far places one for each place.
"""

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

BUFFER_BYTES: Final = 1 << 20
FEED_BYTES: Final = 1 << 16  # zlib copies what it has not used, so it is fed little at a time


class Source:
    """One open file. Local paths are opened directly, URLs through fsspec, which takes 0.15 s to import."""

    def __init__(self, path: str) -> None:
        self.path = path
        if "://" in path:
            import fsspec  # type: ignore[import-untyped,unused-ignore]

            self._file = cast(BinaryIO, fsspec.open(path, "rb").open())
        else:
            self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115  (closed by __exit__)
        self.size: int = self._file.seek(0, 2)
        self._start = 0
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _fill(self, offset: int) -> int:
        """Make `offset` the first byte of the buffer unless it is buffered; return its index there."""
        index = offset - self._start
        if 0 <= index < len(self._buffer):
            return index
        self._file.seek(offset)
        self._start, self._buffer = offset, self._file.read(BUFFER_BYTES)
        return 0

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
