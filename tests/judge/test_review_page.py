"""The review page in Chromium against a real server: keys and clicks, both languages, nothing that names a system."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judge.review_app import PAGE
from judge.review_store import FILE
from runkit.page import Access
from tests.judge.review_runs import SYSTEMS, Made, Reviewed, reviewed, write_run

pytestmark = pytest.mark.timeout(120)
CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as library:
        found = library.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return write_run(tmp_path / "run", 8)


class Reviewing:
    """A person at the page. `sent` is all that the server said, `asked` all that the page asked for."""

    def __init__(self, browser: Any, running: Reviewed, name: str, locale: str = "zh-CN", **context: Any) -> None:
        self.context = browser.new_context(locale=locale, viewport={"width": 1300, "height": 850}, **context)
        self.page = self.context.new_page()
        self.sent: list[str] = []
        self.asked: list[str] = []
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._told)
        self.page.on("request", lambda request: self.asked.append(f"{request.method} {request.url}"))
        self.page.on("response", self._heard)
        self.page.goto(running.url + "/")
        if name:
            self.join(name)

    def _told(self, said: Any) -> None:
        if said.type == "error" and not said.text.startswith("Failed to load resource"):  # a refusal is no fault
            self.faults.append(said.text)

    def _heard(self, response: Any) -> None:
        if not response.url.startswith("data:"):
            self.sent.append(f"{response.url} {response.headers}")

    def join(self, name: str) -> None:
        self.page.locator("[data-state=join]").wait_for()
        self.page.fill("#name", name)
        self.page.keyboard.press("Enter")
        self.ready()

    def ready(self) -> None:
        self.page.locator("body[data-state=ready], body[data-state=done]").first.wait_for()

    def shown(self) -> tuple[str, str]:
        return self.page.locator("#left").inner_text(), self.page.locator("#right").inner_text()

    def press(self, key: str) -> None:
        """A key, and what it leads to."""
        before = self.page.get_attribute("body", "data-shown")
        self.page.keyboard.press(key)
        self.page.wait_for_function(
            "before => document.body.dataset.shown !== before || document.body.dataset.state === 'done'", arg=before
        )
        self.ready()

    def count(self) -> str:
        return str(self.page.locator("#count").inner_text())

    def close(self) -> None:
        self.context.close()
        assert not self.faults, self.faults


def events(run: Path) -> list[dict[str, Any]]:
    with sqlite3.connect(run / FILE) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM events ORDER BY id")]


def test_keys_scores_notes_skip_and_undo(browser: Any, made: Made) -> None:
    with reviewed(made.path, repeat=0) as running:
        one = Reviewing(browser, running, "林小雨")
        page = one.page
        assert one.count() == "0 / 8" and page.locator("#undo").is_disabled()
        for key in ("1", "2", "0", "9"):
            one.press(key)
        assert [row["choice"] for row in events(made.path)] == ["left", "right", "tie", "both_bad"]
        page.click("#score-left button:nth-child(9)")
        page.click("#score-right button:nth-child(4)")
        page.keyboard.press("2")
        page.locator("#toast.bad", has_text="打分和判定相反").wait_for()
        page.keyboard.press("n")
        page.keyboard.type("左边 1 步都没错，u s 9")  # letters in a note are no keys
        page.keyboard.press("Escape")
        assert len(events(made.path)) == 4
        before = one.shown()
        one.press("1")
        last = events(made.path)[-1]
        assert (last["score_left"], last["score_right"], last["note"]) == (9, 4, "左边 1 步都没错，u s 9")
        assert last["principles_version"] == 1 and last["lang"] == "zh" and 0 < last["seconds"] < 100
        one.press("s")
        assert one.count() == "5 / 8 · 跳过 1"
        one.press("u")
        one.press("u")
        assert one.shown() == before and one.count() == "4 / 8"
        assert page.locator("#score-left [aria-pressed=true]").inner_text() == "9"
        assert page.input_value("#note") == "左边 1 步都没错，u s 9"
        page.click("#verdicts [data-choice=right]")
        page.locator("#toast.bad", has_text="相反").wait_for()
        page.click("#score-left [aria-pressed=true]")  # the same score again takes it away
        page.click("#verdicts [data-choice=right]")
        page.locator("#toast", has_text="右边更好").wait_for()
        assert (events(made.path)[-1]["score_left"], events(made.path)[-1]["score_right"]) == (None, 4)
        assert [row["kind"] for row in events(made.path)][4:] == ["verdict", "skip", "undo", "undo", "verdict"]
        one.close()


def test_to_the_end_in_english_and_back_to_what_was_skipped(browser: Any, made: Made) -> None:
    with reviewed(made.path, repeat=0, count=3) as running:
        one = Reviewing(browser, running, "Ann", "en-US")
        words = one.page.locator("#verdicts").inner_text().split("\n")
        assert [word for word in words if word] == ["1Left is better", "0A tie", "9Both bad", "2Right is better"]
        for key in ("1", "s", "0"):
            one.press(key)
        assert one.page.locator("#end").get_by_text("That was all").count() and one.count() == "2 of 3 · 1 skipped"
        one.page.click("#again")
        one.page.locator("body[data-state=ready]").wait_for()
        one.press("2")
        assert one.count() == "3 of 3" and not one.page.locator("#again").is_visible()
        one.page.click("#lang")
        assert one.page.locator("#end").get_by_text("全部评完").count()
        one.press("u")
        assert one.count() == "2 / 3 · 跳过 1"
        one.close()


def test_nothing_tells_whose_an_answer_is(browser: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = write_run(tmp_path / "run", 4, SYSTEMS)
    with reviewed(made.path, log=True, repeat=0.3, seed=4) as running:
        one = Reviewing(browser, running, "林小雨")
        page = one.page
        bodies: list[str] = []
        page.on("response", lambda response: bodies.append(response.text()))
        for _ in range(16):  # 12 pairs and 4 repetitions
            bodies.append(page.content())
            one.press("1")
        page.goto(running.url + "/")
        one.join("林小雨")
        page.keyboard.press("p")
        page.locator("#panel .version").wait_for()
        seen = "\n".join(
            [*bodies, *one.sent, *one.asked, page.content(), page.evaluate("() => JSON.stringify(localStorage)")]
        )
        seen += "".join(capfd.readouterr())
        assert "/api/verdict 200" in seen and "24 颗糖" in seen
        for word in (
            *SYSTEMS,
            "kunpeng",
            "the-judge",
            "q00",
            "repeat_of",
            "fingerprint",
            "verdicts.jsonl",
            str(tmp_path),
        ):
            assert word not in seen, word
        # A repetition looks like any other item: the same fields, numbers that go on.
        items = [json.loads(body)["item"] for body in bodies if body.startswith('{"reviewer"')]
        assert len({tuple(item) for item in items if item}) == 1
        one.close()


def test_both_sides_are_used_alike(browser: Any, made: Made) -> None:
    with reviewed(made.path, repeat=0) as running:
        one = Reviewing(browser, running, "林小雨")
        texts = {item.text_a.strip()[:8]: item.a for item in running.session._items.values()}
        left: Counter[bool] = Counter()
        for _ in range(8):
            first, _ = one.shown()
            left[first.strip()[:8] in texts] += 1
            one.press("1")
        assert left == {True: 4, False: 4}
        one.close()


def test_two_people_at_once_and_each_comes_back(browser: Any, made: Made) -> None:
    with reviewed(made.path, repeat=0.2) as running:
        ann, bo = Reviewing(browser, running, "Ann"), Reviewing(browser, running, "伯")
        orders: dict[str, list[tuple[str, str]]] = {"Ann": [], "伯": []}
        for _ in range(3):
            for name, one in (("Ann", ann), ("伯", bo)):
                orders[name].append(one.shown())
                one.press("1")
        assert orders["Ann"] != orders["伯"]
        following = ann.shown()
        ann.page.reload()
        ann.page.locator("[data-state=join]").wait_for()
        assert ann.page.input_value("#name") == "Ann"
        ann.join("ann")
        assert ann.shown() == following and ann.count() == "3 / 10"
        # Two tabs of one person: the first verdict stands, and the page goes on.
        tab = Reviewing(browser, running, "ANN")
        ann.press("2")
        tab.press("1")
        assert tab.page.locator("#toast.bad").inner_text() == "这一题已有判定，保持不变。"
        assert tab.shown() == ann.shown()
        assert [row["choice"] for row in events(made.path)].count("right") == 1
        for one in (ann, bo, tab):
            one.close()


def test_a_key_pressed_twice_judges_one_item(browser: Any, made: Made) -> None:
    with reviewed(made.path, repeat=0) as running:
        one = Reviewing(browser, running, "林小雨")
        before = one.page.get_attribute("body", "data-shown")
        one.page.evaluate(
            "() => { const press = () => new KeyboardEvent('keydown', { key: '1', bubbles: true });"
            "for (let i = 0; i < 9; i++) document.body.dispatchEvent(press()); }"
        )
        one.page.wait_for_function("before => document.body.dataset.shown !== before", arg=before)
        one.page.keyboard.press("1")  # the page has only just changed
        one.ready()
        assert len(events(made.path)) == 1
        one.page.evaluate(  # as an input method writes it
            "() => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '２', bubbles: true }))"
        )
        one.page.locator("#toast", has_text="右边更好").wait_for()
        assert [row["choice"] for row in events(made.path)] == ["left", "right"]
        one.close()


def test_a_server_that_is_gone_loses_nothing(browser: Any, made: Made) -> None:
    with reviewed(made.path, repeat=0) as running:
        one = Reviewing(browser, running, "林小雨")
        before = one.shown()
        one.page.route("**/api/verdict", lambda route: route.abort())
        one.page.keyboard.press("1")
        one.page.locator("#toast.bad", has_text="没有保存").wait_for()
        one.page.unroute("**/api/verdict")
        assert one.shown() == before and not events(made.path)

        def lost(route: Any) -> None:  # the verdict arrives, its reply does not
            route.fetch()
            route.abort()

        one.page.route("**/api/verdict", lost)
        one.page.keyboard.press("1")
        one.page.locator("#toast.bad", has_text="没有保存").wait_for()
        one.page.wait_for_function("() => document.body.dataset.state === 'ready'")
        one.page.unroute("**/api/verdict")
        one.press("1")  # once more, and it is kept once
        assert len(events(made.path)) == 1 and one.count() == "1 / 8"
        one.close()


def test_the_token_the_list_of_reviewers_and_the_given_language(browser: Any, made: Made) -> None:
    access = Access(token=TOKEN, open_paths=frozenset({"/", "/health"}))
    with reviewed(made.path, access, lang="zh", reviewers=("甲", "乙")) as running:
        one = Reviewing(browser, running, "", "en-US")
        page = one.page
        for given in ("a-wrong-token-a-wrong-token", TOKEN):
            page.locator("dialog[open]").wait_for()
            page.fill("#token", given)
            page.keyboard.press("Enter")
        page.locator("#names button", has_text="乙").wait_for()
        assert page.locator("#join button.main").inner_text() == "开始"
        page.fill("#name", "丙")
        page.keyboard.press("Enter")
        page.locator("#trouble", has_text="没有叫这个名字的").wait_for()
        page.locator("#names button", has_text="乙").click()
        one.ready()
        assert page.locator("#who").inner_text() == "乙"
        assert not page.evaluate("() => JSON.stringify(localStorage)").count(TOKEN)
        assert not any(TOKEN in url for url in one.asked)
        one.close()


def test_principles_reference_help_and_the_dark(browser: Any, made: Made) -> None:
    with reviewed(made.path, repeat=0) as running:
        one = Reviewing(browser, running, "林小雨", color_scheme="dark")
        page = one.page
        assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
        page.click("#theme")
        assert page.evaluate("() => document.documentElement.dataset.theme") == "light"
        page.keyboard.press("p")
        page.locator("#panel .version", has_text="第 1 版").wait_for()
        assert page.locator("#panel :is(h2, h3)").first.inner_text() == "怎样比较两个回答"
        assert (
            page.locator("#panel td").first.inner_text() == "9–10" and "**" not in page.locator("#panel").inner_text()
        )
        page.click("#lang")
        page.locator("#panel .version", has_text="Version 1").wait_for()
        page.keyboard.press("?")
        page.locator("#help[open]").wait_for()
        page.keyboard.press("1")  # behind a dialog nothing is judged
        page.keyboard.press("Escape")
        page.locator("#help[open]").wait_for(state="detached")
        assert not events(made.path)
        while not page.locator("#reference").is_visible() or page.locator("#left pre, #right pre").count():
            one.press("0")
        assert not page.locator("#known").is_visible()
        page.keyboard.press("r")
        assert page.locator("#known").is_visible() and page.locator("#known").inner_text()
        while not page.locator(":is(#left, #right) pre code").count():
            one.press("0")
        assert (
            "def reverse" in page.locator("pre code").first.inner_text()
            and page.locator("pre .label").first.inner_text() == "python"
        )
        one.close()


def test_the_page_is_one_file_that_asks_for_nothing() -> None:
    page = PAGE.read_text("utf-8")
    assert "http://" not in page and "https://" not in page and len(page.encode()) < 40_000
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "onclick=", "style="):
        assert forbidden not in page
