"""Compressed files read in bounded pieces, with recovery after damage.

In: a `Source` (positions in a local or remote file) and a byte range of it that starts at a gzip member, zstd
frame or bz2 stream. Out: decompressed pieces of at most `OUT_BYTES` (a bomb therefore costs time, never
memory) and a `StreamError` where the bytes are broken, after which reading goes on at the next place that
really begins a member. The trade-off: zlib is driven from Python piece by piece instead of through
`gzip.open`, which costs about 1 % on 75 kB members and is what makes positions, CRC per member and recovery
possible.

A gzip member's CRC and length are checked by zlib at its end; zstd frames only where the writer stored a
checksum.
"""

import bz2
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, Protocol, cast

import zstandard
from isal import isal_zlib

from runkit.source import FEED_BYTES, Source

OUT_BYTES: Final = 1 << 20
# A frame may ask for a window of up to 2 GB; 64 MB covers every level of the zstd command but --ultra 22 and
# --long.
MAX_WINDOW_BYTES: Final = 1 << 26
MAGIC: Final = {"gz": b"\x1f\x8b\x08", "zst": b"\x28\xb5\x2f\xfd", "bz2": b"BZh"}
BZ2_BLOCK: Final = b"1AY&SY"

Accept = Callable[[bytes], bool]


class StreamError(Exception):
    """Bytes that cannot be decompressed; `offset` is where the damaged member starts in the file."""

    def __init__(self, offset: int, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} at byte {offset} {detail}".strip())
        self.offset, self.reason, self.detail = offset, reason, detail


class Member(Protocol):
    """One gzip member, zstd frame, bz2 stream or plain range."""

    def pull(self) -> bytes:
        """The next piece, at most OUT_BYTES; b"" at the sound end; StreamError otherwise."""
        ...

    def end(self) -> int:
        """Position after the member; only known once `pull` has returned b""."""
        ...


class PlainRange:
    """Uncompressed bytes [offset, end); goes past `end` never."""

    def __init__(self, source: Source, offset: int, end: int) -> None:
        self._source, self._pos, self._end = source, offset, end

    def pull(self) -> bytes:
        piece = bytes(self._source.chunk(self._pos, min(1 << 18, self._end - self._pos)))
        self._pos += len(piece)
        return piece

    def end(self) -> int:
        return self._pos


class _Engine(Protocol):
    """What zlib's and bz2's decompressors have in common, tails hidden."""

    def feed(self, data: bytes | memoryview) -> bytes: ...
    def hungry(self) -> bool: ...
    def eof(self) -> bool: ...
    def unused(self) -> int: ...


class _Zlib:
    """igzip has zlib's interface and its checks (CRC and length at the end of a member) at twice its speed."""

    def __init__(self) -> None:
        self._z = isal_zlib.decompressobj(31)

    def feed(self, data: bytes | memoryview) -> bytes:
        return self._z.decompress(self._z.unconsumed_tail or data, OUT_BYTES)

    def hungry(self) -> bool:
        return not self._z.unconsumed_tail

    def eof(self) -> bool:
        return self._z.eof

    def unused(self) -> int:
        return len(self._z.unused_data)


class _Bz2:
    def __init__(self) -> None:
        self._z = bz2.BZ2Decompressor()

    def feed(self, data: bytes | memoryview) -> bytes:
        return self._z.decompress(data, OUT_BYTES)

    def hungry(self) -> bool:
        return self._z.needs_input

    def eof(self) -> bool:
        return self._z.eof

    def unused(self) -> int:
        return len(self._z.unused_data)


