"""The options that several commands have, spelt and explained once.

In: nothing. Out: annotated types for the parameters of typer commands. What an option may hold is checked here, before
anything is imported; a wrong value is one sentence and exit code 2.
"""

from pathlib import Path
from typing import Annotated

import typer

from runkit.console import note_verbosity
from runkit.errors import UsageError

LANGUAGES = ("en", "zh")  # of reports and pages


def _fraction(value: float | None) -> float | None:
    if value is not None and not 0 < value <= 1:
        raise typer.BadParameter(f"{value} is not above 0 and at most 1.")
    return value


def _at_a_time(value: str) -> str:
    if value != "auto" and not (value.isdigit() and 1 <= int(value) <= 1024):
        raise typer.BadParameter(f"{value} is neither auto nor a number from 1 to 1024.")
    return value


def calls_at_a_time(value: str) -> int | None:
    """What `--concurrency` says; None: to be found out."""
    return None if value == "auto" else int(value)


def _known_lang(value: str) -> str:
    if value not in LANGUAGES:
        raise UsageError(f"--lang {value} is not known; choose one of {', '.join(LANGUAGES)}.")
    return value


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise UsageError(f"--max-bad {value} is not between 0 and 1.")
    return value


Out = Annotated[Path, typer.Option("--out", help="Run directory: new, empty, or one to resume.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML file with settings.")]
Set = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=VALUE", help="Override one setting; repeatable."),
]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes; the output is the same for any number.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Take the first N records only.")]
Sample = Annotated[
    float | None, typer.Option("--sample", callback=_fraction, help="Take a fair part by hash, e.g. 0.01.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write and send nothing.")]
SeedSetting = Annotated[
    int | None, typer.Option("--seed", min=0, help="-s seed=…; same inputs, config and seed: same bytes.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same inputs, config and seed: same bytes.")]
Lang = Annotated[str, typer.Option("--lang", callback=_known_lang, help="Language of the report: en or zh.")]
MaxBad = Annotated[
    float,
    typer.Option("--max-bad", callback=_share, help="Exit with 6 when more than this share of the records was bad."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")]
Verbose = Annotated[
    int,
    typer.Option("-v", "--verbose", count=True, callback=note_verbosity, help="-vv: tracebacks of errors too."),
]

# Of commands that call models.
Budget = Annotated[
    float | None, typer.Option("--budget", min=0, metavar="USD", help="Never spend more than this on calls.")
]
Concurrency = Annotated[
    str,
    typer.Option("--concurrency", callback=_at_a_time, metavar="N|auto", help="Calls at a time; auto: found out."),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Ask again what failed in an earlier start.")]
ModelsFile = Annotated[
    Path | None,
    typer.Option("--models", metavar="FILE", help="Entries for names of models; models.yaml if there is one."),
]
Prices = Annotated[
    Path | None, typer.Option("--prices", metavar="FILE", help="USD for a million tokens, instead of our table.")
]
