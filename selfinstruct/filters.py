"""What an item must be to be kept: every reason why it is not, each with a name that stays the same.

In: an item, and what the model was shown. Out: reasons, none for a good item. The rules are narrow: each names what it
saw, and what is only doubtful is kept. Language and personal data are judged as `corpus clean` judges them. Price:
0.3 ms an item, most of it for texts that
are not Chinese.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field, model_validator
from rapidfuzz.distance import LCSseq

from runkit.config import Config
from runkit.text import detect_language, find_personal, han_count
from selfinstruct.arithmetic import wrong_equations
from selfinstruct.filter_words import (
    ABOUT_IT,
    ABOUT_MODELS,
    CANNOT_DO,
    CANNOT_KNOW,
    GIVEN_TIME,
    HARMLESS,
    OTHER_LANGUAGES,
    PLACEHOLDER,
    REFERS,
    REFUSAL,
    REFUSAL_ANYWHERE,
    UNSAFE,
)
from selfinstruct.novelty import tokens_of

Count = Annotated[int, Field(ge=0)]
NAMES: Final = (
    *("length.instruction", "length.input", "length.output", "language", "cannot_do", "refusal", "echo"),
    *("same_as_instruction", "same_as_input", "prompt_leak", "loop", "placeholder", "no_input", "arithmetic"),
    *("unsafe", "personal"),
)
_EQUAL_FROM: Final = 20  # characters of an output that is not equal to another one by chance
_LEAK: Final = 14  # characters of our prompt that stand in no item by chance
_NEAR: Final = 0.7
_MARKER: Final = re.compile(r"\[任务 ?\d+\]|^\[完\]|^指令[：:].*^输出[：:]", re.MULTILINE | re.DOTALL)
_REPEAT: Final = re.compile(r"(.{4,60}?)\1{3,}|([^\s\d\-=_*.·…—~#+/\\|哈嘿呵啊0])\2{11,}", re.DOTALL)
# Behind words that speak of a text: signs that it follows at once.
_TEXT_HERE: Final = re.compile(
    r"[：:“\"「『《（(\n`\d]|，.{30,}|"
    r"[。？！?!]\s*(?!请|不|字数|要求|用|以|控制|输出|列出|给出|并|限|注意|回答|结果|格式|最[后多少]|至[少多]|每|只|写).{4,}",
    re.DOTALL,
)
_TEXT_BEFORE: Final = 30  # characters in front of words that speak of a text, which they may be
_MADE_FOR: Final = re.compile("函数|算法|程序|代码|模型|脚本|应用|公式|方法")
_FENCED: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LETTERS: Final = re.compile(r"[^\W\d_]")
_WORDS: Final = re.compile(r"[^\W\d_\u4e00-\u9fff]+")
_SIGNS: Final = re.compile(r"[{}<>=;()\[\]/\\|&$#@+*^]")
_cut: Final = tokens_of("char")


class FilterConfig(Config):
    """Settings of the filters."""

    off: list[str] = Field([])
    """Filters that are not used, by name: language, cannot_do, refusal, echo, loop, …"""
    instruction_min: Count = 4
    """Fewest characters of an instruction."""
    instruction_max: Count = 1000
    """Most characters of an instruction."""
    input_max: Count = 6000
    """Most characters of an input."""
    output_min: Count = 1
    """Fewest characters of an output."""
    output_max: Count = 8000
    """Most characters of an output."""

    @model_validator(mode="after")
    def _known(self) -> "FilterConfig":
        groups = {name.partition(".")[0] for name in NAMES}
        for name in self.off:
            if name not in NAMES and name not in groups:
                raise ValueError(f"`off` names {name!r}, which is no filter; known are {', '.join(NAMES)}")
        return self


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is not kept."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The item."""

    instruction: str
    input: str
    output: str
    category: str | None


@dataclass(slots=True)
class Context:
    """What the model was shown: worked examples (instruction, input, output) and our own words."""

    examples: Sequence[tuple[str, str, str]] = field(default_factory=list)
    prompt: str = ""


def check(item: Checked, context: Context, config: FilterConfig) -> list[Reason]:
    """All reasons, in a fixed order."""
    found: list[Reason] = []
    for name, rule in _RULES.items():
        if name not in config.off:
            found += [one for one in rule(item, context, config) if one.name not in config.off]
    return found


