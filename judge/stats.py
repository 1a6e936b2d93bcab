"""Tests on the differences of pairs: paired t, sign test, Wilcoxon's signed ranks, Holm, wins and win rates.

In: one difference d for each question (system minus reference). Out: p values that are two-sided, counts, rates. What
the data cannot say is None, never a number. Exchanging the two systems, d to -d, negates means and intervals bit for
bit, mirrors win rates bit for bit and leaves p values as they are. Price: a sort at most; 100,000 differences in 20 ms.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]
Interval = tuple[float, float]

# Averages over samples leave dust of 1e-15 where scores are equal: what is nearer to zero than this is a tie.
TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class TTest:
    """`p`, `low` and `high` are None for one difference alone and where all are the same (`p` is 1 if all are 0):
    without spread the test does not know how sure it is (scipy says p = 0, also for two questions)."""

    n: int
    mean: float
    sem: float | None
    p: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class WinTieLoss:
    win: int
    tie: int
    loss: int

    @property
    def n(self) -> int:
        return self.win + self.tie + self.loss

    @property
    def win_rate(self) -> float | None:
        """(wins + ties / 2) / n; None for no question. The rate of the other system is 1 minus this bit for bit."""
        return share(2 * self.win + self.tie, 2 * self.loss + self.tie)


def share(hits: float, misses: float) -> float | None:
    """hits / (hits + misses), of which the lesser half is one minus the greater, so that both add up to 1 exactly."""
    total = hits + misses
    if total == 0:
        return None
    return hits / total if hits >= misses else 1.0 - misses / total


def rate_of(balance: float) -> float:
    """From [-1, 1] (wins less losses) to a rate in [0, 1]; rate_of(-x) is 1 - rate_of(x) bit for bit."""
    half = min(abs(balance), 1.0) / 2.0
    return 0.5 + half if balance >= 0 else 1.0 - (0.5 + half)


def signs(d: Array) -> Array:
    """-1, 0, 1 for each difference; a win, tie or loss of the system."""
    return np.where(np.abs(d) < TOLERANCE, 0.0, np.sign(d)) + 0.0


def z_quantile(confidence: float) -> float:
    return float(special.ndtri(0.5 + confidence / 2.0))


def t_quantile(df: float, confidence: float) -> float:
    """How many standard errors the two-sided interval reaches to each side."""
    return float(special.stdtrit(df, 0.5 + confidence / 2.0))


def t_test(d: Array, confidence: float = 0.95) -> TTest:
    """Paired t test (Student 1908): mean d, sd(d, n - 1) / sqrt(n), interval mean ± t(n - 1) · sem."""
    d = np.ascontiguousarray(d, dtype=np.float64)
    n = len(d)
    if n == 0:
        raise ValueError("a t test needs a difference")
    mean = float(d.mean()) + 0.0
    if n == 1:
        return TTest(1, mean, None, None, None, None)
    if float(np.ptp(d)) < TOLERANCE:
        return TTest(n, mean, 0.0, 1.0 if abs(mean) < TOLERANCE else None, None, None)
    sem = float(d.std(ddof=1)) / math.sqrt(n)
    p = 2.0 * float(special.stdtr(n - 1, -abs(mean / sem)))
    reach = t_quantile(n - 1, confidence) * sem
    return TTest(n, mean, sem, p, mean - reach, mean + reach)


def sign_test(d: Array) -> float:
    """Exact two-sided binomial test of wins against losses, ties left out (Dixon and Mood 1946); 1.0 for ties alone."""
    won = signs(d)
    win, loss = int((won > 0).sum()), int((won < 0).sum())
    return min(1.0, 2.0 * float(special.bdtr(min(win, loss), win + loss, 0.5)))


def ranks(x: Array) -> Array:
    """1 for the least; equal values (nearer than TOLERANCE after rounding) share the mean of their ranks."""
    _, inverse, counts = np.unique(np.round(x, 9), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((2 * last - counts + 1) / 2.0)[inverse]


def wilcoxon(d: Array) -> float:
    """Signed ranks (Wilcoxon 1945), two-sided: zeros dropped, mid-ranks, normal approximation.

    z = (T - n(n+1)/4) / sqrt(n(n+1)(2n+1)/24 - sum(t³ - t)/48) with T the lesser rank sum and t the sizes of groups
    that tie (Lehmann 1975, section 3.2); no continuity correction. Below about ten differences trust the sign test,
    which is exact. 1.0 where nothing but zeros is left.
    """
    d = d[signs(d) != 0]
    n = len(d)
    if n == 0:
        return 1.0
    rank = ranks(np.abs(d))
    above, below = float(rank[d > 0].sum()), float(rank[d < 0].sum())
    _, tied = np.unique(rank, return_counts=True)
    tied = tied.astype(np.float64)
    variance = n * (n + 1) * (2 * n + 1) / 24.0 - float((tied**3 - tied).sum()) / 48.0
    z = (min(above, below) - n * (n + 1) / 4.0) / math.sqrt(variance)
    return min(1.0, 2.0 * float(special.ndtr(z)))


def holm(ps: Sequence[float] | Array) -> Array:
    """p values adjusted for that many tests (Holm 1979): max over the smaller ones of (m - rank + 1) · p, at most 1.

    NaN marks a test that could not be made: it stays NaN and counts as no test.
    """
    p = np.asarray(ps, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * steps), 1.0)
    return adjusted


def win_tie_loss(sign: Array) -> WinTieLoss:
    """Counts of what `signs` made of differences, or `position.agreed` of two orders."""
    return WinTieLoss(int((sign > 0).sum()), int((sign == 0).sum()), int((sign < 0).sum()))
