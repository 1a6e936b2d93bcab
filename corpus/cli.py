"""The `corpus` command. Parses first and imports then: `--help` must not wait for numba and polars."""

import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from corpus.cli_app import app
from runkit import console, options

# Each file of commands registers them as it is imported; this is their order in `corpus --help`, behind those below.
MORE: tuple[str, ...] = ("cli_tune", "cli_stats", "cli_dedup", "cli_quality", "cli_mix", "cli_trace")

Executor = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="local|slurm|ray",
        help="Where ranks run; -s slurm.KEY and ray.KEY say how, the output is the same.",
    ),
]
Upload = Annotated[
    str | None,
    typer.Option("--upload", metavar="URL", help="Copy the run there too, shard by shard, as s3://bucket/folder."),
]


@app.command(
    epilog=options.examples(
        "corpus clean crawl/*.warc.gz blog=posts.jsonl.zst saved-pages/ --out runs/first",
        "corpus clean crawl/*.warc.gz --limit 1000 -s rules.chars.min=60 --out runs/try",
        "corpus clean /shared/crawl --executor slurm -s slurm.time=08:00:00 --out /shared/runs/crawl",
    )
)
def clean(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
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
    """Clean raw dumps, and give a reason for all that goes.

    RUN/documents holds what is kept, RUN/rejected the rest with every rule that it broke, RUN/report.html explains
    both. The same command on the same RUN goes on where it was stopped.
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


@app.command(
    epilog=options.examples(
        "corpus show runs/first --rejected --reason rules.top_2gram --limit 5",
        "corpus show runs/first --grep 图书馆 --full",
    )
)
def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory of `corpus clean`.")],
    rejected: Annotated[bool, typer.Option("--rejected", help="Show rejected documents, not kept ones.")] = False,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="REASON", help="Only rejected for this, as rules.chars; rules: for any rule."),
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", metavar="CODE", help="Only this language, as zh.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only this source.")] = None,
    grep: Annotated[
        str | None,
        typer.Option("--grep", metavar="TEXT", help="Only with TEXT in text, title or URL, in any case."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show N documents at most.")] = 10,
    offset: Annotated[int, typer.Option("--offset", metavar="N", min=0, help="Leave out the first N.")] = 0,
    full: Annotated[bool, typer.Option("--full", help="Show whole texts.")] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show documents of a run, and why each rejected one was."""
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
    """List every setting with its default and meaning.

    Those of `corpus clean` first, with the rules of the shipped configs; then those of the other commands.
    """
    from corpus.settings import show_settings

    show_settings(as_json)


for _name in MORE:
    import_module(f"corpus.{_name}")


def main() -> None:
    """Entry point of the `corpus` script."""
    # numpy's matrix library starts a thread for each core as it is imported: 0.1 CPU s, and nothing here needs it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(console.run_app(app))
