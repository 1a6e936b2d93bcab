"""`corpus stats`: every figure against one counted by hand, for any number of workers; estimates within bounds."""

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.cli import app
from corpus.stats_sketch import Sketch, heaps
from runkit.console import run_app

WORDS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜"


def texts() -> list[dict[str, Any]]:
    rng = random.Random(4)
    made = []
    for number in range(300):
        lines = [
            "".join(rng.choices(WORDS, k=rng.randrange(10, 60))) + "。 abc Def9" for _ in range(rng.randrange(1, 9))
        ]
        lines += ["版权所有 不得转载 欢迎关注本站"] * (number % 2)
        made.append(
            {
                "text": "\n".join(lines),
                "url": f"https://www.site{number % 5}.example/{number}" if number % 10 else None,
                "language": "zh" if number % 4 else "en",
                "date": f"20{number % 3 + 10}-01-01",
            }
        )
    made += [{"text": made[3]["text"].replace("。", " 。")}, {"text": made[4]["text"]}]  # copies
    made += [{"text": made[5]["text"] + "新的结尾"}]  # a near copy
    return made


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    made = texts()
    for name, rows in (("a", made[:120]), ("b", made[120:])):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join([*lines, "broken"]) + "\n", "utf-8")
    return folder


def run(out: Path, *words: str | Path) -> dict[str, Any]:
    assert run_app(app, ["stats", *map(str, words), "--out", str(out), "-q"]) == 0
    found = json.loads((out / "summary.json").read_text())
    assert isinstance(found, dict)
    return found


def test_the_figures_are_those_counted_by_hand(documents: Path, tmp_path: Path) -> None:
    found = run(tmp_path / "run", documents)
    made = texts()
    whole = [row["text"] for row in made]
    joined = "".join(whole)
    assert found["documents"] == 303 and found["records"]["quarantined"] == 2
    assert found["characters"] == len(joined) and found["bytes"] == len(joined.encode())
    assert found["lengths"]["longest"] == max(map(len, whole)) and found["lengths"]["shortest"] == min(map(len, whole))
    median = sorted(map(len, whole))[151]
    assert abs(found["lengths"]["percentiles"]["50"] - median) <= 0.05 * median
    assert found["languages"]["en"]["documents"] == 75
    assert found["sources"]["a"]["documents"] == 120
    hosts = Counter(row["url"].split("/")[2] for row in made if row.get("url"))
    assert sum(found["domains"]["top"].values()) == sum(hosts.values()) and found["domains"]["different"] == len(hosts)
    assert found["without_url"] == 303 - sum(hosts.values())
    assert found["years"] == {"2010": 100, "2011": 100, "2012": 100}
    han = sum("\u4e00" <= one <= "\u9fff" for one in joined)
    assert found["classes"]["han"] == han and sum(found["classes"].values()) == len(joined)
    units = [unit.lower() for text in whole for unit in re.findall("[\u4e00-\u9fff]|[a-zA-Z0-9]+", text)]
    vocabulary = found["vocabulary"]
    assert vocabulary["units"]["read"] == len(units) and vocabulary["units"]["different"] == len(set(units))
    pairs = [
        text[i : i + 2]
        for text in whole
        for i in range(len(text) - 1)
        if re.fullmatch("[\u4e00-\u9fff]{2}", text[i : i + 2])
    ]
    assert vocabulary["pairs"]["read"] == len(pairs) and vocabulary["pairs"]["different"] == len(set(pairs))
    assert vocabulary["characters"]["different"] == len(set(joined))
    assert vocabulary["characters"]["curve"][-1] == len(set(joined)) and vocabulary["units"]["exact"]
    halfway = vocabulary["read"][20]
    assert vocabulary["characters"]["curve"][20] == len(set(joined[:halfway]))
    duplicates = found["duplicates"]
    assert duplicates["different"] == 301 and duplicates["exact"]
    assert duplicates["near"] == {"sample": 303, "exact_share": round(2 / 303, 5), "near_share": round(1 / 303, 5)}
    lines = [re.sub(r"\s", "", line) for text in whole for line in text.split("\n")]
    lines = [line for line in lines if len(line) >= 8]
    repeated = found["repeated_lines"]
    assert repeated["lines"] == len(lines) and repeated["different"] == len(set(lines))
    assert repeated["share"] == round(1 - len(set(lines)) / len(lines), 5)
    assert repeated["top"][0] == {"text": "版权所有 不得转载 欢迎关注本站", "times": 151}


