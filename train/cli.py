"""The `train` command. Parses first and imports then: `--help` must not wait for torch and sentencepiece."""

import sys
import time
from typing import Annotated

import typer

from runkit import console

app = console.app("train", "From clean documents to a language model.")
tokenizer_app = console.app("tokenizer", "Fit, extend and look at tokenizers.")
app.add_typer(tokenizer_app, name="tokenizer")

Documents = Annotated[
    list[str],
    typer.Argument(
        metavar="DOCS...",
        help="Runs of `corpus clean`, parquet, JSON lines or text; files, folders, globs or URLs, each optionally "
        "NAME=PATH.",
    ),
]
Lang = Annotated[str, typer.Option("--lang", help="Language of the report: en or zh.")]
MaxBad = Annotated[
    float, typer.Option("--max-bad", min=0, max=1, help="Exit with 6 when more than this share of the records was bad.")
]


@app.callback()
def _train() -> None:
    pass


@tokenizer_app.command()
def fit(
    documents: Documents,
    out: console.Out,
    vocab: Annotated[int | None, typer.Option("--vocab", help="Pieces in all; 32,000 if not given.")] = None,
    config: console.ConfigFile = None,
    settings: console.Set = None,
    workers: console.Workers = console.default_workers(),
    limit: console.Limit = None,
    sample: console.Sample = None,
    seed: console.Seed = 0,
    dry_run: console.DryRun = False,
    as_json: console.Json = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = 0,
    lang: Lang = "en",
) -> None:
    """Fit a SentencePiece BPE tokenizer with byte fallback: TOK/tokenizer.model and TOK/report.html."""
    started = time.monotonic()
    from train.config import FitConfig, chosen_lang
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
            lang=chosen_lang(lang),
            started=started,
        )
    )


def main() -> None:
    """Entry point of the `train` script."""
    sys.exit(console.run_app(app))
