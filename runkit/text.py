"""What both text stages ask of a text: language, personal data, and units for overlap measures.

In: any `str`. Out: see `runkit.language` and `runkit.personal`; `units` gives tokens. A token is one Han
character or one run of other letters and digits: no word segmentation, which costs 0.3–6 ms a page where
this costs 0.1, and whose words differ by tool.
"""

import re

from runkit.language import HAN_CLASS, Script, detect_language, han_count, is_han, script
from runkit.personal import Finding, find_personal, mask_personal

__all__ = [
    "Finding",
    "Script",
    "detect_language",
    "find_personal",
    "han_count",
    "is_han",
    "mask_personal",
    "script",
    "units",
]

_UNIT = re.compile(f"[{HAN_CLASS}]|[^\\W_{HAN_CLASS}]+")


def units(text: str) -> list[str]:
    """One token per Han character, one per run of other letters and digits; punctuation and spaces fall out.

    Case is kept: what compares tokens folds it first, once for the whole text.
    """
    return _UNIT.findall(text)
