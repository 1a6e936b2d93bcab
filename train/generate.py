"""Answers of a model to many prompts at once, token by token; what `train serve` and `train chat` stand on.

In: prompts as ids, each with its own `Sampling`. Out: pieces of text as they become certain, to a callback. Requests
join and leave between two tokens, and a long prompt is read in parts, so that those that are being answered go on
meanwhile. A request's tokens do not depend on what else is computed, as far as rounding allows.

Price, with SmolLM2-135M in fp32 (538 MB): 113 MB for its tied embedding in another order, 439 MB for a copy of the
weights laid out for several rows, made with the first prompt, and 46 KB of keys and values for each position of the
cache, whose rows are all as long as the longest text in it (94 MB for two texts of 1,000 tokens; 3 GB at most with 8
slots and the model's 8,192 positions). It is given back when nothing is left to do.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import torch
from torch import Tensor

from train.answer_text import AnswerText
from train.decode import Decoding, Part
from train.measuring import check_vocab, no_numbers
from train.model import Model
from train.pieces import Tokenizer
from train.sampling import Chooser, Constraint, RequestError, Sampling, Token, logprob_of

__all__ = [
    "Constraint",
    "Engine",
    "Handle",
    "Piece",
    "RequestError",
    "Result",
    "Sampling",
    "Token",
    "generate",
    "score",
]

PROMPT_PART: Final = 512  # ids of prompts in one step: so long the others wait for their next token
Finish = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer handed on."""

    text: str
    """Whole characters, and nothing that could be the beginning of a stop string."""
    tokens: tuple[Token, ...]
    """What was chosen since the last piece, if log-probabilities are asked for; may run ahead of the text."""
    finish: Finish | None
    """Why the answer ends here; None: it goes on."""
    count: int
    """Tokens of the answer so far, without the one that ended it."""
    error: Exception | None = None
    """What went wrong, where `finish` is "error"."""


@dataclass(eq=False)
class Handle:
    """A request. Whoever submitted it only reads it."""

    prompt: tuple[int, ...]
    sampling: Sampling
    on_piece: Callable[[Piece], None]
    text: AnswerText
    chooser: Chooser
    room: int  # tokens of the answer at most
    ids: list[int] = field(default_factory=list)  # the answer
    read: int = 0  # ids of the prompt that are in the cache
    finish: Finish | None = None
    cancelled: bool = False
    error: Exception | None = None  # that `on_piece` raised, which is as good as a cancellation

    def choose(self, logits: Tensor) -> int:
        """The next id, from logits (V,). Raises what the constraint raises."""
        chosen = self.chooser.choose(logits, self.ids)
        if self.sampling.constraint is not None and chosen not in self.sampling.end_ids:
            self.sampling.constraint.accept(chosen)
        return chosen

    def hand_on(self, piece: Piece) -> None:
        """Call `on_piece`; its errors are nobody else's."""
        try:
            self.on_piece(piece)
        except Exception as error:
            self.error, self.cancelled = error, True

    def next_part(self, row: int, most: int) -> Part:
        """What the model reads next."""
        if self.read < len(self.prompt):
            return Part(row, self.read, self.prompt[self.read : self.read + most])
        return Part(row, len(self.prompt) + len(self.ids) - 1, self.ids[-1:])


@dataclass(frozen=True, slots=True)
class Result:
    """A whole answer."""

    ids: tuple[int, ...]
    text: str
    finish: Finish
    tokens: tuple[Token, ...]


