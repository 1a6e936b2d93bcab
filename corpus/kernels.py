"""Numba kernels: columnar code points in, one row of signals a document out, no segmenter.

A batch is one uint32 array of code points with document offsets. A token is one Han (or Kana, Hangul) character or one
run of Latin letters and digits, so the same n-gram statistics are over characters in Chinese and over words in English.
n-grams are compared by 64-bit hashes: one false repetition in 10^13 pairs, for 0.11 ms a document in place of the
20 ms that a segmenter with string n-grams takes. The compiled code is cached beside this file.
"""

import numpy as np

from corpus.charclass import BAD, DIGIT, HAN, KANA, LATIN, PUNCTUATION, SPACE, SYMBOL
from runkit.compiled import njit

_SEED = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0x100000001B3)
_BASE = np.uint64(0xD6E8FEB86659FD93)
_NEWLINE = 10
# (c + 1)·log2(c + 1) − c·log2 c: what the (c + 1)-th occurrence adds.
_COUNTS = np.arange(1, 1026, dtype=np.float64)
_GAINS = np.diff(np.concatenate([[0.0], _COUNTS * np.log2(_COUNTS)]))
SHORT_LINE = 12  # visible characters; menu entries in Chinese lie below, and lines of verse end in punctuation


@njit(cache=True, inline="always")
def _step(value, code):
    value = (value ^ np.uint64(code)) * _PRIME
    return value ^ (value >> np.uint64(29))


@njit(cache=True, inline="always")
def _slot(keys, key, mask):
    """Where `key` stands in the table, or the free slot for it; 0 marks a free slot.

    `mask` is the table's size − 1 for the document at hand: a short one stays within the first kilobytes of the
    array, which the cache holds, and which are cleared in a microsecond before each use.
    """
    slot = (key * _SEED >> np.uint64(32)) & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True, inline="always")
def _contains(table, key):
    bits = 0
    while (1 << bits) < len(table):
        bits += 1
    slot = key * _SEED >> np.uint64(64 - bits)
    while table[slot] != 0 and table[slot] != key:
        slot = (slot + np.uint64(1)) & np.uint64(len(table) - 1)
    return np.int64(slot) if table[slot] == key else -1


@njit(cache=True)
def _count_characters(codes, classes, flags, fold, rank, pairs, common, row):
    """Shares of character classes, Han pairs, separators: columns 0 and 4–13, 17, 18."""
    counts = np.zeros(9, np.int64)
    separators = gaps = pairs_seen = pairs_frequent = rare = ends = 0
    before = before2 = 0
    for code in codes:
        kind = classes[code]
        counts[kind] += 1
        if flags[code] & 4:
            separators += 1
        if kind == HAN:
            place = np.int64(rank[fold[code]]) if code < 0x10000 else 0
            if place == 0:
                rare += 1
            if classes[before] == HAN:
                pairs_seen += 1
                other = np.int64(rank[fold[before]]) if before < 0x10000 else 0
                if place > 0 and other > 0:
                    bit = (other - 1) * common + place - 1
                    if pairs[bit >> 3] >> (7 - (bit & 7)) & 1:
                        pairs_frequent += 1
            elif before == 32 and classes[before2] == HAN:
                gaps += 1
        elif code in (0x3002, 0xFF01, 0xFF1F, 0xFF1B, 33, 63, 59) or (code == 46 and classes[before] == LATIN):
            ends += 1
        before2 = before
        before = code
    visible = len(codes) - counts[SPACE]
    total = max(visible, 1)
    row[0] = visible
    row[4] = counts[HAN] / total
    row[5] = counts[LATIN] / total
    row[6] = counts[DIGIT] / total
    row[7] = counts[PUNCTUATION] / total
    row[8] = counts[SYMBOL] / total
    row[9] = counts[KANA] / total
    row[10] = counts[BAD] / total
    row[11] = separators / total
    row[12] = gaps / max(counts[HAN], 1)
    row[13] = visible / (ends + 1)
    # Without pairs there is nothing to find fault with; 1 keeps such texts out of a minimum's way.
    row[16] = pairs_frequent / pairs_seen if pairs_seen else 1.0
    row[17] = rare / max(counts[HAN], 1)


