"""Low-rank adapters (arXiv:2106.09685): a few numbers beside each matrix are trained, the matrix stays as it is.

In: a `Model` and a `LoraConfig`. Out: the same model with `LoraLinear` in its blocks; its weights with the adapters
merged in, which any program reads; the adapters alone, named as PEFT names them. Names of parameters stay those of
Hugging Face, with `lora_A` and `lora_B` beside `weight`. What works on named tensors takes whole tensors, so it does
not matter over how many processes a model is spread. Price: two small products beside each large one; while a
checkpoint is written, one merged matrix after another is made anew, the size of the adapted ones in memory.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from runkit.errors import InputError
from train.model import Model
from train.pretrain_config import LoraConfig

ADAPTER: Final = "adapter"  # folder in a checkpoint
ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"
ADAPTER_CONFIG: Final = "adapter_config.json"
EMBEDDINGS: Final = ("model.embed_tokens.weight", "lm_head.weight")
_A, _B = ".lora_A", ".lora_B"
_PEFT: Final = "base_model.model."


@dataclass(frozen=True, slots=True)
class Adapter:
    """What a checkpoint must know of the adapters in its model."""

    config: LoraConfig
    base_name: str  # where PEFT looks for the base


class LoraLinear(nn.Linear):
    """x W^T + (x A^T) B^T · alpha / r, where W (out, in) is frozen, A (r, in) and B (out, r) are trained."""

    def __init__(self, base: nn.Linear, config: LoraConfig, generator: torch.Generator) -> None:
        """B begins as zeros, so the first output is that of `base`; A as PEFT draws it, uniform in ±1/√in."""
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        edge = 1 / math.sqrt(base.in_features)
        first = torch.empty(config.rank, base.in_features).uniform_(-edge, edge, generator=generator)
        self.lora_A = nn.Parameter(first.to(base.weight))
        self.lora_B = nn.Parameter(base.weight.new_zeros(base.out_features, config.rank))
        self.scale = config.alpha / config.rank

    def forward(self, input: Tensor) -> Tensor:
        """(…, in) to (…, out)."""
        added = functional.linear(functional.linear(input, self.lora_A), self.lora_B)
        return super().forward(input) + added * self.scale


def add_lora(model: Model, config: LoraConfig, seed: int) -> None:
    """Put adapters beside the matrices that `config` names; all else needs no gradient but, if wanted, embeddings.

    The same seed gives the same adapters; call it while the model is on the CPU.
    """
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    for block in model.model.layers:
        for part in block.children():
            for name, linear in list(part.named_children()):
                if name in config.targets:
                    assert isinstance(linear, nn.Linear) and not isinstance(linear, LoraLinear), name
                    setattr(part, name, LoraLinear(linear, config, generator))
    if config.embeddings:
        train_embeddings(model)


def train_embeddings(model: Model) -> None:
    """Let the embedding and the output matrix have gradients."""
    model.model.embed_tokens.requires_grad_()
    model.lm_head.requires_grad_()


def merged(tensors: Mapping[str, Tensor], config: LoraConfig) -> dict[str, Tensor]:
    """A state_dict with B·A·alpha/r added to each adapted matrix, under Hugging Face's names alone.

    Sums are made in fp32 and given in the type of the matrix. A matrix without an adapter is not copied.
    """
    found = {name: value for name, value in tensors.items() if not name.endswith((_A, _B))}
    for name in [name for name in tensors if name.endswith(_A)]:
        stem = name.removesuffix(_A)
        weight = found[f"{stem}.weight"].detach()
        added = tensors[stem + _B].detach().float() @ tensors[name].detach().float()  # (out, in)
        found[f"{stem}.weight"] = (weight.float() + added * (config.alpha / config.rank)).to(weight.dtype)
    return found


def adapter_files(tensors: Mapping[str, Tensor], config: LoraConfig, base_name: str) -> dict[str, bytes]:
    """What is trained, by file name, as PEFT's `PeftModel.from_pretrained` reads it; `tensors` is a state_dict, whose
    output matrix may be missing where it is tied.

    The numbers are those of `tensors` to the bit. `base_name` is where PEFT looks for the base. With
    `config.embeddings` both matrices are stored, tied ones twice, as PEFT wants them; rows that were added to the
    vocabulary must be added to PEFT's base too, before it loads them.
    """
    names = [name for name in tensors if name.endswith((_A, _B))]
    stored = {f"{_PEFT}{name}.weight": tensors[name] for name in names}
    if config.embeddings:
        embedding, head = EMBEDDINGS
        stored[f"{_PEFT}{embedding}"] = tensors[embedding]
        stored[f"{_PEFT}{head}"] = tensors.get(
            head, tensors[embedding]
        ).clone()  # a file may not hold one storage twice
    stated: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_name,
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "inference_mode": True,
        "target_modules": sorted(config.targets),
        "modules_to_save": ["embed_tokens", "lm_head"] if config.embeddings else None,
    }
    return {
        ADAPTER_WEIGHTS: save({name: value.detach().cpu().contiguous() for name, value in stored.items()}),
        ADAPTER_CONFIG: orjson.dumps(stated, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
    }


def adapter_tensors(model: Model, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `adapter_model.safetensors` under the names of the parameters of `model`, a tied matrix once.

    InputError: they are not exactly what the model trains.
    """
    found = {}
    for name, value in stored.items():
        own = name.removeprefix(_PEFT)
        if own.endswith((f"{_A}.weight", f"{_B}.weight")):
            own = own.removesuffix(".weight")
        if not (model.config.tied and own == EMBEDDINGS[1]):
            found[own] = value
    trained = {name: weight.shape for name, weight in model.named_parameters() if weight.requires_grad}
    odd = sorted(found.keys() ^ trained.keys()) or [name for name in trained if trained[name] != found[name].shape]
    if odd:
        raise InputError(f"The adapters do not fit the model at {odd[0]}; use the config that they were made by.")
    return found


def load_adapter(model: Model, stored: Mapping[str, Tensor]) -> None:
    """Take over the tensors of `adapter_model.safetensors`, to the bit; `model` is one that `add_lora` was called on.

    InputError: what `adapter_tensors` raises.
    """
    model.load_state_dict(adapter_tensors(model, stored), strict=False)
