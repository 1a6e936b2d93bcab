"""`corpus show`: documents of a finished run on the terminal, or as one JSON object.

In: a run directory and filters. Out: text without anything that a terminal obeys. Parts are read one by one,
as the input lies, until enough documents are found. Price: the first ten of a run of any size take 0.1 s, a
search that finds nothing reads everything, 1 s for each 100 MB of text. Nothing is locked, nothing written.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

from corpus.samples import COLUMNS, SHORT_CHARACTERS, Sample, part_files, to_sample
from runkit import console
from runkit.console import emit_json, printable, say
from runkit.errors import InputError, UsageError

if TYPE_CHECKING:
    from rich.text import Text

RUNS = ("corpus clean", "corpus tune", "corpus dedup", "corpus decontaminate")  # that write documents/ and rejected/
SHORT_LINES = 6  # of a text that is not shown in full


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which documents to show."""

    rejected: bool = False
    reason: str | None = None
    language: str | None = None
    source: str | None = None
    grep: str | None = None
    offset: int = 0
    limit: int = 10


@dataclass(frozen=True, slots=True)
class Run:
    """What `corpus show` needs to know about a finished run."""

    path: Path
    rules: list[dict[str, Any]]
    summary: dict[str, Any]


def open_run(path: Path, commands: Sequence[str] = RUNS) -> Run:
    """InputError: no run directory of these commands, or one that has not come to its end."""
    try:
        manifest = orjson.loads((path / "manifest.json").read_bytes())
        command, rules = manifest["command"], manifest["config"].get("rules", [])
        if command not in commands:
            raise KeyError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no run directory of {' or '.join(f'`{name}`' for name in commands)}; "
            "give the folder named by --out."
        ) from error
    try:
        summary = orjson.loads((path / "summary.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"The run in {path} is not finished; run its `{command}` command again.") from error
    return Run(path, rules, summary)


def find(run: Run, wanted: Wanted) -> Iterator[Sample]:
    """The documents that fit, from `offset` on; one more than `limit`, which says that there are more."""
    state = "rejected" if wanted.rejected or wanted.reason else "documents"
    skip, left = wanted.offset, wanted.limit + 1
    for file in part_files(run.path, state):
        columns = [*COLUMNS, "reasons"] if state == "rejected" else list(COLUMNS)
        try:
            fitting = pl.scan_parquet(file).filter(_condition(wanted))
            count = fitting.select(pl.len()).collect().item() if skip else 0
            if skip and count <= skip:
                skip -= count
                continue
            found = fitting.select(columns).slice(skip, left).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(f"Cannot read {file}; run the `corpus clean` command again to rebuild it.") from error
        yield from (to_sample(row, run.rules) for row in found.iter_rows(named=True))
        skip, left = 0, left - len(found)
        if not left:
            return


def _condition(wanted: Wanted) -> pl.Expr:
    condition = pl.lit(True)
    if wanted.reason:
        each = pl.element() == wanted.reason
        each |= pl.element().str.starts_with(wanted.reason + ".")
        condition &= pl.col("reasons").list.eval(each).list.any()
    if wanted.language:
        condition &= pl.col("language") == wanted.language
    if wanted.source:
        condition &= pl.col("source") == wanted.source
    if wanted.grep:
        pattern = "(?i)" + pl.escape_regex(wanted.grep)
        title = pl.col("meta").str.json_path_match("$.title")
        fields = (pl.col("text"), pl.col("url"), title)
        condition &= pl.any_horizontal([field.str.contains(pattern).fill_null(False) for field in fields])
    return condition


def check(run: Run, wanted: Wanted) -> None:
    """UsageError where a filter names what the run does not hold."""
    reasons = list(run.summary["reasons"])
    families = {reason.partition(".")[0] for reason in reasons}
    if wanted.reason and wanted.reason not in {*reasons, *families}:
        raise UsageError(f"No document was rejected for {wanted.reason}; this run knows {_named(reasons)}.")
    for name, key, value in (
        ("language", "languages", wanted.language),
        ("source", "sources", wanted.source),
    ):
        known = {**run.summary[key]["kept"], **run.summary[key]["rejected"]}
        if value and value not in known:
            raise UsageError(f"No document has the {name} {value}; this run knows {_named(sorted(known))}.")


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def show(path: Path, wanted: Wanted, *, full: bool, as_json: bool) -> None:
    """Print the documents to stdout."""
    run = open_run(path)
    check(run, wanted)
    if as_json:
        samples = list(find(run, wanted))
        emit_json(
            {
                "run": str(path),
                "state": "rejected" if wanted.rejected or wanted.reason else "kept",
                "offset": wanted.offset,
                "more": len(samples) > wanted.limit,
                "documents": [_to_object(sample, full) for sample in samples[: wanted.limit]],
            }
        )
        return
    shown = 0
    for sample in find(run, wanted):
        if shown == wanted.limit:
            say(f"There are more: --offset {wanted.offset + shown}")
            break
        shown += 1
        console.show(rendered(sample, wanted.offset + shown, wanted.grep, full))
    if not shown:
        say(f"No document fits{f' after the first {wanted.offset}' if wanted.offset else ''}.")


def _to_object(sample: Sample, full: bool) -> dict[str, Any]:
    reasons = [
        {"reason": b.reason, "detail": b.detail}
        | ({"duplicate_of": b.copy_of, "similarity": b.similarity} if b.copy_of else {})
        for b in sample.broken
    ]
    names = ("id", "origin", "title", "url", "source", "language", "date")
    return {
        **{name: getattr(sample, name) for name in names},
        "characters": sample.characters,
        "text": sample.text if full else sample.text[:SHORT_CHARACTERS],
        "reasons": reasons,
    }


def rendered(sample: Sample, place: int, grep: str | None, full: bool) -> "Text":
    """One document for the terminal, without anything that it obeys."""
    from rich.text import Text

    parts = [(f"{place}. ", "bold"), (_line(sample.title) or "(no title)", "bold"), ("\n", "")]
    parts.append((f"   {_line(' · '.join(filter(None, (sample.language, sample.source, sample.origin))))}\n", "dim"))
    if sample.url:
        parts.append((f"   {_line(sample.url)}\n", "cyan"))
    for broken in sample.broken:
        detail = f"copy of {broken.copy_of}, {broken.similarity:.0%} alike" if broken.copy_of else broken.detail
        parts.append((f"   {_line(broken.reason)}", "red"))
        parts.append((f"  {_line(detail)}\n" if detail else "\n", ""))
    body, cut = (sample.text, False) if full else excerpt(sample.text, grep)
    text = Text.assemble(*parts)
    shown = Text("".join(f"   {line}\n" for line in printable(body).split("\n")))
    if grep:
        shown.highlight_regex(re.compile(re.escape(printable(grep)), re.IGNORECASE), "reverse")
    text.append_text(shown)
    if cut:
        text.append(f"   [{len(sample.text):,} characters: --full]\n", "dim")
    text.append("\n")
    return text


def _line(text: str) -> str:
    """Safe, and on one line: a title must not forge the line below it."""
    return " ".join(printable(text).split())


def excerpt(text: str, grep: str | None = None) -> tuple[str, bool]:
    """A few lines of `text`, around a first hit that lies beyond them; and whether anything is left out."""
    start = 0
    hit = re.search(re.escape(grep), text, re.IGNORECASE) if grep else None
    if hit and (hit.end() > SHORT_CHARACTERS or text.count("\n", 0, hit.start()) >= SHORT_LINES):
        before = text[max(0, hit.start() - SHORT_CHARACTERS // 2) : hit.start()]
        start = hit.start() - len("\n".join(before.split("\n")[-SHORT_LINES // 2 :]))
    shown = "\n".join(text[start : start + SHORT_CHARACTERS].split("\n")[:SHORT_LINES])
    cut = start > 0 or len(shown) < len(text)
    return ("… " if start else "") + shown + (" …" if cut else ""), cut
