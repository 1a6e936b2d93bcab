"""A character n-gram model: how surprising a text is, as CCNet tells clean text from the rest.

In: clean text to fit, any text to judge. Out: the perplexity of a character, e to the mean of −log p. Interpolated
modified Kneser-Ney (Chen and Goodman 1999) with counts of counts for its discounts; n-grams of three and more
characters that came too rarely are left out and their share given to the shorter ones, so that at most `most_ngrams`
remain and p still sums to one. CCNet (Wenzek and others 2020) cuts a crawl by perplexity into head, middle and tail
thirds; so do we, at the thirds of texts that were set aside or of another set. Price: 0.5 ms for 2,000 characters, as
the table is larger than a processor's cache; fitting 20 M characters takes 1.5 GB and 40 s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpus.charclass import tables
from corpus.measure import to_codes
from corpus.perplexity_kernels import LONGEST, SCALE, hash_orders, insert, mean_log_probability
from corpus.quality_model import read_model, write_model
from runkit.errors import InputError

KIND: Final = "perplexity"
CHARACTERS: Final = 2**16  # how many there might be: an unseen one has the 65,536th part of what is set aside for them
LOAD: Final = 0.7
BUCKETS: Final = ("head", "middle", "tail")


@dataclass(frozen=True, slots=True)
class NgramModel:
    """A fitted model. `terciles`: perplexities between head, middle and tail; None where nothing was measured."""

    order: int
    most_chars: int
    checks: NDArray[np.uint32]
    values: NDArray[np.int16]
    unseen: float
    languages: tuple[str, ...]
    terciles: tuple[float, float] | None = None
    sha256: str = ""

    def perplexities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts),); NaN for a text without characters."""
        t = tables()
        codes, offsets = to_codes([text[: 4 * self.most_chars] for text in texts])
        bits = np.uint64(len(self.checks).bit_length() - 1)
        means = mean_log_probability(
            *(codes, offsets, t.classes, t.fold, self.most_chars, self.order),
            *(self.checks, self.values, bits, self.unseen),
        )
        return np.exp(-means).astype(np.float32)

    def bucket(self, perplexity: float) -> str:
        """head, middle or tail."""
        assert self.terciles is not None
        return BUCKETS[sum(perplexity > bound for bound in self.terciles)]


@dataclass(frozen=True, slots=True)
class _Order:
    """All different n-grams of one length: the hash of each, of its last n − 1 and of its first n − 1 characters."""

    keys: NDArray[np.uint64]
    counts: NDArray[np.int64]
    ends: NDArray[np.uint64]
    contexts: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit comes to. `kept`: n-grams that remain of each length; `fewest`: how often those of three came."""

    checks: NDArray[np.uint32]
    values: NDArray[np.int16]
    unseen: float
    kept: list[int]
    fewest: int


def fit_ngrams(text: NDArray[np.uint32], order: int, most_ngrams: int) -> Fitted:
    """`text` begins with a line end, as `plain_text` leaves it."""
    found = _counted(text, order)
    fewest = _threshold(found, most_ngrams)
    below: tuple[NDArray[np.uint64], NDArray[np.float64]] | None = None  # keys, ascending, and p of the last length
    kept: list[tuple[NDArray[np.uint64], NDArray[np.float64]]] = []
    backoffs: list[NDArray[np.float64]] = []
    unseen = 0.0
    for n, level in enumerate(found, 1):
        weights = level.counts if n == order else _continuations(level.keys, found[n].ends)
        stays = np.ones(len(level.keys), np.bool_) if n < 3 else level.counts >= fewest
        own, contexts, gamma = _discounted(level, weights, stays)
        if n == 1:
            unseen = float(gamma[0] / CHARACTERS)
            probability = own[stays] + unseen
        else:
            assert below is not None
            share = gamma[np.searchsorted(contexts, level.contexts[stays])]
            shorter = below[1][np.searchsorted(below[0], level.ends[stays])]
            probability = own[stays] + share * shorter
            backoffs.append(_looked_up(contexts, gamma, kept[-1][0]))
        below = level.keys[stays], probability
        kept.append(below)
    backoffs.append(np.ones(len(kept[-1][0])))
    checks, values = _table(kept, backoffs)
    return Fitted(checks, values, float(np.log(unseen)), [len(keys) for keys, _ in kept], fewest)


def _counted(text: NDArray[np.uint32], order: int) -> list[_Order]:
    found = []
    shorter = np.zeros(len(text), np.uint64)
    for n in range(1, order + 1):
        hashes = hash_orders(text, n, shorter)
        keys, first, counts = np.unique(hashes[n - 1 :], return_index=True, return_counts=True)
        first += n - 1
        ends = shorter[first] if n > 1 else np.zeros(len(keys), np.uint64)
        contexts = shorter[first - 1] if n > 1 else np.zeros(len(keys), np.uint64)
        found.append(_Order(keys, counts.astype(np.int64), ends, contexts))
        shorter = hashes
    return found


def _threshold(found: Sequence[_Order], most: int) -> int:
    """How often an n-gram of three or more must have come to remain."""
    fixed = sum(len(level.keys) for level in found[:2])
    fewest = 2
    while fewest < 1_000_000 and fixed + sum(int((level.counts >= fewest).sum()) for level in found[2:]) > most:
        fewest += 1
    return fewest


def _continuations(keys: NDArray[np.uint64], ends: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Before how many n-grams' ends each key stands: Kneser and Ney's counts. At least 1: the text's first has none."""
    ended, counts = np.unique(ends, return_counts=True)
    found = np.ones(len(keys), np.int64)
    found[np.searchsorted(keys, ended)] = counts
    return found


