"""The page about an extended tokenizer: what was added, tokens before and after, samples of the new pieces.

In: the lines of `added.jsonl` and the summary. Out: one self-contained HTML page, in English or Chinese.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from runkit.report import Column, Content, Figure, Html, figures, page, paragraph, percent, section, table
from train.fit_report import chips, ratio

SHOWN: Final = 120  # pieces in a list
WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Extended tokenizer",
        "added": "added",
        "size": "vocabulary",
        "was": "was",
        "tokens_per": "tokens a character",
        "held_out": "on held-out text",
        "learnt": "learnt from",
        "documents": "documents",
        "kinds": "What was added",
        "kinds_note": "Ids follow those of the base, which all stay. Every new piece is emitted for its own text.",
        "kind": "kind",
        "number": "number",
        "share": "share",
        "list": "words of the list",
        "characters": "characters",
        "steps": "steps to characters",
        "merges": "merges",
        "duplicates": "lines of the list that stood there before",
        "one_token_already": "words of the list that are one token already",
        "measured": "Tokens before and after",
        "measured_note": "On documents that nothing was learnt from, chosen by a hash of their id.",
        "nothing": "No document is held out.",
        "what": "what",
        "before": "tokens a character, before",
        "after": "after",
        "change": "fewer tokens",
        "bytes": "single bytes, after",
        "source": "source",
        "language": "language",
        "longest": "Longest pieces",
        "longest_note": "Boilerplate shows here: long pieces that are no phrases come from text that repeats.",
        "first": "First merges",
        "last": "Last merges",
        "faults": "Records that could not be read",
        "reason": "reason",
        "contents": "On this page",
    },
    "zh": {
        "title": "扩充后的分词器",
        "added": "新增词元",
        "size": "词表大小",
        "was": "原为",
        "tokens_per": "每个字符的词元数",
        "held_out": "在留出文本上",
        "learnt": "学习语料",
        "documents": "篇文档",
        "kinds": "新增的内容",
        "kinds_note": "新编号接在原词表之后，原有编号全部不变。每个新词元都会在编码其自身文本时出现。",
        "kind": "种类",
        "number": "数量",
        "share": "占比",
        "list": "词表文件中的词",
        "characters": "字符",
        "steps": "拼成字符的中间步",
        "merges": "合并",
        "duplicates": "词表文件中重复的行",
        "one_token_already": "词表文件中本来就是一个词元的词",
        "measured": "扩充前后的词元数",
        "measured_note": "按文档编号的哈希选出，没有参与学习的文档。",
        "nothing": "没有留出文档。",
        "what": "项目",
        "before": "扩充前每个字符的词元数",
        "after": "扩充后",
        "change": "词元减少",
        "bytes": "扩充后的单字节词元",
        "source": "来源",
        "language": "语言",
        "longest": "最长的词元",
        "longest_note": "这里能看出套话：不是短语的长词元来自重复的文本。",
        "first": "最早的合并",
        "last": "最后的合并",
        "faults": "无法读取的记录",
        "reason": "原因",
        "contents": "本页内容",
    },
}


def extend_report(added: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], lang: str) -> str:
    """The whole page."""
    words = WORDS[lang]
    read, before, after = summary["learnt_from"], summary["before"], summary["after"]
    rates = [row["tokens_per_character"] or "–" for row in (before, after)]
    head = figures(
        [
            Figure(words["added"], len(added)),
            Figure(words["size"], summary["tokenizer"]["size"], f"{words['was']} {summary['base']['size']:,}"),
            Figure(words["tokens_per"], rates[1], f"{words['was']} {rates[0]}, {words['held_out']}"),
            Figure(words["learnt"], f"{read['bytes'] / 1e6:,.1f} MB", f"{read['documents']:,} {words['documents']}"),
        ]
    )
    merges = [row["text"] for row in added if row["kind"] == "merge"]
    longest = sorted((row["text"] for row in added if row["text"]), key=len, reverse=True)
    return page(
        words["title"],
        head,
        _kinds(summary, words),
        _measured(before, after, words),
        section(words["longest"], chips(longest[:SHOWN]), name="longest", note=words["longest_note"]),
        section(words["first"], chips(merges[:SHOWN]), name="first"),
        section(words["last"], chips(merges[-SHOWN:]), name="last"),
        *_faults(summary["faults"], words),
        lang=lang,
        subtitle=f"{summary['tokenizer']['file']}, sha256 {summary['tokenizer']['sha256'][:16]}…",
        contents=words["contents"],
    )


def _kinds(summary: Mapping[str, Any], words: Mapping[str, str]) -> Html:
    added, listed = summary["added"], summary["list"]
    total = sum(added.values())
    columns = [Column(words["kind"]), Column(words["number"], numeric=True), Column(words["share"], numeric=True)]
    names = ("list", "characters", "steps", "merges")
    rows: list[Sequence[Content]] = [[words[name], added[name], percent(added[name], total)] for name in names]
    rows += [[words[name], listed[name], "–"] for name in ("duplicates", "one_token_already") if listed[name]]
    return section(words["kinds"], table(columns, rows), name="kinds", note=words["kinds_note"])


def _measured(before: Mapping[str, Any], after: Mapping[str, Any], words: Mapping[str, str]) -> Html:
    """By language, then by source."""
    titles = ("documents", "before", "after", "change", "bytes")
    columns = [Column(words["what"]), *(Column(words[name], numeric=True) for name in titles)]
    rows: list[Sequence[Content]] = []
    for kind in ("language", "source"):
        for name, old in before[f"by_{kind}"].items():
            new = after[f"by_{kind}"][name]
            rates = [ratio(row["tokens_per_character"]) for row in (old, new)]
            fewer = percent(old["tokens"] - new["tokens"], old["tokens"])
            share = percent(new["byte_tokens"], new["tokens"])
            rows.append([f"{words[kind]}: {name}", old["documents"], *rates, fewer, share])
    body = table(columns, rows) if rows else paragraph(words["nothing"])
    return section(words["measured"], body, name="measured", note=words["measured_note"])


def _faults(faults: Mapping[str, int], words: Mapping[str, str]) -> list[Html]:
    if not faults:
        return []
    columns = [Column(words["reason"]), Column(words["number"], numeric=True)]
    return [section(words["faults"], table(columns, list(faults.items())), name="faults")]
