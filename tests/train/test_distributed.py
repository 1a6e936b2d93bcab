"""Two processes come to what one comes to, go on with its checkpoints, and end together."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from runkit.errors import UsageError
from tests.train.distributed_run import LORA, ROWS, embeddings_only, task
from tests.train.model_runs import tiny
from tests.train.token_runs import ROOT
from train.checkpoint import OPTIMIZER, WEIGHTS, folders, step_of, weights
from train.distributed import World, world
from train.loop import METRICS, read_metrics, train
from train.lora import ADAPTER, ADAPTER_WEIGHTS
from train.model import Model

ALONE = World(torch.device("cpu"))
TIMEOUT_S = 150


class Killed(BaseException):
    """Ends a run as kill -9 would."""


def losses(run: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(run / METRICS)]


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """Weights and optimizer of the newest checkpoint."""
    found = folders(run)[0]
    return {**load_file(found / WEIGHTS), **load_file(found / OPTIMIZER)}


def kill(row: dict[str, Any]) -> None:
    if row["step"] == 5:
        raise Killed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process' runs first, for one is gone on with; then those of two, and what they wrote to stderr."""
    folder = tmp_path_factory.mktemp("runs")
    train(task(folder / "one", ALONE))
    with pytest.raises(Killed):
        train(task(folder / "from_one_ddp", ALONE, on_step=kill, checkpoint_every=4))
    with pytest.raises(Killed):
        train(task(folder / "lora", ALONE, on_step=kill, **LORA))
    shutil.copytree(folder / "from_one_ddp", folder / "from_one_fsdp")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "tests.train.distributed_run", str(folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    (folder / "stderr").write_text(done.stderr)
    return folder


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> list[dict[str, str]]:
    """By process: run → how it ended."""
    return [json.loads((folder / f"outcomes-{rank}.json").read_text()) for rank in range(2)]


pytestmark = pytest.mark.timeout(TIMEOUT_S)


@pytest.mark.parametrize("name", ["ddp", "fsdp", "from_one_ddp", "from_one_fsdp"])
def test_two_processes_come_to_what_one_comes_to(folder: Path, name: str) -> None:
    ours, theirs = (read_metrics(folder / run / METRICS) for run in (name, "one"))
    assert [row.keys() for row in ours] == [row.keys() for row in theirs]
    for row, other in zip(ours, theirs, strict=True):
        assert [row[key] for key in ("step", "lr", "tokens")] == [other[key] for key in ("step", "lr", "tokens")]
        assert row["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert row["grad_norm"] == pytest.approx(other["grad_norm"], abs=1e-4)
        if "held_out_loss" in row:
            assert row["held_out_loss"] == pytest.approx(other["held_out_loss"], abs=1e-5)
            assert row["samples"] == other["samples"] and len(row["samples"][0]["ids"]) == 6
    ours, theirs = tensors(folder / name), tensors(folder / "one")
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, atol=1e-5, rtol=0, msg=key)


@pytest.mark.parametrize("name", ["to_one", "to_one_fsdp"])
def test_one_process_goes_on_with_what_two_made(folder: Path, name: str) -> None:
    assert [step_of(found) for found in folders(folder / name)] == [4]
    train(task(folder / name, ALONE, tiny(seed=9)))
    assert losses(folder / name) == pytest.approx(losses(folder / "one"), abs=1e-5)
    ours, theirs = tensors(folder / name), tensors(folder / "one")
    assert max(float((ours[key].float() - theirs[key].float()).abs().max()) for key in theirs) < 1e-5


@pytest.mark.parametrize(
    ("name", "settings", "model", "within"),
    [
        ("ddp_muon", {"optim": {"kind": "muon"}}, tiny, 1e-3),  # Muon rounds to bf16
        ("fsdp_muon", {"optim": {"kind": "muon"}}, tiny, 1e-3),
        ("ddp_fp16", {"dtype": "fp16"}, tiny, 1e-3),
        ("fsdp_untied", {}, lambda: tiny(tied=False), 1e-5),
        ("ddp_embeddings", {}, embeddings_only, 1e-5),
        ("fsdp_embeddings", {}, embeddings_only, 1e-5),
    ],
)
def test_other_settings(folder: Path, name: str, settings: dict[str, Any], model: Any, within: float) -> None:
    first: Model = model()
    frozen = {key for key, weight in first.named_parameters() if not weight.requires_grad}
    before = {key: value.clone() for key, value in first.state_dict().items()}
    train(task(folder / f"one_{name}", ALONE, first, steps=3, **settings))
    assert losses(folder / name) == pytest.approx(losses(folder / f"one_{name}"), abs=within)
    ours = tensors(folder / name)
    assert ours.keys() == tensors(folder / f"one_{name}").keys()
    assert all(torch.equal(ours[key], before[key]) for key in frozen)


def test_adapters_go_on_in_two_processes(folder: Path) -> None:
    """The fifth and sixth step were made by two processes with fsdp; the base came from elsewhere again."""
    train(task(folder / "one_lora", ALONE, **LORA))
    assert losses(folder / "lora") == pytest.approx(losses(folder / "one_lora"), abs=1e-5)
    for name in (WEIGHTS, OPTIMIZER, f"{ADAPTER}/{ADAPTER_WEIGHTS}"):
        ours, theirs = (load_file(folders(folder / run)[0] / name) for run in ("lora", "one_lora"))
        assert ours.keys() == theirs.keys() and len(ours) > 14
        for key, value in theirs.items():
            torch.testing.assert_close(ours[key], value, atol=1e-5, rtol=0, msg=key)
    assert load_file(folders(folder / "lora")[0] / WEIGHTS).keys() == weights(tiny()).keys()


def test_what_ends_one_ends_both(outcomes: list[dict[str, str]], folder: Path) -> None:
    """The process that knows says why, the other leaves with the same code."""
    first, second = outcomes
    for name, words, code in (
        ("to_one", "Terminated: ", 143),
        ("to_one_fsdp", "InputError: Not to be told.", 3),
        ("poisoned", "Diverged: The loss of step 4 ", 6),
        ("refused_0", "InputError: No rows in process 0.", 3),
        ("in_the_way", "UsageError: Cannot write into ", 2),
        ("refused_alone", "InputError: Only the main process knows.", 3),
        ("uneven", "UsageError: batch_rows = 5 cannot be shared out evenly to 2 processes; make it a multiple", 2),
        ("fsdp_fp16", "UsageError: dtype = fp16 does not go with parallel = fsdp", 2),
    ):
        assert first[name].startswith(words) and second[name] == f"SystemExit: {code}", name
    assert first["refused_1"] == "SystemExit: 3" and second["refused_1"] == "InputError: No rows in process 1."
    assert len(losses(folder / "refused_0")) == len(losses(folder / "refused_1")) == 2
    assert step_of(folders(folder / "poisoned")[0]) == 3 and not folders(folder / "in_the_way")
    names = "to_one to_one_fsdp poisoned refused_0 refused_1 in_the_way refused_alone uneven fsdp_fp16"
    assert {name for name in first if first[name] != "done"} == set(names.split())


def test_a_process_that_is_gone_ends_the_other(folder: Path) -> None:
    said = (folder / "stderr").read_text()
    assert said.count("Error: Process 0 of 2 lost another one; see what that one") == 1
    assert "this is a bug" not in said


def test_rows_are_shared_out() -> None:
    """Each row of a step belongs to one process."""
    worlds = [World(torch.device("cpu"), rank, 4) for rank in range(4)]
    assert [here.share(24, 12) for here in worlds] == [(24, 3), (27, 3), (30, 3), (33, 3)]
    assert ALONE.share(24, ROWS) == (24, ROWS) and ALONE.agree([math.pi]) == [math.pi]


def test_an_environment_that_is_not_torchruns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="WORLD_SIZE = 2, but RANK is not set; start with torchrun"), world():
        pass
    monkeypatch.delenv("WORLD_SIZE")
    with world() as here:
        assert here.main and here.size == 1 and not torch.distributed.is_initialized()