def _length(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    for name, text, least, most in (
        ("instruction", item.instruction, config.instruction_min, config.instruction_max),
        ("input", item.input, 0, config.input_max),
        ("output", item.output, config.output_min, config.output_max),
    ):
        if not least <= len(text.strip()) <= most:
            yield Reason(f"length.{name}", f"{len(text.strip())} characters, {least} to {most} are wanted")


def _language(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    if not _chinese(item.instruction):
        yield Reason("language", "the instruction is not in Chinese")
    # An answer that is a word, a formula or code has no language; one that was asked for in another one has that.
    output = _FENCED.sub("", item.output)
    free = item.category in ("translation", "code") or OTHER_LANGUAGES.search(item.instruction)
    if free or len(_LETTERS.findall(output)) < 30 or _chinese(output):
        return
    given = item.input
    code = len(_SIGNS.findall(output)) >= 0.08 * len(output)
    if not code and (len(_LETTERS.findall(given)) < 10 or _chinese(given)):
        yield Reason("language", "the output is not in Chinese")


def _chinese(text: str) -> bool:
    """Chinese with foreign names in it, too: a word of letters counts as a character."""
    han = han_count(text)
    if han >= len(_WORDS.findall(text)) or han * 3 >= len(_LETTERS.findall(text)):
        return True
    return detect_language(text)[0] == "zh"


def _cannot_do(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    if HARMLESS.search(item.instruction):
        return
    match = None if ABOUT_IT.search(item.instruction) else CANNOT_DO.search(item.instruction)
    match = match or (None if GIVEN_TIME.search(item.instruction) else CANNOT_KNOW.search(item.instruction))
    if match:
        yield Reason("cannot_do", match.group())


def _refusal(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    if ABOUT_MODELS.search(item.instruction):
        return
    match = REFUSAL.match(item.output.lstrip()[:80]) or REFUSAL_ANYWHERE.search(item.output)
    if match:
        yield Reason("refusal", match.group())


def _echo(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    own = _cut(item.instruction)
    for instruction, given, output in context.examples:
        theirs = _cut(instruction)
        if own and 2 * LCSseq.similarity(own, theirs) > _NEAR * (len(own) + len(theirs)):
            yield Reason("echo", f"like the example {instruction[:40]}")
            return
        for text, other in ((item.output, output), (item.input, given)):
            if len(other) >= _EQUAL_FROM and text.strip() == other.strip():
                yield Reason("echo", f"an example says the same: {other[:40]}")
                return


def _same(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    instruction, output = _bare(item.instruction), _bare(item.output)
    if output and (output == instruction or (output.startswith(instruction) and len(output) < 1.2 * len(instruction))):
        yield Reason("same_as_instruction", item.output[:40])
    if len(output) >= _EQUAL_FROM and item.output.strip() == item.input.strip():  # a comma may be the task
        yield Reason("same_as_input", item.output[:40])


def _bare(text: str) -> str:
    return "".join(_cut(text))


def _leak(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    for text in (item.instruction, item.input, item.output):
        match = _MARKER.search(_FENCED.sub("", text))
        if match:
            yield Reason("prompt_leak", match.group())
            return
        shared = _shared(text, context.prompt)
        if shared:
            yield Reason("prompt_leak", shared)
            return


def _shared(text: str, prompt: str) -> str:
    """A run of our own words in a text; looked for in steps, so that the shortest that is found has `_LEAK`."""
    if not prompt:
        return ""
    step = _LEAK // 2
    return next(
        (
            piece
            for at in range(0, len(text) - step + 1, step)
            if len(piece := text[at : at + _LEAK]) == _LEAK and piece in prompt
        ),
        "",
    )


def _loop(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    if item.category == "code":
        return
    prose = _FENCED.sub("", item.output)
    for match in _REPEAT.finditer(prose):
        if match.group(2) or 2 * len(_LETTERS.findall(match.group(1))) >= len(match.group(1)):
            yield Reason("loop", match.group()[:60])
            return
    lines = [line.strip() for line in prose.split("\n") if len(_LETTERS.findall(line)) >= 6]
    line, count = Counter(lines).most_common(1)[0] if lines else ("", 0)
    if count >= 4 and count * 3 >= len(lines):
        yield Reason("loop", f"{count} times: {line[:40]}")


def _placeholder(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    match = PLACEHOLDER.fullmatch(item.input.strip())
    if match:
        yield Reason("placeholder", match.group()[:40])
    if not item.input.strip():
        missing = REFERS.search(item.instruction)
        rest = item.instruction[missing.end() :] if missing else ""
        # A text may stand in the instruction itself: behind a colon, in quotes, in brackets, in the next sentence.
        before = item.instruction[: missing.start()] if missing else ""
        early = len(before) < _TEXT_BEFORE and not before.rstrip().endswith(("”", "》", "」", '"'))
        if missing and early and not _TEXT_HERE.search(rest) and not _MADE_FOR.search(item.instruction):
            yield Reason("no_input", missing.group())


def _arithmetic(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    wrong = [] if item.category == "code" else wrong_equations(item.output)
    if wrong:
        yield Reason("arithmetic", wrong[0])


def _unsafe(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    match = UNSAFE.search(item.instruction)
    if match and not re.search(
        "防|识别|警惕|避免|预防|拒绝|危害|小说|剧本|历史|新闻|法律|处罚|犯罪学", item.instruction
    ):
        yield Reason("unsafe", match.group())


def _personal(item: Checked, context: Context, config: FilterConfig) -> Iterator[Reason]:
    for text in (item.instruction, item.input, item.output):
        if found := find_personal(text):
            yield Reason("personal", found[0].kind)
            return


Rule = Callable[[Checked, Context, FilterConfig], Iterator[Reason]]
_RULES: Final[dict[str, Rule]] = {
    "length": _length,
    "language": _language,
    "cannot_do": _cannot_do,
    "refusal": _refusal,
    "echo": _echo,
    "same": _same,
    "prompt_leak": _leak,
    "loop": _loop,
    "placeholders": _placeholder,
    "arithmetic": _arithmetic,
    "unsafe": _unsafe,
    "personal": _personal,
}
