"""`selfinstruct stats`: what is in a set of instructions, and why the rest is not.

In: the kept and the rejected items of a run, and what the run noted of its calls. Out: plain figures for JSON, the
same as tables on stderr, and the run's `report.html`. The figures depend on these alone. Price: 0.3 s for the
dictionary and 40 µs an item.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from runkit.console import emit_json, err, printable, say
from runkit.errors import InputError, UsageError
from runkit.files import write_text
from runkit.instructions import INSTRUCTIONS
from selfinstruct.report import report
from selfinstruct.scales import LENGTHS, NEAREST, binned
from selfinstruct.verbs import leading

REJECTED: Final = "rejected.jsonl"
SUMMARY: Final = "summary.json"
CALLS: Final = "calls.json"
MOST_VERBS: Final = 20
MOST_NOUNS: Final = 6
FIELDS: Final = ("instruction", "input", "output")

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StatsCall:
    """The command line of `selfinstruct stats`, parsed."""

    run: Path
    as_json: bool
    quiet: bool
    lang: str


def stats(call: StatsCall) -> None:
    """Tell, and write RUN/report.html. UsageError, InputError: it is no run of `generate` or `dedup`, or damaged."""
    found = write_stats(call.run, call.lang)
    if call.as_json:
        emit_json({**found, "run": call.run})
    if not (call.as_json and call.quiet):
        tell(found)
    say(f"Report: {call.run / 'report.html'}")


def write_stats(run: Path, lang: str) -> dict[str, Any]:
    """The figures of a run, and its report.html."""
    found = of_run(run)
    write_text(run / "report.html", report(run, found, lang))
    return found


def of_run(run: Path) -> dict[str, Any]:
    """All figures of a run, finished or not."""
    if not (run / INSTRUCTIONS).is_file():
        raise UsageError(f"{run} has no {INSTRUCTIONS}; name a run of `selfinstruct generate` or `selfinstruct dedup`.")
    summary = _object(run / SUMMARY)
    calls = _object(run / CALLS)
    if calls:
        tokens = {"prompt": calls["prompt_tokens"], "completion": calls["completion_tokens"]}
        summary = {**summary, "tokens": tokens, "cost_usd": calls["cost_usd"]}
    return figures(lines(run / INSTRUCTIONS), lines(run / REJECTED), summary)


def _object(path: Path) -> dict[str, Any]:
    """{} without the file. InputError: it is no object."""
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: {error}; run the command that made it again.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no object; run the command that made it again.")
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file that this program wrote; [] without it. InputError: a line is no object."""
    found = []
    data = path.read_bytes() if path.is_file() else b""
    for number, line in enumerate(data.split(b"\n"), 1):
        if line:
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise InputError(f"{path}, line {number}: {error}; run the command that made it again.") from error
            if not isinstance(record, dict):
                raise InputError(f"{path}, line {number}: no object; run the command that made it again.")
            found.append(record)
    return found


