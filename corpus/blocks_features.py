"""Numba kernel: what the classifier knows of each block, as one row of float32.

In: the arrays of `corpus.blocks.Blocks`. Out: (B, F) with the columns of `FEATURES`: the block's own text, its tags and
hints by distance, the containers around it, its place beside the container with the most prose, blocks of the same
path, its neighbours, and the page as a whole. Bytes are the unit of length (a Chinese character has three, a Latin
letter one, which is about what they carry). Only sums, shares and comparisons, so every machine gets the same bits.
"""

import numpy as np
from numba import njit

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
from corpus.blocks_tables import HINT, HINTS
from corpus.blocks_tables import TAG as TAG_ID
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

N_HINTS = len(HINTS)
FAR = 15  # a hint that no ancestor gives
_TEXT = (
    "bytes link_share links bold_share images after_break inline han_share digit_share upper_share punctuation_share "
    "symbol_share commas ends end_share stop_share words date separator_share colons last_end last_colon first_bullet "
    "first_digit title_share title_cover last_latin first_upper link_first link_last prose"
).split()
_TAGS = "heading paragraph item cell definition code div quote caption label depth only_child same_text".split()
_HINTS = [f"near_{name}" for name in HINTS]
_CONTAINER = [
    f"box{level}_{name}"
    for level in range(3)
    for name in "blocks bytes link_share prose_share place long_share headings up".split()
]
_CANDIDATE = "cand_inside cand_up cand_down cand_before cand_after cand_share cand_bytes cand_place cand_lift".split()
_GROUP = [f"{kind}_{name}" for kind in ("path", "look") for name in "count bytes link_share prose_share".split()]
_PAGE = (
    "page_blocks page_bytes page_link_share page_prose page_han place place_bytes prose_before prose_after "
    "since_heading since_prose until_prose since_h1 title_seen"
).split()
_NEAR = "bytes link_share prose last_end stop_share same_path heading digit_share".split()
_OFFSETS = (-3, -2, -1, 1, 2, 3)
_NEIGHBOURS = [f"at{offset:+d}_{name}" for offset in _OFFSETS for name in _NEAR]
_HEADLINE = "head_after head_before head_lca_up head_lca_down head_kind head_same_box".split()
_SIGNED = ("article", "main", "body_text", "w_main", "w_post", "w_comment")
_INSIDE = [f"{name}_{what}" for name in _SIGNED for what in ("count", "bytes", "prose")]
_WORDS = "words_score words_before words_after words_lowest words_mean".split()
_WINDOW = "window_prose window_link window_bytes wide_prose wide_link wide_bytes".split()
FEATURES = (*_TEXT, *_TAGS, *_HINTS, *_CONTAINER, *_CANDIDATE, *_GROUP, *_PAGE, *_NEIGHBOURS, *_WINDOW, *_HEADLINE, *_INSIDE, *_WORDS)
AT = {name: index for index, name in enumerate(FEATURES)}

_A_TEXT, _A_TAGS, _A_HINTS, _A_BOX = AT["bytes"], AT["heading"], AT[_HINTS[0]], AT[_CONTAINER[0]]
_A_CANDIDATE, _A_GROUP, _A_PAGE = AT[_CANDIDATE[0]], AT[_GROUP[0]], AT[_PAGE[0]]
_A_NEAR, _A_WINDOW = AT[_NEIGHBOURS[0]], AT[_WINDOW[0]]
_A_HEADLINE, _A_INSIDE, _A_WORDS = AT[_HEADLINE[0]], AT[_INSIDE[0]], AT[_WORDS[0]]
_TITLE_SHARE, _TITLE_COVER = AT["title_share"], AT["title_cover"]
_SIGNED_BITS = np.array([HINT[name] for name in _SIGNED], np.uint64)
_N_NEAR = len(_NEAR)
_LINK_SHARE, _LAST_END, _STOP_SHARE, _DIGIT_SHARE = AT["link_share"], AT["last_end"], AT["stop_share"], AT["digit_share"]
_PROSE, _HEADING = AT["prose"], AT["heading"]

_KIND = np.zeros(max(TAG_ID.values()) + 1, np.int64)
for _names, _kind in (
    ("h1 h2 h3 h4 h5 h6", 1),
    ("p", 2),
    ("li", 3),
    ("td th tr caption", 4),
    ("dt dd dl", 5),
    ("pre listing", 6),
    ("div section article main body center", 7),
    ("blockquote", 8),
    ("figcaption figure", 9),
    ("label button legend", 10),
):
    for _name in _names.split():
        _KIND[TAG_ID[_name]] = _kind
