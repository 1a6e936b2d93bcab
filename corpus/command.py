"""What `corpus clean` does around the run itself: check the call, plan, tell, sum up, write what people read.

In: the parsed command line. Out: the run directory, one JSON object on stdout with `--json`, a few lines for people on
stderr, and an exit code.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from corpus.config import CleanConfig, load
from corpus.inputs import Plan, plan
from corpus.summary import summarise
from runkit.console import emit_json, say
from runkit.errors import TooManyFailures, UsageError
from runkit.files import write_json
from runkit.rundir import RunDir, usage

LANGUAGES = ("en", "zh")


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanCall:
    """The command line of `corpus clean`, parsed; `started` is a `time.monotonic()`."""

    inputs: list[str]
    out: Path
    config: Path | None
    settings: list[str]
    workers: int
    limit: int | None
    sample: float | None
    seed: int
    dry_run: bool
    as_json: bool
    quiet: bool
    lang: str
    max_bad: float
    started: float


def run_clean(call: CleanCall) -> None:
    """Carry the call out."""
    if call.lang not in LANGUAGES:
        raise UsageError(f"--lang {call.lang} is not known; choose one of {', '.join(LANGUAGES)}.")
    if not 0 <= call.max_bad <= 1:
        raise UsageError(f"--max-bad {call.max_bad} is not between 0 and 1.")
    config = load(call.config, [*call.settings, f"seed={call.seed}"] if call.seed else call.settings)
    planned = plan(call.inputs, shard_bytes=round(config.read.shard_mb * 1e6))
    for skipped in planned.skipped[:10]:
        say(f"Not read: {skipped.path}: {skipped.reason}")
    if len(planned.skipped) > 10:
        say(f"Not read: {len(planned.skipped) - 10} more files; summary.json names them all.")
    if call.dry_run:
        _tell_plan(call, planned)
        return
    _run(call, config, planned)


def _tell_plan(call: CleanCall, planned: Plan) -> None:
    size = sum(file.size_bytes for file in planned.files)
    if call.as_json:
        emit_json(
            {
                "files": [{"name": f.name, "path": f.path, "bytes": f.size_bytes} for f in planned.files],
                "bytes": size,
                "shards": len(planned.shards),
                "not_read": [{"path": s.path, "reason": s.reason} for s in planned.skipped],
            }
        )
    formats: dict[str, str] = {}
    for shard in planned.shards:
        for part in shard.parts:
            formats[part.name] = f"{part.format}{' .' + part.compression if part.compression else ''}"
    for file in planned.files[:50]:
        say(f"{file.size_bytes:>15,} bytes  {formats.get(file.name, ''):<12} {file.path}")
    if len(planned.files) > 50:
        say(f"… and {len(planned.files) - 50} more")
    say(f"{len(planned.files)} files, {size:,} bytes, {len(planned.shards)} shards; nothing was written.")


def _run(call: CleanCall, config: CleanConfig, planned: Plan) -> None:
    from corpus.clean import Options, clean, open_run
    from corpus.report import write_report

    options = Options(call.workers, call.limit, call.sample, call.quiet)
    with open_run(call.out, planned, config, options) as run:
        total = clean(run, planned, config, options)
        summary = summarise(total, planned)
        write_json(run.file("summary.json"), summary)
        write_report(run, summary, total, config, call.lang)
        spent = usage(call.started)
        _note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    _tell_outcome(call, summary, spent)
    bad = summary["records"]["quarantined"]
    records = bad + summary["documents"]["read"]
    if bad > call.max_bad * records:
        raise TooManyFailures(
            f"{bad} of {records} records were bad, more than --max-bad {call.max_bad:g}; see {call.out / 'quarantine'}."
        )


def _note_usage(run: RunDir, spent: dict[str, float | int]) -> None:
    """usage.json: the figures of this start, and their sum over all starts on this directory."""
    path = run.file("usage.json")
    starts = 1
    totals = {"seconds": spent["seconds"], "cpu_seconds": spent["cpu_seconds"]}
    if run.resumed and path.is_file():
        try:
            before = orjson.loads(path.read_bytes())["all_starts"]
            starts += before["starts"]
            totals = {key: round(value + before[key], 3) for key, value in totals.items()}
        except (orjson.JSONDecodeError, KeyError, TypeError):
            say(f"{path} could not be read; times of earlier starts are not in it any more.")
    write_json(path, {**spent, "all_starts": {"starts": starts, **totals}})


def _tell_outcome(call: CleanCall, summary: dict[str, Any], spent: dict[str, float | int]) -> None:
    documents, records = summary["documents"], summary["records"]
    say(
        f"{documents['read']:,} documents read, {documents['kept']:,} kept, {documents['rejected']:,} rejected; "
        f"{summary['characters']['kept']:,} characters kept; {spent['seconds']:.1f} s, {spent['cpu_seconds']:.1f} CPU s."
    )
    for reason, count in list(summary["reasons"].items())[:5]:
        say(f"  {count:>8,}  {reason}")
    if records["quarantined"]:
        say(f"{records['quarantined']:,} damaged or unreadable records: {call.out / 'quarantine'}")
    say(f"Report: {call.out / 'report.html'}")
