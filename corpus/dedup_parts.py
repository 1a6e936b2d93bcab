"""The first pass of `corpus dedup`: one shard of documents as parts in `work/`, with all that is compared later.

In: documents of a set. Out, for each part of at most 16 M characters: `.arrow` with the documents (of an earlier run
their ids and sources alone), `.index.npz` and `.shingles.npy` as in `corpus clean`, `.pieces.npz` with lines and
paragraphs, `.codes.npy` with the code points. They go when the documents are written. Price: 0.1 ms for a document of
1,000 characters, and 16 bytes a character on disk.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from corpus.dedup_config import DeepDedupConfig
from corpus.measure import MAX_MEASURED, signals, to_codes
from corpus.minhash import fingerprint
from corpus.paragraphs import NEVER, Pieces, pieces_of, quality_of
from corpus.signals import ALL_SIGNALS, SIGNALS
from corpus.store import (
    PART_CHARACTERS,
    SCHEMA,
    load_column,
    url_hash,
    write_array,
    write_bytes_of,
    write_prints,
    write_table,
)
from runkit.documents import Document, read_rows
from runkit.fields import Fault, fault_lines
from runkit.files import sha256_file, write_bytes
from runkit.inputs import Shard
from runkit.rundir import Mark, RunDir

OLD = "old-"
Row = tuple[Document, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Unit:
    """A shard to read: of an earlier run (`--against`), or of the documents themselves."""

    shard: Shard
    old: bool

    @property
    def name(self) -> str:
        return f"{OLD if self.old else ''}{self.shard.index:05d}"


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker must know."""

    run: RunDir
    config: DeepDedupConfig


def warm_kernels() -> None:
    """Load the compiled code of this pass, before workers are forked."""
    codes, offsets = to_codes(["文"])
    fingerprint(codes, offsets)
    quality_of(codes, offsets)


def read_unit(unit: Unit, job: Job, limit: int | None = None) -> Mark:
    """Read one shard into parts and mark it: `work-<name>`."""
    run = job.run
    outputs: dict[str, str] = {}
    sizes: list[int] = []
    faults: list[Fault] = []
    for rows in read_parts(unit, job.config.text_field, faults, limit):
        outputs |= _save_part(f"{unit.name}-{len(sizes):03d}", rows, unit.old, job)
        sizes.append(len(rows))
    if faults and not unit.old:
        name = f"quarantine/{unit.name}.jsonl"
        write_bytes(run.file(name), fault_lines(faults))
        outputs[name] = sha256_file(run.file(name))
    counts = Counter(fault.reason for fault in faults)
    data = {"parts": len(sizes), "documents": sum(sizes), "sizes": sizes, "faults": dict(sorted(counts.items()))}
    return run.mark(f"work-{unit.name}", outputs, data)


def read_parts(unit: Unit, text_field: str, faults: list[Fault], limit: int | None) -> Iterator[list[Row]]:
    rows: list[Row] = []
    size = count = 0
    for item in read_rows(unit.shard, text_field, ALL_SIGNALS):
        if isinstance(item, Fault):
            faults.append(item)
            continue
        rows.append(item)
        size += len(item[0].text)
        count += 1
        if size >= PART_CHARACTERS or count == limit:
            yield rows
            rows, size = [], 0
        if count == limit:
            return
    if rows:
        yield rows


def _save_part(name: str, rows: Sequence[Row], old: bool, job: Job) -> dict[str, str]:
    run, config = job.run, job.config
    texts = [document.text for document, _ in rows]
    codes, offsets = to_codes(texts)
    frame = to_frame(rows).drop("reasons")
    kept = frame.select("id", "source") if old else frame
    outputs = write_table(run, f"work/{name}.arrow", kept)
    if config.documents.enabled:
        cut = [text[:MAX_MEASURED] for text in texts]
        prints = fingerprint(*((codes, offsets) if cut == texts else to_codes(cut)))
        columns: dict[str, NDArray] = {
            "row": np.arange(len(rows)),
            "url": np.array([url_hash(document.url) for document, _ in rows], np.uint64),
            "quality": quality_of(codes, offsets),
            "rank": np.array([-1 if old else _rank(document, config) for document, _ in rows], np.int16),
        }
        outputs |= write_prints(run, name, prints, columns)
    arrays: dict[str, Any] = {"offsets": offsets}
    if config.lines.enabled or config.paragraphs.enabled:
        least = [kind.min_chars if kind.enabled else NEVER for kind in (config.lines, config.paragraphs)]
        for kind, pieces in zip(("lines", "paragraphs"), pieces_of(texts, codes, offsets, *least), strict=True):
            arrays |= {f"{kind}.{column}": getattr(pieces, column) for column in Pieces.__slots__}
    made = io.BytesIO()
    np.savez(made, **arrays)
    outputs |= write_bytes_of(run, f"work/{name}.pieces.npz", made)
    if config.lines.enabled or config.paragraphs.enabled or config.substrings.enabled:
        outputs |= write_array(run, f"work/{name}.codes.npy", codes)
    return outputs


