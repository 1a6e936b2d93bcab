"""The row groups of a parquet file, read from its footer alone.

In: an open file. Out: rows and bytes of each row group. A reader of Thrift's compact protocol in 60 lines
stands here because the planning process forks workers, and polars, which could say the same, starts threads
that a fork breaks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runkit.formats import FormatError
from runkit.source import Source

MAX_FOOTER_BYTES: Final = 1 << 28
_FIXED: Final = {3: 1, 7: 8}  # byte, double
_VARINT: Final = frozenset({4, 5, 6})
_FILE_ROW_GROUPS: Final = 4  # FileMetaData.row_groups, parquet.thrift
_GROUP_BYTES: Final = 2  # RowGroup.total_byte_size
_GROUP_ROWS: Final = 3  # RowGroup.num_rows


@dataclass(frozen=True, slots=True)
class RowGroup:
    """`size_bytes` before compression, as the footer has it."""

    rows: int
    size_bytes: int


class _Thrift:
    """Walks a struct in Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self._data, self._pos = data, 0

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self._pos]
            self._pos += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def zigzag(self) -> int:
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def fields(self) -> Iterator[tuple[int, int]]:
        """(id, type) of each field; the caller reads or skips its value before going on."""
        number = 0
        while (byte := self._take()) != 0:
            delta, kind = byte >> 4, byte & 15
            number = number + delta if delta else self.zigzag()
            yield number, kind

    def _take(self) -> int:
        self._pos += 1
        return self._data[self._pos - 1]

    def list_header(self) -> tuple[int, int]:
        """(size, type) of a list or set."""
        byte = self._take()
        return (byte >> 4 if byte >> 4 < 15 else self.varint()), byte & 15

    def skip(self, kind: int) -> None:
        if kind in _FIXED:
            self._pos += _FIXED[kind]
        elif kind in _VARINT:
            self.varint()
        elif kind == 8:
            size = self.varint()
            self._pos += size
        elif kind in {9, 10}:
            size, inner = self.list_header()
            for _ in range(size):
                self.skip(3 if inner in {1, 2} else inner)  # booleans in lists take a byte
        elif kind == 12:
            for _, inner in self.fields():
                self.skip(inner)
        elif kind not in {1, 2}:
            raise FormatError("a parquet file with an unreadable footer")


def row_groups(source: Source) -> list[RowGroup]:
    """All row groups in order; FormatError when the file is cut or its footer damaged."""
    tail = source.read_at(max(0, source.size - 8), 8)
    size = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or not 0 < size <= min(source.size - 12, MAX_FOOTER_BYTES):
        raise FormatError("a parquet file that is cut or encrypted")
    thrift = _Thrift(source.read_at(source.size - 8 - size, size))
    groups: list[RowGroup] = []
    try:
        for number, kind in thrift.fields():
            if number == _FILE_ROW_GROUPS and kind == 9:
                count, _ = thrift.list_header()
                groups.extend(_row_group(thrift) for _ in range(count))
            else:
                thrift.skip(kind)
    except (IndexError, RecursionError):
        raise FormatError("a parquet file with an unreadable footer") from None
    if any(group.rows < 0 for group in groups) or not any(group.rows for group in groups):
        raise FormatError("a parquet file without rows")
    return groups


def _row_group(thrift: _Thrift) -> RowGroup:
    rows = size = 0
    for number, kind in thrift.fields():
        if number == _GROUP_ROWS and kind in _VARINT:
            rows = thrift.zigzag()
        elif number == _GROUP_BYTES and kind in _VARINT:
            size = thrift.zigzag()
        else:
            thrift.skip(kind)
    return RowGroup(rows, size)
