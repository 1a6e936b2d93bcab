"""Questions in three layouts: what is read, what is counted as a fault, what is refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from judge.questions import joined_category, read_questions
from runkit.errors import InputError, UsageError
from tests.faults.lines import BAD_LINES
from tests.faults.texts import ROOT

OURS = {"id": "a", "text": "为什么天是蓝的？", "category": "Open QA", "reference": "因为散射。"}


def written(file: Path, *records: Any) -> str:
    lines = [one if isinstance(one, bytes) else json.dumps(one, ensure_ascii=False).encode() for one in records]
    file.write_bytes(b"\n".join(lines) + b"\n")
    return str(file)


def test_our_layout(tmp_path: Path) -> None:
    more = {"id": 7, "instruction": "改写", "input": "这句话", "category": None}
    found = read_questions([written(tmp_path / "q.jsonl", OURS, more, {"question": "一加一？", "reference": " "})])
    one, two, three = found.questions
    assert (one.id, one.text, one.category, one.reference) == ("a", "为什么天是蓝的？", "open qa", "因为散射。")
    assert (two.id, two.text, two.category, two.reference) == ("7", "改写\n这句话", "other", None)
    assert three.id and three.reference is None
    assert found.categories == {"open qa": 1, "other": 2} and not found.faults


def test_belle_and_alpaca(tmp_path: Path) -> None:
    belle = {"id": 0, "class": "math", "question": "二加二？", "std_answer": "四"}
    alpaca = {"instruction": "翻译", "input": "你好", "output": "Hello"}
    found = read_questions([written(tmp_path / "b.jsonl", belle), written(tmp_path / "a.jsonl", alpaca)])
    assert [(one.text, one.category, one.reference) for one in found.questions] == [
        ("二加二？", "math", "四"),
        ("翻译\n你好", "other", "Hello"),
    ]
    assert [entry["name"] for entry in found.inputs] == ["questions 0/b.jsonl", "questions 1/a.jsonl"]


@pytest.mark.parametrize(
    "spelling",
    ["open qa", "Open\u00a0QA", " OPEN  qa ", "ｏｐｅｎ　ＱＡ", "open\u2009qa", "op\u200ben\tqa", "\ufeffopen qa"],
)
def test_classes_are_joined(spelling: str) -> None:
    assert joined_category(spelling) == "open qa"


@pytest.mark.parametrize("pack", ["gz", "zst", "array", "array gz"])
def test_packed_files(tmp_path: Path, pack: str) -> None:
    rows = [OURS, {**OURS, "id": "b"}]
    data = "\n".join(map(json.dumps, rows)).encode() if "array" not in pack else json.dumps(rows).encode()
    packed = gzip.compress(data) if "gz" in pack else zstandard.compress(data) if pack == "zst" else data
    file = tmp_path / f"q.{'json' if 'array' in pack else 'jsonl'}"
    file.write_bytes(packed)
    assert [one.id for one in read_questions([str(file)]).questions] == ["a", "b"]


FAULTS = {
    b'{"id": "x"}': "field.missing",
    b'{"id": "x", "text": 5}': "field.not_text",
    b'{"id": "x", "text": null}': "field.not_text",
    b'{"id": "x", "text": "  "}': "field.empty",
    '{"id": "x", "text": "问", "category": 3}'.encode(): "field.not_text",
    '{"id": "x", "text": "问", "reference": ["答"]}'.encode(): "field.not_text",
    '{"id": [1], "text": "问"}'.encode(): "field.id",
    '{"id": true, "text": "问"}'.encode(): "field.id",
    '{"id": "x", "instruction": "问", "input": 3}'.encode(): "field.not_text",
    b'{"id": "x", "text": "a\\u0000b"}': "json.nul",
    '{"text": "为什么天是蓝的？"}'.encode(): "question.again",
}


def test_bad_lines_are_counted_by_reason(tmp_path: Path) -> None:
    first = {key: value for key, value in OURS.items() if key != "id"}
    json_faults = [line for line, reason in BAD_LINES.items() if reason.startswith("json.")]
    found = read_questions([written(tmp_path / "q.jsonl", first, *FAULTS, *json_faults)])
    assert len(found.questions) == 1
    assert len(found.faults) == len(FAULTS) + len(json_faults) == sum(found.reasons.values())
    assert found.reasons["field.not_text"] == 5 and found.reasons["question.again"] == 1
    assert all(fault.line and fault.name == "q.jsonl" for fault in found.faults)


def test_ids_that_collide_are_refused(tmp_path: Path) -> None:
    one, two = written(tmp_path / "one.jsonl", OURS), written(tmp_path / "two.jsonl", {**OURS, "text": "另一题"})
    with pytest.raises(InputError, match=r"two.jsonl, line 1: the id a stands at one.jsonl, line 1 too; give each"):
        read_questions([one, two])


def test_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_questions([str(tmp_path / "none.jsonl")])
    with pytest.raises(InputError, match=r"no question in it; bad.jsonl, line 1: field.missing"):
        read_questions([written(tmp_path / "bad.jsonl", {"id": 1})])


def test_a_part(tmp_path: Path) -> None:
    file = written(tmp_path / "q.jsonl", *({**OURS, "id": number} for number in range(200)))
    assert [one.id for one in read_questions([file], limit=3).questions] == ["0", "1", "2"]
    some = read_questions([file], sample=0.25).questions
    assert 25 < len(some) < 80 and some == read_questions([file], sample=0.25).questions


def test_the_questions_that_come_with_the_program() -> None:
    found = read_questions([str(ROOT / "examples" / "questions.jsonl")])
    assert len(found.questions) == 60 and not found.faults
    assert len(found.categories) >= 8
    assert sum(one.reference is not None for one in found.questions) == 40
    seeds = read_questions([str(ROOT / "examples" / "seeds.jsonl")]).questions
    assert not {one.text for one in found.questions} & {one.text for one in seeds}
