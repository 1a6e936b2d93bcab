"""The prompts that judges read: rules, a rubric, and the material between fences that no answer can forge.

In: a question, two answers in the order shown, settings. Out: messages and the nonce that is in every fence and in the
line that the verdict has to stand in. The nonce is a hash of the seed and of all the texts, so it is the same in every
run, and a text that held its own nonce would be one of 2^64; a nonce that stands in a text is drawn again. Texts are
put together, never filled in, so braces in an answer do nothing. Price: about 900 tokens besides the material.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from judge.compare_config import PromptConfig
from judge.prompts_text import WORDS, Words
from judge.records import Question
from judge.rubrics import RUBRICS, rubric_key
from runkit.text import han_count

VERSION: Final = 1
"""Of all texts that a judge reads; another one is another run."""
GRAMMARS: Final = {"scores": "scores", "three-way": "three-way-nonce"}  # as asked for -> as judge/verdict.py reads it
_NONCE_LETTERS: Final = 16
_HAN_SHARE: Final = 0.1  # of a question's characters, for a prompt in Chinese


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """What is sent, and what the verdict is known by."""

    messages: list[dict[str, Any]]
    nonce: str


def judge_prompt(
    question: Question, first: str, second: str, grammar: str, config: PromptConfig, seed: int, sample: int
) -> JudgePrompt:
    """The prompt for two answers; `grammar` is `scores` or `three-way`."""
    asked = question.text or ""
    reference = question.reference
    texts = [asked, reference or "", first, second]
    nonce = draw_nonce(texts, f"{seed}\0{sample}\0{question.id}\0{grammar}\0{reference is not None}")
    language = language_of(asked, config)
    words = WORDS[language]
    rubric = RUBRICS[rubric_key(question.category)]
    scores = grammar == "scores"
    rules = "\n".join([words.rules, words.scale if scores else words.three])
    blocks = [_fenced(words, nonce, words.question, asked)]
    if reference is not None:
        blocks.append(_fenced(words, nonce, words.reference, reference))
    for title, text in ((words.answer_a, first), (words.answer_b, second)):
        blocks.append(_fenced(words, nonce, title, text, config.answer_characters))
    material = [words.subject + rubric.title[language], words.rubric + rubric.text[language], words.material, *blocks]
    form = f"<<{nonce}>> A=? B=?" if scores else f"<<{nonce}>> ?"
    said = "\n\n".join([*material, (words.ask_scores if scores else words.ask_three) + form])
    if config.system:
        return JudgePrompt([{"role": "system", "content": rules}, {"role": "user", "content": said}], nonce)
    return JudgePrompt([{"role": "user", "content": f"{rules}\n\n{said}"}], nonce)


def language_of(text: str, config: PromptConfig) -> str:
    """zh or en."""
    if config.language != "auto":
        return config.language
    return "zh" if han_count(text) >= max(1, _HAN_SHARE * len(text)) else "en"


def draw_nonce(texts: Sequence[str], salt: str) -> str:
    """Lower-case hexadecimal; stands in none of the texts, full-width or upper-case letters included."""
    held = "\0".join(texts)
    plain = unicodedata.normalize("NFKC", held).casefold()
    data = f"{salt}\0{held}".encode("utf-8", "surrogatepass")
    for draw in range(1000):
        found = hashlib.blake2b(data, digest_size=_NONCE_LETTERS // 2, salt=draw.to_bytes(8, "little")).hexdigest()
        if found not in plain:
            return found
    raise AssertionError("a text holds a thousand hashes of itself")


def _fenced(words: Words, nonce: str, title: str, text: str, most: int | None = None) -> str:
    shown = text.strip() if most is None else text.strip()[:most]
    lines = [f"===== {nonce} {title} {words.begin} =====", shown, f"===== {nonce} {title} {words.end} ====="]
    if len(shown) < len(text.strip()):
        lines.append(words.cut)
    return "\n".join(lines)
