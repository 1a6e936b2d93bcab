"""The wire to a model: the one place that imports openai, when a first call leaves.

In: a `Model` and a prepared request. Out: status, headers and body of one HTTP reply, or `WireTrouble` where no whole
reply came. The SDK's own retries are off. Redirects are not followed and only the headers that HTTP needs are sent, so
a key goes to no other host; it is taken out of every body. Price: 2 s to import openai.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from runkit.chat import Prepared, Trouble
from runkit.console import printable
from runkit.models import Model, is_loopback

if TYPE_CHECKING:
    import httpx2
    import openai

MOST_REPLY_BYTES: Final = 8_000_000  # 128 k tokens of \\u-escaped Chinese are 1.3 MB
STALL_S: Final = 60.0  # between two pieces of a body; some providers send blank lines while they compute
# Calls at a time for one connection pool, which looks at all of its connections twice a call: with 64 in one, that
# was a third of a call's CPU time.
LANE: Final = 8
CONNECT_S: Final = 15.0
_SENT_HEADERS: Final = {
    *("host", "accept", "accept-encoding", "connection", "content-type", "content-length", "user-agent"),
}
_FRAMING: Final = {"content-encoding", "content-length", "transfer-encoding"}
# Before the connection stands no byte of the request has left.
_NOT_LEFT: Final = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}


@dataclass(frozen=True, slots=True)
class HttpReply:
    """Header names are lower case; the body is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class WireTrouble(Exception):
    """No whole reply came."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


class _TooLarge(Exception):
    """A body beyond the cap."""


@dataclass(slots=True)
class _Lane:
    """A client with connections of its own."""

    sdk: "openai.AsyncOpenAI"
    in_flight: int = 0


class Wire:
    """The connections to one endpoint, within one event loop. The key lies here and nowhere else."""

    def __init__(self, model: Model, stall_s: float = STALL_S) -> None:
        """UsageError: the key is missing."""
        self.model, self._stall_s = model, stall_s
        self._key = model.key()
        self._lanes: list[_Lane] = []
        self._tls: ssl.SSLContext | bool | None = None

    async def close(self) -> None:
        """Close the connections; the next request opens others."""
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            await lane.sdk.close()

    async def post(self, prepared: Prepared) -> HttpReply:
        """One HTTP request, whatever its status. WireTrouble: no whole reply came."""
        import openai

        lane = self._lane()
        lane.in_flight += 1
        try:
            async with asyncio.timeout(self.model.timeout_s):
                response = await _send(lane.sdk, prepared)
            return self._reply(response)
        except openai.APIStatusError as error:
            return self._reply(error.response)
        except (TimeoutError, openai.APITimeoutError) as error:
            said = f"no whole reply within {self.model.timeout_s:g} s"
            trouble = Trouble("timeout", "timeout", said, "retry", billed=True)
            if type(error.__cause__).__name__ in _NOT_LEFT:
                trouble = Trouble("unreachable", "connection", "no connection in time", "retry")
        except openai.APIConnectionError as error:
            trouble = _broken(error.__cause__)
        except _TooLarge:
            said = f"the reply is larger than {MOST_REPLY_BYTES // 10**6} MB"
            trouble = Trouble("too_large", "bad_reply", said, "retry", billed=True)
        finally:
            lane.in_flight -= 1
        # Outside of the handlers: a chained error of the SDK would hold the request.
        raise WireTrouble(trouble)

    def _lane(self) -> "_Lane":
        lane = min(self._lanes, key=lambda lane: lane.in_flight, default=None)
        if lane is None or lane.in_flight >= LANE:
            if self._tls is None:
                self._tls = _tls_of(self.model)
            lane = _Lane(_sdk(self.model, self._key, self._tls, self._stall_s))
            self._lanes.append(lane)
        return lane

    def _reply(self, response: "httpx2.Response") -> HttpReply:
        body = response.content
        if self._key is not None:
            body = body.replace(self._key.encode(), b"***")  # some endpoints repeat it in their errors
        return HttpReply(response.status_code, response.headers, body)


def _tls_of(model: Model) -> ssl.SSLContext | bool:
    """One for all lanes: it reads every root certificate, which takes 40 ms."""
    import httpx2

    return httpx2.create_ssl_context() if model.url.startswith("https:") else False


def _sdk(model: Model, key: str | None, tls: ssl.SSLContext | bool, stall_s: float) -> "openai.AsyncOpenAI":
    """The SDK with our HTTP client below it, which sends few headers, reads to a cap, and follows no redirect."""
    import httpx2
    import openai

    class Bounded(httpx2.AsyncClient):
        async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            for name in set(request.headers) - _SENT_HEADERS:
                del request.headers[name]
            if key is not None:
                request.headers["Authorization"] = f"Bearer {key}"
            response = await super().send(request, **options | {"stream": True, "follow_redirects": False})
            try:
                body = await _bounded_body(response, stall_s)
            finally:
                await response.aclose()
            headers = {name: value for name, value in response.headers.items() if name not in _FRAMING}
            return httpx2.Response(response.status_code, headers=headers, content=body, request=request)

    http = Bounded(
        timeout=httpx2.Timeout(model.timeout_s, connect=CONNECT_S, pool=None),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=20),
        verify=tls,
        trust_env=not is_loopback(model.url),  # a proxy cannot reach this machine
    )
    # The key is set above, and what the environment holds for OpenAI is not sent.
    return openai.AsyncOpenAI(base_url=model.url, api_key="not sent", max_retries=0, http_client=http)


async def _bounded_body(response: "httpx2.Response", stall_s: float) -> bytes:
    """The body, decompressed; each piece in time."""
    pieces: list[bytes] = []
    size = 0
    reader = response.aiter_bytes()
    while True:
        try:
            async with asyncio.timeout(stall_s):
                piece = await anext(reader)
        except StopAsyncIteration:
            return b"".join(pieces)
        size += len(piece)
        if size > MOST_REPLY_BYTES:
            raise _TooLarge
        pieces.append(piece)


async def _send(sdk: "openai.AsyncOpenAI", prepared: Prepared) -> "httpx2.Response":
    """The SDK's way for any path: its typed one checks and rebuilds every message, which costs a millisecond."""
    import httpx2

    return await sdk.post("/chat/completions", body=prepared.body, cast_to=httpx2.Response)


def _broken(cause: BaseException | None) -> Trouble:
    if type(cause).__name__ in _NOT_LEFT:
        return Trouble("unreachable", "connection", _short(cause), "retry")
    return Trouble("connection", "connection", f"the connection broke: {_short(cause)}", "retry", billed=True)


def _short(error: BaseException | None) -> str:
    return " ".join(printable(str(error)).split())[:200] or type(error).__name__
