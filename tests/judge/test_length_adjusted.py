"""Length: scipy and statsmodels agree, exchanging the systems mirrors the rate, separation is said."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from judge.length import length_adjusted, pearson, spearman
from judge.stats import z_quantile


def world(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    longer = np.round(rng.normal(80, 150, n))
    p = 1 / (1 + np.exp(-(-0.3 + 1.2 * np.tanh(longer / 150))))
    result = np.where(rng.random(n) < p, 1.0, -1.0)
    result[rng.random(n) < 0.2] = 0.0
    return result, longer


@pytest.mark.parametrize("seed", range(4))
def test_correlations_are_scipys(seed: int) -> None:
    result, longer = world(seed)
    for ours, theirs in (
        (pearson(longer, result), oracle.pearsonr(longer, result)),
        (spearman(longer, result), oracle.spearmanr(longer, result)),
    ):
        assert (ours.value, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-9)
    limits = oracle.pearsonr(longer, result).confidence_interval()
    found = pearson(longer, result)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), abs=1e-9)
    assert spearman(longer, result).low < spearman(longer, result).value < spearman(longer, result).high


def test_correlations_that_do_not_exist() -> None:
    rising = np.arange(5.0)
    assert pearson(rising, np.zeros(5)) is spearman(np.ones(5), rising) is pearson(rising[:2], rising[:2]) is None
    assert pearson(rising, -rising).value == -1.0 and pearson(rising, -rising).low is None
    assert spearman(rising[:3], np.array([1.0, 3.0, 2.0])).low is None


@pytest.mark.parametrize("seed", range(4))
def test_the_adjusted_rate_is_statsmodels(seed: int) -> None:
    result, longer = world(seed)
    design = np.column_stack([np.ones(len(longer)), np.tanh(longer / longer.std())])
    theirs = sm.GLM((result + 1) / 2, design, family=sm.families.Binomial()).fit(cov_type="HC0", tol=1e-12)
    ours = length_adjusted(result, longer)
    assert ours.win_rate == pytest.approx(1 / (1 + np.exp(-theirs.params[0])), abs=1e-6)
    assert ours.slope == pytest.approx(theirs.params[1], abs=1e-6)
    n = len(longer)
    reach = oracle.t.ppf(0.975, n - 1) * theirs.bse[0] * np.sqrt(n / (n - 1))
    assert ours.low == pytest.approx(1 / (1 + np.exp(-(theirs.params[0] - reach))), abs=1e-6)
    raw = 0.5 + result.mean() / 2
    assert ours.win_rate < raw and ours.slope_low > 0  # the longer system won, and by its length


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 40))
def test_exchanging_the_systems_mirrors_the_rate(seed: int, n: int) -> None:
    result, longer = world(seed, n)
    one, other = length_adjusted(result, longer), length_adjusted(-result, -longer)
    assert (one is None) == (other is None)
    if one is not None:
        assert (other.win_rate, other.low, other.high) == (1.0 - one.win_rate, 1.0 - one.high, 1.0 - one.low)
        assert (other.slope, other.separated) == (one.slope, one.separated)


def test_repeated_rows_say_no_more_than_their_questions() -> None:
    result, longer = world(5)
    once = length_adjusted(result, longer)
    often = length_adjusted(np.repeat(result, 3), np.repeat(longer, 3), np.repeat(np.arange(200), 3))
    assert (often.low, often.win_rate, often.high) == pytest.approx((once.low, once.win_rate, once.high), abs=1e-9)


def test_separation_is_said_and_finite() -> None:
    _, longer = world(6, 80)
    lost = length_adjusted(-np.ones(80), longer)
    assert lost.separated and 0.0 < lost.low < lost.win_rate < 0.05 < lost.high < 0.5
    by_length = length_adjusted(np.where(longer > 0, 1.0, -1.0), longer)
    assert by_length.separated and by_length.low < 0.5 < by_length.high and np.isfinite(by_length.slope)
    ties = length_adjusted(np.zeros(80), longer)
    assert ties.win_rate == 0.5 and ties.low < 0.48 and not ties.separated


def test_lengths_that_say_nothing() -> None:
    result, longer = world(7, 10)
    assert length_adjusted(result, np.full(10, 30.0)) is None
    assert length_adjusted(result, np.zeros(10)) is None
    assert length_adjusted(result[:2], longer[:2]) is None
    assert length_adjusted(result[:0], longer[:0]) is None


def test_the_interval_uses_t_and_not_z() -> None:
    result, longer = world(8, 12)
    found = length_adjusted(result, longer)
    logit = lambda x: np.log(x / (1 - x))  # noqa: E731
    assert logit(found.high) - logit(found.win_rate) > 0
    assert oracle.t.ppf(0.975, 11) > z_quantile(0.95)
