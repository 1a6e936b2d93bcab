"""Two scores in a recorded text: on the first line, as the usual prompts ask, or said anywhere, in many shapes.

In: a judge's text, in plain digits. Out: both scores, 0 to 10, or a fault. Every place that gives scores is read for
itself (verdict_json.py, verdict_table.py, verdict_pairs.py, verdict_labelled.py), and all that they say must agree: a
judge that gives two verdicts, that corrects itself, or that declines beside its numbers has given none. Price: 10 µs
where the scores stand on the first line and no other number in the text, 300 µs for 1,000 characters elsewhere.
"""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

from judge.verdict_json import scores_of_json
from judge.verdict_labelled import labelled, third
from judge.verdict_names import own_words
from judge.verdict_numbers import OUT_OF_RANGE, Statement
from judge.verdict_pairs import first_line, pairs, plain_first_line
from judge.verdict_table import without_tables
from judge.verdict_text import CONFLICT, REFUSED, Reading, Said, declined, lacking, of_scores

MISSING: Final = "score.missing"
CUT: Final = "score.cut"

_OTHER_DIGIT: Final = re.compile(
    r"[0-9](?<!ssistant [0-9])(?<!esponse [0-9])(?<!nswer [0-9])(?<!助手[0-9])(?<!回答[0-9])"
)
_EDIT: Final = re.compile(
    r"\bon (?:second thoughts?|reflection)\b|\b(?:up)?on (?:further )?(?:review|reflection)\b|(?:^|[(\[\n])\s*"
    r"(?:edit|correction|update)\s*:"
    r"|\b(?:final|revised|updated|corrected|adjusted|amended)\s(?:scores?|ratings?|verdict)\b|(?:^|\n)\W*final\s*:"
    r"|\b(?:change|revise|adjust|lower|raise|increase|correct)\s(?:my|the|its|their|both)\s(?:scores?|ratings?)"
    r"|更正|修正后|重新(?:考虑|评分)|改为|最终(?:评分|得分|分数)",
    re.IGNORECASE,
)
_EDIT_HINTS: Final = (
    *("second thought", "n reflection", "er reflection", "n review", "er review", "edit", "correction", "update"),
    *("final", "revised", "corrected ", "adjusted ", "amended ", "my score", "the score", "its score", "their score"),
    *("both score", "my rating", "the rating", "更正", "修正", "重新", "改为", "最终"),
)
_ELSEWHERE: Final = re.compile(
    r"[0-9](?<![0-9A-Za-z.,:/$+*^×-][0-9])(?<!ssistant [0-9])(?<!esponse [0-9])(?<!nswer [0-9])(?<!助手[0-9])"
    r"(?<!回答[0-9])0?(?:\.[0-9]{1,2})?"
    r"(?![0-9A-Za-z%]|\.[0-9]|,[0-9]|[.)]\s| (?!while|because|since|point|with|goes|from)[a-z]{4})"
)
_EACH: Final = re.compile(r"[BbEe](?:oth|ach)[^.;\n]{0,60}[0-9](?<!ssistant [0-9])|[都均各][^\n]{0,12}[0-9]")
_DIGITS: Final = re.compile(r"[0-9]+")
_REACH: Final = 120  # characters behind the words of a correction in which its scores stand


def read_two_scores(said: Said, text: str, cut: bool) -> Reading:
    """`text`: what `said` has, in plain digits."""
    if said.unfinished:
        return lacking(said, text, CUT, CUT)
    plain = plain_first_line(text)
    if plain is not None and _silent(text, plain[2]):
        first, second, end = plain
        if cut and not text[end:].strip():
            return Reading(CUT)
        return Reading(REFUSED) if declined(text) else of_scores(first, second, text[end:].strip())
    return _read(said, text, cut)


def _silent(text: str, start: int) -> bool:
    """Whether what stands below the scores can say no others: most texts have no number there, or a single one."""
    return _OTHER_DIGIT.search(text, start) is None or (
        len(list(islice(_ELSEWHERE.finditer(text, start), 2))) < 2
        and not _EACH.search(text, start)
        and not _corrected(text, [])
    )


