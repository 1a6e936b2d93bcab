"""Signals to a decision: every rule that a document breaks, as data from the yaml, never only the first.

In: a document's signals and language. Out: reasons `rules.<signal>` in the order of the config. A rule with a language
holds for that language alone; one without holds for all; a signal of a fitted model that is missing breaks none. Bounds
are rounded to 32 bits, as signals are, so that a value on its bound is kept and stored signals give the same decision
again. About 5 µs a document.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import Field, model_validator

from corpus.signals import ALL_SIGNALS, MODEL_SIGNALS
from runkit.config import Config

_SHARES = ("_share", "gram", "quality", "language_score")  # how the names of signals end that go from 0 to 1


class Rule(Config):
    """Bounds for one signal, both inclusive."""

    signal: str
    """The signal's column without its `s_`."""
    min: float | None = None
    """The smallest value that is kept."""
    max: float | None = None
    """The largest value that is kept."""
    language: str | None = None
    """Only for documents of this language (ISO 639-1)."""
    source: str = Field(min_length=1)
    """Where the threshold comes from."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if f"s_{self.signal}" not in ALL_SIGNALS:
            raise ValueError(
                f"`signal` = {self.signal!r} is no signal; there are {', '.join(n[2:] for n in ALL_SIGNALS)}"
            )
        if self.min is None and self.max is None:
            raise ValueError(f"rule `{self.signal}` has neither `min` nor `max`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise self.conflict("min", "max", "the smallest value kept is above the largest")
        for name, bound in (("min", self.min), ("max", self.max)):
            if bound is not None and self.signal.endswith(_SHARES) and not 0 <= bound <= 1:
                raise ValueError(f"`{name}` = {bound:g}: `{self.signal}` goes from 0 to 1, and 20 % are 0.2")
        return self


def single(value: float) -> float:
    """The nearest number that 32 bits hold, which is what signals are stored as."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else -float("inf")


class Rules:
    """The rules of a config, sorted out by language once."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._by_language: dict[str, list[tuple[str, str, float, float]]] = {}

    def broken(self, signals: Mapping[str, float], language: str) -> list[str]:
        """Reasons of all rules that these signals break."""
        if language not in self._by_language:
            self._by_language[language] = [
                (
                    f"s_{rule.signal}",
                    f"rules.{rule.signal}",
                    -float("inf") if rule.min is None else single(rule.min),
                    float("inf") if rule.max is None else single(rule.max),
                )
                for rule in self._rules
                if rule.language in (None, language)
            ]
        found = []
        for column, reason, low, high in self._by_language[language]:
            value = signals.get(column) if column in MODEL_SIGNALS else signals[column]
            if value is not None and not low <= value <= high:
                found.append(reason)
        return found
