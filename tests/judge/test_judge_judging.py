"""Prompts, what is judged and what is not, and the judge without a model."""

from collections.abc import Sequence
from typing import Any

import pytest
from rapidfuzz.distance import LCSseq

from judge.compare_config import CompareConfig, PromptConfig
from judge.judging import Requests, identical_verdict, matches, pairs_of, verdict_of
from judge.overlap import NO_REFERENCE, overlap_verdict, overlap_with
from judge.prompts import judge_prompt, language_of
from judge.records import Answer, Question, Verdict
from judge.rubrics import RUBRICS, rubric_key
from runkit.chat import Failure, Reply, Request
from runkit.text import units

QUESTION = Question(id="q", category="math", text="一加一等于几？", reference="等于二。")
CONFIG = CompareConfig()


def prompt(question: Question = QUESTION, **fields: Any) -> str:
    config = PromptConfig(**fields.pop("config", {}))
    given = {"first": "二", "second": "三", "grammar": "scores", "seed": 0, "sample": 0, **fields}
    made = judge_prompt(
        question, given["first"], given["second"], given["grammar"], config, given["seed"], given["sample"]
    )
    return "\n".join(message["content"] for message in made.messages)


def answer(system: str, text: str | None, id: str = "q") -> Answer:
    return Answer(question_id=id, system=system, text=text, state="ok" if text is not None else "empty")


def test_a_prompt_holds_rules_rubric_and_material() -> None:
    whole = prompt()
    for part in (QUESTION.text, QUESTION.reference, RUBRICS["math"].text["zh"], "参考答案 开始", "A=? B=?"):
        assert part is not None and part in whole
    assert "参考答案 开始" not in prompt(Question(id="q", category="math", text="一加一等于几？"))
    assert prompt(grammar="three-way").endswith(">> ?")
    english = prompt(Question(id="q", category="code", text="Write a function that adds two numbers."))
    assert "You are a fair and strict judge" in english and RUBRICS["code"].text["en"] in english


def test_systems_have_no_names_in_it() -> None:
    assert "gpt" not in prompt().lower()
    assert prompt(first="二", second="三") != prompt(first="三", second="二")


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("春天适合种什么？", "auto", "zh"),
        ("What is spring?", "auto", "en"),
        ("Translate into Chinese the word 春天, please, and give an example sentence", "auto", "en"),
        ("What is spring?", "zh", "zh"),
        ("春天适合种什么？", "en", "en"),
        ("", "auto", "en"),
    ],
)
def test_the_language_of_a_prompt(text: str, language: Any, expected: str) -> None:
    assert language_of(text, PromptConfig(language=language)) == expected


def test_the_rules_may_stand_in_the_users_message() -> None:
    made = judge_prompt(QUESTION, "二", "三", "scores", PromptConfig(system=False), 0, 0)
    assert [message["role"] for message in made.messages] == ["user"]


def test_a_nonce_is_the_same_again_and_otherwise_another_one() -> None:
    def nonce(**fields: Any) -> str:
        given = {"first": "二", "second": "三", "grammar": "scores", "seed": 0, "sample": 0, **fields}
        made = judge_prompt(
            QUESTION, given["first"], given["second"], given["grammar"], PromptConfig(), given["seed"], given["sample"]
        )
        return made.nonce

    changes: list[dict[str, Any]] = [
        *({"first": "四"}, {"second": "四"}, {"first": "三", "second": "二"}),
        *({"seed": 1}, {"sample": 1}, {"grammar": "three-way"}),
    ]
    assert nonce() == nonce()
    assert len({nonce(), *(nonce(**change) for change in changes)}) == 1 + len(changes)


def test_a_long_answer_is_cut_and_said_to_be() -> None:
    whole = prompt(first="长" * 300, config={"answer_characters": 100})
    assert "长" * 100 in whole and "长" * 101 not in whole and "这份回答太长" in whole


@pytest.mark.parametrize(
    ("category", "key"),
    [
        ("open qa", "open_qa"),
        ("open_qa", "open_qa"),
        ("closed-qa", "closed_qa"),
        ("数学", "math"),
        ("coding", "code"),
        ("summary", "summarization"),
        ("poetry", "other"),
        ("other", "other"),
    ],
)
def test_every_class_has_a_rubric(category: str, key: str) -> None:
    assert rubric_key(category) == key


def test_rubrics_are_in_both_languages() -> None:
    assert len(RUBRICS) >= 12
    assert all(set(rubric.text) == set(rubric.title) == {"zh", "en"} for rubric in RUBRICS.values())
    assert len({rubric.text["zh"] for rubric in RUBRICS.values()}) == len(RUBRICS)


