"""The settings of each `selfinstruct` command; every field's text is its help."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from runkit.config import Config
from selfinstruct.filters import FilterConfig
from selfinstruct.kinds import BY_KEY

Count = Annotated[int, Field(ge=1)]


class NoveltyConfig(Config):
    """When an item is like another one."""

    tokenizer: Literal["char", "word", "jieba"] = "char"
    """char: a Chinese character or a run of other letters and digits is one token; word: what spaces divide; jieba:
    Chinese words."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Highest ROUGE-L F1 to a seed or an item that was kept."""


class GenerateConfig(Config):
    """Settings of `selfinstruct generate`."""

    kinds: dict[str, Annotated[float, Field(ge=0)]] = Field({})
    """Share of each kind, normalised; empty: all twelve alike. A kind that is not named then has none."""
    items_per_request: Annotated[int, Field(ge=1, le=50)] = 4
    """New items that one request asks for."""
    examples: Annotated[int, Field(ge=1, le=20)] = 3
    """Worked examples in each prompt; up to a third of them are items that were kept."""
    structured: Literal["auto", "on", "off"] = "auto"
    """JSON by a schema; auto: one small call finds out whether the endpoint has it, else a numbered list."""
    two_phase: bool = False
    """Ask for tasks first, and answer each one alone."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.9
    """Of requests for items; answers of the second phase use `answer_temperature`."""
    answer_temperature: Annotated[float, Field(ge=0, le=2)] = 0.3
    """Of answers alone."""
    max_tokens: Count = 3000
    """Longest reply."""
    window: Annotated[int, Field(ge=1, le=4096)] = 64
    """Request i is built from the state after answer i - window, whatever the number of calls at a time."""
    document_characters: Annotated[int, Field(ge=50, le=100_000)] = 1200
    """Longest part of a document that is given as material."""
    documents: Count = 20_000
    """Most documents that are held; of more, a fair part."""
    patience: Count = 50
    """Requests of a kind without one item kept, after which it is set aside."""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """Of kinds, topics and examples."""
    novelty: NoveltyConfig = NoveltyConfig()
    """When an item is like another one."""
    filters: FilterConfig = FilterConfig()
    """What an item must be."""

    @model_validator(mode="after")
    def _known_kinds(self) -> Self:
        unknown = [name for name in self.kinds if name not in BY_KEY]
        if unknown:
            raise ValueError(f"`kinds.{unknown[0]}` is unknown; known are {', '.join(BY_KEY)}")
        if self.kinds and not any(self.kinds.values()):
            raise ValueError("`kinds`: all have a share of 0; give one of them more")
        return self
