"""The one training loop: batches by number, a model, its optimizers; out come metrics, checkpoints and weights.

In: a `Training`, whose `batches(step)` gives the rows of a step, the same after every restart. Out: a line of
`metrics.jsonl` a step and checkpoints. On a CPU a run that was killed comes to the same bits as one that was not: what
a step depends on is its number, the weights and the optimizer, and all are in the checkpoint. Price: the steps behind
the last checkpoint are made again, and a number is fetched from the device each step to tell a loss that runs away.
"""

import math
import signal
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

import orjson
import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from runkit.console import Terminated, say
from runkit.errors import InputError, UserError
from runkit.files import append_bytes, write_bytes
from train.checkpoint import Checkpoints, State, newest
from train.data import NO_TARGET, Batch
from train.loss import cross_entropy
from train.model import Model
from train.optim import Optimizers
from train.optim_config import rate
from train.pretrain_config import LoopConfig

METRICS: Final = "metrics.jsonl"
MEDIAN_OF: Final = 50  # steps whose loss says what is usual
FEWEST: Final = 10  # of them, before a spike can be told
DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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
    batches: Callable[[int], Sequence[Batch]]  # the parts of a step, counted from 0
    held_out: Mapping[str, Sequence[Batch]]  # by source
    data_sha256: str
    checkpoints: Checkpoints
    on_step: Callable[[dict[str, Any]], None]  # is given each line of the metrics


def train(training: Training) -> State:
    """Train to the last step, from the newest checkpoint that is whole.

    Diverged: a loss that is no number or a spike. InputError: the data are others than those of the checkpoint.
    KeyboardInterrupt, Terminated: the signal came; the step at hand is finished and saved.
    """
    return _Loop(training).run()


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """What `auto` means on a device."""
    if name != "auto":
        return DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    # Measured on two cores without AMX: bf16 is 0.6 times as fast as fp32.
    return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32


