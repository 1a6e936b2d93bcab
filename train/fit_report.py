"""The page about a fitted tokenizer: figures, kinds of pieces, held-out text by source and language, the pieces.

In: the tokenizer and its summary. Out: one self-contained HTML page, in English or Chinese.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runkit.report import (
    Column,
    Content,
    Figure,
    Html,
    element,
    figures,
    join,
    page,
    paragraph,
    percent,
    section,
    table,
)
from train.pieces import Tokenizer

SHOWN = 240  # pieces in a list
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Tokenizer",
        "pieces": "Pieces",
        "size": "vocabulary",
        "learnt": "learnt from",
        "documents": "documents",
        "per_token": "characters a token",
        "held_out": "on held-out text",
        "bytes": "single bytes",
        "of_tokens": "of the tokens, for characters without a piece",
        "kinds": "Kinds of pieces",
        "kinds_note": "A character gets a piece when it stands alone often enough, or is part of a merge that is kept; "
        "any other is written as its bytes, so that no text is lost.",
        "kind": "kind",
        "number": "number",
        "share": "share",
        "special": "special",
        "byte": "bytes",
        "merges": "merges",
        "characters": "characters",
        "measured": "Held-out text",
        "measured_note": "Documents that nothing was learnt from, chosen by a hash of their id.",
        "nothing": "No document is held out.",
        "what": "what",
        "tokens": "tokens",
        "tokens_per": "tokens a character",
        "lossy": "not given back",
        "source": "source",
        "language": "language",
        "lengths": "Length of pieces",
        "characters_long": "characters",
        "first": "First merges",
        "first_note": "The most frequent pairs, in the order in which they were merged. ␣ is a space, ⏎ a line end.",
        "last": "Last merges",
        "last_note": "What a larger vocabulary would go on from.",
        "longest": "Longest pieces",
        "longest_note": "Boilerplate shows here: long pieces that are no phrases come from text that repeats.",
        "faults": "Records that could not be read",
        "reason": "reason",
        "contents": "On this page",
    },
    "zh": {
        "title": "分词器",
        "pieces": "词元",
        "size": "词表大小",
        "learnt": "学习语料",
        "documents": "篇文档",
        "per_token": "每个词元的字符数",
        "held_out": "在留出文本上",
        "bytes": "单字节词元",
        "of_tokens": "占全部词元，用于没有词元的字符",
        "kinds": "词元的种类",
        "kinds_note": "单独出现得足够多，或属于某个保留的合并的字符才有自己的词元；"
        "其余字符写成字节，因此不会丢失任何文本。",
        "kind": "种类",
        "number": "数量",
        "share": "占比",
        "special": "特殊",
        "byte": "字节",
        "merges": "合并",
        "characters": "字符",
        "measured": "留出文本",
        "measured_note": "按文档编号的哈希选出，没有参与学习。",
        "nothing": "没有留出文档。",
        "what": "项目",
        "tokens": "词元",
        "tokens_per": "每个字符的词元数",
        "lossy": "未能还原",
        "source": "来源",
        "language": "语言",
        "lengths": "词元长度",
        "characters_long": "字符数",
        "first": "最早的合并",
        "first_note": "最常见的相邻对，按合并的顺序排列。␣ 表示空格，⏎ 表示换行。",
        "last": "最后的合并",
        "last_note": "更大的词表会从这里继续。",
        "longest": "最长的词元",
        "longest_note": "这里能看出套话：不是短语的长词元来自重复的文本。",
        "faults": "无法读取的记录",
        "reason": "原因",
        "contents": "本页内容",
    },
}


def fit_report(tokenizer: Tokenizer, summary: Mapping[str, Any], lang: str) -> str:
    """The whole page."""
    words = WORDS[lang]
    read, held_out = summary["learnt_from"], summary["held_out"]
    head = figures(
        [
            Figure(words["size"], summary["tokenizer"]["size"]),
            Figure(words["learnt"], f"{read['bytes'] / 1e6:,.1f} MB", f"{read['documents']:,} {words['documents']}"),
            Figure(words["per_token"], held_out["characters_per_token"] or "–", words["held_out"]),
            Figure(words["bytes"], percent(held_out["byte_tokens"], held_out["tokens"]), words["of_tokens"]),
        ]
    )
    merges = _merges(tokenizer, summary)
    return page(
        words["title"],
        head,
        _kinds(summary, words),
        measured(held_out, words),
        _lengths(merges, summary["pieces"]["characters"], words),
        _list(words["first"], words["first_note"], merges[:SHOWN], "first"),
        _list(words["last"], words["last_note"], merges[-SHOWN:], "last"),
        _list(words["longest"], words["longest_note"], sorted(merges, key=len, reverse=True)[:SHOWN], "longest"),
        *_faults(summary["faults"], words),
        lang=lang,
        subtitle=f"{summary['tokenizer']['file']}, sha256 {summary['tokenizer']['sha256'][:16]}…",
        contents=words["contents"],
    )


def measured(held_out: Mapping[str, Any], words: Mapping[str, str]) -> Html:
    """The section on held-out text: by language, then by source."""
    columns = [
        Column(words["what"]),
        *(Column(words[name], numeric=True) for name in ("documents", "characters", "tokens")),
        *(Column(words[name], numeric=True) for name in ("per_token", "tokens_per", "bytes", "lossy")),
    ]
    rows: list[Sequence[Content]] = []
    for kind in ("language", "source"):
        for name, row in held_out[f"by_{kind}"].items():
            rows.append(
                [
                    f"{words[kind]}: {name}",
                    *(row[key] for key in ("documents", "characters", "tokens")),
                    *(ratio(row[key]) for key in ("characters_per_token", "tokens_per_character")),
                    percent(row["byte_tokens"], row["tokens"]),
                    row["lossy"],
                ]
            )
    body = table(columns, rows) if rows else paragraph(words["nothing"])
    return section(words["measured"], body, name="held-out", note=words["measured_note"])


def ratio(value: float | None) -> str:
    """Three decimals, so that a column of them can be compared."""
    return "–" if value is None else f"{value:.3f}"


def chips(texts: Iterable[str]) -> Html:
    """Pieces side by side, spaces and line ends as signs."""
    signs = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥"})
    return paragraph(join(*(join(element("span", text.translate(signs), class_="chip raw"), " ") for text in texts)))


def _list(title: str, note: str, texts: Sequence[str], name: str) -> Html:
    return section(title, chips(texts), name=name, note=note)


def _merges(tokenizer: Tokenizer, summary: Mapping[str, Any]) -> list[str]:
    """The texts of the merged pieces, in their order."""
    pieces = summary["pieces"]
    first = pieces["special"] + pieces["bytes"]
    return [tokenizer.piece_bytes[number].decode() for number in range(first, first + pieces["merges"])]


def _kinds(summary: Mapping[str, Any], words: Mapping[str, str]) -> Html:
    pieces, size = summary["pieces"], summary["tokenizer"]["size"]
    columns = [Column(words["kind"]), Column(words["number"], numeric=True), Column(words["share"], numeric=True)]
    names = (("merges", "merges"), ("characters", "characters"), ("byte", "bytes"), ("special", "special"))
    rows = [[words[word], pieces[key], percent(pieces[key], size)] for word, key in names]
    return section(words["kinds"], table(columns, rows), name="kinds", note=words["kinds_note"])


def _lengths(merges: Sequence[str], characters: int, words: Mapping[str, str]) -> Html:
    counts = Counter({1: characters}) + Counter(map(len, merges))
    columns = [Column(words["characters_long"], numeric=True), Column(words["number"], numeric=True)]
    rows = [[length, counts[length]] for length in sorted(counts)]
    return section(words["lengths"], table(columns, rows), name="lengths")


def _faults(faults: Mapping[str, int], words: Mapping[str, str]) -> list[Html]:
    if not faults:
        return []
    columns = [Column(words["reason"]), Column(words["number"], numeric=True)]
    return [section(words["faults"], table(columns, list(faults.items())), name="faults")]
