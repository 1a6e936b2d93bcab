"""Power: statsmodels agrees, the two directions of each question undo each other, and what cannot be shown is None."""

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from judge.power import (
    detectable_difference,
    detectable_win_rate,
    questions_for_difference,
    questions_for_win_rate,
    t_power,
)


@pytest.mark.parametrize("n", [5, 20, 80, 500, 20_000])
def test_differences_are_statsmodels(n: int) -> None:
    theirs = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert detectable_difference(n, 1.0) == pytest.approx(theirs, abs=1e-6)
    assert detectable_difference(n, 2.5) == pytest.approx(2.5 * theirs, abs=1e-6)
    assert t_power(detectable_difference(n, 1.0), n) == pytest.approx(0.8, abs=1e-9)
    assert t_power(0.3, n) == pytest.approx(TTestPower().power(0.3, n, 0.05), abs=1e-6)
    assert questions_for_difference(detectable_difference(n, 1.0) + 1e-9, 1.0) == n


@pytest.mark.parametrize("effect", [0.05, 0.2, 0.5, 1.3, 4.0])
def test_questions_are_statsmodels(effect: float) -> None:
    n = questions_for_difference(effect, 1.0)
    assert TTestPower().power(effect, n, 0.05) >= 0.8 > (TTestPower().power(effect, n - 1, 0.05) if n > 2 else 0)
    assert questions_for_difference(-3 * effect, 3.0) == n


def test_what_no_number_of_questions_shows() -> None:
    assert questions_for_difference(0.0, 1.0) is questions_for_win_rate(0.5) is None
    assert questions_for_difference(1e-9, 1.0) is None
    assert questions_for_difference(1.0, 0.0) == 2
    assert detectable_difference(1, 1.0) is None
    assert detectable_win_rate(3) is detectable_win_rate(1) is None
    assert detectable_win_rate(100, 1.0) is None


@pytest.mark.parametrize("ties", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("n", [30, 80, 1000])
def test_win_rates_have_the_promised_power(n: int, ties: float) -> None:
    x = detectable_win_rate(n, ties)
    assert questions_for_win_rate(0.5 + x + 1e-9, ties) in (n, n + 1)
    assert questions_for_win_rate(0.5 - x - 1e-9, ties) in (n, n + 1)
    rng = np.random.default_rng(0)
    win = (1 - ties) / 2 + x
    counts = rng.multinomial(n, [win, ties, 1 - ties - win], 40_000)
    z = (counts[:, 0] - counts[:, 2]) / np.sqrt(n * (1 - ties))
    assert (np.abs(z) > 1.959964).mean() == pytest.approx(0.8, abs=0.04)  # counts are whole, so not finer