def _discounted(
    level: _Order, weights: NDArray[np.int64], stays: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.uint64], NDArray[np.float64]]:
    """(own share of each n-gram within its context, contexts ascending, what each leaves to shorter n-grams)."""
    contexts, place = np.unique(level.contexts, return_inverse=True)
    totals = np.bincount(place, weights)
    own = (weights - _discounts(weights)[np.minimum(weights, 3)]) / totals[place]
    left = 1.0 - np.bincount(place[stays], own[stays], minlength=len(contexts))
    return own, contexts, np.clip(left, 1e-6, 1.0)


def _discounts(weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """What is taken from a count of 0, 1, 2, 3 and more (Chen and Goodman 1999, equation 26)."""
    n = np.bincount(np.minimum(weights, 5), minlength=6).astype(np.float64)
    found = np.array([0.0, 0.5, 0.75, 0.9])  # where a text is too small to tell
    if n[1] and n[2]:
        y = n[1] / (n[1] + 2 * n[2])
        for count in (1, 2, 3):
            if n[count] and n[count + 1]:
                found[count] = min(max(count - (count + 1) * y * n[count + 1] / n[count], 0.05), count - 0.05)
    return found


def _looked_up(
    contexts: NDArray[np.uint64], gamma: NDArray[np.float64], keys: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """What each key leaves to shorter n-grams as a context; all of it where it never was one."""
    place = np.minimum(np.searchsorted(contexts, keys), len(contexts) - 1)
    return np.where(contexts[place] == keys, gamma[place], 1.0)


def _table(
    kept: Sequence[tuple[NDArray[np.uint64], NDArray[np.float64]]], backoffs: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.uint32], NDArray[np.int16]]:
    total = sum(len(keys) for keys, _ in kept)
    slots = 1 << max(4, int(np.ceil(np.log2(total / LOAD))))
    checks, values = np.zeros(slots, np.uint32), np.zeros((slots, 2), np.int16)
    for (keys, probability), backoff in zip(kept, backoffs, strict=True):
        logs = [np.clip(np.round(np.log(part) * SCALE), -32768, 0).astype(np.int16) for part in (probability, backoff)]
        insert(keys, checks, values, *logs)
    return checks, values


def save(path: Path, model: NgramModel, about: dict[str, Any]) -> str:
    """Write the model; its sha256."""
    head = {
        **{"order": model.order, "most_chars": model.most_chars, "unseen": model.unseen},
        **{"languages": list(model.languages), "terciles": model.terciles, "about": about},
    }
    return write_model(path, KIND, head, {"checks": model.checks, "values": model.values})


def load(path: Path) -> NgramModel:
    """UsageError: no model, or one of another kind. InputError: a damaged one."""
    file = read_model(path, KIND)
    try:
        order, most = int(file.head["order"]), int(file.head["most_chars"])
        checks, values, unseen = file.arrays["checks"], file.arrays["values"], float(file.head["unseen"])
        bounds = file.head["terciles"]
        terciles = None if bounds is None else (float(bounds[0]), float(bounds[1]))
        languages = tuple(str(name) for name in file.head["languages"])
        slots = len(checks)
        sound = 1 <= order <= LONGEST and 1 <= most <= 1_000_000 and np.isfinite(unseen)
        sound &= checks.dtype == np.uint32 and values.dtype == np.int16 and values.shape == (slots, 2)
        sound &= slots >= 16 and slots & (slots - 1) == 0
        if not sound or not (checks == 0).any():  # a full table has no end to a search
            raise ValueError
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"The model {path} does not fit its own description; fit it again.") from error
    return NgramModel(order, most, checks, values, unseen, languages, terciles, file.sha256)
