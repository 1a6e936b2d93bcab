"""Fit corpus/data/extract.npz, the block classifier of `extract.mode: best`, and cross-validate it by site.

In: a folder of pages with known main text (../shared/data/pages). A block is main text where it stands in the reference
at a place that agrees with the order of its neighbours. Out: the weights fitted on all pages, and with `--folds` one
set of weights for each of five folds of sites beside `folds.json`, which names every page's fold; bench/extract.py
then extracts each page with weights that have not seen its site. A site is the registered name without its suffix, so
sina.com.cn, sina.com.hk and sina.com.tw are one.

Nothing is fitted on what is reported: the second classifier learns from scores that the first gave to pages of sites
it was not fitted on, and likewise the first from the scores of the wording, within the training folds of each fold.
Needs lightgbm beside scikit-learn (`pip install lightgbm`); about 6 minutes on one core.
"""

import argparse
import functools
import json
import re
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from resiliparse.parse.html import HTMLTree

from bench.extract import load, ngrams
from bench.synthetic_pages import make
from corpus.blocks import Blocks, cut_blocks
from corpus.blocks_around import fill_words
from corpus.blocks_columns import AT, FEATURES
from corpus.blocks_model import WEIGHTS, Model, Trees, Words, base_features, with_context
from corpus.blocks_tables import HINT
from corpus.blocks_text import BYTES, CHARACTERS, COMMAS, ENDS, LAST_END, N_HAN, STOPS
from corpus.blocks_words import BUCKETS, MAX_GRAMS, collect
from corpus.charclass import tables

FOLDS = 5
_SECOND_LEVEL = {"com", "co", "org", "net", "gov", "edu", "ac", "or", "ne", "go", "example"}


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


def site(url: str) -> str:
    """The registered name without its public suffix."""
    names = (urlsplit(url).hostname or "").lower().split(".")
    at = -3 if len(names) >= 3 and names[-2] in _SECOND_LEVEL else -2
    return names[at] if len(names) >= -at else ".".join(names)


def letters(text: str, language: str) -> str:
    """A text as it is aligned: without white space in Chinese, as words between single spaces in English."""
    text = unicodedata.normalize("NFKC", text)
    if language == "zh":
        return "".join(text.split())
    words = " ".join(re.findall(r"[^\W_]+", text.lower()))
    return f" {words} "


class _Best:
    """A Fenwick tree over positions: the best value at or before one."""

    def __init__(self, size: int) -> None:
        self.values: list[tuple[float, int]] = [(0.0, -1)] * (size + 2)

    def put(self, at: int, value: tuple[float, int]) -> None:
        at += 1
        while at < len(self.values):
            self.values[at] = max(self.values[at], value)
            at += at & -at

    def get(self, at: int) -> tuple[float, int]:
        at += 1
        best = (0.0, -1)
        while at > 0:
            best = max(best, self.values[at])
            at -= at & -at
        return best


def chain(texts: list[str], reference: str) -> set[int]:
    """The blocks of the heaviest sequence that stands in the reference in the same order without overlap."""
    best = _Best(len(reference))
    steps: list[tuple[int, int]] = []  # block, step before
    for index, text in enumerate(texts):
        if not text.strip():
            continue
        found, at = [], reference.find(text)
        while at >= 0 and len(found) < 30:
            value, before = best.get(at + 1 if text[0] == " " else at)
            steps.append((index, before))
            found.append((at + len(text), (value + len(text.strip()), len(steps) - 1)))
            at = reference.find(text, at + 1)
        for end, value_and_step in found:
            best.put(end, value_and_step)
    chosen: set[int] = set()
    step = best.get(len(reference))[1]
    while step >= 0:
        chosen.add(steps[step][0])
        step = steps[step][1]
    return chosen


def labels(texts: list[str], reference: str, language: str) -> NDArray[np.bool_]:
    """Which blocks are main text: in order, or, where they differ in a detail, by most of their 4-grams."""
    chosen = chain([letters(text, language) for text in texts], letters(reference, language))
    grams = ngrams(reference, language)
    enough = 8 if language == "zh" else 5
    out = np.zeros(len(texts), np.bool_)
    for index, text in enumerate(texts):
        out[index] = index in chosen
        if index not in chosen:
            own = ngrams(text, language)
            known = sum(count for gram, count in own.items() if gram in grams)
            out[index] = own.total() >= enough and known > 0.5 * own.total()
    return out


