"""Numba kernels of the character n-gram model: hashes of n-grams, a table of them, and the probability of a text.

In: code points as `corpus.quality_kernels.plain_codes` leaves them. Out: log-probabilities. Of an n-gram's hash the
table compares 31 bits beside its place, so that one lookup in a thousand million finds a stranger. Hashes grow to the
left, so that at one place the shorter n-grams are steps on the way to the longer. About 0.15 µs a character.
"""

import numpy as np

from corpus.minhash import mix
from corpus.quality_kernels import plain_codes
from runkit.compiled import njit

LONGEST = 8  # characters of an n-gram
SCALE = 2048.0  # log-probabilities are stored as multiples of 1/2048, down to −16


@njit(cache=True)
def grow(value, code):
    """The hash of an n-gram with `code` before it; 0 is that of nothing."""
    return mix((value + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ (np.uint64(code) + np.uint64(1)))


@njit(cache=True)
def hash_orders(text, order, shorter):
    """Hashes of the `order`-grams that end at each place of `text`, 0 where there is none; from those one shorter."""
    found = np.zeros(len(text), np.uint64)
    for i in range(order - 1, len(text)):
        found[i] = grow(shorter[i] if order > 1 else np.uint64(0), text[i - order + 1])
    return found


@njit(cache=True)
def insert(keys, checks, values, log_probability, backoff):
    """Fill an open-addressing table of 2^k slots: `checks` (0 = empty) and `values` (slots, 2) int16."""
    slots = len(checks)
    bits = np.uint64(0)
    while (np.int64(1) << np.int64(bits)) < slots:
        bits += np.uint64(1)
    for i in range(len(keys)):
        check = np.uint32(keys[i] & np.uint64(0xFFFFFFFF)) | np.uint32(1)
        slot = np.int64(keys[i] >> (np.uint64(64) - bits))
        while checks[slot] != 0:
            slot = (slot + 1) & (slots - 1)
        checks[slot] = check
        values[slot, 0] = log_probability[i]
        values[slot, 1] = backoff[i]


@njit(cache=True)
def _find(key, checks, bits):
    check = np.uint32(key & np.uint64(0xFFFFFFFF)) | np.uint32(1)
    slot = np.int64(key >> (np.uint64(64) - bits))
    while checks[slot] != 0:
        if checks[slot] == check:
            return slot
        slot = (slot + 1) & (len(checks) - 1)
    return -1


@njit(cache=True)
def log_probabilities(text, size, order, checks, values, bits, unseen, found):
    """Natural log-probability of each of the first `size` characters of `text`, given those before: into `found`.

    The first stands as behind a line end. `unseen`: of a character that was never seen, before backoff.
    """
    before = np.zeros(LONGEST + 1, np.int64)  # backoff of the known k-gram that ends before this place, by k
    known_before = 0
    now = np.zeros(LONGEST + 1, np.int64)
    line_end = np.uint32(10)
    slot = _find(grow(np.uint64(0), line_end), checks, bits)
    if slot >= 0:
        before[1] = values[slot, 1]
        known_before = 1
    for i in range(size):
        value = np.uint64(0)
        known = 0
        probability = 0
        for k in range(1, order + 1):
            if k > i + 2:
                break
            value = grow(value, text[i - k + 1] if i - k + 1 >= 0 else line_end)
            slot = _find(value, checks, bits)
            if slot < 0:
                break
            known = k
            probability = values[slot, 0]
            now[k] = values[slot, 1]
        total = unseen if known == 0 else probability / SCALE
        for k in range(max(known, 1), min(known_before, order - 1) + 1):
            total += before[k] / SCALE
        found[i] = total
        known_before = min(known, order - 1)
        for k in range(1, known_before + 1):
            before[k] = now[k]


@njit(cache=True)
def mean_log_probability(codes, offsets, classes, fold, most, order, checks, values, bits, unseen):
    """Of each document's first `most` characters, (documents,); NaN where there is none."""
    documents = len(offsets) - 1
    means = np.full(documents, np.nan)
    text = np.empty(most, np.uint32)
    found = np.empty(most, np.float64)
    for d in range(documents):
        size = plain_codes(codes, offsets[d], offsets[d + 1], classes, fold, most, text)
        if size:
            log_probabilities(text, size, order, checks, values, bits, unseen, found)
            total = 0.0
            for i in range(size):
                total += found[i]
            means[d] = total / size
    return means


@njit(cache=True)
def plain_text(codes, offsets, classes, fold):
    """The documents as models read them, a line end before and after each: one array."""
    found = np.empty(len(codes) + len(offsets) + 1, np.uint32)
    most = len(codes)
    text = np.empty(most, np.uint32)
    found[0] = 10
    size = 1
    for d in range(len(offsets) - 1):
        length = plain_codes(codes, offsets[d], offsets[d + 1], classes, fold, most, text)
        found[size : size + length] = text[:length]
        size += length
        if found[size - 1] != 10:
            found[size] = 10
            size += 1
    return found[:size]
