"""The `selfinstruct` command. Parses first and imports then: `--help` must not wait for numba, polars or openai."""

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from runkit import console, options

app = console.app("selfinstruct", "From seed tasks to Chinese instruction data.")


def _rouge(value: float) -> float:
    if not 0 < value <= 1:
        raise typer.BadParameter(f"{value} is not above 0 and at most 1.")
    return value


SeedFiles = Annotated[
    list[Path], typer.Option("--seeds", metavar="FILE", help="Seed tasks: ours, Alpaca's or BELLE's; repeatable.")
]
Number = Annotated[int, typer.Option("-n", "--n", min=1, help="Items to keep.")]
ModelName = Annotated[
    str,
    typer.Option("--model", help="name@https://host/v1, a name in models.yaml or at OPENAI_BASE_URL; template: rules."),
]
FromDocs = Annotated[
    list[str] | None,
    typer.Option("--from-docs", metavar="DOCS", help="Runs of `corpus clean` or files to ground tasks in; repeatable."),
]
TwoPhase = Annotated[bool, typer.Option("--two-phase", help="Ask for tasks first, and answer each one alone.")]
Topics = Annotated[
    Path | None, typer.Option("--topics", metavar="FILE", help="Text file with a topic a line, instead of ours.")
]
InstructionRun = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run of `selfinstruct generate` or `selfinstruct dedup`.")
]
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...", help="Instruction sets: Alpaca, BELLE, ShareGPT, messages; JSON, JSON lines, zst, gz."
    ),
]
Tokenizer = Annotated[
    Literal["char", "word", "jieba"],
    typer.Option("--tokenizer", help="What ROUGE-L counts: char (Chinese characters and runs of others), word, jieba."),
]


Threshold = Annotated[float, typer.Option("--threshold", callback=_rouge, help="Highest ROUGE-L F1.")]


@app.callback()
def _selfinstruct() -> None:
    pass


@app.command()
def generate(
    seeds: SeedFiles,
    out: options.Out,
    n: Number,
    model: ModelName = "",
    documents: FromDocs = None,
    two_phase: TwoPhase = False,
    topics: Topics = None,
    budget: options.Budget = None,
    concurrency: options.Concurrency = "auto",
    models: options.ModelsFile = None,
    prices: options.Prices = None,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    seed: options.SeedSetting = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
    max_bad: options.MaxBad = 1.0,
    retry_failed: options.RetryFailed = False,
) -> None:
    """Make instruction data from seed tasks with a model: RUN/instructions.jsonl and RUN/report.html.

    The same command on the same RUN goes on where it was stopped and pays for no call twice. `selfinstruct settings`
    lists what -s and --config take.
    """
    started = time.monotonic()
    from selfinstruct.config import GenerateConfig

    flags = {"two_phase": "true" if two_phase else None, "seed": seed}
    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    chosen = GenerateConfig.load(config, [*(settings or []), *given])
    from selfinstruct.generate import GenerateCall
    from selfinstruct.generate import generate as carry_out

    carry_out(
        GenerateCall(
            seeds=seeds,
            out=out,
            n=n,
            model=model,
            config=chosen,
            documents=documents or [],
            topics=topics,
            models_file=models,
            prices_file=prices,
            budget_usd=budget,
            concurrency=options.calls_at_a_time(concurrency),
            dry_run=dry_run,
            as_json=as_json,
            quiet=quiet,
            lang=lang,
            max_bad=max_bad,
            started=started,
            retry_failed=retry_failed,
        )
    )


@app.command()
def dedup(
    files: Files,
    out: options.Out,
    tokenizer: Tokenizer = "char",
    threshold: Threshold = 0.7,
    nearest: Annotated[
        bool, typer.Option("--nearest", help="Note the nearest of what is kept too; takes about three times as long.")
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    max_bad: options.MaxBad = 1.0,
) -> None:
    """Keep what is new of instruction sets, by exact ROUGE-L: RUN/instructions.jsonl and RUN/rejected.jsonl."""
    started = time.monotonic()
    with _uncollected():
        from selfinstruct.dedup import DedupCall
        from selfinstruct.dedup import dedup as carry_out

        carry_out(
            DedupCall(
                files=files,
                out=out,
                tokenizer=tokenizer,
                threshold=threshold,
                with_nearest=nearest,
                as_json=as_json,
                quiet=quiet,
                max_bad=max_bad,
                started=started,
            )
        )


@contextmanager
def _uncollected() -> Iterator[None]:
    """Modules and records form no cycles, and looking for some takes 0.1 s of importing and 0.15 of reading."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@app.command()
def overlap(
    ours: Annotated[str, typer.Argument(metavar="A", help="Instruction set whose items are looked for.")],
    theirs: Annotated[str, typer.Argument(metavar="B", help="Instruction set that they are looked for in.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write each item of A with its nearest of B, worst first."),
    ] = None,
    tokenizer: Tokenizer = "char",
    threshold: Threshold = 0.7,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Say how near the items of one set come to those of another, as a test set to a training set."""
    from selfinstruct.dedup import OverlapCall
    from selfinstruct.dedup import overlap as carry_out

    carry_out(
        OverlapCall(
            ours=ours, theirs=theirs, out=out, tokenizer=tokenizer, threshold=threshold, as_json=as_json, quiet=quiet
        )
    )


@app.command()
def stats(
    run: InstructionRun, as_json: options.Json = False, quiet: options.Quiet = False, lang: options.Lang = "en"
) -> None:
    """Show kinds, lengths, novelty, verbs, reasons and cost; writes RUN/report.html."""
    from selfinstruct.stats import StatsCall
    from selfinstruct.stats import stats as carry_out

    carry_out(StatsCall(run=run, as_json=as_json, quiet=quiet, lang=lang))


@app.command()
def export(
    source: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="A run, or an instruction set in any layout.")],
    out: Annotated[Path, typer.Option("--out", help="New file; for parquet a new or empty folder.")],
    layout: Annotated[
        Literal["alpaca", "belle", "sharegpt", "messages", "parquet"],
        typer.Option("--format", help="alpaca, belle, sharegpt, messages, or parquet with a dataset card."),
    ] = "alpaca",
    system: Annotated[str, typer.Option("--system", metavar="TEXT", help="System message of every conversation.")] = "",
    as_json: options.Json = False,
    lang: options.Lang = "en",
) -> None:
    """Write a set of instructions in another layout; nothing is lost on the way there and back."""
    from selfinstruct.export import ExportCall
    from selfinstruct.export import export as carry_out

    carry_out(ExportCall(source=source, out=out, layout=layout, system=system, as_json=as_json, lang=lang))


@app.command()
def settings(as_json: options.Json = False) -> None:
    """List every setting of each command with its default and meaning."""
    from selfinstruct.settings import show_settings

    show_settings(as_json)


def main() -> None:
    """Entry point of the `selfinstruct` script."""
    sys.exit(console.run_app(app))
