"""`selfinstruct dedup`: what it keeps, what it says, and how it starts again."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.selfinstruct.calling import call, item, lines, read, write, write_parquet

SET = [
    item("写一首关于春天的诗。", id="a", topic="季节"),
    item("写一首关于秋天的诗。"),
    item("把这句话译成英文。", input="你好\u2028再见"),
    item("请写一首关于春天的诗！", extra={"deep": [1, 2.5, None, "x"]}),
    item("What is a list?", output=""),
    item("what is a LIST"),
]
KEPT = [0, 2, 4]  # 8 of 9 characters are common to the first two


def test_what_is_kept_and_what_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    told = call(capsys, "dedup", write(tmp_path / "set.jsonl", SET), "--out", run, "--json")
    assert told.code == 0
    found = told.json
    assert {key: found[key] for key in ("read", "kept", "rejected", "bad")} == {
        "read": 6,
        "kept": 3,
        "rejected": 3,
        "bad": 0,
    }
    assert found["seconds"] >= 0 and found["cpu_seconds"] > 0 and found["run"] == str(run)
    assert "6 read, 3 kept, 3 rejected" in told.err
    kept, rejected = read(run / "instructions.jsonl"), read(run / "rejected.jsonl")
    for record, number in zip(kept, KEPT, strict=True):
        assert {key: record[key] for key in SET[number]} == SET[number]  # no text and no field is another one
        assert set(record) - set(SET[number]) <= {"id"} and record["id"]
    assert [one["instruction"] for one in rejected] == [SET[n]["instruction"] for n in (1, 3, 5)]
    assert [one["nearest"] for one in rejected] == ["a", "a", kept[2]["id"]]
    assert [one["nearest_rouge_l"] for one in rejected] == [0.8889, 0.9474, 1.0]
    assert all(one["reasons"] == ["novelty"] for one in rejected) and rejected[1]["extra"] == SET[3]["extra"]
    assert lines(kept) == (run / "instructions.jsonl").read_bytes()


@pytest.mark.parametrize("form", ["lines", "lines.gz", "lines.zst", "array", "array.gz", "array.bz2", "parquet"])
def test_every_kind_of_file_gives_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str) -> None:
    records = [{key: one[key] for key in ("instruction", "input", "output")} for one in SET]
    name, _, pack = form.partition(".")
    if name == "parquet":
        file = write_parquet(tmp_path / "set.parquet", records)
    else:
        suffix = "json" if name == "array" else "jsonl"
        file = write(tmp_path / f"set.{suffix}", records, f".{pack}" if pack else "", name == "array")
    assert call(capsys, "dedup", file, "--out", tmp_path / "run", "-q").code == 0
    assert [{**one, "id": None} for one in read(tmp_path / "run" / "instructions.jsonl")] == [
        {**records[number], "id": None} for number in KEPT
    ]


def test_layouts_of_others(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    user, answer = {"role": "user", "content": "写诗"}, {"role": "assistant", "content": "好"}
    records: list[dict[str, Any]] = [
        {"conversations": [{"from": "human", "value": "写诗"}, {"from": "gpt", "value": "好"}], "id": 7},
        {"messages": [user, answer]},
        {"instruction": "数到十", "target": "一二三"},
        {"instruction": "分类", "instances": [{"input": "狗", "output": "动物"}]},
        {"question": "天为什么是蓝的", "std_answer": "散射", "class": "open qa"},
    ]
    assert call(capsys, "dedup", write(tmp_path / "x.jsonl", records), "--out", tmp_path / "run", "-q").code == 0
    kept = read(tmp_path / "run" / "instructions.jsonl")
    assert [(one["instruction"], one["input"], one["output"]) for one in kept] == [
        ("写诗", "", "好"),
        ("数到十", "", "一二三"),
        ("分类", "狗", "动物"),
        ("天为什么是蓝的", "", "散射"),
    ]
    assert kept[0]["id"] == "7" and kept[3]["class"] == "open qa"


def test_several_files_and_a_run_as_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one, two = write(tmp_path / "1.jsonl", SET[:2]), write(tmp_path / "2.json", SET[2:], "", True)
    assert call(capsys, "dedup", one, two, "--out", tmp_path / "run", "--json").json["kept"] == 3
    again = call(capsys, "dedup", tmp_path / "run", "--out", tmp_path / "again", "--json")
    assert (again.json["read"], again.json["rejected"]) == (3, 0)  # what was rejected is not read again
    files = [folder / "instructions.jsonl" for folder in (tmp_path / "run", tmp_path / "again")]
    assert files[0].read_bytes() == files[1].read_bytes()
    other = call(capsys, "dedup", two, one, "--out", tmp_path / "other", "--json")
    assert other.json["kept"] == 3 and read(tmp_path / "other" / "instructions.jsonl")[0] != SET[0]


def test_nearest_threshold_and_tokenizer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [item("甲乙丙丁"), item("甲乙丙戊"), item("人工智能 ok"), item("ok")])
    told = call(capsys, "dedup", file, "--out", tmp_path / "a", "--threshold", "0.75", "--nearest", "--json")
    assert told.json["kept"] == 4 and told.json["threshold"] == 0.75
    kept = read(tmp_path / "a" / "instructions.jsonl")
    assert [one.get("nearest_rouge_l") for one in kept] == [None, 0.75, None, 0.3333]
    assert call(capsys, "dedup", file, "--out", tmp_path / "b", "--threshold", "0.749", "--json").json["kept"] == 3
    told = call(capsys, "dedup", file, "--out", tmp_path / "c", "--tokenizer", "word", "--threshold", "0.6", "--json")
    assert told.json["kept"] == 3 and read(tmp_path / "c" / "rejected.jsonl")[0]["nearest_rouge_l"] == 0.6667


BAD = [b"{bad", b'{"instruction": 5}', b'[{"instruction": "x"}]', b'{"text": "x"}', b'{"instruction":"\\ud800"}']


def test_bad_lines_are_named_and_cost_no_other(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b"\n".join([lines([SET[0]]).strip(), *BAD, lines([SET[2]])]))
    told = call(capsys, "dedup", file, "--out", tmp_path / "run", "--json")
    assert told.code == 0 and (told.json["read"], told.json["kept"], told.json["bad"]) == (2, 2, 5)
    found = read(tmp_path / "run" / "quarantine.jsonl")
    assert [(one["file"], one["line"], one["reason"]) for one in found] == [
        ("x.jsonl", 2, "json.syntax"),
        ("x.jsonl", 3, "field.not_text"),
        ("x.jsonl", 4, "json.not_an_object"),
        ("x.jsonl", 5, "field.missing"),
        ("x.jsonl", 6, "json.lone_surrogate"),
    ]
    assert found[0]["offset"] == len(lines([SET[0]]))
    told = call(capsys, "dedup", file, "--out", tmp_path / "run", "--max-bad", "0.5")
    assert told.code == 6 and "quarantine.jsonl" in told.error
    assert call(capsys, "dedup", file, "--out", tmp_path / "run", "--max-bad", "0.8").code == 0


def test_items_of_an_array_that_are_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", [3, SET[0], None, {"output": "x"}], "", True)
    assert call(capsys, "dedup", file, "--out", tmp_path / "run", "--json").json["bad"] == 3
    found = [(one["offset"], one["reason"]) for one in read(tmp_path / "run" / "quarantine.jsonl")]
    assert found == [(0, "json.not_an_object"), (2, "json.not_an_object"), (3, "field.missing")]


def test_a_second_start_does_nothing_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run, file = tmp_path / "run", write(tmp_path / "x.jsonl", SET)
    first = call(capsys, "dedup", file, "--out", run, "--json").json
    kept = run / "instructions.jsonl"
    whole, made = kept.read_bytes(), kept.stat().st_mtime_ns
    again = call(capsys, "dedup", file, "--out", run, "--json").json
    assert (again["kept"], again["read"], kept.stat().st_mtime_ns) == (first["kept"], first["read"], made)
    kept.write_bytes(whole[:-9])  # cut: made again
    assert call(capsys, "dedup", file, "--out", run).code == 0 and kept.read_bytes() == whole
    told = call(capsys, "dedup", file, "--out", run, "--threshold", "0.5")
    assert told.code == 3 and "threshold was 0.7, is now 0.5" in told.error
    file.write_bytes(file.read_bytes() + lines([item("新")]))
    told = call(capsys, "dedup", file, "--out", run)
    assert told.code == 3 and "x.jsonl has changed" in told.error and kept.read_bytes() == whole


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["missing.jsonl"], 2, "missing.jsonl does not exist"),
        (["empty.jsonl"], 3, "empty file"),
        (["picture.png"], 3, "a picture"),
        (["nothing"], 3, "the folder holds no files"),
        (["noise.jsonl"], 3, "There is no instruction in noise.jsonl"),
        (["empty.json"], 3, "There is no instruction in empty.json"),
        (["cut.json"], 3, "cut.json is no JSON"),
        (["cut.json.gz"], 3, "cut.json.gz"),
        (["page.html"], 3, "no instruction set"),
        (["good.jsonl", "--out", "."], 2, "lies inside the input"),
        (["good.jsonl", "--out", "full"], 3, "is not empty and no run directory"),
        (["good.jsonl", "--out", "page.html"], 2, "is not a folder"),
        (["good.jsonl", "--treshold", "0.5"], 2, "Did you mean --threshold"),
        (["good.jsonl", "--threshold", "0"], 2, "not above 0 and at most 1"),
        (["good.jsonl", "--tokenizer", "bpe"], 2, "'char', 'word', 'jieba'"),
    ],
)
def test_wrong_calls(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "good.jsonl", SET)
    write(tmp_path / "full" / "good.jsonl", SET)
    write(tmp_path / "empty.json", [], "", True)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (tmp_path / "noise.jsonl").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "cut.json").write_bytes(b'[{"instruction": "a"')
    whole = write(tmp_path / "cut.json", SET * 50, ".gz", True)
    whole.write_bytes(whole.read_bytes()[:-40])
    (tmp_path / "page.html").write_text("<!doctype html><html><body><p>x</p></body></html>")
    if words[-2:] == ["--out", "."]:
        words = [".", "--out", "run"]
    elif "--out" not in words:
        words = [*words, "--out", "run"]
    before = (tmp_path / "good.jsonl").read_bytes()
    told = call(capsys, "dedup", *words)
    assert told.code == code and said in told.error, told.err
    assert (tmp_path / "good.jsonl").read_bytes() == before
    if code == 2:
        assert not (tmp_path / "run").exists()


INTERRUPTED = """
import os, signal, sys
from selfinstruct import dedup
from selfinstruct.cli import main
judge, count, name = dedup.Novelty.judge, 0, sys.argv.pop()
def interrupt(*given):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), getattr(signal, name))
    return judge(*given)
