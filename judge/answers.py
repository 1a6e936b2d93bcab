"""What the systems say to the questions: read from files, or asked of models.

In: questions, a `System`. Out: one `Answer` for each question, in their order: `ok`, `cut` at the longest length,
`empty`, `refused`, or `error`; only the first two have a text. Thoughts in front of an answer are taken off, the
ledger has them. Price: all answers lie in memory.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from judge.asking import Cost, Desk
from judge.compare_config import AnswerConfig
from judge.records import Answer, AnswerState, Question
from judge.systems import System
from runkit.chat import Failure, Reply, Request
from runkit.console import say
from runkit.errors import InputError
from runkit.fields import Fault, Fields
from runkit.instructions import find_items
from runkit.jsonl import JsonLineError
from runkit.models import Model
from runkit.plain_prompts import PlainPrompt

TEXTS: Final = ("answer", "text", "output")
USUAL_TOKENS: Final = 400  # of an answer, to estimate by
SAMPLE: Final = 64
_STATES: Final = frozenset(get_args(AnswerState))
_THOUGHTS: Final = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_OF_FAILURE: Final[dict[str, AnswerState]] = {"empty": "empty", "refusal": "refused", "content_filter": "refused"}


@dataclass(frozen=True, slots=True)
class FileAnswers:
    """A file of answers, as far as it is about the questions."""

    answers: list[Answer]  # one for each question
    faults: tuple[Fault, ...]
    strangers: int  # answers to other questions


def read_answers(path: Path, system: str, questions: Sequence[Question]) -> FileAnswers:
    """The answers of `system`. InputError: a question is answered twice, or none is."""
    found: dict[str, Answer] = {}
    places: dict[str, str] = {}
    faults: list[Fault] = []
    wanted = {question.id for question in questions}
    records = list(find_items([str(path)]).fields())
    speakers = {record.values.get("system") for record in records if isinstance(record, Fields)}
    strangers = 0
    for record in records:
        if isinstance(record, Fault):
            faults.append(record)
            continue
        if len(speakers) > 1 and record.values.get("system") != system:
            continue
        try:
            answer = _answer(record, system)
        except JsonLineError as error:
            faults.append(record.fault(error))
            continue
        place = record.origin if record.line is None else f"{record.name}, line {record.line}"
        if answer.question_id in found:
            raise InputError(
                f"{place}: the question {answer.question_id} is answered at {places[answer.question_id]} too; "
                "leave one answer of a system to each question."
            )
        if answer.question_id in wanted:
            found[answer.question_id] = answer
            places[answer.question_id] = place
        else:
            strangers += 1
    if not found:
        raise InputError(_nothing(path, system, faults, strangers))
    missing = f"{path.name} has no answer to it"
    whole = [
        found.get(one.id) or Answer(question_id=one.id, system=system, text=None, state="error", detail=missing)
        for one in questions
    ]
    return FileAnswers(whole, tuple(faults), strangers)


def collect_files(
    systems: Sequence[System], questions: Sequence[Question], answers: dict[str, list[Answer]], faults: list[Fault]
) -> None:
    """The answers that lie in files, before any call is made."""
    for system in systems:
        if system.answers is None:
            continue
        found = read_answers(system.answers, system.name, questions)
        answers[system.name] = found.answers
        faults += found.faults
        if found.strangers:
            say(f"{system.answers}: {found.strangers:,} answers are to other questions and are left out.")
        if found.faults:
            say(f"{system.answers}: {len(found.faults):,} lines are no answers; quarantine.jsonl names them.")


def ask_answers(desk: Desk, system: System, questions: Sequence[Question], config: AnswerConfig) -> list[Answer]:
    """Ask a model all questions. What stops a run comes up as from `run_all`."""
    found: list[Answer] = []

    def take(number: int, reply: Reply | Failure) -> None:
        found.append(_of_reply(questions[number], system.name, reply))

    desk.ask(
        system, lambda prompt: requests_of(system, questions, config, prompt), take, f"{system.name} answers", "answers"
    )
    return found


def requests_of(
    system: System, questions: Sequence[Question], config: AnswerConfig, prompt: PlainPrompt | None
) -> list[Request]:
    """One request for each question. `prompt`: of a model that never learnt a dialogue."""
    assert system.model is not None
    head = [{"role": "system", "content": config.system}] if config.system else []
    return [
        Request(
            messages=[*head, {"role": "user", "content": question.text}],
            max_tokens=config.max_tokens,
            temperature=temperature(system.model, config.temperature, 0.0),
            stop=None if prompt is None or not prompt.stop else prompt.stop,
            repetition=system.repetition,
        )
        for question in questions
    ]


def temperature(model: Model, wanted: float | None, usual: float) -> float | None:
    """What is wanted, else what the model's entry says (None: the client puts it in), else the usual one."""
    return wanted if wanted is not None else None if model.temperature is not None else usual


