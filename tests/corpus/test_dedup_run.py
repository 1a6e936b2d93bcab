"""`corpus dedup` as a command: what goes, what stays, the same bytes however it is run, and nothing dangerous shown."""

import json
import random
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from corpus.cli import app
from runkit.console import run_app
from tests.faults.kill import Killer, assert_same, tree
from tests.faults.launch import Command, start

SMALL = ("-s", "shard_mb=0.02", "-q")
HAN = "山水云雨风花雪月江河湖海松竹梅兰春夏秋冬东南西北天地日星金木土石田园书画琴棋"
FOOTER = "版权归本站所有，未经许可不得转载"
EVIL = "<script>alert(1)</script>\x1b]0;owned\x07 扫码关注公众号"


def sentence(chooser: random.Random, length: int = 20) -> str:
    return "".join(chooser.choices(HAN, k=length)) + "。"


def article(seed: int, lines: int = 12) -> str:
    chooser = random.Random(seed)
    return "\n".join(sentence(chooser) for _ in range(lines))


def write(path: Path, texts: list[str], **fields: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"id": f"{path.stem}-{n}", "text": text, **fields} for n, text in enumerate(texts)]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources: 40 texts with boilerplate, copies, a paragraph and a passage in several."""
    path = tmp_path_factory.mktemp("documents") / "set"
    chooser = random.Random(5)
    paragraph = "".join(sentence(chooser) for _ in range(3))
    passage = "".join(chooser.choices(HAN, k=70))
    news = []
    for number in range(30):
        text = article(number)
        if number % 2 == 0:
            text += f"\n{FOOTER}\n{EVIL}"
        if number in (3, 7, 11):
            text = f"{article(100 + number, 3)}\n\n{paragraph}\n\n{text}"
        if number in (5, 9, 13, 17):
            text += f"\n{number}甲{passage}乙{number}"
        news.append(text)
    books = [article(1), article(2) + "\n" + article(900, 1), article(500), article(501), FOOTER + "\n" + EVIL]
    write(path / "news.jsonl", news)
    write(path / "books.jsonl", books)
    return path


def call(folder: Path, out: Path, *more: str) -> dict[str, Any]:
    words = ["dedup", str(folder), "--out", str(out), *SMALL, *more]
    assert run_app(app, [*words, "--workers", "1"]) == 0  # a process that has used polars cannot fork
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text("utf-8"))
    return summary


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["dedup", folder, "--out", out, *SMALL, "-s", "lines.min_documents=10", "--workers", "2"]
    assert start(words, out.parent / "streams").result().code == 0
    return out


def documents(run: Path, state: str = "documents") -> dict[str, dict[str, Any]]:
    frame = pl.concat(map(pl.read_parquet, sorted((run / state).glob("*.parquet"))))
    return {row["id"]: row for row in frame.iter_rows(named=True)}


def test_each_step_takes_what_it_should(run: Path) -> None:
    kept, rejected = documents(run), documents(run, "rejected")
    reasons = {id: (row["reasons"], json.loads(row["meta"]).get("duplicate_of")) for id, row in rejected.items()}
    assert reasons == {
        "news-1": (["dedup.exact"], "books-0"),
        "books-1": (["dedup.near"], "news-2"),
        "books-4": (["cut.short"], None),
    }
    texts = "\n".join(row["text"] for row in kept.values())
    assert FOOTER not in texts and "公众号" not in texts
    chooser = random.Random(5)
    paragraph = "".join(sentence(chooser) for _ in range(3))
    passage = "".join(chooser.choices(HAN, k=70))
    assert [id for id, row in kept.items() if paragraph in row["text"]] == ["news-3"]
    assert [id for id, row in kept.items() if passage in row["text"]] == ["news-5"]
    assert kept["news-9"]["text"].endswith("。\n99")
    assert kept["news-15"]["text"] == article(15)
    assert json.loads(kept["news-9"]["meta"])["cut_characters"] == {"substrings": 72}


def test_the_figures_add_up(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    for unit in ("documents", "characters"):
        counts = summary[unit]
        assert counts["read"] == counts["kept"] + counts["rejected"] + (counts["cut"] if unit == "characters" else 0)
        assert [summary["funnel"][0][unit], summary["funnel"][-1][unit]] == [counts["read"], counts["kept"]]
    kept = documents(run)
    assert summary["documents"]["kept"] == len(kept)
    assert summary["characters"]["kept"] == sum(len(row["text"]) for row in kept.values())
    cuts = pl.concat(map(pl.read_parquet, sorted((run / "cuts").glob("*.parquet"))))
    assert dict(cuts["kind"].value_counts().iter_rows()) == {"lines": 32, "paragraphs": 2, "substrings": 3}
    assert summary["cuts"]["lines"]["pieces"] == 30  # not those of the document that went
    assert summary["copies"] == [
        {"source": "books", "duplicate_source": "news", "documents": 1},
        {"source": "news", "duplicate_source": "books", "documents": 1},
    ]
    footer = summary["repeats"]["lines"][0]
    assert footer["documents"] == footer["times_cut"] == 16


def test_lines_of_a_share_of_all_documents(folder: Path, tmp_path: Path) -> None:
    """The footer stands in 16 of 33 documents that are no copies; 7 of 25 are 0.28 of them, whatever 0.28 * 25 is."""
    few, enough = (
        call(folder, tmp_path / share, "-s", "lines.min_documents=2", "-s", f"lines.min_share={share}")
        for share in ("0.5", "0.48")
    )
    line = sentence(random.Random(777))
    texts = [f"{article(n)}\n{line}" if n < 7 else article(n) for n in range(25)]
    share = ("-s", "lines.min_documents=2", "-s", "lines.min_share=0.28")
    assert call(write(tmp_path / "set.jsonl", texts), tmp_path / "exactly", *share)["cuts"]["lines"]["pieces"] == 7
    assert few["cuts"]["lines"]["pieces"] == 0 and enough["repeats"]["lines"][0]["documents"] == 16


def test_substrings_are_told_by_how_often_they_were_cut(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each 50 characters stand in three documents, the stretches in one or two: `in 2 documents` would be wrong."""
    whole = article(100).replace("\n", "")[:70]
    held = (whole, whole, whole[:60], whole[10:])
    texts = [f"{article(n)}{n}{piece}{n}{article(n + 9)}" for n, piece in enumerate(held)]
    summary = call(write(tmp_path / "set.jsonl", texts), tmp_path / "run", "-s", "paragraphs.enabled=false")
    said = capfd.readouterr().err
    assert summary["cuts"]["substrings"] == {"pieces": 3, "documents": 3, "characters": 190}
    assert said.count("cut 1 times:") == 3 and "in 2 documents:" not in said


