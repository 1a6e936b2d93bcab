"""Boilerplate lines out of otherwise good text, line by line, as RefinedWeb corrects documents.

In: normalised text. Out: the text without lines that only navigate, share, count or claim copyright, and how many
characters went. Only whole lines are matched and only short ones, so a sentence that mentions 版权所有 stays; in
exchange a long paragraph that ends in such words keeps them. Fenced code is never touched, and where the text may be
Markdown, neither are rules and the lines of headings, tables, quotations and lists. One compiled alternation of
`data/boilerplate.txt`: about 40 µs a document.
"""

import functools
import re

from corpus.charclass import read_terms
from corpus.normalize import code_blocks, may_hold_code

_PATTERNS = read_terms("boilerplate.txt")
_EDGE = r"[\s\-–—─━═=_*|·•>»«<#\[\]【】（）()~～↑↓←→]*"
_LINE = re.compile(rf"{_EDGE}(?:{'|'.join(_PATTERNS)}){_EDGE}", re.IGNORECASE)
_RULE = re.compile(r"[\s\-–—─━═┄┈=_*|·•>»«<#~～+.…]{2,}")
# A date such as 2024.3.5 is no numbered item, hence the space.
_MARKUP = re.compile(r"[#|>]|[-*] |\d+\. ")
# No boilerplate line is longer; testing only short lines keeps long paragraphs from being scanned at all.
LONGEST = 120


# The same few lines stand on every page of a site.
@functools.lru_cache(maxsize=8192)
def is_boilerplate(line: str) -> bool:
    """Whether a line of at most `LONGEST` characters navigates, shares, counts, names staff or claims rights."""
    return bool(_LINE.fullmatch(line) or _RULE.fullmatch(line))


def drop_boilerplate(text: str, *, markup: bool = False) -> tuple[str, int]:
    """The text without boilerplate lines, and the number of characters removed.

    `markup` says that the text may be Markdown, where a rule or `| --- |` is structure and `## 提交` a heading; text
    out of a web page has none of these, and such lines are ornaments there.
    """
    lines = text.split("\n")
    verbatim: set[int] = set()
    if may_hold_code(text):
        verbatim.update(*code_blocks(lines))
    if markup and lines[0] == "---" and "---" in lines[1:]:
        # Front matter: a lone `tag:` there is the key of the list below it.
        verbatim.update(range(lines.index("---", 1) + 1))
    if verbatim or markup:
        kept = [line for at, line in enumerate(lines) if at in verbatim or not _goes(line, markup)]
    else:
        kept = [line for line in lines if not (line and len(line) <= LONGEST and is_boilerplate(line))]
    if len(kept) == len(lines):
        return text, 0
    cleaned = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")
    return cleaned, len(text) - len(cleaned)


def _goes(line: str, markup: bool) -> bool:
    if not line or len(line) > LONGEST or (markup and (_MARKUP.match(line) or _RULE.fullmatch(line))):
        return False
    return is_boilerplate(line)
