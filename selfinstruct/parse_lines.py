"""The lines of a reply in the list form: which begin an item, which begin a field, which are text.

In: the text of a reply. Out: the lines of each field of each item, and whether the list was ended. Candidates are found
first, line by line and never inside a code fence; what one of them means is settled by what follows it, by how the
first item was numbered, and by which names the reply uses for its fields. So "3." or "输出：" in an answer stays text.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from selfinstruct.prompts import END

INSTRUCTION, INPUT, OUTPUT = "instruction", "input", "output"
_STRONG: Final = {"指令": INSTRUCTION, "instruction": INSTRUCTION, "输入": INPUT, "input": INPUT, "输出": OUTPUT} | {
    "output": OUTPUT
}
_WEAK: Final = {
    **dict.fromkeys(("任务", "题目", "问题", "task", "question"), INSTRUCTION),
    **dict.fromkeys(("材料", "context"), INPUT),
    **dict.fromkeys(("答案", "回答", "answer", "response"), OUTPUT),
}
NAMES: Final = _STRONG | _WEAK
_SPACE: Final = r"[ \t\u3000\u00a0]"
_COUNT: Final = r"(?:[0-9０-９]{1,4}|[一二三四五六七八九十百]{1,4})"
_WORD: Final = "任务|题目|问题|示例|例题|例|item|task|question|example"
_NUMBER: Final = (
    rf"(?:第{_SPACE}*{_COUNT}{_SPACE}*[条题个项]|(?:{_WORD})?{_SPACE}*{_COUNT}(?![0-9０-９年月日个])|"
    rf"[（(]{_COUNT}[)）]|[①-⑳])"
)
_DECOR: Final = rf"{_SPACE}*(?:#+{_SPACE}*)?(?:[-*•]{_SPACE}+)?"
_STARS: Final = r"(?:\*{1,3}|_{1,2}|`)"
_OPEN: Final = rf"(?P<bold>{_STARS})?"
_NAME: Final = "|".join(f"{name[0]}{_SPACE}?{name[1]}" if name in ("指令", "输入", "输出") else name for name in NAMES)
_FIELD: Final = re.compile(
    rf"^(?P<decor>{_DECOR}){_OPEN}(?P<lead>[\[［【（(])?"
    rf"(?:(?P<number>{_NUMBER}){_SPACE}*[】\]］)）]?(?:{_STARS}(?={_SPACE}|[.．、。:：)）]))?{_SPACE}*[.．、。:：)）]?"
    rf"(?:{_STARS}(?={_SPACE}))?{_SPACE}*(?:[-*•]{_SPACE}+)?(?P<late>{_STARS})?)?"
    rf"(?P<left>[【\[［（(])?(?P<name>{_NAME})(?P<count>{_SPACE}?[0-9０-９]{{1,4}}(?=[:：】\]*]))?"
    rf"(?:{_SPACE}*[（(](?:[A-Za-z]{{2,20}}|指令|输入|输出)[)）])?(?P<right>[】\]］)）])?"
    rf"(?:(?P<shut>{_STARS}){_SPACE}*)?(?P<colon>{_SPACE}*[:：])?(?P<after>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_NUMBERED: Final = re.compile(
    rf"^(?P<decor>{_DECOR}){_OPEN}(?P<left>[【\[［])?(?P<number>{_NUMBER}){_SPACE}*(?P<right>[】\]］)）>]?)"
    rf"{_STARS}?{_SPACE}*(?P<dot>[.．、:：]?)(?:\*{{2,3}}|__|`)?(?P<after>{_SPACE}*.*)$",
    re.IGNORECASE | re.DOTALL,
)
_WORDED: Final = re.compile(rf"第|{_WORD}", re.IGNORECASE)
_OURS_CUT: Final = re.compile(r"^[\[［【](?:任|任务|任务 ?[0-9０-９]{1,4})?$")
_META: Final = re.compile(rf"^{_DECOR}\**(?:类别|类型|题材|主题|难度|标签|category|type|topic)\**{_SPACE}*[:：]", re.I)
_FENCE: Final = re.compile(r"^[ \t]*(`{3,}|~{3,})([^`]*)$")
_END_WORD: Final = END.strip("[]")
_END: Final = re.compile(rf"^{_SPACE}*[*_`]*[\[［【]{_END_WORD}[\]］】][*_`]*[。.]?{_SPACE}*$")
_LAST_END: Final = re.compile(
    rf"^{_SPACE}*[*_`【\[（(]*(?:{_END_WORD}|完毕|结束|全文完|END)[*_`】\]）)]*[。.]?{_SPACE}*$", re.I
)
_END_BEHIND: Final = re.compile(rf"(?<=\S){_SPACE}*([\[［]{_END_WORD}[\]］]{_SPACE}*)$", re.M)
_ITEM_BEHIND: Final = re.compile(
    rf"(?<=[^\s>#*])[ \t]*([\[［【]任务{_SPACE}?[0-9０-９]{{1,4}}[\]］】])(?={_SPACE}*(?:$|指令[:：]))", re.M
)
_INVISIBLE: Final = re.compile("^([ \t]*)[\u200b\u200c\u200d\u2060\ufeff]+", re.MULTILINE)
_QUOTE: Final = re.compile(r"^[ \t]*> ?")
_MOST_OPEN: Final = 20  # fences without an end, each of which is looked for to the end of the reply
_MOST_LINES: Final = 12  # of an instruction without a name, before its input begins


@dataclass(frozen=True, slots=True)
class _Mark:
    """A line that may begin something."""

    line: int
    name: str | None  # of a field; None: a number, or the end
    strong: bool  # a name that nothing else in a text has
    number: str  # its shape, digits made alike; "" without one
    ours: bool  # [任务 N]
    worded: bool
    rest: str
    end: bool = False


@dataclass(slots=True)
class Block:
    """An item's fields as they stand."""

    fields: dict[str, list[str]] = field(default_factory=dict)


