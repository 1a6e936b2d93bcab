"""The `train` command. Parses first and imports then: `--help` must not wait for torch and sentencepiece."""

import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from runkit import console, options

app = console.app("train", "From clean documents to a language model.")
tokenizer_app = console.app("tokenizer", "Fit, extend and look at tokenizers.")
app.add_typer(tokenizer_app, name="tokenizer")
eval_app = console.app("eval", "Measure models.")
app.add_typer(eval_app, name="eval")

SETS = "Runs of `corpus clean`, parquet, JSON lines or text; files, folders, globs or URLs, each optionally NAME=PATH."
Documents = Annotated[list[str], typer.Argument(metavar="DOCS...", help=SETS)]
Tok = Annotated[
    Path,
    typer.Argument(
        metavar="TOK",
        help="Tokenizer: a folder of `fit` or `extend`, a model's, tokenizer.model, tokenizer.json or vocab.txt.",
    ),
]
Shards = Annotated[list[Path], typer.Argument(metavar="SHARDS...", help="Folders of `train tokens`.")]
ModelPath = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Run of `train pretrain`, a Hugging Face folder, or a .gguf file.")
]
NewFolder = Annotated[Path, typer.Option("--out", help="New or empty folder.")]
Dtype = Annotated[
    Literal["fp32", "bf16", "fp16"], typer.Option("--dtype", help="Of the weights in the file: fp32, bf16 or fp16.")
]
ShardGb = Annotated[float, typer.Option("--shard-gb", min=0.001, help="Largest file of weights, in GB.")]


@app.callback()
def _train() -> None:
    pass


@tokenizer_app.command()
def fit(
    documents: Documents,
    out: options.Out,
    vocab: Annotated[int | None, typer.Option("--vocab", help="Pieces in all; 32,000 if not given.")] = None,
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
) -> None:
    """Fit a SentencePiece BPE tokenizer with byte fallback: TOK/tokenizer.model and TOK/report.html.

    `train settings` lists what -s and --config take.
    """
    started = time.monotonic()
    from train.config import FitConfig
    from train.fit import FitCall
    from train.fit import fit as carry_out
    from train.reading import Reading

    given = [] if vocab is None else [f"vocab={vocab}"]
    carry_out(
        FitCall(
            documents=documents,
            out=out,
            config=FitConfig.load(config, [*(settings or []), *given]),
            reading=Reading(workers, sample, limit, seed, quiet),
            dry_run=dry_run,
            as_json=as_json,
            lang=lang,
            started=started,
        )
    )


@tokenizer_app.command()
def extend(
    base: Annotated[
        Path,
        typer.Argument(metavar="BASE", help="LLaMA-like tokenizer.model or byte-level tokenizer.json, or its folder."),
    ],
    documents: Annotated[list[str], typer.Option("--with", metavar="DOCS", help=f"{SETS} Repeatable.")],
    out: options.Out,
    add: Annotated[int | None, typer.Option("--add", help="Pieces to add; 20,000 if not given.")] = None,
    add_list: Annotated[
        Path | None, typer.Option("--add-list", metavar="FILE", help="Your own words, one a line; always one token.")
    ] = None,
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
) -> None:
    """Add Chinese pieces to a model's tokenizer; its ids and its other languages stay as they are.

    `train settings` lists what -s and --config take.
    """
    started = time.monotonic()
    from train.config import ExtendConfig
    from train.extend import ExtendCall
    from train.extend import extend as carry_out
    from train.reading import Reading

    given = [] if add is None else [f"add={add}"]
    carry_out(
        ExtendCall(
            base=base,
            documents=documents,
            add_list=add_list,
            out=out,
            config=ExtendConfig.load(config, [*(settings or []), *given]),
            reading=Reading(workers, sample, limit, seed, quiet),
            dry_run=dry_run,
            as_json=as_json,
            lang=lang,
            started=started,
        )
    )


