"""`train tokens`: documents to token shards, by several processes, resumed shard by shard.

In: a set of documents and a tokenizer. Out: a run directory that `train.shards.open_shards` opens: ids and index of
each shard, the tokenizer, summary.json, report.html. Texts are encoded as they are, nothing is stripped. A part of the
documents, chosen by hash, is decoded again and compared byte for byte. Price of all that is not encoding (reading,
hashes, check, writing): 1.3 CPU seconds for 54 MB of text, a fifth of the encoding.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runkit.console import emit_json, progress, say
from runkit.documents import plan_documents, read_documents
from runkit.errors import UsageError, check_failures
from runkit.fields import Fault
from runkit.files import sha256_file, write_bytes, write_json, write_text
from runkit.inputs import Plan, Shard
from runkit.planned import keep_apart, tell_plan, tell_skipped
from runkit.records import Document, sampled
from runkit.rundir import Mark, RunDir, note_usage, usage
from runkit.workers import in_processes
from train.added import ADDED
from train.config import TokensConfig
from train.encode import Encoder
from train.fit_output import fault_counts, open_run, write_faults
from train.pieces import Ids, Tokenizer
from train.reading import Reading
from train.shards import (
    COMMAND,
    FORMAT,
    SUMMARY,
    Encoded,
    TokenArray,
    Written,
    open_shards,
    read_index,
    token_type,
    write_shard,
)
from train.tokenizer import find_file, load
from train.tokens_report import tokens_report

BATCH_CHARACTERS: Final = 500_000  # encoded in one call; about a megabyte of Chinese
CHECK_SEED: Final = 2**64 - 1  # a --sample is never also the part that is checked
SHOWN_LOSSY: Final = 20
TOTALS: Final = ("documents", "tokens", "text_tokens", "characters", "bytes")
QUANTILES: Final = (0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensCall:
    """The command line, parsed; `started` is a `time.monotonic()`."""

    documents: list[str]
    tokenizer: Path
    out: Path
    config: TokensConfig
    workers: int
    limit: int | None
    sample: float | None
    seed: int
    dry_run: bool
    as_json: bool
    quiet: bool
    max_bad: float
    started: float
    lang: str = "en"


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker must know."""

    run: RunDir
    config: TokensConfig
    tokenizer: Path
    sha256: str  # of the tokenizer's file
    bos: int | None  # ids that are put around each document; None: none is
    eos: int | None
    sample: float | None
    seed: int


def tokens(call: TokensCall) -> None:
    """Run to the end, or go on where an earlier start was stopped."""
    keep_apart(call.out, call.documents)
    file = find_file(call.tokenizer)
    encoder = _encoder(file, sha256_file(file))
    bos, eos = begin_and_end(encoder.tokenizer, call.config)
    plan = plan_documents(call.documents, shard_bytes=max(1, round(call.config.shard_mb * 1e6)))
    tell_skipped(plan)
    if call.dry_run:
        tell_plan(plan, call.as_json)
        return
    reading = Reading(call.workers, call.sample, call.limit, call.seed, call.quiet)
    beside = [(f"--tokenizer {path.name}", path) for path in _tokenizer_files(file)]
    with open_run(COMMAND, call.out, call.config, plan, reading, beside) as run:
        job = Job(run, call.config, file, encoder.tokenizer.sha256, bos, eos, call.sample, call.seed)
        marks = _run_shards(job, plan, reading)
        summary = summarise(job, encoder.tokenizer, plan, marks)
        write_json(run.file(SUMMARY), summary)
        write_text(run.file("report.html"), tokens_report(open_shards(run.path), summary, call.lang))
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    _tell(call, summary, spent)


def begin_and_end(tokenizer: Tokenizer, config: TokensConfig) -> tuple[int | None, int | None]:
    """The ids that are put before and behind each document. UsageError: the tokenizer lacks one that is asked for."""
    bos, eos = tokenizer.special.bos, tokenizer.special.eos
    if config.bos and bos is None:
        raise UsageError(f"{tokenizer.path} has no token that begins a text; leave bos unset, or set it to false.")
    if config.eos and eos is None:
        raise UsageError(f"{tokenizer.path} has no token that ends a text; set eos to false: -s eos=false.")
    wanted = bos != eos if config.bos is None else config.bos
    return bos if wanted else None, eos if config.eos else None


@functools.lru_cache(maxsize=1)
def _encoder(file: Path, sha256: str) -> Encoder:
    """Opened once, before the workers are forked, which so find it here; the sha256 tells a changed file."""
    encoder = Encoder(load(file))
    _ = encoder.tokenizer.piece_bytes  # made now, not in each worker
    return encoder


def _tokenizer_files(file: Path) -> list[Path]:
    """All that is copied along: names of special tokens, and from which pieces an extended tokenizer was made."""
    beside = [file.with_name(name) for name in ("tokenizer_config.json", ADDED)]
    return [file, *(path for path in beside if path.is_file())]


