"""`judge review` under kills, signals, hostile requests and hostile texts: rows 20, 21, 23 and 24 of the faults."""

import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from judge.records import ANSWERS, QUESTIONS, Answer, Question
from judge.review_store import FILE
from runkit.page import Access, Limits
from tests.faults.scripts import PAYLOADS
from tests.judge.review_runs import SYSTEMS, Made, reviewed, write_lines, write_run

pytestmark = pytest.mark.timeout(120)
FULL = os.environ.get("WENHAI_FULL") == "1"
CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "correct-horse-battery-staple"
CANARY = "sk-canary-0123456789abcdef"
POSTS = ("/api/join", "/api/verdict", "/api/undo")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return write_run(tmp_path / "run", 8)


class Server:
    """The real command in a session of its own."""

    def __init__(self, run: Path, *more: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "judge", "review", str(run), "--port", "0", "--json", *more],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **env},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1].decode()
        self.told: dict[str, Any] = json.loads(line)
        self.port = int(self.told["url"].rsplit(":", 1)[1])

    def end(self, number: int) -> tuple[int, str]:
        """How it ends by this signal, and what it said."""
        os.killpg(self.process.pid, number)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err.decode()


@contextmanager
def serving(run: Path, *more: str, **env: str) -> Iterator[Server]:
    server = Server(run, *more, **env)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    kind = {} if data is None else {"content-type": "application/json"}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, data, {**kind, **given})
    reply = connection.getresponse()
    text = reply.read()
    connection.close()
    is_json = text and reply.headers["content-type"] == "application/json"
    return reply.status, json.loads(text) if is_json else text


def verdict(slot: int, uid: int, choice: str | None = "left", **more: Any) -> dict[str, Any]:
    return {"reviewer": "甲", "uid": f"{uid:016x}", "slot": slot, "choice": choice, "lang": "zh", **more}


