"""Which verdicts a comparison needs, and what comes of each call: both orders, `samples` times, for every two answers.

In: questions, answers of every system, judges. Out: `Verdict`s in the order of the file: question, pair, judge, which
was shown first, sample. Two answers that are alike are a tie without a call; without one of them there is nothing to
judge. A judge's text is in the ledger before it is read here. Price: a prompt is put together again when its reply
comes, 0.1 ms, instead of being held.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, overload

from judge.answers import temperature
from judge.asking import Desk
from judge.compare_config import CompareConfig
from judge.overlap import overlap_verdict
from judge.prompts import GRAMMARS, JudgePrompt, judge_prompt
from judge.records import Answer, Question, Verdict
from judge.systems import System
from judge.verdict import read
from runkit.chat import Failure, Reply, Request
from runkit.models import Model

Pair = tuple[str, str]  # names of two systems, in the order in which they were named
# A judge that says nothing, or is kept from it, has answered: its verdict is invalid. All else is an error of the call.
_NO_VERDICT: Final = {"empty": "reply.empty", "refusal": "reply.refused", "content_filter": "reply.filtered"}
SEVERAL: Final = 0.7  # temperature for several samples: at 0 they would say the same


@dataclass(frozen=True, slots=True)
class Task:
    """One verdict that is wanted."""

    question: Question
    pair: Pair
    first: Answer
    second: Answer
    sample: int

    def prompt(self, config: CompareConfig) -> JudgePrompt:
        """What a judge reads."""
        first, second = self.first.text or "", self.second.text or ""
        return judge_prompt(self.question, first, second, config.grammar, config.prompt, config.seed, self.sample)


@dataclass(frozen=True, slots=True)
class Matches:
    """What there is to judge."""

    tasks: tuple[Task, ...]  # for one judge
    identical: tuple[Task, ...]
    unanswered: int  # pairs of which one system or both did not answer


class Requests(Sequence[Request]):
    """Requests that are put together when they are asked for."""

    def __init__(self, build: Callable[[int], Request], size: int) -> None:
        self._build, self._size = build, size

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> Request: ...
    @overload
    def __getitem__(self, index: slice) -> list[Request]: ...
    def __getitem__(self, index: int | slice) -> Request | list[Request]:
        places = range(self._size)[index]
        return self._build(places) if isinstance(places, int) else [self._build(place) for place in places]

    def __iter__(self) -> Iterator[Request]:
        return map(self._build, range(self._size))


def pairs_of(names: Sequence[str], reference: str | None, config: CompareConfig) -> list[Pair]:
    """Every two systems, or each one with the reference."""
    found = list(combinations(names, 2))
    if config.pairs == "reference" and reference is not None:
        found = [pair for pair in found if reference in pair]
    return found


def matches(
    questions: Sequence[Question], answers: Mapping[str, Sequence[Answer]], pairs: Sequence[Pair], samples: int
) -> Matches:
    """What is to be judged, in the order of the file."""
    tasks: list[Task] = []
    identical: list[Task] = []
    unanswered = 0
    for number, question in enumerate(questions):
        for pair in pairs:
            one, other = answers[pair[0]][number], answers[pair[1]][number]
            if one.text is None or other.text is None:
                unanswered += 1
            elif one.text.strip() == other.text.strip():
                identical.append(Task(question, pair, one, other, 0))
            else:
                for first, second in ((one, other), (other, one)):
                    tasks += [Task(question, pair, first, second, sample) for sample in range(samples)]
    return Matches(tuple(tasks), tuple(identical), unanswered)


def request_of(task: Task, model: Model, config: CompareConfig) -> Request:
    """What is sent to a judge."""
    return Request(
        messages=task.prompt(config).messages,
        max_tokens=config.judge.max_tokens,
        temperature=temperature(model, config.judge.temperature, 0.0 if config.samples == 1 else SEVERAL),
        repetition=task.sample,
    )


def ask_judge(
    desk: Desk, judge: System, tasks: Sequence[Task], config: CompareConfig, take: Callable[[Verdict], None]
) -> None:
    """`take` gets the verdict of each task, in order. What stops a run comes up as from `run_all`."""
    if judge.model is None:
        for task in tasks:
            take(overlap_verdict(_blank(task, judge.name, config), task.question, task.first, task.second))
        return
    model = judge.model
    requests = Requests(lambda number: request_of(tasks[number], model, config), len(tasks))
    desk.ask(
        judge,
        lambda prompt: requests,
        lambda number, reply: take(verdict_of(tasks[number], judge.name, reply, config)),
        f"{judge.name} judges",
        "verdicts",
    )


def verdict_of(task: Task, judge: str, reply: Reply | Failure, config: CompareConfig) -> Verdict:
    """What a reply says; its whole text stands beside that."""
    blank = replace(_blank(task, judge, config), call_id=reply.call_id)
    if isinstance(reply, Failure):
        if reply.kind in _NO_VERDICT:
            return replace(blank, state="invalid", fault=_NO_VERDICT[reply.kind])
        return replace(blank, state="error", fault=reply.kind)
    found = read(blank.grammar, reply.text, nonce=blank.nonce, cut=reply.finish_reason == "length")
    return replace(
        blank,
        raw=reply.text,
        state="invalid" if found.fault else "ok",
        fault=found.fault,
        score_first=found.score_first,
        score_second=found.score_second,
        choice=found.choice,
        explanation=found.explanation,
    )


def identical_verdict(task: Task, judge: str, config: CompareConfig) -> Verdict:
    """A tie that no judge was asked about."""
    return replace(_blank(task, judge, config), nonce=None, state="identical", choice="tie")


def _blank(task: Task, judge: str, config: CompareConfig) -> Verdict:
    """A verdict that says nothing yet."""
    return Verdict(
        question_id=task.question.id,
        category=task.question.category,
        first=task.first.system,
        second=task.second.system,
        judge=judge,
        sample=task.sample,
        grammar=GRAMMARS[config.grammar],
        nonce=task.prompt(config).nonce,
        raw=None,
        state="error",
    )
