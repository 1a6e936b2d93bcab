"""`train tokenizer fit`: documents to a SentencePiece BPE model with byte fallback.

In: a set of documents. Out: TOK/tokenizer.model, a LLaMA-like file (unk 0, bos 1, eos 2, special tokens, 256 bytes,
merges, characters) that gives every text back byte for byte, with its figures and a report.

SentencePiece gives a piece to every character that occurs: 7,500 of 16,000 on technical Chinese, most of them hardly
ever alone. Here all the room goes to BPE first; then characters take the place of the last merges as long as that saves
tokens, by how often each stands alone in a probe. A character inside a kept merge keeps its piece, since Hugging Face's
reader of such files cannot make a merge from parts that are no pieces. Price: 5 % more CPU time; the gain is .25
characters a token at 16,000 pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from runkit.console import emit_json, say
from runkit.documents import plan_documents
from runkit.errors import InputError, UsageError
from runkit.files import write_bytes, write_json, write_text
from runkit.planned import keep_apart, tell_plan, tell_skipped
from runkit.rundir import Mark, RunDir, note_usage, usage
from train.bpe import Learnt, learn
from train.config import FitConfig
from train.fit_output import fault_counts, measure, open_run, read_figures, tell_held_out, write_faults
from train.fit_report import fit_report
from train.model_file import new_model
from train.pieces import Tokenizer
from train.reading import Reading, Words, read_words
from train.tokenizer import load

MODEL = "tokenizer.model"
RESERVED = 3 + 256  # <unk>, <s>, </s> and the bytes
SMALL_BYTES = 1_000_000  # of text, below which all of it is the probe
STEP = 50  # merges between two tries


@dataclass(frozen=True, slots=True, kw_only=True)
class FitCall:
    """The command line, parsed; `started` is a `time.monotonic()`."""

    documents: list[str]
    out: Path
    config: FitConfig
    reading: Reading
    dry_run: bool
    as_json: bool
    lang: str
    started: float


def fit(call: FitCall) -> None:
    """Run to the end, or find it done already."""
    room = _room(call.config)
    keep_apart(call.out, call.documents)
    plan = plan_documents(call.documents)
    tell_skipped(plan)
    if call.dry_run:
        tell_plan(plan, call.as_json)
        return
    with open_run("train tokenizer fit", call.out, call.config, plan, call.reading) as run:
        mark = run.done("tokenizer")
        for damage in run.damaged:
            say(f"Rebuilding: {damage}.")
        if mark is None:
            mark = _fit(run, call.config, read_words(plan, call.config, call.reading), room)
        summary = mark.data
        write_json(run.file("summary.json"), summary)
        write_text(run.file("report.html"), fit_report(load(run.path), summary, call.lang))
        spent = usage(call.started)
        note_usage(run, spent)
    if call.as_json:
        emit_json({**summary, **spent, "run": str(call.out)})
    _tell(call, summary, spent)


def _room(config: FitConfig) -> int:
    """Pieces that are neither special nor bytes."""
    names = config.special
    odd = [name for name in names if not name.strip() or names.count(name) > 1 or name in {"<unk>", "<s>", "</s>"}]
    if odd:
        raise UsageError(f"special: {odd[0]!r} is empty, stands twice, or is a token that the model has already.")
    room = config.vocab - RESERVED - len(names)
    if room < 1:
        raise UsageError(
            f"--vocab {config.vocab} leaves no room: {config.vocab - room} ids are special tokens and bytes."
        )
    return room


def _fit(run: RunDir, config: FitConfig, words: Words, room: int) -> Mark:
    say(f"Learning {config.vocab:,} pieces from {words.size_bytes / 1e6:,.1f} MB of text.")
    learnt = learn(words.words, room, config.longest)
    merges, characters = choose(learnt, words.probe, room)
    write_bytes(run.file(MODEL), new_model(config.special, merges, characters))
    tokenizer = load(run.path)
    if words.size_bytes < SMALL_BYTES:
        _tell_rare(tokenizer, words.probe, 3 + len(config.special) + 256, len(merges))
    outputs = {MODEL: tokenizer.sha256} | write_faults(run, "quarantine.jsonl", words.faults)
    data = {
        "tokenizer": {"sha256": tokenizer.sha256, "size": tokenizer.size, "kind": tokenizer.kind, "file": MODEL},
        "pieces": {
            "special": 3 + len(config.special),
            "bytes": 256,
            "merges": len(merges),
            "characters": len(characters),
        },
        "characters_seen": len(learnt.characters),
        "learnt_from": read_figures(words),
        "held_out": measure(tokenizer, words.held_out),
        "faults": fault_counts(words.faults),
    }
    return run.mark("tokenizer", outputs, data)


def _tell_rare(tokenizer: Tokenizer, texts: Sequence[str], first: int, merges: int) -> None:
    """Say when most merges are used once or never in the text that they were learnt from: it was learnt by heart."""
    counts = np.zeros(tokenizer.size, np.int64)
    for ids in tokenizer.encode_batch(texts):
        counts += np.bincount(ids, minlength=len(counts))
    rare = int((counts[first : first + merges] < 2).sum())
    if 2 * rare > merges:
        say(f"{rare:,} of {merges:,} merges occur once or never: give more text, or ask for fewer pieces with --vocab.")


def choose(learnt: Learnt, probe: Sequence[str], room: int) -> tuple[list[str], list[str]]:
    """The first merges and the characters, together `room`, that encode the probe in the fewest tokens.

    InputError: the text gives fewer pieces than that.
    """
    most = len(learnt.merges) + len(learnt.characters)
    if most < room:
        raise InputError(
            f"The text gives {most + RESERVED:,} pieces at most; ask for fewer with --vocab, or give more text."
        )
    state = _Losses(learnt, *_uses(learnt, probe))
    place = {character: index for index, character in enumerate(learnt.characters)}
    first = np.full(len(place), len(learnt.merges))  # the first merge that a character is part of
    for rank in range(len(learnt.merges) - 1, -1, -1):
        first[[place[character] for character in learnt.merges[rank]]] = rank
    fewest = max(0, room - len(place))
    best: tuple[float, int, NDArray[np.int64]] = (np.inf, 0, np.arange(0))
    for count in range(min(room, len(learnt.merges)), fewest - 1, -1):
        state.drop(count)
        needed = first < count
        free = room - count - int(needed.sum())
        if free < 0 or (count - fewest) % STEP:
            continue
        others = np.flatnonzero(~needed)
        others = others[np.argsort(-state.saved[others], kind="stable")]  # equal ones stay by frequency
        lost = state.lost + float(state.saved[others[free:]].sum())
        if lost < best[0]:
            best = (lost, count, np.append(np.flatnonzero(needed), others[:free]))
    return learnt.merges[: best[1]], [learnt.characters[index] for index in sorted(best[2].tolist())]


class _Losses:
    """Tokens that the probe costs more when the last merges are no pieces any more.

    Every use of a dropped merge becomes a use of its two parts, which may be dropped in turn, or characters.
    """

    def __init__(self, learnt: Learnt, uses: NDArray[np.int64], alone: NDArray[np.int64]) -> None:
        self.merges, self.uses = learnt.merges, uses.tolist()
        self.rank = {piece: rank for rank, piece in enumerate(learnt.merges)}
        self.rank |= {character: -1 - index for index, character in enumerate(learnt.characters)}
        # A character without a piece becomes its bytes. ASCII would lose nothing so, but a byte should mean that
        # there was no piece.
        self.bytes = np.array([max(1, len(character.encode()) - 1) for character in learnt.characters])
        self.saved = self.bytes * alone  # by the piece of each character
        self.kept = len(self.merges)
        self.lost = 0.0

    def drop(self, count: int) -> None:
        """Keep the first `count` merges only."""
        for rank in range(self.kept - 1, count - 1, -1):
            used = self.uses[rank]
            self.lost += used
            for part in self._parts(rank):
                if part >= 0:
                    self.uses[part] += used
                else:
                    self.saved[-1 - part] += self.bytes[-1 - part] * used
        self.kept = count

    def _parts(self, rank: int) -> tuple[int, int]:
        """Ranks of the pair that BPE joins to this piece: that which was there first."""
        piece = self.merges[rank]
        pairs = ((self.rank.get(piece[:cut]), self.rank.get(piece[cut:])) for cut in range(1, len(piece)))
        known = [(left, right) for left, right in pairs if left is not None and right is not None]
        return min((pair for pair in known if max(pair) < rank), key=max)


def _uses(learnt: Learnt, probe: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often the probe uses each merge, (M,), and each character alone, (C,), when all of them are pieces."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=new_model((), learnt.merges, learnt.characters))
    counts = np.zeros(processor.vocab_size(), np.int64)
    for start in range(0, len(probe), 256):
        for ids in processor.encode(list(probe[start : start + 256]), return_type="numpy", num_threads=1):
            counts += np.bincount(ids, minlength=len(counts))
    first, last = RESERVED, RESERVED + len(learnt.merges)
    return counts[first:last], counts[last:]


def _tell(call: FitCall, summary: dict[str, Any], spent: dict[str, float | int]) -> None:
    pieces, read = summary["pieces"], summary["learnt_from"]
    say(
        f"{summary['tokenizer']['size']:,} pieces: {pieces['merges']:,} merges, {pieces['characters']:,} of "
        f"{summary['characters_seen']:,} characters, 256 bytes, {pieces['special']} special; learnt from "
        f"{read['documents']:,} documents ({read['bytes'] / 1e6:,.1f} MB); {spent['seconds']:.1f} s, "
        f"{spent['cpu_seconds']:.1f} CPU s."
    )
    tell_held_out(summary["held_out"])
    if summary["faults"]:
        say(f"{sum(summary['faults'].values()):,} records could not be read: {call.out / 'quarantine.jsonl'}")
    say(f"Tokenizer: {call.out / MODEL}; report: {call.out / 'report.html'}")
