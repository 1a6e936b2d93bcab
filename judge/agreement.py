"""`judge agreement`: judges against people, people against each other, and figures that people have calibrated.

In: a run with people's verdicts (`judge review`), and its judges' if it has any. Out: one object, printed. Last comes
prediction-powered inference: people's few verdicts correct the judge's many, so that the difference and the win rate
are what people would have said about all questions, with an interval narrower than people's alone. It needs the
reviewed questions to be a fair sample, as `judge review` draws them. Price: 2 s.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from judge.agreement_data import People, judge_margins, mean_over, people_of, signs_or_nan
from judge.agreement_figures import again, among_people, each_person, judge_against_people, position, ranks
from judge.agreement_text import tell_agreement
from judge.ppi import PredictionPowered, ppi_mean, ppi_win_rate
from judge.records import VERDICTS
from judge.review_items import Key, items_if_any, read_items
from judge.review_store import FILE, ReviewStore
from judge.stats import Array, signs
from judge.store import read_questions
from judge.summary import Run, read_run
from runkit.console import emit_json
from runkit.errors import InputError, UsageError

FORMAT: Final = 1
Margins = Mapping[Key, tuple[float, bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementCall:
    """The command line of `judge agreement`, parsed."""

    run: Path
    reference: str | None = None
    as_json: bool = False
    quiet: bool = False


def agreement(call: AgreementCall) -> None:
    """InputError: there are no verdicts of people."""
    found = agreement_of(call.run, call.reference)
    if call.as_json:
        emit_json(found)
    if not call.quiet:
        tell_agreement(found)


def agreement_of(path: Path, reference: str | None = None) -> dict[str, Any]:
    """All figures of a run."""
    if not path.is_dir():
        raise UsageError(f"{path} does not exist or is no folder; name a run of `judge compare`.")
    if not (path / FILE).is_file():
        read_items(path)  # says so where there is nothing that people could judge
    items = {item.key: item for item in items_if_any(path)}
    with ReviewStore.open(path / FILE, create=False) as store:
        verdicts = store.verdicts()
    run = read_run(path, reference) if (path / VERDICTS).is_file() else None
    people = people_of(verdicts, items, _categories(path, run))
    if not people.units:
        raise InputError(f"{path} has no verdicts of people about its answers; collect them with `judge review`.")
    found: dict[str, Any] = {
        "format": FORMAT,
        "pairs": len(people.units),
        "questions": len(set(people.question.tolist())),
        "verdicts": len(verdicts) - people.left_out,
        "left_out": people.left_out,
        "principles": dict(sorted(people.principles.items())),
        "reviewers": each_person(people),
        "position": position(people.sides.sum(axis=0)),
        "again": again(people),
        "people": among_people(people),
        "judges": {},
        "rank": None,
        "calibrated": [],
    }
    if run is not None:
        _with_judges(found, people, run)
    return found


def _categories(path: Path, run: Run | None) -> dict[str, str]:
    found = {} if run is None else dict(zip(run.table.questions, run.table.categories, strict=True))
    return found | {question.id: question.category for question in read_questions(path)}


def _with_judges(found: dict[str, Any], people: People, run: Run) -> None:
    """Each judge by itself, all of them for ranks and calibration."""
    for number, name in enumerate(run.table.judges):
        margins = judge_margins(run.table, number)
        found["judges"][name] = judge_against_people(people, signs_or_nan(_on_units(people, margins)))
    margins = judge_margins(run.table, None)
    found["rank"] = ranks(people, signs_or_nan(_on_units(people, margins)), _everywhere(margins))
    found["calibrated"] = calibrated(people, margins, run.reference)


def _on_units(people: People, margins: Margins) -> Array:
    return np.array([margins.get(unit, (np.nan, False))[0] for unit in people.units])


def _everywhere(margins: Margins) -> dict[str, float]:
    """Wins and half the ties of each system over all pairs of the run."""
    sums: dict[str, list[float]] = {}
    for (_, a, b), (value, _) in margins.items():
        result = float(signs(np.array([value]))[0])
        sums.setdefault(a, []).append(result)
        sums.setdefault(b, []).append(-result)
    return {name: 0.5 + float(np.mean(values)) / 2.0 for name, values in sums.items()}


def calibrated(people: People, margins: Margins, reference: str | None) -> list[dict[str, Any]]:
    """For each two systems that people compared: what people would say of all questions that the judge knows.

    Questions whose two answers are the same text are ties whoever looks at them, and nobody is shown them: they are
    kept out of the inference and shrink its result by their share, which is exact.
    """
    found = []
    results, scores = mean_over(people.results), mean_over(people.margins)
    for a, b in dict.fromkeys((a, b) for _, a, b in people.units):
        own = {key[0]: value for key, value in margins.items() if key[1:] == (a, b)}
        differing = {question: value for question, (value, same) in own.items() if not same}
        if not differing:
            continue
        turn = -1.0 if a == reference else 1.0  # seen from the system that is not the reference
        here = {unit[0]: at for at, unit in enumerate(people.units) if unit[1:] == (a, b) and unit[0] in differing}
        share = len(differing) / len(own)
        found.append(
            {
                "system": b if a == reference else a,
                "reference": a if a == reference else b,
                "questions": len(own),
                "identical": len(own) - len(differing),
                "win_rate": _calibrate(here, results, differing, turn, share, is_rate=True),
                "difference": _calibrate(here, scores, differing, turn, share, is_rate=False),
            }
        )
    return found


def _calibrate(
    here: Mapping[str, int], said: Array, judged: Mapping[str, float], turn: float, share: float, is_rate: bool
) -> dict[str, Any] | None:
    """None: people said nothing of this kind, as where they gave no scores."""
    known = {question: at for question, at in here.items() if not np.isnan(said[at])}
    if not known:
        return None
    human = turn * np.array([said[at] for at in known.values()]) + 0.0
    judge, rest = (
        turn * np.array([judged[question] for question in chosen]) + 0.0
        for chosen in (list(known), [question for question in judged if question not in known])
    )
    if is_rate:
        result = ppi_win_rate(human, signs(judge), signs(rest))
        return _scaled(result, share, 0.5)
    return _scaled(ppi_mean(human, judge, rest), share, 0.0)


def _scaled(found: PredictionPowered, share: float, tie: float) -> dict[str, Any]:
    """Drawn towards a tie by the share of questions that are ties in any case."""
    record = asdict(found)
    for name in ("value", "low", "high", "human", "human_low", "human_high", "judge"):
        if record[name] is not None:
            record[name] = tie + share * (record[name] - tie)
    return record
