"""A parsed page in, its main text out: the blocks that the classifier keeps, as lines or as Markdown.

Plain text has one paragraph a line; cells of a table row stand in one line with tabs between them, a code block keeps
its lines but not their indentation. Markdown keeps headings, lists, quotations, tables and code as they were; a cell
that spans columns or rows stands in the first of them. Price for a page of 60 kB beside its parse: 2 ms, a third of it
the parser's own serialisation.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from resiliparse.parse.html import HTMLTree

from corpus.blocks import Blocks, cut_blocks
from corpus.blocks_attributes import SPAN_ROWS
from corpus.blocks_cut import ELEMENT, END, FIRST, PARENT, SPAN
from corpus.blocks_cut import TAG as TAG_COLUMN
from corpus.blocks_model import Model, judge, shipped_model
from corpus.blocks_rows import table_rows
from corpus.blocks_tables import TAGS
from corpus.blocks_text import N_HAN, N_LATIN

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CELLS = {"td", "th"}
_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A kept block and what it is in Markdown."""

    text: str
    kind: str  # paragraph, heading, item, code, row
    group: int  # the list, table or quotation it belongs to, -1 for none
    prefix: str = ""
    indent: str = ""


def main_text(source: str, title: str, markdown: bool = False, model: Model | None = None) -> str:
    """The main text of HTML as the parser writes it; "" where no block is main text."""
    blocks = cut_blocks(source.encode("utf-8", "replace"), title, markdown)
    rows = table_rows(blocks.elements, blocks.rows)
    scores = pooled(judge(blocks, model or shipped_model()), rows)
    kept = np.flatnonzero(scores > 0.0).tolist()
    if not blocks.counts[kept][:, [N_HAN, N_LATIN]].any():
        return ""  # signs alone
    return as_markdown(blocks, kept, rows) if markdown else as_lines(blocks, kept, rows)


def serialised(tree: HTMLTree) -> str:
    """The whole document as the parser writes it."""
    return tree.document.html if tree.document else ""


