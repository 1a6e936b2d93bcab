"""The command `train sft`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from runkit import options
from runkit.errors import UsageError
from train.cli_options import Keep, Template

Source = Annotated[
    Path, typer.Option("--from", metavar="MODEL", help="Go on from a run, a Hugging Face folder or a .gguf file.")
]
Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="DATA", help="Instruction data in any layout, or runs; each optionally NAME=FILE."),
]
Data = Annotated[list[str] | None, typer.Option("--data", metavar="DATA", help="The same; repeatable.")]
Lora = Annotated[
    int | None, typer.Option("--lora", min=1, metavar="RANK", help="Train adapters of this rank. As -s lora.rank=RANK.")
]
Inspect = Annotated[
    int | None,
    typer.Option(
        "--inspect", min=0, metavar="N", help="Show N dialogues of each source as they are learnt, and train nothing."
    ),
]


def sft(
    out: options.Out,
    source: Source,
    files: Files = None,
    data: Data = None,
    template: Template = None,
    lora: Lora = None,
    inspect: Inspect = None,
    keep: Keep = None,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    seed: options.SeedSetting = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Teach a model to answer, from instruction data.

    Answers alone are learnt; RUN/checkpoints holds chat models, RUN/left_out.jsonl names what cannot be learnt. The
    same command on the same RUN goes on where it was stopped.
    """
    started = time.monotonic()
    from train.sft_config import SftConfig

    given = [*(files or []), *(data or [])]
    if not given:
        raise UsageError("Name the DATA to train on: instruction data as JSON lines, a JSON array or parquet.")
    flags = {"lora.rank": lora, "keep": keep, "seed": seed}
    values = [f"{name}={value}" for name, value in flags.items() if value is not None]
    chosen = SftConfig.load(config, [*(settings or []), *values])
    from train.sft import SftCall
    from train.sft import sft as carry_out

    carry_out(
        SftCall(
            source=source,
            data=given,
            out=out,
            config=chosen,
            template=template,
            inspected=inspect,
            as_json=as_json,
            quiet=quiet,
            lang=lang,
            started=started,
        )
    )
