"""The page with sliders: its counts are those of `corpus tune`, and what was crawled runs nothing on it."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_maker import make, page

from corpus.cli import app
from corpus.tune_page import MOST_EDGES, edges_of, encode
from runkit.console import run_app

CHROMIUM = Path("/usr/bin/chromium")
ATTACK = "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 1'> $DATA $POLICY \x1b[2J\u202e坏"


def test_codes_keep_every_comparison_with_an_edge() -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.random(500, np.float32), np.float32([0.25, 0.25, np.nan])])
    edges = edges_of(values, [0.25, 0.9])
    codes = encode(values, edges)
    assert len(edges) <= MOST_EDGES and {0.25, float(np.float32(0.9))} <= set(edges.tolist())
    assert codes[-1] == 255
    for place, edge in enumerate(edges):
        assert np.array_equal(values[:-1] <= edge, codes[:-1] <= 2 * place + 1)
        assert np.array_equal(values[:-1] >= edge, codes[:-1] >= 2 * place + 1)


def test_many_bounds_and_few_values_still_fit_a_byte() -> None:
    values = np.zeros(3, np.float32)
    edges = edges_of(values, [number / 7 for number in range(40)])
    assert len(edges) == 40 and int(encode(values, edges).max()) < 255
    assert len(edges_of(np.zeros(0, np.float32), [1.0])) == 1


def run_of(folder: Path) -> Path:
    rng = np.random.default_rng(5)
    pages = []
    for number in range(400):
        chars, top = float(np.float32(rng.integers(20, 900))), float(np.float32(rng.random() * 0.4))
        reasons = (["rules.chars"] if chars < 120 else []) + (["rules.top_2gram"] if top > np.float32(0.2) else [])
        reasons += ["dedup.near"] if number % 50 == 0 and not reasons else []
        fields = {"text": ATTACK, "meta": {"title": ATTACK}} if number % 7 == 0 else {}
        pages.append(page(number, *reasons, s_chars=chars, s_top_2gram=top, source=f"s{number % 3}", **fields))
    rules = ", ".join(
        f"{{signal: {name}, {bound}, language: zh, source: test}}"
        for name, bound in (("chars", "min: 120"), ("top_2gram", "max: 0.2"))
    )
    make(folder / "run", [pages[:250], pages[250:]], settings=[f"rules=[{rules}]"])
    return folder / "run"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as library:
        found = library.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield found
        found.close()


def test_the_page_counts_as_the_command_does(browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, file = run_of(tmp_path), tmp_path / "page.html"
    assert run_app(app, ["tune", str(run), "--page", str(file), "--lang", "zh"]) == 0
    told, asked = [], []
    shown = browser.new_page()
    shown.on("console", lambda message: told.append(message.text))
    shown.on("pageerror", lambda error: told.append(str(error)))
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(file.as_uri())
    move = """([name, value]) => { const input = document.querySelector(`input[name="${name}"]`);
        input.value = value; input.dispatchEvent(new Event("input")); }"""
    signals = shown.evaluate("JSON.parse(document.getElementById('data').textContent).signals")
    for chars, top in ((20, 80), (60, 10), (-1, 101), (40, 40)):
        shown.evaluate(move, ["0.min", chars])
        shown.evaluate(move, ["1.max", top])
        shown.wait_for_timeout(50)
        own = signals["top_2gram"]["edges"]
        words = ["-s", f"rules.chars.min={signals['chars']['edges'][chars] if chars >= 0 else 0}"]
        words += ["-s", f"rules.top_2gram.max={own[top] if top < len(own) else 1}"]
        capsys.readouterr()
        assert run_app(app, ["tune", str(run), "--json", "--samples", "0", *words]) == 0
        answer = json.loads(capsys.readouterr().out)
        tuned = shown.evaluate("window.tuned")
        for state in ("before", "after", "won", "lost"):
            assert tuned[state] == [answer[state]["documents"], answer[state]["characters"]], (chars, top, state)
    shown.evaluate("document.getElementById('reset').click()")
    shown.wait_for_timeout(50)
    assert shown.evaluate("window.tuned.after") == shown.evaluate("window.tuned.before")
    shown.evaluate(move, ["0.min", 60])
    shown.wait_for_timeout(50)
    assert shown.inner_text("#won-title") == "将会保留"
    assert shown.locator("#won .sample, #lost .sample").count() > 0
    assert shown.evaluate("window.hit") is None
    assert "window.hit = 1" in shown.inner_text("body")  # shown as it is
    assert "\u202e" not in shown.inner_text("body")
    assert told == [] and asked == [file.as_uri()]
    shown.close()


def test_the_page_begins_at_the_bounds_of_the_command(
    browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = run_of(tmp_path / "my runs"), tmp_path / "page.html"
    words = ["-s", "rules.chars.min=345.5", "-s", "rules.top_2gram.max=null", "-s", "rules.top_2gram.min=0.05"]
    assert run_app(app, ["tune", str(run), "--page", str(file), *words]) == 0
    capsys.readouterr()
    assert run_app(app, ["tune", str(run), "--json", "--samples", "0", *words]) == 0
    answer = json.loads(capsys.readouterr().out)
    shown = browser.new_page()
    shown.goto(file.as_uri())
    for state in ("before", "after", "won", "lost"):
        assert shown.evaluate("window.tuned")[state] == [answer[state]["documents"], answer[state]["characters"]]
    # The command on the page can be copied: its path is whole and quoted, its bounds are those given.
    command = shlex.split(shown.inner_text("#command"))
    assert command[:3] == ["corpus", "tune", str(run)]
    assert set(command[4::2]) == {"rules.0.min=345.5", "rules.1.max=null", "rules.1.min=0.05"}
    assert shown.locator("#lost .sample").count() > 0
    shown.close()


@pytest.mark.parametrize("setting", ["languages=[zh]", "rules=[]"])
def test_what_sliders_cannot_show_is_said(setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tune", str(run_of(tmp_path)), "--page", str(tmp_path / "page.html"), "-s", setting]
    assert run_app(app, words) == 2
    assert "--page moves the bounds" in capsys.readouterr().err and not (tmp_path / "page.html").exists()
