"""How long the answers of two systems are, and what that has to do with which is preferred.

In: a meeting, and the answers of the run where it has them. Out: mean lengths in characters, correlations of the
length difference with the difference of scores, and the win rate at equal length; None without answers. Price: 1 µs a
question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from judge.length import Correlation, length_adjusted, pearson, spearman
from judge.position import averaged
from judge.records import Answer
from judge.stats import signs
from judge.table import Meeting


def length_figures(
    met: Meeting, questions: Sequence[str], answers: Mapping[tuple[str, str], Answer]
) -> dict[str, Any] | None:
    """Of the questions that both orders are known of."""
    if not answers or met.n == 0:
        return None
    lengths = [
        [_length(answers.get((questions[q], name))) for q in met.question] for name in (met.system, met.reference)
    ]
    sys, ref = (np.array(one, dtype=np.float64) for one in lengths)
    known = ~np.isnan(sys) & ~np.isnan(ref)
    if not known.any():
        return None
    longer = (sys - ref)[known]
    d = averaged(met.d1, met.d2)[known]
    adjusted = length_adjusted(signs(d), longer)
    return {
        "n": int(known.sum()),
        "sys_mean": float(sys[known].mean()),
        "ref_mean": float(ref[known].mean()),
        "longer_share": float((signs(longer).mean() + 1.0) / 2.0),
        "pearson": _correlation(pearson(longer, d)),
        "spearman": _correlation(spearman(longer, d)),
        "win_rate_adjusted": None if adjusted is None else adjusted.win_rate,
        "win_rate_adjusted_interval": None if adjusted is None else [adjusted.low, adjusted.high],
        "slope": None if adjusted is None else adjusted.slope,
        "slope_interval": None if adjusted is None else [adjusted.slope_low, adjusted.slope_high],
        "separated": None if adjusted is None else adjusted.separated,
    }


def _length(answer: Answer | None) -> float:
    return np.nan if answer is None or answer.text is None else float(len(answer.text))


def _correlation(found: Correlation | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
