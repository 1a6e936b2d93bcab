"""Which items a person sees, in which order, and which answer stands left.

In: items, a seed, the reviewer's name. Out: slots; the same input gives the same slots on every machine. All
reviewers share the same items: a fair sample of the questions, the same number for each pair of systems, so that 50
items are the first 50 of 100. Each has an order of their own. Sides are balanced in permuted blocks: of each four
items of one pair of systems that follow each other, each system stands left in two, in an order nobody can foresee.
Some items come a second time, later and with sides swapped, and look like any other.
Price: two hashes an item, 5 ms for a thousand.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from judge.review_items import Item

BLOCK = 4
GAP = 10  # a repeated item comes at least so many items later, where there are so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One item as one person sees it. `repeat_of` is the slot that showed it before."""

    number: int
    question_id: str
    left: str
    right: str
    fingerprint: str
    repeat_of: int | None = None


def sample(items: Sequence[Item], count: int | None, seed: int) -> list[Item]:
    """`count` items, pairs of systems in turn; within a pair a fair sample of its questions."""
    pairs: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        pairs.setdefault((item.a, item.b), []).append(item)
    mixed = [sorted(own, key=lambda item: _draw(seed, "sample", *item.key)) for _, own in sorted(pairs.items())]
    in_turn = [item for item in chain.from_iterable(zip_longest(*mixed)) if item is not None]
    return in_turn if count is None else in_turn[:count]


def plan(
    items: Sequence[Item],
    reviewer: str,
    seed: int,
    repeat: float = 0.0,
    first_number: int = 1,
    seen: Mapping[tuple[str, str], int] | None = None,
) -> list[Slot]:
    """Slots from `first_number` on; `seen`: how many items of each pair the reviewer has in slots already."""
    order = sorted(items, key=lambda item: _draw(seed, reviewer, "order", *item.key))
    counts = dict(seen or {})
    shown: list[tuple[Item, bool]] = []  # and whether `a` is left
    for item in order:
        pair = (item.a, item.b)
        at = counts.get(pair, 0)
        counts[pair] = at + 1
        shown.append((item, _a_left(seed, reviewer, pair, at)))
    behind = _repeats(order, reviewer, seed, repeat)
    numbers: dict[int, int] = {}
    slots: list[Slot] = []
    for index, (item, a_left) in enumerate(shown):
        numbers[index] = first_number + len(slots)
        slots.append(_slot(numbers[index], item, a_left, None))
        for first in behind.get(index, ()):
            again, was_left = shown[first]
            slots.append(_slot(first_number + len(slots), again, not was_left, numbers[first]))
    return slots


def _repeats(order: Sequence[Item], reviewer: str, seed: int, share: float) -> dict[int, list[int]]:
    """Index in `order` -> indices of earlier items that are shown again behind it."""
    gap = min(GAP, len(order) // 2)
    can = range(len(order) - gap)
    count = min(len(can), math.ceil(share * len(order))) if gap else 0
    chosen = sorted(can, key=lambda index: _draw(seed, reviewer, "repeat", *order[index].key))[:count]
    behind: dict[int, list[int]] = {}
    for first in sorted(chosen):
        places = len(order) - first - gap
        at = first + gap + _draw(seed, reviewer, "place", *order[first].key) % places
        behind.setdefault(at, []).append(first)
    return behind


def _a_left(seed: int, reviewer: str, pair: tuple[str, str], at: int) -> bool:
    """Whether the first system of the pair stands left in its `at`-th item."""
    block, place = divmod(at, BLOCK)
    places = sorted(range(BLOCK), key=lambda one: _draw(seed, reviewer, "side", *pair, str(block), str(one)))
    return places.index(place) < BLOCK // 2


def _slot(number: int, item: Item, a_left: bool, repeat_of: int | None) -> Slot:
    left, right = (item.a, item.b) if a_left else (item.b, item.a)
    return Slot(
        number=number,
        question_id=item.question_id,
        left=left,
        right=right,
        fingerprint=item.fingerprint,
        repeat_of=repeat_of,
    )


def _draw(seed: int, *parts: str) -> int:
    """An even number below 2^64 that depends on the parts alone."""
    named = "".join(f"{len(part)}:{part}" for part in (str(seed), *parts))
    return int.from_bytes(hashlib.sha256(named.encode("utf-8", "surrogatepass")).digest()[:8], "big")
