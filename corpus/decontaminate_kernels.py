"""Numba kernels of decontamination: units of a text, n-grams of units, and where those of test items stand.

Units are those of `runkit.text.units` on folded text: one Han character, or one run of other letters and digits. What
is neither parts runs, but for what is transparent (joiners, combining marks), which is as if it were not there.
"""

import numpy as np

from runkit.compiled import njit

SEPARATOR, HAN, LETTER, TRANSPARENT = 0, 1, 2, 3
_SEED = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0x100000001B3)
_BASE = np.uint64(0xD6E8FEB86659FD93)


@njit(cache=True, inline="always")
def _step(value, code):
    value = (value ^ np.uint64(code)) * _PRIME
    return value ^ (value >> np.uint64(29))


@njit(cache=True, inline="always")
def _final(value, length):
    value ^= np.uint64(length) << np.uint64(56)
    value ^= value >> np.uint64(32)
    value *= _BASE
    return (value ^ (value >> np.uint64(32))) | np.uint64(1)


@njit(cache=True)
def find_units(codes, begin, end, classes, fold, units, starts, stops):
    """Hash, start and stop of the units between two places; returns how many there are."""
    size = 0
    value = _SEED
    inside = False
    for i in range(begin, end):
        code = codes[i]
        kind = classes[code] if code < len(classes) else np.uint8(SEPARATOR)
        if kind == TRANSPARENT:
            continue
        folded = fold[code] if code < len(fold) else code
        if kind == LETTER:
            if not inside:
                inside, value = True, _SEED
                starts[size] = i
            value = _step(value, folded)
            stops[size] = i + 1
            continue
        if inside:
            units[size] = value
            size += 1
            inside = False
        if kind == HAN:
            units[size], starts[size], stops[size] = _step(_SEED, folded), i, i + 1
            size += 1
    if inside:
        units[size] = value
        size += 1
    return size


@njit(cache=True)
def _powers(most):
    powers = np.ones(most + 1, np.uint64)
    for n in range(1, most + 1):
        powers[n] = powers[n - 1] * _BASE
    return powers


@njit(cache=True)
def _prefixes(units, size, prefix):
    prefix[0] = 0
    for i in range(size):
        prefix[i + 1] = prefix[i] * _BASE + units[i]


@njit(cache=True)
def all_grams(codes, offsets, classes, fold, n, least):
    """The n-grams of every text; of one with fewer units, but `least` or more, all of them as one gram.

    Returns (G,) text, (G,) hash, and (D,) the length of each text's grams, 0 for one that is too short.
    """
    longest = 0
    for d in range(len(offsets) - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    units, prefix = np.empty(longest, np.uint64), np.empty(longest + 1, np.uint64)
    starts, stops = np.empty(longest, np.int64), np.empty(longest, np.int64)
    powers = _powers(n)
    texts, hashes = np.empty(len(codes) + 1, np.int64), np.empty(len(codes) + 1, np.uint64)
    lengths = np.zeros(len(offsets) - 1, np.int64)
    found = 0
    for d in range(len(offsets) - 1):
        size = find_units(codes, offsets[d], offsets[d + 1], classes, fold, units, starts, stops)
        m = n if size >= n else size if size >= least else 0
        lengths[d] = m
        _prefixes(units, size, prefix)
        for i in range(size - m + 1 if m else 0):
            texts[found], hashes[found] = d, _final(prefix[i + m] - prefix[i] * powers[m], m)
            found += 1
    return texts[:found], hashes[:found], lengths


@njit(cache=True)
def gram_table(hashes):
    """An open-addressing table of distinct hashes: keys (0 is empty) and their places in `hashes`."""
    size = 16
    while size < 4 * len(hashes):
        size *= 2
    keys, places = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    mask = np.uint64(size - 1)
    for place in range(len(hashes)):
        slot = (hashes[place] >> np.uint64(8)) & mask
        while keys[slot]:
            slot = (slot + np.uint64(1)) & mask
        keys[slot], places[slot] = hashes[place], place
    return keys, places


@njit(cache=True)
def find_grams(codes, offsets, classes, fold, lengths, keys, places):
    """Where grams of the table stand in the texts: document, start, stop (among the codes) and gram, each (H,).

    `lengths`: of the grams in the table, each once.
    """
    longest = 0
    for d in range(len(offsets) - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    units, prefix = np.empty(longest, np.uint64), np.empty(longest + 1, np.uint64)
    starts, stops = np.empty(longest, np.int64), np.empty(longest, np.int64)
    powers = _powers(lengths.max() if len(lengths) else 1)
    mask = np.uint64(len(keys) - 1)
    room = 1024
    hits = np.empty((room, 4), np.int64)
    found = 0
    for d in range(len(offsets) - 1):
        size = find_units(codes, offsets[d], offsets[d + 1], classes, fold, units, starts, stops)
        _prefixes(units, size, prefix)
        for m in lengths:
            for i in range(size - m + 1):
                key = _final(prefix[i + m] - prefix[i] * powers[m], m)
                slot = (key >> np.uint64(8)) & mask
                while keys[slot] and keys[slot] != key:
                    slot = (slot + np.uint64(1)) & mask
                if not keys[slot]:
                    continue
                if found == room:
                    more = np.empty((2 * room, 4), np.int64)
                    more[:room] = hits
                    hits = more
                    room *= 2
                hits[found, 0], hits[found, 1], hits[found, 2] = d, starts[i], stops[i + m - 1]
                hits[found, 3] = places[slot]
                found += 1
    return hits[:found]
