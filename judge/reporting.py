"""`judge report`: the figures of a run, printed, and its summary.json and report.html.

In: a run of `judge compare` or `judge import`. Out: files and tables that depend on the run alone. Price: 3 s for
100,000 verdicts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from judge.report import report
from judge.summary import read_run, summarise
from judge.tell import tell
from runkit.console import emit_json, say
from runkit.files import write_json, write_text

SUMMARY: Final = "summary.json"
REPORT: Final = "report.html"


@dataclass(frozen=True, slots=True)
class ReportCall:
    """The command line of `judge report`, parsed."""

    run: Path
    as_json: bool
    quiet: bool
    lang: str
    reference: str | None


def show_report(call: ReportCall) -> None:
    """UsageError, InputError: it is no run with verdicts, or damaged."""
    found = write_report(call.run, call.lang, call.reference)
    if call.as_json:
        emit_json({**found, "run": call.run})
    if not (call.as_json and call.quiet):
        tell(found)
    say(f"Report: {call.run / REPORT}")


def write_report(path: Path, lang: str, reference: str | None = None) -> dict[str, Any]:
    """The figures of a run, written as summary.json and report.html."""
    run = read_run(path, reference)
    found = summarise(run)
    write_json(path / SUMMARY, found)
    write_text(path / REPORT, report(run, found, lang))
    return found
