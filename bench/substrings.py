"""Exact substrings of 1 GB of text: minutes, memory, and whether what was planted is found and nothing else.

    python bench/substrings.py [--mb 100] [--workers 2] [--keep FOLDER] [--json]

Text is made by bench/bigrams.py; in 2 % of the documents a stretch of 50 to 2,000 characters of an earlier document is
planted, in 1 % one of 49, which is too short to count. What stands before and behind a planted stretch differs from
what does at its source, so the spans to be cut are known to the character. Then the real command cuts substrings alone
(`substrings.min_documents=2`), and its cuts are compared with what was planted. The input is made in a run of its own,
which is not timed. Prices are of the whole command: reading JSON lines, cutting, writing parquet.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import orjson
import polars as pl
from bigrams import Bigrams, lengths

ROOT = Path(__file__).parent.parent
BATCH = 20_000  # documents made at once
LEAST = 50
OFF = [word for step in ("documents", "lines", "paragraphs") for word in ("-s", f"{step}.enabled=false")]


def plant(texts: list[str], generator: np.random.Generator, planted: list[tuple[str, int, int]], first: int) -> None:
    """Put stretches of the first half of the documents into some of the second half."""
    half = len(texts) // 2
    for target in range(half, len(texts)):
        draw = generator.random()
        if draw > 0.06:
            continue
        size = LEAST - 1 if draw > 0.04 else int(50 * 40 ** generator.random())
        source = texts[int(generator.integers(half))]
        if len(source) < size + 2:
            continue
        start = int(generator.integers(1, len(source) - size))
        place = int(generator.integers(1, len(texts[target])))
        before, behind = source[start - 1], source[start + size] if start + size < len(source) else ""
        head, tail = texts[target][:place], texts[target][place:]
        head += "甲" if head[-1] == before != "甲" else "乙" if head[-1] == before else ""
        tail = ("丙" if behind != "丙" else "丁") + tail
        texts[target] = head + source[start : start + size] + tail
        if size >= LEAST:
            planted.append((f"d{first + target}", len(head), len(head) + size))


def make(folder: Path, megabytes: int) -> None:
    """documents.jsonl of so many megabytes, planted.json."""
    model, generator = Bigrams(), np.random.default_rng(1)
    planted: list[tuple[str, int, int]] = []
    size = count = 0
    with (folder / "documents.jsonl").open("wb") as file:
        while size < megabytes * 10**6:
            texts = model.documents(count + 1, lengths(generator, BATCH, 1_500))
            plant(texts, generator, planted, count)
            for number, text in enumerate(texts):
                size += len(text.encode())
                file.write(orjson.dumps({"id": f"d{count + number}", "text": text}, option=orjson.OPT_APPEND_NEWLINE))
                if size >= megabytes * 10**6:
                    break
            count += number + 1
    written = [span for span in planted if int(span[0][1:]) < count]
    (folder / "planted.json").write_text(json.dumps(written))


def cuts(run: Path) -> list[tuple[str, int, int]]:
    """What the command cut: id of the document, start, stop."""
    found = []
    for file in sorted((run / "cuts").glob("*.parquet")):
        frames = [run / state / file.name for state in ("documents", "rejected")]
        ids = {}
        for frame in map(pl.read_parquet, frames):
            ids |= {int(identity[1:]): identity for identity in frame["id"]}
        order = [ids[number] for number in sorted(ids)]  # rows lie as the input does
        rows = pl.read_parquet(file)
        found += [(order[row], start, stop) for row, start, stop in rows.select("row", "start", "stop").iter_rows()]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mb", type=int, default=100, help="Megabytes of UTF-8 text.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="Folder for the input, which is used again if it is there.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    call = parser.parse_args()
    if call.make:
        make(call.make, call.mb)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = call.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "planted.json").is_file():
            subprocess.run([sys.executable, __file__, "--mb", str(call.mb), "--make", str(folder)], check=True)
        run = Path(temporary) / "run"
        command = [sys.executable, "-m", "corpus", "dedup", str(folder / "documents.jsonl"), "--out", str(run)]
        command += ["-q", "--json", "--workers", str(call.workers), *OFF]
        command += ["-s", "substrings.min_documents=2", "-s", "rest.max_cut_share=1", "-s", "rest.min_chars=1"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        spent = json.loads(done.stdout)
        planted = {tuple(span) for span in json.loads((folder / "planted.json").read_text())}
        found = set(cuts(run))
        size = (folder / "documents.jsonl").stat().st_size
    outcome = {
        "input_mb": round(size / 1e6, 1),
        "documents": spent["documents"]["read"],
        "characters": spent["characters"]["read"],
        "seconds": spent["seconds"],
        "cpu_seconds": spent["cpu_seconds"],
        "peak_memory_mb": round(spent["peak_memory_bytes"] / 1e6),
        "planted": len(planted),
        "found": len(found),
        "recall": len(found & planted) / max(len(planted), 1),
        "precision": len(found & planted) / max(len(found), 1),
    }
    if call.json:
        print(json.dumps(outcome))
    else:
        for key, value in outcome.items():
            print(f"{key:<16} {value:,}")
        for missed in sorted(planted - found)[:5]:
            print("missed", missed)
        for wrong in sorted(found - planted)[:5]:
            print("not planted", wrong)


if __name__ == "__main__":
    main()
