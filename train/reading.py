"""Words, a probe and held-out texts of a set of documents, read by several processes.

In: a plan of documents. Out: `Words`, the same for any number of workers. `sample_mb` bounds what is learnt from: how
much text the set holds is judged by its first shard, and beyond the bound a fair part of the documents is taken by a
hash of their ids. Price: the whole set is read and parsed all the same, 30 MB a second and core.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from runkit.console import progress
from runkit.documents import read_documents
from runkit.errors import InputError
from runkit.fields import Fault
from runkit.inputs import Plan, Shard
from runkit.records import Document, held_out, sampled
from runkit.workers import in_processes
from train.bpe import count_words

PROBE_BYTES = 4_000_000  # of text that is encoded to see which pieces are used
HELD_OUT_BYTES = 4_000_000  # of text that is kept to measure on
JUDGED_BYTES = 64_000_000  # of text of the first shard are read at most, to see how much the set holds


@dataclass(frozen=True, slots=True)
class Choice:
    """Which documents of a set are taken; shares are of all documents, by independent hashes of their ids."""

    text_field: str
    held_out: float  # never learnt from
    sample: float = 1.0  # of the rest, taken at all
    probe: float = 0.0  # of these, kept as text
    measured: float = 1.0  # of the held-out ones, kept
    seed: int = 0


@dataclass(slots=True)
class Words:
    """What was read. The `probe` are texts among those that were counted, `held_out` are not."""

    words: Counter[str] = field(default_factory=Counter)
    probe: list[str] = field(default_factory=list)
    held_out: list[Document] = field(default_factory=list)
    documents: int = 0  # counted, held-out ones not among them
    characters: int = 0
    size_bytes: int = 0  # UTF-8
    faults: list[Fault] = field(default_factory=list)
    share: float = 1.0  # of the documents that were not held out

    def add(self, other: "Words") -> None:
        """Take in what another shard gave."""
        self.words.update(other.words)
        self.probe += other.probe
        self.held_out += other.held_out
        self.documents += other.documents
        self.characters += other.characters
        self.size_bytes += other.size_bytes
        self.faults += other.faults


def read_words(
    plan: Plan, choice: Choice, sample_mb: float, workers: int, *, limit: int | None = None, quiet: bool = False
) -> Words:
    """Count the words of the set, of its first `limit` documents if that is given.

    InputError: no document was left to learn from.
    """
    text_bytes = max(1.0, _text_bytes(plan, choice.text_field))
    share = min(choice.sample, sample_mb * 1e6 / text_bytes)
    chosen = replace(
        choice,
        sample=share,
        probe=min(1.0, PROBE_BYTES / (text_bytes * share)),
        measured=min(1.0, HELD_OUT_BYTES / (text_bytes * choice.held_out)) if choice.held_out else 0.0,
    )
    total = Words(share=share)
    with progress("Counting words", total=len(plan.shards), unit="shards", quiet=quiet) as advance:
        for part in _parts(plan, chosen, workers, limit, lambda: advance(1)):
            total.add(part)
    if not total.words:
        raise InputError(_nothing(total))
    return total


def _parts(
    plan: Plan, choice: Choice, workers: int, limit: int | None, done: Callable[[], None]
) -> Iterator[Words]:
    """What the shards give, in order."""
    if limit is not None:  # how many documents the next shard may give is known only after this one
        for shard in plan.shards:
            if limit > 0:
                part = read_shard(shard, choice, limit)
                limit -= part.documents + len(part.held_out)
                done()
                yield part
        return
    parts: dict[int, Words] = {}
    for shard, part in in_processes(functools.partial(read_shard, choice=choice), plan.shards, workers):
        parts[shard.index] = part
        done()
    for _, part in sorted(parts.items()):
        yield part


def read_shard(shard: Shard, choice: Choice, limit: int | None = None) -> Words:
    """Words, probe and held-out texts of one shard."""
    found = Words()

    def counted() -> Iterator[str]:
        for document in islice(_documents(shard, choice, found.faults), limit):
            if choice.held_out and held_out(document.id, choice.held_out):
                if sampled(document.id, choice.measured, choice.seed):
                    found.held_out.append(document)
            elif sampled(document.id, choice.sample, choice.seed):
                # Another seed than the sample's, or the probe would be all of a small sample.
                if sampled(document.id, choice.probe, choice.seed + 1):
                    found.probe.append(document.text)
                found.documents += 1
                found.characters += len(document.text)
                found.size_bytes += len(document.text.encode())
                yield document.text

    found.words = count_words(counted())
    return found


def _documents(shard: Shard, choice: Choice, faults: list[Fault]) -> Iterator[Document]:
    for item in read_documents(shard, choice.text_field):
        if isinstance(item, Fault):
            faults.append(item)
        else:
            yield item


def _text_bytes(plan: Plan, text_field: str) -> float:
    """About how many bytes of UTF-8 the set holds, by the text in each byte of its first shard."""
    first = plan.shards[0]
    texts = 0
    for item in read_documents(first, text_field):
        texts += len(item.text.encode()) if isinstance(item, Document) else 0
        if texts > JUDGED_BYTES:  # a large file that cannot be cut; zstd makes text about four times smaller
            texts = first.size_bytes * (4 if any(part.compression for part in first.parts) else 1)
            break
    return texts * sum(shard.size_bytes for shard in plan.shards) / max(1, first.size_bytes)


def _nothing(found: Words) -> str:
    if found.faults:
        fault = found.faults[0]
        return f"No document could be read: {fault.name}: {fault.reason} {fault.detail}".rstrip(". ") + "."
    if found.held_out:
        return "All documents are held out; lower held_out or give more documents."
    return "The set holds no text to learn from."
