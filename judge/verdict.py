"""What a judge's text says: one strict grammar for each way of asking; pure functions, so reading again costs no call.

In: the raw text, the nonce of the call, whether the text was cut. Out: a `Reading`, with scores and a choice or with a
stable fault. Where a text can be read in two ways it is invalid: an unread verdict is never a win and never a tie.
Our own prompts end in one line that carries a nonce which no answer can know, and only the last such line counts:

    <<7f3a9c21>> A=8 B=6.5        grammar `scores`: 1 to 10, whole or half points; A was shown first
    <<7f3a9c21>> A                grammar `three-way-nonce`: A, B or TIE

`two-scores` and `three-way` are for recorded texts of other prompts (verdict_scores.py, verdict_choice.py).
"""

import re
from typing import Final, get_args

from judge.records import Choice
from judge.verdict_choice import read_choice
from judge.verdict_scores import read_two_scores
from judge.verdict_text import AROUND, Reading, lacking, of_scores, plain, without_thinking, without_tokens

GRAMMARS: Final = ("scores", "three-way-nonce", "two-scores", "three-way")
CHOICES: Final = get_args(Choice)
WITH_NONCE: Final = frozenset({"scores", "three-way-nonce"})
LOWEST, HIGHEST = 1.0, 10.0  # of `scores`

_ANY_NONCE: Final = re.compile(r"<<([0-9A-Za-z]{6,64})>>")
_SCORE: Final = r"[=:]\s*(-?\d+(?:\.\d+)?)\s*(?:/\s*10)?(?:\s*分)?"
_PAIR: Final = re.compile(rf"A\s*{_SCORE}[\s,;|]*B\s*{_SCORE}|B\s*{_SCORE}[\s,;|]*A\s*{_SCORE}", re.IGNORECASE)
_THREE: Final[dict[str, Choice]] = {
    "A": "first",
    "B": "second",
    **dict.fromkeys(("TIE", "平", "平局", "平手"), "tie"),
}


def read(grammar: str, raw: str, *, nonce: str | None = None, cut: bool = False) -> Reading:
    """`cut`: the judge's text ended because it became too long. Without a `nonce` any `<<…>>` counts as one."""
    said = without_thinking(raw)
    if grammar not in WITH_NONCE:
        text = plain(without_tokens(said.text))
        return read_two_scores(said, text, cut) if grammar == "two-scores" else read_choice(said, text, cut)
    text = plain(said.text)
    line, before = _last_line(text, nonce)
    kind = "score" if grammar == "scores" else "choice"
    if cut or said.unfinished:  # a 1 may have been going to be a 10
        return Reading(f"{kind}.cut")
    if line is None:
        return lacking(said, text, f"{kind}.missing", f"{kind}.cut")
    return _scores(line, before) if grammar == "scores" else _three(line, before)


def _last_line(text: str, nonce: str | None) -> tuple[str | None, str]:
    """What stands behind the nonce in the last line that carries it, and the text before that line."""
    if nonce is None:
        found = list(_ANY_NONCE.finditer(text))
        if not found:
            return None, text
        nonce = found[-1][1]
    at = text.rfind(nonce) if nonce else -1
    if at < 0:
        return None, text
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : end if end >= 0 else len(text)]
    head, _, rest = line.partition(nonce)
    if head.strip(AROUND + "<") or nonce in rest:  # words before it, or two verdicts in one line
        return "", text[:start]
    return rest.strip(AROUND + "<>"), text[:start]


def _scores(line: str, before: str) -> Reading:
    found = _PAIR.fullmatch(line)
    if found is None:
        return Reading("score.malformed" if any(sign.isdigit() for sign in line) else "score.missing")
    swapped = found[1] is None
    first, second = float(found[4] if swapped else found[1]), float(found[3] if swapped else found[2])
    for score in (first, second):
        if not LOWEST <= score <= HIGHEST:
            return Reading("score.out_of_range")
        if not (2 * score).is_integer():
            return Reading("score.not_a_half_point")
    return of_scores(first, second, before.strip())


def _three(line: str, before: str) -> Reading:
    choice = _THREE.get(line.upper())
    if choice is None:
        return Reading("choice.malformed" if line else "choice.missing")
    return Reading(choice=choice, explanation=before.strip())
