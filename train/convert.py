"""`train import` and `train export`: models in and out of other programs' formats, and the one way to load a model.

In: a run of `train pretrain`, a Hugging Face folder or a GGUF file. Out: a `Model` with its tokenizer, or a folder that
transformers' AutoModelForCausalLM and AutoTokenizer load as it is; train/export_gguf.py writes GGUF. A folder is
written under another name and gets its own when it is whole. Price: all weights are in memory twice while a folder is
written.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch

from runkit.console import emit_json, say
from runkit.errors import InputError, UsageError
from runkit.files import publish_folder, write_bytes, write_json
from train.checkpoint import FOLDER, MANIFEST, fault, newest
from train.convert_gguf import GgufFile
from train.hf_config import OWN, config_json, model_type
from train.model import Model
from train.model_config import ModelConfig
from train.model_json import read_config
from train.model_weights import fill, read_weights, weights_of, write_weights
from train.number_types import DTYPES
from train.pieces import Special, Tokenizer
from train.tokenizer import NAMES, check_sizes, files_in
from train.tokenizer import load as load_tokenizer
from train.tokenizer_hf import config_beside
from train.tokenizer_json import as_json

Dtype = Literal["fp32", "bf16", "fp16"]
CONFIG: Final = "config.json"
SHARD_GB: Final = 5.0

_QWEN2_ALONE: Final = (
    "AutoTokenizer of transformers 5 takes Qwen2's own tokenizer for every qwen2 model, whatever the folder says; "
    "load this one with PreTrainedTokenizerFast.from_pretrained."
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model as it was found. `files` are those of its tokenizer by name, to be written beside its weights."""

    model: Model
    tokenizer: Tokenizer | None  # None: the source has none
    config: ModelConfig
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertCall:
    """The command line of `train import` and `train export`, parsed."""

    source: Path
    out: Path
    dtype: Dtype | Literal["q8_0"] = "fp32"  # q8_0: in GGUF alone
    shard_gb: float | None = None  # None: 5, in a folder
    as_json: bool = False


def load_model(path: Path | str, dtype: torch.dtype = torch.float32) -> Loaded:
    """The model in a Hugging Face folder, a run (its newest whole checkpoint) or a `.gguf`, its weights as `dtype`.

    UsageError: there is none. InputError: it is damaged, of another kind, or its tokenizer has more ids than it rows.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".gguf":
        return _load_gguf(path, dtype)
    folder = checkpoint_folder(path)
    config = read_config(folder / CONFIG)
    files = files_in(folder)
    has_tokenizer = any(name in files for name in NAMES)
    config_beside(folder / CONFIG)  # a damaged one is told of now, whoever needs it later
    tokenizer = load_tokenizer(folder) if has_tokenizer else None
    model = read_weights(folder, config, dtype)
    if tokenizer is not None:
        _check_rows(folder, tokenizer, config)
    return Loaded(model, tokenizer, config, files)


def checkpoint_folder(path: Path) -> Path:
    """The folder with the weights: `path` itself, or the newest whole checkpoint of the run `path`."""
    if (path / CONFIG).is_file():
        # A checkpoint of ours says what its files were; other folders have nothing to be held against.
        if (path / MANIFEST).is_file() and (path / "state").is_dir() and (wrong := fault(path)) is not None:
            raise InputError(f"The checkpoint {path} is damaged: {wrong}; name its run, or another checkpoint.")
        return path
    if (path / FOLDER).is_dir():
        found, faults = newest(path)
        for warning in faults:
            say(f"Warning: {warning}")
        if found is not None:
            return found
        raise UsageError(f"{path} has no checkpoint yet; train it first.")
    if not path.exists():
        raise UsageError(f"The model {path} does not exist; name a run, a folder with {CONFIG}, or a .gguf file.")
    raise UsageError(f"{path} holds no model; name a run, a folder with {CONFIG}, or a .gguf file.")


def _check_rows(place: Path, tokenizer: Tokenizer, config: ModelConfig) -> None:
    """For sharded weights and GGUF, whose embedding `check_sizes` does not see."""
    if tokenizer.size > config.vocab:
        raise InputError(f"{place}: the tokenizer has {tokenizer.size:,} pieces, more than rows, {config.vocab:,}.")


def _load_gguf(path: Path, dtype: torch.dtype) -> Loaded:
    opened = GgufFile(path)
    files = opened.tokenizer_files()
    tokenizer = _from_files(path, files) if files else None
    if tokenizer is not None:
        _check_rows(path, tokenizer, opened.config)
    model = fill(path, opened.config, opened.tensors(), dtype)
    return Loaded(model, tokenizer, opened.config, files)


def _from_files(path: Path, files: Mapping[str, bytes]) -> Tokenizer:
    """Tokenizers are read from the disk by their libraries; afterwards nobody needs the file."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            write_bytes(Path(folder, name), data)
        tokenizer = load_tokenizer(folder)
        _ = tokenizer.sha256  # of the file that is about to go
    tokenizer.path = path
    return tokenizer


