"""The record that flows through the pipeline: a datatrove `Document` with typed fields instead of a dict.

Readers fill `payload` (bytes as served) or `text`; `decode` turns the payload into `html` or `text`; `extract` turns
`html` into `text` and frees both. No step drops a page: a step that finds fault adds to `reasons`, and the
writer at the end parts kept from rejected, so every broken rule of every page is on record.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from datatrove.data import Document

from runkit.records import id_of

Kind = Literal["html", "text"]


@dataclass(slots=True, kw_only=True)
class Page(Document):
    """One page on its way. Reasons are `step.rule`, e.g. `url.domain`, `extract.no_main_text`, `rules.top_2gram`."""

    text: str = ""
    id: str = ""
    origin: str  # "<file>#<byte offset or row>"; unique within a run
    source: str
    kind: Kind = "html"
    payload: bytes = b""
    charset: str | None = None  # the HTTP header's charset label, verbatim
    html: str = ""
    markup: bool = False  # `text` was extracted as Markdown
    url: str | None = None
    date: str | None = None  # ISO 8601 as the dump gives it
    language: str = ""
    meta: dict[str, Any] = field(default_factory=dict)  # JSON-serialisable; title, encoding, flags
    reasons: list[str] = field(default_factory=list)
    signals: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            self.id = id_of(self.origin)

    def reject(self, reason: str) -> None:
        """Record a broken rule once."""
        if reason not in self.reasons:
            self.reasons.append(reason)
