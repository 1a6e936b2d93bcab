"""The second pass of `corpus dedup`: which documents are copies, and which characters repeat what stands elsewhere.

In: the parts of `work/`. Out: `copies.parquet`, a row for each copy; `cuts/<part>.parquet`, a row for each piece that
goes; `repeats.parquet`, what repeats most. Documents of an earlier run come first: they count, their version stays, and
nothing in them is touched. Copies are left out before lines are counted, and what is cut before substrings are sought.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import polars as pl
from numpy.typing import NDArray

from corpus.dedup import OLD_REASONS, REASONS, find
from corpus.dedup_config import DeepDedupConfig
from corpus.dedup_parts import load_offsets, load_pieces, load_ranks, map_codes
from corpus.paragraphs import Pieces, Repeats, Wanted, find_repeats
from corpus.store import map_table, write_parquet
from corpus.substrings import Search, TextPart, find_spans
from corpus.substrings_kernels import span_hashes
from runkit.files import allow_open_files
from runkit.rundir import RunDir

KINDS = ("lines", "paragraphs", "substrings")
COPIES, REPEATS = "copies.parquet", "repeats.parquet"
MOST_REPEATS = 1_000  # of a kind, in repeats.parquet
MOST_CHARACTERS = 2_000  # of a repeat's text there
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of `work/` and what is known of it."""

    name: str
    unit: str  # the shard that it belongs to
    old: bool
    documents: int


def decide_copies(run: RunDir, parts: Sequence[Part], config: DeepDedupConfig, advance: Advance) -> None:
    """Write and mark `copies.parquet`."""
    if config.documents.enabled:
        names = [part.name for part in parts]
        found = find(run, names, config.documents, [load_ranks(run, name) for name in names], advance)
        own = ~np.array([part.old for part in parts])[found.part]
        part, row = found.part[own], found.row[own]
        kept_part, kept_row = found.kept_part[own], found.kept_row[own]
        kind, similarity = found.kind[own], found.similarity[own]
    else:
        part = kept_part = np.zeros(0, np.int32)
        row = kept_row = np.zeros(0, np.int64)
        kind, similarity = np.zeros(0, np.int8), np.zeros(0, np.float32)
    reasons = [
        (OLD_REASONS if parts[keeper].old else REASONS)[k]
        for k, keeper in zip(kind.tolist(), kept_part.tolist(), strict=True)
    ]
    names_of = [p.name for p in parts]
    table = {
        "part": pl.Series([names_of[p] for p in part.tolist()], dtype=pl.String),
        "row": pl.Series(row, dtype=pl.Int64),
        **_who(run, parts, part, row, ""),
        "reason": pl.Series(reasons, dtype=pl.String),
        **_who(run, parts, kept_part, kept_row, "duplicate_"),
        "similarity": pl.Series(similarity, dtype=pl.Float32),
    }
    run.mark("copies", write_parquet(run, COPIES, pl.DataFrame(table)), {"copies": len(row)})


def _who(
    run: RunDir, parts: Sequence[Part], part: NDArray[np.int32], row: NDArray[np.int64], prefix: str
) -> dict[str, pl.Series]:
    """Id and source of documents, read of one part after another."""
    ids, sources = np.empty(len(part), object), np.empty(len(part), object)
    for number in np.unique(part).tolist():
        here = part == number
        frame = map_table(run, f"work/{parts[number].name}.arrow", ["id", "source"])[row[here]]
        ids[here], sources[here] = frame["id"].to_list(), frame["source"].to_list()
    first = "duplicate_of" if prefix else "id"
    return {
        first: pl.Series(ids.tolist(), dtype=pl.String),
        f"{prefix}source": pl.Series(sources.tolist(), dtype=pl.String),
    }


@dataclass(slots=True)
class _Cuts:
    """Pieces of one kind that go from one part."""

    document: NDArray[np.int32]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    documents: NDArray[np.int32]  # in how many the piece stands


