"""The config of `corpus decontaminate`. Each docstring below a field is its help, which `corpus settings` prints."""

from typing import Literal

from pydantic import Field

from runkit.config import Config


class DecontaminateConfig(Config):
    """Everything that shapes the output of `corpus decontaminate`."""

    ngram: int = Field(13, ge=3, le=200)
    """So many units in a row must be those of a test item: Han characters, words of other scripts (GPT-3: 13)."""
    min_units: int = Field(8, ge=3)
    """A test item of fewer than `ngram` units must stand in a document whole, and have at least so many."""
    answers: bool = True
    """Look for answers of test items too, where they are texts and no letters."""
    max_documents: int = Field(0, ge=0)
    """An n-gram in more documents than this is a common phrase and counts for nothing; 0: there are none."""
    action: Literal["cut", "drop"] = "cut"
    """cut: take the match and `margin` around it out; drop: take the whole document out."""
    margin: int = Field(200, ge=0)
    """With cut: characters on both sides that go with a match (GPT-3: 200)."""
    min_chars: int = Field(200, ge=1)
    """With cut: a piece between matches with fewer visible characters goes too (GPT-3: 200)."""
    max_pieces: int = Field(10, ge=1)
    """With cut: a document that would fall into more pieces goes as a whole (GPT-3: 10)."""
    text_field: str = "text"
    """Field of JSON lines and column of parquet that holds the text of a document."""
    shard_mb: float = Field(8, gt=0, le=4096)
    """Input bytes (as stored) of one unit of work, MB."""
