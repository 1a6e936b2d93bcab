"""`train eval ppl`: how well a model foretells a text, in figures that can be compared across tokenizers.

In: a model, its tokenizer and documents. Out: loss and perplexity a token, bits per character and per byte, in all and
by source. The last two divide −Σ log2 p of all tokens by the size of the text, so a tokenizer with longer pieces gains
nothing by them. Texts longer than `seq_len` are read in windows that overlap, and each token is scored once, with at
least seq_len − stride tokens before it. Price: seq_len / stride times the work of windows that do not overlap; half a
window, the default, takes twice as long.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch

from runkit.console import emit_json, err, printable, progress, say
from runkit.documents import plan_documents, read_documents
from runkit.errors import InputError, UsageError, check_failures
from runkit.fields import Fault
from runkit.inputs import Plan
from runkit.records import Document, held_out, sampled
from train.loss import IGNORED, cross_entropy
from train.measuring import check_vocab, load_measured, no_numbers, padded
from train.model import Model
from train.pieces import Ids, Tokenizer

Begin = Literal["bos", "eos", "none"]
SORTED_BATCHES: Final = 16  # batches whose windows are sorted by length together, so that little is padding
MOST_LOSS: Final = 700.0  # beyond it a perplexity is larger than any float


@dataclass(frozen=True, slots=True)
class Window:
    """Positions start…end−1 are read, of which scored…end−1 are scored; position p foretells token p + 1."""

    start: int
    scored: int
    end: int


@dataclass(slots=True)
class Measure:
    """What was measured on a source or on all; sums over its documents."""

    documents: int = 0
    tokens: int = 0  # of the text, the beginning token not counted
    scored: int = 0  # tokens; fewer than `tokens` only where the tokenizer has no token to begin with
    unknown: int = 0  # tokens that hide the text they stand for, so that bits per character look too good
    characters: int = 0
    bytes: int = 0  # UTF-8
    nats: float = 0.0  # −Σ ln p

    def add(self, other: "Measure") -> None:
        """Take in another's sums."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def figures(self) -> dict[str, Any]:
        """Sums, and what follows from them; null where nothing was scored."""
        loss = self.nats / self.scored if self.scored else None
        bits = self.nats / math.log(2) if self.scored else None
        return asdict(self) | {
            "loss": loss,
            "ppl": None if loss is None or loss > MOST_LOSS else math.exp(loss),
            "bits_per_character": None if bits is None else bits / self.characters,
            "bits_per_byte": None if bits is None else bits / self.bytes,
        }


@dataclass(slots=True)
class Perplexity:
    """The result of a measurement."""

    begin: Begin  # the token that stands before each text; "none": the first token of each text is not scored
    seq_len: int
    stride: int
    sources: dict[str, Measure] = field(default_factory=dict)

    @property
    def whole(self) -> Measure:
        """All sources together."""
        total = Measure()
        for measure in self.sources.values():
            total.add(measure)
        return total

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        by_source = {name: measure.figures() for name, measure in sorted(self.sources.items())}
        settings = {"begin": self.begin, "seq_len": self.seq_len, "stride": self.stride}
        return settings | self.whole.figures() | {"by_source": by_source}


@dataclass(frozen=True, slots=True, kw_only=True)
class PplCall:
    """The command line of `train eval ppl`, parsed."""

    run: Path
    documents: list[str]
    seq_len: int | None = None  # None: the model's
    stride: int | None = None  # None: half of seq_len
    batch: int = 8  # windows at a time
    text_field: str = "text"
    held_out: float | None = None  # measure only on this share, the documents that were kept from training
    limit: int | None = None  # documents to measure on
    sample: float | None = None
    seed: int = 0
    as_json: bool = False
    quiet: bool = False
    max_bad: float = 1.0


