"""Instruction data as dialogues that a model can learn: turns by role, and a reason for every one that is left out.

In: files in any layout of instruction data, a chat template. Out: `Dialogues`, sequences of ids of which only the
answers are learnt, and counts by reason. All are encoded at each start and held in memory: 5 bytes a token; 100,000
dialogues of 300 tokens take 15 s and 150 MB. Trade-off: nothing is written, so nothing can be out of date.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from runkit.errors import InputError
from runkit.fields import Fault, Fields
from runkit.instructions import Items, id_in, unpacked
from runkit.jsonl import JsonLineError
from runkit.layouts import turns_of
from runkit.records import held_out, id_of_text
from train.chat_template import ROLES, ChatTemplate, Dialogue, Turn
from train.packing import Int32, Int64

_BATCH: Final = 1024


@dataclass(frozen=True, slots=True)
class Left:
    """A record that is not trained on."""

    source: str
    id: str
    reason: str
    detail: str


@dataclass(slots=True)
class Found:
    """What reading brought. `counts`: dialogues by what became of them."""

    counts: Counter[str] = field(default_factory=Counter)
    left: list[Left] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class Dialogues:
    """Encoded dialogues by number; `train.data.Sequences`."""

    def __init__(
        self,
        vocab_size: int,
        sources: Sequence[str],
        source: Int32,
        ids: Sequence[str],
        parts: Sequence[tuple[Int32, NDArray[np.bool_]]],
    ) -> None:
        self.vocab_size = vocab_size
        self.sources = list(sources)
        self.source = source
        self.length: Int64 = np.array([len(tokens) for tokens, _ in parts], np.int64)
        self._first = np.concatenate([[0], np.cumsum(self.length)])
        self._ids = list(ids)
        self._tokens = np.concatenate([tokens for tokens, _ in parts]) if parts else np.zeros(0, np.int32)
        self._learnt = np.concatenate([learnt for _, learnt in parts]) if parts else np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self.length)

    def id(self, document: int) -> str:
        """The id of a dialogue."""
        return self._ids[document]

    def tokens(self, document: int) -> Int32:
        """Its ids, (n,)."""
        return self._tokens[self._first[document] : self._first[document + 1]]

    def learnt(self, document: int) -> NDArray[np.bool_]:
        """Which of them a model learns to write, (n,)."""
        return self._learnt[self._first[document] : self._first[document + 1]]

    def place(self, document: int) -> str:
        """Its source."""
        return self.sources[int(self.source[document])]

    def held_out(self, share: float) -> NDArray[np.bool_]:
        """Which are kept from training, (D,)."""
        return np.array([held_out(id, share) for id in self._ids], np.bool_)

    @property
    def sha256(self) -> str:
        """Of all ids, of what is learnt of them, and of their sources."""
        digest = hashlib.sha256("\n".join([*self.sources, *self._ids]).encode("utf-8", "surrogatepass"))
        for array in (self.source, self.length, self._tokens, self._learnt):
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    @property
    def answer_tokens(self) -> int:
        """Ids that are learnt."""
        return int(self._learnt.sum())


def read_dialogues(sets: Mapping[str, Items], template: ChatTemplate, most: int) -> tuple[Dialogues, Found]:
    """All dialogues of at most `most` ids, by source. InputError: none is left."""
    found = Found()
    sources = list(sets)
    source: list[int] = []
    ids: list[str] = []
    parts: list[tuple[Int32, NDArray[np.bool_]]] = []
    for number, name in enumerate(sources):
        sound = _sound(sets[name], name, template, found)
        while batch := list(islice(sound, _BATCH)):
            encoded = template.dialogues([turns for _, turns in batch])
            for (id, turns), dialogue in zip(batch, encoded, strict=True):
                fitting = dialogue if len(dialogue.ids) <= most else _shortened(turns, template, most)
                if fitting is None:
                    _leave(found, name, id, "length.too_long", f"{len(dialogue.ids):,} tokens, at most {most:,} fit")
                    continue
                found.counts["used"] += 1
                found.counts["shortened"] += fitting is not dialogue
                source.append(number)
                ids.append(id)
                parts.append((fitting.ids, fitting.learnt))
    if not parts:
        raise InputError(_nothing(sources, found))
    dialogues = Dialogues(template.tokenizer.size, sources, np.array(source, np.int32), ids, parts)
    return dialogues, found


def _sound(items: Items, source: str, template: ChatTemplate, found: Found) -> Iterator[tuple[str, list[Turn]]]:
    """Dialogues with an answer to each question; the others are counted."""
    for fields in items.fields():
        found.counts["read"] += 1
        fault = fields if isinstance(fields, Fault) else None
        turns: list[Turn] = []
        if isinstance(fields, Fields):
            record = unpacked(fields.values)
            try:
                turns = turns_of(record)
            except JsonLineError as error:
                fault = fields.fault(error)
        if fault is not None:
            found.counts[fault.reason] += 1
            found.faults.append(fault)
            continue
        id = id_in(record) or id_of_text("\0".join(f"{role}\0{text}" for role, text in turns))
        try:
            turns = learnable(turns, template, found.counts)
        except JsonLineError as error:
            _leave(found, source, id, error.reason, error.detail)
            continue
        yield id, turns


def learnable(turns: list[Turn], template: ChatTemplate, counts: Counter[str]) -> list[Turn]:
    """The turns from a user's to an answer. JsonLineError: there are none that can be learnt."""
    for role, _ in turns:
        if role not in ROLES:
            raise JsonLineError("role.unknown", repr(role)[:80])
    unanswered = 0
    if turns and turns[-1][0] == "user" and any(role == "assistant" for role, _ in turns):
        turns, unanswered = turns[:-1], 1
    head = [turn for turn in turns[:1] if turn[0] == "system"]
    greeted = len(turns) > len(head) + 1 and turns[len(head)][0] == "assistant" and turns[len(head) + 1][0] == "user"
    if greeted:  # as ShareGPT's that were cut out of a longer talk: nothing was asked
        turns = [*head, *turns[len(head) + 1 :]]
    spoken = [role for role, _ in turns if role != "system"]
    if "assistant" not in spoken:
        raise JsonLineError("answer.missing", "no turn of an assistant")
    if any(role == "system" for role, _ in turns[1:]):
        raise JsonLineError("role.order", "a system message in the middle")
    if any(role != ("user", "assistant")[place % 2] for place, role in enumerate(spoken)):
        raise JsonLineError("role.order", ", ".join(spoken[:6]))
    if not all(text.strip() for role, text in turns if role == "assistant"):
        raise JsonLineError("answer.empty", "")
    if not all(text.strip() for role, text in turns if role == "user"):
        raise JsonLineError("question.empty", "")
    if (refused := template.accepts([role for role, _ in turns])) is not None:
        raise JsonLineError("template.refused", refused)
    counts["last_question_left_out"] += unanswered
    counts["first_answer_left_out"] += greeted
    return turns


def _shortened(turns: Sequence[Turn], template: ChatTemplate, most: int) -> Dialogue | None:
    """The first exchanges that fit, with their answers whole; None: not even one."""
    start = 1 if turns[0][0] == "system" else 0
    for end in range(len(turns) - 2, start + 1, -2):
        dialogue = template.dialogues([turns[:end]])[0]
        if len(dialogue.ids) <= most:
            return dialogue
    return None


def _leave(found: Found, source: str, id: str, reason: str, detail: str) -> None:
    found.counts[reason] += 1
    found.left.append(Left(source, id, reason, detail))


def _nothing(sources: Sequence[str], found: Found) -> str:
    reasons = {name: count for name, count in found.counts.items() if name not in ("read", "used", "shortened")}
    first = max(reasons, key=lambda name: reasons[name], default=None)
    why = f": {reasons[first]:,} of {found.counts['read']:,} have {first}" if first is not None else ""
    return f"There is no dialogue to train on in {', '.join(sources)}{why}; see docs/formats.md for the layouts."
