"""Kappas and alphas are those of scikit-learn and krippendorff; where chance would agree fully there is none."""

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from judge.kappa import cohen, cohen_interval, krippendorff_alpha, krippendorff_interval


def scores(seed: int, n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.integers(1, 11, n)
    b, c = (np.clip(a + rng.integers(-w, w + 1, n), 1, 10) for w in (2, 4))
    return a.astype(float), b.astype(float), c.astype(float)


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
@pytest.mark.parametrize("seed", range(4))
def test_cohen_is_scikit_learns(seed: int, weights: str | None) -> None:
    a, b, _ = scores(seed)
    assert cohen(a, b, weights) == pytest.approx(cohen_kappa_score(a, b, weights=weights), abs=1e-9)
    a, b = a[a != 4], b[a != 4]  # a step of the scale that one of them never used
    scale = np.arange(1.0, 11.0)
    expected = cohen_kappa_score(a, b, weights=weights, labels=scale)
    assert cohen(a, b, weights, scale) == pytest.approx(expected, abs=1e-9)
    holes = np.concatenate([a, [np.nan, 3.0]]), np.concatenate([b, [2.0, np.nan]])
    assert cohen(*holes, weights, scale) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.6])
def test_alpha_is_krippendorffs(level: str, missing: float) -> None:
    for seed in range(4):
        values = np.stack(scores(seed))
        values[np.random.default_rng(seed).random(values.shape) < missing] = np.nan
        expected = krippendorff.alpha(values, level_of_measurement=level)
        assert krippendorff_alpha(values, level) == pytest.approx(expected, abs=1e-9)


def test_nothing_to_measure_is_none() -> None:
    same, none = np.ones(9), np.full(9, np.nan)
    assert cohen(same, same) is cohen(same, none) is cohen(same[:0], same[:0]) is None
    assert cohen_interval(same, same) is cohen_interval(same, none) is None
    assert krippendorff_alpha(np.stack([same, same])) is None
    assert krippendorff_alpha(np.stack([same, none])) is None
    assert krippendorff_interval(np.stack([same, same])) is krippendorff_interval(np.stack([same, none])) is None
    with pytest.raises(ValueError, match="label"):
        cohen(same, same, None, np.array([2.0, 3.0]))


def test_full_agreement_and_chance() -> None:
    a, _, _ = scores(0)
    for weights in (None, "linear", "quadratic"):
        assert cohen(a, a, weights) == 1.0
    assert krippendorff_alpha(np.stack([a, a]), "ordinal") == 1.0
    shuffled = np.random.default_rng(0).permutation(a)
    assert abs(cohen(a, shuffled, "quadratic")) < 0.25


def test_intervals_hold_the_figure_and_follow_the_questions() -> None:
    a, b, c = scores(1)
    for weights in (None, "linear", "quadratic"):
        low, high = cohen_interval(a, b, weights, rounds=300)
        assert low < cohen(a, b, weights) < high
    values = np.stack([a, b, c])
    values[0, ::3] = np.nan
    for level in ("nominal", "ordinal", "interval"):
        low, high = krippendorff_interval(values, level, rounds=300)
        assert low < krippendorff_alpha(values, level) < high
    thrice, question = np.repeat(values, 3, axis=1), np.repeat(np.arange(len(a)), 3)
    # Three copies of each item say no more than one, if the interval knows that they are copies.
    one, copied = krippendorff_interval(values, "interval"), krippendorff_interval(thrice, "interval", question)
    assert copied == pytest.approx(one, abs=0.02)
    assert cohen_interval(*thrice[1:], "linear", clusters=question) == pytest.approx(
        cohen_interval(b, c, "linear"), abs=0.02
    )
