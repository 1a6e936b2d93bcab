"""Numba kernels of `corpus stats`: what is counted over code points, batch by batch.

In: code points and offsets as `corpus.measure.to_codes` lays them out, and the class of every code point. Out:
hashes of units (a Han character, or a run of letters and digits), of pairs of neighbouring Han characters, and of
lines, those below a threshold alone, with the place of each. About 10 ns a character.
"""

import numpy as np

from corpus.charclass import BAD, DIGIT, HAN, KANA, LATIN, OTHER, PUNCTUATION, SPACE, SYMBOL
from corpus.minhash import mix
from runkit.compiled import njit

_NEWLINE = 10
_NO_LETTERS = np.uint64(0x243F6A8885A308D3)


@njit(cache=True)
def unit_hashes(codes, offsets, classes, fold, unit_limit, pair_limit):
    """(hashes, places) of units and of pairs below their limits, and how many units and pairs there are."""
    size = len(codes)
    units, unit_places = np.empty(size, np.uint64), np.empty(size, np.int64)
    pairs, pair_places = np.empty(size, np.uint64), np.empty(size, np.int64)
    found = met = unit_count = pair_count = 0
    for d in range(len(offsets) - 1):
        run = np.uint64(0)
        start = before = np.int64(-1)
        for i in range(offsets[d], offsets[d + 1] + 1):
            code = np.uint32(_NEWLINE)
            kind = SPACE
            if i < offsets[d + 1]:
                code = codes[i]
                kind = classes[code]
            if kind == LATIN or kind == DIGIT or kind == KANA or kind == OTHER:
                if start < 0:
                    start, run = i, np.uint64(0x243F6A8885A308D3)
                folded = np.uint64(fold[code]) if code < 0x10000 else np.uint64(code)
                run = (run ^ folded) * np.uint64(0x100000001B3)
                continue
            if start >= 0:
                unit_count += 1
                value = mix(run)
                if value < unit_limit:
                    units[found], unit_places[found] = value, start
                    found += 1
                start = np.int64(-1)
            if kind == HAN:
                unit_count += 1
                value = mix(np.uint64(code) + np.uint64(1))
                if value < unit_limit:
                    units[found], unit_places[found] = value, i
                    found += 1
                if before >= 0:
                    pair_count += 1
                    value = mix(np.uint64(codes[i - 1]) << np.uint64(32) | np.uint64(code))
                    if value < pair_limit:
                        pairs[met], pair_places[met] = value, i - 1
                        met += 1
                before = np.int64(i)
            else:
                before = np.int64(-1)
    return units[:found], unit_places[:found], pairs[:met], pair_places[:met], unit_count, pair_count


@njit(cache=True)
def text_hashes(codes, offsets, classes, fold):
    """A hash of each document over its letters and digits, folded: what `corpus clean` calls exact copies are equal.

    A text without any, for which `corpus clean` looks for no copy, is hashed as it stands: else all such are one.
    """
    found = np.empty(len(offsets) - 1, np.uint64)
    for d in range(len(offsets) - 1):
        value = _NO_LETTERS
        for i in range(offsets[d], offsets[d + 1]):
            kind = classes[codes[i]]
            if kind == PUNCTUATION or kind == SPACE or kind == SYMBOL or kind == BAD:
                continue
            code = np.uint64(fold[codes[i]]) if codes[i] < 0x10000 else np.uint64(codes[i])
            value = (value ^ code) * np.uint64(0x9E3779B97F4A7C15)
            value ^= value >> np.uint64(32)
        if value == _NO_LETTERS:
            for i in range(offsets[d], offsets[d + 1]):
                value = (value ^ np.uint64(codes[i]) ^ np.uint64(1 << 32)) * np.uint64(0x9E3779B97F4A7C15)
                value ^= value >> np.uint64(32)
        found[d] = mix(value)
    return found


@njit(cache=True)
def line_hashes(codes, offsets, classes, fewest):
    """Hash, first place, end and visible characters of every line of at least `fewest` visible characters.

    White space does not count, so that lines that differ in their indentation are the same.
    """
    most = len(codes) // max(fewest, 1) + 1
    hashes, starts = np.empty(most, np.uint64), np.empty(most, np.int64)
    ends, sizes = np.empty(most, np.int64), np.empty(most, np.int64)
    found = 0
    for d in range(len(offsets) - 1):
        value, visible, start = np.uint64(0x13198A2E03707344), 0, offsets[d]
        for i in range(offsets[d], offsets[d + 1] + 1):
            if i < offsets[d + 1] and codes[i] != _NEWLINE:
                kind = classes[codes[i]]
                if kind != SPACE and kind != BAD:
                    value = (value ^ np.uint64(codes[i])) * np.uint64(0x100000001B3)
                    value ^= value >> np.uint64(29)
                    visible += 1
                continue
            if visible >= fewest:
                hashes[found], starts[found], ends[found], sizes[found] = mix(value), start, i, visible
                found += 1
            value, visible, start = np.uint64(0x13198A2E03707344), 0, i + 1
    return hashes[:found], starts[:found], ends[:found], sizes[:found]


@njit(cache=True)
def note_first(codes, base, first):
    """Note the place of each code point that was not seen before: `first` (0x110000,), -1 where unseen."""
    for i in range(len(codes)):
        if first[codes[i]] < 0:
            first[codes[i]] = base + i
