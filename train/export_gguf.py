"""`train export --format gguf`: a model with its tokenizer in one file, as llama.cpp loads it.

In: whatever `train.convert.load_model` reads. Out: a `.gguf` in fp32, fp16, bf16 or q8_0 under the architectures llama,
qwen2 and qwen3; queries and keys of llama permuted, for llama.cpp rotates neighbours and not halves. Vectors stay fp32
whatever is asked for, as llama.cpp wants them, and in q8_0 matrices whose rows are no multiple of 32 too. What no
architecture of llama.cpp computes is refused. Price: the model is in memory once, and its largest matrix again.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import gguf
import numpy as np
import torch
from gguf.gguf_writer import WriterState
from numpy.typing import NDArray
from torch import Tensor

from runkit.console import emit_json, say
from runkit.errors import UsageError
from runkit.files import atomic_write
from train.convert import ConvertCall, Loaded, load_model
from train.convert_gguf import FREQUENCIES, INNER, OUTER, SCALING
from train.export_gguf_tokenizer import add_tokenizer
from train.hf_config import OWN, model_type
from train.model import rotary_frequencies
from train.model_config import ModelConfig
from train.model_weights import weights_of

_TYPES: Final = gguf.GGMLQuantizationType
_FILE: Final = gguf.LlamaFileType
# --dtype: how matrices are stored, and what the file says of itself.
_STORED: Final[dict[str, tuple[Any, Any]]] = {
    "fp32": (_TYPES.F32, _FILE.ALL_F32),
    "fp16": (_TYPES.F16, _FILE.MOSTLY_F16),
    "bf16": (_TYPES.BF16, _FILE.MOSTLY_BF16),
    "q8_0": (_TYPES.Q8_0, _FILE.MOSTLY_Q8_0),
}
_TORCH: Final = {_TYPES.F32: torch.float32, _TYPES.F16: torch.float16, _TYPES.BF16: torch.bfloat16}
_BLOCK: Final = 32  # numbers that share a scale in q8_0


def export_gguf(call: ConvertCall) -> None:
    """A model as one file. UsageError: llama.cpp does not compute it, or the file is there already."""
    if call.shard_gb is not None:
        raise UsageError("--shard-gb and --format gguf exclude each other: a GGUF is one file; leave --shard-gb out.")
    if call.dtype not in _STORED:
        raise UsageError(f"--dtype {call.dtype} is unknown; known are {', '.join(_STORED)}.")
    if call.out.suffix.lower() != ".gguf":
        raise UsageError(f"--out {call.out} does not end in .gguf; llama.cpp and we know the format by it.")
    if call.out.exists() or call.out.is_symlink():
        raise UsageError(f"{call.out} is there already; give --out a new file.")
    loaded = load_model(call.source)
    kind = architecture(loaded.config, str(call.source))
    if loaded.tokenizer is None:
        raise UsageError(f"{call.source} has no tokenizer, without which llama.cpp reads no text.")
    writer = gguf.GGUFWriter(None, kind)
    _add_config(writer, kind, loaded.config)
    writer.add_name(call.out.stem)
    writer.add_file_type(_STORED[call.dtype][1])
    if call.dtype == "q8_0":
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_tokenizer(writer, loaded.tokenizer, loaded.files, loaded.config.vocab, str(call.source))
    size_bytes = _write(call, writer, kind, loaded)
    about = {
        "source": str(call.source),
        "out": str(call.out),
        "format": "gguf",
        "model_type": kind,
        "parameters": loaded.config.parameters,
        "dtype": call.dtype,
        "size_bytes": size_bytes,
    }
    if call.as_json:
        emit_json(about)
    say(f"Exported {kind}, {loaded.config.parameters:,} parameters as {call.dtype}: {call.out}")


def architecture(config: ModelConfig, place: str) -> str:
    """Which of llama.cpp's computes it: llama, qwen2 or qwen3. UsageError: none."""
    kind = model_type(config)
    if kind == OWN:
        what = "ALiBi" if config.position == "alibi" else "biases together with QK-norm"
        raise UsageError(f"{place} has {what}, which no architecture of llama.cpp has; it stays in our format.")
    if kind != "llama" and config.rope_scaling is not None and config.rope_scaling.kind == "llama3":
        raise UsageError(
            f"{place} has llama3's rope scaling, which llama.cpp lacks for {kind}; export it as --format hf."
        )
    return kind


