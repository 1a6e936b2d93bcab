"""Documents that are meant, in every run that holds them: kept, rejected, and what has the same text.

In: what is wanted, runs and their links. Out: `Held`: for each run of documents a table of rows. From run to run a
document is followed by its id within the very file that was read, since two dumps of the same name give the same ids;
by its id alone only where that file is not there any more. Copies (`copies.parquet`) count beside: who removes a page
wants to know of them. Price: ids, origins and addresses are read, never texts: 0.5 s for a million documents.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from corpus.runs_found import Run
from corpus.runs_links import HASHED_BYTES, Link, Links
from corpus.runs_roles import DOCUMENTS
from corpus.trace_wanted import Wanted
from runkit.documents import Document, plan_documents, read_documents
from runkit.errors import UserError
from runkit.files import sha256_file

SCHEMA: Final[dict[str, Any]] = {
    "file": pl.String,
    "row": pl.Int64,
    "id": pl.String,
    "origin": pl.String,
    "url": pl.String,
    "source": pl.String,
    "reasons": pl.List(pl.String),  # empty: it was kept
    "via": pl.String,  # itself | copy: it has the same text
    "how": pl.String,  # exact | id: the file between is not there
    "copy_of": pl.String,
    "similarity": pl.Float32,
}
ITSELF, COPY, EXACT, BY_ID = "itself", "copy", "exact", "id"
_PLACE: Final = r"#\d+(?:\+\d+)?$"
Vias = dict[str, str]  # id -> via


def no_rows() -> pl.DataFrame:
    """A table of documents without any."""
    return pl.DataFrame(schema=SCHEMA)


@dataclass(slots=True)
class Fault:
    """A file that is not as it was, or that nobody can look into."""

    what: str  # changed | missing | unreadable
    file: str
    run: str


@dataclass(slots=True)
class Held:
    """Where the documents are."""

    rows: dict[Run, pl.DataFrame] = field(default_factory=dict)
    files: dict[Path, pl.DataFrame] = field(default_factory=dict)  # sets of documents outside of all runs
    faults: dict[tuple[str, str], Fault] = field(default_factory=dict)
    loose: Vias = field(default_factory=dict)  # ids that no set of documents holds any more
    looked_back: bool = False

    def note(self, what: str, run: Run | None, file: str) -> None:
        self.faults.setdefault((file, what), Fault(what, file, run.name if run is not None else ""))

    @property
    def known(self) -> Vias:
        """All ids that were kept somewhere."""
        found: Vias = dict(self.loose)
        for frame in (*self.rows.values(), *self.files.values()):
            _put(found, frame.filter(pl.col("reasons").list.len() == 0))
        return found

    @property
    def count(self) -> int:
        return sum(map(len, self.rows.values())) + sum(map(len, self.files.values()))

    def behind(self, link: Link) -> Vias | None:
        """The ids of an input that are meant; None: it is not there, so nobody can say."""
        if not link.origins:
            return None
        found: Vias = {}
        for origin in link.origins:
            if origin.run is None:
                _put(found, self.files.get(origin.path, no_rows()))
            elif origin.run in self.rows:
                frame = self.rows[origin.run]
                _put(found, frame if origin.file == "manifest.json" else frame.filter(pl.col("file") == origin.file))
        return found


def _put(into: Vias, frame: pl.DataFrame) -> None:
    for id, via in frame.select("id", "via").iter_rows():
        if into.get(id) != ITSELF:
            into[id] = via


def find_documents(links: Links, wanted: Wanted, only: Run | None = None) -> Held:
    """Every row that is wanted or was made of one; with `only`, first looked for in that run alone."""
    held = Held()
    runs = [run for run in links.order if run.command in DOCUMENTS]
    _read_files(links, wanted, held, only)
    again = True
    while again:  # a copy in an earlier run is found from the later one
        before = held.count
        for run in runs:
            direct = _scan(run, wanted.condition, held, wanted) if only in (None, run) else no_rows()
            frame = _joined([held.rows.get(run, no_rows()), direct, _followed(links, run, held)])
            if len(frame):
                held.rows[run] = _joined([_copies(links, run, frame, held), frame])
        again = held.looked_back and held.count != before
    for run, frame in held.rows.items():
        _check(run, frame, held, links.every_byte)
    return held


def _joined(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Each row once, as itself rather than as a copy."""
    whole = pl.concat([frame.select(list(SCHEMA)) for frame in frames])
    order = [pl.col("via") != ITSELF, pl.col("how") != EXACT]
    return whole.sort(*order, "file", "row", maintain_order=True).unique(
        ["file", "row"], keep="first", maintain_order=True
    )


