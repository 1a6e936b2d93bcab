"""Which kept documents are copies of a better one: by URL, by exact text, by near-identical text.

In: the fingerprints of all parts. Out: a decision for each copy: why it goes, which document stays for it, and how
similar they are. Documents are taken best first (rank, `steps.text_quality`, then input order), so a cluster keeps its
best version whatever the order of the dump. Near-duplicates: band collisions propose, the Jaccard similarity of the
shingles decides, union-find gathers. No band looks at what another one found, so they can be compared on different
machines (`corpus/dedup_staged.py`). About 120 bytes a document in memory, and 270 for a copy (shingles stay
mapped on disk).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from corpus.dedup_config import DedupConfig
from corpus.dedup_kernels import flatten, join
from corpus.dedup_shingles import Joins, Shingles, join_members
from corpus.minhash import BANDS
from corpus.store import load_band, load_column, shard_of
from runkit.rundir import RunDir

REASONS = ("", "dedup.url", "dedup.exact", "dedup.near")
OLD_REASONS = ("", "dedup.old_url", "dedup.old_exact", "dedup.old_near")  # what stays is in an earlier run
Advance = Callable[[int], None]
_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class Copies:
    """C copies, in the order of their parts and rows; each array is (C,)."""

    part: NDArray[np.int32]  # number of the part it lies in
    row: NDArray[np.int64]  # of the part
    kept_part: NDArray[np.int32]  # where the document that stays for it lies
    kept_row: NDArray[np.int64]
    kind: NDArray[np.int8]  # place in REASONS
    similarity: NDArray[np.float32]


class Table:
    """All documents best first: at place p stands document `numbers[p]`, counted as the parts and their rows lie."""

    def __init__(self, run: RunDir, parts: Sequence[str], ranks: Sequence[NDArray[np.int16]] | None = None) -> None:
        self.run, self.parts = run, parts
        keys = [-self.column("quality", np.float32)]
        if ranks is not None:
            keys.append(_join(list(ranks), np.int16))
        self.numbers = np.lexsort(keys)  # stable: of equal documents the first in the input
        self.shingles = Shingles(run, parts)
        self.empty = (self.shingles.sizes() == 0)[self.numbers]

    def column(self, name: str, dtype: type) -> NDArray:
        """A column of the fingerprints, by number."""
        return _join([load_column(self.run, part, name) for part in self.parts], dtype)

    def band(self, number: int) -> NDArray[np.uint64]:
        """Band hashes, by number. Read when wanted: all 14 at once would double the memory of a document."""
        return _join([load_band(self.run, name, number) for name in self.parts], np.uint64)

    def similarity(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of pairs of places."""
        return self.shingles.similarity(self.numbers[a], self.numbers[b])


class _Clusters:
    """Union-find over the places of N documents. The root of a cluster is its best document."""

    def __init__(self, count: int) -> None:
        self.parent = np.arange(count, dtype=np.int64)
        self.known = np.full(count, -1, np.int64)  # the last document that each one was found similar to,
        self.similarity = np.zeros(count, np.float32)  # and how similar

    def add(self, joins: Joins) -> None:
        join(self.parent, joins.better, joins.place)
        self.known[joins.place], self.similarity[joins.place] = joins.better, joins.similarity


ReadJoins = Callable[[Table], Iterable[Joins]]


def _join(arrays: list[NDArray], dtype: type) -> NDArray:
    return np.concatenate([np.zeros(0, dtype), *arrays])


def find(
    run: RunDir,
    parts: Sequence[str],
    config: DedupConfig,
    ranks: Sequence[NDArray[np.int16]] | None = None,
    advance: Advance = lambda count: None,
    compared: ReadJoins | None = None,
) -> Copies:
    """All copies among the documents of the parts. Of a lower rank is better, whatever the quality.

    Deterministic, whatever the number of workers was. `advance` is called for each of the 14 bands; `compared` has what
    other machines found in them, where they did.
    """
    table = Table(run, parts, ranks)
    keeper, kinds = exact_copies(table, config)
    clusters = _Clusters(len(keeper))
    if config.enabled:
        standing = standing_places(table, keeper)
        for joins in compared(table) if compared else _compare_bands(table, standing, clusters, config.jaccard):
            clusters.add(joins)
            advance(1)
        roots = flatten(clusters.parent, standing)
        near = standing[roots != standing]
        keeper[near], kinds[near] = roots[roots != standing], 3
        _resolve(keeper)
    copies = np.flatnonzero(keeper != np.arange(len(keeper)))
    return _copies(table, copies, keeper[copies], kinds[copies], clusters)


def _compare_bands(table: Table, standing: NDArray[np.int64], clusters: _Clusters, threshold: float) -> Iterator[Joins]:
    numbers = table.numbers[standing]
    for band in range(BANDS):
        keys = table.band(band)[numbers]
        yield join_members(table.shingles, keys, standing, numbers, threshold, clusters.known, clusters.similarity)
        table.shingles.forget_pages()


