"""Tokenizers of the `tokenizers` library: byte-level BPE (GPT-2, Qwen, Llama 3), SentencePiece-like BPE, WordPiece.

In: `tokenizer.json`, or BERT's `vocab.txt`. Which tokens begin and end a text stands in `tokenizer_config.json` beside
it; without that file the names that models use are looked up in the vocabulary.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from runkit.errors import InputError
from train.pieces import SPACE, Ids, Kind, Special, Tokenizer

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # our workers are processes; its threads do not survive a fork

import tokenizers  # the variable is read at import

_BOS: Final = ("<s>", "<|begin_of_text|>", "<|startoftext|>", "<bos>", "[CLS]")
_EOS: Final = ("</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>", "[SEP]")
_BYTE: Final = re.compile("<0x[0-9A-F]{2}>")
_MAX_CONFIG_BYTES: Final = 16_000_000


def byte_letters() -> dict[str, int]:
    """GPT-2's letters for bytes: printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {chr(byte): byte for byte in plain}
    others = [byte for byte in range(256) if chr(byte) not in letters]
    return letters | {chr(0x100 + index): byte for index, byte in enumerate(others)}


class HuggingFaceTokenizer(Tokenizer):
    """A `tokenizer.json` or `vocab.txt`; InputError when the file is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.backend = _wordpiece(path) if path.suffix == ".txt" else _from_json(path)
        self.backend.encode_special_tokens = True
        self.backend.no_truncation()
        self.backend.no_padding()
        vocabulary = self.backend.get_vocab(with_added_tokens=True)
        self.size = max(vocabulary.values(), default=-1) + 1
        self._pieces = [""] * self.size
        for piece, number in vocabulary.items():
            self._pieces[number] = piece
        self._ids: dict[str, int] = vocabulary
        added = self.backend.get_added_tokens_decoder()
        self._specials = {number for number, token in added.items() if token.special}
        self._added = {number for number, token in added.items() if not token.special}
        layout = orjson.loads(self.backend.to_str())
        self.kind = _kind(layout)
        self.strips_space = self.kind == "metaspace" and b'"Strip"' in orjson.dumps(layout.get("decoder"))
        self._letters = byte_letters()
        self.special = self._find_special(layout)

    def _find_special(self, layout: dict[str, Any]) -> Special:
        config = config_beside(self.path)

        def named(key: str, usual: Sequence[str]) -> int | None:
            value = config.get(key)
            name = value.get("content") if isinstance(value, dict) else value
            names = usual if key not in config else [name]
            return next((self._ids[name] for name in names if name in self._ids), None)

        unk = layout.get("model", {}).get("unk_token")
        special = Special(self._ids.get(unk) if unk else None, named("bos_token", _BOS), named("eos_token", _EOS))
        self._specials |= {number for number in (special.unk, special.bos, special.eos) if number is not None}
        return special

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        found = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(entry.ids, np.int32) for entry in found]

    def piece(self, number: int) -> str:
        return self._pieces[number]

    def find(self, piece: str) -> int | None:
        return self._ids.get(piece)

    def is_byte(self, number: int) -> bool:
        if self.kind == "byte-level":
            return len(self._pieces[number]) == 1 and self.bytes_of(number) >= b"\x80"
        return self.kind == "metaspace" and _hexadecimal(self._pieces[number]) is not None

    def is_special(self, number: int) -> bool:
        return number in self._specials

    def is_added(self, number: int) -> bool:
        return number in self._added

    def places(self, text: str) -> list[tuple[int, int]]:
        return list(self.backend.encode(text, add_special_tokens=False).offsets)

    def bytes_of(self, number: int) -> bytes:
        if number in self._specials:
            return b""
        piece = self._pieces[number]
        if number in self._added:
            return piece.encode()
        if self.kind == "byte-level":
            return bytes(self._letters[letter] for letter in piece if letter in self._letters)
        if self.kind == "wordpiece":
            return piece.removeprefix("##").encode()
        byte = _hexadecimal(piece)
        return bytes([byte]) if byte is not None else piece.replace(SPACE, " ").encode()


def _hexadecimal(piece: str) -> int | None:
    """The byte of `<0x0A>`."""
    return int(piece[3:5], 16) if _BYTE.fullmatch(piece) else None


def _kind(layout: dict[str, Any]) -> Kind:
    if layout.get("model", {}).get("type") == "WordPiece":
        return "wordpiece"
    outer = orjson.dumps([layout.get("pre_tokenizer"), layout.get("decoder")])
    return "byte-level" if b'"ByteLevel"' in outer else "metaspace"


def _from_json(path: Path) -> Any:
    try:
        return tokenizers.Tokenizer.from_buffer(path.read_bytes())
    except Exception as error:  # the library raises plain Exception
        raise InputError(f"{path} is no tokenizer.json: {str(error).splitlines()[0]}.") from error


def _wordpiece(path: Path) -> Any:
    """BERT's vocabulary: one piece a line, its number the line's."""
    try:
        lines = path.read_text("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no vocab.txt: it is not UTF-8.") from error
    if "[UNK]" not in lines:
        raise InputError(f"{path} is no vocab.txt of BERT: no line is [UNK].")
    # `do_lower_case` stands in the config; without one, a vocabulary with capitals keeps them.
    lower = config_beside(path).get(
        "do_lower_case", not any(line[:1].isascii() and line[:1].isupper() for line in lines)
    )
    library = tokenizers.BertWordPieceTokenizer(
        {line: number for number, line in enumerate(lines)}, lowercase=bool(lower)
    )._tokenizer
    names = [name for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if name in lines]
    library.add_special_tokens(names)
    return library


def config_beside(path: Path) -> dict[str, Any]:
    """`tokenizer_config.json` in the folder of `path`; {} without one. InputError: it cannot be read."""
    file = path.with_name("tokenizer_config.json")
    if not file.is_file():
        return {}
    try:
        if file.stat().st_size > _MAX_CONFIG_BYTES:
            raise ValueError("it is too large")
        config = orjson.loads(file.read_bytes())
        if not isinstance(config, dict):
            raise ValueError("it holds no object")
    except ValueError as error:  # orjson's errors too
        raise InputError(f"{file} cannot be read: {error}; correct or remove it.") from error
    return config
