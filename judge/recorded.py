"""`judge import`: recorded texts of judges become the verdicts of a run, as if it had asked for them.

In: JSON lines, JSON arrays or parquet (also gz, zst, bz2) with question_id, first, second and raw, and perhaps
category, judge, nonce and finish_reason, in any order; other columns are passed over. Out: a run with questions.jsonl,
verdicts.jsonl, what was no verdict in quarantine.jsonl, and the report. A text that cannot be read is an invalid
verdict and stays in the run; a record that lacks a column is none. Price: 0.4 ms a text of 700 characters; all of them
lie in memory.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from judge.questions import OTHER, joined_category
from judge.records import QUARANTINE, Question, Verdict
from judge.reporting import write_report
from judge.store import SEAL, seal, write_questions, write_verdicts
from judge.tell import tell
from judge.verdict import WITH_NONCE, read
from runkit.console import emit_json, progress, say
from runkit.errors import InputError, UsageError, check_failures
from runkit.fields import Fault, Fields, fault_lines
from runkit.files import write_bytes
from runkit.instructions import find_items
from runkit.jsonl import JsonLineError
from runkit.planned import keep_apart
from runkit.rundir import RunDir, note_usage, usage

COMMAND: Final = "judge import"
UNNAMED: Final = "judge"  # of verdicts that do not say whose they are
_CUT: Final = frozenset({"length", "max_tokens"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCall:
    """The command line, parsed; `started` is a `time.monotonic()`."""

    files: list[str]
    grammar: str
    reference: str | None
    out: Path
    as_json: bool
    quiet: bool
    lang: str
    max_bad: float
    started: float


@dataclass(slots=True)
class Recorded:
    """What the files hold."""

    questions: dict[str, Question] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def systems(self) -> list[str]:
        """In the order in which they come."""
        return list(dict.fromkeys(name for one in self.verdicts for name in (one.first, one.second)))


def import_verdicts(call: ImportCall) -> None:
    """UsageError, InputError: what was given; TooManyFailures: more bad records than --max-bad."""
    keep_apart(call.out, call.files)
    items = find_items(call.files)
    config = {"grammar": call.grammar, "reference": call.reference}
    with RunDir.open(call.out, COMMAND, config, items.inputs()) as run:
        done = run.done(SEAL)
        for damage in run.damaged:
            say(f"{damage}; it is made again.")
        if done is None:
            found = _recorded(items.fields(), call)
            _check(found, call)  # before anything is written, so that the mended call may use the folder
            note_usage(run, usage(call.started))
            write_questions(run.path, found.questions.values())
            write_verdicts(run.path, in_order(found))
            write_bytes(run.file(QUARANTINE), fault_lines(found.faults))
            bad = dict(Counter(fault.reason for fault in found.faults).most_common())
            done = seal(run, {"records": len(found.verdicts), "bad": bad})
        summary = write_report(run.path, call.lang)
        note_usage(run, usage(call.started))
    if call.as_json:
        emit_json({**summary, **usage(call.started), "run": str(call.out), "bad": done.data["bad"]})
    _tell(call, summary, done.data)


def _tell(call: ImportCall, summary: Mapping[str, Any], counts: Mapping[str, Any]) -> None:
    bad = sum(counts["bad"].values())
    if bad:
        say(f"{bad:,} records were no verdicts; see {call.out / QUARANTINE}.")
        for reason, count in counts["bad"].items():
            say(f"  {count:>8,}  {reason}")
    if not (call.as_json and call.quiet):
        tell(summary)
    say(f"Report: {call.out / 'report.html'}")
    check_failures(bad, counts["records"] + bad, "records were bad", call.max_bad, call.out / QUARANTINE)


def _recorded(found: Iterable[Fields | Fault], call: ImportCall) -> Recorded:
    recorded = Recorded()
    seen: Counter[tuple[str, ...]] = Counter()
    with progress("Reading", None, "verdicts", call.quiet) as advance:
        for one in found:
            if isinstance(one, Fault):
                recorded.faults.append(one)
                continue
            try:
                verdict = verdict_of(one.values, call.grammar)
            except JsonLineError as error:
                recorded.faults.append(one.fault(error))
                continue
            question = recorded.questions.setdefault(
                verdict.question_id, Question(id=verdict.question_id, category=verdict.category)
            )
            key = (verdict.question_id, verdict.judge, *sorted((verdict.first, verdict.second)))
            if verdict.state != "identical":
                key = (verdict.question_id, verdict.judge, verdict.first, verdict.second)
            recorded.verdicts.append(replace(verdict, sample=seen[key], category=question.category))
            seen[key] += 1
            advance(1)
    return recorded


def verdict_of(values: Mapping[str, Any], grammar: str) -> Verdict:
    """JsonLineError: the record is no verdict."""
    first, second = _name(values, "first"), _name(values, "second")
    if first == second:
        raise JsonLineError("verdict.same_system", f"first and second are both {first!r}")
    raw, nonce = values.get("raw"), values.get("nonce")
    if "raw" not in values or not (raw is None or isinstance(raw, str)):
        raise JsonLineError("field.missing" if "raw" not in values else "field.not_text", "raw is no text")
    category = values.get("category")
    blank = Verdict(
        question_id=_name(values, "question_id"),
        category=joined_category(category) if isinstance(category, str) and category.strip() else OTHER,
        first=first,
        second=second,
        judge=_name(values, "judge") if values.get("judge") is not None else UNNAMED,
        grammar=grammar,
        nonce=nonce if grammar in WITH_NONCE and isinstance(nonce, str) else None,
        raw=raw,
        state="error",
    )
    if raw is None:
        if values.get("state") == "identical":
            return replace(blank, state="identical", choice="tie")
        return replace(blank, fault=str(values.get("fault") or "raw.null"))
    return reread(blank, cut=values.get("finish_reason") in _CUT)


def reread(verdict: Verdict, cut: bool = False) -> Verdict:
    """What the text of a verdict says by its grammar."""
    assert verdict.raw is not None
    found = read(verdict.grammar, verdict.raw, nonce=verdict.nonce, cut=cut)
    return replace(
        verdict,
        state="invalid" if found.fault else "ok",
        fault=found.fault,
        score_first=found.score_first,
        score_second=found.score_second,
        choice=found.choice,
        explanation=found.explanation,
    )


def _name(values: Mapping[str, Any], field: str) -> str:
    """A name or number as text."""
    value = values.get(field)
    if value is None:
        raise JsonLineError("field.missing", f"no field {field!r}; it has {', '.join(map(str, list(values)[:12]))}")
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise JsonLineError("field.not_text", f"{field!r} holds {type(value).__name__}")
    if "\0" in str(value):
        raise JsonLineError("json.nul", f"{field!r} holds a NUL")
    return str(value).strip()


def _check(found: Recorded, call: ImportCall) -> None:
    if not found.verdicts:
        why = f": {found.faults[0].reason}: {found.faults[0].detail}" if found.faults else ""
        raise InputError(f"There is no verdict in {', '.join(call.files)}{why}.")
    if call.reference is not None and call.reference not in found.systems:
        names = ", ".join(found.systems[:12]) + (", …" if len(found.systems) > 12 else "")
        raise UsageError(f"--reference {call.reference} is none of the systems; there are {names}.")


def in_order(found: Recorded) -> Sequence[Verdict]:
    """By question, pair and judge, then by order and sample: the same for any order of the records of one call."""
    systems = {name: place for place, name in enumerate(found.systems)}
    questions = {id: place for place, id in enumerate(found.questions)}
    judges = {name: place for place, name in enumerate(dict.fromkeys(one.judge for one in found.verdicts))}

    def place(one: Verdict) -> tuple[int, ...]:
        first, second = systems[one.first], systems[one.second]
        pair = (min(first, second), max(first, second))
        return (questions[one.question_id], *pair, judges[one.judge], int(first > second), one.sample)

    return sorted(found.verdicts, key=place)
