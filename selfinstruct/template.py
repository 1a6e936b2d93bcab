"""A teacher without a model: rules that turn clean documents and seeds into tasks whose answers are known.

In: texts of documents, seeds, a seed number. Out: drafts of a wanted kind, the same for the same input, made of what
stands in a document (its title, the order of its sentences, a word that was taken out) or of what can be computed.
It is for a first try without network and for tests: what it makes is correct and dull. It has no rule for
brainstorming and chat, and never makes up a fact. Price: 0.3 ms a draft, most of it cutting words.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from opencc import OpenCC

from runkit.text import han_count, script
from selfinstruct.template_facts import CODE, MATH, OPEN_QA, Fact

NAME: Final = "template"
_ENDS: Final = re.compile(r"(?<=[。！？])(?![”’」』）])|\n+")
_BOOK: Final = re.compile(r"《([^《》\n]{1,30})》")
_YEAR: Final = re.compile(r"(?<!\d)(?:1[5-9]|20)\d\d ?年")
_MARKS: Final = re.compile(r"[，。；：！？、]")
# What a page's title has around its own.
_SITE: Final = re.compile(r"^[\[【][^\]】]{1,8}[\]】]\s*|\s*[_|｜].*| [-–—] .*")
_SHORT, _LONG = 16, 90  # characters of a sentence that stands in an instruction
_QUOTES: Final = frozenset("“”‘’「」『』")
_LISTED: Final = re.compile(r"^(?:#{1,6}\s|[（(]?[\d一二三四五六七八九十]{1,3}[）).、．]|[-*•·])\s*(?!\d)")
_MOST_INPUT: Final = 400


@dataclass(frozen=True, slots=True)
class Text:
    """A clean document, as far as rules need it."""

    id: str
    title: str | None
    sentences: tuple[str, ...]  # as they stand, in order


@dataclass(frozen=True, slots=True)
class Draft:
    """A task before it is filtered."""

    instruction: str
    input: str
    output: str
    rule: str
    document_ids: tuple[str, ...] = ()
    seed_ids: tuple[str, ...] = ()


Rule = Callable[[Text, Random], tuple[str, str, str] | None]


def text_of(id: str, title: str | None, text: str) -> Text:
    """Cut a document into sentences."""
    pieces = (_LISTED.sub("", piece.strip()) for piece in _ENDS.split(text))
    return Text(id, title, tuple(piece for piece in pieces if piece))


class Teacher:
    """Makes drafts; the n-th draft of a kind depends on `texts`, `seeds` (id, instruction, kind's name) and `seed`."""

    def __init__(self, texts: Sequence[Text], seeds: Sequence[tuple[str, str, str]], seed: int) -> None:
        # Cutting words and looking for nouns is for simplified characters.
        self._texts = [text for text in texts if len(_usable(text)) >= 3 and script("".join(text.sentences)) != "hant"]
        self._seeds = list(seeds)
        self._seed = seed

    def kinds(self) -> list[str]:
        """The kinds that there is material for."""
        found = [kind for kind in _RULES if self._texts or (kind == "classification" and len(self._seeds) > 2)]
        return [*found, *_FACTS]

    def draft(self, kind: str, number: int) -> Draft | None:
        """Draft `number` (from 0) of a kind; None when the material at hand gives none."""
        rng = Random(f"{self._seed}\n{kind}\n{number}")
        if kind in _FACTS:
            facts = _FACTS[kind]
            instruction, output = facts[number % len(facts)](rng)
            return Draft(instruction, "", output, f"{kind}.computed")
        if kind == "classification" and len(self._seeds) > 2 and (number % 2 or not self._texts):
            return self._seed_kind(rng)
        if not self._texts:
            return None
        rules = _RULES[kind]
        # A golden step visits all documents before it meets one again.
        text = self._texts[(number * 7919 + len(kind)) % len(self._texts)]
        rule = rules[number // len(self._texts) % len(rules)] if len(rules) > 1 else rules[0]
        made = rule(text, rng)
        return None if made is None else Draft(*made, f"{kind}.{rule.__name__.strip('_')}", (text.id,))

    def _seed_kind(self, rng: Random) -> Draft:
        id, instruction, name = rng.choice(self._seeds)
        names = sorted({other for _, _, other in self._seeds if other != name})
        options = [name, *rng.sample(names, min(3, len(names)))]
        rng.shuffle(options)
        asked = f"“{instruction}”是交给语言模型的一项任务，它属于{'、'.join(options)}中的哪一类？"
        return Draft(asked, "", f"{name}。", "classification.seed", (), (id,))


def _usable(text: Text) -> list[str]:
    """Sentences that can be quoted: Chinese, neither short nor long, without quotation marks of their own."""
    return [
        sentence
        for sentence in text.sentences
        if _SHORT <= len(sentence) <= _LONG
        and sentence[-1] in "。！？"
        and han_count(sentence) > 0.7 * len(sentence)
        and not _QUOTES & set(sentence)
    ]


def _words(sentence: str) -> list[tuple[str, str]]:
    import rjieba  # its dictionary takes 0.3 s

    return [(word, tag) for word, tag in rjieba.tag(sentence)]


def _nouns(sentences: Sequence[str]) -> Counter[str]:
    return Counter(
        word for sentence in sentences for word, tag in _words(sentence) if tag.startswith("n") and len(word) >= 2
    )


def _about(sentences: Sequence[str], most: int) -> str | None:
    """What sentences speak of, as a list; None: too little to tell one text from another."""
    words = [word for word, _ in _nouns(sentences).most_common(most)]
    return "、".join(words) if len(words) >= 3 else None


def _cloze(text: Text, rng: Random) -> tuple[str, str, str] | None:
    sentence = rng.choice(_usable(text))
    nouns = [word for word in _nouns([sentence]) if sentence.count(word) == 1]
    others = [word for word in _nouns(_usable(text)) if word not in sentence]
    if not nouns or len(others) < 3:
        return None
    answer = rng.choice(nouns)
    options = [answer, *rng.sample(sorted(others), 3)]
    rng.shuffle(options)
    gap = sentence.replace(answer, "____")
    asked = rng.choice(
        (
            f"“{gap}”空格处填哪个词最合适：{'、'.join(options)}？",
            f"从{'、'.join(options)}里选一个词，补全这句话：“{gap}”",
        )
    )
    return asked, "", f"应填“{answer}”：{sentence}"


def _which_first(text: Text, rng: Random) -> tuple[str, str, str] | None:
    sentences = _usable(text)
    first, second = sorted(rng.sample(range(len(sentences)), 2))
    later, asked = rng.random() < 0.5, (sentences[first], sentences[second])
    one, other = asked[::-1] if later else asked
    context = _around(text, sentences[first])
    if sentences[second] not in context:
        return None
    return (
        f"读完所给材料后回答：“{one}”与“{other}”，哪一句先出现？",
        context,
        f"先出现的是“{sentences[first]}”",
    )


def _order(text: Text, rng: Random) -> tuple[str, str, str] | None:
    start = rng.randrange(max(1, len(text.sentences) - 3))
    chosen = list(text.sentences[start : start + 4])
    usable = _usable(text)
    if len(chosen) < 4 or len(set(chosen)) < 4 or any(one not in usable for one in chosen):
        return None
    mixed = chosen[:]
    while mixed == chosen:
        rng.shuffle(mixed)
    listed = "\n".join(f"（{number}）{one}" for number, one in enumerate(mixed, 1))
    words = _about(chosen, 5)
    if words is None:
        return None
    asked = rng.choice((f"把谈{words}的四句话排回原来的顺序。", f"{words}——说这些的句子打乱了，理成通顺的一段。"))
    return asked, listed, "".join(chosen)


def _punctuation(text: Text, rng: Random) -> tuple[str, str, str] | None:
    sentence = rng.choice(_usable(text))
    bare = _MARKS.sub("", sentence)
    if len(sentence) - len(bare) < 3:
        return None
    return f"给没有标点的句子加上标点，字词不要改动：{bare}", "", sentence


def _traditional(text: Text, rng: Random) -> tuple[str, str, str] | None:
    sentence = rng.choice(_usable(text))
    other = _TO_TRADITIONAL.convert(sentence)
    if sum(a != b for a, b in zip(sentence, other, strict=False)) < 3:
        return None
    if rng.random() < 0.5:
        return f"请把“{sentence}”转写成繁体字。", "", other
    return f"用简体字写出这句话：{other}", "", sentence


def _title(text: Text, rng: Random) -> tuple[str, str, str] | None:
    title = _SITE.sub("", text.title or "").strip()
    if not 4 <= len(title) <= 40 or han_count(title) < 3:
        return None
    first = next((one for one in text.sentences if one in _usable(text)), text.sentences[0])
    body = _around(text, first)
    if title in body or len(body) < 80:
        return None
    words = _about(_usable(text), 5)
    if words is None:
        return None
    return rng.choice((f"拟一个标题，文章讲的是{words}。", f"文中写了{words}，题目可以叫什么？")), body, title


def _go_on(text: Text, rng: Random) -> tuple[str, str, str] | None:
    sentences = text.sentences
    start = rng.randrange(max(1, len(sentences) - 2))
    pair = sentences[start : start + 2]
    if len(pair) < 2 or any(not _SHORT <= len(one) <= _LONG or one not in _usable(text) for one in pair):
        return None
    return rng.choice((f"续写一句：{pair[0]}", f"“{pair[0]}”后面可以接一句什么话？")), "", pair[1]


def _sentence_with(text: Text, rng: Random) -> tuple[str, str, str] | None:
    sentence = rng.choice(_usable(text))
    context = _around(text, text.sentences[max(0, text.sentences.index(sentence) - rng.randint(0, 3))])
    words = _about([sentence], 4)
    if words is None or sentence not in context or context.count("。") < 3:
        return None
    asked = rng.choice(
        (
            f"摘出同时说到{words}的那句话。",
            f"{words}出现在材料的哪一句里？照原文抄下来。",
            f"我要引用讲{words}的原句，帮我从材料里找。",
        )
    )
    return asked, context, sentence


def _years(text: Text, rng: Random) -> tuple[str, str, str] | None:
    sentence = rng.choice(_usable(text))
    found = list(dict.fromkeys(_YEAR.findall(sentence)))
    return (f"“{sentence}”这句话提到了哪些年份？", "", "、".join(found)) if found else None


def _books(text: Text, rng: Random) -> tuple[str, str, str] | None:
    sentence = rng.choice(_usable(text))
    found = list(dict.fromkeys(_BOOK.findall(sentence)))
    return (f"把“{sentence}”里书名号中的名称摘出来。", "", "、".join(found)) if found else None


def _mood(text: Text, rng: Random) -> tuple[str, str, str] | None:
    sentence = rng.choice(_usable(text))
    answer = {"。": "陈述句", "？": "疑问句", "！": "感叹句"}[sentence[-1]]
    return f"按句末的标点，“{sentence}”是陈述句、疑问句还是感叹句？", "", f"{answer}。"


def _around(text: Text, sentence: str) -> str:
    """Whole sentences from `sentence` on, at most `_MOST_INPUT` characters."""
    taken = ""
    for one in text.sentences[text.sentences.index(sentence) :]:
        if taken and len(taken) + len(one) > _MOST_INPUT:
            break
        taken += one if one[-1] in "。！？”’" else one + "\n"
    return taken.strip()


_TO_TRADITIONAL: Final = OpenCC("s2tw")  # plain s2t writes 纔 and 爲, which hardly anybody does
_RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "closed_qa": (_cloze, _which_first),
    "rewrite": (_punctuation, _order),
    "extract": (_sentence_with, _years, _sentence_with, _books),
    "generation": (_go_on,),
    "classification": (_mood,),
    "summarization": (_title,),
    "translation": (_traditional,),
}
_FACTS: Final[dict[str, tuple[Callable[[Random], Fact], ...]]] = {"math": MATH, "open_qa": OPEN_QA, "code": CODE}
