"""Which Chinese pieces are added to a tokenizer: learnt on top of its own pieces, chosen by what each saves.

In: words with counts, and how the base cuts a Han word into units (a token of its own, or a character). Out: candidate
pieces, and the choice of exactly as many as asked for. BPE goes on where the base's own merges end, so nothing that is
added stands in the way of a base piece. A piece is Han characters with at most one full-width sign or space before
them, so no text without Han changes. It is only taken together with its parts, since Hugging Face's readers cannot
make a merge from parts that are no pieces. Price: 0.1 % more tokens than with characters chosen freely.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Protocol

from runkit.language import HAN_CLASS
from train.bpe import LONGEST_WORD, learn
from train.pieces import Ids

# Full-width and CJK punctuation. Curly quotes and dashes are not among them: they belong to other scripts too.
SIGN_CLASS: Final = "\u3001-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
_HAN_WORD: Final = re.compile(f"[{SIGN_CLASS} ]?[{HAN_CLASS}]+")
_FIRST_PRIVATE: Final = (*range(0xE000, 0xF8F0), *range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE))
_SPARE: Final = 1_000  # merges learnt beyond what is asked for, in place of those that turn out to be of no use
# Added to how often the probe uses each character alone, for other texts hold others. Common characters (level 1 of
# GB 2312, 3,755 of them) are expected as a share of all uses: about that of the rarest of them in general text.
_ALONE: Final = 1
_COMMON_SHARE: Final = 1.5e-5
_COMMON: Final = frozenset(
    bytes((row, cell)).decode("gb2312")
    for row in range(0xB0, 0xD8)
    for cell in range(0xA1, 0xFA if row == 0xD7 else 0xFF)
)
_TRIES: Final = 200  # numbers of merges that are compared

Cut = Callable[[Sequence[str]], Iterator[list[str]]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A piece that may be added, written as the tokenizer's file writes it."""

    piece: str
    text: str  # "" for a step: some bytes of a character
    parts: tuple[str, str] | None  # the pieces it is merged from; None: it stands for itself
    kind: str  # merge | character | step


@dataclass(slots=True)
class Candidates:
    """All that may be added; a piece stands behind its parts."""

    characters: list[str] = field(default_factory=list)  # pieces, most frequent first
    merges: list[str] = field(default_factory=list)  # pieces, in the order in which BPE makes them
    of: dict[str, Candidate] = field(default_factory=dict)

    def add(self, candidate: Candidate) -> None:
        """Unless there is one with this piece already."""
        if candidate.piece not in self.of:
            self.of[candidate.piece] = candidate
            if candidate.kind != "step":
                (self.merges if candidate.kind == "merge" else self.characters).append(candidate.piece)

    def needs(self, piece: str, have: Collection[str]) -> list[str]:
        """What must be added with a piece, itself last; nothing that is in `have`."""
        candidate = self.of.get(piece)
        if candidate is None or piece in have:
            return []
        found: list[str] = []
        for part in candidate.parts or ():
            found += [name for name in self.needs(part, have) if name not in found]
        return [*found, piece]


class Base(Protocol):
    """A tokenizer that pieces are added to; one class for each kind of file."""

    @property
    def file_name(self) -> str:
        """Of the file that `build` makes."""

    def find_candidates(self, words: Mapping[str, int], listed: Sequence[str], room: int, longest: int) -> Candidates:
        """What may be added, learnt from words with counts; `listed` words get tokens of their own."""

    def build(self, listed: Sequence[str], chosen: Sequence[Candidate]) -> bytes:
        """The file with the listed words, then the chosen pieces, under the ids behind the base's."""

    def encode(self, data: bytes, texts: Sequence[str]) -> Iterator[Ids]:
        """Ids of each text by a file that `build` made."""

    def witnesses(self, candidate: Candidate) -> list[str]:
        """Texts of which one must be written with this piece, or it is of no use."""

    def base_ids(self, candidate: Candidate, of: Mapping[str, Candidate]) -> list[int]:
        """How the base writes a piece."""

    def ids_of(self, text: str) -> list[int]:
        """How the base writes a text that stands inside of another."""


def is_addable(text: str) -> bool:
    """Han characters, with at most one full-width sign or space before them?"""
    return _HAN_WORD.fullmatch(text) is not None


def han_words(words: Mapping[str, int], apart: Iterable[str] = ()) -> Counter[str]:
    """The Han words in `words`; the words `apart`, which get tokens of their own, are cut out of them."""
    listed = sorted(apart, key=len, reverse=True)
    cut = re.compile("|".join(map(re.escape, listed))) if listed else None
    found: Counter[str] = Counter()
    for word, count in words.items():
        for part in cut.split(word) if cut else (word,):
            if match := _HAN_WORD.search(part):
                found[match[0]] += count
    return found


