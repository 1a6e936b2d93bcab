"""The commands that ask models: `judge compare`, `answer`, `export` and `selftest`. Parses first and imports then."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from judge.cli_app import app
from runkit import options

if TYPE_CHECKING:
    from judge.asking import Limits


def _limits(budget: float | None, concurrency: str, retry_failed: bool, quiet: bool) -> "Limits":
    from judge.asking import Limits

    at_a_time = options.calls_at_a_time(concurrency)
    return Limits(budget_usd=budget, concurrency=at_a_time, retry_failed=retry_failed, quiet=quiet)


_WHO = "a file of answers, a checkpoint folder, name@https://host/v1, or a name in models.yaml or at OPENAI_BASE_URL"
Systems = Annotated[list[str], typer.Argument(metavar="[NAME=]SYSTEM", help=f"Two or more to compare, each {_WHO}.")]
Questions = Annotated[
    list[str],
    typer.Option(
        "--questions", metavar="FILE", help="Questions: our layout, BELLE's evaluation set or Alpaca's; repeatable."
    ),
]
Judges = Annotated[
    list[str],
    typer.Option(
        "--judge",
        metavar="MODEL",
        help="Who judges: as a system, but no file; overlap: a weak baseline, no network; repeatable.",
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="SYSTEM",
        help="What the others are compared with: one of them, or one more.",
        show_default="the last one",
    ),
]
Grammar = Annotated[
    Literal["scores", "three-way"] | None,
    typer.Option(
        "--grammar",
        help="scores: 1 to 10 each; three-way: A, B or tie, for judges that cannot score. As -s grammar=….",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option("--samples", metavar="N", min=1, help="Verdicts of each judge for each order. As -s samples=N."),
]


@app.command(
    epilog=options.examples(
        "judge compare runs/base runs/chat --questions examples/questions.jsonl --judge overlap --out runs/cmp",
        "judge compare runs/chat qwen --questions mine.jsonl --judge deepseek --budget 3 --dry-run --out runs/paid",
        "judge compare old=answers.jsonl runs/chat --questions mine.jsonl --judge deepseek --budget 3 --out runs/paid",
    )
)
def compare(
    systems: Systems,
    questions: Questions,
    judges: Judges,
    out: options.Out,
    reference: Reference = None,
    grammar: Grammar = None,
    samples: Samples = None,
    budget: options.Budget = None,
    concurrency: options.Concurrency = "auto",
    models: options.ModelsFile = None,
    prices: options.Prices = None,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    seed: options.SeedSetting = None,
    limit: options.Limit = None,
    sample: options.Sample = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
    max_bad: options.MaxBad = 1.0,
    retry_failed: options.RetryFailed = False,
) -> None:
    """Say which of two or more systems answers better.

    Judges see each pair of answers in both orders; RUN/report.html opens with one line, RUN/verdicts.jsonl holds every
    verdict with its text. The same command on the same RUN goes on where it was stopped and pays for no call twice.
    """
    started = time.monotonic()
    from judge.compare_config import CompareConfig

    flags = {"grammar": grammar, "samples": samples, "seed": seed}
    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    chosen = CompareConfig.load(config, [*(settings or []), *given])
    from judge.compare import compare as carry_out
    from judge.compare_plan import CompareCall

    carry_out(
        CompareCall(
            systems=systems,
            questions=questions,
            judges=judges,
            out=out,
            config=chosen,
            reference=reference,
            models_file=models,
            prices_file=prices,
            limits=_limits(budget, concurrency, retry_failed, quiet),
            limit=limit,
            sample=sample,
            dry_run=dry_run,
            as_json=as_json,
            lang=lang,
            max_bad=max_bad,
            started=started,
        )
    )


@app.command(
    epilog=options.examples(
        "judge answer qwen --questions mine.jsonl --models models.yaml --budget 1 --out runs/qwen",
    )
)
def answer(
    systems: Annotated[
        list[str], typer.Argument(metavar="[NAME=]MODEL", help=f"One or more to ask, each {_WHO.split(', ', 1)[1]}.")
    ],
    questions: Questions,
    out: options.Out,
    budget: options.Budget = None,
    concurrency: options.Concurrency = "auto",
    models: options.ModelsFile = None,
    prices: options.Prices = None,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    limit: options.Limit = None,
    sample: options.Sample = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    max_bad: options.MaxBad = 1.0,
    retry_failed: options.RetryFailed = False,
) -> None:
    """Collect the answers of models to questions.

    RUN/answers.jsonl, which `judge compare` takes as a system. The same command on the same RUN goes on where it was
    stopped and pays for no call twice.
    """
    started = time.monotonic()
    from judge.compare_config import AnswerConfig

    chosen = AnswerConfig.load(config, settings or [])
    from judge.answering import AnswerCall
    from judge.answering import answer as carry_out

    carry_out(
        AnswerCall(
            systems=systems,
            questions=questions,
            out=out,
            config=chosen,
            models_file=models,
            prices_file=prices,
            limits=_limits(budget, concurrency, retry_failed, quiet),
            limit=limit,
            sample=sample,
            dry_run=dry_run,
            as_json=as_json,
            max_bad=max_bad,
            started=started,
        )
    )


@app.command(
    epilog=options.examples(
        "judge export runs/cmp --pairs --min-margin 2 --out pairs.jsonl",
    )
)
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run of `judge compare`.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="JSON lines to write.")],
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Chosen and rejected answers where both orders agree; needed.")
    ] = False,
    min_margin: Annotated[
        float,
        typer.Option(
            "--min-margin", metavar="POINTS", min=0, help="Points by which a pair has to be won, over both orders."
        ),
    ] = 0.0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Write pairs for preference tuning.

    JSON lines with prompt, chosen and rejected; what both orders do not confirm is left out and counted.
    """
    from judge.export import ExportCall, export_pairs
    from runkit.errors import UsageError

    if not pairs:
        raise UsageError("`judge export` has one kind of output so far; say --pairs.")
    export_pairs(ExportCall(run=run, out=out, min_margin=min_margin, as_json=as_json))


@app.command(
    epilog=options.examples(
        "judge selftest --judge overlap",
        "judge selftest --judge deepseek --models models.yaml --budget 1 --out runs/selftest",
    )
)
def selftest(
    judge: Annotated[str, typer.Option("--judge", metavar="MODEL", help="The judge to try, as for `judge compare`.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="RUN",
            help="Run directory for scorecard and calls: new, empty, or one to resume.",
            show_default="nothing is kept",
        ),
    ] = None,
    grammar: Grammar = None,
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
    retry_failed: options.RetryFailed = False,
) -> None:
    """Try a judge before it is paid for.

    Identical, empty, cut, padded, wrong, constant and injected answers, and a scorecard of what it made of them.
    """
    started = time.monotonic()
    from judge.compare_config import CompareConfig

    flags = {"grammar": grammar, "seed": seed}
    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    chosen = CompareConfig.load(config, [*(settings or []), *given])
    from judge.selftest import SelftestCall
    from judge.selftest import selftest as carry_out

    carry_out(
        SelftestCall(
            judge=judge,
            out=out,
            config=chosen,
            models_file=models,
            prices_file=prices,
            limits=_limits(budget, concurrency, retry_failed, quiet),
            dry_run=dry_run,
            as_json=as_json,
            started=started,
        )
    )


@app.command()
def settings(as_json: options.Json = False) -> None:
    """List every setting with its default and meaning."""
    from judge.settings import show_settings

    show_settings(as_json)
