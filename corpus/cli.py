"""The `corpus` command. Parses first and imports then: `--help` must not wait for numba and polars."""

import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from corpus.cli_app import app
from runkit import console, options

# Each file of commands registers them as it is imported; this is their order in `corpus --help`, behind those below.
MORE: tuple[str, ...] = ("cli_mix", "cli_dedup", "cli_tune", "cli_stats", "cli_quality")

Executor = Annotated[
    str, typer.Option("--executor", help="local, slurm or ray: -s slurm.* and ray.* say how; the output is the same.")
]
Upload = Annotated[
    str | None,
    typer.Option("--upload", metavar="URL", help="Copy the run there too, shard by shard: s3://bucket/folder."),
]


@app.command()
def clean(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files, folders, globs or URLs, each optionally NAME=PATH: WARC, WET, JSONL, HTML, parquet, "
            "MediaWiki XML, text, Markdown; gz, zst and bz2 too. Formats are found by content.",
        ),
    ],
    out: options.Out,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    workers: options.Workers = console.default_workers(),
    executor: Executor = "local",
    upload: Upload = None,
    limit: options.Limit = None,
    sample: options.Sample = None,
    seed: options.Seed = 0,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
    max_bad: options.MaxBad = 1.0,
) -> None:
    """Clean raw dumps: RUN/documents, RUN/rejected with all reasons, and RUN/report.html.

    The same command on the same RUN goes on where it was stopped. `corpus settings` lists what -s and --config take.
    """
    started = time.monotonic()
    from corpus.command import CleanCall, prepare

    call = CleanCall(
        inputs=inputs,
        out=out,
        config=config,
        settings=settings or [],
        workers=workers,
        limit=limit,
        sample=sample,
        seed=seed,
        dry_run=dry_run,
        as_json=as_json,
        quiet=quiet,
        lang=lang,
        max_bad=max_bad,
        executor=executor,
        upload=upload,
        started=started,
    )
    prepared = prepare(call)
    if prepared is not None:
        from corpus.run import carry_out

        carry_out(call, prepared)


@app.command()
def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of `corpus clean`.")],
    rejected: Annotated[bool, typer.Option("--rejected", help="Rejected documents, not kept ones.")] = False,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Only rejected for this, e.g. rules.chars; rules: for any rule."),
    ] = None,
    language: Annotated[str | None, typer.Option("--language", help="Only this language, e.g. zh.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only this source.")] = None,
    grep: Annotated[
        str | None,
        typer.Option("--grep", metavar="TEXT", help="Only with TEXT in text, title or URL, in any case."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many.")] = 10,
    offset: Annotated[int, typer.Option("--offset", min=0, help="Leave out so many first.")] = 0,
    full: Annotated[bool, typer.Option("--full", help="Whole texts.")] = False,
    as_json: options.Json = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show documents of a finished run, and why each rejected one was."""
    from corpus import show as browse

    wanted = browse.Wanted(
        rejected=rejected,
        reason=reason,
        language=language,
        source=source,
        grep=grep,
        limit=limit,
        offset=offset,
    )
    browse.show(run, wanted, full=full, as_json=as_json)


@app.command()
def settings(as_json: options.Json = False) -> None:
    """List every setting of `corpus clean` with its default and meaning, and the shipped rules."""
    from corpus.settings import show_settings

    show_settings(as_json)


for _name in MORE:
    import_module(f"corpus.{_name}")


def main() -> None:
    """Entry point of the `corpus` script."""
    sys.exit(console.run_app(app))
