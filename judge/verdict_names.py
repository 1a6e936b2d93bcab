"""The judge's own words, with the two answers' names as one sign each, so that numbers can be looked for.

In: a judge's text in plain digits. Out: the text without emphasis, quotations, code and notes on the scale, in which
"Assistant 1", "the second response", "助手A" or "score_b" are the signs ONE and TWO (a third answer: OTHER), and a
number in double brackets has MARKED before it. Price: 30 µs for 1,000 characters.
"""

import re
from typing import Final

ONE, TWO, OTHER, MARKED = "\ue001", "\ue002", "\ue003", "\ue004"
NAMES: Final = ONE + TWO + OTHER
SIGNS: Final = {
    **dict.fromkeys(("1", "a", "one", "first", "一", "甲"), ONE),
    **dict.fromkeys(("2", "b", "two", "second", "二", "乙"), TWO),
}

_NOUN = (
    r"(?:assistant|answer|response|model|chatbot|bot|output|candidate|system|agent|reply|option|completion|solution)"
)
_NOUN_ZH = r"(?:助手|助理|回答|答案|模型|回复|系统|机器人|答复|选手|选项|输出|候选)"
_MEASURE = r"(?!\s?(?:个|道|次|条|句|种|步|分(?!别)|点|些|样|般|致|定|方面))"
# A text has few signs that may be a name's number and many words that may be its noun, so the number is looked for.
_NUMBER: Final = re.compile(
    r"[1-9A-HOT(_一二三甲乙丙-](?:(?<=[1-9])(?<![0-9A-Za-z.][1-9])(?![0-9A-Za-z]|\.[0-9]|\s?/\s?[0-9])"
    r"|(?<=[A-H])(?<![0-9A-Z.][A-H])(?![0-9A-Za-z])|(?<=O)ne(?![A-Za-z])|(?<=T)(?:wo|hree)(?![A-Za-z])"
    r"|(?<=\()[1-9a-hA-H一二三]\)|(?<=[_-])[1-9a-h](?![0-9A-Za-z]|\.[0-9])|(?<=[一二三甲乙丙]))"
)
_NOUN_BEFORE: Final = re.compile(
    rf"(?<![A-Za-z])(?:the\s)?(?:AI[ _-]?)?{_NOUN}[ \t]?[#_-]?[ \t]?$|(?P<zh>(?:AI)?{_NOUN_ZH}[ \t]?[#_-]?[ \t]?$)",
    re.IGNORECASE,
)
_MEASURED: Final = re.compile(_MEASURE)
_NOUN_REACH: Final = 28  # characters that a noun with its article takes
_ORDINAL: Final = re.compile(
    rf"(?:[Tt]he\s)?(?<![A-Za-z])([Ff]irst|[Ss]econd|[Tt]hird)\s(?:AI\s)?(?i:{_NOUN}(?![A-Za-z])|one(?=[\s,:]"
    rf"(?![A-Za-z])))"
    rf"|第([一二三1-9])(?:个|位|条|份|篇|款|名)?(?:AI)?{_NOUN_ZH}"
)
_PLURALS: Final = ("assistants ", "answers ", "responses ", "models ", "outputs ")
_PLURAL: Final = re.compile(
    rf"(?<![A-Za-z]){_NOUN}s\s(?:(1|(?-i:A))|(2|(?-i:B)))\s?(?:and|&|,|/)\s?(?:1|2|(?-i:[AB]))(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_OF_SCORE: Final = re.compile(
    r"(?<![A-Za-z])(?:scores?|ratings?|评分|得分|分数)"
    r"(?:[ \t]?[#_]?[ \t]?([1-9]|(?-i:[A-H]))|_([a-h]))(?=[\"']?\s*[:=])",
    re.IGNORECASE,
)
_ALONE: Final = re.compile(
    r"(?:^|(?<=\n))([ \t*#-]{0,6})(first|second|third)(?=\s?:\s?[0-9])"
    r"|(?<!\w)([甲乙丙])(?=\s?[:=]?\s?[0-9])|第([一二三])[个位](?=\s?[:=]?\s?[0-9.]{1,4}\s?分)",
    re.IGNORECASE,
)
_LETTERS: Final = re.compile(r"(?<![\w'])([AB])(?=[\"']?\s?[:=]\s?[0-9\ue004])")
_TAGGED: Final = re.compile(
    r"<([a-z_]{0,24}[12ab][a-z_]{0,12})>\s{0,9}(-?[0-9][0-9./]{0,7})\s{0,9}</\1>", re.IGNORECASE
)
_BRACKETED: Final = re.compile(r"\[\[\s?(-?[0-9]{1,3}(?:\.[0-9]{1,3})?(?:\s?/\s?10)?)\s?\]\]")
_SCALE_NOTE: Final = re.compile(
    r"\(?(?<![A-Za-z])(?:(?:on|using|with)\s)?(?:an?\s|the\s)?scale\s?(?:of|from|:)?\s?[01]\s?(?:-|to|~)\s?10"
    r"(?![0-9.])\)?"
    r"|\(\s?(?:from\s)?[01]\s?(?:-|to|~|到|至)\s?10\s?分?\s?\)",
    re.IGNORECASE,
)
_RANGE: Final = re.compile(r"\(\s?(?:from\s)?[01]\s?[-t~到至]")
_EMPHASIS: Final = re.compile(r"\*{2,3}|__|`|\*(?=\S)(?<![0-9]\*)|(?<=\S)\*(?![0-9])")
_FENCE: Final = re.compile(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
_QUOTED: Final = re.compile(r"\"[^\"\n]{1,400}\"|“[^”]{1,400}”|「[^」]{1,400}」|『[^』]{1,400}』|《[^》]{1,100}》")
_QUOTE_LINE: Final = re.compile(r"^[ \t]*>[^\n]*$", re.MULTILINE)
_ONLY_NUMBERS: Final = re.compile(r"[\s0-9./,()\[\]:;A-B-]*")


def own_words(text: str) -> str:
    """Line breaks stay where they are but for fences and quotations."""
    for sign in (ONE, TWO, OTHER, MARKED):
        text = text.replace(sign, " ")
    if "```" in text:
        text = _FENCE.sub(_unfenced, text)
    if "*" in text or "`" in text or "__" in text:
        text = _EMPHASIS.sub("", text)
    if ">" in text:
        text = _QUOTE_LINE.sub("", text)
        text = _TAGGED.sub(r"\n\1: \2\n", text) if "</" in text else text
    if "[[" in text:
        text = _BRACKETED.sub(rf"{MARKED}\1", text)
    if "10" in text and ("scale" in text or "Scale" in text or _RANGE.search(text)):
        text = _SCALE_NOTE.sub(" ", text)
    text = named(text)
    return _QUOTED.sub(_unquoted, text) if any(sign in text for sign in '"“「『《') else text


def named(text: str) -> str:
    """The names as signs."""
    low = text.lower()
    if any(plural in low for plural in _PLURALS):
        text = _PLURAL.sub(lambda m: f"{ONE} and {TWO}" if m[1] else f"{TWO} and {ONE}", text)
    if "irst" in low or "econd" in low or "第" in low:
        text = _ORDINAL.sub(_sign, text)
    text = _numbered(text)
    if "score" in low or "rating" in low or "分" in low:
        text = _OF_SCORE.sub(lambda m: f"{_sign(m)} score", text)
    if any(word in low for word in ("first", "甲", "第")):
        text = _ALONE.sub(lambda m: (m[1] or "") + _which(next(one for one in m.groups()[1:] if one)), text)
    if ONE not in text and TWO not in text and {m[0] for m in _LETTERS.finditer(text)} == {"A", "B"}:
        text = _LETTERS.sub(_sign, text)
    return text


def _numbered(text: str) -> str:
    """`Assistant 1`, `Output (a)`, `助手2` as signs."""
    parts: list[str] = []
    done = 0
    for found in _NUMBER.finditer(text):
        start = found.start()
        noun = _NOUN_BEFORE.search(text, max(done, start - _NOUN_REACH), start)
        if noun is None or (noun["zh"] and not _MEASURED.match(text, found.end())):
            continue
        parts += [text[done : noun.start()], _which(found[0].strip("()_-"))]
        done = found.end()
    parts.append(text[done:])
    return "".join(parts)


def _sign(found: re.Match[str]) -> str:
    return _which(next(one for one in found.groups() if one))


def _which(name: str) -> str:
    return SIGNS.get(name.lower(), OTHER)


def _unfenced(found: re.Match[str]) -> str:
    inner = found[1].strip()
    return f"{inner}\n" if _ONLY_NUMBERS.fullmatch(inner) or inner.startswith(("{", "[")) else "\n"


def _unquoted(found: re.Match[str]) -> str:
    """Short quotations are emphasis or the keys of an object; longer ones with numbers are somebody else's words."""
    inner = found[0][1:-1]
    if not any(sign.isdigit() for sign in inner):
        return found[0]
    return found[0] if len(inner) <= 6 and _ONLY_NUMBERS.fullmatch(inner) and " " not in inner else " "
