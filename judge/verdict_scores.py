"""Two scores in a recorded text: on the first line, as the usual prompts ask, or said at the end, in many shapes.

In: a judge's text, in plain digits. Out: both scores, 0 to 10, or a fault. Names of the two answers ("Assistant 1",
"助手2") become one sign each before numbers are looked for, and what stands in quotation marks or code is not the
judge's own. A text that gives the two scores first is believed, unless it ends by changing them; of statements
elsewhere all that call themselves scores must agree, and later ones that call themselves final replace earlier ones.
Price: 150 µs for 1,000 characters, three times that where the scores do not come first.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from judge.verdict_json import scores_of_json
from judge.verdict_text import CONFLICT, Reading, Said, lacking, of_scores

MISSING: Final = "score.missing"
CUT: Final = "score.cut"
OUT_OF_RANGE: Final = "score.out_of_range"
SCALE: Final = "score.other_scale"

_ONE, _TWO = "\ue001", "\ue002"
_END = r"(?![0-9A-Za-z_]|\.\d)"
# It begins with a set of characters, which `re` can look for quickly.
_LABEL: Final = re.compile(
    r"[AaRrMmCcSs助回答模系评得](?<![A-Za-z].)(?:"
    rf"(?:(?i:ssistant|nswer|I|esponse|odel|hatbot)|手|理|案|型|统|答|复)\s*[#_-]?\s*(?:(1|(?i:one)|一|甲|A)|(2|(?i:two)|二|乙|B)){_END}"
    rf"|(?:(?i:core|ating)|分)\s*[#_]?\s*(?:(1|A)|(2|B))(?=[\"']?\s*[:=]))"
)
_LETTERS: Final = re.compile(r"(?<![\w'])(?:(A)|(B))(?=[\"']?\s*[:=]\s*\d)")
_DIGIT: Final = re.compile(r"\d")
_EMPHASIS: Final = re.compile(r"\*\*|__|\*|`")
_FENCE: Final = re.compile(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
_QUOTED: Final = re.compile(r"\"[^\"\n]{1,400}\"|“[^”]{1,400}”|「[^」]{1,400}」|『[^』]{1,400}』|《[^》]{1,100}》")
_QUOTE_LINE: Final = re.compile(r"^[ \t]*>[^\n]*$", re.MULTILINE)

_NUMBER = r"(?<![\d.])(-?\d{1,6}(?:\.\d{1,3})?)(?!\d|\.\d|,\d{3}(?!\d)|\s*%)"
_OF = r"(?:\s*(?:/|\(?\s*out of|\(?\s*满分)\s*(\d+)(?:\s*分)?\s*\)?)"
_SCORE = rf"{_NUMBER}(?:{_OF}|\s*(?:分|points?\b|marks?\b))?"
_BETWEEN = r"(?:\s*[,;:|&]\s*(?:and\s+)?|\s+(?:and|vs\.?|versus|-)\s+|\s*(?:和|与|对|比)\s*|\s+)"
_PAIR = rf"[(\[{{<]?\s*{_SCORE}{_BETWEEN}{_SCORE}\s*[)\]}}>]?"
_FINAL = r"final|overall|revised|updated|corrected|adjusted|amended|最终|最后|综合|总体|修正|更正|总"
_WORD = r"(?:scores?|ratings?|tuple|output|评分|得分|分数|打分|分)"
_KEY = rf"(?:(?P<final>{_FINAL})\s*)?(?:(?:evaluation|total|python)\s+)?(?<![A-Za-z]){_WORD}(?![A-Za-z])"
_LINK = (
    r"(?:[\s:=~>-]|,|(?<![A-Za-z])(?:is|are|was|were|be|would|will|as|follows|for|of|to|and|the|my|both|following|below|"
    rf"respectively|tuple|python|output|containing|assistants?|scores?|then|therefore)(?![A-Za-z])|{_ONE}|{_TWO}|"
    r"为|是|分别|如下|的|两个|两位|结果){0,24}?"
)
_FINAL_NEAR: Final = re.compile(rf"(?:{_FINAL})[^\n]{{0,90}}\n{{0,3}}[^\n]{{0,30}}\d", re.IGNORECASE)
_LINE_PAIR: Final = re.compile(rf"[^\w(\[{{<{_ONE}{_TWO}-]*(?:{_KEY}{_LINK})?{_PAIR}[\s.;,|!)]*", re.IGNORECASE)
_LEADING_PAIR: Final = re.compile(
    rf"[^\w(\[{{<{_ONE}{_TWO}-]*{_PAIR}(?:\s*[.:;]|\s+-)?\s+(?=[A-Z{_ONE}{_TWO}\u3400-\u9fff])"
)
_KEY_PAIR: Final = re.compile(rf"{_KEY}{_LINK}{_PAIR}(?!\s*[,;]?\s*\d)", re.IGNORECASE)
_LINE_SCORE: Final = re.compile(rf"[^\w{_ONE}{_TWO}-]*{_SCORE}[\s.;,]*", re.IGNORECASE)
_HEADING: Final = re.compile(rf"{_KEY}[^\n\d]{{0,60}}$", re.IGNORECASE)
_LABELS: Final = re.compile(rf"[^\w{_ONE}{_TWO}]*{_ONE}[^\w{_ONE}{_TWO}]*(?:and\s+)?{_TWO}[^\w]*")

_STOP = rf"(?=\s*(?:[,;.)\]}}|(!\n{_ONE}{_TWO}]|-|$|and\b|while\b|but\b|whereas\b|due\b|because\b|for\b|和|而|分))"
_SIDE = rf"([{_ONE}{_TWO}])"
_OWN = r"(?:'s|s')?\s*(?:\([^()\n]{0,40}\)\s*)?"
_LINE_LABEL: Final = re.compile(
    rf"{_SIDE}{_OWN}[\"']?\s*((?:的)?(?:(?:{_FINAL})\s*)?(?:score|rating|评分|得分|分数|总分)\s*)?"
    rf"(?:\s*[:=|]\s*|\s+-\s+|\s+is\s+|\s*(?:为|是)\s*)[\"'(\[]?\s*{_SCORE}{_STOP}",
    re.IGNORECASE,
)
_WORDS = rf"[^.!?;\n\d{_ONE}{_TWO}]"
_PROSE: Final = re.compile(
    rf"{_SIDE}(?:{_WORDS}{{0,80}}?(?<![A-Za-z])(?:scores?|ratings?|rated|得分|评分|打分|分数)(?![A-Za-z])"
    rf"\s*(?:(?:of|is|at|as|an?|was|为|是|:|=)\s*){{0,3}}{_SCORE}"
    rf"|{_WORDS}{{0,80}}?(?:receives?|gets?|earns?|deserves?|scores?|scored|得|获得|给|打)\s*(?:an?\s+)?{_SCORE}{_STOP}"
    rf"|{_WORDS}{{0,80}}?{_NUMBER}{_OF}|\s+an?\s+{_SCORE}{_STOP})",
    re.IGNORECASE,
)
_REVERSED: Final = re.compile(rf"{_SCORE}\s*(?:for|to|给)\s*{_SIDE}", re.IGNORECASE)
_BOTH: Final = re.compile(
    r"(?<![A-Za-z])(?:both|each)(?![A-Za-z])[^.!?;\n\d]{0,80}?"
    rf"(?:(?:score|rating)s?\s+of\s+{_SCORE}|(?<![A-Za-z])an?\s+{_SCORE}{_STOP}|{_NUMBER}{_OF})"
    rf"|(?:都|均|各)(?:得|为|给|是|打|获得)?[^\d\n.;]{{0,6}}?{_NUMBER}\s*分",
    re.IGNORECASE,
)
_CLOSING_TUPLE: Final = re.compile(rf"^[^\w\n(\[{_ONE}{_TWO}]*(?=[(\[]){_PAIR}[^\d\n]*$", re.MULTILINE)
_BLOCK_HEAD: Final = re.compile(rf"^[^\w\n{_ONE}{_TWO}]*{_SIDE}", re.MULTILINE)
_BLOCK_SCORE: Final = re.compile(rf"{_KEY}\s*(?:[:=]|is|为|是)\s*{_SCORE}{_STOP}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both scores as one statement gives them. `marked`: it calls them scores; `final`: the last ones."""

    first: float
    second: float
    start: int
    end: int
    marked: bool
    final: bool = False
    fault: str = ""

    @property
    def both(self) -> tuple[float, float]:
        return self.first, self.second


