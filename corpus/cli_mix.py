"""`corpus mix`. Parses first and imports then."""

from pathlib import Path
from typing import Annotated

import typer

from corpus.cli_app import app
from runkit import options
from runkit.shipped import or_shipped


@app.command(
    epilog=options.examples(
        "corpus mix configs/mix-finance.yaml --page runs/mix.html",
        "corpus mix configs/mix-gpt3.yaml -s budget=150B",
    )
)
def mix(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="YAML: unit, budget, sources with weight and size.")],
    set_: options.Set = None,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Write an HTML page that draws it.")
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Show what a mixture draws from each source.

    Shares, amounts, and how often training goes round each under a budget; more than four epochs are warned of.
    configs/mix-gpt3.yaml and configs/mix-finance.yaml are plans to begin with.
    """
    from corpus.mix import MixCall, show_mix

    show_mix(MixCall(plan=or_shipped(plan), overrides=set_ or [], page=page, as_json=as_json, lang=lang))
