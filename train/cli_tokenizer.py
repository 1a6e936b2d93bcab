"""The commands of `train tokenizer`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from runkit import console, options
from train.cli_options import SETS, Documents, Tok

app = console.app("tokenizer", "Fit, extend and look at tokenizers.")


@app.command(
    epilog=options.examples(
        "train tokenizer fit runs/first --vocab 32000 --out runs/tok",
    )
)
def fit(
    documents: Documents,
    out: options.Out,
    vocab: Annotated[
        int | None, typer.Option("--vocab", metavar="N", help="Pieces in all.", show_default="32,000")
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
    """Fit a SentencePiece BPE tokenizer with byte fallback.

    RUN/tokenizer.model is the tokenizer, RUN/report.html says what it is worth on documents that were held out.
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


@app.command(
    epilog=options.examples(
        "train tokenizer extend llama/tokenizer.model --with runs/first --add 20000 --out runs/more",
    )
)
def extend(
    base: Annotated[
        Path,
        typer.Argument(metavar="BASE", help="LLaMA-like tokenizer.model or byte-level tokenizer.json, or its folder."),
    ],
    documents: Annotated[list[str], typer.Option("--with", metavar="DOCS", help=f"{SETS} Repeatable.")],
    out: options.Out,
    add: Annotated[int | None, typer.Option("--add", metavar="N", help="Pieces to add.", show_default="20,000")] = None,
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
    """Add Chinese pieces to a model's tokenizer.

    Its ids and its other languages stay as they are; RUN/added.jsonl names the new pieces.
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


@app.command(
    epilog=options.examples(
        "train tokenizer view runs/tok 春眠不觉晓 --beside llama/tokenizer.model --page runs/view.html",
        "train tokenizer view runs/tok --search 中国",
    )
)
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
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show N results of --search at most.")] = 50,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Show how a tokenizer cuts a text.

    Pieces with their ids, bytes joined to characters, several tokenizers side by side; --search looks into
    the vocabulary.
    """
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
