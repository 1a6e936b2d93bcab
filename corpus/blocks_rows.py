"""Numba kernel: which blocks are cells of one row of a table of data, rather than of a page laid out by a table."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corpus.blocks_cut import ELEMENT, END, FIRST, PARENT, TAG
from corpus.blocks_tables import TAG as TAG_ID

_TR, _TD, _TH = TAG_ID["tr"], TAG_ID["td"], TAG_ID["th"]


@njit(cache=True)
def _table_rows(elements, rows, out):
    count = len(elements)
    row_of = np.full(count, -1, np.int64)
    data = np.zeros(count, np.bool_)
    for e in range(1, count):
        tag = elements[e, TAG]
        held = elements[e, END] - elements[e, FIRST]
        row_of[e] = row_of[elements[e, PARENT]]
        if tag == _TR:
            row_of[e] = e
            data[e] = held > 1
        elif (tag == _TD or tag == _TH) and held > 1 and row_of[e] >= 0:
            data[row_of[e]] = False
    for b in range(len(rows)):
        row = row_of[rows[b, ELEMENT]]
        out[b] = row if row >= 0 and data[row] else -1


def table_rows(elements: NDArray[np.int32], rows: NDArray[np.int32]) -> NDArray[np.int64]:
    """Of each block the element of its row, where every cell of the row is one block; else -1."""
    out = np.empty(len(rows), np.int64)
    _table_rows(elements, rows, out)
    return out
