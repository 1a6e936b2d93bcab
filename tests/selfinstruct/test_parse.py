"""Items out of texts as models write them: every whole one, no cut one, neighbours untouched."""

import json
import string
import sys
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct.parse import Parsed, parse, without_thinking
from tests.train.token_runs import ROOT

Triples = list[tuple[str, str, str]]


def items(text: str, finish: str | None = "stop", structured: bool = False) -> Triples:
    return [(p.instruction, p.input, p.output) for p in parse(text, finish, structured) if p.fault is None]


def faults(text: str, finish: str | None = "stop", structured: bool = False) -> list[str]:
    return [p.fault for p in parse(text, finish, structured) if p.fault is not None]


ONE, TWO = ("写一句问候。", "", "早上好！"), ("把下面的话译成英文。", "今天很冷。", "It is cold today.")
PLAIN = """[任务 4]
指令：写一句问候。
输入：无
输出：早上好！
[任务 5]
指令：把下面的话译成英文。
输入：今天很冷。
输出：It is cold today.
[完]"""
FORMS = {
    "as asked": PLAIN,
    "full-width numbers": PLAIN.replace("[任务 4]", "［任务 ４］").replace("[任务 5]", "５．"),
    "half-width colons": PLAIN.replace("：", ":"),
    "bold names": PLAIN.replace("指令：", "**指令：** ")
    .replace("输入：", "**输入**：")
    .replace("输出：", "**输出：**"),
    "English names": PLAIN.replace("指令：", "Instruction: ")
    .replace("输入：", "Input: ")
    .replace("输出：", "Output: "),
    "headings": PLAIN.replace("[任务 4]", "### 任务 4").replace("[任务 5]", "### 任务 5"),
    "numbers before the field": PLAIN.replace("[任务 4]\n", "1. ").replace("[任务 5]\n", "\n2、").removesuffix("[完]"),
    "skipped and repeated numbers": PLAIN.replace("[任务 4]", "[任务 7]").replace("[任务 5]", "[任务 7]"),
    "第一条": PLAIN.replace("[任务 4]", "第一条").replace("[任务 5]", "第二条："),
    "in brackets": PLAIN.replace("指令：", "【指令】：")
    .replace("输入：", "【输入】：")
    .replace("输出：", "【输出】："),
    "rules between": PLAIN.replace("[任务 5]", "---\n\n[任务 5]"),
    "text around": "好的，下面是两条新任务：\n\n" + PLAIN + "\n\n希望这些任务对您有帮助！",
    "a code fence around": "```\n" + PLAIN + "\n```",
    "windows line ends": PLAIN.replace("\n", "\r\n"),
    "thinking before": "<think>先想想。\n[任务 1]\n指令：假的\n输出：假的\n</think>\n" + PLAIN,
    "thinking closed only": "想一想……指令：假\n输出：假\n</think>\n" + PLAIN,
    "no input said differently": PLAIN.replace("输入：无", "输入：<无>"),
    "none in English": PLAIN.replace("输入：无", "输入：N/A"),
    "input left out": PLAIN.replace("输入：无\n", ""),
    "without the end": PLAIN.replace("\n[完]", ""),
}


@pytest.mark.parametrize("form", FORMS)
def test_lists(form: str) -> None:
    assert items(FORMS[form]) == [ONE, TWO]


@pytest.mark.parametrize(
    "output",
    [
        "步骤如下：\n1. 洗净。\n2. 切块。\n3. 下锅。",
        "### 标题\n\n正文一段。\n\n### 小结\n\n完成。",
        "问题：为什么会冷？\n答：因为下雨。",
        "```python\n# 指令：注释\nprint('输出：')\n```",
        "```text\n[任务 9]\n指令：假的\n输出：假的\n[完]\n```",
        "| 项目 | 数量 |\n|---|---|\n| 苹果 | 3 |",
        "第一条 准备。\n第二条 出发。",
        "---\n上面有一条线。",
        "一、总则\n二、细则",
        "42",
    ],
)
def test_what_an_answer_may_hold(output: str) -> None:
    text = f"[任务 1]\n指令：照做。\n输入：无\n输出：{output}\n[任务 2]\n指令：再做。\n输入：甲\n输出：好的。\n[完]"
    assert items(text) == [("照做。", "", output), ("再做。", "甲", "好的。")]
    assert items(text, "length") == items(text)  # the end was reached all the same


