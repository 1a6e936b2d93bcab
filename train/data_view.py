"""`train data`: what would be trained on, before a GPU hour is spent on it.

In: folders of token shards and a `DataConfig`. Out: a table of the sources, the rows they make, what stays empty and
what is cut, next to what padding and cropping would cost on the same documents; some rows as text. All for people goes
to stderr, `--json` puts the same on stdout. Nothing is written. Price: what a trainer's start costs, 1 s for a million
documents, and 0.3 s for the comparison.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runkit.console import emit_json, err, printable, say
from train.config import DataConfig
from train.data import Documents, Piece, Rows, TrainingData, held_out_rows, training_data
from train.packing import cropping_loss, padding_waste
from train.pieces import Tokenizer
from train.shards import open_shards
from train.tokenizer import load

if TYPE_CHECKING:
    from rich.text import Text

SHORT_CHARACTERS: Final = 400  # of a piece; of a longer one both ends are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCall:
    """The command line of `train data`, parsed."""

    shards: list[Path]
    config: DataConfig
    show: int  # rows
    as_json: bool
    quiet: bool  # nothing but the JSON, if that is asked for


@dataclass(frozen=True, slots=True)
class ShownPiece:
    """A piece of a row as text."""

    row: int
    source: str
    document: str  # its id
    first: int  # of its inputs, within the document
    positions: int
    of: int  # positions of the whole document
    text: str  # the last target included


def show_data(call: DataCall) -> None:
    """Show the data. InputError, UsageError: what `open_shards`, `Documents` and `training_data` raise."""
    documents = Documents([open_shards(path) for path in call.shards])
    data = training_data(documents, call.config)
    measured = held_out_rows(documents, call.config)
    pieces = _shown(data.rows, load(documents.folders[0].tokenizer), call.show) if call.show else []
    figures = _figures(call, data, measured)
    if call.as_json:
        emit_json({**figures, "shown": [asdict(piece) for piece in pieces]})
    if call.as_json and call.quiet:
        return
    _tell(figures)
    for number, piece in enumerate(pieces):
        if number == 0 or piece.row != pieces[number - 1].row:
            say(f"\nRow {piece.row}")
        err().print(_rendered(piece), soft_wrap=True)


def _figures(call: DataCall, data: TrainingData, measured: Rows) -> dict[str, Any]:
    rows = data.rows
    return {
        "shards": call.shards,
        "config": call.config.model_dump(),
        "sources": [asdict(source) | {"epochs": source.epochs} for source in data.sources],
        "warnings": data.warnings,
        "rows": len(rows),
        "positions": rows.positions,
        "waste": rows.waste,
        "documents": asdict(data.cuts),
        "held_out": {"rows": len(measured), "positions": measured.positions},
        "padding_waste": padding_waste(data.lengths, rows.seq_len),
        "cropping_loss": cropping_loss(data.lengths, rows.seq_len),
        "sha256": rows.sha256,
    }


def _tell(figures: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("source", overflow="fold")
    for title in ("documents", "tokens", "weight", "tokens drawn", "epochs"):
        table.add_column(title, justify="right")
    for source in figures["sources"]:
        cells = (
            " ".join(printable(source["source"]).split()),
            f"{source['documents']:,}",
            f"{source['tokens']:,}",
            f"{source['weight']:.1%}",
            f"{source['drawn_tokens']:,}",
            f"{source['epochs']:.2f}",
        )
        table.add_row(*map(Text, cells))
    err().print(table)
    for warning in figures["warnings"]:
        say(f"Warning: {warning}")
    seq_len, cut = figures["config"]["seq_len"], figures["documents"]
    say(
        f"{figures['rows']:,} rows of {seq_len:,} positions; {figures['positions']:,} are filled, "
        f"{figures['waste']:.3%} stay empty.\n"
        f"Documents: {cut['whole']:,} whole, {cut['for_length']:,} cut because they are longer than a row, "
        f"{cut['for_packing']:,} cut to fill gaps.\n"
        f"On the same documents, padding each to whole rows would leave {figures['padding_waste']:.1%} of the "
        f"positions empty, and cropping (best fit, as nanochat does) lose about {figures['cropping_loss']:.1%} of the "
        f"tokens.\n"
        f"Held out to measure on: {figures['held_out']['rows']:,} rows, {figures['held_out']['positions']:,} positions."
    )


def _shown(rows: Rows, tokenizer: Tokenizer, count: int) -> list[ShownPiece]:
    return [_piece(rows, row, piece, tokenizer) for row in range(min(count, len(rows))) for piece in rows.pieces(row)]


def _piece(rows: Rows, row: int, piece: Piece, tokenizer: Tokenizer) -> ShownPiece:
    documents = rows.documents
    return ShownPiece(
        row=row,
        source=documents.sources[documents.source[piece.document]],
        document=documents.id(piece.document),
        first=piece.start,
        positions=piece.length,
        of=int(documents.length[piece.document]) - 1,
        text=tokenizer.decode(rows.ids(piece).tolist()),
    )


def _rendered(piece: ShownPiece) -> "Text":
    from rich.text import Text

    end = piece.first + piece.positions
    place = "whole" if piece.positions == piece.of else f"positions {piece.first:,} to {end:,} of {piece.of:,}, cut "
    if piece.positions < piece.of:
        sides = (["before"] if piece.first else []) + (["behind"] if end < piece.of else [])
        place += f"{' and '.join(sides)} it"
    head = " ".join(printable(f"── {piece.source} · {piece.document} · {place}").split())
    body = printable(piece.text)
    if len(body) > SHORT_CHARACTERS:
        half = SHORT_CHARACTERS // 2
        body = f"{body[:half]} … {body[-half:]}"
    return Text.assemble((f"{head}\n", "bold"), body)
