"""People's and judges' results on the same pairs of answers, as arrays.

In: people's verdicts that hold, and the table of a run's verdicts. Out: results seen from the system that comes first
by name: 1 it is better, -1 the other one, 0 a tie or both bad, NaN where nobody said. What a person said when an item
came the second time stands apart. Price: some microseconds a verdict.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from judge.review_items import Item, Key
from judge.review_store import Standing
from judge.stats import Array, signs
from judge.table import Codes, Table, meeting


@dataclass(frozen=True, slots=True)
class Repeat:
    """What one person said of one item the first and the second time, sides swapped between."""

    reviewer: int
    unit: int
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class People:
    """`units` are pairs of answers that somebody judged."""

    reviewers: list[str]
    units: list[Key]
    categories: list[str]
    question: Codes  # (units,) same number, same question
    results: Array  # (reviewers, units)
    margins: Array  # (reviewers, units) score difference, where scores were given
    repeats: list[Repeat]
    sides: Array  # (reviewers, 2) how often the left and the right answer won, repetitions included
    both_bad: Array  # (reviewers,) how many first verdicts
    seconds: list[list[float]]  # of each reviewer
    principles: Counter[str]  # version -> verdicts
    left_out: int  # verdicts about other texts than the run has now

    def majority(self, without: int | None = None) -> Array:
        """(units,) the sign of the mean result, of all or of all but one; NaN where nobody is left."""
        chosen = np.array([number != without for number in range(len(self.reviewers))], dtype=np.bool_)
        return signs_or_nan(mean_over(self.results[chosen]))


def mean_over(values: Array) -> Array:
    """(n, units) to (units,) without NaN; NaN where there is nothing."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        found: Array = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return found


def signs_or_nan(values: Array) -> Array:
    return np.where(np.isnan(values), np.nan, signs(values))


def people_of(verdicts: Sequence[Standing], items: Mapping[Key, Item], categories: Mapping[str, str]) -> People:
    """`items`: what the run shows now; empty where it has no answers. `categories`: of each question."""
    kept = [one for one in verdicts if not items or _is_about(one, items)]
    reviewers = list(dict.fromkeys(one.reviewer for one in kept))
    units = list(dict.fromkeys(_key(one) for one in kept))
    who = {name: at for at, name in enumerate(reviewers)}
    where = {unit: at for at, unit in enumerate(units)}
    results = np.full((len(reviewers), len(units)), np.nan)
    margins = results.copy()
    sides, both_bad = np.zeros((len(reviewers), 2)), np.zeros(len(reviewers))
    repeats, seconds = [], [list[float]() for _ in reviewers]
    for one in kept:
        reviewer, unit = who[one.reviewer], where[_key(one)]
        result = _result(one)
        sides[reviewer] += one.event.choice == "left", one.event.choice == "right"
        if one.event.seconds is not None:
            seconds[reviewer].append(one.event.seconds)
        if np.isnan(results[reviewer, unit]):  # verdicts come by slot, so the first showing is first
            results[reviewer, unit], margins[reviewer, unit] = result, _margin(one)
            both_bad[reviewer] += one.event.choice == "both_bad"
        else:
            repeats.append(Repeat(reviewer, unit, float(results[reviewer, unit]), result))
    questions = {id: number for number, id in enumerate(dict.fromkeys(unit[0] for unit in units))}
    return People(
        reviewers=reviewers,
        units=units,
        categories=[categories.get(unit[0], "") for unit in units],
        question=np.array([questions[unit[0]] for unit in units], dtype=np.int64),
        results=results,
        margins=margins,
        repeats=repeats,
        sides=sides,
        both_bad=both_bad,
        seconds=seconds,
        principles=Counter(str(one.event.principles_version or "unknown") for one in kept),
        left_out=len(verdicts) - len(kept),
    )


def judge_margins(table: Table, judge: int | None) -> dict[Key, tuple[float, bool]]:
    """For each pair of answers that has both orders: mean difference, first system by name minus the other; whether
    the answers are the same text. `judge` None: the mean of all judges."""
    width = len(table.systems)
    low, high = np.minimum(table.first, table.second), np.maximum(table.first, table.second)
    found = {}
    for code in np.unique(low * width + high).tolist():
        a, b = sorted((table.systems[code // width], table.systems[code % width]))
        met = meeting(table, a, b, judge)
        d = (met.d1 + met.d2) / 2.0
        for question, value, same in zip(met.question.tolist(), d.tolist(), met.identical.tolist(), strict=True):
            found[table.questions[question], a, b] = value, same
    return found


def _is_about(one: Standing, items: Mapping[Key, Item]) -> bool:
    item = items.get(_key(one))
    return item is not None and one.slot.fingerprint == item.fingerprint


def _key(one: Standing) -> Key:
    a, b = sorted((one.slot.left, one.slot.right))
    return one.slot.question_id, a, b


def _result(one: Standing) -> float:
    better = {"left": one.slot.left, "right": one.slot.right}.get(one.event.choice or "")
    return 0.0 if better is None else 1.0 if better == _key(one)[1] else -1.0


def _margin(one: Standing) -> float:
    left, right = one.event.score_left, one.event.score_right
    if left is None or right is None:
        return np.nan
    return left - right if one.slot.left == _key(one)[1] else right - left
