"""`summary.json`: what a run did, as deterministic figures under names that stay.

In: the sum of the shards' statistics and the plan. Out: one JSON-like object. Times, memory and cost are in usage.json.
"""

from typing import Any

from corpus.signals import FUNNEL
from runkit.inputs import Plan

TOP_DOMAINS = 50


def summarise(total: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """The summary of a run. `funnel`: documents and characters left after each step."""
    faults = total.get("faults", {})
    skipped = {reason: n for reason, n in faults.items() if reason.startswith("skip.")}
    quarantined = {reason: n for reason, n in faults.items() if not reason.startswith("skip.")}
    return {
        "documents": dict(total["documents"]),
        "characters": dict(total["characters"]),
        "records": {
            "quarantined": sum(quarantined.values()),
            "skipped": sum(skipped.values()),
        },
        "quarantined": _ranked(quarantined),
        "skipped": _ranked(skipped),
        "reasons": _ranked(total["reasons"]),
        "only_reason": _ranked(total["only_reason"]),
        "funnel": funnel(total),
        "languages": {state: _ranked(counts) for state, counts in total["languages"].items()},
        "sources": {state: _ranked(counts) for state, counts in total["sources"].items()},
        "domains": {state: _ranked(counts, TOP_DOMAINS) for state, counts in total["domains"].items()},
        "encodings": _ranked(total["encodings"]),
        "flags": _ranked(total["flags"]),
        "masked": _ranked(total["masked"]),
        "inputs": {
            "files": len(plan.files),
            "bytes": sum(file.size_bytes for file in plan.files),
            "shards": len(plan.shards),
            "not_read": [{"path": skipped.path, "reason": skipped.reason} for skipped in plan.skipped],
        },
    }


def funnel(total: dict[str, Any]) -> list[dict[str, Any]]:
    """What is left after each step that took something out, beginning with what was read."""
    documents, characters = total["documents"]["read"], total["characters"]["read"]
    stages = [{"step": "read", "documents": documents, "characters": characters}]
    lost = total["funnel"]
    for step in [*FUNNEL, *sorted(set(lost["documents"]) - set(FUNNEL))]:
        if lost["documents"].get(step, 0):
            documents -= lost["documents"][step]
            characters -= lost["characters"][step]
            stages.append({"step": step, "documents": documents, "characters": characters})
    return stages


def _ranked(counts: dict[str, int], most: int | None = None) -> dict[str, int]:
    """Largest first, then by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most])
