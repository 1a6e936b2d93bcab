"""A run as figures: what `judge report --json` prints and summary.json holds.

In: a run of `judge compare` or `judge import`. Out: the summary, and what it was made from, for the report. It depends
on the files of the run alone: the same files, the same bytes. Price: 2 s for 100,000 verdicts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from judge import bradley_terry, flags
from judge.agreeing import between_judges
from judge.figures import FORMAT, accounting, disagreements, of_meetings
from judge.lengths import length_figures
from judge.records import QUARANTINE, Answer, Question
from judge.stats import holm, signs
from judge.store import Row, read_answers, read_questions, verdict_rows
from judge.table import OK, Table, meeting, table_of
from runkit.errors import InputError, UsageError

MANIFEST: Final = "manifest.json"
ALPHA: Final = 0.05
MOST_DISAGREEMENTS: Final = 20
Answers = Mapping[tuple[str, str], Answer]  # by question and system


@dataclass(frozen=True, slots=True)
class Run:
    """The files of a run, read."""

    path: Path
    config: Mapping[str, Any]
    rows: Sequence[Row]
    table: Table
    questions: Mapping[str, Question]
    answers: Answers
    reference: str | None


def read_run(path: Path, reference: str | None = None) -> Run:
    """`reference`: instead of the one the run was made with. UsageError, InputError: no run, damaged, no such name."""
    rows = verdict_rows(path)
    config = _config(path)
    named = [str(one["name"]) for one in config.get("systems", ()) if isinstance(one, dict) and "name" in one]
    table = table_of(rows, named)
    if reference is not None and reference not in table.systems:
        names = ", ".join(table.systems[:12]) + (", …" if len(table.systems) > 12 else "")
        raise UsageError(f"--reference {reference} is none of the systems of {path}; there are {names}.")
    chosen = reference or config.get("reference") or _usual_reference(table)
    questions = {question.id: question for question in read_questions(path)}
    answers = {(answer.question_id, answer.system): answer for answer in read_answers(path)}
    return Run(path, config, rows, table, questions, answers, chosen)


def _usual_reference(table: Table) -> str | None:
    """The system that meets the most others, of equal ones the one named last: of A and B it is B."""
    if not table.systems:
        return None
    met = set(zip(table.first.tolist(), table.second.tolist(), strict=True))
    others = [len({pair for pair in met if place in pair} | {pair[::-1] for pair in met if place in pair})
              for place in range(len(table.systems))]  # fmt: skip
    return table.systems[max(range(len(others)), key=lambda place: (others[place], place))]


def _config(path: Path) -> Mapping[str, Any]:
    """What the run is bound to; {} without a manifest, as where verdicts were put together by hand."""
    file = path / MANIFEST
    if not file.is_file():
        return {}
    try:
        found = orjson.loads(file.read_bytes())["config"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise InputError(f"{file} was damaged or edited; run the command that made it again.") from None
    return found if isinstance(found, dict) else {}


def summarise(run: Run) -> dict[str, Any]:
    """All figures."""
    table, reference = run.table, run.reference
    missing = _unanswered(run)
    systems: dict[str, Any] = {}
    if reference is not None:
        own = {name: missing.get((name, reference), missing.get((reference, name), [])) for name in table.systems}
        systems = of_meetings(table, reference, own)
        _adjust(systems)
        for name, one in systems.items():
            one["length"] = length_figures(meeting(table, name, reference), table.questions, run.answers)
    grammars = Counter(row["grammar"] for row in run.rows)
    unanswered = sum(map(len, missing.values()))
    return {
        "format": FORMAT,
        "judges": table.judges,
        "grammar": ", ".join(sorted(grammars)) or None,
        "questions": len(run.questions) or len(table.questions),
        "categories": sorted({*(one.category for one in run.questions.values()), *table.categories}),
        "reference": reference,
        "accounting": {**accounting(table, unanswered), "quarantined": _quarantined(run.path)},
        "systems": systems,
        "bradley_terry": _bradley_terry(table, reference) if len(table.systems) > 2 else None,
        "agreement": between_judges(table) if len(table.judges) > 1 else None,
        "disagreements": _disagreements(table, reference, systems),
        "flags": flags.of_answers(run.answers.values(), run.questions),
        "verdict": _verdict(reference, systems),
    }


def _unanswered(run: Run) -> dict[tuple[str, str], list[str]]:
    """For each two systems that meet somewhere, the questions that one of them did not answer."""
    if not run.answers:
        return {}
    table = run.table
    pairs = dict.fromkeys(zip(table.first.tolist(), table.second.tolist(), strict=True))
    found: dict[tuple[str, str], list[str]] = {}
    for one, other in dict.fromkeys((min(pair), max(pair)) for pair in pairs):
        names = table.systems[one], table.systems[other]
        found[names] = [id for id in run.questions if any(_silent(run.answers.get((id, name))) for name in names)]
    return found


def _quarantined(path: Path) -> dict[str, int]:
    """Records of the input that were none, by reason."""
    file = path / QUARANTINE
    counts: Counter[str] = Counter()
    for line in file.read_bytes().splitlines() if file.is_file() else []:
        with suppress(orjson.JSONDecodeError, KeyError, TypeError):
            counts[str(orjson.loads(line)["reason"])] += 1
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def _silent(answer: Answer | None) -> bool:
    return answer is None or answer.text is None


def _adjust(systems: Mapping[str, Any]) -> None:
    """p of each system's difference, adjusted for their number (Holm), and what follows from it."""
    ps = [one.get("p") for one in systems.values()]
    for one, p in zip(systems.values(), holm([np.nan if p is None else p for p in ps]), strict=True):
        adjusted = None if np.isnan(p) else float(p)
        one["p_holm"] = adjusted
        balance = one["swap_avg_diff"] if one["n"] else 0.0
        sure = adjusted is not None and adjusted < ALPHA and balance != 0
        one["answer"] = ("better" if balance > 0 else "worse") if sure else "cannot_tell"