def blocks_of(text: str, cut: bool, bare: bool) -> tuple[list[Block], bool]:
    """Items in order; whether the last one has its end behind it."""
    lines = _lines(text)
    marks, outer_ends = _marks(lines, cut)
    return _assembled(lines, marks, outer_ends, _settled(lines, marks, bare))


def is_fence(line: str) -> re.Match[str] | None:
    """A line that opens or closes a code fence."""
    return _FENCE.match(line)


def _lines(text: str) -> list[str]:
    """Marks that stand behind a text come on lines of their own; a reply that is quoted as a whole is not."""
    text = _INVISIBLE.sub(r"\1", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _ITEM_BEHIND.sub(r"\n\1", _END_BEHIND.sub(r"\n\1", text))
    lines = text.split("\n")
    said = [line for line in lines if line.strip()]
    if said and sum(line.lstrip().startswith(">") for line in said) >= 0.9 * len(said):
        lines = [_QUOTE.sub("", line) for line in lines]
    return lines


def _marks(lines: Sequence[str], cut: bool) -> tuple[list[_Mark], set[int]]:
    """Candidates outside of fences; lines of a fence around items."""
    found: list[_Mark] = []
    around: set[int] = set()
    place, failed, outer = 0, 0, ""
    last = max((number for number, line in enumerate(lines) if line.strip()), default=-1)
    while place < len(lines):
        line = lines[place]
        if _END.match(line) or (not cut and place == last and found and _LAST_END.match(line)):
            found.append(_Mark(place, None, False, "", False, False, "", end=True))
        mark = _mark(place, line)
        if mark is not None:
            found.append(mark)
        fence = _FENCE.match(mark.rest if mark is not None else line)
        if fence is not None:
            close = _close(lines, place + 1, fence.group(1)) if failed < _MOST_OPEN else None
            failed += close is None
            if not outer and mark is None and (not found or found[-1].end or _only_fence_before(lines, place, around)):
                outer = fence.group(1)
                around.add(place)
            elif outer and not fence.group(2).strip() and mark is None and not _holds_code(lines, place, close):
                outer = ""
                around.add(place)
            elif close is not None:
                place = close
            elif cut and not any(_FENCE.match(later) for later in lines[place + 1 :]):
                break  # it was cut in its code, which may look like anything
        place += 1
    return found, around


def _only_fence_before(lines: Sequence[str], place: int, around: set[int]) -> bool:
    """Whether a fence around an item was closed just before."""
    before = place - 1
    while before >= 0 and not lines[before].strip():
        before -= 1
    return before in around


def _holds_code(lines: Sequence[str], place: int, close: int | None) -> bool:
    """Whether a bare fence within a fence around all opens one: text follows up to the next, and no item in it."""
    between = lines[place + 1 : close] if close is not None else []
    return any(line.strip() for line in between) and not any(_begins_item(line) for line in between)


def _close(lines: Sequence[str], start: int, fence: str) -> int | None:
    """Where a fence ends; None: it does not, or an item begins and opens another one before."""
    depth, item = 1, False
    for number in range(start, len(lines)):
        match = _FENCE.match(lines[number])
        if match is None:
            item = item or _begins_item(lines[number])
        elif match.group(1)[0] == fence[0] and len(match.group(1)) >= len(fence):
            depth += 1 if match.group(2).strip() else -1
            if item and depth > 1:
                return None
            if depth == 0:
                return number
        elif _begins_item(lines[number]):
            item = True
    return None


def _begins_item(line: str) -> bool:
    mark = _mark(0, line)
    if mark is None or mark.end:
        return False
    if mark.ours or (mark.name == INSTRUCTION and mark.strong):
        return True
    behind = _FENCE.match(mark.rest)
    return mark.name is not None and behind is not None


def _mark(place: int, line: str) -> _Mark | None:
    match = _FIELD.match(line)
    name = re.sub(r"\s", "", match.group("name")).lower() if match is not None else ""
    counted = match is not None and bool(match.group("count")) and name in _WEAK  # "任务 4：" is a number
    if match is not None and not counted and (rest := _rest(match)) is not None:
        number = match.group("number")
        shape = _shape(line[: match.end("number")]) if number else ""
        return _Mark(
            place, NAMES[name], name in _STRONG, shape, _is_ours(line), bool(number and _WORDED.match(number)), rest
        )
    match = _NUMBERED.match(line)
    if match is not None:
        number = match.group("number")
        rest = match.group("after")
        worded = bool(_WORDED.match(number)) or "#" in match.group("decor")
        plain = rest.strip(" \t\u3000*_`")
        marked = match.group("left") or match.group("right") or match.group("dot") or number[0] in "（(①"
        if plain and not (worded or marked or ord(number[0]) >= 0x2460):
            return None  # a sentence that begins with a number
        shape = _shape(line[: match.start("after")])
        return _Mark(place, None, False, shape, _is_ours(line), worded, rest.strip(" \t\u3000") if plain else "")
    if _OURS_CUT.match(line.strip()):
        return _Mark(place, None, False, "", True, True, "")
    return None


def _rest(match: re.Match[str]) -> str | None:
    """What stands behind a field's mark; None: it is none, only a word at the beginning of a line."""
    bold, shut, after = match.group("late") or match.group("bold"), match.group("shut"), match.group("after")
    whole = bool(match.group("left") or match.group("lead")) and bool(match.group("right"))
    if not match.group("colon"):
        headed = (bool(bold) and bool(shut)) or "#" in match.group("decor")
        if not (whole or (headed and not after.strip())):
            return None
        return (after if bold else (shut or "") + after).strip(" \t\u3000\u00a0") if whole else ""
    if bold and not shut:
        if after.startswith(bold):
            after = after[len(bold) :]
        elif after.rstrip().endswith(bold) and after.count(bold) == 1:
            after = after.rstrip()[: -len(bold)]
    return after.lstrip(" \t\u3000\u00a0")


def _is_ours(line: str) -> bool:
    return re.match(rf"^[\s#*>-]*[\[［【]任务{_SPACE}?{_COUNT}(?:[\]］】]|$)", line) is not None


def _shape(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text.replace("．", "."))
    return re.sub(r"[\d一二三四五六七八九十百]+", "9", re.sub("[①-⑳]", "①", re.sub(r"\s", "", plain)))


class _Settling:
    """Which marks count: `chosen` says of each whether it opens an item, and which field it begins."""

    def __init__(self, lines: Sequence[str], marks: Sequence[_Mark], bare: bool) -> None:
        self.lines, self.marks, self.bare = lines, marks, bare
        named = [mark for mark in marks if mark.name == INSTRUCTION and mark.strong]
        self.weak_instruction = not named
        whole = max(1, len(named) or sum(mark.ours for mark in marks))
        self.weak = {
            name: 2 * sum(mark.strong for mark in marks if mark.name == name) < whole for name in (INPUT, OUTPUT)
        }
        self.first_shape = ""
        self.any_opened = False

    def counts(self, mark: _Mark) -> bool:
        """Whether the name is one of those that this reply uses."""
        if mark.name is None or mark.strong:
            return True
        return self.weak_instruction if mark.name == INSTRUCTION else self.weak[mark.name]

    def ahead(self, place: int) -> str:
        """What follows a mark: a field's name, "opener", "end", or "" for nothing."""
        for mark in self.marks[place + 1 :]:
            if mark.end:
                return "end"
            if mark.name is not None and self.counts(mark):
                return mark.name
            if mark.name is None and (mark.ours or (mark.number and mark.number == self.first_shape)):
                return "opener"
        return ""

    def next_line(self, place: int) -> _Mark | None:
        """The field that the next line begins, lines that say a category left out."""
        number = self.marks[place].line + 1
        while number < len(self.lines) and (not self.lines[number].strip() or _META.match(self.lines[number])):
            number += 1
        following = (mark for mark in self.marks[place + 1 :] if mark.line >= number)
        mark = next(following, None)
        return mark if mark is not None and mark.line == number and mark.name and self.counts(mark) else None

    def near_input(self, place: int) -> bool:
        """Whether the input or output that belongs to an instruction without a name begins soon."""
        for mark in self.marks[place + 1 :]:
            if mark.line > self.marks[place].line + _MOST_LINES or mark.end or mark.ours:
                return False
            if mark.name is not None and self.counts(mark):
                return mark.name != INSTRUCTION
            if mark.number and mark.number == self.marks[place].number:
                return False
        return False

    def is_answer(self, place: int) -> bool:
        """Whether a field is open above a mark and has no text yet."""
        number = self.marks[place].line - 1
        while number >= 0 and not self.lines[number].strip():
            number -= 1
        return any(mark.line == number and mark.name and not mark.rest for mark in self.marks[:place])

    def number_opens(self, place: int) -> bool:
        """Whether a number opens an item."""
        mark = self.marks[place]
        same = not self.first_shape or mark.number == self.first_shape
        following = self.next_line(place)
        is_last = place == len(self.marks) - 1
        if following is not None:
            if mark.rest and not mark.worded:
                # A point of a list, or a title; or an instruction without a name.
                return following.name != INSTRUCTION and self.weak_instruction and same
            like = mark.ours or not self.any_opened or mark.number == self.first_shape
            if mark.rest and (following.number or not like):
                return False
            if not mark.worded and (following.number or self.is_answer(place)):
                return False
            return following.name == INSTRUCTION or mark.worded or (self.weak_instruction and same)
        if mark.ours and (not mark.rest or self.near_input(place)):
            return True
        if self.near_input(place):
            return same and (mark.worded or self.weak_instruction)
        return is_last and same and mark.ours

    def field_opens(self, place: int, block: set[str], fresh: bool) -> bool:
        """Whether an instruction opens an item although one is at hand."""
        mark = self.marks[place]
        if fresh:
            return False
        if mark.number or self.bare:
            return True
        if OUTPUT not in block:
            return mark.strong and self.ahead(place) not in ("opener", "end")
        return self.ahead(place) not in ("opener", "end")


def _settled(lines: Sequence[str], marks: Sequence[_Mark], bare: bool) -> dict[int, tuple[bool, str | None, str]]:
    """By line: whether an item opens there, the field that begins (None: none), and its text on that line."""
    settling = _Settling(lines, marks, bare)
    chosen: dict[int, tuple[bool, str | None, str]] = {}
    block: set[str] | None = None
    for place, mark in enumerate(marks):
        if mark.end:
            if block is not None:
                chosen[mark.line] = (False, None, "")
        elif mark.name is None:
            if settling.number_opens(place):
                following = settling.next_line(place)
                titled = following is not None and following.name == INSTRUCTION
                unnamed = not titled and (bool(mark.rest) or following is None) and settling.near_input(place)
                unnamed = unnamed or (place == len(marks) - 1 and bool(mark.rest))
                chosen[mark.line] = (True, INSTRUCTION if unnamed else None, mark.rest if unnamed else "")
                block = {INSTRUCTION} if unnamed else set()
                settling.first_shape = settling.first_shape or mark.number
                settling.any_opened = True
        elif mark.name == INSTRUCTION:
            if not settling.counts(mark) or (block is None and not mark.strong and not settling.ahead(place)):
                continue
            fresh = block is not None and not block
            if block is None or settling.field_opens(place, block, fresh):
                chosen[mark.line] = (True, INSTRUCTION, mark.rest)
                settling.first_shape = settling.first_shape or mark.number
                settling.any_opened = True
                block = {INSTRUCTION}
            elif fresh:
                chosen[mark.line] = (False, INSTRUCTION, mark.rest)
                block.add(INSTRUCTION)
        elif block is not None and settling.counts(mark) and mark.name not in block and OUTPUT not in block:
            chosen[mark.line] = (False, mark.name, mark.rest)
            block.add(mark.name)
    return chosen


def _assembled(
    lines: Sequence[str], marks: Sequence[_Mark], around: set[int], chosen: dict[int, tuple[bool, str | None, str]]
) -> tuple[list[Block], bool]:
    blocks: list[Block] = []
    current: list[str] | None = None
    ended = False
    ends = {mark.line for mark in marks if mark.end}
    for number, line in enumerate(lines):
        if number in around or (number in ends and number in chosen):
            current, ended = None, bool(blocks)
        elif number in chosen:
            opens, name, rest = chosen[number]
            if opens:
                blocks.append(Block())
                ended = False
            current = None if name is None else blocks[-1].fields.setdefault(name, [])
            if current is not None:
                current.append(rest)
        elif current is not None:
            current.append(line)
    return blocks, ended
