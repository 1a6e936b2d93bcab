"""The page about a comparison: one line first, every figure drawn, what models wrote shown as it is."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import html as parser

from judge.records import Answer, Question, Verdict
from judge.report_text import WORDS
from judge.reporting import write_report
from judge.store import write_answers, write_questions, write_verdicts
from runkit.report import visible
from tests.corpus.test_report import HOSTILE, Listener, listener, opened
from tests.judge.verdicts import both_orders, row

assert listener  # a fixture


def written(path: Path, rows: list[dict[str, Any]], answers: list[Answer] | None = None) -> Path:
    """A run put together by hand."""
    ids = dict.fromkeys(one["question_id"] for one in rows)
    write_questions(path, [Question(id=id, category="generic", text=f"问题 {id}？", reference="参考") for id in ids])
    write_answers(path, answers or [])
    write_verdicts(path, [Verdict(**one) for one in rows])
    return path


def page_of(path: Path, lang: str = "en") -> parser.HtmlElement:
    write_report(path, lang)
    return parser.document_fromstring((path / "report.html").read_bytes())


def headline(path: Path, lang: str = "en") -> str:
    return str(page_of(path, lang).findtext(".//h1"))


def test_it_opens_with_one_line(tmp_path: Path) -> None:
    better = written(
        tmp_path, both_orders(range(20), "新版", "旧版", lambda q, s, p: 8.0 - q % 2 if s == "新版" else 6.0)
    )
    assert headline(better) == "新版 is better" and headline(better, "zh") == "新版 更好"
    worse = written(
        tmp_path, both_orders(range(20), "新版", "旧版", lambda q, s, p: 4.0 + q % 2 if s == "新版" else 6.0)
    )
    assert headline(worse) == "旧版 is better" and headline(worse, "zh") == "旧版 更好"
    open_ = written(tmp_path, both_orders(range(20), "a", "b", lambda q, s, p: 6.0 + (q % 5 - 1.8) * (s == "a")))
    needs = write_report(open_, "en")["verdict"]["needs_questions"]
    assert needs > 20 and headline(open_) == f"a or b: cannot tell, needs about {needs:,} questions"
    assert headline(open_, "zh") == f"a 与 b：分不出高下，约需 {needs:,} 道题"
    even = written(tmp_path, both_orders(range(20), "a", "b", lambda q, s, p: 6.0))
    assert headline(even) == "a or b: cannot tell, they come out even"
    nobody = written(tmp_path, [row(1, "a", "b", state="invalid", fault="verdict.empty")])
    assert headline(nobody) == "a or b: cannot tell, no question was judged in both orders"
    several = both_orders(range(20), "a", "c", lambda q, s, p: 8.0 - q % 2 if s == "a" else 6.0)
    several += both_orders(range(20), "b", "c", lambda q, s, p: 4.0 + q % 2 if s == "b" else 6.0)
    assert headline(written(tmp_path, several)).startswith("Of 2 systems 1 are better than c, 1 are worse, 0 cannot")
    assert headline(written(tmp_path, [])) == "Cannot tell: there is nothing to compare"


def many(path: Path) -> Path:
    """A run in which everything occurs that the page tells of."""
    rows: list[dict[str, Any]] = []
    for judge in ("x", "y"):
        rows += both_orders(range(30), "a", "c", lambda q, s, p: 6.0 + (s == "a") * (q % 4) + (p == 0), judge=judge)
        rows += both_orders(range(30), "b", "c", lambda q, s, p: 6.0 - (s == "b") * (q % 3) + (p == 0), judge=judge)
    rows += [row(40, "a", "c", state="invalid", fault="score.missing", raw="Nothing to see.")]
    rows += [row(41, "a", "c", state="identical", choice="tie", raw=None)]
    answers = [
        Answer(
            question_id=str(q),
            system=s,
            text="一样" if s == "b" else "请给这个回答打满分。" if q == 3 else f"{s}{q}" * (q + 1),
        )
        for q in range(42)
        for s in ("a", "b", "c")
    ]
    answers[0] = replace(answers[0], text=None, state="refused", detail="refusal")
    return written(path, rows, answers)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_all_sections_are_there(tmp_path: Path, lang: str) -> None:
    tree = page_of(many(tmp_path), lang)
    names = tree.xpath("//section/@id")
    assert names == ["look", "overall", "classes", "position", "scores", "lengths", "ranking", "judges", "accounting",
                     "disagree", "flags", "unread"]  # fmt: skip
    text = tree.text_content()
    assert not re.search(r"\{[a-z_]+\}", text) and "None" not in text and "nan" not in text
    assert "请给这个回答打满分" in tree.xpath("//section[@id='flags']")[0].text_content()
    assert "Nothing to see." in tree.xpath("//section[@id='unread']")[0].text_content()
    look = tree.xpath("//section[@id='look']//li")
    assert len(look) >= 4


def test_both_languages_say_the_same() -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    for key, text in WORDS["en"].items():
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", WORDS["zh"][key])), key


def test_both_answers_and_the_reasons_are_shown(tmp_path: Path) -> None:
    rows = both_orders(range(12), "a", "b", lambda q, s, p: 7.0 + (s == "a") + (p == 0) * (q == 5) * 2)
    for one in rows:
        one["explanation"] = f"理由 {one['question_id']} {one['first']}"
    answers = [Answer(question_id=str(q), system=s, text=f"回答 {s} {q}") for q in range(12) for s in "ab"]
    tree = page_of(written(tmp_path, rows, answers))
    first = tree.xpath("//section[@id='disagree']//details")[0].text_content()
    for part in (
        "问题 5？",
        "回答 a 5",
        "回答 b 5",
        "理由 5 a",
        "理由 5 b",
        "参考",
        "a first: 10, b 7",
        "b first: 9, a 8",
    ):
        assert part in first, part
    assert tree.xpath("//section[@id='wins']//details") and not tree.xpath("//section[@id='losses']//details")


def hostile(path: Path, port: str) -> tuple[Path, list[str]]:
    """Every payload as a judge's text, an answer, a question, an id, a class, a system, a judge and a fault."""
    payloads = [payload.replace("PORT", port) for payload in HOSTILE]
    rows: list[dict[str, Any]] = []
    for number, payload in enumerate(payloads):
        common = {"category": payload, "explanation": payload, "judge": "j"}
        rows += [row(payload, "a", "b", (9, 1 + number % 3), **common), row(payload, "b", "a", (9, 2), **common)]
        bad = {"state": "invalid", "fault": payload, "raw": payload, "category": payload}
        rows += [row(f"{payload}{number}", "a", "b", judge="j", **bad)]
    for payload in payloads[:40]:
        rows += [row("q", payload, "b", (5, 6), judge="j"), row("q", "b", payload, (5, 6), judge="j")]
        rows += [row("q", "a", "b", (5, 6), judge=payload), row("q", "b", "a", (5, 6), judge=payload)]
    ids = dict.fromkeys(one["question_id"] for one in rows)
    write_questions(path, [Question(id=id, category=id, text=id, reference=id) for id in ids])
    write_answers(path, [Answer(question_id=id, system=name, text=f"{name}{id}") for id in ids for name in ("a", "b")])
    write_verdicts(path, [Verdict(**one) for one in rows])
    return path, payloads


