"""Reports and marks that show a document: samples with its address, or its id.

In: what is held of documents. Out: a node with the files whose bytes hold an address or id, for whoever takes a page
out must make these files anew. Price: reports and marks are read, 1 s a GB; of more than `MOST` documents the first
are looked for.
"""

import html
import re
from contextlib import suppress
from typing import Final

import orjson
import polars as pl

from corpus.runs_found import Run
from corpus.runs_links import Links
from corpus.trace_documents import ITSELF, Held
from corpus.trace_tree import Node

MOST: Final = 500
_FILES: Final = ("report.html", "README.md", "summary.json")
_MOST_BYTES: Final = 200_000_000


def mentions(links: Links, held: Held) -> list[Node]:
    """One node, or none where no file shows them."""
    words: dict[str, None] = {}
    for rows in held.rows.values():
        for id, url in rows.filter(pl.col("via") == ITSELF).select("id", "url").iter_rows():
            words |= dict.fromkeys(filter(None, (id, url)))
    needles = {form.encode("utf-8", "replace") for word in list(words)[: 2 * MOST] for form in _forms(word)}
    if not needles:
        return []
    # An address may be the beginning of another one.
    pattern = re.compile(
        b"(?:" + b"|".join(map(re.escape, sorted(needles, key=len, reverse=True))) + rb")(?![\w/?=%.-]*\w)"
    )
    found = [(f"{run.name}/{name}", str(run.path / name)) for run in links.order for name in _shown(run, pattern)]
    if not found:
        return []
    table = pl.DataFrame(found, schema={"file": pl.String, "path": pl.String}, orient="row")
    return [Node("mentions", "", table=table)]


def _forms(word: str) -> set[str]:
    """As a page and as JSON write it."""
    return {word, html.escape(word), orjson.dumps(word.encode("utf-8", "replace").decode()).decode()[1:-1]}


def _shown(run: Run, pattern: "re.Pattern[bytes]") -> list[str]:
    names = []
    for name in (*_FILES, *run.files("marks", ".json")):
        with suppress(OSError):
            file = run.path / name
            if file.is_file() and file.stat().st_size <= _MOST_BYTES and pattern.search(file.read_bytes()):
                names.append(name)
    return names
