"""Numba kernel: what the classifier knows of each block, as one row of float32.

In: the arrays of `corpus.blocks.Blocks`. Out: (B, F) with the columns of `FEATURES`: the block's own text, its tags and
hints by distance, the containers around it, its place beside the container with the most prose, blocks of the same
path, its neighbours, and the page as a whole. Bytes are the unit of length (a Chinese character has three, a Latin
letter one, which is about what they carry). Only sums, shares and comparisons, so every machine gets the same bits.
"""

import numpy as np
from numba import njit

from corpus.blocks_around import headline, inside, neighbours
from corpus.blocks_columns import (
    A_BOX,
    A_CANDIDATE,
    A_GROUP,
    A_HINTS,
    A_PAGE,
    A_TAGS,
    AT_TITLE_COVER,
    AT_TITLE_SHARE,
    FAR,
    H1,
    HEADING,
    KIND_OF_TAG,
    LONG_LINE,
    N_HINTS,
    PROSE,
    S_BYTES,
    S_HEADINGS,
    S_LINK,
    S_LONG,
    S_PROSE,
)
from corpus.blocks_cut import (
    AFTER_BREAK,
    BOLD_BYTES,
    DEPTH,
    ELEMENT,
    END,
    FIRST,
    IMAGES,
    INLINE,
    LINK_BYTES,
    LINK_FIRST,
    LINK_LAST,
    LINKS,
    PARENT,
    TAG,
)
from corpus.blocks_text import (
    BYTES,
    CHARACTERS,
    COLONS,
    COMMAS,
    DATES,
    ENDS,
    FIRST_BULLET,
    FIRST_DIGIT,
    FIRST_UPPER,
    LAST_COLON,
    LAST_END,
    LAST_LATIN,
    N_DIGIT,
    N_HAN,
    N_PUNCTUATION,
    N_SYMBOL,
    SEPARATORS,
    STOPS,
    TITLE_COVER,
    TITLE_SHARE,
    UPPER,
    WORDS,
)

_SEED = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True)
def _texts(rows, counts, elements, out):
    """Columns of the block's own text. `prose` is its bytes outside links where it has sentences, else 0."""
    for b in range(len(rows)):
        c, r, f = counts[b], rows[b], out[b]
        size = max(c[BYTES], 1)
        chars = max(c[CHARACTERS], 1)
        tokens = max(c[N_HAN] + c[WORDS], 1)
        ends = c[ENDS] + (c[LAST_END] if c[ENDS] == 0 else 0)
        f[0] = c[BYTES]
        f[1] = min(r[LINK_BYTES] / size, 1.0)
        f[2] = r[LINKS]
        f[3] = min(r[BOLD_BYTES] / size, 1.0)
        f[4] = r[IMAGES]
        f[5] = r[AFTER_BREAK]
        f[6] = r[INLINE]
        f[7] = c[N_HAN] / chars
        f[8] = c[N_DIGIT] / chars
        f[9] = c[UPPER] / chars
        f[10] = c[N_PUNCTUATION] / chars
        f[11] = c[N_SYMBOL] / chars
        f[12] = c[COMMAS]
        f[13] = ends
        f[14] = ends * 100.0 / size
        f[15] = c[STOPS] / tokens
        f[16] = c[WORDS]
        f[17] = c[DATES]
        f[18] = c[SEPARATORS] / chars
        f[19] = c[COLONS]
        f[20] = c[LAST_END]
        f[21] = c[LAST_COLON]
        f[22] = c[FIRST_BULLET]
        f[23] = c[FIRST_DIGIT]
        f[24] = c[TITLE_SHARE]
        f[25] = c[TITLE_COVER]
        f[26] = c[LAST_LATIN]
        f[27] = c[FIRST_UPPER]
        f[28] = r[LINK_FIRST]
        f[29] = r[LINK_LAST]
        sentences = (ends > 0 and size >= 24) or (c[COMMAS] > 1 and size >= 60)
        f[PROSE] = max(size - r[LINK_BYTES], 0) if sentences else 0.0


