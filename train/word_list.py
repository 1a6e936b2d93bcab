"""A user's list of words that are to be one token each.

In: a UTF-8 file, one word a line; blank lines and lines that begin with `#` are passed over. Out: its distinct words in
the order of the file, and how many stood there twice.
"""

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runkit.errors import InputError, UsageError
from runkit.source import shown
from train.pieces import SPACE

LONGEST: Final = 64  # characters
_MAX_BYTES: Final = 64_000_000


@dataclass(frozen=True, slots=True)
class WordList:
    """Words, each of them once."""

    words: tuple[str, ...] = ()
    duplicates: int = 0


def read_word_list(path: Path) -> WordList:
    """The list in a file. UsageError: there is no such file. InputError: a line holds no word, with its number."""
    name = shown(str(path))
    if not path.is_file():
        raise UsageError(f"The word list {name} does not exist; give a UTF-8 file with one word a line.")
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{name} is larger than {_MAX_BYTES // 1_000_000} MB; a word list has one word a line.")
    words: dict[str, None] = {}
    duplicates = 0
    for number, raw in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            word = raw.decode().removesuffix("\r").strip(" ")
        except UnicodeDecodeError as error:
            raise InputError(f"{name}, line {number}: not UTF-8; save the list as UTF-8.") from error
        if not word or word.startswith("#"):
            continue
        if fault := _fault(word):
            raise InputError(f"{name}, line {number}: {fault}.")
        duplicates += word in words
        words[word] = None
    return WordList(tuple(words), duplicates)


def _fault(word: str) -> str | None:
    if any(unicodedata.category(character) == "Cc" for character in word):
        return "a word with a control character; remove it"
    if SPACE in word:
        return "a word with U+2581, which tokenizers use for the space; write a space"
    if len(word) > LONGEST:
        return f"a word of {len(word)} characters; at most {LONGEST} are allowed"
    return None
