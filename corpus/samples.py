"""Documents of a run as samples to look at: what the report and `corpus show` have in common.

In: a run's folder and the rules of its config. Out: `Sample`s, each reason with the value that broke it and
its bound. `draw` reads ids and reasons of at least 8 parts and of at most 400, and text only from the parts
that it chose from. Price: a reason that none of 400 parts shows gets no sample; to look through 400 parts of
2,240 rejected documents takes 1.8 CPU seconds, and 0.1 where the first 8 show every reason.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from corpus.signals import ALL_SIGNALS
from runkit.report import number

COLUMNS = ("id", "origin", "text", "url", "source", "language", "date", "meta", *ALL_SIGNALS)
SHORT_CHARACTERS = 400  # of a text that is not shown in full
KEPT = ""  # stands for "no reason" among the samples that are drawn
SAMPLES = 10  # drawn for each reason
FEWEST_PARTS, MOST_PARTS = 8, 400  # looked through for them


@dataclass(frozen=True, slots=True)
class Broken:
    """One reason and its evidence: `detail` like `0.21 > 0.15`, or a document and how similar it is."""

    reason: str
    detail: str = ""
    copy_of: str = ""
    similarity: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A document to look at; kept ones have no reasons."""

    id: str
    origin: str
    title: str
    url: str
    source: str
    language: str
    date: str
    text: str
    characters: int
    broken: tuple[Broken, ...]


def to_sample(row: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> Sample:
    """A row of documents/ or rejected/; `rules` as the run's config holds them."""
    meta = _meta(row["meta"])
    title = meta.get("title")
    return Sample(
        id=row["id"],
        origin=row["origin"],
        title=title if isinstance(title, str) else "",
        url=row["url"] or "",
        source=row["source"] or "",
        language=row["language"] or "",
        date=row["date"] or "",
        text=row["text"] or "",
        characters=row["size"] if "size" in row else len(row["text"] or ""),
        broken=tuple(_broken(reason, row, meta, rules) for reason in row.get("reasons") or ()),
    )


def _meta(text: str | None) -> dict[str, Any]:
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _broken(reason: str, row: Mapping[str, Any], meta: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> Broken:
    family, _, name = reason.partition(".")
    if family == "rules" and row.get(f"s_{name}") is not None:
        value = float(row[f"s_{name}"])
        bounds = [rule for rule in rules if rule["signal"] == name and rule["language"] in (None, row["language"])]
        return Broken(reason, _beside(value, bounds))
    if family == "dedup" and isinstance(meta.get("duplicate_of"), str):
        similarity = meta.get("similarity")
        return Broken(reason, "", meta["duplicate_of"], similarity if isinstance(similarity, float | int) else 0.0)
    if reason == "language.not_kept":
        score = row.get("s_language_score")
        return Broken(reason, f"{row['language']} {score:.2f}" if score is not None else row["language"] or "")
    if name == "error" and isinstance(meta.get("error"), str):
        return Broken(reason, meta["error"])
    return Broken(reason)


def _beside(value: float, rules: Sequence[Mapping[str, Any]]) -> str:
    """The value and the bound that it broke: the one it is farthest beyond.

    Signals are stored in 32 bits and were judged in 64, so a value may stand on its bound.
    """
    excess = [(rule["min"] - value, "<", rule["min"]) for rule in rules if rule["min"] is not None]
    excess += [(value - rule["max"], ">", rule["max"]) for rule in rules if rule["max"] is not None]
    if not excess:
        return number(value)
    _, sign, bound = max(excess)
    shown = number(value)
    if shown == number(bound) and value != bound:
        shown = f"{value:.7g}"
    return f"{shown} {sign} {number(bound)}"


def draw(
    path: Path, rules: Sequence[Mapping[str, Any]], state: str, wanted: Mapping[str, int]
) -> dict[str, list[Sample]]:
    """Up to ten documents for each reason (or `KEPT`), of which there are `wanted` in all.

    A fair draw: parts come in an order drawn from their names, documents in that of their ids, hashes both.
    Those with one reason come first, for it is them that this reason decides about.
    """
    files = sorted(part_files(path, state), key=lambda file: hashlib.blake2b(file.name.encode()).digest())
    picked: dict[str, list[tuple[bool, str, int, int]]] = {reason: [] for reason in wanted}
    for place, file in enumerate(files[:MOST_PARTS]):
        if place >= FEWEST_PARTS and all(len(picked[key]) >= min(SAMPLES, wanted[key]) for key in wanted):
            break
        for reason, *candidate in _candidates(file, state).iter_rows():
            if reason in picked:
                many, id_, row = candidate
                picked[reason] = sorted([*picked[reason], (many, id_, place, row)])[:SAMPLES]
    rows: dict[int, set[int]] = {}
    for _, _, place, row in (choice for choices in picked.values() for choice in choices):
        rows.setdefault(place, set()).add(row)
    found = {
        (place, row): sample
        for place, chosen in rows.items()
        for row, sample in read_rows(files[place], state, chosen, rules)
    }
    return {key: [found[place, row] for _, _, place, row in choices] for key, choices in picked.items()}


def _candidates(file: Path, state: str) -> pl.DataFrame:
    """Of one part: reason, whether there are others, id, row; the first ten for each reason."""
    if state == "documents":
        frame = pl.read_parquet(file, columns=["id"]).with_row_index("row")
        frame = frame.with_columns(pl.lit(KEPT).alias("reasons"), pl.lit(False).alias("many"))
    else:
        frame = pl.read_parquet(file, columns=["id", "reasons"]).with_row_index("row")
        frame = frame.with_columns((pl.col("reasons").list.len() > 1).alias("many")).explode("reasons")
    frame = frame.select("reasons", "many", "id", "row").sort("reasons", "many", "id")
    return frame.group_by("reasons", maintain_order=True).head(SAMPLES)


def read_rows(
    file: Path, state: str, rows: set[int], rules: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[int, Sample]]:
    """The beginnings of some documents of one part, by row."""
    columns = [*COLUMNS, "reasons"] if state == "rejected" else list(COLUMNS)
    # Twice what is shown, so that masking sees a number whole that the cut would halve.
    begin = pl.col("text").str.slice(0, 2 * SHORT_CHARACTERS)
    frame = pl.scan_parquet(file).select(columns).with_row_index("row").filter(pl.col("row").is_in(sorted(rows)))
    size = pl.col("text").str.len_chars().alias("size")
    for row in frame.with_columns(size, begin).collect().iter_rows(named=True):
        yield row["row"], to_sample(row, rules)


def part_files(path: Path, state: str) -> list[Path]:
    """The parts of documents/ or rejected/ as the input lies."""
    return sorted((path / state).glob("*.parquet"), key=str)  # paths themselves compare twenty times as slowly