def test_what_is_judged() -> None:
    questions = [Question(id=str(number), category="c", text="问") for number in range(3)]
    answers = {
        "a": [answer("a", "甲", "0"), answer("a", " 同\n", "1"), answer("a", None, "2")],
        "b": [answer("b", "乙", "0"), answer("b", "同", "1"), answer("b", "有", "2")],
    }
    found = matches(questions, answers, [("a", "b")], 2)
    assert [(task.first.system, task.sample) for task in found.tasks] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert [task.question.id for task in found.identical] == ["1"]
    assert found.unanswered == 1
    tie = identical_verdict(found.identical[0], "j", CONFIG)
    assert (tie.state, tie.choice, tie.raw, tie.nonce, tie.first, tie.second) == (
        *("identical", "tie", None, None, "a", "b"),
    )


def test_pairs() -> None:
    names = ["a", "b", "c"]
    assert pairs_of(names, "b", CONFIG) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert pairs_of(names, "b", CompareConfig(pairs="reference")) == [("a", "b"), ("b", "c")]


def test_what_comes_of_a_reply() -> None:
    task = matches([QUESTION], {"a": [answer("a", "二")], "b": [answer("b", "三")]}, [("a", "b")], 1).tasks[0]
    nonce = task.prompt(CONFIG).nonce

    def reply(text: str, reason: str = "stop") -> Verdict:
        return verdict_of(task, "j", Reply(text, reason, None, 0.0, "key", b""), CONFIG)

    good = reply(f"理由。\n<<{nonce}>> A=9 B=2.5")
    assert (good.state, good.score_first, good.score_second, good.choice) == ("ok", 9.0, 2.5, "first")
    assert (good.first, good.second, good.nonce, good.call_id) == ("a", "b", nonce, "key")
    assert good.explanation.startswith("理由")
    cut = reply(f"<<{nonce}>> A=9 B=1", "length")
    assert (cut.state, cut.choice, cut.fault, cut.raw) == ("invalid", None, "score.cut", f"<<{nonce}>> A=9 B=1")
    for kind, state, fault in (
        ("empty", "invalid", "reply.empty"),
        ("refusal", "invalid", "reply.refused"),
        ("content_filter", "invalid", "reply.filtered"),
        ("timeout", "error", "timeout"),
        ("http", "error", "http"),
    ):
        failure: Any = Failure(kind, "words", "key")  # type: ignore[arg-type]
        found = verdict_of(task, "j", failure, CONFIG)
        assert (found.state, found.fault, found.choice, found.raw) == (state, fault, None, None)


def test_requests_are_a_sequence() -> None:
    made: Sequence[Request] = Requests(lambda number: Request(messages=[], max_tokens=number), 3)
    assert len(made) == 3 and made[-1].max_tokens == 2
    assert [one.max_tokens for one in made] == [one.max_tokens for one in made[:]] == [0, 1, 2]
    with pytest.raises(IndexError):
        made[3]


def blank(grammar: str = "scores") -> Verdict:
    fields: dict[str, Any] = {"question_id": "q", "category": "math", "first": "a", "second": "b", "judge": "overlap"}
    return Verdict(**fields, grammar=grammar, nonce="0123456789abcdef", raw=None, state="error")


def test_overlap_is_rouge_l_and_characters() -> None:
    reference, other = "今天天气很好，我们去公园", "天气好，我们今天不去公园 GO"
    tokens, others = units(reference), units(other.casefold())
    lcs = LCSseq.similarity(tokens, others)
    found = overlap_with(reference, other)
    assert found.rouge_l == pytest.approx(2 * lcs / (len(tokens) + len(others)))
    same = overlap_with(reference, reference)
    assert (same.rouge_l, same.characters) == (1.0, 1.0)
    nothing = overlap_with(reference, "")
    assert (nothing.rouge_l, nothing.characters) == (0.0, 0.0)


def test_overlap_scores_each_answer_by_itself() -> None:
    one, other = answer("a", "等于二。"), answer("b", "不知道")
    there = overlap_verdict(blank(), QUESTION, one, other)
    back = overlap_verdict(blank(), QUESTION, other, one)
    assert (there.score_first, there.score_second) == (back.score_second, back.score_first) == (10.0, 1.0)
    assert (there.choice, back.choice) == ("first", "second")
    assert there.raw is not None and "no model has read" in there.raw
    assert overlap_verdict(blank("three-way-nonce"), QUESTION, one, other).choice == "first"
    assert overlap_verdict(blank("three-way-nonce"), QUESTION, one, answer("b", " 等于二。")).choice == "tie"


def test_overlap_cannot_judge_without_a_reference() -> None:
    alone = Question(id="q", category="math", text="一加一等于几？")
    found = overlap_verdict(blank(), alone, answer("a", "二"), answer("b", "三"))
    assert (found.state, found.fault, found.choice, found.raw) == ("invalid", NO_REFERENCE, None, None)
