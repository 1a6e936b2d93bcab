"""GGUF files as llama.cpp's own script writes them: the model they were made from gives the logits."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import transformers

from runkit.errors import InputError
from tests.train.foreign_models import auto, close, logits, theirs
from tests.train.making import TEXTS, byte_level, small_model
from train.convert import ConvertCall, import_model, load_model
from train.tokenizer import load


def as_gguf(path: Path, model: Any, kind: str, files: Path, stored: gguf.GGMLQuantizationType) -> None:
    """What llama.cpp's convert_hf_to_gguf.py writes: llama's query and key rows permuted, matrices quantised."""
    config = model.config
    writer = gguf.GGUFWriter(path, kind)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_key_length(getattr(config, "head_dim", 8))
    rope = config.rope_parameters
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif rope["rope_type"] == "llama3":
        scaled = model.model.rotary_emb.inv_freq.numpy()
        plain = rope["rope_theta"] ** (-np.arange(len(scaled)) / len(scaled))
        writer.add_tensor("rope_freqs.weight", (plain / scaled).astype(np.float32))
    add_vocabulary(writer, files)
    architecture = {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2, "qwen3": gguf.MODEL_ARCH.QWEN3}
    names = gguf.get_tensor_name_map(architecture[kind], config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = weight.numpy()
        if kind == "llama" and ("q_proj" in name or "k_proj" in name):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            pairs = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
            values = np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(values.shape))
        written = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if values.ndim == 2 and values.shape[1] % 32 == 0:
            writer.add_tensor(written, gguf.quants.quantize(values, stored), raw_dtype=stored)
        else:
            writer.add_tensor(written, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_vocabulary(writer: gguf.GGUFWriter, files: Path) -> None:
    ours = load(files)
    byte_like = ours.kind == "byte-level"
    writer.add_tokenizer_model("gpt2" if byte_like else "llama")
    pieces: Sequence[str] = [ours.piece(number) for number in range(ours.size)]
    special, unk = {number for number in range(ours.size) if ours.is_special(number)}, ours.special.unk
    kinds = [
        2 if number == unk else 3 if number in special else 6 if not byte_like and ours.is_byte(number) else 1
        for number in range(ours.size)
    ]
    writer.add_token_list(pieces)
    writer.add_token_types(kinds)
    if byte_like:
        writer.add_tokenizer_pre("gpt-2")
        merges = json.loads(ours.path.read_text())["model"]["merges"]
        writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    else:
        writer.add_token_scores([-float(number) if kind == 1 else 0.0 for number, kind in enumerate(kinds)])
        writer.add_add_space_prefix(False)
        writer.add_bos_token_id(1)
    writer.add_eos_token_id(ours.special.eos or 0)


@pytest.mark.parametrize(
    ("kind", "name", "stored", "tolerance"),
    [
        ("llama", "llama", gguf.GGMLQuantizationType.F32, 1e-5),
        ("llama", "llama-tied", gguf.GGMLQuantizationType.F32, 1e-5),
        ("qwen2", "qwen2", gguf.GGMLQuantizationType.F32, 1e-5),
        ("qwen3", "qwen3", gguf.GGMLQuantizationType.F32, 1e-5),
        ("llama", "llama", gguf.GGMLQuantizationType.Q8_0, 0.0),
    ],
)
def test_gguf(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    name: str,
    stored: gguf.GGMLQuantizationType,
    tolerance: float,
) -> None:
    files = byte_level(tmp_path / "bpe", 300) if kind != "qwen2" else small_model(tmp_path / "spm", 300)
    original = theirs(name)
    as_gguf(tmp_path / "model.gguf", original, kind, files, stored)
    loaded = load_model(tmp_path / "model.gguf")
    if tolerance:
        assert close(loaded.model, original, tolerance)
    else:  # eight bits of each weight
        ours, exact = logits(loaded.model), logits(original)
        assert 0 < float((ours - exact).norm() / exact.norm()) < 0.05
    assert loaded.tokenizer is not None
    for text in TEXTS[:10]:
        assert loaded.tokenizer.encode(text).tolist() == load(files).encode(text).tolist()
    assert loaded.tokenizer.special == load(files).special or loaded.tokenizer.special.eos == load(files).special.eos
    import_model(ConvertCall(source=tmp_path / "model.gguf", out=tmp_path / "out"))
    assert close(auto(tmp_path / "out"), loaded.model)
    told = "load this one with PreTrainedTokenizerFast" in capsys.readouterr().err
    assert told == (kind == "qwen2")  # for which AutoTokenizer has a mind of its own
    reader = transformers.PreTrainedTokenizerFast if told else transformers.AutoTokenizer
    other = reader.from_pretrained(tmp_path / "out")
    assert other(TEXTS[0]).input_ids == load(files).encode(TEXTS[0]).tolist()


def test_gguf_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    as_gguf(path, theirs(), "llama", byte_level(tmp_path / "bpe", 300), gguf.GGMLQuantizationType.F32)
    whole = path.read_bytes()
    for size in (0, 3, 30, 500, len(whole) // 2, len(whole) - 5000):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"model.gguf"):
            load_model(path)
    path.write_bytes(whole.replace(b"llama", b"mamba"))
    with pytest.raises(InputError, match="architecture 'mamba' is unknown"):
        load_model(path)
    path.write_bytes(whole.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight"))
    with pytest.raises(InputError, match=r"are missing: model.layers.1.mlp.up_proj.weight"):
        load_model(path)
    path.write_bytes(whole.replace(b"gpt-2", b"other"))
    with pytest.raises(InputError, match="cutting of texts 'other' is unknown"):
        load_model(path)


@pytest.mark.parametrize("kind", ["llama3", "linear"])
def test_scaled_rotary_angles(tmp_path: Path, kind: str) -> None:
    rope = {"rope_type": kind, "rope_theta": 5e5, "factor": 8.0}
    if kind == "llama3":
        rope |= {"original_max_position_embeddings": 8192, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    original = theirs("llama", rope_parameters=rope)
    files, path = byte_level(tmp_path / "bpe", 300), tmp_path / "model.gguf"
    as_gguf(path, original, "llama", files, gguf.GGMLQuantizationType.F32)
    loaded = load_model(path)
    assert loaded.config.rope_scaling is not None
    assert (loaded.config.rope_scaling.kind, loaded.config.rope_scaling.factor) == (kind, pytest.approx(8))
    assert close(loaded.model, original)