@dataclass(frozen=True, slots=True)
class _Single:
    """One score of one answer."""

    side: str
    score: float
    start: int
    end: int
    marked: bool
    final: bool
    fault: str


def read_two_scores(said: Said, text: str, cut: bool) -> Reading:
    """`text`: what `said` has, in plain digits."""
    if (found_in := scores_of_json(text)) is not None:
        fault = CUT if cut else "" if all(0 <= score <= 10 for score in found_in) else OUT_OF_RANGE
        return Reading(fault) if fault else of_scores(*found_in, text.strip())
    own = _own_words(text)
    head = _headline(own)
    if head is not None:
        return _with_headline(head, own, text, cut)
    statements = sorted(_statements(own), key=lambda one: one.end)
    good = [one for one in statements if not one.fault]
    found = _agreed(good)
    if isinstance(found, str):
        return Reading(found)
    if found is None:
        wrong = [one.fault for one in statements if one.fault]
        return Reading(wrong[-1]) if wrong and not cut else lacking(said, text, CUT if cut else MISSING, CUT)
    if cut and not own[found.end :].strip(" )]}*"):
        return Reading(CUT)
    return of_scores(found.first, found.second, text.strip())


def _with_headline(head: _Pair, own: str, text: str, cut: bool) -> Reading:
    if head.fault:
        return Reading(head.fault)
    rest = own[head.end :]
    if cut and not rest:
        return Reading(CUT)
    changed: list[_Pair] = []
    if _DIGIT.search(rest):
        changed = [one for one in _last_line(own) if one.start >= head.end and not one.fault]
        if not head.marked or _FINAL_NEAR.search(rest):
            later = sorted(_statements(own), key=lambda one: one.end)
            own_words = [one for one in later if one.start >= head.end and not one.fault]
            changed += [one for one in own_words if one.final or (one.marked and not head.marked)]
    if any(one.both != head.both for one in changed):
        return Reading(CONFLICT)
    lines = text.strip().split("\n", 1)
    explanation = lines[1] if len(lines) > 1 and "\n" not in own[: head.end].strip() else text
    if not rest.strip():
        explanation = ""
    elif rest.partition("\n")[0].strip():  # the reasons stand on the same line
        explanation = text
    return of_scores(head.first, head.second, explanation.strip())


