"""`corpus trace` and `corpus index`. Parses first and imports then."""

from pathlib import Path
from typing import Annotated

import typer

from corpus.cli_app import app
from runkit import options
from runkit.errors import UsageError

KINDS = ("url", "host", "document", "record", "instruction", "question", "call", "shard")
DIRECTIONS = ("behind", "ahead")


def _kind(value: str | None) -> str | None:
    if value is not None and value not in KINDS:
        raise UsageError(f"--as {value} is not known; choose one of {', '.join(KINDS)}.")
    return value


def _direction(value: str | None) -> str | None:
    if value is not None and value not in DIRECTIONS:
        raise UsageError(f"--only {value} is not known; choose behind or ahead.")
    return value


Thing = Annotated[
    str,
    typer.Argument(
        metavar="THING",
        help="An address, a host, FILE:OFFSET of a dump, the id of a document, an instruction, a judged question "
        "or a model call (RUN:ID where several have it), or the path of a run, a checkpoint, a shard, a dump.",
    ),
]
Places = Annotated[
    list[Path] | None,
    typer.Option(
        "--runs",
        metavar="DIR",
        help="Folder below which runs are looked for; repeatable.",
        show_default="the one around THING, or the current one",
    ),
]


def _page_lang(value: str) -> str:
    if value not in (*options.LANGUAGES, "both"):
        raise UsageError(f"--lang {value} is not known; choose one of en, zh, both.")
    return value


Thing = Thing
Places = Places
Only = Annotated[
    str | None,
    typer.Option(
        "--only",
        metavar="behind|ahead",
        callback=_direction,
        help="behind: where it came from; ahead: what came of it.",
    ),
]


@app.command(
    epilog=options.examples(
        "corpus trace https://blog.banshan.example/2024/1022",
        "corpus trace runs/chat --only behind --page runs/trace.html",
        "corpus trace blog.banshan.example --only ahead --ids gone.jsonl",
    )
)
def trace(
    thing: Thing,
    runs: Places = None,
    kind: Annotated[
        str | None,
        typer.Option("--as", metavar="KIND", callback=_kind, help=f"What THING is: {', '.join(KINDS)}."),
    ] = None,
    only: Only = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show N rows of each table at most.")] = 10,
    every_byte: Annotated[
        bool, typer.Option("--every-byte", help="Compare the bytes of large files too, not size and name alone.")
    ] = False,
    ids: Annotated[
        Path | None,
        typer.Option("--ids", metavar="FILE", help="Write all that was found as JSON lines: what, run, file, row, id."),
    ] = None,
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Write an HTML page.")] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Say where a thing came from, and what came of it.

    Through the runs of all commands, backward and forward. Runs are matched by the hashes of their files, so moved
    folders are found. What cannot be known is said: inputs that are not there, files that were changed. A model is told
    as trained on a set.
    """
    from corpus.trace import TraceCall
    from corpus.trace import trace as carry_out

    carry_out(
        TraceCall(
            thing=thing,
            places=runs or [],
            kind=kind,
            only=only,
            most=limit,
            every_byte=every_byte,
            page=page,
            ids=ids,
            as_json=as_json,
            quiet=quiet,
            lang=lang,
        )
    )


@app.command(epilog=options.examples("corpus index runs", "corpus index runs --out index.html --lang zh"))
def index(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder below which runs are looked for.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The page.", show_default="DIR/index.html")
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: Annotated[
        str,
        typer.Option(
            "--lang", metavar="en|zh|both", callback=_page_lang, help="Language of the page; both: with a switch."
        ),
    ] = "both",
) -> None:
    """Write one page that shows all runs below a folder.

    How they were made from one another, what each took and brought, and links to their reports. It opens from the disk,
    without a network and without scripts; runs that are not finished are shown as such.
    """
    from corpus.index import IndexCall
    from corpus.index import index as carry_out

    carry_out(IndexCall(place=folder, out=out, as_json=as_json, quiet=quiet, lang=lang))
