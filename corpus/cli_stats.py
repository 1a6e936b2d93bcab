"""`corpus stats`. Parses first and imports then."""

import time
from typing import Annotated

import typer

from corpus.cli_app import app
from runkit import console, options


@app.command(
    epilog=options.examples(
        "corpus stats runs/first books=books.parquet --out runs/stats",
        "corpus stats train.jsonl.zst -s text_field=output --lang zh --out runs/stats-zh",
    )
)
def stats(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="DOCS",
            help="Runs, parquet, JSON lines or text: files, folders, globs or URLs, each optionally NAME=PATH.",
        ),
    ],
    out: options.Out,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    workers: options.Workers = console.default_workers(),
    limit: options.Limit = None,
    sample: options.Sample = None,
    seed: options.SeedSetting = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
    max_bad: options.MaxBad = 1.0,
) -> None:
    """Say what a set of texts is made of.

    RUN/report.html and RUN/summary.json tell lengths, languages, sources, domains, characters by class, growth of the
    vocabulary, copies and repeated lines.
    """
    started = time.monotonic()
    from corpus.stats_config import StatsConfig

    chosen = StatsConfig.load(config, [*(settings or []), *([f"seed={seed}"] if seed is not None else [])])
    from corpus.stats import StatsCall
    from corpus.stats import stats as carry_out

    carry_out(
        StatsCall(
            inputs=inputs,
            out=out,
            config=chosen,
            workers=workers,
            limit=limit,
            sample=sample,
            dry_run=dry_run,
            as_json=as_json,
            quiet=quiet,
            lang=lang,
            max_bad=max_bad,
            started=started,
        )
    )