def test_a_bad_item_costs_only_itself() -> None:
    text = PLAIN.replace(
        "[任务 5]", "[任务 5]\n指令：没有输出\n输入：无\n[任务 6]\n输入：没有指令\n输出：什么\n[任务 7]"
    )
    found = parse(text, "stop", False)
    assert [one.fault for one in found] == [None, "parse.no_output", "parse.no_instruction", None]
    assert (found[0].instruction, found[-1].instruction) == (ONE[0], TWO[0])


LONG = PLAIN.replace(
    "早上好！", "早上好，愿你有愉快而充实的一天，也愿这一周的工作都顺利地完成，不必再加班到很晚，能够早早回家"
)


def test_every_cut_of_a_list() -> None:
    """Wherever the length ended it: what came before is there, and of the last item nothing that is not all of it."""
    whole = items(LONG)
    for end in range(len(LONG) + 1):
        got = items(LONG[:end], "length")
        assert got == whole[: len(got)], LONG[:end]
        if "[任务 5]\n" in LONG[:end]:
            assert got[:1] == whole[:1], LONG[:end]
    assert items(LONG, "length") == whole


def test_a_list_that_stopped_in_a_sentence() -> None:
    first, last = LONG.index("早上好，") + 5, LONG.index("早早回家") + 4
    for end in range(first, last):
        assert items(LONG[:end], "stop") == [] and "parse.cut" in faults(LONG[:end], "stop")
    assert items(LONG[: LONG.index("\n输出：It")], "stop") == items(LONG)[:1]
    assert items(PLAIN + "\n[任务 6]\n指令：写代码。\n输出：```python\nprint(1)", "stop") == [ONE, TWO]


def test_thinking() -> None:
    assert without_thinking("<think>a</think>b") == "b" and without_thinking("a</think>b") == "b"
    assert without_thinking("<think>a") is None and without_thinking("b") == "b"
    assert faults("<think>指令：写\n输出：好", "length") == ["parse.thinking"]


OBJECTS = {
    "items": [
        {"instruction": "写一句问候。", "input": "", "output": "早上好！"},
        {"instruction": TWO[0], "input": TWO[1], "output": TWO[2]},
    ]
}
JSON = json.dumps(OBJECTS, ensure_ascii=False, indent=1)
JSON_FORMS = {
    "as asked": JSON,
    "fenced": f"```json\n{JSON}\n```",
    "text around": f"好的：\n{JSON}\n以上。",
    "trailing commas": JSON.replace("}\n ]", "},\n ],"),
    "a bare array": json.dumps(OBJECTS["items"]),
    "lines": "\n".join(json.dumps(one) for one in OBJECTS["items"]),
    "Chinese keys": JSON.replace("instruction", "指令").replace('"input', '"输入').replace("output", "输出"),
    "encoded twice": json.dumps(JSON),
    "null input": JSON.replace('"input": ""', '"input": null'),
    "no input": JSON.replace('"input": ""', '"input": "无"'),
    "line feeds in strings": JSON.replace("早上好！", "早上好！").replace('"It is', '"It is'),
    "thinking": f"<think>{{}}</think>{JSON}",
}


@pytest.mark.parametrize("form", JSON_FORMS)
@pytest.mark.parametrize("structured", [True, False])
def test_json(form: str, structured: bool) -> None:
    if structured or JSON_FORMS[form].lstrip()[:1] in "{[`<" or form == "encoded twice":
        assert items(JSON_FORMS[form], "stop", True) == [ONE, TWO]


def test_every_cut_of_json() -> None:
    for end in range(len(JSON)):
        got = items(JSON[:end], "length", True)
        assert got == [ONE, TWO][: len(got)]
        if TWO[0][:2] in JSON[:end]:
            assert got[:1] == [ONE]
    assert "parse.cut" in faults(JSON[: JSON.index("cold")], "length", True)


def test_json_strings_with_braces_and_newlines() -> None:
    text = '{"items": [{"instruction": "写 {x}", "input": "", "output": "a\nb } ] ```"}]}'
    assert items(text, "stop", True) == [("写 {x}", "", "a\nb } ] ```")]


def test_a_list_where_json_was_asked_for_and_the_reverse() -> None:
    assert items(PLAIN, "stop", True) == [ONE, TWO] and items(JSON, "stop", False) == [ONE, TWO]


def test_nothing_is_dropped_in_silence() -> None:
    for text in ("", "抱歉，我不能帮你。", "{}", "[]", '{"items": []}', "null"):
        assert faults(text, "stop", True) == faults(text) == ["parse.no_item"], text