def _agreed(good: list[_Pair]) -> _Pair | str | None:
    """The statement that counts; CONFLICT where two that count differ; None without one."""
    marked = [one for one in good if one.marked] or good
    if not marked:
        return None
    finals = [place for place, one in enumerate(marked) if one.final]
    if finals:
        last = finals[-1]
        if marked[last].both != marked[-1].both:
            return CONFLICT
        return marked[-1]
    return marked[-1] if len({one.both for one in marked}) == 1 else CONFLICT


# What is the judge's own


def _own_words(text: str) -> str:
    """Without emphasis, quotations and code; the two answers' names as one sign each."""
    text = text.replace(_ONE, " ").replace(_TWO, " ")
    text = _FENCE.sub(_unfenced, text) if "```" in text else text
    text = _EMPHASIS.sub("", text)
    if ">" in text and (bare := _QUOTE_LINE.sub("", text)).strip():
        text = bare
    text = _LABEL.sub(lambda m: _ONE if m[1] or m[3] else _TWO, text)
    if _ONE not in text and _TWO not in text and {m[0] for m in _LETTERS.finditer(text)} == {"A", "B"}:
        text = _LETTERS.sub(lambda m: _ONE if m[1] else _TWO, text)
    return _QUOTED.sub(_unquoted, text) if any(sign in text for sign in '"“「『《') else text


def _unfenced(found: re.Match[str]) -> str:
    inner = found[1].strip()
    return f"{inner}\n" if _LINE_PAIR.fullmatch(inner) or inner.startswith(("{", "[")) else "\n"


def _unquoted(found: re.Match[str]) -> str:
    inner = found[0][1:-1]
    short = not any(sign.isdigit() for sign in inner) or not re.search(
        r"[^\W\d_]", re.sub(f"[{_ONE}{_TWO}]", "", inner)
    )
    return found[0] if short else " "


# Statements


