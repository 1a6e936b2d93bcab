"""What other thresholds would keep, from stored signals alone: the counts of `corpus tune`.

In: the parts of a run and the rules of now and then. Out: an `Outcome`: documents and characters won and lost, in all,
by rule, language and source, and where some of the documents that flip lie. Only rules that differ are looked at, and
of the parts only the columns that these need; what unchanged rules said stands in the stored reasons. Characters are
visible ones (`s_chars`), so no text is read. Price: 0.3 CPU seconds for a million documents and five rules.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from corpus.rules import Rule, single
from corpus.samples import part_files
from corpus.tune_cache import gathered

GROUP_FILES = 1024  # parts that are looked at together: what is in memory at a time
LANGUAGE = "language.not_kept"
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Change:
    """The rules of a run and other ones. `touched`: reasons about which the two may differ."""

    old: Sequence[Rule]
    new: Sequence[Rule]
    old_languages: frozenset[str]
    new_languages: frozenset[str]

    @cached_property
    def signals(self) -> list[str]:
        """Columns whose rules differ."""
        names = dict.fromkeys(rule.signal for rule in (*self.old, *self.new))
        return [f"s_{name}" for name in names if _bounds(self.old, name) != _bounds(self.new, name)]

    @cached_property
    def touched(self) -> list[str]:
        found = [f"rules.{signal.removeprefix('s_')}" for signal in self.signals]
        return ([LANGUAGE] if self.old_languages != self.new_languages else []) + found


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a document lies."""

    file: Path
    row: int


@dataclass(slots=True)
class Outcome:
    """`totals`: state → documents, characters; `rules`, `languages`, `sources`: name → figures.

    States: `before` and `after` (kept then), `won`, `lost`. `copies`: how many may take the place of a lost document.
    """

    totals: dict[str, list[int]] = field(default_factory=dict)
    rules: dict[str, dict[str, int]] = field(default_factory=dict)
    languages: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    sources: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    won: list[Place] = field(default_factory=list)
    lost: list[Place] = field(default_factory=list)
    copies: int = 0


STATES = ("before", "after", "won", "lost")


def _bounds(rules: Sequence[Rule], signal: str) -> list[tuple[float | None, float | None, str | None]]:
    return [(rule.min, rule.max, rule.language) for rule in rules if rule.signal == signal]


@dataclass(frozen=True, slots=True)
class Judged:
    """The D documents of a group of parts, all arrays (D,). `names`: what the codes of a column stand for."""

    files: list[Path]
    rows: NDArray[np.int64]  # of each part in `files`: (parts,)
    sizes: NDArray[np.int64]
    states: dict[str, NDArray[np.bool_]]
    broken: dict[str, NDArray[np.bool_]]  # reason → is it broken then
    had: dict[str, NDArray[np.bool_]]  # reason → is it among the reasons in the run
    codes: dict[str, NDArray]
    names: dict[str, list[str]]
    copies: NDArray[np.uint32]  # that it stays for
    values: dict[str, NDArray[np.float32]]  # signal → values, NaN where there is none
    tunable: NDArray[np.bool_]  # no reason but touched ones


