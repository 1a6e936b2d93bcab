"""The teacher without a model: what it makes is right by another way of computing it, and always the same."""

import ast
import contextlib
import io
import re
import statistics
from collections.abc import Callable, Sequence
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


def named(rules: Sequence[Callable[[Random], Any]], name: str) -> Callable[[Random], Any]:
    return next(rule for rule in rules if rule.__name__ == name)


def numbers(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"-?\d+", text)]


@pytest.mark.parametrize("rule", dict.fromkeys(MATH), ids=lambda rule: str(rule.__name__))
def test_sums_add_up(rule: Callable[[Random], Any]) -> None:
    found = 0
    for seed in range(40):
        _, answer = rule(Random(seed))
        for left, sign, right in re.findall(r"([\d/ +×÷−()]+?) ([=≈]) ([\d./]+(?: × \d+)?)", answer):
            plain, told = (side.translate(str.maketrans("×÷−", "*/-")).strip(" .") for side in (left, right))
            got, expected = _value(plain), _value(told)
            assert got == expected if sign == "=" else abs(got - expected) <= Fraction("0.005"), answer
            found += 1
    assert found or rule.__name__ in ("_divisors", "_sorted_numbers")


def test_numbers_by_other_means() -> None:
    for seed in range(40):
        task, answer = named(MATH, "_divisors")(Random(seed))
        listed = numbers(answer.split("：")[1].split("\n")[0])
        assert listed == [n for n in range(1, numbers(task)[0] + 1) if numbers(task)[0] % n == 0]
        task, answer = named(MATH, "_sorted_numbers")(Random(seed))
        median, spread = re.search(r"中位数：([-\d.]+)。\n极差：(\d+)。", answer).groups()  # type: ignore[union-attr]
        assert statistics.median(numbers(task)) == float(median)
        assert max(numbers(task)) - min(numbers(task)) == int(spread)
        task, answer = named(MATH, "_common_divisor")(Random(seed))
        assert max(n for n in range(1, 1300) if not any(one % n for one in numbers(task))) == numbers(answer)[-1]
        task, answer = named(MATH, "_shopping")(Random(seed))
        count, price, others, other_price, paid = numbers(task)
        assert paid > count * price + others * other_price and numbers(answer)[-1] > 0


def test_calendar_by_zellers_rule() -> None:
    """Days of the week by a formula that Python's calendar does not use."""
    for seed in range(60):
        task, answer = named(OPEN_QA, "_weekday")(Random(seed))
        year, month, day = map(int, re.findall(r"\d+", task))
        y, m = (year - 1, month + 12) if month < 3 else (year, month)
        number = (day + 13 * (m + 1) // 5 + y % 100 + y % 100 // 4 + y // 100 // 4 + 5 * (y // 100)) % 7
        assert answer == f"星期{'六日一二三四五'[number]}。"


def test_years_and_spans_by_counting_days() -> None:
    def day_number(year: int, month: int, day: int) -> int:
        """The Julian day number (Fliegel and Van Flandern, 1968)."""
        a = (month - 14) // 12 if month > 14 else -1 if month < 3 else 0
        return (
            1461 * (year + 4800 + a) // 4
            + 367 * (month - 2 - 12 * a) // 12
            - 3 * ((year + 4900 + a) // 100) // 4
            + day
            - 32075
        )

    for seed in range(40):
        task, answer = named(OPEN_QA, "_leap_years")(Random(seed))
        leap = [year for year in numbers(task) if day_number(year, 3, 1) - day_number(year, 2, 28) == 2]
        assert numbers(answer.split("。")[0]) == leap and leap
        task, answer = named(OPEN_QA, "_earliest")(Random(seed))
        days = [day_number(*map(int, found)) for found in re.findall(r"(\d+)-(\d+)-(\d+)", task)]
        assert numbers(answer)[-1] == max(days) - min(days)


def test_price_lists_run_to_what_they_say() -> None:
    tasks = set()
    for seed in range(40):
        task, answer = named(CODE, "_price_list")(Random(seed))
        program, result = re.fullmatch(r"```python\n(.*)\n```\n运行结果：(.+)", answer, re.S).groups()  # type: ignore[union-attr]
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(program, {})
        assert shown.getvalue().strip() == result
        prices = re.findall(r"([\u4e00-\u9fff]+?) (\d+) 元", task.replace("存：", "存： "))
        assert all(f'"{good.removeprefix("用")}": {price}' in program for good, price in prices)
        tasks.add(result[0] == "[" or result.isdigit())
    assert tasks == {True, False}


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


@pytest.mark.parametrize(("call", "result"), CALLS)
def test_programs_do_what_was_asked(call: str, result: Any) -> None:
    """Every program is called by one of these; a rule that writes none that fits would be without a name."""
    function = re.search(r"[a-z_]{5,}(?=\()", call.removeprefix("list")).group()  # type: ignore[union-attr]
    fixed = [rule(Random(0))[1] for rule in CODE if rule.__name__ == "<lambda>"]
    answer = next(answer for answer in fixed if f"def {function}(" in answer)
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(re.fullmatch(r"```python\n(.*)\n```", answer, re.S).group(1), names)  # type: ignore[union-attr]
    assert eval(call, names) == result and len(CALLS) == len(fixed)