def _headline(own: str) -> _Pair | None:
    """Scores that come first, as they were asked for: a line of two, two lines of one, or both names with theirs."""
    start = len(own) - len(own.lstrip())
    end = _line_end(own, start)
    if found := _LINE_PAIR.fullmatch(own, start, end):
        return _pair(found, start, end, True)
    if found := _LEADING_PAIR.match(own, start, end):
        return _pair(found, start, found.end(), True)
    second_start = end + len(own[end:]) - len(own[end:].lstrip())
    second_end = _line_end(own, second_start)
    if found := _LINE_SCORE.fullmatch(own, start, end):
        other = _LINE_SCORE.fullmatch(own, second_start, second_end)
        if other and not _starts_with_score(own, second_end):
            fault = _fault(found[1], found[2]) or _fault(other[1], other[2])
            return _Pair(float(found[1]), float(other[1]), start, second_end, True, False, fault)
        return None
    singles = list(_singles(own[:second_end], _LINE_LABEL))
    if len(singles) == 2 and singles[0].start <= start + 4 and {one.side for one in singles} == {_ONE, _TWO}:
        head = _joined(singles[0], singles[1], singles[0].marked)
        return None if head.fault and not singles[0].marked else head  # answers to a sum are numbers too
    return None


def _starts_with_score(own: str, at: int) -> bool:
    rest = own[at:].lstrip()
    return _LINE_SCORE.fullmatch(rest, 0, _line_end(rest, 0)) is not None


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _statements(own: str) -> Iterator[_Pair]:
    yield from _last_line(own)
    yield from _below_a_heading(own)
    for found in _KEY_PAIR.finditer(own):
        yield _pair(found, found.start(), found.end(), True, _final(found))
    yield from _pairs_of(_singles(own, _LINE_LABEL), own)
    yield from _pairs_of(_prose(own), own)
    yield from _of_blocks(own)
    for found in _BOTH.finditer(own):
        number, whole = _numbers(found)
        score = float(number)
        yield _Pair(score, score, found.start(), found.end(), True, False, _fault(number, whole))


def _numbers(found: re.Match[str]) -> tuple[str, str | None]:
    """The score, and of how much, in whichever of its branches the pattern has matched."""
    groups = found.groups()
    at = next(place for place, group in enumerate(groups) if group is not None and group not in (_ONE, _TWO))
    return groups[at], groups[at + 1] if at + 1 < len(groups) else None


def _last_line(own: str) -> Iterator[_Pair]:
    """A line that holds the two scores and nothing else ends the text, so it is the judge's last word."""
    text = own.rstrip()
    start = text.rfind("\n") + 1
    if start and (found := _LINE_PAIR.fullmatch(text, start)):
        yield _pair(found, start, len(text), True, _final(found))
        return
    # A tuple in a line that only words follow: "(10, 8)" and "Assistant 1 did better." below it.
    tuples = list(_CLOSING_TUPLE.finditer(text))
    if tuples and not _DIGIT.search(text, tuples[-1].end()):
        one = tuples[-1]
        numbers = one.groups()[:4]
        fault = _fault(str(numbers[0]), numbers[1]) or _fault(str(numbers[2]), numbers[3])
        yield _Pair(float(one[1]), float(one[3]), one.start(), one.end(), False, False, fault)


def _below_a_heading(own: str) -> Iterator[_Pair]:
    """A line of two scores, or two lines of one, below a line that announces scores or names the two answers."""
    lines = [(m.start(), m[0]) for m in re.finditer(r"[^\n]+", own) if re.search(rf"[\w{_ONE}{_TWO}]", m[0])]
    for place, (_, line) in enumerate(lines[:-1]):
        key = _HEADING.search(line.rstrip())
        if key is None and not _LABELS.fullmatch(line):
            continue
        final = key is not None and key["final"] is not None
        start, below = lines[place + 1]
        if found := _LINE_PAIR.fullmatch(below):
            yield _pair(found, start, start + len(below), True, final)
        elif place + 2 < len(lines) and (found := _LINE_SCORE.fullmatch(below)):
            last, after = lines[place + 2]
            if (other := _LINE_SCORE.fullmatch(after)) and not _starts_with_score(own, last + len(after)):
                fault = _fault(found[1], found[2]) or _fault(other[1], other[2])
                yield _Pair(float(found[1]), float(other[1]), start, last + len(after), True, final, fault)


