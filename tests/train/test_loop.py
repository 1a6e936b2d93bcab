"""The training loop: exact resume, the mean over a whole step, and what stops it."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.amp.grad_scaler import GradScaler
from torch.nn import functional

from runkit.console import Terminated
from tests.train.model_runs import part, rows, tiny, training
from train.checkpoint import folders, newest, step_of, weights
from train.data import Batch
from train.loop import METRICS, Diverged, read_metrics, train
from train.optim import Optimizers
from train.optim_config import OptimConfig, rate

KINDS: list[dict[str, Any]] = [{}, {"optim": {"kind": "muon"}}, {"dtype": "fp16"}, {"dtype": "bf16"}]


class Killed(BaseException):
    """Ends a run as kill -9 would: nothing of the loop catches it."""


def lines(run: Path) -> list[dict[str, Any]]:
    """The metrics without what differs from run to run."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in read_metrics(run / METRICS)]


def state_files(run: Path) -> dict[str, bytes]:
    newest_folder = folders(run)[0]
    return {str(file.relative_to(newest_folder)): file.read_bytes() for file in newest_folder.rglob("*.*")}


@pytest.mark.parametrize("kind", KINDS, ids=["adamw", "muon", "fp16", "bf16"])
def test_a_killed_run_comes_to_the_same_bits(tmp_path: Path, kind: dict[str, Any]) -> None:
    train(training(tmp_path / "whole", **kind))

    def kill(row: dict[str, Any]) -> None:
        if row["step"] == 13:
            raise Killed

    with pytest.raises(Killed):
        train(training(tmp_path / "killed", on_step=kill, **kind))
    assert len(lines(tmp_path / "killed")) == 13 and step_of(folders(tmp_path / "killed")[0]) == 10
    torch.rand(5)  # other random numbers than the first start drew
    train(training(tmp_path / "killed", model=tiny(seed=9), **kind))
    assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
    assert [row["step"] for row in lines(tmp_path / "whole")] == list(range(1, 21))
    assert [row["step"] for row in lines(tmp_path / "whole") if "held_out_loss" in row] == [7, 14, 20]
    assert state_files(tmp_path / "killed") == state_files(tmp_path / "whole")


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_saves_after_the_step(tmp_path: Path, number: int, error: type[BaseException]) -> None:
    def send(row: dict[str, Any]) -> None:
        if row["step"] == 8:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(error):
        train(training(tmp_path / "stopped", steps=12, on_step=send))
    assert signal.getsignal(number) == before
    assert [step_of(folder) for folder in folders(tmp_path / "stopped")] == [8, 5]
    train(training(tmp_path / "stopped", steps=12))
    train(training(tmp_path / "whole", steps=12))
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")
    assert state_files(tmp_path / "stopped") == state_files(tmp_path / "whole")


def test_the_loss_is_the_mean_over_all_targets_of_a_step(tmp_path: Path) -> None:
    """Parts have different numbers of targets, so a mean of means would be another number."""
    batch = rows(0)

    def halves(step: int) -> list[Batch]:
        return [part(batch, 0, 1), part(batch, 1, 4)]

    model = tiny()
    documents = torch.from_numpy(batch.documents)
    logits = model.logits(model.hidden(torch.from_numpy(batch.inputs).long(), documents))
    expected = functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.targets).long().flatten())
    expected.backward()
    norm = torch.stack([weight.grad.norm() for weight in model.parameters() if weight.grad is not None]).norm()
    train(training(tmp_path / "parts", steps=1, batches=halves))
    train(training(tmp_path / "one", steps=1, batches=lambda step: [batch]))
    for run in ("parts", "one"):
        row = lines(tmp_path / run)[0]
        assert row["loss"] == pytest.approx(expected.item(), abs=1e-5)
        assert row["grad_norm"] == pytest.approx(norm.item(), rel=1e-5)
        assert row["tokens"] == int((batch.targets != -100).sum())


def test_the_weights_move_as_torch_moves_them(tmp_path: Path) -> None:
    """Three steps by hand: no chunks, no clipping, one AdamW of torch with its own arguments."""
    config = {"lr": 1e-2, "warmup": 2, "clip": 1e9}
    train(training(tmp_path / "run", steps=3, optim=config, model=(ours := tiny())))
    theirs = tiny()
    matrices = [weight for weight in theirs.parameters() if weight.ndim > 1]
    vectors = [weight for weight in theirs.parameters() if weight.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), fused=False)
    for step in range(3):
        batch = rows(step)
        logits = theirs.logits(theirs.hidden(torch.from_numpy(batch.inputs).long(), torch.from_numpy(batch.documents)))
        functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.targets).long().flatten()).backward()
        for group in adamw.param_groups:
            group["lr"] = 1e-2 * rate(OptimConfig(**config), step, 3)
        adamw.step()
        adamw.zero_grad()
    for name, value in weights(theirs).items():
        torch.testing.assert_close(weights(ours)[name], value, atol=2e-5, rtol=0)
    assert [row["lr"] for row in lines(tmp_path / "run")] == pytest.approx([0.005, 0.01, 0.001])


