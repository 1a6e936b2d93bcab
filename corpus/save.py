"""The last step of the first pass of `corpus clean`: what is left of a shard, and how its parts are cut.

In: finished pages of one shard. Out, for each part of at most 16 M characters: `work/<shard>-<part>.parquet` with all
pages, their signals and reasons; `.index.npz` with the fingerprints of the pages without a reason; `.shingles.npy`. A
part is held in memory once, so a shard that cannot be cut (a gzip without members) takes no more than any other.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import orjson
import polars as pl
from datatrove.pipeline.base import PipelineStep

from corpus.measure import MAX_MEASURED, to_codes
from corpus.minhash import fingerprint
from corpus.page import Page
from corpus.reading import ReadShard
from corpus.signals import ALL_SIGNALS
from corpus.steps import text_quality
from corpus.store import PART_CHARACTERS, SCHEMA, part_name, url_hash, write_parquet, write_prints
from runkit.fields import fault_lines
from runkit.files import sha256_file, write_bytes
from runkit.rundir import RunDir


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
