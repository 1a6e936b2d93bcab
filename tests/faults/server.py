"""A loopback model server that misbehaves as told: one scripted fault for each request, latency, and rate limits.

In: a script (request number -> fault), an answer function, limits. Out: `url` to ask, and `log`: one entry for every
request that arrived, in order. As a program it prints its URL and serves until stdin closes; GET /log gives the log.

    python -m tests.faults.server [--latency-s 0.2] [--rpm 500] [--tpm 100000] [--faults 0.3] [--seed 1]
"""

import argparse
import asyncio
import contextlib
import gzip
import hashlib
import json
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

Script = Callable[[int], str]
PROMPT_TOKENS = 100
COMPLETION_TOKENS = 50
# The mix of row 5: what a busy provider sends.
COMMON = ("429", "429:0.01", "408", "500", "502", "503")
WHERE = {"quota": 429, "content": 400, "bad": 400, "echo_key": 401}
ERRORS = {
    "quota": {"error": {"code": "insufficient_quota", "message": "You exceeded your current quota."}},
    "content": {
        "error": {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}
    },
    "bad": {"error": {"message": "Unknown parameter: 'top_q'."}},
}


def mixed(share: float, seed: int, faults: tuple[str, ...] = COMMON) -> Script:
    """Faults for a share of all requests, by number."""

    def fault(number: int) -> str:
        rng = random.Random(f"{seed}:{number}")
        return rng.choice(faults) if rng.random() < share else "ok"

    return fault


def once_each(fault: str, every: int) -> Callable[[dict[str, Any]], str]:
    """The fault for each `every`-th request, the first time it comes; the same request is answered when it returns."""
    seen: set[str] = set()

    def found(body: dict[str, Any]) -> str:
        key = json.dumps(body, sort_keys=True)
        if key in seen:
            return "ok"
        seen.add(key)
        return fault if len(seen) % every == 1 else "ok"

    return found


def plain_answer(body: dict[str, Any]) -> str:
    """The same words for the same request."""
    return "答" + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


@dataclass
class Bucket:
    """So many units a minute, of which `burst_s` seconds' worth may come at once."""

    per_minute: float
    burst_s: float
    level: float = 0.0
    at: float = field(default_factory=time.monotonic)

    def take(self, units: float) -> bool:
        now = time.monotonic()
        self.level = max(0.0, self.level - (now - self.at) * self.per_minute / 60)
        self.at = now
        if self.level + units > max(self.per_minute / 60 * self.burst_s, units):
            return False
        self.level += units
        return True


