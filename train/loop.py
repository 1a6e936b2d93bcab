"""The one training loop: batches by number, a model, its optimizers; out come metrics, checkpoints and weights.

In: a `Training` in each process, whose `batches(step)` gives the rows of a step, the same after every restart. Out: a
line of `metrics.jsonl` a step and checkpoints. On a CPU a run that was killed comes to the same bits as one that was
not: what a step depends on is its number, the weights and the optimizer, and all are in the checkpoint. Several
processes come to the same but for the order of sums, and go on with each other's checkpoints. Price: the steps behind
the last checkpoint are made again, a number is fetched from the device each step to tell a loss that runs away, and
several processes agree three times a step: 1.5 ms on two busy cores.
"""

import math
import signal
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

import orjson
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from runkit.console import Terminated, say
from runkit.errors import InputError, UserError
from runkit.files import append_bytes, write_bytes, write_json
from train.checkpoint import Checkpoints, State, newest
from train.data import NO_TARGET, Batch
from train.distributed import World
from train.model import Model
from train.number_types import DTYPES, by_rule
from train.objective import Objective, exchanging, sharded, spread
from train.optim import Optimizers
from train.optim_config import rate
from train.pretrain_config import LoopConfig

METRICS: Final = "metrics.jsonl"
BEFORE: Final = "before.json"  # what a model that was trained before loses on held-out rows
MEDIAN_OF: Final = 50  # steps whose loss says what is usual
FEWEST: Final = 10  # of them, before a spike can be told


class Diverged(UserError):
    """The loss ran away; the weights before that are in a checkpoint."""

    exit_code = 6


@dataclass(frozen=True, slots=True)
class Training:
    """All that the loop works on."""

    run: Path  # folder of the run, whose lock is held
    model: Model
    optimizers: Optimizers
    config: LoopConfig
    steps: int
    batches: Callable[[int], Sequence[Batch]]  # this process' parts of a step, counted from 0; all have as many
    held_out: Mapping[str, Sequence[Batch]]  # by source
    data_sha256: str
    checkpoints: Checkpoints
    on_step: Callable[[dict[str, Any]], None]  # is given each line of the metrics, in the main process
    sample: Callable[[], list[dict[str, Any]]] = list  # texts of the model; draws the same in every process
    world: World = field(default_factory=lambda: World(torch.device("cpu")))
    measure_first: bool = False  # before the first step too, for a model that was trained before


def train(training: Training) -> State:
    """Train to the last step, from the newest checkpoint that is whole; all processes come here.

    Diverged: a loss that is no number or a spike. InputError: the data are others than those of the checkpoint.
    KeyboardInterrupt, Terminated: the signal came; the step at hand is finished and saved. Only the main process raises
    them; in the others it is SystemExit.
    """
    return _Loop(training).run()


@dataclass(frozen=True, slots=True)
class _Work:
    """What a step takes."""

    batches: Sequence[Batch]  # of this process
    targets: int  # of all processes
    positions: int  # that hold a token, of all processes
    rows: int


