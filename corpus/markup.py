"""Markdown in, its text without marks out: what signals are measured on, so that rules mean the same in both.

Thresholds were fitted on plain text. Fences, pipes and blank lines would count as symbols, repeated lines and
repeated paragraphs, and reject just the pages with code and tables for which Markdown is asked. Price: 30 µs for 2,000
characters, where Markdown was asked for.
"""

import re

from corpus.normalize import code_blocks, may_hold_code

_MARKS = re.compile(r"^(?:> ?)*(?:#{1,6} |- )?")
_PIPE = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\|(?: ?:?-{3,}:? ?\|)+")


def unmarked(text: str) -> str:
    """The lines of a text as `corpus.extract_blocks.as_markdown` writes it, as `as_lines` would have written them."""
    lines = text.split("\n")
    code: set[int] = set()
    fences: set[int] = set()
    if may_hold_code(text):
        for block in code_blocks(lines):
            code.update(block)
            fences |= {block[0], block[-1]}
    found = []
    for place, line in enumerate(lines):
        if place in fences:
            continue
        line = line.strip()
        if place not in code:
            line = _MARKS.sub("", line, count=1)
            if line.startswith("|"):
                line = "" if _RULE.fullmatch(line) else " ".join(_PIPE.sub(" ", line).replace("\\|", "|").split())
        if line:
            found.append(line)
    return "\n".join(found)
