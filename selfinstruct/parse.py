"""Items out of a model's text, one by one: a bad or cut one never costs its neighbours, and is never kept.

In: the text of a reply, why it ended, and which form was asked for (prompts.py describes both). Out: `Parsed`s in
order: items, or faults with a reason and the text that they are of. Models decorate: full-width numbers and colons,
bold, headings, English names of the fields, a word before and after the list, `<think>` in front of it. A field begins
at the beginning of a line only, and never inside a code fence; a numbered list within an answer is no new item, for an
item is known by its instruction. A cut item is the last one of a reply that ended for its length, or whose last item
lacks its end: in a list the line [完] or a finished sentence, in JSON the closing brace. Price: 20 µs an item.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from selfinstruct.prompts import END

_FIELDS: Final = ("instruction", "input", "output")
_NAMES: Final = {
    **dict.fromkeys(("指令", "任务", "题目", "问题", "instruction", "task", "question"), "instruction"),
    **dict.fromkeys(("输入", "材料", "input", "context"), "input"),
    **dict.fromkeys(("输出", "答案", "回答", "output", "answer", "response"), "output"),
}
_DECOR: Final = r"[ \t\u3000]*(?:[#>]+[ \t]*)?(?:[-*•][ \t]+)?[*_`【\[（(<]*"
_COUNT: Final = r"(?:[0-9０-９]{1,4}|[一二三四五六七八九十百]{1,4})"
_NUMBER: Final = rf"(?:第[ \t]*{_COUNT}[ \t]*[条题个项]|(?:任务|题目|示例|例)?[ \t]*{_COUNT}|[（(]{_COUNT}[)）]|[①-⑳])"
_MARK: Final = re.compile(
    rf"^{_DECOR}(?:(?P<number>{_NUMBER})[ \t]*[】\])）*_`]*[ \t]*[.．、。:：)）]*[ \t]*[*_`【\[]*)?"
    rf"(?P<name>{'|'.join(_NAMES)})[ \t]*(?:[0-9０-９]{{1,4}})?[*_`】\]）)>]*[ \t]*[:：][*_]*[ \t\u3000]*",
    re.IGNORECASE,
)
# An item's number on a line of its own, as our marker is.
_ALONE: Final = re.compile(
    rf"^{_DECOR}(?P<word>任务|题目|item|task|第)?[ \t]*{_COUNT}[ \t]*[条题个项]?"
    r"[】\]）)>*_`]*[ \t]*[.．、:：]*[*_` \t]*$",
    re.IGNORECASE,
)
_RULE: Final = re.compile(r"^[ \t]*(?:[-=*_~]{3,}|#{2,})[ \t]*$")
_FENCE: Final = re.compile(r"^[ \t]*(`{3,}|~{3,})")
_END: Final = re.compile(
    rf"^[ \t]*[*_`【\[（(]*(?:{re.escape(END.strip('[]'))}|完毕|结束|END)[*_`】\]）)]*[。.]?[ \t]*$", re.I
)
_EMPTY: Final = re.compile(
    r"[ \t\n<＜（(【\[*_`“\"]*(?:无|没有|空|暂无|不需要|无需|无输入|无需输入|没有输入|无材料|"
    r"none|null|nil|n/?a|no[ \t]*input|noinput|empty|-+|/)[ \t\n>＞）)】\]*_`”\"。.]*",
    re.IGNORECASE,
)
_THINK: Final = re.compile(r"<(think|thinking|thought|reasoning)>.*?</\1>", re.IGNORECASE | re.DOTALL)
_THINK_OPEN: Final = re.compile(r"<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_THINK_CLOSE: Final = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_FINISHED: Final = frozenset("。！？!?.…”’」』）)】]》>；;:：~`|")
_PAUSE: Final = re.compile("[，、；,;（(]|[。！？](?!$)")
_SHORT_LINE: Final = 24  # characters of a line that needs no full stop: a name, a number, a point of a list
_MOST_DEPTH: Final = 3  # JSON within a JSON text
_decoder: Final = json.JSONDecoder(strict=False)


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
    cut = finish_reason == "length"
    plain = without_thinking(text)
    if plain is None:
        return [_fault("parse.thinking", "the reply ended while the model was thinking", text)]
    found: list[Parsed] = []
    if structured or plain.lstrip().startswith(("{", "[{", "```json", "[\n", "[ {")):
        found = list(_from_json(plain, bare))
    if not found or all(one.fault == "parse.no_item" for one in found):
        listed = list(_from_list(plain, cut, bare))
        found = listed if any(one.fault is None for one in listed) or not found else found
    return found or [_fault("parse.no_item", "there is no item in the reply", plain)]


def _fault(name: str, detail: str, text: str = "", **fields: str) -> Parsed:
    shown = {"instruction": text.strip()[:500], "input": "", "output": ""} | fields
    return Parsed(shown["instruction"], shown["input"], shown["output"], name, detail)


def _from_list(text: str, cut: bool, bare: bool) -> Iterator[Parsed]:
    blocks, ended = _blocks(text)
    for number, fields in enumerate(blocks):
        last = number == len(blocks) - 1
        texts = {name: _tidy(fields[name]) for name in _FIELDS if name in fields}
        instruction, output = texts.get("instruction", ""), texts.get("output", "")
        given = texts.get("input", "")
        given = "" if _EMPTY.fullmatch(given) else given
        if not fields:
            yield _fault("parse.cut", "an item that was begun and not written")
        elif not instruction:
            yield _fault("parse.no_instruction", "an item without an instruction", output or given)
        elif bare and (not last or ended or not cut):
            yield Parsed(instruction, given, "" if _EMPTY.fullmatch(output) else output)
        elif "output" not in texts:
            name = "parse.cut" if last else "parse.no_output"
            yield _fault(name, "an item without an output", instruction=instruction, input=given)
        elif last and not ended and (cut or not _finished(output)):
            yield _fault("parse.cut", "the last item does not end", instruction=instruction, input=given, output=output)
        elif not output:
            yield _fault("parse.no_output", "an item with an empty output", instruction=instruction, input=given)
        else:
            yield Parsed(instruction, given, output)


def _blocks(text: str) -> tuple[list[dict[str, list[str]]], bool]:
    """The lines of each field of each item; whether the list was ended."""
    blocks: list[dict[str, list[str]]] = []
    field: list[str] | None = None
    fence = outer = ""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    ended = False
    for number, line in enumerate(lines):
        if fence:
            fence = "" if _closes(line, fence) else fence
            assert field is not None
            field.append(line)
            continue
        mark = _MARK.match(line)
        name = _NAMES[mark.group("name").lower()] if mark else None
        if mark is not None and name == "instruction" and _begins(mark, blocks):
            blocks.append({})
        if mark is not None and name is not None and blocks and name not in blocks[-1]:
            field = blocks[-1].setdefault(name, [])
            line, ended = line[mark.end() :], False
        elif (blocks and _END.match(line)) or (outer and _closes(line, outer)):
            field, ended = None, True
        elif (
            (alone := _ALONE.match(line))
            and (next_name := _next_field(lines, number)) is not None
            # A bare number may be a point of an answer's list; with our word for an item it is none.
            and (next_name == "instruction" or alone.group("word"))
        ):
            field = None
            blocks.append({})
        if (opening := _FENCE.match(line)) is not None:
            if field is None:
                outer = opening.group(1)
            elif any(_closes(later, opening.group(1)) for later in lines[number + 1 :]):
                fence = opening.group(1)
        if field is not None:
            field.append(line)
    return blocks, ended


def _closes(line: str, fence: str) -> bool:
    match = _FENCE.match(line)
    return match is not None and match.group(1).startswith(fence) and line.strip() == match.group(1)


def _begins(mark: re.Match[str], blocks: list[dict[str, list[str]]]) -> bool:
    """Whether a mark of an instruction opens an item; not if the one at hand was opened by its number just now.

    "任务：" or "问题：" within an answer opens nothing when it bears no number.
    """
    if not blocks:
        return True
    if "instruction" not in blocks[-1]:
        return bool(blocks[-1])
    sure = mark.group("number") or mark.group("name").lower() in ("指令", "instruction")
    return bool(sure) and ("output" in blocks[-1] or bool(mark.group("number")))


def _next_field(lines: Sequence[str], number: int) -> str | None:
    """The field that the next line with text opens; "" where the text ends before that is clear; None: none."""
    rest = [line for line in lines[number + 1 :] if line.strip()]
    if not rest:
        return ""
    mark = _MARK.match(rest[0])
    if mark is not None:
        return _NAMES[mark.group("name").lower()]
    cut = len(rest) == 1 and any(name.startswith(rest[0].strip()) for name in _NAMES)
    return "" if cut else None


def _tidy(lines: Sequence[str]) -> str:
    """A field's text without the rules and empty lines that part it from the next item."""
    kept = list(lines)
    while kept and (not kept[-1].strip() or _RULE.match(kept[-1])):
        kept.pop()
    text = "\n".join(kept).strip("\n").strip(" \t\u3000")
    if text.startswith("**") and text.count("**") == 1:  # the bold of a marker that closed behind its colon
        text = text[2:].lstrip()
    return text


