"""Intervals for means, win rates, shares and ratios, clustered by question.

In: numbers, and for each the question it belongs to where a question has several (`clusters`, whole numbers). Out:
(low, high), or None where the data cannot say. Which interval for what, and why:
- a mean: Student's t with the sandwich variance over clusters, and beside it the bootstrap-t. Of 20 exponential
  differences the percentile bootstrap covers 91 % (too narrow, and blind to skewness), t 92 %, bootstrap-t 95 %. Where
  one question in ten decides, none covers more than 88 % at 20 questions; at 80 all do (bench/judge.py);
- a win rate: Tango's score interval, which is Wilson's with ties; 80 losses of 80 give [0, 0.046], not [0, 0];
- a ratio of means: Fieller's, which needs no positive scores and mirrors when the two systems change places.
Every interval of negated values is the negated interval, bit for bit. Price: 2,000 bootstrap rounds over 2,000
questions take 0.1 s; more questions cost no more, see MOST_CLUSTERS.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from judge.stats import Array, Interval, rate_of, t_quantile, z_quantile

Clusters = npt.NDArray[np.int64]

# More clusters than this are joined by lot to this many groups before they are resampled. The groups are independent
# and alike, so the bootstrap stays what it is; its width is known to 1 / sqrt(2 · 2,000), that is to 1.6 %, which is
# less than what 2,000 rounds leave to chance.
MOST_CLUSTERS: Final = 2_000
# Below this many clusters resamples repeat and often have no spread, so a bootstrap says less than t does.
FEWEST_CLUSTERS: Final = 8
# One far outlier that a third of the resamples miss sends bootstrap-t to infinity: a side reaches at most so many times
# as far as Student's does. Scores of 20 questions drawn from an exponential distribution need 2.3 times.
LONGEST_SIDE: Final = 4.0
CHUNK_DRAWS: Final = 4_000_000


def resamples(n: int, rounds: int, seed: int) -> Iterator[Array]:
    """How often each of n clusters is drawn, (some rounds, n) at a time; drawn from the seed alone."""
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK_DRAWS // max(n, 1))
    for start in range(0, rounds, step):
        size = min(step, rounds - start)
        drawn = rng.integers(0, n, size=(size, n))
        drawn += np.arange(size)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def quantile_pair(sorted_values: Array, confidence: float) -> tuple[Array, Array]:
    """The k-th least and greatest along axis 0, k = floor((rounds + 1)(1 - confidence) / 2) (Hesterberg 2015)."""
    k = max(1, int((len(sorted_values) + 1) * (1.0 - confidence) / 2.0 + 1e-9))
    return sorted_values[k - 1], sorted_values[-k]


def _sums(values: Array, clusters: Clusters | None) -> tuple[Array, Array]:
    """(clusters, columns) sums of values and counts of values that are not NaN."""
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    known = ~np.isnan(table)
    table = np.where(known, table, 0.0)
    if clusters is None:
        return np.ascontiguousarray(table), known.astype(np.float64)
    names, row = np.unique(clusters, return_inverse=True)
    return _joined(table, row, len(names)), _joined(known.astype(np.float64), row, len(names))


def _joined(table: Array, row: npt.NDArray[np.int64], n: int) -> Array:
    columns = [np.bincount(row, weights=table[:, j], minlength=n) for j in range(table.shape[1])]
    return np.ascontiguousarray(np.stack(columns, axis=1)).astype(np.float64)


def lots(n: int, seed: int) -> npt.NDArray[np.int64]:
    """The group of each of n clusters: itself, or one of MOST_CLUSTERS by lot."""
    if n <= MOST_CLUSTERS:
        return np.arange(n)
    return np.random.default_rng([seed, n]).permutation(n) % MOST_CLUSTERS


def groups_of(n: int, clusters: Clusters | None, seed: int) -> tuple[npt.NDArray[np.int64], int]:
    """The group of each of n rows, and how many groups there are: what a bootstrap draws from."""
    if clusters is None:
        return lots(n, seed), min(n, MOST_CLUSTERS)
    names, row = np.unique(clusters, return_inverse=True)
    return lots(len(names), seed)[row], min(len(names), MOST_CLUSTERS)


def grouped(sums: Array, counts: Array, seed: int) -> tuple[Array, Array]:
    """At most MOST_CLUSTERS rows of (clusters, columns)."""
    if len(sums) <= MOST_CLUSTERS:
        return sums, counts
    lot = lots(len(sums), seed)
    return _joined(sums, lot, MOST_CLUSTERS), _joined(counts, lot, MOST_CLUSTERS)


def _mean_and_sem(sums: Array, counts: Array) -> tuple[Array, Array, Array]:
    """Mean, its standard error and the number of clusters, each (columns,); NaN where there are none."""
    total = counts.sum(axis=0)
    used = (counts > 0).sum(axis=0).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums.sum(axis=0) / total
        residual = sums - mean * counts
        sem = np.sqrt(used / (used - 1.0) * (residual**2).sum(axis=0)) / total
    return mean, sem, used


def t_interval(values: Array, clusters: Clusters | None = None, confidence: float = 0.95) -> Interval | None:
    """mean ± t(G - 1) · se with se² = G / (G - 1) · sum over clusters of (sum of residuals)² / n² (Liang, Zeger 1986).

    values (n,), NaN is left out; clusters (n,). One value for each cluster gives the interval of `stats.t_test`. None
    for fewer than two clusters.
    """
    mean, sem, used = (x[0] for x in _mean_and_sem(*_sums(values, clusters)))
    if used < 2:
        return None
    reach = t_quantile(used - 1, confidence) * float(sem)
    return float(mean) - reach + 0.0, float(mean) + reach + 0.0


def bootstrap(
    values: Array, clusters: Clusters | None = None, rounds: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Interval | None:
    """Bootstrap-t interval of a mean over clusters that are drawn with replacement (Efron and Tibshirani 1993, 12.5).

    Of each resample t* = (mean* - mean) / se*, with the se of `t_interval`; low = mean - t*(97.5 %) · se, high = mean -
    t*(2.5 %) · se. values (n,), NaN is left out. With fewer than 8 clusters it is Student's t; None for fewer than two.
    """
    low, high = bootstrap_columns(np.asarray(values)[:, None], clusters, rounds, seed, confidence)
    return None if np.isnan(low[0]) else (float(low[0]), float(high[0]))


def bootstrap_columns(
    values: Array, clusters: Clusters | None = None, rounds: int = 2000, seed: int = 0, confidence: float = 0.95
) -> tuple[Array, Array]:
    """`bootstrap` of several figures of the same questions, same draws: values (n, m) to low (m,), high (m,)."""
    if len(values) == 0:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    sums, counts = grouped(*_sums(values, clusters), seed)
    mean, sem, used = _mean_and_sem(sums, counts)
    centred = sums - mean * counts
    columns = np.ascontiguousarray(
        np.concatenate([centred, counts, centred**2, centred * counts, counts**2], axis=1)
    )  # (G, 5m): all that a resample's mean and its error need
    drawn = np.concatenate([weights @ columns for weights in resamples(len(sums), rounds, seed)])
    s, n, ss, sn, nn = np.split(drawn, 5, axis=1)  # (rounds, m) each
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = s / n
        variance = used / (used - 1.0) * (ss - 2.0 * shift * sn + shift**2 * nn) / n**2
        flat = ~(variance > 1e-12 * sem**2)  # a resample without spread
        t = np.where(flat, np.copysign(np.inf, shift), shift / np.sqrt(np.where(flat, 1.0, variance)))
    t = np.where(np.abs(shift) <= 1e-12 * sem, 0.0, np.where(n > 0, t, 0.0))
    low_t, high_t = quantile_pair(np.sort(t, axis=0), confidence)
    student = np.array([t_quantile(max(g - 1, 1), confidence) for g in used])
    limit = np.where(used < FEWEST_CLUSTERS, student, LONGEST_SIDE * student)
    low_t = np.where(used < FEWEST_CLUSTERS, -student, np.maximum(low_t, -limit))
    high_t = np.where(used < FEWEST_CLUSTERS, student, np.minimum(high_t, limit))
    unknown = used < 2
    low, high = mean - high_t * sem, mean - low_t * sem
    return np.where(unknown, np.nan, low) + 0.0, np.where(unknown, np.nan, high) + 0.0


def percentiles(figures: Array, confidence: float) -> Interval | None:
    """Percentile interval of resampled figures (rounds,); None where 5 % or more of them are not defined (NaN)."""
    known = np.sort(figures[~np.isnan(figures)])
    if len(known) <= 0.95 * len(figures):
        return None
    low, high = quantile_pair(known, confidence)
    return float(low), float(high)


def wilson(hits: int, n: int, confidence: float = 0.95) -> Interval | None:
    """A share of independent questions, hits of n (Wilson 1927); None for n = 0."""
    if n == 0:
        return None
    z = z_quantile(confidence)
    return _wilson_low(hits, n, z), 1.0 - _wilson_low(n - hits, n, z)


def _wilson_low(hits: int, n: int, z: float) -> float:
    if hits == 0:
        return 0.0
    p = hits / n
    return max(0.0, (p + z * z / (2 * n) - z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n))


def win_rate_interval(balance: Array, clusters: Clusters | None = None, confidence: float = 0.95) -> Interval | None:
    """Interval of the rate (1 + mean balance) / 2, balance (n,) in [-1, 1]: 1 a win, 0 a tie, -1 a loss.

    Tango's score interval (1998) for wins less losses, which is Wilson's interval where ties are counted as what they
    are, and never of no width. Where rows share a question, or halves stand between a win and a tie, n is divided by
    the design effect, that is the clustered variance over that of independent wins and losses (Korn and Graubard 1998),
    itself drawn towards 1 by the weight of four questions, and z becomes t(G - 1).
    """
    known = ~np.isnan(balance)
    u = np.asarray(balance, dtype=np.float64)[known]
    n = len(u)
    if n == 0:
        return None
    wins, losses = float(np.maximum(u, 0.0).sum()), float(np.maximum(-u, 0.0).sum())
    z, effect = z_quantile(confidence), 1.0
    if clusters is not None or bool(((u != 0) & (np.abs(u) != 1)).any()):
        sums, counts = _sums(u, None if clusters is None else clusters[known])
        groups = len(sums)
        if groups < 2:
            return 0.0, 1.0
        mean = (wins - losses) / n
        apart = (wins + losses) / n - mean * mean
        together = float(((sums - mean * counts) ** 2).sum()) / n
        effect = (groups * together + 4.0 * apart) / ((groups + 4.0) * apart) if apart > 0 else n / groups
        z = t_quantile(groups - 1, confidence) if groups < n else z
    low, high = _tango(wins / effect, losses / effect, n / effect, z)
    return rate_of(low), rate_of(high)


def tango(balance: float, decided: float, n: float, z: float) -> Interval:
    """Tango's interval of wins less losses, in [-1, 1], from n questions of which a share `decided` was won or lost."""
    return _tango((decided + balance) / 2.0 * n, (decided - balance) / 2.0 * n, n, z)


