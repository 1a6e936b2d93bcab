"""`selfinstruct export`: into every layout and back without loss, with a card that the hub can read."""

import re
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runkit.instructions import Item, find_items
from runkit.layouts import LAYOUTS
from selfinstruct.export import ExportCall, card, export
from tests.selfinstruct.calling import call, item, read, write

FORMATS = [*LAYOUTS, "parquet"]
TEXTS = st.one_of(st.sampled_from(["", "\u2028", "\n", "\ufeff", "###", "\0", "\x85", '"\\'])) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=20
)
LEAVES = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | TEXTS
NESTED = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
TURNS = st.integers(2, 5).flatmap(lambda pairs: st.lists(TEXTS, min_size=2 * pairs, max_size=2 * pairs))
RECORDS = st.fixed_dictionaries(
    {"id": st.text("ab-1", min_size=1, max_size=6), "instruction": TEXTS, "input": TEXTS, "output": TEXTS},
    optional={
        "category": TEXTS | st.integers(0, 9),  # not a text: another one's data
        "model": TEXTS,
        "topic": TEXTS,
        "nearest": TEXTS,
        "nearest_rouge_l": st.floats(0, 1) | st.integers(0, 1),
        "seed_ids": st.lists(TEXTS, max_size=3),
        "system": TEXTS,
        "more": NESTED,
        "extra": NESTED,
        "text": TEXTS,
    },
)


def with_turns(record: dict[str, Any], texts: list[str] | None) -> dict[str, Any]:
    """A record of several exchanges, of which the first one is its instruction and output."""
    if texts is None:
        return record
    turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    return record | {"instruction": texts[0], "input": "", "output": texts[1], "messages": turns}


def written(out: Path, layout: str) -> Path:
    return out / "data" / "train.parquet" if layout == "parquet" else out


def records_of(path: Path) -> list[dict[str, Any]]:
    return [one.record for one in find_items([str(path)]).read() if isinstance(one, Item)]


@pytest.mark.parametrize("layout", FORMATS)
@given(rows=st.lists(st.builds(with_turns, RECORDS, st.none() | TURNS), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_there_and_back(tmp_path_factory: pytest.TempPathFactory, layout: str, rows: list[dict[str, Any]]) -> None:
    folder = tmp_path_factory.mktemp("export")
    source = write(folder / "x.jsonl", rows)
    export(ExportCall(source=source, out=folder / "out", layout=layout, system="", as_json=False, lang="en"))
    back = records_of(written(folder / "out", layout))
    # As JSON: True is not 1, and 1.0 is not 1.
    assert [orjson.dumps(one, option=orjson.OPT_SORT_KEYS) for one in back] == [
        orjson.dumps(one, option=orjson.OPT_SORT_KEYS) for one in rows
    ]


SET = [
    item("写诗", id="1", category="generation", model="template"),
    item("译", id="2", category="a|b<script>\n", model="gpt", input="你好", nearest="1", nearest_rouge_l=0.25),
]


@pytest.mark.parametrize("layout", FORMATS)
def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path, layout: str) -> None:
    source, out = write(tmp_path / "run" / "instructions.jsonl", SET), tmp_path / "new" / "out"
    told = call(capsys, "export", source.parent, "--out", out, "--format", layout, "--json")
    assert told.code == 0 and told.json == {"items": 2, "format": layout, "out": str(out)}
    assert records_of(written(out, layout)) == SET
    assert call(capsys, "dedup", out, "--out", tmp_path / "again", "--json").json["read"] == 2


def test_layouts_as_trainers_read_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source = write(tmp_path / "x.jsonl", SET)
    for layout in LAYOUTS:
        call(capsys, "export", source, "--out", tmp_path / layout, "--format", layout, "--system", "助手")
    alpaca = orjson.loads((tmp_path / "alpaca").read_bytes())
    assert [(one["instruction"], one["input"], one["output"]) for one in alpaca] == [
        ("写诗", "", "好"),
        ("译", "你好", "好"),
    ]
    assert read(tmp_path / "belle") == alpaca and alpaca[0]["system"] == "助手"
    assert read(tmp_path / "sharegpt")[1]["conversations"] == [
        {"from": "system", "value": "助手"},
        {"from": "human", "value": "译\n你好"},
        {"from": "gpt", "value": "好"},
    ]
    assert read(tmp_path / "messages")[0]["messages"] == [
        {"role": "system", "content": "助手"},
        {"role": "user", "content": "写诗"},
        {"role": "assistant", "content": "好"},
    ]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_parquet_and_its_card(capsys: pytest.CaptureFixture[str], tmp_path: Path, lang: str) -> None:
    source, out = write(tmp_path / "x.jsonl", SET), tmp_path / "hub"
    assert call(capsys, "export", source, "--out", out, "--format", "parquet", "--lang", lang).code == 0
    frame = pl.read_parquet(out / "data" / "train.parquet")
    assert frame.height == 2 and frame["instruction"].to_list() == ["写诗", "译"]
    assert frame.schema["nearest_rouge_l"] == pl.Float64 and frame["nearest_rouge_l"].to_list() == [None, 0.25]
    text = (out / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["size_categories"] == ["n<1K"] and head["language"] == ["zh"]
    assert (out / head["configs"][0]["data_files"]).is_file()
    assert "<script>" not in text and "a&#124;b&#60;script&#62; | 1" in text
    assert bool(re.search("No model wrote 1 of them|其中 1 条并非出自模型", text))


@pytest.mark.parametrize(
    ("count", "size"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (9999, "1K<n<10K"), (10_000, "10K<n<100K")]
)
def test_sizes_on_the_card(count: int, size: str) -> None:
    assert f"- {size}\n" in card([{}] * count, "en")


def test_what_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source, out = write(tmp_path / "x.jsonl", SET), tmp_path / "out"
    bad = write(tmp_path / "bad.jsonl", [SET[0], {"text": "x"}])
    before = source.read_bytes()
    for words, code, said in (
        ([source, "--out", source], 2, "is there already"),
        ([source, "--out", tmp_path], 2, "is there already"),
        ([source, "--out", out, "--format", "parquet", "--system", "x"], 2, "--system"),
        ([source, "--out", out, "--format", "csv"], 2, "'alpaca'"),
        ([tmp_path / "missing", "--out", out], 2, "does not exist"),
        ([bad, "--out", out], 3, "line 2: field.missing"),
        ([bad, "--out", out, "--format", "parquet"], 3, "line 2: field.missing"),
    ):
        told = call(capsys, "export", *words)
        assert told.code == code and said in told.error, told.err
        assert not out.exists() and source.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"x.jsonl", "bad.jsonl"}
