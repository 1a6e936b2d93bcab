"""Shows a training run while it goes on: a line on the terminal, scalars for TensorBoard, and the report behind it.

In: each line of the metrics. Out: loss, tokens a second, share of the machine's matrix products, and time left on
stderr; `RUN/tensorboard` when it is asked for; `RUN/report.html`. A terminal gets a bar, anything else one plain line
at most every 10 s. Rates and time left count the steps of this start alone, without its first step, in which code is
compiled. Price: 2 µs a step, and a drawing of 1 ms at most ten times a second.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Final, Self

from runkit.console import PLAIN_LINE_EVERY_S, REDRAW_EVERY_S, err, say
from runkit.errors import UsageError
from runkit.files import write_text
from train.loop import METRICS, read_metrics
from train.pretrain_config import LoopConfig
from train.train_report import report

RECENT: Final = 20  # steps that loss and rate are taken of
Clock = Callable[[], float]


class Watch:
    """Give `on_step` to the loop; steps are counted from 1.

    `flops_per_token`: of a forward and backward pass. `peak`: FLOP/s of the machine's matrix products, None where they
    were not measured. UsageError: TensorBoard is asked for and not installed.
    """

    def __init__(
        self,
        run: Path,
        steps: int,
        config: LoopConfig,
        flops_per_token: float,
        peak: float | None,
        quiet: bool,
        lang: str = "en",
        clock: Clock = time.monotonic,
    ) -> None:
        self._run, self._steps, self._lang = run, steps, lang
        self._flops_per_token, self._peak = flops_per_token, peak
        self._quiet, self._clock = quiet, clock
        self._new_writer = tensorboard_writer() if config.tensorboard else None
        self._writer: Any = None
        self._losses: deque[float] = deque(maxlen=RECENT)
        self._spent: deque[tuple[int, float]] = deque(maxlen=RECENT)  # tokens and seconds of a step
        self._held_out: float | None = None
        self._first: tuple[int, float] | None = None  # first step of this start, and when it was done
        self._step = self._tokens = 0
        self._shown = clock()
        self._draw: Callable[[], None] | None = None
        self._interval_s = PLAIN_LINE_EVERY_S
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if not self._quiet:
            self._draw = self._bar() if sys.stderr.isatty() else lambda: say(f"Training: {self.figures()}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def on_step(self, row: Mapping[str, Any]) -> None:
        """Take in a line of the metrics and show it when it is time."""
        now = self._clock()
        if self._first is None:
            self._first = (row["step"], now)
        else:
            self._spent.append((row.get("positions", row["tokens"] - self._tokens), row["seconds"]))
        self._step, self._tokens = row["step"], row["tokens"]
        if row["loss"] is not None:
            self._losses.append(row["loss"])
        self._held_out = row.get("held_out_loss", self._held_out)
        if self._new_writer is not None:
            self._record(row)
        if self._draw is not None and now - self._shown >= self._interval_s:
            self._shown = now
            self._draw()

    def figures(self) -> str:
        """One line; what is not known yet is not in it."""
        parts = [f"{self._step:,} of {self._steps:,} steps"]
        if self._losses:
            parts.append(f"loss {median(self._losses):.3f}")
        if self._held_out is not None:
            parts.append(f"held-out {self._held_out:.3f}")
        rate = self.tokens_per_second()
        if rate is not None:
            parts.append(f"{rate:,.0f} tokens/s")
            if self._peak:
                parts.append(f"MFU {100 * self._flops_per_token * rate / self._peak:.1f} %")
        left_s = self._left_s()
        if left_s is not None:
            parts.append(f"{left_s // 3600}:{left_s // 60 % 60:02}:{left_s % 60:02} left")
        return ", ".join(parts)

    def tokens_per_second(self) -> float | None:
        """Of the last `RECENT` steps; None before the second step of this start."""
        seconds = sum(spent for _, spent in self._spent)
        return sum(tokens for tokens, _ in self._spent) / seconds if seconds > 0 else None

    def write_report(self, summary: Mapping[str, Any]) -> None:
        """`RUN/report.html` of all steps so far."""
        first = {} if self._first is None else {"first_step": self._first[0]}
        write_report(self._run, first | dict(summary), self._lang)

    def _left_s(self) -> int | None:
        """By the clock, so that measuring and saving are counted too."""
        if self._first is None or self._step <= self._first[0]:
            return None
        a_step_s = (self._clock() - self._first[1]) / (self._step - self._first[0])
        return round((self._steps - self._step) * a_step_s)

    def _bar(self) -> Callable[[], None]:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.text import Text

        watch = self

        class Figures(TextColumn):
            def render(self, task: Any) -> Text:
                return Text(watch.figures())

        self._interval_s = REDRAW_EVERY_S
        # Drawn by whoever calls, without a thread: a process that forks must not have one.
        bar = Progress(BarColumn(20), Figures(""), console=err(), auto_refresh=False, transient=True)
        self._stack.enter_context(bar)
        task = bar.add_task("", total=self._steps)
        return lambda: bar.update(task, completed=self._step, refresh=True)

    def _record(self, row: Mapping[str, Any]) -> None:
        if self._writer is None:
            assert self._new_writer is not None
            # What an earlier start wrote of this step and later ones is made again.
            self._writer = self._new_writer(str(self._run / "tensorboard"), purge_step=row["step"])
            self._stack.callback(self._writer.close)
        scalars = {"loss/training": row["loss"], "loss/held_out": row.get("held_out_loss"), "lr": row["lr"]}
        scalars |= {"grad_norm": row.get("grad_norm"), "tokens_per_second": self.tokens_per_second()}
        scalars |= {f"held_out/{source}": loss for source, loss in row.get("held_out", {}).items()}
        for name, value in scalars.items():
            if value is not None:
                self._writer.add_scalar(name, value, row["step"])


def write_report(run: Path, summary: Mapping[str, Any], lang: str) -> None:
    """`RUN/report.html` of the metrics that lie there."""
    write_text(run / "report.html", report(run, read_metrics(run / METRICS), summary, lang))


def tensorboard_writer() -> Callable[..., Any]:
    """The class that writes scalars. UsageError: TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "tensorboard = true needs a package that is not installed: `pip install 'wenhai[tensorboard]'`, or set it "
            "to false."
        ) from error
    return SummaryWriter
