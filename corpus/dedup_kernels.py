"""Numba kernels of the near-duplicate search: buckets of one band, verified on the shingles, joined by union-find.

In: band hashes of documents that are sorted best first, and the addresses of their shingles, which stay mapped on disk.
Out: a forest in which every copy points towards the best document of its cluster. A bucket costs one comparison for
each member that is not joined yet: two probes of a table a shingle, 20 µs for 2,000 characters.
"""

import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

from corpus.minhash import overlap, shingle_set


@intrinsic
def _pointer(typingctx, address):
    """The number of an address as a pointer to shingles: numba takes no list of arrays without compiling for it."""

    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint32)(address), codegen


@njit(cache=True)
def _shingles(addresses, part, starts, stops, place):
    whole = carray(_pointer(addresses[part[place]]), stops[place])
    return whole[starts[place] : stops[place]]


@njit(cache=True)
def _root(parent, place):
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


@njit(cache=True)
def join_band(keys, places, parent, addresses, part, starts, stops, threshold, most_pivots):
    """Join what shares a key and is similar enough. `keys` ascending; of one key, `places` ascending (best first).

    Returns the number of comparisons.
    """
    compared = 0
    begin = 0
    while begin < len(keys):
        end = begin + 1
        while end < len(keys) and keys[end] == keys[begin]:
            end += 1
        if end - begin > 1:
            rest = places[begin:end].copy()
            size = end - begin
            for _ in range(most_pivots):
                if size < 2:
                    break
                pivot = rest[0]
                mine, count = np.zeros(0, np.uint64), 0
                left = 0
                for k in range(1, size):
                    other = rest[k]
                    a, b = _root(parent, pivot), _root(parent, other)
                    if a == b:
                        continue
                    if not len(mine):
                        mine, count = shingle_set(_shingles(addresses, part, starts, stops, pivot))
                    compared += 1
                    if overlap(mine, count, _shingles(addresses, part, starts, stops, other)) >= threshold:
                        parent[max(a, b)] = min(a, b)
                    else:
                        rest[left] = other
                        left += 1
                size = left
        begin = end
    return compared


@njit(cache=True)
def flatten(parent, places):
    """The root of each place."""
    roots = np.empty(len(places), np.int64)
    for i in range(len(places)):
        roots[i] = _root(parent, places[i])
    return roots


@njit(cache=True)
def similarities(a, b, addresses, part, starts, stops):
    """Jaccard similarity of each pair of places: (len(a),)."""
    found = np.empty(len(a), np.float64)
    for i in range(len(a)):
        mine, count = shingle_set(_shingles(addresses, part, starts, stops, a[i]))
        found[i] = overlap(mine, count, _shingles(addresses, part, starts, stops, b[i]))
    return found
