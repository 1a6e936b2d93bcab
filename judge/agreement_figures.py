"""How far a judge agrees with people, and how far people agree with each other and themselves.

In: results of people and of a judge on the same pairs of answers. Out: shares with intervals, kappas, alphas. The
ceiling: a judge can hardly predict people better than one of them predicts the others, so each share of the judge
stands beside the same share of people, on the same pairs. Intervals take pairs of one question as one draw. Price: 0.5
s, most of it resampling for kappas.
"""

from itertools import combinations
from typing import Any, Final

import numpy as np

from judge.agreement_data import People, mean_over
from judge.intervals import win_rate_interval
from judge.kappa import cohen, cohen_interval, krippendorff_alpha, krippendorff_interval
from judge.stats import Array, Interval, sign_test
from judge.table import Codes, Mask

RESULTS: Final = np.array([-1.0, 0.0, 1.0])


def share(hits: Mask, question: Codes) -> dict[str, Any]:
    """How often, with a score interval over questions; `value` and `interval` None for nothing."""
    if len(hits) == 0:
        return {"n": 0, "value": None, "interval": None}
    repeated = len(np.unique(question)) < len(question)
    interval = win_rate_interval(np.where(hits, 1.0, -1.0), question if repeated else None)
    return {"n": len(hits), "value": float(hits.mean()), "interval": pair(interval)}


def pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)


def against(said: Array, truth: Array, question: Codes) -> dict[str, Any]:
    """Two rows of results: `accuracy` where both decided, `same` over all three results, kappas over all three."""
    both = ~(np.isnan(said) | np.isnan(truth))
    a, b, q = said[both], truth[both], question[both]
    decided = (a != 0) & (b != 0)
    return {
        "n": len(a),
        "accuracy": share((a == b)[decided], q[decided]),
        "same": share(a == b, q),
        "kappa": cohen(a, b, labels=RESULTS) if len(a) else None,
        "kappa_interval": pair(cohen_interval(a, b, labels=RESULTS, clusters=q)) if len(a) else None,
        "weighted_kappa": cohen(a, b, "linear", labels=RESULTS) if len(a) else None,
    }


def judge_against_people(people: People, judged: Array) -> dict[str, Any]:
    """judged (units,): the judge's results. Against the majority of people, by class, and against the ceiling."""
    majority, classes = people.majority(), np.array(people.categories)
    return {
        **against(judged, majority, people.question),
        "per_category": {
            name: _short(against(judged[classes == name], majority[classes == name], people.question[classes == name]))
            for name in sorted(set(people.categories))
        },
        "per_reviewer": {
            name: _short(against(judged, people.results[number], people.question))
            for number, name in enumerate(people.reviewers)
        },
        "ceiling": ceiling(people, judged),
    }


def _short(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("n", "accuracy", "kappa")}


def ceiling(people: People, judged: Array | None = None) -> dict[str, Any]:
    """One person predicts another one; one person predicts the majority of the others. With `judged` the judge in
    their place, on the same pairs and against the same people. Where both sides decided."""
    single: list[tuple[Array, Array]] = []
    whole: list[tuple[Array, Array]] = []
    numbers, known = range(len(people.reviewers)), ~np.isnan(people.results)
    several = known.sum(axis=0) >= 2
    if judged is None:
        single = [(people.results[one], people.results[other]) for one, other in combinations(numbers, 2)]
    else:
        single = [(_only(judged, several), people.results[other]) for other in numbers]
    for one in numbers:
        chosen = known[one] & (known.sum(axis=0) >= 3)
        whole.append((_only(people.results[one] if judged is None else judged, chosen), people.majority(one)))
    return {"another": _pooled(single, people.question), "others": _pooled(whole, people.question)}


def _only(values: Array, known: Mask) -> Array:
    return np.where(known, values, np.nan)


def _pooled(rows: list[tuple[Array, Array]], question: Codes) -> dict[str, Any]:
    """Over all rows; a unit may come in several, and its question is one draw."""
    if not rows:
        return share(np.zeros(0, dtype=np.bool_), question[:0])
    said, truth = (np.concatenate(part) for part in zip(*rows, strict=True))
    decided = ~np.isnan(said) & ~np.isnan(truth) & (said != 0) & (truth != 0)
    return share((said == truth)[decided], np.tile(question, len(rows))[decided])


