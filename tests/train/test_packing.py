"""Packing: every position stands in one row, the bound on empty ones holds, and best fit is what it claims to be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.packing import (
    SHORT,
    Cuts,
    Layout,
    cropping_loss,
    cuts,
    pack,
    padding_waste,
    permutation,
    reordered,
)

lengths_and_rows = st.tuples(st.lists(st.integers(0, 100), max_size=60), st.integers(8, 48))


def rows_of(layout: Layout) -> list[list[tuple[int, int, int]]]:
    """(document, start, length) of the pieces of each row."""
    pieces = list(zip(layout.document.tolist(), layout.start.tolist(), layout.length.tolist(), strict=True))
    return [pieces[layout.first[row] : layout.first[row + 1]] for row in range(layout.rows)]


def check(layout: Layout, lengths: list[int], seq_len: int, waste: float) -> None:
    """All that must hold whatever the lengths."""
    used = [sum(n for _, _, n in row) for row in rows_of(layout)]
    assert all(0 < n <= seq_len for n in used) and (layout.length > 0).all()
    reach = 0, 0  # document and position up to which all is there; every next piece begins there
    for document, start, length in sorted(piece for row in rows_of(layout) for piece in row):
        while reach[0] < document and reach[1] == lengths[reach[0]]:
            reach = reach[0] + 1, 0
        assert reach == (document, start)
        reach = document, start + length
    assert sum(used) == sum(lengths)
    empty = len(used) * seq_len - sum(used)
    assert empty <= waste * len(used) * seq_len or len(used) == -(-sum(lengths) // seq_len)


def best_fit_decreasing(lengths: list[int], seq_len: int) -> list[int]:
    """How full the rows are, by the textbook: one piece at a time, all rows looked at."""
    rows: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [row for row, used in enumerate(rows) if used + length <= seq_len]
        if fitting:
            rows[max(fitting, key=rows.__getitem__)] += length
        else:
            rows.append(length)
    return sorted(rows)


@settings(max_examples=300, deadline=None)
@given(lengths_and_rows, st.sampled_from([0.0, 0.001, 0.05, 1.0]))
def test_no_position_is_lost_or_doubled(case: tuple[list[int], int], waste: float) -> None:
    lengths, seq_len = case
    check(pack(np.array(lengths, np.int64), seq_len, waste), lengths, seq_len, waste)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 32), max_size=80), st.integers(32, 48))
def test_is_best_fit_decreasing(lengths: list[int], seq_len: int) -> None:
    rows = rows_of(pack(np.array(lengths, np.int64), seq_len, 1.0))
    assert sorted(sum(n for _, _, n in row) for row in rows) == best_fit_decreasing(lengths, seq_len)


@pytest.mark.parametrize("length", [1025, 1366, 700, 2030, 2041, 2047])
def test_lengths_that_fit_badly(length: int) -> None:
    """Two documents too long for one row, a gap of seven in every row, …: cut until 0.1 % is empty."""
    lengths = [length] * 1000
    layout = pack(np.array(lengths, np.int64), 2048, 0.001)
    check(layout, lengths, 2048, 0.001)
    if length < 2040:  # the gaps are longer than that
        assert layout.length.min() >= SHORT


def test_documents_are_cut_only_as_far_as_needed() -> None:
    lengths = np.array([200] * 640, np.int64)  # 128,000 positions are 500 rows of 256
    for waste, rows in ((1.0, 640), (0.2, 625), (0.1, 555), (0.0, 500)):
        layout = pack(lengths, 256, waste)
        assert layout.rows == rows
        assert cuts(layout, lengths, 256) == Cuts(whole=rows, for_length=0, for_packing=640 - rows)


def test_what_is_cut_already_is_cut_first() -> None:
    """Of 30 rows with 70 of 100 positions, 10 hold the rest of a long document: to save 9 rows these are enough."""
    lengths = np.array([70] * 20 + [170] * 10, np.int64)
    layout = pack(lengths, 100, 0.0)
    check(layout, lengths.tolist(), 100, 0.0)
    assert layout.rows == 31
    assert cuts(layout, lengths, 100) == Cuts(whole=20, for_length=1, for_packing=9)


def test_long_documents_fill_rows() -> None:
    lengths = np.array([25, 10, 3, 0, 2], np.int64)
    layout = pack(lengths, 10, 1.0)
    assert rows_of(layout) == [[(0, 0, 10)], [(0, 10, 10)], [(1, 0, 10)], [(0, 20, 5), (2, 0, 3), (4, 0, 2)]]
    assert cuts(layout, lengths, 10) == Cuts(whole=3, for_length=1, for_packing=0)


def test_nothing_to_pack() -> None:
    assert pack(np.zeros(3, np.int64), 8, 0.0).rows == pack(np.zeros(0, np.int64), 8, 0.0).rows == 0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 200), st.integers(0, 2**70))
def test_permutation(count: int, seed: int) -> None:
    order = permutation(count, seed, "rows")
    assert sorted(order.tolist()) == list(range(count))
    assert order.tolist() == permutation(count, seed, "rows").tolist()


def test_permutation_depends_on_seed_and_purpose() -> None:
    orders = {tuple(permutation(50, seed, purpose)) for seed in range(20) for purpose in ("rows", "documents")}
    assert len(orders) == 40
    # Where each of 50 comes to stand, over 2,000 seeds: the mean of uniform places is 24.5 ± 0.32.
    places = np.array([permutation(50, seed, "rows") for seed in range(2000)]).mean(axis=0)
    assert abs(places - 24.5).max() < 5 * 0.323


def test_reordered() -> None:
    layout = pack(np.array([25, 10, 3, 0, 2], np.int64), 10, 1.0)
    order = np.array([3, 0, 2, 1])
    assert rows_of(reordered(layout, order)) == [rows_of(layout)[row] for row in order]


@pytest.mark.parametrize(
    ("positions", "padding", "cropping"),
    [
        (99, 0.0, 0.0),  # a document of 100 tokens is a row
        (109, 1 - 109 / 198, 10 / 110),  # two rows; or one that loses ten tokens
        (59, 1 - 59 / 99, 20 / 120),  # 60 tokens, and 40 of the next document's 60
        (49, 1 - 49 / 99, 0.0),  # two fit
    ],
)
def test_what_padding_and_cropping_would_cost(positions: int, padding: float, cropping: float) -> None:
    lengths = np.full(300, positions, np.int64)
    assert padding_waste(lengths, 99) == pytest.approx(padding)
    assert cropping_loss(lengths, 99) == pytest.approx(cropping)
