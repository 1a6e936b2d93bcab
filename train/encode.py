"""Texts to one run of ids, as `encode_batch` gives them, by a faster way where that is provably the same.

SentencePiece's BPE keeps a queue of all pairs of a text, so a long text costs more for each character than a short one.
A long text is therefore cut behind line ends, where the next character follows a line end in no piece of the model: no
piece lies across such a place, so merges on one side never look at the other, and their order within a side stays.
That saves a tenth of the CPU time on articles. Price: a look at the model when it is opened (10 ms for 16,000 pieces).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from train.model_file import BPE, read_model
from train.pieces import SPACE, Ids, Tokenizer
from train.tokenizer_spm import SentencePieceTokenizer

SEGMENT: Final = 300  # characters; measured from 100 (6 % slower: calls) over 1,000 (6 %: queues) to whole texts (10 %)


@dataclass(frozen=True, slots=True)
class _CutRule:
    """Where a text may be cut, and what comes of it."""

    barred: frozenset[str]  # characters before which it is not cut
    adds_space: bool  # the model puts a space before each segment, as before each text


class Encoder:
    """Encodes for one tokenizer; long texts in segments of about `segment` characters where that is the same."""

    def __init__(self, tokenizer: Tokenizer, segment: int = SEGMENT) -> None:
        self.tokenizer = tokenizer
        self._segment = segment
        self._rule = _cut_rule(tokenizer)

    def encode(self, texts: Sequence[str]) -> tuple[Ids, NDArray[np.int64]]:
        """Ids of all texts one after another, (T,), and how many each of them has, (N,). No text is empty."""
        if not texts:
            return np.empty(0, np.int32), np.empty(0, np.int64)
        segments: list[str] = []
        first = []  # of each text, among the segments
        for text in texts:
            first.append(len(segments))
            self._cut(text, segments)
        rows = self.tokenizer.encode_batch(segments)
        if self._rule is not None and self._rule.adds_space and len(segments) > len(texts):
            begins = set(first)
            rows = [row if index in begins else row[1:] for index, row in enumerate(rows)]
        sizes = np.fromiter(map(len, rows), np.int64, len(rows))
        return np.concatenate(rows), np.add.reduceat(sizes, first)

    def _cut(self, text: str, segments: list[str]) -> None:
        """Append the segments of `text`, which joined are `text`."""
        start, size = 0, len(text)
        if self._rule is not None:
            while size - start > 2 * self._segment:
                end = text.find("\n", start + self._segment) + 1
                while 0 < end < size and text[end] in self._rule.barred:
                    end = text.find("\n", end) + 1
                if not 0 < end < size:
                    break
                segments.append(text[start:end])
                start = end
        segments.append(text[start:] if start else text)


def _cut_rule(tokenizer: Tokenizer) -> _CutRule | None:
    """How the texts may be cut; None where they may not be cut at all.

    Cutting is exact for BPE alone, where merges are local (the best way of a unigram model is one over the whole text).
    Not for models that rewrite the text, that make one <unk> of several characters in a row, or with pieces of the type
    UNUSED, which are taken apart as they were made somewhere else in the text.
    """
    if not isinstance(tokenizer, SentencePieceTokenizer):
        return None
    model = read_model(tokenizer.path)
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    rewrites = normalizer.precompiled_charsmap or normalizer.remove_extra_whitespaces
    if trainer.model_type != BPE or not trainer.byte_fallback or rewrites or not normalizer.escape_whitespaces:
        return None
    if trainer.treat_whitespace_as_suffix or any(piece.type == piece.UNUSED for piece in model.pieces):
        return None
    before = {"\n"}
    if normalizer.add_dummy_prefix:
        # The space in front of a segment must stay a piece of its own, to be taken away again.
        if tokenizer.find(SPACE) is None:
            return None
        before.add(SPACE)
    barred = {after for piece in model.pieces for left, after in pairwise(piece.piece) if left in before}
    barred |= {" "} if SPACE in barred else set()
    return _CutRule(frozenset(barred), bool(normalizer.add_dummy_prefix))
