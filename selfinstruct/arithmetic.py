"""Equations of plain numbers in a text that do not add up.

In: a text. Out: the equations that are wrong, as they stand. Read are sums of at least one operation on both sides of
=, ＝ or ≈, with brackets, percent, squares, 万 and 亿, and units behind numbers. A decimal may be rounded to the digits
that are shown. Left alone is everything that is not surely such an equation: variables, code, dates, remainders, units
that are added to other units. Price: 2 µs for a text without an equals sign, 20 µs an equation.
"""

import re
import unicodedata
from fractions import Fraction
from typing import Final

_SIGN: Final = re.compile("[=≈]")
_CODE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\$\$.*?\$\$|\\\(.*?\\\)|\\\[.*?\\\]", re.DOTALL)
_NUMBER: Final = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_UNIT: Final = re.compile(
    r"(?:[\u4e00-\u9fff]{1,4}|km|cm|mm|dm|kg|mg|mL|ml|min|[mgLhs]|[°℃¥$€])(?:/(?:[\u4e00-\u9fff]{1,3}|[hs]))?(?![A-Za-z])"
)
_BRACKETED_UNIT: Final = re.compile(r"\s*\([\u4e00-\u9fffA-Za-z/²³%℃°]{1,8}\)")
_POWER: Final = re.compile(r"\^\(?(\d)\)?|([²³])")
_SCALES: Final = {"万": 10**4, "亿": 10**8}
_OPERATORS: Final = {
    "+": "+",
    "-": "-",
    "−": "-",
    "–": "-",
    "×": "*",
    "*": "*",
    "x": "*",
    "X": "*",
    "·": "*",
    "÷": "/",
    "/": "/",
}
# What may stand in front of an equation without being a part of it.
_BEFORE: Final = re.compile(r"(?:^|[\s=≈，。；：、！？,;:（(「“\"'>）)\]】]|[\u4e00-\u9fff])$")
_HIGHEST: Final = 10**15
_REACH: Final = 120


class _NoExpression(Exception):
    """What stands here is not surely arithmetic."""


