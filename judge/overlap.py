"""The judge within this program, without any network: how far an answer overlaps with the reference answer.

In: two answers and the reference. Out: a verdict in our own grammar, each score 1 + 9 · overlap in half points, where
overlap is the mean of ROUGE-L F1 (one token a Chinese character or run of other letters) and the F1 of the characters
as a multiset. A weak baseline, good to try a pipeline and as a floor for real judges: it knows no meaning, takes a
wrong number in a familiar sentence for a good answer, and a right answer in other words for a bad one. A question
without a reference it cannot judge: that verdict is invalid. It has no position effect by its making. Price: 0.1 ms a
verdict for texts of 500 characters.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from rapidfuzz.distance import Indel

from judge.prompts import GRAMMARS
from judge.records import Answer, Question, Verdict
from judge.verdict import read
from runkit.text import units

NO_REFERENCE: Final = "overlap.no_reference"
_EVEN: Final = 0.02  # a smaller difference is a tie where there are no scores


@dataclass(frozen=True, slots=True)
class Overlap:
    """Between 0 and 1 each."""

    rouge_l: float
    characters: float

    @property
    def mean(self) -> float:
        """What the score is made from."""
        return (self.rouge_l + self.characters) / 2


def overlap_with(reference: str, answer: str) -> Overlap:
    """ROUGE-L F1 is 2 · LCS / (m + n), which is the normalised Indel similarity of the token lists."""
    reference, answer = reference.casefold(), answer.casefold()
    rouge_l = Indel.normalized_similarity(units(reference), units(answer)) if answer.strip() else 0.0
    ours, theirs = Counter("".join(answer.split())), Counter("".join(reference.split()))
    total = ours.total() + theirs.total()
    return Overlap(float(rouge_l), 2 * (ours & theirs).total() / total if total else 0.0)


def overlap_verdict(blank: Verdict, question: Question, first: Answer, second: Answer) -> Verdict:
    """`blank` filled in; its raw text is what this judge says."""
    if question.reference is None:
        return replace(blank, state="invalid", fault=NO_REFERENCE, nonce=None)
    a, b = overlap_with(question.reference, first.text or ""), overlap_with(question.reference, second.text or "")
    said = "; ".join(f"{name} ROUGE-L {one.rouge_l:.3f}, characters {one.characters:.3f}" for name, one in _both(a, b))
    if blank.grammar == GRAMMARS["scores"]:
        line = " ".join(f"{name}={_score(one):g}" for name, one in _both(a, b))
    else:
        line = "TIE" if abs(a.mean - b.mean) < _EVEN else "A" if a.mean > b.mean else "B"
    raw = f"Overlap with the reference; no model has read the answers. {said}.\n<<{blank.nonce}>> {line}"
    found = read(blank.grammar, raw, nonce=blank.nonce)
    assert not found.fault, found
    return replace(
        blank,
        raw=raw,
        state="ok",
        fault="",
        score_first=found.score_first,
        score_second=found.score_second,
        choice=found.choice,
        explanation=found.explanation,
    )


def _both(a: Overlap, b: Overlap) -> tuple[tuple[str, Overlap], tuple[str, Overlap]]:
    return ("A", a), ("B", b)


def _score(one: Overlap) -> float:
    return round(2 * (1 + 9 * one.mean)) / 2
