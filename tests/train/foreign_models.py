"""Random small models of transformers, and whether two models give the same logits."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from train.model import Model

torch.set_num_threads(1)
VOCAB = 304
IDS = torch.randint(0, 300, (2, 40), generator=torch.Generator().manual_seed(1))
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5000.0,
    "factor": 8.0,
    "original_max_position_embeddings": 16,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "llama-tied": ("Llama", {"tie_word_embeddings": True, "head_dim": 16}),
    "llama-biases": ("Llama", {"attention_bias": True}),
    "llama3": ("Llama", {"rope_parameters": LLAMA3}),
    "linear": ("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}}),
    "mistral": ("Mistral", {"sliding_window": None, "head_dim": 8}),
    "qwen2": ("Qwen2", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "qwen3": ("Qwen3", {"head_dim": 16, "tie_word_embeddings": True}),
}


def theirs(kind: str = "llama", **changes: Any) -> Any:
    """A random model of transformers; norms and biases too, which it would begin with 1 and 0."""
    name, more = KINDS[kind]
    torch.manual_seed(0)
    config = getattr(transformers, name + "Config")(**{**SIZES, **more, **changes})
    model = getattr(transformers, name + "ForCausalLM")(config).eval()
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if not key.endswith("o_proj.bias"):
                weight.normal_(1.0 if "norm" in key else 0.0, 0.2)
    return model


@torch.no_grad()
def logits(model: Any) -> Tensor:
    return model.logits(model.hidden(IDS)) if isinstance(model, Model) else model(IDS).logits


def close(first: Any, second: Any, tolerance: float = 1e-5) -> bool:
    a, b = logits(first), logits(second)
    return torch.allclose(a, b, rtol=0, atol=tolerance) and bool((a.argmax(-1) == b.argmax(-1)).all())


def auto(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
