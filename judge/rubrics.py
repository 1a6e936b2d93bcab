"""What makes an answer good, for each class of questions, in Chinese and English.

In: a class as `questions.joined_category` writes it. Out: the `Rubric` that a judge is told; a class that is none of
ours gets `other`. Written for this project: each one names first what decides, then what costs points.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rubric:
    """What the judge is told of a class, by language."""

    title: dict[str, str]
    text: dict[str, str]


def _rubric(title_zh: str, zh: str, title_en: str, en: str) -> Rubric:
    return Rubric({"zh": title_zh, "en": title_en}, {"zh": zh, "en": en})


RUBRICS: Final[dict[str, Rubric]] = {
    "open_qa": _rubric(
        "开放问答",
        "首先看事实是否正确、是否回答了所问的事，其次看要点是否齐全、解释是否清楚。编造的人名、数字、出处和过时的说法"
        "按错误扣分；确实有争议的地方应当说明有不同看法。",
        "open question",
        "What decides is whether the facts are right and the question is the one answered; then whether the main "
        "points are there and clearly explained. Invented names, figures and sources count as errors. Where opinions "
        "really differ, the answer should say so.",
    ),
    "closed_qa": _rubric(
        "阅读问答",
        "答案必须能在所给材料中找到依据，并且正好回答所问。与材料矛盾、添加材料以外的内容、答非所问都要重扣；材料中没"
        "有答案时，如实说没有才是好的回答。",
        "question about a text",
        "The answer must rest on the given text and meet the question exactly. Contradicting the text or adding to it "
        "costs most. Where the text does not hold the answer, saying so is the good answer.",
    ),
    "math": _rubric(
        "数学",
        "请自己先算一遍。最后结果正确最要紧；结果错误的回答不高于 4 分，写得再工整也一样。结果正确时再看步骤是否完整、"
        "每一步是否成立、单位和题意是否照顾到。",
        "mathematics",
        "Work it out yourself first. The final result matters most: an answer with a wrong result gets no more than 4, "
        "however neat it is. Among right ones look at whether every step is there and holds, and at units.",
    ),
    "code": _rubric(
        "编程",
        "首先看代码能否运行、结果是否符合要求，并想一想边界情况：空输入、重复、负数、大数据量。其次看写法是否清楚、有"
        "没有必要的说明。要求解释代码时，看解释是否准确。不存在的函数、语法错误要重扣。",
        "programming",
        "What decides is whether the code runs and does what was asked, edge cases included: empty input, repetition, "
        "negative numbers, much data. Then clarity and the explanation that is needed. Functions that do not exist and "
        "syntax errors cost most. Where an explanation was asked for, judge whether it is right.",
    ),
    "generation": _rubric(
        "写作",
        "看是否满足题目的每一项要求（体裁、对象、主题、篇幅），内容是否具体、前后连贯，语言是否自然得体。套话、重复、"
        "跑题和没有写完要扣分；不要求与参考答案相同。",
        "writing",
        "Look at whether every demand is met (form, reader, subject, length), whether it is concrete and holds "
        "together, and whether the language is natural. Stock phrases, repetition, straying and a missing end cost "
        "points. It need not be like the reference.",
    ),
    "brainstorming": _rubric(
        "头脑风暴",
        "看想法是否切题、可行、彼此不同、具体到可以照着做，数量是否符合要求。换一种说法重复同一个想法、空泛的口号要扣"
        "分。",
        "brainstorming",
        "Look at whether the ideas fit, can be carried out, differ from one another, are concrete, and are as many as "
        "was asked. One idea in several wordings and empty slogans cost points.",
    ),
    "classification": _rubric(
        "分类判断",
        "首先看判断的类别是否正确；类别错误的回答不高于 4 分。题目规定了输出格式时必须遵守；要求说明理由时看理由是否"
        "成立。",
        "classification",
        "What decides is whether the class is right: a wrong one gets no more than 4. A prescribed form must be kept; "
        "where reasons were asked for, they must hold.",
    ),
    "extract": _rubric(
        "信息抽取",
        "看要求的各项是否找全、是否与原文一致、是否按规定的格式给出。漏项、错项和编造的项都要扣分，编造最重；原文没有"
        "的项应当说明没有。",
        "information extraction",
        "Look at whether every item asked for is found, agrees with the text, and stands in the prescribed form. "
        "Missing and wrong items cost points, invented ones most. What the text does not say should be marked as "
        "missing.",
    ),
    "rewrite": _rubric(
        "改写",
        "看是否按要求改了（语气、文体、人称、篇幅或纠错），同时保住原文的意思和事实。没有真正改动、改变原意、漏掉内容、"
        "添上原文没有的事都要扣分。",
        "rewriting",
        "Look at whether it was changed as asked (tone, form, person, length, or errors mended) while meaning and "
        "facts are kept. Hardly changing it, changing its meaning, leaving out or adding things cost points.",
    ),
    "summarization": _rubric(
        "摘要",
        "看是否抓住最重要的内容、与原文一致、篇幅合乎要求、读起来通顺。照抄大段原文、遗漏要点、加入原文没有的内容或自"
        "己的评论都要扣分。",
        "summary",
        "Look at whether it holds what matters most, agrees with the text, keeps to the length, and reads well. "
        "Copying long parts, missing main points, and adding facts or opinions cost points.",
    ),
    "chat": _rubric(
        "对话",
        "看是否听懂了对方的处境和情绪，回应是否自然、体贴、有用，语气是否合适。说教、敷衍、空洞的安慰和危险的建议要扣"
        "分。",
        "conversation",
        "Look at whether it understands the situation and the mood, and responds naturally, kindly and usefully in a "
        "fitting tone. Preaching, empty comfort and dangerous advice cost points.",
    ),
    "translation": _rubric(
        "翻译",
        "看意思是否准确完整、译文是否自然、术语和语气是否合适。漏译、错译、多译和生硬的直译要扣分。",
        "translation",
        "Look at whether the meaning is right and whole, the translation natural, terms and tone fitting. Omissions, "
        "mistakes, additions and stiff word-for-word renderings cost points.",
    ),
    "other": _rubric(
        "综合",
        "看回答是否正确、切题、完整、清楚、对提问的人有用，并遵守题目的全部要求。",
        "general",
        "Look at whether the answer is right, to the point, whole, clear, useful to who asked, and meets every demand.",
    ),
}
_ALIASES: Final = {
    "openqa": "open_qa",
    "generic": "open_qa",
    "knowledge": "open_qa",
    "common_sense": "open_qa",
    "counterfactual": "open_qa",
    "fermi": "math",
    "closedqa": "closed_qa",
    "reading_comprehension": "closed_qa",
    "mathematics": "math",
    "coding": "code",
    "programming": "code",
    "writing": "generation",
    "creative_writing": "generation",
    "brainstorm": "brainstorming",
    "classify": "classification",
    "extraction": "extract",
    "information_extraction": "extract",
    "rewriting": "rewrite",
    "summary": "summarization",
    "summarisation": "summarization",
    "conversation": "chat",
    "roleplay": "chat",
    **{rubric.title["zh"]: key for key, rubric in RUBRICS.items()},
}


def rubric_key(category: str) -> str:
    """Which rubric a class gets."""
    key = category.replace(" ", "_").replace("-", "_")
    key = _ALIASES.get(key, key)
    return key if key in RUBRICS else "other"
