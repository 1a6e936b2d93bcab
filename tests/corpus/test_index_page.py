"""`corpus index`: every run on one page, in the right order, with links that lead somewhere, and nothing that runs."""

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from lxml import html

from corpus.cli import app
from corpus.index_flow import Card, arrows_of, flow, short, wide
from corpus.index_page import duration, size
from runkit.console import run_app
from runkit.files import write_bytes, write_json
from runkit.rundir import RunDir
from tests.corpus.run_maker import make, page
from tests.corpus.test_trace_odd import as_input, clean, tokens

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A finished run, one made from it, one that is not finished, an unknown one, and two that are damaged."""
    root = tmp_path / "all runs"
    source = clean(root / "clean", [page(1), page(2)])
    tokens(root / "sub" / "tokens 词元", source, ["a"])
    write_json(source / "usage.json", {"seconds": 5.0, "cpu_seconds": 4.0, "peak_memory_bytes": 2e9,
                                       "all_starts": {"starts": 2, "seconds": 65.0, "cpu_seconds": 50.0}})  # fmt: skip
    with RunDir.open(root / "half", "train pretrain", {}, [{"name": "shards 0", "size": 5, "fingerprint": "0" * 64}]):
        pass
    with RunDir.open(root / "other", "somebody else's", {}, [as_input(source, "documents/00000-000.parquet")]) as run:
        write_json(run.file("summary.json"), {"anything": [1]})
        write_json(run.file("calls.json"), {"cost_usd": 0.25})
    edited = make(root / "edited", [[page(3)]]).run.path / "manifest.json"
    write_bytes(edited, edited.read_bytes().replace(b"1234567", b"1234568"))
    write_bytes(root / "broken" / "manifest.json", b"{ no more")
    write_bytes(root / "broken" / ".lock", b"")
    return root


def indexed(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    capsys.readouterr()
    assert run_app(app, ["index", *map(str, arguments), "--json"]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return dict(orjson.loads(out))


def test_answers_to_questions_are_a_finished_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunDir.open(tmp_path / "answers", "train eval mcq", {}, []) as run:
        assert [one["finished"] for one in indexed(capsys, tmp_path)["runs"]] == [False]
        write_json(run.file("results.json"), {"all": {"n": 5, "accuracy": 0.4}})
    assert [one["finished"] for one in indexed(capsys, tmp_path)["runs"]] == [True]


def test_pages_and_measurements_beside_the_runs_are_linked(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(runs / "clean-ppl.json", {"run": "somewhere/clean", "ppl": 12.5, "documents": 3, "by_source": {}})
    write_json(runs / "config.json", {"vocab": [1]})
    write_bytes(runs / "sub" / "view.html", b"<p>")
    found = indexed(capsys, runs)
    assert found["beside"] == [
        {"file": "clean-ppl.json", "run": "clean", "documents": 3, "ppl": 12.5},
        {"file": "sub/view.html", "run": None},
    ]
    assert "perplexity 12.5" in (runs / "index.html").read_text("utf-8")
    assert indexed(capsys, runs)["beside"] == found["beside"]  # the page itself is not beside


def test_many_runs_that_go_with_no_other_are_listed_but_not_drawn(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(9):
        with RunDir.open(runs / f"alone-{number}", "corpus stats", {}, []) as run:
            write_json(run.file("summary.json"), {"documents": number})
    found = indexed(capsys, runs, "--lang", "en")
    text = (runs / "index.html").read_text("utf-8")
    assert len(found["runs"]) == 14 and text.count('class="card"') == 3 and "11 runs that go with no other" in text


def test_a_run_that_stopped_is_not_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunDir.open(tmp_path / "made", "selfinstruct generate", {}, []) as run:
        write_json(run.file("summary.json"), {"kept": 3, "rejected": 1, "stopped": "It was interrupted."})
    assert [one["finished"] for one in indexed(capsys, tmp_path)["runs"]] == [False]


def test_all_runs_are_told_in_order(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = indexed(capsys, runs)
    by_name = {run["run"]: run for run in found["runs"]}
    assert set(by_name) == {"clean", "edited", "half", "other", "sub/tokens 词元"} and found["unread"] == ["broken"]
    order = [run["run"] for run in found["runs"]]
    assert order.index("clean") < order.index("sub/tokens 词元") and order.index("clean") < order.index("other")
    assert by_name["sub/tokens 词元"]["made_from"] == ["clean"] and by_name["other"]["made_from"] == ["clean"]
    assert [name for name, run in by_name.items() if not run["finished"]] == ["half"]
    assert [name for name, run in by_name.items() if run["damaged"]] == ["edited"]
    assert by_name["clean"]["figures"] == {"read": 2, "kept": 2, "characters": 24}
    assert by_name["clean"]["seconds"] == 65 and by_name["clean"]["peak_memory_bytes"] == 2e9
    assert found["seconds"] == 65 and found["cpu_seconds"] == 50 and found["cost_usd"] == 0.25


def test_links_lead_to_files_from_wherever_the_page_lies(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in (runs / "index.html", tmp_path / "pages" / "a b.html"):
        indexed(capsys, runs, "--out", out)
        tree = html.fromstring(out.read_bytes())
        links = [link for link in tree.xpath("//a/@href") if not link.startswith("#")]
        assert len(links) >= 8 and not [link for link in links if ":" in link]
        for link in links:
            assert (out.parent / unquote(link)).is_file(), link


def test_both_languages_stand_on_one_page(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for lang, headings in (("both", 2), ("en", 1), ("zh", 1)):
        indexed(capsys, runs, "--lang", lang)
        text = (runs / "index.html").read_text("utf-8")
        assert text.count('class="flow') == headings and "<script" not in text
        assert ("not finished" in text) == (lang != "zh") and ("未完成" in text) == (lang != "en")
    assert run_app(app, ["index", str(runs), "--lang", "fr"]) == 2


def test_it_opens_offline_without_a_word(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    indexed(capsys, runs)
    said: list[str] = []
    asked: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto((runs / "index.html").as_uri())
        assert tab.is_visible("text=How they were made") and not tab.is_visible("text=由来关系")
        tab.click("label[lang=zh]")
        assert tab.is_visible("text=由来关系") and not tab.is_visible("text=How they were made")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 1200
        assert not said and asked == [(runs / "index.html").as_uri()]
        tab.click("div[lang=zh] table a >> nth=0")
        assert tab.url.endswith("/report.html")
        browser.close()


def test_an_arrow_over_several_layers_crosses_no_card() -> None:
    cards = [Card(str(number), "", "", "", None, "") for number in range(4)]
    drawn = flow(cards, [(0, 1), (1, 2), (2, 3), (0, 3)], "").markup
    assert drawn.count('class="card"') == 4 and drawn.count('class="wire"') == 3 + 3
    assert arrows_of({"a": 0, "b": 1}, [("a", "b"), ("b", "a"), ("a", "b"), ("x", "b")]) == [(0, 1)]


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (2.54, "2.5 s", "2.5 秒"),
        (59.7, "60 s", "60 秒"),
        (200, "3 min 20 s", "3 分 20 秒"),
        (3900, "1 h 5 min", "1 小时 5 分"),
    ],
)
def test_durations(seconds: float, en: str, zh: str) -> None:
    assert (duration(seconds, "en"), duration(seconds, "zh")) == (en, zh)


def test_sizes_and_short_names() -> None:
    assert [size(n) for n in (0, 999, 72_982, 2e9)] == ["0 B", "999 B", "73 kB", "2 GB"]
    assert short("name", 8) == "name" and short("a-very-long-name", 8) == "…ng-name" and wide("词元a") == 5
