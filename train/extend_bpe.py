"""Chinese pieces for a byte-level BPE tokenizer (SmolLM2, Qwen, Llama 3): TOK/tokenizer.json.

In: the base's file, words with counts. Out: the file again with more pieces and merges; all that it holds otherwise
stays. Words are cut as the base's own pre-tokenizer cuts them and merged as its own merges do. What is learnt on top
are merges of whole characters; a character that the base writes as several tokens is put together from the left, and
only where its first bytes can begin nothing but a Han character: a merge of its last two bytes would be made in Thai
and kana as well. Words of a list become added tokens, which are cut out of a text before anything else. The ids of
added tokens that stood outside the vocabulary are written into it, or the library would number them anew behind the
new pieces.
"""

import copy
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import orjson
import tokenizers

from runkit.errors import InputError
from runkit.language import HAN_CLASS
from train.expansion import Candidate, Candidates, han_words, is_addable, learn_merges, with_parts
from train.pieces import Ids, Tokenizer
from train.tokenizer_hf import byte_letters

_HAN: Final = re.compile(f"[{HAN_CLASS}]")
_LETTER: Final = {byte: letter for letter, byte in byte_letters().items()}
_BATCH: Final = 4096


class ByteLevelBase:
    """A base that can be extended; InputError when it is none."""

    file_name: Final = "tokenizer.json"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        if tokenizer.kind == "wordpiece":
            raise InputError(f"{tokenizer.path} is no BPE model; only BPE tokenizers can be extended.")
        self.layout: dict[str, Any] = orjson.loads(tokenizer.path.read_bytes())
        model = self.layout.get("model", {})
        if model.get("type", "BPE") != "BPE" or "merges" not in model:
            raise InputError(f"{tokenizer.path} is no BPE model; only BPE tokenizers can be extended.")
        if tokenizer.kind != "byte-level":
            raise InputError(f"{tokenizer.path} is not byte-level; give the tokenizer.model that it was made from.")
        self.vocabulary: dict[str, int] = model["vocab"]
        self.backend = tokenizers.Tokenizer.from_file(str(tokenizer.path))
        self._letters = byte_letters()

    def find_candidates(self, words: Mapping[str, int], listed: Sequence[str], room: int, longest: int) -> Candidates:
        """Characters, the steps to them, and merges that may be added."""
        found = self._pretokens(han_words(words, listed))
        merges, units = learn_merges(found, self._cut, room, longest)
        candidates = Candidates()
        for unit, _ in sorted(units.items(), key=lambda item: (-item[1], item[0])):
            if unit not in self._whole:
                self._add_character(candidates, unit)
        for first, second in with_parts(merges):
            text, parts = first + second, (letters_of(first.encode()), letters_of(second.encode()))
            there = all(part in self.vocabulary or part in candidates.of for part in parts)
            if there and "".join(parts) not in self.vocabulary and is_addable(text) and len(text) <= longest:
                candidates.add(Candidate("".join(parts), text, parts, "merge"))
        return candidates

    def _pretokens(self, words: Mapping[str, int]) -> Counter[str]:
        """What the base's normalizer and pre-tokenizer make of the words, as far as it is Han."""
        normalizer, pre_tokenizer = self.backend.normalizer, self.backend.pre_tokenizer
        found: Counter[str] = Counter()
        for word, count in words.items():
            text = normalizer.normalize_str(word) if normalizer else word
            for letters, _ in pre_tokenizer.pre_tokenize_str(text):
                raw = bytes(self._letters[letter] for letter in letters)
                part = raw.decode("utf-8", "replace")
                if is_addable(part):
                    found[part] += count
        return found

    @cached_property
    def _whole(self) -> frozenset[str]:
        """The texts of the base's tokens that are whole characters."""
        texts = set()
        for piece in self.vocabulary:
            try:
                texts.add(bytes(self._letters[letter] for letter in piece).decode())
            except (KeyError, UnicodeDecodeError):  # an added token, or a part of a character
                continue
        return frozenset(texts)

    @cached_property
    def _merger(self) -> Any:
        """The base's merges without its normalizer and pre-tokenizer, for pre-tokens."""
        merger = tokenizers.Tokenizer.from_file(str(self.tokenizer.path))
        merger.normalizer = None
        merger.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        merger.no_truncation()
        merger.no_padding()
        return merger

    def _tokens(self, texts: Sequence[str]) -> Iterator[list[bytes]]:
        """Pre-tokens as the base's merges leave them."""
        table = self.tokenizer.piece_bytes
        for start in range(0, len(texts), _BATCH):
            for entry in self._merger.encode_batch_fast(list(texts[start : start + _BATCH]), add_special_tokens=False):
                yield [table[number] for number in entry.ids]

    def _cut(self, rows: Sequence[str]) -> Iterator[list[str]]:
        """Tokens of whole characters, and characters that are several tokens; other tokens end what is merged."""
        for tokens in self._tokens(rows):
            best: list[str] = []
            units: list[str] = []
            held, whole = b"", 0  # bytes since the last end of a character that is an end of a token; tokens in them
            for token in tokens:
                held, whole = held + token, whole + 1
                try:
                    unit = held.decode()
                except UnicodeDecodeError:
                    continue
                if whole == 1 or _HAN.fullmatch(unit):
                    units.append(unit)
                else:
                    best, units = max(best, units, key=len), []
                held, whole = b"", 0
            yield max(best, units, key=len)

    def _add_character(self, candidates: Candidates, character: str) -> None:
        """A character and its steps, from the left; none of them where a step could begin something else."""
        tokens = next(self._tokens([character]))
        raw, chain = tokens[0], []
        for token in tokens[1:]:
            parts = (letters_of(raw), letters_of(token))
            raw += token
            if raw == character.encode():
                chain.append(Candidate("".join(parts), character, parts, "character"))
            elif "".join(parts) not in self.vocabulary and begins_only_han(raw):
                chain.append(Candidate("".join(parts), "", parts, "step"))
            else:
                return
        for candidate in chain:
            candidates.add(candidate)

    def build(self, listed: Sequence[str], chosen: Sequence[Candidate]) -> bytes:
        """The file with the words of the list and the chosen pieces."""
        layout = copy.deepcopy(self.layout)
        model, added = layout["model"], layout.setdefault("added_tokens", [])
        for token in added:
            model["vocab"].setdefault(token["content"], token["id"])
        number = self.tokenizer.size
        for word in listed:
            if word in model["vocab"]:  # the library would give it the id of what is written so
                raise InputError(f"The word {word!r} of the list cannot be added: the base writes another token so.")
            flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
            added.append({"id": number, "content": word, **flags})
            model["vocab"][word] = number
            number += 1
        as_text = bool(model["merges"]) and isinstance(model["merges"][0], str)
        for candidate in chosen:
            assert candidate.parts is not None
            model["vocab"][candidate.piece] = number
            model["merges"].append(" ".join(candidate.parts) if as_text else list(candidate.parts))
            number += 1
        return orjson.dumps(layout, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def encode(self, data: bytes, texts: Sequence[str]) -> Iterator[Ids]:
        """Ids of each text by the file `data`."""
        library = tokenizers.Tokenizer.from_buffer(data)
        library.no_truncation()
        library.no_padding()
        for start in range(0, len(texts), _BATCH):
            for entry in library.encode_batch_fast(list(texts[start : start + _BATCH]), add_special_tokens=False):
                yield np.array(entry.ids, np.int32)

    def witnesses(self, candidate: Candidate) -> list[str]:
        """Texts of which one must be written with this piece."""
        if candidate.text:
            return [candidate.text]
        return completions(bytes(self._letters[letter] for letter in candidate.piece))

    def base_ids(self, candidate: Candidate, of: Mapping[str, Candidate]) -> list[int]:
        """How the base writes a piece: the tokens that it is merged from."""
        found: list[int] = []
        for part in candidate.parts or ():
            found += self.base_ids(of[part], of) if part in of else [self.vocabulary[part]]
        return found

    def ids_of(self, text: str) -> list[int]:
        """How the base writes a text."""
        return [int(number) for number in self.tokenizer.encode(text)]


def letters_of(raw: bytes) -> str:
    """Bytes as the vocabulary writes them."""
    return "".join(map(_LETTER.__getitem__, raw))


def completions(raw: bytes) -> list[str]:
    """All characters whose UTF-8 begins with these bytes; none for more than 4,096 of them."""
    length = 2 if 0xC2 <= raw[0] < 0xE0 else 3 if 0xE0 <= raw[0] < 0xF0 else 4 if 0xF0 <= raw[0] < 0xF5 else 0
    if not 0 < length - len(raw) <= 2:
        return []
    code = raw[0] & (0xFF >> (length + 1))
    for byte in raw[1:]:
        code = code << 6 | byte & 0x3F
    bits = 6 * (length - len(raw))
    codes = range(code << bits, (code + 1) << bits)
    return [chr(code) for code in codes if not 0xD800 <= code <= 0xDFFF and chr(code).encode().startswith(raw)]


def begins_only_han(raw: bytes) -> bool:
    """Can these bytes, the first ones of a character, begin nothing but Han characters?"""
    found = completions(raw)
    return bool(found) and all(map(_HAN.match, found))
