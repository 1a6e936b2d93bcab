"""Damage made from good text: what the rules must reject. Each maker takes a text and a seeded random generator."""

import random
import re
from collections.abc import Callable

Maker = Callable[[str, random.Random], str]


def is_han(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


def shuffle(text: str, rng: random.Random) -> str:
    characters = list(text)
    rng.shuffle(characters)
    return "".join(characters)


def shuffle_han(text: str, rng: random.Random) -> str:
    """Only the Han characters change places; punctuation and lines stay."""
    places = [i for i, character in enumerate(text) if is_han(character)]
    values = [text[i] for i in places]
    rng.shuffle(values)
    characters = list(text)
    for place, value in zip(places, values, strict=True):
        characters[place] = value
    return "".join(characters)


def shuffle_clauses(text: str, rng: random.Random) -> str:
    """Characters change places within each clause."""
    return "".join(shuffle(part, rng) for part in re.split(r"([，。！？；、：\n])", text))


def recode(written: str, read: str) -> Maker:
    def maker(text: str, rng: random.Random) -> str:
        return text.encode(written, "ignore").decode(read, "replace")

    return maker


def half_misread(text: str, rng: random.Random) -> str:
    middle = len(text) // 2
    return text[:middle] + text[middle:].encode().decode("gb18030", "replace")


def loop_sentence(text: str, rng: random.Random) -> str:
    return (re.split(r"(?<=[。！？\n])", text)[0] or text[:60]) * 40


def loop_tail(text: str, rng: random.Random) -> str:
    """A model that got stuck: half the text, then thirty characters twenty times."""
    middle = len(text) // 2
    return text[:middle] + text[middle : middle + 30] * 20


def loop_paragraph(text: str, rng: random.Random) -> str:
    return "\n".join([text[:200]] * 6)


def words_of(text: str, rng: random.Random, count: int = 30) -> list[str]:
    picked = [text[i : i + rng.choice([2, 3, 4])] for i in rng.sample(range(len(text) - 4), min(count, len(text) - 5))]
    return [word for word in (re.sub(r"\W", "", p) for p in picked) if len(word) > 1] or ["词语"]


def keywords(separator: str) -> Maker:
    def maker(text: str, rng: random.Random) -> str:
        return separator.join(rng.choices(words_of(text, rng), k=200))

    return maker


def keyword_block(text: str, rng: random.Random) -> str:
    """Half an article, then six keywords over and over, as pages do for search engines."""
    stuffing = rng.choices(words_of(text, rng)[:6], k=len(text) // 4)
    return text[: len(text) // 2] + "\n" + " ".join(stuffing)


def keywords_woven(text: str, rng: random.Random) -> str:
    """Two of five keywords after each clause."""
    chosen = words_of(text, rng)[:5]
    pieces = re.split(r"(?<=[。！？，])", text)
    return "".join(piece + rng.choice(chosen) + rng.choice(chosen) for piece in pieces)


def link_titles(text: str, rng: random.Random) -> list[str]:
    titles = [re.sub(r"\s", "", part)[: rng.randint(4, 20)] for part in re.split(r"[，。！？、\n]", text)]
    titles = [title for title in titles if len(title) > 3] or ["栏目首页"]
    rng.shuffle(titles)
    return titles if len(titles) >= 30 else (titles * 3)[:30]


def links(template: str, joint: str = "\n") -> Maker:
    def maker(text: str, rng: random.Random) -> str:
        return joint.join(template.format(title, rng.randint(1, 99_999)) for title in link_titles(text, rng))

    return maker


DAMAGE: dict[str, dict[str, Maker]] = {
    "shuffled characters": {"whole text": shuffle, "Han only": shuffle_han, "within clauses": shuffle_clauses},
    "mojibake": {
        "UTF-8 as GB18030": recode("utf-8", "gb18030"),
        "UTF-8 as Latin-1": recode("utf-8", "latin-1"),
        "UTF-8 as Windows-1252": recode("utf-8", "cp1252"),
        "GBK as Latin-1": recode("gbk", "latin-1"),
        "GBK as UTF-8": recode("gbk", "utf-8"),
        "GBK as Big5": recode("gbk", "big5"),
        "Big5 as GBK": recode("big5", "gbk"),
        "second half only": half_misread,
    },
    "loops": {"one sentence": loop_sentence, "stuck at the end": loop_tail, "one paragraph": loop_paragraph},
    "keyword stuffing": {
        "with spaces": keywords(" "),
        "with commas": keywords("，"),
        "with 、": keywords("、"),
        "block after text": keyword_block,
        "woven into text": keywords_woven,
    },
    "link lists": {
        "lines": links("{}"),
        "bullets": links("• {}"),
        "one line": links("{}", " | "),
        "arrows": links("{}>>"),
        "with addresses": links("{} http://www.site.example/{}.html"),
    },
}
