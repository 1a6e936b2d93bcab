"""Numba kernels over lines and paragraphs: where they lie, what they hash to, which come in many documents.

A line's hash is over its visible characters, so indentation and spaces do not count. A paragraph is what lies between
blank lines; in a text without any, each line is one. What is shielded (a code block) is neither.
"""

import numpy as np

from corpus.charclass import PUNCTUATION, SPACE
from runkit.compiled import njit

_NEWLINE = 10
_SEED = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0x9FB21C651E98DF25)


@njit(cache=True, inline="always")
def _final(value):
    value ^= value >> np.uint64(32)
    value *= np.uint64(0xD6E8FEB86659FD93)
    return value ^ (value >> np.uint64(32))


@njit(cache=True)
def _blank_between(codes, classes, begin, end):
    """Whether a blank line stands between two lines of the document."""
    seen = blank = False
    width = 0
    for i in range(begin, end + 1):
        if i == end or codes[i] == _NEWLINE:
            if width and blank:
                return True
            seen = seen or width > 0
            blank = seen and width == 0
            width = 0
        elif classes[codes[i]] != SPACE:
            width += 1
    return False


@njit(cache=True)
def find_pieces(codes, offsets, classes, shield, least_line, least_paragraph):
    """Lines and paragraphs of D documents.

    Returns (document, start, stop, hash) of the lines with at least `least_line` visible characters, and the same of
    the paragraphs with `least_paragraph`. Places count through the batch. A line is shielded when its first code is;
    then its paragraph is too.
    """
    most = len(offsets)
    for code in codes:
        most += code == _NEWLINE
    lines = (np.empty(most, np.int32), np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64))
    blocks = (np.empty(most, np.int32), np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64))
    line_count = block_count = 0
    for d in range(len(offsets) - 1):
        begin, end = offsets[d], offsets[d + 1]
        by_line = not _blank_between(codes, classes, begin, end)
        width = 0
        start = begin  # of the line
        value = _SEED
        first_of_block, end_of_block, block_width, block_value = begin, begin, 0, _SEED
        block_open = block_shielded = False
        for i in range(begin, end + 1):
            if i < end and codes[i] != _NEWLINE:
                code = codes[i]
                if classes[code] != SPACE:
                    width += 1
                    value = (value ^ np.uint64(code)) * _PRIME
                    value ^= value >> np.uint64(29)
                continue
            shielded = start < end and shield[start] != 0
            if width:
                if width >= least_line and not shielded:
                    lines[0][line_count], lines[1][line_count], lines[2][line_count] = d, start, i
                    lines[3][line_count] = _final(value)
                    line_count += 1
                if not block_open:
                    block_open, block_shielded = True, False
                    first_of_block, block_width, block_value = start, 0, _SEED
                block_shielded = block_shielded or shielded
                end_of_block, block_width = i, block_width + width
                block_value = (block_value ^ value) * _PRIME
                block_value ^= block_value >> np.uint64(29)
            if block_open and (by_line or width == 0 or i == end):
                if block_width >= least_paragraph and not block_shielded:
                    blocks[0][block_count], blocks[1][block_count] = d, first_of_block
                    blocks[2][block_count], blocks[3][block_count] = end_of_block, _final(block_value)
                    block_count += 1
                block_open = False
            start, width, value = i + 1, 0, _SEED
    return (
        (lines[0][:line_count], lines[1][:line_count], lines[2][:line_count], lines[3][:line_count]),
        (blocks[0][:block_count], blocks[1][:block_count], blocks[2][:block_count], blocks[3][:block_count]),
    )


@njit(cache=True)
def measure_quality(codes, offsets, classes):
    """How good a text each of D documents is: its visible characters, half of them for lines that end in no
    punctuation but for one, the headline. (D,) float32."""
    quality = np.zeros(len(offsets) - 1, np.float32)
    for d in range(len(offsets) - 1):
        visible = whole = ends = width = 0
        last = np.uint8(SPACE)  # class of the last visible character of the line
        for i in range(offsets[d], offsets[d + 1]):
            if codes[i] == _NEWLINE:
                visible, whole, ends = visible + width, whole + (width > 0), ends + (last == PUNCTUATION)
                width, last = 0, np.uint8(SPACE)
            else:
                kind = classes[codes[i]]
                width += kind != SPACE
                last = kind if kind != SPACE else last
        visible, whole, ends = visible + width, whole + (width > 0), ends + (last == PUNCTUATION)
        quality[d] = visible * (0.5 + 0.5 * min(ends + 1, max(whole, 1)) / max(whole, 1))
    return quality


