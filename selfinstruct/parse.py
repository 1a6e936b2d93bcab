"""Items out of a model's text, one by one: a bad or cut one never costs its neighbours, and is never kept.

In: the text of a reply, why it ended, and which form was asked for (prompts.py describes both). Out: `Parsed`s in
order: items, or faults with a reason and the text that they are of. Models decorate: full-width numbers and colons,
bold, headings, English names of the fields, a word before and after the list, `<think>` in front of it; parse_lines.py
and parse_json.py say what is read. A cut item is the last one of a reply that ended for its length, or whose last item
lacks its end: in a list the line [完] or a finished sentence, in JSON the closing brace. Price: 120 µs an item.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from selfinstruct.parse_json import Broken, values_of
from selfinstruct.parse_lines import INPUT, INSTRUCTION, NAMES, OUTPUT, blocks_of, is_fence

_FIELDS: Final = (INSTRUCTION, INPUT, OUTPUT)
_CUT: Final = frozenset({"length", "max_tokens", "content_filter"})
_RULE: Final = re.compile(r"^[ \t]*(?:([-=*_])(?:[ \t]*\1){2,}|#{2,})[ \t]*$")
_EMPTY: Final = re.compile(
    r"[ \t\n<＜（(【\[*_`“\"]*(?:无|没有|空|暂无|不需要|无需|无输入|无需输入|没有输入|无材料|不适用|"
    r"none|null|nil|n/?a|no[ \t]*input|noinput|empty|-+|/)[ \t\n>＞）)】\]*_`”\"。.]*",
    re.IGNORECASE,
)
_THINK: Final = re.compile(r"<(think|thinking|thought|reasoning)>.*?</\1>", re.IGNORECASE | re.DOTALL)
_THINK_OPEN: Final = re.compile(r"<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_THINK_CLOSE: Final = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_FINISHED: Final = frozenset("。！？!?.…”’」』）)】]》>；;:：~`|")
_PAUSE: Final = re.compile("[，、；,;（(]|[。！？](?!$)")
_SHORT_LINE: Final = 24  # characters of a line that needs no full stop: a name, a number, a point of a list
_BLANKS: Final = re.compile(r"([ \t\u3000]{120})[ \t\u3000]+")  # more of them say nothing, and cost their square
_MOST_DEPTH: Final = 3  # JSON within a JSON text
# A last paragraph that speaks about the list, not in it.
_FAREWELL: Final = re.compile(
    r"(?:(?:以上|上面|上述)(?:就|便|即|全部)?(?:是|为)|希望(?:这些|以上|上述)|如果?(?:您|你)?(?:还)?(?:需要?|想要)(?:更多|调整|修改|补充|其他)?|"
    r"（?(?:已|共|全部)(?:完成|编写)|these (?:are|tasks)|i hope|let me know)[^\n]{0,60}?"
    r"(?:任务|题目|示例|指令|需求|要求|调整|修改|随时|帮助|tasks?|know|help)[^\n]{0,60}",
    re.IGNORECASE,
)
_ONE_LINE: Final = re.compile(
    r"^(?P<instruction>.+?)[ \t\u3000]+(?:输入|input)[:：][ \t]*(?P<input>.*?)"
    r"[ \t\u3000]+(?:输出|output)[:：][ \t]*(?P<output>.+)$",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """An item, or with `fault` (a reason beginning with "parse.") what is none."""

    instruction: str
    input: str
    output: str
    fault: str | None = None
    detail: str = ""


def without_thinking(text: str) -> str | None:
    """The text behind what a model thought aloud; None: it never came to an end."""
    text = _THINK.sub("", text)
    closed = list(_THINK_CLOSE.finditer(text))  # some endpoints give the closing tag only
    if closed:
        text = text[closed[-1].end() :]
    return None if _THINK_OPEN.search(text) else text


def parse(text: str, finish_reason: str | None, structured: bool, bare: bool = False) -> list[Parsed]:
    """All items and faults of a reply, in order; never none. Either form is read where the other one was asked for.

    `bare`: tasks alone were asked for, so an output may be missing, and is left out where it is 无.
    """
    cut = finish_reason in _CUT
    plain = without_thinking(_BLANKS.sub(r"\1", text))
    if plain is None:
        return [_fault("parse.thinking", "the reply ended while the model was thinking", text)]
    json_first = structured or plain.lstrip("\ufeff \t\r\n").startswith(("{", "[{", "```json", "[\n", "[ {"))
    found: list[Parsed] = []
    for as_json in (json_first, not json_first):
        if as_json and '"' not in plain and "'" not in plain:
            continue
        this = [_writable(one) for one in (_from_json(plain, bare) if as_json else _from_list(plain, cut, bare))]
        if any(one.fault is None for one in this):
            return this
        found = found or this
    return found or [_fault("parse.no_item", "there is no item in the reply", plain)]


def _writable(one: Parsed) -> Parsed:
    """The same, or a fault where a text holds half a character, which JSON can say and UTF-8 cannot."""
    texts = (one.instruction, one.input, one.output)
    try:
        "".join((*texts, one.detail)).encode()
    except UnicodeEncodeError:
        mended = (text.encode("utf-8", "replace").decode() for text in (*texts, one.detail))
        instruction, given, output, detail = mended
        return Parsed(instruction, given, output, one.fault or "parse.bad_text", detail or "half a character")
    return one


def _fault(name: str, detail: str, text: str = "", **fields: str) -> Parsed:
    shown = {"instruction": text.strip()[:500], "input": "", "output": ""} | fields
    return Parsed(shown["instruction"], shown["input"], shown["output"], name, detail)


def _from_list(text: str, cut: bool, bare: bool) -> Iterator[Parsed]:
    blocks, ended = blocks_of(text, cut, bare)
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        texts = {name: _tidy(block.fields[name]) for name in _FIELDS if name in block.fields}
        if OUTPUT not in texts and (match := _ONE_LINE.match(texts.get(INSTRUCTION, ""))):
            texts = match.groupdict()
        if last and not ended and OUTPUT in texts:
            texts[OUTPUT] = _without_farewell(texts[OUTPUT])
        instruction, output, given = (texts.get(name, "") for name in (INSTRUCTION, OUTPUT, INPUT))
        given = "" if _EMPTY.fullmatch(given) else given
        if not block.fields:
            yield _fault("parse.cut", "an item that was begun and not written")
        elif not instruction:
            yield _fault("parse.no_instruction", "an item without an instruction", output or given)
        elif bare and (not last or ended or not cut):
            yield Parsed(instruction, given, "" if _EMPTY.fullmatch(output) else output)
        elif OUTPUT not in texts:
            name = "parse.cut" if last else "parse.no_output"
            yield _fault(name, "an item without an output", instruction=instruction, input=given)
        elif _open_fence(output):
            yield _fault("parse.cut", "code that does not end", instruction=instruction, input=given, output=output)
        elif last and not ended and (cut or not _finished(output)):
            yield _fault("parse.cut", "the last item does not end", instruction=instruction, input=given, output=output)
        elif not output:
            yield _fault("parse.no_output", "an item with an empty output", instruction=instruction, input=given)
        else:
            yield Parsed(instruction, given, output)


def _tidy(lines: Sequence[str]) -> str:
    """A field's text without the rules and empty lines that part it from the next item."""
    kept = list(lines)
    while kept and (not kept[-1].strip() or _RULE.match(kept[-1])):
        kept.pop()
    return "\n".join(kept).strip("\n").strip(" \t\u3000\u00a0")