def import_model(call: ConvertCall) -> None:
    """Another program's model as a folder that all our commands read."""
    _convert(call, "Imported")


def export_model(call: ConvertCall) -> None:
    """A run's model as a folder that transformers reads. UsageError: no class of transformers computes it."""
    _convert(call, "Exported", for_transformers=True)


def _convert(call: ConvertCall, verb: str, for_transformers: bool = False) -> None:
    shard_gb = SHARD_GB if call.shard_gb is None else call.shard_gb
    if shard_gb <= 0:
        raise UsageError(f"--shard-gb {shard_gb} is not above 0.")
    if call.dtype == "q8_0":
        raise UsageError("--dtype q8_0 goes with --format gguf alone; a folder holds fp32, bf16 or fp16.")
    if call.dtype not in DTYPES:
        raise UsageError(f"--dtype {call.dtype} is unknown; known are {', '.join(DTYPES)}.")
    refuse_used(call.out)
    loaded = load_model(call.source)
    if for_transformers and model_type(loaded.config) == OWN:
        what = "ALiBi" if loaded.config.position == "alibi" else "biases together with QK-norm"
        raise UsageError(f"{call.source} has {what}, which no class of transformers has; it stays in our format.")
    names = write_model(call.out, loaded, DTYPES[call.dtype], round(shard_gb * 1e9))
    about = {
        "source": str(call.source),
        "out": str(call.out),
        "model_type": model_type(loaded.config),
        "parameters": loaded.config.parameters,
        "dtype": call.dtype,
        "files": names,
    }
    if call.as_json:
        emit_json(about)
    say(f"{verb} {about['model_type']}, {loaded.config.parameters:,} parameters as {call.dtype}: {call.out}")


def refuse_used(out: Path) -> None:
    """UsageError unless `out` is new or an empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already; give --out a new or empty folder.")


def write_model(out: Path, loaded: Loaded, dtype: torch.dtype, shard_bytes: int = round(SHARD_GB * 1e9)) -> list[str]:
    """Write a folder that transformers loads; `out` is new or empty. Returns the names of the files."""
    refuse_used(out)
    special = loaded.tokenizer.special if loaded.tokenizer is not None else Special()
    temp = out.with_name(f".{out.name}.saving")
    shutil.rmtree(temp, ignore_errors=True)
    try:
        for name, data in loaded.files.items():
            write_bytes(temp / name, data)
        if loaded.tokenizer is not None:
            chosen = _complete_tokenizer(temp, loaded.tokenizer, loaded.config)
            if model_type(loaded.config) == "qwen2" and not chosen.startswith("Qwen2Tokenizer"):
                say(_QWEN2_ALONE)
        stored = str(dtype).removeprefix("torch.")
        write_json(temp / CONFIG, config_json(loaded.config, special.bos, special.eos, stored))
        if "generation_config.json" not in loaded.files:
            ends = {"bos_token_id": special.bos, "eos_token_id": special.eos}
            write_json(
                temp / "generation_config.json", {key: value for key, value in ends.items() if value is not None}
            )
        write_weights(temp, weights_of(loaded.model, loaded.config, dtype), shard_bytes)
        if loaded.tokenizer is not None:
            check_sizes(temp, loaded.tokenizer.size)
        names = sorted(path.name for path in temp.iterdir())
        publish_folder(temp, out)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise
    return names


def _complete_tokenizer(folder: Path, tokenizer: Tokenizer, config: ModelConfig) -> str:
    """Write what AutoTokenizer needs beside what is there; returns the class that it is told to take."""
    made = False
    if (folder / "tokenizer.model").is_file() and not (folder / "tokenizer.json").is_file():
        found = as_json(folder / "tokenizer.model")
        made = isinstance(found, bytes)
        if isinstance(found, bytes):
            write_bytes(folder / "tokenizer.json", found)
        else:
            say(f"Without a tokenizer.json: {found}. transformers reads tokenizer.model by its own rules.")
    file = folder / "tokenizer_config.json"
    values = config_beside(file)
    if file.is_file() and not made:
        return str(values.get("tokenizer_class", ""))
    for key in ("added_tokens_decoder", "sp_model_kwargs", "legacy", "add_bos_token", "add_eos_token"):
        values.pop(key, None)  # meant for the class that is replaced here, and would change the ids
    ids = {"bos_token": tokenizer.special.bos, "eos_token": tokenizer.special.eos, "unk_token": tokenizer.special.unk}
    values |= {key: tokenizer.piece(number) for key, number in ids.items() if number is not None}
    values |= {"tokenizer_class": _tokenizer_class(folder), "clean_up_tokenization_spaces": False}
    values.setdefault("model_max_length", config.seq_len)
    write_json(file, values)
    return str(values["tokenizer_class"])


def _tokenizer_class(folder: Path) -> str:
    if (folder / "tokenizer.json").is_file():
        return "PreTrainedTokenizerFast"  # takes the file as it is
    return "BertTokenizer" if (folder / "vocab.txt").is_file() else "LlamaTokenizer"
