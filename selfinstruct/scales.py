"""Edges of the histograms that are counted in stats.py and drawn in report.py."""

import bisect
from collections.abc import Iterable, Sequence
from typing import Final

LENGTHS: Final = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192)
NEAREST: Final = tuple(n / 20 for n in range(21))


def binned(values: Iterable[float], edges: Sequence[float]) -> list[int]:
    """How many values lie from each edge to the next; what lies beyond is counted at the end."""
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(max(bisect.bisect_right(edges, value) - 1, 0), len(counts) - 1)] += 1
    return counts
