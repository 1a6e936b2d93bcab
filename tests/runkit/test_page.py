"""The floor of pages: who is answered, how much is read, how long is waited; over real sockets of this machine."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runkit.errors import EnvironmentFault, UsageError
from runkit.page import Access, HttpError, Limits, guarded, is_here, json_response, page_response, read_token
from runkit.page_policy import static_policy
from runkit.page_server import PageServer, listen, url_of

pytestmark = pytest.mark.timeout(30)
TOKEN = "a-token-of-many-letters"
QUICK = Limits(body_bytes=1000, head_s=0.3, body_s=0.3, idle_s=0.5, stalled_s=0.3, connections=20)
PAGE = b"<!doctype html><style>p { color: red }</style><script>let x = 1;</script>"


class Counter:
    """An app that counts what it was asked to change."""

    def __init__(self) -> None:
        self.changes = 0

    async def page(self, request: Request) -> Response:
        return page_response(PAGE, static_policy(PAGE))

    async def change(self, request: Request) -> Response:
        self.changes += 1
        return json_response({"bytes": len(await request.body())})

    async def refuse(self, request: Request) -> Response:
        raise HttpError(400, "No.", param="x")

    async def fail(self, request: Request) -> Response:
        raise RuntimeError("secret value")

    async def much(self, request: Request) -> Response:
        return Response(b"x" * 20_000_000)


@contextmanager
def running(access: Access | None = None, limits: Limits = QUICK) -> Iterator[tuple[int, Counter]]:
    counter = Counter()
    routes = [
        Route("/", counter.page),
        Route("/change", counter.change, methods=["POST"]),
        Route("/refuse", counter.refuse),
        Route("/fail", counter.fail),
        Route("/much", counter.much),
    ]
    bound = listen("127.0.0.1", 0, has_token=False)
    ready = threading.Event()
    server = PageServer(guarded(routes, access or Access(), limits), bound, ready.set, grace_s=0.1)
    thread = threading.Thread(target=lambda: asyncio.run(server.run()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield int(url_of(bound).rsplit(":", 1)[1]), counter
    finally:
        server.stop_from_thread()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[int, Counter]]:
    with running() as found:
        yield found


def talk(port: int, data: bytes) -> bytes:
    """Send bytes, and what comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        found = b""
        try:
            sock.sendall(data)
            while part := sock.recv(65536):
                found += part
        except ConnectionError:
            pass
        return found


def ask(
    port: int, head: str = "GET / HTTP/1.1", body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    given = {"Host": f"127.0.0.1:{port}", "Connection": "close"}
    if body or head.startswith("POST"):
        given |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [head, *(f"{name}: {value}" for name, value in given.items() if value), "", ""]
    answer = talk(port, "\r\n".join(lines).encode("utf-8") + body)
    top, _, rest = answer.partition(b"\r\n\r\n")
    first, *more = top.decode().split("\r\n")
    named = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in more)}
    return int(first.split()[1]) if first else 0, named, rest


POST = "POST /change HTTP/1.1"


def test_every_answer_says_what_a_browser_may_do(place: tuple[int, Counter]) -> None:
    status, headers, body = ask(place[0])
    assert status == 200 and body == PAGE
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "'unsafe" not in policy and policy.count("'sha256-") == 2
    for path in ("/", "/refuse", "/nothing", "/fail"):
        _, headers, _ = ask(place[0], f"GET {path} HTTP/1.1")
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert (
            headers["referrer-policy"] == "no-referrer"
            and "frame-ancestors 'none'" in headers["content-security-policy"]
        )
        assert "access-control-allow-origin" not in headers and "server" not in headers


HERE = ["127.0.0.1:PORT", "localhost:PORT", "LOCALHOST", "localhost.", "[::1]:PORT", "127.0.0.1", "127.8.9.1:80"]
AWAY = [
    "evil.example:PORT",
    "127.0.0.1.nip.io",
    "localhost.evil.example",
    "evil.example",
    "0.0.0.0",
    "10.0.0.1",
    "",
    "[::2]",
]


