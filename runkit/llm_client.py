"""The only client of models: every call is in the ledger before it leaves and before its answer is used.

In: a `Model`, a `Ledger` and requests. Out: a `Reply`, or a `Failure` of this one call; what concerns all calls (a
refused key, a spent budget, an endpoint that cannot be reached) is raised. Each HTTP request is an attempt in the
ledger. A call that ended in an earlier start is answered from the ledger. Price: about 1 ms of CPU a call above the
bare SDK.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from runkit.chat import Answer, Failure, Prepared, Reply, Request, Trouble, Usage, prepare, read_body, trouble_of_status
from runkit.errors import EnvironmentFault, RefusedError, UsageError, UserError
from runkit.ledger import Call, Ended, Ledger
from runkit.llm import STALL_S, HttpReply, Wire, WireTrouble
from runkit.llm_limits import Gate, GateClosed, backoff_s, retry_after_s
from runkit.models import Model

_MOST_BAD_REPLIES: Final = 3  # to one call: each may have cost money
_FIRST_TRIES: Final = 4  # to reach an endpoint that never answered: more likely a wrong address than a short outage
_MOST_BAD_REQUESTS: Final = 8  # in a row: a 400 for every call is a wrong parameter, not a bad item
_MOST_DOWN: Final = 16  # calls in a row, each tried as often as the policy says
_OVERLOADED: Final = {408, 503, 504, 529}


@dataclass(frozen=True, slots=True)
class Policy:
    """How hard to try."""

    attempts: int = 8
    """HTTP requests for one call, at most, in one start."""
    backoff_s: float = 0.5
    """Doubled with each attempt; the wait is a random part of it."""
    backoff_most_s: float = 30.0
    retry_failed: bool = False
    """Ask again what failed in an earlier start."""
    stall_s: float = STALL_S


class Stopped(Exception):
    """This call did not leave, or was not tried again: Ctrl-C, or what `Client.halted` says."""


def check(model: Model, budget_usd: float | None) -> None:
    """UsageError: a budget for a model without a price, or a key that is missing."""
    if budget_usd is not None and model.price is None:
        raise UsageError(
            f"The price of {model.name} is not known, so a budget cannot be kept; give `price` in models.yaml."
        )
    model.key()


@dataclass(slots=True)
class Counts:
    """Of this start; `replayed` were answered from the ledger."""

    done: int = 0
    failed: int = 0
    replayed: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Client:
    """Asks one model. Made once for a run; `opened` holds the connections, within one event loop."""

    def __init__(
        self,
        model: Model,
        ledger: Ledger,
        *,
        budget_usd: float | None = None,
        concurrency: int | None = None,
        policy: Policy | None = None,
    ) -> None:
        """UsageError: as `check`."""
        check(model, budget_usd)
        self.model, self.ledger, self.budget_usd = model, ledger, budget_usd
        self.policy = policy or Policy()
        self.counts = Counts()
        self.halted: UserError | None = None
        """Why no more calls leave, if it concerns all of them."""
        self.gate = Gate(model.rpm, model.tpm, model.rps, concurrency or model.concurrency)
        self._wire = Wire(model, self.policy.stall_s)
        self._stopping = asyncio.Event()
        self._flying: dict[str, asyncio.Task[Reply | Failure]] = {}
        self._calls = 0
        self._bad_requests = 0
        self._down = 0  # calls in a row that were given up for what the endpoint did, not for what they ask
        self._reached = False  # whether the endpoint ever answered anything in this start
        self._settled = asyncio.Event()  # set and replaced whenever money may have come free
        self._tokens_per_byte, self._mean_completion = 0.35, -1.0  # -1: none seen

    @asynccontextmanager
    async def opened(self) -> "AsyncIterator[Client]":
        """For the time of a run, as often as wanted; at its end everything noted is on the disk."""
        if self.halted is not None:
            raise self.halted
        self._stopping, self._settled = asyncio.Event(), asyncio.Event()
        self.gate.open()
        try:
            yield self
        finally:
            await self._wire.close()
            await self.ledger.flush()

    def known(self, request: Request) -> Reply | Failure | None:
        """What the ledger holds for this request; None: it has to be sent."""
        found = self._recall(prepare(request, self.model).key)
        self.counts.replayed += found is not None
        return found

    async def call(self, request: Request, rank: int | None = None) -> Reply | Failure:
        """The answer to one request. The same request twice at a time is one call.

        Lower ranks go first, of equal ones the earlier call; None: earlier calls go first.

        RefusedError, EnvironmentFault: as `halted`. Stopped: see there; the attempts are in the ledger.
        """
        prepared = prepare(request, self.model)
        found = self._recall(prepared.key)
        if found is not None:
            self.counts.replayed += 1
            return found
        flying = self._flying.get(prepared.key)
        if flying is None:
            self._calls += 1
            number = self._calls if rank is None else rank
            flying = asyncio.get_running_loop().create_task(self._make(prepared, number))
            self._flying[prepared.key] = flying
            flying.add_done_callback(lambda _: self._flying.pop(prepared.key, None))
        return await flying

    def stop(self) -> None:
        """No more requests leave; those in flight are awaited by their calls."""
        self._stopping.set()
        self.gate.close()

    def abandon(self) -> None:
        """Do not wait for the calls in flight either; the next start finds them lost."""
        self.stop()
        for call in self._flying.values():
            call.cancel()

    @property
    def stopping(self) -> bool:
        """Whether no more requests leave."""
        return self._stopping.is_set()

    async def stopped(self) -> None:
        """Wait until no more requests leave."""
        await self._stopping.wait()

    async def drained(self) -> None:
        """Wait for the calls in flight."""
        await asyncio.gather(*self._flying.values(), return_exceptions=True)

    def reservation_usd(self, prepared: Prepared) -> float:
        """The most that one attempt can cost: each byte of the request a token, and the longest reply."""
        return self.model.cost_usd(len(prepared.bytes), prepared.most_completion or 0)

    def _halt(self, error: UserError) -> UserError:
        """The first reason is the one that is told."""
        self.halted = self.halted or error
        self.stop()
        return self.halted

    def _recall(self, key: str) -> Reply | Failure | None:
        call = self.ledger.find(key)
        if call is None or call.state not in ("done", "failed"):
            return None
        if call.state == "failed":
            kind: Any = call.error_kind
            return (
                None if self.policy.retry_failed and key not in self._flying else Failure(kind, call.error or "", key)
            )
        return _reply_of(call)

    async def _make(self, prepared: Prepared, number: int) -> Reply | Failure:
        if self.budget_usd is not None and prepared.most_completion is None:
            raise self._halt(UsageError("A budget needs a longest reply; set max_tokens for the model or the command."))
        call = self.ledger.plan(prepared.key, self.model.url, self.model.model, prepared.bytes)
        troubles: list[Trouble] = []
        while True:
            found, raw, wait_s = await self._attempt(prepared, call, number)
            if isinstance(found, Answer):
                ended = _ended(found, raw)
                self._bad_requests = self._down = 0
                self.counts.done += 1
                break
            troubles.append(found)
            if found.then == "stop":
                raise self._halt(self._refusal(found))
            if found.then == "fail" or self._enough(troubles):
                ended = self._given_up(troubles)
                self.counts.failed += 1
                break
            self.counts.retries += 1
            own_s = backoff_s(prepared.key, len(troubles), self.policy.backoff_s, self.policy.backoff_most_s)
            await self._sleep(max(wait_s or 0.0, own_s))
        await self.ledger.end(prepared.key, ended)
        recalled = self._recall(prepared.key)
        assert recalled is not None
        return recalled

    def _enough(self, troubles: list[Trouble]) -> bool:
        bad = sum(trouble.kind in ("bad_reply", "empty") for trouble in troubles)
        if not self._reached and troubles[-1].outcome == "unreachable":
            return len(troubles) >= min(_FIRST_TRIES, self.policy.attempts)
        return len(troubles) >= self.policy.attempts or bad >= _MOST_BAD_REPLIES

    def _given_up(self, troubles: list[Trouble]) -> Ended:
        """How a call ends without an answer; raises where all the others would end so too."""
        last = troubles[-1]
        if last.outcome == "unreachable":
            # Not the item's fault: it stays open, and the same command goes on when the endpoint is back.
            raise self._halt(
                EnvironmentFault(f"Cannot reach {self.model.url} ({last.message}); start it or correct the address.")
            )
        if last.kind == "bad_request":
            self._bad_requests += 1
            if self._bad_requests >= _MOST_BAD_REQUESTS:
                raise self._halt(self._refusal(last))
        self._down += last.kind in ("http", "timeout", "connection")
        if self._down >= _MOST_DOWN:
            # An outage is no item's fault either: the calls stay open.
            raise self._halt(
                EnvironmentFault(
                    f"{self.model.host} has not answered {_MOST_DOWN} calls in a row ({last.message}); run the same "
                    "command again when it does."
                )
            )
        tried = f" (attempt {len(troubles)})" if len(troubles) > 1 else ""
        return Ended("failed", error_kind=last.kind, error=last.message + tried)

    async def _attempt(
        self, prepared: Prepared, call: int, number: int
    ) -> tuple[Answer | Trouble, bytes, float | None]:
        """One HTTP request: what came of it, the body, and how long the endpoint asks to wait."""
        if self._stopping.is_set():
            raise self.halted or Stopped()
        try:
            sent_at, expected = await self.gate.enter(number, lambda: self._expected_tokens(prepared))
        except GateClosed:
            raise self.halted or Stopped() from None
        try:
            attempt = await self._reserve(call, self.reservation_usd(prepared))
            await self.ledger.send(call, attempt)
            if self._stopping.is_set():
                self.ledger.withdraw(attempt)
                raise self.halted or Stopped()
            try:
                http = await self._wire.post(prepared)
                self._reached = True
                found, usage, wait_s = self._judge(http, sent_at, expected, len(prepared.bytes))
                status, body = http.status, http.body
            except WireTrouble as error:
                found, usage, wait_s, status, body = error.trouble, None, None, None, b""
                if found.outcome == "timeout":
                    self.gate.overloaded()
        finally:
            self.gate.leave()
        self._settle(attempt, found, usage, status)
        return found, body, wait_s

    def _settle(self, attempt: int, found: Answer | Trouble, usage: Usage | None, status: int | None) -> None:
        billed = isinstance(found, Answer) or found.billed
        cost = 0.0 if not billed else None
        if usage is not None:
            cost = self.model.cost_usd(usage.prompt_tokens, usage.completion_tokens)
            self.counts.prompt_tokens += usage.prompt_tokens
            self.counts.completion_tokens += usage.completion_tokens
        outcome, message = ("answer", None) if isinstance(found, Answer) else (found.outcome, found.message)
        self.ledger.settle(attempt, outcome, cost, status, message)
        self._settled.set()
        self._settled = asyncio.Event()

    async def _reserve(self, call: int, usd: float) -> int:
        """Take the money for one attempt; waits while calls in flight may give some back."""
        while (attempt := self.ledger.reserve(call, usd, self.budget_usd)) is None:
            if self.ledger.in_flight == 0:
                raise self._halt(
                    RefusedError(
                        f"The budget of {self.budget_usd:g} USD leaves no room for another call: "
                        f"{self.ledger.spent_usd:.4f} are spent, and the next one may cost {usd:.4f}; raise --budget "
                        "and run the same command again."
                    )
                )
            await self._or_stopped(self._settled.wait())
        return attempt

    def _judge(
        self, http: HttpReply, sent_at: float, expected: float, request_bytes: int
    ) -> tuple[Answer | Trouble, Usage | None, float | None]:
        """What a reply means, told to the gate as well."""
        if http.status == 429:
            wait_s = retry_after_s(http.headers, time.time())
            self.gate.refused(sent_at, expected, wait_s, http.headers)
            return trouble_of_status(http.status, http.body), None, wait_s
        if not 200 <= http.status < 300:
            self.gate.passed(sent_at, expected, None, http.headers)
            if http.status in _OVERLOADED:
                self.gate.overloaded()
            return trouble_of_status(http.status, http.body), None, retry_after_s(http.headers, time.time())
        found, usage = read_body(http.body)
        used = None
        if usage is not None:
            used = float(usage.prompt_tokens + usage.completion_tokens)
            seen = usage.completion_tokens
            weight = 0.1 if self._mean_completion >= 0 else 1.0
            self._mean_completion += weight * (seen - self._mean_completion)
            self._tokens_per_byte += weight * (usage.prompt_tokens / request_bytes - self._tokens_per_byte)
        self.gate.passed(sent_at, expected, used, http.headers)
        return found, usage, None

    def _expected_tokens(self, prepared: Prepared) -> float:
        longest = prepared.most_completion or 512
        completion = min(longest, self._mean_completion) if self._mean_completion >= 0 else longest
        return len(prepared.bytes) * self._tokens_per_byte + completion

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
            raise self.halted or Stopped()

    async def _or_stopped(self, waiting: Coroutine[Any, Any, Any]) -> None:
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self._stopping.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        if self._stopping.is_set():
            raise self.halted or Stopped()

    def _refusal(self, trouble: Trouble) -> RefusedError:
        """The sentence for what no other call would get past."""
        model, said = self.model, trouble.message
        if trouble.outcome == "quota":
            return RefusedError(
                f"{model.host} says that the account may spend no more ({said}); top it up, then run again."
            )
        if trouble.outcome in ("http_401", "http_403"):
            source = model.key_env or model.key_file
            if source is None:
                return RefusedError(f"{model.host} wants a key ({said}); name it as `key_env` in models.yaml.")
            return RefusedError(f"{model.host} refused the key in {source} ({said}); set a valid one.")
        if trouble.outcome.startswith("http_3"):
            return RefusedError(f"{model.url} redirects ({said}); give the address that it leads to.")
        if trouble.kind == "bad_request":
            return RefusedError(f"{model.host} refused {_MOST_BAD_REQUESTS} requests in a row ({said}); correct them.")
        return RefusedError(
            f"{model.url} does not answer for the model {model.model} ({said}); mend the address or the model's name."
        )


def _ended(answer: Answer, raw: bytes) -> Ended:
    usage = answer.usage
    tokens = (usage.prompt_tokens, usage.completion_tokens) if usage is not None else (None, None)
    return Ended("done", raw, answer.finish_reason, *tokens)


def _reply_of(call: Call) -> Reply:
    raw = call.reply or b""
    answer, _ = read_body(raw)
    assert isinstance(answer, Answer), "only whole answers are kept as done"
    return Reply(answer.text, answer.finish_reason, answer.usage, call.cost_usd or 0.0, call.key, raw)
