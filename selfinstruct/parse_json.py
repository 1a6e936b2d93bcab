"""The objects of a reply in the JSON form, whatever stands around them and whatever is broken beside them.

In: a text. Out: JSON values in order, or `Broken` for an object with an instruction that is none. An object counts with
its closing brace only, so nothing that was cut is completed. Mended are commas before a closing bracket, comments,
single quotes and full-width punctuation, outside of strings.
"""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"'  # a string
    r"|'(?:[^'\\]|\\.)*'(?=\s*[,:：，}\]])"  # one of Python
    r"|//[^\n]*|/\*.*?\*/"
    r"|[,，](?=\s*[}\]])|[，：]",
    re.DOTALL,
)
_INSTRUCTION: Final = re.compile(r"""["'“](?:instruction|指令)["'”]""", re.IGNORECASE)
_MOST_MENDS: Final = 40  # of a reply: each looks at all that is left of it
_MOST_DEEP: Final = 3
_decoder: Final = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Broken:
    """An object that is no JSON."""

    text: str
    cut: bool


def values_of(text: str) -> Iterator[Any]:
    """Whole objects wherever they stand, also in a text that breaks off; `Broken` where an item's object is none."""
    place = deep = mends = 0
    while (start := text.find("{", place)) >= 0:
        try:
            value, place = _decoder.raw_decode(text, start)
            yield value
            continue
        except RecursionError:
            deep += 1
            if deep > _MOST_DEEP:
                yield Broken(text[start:], cut=False)
                return
        except ValueError:
            if mends < _MOST_MENDS:
                mends += 1
                mended = _mended(text[start:])
                try:
                    value, place = _decoder.raw_decode(mended)
                except (ValueError, RecursionError):
                    pass
                else:
                    yield value
                    text = mended
                    continue
        # Of an object that is not whole its parts may be: go on behind its brace.
        end = text.find("{", start + 1)
        if _INSTRUCTION.search(text, start, len(text) if end < 0 else end):
            yield Broken(text[start:], cut="}" not in text[start:])
        place = start + 1


def _mended(text: str) -> str:
    return _TOKEN.sub(_token, text)


def _token(match: re.Match[str]) -> str:
    token = match.group()
    if token[0] == '"':
        return token
    if token[0] == "'":
        try:
            return json.dumps(ast.literal_eval(token.replace("\n", "\\n")), ensure_ascii=False)
        except (ValueError, SyntaxError):
            return token
    if token[0] == "/":
        return " "
    return {"：": ":", "，": ","}.get(token, " ") if len(token) == 1 and token != "," else " "
