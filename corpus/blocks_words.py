"""Numba kernels: the wording of a block as hashed n-grams, and a linear model's opinion of it.

Pairs and triples of Han characters (simplified), single and paired words of other scripts, and the block's first and
last pieces once more by their place: `相关` opens a list of links, `(完)` closes an article. Weights are learnt
(bench/fit_extract.py), one small integer for each of 2^14 buckets. About 8 ns a byte.
"""

import numpy as np
from numba import njit

from corpus.blocks_cut import START, STOP
from corpus.blocks_text import decode_at
from corpus.charclass import DIGIT, HAN, KANA, LATIN, SPACE
from corpus.kernels import _step

BUCKETS = 1 << 14
_SHIFT = np.uint64(64 - 14)
_SEED = np.uint64(0x9E3779B97F4A7C15)
MAX_GRAMS = 600  # of one block; its beginning says what it is
_EDGE = 3  # pieces at either end that are seen by their place too
_MANY = 512


@njit(cache=True)
def _pieces(text, start, stop, classes, fold, pieces, kinds):
    """A block as tokens: a Han character, a word, a number (all numbers alike by length) or a sign. How many."""
    size = 0
    word, width, digits = _SEED, 0, True
    at = start
    while at < stop and size < _MANY - 1:
        code, at = decode_at(text, at, stop)
        kind = classes[code]
        folded = np.int64(fold[code]) if code < 0x10000 else code
        if kind == LATIN or kind == DIGIT:
            digits = digits and kind == DIGIT
            word = _step(word, folded)
            width += 1
            continue
        if width:
            pieces[size] = _step(_SEED, np.uint64(min(width, 5))) if digits else word
            kinds[size] = 1
            size += 1
            word, width, digits = _SEED, 0, True
        if kind != SPACE and size < _MANY - 1:
            pieces[size] = _step(_SEED, folded)
            kinds[size] = 0 if kind == HAN or kind == KANA else 2
            size += 1
    if width:
        pieces[size] = _step(_SEED, np.uint64(min(width, 5))) if digits else word
        kinds[size] = 1
        size += 1
    return size


@njit(cache=True)
def grams(text, start, stop, classes, fold, pieces, kinds, out):
    """Buckets of a block's n-grams into out (MAX_GRAMS,); returns how many."""
    size = _pieces(text, start, stop, classes, fold, pieces, kinds)
    count = 0
    for i in range(size):
        if count > MAX_GRAMS - 4:
            break
        if kinds[i] == 1:
            out[count] = pieces[i] * _SEED >> _SHIFT
            count += 1
        if i + 1 < size:
            pair = _step(pieces[i], pieces[i + 1])
            out[count] = pair * _SEED >> _SHIFT
            count += 1
            if i + 2 < size and kinds[i] == 0:
                out[count] = _step(pair, pieces[i + 2]) * _SEED >> _SHIFT
                count += 1
    count = min(count, MAX_GRAMS - 4 * _EDGE)
    first = last = _step(_SEED, 1)
    last = _step(_SEED, 2)
    for i in range(min(_EDGE, size)):
        first = _step(first, pieces[i])
        last = _step(last, pieces[size - 1 - i])
        out[count] = first * _SEED >> _SHIFT
        out[count + 1] = last * _SEED >> _SHIFT
        count += 2
    return count


@njit(cache=True)
def score_words(text, rows, classes, fold, weights, bias, out):
    """The linear model's score of each block: Σ weights / √(number of n-grams) + bias, into out (B,) float64."""
    pieces = np.empty(_MANY, np.uint64)
    kinds = np.empty(_MANY, np.int64)
    found = np.empty(MAX_GRAMS, np.int64)
    for b in range(len(rows)):
        count = grams(text, rows[b, START], rows[b, STOP], classes, fold, pieces, kinds, found)
        total = 0
        for i in range(count):
            total += np.int64(weights[found[i]])
        out[b] = total / np.sqrt(np.float64(max(count, 1))) + bias


@njit(cache=True)
def collect(text, rows, classes, fold, buckets, offsets):
    """The buckets of all blocks, for fitting: offsets (B + 1,); returns how many were written."""
    pieces = np.empty(_MANY, np.uint64)
    kinds = np.empty(_MANY, np.int64)
    found = np.empty(MAX_GRAMS, np.int64)
    size = 0
    for b in range(len(rows)):
        count = grams(text, rows[b, START], rows[b, STOP], classes, fold, pieces, kinds, found)
        for i in range(count):
            buckets[size + i] = found[i]
        size += count
        offsets[b + 1] = size
    return size
