"""A tokenizer without a library: id b is the byte b, and some more ids are pieces of several bytes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from train.pieces import Ids, Special, Tokenizer

MORE = ("</s>", " the", "中文", "ab", "abc", "bc", "\n\n", " stop", "好", "op the")
END = 256


class ByteTokenizer(Tokenizer):
    """`size` ids; those behind the last of MORE are letters once more. `holes` have no piece."""

    kind = "byte-level"
    path = Path("bytes")
    special = Special(eos=END)

    def __init__(self, size: int = 300, holes: frozenset[int] = frozenset(), strips_space: bool = False) -> None:
        self.size, self.holes, self.strips_space = size, holes, strips_space

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        return [np.frombuffer(text.encode(), np.uint8).astype(np.int32) for text in texts]

    def piece(self, number: int) -> str:
        if number in self.holes:
            return ""
        return MORE[number - 256] if 256 <= number < 256 + len(MORE) else f"<{number}>"

    def is_special(self, number: int) -> bool:
        return number == END

    def bytes_of(self, number: int) -> bytes:
        if number in self.holes or number == END:
            return b""
        if number < 256:
            return bytes([number])
        return MORE[number - 256].encode() if number < 256 + len(MORE) else bytes([97 + number % 26])