def _finished(text: str) -> bool:
    """Whether a text can be an end: a sentence that closes, a closed fence, or a few words without any sentence."""
    if sum(1 for line in text.split("\n") if _FENCE.match(line)) % 2:
        return False
    stripped = text.rstrip().rstrip("*_")
    if not stripped:
        return False
    last = stripped.rsplit("\n", 1)[-1]
    return stripped[-1] in _FINISHED or (len(last) <= _SHORT_LINE and not _PAUSE.search(last))


def _from_json(text: str, bare: bool, depth: int = 0) -> Iterator[Parsed]:
    """Whole objects with an instruction wherever they stand, also in a text that breaks off or is no JSON else."""
    place, any_found = 0, False
    while (start := text.find("{", place)) >= 0:
        try:
            value, end = _decoder.raw_decode(_mended(text), start)
        except (ValueError, RecursionError):
            # Of an object that is not whole its parts may be: go on behind its brace.
            rest = text[start + 1 :]
            inner = rest.find("{")
            if '"instruction"' in (rest if inner < 0 else rest[:inner]):
                any_found = True
                yield _fault(
                    "parse.cut" if "}" not in rest else "parse.bad_json", "an object that is no JSON", text[start:]
                )
            place = start + 1
            continue
        for one in _objects(value, bare, depth):
            any_found = True
            yield one
        place = end
    if not any_found and depth < _MOST_DEPTH and text.lstrip().startswith('"'):
        try:
            inner_text = orjson.loads(text.strip())
        except orjson.JSONDecodeError:
            return
        if isinstance(inner_text, str):
            yield from _from_json(inner_text, bare, depth + 1)


