"""Documents that tasks are grounded in: clean ones, of a fitting length, a bounded number.

In: what --from-docs names. Out: a plan, and documents in an order drawn by the seed. Price: all of them are read once;
in memory stay at most `documents`, of more a fair part by hash.
"""

import hashlib
import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from runkit.console import say
from runkit.documents import Document, plan_documents, read_documents
from runkit.errors import InputError
from runkit.inputs import Plan
from runkit.text import han_count
from selfinstruct.config import GenerateConfig

FEWEST_HAN: Final = 80  # characters that are worth a question
_BREAK: Final = re.compile(r"\n+|(?<=[。！？])")


@dataclass(frozen=True, slots=True)
class Material:
    """A document, and as much of its text as a task is made of."""

    id: str
    title: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What --from-docs named."""

    plan: Plan | None  # None: it was not given


def plan_sources(documents: Sequence[str]) -> Sources:
    """InputError: as `plan_documents`."""
    return Sources(plan_documents(documents) if documents else None)


def gather(sources: Sources, config: GenerateConfig) -> list[Material]:
    """The documents, in an order that only their ids and the seed decide. InputError: none of them fits."""
    if sources.plan is None:
        return []
    chosen = heapq.nsmallest(config.documents, _drawn(sources.plan, config), key=lambda pair: pair[0])
    if not chosen:
        raise InputError(
            f"No document of --from-docs has {FEWEST_HAN} Chinese characters and more; name a finished run of "
            "`corpus clean`."
        )
    say(f"{len(chosen):,} documents to make tasks of.")
    return [material for _, material in chosen]


def _drawn(plan: Plan, config: GenerateConfig) -> Iterator[tuple[bytes, Material]]:
    seen: set[str] = set()
    for shard in plan.shards:
        for found in read_documents(shard):
            if not isinstance(found, Document) or found.id in seen:
                continue
            text = _part(found.text, config.document_characters)
            if han_count(text) >= FEWEST_HAN:
                seen.add(found.id)
                place = hashlib.blake2b(f"{config.seed}\n{found.id}".encode("utf-8", "surrogatepass"), digest_size=16)
                yield place.digest(), Material(found.id, _title(found.meta), text)


def _part(text: str, most: int) -> str:
    """Its beginning, cut behind a paragraph or sentence."""
    if len(text) <= most:
        return text.strip()
    ends = [match.end() for match in _BREAK.finditer(text[:most])]
    return text[: ends[-1] if ends and ends[-1] > most // 3 else most].strip()


def _title(meta: str) -> str | None:
    try:
        title = orjson.loads(meta or "{}").get("title")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    return title if isinstance(title, str) and title.strip() else None
