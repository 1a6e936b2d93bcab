"""The files of a run: questions, answers and verdicts, one JSON object a line, written whole and read strictly.

In: records of records.py and a run's folder. Out: the same records, in the same order, with the same bytes each time.
These files are ours, so a line that is no such record is an error that names it, not something to skip. Price: 100,000
verdicts of 1.5 kB are read in 0.8 s and held in 400 MB.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import orjson

from judge.records import (
    ANSWERS,
    QUARANTINE,
    QUESTIONS,
    VERDICTS,
    Answer,
    Choice,
    Question,
    Verdict,
    VerdictState,
)
from runkit.errors import InputError, UsageError
from runkit.files import atomic_write, sha256_file
from runkit.jsonl import JsonLineError, parse_object
from runkit.rundir import Mark, RunDir, damage

Record = TypeVar("Record", Question, Answer, Verdict)
Row = dict[str, Any]

_NUMBERS: Final = frozenset({int, float})
_STATES: Final = frozenset(get_args(VerdictState))
_TEXTS: Final = ("question_id", "category", "first", "second", "judge", "grammar", "fault", "explanation")
_CHOICES: Final = frozenset((None, *get_args(Choice)))


SEAL: Final = "records"


def seal(run: RunDir, data: Mapping[str, Any] | None = None) -> Mark:
    """Note that the records of a run are whole; from now on it is told when one of their files is changed."""
    names = [name for name in (QUESTIONS, ANSWERS, VERDICTS, QUARANTINE) if run.file(name).is_file()]
    return run.mark(SEAL, {name: sha256_file(run.file(name)) for name in names}, data or {})


def write_questions(run: Path, questions: Iterable[Question]) -> None:
    _write(run / QUESTIONS, questions)


def write_answers(run: Path, answers: Iterable[Answer]) -> None:
    _write(run / ANSWERS, answers)


def write_verdicts(run: Path, verdicts: Iterable[Verdict]) -> None:
    _write(run / VERDICTS, verdicts)


def read_questions(run: Path) -> list[Question]:
    """[] where the run has none. InputError: a line is no question."""
    return [_record(Question, row, run / QUESTIONS, number) for number, row in _rows(run / QUESTIONS)]


def read_answers(run: Path) -> list[Answer]:
    """[] where the run has none. InputError: a line is no answer."""
    return [_record(Answer, row, run / ANSWERS, number) for number, row in _rows(run / ANSWERS)]


def read_verdicts(run: Path) -> list[Verdict]:
    """UsageError: it is no run with verdicts. InputError: a line is no verdict, or a file was changed since."""
    file = run / VERDICTS
    return [_record(Verdict, row, file, number) for number, row in enumerate(verdict_rows(run), 1)]


def verdict_rows(run: Path) -> list[Row]:
    """As `read_verdicts`, as plain objects with the fields of `Verdict` and checked values, in a third of the time."""
    file = run / VERDICTS
    if not file.is_file():
        raise UsageError(f"{run} has no {VERDICTS}; name a run of `judge compare` or `judge import`.")
    rows = _quickly(file)
    if rows is None:
        rows = _slowly(file)  # which names the line that is damaged
    if changed := damage(run):
        raise InputError(f"{run}: {changed[0]}; run the command that made it again.")
    return rows


def _slowly(file: Path) -> list[Row]:
    known = {field.name for field in fields(Verdict)}
    rows: list[Row] = []
    for number, row in _rows(file):
        fault = "its fields are not those of a verdict" if row.keys() != known else _fault_of_verdict(row)
        if fault:
            raise _damaged(file, number, fault)
        rows.append(row)
    return rows


def _quickly(file: Path) -> list[Row] | None:
    """All rows, each looked at while it is in the processor's cache; None where something is wrong with one."""
    get = itemgetter(*_TEXTS, "raw", "sample", "score_first", "score_second")
    rows: list[Row] = []
    seen: set[tuple[Any, ...]] = set()
    try:
        for line in file.read_bytes().split(b"\n"):
            if line:
                row = orjson.loads(line)
                seen.add((row["state"], row["choice"], len(row), *map(type, get(row))))
                rows.append(row)
    except (OSError, ValueError, KeyError, TypeError):  # TypeError: no object, or a list where a text belongs
        return None
    size, texts = len(fields(Verdict)), (str,) * len(_TEXTS)
    for state, choice, count, *kinds, raw, sample, first, second in seen:
        sound = count == size and tuple(kinds) == texts and raw in (str, type(None)) and sample is int
        if not sound or _fault_of_state(state, choice, first, second):
            return None
    return rows


def _fault_of_verdict(row: Row) -> str:
    """Why these values are no verdict; "" where they are."""
    for name in _TEXTS:
        if type(row[name]) is not str:
            return f"{name} is no text"
    if type(row["sample"]) is not int:
        return "its sample is no number"
    if row["raw"] is not None and type(row["raw"]) is not str:
        return "raw is no text"
    if not isinstance(row["state"], str) or not isinstance(row["choice"], str | None):
        return "its state or choice is no text"
    return _fault_of_state(row["state"], row["choice"], type(row["score_first"]), type(row["score_second"]))


def _fault_of_state(state: str, choice: str | None, first: type, second: type) -> str:
    if state not in _STATES or choice not in _CHOICES:
        return "its state or choice is not one of a verdict"
    if not ({first, second} <= _NUMBERS or {first, second} == {type(None)}):
        return "its scores are no two numbers"
    return "" if choice is not None or state != "ok" else "it is ok and has no choice"


def _record(kind: type[Record], row: Row, file: Path, number: int) -> Record:
    try:
        return kind(**row)
    except TypeError as error:  # a field is missing or unknown
        raise _damaged(file, number, str(error).partition(" ")[2]) from None


def _rows(file: Path) -> Sequence[tuple[int, Row]]:
    """Each line with its number; none without the file."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"Cannot read {file}: {error.strerror}.") from error
    found: list[tuple[int, Row]] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line:
            continue
        try:
            row = orjson.loads(line)
            if type(row) is not dict:
                row = parse_object(line)
        except (orjson.JSONDecodeError, JsonLineError):
            raise _damaged(file, number, _why(line)) from None
        found.append((number, row))
    return found


def _why(line: bytes) -> str:
    try:
        parse_object(line)
    except JsonLineError as error:
        return str(error)
    return "it is no object"


def _damaged(file: Path, number: int, why: str) -> InputError:
    return InputError(f"{file}, line {number}: {why}; run the command that made it again.")


def _write(file: Path, records: Iterable[Question] | Iterable[Answer] | Iterable[Verdict]) -> None:
    with atomic_write(file) as out:
        for record in records:
            out.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
