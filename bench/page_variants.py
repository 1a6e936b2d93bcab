"""Pages to learn from beside the real ones: known pages made harder, and pages made up.

In: pages with known main text, as `Known`. Out: more of them. Every page made stays within the fold of sites that it
was made of, so none carries anything of a site into the fit that is measured on it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from resiliparse.parse.html import HTMLTree

from bench.page_labels import labels, weights
from bench.synthetic_pages import make
from corpus.blocks import Blocks, cut_blocks
from corpus.blocks_columns import AT
from corpus.blocks_model import base_features
from corpus.blocks_tables import HINT
from corpus.blocks_text import BYTES, CHARACTERS, COMMAS, ENDS, LAST_END, N_HAN, STOPS

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Known:
    """A page cut into blocks, with the label and the weight of each."""

    id: str
    fold: int
    blocks: Blocks
    base: NDArray[np.float32]
    label: NDArray[np.bool_]
    weight: NDArray[np.float64]
    language: str = ""
    foreign: bool = False  # its wording tells nothing


def made_up(pages: list[Known], rng: np.random.Generator, each: int = 30) -> list[Known]:
    """Forums, answers, documentation and stories, from the texts of each fold."""
    out = []
    for fold in range(FOLDS):
        for language in ("zh", "en"):
            own = [page for page in pages if page.fold == fold and page.language == language]
            texts = [p.blocks.text_of(int(i)) for p in own for i in np.flatnonzero(p.label) if p.weight[i] > 0.01]
            links = [
                p.blocks.text_of(int(i))
                for p in own
                for i in np.flatnonzero(~p.label & (p.base[:, AT["link_share"]] > 0.9))
            ]
            for number in range(each):
                page = make(rng, texts, [link[:60] for link in links], fold, language, number)
                blocks = cut_blocks(HTMLTree.parse(page.html).document.html.encode("utf-8", "replace"), page.title)
                found = [blocks.text_of(index) for index in range(len(blocks))]
                label = labels(found, page.reference, language)
                weight = 0.6 * weights(found, page.reference, language)
                out.append(Known(page.id, fold, blocks, base_features(blocks), label, weight, language))
    return out


def foreign(page: Known) -> Known:
    """The page as one in a language whose words are not known."""
    counts = page.blocks.counts.copy()
    counts[:, STOPS] = 0
    blocks = replace(page.blocks, counts=counts)
    return replace(page, blocks=blocks, base=base_features(blocks), weight=page.weight * 0.5, foreign=True)


def without(page: Known, keep: NDArray[np.bool_], blocks: Blocks | None = None) -> Known:
    """The page with some blocks left out."""
    b = blocks or page.blocks
    before = np.concatenate([[0], np.cumsum(keep)]).astype(np.int32)
    elements = b.elements.copy()
    elements[:, 3], elements[:, 4] = before[elements[:, 3]], before[elements[:, 4]]
    cut = replace(b, elements=elements, rows=b.rows[keep], counts=b.counts[keep], hashes=b.hashes[keep])
    return Known(page.id, page.fold, cut, base_features(cut), page.label[keep], page.weight[keep], page.language)


def variant(page: Known, rng: np.random.Generator) -> Known | None:
    """A harder page made of a known one: most of the article gone, or no sentences in it, or no names to go by.

    Real pages with little text among much furniture are few, and without them the classifier learns that the longest
    prose is the article.
    """
    main = int(page.label.sum())
    if main < 4:
        return None
    keep = np.ones(len(page.label), np.bool_)
    counts, hints = page.blocks.counts.copy(), page.blocks.hints.copy()
    kind = rng.random()
    if kind < 0.75:
        share = rng.uniform(0.1, 0.5)
        keep = ~page.label | (rng.random(len(keep)) < share)
    if kind > 0.55:
        for index in np.flatnonzero(page.label):
            size = int(min(counts[index, BYTES], rng.integers(12, 70)))
            factor = size / max(int(counts[index, BYTES]), 1)
            for column in (CHARACTERS, N_HAN):
                counts[index, column] = int(counts[index, column] * factor)
            counts[index, BYTES] = size
            counts[index, [COMMAS, ENDS, LAST_END, STOPS]] = 0
    if rng.random() < 0.3:
        first_word = HINT["w_main"]
        mask = sum(1 << bit for bit in range(first_word, len(HINT)) if rng.random() < 0.7)
        hints &= ~np.uint64(mask)
    if not (keep & page.label).any():
        return None
    changed = without(page, keep, replace(page.blocks, counts=counts, hints=hints))
    # The shorter article counts as much as the whole one did.
    scale = page.weight[page.label].sum() / max(changed.weight[changed.label].sum(), 1e-9)
    return replace(changed, weight=changed.weight * min(scale, 4.0) * 0.5)


def more(pages: list[Known], rng: np.random.Generator) -> list[Known]:
    """What the classifiers learn from beside the real pages."""
    variants = [made for page in pages if (made := variant(page, rng))]
    return variants + [foreign(page) for page in pages if rng.random() < 0.3] + made_up(pages, rng)
