"""`corpus dedup` and `corpus decontaminate`. Parses first and imports then."""

import time
from typing import Annotated

import typer

from corpus.cli_app import app
from runkit import console, options

Documents = Annotated[
    list[str],
    typer.Argument(
        metavar="DOCS",
        help="Runs, parquet, JSON lines or text: files, folders, globs or URLs, each optionally NAME=PATH.",
    ),
]


@app.command(
    epilog=options.examples(
        "corpus dedup runs/first books=books.parquet --out runs/unique",
        "corpus dedup runs/second --against runs/first -s lines.enabled=false --out runs/news",
    )
)
def dedup(
    inputs: Documents,
    out: options.Out,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", metavar="OLD", help="A run or documents from before: what is there goes; repeatable."
        ),
    ] = None,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    workers: options.Workers = console.default_workers(),
    limit: options.Limit = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
    max_bad: options.MaxBad = 1.0,
) -> None:
    """Take out what is there more than once.

    Copies of documents go, across all sources and, with --against, earlier runs; lines, paragraphs and exact substrings
    that stand in many documents are cut. Each step can be switched off: -s documents.enabled=false, lines, paragraphs,
    substrings. The same command on the same RUN goes on where it was stopped.
    """
    started = time.monotonic()
    from corpus.dedup_config import DeepDedupConfig

    chosen = DeepDedupConfig.load(config, settings or [])
    from corpus.dedup_run import DedupCall
    from corpus.dedup_run import dedup as carry_out

    carry_out(
        DedupCall(
            inputs=inputs,
            against=against or [],
            out=out,
            config=chosen,
            workers=workers,
            limit=limit,
            dry_run=dry_run,
            as_json=as_json,
            quiet=quiet,
            lang=lang,
            max_bad=max_bad,
            started=started,
        )
    )


@app.command(
    epilog=options.examples(
        "corpus decontaminate runs/unique --against c-eval --against mine=questions.jsonl --out runs/fair",
        "corpus decontaminate runs/unique --against c-eval -s action=drop --dry-run --out runs/fair",
    )
)
def decontaminate(
    inputs: Documents,
    out: options.Out,
    against: Annotated[
        list[str],
        typer.Option(
            "--against",
            metavar="ITEMS",
            help="Test items: folders as C-Eval's or CMMLU's, CSV, JSON lines, JSON arrays, parquet; optionally "
            "NAME=PATH; repeatable.",
        ),
    ],
    config: options.ConfigFile = None,
    settings: options.Set = None,
    workers: options.Workers = console.default_workers(),
    limit: options.Limit = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
    max_bad: options.MaxBad = 1.0,
) -> None:
    """Take test questions and their answers out of documents.

    13 units in a row (Han characters, words of other scripts) that are a test item's are a match, whatever width, case,
    punctuation or script they are written in. Matches are cut, or whole documents dropped. The same command on the same
    RUN goes on where it was stopped.
    """
    started = time.monotonic()
    from corpus.decontaminate_config import DecontaminateConfig

    chosen = DecontaminateConfig.load(config, settings or [])
    from corpus.decontaminate import DecontaminateCall
    from corpus.decontaminate import decontaminate as carry_out

    carry_out(
        DecontaminateCall(
            inputs=inputs,
            against=against,
            out=out,
            config=chosen,
            workers=workers,
            limit=limit,
            dry_run=dry_run,
            as_json=as_json,
            quiet=quiet,
            lang=lang,
            max_bad=max_bad,
            started=started,
        )
    )