class FedMember:
    """A gzip member or bz2 stream: both are fed until they say where they end."""

    def __init__(self, source: Source, offset: int, compression: str) -> None:
        self._source, self._offset, self._pos = source, offset, offset
        self._name = compression
        self._engine: _Engine = _Zlib() if compression == "gz" else _Bz2()

    def pull(self) -> bytes:
        engine = self._engine
        while not engine.eof():
            data: memoryview | bytes = b""
            if engine.hungry():
                data = self._source.chunk(self._pos)
                self._pos += len(data)
            try:
                out = engine.feed(data)
            except (isal_zlib.IsalError, OSError, ValueError) as error:  # type: ignore[misc]  # untyped there
                raise StreamError(self._offset, f"{self._name}.damaged", str(error)) from None
            if out:
                return out
            if not data and not engine.eof() and engine.hungry():
                raise StreamError(self._offset, f"{self._name}.cut", "the file ends inside a member")
        return b""

    def end(self) -> int:
        return self._pos - self._engine.unused()


def zstd_frame_end(source: Source, offset: int) -> int | None:
    """Where the frame at `offset` ends, found from its block headers alone; None when it is cut or no frame.

    RFC 8878 section 3.1: nothing is decompressed, so this costs one 3-byte read for each block of up to 128
    kB.
    """
    head = source.read_at(offset, 18)
    if len(head) >= 8 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        end = offset + 8 + int.from_bytes(head[4:8], "little")
        return end if end <= source.size else None
    try:
        position = offset + zstandard.frame_header_size(head)
        checksum = 4 if zstandard.get_frame_parameters(head).has_checksum else 0
    except zstandard.ZstdError:
        return None
    while True:
        header = source.read_at(position, 3)
        if len(header) < 3:
            return None
        word = int.from_bytes(header, "little")
        last, kind, size = word & 1, word >> 1 & 3, word >> 3
        if kind == 3:
            return None
        position += 3 + (1 if kind == 1 else size)
        if last:
            return position + checksum if position + checksum <= source.size else None


class _FrameBytes:
    """The `read` that zstandard asks for, over one frame only."""

    def __init__(self, source: Source, offset: int, end: int) -> None:
        self._source, self.pos, self._end = source, offset, end

    def read(self, size: int = -1) -> bytes:
        room = self._end - self.pos
        piece = bytes(self._source.chunk(self.pos, room if size < 0 else min(size, room)))
        self.pos += len(piece)
        return piece


class ZstdFrame:
    """One zstd frame; a skippable frame reads as empty."""

    def __init__(self, source: Source, offset: int, dictionary: bytes = b"") -> None:
        self._offset = offset
        found = zstd_frame_end(source, offset)
        self._whole = found is not None
        self._end = source.size if found is None else found
        self._skip = source.read_at(offset, 4)[1:] == b"\x2a\x4d\x18"
        self._raw = _FrameBytes(source, offset, self._end)
        extra = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        self._reader = zstandard.ZstdDecompressor(dict_data=extra, max_window_size=MAX_WINDOW_BYTES).stream_reader(
            cast(BinaryIO, self._raw), read_size=FEED_BYTES, read_across_frames=False
        )

    def pull(self) -> bytes:
        if self._skip:
            return b""
        try:
            out = self._reader.read(OUT_BYTES)
        except zstandard.ZstdError as error:
            reason = "zst.window" if "memory" in str(error) else "zst.damaged"
            raise StreamError(self._offset, reason, str(error)) from None
        if not out and not self._whole:
            raise StreamError(self._offset, "zst.cut", "the file ends inside a frame, or a block is damaged")
        return out

    def end(self) -> int:
        return self._end


def open_member(source: Source, offset: int, compression: str, end: int = -1, dictionary: bytes = b"") -> Member:
    """The member at `offset`; a plain range ends at `end` (the whole rest of the file by default)."""
    if compression == "zst":
        return ZstdFrame(source, offset, dictionary)
    if compression:
        return FedMember(source, offset, compression)
    return PlainRange(source, offset, source.size if end < 0 else end)


