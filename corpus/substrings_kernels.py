"""Numba kernels of the search for exact substrings: anchors, windows, groups, spans.

A window is `length` characters within one document. Of its k-mers the one with the least hash, the leftmost of equals,
is its anchor: it depends on the window's text alone, so equal windows have equal anchors at equal places (winnowing,
Schleimer et al. 2003). With k = length // 2 every thirteenth k-mer is one. A code of 0 is a wall: no window holds one.
"""

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from runkit.compiled import njit

_BASE = np.uint64(0x9FB21C651E98DF25)


@intrinsic
def _pointer(typingctx, address):
    """The number of an address as a pointer to code points."""

    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint32)(address), codegen


@njit(cache=True, inline="always")
def _mix(value):
    value ^= value >> np.uint64(32)
    value *= np.uint64(0xD6E8FEB86659FD93)
    return value ^ (value >> np.uint64(32))


@njit(cache=True)
def _power(exponent):
    value = np.uint64(1)
    for _ in range(exponent):
        value *= _BASE
    return value


@njit(cache=True)
def slot_of(keys, key):
    """The slot of `key` in an open-addressing table of 2^n slots in which 0 is empty, or the empty one for it."""
    mask = np.uint64(len(keys) - 1)
    slot = _mix(key) & mask
    while keys[slot] and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True)
def hash_table(values):
    """A table of the values, none of which is 0, at a load of at most a half."""
    size = 16
    while size < 2 * len(values):
        size *= 2
    keys = np.zeros(size, np.uint64)
    for value in values:
        keys[slot_of(keys, value)] = value
    return keys


