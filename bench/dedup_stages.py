"""The deduplication of many machines, stage by stage: CPU seconds and memory of each rank, on made-up fingerprints.

    python bench/dedup_stages.py [--documents 1000000 4000000] [--shingles 100]

Each stage runs in a process of its own, as a rank would: `sign` of one shard, `exact`, one range of one band of
`buckets`, and the last, which gathers all. A fifth of the documents are near copies of another, which share 9 of its 14
bands and 9 of 10 shingles. Memory is the peak of the process beside what it had before (mapped files count while they
are in use, so it is an upper bound).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from corpus.dedup import find_copies  # noqa: E402
from corpus.dedup_config import DedupConfig  # noqa: E402
from corpus.dedup_staged import Compared, compare_bucket, find_exact, read_joins, sign  # noqa: E402
from corpus.minhash import BANDS, HASH_BITS, Fingerprints  # noqa: E402
from corpus.store import part_name, write_prints  # noqa: E402
from runkit.rundir import RunDir  # noqa: E402

SHARD = 100_000  # documents
CONFIG = DedupConfig(by_url=False)


def make(run: RunDir, shards: int, shingles: int) -> None:
    """Shards of one part each."""
    for shard in range(shards):
        generator = np.random.default_rng(shard)
        exact = generator.integers(1, 2**63, (SHARD, 2), np.uint64)
        bands = generator.integers(0, 2**HASH_BITS, (SHARD, BANDS), np.uint64)
        texts = generator.integers(0, 2**32, (SHARD, shingles), np.uint32)
        originals = generator.integers(0, SHARD * 4 // 5, SHARD // 5)
        copies = np.arange(SHARD * 4 // 5, SHARD)
        bands[copies, :9] = bands[originals, :9]
        texts[copies, shingles // 10 :] = texts[originals, shingles // 10 :]
        prints = Fingerprints(exact, bands, texts.reshape(-1), np.arange(SHARD + 1) * shingles)
        columns = {
            "row": np.arange(SHARD),
            "id": np.array([f"{shard:06d}{number:018d}" for number in range(SHARD)], "S24"),
            "url": np.zeros(SHARD, np.uint64),
            "quality": generator.random(SHARD, np.float32),
        }
        write_prints(run, part_name(shard, 0), prints, columns)


def stage(run: RunDir, name: str, compared: Compared) -> dict:
    before, start = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = 0
    if name == "sign":
        for shard in compared.shards:
            sign(run, f"sign-{shard}", shard, compared.parts[shard], "")
    elif name == "exact":
        find_exact(run, "exact", compared, CONFIG)
    elif name == "buckets":
        for unit in compared.units:
            found += compare_bucket(run, f"bucket-{unit}", compared, unit, CONFIG.jaccard).data["pairs"]
    else:
        found = len(find_copies(run, compared.all_parts, CONFIG, read_joins(run, compared) if name == "last" else None))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_seconds": round(cpu, 2), "memory_mb": round((after.ru_maxrss - start) / 1024), "found": found}


def call(folder: Path, name: str, documents: int, shingles: int) -> dict:
    words = [sys.executable, __file__, "--stage", name, "--folder", str(folder), "--documents", str(documents)]
    done = subprocess.run([*words, "--shingles", str(shingles)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--shingles", type=int, default=100)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        shards = list(range(options.documents[0] // SHARD))
        compared = Compared(shards, [[part_name(shard, 0)] for shard in shards], [SHARD] * len(shards), "")
        run = RunDir(options.folder, {}, True)
        if options.stage == "make":
            make(run, len(shards), options.shingles)
            print("{}")
        else:
            find_copies(run, [], CONFIG)  # compiled code is loaded
            print(json.dumps(stage(run, options.stage, compared)))
        return
    for documents in options.documents:
        with tempfile.TemporaryDirectory() as folder:
            call(Path(folder), "make", documents, options.shingles)
            row = {
                name: call(Path(folder), name, documents, options.shingles)
                for name in ("one go", "sign", "exact", "buckets", "last")
            }
        for name, figures in row.items():
            figures["bytes_a_document"] = round(figures["memory_mb"] * 2**20 / documents)
            print(json.dumps({"documents": documents, "stage": name, **figures}), flush=True)


if __name__ == "__main__":
    main()
