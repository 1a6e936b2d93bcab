"""`train tokenizer view`: how tokenizers cut a text, what that costs, and what their vocabularies hold.

In: tokenizers, and a text, a file or something to search for. Out: on stdout coloured pieces with their ids, figures
and hits, or one JSON object; on request an HTML page too. Price: 0.6 s for a page of text; for a megabyte, which is the
most that is shown, 4 s a tokenizer, 5 s as JSON, 9 s in colours.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from runkit import console
from runkit.console import emit_json, printable, say
from runkit.errors import InputError, UsageError
from runkit.files import write_text
from train.pieces import Tokenizer
from train.tokenizer import load
from train.view_page import (
    WORDS,
    Subject,
    differences,
    figure_table,
    hits,
    render,
    token_row,
    token_titles,
    verdict,
)
from train.view_text import Box, Figures, Found, Seen, Token, look, search, signs

MOST_BYTES: Final = 1_000_000
MOST_ROWS: Final = 200
_WIDEST: Final = 40  # columns of one cell of a table
_LAST_BREAK: Final = re.compile(r"\n([⟧)])\Z")  # belongs behind the bracket
_UNLIMITED: Final = 1 << 30
_COLOURS: Final = {
    "normal": ("black on #bfdcf5", "black on #f7dfa5"),
    "byte": ("black on #d6c4f2", "black on #bfa5ea"),
    "unknown": ("bold white on #b40000", "bold white on #b40000"),
    "special": ("black on #b8e6bf", "black on #b8e6bf"),
    "added": ("black on #b8e6bf", "black on #b8e6bf"),
    "dropped": ("dim", "dim"),
}
_LEGEND: Final = {
    "byte": "made of bytes",
    "unknown": "unknown, with what was lost",
    "special": "special",
    "added": "added by hand",
    "dropped": "in no token",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewCall:
    """The command line of `train tokenizer view`, parsed."""

    tokenizers: list[Path]
    text: str | None = None
    file: Path | None = None
    search: str | None = None
    page: Path | None = None
    as_json: bool = False
    lang: str = "en"
    limit: int = 50


def view(call: ViewCall) -> None:
    """Show it. UsageError: nothing to show. InputError: a tokenizer or a text that cannot be read."""
    _check(call)
    subject = _subject(call)
    if subject.is_cut:
        say(f"The text is longer than {MOST_BYTES:,} bytes; its beginning is shown.")
    seen = [_seen(path, load(path), subject, call.limit) for path in call.tokenizers]
    if call.page:
        write_text(call.page, render(seen, subject, call.lang))
    if call.as_json:
        emit_json(_to_object(call, seen, subject))
    else:
        console.show(_rendered(seen, subject))
    if call.page:
        say(f"Wrote {call.page}.")


def _check(call: ViewCall) -> None:
    if not call.tokenizers:
        raise UsageError("No tokenizer was given; name a tokenizer's file, or a folder that holds one.")
    if call.text is not None and call.file is not None:
        raise UsageError("A text and --file were given; give one of them.")
    if call.text is None and call.file is None and call.search is None:
        raise UsageError("There is nothing to show; give a text, --file FILE (- for standard input) or --search TEXT.")
    for what, value in (("text", call.text), ("text of --search", call.search)):
        if value == "":
            raise UsageError(f"The {what} is empty; give at least one character.")
        try:
            (value or "").encode()
        except UnicodeEncodeError as error:  # Python keeps bytes of the command line that are no UTF-8 as surrogates
            raise InputError(f"The {what} is not UTF-8.") from error


def _subject(call: ViewCall) -> Subject:
    if call.file is None:
        return Subject(call.text, False, call.search)
    name = "standard input" if str(call.file) == "-" else str(call.file)
    try:
        if name == "standard input":
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with call.file.open("rb") as stream:
                data = stream.read(MOST_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UsageError(f"{call.file} is no file that can be read; name a text file.") from error
    is_cut = len(data) > MOST_BYTES
    if is_cut:
        data = _whole_characters(data[:MOST_BYTES])
    try:
        text = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(f"The text of {name} is not UTF-8 at byte {error.start:,}; convert it first.") from error
    if not text:
        raise UsageError(f"The text of {name} is empty; give at least one character.")
    return Subject(text, is_cut, call.search)


def _whole_characters(data: bytes) -> bytes:
    """Without a character that the end cuts in two: it would begin in the last three bytes."""
    for back in range(1, 4):
        byte = data[-back]
        if byte & 0xC0 != 0x80:
            length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-back] if length > back else data
    return data


def _seen(path: Path, tokenizer: Tokenizer, subject: Subject, limit: int) -> Seen:
    return Seen(
        " ".join(printable(str(path)).split()),  # on one line, whatever the name holds
        look(tokenizer, subject.text) if subject.text is not None else None,
        search(tokenizer, subject.search, limit) if subject.search is not None else None,
    )


def _rendered(seen: Sequence[Seen], subject: Subject) -> Text:
    terminal = console.out()
    coloured = terminal.color_system is not None and not terminal.no_color
    width = terminal.width if terminal.is_terminal else _UNLIMITED
    words = WORDS["en"]
    text = Text()
    for one in seen:
        if one.view:
            text.append(f"{one.label}\n", "bold")
            text.append_text(_pieces(one.view.boxes, coloured))
    if subject.text is not None:
        text.append_text(_legend(seen, coloured))
        for one in seen:
            text.append_text(_piece_table(one))
        titles, rows = figure_table(seen, words)
        rows = [[_end(row[0]), *row[1:]] for row in rows]
        text.append("\n").append_text(_table(titles, rows, width, numeric_from=2))
        text.append("".join(f"{sentence}\n" for sentence in differences(seen, words)), "red")
    for one in seen:
        if one.found and subject.search is not None:
            text.append(f"\n{one.label}\n", "bold")
            text.append_text(_search(subject.search, one.found))
    return text


def _pieces(boxes: Sequence[Box], coloured: bool) -> Text:
    """The text in its pieces, line by line; without colours `|` stands between them."""
    text = Text()
    at_start = True
    for index, box in enumerate(boxes):
        shown = box.shown("⏎\n")
        if coloured:
            if box.kind == "dropped":
                shown = signs(box.lost or "", "⏎\n")
            text.append(shown, _COLOURS[box.kind][index % 2])
        else:
            shown = _LAST_BREAK.sub(r"\1\n", f"⟦{shown}⟧" if box.kind == "byte" and box.text is not None else shown)
            text.append(("" if at_start else "|") + shown)
        at_start = shown.endswith("\n")
    return text if at_start else text.append("\n")


def _legend(seen: Sequence[Seen], coloured: bool) -> Text:
    """What the less usual boxes mean, as far as they occur."""
    kinds = {box.kind for one in seen if one.view for box in one.view.boxes}
    text = Text()
    for kind, meaning in _LEGEND.items():
        if kind in kinds and coloured:
            text.append("  ").append(f" {meaning} ", _COLOURS[kind][0])
        elif kind in kinds and kind in ("byte", "dropped"):
            text.append(f"  {'⟦ ⟧' if kind == 'byte' else '( )'} {meaning}")
    return text.append("\n") if text else text


def _piece_table(one: Seen) -> Text:
    assert one.view is not None
    boxes = [box for box in one.view.boxes if box.tokens]
    rows = [token_row(box.tokens, box.shown()) for box in boxes[:MOST_ROWS]]
    text = Text().append(f"\n{one.label}\n", "bold").append_text(_table(token_titles(WORDS["en"]), rows, _UNLIMITED))
    if len(boxes) > MOST_ROWS:
        text.append(f"… and {len(boxes) - MOST_ROWS:,} more; --json gives all of them.\n", "dim")
    return text


def _search(wanted: str, found: Found) -> Text:
    words = WORDS["en"]
    said = verdict(wanted, found, words)
    text = Text(f"{said}\n" if said else "")
    if found.boxes is not None:
        text.append(f"{hits(found, words)}\n")
    if found.tokens:
        rows = [token_row([token], signs(token.text or "")) for token in found.tokens]
        text.append_text(_table(token_titles(words), rows, _UNLIMITED))
    return text


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int, numeric_from: int = 99) -> Text:
    """Columns below their titles; those that `width` has no room for follow below, with the first one repeated."""
    shown = [[_short(cell) for cell in row] for row in (titles, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    text = Text()
    for columns in _blocks(widths, width):
        text.append("\n" if text else "")
        for index, row in enumerate(shown):
            cells = []
            for column in columns:
                cell, room = row[column], widths[column] - cell_len(row[column])
                cells.append(" " * room + cell if column >= numeric_from else cell + " " * room)
            text.append("  ".join(cells).rstrip() + "\n", "" if index else "dim")
    return text


def _blocks(widths: Sequence[int], width: int) -> Iterator[list[int]]:
    columns, used = [0], widths[0]
    for column in range(1, len(widths)):
        if len(columns) > 1 and used + 2 + widths[column] > width:
            yield columns
            columns, used = [0], widths[0]
        columns.append(column)
        used += 2 + widths[column]
    yield columns


def _short(cell: str) -> str:
    return cell if cell_len(cell) <= _WIDEST else set_cell_size(cell, _WIDEST - 1) + "…"


def _end(label: str) -> str:
    """A path that is too long says more by its end."""
    if cell_len(label) <= _WIDEST:
        return label
    while cell_len(label) > _WIDEST - 1:
        label = label[1:]
    return f"…{label}"


def _to_object(call: ViewCall, seen: Sequence[Seen], subject: Subject) -> dict[str, Any]:
    text = subject.text
    sizes = None if text is None else {"characters": len(text), "bytes": len(text.encode()), "cut": subject.is_cut}
    return {
        "text": sizes,
        "search": subject.search,
        "tokenizers": [
            {
                "path": path,
                "tokens": [_token_object(token) for token in one.view.tokens] if one.view else None,
                "figures": _figures_object(one.view.figures) if one.view else None,
                "search": _found_object(one.found) if one.found else None,
            }
            for path, one in zip(call.tokenizers, seen, strict=True)
        ],
    }


def _token_object(token: Token) -> dict[str, Any]:
    found = {"id": token.id, "piece": token.piece, "text": token.text, "bytes": token.data.hex(), "kind": token.kind}
    return found | ({"lost": token.lost} if token.kind == "unknown" else {})


def _figures_object(of: Figures) -> dict[str, Any]:
    return {
        **asdict(of),
        "characters_per_token": of.characters_per_token,
        "bytes_per_token": of.bytes_per_token,
        "fertility": of.fertility,
        "unknown_share": of.unknown / of.tokens if of.tokens else None,
        "byte_share": of.byte_tokens / of.tokens if of.tokens else None,
        "han_whole_share": of.han_whole / of.han if of.han else None,
        "round_trip": of.difference is None,
        "embedding_parameters": of.embedding_parameters,
    }


def _found_object(found: Found) -> dict[str, Any]:
    cut = None if found.boxes is None else [_token_object(token) for box in found.boxes for token in box.tokens]
    return {
        "total": found.total,
        "pieces": [_token_object(token) for token in found.tokens],
        "exact": found.exact,
        "cut": cut,
    }
