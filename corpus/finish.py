"""The second pass: kept documents apart from rejected ones, part by part, with the figures that the report shows.

In: the parts of `work/` and the copies that the deduplication found. Out: `documents/<part>.parquet`, `rejected/
<part>.parquet` and a mark with the part's statistics. Statistics of parts add up, so the summary of a run of any size
is a sum over marks and no text is read twice. One part (at most 16 M characters) is in memory at a time.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson
import polars as pl

from corpus.signals import ALL_SIGNALS, FUNNEL, MODEL_SIGNALS
from corpus.store import SCHEMA, part_name, write_parquet
from corpus.urls import url_host
from runkit.rundir import Mark, RunDir

BINS = 48
# Signals that are no shares: (lowest, highest, logarithmic) of their histograms; values outside go to the edge bins.
SCALES: dict[str, tuple[float, float, bool]] = {
    "s_chars": (1, 1e6, True),
    "s_lines": (1, 1e5, True),
    "s_tokens": (1, 1e6, True),
    "s_mean_line_chars": (1, 1e4, True),
    "s_sentence_chars": (1, 1e4, True),
    "s_mean_word_chars": (0, 20, False),
    "s_entropy": (0, 16, False),
    "s_spam_per_1000": (0, 24, False),
    "s_adult_per_1000": (0, 24, False),
    "s_perplexity": (1, 1e6, True),
}
# Domains kept per part; a domain that never comes among a part's first 2,000 is not among the top of the run.
MOST_DOMAINS = 2_000


def bin_edges(signal: str) -> np.ndarray:
    """Edges of a signal's histogram, (BINS + 1,)."""
    low, high, logarithmic = SCALES.get(signal, (0.0, 1.0, False))
    return np.geomspace(low, high, BINS + 1) if logarithmic else np.linspace(low, high, BINS + 1)


def finish_shard(run: RunDir, shard: int, work: Mark, copies: pl.DataFrame) -> Mark:
    """Write the documents and rejected documents of one shard and mark them. `copies`: all that `find_copies` found."""
    own = {copy["id"]: copy for copy in copies.filter(pl.col("shard") == shard).iter_rows(named=True)}
    outputs = {name: digest for name, digest in work.outputs.items() if not name.startswith("work/")}
    parts = []
    for part in range(work.data["parts"]):
        name = part_name(shard, part)
        pages = _with_copies(pl.read_parquet(run.file(f"work/{name}.parquet")), own)
        is_kept = pl.col("reasons").list.len() == 0
        outputs |= write_parquet(run, f"documents/{name}.parquet", pages.filter(is_kept).drop("reasons"))
        outputs |= write_parquet(run, f"rejected/{name}.parquet", pages.filter(~is_kept))
        parts.append(statistics(pages))
    data = {**add(parts), "faults": work.data["faults"], "parts": work.data["parts"]}
    return run.mark(f"done-{shard:05d}", outputs, data)


def _with_copies(pages: pl.DataFrame, copies: dict[str, dict[str, Any]]) -> pl.DataFrame:
    """The reason and the better version's id on every page that is a copy."""
    reasons, meta = pages["reasons"].to_list(), pages["meta"].to_list()
    found = [row for row, page in enumerate(pages["id"]) if page in copies]
    for row in found:
        copy = copies[pages["id"][row]]
        reasons[row] = [*reasons[row], copy["reason"]]
        more = {"duplicate_of": copy["duplicate_of"], "similarity": round(copy["similarity"], 3)}
        meta[row] = orjson.dumps({**orjson.loads(meta[row]), **more}, option=orjson.OPT_SORT_KEYS).decode()
    if not found:
        return pages
    return pages.with_columns(
        pl.Series("reasons", reasons, dtype=SCHEMA["reasons"]), pl.Series("meta", meta, dtype=pl.String)
    )