def _rank(document: Document, config: DeepDedupConfig) -> int:
    wanted = config.documents.prefer
    return wanted.index(document.source) if document.source in wanted else len(wanted)


def to_frame(rows: Sequence[Row]) -> pl.DataFrame:
    """Documents as a table, `corpus.store.SCHEMA`; signals as the record brought them, null where it did not."""
    columns = zip(*(document for document, _ in rows), strict=True)
    frame = pl.DataFrame(
        [pl.Series(name, column, SCHEMA[name]) for name, column in zip(Document._fields, columns, strict=True)]
    )
    measured = any("s_chars" in row or "s_language_score" in row for _, row in rows)
    return frame.with_columns(
        _signal([row.get(name) for _, row in rows], name) if measured else pl.lit(None, pl.Float32).alias(name)
        for name in ALL_SIGNALS
    ).with_columns(pl.lit([], SCHEMA["reasons"]).alias("reasons"))


def _signal(values: Sequence[object], name: str) -> pl.Series:
    return pl.Series(
        name, [float(value) if isinstance(value, int | float) else None for value in values], dtype=pl.Float32
    )


def as_reasons(reasons: Sequence[str | None]) -> pl.Series:
    """The column `reasons` of documents that have one at most. A list of lists would take polars 20 µs each."""
    one = pl.Series("reasons", reasons, dtype=pl.String)
    lists = pl.when(one.is_null()).then(pl.lit([], SCHEMA["reasons"])).otherwise(pl.concat_list(one))
    return pl.select(lists.alias("reasons")).to_series()


def count_states(kept: pl.DataFrame, rejected: pl.DataFrame) -> dict[str, Any]:
    """Documents, characters, sources and languages of both."""
    states = {"kept": kept, "rejected": rejected}
    return {
        "documents": {state: len(frame) for state, frame in states.items()},
        "characters": {state: int(frame["text"].str.len_chars().sum()) for state, frame in states.items()},
        "sources": {state: Counter(frame["source"].to_list()) for state, frame in states.items()},
        "languages": {state: Counter(frame["language"].fill_null("und").to_list()) for state, frame in states.items()},
    }


def measured_anew(frame: pl.DataFrame, places: list[int]) -> pl.DataFrame:
    """The table with the signals of the texts at these rows measured anew, where the document brought any."""
    had = frame["s_chars"].is_not_null().to_list()
    places = [place for place in places if had[place]]
    if not places:
        return frame
    rows = signals(*to_codes([frame["text"][place][:MAX_MEASURED] for place in places]))
    columns = []
    for number, name in enumerate(SIGNALS):
        values: NDArray[np.float32] = frame[name].to_numpy().copy()
        values[places] = rows[:, number]
        columns.append(pl.Series(name, values, dtype=pl.Float32, nan_to_null=True))
    return frame.with_columns(columns)


def load_pieces(run: RunDir, name: str, kind: str) -> Pieces:
    """The lines or paragraphs of a part."""
    with np.load(run.file(f"work/{name}.pieces.npz")) as arrays:
        return Pieces(*(arrays[f"{kind}.{column}"] for column in Pieces.__slots__))


def load_offsets(run: RunDir, name: str) -> NDArray[np.int64]:
    """Where each document of a part begins among its codes: (D + 1,)."""
    with np.load(run.file(f"work/{name}.pieces.npz")) as arrays:
        offsets: NDArray[np.int64] = arrays["offsets"]
    return offsets


def map_codes(run: RunDir, name: str) -> NDArray[np.uint32]:
    """The code points of a part, mapped from disk."""
    codes: NDArray[np.uint32] = np.load(run.file(f"work/{name}.codes.npy"), mmap_mode="r")
    return codes


def load_ranks(run: RunDir, name: str) -> NDArray[np.int16]:
    """Of documents with a lower rank the version stays."""
    ranks: NDArray[np.int16] = load_column(run, name, "rank")
    return ranks