def _copies(
    table: Table, copies: NDArray[np.int64], kept: NDArray[np.int64], kinds: NDArray[np.int8], clusters: _Clusters
) -> Copies:
    similarity = clusters.similarity[copies]
    unknown = clusters.known[copies] != kept  # joined by way of a third
    similarity[unknown] = table.similarity(copies[unknown], kept[unknown])
    table.shingles.forget_pages()
    row = table.column("row", np.int64)
    numbers, kept_numbers = table.numbers[copies], table.numbers[kept]
    order = np.argsort(numbers)
    numbers, kept_numbers = numbers[order], kept_numbers[order]
    part, kept_part = table.shingles.parts_of(numbers), table.shingles.parts_of(kept_numbers)
    return Copies(part, row[numbers], kept_part, row[kept_numbers], kinds[order], similarity[order])


def find_copies(
    run: RunDir,
    parts: Sequence[str],
    config: DedupConfig,
    compared: ReadJoins | None = None,
) -> pl.DataFrame:
    """One row for each copy: `shard`, `id`, `reason`, `duplicate_of` (id), `similarity`. `compared` as in `find`."""
    found = find(run, parts, config, compared=compared)
    return pl.DataFrame(
        {
            "shard": np.array([shard_of(name) for name in parts], np.int64)[found.part],
            "id": _ids(run, parts, found.part, found.row),
            "reason": pl.Series(REASONS, dtype=pl.String).gather(found.kind),
            "duplicate_of": _ids(run, parts, found.kept_part, found.kept_row),
            "similarity": found.similarity,
        }
    ).sort("shard", "id")


def _ids(run: RunDir, parts: Sequence[str], part: NDArray[np.int32], row: NDArray[np.int64]) -> pl.Series:
    """The ids of documents, read of one part after another, and few of them at a time as objects of Python."""
    ids = np.empty(len(part), "S24")
    for number in np.unique(part).tolist():
        here = part == number
        places = np.searchsorted(load_column(run, parts[number], "row"), row[here])
        ids[here] = load_column(run, parts[number], "id")[places]
    starts = range(0, len(ids), _AT_ONCE)
    series = [pl.Series(ids[n : n + _AT_ONCE].tolist(), dtype=pl.Binary).cast(pl.String) for n in starts]
    return pl.concat(series) if series else pl.Series([], dtype=pl.String)


def exact_copies(table: Table, config: DedupConfig) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Copies by URL and by text: for each place the best document that it is a copy of, and its place in REASONS."""
    count = len(table.numbers)
    keeper, kinds = np.arange(count, dtype=np.int64), np.zeros(count, np.int8)
    if config.enabled and config.by_url:
        url = table.column("url", np.uint64)[table.numbers]
        _group([url], url != 0, keeper, kinds, 1)
        copies = np.flatnonzero(kinds == 1)
        wrong = copies[table.similarity(copies, keeper[copies]) < config.url_jaccard]
        keeper[wrong], kinds[wrong] = wrong, 0
    if config.enabled:
        # Two 64-bit hashes side by side: one wrong merge is expected beyond 10^19 documents.
        halves = [
            _join([load_column(table.run, part, "exact")[:, half] for part in table.parts], np.uint64)[table.numbers]
            for half in (0, 1)
        ]
        _group(halves, ~table.empty, keeper, kinds, 2)
    return keeper, kinds


def standing_places(table: Table, keeper: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the documents that are to be compared, ascending: no copies so far, and with a text."""
    return np.flatnonzero((keeper == np.arange(len(keeper))) & ~table.empty)


def _group(
    keys: Sequence[NDArray], valid: NDArray[np.bool_], keeper: NDArray[np.int64], kinds: NDArray[np.int8], kind: int
) -> None:
    """Among the documents that still stand and are valid, equal keys keep the first (best)."""
    places = np.flatnonzero(valid & (keeper == np.arange(len(keeper))))
    if not len(places):
        return
    order = np.lexsort([key[places] for key in keys])  # stable: of equal keys the best comes first
    places = places[order]
    new = np.zeros(len(places), np.bool_)
    new[0] = True
    for key in keys:
        ordered = key[places]
        new[1:] |= ordered[1:] != ordered[:-1]
    first = np.flatnonzero(new)
    target = np.repeat(places[first], np.diff(np.append(first, len(places))))
    copies = target != places
    kinds[places[copies]] = kind
    keeper[places[copies]] = target[copies]
    _resolve(keeper)


def _resolve(keeper: NDArray[np.int64]) -> None:
    """Point every copy at the end of its chain: what stays for a copy of a copy."""
    while not np.array_equal(keeper, onward := keeper[keeper]):
        keeper[:] = onward
