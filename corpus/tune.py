"""`corpus tune`: what other thresholds would keep of a finished run, at once and without its text.

In: a run of `corpus clean` and settings of its `rules` and `languages`. Out: documents and characters won and lost, in
all and by rule, language and source, and some of the documents that flip, on the terminal or as one JSON object.
`--page` writes a page with sliders, `--apply` a run with these thresholds (corpus/tune_page.py, tune_apply.py).
Price: 1.3 CPU seconds for a million documents, a second of it to start; 7.5 the first time (corpus/tune_cache.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import polars as pl
from pydantic import ValidationError

from corpus.config import CleanConfig
from corpus.rules import Rule, Rules
from corpus.samples import COLUMNS, Sample, to_sample
from corpus.show import Run, open_run, rendered
from corpus.tune_signals import LANGUAGE, STATES, Change, Outcome, Place, as_object, measure, rejected_by
from runkit import console
from runkit.config import plain
from runkit.console import emit_json, printable, say
from runkit.errors import InputError, UsageError
from runkit.report import number

if TYPE_CHECKING:
    from rich.text import Text

RULED: Final = ("corpus clean", "corpus tune")  # the commands whose runs have rules
TUNABLE: Final = ("rules", "languages")  # parts of the config that stored signals can answer for
MOST_ROWS: Final = 20  # of a table on the terminal
EXCERPT: Final = 400  # characters of a sample in `--json`


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneCall:
    """The command line of `corpus tune`, parsed; `started` is a `time.monotonic()`."""

    run: Path
    config: Path | None
    settings: list[str]
    samples: int
    page: Path | None
    apply: bool
    out: Path | None
    workers: int
    as_json: bool
    quiet: bool
    lang: str
    started: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a call comes to. `old` and `new` are whole configs of `corpus clean`."""

    run: Run
    old: CleanConfig
    new: CleanConfig
    change: Change


def prepare(call: TuneCall) -> Tuning:
    """UsageError: a setting that stored signals cannot answer for. InputError: no finished run."""
    run = open_run(call.run, RULED)
    manifest = orjson.loads((call.run / "manifest.json").read_bytes())["config"]
    base = {key: value for key, value in manifest.items() if key not in ("limit", "sample")}
    try:
        old = CleanConfig.model_validate(base)
    except ValidationError as error:
        raise InputError(f"{call.run} was made by another version of corpus clean; make it again.") from error
    new = CleanConfig.load(call.config, call.settings, plain(old))
    for name in CleanConfig.model_fields:
        if name not in TUNABLE and getattr(old, name) != getattr(new, name):
            raise UsageError(
                f"`{name}` shapes the documents themselves, which stored signals cannot foretell; tune changes "
                f"{' and '.join(f'`{key}`' for key in TUNABLE)}, for the rest run `corpus clean` again."
            )
    change = Change(old.rules, new.rules, frozenset(old.languages), frozenset(new.languages))
    return Tuning(run, old, new, change)


def tell(call: TuneCall, tuning: Tuning) -> None:
    """Print what would change."""
    if not tuning.change.touched:
        _tell_rules(call, tuning)
        return
    with console.progress("Signals", unit="parts", quiet=call.quiet) as advance:
        outcome = measure(call.run, tuning.change, call.samples, advance)
    flips = {flip: _samples(getattr(outcome, flip), flip, tuning) for flip in ("won", "lost")}
    if call.as_json:
        shown = {flip: [_to_object(sample) for sample in samples] for flip, samples in flips.items()}
        rules = {reason: {**row, "bounds": bounds(reason, tuning)} for reason, row in outcome.rules.items()}
        emit_json({"run": str(call.run), **as_object(outcome), "rules": rules, "samples": shown})
        return
    console.show(_as_text(outcome, tuning))
    for flip, title in (("won", "Would be kept"), ("lost", "Would be rejected")):
        if flips[flip]:
            console.show(_head(f"{title}: {len(flips[flip])} of {outcome.totals[flip][0]:,}"))
        for place, sample in enumerate(flips[flip], 1):
            console.show(rendered(sample, place, None, False))
    _tell_limits(outcome, tuning)


def bounds(reason: str, tuning: Tuning) -> dict[str, str]:
    """What a rule was and is, as text."""
    if reason == LANGUAGE:
        return {"was": ", ".join(tuning.old.languages), "is": ", ".join(tuning.new.languages)}
    name = reason.removeprefix("rules.")
    return {"was": _written(tuning.old.rules, name), "is": _written(tuning.new.rules, name)}


def _written(rules: Sequence[Rule], name: str) -> str:
    parts: dict[str, list[str]] = {}
    for rule in rules:
        if rule.signal == name:
            signs = (("≥", rule.min), ("≤", rule.max))
            text = " ".join(f"{sign} {number(float(bound))}" for sign, bound in signs if bound is not None)
            parts.setdefault(text, []).append(rule.language or "all")
    return "; ".join(f"{', '.join(languages)} {text}" for text, languages in parts.items()) or "none"


