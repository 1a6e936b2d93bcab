"""Near-duplicates: recall and precision on pairs of known similarity, memory and time as documents grow, and a peer.

    python bench/dedup.py quality [--pairs 4000]
    python bench/dedup.py growth [--documents 100000 1000000] [--workers 2]
    python bench/dedup.py peer [--documents 20000] [--step 1500] [--runs 3] [--texts FOLDER] [--peers PYTHON]

quality: pairs of bigram texts, half with a Jaccard similarity uniform on 0.8 to 1, half on 0 to 0.5, by substituted,
cut and moved stretches; the similarity of a pair is that of its sets of 5-grams, counted in Python. Both documents of a
pair joined is a find. growth: the real command on texts of about 120 characters, a fifth of them near copies, each size
in a process of its own; memory is that of the largest process. peer: stock datatrove's four stages (bench/
peer_dedup.py) and the real command over the same JSON lines, pieces of real Chinese articles, a tenth of them edited
copies; CPU seconds of processes and children, ours the median of some runs. Three ratios: ours with its start against
theirs without (imports, loading the tokenizer), both without, both with. Our start is a run over ten documents.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import zstandard
from bigrams import Bigrams, lengths

ROOT = Path(__file__).parent.parent
OFF = [word for step in ("lines", "paragraphs", "substrings") for word in ("-s", f"{step}.enabled=false")]
BATCH = 50_000


def command(folder: Path, out: Path, workers: int, *more: str) -> dict:
    words = [sys.executable, "-m", "corpus", "dedup", str(folder), "--out", str(out), "--json", "-q", *OFF]
    done = subprocess.run(
        [*words, "--workers", str(workers), *more],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},  # as installed: modules are compiled once
    )
    return json.loads(done.stdout)


def write(path: Path, rows: list[tuple[str, str]], mode: str = "ab") -> None:
    with path.open(mode) as file:
        for identity, text in rows:
            file.write(orjson.dumps({"id": identity, "text": text}, option=orjson.OPT_APPEND_NEWLINE))


def grams(text: str) -> set[str]:
    letters = re.sub(r"[^\w]|_", "", text.lower())
    return {letters[i : i + 5] for i in range(max(1, len(letters) - 4))}


def similarity(a: str, b: str) -> float:
    x, y = grams(a), grams(b)
    return len(x & y) / len(x | y)


def edited(text: str, other: str, share: float, generator: np.random.Generator) -> str:
    """About `share` of the characters replaced by those of another text, in stretches of 1 to 40."""
    left = round(share * len(text))
    while left > 0:
        size = min(left, int(40 ** generator.random()))
        place = int(generator.integers(0, max(1, len(text) - size)))
        start = int(generator.integers(0, max(1, len(other) - size)))
        kind = generator.random()
        text = text[:place] + (other[start : start + size] if kind < 0.7 else "") + text[place + size :]
        left -= size
    return text


def near(text: str, other: str, wanted: float, generator: np.random.Generator) -> tuple[str, float]:
    """A version whose similarity is about `wanted`, by bisection over how much is edited; and what it really is."""
    low, high = 0.0, 1.0
    best, distance, found = text, 2.0, 1.0
    for _ in range(8):
        share = (low + high) / 2
        version = edited(text, other, share, generator)
        real = similarity(text, version)
        if abs(real - wanted) < distance:
            best, distance, found = version, abs(real - wanted), real
        low, high = (share, high) if real > wanted else (low, share)
    return best, found


def quality(pairs: int) -> dict:
    model, generator = Bigrams(), np.random.default_rng(2)
    texts = model.documents(7, np.maximum(lengths(generator, 2 * pairs, 800), 60))
    rows: list[tuple[str, str]] = []
    truth = []
    for pair in range(pairs):
        wanted = generator.uniform(0.8, 1) if pair % 2 == 0 else generator.uniform(0.0, 0.5)
        version, real = near(texts[2 * pair], texts[2 * pair + 1], wanted, generator)
        rows += [(f"{pair}a", texts[2 * pair]), (f"{pair}b", version)]
        truth.append(real)
    generator.shuffle(rows)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "pairs.jsonl", rows)
        command(Path(folder) / "pairs.jsonl", Path(folder) / "run", 1)
        copies = pl.read_parquet(Path(folder) / "run" / "copies.parquet")
    joined = list(copies.select("id", "duplicate_of").iter_rows())
    own = {int(a[:-1]) for a, b in joined if a[:-1] == b[:-1]}
    similar = {pair for pair, real in enumerate(truth) if real >= 0.8}
    different = {pair for pair, real in enumerate(truth) if real <= 0.5}
    wrong = len(own & different) + sum(a[:-1] != b[:-1] for a, b in joined)
    return {
        "similar_pairs": len(similar),
        "different_pairs": len(different),
        "recall": len(own & similar) / len(similar),
        "precision": len(own & similar) / max(len(own & similar) + wrong, 1),
        "recall_by_similarity": {
            f"{low / 100:.2f}": round(
                np.mean([pair in own for pair in similar if low / 100 <= truth[pair] < (low + 5) / 100 + 1e-9]), 4
            )
            for low in (80, 85, 90, 95)
        },
    }


def many(path: Path, documents: int) -> None:
    """Short texts, a fifth of them near copies of one before."""
    model, generator = Bigrams(), np.random.default_rng(3)
    path.unlink(missing_ok=True)
    for start in range(0, documents, BATCH):
        size = min(BATCH, documents - start)
        texts = model.documents(start + 1, generator.integers(60, 180, size))
        for copy in range(size - size // 5, size):
            text = texts[int(generator.integers(0, size - size // 5))]
            place = int(generator.integers(0, len(text) - 3))
            texts[copy] = text[:place] + text[place + 2 :]
        write(path, [(f"{start + number}", text) for number, text in enumerate(texts)])


def growth(sizes: list[int], workers: int) -> list[dict]:
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "documents.jsonl"
            subprocess.run([sys.executable, __file__, "make", str(path), str(size)], check=True)
            spent = command(path, Path(folder) / "run", workers, "-s", "shard_mb=32")
        rows.append(
            {
                "documents": size,
                "copies": spent["documents"]["rejected"],
                "seconds": spent["seconds"],
                "cpu_seconds": spent["cpu_seconds"],
                "peak_memory_mb": round(spent["peak_memory_bytes"] / 1e6),
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def real(folder: Path, documents: int, step: int, size: int = 1_500) -> list[str]:
    """Pieces of real articles, of as many characters as a page of the web has; one begins every `step` characters."""
    found: list[str] = []
    for file in sorted(folder.glob("*.zst")):
        with zstandard.open(file, "rt", encoding="utf-8") as lines:
            for text in (json.loads(line)["text"] for line in lines):
                found += [text[start : start + size] for start in range(0, len(text) - size + 1, step)]
    return found[:documents]


def peer(documents: int, step: int, runs: int, folder: Path, python: str) -> dict:
    generator = np.random.default_rng(4)
    texts = real(folder, documents, step)
    documents = len(texts)
    for copy in range(0, documents, 10):  # a tenth are near copies
        texts[copy] = edited(texts[(copy + 1) % documents], texts[copy], 0.02, generator)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        write(data / "documents.jsonl", [(str(number), text) for number, text in enumerate(texts)])
        command(data, Path(folder) / "first", 1, "--limit", "10")  # kernels are compiled
        names = [str(number) for number in range(runs)]
        starts = [command(data, Path(folder) / f"start{name}", 1, "--limit", "10")["cpu_seconds"] for name in names]
        ours = [command(data, Path(folder) / f"run{name}", 1) for name in names]
        done = subprocess.run(
            [python, str(ROOT / "bench" / "peer_dedup.py"), str(data), folder], capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"peer failed: {done.stderr.strip().splitlines()[-1]}")
        theirs = json.loads(done.stdout)
    start, whole = statistics.median(starts), statistics.median(run["cpu_seconds"] for run in ours)
    return {
        "documents": documents,
        "characters": sum(map(len, texts)),
        "ours": {"kept": ours[0]["documents"]["kept"], "start_cpu_seconds": start, "cpu_seconds": whole},
        "datatrove": theirs,
        "ratio_with_our_start": round(theirs["cpu_seconds"] / whole, 1),
        "ratio_without_starts": round(theirs["cpu_seconds"] / (whole - start), 1),
        "ratio_with_both_starts": round((theirs["start_cpu_seconds"] + theirs["cpu_seconds"]) / whole, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["quality", "growth", "peer", "make"])
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=int, default=4_000)
    parser.add_argument("--documents", type=int, nargs="*", default=None)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--step", type=int, default=1_500)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--texts", type=Path, default=ROOT.parent / "shared" / "data" / "text-zh")
    parser.add_argument("--peers", default=str(ROOT / ".venv-peers" / "bin" / "python"))
    call = parser.parse_args()
    if call.what == "make":
        many(Path(call.rest[0]), int(call.rest[1]))
    elif call.what == "quality":
        print(json.dumps(quality(call.pairs), indent=1))
    elif call.what == "growth":
        print(json.dumps({"rows": growth(call.documents or [100_000, 1_000_000], call.workers)}))
    else:
        print(json.dumps(peer((call.documents or [20_000])[0], call.step, call.runs, call.texts, call.peers), indent=1))


if __name__ == "__main__":
    main()
