"""A random Llama of transformers and our model with the same weights."""

from pathlib import Path

import torch
import transformers

from train.model import Model
from train.model_config import ModelConfig
from train.pieces import Tokenizer


def tiny_llama(vocab: int, seq_len: int = 2048, seed: int = 0) -> tuple[transformers.LlamaForCausalLM, Model]:
    """Weights are large, so that probabilities are far from even."""
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=vocab,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=seq_len,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        initializer_range=0.3,
        attn_implementation="eager",
    )
    theirs = transformers.LlamaForCausalLM(config).eval()
    ours = Model(
        ModelConfig(vocab=vocab, dim=32, layers=2, heads=4, kv_heads=2, hidden=64, seq_len=seq_len, tied=False)
    )
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def saved(folder: Path, model: transformers.LlamaForCausalLM, tokenizer: Tokenizer) -> Path:
    """The model as transformers saves it, with its tokenizer."""
    model.save_pretrained(folder)
    (folder / tokenizer.path.name).write_bytes(tokenizer.path.read_bytes())
    return folder
