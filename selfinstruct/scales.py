"""Edges of the histograms that are counted in stats.py and drawn in report.py."""

from typing import Final

LENGTHS: Final = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192)
NEAREST: Final = tuple(n / 20 for n in range(21))
