"""Documents of a run as samples to look at: what the report draws from, and `corpus show`.

In: a finished run directory and filters. Out: `Sample`s, each reason with the value that broke it beside its bound; on the
terminal, text without anything that a terminal obeys. Parts are read one by one, in the order of the input, until enough
documents are found: the first ten of a run of any size take 0.1 s, a search that finds nothing reads everything, 1 s for
each 100 MB of text. Nothing is locked and nothing written.
"""

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from corpus.signals import ALL_SIGNALS
from runkit.console import emit_json, printable, say
from runkit.errors import InputError, UsageError
from runkit.report import number

COLUMNS = ("id", "origin", "text", "url", "source", "language", "date", "meta", *ALL_SIGNALS)
SHORT_CHARACTERS, SHORT_LINES = 400, 6  # of a text that is not shown in full
KEPT = ""  # stands for "no reason" among the samples that are drawn
SAMPLES = 10  # drawn for each reason
FEWEST_PARTS, MOST_PARTS = 8, 400  # looked through for them


@dataclass(frozen=True, slots=True)
class Broken:
    """One reason with what there is to know: `detail` like `0.21 > 0.15`, or a document and how similar it is."""

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


def _broken(
    reason: str, row: Mapping[str, Any], meta: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]
) -> Broken:
    family, _, name = reason.partition(".")
    if family == "rules" and row.get(f"s_{name}") is not None:
        value = float(row[f"s_{name}"])
        bounds = [
            rule for rule in rules if rule["signal"] == name and rule["language"] in (None, row["language"])
        ]
        return Broken(reason, _beside(value, bounds))
    if family == "dedup" and isinstance(meta.get("duplicate_of"), str):
        similarity = meta.get("similarity")
        return Broken(
            reason, "", meta["duplicate_of"], similarity if isinstance(similarity, float | int) else 0.0
        )
    if reason == "language.not_kept":
        score = row.get("s_language_score")
        return Broken(
            reason, f"{row['language']} {score:.2f}" if score is not None else row["language"] or ""
        )
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

    Parts come in an order drawn from their names and documents in that of their ids, which are hashes: a fair draw.
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
        for row, sample in _read(files[place], state, chosen, rules)
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


