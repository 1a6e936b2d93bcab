"""The last pass of `corpus dedup`: kept documents apart from rejected ones, part by part, with what the report shows.

In: the parts of `work/`, the copies and the cuts. Out: `documents/<part>.parquet`, `rejected/<part>.parquet` and a mark
with the statistics of the shard, which add up. Rejected documents are whole, as they were read. A document that was cut
is measured anew where it brought signals.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from corpus.dedup_config import DeepDedupConfig
from corpus.dedup_decide import COPIES, KINDS, Part
from corpus.dedup_parts import as_reasons, count_states, load_offsets, map_codes, measured_anew
from corpus.finish import add
from corpus.paragraphs import cut_texts
from corpus.paragraphs_kernels import coloured_spans, count_colours, paint
from corpus.store import map_table, write_parquet
from runkit.rundir import Mark, RunDir


def finish_unit(run: RunDir, name: str, parts: Sequence[Part], work: Mark, config: DeepDedupConfig) -> Mark:
    """Write the documents and rejected documents of one shard and mark them: `done-<name>`."""
    copies = pl.read_parquet(run.file(COPIES))
    outputs = {file: digest for file, digest in work.outputs.items() if not file.startswith("work/")}
    counted = []
    for part in parts:
        finished = _Part(run, part, copies.filter(pl.col("part") == part.name), config)
        outputs |= write_parquet(run, f"documents/{part.name}.parquet", finished.kept)
        outputs |= write_parquet(run, f"rejected/{part.name}.parquet", finished.rejected)
        counted.append(finished.counts)
    data = {"counts": total(counted), "faults": work.data["faults"], "parts": work.data["parts"]}
    return run.mark(f"done-{name}", outputs, data)


def total(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The sum of the statistics of parts."""
    whole = add([_empty(), *parts])
    return {key: whole[key] for key in _empty()}


def _empty() -> dict[str, Any]:
    return {
        "documents": Counter(read=0, kept=0, rejected=0, cut=0),
        "characters": Counter(read=0, kept=0, rejected=0, cut=0),
        "reasons": Counter(),
        "reason_characters": Counter(),
        "cut_documents": Counter(dict.fromkeys(KINDS, 0)),
        "cut_pieces": Counter(dict.fromkeys(KINDS, 0)),
        "cut_characters": Counter(dict.fromkeys(KINDS, 0)),
        "languages": {state: Counter() for state in ("kept", "rejected")},
        "sources": {state: Counter() for state in ("kept", "rejected")},
        "pairs": {},
    }


