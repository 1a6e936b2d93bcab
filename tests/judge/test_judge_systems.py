"""What the names on the command line mean, and the answers that lie in files."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.answers import read_answers, without_thoughts
from judge.questions import read_questions
from judge.records import Question
from judge.served import as_template, fingerprint
from judge.systems import find_judges, find_system, find_systems
from runkit.errors import InputError, UsageError, UserError
from runkit.plain_prompts import PLAIN_PROMPTS
from tests.faults.lines import BAD_LINES
from tests.train.making import small_model
from train.chat_template import ChatTemplate
from train.tokenizer import load

QUESTIONS = [Question(id=str(number), category="other", text=f"第{number}题") for number in range(4)]


def written(file: Path, *records: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), "utf-8")
    return file


def answers(file: Path, system: str | None = None, **fields: Any) -> Path:
    named = {} if system is None else {"system": system}
    return written(file, *({"id": number, "answer": f"答{number}", **named, **fields} for number in range(4)))


def test_a_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    answers(tmp_path / "qwen")
    assert find_system("qwen").answers == Path("qwen")
    system = find_system("other")
    assert system.model is not None and system.model.url == "http://127.0.0.1:9/v1"
    written(tmp_path / "models.yaml", {"other": {"url": "http://127.0.0.1:8/v1", "model": "m"}})
    system = find_system("other")
    assert system.model is not None and (system.model.url, system.name) == ("http://127.0.0.1:8/v1", "other")
    placed = find_system("other@http://127.0.0.1:7/v1")
    assert placed.model is not None and placed.model.url == "http://127.0.0.1:7/v1"


def test_names(tmp_path: Path) -> None:
    plain, named = answers(tmp_path / "a.v2.jsonl"), answers(tmp_path / "b.jsonl", "my model")
    assert find_system(str(plain)).name == "a.v2"
    assert find_system(str(named)).name == "my model"
    assert find_system(f"新名字={named}").name == "新名字"
    run = answers(tmp_path / "run" / "answers.jsonl", "asked")
    assert (find_system(str(run.parent)).answers, find_system(str(run.parent)).name) == (run, "asked")


def test_equal_names_are_refused(tmp_path: Path) -> None:
    one, two = answers(tmp_path / "x" / "a.jsonl"), answers(tmp_path / "y" / "a.jsonl")
    with pytest.raises(UsageError, match=r"Two systems are called a; give one of them another name, as other=.*y/a"):
        find_systems([str(one), str(two)], None, None)
    assert [one.name for one in find_systems([str(one), f"b={two}"], None, None)] == ["a", "b"]
    with pytest.raises(UsageError, match="Two judges are called overlap"):
        find_judges(["overlap", "overlap"], None, None)


def test_the_same_model_twice_is_asked_twice() -> None:
    url = "m@http://127.0.0.1:9/v1"
    one, two, three = find_systems([f"a={url}", f"b={url}", f"c={url}2"], None, None)
    assert (one.repetition, two.repetition, three.repetition) == (0, 1, 0)


def test_what_is_neither(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="a folder without answers and without a model, and paths come first"):
        find_system(str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="named by nothing"):
        find_system(" ")
    with pytest.raises(UsageError, match="is a file of answers; name a model, or overlap"):
        find_judges([str(answers(tmp_path / "a.jsonl"))], None, None)
    with pytest.raises(UsageError, match="1 to 200 letters"):
        find_system(f"\x1b\x07={answers(tmp_path / 'a.jsonl')}")


def test_one_file_of_several(tmp_path: Path) -> None:
    rows = [{"question_id": 0, "text": name, "system": name} for name in ("one", "two")]
    file = written(tmp_path / "both.jsonl", *rows)
    with pytest.raises(InputError, match=r"answers of 2 systems \(one, two\); choose one as NAME="):
        find_system(str(file))
    system = find_system(f"two={file}")
    assert read_answers(file, system.name, QUESTIONS[:1]).answers[0].text == "two"
    with pytest.raises(InputError, match="holds no answer of three"):
        read_answers(file, "three", QUESTIONS)


def test_columns_and_states(tmp_path: Path) -> None:
    file = written(
        tmp_path / "a.jsonl",
        {"question_id": 0, "id": "other", "output": " 答 "},
        {"id": "1", "text": " \n"},
        {"id": "2", "text": "半句", "state": "cut"},
        {"id": "9", "text": "给别的题"},
        {"id": "3"},
        {"id": "3", "answer": 5},
        {"answer": "没有编号"},
    )
    found = read_answers(file, "a", QUESTIONS)
    assert [(one.state, one.text) for one in found.answers] == [
        ("ok", " 答 "),
        ("empty", None),
        ("cut", "半句"),
        ("error", None),
    ]
    assert found.answers[3].detail == "a.jsonl has no answer to it"
    assert found.strangers == 1
    assert [fault.reason for fault in found.faults] == ["field.missing", "field.not_text", "field.id"]


def test_answers_that_cannot_be_used(tmp_path: Path) -> None:
    twice = written(tmp_path / "twice.jsonl", {"id": 0, "text": "一"}, {"id": 0, "text": "二"})
    with pytest.raises(InputError, match=r"line 2: the question 0 is answered at twice.jsonl, line 1 too"):
        read_answers(twice, "a", QUESTIONS)
    with pytest.raises(InputError, match="has 1 answers and none to these questions"):
        read_answers(written(tmp_path / "other.jsonl", {"id": "x", "text": "一"}), "a", QUESTIONS)
    with pytest.raises(InputError, match=r"line 1: field.id"):
        read_answers(written(tmp_path / "bad.jsonl", {"text": "一"}), "a", QUESTIONS)


PIECES = st.binary(max_size=60) | st.sampled_from([b'{"id": 0, "text": "x"}', b'{"text": "x"}', b"[", *BAD_LINES])


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=5))
def test_no_file_crashes_a_reader(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.jsonl"
    file.write_bytes(b"\n".join(lines))
    with suppress(UserError):
        assert read_answers(file, "a", QUESTIONS).answers
    with suppress(UserError):
        assert read_questions([str(file)]).questions


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("答", "答"),
        ("<think>想</think>\n答", "\n答"),
        (" <think>想\n</think>答<think>", "答<think>"),
        ("<think>想", None),
        ("<think>想</think> ", None),
        ("说 <think> 这个词", "说 <think> 这个词"),
    ],
)
def test_thoughts_are_taken_off(text: str, left: str | None) -> None:
    assert without_thoughts(text) == left


def test_a_fingerprint_is_of_the_weights(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(tmp_path / name / "config.json", {})
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")
    (tmp_path / "two" / "model.safetensors").write_bytes(b"Weights")
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")
    one, two = find_systems([str(tmp_path / "one"), str(tmp_path / "two")], None, None)
    assert one.model is not None and two.model is not None and one.model.model != two.model.model
    assert one.checkpoint == tmp_path / "one"


@pytest.mark.parametrize("name", list(PLAIN_PROMPTS))
def test_a_plain_prompt_as_a_template_is_the_same_text(tmp_path: Path, name: str) -> None:
    """What a base model reads through the chat's path is what /v1/completions would give it."""
    tokenizer = load(small_model(tmp_path / "tokenizer").parent)
    template = ChatTemplate(as_template(PLAIN_PROMPTS[name]), tokenizer, name)
    asked = "第一行 {question}\n{{ bos_token }}第二行"
    bos = tokenizer.special.bos
    assert bos is not None
    plain = [bos, *tokenizer.encode(PLAIN_PROMPTS[name].fill(asked)).tolist()]
    assert template.question([("user", asked)]).tolist() == plain