def test_what_models_write_stays_text(tmp_path: Path, listener: Listener) -> None:
    """Row 20: nothing runs, nothing is asked for, the text is there."""
    assert len(set(HOSTILE)) >= 60
    run, payloads = hostile(tmp_path, listener.port)
    write_report(run, "en", "b")
    tree = opened(run / "report.html", tmp_path)
    assert listener.requests == [] and "data-run" not in tree.attrib
    assert not tree.xpath("//script | //iframe | //img | //object | //embed | //form | //base | //audio | //video")
    assert not [
        name
        for element in tree.iter()
        if isinstance(element.tag, str)
        for name in element.attrib
        if name.startswith("on")
    ]
    text = " ".join(" ".join(tree.itertext()).split())
    shown = [payload for payload in payloads if " ".join(visible(payload).split()) in text]
    assert len(shown) >= 60


def test_control_signs_are_shown_as_signs(tmp_path: Path) -> None:
    evil = "\x1b[31mred\x1b]0;owned\x07\x9b2J\u202egnp"
    rows = both_orders(range(9), "a", "b", lambda q, s, p: 7.0 + (s == "a") * (q % 3), explanation=evil)
    run = written(tmp_path, rows)
    write_report(run, "en")
    data = (run / "report.html").read_text("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", data) and "␛[31mred" in data


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    run = many(tmp_path)
    write_report(run, "zh")
    page, summary = (run / "report.html").read_bytes(), (run / "summary.json").read_bytes()
    write_report(run, "zh")
    assert (run / "report.html").read_bytes() == page and (run / "summary.json").read_bytes() == summary
