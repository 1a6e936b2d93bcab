"""Four-choice questions in C-Eval's layout, read strictly.

In: a folder with `dev`, `val` or `test` in it, each with a CSV file a subject (`law_val.csv`, or `law.csv` as CMMLU
names them): columns id, question, A, B, C, D, answer and perhaps explanation. Out: `Question`s in file order, or one
sentence that names the file and the row that is wrong. Price: a single bad row stops the reading, for an accuracy over
the rest would be compared with others' over all.
"""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from runkit.errors import InputError, UsageError

Split = Literal["dev", "val", "test"]
LETTERS: Final = ("A", "B", "C", "D")


@dataclass(frozen=True, slots=True)
class Question:
    """One question; `answer` is None where the file has none."""

    id: str
    text: str
    choices: tuple[str, str, str, str]
    answer: str | None


def subjects_in(folder: Path, split: Split) -> dict[str, Path]:
    """The file of each subject, by name. UsageError: there are none."""
    place = folder / split
    if not place.is_dir():
        raise UsageError(f"{folder} has no folder {split}; name one in C-Eval's layout: dev/, val/ and test/.")
    found: dict[str, Path] = {}
    for path in sorted(place.glob("*.csv")):
        name = path.stem.removesuffix(f"_{split}")
        if name in found:
            raise InputError(f"{found[name]} and {path} are about the same subject; remove one of them.")
        found[name] = path
    if not found:
        raise UsageError(f"{place} holds no CSV files; it needs one a subject, such as law_{split}.csv.")
    return found


def read_questions(path: Path) -> list[Question]:
    """The questions of a file. InputError: it is not what it should be."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 at byte {error.start:,}; convert it first.") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        columns = _columns(path, header)
        questions = [
            _question(path, row, columns, len(header), number)
            for number, row in enumerate(row for row in reader if row)
        ]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}; correct the quotes.") from error
    if not questions:
        raise InputError(f"{path} holds no questions; remove it or give it some.")
    twice = [name for name, count in Counter(question.id for question in questions).items() if count > 1]
    if twice:
        raise InputError(f"{path} has the id {twice[0]} twice; a submission could not tell them apart.")
    return questions


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    """Where each column stands. CMMLU writes Question and Answer, and gives the column of ids no name."""
    names = [name.strip() for name in header]
    known = {name if name in LETTERS else name.lower(): place for place, name in enumerate(names)}
    if "id" not in known and "" in known:
        known["id"] = known[""]
    missing = [name for name in ("question", *LETTERS) if name not in known]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}; its first line must be id,question,A,B,C,D,answer."
        )
    return known


def _question(path: Path, row: list[str], columns: dict[str, int], width: int, number: int) -> Question:
    if len(row) != width:
        raise InputError(f"{path}, question {number + 1}: {len(row)} cells, but {width} columns; correct its quotes.")
    cells = {name: row[place].strip() for name, place in columns.items()}
    empty = [name for name in ("question", *LETTERS) if not cells[name]]
    if empty:
        raise InputError(f"{path}, question {number + 1}: {empty[0]} is empty; correct or remove it.")
    answer = cells.get("answer", "").upper()
    if answer and answer not in LETTERS:
        raise InputError(f"{path}, question {number + 1}: the answer {answer[:20]!r} is none of A, B, C and D.")
    a, b, c, d = (cells[letter] for letter in LETTERS)
    return Question(cells.get("id") or str(number), cells["question"], (a, b, c, d), answer or None)
