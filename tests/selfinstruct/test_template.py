"""The teacher without a model: what it makes is right by another way of computing it, and always the same."""

import ast
import contextlib
import io
import re
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from selfinstruct.template import Teacher, text_of
from selfinstruct.template_facts import CODE, MATH, OPEN_QA

TEXT = (
    "村口的老井在去年冬天重新淘过一遍。井水清亮，夏天打上来还带着凉意。村里人早上挑水，傍晚坐在井台边说话。"
    "孩子们喜欢把西瓜吊进井里，等到中午再捞上来分着吃。后来通了自来水，井边渐渐冷清了，只有几位老人还守着老习惯。"
    "前年有人提议把井填掉，改成停车场，村民大会开了两次都没有通过。有人问，没有了井，村子还叫井台村吗？"
    "会计老人翻出民国时期的账本，上面记着修井的工钱和石料。最后大家商定，出钱修好井栏，立一块石碑，写上《井台记》。"
)
SEEDS = [("s1", "写一首关于秋天的诗", "写作"), ("s2", "把句子译成英文", "翻译"), ("s3", "概括这段话", "摘要")]


def teacher(seed: int = 0) -> Teacher:
    return Teacher([text_of("d1", "老井的故事_乡村周刊", TEXT)], SEEDS, seed)


def drafts(kind: str, count: int = 60, seed: int = 0) -> list[Any]:
    one = teacher(seed)
    return [draft for number in range(count) if (draft := one.draft(kind, number)) is not None]


def test_the_same_seed_gives_the_same_drafts() -> None:
    for kind in teacher().kinds():
        assert drafts(kind) == drafts(kind) and drafts(kind), kind
    assert drafts("math", seed=1) != drafts("math", seed=2)


def test_what_it_says_stands_in_the_document() -> None:
    for draft in drafts("extract"):
        assert draft.output in TEXT or all(part in TEXT for part in draft.output.split("、"))
        assert draft.document_ids == ("d1",)
    for draft in drafts("generation"):
        quoted = re.sub("^续写一句：|^“|”后面可以接一句什么话？$", "", draft.instruction)
        assert quoted + draft.output in TEXT
    for draft in drafts("closed_qa"):
        if draft.rule == "closed_qa.cloze":
            answer, sentence = re.fullmatch("应填“(.+?)”：(.+)", draft.output).groups()  # type: ignore[union-attr]
            assert sentence in TEXT and sentence.replace(answer, "____") in draft.instruction
        else:
            one, other = re.findall("“(.+?)”", draft.instruction)
            first = min((one, other), key=TEXT.index)
            assert draft.output == f"先出现的是“{first}”" and one in draft.input and other in draft.input
    for draft in drafts("rewrite"):
        assert draft.output in TEXT
        if draft.rule == "rewrite.order":
            assert sorted(re.sub(r"（\d）", "", draft.input).split("\n")) == sorted(
                part for part in re.split("(?<=[。？！])", draft.output) if part
            )
    for draft in drafts("summarization"):
        assert draft.output == "老井的故事" and draft.output not in draft.input
    for draft in drafts("classification"):
        mood = {"。": "陈述句", "？": "疑问句", "！": "感叹句"}
        if draft.rule == "classification.mood":
            sentence = re.search("“(.+)”", draft.instruction).group(1)  # type: ignore[union-attr]
            assert draft.output == mood[sentence[-1]] + "。"
        else:
            assert any(
                f"“{text}”" in draft.instruction and draft.output == f"{name}。" and draft.seed_ids == (id,)
                for id, text, name in SEEDS
            )


def _value(expression: str) -> Fraction:
    """Of an expression of whole numbers, by Python's own parser and exact arithmetic."""

    def of(node: ast.expr) -> Fraction:
        if isinstance(node, ast.Constant):
            return Fraction(str(node.value))
        assert isinstance(node, ast.BinOp)
        left, right = of(node.left), of(node.right)
        return {ast.Add: left + right, ast.Sub: left - right, ast.Mult: left * right}.get(
            type(node.op), left / right if right else Fraction(0)
        )

    return of(ast.parse(expression, mode="eval").body)


@pytest.mark.parametrize("number", range(len(MATH)))
def test_sums_add_up(number: int) -> None:
    found = 0
    for seed in range(40):
        _, answer = MATH[number](Random(seed))
        for left, sign, right in re.findall(r"([\d/ +×÷−()]+?) ([=≈]) ([\d./]+)", answer):
            plain = left.translate(str.maketrans("×÷−", "*/-")).strip()
            got, told = _value(plain), _value(right.strip("."))
            assert got == told if sign == "=" else abs(got - told) <= Fraction("0.005"), answer
            found += 1
    assert found or number == 6
    if number == 6:
        task, answer = MATH[6](Random(5))
        whole = int(re.findall(r"\d+", task)[0])
        listed = list(map(int, re.findall(r"\d+", answer.split("：")[1].split("\n")[0])))
        assert listed == [n for n in range(1, whole + 1) if whole % n == 0]


def test_calendar_by_zellers_rule() -> None:
    """Days of the week by a formula that Python's calendar does not use."""
    for seed in range(60):
        task, answer = OPEN_QA[0](Random(seed))
        year, month, day = map(int, re.findall(r"\d+", task))
        y, m = (year - 1, month + 12) if month < 3 else (year, month)
        number = (day + 13 * (m + 1) // 5 + y % 100 + y % 100 // 4 + y // 100 // 4 + 5 * (y // 100)) % 7
        assert answer == f"星期{'六日一二三四五'[number]}。"


CALLS = [
    ("count_han('春眠不觉晓，春')['春']", 2),
    ("(second_largest([3, 1, 3, 2]), second_largest([1]))", (2, None)),
    ("(is_palindrome('A ba'), is_palindrome('ab'))", (True, False)),
    ("list(flatten([1, [2, [3, []]]]))", [1, 2, 3]),
    ("[binary_search([1, 3, 5], n) for n in (1, 5, 4)]", [0, 2, -1]),
    ("clock(3661)", "1:01:01"),
    ("greatest_divisor(84, 36)", 12),
    ("merge([1, 4], [2, 3, 9])", [1, 2, 3, 4, 9]),
]


@pytest.mark.parametrize(("number", "call", "result"), [(n, *pair) for n, pair in enumerate(CALLS)])
def test_programs_do_what_was_asked(number: int, call: str, result: Any) -> None:
    _, answer = CODE[number](Random(0))
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(re.fullmatch(r"```python\n(.*)\n```", answer, re.S).group(1), names)  # type: ignore[union-attr]
    assert eval(call, names) == result and len(CALLS) == len(CODE)
