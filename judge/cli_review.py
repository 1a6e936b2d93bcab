"""The commands about people: `judge review` and `judge agreement`."""

from pathlib import Path
from typing import Annotated

import typer

from judge.cli_app import app
from runkit import options
from runkit.errors import UsageError

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run of `judge compare`.")]


def _page_lang(value: str) -> str:
    if value and value not in options.LANGUAGES:
        raise UsageError(f"--lang {value} is not known; choose one of {', '.join(options.LANGUAGES)}.")
    return value


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise UsageError(f"--repeat {value} is not between 0 and 1.")
    return value


PageLang = Annotated[
    str,
    typer.Option(
        "--lang",
        metavar="en|zh",
        callback=_page_lang,
        help="Language of the page.",
        show_default="the browser's",
    ),
]
Items = Annotated[
    int | None,
    typer.Option("--items", min=1, metavar="N", help="A fair sample of N pairs for everybody.", show_default="all"),
]
Repeat = Annotated[
    float,
    typer.Option(
        "--repeat",
        metavar="SHARE",
        callback=_share,
        help="Share shown twice, sides swapped, to test consistency; 0 to 1.",
    ),
]
ReviewSeed = Annotated[
    int | None,
    typer.Option(
        "--seed", metavar="N", min=0, help="Seed of sample, order and sides.", show_default="0; as first given"
    ),
]
Reviewers = Annotated[
    str,
    typer.Option("--reviewers", metavar="NAME,NAME", help="Who may judge.", show_default="whoever opens the page"),
]


@app.command(
    epilog=options.examples(
        "judge review runs/cmp --items 50 --reviewers 小王,小李 --open",
        "judge review runs/cmp --export people.jsonl",
    )
)
def review(
    run: Run,
    port: options.Port = 8700,
    host: options.Host = "127.0.0.1",
    token_file: options.TokenFile = None,
    lang: PageLang = "",
    items: Items = None,
    repeat: Repeat = 0.1,
    seed: ReviewSeed = None,
    reviewers: Reviewers = "",
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write people's verdicts as JSON lines, and leave.")
    ] = None,
    take: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Take verdicts of such a file, and leave.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Let people compare answers blind, on a local page.

    Keys: 1 left, 2 right, 0 tie, 9 both bad. Each verdict is on the disk before the next pair is shown; who comes back
    under the same name goes on where they stopped. -v prints a line for each request.
    """
    from judge.review import ReviewCall
    from judge.review import review as carry_out

    carry_out(
        ReviewCall(
            run=run,
            host=host,
            port=port,
            token_file=token_file,
            lang=lang,
            items=items,
            repeat=repeat,
            seed=seed,
            reviewers=tuple(name for name in reviewers.split(",") if name.strip()),
            export=export,
            take=take,
            open_page=open_page,
            as_json=as_json,
            quiet=quiet,
            verbose=verbose,
        )
    )


@app.command(epilog=options.examples("judge agreement runs/cmp"))
def agreement(
    run: Run,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="NAME",
            help="The system that the others are compared with.",
            show_default="the run's",
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show how far judges agree with people.

    And people with each other, with differences and win rates that people have calibrated; people's verdicts come from
    `judge review`.
    """
    from judge.agreement import AgreementCall
    from judge.agreement import agreement as carry_out

    carry_out(AgreementCall(run=run, reference=reference, as_json=as_json, quiet=quiet))
