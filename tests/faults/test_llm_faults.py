"""Rows 5 to 8, 21 and 23 for the client of models: every fault that an endpoint can make, by a real server."""

import asyncio
import json
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

from runkit.chat import Failure, Reply, Request, error_message
from runkit.console import note_verbosity, run_app
from runkit.errors import EnvironmentFault, RefusedError, UsageError
from runkit.ledger import Ledger, Totals
from runkit.llm_client import Client, Policy
from runkit.llm_order import run_all, run_in_order
from runkit.models import Model, Price
from tests.faults.launch import FULL
from tests.faults.server import COMPLETION_TOKENS, PROMPT_TOKENS, Script, Server, mixed, serving

pytestmark = pytest.mark.timeout(600 if FULL else 60)
CANARY = "sk-canary-9f8e7d6c5b4a"
NOT_AT_THE_SERVER = {"unreachable", "lost"}
PRICE = Price(prompt=10, completion=20)  # USD a million tokens
COST = PRICE.cost_usd(PROMPT_TOKENS, COMPLETION_TOKENS)


@contextmanager
def client_of(
    server: Server, path: Path, concurrency: int = 8, budget_usd: float | None = None, **options: Any
) -> Iterator[Client]:
    settings = {"price": PRICE, "max_tokens": 60, "timeout_s": 20.0} | options
    stall_s = settings.pop("stall_s", 20.0)
    model = Model(name="loop", url=server.url, model="loop", **settings)
    policy = Policy(backoff_s=0.002, backoff_most_s=0.02, stall_s=stall_s)
    with Ledger.open(path / "ledger.sqlite") as ledger:
        yield Client(model, ledger, concurrency=concurrency, budget_usd=budget_usd, policy=policy)


def ask(client: Client, calls: int) -> list[Reply | Failure]:
    taken: list[Reply | Failure] = []

    def build(number: int) -> Request | None:
        return Request(messages=[{"role": "user", "content": f"问题{number}"}]) if number < calls else None

    run_in_order(client, build, lambda number, answer: taken.append(answer))
    return taken


def at_server(totals: Totals) -> int:
    return sum(count for outcome, count in totals.attempts.items() if outcome not in NOT_AT_THE_SERVER)


def script(*faults: str) -> Script:
    """These first, then good answers."""
    return lambda number: faults[number] if number < len(faults) else "ok"


def test_mixed_faults_all_end_and_the_ledger_counts_what_the_server_saw(tmp_path: Path) -> None:
    calls = 2000 if FULL else 150
    faults = mixed(
        0.3,
        5,
        ("429", "429:0.01", "429:date", "408", "500", "502", "503")
        if FULL
        else ("429", "429:0.01", "408", "500", "502", "503"),
    )
    with serving(script=faults) as server, client_of(server, tmp_path) as client:
        taken = ask(client, calls)
        totals = client.ledger.totals()
    assert len(taken) == calls
    assert totals.calls.get("done", 0) + totals.calls.get("failed", 0) == calls
    assert at_server(totals) == len(server.log)
    seen = Counter("answer" if entry.fault == "ok" else f"http_{entry.fault[:3]}" for entry in server.log)
    assert totals.attempts == dict(seen)
    assert totals.spent_usd == pytest.approx(seen["answer"] * COST)  # a refused request costs nothing
    assert server.most_in_flight <= 8


@pytest.mark.parametrize("fault", ["429:0.3", "503:0.3", "429:date"])
def test_retry_after_is_honoured(tmp_path: Path, fault: str) -> None:
    with serving(script=script(fault)) as server, client_of(server, tmp_path) as client:
        assert isinstance(ask(client, 1)[0], Reply)
    first, second = (entry.at for entry in server.log)
    # A date has whole seconds, so it may lie only a moment ahead.
    assert second - first >= (0.0 if "date" in fault else 0.3)
    assert second - first < 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("401", "refused the key in WENHAI_TEST_KEY"),
        ("403", "refused the key"),
        ("402", "may spend no more"),
        ("quota", "may spend no more"),
        ("quota_in_reply", "may spend no more"),
        ("404", "does not answer for the model loop"),
        ("307:http://127.0.0.1:1/", "redirects"),
        ("bad", "8 requests in a row"),
    ],
)
def test_what_no_call_gets_past_stops_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    monkeypatch.setenv("WENHAI_TEST_KEY", CANARY)
    with serving(script=lambda number: fault) as server:
        with client_of(server, tmp_path, key_env="WENHAI_TEST_KEY") as client:
            with pytest.raises(RefusedError, match=words) as told:
                ask(client, 100)
            totals = client.ledger.totals()
        assert len(server.log) <= 8 * (2 if fault == "bad" else 1)
        assert at_server(totals) == len(server.log)
        assert told.value.exit_code == 5
        assert str(told.value).count(". ") == 0