def test_tasks_alone() -> None:
    listed = PLAIN.replace("早上好！", "无").replace("It is cold today.", "无")
    assert [p.output for p in parse(listed, "stop", False, bare=True)] == ["", ""]
    bare = json.dumps({"items": [{"instruction": "a", "input": "", "output": ""}]})
    assert parse(bare, "stop", True, bare=True) == [Parsed("a", "", "")]


Line = st.text(string.ascii_letters + "中文，。！1.# ", min_size=1, max_size=30).map(lambda s: s.strip() or "x")


@given(rows=st.lists(st.tuples(Line, Line, Line), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_what_was_written_is_read(rows: Triples) -> None:
    told = "".join(f"[任务 {n}]\n指令：x{i}。\n输入：y{g}\n输出：z{o}。\n" for n, (i, g, o) in enumerate(rows, 1))
    assert items(told + "[完]") == [(f"x{i}。", f"y{g}", f"z{o}。") for i, g, o in rows]


@given(text=st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_something(text: str) -> None:
    for structured in (True, False):
        found = parse(text, "stop", structured)
        assert found and all(one.fault or (one.instruction and one.output) for one in found)


REPLIES = ROOT / "tests" / "selfinstruct" / "replies.jsonl"
ROWS = [json.loads(line) for line in REPLIES.read_text("utf-8").splitlines()]


def test_recorded_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures that bench/parse.py prints: at least 99 % of whole items, and nothing that is none."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "bench"), *sys.path])
    import parse as bench  # type: ignore[import-not-found]

    found = bench.measure(REPLIES)
    mine = found["ours, all"]
    assert mine["replies"] >= 150 and mine["whole"] >= 600 and mine["cut"] >= 80
    assert mine["share"] >= 0.99 and (mine["cut_kept"], mine["other_wrong_kept"]) == (0, 0), mine["wrong"]
    for peer in ("alpaca", "belle"):
        assert found[f"{peer}, lists in the form asked for"]["share"] < mine["share"]


def test_no_cut_of_a_recorded_reply_gives_what_is_no_item() -> None:
    """Cut anywhere, a reply gives some of its whole items and nothing else."""
    rng = Random(5)
    for row in ROWS:
        if "think block closed only" in row["faults"]:
            continue  # without its closing tag a draft looks like an item
        whole = {tuple(one) for one in row["whole"]}
        for end in rng.sample(range(len(row["text"])), min(8, len(row["text"]))):
            got = items(row["text"][:end], "length", row["asked"] == "json")
            assert whole.issuperset(got), (row["id"], end)


@pytest.mark.parametrize(
    "text", ["{" * 20_000, '{"a":' * 20_000, "[" * 20_000, "```\n" * 5_000, "```a\n" * 5_000, "1.\n" * 3_000]
)
@pytest.mark.parametrize("structured", [True, False])
def test_hostile_texts_end_soon(text: str, structured: bool) -> None:
    assert all(one.fault for one in parse(text, "stop", structured))


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (r'{"instruction": "半个 \ud83d", "input": "", "output": "好"}', "parse.bad_text"),
        ('{"instruction": "数", "input": {"a": 99999999999999999999999}, "output": "好"}', "parse.bad_json"),
        ('{"instruction": "深", "input": ' + "[" * 300 + "]" * 300 + ', "output": "好"}', "parse.bad_json"),
        ('{"instruction": "长", "input": [1' + "0" * 5000 + '], "output": "好"}', "parse.bad_json"),
    ],
)
def test_what_cannot_be_written_is_a_fault_beside_whole_items(bad: str, fault: str) -> None:
    good = '{"instruction": "说一种颜色", "input": "", "output": "蓝色"}'
    found = parse(f'{{"items": [{good}, {bad}, {good}]}}', "stop", True)
    assert [one.instruction for one in found if one.fault is None] == ["说一种颜色"] * 2
    assert fault in [one.fault for one in found]
    for one in found:
        orjson.dumps([one.instruction, one.input, one.output, one.detail])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()), st.lists))
def test_any_value_in_a_field_can_be_written_down(value: object) -> None:
    reply = json.dumps({"items": [{"instruction": value, "input": value, "output": "好"}]})
    for one in parse(reply, "stop", True):
        orjson.dumps([one.instruction, one.input, one.output, one.detail])


def test_blanks_do_not_cost_their_square() -> None:
    reply = "[任务 1]\n指令：" + " " * 200_000 + "说一种颜色\n输入：无\n输出：蓝色。\n[完]"
    assert [one.output for one in parse(reply, "stop", False)] == ["蓝色。"]
