"""`judge answer MODEL --questions Q`: what models say to the questions, and nothing more.

In: models, questions. Out: a run with questions.jsonl, answers.jsonl, the ledger and summary.json; `judge compare`
takes the folder as a system. Price: as `judge compare`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from judge.answers import answers_cost, ask_answers, states
from judge.asking import Cost, Desk, Limits, known_calls, read_prompts
from judge.compare_config import AnswerConfig
from judge.compare_plan import tell_questions
from judge.questions import QuestionSet, read_questions
from judge.records import ANSWERS, Answer
from judge.run_output import calls_of, give_back, nothing_came, tell_calls, write_calls, write_faults
from judge.store import write_answers, write_questions
from judge.systems import System, find_systems
from runkit.console import Terminated, emit_json, say
from runkit.errors import UsageError, UserError, check_failures
from runkit.files import write_json
from runkit.ledger import LEDGER, Ledger
from runkit.llm_client import check
from runkit.planned import keep_apart
from runkit.rundir import RunDir, note_usage, usage

COMMAND: Final = "judge answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCall:
    """The command line, parsed; `started` is a `time.monotonic()`."""

    systems: list[str]
    questions: list[str]
    out: Path
    config: AnswerConfig
    models_file: Path | None = None
    prices_file: Path | None = None
    limits: Limits = field(default_factory=Limits)
    limit: int | None = None
    sample: float | None = None
    dry_run: bool = False
    as_json: bool = False
    max_bad: float = 1.0
    started: float = 0.0


def answer(call: AnswerCall) -> None:
    """UsageError, InputError: what was given; RefusedError: budget or key; TooManyFailures: --max-bad."""
    keep_apart(call.out, call.questions)
    systems = _models(call)
    found = read_questions(call.questions, call.limit, call.sample)
    cost = Cost()
    for system in systems:
        cost = answers_cost(cost, system, found.questions, call.config)
    if call.dry_run:
        tell_questions(found)
        say(f"{cost.told()} Nothing was written or sent.")
        if call.as_json:
            emit_json({"questions": len(found.questions), "categories": found.categories, **cost.record()})
        return
    config = {
        **call.config.model_dump(mode="json"),
        "systems": [system.record() for system in systems],
        "limit": call.limit,
        "sample": call.sample,
    }
    answers: list[list[Answer]] = []
    with RunDir.open(call.out, COMMAND, config, found.inputs) as run:
        note_usage(run, usage(call.started))
        tell_questions(found)
        try:
            _ask(call, run, systems, found, cost, answers)
        except (UserError, KeyboardInterrupt, Terminated) as error:
            if isinstance(error, UserError) and nothing_came(run):
                give_back(run)
            else:
                note_usage(run, usage(call.started))
            raise
        summary = _summary(found, systems, answers)
        write_json(run.file("summary.json"), summary)
        note_usage(run, usage(call.started))
    _tell(call, summary)


def _models(call: AnswerCall) -> list[System]:
    systems = find_systems(call.systems, call.models_file, call.prices_file)
    for system in systems:
        if system.model is None:
            raise UsageError(f"{system.answers} holds answers already; name a model or a checkpoint.")
        check(system.model, call.limits.budget_usd)
    return systems


def _ask(
    call: AnswerCall,
    run: RunDir,
    systems: Sequence[System],
    found: QuestionSet,
    cost: Cost,
    answers: list[list[Answer]],
) -> None:
    write_questions(run.path, found.questions)
    write_faults(run, found.faults)
    with Ledger.open(run.file(LEDGER)) as ledger:
        say(cost.told(known_calls(ledger)))
        desk = Desk(run.path, ledger, call.limits, call.config.plain_prompt, read_prompts(run.path))
        try:
            for system in systems:
                answers.append(ask_answers(desk, system, found.questions, call.config))
        finally:
            write_calls(run, ledger, all(system.model is not None and system.model.price for system in systems))
    write_answers(run.path, [one for row in zip(*answers, strict=True) for one in row])


def _summary(found: QuestionSet, systems: Sequence[System], answers: Sequence[Sequence[Answer]]) -> dict[str, Any]:
    return {
        "format": 1,
        "questions": len(found.questions),
        "categories": found.categories,
        "not_read": found.reasons,
        "systems": {system.name: states(said) for system, said in zip(systems, answers, strict=True)},
    }


def _tell(call: AnswerCall, summary: dict[str, Any]) -> None:
    bad = 0
    for name, counts in summary["systems"].items():
        say(f"{name}: {', '.join(f'{count:,} {state}' for state, count in counts.items())}.")
        bad += sum(count for state, count in counts.items() if state not in ("ok", "cut"))
    tell_calls(call.out)
    if call.as_json:
        emit_json({**summary, **calls_of(call.out), **usage(call.started), "run": str(call.out)})
    wanted = summary["questions"] * len(summary["systems"])
    check_failures(bad, wanted, "answers are missing", call.max_bad, call.out / ANSWERS)
