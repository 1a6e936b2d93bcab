"""Two scores in a recorded text that is a JSON object.

In: a judge's text. Out: both scores with what they are of, or None where it is no such object, so that it is read as
words. Known are a list of two under a name like "scores", and a number, or an object with a number, under a name for
each answer: "assistant_1", "score_a", "回答2". Price: 2 µs.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

Scores = tuple[float, float]

_FENCE: Final = re.compile(r"\s*```[a-z]*\s*\n(.*?)```\s*", re.DOTALL | re.IGNORECASE)
_LIST: Final = re.compile(r"(?:(?:final|overall)[_ ]?)?(?:scores?|ratings?|output|评分|得分|分数)", re.IGNORECASE)
_SIDES: Final = {"1": 0, "a": 0, "一": 0, "2": 1, "b": 1, "二": 1}
_NAMED: Final = re.compile(
    r"(?:(?:ai[_ ]?)?(?:assistant|answer|response|model|score|rating)|助手|助理|回答|答案|模型|评分|得分)?[_ #-]*"
    r"([12ab一二])(?:[_ ]?(?:scores?|ratings?|评分|得分|分数))?",
    re.IGNORECASE,
)


def scores_of_json(text: str) -> Scores | None:
    """None also where the object gives two pairs that differ."""
    fenced = _FENCE.fullmatch(text)
    inner = (fenced[1] if fenced else text).strip()
    if not inner.startswith("{"):
        return None
    try:
        found = orjson.loads(inner)
    except orjson.JSONDecodeError:
        return None
    pairs = set(_pairs(found)) if isinstance(found, dict) else set()
    return pairs.pop() if len(pairs) == 1 else None


def _pairs(found: Mapping[str, Any]) -> list[Scores]:
    pairs: list[Scores] = []
    sides: dict[int, set[float]] = {0: set(), 1: set()}
    for name, value in found.items():
        if _LIST.fullmatch(name):
            if isinstance(value, list) and len(value) == 2:
                one, other = map(_number, value)
                pairs += [(one, other)] if one is not None and other is not None else []
            elif isinstance(value, dict):
                pairs += _pairs(value)
        elif named := _NAMED.fullmatch(name):
            score = _number(value)
            if score is not None:
                sides[_SIDES[named[1].lower()]].add(score)
    if len(sides[0]) == len(sides[1]) == 1:
        pairs.append((sides[0].pop(), sides[1].pop()))
    return pairs


def _number(value: Any) -> float | None:
    """A number, one in a string, or the one under "score" of an object."""
    if isinstance(value, dict):
        inner = [_number(one) for name, one in value.items() if _LIST.fullmatch(name) and not isinstance(one, dict)]
        return inner[0] if len(inner) == 1 else None
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d+(?:\.\d+)?\s*(?:/\s*10|分)?\s*", value):
        return float(value.strip().split("/")[0].rstrip("分 "))
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
