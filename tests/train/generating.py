"""Small random models that are sure of what comes next; they have rows without an id."""

from typing import Any

import torch

from tests.train.foreign_models import VOCAB
from tests.train.model_runs import tiny
from train.model import Model

SHAPES: dict[str, dict[str, Any]] = {
    "rope": {},
    "alibi": {"position": "alibi", "heads": 6, "kv_heads": 3, "head_dim": 5},
    "all": {"qk_norm": True, "qkv_bias": True, "tied": False, "kv_heads": 1},
}


def random_model(kind: str = "rope", **changes: Any) -> Model:
    """Weights are large, so that the likeliest id is far ahead."""
    model = tiny(**{"vocab": VOCAB, "seq_len": 128, **SHAPES[kind], **changes}).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(1.0 if "norm" in name else 0.0, 0.3, generator=generator)
    return model
