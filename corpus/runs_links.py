"""Which run was made from which: the inputs of each run, matched by the hashes of their bytes.

In: what `find_runs` found. Out: for each input where it came from: a file of another run, a checkpoint, a file that
lies there by itself, or nothing. Paths only choose among files of the same bytes, so a folder that was moved is found
and one that was changed is not taken for what it was. Price: marks are read, small files without a mark are hashed
where one has an input's size; large ones (256 MB) are known by size and name, unless all bytes are to be compared.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from corpus.runs_found import MANIFEST, WEIGHTS, Checkpoint, Found, Input, Run, name_below
from corpus.runs_models import judged_models, shards_fingerprint, shown_models
from corpus.runs_roles import JUDGES, MODELS, TOKENS, role_of
from runkit.files import sha256_file

HASHED_BYTES: Final = 256_000_000  # of a file outside of all runs
_FROM: Final = "from.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an input lies. One of `run` with `file`, `checkpoint`, `path` is what it is."""

    path: Path
    name: str  # for people
    run: Run | None = None
    file: str = ""  # in the run
    checkpoint: Checkpoint | None = None
    compared: bool = True  # False: only its size and name are those of the input

    @property
    def place(self) -> str:
        """Its whole path; of the manifest of a run that of the run."""
        path = self.path.parent if self.file == MANIFEST else self.path
        return str(path.absolute())


@dataclass(slots=True)
class Link:
    """An input of a run."""

    run: Run
    input: Input
    role: str
    label: str  # its name as the user knew it
    origins: list[Origin] = field(default_factory=list)  # the likeliest first; several hold the same bytes
    changed: str = ""  # a file of its name that holds other bytes

    @property
    def likely(self) -> list[Origin]:
        """Of files of the same bytes those whose path is most like the name that the input had."""
        scores = [_alike(one.place, self.label) for one in self.origins]
        return [one for one, score in zip(self.origins, scores, strict=True) if score == max(scores)]

    @property
    def sources(self) -> list[Run]:
        """Runs that it came from, each once; several where nothing tells them apart."""
        owners = (one.run or (one.checkpoint.run if one.checkpoint else None) for one in self.likely)
        return list(dict.fromkeys(owner for owner in owners if owner is not None))