class _Loop:
    def __init__(self, training: Training) -> None:
        self.training, self.config, self.model = training, training.config, training.model
        self.device = next(self.model.parameters()).device
        self.dtype = resolve_dtype(self.config.dtype, self.device)
        self.scaler = GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        compiled = self.config.compile == "on" or (self.config.compile == "auto" and self.device.type == "cuda")
        self.hidden = torch.compile(self.model.hidden) if compiled else self.model.hidden
        self.state = State(0, 0, 0, training.data_sha256, [], {})
        self.saved = -1  # step of the newest checkpoint

    def run(self) -> State:
        self._resume()
        with _Signals() as signals:
            while self.state.step < self.training.steps:
                row = self._step()
                step = self.state.step
                last = step == self.training.steps
                if self.training.held_out and (last or step % self.config.eval_every == 0):
                    row |= self._measure()
                append_bytes(self.training.run / METRICS, orjson.dumps(row) + b"\n")
                self.training.on_step(row)
                if last or signals.received is not None or step % self.config.checkpoint_every == 0:
                    self._save()
                if not last:
                    signals.raise_received()
        return self.state

    def _resume(self) -> None:
        training = self.training
        checkpoint, warnings = newest(training.run)
        for warning in warnings:
            say(f"Warning: {warning}")
        if checkpoint is None:
            torch.manual_seed(self.config.seed)
        else:
            self.state = training.checkpoints.restore(checkpoint, self.model, training.optimizers)
            if self.state.data_sha256 != training.data_sha256:
                raise InputError(f"The data are not those that {checkpoint} was trained on; give --out a new folder.")
            if self.state.scaler:
                self.scaler.load_state_dict(self.state.scaler)
            self.saved = self.state.step
        _cut_metrics(training.run / METRICS, self.state.step)

    def _save(self) -> None:
        if self.saved == self.state.step:
            return
        # The lines first: a checkpoint on the disk never is ahead of its metrics.
        append_bytes(self.training.run / METRICS, b"", sync=True)
        scaler = self.scaler.state_dict() if self.scaler.is_enabled() else {}
        self.state = replace(self.state, scaler=scaler)
        self.training.checkpoints.save(self.state, self.model, self.training.optimizers)
        self.saved = self.state.step

    def _step(self) -> dict[str, Any]:
        """One step; returns its line of the metrics. Diverged: the weights were not moved."""
        started = time.perf_counter()
        training, state, optimizers = self.training, self.state, self.training.optimizers
        share = rate(self.config.optim, state.step, training.steps)
        lr = optimizers.set_rate(share)
        batches = training.batches(state.step)
        targets = sum(int((batch.targets != NO_TARGET).sum()) for batch in batches)
        if targets == 0:
            raise InputError(f"The rows of step {state.step + 1} hold nothing to learn; give other data.")
        total = torch.zeros((), device=self.device)
        for batch in batches:
            loss = self._loss(batch, 1 / targets)
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        norm = float(optimizers.clip(self.scaler, self.config.optim.clip))
        loss_value = float(total)
        self._check(loss_value, norm)
        optimizers.step(self.scaler)
        losses = [*state.losses, loss_value][-MEDIAN_OF:]
        rows = sum(len(batch.inputs) for batch in batches)
        self.state = replace(
            state, step=state.step + 1, row=state.row + rows, tokens=state.tokens + targets, losses=losses
        )
        return {
            "step": self.state.step,
            "loss": loss_value,
            "lr": lr,
            "grad_norm": norm if math.isfinite(norm) else None,  # fp16: an overflow, the scale was lowered
            "tokens": self.state.tokens,
            "seconds": round(time.perf_counter() - started, 6),
        }

    def _loss(self, batch: Batch, scale: float) -> Tensor:
        """`scale` times the summed loss of some rows, a scalar."""
        inputs = torch.from_numpy(batch.inputs).to(self.device, torch.int64)
        targets = torch.from_numpy(batch.targets).to(self.device, torch.int64)
        # One text a row needs no mask: what is empty comes behind it, and no position looks ahead.
        several = batch.documents.max() > 0
        documents = torch.from_numpy(batch.documents).to(self.device) if several else None
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            hidden = self.hidden(inputs, documents)  # (B, T, D)
            return cross_entropy(hidden.flatten(0, 1), self.model.lm_head.weight, targets.flatten(), scale)

    @torch.no_grad()
    def _measure(self) -> dict[str, Any]:
        """Mean loss over the targets of the held-out rows: of all, and by source."""
        losses, counts = {}, {}
        for source, batches in self.training.held_out.items():
            counts[source] = sum(int((batch.targets != NO_TARGET).sum()) for batch in batches)
            losses[source] = sum(float(self._loss(batch, 1 / counts[source])) for batch in batches)
        whole = sum(losses[source] * counts[source] for source in losses) / sum(counts.values())
        return {"held_out_loss": whole, "held_out": losses}

    def _check(self, loss: float, norm: float) -> None:
        """Diverged, after a checkpoint of the weights as they are, when this step would ruin them."""
        losses = self.state.losses
        usual = statistics.median(losses) if len(losses) >= FEWEST else math.inf
        overflow = self.scaler.is_enabled() and self.scaler.get_scale() >= 1
        if not math.isfinite(loss) or (not math.isfinite(norm) and not overflow):
            fault = "is no number" if not math.isfinite(loss) else "has a gradient that is no number"
        elif loss > usual + self.config.spike:
            fault = f"jumped to {loss:.2f}, from a median of {usual:.2f} over the last {len(losses)} steps"
        else:
            return
        self.training.optimizers.zero_grad()
        self._save()
        raise Diverged(
            f"The loss of step {self.state.step + 1} {fault}; the weights of step {self.state.step} are saved in "
            f"{self.training.run}; train into a new folder with a lower optim.lr or a longer optim.warmup."
        )


class _Signals:
    """SIGINT and SIGTERM wait for the end of a step; a second one does not wait."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "_Signals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._restore()

    def raise_received(self) -> None:
        """End the run the way the signal asked for."""
        if self.received is not None:
            raise KeyboardInterrupt if self.received == signal.SIGINT else Terminated

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

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
    return rows


def _cut_metrics(path: Path, step: int) -> None:
    """Drop the lines behind `step`, which will be made again."""
    kept = [row for row in read_metrics(path) if row["step"] <= step]
    if len(kept) < step:
        say(f"Warning: {path} lacks {step - len(kept):,} of the {step:,} steps that were made; the model has them.")
    write_bytes(path, b"".join(orjson.dumps(row) + b"\n" for row in kept))
