"""Words, a probe and held-out texts of a set of documents, read by several processes.

In: a plan of documents. Out: `Words`, the same for any number of workers. `sample_mb` bounds what is learnt from: how
much text the set holds is judged by its first shard, and beyond the bound a fair part of the documents is taken by a
hash of their ids. Price: the whole set is read and parsed all the same, 30 MB a second and core.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from runkit.console import progress
from runkit.documents import read_documents
from runkit.errors import InputError
from runkit.fields import Fault
from runkit.inputs import Plan, Shard
from runkit.records import Document, held_out, sampled
from runkit.workers import in_processes
from train.bpe import count_words
from train.config import SampledConfig

PROBE_BYTES = 4_000_000  # of text that is encoded to see which pieces are used
HELD_OUT_BYTES = 4_000_000  # of text that is kept to measure on
MOST_OFF = 2  # times that a guess by size may be too low
# Merges fit the text that they were counted on, so the probe is better not among it (.8 % more characters a token on
# other text); a set that would lose more than this share cannot spare it.
SPARED = 0.1
JUDGED_BYTES = 64_000_000  # of text of the first shard are read at most, to see how much the set holds


@dataclass(frozen=True, slots=True)
class Reading:
    """How a set is read, from the command line."""

    workers: int
    sample: float | None = None
    limit: int | None = None
    seed: int = 0
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Which documents of a set are taken; shares are of all documents, by independent hashes of their ids."""

    text_field: str
    held_out: float  # never learnt from
    sample: float  # of the rest, taken at all
    probe: float  # of these, kept as text
    measured: float  # of the held-out ones, kept
    seed: int


@dataclass(slots=True)
class Words:
    """What was read. `probe` and `held_out` are texts that were not counted; in a small set the probe was."""

    words: Counter[str] = field(default_factory=Counter)
    probe: list[str] = field(default_factory=list)
    held_out: list[Document] = field(default_factory=list)
    read: int = 0  # documents, held out and left out by the sample too
    documents: int = 0  # counted
    characters: int = 0
    size_bytes: int = 0  # UTF-8
    faults: list[Fault] = field(default_factory=list)
    share: float = 1.0  # of the documents that were not held out

    def add(self, other: "Words") -> None:
        """Take in what another shard gave."""
        self.words.update(other.words)
        self.probe += other.probe
        self.held_out += other.held_out
        self.read += other.read
        self.documents += other.documents
        self.characters += other.characters
        self.size_bytes += other.size_bytes
        self.faults += other.faults


def read_words(plan: Plan, config: SampledConfig, reading: Reading) -> Words:
    """Count the words of the set. InputError: no document was left to learn from."""
    text_bytes = max(1.0, _text_bytes(plan, config, reading.workers))
    share = min(reading.sample or 1.0, config.sample_mb * 1e6 / text_bytes)
    choice = Choice(
        text_field=config.text_field,
        held_out=config.held_out,
        sample=share,
        probe=min(1.0, PROBE_BYTES / (text_bytes * share)),
        measured=min(1.0, HELD_OUT_BYTES / (text_bytes * config.held_out)) if config.held_out else 0.0,
        seed=reading.seed,
    )
    total = Words(share=share)
    with progress("Counting words", total=len(plan.shards), unit="shards", quiet=reading.quiet) as advance:
        for part in _parts(plan, choice, reading, lambda: advance(1)):
            total.add(part)
    if not total.words:
        raise InputError(_nothing(total))
    return total


def _parts(plan: Plan, choice: Choice, reading: Reading, done: Callable[[], None]) -> Iterator[Words]:
    """What the shards give, in order."""
    if reading.limit is not None:  # how many documents the next shard may give is known only after this one
        left = reading.limit
        for shard in plan.shards:
            if left > 0:
                part = read_shard(shard, choice, left)
                left -= part.read
                done()
                yield part
        return
    parts: dict[int, Words] = {}
    for shard, part in in_processes(functools.partial(read_shard, choice=choice), plan.shards, reading.workers):
        parts[shard.index] = part
        done()
    for _, part in sorted(parts.items()):
        yield part


def read_shard(shard: Shard, choice: Choice, limit: int | None = None) -> Words:
    """Words, probe and held-out texts of one shard."""
    found = Words()

    def counted() -> Iterator[str]:
        for document in islice(_documents(shard, choice, found.faults), limit):
            found.read += 1
            if choice.held_out and held_out(document.id, choice.held_out):
                if sampled(document.id, choice.measured, choice.seed):
                    found.held_out.append(document)
            elif sampled(document.id, choice.sample, choice.seed):
                # Another seed than the sample's, or the probe would be all of a small sample.
                if sampled(document.id, choice.probe, choice.seed + 1):
                    found.probe.append(document.text)
                    if choice.probe <= SPARED:
                        continue
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


def _text_bytes(plan: Plan, config: SampledConfig, workers: int) -> float:
    """About how many bytes of UTF-8 the set holds.

    A set that cannot be larger than what is learnt from is guessed by its size, any other judged by the text in each
    byte of its first and last shard. These are read in the workers: polars starts threads, after which this process
    could not fork any more.
    """
    guess = sum(map(_guess, plan.shards))
    if guess * MOST_OFF <= config.sample_mb * 1e6:
        return guess
    judged = [plan.shards[0], plan.shards[-1]] if len(plan.shards) > 1 else [plan.shards[0]]
    judge = functools.partial(_text_of, text_field=config.text_field)
    found = [size for _, size in in_processes(judge, judged, workers)]
    sizes = [shard.size_bytes for shard in judged]
    return sum(found) * sum(shard.size_bytes for shard in plan.shards) / max(1, sum(sizes))


def _guess(shard: Shard) -> float:
    """Text in a shard, by its size: compression makes Chinese text about four times smaller."""
    return shard.size_bytes * (4.0 if any(part.compression for part in shard.parts) else 1.0)


def _text_of(shard: Shard, text_field: str) -> float:
    """Bytes of text in a shard; of a large one that cannot be cut, what its size lets expect."""
    texts = 0
    for item in read_documents(shard, text_field):
        texts += len(item.text.encode()) if isinstance(item, Document) else 0
        if texts > JUDGED_BYTES:
            return _guess(shard)
    return texts


def _nothing(found: Words) -> str:
    if found.faults:
        fault = found.faults[0]
        return f"No document could be read: {fault.name}: {fault.reason} {fault.detail}".rstrip(". ") + "."
    if found.held_out:
        return "All documents are held out; lower held_out or give more documents."
    return "The set holds no text to learn from."
