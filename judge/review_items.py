"""What people are shown: for each question two answers of the run that differ.

In: a run of `judge compare`. Out: `Item`s, each with the sha256 of the texts that are shown, so that a verdict never
counts for other texts than those it was given about. The systems of a pair stand in the order of their names: which
one is shown left is the plan's business. Price: all questions and answers lie in memory.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import orjson

from judge.records import ANSWERS, QUESTIONS, VERDICTS, Question
from judge.store import read_answers, read_questions, verdict_rows
from runkit.errors import InputError

Key = tuple[str, str, str]  # question, and its two systems by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Two answers to one question; `a` and `b` name the systems, `a` before `b`."""

    question_id: str
    category: str
    question: str
    reference: str | None
    a: str
    b: str
    text_a: str
    text_b: str

    @property
    def key(self) -> Key:
        return self.question_id, self.a, self.b

    @property
    def fingerprint(self) -> str:
        """Of what is judged; a reference that is corrected later changes no verdict."""
        return hashlib.sha256(orjson.dumps([self.question, self.text_a, self.text_b])).hexdigest()


def read_items(run: Path) -> list[Item]:
    """All that can be reviewed, in the order of the questions. InputError: there is nothing, or a file is damaged."""
    if not (run / QUESTIONS).is_file() and not (run / VERDICTS).is_file():
        raise InputError(f"{run} is no run of `judge compare`: it has no {QUESTIONS}.")
    if not (run / ANSWERS).is_file():
        raise InputError(
            f"Nothing can be reviewed in {run}: it holds recorded verdicts without the answers they are about; "
            "review a run of `judge compare`."
        )
    texts: dict[str, dict[str, str]] = {}
    for answer in read_answers(run):
        if answer.text is not None:
            texts.setdefault(answer.question_id, {})[answer.system] = answer.text
    judged = _judged_pairs(run)
    found = []
    for question in read_questions(run):
        answers = texts.get(question.id, {})
        for a, b in combinations(sorted(answers), 2):
            if question.text is not None and answers[a] != answers[b] and (judged is None or (a, b) in judged):
                found.append(_item(question, question.text, (a, b), (answers[a], answers[b])))
    if not found:
        raise InputError(f"Nothing can be reviewed in {run}: no question has two answers that differ.")
    return found


def items_if_any(run: Path) -> list[Item]:
    """As `read_items`; nothing where the run holds recorded verdicts alone, whose answers people saw elsewhere."""
    return read_items(run) if (run / ANSWERS).is_file() else []


def _judged_pairs(run: Path) -> set[tuple[str, str]] | None:
    """Pairs of systems that a judge compared; None: there are no verdicts yet, and all pairs are taken."""
    if not (run / VERDICTS).is_file():
        return None
    shown = {(row["first"], row["second"]) for row in verdict_rows(run)}
    return {(min(pair), max(pair)) for pair in shown} or None


def _item(question: Question, text: str, systems: tuple[str, str], texts: Sequence[str]) -> Item:
    reference = question.reference
    return Item(
        question_id=question.id,
        category=question.category,
        question=text,
        reference=reference if reference is not None and reference.strip() else None,
        a=systems[0],
        b=systems[1],
        text_a=texts[0],
        text_b=texts[1],
    )
