"""The files between the passes: how what a worker leaves of its shard is written and read back.

In: the fingerprints of a part's documents, tables, arrays. Out, for each part of at most 16 M characters, in `work/`:
`<shard>-<part>.parquet`, `.index.npz` with the fingerprints and `.shingles.npy`, mapped by the deduplication. They go
when the run's documents are written.
"""

import hashlib
import io
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from corpus.minhash import BANDS, Fingerprints
from corpus.signals import ALL_SIGNALS
from corpus.urls import normalize_url
from runkit.files import atomic_write
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


def write_parquet(run: RunDir, name: str, frame: pl.DataFrame) -> dict[str, str]:
    """Write one table; {name: sha256 of its bytes}."""
    table = io.BytesIO()
    frame.write_parquet(table, compression="zstd", compression_level=3)
    return write_bytes_of(run, name, table)


def write_table(run: RunDir, name: str, frame: pl.DataFrame) -> dict[str, str]:
    """Write one table that does not last, to be mapped by `map_table`; {name: sha256 of its bytes}. It lies there as in
    memory: twice the bytes of lz4 in a quarter of the time."""
    table = io.BytesIO()
    frame.write_ipc(table)
    return write_bytes_of(run, name, table)


def map_table(run: RunDir, name: str, columns: list[str] | None = None) -> pl.DataFrame:
    """A table of `write_table`, mapped from disk."""
    return pl.read_ipc(run.file(name), columns=columns)


def write_bytes_of(run: RunDir, name: str, made: io.BytesIO) -> dict[str, str]:
    """Write what was made in memory (64 MB at most): given a file, on a full disk polars speaks of a bad format and
    numpy of a short write, both without the system's error number, so that it could not be told from a bug."""
    return _write(run, name, made.getbuffer())


def _write(run: RunDir, name: str, *pieces: memoryview) -> dict[str, str]:
    digest = hashlib.sha256()
    with atomic_write(run.file(name), sum(piece.nbytes for piece in pieces)) as file:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
    return {name: digest.hexdigest()}


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
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(array))
    return _write(run, name, head.getbuffer(), np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def write_raw(run: RunDir, name: str, array: NDArray) -> dict[str, str]:
    """Write the bytes of one array and nothing else; {name: sha256}."""
    return _write(run, name, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


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