_H1 = TAG_ID["h1"]
_WORD_TITLE = np.uint64(1 << HINT["w_title"])
# Columns of the sums over an element's blocks.
_S_BYTES, _S_LINK, _S_PROSE, _S_LONG, _S_HEADINGS = range(5)
_LONG = 90  # bytes; a line of prose, not a menu entry


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
        f[_PROSE] = max(size - r[LINK_BYTES], 0) if sentences else 0.0


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
        kind = _KIND[elements[element, TAG]]
        f = out[b]
        f[_A_TAGS : _A_TAGS + 10] = 0.0
        if kind == 1:
            f[_A_TAGS] = 1 + elements[element, TAG] - _H1
        elif kind:
            f[_A_TAGS + kind - 1] = 1.0
        f[_A_TAGS + 10] = elements[element, DEPTH]
        f[_A_TAGS + 11] = elements[element, END] - elements[element, FIRST]
        f[_A_TAGS + 12] = seen[places[b]]


_SEED = np.uint64(0x9E3779B97F4A7C15)


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
            out[b, _A_HINTS + h] = near[rows[b, ELEMENT], h]


@njit(cache=True)
def _sums(rows, elements, out):
    """(E, 5) over all blocks inside each element: bytes, link bytes, prose, bytes of long lines, headings."""
    sums = np.zeros((len(elements), 5), np.float64)
    for b in range(len(rows)):
        s = sums[rows[b, ELEMENT]]
        size = out[b, 0]
        s[_S_BYTES] += size
        s[_S_LINK] += min(np.float64(rows[b, LINK_BYTES]), np.float64(size))
        s[_S_PROSE] += out[b, _PROSE]
        s[_S_LONG] += size if size >= _LONG else 0.0
        s[_S_HEADINGS] += out[b, _HEADING] > 0
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
            s, at = sums[e], _A_BOX + 8 * level
            size = max(s[_S_BYTES], 1.0)
            out[b, at] = held
            out[b, at + 1] = size
            out[b, at + 2] = s[_S_LINK] / size
            out[b, at + 3] = s[_S_PROSE] / size
            out[b, at + 4] = (b - elements[e, FIRST]) / max(held, 1)
            out[b, at + 5] = s[_S_LONG] / size
            out[b, at + 6] = s[_S_HEADINGS] / max(held, 1)
            out[b, at + 7] = up


@njit(cache=True)
def _candidate(rows, elements, sums, out):
    """The element with the most prose close below it: three levels, each counting half of the one inside it."""
    score = np.zeros(len(elements), np.float64)
    for b in range(len(rows)):
        e, weight = rows[b, ELEMENT], 1.0
        if _KIND[elements[e, TAG]] in (1, 2, 3, 5, 6, 8):  # a paragraph's prose is its parent's
            e = elements[e, PARENT]
        for _ in range(3):
            score[e] += weight * out[b, _PROSE]
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
    total = max(sums[0, _S_PROSE], 1.0)
    for b in range(len(rows)):
        e, up = rows[b, ELEMENT], 0
        while not inside[e]:
            e = elements[e, PARENT]
            up += 1
        at = _A_CANDIDATE
        out[b, at] = first <= b < end
        out[b, at + 1] = up
        out[b, at + 2] = elements[best, DEPTH] - elements[e, DEPTH]
        out[b, at + 3] = max(first - b, 0)
        out[b, at + 4] = max(b - end + 1, 0)
        out[b, at + 5] = sums[best, _S_PROSE] / total
        out[b, at + 6] = sums[best, _S_BYTES]
        out[b, at + 7] = (b - first) / max(end - first, 1)
        out[b, at + 8] = sums[e, _S_PROSE] / max(sums[best, _S_PROSE], 1.0)


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
        sums[slot, 3] += out[b, _PROSE]
    at = _A_GROUP + 4 * kind
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
    total, prose = max(sums[0, _S_BYTES], 1.0), max(sums[0, _S_PROSE], 1.0)
    han = chars = 0.0
    for b in range(count):
        han += counts[b, N_HAN]
        chars += counts[b, CHARACTERS]
    seen = seen_prose = 0.0
    heading = text = h1 = -100
    titled = 0
    at = _A_PAGE
    for b in range(count):
        f = out[b]
        f[at] = count
        f[at + 1] = total
        f[at + 2] = sums[0, _S_LINK] / total
        f[at + 3] = sums[0, _S_PROSE] / total
        f[at + 4] = han / max(chars, 1.0)
        f[at + 5] = b / count
        f[at + 6] = seen / total
        f[at + 7] = seen_prose / prose
        f[at + 8] = (sums[0, _S_PROSE] - seen_prose - f[_PROSE]) / prose
        f[at + 9] = min(b - heading, 100)
        f[at + 10] = min(b - text, 100)
        f[at + 12] = min(b - h1, 100)
        f[at + 13] = titled
        seen += f[0]
        seen_prose += f[_PROSE]
        if f[_HEADING] > 0:
            heading = b
        if f[_HEADING] == 1:
            h1 = b
        if f[_PROSE] >= _LONG:
            text = b
        if f[_TITLE_SHARE] >= 700 and f[_TITLE_COVER] >= 300:
            titled += 1
    text = count + 100
    for b in range(count - 1, -1, -1):
        out[b, at + 11] = min(text - b, 100)
        if out[b, _PROSE] >= _LONG:
            text = b


