"""Verdicts as columns, and for each system the questions on which it met the reference in both orders.

In: rows of verdicts.jsonl. Out: integer-coded columns, and `Meeting`s: d1 (reference shown first), d2 (system shown
first) and the four scores of each question, averaged over samples and over judges that gave both orders. A question
with an order missing is in no average; it is listed with what was there of it. Price: 0.25 s for 100,000 verdicts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from judge.stats import Array

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

OK, INVALID, ERROR, IDENTICAL = range(4)
STATES: Final = {"ok": OK, "invalid": INVALID, "error": ERROR, "identical": IDENTICAL}
_COLUMNS: Final = (
    *("question_id", "category", "first", "second", "judge", "state", "choice", "fault", "grammar"),
    *("score_first", "score_second"),
)
_MARGIN: Final = {"first": 1.0, "second": -1.0, "tie": 0.0}


@dataclass(frozen=True, slots=True)
class Table:
    """All verdicts, one a row. `margin`: of the first answer, score difference or 1, 0, -1; NaN unless ok."""

    questions: list[str]
    categories: list[str]  # of each question
    systems: list[str]  # in the order in which they come
    judges: list[str]
    question: Codes
    first: Codes
    second: Codes
    judge: Codes
    state: Codes
    score_first: Array
    score_second: Array
    choice: Array
    margin: Array
    faults: list[str]
    scored: bool  # verdicts have scores
    lowest: float  # of the scale of scores
    highest: float

    @property
    def span(self) -> float:
        """The greatest difference that one verdict can make."""
        return self.highest - self.lowest if self.scored else 1.0


def table_of(rows: Sequence[Mapping[str, Any]], named: Sequence[str] = ()) -> Table:
    """`rows` have the fields of `Verdict`, checked; `named`: systems in the order in which the user gave them."""
    # One way through the rows: 100,000 of them lie scattered in memory.
    found = zip(*map(itemgetter(*_COLUMNS), rows), strict=True) if rows else ((),) * len(_COLUMNS)
    column = dict(zip(_COLUMNS, map(list, found), strict=True))
    questions, question = _coded(column["question_id"])
    category = dict(zip(reversed(column["question_id"]), reversed(column["category"]), strict=True))  # the first stays
    shown = column["first"], column["second"]
    met = dict.fromkeys(zip(*shown, strict=True))
    systems = list(dict.fromkeys([*named, *(name for pair in met for name in pair)]))
    number = dict(zip(systems, range(len(systems)), strict=True))
    judges, judge = _coded(column["judge"])
    state = _numbers(column["state"], STATES)
    scores = [np.array(column[name], dtype=np.float64) for name in ("score_first", "score_second")]  # None is NaN
    choice = np.array(list(map(_MARGIN.get, column["choice"])), dtype=np.float64)
    ok = state == OK
    scored = bool((ok & ~np.isnan(scores[0])).any()) and not bool((ok & np.isnan(scores[0])).any())
    own = "scores" in column["grammar"]
    margin = np.where(ok, scores[0] - scores[1] if scored else choice, np.nan)
    return Table(
        questions=questions,
        categories=[category[name] for name in questions],
        systems=systems,
        judges=judges,
        question=question,
        first=_numbers(shown[0], number),
        second=_numbers(shown[1], number),
        judge=judge,
        state=state,
        score_first=scores[0],
        score_second=scores[1],
        choice=np.where(ok, choice, np.nan),
        margin=margin,
        faults=column["fault"],
        scored=scored,
        lowest=1.0 if own else 0.0,
        highest=10.0,
    )


def _coded(values: Sequence[str]) -> tuple[list[str], Codes]:
    """Distinct values in the order in which they come, and the number of each."""
    names = list(dict.fromkeys(values))
    number = dict(zip(names, range(len(names)), strict=True))
    return names, _numbers(values, number)


def _numbers(values: Sequence[str], number: Mapping[str, int]) -> Codes:
    return np.fromiter(map(number.__getitem__, values), dtype=np.int64, count=len(values))


def distinct(values: Codes) -> Codes:
    """As np.unique, which hashes such numbers and takes ten times as long."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


@dataclass(frozen=True, slots=True)
class Partial:
    """Questions without one order or both: the margin of the system in each order, NaN where it is missing."""

    question: Codes
    d1: Array
    d2: Array
    lowest: Array  # as of `Meeting`
    highest: Array


