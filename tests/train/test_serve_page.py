"""The chat page in Chromium against a real server: the token, an answer that streams, stopping it, both languages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from runkit.page import Access
from tests.train.serving import TOKEN, random_model, served, service
from train.pieces import Tokenizer
from train.serve_app import PAGE

pytestmark = pytest.mark.timeout(120)
torch.set_num_threads(1)
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as library:
        found = library.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield found
        found.close()


def test_a_dialogue(bpe: Tokenizer, browser: Any) -> None:
    """The token is asked for, kept in this tab alone and never in an address; Esc stops what is being computed."""
    model = random_model(bpe.size, seq_len=4096)
    with torch.no_grad():
        model.lm_head.weight[bpe.special.eos] = 0.0
    mine = service(bpe, model=model)
    with served(mine, Access(token=TOKEN, open_paths=frozenset({"/", "/health"}))) as running:
        page = browser.new_page(locale="zh-CN")
        asked: list[str] = []
        faults: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(running.url + "/")
        for given in ("a-wrong-token-a-wrong-token", TOKEN):
            page.locator("dialog[open]").wait_for()
            page.fill("#token", given)
            page.keyboard.press("Enter")
        page.locator("#model", has_text="tiny").wait_for()
        page.fill("#ask", "你好")
        page.keyboard.press("Enter")
        page.locator(".answer .text:not(:empty)").wait_for()
        assert page.locator("#send").inner_text() == "停止"
        page.keyboard.press("Escape")
        page.locator(".under", has_text="已停止").wait_for()
        page.click("#lang")
        page.locator(".under", has_text="stopped").wait_for()
        assert page.locator("#send").inner_text() == "Send" and page.locator(".under").get_by_text("tokens/s").count()
        page.fill("#ask", "x" * 9000)
        page.keyboard.press("Enter")
        page.locator(".error", has_text="longer than the model can read").wait_for()
        assert not page.evaluate("() => JSON.stringify(localStorage)").count(TOKEN)
        assert not any(TOKEN in url for url in asked) and all(url.startswith(running.url) for url in asked[:1])
        assert not faults and mine.desk.taken == 0
        page.close()


def test_a_new_chat_forgets_and_a_full_context_drops_the_oldest(bpe: Tokenizer, browser: Any) -> None:
    """What is sent is what is seen: nothing of a chat that was left, and no more than fits."""
    model = random_model(bpe.size, seq_len=160)
    with torch.no_grad():
        model.lm_head.weight[bpe.special.eos] = 0.0
    with served(service(bpe, model=model)) as running:
        page = browser.new_page(locale="en-US")
        sent: list[list[str]] = []

        def note(request: Any) -> None:
            if request.method == "POST":
                sent.append([one["content"] for one in json.loads(request.post_data)["messages"]])

        page.on("request", note)
        page.goto(running.url + "/")
        page.locator("#model", has_text="tiny").wait_for()

        def ask(text: str) -> None:
            page.fill("#ask", text)
            page.keyboard.press("Enter")

        ask("FIRST")
        page.locator(".answer .text:not(:empty)").wait_for()
        page.click("#fresh")
        ask("SECOND")
        page.locator(".under", has_text="tokens").wait_for()
        assert sent == [["FIRST"], ["SECOND"]]
        ask("THIRD")  # the answer before it filled the context
        page.locator(".under", has_text="1 earlier exchange did not fit any more").wait_for()
        assert sent[-1] == ["THIRD"] and sent[-2][0] == "SECOND" and sent[-2][-1] == "THIRD"
        page.close()


def test_a_base_model_gets_the_plain_prompt(spm: Tokenizer, browser: Any) -> None:
    with served(service(spm, chat=False)) as running:
        page = browser.new_page(locale="en-US")
        bodies: list[Any] = []
        page.on("request", lambda request: bodies.append(request.post_data_json) if request.post_data else None)
        page.goto(running.url + "/")
        page.locator("#about", has_text="zh-qa").wait_for()
        page.fill("#ask", "一加一等于几？")
        page.keyboard.press("Enter")
        page.locator(".under").wait_for()
        plain = running.service.plain_prompt
        assert bodies[0]["prompt"] == plain.fill("一加一等于几？") and tuple(bodies[0]["stop"]) == plain.stop
        page.close()


def test_the_page_is_one_file_that_asks_for_nothing() -> None:
    page = PAGE.read_text("utf-8")
    assert "http://" not in page and "https://" not in page and len(page.encode()) < 40_000
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "onclick=", "style="):
        assert forbidden not in page
