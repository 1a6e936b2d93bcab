"""Which blocks of a page are main text, from its reference: blocks' texts and the reference in, labels and weights out.

A block is main text where it stands in the reference at a place that agrees with the order of its neighbours.
"""

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

from bench.extract import ngrams


def letters(text: str, language: str) -> str:
    """A text as it is aligned: without white space in Chinese, as words between single spaces in English."""
    text = unicodedata.normalize("NFKC", text)
    if language == "zh":
        return "".join(text.split())
    words = " ".join(re.findall(r"[^\W_]+", text.lower()))
    return f" {words} "


class _Best:
    """A Fenwick tree over positions: the best value at or before one."""

    def __init__(self, size: int) -> None:
        self.values: list[tuple[float, int]] = [(0.0, -1)] * (size + 2)

    def put(self, at: int, value: tuple[float, int]) -> None:
        at += 1
        while at < len(self.values):
            self.values[at] = max(self.values[at], value)
            at += at & -at

    def get(self, at: int) -> tuple[float, int]:
        at += 1
        best = (0.0, -1)
        while at > 0:
            best = max(best, self.values[at])
            at -= at & -at
        return best


def chain(texts: list[str], reference: str) -> set[int]:
    """The blocks of the heaviest sequence that stands in the reference in the same order without overlap."""
    best = _Best(len(reference))
    steps: list[tuple[int, int]] = []  # block, step before
    for index, text in enumerate(texts):
        if not text.strip():
            continue
        found, at = [], reference.find(text)
        while at >= 0 and len(found) < 30:
            value, before = best.get(at + 1 if text[0] == " " else at)
            steps.append((index, before))
            found.append((at + len(text), (value + len(text.strip()), len(steps) - 1)))
            at = reference.find(text, at + 1)
        for end, value_and_step in found:
            best.put(end, value_and_step)
    chosen: set[int] = set()
    step = best.get(len(reference))[1]
    while step >= 0:
        chosen.add(steps[step][0])
        step = steps[step][1]
    return chosen


def labels(texts: list[str], reference: str, language: str) -> NDArray[np.bool_]:
    """Which blocks are main text: in order, or, where they differ in a detail, by most of their 4-grams."""
    chosen = chain([letters(text, language) for text in texts], letters(reference, language))
    grams = ngrams(reference, language)
    enough = 8 if language == "zh" else 5
    out = np.zeros(len(texts), np.bool_)
    for index, text in enumerate(texts):
        out[index] = index in chosen
        if index not in chosen:
            own = ngrams(text, language)
            known = sum(count for gram, count in own.items() if gram in grams)
            out[index] = own.total() >= enough and known > 0.5 * own.total()
    return out


def weights(texts: list[str], reference: str, language: str) -> NDArray[np.float64]:
    """What a block is worth in the page's F1: its length beside that of the reference."""
    sizes = [len(t) if language == "zh" else t.count(" ") - 1 for t in (letters(x, language) for x in texts)]
    total = max(ngrams(reference, language).total(), 20)
    return np.minimum((np.maximum(np.array(sizes, float), 0.0) + 2.0) / total, 0.15)
