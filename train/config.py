"""The settings of each `train` command; every field's text is its help."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from runkit.config import Config

Share = Annotated[float, Field(ge=0, lt=1)]


class SampledConfig(Config):
    """Which documents a tokenizer is learnt from, and how long its pieces may be."""

    text_field: str = "text"
    """Field or column that holds the text."""
    held_out: Share = 0.01
    """Share of documents, chosen by a hash of their id, that is never learnt from, only measured on."""
    sample_mb: Annotated[float, Field(gt=0)] = 128.0
    """Megabytes of text to learn from; of more, a fair part is taken by hash. Memory: about 25 times as much."""
    longest: Annotated[int, Field(ge=2, le=64)] = 16
    """Characters of the longest piece."""


class FitConfig(SampledConfig):
    """Settings of `train tokenizer fit`."""

    vocab: Annotated[int, Field(ge=300, le=1_000_000)] = 32_000
    """Pieces in all: special tokens, 256 bytes, characters and merges."""
    special: list[str] = Field(["<|im_start|>", "<|im_end|>"])
    """Tokens beside <unk>, <s> and </s> that text never makes; chat templates use them."""


class ExtendConfig(SampledConfig):
    """Settings of `train tokenizer extend`."""

    add: Annotated[int, Field(ge=0, le=1_000_000)] = 20_000
    """Pieces to add, the words of --add-list among them."""


class TokensConfig(Config):
    """Settings of `train tokens`."""

    text_field: str = "text"
    """Field or column that holds the text."""
    bos: bool | None = None
    """Put the token that begins a text before each document; unset: if it is not the one that ends a text too."""
    eos: bool = True
    """Put the token that ends a text behind each document."""
    check: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of documents, by hash, that are decoded again and compared byte for byte."""
    shard_mb: Annotated[float, Field(gt=0)] = 8.0
    """Megabytes of input for one shard of tokens."""


class DataConfig(Config):
    """Which tokens are trained on, in what proportion, and how they are laid into rows."""

    weights: dict[str, Annotated[float, Field(ge=0)]] = Field({})
    """Share of each source in what is trained on; normalised. Empty: as large as the sources are."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens to train on in all; unset: one epoch of the source that would run out first."""
    seq_len: Annotated[int, Field(ge=8, le=1_048_576)] = 2048
    """Positions in a row."""
    held_out: Share = 0.01
    """Share of documents, chosen by a hash of their id, that is never trained on, only measured on."""
    waste: Annotated[float, Field(ge=0, le=1)] = 0.001
    """Share of positions that may stay empty; to get below it, short documents are cut into two rows."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Order of documents and rows."""

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.weights and not any(self.weights.values()):
            raise ValueError("every weight is 0; give at least one source a weight")
        return self
