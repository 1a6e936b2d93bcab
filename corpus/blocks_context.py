"""Numba kernel: the first opinion on every block in, what it says of each block's surroundings out.

The second classifier sees a block beside the verdicts on its neighbours, on the blocks of the same path, on the
containers around it, and beside the run and the element in which most of the accepted text stands. Verdicts are the
first classifier's scores squashed to (0, 1) by x / (1 + |x|), which needs no library function and so gives the same
bits everywhere.
"""

import numpy as np
from numba import njit

from corpus.blocks_columns import AT, names
from corpus.blocks_cut import DEPTH, ELEMENT, END, FIRST, PARENT

_OFFSETS = (-4, -3, -2, -1, 1, 2, 3, 4)
CONTEXT = (
    "z",
    *(f"z{offset:+d}" for offset in _OFFSETS),
    *(f"mean_{name}" for name in names("near five ten box0 box1 box2 look path section")),
    *names("run_inside run_before run_after run_share run_place"),
    *names("best_inside best_up best_down best_before best_after best_share best_mean best_mass"),
    *names("mass_before mass_after since_good until_good good_above mass_page good_page z_max z_to_top z_to_run"),
)
_C = {name: index for index, name in enumerate(CONTEXT)}
_MEAN, _RUN, _BEST, _MASS = _C["mean_near"], _C["run_inside"], _C["best_inside"], _C["mass_before"]
_RELATIVE, _HEADING = _C["z_to_run"], AT["heading"]
_SEED = np.uint64(0x9E3779B97F4A7C15)
_CAP = 240.0  # bytes that one block counts for at most where verdicts are averaged


@njit(cache=True, inline="always")
def squash(z):
    return 0.5 + 0.5 * z / (1.0 + abs(z))


@njit(cache=True)
def _windows(weights, verdicts, out):
    """Weighted mean verdicts of the blocks around, the block itself left out."""
    count = len(weights)
    reach = 1
    for column in range(3):
        for b in range(count):
            mass = size = 0.0
            for other in range(max(b - reach, 0), min(b + reach + 1, count)):
                if other != b:
                    mass += weights[other] * verdicts[other]
                    size += weights[other]
            out[b, _MEAN + column] = mass / size if size else -1.0
        reach = 5 if column == 0 else 12


@njit(cache=True)
def _boxes(rows, elements, weights, verdicts, out):
    """Mean verdicts in three levels of ancestors, each holding more blocks than the one before."""
    sums = np.zeros((len(elements), 2), np.float64)
    for b in range(len(rows)):
        sums[rows[b, ELEMENT], 0] += weights[b] * verdicts[b]
        sums[rows[b, ELEMENT], 1] += weights[b]
    for e in range(len(elements) - 1, 0, -1):
        sums[elements[e, PARENT], 0] += sums[e, 0]
        sums[elements[e, PARENT], 1] += sums[e, 1]
    for b in range(len(rows)):
        e = rows[b, ELEMENT]
        held = 1
        for level in range(3):
            while e and elements[e, END] - elements[e, FIRST] <= held:
                e = elements[e, PARENT]
            held = elements[e, END] - elements[e, FIRST]
            size = sums[e, 1] - weights[b]
            out[b, _MEAN + 3 + level] = (sums[e, 0] - weights[b] * verdicts[b]) / size if size > 0.0 else -1.0


@njit(cache=True)
def _groups(rows, paths, kind, weights, verdicts, out):
    """Mean verdict of the other blocks with the same path."""
    count = len(rows)
    capacity = 16
    while capacity < 2 * count + 2:
        capacity *= 2
    keys = np.zeros(capacity, np.uint64)
    sums = np.zeros((capacity, 2), np.float64)
    places = np.zeros(count, np.int64)
    for b in range(count):
        key = paths[rows[b, ELEMENT], kind] | np.uint64(1)
        slot = (key * _SEED >> np.uint64(32)) & np.uint64(capacity - 1)
        while keys[slot] and keys[slot] != key:
            slot = (slot + np.uint64(1)) & np.uint64(capacity - 1)
        keys[slot] = key
        places[b] = slot
        sums[slot, 0] += weights[b] * verdicts[b]
        sums[slot, 1] += weights[b]
    for b in range(count):
        mass, size = sums[places[b]]
        size -= weights[b]
        out[b, _MEAN + 7 - kind] = (mass - weights[b] * verdicts[b]) / size if size > 0.0 else -1.0


@njit(cache=True)
def _sections(base, weights, verdicts, out):
    """Mean verdict from the heading before a block up to the next heading."""
    count = len(weights)
    start = 0
    while start < count:
        stop = start + 1
        while stop < count and base[stop, _HEADING] == 0:
            stop += 1
        mass = size = 0.0
        for b in range(start, stop):
            mass += weights[b] * verdicts[b]
            size += weights[b]
        for b in range(start, stop):
            rest = size - weights[b]
            out[b, _MEAN + 8] = (mass - weights[b] * verdicts[b]) / rest if rest > 0.0 else -1.0
        start = stop


