"""What an instruction asks to be done: its leading verb and that verb's noun, in Chinese or English.

In: an instruction. Out: a pair of words. For Chinese by parts of speech (rjieba's dictionary and hidden Markov model,
no syntax): the first verb that is not only a polite or an auxiliary one, and the last word of the noun group behind
it. English goes by position alone: the first word is the verb of an imperative. Price: 0.3 s for the dictionary, then
20 µs an instruction.
"""

import re
from typing import Final

from runkit.text import han_count

# They ask or carry another verb; what is asked for stands behind them.
_LIGHT_WORDS: Final = """
请 请问 帮 帮忙 帮助 帮我 麻烦 想 要 需要 想要 希望 能 能够 可以 可 会 应该 应当 必须 让 使 使用 用 利用
给 给出 为 是 有 没有 进行 作 做 作为 根据 按照 依据 基于 结合 围绕 针对 关于 假设 假如 如果 假定
扮演 担任 来 去 把 将 对 阅读 读 读完 看 给定 用来 用于 是否 还有 中有 属于 以下 如下 下列 例如 比如
包括 包含 存在 在 到 没 不 不要 不能 无法 尝试 试 试着 尽量
please can could you would kindly i want need to help me let's
"""
_LIGHT: Final = frozenset(_LIGHT_WORDS.split())
_CLAUSE: Final = re.compile(r"[，。；：！？\n,;:!?]")
_NOUN: Final = ("n", "l", "i", "j", "eng", "vn", "an")
_ALSO_VERBS: Final = ("vn", "vd", "vi")
# Verbs of instructions that the dictionary knows as nouns or adverbs.
_KNOWN_WORDS: Final = """
总结 概括 归纳 比较 对比 分析 翻译 改写 续写 仿写 评价 推荐 统计 设计 解释 描述 介绍 命名 排序 分类
"""
_VERBS: Final = frozenset(_KNOWN_WORDS.split())
# A number and a measure that the segmenter leaves on a noun: 一封信, 篇文章.
_MEASURE: Final = re.compile("^(?:[一两几][篇封首个段张份句本次种](?=.)|篇(?=..))")
_LONGEST: Final = 4  # characters of a verb
_REACH: Final = 14  # words behind the verb in which its noun is looked for
_ENGLISH: Final = re.compile(r"[A-Za-z][A-Za-z'-]*")


def leading(instruction: str) -> tuple[str, str]:
    """(verb, noun); "" for what there is none of."""
    if han_count(instruction) * 4 < len(instruction.strip()):
        words = [word.lower() for word in _ENGLISH.findall(instruction[:200])]
        verb = next((word for word in words if word not in _LIGHT), "")
        return verb, ""
    import rjieba  # its dictionary takes 0.3 s

    tagged = [(word.strip(), tag) for word, tag in rjieba.tag(instruction[:300])]
    for number, (word, tag) in enumerate(tagged):
        # What opens a clause is its verb, though the dictionary knows it as a noun or an adverb too (分析, 比较).
        opens = number == 0 or tagged[number - 1][0] in _LIGHT or bool(_CLAUSE.match(tagged[number - 1][0]))
        if word[:2] in _VERBS:  # 翻译成 is 翻译
            return word[:2], _noun(tagged[number + 1 : number + 1 + _REACH])
        verb = tag == "v" or (tag in _ALSO_VERBS and (opens or tag == "vi"))
        if verb and word not in _LIGHT and len(word) <= _LONGEST:
            return word, _noun(tagged[number + 1 : number + 1 + _REACH])
    return "", ""


def _noun(tagged: list[tuple[str, str]]) -> str:
    """The head of the first noun group: what stands last before the clause ends, a 的 between belongs to the group."""
    found = ""
    for word, tag in tagged:
        if _CLAUSE.match(word):
            if found:
                break
            continue
        if tag.startswith(_NOUN) and len(word) > 1:
            found = _MEASURE.sub("", word)
        elif found and not (tag.startswith("u") or tag.startswith(("a", "m", "q", "b"))):
            break
    return found
