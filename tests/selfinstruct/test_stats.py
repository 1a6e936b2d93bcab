"""What is in a set: figures counted by hand, verbs and nouns of instructions, a report that shows texts as they are."""

import json
from pathlib import Path

import pytest

from runkit.console import run_app
from selfinstruct.cli import app
from selfinstruct.stats import figures
from selfinstruct.verbs import leading

KEPT = [
    {"instruction": "写一首诗", "input": "", "output": "春", "category": "generation", "nearest_rouge_l": 0.2},
    {"instruction": "写一封信", "input": "朋友", "output": "你好", "category": "generation", "nearest_rouge_l": 0.6},
    {"instruction": "总结这篇文章", "input": "文", "output": "略", "category": "summarization", "model": "m"},
]
REJECTED = [
    {"instruction": "画一只猫", "output": "x", "category": "chat", "reasons": ["cannot_do", "novelty"]},
    {"instruction": "写一首词", "output": "x", "category": "chat", "reasons": ["novelty"], "nearest_rouge_l": 0.75},
]


def test_figures_by_hand() -> None:
    found = figures(KEPT, REJECTED, {"wanted": {"generation": 0.5, "chat": 0.5}, "cost_usd": 0.3, "stopped": "why"})
    assert (found["kept"], found["rejected"], found["with_input"]) == (3, 2, 2)
    assert found["acceptance"] == pytest.approx(0.6) and found["cost_usd_per_kept"] == pytest.approx(0.1)
    assert found["reasons"] == {"novelty": {"items": 2, "alone": 1}, "cannot_do": {"items": 1, "alone": 0}}
    assert found["kinds"]["generation"] == {"kept": 2, "rejected": 0, "wanted": 0.5}
    assert found["kinds"]["summarization"]["wanted"] is None and found["kinds"]["chat"]["rejected"] == 2
    assert found["novelty"]["mean"] == pytest.approx(0.4) and sum(found["novelty"]["rejected"]) == 1
    assert found["lengths"]["instruction"]["median"] == 4 and found["lengths"]["output"]["longest"] == 2
    verbs = {one["verb"]: one["nouns"] for one in found["verbs"]["top"]}
    assert verbs["写"]["信"] == 1 and verbs["总结"] == {"文章": 1}
    assert found["models"] == {"m": 1} and found["stopped"] == "why"


@pytest.mark.parametrize(
    ("instruction", "verb", "noun"),
    [
        ("总结这篇文章的主要内容。", "总结", "内容"),
        ("请把句子翻译成英文。", "翻译", "英文"),
        ("帮我分析下面的数据", "分析", "数据"),
        ("又到了秋天，请写一段日记", "写", "日记"),
        ("Write a poem", "write", ""),
        ("。。。", "", ""),
    ],
)
def test_verbs_and_their_nouns(instruction: str, verb: str, noun: str) -> None:
    assert leading(instruction) == (verb, noun)


def run_of(folder: Path, kept: str, summary: str = "{}") -> Path:
    folder.mkdir()
    (folder / "instructions.jsonl").write_text(kept, "utf-8")
    (folder / "rejected.jsonl").write_text("".join(json.dumps(row) + "\n" for row in REJECTED), "utf-8")
    (folder / "summary.json").write_text(summary, "utf-8")
    return folder


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_report_shows_texts_and_why_it_stopped(tmp_path: Path, lang: str) -> None:
    odd = {"instruction": "<script>alert(1)</script>", "input": "", "output": "</pre><b>x", "nearest_rouge_l": "high"}
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in [*KEPT, odd])
    run = run_of(tmp_path / "run", text, json.dumps({"stopped": "The budget of <5> USD"}))
    assert run_app(app, ["stats", str(run), "-q", "--lang", lang]) == 0
    page = (run / "report.html").read_text("utf-8")
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page and "The budget of &lt;5&gt; USD" in page


@pytest.mark.parametrize(
    ("kept", "summary", "code", "said"),
    [
        ("[1]\n", "{}", 3, "line 1: no object"),
        ("{broken\n", "{}", 3, "line 1"),
        ("{}\n", "[]", 3, "summary.json holds no object"),
        (None, "{}", 2, "has no instructions.jsonl"),
    ],
)
def test_damaged_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: str | None, summary: str, code: int, said: str
) -> None:
    run = run_of(tmp_path / "run", kept or "", summary)
    if kept is None:
        (run / "instructions.jsonl").unlink()
    assert run_app(app, ["stats", str(run)]) == code
    streams = capsys.readouterr()
    assert said in streams.err and "Traceback" not in streams.err and not streams.out
