"""How much faster is `corpus clean` with two workers than with one? Paired runs, on a machine that does nothing else.

    python bench/workers.py [--dump DUMP] [--times 10] [--rounds 5] [--workers 2] [--mode fast] [--json]

A round is one run with one worker and one with several, in an order that changes from round to round; the figure is
the median of the rounds' ratios of wall-clock time, with its quartiles. `--times` lays the dump's gzip members so often
one behind the other: the start (imports and kernels, 2 to 3 s for any number of workers) is then a small part, as is
the last shard, at which one worker works alone. Every run must leave the same bytes. The load before each run is told:
above 0.3 the ratio says little.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
DATA = ROOT.parent / "shared" / "data"
NOT_COMPARED = {"usage.json", ".lock"}


def clean(dump: Path, workers: int, mode: str) -> dict:
    """One run: seconds, CPU seconds, a hash over all its files, and the load before it."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "corpus", "clean", str(dump), "--out", str(out), "--json", "-q"]
        command += ["-s", f"extract.mode={mode}", "--workers", str(workers)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            sys.exit(done.stderr)
        files = hashlib.sha256()
        for file in sorted(out.rglob("*")):
            if file.is_file() and file.name not in NOT_COMPARED:
                files.update(f"{file.relative_to(out)}\0".encode() + file.read_bytes())
    told = json.loads(done.stdout)
    return {
        "workers": workers,
        "seconds": told["seconds"],
        "cpu_seconds": told["cpu_seconds"],
        "documents": told["documents"]["read"],
        "files": files.hexdigest(),
        "load_before": round(load, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dump", type=Path, default=DATA / "dump" / "pages.warc.gz", help="a gzip of members")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mode", choices=("fast", "best"), default="fast")
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    if not call.dump.is_file():
        parser.error(f"there is no {call.dump}; give --dump")
    if call.workers > (os.cpu_count() or 1):
        parser.error(f"{call.workers} workers need as many cores; there are {os.cpu_count()}")
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / call.dump.name
        with dump.open("wb") as file:
            for _ in range(call.times):
                file.write(call.dump.read_bytes())
        clean(call.dump, 1, call.mode)  # compiles
        for number in range(call.rounds):
            order = (1, call.workers) if number % 2 == 0 else (call.workers, 1)
            runs = {workers: clean(dump, workers, call.mode) for workers in order}
            if runs[1]["files"] != runs[call.workers]["files"]:
                sys.exit("the two runs left different bytes")
            rounds.append({"one": runs[1], "many": runs[call.workers]})
            one, many = rounds[-1]["one"], rounds[-1]["many"]
            print(
                f"round {number + 1}: {one['seconds']:.1f} s and {many['seconds']:.1f} s, "
                f"{one['seconds'] / many['seconds']:.2f} times; CPU {one['cpu_seconds']:.1f} and "
                f"{many['cpu_seconds']:.1f} s; load before {one['load_before']} and {many['load_before']}",
                file=sys.stderr,
            )
    ratios = sorted(pair["one"]["seconds"] / pair["many"]["seconds"] for pair in rounds)
    quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    median, documents = statistics.median(ratios), rounds[0]["one"]["documents"]
    busiest = max(run["load_before"] for pair in rounds for run in pair.values())
    if call.json:
        print(json.dumps({"ratio": median, "quartiles": quartiles, "rounds": rounds}))
        return
    spread = f"{quartiles[0]:.2f} to {quartiles[2]:.2f}"
    print(f"{documents:,} documents, {call.workers} workers: {median:.2f} times one ({spread})")
    print(f"highest load before a run: {busiest:.2f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
