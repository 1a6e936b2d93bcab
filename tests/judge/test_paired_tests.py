"""Tests on differences: scipy and statsmodels agree, edges are said, exchanging the systems changes signs only."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle
from statsmodels.stats.multitest import multipletests

from judge.stats import (
    holm,
    rate_of,
    share,
    sign_test,
    signs,
    t_test,
    wilcoxon,
    win_tie_loss,
)

halves = st.lists(st.integers(-18, 18), min_size=2, max_size=120).map(lambda x: np.array(x) / 2.0)
numbers = st.lists(st.floats(-9, 9, allow_subnormal=False), min_size=2, max_size=60).map(np.array)


@pytest.mark.parametrize("n", [5, 20, 80, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_the_oracles_agree(n: int, seed: int) -> None:
    d = np.round(np.random.default_rng(seed).normal(0.2, 1.5, n) * 4) / 4
    ours, theirs = t_test(d), oracle.ttest_1samp(d, 0.0)
    limits = theirs.confidence_interval()
    assert ours.p == pytest.approx(theirs.pvalue, abs=1e-9)
    assert (ours.low, ours.high) == pytest.approx((limits.low, limits.high), abs=1e-9)
    assert ours.sem == pytest.approx(oracle.sem(d), abs=1e-12)
    signed = oracle.wilcoxon(d, zero_method="wilcox", correction=False, method="asymptotic").pvalue
    assert wilcoxon(d) == pytest.approx(signed, abs=1e-9)
    exact = oracle.binomtest(int((d > 0).sum()), int((d != 0).sum())).pvalue
    assert sign_test(d) == pytest.approx(exact, abs=1e-9)


def test_holm_is_statsmodels_and_leaves_out_what_is_unknown() -> None:
    p = np.random.default_rng(0).random(12) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    assert holm([np.nan, 0.01, np.nan, 0.04])[[1, 3]] == pytest.approx([0.02, 0.04])
    assert np.isnan(holm([np.nan, 0.01])[0])
    assert len(holm([])) == 0


def test_what_cannot_be_said_is_none() -> None:
    one = t_test(np.array([2.0]))
    assert (one.mean, one.sem, one.p, one.low) == (2.0, None, None, None)
    same = t_test(np.full(5, -1.5))
    assert (same.mean, same.sem, same.p, same.low, same.high) == (-1.5, 0.0, None, None, None)
    third = t_test(np.full(7, 1 / 3))  # whose mean rounds to another number
    assert (third.sem, third.p) == (0.0, None)
    nothing = t_test(np.zeros(5))
    assert (nothing.mean, nothing.p) == (0.0, 1.0)
    assert sign_test(np.zeros(5)) == wilcoxon(np.zeros(5)) == 1.0
    with pytest.raises(ValueError, match="difference"):
        t_test(np.array([]))


def test_rounding_dust_is_a_tie() -> None:
    assert list(signs(np.array([1e-15, -1e-15, 0.0, 1e-3]))) == [0, 0, 0, 1]


@settings(max_examples=80, deadline=None)
@given(st.one_of(halves, numbers))
def test_exchanging_the_systems_changes_signs_and_no_bit_besides(d: np.ndarray) -> None:
    one, other = t_test(d), t_test(-d)
    assert other.mean == -one.mean
    assert (other.sem, other.p) == (one.sem, one.p)
    if one.low is None or one.high is None:  # without spread nothing is known
        assert other.low is other.high is None and np.ptp(d) < 1e-9
    else:
        assert (other.low, other.high) == (-one.high, -one.low)
    assert sign_test(-d) == sign_test(d)
    assert wilcoxon(-d) == wilcoxon(d)
    counted, mirrored = win_tie_loss(signs(d)), win_tie_loss(signs(-d))
    assert (counted.win, counted.tie, counted.loss) == (mirrored.loss, mirrored.tie, mirrored.win)
    assert mirrored.win_rate == 1.0 - counted.win_rate
    assert counted.win_rate == pytest.approx((counted.win + counted.tie / 2) / len(d), abs=1e-15)


@given(st.integers(0, 500), st.integers(0, 500))
def test_shares_add_up_to_one_exactly(hits: int, misses: int) -> None:
    if hits + misses == 0:
        assert share(hits, misses) is None
        return
    assert share(hits, misses) + share(misses, hits) == 1.0
    assert share(hits, misses) == 1.0 - share(misses, hits)


@given(st.floats(-1, 1))
def test_rates_mirror(balance: float) -> None:
    assert rate_of(-balance) == 1.0 - rate_of(balance)
    assert rate_of(balance) == pytest.approx(0.5 + balance / 2, abs=1e-15)
