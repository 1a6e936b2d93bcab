"""Scores in a table: one row or one column for each answer.

In: the judge's own words (verdict_names.py). Out: the statements of its tables, and the text without them. Of several
criteria only a row or column that is called overall, total or score counts. Price: 1 µs without a table.
"""

import re
from typing import Final

from judge.verdict_names import NAMES, ONE, OTHER, SIGNS, TWO
from judge.verdict_numbers import SCORE, Statement, fault_of

_TABLE: Final = re.compile(r"^[ \t]*\|[^\n]*(?:\n[ \t]*\|[^\n]*)*", re.MULTILINE)
_RULE: Final = re.compile(r"[\s|:-]*")
_CELL: Final = re.compile(rf"\s*{SCORE}\s*")
_OVERALL: Final = re.compile(
    r"\W*(?:(?:final|overall|total)(?:\s(?:scores?|ratings?))?|总分|总评|综合(?:评分|得分)?|总体(?:评分)?|最终(?:评分|得分))\W*",
    re.IGNORECASE,
)
_SCORES: Final = re.compile(r"\W*(?:scores?|ratings?|评分|得分|分数|打分)\W*", re.IGNORECASE)

Row = list[str]
Cell = tuple[float, str]  # with its fault


def without_tables(own: str) -> tuple[list[Statement], str]:
    """Nothing is a statement of a table whose rows are read in no known way; its numbers count for nothing else."""
    if "|" not in own:
        return [], own
    found: list[Statement] = []

    def taken(table: re.Match[str]) -> str:
        rows = [_cells(line) for line in table[0].splitlines() if not _RULE.fullmatch(line)]
        one = _scores(rows, table.start(), table.end()) if rows else None
        if one is not None:
            found.append(one)
            return " "
        return table[0] if len(rows) == 1 and len(rows[0]) == 1 else " "

    return found, _TABLE.sub(taken, own)


def _cells(line: str) -> Row:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _side(cell: str, bare: str = "") -> str:
    """ONE, TWO or OTHER for a cell that is a name, or one of the `bare` signs; else nothing."""
    inner = cell.strip(" :'s")
    if len(inner) == 1 and inner in NAMES:
        return inner
    return SIGNS.get(inner.lower(), "") if inner and inner in bare else ""


def _scores(rows: list[Row], start: int, end: int) -> Statement | None:
    cells = _of_names(rows, "", "") or _of_names(rows, "AB", "AB12")
    if cells is None and len(rows) == 1 and len(rows[0]) == 3:
        title = rows[0][0]
        cells = _pair(rows[0], 1, 2) if _OVERALL.fullmatch(title) or _SCORES.fullmatch(title) else None
    if cells is None:
        return None
    (first, fault), (second, other) = cells[ONE], cells[TWO]
    return Statement(first, second, start, end, fault=fault or other)


def _of_names(rows: list[Row], in_head: str, in_body: str) -> dict[str, Cell] | None:
    """By the names in the heading, or else by those that rows begin with."""
    head = [_side(cell, in_head) for cell in rows[0]]
    body = [_side(row[0], in_body if place else "") for place, row in enumerate(rows)]
    if OTHER in head + body:
        return None
    if sorted(filter(None, head)) == [ONE, TWO]:
        return _by_row(rows[1:], head.index(ONE), head.index(TWO))
    if sorted(filter(None, body)) == [ONE, TWO]:
        return _by_column([] if body[0] else rows[0], {side: row for side, row in zip(body, rows, strict=True) if side})
    return None


def _by_row(rows: list[Row], one: int, two: int) -> dict[str, Cell] | None:
    """The row that counts, of those with numbers below both names."""
    numeric = [(row[0] if min(one, two) > 0 else "", pair) for row in rows if (pair := _pair(row, one, two))]
    overall = [pair for name, pair in numeric if _OVERALL.fullmatch(name)]
    scores = [pair for name, pair in numeric if _SCORES.fullmatch(name) or not name]
    chosen = overall or (scores if len(numeric) == 1 or (len(scores) == 1 and not overall) else [])
    return chosen[0] if len(chosen) == 1 else None


def _by_column(top: Row, rows: dict[str, Row]) -> dict[str, Cell] | None:
    """The column that counts, of those with numbers for both names."""
    width = min(len(row) for row in rows.values())
    numeric = [at for at in range(1, width) if all(_cell(row[at]) for row in rows.values())]
    titles = {at: top[at] if at < len(top) else "" for at in numeric}
    overall = [at for at in numeric if _OVERALL.fullmatch(titles[at])]
    scores = [at for at in numeric if _SCORES.fullmatch(titles[at]) or (not titles[at] and len(numeric) == 1)]
    chosen = overall or scores
    if len(chosen) != 1:
        return None
    found = {side: _cell(row[chosen[0]]) for side, row in rows.items()}
    return {side: cell for side, cell in found.items() if cell is not None}


def _pair(row: Row, one: int, two: int) -> dict[str, Cell] | None:
    if len(row) <= max(one, two):
        return None
    first, second = _cell(row[one]), _cell(row[two])
    return {ONE: first, TWO: second} if first and second else None


def _cell(text: str) -> Cell | None:
    found = _CELL.fullmatch(text)
    return (float(found[1]), fault_of(found[1], found[2])) if found else None
