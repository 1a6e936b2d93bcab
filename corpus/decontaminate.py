"""`corpus decontaminate`: find test items in documents, cut them or drop the documents. Resumes from whatever is done.

In: a set of documents and the items. Out: a run with `documents/`, `rejected/` and `matches/`. Marks, in the order in
which they appear: `find-<shard>` (where its n-grams of test items stand), `common` (which of them are common),
`done-<shard>`. Documents are read twice, so nothing lies on disk between. Price: 1 CPU second for 10 MB of text.
"""

import functools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from corpus.decontaminate_config import DecontaminateConfig
from corpus.decontaminate_items import Grams, Item, fold_tables, make_grams, read_items
from corpus.decontaminate_match import Match, find_hits, judge, matches_of
from corpus.decontaminate_report import write_report
from corpus.decontaminate_summary import summarise, tell
from corpus.dedup_parts import Unit, as_reasons, count_states, measured_anew, read_parts, to_frame
from corpus.finish import add
from corpus.store import write_array, write_parquet
from runkit.console import emit_json, progress
from runkit.documents import plan_documents
from runkit.errors import check_failures
from runkit.fields import Fault, fault_lines
from runkit.files import sha256_file, write_bytes, write_json
from runkit.inputs import Plan, Shard
from runkit.planned import keep_apart, manifest_inputs, tell_plan, tell_rebuilt, tell_skipped
from runkit.rundir import Mark, RunDir, note_usage, usage
from runkit.workers import in_processes

COMMAND = "corpus decontaminate"
VERSIONED = ("wenhai", "numba", "numpy", "polars")
MATCH_SCHEMA = {"row": pl.Int64, "id": pl.String, "start": pl.Int64, "stop": pl.Int64, "item": pl.Int64}
MATCH_SCHEMA |= {"grams": pl.Int64, "action": pl.String, "source": pl.String, "text": pl.String}
MOST_CHARACTERS = 2_000  # of a match's text in matches/


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminateCall:
    """The command line of `corpus decontaminate`, parsed; `started` is a `time.monotonic()`."""

    inputs: list[str]
    against: list[str]
    out: Path
    config: DecontaminateConfig
    workers: int
    limit: int | None
    dry_run: bool
    as_json: bool
    quiet: bool
    lang: str
    max_bad: float
    started: float


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker must know; it is forked, so the table is not copied."""

    run: RunDir
    config: DecontaminateConfig
    items: Sequence[Item]
    grams: Grams
    common: NDArray[np.bool_] | None = None  # of each n-gram, whether it counts for nothing


def decontaminate(call: DecontaminateCall) -> None:
    """Run to the end, or go on where an earlier start was stopped."""
    keep_apart(call.out, [*call.inputs, *call.against])
    plan = plan_documents(call.inputs, shard_bytes=max(1, round(call.config.shard_mb * 1e6)))
    items, item_inputs = read_items(call.against, call.config.answers)
    tell_skipped(plan)
    if call.dry_run:
        tell_plan(plan, call.as_json)
        return
    grams = make_grams(items, call.config.ngram, call.config.min_units)
    config = call.config.model_dump(mode="json") | {"limit": call.limit}
    inputs = [*manifest_inputs(plan), *item_inputs]
    with RunDir.open(call.out, COMMAND, config, inputs, {name: version(name) for name in VERSIONED}) as run:
        job = Job(run, call.config, items, grams)
        marks, common = _carry_out(job, plan, call)
        summary = summarise(run, marks, items, grams, common, plan)
        write_json(run.file("summary.json"), summary)
        write_report(run, summary, call.lang)
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    tell(call.out, summary, spent)
    bad, read = summary["records"]["quarantined"], summary["documents"]["read"]
    check_failures(bad, bad + read, "records were bad", call.max_bad, call.out / "quarantine")


def _carry_out(job: Job, plan: Plan, call: DecontaminateCall) -> tuple[list[Mark], NDArray[np.bool_]]:
    """The marks of all finished shards in order, and which n-grams are common phrases."""
    run = job.run
    fold_tables()  # made before workers are forked
    found = _all(run, "find", plan, functools.partial(find_shard, job=job), call)
    if run.done("common") is None:
        hits = [load_hits(run, shard) for shard in found]
        common = common_grams(hits, len(job.grams.hashes), job.config.max_documents)
        run.mark("common", write_array(run, "common.npy", common), {"grams": int(common.sum())})
    common = np.load(run.file("common.npy"))
    job = Job(run, job.config, job.items, job.grams, common)
    # Only --limit cuts a shard: elsewhere faults behind its last document count too.
    limits = {shard: None if call.limit is None else mark.data["documents"] for shard, mark in found.items()}
    done = functools.partial(finish_shard, job=job, limits=limits)
    finished = _all(run, "done", plan, done, call, limits)
    return [mark for _, mark in sorted(finished.items())], common


def _all(
    run: RunDir,
    step: str,
    plan: Plan,
    function: Callable[..., Mark],
    call: DecontaminateCall,
    chosen: Collection[int] | None = None,
) -> dict[int, Mark]:
    """The marks of a step for all shards, or those `chosen`; what earlier starts did is kept."""
    wanted = [shard for shard in plan.shards if chosen is None or shard.index in chosen]
    marks = {shard.index: mark for shard in wanted if (mark := run.done(f"{step}-{shard.index:05d}")) is not None}
    tell_rebuilt(run)
    label = "Looking for test items" if step == "find" else "Writing"
    with progress(label, total=len(wanted), unit="shards", quiet=call.quiet) as advance:
        advance(len(marks))
        if call.limit is not None and chosen is None:
            left = call.limit
            for shard in wanted:
                if left <= 0:
                    break
                if shard.index not in marks:
                    marks[shard.index] = function(shard, limit=left)
                    advance(1)
                left -= marks[shard.index].data["documents"]
            return {index: marks[index] for index in sorted(marks)}
        rest = [shard for shard in wanted if shard.index not in marks]
        for shard, mark in in_processes(function, rest, call.workers):
            marks[shard.index] = mark
            advance(1)
    return {index: marks[index] for index in sorted(marks)}


def find_shard(shard: Shard, job: Job, limit: int | None = None) -> Mark:
    """Find the n-grams of one shard's documents and mark it: `find-<shard>`; rows of hits are those of the shard."""
    hits: list[NDArray[np.int64]] = []
    documents = 0
    for rows in read_parts(Unit(shard, False), job.config.text_field, [], limit):
        found = find_hits([document.text for document, _ in rows], job.grams)
        found[:, 0] += documents
        hits.append(found)
        documents += len(rows)
    whole = np.concatenate([np.zeros((0, 4), np.int64), *hits])
    outputs = write_array(job.run, _hits_name(shard.index), whole)
    return job.run.mark(f"find-{shard.index:05d}", outputs, {"documents": documents, "hits": len(whole)})


