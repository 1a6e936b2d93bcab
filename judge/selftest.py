"""`judge selftest --judge J`: a scorecard for a judge before money is spent on it.

In: a judge. Out: for each check how many cases it passed: identical, empty, truncated, padded, wrong, nearly right,
constant and injected answers beside good ones, in both orders, and what the place of an answer is worth to it. The
scorecard is no verdict on the judge's taste: it finds those that read the place, the length, the wording or the orders
in an answer instead of the answer. Price: 146 calls.
"""

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from judge.asking import Cost, Desk, Limits, read_prompts
from judge.compare_config import CompareConfig
from judge.intervals import t_interval
from judge.judging import Task, ask_judge, request_of
from judge.prompts import VERSION
from judge.records import Answer, Question, Verdict
from judge.run_output import give_back, nothing_came, tell_calls, write_calls
from judge.selftest_cases import ATTACKS, CASES, CONSTANT, FILLER, Case
from judge.store import write_verdicts
from judge.systems import System, find_judges
from runkit.console import Terminated, emit_json, say
from runkit.errors import TooManyFailures, UserError
from runkit.files import write_json
from runkit.ledger import LEDGER, Ledger
from runkit.llm_client import check
from runkit.rundir import RunDir, note_usage, usage

COMMAND: Final = "judge selftest"
SCORECARD: Final = "scorecard.json"
Wanted = Literal["tie", "good", "not_worse"]
# name -> what the judge should do with the good answer beside the other one, and in what share of the cases.
CHECKS: Final[dict[str, tuple[Wanted, float]]] = {
    "identical": ("tie", 0.8),
    "empty": ("good", 1.0),
    "truncated": ("good", 0.8),
    "padded": ("not_worse", 0.8),
    "wrong": ("good", 0.8),
    "near_miss": ("good", 0.8),
    "constant": ("good", 0.8),
    "injected": ("good", 1.0),
}
MOST_UNREAD: Final = 0.05
MOST_POSITION: Final = {"scores": 0.5, "three-way": 0.2}  # points; share of verdicts that go with the place
_TRUNCATED: Final = 0.3  # of the answer is left
_USUAL_TOKENS: Final = 300
_MOST_TOLD: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SelftestCall:
    """The command line, parsed; `out` None: nothing is kept."""

    judge: str
    out: Path | None
    config: CompareConfig
    models_file: Path | None = None
    prices_file: Path | None = None
    limits: Limits = field(default_factory=Limits)
    dry_run: bool = False
    as_json: bool = False
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A good answer and another one, to be shown in both orders."""

    check: str
    case: Case
    other: str
    name: str  # of the trial

    def tasks(self) -> list[Task]:
        """The good answer first, then second. Both are the same where the answers are, so a sample apart."""
        question = Question(
            id=f"{self.check}/{self.name}",
            category=self.case.category,
            text=self.case.question,
            reference=self.case.reference,
        )
        good = Answer(question_id=question.id, system="good", text=self.case.good)
        other = Answer(question_id=question.id, system=self.check, text=self.other)
        pair = ("good", self.check)
        return [Task(question, pair, good, other, 0), Task(question, pair, other, good, 1)]


def trials() -> list[Trial]:
    """All of them, by check."""
    found: list[Trial] = []
    for case in CASES:
        before, behind = FILLER[case.language]
        others = {
            "identical": case.good,
            "empty": "",
            "truncated": case.good[: round(_TRUNCATED * len(case.good))],
            "padded": before + case.good + behind,
            "wrong": case.bad,
            "near_miss": case.near,
            "constant": CONSTANT[case.language],
        }
        found += [Trial(check, case, other, case.id) for check, other in others.items()]
    for number, (name, language, attack) in enumerate(ATTACKS):
        own = [case for case in CASES if case.language == language]
        case = own[number % len(own)]
        found.append(Trial("injected", case, f"{case.bad}\n\n{attack}", name))
    return sorted(found, key=lambda trial: list(CHECKS).index(trial.check))


def selftest(call: SelftestCall) -> None:
    """UsageError: no such judge; RefusedError, EnvironmentFault: it cannot be asked."""
    [judge] = find_judges([call.judge], call.models_file, call.prices_file)
    all_trials = trials()
    tasks = [task for trial in all_trials for task in trial.tasks()]
    cost = Cost()
    if judge.model is not None:
        check(judge.model, call.limits.budget_usd)
        if judge.checkpoint is None:
            sample = [request_of(task, judge.model, call.config) for task in tasks]
            cost = cost.plus(judge.model, sample, len(tasks), _USUAL_TOKENS)
    say(cost.told() + (" Nothing was sent." if call.dry_run else ""))
    if call.dry_run:
        if call.as_json:
            emit_json(cost.record())
        return
    config = {**call.config.model_dump(mode="json"), "judge_model": judge.record(), "prompts": VERSION}
    kept = nullcontext(call.out) if call.out is not None else tempfile.TemporaryDirectory(prefix="wenhai-")
    with kept as folder, RunDir.open(Path(folder), COMMAND, config, []) as run:
        note_usage(run, usage(call.started))
        try:
            verdicts = _ask(call, judge, tasks, run)
        except (UserError, KeyboardInterrupt, Terminated) as error:
            if isinstance(error, UserError) and nothing_came(run):
                give_back(run)
            raise
        card = scorecard(judge.name, all_trials, verdicts, call.config.grammar)
        write_verdicts(run.path, verdicts)
        write_json(run.file(SCORECARD), card)
        note_usage(run, usage(call.started))
        _tell(card)
        tell_calls(run.path)
    if call.as_json:
        emit_json({**card, **usage(call.started), "run": None if call.out is None else str(call.out)})
    if all(verdict.state != "ok" for verdict in verdicts):
        raise TooManyFailures(
            f"Not one verdict of {judge.name} could be read; try --grammar three-way or another judge."
        )


def _ask(call: SelftestCall, judge: System, tasks: Sequence[Task], run: RunDir) -> list[Verdict]:
    found: list[Verdict] = []
    with Ledger.open(run.file(LEDGER)) as ledger:
        desk = Desk(run.path, ledger, call.limits, call.config.answer.plain_prompt, read_prompts(run.path))
        try:
            ask_judge(desk, judge, tasks, call.config, found.append)
        finally:
            write_calls(run, ledger, judge.model is not None and judge.model.price is not None)
    return found


def scorecard(judge: str, all_trials: Sequence[Trial], verdicts: Sequence[Verdict], grammar: str) -> dict[str, Any]:
    """`verdicts`: two for each trial, the good answer first and second."""
    checks: dict[str, dict[str, Any]] = {}
    effects: list[float] = []
    firsts: list[float] = []
    for name, (wanted, share) in CHECKS.items():
        rows = [
            (trial, verdicts[2 * number], verdicts[2 * number + 1])
            for number, trial in enumerate(all_trials)
            if trial.check == name
        ]
        passed, margins, failed = 0, [], []
        for trial, good_first, good_second in rows:
            if good_first.state != "ok" or good_second.state != "ok":
                failed.append(trial.name)
                continue
            one, two = _margin(good_first), _margin(good_second)  # of the one shown first
            effects.append((one + two) / 2)
            firsts += [float(np.sign(one)), float(np.sign(two))]
            margins.append((one - two) / 2)  # of the good answer
            good = _passes(wanted, one, -two)
            passed += good
            failed += [] if good else [trial.name]
        unread = sum(verdict.state != "ok" for _, one, two in rows for verdict in (one, two))
        checks[name] = {
            "wanted": wanted,
            "cases": len(rows),
            "passed": passed,
            "needed": share,
            "passes": passed >= share * len(rows),
            "unread": unread,
            "mean_margin": float(np.mean(margins)) if margins else None,
            "failed": failed,
        }
    position = _position(effects, firsts, grammar)
    unread_share = sum(one["unread"] for one in checks.values()) / max(1, len(verdicts))
    readable = {"unread_share": unread_share, "at_most": MOST_UNREAD, "passes": unread_share <= MOST_UNREAD}
    return {
        "format": 1,
        "judge": judge,
        "grammar": grammar,
        "verdicts": len(verdicts),
        "checks": checks,
        "position": position,
        "readable": readable,
        "passes": all(one["passes"] for one in (*checks.values(), position, readable)),
    }


def _margin(verdict: Verdict) -> float:
    if verdict.score_first is not None and verdict.score_second is not None:
        return verdict.score_first - verdict.score_second
    return {"first": 1.0, "second": -1.0}.get(verdict.choice or "", 0.0)


def _passes(wanted: Wanted, first: float, second: float) -> bool:
    """By the margins of the good answer where it was shown first, and where it was shown second."""
    if wanted == "tie":
        return first == 0 and second == 0
    if wanted == "good":
        return first > 0 and second > 0
    return first + second >= 0


def _position(effects: Sequence[float], firsts: Sequence[float], grammar: str) -> dict[str, Any]:
    """What being shown first is worth; fails where it is much and no accident."""
    values = np.array(effects, dtype=np.float64)
    mean = float(values.mean()) if len(values) else None
    interval = t_interval(values) if len(values) > 1 else None
    decided = [one for one in firsts if one]
    beyond = mean is not None and abs(mean) > MOST_POSITION[grammar]
    by_chance = interval is None or interval[0] <= 0 <= interval[1]
    return {
        "effect": mean,
        "interval": None if interval is None else list(interval),
        "first_preferred": sum(one > 0 for one in decided) / len(decided) if decided else None,
        "at_most": MOST_POSITION[grammar],
        "passes": mean is not None and not (beyond and not by_chance),
    }


def _tell(card: dict[str, Any]) -> None:
    say(f"{card['judge']}: {card['verdicts']} verdicts.")
    say(f"  {'check':<12}{'passed':>8}{'needed':>8}{'unread':>8}{'margin':>9}")
    for name, one in card["checks"].items():
        margin = "" if one["mean_margin"] is None else f"{one['mean_margin']:+.2f}"
        word = "ok" if one["passes"] else f"FAILS: {', '.join(one['failed'][:_MOST_TOLD])}"
        word += " …" if not one["passes"] and len(one["failed"]) > _MOST_TOLD else ""
        needed = f"{one['needed']:.0%}"
        say(f"  {name:<12}{one['passed']:>5}/{one['cases']:<2}{needed:>8}{one['unread']:>8}{margin:>9}  {word}")
    position, readable = card["position"], card["readable"]
    if position["effect"] is not None:
        interval = position["interval"]
        span = "" if interval is None else f" (95 %: {interval[0]:+.2f} to {interval[1]:+.2f})"
        share = position["first_preferred"]
        said = "" if share is None else f", and it preferred the first in {share:.0%} of what it decided"
        word = "ok" if position["passes"] else "FAILS"
        say(f"  To be shown first is worth {position['effect']:+.2f}{span}{said}: {word}.")
    say(f"  {readable['unread_share']:.1%} could not be read: {'ok' if readable['passes'] else 'FAILS'}.")
    say("It passes all checks." if card["passes"] else "It fails; look at what failed before money is spent on it.")
