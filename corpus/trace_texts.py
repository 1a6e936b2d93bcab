"""The texts of a few documents: how they begin, to find them again where only texts are kept.

In: what is held of documents. Out: beginnings. Price: the columns of texts of the files that hold them are read, so no
more than `MOST` documents are looked up.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import Final

import polars as pl

from corpus.runs_links import Links
from corpus.trace_documents import Held

MOST: Final = 500
_CHARACTERS: Final = 200


def beginnings(links: Links, held: Held, ids: Collection[str]) -> list[str]:
    """How the kept documents with these ids begin, each text once."""
    found: dict[str, None] = {}
    wanted = sorted(ids)[:MOST]
    for run in links.order if wanted else ():
        rows = held.rows.get(run)
        if rows is None:
            continue
        kept = rows.filter(pl.col("id").is_in(pl.Series(wanted, dtype=pl.String).implode()))
        for (file,), some in kept.filter(pl.col("reasons").list.len() == 0).group_by("file", maintain_order=True):
            with suppress(pl.exceptions.PolarsError, OSError):
                lazy = pl.scan_parquet(run.path / str(file), glob=False)
                chosen = lazy.filter(pl.col("id").is_in(some["id"].implode()))
                texts = chosen.select(pl.col("text").str.head(_CHARACTERS)).collect()["text"]
                found |= dict.fromkeys(texts.drop_nulls().to_list())
    return list(found)
