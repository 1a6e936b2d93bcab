"""What a call of `judge compare` means, before anything is written or sent.

In: the command line. Out: questions, systems, judges and pairs, what the run is bound to, and an estimate of tokens and
cost. Price: files of questions are read, files of answers looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from judge.answers import USUAL_TOKENS, answers_cost, collect_files
from judge.asking import Cost, Limits
from judge.compare_config import CompareConfig
from judge.judging import Pair, Task, pairs_of, request_of
from judge.prompts import VERSION
from judge.questions import QuestionSet, read_questions
from judge.records import Answer
from judge.systems import OVERLAP, System, find_judges, find_systems
from runkit.console import emit_json, say
from runkit.errors import UsageError
from runkit.llm_client import check
from runkit.planned import keep_apart

_SAMPLE: Final = 64
_VERDICT_TOKENS: Final = 300  # with its reasons, to estimate by


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareCall:
    """The command line, parsed; `started` is a `time.monotonic()`."""

    systems: list[str]
    questions: list[str]
    judges: list[str]
    out: Path
    config: CompareConfig
    reference: str | None = None
    models_file: Path | None = None
    prices_file: Path | None = None
    limits: Limits = field(default_factory=Limits)
    limit: int | None = None
    sample: float | None = None
    dry_run: bool = False
    as_json: bool = False
    lang: str = "en"
    max_bad: float = 1.0
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the command line means."""

    questions: QuestionSet
    systems: list[System]
    judges: list[System]
    reference: str | None  # the name of a system
    pairs: list[Pair]


def prepare(call: CompareCall) -> Prepared:
    """Look at everything before anything is written. UsageError, InputError: as the readers have them."""
    keep_apart(call.out, call.questions)
    if not call.judges:
        raise UsageError(f"No judge is named; give --judge name@https://host/v1, a name in models.yaml, or {OVERLAP}.")
    texts = list(call.systems)
    systems = find_systems(texts, call.models_file, call.prices_file)
    reference = call.reference
    if reference is not None and reference not in [system.name for system in systems]:
        systems = find_systems([*texts, reference], call.models_file, call.prices_file)
        reference = systems[-1].name
    if len(systems) < 2:
        raise UsageError("One system alone cannot be compared; name two or more, or one and --reference.")
    if reference is None and len(systems) == 2:
        reference = systems[1].name
    if call.config.pairs == "reference" and reference is None:
        raise UsageError("-s pairs=reference needs to know which one; give --reference NAME.")
    judges = find_judges(call.judges, call.models_file, call.prices_file)
    for who in (*systems, *judges):
        if who.model is not None:
            check(who.model, call.limits.budget_usd)
    questions = read_questions(call.questions, call.limit, call.sample)
    pairs = pairs_of([system.name for system in systems], reference, call.config)
    return Prepared(questions, systems, judges, reference, pairs)


def bound(call: CompareCall, prepared: Prepared) -> dict[str, Any]:
    """What decides the verdicts; --budget and --concurrency may change from start to start."""
    return {
        **call.config.model_dump(mode="json"),
        "systems": [system.record() for system in prepared.systems],
        "judges": [judge.record() for judge in prepared.judges],
        "reference": prepared.reference,
        "limit": call.limit,
        "sample": call.sample,
        "prompts": VERSION,
    }


def inputs_of(prepared: Prepared) -> list[dict[str, Any]]:
    return [*prepared.questions.inputs, *(entry for system in prepared.systems for entry in system.inputs())]


def estimated(config: CompareConfig, prepared: Prepared, answers: Mapping[str, Sequence[Answer]]) -> Cost:
    """What the calls of a whole run take; answers that are not there yet count as usual ones."""
    questions = prepared.questions.questions
    cost = Cost()
    for system in prepared.systems:
        cost = answers_cost(cost, system, questions, config.answer)
    usual = Answer(question_id="", system="", text="字" * USUAL_TOKENS)
    for judge in prepared.judges:
        if judge.model is None:
            continue
        if judge.checkpoint is not None:
            cost = cost.with_served(judge.name)
            continue
        sample = []
        for number, question in enumerate(questions[:_SAMPLE]):
            one, other = (answers[name][number] if name in answers else usual for name in prepared.pairs[0])
            sample.append(request_of(Task(question, prepared.pairs[0], one, other, 0), judge.model, config))
        calls = 2 * config.samples * len(questions) * len(prepared.pairs)
        cost = cost.plus(judge.model, sample, calls, min(_VERDICT_TOKENS, config.judge.max_tokens))
    return cost


def dry_run(call: CompareCall, prepared: Prepared) -> None:
    answers: dict[str, list[Answer]] = {}
    collect_files(prepared.systems, prepared.questions.questions, answers, [])
    tell_questions(prepared.questions)
    cost = estimated(call.config, prepared, answers)
    names = [system.name for system in prepared.systems]
    say(f"{', '.join(names)}; {len(prepared.pairs)} pairs; judged by {', '.join(j.name for j in prepared.judges)}.")
    say(f"{cost.told()} Nothing was written or sent.")
    if call.as_json:
        emit_json(
            {
                "questions": len(prepared.questions.questions),
                "categories": prepared.questions.categories,
                "faults": prepared.questions.reasons,
                "systems": names,
                "judges": [judge.name for judge in prepared.judges],
                "reference": prepared.reference,
                "pairs": len(prepared.pairs),
                **cost.record(),
            }
        )


def tell_baseline(prepared: Prepared) -> None:
    """What the judge without a model is, and what it cannot do."""
    if any(judge.model is None for judge in prepared.judges):
        silent = sum(question.reference is None for question in prepared.questions.questions)
        cannot = f", and it cannot judge the {silent:,} questions without one" if silent else ""
        say(f"{OVERLAP} is a weak baseline: it counts what an answer shares with the reference answer{cannot}.")


def tell_questions(found: QuestionSet) -> None:
    """How many of which class, and what was none."""
    classes = ", ".join(f"{name} {count:,}" for name, count in found.categories.items())
    with_reference = sum(question.reference is not None for question in found.questions)
    say(f"{len(found.questions):,} questions, {with_reference:,} of them with a reference answer: {classes}.")
    for reason, count in found.reasons.items():
        say(f"  {count:>8,}  not read: {reason}")
