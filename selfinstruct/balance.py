"""Which kind the next request goes to, so that the kept items come to the shares that were asked for.

In: what was kept of each kind, what requests in flight are expected to bring, shares. Out: the kind that is furthest
behind. The same counts give the same kind. A kind that brings nothing for long is set aside, for it would get every
request otherwise.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

_PRIOR_REQUESTS: Final = 4.0  # how many requests the guess of the yield weighs
# Of the items asked for. Too low a guess pays for items that nobody wants (a third of a set of 100), too high a one
# takes one round of calls more.
_PRIOR_YIELD: Final = 1.0


class Balance:
    """Counts of one run. `expected` is what a request of a kind brings, learnt as answers come."""

    def __init__(self, shares: Mapping[str, float], items_per_request: int, patience: int) -> None:
        self.shares = dict(shares)
        self.kept: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.pending: Counter[str] = Counter()  # requests without an answer yet
        self.set_aside: list[str] = []
        self._items, self._patience = items_per_request, patience
        self._barren: Counter[str] = Counter()  # answers in a row without a kept item

    def expected(self, kind: str) -> float:
        """Items that one request is expected to bring: as those of its kind did, at first as those of all kinds."""
        prior = _PRIOR_REQUESTS * _PRIOR_YIELD * self._items
        usual = (self.kept.total() + prior) / (self.answered.total() + _PRIOR_REQUESTS)
        return (self.kept[kind] + _PRIOR_REQUESTS * usual) / (self.answered[kind] + _PRIOR_REQUESTS)

    def next_kind(self, among: Sequence[str] | None = None) -> str | None:
        """The kind that is furthest behind its share, the first of equals; None: all are set aside."""
        open_kinds = [kind for kind in (among if among is not None else self.shares) if kind not in self.set_aside]
        if not open_kinds:
            return None
        have = {kind: self.kept[kind] + self.pending[kind] * self.expected(kind) for kind in open_kinds}
        whole = sum(have.values()) + 1
        weight = sum(self.shares[kind] for kind in open_kinds)
        return max(open_kinds, key=lambda kind: whole * self.shares[kind] / weight - have[kind])

    def ask(self, kind: str) -> None:
        """A request of this kind was made."""
        self.pending[kind] += 1

    def failed(self, kind: str) -> None:
        """It has no answer, which says nothing of the kind."""
        self.pending[kind] -= 1

    def answer(self, kind: str, brought: int) -> None:
        """Its answer brought so many items."""
        self.pending[kind] -= 1
        self.answered[kind] += 1
        self.kept[kind] += brought
        self._barren[kind] = 0 if brought else self._barren[kind] + 1
        if self._barren[kind] >= self._patience and kind not in self.set_aside:
            self.set_aside.append(kind)
