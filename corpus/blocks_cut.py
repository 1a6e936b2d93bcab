"""Numba kernel: HTML as lexbor writes it in, elements and blocks of text out.

Serialised by the parser the markup is well-formed (every attribute in double quotes, every `<` in a text escaped),
so one pass over the bytes replaces a walk over the DOM from Python, which costs 2 µs a node. A block is the text
between two edges of block-level elements or line breaks: white space folded, entities decoded, in one byte buffer.
About 3 ns a byte.
"""

import numpy as np
from numba import njit

from corpus.blocks_attributes import is_space, take_attributes
from corpus.blocks_tables import BLOCK, BOLD, BREAK, CODE, IMAGE, LINK, PRE, RAW, SKIP, VOID
from corpus.kernels import _contains, _step

_SEED = np.uint64(0x9E3779B97F4A7C15)
# Columns of an element.
TAG, PARENT, DEPTH, FIRST, END, SPAN = range(6)  # SPAN: of a cell, as in `blocks_attributes`
# Columns of a block.
ELEMENT, START, STOP, LINKS, LINK_BYTES, BOLD_BYTES, IMAGES, AFTER_BREAK, INLINE, LINK_FIRST, LINK_LAST = range(11)
BLOCK_COLUMNS = 11
# The state of the cutter.
_AT, _SIZE, _BLOCKS, _ELEMENTS, _STACK, _LINK, _BOLD, _PRE, _SKIP, _SPACE, _BEGIN, _VISIBLE, _BROKEN = range(13)
_IMAGES, _LINKS, _LINK_BYTES, _BOLD_BYTES, _INLINE, _LINK_FIRST, _LINK_LAST = range(13, 20)
_STATE = 20
# Columns of the stack of open tags: kind, block element below, whether it opened a link.
_KIND, _ELEMENT = range(2)


@njit(cache=True)
def _flush(state, blocks, element, text):
    """End the block at hand; nothing is recorded of white space."""
    if state[_VISIBLE]:
        row = blocks[state[_BLOCKS]]
        stop = state[_SIZE]
        while stop > state[_BEGIN] and is_space(text[stop - 1]):
            stop -= 1
        row[ELEMENT] = element
        row[START] = state[_BEGIN]
        row[STOP] = stop
        row[LINKS] = state[_LINKS]
        row[LINK_BYTES] = state[_LINK_BYTES]
        row[BOLD_BYTES] = state[_BOLD_BYTES]
        row[IMAGES] = state[_IMAGES]
        row[AFTER_BREAK] = state[_BROKEN]
        row[INLINE] = state[_INLINE]
        row[LINK_FIRST] = state[_LINK_FIRST]
        row[LINK_LAST] = state[_LINK_LAST]
        state[_BLOCKS] += 1
        state[_IMAGES] = 0
        state[_SIZE] = stop
    else:
        state[_SIZE] = state[_BEGIN]
    state[_BEGIN] = state[_SIZE]
    state[_VISIBLE] = state[_SPACE] = state[_LINK_BYTES] = state[_BOLD_BYTES] = state[_BROKEN] = state[_INLINE] = 0
    state[_LINKS] = 1 if state[_LINK] else 0


@njit(cache=True, inline="always")
def _put(state, text, byte):
    text[state[_SIZE]] = byte
    state[_SIZE] += 1
    linked = state[_LINK] > 0
    if state[_VISIBLE] == 0:
        state[_LINK_FIRST] = linked
    state[_LINK_LAST] = linked
    state[_VISIBLE] += 1
    state[_LINK_BYTES] += linked
    if state[_BOLD]:
        state[_BOLD_BYTES] += 1


@njit(cache=True, inline="always")
def _entity(source, at):
    """The byte that `&…;` at `at` stands for, and its length; nbsp is a space."""
    n = len(source)
    if at + 3 < n and source[at + 2] == 116 and source[at + 3] == 59:  # &lt; &gt;
        return (60 if source[at + 1] == 108 else 62), 4
    if at + 4 < n and source[at + 1] == 97 and source[at + 4] == 59:  # &amp;
        return 38, 5
    if at + 5 < n and source[at + 5] == 59:
        return (32 if source[at + 1] == 110 else 34), 6  # &nbsp; &quot;
    return 38, 1


@njit(cache=True)
def _take_text(state, source, text):
    """Text up to the next tag into the buffer."""
    i = state[_AT]
    n = len(source)
    pre = state[_PRE] > 0
    while i < n and source[i] != 60:
        c = np.int64(source[i])
        width = 1
        if c == 38:
            c, width = _entity(source, i)
        elif c == 0xE3 and i + 2 < n and source[i + 1] == 0x80 and source[i + 2] == 0x80 and not pre:
            c, width = 32, 3  # the ideographic space
        elif c == 0xC2 and i + 1 < n and source[i + 1] == 0xA0:
            c, width = 32, 2
        i += width
        if is_space(c):
            if not pre:
                state[_SPACE] = 1
                continue
            text[state[_SIZE]] = 32 if c == 13 or c == 12 else c
            state[_SIZE] += 1
            continue
        if state[_SPACE]:
            if state[_VISIBLE]:
                text[state[_SIZE]] = 32
                state[_SIZE] += 1
            state[_SPACE] = 0
        _put(state, text, c)
    state[_AT] = i


@njit(cache=True)
def _find_close(source, at, name):
    """Where the closing tag of the raw text element `name` (its bytes) begins, or the end."""
    n, width = len(source), len(name)
    for i in range(at, n - width - 1):
        if source[i] == 60 and source[i + 1] == 47:
            same = True
            for j in range(width):
                if source[i + 2 + j] != name[j]:
                    same = False
                    break
            if same:
                return i
    return n