def starts_member(source: Source, offset: int, compression: str) -> bool:
    """Does the magic of a member stand at `offset`?"""
    head = source.read_at(offset, 10)
    if compression == "bz2":
        return head[:3] == MAGIC["bz2"] and head[4:10] == BZ2_BLOCK
    if compression == "zst" and head[1:4] == b"\x2a\x4d\x18":
        return head[0] & 0xF0 == 0x50
    # gzip: the three high bits of the flags are reserved and zero (RFC 1952).
    return head.startswith(MAGIC[compression]) and (compression != "gz" or (len(head) > 3 and head[3] < 0x20))


def head_of(source: Source, offset: int, compression: str, size: int = 512, dictionary: bytes = b"") -> bytes:
    """The first decompressed bytes at `offset`, b"" if there is no sound beginning."""
    out = b""
    try:
        member = open_member(source, offset, compression, dictionary=dictionary)
        while len(out) < size and (piece := member.pull()):
            out += piece
    except StreamError:
        pass
    return out[:size]


def find_member(source: Source, start: int, end: int, compression: str, accept: Accept, dictionary: bytes = b"") -> int:
    """The first position in [start, end) where a member begins that `accept` believes; `end` if none.

    Three magic bytes occur by chance once in 16 MB of compressed data, so every hit is tried by
    decompressing.
    """
    while (found := source.find(MAGIC[compression], start, end)) >= 0:
        if starts_member(source, found, compression) and accept(
            head_of(source, found, compression, dictionary=dictionary)
        ):
            return found
        start = found + 1
    return end


def looks_like_text(head: bytes) -> bool:
    """Does this read as the beginning of a text? 200 random bytes pass once in a thousand million."""
    odd = sum(byte < 9 or 13 < byte < 32 for byte in head)
    return bool(head) and odd * 50 <= len(head)


def begins_record(head: bytes) -> bool:
    """Do these decompressed bytes begin a WARC record?"""
    return head.lstrip(b"\r\n").startswith(b"WARC/")


class Stream:
    """The decompressed bytes of [start, end) of a file, one member after another, for line readers.

    `read` raises StreamError once for each damage and then goes on at the next member that begins in the
    range.
    """

    def __init__(self, source: Source, compression: str, start: int = 0, end: int = -1) -> None:
        self._source, self._compression = source, compression
        self._pos, self._stop = start, source.size if end < 0 else end
        self._member: Member | None = None

    def read(self, size: int = -1) -> bytes:
        """The next piece, of any length up to OUT_BYTES, whatever `size` asks; b"" at the end."""
        while True:
            if self._member is None:
                if self._pos >= self._stop:
                    return b""
                self._begin()
            assert self._member is not None
            try:
                piece = self._member.pull()
            except StreamError:
                self._member = None
                self._resync()
                raise
            if piece:
                return piece
            self._pos = max(self._member.end(), self._pos + 1)
            self._member = None

    def _begin(self) -> None:
        if not self._compression or starts_member(self._source, self._pos, self._compression):
            self._member = open_member(self._source, self._pos, self._compression, self._stop)
            return
        garbage = self._pos
        # gzip files may be padded with zeros up to a block; the gzip command ignores them too.
        padding = not self._source.read_at(
            garbage, self._stop - garbage if self._stop - garbage < 1 << 16 else 512
        ).strip(b"\0")
        self._resync()
        if padding and self._pos >= self._stop:
            self._member = PlainRange(self._source, self._stop, self._stop)
            return
        raise StreamError(garbage, f"{self._compression}.garbage", f"{self._pos - garbage} bytes between members")

    def _resync(self) -> None:
        if not self._compression:
            raise AssertionError("plain bytes cannot be damaged")
        self._pos = find_member(self._source, self._pos + 1, self._stop, self._compression, looks_like_text)


def whole(source: Source, compression: str, max_bytes: int) -> bytes | None:
    """All decompressed bytes of a small file, None where they are more than `max_bytes`."""
    pieces: list[bytes] = []
    total = 0
    for piece in pieces_of(Stream(source, compression)):
        total += len(piece)
        if total > max_bytes:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def pieces_of(stream: Stream) -> Iterator[bytes]:
    """The pieces of a stream up to its end."""
    while piece := stream.read():
        yield piece
