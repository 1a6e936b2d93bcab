"""The floor under every page and server of ours: who may ask, how much, for how long, and what a browser may do.

In: a starlette app, a socket, limits. Out: the app behind a guard that answers with JSON errors in OpenAI's shape. Only
this machine is served unless there is a token; the Host header must name this machine (a page elsewhere could have its
own name point here: DNS rebinding), and a browser's request that could change something must come from our own page.
Bodies have a limit and a deadline. Price: a body is held whole before anything reads it, at most 1 MB each.
"""

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from runkit.console import say
from runkit.errors import UsageError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_TOKEN_CHARS: Final = (16, 4096)
_DRAINED_S: Final = 1.0  # what is still coming behind a refusal is read so long, or the sender never sees it
_KINDS: Final = {
    401: ("authentication_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("not_found_error", None),
    408: ("timeout_error", None),
    429: ("rate_limit_error", None),
    500: ("server_error", None),
    503: ("server_error", None),
}


class HttpError(Exception):
    """A request that is refused: a status and a sentence. `param` is the field that is to blame."""

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.headers = status, param, dict(headers or {})
        self.kind, usual = _KINDS.get(status, ("invalid_request_error", None))
        self.code = code or usual

    def body(self) -> dict[str, Any]:
        """As OpenAI writes errors."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        return json_response(self.body(), self.status, self.headers)


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


def page_response(html: bytes, policy: str) -> Response:
    """A page with the content policy that it needs; all else gets one that allows nothing."""
    return Response(html, headers={"content-security-policy": policy}, media_type="text/html")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one sender may take."""

    body_bytes: int = 1_000_000
    body_s: float = 20.0
    """From the end of the headers to the end of the body."""
    head_s: float = 10.0
    """From the first moment of a connection, or the first byte of a later request, to the end of its headers."""
    idle_s: float = 30.0
    """Between two requests of one connection."""
    stalled_s: float = 30.0
    """How long a reader may take nothing of what is sent to it."""
    connections: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may ask."""

    token: str | None = None
    """None: nobody is asked for one, and only names of this machine are answered to."""
    open_paths: frozenset[str] = frozenset({"/health"})
    """What is shown without the token."""


class Guard:
    """Around an app: everything that is decided before a handler runs, and the last word on errors."""

    def __init__(self, app: App, access: Access, limits: Limits, log: bool = False) -> None:
        self.app, self.access, self.limits, self.log = app, access, limits, log
        self.draining = False
        """Set when the server is about to end: new requests are refused."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", scope["type"]
        started, status = time.monotonic(), 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_headers(message.get("headers", []))}
            await send(message)

        try:
            await self._answered(scope, receive, told)
        except Exception as error:  # a bug of ours: the sender gets a sentence, the terminal the place
            say(f"A request to {scope['path'][:200]} failed with a bug in the program: {_place(error)}")
            raise  # starlette has answered it, or the answer is cut off here
        finally:
            if self.log:
                took_ms = 1000 * (time.monotonic() - started)
                say(f"{scope['method']} {scope['path'][:200]} {status or 'gone'} {took_ms:.0f} ms")

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            self._check(scope, headers)
            body = await self._body(headers, receive)
        except HttpError as error:
            await _refuse(error, scope, receive, send)
            return
        except ConnectionError:
            return
        await self.app(scope, _replayed(body, receive), send)

    def _check(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """HttpError: this request is not for us to answer."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) > 1 or (self.access.token is None and not is_here(headers.get("host", ""))):
            raise HttpError(403, "The Host header names another machine; use the address that the server printed.")
        if self.draining:
            raise HttpError(503, "The server is stopping.", headers={"retry-after": "5", "connection": "close"})
        if scope["method"] not in SAFE_METHODS:
            _check_origin(headers)
        if self.access.token is not None and scope["path"] not in self.access.open_paths:
            self._check_token(headers.get("authorization", ""))
        if scope["method"] == "POST":
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":  # what a form of another page can send without asking first
                raise HttpError(415, "The body must be JSON: send the header Content-Type: application/json.")

    def _check_token(self, given: str) -> None:
        scheme, _, token = given.partition(" ")
        right = (self.access.token or "").encode()
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode("utf-8", "replace"), right):
            raise HttpError(
                401,
                "This server asks for a token: send the header Authorization: Bearer TOKEN.",
                headers={"www-authenticate": "Bearer"},
            )

    async def _body(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        """The whole body. HttpError: it is too large or too slow. ConnectionError: nobody waits any more."""
        most = self.limits.body_bytes
        too_large = HttpError(413, f"The body is larger than {most:,} bytes.", headers={"connection": "close"})
        length = headers.get("content-length", "0")
        if len(length) > 18 or int(length) > most:  # h11 lets digits alone through
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionError
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise HttpError(
                408, f"The body took longer than {self.limits.body_s:g} s.", headers={"connection": "close"}
            ) from None


def guarded(
    routes: Sequence[BaseRoute],
    access: Access,
    limits: Limits | None = None,
    log: bool = False,
) -> Guard:
    """The app of these routes behind a guard. Handlers raise `HttpError` for what they refuse."""

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HttpError)
        return error.response()

    def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.url.path[:200]
        message = f"There is nothing at {path}."
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            message = f"{path} does not take {request.method[:20]}; it takes {allowed}."
        return HttpError(error.status_code, message, headers=error.headers).response()

    def broken(request: Request, error: Exception) -> Response:
        return HttpError(500, "The server failed at this request; its terminal says where.").response()

    handlers = {HttpError: refused, HTTPException: unknown, Exception: broken}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(app, access, limits or Limits(), log)


def is_here(host: str) -> bool:
    """Whether a Host header means this machine by a name that no other machine can take."""
    name = _name(host)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def read_token(path: Path) -> str:
    """The token in the first line of a file. UsageError: there is none that could be sent in a header."""
    try:
        with path.open(encoding="utf-8") as file:
            token = file.readline(10_000).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise UsageError(f"Cannot read the token file {path}: {reason}.") from None
    fewest, most = _TOKEN_CHARS
    if not fewest <= len(token) <= most or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"The first line of {path} is no token: it takes {fewest} or more letters, digits and signs. "
            f'Make one: python3 -c "import secrets; print(secrets.token_urlsafe(32))" > {path}'
        )
    return token


def _name(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0] if "]" in host else ""
    return host.partition(":")[0].lower().rstrip(".")


def _check_origin(headers: Mapping[str, str]) -> None:
    """Browsers say where a request comes from; other programs say nothing. HttpError: it comes from another page."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    same = origin is None or origin.lower() in {f"{scheme}://{headers.get('host', '').lower()}" for scheme in _SCHEMES}
    if not same or site not in (None, "same-origin", "none"):
        raise HttpError(403, "A page of another site sent this request; only our own page may.")


_SCHEMES: Final = ("http", "https")  # https: behind a proxy of one's own


def _with_headers(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in headers}
    ours = {"content-security-policy": NOTHING, **HEADERS}
    more = [(name.encode(), value.encode()) for name, value in ours.items() if name.encode() not in given]
    return [*headers, *more]


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once, and then whatever comes: that the sender went away."""
    first = True

    async def again() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


async def _refuse(error: HttpError, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the refusal; what is still coming is read and thrown away, for closing at once would cut it off unread."""
    response = error.response()
    await send({"type": "http.response.start", "status": error.status, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    try:
        async with asyncio.timeout(0 if error.status == 408 else _DRAINED_S):
            while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _place(error: BaseException) -> str:
    """Where it happened, without the values that a message may hold."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    at = "" if frame is None else f" at {Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}"
    return f"{type(error).__name__}{at}"
