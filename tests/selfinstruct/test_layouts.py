"""A set goes into every layout and comes back equal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.layouts import LAYOUTS, ours

Texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
Records = st.fixed_dictionaries(
    {"instruction": Texts, "input": Texts, "output": Texts},
    optional={
        "id": Texts,
        "category": Texts,
        "nearest_rouge_l": st.floats(0, 1),
        "seed_ids": st.lists(Texts, max_size=2),
    },
)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("system", ["", "你是助手"])
@given(record=Records)
def test_a_round_trip_loses_nothing(layout: str, system: str, record: dict[str, Any]) -> None:
    assert ours(LAYOUTS[layout](record, system)) == record


def test_what_others_write() -> None:
    told = {"conversations": [{"from": "human", "value": "问\n材料"}, {"from": "gpt", "value": "答"}]}
    assert ours(told) == {"instruction": "问\n材料", "input": "", "output": "答"}
    assert ours({"instruction": "问", "input": None, "output": "答"}) == {
        "instruction": "问",
        "input": "",
        "output": "答",
    }
    several = {"messages": [{"role": role, "content": "x"} for role in ("user", "assistant", "user", "assistant")]}
    assert ours(several) is None and ours({"text": "x"}) is None and ours({"instruction": 5}) is None


def test_layouts_by_hand() -> None:
    record = {"id": "1", "instruction": "译", "input": "你好", "output": "hello"}
    assert LAYOUTS["sharegpt"](record, "")["conversations"] == [
        {"from": "human", "value": "译\n你好"},
        {"from": "gpt", "value": "hello"},
    ]
    assert LAYOUTS["messages"](record, "助手")["messages"][0] == {"role": "system", "content": "助手"}
