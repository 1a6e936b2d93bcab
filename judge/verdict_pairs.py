"""Two scores side by side in the places where judges write them: first line, last line, or behind words for scores.

In: the judge's own words (verdict_names.py). Out: statements of both scores. The sides are those of the names before
them ("Scores for Assistant 2 and Assistant 1: 9 7"), else the order shown. Price: 5 µs for a first line, 100 µs for all
places in 1,000 characters.
"""

import re
from collections.abc import Iterator
from typing import Final

from judge.verdict_names import MARKED, NAMES
from judge.verdict_numbers import (
    HAS_KEY,
    LEAD,
    OTHER_NUMBERS,
    PAIR,
    SCORE,
    Statement,
    fault_of,
    of_pair,
    sentence_start,
)

_DECORATION = rf"[^\w(\[{{<\-{NAMES}{MARKED}]*"
_PLAIN: Final = re.compile(
    r"\s*(-?[0-9]{1,2}(?:\.[0-9]{1,2})?)(?:, ?| {1,3})(-?[0-9]{1,2}(?:\.[0-9]{1,2})?)[ \t]*(?:\n|$)"
)
_ALONE: Final = re.compile(rf"{_DECORATION}{PAIR}[\s.;,|!)\]]*")
_LEADING: Final = re.compile(rf"{_DECORATION}{PAIR}(?:\s?[.:;]|\s+-)?\s+(?=[A-Z{NAMES}\u3400-\u9fff])")
_EQUAL: Final = re.compile(
    rf"[^\w{NAMES}]*(?:[Bb]oth|[Tt]hey)(?: \w+)? (?:are|were)(?: \w+){{1,3}}\s?[:,-]\s?{PAIR}[\s.]*", re.ASCII
)
_ANY: Final = re.compile(PAIR)
_SINGLE: Final = re.compile(rf"[^\w{NAMES}{MARKED}-]*{SCORE}[\s.;,]*")
_CONNECTIVE: Final = re.compile(
    rf"[^\w{NAMES}]*(?:(?:therefore|thus|so|hence|final(?:ly)?|overall|in conclusion|in summary|edit|correction|因此"
    rf"|所以|综上|总之|更正|最终)"
    rf"[^\w{NAMES}]*)?",
    re.IGNORECASE,
)
_TUPLE: Final = re.compile(
    rf"^[^\w\n(\[{NAMES}]*(?=[(\[])(?![(\[]{{2}}){PAIR}(?=[^\S\n]*(?:$|[-.:,][^\S\n]))", re.MULTILINE
)
_LINE: Final = re.compile(r"[^\n]+")
_HOLDS: Final = re.compile(rf"[\w{NAMES}]")
_DIGIT: Final = re.compile(r"[0-9]")


def plain_first_line(text: str) -> tuple[float, float, int] | None:
    """`8 9`, `8.5, 9`: what almost all texts begin with; two scores of 10 at most, and where the next line begins."""
    found = _PLAIN.match(text)
    if found is None:
        return None
    first, second = float(found[1]), float(found[2])
    if not (0 <= first <= 10 and 0 <= second <= 10) or ("," in found[0] and ", " not in found[0]):
        return None
    return first, second, found.end()


def first_line(own: str) -> Statement | None:
    """A pair that the text begins with, before which only words for scores stand."""
    start = len(own) - len(own.lstrip())
    end = line_end(own, start)
    line = own[start:end]
    if found := _ALONE.fullmatch(own, start, end) or _LEADING.match(own, start, end):
        return of_pair(found, start, found.end())
    number = _DIGIT.search(line)
    if number is None:
        return _two_lines(own, start, end) if LEAD.fullmatch(line) is None else None
    if found := _EQUAL.fullmatch(own, start, end):
        pair = of_pair(found, start, end)
        return pair if pair and pair.first == pair.second else None
    if _SINGLE.fullmatch(own, start, end):
        return _two_lines(own, start, end)
    return None


