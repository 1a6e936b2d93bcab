"""A socket and the loop that serves it: patience with senders has an end, and so has the server, by one signal or two.

In: an app behind a `Guard`, an address. Out: answers until SIGINT or SIGTERM. The first signal lets what runs end
within a few seconds, the second leaves at once. uvicorn waits for ever for headers and for readers that do not read, so
its protocol gets deadlines here. Price: 1.2 ms a request with its client's part, most of it in Python's h11; a model
takes longer for a token.
"""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from runkit.console import Terminated, say
from runkit.errors import EnvironmentFault, UsageError
from runkit.page import Guard, HttpError, Limits, is_here

_HEAD_BYTES: Final = 32_768
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def listen(host: str, port: int, has_token: bool) -> socket.socket:
    """A listening socket. UsageError: others could reach it without a token. EnvironmentFault: the port is taken."""
    if not has_token and not is_here(host if ":" not in host else f"[{host}]"):
        raise UsageError(f"--host {host} lets other machines in; that takes a --token-file.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(1024)
    except (OSError, OverflowError) as error:
        bound.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise EnvironmentFault(
                f"Port {port} of {host} is taken; choose another with --port, or 0 for any."
            ) from None
        if isinstance(error, socket.gaierror):
            raise UsageError(f"--host {host} is no address of this machine.") from None
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM):
            raise EnvironmentFault(f"Port {port} is not for you to take; choose one above 1023 with --port.") from None
        raise UsageError(f"--host {host} --port {port} cannot be listened on: {error}.") from None
    bound.setblocking(False)
    return bound


def url_of(bound: socket.socket) -> str:
    """Where the socket is reached."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Patient(H11Protocol):
    """uvicorn's protocol with an end to every wait; a subclass sets `limits`."""

    limits = Limits()
    head: asyncio.TimerHandle | None = None
    stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.abort()
        else:
            self.head = self.loop.call_later(self.limits.head_s, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        _stop(self.head)
        _stop(self.stall)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy or self.transport.is_closing():
            _stop(self.head)
            self.head = None
        elif self.head is None:
            self.head = self.loop.call_later(self.limits.head_s, self._late)

    def on_response_complete(self) -> None:
        _stop(self.head)
        self.head = None
        super().on_response_complete()
        if self.transport.is_closing():  # what is not read by now never will be
            self._abort_later()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._abort_later()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._abort_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        _stop(self.stall)
        self.stall = None

    def send_400_response(self, msg: str) -> None:
        self._refuse(HttpError(400, "This is no HTTP request that this server understands."), "Bad Request")

    def _late(self) -> None:
        self._refuse(HttpError(408, f"The headers took longer than {self.limits.head_s:g} s."), "Request Timeout")
        self._abort_later()

    def _refuse(self, error: HttpError, phrase: str) -> None:
        """Without h11, which has no request to answer."""
        body = bytes(error.response().body)
        head = f"HTTP/1.1 {error.status} {phrase}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    def _abort_later(self) -> None:
        if self.stall is None:
            self.stall = self.loop.call_later(self.limits.stalled_s, self.transport.abort)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


class _Server(uvicorn.Server):
    """Signals are ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(slots=True)
class PageServer:
    """One server; `serve` in the main thread, or `run` in any loop with `stop` for its end."""

    guard: Guard
    bound: socket.socket
    on_ready: Callable[[], None] = lambda: None
    """Called in the loop when requests are answered."""
    on_stop: Callable[[], None] = lambda: None
    """Called in the loop when `grace_s` are over: give up what still runs."""
    grace_s: float = 5.0
    _server: _Server | None = None
    _signal: int | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def serve(self) -> None:
        """Serve until a signal, then raise what it stands for: KeyboardInterrupt or Terminated."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        try:
            asyncio.run(self._with_signals())
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self._signal == signal.SIGTERM:
            raise Terminated

    async def run(self) -> None:
        """Serve until `stop`."""
        self._loop = asyncio.get_running_loop()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        limits = self.guard.limits
        config = uvicorn.Config(
            self.guard,
            loop="asyncio",
            http=type("Patient", (Patient,), {"limits": limits}),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.idle_s,  # type: ignore[arg-type]  # only handed on to call_later
            h11_max_incomplete_event_size=_HEAD_BYTES,
            timeout_graceful_shutdown=self.grace_s + 3,  # type: ignore[arg-type]  # behind `on_stop`
        )
        self._server = _Server(config)
        ready = asyncio.ensure_future(self._tell_ready())
        try:
            await self._server.serve(sockets=[self.bound])
        finally:
            ready.cancel()

    def stop(self) -> None:
        """Take no more requests, and end when those that run have ended. In the loop's thread."""
        assert self._server is not None
        if not self._server.should_exit:
            self.guard.draining = True
            self._server.should_exit = True
            asyncio.get_running_loop().call_later(self.grace_s, self.on_stop)

    def stop_from_thread(self) -> None:
        """The same from any other thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.stop)

    async def _tell_ready(self) -> None:
        while self._server is None or not self._server.started:
            await asyncio.sleep(0.005)
        self.on_ready()

    async def _with_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        await self.run()

    def _signalled(self, number: int) -> None:
        if self._signal is not None:
            os._exit(128 + number)
        self._signal = number
        say(f"Stopping: what is being answered has {self.grace_s:g} s to end; once more stops at once.")
        self.stop()