def test_the_same_bytes_for_any_number_of_workers(run: Path, folder: Path, tmp_path: Path) -> None:
    call(folder, tmp_path / "run", "-s", "lines.min_documents=10")
    assert_same(tmp_path / "run", tree(run))


def test_damage_is_mended(run: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    call(folder, out, "-s", "lines.min_documents=10")
    expected = tree(out)
    for name in ("documents", "cuts"):
        victim = sorted((out / name).glob("*.parquet"))[0]
        victim.write_bytes(b"gone")
        (out / "copies.parquet").unlink()
        call(folder, out, "-s", "lines.min_documents=10")
        assert_same(out, expected)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_moments(folder: Path, run: Path, tmp_path: Path, workers: int) -> None:
    def again(out: Path) -> Command:
        words = ["dedup", folder, "--out", out, *SMALL, "-s", "lines.min_documents=10", "--workers", str(workers)]
        return start(words, out.parent / "streams")

    landed = Killer(again, tmp_path, seed=workers, span_s=0.5, workers=workers).kill(3, tree(run))
    assert len(landed) == 3


def test_what_an_earlier_run_has_goes(run: Path, folder: Path, tmp_path: Path) -> None:
    new = write(tmp_path / "new.jsonl", [article(4), article(8) + "\n" + article(77, 1), article(600)])
    out = tmp_path / "run"
    summary = call(new, out, "--against", str(run))
    assert summary["reasons"] == {"dedup.old_exact": 1, "dedup.old_near": 1}
    assert list(documents(out)) == ["new-2"]
    gone = documents(out, "rejected")
    assert json.loads(gone["new-0"]["meta"])["duplicate_of"] == "news-4"
    again = call(out, tmp_path / "again", "--against", str(run), "--against", str(new))
    assert again["documents"]["kept"] == 0  # a run of this command is a set of documents too


def test_paragraphs_and_substrings_of_an_earlier_run_count(tmp_path: Path) -> None:
    chooser = random.Random(9)
    passage = "".join(chooser.choices(HAN, k=80))
    old = write(tmp_path / "old.jsonl", [article(1) + passage + article(2)])
    new = write(tmp_path / "new.jsonl", [article(3) + passage + article(4)])
    call(new, tmp_path / "run", "--against", str(old), "-s", "substrings.min_documents=2")
    assert passage not in documents(tmp_path / "run")["new-0"]["text"]


def test_the_preferred_source_stays(folder: Path, tmp_path: Path) -> None:
    call(folder, tmp_path / "run", "-s", "documents.prefer=[books]")
    assert {"news-1", "news-2"} <= documents(tmp_path / "run", "rejected").keys()


def test_steps_can_be_switched_off(folder: Path, tmp_path: Path) -> None:
    off = [
        word for step in ("documents", "lines", "paragraphs", "substrings") for word in ("-s", f"{step}.enabled=false")
    ]
    summary = call(folder, tmp_path / "run", *off)
    assert summary["documents"] == {"read": 35, "kept": 35, "rejected": 0, "cut": 0}
    assert documents(tmp_path / "run")["news-0"]["text"].endswith(EVIL)


def test_documents_of_repeated_substrings_can_be_dropped(tmp_path: Path) -> None:
    passage = "".join(random.Random(3).choices(HAN, k=400))
    texts = [passage + article(n, 1) for n in range(3)] + [article(9)]
    write(tmp_path / "set.jsonl", texts)
    off = ["-s", "documents.enabled=false", "-s", "substrings.action=drop"]
    summary = call(tmp_path / "set.jsonl", tmp_path / "run", *off)
    assert summary["reasons"] == {"cut.repeated": 2}
    assert documents(tmp_path / "run")["set-0"]["text"] == texts[0]


def test_signals_are_kept_and_measured_anew_where_text_was_cut(folder: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (folder / "news.jsonl").read_text("utf-8").splitlines()]
    for row in rows:
        row |= {"s_chars": 1.0, "s_language_score": 0.5}
    frame = pl.DataFrame(rows)
    frame.write_parquet(tmp_path / "set.parquet")
    call(tmp_path / "set.parquet", tmp_path / "run", "-s", "lines.min_documents=10")
    kept = documents(tmp_path / "run")
    assert kept["news-0"]["s_chars"] == len("".join(kept["news-0"]["text"].split()))
    assert kept["news-15"]["s_chars"] == 1.0
    assert kept["news-0"]["s_language_score"] == 0.5


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_nothing_that_was_crawled_runs_in_the_report(folder: Path, tmp_path: Path, lang: str) -> None:
    call(folder, tmp_path / "run", "-s", "lines.min_documents=10", "--lang", lang)
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "<script" not in page and "\x1b" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert FOOTER in page


def test_nothing_that_was_crawled_commands_the_terminal(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    call(folder, tmp_path / "run", "-s", "lines.min_documents=10")
    said = capfd.readouterr().err
    assert FOOTER in said and "公众号" in said
    assert "\x1b" not in said and "\x07" not in said


def test_limit_dry_run_and_errors(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(folder, tmp_path / "few", "--limit", "7")["documents"]["read"] == 7
    words = ["dedup", str(folder), "--out", str(tmp_path / "none")]
    assert run_app(app, [*words, "--dry-run"]) == 0
    assert not (tmp_path / "none").exists()
    assert run_app(app, [*words, "-s", "lines.min_document=3"]) == 2
    assert "lines.min_documents" in capfd.readouterr().err
    assert run_app(app, ["dedup", str(folder), "--out", str(folder / "inside")]) == 2
    assert run_app(app, [*words, "--against", str(tmp_path / "nowhere")]) == 2