@njit(cache=True)
def _tags(rows, elements, hashes, out):
    """Columns of the tag, and how often the page has the same wording."""
    count = len(rows)
    capacity = 16
    while capacity < 2 * count + 2:
        capacity *= 2
    keys = np.zeros(capacity, np.uint64)
    seen = np.zeros(capacity, np.int64)
    places = np.zeros(count, np.int64)
    for b in range(count):
        slot = (hashes[b] * _SEED >> np.uint64(32)) & np.uint64(capacity - 1)
        while seen[slot] and keys[slot] != hashes[b]:
            slot = (slot + np.uint64(1)) & np.uint64(capacity - 1)
        keys[slot] = hashes[b]
        seen[slot] += 1
        places[b] = slot
    for b in range(count):
        element = rows[b, ELEMENT]
        kind = KIND_OF_TAG[elements[element, TAG]]
        f = out[b]
        f[A_TAGS : A_TAGS + 10] = 0.0
        if kind == 1:
            f[A_TAGS] = 1 + elements[element, TAG] - H1
        elif kind:
            f[A_TAGS + kind - 1] = 1.0
        f[A_TAGS + 10] = elements[element, DEPTH]
        f[A_TAGS + 11] = elements[element, END] - elements[element, FIRST]
        f[A_TAGS + 12] = seen[places[b]]


@njit(cache=True)
def _hint_distances(rows, elements, hints, out):
    """For each hint, how many levels above the block the nearest ancestor stands that gives it."""
    near = np.full((len(elements), N_HINTS), FAR, np.uint8)
    for e in range(len(elements)):
        if e:
            parent = elements[e, PARENT]
            for h in range(N_HINTS):
                near[e, h] = min(near[parent, h] + 1, FAR)
        for h in range(N_HINTS):
            if hints[e] >> np.uint64(h) & np.uint64(1):
                near[e, h] = 0
    for b in range(len(rows)):
        for h in range(N_HINTS):
            out[b, A_HINTS + h] = near[rows[b, ELEMENT], h]


@njit(cache=True)
def _sums(rows, elements, out):
    """(E, 5) over all blocks inside each element: bytes, link bytes, prose, bytes of long lines, headings."""
    sums = np.zeros((len(elements), 5), np.float64)
    for b in range(len(rows)):
        s = sums[rows[b, ELEMENT]]
        size = out[b, 0]
        s[S_BYTES] += size
        s[S_LINK] += min(np.float64(rows[b, LINK_BYTES]), np.float64(size))
        s[S_PROSE] += out[b, PROSE]
        s[S_LONG] += size if size >= LONG_LINE else 0.0
        s[S_HEADINGS] += out[b, HEADING] > 0
    for e in range(len(elements) - 1, 0, -1):
        for k in range(5):
            sums[elements[e, PARENT], k] += sums[e, k]
    return sums


@njit(cache=True)
def _containers(rows, elements, sums, out):
    """Three levels of ancestors that each hold more blocks than the one before."""
    for b in range(len(rows)):
        e = rows[b, ELEMENT]
        held = 1
        up = 0
        for level in range(3):
            while e and elements[e, END] - elements[e, FIRST] <= held:
                e = elements[e, PARENT]
                up += 1
            held = elements[e, END] - elements[e, FIRST]
            s, at = sums[e], A_BOX + 8 * level
            size = max(s[S_BYTES], 1.0)
            out[b, at] = held
            out[b, at + 1] = size
            out[b, at + 2] = s[S_LINK] / size
            out[b, at + 3] = s[S_PROSE] / size
            out[b, at + 4] = (b - elements[e, FIRST]) / max(held, 1)
            out[b, at + 5] = s[S_LONG] / size
            out[b, at + 6] = s[S_HEADINGS] / max(held, 1)
            out[b, at + 7] = up


@njit(cache=True)
def _candidate(rows, elements, sums, out):
    """The element with the most prose close below it: three levels, each counting half of the one inside it."""
    score = np.zeros(len(elements), np.float64)
    for b in range(len(rows)):
        e, weight = rows[b, ELEMENT], 1.0
        if KIND_OF_TAG[elements[e, TAG]] in (1, 2, 3, 5, 6, 8):  # a paragraph's prose is its parent's
            e = elements[e, PARENT]
        for _ in range(3):
            score[e] += weight * out[b, PROSE]
            if e == 0:
                break
            e, weight = elements[e, PARENT], weight * 0.5
    best = 0
    for e in range(len(elements)):
        if score[e] > score[best]:
            best = e
    inside = np.zeros(len(elements), np.bool_)  # the candidate's ancestors and itself
    e = best
    while True:
        inside[e] = True
        if e == 0:
            break
        e = elements[e, PARENT]
    first, end = elements[best, FIRST], elements[best, END]
    total = max(sums[0, S_PROSE], 1.0)
    for b in range(len(rows)):
        e, up = rows[b, ELEMENT], 0
        while not inside[e]:
            e = elements[e, PARENT]
            up += 1
        at = A_CANDIDATE
        out[b, at] = first <= b < end
        out[b, at + 1] = up
        out[b, at + 2] = elements[best, DEPTH] - elements[e, DEPTH]
        out[b, at + 3] = max(first - b, 0)
        out[b, at + 4] = max(b - end + 1, 0)
        out[b, at + 5] = sums[best, S_PROSE] / total
        out[b, at + 6] = sums[best, S_BYTES]
        out[b, at + 7] = (b - first) / max(end - first, 1)
        out[b, at + 8] = sums[e, S_PROSE] / max(sums[best, S_PROSE], 1.0)


