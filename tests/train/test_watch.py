"""What is shown while training goes on: rates by arithmetic, resumes, TensorBoard."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import rich.console

from runkit import console
from runkit.errors import UsageError
from tests.train.model_runs import training
from train import watch as watching
from train.loop import train
from train.pretrain_config import LoopConfig
from train.watch import Watch, write_report

CONFIG = LoopConfig()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def row(step: int, loss: float = 3.0, tokens: int = 1000, seconds: float = 0.5, **more: Any) -> dict[str, Any]:
    return {
        "step": step,
        "loss": loss,
        "lr": 1e-3,
        "grad_norm": 1.0,
        "tokens": step * tokens,
        "seconds": seconds,
    } | more


def shown(clock: Clock, rows: list[dict[str, Any]], every_s: float = 1.0, **more: Any) -> Watch:
    kind: dict[str, Any] = {"steps": 1000, "flops_per_token": 6e6, "peak": 1e11, "quiet": False, **more}
    watch = Watch(Path("run"), config=kind.pop("config", CONFIG), clock=clock, **kind)
    with watch:
        for one in rows:
            clock.now += every_s
            watch.on_step(one)
    return watch


def test_figures_follow_from_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """1,000 tokens in 0.5 s are 2,000 a second, times 6e6 FLOP are 12 % of 1e11; each step takes 1 s by the clock."""
    watch = shown(Clock(), [row(step, loss=4 - step / 100) for step in range(1, 41)])
    assert watch.tokens_per_second() == pytest.approx(2000)
    expected = "40 of 1,000 steps, loss 3.695, 2,000 tokens/s, MFU 12.0 %, 0:16:00 left"  # median of steps 21 to 40
    assert watch.figures() == expected
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"Training: {step} of 1" for step in (10, 20, 30, 40)]
    assert lines[-1] == f"Training: {expected}"


def test_what_is_not_known_is_not_shown() -> None:
    assert shown(Clock(), []).figures() == "0 of 1,000 steps"
    assert shown(Clock(), [row(1)]).figures() == "1 of 1,000 steps, loss 3.000"
    rows = [row(1), row(2, loss=5.0, held_out_loss=3.5), row(3, loss=4.0)]
    without = shown(Clock(), rows, peak=None).figures()
    assert without == "3 of 1,000 steps, loss 4.000, held-out 3.500, 2,000 tokens/s, 0:16:37 left"


def test_a_resume_counts_its_own_steps_only() -> None:
    """600 steps were made before; the first of this start compiles for a minute."""
    clock = Clock()
    rows = [row(601, seconds=60.0), *(row(step) for step in range(602, 622))]
    watch = shown(clock, rows, every_s=2.0)
    assert (
        watch.figures() == "621 of 1,000 steps, loss 3.000, 2,000 tokens/s, MFU 12.0 %, 0:12:38 left"
    )  # 379 steps of 2 s


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    shown(Clock(), [row(step) for step in range(1, 100)], quiet=True)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    terminal = rich.console.Console(stderr=True, force_terminal=True, width=120)
    monkeypatch.setattr(watching, "err", lambda: terminal)
    shown(Clock(), [row(step) for step in range(1, 5)])
    drawn = capsys.readouterr().err
    assert "━" in drawn and "4 of 1,000 steps, loss 3.000, 2,000 tokens/s, MFU 12.0 %, 0:16:36 left" in drawn


def test_tensorboard_must_be_there_before_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if it were not installed
    config = LoopConfig(tensorboard=True)
    with pytest.raises(UsageError, match=r"pip install .wenhai\[tensorboard\]"):
        Watch(tmp_path, 10, config, 1.0, None, True)
    Watch(tmp_path, 10, CONFIG, 1.0, None, True)


def test_tensorboard_gets_scalars_from_the_resumed_step_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            told.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, value, step))

        def close(self) -> None:
            told.append("closed")

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    rows = [row(51, grad_norm=None), row(52, held_out_loss=3.5, held_out={"wiki": 3.25})]
    shown(Clock(), rows, config=LoopConfig(tensorboard=True), quiet=True)
    assert told == [
        ("run/tensorboard", 51),
        *(("loss/training", 3.0, 51), ("lr", 1e-3, 51)),
        *(("loss/training", 3.0, 52), ("loss/held_out", 3.5, 52), ("lr", 1e-3, 52), ("grad_norm", 1.0, 52)),
        *(("tokens_per_second", 2000.0, 52), ("held_out/wiki", 3.25, 52)),
        "closed",
    ]


def test_a_real_run_is_shown_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, clock = tmp_path / "run", Clock()
    with Watch(run, 8, CONFIG, 1e6, None, False, "zh", clock) as watch:

        def on_step(one: dict[str, Any]) -> None:
            clock.now += console.PLAIN_LINE_EVERY_S
            watch.on_step(one)

        train(training(run, steps=8, on_step=on_step, eval_every=8, checkpoint_every=8))
        watch.write_report({"parameters": 12_345})
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Training: ")]
    assert len(told) == 8 and told[-1].startswith("Training: 8 of 8 steps, loss ") and told[-1].endswith("0:00:00 left")
    text = (run / "report.html").read_text("utf-8")
    assert "训练报告" in text and "12,345" in text
    write_report(run, {}, "en")
    assert "Training run" in (run / "report.html").read_text("utf-8")
