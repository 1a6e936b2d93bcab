"""Boilerplate lines out of otherwise good text, line by line, as RefinedWeb corrects documents.

In: normalised text. Out: the text without lines that only navigate, share, count or claim copyright, and how many
characters went. Only whole lines are matched and only short ones, so a sentence that mentions 版权所有 stays; in
exchange a long paragraph that ends in such words keeps them. One compiled alternation of `data/boilerplate.txt`:
about 40 µs a document.
"""

import functools
import re

from corpus.charclass import read_terms

_PATTERNS = read_terms("boilerplate.txt")
_EDGE = r"[\s\-–—─━═=_*|·•>»«<#\[\]【】（）()~～↑↓←→]*"
_LINE = re.compile(rf"{_EDGE}(?:{'|'.join(_PATTERNS)}){_EDGE}", re.IGNORECASE)
_RULE = re.compile(r"[\s\-–—─━═┄┈=_*|·•>»«<#~～+.…]{2,}")
# No boilerplate line is longer; testing only short lines keeps long paragraphs from being scanned at all.
LONGEST = 120


# The same few lines stand on every page of a site.
@functools.lru_cache(maxsize=8192)
def is_boilerplate(line: str) -> bool:
    """Whether a line of at most `LONGEST` characters navigates, shares, counts, names staff or claims rights."""
    return bool(_LINE.fullmatch(line) or _RULE.fullmatch(line))


def drop_boilerplate(text: str) -> tuple[str, int]:
    """The text without boilerplate lines, and the number of characters removed."""
    lines = text.split("\n")
    kept = [line for line in lines if not (line and len(line) <= LONGEST and is_boilerplate(line))]
    if len(kept) == len(lines):
        return text, 0
    cleaned = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")
    return cleaned, len(text) - len(cleaned)
