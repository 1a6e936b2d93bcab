"""The config of `corpus stats`. Each docstring below a field is its help, which `corpus settings` prints."""

from pydantic import Field

from runkit.config import Config


class StatsConfig(Config):
    """What is counted."""

    text_field: str = "text"
    """JSONL and parquet field with the text."""
    line_chars: int = Field(8, ge=1)
    """Visible characters of a line that counts as one; shorter ones repeat by chance."""
    jaccard: float = Field(0.75, gt=0, le=1)
    """Two texts are near-duplicates when their character 5-grams agree this far."""
    near_mb: float = Field(24, ge=0, le=4096)
    """Near-duplicates are looked for in a fair sample of about so many MB of the inputs; 0: not at all."""
    seed: int = 0
    """Seed of that sample, and of `--sample`."""
