"""What a score, a pair of scores and the words before them look like; tables for the readers of recorded texts.

In: nothing. Out: pieces of patterns over the words of verdict_names.py, and `Statement`, what one place of a text says.
A number is a score only with nothing before or after it that makes it another one: units, ranges, percent, decimal
commas, further numbers. Words before scores are known ones, all of them: a word that is not known may change what the
numbers are of ("Accuracy", "Errors", "Initially"), so they are then no scores.
"""

import re
from dataclasses import dataclass
from typing import Final

from judge.verdict_names import MARKED, NAMES, ONE, TWO

OUT_OF_RANGE: Final = "score.out_of_range"
SCALE: Final = "score.other_scale"
MALFORMED: Final = "score.malformed"

NUMBER: Final = r"(?<![0-9A-Za-z.,/$€£¥^+×-])\ue004?(-?(?!0[0-9])[0-9]{1,6}(?:\.[0-9]{1,3})?)"
_NEXT = r"\ue004?(-?(?!0[0-9])[0-9]{1,6}(?:\.[0-9]{1,3})?)"  # of a pair: what stands before it is known
WHOLE: Final = (
    r"(?:\s?分?\s?(?:/\s?|\(?out of (?:an? (?:possible |total of )?|)|\(?满分\s?[为是]?\s?)([0-9]+)"
    r"(?:\s?(?:分|points?\b|marks?\b|stars?\b))?\)?)"
)
UNIT: Final = r"(?:\s?(?:分(?![钟之以数别析布类手歧])|points?\b|marks?\b|stars?\b))"
NO_SCORE: Final = (
    r"(?![0-9A-Za-z_%°²³½¼¾]|\.[0-9]|,[0-9]|:[0-9]|[^\S\n]*(?:%|[-~/×+=*^][^\S\n]*[0-9]|(?:to|or|至|到"
    r"|或)[^\S\n]*[0-9]))"
)
SCORE: Final = rf"{NUMBER}(?:{WHOLE}|{UNIT})?{NO_SCORE}"
BETWEEN: Final = (
    r"([^\S\n]*[,;|&][^\S\n]*(?:and\s)?|[^\S\n]+(?:and|vs\.?|versus)[^\S\n]+|[^\S\n]*(?:和|与|对)[^\S\n]*|[^\S\n]+)"
)
_ONE_OF_PAIR = rf"{NUMBER}(?:{WHOLE}|{UNIT})?(?![0-9A-Za-z_%]|\.[0-9])"
PAIR: Final = (
    rf"[(\[{{<]?\s?{_ONE_OF_PAIR}{BETWEEN}{_NEXT}(?:{WHOLE}|{UNIT})?{NO_SCORE}\s?[)\]}}>]?"
    rf"(?![^\S\n]*(?:[,;|&/-]|and\b|和|与)?[^\S\n]*\ue004?-?[0-9])"
)
# After a single score: nothing that makes it a number of something.
STOP: Final = (
    rf"(?=[^\S\n]*(?:$|[\n,;.!)\]}}(|&\"'>{NAMES}]|-+\s|(?:and|while|but|whereas|due|because|for|as|since|with|overall)\b"
    rf"|(?:goes )?to\s(?:the\s)?[{NAMES}]|[和而因由但且与给]))(?![^\S\n]*(?:[,;|&]|and\b|和|与)[^\S\n]*\ue004?-?[0-9])"
)

