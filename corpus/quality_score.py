"""`corpus quality score`: a set of texts scored by fitted models.

In: a set, a classifier or an n-gram model or one of each. Out: a run directory whose `documents/` hold the set again in
its columns, with `s_quality`, `s_perplexity` and `bucket` (head, middle, tail) beside; a model is asked about the
languages that it was fitted on, others have null. Shards go to workers and are marked one by one. Price: 0.1 and 0.4 ms
for 2,000 characters.
"""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from corpus.dedup_parts import Row, Unit, read_parts, to_frame
from corpus.perplexity import KIND as PERPLEXITY
from corpus.perplexity import NgramModel
from corpus.perplexity import load as load_ngrams
from corpus.quality import KIND as QUALITY
from corpus.quality import Quality
from corpus.quality import load as load_quality
from corpus.quality_config import ScoreConfig
from corpus.quality_model import kind_of, model_path
from corpus.quality_report import perplexity_edges, write_score_report
from corpus.store import write_parquet
from runkit.console import emit_json, progress, say
from runkit.documents import Fault, plan_documents
from runkit.errors import UsageError, check_failures
from runkit.fields import fault_lines
from runkit.files import sha256_file, write_bytes, write_json
from runkit.inputs import Plan, Shard
from runkit.language import detect_language
from runkit.planned import keep_apart, manifest_inputs, tell_plan, tell_rebuilt, tell_skipped
from runkit.rundir import Mark, RunDir, note_usage, usage
from runkit.workers import in_processes

COMMAND: Final = "corpus quality score"
QUALITY_BINS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCall:
    """The command line of `corpus quality score`, parsed; `started` is a `time.monotonic()`."""

    inputs: list[str]
    out: Path
    models: list[Path]
    config: ScoreConfig
    workers: int
    limit: int | None
    dry_run: bool
    as_json: bool
    quiet: bool
    lang: str
    max_bad: float
    started: float


@dataclass(frozen=True, slots=True)
class Models:
    """What texts are scored by. Pickled by path: workers map the files themselves."""

    quality: Path | None
    perplexity: Path | None


@functools.lru_cache(maxsize=2)
def opened(models: Models) -> tuple[Quality | None, NgramModel | None]:
    """The models of this process."""
    return (
        load_quality(models.quality) if models.quality is not None else None,
        load_ngrams(models.perplexity) if models.perplexity is not None else None,
    )


def sorted_out(paths: Sequence[Path]) -> Models:
    """UsageError: two of one kind. InputError: a damaged one."""
    found: dict[str, Path] = {}
    for path in map(model_path, paths):
        kind = kind_of(path)
        if kind in found:
            raise UsageError(f"{path} and {found[kind]} are both models of the kind {kind!r}; give one of each.")
        found[kind] = path
    models = Models(found.get(QUALITY), found.get(PERPLEXITY))
    opened(models)
    return models


def score(call: ScoreCall) -> None:
    """Score to the end, or go on where an earlier start was stopped."""
    keep_apart(call.out, call.inputs)
    models = sorted_out(call.models)
    plan = plan_documents(call.inputs)
    tell_skipped(plan)
    if call.dry_run:
        tell_plan(plan, call.as_json)
        return
    inputs = manifest_inputs(plan)
    for path in filter(None, (models.quality, models.perplexity)):
        inputs.append({"name": f"model: {path}", "size": path.stat().st_size, "fingerprint": sha256_file(path)})
    settings = call.config.model_dump(mode="json") | {"limit": call.limit}
    with RunDir.open(call.out, COMMAND, settings, inputs, {"wenhai": version("wenhai")}) as run:
        summary = _summary(_score(run, plan, models, call))
        write_json(run.file("summary.json"), summary)
        write_score_report(run, summary, call.lang)
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    _tell(call, summary)
    bad, read = summary["records"]["quarantined"], summary["documents"]
    check_failures(bad, bad + read, "records were bad", call.max_bad, call.out / "quarantine")


def _tell(call: ScoreCall, summary: dict[str, Any]) -> None:
    means = ", ".join(f"median {name} {value:g}" for name, value in summary["medians"].items())
    say(f"{summary['scored']:,} of {summary['documents']:,} documents scored; {means or 'none'}.")
    for name, row in summary["buckets"].items():
        say(f"  {name:<7} {row['documents']:>9,} documents {row['characters']:>13,} characters")
    say(f"Report: {call.out / 'report.html'}")


def _score(run: RunDir, plan: Plan, models: Models, call: ScoreCall) -> list[Mark]:
    marks = {shard.index: run.done(f"done-{shard.index:05d}") for shard in plan.shards}
    tell_rebuilt(run)
    left = [shard for shard in plan.shards if marks[shard.index] is None]
    one = functools.partial(_score_shard, run=run, models=models, text_field=call.config.text_field)
    with progress("Scoring", total=len(plan.shards), unit="shards", quiet=call.quiet) as advance:
        advance(len(plan.shards) - len(left))
        if call.limit is None:
            for shard, mark in in_processes(one, left, call.workers):
                marks[shard.index] = mark
                advance(1)
        else:
            rest = call.limit  # one shard after another: how many the next may give is known only then
            for shard in plan.shards:
                taken = marks[shard.index] or (one(shard, limit=rest) if rest > 0 else None)
                marks[shard.index] = taken
                rest -= taken.data["documents"] if taken is not None else 0
    return [mark for _, mark in sorted(marks.items()) if mark is not None]


