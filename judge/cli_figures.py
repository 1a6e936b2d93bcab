"""The commands `judge import`, `judge report` and `judge reparse`. Parses first and imports then."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from judge.cli_app import app
from runkit import options

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run of `judge compare` or `judge import`.")]
Reference = Annotated[
    str | None,
    typer.Option("--reference", metavar="NAME", help="The system that the others are compared with."),
]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Verdicts form no cycles, and looking for some takes a fifth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@app.command(
    name="import",
    epilog=options.examples(
        "judge import verdicts.jsonl.zst --grammar two-scores --reference gpt-3.5-turbo --out runs/recorded",
    ),
)
def import_(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Records with question_id, first, second, raw (and category, judge): jsonl, gz, zst.",
        ),
    ],
    grammar: Annotated[
        Literal["two-scores", "three-way", "scores", "three-way-nonce"],
        typer.Option(
            "--grammar",
            help="two-scores: two numbers; three-way: 1/2/3 or A/B/tie; scores, three-way-nonce: of our own prompts.",
        ),
    ],
    out: options.Out,
    reference: Reference = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
    max_bad: options.MaxBad = 1.0,
) -> None:
    """Take recorded texts of any judge as verdicts.

    RUN/verdicts.jsonl and RUN/report.html with the same figures as of `judge compare`.
    """
    started = time.monotonic()
    with _uncollected():
        from judge.recorded import ImportCall, import_verdicts

        import_verdicts(
            ImportCall(
                files=files,
                grammar=grammar,
                reference=reference,
                out=out,
                as_json=as_json,
                quiet=quiet,
                lang=lang,
                max_bad=max_bad,
                started=started,
            )
        )


@app.command(epilog=options.examples("judge report runs/cmp --lang zh"))
def report(
    run: Run,
    reference: Reference = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Show which system is better, and how sure that is.

    RUN/report.html and RUN/summary.json are written anew.
    """
    with _uncollected():
        from judge.reporting import ReportCall, show_report

        show_report(ReportCall(run=run, as_json=as_json, quiet=quiet, lang=lang, reference=reference))


@app.command(epilog=options.examples("judge reparse runs/cmp"))
def reparse(
    run: Run,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Read every stored text of a judge again.

    With the grammar as it is now; no call is made.
    """
    with _uncollected():
        from judge.reparse import ReparseCall
        from judge.reparse import reparse as carry_out

        carry_out(ReparseCall(run=run, as_json=as_json, quiet=quiet, lang=lang))
