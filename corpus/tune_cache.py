"""The signals of many parts gathered in one file, so that `corpus tune` need not open every part each time.

In: the parts of a run. Out: a table of what thresholds look at: language, source, all signals, reasons, how many copies
a document stays for, and in which part it lies. A run of a million documents has 3,600 parts, whose footers alone take
a second to read; gathered, they take 20 ms. The file lies in RUN/.signals and is known by the names, sizes and times of
its parts, so a part that was written again is gathered again; nothing else reads it, and it may be removed. Where it
cannot be written, the parts are read. Price: 150 bytes on disk and 5 µs a document, once.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import polars as pl

from corpus.signals import ALL_SIGNALS
from runkit.errors import InputError, UserError
from runkit.files import atomic_write

FOLDER: Final = ".signals"
FEWEST_PARTS: Final = 16  # fewer are read as quickly as they lie
_COLUMNS: Final = ("language", "source", *ALL_SIGNALS)


def gathered(path: Path, state: str, files: Sequence[Path], columns: Sequence[str]) -> pl.DataFrame:
    """`columns` of the documents of parts, and `part`, the number of each one's among `files`; see the module.

    `copies`: how many copies a document stays for. InputError: a part cannot be read.
    """
    wanted = [*dict.fromkeys(columns), "part"]
    if len(files) < FEWEST_PARTS:
        return _read(path, state, files).select(wanted)
    file = path / FOLDER / f"{state}-{files[0].stem}-{_key(path, files)}.parquet"
    with suppress(pl.exceptions.PolarsError, OSError):
        return pl.read_parquet(file, columns=wanted)
    frame = _read(path, state, files)
    with suppress(UserError, OSError):  # a disk that is full or not ours: only slower
        with atomic_write(file) as target:
            frame.write_parquet(target, compression="zstd", compression_level=1, statistics=False)
        for old in (path / FOLDER).glob(f"{state}-{files[0].stem}-*.parquet"):
            if old.name != file.name:
                old.unlink(missing_ok=True)
    return frame.select(wanted)


def _key(path: Path, files: Sequence[Path]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for file in (*files, path / "copies.parquet"):
        with suppress(OSError):
            found = file.stat()
            digest.update(f"{file.name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read(path: Path, state: str, files: Sequence[Path]) -> pl.DataFrame:
    names = [str(file) for file in files]
    more = ["reasons"] if state == "rejected" else []
    try:
        scanned = pl.scan_parquet(names, include_file_paths="part", cache=False)
        there = set(scanned.collect_schema().names())  # a run of an earlier version has fewer signals
        found = scanned.select(*(name for name in (*_COLUMNS, *more, "id") if name in there), "part").collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"Cannot read the signals in {files[0].parent}: {str(error).splitlines()[0]}; "
            "run the `corpus clean` command again to rebuild it."
        ) from error
    missing = [pl.lit(None, pl.Float32).alias(name) for name in ALL_SIGNALS if name not in there]
    part = found["part"].cast(pl.Enum(names)).to_physical().cast(pl.UInt32).alias("part")
    counts = _copies(path)
    if state == "documents" and len(counts):
        joined = found.select("id").join(counts, on="id", how="left", maintain_order="left")
        copies = joined["copies"].fill_null(0).cast(pl.UInt32)
    else:
        copies = pl.zeros(len(found), pl.UInt32, eager=True).alias("copies")
    return found.drop("id").with_columns(part, copies, *missing)


def _copies(path: Path) -> pl.DataFrame:
    """How many copies each document stays for: `id`, `copies`."""
    try:
        found = pl.read_parquet(path / "copies.parquet", columns=["duplicate_of"])
    except (pl.exceptions.PolarsError, OSError):  # written by another version; the figure is a hint
        return pl.DataFrame(schema={"id": pl.String, "copies": pl.UInt32})
    return found.group_by(pl.col("duplicate_of").alias("id")).agg(pl.len().alias("copies"))
