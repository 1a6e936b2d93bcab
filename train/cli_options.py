"""Arguments and options that several `train` commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

SETS = "Runs of `corpus clean`, parquet, JSON lines or text; files, folders, globs or URLs, each optionally NAME=PATH."
Documents = Annotated[list[str], typer.Argument(metavar="DOCS", help=SETS)]
Tok = Annotated[
    Path,
    typer.Argument(
        metavar="TOK",
        help="Tokenizer: a folder of `fit` or `extend`, a model's, tokenizer.model, tokenizer.json or vocab.txt.",
    ),
]
Shards = Annotated[list[Path], typer.Argument(metavar="SHARDS", help="Folders of `train tokens`.")]
ModelPath = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Run of `train`, a Hugging Face folder, or a .gguf file.")
]
NewFolder = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="New or empty folder.")]
Dtype = Annotated[
    Literal["fp32", "bf16", "fp16"], typer.Option("--dtype", help="Number type of the weights in the file.")
]
ShardGb = Annotated[float, typer.Option("--shard-gb", metavar="GB", min=0.001, help="Largest file of weights, in GB.")]
Curve = Annotated[bool, typer.Option("--curve", help="Measure every whole checkpoint of a run, the oldest first.")]
CurvePage = Annotated[Path | None, typer.Option("--page", metavar="FILE", help="With --curve: write an HTML page.")]
Template = Annotated[
    str | None,
    typer.Option(
        "--template",
        metavar="NAME|FILE",
        help="Chat template: chatml, plain or a Jinja file.",
        show_default="the model's own",
    ),
]
Keep = Annotated[
    int | None,
    typer.Option("--keep", metavar="N", min=1, help="Checkpoints that stay, the newest. As -s keep=N."),
]