def _run_shards(job: Job, plan: Plan, reading: Reading) -> list[Mark]:
    """The marks of all shards, in order; those of earlier starts are kept while their files are whole."""
    run = job.run
    marks = {shard.index: mark for shard in plan.shards if (mark := run.done(_mark_name(shard))) is not None}
    copied = run.done("tokenizer")
    for damage in run.damaged:
        say(f"Rebuilding: {damage}.")
    run.damaged.clear()
    if copied is None:
        _copy_tokenizer(job)
    with progress("Encoding", total=len(plan.shards), unit="shards", quiet=reading.quiet) as advance:
        advance(len(marks))
        if reading.limit is not None:
            return list(_first_documents(job, plan, marks, reading.limit, advance))
        left = [shard for shard in plan.shards if shard.index not in marks]
        for shard, mark in in_processes(functools.partial(encode_shard, job=job), left, reading.workers):
            marks[shard.index] = mark
            advance(1)
    return [mark for _, mark in sorted(marks.items())]


def _first_documents(job: Job, plan: Plan, marks: Mapping[int, Mark], limit: int, advance: Any) -> Iterator[Mark]:
    """One shard after another: how many documents the next may give is known only then."""
    for shard in plan.shards:
        if limit <= 0:
            return
        mark = marks.get(shard.index)
        if mark is None:
            mark = encode_shard(shard, job, limit)
            advance(1)
        limit -= mark.data["shard"]["documents"]
        yield mark


def _mark_name(shard: Shard) -> str:
    return f"shard-{shard.index:05d}"


def _copy_tokenizer(job: Job) -> None:
    outputs = {}
    for path in _tokenizer_files(job.tokenizer):
        name = f"tokenizer/{path.name}"
        write_bytes(job.run.file(name), path.read_bytes())
        outputs[name] = sha256_file(job.run.file(name))
    job.run.mark("tokenizer", outputs, {})


def encode_shard(shard: Shard, job: Job, limit: int | None = None) -> Mark:
    """Encode one shard, write its files and its mark."""
    name = f"{shard.index:05d}"
    worker = _ShardEncoder(job)
    documents = islice(worker.documents(shard), limit)
    written = write_shard(job.run.file, name, worker.batches(documents))
    outputs = written.outputs | write_faults(job.run, f"quarantine/{name}.jsonl", worker.faults)
    added = (job.bos is not None) + (job.eos is not None)
    data = {
        "shard": written.entry,
        "by_source": _by_source(written, added),
        "checked": worker.checked,
        "lossy": len(worker.lossy),
        "first_lossy": worker.lossy[:SHOWN_LOSSY],
        "faults": fault_counts(worker.faults),
    }
    return job.run.mark(_mark_name(shard), outputs, data)


@dataclass(slots=True)
class _ShardEncoder:
    """One shard on its way; faults and checks gather here."""

    job: Job
    faults: list[Fault] = field(default_factory=list)
    checked: int = 0
    lossy: list[dict[str, Any]] = field(default_factory=list)

    def documents(self, shard: Shard) -> Iterator[Document]:
        job = self.job
        for item in read_documents(shard, job.config.text_field):
            if isinstance(item, Fault):
                self.faults.append(item)
            elif job.sample is None or sampled(item.id, job.sample, job.seed):
                yield item

    def batches(self, documents: Iterable[Document]) -> Iterator[Encoded]:
        held: list[Document] = []
        size = 0
        for document in documents:
            held.append(document)
            size += len(document.text)
            if size >= BATCH_CHARACTERS:
                yield self._encode(held)
                held, size = [], 0
        if held:
            yield self._encode(held)

    def _encode(self, documents: list[Document]) -> Encoded:
        encoder = _encoder(self.job.tokenizer, self.job.sha256)
        ids, lengths = encoder.encode([document.text for document in documents])
        ends = np.cumsum(lengths)
        for document, end, length in zip(documents, ends.tolist(), lengths.tolist(), strict=True):
            # The first of each shard too, or a small set would be said to be right without a look.
            chosen = sampled(document.id, self.job.config.check, CHECK_SEED) or not self.checked
            if self.job.config.check and chosen:
                self._check(encoder.tokenizer, document, ids[end - length : end])
        tokens, lengths = surround(ids, lengths, self.job.bos, self.job.eos, token_type(encoder.tokenizer.size))
        return Encoded(tokens, lengths, documents)

    def _check(self, tokenizer: Tokenizer, document: Document, ids: Ids) -> None:
        raw, back = document.text.encode(), tokenizer.decode_bytes(ids.tolist())
        self.checked += 1
        if raw != back:
            shorter = min(len(raw), len(back))
            place = next((n for n, pair in enumerate(zip(raw, back, strict=False)) if pair[0] != pair[1]), shorter)
            self.lossy.append({"id": document.id, "origin": document.origin, "byte": place})


