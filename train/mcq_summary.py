"""From answers to accuracies: by subject, by category, on C-Eval's hard subjects, and in all.

In: the answers to each question. Out: plain objects for JSON, the same as a table, and a submission. Accuracies come
with Wilson's 95 % interval. `micro` counts each question alike, `macro` each subject, which is what C-Eval's own table
shows.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from runkit.console import err, printable
from train.mcq_subjects import CATEGORIES, Subject, subject_of

Z_95: Final = 1.959964  # the normal distribution's 97.5 % point


@dataclass(frozen=True, slots=True)
class Answered:
    """One question and what the model answered."""

    subject: str
    id: str
    answer: str | None  # of the file; None: unknown
    state: Literal["answered", "too_long"]
    choice: str | None  # the most probable letter; None where the question was too long
    probabilities: dict[str, float] | None  # of the four letters; sum 1
    logprobs: dict[str, float] | None  # ln p among the whole vocabulary
    shots: int | None  # worked examples in the prompt
    tokens: int | None  # of the prompt

    @property
    def counts(self) -> bool:
        """Is there an answer to compare with? A question that was too long counts as wrong."""
        return self.answer is not None


def wilson(correct: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927), for `of` ≥ 1."""
    share, z2 = correct / of, Z_95**2
    middle = share + z2 / (2 * of)
    half = Z_95 * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, (middle - half) / (1 + z2 / of)), min(1.0, (middle + half) / (1 + z2 / of))


def accuracy(answers: Iterable[Answered]) -> dict[str, Any]:
    """n, correct, accuracy and its interval; null where no answer is known."""
    right = [row.choice == row.answer for row in answers if row.counts]
    if not right:
        return {"n": 0, "correct": 0, "accuracy": None, "low": None, "high": None}
    low, high = wilson(sum(right), len(right))
    return {"n": len(right), "correct": sum(right), "accuracy": sum(right) / len(right), "low": low, "high": high}


def summarise(subjects: dict[str, list[Answered]], shots: int) -> dict[str, Any]:
    """The figures of all subjects, whose answers are given by name."""
    figures: dict[str, dict[str, Any]] = {}
    for name, answers in subjects.items():
        subject = subject_of(name)
        figures[name] = accuracy(answers) | {
            "category": subject.category,
            "hard": subject.hard,
            "asked": sum(row.state == "answered" for row in answers),
            "too_long": sum(row.state == "too_long" for row in answers),
            "fewer_examples": sum(row.shots is not None and row.shots < shots for row in answers),
        }
    known = {name: subject_of(name) for name in subjects}
    of_category = {
        category: [name for name, subject in known.items() if subject.category == category] for category in CATEGORIES
    }
    return {
        "subjects": figures,
        "categories": {
            category: _together(names, subjects, figures) for category, names in of_category.items() if names
        },
        "hard": _together([name for name, subject in known.items() if subject.hard], subjects, figures),
        "all": _together(list(subjects), subjects, figures),
    }


def _together(
    names: Sequence[str], subjects: dict[str, list[Answered]], figures: dict[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """Several subjects as one; None: there are none."""
    if not names:
        return None
    micro = accuracy(row for name in names for row in subjects[name])
    each = [figures[name]["accuracy"] for name in names if figures[name]["accuracy"] is not None]
    return micro | {"subjects": len(names), "macro": sum(each) / len(each) if each else None}


def submission(subjects: dict[str, list[Answered]]) -> dict[str, dict[str, str]]:
    """{subject: {id: letter}} of the subjects for which no answer is known, as C-Eval's site takes it."""
    return {
        name: {row.id: row.choice for row in answers if row.choice is not None}
        for name, answers in subjects.items()
        if not any(row.counts for row in answers)
    }


def tell(summary: dict[str, Any]) -> None:
    """The table, to stderr."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("subject", overflow="fold")
    for title in ("questions", "accuracy", "95 % interval", "macro"):
        table.add_column(title, justify="right")
    rows = [(_label(subject_of(name)), row) for name, row in summary["subjects"].items()]
    rows += [(category, row) for category, row in summary["categories"].items()]
    rows += [(label, summary[key]) for key, label in (("hard", "C-Eval Hard"), ("all", "all")) if summary[key]]
    for label, row in rows:
        interval = "–" if row["low"] is None else f"{row['low']:.1%} to {row['high']:.1%}"
        cells = (label, f"{row['n']:,}", _percent(row["accuracy"]), interval, _percent(row.get("macro")))
        table.add_row(*map(Text, cells))
    err().print(table)


def _label(subject: Subject) -> str:
    return " ".join(printable(subject.name).split()) + (" *" if subject.hard else "")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
