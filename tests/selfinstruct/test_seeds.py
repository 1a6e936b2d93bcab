"""Seeds of every layout are read; a bad one is named by file, line and field."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rapidfuzz.distance import LCSseq

from runkit.errors import InputError
from selfinstruct.arithmetic import wrong_equations
from selfinstruct.kinds import KINDS
from selfinstruct.novelty import tokens_of
from selfinstruct.seeds import Seed, read_seeds
from selfinstruct.topics import read_topics
from tests.train.token_runs import ROOT

BELLE = ROOT.parent / "shared" / "data" / "instructions" / "belle_zh_seed_tasks.jsonl"


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def test_layouts(tmp_path: Path) -> None:
    own = {"id": "a", "instruction": "算", "input": "1+1", "output": "2", "category": "math"}
    alpaca = [{"instruction": "写", "input": "", "output": "诗"}, {"instruction": "译", "output": "yes"}]
    belle = {
        "id": 7,
        "name": "x",
        "instruction": "列",
        "instances": [{"input": "", "output": "一"}],
        "is_classification": False,
    }
    target = {"instruction": "问", "input": "", "target": "答", "category": "Open QA"}
    (tmp_path / "alpaca.json").write_text("\ufeff" + json.dumps(alpaca))
    found = read_seeds([write(tmp_path / "own.jsonl", own, belle, target), tmp_path / "alpaca.json"])
    assert found[:3] == [
        Seed("a", "算", "1+1", "2", "math"),
        Seed("7", "列", "", "一", None),
        Seed("own-3", "问", "", "答", "open_qa"),
    ]
    assert [(seed.id, seed.output) for seed in found[3:]] == [("alpaca-4", "诗"), ("alpaca-5", "yes")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"instruction": "x"}', "line 2, field output: is missing"),
        ('{"output": "x"}', "line 2, field instruction: is missing"),
        ('{"instruction": " ", "output": "x"}', "field instruction: is empty"),
        ('{"instruction": 5, "output": "x"}', "field instruction: is a int, not a text"),
        ('{"instruction": "x", "output": null}', "field output: is missing"),
        ('{"instruction": "x", "instances": []}', "field instances: is no list with an object"),
        ('{"instruction": "x", "instances": [{"input": "y"}]}', r"field instances\[0\].output: is missing"),
        ('{"instruction": "x", "output": "y", "id": []}', r"field id: \[\] is no text"),
        ('{"instruction": "x", "output": "y", "id": "one"}', "the id one stands at .*line 1 too"),
        ('{"instruction": "x", "output": "\\ud800"}', "line 2"),
        ("[1, 2]", "line 2"),
        ("not json", "line 2"),
    ],
)
def test_a_bad_seed_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text('{"id": "one", "instruction": "a", "output": "b"}\n' + line + "\n")
    with pytest.raises(InputError, match=words):
        read_seeds([path])


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_seeds([tmp_path / "nothing"])
    with pytest.raises(InputError, match="Is a directory"):
        read_seeds([tmp_path])
    with pytest.raises(InputError, match="no seed in it"):
        read_seeds([write(tmp_path / "empty")])
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(InputError, match=r"picture.png, line 1"):
        read_seeds([tmp_path / "picture.png"])


def test_belles_own_file() -> None:
    if not BELLE.is_file():
        pytest.skip("the shared data are not here")
    rows = [json.loads(line) for line in BELLE.read_text().splitlines()]
    found = read_seeds([BELLE])
    assert [(seed.id, seed.instruction, seed.output) for seed in found] == [
        (row["id"], row["instruction"], row["instances"][0]["output"]) for row in rows
    ]


def test_topics(tmp_path: Path) -> None:
    ours = read_topics()
    assert len(ours) >= 300 and len(set(ours)) == len(ours) and all(len(topic) <= 20 for topic in ours)
    (tmp_path / "own.txt").write_text("\ufeff茶\n\n咖啡 \n茶\n")
    assert read_topics(tmp_path / "own.txt") == ("茶", "咖啡")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    for name, words in (("bad.txt", "not UTF-8"), ("nothing", "Cannot read")):
        with pytest.raises(InputError, match=words):
            read_topics(tmp_path / name)


SHIPPED = ROOT / "examples" / "seeds.jsonl"


def alike(ours: list[Seed], theirs: list[Seed]) -> list[tuple[str, str]]:
    """Pairs above 0.7 in ROUGE-L F1 over characters, counted by another program than the one that generate uses."""
    cut = tokens_of("char")
    other = [(seed.id, cut(seed.instruction)) for seed in theirs]
    return [
        (seed.id, id)
        for seed in ours
        for id, words in other
        if id != seed.id and 20 * LCSseq.similarity(own := cut(seed.instruction), words) > 7 * (len(own) + len(words))
    ]


def test_shipped_seeds_are_many_balanced_and_unlike() -> None:
    seeds = read_seeds([SHIPPED])
    kinds = Counter(seed.category for seed in seeds)
    assert len(seeds) >= 200 and set(kinds) == {kind.key for kind in KINDS}
    assert min(kinds.values()) >= 12 and max(kinds.values()) - min(kinds.values()) <= 2
    for kind in KINDS:
        given = sum(bool(seed.input) for seed in seeds if seed.category == kind.key)
        assert {"always": given >= 12, "often": given > 0, "never": given <= 6}[kind.input], kind.key
    assert 60 <= sum(bool(seed.input) for seed in seeds) <= len(seeds) - 60
    assert not alike(seeds, seeds)
    assert not [seed.id for seed in seeds if wrong_equations(seed.output)]
    starts = Counter(seed.instruction[:1] for seed in seeds)
    assert starts["请"] <= len(seeds) / 10  # no one way to begin


def test_shipped_seeds_are_unlike_the_seeds_of_belle() -> None:
    if not BELLE.is_file():
        pytest.skip("the shared data are not here")
    assert not alike(read_seeds([SHIPPED]), read_seeds([BELLE]))


def test_a_bad_seed_ends_the_command_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from selfinstruct.cli import app

    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"instruction": "写一句", "output": "好"}\n{"instruction": "再写", "instances": [{"input": ""}]}\n'
    )
    args = ["generate", "--seeds", str(path), "--out", str(tmp_path / "run"), "--n", "5", "--model", "template"]
    from runkit.console import run_app

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["selfinstruct", *args])
        assert run_app(app) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "mine.jsonl, line 2, field instances[0].output: is missing" in said
