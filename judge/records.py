"""What is asked, what was answered, and what a judge made of it; docs/formats.md describes the files of these records.

In: fields. Out: frozen records that go to JSON lines and back. A verdict keeps the judge's whole text beside what was
read out of it, so reading again costs no call. Nothing stands in for a failure: an answer that never came has no text,
a verdict that cannot be read has no scores and no choice. Price: the judge's text lies in memory, about 1 kB a verdict.
"""

from dataclasses import dataclass
from typing import Final, Literal

AnswerState = Literal["ok", "empty", "cut", "refused", "error"]
# identical: both answers are the same text, a tie that no judge was asked about.
VerdictState = Literal["ok", "invalid", "error", "identical"]
Choice = Literal["first", "second", "tie"]

QUESTIONS: Final = "questions.jsonl"
ANSWERS: Final = "answers.jsonl"
VERDICTS: Final = "verdicts.jsonl"
QUARANTINE: Final = "quarantine.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`text` is None where only recorded verdicts are at hand."""

    id: str
    category: str  # joined: NFKC, case folded, runs of white space as one space
    text: str | None = None
    reference: str | None = None  # an answer that is known to be good


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one system said to one question. `text` is None unless the state is ok or cut."""

    question_id: str
    system: str
    text: str | None
    state: AnswerState = "ok"
    detail: str = ""  # why there is none
    call_id: str | None = None  # in the ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One call of a judge about two answers in one order; for `identical` one row, which no order has.

    `score_first` and `score_second` are both set or both None. `choice` is set for each ok verdict: by the scores
    where there are scores.
    """

    question_id: str
    category: str
    first: str  # the system shown first
    second: str
    judge: str
    sample: int = 0
    grammar: str
    nonce: str | None = None
    raw: str | None  # None: no text came
    state: VerdictState
    fault: str = ""  # why it is invalid (stable, as "score.out_of_range") or in error (the failure's kind)
    score_first: float | None = None
    score_second: float | None = None
    choice: Choice | None = None
    explanation: str = ""
    call_id: str | None = None  # in the ledger