class Engine:
    """Continuous batching. `step` and `run` belong to one thread, all else to any.

    At most `slots` answers are made at a time, the others wait in order. `seq_len`: prompt and answer together; unset:
    what the model is made for. `pack`: whether the weights may be there twice for speed. The model goes on working, but
    its weights lie otherwise in memory: do not train it any more. InputError: it has fewer rows than the tokenizer ids.
    """

    def __init__(
        self, model: Model, tokenizer: Tokenizer, *, slots: int = 8, seq_len: int | None = None, pack: bool = True
    ) -> None:
        check_vocab(model, tokenizer)
        self.tokenizer, self.slots = tokenizer, slots
        self.seq_len = min(seq_len or model.config.seq_len, model.config.seq_len)
        self.decoding = Decoding(model, self.seq_len, pack)
        self.vocab = model.config.vocab
        holes = [number for number in range(tokenizer.size) if not tokenizer.piece(number)]
        self.without = torch.tensor(holes) if holes else None
        # Rows of the cache: those that get a token each step come first, then those whose prompt is being read.
        self._rows: list[Handle] = []
        self._answering = 0
        self._waiting: deque[Handle] = deque()
        self._news = threading.Condition()

    @property
    def active(self) -> int:
        """Requests that have a place in the cache."""
        return len(self._rows)

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        return len(self._waiting)

    def submit(self, prompt: Sequence[int], sampling: Sampling, on_piece: Callable[[Piece], None]) -> Handle:
        """Ask for an answer; `on_piece` is called from the thread that steps, and must not take long.

        RequestError: an empty prompt, one with ids that the model does not have, or one that leaves no room.
        """
        ids = tuple(map(int, prompt))
        if not ids:
            raise RequestError("The prompt is empty.")
        if min(ids) < 0 or max(ids) >= self.vocab:
            raise RequestError(f"The prompt has an id outside of 0 to {self.vocab - 1}.")
        if len(ids) >= self.seq_len:
            raise RequestError(
                f"The prompt has {len(ids):,} tokens and leaves no room for an answer within {self.seq_len:,}."
            )
        handle = Handle(
            prompt=ids,
            sampling=sampling,
            on_piece=on_piece,
            text=AnswerText(self.tokenizer, ids, sampling.stop),
            chooser=Chooser(sampling, ids, self.tokenizer.size, self.without),
            room=min(sampling.max_tokens, self.seq_len - len(ids)),
        )
        with self._news:
            self._waiting.append(handle)
            self._news.notify_all()
        return handle

    def cancel(self, handle: Handle) -> None:
        """No further token for this request; its last piece comes with the next step. Nothing if it has ended."""
        with self._news:
            handle.cancelled = True
            self._news.notify_all()

    def run(self, stop: threading.Event) -> None:
        """Step until `stop` is set; what is unfinished then ends as cancelled."""
        while not stop.is_set():
            if not self.step():
                with self._news:
                    if not self._waiting:
                        self._news.wait(0.1)  # setting `stop` wakes nobody
        with self._news:
            for handle in (*self._rows, *self._waiting):
                handle.cancelled = True
        self._drop_cancelled()

    def step(self) -> bool:
        """One token for each active request, or a part of a prompt; False: there is nothing to do."""
        self._drop_cancelled()
        self._admit()
        if not self._rows:
            return False
        singles = [handle.next_part(row, 1) for row, handle in enumerate(self._rows[: self._answering])]
        longer = self._prompt_parts()
        try:
            logits = self.decoding.step(singles, longer)  # (parts, V)
        except Exception as error:  # such as no memory: it ends these requests, not the engine
            for handle in list(self._rows):
                self._end(handle, "error", error=error)
            return True
        handles = [self._rows[part.row] for part in (*singles, *longer)]
        for part in longer:
            self._rows[part.row].read = part.end
        self._begin_answers(handles[len(singles) :])
        reached = [(handle, number) for number, handle in enumerate(handles) if handle.read == len(handle.prompt)]
        if reached:
            self._choose(reached, logits)
        return True

    def _prompt_parts(self) -> list[Part]:
        """Equal parts of all prompts that are being read, but what the short ones leave goes to the long ones."""
        rows = range(self._answering, len(self._rows))
        left, parts = PROMPT_PART, list[Part]()
        shortest_first = sorted(rows, key=lambda row: len(self._rows[row].prompt) - self._rows[row].read)
        for number, row in enumerate(shortest_first):
            parts.append(self._rows[row].next_part(row, max(1, left // (len(rows) - number))))
            left -= len(parts[-1].ids)
        return parts

    def _begin_answers(self, handles: Sequence[Handle]) -> None:
        """Those of them whose prompt is read come to stand behind the last that has an answer."""
        for handle in handles:
            if handle.read < len(handle.prompt):
                continue
            row, first = self._rows.index(handle), self._answering
            if row != first:
                self.decoding.swap(row, first, max(handle.read, self._rows[first].read))
                self._rows[row], self._rows[first] = self._rows[first], handle
            self._answering += 1

    def _admit(self) -> None:
        with self._news:
            while self._waiting and len(self._rows) < self.slots:
                self._rows.append(self._waiting.popleft())

    def _drop_cancelled(self) -> None:
        with self._news:
            gone = [handle for handle in (*self._rows, *self._waiting) if handle.cancelled]
            for handle in gone:
                if handle in self._waiting:
                    self._waiting.remove(handle)
        for handle in gone:
            self._end(handle, "cancelled")

    def _choose(self, reached: Sequence[tuple[Handle, int]], logits: Tensor) -> None:
        """A token for each of these requests from its row of logits (parts, V)."""
        size = self.tokenizer.size
        sums = logits.sum(-1).tolist()  # one number that is none makes the sum none
        plain = [0] * len(logits)
        if any(handle.sampling.plain for handle, _ in reached):
            usable = logits[:, :size]
            if self.without is not None:
                usable = usable.index_fill(1, self.without.to(usable.device), -torch.inf)
            plain = usable.argmax(-1).tolist()
        rows = logits if all(handle.sampling.plain for handle, _ in reached) else logits.cpu()
        for handle, number in reached:
            if not _finite(sums[number]):
                self._end(handle, "error", error=no_numbers())
                continue
            try:
                chosen = plain[number] if handle.sampling.plain else handle.choose(rows[number])
            except Exception as error:  # mostly of a constraint that others wrote
                self._end(handle, "error", error=error)
                continue
            self._take(handle, chosen, rows[number])

    def _take(self, handle: Handle, chosen: int, logits: Tensor) -> None:
        wanted = handle.sampling
        if chosen in wanted.end_ids:
            self._end(handle, "stop")
            return
        handle.ids.append(chosen)
        tokens: tuple[Token, ...] = ()
        if wanted.logprobs is not None:
            logprob, top = logprob_of(logits, chosen, wanted.logprobs, self.tokenizer.size, self.without)
            tokens = (Token(chosen, self.tokenizer.piece_bytes[chosen], logprob, tuple(top)),)
        text = handle.text.push(chosen)
        if handle.text.stopped or (wanted.constraint is not None and wanted.constraint.done):
            self._end(handle, "stop", text, tokens)
        elif len(handle.ids) >= handle.room:
            self._end(handle, "length", text, tokens)
        elif text or tokens:
            handle.hand_on(Piece(text, tokens, None, len(handle.ids)))

    def _end(
        self,
        handle: Handle,
        finish: Finish,
        text: str = "",
        tokens: tuple[Token, ...] = (),
        error: Exception | None = None,
    ) -> None:
        """Free the row of a request and hand on its last piece."""
        if handle.finish is not None:
            return
        handle.finish = finish
        if handle in self._rows:
            row = self._rows.index(handle)
            if error is not None:
                self.decoding.wipe(row)
            self._free(row)
        handle.hand_on(Piece(text + handle.text.end(), tokens, finish, len(handle.ids), error))

    def _free(self, row: int) -> None:
        """The last row that has an answer takes the place of this one, and the last row of all that one's."""
        if row < self._answering:
            self._answering -= 1
            self._copy(self._answering, row)
            row = self._answering
        self._copy(len(self._rows) - 1, row)
        self._rows.pop()
        if not self._rows:
            self.decoding.clear()

    def _copy(self, source: int, target: int) -> None:
        if source != target:
            handle = self._rows[source]
            if handle.read:  # else its row need not be there yet
                self.decoding.move(source, target, handle.read + len(handle.ids))
            self._rows[target] = handle


def _finite(number: float) -> bool:
    return abs(number) < float("inf")


def generate(engine: Engine, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Result]:
    """The whole answer to each prompt, made together by this thread. Raises what ended an answer with an error."""
    pieces: list[list[Piece]] = [[] for _ in prompts]
    handles = [engine.submit(prompt, sampling, found.append) for prompt, found in zip(prompts, pieces, strict=True)]
    while any(handle.finish is None for handle in handles) and engine.step():
        pass
    results = []
    for handle, found in zip(handles, pieces, strict=True):
        if found[-1].error is not None:
            raise found[-1].error
        assert handle.finish is not None
        text = "".join(piece.text for piece in found)
        tokens = tuple(token for piece in found for token in piece.tokens)
        results.append(Result(tuple(handle.ids), text, handle.finish, tokens))
    return results


SCORED: Final = 64  # positions whose logits are in memory at a time


@torch.inference_mode()
def score(
    model: Model, ids: Sequence[int], top: int = 0, size: int | None = None
) -> tuple[list[float], list[tuple[tuple[int, float], ...]]]:
    """ln p of each id behind those before it, from the second on, and the `top` likeliest at each of these places.

    Only the first `size` ids are among the likeliest, for rows of the model behind a tokenizer's last id stand for
    nothing.

    RequestError: fewer than two ids, more than the model is made for, or ids that it does not have.
    """
    if not 0 < len(ids) <= model.config.seq_len or min(ids) < 0 or max(ids) >= model.config.vocab:
        raise RequestError(
            f"{len(ids):,} ids; the model takes 1 to {model.config.seq_len:,}, each below {model.config.vocab:,}."
        )
    device = model.lm_head.weight.device
    rows = torch.tensor([list(ids)], device=device)
    hidden = model.hidden(rows)[0, :-1]  # (T − 1, D)
    found: list[float] = []
    likeliest: list[tuple[tuple[int, float], ...]] = []
    for first in range(0, len(hidden), SCORED):
        logprobs = model.logits(hidden[first : first + SCORED]).float().log_softmax(-1)  # (n, V)
        targets = rows[0, first + 1 : first + 1 + len(logprobs)]
        found += logprobs.gather(1, targets[:, None])[:, 0].tolist()
        values, best = logprobs[:, :size].topk(top, -1)
        likeliest += [
            tuple(zip(numbers, logs, strict=True)) for numbers, logs in zip(best.tolist(), values.tolist(), strict=True)
        ]
    if not all(map(_finite, found)):
        raise no_numbers()
    return found, likeliest