@njit(cache=True)
def _run(weights, verdicts, out):
    """The run of blocks with the largest sum (Kadane) and where a block stands to it."""
    count = len(weights)
    best = current = total = 0.0
    first = end = start = 0
    for b in range(count):
        if current <= 0.0:
            current, start = 0.0, b
        value = weights[b] * (verdicts[b] - 0.5)
        current += value
        total += max(value, 0.0)
        if current > best:
            best, first, end = current, start, b + 1
    mass = size = 0.0
    for b in range(first, end):
        mass += weights[b] * verdicts[b]
        size += weights[b]
    for b in range(count):
        out[b, _RELATIVE] = verdicts[b] - (mass / size if size > 0.0 else 1.0)
        out[b, _RUN] = first <= b < end
        out[b, _RUN + 1] = max(first - b, 0)
        out[b, _RUN + 2] = max(b - end + 1, 0)
        out[b, _RUN + 3] = best / total if total > 0.0 else 0.0
        out[b, _RUN + 4] = (b - first) / max(end - first, 1)


@njit(cache=True)
def _element(rows, elements, weights, verdicts, out):
    """The element whose blocks have the largest sum, the innermost where several tie."""
    value = np.zeros(len(elements), np.float64)
    size = np.zeros(len(elements), np.float64)
    total = 0.0
    for b in range(len(rows)):
        gain = weights[b] * (verdicts[b] - 0.5)
        value[rows[b, ELEMENT]] += gain
        size[rows[b, ELEMENT]] += weights[b]
        total += max(gain, 0.0)
    for e in range(len(elements) - 1, 0, -1):
        value[elements[e, PARENT]] += value[e]
        size[elements[e, PARENT]] += size[e]
    best = 0
    for e in range(len(elements)):
        if value[e] >= value[best]:
            best = e
    above = np.zeros(len(elements), np.bool_)
    e = best
    above[e] = True
    while e:
        e = elements[e, PARENT]
        above[e] = True
    first, end = elements[best, FIRST], elements[best, END]
    for b in range(len(rows)):
        e, up = rows[b, ELEMENT], 0
        while not above[e]:
            e = elements[e, PARENT]
            up += 1
        out[b, _BEST] = first <= b < end
        out[b, _BEST + 1] = up
        out[b, _BEST + 2] = elements[best, DEPTH] - elements[e, DEPTH]
        out[b, _BEST + 3] = max(first - b, 0)
        out[b, _BEST + 4] = max(b - end + 1, 0)
        out[b, _BEST + 5] = value[best] / total if total > 0.0 else 0.0
        out[b, _BEST + 6] = value[best] / max(size[best], 1.0)
        out[b, _BEST + 7] = value[best]


@njit(cache=True)
def _masses(weights, verdicts, scores, out):
    """Accepted text before and after a block, and how far the nearest of it is."""
    count = len(weights)
    total = 0.0
    good = top = 0.0
    for b in range(count):
        total += weights[b] * verdicts[b]
        good += scores[b] > 0.0
        top = max(top, scores[b]) if b else scores[b]
    before = above = 0.0
    last = -100
    for b in range(count):
        row = out[b]
        row[_MASS] = before / max(total, 1.0)
        row[_MASS + 1] = (total - before - weights[b] * verdicts[b]) / max(total, 1.0)
        row[_MASS + 2] = min(b - last, 100)
        row[_MASS + 4] = above
        row[_MASS + 5] = total
        row[_MASS + 6] = good / count
        row[_MASS + 7] = top
        before += weights[b] * verdicts[b]
        if scores[b] > 0.0:
            last = b
            above += 1
        row[_MASS + 8] = scores[b] - top
    last = count + 100
    for b in range(count - 1, -1, -1):
        out[b, _MASS + 3] = min(last - b, 100)
        if scores[b] > 0.0:
            last = b


@njit(cache=True)
def fill_context(elements, paths, rows, base, scores, out):
    """Columns of `CONTEXT` into out (B, C) float32, from the first classifier's scores (B,)."""
    count = len(rows)
    weights = np.empty(count, np.float64)
    verdicts = np.empty(count, np.float64)
    for b in range(count):
        weights[b] = min(np.float64(base[b, 0]), _CAP) + 3.0
        verdicts[b] = squash(scores[b])
        out[b, 0] = scores[b]
        column = 1
        for offset in (-4, -3, -2, -1, 1, 2, 3, 4):
            other = b + offset
            out[b, column] = scores[other] if 0 <= other < count else -8.0
            column += 1
    _windows(weights, verdicts, out)
    _boxes(rows, elements, weights, verdicts, out)
    _groups(rows, paths, 1, weights, verdicts, out)
    _groups(rows, paths, 0, weights, verdicts, out)
    _sections(base, weights, verdicts, out)
    _run(weights, verdicts, out)
    _element(rows, elements, weights, verdicts, out)
    _masses(weights, verdicts, scores, out)
