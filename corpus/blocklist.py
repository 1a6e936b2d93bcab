"""Address → every list that names it: the blocklists that datatrove carries, and the user's own.

In: a URL. Out: all reasons, e.g. `["url.domain", "url.word"]`. The shipped lists (4.6 million domains and
addresses, 125 MB of text) become one sorted array of 61-bit hashes, 37 MB in the user's cache folder, built
once in about 3 CPU seconds and mapped, not loaded, by each later start in 0.06 (checksums of archive and
array included). Price of hashes: a name on no list hits
by accident once in 5e11 look-ups. A check costs 25–35 µs, half of it for the lists of words.

Where this differs from datatrove's URLFilter, with the reason:
- It tests every parent domain, not only the registered one and the full host, and needs no suffix list.
- The listed addresses have no scheme, so datatrove's test of the full URL hits none of them; here the scheme
  is left out before the look-up.
- Words are compared in lower case.
- A banned subword that spans several words of the URL must begin and end with one ("big-tits" yes,
  "bootstrap-on" no). Of 83,629 links in articles for programmers the plain rule hits 1 wrongly, this one 0;
  of the 19,587 listed addresses the plain rule hits 1,413, this one 1,354.
"""

import gzip
import importlib.util
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from corpus.urls import normalize_url, parent_domains, url_host
from runkit.errors import EnvironmentFault, InputError, UserError
from runkit.files import atomic_write, sha256_file

_ARCHIVE = "url_filterblacklistsv0_3_0.tar.gz"
_SOFT_THRESHOLD = 2  # datatrove's default
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.I)
_VERSION = 1  # of the hash and the layout; part of the cache file's name
_HEADER = 3  # int64 values before the hashes: version, count, crc32 of the hashes
_PRIME = (1 << 61) - 1
_CHUNK_BYTES = 1 << 20


def _hash(name: bytes) -> int:
    """`name` as a number modulo the Mersenne prime 2^61-1: 0.1 µs in plain Python, where FNV-1a takes 2."""
    return int.from_bytes(name) % _PRIME


def _assets() -> Path | None:
    """datatrove's folder of lists, without importing datatrove (0.5 s)."""
    spec = importlib.util.find_spec("datatrove")
    return Path(spec.origin).parent / "assets" if spec and spec.origin else None


def _cache_folder() -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    if base.startswith("/"):
        return Path(base) / "wenhai"
    try:
        return Path.home() / ".cache" / "wenhai"
    except RuntimeError:  # a container's user without a home
        return None


def _archive_hashes(archive: Path) -> NDArray[np.int64]:
    """Sorted hashes of all lines of the members `domains` (as they are) and `urls` (`/` + address)."""
    parts: list[NDArray[np.int64]] = []
    number = int.from_bytes
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name in {"domains", "urls"} else None
                if file is None:
                    continue
                rest = b""
                while rest or member.size:
                    chunk = file.read(_CHUNK_BYTES)
                    lines = (rest + chunk).split(b"\n")
                    rest = lines.pop() if chunk else b""
                    if member.name == "urls":
                        lines = [b"/" + line.rstrip(b"/") for line in lines if line]
                    # _hash written out: 4.6 million calls would cost a second.
                    hashes = [number(line) % _PRIME for line in lines if line]
                    parts.append(np.array(hashes, np.int64))
                    if not chunk:
                        break
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(
            f"The blocklists in {archive} cannot be read ({error}); reinstall datatrove and run again."
        ) from error
    hashes_all = np.concatenate(parts)
    hashes_all.sort()
    return hashes_all


def _load_cache(path: Path) -> NDArray[np.int64] | None:
    """The hashes of a whole, undamaged cache file; None asks for a rebuild.

    All 37 MB are summed (20 ms): one flipped bit breaks the order that bisection needs, and a blocklist
    with holes is not noticed any other way.
    """
    try:
        with path.open("rb") as file:
            # The file is read, not the mapping, so that the pages do not count as this process's memory.
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            header = np.frombuffer(file.read(8 * _HEADER), np.int64)
            checksum = 0
            while chunk := file.read(_CHUNK_BYTES):
                checksum = zlib.crc32(chunk, checksum)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    expected = [_VERSION, len(array) - _HEADER, checksum]
    if array.dtype != np.int64 or array.ndim != 1 or header.tolist() != expected:
        return None
    return np.asarray(array)[_HEADER:]  # indexing a memmap object costs 2 µs more each time


def _shipped_hashes(archive: Path) -> NDArray[np.int64]:
    size_bytes = archive.stat().st_size
    name = f"blocklist-v{_VERSION}-{size_bytes}-{sha256_file(archive)[:16]}.npy"
    folder = _cache_folder()
    if folder is None:
        return _archive_hashes(archive)
    path = folder / name
    if (cached := _load_cache(path)) is not None:
        return cached
    hashes = _archive_hashes(archive)
    header = np.array([_VERSION, len(hashes), zlib.crc32(hashes.data)], np.int64)
    # A cache is a convenience: without a writable folder the array stays in memory.
    with suppress(UserError, OSError), atomic_write(path, hashes.nbytes) as file:
        np.save(file, np.concatenate([header, hashes]), allow_pickle=False)
    return hashes


