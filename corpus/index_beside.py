"""What lies beside the runs: pages that other commands wrote, and measurements that were kept as one JSON object.

In: a folder and its runs. Out: a few files with the figures that people know them by. Price: files in the folder and
one level below are looked at, JSON up to 10 MB is read.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corpus.runs_figures import Value
from corpus.runs_found import Found, name_below, read_object
from runkit.source import shown

MOST: Final = 50
_MOST_BYTES: Final = 10_000_000
_FIGURES: Final = ("documents", "ppl", "bits_per_character", "bits_per_byte", "accuracy", "questions", "items", "kept")


@dataclass(frozen=True, slots=True)
class Beside:
    """A page or a measurement."""

    name: str
    path: str  # from the page of the index
    about: str  # the last name of the run that it is about; empty: it does not say
    figures: list[tuple[str, Value]]


def beside_runs(found: Found, out: Path) -> list[Beside]:
    """Pages, and objects of --json, in the order of their names."""
    return [one for file in _files(found) if (one := _read(found, file, out)) is not None][:MOST]


def _files(found: Found) -> Iterator[Path]:
    inside = {run.path for run in found.runs}
    for place in found.places:
        for folder, folders, names in os.walk(place):
            here = Path(folder)
            if here in inside or len(here.relative_to(place).parts) > 1:
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (here / name for name in sorted(names) if name.endswith((".html", ".json")) and name[0] != ".")


def _read(found: Found, file: Path, out: Path) -> Beside | None:
    path = os.path.relpath(file.resolve(), out.parent.resolve())
    if not file.is_file() or not path.isprintable() or file.resolve() == out.resolve():
        return None
    name = name_below(found.places[0], file, False)
    if file.suffix == ".html":
        return Beside(name, path, "", [])
    body = read_object(file) if file.stat().st_size <= _MOST_BYTES else None
    figures: list[tuple[str, Value]] = []
    for key in _FIGURES:
        value = (body or {}).get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            figures.append((key, value))
    about = (body or {}).get("run")
    return Beside(name, path, shown(Path(str(about)).name) if about else "", figures) if figures else None
