"""The deduplication in stages that many machines share, in the file formats of datatrove's MinHash.

Each stage waits for all of the one before, and leaves marks. `sign-<shard>`: its band hashes sorted, for each band a
file `work/signatures/bucket_003/00012.minhash.sig` (records of hash, uint64, and document, uint32). `exact`, one rank:
copies by URL and text, and who stands where among the rest, `work/places`. `bucket-<n>`, for each range of hashes of
each band: `work/dups/00003_00.dups` (records of shard and document of the better one, then of the other, uint32), and
beside it their similarity. The last stage gathers them (`read_joins`, for `corpus.dedup.find`).

A document is known by its shard and its place among those of the shard that have no reason. To datatrove a signature
has 14 buckets of one hash of 64 bits, so its own stages read these files; ours compare the shingles before they write a
pair. Memory, bytes a document: 112 in `exact` and in the last, there 270 more for a copy; 25 in `buckets`, and 110
for those in its range.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpus.dedup import ReadJoins, Table, exact_copies, standing_places
from corpus.dedup_config import DedupConfig
from corpus.dedup_shingles import Joins, Shingles, join_members
from corpus.minhash import BANDS, HASH_BITS
from corpus.store import load_band, load_column, write_raw
from runkit.rundir import Mark, RunDir

SIGNATURE = np.dtype([("hash", "<u8"), ("document", "<u4")])
PAIR = np.dtype([("shard", "<u4"), ("document", "<u4"), ("other_shard", "<u4"), ("other_document", "<u4")])
MOST_IN_RANGE = 25_000_000  # documents whose hashes of one band are compared at once


@dataclass(frozen=True, slots=True)
class Compared:
    """The shards that are compared: their numbers, names of their parts, and documents without a reason in each."""

    shards: list[int]
    parts: list[list[str]]
    documents: list[int]
    made_from: str  # of all shards, as the function of that name says

    @property
    def all_parts(self) -> list[str]:
        return [name for parts in self.parts for name in parts]

    @property
    def total(self) -> int:
        return sum(self.documents)

    @property
    def ranges(self) -> int:
        """Into how many ranges of hashes each band is shared out: it depends on the documents alone, since a later
        start must find what an earlier one did."""
        return max(1, -(-self.total // MOST_IN_RANGE))

    @property
    def units(self) -> range:
        """Of the stage `buckets`: band after band, range after range."""
        return range(BANDS * self.ranges)

    def bases(self) -> NDArray[np.int64]:
        """Number of the first document of each shard, and of all documents."""
        return np.cumsum([0, *self.documents])


def made_from(marks: Sequence[Mark]) -> str:
    """What tells these pages from those of another reading: a shard that is read again may give others, when a record
    is left out for its time."""
    outputs = [sorted(mark.outputs.items()) for mark in marks]
    return hashlib.sha256(repr(outputs).encode()).hexdigest()


def _signature_file(shard: int, band: int) -> str:
    return f"work/signatures/bucket_{band:03d}/{shard:05d}.minhash.sig"


def _pair_file(unit: int, ranges: int) -> str:
    band, part = divmod(unit, ranges)
    return f"work/dups/{band:05d}_{part:02d}.dups"


def sign(run: RunDir, mark: str, shard: int, parts: Sequence[str], source: str) -> Mark:
    """Write the band hashes of a shard, one file for each band, sorted. `source`: `made_from` of its pages."""
    outputs: dict[str, str] = {}
    sizes = np.concatenate([np.zeros(0, np.int64), *(np.diff(load_column(run, name, "offsets")) for name in parts)])
    documents = np.flatnonzero(sizes)  # without a text there is nothing to sign
    for band in range(BANDS):
        hashes = np.concatenate([np.zeros(0, np.uint64), *(load_band(run, name, band) for name in parts)])[documents]
        order = np.argsort(hashes, kind="stable")
        records = np.empty(len(order), SIGNATURE)
        records["hash"], records["document"] = hashes[order], documents[order]
        outputs |= write_raw(run, _signature_file(shard, band), records)
    return run.mark(mark, outputs, {"documents": len(sizes), "made_from": source})


def find_exact(run: RunDir, mark: str, compared: Compared, config: DedupConfig) -> Mark:
    """Write the place of each document, best first; -1 of those that are copies by URL or text, or have no text."""
    table = Table(run, compared.all_parts)
    standing = standing_places(table, exact_copies(table, config)[0])
    places = np.full(len(table.numbers), -1, np.int64)
    places[table.numbers[standing]] = standing
    data = {"standing": len(standing), "made_from": compared.made_from}
    return run.mark(mark, write_raw(run, "work/places", places), data)


def compare_bucket(run: RunDir, mark: str, compared: Compared, unit: int, threshold: float) -> Mark:
    """Write what is similar enough in one range of hashes of one band."""
    hashes, numbers = _read_range(run, compared, unit)
    places = _map(run.file("work/places"), np.dtype(np.int64))[numbers]
    stands = places >= 0
    hashes, numbers, places = hashes[stands], numbers[stands], places[stands]
    shingles = Shingles(run, compared.all_parts)
    joins = join_members(shingles, hashes, places, numbers, threshold)
    shingles.forget_pages()
    order = np.argsort(places)
    better, worse = (numbers[order][np.searchsorted(places[order], found)] for found in (joins.better, joins.place))
    pairs = np.empty(len(better), PAIR)
    bases, shards = compared.bases(), np.array(compared.shards, np.int64)
    for shard_field, field, chosen in (
        ("shard", "document", better),
        ("other_shard", "other_document", worse),
    ):
        place = np.searchsorted(bases, chosen, side="right") - 1
        pairs[shard_field], pairs[field] = shards[place], chosen - bases[place]
    name = _pair_file(unit, compared.ranges)
    outputs = write_raw(run, name, pairs) | write_raw(run, f"{name}.similarity", joins.similarity)
    return run.mark(mark, outputs, {"pairs": len(pairs), "made_from": compared.made_from})


def _read_range(run: RunDir, compared: Compared, unit: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes and numbers of documents."""
    band, part = divmod(unit, compared.ranges)
    low, high = ((part + step) * 2**HASH_BITS // compared.ranges for step in (0, 1))
    hashes, numbers = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for shard, base in zip(compared.shards, compared.bases().tolist(), strict=False):
        records = _map(run.file(_signature_file(shard, band)), SIGNATURE)
        first, last = (bisect_left(records["hash"], bound) for bound in (low, high))
        hashes.append(records["hash"][first:last].astype(np.uint64))
        numbers.append(records["document"][first:last] + np.int64(base))
    return np.concatenate(hashes), np.concatenate(numbers)


def read_joins(run: RunDir, compared: Compared) -> ReadJoins:
    """What all ranges of all bands found, for `corpus.dedup.find`."""

    def read(table: Table) -> Iterator[Joins]:
        places = np.empty(len(table.numbers), np.int64)
        places[table.numbers] = np.arange(len(places))
        base_of = dict(zip(compared.shards, compared.bases().tolist(), strict=False))
        bases = np.zeros(max(compared.shards, default=0) + 1, np.int64)
        bases[list(base_of)] = list(base_of.values())
        for unit in compared.units:
            name = _pair_file(unit, compared.ranges)
            pairs = _map(run.file(name), PAIR)
            better = places[bases[pairs["shard"]] + pairs["document"]]
            worse = places[bases[pairs["other_shard"]] + pairs["other_document"]]
            yield Joins(better, worse, np.fromfile(run.file(f"{name}.similarity"), np.float32))

    return read


def _map(path: Path, kind: np.dtype) -> NDArray:
    return np.memmap(path, kind, "r") if path.stat().st_size else np.zeros(0, kind)
