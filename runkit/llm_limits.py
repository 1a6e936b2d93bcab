"""When the next request may leave: requests and tokens a minute, calls at a time, and what 429s teach about them.

In: limits from the model's entry, rate-limit headers, and the outcome of every request. Out: a `Gate` that lets
requests through in the order of their numbers. A known limit is used to 98 %, evenly spaced, because providers count
by bucket, by sliding window or by calendar minute, and an even stream fits all three. Tokens are booked as expected
and corrected when the reply tells what was used. Where no limit is known, a 429 sets the rate to what was let
through lately, and quiet time raises it again. Price: an unknown limit costs some 429s until it is found.
"""

import asyncio
import heapq
import math
import random
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

SHARE: Final = 0.98  # of a known limit: a bucket that a burst has filled must get empty again
CATCH_UP_S: Final = 0.25  # of a rate that was not used may be made up for: timers wake late
AUTO_START: Final = 4  # calls at a time where nobody says how many, until the first replies tell their limits
AUTO_MOST: Final = 256
EPOCH_S: Final = 2.0  # how long 429s are counted before the rate is changed
RETRY_AFTER_MOST_S: Final = 120.0
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


@dataclass
class Pace:
    """An even stream: units (requests or tokens) a second, booked ahead."""

    rate: float = math.inf
    next_s: float = -math.inf  # when the stream is free again

    def delay_s(self, now: float) -> float:
        """Seconds until the next request may leave."""
        return 0.0 if self.rate == math.inf else max(0.0, self.next_s - now)

    def book(self, now: float, units: float) -> None:
        """Something of this size leaves now."""
        if self.rate != math.inf:
            self.next_s = max(self.next_s, now - CATCH_UP_S) + units / self.rate

    def correct(self, units: float) -> None:
        """What was booked turned out larger (or, if negative, smaller) by so much."""
        if self.rate != math.inf:
            self.next_s += units / self.rate


@dataclass
class Learned:
    """A rate found by trying: nothing is known but which requests were refused."""

    pace: Pace = field(default_factory=Pace)
    began_s: float = -math.inf
    passed: int = 0
    refused: int = 0
    before: float = 0.0  # share refused in the epoch before, when that one slowed us down
    quiet: int = 0  # epochs without a refusal in a row
    in_vain: int = 0  # epochs in which slowing down did not help

    def count(self, now: float, refused: bool, known: float = math.inf) -> None:
        """One outcome. Epochs end by time, and not before there is something to judge by.

        `known`: requests a second by the limits that were told; a 429 in spite of them is a small correction.
        """
        if self.began_s == -math.inf:
            self.began_s = now
        self.passed += not refused
        self.refused += refused
        seconds = now - self.began_s
        if seconds < EPOCH_S or not self._enough():
            return
        share = self.refused / (self.passed + self.refused)
        if share == 0:
            # Slowly at first, for a good guess must not be overrun, then faster, for a wrong one must be mended.
            self.quiet += 1
            self.pace.rate *= 1 + 0.01 * self.quiet
            self.before = 0.0
            self.in_vain = max(0, self.in_vain - 1)
        elif share <= 0.05:
            self.quiet = 0  # near the limit, or chance; to slow down would cost more than to ask these again
        elif self.in_vain >= 2:
            self.pace.rate = math.inf  # refusals that do not depend on the rate: faults, not a limit
            self.before = 0.0
        else:
            self.quiet = 0
            self.in_vain += self.before > 0 and share > 0.7 * self.before
            self.before = share
            passed = 0.97 * max(self.passed, 0.5) / seconds
            if known < math.inf:
                passed = max(passed, 0.95 * min(known, self.pace.rate))
            self.pace.rate = max(0.05, passed)
        self.began_s, self.passed, self.refused = now, 0, 0

    def _enough(self) -> bool:
        """One or two refusals among a few calls say nothing of a rate.

        Judged by eight calls, endpoints that refuse 3 to 10 % by chance were slowed down 2 to 32 times in simulation.
        """
        calls = self.passed + self.refused
        clean = 8 if not self.before and not self.in_vain else 32  # so many in a row are chance after refusals
        return calls >= 50 or (self.refused >= 3 and calls >= 8) or (self.refused == 0 and calls >= clean)


