"""Numba kernels of the quality classifier: text to hashed character n-grams, and these to a score.

In: code points of a batch. Out: for fitting the different n-grams of each document as places in a table of 2^bits; for
scoring the sum of their weights. An n-gram counts once a document, however often it stands there, so that loops and
long texts weigh no more than others; a document of n different ones gives each 1/√n. About 40 ns a character.
"""

import numpy as np

from corpus.charclass import BAD, DIGIT, SPACE
from runkit.compiled import njit

_NEWLINE = 10
_BLANK = 32


@njit(cache=True)
def plain_codes(codes, start, stop, classes, fold, most, found):
    """Code points as models read them: lower-case simplified, digits as 0, white space as one blank or line end.

    Written to `found` from its beginning; how many there are, at most `most`.
    """
    size = 0
    for i in range(start, stop):
        if size == most:
            break
        code = codes[i]
        kind = classes[code]
        if kind == SPACE:
            value = np.uint32(_NEWLINE) if code == _NEWLINE else np.uint32(_BLANK)
            if size and (found[size - 1] == _NEWLINE or (found[size - 1] == _BLANK and value == _BLANK)):
                continue
            if size and found[size - 1] == _BLANK:
                size -= 1
        elif kind == DIGIT:
            value = np.uint32(48)
        elif kind == BAD:
            value = np.uint32(0xFFFD)
        else:
            value = np.uint32(fold[code]) if code < 0x10000 else code
        found[size] = value
        size += 1
    return size


@njit(cache=True)
def _next(value, code):
    value = (value ^ np.uint64(code)) * np.uint64(0x9E3779B97F4A7C15)
    return value ^ (value >> np.uint64(32))


@njit(cache=True)
def features(codes, offsets, classes, fold, shortest, longest, bits, most):
    """(places, ends): the different n-grams of each document, those of d at ends[d] : ends[d + 1], in no order."""
    documents = len(offsets) - 1
    total = 0
    for d in range(documents):
        total += min(offsets[d + 1] - offsets[d], most) * (longest - shortest + 1)
    places = np.empty(total, np.int32)
    ends = np.zeros(documents + 1, np.int64)
    stamps = np.full(1 << bits, -1, np.int32)
    text = np.empty(most, np.uint32)
    shift = np.uint64(64 - bits)
    size = 0
    for d in range(documents):
        length = plain_codes(codes, offsets[d], offsets[d + 1], classes, fold, most, text)
        for i in range(length):
            value = np.uint64(0x243F6A8885A308D3)
            for n in range(1, min(longest, length - i) + 1):
                value = _next(value, text[i + n - 1])
                if n >= shortest:
                    place = np.int64((value * np.uint64(0xBF58476D1CE4E5B9)) >> shift)
                    if stamps[place] != d:
                        stamps[place] = d
                        places[size] = place
                        size += 1
        ends[d + 1] = size
    return places[:size], ends


@njit(cache=True)
def sums(codes, offsets, classes, fold, shortest, longest, bits, most, weights, stamps):
    """Σ weight / √n over the n different n-grams of each document, (documents,). `stamps`: (2^bits,) uint32, any.

    Adds in the order of the text, so the sum is the same everywhere.
    """
    documents = len(offsets) - 1
    found = np.zeros(documents, np.float64)
    text = np.empty(most, np.uint32)
    shift = np.uint64(64 - bits)
    stamps[:] = 0
    for d in range(documents):
        length = plain_codes(codes, offsets[d], offsets[d + 1], classes, fold, most, text)
        total, different = 0.0, 0
        for i in range(length):
            value = np.uint64(0x243F6A8885A308D3)
            for n in range(1, min(longest, length - i) + 1):
                value = _next(value, text[i + n - 1])
                if n >= shortest:
                    place = np.int64((value * np.uint64(0xBF58476D1CE4E5B9)) >> shift)
                    if stamps[place] != d + 1:
                        stamps[place] = d + 1
                        total += weights[place]
                        different += 1
        found[d] = total / np.sqrt(different) if different else 0.0
    return found


@njit(cache=True)
def find_places(codes, offsets, classes, fold, shortest, longest, bits, most, wanted):
    """Where wanted places come from: (place, document, start, length) of every n-gram that falls on one, once a
    document. `wanted`: (2^bits,) bool."""
    documents = len(offsets) - 1
    room = 1024
    rows = np.empty((room, 4), np.int64)
    text = np.empty(most, np.uint32)
    stamps = np.full(1 << bits, -1, np.int32)
    shift = np.uint64(64 - bits)
    size = 0
    for d in range(documents):
        length = plain_codes(codes, offsets[d], offsets[d + 1], classes, fold, most, text)
        for i in range(length):
            value = np.uint64(0x243F6A8885A308D3)
            for n in range(1, min(longest, length - i) + 1):
                value = _next(value, text[i + n - 1])
                place = np.int64((value * np.uint64(0xBF58476D1CE4E5B9)) >> shift)
                if n >= shortest and wanted[place] and stamps[place] != d:
                    stamps[place] = d
                    if size == room:
                        wider = np.empty((2 * room, 4), np.int64)
                        wider[:room] = rows
                        rows, room = wider, 2 * room
                    rows[size, 0], rows[size, 1], rows[size, 2], rows[size, 3] = place, d, i, n
                    size += 1
    return rows[:size]
