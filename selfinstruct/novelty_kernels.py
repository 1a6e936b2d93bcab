"""Exact longest common subsequences of one text with many, most of which are never looked at.

In: texts as token ids, rare ones with high ids. Out: for each text the nearest before it. Two ways lead there, both
exact. Whether any is too near: LCS > p·(m + n) / 2q needs a text of n tokens to share that many, so both hold one token
in common among their rarest few (a prefix filter), and only the lists of texts that these tokens have are read. The
nearest of all, however far: lists by length, the text's own length first. On both ways a signature of 256 bits rules
most out: bit h(token, how often it came before) is set, a bit that two signatures do not share is a token that one
text has and the other has not, and other bits are other tokens, so m + n − 2·LCS ≥ popcount(a xor b); first of the
128 bits that stand in the lists, where two words are laid over each other, then of all 256. What passes is computed by
the bit-parallel recurrence of Hyyrö (2004), 64 tokens a step. Price: 2 ns an entry of a list that is read, 0.1 µs for
each computed LCS; 40 bytes a text and 48 for each list it stands in.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from runkit.compiled import njit

EXACT = 256  # lengths below have a bucket each, longer ones share one for each eighth of a power of two
BUCKETS = EXACT + 8 * 24
CHUNK = 2048  # signatures whose popcounts are made together
_GROUP = 64  # of them that are passed over together
LOOK, LOOK_FAR, STORE = 1, 2, 4  # what `judge` is to do
START, FILL, ROOM = 0, 1, 2  # columns of the table of lists, whose rows are buckets, then tokens


@intrinsic
def popcount(typingctx, word):
    """Bits that are set in a uint64."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


@njit(cache=True)
def bucket_of(length):
    """The bucket of texts with so many tokens; longer texts never have a lower one."""
    if length < EXACT:
        return length
    power = 8
    while length >> (power + 1):
        power += 1
    return min(BUCKETS - 1, EXACT + 8 * (power - 8) + ((length >> (power - 3)) & 7))


@njit(cache=True)
def prefix(m, p, q):
    """How many of the rarest of its m tokens a text has in a list: one of them is in each that is too near."""
    shortest = p * m // (2 * q - p) + 1  # LCS ≤ n rules out shorter ones
    return max(0, m - p * (m + shortest) // (2 * q))


@njit(cache=True)
def keyed(batch, ends, p, q):
    """The lists that each text stands in: its bucket's, then its rarest tokens'; keys of all and where each ends."""
    keys, key_ends, filled = np.empty(len(batch) + len(ends), np.int64), np.zeros(len(ends), np.int64), 0
    for text in range(len(ends) - 1):
        m = ends[text + 1] - ends[text]
        if m:
            keys[filled] = bucket_of(m)
            filled += 1
            ordered = np.sort(batch[ends[text] : ends[text + 1]])
            for place in range(m - 1, m - 1 - prefix(m, p, q), -1):
                if place == m - 1 or ordered[place] != ordered[place + 1]:
                    keys[filled] = BUCKETS + ordered[place]
                    filled += 1
        key_ends[text + 1] = filled
    return keys[:filled].copy(), key_ends


@njit(cache=True)
def crowded(keys, lists, wanted):
    """Lists that have no room for these keys, and the room that each should get; `wanted` is zeros for all keys."""
    found, rooms, count = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64), 0
    for key in keys:
        wanted[key] += 1
    for key in keys:
        needed = lists[key, FILL] + wanted[key]
        if wanted[key] and needed > lists[key, ROOM]:
            found[count], rooms[count] = key, 2 * needed
            count += 1
        wanted[key] = 0
    return found[:count], rooms[:count]


@njit(cache=True)
def move(found, rooms, end, lists, lefts, rights, entries, sizes):
    """Give lists more room, from `end` on; returns the new end. What they leave behind is not used again."""
    for key, room in zip(found, rooms):  # noqa: B905
        old, fill = lists[key, START], lists[key, FILL]
        lefts[end : end + fill] = lefts[old : old + fill]
        rights[end : end + fill] = rights[old : old + fill]
        entries[end : end + fill] = entries[old : old + fill]
        sizes[end : end + fill] = sizes[old : old + fill]
        lists[key, START], lists[key, ROOM] = end, room
        end += room
    return end


@njit(cache=True)
def _bit(token, before):
    value = np.uint64(token) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(before) * np.uint64(0xC2B2AE3D27D4EB4F)
    value ^= value >> np.uint64(32)
    value *= np.uint64(0xD6E8FEB86659FD93)
    return value >> np.uint64(56)


