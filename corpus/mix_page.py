"""A page that draws a mixture: what there is of each source, and how often training goes round it.

In: a mixture and its unit. Out: one self-contained page, English or Chinese. Price: nothing to speak of.
"""

from typing import Final

from runkit.mixture import MANY_EPOCHS, Mixture
from runkit.report import Column, Figure, Html, bar, bullets, figures, page, paragraph, percent, section, table

WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Mixture of sources",
        "tokens": "Tokens",
        "characters": "Characters",
        "contents": "Contents",
        "drawn": "drawn in all",
        "size": "There are",
        "there": "in all sources together",
        "sources": "Sources",
        "source": "Source",
        "weight": "Weight",
        "take": "Drawn",
        "epochs": "Epochs",
        "often": "How often",
        "note": "Epochs say how often training goes round a source. The bars share one scale; beyond {most:g} epochs "
        "the same text teaches little that is new.",
        "notices": "What to know",
        "none": "Nothing out of the ordinary.",
    },
    "zh": {
        "title": "数据源配比",
        "tokens": "词元",
        "characters": "字符",
        "contents": "目录",
        "drawn": "总共取用",
        "size": "现有",
        "there": "所有数据源合计",
        "sources": "数据源",
        "source": "数据源",
        "weight": "权重",
        "take": "取用",
        "epochs": "轮数",
        "often": "重复程度",
        "note": "轮数表示训练把一个数据源看几遍。各条形同一比例；超过 {most:g} 轮后，重复的文本教不了多少新东西。",
        "notices": "需要知道",
        "none": "没有异常。",
    },
}


def mix_page(mixture: Mixture, unit: str, name: str, lang: str) -> str:
    """The whole page."""
    words = WORDS[lang]
    cards = figures(
        [
            Figure(words[unit], f"{mixture.budget:,.0f}", words["drawn"]),
            Figure(words["size"], f"{sum(part.size for part in mixture.parts):,}", words["there"]),
            Figure(words["sources"], len(mixture.parts), ""),
        ]
    )
    parts = section(
        words["sources"],
        paragraph(words["note"].format(most=MANY_EPOCHS)),
        _sources(mixture, words, unit),
        name="sources",
    )
    told = bullets(mixture.warnings) if mixture.warnings else paragraph(words["none"])
    notices = section(words["notices"], told, name="notices")
    language = "zh-CN" if lang == "zh" else "en"
    return page(words["title"], cards, parts, notices, lang=language, subtitle=name, contents=words["contents"])


def _sources(mixture: Mixture, words: dict[str, str], unit: str) -> Html:
    most = max(part.epochs for part in mixture.parts)
    columns = [
        Column(words["source"]),
        *(Column(words[title], numeric=True) for title in (unit, "weight", "take", "epochs")),
        Column(words["often"], wide=True),
    ]
    rows = [
        (
            part.source,
            f"{part.size:,}",
            percent(part.weight, 1),
            f"{part.drawn:,.0f}",
            f"{part.epochs:.2f}",
            bar([("lost" if part.epochs > MANY_EPOCHS else "kept", part.epochs)], most or 1),
        )
        for part in mixture.parts
    ]
    return table(columns, rows)
