"""Text as extracted → text in one spelling, so that rules and duplicate keys see the same page the same way.

In: any `str`, lone surrogates included. Out: NFC text whose only control character is `\\n`, without leading
or trailing space on any line, without two spaces in a row, with at most one blank line between paragraphs. Inside
a code block between Markdown fences leading spaces and runs of spaces stay, since Python is no Python without them.

Kept on purpose: Chinese full-width punctuation (，。！？：；（）“”《》), U+FFFD (a later rule counts it), the
zero-width joiner inside emoji. Given up: indentation outside fences (spaces fold), joiners of Persian and Indic
scripts, subdivision flags (their tag characters can hide text from a reader). NFKC would do most of this in
one call, but turns ， into a comma and ① into 1, which damages
Chinese. Price: about 35 µs for 2,000 characters.
"""

import functools
import re
import unicodedata
from collections.abc import Callable

_ZWJ = "\u200d"
# What a joiner may stand between: pictographs, a skin tone, and before it the emoji variation selector.
_PICTOGRAPH = re.compile(
    r"[\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u2328\u23cf\u23e9-\u23ff\u24c2\u25aa-\u27bf\u2934\u2935"
    r"\u2b05-\u2b55\U0001f000-\U0001faff]"
)
# Format characters (Cf) that show nothing. Visible ones (Arabic number signs and such) are not here.
_INVISIBLE = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x061C, 0x061C),  # Arabic letter mark
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x200B, 0x200F),  # zero width space, (non-)joiner, left and right marks
    (0x202A, 0x202E),  # bidi embeddings and overrides
    (0x2060, 0x2064),  # word joiner, invisible operators
    (0x2066, 0x206F),  # bidi isolates, deprecated formatting
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFF9, 0xFFFC),  # interlinear annotation; the object replacement character, where an image stood
    (0x1D173, 0x1D17A),  # musical formatting
    (0xE0000, 0xE007F),  # tags
)
_LINE_ENDS = "\v\f\r\x85\u2028\u2029"
_CHINESE = re.compile(r"[\u3001-\u303f\u3400-\u9fff\uff01-\uff60]")
_SPACED = re.compile(rf"(?<={_CHINESE.pattern}) (?={_CHINESE.pattern})")
_SPACES = "\t\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def _table() -> dict[str, str]:
    """Each character that is replaced → its replacement ("" drops it)."""
    table = {chr(cp): "" for cp in (*range(0x20), *range(0x7F, 0xA0)) if cp != 0x0A}
    table |= {chr(cp): "" for first, last in _INVISIBLE for cp in range(first, last + 1)}
    table |= dict.fromkeys(_LINE_ENDS, "\n") | dict.fromkeys(_SPACES, " ")
    table |= {chr(cp): "\ufffd" for cp in range(0xD800, 0xE000)}
    full_width = (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
    table |= {chr(cp): chr(cp - 0xFEE0) for cp in full_width}
    # PDF converters emit radicals (⼈ U+2F08) for characters (人 U+4EBA); NFC does not unify them, NFKC does.
    radicals = ((chr(cp), unicodedata.normalize("NFKC", chr(cp))) for cp in range(0x2E80, 0x2FD6))
    return table | {radical: unified for radical, unified in radicals if radical != unified}


def _character_class(characters: str) -> str:
    """A regex class that holds exactly `characters`."""
    ranges: list[list[int]] = []
    for cp in sorted(map(ord, characters)):
        if ranges and cp == ranges[-1][1] + 1:
            ranges[-1][1] = cp
        else:
            ranges.append([cp, cp])
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges) + "]"


_TABLE = _table()
# U+3000 and NBSP are frequent and str.replace does them in 1 µs; each regex match costs 0.2 µs.
_ODD = re.compile(_character_class("".join(_TABLE.keys() - {"\u3000", "\u00a0"})))
# A text made of these alone needs no look at _ODD. One possessive run costs 9 µs for 2,000 characters,
# a search for _ODD 20 µs.
_PLAIN = re.compile(
    r"[\n -~\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027\u2030-\u205e\u3001-\u9fff\uff01-\uff0f\uff1a-\uff20]*+"
)
_SPACE_RUN = re.compile("  +")
_AROUND_LINE_END = re.compile(" ?\n ?")
_BLANK_LINES = re.compile("\n{3,}")
# A line that opens or closes a fenced code block. What follows the run names the language; a backtick there would
# make it code within a sentence, a tilde an ornament (~~~ * ~~~).
_FENCE = re.compile(r" *(`{3,}|~{3,})([^`~]*)")


