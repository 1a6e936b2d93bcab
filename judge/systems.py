"""What the names on the command line mean: systems that answer, and judges.

In: `[NAME=]` and a path, `name@url`, or a name in models.yaml or at OPENAI_BASE_URL, tried in this order. Out:
`System`s with names of their own. A path is a file or a run with answers, or a checkpoint that a child process will
serve. Price: the hash of a checkpoint's files is taken, about a second for a gigabyte.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from judge.records import ANSWERS
from judge.served import model_of
from runkit.console import printable
from runkit.errors import InputError, UsageError
from runkit.fields import Fault
from runkit.files import sha256_file
from runkit.inputs import stem
from runkit.instructions import find_items
from runkit.models import Model, resolve

OVERLAP: Final = "overlap"
_LABELLED: Final = re.compile(r"([^\s=@/\\]{1,100})=(.+)", re.DOTALL)
_MOST_NAME: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Who answers or judges. Of `answers` and `model` one is set; neither: the judge within this program."""

    name: str
    answers: Path | None = None
    model: Model | None = None
    checkpoint: Path | None = None  # served by a child; `model` then names it
    repetition: int = 0  # the same model under a second name is asked again

    def record(self) -> dict[str, Any]:
        """What the run is bound to."""
        if self.answers is not None:
            return {"name": self.name, "answers": self.answers.name}
        if self.model is None:
            return {"name": self.name}
        model = self.model
        about: dict[str, Any] = {"name": self.name, "model": model.model, "repetition": self.repetition}
        if self.checkpoint is not None:
            return {**about, "checkpoint": self.checkpoint.name}
        return {**about, "url": model.url, "extra": model.extra_body, "temperature": model.temperature}

    def inputs(self) -> list[dict[str, Any]]:
        """As `RunDir.open` takes them."""
        if self.answers is None:
            return []
        size = self.answers.stat().st_size
        return [{"name": f"answers of {self.name}", "size": size, "fingerprint": sha256_file(self.answers)}]


def find_systems(texts: Sequence[str], models_file: Path | None, prices_file: Path | None) -> list[System]:
    """The systems in the order in which they are named. UsageError: one is unknown, or two have one name."""
    found: list[System] = []
    for text in texts:
        system = find_system(text, models_file, prices_file)
        if system.name in [other.name for other in found]:
            raise UsageError(
                f"Two systems are called {system.name}; give one of them another name, as other={_unlabelled(text)}."
            )
        found.append(replace(system, repetition=sum(_same(system, other) for other in found)))
    return found


def find_judges(texts: Sequence[str], models_file: Path | None, prices_file: Path | None) -> list[System]:
    """As `find_systems`; `overlap` is the judge without a network."""
    found: list[System] = []
    for text in texts:
        if text == OVERLAP:
            judge = System(name=OVERLAP)
        else:
            judge = find_system(text, models_file, prices_file)
            if judge.answers is not None:
                raise UsageError(f"The judge {text} is a file of answers; name a model, or {OVERLAP}.")
        if judge.name in [other.name for other in found]:
            raise UsageError(f"Two judges are called {judge.name}; name each judge once.")
        found.append(judge)
    return found


def find_system(text: str, models_file: Path | None = None, prices_file: Path | None = None) -> System:
    """UsageError: nothing fits. InputError: a path is neither a file of answers nor a checkpoint."""
    if not text.strip():
        raise UsageError("A system is named by nothing; give a path, name@https://host/v1, or a name in models.yaml.")
    label, rest = _split(text)
    if not _there(rest):
        model = resolve(rest, models_file, prices_file)
        return System(name=_name(label or model.name), model=model)
    path = Path(rest)
    if path.is_dir() and (path / ANSWERS).is_file():
        path = path / ANSWERS
    if path.is_dir() and not ((path / "config.json").is_file() or (path / "checkpoints").is_dir()):
        raise InputError(
            f"{path} is a folder without answers and without a model, and paths come first; name a run or a "
            "checkpoint folder, or give the model another name."
        )
    if path.is_dir() or path.suffix.lower() == ".gguf":
        name = _name(label or path.resolve().name)
        return System(name=name, model=model_of(path, name), checkpoint=path)
    if not path.is_file():
        raise InputError(f"{path} is neither a file of answers nor a checkpoint folder; name one.")
    return System(name=_name(label or _speaker(path)), answers=path)


def _speaker(path: Path) -> str:
    """Whom the answers of a file are by: its column `system`, or its name. InputError: by several."""
    names: dict[str, None] = {}
    for found in find_items([str(path)]).fields():
        if not isinstance(found, Fault) and isinstance(name := found.values.get("system"), str) and name.strip():
            names[name] = None
    if len(names) > 1:
        shown = ", ".join(list(names)[:5])
        raise InputError(f"{path} holds answers of {len(names)} systems ({shown}); choose one as NAME={path}.")
    return next(iter(names), stem(str(path)))


def _split(text: str) -> tuple[str | None, str]:
    labelled = _LABELLED.fullmatch(text)
    return (None, text) if labelled is None or _there(text) else (labelled[1], labelled[2])


def _unlabelled(text: str) -> str:
    return _split(text)[1]


def _there(text: str) -> bool:
    with suppress(OSError, ValueError):  # a name that no file can have
        return Path(text).exists()
    return False


def _name(text: str) -> str:
    name = " ".join(printable(text).split())
    if not name or len(name) > _MOST_NAME:
        raise UsageError(f"A name of a system has 1 to {_MOST_NAME} letters; write NAME= in front of {text[:80]}.")
    return name


def _same(one: System, other: System) -> bool:
    return one.model is not None and other.model is not None and _called(one.model) == _called(other.model)


def _called(model: Model) -> tuple[str, str, str]:
    return model.url, model.model, repr(sorted(model.extra_body.items()))
