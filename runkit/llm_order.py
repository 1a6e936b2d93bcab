"""Many calls at a time whose effect is that of one after the other.

In: a client, a function that builds request i, and one that takes its answer. Out: answers taken in the order of the
requests. Request i is built exactly when answer i - window has been taken, whatever came back first, so the same seed
gives the same requests for any number of calls at a time. What is built need not leave: it is held until it is wanted,
so how much is wanted changes nothing about the requests. Ctrl-C and SIGTERM let no more requests leave, wait for those
in flight and record them; a second one quits at once. Price: a slow answer holds up what comes `window` behind it.
"""

import asyncio
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from runkit.chat import Failure, Reply, Request, prepare
from runkit.console import Terminated, say
from runkit.llm_client import Client, Stopped
from runkit.models import Model

WINDOW: Final = 64


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands; `spent_usd` counts earlier starts on the same ledger too."""

    taken: int
    done: int
    failed: int
    replayed: int
    retries: int
    in_flight: int
    prompt_tokens: int
    completion_tokens: int
    spent_usd: float
    per_minute: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Before the first call. Tokens are guessed from bytes, `most_usd` is what a budget would reserve."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None  # None: no price is known
    most_usd: float | None


class Steps(Protocol):
    """What `run_steps` goes through. All but `follow` are called in order, at moments that timing does not change."""

    def build(self, number: int) -> Request | None:
        """Request `number`, built when answer number - window has been taken; None: there are no more."""

    def wanted(self, number: int) -> bool:
        """Whether it may leave now; asked again after each answer, until it does."""

    def follow(self, number: int, answer: Reply | Failure) -> Sequence[Request]:
        """What is asked next because of this answer, and of nothing else; called when the answer comes."""

    def take(self, number: int, answers: Sequence[Reply | Failure]) -> None:
        """The answer to a request, and those to what followed it."""


@dataclass(frozen=True, slots=True)
class _Plain:
    """Steps of one call each, all of them wanted."""

    build: Callable[[int], Request | None]
    taker: Callable[[int, Reply | Failure], None]

    def wanted(self, number: int) -> bool:
        return True

    def follow(self, number: int, answer: Reply | Failure) -> Sequence[Request]:
        return ()

    def take(self, number: int, answers: Sequence[Reply | Failure]) -> None:
        self.taker(number, answers[0])


def run_in_order(
    client: Client,
    build: Callable[[int], Request | None],
    take: Callable[[int, Reply | Failure], None],
    window: int = WINDOW,
    on_progress: Callable[[Progress], None] | None = None,
) -> int:
    """Ask until `build` returns None; returns how many answers were taken.

    KeyboardInterrupt and Terminated come up when the calls in flight are recorded. RefusedError, EnvironmentFault:
    what stopped the client. What `build` or `take` raises comes up in the same way.
    """
    return run_steps(client, _Plain(build, take), window, on_progress)


def run_steps(
    client: Client, steps: Steps, window: int = WINDOW, on_progress: Callable[[Progress], None] | None = None
) -> int:
    """Go on until nothing is in flight and nothing wanted, or `build` returned None; otherwise as `run_in_order`."""
    return asyncio.run(_signalled(client, _in_order(client, steps, window, on_progress)))


def run_all(
    client: Client,
    requests: Iterable[Request],
    take: Callable[[int, Reply | Failure], None],
    window: int = WINDOW,
    on_progress: Callable[[Progress], None] | None = None,
) -> int:
    """Ask all of `requests`, which do not depend on the answers; otherwise as `run_in_order`."""
    source = iter(requests)
    return run_in_order(client, lambda _: next(source, None), take, window, on_progress)


def estimate(
    requests: Iterable[Request], model: Model, calls: int | None = None, completion_tokens: int | None = None
) -> Estimate:
    """What `calls` calls like `requests` (a sample of them) take.

    Three bytes of UTF-8 are about a token, in Chinese as in English with its JSON. `completion_tokens` of one reply;
    None: half of what it may have, 512 where nothing limits it.
    """
    sample = [prepare(request, model) for request in requests]
    count = len(sample) if calls is None else calls
    scale = count / len(sample) if sample else 0.0
    prompt = round(scale * sum(len(one.bytes) / 3 for one in sample))
    usual = [completion_tokens or (one.most_completion or 1024) // 2 for one in sample]
    completion = round(scale * sum(usual))
    price = model.price
    unlimited = any(one.most_completion is None for one in sample)
    most = scale * sum(model.cost_usd(len(one.bytes), one.most_completion or 0) for one in sample)
    return Estimate(
        calls=count,
        prompt_tokens=prompt,
        completion_tokens=completion,
        usd=None if price is None else price.cost_usd(prompt, completion),
        most_usd=None if price is None or unlimited else most,
    )


_Answers = list[Reply | Failure]


async def _in_order(client: Client, steps: Steps, window: int, on_progress: Callable[[Progress], None] | None) -> int:
    waiting: deque[Request | asyncio.Task[_Answers] | _Answers] = deque()  # built, in flight, or known
    built = sent = taken = 0
    ended = False
    async with client.opened():
        try:
            while True:
                while not ended and built < taken + window:
                    request = steps.build(built)
                    ended = request is None
                    if request is not None:
                        waiting.append(request)
                        built += 1
                while sent < built and steps.wanted(sent):
                    waiting[sent - taken] = _begin(client, steps, sent, waiting[sent - taken])
                    sent += 1
                if sent == taken:
                    return taken
                head = waiting.popleft()
                if isinstance(head, asyncio.Task):
                    head = await _answer(client, head)
                else:
                    await asyncio.sleep(0)  # signals and answers get their turn between replays
                    if client.stopping:
                        raise client.halted or Stopped()
                assert isinstance(head, list)
                steps.take(taken, head)
                taken += 1
                if on_progress is not None:
                    on_progress(_progress(client, taken))
        finally:
            client.stop()
            for one in waiting:
                if isinstance(one, asyncio.Task):
                    one.add_done_callback(_look_at)
            await client.drained()


def _begin(client: Client, steps: Steps, number: int, request: Any) -> "asyncio.Task[_Answers] | _Answers":
    """Ask, unless the ledger has all answers."""
    first = client.known(request)
    if first is None:
        return asyncio.create_task(_ask(client, steps, number, request))
    following = steps.follow(number, first)
    more = [client.known(one) for one in following]
    whole = [first, *(one for one in more if one is not None)]
    return whole if None not in more else asyncio.create_task(_ask_rest(client, number, first, following, more))


async def _ask(client: Client, steps: Steps, number: int, request: Request) -> _Answers:
    first = await client.call(request, number)
    following = steps.follow(number, first)
    return await _ask_rest(client, number, first, following, [None] * len(following))


async def _ask_rest(
    client: Client,
    number: int,
    first: Reply | Failure,
    following: Sequence[Request],
    known: Sequence[Reply | Failure | None],
) -> _Answers:
    """Ask what is not known of the requests that follow."""
    missing = [request for request, answer in zip(following, known, strict=True) if answer is None]
    found = iter(await asyncio.gather(*(client.call(request, number) for request in missing)))
    return [first, *(next(found) if answer is None else answer for answer in known)]


async def _answer(client: Client, head: "asyncio.Task[_Answers]") -> _Answers:
    """The answers of the first in line; a stop that another call met is met here."""
    stop = asyncio.create_task(client.stopped())
    try:
        await asyncio.wait((head, stop), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
    if not head.done():
        head.add_done_callback(_look_at)
        raise client.halted or Stopped()
    return head.result()


def _look_at(task: "asyncio.Task[Any]") -> None:
    """Its error was told already, by another task."""
    if not task.cancelled():
        task.exception()


async def _signalled(client: Client, work: Any) -> int:
    """Run `work` with Ctrl-C and SIGTERM as a wish to stop, which a second one makes an order."""
    received: list[int] = []
    task = asyncio.ensure_future(work)

    def on_signal(number: int) -> None:
        received.append(number)
        if len(received) == 1:
            if flying := client.ledger.in_flight:
                say(f"Waiting for {flying} calls in flight; once more quits at once, and they are paid for twice.")
            client.stop()
        else:
            client.abandon()
            task.cancel()

    with _handlers(on_signal):
        try:
            return int(await task)
        except (Stopped, asyncio.CancelledError):
            if not received:
                raise
    if received[-1] == signal.SIGTERM:
        raise Terminated
    raise KeyboardInterrupt


@contextmanager
def _handlers(on_signal: Callable[[int], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _progress(client: Client, taken: int) -> Progress:
    counts = client.counts
    return Progress(
        taken=taken,
        done=counts.done,
        failed=counts.failed,
        replayed=counts.replayed,
        retries=counts.retries,
        in_flight=client.ledger.in_flight,
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
        spent_usd=client.ledger.spent_usd,
        per_minute=client.gate.rate_per_min,
    )