def _add_config(writer: Any, kind: str, config: ModelConfig) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_vocab_size(config.vocab)
    writer.add_context_length(config.seq_len)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.hidden_width)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.key_heads)
    writer.add_key_length(config.head_width)
    writer.add_value_length(config.head_width)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rope_theta)
    scaling = config.rope_scaling
    if scaling is not None and scaling.kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling.factor)
    elif scaling is not None:
        writer.add_string(SCALING, scaling.model_dump_json())


def _write(call: ConvertCall, writer: Any, kind: str, loaded: Loaded) -> int:
    """The whole file, one tensor after another; returns its size."""
    asked = _STORED[call.dtype][0]
    tensors = [(name, tensor, _type(tensor, asked)) for name, tensor in _tensors(kind, loaded)]
    for name, tensor, stored in tensors:
        block, size = gguf.GGML_QUANT_SIZES[stored]
        writer.add_tensor_info(name, tensor.shape, np.dtype(np.float32), tensor.numel() // block * size, stored)
    planned = sum(info.nbytes for info in writer.tensors[0].values())
    with atomic_write(call.out, planned) as file:
        # The writer would open a file of its own, and write into it past Python, where a full disk has no number.
        writer.fout, writer.state = [file], WriterState.EMPTY
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, tensor, stored in tensors:
            _pad(file, writer.data_alignment)
            file.write(_bytes(call, name, _permuted(kind, name, tensor, loaded.config), stored).data)
        _pad(file, writer.data_alignment)
        return file.tell()


def _pad(file: BinaryIO, alignment: int) -> None:
    file.write(bytes(-file.tell() % alignment))


def _tensors(kind: str, loaded: Loaded) -> Iterator[tuple[str, Tensor]]:
    """Names of llama.cpp and weights, (out, in)."""
    config = loaded.config
    outer = {theirs: ours for ours, theirs in OUTER.items()}
    inner = {theirs: ours for ours, theirs in INNER.items()}
    if config.rope_scaling is not None and config.rope_scaling.kind == "llama3":
        plain = rotary_frequencies(config.model_copy(update={"rope_scaling": None}))
        yield FREQUENCIES, plain / rotary_frequencies(config)
    for name, weight in weights_of(loaded.model, config, torch.float32).items():
        if name in outer:
            yield outer[name], weight
        else:
            _, _, block, rest = name.split(".", 3)
            part, _, ending = rest.rpartition(".")
            yield f"blk.{block}.{inner[part]}.{ending}", weight


def _type(tensor: Tensor, asked: Any) -> Any:
    if tensor.ndim == 1 or (asked == _TYPES.Q8_0 and tensor.shape[1] % _BLOCK):
        return _TYPES.F32
    return asked


def _permuted(kind: str, name: str, weight: Tensor, config: ModelConfig) -> Tensor:
    """Rows of a head that are rotated together, (w, w + W/2) here, side by side."""
    part = name.split(".")[-2]
    if kind != "llama" or part not in ("attn_q", "attn_k"):
        return weight
    heads = config.heads if part == "attn_q" else config.key_heads
    pairs = weight.reshape(heads, 2, config.head_width // 2, *weight.shape[1:])
    return pairs.transpose(1, 2).reshape(weight.shape)


def _bytes(call: ConvertCall, name: str, weight: Tensor, stored: Any) -> NDArray[np.uint8]:
    """A tensor as it lies in the file."""
    if stored == _TYPES.Q8_0:
        return np.ascontiguousarray(gguf.quants.quantize(weight.numpy(), stored))
    cast = weight.to(_TORCH[stored]).contiguous()
    if stored == _TYPES.F16 and bool((cast.isinf() & weight.isfinite()).any()):
        raise UsageError(f"{call.source}: {name} has numbers beyond fp16; export it as --dtype bf16.")
    return cast.view(torch.uint8).numpy()
