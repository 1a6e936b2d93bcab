"""What both orders undo: a constant preference for a place falls out exactly, an ending scale shrinks, never flips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.intervals import bootstrap
from judge.position import agreed, averaged, position
from judge.stats import sign_test, signs, t_test, wilcoxon, win_tie_loss

scores = st.lists(st.tuples(st.integers(2, 20), st.integers(2, 20)), min_size=2, max_size=50)
bias = st.integers(-8, 8).map(lambda x: x / 4)


def differences(pairs: list[tuple[int, int]], bonus: float, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """d1, d2 of a judge that gives the first answer so many points more, on a scale that ends."""
    system, reference = (np.array(x) / 2.0 for x in zip(*pairs, strict=True))
    cut = lambda x: np.clip(x, low, high)  # noqa: E731
    return cut(system) - cut(reference + bonus), cut(system + bonus) - cut(reference)


@settings(max_examples=60, deadline=None)
@given(scores, bias)
def test_a_judge_that_sees_places_only(pairs: list[tuple[int, int]], bonus: float) -> None:
    equal = [(a, a) for a, _ in pairs]
    d1, d2 = differences(equal, bonus, -np.inf, np.inf)
    d = averaged(d1, d2)
    assert (d == 0).all()
    assert t_test(d).mean == 0.0 and t_test(d).p == 1.0 and sign_test(d) == wilcoxon(d) == 1.0
    found = position(d1, d2)
    assert found.effect == bonus
    assert found.effect_interval == (bonus, bonus)
    assert found.preferred_when_first == (1.0 if bonus > 0 else 0.0 if bonus < 0 else 0.5)
    assert found.strict_flip == (len(pairs) if bonus else 0)
    assert (agreed(d1, d2) == 0).all()


@settings(max_examples=60, deadline=None)
@given(scores, bias)
def test_a_bias_on_an_endless_scale_falls_out(pairs: list[tuple[int, int]], bonus: float) -> None:
    d1, d2 = differences(pairs, bonus, -np.inf, np.inf)
    true = np.array([a - b for a, b in pairs]) / 2.0
    assert (averaged(d1, d2) == true).all()
    assert position(d1, d2).effect == bonus


@settings(max_examples=100, deadline=None)
@given(scores, st.integers(-40, 40).map(lambda x: x / 4))
def test_a_saturated_judge_is_shrunk_and_never_flipped(pairs: list[tuple[int, int]], bonus: float) -> None:
    d = averaged(*differences(pairs, bonus, 1.0, 10.0))
    true = np.array([a - b for a, b in pairs]) / 2.0
    assert (signs(d) * signs(true) >= 0).all()
    assert (np.abs(d) <= np.abs(true)).all()


@settings(max_examples=60, deadline=None)
@given(scores, bias)
def test_exchanging_the_systems(pairs: list[tuple[int, int]], bonus: float) -> None:
    """The new d1 shows the new reference first, which was the system: -d2."""
    d1, d2 = differences(pairs, bonus, 1.0, 10.0)
    one, other = averaged(d1, d2), averaged(-d2, -d1)
    assert (other == -one).all()
    assert position(-d2, -d1) == position(d1, d2)
    assert (agreed(-d2, -d1) == -agreed(d1, d2)).all()
    low, high = bootstrap(one, rounds=100)
    assert bootstrap(other, rounds=100) == (-high, -low)


def test_counts() -> None:
    d1, d2 = np.array([1.0, -1.0, 0.0, 2.0, -1.0]), np.array([1.0, 1.0, 1.0, 0.0, -2.0])
    found = position(d1, d2)
    assert (found.verdict_changed, found.strict_flip) == (3, 1)
    assert (found.verdict_changed_rate, found.strict_flip_rate) == (0.6, 0.2)
    assert found.effect == pytest.approx((0 + 2 + 1 - 2 - 1) / 2 / 5)
    first = [(0, 1), (1, 1), (0.5, 1), (0, 0.5), (1, 0)]  # preferred when shown first, in each order
    assert found.preferred_when_first == pytest.approx(np.mean(first))
    assert found.effect_interval[0] < found.effect < found.effect_interval[1]
    counted = win_tie_loss(agreed(d1, d2))
    assert (counted.win, counted.tie, counted.loss) == (1, 3, 1)
    with pytest.raises(ValueError, match="both orders"):
        position(np.array([]), np.array([]))


def test_rows_that_share_a_question() -> None:
    rng = np.random.default_rng(0)
    d1, d2 = np.round(rng.normal(0, 2, (2, 60)) * 2) / 2
    question = np.repeat(np.arange(60), 4)
    once, often = position(d1, d2), position(np.repeat(d1, 4), np.repeat(d2, 4), question)
    for name in ("effect_interval", "preferred_when_first_interval", "verdict_changed_interval"):
        assert getattr(often, name) == pytest.approx(getattr(once, name), abs=0.02), name