def learn_merges(words: Mapping[str, int], cut: Cut, merges: int, longest: int) -> tuple[list[list[str]], Counter[str]]:
    """New pieces as lists of the base's units, in the order in which BPE makes them; how often each unit occurs.

    `cut` gives the units of each word, those that must not be merged left out.
    """
    cuts = list(cut(list(words)))
    units: Counter[str] = Counter()
    for row, count in zip(cuts, words.values(), strict=True):
        for unit in row:
            units[unit] += count
    # The trainer merges characters, so a longer unit is written as one; so is a space, which it would change.
    private = iter(_FIRST_PRIVATE)
    signs = {unit: unit if len(unit) == 1 and unit != " " else chr(next(private)) for unit, _ in units.most_common()}
    back = {sign: unit for unit, sign in signs.items()}
    rows: Counter[str] = Counter()
    for row, count in zip(cuts, words.values(), strict=True):
        # Cut again: the trainer leaves out long words in silence, and a private sign has up to four bytes.
        for start in range(0, len(row), LONGEST_WORD):
            rows["".join(map(signs.__getitem__, row[start : start + LONGEST_WORD]))] += count
    if not merges or not any(len(row) > 1 for row in rows):
        return [], units
    learnt = learn(rows, merges + merges // 10 + _SPARE, longest)
    return [[back[sign] for sign in piece] for piece in learnt.merges], units


def with_parts(merges: Iterable[list[str]]) -> Iterator[tuple[str, str]]:
    """The two parts of each merge, found by making the merges so far; one that has not exactly two is left out."""
    rank: dict[str, int] = {}
    for number, units in enumerate(merges):
        parts = list(units)
        while len(parts) > 2:
            ranks = [rank.get(first + second, number) for first, second in pairwise(parts)]
            best = min(ranks)
            if best == number:
                break
            place = ranks.index(best)
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        if len(parts) == 2 and parts[0] + parts[1] not in rank:
            rank[parts[0] + parts[1]] = number
            yield parts[0], parts[1]


def choose(candidates: Candidates, uses: Mapping[str, int], room: int, banned: Collection[str] = ()) -> list[str]:
    """At most `room` pieces that save most: the first merges with all they need, then characters by what they save.

    `uses`: how often a text uses each piece when all are there. A merge that is missing becomes its two parts, so it
    costs one token; a character becomes its bytes. Nothing is taken that needs a piece which is `banned`.
    """
    barred = set(banned)

    def fits(piece: str, have: Collection[str], left: int) -> list[str]:
        found = candidates.needs(piece, have)
        return found if len(found) <= left and barred.isdisjoint(found) else []

    common = _COMMON_SHARE * sum(uses.values())
    saved = {piece: _saved(candidates.of[piece], uses, common) for piece in candidates.characters}
    ordered = sorted(candidates.characters, key=lambda piece: -saved[piece])  # equal ones stay by frequency
    lost_merges = sum(uses.get(piece, 0) for piece in candidates.merges)
    best, merges, taken = float("inf"), 0, dict[str, None]()
    every = max(1, min(room, len(candidates.merges)) // _TRIES)
    for count in range(len(candidates.merges) + 1):
        if count:
            piece = candidates.merges[count - 1]
            if len(taken) >= room:
                break
            found = fits(piece, taken, room - len(taken))
            taken.update(dict.fromkeys(found))
            lost_merges -= uses.get(piece, 0) if found else 0
        if count % every == 0 or len(taken) == room or count == len(candidates.merges):
            lost = lost_merges + _lost(ordered, saved, taken, room - len(taken), barred)
            if lost <= best:
                best, merges = lost, count
    # Characters fill up what the merges leave; where too few are left, more merges do.
    taken = {}
    for piece in (*candidates.merges[:merges], *ordered, *candidates.merges[merges:]):
        if len(taken) >= room:
            break
        taken.update(dict.fromkeys(fits(piece, taken, room - len(taken))))
    return _in_order(candidates, taken)


def _saved(candidate: Candidate, uses: Mapping[str, int], common: float) -> float:
    expected = max(_ALONE, common) if candidate.text in _COMMON else _ALONE
    return (len(candidate.text.encode()) - 1) * (uses.get(candidate.piece, 0) + expected)


def _lost(
    ordered: Sequence[str], saved: Mapping[str, float], taken: Collection[str], free: int, barred: Collection[str]
) -> float:
    """What is lost by the characters for which there is no room; the few steps to them are left out of account."""
    others = [saved[piece] for piece in ordered if piece not in taken and piece not in barred]
    return sum(others[free:])


def all_pieces(candidates: Candidates) -> list[str]:
    """All candidates in the order in which they are added."""
    return _in_order(candidates, candidates.of)


def _in_order(candidates: Candidates, taken: Collection[str]) -> list[str]:
    """Characters by frequency, each behind its steps, then merges in the order in which they are made."""
    found: dict[str, None] = {}
    for piece in (*candidates.characters, *candidates.merges):
        if piece in taken:
            for name in candidates.needs(piece, found):
                found[name] = None
    return list(found)
