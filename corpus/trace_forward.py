"""What came of some documents, items or models: each run below the folders that they went into.

In: runs and links, and what is held of documents, items and weights at the start. Out: nodes, each under the run that
it was made from. Runs are gone through in the order in which they were made, so that one pass sees everything. What
cannot be told apart is told as a set: a checkpoint was trained on all documents of its shards. Price: that of the
tables that are read; nothing is read of runs that none of it reached.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from corpus.runs_found import Checkpoint, Run
from corpus.runs_links import Link, Links
from corpus.runs_roles import DOCUMENTS, INSTRUCTIONS, JUDGES, MIXERS, MODELS, TELLING, TOKENS
from corpus.trace_documents import BY_ID, Held, Vias
from corpus.trace_items import KEPT, Match, grounded, items_in_file, items_of, json_lines, keys_of, the_same
from corpus.trace_judged import answers_of, named_systems, scores_of
from corpus.trace_ledger import calls_by_key, calls_with
from corpus.trace_shards import documents_in, held_out_share, trained_documents, with_fates
from corpus.trace_texts import beginnings
from corpus.trace_tree import Node
from runkit.ledger import LEDGER
from runkit.source import shown


@dataclass(slots=True)
class Reached:
    """What is known to be in each run."""

    held: Held
    items: dict[Run, pl.DataFrame] = field(default_factory=dict)
    files: dict[Path, pl.DataFrame] = field(default_factory=dict)  # instructions outside of all runs
    shards: dict[Run, pl.DataFrame] = field(default_factory=dict)
    weights: set[str] = field(default_factory=set)  # sums of models
    answers: dict[Run, set[str]] = field(default_factory=dict)  # systems


class Forward:
    """One pass; `nodes` has what came of it."""

    def __init__(self, links: Links, reached: Reached, start: Collection[Run] = ()) -> None:
        self.links, self.reached, self.start = links, reached, start
        self.nodes: dict[Run, Node] = {}
        self.roots: list[Node] = []
        self._files: dict[Path, Node] = {}  # outside of all runs
        self.unknown: list[Link] = []
        self._by_command: dict[str, Callable[[Run], Node | None]] = {
            **dict.fromkeys(DOCUMENTS, self._documents),
            **dict.fromkeys(MIXERS, self._mixed),
            **dict.fromkeys(INSTRUCTIONS, self._items),
            **dict.fromkeys(MODELS, self._trained),
            **dict.fromkeys(JUDGES, self._judged),
            TOKENS: self._shards,
            "train eval mcq": self._scores,
        }

    def go(self) -> "Forward":
        for path, frame in self.reached.held.files.items():
            self._note_file("documents", path, frame)
        for run in self.links.order:
            node = self._by_command.get(run.command, self._other)(run)
            self.unknown += [one for one in self.links.of(run) if one.role in TELLING and not self.links.locate(one)]
            if node is None:
                continue
            if not run.finished:
                node.note("unfinished")
            for what in run.damage:
                node.note("damaged", what=what)
            self.nodes[run] = node
            parents = self._parents(run)
            if run in self.start:
                parents = []
            (parents[0].children if parents else self.roots).append(node)
            others = [one.name for one in parents[1:]]
            if others:
                node.note("also_from", names=", ".join(others))
        return self

    def _parents(self, run: Run) -> list[Node]:
        """The nodes of what the run was made from, each once."""
        found = []
        for link in self.links.of(run):
            found += [self.nodes[one] for one in link.sources if one in self.nodes]
            found += [self._files[one.path] for one in link.origins if one.path in self._files]
        return list({id(node): node for node in found}.values())

    def _note_file(self, what: str, path: Path, frame: pl.DataFrame) -> None:
        """A file outside of all runs that holds some of it."""
        if len(frame):
            table = frame.with_columns(path=pl.lit(shown(str(path))))
            self._files[path] = Node(what, str(frame["file"][0]), table=table)
            self.roots.append(self._files[path])

    def _node(self, what: str, run: Run, table: pl.DataFrame | None = None, **facts: Any) -> Node:
        found = pl.DataFrame() if table is None else table
        node = Node(what, run.name, run.name, run.command, found, facts, path=str(run.path))
        if "how" in found.columns and (found["how"] == BY_ID).any():
            node.note("by_id", count=int((found["how"] == BY_ID).sum()))
        if what != "documents" and "via" in found.columns and len(found) and (found["via"] != "itself").all():
            node.note("only_copies")
        return node

    def _documents(self, run: Run) -> Node | None:
        rows = self.reached.held.rows.get(run)
        if rows is None or not len(rows):
            return None
        facts = {}
        for via, prefix in (("itself", ""), ("copy", "copies_")):
            for state, kept in (("kept", True), ("rejected", False)):
                fits = (pl.col("via") == via) & ((pl.col("reasons").list.len() == 0) == kept)
                facts[prefix + state] = len(rows.filter(fits))
        return self._node("documents", run, rows, **{key: value for key, value in facts.items() if value})

    def _ids(self, run: Run) -> tuple[Vias, Vias]:
        """Ids of documents that this run has read, and those that it may have."""
        certain: Vias = {}
        unknown = False
        for link in self.links.of(run):
            if link.role == "documents":
                self.links.locate(link)
                found = self.reached.held.behind(link)
                unknown |= found is None
                for id, via in (found or {}).items():
                    certain[id] = via if certain.get(id) != "itself" else "itself"
        return certain, (self.reached.held.known if unknown else {})

    def _shards(self, run: Run) -> Node | None:
        rows = self.reached.shards.get(run)
        if rows is None:
            rows = documents_in(run, *self._ids(run), self.reached.held)
        if not len(rows):
            return None
        self.reached.shards[run] = rows
        counted = trained_documents(run, [run])
        return self._node("shards", run, rows, documents=rows["id"].n_unique(), of=counted[1] if counted else None)

    def _mixed(self, run: Run) -> Node | None:
        certain = self._ids(run)[0]
        if not certain:  # what it read is not there, and nothing in it could be told apart
            return None
        columns = {"id": list(certain), "via": list(certain.values())}
        table = pl.DataFrame(columns, schema={"id": pl.String, "via": pl.String})
        if held_out_share(run):
            table = with_fates(run, table.with_columns(source=pl.lit(None, pl.String))).drop("source")
        node = self._node("set", run, table, kind=MIXERS[run.command], documents=len(table), of=_read(run))
        users = [link.run.name for link in self.links.readers[run] if link.role in {"model", "tokenizer"}]
        if users:
            node.note("used_by", names=", ".join(dict.fromkeys(users)))
        return node.note("figures" if MIXERS[run.command] == "figures" else "mixed")

    def _items(self, run: Run) -> Node | None:
        rows = self.reached.items.get(run)
        if rows is None:
            match, words = self._match(run)
            if match is None:
                return None
            rows = items_of(run, match, self.reached.held, words)
        calls = self._calls(run, rows)
        if not len(rows) and not len(calls):
            return None
        self.reached.items[run] = rows
        kept = rows.filter(pl.col("file") == KEPT)
        node = self._node("instructions", run, rows, kept=len(kept), rejected=len(rows) - len(kept))
        if len(calls):
            node.children.append(
                Node("calls", f"{run.name}/{LEDGER}", run.name, "", calls, {"calls": len(calls)}, path=str(run.path))
            )
        return node

    def _match(self, run: Run) -> tuple[Match | None, list[str] | None]:
        certain, loose = self._ids(run)
        keys: dict[str, str] = {}
        for link in self.links.of(run):
            if link.role == "instructions":
                keys |= self._keys(link)
                if not self.links.locate(link):
                    loose = self.reached.held.known
        matches: list[Match] = []
        if certain:
            matches.append(grounded(certain))
        if keys:
            matches.append(the_same(keys))
        if loose:
            matches.append(grounded(loose, BY_ID))
        if not matches:
            return None, None
        words = None if keys else [*certain, *loose]
        return (lambda record: next((found for one in matches if (found := one(record)) is not None), None)), words

    def _keys(self, link: Link) -> dict[str, str]:
        """Items that are meant in an input: key -> via."""
        found: dict[str, str] = {}
        for origin in self.links.locate(link):
            if origin.run is not None:
                rows = self.reached.items.get(origin.run)
                if rows is not None:
                    found |= keys_of(rows.filter(pl.col("file") == origin.file))
            elif origin.checkpoint is None:
                found |= keys_of(self._file(origin.path, origin.name))
        return found

    def _file(self, path: Path, name: str) -> pl.DataFrame:
        """Items in a file that no run wrote: made from documents, or those of a run, written out again."""
        if path not in self.reached.files:
            keys = {key: via for rows in self.reached.items.values() for key, via in keys_of(rows).items()}
            by_document, by_key = grounded(self.reached.held.known), the_same(keys)
            match: Match = lambda record: by_document(record) or by_key(record)  # noqa: E731
            self.reached.files[path] = items_in_file(path, name, match, self.reached.held)
            self._note_file("instructions", path, self.reached.files[path])
        return self.reached.files[path]

    def _calls(self, run: Run, rows: pl.DataFrame) -> pl.DataFrame:
        """Calls that gave the items, and others that were sent the text of a document."""
        keys = {value for name in ("call_id", "task_call_id") for value in rows[name].to_list() if value}
        found = calls_by_key(run, keys)
        if run.command == "selfinstruct generate" and (run.path / LEDGER).is_file():
            texts = beginnings(self.links, self.reached.held, self._ids(run)[0])
            found = pl.concat([found, calls_with(run, texts)]).unique("call_id", maintain_order=True)
        return found

    def _trained(self, run: Run) -> Node | None:
        tables: list[pl.DataFrame] = []
        shards: list[Run] = []
        parent: Checkpoint | None = None
        for link in self.links.of(run):
            if link.role == "shards":
                shards += link.sources
                tables += [self.reached.shards[one] for one in link.sources if one in self.reached.shards]
            elif link.role == "instructions":
                tables += self._dialogues(run, link)
            elif link.role == "model":
                same = [one.checkpoint for one in link.origins if one.checkpoint is not None]
                parent = next((one for one in same if one.weights in self.reached.weights), parent)
        own = [one for one in self.links.found.checkpoints if one.run is run]
        begun = run in self.start  # the trace begins at one of its checkpoints
        if not tables and parent is None and not begun:
            return None
        if not begun:
            self.reached.weights |= {one.weights for one in own if one.weights}
        node = self._node("checkpoints", run, _checkpoint_table(own if not begun else self._begun(own)))
        if begun and not tables:
            return node
        if tables:
            self._tell_set(node, run, pl.concat(tables, how="diagonal"), shards)
        if parent is not None:
            node.note("went_on_from", name=parent.name)
        copies = [
            one for one in self.links.found.checkpoints if one.run is None and one.weights in self.reached.weights
        ]
        if copies:
            node.note("copied", names=", ".join(one.name for one in copies))
        return node

    def _begun(self, own: list[Checkpoint]) -> list[Checkpoint]:
        return [one for one in own if one.weights in self.reached.weights]

    def _tell_set(self, node: Node, run: Run, hits: pl.DataFrame, shards: list[Run]) -> None:
        hits = hits if "fate" in hits.columns else with_fates(run, hits)
        fates = dict(hits.unique(["id", "fate"])["fate"].value_counts().iter_rows())
        counted = trained_documents(run, shards) if shards else None
        if shards:
            node.facts |= {"trained": fates.get("trained", 0), "of": counted[0] if counted else None}
            node.note("mixed_documents", count=fates.get("trained", 0), of=counted[0] if counted else None)
        else:
            used = ((run.summary or {}).get("dialogues") or {}).get("used")
            node.facts |= {"trained": fates.get("trained", 0), "of": used}
            node.note("mixed_dialogues", count=fates.get("trained", 0), of=used)
        node.facts |= {key: fates[key] for key in ("held_out", "not_drawn", "left_out") if fates.get(key)}
        if (hits["via"] != "itself").all():
            node.note("only_copies")
        node.children.append(Node("dialogues" if not shards else "reads", "", run.name, "", hits, path=str(run.path)))

    def _dialogues(self, run: Run, link: Link) -> list[pl.DataFrame]:
        """The items of one input of `train sft`, with what became of each."""
        name = link.input.name.partition("/")[0]
        tables = []
        for origin in self.links.locate(link):
            if origin.run is not None and origin.run in self.reached.items and origin in link.likely:
                tables.append(self.reached.items[origin.run].filter(pl.col("file") == origin.file))
            elif origin.run is None and origin.checkpoint is None:
                tables.append(self._file(origin.path, origin.name))
        frames = [frame for frame in tables if len(frame)]
        if not frames:
            return []
        frame = with_fates(run, pl.concat(frames).with_columns(source=pl.lit(name)))
        left = left_out(run, name)
        fates = ["left_out" if id in left else fate for id, fate in frame.select("id", "fate").iter_rows()]
        return [
            frame.select("id", "instruction", "document_ids", "source", "via", "how").with_columns(
                fate=pl.Series(fates)
            )
        ]

    def _scores(self, run: Run) -> Node | None:
        links = [one for one in self.links.of(run) if one.role == "model"]
        asked = [o.checkpoint for one in links for o in one.origins if o.checkpoint is not None]
        asked = [one for one in asked if one.weights in self.reached.weights]
        if not asked:
            return None
        return self._node("scores", run, None, **scores_of(run)).note("asked", name=asked[0].name)

    def _judged(self, run: Run) -> Node | None:
        systems = named_systems(self.links, run, self.reached.weights, self.reached.answers)
        asked: set[str] = set()
        for link in self.links.of(run):
            if link.role == "questions":
                keys = self._keys(link) if self.reached.items or self.reached.files else {}
                rows = [frame for frame in (*self.reached.items.values(), *self.reached.files.values()) if keys]
                asked |= {id for frame in rows for id, key in frame.select("id", "key").iter_rows() if key in keys}
        if not systems and not asked:
            return None
        self.reached.answers[run] = set(systems)
        table = answers_of(run, set(systems), asked)
        node = self._node("answers", run, table, answers=len(table), systems=", ".join(systems) or None)
        for name, checkpoint in systems.items():
            node.note("answered_by", name=name, checkpoint=checkpoint)
        if asked:
            node.note("asked_items", count=len(asked))
        return node

    def _other(self, run: Run) -> Node | None:
        read = [link for link in self.links.of(run) if any(one in self.nodes for one in link.sources)]
        return self._node("run", run).note("reads", names=", ".join(one.label for one in read)) if read else None


def _checkpoint_table(own: list[Checkpoint]) -> pl.DataFrame:
    columns = {
        "file": [f"checkpoints/{one.path.name}" for one in own],
        "step": [one.step for one in own],
        "sha256": [one.weights for one in own],
    }
    return pl.DataFrame(columns, schema={"file": pl.String, "step": pl.Int64, "sha256": pl.String})


def _read(run: Run) -> int | None:
    """How many documents a run was made of, where its summary says."""
    summary = run.summary or {}
    parts = [summary.get(key) for key in ("learnt_from", "held_out")]
    counts = [part["documents"] for part in parts if isinstance(part, dict) and isinstance(part.get("documents"), int)]
    documents = summary.get("documents")
    return sum(counts) if counts else documents if isinstance(documents, int) else None


def left_out(run: Run, source: str) -> set[str]:
    """Of `train sft`: ids of dialogues of one source that were not trained on."""
    rows = (record for _, record in json_lines(run.path / "left_out.jsonl"))
    return {str(one.get("id")) for one in rows if one.get("source") == source}