def figures(kept: Sequence[Item], rejected: Sequence[Item], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Counts, shares and histograms; `summary` brings what the calls were and what they cost."""
    every: Counter[str] = Counter(str(reason) for item in rejected for reason in set(item.get("reasons", ())))
    alone: Counter[str] = Counter(
        str(item["reasons"][0]) for item in rejected if len(set(item.get("reasons", ()))) == 1
    )
    cost = summary.get("cost_usd")
    return {
        "kept": len(kept),
        "rejected": len(rejected),
        "acceptance": len(kept) / (len(kept) + len(rejected)) if kept or rejected else None,
        "kinds": _kinds(kept, rejected, summary.get("wanted", {})),
        "reasons": {name: {"items": count, "alone": alone[name]} for name, count in ranked(every)},
        "lengths": {field: _lengths(kept, rejected, field) for field in FIELDS},
        "with_input": sum(bool(item.get("input")) for item in kept),
        "novelty": _novelty(kept, rejected),
        "threshold": summary.get("threshold"),
        "verbs": _verbs(kept),
        "models": dict(ranked(Counter(str(item.get("model")) for item in kept if item.get("model")))),
        "requests": summary.get("requests"),
        "stopped": summary.get("stopped"),
        "tokens": summary.get("tokens"),
        "cost_usd": cost,
        "cost_usd_per_kept": cost / len(kept) if cost is not None and kept else None,
    }


def ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """The largest first, those that are equal by name."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _kinds(kept: Sequence[Item], rejected: Sequence[Item], wanted: Mapping[str, float]) -> dict[str, Any]:
    own, others = (Counter(str(item.get("category") or "") for item in items) for items in (kept, rejected))
    names = [*wanted, *sorted((own | others).keys() - wanted.keys())]
    return {name: {"kept": own[name], "rejected": others[name], "wanted": wanted.get(name)} for name in names}


def _lengths(kept: Sequence[Item], rejected: Sequence[Item], field: str) -> dict[str, Any]:
    """Characters; an empty field is not counted."""
    own, others = (sorted(n for item in items if (n := len(str(item.get(field) or "")))) for items in (kept, rejected))
    return {
        "median": _quantile(own, 0.5),
        "p05": _quantile(own, 0.05),
        "p95": _quantile(own, 0.95),
        "longest": own[-1] if own else None,
        "kept": binned(own, LENGTHS),
        "rejected": binned(others, LENGTHS),
    }


def _quantile(ordered: Sequence[int], share: float) -> int | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def _novelty(kept: Sequence[Item], rejected: Sequence[Item]) -> dict[str, Any]:
    own, others = (
        [float(score) for item in items if isinstance(score := item.get("nearest_rouge_l"), int | float)]
        for items in (kept, rejected)
    )
    return {
        "mean": sum(own) / len(own) if own else None,
        "kept": binned(own, NEAREST),
        "rejected": binned(others, NEAREST),
    }


def _verbs(kept: Sequence[Item]) -> dict[str, Any]:
    """The most frequent leading verbs, each with its nouns."""
    pairs = Counter(leading(str(item.get("instruction") or "")) for item in kept)
    verbs: Counter[str] = Counter()
    nouns: dict[str, Counter[str]] = {}
    for (verb, noun), count in pairs.items():
        if verb:
            verbs[verb] += count
            if noun:
                nouns.setdefault(verb, Counter())[noun] += count
    top = [
        {"verb": verb, "count": count, "nouns": dict(ranked(nouns.get(verb, Counter()))[:MOST_NOUNS])}
        for verb, count in ranked(verbs)[:MOST_VERBS]
    ]
    return {
        "top": top,
        "distinct": len(verbs),
        "pairs": len([pair for pair in pairs if pair[0]]),
        "without": len(kept) - verbs.total(),
    }


def tell(found: Mapping[str, Any]) -> None:
    """Tables, to stderr."""
    share = f" ({found['acceptance']:.0%})" if found["acceptance"] is not None else ""
    say(
        f"{found['kept']:,} kept of {found['kept'] + found['rejected']:,}{share}; "
        f"{found['with_input']:,} with an input."
    )
    if found["cost_usd"] is not None:
        each = found["cost_usd_per_kept"]
        say(
            f"Cost: {found['cost_usd']:.4f} USD"
            + (f", {each:.6f} for each that was kept." if each is not None else ".")
        )
    say("")
    _table(
        ("kind", "kept", "share", "wanted", "rejected"),
        [
            (
                name or "–",
                f"{one['kept']:,}",
                f"{one['kept'] / max(1, found['kept']):.1%}",
                "–" if one["wanted"] is None else f"{one['wanted']:.1%}",
                f"{one['rejected']:,}",
            )
            for name, one in found["kinds"].items()
        ],
    )
    if found["reasons"]:
        rows = [(name, f"{one['items']:,}", f"{one['alone']:,}") for name, one in found["reasons"].items()]
        _table(("rejected for", "items", "for this alone"), rows)
    _table(
        ("characters", "5 %", "median", "95 %", "longest"),
        [
            (field, *("–" if one[key] is None else f"{one[key]:,}" for key in ("p05", "median", "p95", "longest")))
            for field, one in found["lengths"].items()
        ],
    )
    _table(
        ("leading verb", "items", "with"),
        [(one["verb"], f"{one['count']:,}", "、".join(one["nouns"])) for one in found["verbs"]["top"][:10]],
    )


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number and title != "with" else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    err().print(table)
    err().print()