def outside(
    values: NDArray[np.float32], signal: str, rules: Sequence[Rule], languages: Mapping[str, NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """Whether a rule over this column is broken; the same comparison as `Rules.broken`. `languages`: who has each."""
    broken = np.zeros(len(values), np.bool_)
    for rule in rules:
        if f"s_{rule.signal}" != signal or (rule.language is not None and rule.language not in languages):
            continue
        beyond = np.zeros(len(values), np.bool_)
        if rule.min is not None:
            beyond |= values < np.float32(single(rule.min))
        if rule.max is not None:
            beyond |= values > np.float32(single(rule.max))
        broken |= beyond if rule.language is None else beyond & languages[rule.language]
    return broken


def measure(path: Path, change: Change, samples: int, advance: Callable[..., None] = lambda *_, **__: None) -> Outcome:
    """Look through all parts. InputError: one cannot be read. `advance(parts, total=parts)` as it goes."""
    outcome = Outcome(totals={state: [0, 0] for state in STATES})
    outcome.rules = {reason: dict.fromkeys(("before", "after", "won", "lost", "alone"), 0) for reason in change.touched}
    picked: dict[str, list[tuple[int, Place]]] = {"won": [], "lost": []}
    parts = sum(len(part_files(path, state)) for state in ("documents", "rejected"))
    for state in ("documents", "rejected"):
        for group in judged_groups(path, state, change):
            _count(group, outcome)
            advance(len(group.files), total=parts)
            for flip in ("won", "lost"):
                picked[flip] = sorted([*picked[flip], *_pick(group, flip, samples)])[:samples]
    outcome.won = [place for _, place in picked["won"]]
    outcome.lost = [place for _, place in picked["lost"]]
    return outcome


def judged_groups(path: Path, state: str, change: Change) -> Iterator[Judged]:
    """The parts of documents/ or rejected/, a group at a time. InputError: one cannot be read."""
    files = part_files(path, state)
    for start in range(0, len(files), GROUP_FILES):
        yield _judged(path, files[start : start + GROUP_FILES], state, change)


def _judged(path: Path, files: list[Path], state: str, change: Change) -> Judged:
    columns = ["language", "source", "copies", "s_chars", *change.signals]
    frame = gathered(path, state, files, columns + (["reasons"] if state == "rejected" else []))
    codes, names = {}, {}
    for column in ("language", "source"):
        codes[column], names[column] = _coded(frame[column].fill_null("und"))
    languages = {name: codes["language"] == code for code, name in enumerate(names["language"])}
    characters = np.nan_to_num(frame["s_chars"].to_numpy())
    sizes = characters.astype(np.int64)
    text = characters > 0  # rules are asked of pages with text alone
    values = {signal: frame[signal].to_numpy() for signal in change.signals}
    broken = {}
    if LANGUAGE in change.touched:
        kept = [code for code, name in enumerate(names["language"]) if name in change.new_languages]
        broken[LANGUAGE] = text & ~np.isin(codes["language"], kept)
    for signal in change.signals:  # a missing signal is NaN, which is beyond no bound
        broken[f"rules.{signal.removeprefix('s_')}"] = text & outside(values[signal], signal, change.new, languages)
    had, fixed = _stored(frame, state, change.touched)
    before = np.full(len(frame), state == "documents")
    after = ~fixed
    for mask in broken.values():
        after &= ~mask
    states = {"before": before, "after": after, "won": after & ~before, "lost": before & ~after}
    lengths = np.bincount(frame["part"].to_numpy(), minlength=len(files)).astype(np.int64)
    copies = frame["copies"].to_numpy()
    return Judged(files, lengths, sizes, states, broken, had, codes, names, copies, values, ~fixed)


def _coded(series: pl.Series) -> tuple[NDArray, list[str]]:
    known = series.unique().sort().to_list()
    return series.cast(pl.Enum(known)).to_physical().to_numpy(), known


def _stored(frame: pl.DataFrame, state: str, touched: Sequence[str]) -> tuple[dict[str, NDArray], NDArray[np.bool_]]:
    """By the reasons in the run: which had each touched one, and which have one that thresholds do not change."""
    fixed = np.zeros(len(frame), np.bool_)
    had = {reason: np.zeros(len(frame), np.bool_) for reason in touched}
    if state == "rejected":
        reasons = frame["reasons"]
        rows = np.repeat(np.arange(len(frame)), reasons.list.len().to_numpy())
        codes, known = _coded(reasons.explode())  # a rejected document has one at least
        for reason in touched:
            if reason in known:
                had[reason][rows[codes == known.index(reason)]] = True
        other = np.array([name not in touched for name in known], np.bool_)
        fixed[rows[other[codes]]] = True
    return had, fixed


def _count(group: Judged, outcome: Outcome) -> None:
    masks = group.states
    outcome.copies += int(group.copies[masks["lost"]].sum())
    for state, mask in masks.items():
        _add(outcome.totals[state], mask, group.sizes)
    many = np.sum(list(group.broken.values()), axis=0)
    for reason, mask in group.broken.items():
        figures = outcome.rules[reason]
        lost = masks["lost"] & mask
        figures["before"] += int(group.had[reason].sum())
        figures["after"] += int(mask.sum())
        figures["won"] += int((masks["won"] & group.had[reason]).sum())
        figures["lost"] += int(lost.sum())
        figures["alone"] += int((lost & (many == 1)).sum())
    for column, found in (("language", outcome.languages), ("source", outcome.sources)):
        codes = group.codes[column]
        for state, mask in masks.items():
            documents = np.bincount(codes[mask], minlength=len(group.names[column]))
            characters = np.bincount(codes[mask], group.sizes[mask], minlength=len(group.names[column]))
            for name, *amounts in zip(group.names[column], documents, characters, strict=True):
                figures_ = found.setdefault(name, {key: [0, 0] for key in STATES})[state]
                figures_[0] += int(amounts[0])
                figures_[1] += int(amounts[1])


def _add(figures: list[int], mask: NDArray[np.bool_], sizes: NDArray[np.int64]) -> None:
    figures[0] += int(mask.sum())
    figures[1] += int(sizes[mask].sum())


def _pick(group: Judged, flip: str, samples: int) -> list[tuple[int, Place]]:
    """A fair draw of the documents that flip: those whose places have the smallest hashes."""
    rows = np.flatnonzero(group.states[flip])
    if not len(rows) or not samples:
        return []
    places, hashes = place_hashes(group, rows)
    chosen = np.argsort(hashes, kind="stable")[:samples]
    return [(int(hashes[i]), places[i]) for i in chosen]


class _Places:
    """Where rows of a group lie, made when asked for."""

    def __init__(self, files: Sequence[Path], part: NDArray, inside: NDArray) -> None:
        self.files, self.part, self.inside = files, part, inside

    def __getitem__(self, index: int) -> Place:
        return Place(self.files[self.part[index]], int(self.inside[index]))


def place_hashes(group: Judged, rows: NDArray[np.int64]) -> tuple[_Places, NDArray[np.uint64]]:
    """Where rows of a group lie, and a hash of each place, which is the same in every call."""
    starts = np.cumsum(group.rows) - group.rows
    part = np.searchsorted(starts, rows, side="right") - 1
    inside = rows - starts[part]
    first = _key(group.files[0].stem) if group.files else 0
    return _Places(group.files, part, inside), _hash(part + np.uint64(first), inside)


def _key(name: str) -> int:
    """A number for the first of a group of parts, so that rows of other groups do not repeat its draw."""
    stem = name.replace("-", "")
    return int(stem) if stem.isdigit() else 0


def _hash(part: NDArray, row: NDArray) -> NDArray[np.uint64]:
    value = part.astype(np.uint64) * _MIX ^ (row.astype(np.uint64) + np.uint64(1)) * np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(31)
    value *= np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(29))


def rejected_by(path: Path) -> tuple[Counter[tuple[str, str | None]], Counter[tuple[str, str | None]]]:
    """Reason and language (None: all) → documents that were rejected for it, and for nothing else."""
    found: tuple[Counter[tuple[str, str | None]], Counter[tuple[str, str | None]]] = (Counter(), Counter())
    files = part_files(path, "rejected")
    for start in range(0, len(files), GROUP_FILES):
        frame = gathered(path, "rejected", files[start : start + GROUP_FILES], ["language", "reasons"])
        for counts, rows in zip(found, (frame, frame.filter(pl.col("reasons").list.len() == 1)), strict=True):
            by = rows.explode("reasons").group_by("reasons", "language").len()
            for reason, language, count in by.iter_rows():
                counts[reason, language] += count
                counts[reason, None] += count
    return found


def as_object(outcome: Outcome) -> Mapping[str, Any]:
    """For `--json`: pairs as objects."""

    def pair(figures: Sequence[int]) -> dict[str, int]:
        return {"documents": figures[0], "characters": figures[1]}

    def pairs(table: Mapping[str, Mapping[str, Sequence[int]]]) -> dict[str, Any]:
        moved = {name: row for name, row in table.items() if any(row[state][0] for state in STATES)}
        return {name: {state: pair(figures) for state, figures in row.items()} for name, row in sorted(moved.items())}

    return {
        **{state: pair(figures) for state, figures in outcome.totals.items()},
        "copies_of_lost": outcome.copies,
        "rules": outcome.rules,
        "languages": pairs(outcome.languages),
        "sources": pairs(outcome.sources),
    }
