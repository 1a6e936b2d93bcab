"""What people are shown: for each question two answers of the run that differ.

In: a run of `judge compare`. Out: `Item`s, each with the sha256 of the texts that are shown, so that a verdict never
counts for other texts than those it was given about. The systems of a pair stand in the order of their names: which
one is shown left is the plan's business. Price: all questions and answers lie in memory.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import orjson

from judge.records import ANSWERS, QUESTIONS, VERDICTS
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
    for row in rows(run / ANSWERS):
        if isinstance(text := row.get("text"), str):
            texts.setdefault(str(row["question_id"]), {})[str(row["system"])] = text
    judged = _judged_pairs(run)
    found = []
    for row in rows(run / QUESTIONS):
        question, answers = row.get("text"), texts.get(str(row["id"]), {})
        if not isinstance(question, str):
            continue
        for a, b in combinations(sorted(answers), 2):
            if answers[a] != answers[b] and (judged is None or (a, b) in judged):
                found.append(_item(row, question, (a, answers[a]), (b, answers[b])))
    if not found:
        raise InputError(f"Nothing can be reviewed in {run}: no question has two answers that differ.")
    return found


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines that one of our commands wrote. InputError: it was changed."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError:
                    row = None
                if not isinstance(row, dict):
                    raise InputError(f"{path}, line {number}, is no JSON object; run the command that made it again.")
                yield row
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error


def _judged_pairs(run: Path) -> set[tuple[str, str]] | None:
    """Pairs of systems that a judge compared; None: there are no verdicts yet, and all pairs are taken."""
    if not (run / VERDICTS).is_file():
        return None
    pairs = set()
    for row in rows(run / VERDICTS):
        a, b = sorted((str(row["first"]), str(row["second"])))
        pairs.add((a, b))
    return pairs or None


def _item(row: dict[str, Any], question: str, a: tuple[str, str], b: tuple[str, str]) -> Item:
    reference = row.get("reference")
    return Item(
        question_id=str(row["id"]),
        category=str(row.get("category") or ""),
        question=question,
        reference=reference if isinstance(reference, str) and reference.strip() else None,
        a=a[0],
        b=b[0],
        text_a=a[1],
        text_b=b[1],
    )