@njit(cache=True)
def _open(state, source, text, tags, tables, stack, names, elements, hints, paths, blocks, markdown):
    """An opening tag at the cursor."""
    tag_keys, tag_ids, tag_kinds, tag_bits = tags
    n = len(source)
    start = at = state[_AT] + 1
    name = _SEED
    while at < n and source[at] != 62 and source[at] != 47 and not is_space(source[at]):
        name = _step(name, source[at])
        at += 1
    stop = at
    slot = _contains(tag_keys, name)
    tag = tag_ids[slot] if slot >= 0 else 0
    kind = tag_kinds[tag]
    at, hint, look, span = take_attributes(source, at, tables)
    current = stack[state[_STACK], _ELEMENT]
    state[_AT] = at
    if kind & VOID:
        if state[_SKIP]:
            return
        if kind & BREAK:
            if state[_PRE]:
                text[state[_SIZE]] = 10
                state[_SIZE] += 1
            else:
                _flush(state, blocks, current, text)
                state[_BROKEN] = 1
        elif kind & IMAGE:
            state[_IMAGES] += 1
        return
    if kind & RAW:
        close = _find_close(source, at, source[start:stop])
        while close < n and source[close] != 62:
            close += 1
        state[_AT] = close + 1
        return
    if kind & BLOCK and not state[_SKIP]:
        _flush(state, blocks, current, text)
        index = state[_ELEMENTS]
        row = elements[index]
        row[TAG] = tag
        row[PARENT] = current
        row[DEPTH] = elements[current, DEPTH] + 1 if index else 0
        row[FIRST] = state[_BLOCKS]
        row[SPAN] = span
        hints[index] = hint | tag_bits[tag]
        paths[index, 0] = _step(paths[current, 0] if index else _SEED, tag)
        paths[index, 1] = _step(_step(paths[current, 1] if index else _SEED, tag), look)
        state[_ELEMENTS] += 1
        current = index
    elif not state[_SKIP]:
        state[_INLINE] += 1
        if kind & CODE and markdown and not state[_PRE]:
            _quote(state, text)
    state[_STACK] += 1
    names[state[_STACK]] = name
    stack[state[_STACK], _KIND] = kind
    stack[state[_STACK], _ELEMENT] = current
    _count(state, kind, 1)
    if kind & LINK:
        state[_LINKS] += 1


@njit(cache=True)
def _quote(state, text):
    """The backtick around inline code."""
    if state[_SPACE] and state[_VISIBLE]:
        text[state[_SIZE]] = 32
        state[_SIZE] += 1
    state[_SPACE] = 0
    _put(state, text, 96)


@njit(cache=True, inline="always")
def _count(state, kind, step):
    if kind & LINK:
        state[_LINK] += step
    if kind & BOLD:
        state[_BOLD] += step
    if kind & PRE:
        state[_PRE] += step
    if kind & SKIP:
        state[_SKIP] += step


@njit(cache=True)
def _close(state, source, text, stack, names, elements, blocks, markdown):
    """A closing tag at the cursor; one that closes nothing is passed over."""
    n = len(source)
    at = state[_AT] + 2
    name = _SEED
    while at < n and source[at] != 62:
        name = _step(name, source[at])
        at += 1
    state[_AT] = at + 1
    top = state[_STACK]
    if top == 0 or names[top] != name:
        return
    kind = stack[top, _KIND]
    current = stack[top, _ELEMENT]
    if not state[_SKIP]:
        if kind & BLOCK:
            _flush(state, blocks, current, text)
            elements[current, END] = state[_BLOCKS]
        elif kind & CODE and markdown and not state[_PRE]:
            _put(state, text, 96)
    _count(state, kind, -1)
    state[_STACK] -= 1


@njit(cache=True)
def cut(source, tags, tables, stack, names, elements, hints, paths, blocks, text, markdown):
    """Fill elements (E, 6), hints (E,), paths (E, 2), blocks (B, 11), text; returns how many of each.

    Sizes that are always enough: as many rows as the source has `<`, plus two; as many bytes as it has, plus two for
    each tag. Element 0 stands for the document.
    """
    state = np.zeros(_STATE, np.int64)
    state[_ELEMENTS] = 1
    hints[0] = 0
    paths[0] = _SEED
    elements[0] = 0
    stack[0] = 0
    n = len(source)
    while state[_AT] < n:
        at = state[_AT]
        if source[at] != 60:
            if state[_SKIP]:
                while state[_AT] < n and source[state[_AT]] != 60:
                    state[_AT] += 1
            else:
                _take_text(state, source, text)
            continue
        following = source[at + 1] if at + 1 < n else 0
        if following == 47:
            _close(state, source, text, stack, names, elements, blocks, markdown)
        elif 97 <= following <= 122 or 65 <= following <= 90:
            _open(state, source, text, tags, tables, stack, names, elements, hints, paths, blocks, markdown)
        else:
            _pass_over(state, source)
    _flush(state, blocks, stack[state[_STACK], _ELEMENT], text)
    for top in range(state[_STACK], -1, -1):
        elements[stack[top, _ELEMENT], END] = state[_BLOCKS]
    return state[_ELEMENTS], state[_BLOCKS], state[_SIZE]


@njit(cache=True)
def _pass_over(state, source):
    """A comment, a doctype, or a stray `<`."""
    n = len(source)
    at = state[_AT]
    if at + 3 < n and source[at + 1] == 33 and source[at + 2] == 45 and source[at + 3] == 45:
        at += 4
        while at < n and not (source[at] == 62 and source[at - 1] == 45 and source[at - 2] == 45):
            at += 1
    else:
        while at < n and source[at] != 62:
            at += 1
    state[_AT] = at + 1
