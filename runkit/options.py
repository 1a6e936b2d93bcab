"""The options that several commands have, spelt and explained once.

In: nothing. Out: annotated types for the parameters of typer commands. What an option may hold is checked here, before
anything is imported; a wrong value is one sentence and exit code 2.
"""

from pathlib import Path
from typing import Annotated

import typer

from runkit.console import note_verbosity
from runkit.errors import UsageError
from runkit.shipped import or_shipped

LANGUAGES = ("en", "zh")  # of reports and pages


def fraction(value: float | None) -> float | None:
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


def _shipped(path: Path | None) -> Path | None:
    return None if path is None else or_shipped(path)


def _known_lang(value: str) -> str:
    if value not in LANGUAGES:
        raise UsageError(f"--lang {value} is not known; choose one of {', '.join(LANGUAGES)}.")
    return value


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise UsageError(f"--max-bad {value} is not between 0 and 1.")
    return value


def begin_with(*lines: str) -> str:
    """What the help of a tool ends with: the lines to try first, and where more is said."""
    shown = "\n".join(f"  {line}" for line in lines)
    more = "COMMAND --help has options and examples, README.md and docs/tutorial.md the whole way."
    return f"\b\nBegin with:\n{shown}\n\n{more}"


def examples(*lines: str) -> str:
    """What the help of a command ends with; each line can be run as it stands, with files of one's own."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


Out = Annotated[Path, typer.Option("--out", metavar="RUN", help="Run directory: new, empty, or one to resume.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", callback=_shipped, metavar="FILE", help="YAML file with settings; `settings` lists them."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=VALUE", help="One setting, whatever --config says; repeatable."),
]
Workers = Annotated[
    int,
    typer.Option("--workers", metavar="N", min=1, help="Processes; the output is the same for any number."),
]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Take the first N records only.")]
Sample = Annotated[
    float | None,
    typer.Option("--sample", metavar="SHARE", callback=fraction, help="Take a fair part by hash: 0.01 is 1 in 100."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write and send nothing.")]
SeedSetting = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", min=0, help="Same inputs, config and seed: same bytes. As -s seed=N."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Same inputs, config and seed: same bytes.")]
Lang = Annotated[
    str, typer.Option("--lang", metavar="en|zh", callback=_known_lang, help="Language of reports and pages.")
]
MaxBad = Annotated[
    float,
    typer.Option(
        "--max-bad",
        metavar="SHARE",
        callback=_share,
        help="Exit with 6 when more than this share (0 to 1) of the records was bad.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")]
Verbose = Annotated[
    int,
    typer.Option(
        "-v",
        "--verbose",
        count=True,
        callback=note_verbosity,
        show_default=False,
        help="-vv: tracebacks of errors too.",
    ),
]

# Of commands that call models.
Budget = Annotated[
    float | None,
    typer.Option("--budget", min=0, metavar="USD", help="Never spend more than so many US dollars on calls."),
]
Concurrency = Annotated[
    str,
    typer.Option(
        "--concurrency", callback=_at_a_time, metavar="N|auto", help="Calls at a time, 1 to 1,024; auto finds it out."
    ),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Ask again what failed in an earlier start.")]
ModelsFile = Annotated[
    Path | None,
    typer.Option("--models", metavar="FILE", show_default="models.yaml if there is one", help="Names of models."),
]
Prices = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", help="US dollars for a million tokens.", show_default="our table"),
]

# Of commands that serve pages.
Port = Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0: any that is free; it is printed.")]
Host = Annotated[
    str,
    typer.Option("--host", metavar="ADDRESS", help="Listen here; others than this machine's need --token-file."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="Its first line is the secret that every request must bring."),
]
