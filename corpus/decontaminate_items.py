"""The test items that documents must not hold: what is read, and the n-grams by which an item is known.

In: folders and files in C-Eval's and CMMLU's layout (CSV with question and choices), JSON lines, JSON arrays or parquet
with questions, instructions or dialogues. Out: `Items` with a table of their n-grams. An item's texts are its question,
question and choices with and without letters, and its answer where that is a sentence. Before n-grams are made texts
are folded: width, case, traditional characters, compatibility forms; punctuation and white space fall out. Price: 0.5 s
for the tables, and 30 bytes a gram.
"""

import csv
import functools
import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpus.charclass import tables
from corpus.decode import decode
from corpus.decontaminate_kernels import HAN, LETTER, SEPARATOR, TRANSPARENT, all_grams, gram_table
from corpus.measure import to_codes
from runkit.errors import InputError, UsageError
from runkit.fields import Fault
from runkit.files import sha256_file
from runkit.inputs import split_label
from runkit.instructions import find_items
from runkit.text import is_han

_QUESTIONS: Final = ("question", "instruction", "input", "prompt", "query", "problem", "text")
_ANSWERS: Final = ("output", "answer", "std_answer", "reference", "response", "solution", "target")
_LETTERS: Final = "ABCDEFGHIJ"
FORMS: Final = 2  # of a question with choices: with letters before them, and without
_TABLE: Final = 0x20000
_HAN_PLANES: Final = range(0x20000, 0x323B0)


@dataclass(frozen=True, slots=True)
class Item:
    """One test item: `file#place`, the set that it belongs to, and its texts, the fullest first.

    The first `forms` texts are the same question and choices, written in different ways.
    """

    name: str
    set: str
    texts: tuple[str, ...]
    forms: int = 1


@dataclass(frozen=True, slots=True)
class Grams:
    """G distinct n-grams of I items."""

    hashes: NDArray[np.uint64]  # (G,) ascending
    keys: NDArray[np.uint64]  # open-addressing table of the hashes, and
    places: NDArray[np.int32]  # where each stands among them
    lengths: NDArray[np.int64]  # of the grams, each length once
    items: NDArray[np.int32]  # items of gram g: items[starts[g] : starts[g + 1]]
    starts: NDArray[np.int64]  # (G + 1,)
    sizes: NDArray[np.int64]  # (I,) distinct grams of each item; 0: too short to be found
    forms: NDArray[np.int32]  # the same by form: form f of item i is FORMS i + f, with all texts that are no form
    form_starts: NDArray[np.int64]  # (G + 1,)
    form_sizes: NDArray[np.int64]  # (FORMS I,)


@functools.cache
def fold_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Class and folded code of each code point: (0x323B0,) and (0x20000,)."""
    classes = np.zeros(_HAN_PLANES.stop, np.uint8)
    classes[_HAN_PLANES.start :] = HAN
    fold = np.arange(_TABLE, dtype=np.uint32)
    simplified = tables().fold
    for code in range(_TABLE):
        character = chr(code)
        if 0xD800 <= code < 0xE000:
            continue
        folded = unicodedata.normalize("NFKC", character).lower()
        if len(folded) == 1:
            character = folded
        if ord(character) < 0x10000:
            character = chr(simplified[ord(character)])
        fold[code] = ord(character)
        classes[code] = _class(character, unicodedata.category(chr(code)))
    return classes, fold


def _class(character: str, category: str) -> int:
    if is_han(ord(character)):
        return HAN
    if character.isalnum():
        return LETTER
    return TRANSPARENT if category in {"Cf", "Mn", "Me"} else SEPARATOR


def read_items(paths: Sequence[str], with_answers: bool) -> tuple[list[Item], list[dict[str, Any]]]:
    """All items, and the files as `RunDir.open` takes them. UsageError: no such path. InputError: nothing to read."""
    items: list[Item] = []
    inputs: list[dict[str, Any]] = []
    for argument in paths:
        label, path = split_label(argument)
        files = list(_files(Path(path)))
        before = len(items)
        for file in files:
            name = file.name if file == Path(path) else str(file.relative_to(Path(path).parent))
            items += _read_file(file, name, label, with_answers)
            inputs.append({"name": f"--against {name}", "size": file.stat().st_size, "fingerprint": sha256_file(file)})
        if len(items) == before:
            raise InputError(f"{path} holds no test items; give CSV, JSON lines or parquet with questions.")
    return items, inputs


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
        yield from (file for file in found if not any(p.startswith(".") for p in file.relative_to(path).parts))
    elif path.exists():
        yield path
    else:
        raise UsageError(f"{path} does not exist; check the path of --against.")


def _read_file(file: Path, name: str, label: str | None, with_answers: bool) -> Iterator[Item]:
    belongs = label or file.name.partition(".")[0]
    rows = _csv_rows(file) if file.suffix.lower() == ".csv" else _json_rows(file)
    for place, record in rows:
        if texts := texts_of(record, with_answers):
            yield Item(f"{name}#{place}", belongs, tuple(texts), FORMS if _choices(_values(record)) else 1)


def _csv_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        yield from enumerate(csv.DictReader(io.StringIO(_text(file), newline=""), strict=True))
    except (OSError, csv.Error) as error:
        raise InputError(f"{file} cannot be read as CSV: {error}; mend it, or leave it out.") from error


def _text(file: Path) -> str:
    """Spreadsheets write GBK and UTF-16 as well."""
    data = file.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = decode(data, None, html=False).text
        if "\0" in text or "\ufffd" in text:
            raise InputError(
                f"{file} is no UTF-8 at byte {error.start:,}, and no other text known here; mend it, or leave it out."
            ) from error
        return text


def _json_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for place, found in enumerate(find_items([str(file)]).fields()):
        if not isinstance(found, Fault):
            yield place, found.values


def texts_of(record: Mapping[str, Any], with_answers: bool) -> list[str]:
    """The texts by which an item is known, the fullest first; none of them is empty."""
    values = _values(record)
    question = "\n".join(text for name in _QUESTIONS if isinstance(text := values.get(name), str) and text.strip())
    choices = _choices(values)
    found = []
    if choices:
        found.append(question + "".join(f"\n{_LETTERS[place]}. {text}" for place, text in enumerate(choices)))
        found.append("\n".join([question, *choices]))
    found.append(question)
    if with_answers:
        found += [text for name in _ANSWERS if isinstance(text := values.get(name), str)]
    for name in ("conversations", "messages", "instances"):
        found += _said(values.get(name), with_answers)
    return [text for text in dict.fromkeys(found) if text.strip()]


def _values(record: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).strip().lower(): value for key, value in record.items() if key is not None}


def _choices(values: Mapping[str, Any]) -> list[str]:
    given = next((values[name] for name in ("choices", "options", "endings") if values.get(name)), None)
    if isinstance(given, Mapping):
        given = given.get("text", list(given.values()))
    if not isinstance(given, list):
        given = [values[letter] for letter in _LETTERS.lower() if values.get(letter)]
    return [text for text in given if isinstance(text, str)][: len(_LETTERS)]


def _said(turns: Any, with_answers: bool) -> list[str]:
    """Texts of a dialogue, or of Self-Instruct's instances."""
    found = []
    for turn in turns if isinstance(turns, list) else []:
        if isinstance(turn, Mapping):
            answer = turn.get("from", turn.get("role")) in {"gpt", "assistant"}
            names = ["content", "value", "input", *(["output"] if with_answers else [])]
            found += [turn[name] for name in names if isinstance(turn.get(name), str) and (with_answers or not answer)]
    return found


