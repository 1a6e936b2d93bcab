"""Which kept documents are copies of a better one: by URL, by exact text, by near-identical text.

In: the fingerprints of all parts. Out: a decision for each copy: why it goes, which document stays for it, and how
similar they are. Documents are taken best first (rank, `steps.text_quality`, then input order), so a cluster keeps its
best version whatever the order of the dump. Near-duplicates: band collisions propose, the Jaccard similarity of the
shingles decides, union-find gathers. About 150 bytes a document in memory (shingles stay mapped on disk).
"""

import mmap
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from corpus.dedup_config import DedupConfig
from corpus.dedup_kernels import flatten, join_band, similarities
from corpus.minhash import BANDS
from corpus.store import load_band, load_column, map_shingles, shard_of
from runkit.rundir import RunDir

# In a bucket of a million copies every member is compared with the first that stayed, then with the next …; more than
# this many different texts in one bucket means a degenerate band (a page template), and the rest is let through.
MOST_PIVOTS = 64
REASONS = ("", "dedup.url", "dedup.exact", "dedup.near")
OLD_REASONS = ("", "dedup.old_url", "dedup.old_exact", "dedup.old_near")  # what stays is in an earlier run
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Copies:
    """C copies, in the order of their parts and rows; each array is (C,)."""

    part: NDArray[np.int32]  # number of the part it lies in
    row: NDArray[np.int64]  # of the part
    kept_part: NDArray[np.int32]  # where the document that stays for it lies
    kept_row: NDArray[np.int64]
    kind: NDArray[np.int8]  # place in REASONS
    similarity: NDArray[np.float32]


class _Table:
    """All documents, sorted best first."""

    def __init__(self, run: RunDir, parts: Sequence[str], ranks: Sequence[NDArray[np.int16]] | None) -> None:
        self.run, self.parts = run, parts
        row = self._column("row", np.int64)
        sizes = [len(load_column(run, name, "row")) for name in parts]
        part = np.repeat(np.arange(len(parts), dtype=np.int32), sizes)
        keys: list[NDArray] = [row, part, -self._column("quality", np.float32)]
        if ranks is not None:
            keys.append(_join(list(ranks), np.int16))
        order = np.lexsort(keys)
        del keys
        self.part, self.row, self.order = part[order], row[order], order
        self.url = self._column("url", np.uint64)[order]
        self.exact = [self._column("exact", np.uint64, 2, half)[order] for half in (0, 1)]
        offsets = [load_column(run, name, "offsets") for name in parts]
        self.starts = _join([part[:-1] for part in offsets], np.int64)[order]
        self.stops = _join([part[1:] for part in offsets], np.int64)[order]
        self.shingles = [map_shingles(run, name) for name in parts]
        self.addresses = np.array([part.ctypes.data for part in self.shingles], np.int64)

    def _column(self, name: str, dtype: type, width: int = 0, half: int = 0) -> NDArray:
        found = [load_column(self.run, part, name) for part in self.parts]
        return _join([column[:, half] for column in found] if width else found, dtype)

    def band(self, number: int) -> NDArray[np.uint64]:
        """Band hashes of all documents. Read when wanted: all 14 at once would double the memory of a document."""
        return _join([load_band(self.run, name, number) for name in self.parts], np.uint64)[self.order]

    def similarity(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of pairs of places."""
        return similarities(a, b, self.addresses, self.part, self.starts, self.stops)

    def forget_pages(self) -> None:
        """Let the system take back what was read of the shingles: mapped pages count as ours."""
        for part in self.shingles:
            if isinstance(mapped := getattr(part, "_mmap", None), mmap.mmap):
                with suppress(OSError, ValueError):
                    mapped.madvise(mmap.MADV_DONTNEED)


def _join(arrays: list[NDArray], dtype: type) -> NDArray:
    return np.concatenate([np.zeros(0, dtype), *arrays])


def find(
    run: RunDir,
    parts: Sequence[str],
    config: DedupConfig,
    ranks: Sequence[NDArray[np.int16]] | None = None,
    advance: Advance = lambda count: None,
) -> Copies:
    """All copies among the documents of the parts. Of a lower rank is better, whatever the quality.

    Deterministic, whatever the number of workers was. `advance` is called for each of the 14 bands.
    """
    table = _Table(run, parts, ranks)
    count = len(table.part)
    keeper = np.arange(count, dtype=np.int64)  # the best document that each one is a copy of
    kinds = np.zeros(count, np.int8)
    if config.enabled and config.by_url:
        _group([table.url], table.url != 0, keeper, kinds, 1)
        copies = np.flatnonzero(kinds == 1)
        wrong = copies[table.similarity(copies, keeper[copies]) < config.url_jaccard]
        keeper[wrong], kinds[wrong] = wrong, 0
    if config.enabled:
        # Two 64-bit hashes side by side: one wrong merge is expected beyond 10^19 documents.
        _group(table.exact, table.stops > table.starts, keeper, kinds, 2)
        _near(table, config.jaccard, keeper, kinds, advance)
    copies = np.flatnonzero(keeper != np.arange(count))
    kept = keeper[copies]
    found = Copies(
        table.part[copies],
        table.row[copies],
        table.part[kept],
        table.row[kept],
        kinds[copies],
        table.similarity(copies, kept).astype(np.float32),
    )
    table.forget_pages()
    order = np.lexsort((found.row, found.part))
    return Copies(*(getattr(found, name)[order] for name in Copies.__slots__))


def find_copies(run: RunDir, parts: Sequence[str], config: DedupConfig) -> pl.DataFrame:
    """One row for each copy: `shard`, `id`, `reason`, `duplicate_of` (id), `similarity`."""
    found = find(run, parts, config)
    return pl.DataFrame(
        {
            "shard": pl.Series([shard_of(parts[part]) for part in found.part], dtype=pl.Int64),
            "id": pl.Series(_ids(run, parts, found.part, found.row), dtype=pl.String),
            "reason": pl.Series([REASONS[kind] for kind in found.kind], dtype=pl.String),
            "duplicate_of": pl.Series(_ids(run, parts, found.kept_part, found.kept_row), dtype=pl.String),
            "similarity": found.similarity,
        }
    ).sort("shard", "id")


def _ids(run: RunDir, parts: Sequence[str], part: NDArray[np.int32], row: NDArray[np.int64]) -> list[str]:
    """The ids of documents, read of one part after another."""
    ids = np.empty(len(part), "S24")
    for number in np.unique(part).tolist():
        here = part == number
        places = np.searchsorted(load_column(run, parts[number], "row"), row[here])
        ids[here] = load_column(run, parts[number], "id")[places]
    return [id.decode() for id in ids.tolist()]


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


def _near(
    table: _Table, threshold: float, keeper: NDArray[np.int64], kinds: NDArray[np.int8], advance: Advance
) -> None:
    standing = np.flatnonzero((keeper == np.arange(len(keeper))) & (table.stops > table.starts))
    parent = np.arange(len(keeper), dtype=np.int64)
    for number in range(BANDS):
        keys = table.band(number)[standing]
        order = np.argsort(keys, kind="stable")
        join_band(
            keys[order],
            standing[order],
            parent,
            table.addresses,
            table.part,
            table.starts,
            table.stops,
            threshold,
            MOST_PIVOTS,
        )
        table.forget_pages()
        advance(1)
    roots = flatten(parent, standing)
    copies = standing[roots != standing]
    keeper[copies], kinds[copies] = roots[roots != standing], 3
    _resolve(keeper)
