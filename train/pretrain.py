"""`train pretrain`: from token shards to a model, from nothing; the same command goes on where it was stopped.

In: folders of token shards and a `PretrainConfig`. Out: a run directory with `checkpoints/`, whose newest folder
transformers reads as it is, `metrics.jsonl` and `summary.json`. Same shards, config, seed and number of threads: the
same weights on a CPU. Price of a start: laying out the data, 1 s for a million documents, and verifying the newest
checkpoint, 1 s for each GB.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from runkit.console import emit_json, progress, say
from runkit.errors import InputError
from runkit.files import write_json
from runkit.planned import keep_apart
from runkit.rundir import RunDir, note_usage, usage
from train.checkpoint import Checkpoints, State, folders
from train.data import Batch, Documents, Rows, held_out_by_source, joined, training_data
from train.loop import METRICS, Training, read_metrics, train
from train.model_config import ModelConfig
from train.optim import Optimizers
from train.pretrain_config import PretrainConfig
from train.shards import open_shards
from train.start import first_model
from train.tokenizer import load

COMMAND: Final = "train pretrain"
# What may be changed between two starts: none of it moves a weight.
_FREE: Final = {"keep", "checkpoint_every"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainCall:
    """The command line, parsed; `started` is a `time.monotonic()`."""

    shards: list[Path]
    out: Path
    config: PretrainConfig
    as_json: bool
    quiet: bool
    started: float


def pretrain(call: PretrainCall) -> None:
    """Train to the end, or go on. Raises what `open_shards`, `training_data` and `train` raise."""
    keep_apart(call.out, [str(path) for path in call.shards])
    config = call.config
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    documents = Documents([open_shards(path) for path in call.shards])
    tokenizer = load(documents.folders[0].tokenizer)
    start = first_model(config, None, None, tokenizer, call.shards[0])
    rows, warnings = _rows(documents, config)
    steps = config.steps or len(rows) // config.batch_rows
    if steps * config.batch_rows > len(rows) or steps == 0:
        raise InputError(
            f"The data make {len(rows):,} rows of {rows.seq_len:,} positions, fewer than the "
            f"{max(1, steps) * config.batch_rows:,} that training takes; lower batch_rows or give more documents."
        )
    for warning in warnings:
        say(f"Warning: {warning}")
    data_sha256 = rows.sha256
    inputs = [
        {"name": f"shards {number}", "size": len(folder), "fingerprint": Documents([folder]).sha256}
        for number, folder in enumerate(documents.folders)
    ]
    settings = config.model_dump(mode="json", exclude=_FREE)
    with RunDir.open(call.out, COMMAND, settings, inputs, {"torch": torch.__version__}) as run:
        model = start.model.to("cuda" if torch.cuda.is_available() else "cpu")
        size = config.batch_rows * rows.seq_len
        say(f"{model.config.parameters:,} parameters, {steps:,} steps of {size:,} positions.")
        with progress("Training", total=steps, unit="steps", quiet=call.quiet) as advance:
            training = Training(
                run=run.path,
                model=model,
                optimizers=Optimizers(model, config.optim),
                config=config,
                steps=steps,
                batches=lambda step: _parts(rows, step * config.batch_rows, config.batch_rows, config),
                held_out=_held_out(documents, config),
                data_sha256=data_sha256,
                checkpoints=Checkpoints(run.path, config.keep, start.special, start.files),
                on_step=_steps_to(advance),
            )
            state = train(training)
        summary = _summary(run.path, model.config, state)
        write_json(run.file("summary.json"), summary)
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    _tell(call, summary)


def _rows(documents: Documents, config: PretrainConfig) -> tuple[Rows, list[str]]:
    """The rows to train on, enough for the steps; warnings."""
    data = config.data
    if config.steps is not None:
        # A share is drawn to the nearest whole document, so each source may come short by half of one.
        spare = len(documents.sources) * int(documents.length.max(initial=0))
        data = data.model_copy(update={"tokens": config.steps * config.batch_rows * data.seq_len + spare})
    drawn = training_data(documents, data)
    return drawn.rows, drawn.warnings


def _parts(rows: Rows, first: int, count: int, config: PretrainConfig) -> list[Batch]:
    """Rows first … first + count - 1, so many at once as memory holds."""
    size = config.micro_rows or config.batch_rows
    return [rows.batch(start, min(size, first + count - start)) for start in range(first, first + count, size)]


def _held_out(documents: Documents, config: PretrainConfig) -> dict[str, list[Batch]]:
    """Some held-out rows of each source, as many as its share of them."""
    by_source = held_out_by_source(documents, config.data) if config.eval_rows else {}
    every = sum(map(len, by_source.values()))
    found = {}
    for source, rows in by_source.items():
        count = min(len(rows), max(1, round(config.eval_rows * len(rows) / every)))
        # Spread over all: packing puts long documents first, which are easier than short ones.
        chosen = np.unique(np.linspace(0, len(rows) - 1, count, dtype=np.int64)).tolist()
        size = config.micro_rows or config.batch_rows
        parts = [[rows.batch(row, 1) for row in chosen[start : start + size]] for start in range(0, len(chosen), size)]
        found[source] = [joined(part) for part in parts]
    return found


def _steps_to(advance: Callable[..., None]) -> Callable[[dict[str, Any]], None]:
    """Moves the progress to the step of a line; the first one after a resume moves it past all earlier steps."""
    done = 0

    def told(row: dict[str, Any]) -> None:
        nonlocal done
        advance(row["step"] - done)
        done = row["step"]

    return told


def _summary(run: Path, shape: ModelConfig, state: State) -> dict[str, Any]:
    measured = [row["held_out_loss"] for row in read_metrics(run / METRICS) if "held_out_loss" in row]
    return {
        "parameters": shape.parameters,
        "steps": state.step,
        "tokens": state.tokens,
        "loss": state.losses[-1],
        "held_out_loss": measured[-1] if measured else None,  # none: there are no held-out rows
        "checkpoint": str(folders(run)[0].relative_to(run)),
    }


def _tell(call: PretrainCall, summary: dict[str, Any]) -> None:
    measured = summary["held_out_loss"]
    on_held_out = f", {measured:.4f} on held-out rows" if measured is not None else ""
    say(
        f"Trained {summary['steps']:,} steps on {summary['tokens']:,} tokens; loss {summary['loss']:.4f}{on_held_out}; "
        f"model: {call.out / summary['checkpoint']}"
    )