KEY: Final = (
    r"(?:scores?|ratings?|marks?|tuple|output|evaluation|verdict|final(?!\s(?:answer|result|response|value)s?)|overall|total|respectively"
    r"|评分|得分|分数|打分|总分|总评|综合|最终|总体|分别|结果)"
)
_LEAD_WORDS = (
    r"the|my|our|is|are|was|were|be|would|will|i'd|i|we|as|follows|for|of|to|and|both|two|following|below|these"
    r"|this|here|"
    r"python|containing|assistants?|answers?|responses?|models?|then|therefore|thus|so|hence|in|conclusion|summary"
    r"|based|on|"
    r"above|assessment|judge?ment|give|assign|award|rate|receives?|gets?|gave|get|them|each|an?|sure|comparison|ai"
    r"|quality|"
    r"it|that|can|be|given|should|after|considering|reviewing|evaluating|all|factors"
)
_LEAD_ZH = r"[如下为是的两个位和与及给出我因此所以综上述对打得获各都均评价估助手回答答案模型最后一二者者们你应]"
LEAD: Final = re.compile(
    rf"(?:[\s:=~>,()\[\]|#*\"'&-]|[{ONE}{TWO}]'?s?|(?:{KEY}|{_LEAD_WORDS})(?![A-Za-z])|{_LEAD_ZH})*", re.IGNORECASE
)
HAS_KEY: Final = re.compile(
    rf"(?<![A-Za-z]){KEY}(?![A-Za-z])|(?:receive|get)s?\b|(?:rate|give|score) them\b|[打得]", re.IGNORECASE
)
CRITERIA: Final = (
    r"(?:accuracy|style|relevance|helpfulness|details?|depth|creativity|clarity|correctness|coherence|fluency"
    r"|factuality|"
    r"conciseness|completeness|grammar|formatting|format|tone|safety|harmlessness|readability|structure|content"
    r"|language|"
    r"truthfulness|logic|reasoning|usefulness|consistency|informativeness|originality|准确|相关|流畅|有用|帮助|细节|创[造意]|"
    r"完整|逻辑|清晰|深度|风格|语言|安全|连贯|内容|文风|简洁|事实)"
)
# A heading with one of these is no heading of scores.
OTHER_NUMBERS: Final = re.compile(
    rf"(?<![A-Za-z])(?:{CRITERIA}|errors?|mistakes?|counts?|number of|words|characters|tokens|length|rank\w*|place"
    rf"|position|"
    r"order(?:ing)?|deduct\w*|lost|initial\w*|preliminary|tentative|first impression|previous\w*|old|former"
    r"|example|sample|"
    r"e\.g|answers? (?:are|is|given)|values?|solutions?|time|steps|cost|price)(?![A-Za-z])"
    rf"|错误|字数|数量|排名|排序|名次|顺序|扣|初步|初始|例如|示例|长度|次数|时间|{CRITERIA}",
    re.IGNORECASE,
)
SENTENCE_END: Final = ("\n", ". ", "! ", "? ", "; ")


@dataclass(frozen=True, slots=True)
class Statement:
    """What one place says of one answer or of both. `weak`: numbers behind names that nothing calls scores."""

    first: float | None
    second: float | None
    start: int
    end: int
    weak: bool = False
    fault: str = ""
    doubtful: bool = False  # a score or a result: no verdict, but one that says otherwise is none either

    @property
    def whole(self) -> bool:
        return self.first is not None and self.second is not None


def fault_of(number: str, whole: str | None) -> str:
    """Why a number cannot be a score from 0 to 10."""
    if whole is not None and whole != "10":
        return SCALE
    return "" if 0 <= float(number) <= 10 else OUT_OF_RANGE


def of_side(side: str, number: str, whole: str | None, start: int, end: int, weight: str = "said") -> Statement:
    """One score of the answer ONE or TWO."""
    score = float(number)
    first, second = (score, None) if side == ONE else (None, score)
    fault = fault_of(number, whole)
    return Statement(first, second, start, end, weight == "weak", fault, weight == "doubtful")


def of_pair(found: re.Match[str], start: int, end: int, lead: str = "") -> Statement | None:
    """PAIR is the last part of the pattern. None where the words before it name the answers in no known way."""
    one, of_one, between, other, of_other = found.groups()[-5:]
    named = [sign for sign in lead if sign in NAMES]
    if named not in ([], [ONE, TWO], [TWO, ONE]):
        return None
    fault = fault_of(one, of_one) or fault_of(other, of_other)
    bare_comma = between == "," and MARKED not in found[0]
    # "7,5" and "8,9 / 10" may be one number with a decimal comma; "Score: 8,9" too.
    single = re.search(r"(?<![A-Za-z])(?:score|rating)(?![A-Za-z])", lead, re.IGNORECASE) is not None
    if bare_comma and (other == "5" or (of_one is None) != (of_other is None) or single):
        fault = fault or MALFORMED
    first, second = float(one), float(other)
    if named == [TWO, ONE]:
        first, second = second, first
    return Statement(first, second, start, end, fault=fault)


def sentence_start(text: str, at: int, window: int = 240) -> int:
    """Where the sentence begins in which `at` lies; at most `window` characters before it."""
    low = max(0, at - window)
    return max([low, *(found + len(end) for end in SENTENCE_END if (found := text.rfind(end, low, at)) >= 0)])
