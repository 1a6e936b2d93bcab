"""Blocks in, a score for each out: above 0 is main text. Two rounds of trees, the second sees the first one's verdicts.

In: `Blocks` and a `Model` (the shipped weights are corpus/data/extract.npz, fitted by bench/fit_extract.py). Only sums,
divisions and comparisons in a fixed order, so every machine gets the same bits. About 2 ms for a page of 160 blocks.
"""

import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpus.blocks import Blocks
from corpus.blocks_around import fill_words
from corpus.blocks_columns import AT, FEATURES
from corpus.blocks_context import CONTEXT, fill_context
from corpus.blocks_cut import ELEMENT
from corpus.blocks_features import fill
from corpus.blocks_trees import score_trees
from corpus.blocks_words import score_words
from corpus.charclass import DATA, tables
from runkit.files import write_bytes

WEIGHTS = DATA / "extract.npz"
# Some references stop in the middle of their article, so scores fade along a long one, and a paragraph would be lost
# that looks like all before it. This share of the mean score of the blocks with the same tags and classes above them is
# added; out of fold it gains .001 in English, .0025 on pages of today's sites, .01 in forums, and nothing in Chinese.
TOGETHER = 0.6
_FEW = 3  # fewer blocks say nothing of each other
_SURE = 2.0  # what one score counts for at most in the mean
_CAP = 240.0  # and how many bytes of a block


@dataclass(frozen=True, slots=True)
class Trees:
    """N nodes of T trees. `threshold` holds the value of a leaf."""

    roots: NDArray[np.int32]  # (T,)
    feature: NDArray[np.int16]  # (N,), -1 in a leaf
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    bias: float

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(B, F) → (B,)."""
        out = np.empty(len(features), np.float64)
        score_trees(features, self.roots, self.feature, self.threshold, self.left, self.right, self.bias, out)
        return out


@dataclass(frozen=True, slots=True)
class Words:
    """A linear model over hashed n-grams."""

    weights: NDArray[np.int8]  # (BUCKETS,)
    scale: float
    bias: float

    def score(self, blocks: Blocks) -> NDArray[np.float64]:
        """(B,), near the log-odds that the wording is main text."""
        t = tables()
        out = np.empty(len(blocks), np.float64)
        score_words(blocks.text, blocks.rows, t.classes, t.fold, self.weights, 0.0, out)
        return out * self.scale + self.bias


@dataclass(frozen=True, slots=True)
class Model:
    """All weights: the wording's, and pairs of a first and a second round, fitted apart, whose scores are averaged."""

    words: Words
    rounds: tuple[tuple[Trees, Trees], ...]

    def save(self, path: Path) -> None:
        """As one compressed file of arrays."""
        arrays: dict[str, NDArray] = {
            "words": self.words.weights,
            "words_scale": np.array([self.words.scale, self.words.bias]),
        }
        for number, pair in enumerate(self.rounds):
            for name, trees in zip(("first", "second"), pair, strict=True):
                for field in ("roots", "feature", "threshold", "left", "right"):
                    arrays[f"{name}{number}_{field}"] = getattr(trees, field)
                arrays[f"{name}{number}_bias"] = np.array([trees.bias])
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
        write_bytes(path, packed.getvalue())


def load_model(path: Path) -> Model:
    """Read what `Model.save` wrote."""
    with np.load(path) as stored:
        scale, bias = stored["words_scale"].tolist()
        count = sum(name.startswith("first") and name.endswith("_roots") for name in stored)
        rounds = tuple((_trees(stored, f"first{n}"), _trees(stored, f"second{n}")) for n in range(count))
        return Model(Words(stored["words"], scale, bias), rounds)


def _trees(stored: Mapping[str, NDArray], name: str) -> Trees:
    return Trees(
        roots=stored[f"{name}_roots"],
        feature=stored[f"{name}_feature"],
        threshold=stored[f"{name}_threshold"],
        left=stored[f"{name}_left"],
        right=stored[f"{name}_right"],
        bias=float(stored[f"{name}_bias"][0]),
    )


@functools.cache
def shipped_model() -> Model:
    """The weights of the package, read once per process."""
    return load_model(WEIGHTS)


def base_features(blocks: Blocks) -> NDArray[np.float32]:
    """(B, FEATURES); the columns of the wording are 0 until `fill_words`."""
    out = np.zeros((len(blocks), len(FEATURES)), np.float32)
    if len(blocks):
        fill(blocks.elements, blocks.hints, blocks.paths, blocks.rows, blocks.counts, blocks.hashes, out)
    return out


def with_context(blocks: Blocks, base: NDArray[np.float32], scores: NDArray[np.float64]) -> NDArray[np.float32]:
    """(B, FEATURES + CONTEXT) for the second round."""
    out = np.zeros((len(blocks), len(CONTEXT)), np.float32)
    if len(blocks):
        fill_context(blocks.elements, blocks.paths, blocks.rows, base, scores, out)
    return np.concatenate([base, out], axis=1)


def judge(blocks: Blocks, model: Model) -> NDArray[np.float64]:
    """(B,), above 0 for main text."""
    base = base_features(blocks)
    if not len(blocks):
        return np.zeros(0)
    fill_words(model.words.score(blocks), base)
    scores = np.zeros(len(blocks))
    for first, second in model.rounds:
        scores += second.score(with_context(blocks, base, first.score(base)))
    scores /= len(model.rounds)
    return together(scores, blocks.paths[blocks.rows[:, ELEMENT], 1], base[:, AT["bytes"]])


def together(scores: NDArray[np.float64], looks: NDArray, sizes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scores (B,) moved towards what blocks of one look have in common; sizes in bytes."""
    _, group = np.unique(looks, return_inverse=True)
    weights = np.minimum(sizes.astype(np.float64), _CAP)
    mass = np.bincount(group, weights * np.clip(scores, -_SURE, _SURE))
    mean = mass / np.maximum(np.bincount(group, weights), 1.0)
    return scores + np.where(np.bincount(group)[group] >= _FEW, TOGETHER * mean[group], 0.0)
