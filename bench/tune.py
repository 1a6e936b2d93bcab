"""Does `corpus tune` answer within 2 s for a million documents?

    python bench/tune.py [--documents 1000000] [--per-part 560] [--keep FOLDER]

Makes a run of that many documents as `corpus clean` writes it: parts of 560 documents (what 8 MB of gzipped WARC hold),
all columns, three quarters kept; texts of a few characters, for tune reads none. Signals are drawn so that each rule
rejects a few in a hundred. Then asks the command, in a process of its own, for one, three and all rules. Out: seconds
(of the first start, which gathers the signals, then the best of three), CPU seconds and memory of the whole command,
start-up included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from corpus.config import load  # noqa: E402
from corpus.signals import ALL_SIGNALS  # noqa: E402
from corpus.store import SCHEMA, part_name  # noqa: E402
from runkit.files import write_json  # noqa: E402
from runkit.rundir import RunDir  # noqa: E402


def make(folder: Path, documents: int, per_part: int) -> None:
    """The run, all but its report and marks."""
    config = load(None, [])
    rng = np.random.default_rng(8)
    resolved = config.model_dump(mode="json", exclude={"worker"}) | {"limit": None, "sample": None}
    reasons: dict[str, int] = {}
    copies = []
    with RunDir.open(folder, "corpus clean", resolved, [], {}) as run:
        for part in range(-(-documents // per_part)):
            size = min(per_part, documents - part * per_part)
            frame = _part(part, size, rng, config.rules)
            for state in ("documents", "rejected"):
                run.file(state).mkdir(exist_ok=True)
                chosen = (frame["reasons"].list.len() == 0) == (state == "documents")
                rows = frame.filter(chosen)
                if state == "documents":
                    rows = rows.drop("reasons")
                    copies += rows["id"][:8].to_list()
                else:
                    for name in rows["reasons"].explode().to_list():
                        reasons[name] = reasons.get(name, 0) + 1
                rows.write_parquet(run.file(f"{state}/{part_name(part, 0)}.parquet"), compression_level=3)
        pl.DataFrame({"duplicate_of": copies}).write_parquet(run.file("copies.parquet"))
        write_json(run.file("summary.json"), {"reasons": reasons, "only_reason": reasons})


def _part(part: int, size: int, rng: np.random.Generator, rules: list) -> pl.DataFrame:
    language = np.array(["zh", "en"])[(rng.random(size) < 0.3).astype(int)]
    signals = {name: rng.random(size, np.float32) for name in ALL_SIGNALS}
    broken: list[list[str]] = [[] for _ in range(size)]
    for rule in rules:
        values = signals[f"s_{rule.signal}"]
        low = rule.min if rule.min is not None else 0.0
        high = rule.max if rule.max is not None else max(2 * low, 1.0) * 1.5
        mine = language == rule.language
        values[mine] = (low + (high - low) * (0.008 + 0.992 * rng.beta(2, 2, size)))[mine]
        out = mine & (rng.random(size) < 0.012)
        values[out] = high * 1.1 if rule.max is not None else low * 0.9
        for row in np.flatnonzero(out):
            broken[row].append(f"rules.{rule.signal}")
    ids = [f"{part:06x}{row:018x}" for row in range(size)]
    columns = {
        "id": ids,
        "origin": [f"dump-{part:05d}.warc.gz#{row}" for row in range(size)],
        "text": ["一篇短文。"] * size,
        "url": [f"https://site{row % 97}.example/{part}/{row}" for row in range(size)],
        "source": [f"crawl-{part % 5}"] * size,
        "language": language.tolist(),
        "date": [None] * size,
        "meta": ["{}"] * size,
        **signals,
        "reasons": broken,
    }
    return pl.DataFrame(columns, schema=SCHEMA)


def ask(run: Path, settings: list[str], times: int = 3) -> tuple[float, float, int, dict]:
    """Seconds, CPU seconds, peak memory of the children so far and the answer, best of three."""
    best: tuple[float, float, int, dict] | None = None
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        command = [sys.executable, "-m", "corpus", "tune", str(run), "--json"]
        command += [word for setting in settings for word in ("-s", setting)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if best is None or seconds < best[0]:
            best = seconds, cpu, after.ru_maxrss * 1024, json.loads(done.stdout)
    assert best is not None
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--per-part", type=int, default=560)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = call.keep or Path(temporary) / "run"
        if not (folder / "summary.json").is_file():
            make(folder, call.documents, call.per_part)
        parts = len(list((folder / "documents").iterdir()))
        busy = f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores"
        print(f"{call.documents:,} documents in {parts:,} parts; {busy}", file=sys.stderr)
        three = ["rules.chars.min=150", "rules.top_2gram.max=0.3", "rules.entropy.min=4"]
        names = dict.fromkeys(
            rule.signal for rule in load(None, []).rules if rule.min is None and rule.signal != "perplexity"
        )
        for file in (folder / ".signals").glob("*"):
            file.unlink()
        seconds, cpu, memory, _ = ask(folder, three[1:2], times=1)
        rows = {"first start": {"seconds": seconds, "cpu_seconds": cpu, "memory_bytes": memory}}
        for title, settings in (
            ("one rule", three[1:2]),
            ("three rules", three),
            (f"{len(names)} rules", [f"rules.{name}.max=0.21" for name in names]),
        ):
            seconds, cpu, memory, answer = ask(folder, settings)
            told = ", ".join(f"{key} {answer[key]['documents']:,}" for key in ("before", "after", "won", "lost"))
            print(f"{title:>12}: {told}", file=sys.stderr)
            rows[title] = {"seconds": seconds, "cpu_seconds": cpu, "memory_bytes": memory}
        if call.json:
            print(json.dumps({"documents": call.documents, "rows": rows}))
            return
        for title, row in rows.items():
            spent = f"{row['seconds']:5.2f} s, {row['cpu_seconds']:5.2f} CPU s, {row['memory_bytes'] / 1e6:,.0f} MB"
            print(f"{title:>12}: {spent}")


if __name__ == "__main__":
    main()
