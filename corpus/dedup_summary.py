"""`summary.json` of `corpus dedup`, and its last word on stderr.

In: the sum of the shards' statistics, the marks and the plans. Out: one JSON-like object of deterministic figures.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from corpus.dedup import OLD_REASONS
from corpus.dedup_decide import KINDS, REPEATS
from runkit.console import say
from runkit.inputs import Plan
from runkit.rundir import Mark, RunDir

SHOWN = 3  # repeats of a kind on the terminal
SHOWN_CHARACTERS = 60


def summarise(
    run: RunDir, total: dict[str, Any], marks: Sequence[Mark], plan: Plan, old: Plan | None
) -> dict[str, Any]:
    """The summary of a run."""
    faults: Counter[str] = Counter()
    for mark in marks:
        faults.update(mark.data["faults"])
    repeats = pl.read_parquet(run.file(REPEATS))
    cuts = {
        kind: {
            "documents": total["cut_documents"][kind],
            "pieces": total["cut_pieces"][kind],
            "characters": total["cut_characters"][kind],
        }
        for kind in KINDS
    }
    pairs = [
        {"source": source, "duplicate_source": kept, "documents": count}
        for source, of_source in total["pairs"].items()
        for kept, count in of_source.items()
    ]
    return {
        "documents": dict(total["documents"]),
        "characters": dict(total["characters"]),
        "records": {"quarantined": faults.total()},
        "quarantined": _ranked(faults),
        "reasons": _ranked(total["reasons"]),
        "funnel": funnel(total),
        "cuts": cuts,
        "copies": sorted(pairs, key=lambda pair: (-pair["documents"], pair["source"], pair["duplicate_source"])),
        "repeats": {kind: repeats.filter(pl.col("kind") == kind).drop("kind").head(SHOWN).to_dicts() for kind in KINDS},
        "languages": {state: _ranked(counts) for state, counts in total["languages"].items()},
        "sources": {state: _ranked(counts) for state, counts in total["sources"].items()},
        "inputs": _inputs(plan),
        "against": _inputs(old) if old is not None else None,
    }


def funnel(total: dict[str, Any]) -> list[dict[str, Any]]:
    """Documents and characters left after each step that took something out, beginning with what was read."""
    documents, characters = total["documents"]["read"], total["characters"]["read"]
    stages = [{"step": "read", "documents": documents, "characters": characters}]
    lost = total["reason_characters"]
    for step in ("old", "copies", *KINDS, "rest"):
        before = documents, characters
        if step in KINDS:
            characters -= total["cut_characters"][step]
        else:
            of_step = [reason for reason in total["reasons"] if _step(reason) == step]
            documents -= sum(total["reasons"][reason] for reason in of_step)
            characters -= sum(lost[reason] for reason in of_step)
        if (documents, characters) != before:
            stages.append({"step": step, "documents": documents, "characters": characters})
    if characters != total["characters"]["kept"]:  # newlines that went with what stood before them
        stages.append({"step": "layout", "documents": documents, "characters": total["characters"]["kept"]})
    return stages


def _step(reason: str) -> str:
    if reason in OLD_REASONS:
        return "old"
    return "copies" if reason.startswith("dedup.") else "rest"


def _inputs(plan: Plan) -> dict[str, Any]:
    return {
        "files": len(plan.files),
        "bytes": sum(file.size_bytes for file in plan.files),
        "shards": len(plan.shards),
        "not_read": [{"path": skipped.path, "reason": skipped.reason} for skipped in plan.skipped],
    }


def _ranked(counts: dict[str, int]) -> dict[str, int]:
    """Largest first, then by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def tell(out: Path, summary: dict[str, Any], spent: dict[str, float | int]) -> None:
    """What a run came to, for people."""
    documents, characters = summary["documents"], summary["characters"]
    say(
        f"{documents['read']:,} documents read, {documents['kept']:,} kept ({documents['cut']:,} of them cut), "
        f"{documents['rejected']:,} rejected; {characters['kept']:,} of {characters['read']:,} characters kept; "
        f"{spent['seconds']:.1f} s, {spent['cpu_seconds']:.1f} CPU s."
    )
    for reason, count in list(summary["reasons"].items())[:6]:
        say(f"  {count:>8,}  {reason}")
    for kind, cut in summary["cuts"].items():
        if not cut["pieces"]:
            continue
        say(f"  {cut['pieces']:>8,}  {kind} cut from {cut['documents']:,} documents, {cut['characters']:,} characters:")
        for repeat in summary["repeats"][kind]:
            text = " ".join(repeat["text"].split()) or "(white space)"
            short = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
            # A stretch of substrings may be longer in each document; only that it was cut is known of it as a whole.
            cut_times, held = f"cut {repeat['times_cut']:,} times", f"in {repeat['documents']:,} documents"
            say(f"           {cut_times if kind == 'substrings' else held}: {short}")
    if not documents["kept"]:
        say("No document was kept; the report shows samples for each reason.")
    if summary["records"]["quarantined"]:
        say(f"{summary['records']['quarantined']:,} damaged or unreadable records: {out / 'quarantine'}")
    say(f"Report: {out / 'report.html'}")