def _replace(match: re.Match[str]) -> str:
    character = match[0]
    if character == _ZWJ and match.start() > 0 and match.end() < len(match.string):
        before, after = match.string[match.start() - 1], match.string[match.end()]
        if (before == "\ufe0f" or _PICTOGRAPH.match(before)) and _PICTOGRAPH.match(after):
            return _ZWJ
    return _TABLE[character]


@functools.cache
def _simplifier() -> Callable[[str], str]:
    """OpenCC's t2s: 9 MB and 30 ms, so loaded by the first text that asks for it."""
    import opencc

    convert: Callable[[str], str] = opencc.OpenCC("t2s").convert
    return convert


def _is_spaced_out(text: str) -> bool:
    """Whether text was set with a space between all Chinese characters, as some sites justify lines."""
    return text.count(" ") > 0.25 * len(text) and len(_SPACED.findall(text)) > 0.6 * len(_CHINESE.findall(text))


def may_hold_code(text: str) -> bool:
    """Whether a fence may stand in the text. One character is found ten times as fast as three, and is seldom there."""
    return ("`" in text and "```" in text) or ("~" in text and "~~~" in text)


def code_blocks(lines: list[str]) -> list[range]:
    """The lines of each fenced code block, both fences included; a fence that nothing closes opens no block.

    How far a fence is indented does not matter: outside blocks indentation goes, and what is a block must not
    depend on whether that has happened. So a bare fence that is itself indented code ends the block early.
    """
    fences: list[tuple[int, str, bool]] = []
    for at, line in enumerate(lines):
        if ("```" in line or "~~~" in line) and (match := _FENCE.fullmatch(line)):
            fences.append((at, match[1], not match[2].strip(" ")))
    # The longest closing fence of each kind from here on: an opening fence longer than that is never closed, and
    # no search for its end is made, so that a text of nothing but fences costs no square of its length.
    closers: list[int] = []
    longest = {"`": 0, "~": 0}
    for _, run, bare in reversed(fences):
        closers.append(longest[run[0]])
        if bare:
            longest[run[0]] = max(longest[run[0]], len(run))
    closers.reverse()
    blocks: list[range] = []
    opened: tuple[int, str] | None = None
    for (at, run, bare), closer in zip(fences, closers, strict=True):
        if opened is None:
            if len(run) <= closer:
                opened = at, run
        elif bare and run.startswith(opened[1]):
            blocks.append(range(opened[0], at + 1))
            opened = None
    return blocks


def _lay_out_around_code(text: str) -> str:
    """White space as `normalize` wants it, but for what stands between fences."""
    lines = text.split("\n")
    prose = dict.fromkeys(range(len(lines)))
    for block in code_blocks(lines):
        # Code in a list item is indented with the item; as the fence loses that indentation, so does the code.
        indent = len(lines[block[0]]) - len(lines[block[0]].lstrip(" "))
        for at in block[1:-1]:
            line = lines[at].rstrip(" ")
            lines[at] = line[min(indent, len(line) - len(line.lstrip(" "))) :]
        for at in (block[0], block[-1]):
            lines[at] = _SPACE_RUN.sub(" ", lines[at]).strip(" ")
        for at in block:
            del prose[at]
    for at in prose:
        lines[at] = _SPACE_RUN.sub(" ", lines[at]).strip(" ")
    # Indentation of code must not make the prose around it look spaced out.
    if _is_spaced_out(_BLANK_LINES.sub("\n\n", "\n".join(lines[at] for at in prose)).strip("\n")):
        for at in prose:
            lines[at] = _SPACED.sub("", lines[at])
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n")


def _spell(text: str, t2s: bool) -> str:
    """The characters as `normalize` wants them, white space not yet folded."""
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
    if not text.isascii():
        text = text.replace("\u3000", " ").replace("\u00a0", " ")
    if not _PLAIN.fullmatch(text):
        text = _ODD.sub(_replace, text)
    # After the removals, which can put a letter and its combining accent side by side.
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    if t2s:
        text = _simplifier()(text)
    return text


def normalize(text: str, *, t2s: bool = False) -> str:
    """Return `text` in one spelling; `t2s` also turns traditional Chinese into simplified (OpenCC)."""
    spelled = _spell(text, t2s)
    if may_hold_code(spelled):
        if "\t" in text:
            spelled = _spell(text.replace("\t", "    "), t2s)
        return _lay_out_around_code(spelled)
    text = spelled
    if "  " in text:
        text = _SPACE_RUN.sub(" ", text)
    if " \n" in text or "\n " in text:
        text = _AROUND_LINE_END.sub("\n", text)
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    if _is_spaced_out(text):
        text = _SPACED.sub("", text)
    return text.strip(" \n")