dedup._BATCH, dedup.Novelty.judge = 50, interrupt
main()
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_interrupted_in_the_middle(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, code: int) -> None:
    file, run = write(tmp_path / "x.jsonl", [item(f"第{n}件事：{n * 7919}") for n in range(400)]), tmp_path / "run"
    words = [sys.executable, "-c", INTERRUPTED, "dedup", str(file), "--out", str(run), name]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."})
    assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
    assert {path.name for path in run.iterdir()} <= {".lock", "manifest.json", "resolved.yaml", "marks"}
    assert call(capsys, "dedup", file, "--out", run, "--json").json["read"] == 400
    assert call(capsys, "dedup", file, "--out", tmp_path / "whole", "-q").code == 0
    for part in ("instructions.jsonl", "rejected.jsonl"):
        assert (run / part).read_bytes() == (tmp_path / "whole" / part).read_bytes()


def test_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    file, found = write(tmp_path / "x.jsonl", SET), []
    for seed in ("1", "2"):
        words = [sys.executable, "-m", "selfinstruct", "dedup", str(file), "--out", str(tmp_path / seed), "-q"]
        assert subprocess.run(words, env={**os.environ, "PYTHONHASHSEED": seed}).returncode == 0
        names = ("instructions.jsonl", "rejected.jsonl", "summary.json", "manifest.json", "marks/dedup.json")
        found.append([(tmp_path / seed / name).read_bytes() for name in names])
    assert found[0] == found[1]
