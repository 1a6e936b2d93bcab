"""The `train` command. Parses first and imports then: `--help` must not wait for torch and sentencepiece."""

import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from runkit import console, options
from runkit.errors import UsageError
from train import cli_eval, cli_serve, cli_sft, cli_tokenizer
from train.cli_options import Documents, Dtype, Keep, ModelPath, NewFolder, ShardGb, Shards

app = console.app(
    "train",
    "From clean documents to a language model.",
    options.begin_with(
        "train tokenizer fit runs/first --vocab 4000 --out runs/tok",
        "train tokens runs/first --tokenizer runs/tok --out runs/tokens",
        "train pretrain runs/tokens --config configs/model-5m.yaml -s model.vocab=4000 --out runs/base",
    ),
)
app.add_typer(cli_tokenizer.app, name="tokenizer")
app.add_typer(cli_eval.app, name="eval")


@app.callback()
def _train() -> None:
    pass


@app.command(
    epilog=options.examples(
        "train tokens runs/first books=books.parquet --tokenizer runs/tok --out runs/tokens",
    )
)
def tokens(
    documents: Documents,
    tokenizer: Annotated[
        Path,
        typer.Option(
            "--tokenizer", metavar="TOK", help="Tokenizer: a file, a model's folder or a run of `fit` or `extend`."
        ),
    ],
    out: options.Out,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    workers: options.Workers = console.default_workers(),
    limit: options.Limit = None,
    sample: options.Sample = None,
    seed: options.Seed = 0,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
    max_bad: options.MaxBad = 1.0,
) -> None:
    """Encode documents to shards of token ids.

    RUN/shards is memory-mapped, with an index of documents and the tokenizer beside. The same command on the same RUN
    goes on where it was stopped.
    """
    started = time.monotonic()
    from train.config import TokensConfig
    from train.tokens import TokensCall
    from train.tokens import tokens as carry_out

    carry_out(
        TokensCall(
            documents=documents,
            tokenizer=tokenizer,
            out=out,
            config=TokensConfig.load(config, settings or []),
            workers=workers,
            limit=limit,
            sample=sample,
            seed=seed,
            dry_run=dry_run,
            as_json=as_json,
            quiet=quiet,
            max_bad=max_bad,
            started=started,
            lang=lang,
        )
    )


@app.command(
    epilog=options.examples(
        "train data runs/tokens --tokens 3e8 -s weights.news=0.6 -s weights.books=0.4 --show 2",
    )
)
def data(
    shards: Shards,
    tokens: Annotated[
        float | None,
        typer.Option(
            "--tokens",
            metavar="N",
            min=1,
            help="Tokens to train on, as 3e8.",
            show_default="one epoch of what runs out first",
        ),
    ] = None,
    seq_len: Annotated[
        int | None, typer.Option("--seq-len", metavar="N", min=8, help="Tokens in a row.", show_default="2,048")
    ] = None,
    show: Annotated[int, typer.Option("--show", metavar="N", min=0, help="Decode N rows.")] = 0,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    seed: options.SeedSetting = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show what a model would be trained on.

    Epochs of each source under its weight, rows, what is cut, what stays empty; nothing is written.
    """
    from train.config import DataConfig
    from train.data_view import DataCall, show_data

    flags = {"tokens": None if tokens is None else round(tokens), "seq_len": seq_len, "seed": seed}
    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    chosen = DataConfig.load(config, [*(settings or []), *given])
    show_data(DataCall(shards=shards, config=chosen, show=show, as_json=as_json, quiet=quiet))


@app.command(
    epilog=options.examples(
        "train pretrain runs/tokens --config configs/model-26m.yaml -s model.vocab=32000 --out runs/base",
        "train pretrain runs/more-tokens --from llama --train-only embeddings -s optim.lr=1e-3 --out runs/rows",
        "train pretrain runs/more-tokens --from runs/rows -s lora.rank=16 -s lora.embeddings=true --out runs/adapted",
    )
)
def pretrain(
    out: options.Out,
    shards: Annotated[list[Path] | None, typer.Argument(metavar="SHARDS", help="Folders of `train tokens`.")] = None,
    data: Annotated[list[Path] | None, typer.Option("--data", metavar="SHARDS", help="The same; repeatable.")] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="MODEL", help="Go on from a run, a Hugging Face folder or a .gguf file."),
    ] = None,
    added: Annotated[
        Path | None,
        typer.Option(
            "--added", metavar="FILE", help="added.jsonl of `extend`.", show_default="beside the shards' tokenizer"
        ),
    ] = None,
    train_only: Annotated[
        Literal["all", "embeddings"] | None,
        typer.Option("--train-only", help="All weights, or embedding and output matrix. As -s train_only=…."),
    ] = None,
    keep: Keep = None,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    seed: options.SeedSetting = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Train a base model, from nothing or from another one.

    RUN/checkpoints holds folders that transformers loads, RUN/report.html losses and samples. The same command on the
    same RUN goes on where it was stopped, to the same bits on a CPU. configs/model-5m.yaml and its larger neighbours
    are shapes to begin with.
    """
    started = time.monotonic()
    from train.pretrain_config import PretrainConfig

    folders = [*(shards or []), *(data or [])]
    if not folders:
        raise UsageError("Name the SHARDS to train on, folders of `train tokens`.")
    flags = {"train_only": train_only, "keep": keep, "seed": seed}
    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    chosen = PretrainConfig.load(config, [*(settings or []), *given])  # before torch is imported, which takes 2 s
    from train.pretrain import PretrainCall
    from train.pretrain import pretrain as carry_out

    carry_out(
        PretrainCall(
            shards=folders,
            out=out,
            config=chosen,
            source=source,
            added=added,
            as_json=as_json,
            quiet=quiet,
            lang=lang,
            started=started,
        )
    )


app.command(
    epilog=options.examples(
        "train sft --from runs/base --data alpaca.json --data ours=runs/inst --inspect 3 --out runs/chat",
        "train sft --from runs/base --data alpaca.json --data ours=runs/inst -s data.epochs=3 --out runs/chat",
        "train sft --from llama --data runs/inst --lora 16 --out runs/adapters",
    )
)(cli_sft.sft)


Device = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="GPU to reckon hours and memory for, as RTX-4090; repeatable.",
        show_default="H100",
    ),
]
Mfu = Annotated[
    float | None,
    typer.Option(
        "--mfu", metavar="SHARE", min=0.01, max=1, help="Share of a GPU's peak that is reached.", show_default="0.4"
    ),
]


