"""PPI++: the tuned weight is the best one, a useless judge costs nothing, exchanging the systems mirrors figures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.intervals import win_rate_interval
from judge.ppi import ppi_mean, ppi_win_rate
from judge.stats import t_test


def world(seed: int, n: int = 60, rest: int = 400, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    quality = rng.normal(0.3, 1, n + rest)
    judge = 4 + 3 * quality + 3 * noise * rng.normal(0, 1, n + rest)
    return quality[:n] + rng.normal(0, 0.3, n), judge[:n], judge[n:]


@pytest.mark.parametrize("seed", range(3))
def test_the_weight_is_the_one_of_least_variance(seed: int) -> None:
    """By brute force over the variance of the paper, all moments pooled the same way."""
    human, judge, rest = world(seed)
    n, m = len(human), len(rest)
    found = ppi_mean(human, judge, rest)
    spread = np.concatenate([judge, rest]).var(ddof=1)
    shared = np.cov(human, judge)[0, 1]
    weights = np.linspace(-1, 1, 200_001)
    variance = (human.var(ddof=1) - 2 * weights * shared + weights**2 * spread) / n + weights**2 * spread / m
    assert found.weight == pytest.approx(weights[np.argmin(variance)], abs=1e-5)
    assert found.value == pytest.approx(human.mean() + found.weight * (rest.mean() - judge.mean()), abs=1e-12)
    assert (found.n, found.unlabelled) == (n, m)


def test_a_good_judge_narrows_and_a_useless_one_does_not_widen() -> None:
    human, judge, rest = world(0, noise=0.2)
    good = ppi_mean(human, judge, rest)
    assert good.high - good.low < 0.6 * (good.human_high - good.human_low)
    assert (good.human_low, good.human_high) == pytest.approx((t_test(human).low, t_test(human).high))
    rng = np.random.default_rng(1)
    useless = ppi_mean(human, rng.normal(0, 1, 60), rng.normal(0, 1, 400))
    assert useless.high - useless.low < 1.03 * (useless.human_high - useless.human_low)
    assert useless.value == pytest.approx(useless.human, abs=0.1)


def test_the_judges_scale_does_not_matter() -> None:
    human, judge, rest = world(2)
    one, other = ppi_mean(human, judge, rest), ppi_mean(human, 7 - 20 * judge, 7 - 20 * rest)
    assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high), abs=1e-9)
    assert other.weight == pytest.approx(-one.weight / 20)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 30))
def test_exchanging_the_systems(seed: int, n: int, rest: int) -> None:
    parts = world(seed, n, rest)
    one, other = ppi_mean(*parts), ppi_mean(*(-x for x in parts))
    assert (other.value, other.human, other.weight) == (-one.value, -one.human, one.weight)
    if n > 2:
        assert (other.low, other.high) == (-one.high, -one.low)
        assert (other.human_low, other.human_high) == (-one.human_high, -one.human_low)
    signs = [np.sign(np.round(x)) for x in parts]
    one, other = ppi_win_rate(*signs), ppi_win_rate(*(-x for x in signs))
    assert (other.value, other.human, other.judge) == (1 - one.value, 1 - one.human, 1 - one.judge)
    if n > 2:
        assert (other.low, other.high) == (1 - one.high, 1 - one.low)
        assert 0 <= one.low <= one.value <= one.high <= 1
    else:
        assert one.low is one.human_low is None


def test_people_alone_where_there_is_no_more() -> None:
    human, judge, _ = world(3)
    found = ppi_mean(human, judge, np.zeros(0))
    assert (found.weight, found.value) == (0.0, found.human)
    assert (found.low, found.high) == (found.human_low, found.human_high)
    constant = ppi_mean(human, np.ones(60), np.ones(100))  # a judge that always says the same
    assert (constant.weight, constant.low) == (0.0, constant.human_low)


def test_a_win_rate_of_people_who_all_agree_has_a_width() -> None:
    found = ppi_win_rate(-np.ones(30), -np.ones(30), -np.ones(100))
    assert found.value == 0.0 and found.low == 0.0 and 0.05 < found.high < 0.2
    wilson = win_rate_interval(-np.ones(30))
    assert found.high == pytest.approx(wilson[1], abs=0.02)


def test_questions_that_repeat_count_once() -> None:
    human, judge, rest = world(4)
    once = ppi_mean(human, judge, rest)
    question, others = np.arange(60), np.arange(60, 460)
    often = ppi_mean(*(np.repeat(x, 3) for x in (human, judge, rest)), np.repeat(question, 3), np.repeat(others, 3))
    assert often == once or (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))
    # A question that people saw is no question without people, whatever else the judge said about it.
    mixed = ppi_mean(human, judge, np.concatenate([rest, [99.0]]), question, np.concatenate([others, [5]]))
    assert (mixed.value, mixed.unlabelled) == (pytest.approx(once.value), 400)


def test_a_figure_without_its_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="same answers"):
        ppi_mean(np.ones(3), np.ones(2), np.ones(5))
    with pytest.raises(ValueError, match="must be one"):
        ppi_mean(np.ones(0), np.ones(0), np.ones(5))