def _singles(own: str, pattern: re.Pattern[str]) -> Iterator[_Single]:
    """Scores behind a name and a colon; marked where a word says that they are scores."""
    for found in pattern.finditer(own):
        word, number, whole = found[2], found[3], found[4]
        above = _announced(own, found.start())
        marked = bool(word or whole or above or own[found.start(3) : found.end()].rstrip(" )").endswith("分"))
        final = re.search(_FINAL, word or "", re.IGNORECASE) is not None or bool(above and above["final"])
        yield _Single(found[1], float(number), found.start(), found.end(), marked, final, _fault(number, whole))


def _announced(own: str, at: int) -> re.Match[str] | None:
    """The word for scores in front on the same line, or in the last line above that is not about one answer."""
    start = own.rfind("\n", 0, at) + 1
    line = own[start:at]
    if found := list(re.finditer(_KEY, line, re.IGNORECASE)):
        return found[-1]
    while start > 0:
        end = start - 1
        start = own.rfind("\n", 0, end) + 1
        line = own[start:end].strip()
        if line and not _LINE_LABEL.search(line):
            return _HEADING.search(line)
    return None


def _prose(own: str) -> Iterator[_Single]:
    for found in _PROSE.finditer(own):
        number, whole = _numbers(found)
        yield _Single(found[1], float(number), found.start(), found.end(), True, False, _fault(number, whole))
    for found in _REVERSED.finditer(own):
        yield _Single(found[3], float(found[1]), found.start(), found.end(), True, False, _fault(found[1], found[2]))


def _pairs_of(singles: Iterable[_Single], own: str) -> Iterator[_Pair]:
    """Neighbours about the two answers. One that is said again before the other comes replaces itself if it agrees."""
    held: _Single | None = None
    for one in sorted(singles, key=lambda single: single.start):
        if held is None or held.side == one.side or held.marked != one.marked:
            held = one
            continue
        yield _joined(held, one, held.marked, final=(held.final and one.final) or _says_final(own, held.start))
        held = None


def _says_final(own: str, at: int) -> bool:
    """Whether the sentence calls what follows final: `After all, my final scores: …`."""
    start = max(own.rfind("\n", 0, at), own.rfind(". ", 0, at)) + 1
    return re.search(rf"(?:{_FINAL})\s*(?:{_WORD})", own[start:at], re.IGNORECASE) is not None


def _of_blocks(own: str) -> Iterator[_Pair]:
    """`Assistant 1: …text… Score: 2/10`, and the same of the other below: one score in each, or one final one."""
    heads = list(_BLOCK_HEAD.finditer(own))
    singles = []
    for place, head in enumerate(heads):
        if place + 1 < len(heads) and heads[place + 1][1] == head[1]:
            continue  # the same answer goes on below
        begin = next((h.start() for h in reversed(heads[: place + 1]) if h[1] != head[1]), 0)
        first = next(h.start() for h in heads if h.start() >= begin and h[1] == head[1])
        end = heads[place + 1].start() if place + 1 < len(heads) else len(own)
        found = list(_BLOCK_SCORE.finditer(own, first, end))
        last = [one for one in found if one["final"]]
        chosen = last if len(last) == 1 else found
        if len(chosen) == 1:
            one = chosen[0]
            fault = _fault(one[2], one[3])
            singles.append(_Single(head[1], float(one[2]), one.start(), one.end(), True, False, fault))
    yield from _pairs_of(singles, own)


def _joined(one: _Single, other: _Single, marked: bool, final: bool = False) -> _Pair:
    first, second = (one, other) if one.side == _ONE else (other, one)
    end = max(one.end, other.end)
    return _Pair(first.score, second.score, one.start, end, marked, final, first.fault or second.fault)


def _final(found: re.Match[str]) -> bool:
    return found["final"] is not None


def _pair(found: re.Match[str], start: int, end: int, marked: bool, final: bool = False) -> _Pair:
    numbers = [group for name, group in enumerate(found.groups(), 1) if name != found.re.groupindex.get("final")]
    one, of_one, other, of_other = numbers[:4]
    fault = _fault(one, of_one) or _fault(other, of_other)
    return _Pair(float(one), float(other), start, end, marked, final, fault)


def _fault(number: str, whole: str | None) -> str:
    if whole is not None and whole != "10":
        return SCALE
    return "" if 0 <= float(number) <= 10 else OUT_OF_RANGE