class Links:
    """All inputs of all runs."""

    def __init__(self, found: Found, every_byte: bool = False) -> None:
        self.found, self.every_byte = found, every_byte
        self.several = len(found.places) > 1
        self._hashes: dict[Path, str | None] = {}
        self._links = {run: [_link(run, entry) for entry in run.inputs] for run in found.runs}
        for run, links in self._links.items():
            links += [Link(run, Input(name, 0, mark), role, name) for name, mark, role in shown_models(run)]
            _forget_names(links)
            for link in links:
                link.origins = self._origins(link)

    def of(self, run: Run) -> list[Link]:
        """The inputs of a run, in the order of its manifest."""
        return self._links[run]

    @cached_property
    def readers(self) -> dict[Run, list[Link]]:
        """The inputs that come from a run."""
        found: dict[Run, list[Link]] = {run: [] for run in self.found.runs}
        for run in self.found.runs:
            for link in self.of(run):
                for source in link.sources:
                    found[source].append(link)
        return found

    def after(self, run: Run) -> set[Run]:
        """The run, and all that was made from it."""
        found = {run}
        left = [run]
        while left:
            new = {link.run for link in self.readers[left.pop()]} - found
            found |= new
            left += new
        return found

    @cached_property
    def order(self) -> list[Run]:
        """All runs, each behind those that it was made from."""
        done: dict[Run, None] = {}
        for first in self.found.runs:
            stack = [(first, False)]
            entered: set[Run] = set()
            while stack:
                run, left = stack.pop()
                if left:
                    done.setdefault(run)
                elif run not in done and run not in entered:
                    entered.add(run)
                    stack.append((run, True))
                    stack += [(source, False) for link in self.of(run) for source in link.sources]
        return list(done)

    def locate(self, link: Link) -> list[Origin]:
        """Where an input lies that comes from no run; looks for files of its size."""
        if not link.origins:
            link.origins = [
                origin for path in self._files.get(link.input.size, ()) if (origin := self._file(link, path))
            ]
            link.origins.sort(key=lambda one: (not one.compared, -_alike(str(one.path), link.label), one.name))
        if not link.origins and not link.changed:
            link.changed = self._changed(link)
        return link.origins

    def _origins(self, link: Link) -> list[Origin]:
        command, role, mark = link.run.command, link.role, link.input.fingerprint
        if role == "shards":
            return self._shards(link)
        if role == "model" and command in {*MODELS, "train eval mcq"}:
            return self._weights(link)
        if role in {"system", "judge"}:
            models = self._judged.get(mark, [])
            return [Origin(one.path, one.name, checkpoint=one) for one in models]
        if link.input.name.startswith("run:"):
            places = [(run, MANIFEST) for run in self.found.runs if self._sha256(run.path / MANIFEST) == mark]
        else:
            places = list(self._marked.get(mark, ()))
        if not places:
            for run, file in self._unmarked.get(link.input.size, ()):
                if run is not link.run and self._sha256(run.path / file) == mark:
                    places.append((run, file))
        places.sort(key=lambda place: (-_alike(f"{place[0].path.absolute()}/{place[1]}", link.label), place[0].name))
        return [
            Origin(run.path / file, run.name if file == MANIFEST else f"{run.name}/{file}", run, file)
            for run, file in places
            if run is not link.run
        ]

    def _shards(self, link: Link) -> list[Origin]:
        alike = [run for run, count in self._tokens.items() if count == link.input.size]
        found = [run for run in alike if shards_fingerprint(run) == link.input.fingerprint]
        return [Origin(run.path, run.name, run, "shards") for run in found]

    def _weights(self, link: Link) -> list[Origin]:
        """The checkpoints that have the weights which `from.json` or the manifest names."""
        wanted = link.input.fingerprint if link.input.name == f"model/{WEIGHTS}" else None
        if link.input.name == "--from":
            stated = link.run.json(_FROM)
            link.label = str(stated.get("name") or "--from")
            files = stated.get("files")
            for entry in files if isinstance(files, list) else ():
                if isinstance(entry, dict) and entry.get("name") == f"model/{WEIGHTS}":
                    wanted = str(entry.get("fingerprint"))
        found = [one for one in self.found.checkpoints if wanted is not None and one.weights == wanted]
        found.sort(key=lambda one: (one.run is None, -_alike(str(one.path), link.label)))
        return [Origin(one.path, one.name, checkpoint=one) for one in found]

    @cached_property
    def _judged(self) -> dict[str, list[Checkpoint]]:
        wanted = {
            link.input.fingerprint for links in self._links.values() for link in links if link.run.command in JUDGES
        }
        return judged_models(self.found, wanted)

    @cached_property
    def _marked(self) -> dict[str, list[tuple[Run, str]]]:
        found: dict[str, list[tuple[Run, str]]] = defaultdict(list)
        for run in self.found.runs:
            for name, output in run.outputs.items():
                found[output.sha256].append((run, name))
        return dict(found)

    @cached_property
    def _unmarked(self) -> dict[int, list[tuple[Run, str]]]:
        """Files that lie in runs without a mark, by size."""
        found: dict[int, list[tuple[Run, str]]] = defaultdict(list)
        for run in self.found.runs:
            with suppress(OSError), os.scandir(run.path) as entries:
                for entry in sorted(entries, key=lambda one: one.name):
                    if entry.is_file() and entry.name not in run.outputs and not entry.name.startswith("."):
                        found[entry.stat().st_size].append((run, entry.name))
        return dict(found)

    @cached_property
    def _tokens(self) -> dict[Run, int]:
        """Folders of token shards, and how many documents they hold."""
        found = {}
        for run in self.found.runs:
            if run.command == TOKENS and run.summary is not None:
                with suppress(TypeError, KeyError, ValueError):
                    found[run] = sum(int(entry["documents"]) for entry in run.summary["shards"])
        return found

    @cached_property
    def _files(self) -> dict[int, list[Path]]:
        """Files outside of all runs whose size is that of an input which comes from no run."""
        wanted = {link.input.size for links in self._links.values() for link in links if not link.origins}
        inside = {run.path for run in self.found.runs}
        found: dict[int, list[Path]] = defaultdict(list)
        for place in self.found.places:
            for folder, folders, names in os.walk(place):
                if Path(folder) in inside:
                    folders[:] = sorted(name for name in folders if Path(folder, name) in inside)
                    continue
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(names):
                    with suppress(OSError):
                        about = Path(folder, name).stat()
                        if about.st_size in wanted and stat.S_ISREG(about.st_mode):
                            found[about.st_size].append(Path(folder, name))
        return dict(found)

    def _file(self, link: Link, path: Path) -> Origin | None:
        place = next(place for place in self.found.places if path.is_relative_to(place))
        name = name_below(place, path, self.several)
        if link.input.size > HASHED_BYTES and not self.every_byte:
            same = path.name == link.label.rpartition("/")[2]
            return Origin(path, name, compared=False) if same else None
        return Origin(path, name) if self._sha256(path) == link.input.fingerprint else None

    def _changed(self, link: Link) -> str:
        """A file of a run that has the name which the input had; its bytes are others."""
        for run in self.found.runs:
            folder, _, inside = link.label.partition("/")
            if inside and folder == run.path.resolve().name and (run.path / inside).is_file() and run is not link.run:
                return f"{run.name}/{inside}"
        return ""

    def _sha256(self, path: Path) -> str | None:
        if path not in self._hashes:
            self._hashes[path] = None
            with suppress(OSError):
                self._hashes[path] = sha256_file(path)
        return self._hashes[path]


def _link(run: Run, entry: Input) -> Link:
    role, label = role_of(run.command, entry.name)
    return Link(run, entry, role, label)


def _forget_names(links: list[Link]) -> None:
    """Of a model that is several files only the weights are looked for."""
    models = [link for link in links if link.input.name.startswith("model/")]
    if any(link.label == WEIGHTS for link in models):
        links[:] = [link for link in links if link not in models or link.label == WEIGHTS]


def _alike(path: str, name: str) -> int:
    """How many names at the end of both are the same."""
    count = 0
    for one, other in zip(reversed(path.split("/")), reversed(name.split("/")), strict=False):
        if one != other:
            break
        count += 1
    return count


def missing(links: Iterable[Link], roles: Iterable[str]) -> list[Link]:
    """Inputs of these roles that nobody knows the origin of."""
    wanted = set(roles)
    return [link for link in links if link.role in wanted and not link.origins]


def as_object(link: Link) -> dict[str, Any]:
    """An input for --json."""
    return {
        "name": link.input.name,
        "role": link.role,
        "fingerprint": link.input.fingerprint,
        "from": [{"path": origin.name, "run": origin.run.name if origin.run else None} for origin in link.origins],
        "changed": link.changed or None,
    }