class _Part:
    """One part, judged."""

    def __init__(self, run: RunDir, part: Part, copies: pl.DataFrame, config: DeepDedupConfig) -> None:
        self.config = config
        self.frame = map_table(run, f"work/{part.name}.arrow")
        self.offsets = load_offsets(run, part.name)
        self.sizes = np.diff(self.offsets)
        self.reasons: list[str | None] = [None] * len(self.sizes)
        self.more: dict[int, dict[str, Any]] = {}  # for `meta`, by row
        self.changed: dict[int, str] = {}  # what is left of texts that were cut, by row
        self.counts = _empty()
        self._take_copies(copies)
        self.cuts = pl.read_parquet(run.file(f"cuts/{part.name}.parquet"))
        self.lost = np.zeros((len(self.sizes), 1 + len(KINDS)), np.int64)
        if len(self.cuts):
            self._take_cuts(map_codes(run, part.name))
        self._write()

    def _take_copies(self, copies: pl.DataFrame) -> None:
        columns = copies.select("row", "reason", "duplicate_of", "similarity")
        for row, reason, kept, similarity in columns.iter_rows():
            self.reasons[row] = reason
            self.more[row] = {"duplicate_of": kept, "similarity": round(similarity, 3)}
        pairs = Counter(copies.select("source", "duplicate_source").iter_rows())
        for (source, kept_source), count in pairs.items():
            self.counts["pairs"].setdefault(source, Counter())[kept_source] = count

    def _take_cuts(self, codes: NDArray[np.uint32]) -> None:
        drops = self.config.substrings.action == "drop"
        mask = np.zeros(len(codes), np.uint8)
        extra = np.zeros(len(self.sizes), np.int64)
        row = self.cuts["row"].to_numpy()
        start = self.offsets[row] + self.cuts["start"].to_numpy()
        stop = self.offsets[row] + self.cuts["stop"].to_numpy()
        kinds = self.cuts["kind"].to_numpy()
        for colour, kind in enumerate(KINDS, 1):
            of_kind = kinds == kind
            if kind == "substrings" and drops:
                np.add.at(extra, row[of_kind], stop[of_kind] - start[of_kind])
                continue
            paint(mask, start[of_kind], stop[of_kind], colour)
        self.lost = count_colours(mask, self.offsets, 1 + len(KINDS))
        spans = coloured_spans(mask, self.offsets)
        texts = cut_texts(codes, self.offsets, *spans)
        for place in np.unique(spans[0]).tolist():
            if not self.reasons[place]:
                self._judge(place, texts[place])
        for place in np.flatnonzero(extra > self.config.substrings.drop_share * self.sizes).tolist():
            if not self.reasons[place]:
                self.reasons[place] = "cut.repeated"

    def _judge(self, place: int, text: str) -> None:
        """Whether what is left of a document may stay."""
        rest = self.config.rest
        if len("".join(text.split())) < rest.min_chars:
            self.reasons[place] = "cut.short"
        elif self.sizes[place] - len(text) > rest.max_cut_share * self.sizes[place]:
            self.reasons[place] = "cut.most"
        else:
            lost = {kind: int(n) for kind, n in zip(KINDS, self.lost[place][1:].tolist(), strict=True) if n}
            self.more[place] = {"cut_characters": lost}
            self.changed[place] = text

    def _write(self) -> None:
        frame = self.frame
        if self.more:
            meta = frame["meta"].to_list()
            for place, more in self.more.items():
                joined = {**orjson.loads(meta[place]), **more}
                meta[place] = orjson.dumps(joined, option=orjson.OPT_SORT_KEYS).decode()
            frame = frame.with_columns(pl.Series("meta", meta, dtype=pl.String))
        if self.changed:
            texts = frame["text"].to_list()
            for place, text in self.changed.items():
                texts[place] = text
            frame = frame.with_columns(pl.Series("text", texts, dtype=pl.String))
            frame = measured_anew(frame, sorted(self.changed))
        frame = frame.with_columns(as_reasons(self.reasons))
        is_kept = pl.col("reasons").list.len() == 0
        self.kept, self.rejected = frame.filter(is_kept).drop("reasons"), frame.filter(~is_kept)
        self._count()

    def _count(self) -> None:
        counts = self.counts
        counts |= count_states(self.kept, self.rejected)
        for reason, size in zip(self.reasons, self.sizes.tolist(), strict=True):
            if reason:
                counts["reasons"][reason] += 1
                counts["reason_characters"][reason] += size
        changed = np.zeros(len(self.sizes), np.bool_)
        changed[list(self.changed)] = True
        lost = sum(int(self.sizes[place]) - len(text) for place, text in self.changed.items())
        counts["documents"] |= {"read": len(self.sizes), "cut": len(self.changed)}
        counts["characters"] |= {"read": int(self.sizes.sum()), "cut": lost}
        pieces = self.cuts.filter(pl.Series(changed[self.cuts["row"].to_numpy()], dtype=pl.Boolean))
        found = dict(pieces["kind"].value_counts().iter_rows()) if len(pieces) else {}
        for column, kind in enumerate(KINDS, 1):
            counts["cut_documents"][kind] += int((self.lost[changed, column] > 0).sum())
            counts["cut_characters"][kind] += int(self.lost[changed, column].sum())
            counts["cut_pieces"][kind] += found.get(kind, 0)