@njit(cache=True, nogil=True)
def scan(codes, offsets, length, table, number, passes, first_document, hashes, places, documents):
    """One walk over a part. Without a `table` it collects anchors, with one the windows whose anchor is in it.

    `hashes`, and for windows `places` (of their first character) and `documents`, are filled as far as they reach with
    what falls to pass `number` of `passes`; returns how many there were.
    """
    k = max(1, length // 2)
    w = length - k + 1
    power_k, power = _power(k), _power(length)
    ring_hash, ring_place = np.empty(w + 1, np.uint64), np.empty(w + 1, np.int64)
    ring, found = w + 1, 0
    wanted, parts, collecting = np.uint64(number), np.uint64(passes), len(table) > 0
    for d in range(len(offsets) - 1):
        # Characters since the last wall; the ring of candidates for the least k-mer, ascending.
        run = head = tail = 0
        short, whole = np.uint64(0), np.uint64(0)
        anchor = np.int64(-1)
        alive = False
        for i in range(offsets[d], offsets[d + 1]):
            code = codes[i]
            if code == 0:
                run = head = tail = 0
                short = whole = np.uint64(0)
                anchor = -1
                continue
            run += 1
            short = short * _BASE + np.uint64(code)
            whole = whole * _BASE + np.uint64(code)
            if run > k:
                short -= power_k * np.uint64(codes[i - k])
            if run > length:
                whole -= power * np.uint64(codes[i - length])
            if run < k:
                continue
            value = _mix(short) | np.uint64(1)
            while tail != head and ring_hash[(tail - 1) % ring] > value:
                tail = (tail - 1) % ring
            ring_hash[tail], ring_place[tail] = value, i
            tail = (tail + 1) % ring
            if run < length:
                continue
            if ring_place[head] <= i - w:
                head = (head + 1) % ring
            if ring_place[head] != anchor:
                anchor = ring_place[head]
                if collecting:
                    alive = table[slot_of(table, ring_hash[head])] != 0
                elif (ring_hash[head] >> np.uint64(20)) % parts == wanted:
                    if found < len(hashes):
                        hashes[found] = ring_hash[head]
                    found += 1
            if collecting and alive:
                value = _mix(whole)
                if (value >> np.uint64(20)) % parts == wanted:
                    if found < len(hashes):
                        hashes[found] = value
                        places[found] = i - length + 1
                        documents[found] = first_document + d
                    found += 1
    return found


@njit(cache=True)
def repeated(ordered, least):
    """Of ascending values those that come at least `least` times, once each."""
    found = np.empty(len(ordered) // max(least, 1) + 1, np.uint64)
    size = begin = 0
    for i in range(1, len(ordered) + 1):
        if i == len(ordered) or ordered[i] != ordered[begin]:
            if i - begin >= least:
                found[size] = ordered[begin]
                size += 1
            begin = i
    return found[:size]


@njit(cache=True)
def _equal(addresses, bases, a, b, length):
    """Whether the windows at two places of the whole text are the same characters."""
    part_a, part_b = np.searchsorted(bases, a, side="right") - 1, np.searchsorted(bases, b, side="right") - 1
    from_a, from_b = a - bases[part_a], b - bases[part_b]
    text_a = carray(_pointer(addresses[part_a]), from_a + length)
    text_b = carray(_pointer(addresses[part_b]), from_b + length)
    i = 0
    while i < length and text_a[from_a + i] == text_b[from_b + i]:
        i += 1
    return i == length


@njit(cache=True)
def mark_groups(hashes, order, places, documents, addresses, bases, length, least, keep_first, old, marks):
    """Set the bit of every window that stands in at least `least` documents, but for those of the first one.

    `order` sorts `hashes`. `places` count through the whole text, of which part p begins at bases[p]. Documents below
    `old` are of an earlier run: they count, and nothing in them is marked. Returns the number of different windows.
    """
    groups = 0
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and hashes[order[end]] == hashes[order[begin]]:
            end += 1
        if end - begin >= least:
            first = order[begin]
            for k in range(begin + 1, end):
                if places[order[k]] < places[first]:
                    first = order[k]
            members = np.empty(end - begin, np.int64)
            size = 0
            for k in range(begin, end):
                member = order[k]
                if member == first or _equal(addresses, bases, places[first], places[member], length):
                    members[size] = member
                    size += 1
            if _distinct(documents, members[:size]) >= least:
                groups += 1
                for member in members[:size]:
                    if documents[member] >= old and not (keep_first and documents[member] == documents[first]):
                        place = places[member]
                        marks[place >> 3] |= np.uint8(1 << (place & 7))
        begin = end
    return groups


@njit(cache=True)
def _distinct(documents, members):
    """How many different documents the members stand in."""
    held = np.empty(len(members), np.int64)
    for i in range(len(members)):
        held[i] = documents[members[i]]
    held.sort()
    count = 1
    for i in range(1, len(held)):
        count += held[i] != held[i - 1]
    return count


@njit(cache=True)
def marked_spans(marks, base, offsets, length):
    """Stretches that the marked windows of a part cover: document, start and stop within the part, each (S,)."""
    size = 0
    for write in range(2):  # counted first
        if write:
            document, start, stop = np.empty(size, np.int32), np.empty(size, np.int64), np.empty(size, np.int64)
            size = 0
        for d in range(len(offsets) - 1):
            reach = np.int64(-1)
            for i in range(offsets[d], offsets[d + 1]):
                place = base + i
                if not (marks[place >> 3] >> (place & 7)) & 1:
                    continue
                if i > reach:
                    if write:
                        document[size], start[size] = d, i
                    size += 1
                reach = i + length
                if write:
                    stop[size - 1] = reach
    return document, start, stop


@njit(cache=True)
def span_hashes(codes, start, stop):
    """A 64-bit hash of each span: spans of the same text share it."""
    found = np.empty(len(start), np.uint64)
    for s in range(len(start)):
        value = np.uint64(stop[s] - start[s])
        for i in range(start[s], stop[s]):
            value = value * _BASE + np.uint64(codes[i])
        found[s] = _mix(value)
    return found


@njit(cache=True)
def blank(codes, starts, stops):
    """Put walls where something is cut already."""
    for i in range(len(starts)):
        codes[starts[i] : stops[i]] = 0
