"""Checkpoints: what transformers reads of them, and that no damage to one goes unnoticed."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from runkit.errors import InputError, UsageError
from tests.faults.checks import cut, flip, remove
from tests.train.model_runs import TINY, rows, tiny, training
from tests.train.test_loop import lines, state_files
from train.checkpoint import fault, folders, newest, step_of
from train.hf_config import config_json
from train.loop import train
from train.model_config import ModelConfig

MUTATIONS = 20
SHAPES: list[dict[str, Any]] = [
    {},
    {"tied": False, "rope_scaling": {"kind": "llama3", "factor": 4, "original_seq_len": 32}},
    {"rope_scaling": {"kind": "linear", "factor": 2}, "rope_theta": 5e5},
    {"qkv_bias": True},
    {"qk_norm": True, "head_dim": 16, "tied": False},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten steps with checkpoints at 5 and 10; copy it before changing anything."""
    folder = tmp_path_factory.mktemp("run") / "run"
    train(training(folder, steps=10))
    return folder


def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


@pytest.mark.parametrize("shape", SHAPES, ids=["llama", "llama3", "linear", "qwen2", "qwen3"])
def test_transformers_computes_the_same(tmp_path: Path, shape: dict[str, Any]) -> None:
    model = tiny(**shape)
    train(training(tmp_path / "run", steps=2, model=model))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folders(tmp_path / "run")[0], dtype=torch.float32)
    ids = torch.from_numpy(rows(5).inputs).long()
    with torch.no_grad():
        torch.testing.assert_close(model.logits(model.hidden(ids)), theirs(ids).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [{"position": "alibi"}, {"qk_norm": True, "qkv_bias": True}])
def test_what_no_class_computes_is_refused_by_transformers(tmp_path: Path, shape: dict[str, Any]) -> None:
    train(training(tmp_path / "run", steps=1, model=tiny(**shape)))
    with pytest.raises(ValueError, match="wenhai"):
        transformers.AutoConfig.from_pretrained(folders(tmp_path / "run")[0])
    assert config_json(ModelConfig(**{**TINY, **shape}), None, None)["model_type"] == "wenhai"


def test_every_mutation_is_noticed(run: Path, tmp_path: Path) -> None:
    rng = random.Random(4)
    checkpoint = folders(run)[0]
    assert fault(checkpoint) is None
    files = sorted(file.relative_to(checkpoint) for file in checkpoint.rglob("*") if file.is_file())
    assert len(files) == 7
    for number in range(MUTATIONS):
        damaged = Path(shutil.copytree(checkpoint, tmp_path / str(number)))
        file = damaged / rng.choice(files)
        raw = bytearray(file.read_bytes())
        match rng.choice(["cut", "flip", "remove", "longer"]):
            case "cut":
                file.write_bytes(raw[: rng.randrange(len(raw))])
            case "flip":
                raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
                file.write_bytes(raw)
            case "remove":
                file.unlink()
            case "longer":
                file.write_bytes(raw + b"\n")
        wrong = fault(damaged)
        assert wrong is not None and file.name in wrong, (number, file, wrong)
        shutil.rmtree(damaged)


@pytest.mark.parametrize("harm", [cut, flip, remove])
def test_a_damaged_newest_falls_back(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: Any) -> None:
    again = copied(run, tmp_path)
    harm(folders(again)[0] / "model.safetensors")
    shutil.copytree(run.parent / "tokenizer", tmp_path / "tokenizer")
    train(training(again, steps=10))
    said = capsys.readouterr().err
    assert "step-00000010 is damaged: model.safetensors" in said and "goes on from step 5." in said
    assert lines(again) == lines(run)
    assert state_files(again) == state_files(run)
    assert newest(again) == (folders(again)[0], [])


def test_none_whole_is_an_error_and_not_a_new_beginning(run: Path, tmp_path: Path) -> None:
    again = copied(run, tmp_path)
    for checkpoint in folders(again):
        flip(checkpoint / "state/optimizer.safetensors")
    with pytest.raises(InputError, match=r"step-00000010 is damaged: .* and no other is whole; remove"):
        train(training(again, steps=10))


def test_the_newest_are_kept(tmp_path: Path) -> None:
    train(training(tmp_path / "run", steps=10, checkpoint_every=2, keep=3))
    assert [step_of(folder) for folder in folders(tmp_path / "run")] == [10, 8, 6]


def test_a_save_that_fails_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    """A file stands where the folder would be written."""
    start = training(tmp_path / "run", steps=5)
    train(start)
    saved = state_files(tmp_path / "run")
    (tmp_path / "run/checkpoints/.saving").write_text("in the way")
    with pytest.raises(UsageError, match="in its place"):
        train(training(tmp_path / "run", steps=10))
    assert state_files(tmp_path / "run") == saved


def test_other_data_are_refused(run: Path, tmp_path: Path) -> None:
    again = copied(run, tmp_path)
    other = training(again, steps=20)
    with pytest.raises(InputError, match="data are not those that"):
        train(type(other)(**{name: getattr(other, name) for name in other.__slots__} | {"data_sha256": "1" * 64}))


def test_another_model_is_refused(run: Path, tmp_path: Path) -> None:
    again = copied(run, tmp_path)
    with pytest.raises(InputError, match="does not fit"):
        train(training(again, steps=20, model=tiny(layers=1)))
