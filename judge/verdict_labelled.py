"""Scores that stand beside the name of the answer they are of: lists, sentences and sections.

In: the judge's own words (verdict_names.py). Out: statements of one score, or of one for both answers. Each number is
bound to one name: to the one before it where only known words stand between, or to the one behind "for", "to" or a
bracket; never across another number, name or sentence. Price: 20 µs for each number in a text.
"""

import re
from collections.abc import Iterator
from typing import Final

from judge.verdict_names import MARKED, NAMES, ONE, OTHER, TWO
from judge.verdict_numbers import (
    CRITERIA,
    HAS_KEY,
    LEAD,
    NUMBER,
    OTHER_NUMBERS,
    SCORE,
    STOP,
    UNIT,
    WHOLE,
    Statement,
    fault_of,
    of_side,
    sentence_start,
)
from judge.verdict_pairs import line_end

_WINDOW: Final = 160
_DIGIT: Final = re.compile(r"[0-9]")
_LIST_LINES: Final = 12
_SIDES: Final = ONE + TWO
_NUMBER: Final = re.compile(rf"{NUMBER}(?:{WHOLE}|(?P<unit>{UNIT}))?{SCORE[SCORE.rindex('(?![0-9A-Za-z_%') :]}{STOP}")
_SCORE_WORD = (
    r"(?:_|\s|的|final|overall|total|最终|最后|综合|总体|总){0,6}"
    r"(?P<word>scores?|ratings?|grades?|评分|得分|分数|打分|总分)(?![A-Za-z])"
)
_POSSESSIVE = r"(?:'s?)?(?:的(?:回答)?)?(?P<thing>\s(?:answer|response|output|performance))?"
_POSSESSIVE2 = _POSSESSIVE.replace("?P<thing>", "?:")
_NOTE = r"(?:\s?\([^()\d\n]{1,40}\))?"
_COLON: Final = re.compile(
    rf"{_POSSESSIVE}{_NOTE}[\"']?\s?(?:[\s:,(\[-]{{0,3}}{_SCORE_WORD})?[\"']?(?P<link>\s?(?:[:=|]|->|→)\s{{0,3}}"
    rf"|\s-\s|\s(?:is"
    rf"|was)\s|\s?[为是]\s?)[\"'(\[]?\s?",
    re.IGNORECASE,
)
_BESIDE: Final = re.compile(rf"{_POSSESSIVE}(?P<bracket>\s?[(\[]?)\s?", re.IGNORECASE)
_SCORE_OF = (
    r"(?:(?:an?|the|at|with|as)\s)*(?:(?:overall|final|total|perfect|full|high|low)\s)*(?:(?:score|rating|mark"
    r"|grade)s?\s(?:of\s|at\s)?)?"
)
_GIVE = r"(?:give|assign|award|rate|grade|score)"
_GETS: Final = re.compile(
    rf"{_POSSESSIVE},?\s(?:also\s)?(?:(?:would|should|will)\s)?(?:receive[sd]?|gets?|got|earn(?:s|ed)?"
    rf"|deserve[sd]?|score[sd]?|(?:has|have)(?=\san?\s(?:score|rating))|achieve[sd]?|"
    rf"(?:is|was|be)\s(?:rated|given|awarded|scored|assigned))\s{_SCORE_OF}(?:full marks\s?\()?"
    rf"|{_POSSESSIVE2},?\s(?:I|we)(?:'d|\swould|\swill)?\s{_GIVE}\s(?:it\s|them\s)?{_SCORE_OF}"
    r"|(?:的(?:回答)?)?(?:可以?|应该?|我)?(?:得到?|应得|得分|获得|打|给|评)(?:了|出)?\s?",
    re.IGNORECASE,
)
_RESULT: Final = re.compile(r"\s(?:also\s)?(?:gets?|got|achieve[sd]?)\s", re.IGNORECASE)
_ELLIPTIC: Final = re.compile(rf"{_POSSESSIVE2}\s(?=an?\s|the\s|at\s|with\s|as\s){_SCORE_OF}", re.IGNORECASE)
_ANAPHORA: Final = re.compile(
    rf"[^\n.;!?0-9{NAMES}]{{0,90}}(?<![A-Za-z])(?:so|and|therefore|thus|hence),?\s(?:(?:I|we)(?:'d|\swould"
    rf"|\swill)?\s{_GIVE}\s"
    rf"(?:it|this (?:answer|response))|it\s(?:gets|deserves|receives|earns|scores))\s{_SCORE_OF}",
    re.IGNORECASE,
)
_BEHIND: Final = re.compile(
    rf"[^\S\n]?(?:(?:points?\s)?(?:for|to|goes to|给)\s?(?:the\s)?([{_SIDES}])(?!'s?\s(?!answer|response)|的(?!回答))"
    rf"|[(\[]\s?([{_SIDES}])\s?[)\]])",
    re.IGNORECASE,
)
_GIVING: Final = re.compile(
    rf"(?<![A-Za-z]){_GIVE}s?(?![A-Za-z])|(?<![A-Za-z])(?:score|rating|deserve|receive|get)s?(?![A-Za-z])|[给打]",
    re.IGNORECASE,
)
_OF_OTHERS: Final = re.compile(rf"[{NAMES}](?:\s(?:would|will))?\s{_GIVE}s?\s", re.IGNORECASE)
_CONDITIONAL: Final = re.compile(
    r"(?<![A-Za-z])(?:if|unless|example|e\.g|initially|at first|originally|says?|said|claim(?:s|ed)?|thinks?|thought|"
    r"would have|could have|should have|instead of|rather than|considered)(?![A-Za-z])"
    rf"|(?:not|n't|never)\s(?:\w+\s){{0,2}}(?:{_GIVE}|deserve|get|receive)|不[给打应该]|如果|若|例如|比如|声称|(?<!我)认为|说|原本|起初",
    re.IGNORECASE,
)
_IF: Final = re.compile(r"[^\n.;!?]{0,60}(?<![A-Za-z])(?:if|unless|had it)(?![A-Za-z])", re.IGNORECASE)
_CRITERION: Final = re.compile(
    rf"\s(?:for|in|on|in terms of|regarding)\s(?:its\s|their\s|the\s)?{CRITERIA}(?![A-Za-z])(?!\s(?:answer"
    rf"|response|step))",
    re.IGNORECASE,
)
_JOINED: Final = re.compile(rf"[{NAMES}]\s?(?:and|or|,|&|/|vs\.?|和|与|、|及)\s*(?:the\s)?$", re.IGNORECASE)
_BOTH: Final = re.compile(
    rf"[BbEe](?:oth|ach)(?<![A-Za-z].{{4}})(?:\sof\sthem)?(?:\s(?:AI\s)?(?:assistants?|answers?|responses?|models?))?"
    rf"(?:\s[{_SIDES}]\sand\s[{_SIDES}])?(?P<gets>\s(?:(?:would|should)\s)?(?:deserves?|gets?|receives?|earns?))?"
    rf"\s(?:an?\s)?(?:(?:score|rating)\s(?:of\s)?)?{SCORE}{STOP}"
    rf"|(?:[两二](?:个|位|者|名|份)(?:助手|回答|答案|模型)?|[{_SIDES}]和[{_SIDES}])(?:的(?:回答|得分|评分))?[都均各](?P<zh>得到?|获得|给|打|是|为|应得|可得)?\s?{NUMBER}\s?分(?![钟之以数别])"
)
_GIVE_BEFORE: Final = re.compile(rf"(?<![A-Za-z]){_GIVE}s?\s(?:them\s)?$")
_BULLET: Final = re.compile(r"[\s>#*•·|(\[{\"'-]*(?:[0-9]{1,2}[.)]\s)?[\s#*(\[-]*")
_NEUTRAL: Final = re.compile(
    r"(?<![A-Za-z])(?:evaluation|assessment|verdict|judge?ment|conclusion|scor\w*|rat(?:e|ings?))(?![A-Za-z])"
    r"|评[价估分]|结论|得分|打分",
    re.IGNORECASE,
)
_SECTION: Final = re.compile(
    rf"^[ \t#>*-]{{0,12}}([{NAMES}])(?:'s?\s(?:answer|response))?(?:\s?\([^()\n]{{1,40}}\))?[^\S\n]*(?:$|:"
    rf"(?!\s*-?[0-9]))",
    re.MULTILINE | re.IGNORECASE,
)
_OF_SECTION: Final = re.compile(
    rf"(?:(?<=\n)|(?<=[.;!?]\s))[ \t#>*-]{{0,12}}(?:(?P<final>(?:(?:final|overall|total)(?:\s(?:score|rating))?|总分"
    rf"|总评|综合评分|最终评分|总体评分))|score|rating|评分|得分|分数)"
    rf"(?![A-Za-z])\s?(?:[:=]|is|为|是)\s?{SCORE}{STOP}",
    re.IGNORECASE,
)