@tokenizer_app.command()
def view(
    tokenizer: Tok,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="Text to cut.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Take the text from a UTF-8 file; - is stdin.")
    ] = None,
    beside: Annotated[
        list[Path] | None, typer.Option("--beside", metavar="TOK", help="Another tokenizer to compare; repeatable.")
    ] = None,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="TEXT", help="Pieces that hold TEXT; #123 is the piece 123."),
    ] = None,
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Write an HTML page.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Search results.")] = 50,
    as_json: options.Json = False,
    lang: options.Lang = "en",
    verbose: options.Verbose = 0,
) -> None:
    """Show how a tokenizer cuts a text, with ids, and what is in its vocabulary."""
    from train.view import ViewCall
    from train.view import view as carry_out

    carry_out(
        ViewCall(
            tokenizers=[tokenizer, *(beside or [])],
            text=text,
            file=file,
            search=search,
            page=page,
            as_json=as_json,
            lang=lang,
            limit=limit,
        )
    )


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
    seed: options.Seed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show what a model would be trained on: epochs of each source, rows, what is cut, what stays empty.

    Weights: -s weights.news=0.6 -s weights.books=0.4. `train settings` lists what -s and --config take.
    """
    from train.config import DataConfig
    from train.data_view import DataCall, show_data

    flags = {"tokens": None if tokens is None else round(tokens), "seq_len": seq_len, "seed": seed or None}
    given = [f"{name}={value}" for name, value in flags.items() if value is not None]
    chosen = DataConfig.load(config, [*(settings or []), *given])
    show_data(DataCall(shards=shards, config=chosen, show=show, as_json=as_json, quiet=quiet))


@app.command()
def pretrain(
    shards: Shards,
    out: options.Out,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Train a model from nothing; RUN/checkpoints holds folders that transformers loads.

    The same command goes on where it was stopped, to the same bits on a CPU. configs/model-5m.yaml and its larger
    neighbours are shapes to begin with; `train settings` lists what -s and --config take.
    """
    started = time.monotonic()
    from train.pretrain_config import PretrainConfig

    chosen = PretrainConfig.load(config, settings or [])  # before torch is imported, which takes 2 s
    from train.pretrain import PretrainCall
    from train.pretrain import pretrain as carry_out

    carry_out(PretrainCall(shards=shards, out=out, config=chosen, as_json=as_json, quiet=quiet, started=started))


@eval_app.command()
def ppl(
    model: ModelPath,
    documents: Documents,
    seq_len: Annotated[
        int | None, typer.Option("--seq-len", min=2, help="Tokens in a window; the model's own.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option("--stride", min=1, help="Tokens between windows; half a window.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Windows at a time.")] = 8,
    held_out: Annotated[
        float | None, typer.Option("--held-out", min=0, max=1, help="Only the documents kept from training, by share.")
    ] = None,
    text_field: Annotated[str, typer.Option("--text-field", help="Field or column that holds the text.")] = "text",
    limit: options.Limit = None,
    sample: options.Sample = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    max_bad: options.MaxBad = 1.0,
) -> None:
    """Perplexity and bits for each character and byte, which compare models of different tokenizers, by source."""
    from train.evaluate import PplCall, eval_ppl

    eval_ppl(
        PplCall(
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
    )


@eval_app.command()
def mcq(
    model: ModelPath,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="dev/, val/ and test/ with CSV files, as C-Eval's.")],
    out: Annotated[Path | None, typer.Option("--out", help="New or empty folder for answers and figures.")] = None,
    split: Annotated[Literal["dev", "val", "test"], typer.Option("--split", help="Which questions are asked.")] = "val",
    shots: Annotated[int, typer.Option("--shots", min=0, help="Worked examples before each question.")] = 5,
    wording: Annotated[Literal["zh", "en"], typer.Option("--prompt", help="Language of the prompt.")] = "zh",
    subjects: Annotated[list[str] | None, typer.Option("--subjects", help="Only this subject; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Questions of each subject.")] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Questions at a time.")] = 16,
    bos: Annotated[bool | None, typer.Option("--bos/--no-bos", help="Begin prompts with the begin token.")] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Four-choice questions in C-Eval's layout, answered by the next-token logits of A, B, C and D."""
    from train.mcq import McqCall, eval_mcq

    eval_mcq(
        McqCall(
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
    )


@app.command(name="import")
def import_(
    source: ModelPath, out: NewFolder, dtype: Dtype = "fp32", shard_gb: ShardGb = 5.0, as_json: options.Json = False
) -> None:
    """Bring a Hugging Face folder or a GGUF file into the form that training goes on from."""
    from train.convert import ConvertCall, import_model

    import_model(ConvertCall(source=source, out=out, dtype=dtype, shard_gb=shard_gb, as_json=as_json))


@app.command()
def export(
    source: ModelPath, out: NewFolder, dtype: Dtype = "fp32", shard_gb: ShardGb = 5.0, as_json: options.Json = False
) -> None:
    """Write a model as a folder that transformers, vLLM and SGLang load."""
    from train.convert import ConvertCall, export_model

    export_model(ConvertCall(source=source, out=out, dtype=dtype, shard_gb=shard_gb, as_json=as_json))


@app.command()
def settings(as_json: options.Json = False) -> None:
    """List every setting of each command with its default and meaning."""
    from train.settings import show_settings

    show_settings(as_json)


def main() -> None:
    """Entry point of the `train` script."""
    sys.exit(console.run_app(app))
