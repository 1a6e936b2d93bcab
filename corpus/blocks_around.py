"""Numba kernels: the columns that set a block beside others: neighbours, the headline, named containers, wording.

In: rows of features whose own columns are filled. Out: the same rows with these columns.
"""

import numpy as np
from numba import njit

from corpus.blocks_columns import (
    A_HEADLINE,
    A_INSIDE,
    A_NEAR,
    A_WINDOW,
    A_WORDS,
    AT_TITLE_COVER,
    AT_TITLE_SHARE,
    DIGIT_SHARE,
    ENDED,
    HEADING,
    LINK_SHARE,
    N_NEAR,
    PROSE,
    S_BYTES,
    S_PROSE,
    SIGNED_BITS,
    STOP_SHARE,
)
from corpus.blocks_cut import DEPTH, ELEMENT, END, FIRST, LINK_BYTES, PARENT


@njit(cache=True)
def neighbours(rows, paths, out):
    """Some columns of the three blocks on either side; -1 outside the page. And sums over five and fifteen."""
    count = len(rows)
    for b in range(count):
        at = A_NEAR
        for offset in (-3, -2, -1, 1, 2, 3):
            other = b + offset
            if 0 <= other < count:
                f = out[other]
                out[b, at] = f[0]
                out[b, at + 1] = f[LINK_SHARE]
                out[b, at + 2] = f[PROSE]
                out[b, at + 3] = f[ENDED]
                out[b, at + 4] = f[STOP_SHARE]
                out[b, at + 5] = paths[rows[b, ELEMENT], 1] == paths[rows[other, ELEMENT], 1]
                out[b, at + 6] = f[HEADING]
                out[b, at + 7] = f[DIGIT_SHARE]
            else:
                out[b, at : at + N_NEAR] = -1.0
            at += N_NEAR
    reach = 2
    for wide in range(2):
        for b in range(count):
            prose = size = link = 0.0
            for other in range(max(b - reach, 0), min(b + reach + 1, count)):
                prose += out[other, PROSE]
                size += out[other, 0]
                link += min(np.float64(rows[other, LINK_BYTES]), np.float64(out[other, 0]))
            at = A_WINDOW + 3 * wide
            out[b, at] = prose / max(size, 1.0)
            out[b, at + 1] = link / max(size, 1.0)
            out[b, at + 2] = size
        reach = 7


@njit(cache=True)
def headline(rows, elements, out):
    """The block that repeats the page's title best, and where each block stands to it."""
    count = len(rows)
    best, top = -1, 0.0
    for b in range(count):
        f = out[b]
        if f[AT_TITLE_SHARE] < 600 or f[AT_TITLE_COVER] < 200:
            continue
        value = f[AT_TITLE_SHARE] * f[AT_TITLE_COVER] * 1e-6
        value *= 1.6 if f[HEADING] == 1 else (1.3 if f[HEADING] > 0 else 1.0)
        value *= 1.0 - 0.7 * f[LINK_SHARE]
        if value > top:
            best, top = b, value
    if best < 0:
        out[:, A_HEADLINE : A_HEADLINE + 6] = -1.0
        return
    above = np.zeros(len(elements), np.bool_)
    e = rows[best, ELEMENT]
    above[e] = True
    while e:
        e = elements[e, PARENT]
        above[e] = True
    home = rows[best, ELEMENT]
    for b in range(count):
        e, up = rows[b, ELEMENT], 0
        while not above[e]:
            e = elements[e, PARENT]
            up += 1
        f = out[b]
        f[A_HEADLINE] = max(b - best, 0)
        f[A_HEADLINE + 1] = max(best - b, 0)
        f[A_HEADLINE + 2] = up
        f[A_HEADLINE + 3] = elements[home, DEPTH] - elements[e, DEPTH]
        f[A_HEADLINE + 4] = out[best, HEADING]
        f[A_HEADLINE + 5] = elements[e, END] - elements[e, FIRST]


@njit(cache=True)
def inside(rows, elements, hints, sums, out):
    """Of the hints that name the text itself: how many elements give each, and how much the nearest one holds."""
    nearest = np.zeros(len(elements), np.int32)
    total, prose = max(sums[0, S_BYTES], 1.0), max(sums[0, S_PROSE], 1.0)
    for k in range(len(SIGNED_BITS)):
        found = 0
        nearest[0] = -1
        for e in range(1, len(elements)):
            parent = elements[e, PARENT]
            nearest[e] = nearest[parent]
            if hints[e] >> SIGNED_BITS[k] & np.uint64(1):
                nearest[e] = e
                found += elements[e, END] > elements[e, FIRST]
        at = A_INSIDE + 3 * k
        for b in range(len(rows)):
            e = nearest[rows[b, ELEMENT]]
            out[b, at] = found
            out[b, at + 1] = sums[e, S_BYTES] / total if e >= 0 else -1.0
            out[b, at + 2] = sums[e, S_PROSE] / prose if e >= 0 else -1.0


@njit(cache=True)
def fill_words(scores, out):
    """Columns of the wording, from the linear model's scores (B,)."""
    count = len(scores)
    lowest = 0.0
    for b in range(count):
        f = out[b]
        f[A_WORDS] = scores[b]
        f[A_WORDS + 1] = scores[b - 1] if b else 0.0
        f[A_WORDS + 2] = scores[b + 1] if b + 1 < count else 0.0
        lowest = min(lowest * 0.8, scores[b])
        f[A_WORDS + 3] = lowest
        total = size = 0.0
        for other in range(max(b - 5, 0), min(b + 6, count)):
            weight = min(np.float64(out[other, 0]), 240.0)
            total += weight * scores[other]
            size += weight
        f[A_WORDS + 4] = total / max(size, 1.0)
