"""`corpus clean` with one step or reader more, which takes its worker down at marked records.

    python -m tests.faults.poison DUMP OUT STEP WORKERS KEY=VALUE...

STEP is where it strikes: `early` (before the batches are made), `late` (behind them), `reader`.
"""

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from corpus.clean import clean, open_run
from corpus.config import load
from corpus.executor import ShardExecutor
from corpus.page import Page
from corpus.pipeline import build
from corpus.readers import Item, ReadOptions
from corpus.reading import ReadShard
from corpus.stages import Options
from runkit.inputs import Part, plan

DIES, GROWS, HANGS = "【此页致命】", "【此页膨胀】", "【此页不返】"
GROWTH_BYTES = 4 * 2**30 if os.environ.get("WENHAI_FULL") == "1" else 600 * 2**20


def strike(text: str) -> None:
    """Do what the mark in the text says."""
    if DIES in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if HANGS in text:
        signal.pause()
    if GROWS in text:
        held = b"x" * GROWTH_BYTES
        signal.pause()
        del held


class Poison(PipelineStep):
    """Looks at each page that passes."""

    type = "page"
    name = "poison"

    def run(self, data: Iterable[Page], rank: int = 0, world_size: int = 1) -> Iterator[Page]:
        for page in data:
            strike(page.text)
            yield page


class PoisonedReader(ReadShard):
    """Cannot read on beyond a marked record."""

    def items(self, part: Part) -> Iterator[Item]:
        for item in super().items(part):
            if isinstance(item, Page):
                strike(item.text)
            yield item


def pipeline(where: str, reader: ReadShard, steps: list[PipelineStep]) -> list[Any]:
    names = [type(step).__name__ for step in steps]
    place = {"early": names.index("Normalize"), "late": names.index("MaskPersonal"), "reader": 0}[where]
    return steps if where == "reader" else [*steps[:place], Poison(), *steps[place:]]


def main() -> None:
    dump, out, where, workers, *settings = sys.argv[1:]
    config = load(None, settings)
    planned = plan([dump], shard_bytes=round(config.read.shard_mb * 1e6))
    options = Options(int(workers), quiet=True)
    kind = PoisonedReader if where == "reader" else ReadShard
    with open_run(Path(out), planned, config, options) as run:
        reader = kind(planned, ReadOptions())
        steps = pipeline(where, reader, build(reader, config, run))
        executor = ShardExecutor(steps, options.workers, config.worker)
        executor.run_shards(range(len(planned.shards)), lambda records: None, lambda shard: None)
        clean(run, planned, config, options)  # every shard has its mark: what is left is the second pass


if __name__ == "__main__":
    main()
