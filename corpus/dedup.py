"""Which kept documents are copies of a better one: by URL, by exact text, by near-identical text.

In: the fingerprints of all parts. Out: a decision for each copy: why it goes, which document stays for it, and how
similar they are. Documents are taken best first (`steps.text_quality`, then input order), so a cluster keeps its best
version whatever the order of the dump. Near-duplicates: band collisions propose, the Jaccard similarity of the shingles
decides, union-find gathers. About 300 bytes a document in memory (shingles stay mapped on disk).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from corpus.config import DedupConfig
from corpus.minhash import BANDS, jaccard
from corpus.store import Index, load_band, load_index, map_shingles, shard_of
from runkit.rundir import RunDir

# In a bucket of a million copies every member is compared with the first that stayed, then with the next …; more than
# this many different texts in one bucket means a degenerate band (a page template), and the rest is let through.
MOST_PIVOTS = 64


class _Table:
    """All documents, sorted best first."""

    def __init__(self, run: RunDir, parts: Sequence[str]) -> None:
        self.run, self.parts = run, parts
        indexes: list[Index] = [load_index(run, name) for name in parts]
        sizes = [len(index.row) for index in indexes]
        part = np.repeat(np.arange(len(parts), dtype=np.int32), sizes)
        row = _join([index.row for index in indexes], np.int64)
        quality = _join([index.quality for index in indexes], np.float32)
        order = np.lexsort((row, part, -quality))
        self.part, self.row = part[order], row[order]
        self.url = _join([index.url for index in indexes], np.uint64)[order]
        self.id = _join([index.id for index in indexes], np.dtype("S24"))[order]
        self.exact = _join([index.exact for index in indexes], np.uint64, 2)[order]
        starts = _join([index.offsets[:-1] for index in indexes], np.int64)
        stops = _join([index.offsets[1:] for index in indexes], np.int64)
        self.starts, self.stops, self.order = starts[order], stops[order], order
        self.shingles = [map_shingles(run, name) for name in parts]

    def band(self, number: int) -> NDArray[np.uint64]:
        """Band hashes of all documents. Read when wanted: all 14 at once would double the memory of a document."""
        return _join([load_band(self.run, name, number) for name in self.parts], np.uint64)[self.order]

    def shingles_of(self, place: int) -> NDArray[np.uint32]:
        return self.shingles[self.part[place]][self.starts[place] : self.stops[place]]

    def similarity(self, a: int, b: int) -> float:
        return float(jaccard(self.shingles_of(a), self.shingles_of(b)))


def _join(arrays: list[NDArray], dtype: type | np.dtype, width: int = 0) -> NDArray:
    empty = np.zeros((0, width) if width else 0, dtype)
    return np.concatenate([empty, *arrays])


def find_copies(run: RunDir, parts: Sequence[str], config: DedupConfig) -> pl.DataFrame:
    """One row for each copy: `shard`, `id`, `reason`, `duplicate_of` (id), `similarity`.

    Deterministic, whatever the number of workers was.
    """
    table = _Table(run, parts)
    count = len(table.part)
    keeper = np.arange(count, dtype=np.int64)  # the best document that each one is a copy of
    kinds = np.zeros(count, np.int8)
    if config.enabled and config.by_url:
        _group(table.url, table.url != 0, keeper, kinds, 1)
        for copy in np.flatnonzero(kinds == 1).tolist():
            if table.similarity(copy, int(keeper[copy])) < config.url_jaccard:
                keeper[copy], kinds[copy] = copy, 0
    if config.enabled:
        # Two 64-bit hashes side by side: one wrong merge is expected beyond 10^19 documents.
        both = np.ascontiguousarray(table.exact).view([("low", np.uint64), ("high", np.uint64)])[:, 0]
        _group(both, table.stops > table.starts, keeper, kinds, 2)
        _near(table, config.jaccard, keeper, kinds)
    copies = np.flatnonzero(keeper != np.arange(count))
    kept = keeper[copies]
    names = ("", "dedup.url", "dedup.exact", "dedup.near")
    similarity = [table.similarity(c, k) for c, k in zip(copies.tolist(), kept.tolist(), strict=True)]
    return pl.DataFrame(
        {
            "shard": pl.Series([shard_of(parts[part]) for part in table.part[copies]], dtype=pl.Int64),
            "id": pl.Series([table.id[place].decode() for place in copies], dtype=pl.String),
            "reason": pl.Series([names[kinds[copy]] for copy in copies], dtype=pl.String),
            "duplicate_of": pl.Series([table.id[place].decode() for place in kept], dtype=pl.String),
            "similarity": np.array(similarity, np.float32),
        }
    ).sort("shard", "id")


def _group(
    keys: NDArray, valid: NDArray[np.bool_], keeper: NDArray[np.int64], kinds: NDArray[np.int8], kind: int
) -> None:
    """Among the documents that still stand and are valid, equal keys keep the first (best)."""
    places = np.flatnonzero(valid & (keeper == np.arange(len(keeper))))
    if not len(places):
        return
    _, first, inverse = np.unique(keys[places], return_index=True, return_inverse=True)
    target = places[first][inverse.ravel()]
    copies = target != places
    kinds[places[copies]] = kind
    keeper[places[copies]] = target[copies]
    _resolve(keeper)


def _resolve(keeper: NDArray[np.int64]) -> None:
    """Point every copy at the end of its chain: what stays for a copy of a copy."""
    while not np.array_equal(keeper, onward := keeper[keeper]):
        keeper[:] = onward


def _near(table: _Table, threshold: float, keeper: NDArray[np.int64], kinds: NDArray[np.int8]) -> None:
    standing = np.flatnonzero((keeper == np.arange(len(keeper))) & (table.stops > table.starts))
    parent = np.arange(len(keeper), dtype=np.int64)

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = int(parent[place])
        return place

    for number in range(BANDS):
        for bucket in _buckets(table.band(number)[standing], standing):
            rest = bucket
            for _ in range(MOST_PIVOTS):
                if len(rest) < 2:
                    break
                pivot, others = rest[0], []
                for other in rest[1:]:
                    a, b = root(pivot), root(other)
                    if a == b:
                        continue
                    if table.similarity(pivot, other) >= threshold:
                        parent[max(a, b)] = min(a, b)  # places are sorted best first
                    else:
                        others.append(other)
                rest = others
    for place in standing:
        best = root(int(place))
        if best != place:
            keeper[place], kinds[place] = best, 3
    _resolve(keeper)


def _buckets(keys: NDArray[np.uint64], places: NDArray[np.int64]) -> Iterator[list[int]]:
    """Places that share a key, best first, in buckets of two and more."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    if not len(keys):
        return
    edges = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1], [True]])).tolist()
    for start, stop in pairwise(edges):
        if stop - start > 1:
            yield places[order[start:stop]].tolist()
