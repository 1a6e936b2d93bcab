"""The twelve kinds of task: what each is called, what it asks for, and whether it needs a text to work on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from runkit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of task."""

    key: str
    chinese: str
    asks: str  # said to the model, after "类别："
    input: Literal["always", "often", "never"]
    from_document: str = ""  # said instead of `asks` where the input is a given document; empty: not made of one


KINDS: Final[tuple[Kind, ...]] = (
    Kind(
        "brainstorming",
        "头脑风暴",
        "请对方围绕一个具体情境列出若干想法、名称、方案或问题，答案是条目清楚的列表",
        "never",
    ),
    Kind(
        "open_qa", "开放问答", "问一个凭常识、科学、历史或文化知识就能回答的问题，不附材料，答案准确并说明缘由", "never"
    ),
    Kind(
        "closed_qa",
        "阅读问答",
        "附一段材料，问一个只能依据材料回答的问题，答案全部来自材料，不添加材料以外的内容",
        "always",
        "针对材料问一个具体的问题，答案能在材料中找到依据，不添加材料以外的内容",
    ),
    Kind(
        "rewrite",
        "改写",
        "附一段文字，要求换一种方式表达：改语气、改人称、改文体、压缩、扩写、纠正语病等，要说清楚改成什么样",
        "always",
        "要求改写材料（改语气、文体、读者对象或篇幅），说清楚改成什么样，意思不变",
    ),
    Kind(
        "extract",
        "信息抽取",
        "附一段文字，要求按指定的项目把信息找出来，可以规定输出格式，文中没有的不许编造",
        "always",
        "要求从材料中按指定的项目找出信息，可以规定输出格式，材料里没有的不许编造",
    ),
    Kind(
        "generation", "写作", "要求写一段新的文字：故事、书信、通知、诗歌、文案、讲稿等，说明对象、目的和篇幅", "often"
    ),
    Kind("classification", "分类判断", "附一段或几段文字，给出候选类别，要求判断属于哪一类，必要时说明理由", "often"),
    Kind(
        "chat", "对话", "像朋友或同事那样说出一件生活、学习、工作上的事，希望得到回应、安慰、建议或接着聊下去", "never"
    ),
    Kind(
        "summarization",
        "摘要",
        "附一段一百字以上的文字，要求概括成一句话、几个要点、一个标题或指定字数的摘要",
        "always",
        "要求概括材料：一句话、几个要点、标题或指定字数的摘要，不添加材料以外的内容",
    ),
    Kind("math", "数学", "出一道算术、应用题、几何、概率或统计题，数据完整，答案写出每一步算式和结果", "never"),
    Kind("code", "编程", "要求写、读、改或解释一段程序，说清楚语言和输入输出，答案里的代码放在代码块中", "often"),
    Kind("translation", "翻译", "附一句或一段原文，要求在中文与另一种语言之间翻译，可以规定语气或用词", "always"),
)
BY_KEY: Final[Mapping[str, Kind]] = {kind.key: kind for kind in KINDS}
# How other sets call the same.
_ALIASES: Final = {
    "open qa": "open_qa",
    "openqa": "open_qa",
    "closed qa": "closed_qa",
    "closedqa": "closed_qa",
    "rewriting": "rewrite",
    "extraction": "extract",
    "summary": "summarization",
    "summarisation": "summarization",
    "classify": "classification",
    "translate": "translation",
    "brainstorm": "brainstorming",
    "conversation": "chat",
    "coding": "code",
} | {kind.chinese: kind.key for kind in KINDS}


def known_kind(name: str | None) -> str | None:
    """The key of a kind by any of its names; None: it is none of them."""
    if not name:
        return None
    plain = name.strip().lower()
    key = _ALIASES.get(plain, plain.replace(" ", "_").replace("-", "_"))
    return key if key in BY_KEY else None


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """What share of the items each kind shall have; without weights all the same. UsageError: an unknown kind."""
    unknown = [name for name in weights if name not in BY_KEY]
    if unknown:
        raise UsageError(f"kinds.{unknown[0]} is unknown; known are {', '.join(BY_KEY)}.")
    chosen = {kind.key: weights.get(kind.key, 0.0) for kind in KINDS} if weights else dict.fromkeys(BY_KEY, 1.0)
    whole = sum(chosen.values())
    if whole <= 0:
        raise UsageError("All kinds have a weight of 0; give one of them more.")
    return {key: weight / whole for key, weight in chosen.items() if weight > 0}