def _verdict(reference: str | None, systems: Mapping[str, Any]) -> dict[str, Any]:
    """Of two systems which is better; of several what can be said of each against the reference."""
    if reference is None or not systems:
        return {"answer": "cannot_tell", "system": None, "reference": reference, "needs_questions": None}
    if len(systems) > 1:
        groups = {kind: [name for name, one in systems.items() if one["answer"] == kind] for kind in
                  ("better", "worse", "cannot_tell")}  # fmt: skip
        return {"answer": "several", "system": None, "reference": reference, "needs_questions": None, **groups}
    [(name, one)] = systems.items()
    needs = one.get("questions_for", {}).get("observed_difference") if one["answer"] == "cannot_tell" else None
    return {"answer": one["answer"], "system": name, "reference": reference, "needs_questions": needs}


def _bradley_terry(table: Table, reference: str | None) -> dict[str, Any] | None:
    """Strengths of all systems from all verdicts, against the reference, and the places that intervals leave open."""
    rows = table.state == OK
    if not rows.any() or reference is None:
        return None
    outcome = (signs(table.margin[rows]) + 1.0) / 2.0
    first, second, question = table.first[rows], table.second[rows], table.question[rows]
    fit = bradley_terry.fit(first, second, outcome, len(table.systems), True, question)
    drawn = bradley_terry.bootstrap(first, second, outcome, len(table.systems), question)
    base = table.systems.index(reference)
    ranked: list[dict[str, Any]] = []
    for place, name in enumerate(table.systems):
        strength, difference = fit.strength(place), fit.difference(place, base)
        if strength is None:
            continue
        chance = None if place == base else fit.win_probability(place, base)
        low, high = float(drawn.difference_low[place, base]), float(drawn.difference_high[place, base])
        ranked.append(
            {
                "system": name,
                "strength": strength.value,
                "interval": [strength.low, strength.high],
                "difference": None if difference is None else difference.value,
                "difference_interval": None if difference is None else [difference.low, difference.high],
                "difference_bootstrap_interval": None if np.isnan(low) else [low, high],
                "win_probability": None if chance is None else chance.value,
                "win_probability_interval": None if chance is None else [chance.low, chance.high],
                "separated": difference is not None and difference.separated,
                "verdicts": int(((first == place) | (second == place)).sum()),
                "component": table.systems[int(fit.components[place])],
            }
        )
    ranked.sort(key=lambda one: -one["strength"])
    order = fit.order_effect()
    return {
        "systems": ranked,
        "order": None if order is None else order.value,
        "order_interval": None if order is None else [order.low, order.high],
        "separated": fit.separated,
    }


def _disagreements(table: Table, reference: str | None, systems: Mapping[str, Any]) -> list[dict[str, Any]]:
    if reference is None:
        return []
    found = [
        one for name in systems for one in disagreements(table, meeting(table, name, reference), MOST_DISAGREEMENTS)
    ]
    found.sort(key=lambda one: -abs(one["sys_first"] - one["ref_first"]))
    return found[:MOST_DISAGREEMENTS]