@njit(cache=True)
def count_documents(hashes, order, documents, least):
    """Of pieces that `order` sorts by hash, then document: the hashes that stand in `least` documents or more.

    Returns their hash, the number of documents and of pieces, and the first piece, each (R,).
    """
    most = len(order) // max(least, 1) + 1
    keys, counts = np.empty(most, np.uint64), np.empty(most, np.int32)
    pieces, first = np.empty(most, np.int64), np.empty(most, np.int64)
    size = begin = 0
    while begin < len(order):
        end, count = begin + 1, 1
        while end < len(order) and hashes[order[end]] == hashes[order[begin]]:
            count += documents[order[end]] != documents[order[end - 1]]
            end += 1
        if count >= least:
            keys[size], counts[size], pieces[size], first[size] = hashes[order[begin]], count, end - begin, order[begin]
            size += 1
        begin = end
    return keys[:size], counts[:size], pieces[:size], first[:size]


@njit(cache=True, inline="always")
def _ends_twice(texts, first, size, skipped):
    """Whether one more newline behind what was cut would say again what stands before it."""
    if size == first:
        return True
    if texts[size - 1] != _NEWLINE:
        return False
    return skipped == 0 or size - 1 == first or texts[size - 2] == _NEWLINE


@njit(cache=True)
def take_out(codes, offsets, document, start, stop, texts, new_offsets):
    """Copy the codes of each document but for its spans (ascending, apart). A span that takes whole lines takes the
    newline behind them along, so no blank line is left where text was cut. Fills `texts`, `new_offsets`; the length."""
    size = span = 0
    for d in range(len(offsets) - 1):
        begin, end = offsets[d], offsets[d + 1]
        first = size
        at = begin
        while span < len(document) and document[span] == d:
            for i in range(at, start[span]):
                texts[size] = codes[i]
                size += 1
            at = stop[span]
            # A line goes with its newline, a paragraph with the blank line behind it too.
            while at < end and codes[at] == _NEWLINE and _ends_twice(texts, first, size, at - stop[span]):
                at += 1
            span += 1
        for i in range(at, end):
            texts[size] = codes[i]
            size += 1
        while size > first and texts[size - 1] == _NEWLINE and codes[end - 1] != _NEWLINE:
            size -= 1
        new_offsets[d + 1] = size
    return size


@njit(cache=True)
def paint(mask, start, stop, colour):
    """Colour what has no colour yet."""
    for s in range(len(start)):
        for i in range(start[s], stop[s]):
            if mask[i] == 0:
                mask[i] = colour


@njit(cache=True)
def count_colours(mask, offsets, colours):
    """How many characters of each document have each colour: (D, colours)."""
    found = np.zeros((len(offsets) - 1, colours), np.int64)
    for d in range(len(offsets) - 1):
        for i in range(offsets[d], offsets[d + 1]):
            found[d, mask[i]] += 1
    return found


@njit(cache=True)
def coloured_spans(mask, offsets):
    """Stretches with any colour, none across two documents: document, start, stop."""
    size = 0
    for i in range(len(mask)):
        size += mask[i] != 0 and (i == 0 or mask[i - 1] == 0)
    size += len(offsets)
    document, start, stop = np.empty(size, np.int32), np.empty(size, np.int64), np.empty(size, np.int64)
    size = 0
    for d in range(len(offsets) - 1):
        open_ = False
        for i in range(offsets[d], offsets[d + 1]):
            if mask[i] and not open_:
                document[size], start[size] = d, i
                size += 1
            open_ = mask[i] != 0
            if open_:
                stop[size - 1] = i + 1
    return document[:size], start[:size], stop[:size]