def weights(texts: list[str], reference: str, language: str) -> NDArray[np.float64]:
    """What a block is worth in the page's F1: its length beside that of the reference."""
    sizes = [len(t) if language == "zh" else t.count(" ") - 1 for t in (letters(x, language) for x in texts)]
    total = max(ngrams(reference, language).total(), 20)
    return np.minimum((np.maximum(np.array(sizes, float), 0.0) + 2.0) / total, 0.15)


def read(folder: Path, seed: int) -> list[Known]:
    """All pages with blocks, labels and folds."""
    rows = {}
    for language in ("zh", "en"):
        for line in (folder / f"{language}.jsonl").read_text("utf-8").strip().split("\n"):
            row = json.loads(line)
            rows[row["id"]] = row
    sites = sorted({site(row["url"] or "") for row in rows.values()})
    order = np.random.default_rng(seed).permutation(len(sites))
    fold_of = {sites[place]: rank % FOLDS for rank, place in enumerate(order)}
    pages = []
    for sample in load(folder):
        row = rows[sample.id]
        tree = HTMLTree.parse(sample.html.replace("\x00", ""))
        title = " ".join((tree.title or "").split())
        blocks = cut_blocks(tree.document.html.encode("utf-8", "replace"), title)
        texts = [blocks.text_of(index) for index in range(len(blocks))]
        label = labels(texts, row["text"], sample.language)
        weight = weights(texts, row["text"], sample.language)
        fold = fold_of[site(row["url"] or "")]
        pages.append(Known(sample.id, fold, blocks, base_features(blocks), label, weight, sample.language))
    return pages


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


class Fitter:
    """Every model by the folds it must not have seen; each is fitted once."""

    def __init__(self, pages: list[Known], variants: list[Known]) -> None:
        self.pages = pages
        self.both = pages + variants

    @functools.cache  # noqa: B019
    def words(self, unseen: frozenset[int]) -> Words:
        """Logistic regression over the n-grams of distinct lines."""
        from scipy.sparse import csr_matrix
        from sklearn.linear_model import LogisticRegression

        t = tables()
        buckets, ends, labels_, weights_ = [], [np.zeros(1, np.int64)], [], []
        total = 0
        for page in self.pages:
            if page.fold in unseen or not len(page.blocks):
                continue
            found = np.empty(len(page.blocks) * MAX_GRAMS, np.int64)
            offsets = np.zeros(len(page.blocks) + 1, np.int64)
            size = collect(page.blocks.text, page.blocks.rows, t.classes, t.fold, found, offsets)
            buckets.append(found[:size])
            ends.append(offsets[1:] + total)
            total += size
            labels_.append(page.label)
            weights_.append(1.0 / (20.0 + np.bincount(page.label * 1, minlength=2)[page.label * 1]))
        indptr, indices = np.concatenate(ends), np.concatenate(buckets)
        values = np.repeat(1.0 / np.sqrt(np.maximum(np.diff(indptr), 1)), np.diff(indptr))
        x = csr_matrix((values, indices, indptr), shape=(len(indptr) - 1, BUCKETS))
        y, weight = np.concatenate(labels_), np.concatenate(weights_)
        model = LogisticRegression(C=3.0, solver="liblinear", max_iter=60, tol=1e-3)
        model.fit(x, y, sample_weight=weight * len(weight) / weight.sum())
        scale = float(np.abs(model.coef_).max()) / 127
        return Words(np.round(model.coef_[0] / scale).astype(np.int8), scale, float(model.intercept_[0]))

    def with_words(self, page: Known, unseen: frozenset[int]) -> NDArray[np.float32]:
        base = page.base.copy()
        if len(base):
            scores = self.words(unseen).score(page.blocks)
            if page.foreign:  # as n-grams that meet weights of others by chance
                scores = np.random.default_rng(len(base)).permutation(scores) * 0.5 + self.words(unseen).bias * 0.5
            fill_words(scores, base)
        return base

    @functools.cache  # noqa: B019
    def first(self, unseen: frozenset[int]) -> Trees:
        pages = [page for page in self.both if page.fold not in unseen]
        rows = [self.with_words(page, unseen | {page.fold}) for page in pages]
        return boosted(rows, pages, 120, None, num_leaves=20, learning_rate=0.1)

    def context(self, page: Known, unseen: frozenset[int]) -> NDArray[np.float32]:
        base = self.with_words(page, unseen)
        return with_context(page.blocks, base, self.first(unseen).score(base))

    def second(self, unseen: frozenset[int]) -> Trees:
        """Some references leave out part of their article; where the first round is sure of it, nothing is learnt."""
        pages = [page for page in self.both if page.fold not in unseen]
        rows = [self.context(page, unseen | {page.fold}) for page in pages]
        sure = np.concatenate([row[:, len(FEATURES)] for row in rows])
        label = np.concatenate([page.label for page in pages])
        usable = np.where(label, sure > -4.0, sure < 2.5)
        return boosted(rows, pages, 120, usable, num_leaves=14, learning_rate=0.08)

    def model(self, unseen: frozenset[int]) -> Model:
        return Model(self.words(unseen), self.first(unseen), self.second(unseen))


