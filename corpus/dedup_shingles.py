"""The shingles of all parts, mapped from disk, and which documents that share a band are similar enough to be joined.

In: band hashes of documents and their places, best first. Out: for each document that is joined the better one that it
was compared with, and their Jaccard similarity. What one band finds depends on its members alone, so it does not matter
who compares the others, or when.
"""

import mmap
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.dedup_kernels import join_band, similarities
from corpus.store import load_column, map_shingles
from runkit.files import allow_open_files
from runkit.rundir import RunDir

# In a bucket of a million copies every member is compared with the first that stayed, then with the next …; more than
# this many different texts in one bucket means a degenerate band (a page template), and the rest is let through.
MOST_PIVOTS = 64


@dataclass(frozen=True, slots=True)
class Joins:
    """J documents that are similar enough to a better one; each array is (J,)."""

    better: NDArray[np.int64]  # place of the document that it was compared with
    place: NDArray[np.int64]
    similarity: NDArray[np.float32]


class Shingles:
    """The shingles of all documents, by number: counted as the parts and their rows lie. 8 bytes a document."""

    def __init__(self, run: RunDir, parts: Sequence[str]) -> None:
        ends = [load_column(run, name, "offsets") for name in parts]
        self._bases = np.cumsum([0, *(len(end) - 1 for end in ends)])
        self._ends = np.concatenate([np.zeros(0, np.int64), *ends])  # of a part, one more than it has documents
        allow_open_files(len(parts))
        self._mapped = [map_shingles(run, name) for name in parts]
        self._addresses = np.array([part.ctypes.data for part in self._mapped], np.int64)

    def sizes(self) -> NDArray[np.int64]:
        """Shingles of each document."""
        return np.delete(np.diff(self._ends), self._bases[1:-1] + np.arange(len(self._bases) - 2))

    def parts_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """In which part each document lies."""
        return (np.searchsorted(self._bases, numbers, side="right") - 1).astype(np.int32)

    def spans(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Where the shingles of each document lie: address of the part, first, last + 1."""
        part = self.parts_of(numbers)
        place = numbers + part
        return self._addresses[part], self._ends[place], self._ends[place + 1]

    def similarity(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
        """Jaccard similarity of pairs of documents."""
        return similarities(*self.spans(a), *self.spans(b))

    def forget_pages(self) -> None:
        """Let the system take back what was read: mapped pages count as ours."""
        for part in self._mapped:
            if isinstance(mapped := getattr(part, "_mmap", None), mmap.mmap):
                with suppress(OSError, ValueError):
                    mapped.madvise(mmap.MADV_DONTNEED)


def join_members(
    shingles: Shingles,
    keys: NDArray[np.uint64],
    places: NDArray[np.int64],
    numbers: NDArray[np.int64],
    threshold: float,
    known: NDArray[np.int64] | None = None,
    similarity: NDArray[np.float32] | None = None,
) -> Joins:
    """What is similar enough among M documents that share a key of one band.

    `keys`, `places` and `numbers` are (M,). `known` and `similarity`, by place, tell what an earlier band found of a
    document, and save its comparison with the same one.
    """
    order = np.lexsort((places, keys))
    keys, places = keys[order], places[order]
    alone = np.ones(len(keys), np.bool_)
    alone[1:] = keys[1:] != keys[:-1]
    alone[:-1] &= alone[1:]
    keys, places, numbers = keys[~alone], places[~alone], numbers[order[~alone]]
    before = np.full(len(keys), -1, np.int64) if known is None else known[places]
    found = np.zeros(len(keys), np.float32) if similarity is None else similarity[places]
    joined = join_band(keys, places, before, found, *shingles.spans(numbers), threshold, MOST_PIVOTS)
    return Joins(before[joined], places[joined], found[joined])
