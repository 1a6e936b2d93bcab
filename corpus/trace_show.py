"""A trace as lines: for the terminal, and piece by piece for the page.

In: nodes and words. Out: sentences, and a coloured tree without anything that a terminal obeys. Price: nothing to speak
of; of each table the first rows are shown.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from corpus.trace_tree import Node, Note, plain
from runkit.console import printable
from runkit.report import number

if TYPE_CHECKING:
    from rich.text import Text

Words = Mapping[str, str]
# Columns that are shown as they are, in this order; the others have their name before them.
_PLAIN: Final = (
    *("id", "question_id", "call_id", "instruction", "text", "url", "origin", "system", "first", "second", "judge"),
    *("model", "state", "choice", "fate", "via", "how", "reasons"),
)
_HIDDEN: Final = frozenset(
    {"key", "path", "source", "sha256", "document_ids", "seed_ids", "task_call_id", "source_right"}
)
_TIMES: Final = frozenset({"ended_at"})
_SHORT: Final = 24  # digits of a hash that are shown


def fact(words: Words, key: str, value: Any) -> tuple[str, str]:
    """A figure's name and value, for people."""
    name, _, detail = key.partition(":")
    label = words.get(f"fact_{name}", name) + (f" {detail}" if detail else "")
    if name == "role":
        return label, words.get(f"role_{value}", str(value))
    if name == "kind":
        return label, words.get(f"made_{value}", str(value))
    if name == "sha256" and isinstance(value, str):
        return label, value[:16]
    if name in {"accuracy", "win_rate", "auc"} and isinstance(value, float):
        return label, f"{value:.1%}" if name != "auc" else f"{value:.3f}"
    return label, number(value) if isinstance(value, int | float) else str(value)


def facts(words: Words, node: Node) -> list[tuple[str, str]]:
    """The figures of a node that apply."""
    return [fact(words, key, value) for key, value in node.facts.items() if value is not None]


def sentence(words: Words, note: Note) -> str:
    """A note as a sentence; a value that is not known is a question mark."""
    values = {
        key: "?" if value is None else number(value) if isinstance(value, int) else value
        for key, value in note.values.items()
    }
    return words[f"note_{note.code}"].format(**values)


def cells(words: Words, row: Mapping[str, Any]) -> list[str]:
    """A row of a table as pieces of text, the most telling first."""
    shown = {key: value for key, value in plain(dict(row)).items() if key not in _HIDDEN}
    if shown.get("via") == "itself":
        del shown["via"]
    if shown.get("how") == "exact":
        del shown["how"]
    first = [_cell(words, key, shown.pop(key)) for key in _PLAIN if key in shown]
    return [text for text in (*first, *(_cell(words, key, value) for key, value in shown.items())) if text]


def _cell(words: Words, key: str, value: Any) -> str:
    if key in {"fate", "via", "how"}:
        return words.get(f"{key}_{value}", str(value))
    if key == "reasons":
        return ", ".join(map(str, value))
    if key == "call_id":
        return str(value)[:_SHORT] + ("…" if len(str(value)) > _SHORT else "")
    if key in _TIMES:
        return datetime.fromtimestamp(float(value), UTC).strftime("%Y-%m-%d %H:%M UTC")
    if key == "similarity":
        return f"{words['column_similarity']} {value:.0%}"
    if key == "file" or key in _PLAIN:
        return str(value)
    return f"{words.get(f'column_{key}', key)} {number(value) if isinstance(value, int | float) else value}"


def title(words: Words, node: Node) -> str:
    """The heading of a node; of what has no name its kind."""
    return node.name or words.get(f"what_{node.what}", node.what)


def tree(words: Words, nodes: list[Node], most: int) -> "Text":
    """The nodes as a tree for the terminal."""
    from rich.text import Text

    text = Text()
    for node in nodes:
        for line in _lines(words, node, most, "", ""):
            text.append_text(line)
    return text


def _lines(words: Words, node: Node, most: int, head: str, rest: str) -> Iterator["Text"]:
    from rich.text import Text

    def line(*parts: tuple[str, str]) -> "Text":
        return Text.assemble(*((_safe(text), style) for text, style in parts), ("\n", ""))

    if node.what == "more":
        yield line((head, "dim"), (words["more_files"].format(files=number(node.facts["files"])), "dim"))
        return
    kind = words.get(f"what_{node.what}", node.what) if node.name else ""
    about = " · ".join(filter(None, (kind, node.command)))
    style = "bold red" if node.what == "missing" else "bold"
    figures = ", ".join(f"{label} {value}" for label, value in facts(words, node))
    yield line((head, "dim"), (title(words, node), style), (f"  {about}", "cyan"), (f"  {figures}", ""))
    inner = rest + ("│  " if node.children else "   ")
    for note in node.notes:
        yield line((inner, "dim"), (sentence(words, note), "yellow"))
    for row in node.table.head(most).iter_rows(named=True):
        pieces = cells(words, row)
        yield line(
            (inner, "dim"), ("· ", "dim"), (pieces[0] if pieces else "", ""), *((f"  {p}", "dim") for p in pieces[1:])
        )
    if len(node.table) > most:
        yield line((inner, "dim"), (words["more"].format(count=number(len(node.table) - most)), "dim"))
    for place, child in enumerate(node.children):
        last = place == len(node.children) - 1
        yield from _lines(words, child, most, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))


def _safe(text: str) -> str:
    """On one line, without anything that a terminal obeys; blanks that draw the tree stay."""
    return printable(text).replace("\n", " ").replace("\t", " ")
