"""A linear classifier over hashed character n-grams: how much a text is like the good ones it was fitted on.

In: texts. Out: a score in 0…1, calibrated so that of texts with the score s about s are like the good ones, good and
bad being as many. GPT-3 (Brown and others 2020, appendix A) and DCLM (Li and others 2024) choose web text by such
classifiers, over words; characters need no segmenter. Deterministic: the same text has the same score everywhere.
Price: 0.1 ms for 2,000 characters; a text beyond `most_chars` is judged by its beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpus.charclass import tables
from corpus.measure import to_codes
from corpus.quality_kernels import sums
from corpus.quality_model import read_model, write_model
from runkit.errors import InputError

KIND: Final = "quality"
MOST_BITS: Final = 24
MOST_CHARS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """Which n-grams are looked at, and how much of a text."""

    shortest: int
    longest: int
    bits: int
    most_chars: int


@dataclass(frozen=True, slots=True)
class Quality:
    """A fitted classifier. `slope`, `offset`: of the calibration (Platt 1999), on top of Σ weight / √n + bias."""

    shape: Shape
    weights: NDArray[np.float32]
    bias: float
    slope: float
    offset: float
    languages: tuple[str, ...]
    sha256: str = ""

    def margins(self, codes: NDArray[np.uint32], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the calibration takes: (documents,)."""
        t, shape = tables(), self.shape
        stamps = np.empty(len(self.weights), np.uint32)
        found = sums(
            *(codes, offsets, t.classes, t.fold, shape.shortest, shape.longest, shape.bits, shape.most_chars),
            self.weights,
            stamps,
        )
        return found + self.bias

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts),) in 0…1."""
        margins = self.margins(*to_codes([text[: 4 * self.shape.most_chars] for text in texts]))
        return calibrated(margins, self.slope, self.offset).astype(np.float32)


def calibrated(margins: NDArray[np.float64], slope: float, offset: float) -> NDArray[np.float64]:
    """Margins as probabilities."""
    return 1.0 / (1.0 + np.exp(-np.clip(slope * margins + offset, -30.0, 30.0)))


def save(path: Path, model: Quality, about: dict[str, Any]) -> str:
    """Write the model; its sha256. `about`: what it was fitted on and how it does, for people."""
    shape = model.shape
    head = {
        "shape": {name: getattr(shape, name) for name in Shape.__slots__},
        **{"bias": model.bias, "slope": model.slope, "offset": model.offset},
        "languages": list(model.languages),
        "about": about,
    }
    return write_model(path, KIND, head, {"weights": model.weights})


def load(path: Path) -> Quality:
    """UsageError: no model, or one of another kind. InputError: a damaged one."""
    file = read_model(path, KIND)
    try:
        shape = Shape(**{name: int(file.head["shape"][name]) for name in Shape.__slots__})
        bias, slope, offset = (float(file.head[name]) for name in ("bias", "slope", "offset"))
        languages = tuple(str(name) for name in file.head["languages"])
        weights = file.arrays["weights"]
        sound = 1 <= shape.shortest <= shape.longest <= 16 and 1 <= shape.bits <= MOST_BITS
        sound &= weights.dtype == np.float32 and weights.shape == (1 << shape.bits,)
        sound &= 1 <= shape.most_chars <= MOST_CHARS and bool(np.isfinite([bias, slope, offset]).all())
        if not sound:
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The model {path} does not fit its own description; fit it again.") from error
    return Quality(shape, weights, bias, slope, offset, languages, file.sha256)