def windows(positions: int, seq_len: int, stride: int) -> Iterator[Window]:
    """Windows of at most `seq_len` positions that score each of `positions` once; several are all full."""
    done = min(seq_len, positions)
    if done:
        yield Window(0, 0, done)
    while done < positions:
        end = min(done + stride, positions)
        yield Window(end - seq_len, done, end)
        done = end


def perplexity(
    model: Model, tokenizer: Tokenizer, documents: Iterable[Document], seq_len: int, stride: int, batch: int
) -> Perplexity:
    """Measure `model` on `documents`, `batch` windows at a time, on the device where its weights are.

    UsageError: a window that does not fit the model. InputError: the tokenizer does not, the model gives no numbers,
    or there is no text to measure on.
    """
    _check(model, tokenizer, seq_len, stride, batch)
    begin, number = beginning(tokenizer)
    found = Perplexity(begin, seq_len, stride)
    held: list[tuple[Measure, Ids, Window]] = []
    for document in documents:
        measure = found.sources.setdefault(document.source, Measure())
        ids = tokenizer.encode(document.text)
        measure.add(
            Measure(
                documents=1,
                tokens=len(ids),
                unknown=int(np.count_nonzero(ids == tokenizer.special.unk)) if tokenizer.special.unk is not None else 0,
                characters=len(document.text),
                bytes=len(document.text.encode()),
            )
        )
        if number is not None:
            ids = np.concatenate([np.array([number], ids.dtype), ids])
        for window in windows(len(ids) - 1, seq_len, stride):
            held.append((measure, ids, window))
            if len(held) == batch * SORTED_BATCHES:
                _score(model, held, batch)
                held = []
    _score(model, held, batch)
    if not found.whole.scored:
        raise InputError("There is no text to measure on; give documents of two tokens or more.")
    return found


def beginning(tokenizer: Tokenizer) -> tuple[Begin, int | None]:
    """The token that stands before a text, so that the first one is foretold too: bos, or eos where there is only that.

    GPT-2 and its like are trained with the end of one text before the next, so their eos does as well.
    """
    if tokenizer.special.bos is not None:
        return "bos", tokenizer.special.bos
    if tokenizer.special.eos is not None:
        return "eos", tokenizer.special.eos
    return "none", None


def _check(model: Model, tokenizer: Tokenizer, seq_len: int, stride: int, batch: int) -> None:
    if not 1 <= stride <= seq_len:
        raise UsageError(f"stride {stride:,} is not between 1 and seq_len {seq_len:,}; half of seq_len is usual.")
    if batch < 1:
        raise UsageError(f"batch {batch} is no number of windows; give 1 or more.")
    longest = model.config.seq_len
    if seq_len > longest and model.config.position == "rope":  # ALiBi is made to go beyond
        raise UsageError(f"seq_len {seq_len:,} is longer than the {longest:,} that the model is made for; lower it.")
    check_vocab(model, tokenizer)


@torch.no_grad()
def _score(model: Model, held: list[tuple[Measure, Ids, Window]], batch: int) -> None:
    """Add the losses of the windows to their measures."""
    device = model.lm_head.weight.device
    # Autograd functions look at the weights alone to see whether a gradient is wanted, not at `no_grad`.
    weight = model.lm_head.weight.detach()
    held.sort(key=lambda item: item[2].end - item[2].start)
    for first in range(0, len(held), batch):
        rows = held[first : first + batch]
        inputs = padded([ids[window.start : window.end] for _, ids, window in rows]).to(device)
        targets = padded([ids[window.start + 1 : window.end + 1] for _, ids, window in rows], IGNORED).to(device)
        hidden = model.hidden(inputs)  # (B, T, D)
        for row, (measure, _, window) in enumerate(rows):
            own = slice(window.scored - window.start, window.end - window.start)
            nats = cross_entropy(hidden[row, own], weight, targets[row, own]).item()
            if not math.isfinite(nats):
                raise no_numbers()
            measure.nats += nats
            measure.scored += window.end - window.scored


