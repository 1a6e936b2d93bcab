"""What `config.json` says of a model, in the words of the class of transformers that computes the same.

In: a `ModelConfig` and the ids that begin and end a text. Out: a JSON-like object. Llama where that is enough, Qwen2
for biases on queries, keys and values, Qwen3 for QK-norm. Price: ALiBi, and biases together with QK-norm, have no such
class; they get a name of their own, which transformers refuses instead of computing something else.
"""

from typing import Any, Final

from train.model_config import ModelConfig

OWN: Final = "wenhai"  # model_type of what no class of transformers computes
_ARCHITECTURES: Final = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    OWN: "WenhaiForCausalLM",
}


def model_type(config: ModelConfig) -> str:
    """The name of the class family: llama, qwen2, qwen3 or our own."""
    if config.position == "alibi" or (config.qk_norm and config.qkv_bias):
        return OWN
    if config.qk_norm:
        return "qwen3"
    return "qwen2" if config.qkv_bias else "llama"


def config_json(config: ModelConfig, bos: int | None, eos: int | None, dtype: str = "float32") -> dict[str, Any]:
    """The content of `config.json`; transformers 4 and 5 both read it."""
    kind = model_type(config)
    stated: dict[str, Any] = {
        "architectures": [_ARCHITECTURES[kind]],
        "model_type": kind,
        "vocab_size": config.vocab,
        "hidden_size": config.dim,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.hidden_width,
        "max_position_embeddings": config.seq_len,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied,
        "attention_bias": False,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "torch_dtype": dtype,
    }
    if config.position == "rope":
        stated |= {"rope_theta": config.rope_theta, "rope_scaling": _scaling(config)}
    if kind == OWN:
        own = {"position": config.position, "qk_norm": config.qk_norm, "qkv_bias": config.qkv_bias}
        stated |= own
    return stated


def _scaling(config: ModelConfig) -> dict[str, Any] | None:
    scaling = config.rope_scaling
    if scaling is None:
        return None
    if scaling.kind == "linear":
        return {"rope_type": "linear", "factor": scaling.factor}
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "original_max_position_embeddings": scaling.original_seq_len,
        "low_freq_factor": scaling.low_frequency,
        "high_freq_factor": scaling.high_frequency,
    }