def test_the_same_bytes_for_any_number_of_workers_and_a_second_start(documents: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "one", tmp_path / "two"]
    for out, workers in zip(outs, "12", strict=True):
        run(out, documents, "--workers", workers)
    for name in ("summary.json", "report.html", "manifest.json"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()
    before = [(outs[0] / name).read_bytes() for name in ("summary.json", "report.html")]
    run(outs[0], documents)
    assert [(outs[0] / name).read_bytes() for name in ("summary.json", "report.html")] == before
    assert not (outs[0] / "work").exists()


def test_texts_without_letters_are_copies_only_where_they_are_the_same(tmp_path: Path) -> None:
    whole = ["。。。", "!!!!", "😀😀", "\u200b", "---", "---", "好", "好。"]
    (tmp_path / "set.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in whole), "utf-8")
    assert run(tmp_path / "run", tmp_path / "set.jsonl")["duplicates"]["different"] == 6


def test_limit_sample_json_and_language(documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "limit", documents, "--limit", "130")["documents"] == 130
    assert 60 < run(tmp_path / "sample", documents, "--sample", "0.4")["documents"] < 200
    capsys.readouterr()
    words = ["stats", f"新闻={documents}", "--out", str(tmp_path / "zh"), "--json", "-q", "--lang", "zh"]
    assert run_app(app, words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sources"] == {"新闻": {"documents": 303, "characters": told["characters"]}}
    assert "数据集概况" in (tmp_path / "zh" / "report.html").read_text("utf-8")


def test_hostile_lines_stay_text(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=1> 13800138000"
    (tmp_path / "set.jsonl").write_text(json.dumps({"text": f"{attack}\n{attack}", "url": "javascript:<b>"}), "utf-8")
    run(tmp_path / "run", tmp_path / "set.jsonl")
    html = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "&lt;script&gt;" in html and "<script" not in html and "<img" not in html and "13800138000" not in html


def test_nothing_to_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set.jsonl").write_text('{"content": "文"}\n')
    assert run_app(app, ["stats", str(tmp_path / "set.jsonl"), "--out", str(tmp_path / "run"), "-q"]) == 3
    assert "text_field" in capsys.readouterr().err


def test_a_full_sketch_estimates_and_adds_up() -> None:
    rng = np.random.default_rng(2)
    hashes = rng.integers(0, 2**64, 50_000, np.uint64)
    places = np.arange(50_000)
    whole, parts = Sketch(2_000), Sketch(2_000)
    whole.add(np.concatenate([hashes, hashes]), np.concatenate([places, places + 50_000]), None)
    for start in range(0, 50_000, 10_000):
        part = Sketch(2_000)
        part.add(hashes[start : start + 10_000], np.arange(10_000), None)
        parts.merge(part, start)
    assert np.array_equal(whole.hashes, parts.hashes) and np.array_equal(whole.first, parts.first)
    assert not whole.exact and abs(whole.distinct() / 50_000 - 1) < 0.07  # three standard errors
    assert abs(whole.growth([25_000])[0] / 25_000 - 1) < 0.1


def test_heaps_law_is_found() -> None:
    read = [1_000 * step for step in range(1, 20)]
    law = heaps(read, [3.0 * x**0.6 for x in read])
    assert law is not None and law == pytest.approx((3.0, 0.6))
    assert heaps([1, 2], [1, 2]) is None and heaps([5, 5, 5], [1, 1, 1]) is None
