"""Two scores in a recorded text that is or holds a JSON object.

In: a judge's text. Out: both scores, or CONFLICT, and the text without the object; None where there is no such object,
so that it is read as words. Known are a list of two under a name like "scores"; a number, or an object with a number,
under a name for each answer ("assistant_1", "score_a", "回答2"); and a list of objects that name their answer. Where
criteria stand beside an overall score only that one counts. Price: 1 µs without a brace.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from judge.verdict_text import CONFLICT

Scores = tuple[float, float]
Object = list[tuple[str, Any]]  # as written: a name may come twice

_FENCE: Final = re.compile(r"```[a-z]*\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_OPEN: Final = re.compile(r"\{\s*\"|\[\s*\{\s*\"")
_WORD = r"(?:scores?|ratings?|评分|得分|分数)"
_LIST: Final = re.compile(
    rf"(?:(?:final|overall)[_ ]?)?(?:{_WORD}|output)|overall|total|final|总分|综合评分|最终评分", re.IGNORECASE
)
_NOUN = r"(?:ai[_ ]?)?(?:assistant|answer|response|model|output)|助手|助理|回答|答案|模型"
_NAMED: Final = re.compile(
    rf"(?:(?:final|overall)[_ ]?)?(?:{_WORD}[_ ]?(?:of[_ ]|for[_ ])?)?(?:{_NOUN})?[_ #-]*([1-9a-h一二三])(?:[_ ]?"
    rf"(?:final[_ ]|overall[_ ])?{_WORD})?",
    re.IGNORECASE,
)
_OF: Final = re.compile(rf"(?:{_NOUN})(?:[_ ]?(?:id|name))?|id|name", re.IGNORECASE)
_SIDES: Final = {"1": 0, "a": 0, "一": 0, "2": 1, "b": 1, "二": 1}
_NUMBER: Final = re.compile(r"\s*(-?[0-9]+(?:\.[0-9]+)?)\s*(?:/\s*10\s*|分\s*)?")


def scores_of_json(text: str) -> tuple[Scores | str, str] | None:
    """The scores, or CONFLICT where the object says two things, and what stands around it."""
    taken = object_in(text)
    if taken is None:
        return None
    found, around = taken
    pairs = list(_pairs(found))
    if not pairs:
        return None
    if CONFLICT in pairs or len(set(pairs)) > 1:
        return CONFLICT, around
    return pairs[0], around


def object_in(text: str) -> tuple[Any, str] | None:
    """The only JSON object (or list of objects) in a text, and the text without it."""
    begin = _OPEN.search(text)
    if begin is None:
        return None
    try:
        found, end = _DECODER.raw_decode(text, begin.start())
    except (json.JSONDecodeError, RecursionError):
        return None
    around = text[: begin.start()] + "\n" + text[end:]
    if _OPEN.search(text, end):
        return None
    return found, _FENCE.sub("\n", around) if "```" in around else around


_DECODER: Final = json.JSONDecoder(object_pairs_hook=lambda pairs: pairs)


def _is_object(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, tuple) for one in value)


def _pairs(found: Any) -> Iterator[Scores | str]:
    """Every pair that counts; CONFLICT for one side with two scores, or a third side."""
    if not _is_object(found):
        found = _listed(found) if isinstance(found, list) else []
    sides: dict[int, set[float]] = {0: set(), 1: set()}
    for name, value in found:
        if _LIST.fullmatch(name):
            yield from _under_scores(value)
        elif named := _NAMED.fullmatch(name):
            score = _number(value)
            side = _SIDES.get(named[1].lower())
            if score is not None and side is None:
                yield CONFLICT
            elif score is not None and side is not None:
                sides[side].add(score)
    if len(sides[0]) > 1 or len(sides[1]) > 1:
        yield CONFLICT
    elif sides[0] and sides[1]:
        yield sides[0].pop(), sides[1].pop()


def _under_scores(value: Any) -> Iterator[Scores | str]:
    if _is_object(value) or (isinstance(value, list) and any(map(_is_object, value))):
        yield from _pairs(value)
    elif isinstance(value, list) and len(value) == 2:
        one, other = map(_number, value)
        if one is not None and other is not None:
            yield one, other


def _listed(objects: list[Any]) -> Object:
    """`[{"assistant": 2, "score": 9}, …]` as an object with a name for each."""
    found: Object = []
    for one in objects:
        if _is_object(one):
            names = [value for name, value in one if _OF.fullmatch(name) and isinstance(value, str | int)]
            if len(names) == 1:
                found.append((str(names[0]).strip(), [pair for pair in one if not _OF.fullmatch(pair[0])]))
    return found


def _number(value: Any) -> float | None:
    """A number, one in a string, or the one under "score" or "overall" of an object."""
    if _is_object(value):
        inner = {number for name, one in value if _LIST.fullmatch(name) and (number := _number(one)) is not None}
        return inner.pop() if len(inner) == 1 else None
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value)
        return float(found[1]) if found else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