@dataclass
class Spread:
    """Sends one after the other, a call's own CPU time apart.

    Sixty-four answers that come at once are worked on side by side, so that the next sixty-four requests leave at once
    and late, and so on for ever: measured 7 % of the rate at a latency of 1 s. Spread out once, they stay so.
    """

    next_s: float = -math.inf
    cpu_s: float = 0.002  # of a call, an average that forgets
    counted_s: float = field(default_factory=time.process_time)

    def delay_s(self, now: float) -> float:
        """Seconds until the next may leave."""
        return max(0.0, self.next_s - now)

    def book(self, now: float) -> None:
        """One leaves now."""
        spent = time.process_time()
        self.cpu_s += 0.05 * (min(spent - self.counted_s, 0.02) - self.cpu_s)
        self.counted_s = spent
        self.next_s = now + 0.8 * self.cpu_s  # below what a call costs, so this never is what limits the rate


class GateClosed(Exception):
    """No more requests leave."""


class Gate:
    """Lets requests through by number, as limits allow. All methods belong to the event loop's thread."""

    def __init__(
        self,
        rpm: float | None = None,
        tpm: float | None = None,
        rps: float | None = None,
        concurrency: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.auto = concurrency is None
        self.slots = concurrency or AUTO_START
        self.in_flight = 0
        self._clock = clock
        self._fixed = {"requests": rpm is not None, "tokens": tpm is not None}  # the user's word counts, not headers
        self._requests = Pace(SHARE * rpm / 60 if rpm else math.inf)
        self._seconds = Pace(SHARE * rps if rps else math.inf)
        self._tokens = Pace(SHARE * tpm / 60 if tpm else math.inf)
        self._learned = Learned()
        self._spread = Spread()
        self._known_from = -math.inf  # when headers told a limit
        self._hold_until = -math.inf
        self._hold_from = -math.inf
        self._waiting: list[tuple[int, int, Callable[[], float], asyncio.Future[tuple[float, float]]]] = []
        self._arrivals = 0
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._good = 0  # since the slots were last changed
        self._latest: deque[float] = deque(maxlen=512)  # when requests left, for `rate_per_min`

    @property
    def rate_per_min(self) -> float:
        """Requests that left in the last minute, scaled up while the run is younger."""
        now = self._clock()
        recent = [at for at in self._latest if now - at <= 60]
        return 60 * (len(recent) - 1) / (now - recent[0]) if len(recent) > 1 and now > recent[0] else 0.0

    async def enter(self, number: int, tokens: Callable[[], float]) -> tuple[float, float]:
        """Wait for a place and the time to send; lower numbers go first.

        `tokens` is asked at the last moment, when most is known of what a call takes. Returns the clock and its answer.
        """
        if self._closed:
            raise GateClosed
        future: asyncio.Future[tuple[float, float]] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (number, self._arrivals, tokens, future))
        self._pump()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.leave()
            raise

    def open(self) -> None:
        """Begin, in the event loop that runs now."""
        self._closed, self._timer = False, None

    def close(self) -> None:
        """Nobody else is let through: who waits, and who comes, gets GateClosed."""
        self._closed = True
        for *_, future in self._waiting:
            if not future.done():
                future.set_exception(GateClosed())
        self._waiting.clear()

    def leave(self) -> None:
        """A request is over, whatever came of it."""
        self.in_flight -= 1
        self._pump()

    def passed(self, sent_at: float, expected: float, used: float | None, headers: Mapping[str, str]) -> None:
        """The endpoint let a request through that left at `sent_at`."""
        now = self._clock()
        if used is not None:
            self._tokens.correct(used - expected)
        self._read_headers(headers)
        known = min(self._requests.rate, self._seconds.rate, self._tokens.rate / max(used or expected, 1.0))
        self._learned.count(now, refused=False, known=known)
        if sent_at > self._hold_from:
            self._hold_until = -math.inf  # a request behind the refused one passed: nobody is locked out
        self._good += 1
        if self.auto and self._good >= self.slots and self._waiting:
            self.slots, self._good = min(AUTO_MOST, 2 * self.slots), 0

    def refused(self, sent_at: float, expected: float, retry_after_s: float | None, headers: Mapping[str, str]) -> None:
        """A 429 for a request that left at `sent_at`."""
        now = self._clock()
        self._tokens.correct(-expected)
        self._read_headers(headers)
        if sent_at >= self._known_from:  # those that left before the first headers came teach nothing
            known = min(self._requests.rate, self._seconds.rate, self._tokens.rate / max(expected, 1.0))
            self._learned.count(now, refused=True, known=known)
        if retry_after_s is not None and sent_at >= self._hold_from:
            self._hold_from, self._hold_until = self._newest(), now + retry_after_s
        self._wake()

    def _newest(self) -> float:
        return self._latest[-1] if self._latest else self._clock()

    def overloaded(self) -> None:
        """A timeout or an endpoint that says it is too busy: fewer at a time, where we may choose."""
        if self.auto and self._good > 0:
            self.slots, self._good = max(1, self.slots * 3 // 4), 0

    def _paces(self, tokens: float) -> tuple[tuple[Pace, float], ...]:
        return (
            (self._requests, 1.0),
            (self._seconds, 1.0),
            (self._tokens, tokens),
            (self._learned.pace, 1.0),
        )

    def _pump(self) -> None:
        """Let through whoever may go now, and set a timer for the next."""
        while self._waiting and self.in_flight < self.slots:
            _, _, ask_tokens, future = self._waiting[0]
            if future.done():  # cancelled
                heapq.heappop(self._waiting)
                continue
            now = self._clock()
            delay = max(
                self._hold_until - now,
                self._spread.delay_s(now),
                *(pace.delay_s(now) for pace, _ in self._paces(0.0)),
            )
            if delay > 0:
                self._set_timer(delay)
                return
            heapq.heappop(self._waiting)
            tokens = ask_tokens()
            for pace, units in self._paces(tokens):
                pace.book(now, units)
            self._spread.book(now)
            self.in_flight += 1
            self._latest.append(now)
            future.set_result((now, tokens))

    def _set_timer(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # A learnt rate may rise meanwhile, so nobody sleeps longer than a few seconds.
        self._timer = asyncio.get_running_loop().call_later(min(delay_s, 5.0), self._wake)

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._pump()

    def _read_headers(self, headers: Mapping[str, str]) -> None:
        for what, pace in (("requests", self._requests), ("tokens", self._tokens)):
            if self._fixed[what]:
                continue
            limit = _number(headers.get(f"x-ratelimit-limit-{what}"))
            if limit is not None and limit > 0 and not _daily(limit, what, headers):
                if pace.rate == math.inf:
                    self._known_from, self._learned = self._clock(), Learned()
                pace.rate = SHARE * limit / 60


def retry_after_s(headers: Mapping[str, str], wall_s: float) -> float | None:
    """Seconds that a reply asks to wait, by number or date (RFC 9110, 10.2.3), at most `RETRY_AFTER_MOST_S`."""
    milliseconds = _number(headers.get("retry-after-ms"))
    value = headers.get("retry-after", "").strip()
    seconds = milliseconds / 1000 if milliseconds is not None else _number(value)
    if seconds is None and value:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - wall_s
        except (ValueError, OverflowError):
            return None
    return None if seconds is None else min(max(seconds, 0.0), RETRY_AFTER_MOST_S)


def backoff_s(key: str, attempt: int, base_s: float, most_s: float) -> float:
    """Full jitter: anything up to base · 2^(attempt-1), the same for the same call in every run."""
    return random.Random(f"{key}:{attempt}").uniform(0, min(most_s, base_s * 2.0 ** (attempt - 1)))


def _daily(limit: float, what: str, headers: Mapping[str, str]) -> bool:
    """Whether a limit is for a day: a bucket of that size refills by limit / 86,400 a second, not limit / 60."""
    remaining = _number(headers.get(f"x-ratelimit-remaining-{what}"))
    reset = _duration_s(headers.get(f"x-ratelimit-reset-{what}", ""))
    if remaining is None or reset is None or reset <= 0 or remaining >= limit:
        return False
    return 0.5 < (limit - remaining) / reset * 86_400 / limit < 2


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def _duration_s(text: str) -> float | None:
    """OpenAI's "1m30.5s" and "120ms", or plain seconds."""
    plain = _number(text)
    if plain is not None:
        return plain
    found = _DURATION.fullmatch(text.strip())
    if not text.strip() or found is None:
        return None
    days, hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
