"""What a trace is made of: nodes, one for each run or thing that is met, with tables of what is in it.

In: tables. Out: a tree that the terminal, the page, `--json` and `--ids` are written from, each as much of it as fits.
A table is a polars frame, so a million rows take no more than their columns. Price: nothing to speak of.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

# A node's `what`, a stable word: documents, shards, set (a whole made of all that went in), checkpoints, instructions,
# dialogues, answers, scores, calls, mentions, document, record, question, seeds, run, file, missing, more.
# Whose rows go into --ids; `set` and `checkpoints` are told as wholes.
REMOVABLE: Final = frozenset(
    {
        "documents",
        "shards",
        "checkpoints",
        "set",
        "instructions",
        "dialogues",
        "answers",
        "calls",
        "mentions",
        "document",
    }
)

_OF_WHOLES: Final = {"kind", "documents", "trained", "of"}


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence by its name, and what stands in its gaps."""

    code: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Node:
    """A run, or a thing, and what of the trace is in it."""

    what: str
    name: str
    run: str = ""
    command: str = ""
    table: pl.DataFrame = field(default_factory=pl.DataFrame)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    children: list["Node"] = field(default_factory=list)
    path: str = ""  # of the run, on the disk
    stream: Callable[[], Iterator[dict[str, Any]]] | None = None  # rows that are too many for a table, for --ids

    def note(self, code: str, **values: Any) -> "Node":
        """Add a sentence."""
        self.notes.append(Note(code, values))
        return self

    def as_object(self, most: int) -> dict[str, Any]:
        """For --json, with the first rows of each table."""
        return {
            "what": self.what,
            "name": self.name,
            "run": self.run or None,
            "command": self.command or None,
            "facts": self.facts,
            "notes": [{"code": note.code, **note.values} for note in self.notes],
            "rows": len(self.table),
            "first": [plain(row) for row in self.table.head(most).iter_rows(named=True)],
            "children": [child.as_object(most) for child in self.children],
        }


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what does not apply."""
    return {key: value for key, value in row.items() if value is not None and value != []}


def walk(nodes: list[Node]) -> Iterator[Node]:
    """All nodes, each before its children."""
    for node in nodes:
        yield node
        yield from walk(node.children)


def lines(nodes: list[Node]) -> Iterator[dict[str, Any]]:
    """What --ids writes: a line for each thing that can be taken out, and for each whole that cannot be parted."""
    for node in walk(nodes):
        if node.what not in REMOVABLE:
            continue
        head = {"what": node.what, "run": node.run or node.name}
        whole = {key: value for key, value in node.facts.items() if key in _OF_WHOLES and value is not None}
        if node.what == "set":
            yield {**head, **whole}
            continue
        for row in node.stream() if node.stream is not None else node.table.iter_rows(named=True):
            place = {"path": f"{node.path}/{row['file']}"} if node.path and row.get("file") else {}
            yield {**head, **(whole if node.what == "checkpoints" else {}), **plain(row), **place}


def counts(nodes: list[Node]) -> dict[str, int]:
    """How much of what there is."""
    found: dict[str, int] = {}
    for node in walk(nodes):
        if node.what in REMOVABLE:
            found[node.what] = found.get(node.what, 0) + (1 if node.what == "set" else len(node.table))
    return found