def _read(said: Said, text: str, cut: bool) -> Reading:
    told: list[Statement] = []
    rest = text
    if "{" in text and (taken := scores_of_json(text)) is not None:
        found, rest = taken
        if isinstance(found, str):
            return Reading(found)
        fault = "" if all(0 <= score <= 10 for score in found) else OUT_OF_RANGE
        told.append(Statement(*found, 0, 0, fault=fault))
    tables, own = without_tables(own_words(rest))
    told += tables
    head = first_line(own)
    if head is not None:
        return _with_head(head, told, own, text, cut)
    told += [*pairs(own), *labelled(own)]
    reading = _agreed(told, own)
    if reading is None:
        told = [one for one in told if not one.doubtful]
        faults = [one.fault for one in told if one.fault and not one.weak] or [one.fault for one in told if one.fault]
        return Reading(faults[-1]) if faults and not cut else lacking(said, text, CUT if cut else MISSING, CUT)
    if reading.fault:
        return reading
    if cut and not own[max(one.end for one in told) :].strip(" )]}*."):
        return Reading(CUT)
    return Reading(REFUSED) if declined(own) else of_scores(*_both(reading), text.strip())


def _both(reading: Reading) -> tuple[float, float]:
    assert reading.score_first is not None and reading.score_second is not None
    return reading.score_first, reading.score_second


def _with_head(head: Statement, told: list[Statement], own: str, text: str, cut: bool) -> Reading:
    """A text that gives both scores first is believed, unless it says others later."""
    if head.fault:
        return Reading(head.fault)
    rest = own[head.end :]
    if cut and not rest:
        return Reading(CUT)
    later: list[Statement] = []
    if _DIGITS.search(rest):
        blank = "\n" if "\n" in own[: head.end] or rest.startswith("\n") else " "
        later = [
            *pairs(blank + rest, below_head=True),
            *_complete([one for one in labelled(blank + rest) if not one.weak and not one.doubtful]),
        ]
    good = [one for one in (*told, *later) if not one.fault]
    if any((one.first, one.second) != (head.first, head.second) for one in good):
        return Reading(CONFLICT)
    if _corrected(rest, [one.start for one in later]):
        return Reading(CONFLICT)
    if declined(own):
        return Reading(REFUSED)
    assert head.first is not None and head.second is not None
    return of_scores(head.first, head.second, _below(own, head.end, text))


def _below(own: str, end: int, text: str) -> str:
    """The reasons: what stands below the scores, or the whole text where they share a line with them."""
    rest = own[end:]
    if not rest.strip():
        return ""
    lines = text.strip().split("\n", 1)
    one_line = len(lines) > 1 and "\n" not in own[:end].strip()
    shares = rest.partition("\n")[0].strip() and not own[:end].endswith("\n")
    return lines[1].strip() if one_line and not shares else text.strip()


def _complete(singles: Sequence[Statement]) -> list[Statement]:
    """What is said of both answers, each statement of one with the next of the other."""
    found: list[Statement] = []
    held: Statement | None = None
    for one in sorted(singles, key=lambda one: one.end):
        if one.whole:
            found.append(one)
        elif held is None or (held.first is None) == (one.first is None):
            held = one
        else:
            first, second = (held.first, one.second) if held.first is not None else (one.first, held.second)
            found.append(Statement(first, second, held.start, one.end, fault=held.fault or one.fault))
            held = None
    return found


def _agreed(told: list[Statement], own: str) -> Reading | None:
    """Scores without an explanation yet, a conflict, or None where not both answers have one."""
    good = [one for one in told if not one.fault and not one.doubtful]
    doubtful = _complete([one for one in told if one.doubtful and not one.fault])
    strong = [one for one in good if not one.weak]
    at_start = [one for one in _complete([one for one in good if one.weak]) if not own[: one.start].strip(" \n*#-")]
    kept = strong + at_start if _sides(strong) == (1, 1) else good
    many = _sides(kept)
    if max(many) > 1:
        return Reading(CONFLICT)
    if min(many) < 1:
        return None
    if third(own) or _corrected(own, [one.start for one in kept], [one.end for one in kept]):
        return Reading(CONFLICT)
    first = next(one.first for one in kept if one.first is not None)
    second = next(one.second for one in kept if one.second is not None)
    if any((one.first, one.second) != (first, second) for one in doubtful):
        return Reading(CONFLICT)
    return of_scores(first, second, "")


def _sides(told: Sequence[Statement]) -> tuple[int, int]:
    """How many different scores each answer has."""
    return len({one.first for one in told} - {None}), len({one.second for one in told} - {None})


def _corrected(own: str, starts: Sequence[int], ends: Sequence[int] = ()) -> bool:
    """Whether words of a correction are followed by a number that no statement has."""
    low = own.lower()
    if not any(hint in low for hint in _EDIT_HINTS):
        return False
    for edit in _EDIT.finditer(own):
        number = _DIGITS.search(own, edit.end(), edit.end() + _REACH)
        if number and ends and not any(s <= number.start() < e for s, e in zip(starts, ends, strict=True)):
            return True
        if number and not ends and not any(edit.start() - 2 <= start <= number.start() + 1 for start in starts):
            return True
    return False
