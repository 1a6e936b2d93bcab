"""Memory: ten times the input takes no more of it; deduplication takes at most 600 bytes a document."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.launch import DEADLINE_S, FAST, FULL, SCRIPTS
from tests.faults.texts import ROOT, write_jsonl

pytestmark = pytest.mark.timeout(1800 if FULL else 120)
PAGES, TIMES = (8_000, 10) if FULL else (400, 5)
DOCUMENTS = 100_000 if FULL else 60_000
BYTES_A_DOCUMENT = 600
MAPPED_A_DOCUMENT = 2_000  # bytes of shingles, read through a mapped file: the system takes these pages back
SHARDS = ("-s", "read.shard_mb=0.5")

FIND_COPIES = """
import sys
from pathlib import Path
import numpy as np
from corpus.dedup_config import DedupConfig
from corpus.dedup import find_copies
from runkit.rundir import RunDir

folder, documents = Path(sys.argv[1]), int(sys.argv[2])
PARTS, SHINGLES = 20, 40
rng = np.random.default_rng(1)
(folder / "work").mkdir(parents=True)

def write(name, count):
    shingles = np.sort(rng.integers(0, 2**32, (count, SHINGLES), dtype=np.uint32), axis=1)
    bands = rng.integers(1, 2**63, (count, 14), dtype=np.uint64)
    # One in fifty is a copy; they lie together, since pages of the mapped shingles are no memory of the program's own.
    copies = count // 50
    bands[copies:2 * copies], shingles[copies:2 * copies] = bands[:copies], shingles[:copies]
    np.savez(
        folder / f"work/{name}.index.npz", row=np.arange(count),
        id=np.array([f"{name}{n:015}" for n in range(count)], "S24"),
        url=rng.integers(1, 2**63, count, dtype=np.uint64), quality=rng.random(count, dtype=np.float32),
        exact=rng.integers(0, 2**63, (count, 2), dtype=np.uint64),
        **{f"band{number:02}": bands[:, number].copy() for number in range(bands.shape[1])},
        offsets=np.arange(count + 1) * SHINGLES)
    np.save(folder / f"work/{name}.shingles.npy", shingles.ravel())

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

write("99999-000", 100)
names = [f"{n:05}-000" for n in range(PARTS)]
for name in names:
    write(name, documents // PARTS)
run = RunDir(folder, {}, False)
find_copies(run, ["99999-000"], DedupConfig())  # whatever is loaded on the first call
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = status("VmRSS")
copies = find_copies(run, names, DedupConfig())
print((status("VmHWM") - before) / documents, len(copies))
"""


def peak_bytes(folder: Path, pages: int) -> int:
    """The largest process of a run with one worker, over so many pages."""
    folder.mkdir()
    write_jsonl(folder / "lines.jsonl", random.Random(pages), pages, 20)
    words = ["clean", folder / "lines.jsonl", "--out", folder / "run", *FAST, *SHARDS, "--workers", "1"]
    # By way of a shell: the peak of a process begins with the size of what forked it, and this one is large.
    shell = ["sh", "-c", '"$0" "$@"; exit $?', SCRIPTS["corpus.cli"], *words]
    done = subprocess.run(shell, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    summary = json.loads((folder / "run/summary.json").read_text("utf-8"))
    assert summary["documents"]["kept"] >= 0.8 * pages
    return int(json.loads((folder / "run/usage.json").read_text("utf-8"))["peak_memory_bytes"])


def test_more_input_takes_no_more_memory(tmp_path: Path) -> None:
    small, large = peak_bytes(tmp_path / "small", PAGES), peak_bytes(tmp_path / "large", TIMES * PAGES)
    print(f"\n{PAGES} pages {small / 1e6:.0f} MB, {TIMES * PAGES} pages {large / 1e6:.0f} MB")
    assert large <= 1.2 * small + MAPPED_A_DOCUMENT * (TIMES - 1) * PAGES


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak can be reset on Linux only")
def test_deduplication_by_the_document(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIND_COPIES, tmp_path / "run", str(DOCUMENTS)],
        cwd=ROOT,
        timeout=DEADLINE_S,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    bytes_each, copies = map(float, done.stdout.split())
    print(f"\n{bytes_each:.0f} bytes a document, {copies:.0f} copies among {DOCUMENTS}")
    assert copies == DOCUMENTS // 50
    assert bytes_each <= BYTES_A_DOCUMENT
