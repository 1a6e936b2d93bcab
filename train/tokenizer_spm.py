"""SentencePiece models (`tokenizer.model`), as LLaMA, Mistral, BELLE and our own `fit` write them.

U+2581, the sign with which SentencePiece writes a space, comes back from the library as a space. Here a text that
holds it is encoded with a stand-in that no text has, whose three bytes are then changed into those of U+2581, so that
every text comes back as it was.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as model_pb2

from runkit.errors import InputError
from train.pieces import SPACE, Ids, Special, Tokenizer

_STAND_INS = [chr(code) for code in range(0xE000, 0xF900)]


class SentencePieceTokenizer(Tokenizer):
    """A `tokenizer.model`; InputError when the file is none."""

    kind = "sentencepiece"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
            self.size = int(self.processor.vocab_size())
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{path} is no SentencePiece model; give the tokenizer.model of a model or of `fit`."
            ) from error
        ids = (self.processor.unk_id(), self.processor.bos_id(), self.processor.eos_id())
        self.special = Special(*(number if number >= 0 else None for number in ids))
        self.strips_space = str(self.processor.normalize("a")).startswith(SPACE)

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        texts = list(texts)
        odd = {row: self._stand_in(text) for row, text in enumerate(texts) if SPACE in text}
        for row, sign in odd.items():
            texts[row] = texts[row].replace(SPACE, sign)
        found = self.processor.encode(texts, return_type="numpy", num_threads=1)
        rows = [np.asarray(ids, np.int32) for ids in found]
        for row, sign in odd.items():
            rows[row] = self._put_back(rows[row], sign)
        return rows

    def _stand_in(self, text: str) -> str:
        return next(sign for sign in _STAND_INS if sign not in text and self.find(sign) is None)

    def _put_back(self, ids: Ids, sign: str) -> Ids:
        before, after = (
            [self.processor.piece_to_id(f"<0x{byte:02X}>") for byte in char.encode()] for char in (sign, SPACE)
        )
        found = (ids[:-2] == before[0]) & (ids[1:-1] == before[1]) & (ids[2:] == before[2])
        changed = ids.copy()
        for offset, number in enumerate(after):
            changed[np.flatnonzero(found) + offset] = number
        return changed

    def piece(self, number: int) -> str:
        return str(self.processor.id_to_piece(number))

    def find(self, piece: str) -> int | None:
        number = int(self.processor.piece_to_id(piece))
        return number if self.processor.id_to_piece(number) == piece else None

    def is_byte(self, number: int) -> bool:
        return bool(self.processor.is_byte(number))

    def is_special(self, number: int) -> bool:
        return bool(self.processor.is_control(number) or self.processor.is_unknown(number))

    @cached_property
    def _added(self) -> set[int]:
        model = model_pb2.ModelProto.FromString(self.processor.serialized_model_proto())
        return {number for number, entry in enumerate(model.pieces) if entry.type == entry.USER_DEFINED}

    def is_added(self, number: int) -> bool:
        return number in self._added

    def places(self, text: str) -> list[tuple[int, int]]:
        if SPACE in text:
            text = text.replace(SPACE, self._stand_in(text))  # one character for one
        return list(self.processor.encode_as_offset_mapping(text)["offsets"])

    def bytes_of(self, number: int) -> bytes:
        if self.is_special(number):
            return b""
        piece = self.piece(number)
        return bytes([int(piece[3:5], 16)]) if self.is_byte(number) else piece.replace(SPACE, " ").encode()
