"""`corpus dedup` and `corpus decontaminate`. Parses first and imports then."""

import time
from typing import Annotated

import typer

from corpus.cli_app import app
from runkit import console, options

Documents = Annotated[
    list[str],
    typer.Argument(
        metavar="DOCS...",
        help="Runs, parquet, JSON lines or text: files, folders, globs or URLs, each optionally NAME=PATH.",
    ),
]


@app.command()
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
    """Take out what is there more than once, across sources and earlier runs.

    Copies of documents go; lines, paragraphs and exact substrings that stand in many documents are cut. Each step can
    be switched off: -s documents.enabled=false, lines, paragraphs, substrings. `corpus settings` lists what -s and
    --config take. The same command on the same RUN goes on where it was stopped.
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