def answers_cost(cost: Cost, system: System, questions: Sequence[Question], config: AnswerConfig) -> Cost:
    """The estimate with the answers of one system more."""
    if system.model is None:
        return cost
    if system.checkpoint is not None:
        return cost.with_served(system.name)
    sample = requests_of(system, questions[:SAMPLE], config, None)
    return cost.plus(system.model, sample, len(questions), min(USUAL_TOKENS, config.max_tokens))


def states(answers: Sequence[Answer]) -> dict[str, int]:
    """Answers by state, those of each state that there is."""
    return dict(sorted(Counter(answer.state for answer in answers).items()))


def without_thoughts(text: str) -> str | None:
    """An answer behind its thoughts; None: it never came to one."""
    whole = _THOUGHTS.sub("", text, count=1) if text.lstrip().startswith("<think>") else text
    return None if whole.lstrip().startswith("<think>") or not whole.strip() else whole


def _answer(found: Fields, system: str) -> Answer:
    values = found.values
    id = values.get("question_id", values.get("id"))
    if not isinstance(id, str | int) or isinstance(id, bool) or id == "":
        raise JsonLineError("field.id", "neither 'question_id' nor 'id' is a text or a whole number")
    name = next((name for name in TEXTS if name in values), None)
    text = None if name is None else values[name]
    state: Any = values.get("state", "ok" if text is not None else None)
    if state not in _STATES:
        raise JsonLineError("field.missing", f"none of {', '.join(TEXTS)} with a text")
    if text is not None and not isinstance(text, str):
        raise JsonLineError("field.not_text", f"{name!r} holds {type(text).__name__}")
    if state in ("ok", "cut") and not (text or "").strip():
        state, text = "empty", None
    detail = values.get("detail")
    return Answer(
        question_id=str(id),
        system=system,
        text=text if state in ("ok", "cut") else None,
        state=state,
        detail=detail if isinstance(detail, str) else "",
        call_id=_call_id(values),
    )


def _call_id(values: dict[str, Any]) -> str | None:
    call_id = values.get("call_id")
    return call_id if isinstance(call_id, str) else None


def _of_reply(question: Question, system: str, reply: Reply | Failure) -> Answer:
    state: AnswerState
    if isinstance(reply, Failure):
        state, text, detail = _OF_FAILURE.get(reply.kind, "error"), None, reply.message
    else:
        text = without_thoughts(reply.text)
        state = "empty" if text is None else "cut" if reply.finish_reason == "length" else "ok"
        detail = "nothing but thoughts" if text is None else ""
    return Answer(question_id=question.id, system=system, text=text, state=state, detail=detail, call_id=reply.call_id)


def _nothing(path: Path, system: str, faults: Sequence[Fault], strangers: int) -> str:
    if strangers:
        return f"{path} has {strangers:,} answers and none to these questions; give the questions they belong to."
    if faults:
        first = faults[0]
        line = f", line {first.line}" if first.line is not None else ""
        return f"{path}{line}: {first.reason}: {first.detail}; give question_id and answer a line."
    return f"{path} holds no answer of {system}; give question_id and answer a line."
