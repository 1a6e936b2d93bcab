"""The files between the passes: what a worker leaves of its shard, and how it is read back.

In: finished pages of one shard. Out, for each part of at most 16 M characters: `work/<shard>-<part>.parquet` with all
pages, their signals and reasons; `.index.npz` with the fingerprints of the pages without a reason; `.shingles.npy`,
mapped by the deduplication. They go when the run's documents are written. A part is held in memory once, so a shard
that cannot be cut (a gzip without members) takes no more than any other.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import orjson
import polars as pl
from datatrove.pipeline.base import PipelineStep
from numpy.typing import NDArray

from corpus.measure import to_codes
from corpus.minhash import BANDS, Fingerprints, fingerprint
from corpus.page import Page
from corpus.reading import ReadShard
from corpus.signals import ALL_SIGNALS
from corpus.steps import MAX_MEASURED, text_quality
from corpus.urls import normalize_url
from runkit.fields import fault_lines
from runkit.files import sha256_file, write_bytes
from runkit.rundir import RunDir

PART_CHARACTERS = 16_000_000
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.String,
    "origin": pl.String,
    "text": pl.String,
    "url": pl.String,
    "source": pl.String,
    "language": pl.String,
    "date": pl.String,
    "meta": pl.String,
    **dict.fromkeys(ALL_SIGNALS, pl.Float32),
    "reasons": pl.List(pl.String),
}


def part_name(shard: int, part: int) -> str:
    """`00003-000`: sorts as the input lies."""
    return f"{shard:05d}-{part:03d}"


def shard_of(part: str) -> int:
    """The shard that a part belongs to."""
    return int(part.split("-")[0])


def to_frame(pages: Sequence[Page]) -> pl.DataFrame:
    """The documents' table, `SCHEMA`."""
    columns: dict[str, list[object]] = {
        "id": [page.id for page in pages],
        "origin": [page.origin for page in pages],
        "text": [page.text for page in pages],
        "url": [page.url for page in pages],
        "source": [page.source for page in pages],
        "language": [page.language for page in pages],
        "date": [page.date for page in pages],
        "meta": [_json(page.meta) for page in pages],
        **{name: [page.signals.get(name) for page in pages] for name in ALL_SIGNALS},
        "reasons": [page.reasons for page in pages],
    }
    return pl.DataFrame(columns, schema=SCHEMA)


def _json(meta: dict[str, object]) -> str:
    try:
        return orjson.dumps(meta, option=orjson.OPT_SORT_KEYS).decode()
    except (TypeError, ValueError):  # a field of the input that is no JSON, such as a lone surrogate in a title
        safe = {
            key: value.encode("utf-8", "replace").decode() if isinstance(value, str) else repr(value)
            for key, value in meta.items()
        }
        return orjson.dumps(safe, option=orjson.OPT_SORT_KEYS).decode()


def write_parquet(run: RunDir, name: str, frame: pl.DataFrame, *, lasting: bool = True) -> dict[str, str]:
    """Write one table; {name: sha256 of its bytes}. What does not last is compressed in a fifth of the time."""
    table = io.BytesIO()
    if lasting:
        frame.write_parquet(table, compression="zstd", compression_level=3)
    else:
        frame.write_parquet(table, compression="lz4", statistics=False)
    return write_bytes_of(run, name, table)


def write_bytes_of(run: RunDir, name: str, made: io.BytesIO) -> dict[str, str]:
    """Write what was made in memory (64 MB at most): given a file, on a full disk polars speaks of a bad format and
    numpy of a short write, both without the system's error number, so that it could not be told from a bug."""
    data = made.getvalue()
    write_bytes(run.file(name), data)
    return {name: hashlib.sha256(data).hexdigest()}


def write_prints(run: RunDir, name: str, prints: Fingerprints, columns: dict[str, NDArray]) -> dict[str, str]:
    """Write the fingerprints of a part's documents beside `columns`, which are (D,): at least `row` (its place in the
    part), `url` (hash of the normalised URL, 0 without one) and `quality`; {name: sha256}."""
    arrays: dict[str, Any] = {**columns, "exact": prints.exact, "offsets": prints.offsets}
    arrays |= {_band_name(number): prints.bands[:, number] for number in range(BANDS)}
    index = io.BytesIO()
    np.savez(index, **arrays)
    outputs = write_bytes_of(run, f"work/{name}.index.npz", index)
    return outputs | write_array(run, f"work/{name}.shingles.npy", prints.shingles)