@dataclass(frozen=True, slots=True)
class Meeting:
    """A system and the reference on each question that both orders are known of, (n,) each.

    Scores are NaN where both answers were the same: such a question is a tie and has no scores.
    """

    system: str
    reference: str
    question: Codes
    d1: Array  # system minus reference, the reference shown first
    d2: Array  # system minus reference, the system shown first
    sys_1: Array
    ref_1: Array
    sys_2: Array
    ref_2: Array
    identical: Mask
    lowest: Array  # of the difference, if all that judges asked about it did not give were lost by the system
    highest: Array  # if it were won
    partial: Partial

    @property
    def n(self) -> int:
        return len(self.question)

    def where(self, chosen: Mask, partial: Mask) -> "Meeting":
        """Some of the questions."""
        left = self.partial
        names = ("question", "d1", "d2", "sys_1", "ref_1", "sys_2", "ref_2", "identical", "lowest", "highest")
        return Meeting(
            self.system,
            self.reference,
            **{name: getattr(self, name)[chosen] for name in names},
            partial=Partial(**{name: getattr(left, name)[partial] for name in Partial.__slots__}),
        )


def meeting(table: Table, system: str, reference: str, judge: int | None = None) -> Meeting:
    """`judge`: of this one alone; None: averaged over all."""
    sys, ref = table.systems.index(system), table.systems.index(reference)
    ref_first = (table.first == ref) & (table.second == sys)
    sys_first = (table.first == sys) & (table.second == ref)
    mine = ref_first | sys_first
    if judge is not None:
        mine &= table.judge == judge
    judges = 1 if judge is not None else max(1, len(table.judges))
    who = np.zeros(len(table.judge), dtype=np.int64) if judge is not None else table.judge
    size = len(table.questions) * judges
    cell = table.question * judges + who

    def mean(order: Mask, values: Array) -> Array:
        """Over samples, (questions, judges); NaN without any."""
        rows = mine & order & (table.state == OK)
        total = np.bincount(cell[rows], weights=values[rows], minlength=size)
        count = np.bincount(cell[rows], minlength=size)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (total / count).reshape(-1, judges) + 0.0

    d1, d2 = -mean(ref_first, table.margin) + 0.0, mean(sys_first, table.margin)
    scores = [
        mean(ref_first, table.score_second),
        mean(ref_first, table.score_first),
        mean(sys_first, table.score_first),
        mean(sys_first, table.score_second),
    ]
    same = np.zeros(size, dtype=np.bool_)
    same[cell[mine & (table.state == IDENTICAL)]] = True
    asked = np.zeros(size, dtype=np.bool_)
    asked[cell[mine]] = True
    found = [d1, d2, *scores]
    return _meeting(system, reference, found, same.reshape(-1, judges), asked.reshape(-1, judges), table.span)


def _meeting(system: str, reference: str, figures: Sequence[Array], same: Mask, asked: Mask, span: float) -> Meeting:
    d1, d2 = figures[:2]
    both = ~np.isnan(d1) & ~np.isnan(d2)
    judged = np.asarray(both.any(axis=1))
    identical = np.asarray(same.any(axis=1)) & ~judged
    whole = judged | identical
    rows = np.flatnonzero(whole)
    known = [_over_judges(one, both)[rows] for one in figures]
    for place in (0, 1):
        known[place] = np.where(identical[rows], 0.0, known[place])
    left = np.flatnonzero(asked.any(axis=1) & ~whole)
    halves = [_over_judges(one, ~np.isnan(one))[left] for one in (d1, d2)]
    ends = []
    for missing in (-span, span):
        each = (np.where(np.isnan(d1), missing, d1) + np.where(np.isnan(d2), missing, d2)) / 2.0
        ends.append(np.where(identical, 0.0, _over_judges(each, asked)))
    partial = Partial(left, halves[0], halves[1], ends[0][left], ends[1][left])
    columns = dict(zip(("d1", "d2", "sys_1", "ref_1", "sys_2", "ref_2"), known, strict=True))
    columns |= {"lowest": ends[0][rows], "highest": ends[1][rows]}
    return Meeting(system, reference, question=rows, **columns, identical=identical[rows], partial=partial)


def _over_judges(values: Array, chosen: Mask) -> Array:
    """Mean over the judges that are chosen for each question; NaN without any."""
    total = np.where(chosen, values, 0.0).sum(axis=1)
    count = chosen.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = total / count + 0.0
    return found
