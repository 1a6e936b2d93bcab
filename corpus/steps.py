"""The pipeline's steps between reader and writer, each a datatrove `PipelineStep` over `Page`s.

In and out: a stream of pages; a step adds text, signals and reasons and drops nothing. What a step cannot cope with
becomes the reason `<step>.error` on that page, with the exception's name in `meta` (the kernels take any text).
Kernels run over batches of 256 pages or 4 M characters, which brings the price of a call down to nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from datatrove.pipeline.base import PipelineStep

from corpus.blocklist import Blocklist
from corpus.config import ExtractConfig, NormalizeConfig, PersonalConfig, UrlConfig
from corpus.decode import decode
from corpus.extract import extract
from corpus.lines import drop_boilerplate
from corpus.markup import unmarked
from corpus.measure import MAX_MEASURED, signals, to_codes
from corpus.normalize import normalize
from corpus.page import Page
from corpus.rules import Rule, Rules, single
from corpus.signals import SIGNALS
from runkit.language import detect_language
from runkit.personal import mask_personal

BATCH = 256
BATCH_CHARACTERS = 4_000_000

Pages = Iterable[Page]


class PageStep(PipelineStep):
    """A step that looks at one page at a time."""

    type = "page"
    key = "step"

    def apply(self, page: Page) -> None:
        raise NotImplementedError

    def run(self, data: Pages, rank: int = 0, world_size: int = 1) -> Iterator[Page]:
        for page in data:
            try:
                self.apply(page)
            except Exception as error:  # one hostile page must not cost its shard
                if isinstance(error, MemoryError):
                    raise
                page.reject(f"{self.key}.error")
                page.meta["error"] = f"{self.key}: {type(error).__name__}"
            yield page


class BatchStep(PipelineStep):
    """A step that looks at many pages in one call."""

    type = "batch"

    def apply(self, pages: list[Page]) -> None:
        raise NotImplementedError

    def run(self, data: Pages, rank: int = 0, world_size: int = 1) -> Iterator[Page]:
        pages: list[Page] = []
        characters = 0
        for page in data:
            pages.append(page)
            characters += len(page.text)
            if len(pages) == BATCH or characters > BATCH_CHARACTERS:
                self.apply(pages)
                yield from pages
                pages, characters = [], 0
        self.apply(pages)
        yield from pages


class CheckUrl(PageStep):
    """Reasons `url.*` by blocklist and own lists."""

    name = "URL rules"
    key = "url"

    def __init__(self, config: UrlConfig) -> None:
        super().__init__()
        self.config = config
        self._lists: Blocklist | None = None

    def apply(self, page: Page) -> None:
        if not page.url:
            return
        if self._lists is None:  # opened in the worker, mapped and not copied
            c = self.config
            self._lists = Blocklist.open(c.domains, c.urls, c.words, use_shipped=c.blocklist)
        for reason in self._lists.check(page.url):
            page.reject(reason)


class Decode(PageStep):
    """`payload` bytes to `html` or `text`, by BOM, labels and the bytes themselves."""

    name = "decode"
    key = "decode"

    def apply(self, page: Page) -> None:
        if not page.payload:
            return
        decoded = decode(page.payload, page.charset, html=page.kind == "html")
        page.payload = b""
        page.meta["encoding"] = decoded.encoding
        if decoded.flags:
            page.meta["flags"] = list(decoded.flags)
        if page.kind == "html":
            page.html = decoded.text
        else:
            page.text = decoded.text


class ExtractText(PageStep):
    """`html` to main `text` and `meta.title`."""

    name = "extract"
    key = "extract"

    def __init__(self, config: ExtractConfig) -> None:
        super().__init__()
        self.mode = config.mode
        self.markdown = config.markdown

    def apply(self, page: Page) -> None:
        if page.kind != "html":
            return
        html, page.html = page.html, ""
        found = extract(html, self.mode, self.markdown)
        page.text = found.text
        page.markup = self.markdown
        if found.title:
            page.meta["title"] = found.title
        if found.reason:
            page.reject(f"extract.{found.reason}")


class Normalize(PageStep):
    """Unicode and white space put right, boilerplate lines out."""

    name = "normalize"
    key = "normalize"

    def __init__(self, config: NormalizeConfig) -> None:
        super().__init__()
        self.config = config

    def apply(self, page: Page) -> None:
        before = page.text = normalize(page.text, t2s=self.config.t2s)
        page.signals["s_boilerplate_share"] = 0.0
        if self.config.drop_boilerplate:
            page.text, removed = drop_boilerplate(before, markup=page.kind == "text" or page.markup)
            page.signals["s_boilerplate_share"] = single(removed / max(len(before), 1))
        if not page.text and not any(reason.startswith("extract.") for reason in page.reasons):
            page.reject("normalize.only_boilerplate" if before else "normalize.empty")


class DetectLanguage(PageStep):
    """`language`, and the reason `language.not_kept`."""

    name = "language"
    key = "language"

    def __init__(self, keep: list[str]) -> None:
        super().__init__()
        self.keep = frozenset(keep)

    def apply(self, page: Page) -> None:
        page.language, score = detect_language(page.text)
        page.signals["s_language_score"] = single(score)
        if page.text and page.language not in self.keep:
            page.reject("language.not_kept")


class Measure(BatchStep):
    """All signals of `corpus.signals`, of Markdown those of its text without marks."""

    name = "signals"

    def apply(self, pages: list[Page]) -> None:
        texts = [unmarked(page.text) if page.markup else page.text for page in pages]
        rows = signals(*to_codes([text[:MAX_MEASURED] for text in texts])).tolist()
        for page, row in zip(pages, rows, strict=True):
            page.signals.update(zip(SIGNALS, row, strict=True))


class ApplyRules(PageStep):
    """Reasons `rules.*`: all that are broken."""

    name = "rules"
    key = "rules"

    def __init__(self, rules: list[Rule]) -> None:
        super().__init__()
        self.rules = rules
        self._sorted = Rules(rules)

    def apply(self, page: Page) -> None:
        if page.text:
            for reason in self._sorted.broken(page.signals, page.language):
                page.reject(reason)


class MaskPersonal(PageStep):
    """Personal data of kept pages to placeholders, counted by kind in `meta.masked`."""

    name = "personal data"
    key = "personal"

    def __init__(self, config: PersonalConfig) -> None:
        super().__init__()
        self.mask = config.mask

    def apply(self, page: Page) -> None:
        if page.reasons or not self.mask:
            return
        page.text, counts = mask_personal(page.text)
        page.meta = {key: _masked(value, counts) for key, value in page.meta.items()}
        if counts:
            page.meta["masked"] = counts


def _masked(value: Any, counts: dict[str, int]) -> Any:
    """A field of the input, masked as the text is; what was found is added to `counts`."""
    if isinstance(value, str):
        value, found = mask_personal(value)
        for kind, count in found.items():
            counts[kind] = counts.get(kind, 0) + count
    elif isinstance(value, list):
        value = [_masked(item, counts) for item in value]
    elif isinstance(value, dict):
        value = {key: _masked(item, counts) for key, item in value.items()}
    return value


def text_quality(signals: Mapping[str, float]) -> float:
    """Which of two versions of a text is the better one: more of it in whole sentences, less furniture around.

    One line may end in no punctuation: a text with its headline is better than the same without.
    """
    s = signals
    whole = min(1.0, s["s_punct_line_share"] + 1.0 / max(s["s_lines"], 1.0))
    return float(np.float32(s["s_chars"] * (0.5 + 0.5 * whole) * (1.0 - s["s_boilerplate_share"])))
