"""The questions that systems are asked, from the layouts in which such sets are about.

In: JSON lines, JSON arrays or parquet (also gz, zst, bz2): ours (`id`, `text`, `category`, `reference`), BELLE's
evaluation set (`question`, `class`, `std_answer`), Alpaca's (`instruction`, `input`, `output`). Out: `Question`s in
the order of the files and a `Fault` for each record that is none. Price: all questions lie in memory.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from judge.records import Question
from runkit.errors import InputError
from runkit.fields import Fault, Fields
from runkit.instructions import Items, find_items, id_in
from runkit.jsonl import JsonLineError
from runkit.records import id_of_text, sampled

TEXTS: Final = ("text", "question", "instruction", "prompt")
REFERENCES: Final = ("reference", "std_answer", "reference_answer", "output", "target")
CATEGORIES: Final = ("category", "class", "type")
OTHER: Final = "other"  # where a record names no class
# What no eye sees and no search finds: zero-width characters and the byte order mark.
_UNSEEN: Final = re.compile("[\u200b-\u200d\u2060\ufeff]")


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """What the files hold, and what in them is no question."""

    questions: tuple[Question, ...]
    faults: tuple[Fault, ...]
    inputs: list[dict[str, Any]]  # as `RunDir.open` takes them

    @property
    def reasons(self) -> dict[str, int]:
        """Faults by reason, the most frequent first."""
        found = Counter(fault.reason for fault in self.faults)
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    @property
    def categories(self) -> dict[str, int]:
        """Questions of each class, in the order in which the classes come."""
        return dict(Counter(question.category for question in self.questions))


def read_questions(paths: Sequence[str], limit: int | None = None, sample: float | None = None) -> QuestionSet:
    """All questions, the first `limit` of them, or a fair part.

    UsageError: a path does not exist. InputError: an id stands twice, or there is no question.
    """
    items = find_items(paths)
    questions: list[Question] = []
    faults: list[Fault] = []
    places: dict[str, str] = {}
    for found in items.fields():
        question = found if isinstance(found, Fault) else _question(found)
        if isinstance(question, Fault):
            faults.append(question)
            continue
        assert isinstance(found, Fields)
        place = _place(found)
        if question.id in places and found.values.get("id") is None:
            again = JsonLineError("question.again", f"the same question stands at {places[question.id]}")
            faults.append(found.fault(again))
            continue
        if question.id in places:
            raise InputError(
                f"{place}: the id {question.id} stands at {places[question.id]} too; give each question its own."
            )
        places[question.id] = place
        if sample is None or sampled(question.id, sample):
            questions.append(question)
        if limit is not None and len(questions) >= limit:
            break
    if not questions:
        raise InputError(_nothing(paths, faults))
    return QuestionSet(tuple(questions), tuple(faults), _inputs(items))


def joined_category(text: str) -> str:
    """A class as it is counted: NFKC, case folded, white space of any kind and length as one space."""
    return " ".join(_UNSEEN.sub("", unicodedata.normalize("NFKC", text)).casefold().split())


def _question(found: Fields) -> Question | Fault:
    values = found.values
    try:
        text = _asked(values)
        reference = next((values[name] for name in REFERENCES if values.get(name) is not None), None)
        if reference is not None and not isinstance(reference, str):
            raise JsonLineError("field.not_text", f"the reference answer is {type(reference).__name__}")
        category = next((values[name] for name in CATEGORIES if values.get(name) is not None), OTHER)
        if not isinstance(category, str):
            raise JsonLineError("field.not_text", f"the class is {type(category).__name__}")
        id = id_in(values) if values.get("id") is not None else id_of_text(text)
        if id is None:
            raise JsonLineError("field.id", "the id is neither a text nor a whole number")
    except JsonLineError as error:
        return found.fault(error)
    whole = reference if reference is not None and reference.strip() else None
    return Question(id=id, category=joined_category(category) or OTHER, text=text, reference=whole)


def _asked(values: dict[str, Any]) -> str:
    name = next((name for name in TEXTS if name in values), None)
    if name is None:
        raise JsonLineError("field.missing", f"none of {', '.join(TEXTS)}")
    text, more = values[name], values.get("input")
    if not isinstance(text, str):
        raise JsonLineError("field.not_text", f"{name!r} holds {'null' if text is None else type(text).__name__}")
    if more is not None and not isinstance(more, str):
        raise JsonLineError("field.not_text", f"'input' holds {type(more).__name__}")
    whole = f"{text}\n{more}" if more and more.strip() and name == "instruction" else text
    if not whole.strip():
        raise JsonLineError("field.empty", f"{name!r} is empty")
    if "\0" in whole:
        raise JsonLineError("json.nul", f"{name!r} holds a NUL")
    return whole


def _place(found: Fields) -> str:
    return f"{found.name}, line {found.line}" if found.line is not None else found.origin


def _nothing(paths: Sequence[str], faults: Sequence[Fault]) -> str:
    where = " ".join(map(str, paths))
    if not faults:
        return f"{where}: no question in it; give a JSON object with id, text and category a line."
    first = faults[0]
    line = f", line {first.line}" if first.line is not None else ""
    return f"{where}: no question in it; {first.name}{line}: {first.reason}: {first.detail}; mend it."


def _inputs(items: Items) -> list[dict[str, Any]]:
    return [{**entry, "name": f"questions {entry['name']}"} for entry in items.inputs()]
