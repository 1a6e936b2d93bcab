"""Prediction-powered inference: few verdicts of people, many of a judge, one unbiased figure.

In: for some questions both a person's and the judge's figure, for others the judge's alone. Out: what people would have
said on average over all questions, with an interval that is right however bad the judge is and narrower than people's
alone as far as the judge agrees with them. Sources: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic 2023 (Science
382); Angelopoulos, Duchi and Zrnic 2023, "PPI++" (arXiv:2311.01453), for the tuned weight. Questions in both parts must
be drawn alike: those shown to people are to be chosen by lot. Price: none to speak of.
"""

import math
from dataclasses import dataclass

import numpy as np

from judge.intervals import Clusters, tango
from judge.stats import Array, rate_of, t_quantile


@dataclass(frozen=True, slots=True)
class PredictionPowered:
    """`value`, `low`, `high`: people's mean, helped by the judge; `human_*`: the same from people alone; `judge`: the
    judge's mean over all questions. `weight` is how much of the judge enters, in people's units to the judge's; 0 none.
    Intervals are None for fewer than three questions."""

    n: int  # questions with a person's figure
    unlabelled: int  # questions with the judge's alone
    weight: float
    value: float
    low: float | None
    high: float | None
    human: float
    human_low: float | None
    human_high: float | None
    judge: float


@dataclass(frozen=True, slots=True)
class _Parts:
    human: Array
    judge: Array
    rest: Array


def _by_question(
    human: Array, judge: Array, rest: Array, clusters: Clusters | None, rest_of: Clusters | None
) -> _Parts:
    """Means by question: a question is the unit of the lot, so it counts once however many verdicts it has. One that
    people judged in any row leaves the judge's part."""
    if len(human) != len(judge) or len(human) == 0:
        raise ValueError("each figure of a person needs the judge's figure for the same answers, and there must be one")
    if clusters is None or rest_of is None:
        return _Parts(human, judge, rest)
    names, row = np.unique(clusters, return_inverse=True)
    counts = np.bincount(row)
    alone = ~np.isin(rest_of, names)
    _, rest_row = np.unique(rest_of[alone], return_inverse=True)
    size = np.bincount(rest_row)
    return _Parts(
        np.bincount(row, weights=human) / counts,
        np.bincount(row, weights=judge) / counts,
        np.bincount(rest_row, weights=rest[alone]) / size if len(size) else np.zeros(0),
    )


def _combine(parts: _Parts) -> tuple[float, float, float, float]:
    """weight, value, its variance, and the variance of people's mean alone (both with n - 2 and n - 1 degrees)."""
    y, f, rest = parts.human, parts.judge, parts.rest
    n, m = len(y), len(rest)
    alone = float(y.var(ddof=1)) / n if n > 1 else math.nan
    spread = float(np.concatenate([f, rest]).var(ddof=1)) if n + m > 1 else 0.0
    if m == 0 or n < 3 or spread < 1e-18:
        return 0.0, float(y.mean()), alone, alone
    shared = float(((y - y.mean()) * (f - f.mean())).sum()) / (n - 1)
    weight = shared / ((1.0 + n / m) * spread)
    residual = y - weight * f
    value = weight * float(rest.mean()) + float(residual.mean())
    variance = float(((residual - residual.mean()) ** 2).sum()) / (n - 2) / n
    variance += weight**2 * float(rest.var(ddof=1) if m > 1 else spread) / m
    return weight, value, variance, alone


def ppi_mean(
    human: Array,
    judge: Array,
    rest: Array,
    clusters: Clusters | None = None,
    rest_clusters: Clusters | None = None,
    confidence: float = 0.95,
) -> PredictionPowered:
    """mean(human - w · judge) + w · mean(rest), w = cov(human, judge) / ((1 + n / N) var(judge)) (PPI++, example 6.1).

    human, judge (n,) on the same answers, rest (N,) the judge's elsewhere. Variance var(human - w · judge) / n + w² ·
    var(rest) / N; the first has n - 2 degrees, for w is estimated, and so has t. w is not held within [0, 1], so that
    the judge may score on a scale of its own. `clusters`, `rest_clusters` name the questions where they repeat: then
    questions are averaged first.
    """
    parts = _by_question(human, judge, rest, clusters, rest_clusters)
    weight, value, variance, alone = _combine(parts)
    n = len(parts.human)
    mean = float(parts.human.mean())
    reach = t_quantile(n - 2 if weight else n - 1, confidence) * math.sqrt(variance) if n > 2 else math.nan
    by_hand = t_quantile(n - 1, confidence) * math.sqrt(alone) if n > 2 else math.nan
    known = n > 2
    return PredictionPowered(
        n=n,
        unlabelled=len(parts.rest),
        weight=weight,
        value=value,
        low=value - reach if known else None,
        high=value + reach if known else None,
        human=mean,
        human_low=mean - by_hand if known else None,
        human_high=mean + by_hand if known else None,
        judge=float(np.concatenate([parts.judge, parts.rest]).mean()),
    )


def ppi_win_rate(
    human: Array,
    judge: Array,
    rest: Array,
    clusters: Clusters | None = None,
    rest_clusters: Clusters | None = None,
    confidence: float = 0.95,
) -> PredictionPowered:
    """`ppi_mean` of wins less losses, as a rate: human, judge, rest in [-1, 1], 1 the system won, 0 tie, -1 lost.

    The interval is Tango's score interval (intervals.py) about the combined rate, with as many questions as people
    alone would need for the same variance; so it stays within [0, 1] and has a width also where people all agree.
    """
    parts = _by_question(human, judge, rest, clusters, rest_clusters)
    weight, value, variance, alone = _combine(parts)
    n = len(parts.human)
    gain = alone / variance if n > 2 and variance > 0 else 1.0
    mean, decided = float(parts.human.mean()), float(np.abs(parts.human).mean())
    value = max(-1.0, min(1.0, value))
    z = t_quantile(n - 2, confidence) if n > 2 else math.nan
    low, high = tango(value, max(decided, abs(value)), n * gain, z) if n > 2 else (None, None)
    human_low, human_high = tango(mean, decided, n, z) if n > 2 else (None, None)
    return PredictionPowered(
        n=n,
        unlabelled=len(parts.rest),
        weight=weight,
        value=rate_of(value),
        low=None if low is None else rate_of(low),
        high=None if high is None else rate_of(high),
        human=rate_of(mean),
        human_low=None if human_low is None else rate_of(human_low),
        human_high=None if human_high is None else rate_of(human_high),
        judge=rate_of(float(np.concatenate([parts.judge, parts.rest]).mean())),
    )
