"""Tables over code points that the kernels read: character classes, folding, frequent Han pairs, word lists.

In: nothing (shipped data under corpus/data). Out: one frozen `Tables`, built once per process in about 15 ms and 3 MB.
Classes come from Python's own `unicodedata` for the planes that text uses; scanning all 1.1 M code points instead
would cost 0.25 s at every start.
"""

import functools
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data"

OTHER, HAN, LATIN, DIGIT, PUNCTUATION, SYMBOL, KANA, SPACE, BAD = range(9)

# Blocks that are one class throughout; everything else below U+3400 and in the compatibility forms is asked of
# `unicodedata` one by one (15,000 code points, 3 ms).
_HAN_BLOCKS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x323B0))
_KANA_BLOCKS = ((0x1100, 0x1200), (0x3040, 0x3100), (0x3130, 0x3190), (0x31F0, 0x3200), (0xAC00, 0xD7B0))
_BAD_BLOCKS = ((0xD800, 0xF900), (0xFFF0, 0xFFF9), (0xFFFC, 0xFFFE), (0xE0000, 0xE0080), (0xF0000, 0x110000))
_SYMBOL_BLOCKS = ((0x1F000, 0x1FB00),)

SENTENCE_ENDS = "。！？；…!?;.:：”\"'’」』）)~～"
BULLETS = "•●○■□▪▫◆◇★☆►▶▷→·・-–—*※√✓❖"
SEPARATORS = "|｜/、,，_·•>»"
STOP_CHARACTERS = "的一是不了在人有我他这上们来个到说时要就出会也你对和以为得着下那里去而过"
STOP_WORDS = "the be to of and that have with is are was were in it for on as by at this from or an not"


@dataclass(frozen=True, slots=True)
class Tables:
    """Arrays that every kernel takes.

    Shapes: classes, ends (0x110000,) uint8; fold, first (0x10000,); sets are open-addressing tables of size 2^k.
    """

    classes: NDArray[np.uint8]
    flags: NDArray[np.uint8]  # bit 0 sentence end, 1 bullet, 2 separator, 3 stop character
    fold: NDArray[np.uint16]
    rank: NDArray[np.uint16]  # 1 + place among the common characters by folded code; 0 for the others
    pairs: NDArray[np.uint8]  # packed bits: (rank of first − 1) · common + (rank of second − 1)
    stop_words: NDArray[np.uint64]
    lexicon_keys: NDArray[np.uint64]
    lexicon_ids: NDArray[np.uint8]  # 1 spam, 2 adult
    lexicon_first: NDArray[np.uint8]  # length of the longest term that begins with that folded character


@functools.cache
def classes() -> NDArray[np.uint8]:
    """Class of every code point, (0x110000,) uint8."""
    found = np.zeros(0x110000, np.uint8)
    by_category = {"L": LATIN, "N": DIGIT, "P": PUNCTUATION, "S": SYMBOL, "Z": SPACE}
    for code in [*range(0x3400), *range(0xFE10, 0xFFF0)]:
        category = unicodedata.category(chr(code))
        found[code] = by_category.get(category[0], OTHER)
        if category[0] == "L" and not (code < 0x250 or 0x1E00 <= code < 0x1F00 or 0xFF21 <= code < 0xFF5B):
            found[code] = OTHER  # letters of other scripts
        elif category == "Cc":
            found[code] = SPACE if chr(code) in "\t\n\r" else BAD
    for blocks, value in (
        (_HAN_BLOCKS, HAN),
        (_KANA_BLOCKS, KANA),
        (_BAD_BLOCKS, BAD),
        (_SYMBOL_BLOCKS, SYMBOL),
    ):
        for start, stop in blocks:
            found[start:stop] = value
    found[0x3005:0x3008] = HAN  # 々〆〇
    found[0x30FB] = PUNCTUATION  # the Katakana middle dot also parts Chinese names
    found[0xFFFD] = BAD
    return found


@functools.cache
def fold() -> NDArray[np.uint16]:
    """The lower-case simplified form of every character of the basic plane, (0x10000,)."""
    with np.load(DATA / "han.npz") as shipped:
        han = shipped["fold"]
    folded = np.arange(0x10000, dtype=np.uint16)
    folded[0x4E00:0xA000] = han
    folded[ord("A") : ord("Z") + 1] += 32
    return folded


def hash_codes(codes: list[int]) -> int:
    """The kernels' polynomial hash of a sequence of code points, as an unsigned 64-bit number."""
    value = 0x9E3779B97F4A7C15
    for code in codes:
        value = ((value ^ code) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 29
    return value or 1


def hash_set(values: list[int], dtype: type, multiplier: int) -> tuple[NDArray, NDArray[np.int64]]:
    """An open-addressing table (0 = empty, load ≤ 0.5) and the slot of each value."""
    bits = max(4, int(2 * len(values)).bit_length())
    table: NDArray = np.zeros(1 << bits, dtype)
    slots = np.zeros(len(values), np.int64)
    for index, value in enumerate(values):
        slot = (value * multiplier & 0xFFFFFFFFFFFFFFFF) >> (64 - bits)
        while table[slot] not in (0, value):
            slot = (slot + 1) & (len(table) - 1)
        table[slot] = value
        slots[index] = slot
    return table, slots


HASH_MULTIPLIER = 0x9E3779B97F4A7C15


def read_terms(name: str) -> list[str]:
    """Terms of a shipped word list, one a line, `#` begins a comment."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


@functools.cache
def tables() -> Tables:
    """The tables of this process."""
    with np.load(DATA / "han.npz") as shipped:
        common, pairs = shipped["common"], shipped["pairs"]
    flags = np.zeros(0x110000, np.uint8)
    for bit, characters in enumerate((SENTENCE_ENDS, BULLETS, SEPARATORS)):
        flags[[ord(c) for c in characters]] |= 1 << bit
    flags[:0x10000][np.isin(fold(), [ord(c) for c in STOP_CHARACTERS])] |= 1 << 3  # traditional forms with them
    rank = np.zeros(0x10000, np.uint16)
    rank[common] = np.arange(1, len(common) + 1, dtype=np.uint16)
    terms = [(term, 1) for term in read_terms("spam.txt")] + [(term, 2) for term in read_terms("adult.txt")]
    folded = [([int(fold()[ord(c)]) for c in term], kind) for term, kind in terms]
    keys, slots = hash_set([hash_codes(codes) for codes, _ in folded], np.uint64, HASH_MULTIPLIER)
    ids = np.zeros(len(keys), np.uint8)
    first = np.zeros(0x10000, np.uint8)
    for (codes, kind), slot in zip(folded, slots, strict=True):
        ids[slot] = kind
        first[codes[0]] = max(first[codes[0]], len(codes))
    words, _ = hash_set([hash_codes([ord(c) for c in w]) for w in STOP_WORDS.split()], np.uint64, HASH_MULTIPLIER)
    return Tables(classes(), flags, fold(), rank, pairs, words, keys, ids, first)
