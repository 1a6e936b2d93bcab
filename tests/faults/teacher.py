"""What the loopback server says when it is asked for tasks: varied Chinese items that depend on the request alone.

In: the body of a request of `selfinstruct generate`. Out: the text of a reply in the form that was asked for, JSON or a
numbered list. About one item in eight is bad in a known way and one reply in thirty is cut, so that rejected.jsonl has
something to hold. The same bytes get the same reply, whenever they come.
"""

import hashlib
import json
import random
import re
from typing import Any

from tests.faults.texts import sentence, text

_KIND = re.compile("类别：(.+?)——")
_COUNT = re.compile(r"请编写 (\d+) 条新的任务")
_FIRST = re.compile(r"从“\[任务 (\d+)\]”写到")
# What is asked of a little story; those with a text in their input come second.
_ASKS = {
    "头脑风暴": ("替这件事想五个标题", "围绕它列六个可以追问的问题"),
    "开放问答": ("这样做可能有什么用处", "换在冬天会有哪些不同"),
    "阅读问答": ("读了附文，说说最先做事的是谁", "按附文回答事情发生在哪里"),
    "改写": ("把附文改得口语一点", "将附文压缩成半长而不丢意思"),
    "信息抽取": ("从附文里挑出人物和地点", "把附文提到的时间列成清单"),
    "写作": ("据此写一封短信给老朋友", "以此为开头续写一小段故事"),
    "分类判断": ("判断它更像新闻还是日记", "说说这算好事、坏事还是平常事"),
    "对话": ("听了这事我有点羡慕，你呢", "跟我聊聊你会不会也这么做"),
    "摘要": ("用一句话概括附文", "给附文写三个要点"),
    "数学": ("算一算共花了多少分钟", "问一共要多少张票"),
    "编程": ("写个函数统计这句话的字数", "用脚本把这句话按逗号切开"),
    "翻译": ("把附文译成英文", "将附文翻成日语"),
}
_WITH_TEXT = {"阅读问答", "改写", "信息抽取", "摘要", "翻译"}
BAD = ("refusal", "arithmetic", "placeholder", "personal", "loop", "no_output", "cannot_do")
BAD_SHARE, CUT_SHARE = 0.12, 0.03
Item = dict[str, str]


def said(body: dict[str, Any]) -> str:
    """All that the request says."""
    return "\n".join(str(message["content"]) for message in body["messages"])


def teach(body: dict[str, Any]) -> str:
    """Give it to `serving(answer=...)`."""
    asked = said(body)
    rng = random.Random(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())
    count = _COUNT.search(asked)
    structured = "response_format" in body
    if count is None:
        return _json([_item(rng, "开放问答", False, False)]) if structured else text(rng, rng.randint(1, 4))
    kind = _KIND.search(asked)
    assert kind is not None
    bare = "输出一律" in asked
    items = [_item(rng, kind[1], "材料全文" in asked, bare) for _ in range(int(count[1]))]
    whole = _json(items) if structured else _list(items, int(_first(asked)))
    return whole[: len(whole) * 2 // 3] if rng.random() < CUT_SHARE else whole


def _first(asked: str) -> str:
    found = _FIRST.search(asked)
    assert found is not None
    return found[1]


def _item(rng: random.Random, kind: str, grounded: bool, bare: bool) -> Item:
    story = sentence(rng).rstrip("。！？")
    item = {
        "instruction": f"{story}，{rng.choice(_ASKS[kind])}。",
        "input": "材料" if grounded else text(rng, 3) if kind in _WITH_TEXT else "",
        "output": "" if bare else _output(rng, kind),
    }
    return _spoilt(rng, item, rng.choice(BAD)) if rng.random() < BAD_SHARE and not bare else item


def _output(rng: random.Random, kind: str) -> str:
    if kind == "数学":
        a, b = rng.randint(12, 99), rng.randint(3, 20)
        return f"先看{text(rng, 1)}\n{a} × {b} = {a * b}，所以答案是 {a * b}。"
    if kind == "编程":
        return f"{sentence(rng)}\n```python\ndef count(text):\n    return len(text) + {rng.randint(0, 99)}\n```"
    if kind == "翻译":
        return f"In the early morning the {rng.choice(['baker', 'captain', 'gardener'])} counted {rng.randint(2, 99)}."
    return text(rng, rng.randint(2, 5))


def _spoilt(rng: random.Random, item: Item, how: str) -> Item:
    """The item as a model spoils it."""
    changes = {
        "refusal": {"output": "作为一个AI语言模型，我无法完成这个任务。"},
        "arithmetic": {"output": f"{item['output']}\n而 17 + 26 = 45。"},
        "placeholder": {"input": "（此处为文章内容）"},
        "personal": {"output": f"{item['output']}请打 1381234{rng.randint(1000, 9999)} 找我。"},
        "loop": {"output": "他笑着说了声好，" * 9},
        "no_output": {"output": ""},
        "cannot_do": {"instruction": "看看这张图片里的人在做什么，" + item["instruction"]},
    }
    return {**item, **changes[how]}


def _json(items: list[Item]) -> str:
    return json.dumps({"items": items}, ensure_ascii=False)


def _list(items: list[Item], first: int) -> str:
    parts = [
        f"[任务 {number}]\n指令：{item['instruction']}\n输入：{item['input'] or '无'}\n输出：{item['output'] or '无'}"
        for number, item in enumerate(items, first)
    ]
    return "\n".join([*parts, "[完]"])
