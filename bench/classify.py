"""What are the fitted models of `corpus quality` worth, and what do they cost? Beside scikit-learn's own pipeline.

    python bench/classify.py [--data ../shared/data] [--keep FOLDER] [--run RUN]

Good: main texts of real Chinese pages (200 characters or more), as people marked them. Bad: what the same pages show
around their main text, and damage made from the good ones (bench/damage.py, two kinds for each). Both are held out by
site. Then: the same texts through scikit-learn's HashingVectorizer and LogisticRegression on the same split; each kind
of damage by itself; texts of other origin, which the model never saw; the n-gram model on the same texts; and
milliseconds of CPU for a text of 2,000 characters. `--run` (of `corpus clean`): kept against rejected documents.
"""

import argparse
import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import zstandard
from damage import DAMAGE
from rules import SHORTEST, outside

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from corpus.perplexity import load as load_ngrams  # noqa: E402
from corpus.quality import load as load_quality  # noqa: E402
from corpus.quality_config import QualityConfig  # noqa: E402
from corpus.quality_measures import auc  # noqa: E402
from corpus.quality_sets import parted, plan_set, read_set  # noqa: E402

KINDS = {f"{group}: {kind}": make for group, makers in DAMAGE.items() for kind, make in makers.items()}


def make_sets(data: Path, folder: Path) -> None:
    """good.jsonl and bad.jsonl, and a file for each kind of damage."""
    rng = random.Random(8)
    pages = [json.loads(line) for line in (data / "pages" / "zh.jsonl").read_text("utf-8").splitlines()]
    pages = [page for page in pages if len(page["text"]) >= SHORTEST["zh"]]
    good = [{"id": page["id"], "text": page["text"], "url": page["url"]} for page in pages]
    bad = [
        {"id": f"{page['id']}-outside", "text": text, "url": page["url"]}
        for page, text in zip(pages, outside(pages, data / "pages"), strict=True)
        if len(text) >= 50
    ]
    for page in pages:
        for kind in rng.sample(list(KINDS), 2):
            bad.append({"id": f"{page['id']}-{kind}", "text": KINDS[kind](page["text"], rng), "url": page["url"]})
    for name, rows in (("good", good), ("bad", bad)):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows if row["text"].strip()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8", "surrogatepass")


def command(*words: str | Path) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "corpus", "quality", *map(str, words), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def cpu_ms(function, texts: list[str]) -> float:
    """Milliseconds of CPU for each text, best of five."""
    function(texts[:2])
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        function(texts)
        best = min(best, time.process_time() - started)
    return 1e3 * best / len(texts)


def peer(good: tuple, bad: tuple, texts: list[str]) -> tuple[float, float]:
    """AUC and milliseconds of scikit-learn's pipeline of the same n-grams."""
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    vectors = HashingVectorizer(
        analyzer="char", ngram_range=(1, 4), n_features=2**18, binary=True, alternate_sign=False
    )
    model = make_pipeline(vectors, LogisticRegression(C=10, class_weight="balanced", max_iter=1000))
    learn = [text.text[:10_000] for text in (*good[0], *bad[0])]
    model.fit(learn, [1] * len(good[0]) + [0] * len(bad[0]))
    scores = [model.decision_function([text.text[:10_000] for text in part]) for part in (good[1], bad[1])]
    return auc(*scores), cpu_ms(model.decision_function, texts)


def other_texts(data: Path) -> dict[str, list[str]]:
    found = {}
    for file in sorted((data / "text-zh").glob("*.zst")):
        raw = zstandard.ZstdDecompressor().stream_reader(file.open("rb"))
        rows = [json.loads(line)["text"] for line, _ in zip(io.TextIOWrapper(raw, "utf-8"), range(400), strict=False)]
        found[file.name.split(".")[0]] = [text for text in rows if len(text) >= SHORTEST["zh"]]
    return found


