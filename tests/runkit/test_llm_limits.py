"""The rate that is found by trying, against endpoints that are simulated call by call."""

import random

import pytest

from runkit.llm_limits import Learned


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("refused", [0.03, 0.1])
@pytest.mark.parametrize("calls_a_second", [0.5, 5.0, 50.0])
def test_refusals_by_chance_do_not_slow_a_run_down(calls_a_second: float, refused: float, seed: int) -> None:
    draw, learned, now = random.Random(seed), Learned(), 0.0
    for _ in range(2000):
        now += 1 / min(calls_a_second, learned.pace.rate)
        learned.count(now, draw.random() < refused)
    assert now < 2 * 2000 / calls_a_second


@pytest.mark.parametrize("limit", [0.5, 5.0, 50.0])
def test_a_limit_is_found(limit: float) -> None:
    """An endpoint whose bucket fills at `limit` a second and holds ten seconds of it; we could send five times more."""
    learned, now, bucket, passed = Learned(), 0.0, 10 * limit, 0
    refused_late = 0
    for number in range(6000):
        step = 1 / min(5 * limit, learned.pace.rate)
        now += step
        bucket = min(10 * limit, bucket + step * limit)
        refused = bucket < 1
        bucket -= not refused
        passed += not refused
        refused_late += refused and number >= 3000
        learned.count(now, refused)
    assert passed > 0.85 * limit * now  # the limit is used
    assert refused_late < 0.1 * 3000  # and hardly overrun
