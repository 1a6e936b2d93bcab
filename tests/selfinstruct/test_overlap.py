"""`selfinstruct overlap`: how near one set comes to another, as a sentence, figures and a file."""

from pathlib import Path

import pytest

from tests.selfinstruct.calling import call, item, read, write

TEST = [item("甲乙丙丁", id="t1"), item("天地玄黄，宇宙洪荒", id="t2"), item("xyz", id="t3"), item("？", id="t4")]
# The second and the third share an id, as rows of two joined sets do.
TRAIN = [item("甲乙丙戊", id="r1"), item("天地玄黄宇宙洪荒！", id="r2"), item("春夏秋冬", id="r2"), item("？", id="r3")]


@pytest.fixture
def sets(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "test.jsonl", TEST), write(tmp_path / "train.json", TRAIN, "", True)


def test_figures(capsys: pytest.CaptureFixture[str], sets: tuple[Path, Path]) -> None:
    told = call(capsys, "overlap", *sets, "--json")
    found = told.json
    assert told.code == 0 and (found["items"], found["others"], found["over"]) == (4, 4, 3)
    assert found["mean"] == (1 + 0.75 + 1 + 0) / 4 and sum(found["histogram"]) == 4
    assert len(found["histogram"]) == len(found["edges"]) - 1
    assert [(row["id"], row["nearest"], row["nearest_instruction"], row["rouge_l"]) for row in found["nearest"]] == [
        ("t2", "r2", "天地玄黄宇宙洪荒！", 1.0),
        ("t4", "r3", "？", 1.0),
        ("t1", "r1", "甲乙丙戊", 0.75),
        ("t3", None, None, 0.0),
    ]
    stricter = call(capsys, "overlap", *sets, "--json", "--threshold", "0.75").json
    assert stricter["over"] == 2  # 0.75 itself is not above it


def test_what_people_read(capsys: pytest.CaptureFixture[str], sets: tuple[Path, Path]) -> None:
    told = call(capsys, "overlap", *sets)
    assert told.out == "" and "3 of 4 (75.0%) are above 0.7 to one of 4." in told.err
    assert "1.00  天地玄黄，宇宙洪荒  |  天地玄黄宇宙洪荒！" in told.err
    assert "0.00  xyz  |  –" in told.err
    quiet = call(capsys, "overlap", *sets, "--json", "-q")
    assert quiet.err == "" and quiet.json["over"] == 3


def test_the_file(capsys: pytest.CaptureFixture[str], tmp_path: Path, sets: tuple[Path, Path]) -> None:
    out = tmp_path / "new" / "near.jsonl"
    assert call(capsys, "overlap", *sets, "--out", out).code == 0
    rows = read(out)
    assert [row["id"] for row in rows] == ["t2", "t4", "t1", "t3"]
    assert rows[1] == {"id": "t4", "instruction": "？", "nearest": "r3", "nearest_instruction": "？", "rouge_l": 1.0}


def test_a_nearest_text_is_its_own_though_ids_are_shared(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one, other = write(tmp_path / "a.jsonl", [item("春夏秋冬")]), write(tmp_path / "b.jsonl", TRAIN)
    row = call(capsys, "overlap", one, other, "--json").json["nearest"][0]
    assert (row["nearest"], row["nearest_instruction"]) == ("r2", "春夏秋冬")


def test_a_set_with_itself_and_by_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one = write(tmp_path / "a.jsonl", [item("人工智能 改变"), item("人工智能 发展")])
    assert call(capsys, "overlap", one, one, "--json").json["mean"] == 1.0
    other = write(tmp_path / "b.jsonl", [item("人工智慧 改变")])
    for tokenizer, score in (("word", 0.5), ("char", 0.8333)):
        found = call(capsys, "overlap", one, other, "--json", "--tokenizer", tokenizer).json
        assert found["nearest"][0]["rouge_l"] == score


def test_bad_records_are_told_and_left_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one = write(tmp_path / "a.jsonl", [item("甲"), {"text": "x"}])
    told = call(capsys, "overlap", one, one, "--json")
    assert told.json["items"] == 1 and "1 records of" in told.err and "line 2: field.missing" in told.err


def test_wrong_calls(capsys: pytest.CaptureFixture[str], tmp_path: Path, sets: tuple[Path, Path]) -> None:
    before = sets[0].read_bytes()
    for words, code, said in (
        ([sets[0], tmp_path / "missing"], 2, "does not exist"),
        ([write(tmp_path / "bad.jsonl", [{"x": 1}]), sets[1]], 3, "line 1: field.missing"),
        ([write(tmp_path / "none.json", [], "", True), sets[1]], 3, "There is no instruction in"),
        ([*sets, "--out", sets[0]], 2, "lies inside the input"),
        ([*sets, "--out", tmp_path], 2, "is a folder"),
        ([sets[0]], 2, "Missing argument"),
    ):
        told = call(capsys, "overlap", *words)
        assert told.code == code and said in told.error, told.err
    assert sets[0].read_bytes() == before
