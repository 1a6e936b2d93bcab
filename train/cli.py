"""The `train` command. Parses first and imports then: `--help` must not wait for torch and sentencepiece."""

import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from runkit import console, options
from runkit.errors import UsageError
from train import cli_eval, cli_serve, cli_sft, cli_tokenizer
from train.cli_options import Documents, Dtype, ModelPath, NewFolder, ShardGb, Shards

app = console.app("train", "From clean documents to a language model.")
app.add_typer(cli_tokenizer.app, name="tokenizer")
app.add_typer(cli_eval.app, name="eval")


@app.callback()
def _train() -> None:
    pass


@app.command()
def tokens(
    documents: Documents,
    tokenizer: Annotated[Path, typer.Option("--tokenizer", metavar="TOK", help="Tokenizer: file or folder.")],
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
    """Encode documents to memory-mapped shards of token ids, with an index of documents.

    The same command on the same SHARDS goes on where it was stopped. `train settings` lists what -s and --config take.
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


@app.command()
def data(
    shards: Shards,
    tokens: Annotated[
        float | None, typer.Option("--tokens", min=1, help="Tokens to train on; one epoch of what runs out first.")
    ] = None,
    seq_len: Annotated[int | None, typer.Option("--seq-len", min=8, help="Positions in a row; 2,048.")] = None,
    show: Annotated[int, typer.Option("--show", min=0, help="Decode so many rows.")] = 0,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    seed: options.SeedSetting = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show what a model would be trained on: epochs of each source, rows, what is cut, what stays empty.

    Weights: -s weights.news=0.6 -s weights.books=0.4. `train settings` lists what -s and --config take.
    """
    from train.config import DataConfig
    from train.data_view import DataCall, show_data

    flags = {"tokens": None if tokens is None else round(tokens), "seq_len": seq_len, "seed": seed}
    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    chosen = DataConfig.load(config, [*(settings or []), *given])
    show_data(DataCall(shards=shards, config=chosen, show=show, as_json=as_json, quiet=quiet))


@app.command()
def pretrain(
    out: options.Out,
    shards: Annotated[list[Path] | None, typer.Argument(metavar="SHARDS...", help="Folders of `train tokens`.")] = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", metavar="SHARDS", help="The same by name; repeatable.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="MODEL", help="Go on from a run, a Hugging Face folder or a .gguf file."),
    ] = None,
    added: Annotated[
        Path | None,
        typer.Option("--added", metavar="FILE", help="added.jsonl of `extend`; the one beside the shards' tokenizer."),
    ] = None,
    train_only: Annotated[
        Literal["all", "embeddings"] | None,
        typer.Option("--train-only", help="-s train_only=…: all, or the embedding and the output matrix."),
    ] = None,
    keep: Annotated[int | None, typer.Option("--keep", min=1, help="-s keep=…: checkpoints that stay.")] = None,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    lang: options.Lang = "en",
) -> None:
    """Train a model from nothing or from another one; RUN/checkpoints holds folders that transformers loads.

    The same command goes on where it was stopped, to the same bits on a CPU. configs/model-5m.yaml and its larger
    neighbours are shapes to begin with; `train settings` lists what -s and --config take.
    """
    started = time.monotonic()
    from train.pretrain_config import PretrainConfig

    folders = [*(shards or []), *(data or [])]
    if not folders:
        raise UsageError("Name the SHARDS to train on, folders of `train tokens`.")
    flags = {"train_only": train_only, "keep": keep}
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


app.command()(cli_sft.sft)


@app.command()
def plan(
    shards: Annotated[
        list[Path] | None, typer.Argument(metavar="[SHARDS...]", help="Folders of `train tokens`, to count epochs of.")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", help="GPU to compute hours and memory for, as H100 or RTX-4090; repeatable; H100."),
    ] = None,
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="How many of them.")] = 1,
    mfu: Annotated[
        float | None, typer.Option("--mfu", min=0.01, max=1, help="Share of a GPU's peak that is reached; 0.4.")
    ] = None,
    tokens: Annotated[
        float | None, typer.Option("--tokens", min=1, help="Tokens to train on; what config and shards say.")
    ] = None,
    measure: Annotated[bool, typer.Option("--measure/--no-measure", help="Try this machine for some seconds.")] = True,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Say what a training will take before it begins: parameters, memory, disk, tokens, FLOPs, hours.

    -s and --config are those of `train pretrain`.
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


@app.command(name="import")
def import_(
    source: ModelPath, out: NewFolder, dtype: Dtype = "fp32", shard_gb: ShardGb = 5.0, as_json: options.Json = False
) -> None:
    """Bring a Hugging Face folder or a GGUF file into the form that training goes on from."""
    from train.convert import ConvertCall, import_model

    import_model(ConvertCall(source=source, out=out, dtype=dtype, shard_gb=shard_gb, as_json=as_json))


@app.command()
def export(
    source: ModelPath,
    out: Annotated[
        Path, typer.Option("--out", help="New or empty folder; with --format gguf a new file that ends in .gguf.")
    ],
    form: Annotated[
        Literal["hf", "gguf"],
        typer.Option("--format", help="hf: a folder as Hugging Face has it; gguf: one file for llama.cpp."),
    ] = "hf",
    dtype: Annotated[
        Literal["fp32", "bf16", "fp16", "q8_0"],
        typer.Option("--dtype", help="Of the weights: fp32, bf16 or fp16; with --format gguf also q8_0, eight bits."),
    ] = "fp32",
    shard_gb: Annotated[
        float | None, typer.Option("--shard-gb", min=0.001, help="Largest file of weights in a folder, in GB; 5.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write a model as a folder that transformers, vLLM and SGLang load, or as a file that llama.cpp loads."""
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
    """List every setting of each command with its default and meaning."""
    from train.settings import show_settings

    show_settings(as_json)


def main() -> None:
    """Entry point of the `train` script."""
    sys.exit(console.run_app(app))
