"""Exact substrings that stand in many documents: which characters of which documents repeat others.

In: the code points of all parts, mapped from disk. Out: for each part the spans to cut. A window of `length` characters
is a repeat when it stands in at least `least` documents; it stays in the first of them, and what such windows cover in
the others is a span. Exact: hashes propose, characters decide. Two walks over the text: the first finds anchors that
repeat (1 character in 13 is one), the second the windows around those. Memory is bounded by `BUDGET` entries of a walk
and an eighth of a byte a character; what does not fit is done in several passes. Price: 30 ns a character and pass.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.substrings_kernels import blank, hash_table, mark_groups, marked_spans, repeated, scan

BUDGET = 60_000_000  # hashes (8 bytes) or windows (20 bytes) held at once
MOST_PASSES = 1024  # then what is too much is one text over and over, which no partition by hash makes smaller
_NOTHING = np.zeros(0, np.uint64)
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class TextPart:
    """The texts of D documents."""

    codes: NDArray[np.uint32]  # (N,), mapped; none is 0
    offsets: NDArray[np.int64]  # (D + 1,)
    starts: NDArray[np.int64]  # stretches that are cut already: no window reaches into them
    stops: NDArray[np.int64]

    def standing(self) -> NDArray[np.uint32]:
        """The codes in memory, with walls where something is cut."""
        codes = np.array(self.codes)
        blank(codes, self.starts, self.stops)
        return codes


@dataclass(frozen=True, slots=True)
class Spans:
    """What is cut from one part: each (S,), ascending; `start` and `stop` count through the part."""

    document: NDArray[np.int32]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for."""

    length: int = 50
    least: int = 2  # documents
    keep_first: bool = True
    old: int = 0  # so many documents come from an earlier run: they count and stay


def find_spans(
    parts: Sequence[TextPart],
    search: Search,
    workers: int = 1,
    advance: Advance = lambda count: None,
    budget: int = BUDGET,
) -> list[Spans]:
    """Spans to cut, of each part. The same whatever the number of workers (threads) and the budget are."""
    total = sum(len(part.codes) for part in parts)
    if not total:
        empty = np.zeros(0, np.int64)
        return [Spans(empty.astype(np.int32), empty, empty) for _ in parts]
    bases = np.zeros(len(parts), np.int64)
    np.cumsum([len(part.codes) for part in parts[:-1]], out=bases[1:])
    marks = np.zeros(total // 8 + 1, np.uint8)
    scanner = _Scanner(parts, search, workers, advance, budget)
    table = hash_table(scanner.anchors())
    if table.any():
        addresses = np.array([part.codes.ctypes.data for part in parts], np.int64)
        for hashes, places, documents in scanner.windows(table, bases):
            order = np.argsort(hashes)
            mark_groups(
                hashes,
                order,
                places,
                documents,
                addresses,
                bases,
                search.length,
                search.least,
                search.keep_first,
                search.old,
                marks,
            )
    return [
        Spans(*marked_spans(marks, base, part.offsets, search.length))
        for part, base in zip(parts, bases.tolist(), strict=True)
    ]


class _Scanner:
    """Walks over all parts, several at a time; the kernels let go of Python's lock."""

    def __init__(self, parts: Sequence[TextPart], search: Search, workers: int, advance: Advance, budget: int) -> None:
        self.parts, self.search, self.workers, self.advance, self.budget = parts, search, workers, advance, budget
        self.first = np.concatenate([[0], np.cumsum([len(part.offsets) - 1 for part in parts])]).tolist()

    def anchors(self) -> NDArray[np.uint64]:
        """Hashes of the anchors that come often enough."""
        found: list[NDArray[np.uint64]] = []
        number, passes = 0, 1
        while number < passes:
            held: list[NDArray[np.uint64]] = []
            size = 0
            for hashes, _, _ in self._walk(_NOTHING, number, passes):
                held.append(hashes)
                size += len(hashes)
                if size > self.budget and passes < MOST_PASSES:
                    break
            if size > self.budget and passes < MOST_PASSES:  # begun again, in smaller parts
                number, passes, found = 0, passes * 4, []
                continue
            ordered = np.concatenate(held)
            del held
            ordered.sort()
            found.append(repeated(ordered, self.search.least))
            number += 1
        return np.concatenate(found)

    def windows(
        self, table: NDArray[np.uint64], bases: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int32]]]:
        """Hash, place and document of the windows whose anchor is in the table; equal windows come together."""
        number, passes = 0, 1
        while number < passes:
            held: list[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int32]]] = []
            size = 0
            for part, (hashes, places, documents) in enumerate(self._walk(table, number, passes)):
                held.append((hashes, places + bases[part], documents))
                size += len(hashes)
                if size > self.budget and passes < MOST_PASSES:
                    break
            if size > self.budget and passes < MOST_PASSES:  # given anew, which changes no mark
                number, passes = 0, passes * 4
                continue
            hashes, places, documents = (np.concatenate(column) for column in zip(*held, strict=True))
            del held
            yield hashes, places, documents
            number += 1

    def _walk(
        self, table: NDArray[np.uint64], number: int, passes: int
    ) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int32]]]:
        def one(place: int) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int32]]:
            part = self.parts[place]
            codes = part.standing()
            room = len(codes) // (1 if len(table) else 8) // passes + 1024
            while True:
                hashes = np.empty(room, np.uint64)
                places = np.empty(room if len(table) else 0, np.int64)
                documents = np.empty(room if len(table) else 0, np.int32)
                arrays = (hashes, places, documents)
                size = scan(codes, part.offsets, self.search.length, table, number, passes, self.first[place], *arrays)
                if size <= room:
                    return hashes[:size].copy(), places[:size].copy(), documents[:size].copy()
                room = size

        pool = ThreadPoolExecutor(self.workers)
        try:
            # A few at a time: what is read ahead lies in memory.
            for start in range(0, len(self.parts), self.workers):
                yield from pool.map(one, range(start, min(start + self.workers, len(self.parts))))
                self.advance(min(self.workers, len(self.parts) - start))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