class _Reader:
    """A recursive descent over one side; `units` are those of what is added."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.operations = 0
        self.decimals = 0  # of the last number
        self.percent = False
        self.unlike = False
        self.scale = 1

    def sum(self) -> Fraction:
        self._space()
        minus = _OPERATORS.get(self._peek()) == "-"
        self.at += minus
        value, unit = self.product()
        value = -value if minus else value
        while (sign := self._operator("+-")) is not None:
            other, other_unit = self.product()
            self.unlike |= bool(unit and other_unit and unit != other_unit)
            unit = unit or other_unit
            value = value + other if sign == "+" else value - other
            self.operations += 1
        return value

    def product(self) -> tuple[Fraction, str]:
        value, unit = self.factor()
        while (sign := self._operator("*/")) is not None:
            other, _ = self.factor()
            if sign == "/" and other == 0:
                raise _NoExpression
            value = value * other if sign == "*" else value / other
            if abs(value) > _HIGHEST:
                raise _NoExpression
            unit = ""
            self.operations += 1
        return value, unit

    def factor(self) -> tuple[Fraction, str]:
        self._space()
        unit = ""
        if self._take("("):
            value = self.sum()
            self._space()
            if not self._take(")"):
                raise _NoExpression
        else:
            match = _NUMBER.match(self.text, self.at)
            if match is None:
                raise _NoExpression
            self.at = match.end()
            digits = match.group().replace(",", "")
            value = Fraction(digits)
            self.decimals = len(digits.partition(".")[2])
            self.percent, self.scale = False, 1
        if power := _POWER.match(self.text, self.at):
            self.at = power.end()
            value **= int(power.group(1) or {"²": 2, "³": 3}[power.group(2)])
        while self._peek() in _SCALES:
            self.scale *= _SCALES[self._peek()]
            value *= _SCALES[self._peek()]
            self.at += 1
        if self._peek() == "%":
            self.at += 1
            value, self.percent = value / 100, True
        found = _UNIT.match(self.text, self.at + (self._peek() == " "))
        if found and not value_word(found.group()):
            unit = found.group()
            self.at = found.end()
        return value, unit

    def _operator(self, wanted: str) -> str | None:
        self._space()
        sign = _OPERATORS.get(self._peek())
        if sign is None or sign not in wanted:
            return None
        self.at += 1
        return sign

    def _space(self) -> None:
        while self._peek() == " ":
            self.at += 1

    def _peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def _take(self, sign: str) -> bool:
        if self._peek() == sign:
            self.at += 1
            return True
        return False


def value_word(text: str) -> bool:
    """Words behind a number that change its value or end the sum."""
    return text[0] in "余约多倍成分次的和与至到或" and text not in ("分", "分钟", "次", "倍")


def wrong_equations(text: str) -> list[str]:
    """Each equation whose sides differ by more than rounding."""
    if not _SIGN.search(text) and "＝" not in text:
        return []
    plain = _CODE.sub(lambda match: "\n" * (1 + match.group().count("\n")), unicodedata.normalize("NFKC", _kept(text)))
    found = []
    for line in plain.split("\n"):
        places = [match.start() for match in _SIGN.finditer(line)]
        for place in places:
            if line[place - 1 : place] in "<>!=:≠≤≥" or line[place + 1 : place + 2] == "=":
                continue
            wrong = _wrong(line, place)
            if wrong is not None:
                found.append(wrong)
    return found


def _kept(text: str) -> str:
    """Squares would become digits by NFKC, and the comma of a sentence one within a number."""
    return text.replace("²", "^2").replace("³", "^3").replace("，", "、")


def _wrong(line: str, place: int) -> str | None:
    left = _left(line, place)
    if left is None:
        return None
    expression, start = left
    right = _Reader(line[place + 1 : place + 1 + _REACH].replace("（", "(").replace("）", ")"))
    try:
        value = right.sum()
    except (_NoExpression, ValueError):
        return None
    behind = right.text[right.at :].lstrip()[:2]
    if behind.startswith("(") and _BRACKETED_UNIT.match(right.text, right.at):
        behind = ""
    if right.unlike or behind[:1] in {*_OPERATORS, "^", "!", "√", "("} or behind.startswith(("余", "..", "…", "·")):
        return None
    if behind[:1].isascii() and behind[:1].isalpha():
        return None
    tolerance = (
        Fraction(right.scale, 2 * 10**right.decimals * (100 if right.percent else 1))
        if right.operations == 0
        else Fraction(0)
    )
    whole = right.decimals == 0 and not right.percent and right.scale == 1
    if line[place] == "≈":
        tolerance = max(tolerance, abs(expression) / 50)
    elif whole and right.operations == 0:
        tolerance = Fraction(0)  # a whole number that is said to be equal is
    if abs(expression - value) <= tolerance:
        return None
    # "13 - 3 = 10万元": the first side leaves 万 out.
    if right.operations == 0 and right.scale > 1 and expression == value / right.scale:
        return None
    return line[start : place + 1 + right.at].strip()


def _left(line: str, place: int) -> tuple[Fraction, int] | None:
    """The value of the longest sum that ends at `place`, with an operation in it, and where it begins."""
    begin = max(0, place - _REACH)
    earlier = max((match.end() for match in _SIGN.finditer(line, begin, place)), default=begin)
    best: tuple[Fraction, int] | None = None
    for start in range(place - 1, earlier - 1, -1):
        if not (line[start].isdigit() or line[start] in "(（"):
            continue
        before = line[:start].rstrip(" ")[-1:]
        if start > 0 and (line[start - 1].isdigit() or line[start - 1] in ".,"):
            continue
        reader = _Reader(line[start:place].replace("（", "(").replace("）", ")").rstrip())
        try:
            value = reader.sum()
        except (_NoExpression, ValueError):
            continue
        if reader.text[reader.at :].strip() or reader.unlike:
            continue
        if before and not _BEFORE.search(before):
            best = None if before in _OPERATORS or before in "^√!" or (before.isascii() and before.isalpha()) else best
            if before in _OPERATORS or before in "^√!" or (before.isascii() and before.isalpha()):
                continue
        if reader.operations:
            best = (value, start)
    if best is None:
        return None
    before = line[: best[1]].rstrip(" ")[-1:]
    return None if before in {*_OPERATORS, "^", "√", "!", "."} or (before.isascii() and before.isalpha()) else best