def among_people(people: People) -> dict[str, Any]:
    """Kappas of each two, alphas of all, the ceiling."""
    pairs = []
    for one, other in combinations(range(len(people.reviewers)), 2):
        found = against(people.results[one], people.results[other], people.question)
        if found["n"]:
            pairs.append({"reviewers": [people.reviewers[one], people.reviewers[other]], **found})
    several = len(people.reviewers) > 1
    results, question = people.results, people.question
    return {
        "pairs": pairs,
        "alpha": krippendorff_alpha(results) if several else None,
        "alpha_interval": pair(krippendorff_interval(results, clusters=question)) if several else None,
        "alpha_ordinal": krippendorff_alpha(results, "ordinal") if several else None,
        "ceiling": ceiling(people),
    }


def each_person(people: People) -> dict[str, Any]:
    """What each of them gave, their leaning to a side, and how often they said the same of the same item again."""
    found = {}
    for number, name in enumerate(people.reviewers):
        results = people.results[number]
        known = results[~np.isnan(results)]
        times = people.seconds[number]
        found[name] = {
            "pairs": len(known),
            "ties": int((known == 0).sum()) - int(people.both_bad[number]),
            "both_bad": int(people.both_bad[number]),
            "scored": int((~np.isnan(people.margins[number])).sum()),
            "median_seconds": float(np.median(times)) if times else None,
            "position": position(people.sides[number]),
            "again": again(people, number),
        }
    return found


def position(sides: Array) -> dict[str, Any]:
    """How often the left answer won, of those that won; p: exact, two-sided, of no leaning."""
    left, right = (int(count) for count in sides)
    won = np.repeat([1.0, -1.0], [left, right])
    interval = win_rate_interval(won)
    return {
        "left": left,
        "right": right,
        "left_share": left / (left + right) if left + right else None,
        "interval": pair(interval),
        "p": sign_test(won) if left + right else None,
    }


def again(people: People, reviewer: int | None = None) -> dict[str, Any]:
    """Items shown twice: `same` result, and `opposite`, where the person followed the side. None: of all persons."""
    rows = [one for one in people.repeats if reviewer in (None, one.reviewer)]
    first, second = (np.array([getattr(one, name) for one in rows]) for name in ("first", "second"))
    question = people.question[[one.unit for one in rows]] if rows else people.question[:0]
    return {
        **share(first == second, question),
        "opposite": int((first * second < 0).sum()),
        "kappa": cohen(first, second, labels=RESULTS) if rows else None,
    }


def ranks(people: People, judged: Array, everywhere: dict[str, float]) -> dict[str, Any]:
    """Systems by people and by the judge on the pairs that both know, `everywhere` by the judge on all pairs.

    A system's figure is the mean of its wins and half its ties; tau is Kendall's tau-b of the first two.
    """
    majority = mean_over(people.results)
    both = ~np.isnan(majority) & ~np.isnan(judged)
    by_people, by_judge = (_rates(people, values, both) for values in (majority, judged))
    names = sorted(by_people, key=lambda name: (-by_people[name], name))
    tau = kendall_tau([by_people[name] for name in names], [by_judge[name] for name in names])
    places = {kind: _places(rates) for kind, rates in (("people", by_people), ("judge", by_judge))}
    return {
        "n": int(both.sum()),
        "tau": tau,
        "systems": {
            name: {
                "people": by_people[name],
                "people_rank": places["people"][name],
                "judge": by_judge[name],
                "judge_rank": places["judge"][name],
                "judge_everywhere": everywhere.get(name),
            }
            for name in names
        },
    }


def _rates(people: People, results: Array, chosen: Mask) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    for at in np.flatnonzero(chosen).tolist():
        _, a, b = people.units[at]
        sums.setdefault(a, []).append(float(results[at]))
        sums.setdefault(b, []).append(-float(results[at]))
    return {name: 0.5 + float(np.mean(values)) / 2.0 for name, values in sums.items()}


def _places(rates: dict[str, float]) -> dict[str, int]:
    """1 for the best; equals share the better place."""
    return {name: 1 + sum(other > rate + 1e-12 for other in rates.values()) for name, rate in rates.items()}


def kendall_tau(a: list[float], b: list[float]) -> float | None:
    """tau-b (Kendall 1945): (concordant - discordant) / sqrt((pairs not tied in a) · (pairs not tied in b))."""
    x, y = (np.sign(np.subtract.outer(v, v)) for v in (np.round(a, 9), np.round(b, 9)))
    untied = float((x != 0).sum()) * float((y != 0).sum())
    return float((x * y).sum()) / float(np.sqrt(untied)) if untied else None