class _Loop:
    def __init__(self, training: Training) -> None:
        self.training, self.config, self.model = training, training.config, training.model
        self.world = training.world
        self.device = next(self.model.parameters()).device
        self.dtype = DTYPES[by_rule(self.config.dtype, self.device)]
        self.scaler = GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.objective = Objective(self.model, self.dtype, self.config.compile == "on", self.world)
        self.spread = spread(self.objective, self.world)
        self.state = State(0, 0, 0, training.data_sha256, [], {})
        self.saved = -1  # step of the newest checkpoint

    def run(self) -> State:
        self._resume()
        training = self.training
        if training.measure_first and training.held_out and self.state.step == 0:
            before = self._measure()
            self.world.on_main(lambda: write_json(training.run / BEFORE, before))
        with _Signals(told=self.world.main) as signals:
            while self.state.step < training.steps:
                started = time.perf_counter()
                work, received = self._next(signals)
                if received is not None:
                    self._save()
                    if self.world.main:
                        say(f"Saved at step {self.state.step:,} in {training.run}; the same command goes on.")
                    self.world.end(received)
                row = self._step(work, started)
                last = self.state.step == training.steps
                if last or self.state.step % self.config.eval_every == 0:
                    row |= self._measure() if training.held_out else {}
                    row |= self._sample()
                self.world.together(partial(self._tell, row))
                if last or self.state.step % self.config.checkpoint_every == 0:
                    self._save()
        return self.state

    def _resume(self) -> None:
        checkpoint = self.world.on_main(self._newest)
        if checkpoint is None:
            torch.manual_seed(self.config.seed)
        else:
            self.state = self.world.together(lambda: self._restored(checkpoint))
            if self.state.scaler:
                self.scaler.load_state_dict(self.state.scaler)
            self.saved = self.state.step
            if self.world.main:
                say(f"Goes on from step {self.state.step:,} of {self.training.steps:,}.")
        self.world.on_main(lambda: _cut_metrics(self.training.run / METRICS, self.state.step))

    def _newest(self) -> Path | None:
        checkpoint, warnings = newest(self.training.run)
        for warning in warnings:
            say(f"Warning: {warning}")
        return checkpoint

    def _restored(self, checkpoint: Path) -> State:
        state = self.training.checkpoints.restore(checkpoint, self.model, self.training.optimizers)
        if state.data_sha256 != self.training.data_sha256:
            raise InputError(f"The data are not those that {checkpoint} was trained on; give --out a new folder.")
        return state

    def _save(self) -> None:
        if self.saved == self.state.step:
            return
        # The lines first: a checkpoint on the disk never is ahead of its metrics.
        self.world.on_main(lambda: append_bytes(self.training.run / METRICS, b"", sync=True))
        scaler = self.scaler.state_dict() if self.scaler.is_enabled() else {}
        self.state = replace(self.state, scaler=scaler)
        self.training.checkpoints.save(self.state, self.model, self.training.optimizers, self.world)
        self.saved = self.state.step

    def _tell(self, row: dict[str, Any]) -> None:
        if self.world.main:
            append_bytes(self.training.run / METRICS, orjson.dumps(row) + b"\n")
            self.training.on_step(row)

    def _next(self, signals: "_Signals") -> tuple[_Work, BaseException | None]:
        """What the next step takes; how to end when a signal came to any process."""

        def read() -> tuple[Sequence[Batch], list[float]]:
            batches = self.training.batches(self.state.step) if signals.received is None else []
            targets = sum(int((batch.targets != NO_TARGET).sum()) for batch in batches)
            rows = sum(len(batch.inputs) for batch in batches)
            positions = sum(int((batch.documents >= 0).sum()) for batch in batches)
            ends = [signals.received == number for number in (signal.SIGINT, signal.SIGTERM)]
            return batches, [targets, positions, rows, *ends]

        batches, (targets, positions, rows, interrupted, terminated) = self.world.counted(read, 5)
        if interrupted or terminated:
            return _Work([], 0, 0, 0), KeyboardInterrupt() if interrupted else Terminated()
        if targets == 0:
            number = self.state.step + 1
            self.world.end(InputError(f"The rows of step {number} hold nothing to learn; give other data."))
        return _Work(batches, int(targets), int(positions), int(rows)), None

    def _step(self, work: _Work, started: float) -> dict[str, Any]:
        """One step; returns its line of the metrics. Diverged: the weights were not moved."""
        state, optimizers, processes = self.state, self.training.optimizers, self.world.size
        share = rate(self.config.optim, state.step, self.training.steps)
        lr = optimizers.set_rate(share)
        total = torch.zeros((), device=self.device)
        for number, batch in enumerate(work.batches):
            with exchanging(self.spread, number == len(work.batches) - 1):
                # Gradients become means over the processes, of which the sum is wanted.
                loss = self._loss(self.spread, batch, processes / work.targets)
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        norm = float(optimizers.clip(self.scaler, self.config.optim.clip))
        loss_value = self.world.agree([float(total) / processes])[0]
        self._check(loss_value, norm)
        optimizers.step(self.scaler, norm)
        self.state = replace(
            state,
            step=state.step + 1,
            row=state.row + work.rows,
            tokens=state.tokens + work.targets,
            losses=[*state.losses, loss_value][-MEDIAN_OF:],
        )
        return {
            "step": self.state.step,
            "loss": loss_value,
            "lr": lr,
            "grad_norm": norm if math.isfinite(norm) else None,  # fp16: an overflow, the scale was lowered
            "tokens": self.state.tokens,
            # Of dialogues a part is read and not learnt; it takes time like the rest.
            **({"positions": work.positions} if work.positions != work.targets else {}),
            "seconds": round(time.perf_counter() - started, 6),
        }

    def _loss(self, objective: nn.Module, batch: Batch, scale: float) -> Tensor:
        """`scale` times the summed loss of some rows, a scalar."""
        inputs = torch.from_numpy(batch.inputs).to(self.device, torch.int64)
        targets = torch.from_numpy(batch.targets).to(self.device, torch.int64)
        # One text a row needs no mask: what is empty comes behind it, and no position looks ahead.
        several = batch.documents.max() > 0
        documents = torch.from_numpy(batch.documents).to(self.device) if several else None
        return objective(inputs, documents, targets, scale)

    @torch.no_grad()
    def _measure(self) -> dict[str, Any]:
        """Mean loss over the targets of the held-out rows: of all, and by source. Every process measures all rows."""
        losses, counts = {}, {}
        for source, batches in self.training.held_out.items():
            counts[source] = sum(int((batch.targets != NO_TARGET).sum()) for batch in batches)
            losses[source] = sum(float(self._loss(self.objective, batch, 1 / counts[source])) for batch in batches)
        whole = sum(losses[source] * counts[source] for source in losses) / sum(counts.values())
        return {"held_out_loss": whole, "held_out": losses}

    @torch.no_grad()
    def _sample(self) -> dict[str, Any]:
        """Texts for the report, if there are any; under fsdp no process can run the model alone."""
        drawing = self.world.main or sharded(self.model)
        samples = self.world.together(lambda: self.training.sample() if drawing else [])
        return {"samples": samples} if samples else {}

    def _check(self, loss: float, norm: float) -> None:
        """Diverged, after a checkpoint of the weights as they are, when this step would ruin them."""
        losses = self.state.losses
        usual = statistics.median(losses) if len(losses) >= FEWEST else math.inf
        if 0 < len(losses) < FEWEST:
            # Before there is a usual loss: no model should get worse than it began, or than knowing nothing.
            usual = max(losses[0], math.log(self.model.config.vocab))
        overflow = self.scaler.is_enabled() and self.scaler.get_scale() >= 1
        if not math.isfinite(loss) or (not math.isfinite(norm) and not overflow):
            fault = "is no number" if not math.isfinite(loss) else "has a gradient that is no number"
        elif loss > usual + self.config.spike:
            before = f"a median of {usual:.2f} over the last {len(losses)} steps"
            fault = f"jumped to {loss:.2f}, from {before if len(losses) >= FEWEST else f'{losses[0]:.2f} in the first'}"
        else:
            return
        self.training.optimizers.zero_grad()
        self._save()
        self.world.end(
            Diverged(
                f"The loss of step {self.state.step + 1} {fault}; the weights of step {self.state.step} are saved in "
                f"{self.training.run}; train into a new folder with a lower optim.lr or a longer optim.warmup, or, if "
                "the data are like that, repeat the command with a higher -s spike."
            )
        )


class _Signals:
    """SIGINT and SIGTERM wait for the end of a step; a second one does not wait. `told`: say so on stderr."""

    def __init__(self, told: bool) -> None:
        self.received: int | None = None
        self._told = told
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "_Signals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()
        if self._told:
            with suppress(RuntimeError):  # the signal came in the middle of another line
                say("Finishing this step and saving; a second signal stops at once.")

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of the metrics; the half of one that a power cut left is left out."""
    rows = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            rows.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            break
        if not isinstance(rows[-1], dict):
            del rows[-1]
            break
    return rows


def _cut_metrics(path: Path, step: int) -> None:
    """Drop the lines behind `step`, which will be made again."""
    kept = [row for row in read_metrics(path) if row["step"] <= step]
    if len(kept) < step:
        say(f"Warning: {path} lacks {step - len(kept):,} of the {step:,} steps that were made; the model has them.")
    write_bytes(path, b"".join(orjson.dumps(row) + b"\n" for row in kept))


def loss_before(run: Path) -> float | None:
    """Held-out loss before the first step; None: it was not measured."""
    file = run / BEFORE
    try:
        return float(orjson.loads(file.read_bytes())["held_out_loss"])
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None  # cut by hand; nothing hangs on it
