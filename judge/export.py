"""`judge export RUN --pairs`: chosen and rejected answers for preference tuning, where both orders agree.

In: a run of `judge compare`. Out: JSON lines in the conversational layout of preference trainers: `prompt`, `chosen`,
`rejected`, each a list of messages, and beside them where the pair comes from and by how much it was won. A pair is
taken where every judge prefers the same answer in both orders; all others are left out and counted by reason. Price:
with a judge whose position effect is large few pairs are left, which is the point.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from judge.records import Answer, Question, Verdict
from judge.store import read_answers, read_questions, read_verdicts
from runkit.console import emit_json, say
from runkit.errors import InputError, UsageError
from runkit.files import atomic_write
from runkit.planned import keep_apart

# Why a pair is left out, in the order in which it is looked for.
LEFT_OUT: Final = ("identical", "incomplete", "tie", "orders_disagree", "judges_disagree", "small_margin", "cut")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCall:
    """The command line, parsed."""

    run: Path
    out: Path
    min_margin: float = 0.0
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Preference:
    """A pair that all agree on; the margin is in points, None where judges give no scores."""

    chosen: str
    rejected: str
    margin: float | None


def export_pairs(call: ExportCall) -> None:
    """UsageError: there is no such run. InputError: it holds no answers."""
    keep_apart(call.out, [str(call.run)])
    verdicts = read_verdicts(call.run)
    answers = {(answer.question_id, answer.system): answer for answer in read_answers(call.run)}
    questions = {question.id: question for question in read_questions(call.run)}
    if not answers:
        raise InputError(
            f"{call.run} holds verdicts without answers, so there are no pairs; use a run of `judge compare`."
        )
    if call.out.exists() and not call.out.is_file():
        raise UsageError(f"--out {call.out} is not a file; name a new one.")
    left: Counter[str] = Counter()
    written = 0
    with atomic_write(call.out) as file:
        for found in _pairs(verdicts, answers, questions, call.min_margin):
            if isinstance(found, str):
                left[found] += 1
            else:
                file.write(orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE))
                written += 1
    counts = {reason: left[reason] for reason in LEFT_OUT if left[reason]}
    if call.as_json:
        emit_json({"pairs": written, "left_out": counts, "out": str(call.out)})
    say(f"{written:,} pairs of a chosen and a rejected answer in {call.out}.")
    for reason, count in counts.items():
        say(f"  {count:>8,}  left out: {reason.replace('_', ' ')}")


def _pairs(
    verdicts: Sequence[Verdict],
    answers: dict[tuple[str, str], Answer],
    questions: dict[str, Question],
    min_margin: float,
) -> Iterator[dict[str, Any] | str]:
    """Each pair of answers as a record, or why it is left out."""
    groups: dict[tuple[str, str, str], dict[str, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    for verdict in verdicts:
        low, high = sorted((verdict.first, verdict.second))
        groups[verdict.question_id, low, high][verdict.judge].append(verdict)
    for (question_id, low, high), by_judge in groups.items():
        found = preferred((low, high), by_judge.values(), min_margin)
        if isinstance(found, str):
            yield found
            continue
        chosen, rejected = answers.get((question_id, found.chosen)), answers.get((question_id, found.rejected))
        question = questions.get(question_id)
        if chosen is None or rejected is None or question is None or question.text is None:
            yield "incomplete"
        elif chosen.state == "cut":  # nobody should learn to stop in the middle
            yield "cut"
        else:
            yield _record(question, chosen, rejected, found)


def preferred(
    pair: tuple[str, str], by_judge: Iterable[Sequence[Verdict]], min_margin: float = 0.0
) -> Preference | str:
    """Which of two systems all judges prefer in both orders, or the reason why there is none."""
    margins: list[float] = []
    scored = True
    reasons: list[str] = []
    for verdicts in by_judge:
        if verdicts[0].state == "identical":
            return "identical"
        orders = []
        for first in pair:
            read = [verdict for verdict in verdicts if verdict.first == first and verdict.state == "ok"]
            if not read:
                return "incomplete"
            scored = scored and all(verdict.score_first is not None for verdict in read)
            sign = 1 if first == pair[0] else -1
            orders.append(sign * sum(map(_margin, read)) / len(read))
        if orders[0] == 0 or orders[1] == 0:
            reasons.append("tie")
        elif (orders[0] > 0) != (orders[1] > 0):
            reasons.append("orders_disagree")
        margins.append((orders[0] + orders[1]) / 2)
    if reasons:
        return min(reasons, key=LEFT_OUT.index)
    if len({margin > 0 for margin in margins}) > 1:
        return "judges_disagree"
    margin = sum(margins) / len(margins)
    if abs(margin) < min_margin:
        return "small_margin"
    chosen, rejected = pair if margin > 0 else pair[::-1]
    return Preference(chosen, rejected, abs(margin) if scored else None)


def _margin(verdict: Verdict) -> float:
    """Of the answer that was shown first."""
    if verdict.score_first is not None and verdict.score_second is not None:
        return verdict.score_first - verdict.score_second
    return {"first": 1.0, "second": -1.0}.get(verdict.choice or "", 0.0)


def _record(question: Question, chosen: Answer, rejected: Answer, found: Preference) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": question.text}],
        "chosen": [{"role": "assistant", "content": chosen.text}],
        "rejected": [{"role": "assistant", "content": rejected.text}],
        "question_id": question.id,
        "category": question.category,
        "chosen_system": found.chosen,
        "rejected_system": found.rejected,
        "margin": found.margin,
    }