def labelled(own: str) -> Iterator[Statement]:
    """Whatever stands beside a name."""
    if not any(sign in own for sign in NAMES):
        yield from _both(own)
        return
    for found in _NUMBER.finditer(own):
        one = _bound(own, found)
        if one is not None:
            yield one
    yield from _both(own)
    yield from _sections(own)


def third(own: str) -> bool:
    """Whether a third answer has a score."""
    return OTHER in own and any(
        own[max(0, found.start() - 12) : found.start()].rpartition(OTHER)[1] == OTHER
        and _COLON.fullmatch(own[max(0, found.start() - 12) : found.start()].rpartition(OTHER)[2])
        for found in _NUMBER.finditer(own)
    )


def _bound(own: str, found: re.Match[str]) -> Statement | None:
    """The statement of the number, with the name before or behind it."""
    start, end = found.start(), found.end()
    low = max(0, start - _WINDOW, own.rfind("\n", 0, start) + 1)
    label = max(own.rfind(sign, low, start) for sign in NAMES)
    weight = _before(own, label, found) if label >= 0 and own[label] != OTHER else None
    behind = _BEHIND.match(own, end)
    if behind is not None and weight is None and _reversed(own, start, found):
        side = behind[1] or behind[2]
        return of_side(side, found[1], found[2], start, behind.end())
    if weight is None or _CRITERION.match(own, end) or _IF.match(own, end):
        return None
    if behind is not None:
        return None  # beside two names
    return of_side(own[label], found[1], found[2], label, end, weight)