@njit(cache=True)
def _tokenize(codes, classes, flags, fold, stop_words, tokens, widths, row):
    """Fill token hashes and widths (characters each); columns 2, 14, 15. Returns the number of tokens."""
    size = 0
    stops = words = word_chars = 0
    i = 0
    while i < len(codes):
        kind = classes[codes[i]]
        if kind == HAN or kind == KANA:
            code = codes[i]
            tokens[size] = _step(_SEED, fold[code] if code < 0x10000 else code)
            widths[size] = 1
            stops += (flags[code] >> 3) & 1
            size += 1
            i += 1
        elif kind == LATIN or kind == DIGIT:
            value = _SEED
            start = i
            while i < len(codes) and (classes[codes[i]] == LATIN or classes[codes[i]] == DIGIT):
                code = codes[i]
                value = _step(value, fold[code] if code < 0x10000 else code)
                i += 1
            tokens[size] = value
            widths[size] = i - start
            words += 1
            word_chars += i - start
            if i - start <= 4 and _contains(stop_words, value) >= 0:
                stops += 1
            size += 1
        else:
            i += 1
    row[2] = size
    row[14] = word_chars / max(words, 1)
    row[15] = stops / max(size, 1)
    return size


@njit(cache=True)
def _count_lines(codes, classes, flags, keys, mask, row):
    """Line and paragraph statistics: columns 1, 3, 20–28."""
    lines = ends = short = short_chars = bullets = ellipses = chars = 0
    dup_lines = dup_chars = paragraphs = dup_paragraphs = dup_paragraph_chars = 0
    line_hash, paragraph_hash = _SEED, _SEED
    width = paragraph_width = blank = 0
    first = last = 0
    dots = 0
    keys[: mask + np.uint64(1)] = 0
    for i in range(len(codes) + 1):
        code = codes[i] if i < len(codes) else np.uint32(_NEWLINE)
        if code != _NEWLINE:
            if classes[code] != SPACE:
                width += 1
                line_hash = _step(line_hash, code)
                if width == 1:
                    first = code
                last = code
                dots = dots + 1 if code == 46 or code == 0x2026 else 0
            continue
        if width:
            lines += 1
            chars += width
            ends += flags[last] & 1
            bullets += (flags[first] >> 1) & 1
            ellipses += 1 if (dots >= 3 or (dots >= 1 and last == 0x2026)) else 0
            if width < SHORT_LINE and classes[last] != PUNCTUATION:
                short += 1
                short_chars += width
            slot = _slot(keys, line_hash, mask)
            if keys[slot]:
                dup_lines += 1
                dup_chars += width
            keys[slot] = line_hash
            paragraph_hash = _step(paragraph_hash, line_hash)
            paragraph_width += width
        blank = (not width) or i >= len(codes)
        if blank and paragraph_width:
            paragraphs += 1
            slot = _slot(keys, ~paragraph_hash, mask)
            if keys[slot]:
                dup_paragraphs += 1
                dup_paragraph_chars += paragraph_width
            keys[slot] = ~paragraph_hash
            paragraph_hash, paragraph_width = _SEED, 0
        line_hash, width, dots = _SEED, 0, 0
    row[1] = lines
    row[3] = chars / max(lines, 1)
    row[20] = ends / max(lines, 1)
    row[21] = short / max(lines, 1)
    row[22] = short_chars / max(chars, 1)
    row[23] = bullets / max(lines, 1)
    row[24] = ellipses / max(lines, 1)
    row[25] = dup_lines / max(lines, 1)
    row[26] = dup_chars / max(chars, 1)
    row[27] = dup_paragraphs / max(paragraphs, 1)
    row[28] = dup_paragraph_chars / max(chars, 1)


