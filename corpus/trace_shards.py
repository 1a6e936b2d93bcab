"""Documents in token shards, and what became of them in the training that read the shards.

In: runs of `train tokens` and of training, ids of documents. Out: tables: which shard, which document of it, which
tokens; and of a training whether each may have been learnt, was held out, or never drawn. The latter two are exact, for
a document is held out by its id alone. Price: the ids of all shards are read, 25 bytes a document.
"""

from contextlib import suppress
from typing import Any, Final

import numpy as np
import orjson
import polars as pl

from corpus.runs_found import Run
from corpus.runs_models import index_of
from corpus.trace_documents import BY_ID, EXACT, ITSELF, Held, Vias
from runkit.records import held_out, held_out_bound

SCHEMA: Final[dict[str, Any]] = {
    "file": pl.String,
    "number": pl.Int64,  # of the document in its shard, from 0
    "start": pl.Int64,  # its first token, counted in the shard
    "length": pl.Int64,
    "id": pl.String,
    "source": pl.String,
    "via": pl.String,
    "how": pl.String,
}


def no_shards() -> pl.DataFrame:
    return pl.DataFrame(schema=SCHEMA)


def entries_of(run: Run) -> list[dict[str, Any]]:
    """The shards that a folder's summary names; by what lies there where it has none."""
    entries = (run.summary or {}).get("shards")
    if isinstance(entries, list) and all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in entries):
        return entries
    return [{"name": name.split("/")[1].removesuffix(".ids.jsonl")} for name in run.files("shards", ".ids.jsonl")]


def documents_in(run: Run, certain: Vias | None, loose: Vias, held: Held, shard: str | None = None) -> pl.DataFrame:
    """Where documents lie in the shards; `loose` ones by their id alone; None: all of them. Or in one `shard` alone."""
    rows: dict[str, list[Any]] = {name: [] for name in SCHEMA}
    wanted = {orjson.dumps(id): (id, via, EXACT) for id, via in (certain or {}).items()}
    for id, via in loose.items():
        wanted.setdefault(orjson.dumps(id), (id, via, BY_ID))
    for entry in entries_of(run) if wanted or certain is None else ():
        name = entry["name"]
        if shard not in (None, name):
            continue
        try:
            with (run.path / "shards" / f"{name}.ids.jsonl").open("rb") as file:
                if certain is None:
                    hits = [(number, (str(orjson.loads(line)), ITSELF, EXACT)) for number, line in enumerate(file)]
                else:
                    ids = enumerate(map(bytes.rstrip, file))
                    hits = [(number, wanted[line]) for number, line in ids if line in wanted]
        except (OSError, orjson.JSONDecodeError):
            held.note("missing", run, f"{run.name}/shards/{name}.ids.jsonl")
            continue
        _add(rows, run, entry, hits)
        for file_name in (f"shards/{name}.ids.jsonl", f"shards/{name}.bin"):
            if (wrong := run.wrong(file_name)) is not None:
                held.note(wrong, run, f"{run.name}/{file_name}")
    return pl.DataFrame(rows, schema=SCHEMA, strict=False)


def _add(
    rows: dict[str, list[Any]], run: Run, entry: dict[str, Any], hits: list[tuple[int, tuple[str, str, str]]]
) -> None:
    index: Any = None
    with suppress(OSError, ValueError):
        index = index_of(run, entry["name"]) if hits else None
    sources = entry.get("sources")
    for number, (id, via, how) in hits:
        start = length = source = None
        if index is not None and number < len(index):
            start, length = int(index[number]["start"]), int(index[number]["length"])
            place = int(index[number]["source"])
            source = str(sources[place]) if isinstance(sources, list) and 0 <= place < len(sources) else None
        values = (f"shards/{entry['name']}.bin", number, start, length, id, source, via, how)
        for name, value in zip(SCHEMA, values, strict=True):
            rows[name].append(value)


def held_out_share(run: Run) -> float:
    """Of a training: the share that was kept from it."""
    data = run.config.get("data")
    share = data.get("held_out") if isinstance(data, dict) else run.config.get("held_out")
    return float(share) if isinstance(share, int | float) and 0 <= share < 1 else 0.0


def weight_of(run: Run, source: str | None) -> float | None:
    """What part of the mixture a source has by the settings; None: they give none, and sources are as they are."""
    data = run.config.get("data")
    weights = data.get("weights") if isinstance(data, dict) else None
    if not isinstance(weights, dict) or not weights or source is None:
        return None
    weight = weights.get(source, 0)
    return float(weight) if isinstance(weight, int | float) else None


def fate(run: Run, id: str, source: str | None) -> str:
    """What a training did with a document or dialogue."""
    if held_out(id, held_out_share(run)):
        return "held_out"
    return "not_drawn" if weight_of(run, source) == 0 else "trained"


def trained_documents(run: Run, shards: list[Run]) -> tuple[int, int] | None:
    """(documents that were trained on at most, documents) of the shards of a training."""
    bound = held_out_bound(held_out_share(run))
    learnt = total = 0
    try:
        for folder in shards:
            for entry in entries_of(folder):
                index = index_of(folder, entry["name"])
                total += len(index)
                learnt += int((index["id_hash"] >= np.uint64(bound)).sum()) if bound else len(index)
    except (OSError, ValueError, OverflowError):
        return None
    return learnt, total


def with_fates(run: Run, frame: pl.DataFrame, source: str = "source") -> pl.DataFrame:
    """The table with a column that says what the training did with each row."""
    fates = [fate(run, id, of) for id, of in frame.select("id", source).iter_rows()]
    return frame.with_columns(pl.Series("fate", fates, dtype=pl.String))
