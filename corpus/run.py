"""A whole run of `corpus clean`: the job, then the summary, the report, the usage, and the last word on stderr.

In: a prepared call. Out: the finished run directory, one JSON object on stdout with `--json`, an exit code.
"""

from typing import Any

from corpus.clean import clean, open_run
from corpus.command import CleanCall, Prepared
from corpus.report import write_report
from corpus.stages import Options
from corpus.summary import summarise
from corpus.upload import Upload
from runkit.console import emit_json, say
from runkit.errors import check_failures
from runkit.files import write_json
from runkit.rundir import note_usage, usage


def carry_out(call: CleanCall, prepared: Prepared) -> None:
    """Run to the end, write what people read, and tell the outcome."""
    config, planned = prepared.config, prepared.plan
    options = Options(call.workers, call.limit, call.sample, call.quiet, call.executor, call.upload)
    with open_run(call.out, planned, config, options) as run:
        if call.upload is not None:
            Upload(call.upload).claim(run)
        total = clean(run, planned, config, options)
        summary = summarise(total, planned)
        write_json(run.file("summary.json"), summary)
        write_report(run, summary, total, config, call.lang)
        spent = usage(call.started)
        spent["cpu_seconds"] = round(spent["cpu_seconds"] + sum(options.cpu_seconds_elsewhere), 3)
        note_usage(run, spent)
        if call.upload is not None:
            Upload(call.upload).rest(run)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    _tell_outcome(call, summary, spent)
    bad = summary["records"]["quarantined"]
    records = bad + summary["documents"]["read"]
    check_failures(bad, records, "records were bad", call.max_bad, call.out / "quarantine")


def _tell_outcome(call: CleanCall, summary: dict[str, Any], spent: dict[str, float | int]) -> None:
    documents, records = summary["documents"], summary["records"]
    characters, seconds, cpu_seconds = summary["characters"]["kept"], spent["seconds"], spent["cpu_seconds"]
    say(
        f"{documents['read']:,} documents read, {documents['kept']:,} kept, {documents['rejected']:,} rejected; "
        f"{characters:,} characters kept; {seconds:.1f} s, {cpu_seconds:.1f} CPU s."
    )
    for reason, count in list(summary["reasons"].items())[:5]:
        say(f"  {count:>8,}  {reason}")
    if not documents["kept"]:
        say(_why_nothing(summary))
    if records["quarantined"]:
        say(f"{records['quarantined']:,} damaged or unreadable records: {call.out / 'quarantine'}")
    say(f"Report: {call.out / 'report.html'}")


def _why_nothing(summary: dict[str, Any]) -> str:
    """A run that kept nothing says what to look at."""
    if not summary["documents"]["read"] and "field.missing" in summary["quarantined"]:
        return "No record has the text field; name the right one with -s read.text_field=NAME."
    if not summary["documents"]["read"]:
        return "No record was a document; the report says why each was passed over."
    return "No document was kept; the report shows samples for each reason."