@pytest.mark.parametrize(
    ("fault", "kind", "requests"),
    [
        ("content", "content_filter", 1),
        ("filter", "content_filter", 1),
        ("bad", "bad_request", 1),
        ("refusal", "refusal", 1),
        ("only_reasoning", "empty", 1),
        *((fault, "empty", 3) for fault in ("empty", "null", "no_message")),
        *((fault, "bad_reply", 3) for fault in ("bad_json", "no_choices", "null_choices", "a_list", "error_in_reply")),
        ("bomb", "bad_reply", 3),
        *((fault, "connection", 8) for fault in ("half_closed", "reset", "gone")),
        ("500", "http", 8),
    ],
)
def test_one_item_fails_and_the_others_are_answered(tmp_path: Path, fault: str, kind: str, requests: int) -> None:
    """The second question meets the fault each time it is asked."""
    with serving(answer=lambda body: "好") as server:
        server.fault_of = lambda body: fault if "问题1" in str(body) else "ok"
        with client_of(server, tmp_path, concurrency=1) as client:
            taken = ask(client, 3)
            totals = client.ledger.totals()
            again = [client.known(Request(messages=[{"role": "user", "content": f"问题{i}"}])) for i in range(3)]
    assert [type(answer) for answer in taken] == [Reply, Failure, Reply]
    failed = taken[1]
    assert isinstance(failed, Failure)
    assert failed.kind == kind
    assert len(server.log) == 2 + requests == at_server(totals)
    assert again == taken
    assert totals.calls == {"done": 2, "failed": 1}


@pytest.mark.parametrize(("fault", "kind"), [("silent", "timeout"), ("drip", "timeout"), ("stalled", "timeout")])
def test_nothing_hangs(tmp_path: Path, fault: str, kind: str) -> None:
    limits = {"stall_s": 0.1} if fault == "stalled" else {"timeout_s": 0.15}
    with serving(script=script(fault)) as server, client_of(server, tmp_path, **limits) as client:
        assert isinstance(ask(client, 1)[0], Reply)
        totals = client.ledger.totals()
    assert totals.attempts == {kind: 1, "answer": 1}
    # Nobody knows what the cut one cost, so it costs what was reserved.
    assert totals.spent_usd > COST + PRICE.cost_usd(0, 60)


