"""Where a file may be cut, and its fingerprint.

In: an open file with its format. Out: `Cut`s that cover it without gap or overlap, each beginning at a
record. The boundary after every multiple of the shard size is sought by its magic bytes and tried by
decompressing at most 64 kB there; nothing else is decompressed. A file without such places (a single gzip
member, bz2, MediaWiki XML) is one cut. A false boundary (a WARC stored uncompressed inside a WARC) costs a
counted damage, never a lost record, since the reader of the range before it reads its last record to the end.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from runkit.jsonl import JsonLineError, parse_object
from runkit.parquet_footer import row_groups
from runkit.source import Source
from runkit.streams import Accept, begins_record, find_member, head_of

_HASH_BYTES: Final = 1 << 20
_LINE_HEAD: Final = 1 << 16
# Members made without regard to lines, as by bgzip, seldom begin one; trying them all would take minutes.
_TRIES: Final = 40


@dataclass(frozen=True, slots=True)
class Cut:
    """A range of bytes (parquet: rows) with its size in bytes."""

    start: int
    end: int
    size_bytes: int
    first_line: int | None = None


def cut_file(source: Source, format_name: str, compression: str, shard_bytes: int) -> list[Cut]:
    """Cuts of about `shard_bytes`, the last one at least half of that unless it is the only one."""
    if format_name == "parquet":
        return _parquet_cuts(source, shard_bytes)
    places = [0]
    if format_name in {"warc", "jsonl"} and compression != "bz2":
        remote = "://" in source.path
        target = shard_bytes
        while target + shard_bytes // 2 <= source.size:
            limit = min(target + shard_bytes, source.size)
            place = _boundary(source, format_name, compression, target, limit)
            if place < limit:
                places.append(place)
            elif remote and len(places) == 1:
                break  # reading all of a remote file to learn that it is one member costs a second download
            target += shard_bytes
    ends = [*places[1:], source.size]
    first = 1 if format_name == "jsonl" else None
    return [
        Cut(start, end, end - start, first if start == 0 else None)
        for start, end in zip(places, ends, strict=True)
        if end > start
    ]


def _boundary(source: Source, format_name: str, compression: str, start: int, limit: int) -> int:
    """The first place in [start, limit) where a record begins, `limit` if there is none."""
    if compression:
        accept: Accept = begins_record if format_name == "warc" else _begins_line
        size = 512 if format_name == "warc" else _LINE_HEAD
        return _member(source, compression, start, limit, accept, size)
    mark, skip = (b"\r\n\r\nWARC/1.", 4) if format_name == "warc" else (b"\n", 1)
    found = source.find(mark, start, limit)
    return limit if found < 0 or found + skip >= limit else found + skip


def _member(source: Source, compression: str, start: int, limit: int, accept: Accept, size: int) -> int:
    """`find_member` with a longer look where 512 bytes do not hold a line."""
    for _ in range(_TRIES):
        found = find_member(source, start, limit, compression, bool)
        if found >= limit or accept(head_of(source, found, compression, size)):
            return found
        start = found + 1
    return limit


def _begins_line(head: bytes) -> bool:
    """Is the first line here a whole JSON object (or the beginning of a very long one)?"""
    line, newline, _ = head.partition(b"\n")
    if not newline and len(head) == _LINE_HEAD:
        return line.startswith(b'{"')
    try:
        return bool(parse_object(line))
    except JsonLineError:
        return False


def _parquet_cuts(source: Source, shard_bytes: int) -> list[Cut]:
    """Cuts in rows, at row groups."""
    cuts: list[Cut] = []
    start = rows = size = 0
    for group in row_groups(source):
        rows += group.rows
        size += group.size_bytes
        if size >= shard_bytes:
            cuts.append(Cut(start, rows, size))
            start, size = rows, 0
    if rows > start:
        cuts.append(Cut(start, rows, size))
    return cuts


def fingerprint(source: Source, cuts: list[Cut], *, lines: bool) -> tuple[str, list[Cut]]:
    """The file's mark, and with `lines` the cuts with the number of their first line, from one reading."""
    if "://" in source.path:
        import fsspec  # type: ignore[import-untyped,unused-ignore]

        fs, path = fsspec.core.url_to_fs(source.path)
        info = fs.info(path)
        # Over HTTP `ukey` is made of the URL alone; what else the server says of the file tells a changed
        # one.
        extra = [
            str(info[key])
            for key in ("ETag", "LastModified", "Last-Modified", "mtime", "size")
            if info.get(key) is not None
        ]
        return "|".join([str(fs.ukey(path)), *extra]), cuts
    digest = hashlib.sha256()
    numbered: list[Cut] = []
    number = 1
    starts = iter([*(cut.start for cut in cuts[1:]), -1] if lines else [-1])
    next_start = next(starts)
    if lines:
        numbered.append(replace(cuts[0], first_line=1))
    position = 0
    while chunk := source.read_at(position, _HASH_BYTES):
        digest.update(chunk)
        done = 0
        while lines and position + done <= next_start <= position + len(chunk):
            number += chunk.count(b"\n", done, next_start - position)
            done = next_start - position
            numbered.append(replace(cuts[len(numbered)], first_line=number))
            next_start = next(starts)
        if lines:
            number += chunk.count(b"\n", done)
        position += len(chunk)
    return digest.hexdigest(), numbered if lines else cuts
