"""How far several judges of one run agree, question by question.

In: a table of verdicts. Out: for each two judges the share of equal results and kappas, and Krippendorff's alpha over
all of them. Compared is what counts, the result averaged over both orders. Price: 0.1 s for 100,000 verdicts.
"""

from itertools import combinations
from typing import Any

import numpy as np

from judge.kappa import cohen, krippendorff_alpha
from judge.stats import Array, signs
from judge.table import OK, Table


def averaged_margins(table: Table) -> Array:
    """(judges, questions times pairs): of the system that was named first; NaN without both orders."""
    width = len(table.systems)
    low, high = np.minimum(table.first, table.second), np.maximum(table.first, table.second)
    _, item = np.unique((table.question * width + low) * width + high, return_inverse=True)
    items, judges = int(item.max()) + 1 if len(item) else 0, len(table.judges)
    swapped = (table.first > table.second).astype(np.int64)
    rows = table.state == OK
    cell = ((table.judge * items + item) * 2 + swapped)[rows]
    margin = np.where(swapped == 1, -table.margin, table.margin)[rows]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(cell, margin, judges * items * 2) / np.bincount(cell, minlength=judges * items * 2)
    orders = mean.reshape(judges, items, 2)
    found: Array = (orders[:, :, 0] + orders[:, :, 1]) / 2.0
    return found


def between_judges(table: Table) -> dict[str, Any]:
    """Identical answers, which no judge saw, are left out."""
    margins = averaged_margins(table)
    results = np.where(np.isnan(margins), np.nan, signs(margins))
    pairs = []
    for one, other in combinations(range(len(table.judges)), 2):
        both = ~np.isnan(results[one]) & ~np.isnan(results[other])
        a, b = results[one][both], results[other][both]
        pairs.append(
            {
                "judges": [table.judges[one], table.judges[other]],
                "n": int(both.sum()),
                "agree": float((a == b).mean()) if len(a) else None,
                "opposite": float((a * b < 0).mean()) if len(a) else None,
                "kappa": cohen(a, b) if len(a) else None,
                "weighted_kappa": cohen(a, b, "linear") if len(a) else None,
            }
        )
    return {
        "pairs": pairs,
        "alpha_result": krippendorff_alpha(results, "nominal"),
        "alpha_margin": krippendorff_alpha(margins, "interval"),
    }
