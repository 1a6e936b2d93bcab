"""`corpus decontaminate`: n-grams against Python, edits that hide nothing, cuts, statistics, and nothing dangerous."""

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.cli import app
from corpus.decontaminate_config import DecontaminateConfig
from corpus.decontaminate_items import Item, fold_tables, make_grams, read_items, texts_of
from corpus.decontaminate_kernels import find_units
from corpus.decontaminate_match import Match, find_hits, judge, matches_of, pieces
from corpus.measure import to_codes
from runkit.console import run_app
from runkit.text import units
from tests.faults.kill import Killer, assert_same, tree
from tests.faults.launch import Command, start

SMALL = ("-s", "shard_mb=0.01", "-q")
HAN = "山水云雨风花雪月江河湖海松竹梅兰春夏秋冬东南西北天地日星金木土石田园书画琴棋"
QUESTION = "下列关于细胞呼吸和光合作用的说法中正确的是哪一项"
CHOICES = ["线粒体是有氧呼吸的主要场所", "叶绿体中不含有任何核酸分子", "Both <b>A</b> and\x1b[31m B", "以上都不对"]
EVIL = "请回答 <script>alert(2)</script>\x1b]0;x\x07 这道关于天文学的问题并说明理由"


def folded_units(text: str) -> list[str]:
    """In Python what the kernel does: fold each character, leave out the transparent ones, then `runkit.text.units`."""
    classes, fold = fold_tables()
    codes = [ord(c) for c in text]
    seen = [code for code in codes if code >= len(classes) or classes[code] != 3]
    return units("".join(chr(fold[code]) if code < len(fold) else chr(code) for code in seen))


def unit_count(text: str) -> list[tuple[int, int]]:
    codes, _ = to_codes([text])
    room = len(codes) + 1
    hashes, starts, stops = np.zeros(room, np.uint64), np.zeros(room, np.int64), np.zeros(room, np.int64)
    size = find_units(codes, 0, len(codes), *fold_tables(), hashes, starts, stops)
    return list(zip(starts[:size].tolist(), stops[:size].tolist(), strict=True))


@settings(max_examples=200, deadline=None)
@given(st.text("汉字漢ａＢ1２ab é　 ，。\u200b\u0301_𠀀𝐀かタ-", max_size=40))
def test_units_are_those_of_runkit_on_folded_text(text: str) -> None:
    found = unit_count(text)
    assert len(found) == len(folded_units(text))
    for (begin, end), unit in zip(found, folded_units(text), strict=True):
        assert folded_units(text[begin:end]) == [unit]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text("甲乙ab ，", max_size=25), min_size=1, max_size=4), st.text("甲乙ab ，", max_size=60))
def test_hits_are_all_common_ngrams(items: list[str], text: str) -> None:
    """Against sets of tuples, an item of fewer than n units as one gram of its own."""
    n, least = 4, 2
    made = make_grams([Item(str(i), "set", (item,)) for i, item in enumerate(items)], n, least)
    expected: dict[tuple[str, ...], set[int]] = {}
    for number, item in enumerate(items):
        words = folded_units(item)
        width = n if len(words) >= n else len(words) if len(words) >= least else 0
        for i in range(len(words) - width + 1 if width else 0):
            expected.setdefault(tuple(words[i : i + width]), set()).add(number)
    words, places = folded_units(text), unit_count(text)
    wanted = {
        (places[i][0], places[i + width - 1][1], frozenset(expected[gram]))
        for width in {len(gram) for gram in expected}
        for i in range(len(words) - width + 1)
        if (gram := tuple(words[i : i + width])) in expected
    }
    found = {
        (start, stop, frozenset(made.items[made.starts[gram] : made.starts[gram + 1]].tolist()))
        for _, start, stop, gram in find_hits([text], made).tolist()
    }
    assert found == wanted
    distinct = [len({gram for gram, owners in expected.items() if number in owners}) for number in range(len(items))]
    assert made.sizes.tolist() == distinct


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text,
        lambda text: " ".join(text),
        lambda text: "，\n".join(text[i : i + 3] for i in range(0, len(text), 3)),
        lambda text: "\u200b".join(text),
        lambda text: text.replace("关于", "關於").replace("细胞", "細胞").replace("说法", "說法"),
    ],
)
def test_trivial_edits_hide_no_leak(edit: Any) -> None:
    grams = make_grams([Item("q", "set", (QUESTION,))], 13, 8)
    (match,) = matches_of(find_hits(["开头。" + edit(QUESTION) + "结尾。"], grams)[:, 1:], grams)
    assert (match.start, match.stop) == (3, 3 + len(edit(QUESTION)))
    assert match.grams == len(QUESTION) - 12