def _tango(wins: float, losses: float, n: float, z: float) -> Interval:
    return -_tango_high(losses, wins, n, z), _tango_high(wins, losses, n, z)


def _tango_high(wins: float, losses: float, n: float, z: float) -> float:
    """The greatest difference x of the shares that is not rejected: (wins - losses - n x)² <= z² n (2q + x (1 - x)),
    with q the likeliest share of losses given x (Tango 1998, equation 4). Found by halving to 1e-15."""
    inside, outside = (wins - losses) / n, 1.0
    for _ in range(60):
        x = (inside + outside) / 2.0
        b = (2.0 * n - wins + losses) * x - wins - losses
        q = (math.sqrt(max(0.0, b * b + 8.0 * n * losses * x * (1.0 - x))) - b) / (4.0 * n)
        kept = n * x - (wins - losses) <= z * math.sqrt(max(0.0, n * (2.0 * q + x * (1.0 - x))))
        inside, outside = (x, outside) if kept else (inside, x)
    return inside


def ratio_interval(
    system: Array, reference: Array, clusters: Clusters | None = None, confidence: float = 0.95
) -> Interval | None:
    """Interval of mean(system) / mean(reference) over pairs of scores, each (n,) (Fieller 1954, clustered).

    All r for which mean(system - r · reference) is within t(G - 1) standard errors of 0. None where the mean of the
    reference is not told from 0, for then the interval has no end, and for fewer than two clusters.
    """
    table = np.stack([np.asarray(system, dtype=np.float64), np.asarray(reference, dtype=np.float64)], axis=1)
    kept = ~np.isnan(table).any(axis=1)
    sums, counts = _sums(table[kept], None if clusters is None else clusters[kept])
    groups = len(sums)
    if groups < 2:
        return None
    mean, _, _ = _mean_and_sem(sums, counts)
    residual = (sums - mean * counts) / counts.sum(axis=0)
    covariance = groups / (groups - 1.0) * residual.T @ residual
    t2 = t_quantile(groups - 1, confidence) ** 2
    a = float(mean[1] ** 2 - t2 * covariance[1, 1])
    b = float(mean[0] * mean[1] - t2 * covariance[0, 1])
    c = float(mean[0] ** 2 - t2 * covariance[0, 0])
    if a <= 0:
        return None
    root = math.sqrt(max(0.0, b * b - a * c))
    return (b - root) / a, (b + root) / a