@njit(cache=True)
def _neighbours(rows, paths, out):
    """Some columns of the three blocks on either side; -1 outside the page. And sums over five and fifteen."""
    count = len(rows)
    for b in range(count):
        at = _A_NEAR
        for offset in (-3, -2, -1, 1, 2, 3):
            other = b + offset
            if 0 <= other < count:
                f = out[other]
                out[b, at] = f[0]
                out[b, at + 1] = f[_LINK_SHARE]
                out[b, at + 2] = f[_PROSE]
                out[b, at + 3] = f[_LAST_END]
                out[b, at + 4] = f[_STOP_SHARE]
                out[b, at + 5] = paths[rows[b, ELEMENT], 1] == paths[rows[other, ELEMENT], 1]
                out[b, at + 6] = f[_HEADING]
                out[b, at + 7] = f[_DIGIT_SHARE]
            else:
                out[b, at : at + _N_NEAR] = -1.0
            at += _N_NEAR
    reach = 2
    for wide in range(2):
        for b in range(count):
            prose = size = link = 0.0
            for other in range(max(b - reach, 0), min(b + reach + 1, count)):
                prose += out[other, _PROSE]
                size += out[other, 0]
                link += min(np.float64(rows[other, LINK_BYTES]), np.float64(out[other, 0]))
            at = _A_WINDOW + 3 * wide
            out[b, at] = prose / max(size, 1.0)
            out[b, at + 1] = link / max(size, 1.0)
            out[b, at + 2] = size
        reach = 7


@njit(cache=True)
def _headline(rows, elements, out):
    """The block that repeats the page's title best, and where each block stands to it."""
    count = len(rows)
    best, top = -1, 0.0
    for b in range(count):
        f = out[b]
        if f[_TITLE_SHARE] < 600 or f[_TITLE_COVER] < 200:
            continue
        value = f[_TITLE_SHARE] * f[_TITLE_COVER] * 1e-6
        value *= 1.6 if f[_HEADING] == 1 else (1.3 if f[_HEADING] > 0 else 1.0)
        value *= 1.0 - 0.7 * f[_LINK_SHARE]
        if value > top:
            best, top = b, value
    if best < 0:
        out[:, _A_HEADLINE : _A_HEADLINE + 6] = -1.0
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
        f[_A_HEADLINE] = max(b - best, 0)
        f[_A_HEADLINE + 1] = max(best - b, 0)
        f[_A_HEADLINE + 2] = up
        f[_A_HEADLINE + 3] = elements[home, DEPTH] - elements[e, DEPTH]
        f[_A_HEADLINE + 4] = out[best, _HEADING]
        f[_A_HEADLINE + 5] = elements[e, END] - elements[e, FIRST]


@njit(cache=True)
def _inside(rows, elements, hints, sums, out):
    """Of the hints that name the text itself: how many elements give each, and how much the nearest one holds."""
    nearest = np.zeros(len(elements), np.int32)
    total, prose = max(sums[0, _S_BYTES], 1.0), max(sums[0, _S_PROSE], 1.0)
    for k in range(len(_SIGNED_BITS)):
        found = 0
        nearest[0] = -1
        for e in range(1, len(elements)):
            parent = elements[e, PARENT]
            nearest[e] = nearest[parent]
            if hints[e] >> _SIGNED_BITS[k] & np.uint64(1):
                nearest[e] = e
                found += elements[e, END] > elements[e, FIRST]
        at = _A_INSIDE + 3 * k
        for b in range(len(rows)):
            e = nearest[rows[b, ELEMENT]]
            out[b, at] = found
            out[b, at + 1] = sums[e, _S_BYTES] / total if e >= 0 else -1.0
            out[b, at + 2] = sums[e, _S_PROSE] / prose if e >= 0 else -1.0


@njit(cache=True)
def fill_words(scores, out):
    """Columns of the wording, from the linear model's scores (B,)."""
    count = len(scores)
    lowest = 0.0
    for b in range(count):
        f = out[b]
        f[_A_WORDS] = scores[b]
        f[_A_WORDS + 1] = scores[b - 1] if b else 0.0
        f[_A_WORDS + 2] = scores[b + 1] if b + 1 < count else 0.0
        lowest = min(lowest * 0.8, scores[b])
        f[_A_WORDS + 3] = lowest
        total = size = 0.0
        for other in range(max(b - 5, 0), min(b + 6, count)):
            weight = min(np.float64(out[other, 0]), 240.0)
            total += weight * scores[other]
            size += weight
        f[_A_WORDS + 4] = total / max(size, 1.0)


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
    _neighbours(rows, paths, out)
    _headline(rows, elements, out)
    _inside(rows, elements, hints, sums, out)
