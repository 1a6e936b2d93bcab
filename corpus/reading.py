"""The first step: one shard's records as pages, with a heartbeat and a list of what could not be read.

The heartbeat tells the parent which record is in work, so that a record that hangs or kills its worker is known by its
number and left out, with a reason, when the shard is read again.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from datatrove.pipeline.base import PipelineStep

from corpus.inputs import Plan
from corpus.page import Page
from corpus.readers import Fault, ReadOptions, read

# A record that is left out twice and still takes its worker down is at fault while it is read, not while it is
# cleaned; nothing behind it in the shard can be reached.
GIVE_UP = "worker.unreadable"


class ReadShard(PipelineStep):
    """Pages of shard `rank` of the plan; faults are kept in `faults`."""

    type = "reader"
    name = "read"

    def __init__(self, plan: Plan, options: ReadOptions, sample: float | None = None, seed: int = 0) -> None:
        super().__init__()
        self.plan = plan
        self.options = options
        self.sample = sample
        self.seed = seed
        self.limit: int | None = None
        self.left_out: dict[int, str] = {}  # record number → reason, for the shard at hand
        self.beat: Callable[[int], None] = lambda record: None
        self.rest: Callable[[], None] = lambda: None  # no record is in work: the clock stands still
        self.faults: list[Fault] = []

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Page]:
        self.faults = []
        pages = 0
        self.beat(0)
        for number, item in enumerate(read(self.plan.shards[rank], self.options)):
            self.beat(number + 1)
            reason = self.left_out.get(number)
            if isinstance(item, Fault):
                self.faults.append(item)
            elif reason is not None:
                name, _, offset = item.origin.rpartition("#")
                place = int(offset.split(".")[0]) if offset.split(".")[0].isdigit() else 0
                self.faults.append(Fault(name, place, None, reason, f"record {number} of shard {rank}"))
            elif self._sampled(item):
                yield item
                pages += 1
            if reason == GIVE_UP or pages == self.limit:
                return

    def _sampled(self, page: Page) -> bool:
        if self.sample is None:
            return True
        digest = hashlib.blake2b(page.id.encode(), digest_size=8, key=self.seed.to_bytes(8, "little")).digest()
        return int.from_bytes(digest, "little") < self.sample * 2**64
