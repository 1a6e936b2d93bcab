"""`train serve` under signals, wrong calls, hostile requests and hostile text: rows 4, 20, 23 and 24."""

import http.client
import json
import os
import random
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.checks import assert_one_sentence
from tests.faults.launch import FULL, TRAIN, Command, run, start, until
from tests.faults.scripts import PAYLOADS
from tests.train.making import byte_level
from tests.train.serving import TOKEN, Served, saved_model, served, service
from train.pieces import Tokenizer
from train.serve_protocol import CHAT_FIELDS, COMPLETION_FIELDS
from train.tokenizer import load

pytestmark = pytest.mark.timeout(3600 if FULL else 120)
torch.set_num_threads(1)
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load(byte_level(tmp_path_factory.mktemp("bpe"), 400))


@pytest.fixture(scope="module")
def model(bpe: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its answers take half a minute if nobody stops them."""
    return saved_model(tmp_path_factory.mktemp("models") / "long", bpe, seq_len=65536)


@pytest.fixture(scope="module")
def running(bpe: Tokenizer) -> Iterator[Served]:
    with served(service(bpe, max_queue=200)) as found:
        yield found


def serving(model: Path, streams: Path, *more: str) -> tuple[Command, dict[str, Any]]:
    """The real command, when it answers; and what it printed."""
    command = start(["serve", model, "--port", "0", "--json", "--threads", "1", *more], streams, TRAIN)
    out = command._streams.with_suffix(".out")
    until(lambda: out.exists() and out.read_text("utf-8").endswith("\n"), "the address of the server")
    return command, json.loads(out.read_text("utf-8"))


def opened(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(*url.removeprefix("http://").split(":"), timeout=30)  # type: ignore[arg-type]


def post(connection: http.client.HTTPConnection, path: str, body: bytes) -> tuple[int, bytes]:
    connection.request("POST", path, body, {"content-type": "application/json"})
    reply = connection.getresponse()
    return reply.status, reply.read()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_what_runs_and_then_the_server(model: Path, tmp_path: Path, number: int, code: int) -> None:
    rng = random.Random(number)
    for _ in range(50 if FULL else 1):
        command, told = serving(model, tmp_path)
        connection = opened(told["url"])
        body = json.dumps({"prompt": "你", "stream": True, "max_tokens": 60000, "temperature": 0})
        connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        reply = connection.getresponse()
        for _ in range(rng.randrange(1, 5)):
            reply.readline()
        command.send(number)
        rest = reply.read().decode()  # the stream ends as streams do
        assert '"error"' in rest and "given up" in rest
        ended = command.result(30)
        assert ended.code == code, ended.err
        assert "Traceback" not in ended.err and len(ended.out.splitlines()) == 1


def test_a_second_signal_leaves_at_once(model: Path, tmp_path: Path) -> None:
    command, told = serving(model, tmp_path)
    connection = opened(told["url"])
    body = json.dumps({"prompt": "你", "max_tokens": 60000, "temperature": 0})
    connection.request("POST", "/v1/completions", body, {"content-type": "application/json"})
    until(lambda: json.loads(_get(told["url"], "/health"))["active"] == 1, "an answer on its way")
    command.send(signal.SIGINT)
    until(lambda: "Stopping" in command.said(), "the first signal")
    command.send(signal.SIGINT)
    assert command.result(4).code == 130


def test_new_requests_are_told_that_it_stops(model: Path, tmp_path: Path) -> None:
    command, told = serving(model, tmp_path)
    kept = opened(told["url"])
    kept.request("GET", "/health")
    assert kept.getresponse().read()
    busy = opened(told["url"])
    body = b'{"prompt":"x","max_tokens":60000,"temperature":0}'
    busy.request("POST", "/v1/completions", body, {"content-type": "application/json"})
    until(lambda: json.loads(_get(told["url"], "/health"))["active"] == 1, "an answer on its way")
    command.send(signal.SIGTERM)
    until(lambda: "Stopping" in command.said(), "the signal")
    try:
        status, body = post(kept, "/v1/completions", b'{"prompt":"x"}')
        assert status == 503 and b"stopping" in body
    except ConnectionError:
        pass  # it was idle, and closed
    status = busy.getresponse().status
    assert status == 503
    assert command.result(30).code == 143


def test_wrong_calls(model: Path, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("short\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        calls: list[tuple[list[str | Path], int, str]] = [
            ([model, "--port", port], 4, "is taken"),
            ([model, "--host", "0.0.0.0"], 2, "--token-file"),
            ([model, "--token-file", tmp_path / "short"], 2, "no token"),
            ([model, "--port", "0", "--seq-len", "70000"], 2, "--seq-len"),
            ([model, "--port", "0", "--plain-prompt", "x"], 2, "--plain-prompt"),
            ([model, "--port", "0", "--template", tmp_path / "none"], 2, "--template"),
            ([model, "--port", "0", "--name", "a b"], 2, "--name"),
            ([tmp_path / "nothing", "--port", "0"], 2, "does not exist"),
        ]
        for arguments, code, words in calls if FULL else calls[:1] + calls[1::3]:
            ended = run(["serve", *arguments, "-q"], tmp_path / "streams", TRAIN)
            assert_one_sentence(ended.code, code, ended.out, ended.err, words)


def test_the_token_is_nowhere_but_in_its_file(model: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    command, told = serving(model, tmp_path / "streams", "--token-file", str(tmp_path / "token"), "-vv")
    process = Path(f"/proc/{command.pid}")
    seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    for path, headers in (
        ("/v1/models", {"authorization": f"Bearer {TOKEN}"}),
        ("/v1/models", {"authorization": f"Bearer {TOKEN}x"}),
        (f"/v1/models?token={TOKEN}", {}),
        ("/", {}),
    ):
        connection = opened(told["url"])
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        seen += reply.read() + str(reply.getheaders()).encode()
    command.send(signal.SIGTERM)
    ended = command.result(30)
    assert TOKEN.encode() not in seen + (ended.out + ended.err).encode()
    assert "GET /v1/models 200" in ended.err and "GET /v1/models 401" in ended.err


def test_other_machines_and_other_pages(running: Served) -> None:
    """The rules of the floor hold on every path; tests/runkit/test_page.py tries them one by one."""
    for path in ("/", "/health", "/v1/models", "/v1/chat/completions", "/v1/completions"):
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            if "Host" not in headers and path in ("/", "/health", "/v1/models"):
                continue  # a page of another site cannot read what a GET says
            connection = opened(running.url)
            method = "GET" if path in ("/", "/health", "/v1/models") else "POST"
            connection.request(method, path, b"{}", {"content-type": "application/json", **headers})
            reply = connection.getresponse()
            assert reply.status == 403 and "access-control-allow-origin" not in reply.headers
            reply.read()
    assert post(opened(running.url), "/v1/completions", b" " * 10_000_000)[0] == 413
    before = running.service.desk.answered
    for path in ("/v1/completions?prompt=x&max_tokens=1", "/v1/chat/completions"):
        connection = opened(running.url)
        connection.request("GET", path)
        assert connection.getresponse().status == 405
    assert running.service.desk.answered == before


NAMES = sorted(CHAT_FIELDS | COMPLETION_FIELDS | {"tools", "logit_bias", "user", "reasoning_effort", "suffix", "x"})
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-2, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(0, 2),
    st.text(max_size=20),
)
VALUES = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "developer"]), "content": st.text(max_size=20)}
)
ODD_MESSAGE = st.fixed_dictionaries({"role": ODD}, optional={"content": VALUES, "name": ODD, "tool_calls": VALUES})
SCHEMA = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null", "x"]) | VALUES,
        "properties": st.dictionaries(st.text(max_size=4), st.just({"type": "integer"}) | VALUES, max_size=3),
        "required": VALUES,
        "enum": st.lists(ODD, max_size=3),
        "pattern": st.text(max_size=8),
        "minLength": ODD,
        "$ref": st.text(max_size=5),
        "x-guidance": VALUES,
    },
)
FORM = st.sampled_from(["text", "json_object"]).map(lambda kind: {"type": kind}) | st.fixed_dictionaries(
    {"type": st.just("json_schema"), "json_schema": st.fixed_dictionaries({"schema": SCHEMA | VALUES}) | VALUES}
)
IDS = st.lists(st.integers(-1, 405), max_size=9)
USUAL: dict[str, Any] = {
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(-1, 2**31),
    "n": st.integers(1, 3),
    "seed": st.integers(-(2**63), 2**63),
    "stop": st.text(min_size=1, max_size=2) | st.lists(st.text(min_size=1, max_size=3), max_size=3),
    "stream": st.booleans(),
    "presence_penalty": st.floats(-2, 2),
    "frequency_penalty": st.floats(-2, 2),
    "repetition_penalty": st.floats(0.01, 10),
    "response_format": FORM,
    "user": st.text(max_size=3),
}
CHAT = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, max_size=3).map(lambda some: [*some, {"role": "user", "content": "你好"}])},
    optional={**USUAL, "logprobs": st.booleans(), "max_completion_tokens": st.integers(1, 5)},
).map(lambda body: {"max_tokens": 4, **body})
PLAIN = st.fixed_dictionaries(
    {"prompt": st.text(max_size=30) | IDS | st.lists(st.text(max_size=5), max_size=3) | st.lists(IDS, max_size=3)},
    optional={**USUAL, "logprobs": st.integers(0, 20), "echo": st.booleans(), "add_special_tokens": st.booleans()},
).map(lambda body: {"max_tokens": 4, **body})
# Half of them as they should be, the other half with one field or two that are not.
CHANGES = st.just({}) | st.dictionaries(
    st.sampled_from(NAMES), VALUES | st.lists(ODD_MESSAGE | MESSAGE, max_size=3), min_size=1, max_size=2
)


def test_no_request_is_a_bug(running: Served) -> None:
    connection = opened(running.url)
    seen: dict[int, int] = {}
    options = {"derandomize": not FULL, "database": None, "deadline": None}

    @settings(max_examples=1000 if FULL else 120, suppress_health_check=list(HealthCheck), **options)
    @given(st.booleans(), CHAT, PLAIN, CHANGES)
    def ask(is_chat: bool, chat: dict[str, Any], plain: dict[str, Any], changes: dict[str, Any]) -> None:
        body = (chat if is_chat else plain) | changes
        path = "/v1/chat/completions" if is_chat else "/v1/completions"
        status, data = post(connection, path, json.dumps(body).encode())
        seen[status] = seen.get(status, 0) + 1
        assert status in (200, 400, 404), (status, data[:500])
        if status != 200:
            assert json.loads(data)["error"]["message"]
        elif not data.startswith(b"data:"):
            assert json.loads(data)["choices"]

    ask()
    assert seen.get(200, 0) >= 20 and seen.get(400, 0) >= 20, seen
    assert running.service.desk.taken == 0


def test_memory_does_not_grow_with_requests(running: Served) -> None:
    connection = opened(running.url)
    bodies = [
        ("/v1/completions", {"prompt": "今天天气", "max_tokens": 2, "logprobs": 2, "echo": True}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "你好"}], "max_tokens": 2, "stream": True}),
        ("/v1/completions", {"prompt": 5}),
        ("/v1/nothing", {}),
    ]

    def ask(count: int) -> None:
        for number in range(count):
            path, body = bodies[number % len(bodies)]
            post(connection, path, json.dumps(body).encode())

    ask(100)
    before = _resident_bytes()
    ask(10_000 if FULL else 160)
    assert _resident_bytes() - before < (20_000_000 if FULL else 12_000_000)
    assert running.service.desk.taken == 0 and not running.service.desk._open


def test_scripts_in_generated_text_stay_text(running: Served) -> None:
    """In answers, in errors and in the model's name; in Chromium, with the policy that the server sends."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("there is no Chromium")
    payloads = PAYLOADS if FULL else PAYLOADS[::10]
    asked: list[str] = []
    with playwright.sync_playwright() as library:
        browser = library.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(locale="en-US")
        page.on("dialog", lambda dialog: asked.append("dialog"))
        page.on("request", lambda request: asked.append(request.url))
        answers: list[tuple[int, str]] = []
        page.route("**/v1/chat/completions", lambda route: route.fulfill(**_reply(*answers[-1])))
        name = json.dumps({"data": [{"id": PAYLOADS[0], "chat_template": "x", "plain_prompt": {}}]})
        page.route("**/v1/models", lambda route: route.fulfill(status=200, body=name))
        page.goto(running.url + "/")
        page.locator("#model:not(:empty)").wait_for()
        for number, payload in enumerate(payloads):
            answers.append((400 if number % 5 == 4 else 200, payload))
            page.fill("#ask", payload)
            page.keyboard.press("Enter")
            page.locator(".under").nth(number).wait_for()
            box = page.locator(".answer").nth(number)
            shown = box.text_content() or ""
            for line in payload.strip().splitlines():
                assert line.removeprefix("```") in shown  # fences become blocks; everything else stays
            assert page.locator(".user .text").nth(number).text_content() == payload.strip()
        assert page.title() == "Wenhai 文海" and not page.evaluate("() => 'hit' in window")
        assert page.locator("#talk :is(script, img, iframe, svg, a, style, link, object, embed, form)").count() == 0
        browser.close()
    own = {f"{running.url}{path}" for path in ("/", "/v1/models", "/v1/chat/completions")} | {"data:,"}
    assert set(asked) <= own, set(asked) - own


def _reply(status: int, text: str) -> dict[str, Any]:
    if status != 200:
        return {"status": status, "content_type": "application/json", "body": json.dumps({"error": {"message": text}})}
    events = [{"choices": [{"delta": {"content": part}, "finish_reason": None}]} for part in (text[:7], text[7:])]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    return {
        "status": 200,
        "content_type": "text/event-stream",
        "body": "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n",
    }


def _get(url: str, path: str) -> bytes:
    connection = opened(url)
    connection.request("GET", path)
    return connection.getresponse().read()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
