"""How well scores part good from bad texts: AUC, calibration, thresholds. Over arrays, without a library.

In: scores of good and of bad texts. Out: numbers; each good and each bad text weighs as if there were as many of both,
because how many of each somebody gave says nothing about the texts to be judged.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]
BINS = 10


def auc(good: Scores, bad: Scores) -> float:
    """The chance that a good text scores above a bad one, ties counting half."""
    both = np.concatenate([good, bad]).astype(np.float64)
    order = np.argsort(both, kind="stable")
    ranks = np.empty(len(both))
    ranks[order] = np.arange(1, len(both) + 1)
    _, place, counts = np.unique(both, return_inverse=True, return_counts=True)
    means = np.bincount(place, ranks) / counts
    total = float(means[place][: len(good)].sum())
    return (total - len(good) * (len(good) + 1) / 2) / (len(good) * len(bad))


@dataclass(frozen=True, slots=True)
class Bin:
    """Texts with scores in a tenth of 0…1: their mean score, and the share of good ones among them."""

    mean: float
    share: float
    good: int
    bad: int


def calibration(good: Scores, bad: Scores) -> tuple[list[Bin], float]:
    """The bins that hold a text, and the expected calibration error over them."""
    both, is_good = np.concatenate([good, bad]), np.arange(len(good) + len(bad)) < len(good)
    weight = np.where(is_good, 0.5 / len(good), 0.5 / len(bad))
    place = np.minimum((both * BINS).astype(int), BINS - 1)
    found, error = [], 0.0
    for number in range(BINS):
        here = place == number
        if not here.any():
            continue
        whole = float(weight[here].sum())
        mean = float((both * weight)[here].sum()) / whole
        share = float(weight[here & is_good].sum()) / whole
        found.append(Bin(mean, share, int((here & is_good).sum()), int((here & ~is_good).sum())))
        error += whole * abs(mean - share)
    return found, error


def platt(good: NDArray[np.float64], bad: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and offset of the logistic curve over margins (Platt 1999, with his targets), by Newton's method."""
    x = np.concatenate([good, bad])
    high, low = (len(good) + 1) / (len(good) + 2), 1 / (len(bad) + 2)
    y = np.where(np.arange(len(x)) < len(good), high, low)
    weight = np.where(np.arange(len(x)) < len(good), 0.5 / len(good), 0.5 / len(bad))
    slope, offset = 1.0, 0.0
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(slope * x + offset, -30, 30)))
        gradient = np.array([(weight * (p - y) * x).sum(), (weight * (p - y)).sum()])
        curve = weight * p * (1 - p)
        hessian = np.array([[(curve * x * x).sum(), (curve * x).sum()], [(curve * x).sum(), curve.sum()]])
        step = np.linalg.solve(hessian + 1e-9 * np.eye(2), gradient)
        step /= max(1.0, float(np.abs(step).max()))  # far from the end a whole step may overshoot
        slope, offset = slope - step[0], offset - step[1]
        if float(np.abs(step).max()) < 1e-9:
            break
    return max(float(slope), 1e-3), float(offset)


def thresholds(good: Scores, bad: Scores, shares: tuple[float, ...] = (0.99, 0.95, 0.9, 0.8)) -> list[dict[str, float]]:
    """For each share of good texts to keep: the score that does, and the share of bad texts that it lets through."""
    found = []
    for share in shares:
        bound = float(np.quantile(good, 1 - share, method="lower"))
        found.append(
            {
                **{"min": round(bound, 4), "good": round(float((good >= bound).mean()), 4)},
                "bad": round(float((bad >= bound).mean()), 4),
            }
        )
    return found
