"""The parts of the client that need no network: limits, requests, replies, estimates, and the order of things."""

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runkit.chat import Answer, Failure, Reply, Request, Usage, prepare, read_body, trouble_of_status
from runkit.errors import UsageError
from runkit.ledger import Ledger
from runkit.llm_client import Client
from runkit.llm_limits import CATCH_UP_S, SHARE, Gate, GateClosed, Learned, Pace, backoff_s, retry_after_s
from runkit.llm_order import Progress, estimate, run_all, run_in_order, run_steps
from runkit.models import Model, Price
from tests.faults.server import completion, serving

MODEL = Model(name="m", url="https://x.example/v1", model="big", price=Price(prompt=1, completion=2), max_tokens=100)


def asking(text: str, **fields: Any) -> Request:
    return Request(messages=[{"role": "user", "content": text}], **fields)


def test_a_key_is_the_whole_request() -> None:
    first = prepare(asking("一"), MODEL)
    same = prepare(Request(messages=[{"content": "一", "role": "user"}]), MODEL)
    assert first.key == same.key
    others = [
        prepare(asking("二"), MODEL),
        prepare(asking("一", temperature=0.0), MODEL),
        prepare(asking("一", repetition=1), MODEL),
        prepare(asking("一"), MODEL.model_copy(update={"url": "https://y.example/v1"})),
        prepare(asking("一"), MODEL.model_copy(update={"extra_body": {"a": 1}})),
    ]
    assert len({first.key, *(other.key for other in others)}) == 6
    assert first.body == {"model": "big", "messages": [{"role": "user", "content": "一"}], "max_tokens": 100}
    assert orjson.loads(first.bytes) == first.body
    assert first.most_completion == 100
    with pytest.raises(UsageError, match="cannot be written"):
        prepare(asking("\ud800"), MODEL)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "message", "content", "usage", "finish_reason", "prompt_tokens", "error"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
@example({"error": {"choices": None, "message": ""}})
def test_no_body_is_an_empty_answer_or_an_error(value: Any) -> None:
    found, _ = read_body(orjson.dumps(value))
    if isinstance(found, Answer):
        assert found.text.strip()
        assert found.text == value["choices"][0]["message"]["content"]
    else:
        assert found.message


def test_a_good_body() -> None:
    body = orjson.dumps(completion("好的\n"))
    assert read_body(body) == (Answer("好的\n", "stop", Usage(100, 50)), Usage(100, 50))
    parts = completion("") | {"choices": [{"message": {"content": [{"type": "text", "text": "甲"}, {"text": "乙"}]}}]}
    found, _ = read_body(b"\n\n" + orjson.dumps(parts))  # some providers send blank lines while they compute
    assert isinstance(found, Answer)
    assert (found.text, found.finish_reason) == ("甲乙", None)


@pytest.mark.parametrize(
    ("status", "error", "outcome", "then"),
    [
        (429, {"code": "1302", "message": "并发数过高"}, "http_429", "retry"),
        (429, {"code": "1113", "message": "您的账户已欠费，请充值后重试"}, "quota", "stop"),
        (429, {"code": "insufficient_quota"}, "quota", "stop"),
        (400, {"code": "Arrearage", "message": "Access denied"}, "quota", "stop"),
        (
            400,
            {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"},
            "content_filter",
            "fail",
        ),
        (400, {"code": "DataInspectionFailed"}, "content_filter", "fail"),
        (400, {"message": "Content Exists Risk"}, "content_filter", "fail"),
        (400, {"message": "maximum context length is 8192 tokens"}, "http_400", "fail"),
        (401, {"message": "no"}, "http_401", "stop"),
        (402, {"message": "Insufficient Balance"}, "quota", "stop"),
        (403, {"message": "not allowed"}, "http_403", "stop"),
        (404, {"message": "no such model"}, "http_404", "stop"),
        *((status, {}, f"http_{status}", "retry") for status in (408, 409, 500, 502, 503, 504, 529)),
    ],
)
def test_what_errors_mean(status: int, error: dict[str, str], outcome: str, then: str) -> None:
    for body in (orjson.dumps({"error": error}), json.dumps({"error": error}).encode()):
        found = trouble_of_status(status, body)
        assert (found.outcome, found.then) == (outcome, then)
        assert not found.billed


def test_an_html_error_page_is_not_quoted() -> None:
    assert trouble_of_status(502, b"<!doctype html><HTML><body>Bad gateway").message == "status 502"


def test_retry_after() -> None:
    now = 1_800_000_000.0
    assert retry_after_s({"retry-after": "2.5"}, now) == 2.5
    assert retry_after_s({"retry-after-ms": "250", "retry-after": "9"}, now) == 0.25
    assert retry_after_s({"retry-after": formatdate(now + 30, usegmt=True)}, now) == 30
    assert retry_after_s({"retry-after": formatdate(now - 30, usegmt=True)}, now) == 0
    assert retry_after_s({"retry-after": "86400"}, now) == 120
    for nothing in ("", "soon", "nan", "inf", "-"):
        assert retry_after_s({"retry-after": nothing}, now) is None
    assert retry_after_s({}, now) is None


@given(st.text("0123456789abcdef", min_size=4, max_size=8), st.integers(1, 40))
def test_backoff_is_full_jitter_below_a_cap(key: str, attempt: int) -> None:
    wait = backoff_s(key, attempt, 0.5, 30)
    assert 0 <= wait <= min(30, 0.5 * 2 ** (attempt - 1))
    assert wait == backoff_s(key, attempt, 0.5, 30)


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60), st.floats(0.5, 20))
def test_a_pace_never_passes_more_than_its_rate(gaps: list[float], rate: float) -> None:
    """Whatever the arrivals: in any span at most rate · span and what may be caught up with, and one."""
    pace, now, sent = Pace(rate), 0.0, []
    for gap in gaps:
        now += gap
        now += pace.delay_s(now)
        pace.book(now, 1.0)
        sent.append(now)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            assert last - first <= rate * (sent[last] - sent[first] + CATCH_UP_S) + 1e-6


