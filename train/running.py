"""One way to train, whatever the data are: run directory, probe, loop, metrics, report, summary.

In: a command line, and how its rows and its first model come about. Out: a run directory with `checkpoints/`,
`metrics.jsonl`, `summary.json` and `report.html`. Same data, config, seed and number of threads: the same weights on a
CPU. Started by torchrun, its processes share each step. Price of a start: laying out the data, and verifying the newest
checkpoint, 1 s for each GB.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from runkit.console import emit_json, say
from runkit.errors import InputError, UsageError, UserError
from runkit.files import write_bytes, write_json
from runkit.rundir import RunDir, note_usage, usage
from train.checkpoint import Checkpoints, State, folders
from train.config import DataConfig
from train.data import Batch, Rows, Sequences, TooMuch, joined, training_data
from train.distributed import World, world
from train.loop import METRICS, Training, loss_before, read_metrics, train
from train.lora import Adapter
from train.model import Model
from train.model_config import ModelConfig
from train.objective import placed
from train.optim import Optimizers
from train.optim_config import warmup_fault
from train.pretrain_config import LoopConfig
from train.probe import Choice, fixed, probe
from train.start import Start
from train.watch import Watch, tensorboard_writer

# What may be changed between two starts: none of it moves a weight, but for the order of summation.
_FREE: Final = {
    *("keep", "checkpoint_every", "parallel", "micro_rows", "prompts", "prompt_tokens", "tensorboard", "spike"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCall:
    """The part of a command line that all trainings have; `started` is a `time.monotonic()`."""

    out: Path
    as_json: bool
    quiet: bool
    lang: str = "en"
    started: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that is known before a file is written."""

    command: str
    config: LoopConfig
    rows: Rows
    held_out: Mapping[str, Rows]  # by source
    steps: int
    start: Start
    inputs: list[dict[str, Any]]  # what the run is bound to, as `RunDir.open` takes it
    data: dict[str, Any]  # what the report says of the data: `documents`, `sources`, `ids`, …
    sample: Callable[[Model], list[dict[str, Any]]]  # texts of the model
    warnings: list[str]
    files: Mapping[str, bytes] = field(default_factory=dict)  # to be written into the run
    summary: Mapping[str, Any] = field(default_factory=dict)  # to be told beside what the loop found


def carry_out(call: RunCall, prepare: Callable[[World], Prepared]) -> None:
    """Train to the end, or go on. Raises what `prepare` and `train` raise."""
    with world() as here:
        prepared = here.together(lambda: prepare(here))
        for line in [*(f"Warning: {text}" for text in prepared.warnings), *prepared.start.told] if here.main else []:
            say(line)
        settings = prepared.config.model_dump(mode="json", exclude=_FREE)
        opened = RunDir.open(call.out, prepared.command, settings, prepared.inputs, {"torch": torch.__version__})
        with here.held_by_main(opened) as run:
            summary = _train(call, here, prepared, run)
            if not here.main:
                return
            write_json(run.file("summary.json"), summary)
    if call.as_json:
        emit_json({**summary, **usage(call.started), "run": str(call.out)})
    _tell(call, summary)


def check(config: LoopConfig, here: World) -> None:
    """What cannot be done is refused before anything is read. UsageError: rows or TensorBoard."""
    here.share(0, config.batch_rows)
    if config.tensorboard:
        tensorboard_writer()


def steps_of(rows: Rows, config: LoopConfig, what: str) -> tuple[int, list[str]]:
    """How many steps are made, and warnings. InputError: there are not as many rows; `what` there must be more of."""
    steps = config.steps or len(rows) // config.batch_rows
    if steps * config.batch_rows > len(rows) or steps == 0:
        raise InputError(
            f"The data make {len(rows):,} rows of {rows.seq_len:,} positions, fewer than the "
            f"{max(1, steps) * config.batch_rows:,} that training takes; lower batch_rows or give more {what}."
        )
    fault = warmup_fault(config.optim, steps)
    return steps, [] if fault is None else [fault]


def rows_for(documents: Sequences, data: DataConfig, config: LoopConfig) -> tuple[Rows, list[str]]:
    """The rows to train on, enough for the steps; warnings."""
    if config.steps is None:
        drawn = training_data(documents, data)
        return drawn.rows, drawn.warnings
    wanted = config.steps * config.batch_rows
    # A share is drawn to the nearest whole document, so each source may come short by half of one.
    spare = len(documents.sources) * int(documents.length.max(initial=0))
    tokens = wanted * data.seq_len + spare
    try:
        drawn = training_data(documents, data.model_copy(update={"tokens": tokens}))
        while 0 < len(drawn.rows) < wanted:  # what is never cut leaves gaps
            tokens += (wanted - len(drawn.rows)) * data.seq_len + spare
            drawn = training_data(documents, data.model_copy(update={"tokens": tokens}))
    except TooMuch as error:
        raise UsageError(f"steps = {config.steps:,} are too many. {error}") from None
    return drawn.rows, drawn.warnings


