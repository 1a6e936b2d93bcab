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

app = console.app(
    "selfinstruct",
    "From seed tasks to Chinese instruction data.",
    options.begin_with(
        "selfinstruct generate --seeds examples/seeds.jsonl --model template --n 100 --out runs/inst",
        "selfinstruct stats runs/inst",
    ),
)


SeedFiles = Annotated[
    list[Path], typer.Option("--seeds", metavar="FILE", help="Seed tasks: ours, Alpaca's or BELLE's; repeatable.")
]
Number = Annotated[int, typer.Option("-n", "--n", metavar="N", min=1, help="Items to keep; may be raised later.")]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="name@https://host/v1, or a name in models.yaml or at OPENAI_BASE_URL; template: rules, no network.",
    ),
]
FromDocs = Annotated[
    list[str] | None,
    typer.Option("--from-docs", metavar="DOCS", help="Runs of `corpus clean` or files to ground tasks in; repeatable."),
]
TwoPhase = Annotated[bool, typer.Option("--two-phase", help="Ask for tasks first, and answer each one alone.")]
Topics = Annotated[
    Path | None, typer.Option("--topics", metavar="FILE", help="Text file with a topic a line.", show_default="ours")
]
InstructionRun = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run of `selfinstruct generate` or `selfinstruct dedup`.")
]
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE", help="Instruction sets: Alpaca, BELLE, ShareGPT, messages; JSON, JSON lines, zst, gz."
    ),
]
Tokenizer = Annotated[
    Literal["char", "word", "jieba"],
    typer.Option("--tokenizer", help="What ROUGE-L counts: Chinese characters and runs of others, words, or jieba's."),
]


Threshold = Annotated[
    float,
    typer.Option("--threshold", metavar="F1", callback=options.fraction, help="Highest ROUGE-L F1, above 0 up to 1."),
]


@app.callback()
def _selfinstruct() -> None:
    pass


@app.command(
    epilog=options.examples(
        "selfinstruct generate --seeds examples/seeds.jsonl --model template --n 500 --out runs/inst",
        "selfinstruct generate --seeds examples/seeds.jsonl --model deepseek-chat --n 10000 --dry-run --out runs/many",
        "selfinstruct generate --seeds mine.jsonl --model qwen --models models.yaml --n 500 --budget 2 --out runs/few",
    )
)
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
    """Make instructions from seed tasks, by a model or by rules.

    RUN/instructions.jsonl holds what is kept, RUN/rejected.jsonl the rest with all reasons, RUN/ledger.sqlite every
    call. The same command on the same RUN goes on where it was stopped and pays for no call twice.
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


@app.command(
    epilog=options.examples(
        "selfinstruct dedup alpaca.json belle.jsonl.zst --out runs/new",
    )
)
def dedup(
    files: Files,
    out: options.Out,
    tokenizer: Tokenizer = "char",
    threshold: Threshold = 0.7,
    nearest: Annotated[
        bool, typer.Option("--nearest", help="Note the nearest of what is kept too; three times as long.")
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    max_bad: options.MaxBad = 1.0,
) -> None:
    """Keep what is new in instruction sets, by exact ROUGE-L.

    In the order in which they come: RUN/instructions.jsonl holds what is kept, RUN/rejected.jsonl the rest, each with
    its nearest.
    """
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


@app.command(
    epilog=options.examples(
        "selfinstruct overlap test-questions.jsonl runs/inst --out nearest.jsonl",
    )
)
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
    verbose: options.Verbose = 0,
) -> None:
    """Say how near the items of one set are to another's.

    As those of a test set to a training set: for each item of A the nearest of B, by exact ROUGE-L.
    """
    from selfinstruct.dedup import OverlapCall
    from selfinstruct.dedup import overlap as carry_out

    carry_out(
        OverlapCall(
            ours=ours, theirs=theirs, out=out, tokenizer=tokenizer, threshold=threshold, as_json=as_json, quiet=quiet
        )
    )


@app.command(epilog=options.examples("selfinstruct stats runs/inst --lang zh"))
def stats(
    run: InstructionRun,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Show kinds, lengths, novelty, verbs, reasons and cost.

    RUN/report.html is written anew.
    """
    from selfinstruct.stats import StatsCall
    from selfinstruct.stats import stats as carry_out

    carry_out(StatsCall(run=run, as_json=as_json, quiet=quiet, lang=lang))


@app.command(
    epilog=options.examples(
        "selfinstruct export runs/inst --format sharegpt --out train.jsonl",
        "selfinstruct export belle.jsonl.zst --format messages --out train.jsonl",
    )
)
def export(
    source: Annotated[Path, typer.Argument(metavar="RUN|FILE", help="A run, or an instruction set in any layout.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="New file; for parquet a new or empty folder.")],
    layout: Annotated[
        Literal["alpaca", "belle", "sharegpt", "messages", "parquet"],
        typer.Option("--format", help="Layout to write; parquet comes with a dataset card."),
    ] = "alpaca",
    system: Annotated[str, typer.Option("--system", metavar="TEXT", help="System message of every conversation.")] = "",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Write a set of instructions in another layout.

    Nothing is lost on the way there and back.
    """
    from selfinstruct.export import ExportCall
    from selfinstruct.export import export as carry_out

    carry_out(ExportCall(source=source, out=out, layout=layout, system=system, as_json=as_json, lang=lang))


@app.command()
def settings(as_json: options.Json = False) -> None:
    """List every setting with its default and meaning."""
    from selfinstruct.settings import show_settings

    show_settings(as_json)


def main() -> None:
    """Entry point of the `selfinstruct` script."""
    sys.exit(console.run_app(app))