def _before(own: str, label: int, found: re.Match[str]) -> str | None:
    """ "said" or "weak" where the name at `label` is the one that the number is of."""
    gap = own[label + 1 : found.start()]
    if _DIGIT.search(gap):
        return None
    begin = sentence_start(own, label)
    before = own[begin:label]
    if _JOINED.search(own[max(0, label - 12) : label]):
        return None
    if _OF_OTHERS.search(own[begin : label + 1]):  # an answer that rates is what is judged
        return None
    evident = found[2] is not None or found["unit"] is not None or MARKED in found[0]
    if (colon := _COLON.fullmatch(gap)) and (evident or colon["word"] or not colon["thing"]):
        verb = colon["link"].strip() in ("is", "was", "是")
        return _listed(own, label, found, bool(evident or colon["word"]), needs_word=verb)
    if (beside := _BESIDE.fullmatch(gap)) and not _CONDITIONAL.search(before):
        if evident or (beside["bracket"].strip() and _own_line_lead(own, label)):
            given = _GIVING.search(before) is not None
            return "said" if given else _listed(own, label, found, True)
        return None
    if _CONDITIONAL.search(before):
        return None
    if _GETS.fullmatch(gap):
        chinese = gap.strip()[-1:] in "得到获打给评了出分"
        if _RESULT.fullmatch(gap) and not evident:
            return "doubtful"
        return "said" if evident or not chinese else None
    if _ELLIPTIC.fullmatch(gap) and _GIVING.search(before):
        return "said"
    if _ANAPHORA.fullmatch(gap) and not any(sign in before for sign in NAMES):
        return "said"
    return None


def _line_lead(own: str, label: int) -> tuple[int, str]:
    """Where the line or sentence of the name begins, and what stands there before the first name."""
    begin = max(own.rfind("\n", 0, label) + 1, sentence_start(own, label))
    line = own[begin:label]
    first = min((at for sign in NAMES if (at := line.find(sign)) >= 0), default=len(line))
    return begin, _BULLET.sub("", line[:first], count=1)


def _own_line_lead(own: str, label: int) -> bool:
    lead = _line_lead(own, label)[1]
    return bool(lead) and LEAD.fullmatch(lead) is not None and HAS_KEY.search(lead) is not None


