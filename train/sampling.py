"""Which token comes next: from one row of logits to an id, as one request wants it.

In: logits (V,) of the place behind a text, and a request's settings. Out: an id, and, if asked, its log-probability and
those of the likeliest ids. The order is that of transformers: penalties, constraint, temperature, top-k, top-p. Each
token takes one number of the request's own generator, laid over the ids in their order, so that what else is computed
in the same batch can only tell where two sums of probabilities differ by less than rounding. Price: 0.1 ms a token for
each request that is not plainly greedy, 3 ms where top-p needs more than `FEW` ids of 50,000.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

FEW: Final = 512  # likeliest ids that top-p looks at before it sorts them all


class RequestError(ValueError):
    """What is asked for cannot be generated; the text says why."""


class Constraint(Protocol):
    """What an answer may consist of, such as one JSON object; made for one answer."""

    def allowed(self, ids: Sequence[int]) -> Tensor | None:
        """Which ids may come behind the answer `ids`, (V,) of bool; None: all. Ends must be allowed to come."""
        ...

    def accept(self, id: int) -> None:
        """This id was chosen; it is none that ends the answer."""
        ...

    @property
    def done(self) -> bool:
        """Is the answer whole, so that nothing may follow?"""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How one answer is made. RequestError: a setting is outside of its range."""

    max_tokens: int
    """Tokens of the answer at most."""
    temperature: float = 1.0
    """Logits are divided by it; 0: always the likeliest id."""
    top_p: float = 1.0
    """Only the likeliest ids that together have this probability."""
    top_k: int = 0
    """Only so many likeliest ids; 0: all."""
    repetition_penalty: float = 1.0
    """Divides positive logits of ids in prompt or answer, multiplies negative ones (arXiv:1909.05858)."""
    presence_penalty: float = 0.0
    """Taken off the logits of ids in the answer."""
    frequency_penalty: float = 0.0
    """Taken off the logits of ids in the answer, once for each time."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer and are no part of it."""
    end_ids: frozenset[int] = frozenset()
    """Ids that end the answer and are no part of it."""
    seed: int | None = None
    """Of chance; None: another one each time."""
    logprobs: int | None = None
    """How many of the likeliest ids are told with each token; None: not even its own log-probability."""
    constraint: Constraint | None = None
    """What the answer may consist of."""

    def __post_init__(self) -> None:
        ranges = {
            "max_tokens": (self.max_tokens, 1, math.inf),
            "temperature": (self.temperature, 0, math.inf),
            "top_p": (self.top_p, 0, 1),
            "top_k": (self.top_k, 0, math.inf),
            "presence_penalty": (self.presence_penalty, -100, 100),
            "frequency_penalty": (self.frequency_penalty, -100, 100),
            "repetition_penalty": (self.repetition_penalty, 1e-3, 1e3),
            "logprobs": (self.logprobs or 0, 0, math.inf),
        }
        for name, (value, lowest, highest) in ranges.items():
            if not lowest <= value <= highest or value == math.inf:
                raise RequestError(f"{name} is {value}; it must be from {lowest} to {highest}.")
        if "" in self.stop:
            raise RequestError("A stop string is empty.")

    @property
    def plain(self) -> bool:
        """Is the likeliest id all that is asked for?"""
        changed = (self.repetition_penalty != 1.0, self.presence_penalty, self.frequency_penalty, self.constraint)
        return self.temperature == 0 and self.logprobs is None and not any(changed)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was chosen."""

    id: int
    bytes: bytes
    """What it stands for; empty for special tokens."""
    logprob: float
    """Natural logarithm of its probability, before temperature and penalties."""
    top: tuple[tuple[int, float], ...]
    """The likeliest ids with theirs, the likeliest first."""


class Chooser:
    """Chooses the tokens of one answer. `without` are ids that stand for nothing and are never chosen."""

    def __init__(self, sampling: Sampling, prompt: Iterable[int], size: int, without: Tensor | None = None) -> None:
        self.sampling, self.size, self.without = sampling, size, without
        self.generator = torch.Generator()
        if sampling.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(sampling.seed % 2**63)
        self.seen = set(prompt) if sampling.repetition_penalty != 1.0 else set()
        self.counts: Counter[int] = Counter()

    def choose(self, logits: Tensor, ids: Sequence[int]) -> int:
        """The id behind the answer `ids`; logits (V,), fp32 on the CPU, of which nothing is changed.

        RequestError: the constraint allows no id.
        """
        scores = self._penalized(logits[: self.size].clone())
        if self.without is not None:
            scores[self.without] = -math.inf
        if self.sampling.constraint is not None:
            self._forbid(scores, self.sampling.constraint.allowed(ids))
        chosen = int(scores.argmax()) if self.sampling.temperature == 0 else self._draw(scores)
        self.note(chosen)
        return chosen

    def note(self, chosen: int) -> None:
        """This id is part of the answer now."""
        if self.sampling.repetition_penalty != 1.0:
            self.seen.add(chosen)
        if self.sampling.presence_penalty or self.sampling.frequency_penalty:
            self.counts[chosen] += 1

    def _penalized(self, scores: Tensor) -> Tensor:
        wanted = self.sampling
        if self.seen:
            ids = torch.tensor([number for number in self.seen if number < self.size])
            found, penalty = scores[ids], wanted.repetition_penalty
            scores[ids] = torch.where(found < 0, found * penalty, found / penalty)
        if self.counts:
            times = torch.tensor(list(self.counts.values()), dtype=scores.dtype)
            taken = wanted.presence_penalty + wanted.frequency_penalty * times
            scores[torch.tensor(list(self.counts))] -= taken
        return scores

    def _forbid(self, scores: Tensor, allowed: Tensor | None) -> None:
        if allowed is None:
            return
        allowed = allowed[: self.size].to(scores.device)
        scores[: len(allowed)].masked_fill_(~allowed, -math.inf)
        scores[len(allowed) :] = -math.inf
        if not bool((scores > -math.inf).any()):
            raise RequestError("The constraint allows no token here.")

    def _draw(self, scores: Tensor) -> int:
        # Beside the likeliest, so that dividing by a temperature near 0 overflows for none but the unlikely.
        scores = (scores - scores.max()) / max(self.sampling.temperature, 1e-6)
        lowest = lowest_kept(scores, self.sampling.top_k, self.sampling.top_p)
        weights = scores.masked_fill(scores < lowest, -math.inf).double().softmax(0)
        reached = weights.cumsum(0)  # (V,)
        place = torch.rand((), generator=self.generator, dtype=torch.float64) * reached[-1]
        chosen = int(torch.searchsorted(reached, place, right=True))
        # Rounding may put the place behind the last id that has a share.
        return chosen if chosen < len(weights) and weights[chosen] > 0 else int(weights.argmax())


def lowest_kept(scores: Tensor, top_k: int, top_p: float) -> float:
    """The score of the last id that top-k and then top-p keep; ids with the same score are kept too."""
    if not 0 < top_k < len(scores):
        top_k = 0
    if top_k:
        highest = scores.topk(top_k).values
        if top_p >= 1:
            return float(highest[-1])
        highest = scores[scores >= highest[-1]].sort(descending=True).values  # with all that are as high as the last
        return float(highest[_kept(highest, highest.logsumexp(0), top_p) - 1])
    if top_p >= 1:
        return -math.inf
    total = scores.logsumexp(0)
    highest = scores.topk(min(FEW, len(scores))).values
    count = _kept(highest, total, top_p)
    if count == len(highest) < len(scores):
        highest = scores.sort(descending=True).values
        count = _kept(highest, total, top_p)
    return float(highest[count - 1])


def _kept(highest: Tensor, total: Tensor, top_p: float) -> int:
    """How many of these scores, sorted, are kept: all before which there is less than `top_p`."""
    shares = (highest - total).double().exp()
    return max(1, int((shares.cumsum(0) - shares < top_p).sum()))


def logprob_of(
    logits: Tensor, chosen: int, top: int, size: int, without: Tensor | None = None
) -> tuple[float, list[tuple[int, float]]]:
    """ln p of an id and the `top` likeliest of `size` ids with theirs, from logits (V,) of all rows."""
    logprobs = logits.log_softmax(0)
    mine = float(logprobs[chosen])
    if not top:
        return mine, []
    if without is not None:
        logprobs[without] = -math.inf
    values, ids = logprobs[:size].topk(min(top, size))
    return mine, list(zip(ids.tolist(), values.tolist(), strict=True))