def _score_shard(shard: Shard, run: RunDir, models: Models, text_field: str, limit: int | None = None) -> Mark:
    outputs: dict[str, str] = {}
    faults: list[Fault] = []
    totals: list[pl.DataFrame] = []
    for number, rows in enumerate(read_parts(Unit(shard, False), text_field, faults, limit)):
        frame = _scored(rows, models)
        outputs |= write_parquet(run, f"documents/{shard.index:05d}-{number:03d}.parquet", frame)
        size = pl.col("text").str.len_chars().alias("size")
        totals.append(frame.select("s_quality", "s_perplexity", "bucket", size))
    if faults:
        name = f"quarantine/{shard.index:05d}.jsonl"
        write_bytes(run.file(name), fault_lines(faults))
        outputs[name] = sha256_file(run.file(name))
    data = {**_figures(totals), "faults": dict(sorted(Counter(fault.reason for fault in faults).items()))}
    return run.mark(f"done-{shard.index:05d}", outputs, data)


def _scored(read: Sequence[Row], models: Models) -> pl.DataFrame:
    """Documents with the signals that they brought, and these models' own."""
    documents = [document for document, _ in read]
    quality, ngrams = opened(models)
    languages = [document.language or detect_language(document.text)[0] for document in documents]
    texts = [document.text for document in documents]
    found: dict[str, list[Any]] = {"s_quality": [None] * len(texts), "s_perplexity": [None] * len(texts)}
    if quality is not None:
        rows = [row for row, language in enumerate(languages) if language in quality.languages]
        for row, value in zip(rows, quality.scores([texts[row] for row in rows]).tolist(), strict=True):
            found["s_quality"][row] = value
    buckets: list[str | None] = [None] * len(texts)
    if ngrams is not None:
        rows = [row for row, language in enumerate(languages) if language in ngrams.languages]
        for row, value in zip(rows, ngrams.perplexities([texts[row] for row in rows]).tolist(), strict=True):
            if value == value:  # a text without characters has none
                found["s_perplexity"][row] = value
                buckets[row] = ngrams.bucket(value) if ngrams.terciles is not None else None
    scored = [pl.Series(name, values, dtype=pl.Float32) for name, values in found.items()]
    labels = [pl.Series("language", languages, dtype=pl.String), pl.Series("bucket", buckets, dtype=pl.String)]
    return to_frame(read).drop("reasons").with_columns(*scored, *labels)


def _figures(totals: Sequence[pl.DataFrame]) -> dict[str, Any]:
    """Of one shard; numbers and lists add up over shards."""
    frame = pl.concat(totals) if totals else pl.DataFrame(schema={"s_quality": pl.Float32, "s_perplexity": pl.Float32})
    scored = pl.any_horizontal(pl.col("s_quality", "s_perplexity").is_not_null())
    figures: dict[str, Any] = {"documents": len(frame), "scored": len(frame.filter(scored)), "buckets": {}}
    if totals:
        for bucket, documents, size in frame.group_by("bucket").agg(pl.len(), pl.col("size").sum()).iter_rows():
            if bucket is not None:
                figures["buckets"][bucket] = [documents, size]
    for name, edges in (("quality", np.linspace(0, 1, QUALITY_BINS + 1)), ("perplexity", np.array(perplexity_edges()))):
        values = frame[f"s_{name}"].drop_nulls().to_numpy()
        figures[name] = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].tolist()
    return figures


def _summary(marks: Sequence[Mark]) -> dict[str, Any]:
    data = [mark.data for mark in marks]
    faults: Counter[str] = Counter()
    buckets: dict[str, list[int]] = {}
    for one in data:
        faults.update(one["faults"])
        for name, (documents, size) in one["buckets"].items():
            row = buckets.setdefault(name, [0, 0])
            row[0] += documents
            row[1] += size
    histograms = {name: np.sum([one[name] for one in data], axis=0).tolist() for name in ("quality", "perplexity")}
    histograms = {name: counts for name, counts in histograms.items() if sum(counts)}
    edges = {"quality": np.linspace(0, 1, QUALITY_BINS + 1).tolist(), "perplexity": perplexity_edges()}
    return {
        "documents": sum(one["documents"] for one in data),
        "scored": sum(one["scored"] for one in data),
        "medians": {name: _median(counts, edges[name]) for name, counts in histograms.items()},
        "histograms": histograms,
        "buckets": {
            name: {"documents": buckets[name][0], "characters": buckets[name][1]}
            for name in ("head", "middle", "tail")
            if name in buckets
        },
        "records": {"quarantined": faults.total()},
        "quarantined": dict(sorted(faults.items(), key=lambda item: (-item[1], item[0]))),
    }


def _median(counts: Sequence[int], edges: Sequence[float]) -> float:
    """Within half a bin."""
    place = int(np.searchsorted(np.cumsum(counts), sum(counts) / 2))
    return round((edges[place] + edges[place + 1]) / 2, 3)