@app.command(
    epilog=options.examples(
        "train plan runs/tokens --config configs/model-350m.yaml --device RTX-4090 --device H100 --gpus 8",
        "train plan --config configs/model-1b.yaml --tokens 2e10 --no-measure",
    )
)
def plan(
    shards: Annotated[
        list[Path] | None, typer.Argument(metavar="SHARDS", help="Folders of `train tokens`, to count epochs of.")
    ] = None,
    device: Device = None,
    gpus: Annotated[int, typer.Option("--gpus", metavar="N", min=1, help="How many of them.")] = 1,
    mfu: Mfu = None,
    tokens: Annotated[
        float | None,
        typer.Option(
            "--tokens",
            metavar="N",
            min=1,
            help="Tokens to train on, as 3e8.",
            show_default="what config and shards say",
        ),
    ] = None,
    measure: Annotated[bool, typer.Option("--measure/--no-measure", help="Try this machine for some seconds.")] = True,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Say beforehand what a training will take.

    Parameters, memory, disk, tokens, FLOPs and hours, on this machine and on GPUs; -s and --config are those of
    `train pretrain`.
    """
    from train.plan import PlanCall
    from train.plan import plan as carry_out
    from train.pretrain_config import PretrainConfig

    chosen = PretrainConfig.load(config, settings or [])
    call = PlanCall(
        config=chosen,
        shards=shards or [],
        devices=device or ["H100"],
        gpus=gpus,
        mfu=mfu,
        tokens=None if tokens is None else round(tokens),
        as_json=as_json,
        quiet=quiet,
    )
    if measure:
        from train.plan_machine import measured  # torch takes 2 s

        carry_out(call, measured)
    else:
        carry_out(call)


@app.command(name="import", epilog=options.examples("train import model.gguf --out runs/foreign"))
def import_(
    source: ModelPath,
    out: NewFolder,
    dtype: Dtype = "fp32",
    shard_gb: ShardGb = 5.0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Bring in a Hugging Face folder or a GGUF file.

    What is written is the form that training goes on from.
    """
    from train.convert import ConvertCall, import_model

    import_model(ConvertCall(source=source, out=out, dtype=dtype, shard_gb=shard_gb, as_json=as_json))


@app.command(
    epilog=options.examples(
        "train export runs/chat --out exports/chat --dtype bf16",
        "train export runs/chat --out chat.gguf --format gguf --dtype q8_0",
    )
)
def export(
    source: ModelPath,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FOLDER|FILE",
            help="New or empty folder; with --format gguf a new file that ends in .gguf.",
        ),
    ],
    form: Annotated[
        Literal["hf", "gguf"],
        typer.Option("--format", help="hf: a folder as Hugging Face has it; gguf: one file for llama.cpp."),
    ] = "hf",
    dtype: Annotated[
        Literal["fp32", "bf16", "fp16", "q8_0"],
        typer.Option("--dtype", help="Number type of the weights; q8_0, eight bits, with --format gguf alone."),
    ] = "fp32",
    shard_gb: Annotated[
        float | None,
        typer.Option(
            "--shard-gb",
            metavar="GB",
            min=0.001,
            help="Largest file of weights in a folder, in GB.",
            show_default="5",
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Write a model for other programs.

    As a folder that transformers, vLLM and SGLang load, or as one file that llama.cpp loads.
    """
    from train.convert import ConvertCall, export_model
    from train.export_gguf import export_gguf

    call = ConvertCall(source=source, out=out, dtype=dtype, shard_gb=shard_gb, as_json=as_json)
    if form == "gguf":
        export_gguf(call)
    else:
        export_model(call)


cli_serve.add_to(app)


@app.command()
def settings(as_json: options.Json = False) -> None:
    """List every setting with its default and meaning."""
    from train.settings import show_settings

    show_settings(as_json)


def main() -> None:
    """Entry point of the `train` script."""
    sys.exit(console.run_app(app))
