"""What a run computes with is chosen once, kept, and leaves the model and the random numbers as they were."""

import json
from pathlib import Path

import pytest
import torch

from tests.train.model_runs import rows, tiny
from train.pretrain_config import LoopConfig
from train.probe import FILE, probe


@pytest.fixture(autouse=True)
def _threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_nothing_is_changed_and_the_choice_is_kept(tmp_path: Path) -> None:
    model = tiny()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    choice = probe(tmp_path, model, [rows(0)], LoopConfig(), steps=10)
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters()) and torch.equal(random, torch.get_rng_state())
    assert choice.dtype in ("fp32", "bf16") and choice.compile == "off" and choice.peak_flops > 1e8
    kept = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps(kept | {"threads": 3}))
    assert probe(tmp_path, model, [rows(0)], LoopConfig(), 10).threads == 3 == torch.get_num_threads()
    torch.set_num_threads(1)
    (tmp_path / FILE).write_text(json.dumps(kept | {"threads": 3, "device": "an abacus"}))
    assert probe(tmp_path, model, [rows(0)], LoopConfig(), 10).threads != 3, "another machine is probed anew"


def test_a_long_run_is_tried_and_what_was_asked_for_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without a compiler
    monkeypatch.delenv("CXX", raising=False)
    choice = probe(tmp_path, tiny(), [rows(0)], LoopConfig(threads=1), steps=10**9)
    assert choice.compile == "off" and choice.threads == 1
    said = capsys.readouterr().err
    assert "times as fast as fp32" in said and "there is no C++ compiler" in " ".join(said.split())
    asked = LoopConfig(dtype="bf16", compile="off", threads=1)
    chosen = probe(tmp_path / "other", tiny(), [rows(0)], asked, steps=10**9)
    assert chosen.applied(LoopConfig()).dtype == "bf16" and chosen.applied(LoopConfig()).compile == "off"