@njit(cache=True)
def _count_ngrams(tokens, widths, size, prefix, places, keys, counts, mask, row):
    """Top 2–4-gram and duplicate 5–10-gram shares of the token characters: columns 18, 19, 29–37."""
    prefix[0] = 0
    places[0] = 0
    for i in range(size):
        prefix[i + 1] = prefix[i] * _BASE + tokens[i]
        places[i + 1] = places[i] + widths[i]
    total = max(places[size], 1)
    distinct = 0
    entropy = 0.0
    used = mask + np.uint64(1)
    keys[:used] = 0
    for i in range(size):
        slot = _slot(keys, tokens[i], mask)
        if not keys[slot]:
            keys[slot], counts[slot] = tokens[i], 0
            distinct += 1
        # Σ c·log2 c is built one occurrence at a time, which spares a second pass over the table; logarithms are
        # looked up, for they were a third of the kernel's time.
        c = counts[slot]
        entropy += _GAINS[c] if c < len(_GAINS) else (c + 1) * np.log2(c + 1.0) - c * np.log2(float(c))
        counts[slot] = c + 1
    row[18] = distinct / max(size, 1)
    row[19] = np.log2(float(size)) - entropy / size if size else 0.0
    power = _BASE
    repeated = True
    for n in range(2, 11):
        if not repeated:
            break  # no n-gram comes twice, so no longer one does
        power = power * _BASE
        keys[:used] = 0
        best = 0
        i = 0
        while i + n <= size:
            key = prefix[i + n] - prefix[i] * power
            slot = _slot(keys, key, mask)
            width = places[i + n] - places[i]
            if not keys[slot]:
                keys[slot], counts[slot] = key, 1
                i += 1
            elif n <= 4:
                counts[slot] += 1
                best = max(best, counts[slot] * width)
                i += 1
            else:
                # As Gopher counts: a duplicate's characters once, then on behind it.
                best += width
                i += n
        row[27 + n] = min(best / total, 1.0)
        repeated = best > 0


@njit(cache=True)
def _count_terms(codes, fold, lexicon_keys, lexicon_ids, lexicon_first, row):
    """Distinct terms of the word lists for each 1,000 visible characters: columns 38, 39.

    A report on a crime repeats one term twenty times; a page of spam has many terms.
    """
    hits = np.zeros(3, np.int64)
    seen = np.zeros(len(lexicon_keys), np.uint8)
    for i in range(len(codes)):
        code = codes[i]
        if code >= 0x10000 or not lexicon_first[fold[code]]:
            continue
        value = _SEED
        for width in range(min(lexicon_first[fold[code]], len(codes) - i)):
            following = codes[i + width]
            value = _step(value, fold[following] if following < 0x10000 else following)
            slot = _contains(lexicon_keys, value)
            if slot >= 0 and not seen[slot]:
                seen[slot] = 1
                hits[lexicon_ids[slot]] += 1
    row[38] = 1000.0 * hits[1] / max(row[0], 1.0)
    row[39] = 1000.0 * hits[2] / max(row[0], 1.0)


@njit(cache=True)
def _capacity(length):
    """Slots for `length` entries at a load of at most a half."""
    capacity = 16
    while capacity < 2 * (length + 2):
        capacity *= 2
    return capacity


@njit(cache=True)
def measure(codes, offsets, classes, flags, fold, rank, pairs, stop_words, lexicon_keys, lexicon_ids, lexicon_first):
    """Signals of a batch: codes (N,) uint32, offsets (D + 1,) int64 → (D, 40) float32, as in `corpus.signals`."""
    documents = len(offsets) - 1
    out = np.zeros((documents, 40), np.float32)
    longest = 1
    for d in range(documents):
        longest = max(longest, offsets[d + 1] - offsets[d])
    capacity = _capacity(longest)
    keys = np.zeros(capacity, np.uint64)
    counts = np.zeros(capacity, np.int32)
    tokens = np.zeros(longest, np.uint64)
    widths = np.zeros(longest, np.int32)
    prefix = np.zeros(longest + 1, np.uint64)
    places = np.zeros(longest + 1, np.int64)
    common = 0
    for place in rank:
        common = max(common, place)
    for d in range(documents):
        text = codes[offsets[d] : offsets[d + 1]]
        row = out[d]
        mask = np.uint64(_capacity(len(text)) - 1)
        _count_characters(text, classes, flags, fold, rank, pairs, common, row)
        size = _tokenize(text, classes, flags, fold, stop_words, tokens, widths, row)
        _count_lines(text, classes, flags, keys, mask, row)
        _count_ngrams(tokens, widths, size, prefix, places, keys, counts, mask, row)
        _count_terms(text, fold, lexicon_keys, lexicon_ids, lexicon_first, row)
    return out
