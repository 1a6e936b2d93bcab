"""Sets of texts to fit a model on: read once, drawn fairly, cut into what is learnt from and what is measured on.

In: inputs as other commands take them. A run of `corpus clean` named as the bad set is its `rejected/`: the documents
that broke a rule of the text, not those that are copies or in other languages. Out: at most `characters` characters of
texts as `Text`s, and whether each is held out: by the host of its address, where a set has 50 hosts or more, so that no
site stands on both sides; else by its id. Price: twice the characters in memory.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from corpus.quality_config import SetsConfig
from corpus.urls import url_host
from runkit.console import say
from runkit.documents import Fault, plan_documents, read_rows
from runkit.errors import InputError
from runkit.inputs import Plan, split_label
from runkit.language import detect_language
from runkit.planned import manifest_inputs
from runkit.records import held_out, held_out_hash

MANY_HOSTS: Final = 50
OFTEN: Final = 0.05
_RUNS: Final = ("corpus clean", "corpus tune")


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a set."""

    id: str
    text: str
    title: str
    url: str
    source: str
    language: str
    host: str


@dataclass(slots=True)
class TextSet:
    """A set as it was read. `read`: documents and characters before the draw."""

    name: str
    texts: list[Text] = field(default_factory=list)
    read: list[int] = field(default_factory=lambda: [0, 0])
    left_out: Counter[str] = field(default_factory=Counter)
    by_host: bool = False

    def key(self, text: Text) -> str:
        """What stands on one side as a whole."""
        return text.host if self.by_host and text.host else text.id

    def is_held_out(self, text: Text, share: float) -> bool:
        return held_out(self.key(text), share)


def plan_set(inputs: Sequence[str], bad: bool) -> Plan:
    """The plan of a set; `bad`: of runs, what they rejected."""
    return plan_documents([_rejected(one) if bad else one for one in inputs])


def _rejected(argument: str) -> str:
    label, path = split_label(argument)
    try:
        manifest = orjson.loads((Path(path) / "manifest.json").read_bytes())
        is_run = manifest["command"] in _RUNS and (Path(path) / "rejected").is_dir()
    except (OSError, ValueError, KeyError, TypeError):
        return argument
    if not is_run:
        return argument
    folder = str(Path(path) / "rejected")
    return folder if label is None else f"{label}={folder}"


def inputs_of(plan: Plan, name: str) -> list[dict[str, Any]]:
    """The plan's files for a manifest, named by the set that they are in."""
    return [{**entry, "name": f"{name}: {entry['name']}"} for entry in manifest_inputs(plan)]


def read_set(name: str, plan: Plan, config: SetsConfig, languages: Sequence[str], *, bad: bool = False) -> TextSet:
    """Read a set. InputError: nothing is in it."""
    found = TextSet(name)
    drawn: list[tuple[int, Text]] = []
    size = 0
    for shard in plan.shards:
        for item in read_rows(shard, config.text_field, ("reasons",)):
            if isinstance(item, Fault):
                found.left_out[item.reason] += 1
                continue
            document, values = item
            reasons = values.get("reasons")
            if bad and isinstance(reasons, list) and reasons and not any(_of_text(reason) for reason in reasons):
                found.left_out["reason"] += 1
                continue
            language = document.language or detect_language(document.text)[0]
            if languages and language not in languages:
                found.left_out["language"] += 1
                continue
            found.read[0] += 1
            found.read[1] += len(document.text)
            host = url_host(document.url) if document.url else ""
            one = Text(
                *(document.id, document.text, _title(document.meta), document.url or ""),
                *(document.source, language, host),
            )
            drawn.append((held_out_hash(f"{config.seed} {document.id}"), one))
            size += len(document.text)
            if size > 2 * config.characters:
                drawn, size = _cut(drawn, config.characters)
    found.texts = [text for _, text in _cut(drawn, config.characters)[0]]
    if not found.texts:
        told = ", ".join(f"{count:,} for {reason}" for reason, count in found.left_out.most_common(3)) or "it is empty"
        raise InputError(f"The {name} set holds no text to learn from (left out: {told}); name other inputs.")
    hosts = {text.host for text in found.texts if text.host}
    found.by_host = len(hosts) >= MANY_HOSTS
    return found


def _of_text(reason: Any) -> bool:
    return isinstance(reason, str) and reason.startswith("rules.")


def _title(meta: str) -> str:
    title = orjson.loads(meta).get("title")
    return title if isinstance(title, str) else ""


def _cut(drawn: list[tuple[int, Text]], characters: int) -> tuple[list[tuple[int, Text]], int]:
    """The documents of the smallest hashes that together have `characters` characters."""
    drawn.sort(key=lambda pair: (pair[0], pair[1].id))
    size = 0
    for place, (_, text) in enumerate(drawn):
        if size + len(text.text) > characters and place:
            return drawn[:place], size
        size += len(text.text)
    return drawn, size


def languages_of(found: TextSet, config: SetsConfig) -> tuple[str, ...]:
    """The languages that a model fitted on this set may judge."""
    if config.languages:
        return tuple(sorted(set(config.languages)))
    count = Counter(text.language for text in found.texts)
    return tuple(sorted(name for name, n in count.items() if n >= OFTEN * len(found.texts) and name != "und"))


def parted(found: TextSet, share: float) -> tuple[list[Text], list[Text]]:
    """(what is learnt from, what is measured on). InputError: one of them is empty."""
    learn = [text for text in found.texts if not found.is_held_out(text, share)]
    measure = [text for text in found.texts if found.is_held_out(text, share)]
    if not learn or not measure:
        raise InputError(
            f"The {found.name} set has {len(found.texts)} texts, too few to set {share:.0%} of them aside; add texts."
        )
    return learn, measure


def tell_set(found: TextSet) -> None:
    """What was taken of a set."""
    say(
        f"{found.name}: {len(found.texts):,} of {found.read[0]:,} documents, "
        f"{sum(len(text.text) for text in found.texts):,} characters, "
        f"held out by {'site' if found.by_host else 'document'}."
    )