def surround(
    ids: Ids, lengths: NDArray[np.int64], bos: int | None, eos: int | None, dtype: np.dtype[Any]
) -> tuple[TokenArray, NDArray[np.int64]]:
    """The ids of documents, (T,), with `bos` before and `eos` behind each of them, and the new lengths."""
    lengths = lengths + ((bos is not None) + (eos is not None))
    ends = np.cumsum(lengths)
    found = np.empty(int(lengths.sum()), dtype)
    of_text = np.ones(len(found), bool)
    for number, places in ((bos, ends - lengths), (eos, ends - 1)):
        if number is not None:
            found[places] = number
            of_text[places] = False
    found[of_text] = ids
    return found, lengths


def _by_source(written: Written, added: int) -> dict[str, dict[str, int]]:
    """Totals of each source. `added`: tokens of a document that are not of its text."""
    index, names = written.index, written.entry["sources"]
    documents = np.bincount(index["source"], minlength=len(names))
    sums = {
        name: np.bincount(index["source"], index[column], len(names)).astype(np.int64)
        for name, column in (("tokens", "length"), ("characters", "characters"), ("bytes", "bytes"))
    }
    sums |= {"documents": documents, "text_tokens": sums["tokens"] - added * documents}
    return {source: {name: int(sums[name][number]) for name in TOTALS} for number, source in enumerate(names)}


def summarise(job: Job, tokenizer: Tokenizer, plan: Plan, marks: list[Mark]) -> dict[str, Any]:
    """summary.json; nothing in it depends on times or on the number of workers."""
    sources: dict[str, Counter[str]] = {}
    faults: Counter[str] = Counter()
    for mark in marks:
        faults.update(mark.data["faults"])
        for source, counts in mark.data["by_source"].items():
            sources.setdefault(source, Counter()).update(counts)
    first_lossy = [entry for mark in marks for entry in mark.data["first_lossy"]]
    return {
        "format": FORMAT,
        "tokenizer": {
            "file": f"tokenizer/{job.tokenizer.name}",
            "kind": tokenizer.kind,
            "size": tokenizer.size,
            "sha256": job.sha256,
        },
        "dtype": token_type(tokenizer.size).name,
        "bos": job.bos,
        "eos": job.eos,
        **_figures(sum(sources.values(), Counter())),
        "by_source": {name: _figures(counts) for name, counts in sorted(sources.items())},
        "lengths": _quantiles(job.run, marks),
        "checked": sum(mark.data["checked"] for mark in marks),
        "lossy": sum(mark.data["lossy"] for mark in marks),
        "first_lossy": first_lossy[:SHOWN_LOSSY],
        "faults": dict(sorted(faults.items())),
        "inputs": {
            "files": len(plan.files),
            "bytes": sum(file.size_bytes for file in plan.files),
            "not_read": [{"path": skipped.path, "reason": skipped.reason} for skipped in plan.skipped],
        },
        "shards": [mark.data["shard"] for mark in marks],
    }


def _figures(counts: Mapping[str, int]) -> dict[str, Any]:
    """Totals and ratios; the tokens that begin and end a text are in none of the ratios."""
    of_text = counts.get("text_tokens", 0)
    return {
        **{name: counts.get(name, 0) for name in TOTALS},
        "characters_per_token": round(counts["characters"] / of_text, 4) if of_text else None,
        "bytes_per_token": round(counts["bytes"] / of_text, 4) if of_text else None,
    }


def _quantiles(run: RunDir, marks: list[Mark]) -> dict[str, int]:
    """Lengths of documents in tokens, by the share of documents that are no longer; empty without documents."""
    found = [read_index(run.path, mark.data["shard"]["name"])["length"] for mark in marks]
    lengths = np.concatenate(found) if found else np.empty(0, np.int64)
    if not len(lengths):
        return {}
    values = np.quantile(lengths, QUANTILES, method="inverted_cdf")
    return {f"{share:g}": int(value) for share, value in zip(QUANTILES, values, strict=True)}


def _tell(call: TokensCall, summary: dict[str, Any], spent: dict[str, float | int]) -> None:
    ratio = summary["characters_per_token"]
    say(
        f"{summary['documents']:,} documents, {summary['tokens']:,} tokens"
        f"{f', {ratio:.3f} characters a token' if ratio else ''}; {spent['seconds']:.1f} s, "
        f"{spent['cpu_seconds']:.1f} CPU s."
    )
    for lossy in summary["first_lossy"][:5]:
        say(f"Does not come back as it was, from byte {lossy['byte']:,} on: {lossy['id']} ({lossy['origin']})")
    if summary["lossy"]:
        say(f"{summary['lossy']:,} of {summary['checked']:,} checked documents do not come back as they were.")
    bad = sum(summary["faults"].values())
    if bad:
        say(f"{bad:,} records could not be read: {call.out / 'quarantine'}")
    say(f"Shards: {call.out}; report: {call.out / 'report.html'}")
    records = bad + summary["documents"]
    check_failures(bad, records, "records were bad", call.max_bad, call.out / "quarantine")
