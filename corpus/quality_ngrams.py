"""The n-grams of texts for fitting a classifier, and those that speak loudest in a fitted one.

In: texts and the shape of a model. Out: places in its table of weights, batch by batch; and, for people, which n-grams
stand behind the places that matter. Different n-grams may share a place: the one that most texts have gives its name.
Price: 0.1 ms a text, and three passes for the names.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpus.charclass import tables
from corpus.measure import to_codes
from corpus.quality import Shape
from corpus.quality_kernels import features, find_places, plain_codes
from corpus.quality_sets import Text

BATCH: Final = 256
STRONGEST: Final = 40


def batches(texts: Sequence[Text]) -> list[Sequence[Text]]:
    """Texts in lots that a kernel takes at once."""
    return [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]


def codes_of(texts: Sequence[Text], shape: Shape) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """As much of each text as a model may look at; white space shrinks, hence four times."""
    return to_codes([text.text[: 4 * shape.most_chars] for text in texts])


def features_of(texts: Sequence[Text], shape: Shape) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(places, ends): those of text t at ends[t] : ends[t + 1]."""
    t = tables()
    places, counts = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)]
    for batch in batches(texts):
        codes, offsets = codes_of(batch, shape)
        found, ends = features(
            codes, offsets, t.classes, t.fold, shape.shortest, shape.longest, shape.bits, shape.most_chars
        )
        places.append(found)
        counts.append(np.diff(ends))
    return np.concatenate(places), np.cumsum(np.concatenate(counts))


def strongest(
    weights: NDArray[np.float32], learn: Sequence[Sequence[Text]], shape: Shape
) -> dict[str, list[dict[str, Any]]]:
    """The n-grams that move most for and against, with the shares of good and of bad texts that have them."""
    shares = [np.bincount(features_of(texts, shape)[0], minlength=len(weights)) / len(texts) for texts in learn]
    # Weight times how many have it: what it moves in all, not what it would move in one rare text.
    moved = weights * (shares[0] + shares[1])
    order = np.argsort(-moved, kind="stable")
    sides = {"good": order[: 2 * STRONGEST], "bad": order[::-1][: 2 * STRONGEST]}
    wanted = np.zeros(len(weights), np.bool_)
    for places in sides.values():
        wanted[places] = True
    names = _names([*learn[0], *learn[1]], shape, wanted)
    found: dict[str, list[dict[str, Any]]] = {}
    for side, places in sides.items():
        rows = []
        for place in places.tolist():
            if place in names and (weights[place] > 0) == (side == "good"):
                name = max(names[place].items(), key=lambda item: (item[1], item[0]))[0]
                good, bad = (round(float(share[place]), 4) for share in shares)
                rows.append({"ngram": name, "weight": round(float(weights[place]), 3), "good": good, "bad": bad})
        found[side] = rows[:STRONGEST]
    return found


def _names(texts: Sequence[Text], shape: Shape, wanted: NDArray[np.bool_]) -> dict[int, Counter[str]]:
    """Place → the n-grams that fall on it, with how many texts have each first."""
    t = tables()
    names: dict[int, Counter[str]] = {}
    text = np.empty(shape.most_chars, np.uint32)
    for batch in batches(texts):
        codes, offsets = codes_of(batch, shape)
        rows = find_places(
            *(codes, offsets, t.classes, t.fold, shape.shortest, shape.longest, shape.bits, shape.most_chars), wanted
        )
        at = -1
        for place, number, start, length in rows.tolist():
            if number != at:
                begin, end = offsets[number], offsets[number + 1]
                plain_codes(codes, begin, end, t.classes, t.fold, shape.most_chars, text)
                at = number
            name = "".join(map(chr, text[start : start + length].tolist()))
            names.setdefault(place, Counter())[name] += 1
    return names
