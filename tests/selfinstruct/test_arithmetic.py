"""Equations that do not add up are found, and only those, against exact fractions."""

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from selfinstruct.arithmetic import wrong_equations

RIGHT = [
    "共 3 × 18 = 54（元），再加 20 元，54 + 20 = 74（元）。",
    "1,200 + 3,450 = 4,650",
    "１２＋３０＝４２",
    "0.1 + 0.2 = 0.3",
    "10 ÷ 3 = 3.33",
    "10 ÷ 3 ≈ 3.3",
    "22 ÷ 7 ≈ 3.14",
    "17 ÷ 5 = 3……2",
    "17 ÷ 5 = 3 余 2",
    "200 × 15% = 30",
    "80 ÷ 400 = 20%",
    "1/2 + 1/3 = 5/6",
    "(4 + 46) × 15 ÷ 2 = 375",
    "（4＋46）×15÷2＝375",
    "2 + 3 = 1 + 4 = 5",
    "9² + 12² = 225",
    "2^3 + 1 = 9",
    "2万 × 3 = 6万",
    "13 - 3 = 10万元",
    "5米 × 4米 = 20平方米",
    "日期是 2020-10-01，电话写作 010-62345 = 分机",
    "第3-5页 = 共3页",
    "版本 1.2-3 = 旧版",
    "x + 3 = 10，所以 x = 7",
    "f(2) + 3 = 9",
    "sin 30 + 1 = 1.5",
    "5 + y = 8",
    "```\na = 1 + 1 = 3\n```",
    "`1 + 1 = 3` 是错的写法",
    "1小时 + 30分钟 = 90分钟",
    "3米 - 20厘米 = 280厘米",
    "a[1] + 2 = 5",
    "https://e.example/?a=1+1=3",
    "5! = 120",
    "2:3 = 4:6",
    "12 + 5 >= 16",
    "7 - 10 = -3",
    "0.7 × 0.7 = 0.49",
    "一共 2 × 3 = 6 个，6 - 1 = 5 个。",
    "3x + 2 = 8",
]
WRONG = [
    "共 3 × 18 = 56（元）。",
    "1,200 + 3,450 = 4,560",
    "１２＋３０＝４３",
    "0.1 + 0.2 = 0.4",
    "10 ÷ 4 = 2.6",
    "22 ÷ 7 ≈ 4.14",
    "200 × 15% = 35",
    "80 ÷ 400 = 25%",
    "1/2 + 1/3 = 2/5",
    "(4 + 46) × 15 ÷ 2 = 350",
    "（4＋46）×15÷2＝350",
    "2 + 3 = 1 + 4 = 6",
    "9² + 12² = 215",
    "2万 × 3 = 5万",
    "5米 × 4米 = 25平方米",
    "7 − 10 = −4",
    "所以总价是25元+3元=29元。",
    "3 × 4 = 12，12 + 5 = 18。",
]


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_right_or_no_equation(text: str) -> None:
    assert wrong_equations(text) == []


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong(text: str) -> None:
    assert len(wrong_equations(text)) == 1


SIGNS = {"+": ["+", "＋"], "-": ["-", "−"], "*": ["×", "*", "x", "·"], "/": ["÷", "/"]}


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, Fraction, str]:
    """A sum as people write it, its value, and what stands behind its equals sign."""
    numbers = st.one_of(
        st.integers(1, 9999).map(str),
        st.integers(1000, 10**6).map(lambda n: f"{n:,}"),
        st.decimals("0.01", "500", places=2).map(str),
        st.integers(1, 99).map(lambda n: f"{n}%"),
    )
    unit = draw(st.sampled_from(["", "元", "千克", " 米"]))
    told, exact = "", ""
    opened = False
    count = draw(st.integers(2, 4))
    for place in range(count):
        number = draw(numbers)
        value = number.replace(",", "")
        value = f"(Fraction({value[:-1]!r})/100)" if value.endswith("%") else f"Fraction({value!r})"
        if place:
            sign = draw(st.sampled_from("+-*/"))
            told += draw(st.sampled_from([" {} ", "{}"])).format(draw(st.sampled_from(SIGNS[sign])))
            exact += sign
        if not opened and place < count - 1 and draw(st.integers(0, 4)) == 0:
            told, exact, opened = told + "(", exact + "(", True
            told, exact = told + number, exact + value
            continue
        told, exact = told + number, exact + value
        if opened and place == count - 1:
            told, exact = told + ")", exact + ")"
    try:
        result = eval(exact, {"Fraction": Fraction})
    except ZeroDivisionError:
        assume(False)
    assume(0 < abs(result) < 10**12)
    return told, result, unit


def shown(value: Fraction, decimals: int) -> str:
    scaled = value * 10**decimals
    rounded = int(scaled + Fraction(1, 2)) if scaled >= 0 else -int(-scaled + Fraction(1, 2))
    text = f"{abs(rounded) / 10**decimals:.{decimals}f}" if decimals else str(abs(rounded))
    return ("-" if rounded < 0 else "") + text


@given(one=equations(), decimals=st.integers(2, 4))
@settings(max_examples=150, deadline=None)
def test_a_computed_equation_is_right_and_a_changed_one_wrong(one: tuple[str, Fraction, str], decimals: int) -> None:
    told, value, unit = one
    whole = value.denominator == 1
    answer = shown(value, 0 if whole else decimals)
    assume(abs(value) < 10**9)
    assert wrong_equations(f"算式是 {told} = {answer}{unit}。") == [], (told, answer)
    off = shown(value + max(1, abs(value) // 10), 0 if whole else decimals)
    assert wrong_equations(f"算式是 {told} = {off}{unit}。"), (told, off)


@given(text=st.text("0123456789+-×÷=≈()（）.,，/%万²xX 元", max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read(text: str) -> None:
    assert all("=" in one or "≈" in one for one in wrong_equations(text))
