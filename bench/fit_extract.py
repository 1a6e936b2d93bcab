"""Fit corpus/data/extract.npz, the block classifier of `extract.mode: best`, and cross-validate it by site.

In: a folder of pages with known main text (../shared/data/pages). Out: the weights fitted on all pages, and with
`--folds` one set of weights for each of five folds of sites beside `folds.json`, which names every page's fold;
bench/extract.py then extracts each page with weights that have not seen its site. A site is the registered name without
its suffix, so sina.com.cn, sina.com.hk and sina.com.tw are one.

Nothing is fitted on what is reported: the second classifier learns from scores that the first gave to pages of sites
it was not fitted on, and likewise the first from the scores of the wording, within the training folds of each fold.
Needs lightgbm beside scikit-learn (`pip install lightgbm`); about 12 minutes on one core.
"""

import argparse
import functools
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from resiliparse.parse.html import HTMLTree

from bench.extract import load
from bench.page_labels import labels, weights
from bench.page_variants import FOLDS, Known, more
from corpus.blocks import cut_blocks
from corpus.blocks_around import fill_words
from corpus.blocks_columns import AT, FEATURES
from corpus.blocks_model import WEIGHTS, Model, Trees, Words, base_features, with_context
from corpus.blocks_words import BUCKETS, MAX_GRAMS, collect
from corpus.charclass import tables

PAIRS = 2  # of rounds whose scores are averaged
_SECOND_LEVEL = {"com", "co", "org", "net", "gov", "edu", "ac", "or", "ne", "go", "example"}


def site(url: str) -> str:
    """The registered name without its public suffix."""
    names = (urlsplit(url).hostname or "").lower().split(".")
    at = -3 if len(names) >= 3 and names[-2] in _SECOND_LEVEL else -2
    return names[at] if len(names) >= -at else ".".join(names)


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


class Wording:
    """The linear models over n-grams, by the folds that they must not have seen; each is fitted once."""

    def __init__(self, pages: list[Known]) -> None:
        self.pages = pages

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


class Fitter:
    """Trees by the folds that they must not have seen; each is fitted once."""

    def __init__(self, wording: Wording, variants: list[Known], seed: int) -> None:
        self.words = wording.words
        self.both = wording.pages + variants
        self.seed = seed

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
        return boosted(rows, pages, 120, None, num_leaves=20, learning_rate=0.1, seed=self.seed)

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
        return boosted(rows, pages, 120, usable, num_leaves=14, learning_rate=0.08, seed=self.seed)


def model(fitters: list[Fitter], unseen: frozenset[int]) -> Model:
    """The wording's weights, which no seed changes, and a pair of rounds of each fitter."""
    return Model(fitters[0].words(unseen), tuple((each.first(unseen), each.second(unseen)) for each in fitters))


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
        "max_bin": 63, "verbose": -1, "min_sum_hessian_in_leaf": 1.0, "deterministic": True,
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
    print(f"{len(pages)} pages, {sum(len(page.label) for page in pages)} blocks", flush=True)
    wording, seeds = Wording(pages), range(args.seed, args.seed + PAIRS)
    fitters = [Fitter(wording, more(pages, np.random.default_rng(seed)), seed) for seed in seeds]
    if args.folds:
        args.folds.mkdir(parents=True, exist_ok=True)
        for fold in range(FOLDS):
            model(fitters, frozenset([fold])).save(args.folds / f"{fold}.npz")
            print(f"fold {fold} fitted", flush=True)
        (args.folds / "folds.json").write_text(json.dumps({page.id: page.fold for page in pages}))
    model(fitters, frozenset()).save(args.out)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {len(FEATURES)} features")
    return 0


if __name__ == "__main__":
    sys.exit(main())
