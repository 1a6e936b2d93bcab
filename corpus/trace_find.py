"""What a text on the command line names: a path, an address, a host, an id, a record, a call.

In: the text, runs and links. Out: one `Target`. Paths come first, then addresses, then RUN:ID, then whatever has this
name below the folders. Several things of one name are no target: InputError names them all, and how each is named
alone. Price: a look into the ids of all documents, instructions and questions, 0.5 s for a million.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from corpus.runs_found import WEIGHTS, Checkpoint, Run
from corpus.runs_links import Links
from corpus.runs_roles import INSTRUCTIONS, JUDGES, READERS, TELLING, TOKENS
from corpus.trace_documents import ITSELF, Held, find_documents
from corpus.trace_items import call_ids, grounded, items_of, json_lines
from corpus.trace_judged import answers_of
from corpus.trace_ledger import calls_by_key
from corpus.trace_shards import documents_in
from corpus.trace_wanted import Wanted, as_record, by_dump, by_host, by_id, by_record, by_url, looks_like_host
from runkit.errors import InputError
from runkit.files import sha256_file
from runkit.source import shown

KINDS: Final = ("url", "host", "document", "record", "instruction", "question", "call", "checkpoint", "shard", "run")
_CALL: Final = re.compile(r"[0-9a-f]{64}")
_SHARD: Final = re.compile(r"shards/([^/]+?)\.(?:bin|index\.npy|ids\.jsonl)")
_MOST_NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class Target:
    """One thing. `kind` is of `KINDS`, `dump` or `file`; what else is set depends on it."""

    kind: str
    text: str
    about: str = ""  # which of several this is, for people
    held: Held | None = None
    run: Run | None = None
    checkpoint: Checkpoint | None = None
    path: Path | None = None
    items: pl.DataFrame | None = None


def find_target(links: Links, thing: str, kind: str | None) -> Target:
    """InputError: nothing has this name, or several things do."""
    if kind is None:
        path = _path(thing)
        if path is not None:
            return _of_path(links, path, thing)
        if "://" in thing:
            return _documents(links, by_url(thing), "address")
    named = _in_run(links, thing)
    if named is not None:
        run, id = named
        return _one(thing, list(_named(links, id, kind, run)))
    return _one(thing, list(_named(links, thing, kind, None)))


def _one(thing: str, found: list[Target]) -> Target:
    if not found:
        raise InputError(
            f"Nothing below these folders is called {shown(thing)}; name an address, a host, an id, FILE:OFFSET, or a "
            "path, and give the folders with runs by --runs."
        )
    if len(found) > 1:
        names = "; ".join(one.about for one in found[:_MOST_NAMED])
        more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise InputError(f"{shown(thing)} names several things: {names}{more}. Name one as RUN:ID, or with --as.")
    return found[0]


def _path(thing: str) -> Path | None:
    try:
        path = Path(thing)
        return path if thing and path.exists() else None
    except (OSError, ValueError):
        return None


def _in_run(links: Links, thing: str) -> tuple[Run, str] | None:
    """RUN:ID, where RUN is the name or path of a run, or that of its folder. InputError: several have it."""
    by_folder: list[tuple[Run, str]] = []
    for run in links.found.runs:
        for name in (run.name, str(run.path)):
            if (id := _behind_name(thing, name)) is not None:
                return run, id
        if (id := _behind_name(thing, run.path.name)) is not None:
            by_folder.append((run, id))
    if len(by_folder) > 1:
        names = ", ".join(run.name for run, _ in by_folder[:_MOST_NAMED])
        raise InputError(f"{shown(thing)} may be in several runs: {names}; name one of these, as RUN:ID.")
    return by_folder[0] if by_folder else None


def _behind_name(thing: str, name: str) -> str | None:
    rest = thing[len(name) + 1 :]
    return rest if rest and thing.startswith(name) and thing[len(name)] in ":#" else None


def _documents(links: Links, wanted: Wanted, what: str, only: Run | None = None) -> Target:
    held = find_documents(links, wanted, only)
    if not held.count:
        raise InputError(
            f"No document below these folders has the {what} {shown(wanted.text)}{_but(links)}; give folders with runs "
            "by --runs."
        )
    return Target(wanted.kind, wanted.text, f"the {what} {shown(wanted.text)}", held)


def _but(links: Links) -> str:
    """Where it may be all the same."""
    away = [one for run in links.order for one in links.of(run) if one.role in TELLING and not links.locate(one)]
    if not away:
        return ""
    more = f" and {len(away) - 1} more inputs are not there" if len(away) > 1 else ""
    return f", but {away[0].run.name} was made from {shown(away[0].label)}, which is not there{more}"


def _named(links: Links, id: str, kind: str | None, run: Run | None) -> Iterator[Target]:
    """All things of this name; of `kind`, or in `run`, alone."""
    runs = [run] if run is not None else links.found.runs
    if kind in (None, "call") and _CALL.fullmatch(id):
        yield from _calls(runs, id)
        if kind is None and run is None:
            return
    if kind == "url" and run is None:
        yield _documents(links, by_url(id), "address")
    if kind in (None, "record") and (place := as_record(id)) is not None:
        yield from _found(links, by_record(*place), run)
    if kind in (None, "document"):
        yield from _by_id(links, id, run)
    if kind in (None, "instruction"):
        yield from _instructions(links, runs, id)
    if kind in (None, "question"):
        yield from _questions(runs, id)
    if (kind == "host" or (kind is None and run is None)) and looks_like_host(id):
        yield from _found(links, by_host(id), run)
    if kind == "shard":
        yield from (
            Target("shard", id, f"the shard {id} of {one.name}", run=one) for one in runs if _has_shard(one, id)
        )


def _has_shard(run: Run, name: str) -> bool:
    return run.command == TOKENS and f"shards/{name}.ids.jsonl" in run.files("shards", ".ids.jsonl")


def _found(links: Links, wanted: Wanted, run: Run | None) -> Iterator[Target]:
    held = find_documents(links, wanted, run)
    if held.count:
        yield Target(wanted.kind, wanted.text, f"the {wanted.kind} {shown(wanted.text)}", held)


def _by_id(links: Links, id: str, run: Run | None) -> Iterator[Target]:
    """Documents with this id: two dumps whose files have the same names give the same ids to other pages."""
    held = find_documents(links, by_id(id), run)
    if not held.count:
        if run is None and _is_read(links, id):  # the runs that held it are gone, but not all that read it
            yield Target("document", id, f"the document {id}", Held(loose={id: ITSELF}))
        return
    makers: dict[tuple[str, str], Run] = {}
    for maker, rows in held.rows.items():
        if maker.command in READERS:
            marks = {link.input.name: link.input.fingerprint for link in links.of(maker)}
            for origin in rows.filter((pl.col("id") == id) & (pl.col("via") == ITSELF))["origin"]:
                makers.setdefault((marks.get(origin.rpartition("#")[0], ""), origin), maker)
    if len(makers) < 2:
        yield Target("document", id, f"the document {id}", held)
        return
    for maker in makers.values():
        yield Target("document", id, f"the document {maker.name}:{id}", find_documents(links, by_id(id), maker))


def _is_read(links: Links, id: str) -> bool:
    """Whether a shard of tokens or an item names the document."""
    for run in links.order:
        if run.command == TOKENS and len(documents_in(run, {}, {id: ITSELF}, Held())):
            return True
        if run.command in INSTRUCTIONS and len(items_of(run, grounded({id: ITSELF}), Held(), [id])):
            return True
    return False


def _instructions(links: Links, runs: list[Run], id: str) -> Iterator[Target]:
    """Items with this id; the same item in a run that was made from another counts once."""
    keys: set[str] = set()
    held = Held()
    for run in [one for one in links.order if one in runs and one.command in INSTRUCTIONS]:
        rows = items_of(run, lambda record: (ITSELF, "exact") if str(record.get("id")) == id else None, held, [id])
        if len(rows) and not keys & set(rows["key"].to_list()):
            keys |= set(rows["key"].to_list())
            yield Target("instruction", id, f"the instruction {run.name}:{id}", run=run, items=rows, held=held)


def _questions(runs: list[Run], id: str) -> Iterator[Target]:
    for run in runs:
        if run.command in JUDGES:
            known = any(str(one.get("id")) == id for _, one in json_lines(run.path / "questions.jsonl", [id.encode()]))
            if known or len(answers_of(run, set(), {id})):
                yield Target("question", id, f"the question {run.name}:{id}", run=run)


def _calls(runs: list[Run], key: str) -> Iterator[Target]:
    for run in runs:
        if len(calls_by_key(run, [key])) or _has_call(run, key):
            yield Target("call", key, f"the call {run.name}:{key[:16]}…", run=run)


def _has_call(run: Run, key: str) -> bool:
    names = ("instructions.jsonl", "rejected.jsonl", "answers.jsonl", "verdicts.jsonl")
    return any(True for name in names for _ in json_lines(run.path / name, [key.encode()]))


def items_of_call(run: Run, key: str, held: Held) -> pl.DataFrame:
    """The items that came of a call."""
    rows = items_of(run, lambda _: (ITSELF, "exact"), held, [key])
    mine = [key in call_ids(rows[place : place + 1]) for place in range(len(rows))]
    return rows.filter(pl.Series(mine, dtype=pl.Boolean))


def _of_path(links: Links, path: Path, thing: str) -> Target:
    real = path.resolve()
    for checkpoint in links.found.checkpoints:
        if checkpoint.path.resolve() == real:
            return Target("checkpoint", checkpoint.name, run=checkpoint.run, checkpoint=checkpoint)
    for run in links.found.runs:
        if run.path.resolve() == real:
            return Target("run", run.name, run=run)
    inside = [run for run in links.found.runs if real.is_relative_to(run.path.resolve())]
    if inside and path.is_file():
        run = max(inside, key=lambda one: len(one.path.parts))
        return _of_file_in(run, str(real.relative_to(run.path.resolve())))
    if (path / WEIGHTS).is_file():
        return _of_model(links, path, thing)
    if path.is_file():
        return _of_file(links, path, thing)
    raise InputError(f"{shown(thing)} is neither a run nor a checkpoint, and no file; name one, or what lies in it.")


def _of_file_in(run: Run, name: str) -> Target:
    found = _SHARD.fullmatch(name)
    if found is not None and run.command == TOKENS:
        return Target("shard", found[1], run=run)
    return Target("run", run.name, run=run)


def _of_model(links: Links, path: Path, thing: str) -> Target:
    """A folder with weights that is no checkpoint of ours, but may hold the weights of one."""
    mark = sha256_file(path / WEIGHTS)
    same = [one for one in links.found.checkpoints if one.weights == mark]
    if not same:
        raise InputError(
            f"The weights in {shown(thing)} are those of no checkpoint below these folders (sha256 {mark[:16]}…); "
            "a model that was exported or imported says nothing of where it came from."
        )
    same.sort(key=lambda one: one.run is None)
    return Target("checkpoint", same[0].name, run=same[0].run, checkpoint=same[0])


def _of_file(links: Links, path: Path, thing: str) -> Target:
    """A file outside of all runs that one of them read."""
    size, mark = path.stat().st_size, ""
    for run in links.order:
        for link in links.of(run):
            if link.input.size != size or link.role in {"shards", "system", "judge"}:
                continue
            mark = mark or sha256_file(path)
            if link.input.fingerprint == mark:
                if link.role != "dump":
                    return Target("file", thing, path=path)
                held = find_documents(links, by_dump(link.input.name), run)
                return replace(_dump(held, link.label), path=path)
    raise InputError(f"{shown(thing)} is no input of any run below these folders, and lies in none of them.")


def _dump(held: Held, name: str) -> Target:
    if not held.count:
        raise InputError(f"No document was made of {shown(name)}; the run's quarantine/ and summary.json may say why.")
    return Target("dump", name, held=held)
