"""`corpus mix`: what a mixture of sources will draw from each, before anything is trained.

In: a plan with a weight for each source, its size or where it lies, and a budget. Out: shares, what is drawn and
epochs, as a table, one JSON object, or a page. Sizes come from the `summary.json` of a run of `corpus clean`
(characters) or of `train tokens` (tokens); other sets of documents are read once to be counted. The arithmetic is
`runkit.mixture`. Price: nothing to speak of, but for sets that must be read: 1 s for 100 MB.
"""

import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

import orjson
from pydantic import BeforeValidator, Field, model_validator

from corpus.mix_page import mix_page
from runkit.config import Config
from runkit.console import emit_json, err, printable, say
from runkit.documents import plan_documents, read_documents
from runkit.errors import InputError, UsageError
from runkit.fields import Fault
from runkit.files import write_text
from runkit.mixture import Mixture, mix

if TYPE_CHECKING:
    from rich.table import Table

Unit = Literal["tokens", "characters"]
_AMOUNT = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?(?:[eE]\+?[0-9]{1,2})?)\s*([kKMBGT]?)\s*")
_TIMES: Final = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}


def _amount(value: Any) -> Any:
    """`410B`, `31.5 M`, `4.1e11` and whole numbers alike."""
    if isinstance(value, str) and (found := _AMOUNT.fullmatch(value)):
        value = float(found[1].replace(",", "").replace("_", "")) * _TIMES[found[2]]
    return int(value) if isinstance(value, float) and value.is_integer() else value


Amount = Annotated[int, BeforeValidator(_amount), Field(ge=0)]


class SourcePlan(Config):
    """One source."""

    weight: Annotated[float, Field(ge=0)]
    """Its share of what is drawn; weights are normalised."""
    size: Amount | None = None
    """How large it is, in the plan's unit, as 410B or 31.5M; unset: what lies at `path`."""
    path: str | None = None
    """Run of `corpus clean` or `train tokens`, or a set of documents; relative to the plan."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.size is None) == (self.path is None):
            raise ValueError("a source has either `size` or `path`")
        return self


class MixPlan(Config):
    """A mixture of sources."""

    unit: Unit = "characters"
    """Of sizes and budget."""
    budget: Amount | None = None
    """How much is drawn in all, as 300B; unset: until the source that runs out first was seen once."""
    sources: dict[str, SourcePlan] = Field(min_length=1)
    """The sources by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixCall:
    """The command line, parsed."""

    plan: Path
    overrides: list[str]
    page: Path | None
    as_json: bool
    lang: str


def show_mix(call: MixCall) -> None:
    """Tell it, and write the page if one is wanted. UsageError: the plan; InputError: what it names."""
    wanted = MixPlan.load(call.plan, call.overrides)
    sizes = {name: _size(name, source, wanted.unit, call.plan.parent) for name, source in wanted.sources.items()}
    mixture = mix(sizes, {name: source.weight for name, source in wanted.sources.items()}, wanted.budget)
    if call.page is not None:
        write_text(call.page, mix_page(mixture, wanted.unit, call.plan.stem, call.lang))
    if call.as_json:
        emit_json({"unit": wanted.unit, **asdict(mixture)})
    else:
        err().print(_table(mixture, wanted.unit))
        weights = ", ".join(f"{part.source}: {part.weight:.4g}" for part in mixture.parts)
        say(f"For `train`: -s data.weights='{{{weights}}}'")
    for warning in mixture.warnings:
        say(f"Warning: {warning}")
    if call.page is not None:
        say(f"Page: {call.page}")


def _size(name: str, source: SourcePlan, unit: Unit, beside: Path) -> int:
    """UsageError: characters where tokens are meant. InputError: nothing is there, or a run is not finished."""
    if source.size is not None:
        return source.size
    assert source.path is not None
    path = source.path if "://" in source.path else str(beside / Path(source.path).expanduser())
    found = _of_run(Path(path))
    if found is not None and unit in found:
        return found[unit]
    if unit == "tokens":
        has = "a run of `corpus clean`, which knows characters" if found is not None else "no run of `train tokens`"
        raise UsageError(f"{name}: {source.path} is {has}; give `size` in tokens, or name a run of `train tokens`.")
    return _counted(path)


def _of_run(path: Path) -> dict[str, int] | None:
    """The sizes that a finished run states; None: it is none."""
    with suppress(OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        command = orjson.loads((path / "manifest.json").read_bytes())["command"]
        if command not in ("corpus clean", "train tokens"):
            return None
        if not (path / "summary.json").is_file():
            raise InputError(f"{path} is not finished; run `{command}` on it again first.")
        summary = orjson.loads((path / "summary.json").read_bytes())
        if command == "train tokens":
            return {"tokens": int(summary["tokens"]), "characters": int(summary["characters"])}
        return {"characters": int(summary["characters"]["kept"])}
    return None


def _counted(path: str) -> int:
    total = faults = 0
    for shard in plan_documents([path]).shards:
        for document in read_documents(shard):
            if isinstance(document, Fault):
                faults += 1
            else:
                total += len(document.text)
    if faults:
        say(f"Warning: {path} has {faults:,} records that are no documents; they are not counted.")
    return total


def _table(mixture: Mixture, unit: Unit) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("source", unit, "weight", "drawn", "epochs"):
        table.add_column(title, justify="left" if title == "source" else "right", no_wrap=title != "source")
    for part in mixture.parts:
        table.add_row(
            printable(part.source).replace("[", "\\["),
            f"{part.size:,}",
            f"{part.weight:.1%}",
            f"{part.drawn:,.0f}",
            f"{part.epochs:.2f}",
        )
    table.add_row("", "", "100.0%", f"{mixture.budget:,.0f}", "", style="dim")
    return table
