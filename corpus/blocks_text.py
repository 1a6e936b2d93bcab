"""Numba kernel: the text of each block in, counts over its characters and the hash of its wording out.

Bytes in (UTF-8, as the cutter leaves them), one row of integers a block. Characters are folded (lower case, simplified)
before they are compared, so that a page in traditional characters meets what was learnt from simplified ones. About
5 ns a byte.
"""

import numpy as np
from numba import njit

from corpus.blocks_cut import START, STOP
from corpus.charclass import DIGIT, HAN, KANA, LATIN, PUNCTUATION, SPACE, SYMBOL
from corpus.kernels import _contains, _step

_SEED = np.uint64(0x9E3779B97F4A7C15)
(
    BYTES,
    CHARACTERS,
    N_HAN,
    N_LATIN,
    N_DIGIT,
    UPPER,
    N_PUNCTUATION,
    N_SYMBOL,
    COMMAS,
    ENDS,
    STOPS,
    WORDS,
    DATES,
    SEPARATORS,
    COLONS,
    LAST_END,
    LAST_COLON,
    FIRST_BULLET,
    FIRST_DIGIT,
    TITLE_SHARE,
    TITLE_COVER,
    LAST_LATIN,
    FIRST_UPPER,
) = range(23)
COUNT_COLUMNS = 23
_TITLE_SLOTS = 1024
_TITLE_BYTES = 400  # a block longer than this is no heading


@njit(cache=True, inline="always")
def decode_at(text, at, stop):
    """Code point at `at` and the position behind it; a damaged sequence gives its first byte."""
    c = np.int64(text[at])
    if c < 0x80:
        return c, at + 1
    if c >= 0xF0 and at + 3 < stop:
        tail = (np.int64(text[at + 1]) & 63) << 12 | (np.int64(text[at + 2]) & 63) << 6 | (np.int64(text[at + 3]) & 63)
        return min((c & 7) << 18 | tail, 0x10FFFF), at + 4
    if 0xE0 <= c < 0xF0 and at + 2 < stop:
        return (c & 15) << 12 | (np.int64(text[at + 1]) & 63) << 6 | (np.int64(text[at + 2]) & 63), at + 3
    if 0xC0 <= c < 0xE0 and at + 1 < stop:
        return (c & 31) << 6 | (np.int64(text[at + 1]) & 63), at + 2
    return c, at + 1


@njit(cache=True, inline="always")
def _is_end(code):
    return code in (0x3002, 0xFF01, 0xFF1F, 33, 63, 0x2026, 0xFF0E)


@njit(cache=True, inline="always")
def _is_close(code):
    return code in (34, 39, 41, 93, 0x201D, 0x2019, 0x300D, 0x300F, 0xFF09, 0x3011, 0x300B, 0xBB)


@njit(cache=True)
def _count(text, start, stop, classes, flags, fold, stop_words, row):
    """All counts of one block but those against the title; returns the hash of its visible characters."""
    whole = word = _SEED
    width = before = before2 = 0
    ended = False
    at = start
    while at < stop:
        code, at = decode_at(text, at, stop)
        kind = classes[code]
        folded = np.int64(fold[code]) if code < 0x10000 else code
        if width and kind != LATIN and kind != DIGIT:
            row[WORDS] += 1
            if width <= 4 and _contains(stop_words, word) >= 0:
                row[STOPS] += 1
            word, width = _SEED, 0
        if kind == SPACE:
            if before == 46 and classes[before2] == LATIN:
                row[ENDS] += 1
            before2, before = before, code
            continue
        row[CHARACTERS] += 1
        whole = _step(whole, folded)
        if row[CHARACTERS] == 1:
            row[FIRST_BULLET] = (flags[code] >> 1) & 1
            row[FIRST_DIGIT] = kind == DIGIT
            row[FIRST_UPPER] = 65 <= code <= 90
        if kind == HAN or kind == KANA:
            row[N_HAN] += 1
            row[STOPS] += (flags[code] >> 3) & 1
            row[DATES] += (code == 0x5E74 or code == 0x6708 or code == 0x65E5) and classes[before] == DIGIT
        elif kind == LATIN or kind == DIGIT:
            word = _step(word, folded)
            width += 1
            row[N_LATIN] += kind == LATIN
            row[N_DIGIT] += kind == DIGIT
            row[UPPER] += 65 <= code <= 90
            if kind == DIGIT and before in (45, 47, 58, 46) and classes[before2] == DIGIT:
                row[DATES] += 1
        elif kind == PUNCTUATION:
            row[N_PUNCTUATION] += 1
            row[COMMAS] += code in (0xFF0C, 0x3001, 44, 0xFF1B, 59)
            row[COLONS] += code in (58, 0xFF1A)
            row[SEPARATORS] += (flags[code] >> 2) & 1
        else:
            row[N_SYMBOL] += kind == SYMBOL
            row[SEPARATORS] += (flags[code] >> 2) & 1
        if _is_end(code):
            row[ENDS] += not _is_end(before)
            ended = True
        elif not (ended and _is_close(code)):
            ended = code == 46 and not (classes[before] == DIGIT and at < stop)
        before2, before = before, code
    if width:
        row[WORDS] += 1
        row[STOPS] += width <= 4 and _contains(stop_words, word) >= 0
    row[ENDS] += before == 46
    row[LAST_END] = ended
    row[LAST_COLON] = before == 58 or before == 0xFF1A
    row[LAST_LATIN] = classes[before] == LATIN
    return whole


@njit(cache=True)
def _pairs(text, start, stop, classes, fold, found):
    """Hashes of the neighbouring pairs of letters and digits in a text into `found`; returns how many."""
    size = 0
    before = 0
    at = start
    while at < stop and size < len(found):
        code, at = decode_at(text, at, stop)
        kind = classes[code]
        if kind in (HAN, KANA, LATIN, DIGIT):
            folded = np.int64(fold[code]) if code < 0x10000 else code
            if before:
                found[size] = _step(_step(_SEED, before), folded)
                size += 1
            before = folded
    return size


@njit(cache=True)
def count_texts(text, blocks, title, classes, flags, fold, stop_words, counts, hashes):
    """Fill counts (B, 23) int64 and hashes (B,) uint64; the two title shares are per mille."""
    keys = np.zeros(_TITLE_SLOTS, np.uint64)
    pairs = np.zeros(_TITLE_BYTES, np.uint64)
    distinct = 0
    for i in range(_pairs(title, 0, len(title), classes, fold, pairs)):
        slot = pairs[i] >> np.uint64(54)
        while keys[slot] and keys[slot] != pairs[i]:
            slot = (slot + np.uint64(1)) & np.uint64(_TITLE_SLOTS - 1)
        distinct += keys[slot] == 0
        keys[slot] = pairs[i]
    for b in range(len(blocks)):
        row = counts[b]
        row[:] = 0
        start, stop = blocks[b, START], blocks[b, STOP]
        row[BYTES] = stop - start
        hashes[b] = _count(text, start, stop, classes, flags, fold, stop_words, row)
        if not distinct or stop - start > _TITLE_BYTES:
            continue
        size = _pairs(text, start, stop, classes, fold, pairs)
        hits = 0
        for i in range(size):
            slot = pairs[i] >> np.uint64(54)
            while keys[slot] and keys[slot] != pairs[i]:
                slot = (slot + np.uint64(1)) & np.uint64(_TITLE_SLOTS - 1)
            hits += keys[slot] != 0
        row[TITLE_SHARE] = 1000 * hits // max(size, 1)
        row[TITLE_COVER] = min(1000 * hits // distinct, 1000)