def test_width_and_case_of_latin_text_hide_no_leak() -> None:
    item = "Which of the following planets has the largest number of known moons in our solar system today"
    grams = make_grams([Item("q", "set", (item,))], 13, 8)
    for text in (
        item.upper(),
        item.replace(" ", "\n - "),
        "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in item),
        item.replace("solar", "so\u200blar"),
    ):
        assert [m.stop - m.start for m in matches_of(find_hits([text], grams)[:, 1:], grams)] == [len(text)]
    assert not len(find_hits([" ".join(item.split()[:12])], grams))


def test_pieces_and_margins() -> None:
    text = "".join(chr(0x4E00 + i) for i in range(100))
    found = [Match(20, 30, 0, 1), Match(32, 40, 0, 1), Match(95, 98, 0, 1)]
    assert pieces(text, found, 5) == [text[:15], text[45:90]]
    assert pieces(text, found, 0) == [text[:20], text[30:32], text[40:95], text[98:]]
    config = DecontaminateConfig(margin=5, min_chars=20)
    assert judge(text, found, config).text == text[45:90]
    assert judge(text, found, DecontaminateConfig(margin=5, min_chars=46)).reason == "decontaminate.short"
    assert judge(text, found, DecontaminateConfig(margin=0, max_pieces=3)).reason == "decontaminate.pieces"
    assert judge(text, found, DecontaminateConfig(action="drop")).reason == "decontaminate.overlap"


def test_layouts_of_test_items() -> None:
    question = {"question": "问题？", "A": "甲", "B": "乙", "answer": "A"}
    assert texts_of(question, False) == ["问题？\nA. 甲\nB. 乙", "问题？\n甲\n乙", "问题？"]
    assert texts_of({"Question": "问", "choices": {"text": ["x", "y"]}}, True)[1] == "问\nx\ny"
    assert texts_of({"instruction": "做", "input": "这", "output": "好"}, True) == ["做\n这", "好"]
    assert texts_of({"conversations": [{"from": "human", "value": "问"}, {"from": "gpt", "value": "答"}]}, False) == [
        "问"
    ]
    assert texts_of({"messages": [{"role": "assistant", "content": "答"}]}, True) == ["答"]
    assert texts_of({"other": "x", "question": None}, True) == []


@pytest.mark.parametrize("between", ["\n{letter}. ", "\n", " {letter}) ", "　"])
def test_a_question_with_choices_is_found_whole_however_it_is_written(tmp_path: Path, between: str) -> None:
    """The n-grams of the form that is not there do not count against it."""
    record = {"question": QUESTION, **dict(zip("ABCD", CHOICES, strict=True)), "answer": "A"}
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "items.jsonl").write_bytes(orjson.dumps(record) + b"\n")
    leak = QUESTION + "".join(
        between.format(letter=letter) + text for letter, text in zip("ABCD", CHOICES, strict=True)
    )
    write_documents(tmp_path / "documents.jsonl", [filler(1, 900) + leak + filler(2, 900)])
    assert call(tmp_path, tmp_path / "run")["items"] == {"items": 1, "too_short": 0, "found": 1, "half": 1, "whole": 1}
    write_documents(tmp_path / "documents.jsonl", [filler(1, 900) + QUESTION + filler(2, 900)])
    assert call(tmp_path, tmp_path / "part")["items"]["whole"] == 0


