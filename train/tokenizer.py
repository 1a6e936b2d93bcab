"""Opens a tokenizer of any common kind and checks that it fits the model that lies beside it.

In: a file or folder: SentencePiece (`tokenizer.model`), Hugging Face (`tokenizer.json`), BERT (`vocab.txt`), or a
checkpoint folder that holds one of them. Out: a `Tokenizer`, or one sentence that says what is wrong.
"""

from pathlib import Path
from typing import Any, Final

import orjson

from runkit.errors import InputError, UsageError
from train.pieces import Tokenizer
from train.tokenizer_hf import HuggingFaceTokenizer
from train.tokenizer_spm import SentencePieceTokenizer

NAMES: Final = ("tokenizer.model", "tokenizer.json", "vocab.txt")  # in a folder, the first that is there
# What belongs to a tokenizer; whatever of these a folder has is taken along with a model.
FILES: Final = (
    *NAMES,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
)
MAX_BYTES: Final = 256_000_000
_EMBEDDINGS: Final = (
    *("model.embed_tokens.weight", "embed_tokens.weight", "transformer.wte.weight", "tok_embeddings.weight"),
)


def load(path: Path | str) -> Tokenizer:
    """The tokenizer in a file or folder.

    UsageError: there is none. InputError: it cannot be read, or does not fit the model that lies beside it.
    """
    file = find_file(Path(path))
    json_like = file.suffix == ".json" or file.name.endswith(".txt")
    tokenizer: Tokenizer = HuggingFaceTokenizer(file) if json_like else SentencePieceTokenizer(file)
    if tokenizer.size < 1:
        raise InputError(f"{file} has no pieces; give a tokenizer that was fitted.")
    check_sizes(file.parent, tokenizer.size)
    return tokenizer


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of the tokenizer in a folder, by name."""
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}


def find_file(path: Path) -> Path:
    """The tokenizer's file: `path` itself, or the one in the folder `path`."""
    if path.is_dir():
        for name in NAMES:
            if (path / name).is_file():
                return path / name
        raise UsageError(f"{path} holds no tokenizer; it needs one of {', '.join(NAMES)}.")
    if not path.is_file():
        raise UsageError(f"The tokenizer {path} does not exist; name a file, or a folder with {' or '.join(NAMES)}.")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is no tokenizer: it is larger than {MAX_BYTES // 1_000_000} MB.")
    return path


def check_sizes(folder: Path, size: int) -> None:
    """Compare a tokenizer with `config.json` and the embedding's rows in the same folder, as far as they are there.

    InputError: an id would have no row, or config and embedding differ. More rows than ids are usual (padding to a
    multiple of 64) and fine as long as both agree.
    """
    config = folder / "config.json"
    stated = _json(config).get("vocab_size") if config.is_file() else None
    rows = _embedding_rows(folder)
    stated = stated if isinstance(stated, int) else None
    if stated is not None and rows is not None and stated != rows:
        raise InputError(f"{folder}: config.json says vocab_size {stated:,}, but the embedding has {rows:,} rows.")
    for what, number in (("config.json's vocab_size", stated), ("the embedding's rows", rows)):
        if number is not None and number < size:
            raise InputError(f"{folder}: the tokenizer has {size:,} pieces, more than {what}, {number:,}.")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path} is no JSON: {error}.") from error
    return value if isinstance(value, dict) else {}


def _embedding_rows(folder: Path) -> int | None:
    """From the headers of the safetensors files alone: 8 bytes of length, then JSON."""
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length < 100_000_000:
                raise InputError(f"{file} is no safetensors file.")
            try:
                header = orjson.loads(stream.read(length))
            except orjson.JSONDecodeError as error:
                raise InputError(f"{file} is no safetensors file: {error}.") from error
        try:
            found = [header[name]["shape"][0] for name in _EMBEDDINGS if name in header]
        except (KeyError, IndexError, TypeError) as error:
            raise InputError(f"{file} is no safetensors file: its header does not tell shapes.") from error
        if found:
            return int(found[0])
    return None
