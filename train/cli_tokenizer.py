"""The commands of `train tokenizer`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from runkit import console, options
from train.cli_options import SETS, Documents, Tok

app = console.app("tokenizer", "Fit, extend and look at tokenizers.")


@app.command()
def fit(
    documents: Documents,
    out: options.Out,
    vocab: Annotated[int | None, typer.Option("--vocab", help="Pieces in all; 32,000 if not given.")] = None,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    workers: options.Workers = console.default_workers(),
    limit: options.Limit = None,
    sample: options.Sample = None,
    seed: options.Seed = 0,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Fit a SentencePiece BPE tokenizer with byte fallback: TOK/tokenizer.model and TOK/report.html.

    `train settings` lists what -s and --config take.
    """
    started = time.monotonic()
    from train.config import FitConfig
    from train.fit import FitCall
    from train.fit import fit as carry_out
    from train.reading import Reading

    given = [] if vocab is None else [f"vocab={vocab}"]
    carry_out(
        FitCall(
            documents=documents,
            out=out,
            config=FitConfig.load(config, [*(settings or []), *given]),
            reading=Reading(workers, sample, limit, seed, quiet),
            dry_run=dry_run,
            as_json=as_json,
            lang=lang,
            started=started,
        )
    )


@app.command()
def extend(
    base: Annotated[
        Path,
        typer.Argument(metavar="BASE", help="LLaMA-like tokenizer.model or byte-level tokenizer.json, or its folder."),
    ],
    documents: Annotated[list[str], typer.Option("--with", metavar="DOCS", help=f"{SETS} Repeatable.")],
    out: options.Out,
    add: Annotated[int | None, typer.Option("--add", help="Pieces to add; 20,000 if not given.")] = None,
    add_list: Annotated[
        Path | None, typer.Option("--add-list", metavar="FILE", help="Your own words, one a line; always one token.")
    ] = None,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    workers: options.Workers = console.default_workers(),
    limit: options.Limit = None,
    sample: options.Sample = None,
    seed: options.Seed = 0,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Add Chinese pieces to a model's tokenizer; its ids and its other languages stay as they are.

    `train settings` lists what -s and --config take.
    """
    started = time.monotonic()
    from train.config import ExtendConfig
    from train.extend import ExtendCall
    from train.extend import extend as carry_out
    from train.reading import Reading

    given = [] if add is None else [f"add={add}"]
    carry_out(
        ExtendCall(
            base=base,
            documents=documents,
            add_list=add_list,
            out=out,
            config=ExtendConfig.load(config, [*(settings or []), *given]),
            reading=Reading(workers, sample, limit, seed, quiet),
            dry_run=dry_run,
            as_json=as_json,
            lang=lang,
            started=started,
        )
    )


@app.command()
def view(
    tokenizer: Tok,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="Text to cut.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Take the text from a UTF-8 file; - is stdin.")
    ] = None,
    beside: Annotated[
        list[Path] | None, typer.Option("--beside", metavar="TOK", help="Another tokenizer to compare; repeatable.")
    ] = None,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="TEXT", help="Pieces that hold TEXT; #123 is the piece 123."),
    ] = None,
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Write an HTML page.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Search results.")] = 50,
    as_json: options.Json = False,
    lang: options.Lang = "en",
    verbose: options.Verbose = 0,
) -> None:
    """Show how a tokenizer cuts a text, with ids, and what is in its vocabulary."""
    from train.view import ViewCall
    from train.view import view as carry_out

    carry_out(
        ViewCall(
            tokenizers=[tokenizer, *(beside or [])],
            text=text,
            file=file,
            search=search,
            page=page,
            as_json=as_json,
            lang=lang,
            limit=limit,
        )
    )
