"""One of three in a recorded text: the first answer, the second, or a tie.

In: a judge's text, in plain digits. Out: a choice or a fault. Read are `1`, `2`, `3` or `A`, `B`, `C`, `tie`, `平局`
that stand alone on the first or last line, behind a word like "Verdict:", or in `[[A]]`, and a first or last line that
says which is better. All that a text says in these ways must agree. Price: 20 µs for 1,000 characters.
"""

import re
from collections.abc import Iterator
from typing import Final

from judge.records import Choice
from judge.verdict_text import CONFLICT, Reading, Said, lacking

MISSING: Final = "choice.missing"
CUT: Final = "choice.cut"

_NOUN = (
    r"(?:the\s+)?(?:(?:AI\s+)?assistant|answer|response|model|output|option|AI助手|助手|助理|回答|答案|模型|回复|选项)"
)
_FIRST = r"1|A|一|甲|one|first"
_SECOND = r"2|B|二|乙|two|second"
_TIE = r"3|C|tie(?:d)?|draw|equal|both|平局|平手|持平|相当|不分上下|三|一样好"
_WHICH = rf"(?:{_NOUN}\s*[#_-]?\s*)?(?:(?P<first>{_FIRST})|(?P<second>{_SECOND})|(?P<tie>{_TIE}))"
_BARE: Final = re.compile(rf"{_WHICH}(?:\s*(?:wins?|胜|胜出|获胜|更好|更优|is better))?", re.IGNORECASE)
_BRACKETS: Final = re.compile(r"\[\[\s*([A-Za-z0-9\u3400-\u9fff]{1,12})\s*\]\]")
_KEYED: Final = re.compile(
    r"(?:(?:my|the|final|overall)\s+){0,3}(?:verdict|winner|choice|decision|judge?ment|conclusion|result|output|"
    r"better(?:\s+(?:answer|response|assistant|one))?|preferred(?:\s+(?:answer|response))?|answer|rating|preference|"
    r"最终(?:结论|判断|选择|结果)|结论|胜者|获胜者|判断|选择|结果|更好的(?:回答|答案|助手)?|答案)"
    rf"\s*(?:[:=]|is\s*:?|为|是)\s*\W*{_WHICH}",
    re.IGNORECASE,
)
_BETTER: Final = re.compile(
    rf"(?:(?:therefore|thus|overall|so|hence|in conclusion|in summary|因此|所以|总之|综上|总的来说|我认为)[,:\s]*)*"
    rf"{_NOUN}\s*[#_-]?\s*(?:(?P<first>{_FIRST})|(?P<second>{_SECOND}))(?:'s\s+(?:answer|response))?(?:的回答)?\s*"
    r"(?:(?:is|was|performs?|performed|did|does)\s+(?:the\s+)?(?:(?:slightly|clearly|much|significantly|somewhat|far|"
    r"marginally)\s+)?(?:better|superior|preferred|winner)(?:\s+(?:one|answer|response|than)\b[^.;\n]*)?|wins"
    r"|(?:略|明显|显然)?(?:更好|更优|胜出|获胜))",
    re.IGNORECASE,
)
_EVEN: Final = re.compile(
    r"(?:(?:therefore|thus|overall|so)[,\s]*)*(?:it(?:'s| is) a (?:tie|draw)|both (?:assistants?|answers|"
    r"responses|models)(?:' (?:answers|responses))? are (?:equally (?:good|bad)|tied|equal)"
    r"|(?:两个|两位|两者)(?:助手|回答|答案|模型)?(?:的回答)?(?:不相上下|一样好|水平相当|打成平手|旗鼓相当|平局))",
    re.IGNORECASE,
)
_REFERENCE: Final = re.compile(
    r"^[^\w\n]*reference\b.*", re.IGNORECASE | re.MULTILINE | re.DOTALL
)  # PandaLM adds an answer
_QUOTED: Final = re.compile(r"\"[^\"\n]{1,400}\"|“[^”]{1,400}”|「[^」]{1,400}」|```.*?```", re.DOTALL)
_AROUND: Final = " \t*_`#>|.,;:!\"'()[]{}-"


def read_choice(said: Said, text: str, cut: bool) -> Reading:
    """`text`: what `said` has, in plain digits."""
    own = _REFERENCE.sub("", text)
    found = {choice for choice, _ in _choices(own)}
    if len(found) > 1:
        return Reading(CONFLICT)
    if not found:
        return lacking(said, text, CUT if cut else MISSING, CUT)
    if cut and len(own.strip().splitlines()) == 1:
        return Reading(CUT)
    return Reading(choice=found.pop(), explanation=_explanation(text))


def _explanation(text: str) -> str:
    first, _, rest = text.strip().partition("\n")
    return rest.strip() if _BARE.fullmatch(first.strip(_AROUND)) else text.strip()


def _choices(own: str) -> Iterator[tuple[Choice, int]]:
    """All that the text says, and where."""
    for found in _BRACKETS.finditer(own):
        inner = _BARE.fullmatch(found[1])
        if inner:
            yield _choice(inner), found.start()
    own = _QUOTED.sub(" ", own) if not _BARE.fullmatch(own.strip(_AROUND)) else own
    lines = [line.strip() for line in own.splitlines() if line.strip(_AROUND)]
    for place, line in enumerate(lines):
        edge = place in (0, len(lines) - 1)
        bare = line.strip(_AROUND)
        keyed = _KEYED.fullmatch(bare)
        if keyed is not None:
            yield _choice(keyed), place
        elif edge and (found_ := _BARE.fullmatch(bare) or _BETTER.fullmatch(bare)):
            yield _choice(found_), place
        elif edge and _EVEN.fullmatch(bare):
            yield "tie", place


def _choice(found: re.Match[str]) -> Choice:
    groups = found.groupdict()
    return "first" if groups["first"] else "second" if groups["second"] else "tie"
