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
    marks = {_line(id): (via, BY_ID) for id, via in loose.items()}
    marks |= {_line(id): (via, EXACT) for id, via in (certain or {}).items()}
    frames = [no_shards()]
    for entry in entries_of(run) if marks or certain is None else ():
        name = entry["name"]
        if shard not in (None, name):
            continue
        try:
            with (run.path / "shards" / f"{name}.ids.jsonl").open("rb") as file:
                ids = enumerate(map(bytes.rstrip, file))
                hits = [(n, id, marks.get(id, (ITSELF, EXACT))) for n, id in ids if certain is None or id in marks]
            frames.append(_places(run, entry, hits))
        except (OSError, orjson.JSONDecodeError):
            held.note("missing", run, f"{run.name}/shards/{name}.ids.jsonl")
            continue
        for file_name in (f"shards/{name}.ids.jsonl", f"shards/{name}.bin"):
            if (wrong := run.wrong(file_name)) is not None:
                held.note(wrong, run, f"{run.name}/{file_name}")
    return pl.concat(frames)


def _line(id: str) -> bytes:
    """An id as its line; what orjson gives keeps 4 kB of its buffer, which is much for a million ids."""
    return f'"{id}"'.encode() if id.isalnum() else bytes(bytearray(orjson.dumps(id)))


def _places(run: Run, entry: dict[str, Any], hits: list[tuple[int, bytes, tuple[str, str]]]) -> pl.DataFrame:
    """The rows of one shard; where its index is gone, without the places of tokens."""
    numbers = np.array([number for number, _, _ in hits], np.int64)
    columns: dict[str, Any] = {name: [None] * len(hits) for name in SCHEMA}
    with suppress(OSError, ValueError, IndexError):
        rows = index_of(run, entry["name"])[numbers] if len(hits) else None
        if rows is not None:
            columns |= {"start": rows["start"], "length": rows["length"]}
            sources = entry.get("sources")
            names = dict(enumerate(map(str, sources))) if isinstance(sources, list) else {}
            columns["source"] = [names.get(place) for place in rows["source"].tolist()]
    columns |= {"file": [f"shards/{entry['name']}.bin"] * len(hits), "number": numbers}
    columns |= {"id": [str(orjson.loads(id)) for _, id, _ in hits]}
    columns |= {"via": [via for _, _, (via, _) in hits], "how": [how for _, _, (_, how) in hits]}
    return pl.DataFrame(columns, schema=SCHEMA, strict=False)


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