@dataclass
class Entry:
    """One request that arrived."""

    at: float
    fault: str
    authorization: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Server:
    """Use as `with serving(...) as server`."""

    script: Script = lambda number: "ok"
    fault_of: Callable[[dict[str, Any]], str] | None = None  # by the request itself, in place of `script`
    answer: Callable[[dict[str, Any]], str] = plain_answer
    latency_s: float = 0.0
    rpm: float | None = None
    tpm: float | None = None
    burst_s: float = 1.0
    tell_limits: bool = True
    port: int = 0
    log: list[Entry] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    bytes_sent: int = 0

    def __post_init__(self) -> None:
        self._buckets = [Bucket(limit, self.burst_s) if limit else None for limit in (self.rpm, self.tpm)]
        self.release = threading.Event()
        """Set by a test: what the fault "wait" waits for."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
                data = await reader.readexactly(int(headers.get("content-length", "0")))
                if first.startswith("GET"):
                    shown = [(e.at, e.fault, e.authorization, e.body) for e in self.log]
                    await self._send(writer, 200, json.dumps(shown).encode())
                    continue
                body = json.loads(data)
                fault = self.fault_of(body) if self.fault_of else self.script(len(self.log))
                self.log.append(Entry(time.monotonic(), fault, headers.get("authorization", ""), headers, body))
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    if not await self._reply(writer, fault, body):
                        break
                finally:
                    self.in_flight -= 1
        with suppress(Exception):
            writer.close()

    def _over_limit(self) -> bool:
        requests, tokens = self._buckets
        if requests is not None and not requests.take(1):
            return True
        return tokens is not None and not tokens.take(PROMPT_TOKENS + COMPLETION_TOKENS)

    async def _reply(self, writer: asyncio.StreamWriter, fault: str, body: dict[str, Any]) -> bool:
        """Answer as scripted; False: the connection is done with."""
        told = {}
        if self.tell_limits:
            for limit, what in ((self.rpm, "requests"), (self.tpm, "tokens")):
                if limit:
                    told[f"x-ratelimit-limit-{what}"] = f"{limit:g}"
        if fault == "ok" and self._over_limit():
            self.log[-1].fault = "over"
            await self._send(writer, 429, b'{"error":{"message":"Rate limit reached."}}', {"retry-after": "1", **told})
            return True
        if fault == "wait":
            await asyncio.get_running_loop().run_in_executor(None, self.release.wait, 30)
        elif self.latency_s:
            await asyncio.sleep(self.latency_s)
        kind, _, argument = fault.partition(":")
        if kind.isdigit():
            return await self._status(writer, int(kind), argument, told)
        if kind in ERRORS:
            await self._send(writer, WHERE[kind], json.dumps(ERRORS[kind]).encode())
        elif kind == "echo_key":
            words = f"Incorrect API key provided: {self.log[-1].authorization.removeprefix('Bearer ')}."
            await self._send(writer, 401, json.dumps({"error": {"message": words}}).encode())
        elif kind in ("ok", "wait") or kind in BODIES:
            good = completion(self.answer(body))
            await self._send(writer, 200, json.dumps(BODIES[kind](good) if kind in BODIES else good).encode(), told)
        else:
            await self._broken(writer, kind, json.dumps(completion(self.answer(body))).encode())
            return False
        return True

    async def _status(self, writer: asyncio.StreamWriter, status: int, argument: str, told: dict[str, str]) -> bool:
        headers = dict(told)
        if argument == "date":
            headers["retry-after"] = formatdate(time.time() + 1, usegmt=True)
        elif argument:
            headers["location" if status in (301, 307) else "retry-after"] = argument
        await self._send(writer, status, json.dumps({"error": {"message": f"scripted {status}"}}).encode(), headers)
        return True

    async def _broken(self, writer: asyncio.StreamWriter, kind: str, good: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        if kind == "bad_json":
            await self._send(writer, 200, good[:-20])
        elif kind == "silent":  # never a byte
            await asyncio.sleep(30)
        elif kind == "drip":
            writer.write(head % 10**6)
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        elif kind == "stalled":
            writer.write(head % len(good) + good[:10])
            await writer.drain()
            await asyncio.sleep(30)
        elif kind == "half_closed":
            writer.write(head % len(good) + good[:10])
            writer.write_eof()
        elif kind == "reset":
            writer.write(head % len(good) + good[:10])
            await writer.drain()
            # Linger of 0 s: the kernel sends RST.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif kind == "gone":
            writer.transport.abort()
        elif kind == "huge":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b'{"choices":[{"a":"')
            for _ in range(1600):
                writer.write(b"x" * 65536)
                self.bytes_sent += 65536
                await writer.drain()
        elif kind == "bomb":
            packed = gzip.compress(b" " * 100_000_000, 1)
            await self._send(writer, 200, packed, {"content-encoding": "gzip"})
        else:
            raise AssertionError(f"unknown fault {kind}")

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, data: bytes, headers: dict[str, str] | None = None
    ) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", "Content-Type: application/json", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        await writer.drain()


def completion(text: str) -> dict[str, Any]:
    """A good body."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "loopback",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": COMPLETION_TOKENS,
            "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        },
    }


def _with(good: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return good | {"choices": [good["choices"][0] | choice]}


BODIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no_choices": lambda good: good | {"choices": []},
    "null_choices": lambda good: good | {"choices": None},
    "a_list": lambda good: [good],
    "empty": lambda good: _with(good, message={"role": "assistant", "content": "  \n"}),
    "null": lambda good: _with(good, message={"role": "assistant", "content": None}),
    "no_message": lambda good: _with(good, message=None),
    "filter": lambda good: _with(good, finish_reason="content_filter"),
    "refusal": lambda good: _with(good, message={"role": "assistant", "content": None, "refusal": "I cannot."}),
    "length": lambda good: _with(good, finish_reason="length"),
    "only_reasoning": lambda good: _with(good, finish_reason="length", message={"content": ""}),
    "no_usage": lambda good: {key: value for key, value in good.items() if key != "usage"},
    "error_in_reply": lambda good: {"error": {"message": "upstream is busy"}},
    "quota_in_reply": lambda good: {"error": {"message": "account balance: 余额不足"}},
}


@contextmanager
def serving(**options: Any) -> Iterator[Server]:
    """A server in a thread of this process."""
    server = Server(**options)
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        listening = loop.run_until_complete(asyncio.start_server(server.serve, "127.0.0.1", server.port, backlog=1024))
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()
        loop.run_forever()
        listening.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        with contextlib.suppress(Exception):
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        server.release.set()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--latency-s", type=float, default=0.0)
    parser.add_argument("--rpm", type=float)
    parser.add_argument("--tpm", type=float)
    parser.add_argument("--burst-s", type=float, default=1.0)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--silent-limits", action="store_true", help="tell no limits in headers")
    call = parser.parse_args()
    options = {name: getattr(call, name) for name in ("latency_s", "rpm", "tpm", "burst_s")}
    script = mixed(call.faults, call.seed)
    with serving(script=script, tell_limits=not call.silent_limits, **options) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
