"""Checkpoints: what transformers reads of them, and that no damage to one goes unnoticed."""

import os
import pickle
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from runkit.errors import InputError, UsageError
from tests.faults.checks import cut, flip, remove
from tests.faults.launch import FULL
from tests.train.model_runs import TINY, rows, tiny, training
from tests.train.test_loop import lines, state_files
from train.checkpoint import MANIFEST, fault, folders, newest, step_of
from train.convert import checkpoint_folder, load_model
from train.hf_config import config_json
from train.loop import train
from train.model_config import ModelConfig

MUTATIONS = 200 if FULL else 28
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


class Planted:
    """What a pickle runs when it is loaded."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


def damage(file: Path, rng: random.Random, canary: Path) -> str:
    """Cut, change one bit, remove, lengthen, or put a pickle in the place of a file; says which."""
    raw, kind = bytearray(file.read_bytes()), rng.choice(["cut", "flip", "flip", "remove", "longer", "pickle"])
    match kind:
        case "cut":
            raw = raw[: rng.randrange(len(raw))]
        case "flip":
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        case "longer":
            raw += b"\n"
        case "pickle":
            raw = bytearray(pickle.dumps(Planted(canary)))
    file.unlink()
    if kind != "remove":
        file.write_bytes(raw)
    return kind


def test_every_mutation_is_noticed(run: Path, tmp_path: Path) -> None:
    """The one before is taken with a sentence that names the file, and nothing that was planted runs."""
    rng, again, canary = random.Random(4), copied(run, tmp_path), tmp_path / "canary"
    checkpoint, older = folders(again)
    assert fault(checkpoint) is None
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file())
    assert len(files) == 7
    kinds: Counter[str] = Counter()
    for number in range(MUTATIONS):
        file = files[number % len(files)]
        whole = file.read_bytes()
        kinds[damage(file, rng, canary)] += 1
        taken, told = newest(again)
        assert taken == older and len(told) == 1 and f"{checkpoint} is damaged: " in told[0], told
        assert str(file.relative_to(checkpoint)) in told[0] and "that of step 5 is used." in told[0]
        assert step_of(checkpoint_folder(again)) == 5  # where evaluation and export look
        file.write_bytes(whole)
    assert newest(again) == (checkpoint, []) and not canary.exists()
    assert len(kinds) == 5
    print(f"\n{MUTATIONS} of {MUTATIONS} mutations noticed: {dict(kinds)}")


def test_every_byte_of_the_manifest_counts(run: Path, tmp_path: Path) -> None:
    """Even a space: it is compared with what would be written."""
    checkpoint = folders(copied(run, tmp_path))[0]
    manifest = checkpoint / MANIFEST
    whole = manifest.read_bytes()
    for place in range(0, len(whole), 1 if FULL else 9):
        manifest.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert str(fault(checkpoint)).startswith(MANIFEST), place


def test_pickles_are_never_loaded(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the weights, in their place, in the place of the state: nobody unpickles them."""
    again, canary = copied(run, tmp_path), tmp_path / "canary"
    shutil.copytree(run.parent / "tokenizer", tmp_path / "tokenizer")
    planted = pickle.dumps(Planted(canary))
    for name in ("pytorch_model.bin", "model.pt", "state/optimizer.pt", "training_args.bin"):
        (folders(again)[0] / name).write_bytes(planted)
    train(training(again, steps=15))
    assert lines(again)[:10] == lines(run) and step_of(folders(again)[0]) == 15
    torch.save(Planted(canary), folders(again)[0] / "state/optimizer.safetensors")  # a zip with a pickle
    train(training(again, steps=15))
    assert "optimizer.safetensors was cut or edited; that of step 10 is used." in capsys.readouterr().err
    alone = Path(shutil.copytree(folders(again)[0], tmp_path / "alone"))
    (alone / "manifest.json").unlink()  # a folder of somebody else's, without sums to be held against
    for content in (planted, None):
        (alone / "model.safetensors").unlink()
        (alone / ("model.safetensors" if content else "pytorch_model.bin")).write_bytes(planted)
        with pytest.raises(InputError, match="is no safetensors file" if content else "pickled weights alone"):
            load_model(alone)
    assert not canary.exists()
    pickle.loads(planted)  # it would have been seen
    assert canary.exists()


@pytest.mark.parametrize("harm", [cut, flip, remove])
def test_a_damaged_newest_falls_back(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: Any) -> None:
    again = copied(run, tmp_path)
    harm(folders(again)[0] / "model.safetensors")
    shutil.copytree(run.parent / "tokenizer", tmp_path / "tokenizer")
    train(training(again, steps=10))
    said = capsys.readouterr().err
    assert "step-00000010 is damaged: model.safetensors" in said and "that of step 5 is used." in said
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
