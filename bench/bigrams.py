"""Chinese text without repeats, as much as one wants, for benches: characters follow one another as in real texts.

In: texts to learn from (../shared/data/text-zh, or any JSON lines). Out: documents of a seed. Each character is one
that follows the one before it somewhere in the texts: characters, punctuation, lines and their frequencies are as
there, and no 50 characters come twice by chance. 1 GB takes about 20 s.
"""

import io
import json
from pathlib import Path

import numpy as np
import zstandard
from numba import njit

DATA = Path(__file__).parent.parent.parent / "shared" / "data" / "text-zh"


@njit(cache=True)
def _walk(followers, first, count, starts, lengths, seed):
    """Code points of all documents, one after another."""
    out = np.empty(lengths.sum(), np.uint32)
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
    size = 0
    for length in lengths:
        code = np.uint32(0)
        for place in range(length):
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            draw = state >> np.uint64(32)
            if place == 0 or count[code] == 0:
                code = starts[(draw * np.uint64(len(starts))) >> np.uint64(32)]
            else:
                code = followers[first[code] + ((draw * np.uint64(count[code])) >> np.uint64(32))]
            out[size] = code
            size += 1
    return out


class Bigrams:
    """What follows what."""

    def __init__(self, folder: Path = DATA) -> None:
        texts = []
        for file in sorted(folder.glob("*.jsonl.zst")):
            with file.open("rb") as raw:
                lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
                texts += [json.loads(line)["text"] for line in lines]
        codes = np.frombuffer("\n".join(texts).encode("utf-32-le", "replace"), np.uint32)
        before, behind = codes[:-1], codes[1:]
        other = before != behind  # a ruler of one sign is drawn in many texts
        before, behind = before[other], behind[other]
        self.followers = behind[np.argsort(before, kind="stable")]
        self.count = np.bincount(before, minlength=0x110000)
        self.first = np.concatenate([[0], np.cumsum(self.count)[:-1]])
        self.starts = self.followers[self.first[10] : self.first[10] + self.count[10]]  # what begins lines

    def documents(self, seed: int, lengths: np.ndarray) -> list[str]:
        """Documents of these lengths in characters."""
        lengths = lengths.astype(np.int64)
        codes = _walk(self.followers, self.first, self.count, self.starts, lengths, seed)
        data, ends = codes.tobytes(), (4 * np.cumsum(lengths)).tolist()
        return [
            data[end - 4 * size : end].decode("utf-32-le") for size, end in zip(lengths.tolist(), ends, strict=True)
        ]


def lengths(generator: np.random.Generator, count: int, mean: float) -> np.ndarray:
    """Lengths of documents as on the web: log-normal, of this mean."""
    return np.maximum(generator.lognormal(np.log(mean) - 0.5, 1.0, count).astype(np.int64), 20)