def test_tokens_are_corrected_by_what_was_used() -> None:
    pace = Pace(10.0)
    pace.book(0.0, 100.0)  # ten seconds, less what may be caught up with
    assert pace.delay_s(0.0) == pytest.approx(10 - CATCH_UP_S)
    pace.correct(-60.0)
    assert pace.delay_s(0.0) == pytest.approx(4 - CATCH_UP_S)


def simulate(limit: float, seconds: float, fault_share: float = 0.0) -> tuple[float, float]:
    """Passed a second in the second half, and the share refused, of a sender that knows no limit."""
    learned, now, level, passed, refused, late = Learned(), 0.0, 0.0, 0, 0, 0
    count = 0
    while now < seconds:
        step = max(learned.pace.delay_s(now), 0.005)
        now += step
        level = max(0.0, level - step * limit)
        learned.pace.book(now, 1.0)
        count += 1
        over = level + 1 > max(limit, 1.0) or (fault_share > 0 and count % round(1 / fault_share) == 0)
        if not over:
            level += 1
            passed += 1
            late += now > seconds / 2
        refused += over
        learned.count(now, refused=over)
    return late / (seconds / 2), refused / (passed + refused)


def test_an_unknown_limit_is_found() -> None:
    rate, refused = simulate(limit=20, seconds=300)
    assert 0.9 * 20 <= rate <= 20.5
    assert refused < 0.1


def test_refusals_that_do_not_depend_on_the_rate_do_not_slow_us_down() -> None:
    rate, _ = simulate(limit=1e9, seconds=120, fault_share=0.1)
    assert rate > 0.4 * 180  # the sender's own limit is 200 a second


def test_limits_in_headers() -> None:
    gate = Gate()
    gate.passed(0.0, 0.0, None, {"x-ratelimit-limit-requests": "600", "x-ratelimit-limit-tokens": "60000"})
    assert gate._requests.rate == pytest.approx(SHARE * 10)
    assert gate._tokens.rate == pytest.approx(SHARE * 1000)
    daily = {"x-ratelimit-limit-requests": "10000", "x-ratelimit-remaining-requests": "9999"}
    gate = Gate()
    gate.passed(0.0, 0.0, None, daily | {"x-ratelimit-reset-requests": "8.64s"})
    assert gate._requests.rate == math.inf  # 10,000 a day, not a minute
    gate.passed(0.0, 0.0, None, daily | {"x-ratelimit-reset-requests": "6ms"})
    assert gate._requests.rate == pytest.approx(SHARE * 10000 / 60)
    gate = Gate(rpm=60)
    gate.passed(0.0, 0.0, None, {"x-ratelimit-limit-requests": "600"})
    assert gate._requests.rate == pytest.approx(SHARE)  # the user's word counts
    gate.passed(0.0, 0.0, None, {"x-ratelimit-limit-requests": "many"})


def test_the_gate_lets_the_lowest_number_through_first() -> None:
    async def work() -> list[int]:
        gate = Gate(concurrency=1)
        gate.open()
        await gate.enter(0, lambda: 1)
        order: list[int] = []

        async def one(number: int) -> None:
            await gate.enter(number, lambda: 1)
            order.append(number)
            gate.leave()

        tasks = [asyncio.create_task(one(number)) for number in (5, 3, 9, 1)]
        await asyncio.sleep(0)
        gate.leave()
        await asyncio.gather(*tasks)
        waiting = asyncio.create_task(gate.enter(1, lambda: 1))
        await gate.enter(0, lambda: 1)
        gate.close()
        with pytest.raises(GateClosed):
            await waiting
        return order

    assert asyncio.run(work()) == [1, 3, 5, 9]


