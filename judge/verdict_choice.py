"""One of three in a recorded text: the first answer, the second, or a tie.

In: a judge's text, in plain digits. Out: a choice or a fault. A verdict in a form that is asked for (`[[A]]`, a first
or last line of its own, "Verdict: B", JSON) counts, and all of these must agree; brackets at the end win over an
"answer" before them. Without one, a first or last line that says which is better counts, unless the text takes it back:
"but", "except", "in style". Price: 20 µs for 1,000 characters.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from judge.records import Choice
from judge.verdict_json import object_in
from judge.verdict_text import AROUND, CONFLICT, Reading, Said, lacking

MISSING: Final = "choice.missing"
CUT: Final = "choice.cut"

_NOUN = (
    r"(?:(?:the\s)?(?:AI\s)?(?:assistant|answer|response|model|output|option|candidate)"
    r"|AI助手|助手|助理|回答|答案|模型|回复|选项)"
)
_ONE = r"(?:1|(?-i:A)|\(a\)|一|甲|one)(?![0-9A-Za-z]|\.[0-9])"
_TWO = r"(?:2|(?-i:B)|\(b\)|二|乙|two)(?![0-9A-Za-z]|\.[0-9])"
_OWN = r"(?:'s\s(?:answer|response))?(?:的(?:回答|答案))?"
_FIRST = (
    rf"(?:{_NOUN}\s?[#_-]?\s?{_ONE}{_OWN}|(?:the\s)?first\s(?:AI\s)?(?:assistant|answer|response|model|output|one)"
    rf"|第一个?(?:助手|回答|答案|模型)|前者)"
)
_SECOND = (
    rf"(?:{_NOUN}\s?[#_-]?\s?{_TWO}{_OWN}|(?:the\s)?second\s(?:AI\s)?(?:assistant|answer|response|model|output|one)"
    rf"|第二个?(?:助手|回答|答案|模型)|后者)"
)
_BOTH = (
    r"(?:(?:it\sis|it's)\sa\s)?(?:tie(?:d)?|draw|equal)|(?:both|the two|two)(?:\s(?:assistants|answers|responses"
    r"|models|outputs))?(?:'\s\w+)?\sare\s"
    r"(?:equally\s\w+|equal|tied)|平局?|平手|持平|相当|不分上下|一样好|(?:[两二](?:个|位|者)(?:助手|回答|答案|模型)?(?:的回答)?)(?:不相上下|一样[好差]|水平相当|"
    r"打成平手|旗鼓相当|平局|同样好)"
)
_NAME = (
    rf"(?:(?P<first>{_FIRST}|{_ONE})|(?P<second>{_SECOND}|{_TWO})|(?P<tie>{_BOTH}|(?:3|(?-i:C)|三)(?![0-9A-Za-z]"
    rf"|\.[0-9])))"
)
_WINS = (
    r"(?:\s?(?:wins?|is better|is the winner|is preferred|胜|胜出|获胜|更好|更优"
    r"|is the better (?:one|answer|response)))?"
)
_BARE: Final = re.compile(rf"{_NAME}{_WINS}(?:\s?\([^()\n]{{1,60}}\))?", re.IGNORECASE)
_COMPARED: Final = re.compile(
    rf"(?:{_NOUN}\s?)?(?P<one>A|B)\s?(?P<sign>>{{1,3}}|<{{1,3}}|={{1,2}})\s?(?:{_NOUN}\s?)?(?P<other>A|B)",
    re.IGNORECASE,
)
_BRACKETS: Final = re.compile(r"\[\[\s?([A-Za-z0-9\u3400-\u9fff<>= ]{1,16}?)\s?\]\]")
_KEYED: Final = re.compile(
    r"(?:therefore,?\s|so,?\s)?(?:(?:my|the|final|overall)\s){0,3}(?:verdict|winner|choice|decision|judge?ment"
    r"|conclusion|preference|"
    r"final\s(?:result|answer)|better(?:\s(?:answer|response|assistant|one|output|model))?|preferred(?:\s(?:answer"
    r"|response|output))?|"
    r"(?:我的)?(?:最终)?(?:结论|判断|选择)|最终结果|胜者|获胜者|更好的(?:回答|答案|助手)?)"
    rf"\s?(?:[:=]|is\s?:?|为|是)[\s\[(*\"']*{_NAME}{_WINS}(?:\s?\([^()\n]{{1,60}}\))?",
    re.IGNORECASE,
)
_ANSWER: Final = re.compile(rf"(?:answer|答案)\s?:\s?{_NAME}", re.IGNORECASE)  # only as the whole text
_LEAD = (
    r"(?:(?:reason(?:s|ing)?(?=\s?:)|理由(?=\s?:)|therefore|thus|overall|so|hence|in conclusion|in summary"
    r"|因此|所以|总之|综上(?:所述)?|总的来说|总体而言|我认为)[,:\s]*)*"
)
_ADVERB = r"(?:(?:slightly|clearly|much|significantly|somewhat|far|marginally|a bit|overall|definitely)\s)?"
_BECAUSE = r"(?:\s?,?\s?(?:because|since|as|due to|overall)\b[^.;\n]*|\s?,?\s?因为[^.;\n]*)?"
_BETTER: Final = re.compile(
    rf"{_LEAD}(?:(?P<first>{_FIRST})|(?P<second>{_SECOND}))\s?(?:"
    rf"(?:is|was|performs?|performed|did|does)\s(?:the\s)?{_ADVERB}(?P<word>better|superior|preferred|winner|worse"
    rf"|inferior)(?:\s(?:one|answer|response|output|assistant))?"
    rf"(?:\s(?:than|to)\s(?:(?P<than_first>{_FIRST})|(?P<than_second>{_SECOND})))?|wins|(?:略|明显|显然|要)?(?:更好|更优|更佳"
    rf"|胜出|获胜)){_BECAUSE}",
    re.IGNORECASE,
)
_THAN_ZH: Final = re.compile(
    rf"{_LEAD}(?:(?P<first>{_FIRST})|(?P<second>{_SECOND}))(?:比(?:(?P<than_first>{_FIRST})|"
    rf"(?P<than_second>{_SECOND}))(?:略|明显|要)?(?P<word>更?好|更?优|更?佳|更?差)"
    rf"|(?P<less>不如|优于|胜过|劣于)(?:(?P<less_first>{_FIRST})|(?P<less_second>{_SECOND})))(?:一些)?{_BECAUSE}",
    re.IGNORECASE,
)
_PREFER: Final = re.compile(
    rf"{_LEAD}(?:(?:I|we)(?:'d|\swould)?\s(?:prefer|choose|pick|select|go with)\s|我?(?:会)?选(?:择)?\s?)(?:"
    rf"(?P<first>{_FIRST}|{_ONE})|(?P<second>{_SECOND}|{_TWO}))"
    rf"(?:\sover\s(?:(?P<than_first>{_FIRST})|(?P<than_second>{_SECOND})))?{_BECAUSE}",
    re.IGNORECASE,
)
_EVEN: Final = re.compile(
    rf"{_LEAD}(?:{_BOTH}|(?:{_FIRST}[和与]{_SECOND}|{_SECOND}[和与]{_FIRST})(?:一样[好差]|不相上下|水平相当|旗鼓相当))",
    re.IGNORECASE,
)
_TAKEN_BACK: Final = re.compile(
    r"(?<![A-Za-z])(?:but|except|however|although|though|despite|while|whereas|unless|if|nevertheless|still|yet"
    r"|not|[a-z]{2,6}n't|might|may|could)(?![A-Za-z])|\?"
    r"|但|不过|然而|除了|虽然|尽管|如果|可能",
    re.IGNORECASE,
)
_REFERENCE: Final = re.compile(
    r"^[^\w\n]*reference\b.*", re.IGNORECASE | re.MULTILINE | re.DOTALL
)  # PandaLM adds an answer
_QUOTED: Final = re.compile(r"\"[^\"\n]{1,400}\"|“[^”]{1,400}”|「[^」]{1,400}」|```.*?```", re.DOTALL)
_KEY: Final = re.compile(
    r"(?:final[_ ])?(?:winner|verdict|choice|decision|preference|preferred|better(?:[_ ]\w+)?|judge?ment)|结论|胜者"
    r"|获胜者|选择|更好的回答",
    re.IGNORECASE,
)
_VERDICT_WORD: Final = re.compile(
    r"verdict|winner|choice|decision|better|prefer|judg|conclusion|结论|判断|选择|更好", re.IGNORECASE
)
_LONGEST: Final = 400  # characters of a line that may be a verdict


_LONGEST_INSIDE: Final = 100  # of a line with others around it


def read_choice(said: Said, text: str, cut: bool) -> Reading:
    """`text`: what `said` has, in plain digits."""
    if said.unfinished:
        return lacking(said, text, CUT, CUT)
    own = _REFERENCE.sub("", text) if "eference" in text or "EFERENCE" in text else text
    found = set(_choices(own))
    if len(found) > 1:
        return Reading(CONFLICT)
    if not found:
        return lacking(said, text, CUT if cut else MISSING, CUT)
    if cut and len(own.strip().splitlines()) == 1:
        return Reading(CUT)
    return Reading(choice=found.pop(), explanation=_explanation(text))


def _explanation(text: str) -> str:
    first, _, rest = text.strip().partition("\n")
    return rest.strip() if _BARE.fullmatch(_bare(first)) else text.strip()


def _bare(line: str) -> str:
    """A line without what stands around it; a bracket stays with the name in it: `Output (a)`."""
    inner = line.strip(AROUND)
    return f"{inner})" if "(" in inner and inner.count("(") > inner.count(")") else inner


def _choices(own: str) -> Iterator[Choice]:
    """All that counts in the text: formal verdicts and, at its end or without one, a line that says which is better."""
    formal: list[tuple[int, Choice]] = []
    for found in _BRACKETS.finditer(own) if "[[" in own else ():
        choice = _named(found[1].strip())
        if choice is not None:
            formal.append((found.start(), choice))
    brackets = len(formal)
    if "{" in own and (taken := object_in(own)) is not None:
        formal += [(0, choice) for choice in _of_json(taken[0])]
    whole = _bare(own) if len(own) <= _LONGEST else ""
    if any(sign in own for sign in '"“「`') and _named(whole) is None:
        own = _QUOTED.sub(_blank, own)
    lines = [(at, line) for at, line in _lines(own) if line.strip(AROUND)]
    if len(lines) == 1 and not formal and (answer := _ANSWER.fullmatch(whole)) and not answer["tie"]:
        formal.append((0, _choice(answer)))
    for place, (at, line) in enumerate(lines):
        edge = place in (0, len(lines) - 1)
        choice = _formal(_bare(line), edge) if len(line) <= (_LONGEST if edge else _LONGEST_INSIDE) else None
        if choice is not None and not (place and _counted(line, lines[place - 1][1])):
            formal.append((at, choice))
    yield from (choice for _, choice in formal)
    if not lines or brackets:
        return
    last_formal = max((at for at, _ in formal), default=-1)
    said = [choice for at, line in {lines[0], lines[-1]} if at > last_formal and (choice := _prose(line)) is not None]
    if said and not _TAKEN_BACK.search(own):
        yield from said


def _counted(line: str, above: str) -> bool:
    """Whether a number alone is the last of a list or a result, and no verdict: by the line above it."""
    if not line.strip(AROUND).isdigit():
        return False
    return any(sign.isdigit() or sign == "=" for sign in above) or (
        above.rstrip().endswith(":") and not _VERDICT_WORD.search(above)
    )


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _lines(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for line in text.split("\n"):
        yield at, line
        at += len(line) + 1


def _named(inner: str) -> Choice | None:
    """`A`, `Tie`, `助手1`, `A>>B`."""
    if compared := _COMPARED.fullmatch(inner):
        one, other = compared["one"].upper(), compared["other"].upper()
        if one == other:
            return None
        if compared["sign"].startswith("="):
            return "tie"
        return "first" if (one == "A") == compared["sign"].startswith(">") else "second"
    bare = _BARE.fullmatch(inner) or (_BARE.fullmatch(inner.upper()) if inner in ("a", "b") else None)
    return _choice(bare) if bare else None


def _formal(bare: str, edge: bool) -> Choice | None:
    """The choice of a line that is a verdict and nothing else."""
    if keyed := _KEYED.fullmatch(bare):
        return _choice(keyed)
    if not edge:
        return None
    choice = _named(bare)
    return choice if choice is not None else "tie" if _EVEN.fullmatch(bare) else None


def _prose(line: str) -> Choice | None:
    """Which answer a sentence calls better."""
    bare = line.strip(AROUND)
    if len(bare) > _LONGEST or not (
        found := _BETTER.fullmatch(bare) or _THAN_ZH.fullmatch(bare) or _PREFER.fullmatch(bare)
    ):
        return None
    groups = found.groupdict()
    than_first = groups.get("than_first") or groups.get("less_first")
    than_second = groups.get("than_second") or groups.get("less_second")
    if (groups["first"] and than_first) or (groups["second"] and than_second):
        return None
    worse = (groups.get("word") or "").lower() in ("worse", "inferior", "差", "更差") or groups.get("less") in (
        "不如",
        "劣于",
    )
    return "first" if bool(groups["first"]) != worse else "second"


def _of_json(found: Any) -> Iterator[Choice]:
    for pair in found if isinstance(found, list) else []:
        if isinstance(pair, tuple) and _KEY.fullmatch(pair[0]) and isinstance(pair[1], str | int):
            name = re.sub(
                r"^(model|assistant|response|answer|output)_", r"\1 ", str(pair[1]).strip(), flags=re.IGNORECASE
            )
            choice = _named(name[:-1] + name[-1:].upper())
            choice = choice if choice is not None else _named(name)
            if choice is not None:
                yield choice


def _choice(found: re.Match[str]) -> Choice:
    groups = found.groupdict()
    return "first" if groups["first"] else "second" if groups["second"] else "tie"