def boosted(
    rows: list[NDArray[np.float32]], pages: list[Known], rounds: int, usable: NDArray[np.bool_] | None, **params: Any
) -> Trees:
    """Gradient-boosted trees on the blocks of the pages; of plain links every third is enough."""
    import lightgbm

    x = np.concatenate(rows)
    y = np.concatenate([page.label for page in pages])
    weight = np.concatenate([page.weight for page in pages])
    easy = ~y & (x[:, AT["link_share"]] > 0.95)
    chosen = ~easy | (np.arange(len(y)) % 3 == 0)
    if usable is not None:
        chosen &= usable
    weight = np.where(easy, 3.0 * weight, weight)[chosen]
    settings = {
        "objective": "binary", "num_threads": 1, "min_data_in_leaf": 20, "lambda_l2": 5.0, "feature_fraction": 0.3,
        "max_bin": 63, "verbose": -1, "seed": 0, "min_sum_hessian_in_leaf": 1.0, "deterministic": True,
        "force_row_wise": True, **params,
    }  # fmt: skip
    data = lightgbm.Dataset(
        x[chosen], label=y[chosen] * 1.0, weight=weight * len(weight) / weight.sum(), params=settings
    )
    return flat(lightgbm.train(settings, data, rounds).dump_model())


def flat(dumped: dict[str, Any]) -> Trees:
    """lightgbm's trees as arrays; thresholds are rounded down to float32, which no float32 feature can tell."""
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []

    def add(node: dict[str, Any]) -> int:
        at = len(feature)
        for column in (feature, threshold, left, right):
            column.append(0)
        if "leaf_value" in node:
            feature[at], threshold[at] = -1, node["leaf_value"]
            return at
        feature[at], threshold[at] = node["split_feature"], down(node["threshold"])
        left[at] = add(node["left_child"])
        right[at] = add(node["right_child"])
        return at

    roots = [add(tree["tree_structure"]) for tree in dumped["tree_info"]]
    return Trees(
        np.array(roots, np.int32), np.array(feature, np.int16), np.array(threshold, np.float32),
        np.array(left, np.int32), np.array(right, np.int32), 0.0,
    )  # fmt: skip


def down(value: float) -> float:
    """The largest float32 that is not above `value`."""
    near = np.float32(value)
    return float(near if float(near) <= value else np.nextafter(near, np.float32(-np.inf)))


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fit the block classifier of extract.mode best.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/pages"), help="folder with {zh,en}.jsonl")
    parser.add_argument("--folds", type=Path, help="folder for the weights of each fold and folds.json")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="file of the weights fitted on all pages")
    parser.add_argument("--seed", type=int, default=0, help="of the folds and of the variants")
    args = parser.parse_args(list(arguments) if arguments is not None else None)
    pages = read(args.data, args.seed)
    rng = np.random.default_rng(args.seed)
    variants = more(pages, rng)
    print(f"{len(pages)} pages, {sum(len(page.label) for page in pages)} blocks, {len(variants)} variants", flush=True)
    fitter = Fitter(pages, variants)
    fitter.model(frozenset()).save(args.out)
    print(f"{args.out} fitted", flush=True)
    if args.folds:
        args.folds.mkdir(parents=True, exist_ok=True)
        for fold in range(FOLDS):
            fitter.model(frozenset([fold])).save(args.folds / f"{fold}.npz")
            print(f"fold {fold} fitted", flush=True)
        (args.folds / "folds.json").write_text(json.dumps({page.id: page.fold for page in pages}))
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {len(FEATURES)} features")
    return 0


if __name__ == "__main__":
    sys.exit(main())