def _hits_name(shard: int) -> str:
    return f"hits/{shard:05d}.npy"


def load_hits(run: RunDir, shard: int) -> NDArray[np.int64]:
    """The hits of one shard: (H, 4) of row, start, stop, n-gram."""
    hits: NDArray[np.int64] = np.load(run.file(_hits_name(shard)))
    return hits


def common_grams(hits: Sequence[NDArray[np.int64]], grams: int, most: int) -> NDArray[np.bool_]:
    """Which n-grams stand in more than `most` documents; none do where that is 0."""
    counts = np.zeros(grams, np.int64)
    for found in hits:
        pairs = np.unique(found[:, [0, 3]], axis=0)
        counts += np.bincount(pairs[:, 1], minlength=grams)
    return counts > most if most else np.zeros(grams, np.bool_)


def finish_shard(shard: Shard, job: Job, limits: dict[int, int | None]) -> Mark:
    """Write one shard's documents and mark it: `done-<shard>`."""
    run = job.run
    assert job.common is not None
    hits = load_hits(run, shard.index)
    hits = hits[~job.common[hits[:, 3]]]
    hits = hits[np.argsort(hits[:, 0], kind="stable")]
    outputs: dict[str, str] = {}
    faults: list[Fault] = []
    counted: list[dict[str, Any]] = []
    rows_before = 0
    for number, rows in enumerate(read_parts(Unit(shard, False), job.config.text_field, faults, limits[shard.index])):
        name = f"{shard.index:05d}-{number:03d}"
        begin, end = np.searchsorted(hits[:, 0], [rows_before, rows_before + len(rows)]).tolist()
        own = hits[begin:end] - np.array([rows_before, 0, 0, 0])
        part = _Part(to_frame(rows), own, job)
        outputs |= write_parquet(run, f"documents/{name}.parquet", part.kept)
        outputs |= write_parquet(run, f"rejected/{name}.parquet", part.rejected)
        outputs |= write_parquet(run, f"matches/{name}.parquet", part.matches)
        counted.append(part.counts)
        rows_before += len(rows)
    if faults:
        name = f"quarantine/{shard.index:05d}.jsonl"
        write_bytes(run.file(name), fault_lines(faults))
        outputs[name] = sha256_file(run.file(name))
    counts = {key: value for key, value in add([_empty(), *counted]).items() if key in _empty()}
    reasons = Counter(fault.reason for fault in faults)
    data = {"counts": counts, "documents": rows_before, "faults": dict(sorted(reasons.items()))}
    return run.mark(f"done-{shard.index:05d}", outputs, data)


