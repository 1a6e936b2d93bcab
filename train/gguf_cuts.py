"""How a text is cut before byte-level BPE merges it, under the names that llama.cpp has for it.

In: the content of a `tokenizer.json`, or a name that a GGUF file states as `tokenizer.ggml.pre`. Out: the name, or the
steps that cut so. llama.cpp knows no expressions but its own (src/llama-vocab.cpp has these under the same names), so
what is not in the table cannot be written: other cuts give other ids. Price: expressions are compared by their letters;
one that says the same in other words is not found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tokenizers import Regex, pre_tokenizers

_ENDINGS: Final = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_ENDINGS_BY_LETTER: Final = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"  # what llama.cpp makes of them
_LLAMA3: Final = (
    rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2: Final = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_QWEN35: Final = (
    rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class Cut:
    """`expression`: what a piece of text matches; None: GPT-2's, which the library has built in."""

    expression: str | None = None
    digits: bool = False  # each alone, before the expression
    ignore_merges: bool = False  # a cut that is a piece as a whole is not merged
    nfc: bool = False  # the models of this name bring their texts into NFC first; llama.cpp does not


# Where two say the same, the first is the one that is written.
CUTS: Final[Mapping[str, Cut]] = {
    "gpt-2": Cut(),
    "default": Cut(),
    "smollm": Cut(digits=True),
    "llama-bpe": Cut(_LLAMA3, ignore_merges=True),
    "llama3": Cut(_LLAMA3, ignore_merges=True),
    "smaug-bpe": Cut(_LLAMA3),
    "qwen2": Cut(_QWEN2, nfc=True),
    "qwen35": Cut(_QWEN35, nfc=True),
}


def steps(cut: Cut) -> Any:
    """The pre-tokenizer of the `tokenizers` library that cuts so."""
    found: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut.expression is None)]
    if cut.digits:
        found.insert(0, pre_tokenizers.Digits(individual_digits=True))
    if cut.expression is not None:
        found.insert(0, pre_tokenizers.Split(Regex(cut.expression), "isolated"))
    return pre_tokenizers.Sequence(found)


def name_of(layout: Mapping[str, Any]) -> str | None:
    """llama.cpp's name for the cutting of a `tokenizer.json`; None when it has none."""
    found = _read(_flat(layout.get("pre_tokenizer"), "pretokenizers"))
    if found is None:
        return None
    expression, digits = found
    wanted = (expression, digits, bool(layout["model"].get("ignore_merges")))
    return next((name for name, cut in CUTS.items() if (cut.expression, cut.digits, cut.ignore_merges) == wanted), None)


def normalises_to_nfc(layout: Mapping[str, Any]) -> bool | None:
    """Does a `tokenizer.json` bring its texts into NFC? None: it changes them in another way."""
    kinds = [step.get("type") for step in _flat(layout.get("normalizer"), "normalizers")]
    return bool(kinds) if set(kinds) <= {"NFC"} else None


def _flat(step: Any, inner: str) -> list[dict[str, Any]]:
    if step is None:
        return []
    if step.get("type") == "Sequence":
        return [one for part in step[inner] for one in _flat(part, inner)]
    return [step]


def _read(parts: list[dict[str, Any]]) -> tuple[str | None, bool] | None:
    """Expression and `digits` of a pre-tokenizer's steps; None when they are of another kind."""
    if not parts or parts[-1].get("type") != "ByteLevel" or parts[-1].get("add_prefix_space", True):
        return None
    inner_expression = bool(parts[-1].get("use_regex", True))
    before = parts[:-1]
    if not before:
        return (None, False) if inner_expression else None
    if len(before) > 1:
        return None
    only = before[0]
    if only.get("type") == "Digits" and only.get("individual_digits") and inner_expression:
        return None, True
    isolated = only.get("behavior") == "Isolated" and not only.get("invert")
    expression = only.get("pattern", {}).get("Regex") if only.get("type") == "Split" and isolated else None
    if expression is None or inner_expression:
        return None
    return expression.replace(_ENDINGS_BY_LETTER, _ENDINGS), False
