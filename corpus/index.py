"""`corpus index`: one page for all runs below a folder, from the raw dump to the last verdict.

In: a folder. Out: a page that opens from the disk, with the flow of runs, what each took and brought, and links to
their reports; or one object. Runs of all commands are taken, unknown ones and those that are not finished too. Price:
1 ms a run, and the marks of each are read.
"""

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corpus.index_beside import Beside, beside_runs
from corpus.index_flow import arrows_of
from corpus.index_page import index_page
from corpus.runs_figures import Value, cost_of, figures_of, spent_of
from corpus.runs_found import WEIGHTS, Run, find_runs
from corpus.runs_links import Link, Links, as_object
from runkit.console import emit_json, say
from runkit.errors import InputError
from runkit.files import write_text
from runkit.source import shown

INDEX: Final = "index.html"
# Files in which a run tells of itself.
_ABOUT: Final = frozenset(
    {"manifest.json", "resolved.yaml", "usage.json", "report.html", "README.md", "probe.json", "from.json", INDEX}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexCall:
    """The command line, parsed."""

    place: Path
    out: Path | None = None
    lang: str = "both"
    as_json: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One run."""

    run: Run
    links: list[Link]
    figures: list[tuple[str, Value]]
    spent: dict[str, float]
    cost_usd: float | None
    report: str | None  # paths from the page's folder
    settings: str | None
    outputs: list[tuple[str, int, str | None]]  # name, bytes, sha256 where it was noted

    @property
    def sources(self) -> list[str]:
        """Names of the runs that it was made from."""
        return list(dict.fromkeys(source.name for link in self.links for source in link.sources))

    @property
    def states(self) -> list[str]:
        """What is not as it should be: unfinished, damaged."""
        return [*(["unfinished"] if not self.run.finished else []), *(["damaged"] if self.run.damage else [])]

    @property
    def has_calls(self) -> bool:
        return (self.run.path / "calls.json").is_file()

    def as_object(self) -> dict[str, Any]:
        """For --json."""
        return {
            "run": self.run.name,
            "path": shown(str(self.run.path)),
            "command": self.run.command,
            "finished": self.run.finished,
            "damaged": bool(self.run.damage),
            "made_from": self.sources,
            "inputs": [as_object(link) for link in self.links],
            "outputs": len(self.outputs),
            "figures": dict(self.figures),
            **self.spent,
            "cost_usd": self.cost_usd,
            "report": self.report,
        }


@dataclass(frozen=True, slots=True)
class Index:
    """All runs, each behind those that it was made from."""

    place: str
    entries: list[Entry]
    unread: list[str]
    beside: list[Beside]

    @property
    def totals(self) -> dict[str, Any]:
        """Sums over all runs."""
        spent: Counter[str] = Counter()
        for entry in self.entries:
            spent.update({key: entry.spent.get(key, 0.0) for key in ("seconds", "cpu_seconds")})
        costs = [entry.cost_usd for entry in self.entries if entry.cost_usd is not None]
        return {
            "seconds": round(spent["seconds"], 3),
            "cpu_seconds": round(spent["cpu_seconds"], 3),
            "cost_usd": sum(costs) if costs else None,
        }

    @property
    def largest(self) -> Entry | None:
        """The run with the largest process."""
        measured = [entry for entry in self.entries if "peak_memory_bytes" in entry.spent]
        return max(measured, key=lambda entry: entry.spent["peak_memory_bytes"], default=None)

    @property
    def arrows(self) -> list[tuple[int, int]]:
        order = {entry.run.name: place for place, entry in enumerate(self.entries)}
        return arrows_of(order, [(source, entry.run.name) for entry in self.entries for source in entry.sources])

    def as_object(self) -> dict[str, Any]:
        """For --json."""
        return {
            "below": self.place,
            "runs": [entry.as_object() for entry in self.entries],
            "unread": self.unread,
            "beside": [{"file": one.path, "run": one.about or None, **dict(one.figures)} for one in self.beside],
            **self.totals,
        }


def index(call: IndexCall) -> None:
    """Write the page. InputError: there is no such folder, or no run below it."""
    found = find_runs([call.place])
    if not found.runs:
        raise InputError(f"There is no run below {shown(str(call.place))}; name a folder with runs.")
    out = call.out if call.out is not None else call.place / INDEX
    links = Links(found)
    entries = [_entry(run, links, out) for run in links.order]
    place = shown(call.place.resolve().name or str(call.place))
    made = Index(place, entries, found.unread, beside_runs(found, out))
    write_text(out, index_page(made, call.lang))
    if call.as_json:
        emit_json({**made.as_object(), "page": shown(str(out))})
    finished = sum(entry.run.finished for entry in entries)
    if call.quiet:
        return
    say(f"{len(entries):,} runs, {finished:,} of them finished: {shown(str(out))}")


def _entry(run: Run, links: Links, out: Path) -> Entry:
    def beside(name: str) -> str | None:
        file = run.path / name
        if not file.is_file():
            return None
        path = os.path.relpath(file.resolve(), out.parent.resolve())
        return path if path.isprintable() else None

    inputs = links.of(run)
    for link in inputs:
        if link.role != "dump":
            links.locate(link)
    links_out = (beside("report.html"), beside("resolved.yaml"))
    return Entry(run, inputs, figures_of(run), spent_of(run), cost_of(run), *links_out, _outputs(run, links))


def _outputs(run: Run, links: Links) -> list[tuple[str, int, str | None]]:
    """Files that marks name, then what lies in the run without a mark, then checkpoints."""
    found: list[tuple[str, int, str | None]] = [(name, one.size, one.sha256) for name, one in run.outputs.items()]
    with suppress(OSError):
        for file in sorted(run.path.iterdir()):
            if file.is_file() and not file.name.startswith(".") and file.name not in {*_ABOUT, *run.outputs}:
                found.append((shown(file.name), file.stat().st_size, None))
    for one in links.found.checkpoints:
        with suppress(OSError):
            if one.run is run and one.weights is not None:
                name = f"checkpoints/{one.path.name}/{WEIGHTS}"
                found.append((shown(name), (one.path / WEIGHTS).stat().st_size, one.weights))
    return found
