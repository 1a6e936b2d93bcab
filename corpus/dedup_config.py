"""The config of `corpus dedup`, and `DedupConfig`, which that of `corpus clean` has too.

Each docstring below a field is its help, which `corpus settings` prints.
"""

from typing import Literal

from pydantic import Field

from runkit.config import Config

Keep = Literal["first", "none"]


class DedupConfig(Config):
    """Duplicates among the kept documents; the best of each cluster stays."""

    enabled: bool = True
    """Find copies at all: exact and near-duplicates by text, and `by_url`."""
    by_url: bool = True
    """Copies by normalised URL too."""
    url_jaccard: float = Field(0.2, ge=0, le=1)
    """Pages of one URL are copies when their 5-grams agree this far: some sites give all pages one address."""
    jaccard: float = Field(0.75, gt=0, le=1)
    """Two texts are near-duplicates when their character 5-grams agree this far (FineWeb: 75 %)."""


class DocumentsConfig(DedupConfig):
    """Whole documents; the best of each cluster stays."""

    by_url: bool = False
    """Copies by normalised URL too."""
    prefer: list[str] = Field([])
    """Sources whose version stays, the most wanted first: [wiki, books]."""


class LinesConfig(Config):
    """Lines that stand in many documents: boilerplate."""

    enabled: bool = True
    """Cut such lines."""
    min_documents: int = Field(20, ge=2)
    """In so many documents a line must stand."""
    min_share: float = Field(0, ge=0, le=1)
    """And in so large a share of the documents that are no copies: with 0.0001, in 100 of a million."""
    min_chars: int = Field(6, ge=1)
    """Visible characters of a line that may be cut."""
    keep: Keep = "none"
    """first: the first document keeps it; none: it goes everywhere."""


class ParagraphsConfig(Config):
    """Paragraphs that stand in several documents."""

    enabled: bool = True
    """Cut such paragraphs. What blank lines part is one; in a text without any, each line is."""
    min_documents: int = Field(3, ge=2)
    """In so many documents a paragraph must stand."""
    min_chars: int = Field(40, ge=1)
    """Visible characters of a paragraph that may be cut."""
    keep: Keep = "first"
    """first: the first document keeps it; none: it goes everywhere."""


class SubstringsConfig(Config):
    """Exact substrings that stand in several documents, wherever they begin."""

    enabled: bool = True
    """Look for them."""
    min_documents: int = Field(3, ge=2)
    """In so many documents a substring must stand."""
    min_chars: int = Field(50, ge=8, le=10_000)
    """Characters of the shortest substring that counts, spaces and punctuation included."""
    keep: Keep = "first"
    """first: the first document keeps it; none: it goes everywhere."""
    action: Literal["cut", "drop"] = "cut"
    """cut: take the substrings out; drop: leave texts whole, and drop documents beyond `drop_share`."""
    drop_share: float = Field(0.5, gt=0, le=1)
    """With drop: a document goes when repeated substrings are more than this share of its characters."""


class RestConfig(Config):
    """What is left of a document from which something was cut."""

    min_chars: int = Field(50, ge=1)
    """A document with fewer visible characters left goes."""
    max_cut_share: float = Field(0.9, gt=0, le=1)
    """A document that lost a larger share of its characters goes."""


class DeepDedupConfig(Config):
    """Everything that shapes the output of `corpus dedup`."""

    documents: DocumentsConfig = DocumentsConfig()
    lines: LinesConfig = LinesConfig()
    paragraphs: ParagraphsConfig = ParagraphsConfig()
    substrings: SubstringsConfig = SubstringsConfig()
    rest: RestConfig = RestConfig()
    text_field: str = "text"
    """Field of JSON lines and column of parquet that holds the text."""
    shard_mb: float = Field(8, gt=0, le=4096)
    """Input bytes (as stored) of one unit of work, MB."""