def write_array(run: RunDir, name: str, array: NDArray) -> dict[str, str]:
    """Write one array as .npy; {name: sha256 of its bytes}."""
    made = io.BytesIO()
    np.save(made, array)
    return write_bytes_of(run, name, made)


def write_raw(run: RunDir, name: str, array: NDArray) -> dict[str, str]:
    """Write the bytes of one array and nothing else; {name: sha256}. No copy of it is made in memory."""
    data = np.ascontiguousarray(array).view(np.uint8).data
    write_bytes(run.file(name), data)
    return {name: hashlib.sha256(data).hexdigest()}


class Save(PipelineStep):
    """The last step of a shard: parts to `work/`, faults to `quarantine/`, then the shard's mark."""

    type = "writer"
    name = "save"

    def __init__(self, run: RunDir, reader: ReadShard, with_shingles: bool) -> None:
        super().__init__()
        self.run_dir = run
        self.reader = reader
        self.with_shingles = with_shingles

    def run(self, data: Iterable[Page], rank: int = 0, world_size: int = 1) -> Iterator[Page]:
        outputs: dict[str, str] = {}
        parts = documents = 0
        for pages in _parts(data):
            self.reader.rest()  # a slow disk is no fault of the record before it
            outputs |= self._save_part(part_name(rank, parts), pages)
            parts += 1
            documents += len(pages)
            yield from pages
        outputs |= self._save_faults(rank)
        counts = Counter(fault.reason for fault in self.reader.faults)
        self.run_dir.mark(
            f"work-{rank:05d}",
            outputs,
            {"parts": parts, "documents": documents, "faults": dict(sorted(counts.items()))},
        )

    def _save_part(self, name: str, pages: list[Page]) -> dict[str, str]:
        outputs = write_parquet(self.run_dir, f"work/{name}.parquet", to_frame(pages))
        rows = [row for row, page in enumerate(pages) if not page.reasons]
        texts = [pages[row].text[:MAX_MEASURED] if self.with_shingles else "" for row in rows]
        prints = fingerprint(*to_codes(texts))
        columns: dict[str, Any] = {
            "row": np.array(rows, np.int64),
            "id": np.array([pages[row].id for row in rows], "S24"),
            "url": np.array([url_hash(pages[row].url) for row in rows], np.uint64),
            "quality": np.array([text_quality(pages[row].signals) for row in rows], np.float32),
        }
        return outputs | write_prints(self.run_dir, name, prints, columns)

    def _save_faults(self, rank: int) -> dict[str, str]:
        """Damage and bad records, not the records that are simply no pages."""
        faults = [fault for fault in self.reader.faults if not fault.reason.startswith("skip.")]
        if not faults:
            return {}
        name = f"quarantine/{rank:05d}.jsonl"
        write_bytes(self.run_dir.file(name), fault_lines(faults))
        return {name: sha256_file(self.run_dir.file(name))}


def _parts(data: Iterable[Page]) -> Iterator[list[Page]]:
    pages: list[Page] = []
    size = 0
    for page in data:
        pages.append(page)
        size += len(page.text)
        if size >= PART_CHARACTERS:
            yield pages
            pages, size = [], 0
    if pages:
        yield pages


def url_hash(url: str | None) -> int:
    """64 bits of the normalised URL, 0 without one."""
    key = normalize_url(url) if url else ""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") if key else 0


def load_column(run: RunDir, name: str, column: str) -> NDArray:
    """One column of a part's fingerprints, as `write_prints` took or made it (`exact`: (D, 2), `offsets`: (D + 1,))."""
    with np.load(run.file(f"work/{name}.index.npz")) as arrays:
        return arrays[column]


def _band_name(number: int) -> str:
    """Bands lie apart, so that one is read without the others: all are 112 bytes a document."""
    return f"band{number:02d}"


def load_band(run: RunDir, name: str, number: int) -> NDArray[np.uint64]:
    """One of the 14 band hashes of a part's documents, (D,)."""
    with np.load(run.file(f"work/{name}.index.npz")) as arrays:
        return arrays[_band_name(number)]


def map_shingles(run: RunDir, name: str) -> NDArray[np.uint32]:
    """The shingles of one part, mapped from disk."""
    return np.load(run.file(f"work/{name}.shingles.npy"), mmap_mode="r")
