"""The configs of `corpus quality`. Each docstring below a field is its help."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from runkit.config import Config


class SetsConfig(Config):
    """How sets of texts are read."""

    text_field: str = "text"
    """JSONL and parquet field with the text."""
    languages: list[Annotated[str, Field(pattern="^[a-z]{2,3}$")]] = Field([])
    """Languages that are read and judged, as [zh]; none: those that make a twentieth of the good texts or more."""
    characters: int = Field(20_000_000, ge=1_000, le=400_000_000)
    """So many characters of each set are taken at most, as a fair draw of its documents."""
    held_out: float = Field(0.2, gt=0, lt=0.9)
    """Share of the texts that is set aside to measure on; by site, where there are sites enough."""
    seed: int = 0
    """Seed of the draws."""


class QualityConfig(SetsConfig):
    """How a classifier is fitted."""

    shortest: int = Field(1, ge=1, le=8)
    """Characters of the shortest n-gram."""
    longest: int = Field(4, ge=1, le=8)
    """Characters of the longest n-gram."""
    bits: int = Field(18, ge=10, le=22)
    """The table of weights has 2^bits places: 18 are 1 MB, which stay in a processor's cache."""
    most_chars: int = Field(10_000, ge=100, le=1_000_000)
    """Characters of a text that are looked at."""
    c: float = Field(10.0, gt=0)
    """Inverse strength of the regularisation (scikit-learn's C)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.shortest > self.longest:
            raise self.conflict("shortest", "longest", "the shortest n-gram is longer than the longest")
        return self


class PerplexityConfig(SetsConfig):
    """How a character n-gram model is fitted."""

    held_out: float = Field(0.1, gt=0, lt=0.9)
    """Share of the texts that is set aside to measure on; by site, where there are sites enough."""
    order: int = Field(5, ge=2, le=8)
    """Characters of the longest n-gram."""
    most_ngrams: int = Field(2_900_000, ge=1_000, le=200_000_000)
    """So many n-grams remain at most; 2.9 million are 34 MB."""
    most_chars: int = Field(4_000, ge=100, le=1_000_000)
    """Characters of a text that are looked at when it is judged."""


class ScoreConfig(Config):
    """How a set is scored."""

    text_field: str = "text"
    """JSONL and parquet field with the text."""
