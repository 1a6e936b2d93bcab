"""A set goes into every layout and comes back equal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runkit.jsonl import JsonLineError
from runkit.layouts import LAYOUTS, ours, turns_of

Texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
Records = st.fixed_dictionaries(
    {"instruction": Texts, "input": Texts, "output": Texts},
    optional={
        "id": Texts,
        "category": Texts,
        "nearest_rouge_l": st.floats(0, 1),
        "seed_ids": st.lists(Texts, max_size=2),
        "system": Texts,
        "more": Texts,
        "extra": st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | Texts,
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(Texts, inner, max_size=2),
            max_leaves=4,
        ).filter(lambda value: value is not None),
    },
)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("system", ["", "你是助手"])
@given(record=Records)
def test_a_round_trip_loses_nothing(layout: str, system: str, record: dict[str, Any]) -> None:
    head = {"system": system} if system and not record.get("system") else {}
    assert ours(LAYOUTS[layout](record, system)) == record | head


def test_what_others_write() -> None:
    told = {"conversations": [{"from": "human", "value": "问\n材料"}, {"from": "gpt", "value": "答"}]}
    assert ours(told) == {"instruction": "问\n材料", "input": "", "output": "答"}
    assert ours({"instruction": "问", "input": None, "output": "答"}) == {
        "instruction": "问",
        "input": "",
        "output": "答",
    }
    assert ours({"instruction": "问", "target": "答", "x": 1}) == {
        "instruction": "问",
        "input": "",
        "output": "答",
        "x": 1,
    }
    with_system = {"instruction": "问", "input": "", "output": "答", "system": "助手"}
    assert ours(with_system) == ours(
        {"system": "助手", **told, "conversations": [{"from": "human", "value": "问"}, told["conversations"][1]]}
    )
    assert ours(with_system) == with_system
    seed = {"id": "s", "instruction": "问", "instances": [{"input": "料", "output": "答"}]}
    assert ours(seed) == {"instruction": "问", "input": "料", "output": "答", "id": "s"}


def test_several_exchanges_come_back() -> None:
    turns = [{"role": role, "content": f"{role} {n}"} for n in range(2) for role in ("user", "assistant")]
    found = ours({"messages": [{"role": "system", "content": "助手"}, *turns], "id": "m"})
    assert found == {
        "instruction": "user 0",
        "input": "",
        "output": "assistant 0",
        "id": "m",
        "system": "助手",
        "messages": turns,
    }
    for layout, write in LAYOUTS.items():
        assert ours(write(found, "")) == found, layout


@pytest.mark.parametrize(
    "record",
    [
        {"text": "x"},
        {"instruction": 5},
        {"instruction": "x", "output": []},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"conversations": [{"from": "human"}]},
        {"messages": [3]},
        {"messages": []},
    ],
)
def test_what_is_no_item(record: dict[str, Any]) -> None:
    with pytest.raises(JsonLineError):
        ours(record)


def test_layouts_by_hand() -> None:
    record = {"id": "1", "instruction": "译", "input": "你好", "output": "hello"}
    assert LAYOUTS["sharegpt"](record, "")["conversations"] == [
        {"from": "human", "value": "译\n你好"},
        {"from": "gpt", "value": "hello"},
    ]
    assert LAYOUTS["messages"](record, "助手")["messages"][0] == {"role": "system", "content": "助手"}


TOOLS = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [{}]}]}


@pytest.mark.parametrize(
    ("record", "turns"),
    [
        (
            {
                "messages": [
                    {"role": "developer", "content": [{"type": "text", "text": "短"}, {"type": "text", "text": "答"}]},
                    {"role": "user", "content": "问"},
                    {"role": "assistant", "content": "答"},
                ]
            },
            [("system", "短答"), ("user", "问"), ("assistant", "答")],
        ),
        (
            {"instruction": "那上海呢？", "output": "也很大。", "history": [["北京大吗？", "很大。"]], "system": "s"},
            [
                ("system", "s"),
                ("user", "北京大吗？"),
                ("assistant", "很大。"),
                ("user", "那上海呢？"),
                ("assistant", "也很大。"),
            ],
        ),
        (
            {"instruction": "Human:你好\nAssistant:您好。\n有事吗？\nHuman:没有\nAssistant:", "output": "好的。"},
            [("user", "你好"), ("assistant", "您好。\n有事吗？"), ("user", "没有"), ("assistant", "好的。")],
        ),
        ({"instruction": "Human: 是什么意思", "output": "人"}, [("user", "Human: 是什么意思"), ("assistant", "人")]),
        ({"messages": [], "instruction": "问", "output": "答"}, [("user", "问"), ("assistant", "答")]),
    ],
)
def test_turns_of_every_layout(record: dict[str, Any], turns: list[tuple[str, str]]) -> None:
    assert turns_of(record) == turns


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (TOOLS, "tool.call"),
        ({"instruction": "x", "output": "y", "history": "z"}, "item.conversation"),
    ],
)
def test_turns_that_cannot_be_read(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(JsonLineError) as caught:
        turns_of(record)
    assert caught.value.reason == reason
