"""The page about token shards: figures, sources, lengths of documents, three documents cut into their pieces.

In: the shards and their summary. Out: one self-contained HTML page, in English or Chinese, that depends on these alone.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from runkit.report import (
    Column,
    Figure,
    Html,
    element,
    figures,
    histogram,
    page,
    paragraph,
    percent,
    section,
    table,
)
from train.fit_report import chips
from train.shards import TokenShards
from train.view_text import boxes_of, tokens_of

SAMPLES: Final = 3
SAMPLE_CHARACTERS: Final = 300
BINS: Final = 48
WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Token shards",
        "tokens": "Tokens",
        "stored": "stored as {dtype} in {shards} shards",
        "documents": "Documents",
        "characters": "Characters",
        "bytes": "Bytes",
        "per_token": "Characters a token",
        "bytes_per_token": "Bytes a token",
        "ratio_note": "without the tokens that begin and end a text",
        "lossy": "Not given back",
        "checked": "of {checked} documents decoded again and compared byte for byte",
        "source": "Source",
        "sources": "Sources",
        "share": "of all tokens",
        "lengths": "Lengths of documents",
        "lengths_note": "In tokens, on a logarithmic scale; heights go with the square root.",
        "shortest": "shortest",
        "longest": "longest",
        "no_longer": "{share} have at most",
        "samples": "Documents in pieces",
        "samples_note": "The first {characters} characters of three documents spread over the set. ␣ is a space, "
        "⏎ a line end; ⟨…⟩ bytes that make no character.",
        "places": "Documents that do not come back",
        "id": "id",
        "origin": "origin",
        "byte": "first byte that differs",
        "faults": "Records that could not be read",
        "faults_note": "Each with its file and place in quarantine/.",
        "reason": "Reason",
        "number": "Number",
        "nothing": "No document was read.",
        "contents": "On this page",
    },
    "zh": {
        "title": "词元分片",
        "tokens": "词元",
        "stored": "以 {dtype} 存于 {shards} 个分片",
        "documents": "文档",
        "characters": "字符",
        "bytes": "字节",
        "per_token": "每个词元的字符数",
        "bytes_per_token": "每个词元的字节数",
        "ratio_note": "不计文本开头与结尾的词元",
        "lossy": "未能还原",
        "checked": "抽查 {checked} 篇文档，解码后逐字节比较",
        "source": "来源",
        "sources": "来源",
        "share": "占全部词元",
        "lengths": "文档长度",
        "lengths_note": "以词元计，对数刻度；高度按平方根。",
        "shortest": "最短",
        "longest": "最长",
        "no_longer": "{share} 的文档不超过",
        "samples": "切分成词元的文档",
        "samples_note": "均匀取三篇文档，各显示前 {characters} 个字符。␣ 表示空格，⏎ 表示换行，"
        "⟨…⟩ 表示不成字符的字节。",
        "places": "未能还原的文档",
        "id": "编号",
        "origin": "出处",
        "byte": "第一个不同的字节",
        "faults": "无法读取的记录",
        "faults_note": "每条的文件和位置见 quarantine/。",
        "reason": "原因",
        "number": "数量",
        "nothing": "没有读到文档。",
        "contents": "本页内容",
    },
}


def tokens_report(shards: TokenShards, summary: Mapping[str, Any], lang: str) -> str:
    """The whole page."""
    words = WORDS[lang]
    parts = [_head(summary, words)]
    if len(shards):
        parts += [_sources(summary, words), _lengths(shards, summary, words), _samples(shards, words)]
    else:
        parts.append(paragraph(words["nothing"]))
    if summary["lossy"]:
        columns = [Column(words["id"]), Column(words["origin"]), Column(words["byte"], numeric=True)]
        rows = [[entry["id"], entry["origin"], entry["byte"]] for entry in summary["first_lossy"]]
        parts.append(section(words["places"], table(columns, rows), name="lossy"))
    if summary["faults"]:
        columns = [Column(words["reason"]), Column(words["number"], numeric=True)]
        faults = table(columns, list(summary["faults"].items()))
        parts.append(section(words["faults"], faults, name="faults", note=words["faults_note"]))
    tokenizer = summary["tokenizer"]
    return page(
        words["title"],
        *parts,
        lang="zh-CN" if lang == "zh" else "en",
        subtitle=f"{tokenizer['file']}, {tokenizer['kind']}, {tokenizer['size']:,}, sha256 {tokenizer['sha256'][:16]}…",
        contents=words["contents"],
    )


def _head(summary: Mapping[str, Any], words: Mapping[str, str]) -> Html:
    stored = words["stored"].format(dtype=summary["dtype"], shards=f"{len(summary['shards']):,}")
    return figures(
        [
            Figure(words["tokens"], summary["tokens"], stored),
            Figure(words["documents"], summary["documents"], f"{words['characters']}: {summary['characters']:,}"),
            Figure(words["per_token"], _ratio(summary["characters_per_token"]), words["ratio_note"]),
            Figure(words["lossy"], summary["lossy"], words["checked"].format(checked=f"{summary['checked']:,}")),
        ]
    )


def _ratio(value: float | None) -> str | float:
    return "–" if value is None else value


def _sources(summary: Mapping[str, Any], words: Mapping[str, str]) -> Html:
    counted = ("documents", "tokens", "characters", "bytes")
    columns = [
        Column(words["source"]),
        *(Column(words[name], numeric=True) for name in (*counted, "share", "per_token", "bytes_per_token")),
    ]
    rows = [
        [
            name,
            *(row[key] for key in counted),
            percent(row["tokens"], summary["tokens"]),
            *(_ratio(row[key]) for key in ("characters_per_token", "bytes_per_token")),
        ]
        for name, row in sorted(summary["by_source"].items(), key=lambda item: (-item[1]["tokens"], item[0]))
    ]
    return section(words["sources"], table(columns, rows), name="sources")


def _lengths(shards: TokenShards, summary: Mapping[str, Any], words: Mapping[str, str]) -> Html:
    names = {"0": words["shortest"], "1": words["longest"]}
    columns = [Column(words["documents"]), Column(words["tokens"], numeric=True)]
    rows = [
        [names.get(share) or words["no_longer"].format(share=f"{100 * float(share):g} %"), value]
        for share, value in summary["lengths"].items()
    ]
    longest = max(2, int(shards.length.max()))
    edges = np.geomspace(1, longest + 1, BINS + 1)
    counts = np.histogram(np.maximum(shards.length, 1), edges)[0]
    drawn = histogram(edges.tolist(), counts.tolist(), [0] * BINS, logarithmic=True, label=words["lengths"])
    body = element("div", element("figure", drawn), table(columns, rows), class_="pair")
    return section(words["lengths"], body, name="lengths", note=words["lengths_note"])


def _samples(shards: TokenShards, words: Mapping[str, str]) -> Html:
    """Documents from the middle of each third of the set."""
    chosen = sorted({(2 * third + 1) * len(shards) // (2 * SAMPLES) for third in range(SAMPLES)})
    parts = []
    for document in chosen:
        parts.append(element("h3", f"{shards.sources[shards.source[document]]}: {shards.id(document)}"))
        parts.append(_pieces(shards, document))
    note = words["samples_note"].format(characters=SAMPLE_CHARACTERS)
    return section(words["samples"], *parts, name="samples", note=note)


def _pieces(shards: TokenShards, document: int) -> Html:
    tokenizer = shards.loaded
    # No more ids are needed than bytes; with the token that begins the text.
    ids = shards.tokens(document)[: 4 * SAMPLE_CHARACTERS + 1].tolist()
    shown, characters = [], 0
    for box in boxes_of(tokens_of(tokenizer, ids)):
        if characters >= SAMPLE_CHARACTERS:
            break
        shown.append(box.shown())
        characters += len(box.data.decode("utf-8", "ignore"))
    return chips(shown)
