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

_TAG: Final = re.compile(r"<(/?)(?:think(?:ing)?|reasoning|thought)\b[^<>]{0,80}>", re.IGNORECASE)
_SIGNS: Final = str.maketrans({"−": "-", "–": "-", "—": "-", "‐": "-", "、": ",", "。": ".", "\u00a0": " ", "’": "'"})
# Only asked where no verdict is found: a verdict may say sorry.
_REFUSAL: Final = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able)|i (?:can(?:not|'t)|won't|will not|must decline|am not comfortable)"
    r"|as an ai\b|(?:sorry|apologi[sz]e),? (?:but )?i\b"
    r"|(?:cannot|can't|unable to) (?:assist|help|evaluate|judge|rate|score|comply))"
    r"|抱歉|对不起|很遗憾|无法(?:评|对|为|给|协助|提供|完成|判断|回答)|不能(?:评|对|为|协助|提供)|作为(?:一个|一名)?(?:ai|人工智能|语言模型)",
    re.IGNORECASE,
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
        if tag[1]:
            kept = kept if inside else []
            place, inside = tag.end(), False
        elif not inside:
            kept.append(raw[place : tag.start()])
            inside = True
    return Said("".join(kept if inside else [*kept, raw[place:]]), inside)


def plain(text: str) -> str:
    """Full-width digits and punctuation as the usual ones; line breaks as they are, one kind of them."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def refuses(text: str) -> bool:
    """Whether a text without a verdict begins or ends as one that declines."""
    return _REFUSAL.search(text[:400]) is not None or _REFUSAL.search(text[-200:]) is not None


def lacking(said: Said, text: str, missing: str, cut: str) -> Reading:
    """The fault of a text in which nothing was found."""
    if said.unfinished:
        return Reading(cut)
    if not text.strip():
        return Reading(EMPTY)
    return Reading(REFUSED if refuses(text) else missing)