def pairs(own: str, below_head: bool = False) -> Iterator[Statement]:
    """In all places but the first line. Words before a pair that are not known make it none."""
    lines = [(found.start(), found[0]) for found in _LINE.finditer(own) if _HOLDS.search(found[0])]
    if not lines:
        return
    last = len(lines) - 1
    for place, (start, line) in enumerate(lines):
        if not _DIGIT.search(line):
            continue
        above = lines[place - 1][1] if place else ""
        yield from _in_line(own, start, line, above, last=place == last and (place > 0 or below_head))
        if place < last and place and _SINGLE.fullmatch(line) and _announces(above):
            below = _two_lines(own, start, start + len(line))
            if below:
                yield below
    yield from _closing_tuple(own)


def _in_line(own: str, start: int, line: str, above: str, last: bool) -> Iterator[Statement]:
    end = start + len(line)
    for found in _ANY.finditer(own, start, end):
        begin = max(start, sentence_start(own, found.start()))
        lead = own[begin : found.start()]
        known = LEAD.fullmatch(lead) if not _DIGIT.search(lead) else None
        one = None
        if known and HAS_KEY.search(lead) and (above == "" or lead.strip(" -*#") or not _other(above)):
            one = of_pair(found, begin, found.end(), lead)
        elif begin == start and _ALONE.fullmatch(own, start, end) and _announces(above):
            one = of_pair(found, start, found.end(), above)
        elif last and begin == start and _is_last(own, start, found, lead) and not _other(above):
            if above.rstrip().endswith(":") and not LEAD.fullmatch(above.strip()):
                continue
            heads = above if above.rstrip().endswith(":") else ""
            one = of_pair(found, start, found.end(), heads)
        if one is not None:
            yield one


def _is_last(own: str, start: int, found: re.Match[str], lead: str) -> bool:
    """Whether the line is a pair and nothing else, but for a word like "Therefore"."""
    tail = own[found.end() : line_end(own, start)]
    return _CONNECTIVE.fullmatch(lead) is not None and not tail.strip(" .;,|!)]")


def _announces(line: str) -> bool:
    """Whether scores, or the two names, are what a line says will follow."""
    bare = line.strip()
    if not bare or _other(bare):
        return False
    if LEAD.fullmatch(bare):
        return HAS_KEY.search(bare) is not None or sum(sign in NAMES for sign in bare) == 2
    return bare.endswith(":") and re.search(r"(?i)\b(?:scores?|ratings?)\b|评分|得分|打分", bare) is not None


def _other(line: str) -> bool:
    """Whether a heading is one of other numbers. A long sentence is no heading."""
    bare = line.strip()
    return (bare.endswith(":") or len(bare) <= 48) and OTHER_NUMBERS.search(bare) is not None


def _two_lines(own: str, start: int, end: int) -> Statement | None:
    """Two lines of one score each, and not a third."""
    one = _SINGLE.fullmatch(own, start, end)
    below = end + len(own[end:]) - len(own[end:].lstrip())
    after = line_end(own, below)
    other = _SINGLE.fullmatch(own, below, after) if one else None
    if one is None or other is None:
        return None
    rest = own[after:].lstrip()
    if _SINGLE.fullmatch(rest, 0, line_end(rest, 0)):
        return None
    fault = fault_of(one[1], one[2]) or fault_of(other[1], other[2])
    return Statement(float(one[1]), float(other[1]), start, after, fault=fault)


def _closing_tuple(own: str) -> Iterator[Statement]:
    """A tuple that a line begins with and only words follow: `(10, 8)` and "Assistant 1 did better." below it."""
    found = list(_TUPLE.finditer(own))
    if found and not _DIGIT.search(own, found[-1].end()):
        one = of_pair(found[-1], found[-1].start(), found[-1].end())
        above = own[: found[-1].start()].rstrip().rpartition("\n")[2]
        if one is not None and not one.fault and not _other(above):
            yield one


def line_end(text: str, start: int) -> int:
    """Where the line ends in which `start` lies."""
    end = text.find("\n", start)
    return len(text) if end < 0 else end
