"""The page of a trace: what stands behind a thing and what came of it, as a tree that is opened by clicking.

In: a trace. Out: one self-contained page, English or Chinese. Price: of each table as many rows as were asked for.
"""

from typing import TYPE_CHECKING

from corpus.trace_show import cells, facts, sentence, title
from corpus.trace_text import WORDS
from corpus.trace_tree import Node
from runkit.report import (
    Content,
    Figure,
    Html,
    bullets,
    element,
    figures,
    folded,
    join,
    number,
    page,
    paragraph,
    section,
)

if TYPE_CHECKING:
    from corpus.trace import Trace


def trace_page(trace: "Trace", most: int, lang: str) -> str:
    """The whole page."""
    words = WORDS[lang]
    cards = [Figure(words[f"count_{what}"], count) for what, count in trace.counts.items()]
    parts: list[Content] = [figures(cards)] if cards else []
    for name, nodes in (("ahead", trace.ahead), ("behind", trace.behind)):
        if nodes is None:
            continue
        drawn = [_node(words, node, most) for node in nodes] or [paragraph(words[f"nothing_{name}"])]
        parts.append(section(words[name], *drawn, name=name, note=words[f"{name}_note"] if nodes else ""))
    if trace.unknown:
        parts.append(
            section(words["unknown"], bullets(trace.unknown_lines(words)), name="unknown", note=words["unknown_note"])
        )
    if trace.faults:
        parts.append(
            section(words["faults"], bullets(trace.fault_lines(words)), name="faults", note=words["faults_note"])
        )
    about = words["searched"].format(runs=number(trace.runs), places=", ".join(trace.places))
    heading = f"{words[f'kind_{trace.kind}']}: {trace.thing}"
    return page(heading, *parts, lang=lang, subtitle=about, contents=words["contents"], foot=words["foot"])


def _node(words: dict[str, str], node: Node, most: int) -> Html:
    if node.what == "more":
        return paragraph(words["more_files"].format(files=number(node.facts["files"])), class_="note")
    kind = words.get(f"what_{node.what}", node.what)
    chips = [*([kind] if node.name else []), *([node.command] if node.command else [])]
    figured = [f"{label} {value}" for label, value in facts(words, node)]
    head = [element("b", title(words, node), class_="raw"), *(element("span", chip, class_="chip") for chip in chips)]
    summary = element(
        "summary", element("span", *head, class_="head"), element("span", " · ".join(figured), class_="why raw")
    )
    said = " ".join(sentence(words, note) for note in node.notes)
    inside: list[Content] = [paragraph(said, class_="note")] if said else []
    rows = [_row(cells(words, row)) for row in node.table.head(most).iter_rows(named=True)]
    if rows:
        shown = bullets(rows)
        inside.append(shown if len(rows) <= 5 else folded(number(len(node.table)), shown))
    if len(node.table) > most:
        inside.append(paragraph(words["more"].format(count=number(len(node.table) - most)), class_="note"))
    inside += [_node(words, child, most) for child in node.children]
    return element("details", summary, *inside, class_="sample", open="")


def _row(pieces: list[str]) -> Html:
    first = element("code", pieces[0] if pieces else "", class_="raw")
    return join(first, *(join(" · ", element("span", piece, class_="raw note")) for piece in pieces[1:]))