def statistics(pages: pl.DataFrame) -> dict[str, Any]:
    """Counts of one part; `add` sums them. Characters are of the normalised text."""
    sizes = pages["text"].str.len_chars().fill_null(0).to_list()
    reasons = pages["reasons"].to_list()
    hosts = [url_host(url) if url else "" for url in pages["url"].to_list()]
    counts = _empty()
    for size, broken, host, source, language, meta in zip(
        sizes, reasons, hosts, pages["source"], pages["language"], pages["meta"], strict=True
    ):
        state = "rejected" if broken else "kept"
        first = _first_step(broken)
        for kind, amount in (("documents", 1), ("characters", size)):
            counts[kind]["read"] += amount
            counts[kind][state] += amount
            if first:
                counts["funnel"][kind][first] += amount
        counts["reasons"].update(broken)
        if len(broken) == 1:
            counts["only_reason"][broken[0]] += 1
        counts["languages"][state][language or "und"] += 1
        counts["sources"][state][source] += 1
        if host:
            counts["domains"][state][host] += 1
        _count_meta(counts, orjson.loads(meta), kept=not broken)
    for domains in counts["domains"].values():
        for host, _ in sorted(domains.items(), key=lambda item: (-item[1], item[0]))[MOST_DOMAINS:]:
            del domains[host]
    is_kept = (pages["reasons"].list.len() == 0).to_numpy()
    return {**counts, "histograms": _histograms(pages, is_kept)}


def _empty() -> dict[str, Any]:
    states = ("kept", "rejected")
    return {
        "documents": Counter(read=0, kept=0, rejected=0),
        "characters": Counter(read=0, kept=0, rejected=0),
        "reasons": Counter(),
        "only_reason": Counter(),
        "funnel": {"documents": Counter(), "characters": Counter()},
        "languages": {state: Counter() for state in states},
        "sources": {state: Counter() for state in states},
        "domains": {state: Counter() for state in states},
        "encodings": Counter(),
        "flags": Counter(),
        "masked": Counter(),
    }


def _first_step(reasons: list[str]) -> str | None:
    """The step at which a page leaves the funnel."""
    steps = {reason.split(".", 1)[0] for reason in reasons}
    return next((step for step in FUNNEL if step in steps), next(iter(sorted(steps)), None))


def _count_meta(counts: dict[str, Any], meta: dict[str, Any], kept: bool) -> None:
    if isinstance(meta.get("encoding"), str):
        counts["encodings"][meta["encoding"]] += 1
    counts["flags"].update(flag for flag in meta.get("flags", ()) if isinstance(flag, str))
    masked = meta.get("masked")
    if kept and isinstance(masked, dict):
        counts["masked"].update({key: value for key, value in masked.items() if isinstance(value, int)})


def _histograms(pages: pl.DataFrame, is_kept: np.ndarray) -> dict[str, dict[str, list[int]]]:
    found = {}
    for signal in ALL_SIGNALS:
        column = pages[signal]
        there = np.ones(len(pages), np.bool_)
        if signal in MODEL_SIGNALS:  # null where no model was asked, which is no 0
            there = column.is_not_null().to_numpy()
            if not there.any():
                continue
        edges = bin_edges(signal)
        clipped = np.clip(column.fill_null(0).to_numpy(), edges[0], edges[-1])
        found[signal] = {
            "kept": np.histogram(clipped[there & is_kept], edges)[0].tolist(),
            "rejected": np.histogram(clipped[there & ~is_kept], edges)[0].tolist(),
        }
    return found


def add(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The sum of statistics: numbers add, lists add by place, mappings add by key."""
    total: dict[str, Any] = {**_empty(), "histograms": {}}
    for part in parts:
        _add_into(total, part)
    return total


def _add_into(total: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            _add_into(total.setdefault(key, {}), value)
        elif isinstance(value, list):
            total[key] = [a + b for a, b in zip(total.get(key, [0] * len(value)), value, strict=True)]
        else:
            total[key] = total.get(key, 0) + value