def kept(run: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(run / FILE) as connection:
        return connection.execute("SELECT uid, choice FROM events WHERE kind <> 'undo' ORDER BY id").fetchall()


def test_kill_9_loses_no_verdict_that_was_acknowledged(made: Made) -> None:
    """The server is killed while a verdict is on its way; the next one goes on with the next item."""
    rng, acknowledged, sent = random.Random(1), [], 0
    for _ in range(20 if FULL else 4):
        with serving(made.path, "--repeat", "0", "-q") as server:
            state = ask(server.port, "POST", "/api/join", {"reviewer": "甲"})[1]
            assert state["done"] == len(kept(made.path)) and {row[0] for row in kept(made.path)} >= set(acknowledged)
            for _ in range(rng.randrange(3)):
                if state["item"] is None:
                    break
                sent += 1
                body = verdict(state["item"]["slot"], sent, rng.choice(["left", "right", "tie", "both_bad"]))
                status, state = ask(server.port, "POST", "/api/verdict", body)
                assert status == 200
                acknowledged.append(body["uid"])
            if state["item"] is not None:  # one more is on its way
                sent += 1
                data = json.dumps(verdict(state["item"]["slot"], sent)).encode()
                head = (
                    f"POST /api/verdict HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json"
                    f"\r\nContent-Length: {len(data)}\r\n\r\n"
                )
                with socket.create_connection(("127.0.0.1", server.port)) as connection:
                    connection.sendall(head.encode() + data)
                    if rng.random() < 0.5 and b" 200 " in connection.recv(100):
                        acknowledged.append(f"{sent:016x}")
                    server.end(signal.SIGKILL)
    found = [row[0] for row in kept(made.path)]
    assert len(found) == len(set(found)) and set(acknowledged) <= set(found), (acknowledged, found)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_nothing_names_a_system_or_a_key(made: Made, number: int, code: int) -> None:
    (made.path.parent / "token").write_text(TOKEN + "\n")
    more = ("--token-file", str(made.path.parent / "token"), "-vv", "--lang", "zh")
    with serving(made.path, *more, OPENAI_API_KEY=CANARY) as server:
        seen = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().decode()
        assert set(server.told) == {"url", "items", "pid"} and server.told["items"] == 8
        for path, headers in (
            ("/", {}),
            ("/health", {}),
            ("/api/about", {}),
            ("/api/about", {"authorization": f"Bearer {TOKEN}"}),
            ("/api/next?reviewer=x", {"authorization": f"Bearer {TOKEN}"}),
            ("/api/principles?lang=en", {"authorization": f"Bearer {TOKEN}"}),
        ):
            status, body = ask(server.port, "GET", path, **headers)
            assert (status == 401) == (path == "/api/about" and not headers)
            seen += str(body)
        assert '<html lang="zh">' in seen
        ended, err = server.end(number)
    assert ended == code and "Traceback" not in err and "GET /api/about 401" in err
    for word in (TOKEN, CANARY, *SYSTEMS, str(made.path)):
        assert word not in err + seen.replace(str(made.path.parent), ""), word
    assert not (made.path / f"{FILE}-wal").exists(), "the file is whole after an orderly end"


def test_wrong_calls(made: Made, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        calls = [
            ([str(made.path), "--port", port], 4, "is taken"),
            ([str(made.path), "--host", "0.0.0.0"], 2, "--token-file"),
            ([str(tmp_path / "empty")], 3, "no run of"),
            ([str(tmp_path / "empty"), "--export", "x"], 3, "no verdicts of people"),
            ([str(made.path), "--lang", "fr"], 2, "--lang"),
            ([str(made.path), "--repeat", "2"], 2, "--repeat"),
        ]
        for arguments, code, words in calls if FULL else calls[:3]:
            done = subprocess.run(
                [sys.executable, "-m", "judge", "review", *arguments], capture_output=True, text=True, timeout=60
            )
            assert done.returncode == code and words in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_other_machines_and_other_pages(made: Made) -> None:
    with reviewed(made.path) as running:
        ask(running.port, "POST", "/api/join", {"reviewer": "甲"})
        foreign = ({"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"})
        for path in POSTS:
            body = verdict(1, 1) if path == "/api/verdict" else {"reviewer": "乙", "uid": "0" * 16}
            for headers in ({"host": "evil.example"}, {"host": f"evil.example:{running.port}"}, *foreign):
                assert ask(running.port, "POST", path, body, **headers)[0] == 403
            for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
                connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
                connection.request("POST", path, json.dumps(body), {"content-type": kind})
                assert connection.getresponse().status == 415
                connection.close()
            assert ask(running.port, "POST", path, b" " * 10_000_000)[0] == 413
        for path in ("/", "/health", "/api/about", "/api/next?reviewer=%E7%94%B2", "/api/principles?lang=zh"):
            assert ask(running.port, "GET", path, host="evil.example")[0] == 403
        assert kept(made.path) == [] and [one.name for one in running.session.store.reviewers()] == ["甲"]


def test_a_get_never_writes(made: Made) -> None:
    with reviewed(made.path) as running:
        ask(running.port, "POST", "/api/join", {"reviewer": "甲"})
        with sqlite3.connect(made.path / FILE) as connection:
            before = list(connection.iterdump())
        query = "reviewer=%E7%94%B2&slot=1&choice=left&uid=0000000000000000&lang=zh&skipped=1"
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"):
            for path in ("/", "/health", "/api/next", "/api/about", "/api/principles", *POSTS):
                status, _ = ask(running.port, method, f"{path}?{query}", **{"content_length": "0"})
                assert status in ((200, 405) if method in ("GET", "HEAD") else (405,)), (method, path)
        ask(running.port, "GET", "/api/next?reviewer=nobody")
        with sqlite3.connect(made.path / FILE) as connection:
            assert list(connection.iterdump()) == before


def test_slow_and_half_open_senders(made: Made) -> None:
    quick = Limits(body_bytes=1000, head_s=0.3, body_s=0.3, idle_s=0.5, stalled_s=0.3, connections=20)
    with reviewed(made.path, limits=quick) as running:
        host = f"Host: 127.0.0.1:{running.port}\r\n"
        for start in (
            f"POST /api/join HTTP/1.1\r\n{host}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{",
            f"POST /api/join HTTP/1.1\r\n{host}",
            "",
        ):
            with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
                connection.sendall(start.encode())
                assert b" 408 " in connection.recv(1000)
        assert ask(running.port, "GET", "/health")[0] == 200


ODD = [None, True, -1, 0, 1.5, 2**70, "1", "x" * 5000, "\x1b[31m", [], {}, ["left"]]


def test_no_request_is_a_bug(made: Made) -> None:
    """Every field with every odd value: a refusal in one sentence, and nothing is kept of it."""
    with reviewed(made.path) as running:
        slot = ask(running.port, "POST", "/api/join", {"reviewer": "甲"})[1]["item"]["slot"]
        good = verdict(slot, 7, score_left=8, score_right=3, note="好", seconds=1.5, skipped=False)
        for name in [*good, "system"]:
            for value in ODD:
                if (name, value) in (("choice", None), ("slot", 1), ("uid", "x" * 16)) or name in (
                    "seconds",
                    "skipped",
                ):
                    continue
                if name in ("note", "score_left", "score_right") and (value is None or value == ""):
                    continue
                status, reply = ask(running.port, "POST", "/api/verdict", good | {name: value})
                if status == 200:
                    assert (name, value) in (("note", "1"), ("note", "\x1b[31m"), ("score_left", 10)), (name, value)
                    ask(running.port, "POST", "/api/undo", {"reviewer": "甲", "uid": f"{len(kept(made.path)):016}"})
                    good = good | {"uid": f"{100 + len(kept(made.path)):016}"}
                else:
                    assert status in (400, 403), (name, value, reply)
                    assert reply["error"]["message"].endswith(".")
        for body in (b"", b"[]", b"null", b"{", b'"x"', b"[" * 5000, b"\xff", b'{"reviewer": 1e999}'):
            for path in POSTS:
                assert ask(running.port, "POST", path, body)[0] == 400
        for name in ("", " ", "x" * 61, "\x00", "\u202eevil", 5, None):
            assert ask(running.port, "POST", "/api/join", {"reviewer": name})[0] == 400
        assert ask(running.port, "GET", "/api/next")[0] in (400, 403)
        assert ask(running.port, "POST", "/api/verdict", good)[0] == 200
        assert ask(running.port, "POST", "/api/verdict", good | {"choice": "right", "score_left": 1})[0] == 409
        assert ask(running.port, "POST", "/api/verdict", good | {"uid": "f" * 16})[0] == 409


def test_a_disk_that_takes_nothing_is_told(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    with reviewed(made.path) as running:
        slot = ask(running.port, "POST", "/api/join", {"reviewer": "甲"})[1]["item"]["slot"]
        connection = running.session.store._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        status, reply = ask(running.port, "POST", "/api/verdict", verdict(slot, 1, note="长" * 4000))
        assert status == 503 and "nothing was kept" in reply["error"]["message"] and kept(made.path) == []
        connection.execute("PRAGMA max_page_count = 100000")
        assert ask(running.port, "POST", "/api/verdict", verdict(slot, 1, note="长" * 4000))[0] == 200


def test_scripts_in_texts_stay_text(tmp_path: Path) -> None:
    """As question, class, reference, answers, note and reviewer's name; in Chromium, under the server's policy."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("there is no Chromium")
    run = tmp_path / "run"
    run.mkdir()
    questions = [Question(id=f"{n}", category=text, text=text, reference=text) for n, text in enumerate(PAYLOADS)]
    answers = [
        Answer(question_id=f"{n}", system=system, text=text + behind)
        for n, text in enumerate(PAYLOADS)
        for system, behind in zip("ab", ("", " "), strict=True)
    ]
    write_lines(run / QUESTIONS, questions)
    write_lines(run / ANSWERS, answers)
    away: list[str] = []
    with reviewed(run, repeat=0) as running, playwright.sync_playwright() as library:
        browser = library.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(locale="en-US")
        page.on("dialog", lambda dialog: away.append("dialog"))
        page.on("request", lambda request: away.append(request.url))
        page.goto(running.url + "/")
        page.locator("[data-state=join]").wait_for()
        page.fill("#name", PAYLOADS[10])
        page.keyboard.press("Enter")
        page.locator("body[data-state=ready]").wait_for()
        seen = set()
        for number in range(len(PAYLOADS) if FULL else 12):
            page.keyboard.press("r")
            state = running.session.state(PAYLOADS[10])["item"]
            seen.add(state["question"])
            for place, text in (("#question", state["question"]), ("#left", state["left"]), ("#right", state["right"])):
                shown = page.locator(place).text_content() or ""
                for line in text.strip().splitlines():
                    assert line.removeprefix("```") in shown  # fences become blocks; everything else stays
            assert page.locator("#category").text_content() == state["question"]
            page.fill("#note", state["question"])
            page.keyboard.press("Escape")
            page.keyboard.press("2")
            if number + 1 < len(PAYLOADS):
                page.locator(f"body[data-shown='{number + 2}'][data-state=ready]").wait_for()
            elements = ":is(script, img, iframe, svg, a, style, link, object, embed, form, video, audio, base)"
            assert page.locator(f"#desk {elements}").count() == 0
        assert page.title() == "Wenhai 文海" and not page.evaluate("() => 'hit' in window")
        assert page.locator("#who").text_content() == PAYLOADS[10]
        browser.close()
        assert len(seen) == (len(PAYLOADS) if FULL else 12)
    assert all(url.startswith((running.url + "/", "data:,")) for url in away), away


def test_all_payloads_arrive_as_json(tmp_path: Path) -> None:
    """All sixty at once, without a browser: JSON that no browser takes for a page."""
    run = tmp_path / "run"
    run.mkdir()
    write_lines(run / QUESTIONS, [Question(id=str(n), category="c", text=text) for n, text in enumerate(PAYLOADS)])
    write_lines(
        run / ANSWERS,
        [
            Answer(question_id=str(n), system=name, text=f"{text}{name}")
            for n, text in enumerate(PAYLOADS)
            for name in "ab"
        ],
    )
    with reviewed(run, repeat=0, access=Access()) as running:
        ask(running.port, "POST", "/api/join", {"reviewer": "甲"})
        seen = set()
        for number in range(len(PAYLOADS)):
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
            connection.request("GET", "/api/next?reviewer=%E7%94%B2")
            reply = connection.getresponse()
            item = json.loads(reply.read())["item"]
            assert reply.headers["content-type"] == "application/json"
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in reply.headers["content-security-policy"]
            connection.close()
            seen.add(item["question"])
            assert ask(running.port, "POST", "/api/verdict", verdict(item["slot"], number))[0] == 200
        assert seen == set(PAYLOADS)