@pytest.mark.parametrize("host", [*HERE, *AWAY])
def test_only_names_of_this_machine_are_answered_to(place: tuple[int, Counter], host: str) -> None:
    port = place[0]
    lines = f"GET / HTTP/1.1\r\nHost: {host.replace('PORT', str(port))}\r\nConnection: close\r\n\r\n"
    answer = talk(port, lines.encode())
    assert answer.startswith(b"HTTP/1.1 200" if host in HERE else b"HTTP/1.1 403"), answer[:200]


SITES = [
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Sec_Fetch_Site": "cross-site"}, 403),
    ({"Sec_Fetch_Site": "same-site"}, 403),
    ({"Origin": "http://127.0.0.1:PORT", "Sec_Fetch_Site": "same-origin"}, 200),
    ({}, 200),
    ({"Content_Type": "text/plain"}, 415),
    ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ({"Content_Type": ""}, 415),
    ({"Content_Type": "application/json; charset=utf-8"}, 200),
]


@pytest.mark.parametrize(("headers", "expected"), SITES)
def test_pages_of_other_sites_change_nothing(
    place: tuple[int, Counter], headers: dict[str, str], expected: int
) -> None:
    port, counter = place
    before = counter.changes
    given = {name: value.replace("PORT", str(port)) for name, value in headers.items()}
    assert ask(port, POST, b"{}", **given)[0] == expected
    assert counter.changes == before + (expected == 200)


def test_a_get_changes_nothing_and_methods_are_told(place: tuple[int, Counter]) -> None:
    port, counter = place
    before = counter.changes
    for method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        status, headers, _ = ask(port, f"{method} /change HTTP/1.1")
        assert status == 405 and "POST" in headers["allow"]
    assert counter.changes == before


def test_errors_are_sentences_in_one_shape(place: tuple[int, Counter], capsys: pytest.CaptureFixture[str]) -> None:
    port = place[0]
    for path, status, said in (
        ("/refuse", 400, "No."),
        ("/nothing", 404, "nothing at /nothing"),
        ("/fail", 500, "failed"),
    ):
        found, _, body = ask(port, f"GET {path} HTTP/1.1")
        error = json.loads(body)["error"]
        assert found == status and said in error["message"] and set(error) == {"message", "type", "param", "code"}
        assert b"secret value" not in body
    assert "RuntimeError at test_page.py" in capsys.readouterr().err


def test_a_body_beyond_the_limit(place: tuple[int, Counter]) -> None:
    port, counter = place
    before = counter.changes
    status, _, body = ask(port, POST, b" " * 1001)
    assert status == 413 and b"1,000 bytes" in body
    assert ask(port, POST, b"", Content_Length="10000000000")[0] == 413
    assert ask(port, POST, b"", Content_Length="9" * 30)[0] in (400, 413)
    head = f"{POST}\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (500, b"x" * 500) for _ in range(40)) + b"0\r\n\r\n"
    assert talk(port, head.encode() + chunks).startswith(b"HTTP/1.1 413")
    assert counter.changes == before
    assert json.loads(ask(port, POST, b" " * 1000)[2]) == {"bytes": 1000}


def test_ten_megabytes_are_refused_before_they_are_held(place: tuple[int, Counter]) -> None:
    status, _, _ = ask(place[0], POST, b"x" * 10_000_000)
    assert status == 413


SLOW = [
    (b"", 408),  # a socket that never says anything
    (b"GET / HT", 408),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", 408),
    (b"POST /change HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{", 408),
]


@pytest.mark.parametrize(("data", "status"), SLOW)
def test_half_open_sockets_are_closed(place: tuple[int, Counter], data: bytes, status: int) -> None:
    port, counter = place
    before = counter.changes
    answer = talk(port, data)  # ends, or the timeout of the socket fails the test
    assert answer.startswith(b"HTTP/1.1 %d" % status) and counter.changes == before
    assert answer.split(b"\r\n\r\n")[1].startswith(b'{"error"')