def test_it_learns_what_can_be_learnt(tmp_path: Path) -> None:
    train(training(tmp_path / "run", steps=60, checkpoint_every=100))
    losses = [row["loss"] for row in lines(tmp_path / "run")]
    assert losses[0] == pytest.approx(np.log(300), abs=0.1)
    assert losses[-1] < 3 and read_metrics(tmp_path / "run" / METRICS)[-1]["held_out_loss"] < 3.5


def test_no_number_stops_with_the_last_good_weights(tmp_path: Path) -> None:
    """A norm weight of 1e38 overflows in fp32."""
    model = tiny()

    def poison(row: dict[str, Any]) -> None:
        if row["step"] == 7:
            model.model.norm.weight.data.fill_(1e38)

    with pytest.raises(Diverged, match=r"step 8 .*no number; the weights of step 7 are saved") as caught:
        train(training(tmp_path / "run", model=model, on_step=poison))
    assert caught.value.exit_code == 6
    assert [step_of(folder) for folder in folders(tmp_path / "run")] == [7, 5]
    assert len(lines(tmp_path / "run")) == 7


def test_a_spike_stops_before_the_weights_are_moved(tmp_path: Path) -> None:
    def batches(step: int) -> list[Batch]:
        batch = rows(step)
        if step == 40:  # what never stood there before
            batch.targets[batch.targets >= 0] = 299
        return [batch]

    whole = training(tmp_path / "good", steps=60, checkpoint_every=40)
    with pytest.raises(Diverged, match=r"step 41 jumped to .*, from a median of .* over the last 40 steps"):
        train(training(tmp_path / "run", steps=60, batches=batches, checkpoint_every=100))
    with pytest.raises(Diverged):  # and again: what lies there is whole
        train(training(tmp_path / "run", steps=60, batches=batches, checkpoint_every=100))
    train(whole)
    saved = folders(tmp_path / "run")
    assert [step_of(folder) for folder in saved] == [40] and newest(tmp_path / "run") == (saved[0], [])
    assert lines(tmp_path / "run") == [
        {key: value for key, value in row.items() if "held_out" not in key} if row["step"] > 40 else row
        for row in lines(tmp_path / "good")[:40]
    ]
    good = next(folder for folder in folders(tmp_path / "good") if step_of(folder) == 40)
    assert (saved[0] / "model.safetensors").read_bytes() == (good / "model.safetensors").read_bytes()


def test_a_model_that_is_ruined_at_once_is_stopped(tmp_path: Path) -> None:
    """Before there are ten losses, none may go far above the first one, or above knowing nothing."""
    with pytest.raises(Diverged, match=r"step \d jumped to .*, from 5\.7\d in the first; .*-s spike"):
        train(training(tmp_path / "run", optim={"lr": 1.0, "warmup": 0, "clip": 1000.0}))
    losses = [row["loss"] for row in lines(tmp_path / "run")]
    assert 1 <= len(losses) < 10 and max(losses) < np.log(300) + 3


def test_an_overflow_in_one_optimizer_moves_no_weight() -> None:
    """With fp16, what Muon moves and what AdamW moves stay together."""
    torch.manual_seed(0)
    model = tiny()
    optimizers = Optimizers(model, OptimConfig(kind="muon", lr=1e-2))
    scaler = GradScaler("cpu", enabled=True)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    matrix = model.model.layers[0].mlp.up_proj.weight
    matrix.grad[0, 0] = float("inf")
    scaler.scale(torch.zeros(()))
    norm = float(optimizers.clip(scaler, 1.0))
    assert not np.isfinite(norm)
    optimizers.step(scaler, norm)
    assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())
    assert optimizers.tensors() == {}


def test_weights_without_gradient_stay(tmp_path: Path) -> None:
    model = tiny()
    for name, weight in model.named_parameters():
        weight.requires_grad_("embed" in name)
    before = {name: value.clone() for name, value in weights(model).items()}
    train(training(tmp_path / "run", steps=3, model=model))
    moved = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert moved == {"model.embed_tokens.weight"}


def test_muon_moves_the_matrices_of_the_blocks_only() -> None:
    optimizers = Optimizers(tiny(), OptimConfig(kind="muon"))
    adamw, muon = ([optimizers.names[w] for g in part.param_groups for w in g["params"]] for part in optimizers.parts)
    assert len(muon) == 2 * 7 and all(name.endswith("proj.weight") for name in muon)
    assert "model.embed_tokens.weight" in adamw and len(adamw) == 1 + 2 * 2 + 1