def _samples(places: Sequence[Place], flip: str, tuning: Tuning) -> list[Sample]:
    """The documents behind places, each with what is against it: then for the lost ones, now for the won ones."""
    state = "documents" if flip == "lost" else "rejected"
    rules = [rule.model_dump() for rule in (tuning.new if flip == "lost" else tuning.old).rules]
    judge = Rules(tuning.new.rules)
    found = []
    for place in places:
        row = read_place(place, state)
        if flip == "lost":
            signals = {name: value for name, value in row.items() if name.startswith("s_")}
            row["reasons"] = judge.broken(signals, row["language"])
            if row["language"] not in tuning.new.languages:
                row["reasons"].insert(0, LANGUAGE)
        found.append(to_sample(row, rules))
    return found


def read_place(place: Place, state: str) -> dict[str, Any]:
    """One document; InputError where its part cannot be read."""
    columns = [*COLUMNS, "reasons"] if state == "rejected" else list(COLUMNS)
    try:
        part = pl.scan_parquet(place.file)
        there = part.collect_schema().names()  # a run of an earlier version has fewer signals
        row = part.select(name for name in columns if name in there).slice(place.row, 1).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"Cannot read {place.file}; run the `corpus clean` command again to rebuild it.") from error
    return row.row(0, named=True)


def _to_object(sample: Sample) -> dict[str, Any]:
    names = ("id", "origin", "title", "url", "source", "language", "characters")
    reasons = [{"reason": broken.reason, "detail": broken.detail} for broken in sample.broken]
    return {**{name: getattr(sample, name) for name in names}, "text": sample.text[:EXCERPT], "reasons": reasons}


def _tell_rules(call: TuneCall, tuning: Tuning) -> None:
    """Without other thresholds: what each rule of the run rejected, and how to name it."""
    all_of, alone = rejected_by(call.run)
    rows: list[dict[str, str | int]] = []
    for place, rule in enumerate(tuning.old.rules):
        key = f"rules.{rule.signal}", rule.language
        rows.append(
            {
                "key": f"rules.{place}",
                "rule": rule.signal,
                "language": rule.language or "all",
                "bounds": _written([rule], rule.signal).partition(" ")[2],
                "documents": all_of[key],
                "alone": alone[key],
            }
        )
    if call.as_json:
        emit_json({"run": str(call.run), "rules": rows})
        return
    titles = ("key", "rule", "language", "bounds", "rejects", "alone")
    console.show(aligned([titles, *(tuple(row.values()) for row in rows)], left=4))
    say("Nothing differs. Try -s rules.SIGNAL.max=… (all languages) or -s rules.NUMBER.max=… (one rule).")


def _as_text(outcome: Outcome, tuning: Tuning) -> "Text":
    table: list[tuple[str | int, ...]] = [("", "kept now", "kept then", "won", "lost")]
    for name, unit in (("documents", 0), ("visible characters", 1)):
        table.append((name, *(outcome.totals[state][unit] for state in STATES)))
    text = aligned(table)
    rules: list[tuple[str | int, ...]] = [("rule", "was", "is", "broke", "breaks", "won", "lost", "alone")]
    for reason, row in outcome.rules.items():
        told = bounds(reason, tuning)
        rules.append((reason, told["was"], told["is"], *row.values()))
    text.append("\n").append_text(aligned(rules, left=3))
    for name, found in (("language", outcome.languages), ("source", outcome.sources)):
        moved = [(key, row) for key, row in found.items() if row["won"][0] or row["lost"][0]]
        moved.sort(key=lambda item: (-item[1]["won"][0] - item[1]["lost"][0], item[0]))
        if len(found) < 2 or not moved:
            continue
        lines: list[tuple[str | int, ...]] = [(name, "kept now", "kept then", "won", "lost", "characters won", "lost")]
        for key, figures in moved[:MOST_ROWS]:
            lines.append((key, *(figures[state][0] for state in STATES), figures["won"][1], figures["lost"][1]))
        text.append("\n").append_text(aligned(lines))
        if moved[MOST_ROWS:]:
            text.append(f"… and {len(moved) - MOST_ROWS:,} more: --json\n", "dim")
    return text.append("\n")


def aligned(rows: Iterable[Sequence[str | int]], left: int = 1) -> "Text":
    """Rows below a head, in columns as wide as their widest cell; all but the first `left` stand on the right."""
    from rich.cells import cell_len
    from rich.text import Text

    cells = [
        [f"{cell:,}" if isinstance(cell, int) else " ".join(printable(cell).split()) for cell in row] for row in rows
    ]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    text = Text()
    for place, row in enumerate(cells):
        parts = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - cell_len(cell))
            parts.append(cell + space if column < left else space + cell)
        text.append("  ".join(parts).rstrip() + "\n", "bold" if place == 0 else "")
    return text


def _head(title: str) -> "Text":
    from rich.text import Text

    return Text(f"{title}\n", "bold")


def _tell_limits(outcome: Outcome, tuning: Tuning) -> None:
    """What the signals cannot know."""
    if tuning.old.dedup.enabled and outcome.totals["won"][0]:
        say(
            "What is won was never compared with the other documents; "
            "copies among it go again when --apply writes the run."
        )
    if outcome.copies:
        say(f"{outcome.copies:,} copies of documents that are lost may take their place; --apply decides.")
