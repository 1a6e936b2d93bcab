"""`judge compare A B --questions Q --judge J`: answers, then verdicts in both orders, then figures one can defend.

In: two or more systems, questions, judges. Out: a run with questions.jsonl, answers.jsonl, verdicts.jsonl, the ledger
of calls, summary.json and report.html. A start goes through all calls from the first one again, those of earlier
starts out of the ledger, so it ends as if it had never been stopped, and pays for no call twice. Price: 0.3 ms for
each call that was made before; tokens otherwise.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from judge.answers import ask_answers, collect_files
from judge.asking import Desk, known_calls, read_prompts
from judge.compare_config import CompareConfig
from judge.compare_plan import (
    CompareCall,
    Prepared,
    bound,
    dry_run,
    estimated,
    inputs_of,
    prepare,
    tell_baseline,
    tell_questions,
)
from judge.judging import Matches, ask_judge, identical_verdict, matches
from judge.records import ANSWERS, VERDICTS, Answer, Question, Verdict
from judge.reporting import REPORT, write_report
from judge.run_output import calls_of, give_back, nothing_came, tell_calls, write_calls, write_faults
from judge.store import SEAL, seal, write_answers, write_questions, write_verdicts
from judge.systems import System
from judge.tell import tell
from runkit.console import Terminated, emit_json, say
from runkit.errors import TooManyFailures, UserError, check_failures
from runkit.fields import Fault
from runkit.ledger import LEDGER, Ledger
from runkit.rundir import RunDir, note_usage, usage

COMMAND: Final = "judge compare"


@dataclass(slots=True)
class Work:
    """What a run has come to so far."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)  # in files of answers
    matches: Matches = field(default_factory=lambda: Matches((), (), 0))
    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)  # by judge, of the first tasks


def compare(call: CompareCall) -> None:
    """UsageError, InputError: what was given; RefusedError: budget or key; TooManyFailures: --max-bad."""
    prepared = prepare(call)
    if call.dry_run:
        dry_run(call, prepared)
        return
    work = Work()
    summary: dict[str, Any] | None = None
    with RunDir.open(call.out, COMMAND, bound(call, prepared), inputs_of(prepared)) as run:
        note_usage(run, usage(call.started))
        stopped: BaseException | None = None
        try:
            _work(call, prepared, run, work)
        except (UserError, KeyboardInterrupt, Terminated) as error:
            stopped = error
            raise
        finally:
            if isinstance(stopped, UserError) and nothing_came(run):
                give_back(run)
            else:
                verdicts = in_order(work, prepared, call.config)
                run.forget(SEAL)
                write_verdicts(run.path, verdicts)
                seal(run)
                summary = write_report(run.path, call.lang) if verdicts else None
                note_usage(run, usage(call.started))
    _tell(call, prepared, work, summary)


def _work(call: CompareCall, prepared: Prepared, run: RunDir, work: Work) -> None:
    questions = prepared.questions.questions
    run.forget(SEAL)
    write_questions(run.path, questions)
    tell_questions(prepared.questions)
    tell_baseline(prepared)
    collect_files(prepared.systems, questions, work.answers, work.faults)
    write_faults(run, [*prepared.questions.faults, *work.faults])
    cost = estimated(call.config, prepared, work.answers)
    with Ledger.open(run.file(LEDGER)) as ledger:
        say(cost.told(known_calls(ledger)))
        desk = Desk(run.path, ledger, call.limits, call.config.answer.plain_prompt, read_prompts(run.path))
        try:
            _ask(call, prepared, desk, work)
        finally:
            models = [one.model for one in (*prepared.systems, *prepared.judges) if one.model is not None]
            write_calls(run, ledger, all(model.price for model in models))


def _ask(call: CompareCall, prepared: Prepared, desk: Desk, work: Work) -> None:
    """All answers, then all verdicts."""
    questions = prepared.questions.questions
    for system in prepared.systems:
        if system.model is not None:
            work.answers[system.name] = ask_answers(desk, system, questions, call.config.answer)
    write_answers(desk.run, answers_in_order(prepared.systems, questions, work.answers))
    work.matches = matches(questions, work.answers, prepared.pairs, call.config.samples)
    for judge in prepared.judges:
        done = work.verdicts.setdefault(judge.name, [])
        ask_judge(desk, judge, work.matches.tasks, call.config, done.append)


def answers_in_order(
    systems: Sequence[System], questions: Sequence[Question], answers: Mapping[str, Sequence[Answer]]
) -> list[Answer]:
    """By question, then in the order in which the systems were named."""
    return [answers[system.name][number] for number in range(len(questions)) for system in systems]


def in_order(work: Work, prepared: Prepared, config: CompareConfig) -> list[Verdict]:
    """By question, pair and judge, then by order and sample; what no call was made for is left out."""
    place = {
        (question.id, pair): number
        for number, (question, pair) in enumerate(
            (question, pair) for question in prepared.questions.questions for pair in prepared.pairs
        )
    }
    rows: list[tuple[int, int, int, Verdict]] = []
    for number, judge in enumerate(prepared.judges):
        if judge.name not in work.verdicts:
            continue
        for task in work.matches.identical:
            rows.append((place[task.question.id, task.pair], number, 0, identical_verdict(task, judge.name, config)))
        for nth, (task, verdict) in enumerate(zip(work.matches.tasks, work.verdicts[judge.name], strict=False)):
            rows.append((place[task.question.id, task.pair], number, nth, verdict))
    return [row[3] for row in sorted(rows, key=lambda row: row[:3])]


def _tell(call: CompareCall, prepared: Prepared, work: Work, summary: Mapping[str, Any] | None) -> None:
    if summary is None:
        raise TooManyFailures(
            f"No question was answered by two systems, so there is nothing to judge; see {call.out / ANSWERS}."
        )
    if call.as_json:
        bad = Counter(fault.reason for fault in (*prepared.questions.faults, *work.faults))
        beside = {"not_read": dict(bad.most_common()), "run": str(call.out)}
        emit_json({**summary, **calls_of(call.out), **usage(call.started), **beside})
    tell(summary)
    tell_calls(call.out)
    say(f"Report: {call.out / REPORT}")
    account = summary["accounting"]
    bad_verdicts = account["invalid"] + account["error"]
    check_failures(bad_verdicts, account["asked"], "verdicts failed", call.max_bad, call.out / VERDICTS)
