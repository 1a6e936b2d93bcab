"""Pieces learnt from words with counts, by SentencePiece's BPE trainer.

In: texts, cut by `pretokens` into words that no piece will cross, counted once each. Out: the merged pieces in the
order in which BPE makes them. SentencePiece reads words with counts as `tsv`; each distinct word is then merged once
however often it stands in the text: 54 MB of Chinese take 16 CPU seconds so, 26 when fed as sentences (which also must
stay under its 4,192 bytes or are dropped in silence). Price: one table of all distinct words in memory, 25 bytes for
each 1 byte of Chinese; big sets are sampled before.
"""

import functools
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as model_pb2

from runkit.errors import InputError
from runkit.language import HAN_CLASS
from runkit.workers import in_child
from train.pieces import SPACE

# Han runs and runs of other letters, each with one sign or space before it; digits one by one; signs with the line
# ends behind them; line ends; spaces, of which the last belongs to the word that follows.
_WORD: Final = re.compile(
    rf"[^\w\n]?[{HAN_CLASS}]+"
    rf"|(?:[^\w\n]|_)?[^\W\d_{HAN_CLASS}]+"
    r"|\d| ?[^\w\s]+\n*|\s*\n+|[^\S\n]+(?=[^\S\n])|[^\S\n]|_+(?=_)|_"
)
LONGEST_WORD: Final = 200  # characters; a longer run is a blob, or Chinese without any punctuation
# SentencePiece takes a tab for the end of a word, so it gets a private sign for one; U+2581 is its space, and NUL ends
# its strings.
_TAB: Final = "\uf8fe"
_UNFIT: Final = re.compile(f"[\0{SPACE}{_TAB}]")


def pretokens(text: str) -> list[str]:
    """The words of `text`, in order; joined they are the text, but that U+2581, U+F8FE and NUL end a word."""
    return [word for part in _UNFIT.split(text) for word in _WORD.findall(part)]


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs; words beyond `LONGEST_WORD` characters are counted in parts."""
    words: Counter[str] = Counter()
    for text in texts:
        words.update(pretokens(text))
    for word in [word for word in words if len(word) > LONGEST_WORD]:
        count = words.pop(word)
        for start in range(0, len(word), LONGEST_WORD):
            words[word[start : start + LONGEST_WORD]] += count
    return words


@dataclass(frozen=True, slots=True)
class Learnt:
    """Pieces with U+2581 for spaces."""

    merges: list[str]  # two characters and more, in the order in which BPE makes them
    characters: list[str]  # all that occur, most frequent first


def learn(words: Mapping[str, int], merges: int, longest: int = 16) -> Learnt:
    """Run BPE over the words until `merges` pieces are made, or no pair is left.

    `longest`: characters of a piece. InputError: no words. The order of `words` does not matter.
    """
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    if not characters:
        raise InputError("There is no text to learn pieces from.")
    # In a child: SentencePiece would keep a signal waiting until it is done, 20 s for 50 MB.
    size = merges + len(characters) + 8  # and <unk>, <s>, </s>, the space, what it adds on its own
    model = model_pb2.ModelProto()
    model.ParseFromString(in_child(functools.partial(_train, words, size, longest)))
    pieces = [entry.piece.replace(_TAB, "\t") for entry in model.pieces if entry.type == entry.NORMAL]
    made = [piece for piece in pieces if len(piece) > 1]
    ordered = sorted(characters, key=lambda character: (-characters[character], character))
    return Learnt(made[:merges], [SPACE if character == " " else character for character in ordered])


def _train(words: Mapping[str, int], size: int, longest: int) -> bytes:
    """The model file that SentencePiece makes of `word<tab>count`; it sorts them itself."""
    model = io.BytesIO()
    rows = (f"{word.replace(chr(9), _TAB)}\t{count}" for word, count in words.items())
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=rows,
        model_writer=model,
        input_format="tsv",
        model_type="bpe",
        vocab_size=size,
        character_coverage=1.0,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        split_by_unicode_script=False,
        split_digits=True,
        hard_vocab_limit=False,
        max_sentencepiece_length=longest,
        max_sentence_length=8 * LONGEST_WORD,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()
