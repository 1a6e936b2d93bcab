"""What models answered and how that was judged, in runs of `judge` and of `train eval mcq`.

In: runs with answers.jsonl and verdicts.jsonl. Out: tables of answers, and the names that systems have there. Price:
both files are read line by line.
"""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from corpus.runs_found import Run
from corpus.runs_links import Links
from corpus.trace_items import json_lines

SCHEMA: Final[dict[str, Any]] = {
    "file": pl.String,
    "line": pl.Int64,
    "question_id": pl.String,
    "system": pl.String,
    "state": pl.String,
    "text": pl.String,  # its beginning
    "call_id": pl.String,
}
VERDICTS: Final[dict[str, Any]] = {
    "file": pl.String,
    "line": pl.Int64,
    "question_id": pl.String,
    "first": pl.String,
    "second": pl.String,
    "judge": pl.String,
    "state": pl.String,
    "choice": pl.String,
    "score_first": pl.Float64,
    "score_second": pl.Float64,
    "call_id": pl.String,
}
ANSWERS: Final = "answers.jsonl"
SHOWN: Final = 60


def named_systems(links: Links, run: Run, weights: set[str], answered: Mapping[Run, set[str]]) -> dict[str, str]:
    """Systems and judges of a run that are one of these models: its name there -> that of the checkpoint."""
    found: dict[str, str] = {}
    for link in links.of(run):
        if link.role in {"system", "judge"}:
            same = [one.checkpoint for one in link.origins if one.checkpoint and one.checkpoint.weights in weights]
            if same:
                found[link.label] = same[0].name
        elif link.role == "answers":
            system = link.input.name.removeprefix("answers of ")
            source = next((one for one in link.sources if answered.get(one)), None)
            if source is not None:
                found[system] = source.name
    return found


def answers_of(run: Run, systems: set[str] | None, questions: set[str]) -> pl.DataFrame:
    """The answers of these systems (None: of all), or to these questions."""
    rows = [
        _row(ANSWERS, number, record, SCHEMA)
        for number, record in json_lines(run.path / ANSWERS)
        if systems is None or record.get("system") in systems or str(record.get("question_id")) in questions
    ]
    return pl.DataFrame(rows, schema=SCHEMA, strict=False)


def verdicts_on(run: Run, question: str) -> pl.DataFrame:
    """All verdicts on the answers to one question."""
    rows = [
        _row("verdicts.jsonl", number, record, VERDICTS)
        for number, record in json_lines(run.path / "verdicts.jsonl", [question.encode()])
        if str(record.get("question_id")) == question
    ]
    return pl.DataFrame(rows, schema=VERDICTS, strict=False)


def _row(file: str, number: int, record: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, kind in schema.items():
        value = record.get(name)
        if kind == pl.String:
            row[name] = (
                value[:SHOWN] if name == "text" and isinstance(value, str) else None if value is None else str(value)
            )
        else:
            row[name] = value if isinstance(value, int | float) else None
    return row | {"file": file, "line": number}


def scores_of(run: Run) -> dict[str, Any]:
    """The figures of `train eval mcq`."""
    whole = (run.summary or {}).get("all")
    if not isinstance(whole, dict):
        return {}
    return {key: whole[key] for key in ("n", "correct", "accuracy") if isinstance(whole.get(key), int | float)}
