"""ROUGE-L novelty, exact and streaming: is an instruction too like one that was there before?

In: texts, one after the other. Out: for each whether its ROUGE-L F1 to some text before is above the threshold, and
which one is nearest. F1 is 2·LCS / (m + n) for the longest common subsequence of m and n tokens; it is compared in
whole numbers. Text is folded (width, case) and cut into tokens: `char` takes each Chinese character and each run of
other letters and digits, which for English are the words of rouge_score; `word` takes runs of Chinese characters
as one token too, for text with spaces between words; `jieba` Chinese words. A text without tokens is compared as it
stands. Price: 0.1 ms a text among 100,000, and 0.3 ms with the nearest one; 60 bytes a text and 4 a token.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from runkit.language import HAN_CLASS
from selfinstruct.novelty_kernels import BUCKETS, CHUNK, append, counted, judge, search, sign

Tokenizer = Literal["char", "word", "jieba"]
THRESHOLD: Final = 0.7
# What rouge_score takes for a word: a run of ASCII letters and digits. Accented Latin letters divide words there;
# letters of other scripts, which it drops, are tokens here.
_LATIN: Final = "a-z0-9\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff"
_UNIT: Final = re.compile(f"[{HAN_CLASS}]|[a-z0-9]+|[^\\W_{_LATIN}{HAN_CLASS}]+")
_WORD: Final = re.compile(f"[a-z0-9]+|[^\\W_{_LATIN}]+")
_SIGN: Final = re.compile(r"[\W_]*")
_WIDE: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FIRST_ROOM: Final = 1024


@dataclass(frozen=True, slots=True)
class Nearest:
    """The most similar text before."""

    id: str | None  # None: none has a token in common, or only whether one is too near was asked
    score: float  # ROUGE-L F1
    over: bool  # above the threshold


_NOTHING: Final = Nearest(None, 0.0, False)


def fold(text: str) -> str:
    """What texts are compared by: full-width letters and digits are plain ones, and case makes no difference."""
    return text.lower() if text.isascii() else text.translate(_WIDE).lower()


def tokens_of(tokenizer: Tokenizer) -> Callable[[str], list[str]]:
    """Cuts a text into tokens."""
    if tokenizer == "char":
        return lambda text: _UNIT.findall(fold(text))
    if tokenizer == "word":
        return lambda text: _WORD.findall(fold(text))
    import rjieba  # its dictionary takes 0.3 s

    return lambda text: [word for word in rjieba.cut(fold(text)) if word.strip() and not _SIGN.fullmatch(word)]


class Novelty:
    """All texts so far."""

    def __init__(self, tokenizer: Tokenizer = "char", threshold: float = THRESHOLD) -> None:
        limit = Fraction(str(threshold))
        self._p, self._q = limit.numerator, limit.denominator
        self._cut = tokens_of(tokenizer)
        self._ids: list[str] = []
        self._vocabulary: dict[str, int] = {}
        self._bare: dict[str, str] = {}  # texts without tokens -> id
        self._starts = np.zeros(BUCKETS + 1, np.int64)
        self._fills = np.zeros(BUCKETS, np.int64)
        self._folds, self._entries = np.zeros(0, np.uint64), np.zeros(0, np.int32)
        self._signatures = np.zeros((0, 4), np.uint64)
        self._offsets = np.zeros(1, np.int64)
        self._tokens = np.zeros(0, np.int32)
        self._seen, self._slot = np.zeros(0, np.int32), np.zeros(0, np.int32)
        self._masks, self._state = np.zeros((64, 1), np.uint64), np.zeros(1, np.uint64)
        self._pops = np.zeros(CHUNK, np.uint8)

    def __len__(self) -> int:
        return len(self._ids) + len(self._bare)

    def add(self, id: str, text: str) -> None:
        """Take a text in; it need not be new."""
        tokens = self._encode([text])[0]
        if not len(tokens):
            self._bare.setdefault(text.strip(), id)
            return
        self._make_room([len(tokens)])
        words = np.empty(4, np.uint64)
        folded = sign(tokens, self._seen, words)
        append(tokens, words, np.uint64(folded), len(self._ids), self._pool())
        self._ids.append(id)

    def nearest(self, text: str) -> Nearest:
        """The nearest of all texts that were taken in, the earliest of equals."""
        tokens = self._encode([text])[0]
        if not len(tokens):
            return self._bare_one(text)
        self._make_room([len(tokens)])
        words = np.empty(4, np.uint64)
        folded = sign(tokens, self._seen, words)
        scratch = (self._slot, self._masks, self._state, self._pops)
        entry, common = search(tokens, words, np.uint64(folded), True, self._p, self._q, self._pool(), *scratch)
        return self._told(len(tokens), entry, common)

    def judge(self, texts: Sequence[tuple[str, str]], with_nearest: bool = False) -> list[Nearest]:
        """Take (id, text) pairs in, in their order, as far as each is new.

        What is not new has `over` and its nearest of all before; what is new has its nearest only `with_nearest`.
        """
        encoded = self._encode([text for _, text in texts])
        lengths = [len(tokens) for tokens in encoded]
        self._make_room(lengths)
        ends = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        batch = np.concatenate(encoded) if encoded else np.zeros(0, np.int32)
        scratch = (self._seen, self._slot, self._masks, self._state, self._pops)
        nearest, commons, stored_at = judge(
            batch, ends, with_nearest, self._p, self._q, len(self._ids), self._pool(), *scratch
        )
        found = []
        for (id, text), length, entry, common, stored in zip(
            texts, lengths, nearest.tolist(), commons.tolist(), stored_at.tolist(), strict=True
        ):
            if not length:
                found.append(self._bare_one(text))
                self._bare.setdefault(text.strip(), id)
                continue
            if stored >= 0:
                self._ids.append(id)
            found.append(self._told(length, entry, common))
        return found

    def _told(self, length: int, entry: int, common: int) -> Nearest:
        if entry < 0:
            return _NOTHING
        both = length + int(self._offsets[entry + 1] - self._offsets[entry])
        return Nearest(self._ids[entry], 2 * common / both, 2 * self._q * common > self._p * both)

    def _bare_one(self, text: str) -> Nearest:
        id = self._bare.get(text.strip())
        return _NOTHING if id is None else Nearest(id, 1.0, True)

    def _pool(self) -> tuple[NDArray[Any], ...]:
        return (
            *(self._starts, self._fills, self._folds, self._entries),
            *(self._signatures, self._offsets, self._tokens),
        )

    def _encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        vocabulary, cut = self._vocabulary, self._cut
        found = []
        for text in texts:
            tokens = cut(text)
            try:
                ids = [vocabulary[token] for token in tokens]
            except KeyError:
                ids = [vocabulary.setdefault(token, len(vocabulary)) for token in tokens]
            found.append(np.array(ids, np.int32))
        if len(vocabulary) > len(self._seen):
            self._seen, self._slot = (np.zeros(2 * len(vocabulary), np.int32) for _ in range(2))
        return found

    def _make_room(self, lengths: Sequence[int]) -> None:
        """For texts of these lengths, if all are stored; sizes grow by half at least, so that copies stay few."""
        longest = max(lengths, default=0)
        if self._masks.shape[0] < longest:
            words = (2 * longest + 63) // 64
            self._masks, self._state = np.zeros((2 * longest, words), np.uint64), np.zeros(words, np.uint64)
        count, end = len(self._ids), int(self._offsets[len(self._ids)])
        if count + len(lengths) > len(self._signatures):
            size = max(count + len(lengths), 3 * count // 2, _FIRST_ROOM)
            self._signatures = _grown(self._signatures, count, (size, 4))
            self._offsets = _grown(self._offsets, count + 1, (size + 1,))
        if end + sum(lengths) > len(self._tokens):
            self._tokens = _grown(self._tokens, end, (max(end + sum(lengths), 3 * end // 2, 16 * _FIRST_ROOM),))
        wanted = self._fills + counted(np.array(lengths, np.int64))
        if (wanted > np.diff(self._starts)).any():
            self._widen(np.maximum(wanted, np.maximum(np.diff(self._starts), 3 * wanted // 2 * (wanted > 0))))

    def _widen(self, rooms: NDArray[np.int64]) -> None:
        starts = np.concatenate(([0], np.cumsum(rooms)))
        folds, entries = np.zeros(starts[-1], np.uint64), np.zeros(starts[-1], np.int32)
        for bucket in np.flatnonzero(self._fills):
            old, new, count = self._starts[bucket], starts[bucket], self._fills[bucket]
            folds[new : new + count] = self._folds[old : old + count]
            entries[new : new + count] = self._entries[old : old + count]
        self._starts, self._folds, self._entries = starts, folds, entries


def _grown(array: NDArray[Any], used: int, shape: tuple[int, ...]) -> NDArray[Any]:
    larger = np.zeros(shape, array.dtype)
    larger[:used] = array[:used]
    return larger
