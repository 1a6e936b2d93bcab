"""From what the user names to a plan: which files, in which format, cut into which shards.

In: files, folders, globs and URLs, each optionally `name=path`. Out: a `Plan` of shards of about 8 MB that
depends on the bytes of the inputs alone, never on the number of workers, and pickles. Formats are found by
content (formats.py), boundaries by seeking near every multiple of the shard size (cuts.py). Local files are
read once, for their sha256, which is what makes a changed input noticed: 1.1 s for each GB; remote files are
known by what the store says of them. A file on a web server that cannot send ranges is one shard, downloaded
once for the plan and once for the reading.
"""

import glob
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Final

from runkit.cuts import Cut, cut_file, fingerprint
from runkit.errors import InputError, UsageError
from runkit.formats import FormatError, detect
from runkit.source import Source, is_web, shown, store_errors

SHARD_BYTES: Final = 8_000_000
_NAMED: Final = re.compile(r"([^=/\\:?*\[\]]+)=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """A range of one file: bytes of the file as it lies there (parquet: rows). Only `path` may hold surrogates."""

    path: str
    name: str
    source: str
    format: str  # warc | jsonl | html | text | parquet | mediawiki
    compression: str  # "" | gz | zst | bz2
    start: int
    end: int
    first_line: int | None = None  # jsonl: number of the first line, None where it cannot be known
    labelled: bool = False  # `source` is the user's `name=`, not the file's stem


@dataclass(frozen=True, slots=True)
class Shard:
    """What one worker reads in one go."""

    index: int
    parts: tuple[Part, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input as it was when the plan was made; `fingerprint` is sha256, for a URL the store's mark."""

    name: str
    path: str
    size_bytes: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that is not read, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a run reads."""

    shards: tuple[Shard, ...]
    files: tuple[InputFile, ...]
    skipped: tuple[SkippedFile, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A file behind an argument, not looked into yet."""

    path: str
    name: str
    source: str | None  # None: the file's stem
    explicit: bool  # named by the user, not met in a folder


def plan(
    inputs: Sequence[str],
    *,
    shard_bytes: int = SHARD_BYTES,
    choose: Callable[[list[Found]], list[Found]] = list,
    refused: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Find, name and cut the files. UsageError: a path does not exist. InputError: nothing can be read.

    `choose` leaves out files that were found; `refused` says of a format why its files are skipped.
    """
    if not inputs:
        raise UsageError("No input was given; name a file, a folder, a pattern or a URL.")
    found: list[Found] = []
    skipped: list[SkippedFile] = []
    seen: set[str] = set()
    for argument in inputs:
        for file in choose(list(_expand(argument))):
            real = file.path if "://" in file.path else os.path.realpath(file.path)
            if real in seen:
                skipped.append(SkippedFile(shown(file.path), "named twice"))
                continue
            seen.add(real)
            found.append(file)
    files: list[InputFile] = []
    pieces: list[tuple[Part, int]] = []
    for file in _unique_names(found):
        try:
            entry, parts = _study(file, shard_bytes, refused)
        except FormatError as error:
            skipped.append(SkippedFile(shown(file.path), str(error)))
            continue
        except OSError as error:
            skipped.append(SkippedFile(shown(file.path), error.strerror or str(error) or type(error).__name__))
            continue
        files.append(entry)
        pieces.extend(parts)
    if not pieces:
        # That nothing could be read is best explained by what could be after one more step.
        telling = [file for file in skipped if file.reason in refused.values()] or skipped
        first = telling[0] if telling else SkippedFile(shown(inputs[0]), "the folder holds no files")
        raise InputError(f"There is nothing to read in {', '.join(map(shown, inputs))}: {first.path}: {first.reason}.")
    return Plan(tuple(_group(pieces, shard_bytes)), tuple(files), tuple(skipped))


def _group(pieces: list[tuple[Part, int]], shard_bytes: int) -> Iterator[Shard]:
    """Put neighbours together as long as they stay within `shard_bytes`."""
    index, total = 0, 0
    held: list[Part] = []
    for part, size in pieces:
        if held and total + size > shard_bytes:
            yield Shard(index, tuple(held), total)
            index, total, held = index + 1, 0, []
        held.append(part)
        total += size
    if held:
        yield Shard(index, tuple(held), total)


def _study(file: Found, shard_bytes: int, refused: Mapping[str, str]) -> tuple[InputFile, list[tuple[Part, int]]]:
    """Format, fingerprint and parts of one file, each part with its size in bytes."""
    if "://" not in file.path and not stat.S_ISREG(Path(file.path).stat().st_mode):
        raise FormatError("not a regular file")
    with Source(file.path) as source:
        if source.size == 0:
            raise FormatError("empty file")
        format_name, compression = detect(source, explicit=file.explicit)
        if format_name in refused:
            raise FormatError(refused[format_name])
        if source.copied:
            shard_bytes = 1 << 62  # each shard would cost a download of the whole file
        cuts: list[Cut] = cut_file(source, format_name, compression, shard_bytes)
        if source.copied:
            mark = _sha256(source)
        else:
            mark, cuts = fingerprint(source, cuts, lines=format_name == "jsonl" and not compression)
        name, label = shown(file.name), shown(file.source if file.source is not None else stem(file.path))
        whole = Part(file.path, name, label, format_name, compression, 0, 0, labelled=file.source is not None)
        parts = [
            (replace(whole, start=cut.start, end=cut.end, first_line=cut.first_line), cut.size_bytes) for cut in cuts
        ]
        return InputFile(name, shown(file.path), source.size, mark), parts


def _sha256(source: Source) -> str:
    source.file.seek(0)
    digest = hashlib.sha256()
    while chunk := source.file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def stem(path: str) -> str:
    """The file's name without suffixes of format and compression: `zh.v2.jsonl.zst` is `zh.v2`."""
    name = PurePosixPath(path.split("?", 1)[0].rstrip("/")).name or "input"
    for _ in range(3):
        base, dot, suffix = name.rpartition(".")
        if not (dot and base and suffix.lower() in _SUFFIXES):
            break
        name = base
    return name


_FORMAT_SUFFIXES: Final = ("warc", "wet", "wat", "jsonl", "ndjson", "json", "html", "htm", "xhtml", "shtml")
_TEXT_SUFFIXES: Final = ("txt", "text", "md", "markdown", "rst", "xml", "parquet")
_SUFFIXES: Final = frozenset({*_FORMAT_SUFFIXES, *_TEXT_SUFFIXES, "gz", "gzip", "zst", "zstd", "bz2"})


def _expand(argument: str) -> Iterator[Found]:
    """The files behind one argument, in sorted order."""
    label, path = split_label(argument)
    if path.startswith("file://"):
        path = path.removeprefix("file://")
    if "://" in path:
        try:
            with store_errors():
                yield from list(_expand_url(path, label))
        except OSError as error:
            raise InputError(f"{shown(path)} cannot be read: {error.strerror or error}.") from error
    elif Path(path).is_dir():
        yield from _walk(path, label)
    elif os.path.lexists(path):
        yield Found(path, Path(path).name, label, True)
    elif glob.has_magic(path):
        base = path[: re.search(r"[*?\[]", path).start()]  # type: ignore[union-attr]
        base = base.rpartition("/")[0] or ("/" if base.startswith("/") else ".")
        matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207  (Path.glob refuses absolute patterns)
        if not matches:
            raise UsageError(f"No file matches {shown(path)}; quote the pattern if the shell should not expand it.")
        for match in matches:
            if Path(match).is_dir():
                yield from _walk(match, label)
            else:
                yield Found(match, os.path.relpath(match, base), label, True)
    else:
        raise UsageError(f"{shown(path)} does not exist; check the path.")


def split_label(argument: str) -> tuple[str | None, str]:
    """`NAME=PATH` as name and path; a path that is there as it stands has no name."""
    named = _NAMED.fullmatch(argument)
    if named is None or os.path.lexists(argument):
        return None, argument
    return named.group(1), named.group(2)


def _walk(folder: str, label: str | None) -> Iterator[Found]:
    """Files under a folder, hidden ones left out, links to folders not followed."""
    parent = Path(os.path.abspath(folder)).parent  # noqa: PTH100  (resolve would follow links and change the names)
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                path = os.path.join(root, name)  # noqa: PTH118  (a Path would drop the leading "./" the user wrote)
                yield Found(path, os.path.relpath(os.path.abspath(path), parent), label, False)  # noqa: PTH100


def _expand_url(url: str, label: str | None) -> Iterator[Found]:
    import fsspec  # type: ignore[import-untyped,unused-ignore]

    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{url} cannot be opened: {error}.") from None
    web = is_web(url)
    if not web and fs.isdir(path):
        base = PurePosixPath(path).parent
        for found in sorted(fs.find(path), key=_as_walked):
            relative = PurePosixPath(found).relative_to(base)
            if not any(part.startswith(".") for part in relative.parts[1:]):
                yield Found(fs.unstrip_protocol(found), str(relative), label, False)
    elif not web and glob.has_magic(path):
        matches = sorted(
            found for found in fs.glob(path) if not PurePosixPath(found).name.startswith(".") and not fs.isdir(found)
        )
        if not matches:
            raise UsageError(f"No file matches {url}.")
        for found in matches:
            yield Found(fs.unstrip_protocol(found), PurePosixPath(found).name, label, True)
    elif fs.exists(path):
        yield Found(url, PurePosixPath(url.split("?", 1)[0]).name or url, label, True)
    else:
        raise UsageError(f"{url} does not exist; check the address.")


def _as_walked(path: str) -> list[tuple[bool, str]]:
    """Sorts as `_walk` goes: of each folder the files, then its folders; so a store gives the same run as a disk."""
    *folders, name = path.split("/")
    return [*((True, folder) for folder in folders), (False, name)]


def _unique_names(found: list[Found]) -> list[Found]:
    """Names as they are, or the whole path as given where two files would share one."""
    count = Counter(file.name for file in found)
    return [replace(file, name=file.path) if count[file.name] > 1 else file for file in found]
