"""Low-rank adapters: the start is the base, the merged weights give the same logits, PEFT reads the files."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load, save_file
from torch import Tensor

from runkit.errors import InputError
from tests.train.model_runs import TINY, rows, tiny
from train.hf_config import config_json
from train.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS, LoraLinear, adapter_files, add_lora, load_adapter, merged
from train.loss import cross_entropy
from train.model import Model
from train.model_config import ModelConfig
from train.model_weights import weights_of
from train.optim import Optimizers
from train.optim_config import OptimConfig
from train.pretrain_config import LoraConfig

torch.set_num_threads(1)
IDS = torch.randint(0, 300, (2, 20), generator=torch.Generator().manual_seed(1))
ALL = LoraConfig().targets


@torch.no_grad()
def logits(model: Any, ids: Tensor = IDS) -> Tensor:
    return model.logits(model.hidden(ids)) if isinstance(model, Model) else model(ids).logits


def adapted(seed: int = 0, **config: Any) -> tuple[Model, LoraConfig]:
    chosen = LoraConfig.model_validate({"rank": 4, "alpha": 6.0, **config})
    model = tiny(tied=False, qkv_bias=True)
    add_lora(model, chosen, seed)
    return model, chosen


def moved(model: Model) -> Model:
    """Whatever is trained, set to large random numbers, as if it had been trained for long."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.normal_(0, 0.3, generator=generator)
    return model


def loss(model: Model) -> Tensor:
    batch = rows(0)
    hidden = model.hidden(torch.from_numpy(batch.inputs).long(), torch.from_numpy(batch.documents))
    return cross_entropy(hidden.flatten(0, 1), model.lm_head.weight, torch.from_numpy(batch.targets).long().flatten())


def test_the_first_logits_are_those_of_the_base() -> None:
    model, _ = adapted()
    assert torch.equal(logits(model), logits(tiny(tied=False, qkv_bias=True)))
    first, again, other = (adapted(seed)[0].get_parameter("model.layers.0.mlp.up_proj.lora_A") for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.abs().max() <= 1 / math.sqrt(32) < 1.2 * first.abs().max()


def test_an_adapter_by_hand() -> None:
    """y = x W^T + b + (x A^T) B^T · alpha / r."""
    model, _ = adapted(targets=["q_proj"])
    layer: Any = moved(model).model.layers[0]
    part = layer.self_attn.q_proj
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(2))
    wanted = x @ part.weight.T + part.bias + (x @ part.lora_A.T) @ part.lora_B.T * (6.0 / 4)
    assert torch.allclose(part(x), wanted, atol=1e-5)
    assert [type(getattr(layer.self_attn, name)) is LoraLinear for name in ("q_proj", "k_proj")] == [True, False]


@pytest.mark.parametrize("embeddings", [False, True])
def test_only_adapters_have_gradients(embeddings: bool) -> None:
    model, _ = adapted(targets=["v_proj", "down_proj"], embeddings=embeddings)
    loss(moved(model)).backward()
    names = {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}
    wanted = {
        f"model.layers.{layer}.{part}.lora_{side}"
        for layer in range(2)
        for part in ("self_attn.v_proj", "mlp.down_proj")
        for side in "AB"
    }
    assert names == wanted | ({"model.embed_tokens.weight", "lm_head.weight"} if embeddings else set())
    assert names == {name for name, weight in model.named_parameters() if weight.requires_grad}


def test_merged_weights_give_the_same_logits() -> None:
    model, config = adapted()
    base = logits(model)
    moved(model)
    whole = merged(model.state_dict(), config)
    plain = tiny(tied=False, qkv_bias=True)
    assert whole.keys() == plain.state_dict().keys()
    plain.load_state_dict(whole)
    difference = (logits(model) - logits(plain)).abs().max()
    assert difference < 1e-5 * logits(model).abs().max().clamp(1) and (logits(model) - base).abs().max() > 0.1


def test_files_as_peft_names_them() -> None:
    model, config = adapted(targets=["q_proj", "down_proj"], embeddings=True)
    files = adapter_files(model.state_dict(), config, "base")
    tensors = load(files[ADAPTER_WEIGHTS])
    shapes = {"self_attn.q_proj": (32, 32), "mlp.down_proj": (128, 32)}  # hidden: 8/3 · 32, up to a multiple of 64
    wanted = {
        f"base_model.model.model.layers.{layer}.{part}.lora_{side}.weight": (4, before) if side == "A" else (after, 4)
        for layer in range(2)
        for part, (before, after) in shapes.items()
        for side in "AB"
    }
    head = dict.fromkeys(("base_model.model.model.embed_tokens.weight", "base_model.model.lm_head.weight"), (300, 32))
    assert {name: tuple(value.shape) for name, value in tensors.items()} == wanted | head
    stated = json.loads(files[ADAPTER_CONFIG])
    assert (stated["peft_type"], stated["r"], stated["lora_alpha"]) == ("LORA", 4, 6.0)
    assert stated["target_modules"] == ["down_proj", "q_proj"]
    assert stated["modules_to_save"] == ["embed_tokens", "lm_head"]


@pytest.mark.parametrize("tied", [False, True])
def test_adapters_come_back_to_the_bit(tied: bool) -> None:
    config = LoraConfig(rank=4, embeddings=True)
    model, other = tiny(tied=tied), tiny(tied=tied)
    for seed, one in enumerate((model, other)):
        add_lora(one, config, seed)
    tensors = load(adapter_files(moved(model).state_dict(), config, "base")[ADAPTER_WEIGHTS])
    load_adapter(other, tensors)
    assert torch.equal(logits(model), logits(other))
    assert (other.lm_head.weight is other.model.embed_tokens.weight) == tied
    for wrong in (LoraConfig(rank=2, embeddings=True), LoraConfig(rank=4), LoraConfig(rank=4, targets=["q_proj"])):
        plain = tiny(tied=tied)
        add_lora(plain, wrong, 0)
        with pytest.raises(InputError, match="adapters do not fit the model at "):
            load_adapter(plain, tensors)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_it_learns(kind: str) -> None:
    model, _ = adapted(rank=8, embeddings=True)
    frozen = {name: weight.clone() for name, weight in model.named_parameters() if not weight.requires_grad}
    settings = OptimConfig.model_validate({"kind": kind, "lr": 1e-2, "muon_lr": 1e-2})
    optimizers = Optimizers(model, settings)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    losses = []
    for _ in range(15):
        one = loss(model)
        (one / 92).backward()
        optimizers.step(scaler, 0.0)
        losses.append(one.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(model.get_parameter(name), weight) for name, weight in frozen.items())


@pytest.mark.parametrize(("tied", "embeddings"), [(False, False), (False, True), (True, True)])
def test_peft_computes_the_same(tied: bool, embeddings: bool, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model = tiny(tied=tied)
    (tmp_path / "base").mkdir()
    save_file(weights_of(model, model.config, torch.float32), tmp_path / "base" / "model.safetensors", {"format": "pt"})
    (tmp_path / "base" / "config.json").write_text(json.dumps(config_json(ModelConfig(**{**TINY, "tied": tied}), 1, 2)))
    config = LoraConfig(rank=4, alpha=6.0, embeddings=embeddings)
    add_lora(model, config, 0)
    (tmp_path / "adapter").mkdir()
    for name, data in adapter_files(moved(model).state_dict(), config, str(tmp_path / "base")).items():
        (tmp_path / "adapter" / name).write_bytes(data)
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    assert torch.allclose(logits(theirs), logits(model), atol=1e-4)
