"""Reads the `config.json` of a checkpoint folder; no torch is needed for it.

In: the file of a Llama, Mistral, Qwen2 or Qwen3, as transformers 4 or 5 writes it, or of a model of our own that no
class of transformers computes (`train/hf_config.py` writes both). Out: a `ModelConfig`. Price: what these files can ask
for and our model lacks (partial rotation, YaRN, quantised weights) is refused, never left out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import ValidationError

from runkit.console import say
from runkit.errors import InputError
from train.hf_config import OWN
from train.model_config import ModelConfig

_KNOWN: Final = ("llama", "mistral", "qwen2", "qwen3")
# What transformers takes where the file is silent.
_KEY_HEADS: Final = {"mistral": 8, "qwen2": 32, "qwen3": 32}
_HEAD_DIM: Final = {"qwen3": 128}
_NORM_EPS: Final = 1e-6
_ROPE_THETA: Final = 10_000.0
_SIZES: Final = {
    "vocab": "vocab_size",
    "dim": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "hidden": "intermediate_size",
    "seq_len": "max_position_embeddings",
}
_ACTIVATIONS: Final = ("silu", "swish")


def read_config(file: Path) -> ModelConfig:
    """The model that a `config.json` describes. InputError: it cannot be read, or is a model that we do not have."""
    try:
        values = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.") from error
    if not isinstance(values, dict):
        raise InputError(f"{file} holds no object.")
    kind = values.get("model_type")
    if kind not in (*_KNOWN, OWN):
        raise InputError(f"{file}: the architecture {kind!r} is unknown; known are {', '.join(_KNOWN)}.")
    try:
        return ModelConfig.model_validate(_translated(file, kind, values))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise InputError(f"{file}: {f'{place}: ' if place else ''}{fault['msg']}.") from error


def _translated(file: Path, kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    missing = [name for name in _SIZES.values() if values.get(name) is None]
    if missing:
        raise InputError(f"{file} does not say {', '.join(missing)}.")
    _refuse_unknown_parts(file, kind, values)
    found: dict[str, Any] = {ours: values[theirs] for ours, theirs in _SIZES.items()}
    found["kv_heads"] = values.get("num_key_value_heads", _KEY_HEADS.get(kind))
    found["head_dim"] = values.get("head_dim") or _HEAD_DIM.get(kind)
    found["norm_eps"] = values.get("rms_norm_eps", _NORM_EPS)
    found["tied"] = values.get("tie_word_embeddings", False)
    found["qk_norm"] = kind == "qwen3"
    found["qkv_bias"] = kind == "qwen2" or bool(values.get("attention_bias"))
    if kind == OWN:
        found |= {name: values.get(name) for name in ("position", "qk_norm", "qkv_bias")}
    # transformers 4 has two keys at the top, transformers 5 one object; it lets the older one win, so do we.
    rope = values.get("rope_scaling") or values.get("rope_parameters") or {}
    if not isinstance(rope, dict):
        raise InputError(f"{file}: the rope parameters are no object.")
    theta = rope.get("rope_theta", values.get("rope_theta"))
    found["rope_theta"] = _ROPE_THETA if theta is None else theta
    found["rope_scaling"] = _scaling(file, rope)
    window = values.get("sliding_window")
    slides = kind == "mistral" or (kind.startswith("qwen") and bool(values.get("use_sliding_window")))
    if slides and isinstance(window, int) and window < found["seq_len"]:
        say(f"{file} has a sliding window of {window:,} positions, which we lack: seq_len is {window:,}, not "
            f"{found['seq_len']:,}; up to there both are the same.")  # fmt: skip
        found["seq_len"] = window
    return found


def _refuse_unknown_parts(file: Path, kind: str, values: Mapping[str, Any]) -> None:
    activation = values.get("hidden_act", "silu")
    partial = values.get("partial_rotary_factor")
    refused = {
        f"the activation {activation!r}": activation not in _ACTIVATIONS,
        "biases in the feed-forward (mlp_bias)": bool(values.get("mlp_bias")),
        "quantised weights (quantization_config)": bool(values.get("quantization_config")),
        f"rotation of a part of each head (partial_rotary_factor {partial})": partial not in (None, 1, 1.0),
    }
    for what, holds in refused.items():
        if holds:
            raise InputError(f"{file} asks for {what}, which our model does not have.")


def _scaling(file: Path, rope: dict[str, Any]) -> dict[str, Any] | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind in (None, "default"):
        return None
    names = {"factor": "factor"}
    if kind == "llama3":
        names |= {
            "original_seq_len": "original_max_position_embeddings",
            "low_frequency": "low_freq_factor",
            "high_frequency": "high_freq_factor",
        }
    elif kind != "linear":
        raise InputError(f"{file}: the rope type {kind!r} is unknown; known are default, linear and llama3.")
    missing = [theirs for theirs in names.values() if rope.get(theirs) is None]
    if missing:
        raise InputError(f"{file}: the rope type {kind} needs {', '.join(missing)}.")
    return {"kind": kind, **{ours: rope[theirs] for ours, theirs in names.items()}}