def _listed(own: str, label: int, found: re.Match[str], evident: bool, needs_word: bool = False) -> str | None:
    """How much a list counts: by the words in front of it, or by the line above it."""
    begin, lead = _line_lead(own, label)
    if lead:
        if LEAD.fullmatch(lead) is None:
            return None
        if HAS_KEY.search(lead) or evident:
            return "said"
        return None if needs_word else "weak"
    if needs_word and not evident:
        return None
    above = _line_above(own, begin)
    short = above.endswith(":") or len(above) <= 48
    if short and OTHER_NUMBERS.search(above):
        return None
    if evident:
        return "said"
    if not above:
        return "weak"
    if short and (_NEUTRAL.search(above) or (LEAD.fullmatch(above) and HAS_KEY.search(above))):
        return "said"
    if _NEUTRAL.search(above) and above.endswith(":"):
        return "said"
    return "weak" if not above.endswith(":") and not _more_below(own, found.end()) else None


def _line_above(own: str, begin: int) -> str:
    """The last line above that is not itself one of the list; a list of many lines is one of other things."""
    for _ in range(_LIST_LINES):
        if begin <= 0:
            return ""
        end = begin - 1
        begin = own.rfind("\n", 0, end) + 1
        line = own[begin:end].strip()
        if (
            line
            and any(sign.isalnum() or sign in NAMES for sign in line)
            and _BULLET.sub("", line, count=1)[:1] not in tuple(NAMES)
        ):
            return line
    return "values:"


def _more_below(own: str, at: int) -> bool:
    """Whether more than names with their numbers stands below."""
    for _ in range(_LIST_LINES):
        at = line_end(own, at) + 1
        if at >= len(own):
            return False
        bare = _BULLET.sub("", own[at : line_end(own, at)], count=1)
        if bare and bare[0] not in NAMES:
            return True
    return True


def _reversed(own: str, start: int, found: re.Match[str]) -> bool:
    """Whether what stands before a number with its name behind it makes it a score."""
    begin = max(sentence_start(own, start), own.rfind("\n", 0, start) + 1)
    before = own[begin:start]
    if _CONDITIONAL.search(before) or _OF_OTHERS.search(before):
        return False
    names = [at for at, sign in enumerate(before) if sign in NAMES]
    clean = re.sub(r"[0-9./]+|out of|points?|分", " ", before)
    known = LEAD.fullmatch(clean) is not None
    evident = found[2] is not None or found["unit"] is not None or MARKED in found[0]
    if not known and not (_GIVING.search(before) and re.search(rf"(?:{_GIVE}|score|rating)\W", before, re.IGNORECASE)):
        return False
    return evident or bool(_GIVING.search(before)) or bool(HAS_KEY.search(clean) and (known or names))


def _both(own: str) -> Iterator[Statement]:
    for found in _BOTH.finditer(own):
        start = found.start()
        if not (found["gets"] or found["zh"] or _GIVE_BEFORE.search(own[max(0, start - 20) : start])):
            continue
        if _CONDITIONAL.search(own[sentence_start(own, start) : start]) or _CRITERION.match(own, found.end()):
            continue
        number, whole = (found[2], found[3]) if found[2] else (found[5], None)
        yield Statement(float(number), float(number), start, found.end(), fault=fault_of(number, whole))


def _sections(own: str) -> Iterator[Statement]:
    """`Assistant 1: …text… Score: 2/10` and the same of the other below; one score in each, or one overall in each."""
    heads = list(_SECTION.finditer(own))
    if len({head[1] for head in heads} & set(_SIDES)) < 2:
        return
    found: list[tuple[str, list[re.Match[str]]]] = []
    for place, head in enumerate(heads):
        end = heads[place + 1].start() if place + 1 < len(heads) else len(own)
        found.append((head[1], list(_OF_SECTION.finditer(own, head.end(), end))))
    finals = {side for side, ones in found for one in ones if one["final"]}
    overall = finals >= set(_SIDES)
    if finals and not overall:
        return
    for side, ones in found:
        for one in ones:
            if side != OTHER and (one["final"] is not None) == overall:
                numbers = one.groups()[1:]
                yield of_side(side, numbers[0], numbers[1], one.start(), one.end())