def _own_lines(paths: Iterable[Path]) -> Iterator[str]:
    """Lines of the user's lists, plain or .gz, without comments and blanks."""
    for path in map(Path, paths):
        opener: Callable[..., Iterable[bytes]] = gzip.open if path.suffix == ".gz" else Path.open
        try:
            lines = [line.decode("utf-8-sig").strip() for line in opener(path, "rb")]
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise InputError(
                f"The list {path} cannot be read ({error}); give a UTF-8 text file, one entry a line."
            ) from error
        yield from (line for line in lines if line and not line.startswith("#"))


def _shipped_words(folder: Path, name: str) -> frozenset[str]:
    lines = (folder / name).read_text("utf-8").splitlines()
    return frozenset(_NOT_WORD.sub("", line.lower()) for line in lines if line and not line.startswith("#"))


class Blocklist:
    """The lists of one run; `check` names every list that an address is on."""

    def __init__(self) -> None:
        self._hashes: NDArray[np.int64] = np.empty(0, np.int64)
        self._words: frozenset[str] = frozenset()
        self._soft_words: frozenset[str] = frozenset()
        self._subwords: tuple[str, ...] = ()
        self._own_domains: frozenset[str] = frozenset()
        self._own_urls: frozenset[str] = frozenset()
        self._own_words: tuple[str, ...] = ()

    @classmethod
    def open(
        cls,
        domains: Sequence[Path] = (),
        urls: Sequence[Path] = (),
        words: Sequence[Path] = (),
        use_shipped: bool = True,
    ) -> "Blocklist":
        """The shipped lists and the user's own. An own word hits wherever the decoded URL contains it.

        Raises InputError for a list that cannot be read.
        """
        self = cls()
        own_domains = (url_host(f"http://{line}") or line.lower() for line in _own_lines(domains))
        self._own_domains = frozenset(own_domains)
        own_urls = (line if _SCHEME.match(line) else f"http://{line}" for line in _own_lines(urls))
        self._own_urls = frozenset(filter(None, map(normalize_url, own_urls)))
        self._own_words = tuple(line.lower() for line in _own_lines(words))
        folder = _assets() if use_shipped else None
        if use_shipped and (folder is None or not (folder / _ARCHIVE).exists()):
            raise EnvironmentFault(
                "The package datatrove does not hold its blocklists; install datatrove 0.10.1 or later, "
                "or turn the shipped lists off."
            )
        if folder is not None:
            self._hashes = _shipped_hashes(folder / _ARCHIVE)
            self._words = _shipped_words(folder, "banned_words.txt")
            self._subwords = tuple(sorted(_shipped_words(folder, "banned_subwords.txt")))
            self._soft_words = _shipped_words(folder, "soft_banned_words.txt")
        return self

    def check(self, url: str) -> list[str]:
        """All lists that name `url`, in a fixed order; empty for a good address and for what is no URL."""
        host = url_host(url)
        if not host:
            return []
        reasons: list[str] = []
        parents = parent_domains(host)
        lower = url.lower()
        if len(self._hashes):
            reasons += self._check_shipped(url, lower, parents)
        if self._own_domains and not self._own_domains.isdisjoint(parents):
            reasons.append("url.own_domain")
        if self._own_urls and normalize_url(url) in self._own_urls:
            reasons.append("url.own_url")
        if self._own_words:
            decoded = unquote(lower, errors="replace")
            if any(word in lower or word in decoded for word in self._own_words):
                reasons.append("url.own_word")
        return reasons

    def _check_shipped(self, url: str, lower: str, parents: list[str]) -> list[str]:
        reasons: list[str] = []
        address = url.partition("://")[2].strip().rstrip("/")
        addresses = {address, address.removeprefix("www.")}
        keys = [_hash(parent.encode()) for parent in parents]
        keys += [_hash(b"/" + name.encode("utf-8", "replace")) for name in addresses]
        wanted = np.array(keys, np.int64)
        places = self._hashes.searchsorted(wanted)
        hits = (self._hashes.take(places, mode="clip") == wanted).tolist()
        if any(hits[: len(parents)]):
            reasons.append("url.domain")
        if any(hits[len(parents) :]):
            reasons.append("url.url")
        words = _NOT_WORD.split(lower)
        if not self._words.isdisjoint(words):
            reasons.append("url.word")
        if len(self._soft_words.intersection(words)) >= _SOFT_THRESHOLD:
            reasons.append("url.soft_words")
        if self._has_subword(words):
            reasons.append("url.subword")
        return reasons

    def _has_subword(self, words: list[str]) -> bool:
        joined = "".join(words)
        found = [subword for subword in self._subwords if subword in joined]
        if not found:
            return False
        if any(subword in word for subword in found for word in words):
            return True
        edges = {0}
        for word in words:
            edges.add(max(edges) + len(word))
        return any(
            match.start() in edges and match.start() + len(subword) in edges
            for subword in found
            for match in re.finditer(f"(?={subword})", joined)
        )