def _scan(run: Run, condition: pl.Expr, held: Held, wanted: Wanted | None = None) -> pl.DataFrame:
    """Rows of a run's documents and rejected documents that fit."""
    frames = [no_rows()]
    for folder in ("documents", "rejected"):
        for name in run.files(folder, ".parquet"):
            frame = _scan_file(run, name, condition, held)
            if wanted is not None and len(frame):
                fits = [wanted.test(*values) for values in frame.select("id", "origin", "url").iter_rows()]
                frame = frame.filter(pl.Series(fits, dtype=pl.Boolean))
            frames.append(frame)
    return pl.concat(frames)


def _scan_file(run: Run, name: str, condition: pl.Expr, held: Held) -> pl.DataFrame:
    try:
        lazy = pl.scan_parquet(run.path / name, glob=False, row_index_name="row")
        columns = lazy.collect_schema().names()
        more = [
            pl.col("reasons").cast(SCHEMA["reasons"]) if "reasons" in columns else _constant("reasons", []),
            _constant("file", name),
            _constant("via", ITSELF),
            _constant("how", EXACT),
            _constant("copy_of", None),
            _constant("similarity", None),
        ]
        rows = lazy.select("row", "id", "origin", "url", "source", *(c for c in ("reasons",) if c in columns))
        found = rows.filter(condition).with_columns(more).collect()
        return found.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    except (pl.exceptions.PolarsError, OSError):
        held.note("unreadable", run, f"{run.name}/{name}")
        return no_rows()


def _constant(name: str, value: Any) -> pl.Expr:
    return pl.lit(value, SCHEMA[name]).alias(name)


def _followed(links: Links, run: Run, held: Held) -> pl.DataFrame:
    """Rows that were made of a document which is held."""
    by_name: dict[str, Vias] = {}
    whole: Vias = {}  # of a run that was read as a whole
    loose: set[str] = set()
    for link in links.of(run):
        if link.role != "documents":
            continue
        links.locate(link)
        vias = held.behind(link)
        if vias is None:
            loose.add(link.input.name)
        elif link.input.name.startswith("run:"):
            whole |= vias
        else:
            by_name[link.input.name] = vias
    known = held.known if loose else {}
    ids = {*known, *whole, *(id for vias in by_name.values() for id in vias)}
    if not ids:
        return no_rows()
    frame = _scan(run, _is_in("id", ids), held)
    marked: list[str | None] = []
    hows: list[str] = []
    names = frame["origin"].str.replace(_PLACE, "")
    for id, name in zip(frame["id"], names, strict=True):
        certain = whole.get(id) or by_name.get(name, {}).get(id)
        marked.append(certain or (known.get(id) if name in loose else None))
        hows.append(EXACT if certain else BY_ID)
    frame = frame.with_columns(pl.Series("via", marked, dtype=pl.String), pl.Series("how", hows, dtype=pl.String))
    return frame.filter(pl.col("via").is_not_null())


def _is_in(column: str, ids: Iterable[str]) -> pl.Expr:
    return pl.col(column).is_in(pl.Series(sorted(ids), dtype=pl.String).implode())


