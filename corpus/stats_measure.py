"""One shard of a set of texts, counted: the figures and sketches of `corpus stats` that add up over shards.

In: the documents of a shard. Out: a mark with counts, and `work/<shard>.sketches.npz`; of documents in the sample for
near-duplicates, their fingerprints too. Read batch by batch of 2 M characters; in memory are one batch, the sketches
(30 MB) and the hashes of the shard's lines. About 0.5 ms for 2,000 characters.
"""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpus.charclass import BAD, DIGIT, HAN, KANA, LATIN, OTHER, PUNCTUATION, SPACE, SYMBOL, tables
from corpus.measure import MAX_MEASURED, to_codes
from corpus.minhash import fingerprint
from corpus.stats_config import StatsConfig
from corpus.stats_kernels import line_hashes, note_first, text_hashes, unit_hashes
from corpus.stats_sketch import Sketch
from corpus.store import url_hash, write_bytes_of, write_prints
from corpus.urls import url_host
from runkit.documents import Document, Fault, read_documents, sampled
from runkit.fields import fault_lines
from runkit.files import sha256_file, write_bytes
from runkit.inputs import Shard
from runkit.language import detect_language
from runkit.rundir import Mark, RunDir

BATCH_CHARACTERS: Final = 2_000_000
# How many of the different things are kept: documents exactly up to a million, the others within 1 %.
SKETCHES: Final = {"documents": 2**20, "lines": 2**16, "units": 2**14, "pairs": 2**14}
CLASSES: Final = {
    **{"han": HAN, "latin": LATIN, "digit": DIGIT, "punctuation": PUNCTUATION, "symbol": SYMBOL, "kana": KANA},
    **{"space": SPACE, "other": OTHER, "bad": BAD},
}
MOST_DOMAINS: Final = 2_000  # of a shard
MOST_LINES: Final = 200  # of a shard, those that come most often
LINE_EXCERPT: Final = 120
BINS_A_DECADE: Final = 50  # of lengths: percentiles are right within 5 %
DECADES: Final = 9


@dataclass(frozen=True, slots=True)
class StatsJob:
    """What a shard needs to know of the run."""

    run: RunDir
    config: StatsConfig
    near_share: float
    sample: float | None


@dataclass(slots=True)
class _Counts:
    """Of one shard."""

    documents: int = 0
    characters: int = 0
    bytes: int = 0
    units: int = 0
    pairs: int = 0
    longest: int = 0
    shortest: int = 0
    classes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(9, np.int64))
    lengths: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS_A_DECADE * DECADES, np.int64))
    by: dict[str, dict[str, list[int]]] = field(default_factory=lambda: {"language": {}, "source": {}})
    domains: Counter[str] = field(default_factory=Counter)
    without_url: int = 0
    dates: Counter[str] = field(default_factory=Counter)


def bin_of(length: int) -> int:
    """The bin of a length in characters."""
    return min(int(BINS_A_DECADE * np.log10(max(length, 1)) + 1e-9), BINS_A_DECADE * DECADES - 1)


def measure_shard(shard: Shard, job: StatsJob, limit: int | None = None) -> Mark:
    """Count one shard and mark it: `work-<shard>`."""
    return _Shard(shard, job, limit).carry_out()


