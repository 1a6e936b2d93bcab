"""`judge reparse`: every stored text of a judge is read again by the grammar as it is now. No call is made.

In: a run. Out: verdicts.jsonl and the report as the grammar now has them, and what has changed. Errors, ties of
identical answers and verdicts without a text stay as they are. Price: that of reading the texts.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from judge.recorded import reread
from judge.records import Verdict
from judge.reporting import write_report
from judge.store import SEAL, read_verdicts, seal, write_verdicts
from judge.summary import MANIFEST
from judge.tell import tell
from runkit.console import emit_json, progress, say
from runkit.errors import InputError
from runkit.rundir import RunDir

_CUT = ("score.cut", "choice.cut")


@dataclass(frozen=True, slots=True)
class ReparseCall:
    """The command line of `judge reparse`, parsed."""

    run: Path
    as_json: bool
    quiet: bool
    lang: str


def reparse(call: ReparseCall) -> None:
    """UsageError, InputError: it is no run with verdicts, or damaged; EnvironmentFault: it is in use."""
    verdicts = read_verdicts(call.run)
    with _held(call.run) as run:
        again: list[Verdict] = []
        with progress("Reading again", len(verdicts), "verdicts", call.quiet) as advance:
            for one in verdicts:
                again.append(_again(one))
                advance(1)
        changes = _changes(verdicts, again)
        if again != verdicts:
            done = run.done(SEAL)
            run.forget(SEAL)
            write_verdicts(run.path, again)
            if done is not None:
                seal(run, done.data)
        summary = write_report(run.path, call.lang)
    if call.as_json:
        emit_json({**summary, "run": str(call.run), "changes": changes})
    if not (call.as_json and call.quiet):
        _tell(changes)
        tell(summary)


def _again(one: Verdict) -> Verdict:
    if one.raw is None or one.state not in ("ok", "invalid"):
        return one
    return reread(one, cut=one.fault in _CUT)


def _changes(before: list[Verdict], after: list[Verdict]) -> dict[str, Any]:
    """How many verdicts say something else now, by what they said and say."""
    kinds: Counter[str] = Counter()
    for old, new in zip(before, after, strict=True):
        was, now = (one.fault or one.state for one in (old, new))
        if was != now:
            kinds[f"{was} → {now}"] += 1
        elif (old.score_first, old.score_second, old.choice) != (new.score_first, new.score_second, new.choice):
            kinds["other scores or choice"] += 1
    read = sum(one.raw is not None for one in before)
    return {"read": read, "changed": kinds.total(), "kinds": dict(kinds.most_common())}


def _tell(changes: dict[str, Any]) -> None:
    say(f"{changes['read']:,} texts read again, {changes['changed']:,} verdicts changed.")
    for kind, count in changes["kinds"].items():
        say(f"  {count:>8,}  {kind}")


@contextmanager
def _held(path: Path) -> Iterator[RunDir]:
    """The run with its lock, bound to what it was made from."""
    try:
        bound = orjson.loads((path / MANIFEST).read_bytes())
        parts = [bound[key] for key in ("command", "config", "inputs", "versions")]
    except FileNotFoundError:
        raise InputError(f"{path} has no {MANIFEST}; name a run of `judge compare` or `judge import`.") from None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise InputError(f"{path / MANIFEST} was damaged or edited; run the command that made it again.") from None
    with RunDir.open(path, *parts) as run:
        yield run