def _empty() -> dict[str, Any]:
    return {
        "documents": Counter(read=0, kept=0, rejected=0, cut=0),
        "characters": Counter(read=0, kept=0, rejected=0, cut=0),
        "reasons": Counter(),
        "matches": 0,
        "languages": {state: Counter() for state in ("kept", "rejected")},
        "sources": {state: Counter() for state in ("kept", "rejected")},
        "cut_sources": Counter(),
    }


class _Part:
    """One part, judged."""

    def __init__(self, frame: pl.DataFrame, hits: NDArray[np.int64], job: Job) -> None:
        self.job = job
        texts: list[str] = frame["text"].to_list()
        sizes = [len(text) for text in texts]
        self.meta: list[str] = frame["meta"].to_list()
        self.reasons: list[str | None] = [None] * len(texts)
        self.counts = _empty()
        self.found: list[tuple[Any, ...]] = []
        changed: list[int] = []
        for row, own in _by_row(hits):
            matches = matches_of(own, job.grams)
            verdict = judge(texts[row], matches, job.config)
            self._note(frame, row, texts[row], matches, verdict.reason)
            if verdict.reason:
                self.reasons[row] = verdict.reason
            else:
                texts[row] = verdict.text
                changed.append(row)
        frame = measured_anew(frame.with_columns(pl.Series("text", texts, dtype=pl.String)), changed).with_columns(
            pl.Series("meta", self.meta, dtype=pl.String), as_reasons(self.reasons)
        )
        is_kept = pl.col("reasons").list.len() == 0
        self.kept, self.rejected = frame.filter(is_kept).drop("reasons"), frame.filter(~is_kept)
        self.matches = pl.DataFrame(self.found, schema=MATCH_SCHEMA, orient="row")
        self.counts |= count_states(self.kept, self.rejected)
        lost = sum(sizes[row] - len(texts[row]) for row in changed)
        self.counts["documents"] |= {"read": len(texts), "cut": len(changed)}
        self.counts["characters"] |= {"read": sum(sizes), "cut": lost}
        self.counts["matches"] = len(self.found)
        self.counts["reasons"].update(reason for reason in self.reasons if reason)
        self.counts["cut_sources"].update(frame["source"][row] for row in changed)

    def _note(self, frame: pl.DataFrame, row: int, text: str, matches: Sequence[Match], reason: str) -> None:
        names = [self.job.items[item].name for item in sorted({match.item for match in matches})]
        more = {"test_items": names[:10], "test_matches": len(matches)}
        self.meta[row] = orjson.dumps({**orjson.loads(self.meta[row]), **more}, option=orjson.OPT_SORT_KEYS).decode()
        id_, source = frame["id"][row], frame["source"][row]
        for match in matches:
            shown = text[match.start : match.stop][:MOST_CHARACTERS]
            place = (row, id_, match.start, match.stop, match.item, match.grams)
            self.found.append((*place, reason or "cut", source, shown))


def _by_row(hits: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Document and its hits (start, stop, n-gram), of hits that are sorted by document."""
    edges = np.flatnonzero(np.diff(hits[:, 0], prepend=-1, append=-1)).tolist() if len(hits) else []
    for begin, end in pairwise(edges):
        yield int(hits[begin, 0]), hits[begin:end, 1:]
