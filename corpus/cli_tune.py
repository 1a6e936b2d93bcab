"""`corpus tune`. Parses first and imports then."""

import time
from pathlib import Path
from typing import Annotated

import typer

from corpus.cli_app import app
from runkit import console, options
from runkit.errors import UsageError


@app.command(
    epilog=options.examples(
        "corpus tune runs/first -s rules.top_2gram.max=0.3",
        "corpus tune runs/first --page runs/tune.html",
        "corpus tune runs/first -s rules.chars.min=60 --apply --out runs/second",
    )
)
def tune(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of `corpus clean`.")],
    config: options.ConfigFile = None,
    settings: options.Set = None,
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", min=0, max=100, help="Show N of the documents that flip.")
    ] = 3,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Write an HTML page with a slider for each rule.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write a run with these thresholds; the dump is not read.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RUN", help="Run directory that --apply writes.", show_default="RUN-tuned"),
    ] = None,
    workers: options.Workers = console.default_workers(),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Show what other thresholds would keep of a run.

    Documents and characters won and lost, from stored signals, at once. Without -s the rules of the run are listed.
    """
    started = time.monotonic()
    if out is not None and not apply:
        raise UsageError("--out names the run that --apply writes; add --apply.")
    from corpus.tune import TuneCall, prepare, tell

    call = TuneCall(
        run=run,
        config=config,
        settings=settings or [],
        samples=samples,
        page=page,
        apply=apply,
        out=out,
        workers=workers,
        as_json=as_json,
        quiet=quiet,
        lang=lang,
        started=started,
    )
    tuning = prepare(call)
    if page is not None:
        from corpus.tune_page import write_page

        write_page(call, tuning)
    if apply:
        from corpus.tune_apply import apply_tuning

        apply_tuning(call, tuning)
    elif page is None or call.as_json:
        tell(call, tuning)
