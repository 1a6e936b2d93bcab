"""Lines and paragraphs that stand in many documents: what repeats, and which pieces of which documents go.

In: texts, then the pieces of all parts. Out: `Pieces` of a part, and for each part the numbers of the pieces to cut,
with a table of what repeats. Counted are documents, not pieces. Pieces are compared by 64-bit hashes: one wrong cut is
expected among 6 · 10^9 different lines. Memory is bounded by `BUDGET` pieces; what does not fit takes several passes
over the hashes, which lie on disk (24 bytes a piece).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from corpus.charclass import classes
from corpus.normalize import code_blocks, may_hold_code
from corpus.paragraphs_kernels import count_documents, find_pieces, measure_quality, take_out

BUDGET = 50_000_000  # pieces held at once, 28 bytes each
NEVER = 2**31  # visible characters that no piece has


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of one kind of a part, as they lie: each (P,)."""

    document: NDArray[np.int32]  # row of the part
    start: NDArray[np.int64]  # among the part's code points
    stop: NDArray[np.int64]
    hash: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Repeats:
    """What stands in enough documents, by hash; each (R,). `part` and `piece` name the first of them."""

    hash: NDArray[np.uint64]
    documents: NDArray[np.int32]
    pieces: NDArray[np.int64]
    part: NDArray[np.int32]
    piece: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What counts as a repeat."""

    least: int  # documents
    keep_first: bool
    old: int  # so many parts are of an earlier run: they count and nothing is cut from them


def pieces_of(
    texts: Sequence[str], codes: NDArray[np.uint32], offsets: NDArray[np.int64], least_line: int, least_paragraph: int
) -> tuple[Pieces, Pieces]:
    """Lines and paragraphs of the texts. Code between Markdown fences is neither."""
    shield = np.zeros(len(codes) + 1, np.uint8)
    for text, begin in zip(texts, offsets.tolist(), strict=False):
        if may_hold_code(text):
            lines = text.split("\n")
            places = [0, *accumulate(len(line) + 1 for line in lines)]
            for block in code_blocks(lines):
                shield[begin + places[block.start] : begin + places[block.stop] - 1] = 1
    lines, paragraphs = find_pieces(codes, offsets, classes(), shield, least_line, least_paragraph)
    return Pieces(*lines), Pieces(*paragraphs)


def quality_of(codes: NDArray[np.uint32], offsets: NDArray[np.int64]) -> NDArray[np.float32]:
    """How good a text each document is, to choose one of several versions: longer, of whole sentences. (D,)"""
    return measure_quality(codes, offsets, classes())


def find_repeats(
    count: int,
    load: Callable[[int], Pieces],
    standing: Callable[[int], NDArray[np.bool_]],
    wanted: Wanted,
    budget: int = BUDGET,
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int32]], Repeats]:
    """For each of `count` parts the numbers of the pieces to cut and in how many documents each stands; all repeats.

    `standing(part)`: which of its documents are still there; the others do not count.
    """
    sizes = [int(standing(part)[load(part).document].sum()) for part in range(count)]
    passes = max(1, -(-sum(sizes) // budget))
    found = [_count(count, load, standing, wanted.least, number, passes) for number in range(passes)]
    whole = Repeats(*(np.concatenate([getattr(each, name) for each in found]) for name in Repeats.__slots__))
    order = np.argsort(whole.hash, kind="stable")
    repeats = Repeats(*(getattr(whole, name)[order] for name in Repeats.__slots__))
    first = _first_documents(count, load, repeats)
    cuts, counts = [], []
    for part in range(count):
        pieces = load(part)
        if part < wanted.old or not len(repeats.hash):
            cuts.append(np.zeros(0, np.int64))
            counts.append(np.zeros(0, np.int32))
            continue
        place = np.minimum(np.searchsorted(repeats.hash, pieces.hash), len(repeats.hash) - 1)
        goes = (repeats.hash[place] == pieces.hash) & standing(part)[pieces.document]
        if wanted.keep_first:
            goes &= (repeats.part[place] != part) | (first[place] != pieces.document)
        cuts.append(np.flatnonzero(goes))
        counts.append(repeats.documents[place[goes]])
    return cuts, counts, repeats


def _count(
    count: int,
    load: Callable[[int], Pieces],
    standing: Callable[[int], NDArray[np.bool_]],
    least: int,
    number: int,
    passes: int,
) -> Repeats:
    """The repeats among the hashes that fall to one pass."""
    hashes, documents, parts, places = [], [], [], []
    base = 0
    for part in range(count):
        pieces, there = load(part), standing(part)
        wanted = there[pieces.document]
        if passes > 1:
            wanted &= (pieces.hash >> np.uint64(20)) % np.uint64(passes) == number
        chosen = np.flatnonzero(wanted)
        hashes.append(pieces.hash[chosen])
        documents.append(base + pieces.document[chosen].astype(np.int64))
        parts.append(np.full(len(chosen), part, np.int32))
        places.append(chosen)
        base += len(there)
    hash_, document = np.concatenate(hashes), np.concatenate(documents)
    part_, place = np.concatenate(parts), np.concatenate(places)
    order = np.argsort(hash_, kind="stable")
    keys, counts, sizes, first = count_documents(hash_, order, document, least)
    return Repeats(keys, counts, sizes, part_[first], place[first])


def _first_documents(count: int, load: Callable[[int], Pieces], repeats: Repeats) -> NDArray[np.int32]:
    """The row of the document in which each repeat stands first."""
    first = np.zeros(len(repeats.hash), np.int32)
    for part in range(count):
        here = repeats.part == part
        first[here] = load(part).document[repeats.piece[here]]
    return first


def cut_texts(
    codes: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    document: NDArray[np.int32],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> list[str]:
    """The D texts without their spans, which are ascending and apart."""
    texts = np.empty(len(codes), np.uint32)
    ends = np.zeros(len(offsets), np.int64)
    size = take_out(codes, offsets, document, start, stop, texts, ends)
    data = texts[:size].tobytes()
    places = (4 * ends).tolist()
    return [data[begin:end].decode("utf-32-le", "surrogatepass") for begin, end in pairwise(places)]
