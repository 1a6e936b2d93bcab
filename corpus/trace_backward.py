"""What stands behind a thing: the run that made it, what that was made of, and so on down to records of dumps.

In: runs and links, and a document, an item, an answer, a checkpoint, a shard or a run. Out: nodes, each above what it
was made from. Documents and items are followed one by one; where training mixed them, the runs behind are told as sets,
and `--ids` lists all their documents. An input that is not there is told by its name and hash. Price: as forward; a run
that several things came from is told once.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import orjson
import polars as pl

from corpus.runs_figures import figures_of
from corpus.runs_found import Checkpoint, Run
from corpus.runs_links import Link, Links, Origin
from corpus.runs_roles import DOCUMENTS, INSTRUCTIONS
from corpus.trace_documents import Held, ids_in, scan_ids
from corpus.trace_items import call_ids, items_of, json_lines, keys_of, the_same
from corpus.trace_judged import answers_of, verdicts_on
from corpus.trace_ledger import calls_by_key
from corpus.trace_shards import entries_of
from corpus.trace_tree import Node
from runkit.errors import UserError
from runkit.fields import Fault
from runkit.instructions import find_items
from runkit.ledger import LEDGER

_PLACE: Final = r"#\d+(?:\+\d+)?$"
LEAVES: Final[dict[str, Any]] = {"file": pl.String, "bytes": pl.Int64, "sha256": pl.String, "changed": pl.String}
SEEDS: Final[dict[str, Any]] = {"file": pl.String, "id": pl.String, "instruction": pl.String}


class Backward:
    """Remembers what it told already."""

    def __init__(self, links: Links, held: Held) -> None:
        self.links, self.held = links, held
        self._told: set[Run] = set()

    def run(self, run: Run, streams: bool = True) -> Node:
        """A run with all that it was made from."""
        node = Node("run", run.name, run.name, run.command, facts=dict(figures_of(run)))
        if run in self._told:
            return node.note("told_above")
        self._told.add(run)
        if not run.finished:
            node.note("unfinished")
        for what in run.damage:
            node.note("damaged", what=what)
        leaves: dict[tuple[str, str], list[Link]] = {}
        for link in self.links.of(run):
            if link.likely and (link.sources or link.likely[0].checkpoint):
                child = self._behind(link, streams)
                if not any(_same(child, other) for other in node.children):
                    node.children.append(child)
            else:
                leaves.setdefault(("file" if self.links.locate(link) else "missing", link.role), []).append(link)
        node.children += [self._leaves(what, links) for (what, _), links in leaves.items()]
        if streams and run.command in DOCUMENTS:
            node.what, node.stream = "documents", self._all_documents(run)
        return node

    def _leaves(self, what: str, links: list[Link]) -> Node:
        """Inputs of one role that come from no run, as one node."""
        if len(links) == 1:
            return self.file(links[0])
        rows = [
            {"file": one.origins[0].name if one.origins else one.label, "bytes": one.input.size,
             "sha256": one.input.fingerprint, "changed": one.changed or None}
            for one in links
        ]  # fmt: skip
        facts = {"role": links[0].role, "files": len(links), "size": sum(one.input.size for one in links)}
        node = Node(what, "", table=pl.DataFrame(rows, schema=LEAVES), facts=facts)
        if what == "missing":
            node.note("some_not_below", count=len(links))
        elif not all(one.origins[0].compared for one in links):
            node.note("not_compared")
        return node

    def _behind(self, link: Link, streams: bool) -> Node:
        if link.likely and link.likely[0].checkpoint is not None:
            return self.checkpoint(link.likely[0].checkpoint)
        if link.sources:
            source = link.sources[0]
            if source in self._told:
                return Node("run", source.name, source.name, source.command).note("told_above")
            return self.run(source, streams)
        return self.file(link)

    def file(self, link: Link) -> Node:
        """An input that comes from no run: where it lies, or that it is not there."""
        found = self.links.locate(link)
        facts = {"role": link.role, "size": link.input.size, "sha256": link.input.fingerprint}
        if not found:
            return _missing(link)
        node = Node("file", found[0].name, facts=facts)
        return node if found[0].compared else node.note("not_compared")

    def checkpoint(self, found: Checkpoint) -> Node:
        """A checkpoint, and the run that trained it."""
        node = Node("checkpoint", found.name, facts={"step": found.step, "sha256": found.weights})
        wrong = found.wrong()
        if wrong is not None:
            node.note("file_missing", name=wrong)
        if found.run is not None:
            node.children.append(self.run(found.run))
            return node
        twins = [one for one in self.links.found.checkpoints if one.run is not None and one.weights == found.weights]
        if twins:
            node.note("same_weights", name=twins[0].name)
            node.children.append(self.checkpoint(twins[0]))
        return node if twins else node.note("no_run")

    def documents(self, run: Run, frame: pl.DataFrame) -> Node:
        """Documents of a run, and what each was made of."""
        node = Node("documents", run.name, run.name, run.command, frame)
        by_name = {link.input.name: link for link in self.links.of(run) if link.role in {"documents", "dump"}}
        named = frame.with_columns(pl.col("origin").str.replace(_PLACE, "").alias("_input"))
        for (name,), rows in named.group_by("_input", maintain_order=True):
            link = by_name.get(str(name))
            rows = rows.drop("_input")
            if link is None:
                node.note("input_unknown", name=str(name))
            elif link.role == "dump":
                node.children.append(self.records(link, rows))
            else:
                node.children.append(self.chosen(link, set(rows["id"].to_list())))
        return node

    def records(self, link: Link, rows: pl.DataFrame) -> Node:
        """Records of a dump."""
        found = self.links.locate(link)
        table = rows.select("origin", "id", "url")
        facts = {"size": link.input.size, "sha256": link.input.fingerprint, "path": found[0].name if found else None}
        node = Node("record", link.label, table=table, facts=facts)
        if not found:
            return node.note("dump_missing", name=link.label)
        return node if found[0].compared else node.note("not_compared")

    def chosen(self, link: Link, ids: set[str]) -> Node:
        """The documents with these ids in an input."""
        for origin in link.likely:
            if origin.run is not None:
                rows = scan_ids(origin.run, origin.file, ids, self.held)
                if len(rows):
                    return self.documents(origin.run, rows)
        found = [one for one in self.links.locate(link) if one.run is None]
        if found:
            return Node("file", found[0].name, facts={"role": link.role, "sha256": link.input.fingerprint})
        return _missing(link)

    def items(self, run: Run, rows: pl.DataFrame) -> Node:
        """Items of a run: documents, seeds and calls behind them."""
        node = Node("instructions", run.name, run.name, run.command, rows)
        documents = {id for ids in rows["document_ids"].to_list() for id in ids}
        seeds = {id for ids in rows["seed_ids"].to_list() for id in ids}
        calls = calls_by_key(run, call_ids(rows))
        if len(calls):
            node.children.append(Node("calls", f"{run.name}/{LEDGER}", run.name, "", calls))
        missing = call_ids(rows) - set(calls["call_id"].to_list())
        if missing:
            node.note("calls_missing", count=len(missing))
        for link in self.links.of(run):
            if link.role == "instructions":
                node.children += self._items_before(link, rows)
            elif link.role == "documents" and documents:
                found = self._documents_of(link, documents)
                node.children += [found] if found is not None else []
            elif link.role == "seeds" and seeds:
                node.children.append(self._seeds(link, seeds))
        return node

    def _documents_of(self, link: Link, ids: set[str]) -> Node | None:
        """None: none of them lies in this input."""
        if not self.links.locate(link):
            return _missing(link)
        found = self.chosen(link, ids)
        return found if found.what != "missing" else None

    def _items_before(self, link: Link, rows: pl.DataFrame) -> Iterator[Node]:
        match = the_same(keys_of(rows))
        found = self.links.locate(link)
        for origin in link.likely:
            if origin.run is not None:
                before = items_of(origin.run, match, self.held).filter(pl.col("file") == origin.file)
                if len(before):
                    yield self.items(origin.run, before)
            elif origin.checkpoint is None:
                yield self._written_out(link, origin, rows)
        if not found:
            yield _missing(link)

    def _written_out(self, link: Link, origin: Origin, rows: pl.DataFrame) -> Node:
        """A file outside of all runs with these items, and the run whose items they are."""
        node = Node("file", origin.name, facts={"role": link.role, "sha256": link.input.fingerprint})
        others = [
            one for one in self.links.order if one.command in INSTRUCTIONS and one not in self.links.after(link.run)
        ]
        for run in sorted(others, key=lambda one: one.command != "selfinstruct generate"):
            same = items_of(run, the_same(keys_of(rows)), self.held)
            if len(same):
                node.children.append(self.items(run, same))
                break
        return node

    def _seeds(self, link: Link, ids: set[str]) -> Node:
        found = self.links.locate(link)
        if not found:
            return _missing(link)
        rows = []
        try:
            for item in find_items([str(found[0].path)]).read():
                if not isinstance(item, Fault) and item.id in ids:
                    rows.append({"file": found[0].name, "id": item.id, "instruction": item.instruction[:60]})
        except (UserError, orjson.JSONDecodeError):
            self.held.note("unreadable", None, found[0].name)
        return Node("seeds", found[0].name, table=pl.DataFrame(rows, schema=SEEDS))

    def question(self, run: Run, question: str, system: str | None = None) -> Node:
        """A question in a run of `judge`: each answer with its model, and the verdicts."""
        text = next((str(one.get("text") or "") for one in _questions(run) if str(one.get("id")) == question), "")
        node = Node("question", question, run.name, run.command, facts={"text": text[:200]})
        answers = answers_of(run, set(), {question})
        for (name,), rows in answers.group_by("system", maintain_order=True):
            if system is None or name == system:
                node.children.append(self._answer(run, str(name), question, rows))
        verdicts = verdicts_on(run, question)
        if len(verdicts):
            child = Node("verdicts", run.name, run.name, "", verdicts)
            calls = calls_by_key(run, set(verdicts["call_id"].drop_nulls().to_list()))
            if len(calls):
                child.children.append(Node("calls", f"{run.name}/{LEDGER}", run.name, "", calls))
            child.children += [self.checkpoint(o.checkpoint) for o in self._models(run, "judge") if o.checkpoint]
            node.children.append(child)
        return node

    def _answer(self, run: Run, name: str, question: str, rows: pl.DataFrame) -> Node:
        node = Node("answers", name, run.name, "", rows)
        calls = calls_by_key(run, set(rows["call_id"].drop_nulls().to_list()))
        if len(calls):
            node.children.append(Node("calls", f"{run.name}/{LEDGER}", run.name, "", calls))
        for link in self.links.of(run):
            if link.role == "system" and link.label == name:
                origin = link.likely[0].checkpoint if link.likely else None
                node.children.append(self.checkpoint(origin) if origin is not None else _missing(link))
            elif link.role == "answers" and link.input.name == f"answers of {name}":
                behind = [one for one in link.sources if one.command.startswith("judge ")]
                node.children.append(self.question(behind[0], question) if behind else self.file(link))
        if not node.children and not len(calls):
            node.note("no_model")
        return node

    def _models(self, run: Run, role: str) -> Iterable[Origin]:
        return [one for link in self.links.of(run) if link.role == role for one in link.likely[:1]]

    def shard(self, run: Run, name: str) -> Node:
        """One shard of tokens, and the documents in it."""
        entry = next((one for one in entries_of(run) if one["name"] == name), {})
        facts = {key: entry[key] for key in ("documents", "tokens") if isinstance(entry.get(key), int)}
        node = Node("run", f"{run.name}/shards/{name}.bin", run.name, run.command, facts=facts)
        ids = ids_in(run.path / "shards" / f"{name}.ids.jsonl")
        for link in self.links.of(run):
            if link.role == "documents":
                child = self._documents_of(link, ids)
                node.children += [child] if child is not None else []
            else:
                node.children.append(self._behind(link, False))
        return node

    def _all_documents(self, run: Run) -> Callable[[], Iterator[dict[str, Any]]]:
        def rows() -> Iterator[dict[str, Any]]:
            for name in run.files("documents", ".parquet"):
                try:
                    lazy = pl.scan_parquet(run.path / name, glob=False, row_index_name="row")
                    frame = lazy.select("row", "id", "origin", "url").collect()
                except (pl.exceptions.PolarsError, OSError):
                    self.held.note("unreadable", run, f"{run.name}/{name}")
                    continue
                for row in frame.iter_rows(named=True):
                    yield {"file": name, **row}

        return rows


def _questions(run: Run) -> Iterator[dict[str, Any]]:
    return (record for _, record in json_lines(run.path / "questions.jsonl"))


def _missing(link: Link) -> Node:
    facts = {"role": link.role, "size": link.input.size or None, "sha256": link.input.fingerprint}
    node = Node("missing", link.label, facts=facts)
    if link.changed:
        return node.note("changed", name=link.changed)
    return node.note("not_below", name=link.label)


def _same(one: Node, other: Node) -> bool:
    """Whether both are the same run."""
    return one.what in {"run", "documents"} and (one.name, one.run) == (other.name, other.run)
