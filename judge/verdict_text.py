"""What every grammar does with a judge's text before it looks for a verdict in it.

In: the raw text of a judge. Out: the text without its thinking, in plain digits and punctuation, and `Reading`, what a
grammar makes of it. Price: 2 µs for an English text, 40 µs for 1,000 Chinese characters.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from judge.records import Choice

EMPTY: Final = "verdict.empty"
REFUSED: Final = "verdict.refused"
CONFLICT: Final = "verdict.conflict"  # it says two things
AROUND: Final = " \t*_`#>|.,;:!\"'()[]{}-"  # what may stand around a verdict in its line

_TAG: Final = re.compile(r"<(/?)(?:think(?:ing)?|reasoning|thought)\b[^<>]{0,80}>", re.IGNORECASE)
_MENTION: Final = re.compile(r" (?:tag|section|block|token)s?\b")  # "it uses <think> tags" begins no thought
# The turn ends here, whatever a runaway model adds.
_END: Final = re.compile(
    r"<\|(?:im_end|endoftext|eot_id|eom_id|end_of_text|end)\|>|<｜end▁of▁sentence｜>|<end_of_turn>|<eos>|\[EOS\]"
    r"|</s>(?=\s|$|<)"
)
_BEGIN: Final = re.compile(r"\s*(?:<s>|<\|im_start\|>|<\|assistant\|>|<\|begin_of_text\|>|assistant\n)\s*")
_SIGNS: Final = {
    **dict.fromkeys("−–—‐‑", "-"),
    **dict.fromkeys("，、", ", "),  # no decimal comma
    **dict.fromkeys("\u00a0\u3000\u202f", " "),
    **dict.fromkeys("\ufeff\u200b\u200c\u200d\u2060", ""),
    **{"。": ". ", "’": "'", "〜": "~", "【": "[", "】": "]", "﹣": "-"},
}
_WIDE: Final = re.compile(rf"[\uff01-\uff5e\U0001d7ce-\U0001d7ff{''.join(_SIGNS)}]")
# Only asked where no verdict is found: a verdict may say sorry.
_REFUSAL: Final = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able)|i (?:can(?:not|'t)|won't|will not|must decline|am not comfortable)"
    r"|as an ai\b|(?:sorry|apologi[sz]e),? (?:but )?i\b"
    r"|(?:cannot|can't|unable to) (?:assist|help|evaluate|judge|rate|score|comply))"
    r"|抱歉|对不起|很遗憾|无法(?:评|对|为|给|协助|提供|完成|判断|回答)|不能(?:评|对|为|协助|提供)|作为(?:一个|一名)?(?:ai|人工智能|语言模型)",
    re.IGNORECASE,
)
# Beside a verdict: the judge itself says that it does not judge, or that its numbers stand for nothing.
_DECLINED_HINTS: Final = ("annot", "an't", "an not", "nable", "not able", "ecline", "won't", "ill not")
_DECLINED: Final = re.compile(
    r"I(?<![A-Za-z]I)(?:'m| am)? (?:cannot|can't|can not|unable to|not able to|won't|will not|decline to"
    r"|must decline to)"
    r" (?:\w+ )?(?:evaluate|judge|rate|score|assess|compare|decide)\b"
    r"(?=\s*(?:[.,;:!\n]|$)|\s(?:(?:these|the|either|both|any|this|your|of|two)\s){1,3}(?:AI\s)?"
    r"(?:answers?|responses?|assistants?|models?|questions?|pair|requests?)\b(?!')|\s(?:them|it|either"
    r"|both)\b\s*[.,;!\n])"
)
_PLACEHOLDER: Final = re.compile(r"placeholder (?:scores?|ratings?|values?|numbers?)")
_DECLINED_ZH: Final = re.compile(
    r"(?:^|[\s,.;!我])(?:无法|不能|拒绝)(?:对[^\n,.;]{0,20})?(?:进行|作出|做出|给出)?(?:评价|评分|评判|评估|判断|打分)"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says; with a `fault` it says nothing that counts. Scores only where the grammar has some."""

    fault: str = ""
    score_first: float | None = None
    score_second: float | None = None
    choice: Choice | None = None
    explanation: str = ""


def of_scores(first: float, second: float, explanation: str) -> Reading:
    """The verdict that two scores make."""
    choice: Choice = "first" if first > second else "second" if second > first else "tie"
    return Reading("", first, second, choice, explanation)


@dataclass(frozen=True, slots=True)
class Said:
    """A judge's text without its thinking; `unfinished`: a thought was begun and not ended."""

    text: str
    unfinished: bool


def without_thinking(raw: str) -> Said:
    """An end without a beginning ends a thought too: some templates open it for the model."""
    if "<" not in raw:
        return Said(raw, False)
    kept: list[str] = []
    place, inside = 0, False
    for tag in _TAG.finditer(raw):
        if _MENTION.match(raw, tag.end()) or (raw[tag.start() - 1 : tag.start()] in ("`", '"') and tag.start()):
            continue
        if tag[1]:
            kept = kept if inside else []
            place, inside = tag.end(), False
        elif not inside:
            kept.append(raw[place : tag.start()])
            inside = True
    return Said("".join(kept if inside else [*kept, raw[place:]]), inside)


def without_tokens(text: str) -> str:
    """Up to the end of the judge's turn, and without the signs that begin one."""
    if "<" not in text and "[EOS]" not in text:
        return text
    while (begin := _BEGIN.match(text)) and begin[0].strip() != "assistant":
        text = text[begin.end() :]
    end = _END.search(text)
    return text[: end.start()] if end and text[: end.start()].strip() else text


def plain(text: str) -> str:
    """Full-width digits and punctuation as the usual ones; line breaks as they are, one kind of them."""
    if not text.isascii():
        text = _WIDE.sub(_plain_sign, text)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _plain_sign(found: re.Match[str]) -> str:
    sign = found[0]
    known = _SIGNS.get(sign)
    return unicodedata.normalize("NFKC", sign) if known is None else known


def refuses(text: str) -> bool:
    """Whether a text without a verdict begins or ends as one that declines."""
    return _REFUSAL.search(text[:400]) is not None or _REFUSAL.search(text[-200:]) is not None


def declined(text: str) -> bool:
    """Whether a text with a verdict says of itself that it is none."""
    return (
        (any(hint in text for hint in _DECLINED_HINTS) and _DECLINED.search(text) is not None)
        or ("placeholder" in text and _PLACEHOLDER.search(text) is not None)
        or (not text.isascii() and _DECLINED_ZH.search(text) is not None)
    )


def lacking(said: Said, text: str, missing: str, cut: str) -> Reading:
    """The fault of a text in which nothing was found."""
    if said.unfinished:
        return Reading(cut)
    if not text.strip():
        return Reading(EMPTY)
    return Reading(REFUSED if refuses(text) else missing)