def test_a_reply_of_100_mb_is_cut(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with serving(script=script("huge")) as server, client_of(server, tmp_path) as client:
        assert isinstance(ask(client, 1)[0], Reply)
        assert client.ledger.totals().attempts == {"too_large": 1, "answer": 1}
    assert server.bytes_sent < 30_000_000
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / (
        2**20 if sys.platform == "darwin" else 2**10
    )
    assert grown_mb < 150


def test_an_endpoint_that_is_not_there(tmp_path: Path) -> None:
    with serving() as server:
        pass  # its port is free now
    with client_of(server, tmp_path) as client:
        with pytest.raises(EnvironmentFault, match="Cannot reach http"):
            ask(client, 20)
        totals = client.ledger.totals()
    assert set(totals.attempts) == {"unreachable"}
    assert totals.spent_usd == 0
    assert "failed" not in totals.calls  # they are asked again by the next start


@pytest.mark.parametrize("fault", ["ok", "no_usage", "500", "reset"])
def test_the_budget_is_never_passed(tmp_path: Path, fault: str) -> None:
    budget = 40 * COST
    faults = mixed(0.5, 2, (fault,))
    with serving(script=faults) as server, client_of(server, tmp_path, budget_usd=budget) as client:
        highest = 0.0
        reserve = client.ledger.reserve

        def watched(call: int, usd: float, budget_usd: float | None) -> int | None:
            nonlocal highest
            attempt = reserve(call, usd, budget_usd)
            highest = max(highest, client.ledger.committed_usd)
            return attempt

        client.ledger.reserve = watched  # type: ignore[method-assign]
        with pytest.raises(RefusedError, match="The budget of"):
            ask(client, 1000)
        totals = client.ledger.totals()
    most = sum(COST for entry in server.log if entry.fault == "ok")
    assert most <= totals.spent_usd <= highest <= budget
    assert totals.spent_usd > 0.75 * budget
    assert at_server(totals) == len(server.log)


def test_the_budget_counts_earlier_starts_and_needs_a_price(tmp_path: Path) -> None:
    with serving() as server:
        with client_of(server, tmp_path) as client:
            ask(client, 5)
        with client_of(server, tmp_path, budget_usd=5 * COST) as client:
            assert len(ask(client, 5)) == 5  # answered from the ledger
            with pytest.raises(RefusedError, match="raise --budget"):
                ask(client, 6)
        assert len(server.log) == 5
        with (
            pytest.raises(UsageError, match="price of loop is not known"),
            client_of(server, tmp_path, budget_usd=1.0, price=None),
        ):
            pass
        with client_of(server, tmp_path, budget_usd=1.0, max_tokens=None) as client, pytest.raises(UsageError):
            ask(client, 7)


def test_the_key_is_nowhere_but_on_the_wire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The endpoint repeats it in its error; the file's key is not in the environment, so nothing else hides it."""
    caplog.set_level("DEBUG")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    file = tmp_path / "key"
    file.write_text(CANARY)
    app = typer.Typer()
    faults = ("reset", "500", "bad_json", "content", "echo_key")
    with serving(script=lambda number: faults[number % len(faults)]) as server:

        @app.command()
        def command() -> None:
            note_verbosity(2)
            with client_of(server, tmp_path, concurrency=1, key_file=file) as client:
                ask(client, 10)

        @app.callback()
        def whole() -> None:
            pass

        assert run_app(app, ["command"]) == 5
    assert {entry.authorization for entry in server.log} == {f"Bearer {CANARY}"}
    assert "org-private" not in str([entry.headers for entry in server.log])
    out, err = capfd.readouterr()
    assert "refused the key" in err
    assert "Traceback" in err
    for place in (out, err, caplog.text, *(path.read_bytes().decode("latin-1") for path in tmp_path.glob("ledger*"))):
        assert CANARY not in place
    assert "***" in err


def test_what_an_endpoint_says_cannot_command_the_terminal(tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07[red]\x1b[31mNo\x00 such\nmodel\u202e"
    body = {"error": {"message": hostile}}
    assert error_message(json.dumps(body).encode()) == "[red]No such model"


def test_the_same_request_at_the_same_time_is_one_call(tmp_path: Path) -> None:
    request = Request(messages=[{"role": "user", "content": "同一个"}])
    with serving() as server, client_of(server, tmp_path) as client:

        async def work() -> list[Reply | Failure]:
            async with client.opened():
                return list(await asyncio.gather(*(client.call(request) for _ in range(5))))

        answers = asyncio.run(work())
    assert len(server.log) == 1
    assert len(set(map(str, answers))) == 1


def test_an_outage_stops_the_run_and_leaves_its_calls_open(tmp_path: Path) -> None:
    """Calls that are given up for what the endpoint did are few; when it is back, every one gets its answer."""
    requests = [Request(messages=[{"role": "user", "content": f"第{n}问"}]) for n in range(40)]
    found: list[Reply | Failure] = []
    with serving(script=lambda number: "ok" if number < 5 else "503") as server:
        model = Model(name="m", url=server.url, model="m", max_tokens=50, price=Price(prompt=0, completion=0))

        def run(**policy: Any) -> None:
            found.clear()
            with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
                client = Client(model, ledger, concurrency=1, policy=Policy(attempts=2, backoff_s=0.001, **policy))
                run_all(client, requests, lambda _, answer: found.append(answer))

        with pytest.raises(EnvironmentFault, match=r"has not answered 16 calls in a row .*503.*; run the same command"):
            run()
        # While one call waits for its second try, others have their first.
        assert 5 + 2 * 16 <= len(server.log) <= 5 + 2 * 35
        server.script = lambda number: "ok"
        run()
        assert sum(isinstance(answer, Failure) for answer in found) == 15
        before = len(server.log)
        run(retry_failed=True)
        assert len(server.log) - before == 15 and all(isinstance(answer, Reply) for answer in found)
