"""Numba kernels: what an opening tag's attributes say of the element.

In: the bytes behind a tag's name. Out: hints as bits (from class, id, role, itemprop, style and hidden), a hash of the
class without its digits, by which elements of one kind are known, and how many columns and rows a cell spans.
"""

import numpy as np
from numba import njit

from corpus.blocks_tables import HINT
from corpus.kernels import _contains, _step

_SEED = np.uint64(0x9E3779B97F4A7C15)
_HIDDEN = np.uint64(1 << HINT["hidden"])
_NAME_CLASS, _NAME_ID, _NAME_ROLE, _NAME_STYLE, _NAME_ITEMPROP, _NAME_HIDDEN, _NAME_COLSPAN, _NAME_ROWSPAN = range(1, 9)
SPAN_ROWS = 256  # a span is its columns and so many times its rows
_MOST_SPAN = 100


@njit(cache=True, inline="always")
def is_space(c):
    return c == 32 or c == 10 or c == 9 or c == 13 or c == 12


@njit(cache=True)
def _words(source, start, stop, keys, bits):
    """Hints of the words in an attribute: cut at all but letters, and before a capital."""
    found = np.uint64(0)
    value, width, lower = _SEED, 0, False
    for i in range(start, stop + 1):
        c = np.int64(source[i]) if i < stop else 32
        capital = 65 <= c <= 90
        letter = capital or 97 <= c <= 122
        if width and (not letter or (capital and lower)):
            slot = _contains(keys, value)
            if slot >= 0:
                found |= bits[slot]
            value, width = _SEED, 0
        if letter:
            value = _step(value, c + 32 if capital else c)
            width += 1
        lower = letter and not capital
    return found


@njit(cache=True)
def _words_whole(source, start, stop, keys, bits):
    """Hints of an attribute's value, cut at white space alone."""
    found = np.uint64(0)
    value, width = _SEED, 0
    for i in range(start, stop + 1):
        c = np.int64(source[i]) if i < stop else 32
        if c == 32:
            if width:
                slot = _contains(keys, value)
                if slot >= 0:
                    found |= bits[slot]
            value, width = _SEED, 0
        else:
            value = _step(value, c + 32 if 65 <= c <= 90 else c)
            width += 1
    return found


@njit(cache=True)
def _is_hidden(source, start, stop):
    """Whether a style attribute says `display: none`."""
    for i in range(start, stop - 8):
        if source[i] == 105 and source[i + 1] == 115 and source[i + 2] == 112 and source[i + 3] == 108:  # ispl
            j = i + 6
            while j < stop and (source[j] == 58 or source[j] == 32):
                j += 1
            return j + 3 < stop and source[j] == 110 and source[j + 1] == 111 and source[j + 2] == 110
    return False


@njit(cache=True, inline="always")
def _attribute(source, start, stop):
    """Which of the attributes that matter the name is, by first letter and length; 0 for the others."""
    width = stop - start
    first = source[start]
    if width == 5:
        if first == 99 and source[start + 1] == 108:
            return _NAME_CLASS
        if first == 115 and source[start + 2] == 121:
            return _NAME_STYLE
    if width == 7 and source[start + 3] == 115 and source[start + 4] == 112:  # …sp…
        if first == 99:
            return _NAME_COLSPAN
        if first == 114:
            return _NAME_ROWSPAN
    if width == 2 and first == 105:
        return _NAME_ID
    if width == 4 and first == 114 and source[start + 1] == 111:
        return _NAME_ROLE
    if width == 8 and first == 105 and source[start + 1] == 116:
        return _NAME_ITEMPROP
    if width == 6 and first == 104 and source[start + 1] == 105:
        return _NAME_HIDDEN
    return 0


@njit(cache=True)
def _number(source, start, stop):
    """The whole number that a value begins with, 1 at least and not beyond what tables hold."""
    value = 0
    for i in range(start, stop):
        if not 48 <= source[i] <= 57:
            break
        value = min(10 * value + source[i] - 48, _MOST_SPAN)
    return max(value, 1)


@njit(cache=True)
def take_attributes(source, at, tables):
    """Behind a tag's name: position behind its `>`, its hints, a hash of its class, and what it spans."""
    word_keys, word_bits, role_keys, role_bits = tables
    n = len(source)
    hints = np.uint64(0)
    look = np.uint64(0)
    columns, rows = 1, 1
    while at < n and source[at] != 62:
        if is_space(source[at]) or source[at] == 47:
            at += 1
            continue
        start = at
        while at < n and source[at] != 61 and source[at] != 62 and not is_space(source[at]):
            at += 1
        which = _attribute(source, start, at)
        begin = stop = at
        if at + 1 < n and source[at] == 61 and source[at + 1] == 34:
            begin = stop = at + 2
            while stop < n and source[stop] != 34:
                stop += 1
            at = stop + 1
        elif at < n and source[at] == 61:
            at += 1
        if which == _NAME_CLASS:
            look = _SEED
            for i in range(begin, stop):
                if not 48 <= source[i] <= 57:  # post-1 and post-2 look alike
                    look = _step(look, source[i])
        if which == _NAME_CLASS or which == _NAME_ID:
            hints |= _words(source, begin, stop, word_keys, word_bits)
        elif which == _NAME_ROLE or which == _NAME_ITEMPROP:
            hints |= _words_whole(source, begin, stop, role_keys, role_bits)
        elif which == _NAME_HIDDEN or (which == _NAME_STYLE and _is_hidden(source, begin, stop)):
            hints |= _HIDDEN
        elif which == _NAME_COLSPAN:
            columns = _number(source, begin, stop)
        elif which == _NAME_ROWSPAN:
            rows = _number(source, begin, stop)
    return at + 1, hints, look, columns + SPAN_ROWS * rows