def eval_ppl(call: PplCall) -> None:
    """Measure the model in `call.run`: a run, a Hugging Face folder or a GGUF file.

    TooManyFailures: more records than `max_bad` allows were no documents.
    """
    figures, faults = measure_ppl(call)
    if call.as_json:
        emit_json(figures)
    if not (call.as_json and call.quiet):
        _tell(figures)
    tell_faults(call, figures, faults)


def measure_ppl(call: PplCall) -> tuple[dict[str, Any], list[Fault]]:
    """What `--json` prints, and the records that were no documents."""
    if call.held_out is not None and not 0 < call.held_out < 1:
        raise UsageError(f"--held-out {call.held_out:g} is not between 0 and 1; give the share used in training.")
    plan = plan_documents(call.documents)
    model, tokenizer = load_measured(call.run)
    seq_len = model.config.seq_len if call.seq_len is None else call.seq_len
    stride = max(1, seq_len // 2) if call.stride is None else call.stride
    faults: list[Fault] = []
    with progress("Measuring", quiet=call.quiet) as advance:
        documents = _told(islice(_chosen(plan, call, faults), call.limit), advance)
        found = perplexity(model, tokenizer, documents, seq_len, stride, call.batch)
    shown = {"run": call.run, "tokenizer_sha256": tokenizer.sha256, "bad": len(faults)}
    return shown | found.figures(), faults


def tell_faults(call: PplCall, figures: dict[str, Any], faults: list[Fault]) -> None:
    """Say what was no document. TooManyFailures: that were more than `max_bad` allows."""
    for fault in faults[:3]:
        say(f"Warning: {fault.name} at {fault.offset:,} is no document: {fault.reason} {fault.detail}".rstrip())
    records = len(faults) + figures["documents"]
    check_failures(len(faults), records, "records were bad", call.max_bad, "the warnings above")


def _chosen(plan: Plan, call: PplCall, faults: list[Fault]) -> Iterator[Document]:
    """InputError: there are documents, and none of them is in the share that is asked for."""
    read = given = 0
    for shard in plan.shards:
        for item in read_documents(shard, call.text_field):
            if isinstance(item, Fault):
                faults.append(item)
                continue
            read += 1
            if call.held_out is not None and not held_out(item.id, call.held_out):
                continue
            if call.sample is None or sampled(item.id, call.sample, call.seed):
                given += 1
                yield item
    if read and not given:
        flags = [
            f"{name} {share:g}" for name, share in (("--held-out", call.held_out), ("--sample", call.sample)) if share
        ]
        raise InputError(
            f"None of the {read:,} documents is in {' and '.join(flags)}; raise it or give more documents."
        )


def _told(documents: Iterator[Document], advance: Callable[..., None]) -> Iterator[Document]:
    for document in documents:
        yield document
        advance(1)


def _tell(figures: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("source", overflow="fold")
    for title in ("documents", "tokens", "loss", "ppl", "bits/character", "bits/byte"):
        table.add_column(title, justify="right")
    for name, row in [*figures["by_source"].items(), ("all", figures)]:
        decimals = {"loss": 4, "ppl": 2, "bits_per_character": 4, "bits_per_byte": 4}
        values = ["–" if row[key] is None else f"{row[key]:,.{places}f}" for key, places in decimals.items()]
        cells = (" ".join(printable(name).split()), f"{row['documents']:,}", f"{row['scored']:,}", *values)
        table.add_row(*map(Text, cells))
    err().print(table)
    behind = {"bos": "behind bos", "eos": "behind eos, for there is no bos", "none": "not scored, for there is no bos"}
    say(
        f"Windows of {figures['seq_len']:,} tokens, {figures['stride']:,} apart; a text's first token is "
        f"{behind[figures['begin']]}."
    )
    if figures["unknown"]:
        say(f"Warning: {figures['unknown']:,} tokens are unknown ones, so bits per character look too good.")
