"""`corpus quality fit`, `fit-perplexity` and `score`. Parses first and imports then."""

import time
from pathlib import Path
from typing import Annotated

import typer

from corpus.cli_app import app
from runkit import console, options

quality = console.app("quality", "Models that tell good texts from bad ones, and their scores.")
app.add_typer(quality, name="quality", help="Fit models of good texts, and score sets by them.")

_SET = "Runs, parquet, JSON lines or text, optionally NAME=PATH; repeatable."


@quality.command(
    epilog=options.examples(
        "corpus quality fit --good books.parquet --bad runs/first --out runs/quality",
        "corpus clean crawl/*.warc.gz -s quality.model=runs/quality --out runs/chosen",
    )
)
def fit(
    good: Annotated[list[str], typer.Option("--good", metavar="DOCS", help=f"Texts to be like. {_SET}")],
    bad: Annotated[
        list[str],
        typer.Option(
            "--bad",
            metavar="DOCS",
            help="Texts to be unlike; of a run of `corpus clean` those that broke a rule. Repeatable.",
        ),
    ],
    out: options.Out,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    seed: options.SeedSetting = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Fit a classifier on good and on bad texts.

    It is linear, over character n-grams; RUN/quality.model is the model, RUN/report.html says what it is worth.
    `corpus clean -s quality.model=RUN` then measures the signal `quality`, for which `rules.quality.min` is the bound.
    """
    started = time.monotonic()
    from corpus.quality_config import QualityConfig

    chosen = QualityConfig.load(config, [*(settings or []), *([f"seed={seed}"] if seed is not None else [])])
    from corpus.quality_fit import FitCall
    from corpus.quality_fit import fit as carry_out

    carry_out(FitCall(good=good, bad=bad, out=out, config=chosen, as_json=as_json, lang=lang, started=started))


@quality.command(
    "fit-perplexity",
    epilog=options.examples(
        "corpus quality fit-perplexity --good books.parquet --terciles runs/first --out runs/perplexity",
        "corpus clean crawl/*.warc.gz -s quality.perplexity=runs/perplexity --out runs/chosen",
    ),
)
def fit_perplexity(
    good: Annotated[list[str], typer.Option("--good", metavar="DOCS", help=f"Clean texts. {_SET}")],
    out: options.Out,
    terciles: Annotated[
        list[str] | None,
        typer.Option(
            "--terciles", metavar="DOCS", help="Texts like those to be judged: their thirds are head, middle and tail."
        ),
    ] = None,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    seed: options.SeedSetting = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Fit a character n-gram model on clean texts.

    What surprises it is unlike them; RUN/quality.model is the model, RUN/report.html says where its thirds lie.
    `corpus clean -s quality.perplexity=RUN` then measures the signal `perplexity`, bounded by `rules.perplexity.max`.
    """
    started = time.monotonic()
    from corpus.quality_config import PerplexityConfig

    chosen = PerplexityConfig.load(config, [*(settings or []), *([f"seed={seed}"] if seed is not None else [])])
    from corpus.perplexity_fit import FitCall
    from corpus.perplexity_fit import fit as carry_out

    call = FitCall(
        good=good, terciles=terciles or [], out=out, config=chosen, as_json=as_json, lang=lang, started=started
    )
    carry_out(call)


@quality.command(
    epilog=options.examples(
        "corpus quality score runs/fair --model runs/quality --model runs/perplexity --out runs/scored",
    )
)
def score(
    inputs: Annotated[list[str], typer.Argument(metavar="DOCS", help=_SET)],
    out: options.Out,
    model: Annotated[
        list[Path],
        typer.Option("--model", metavar="MODEL", help="Run or file of `fit` or `fit-perplexity`; one of each at most."),
    ],
    config: options.ConfigFile = None,
    settings: options.Set = None,
    workers: options.Workers = console.default_workers(),
    limit: options.Limit = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
    max_bad: options.MaxBad = 1.0,
) -> None:
    """Score a set of texts by fitted models.

    RUN/documents has the set with the columns s_quality, s_perplexity and bucket (head, middle, tail). The same command
    on the same RUN goes on where it was stopped.
    """
    started = time.monotonic()
    from corpus.quality_config import ScoreConfig

    chosen = ScoreConfig.load(config, settings or [])
    from corpus.quality_score import ScoreCall
    from corpus.quality_score import score as carry_out

    carry_out(
        ScoreCall(
            inputs=inputs,
            out=out,
            models=model,
            config=chosen,
            workers=workers,
            limit=limit,
            dry_run=dry_run,
            as_json=as_json,
            quiet=quiet,
            lang=lang,
            max_bad=max_bad,
            started=started,
        )
    )
