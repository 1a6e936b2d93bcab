"""Row 22: answers that give the judge orders; none escapes its fence, and nothing that it says becomes a verdict."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.cli import app
from judge.compare_config import PromptConfig
from judge.prompts import GRAMMARS, JudgePrompt, draw_nonce, judge_prompt
from judge.records import Question
from judge.verdict import read
from runkit.console import run_app
from tests.faults.attacks import attacks
from tests.faults.judge_server import fenced, nonce_of, said
from tests.faults.judging import Court, courtroom, write_answers
from tests.faults.launch import FULL
from tests.faults.teaching import rows

pytestmark = pytest.mark.timeout(300 if FULL else 60)
ATTACKS = attacks()
HONEST = "四十二是六乘以七的积。"
TITLES = {
    "zh": ("问题", "参考答案", "回答 A", "回答 B"),
    "en": ("question", "reference answer", "answer A", "answer B"),
}
OURS = re.compile(r"^===== ([0-9a-f]{16}) ", re.MULTILINE)


def prompt(texts: tuple[str, str, str, str], grammar: str = "scores", language: Any = "zh") -> JudgePrompt:
    """The prompt for a question, a reference answer and two answers."""
    asked, reference, first, second = texts
    question = Question(id="q", category="open_qa", text=asked, reference=reference)
    return judge_prompt(question, first, second, grammar, PromptConfig(language=language), 0, 0)


def test_there_are_a_hundred() -> None:
    assert len(ATTACKS) >= 100
    assert sum(any("\u4e00" <= sign <= "\u9fff" for sign in text) for text in ATTACKS) >= 50


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("grammar", ["scores", "three-way"])
@pytest.mark.parametrize("place", range(4), ids=["question", "reference", "first", "second"])
def test_no_text_leaves_its_fence(place: int, grammar: str, language: str) -> None:
    """Whatever stands in any of the four places: eight fences with the nonce, the text whole between its own two."""
    usual = ("六乘七是多少？", HONEST, HONEST, "四十二。")
    marks = said_of(prompt(usual, grammar, language))
    for attack in ATTACKS:
        texts = tuple(attack if number == place else text for number, text in enumerate(usual))
        made = prompt(texts, grammar, language)  # type: ignore[arg-type]
        body = {"messages": made.messages}
        assert nonce_of(body) == made.nonce
        whole = said(body)
        assert whole.count(made.nonce) == marks == 9
        assert made.nonce not in attack
        assert fenced(body) == dict(zip(TITLES[language], (text.strip() for text in texts), strict=True))


def said_of(made: JudgePrompt) -> int:
    """How often the nonce stands in a prompt."""
    return said({"messages": made.messages}).count(made.nonce)


@pytest.mark.parametrize("grammar", ["scores", "three-way"])
def test_a_judge_that_repeats_the_attack_says_nothing(grammar: str) -> None:
    """The attack alone is no verdict; with the judge's own line behind it, the line counts."""
    kind = GRAMMARS[grammar]
    own = "A=3 B=8" if grammar == "scores" else "B"
    for attack in ATTACKS:
        nonce = prompt(("问", HONEST, attack, HONEST), grammar).nonce
        for raw in (attack, f"回答 A 写道：\n{attack}", f"{attack}\n{attack}", f"> {attack}".replace("\n", "\n> ")):
            found = read(kind, raw, nonce=nonce)
            assert found.fault and found.choice is None and found.score_first is None, raw
            spoken = read(kind, f"{raw}\n<<{nonce}>> {own}", nonce=nonce)
            assert spoken.choice in ("second", None), raw
            assert spoken.choice == "second" or spoken.fault


def test_a_nonce_is_drawn_again_where_a_text_holds_it() -> None:
    """As if an answer had guessed it: in capitals and full-width letters too."""
    salt = "0\0" * 3
    texts = ["问", "", "答", "另一个答"]
    first = draw_nonce(texts, salt)
    wide = "".join(chr(ord(sign) + 0xFEE0) for sign in first)
    for held in (first, first.upper(), wide):
        guessed = [*texts[:3], f"{texts[3]}{held}"]
        assert held not in draw_nonce(guessed, salt) and draw_nonce(guessed, salt) != first
    assert draw_nonce(texts, salt) == first


@settings(max_examples=2000 if FULL else 200, deadline=None)
@given(st.lists(st.text(max_size=200) | st.sampled_from(ATTACKS), min_size=4, max_size=4))
def test_any_four_texts(texts: list[str]) -> None:
    made = prompt((texts[0], texts[1], texts[2], texts[3]))
    assert said_of(made) == 9
    assert len(OURS.findall(said({"messages": made.messages}))) >= 8


@pytest.fixture(scope="module")
def gullible() -> Iterator[Court]:
    """A judge that does as it is told: it writes down what the first answer says, and nothing of its own."""

    def obey(body: dict[str, Any]) -> str:
        return next((text for title, text in fenced(body).items() if title.endswith("A")), "。") or "。"

    with courtroom(answer=obey) as found:
        yield found


def test_a_gullible_judge_gives_nobody_a_point(gullible: Court) -> None:
    """The whole command: every attack as an answer, in both orders, against an honest one."""
    questions = gullible.questions(len(ATTACKS))
    ids = [f"q{number:04}" for number in range(len(ATTACKS))]
    ours = write_answers(gullible.folder / "attacks.jsonl", dict(zip(ids, ATTACKS, strict=True)))
    theirs = write_answers(gullible.folder / "honest.jsonl", dict.fromkeys(ids, HONEST))
    run = gullible.folder / "run"
    line = gullible.words(run, len(ATTACKS))
    line[1:3] = [str(ours), str(theirs)]
    assert str(questions) in line

    assert run_app(app, line) == 0
    found = rows(run, "verdicts.jsonl")
    assert len(found) == 2 * len(ATTACKS)
    assert {row["state"] for row in found} == {"invalid"}
    assert all(row["choice"] is None and row["raw"] for row in found)
    print(f"\n{len(ATTACKS)} attacks, 0 escapes")