def test_building_and_taking_alternate_exactly(tmp_path: Path) -> None:
    """Request i is built when answer i - window was taken, and at no other moment."""
    events: list[tuple[str, int]] = []
    told: list[Progress] = []

    def build(number: int) -> Request | None:
        events.append(("build", number))
        return asking(str(number)) if number < 12 else None

    with serving() as server, Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        client = Client(MODEL.model_copy(update={"url": server.url}), ledger, concurrency=3)
        taken = run_in_order(client, build, lambda number, _: events.append(("take", number)), 5, told.append)
    expected = [("build", number) for number in range(5)]
    for number in range(12):
        expected.append(("take", number))
        if number + 5 <= 12:
            expected.append(("build", number + 5))
    assert events == expected
    assert taken == 12
    assert [one.taken for one in told] == list(range(1, 13))
    assert told[-1].spent_usd == pytest.approx(12 * (100 * 1 + 50 * 2) / 1e6)
    assert (told[-1].prompt_tokens, told[-1].completion_tokens, told[-1].done) == (1200, 600, 12)


class Digging:
    """Steps whose answers bring `each`, until `goal` is reached; every second answer has a question that follows."""

    def __init__(self, goal: int) -> None:
        self.goal, self.brought = goal, 0
        self.built: list[str] = []
        self.taken: list[list[str]] = []

    def build(self, number: int) -> Request | None:
        self.built.append(f"{number} after {len(self.taken)} bringing {self.brought}")
        return asking(self.built[-1])

    def wanted(self, number: int) -> bool:
        return self.brought + 2 * (number - len(self.taken)) < self.goal

    def follow(self, number: int, answer: Reply | Failure) -> list[Request]:
        assert isinstance(answer, Reply)
        return [asking(f"more of {answer.text}")] if number % 2 else []

    def take(self, number: int, answers: Sequence[Reply | Failure]) -> None:
        self.taken.append([answer.text for answer in answers if isinstance(answer, Reply)])
        assert len(self.taken[-1]) == 1 + number % 2
        self.brought += 2


def test_how_much_is_wanted_changes_nothing_about_what_is_asked(tmp_path: Path) -> None:
    """Requests are built ahead and held; a larger goal on the same ledger pays only for what is new."""
    small, large, alone = Digging(20), Digging(50), Digging(50)
    with serving(latency_s=0.002) as server:
        model = MODEL.model_copy(update={"url": server.url})
        counts = []
        for name, steps in (("one", small), ("one", large), ("two", alone)):
            with Ledger.open(tmp_path / f"{name}.sqlite") as ledger:
                before = len(server.log)
                run_steps(Client(model, ledger, concurrency=3), steps, 8)
                counts.append(len(server.log) - before)
    assert (len(small.taken), len(large.taken)) == (10, 25)
    assert small.built == large.built[: len(small.built)] and large.built == alone.built
    assert small.taken == large.taken[:10] and large.taken == alone.taken
    assert counts == [15, 22, 37]  # 10, then 15 more, with a question behind every second answer


def test_errors_of_the_caller_come_up_and_the_ledger_is_whole(tmp_path: Path) -> None:
    def take(number: int, answer: Reply | Failure) -> None:
        assert isinstance(answer, Reply)
        if number == 3:
            raise ZeroDivisionError

    with serving() as server, Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        model = MODEL.model_copy(update={"url": server.url})
        with pytest.raises(ZeroDivisionError):
            run_all(Client(model, ledger, concurrency=2), map(asking, "abcdefgh"), take)
        assert sum(ledger.totals().attempts.values()) == len(server.log)
        client = Client(model, ledger, concurrency=2)
        assert run_all(client, map(asking, "abcdefgh"), lambda number, answer: None) == 8
        assert run_all(client, map(asking, "abcd"), lambda number, answer: None) == 4  # a client serves many runs
        assert len(server.log) == 8


def test_an_estimate_by_hand() -> None:
    sample = [asking("x" * 100), asking("x" * 200)]
    sizes = [len(prepare(request, MODEL).bytes) for request in sample]
    found = estimate(sample, MODEL, calls=10)
    assert (found.calls, found.prompt_tokens, found.completion_tokens) == (10, round(5 * sum(sizes) / 3), 500)
    assert found.usd == pytest.approx((found.prompt_tokens * 1 + 500 * 2) / 1e6)
    assert found.most_usd == pytest.approx(5 * (sum(sizes) * 1 + 2 * 100 * 2) / 1e6)
    unknown = estimate(sample, MODEL.model_copy(update={"price": None, "max_tokens": None}), completion_tokens=7)
    assert (unknown.usd, unknown.most_usd, unknown.completion_tokens) == (None, None, 14)


def test_importing_the_client_does_not_import_openai() -> None:
    code = "import sys, runkit.llm_order; sys.exit('openai' in sys.modules or 'httpx2' in sys.modules)"
    started = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
    assert time.monotonic() - started < 10