def _without_farewell(text: str) -> str:
    head, _, tail = text.rpartition("\n\n")
    return _tidy(head.split("\n")) if head.strip() and _FAREWELL.fullmatch(tail.strip()) else text


def _open_fence(text: str) -> bool:
    """Whether a code fence is open at the end of a text."""
    fence, depth = "", 0
    for line in text.split("\n"):
        match = is_fence(line)
        if match is None:
            continue
        mark, info = match.group(1), match.group(2).strip()
        if not fence:
            fence, depth = mark, 1
        elif mark[0] == fence[0] and len(mark) >= len(fence):
            depth += 1 if info else -1
            fence = fence if depth else ""
    return bool(fence)


def _finished(text: str) -> bool:
    """Whether a text can be an end: a sentence that closes, or a few words without any sentence."""
    stripped = text.rstrip().rstrip("*_")
    if not stripped:
        return False
    last = stripped.rsplit("\n", 1)[-1]
    return stripped[-1] in _FINISHED or (len(last) <= _SHORT_LINE and not _PAUSE.search(last))


def _from_json(text: str, bare: bool, depth: int = 0) -> Iterator[Parsed]:
    any_found = False
    for value in values_of(text):
        for one in _objects(value, bare, depth):
            any_found = True
            yield one
    if not any_found and depth < _MOST_DEPTH and text.lstrip().startswith('"'):
        try:
            inner_text = orjson.loads(text.strip())
        except orjson.JSONDecodeError:
            return
        if isinstance(inner_text, str):
            yield from _from_json(inner_text, bare, depth + 1)


def _objects(value: Any, bare: bool, depth: int) -> Iterator[Parsed]:
    """The items of a JSON value."""
    if isinstance(value, Broken):
        yield _fault("parse.cut" if value.cut else "parse.bad_json", "an object that is no JSON", value.text)
    elif isinstance(value, list):
        for one in value:
            yield from _objects(one, bare, depth)
    elif isinstance(value, Mapping):
        named = {NAMES[name]: text for key, text in value.items() if (name := str(key).strip().lower()) in NAMES}
        if INSTRUCTION in named:
            yield _item(named, bare)
        else:
            for one in value.values():
                if isinstance(one, list | Mapping):
                    yield from _objects(one, bare, depth)
                elif isinstance(one, str) and depth < _MOST_DEPTH and '"instruction"' in one:
                    yield from _from_json(one, bare, depth + 1)


def _item(named: Mapping[str, Any], bare: bool) -> Parsed:
    try:
        texts = {name: _told(named.get(name)) for name in _FIELDS}
    except (TypeError, ValueError, RecursionError):
        return _fault("parse.bad_json", "a field holds what cannot be written down")
    if _EMPTY.fullmatch(texts[INPUT]):
        texts[INPUT] = ""
    if not texts[INSTRUCTION]:
        return _fault("parse.no_instruction", "an item without an instruction", **texts)
    if not texts[OUTPUT] and not bare:
        return _fault("parse.no_output", "an item without an output", **texts)
    return Parsed(texts[INSTRUCTION], texts[INPUT], texts[OUTPUT])


def _told(value: Any) -> str:
    """A JSON value as text; a list of texts is a line each."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\n".join(value).strip()
    if isinstance(value, list | Mapping):
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    return "" if value is None else str(value).strip()