def test_a_drip_of_headers_has_an_end(place: tuple[int, Counter]) -> None:
    """Slow loris: a byte now and then must not hold a connection for ever, on its second request either."""
    for first in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", place[0]), timeout=0.05) as sock:
            sock.sendall(first + b"GET / HTTP/1.1\r\nHost: localhost\r\n")
            closed = False
            for _ in range(100):
                try:
                    sock.sendall(b"X-A: b\r\n")
                    closed = sock.recv(65536).endswith(b"}") or closed  # the 408
                except TimeoutError:
                    continue
                except ConnectionError:
                    closed = True
                    break
            assert closed


def test_a_reader_that_does_not_read_is_let_go() -> None:
    one = replace(QUICK, connections=1)
    with running(limits=one) as (port, _), socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ask(port)[0] == 0  # its place is taken
        for _ in range(1000):
            if ask(port)[0] == 200:
                return
            threading.Event().wait(0.01)
        raise AssertionError("it was not let go")


def test_only_so_many_connections() -> None:
    with running(limits=Limits(head_s=5, connections=3)) as (port, _):
        held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3)]
        assert ask(port)[0] == 0
        held.pop().close()
        for _ in range(1000):
            if ask(port)[0] == 200:
                break
            threading.Event().wait(0.01)
        else:
            raise AssertionError("a place was free and not given")
        for sock in held:
            sock.close()


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00\x01\x00", b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_what_is_no_http(place: tuple[int, Counter], data: bytes) -> None:
    answer = talk(place[0], data + b"\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))


def test_headers_have_a_limit(place: tuple[int, Counter]) -> None:
    answer = talk(place[0], b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 2_000_000 + b"\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


def test_the_token_is_asked_for_everything_but_open_paths() -> None:
    with running(Access(token=TOKEN, open_paths=frozenset({"/"}))) as (port, counter):
        assert ask(port)[0] == 200
        for wrong in ("", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {TOKEN[:-1]}é"):
            status, headers, body = ask(port, POST, b"{}", Authorization=wrong)
            assert status == 401 and headers["www-authenticate"] == "Bearer" and TOKEN.encode() not in body
        assert counter.changes == 0
        assert ask(port, POST, b"{}", Authorization=f"Bearer {TOKEN}", Host="my.server:8000")[0] == 200
        assert ask(port, f"POST /change?token={TOKEN} HTTP/1.1", b"{}")[0] == 401  # never in an address


def test_who_may_listen(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.1", "example.org"):
        with pytest.raises(UsageError, match="--token-file"):
            listen(host, 0, has_token=False)
    with pytest.raises(UsageError, match="no address"):
        listen("no.such.host.invalid", 0, has_token=True)
    with listen("127.0.0.1", 0, has_token=False) as bound, pytest.raises(EnvironmentFault, match="is taken"):
        listen("127.0.0.1", bound.getsockname()[1], has_token=False)


@pytest.mark.parametrize("text", ["", "short", "two words are no token at all", "ключ-ключ-ключ-ключ", "x" * 5000])
def test_token_files_that_hold_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text + "\nsecond line", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_token(file)
    assert not text or text not in str(caught.value)
    with pytest.raises(UsageError, match="Cannot read"):
        read_token(tmp_path / "nothing")


def test_names_of_this_machine() -> None:
    assert all(is_here(host) for host in ("localhost", "127.0.0.1", "[::1]:8000", "127.0.0.1:80"))
    assert not any(
        is_here(host) for host in ("", "localhost.example", "[::1", "1.1.1.1", "127.0.0.1@evil", "2130706433")
    )


def test_scripts_are_named_by_hash() -> None:
    policy: Any = static_policy(b"<p>nothing</p>")
    assert "script-src 'none'" in policy and "style-src 'none'" in policy
