"""Verdicts for tests: rows as verdicts.jsonl has them, and judges whose ways are known."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from judge.records import Verdict

Score = Callable[[int, str, int], float]  # question, system, 0 for the first place


def row(
    question: int | str, first: str, second: str, scores: tuple[float, float] | None = None, **more: Any
) -> dict[str, Any]:
    """One verdict; `scores` None: `more` says what it is instead."""
    fields: dict[str, Any] = {"category": "generic", "judge": "j", "grammar": "two-scores", "raw": "", "state": "ok"}
    if scores is not None:
        one, other = scores
        fields |= {"score_first": one, "score_second": other, "raw": f"{one:g} {other:g}"}
        fields["choice"] = "first" if one > other else "second" if other > one else "tie"
    return asdict(Verdict(question_id=str(question), first=first, second=second, **fields | more))


def both_orders(questions: Iterable[int], one: str, other: str, score: Score, **more: Any) -> list[dict[str, Any]]:
    """Each question with `one` shown first and with `other` shown first."""
    return [
        row(question, a, b, (score(question, a, 0), score(question, b, 1)), **more)
        for question in questions
        for a, b in ((one, other), (other, one))
    ]