def _without(pieces: Pieces, cuts: Sequence[_Cuts]) -> Pieces:
    """Pieces but for those that are cut already: a paragraph of one line."""
    left = np.ones(len(pieces.start), np.bool_)
    for cut in cuts:
        if len(cut.start):
            place = np.minimum(np.searchsorted(cut.start, pieces.start), len(cut.start) - 1)
            left &= (cut.start[place] != pieces.start) | (cut.stop[place] != pieces.stop)
    return Pieces(*(getattr(pieces, name)[left] for name in Pieces.__slots__))


class _Decision:
    """What goes from all parts, kind by kind."""

    def __init__(self, run: RunDir, parts: Sequence[Part], config: DeepDedupConfig, workers: int) -> None:
        self.run, self.parts, self.config, self.workers = run, parts, config, workers
        self.old_parts = sum(part.old for part in parts)
        allow_open_files(len(parts))  # of codes that are mapped
        self.offsets = [load_offsets(run, part.name) for part in parts]
        copies = pl.read_parquet(run.file(COPIES), columns=["part", "row"])
        gone = {name: rows.to_numpy() for (name,), rows in _grouped(copies)}
        self.standing = [np.ones(part.documents, np.bool_) for part in parts]
        for part, standing in zip(parts, self.standing, strict=True):
            standing[gone.get(part.name, np.zeros(0, np.int64))] = False
        self.cuts: list[dict[str, _Cuts]] = [{} for _ in parts]
        self.repeats: list[pl.DataFrame] = []

    def pieces(self, kind: str, least: int, keep_first: bool) -> None:
        """Decide about lines or paragraphs."""

        before = [list(cuts.values()) for cuts in self.cuts]

        def load(part: int) -> Pieces:
            return _without(load_pieces(self.run, self.parts[part].name, kind), before[part])

        wanted = Wanted(least, keep_first, self.old_parts)
        cuts, counts, repeats = find_repeats(len(self.parts), load, lambda part: self.standing[part], wanted)
        times = np.zeros(len(repeats.hash), np.int64)
        for part, chosen in enumerate(cuts):
            pieces = load(part)
            self.cuts[part][kind] = _Cuts(
                pieces.document[chosen], pieces.start[chosen], pieces.stop[chosen], counts[part]
            )
            np.add.at(times, np.searchsorted(repeats.hash, pieces.hash[chosen]), 1)
        self.repeats.append(self._most(kind, repeats, times, load))

    def _most(
        self, kind: str, repeats: Repeats, times: NDArray[np.int64], load: Callable[[int], Pieces]
    ) -> pl.DataFrame:
        """The repeats that stand in most documents, with their text."""
        order = np.lexsort((repeats.hash, -repeats.documents.astype(np.int64)))
        order = order[times[order] > 0][:MOST_REPEATS]
        place = {}
        for part in np.unique(repeats.part[order]).tolist():
            pieces = load(part)
            for number in order[repeats.part[order] == part].tolist():
                piece = repeats.piece[number]
                place[number] = part, int(pieces.start[piece]), int(pieces.stop[piece])
        rows = [(int(repeats.documents[n]), int(times[n]), *place[n]) for n in order.tolist()]
        return self._table(kind, rows)

    def substrings(self, advance: Advance) -> None:
        """Decide about exact substrings in what still stands."""
        chosen = self.config.substrings
        texts = [self._text(part) for part in range(len(self.parts))]
        old = sum(part.documents for part in self.parts if part.old)
        search = Search(chosen.min_chars, chosen.min_documents, chosen.keep == "first", old)
        spans = find_spans(texts, search, self.workers, advance)
        hashes = [span_hashes(text.codes, span.start, span.stop) for text, span in zip(texts, spans, strict=True)]
        whole = np.concatenate([np.zeros(0, np.uint64), *hashes])
        _, first, inverse, times = np.unique(whole, return_index=True, return_inverse=True, return_counts=True)
        kept = chosen.keep == "first"
        counts = (times[inverse] + kept).astype(np.int32)
        bases = np.concatenate([[0], np.cumsum([len(part) for part in hashes])]).tolist()
        for part, span in enumerate(spans):
            own = counts[bases[part] : bases[part + 1]]
            self.cuts[part]["substrings"] = _Cuts(span.document, span.start, span.stop, own)
        order = np.lexsort((first, -times))[:MOST_REPEATS]
        rows = []
        for number in order.tolist():
            part = int(np.searchsorted(bases, first[number], side="right")) - 1
            place = first[number] - bases[part]
            start, stop = int(spans[part].start[place]), int(spans[part].stop[place])
            rows.append((int(times[number]) + kept, int(times[number]), part, start, stop))
        self.repeats.append(self._table("substrings", rows))

    def _text(self, part: int) -> TextPart:
        offsets = self.offsets[part]
        gone = np.flatnonzero(~self.standing[part])
        cuts = list(self.cuts[part].values())
        starts = np.concatenate([offsets[gone], *(cut.start for cut in cuts)])
        stops = np.concatenate([offsets[gone + 1], *(cut.stop for cut in cuts)])
        return TextPart(map_codes(self.run, self.parts[part].name), offsets, starts, stops)

    def _table(self, kind: str, rows: Sequence[tuple[int, int, int, int, int]]) -> pl.DataFrame:
        texts = []
        for _, _, part, start, stop in rows:
            codes = map_codes(self.run, self.parts[part].name)[start : min(stop, start + MOST_CHARACTERS)]
            texts.append(codes.tobytes().decode("utf-32-le", "replace"))
        return pl.DataFrame(
            {
                "kind": pl.Series([kind] * len(rows), dtype=pl.String),
                "documents": pl.Series([row[0] for row in rows], dtype=pl.Int64),
                "times_cut": pl.Series([row[1] for row in rows], dtype=pl.Int64),
                "characters": pl.Series([row[4] - row[3] for row in rows], dtype=pl.Int64),
                "text": pl.Series(texts, dtype=pl.String),
            }
        )

    def save(self) -> None:
        """Write and mark what was decided."""
        outputs = write_parquet(self.run, REPEATS, pl.concat([self._table("", []), *self.repeats]))
        for number, part in enumerate(self.parts):
            if part.old:
                continue
            frames = [self._table_of(number, kind, cut) for kind, cut in self.cuts[number].items()]
            frame = pl.concat([_NO_CUTS, *frames]).sort("row", "start", "stop", "kind")
            outputs |= write_parquet(self.run, f"cuts/{part.name}.parquet", frame)
        self.run.mark("cuts", outputs, {})

    def _table_of(self, part: int, kind: str, cut: _Cuts) -> pl.DataFrame:
        begin = self.offsets[part][cut.document]
        columns = {"row": cut.document, "start": cut.start - begin, "stop": cut.stop - begin}
        frame = pl.DataFrame({**columns, "documents": cut.documents}, schema_overrides=dict(_NO_CUTS.schema))
        return frame.select("row", pl.lit(kind).alias("kind"), "start", "stop", "documents")


_NO_CUTS = pl.DataFrame(
    schema={"row": pl.Int64, "kind": pl.String, "start": pl.Int64, "stop": pl.Int64, "documents": pl.Int64}
)


def _grouped(copies: pl.DataFrame) -> list[tuple[tuple[str], pl.Series]]:
    return [((str(key[0]),), group["row"]) for key, group in copies.group_by("part", maintain_order=True)]


def decide_cuts(run: RunDir, parts: Sequence[Part], config: DeepDedupConfig, workers: int, advance: Advance) -> None:
    """Write and mark `cuts/` and `repeats.parquet`. `advance(part)` as substrings are sought."""
    decision = _Decision(run, parts, config, workers)
    if (lines := config.lines).enabled:
        standing = sum(int(of_part.sum()) for of_part in decision.standing)
        least = max(lines.min_documents, math.ceil(Fraction(str(lines.min_share)) * standing))
        decision.pieces("lines", least, lines.keep == "first")
    if (paragraphs := config.paragraphs).enabled:
        decision.pieces("paragraphs", paragraphs.min_documents, paragraphs.keep == "first")
    if config.substrings.enabled:
        decision.substrings(advance)
    decision.save()
