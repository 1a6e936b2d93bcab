"""What the order of two answers does to a judge: averages over both orders, position effect, flips.

In: for each question d1, the difference system minus reference with the reference shown first, and d2, with the system
shown first. Out: the averaged difference d = (d1 + d2) / 2, from which a preference for a place that shifts scores by a
constant falls out exactly, and the effect (d2 - d1) / 2 that being shown first has. Where the scale's end cuts scores
off, d shrinks towards 0 and keeps its sign. Price: none to speak of.
"""

from dataclasses import dataclass

import numpy as np

from judge.intervals import Clusters, t_interval, wilson, win_rate_interval
from judge.stats import TOLERANCE, Array, Interval, rate_of, signs


@dataclass(frozen=True, slots=True)
class Position:
    """`effect` in points of difference; `preferred_when_first` counts ties as halves, 0.5 is no preference."""

    n: int
    effect: float
    effect_interval: Interval | None
    preferred_when_first: float
    preferred_when_first_interval: Interval | None
    verdict_changed: int  # the sign differs between the orders
    verdict_changed_rate: float
    verdict_changed_interval: Interval | None
    strict_flip: int  # the sign is reversed
    strict_flip_rate: float
    strict_flip_interval: Interval | None


def averaged(d1: Array, d2: Array) -> Array:
    """(d1 + d2) / 2 for each question; rounding dust that is left of equal scores is 0."""
    d = (d1 + d2) / 2.0
    return np.where(np.abs(d) < TOLERANCE, 0.0, d)


def agreed(d1: Array, d2: Array) -> Array:
    """The conservative policy: the sign on which both orders agree, else 0, a tie."""
    first, second = signs(d1), signs(d2)
    return np.where(first == second, first, 0.0)


def position(d1: Array, d2: Array, clusters: Clusters | None = None, confidence: float = 0.95) -> Position:
    """Mean (d2 - d1) / 2 with Student's interval over questions, how often the first answer is preferred, and flips.

    d1, d2 (n,) without NaN, n at least 1. The interval of a share of flips is Wilson's over rows; rows that share a
    question (`clusters`) get Tango's with the design effect.
    """
    n = len(d1)
    if n == 0:
        raise ValueError("a position effect needs a question with both orders")
    effect = (d2 - d1) / 2.0
    first_preferred = (signs(d2) - signs(d1)) / 2.0
    changed, flipped = signs(d1) != signs(d2), signs(d1) * signs(d2) < 0
    return Position(
        n=n,
        effect=float(effect.mean()) + 0.0,
        effect_interval=t_interval(effect, clusters, confidence),
        preferred_when_first=rate_of(float(first_preferred.mean())),
        preferred_when_first_interval=win_rate_interval(first_preferred, clusters, confidence),
        verdict_changed=int(changed.sum()),
        verdict_changed_rate=float(changed.mean()),
        verdict_changed_interval=_rate_interval(changed.astype(np.float64), clusters, confidence),
        strict_flip=int(flipped.sum()),
        strict_flip_rate=float(flipped.mean()),
        strict_flip_interval=_rate_interval(flipped.astype(np.float64), clusters, confidence),
    )


def _rate_interval(hits: Array, clusters: Clusters | None, confidence: float) -> Interval | None:
    if clusters is None:
        return wilson(int(hits.sum()), len(hits), confidence)
    return win_rate_interval(2.0 * hits - 1.0, clusters, confidence)
