"""What all tokenizers have in common: text to ids, ids to exactly the bytes that they stand for.

Special tokens that stand in a text are text, never specials: a crawled page must not end a document by writing `</s>`.
Decoding joins the bytes of the pieces, so it is exact and can stop anywhere. Price: a table of the bytes of each
piece, 20 ms for 32,000.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from runkit.files import sha256_file

Kind = Literal["sentencepiece", "byte-level", "metaspace", "wordpiece"]
Ids = NDArray[np.int32]  # (T,)
SPACE: Final = "\u2581"  # how SentencePiece writes a space


@dataclass(frozen=True, slots=True)
class Special:
    """Ids of the special tokens; None where the tokenizer has none."""

    unk: int | None = None
    bos: int | None = None
    eos: int | None = None


class Tokenizer:
    """Made by `train.tokenizer.load`; one subclass for each library underneath."""

    kind: Kind
    path: Path
    size: int
    """One more than the highest id: the rows that an embedding needs."""
    special: Special
    strips_space: bool = False
    """Encoding puts a space before the text, and decoding takes it away again."""

    @cached_property
    def sha256(self) -> str:
        """Of the tokenizer's file."""
        return sha256_file(self.path)

    @cached_property
    def piece_bytes(self) -> list[bytes]:
        """The bytes that each id stands for; empty for special tokens and for ids without a piece."""
        return [self.bytes_of(number) for number in range(self.size)]

    def encode(self, text: str) -> Ids:
        """Ids of `text`, (T,), without beginning and end tokens."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, on one thread."""
        raise NotImplementedError

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids` from the beginning of a text on; special tokens stand for none."""
        table = self.piece_bytes
        joined = b"".join([table[number] for number in ids])
        return joined[1:] if self.strips_space and joined.startswith(b" ") else joined

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bytes that make no character become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def piece(self, number: int) -> str:
        """The piece as its file writes it; "" for an id without one."""
        raise NotImplementedError

    def find(self, piece: str) -> int | None:
        """The id of a piece, written as its file writes it."""
        raise NotImplementedError

    def is_byte(self, number: int) -> bool:
        """Does this id stand for one byte of a character that has no piece of its own?"""
        raise NotImplementedError

    def is_special(self, number: int) -> bool:
        """Is this a token that stands for no text, such as `</s>`?"""
        raise NotImplementedError

    def is_added(self, number: int) -> bool:
        """Was this piece put in by hand, to be found before the text is cut in any other way?"""
        raise NotImplementedError

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where in `text` each token of `encode(text)` stands: its first character, and the one after its last."""
        raise NotImplementedError

    def bytes_of(self, number: int) -> bytes:
        """The bytes of one id, not remembered; `piece_bytes` holds them all."""
        raise NotImplementedError
