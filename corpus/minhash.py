"""Fingerprints for deduplication: one exact hash, 14 band hashes and the shingles of each document.

Shingles are 5-grams over letters and digits alone, folded to lower-case simplified characters, so that reprints which
differ in spaces, punctuation or script still meet. A signature has 112 minima in 14 bands of 8 rows, which find 92 % of
the pairs at a Jaccard similarity of 0.8 (1 − (1 − s⁸)¹⁴, as in FineWeb). It is made by one permutation: each shingle
falls into one of 112 bins, the least of a bin is its row, and an empty bin takes that of another one, drawn by hash
(Shrivastava 2017). Recall is that of 112 permutations, within the noise of 1,500 pairs, at a quarter of the time.
Candidates are then verified on the shingles themselves, which cost 4 bytes a character on disk until the run ends.
About 0.01 ms for a document of 2,000 characters.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from corpus.charclass import BAD, PUNCTUATION, SPACE, SYMBOL, classes, fold
from corpus.measure import signals, to_codes
from runkit.compiled import njit

BANDS, ROWS = 14, 8
WIDTH = 5  # characters a shingle
HASH_BITS = 61  # of a band hash, as many as one of datatrove has, whose stages can read them then
_SPARE_BITS = np.uint64(64 - HASH_BITS)
_PRIME = np.uint64(0x100000001B3)
_OLDEST = np.uint64(pow(0x100000001B3, WIDTH, 2**64))
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_EMPTY = np.uint64(0xFFFFFFFFFF)  # above every shingle


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Of D documents: exact (D, 2), bands (D, 14); shingles (S,), those of d at offsets[d] : offsets[d + 1]."""

    exact: NDArray[np.uint64]
    bands: NDArray[np.uint64]
    shingles: NDArray[np.uint32]
    offsets: NDArray[np.int64]


@njit(cache=True)
def mix(value):
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@njit(cache=True)
def _fill(signature, filled):
    """Bins without a shingle take the minimum of another one, which depends on the bin alone."""
    rows = np.uint64(len(signature))
    for bin_ in range(len(signature)):
        filled[bin_] = signature[bin_]
        attempt = np.uint64(bin_ + 1) * _GOLDEN
        while filled[bin_] == _EMPTY:
            attempt += np.uint64(1)
            filled[bin_] = signature[mix(attempt) % rows]


@njit(cache=True)
def _sign(shingles, signature, filled):
    """The least shingle of each bin."""
    signature[:] = _EMPTY if len(shingles) else np.uint64(0)
    for i in range(len(shingles)):
        shingle = np.uint64(shingles[i])
        bin_ = (shingle * np.uint64(BANDS * ROWS)) >> np.uint64(32)
        signature[bin_] = min(signature[bin_], shingle)
    _fill(signature, filled)


@njit(cache=True)
def _fingerprint(codes, offsets, letters):
    """Three loops over a document, for LLVM makes eight shingles at once only of a loop that does nothing else: 5 ns a
    character, where one loop takes 8."""
    documents = len(offsets) - 1
    exact = np.zeros((documents, 2), np.uint64)
    bands = np.zeros((documents, BANDS), np.uint64)
    shingles = np.empty(len(codes) + documents, np.uint32)
    ends = np.zeros(documents + 1, np.int64)
    longest = 1
    for d in range(documents):
        longest = max(longest, offsets[d + 1] - offsets[d])
    stream = np.zeros(WIDTH + longest, np.uint32)  # letters, behind as many zeros as a shingle is wide
    values = np.empty(longest, np.uint64)
    signature = np.empty(BANDS * ROWS, np.uint64)
    filled = np.empty(BANDS * ROWS, np.uint64)
    for d in range(documents):
        length = 0
        for i in range(offsets[d], offsets[d + 1]):
            letter = letters[codes[i]]
            stream[WIDTH + length] = letter
            length += letter != 0
        low, high = np.uint64(0x243F6A8885A308D3), np.uint64(0x13198A2E03707344)
        value = np.uint64(0)
        for i in range(length):
            letter = np.uint64(stream[WIDTH + i])
            low = (low ^ letter) * _PRIME
            high = (high + letter + np.uint64(1)) * np.uint64(0xD6E8FEB86659FD93)
            value = value * _PRIME + (letter - _OLDEST * np.uint64(stream[i]))
            values[i] = value
        exact[d, 0], exact[d, 1] = mix(low), mix(high)
        first = max(0, min(WIDTH, length) - 1)  # a text of fewer characters is one shingle
        ends[d + 1] = ends[d] + length - first
        own = shingles[ends[d] : ends[d + 1]]
        for i in range(len(own)):
            own[i] = np.uint32(mix(values[first + i]) >> np.uint64(32))
        _sign(own, signature, filled)
        for band in range(BANDS):
            value = np.uint64(band + 1)
            for row in range(ROWS):
                value = mix(value ^ filled[band * ROWS + row]) * _GOLDEN
            bands[d, band] = value >> _SPARE_BITS
    return exact, bands, shingles[: ends[documents]], ends


def fingerprint(codes: NDArray[np.uint32], offsets: NDArray[np.int64]) -> Fingerprints:
    """Fingerprints of a batch of texts as `corpus.measure.to_codes` lays them out."""
    return Fingerprints(*_fingerprint(codes, offsets, _letters()))


@cache
def _letters() -> NDArray[np.uint32]:
    """What each code point is compared as: folded, 0 where it does not count."""
    letters = np.arange(0x110000, dtype=np.uint32)
    letters[:0x10000] = fold()
    silent = np.zeros(256, np.bool_)
    silent[[PUNCTUATION, SPACE, SYMBOL, BAD]] = True
    letters[silent[classes()]] = 0
    return letters


@njit(cache=True)
def shingle_set(shingles):
    """The shingles as an open-addressing table (uint64, 0 is empty), and how many different ones there are."""
    capacity = 16
    while capacity < 2 * len(shingles):
        capacity *= 2
    table = np.zeros(capacity, np.uint64)
    mask = np.uint64(capacity - 1)
    count = 0
    for shingle in shingles:
        key = np.uint64(shingle) + np.uint64(1)
        slot = (key * _GOLDEN >> np.uint64(32)) & mask
        while table[slot] and table[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        if not table[slot]:
            table[slot] = key
            count += 1
    return table, count


@njit(cache=True)
def overlap(table, count, shingles):
    """Jaccard similarity of a `shingle_set` and other shingles as a set; 1 for two empty ones."""
    other, size = shingle_set(shingles)
    mask = np.uint64(len(table) - 1)
    common = 0
    for key in other:
        if key:
            slot = (key * _GOLDEN >> np.uint64(32)) & mask
            while table[slot] and table[slot] != key:
                slot = (slot + np.uint64(1)) & mask
            common += table[slot] == key
    union = count + size - common
    return common / union if union else 1.0


@njit(cache=True)
def jaccard(a, b):
    """Jaccard similarity of two arrays of shingles as sets; 1 for two empty ones."""
    table, count = shingle_set(a)
    return overlap(table, count, b)


def warm_kernels() -> None:
    """Load all compiled code, before workers are forked: 0.3 s once, and not in each of them."""
    codes, offsets = to_codes(["文"])
    signals(codes, offsets)
    shingles = fingerprint(codes, offsets).shingles
    shingles.flags.writeable = False  # as the mapped files are that `jaccard` gets
    jaccard(shingles, shingles)