@njit(cache=True)
def sign(tokens, seen, words):
    """Write the signature of a text into `words` (4,); `seen` is zeros for all ids, and is zeros again."""
    words[:] = 0
    for token in tokens:
        bit = _bit(token, seen[token])
        seen[token] += 1
        words[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
    for token in tokens:
        seen[token] = 0


@njit(cache=True)
def match(tokens, slot, masks):
    """Which of up to 64 positions hold which token: `slot` (ids) gets the place in `masks` (65,) of each token.

    Place 0 is that of all other tokens, no bits at all: to branch on them costs more than to compute with them.
    """
    rows = 0
    for place, token in enumerate(tokens):
        if slot[token] == 0:
            rows += 1
            slot[token] = rows
            masks[rows] = 0
        masks[slot[token]] |= np.uint64(1) << np.uint64(place)


@njit(cache=True)
def unmatch(tokens, slot):
    """Make `slot` zeros again."""
    for token in tokens:
        slot[token] = 0


@njit(cache=True)
def _unset(v, length):
    """How many of the first `length` bits are not set; of them each one stands for a common token."""
    v = ~v
    if length < 64:
        v &= (np.uint64(1) << np.uint64(length)) - np.uint64(1)
    return np.int64(popcount(v))


@njit(cache=True)
def lcs(tokens, slot, masks, other, carries):
    """Length of the longest common subsequence; texts of up to 64 tokens are matched before, longer ones here.

    Longer ones go 64 tokens at a time, and `carries` (tokens of the other,) brings what one step leaves to the next.
    """
    length = len(tokens)
    if length <= 64:
        v = ~np.uint64(0)
        for token in other:
            u = v & masks[slot[token]]
            v = (v + u) | (v - u)
        return _unset(v, length)
    common = np.int64(0)
    carries[: len(other)] = 0
    for first in range(0, length, 64):
        block = tokens[first : first + 64]
        match(block, slot, masks)
        v = ~np.uint64(0)
        for place, token in enumerate(other):
            u, carry = v & masks[slot[token]], np.uint64(carries[place])
            total = v + u
            carried = total + carry
            carries[place] = (total < v) | (carried < total)
            v = carried | (v - u)
        unmatch(block, slot)
        common += _unset(v, len(block))
    return common


@njit(cache=True)
def _apart(lefts, rights, left, right, pops):
    """Write into `pops` how many bits each entry does not share. It vectorises, as `_fewest` does."""
    for place in range(len(lefts)):
        pops[place] = popcount(lefts[place] ^ left) + popcount(rights[place] ^ right)


@njit(cache=True)
def _fewest(pops):
    fewest = np.uint8(255)
    for pop in pops:
        fewest = min(fewest, pop)
    return fewest


@njit(cache=True)
def _common(tokens, n, entry, most, words, pool, slot, masks, carries):
    """Common tokens of a text and an entry of n tokens; -1 if more than `most` are not common."""
    signatures, offsets, stored = pool[5], pool[6], pool[7]
    if abs(len(tokens) - n) > most:
        return np.int64(-1)
    apart = np.int64(0)
    for word in range(4):
        apart += np.int64(popcount(signatures[entry, word] ^ words[word]))
    if apart > most:
        return np.int64(-1)
    return lcs(tokens, slot, masks, stored[offsets[entry] : offsets[entry + 1]], carries)


@njit(cache=True)
def _passed(lefts, rights, sizes, left, right, bound, p, q):
    """How many entries come before the first one that may be too near. Alone, for it is where the time goes."""
    for place in range(len(lefts)):
        apart = np.int64(popcount(lefts[place] ^ left) + popcount(rights[place] ^ right))
        if q * apart <= bound + (q - p) * np.int64(sizes[place]):
            return place
    return len(lefts)


@njit(cache=True)
def too_near(tokens, words, keys, turn, p, q, pool, slot, masks, carries):
    """Of the entries with 2q·LCS > p·(m + n) the nearest, the earliest of equals: (entry, common tokens) or (-1, 0)."""
    lists, lefts, rights, entries, sizes, met = pool[0], pool[1], pool[2], pool[3], pool[4], pool[8]
    left, right = words[0] | words[1], words[2] | words[3]
    m = np.int64(len(tokens))
    best, best_common, best_n = np.int64(-1), np.int64(0), np.int64(1)
    bound, matched = (q - p) * m - 1, False
    for key in keys[1:]:
        begin, end = lists[key, START], lists[key, START] + lists[key, FILL]
        place = begin - 1
        while True:
            rest = slice(place + 1, end)
            place += 1 + _passed(lefts[rest], rights[rest], sizes[rest], left, right, bound, p, q)
            if place >= end:
                break
            entry, n = np.int64(entries[place]), np.int64(sizes[place])
            if met[entry] == turn:  # under another token: long texts share thousands
                continue
            met[entry] = turn
            if m <= 64 and not matched:
                match(tokens, slot, masks)
                matched = True
            # Until one is found: what is too near shares more than p·(m + n) / 2q.
            most = (bound + (q - p) * n) // q if best < 0 else _most(m, n, best, best_common, best_n)
            common = _common(tokens, n, entry, most, words, pool, slot, masks, carries)
            if 2 * q * common > p * (m + n) and _nearer(m, n, entry, common, best, best_common, best_n):
                best, best_common, best_n = entry, common, n
    if matched:
        unmatch(tokens, slot)
    return best, best_common


@njit(cache=True)
def nearest_of_all(tokens, words, pool, slot, masks, carries, pops):
    """The nearest entry, the earliest of equals, and their common tokens; (-1, 0) if nothing is common."""
    lists, lefts, rights, entries, sizes = pool[0], pool[1], pool[2], pool[3], pool[4]
    left, right = words[0] | words[1], words[2] | words[3]
    m = np.int64(len(tokens))
    if m <= 64:
        match(tokens, slot, masks)
    best, best_common, best_n = np.int64(-1), np.int64(0), np.int64(1)
    own = bucket_of(m)
    for step in range(2 * max(own, BUCKETS - own) + 1):
        # From the text's own length outwards, so that what is near is met early and rules out the rest.
        bucket = own + (((step + 1) >> 1) if step & 1 else -((step + 1) >> 1))
        if bucket < 1 or bucket >= BUCKETS or lists[bucket, FILL] == 0:
            continue
        begin, end = lists[bucket, START], lists[bucket, START] + lists[bucket, FILL]
        for first in range(begin, end, CHUNK):
            last = min(end, first + CHUNK)
            limit = np.int64(128)
            if bucket < EXACT:
                limit = _most(m, np.int64(bucket), best, best_common, best_n)
                if limit < abs(m - bucket):
                    break
            _apart(lefts[first:last], rights[first:last], left, right, pops)
            for group in range(0, last - first, _GROUP):
                behind = min(group + _GROUP, last - first)
                if np.int64(_fewest(pops[group:behind])) > limit:
                    continue
                for place in range(group, behind):
                    if np.int64(pops[place]) > limit:
                        continue
                    entry, n = np.int64(entries[first + place]), np.int64(sizes[first + place])
                    most = _most(m, n, best, best_common, best_n)
                    if np.int64(pops[place]) > most:
                        continue
                    common = _common(tokens, n, entry, most, words, pool, slot, masks, carries)
                    if common > 0 and _nearer(m, n, entry, common, best, best_common, best_n):
                        best, best_common, best_n = entry, common, n
                        if bucket < EXACT:
                            limit = _most(m, n, best, best_common, best_n)
    unmatch(tokens, slot)
    return best, best_common


@njit(cache=True)
def _most(m, n, best, best_common, best_n):
    """The most tokens that two texts may not share if they are to be as near as the best: m + n − 2·LCS."""
    if best < 0:
        return m + n
    least = (best_common * (m + n) + m + best_n - 1) // (m + best_n)  # LCS ≥ best_common·(m + n) / (m + best_n)
    return m + n - 2 * least


@njit(cache=True)
def _nearer(m, n, entry, common, best, best_common, best_n):
    """Is this one nearer than the best, or as near and earlier?"""
    gain = common * (m + best_n) - best_common * (m + n)
    return best < 0 or gain > 0 or (gain == 0 and entry < best)


@njit(cache=True)
def append(tokens, words, keys, entry, pool):
    """Store a text; its lists and the arrays have room."""
    lists, lefts, rights, entries, sizes, signatures, offsets, stored, _ = pool
    end = offsets[entry]
    stored[end : end + len(tokens)] = tokens
    offsets[entry + 1] = end + len(tokens)
    signatures[entry] = words
    for key in keys:
        place = lists[key, START] + lists[key, FILL]
        lefts[place], rights[place] = words[0] | words[1], words[2] | words[3]
        entries[place], sizes[place] = entry, len(tokens)
        lists[key, FILL] += 1


@njit(cache=True)
def judge(batch, ends, keys, key_ends, mode, turn, p, q, count, pool, seen, slot, masks, carries, pops):
    """Compare texts with all before them in order and store them; `count` are stored already.

    `mode` is a sum: LOOK for what is too near, LOOK_FAR for the nearest of all where none is, STORE what is not too
    near. Returns for each text the nearest entry (-1: nothing in common, or not asked for), their common tokens, and
    where it was stored (-1: it was not). A text without tokens gets -1 three times. Texts count their turns from `turn`
    on. `pool`: the table of lists (keys, 3), in the lists both halves of folded signatures, entries and their lengths;
    whole signatures (entries, 4), texts' first tokens (entries + 1), tokens, in which turn an entry was met last.
    """
    texts = len(ends) - 1
    nearest, commons, stored_at = np.full(texts, -1, np.int64), np.zeros(texts, np.int64), np.full(texts, -1, np.int64)
    words = np.empty(4, np.uint64)
    for text in range(texts):
        tokens, own = batch[ends[text] : ends[text + 1]], keys[key_ends[text] : key_ends[text + 1]]
        if len(tokens) == 0:
            continue
        sign(tokens, seen, words)
        entry, common, over = np.int64(-1), np.int64(0), False
        if mode & LOOK:
            entry, common = too_near(tokens, words, own, turn + text, p, q, pool, slot, masks, carries)
            over = entry >= 0
        if mode & LOOK_FAR and not over:
            entry, common = nearest_of_all(tokens, words, pool, slot, masks, carries, pops)
        nearest[text], commons[text] = entry, common
        if mode & STORE and not over:
            append(tokens, words, own, count, pool)
            stored_at[text] = count
            count += 1
    return nearest, commons, stored_at
