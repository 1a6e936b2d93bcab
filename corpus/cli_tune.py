"""`corpus tune`. Parses first and imports then."""

import time
from pathlib import Path
from typing import Annotated

import typer

from corpus.cli_app import app
from runkit import console, options
from runkit.errors import UsageError


@app.command()
def tune(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of `corpus clean`.")],
    config: options.ConfigFile = None,
    settings: options.Set = None,
    samples: Annotated[
        int, typer.Option("--samples", min=0, max=100, help="Documents to show of those that flip.")
    ] = 3,
    page: Annotated[Path | None, typer.Option("--page", help="Write a page with a slider for each rule.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write a run with these thresholds.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Run directory that --apply writes; unset: RUN-tuned.")
    ] = None,
    workers: options.Workers = console.default_workers(),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Show what other thresholds would keep of a finished run, from its stored signals, at once.

    For example `corpus tune RUN -s rules.top_2gram.max=0.3`. Without any, the rules of the run are listed.
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
