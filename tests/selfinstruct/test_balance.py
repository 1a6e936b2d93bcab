"""The next request goes to the kind that is furthest behind; a barren kind does not eat all requests."""

from collections import Counter

import pytest

from runkit.errors import UsageError
from selfinstruct.balance import Balance
from selfinstruct.kinds import BY_KEY, known_kind, shares


def test_shares_are_reached_when_kinds_yield_differently() -> None:
    """A kind whose items are rejected three times as often gets more requests, not fewer items."""
    wanted = {"math": 0.5, "code": 0.3, "chat": 0.2}
    balance = Balance(wanted, items_per_request=4, patience=50)
    yields = {"math": 1, "code": 3, "chat": 4}
    waiting: list[str] = []
    while balance.kept.total() < 3000:
        kind = balance.next_kind()
        assert kind is not None
        balance.ask(kind)
        waiting.append(kind)
        if len(waiting) == 16:  # so many in flight
            first = waiting.pop(0)
            balance.answer(first, yields[first])
    for kind, share in wanted.items():
        assert balance.kept[kind] / balance.kept.total() == pytest.approx(share, abs=0.01)


def test_requests_in_flight_count() -> None:
    balance = Balance({"math": 0.5, "code": 0.5}, items_per_request=1, patience=9)
    asked: Counter[str] = Counter()
    for _ in range(10):
        kind = balance.next_kind()
        assert kind is not None
        balance.ask(kind)
        asked[kind] += 1
    assert asked == {"math": 5, "code": 5}


def test_a_barren_kind_is_set_aside() -> None:
    balance = Balance({"math": 0.5, "code": 0.5}, items_per_request=2, patience=5)
    for _ in range(200):
        kind = balance.next_kind()
        assert kind is not None
        balance.ask(kind)
        balance.answer(kind, 2 if kind == "code" else 0)
    assert balance.set_aside == ["math"] and balance.answered["math"] == 5


def test_names_of_kinds_and_shares() -> None:
    assert [known_kind(name) for name in ("Open QA", "math", "翻译", "poetry", None, "")] == [
        *("open_qa", "math", "translation"),
        *(None, None, None),
    ]
    assert shares({}) == dict.fromkeys(BY_KEY, 1 / 12)
    assert shares({"math": 3, "code": 1, "chat": 0}) == {"math": 0.75, "code": 0.25}
    with pytest.raises(UsageError, match="poetry is unknown"):
        shares({"poetry": 1})
    with pytest.raises(UsageError, match="weight of 0"):
        shares({"math": 0})
