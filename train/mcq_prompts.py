"""Prompts for four-choice questions, and the tokens that answer them.

In: worked examples and questions of a subject. Out: the ids of one prompt a question, which ends where the letter
stands next, and the ids of the four letters there. Each prompt is encoded whole, so that its ids are those of any other
tool; examples that do not fit are dropped whole, the first ones first. Price: the examples are encoded again for each
question, 1 ms a prompt of 1,000 tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from runkit.errors import InputError, UsageError
from train.mcq_questions import LETTERS, Question
from train.mcq_subjects import Subject
from train.pieces import Ids, Tokenizer

Wording = Literal["zh", "en"]
WORDINGS: Final = ("zh", "en")
_ANSWER: Final[dict[Wording, str]] = {"zh": "答案：", "en": "Answer:"}
# How the letter stands behind these words; the first that is one token for each letter is used, and recorded.
_SPACES: Final[dict[Wording, tuple[str, str]]] = {"zh": ("", " "), "en": (" ", "")}


@dataclass(frozen=True, slots=True)
class Letters:
    """The tokens of A, B, C and D behind the words for "answer"."""

    space: str  # between these words and the letter: "" or " "
    ids: tuple[int, int, int, int]
    pieces: tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question as the model reads it."""

    ids: Ids  # (T,)
    shots: int  # worked examples before it


def find_letters(tokenizer: Tokenizer, wording: Wording) -> Letters:
    """InputError: the tokenizer has no single token for a letter at this place."""
    tail = f"D. 1\n{_ANSWER[wording]}"
    before = tokenizer.encode(tail).tolist()
    for space in _SPACES[wording]:
        behind = [tokenizer.encode(f"{tail}{space}{letter}").tolist() for letter in LETTERS]
        ids = [found[-1] for found in behind if found[:-1] == before and found[-1] != tokenizer.special.unk]
        if len(set(ids)) == len(LETTERS):
            a, b, c, d = ids
            return Letters(space, (a, b, c, d), tuple(map(tokenizer.piece, (a, b, c, d))))  # type: ignore[arg-type]
    raise InputError(
        f"{tokenizer.path} has no token of its own for each of A, B, C and D behind {_ANSWER[wording]!r}; "
        "use the other wording or another tokenizer."
    )


def begin_id(tokenizer: Tokenizer, wanted: bool | None) -> int | None:
    """The token before each prompt: bos; None, and `wanted` unset: only where it is not the one that ends a text too.

    UsageError: it is wanted, but there is none.
    """
    bos = tokenizer.special.bos
    if wanted and bos is None:
        raise UsageError(f"{tokenizer.path} has no token that begins a text; leave bos unset, or set it to false.")
    return bos if wanted or (wanted is None and bos != tokenizer.special.eos) else None


def text_of(subject: Subject, examples: Sequence[Question], question: Question, wording: Wording, space: str) -> str:
    """The whole prompt. InputError: an example has no answer."""
    shown = []
    for example in examples:
        if example.answer is None:
            raise InputError(f"The example {example.id} of {subject.name} has no answer; give it one in dev/.")
        shown.append(f"{_asked(example, wording)}{space}{example.answer}\n\n")
    return _head(subject, wording) + "".join(shown) + _asked(question, wording)


def _head(subject: Subject, wording: Wording) -> str:
    if wording == "en":
        return f"Multiple-choice questions about {subject.english}. Each has exactly one right answer.\n\n"
    about = f"{subject.chinese}科目的" if subject.chinese else ""
    return f"下面是{about}单项选择题，每题只有一个正确答案。\n\n"


def _asked(question: Question, wording: Wording) -> str:
    choices = "".join(f"{letter}. {choice}\n" for letter, choice in zip(LETTERS, question.choices, strict=True))
    return f"{question.text}\n{choices}{_ANSWER[wording]}"


@dataclass(frozen=True, slots=True)
class Prompter:
    """What the prompts of all subjects have in common."""

    tokenizer: Tokenizer
    wording: Wording
    letters: Letters
    begin: int | None
    seq_len: int

    def prompts(
        self, subject: Subject, examples: Sequence[Question], questions: Sequence[Question]
    ) -> list[Prompt | None]:
        """One prompt a question, of at most `seq_len` ids; None: too long even without an example."""
        found: list[Prompt | None] = [None] * len(questions)
        left = list(range(len(questions)))
        for dropped in range(len(examples) + 1):
            shown = examples[dropped:]
            texts = [text_of(subject, shown, questions[number], self.wording, self.letters.space) for number in left]
            longer = []
            for number, ids in zip(left, self.tokenizer.encode_batch(texts), strict=True):
                if self.begin is not None:
                    ids = np.concatenate([np.array([self.begin], ids.dtype), ids])
                if len(ids) <= self.seq_len:
                    found[number] = Prompt(ids, len(shown))
                else:
                    longer.append(number)
            left = longer
        return found
