"""The commands of `train eval`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from runkit import console, options
from runkit.errors import UsageError
from train.cli_options import Curve, CurvePage, Documents, ModelPath

app = console.app("eval", "Measure a model: perplexity, four-choice questions.")


WindowTokens = Annotated[
    int | None,
    typer.Option("--seq-len", metavar="N", min=2, help="Tokens in a window.", show_default="the model's own"),
]
Stride = Annotated[
    int | None,
    typer.Option("--stride", metavar="N", min=1, help="Tokens between windows.", show_default="half a window"),
]
HeldOut = Annotated[
    float | None,
    typer.Option(
        "--held-out",
        metavar="SHARE",
        min=0,
        max=1,
        help="Only the documents that training with this share left out.",
    ),
]


@app.command(
    epilog=options.examples(
        "train eval ppl runs/base runs/first --held-out 0.01",
        "train eval ppl runs/base books=books.parquet --curve --page runs/curve.html",
    )
)
def ppl(
    model: ModelPath,
    documents: Documents,
    seq_len: WindowTokens = None,
    stride: Stride = None,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Windows at a time.")] = 8,
    held_out: HeldOut = None,
    text_field: Annotated[
        str, typer.Option("--text-field", metavar="NAME", help="Field or column with the text.")
    ] = "text",
    limit: options.Limit = None,
    sample: options.Sample = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    max_bad: options.MaxBad = 1.0,
    curve: Curve = False,
    page: CurvePage = None,
    lang: options.Lang = "en",
) -> None:
    """Measure perplexity and bits a character, by source.

    Bits a character and a byte compare models of different tokenizers.
    """
    _check_page(page, curve)
    from train.curve import ppl_curve
    from train.evaluate import PplCall, eval_ppl

    call = PplCall(
        run=model,
        documents=documents,
        seq_len=seq_len,
        stride=stride,
        batch=batch,
        text_field=text_field,
        held_out=held_out,
        limit=limit,
        sample=sample,
        seed=seed,
        as_json=as_json,
        quiet=quiet,
        max_bad=max_bad,
    )
    if curve:
        ppl_curve(call, page, lang)
    else:
        eval_ppl(call)


@app.command(
    epilog=options.examples(
        "train eval mcq runs/base c-eval --shots 5 --out runs/answers",
    )
)
def mcq(
    model: ModelPath,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="dev/, val/ and test/ with CSV files, as C-Eval's.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="RUN", help="Run directory for answers and figures: new, empty, or one to resume."
        ),
    ] = None,
    split: Annotated[Literal["dev", "val", "test"], typer.Option("--split", help="Which questions are asked.")] = "val",
    shots: Annotated[
        int, typer.Option("--shots", metavar="N", min=0, help="Worked examples before each question.")
    ] = 5,
    wording: Annotated[Literal["zh", "en"], typer.Option("--prompt", help="Language of the prompt.")] = "zh",
    subjects: Annotated[
        list[str] | None, typer.Option("--subjects", metavar="NAME", help="Only this subject; repeatable.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Take the first N questions of each subject only.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Questions at a time, at most.")] = 16,
    bos: Annotated[
        bool | None,
        typer.Option(
            "--bos/--no-bos", help="Begin prompts with the begin token.", show_default="as the model was trained"
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    curve: Curve = False,
    page: CurvePage = None,
    lang: options.Lang = "en",
) -> None:
    """Ask four-choice questions as C-Eval does.

    Answered by the next-token logits of A, B, C and D behind worked examples; chance is 25 %.
    """
    _check_page(page, curve)
    from train.curve import mcq_curve
    from train.mcq import McqCall, eval_mcq

    call = McqCall(
        run=model,
        folder=folder,
        out=out,
        split=split,
        shots=shots,
        wording=wording,
        subjects=tuple(subjects or ()),
        limit=limit,
        batch=batch,
        bos=bos,
        as_json=as_json,
        quiet=quiet,
    )
    if curve:
        mcq_curve(call, page, lang)
    else:
        eval_mcq(call)


def _check_page(page: Path | None, curve: bool) -> None:
    if page is not None and not curve:
        raise UsageError("--page belongs to --curve; give both.")
