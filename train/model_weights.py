"""The weights of a checkpoint folder: safetensors in one file or in several, read and written.

In: a folder and the shape of its model. Out: a `Model` that holds them, or the files. Nothing is unpickled: a folder
with `pytorch_model.bin` alone is refused. Every tensor must be there, none may be left over, and shapes must fit; all
that do not are named. Price: a tensor is copied once, so peak memory is the model's and its largest tensor.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from runkit.errors import InputError
from runkit.files import write_bytes, write_json
from train.model import Model, alibi_slopes, rotary_frequencies
from train.model_config import ModelConfig

SINGLE: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
HEAD: Final = "lm_head.weight"
EMBEDDING: Final = "model.embed_tokens.weight"
_SHOWN: Final = 3  # names in a message
_PICKLES: Final = ("pytorch_model*.bin", "*.pth", "*.pt")
_BUFFERS: Final = (".rotary_emb.inv_freq", ".attn.bias", ".masked_bias")  # which older versions of transformers saved


def read_weights(folder: Path, config: ModelConfig, dtype: torch.dtype) -> Model:
    """The model with the weights of a folder, as `dtype`. InputError: they are not there, or do not fit `config`."""
    return fill(folder, config, _tensors(folder), dtype)


def fill(place: Path, config: ModelConfig, tensors: Iterable[tuple[str, Tensor]], dtype: torch.dtype) -> Model:
    """A model that holds `tensors`, copied and cast to `dtype`; `place` is only for messages."""
    with torch.device("meta"):  # or 1 B weights would first be drawn at random
        model = Model(config)
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    found: dict[str, Tensor] = {}
    extra: list[str] = []
    for name, tensor in tensors:
        if name.endswith(_BUFFERS):
            continue
        if name.endswith("self_attn.o_proj.bias") and not tensor.any():
            continue  # transformers adds one wherever queries have biases; zeros add nothing
        if name not in shapes:
            extra.append(name)
            continue
        if tuple(tensor.shape) != shapes[name]:
            raise InputError(
                f"{place}: {name} has the shape {list(tensor.shape)}, but its config asks for {list(shapes[name])}."
            )
        if not tensor.is_floating_point():
            raise InputError(f"{place}: {name} is stored as {tensor.dtype}; quantised weights cannot be read.")
        found[name] = tensor.to(dtype, copy=True)
    if (
        config.tied
        and EMBEDDING in found
        and not torch.equal(found.setdefault(HEAD, found[EMBEDDING]), found[EMBEDDING])
    ):
        raise InputError(f"{place}: its config says tie_word_embeddings, but {HEAD} is not the embedding.")
    missing = [name for name in shapes if name not in found]
    for what, names in (("are missing", missing), ("belong to no part of the model", extra)):
        if names:
            raise InputError(f"{place}: tensors {what}: {_listed(names)}.")
    model.load_state_dict(found, assign=True)
    if config.tied:
        model.lm_head.weight = model.model.embed_tokens.weight
    if config.position == "rope":
        model.frequencies = rotary_frequencies(config)
    else:
        model.slopes = alibi_slopes(config.heads)
    return model


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Name and tensor, one at a time; names begin with `model.` even where only the decoder was saved."""
    files = _files(folder)
    names = {name for _, some in files for name in some}
    prefix = "model." if EMBEDDING.removeprefix("model.") in names else ""
    for file, some in files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in some:
                    yield (name if name == HEAD else prefix + name), opened.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file} cannot be read: {error}.") from error


def _files(folder: Path) -> list[tuple[Path, list[str]]]:
    """Each file with the names of its tensors."""
    index = folder / INDEX
    wanted: Mapping[str, Any] | None = None
    if (folder / SINGLE).is_file():
        files = [folder / SINGLE]
    elif index.is_file():
        wanted = _weight_map(index)
        files = [folder / name for name in sorted(set(wanted.values()))]
        gone = [file.name for file in files if not file.is_file()]
        if gone:
            raise InputError(f"{folder} lacks files that {INDEX} names: {_listed(gone)}.")
    elif any(next(folder.glob(pattern), None) for pattern in _PICKLES):
        raise InputError(f"{folder} holds pickled weights alone, which can run any code; give it as safetensors.")
    else:
        raise InputError(f"{folder} holds no {SINGLE}.")
    found = []
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                found.append((file, sorted(opened.keys())))
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file} is no safetensors file: {error}.") from error
    if wanted is not None:
        there = {(name, file.name) for file, names in found for name in names}
        if lost := [name for name, file in wanted.items() if (name, file) not in there]:
            raise InputError(f"{folder}: tensors that {INDEX} names are not in their files: {_listed(lost)}.")
    return found


def _weight_map(index: Path) -> dict[str, str]:
    try:
        found = orjson.loads(index.read_bytes())["weight_map"]
        if not found or not all(isinstance(name, str) and Path(name).name == name for name in found.values()):
            raise ValueError("its weight_map names no plain files")
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # orjson's errors are ValueErrors
        raise InputError(f"{index} is no index of safetensors files: {error}.") from error
    return found


def weights_of(model: nn.Module, config: ModelConfig, dtype: torch.dtype) -> dict[str, Tensor]:
    """What is stored: every weight as `dtype`, a tied output matrix not again."""
    return {
        name: weight.detach().to("cpu", dtype).contiguous()
        for name, weight in model.state_dict().items()
        if not (config.tied and name == HEAD)
    }


def write_weights(folder: Path, weights: Mapping[str, Tensor], shard_bytes: int) -> list[str]:
    """`model.safetensors`, or numbered files with an index where it would be larger than `shard_bytes`; their names."""
    groups: list[dict[str, Tensor]] = [{}]
    room = shard_bytes
    for name, tensor in weights.items():
        if groups[-1] and tensor.nbytes > room:
            groups.append({})
            room = shard_bytes
        groups[-1][name] = tensor
        room -= tensor.nbytes
    if len(groups) == 1:
        write_bytes(folder / SINGLE, save(groups[0], {"format": "pt"}))
        return [SINGLE]
    names = [f"model-{number:05d}-of-{len(groups):05d}.safetensors" for number in range(1, len(groups) + 1)]
    for name, group in zip(names, groups, strict=True):
        write_bytes(folder / name, save(group, {"format": "pt"}))
    weight_map = {name: file for file, group in zip(names, groups, strict=True) for name in group}
    total = sum(tensor.nbytes for tensor in weights.values())
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
    return [*names, INDEX]