def _mended(text: str) -> str:
    """Without the commas before a closing bracket that models like to write; as long as before."""
    return re.sub(r",(?=\s*[}\]])", " ", text)


def _objects(value: Any, bare: bool, depth: int) -> Iterator[Parsed]:
    """The items of a JSON value."""
    if isinstance(value, list):
        for one in value:
            yield from _objects(one, bare, depth)
    elif isinstance(value, Mapping):
        named = {
            _NAMES[str(key).strip().lower()]: text for key, text in value.items() if str(key).strip().lower() in _NAMES
        }
        if "instruction" in named:
            yield _item(named, bare)
        else:
            for one in value.values():
                if isinstance(one, list | Mapping):
                    yield from _objects(one, bare, depth)
                elif isinstance(one, str) and depth < _MOST_DEPTH and '"instruction"' in one:
                    yield from _from_json(one, bare, depth + 1)


def _item(named: Mapping[str, Any], bare: bool) -> Parsed:
    texts = {}
    for name in _FIELDS:
        value = named.get(name, "")
        if isinstance(value, list | Mapping):
            value = orjson.dumps(value).decode()
        texts[name] = "" if value is None else str(value).strip()
    if _EMPTY.fullmatch(texts["input"]):
        texts["input"] = ""
    if not texts["instruction"]:
        return _fault("parse.no_instruction", "an item without an instruction", **texts)
    if not texts["output"] and not bare:
        return _fault("parse.no_output", "an item without an output", **texts)
    return Parsed(texts["instruction"], texts["input"], texts["output"])