def _train(call: RunCall, here: World, prepared: Prepared, directory: RunDir) -> dict[str, Any]:
    """All steps; returns the summary."""
    run = directory.path
    rows, steps, start = prepared.rows, prepared.steps, prepared.start
    shape = start.model.config
    choice = _choice(here, prepared, run)
    config = choice.applied(prepared.config)
    model = placed(start.model, config, here)
    if here.main:
        for name, data in prepared.files.items():
            write_bytes(directory.file(name), data)
        size = config.batch_rows * rows.seq_len
        say(f"{shape.parameters:,} parameters, {steps:,} steps of {size:,} positions.")
    flops = shape.flops_per_token(rows.seq_len)
    quiet = call.quiet or not here.main
    adapter = Adapter(config.lora, start.base) if config.lora is not None else None
    held_out = _held_out(prepared.held_out, config)
    with Watch(run, steps, config, flops, choice.peak_flops * here.size, quiet, call.lang) as watch:
        rows_held_out = sum(len(part.inputs) for parts in held_out.values() for part in parts)
        about = _about(prepared, config, choice, here.size, rows_held_out)
        about["peak_share"] = flops / (choice.peak_flops * here.size)  # what one token a second is of the peak
        training = Training(
            run=run,
            model=model,
            optimizers=Optimizers(model, config.optim),
            config=config,
            steps=steps,
            batches=lambda step: _parts(rows, *here.share(step * config.batch_rows, config.batch_rows), config),
            held_out=held_out,
            data_sha256=rows.sha256,
            checkpoints=Checkpoints(run, config.keep, start.special, start.files, adapter),
            on_step=lambda row: _seen(watch, row, about, run),
            sample=lambda: prepared.sample(model),
            world=here,
            measure_first=bool(start.inputs),
        )
        with _reported(watch, about, here, directory, call.started):
            state = train(training)
            summary = {**_summary(run, shape, state), **prepared.summary} if here.main else {}
            about |= summary
    return summary


def _seen(watch: Watch, row: dict[str, Any], about: dict[str, Any], run: Path) -> None:
    """The report is written at each measurement: a long run is looked at while it goes on."""
    watch.on_step(row)
    if "held_out_loss" in row or "samples" in row:
        about["held_out_loss_before"] = loss_before(run)
        watch.write_report(about)


@contextmanager
def _reported(watch: Watch, about: dict[str, Any], here: World, run: RunDir, started: float) -> Iterator[None]:
    """Report and usage are written whatever ends the training; a stopped run wants them most."""
    if here.main:
        note_usage(run, usage(started))  # a start that is killed counts too

    def write() -> None:
        if here.main:
            note_usage(run, usage(started))
            watch.write_report(about)

    try:
        yield
    except BaseException as error:
        if isinstance(error, UserError):
            about["warnings"] = [*about["warnings"], str(error)]
        with suppress(OSError, UserError):  # what went wrong first is what counts
            write()
        raise
    write()


def _about(
    prepared: Prepared, config: LoopConfig, choice: Choice, processes: int, held_out_rows: int
) -> dict[str, Any]:
    """What the report says of a run, however far it came."""
    return {
        "parameters": prepared.start.model.config.parameters,
        "warnings": prepared.warnings,
        "steps_in_all": prepared.steps,
        "data": {
            **prepared.data,
            "rows": prepared.steps * config.batch_rows,
            "seq_len": prepared.rows.seq_len,
            "held_out_rows": held_out_rows,
            "eval_rows": config.eval_rows,
        },
        "computing": {
            "device": choice.device,
            "processes": processes,
            "threads": choice.threads,
            "dtype": choice.dtype,
            "compile": choice.compile,
        },
    }


def _choice(here: World, prepared: Prepared, run: Path) -> Choice:
    """How to compute; several processes must not wait for one that tries, so they go by rule."""
    config = prepared.config
    if here.size > 1:  # the model stays on the CPU: fsdp brings a part of each weight to each GPU
        choice = fixed(run, here.device, config)
        if here.main:
            say(choice.why)
        return choice
    model = prepared.start.model.to(here.device)
    return probe(run, model, _parts(prepared.rows, 0, config.batch_rows, config), config, prepared.steps)


def _parts(rows: Rows, first: int, count: int, config: LoopConfig) -> list[Batch]:
    """Rows first … first + count - 1, so many at once as memory holds."""
    size = config.micro_rows or config.batch_rows
    return [rows.batch(start, min(size, first + count - start)) for start in range(first, first + count, size)]


def _held_out(by_source: Mapping[str, Rows], config: LoopConfig) -> dict[str, list[Batch]]:
    """Some held-out rows of each source, as many as its share of them."""
    every = sum(map(len, by_source.values())) if config.eval_rows else 0
    found = {}
    for source, rows in by_source.items() if every else ():
        count = min(len(rows), max(1, round(config.eval_rows * len(rows) / every)))
        # Spread over all: packing puts long documents first, which are easier than short ones.
        chosen = np.unique(np.linspace(0, len(rows) - 1, count, dtype=np.int64)).tolist()
        size = config.micro_rows or config.batch_rows
        parts = [[rows.batch(row, 1) for row in chosen[start : start + size]] for start in range(0, len(chosen), size)]
        found[source] = [joined(part) for part in parts]
    return found


def _summary(run: Path, shape: ModelConfig, state: State) -> dict[str, Any]:
    measured = [row["held_out_loss"] for row in read_metrics(run / METRICS) if "held_out_loss" in row]
    return {
        "parameters": shape.parameters,
        "steps": state.step,
        "tokens": state.tokens,
        "loss": state.losses[-1],
        "held_out_loss": measured[-1] if measured else None,  # none: nothing was held out, or eval_rows is 0
        **({"held_out_loss_before": before} if (before := loss_before(run)) is not None else {}),
        "checkpoint": str(folders(run)[0].relative_to(run)),
    }


def _tell(call: RunCall, summary: dict[str, Any]) -> None:
    measured = summary["held_out_loss"]
    on_held_out = f", {measured:.4f} on held-out rows" if measured is not None else ""
    if measured is not None and (before := summary.get("held_out_loss_before")) is not None:
        on_held_out += f" ({before:.4f} before)"
    of_answers = " of answers" if "answer_tokens" in summary else ""
    say(
        f"Trained {summary['steps']:,} steps on {summary['tokens']:,} tokens{of_answers}; loss of the last step "
        f"{summary['loss']:.4f}{on_held_out}; "
        f"model: {call.out / summary['checkpoint']}"
    )