def kept_and_rejected(run: Path) -> tuple[list[str], list[str]]:
    chinese = pl.col("language") == "zh"
    kept = pl.read_parquet(run / "documents" / "*.parquet").filter(chinese)["text"].to_list()
    rejected = pl.read_parquet(run / "rejected" / "*.parquet").filter(chinese)
    by_rule = pl.col("reasons").list.eval(pl.element().str.starts_with("rules.")).list.any()
    return kept, rejected.filter(by_rule)["text"].to_list()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    if not call.json:
        measure(call)
        return
    with contextlib.redirect_stdout(sys.stderr):
        found = measure(call)
    print(json.dumps({"models": found}))


def measure(call: argparse.Namespace) -> dict:
    """Area under the ROC and milliseconds by model."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = call.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        make_sets(call.data, folder)
        print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
        told = command("fit", "--good", folder / "good.jsonl", "--bad", folder / "bad.jsonl", "--out", folder / "fit")
        print(f"sets: {told['sets']['good']['drawn']} good, {told['sets']['bad']['drawn']} bad, held out by site")
        print(f"held out: {told['held_out']}, {told['cpu_seconds']:.0f} CPU s to fit")
        print(f"thresholds: {told['thresholds']}")
        told = command(
            "fit-perplexity",
            "--good",
            folder / "good.jsonl",
            "--good",
            call.data / "text-zh",
            "--out",
            folder / "ngrams",
        )
        size = told["bytes"] / 1e6
        print(f"n-grams: {told['ngrams']}, median {told['median']}, {size:.0f} MB, {told['cpu_seconds']:.0f} CPU s")
        return compare(call, folder)


def compare(call: argparse.Namespace, folder: Path) -> dict:
    quality, ngrams = load_quality(folder / "fit"), load_ngrams(folder / "ngrams")
    config = QualityConfig(languages=["zh"])
    sets = [
        read_set(name, plan_set([str(folder / f"{name}.jsonl")], False), config, ["zh"]) for name in ("good", "bad")
    ]
    good, bad = (parted(one, config.held_out) for one in sets)
    texts = [text[:2_000] for part in other_texts(call.data).values() for text in part if len(text) >= 2_000][:400]
    scores = [quality.scores([text.text for text in part[1]]) for part in (good, bad)]
    ours = cpu_ms(quality.scores, texts)
    area, theirs = peer(good, bad, texts)
    print(f"classifier: AUC {auc(*scores):.4f}, {ours:.3f} ms for 2,000 characters")
    print(f"scikit-learn, same n-grams and split: AUC {area:.4f}, {theirs:.2f} ms, {theirs / ours:.0f} times as long")
    surprise = [-ngrams.perplexities([text.text for text in part[1]]) for part in (good, bad)]
    slower = cpu_ms(ngrams.perplexities, texts)
    print(f"n-gram model: AUC {auc(*surprise):.4f}, {slower:.3f} ms for 2,000 characters")
    print("share with a score of 0.5 and more, median perplexity:")
    rng = random.Random(9)
    held_out = [text.text for text in good[1]]
    groups = {
        "held-out good": held_out,
        **{kind: [make(text, rng) for text in held_out] for kind, make in KINDS.items()},
    }
    groups |= {f"other origin: {name}": found for name, found in other_texts(call.data).items() if found}
    if call.run is not None:
        kept, rejected = kept_and_rejected(call.run)
        groups |= {"run: kept": kept, "run: rejected by a rule": rejected}
        parts = [quality.scores(group) for group in (kept, rejected)]
        print(f"run, kept against rejected by a rule: AUC {auc(*parts):.4f}")
    for name, found in groups.items():
        found = [text for text in found if text.strip()]
        share = float((quality.scores(found) >= 0.5).mean())
        print(f"  {name:<36} {share:6.1%} {float(np.nanmedian(ngrams.perplexities(found))):10,.0f}  of {len(found)}")
    return {
        "ours, classifier": {"auc": float(auc(*scores)), "ms": ours},
        "ours, perplexity": {"auc": float(auc(*surprise)), "ms": slower},
        "scikit-learn, the same n-grams": {"auc": float(area), "ms": theirs},
    }


if __name__ == "__main__":
    main()
