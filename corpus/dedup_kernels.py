"""Numba kernels of the near-duplicate search: buckets of one band, verified on the shingles, joined by union-find.

In: band hashes of documents that are sorted best first, and the addresses of their shingles, which stay mapped on disk.
Out: what is similar, and a forest in which every copy points towards the best document of its cluster. A bucket costs
one comparison for each member, unless it is known already: two probes of a table a shingle, 20 µs for 2,000 characters.
"""

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from corpus.minhash import overlap, shingle_set
from runkit.compiled import njit


@intrinsic
def _pointer(typingctx, address):
    """The number of an address as a pointer to shingles: numba takes no list of arrays without compiling for it."""

    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint32)(address), codegen


@njit(cache=True)
def _shingles(address, start, stop):
    return carray(_pointer(address), stop)[start:stop]


@njit(cache=True)
def _root(parent, place):
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


@njit(cache=True)
def join_band(keys, places, known, similarity, addresses, starts, stops, threshold, most_pivots):
    """Which members of one band are similar enough to a better one that shares their key.

    `keys` ascending; of one key, `places` ascending (best first). `known` and `similarity` come with what is known of a
    member, the place of a similar document (-1: none), and go with what was found. Returns for each whether it joined.
    """
    joined = np.zeros(len(keys), np.bool_)
    begin = 0
    while begin < len(keys):
        end = begin + 1
        while end < len(keys) and keys[end] == keys[begin]:
            end += 1
        rest = np.arange(begin, end)
        size = end - begin
        for _ in range(most_pivots):
            if size < 2:
                break
            pivot = rest[0]
            mine, count = np.zeros(0, np.uint64), 0
            left = 0
            for k in range(1, size):
                other = rest[k]
                if known[other] == places[pivot]:
                    joined[other] = True
                    continue
                if not len(mine):
                    mine, count = shingle_set(_shingles(addresses[pivot], starts[pivot], stops[pivot]))
                found = overlap(mine, count, _shingles(addresses[other], starts[other], stops[other]))
                if found >= threshold:
                    joined[other] = True
                    known[other], similarity[other] = places[pivot], found
                else:
                    rest[left] = other
                    left += 1
            size = left
        begin = end
    return joined


@njit(cache=True)
def join(parent, a, b):
    """Join the clusters of pairs of places; the root of a cluster is its least place."""
    for i in range(len(a)):
        x, y = _root(parent, a[i]), _root(parent, b[i])
        parent[max(x, y)] = min(x, y)


@njit(cache=True)
def flatten(parent, places):
    """The root of each place."""
    roots = np.empty(len(places), np.int64)
    for i in range(len(places)):
        roots[i] = _root(parent, places[i])
    return roots


@njit(cache=True)
def similarities(addresses, starts, stops, other_addresses, other_starts, other_stops):
    """Jaccard similarity of pairs of documents, given where the shingles of each lie: (pairs,)."""
    found = np.empty(len(starts), np.float64)
    for i in range(len(starts)):
        mine, count = shingle_set(_shingles(addresses[i], starts[i], stops[i]))
        found[i] = overlap(mine, count, _shingles(other_addresses[i], other_starts[i], other_stops[i]))
    return found
