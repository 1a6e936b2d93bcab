"""Between HTTP and the engine: a loop of many requests on one side, one thread that computes on the other.

In: prompts with their `Sampling`. Out: their pieces, in the loop, as they come. A request that ends early, for whatever
reason, takes its answers with it. Only so many answers are taken in at a time; above that a request is refused, with
the seconds after which it is worth trying again. Price: one wake-up of the loop for each token that is streamed.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from runkit.page import HttpError
from train.generate import Engine, Handle, Piece, RequestError, Sampling

_LONGEST_WAIT_S: Final = 60


@dataclass(frozen=True, slots=True)
class Ask:
    """One answer that is wanted."""

    prompt: Sequence[int]
    sampling: Sampling


@dataclass(slots=True, eq=False)
class Desk:
    """Takes asks in and counts them. All but the computing happens in the loop's thread."""

    engine: Engine
    max_queue: int
    """Answers that may wait beyond those that are being made."""
    taken: int = 0
    answered: int = 0
    answer_s: float = 5.0
    """How long an answer took, lately."""
    fault: BaseException | None = None
    """What broke the engine; nothing is answered after it."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _open: "set[Answers]" = field(default_factory=set)

    def start(self, failed: Callable[[BaseException], None]) -> None:
        """Begin to compute, in a thread that dies with the process; `failed` is called in it should it break."""

        def work() -> None:
            try:
                self.engine.run(self._stop)
            except BaseException as error:
                self.fault = error
                for answers in list(self._open):
                    answers.wake()
                failed(error)

        self._thread = threading.Thread(target=work, name="engine", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Compute no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def give_up(self) -> None:
        """Cancel all that is being answered."""
        for answers in list(self._open):
            answers.cancel()

    def answers(self, asks: Sequence[Ask], live: bool) -> "Answers":
        """Use as `with desk.answers(...) as answers`. `live`: pieces are wanted as they come, not only the last."""
        return Answers(self, asks, live)

    def check(self, count: int) -> None:
        """HttpError: a request for so many answers could never be taken in."""
        most = self.engine.slots + self.max_queue
        if count > most:
            raise HttpError(400, f"The request asks for {count:,} answers; this server makes {most:,} at a time.", "n")

    def take(self, answers: "Answers", count: int) -> None:
        """HttpError: too many at once, or too many now."""
        self.check(count)
        if self.fault is not None:
            raise _broken()
        most = self.engine.slots + self.max_queue
        if self.taken + count > most:
            rounds = -(-(self.taken + count - most) // self.engine.slots)
            wait_s = min(max(1, round(rounds * self.answer_s)), _LONGEST_WAIT_S)
            raise HttpError(
                429,
                f"The queue is full with {self.taken:,} answers; try again in {wait_s} s.",
                code="queue_full",
                headers={"retry-after": str(wait_s)},
            )
        self.taken += count
        self._open.add(answers)

    def release(self, answers: "Answers", count: int, seconds: float) -> None:
        """These have left; `seconds` is how long they took, 0 if they were given up."""
        self.taken -= count
        self._open.discard(answers)
        if seconds:
            self.answered += count
            self.answer_s += 0.2 * (seconds - self.answer_s)


class Answers:
    """The answers to one request on their way."""

    def __init__(self, desk: Desk, asks: Sequence[Ask], live: bool) -> None:
        self._desk, self._asks, self._live = desk, asks, live
        self._loop = asyncio.get_running_loop()
        self._some = asyncio.Event()
        self._pieces: deque[tuple[int, Piece]] = deque()
        self._handles: list[Handle] = []
        self._left = len(asks)
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._desk.take(self, len(self._asks))
        try:
            for number, ask in enumerate(self._asks):
                on_piece = self._receiver(number)
                self._handles.append(self._desk.engine.submit(ask.prompt, ask.sampling, on_piece))
        except BaseException as error:
            self.__exit__(None, None, None)
            if isinstance(error, RequestError):
                raise HttpError(400, str(error)) from None
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        seconds = 0.0 if self._left else time.monotonic() - self._began
        self._desk.release(self, len(self._asks), seconds)

    def cancel(self) -> None:
        """No further token for any of them."""
        for handle in self._handles:
            if handle.finish is None:
                self._desk.engine.cancel(handle)

    async def pieces(self) -> AsyncIterator[tuple[int, Piece]]:
        """Pieces with the number of their ask, until all have ended. HttpError: an answer failed or was given up."""
        while self._left:
            await self._some.wait()
            self._some.clear()
            if self._desk.fault is not None and not self._pieces:
                raise _broken()
            while self._pieces:
                number, piece = self._pieces.popleft()
                if piece.finish is not None:
                    self._left -= 1
                _raise(piece)
                yield number, piece

    def wake(self) -> None:
        """Something came; from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._some.set)

    def _receiver(self, number: int) -> Callable[[Piece], None]:
        def receive(piece: Piece) -> None:
            self._pieces.append((number, piece))
            if self._live or piece.finish is not None:
                self.wake()

        return receive


def _broken() -> HttpError:
    return HttpError(503, "The engine broke; the server's terminal says where.", code="model_failed")


def _raise(piece: Piece) -> None:
    if piece.finish == "cancelled":
        raise HttpError(503, "The server is stopping; the answer was given up.")
    if piece.finish == "error":
        if isinstance(piece.error, RequestError):
            raise HttpError(400, str(piece.error))
        raise HttpError(503, f"The answer failed: {piece.error}", code="model_failed")