class _Shard:
    def __init__(self, shard: Shard, job: StatsJob, limit: int | None) -> None:
        self.shard, self.job, self.limit = shard, job, limit
        self.counts = _Counts()
        self.faults: list[Fault] = []
        self.sketches = {name: Sketch(size) for name, size in SKETCHES.items()}
        self.first = np.full(0x110000, -1, np.int64)
        self.lines: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []
        self.texts: dict[int, str] = {}  # hash of a line → how it reads

    def carry_out(self) -> Mark:
        run, name = self.job.run, f"{self.shard.index:05d}"
        outputs: dict[str, str] = {}
        parts: list[str] = []
        for batch in self._batches():
            near = [document for document in batch if self._is_near(document)]
            self._count(batch)
            if near:
                parts.append(f"{name}-{len(parts):03d}")
                outputs |= self._prints(parts[-1], near)
        if self.faults:
            quarantine = f"quarantine/{name}.jsonl"
            write_bytes(run.file(quarantine), fault_lines(self.faults))
            outputs[quarantine] = sha256_file(run.file(quarantine))
        outputs |= write_bytes_of(run, f"work/{name}.sketches.npz", self._packed())
        return run.mark(f"work-{name}", outputs, {**self._figures(), "near_parts": parts})

    def _batches(self) -> Iterator[list[Document]]:
        batch: list[Document] = []
        size = count = 0
        for item in read_documents(self.shard, self.job.config.text_field):
            if isinstance(item, Fault):
                self.faults.append(item)
                continue
            if self.job.sample is not None and not sampled(item.id, self.job.sample, self.job.config.seed):
                continue
            batch.append(item)
            size += len(item.text)
            count += 1
            if size >= BATCH_CHARACTERS or count == self.limit:
                yield batch
                batch, size = [], 0
            if count == self.limit:
                return
        if batch:
            yield batch

    def _is_near(self, document: Document) -> bool:
        # Another seed than that of --sample: else a sample of a sample would be all of it.
        return sampled(document.id, self.job.near_share, self.job.config.seed + 1) if self.job.near_share else False

    def _count(self, batch: list[Document]) -> None:
        counts, t = self.counts, tables()
        texts = [document.text for document in batch]
        codes, offsets = to_codes(texts)
        base = counts.characters
        counts.classes += np.bincount(t.classes[codes], minlength=9)
        note_first(codes, base, self.first)
        sketches = self.sketches
        units, unit_places, pairs, pair_places, unit_count, pair_count = unit_hashes(
            codes, offsets, t.classes, t.fold, sketches["units"].limit, sketches["pairs"].limit
        )
        sketches["units"].add(units, unit_places + base, None)
        sketches["pairs"].add(pairs, pair_places + base, None)
        counts.units += int(unit_count)
        counts.pairs += int(pair_count)
        self._note_lines(codes, offsets, base)
        exact = text_hashes(codes, offsets, t.classes, t.fold)
        lengths = np.diff(offsets)
        sketches["documents"].add(exact, offsets[:-1] + base, lengths)
        for document, length in zip(batch, lengths.tolist(), strict=True):
            self._note(document, length)
        counts.characters += len(codes)

    def _note_lines(self, codes: NDArray[np.uint32], offsets: NDArray[np.int64], base: int) -> None:
        hashes, starts, ends, sizes = line_hashes(codes, offsets, tables().classes, self.job.config.line_chars)
        self.sketches["lines"].add(hashes, starts + base, sizes)
        self.lines.append((hashes, sizes))
        again = np.unique(hashes, return_index=True, return_counts=True)
        for value, at, count in zip(*(part.tolist() for part in again), strict=True):
            if count > 1 and value not in self.texts and len(self.texts) < 100 * MOST_LINES:
                line = codes[starts[at] : min(ends[at], starts[at] + 4 * LINE_EXCERPT)]
                text = line.tobytes().decode("utf-32-le", "replace").strip()
                self.texts[value] = text[:LINE_EXCERPT] + (" …" if len(text) > LINE_EXCERPT else "")

    def _note(self, document: Document, length: int) -> None:
        counts = self.counts
        counts.shortest = length if not counts.documents else min(counts.shortest, length)
        counts.longest = max(counts.longest, length)
        counts.documents += 1
        counts.bytes += len(document.text.encode("utf-8", "surrogatepass"))
        counts.lengths[bin_of(length)] += 1
        language = document.language or detect_language(document.text)[0]
        for kind, name in (("language", language), ("source", document.source)):
            row = counts.by[kind].setdefault(name, [0, 0])
            row[0] += 1
            row[1] += length
        host = url_host(document.url) if document.url else ""
        if host:
            counts.domains[host] += 1
        else:
            counts.without_url += 1
        if document.date:
            counts.dates[document.date[:4]] += 1

    def _prints(self, name: str, near: list[Document]) -> dict[str, str]:
        prints = fingerprint(*to_codes([document.text[:MAX_MEASURED] for document in near]))
        columns: dict[str, NDArray] = {
            "row": np.arange(len(near)),
            "id": np.array([f"{url_hash(document.origin):016x}" for document in near], "S24"),
            "url": np.zeros(len(near), np.uint64),
            "quality": np.array([len(document.text) for document in near], np.float32),
        }
        return write_prints(self.job.run, name, prints, columns)

    def _packed(self) -> io.BytesIO:
        arrays: dict[str, Any] = {}
        for name, sketch in self.sketches.items():
            arrays |= {f"{name}.{part}": getattr(sketch, part) for part in ("hashes", "first", "weight")}
        seen = np.flatnonzero(self.first >= 0)
        arrays |= {"characters.codes": seen.astype(np.uint32), "characters.first": self.first[seen]}
        made = io.BytesIO()
        np.savez(made, **arrays)
        return made

    def _figures(self) -> dict[str, Any]:
        counts = self.counts
        hashes = np.concatenate([hashes for hashes, _ in self.lines]) if self.lines else np.zeros(0, np.uint64)
        sizes = np.concatenate([sizes for _, sizes in self.lines]) if self.lines else np.zeros(0, np.int64)
        lines, times = np.unique(hashes, return_counts=True)
        often = [i for i in np.argsort(-times, kind="stable")[: 5 * MOST_LINES].tolist() if int(lines[i]) in self.texts]
        top = dict(sorted(counts.domains.items(), key=lambda item: (-item[1], item[0]))[:MOST_DOMAINS])
        return {
            **{"documents": counts.documents, "characters": counts.characters, "bytes": counts.bytes},
            **{"units": counts.units, "pairs": counts.pairs, "lines": len(hashes), "line_characters": int(sizes.sum())},
            **{"shortest": counts.shortest, "longest": counts.longest, "without_url": counts.without_url},
            "classes": counts.classes.tolist(),
            "lengths": counts.lengths.tolist(),
            "languages": counts.by["language"],
            "sources": counts.by["source"],
            "domains": top,
            "years": dict(sorted(counts.dates.items())),
            "repeated": [[self.texts[int(lines[i])], int(times[i])] for i in often[:MOST_LINES]],
            "faults": dict(sorted(Counter(fault.reason for fault in self.faults).items())),
        }