def _read(
    file: Path, state: str, rows: set[int], rules: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[int, Sample]]:
    columns = [*COLUMNS, "reasons"] if state == "rejected" else list(COLUMNS)
    # Twice what is shown, so that masking sees a number whole that the cut would halve.
    begin = pl.col("text").str.slice(0, 2 * SHORT_CHARACTERS)
    frame = (
        pl.scan_parquet(file).select(columns).with_row_index("row").filter(pl.col("row").is_in(sorted(rows)))
    )
    size = pl.col("text").str.len_chars().alias("size")
    for row in frame.with_columns(size, begin).collect().iter_rows(named=True):
        yield row["row"], to_sample(row, rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which documents to show."""

    rejected: bool = False
    reason: str | None = None
    language: str | None = None
    source: str | None = None
    grep: str | None = None
    offset: int = 0
    limit: int = 10


@dataclass(frozen=True, slots=True)
class Run:
    """What `corpus show` needs to know about a finished run."""

    path: Path
    rules: list[dict[str, Any]]
    summary: dict[str, Any]


def open_run(path: Path) -> Run:
    """InputError: no run directory of `corpus clean`, or one that has not come to its end."""
    try:
        manifest = orjson.loads((path / "manifest.json").read_bytes())
        rules = manifest["config"]["rules"]
        if manifest["command"] != "corpus clean":
            raise KeyError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no run directory of `corpus clean`; give the folder named by --out."
        ) from error
    try:
        summary = orjson.loads((path / "summary.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"The run in {path} is not finished; run its `corpus clean` command again."
        ) from error
    return Run(path, rules, summary)


def part_files(path: Path, state: str) -> list[Path]:
    """The parts of documents/ or rejected/ as the input lies."""
    return sorted((path / state).glob("*.parquet"))


def find(run: Run, wanted: Wanted) -> Iterator[Sample]:
    """The documents that fit, from `offset` on, one more than `limit` at most: the last says that there are more."""
    state = "rejected" if wanted.rejected or wanted.reason else "documents"
    skip, left = wanted.offset, wanted.limit + 1
    for file in part_files(run.path, state):
        columns = [*COLUMNS, "reasons"] if state == "rejected" else list(COLUMNS)
        try:
            fitting = pl.scan_parquet(file).filter(_condition(wanted))
            count = fitting.select(pl.len()).collect().item() if skip else 0
            if skip and count <= skip:
                skip -= count
                continue
            found = fitting.select(columns).slice(skip, left).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(
                f"Cannot read {file}; run the `corpus clean` command again to rebuild it."
            ) from error
        yield from (to_sample(row, run.rules) for row in found.iter_rows(named=True))
        skip, left = 0, left - len(found)
        if not left:
            return


def _condition(wanted: Wanted) -> pl.Expr:
    condition = pl.lit(True)
    if wanted.reason:
        each = pl.element() == wanted.reason
        each |= pl.element().str.starts_with(wanted.reason + ".")
        condition &= pl.col("reasons").list.eval(each).list.any()
    if wanted.language:
        condition &= pl.col("language") == wanted.language
    if wanted.source:
        condition &= pl.col("source") == wanted.source
    if wanted.grep:
        pattern = "(?i)" + pl.escape_regex(wanted.grep)
        title = pl.col("meta").str.json_path_match("$.title")
        fields = (pl.col("text"), pl.col("url"), title)
        condition &= pl.any_horizontal([field.str.contains(pattern).fill_null(False) for field in fields])
    return condition


def check(run: Run, wanted: Wanted) -> None:
    """UsageError where a filter names what the run does not hold."""
    reasons = list(run.summary["reasons"])
    families = {reason.partition(".")[0] for reason in reasons}
    if wanted.reason and wanted.reason not in {*reasons, *families}:
        raise UsageError(f"No document was rejected for {wanted.reason}; this run knows {_named(reasons)}.")
    for name, key, value in (
        ("language", "languages", wanted.language),
        ("source", "sources", wanted.source),
    ):
        known = {**run.summary[key]["kept"], **run.summary[key]["rejected"]}
        if value and value not in known:
            raise UsageError(f"No document has the {name} {value}; this run knows {_named(sorted(known))}.")


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def show(path: Path, wanted: Wanted, *, full: bool, as_json: bool) -> None:
    """Print the documents to stdout."""
    run = open_run(path)
    check(run, wanted)
    if as_json:
        samples = list(find(run, wanted))
        emit_json(
            {
                "run": str(path),
                "state": "rejected" if wanted.rejected or wanted.reason else "kept",
                "offset": wanted.offset,
                "more": len(samples) > wanted.limit,
                "documents": [_to_object(sample, full) for sample in samples[: wanted.limit]],
            }
        )
        return
    shown = 0
    for sample in find(run, wanted):
        if shown == wanted.limit:
            say(f"There are more: --offset {wanted.offset + shown}")
            break
        shown += 1
        _write(_rendered(sample, wanted.offset + shown, wanted.grep, full))
    if not shown:
        say(f"No document fits{f' after the first {wanted.offset}' if wanted.offset else ''}.")


def _to_object(sample: Sample, full: bool) -> dict[str, Any]:
    reasons = [
        {"reason": b.reason, "detail": b.detail}
        | ({"duplicate_of": b.copy_of, "similarity": b.similarity} if b.copy_of else {})
        for b in sample.broken
    ]
    names = ("id", "origin", "title", "url", "source", "language", "date")
    return {
        **{name: getattr(sample, name) for name in names},
        "characters": sample.characters,
        "text": sample.text if full else sample.text[:SHORT_CHARACTERS],
        "reasons": reasons,
    }


def _rendered(sample: Sample, place: int, grep: str | None, full: bool) -> str:
    from rich.text import Text

    parts = [(f"{place}. ", "bold"), (_line(sample.title) or "(no title)", "bold"), ("\n", "")]
    parts.append(
        (f"   {_line(' · '.join(filter(None, (sample.language, sample.source, sample.origin))))}\n", "dim")
    )
    if sample.url:
        parts.append((f"   {_line(sample.url)}\n", "cyan"))
    for broken in sample.broken:
        detail = (
            f"copy of {broken.copy_of}, {broken.similarity:.0%} alike" if broken.copy_of else broken.detail
        )
        parts.append((f"   {_line(broken.reason)}", "red"))
        parts.append((f"  {_line(detail)}\n" if detail else "\n", ""))
    body, cut = (sample.text, False) if full else excerpt(sample.text, grep)
    text = Text.assemble(*parts)
    shown = Text("".join(f"   {line}\n" for line in printable(body).split("\n")))
    if grep:
        shown.highlight_regex(re.compile(re.escape(printable(grep)), re.IGNORECASE), "reverse")
    text.append_text(shown)
    if cut:
        text.append(f"   [{len(sample.text):,} characters: --full]\n", "dim")
    text.append("\n")
    return _ansi(text)


def _line(text: str) -> str:
    """Safe, and on one line: a title must not forge the line below it."""
    return " ".join(printable(text).split())


def excerpt(text: str, grep: str | None = None) -> tuple[str, bool]:
    """A few lines of `text`, around the first hit where one lies beyond them; and whether anything is left out."""
    start = 0
    hit = re.search(re.escape(grep), text, re.IGNORECASE) if grep else None
    if hit and (hit.end() > SHORT_CHARACTERS or text.count("\n", 0, hit.start()) >= SHORT_LINES):
        before = text[max(0, hit.start() - SHORT_CHARACTERS // 2) : hit.start()]
        start = hit.start() - len("\n".join(before.split("\n")[-SHORT_LINES // 2 :]))
    shown = "\n".join(text[start : start + SHORT_CHARACTERS].split("\n")[:SHORT_LINES])
    cut = start > 0 or len(shown) < len(text)
    return ("… " if start else "") + shown + (" …" if cut else ""), cut


def _ansi(text: Any) -> str:
    """Coloured on a terminal, plain in a pipe; lines are left as long as they are."""
    from rich.console import Console

    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False, soft_wrap=True)
    with console.capture() as capture:
        console.print(text, end="")
    return capture.get()


def _write(text: str) -> None:
    """To stdout in whatever encoding it has. Not by rich, which answers a closed pipe with exit code 1."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
