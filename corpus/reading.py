"""The first step: one shard's records as pages, with a heartbeat and a list of what could not be read.

The heartbeat tells the parent which record is being read or in work, so that a record that hangs or kills its worker is
known by its place and left out, with a reason, when the shard is read again. A record that cannot even be read ends its
part of the shard (one file, or one range of a file); the parts behind it are read.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from datatrove.pipeline.base import PipelineStep

from corpus.page import Page
from corpus.readers import Item, ReadOptions, read
from runkit.fields import Fault
from runkit.inputs import Part, Plan, Shard
from runkit.records import sampled

UNREADABLE = "worker.unreadable"
_PART = 2**32  # place = part * _PART + record: a place stays the same whatever is left out before it
_OFFSET = re.compile(r"#(\d+)[^#]*$")


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
        self.left_out: dict[int, str] = {}  # place → reason, for the shard at hand
        self.beat: Callable[[int, int, bool], None] = lambda records, place, in_work: None
        self.rest: Callable[[], None] = lambda: None  # no record is in work: the clock stands still
        self.faults: list[Fault] = []

    def items(self, part: Part) -> Iterator[Item]:
        """What lies in one part, in order."""
        return read(Shard(0, (part,), 0), self.options)

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Page]:
        self.faults = []
        pages = records = 0
        for number, part in enumerate(self.plan.shards[rank].parts):
            place = number * _PART
            offset = part.start
            items = self.items(part)
            while not self._given_up(part, place, offset):
                self.beat(records, place, False)
                item = next(items, None)
                if item is None:
                    break
                records += 1
                self.beat(records, place, True)
                offset = item.offset if isinstance(item, Fault) else _offset(item)
                page = self._page(item, place)
                place += 1
                if page is not None:
                    yield page
                    pages += 1
                    if pages == self.limit:
                        return

    def _given_up(self, part: Part, place: int, offset: int) -> bool:
        """Whether reading on at `place` took the worker down; what is lost by that is one fault."""
        if self.left_out.get(place) != UNREADABLE:
            return False
        detail = (
            f"record {place % _PART + 1} from byte {part.start} on stops every worker; "
            f"nothing between it and byte {part.end} is read"
        )
        self.faults.append(Fault(part.name, offset, None, UNREADABLE, detail))
        return True

    def _page(self, item: Item, place: int) -> Page | None:
        """The page to work on; None for a fault, a record that is left out, and one outside the sample."""
        reason = self.left_out.get(place)
        if isinstance(item, Fault):
            self.faults.append(item)
        elif reason is not None:
            name = item.origin.rpartition("#")[0]
            self.faults.append(Fault(name, _offset(item), None, reason, f"record {item.id}"))
        elif self._sampled(item):
            return item
        return None

    def _sampled(self, page: Page) -> bool:
        return self.sample is None or sampled(page.id, self.sample, self.seed)


def _offset(page: Page) -> int:
    found = _OFFSET.search(page.origin)
    return int(found[1]) if found else 0