@njit(cache=True)
def _groups(rows, elements, paths, kind, out):
    """Blocks whose elements have the same path: how many, and what they look like together."""
    count = len(rows)
    capacity = 16
    while capacity < 2 * count + 2:
        capacity *= 2
    keys = np.zeros(capacity, np.uint64)
    sums = np.zeros((capacity, 4), np.float64)
    places = np.zeros(count, np.int64)
    for b in range(count):
        key = paths[rows[b, ELEMENT], kind]
        slot = (key * _SEED >> np.uint64(32)) & np.uint64(capacity - 1)
        while sums[slot, 0] and keys[slot] != key:
            slot = (slot + np.uint64(1)) & np.uint64(capacity - 1)
        keys[slot] = key
        places[b] = slot
        sums[slot, 0] += 1
        sums[slot, 1] += out[b, 0]
        sums[slot, 2] += min(np.float64(rows[b, LINK_BYTES]), np.float64(out[b, 0]))
        sums[slot, 3] += out[b, PROSE]
    at = A_GROUP + 4 * kind
    for b in range(count):
        s = sums[places[b]]
        out[b, at] = s[0]
        out[b, at + 1] = s[1] / s[0]
        out[b, at + 2] = s[2] / max(s[1], 1.0)
        out[b, at + 3] = s[3] / max(s[1], 1.0)


@njit(cache=True)
def _page(rows, elements, counts, sums, out):
    """The page as a whole and the block's place in it."""
    count = len(rows)
    total, prose = max(sums[0, S_BYTES], 1.0), max(sums[0, S_PROSE], 1.0)
    han = chars = 0.0
    for b in range(count):
        han += counts[b, N_HAN]
        chars += counts[b, CHARACTERS]
    seen = seen_prose = 0.0
    heading = text = h1 = -100
    titled = 0
    at = A_PAGE
    for b in range(count):
        f = out[b]
        f[at] = count
        f[at + 1] = total
        f[at + 2] = sums[0, S_LINK] / total
        f[at + 3] = sums[0, S_PROSE] / total
        f[at + 4] = han / max(chars, 1.0)
        f[at + 5] = b / count
        f[at + 6] = seen / total
        f[at + 7] = seen_prose / prose
        f[at + 8] = (sums[0, S_PROSE] - seen_prose - f[PROSE]) / prose
        f[at + 9] = min(b - heading, 100)
        f[at + 10] = min(b - text, 100)
        f[at + 12] = min(b - h1, 100)
        f[at + 13] = titled
        seen += f[0]
        seen_prose += f[PROSE]
        if f[HEADING] > 0:
            heading = b
        if f[HEADING] == 1:
            h1 = b
        if f[PROSE] >= LONG_LINE:
            text = b
        if f[AT_TITLE_SHARE] >= 700 and f[AT_TITLE_COVER] >= 300:
            titled += 1
    text = count + 100
    for b in range(count - 1, -1, -1):
        out[b, at + 11] = min(text - b, 100)
        if out[b, PROSE] >= LONG_LINE:
            text = b


@njit(cache=True)
def fill(elements, hints, paths, rows, counts, hashes, out):
    """All columns of `FEATURES` into out (B, F) float32."""
    _texts(rows, counts, elements, out)
    _tags(rows, elements, hashes, out)
    _hint_distances(rows, elements, hints, out)
    sums = _sums(rows, elements, out)
    _containers(rows, elements, sums, out)
    _candidate(rows, elements, sums, out)
    _groups(rows, elements, paths, 0, out)
    _groups(rows, elements, paths, 1, out)
    _page(rows, elements, counts, sums, out)
    neighbours(rows, paths, out)
    headline(rows, elements, out)
    inside(rows, elements, hints, sums, out)