def make_grams(items: Sequence[Item], n: int, least: int) -> Grams:
    """The n-grams of all items. An item without a text of n units is known by its longest one, of `least` or more."""
    texts = [text for item in items for text in item.texts]
    owner = np.repeat(np.arange(len(items)), [len(item.texts) for item in items])
    codes, offsets = to_codes([unicodedata.normalize("NFC", text) for text in texts])
    classes, fold = fold_tables()
    text_of, hashes, lengths = all_grams(codes, offsets, classes, fold, n, least)
    # A short text of an item that has a long one would find far too much: a choice, a letter.
    most = np.zeros(len(items), np.int64)
    np.maximum.at(most, owner, lengths)
    chosen = (lengths == most[owner]) & (lengths > 0)
    wanted = chosen[text_of]
    hashes, text_of = hashes[wanted], text_of[wanted]
    distinct, items_of, starts = _by_gram(hashes, owner[text_of])
    form_hashes, form_of = _in_forms(items, chosen, hashes, text_of)
    _, forms, form_starts = _by_gram(form_hashes, form_of)
    keys, places = gram_table(distinct)
    return Grams(
        distinct,
        keys,
        places,
        np.unique(lengths[chosen]),
        items_of,
        starts,
        np.bincount(items_of, minlength=len(items)),
        forms,
        form_starts,
        np.bincount(forms, minlength=FORMS * len(items)),
    )


def _by_gram(
    hashes: NDArray[np.uint64], owners: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int64]]:
    """Distinct hashes, and the owners of each: those of hash g are owners[starts[g] : starts[g + 1]]."""
    pairs = np.unique(np.stack([hashes, owners.astype(np.uint64)]), axis=1)
    distinct, starts = np.unique(pairs[0], return_index=True)
    return distinct, pairs[1].astype(np.int32), np.append(starts, pairs.shape[1])


def _in_forms(
    items: Sequence[Item], chosen: NDArray[np.bool_], hashes: NDArray[np.uint64], text_of: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Each n-gram once for every form of its item that it belongs to, and the number of that form."""
    belongs = np.full((FORMS, len(chosen)), -1, np.int64)  # text → forms, -1 for none
    first = 0
    for number, item in enumerate(items):
        forms = [form for form in range(item.forms) if chosen[first + form]] or [0]
        for place in range(len(item.texts)):
            for slot, form in enumerate([place] if place < item.forms else forms):
                belongs[slot, first + place] = FORMS * number + form
        first += len(item.texts)
    of_gram = belongs[:, text_of]
    held = of_gram >= 0
    return np.broadcast_to(hashes, of_gram.shape)[held], of_gram[held]
