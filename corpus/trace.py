"""`corpus trace`: where a thing came from, and everything that came of it, as far as runs can tell.

In: a text that names something, folders with runs. Out: a tree on the terminal, one object, a page, and a list of all
that would have to go if the thing had to. What is not known is told beside it: inputs that are not there, files that
were changed. Nothing is written into runs. Price: bytes of small files, the ids of large ones; docs/formats.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from corpus.runs_found import MANIFEST, Run, find_runs
from corpus.runs_links import Link, Links
from corpus.trace_backward import Backward
from corpus.trace_documents import ITSELF, Fault, Held
from corpus.trace_find import Target, find_target, items_of_call
from corpus.trace_forward import Forward, Reached
from corpus.trace_judged import answers_of
from corpus.trace_ledger import calls_by_key
from corpus.trace_mentions import mentions
from corpus.trace_page import trace_page
from corpus.trace_reads import reads_of
from corpus.trace_shards import documents_in
from corpus.trace_show import tree
from corpus.trace_text import WORDS
from corpus.trace_tree import Node, counts, lines
from runkit import console
from runkit.console import emit_json, say
from runkit.errors import InputError
from runkit.files import atomic_write, write_text
from runkit.ledger import LEDGER
from runkit.report import number
from runkit.source import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceCall:
    """The command line, parsed."""

    thing: str
    places: list[Path]
    kind: str | None = None
    only: str | None = None  # behind | ahead
    most: int = 10
    every_byte: bool = False
    page: Path | None = None
    ids: Path | None = None
    as_json: bool = False
    quiet: bool = False
    lang: str = "en"


@dataclass(slots=True)
class Trace:
    """What was found; a direction that was not asked for is None."""

    thing: str
    kind: str
    places: list[str]
    runs: int
    behind: list[Node] | None
    ahead: list[Node] | None
    unknown: list[Link] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        return counts(self.ahead or [])

    def unknown_lines(self, words: Mapping[str, str]) -> list[str]:
        return [
            words["unknown_changed" if link.changed else "unknown_line"].format(
                run=link.run.name, name=link.label, changed=link.changed
            )
            for link in self.unknown
        ]

    def fault_lines(self, words: Mapping[str, str]) -> list[str]:
        return [words[f"fault_{one.what}"].format(file=one.file) for one in self.faults]

    def as_object(self, most: int) -> dict[str, Any]:
        """For --json."""
        return {
            "thing": self.thing,
            "kind": self.kind,
            "below": self.places,
            "runs": self.runs,
            "counts": self.counts,
            "behind": None if self.behind is None else [node.as_object(most) for node in self.behind],
            "ahead": None if self.ahead is None else [node.as_object(most) for node in self.ahead],
            "unknown": [_unknown(link) for link in self.unknown],
            "faults": [{"what": one.what, "file": one.file, "run": one.run or None} for one in self.faults],
        }

    def lines(self) -> Iterator[dict[str, Any]]:
        """For --ids: what came of it, or where that was not asked for what stands behind it."""
        yield from lines(self.ahead if self.ahead else self.behind or [])


def _unknown(link: Link) -> dict[str, Any]:
    about = {"run": link.run.name, "input": link.label, "role": link.role, "sha256": link.input.fingerprint}
    return {**about, "changed": link.changed or None}


def trace(call: TraceCall) -> None:
    """InputError: nothing is found, or the name is that of several things."""
    places = call.places or [_around(call.thing)]
    found = find_runs(places)
    if not found.runs:
        raise InputError(f"There is no run below {', '.join(shown(str(place)) for place in places)}; give --runs.")
    links = Links(found, call.every_byte)
    result = _traced(links, call, find_target(links, call.thing, call.kind))
    words = WORDS[call.lang]
    if call.ids is not None:
        _write_lines(call.ids, result)
    if call.page is not None:
        write_text(call.page, trace_page(result, call.most, call.lang))
    if call.as_json:
        emit_json(result.as_object(call.most))
    else:
        _tell(result, words, call)
    for file in (call.ids, call.page):
        if file is not None and not call.quiet:
            say(f"Written: {shown(str(file))}")


def _around(thing: str) -> Path:
    """The folder around the run in which a path lies, or else the current one."""
    try:
        path = Path(thing) if Path(thing).exists() else Path(thing.rpartition(":")[0] or ".")
        path = path.resolve()
        runs = [folder for folder in (path, *path.parents) if (folder / MANIFEST).is_file()]
        return runs[-1].parent if runs else Path()
    except (OSError, ValueError):
        return Path()


def _traced(links: Links, call: TraceCall, target: Target) -> Trace:
    held = target.held or Held()
    back, wants = Backward(links, held), {"behind", "ahead"} if call.only is None else {call.only}
    behind = _behind(links, back, target, held) if "behind" in wants else None
    ahead: list[Node] | None = None
    unknown: list[Link] = []
    if "ahead" in wants:
        ahead, unknown = _ahead(links, target, held)
    below = [shown(str(place)) for place in links.found.places]
    faults = list(held.faults.values())
    return Trace(target.text, target.kind, below, len(links.found.runs), behind, ahead, unknown, faults)


def _behind(links: Links, back: Backward, target: Target, held: Held) -> list[Node]:
    run = target.run
    if target.kind in {"url", "host", "document", "record", "dump"}:
        return _records(links, back, held)
    if target.kind == "checkpoint" and target.checkpoint is not None:
        return [back.checkpoint(target.checkpoint)]
    if run is None:
        return []
    if target.kind == "instruction" and target.items is not None:
        return [back.items(run, target.items)]
    if target.kind == "question":
        return [back.question(run, target.text)]
    if target.kind == "call":
        return _call(back, run, target.text, held)
    return [back.shard(run, target.text) if target.kind == "shard" else back.run(run)]


def _records(links: Links, back: Backward, held: Held) -> list[Node]:
    """The records of dumps, or what stands in their place, of the runs that nothing known was made before."""
    nodes = []
    for run in links.order:
        rows = held.rows.get(run)
        before = {source for link in links.of(run) if link.role == "documents" for source in link.sources}
        if rows is None or before & set(held.rows):
            continue
        mine = rows.filter(pl.col("via") == ITSELF)
        if len(mine):
            nodes += back.documents(run, mine).children
    for frame in held.files.values():
        if len(frame):
            nodes.append(Node("record", str(frame["file"][0]), table=frame.select("origin", "id", "url")))
    return nodes


def _call(back: Backward, run: Run, key: str, held: Held) -> list[Node]:
    node = Node("calls", f"{run.name}/{LEDGER}", run.name, run.command, calls_by_key(run, [key]))
    items = items_of_call(run, key, held)
    nodes = [node]
    if len(items):
        nodes.append(back.items(run, items))
    answers = answers_of(run, None, set()).filter(pl.col("call_id") == key)
    for question, system in answers.select("question_id", "system").iter_rows():
        nodes.append(back.question(run, question, system))
    return nodes


def _ahead(links: Links, target: Target, held: Held) -> tuple[list[Node], list[Link]]:
    run, reached = target.run, Reached(held)
    start: list[Run] = []
    if target.kind in {"url", "host", "document", "record", "dump"}:
        forward = Forward(links, reached).go()
        return [*forward.roots, *mentions(links, held)], forward.unknown
    if target.kind == "instruction" and run is not None and target.items is not None:
        reached.items[run], start = target.items, [run]
    elif target.kind == "call" and run is not None:
        items = items_of_call(run, target.text, held)
        if not len(items):
            return [], []
        reached.items[run], start = items, [run]
    elif target.kind == "checkpoint" and target.checkpoint is not None:
        reached.weights |= {target.checkpoint.weights} if target.checkpoint.weights else set()
        start = [run] if run is not None else []
    elif target.kind == "shard" and run is not None:
        reached.shards[run], start = documents_in(run, None, {}, held, target.text), [run]
    elif target.kind in {"run", "file"}:
        return reads_of(links, run, target.path), []
    else:
        return [], []
    forward = Forward(links, reached, start).go()
    return forward.roots, []


def _write_lines(path: Path, result: Trace) -> None:
    with atomic_write(path) as file:
        for row in result.lines():
            file.write(orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))


def _tell(result: Trace, words: Mapping[str, str], call: TraceCall) -> None:
    from rich.text import Text

    def head(text: str) -> None:
        console.show(Text(f"{console.printable(text)}\n", style="bold underline"))

    head(f"{words[f'kind_{result.kind}']}: {shown(result.thing)}")
    said = " · ".join(f"{words[f'count_{what}']} {number(count)}" for what, count in result.counts.items())
    if said:
        console.show(Text(f"{console.printable(said)}\n"))
    for name, nodes in (("behind", result.behind), ("ahead", result.ahead)):
        if nodes is not None:
            console.show(Text("\n"))
            head(words[name])
            console.show(tree(words, nodes, call.most) if nodes else Text(words[f"nothing_{name}"] + "\n"))
    for name, texts in (("unknown", result.unknown_lines(words)), ("faults", result.fault_lines(words))):
        if texts:
            console.show(Text("\n"))
            head(words[name])
            for text in [*texts, words[f"{name}_note"]]:
                console.show(Text(f"{console.printable(' '.join(text.split()))}\n"))
    if call.quiet:
        return
    say(words["searched"].format(runs=number(result.runs), places=", ".join(result.places)))