def filler(seed: int, length: int) -> str:
    return "".join(random.Random(seed).choices(HAN, k=length))


def write_documents(path: Path, texts: Sequence[str]) -> None:
    path.write_bytes(b"".join(orjson.dumps({"id": f"d{n}", "text": text}) + b"\n" for n, text in enumerate(texts)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """documents.jsonl and items/: one leak of a question, one of choices, one of an instruction, and much else."""
    path = tmp_path_factory.mktemp("contaminated")
    texts = [filler(n, 500) for n in range(30)]
    texts[3] = filler(100, 600) + QUESTION + filler(101, 600)
    texts[7] = filler(102, 50) + EVIL + filler(103, 50)
    texts[9] = filler(104, 300) + "，".join(CHOICES[:2]) + filler(105, 500)
    write_documents(path / "documents.jsonl", texts)
    (path / "items" / "val").mkdir(parents=True)
    with (path / "items" / "val" / "biology_val.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "question", "A", "B", "C", "D", "answer"])
        writer.writerow([0, QUESTION, *CHOICES, "A"])
        writer.writerow([1, filler(200, 40), *(filler(201 + n, 6) for n in range(4)), "B"])
        writer.writerow([2, "短", "", "", "", "", "B"])
    (path / "items" / "more.jsonl").write_bytes(orjson.dumps({"instruction": EVIL, "input": "", "output": "无"}))
    return path


def call(folder: Path, out: Path, *more: str) -> dict[str, Any]:
    words = ["decontaminate", str(folder / "documents.jsonl"), "--against", str(folder / "items"), "--out", str(out)]
    assert run_app(app, [*words, *SMALL, *more, "--workers", "1"]) == 0
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text("utf-8"))
    return summary


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["decontaminate", folder / "documents.jsonl", "--against", folder / "items", "--out", out, *SMALL]
    ended = start([*words, "--workers", "2"], out.parent / "streams").result()
    assert ended.code == 0, ended.err
    return out


def documents(run: Path, state: str = "documents") -> dict[str, dict[str, Any]]:
    frame = pl.concat(map(pl.read_parquet, sorted((run / state).glob("*.parquet"))))
    return {row["id"]: row for row in frame.iter_rows(named=True)}


def test_leaks_are_cut_with_their_margins(run: Path) -> None:
    kept, rejected = documents(run), documents(run, "rejected")
    assert {id: row["reasons"] for id, row in rejected.items()} == {"d7": ["decontaminate.short"]}
    assert kept["d3"]["text"] == filler(100, 600)[:400] + "\n\n" + filler(101, 600)[200:]
    assert kept["d9"]["text"] == filler(105, 500)[200:]
    assert json.loads(kept["d3"]["meta"])["test_items"] == ["items/val/biology_val.csv#0"]
    assert all(kept[f"d{n}"]["text"] == filler(n, 500) for n in range(30) if n not in (3, 7, 9))


def test_statistics_and_matches(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    assert summary["documents"] == {"read": 30, "kept": 29, "rejected": 1, "cut": 2}
    counts = summary["characters"]
    assert counts["read"] == counts["kept"] + counts["rejected"] + counts["cut"]
    assert summary["items"] == {"items": 4, "too_short": 1, "found": 2, "half": 2, "whole": 1}
    assert summary["sets"]["biology_val"]["found"] == 1
    first = summary["shown"][0]
    assert (first["item"], first["share"], first["id"]) == ("items/more.jsonl#0", 1.0, "d7")
    matches = pl.concat(map(pl.read_parquet, sorted((run / "matches").glob("*.parquet"))))
    texts = matches.sort("id")["text"].to_list()
    assert texts[0] == QUESTION and texts[2] == "，".join(CHOICES[:2])


@pytest.mark.parametrize("first", [True, False])
def test_bad_records_are_counted_wherever_they_stand(folder: Path, tmp_path: Path, first: bool) -> None:
    good, bad = orjson.dumps({"text": filler(1, 300)}), b"[1]"
    (tmp_path / "documents.jsonl").write_bytes(b"\n".join([bad, good] if first else [good, bad]))
    (tmp_path / "items").symlink_to(folder / "items")
    assert call(tmp_path, tmp_path / "run")["quarantined"] == {"json.not_an_object": 1}
    assert (tmp_path / "run" / "quarantine" / "00000.jsonl").is_file()


def test_dropped_whole(folder: Path, tmp_path: Path) -> None:
    summary = call(folder, tmp_path / "run", "-s", "action=drop")
    assert summary["reasons"] == {"decontaminate.overlap": 3}
    assert documents(tmp_path / "run", "rejected").keys() == {"d3", "d7", "d9"}


def test_common_phrases_can_be_left_out(folder: Path, tmp_path: Path) -> None:
    write_documents(tmp_path / "documents.jsonl", [filler(n, 300) + QUESTION for n in range(5)])
    (tmp_path / "items").symlink_to(folder / "items")
    assert call(tmp_path, tmp_path / "run", "-s", "max_documents=4")["matches"] == 0
    assert call(tmp_path, tmp_path / "all", "-s", "max_documents=5")["matches"] == 5


def test_the_same_bytes_for_any_number_of_workers_and_after_damage(run: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    call(folder, out)
    assert_same(out, tree(run))
    for name in ("documents", "matches", "hits"):
        next(file for file in sorted((out / name).iterdir())).write_bytes(b"gone")
    (out / "common.npy").unlink()
    call(folder, out)
    assert_same(out, tree(run))


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_moments(folder: Path, run: Path, tmp_path: Path, workers: int) -> None:
    def again(out: Path) -> Command:
        words = ["decontaminate", folder / "documents.jsonl", "--against", folder / "items", "--out", out, *SMALL]
        return start([*words, "--workers", str(workers)], out.parent / "streams")

    assert len(Killer(again, tmp_path, seed=workers, span_s=0.4, workers=99).kill(3, tree(run))) == 3


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_nothing_that_was_read_runs_or_commands(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], lang: str
) -> None:
    call(folder, tmp_path / "run", "--lang", lang)
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "<script" not in page and "<b>A" not in page and "\x1b" not in page
    assert "&lt;script&gt;alert(2)" in page and QUESTION in page
    said = capfd.readouterr().err
    assert "<script>alert(2)</script>" in said and "\x1b" not in said and "\x07" not in said


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "big5"])
def test_tables_of_spreadsheets_are_read_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    rows = "id,question,A,B\r\n0,中國最長的河流是哪一條？請選出正確的答案。,長江,黃河\r\n"
    (tmp_path / "items.csv").write_bytes(rows.encode(encoding))
    items, _ = read_items([str(tmp_path / "items.csv")], True)
    assert len(items) == 1 and "中國最長的河流是哪一條？請選出正確的答案。\n長江\n黃河" in items[0].texts


def test_errors_state_the_fix(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["decontaminate", str(folder / "documents.jsonl"), "--out", str(tmp_path / "run")]
    assert run_app(app, [*words, "--against", str(tmp_path / "nowhere")]) == 2
    (tmp_path / "empty.csv").write_text("id,x\n1,2\n")
    assert run_app(app, [*words, "--against", str(tmp_path / "empty.csv")]) == 3
    (tmp_path / "mark.csv").write_text("question\n一个\ufffd在题目里的替换字符也只是一个字符而已。\n", "utf-8")
    assert len(read_items([str(tmp_path / "mark.csv")], True)[0]) == 1
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x04\0\0\0\x03\0" + bytes(range(256)) * 9)
    assert run_app(app, [*words, "--against", str(tmp_path / "picture.csv")]) == 3
    said = capfd.readouterr().err
    assert "UTF-8" in said and "Traceback" not in said
    with pytest.raises(Exception, match="does not exist"):
        read_items([str(tmp_path / "nowhere")], True)
