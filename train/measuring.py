"""What all measurements of a model have in common.

In: a model's folder, rows of ids. Out: the model with its tokenizer and the sha256 of its files, one tensor of the
rows, and a sentence where model and tokenizer do not fit or the model gives no numbers. Price: rows are padded on
the right, which costs the work of the empty places; a sum over the weights, 1 s for each 1.5 GB.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from torch import Tensor

from runkit.errors import InputError, UsageError
from runkit.files import sha256_file
from runkit.source import shown
from train.convert import CONFIG, checkpoint_folder, load_model
from train.model import Model
from train.pieces import Tokenizer
from train.tokenizer import FILES

FROM: Final = "from.json"


def padded(rows: Sequence[NDArray[Any]], filling: int = 0) -> Tensor:
    """(B, T) of int64. What stands behind a row's end is read by no position before it: attention is causal."""
    found = np.full((len(rows), max(map(len, rows))), filling, np.int64)
    for number, row in enumerate(rows):
        found[number, : len(row)] = row
    return torch.from_numpy(found)


def model_place(path: Path) -> Path:
    """The .gguf file, or the folder with the weights; of a run that is training now, the newest at this moment."""
    return path if path.is_file() else checkpoint_folder(path)


def model_inputs(place: Path) -> list[dict[str, Any]]:
    """All files that decide what the model says, as `RunDir.open` takes them."""
    files = [place]
    if place.is_dir():
        weights = sorted(path for path in place.glob("*.safetensors*") if path.is_file())
        files = [place / CONFIG, *weights, *(place / name for name in FILES if (place / name).is_file())]
    return [file_input(f"model/{file.name}", file) for file in files]


def file_input(name: str, path: Path) -> dict[str, Any]:
    """A file by size and sha256."""
    return {"name": name, "size": path.stat().st_size, "fingerprint": sha256_file(path)}


def whence(source: Path | None) -> dict[str, bytes]:
    """`from.json` of a run: the model that it goes on from, by the last names of its path and the sums of its files."""
    if source is None:
        return {}
    place = model_place(source)
    name = place.name if place == source else str(place.relative_to(source.parent))
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return {FROM: orjson.dumps({"name": shown(name), "files": model_inputs(place)}, option=options)}


def load_measured(path: Path) -> tuple[Model, Tokenizer]:
    """A model with its tokenizer, on the GPU if there is one. UsageError: there is no tokenizer."""
    loaded = load_model(path)
    if loaded.tokenizer is None:
        raise UsageError(f"{path} holds a model but no tokenizer; put the one that belongs to it beside it.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return loaded.model.to(device).eval(), loaded.tokenizer


def check_vocab(model: Model, tokenizer: Tokenizer) -> None:
    """InputError: an id of the tokenizer has no row in the model."""
    if tokenizer.size > model.config.vocab:
        raise InputError(
            f"The tokenizer {tokenizer.path} has {tokenizer.size:,} ids, but the model only {model.config.vocab:,} "
            "rows; give the tokenizer that belongs to it."
        )


def no_numbers() -> InputError:
    """For probabilities that are infinite or undefined."""
    return InputError("The model's probabilities are no numbers: its weights are damaged or too large.")