def _copies(links: Links, run: Run, frame: pl.DataFrame, held: Held) -> pl.DataFrame:
    """What the deduplication of this run found to have the text of a row: the version that stays, and all others."""
    try:
        lazy = pl.scan_parquet(run.path / "copies.parquet", glob=False)
        table = lazy.select("id", pl.col("duplicate_of").alias("copy_of"), "similarity").collect()
    except (pl.exceptions.PolarsError, OSError):
        if "copies.parquet" in run.outputs:
            held.note("unreadable", run, f"{run.name}/copies.parquet")
        return no_rows()
    ids = frame["id"].to_list()
    heads = {*table.filter(_is_in("id", ids))["copy_of"].to_list(), *ids}
    table = table.filter(_is_in("copy_of", heads) | _is_in("id", ids))
    alike = {*table["id"].to_list(), *table["copy_of"].to_list()}
    if not alike:
        return no_rows()
    found = _scan(run, _is_in("id", alike), held).drop("copy_of", "similarity")
    found = found.join(table.unique("id"), on="id", how="left", maintain_order="left")
    _copies_before(links, run, alike - set(found["id"].to_list()), held)
    mine = frame.select("file", "row", pl.col("via").alias("mine"), pl.col("how").alias("mine_how"))
    found = found.join(mine, on=["file", "row"], how="left", maintain_order="left")
    return found.with_columns(
        pl.coalesce("mine", pl.lit(COPY)).alias("via"), pl.coalesce("mine_how", pl.lit(EXACT)).alias("how")
    ).select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())


def _copies_before(links: Links, run: Run, ids: set[str], held: Held) -> None:
    """Versions that stay in a run that this one was compared against."""
    for link in links.of(run) if ids else ():
        for origin in link.likely if link.role == "against" else ():
            if origin.run is not None and origin.file.startswith("documents/"):
                found = _scan_file(origin.run, origin.file, _is_in("id", ids), held)
                found = found.with_columns(_constant("via", COPY))
                held.rows[origin.run] = _joined([held.rows.get(origin.run, no_rows()), found])
                held.looked_back = True


def _read_files(links: Links, wanted: Wanted, held: Held, only: Run | None) -> None:
    """Sets of documents that lie outside of all runs, but were read by one."""
    if only is not None or wanted.kind == "dump":
        return
    for run in links.order:
        for link in links.of(run):
            if link.role != "documents":
                continue
            for origin in links.locate(link):
                if origin.run is None and origin.checkpoint is None and origin.path not in held.files:
                    held.files[origin.path] = _read_file(origin.path, origin.name, link, wanted, held)


def _read_file(path: Path, name: str, link: Link, wanted: Wanted, held: Held) -> pl.DataFrame:
    rows: dict[str, list[Any]] = {key: [] for key in SCHEMA}
    try:
        plan = plan_documents([str(path)])
        number = 0
        for shard in plan.shards:
            for found in read_documents(shard, str(link.run.config.get("text_field") or "text")):
                if isinstance(found, Document):
                    if wanted.test(found.id, found.origin, found.url):
                        values: tuple[Any, ...] = (name, number, found.id, found.origin, found.url, found.source)
                        for key, value in zip(SCHEMA, (*values, [], ITSELF, EXACT, None, None), strict=True):
                            rows[key].append(value)
                    number += 1
    except UserError:
        held.note("unreadable", None, name)
    return pl.DataFrame(rows, schema=SCHEMA)


def _check(run: Run, frame: pl.DataFrame, held: Held, every_byte: bool) -> None:
    """Whether the files of a run are those that it wrote: all by size, those with hits by their bytes."""
    hit = set(frame["file"].unique().to_list())
    for name, stated in run.outputs.items():
        if not name.startswith(("documents/", "rejected/")):
            continue
        wrong = run.wrong(name)
        if wrong is None and (every_byte or (name in hit and stated.size <= HASHED_BYTES)):
            wrong = None if sha256_file(run.path / name) == stated.sha256 else "changed"
        if wrong is not None:
            held.note(wrong, run, f"{run.name}/{name}")


def scan_ids(run: Run, name: str, ids: Collection[str], held: Held) -> pl.DataFrame:
    """Rows of one file, or of all of a run, with these ids."""
    condition = _is_in("id", ids)
    return _scan_file(run, name, condition, held) if name.endswith(".parquet") else _scan(run, condition, held)


def ids_in(file: Path) -> set[str]:
    """The ids of a shard's documents; none where the file is gone or damaged."""
    try:
        return {str(orjson.loads(line)) for line in file.read_bytes().splitlines()}
    except (OSError, orjson.JSONDecodeError):
        return set()