def pooled(scores: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores with one verdict for all cells of a table row."""
    inside = rows >= 0
    if not inside.any():
        return scores
    count = np.bincount(rows[inside])
    total = np.bincount(rows[inside], scores[inside])
    out = scores.copy()
    out[inside] = total[rows[inside]] / count[rows[inside]]
    return out


def as_lines(blocks: Blocks, kept: list[int], rows: NDArray[np.int64]) -> str:
    """One line a block, one line a table row."""
    lines: list[str] = []
    last = -1
    for index in kept:
        parts = [line.strip() for line in blocks.text_of(index).split("\n")]
        row = int(rows[index])
        if row >= 0 and row == last and lines:
            lines[-1] += "\t" + " ".join(filter(None, parts))
        else:
            lines.extend(filter(None, parts))
        last = row
    return "\n".join(lines)


def as_markdown(blocks: Blocks, kept: list[int], rows: NDArray[np.int64]) -> str:
    """Headings, lists, quotations, tables and fenced code; a blank line between paragraphs."""
    tags = [TAGS[tag] for tag in blocks.elements[:, TAG_COLUMN].tolist()]
    parents = blocks.elements[:, PARENT].tolist()
    numbers = _item_numbers(tags, parents)
    tables = _Tables(blocks, kept, rows, tags, parents)
    seen: set[int] = set()
    out: list[str] = []
    before: Piece | None = None
    at = 0
    while at < len(kept):
        index = kept[at]
        row = tables.row_of.get(index, -1)
        width = 1
        if row >= 0:
            while at + width < len(kept) and tables.row_of.get(kept[at + width], -1) == row:
                width += 1
            table = _ancestor(row, {"table"}, tags, parents)
            piece = Piece(tables.line(row, table, kept[at : at + width]), "row", table)
            if before is None or before.kind != "row" or before.group != table:
                piece = Piece(f"{piece.text}\n|{' --- |' * tables.width[table]}", "row", table)
        else:
            piece = _piece(blocks.text_of(index), int(blocks.rows[index, ELEMENT]), tags, parents, numbers, seen)
        text = _render(piece)
        if text:
            close = before is not None and piece.kind == before.kind and piece.kind in {"item", "row"}
            close = close and before is not None and piece.group == before.group
            out.append(("\n" if close else "\n\n") + text if out else text)
            before = piece
        at += width
    return "".join(out)


def _render(piece: Piece) -> str:
    if piece.kind == "code":
        ticks = "```"
        while ticks in piece.text:
            ticks += "`"
        code = _BLANK_LINES.sub("", piece.text, count=1) if _BLANK_LINES.match(piece.text) else piece.text
        text = f"{ticks}\n{code.rstrip()}\n{ticks}" if code.strip() else ""
    elif piece.kind == "row":
        text = piece.text
    else:
        text = " ".join(piece.text.split("\n")).strip()
    if not text:
        return ""
    lines = text.split("\n")
    rest = piece.indent + " " * len(piece.prefix) if piece.kind == "item" else piece.indent
    return "\n".join((piece.indent + piece.prefix if n == 0 else rest) + line for n, line in enumerate(lines))


class _Tables:
    """Tables of data. `row_of`: block → row; `column`: cell → its first column; `width`: table → its columns."""

    def __init__(
        self, blocks: Blocks, kept: list[int], rows: NDArray[np.int64], tags: list[str], parents: list[int]
    ) -> None:
        self.blocks, self.tags, self.parents = blocks, tags, parents
        self.cells: dict[int, list[int]] = {}  # row → its cells, the empty ones too
        for element, tag in enumerate(tags):
            if tag in _CELLS:
                self.cells.setdefault(_ancestor(element, {"tr"}, tags, parents), []).append(element)
        self.column: dict[int, int] = {}
        self._place()
        of_rows = {int(row): self._table(int(row)) for row in rows[kept].tolist() if row >= 0}
        self.row_of = {index: row for index in kept if (row := self._row(index, rows, set(of_rows.values()))) >= 0}
        self.width: dict[int, int] = {}
        for row in set(self.row_of.values()):
            table = self._table(row)
            # What the last cell spans does not count: a heading over the whole table often says colspan="100".
            self.width[table] = max(self.width.get(table, 0), *(self.column[cell] + 1 for cell in self.cells[row]))

    def _table(self, row: int) -> int:
        return _ancestor(row, {"table"}, self.tags, self.parents)

    def _span(self, cell: int) -> tuple[int, int]:
        """Columns and rows of a cell."""
        rows, columns = divmod(int(self.blocks.elements[cell, SPAN]), SPAN_ROWS)
        return columns, rows

    def _place(self) -> None:
        """Give every cell its column: behind the cells before it, and beside those that reach down from above."""
        taken: dict[int, dict[int, int]] = {}  # table → column → how many rows more it is taken for
        for row, cells in self.cells.items():  # in document order
            of_table = taken.setdefault(self._table(row), {})
            column = 0
            here = dict(of_table)
            for cell in cells:
                while here.get(column, 0):
                    column += 1
                self.column[cell] = column
                columns, rows = self._span(cell)
                for _ in range(columns):
                    of_table[column] = rows
                    column += 1
            for used in of_table:
                of_table[used] = max(0, of_table[used] - 1)

    def _row(self, index: int, rows: NDArray[np.int64], tables: set[int]) -> int:
        """Of a block in a table of data; a row of which one cell alone has text is none for `table_rows`."""
        if rows[index] >= 0:
            return int(rows[index])
        row = _ancestor(int(self.blocks.rows[index, ELEMENT]), {"tr"}, self.tags, self.parents)
        cells = self.cells.get(row, [])
        first, end = self.blocks.elements[row, [FIRST, END]] if cells and row > 0 else (0, 0)
        if end - first != 1 or self._table(row) not in tables:
            return -1
        return row if len(cells) > 1 or self.column[cells[0]] > 0 or self._span(cells[0])[0] > 1 else -1

    def line(self, row: int, table: int, held: list[int]) -> str:
        """A row in Markdown: every cell in its column."""
        texts = [""] * self.width[table]
        for index in held:
            cell = _ancestor(int(self.blocks.rows[index, ELEMENT]), _CELLS, self.tags, self.parents)
            texts[self.column[cell]] = " ".join(self.blocks.text_of(index).split()).replace("|", "\\|")
        return f"| {' | '.join(texts)} |"


def _ancestor(element: int, names: set[str], tags: list[str], parents: list[int]) -> int:
    """The nearest element of these names, itself included; -1 for none."""
    while element > 0 and tags[element] not in names:
        element = parents[element]
    return element if element > 0 else -1


def _item_numbers(tags: list[str], parents: list[int]) -> dict[int, int]:
    """Of each list item its number in its list, from 1."""
    counts: dict[int, int] = {}
    numbers = {}
    for element, tag in enumerate(tags):
        if tag == "li":
            counts[parents[element]] = numbers[element] = counts.get(parents[element], 0) + 1
    return numbers


def _piece(
    text: str, element: int, tags: list[str], parents: list[int], numbers: dict[int, int], seen: set[int]
) -> Piece:
    """What a block is, from the tags above it; `seen` holds the items that have their bullet."""
    kind, prefix, group, depth, quote, item = "paragraph", "", -1, 0, "", -1
    while element:
        tag = tags[element]
        if tag in _HEADINGS and kind == "paragraph":
            kind, prefix = "heading", "#" * _HEADINGS[tag] + " "
        elif tag in {"pre", "listing"} and kind == "paragraph":
            kind = "code"
        elif tag == "li" and item < 0:
            item, group = element, parents[element]
        elif tag in {"ul", "ol", "menu"} and item >= 0:
            depth += 1
        elif tag == "blockquote":
            quote += "> "
        element = parents[element]
    if item < 0:
        return Piece(text, kind, group, prefix, quote)
    indent = quote + "  " * max(depth - 1, 0)
    first = item not in seen
    seen.add(item)
    bullet = f"{numbers[item]}. " if tags[parents[item]] == "ol" else "- "
    if kind == "paragraph" and first:
        return Piece(text, "item", group, bullet, indent)
    return Piece(text, kind, group, prefix, indent if first else indent + " " * len(bullet))
