"""Chinese pieces for a SentencePiece BPE model with byte fallback (LLaMA, Mistral): TOK/tokenizer.model.

In: the base's file, words with counts. Out: the file again with pieces at its end; every other field stays. When a text
is encoded, SentencePiece merges the pair whose piece has the best score, so added pieces score below all of the base's,
in the order in which they were learnt: the base's own merges come first, as they did. Words of a list become
USER_DEFINED pieces, which SentencePiece cuts out before anything else.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
import sentencepiece

from runkit.errors import InputError
from train.expansion import Candidate, Candidates, Cut, han_words, is_addable, learn_merges, with_parts
from train.model_file import BPE, NORMAL, USER_DEFINED, read_model
from train.pieces import SPACE, Ids, Tokenizer

_BATCH: Final = 4096


class SentencePieceBase:
    """A base that can be extended; InputError when it is none."""

    file_name: Final = "tokenizer.model"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.model = read_model(tokenizer.path)
        trainer = self.model.trainer_spec
        if trainer.model_type != BPE:
            raise InputError(f"{tokenizer.path} is no BPE model; only BPE tokenizers can be extended.")
        if not trainer.byte_fallback:
            raise InputError(f"{tokenizer.path} has no byte fallback; only models with one can be extended.")
        _refuse_others(tokenizer)
        self.pieces = {entry.piece for entry in self.model.pieces}
        self.plain = _processor(self._copy())

    def find_candidates(self, words: Mapping[str, int], listed: Sequence[str], room: int, longest: int) -> Candidates:
        """Characters and merges that may be added."""
        found = han_words(words, listed)
        merges, units = learn_merges(found, self._cut(found), room, longest)
        candidates = Candidates()
        for unit, _ in sorted(units.items(), key=lambda item: (-item[1], item[0])):
            if len(unit) == 1 and unit not in self.pieces:
                candidates.add(Candidate(unit, unit, None, "character"))
        for first, second in with_parts(merges):
            piece = first + second
            text = piece.replace(SPACE, " ")
            if piece not in self.pieces and is_addable(text) and len(text) <= longest:
                candidates.add(Candidate(piece, text, (first, second), "merge"))
        return candidates

    def _cut(self, words: Mapping[str, int]) -> Cut:
        """Words as the base's own merges leave them."""
        # With a piece for every character nothing falls back to bytes, and no merge comes out otherwise.
        model = self._copy()
        score = _lowest(model) - 1
        for character in sorted({character for word in words for character in word} - self.pieces):
            model.pieces.add(piece=character, score=score, type=NORMAL)
        processor = _processor(model)

        def cut(rows: Sequence[str]) -> Iterator[list[str]]:
            for start in range(0, len(rows), _BATCH):
                for row in processor.encode(list(rows[start : start + _BATCH]), out_type=str, num_threads=1):
                    # A sign without a piece would have to become one, which would change other languages.
                    yield row[1:] if row and row[0] not in self.pieces and not is_addable(row[0]) else row

        return cut

    def build(self, listed: Sequence[str], chosen: Sequence[Candidate]) -> bytes:
        """The file with the words of the list and the chosen pieces."""
        model = read_model(self.tokenizer.path)
        lowest = _lowest(model)
        step = max(1.0, abs(lowest) * 1e-6)  # scores are 32-bit: a smaller step would vanish beside a large score
        for word in listed:
            model.pieces.add(piece=word.replace(" ", SPACE), score=0.0, type=USER_DEFINED)
        for rank, candidate in enumerate(chosen, start=1):
            model.pieces.add(piece=candidate.piece, score=lowest - rank * step, type=NORMAL)
        return bytes(model.SerializeToString(deterministic=True))

    def encode(self, data: bytes, texts: Sequence[str]) -> Iterator[Ids]:
        """Ids of each text by the file `data`."""
        processor = sentencepiece.SentencePieceProcessor(model_proto=data)
        for start in range(0, len(texts), _BATCH):
            for ids in processor.encode(list(texts[start : start + _BATCH]), return_type="numpy", num_threads=1):
                yield np.asarray(ids, np.int32)

    def witnesses(self, candidate: Candidate) -> list[str]:
        """Texts of which one must be written with this piece."""
        # Behind a letter: the model may put a space before a text, which would be part of another piece.
        return [f"a{candidate.text}"]

    def base_ids(self, candidate: Candidate, of: Mapping[str, Candidate]) -> list[int]:
        """How the base writes a piece, without the space that it puts in front of a text."""
        return self.ids_of(candidate.text)

    def ids_of(self, text: str) -> list[int]:
        """How the base writes a text inside of another."""
        return [int(number) for number in self.plain.encode(text)]

    def _copy(self) -> Any:
        model = read_model(self.tokenizer.path)
        model.normalizer_spec.add_dummy_prefix = False
        return model


def _refuse_others(tokenizer: Tokenizer) -> None:
    """InputError where a file beside the model gives out the ids that the new pieces would get."""
    file = tokenizer.path.with_name("added_tokens.json")
    if not file.is_file():
        return
    try:
        tokens = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(f"{file} is no JSON: {error}.") from error
    behind = [name for name, number in tokens.items() if isinstance(number, int) and number >= tokenizer.size]
    if behind:
        raise InputError(f"{file} gives {behind[0]!r} an id behind the model's pieces; write it into the model first.")


def _processor(model: Any) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())


def _lowest(model: Any) -> float:
    """The lowest score of a piece that text makes."""
    return min((float(entry.score) for entry in model.pieces if entry.type in {NORMAL, USER_DEFINED}), default=0.0)
