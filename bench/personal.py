"""What the search for personal data finds in real text: counts, samples to read, and speed.

In: files of documents (`.jsonl`, `.jsonl.zst`, a `text` in each line). Out, on the terminal only:
findings per million characters by kind, a seeded sample of each with its surroundings, microseconds per
2,000 characters. Whether a finding is a person's is for a reader to say; there is no labelled set, so
this measures false alarms, not misses.

    python bench/personal.py ../shared/data/text-zh/*.jsonl.zst ../shared/data/pages/zh.jsonl
"""

import argparse
import random
import time
from collections import Counter, defaultdict
from pathlib import Path

import orjson
import zstandard

from runkit.personal import find_personal


def texts(path: Path) -> list[str]:
    """The `text` of every line."""
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data).read()
    return [orjson.loads(line)["text"] for line in data.split(b"\n") if line.strip()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--samples", type=int, default=20, help="findings of each kind to show")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    shown: dict[str, list[str]] = defaultdict(list)
    characters, seconds = 0, 0.0
    for path in options.files:
        for text in texts(path):
            start = time.process_time()
            found = find_personal(text)
            seconds += time.process_time() - start
            characters += len(text)
            counts.update(finding.kind for finding in found)
            for finding in found:
                before, after = (
                    text[max(0, finding.start - 25) : finding.start],
                    text[finding.end : finding.end + 15],
                )
                context = f"{path.name[:12]}: {before!r} [{text[finding.start : finding.end]}] {after!r}"
                shown[finding.kind].append(context)
    print(f"{characters:,} characters, {seconds / characters * 2000 * 1e6:.1f} µs per 2,000")
    for kind, count in counts.most_common():
        print(f"\n{kind}: {count} findings, {count / characters * 1e6:.1f} per million characters")
        sample = random.Random(options.seed).sample(shown[kind], min(options.samples, count))
        print("\n".join(f"  {line}" for line in sample))


if __name__ == "__main__":
    main()
