"""`summary.json` of `corpus decontaminate`, and its last word on stderr.

In: the marks of all shards, the test items and their n-grams. Out: one JSON-like object: documents, and how many items
of each set were found, whole or in part. An item's share is that of its n-grams that stand in any document; of a
question with choices, which can be written with letters or without, that of the form of which the most is there.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from corpus.decontaminate_items import FORMS, Grams, Item
from corpus.finish import add
from runkit.console import say
from runkit.inputs import Plan
from runkit.rundir import Mark, RunDir

MOST_SHOWN = 200  # matches in the summary
SHOWN = 5  # on the terminal
SHOWN_CHARACTERS = 50
SHOWN_TEXT = 400  # characters of a match or item in the summary


def summarise(
    run: RunDir, marks: Sequence[Mark], items: Sequence[Item], grams: Grams, common: NDArray[np.bool_], plan: Plan
) -> dict[str, Any]:
    """The summary of a run."""
    total = add(mark.data["counts"] for mark in marks)
    faults = Counter[str]()
    for mark in marks:
        faults.update(mark.data["faults"])
    shares = _shares(run, marks, grams, common)
    sets: dict[str, dict[str, int]] = {}
    for item, share, size in zip(items, shares.tolist(), grams.sizes.tolist(), strict=True):
        entry = sets.setdefault(item.set, dict.fromkeys(("items", "too_short", "found", "half", "whole"), 0))
        entry["items"] += 1
        entry["too_short"] += size == 0
        entry["found"] += share > 0
        entry["half"] += share >= 0.5
        entry["whole"] += share >= 0.9
    return {
        "documents": dict(total["documents"]),
        "characters": dict(total["characters"]),
        "records": {"quarantined": faults.total()},
        "quarantined": dict(sorted(faults.items())),
        "reasons": dict(sorted(total["reasons"].items(), key=lambda entry: (-entry[1], entry[0]))),
        "matches": total.get("matches", 0),
        "common_ngrams": int(common.sum()),
        "ngrams": len(grams.hashes),
        "items": {key: sum(entry[key] for entry in sets.values()) for key in next(iter(sets.values()))},
        "sets": dict(sorted(sets.items())),
        "shown": _shown(run, marks, items, shares),
        **{name: total[name] for name in ("sources", "cut_sources", "languages")},
        "inputs": {
            "files": len(plan.files),
            "bytes": sum(file.size_bytes for file in plan.files),
            "shards": len(plan.shards),
            "not_read": [{"path": skipped.path, "reason": skipped.reason} for skipped in plan.skipped],
        },
    }


def _shares(run: RunDir, marks: Sequence[Mark], grams: Grams, common: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each item the share of its n-grams that stand in documents, in the fullest of its forms: (I,)."""
    there = np.zeros(len(grams.hashes), np.bool_)
    for mark in marks:
        there[np.load(run.file(f"hits/{mark.name.removeprefix('done-')}.npy"))[:, 3]] = True
    there &= ~common
    found = np.bincount(grams.forms[np.repeat(there, np.diff(grams.form_starts))], minlength=len(grams.form_sizes))
    shares: NDArray[np.float64] = (found / np.maximum(grams.form_sizes, 1)).reshape(-1, FORMS).max(axis=1)
    return shares


def _shown(
    run: RunDir, marks: Sequence[Mark], items: Sequence[Item], shares: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """The longest match of each item that was found, most of an item first."""
    files = [run.file(name) for mark in marks for name in sorted(mark.outputs) if name.startswith("matches/")]
    best: dict[int, tuple[int, dict[str, Any]]] = {}
    documents: Counter[int] = Counter()
    for file in files:
        frame = pl.read_parquet(file)
        for item, count in frame.group_by("item").agg(pl.col("row").n_unique()).iter_rows():
            documents[item] += count
        longest = frame.sort(["grams", "row", "start"], descending=[True, False, False]).unique(
            "item", keep="first", maintain_order=True
        )
        for row in longest.iter_rows(named=True):
            if row["item"] not in best or row["grams"] > best[row["item"]][0]:
                best[row["item"]] = row["grams"], row
    order = sorted(best, key=lambda item: (-shares[item], -best[item][0], item))
    return [
        {
            "item": items[item].name,
            "set": items[item].set,
            "share": round(float(shares[item]), 3),
            "documents": documents[item],
            "question": items[item].texts[0][:SHOWN_TEXT],
            "text": best[item][1]["text"][:SHOWN_TEXT],
            "grams": best[item][0],
            "id": best[item][1]["id"],
            "source": best[item][1]["source"],
            "action": best[item][1]["action"],
        }
        for item in order[:MOST_SHOWN]
    ]


def tell(out: Path, summary: dict[str, Any], spent: dict[str, float | int]) -> None:
    """What a run came to, for people."""
    documents, of_items = summary["documents"], summary["items"]
    say(
        f"{documents['read']:,} documents read, {documents['cut']:,} cut, {documents['rejected']:,} rejected; "
        f"{summary['characters']['cut']:,} characters cut; {spent['seconds']:.1f} s, {spent['cpu_seconds']:.1f} CPU s."
    )
    say(
        f"{of_items['found']:,} of {of_items['items']:,} test items were found, {of_items['half']:,} of them by half, "
        f"{of_items['whole']:,} nearly whole; {of_items['too_short']:,} are too short to be looked for."
    )
    for shown in summary["shown"][:SHOWN]:
        say(f"  {shown['share']:>6.0%}  {shown['item']}: {_short(shown['question'])}")
        say(f"          in {shown['id']} ({shown['source']}): {_short(shown['text'])}")
    if summary["records"]["quarantined"]:
        say(f"{summary['records']['quarantined']:,} damaged or unreadable records: {out / 'quarantine'}")
    say(f"Report: {out / 'report.html'}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
