"""Rows 5 to 8 and 21 for the whole command `judge compare`: an endpoint that fails in every way."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judge.cli import app
from runkit.console import run_app
from tests.faults.judge_server import court as say_as_court
from tests.faults.judge_server import nonce_of
from tests.faults.judging import CALL_USD, Court, courtroom, outputs, states
from tests.faults.launch import FULL
from tests.faults.server import mixed, once_each
from tests.faults.teaching import at_server, rows, totals

pytestmark = pytest.mark.timeout(1800 if FULL else 120)
N = 530 if FULL else 25  # 2,000 calls
HOSTILE = "\x1b]0;owned\x07\x1b[31m[red]\x9b2J\u202e[/red]"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    with courtroom() as found:
        yield found


@pytest.fixture(scope="module")
def whole(court: Court) -> Path:
    return court.run(court.folder / "whole", N)


@pytest.fixture(scope="module")
def small(court: Court) -> Path:
    return court.run(court.folder / "small", 6)


def verdicts(run: Path) -> list[dict[str, Any]]:
    return rows(run, "verdicts.jsonl")


def account(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_bytes())["accounting"]
    assert found["asked"] == found["ok"] + found["invalid"] + found["error"]
    return found


def test_a_third_of_all_requests_fails(court: Court, whole: Path) -> None:
    """The verdicts are those of a good day, and the ledger counts what the server saw."""
    court.server.script = mixed(0.3, 5, ("429", "429:0.01", "408", "500", "502", "503"))
    before = len(court.server.log)
    try:
        run = court.run(court.folder / "run", N, "--concurrency", "16")
    finally:
        court.server.script = lambda number: "ok"
    assert outputs(run) == outputs(whole)
    found = totals(run)
    seen = Counter(
        "answer" if entry.fault == "ok" else f"http_{entry.fault[:3]}" for entry in court.server.log[before:]
    )
    assert found.attempts == dict(seen)
    assert found.spent_usd == pytest.approx(seen["answer"] * CALL_USD)
    assert set(found.calls) == {"done"}
    print(f"\n{seen.total()} requests, {seen.total() - seen['answer']} faults, {found.calls['done']} calls")


REFUSED = [
    ("401", 5, "wants a key"),
    ("403", 5, "wants a key"),
    ("402", 5, "may spend no more"),
    ("quota", 5, "may spend no more"),
    ("404", 5, "does not answer for the model a"),
    ("bad", 5, "refused 8 requests in a row"),
]


@pytest.mark.parametrize(("fault", "code", "words"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_no_call_gets_past(capsys: pytest.CaptureFixture[str], fault: str, code: int, words: str) -> None:
    """One sentence, few requests, and the same command goes on when it is mended."""
    with courtroom(script=lambda number: fault) as own:
        run = own.run(own.folder / "run", 12, "--concurrency", "4", code=code)
        out, err = capsys.readouterr()
        assert out == ""
        errors = [line for line in err.splitlines() if line.startswith("Error")]
        assert len(errors) == 1 and words in errors[0] and "Traceback" not in err
        assert len(own.server.log) <= (12 if fault == "bad" else 4)
        if fault == "bad":
            assert at_server(totals(run)) == len(own.server.log)
        else:  # nothing came of it, so the folder is free for another address, key or model
            assert [file.name for file in run.iterdir()] == [".lock"]
        own.server.script = lambda number: "ok"
        own.run(run, 12, "--retry-failed")
        assert states(run)["ok"]


def test_a_judge_that_refuses_in_the_middle_keeps_what_there_is(court: Court, small: Path) -> None:
    before = len(court.server.log)
    court.server.fault_of = lambda body: "401" if nonce_of(body) and len(court.server.log) >= before + 15 else "ok"
    try:
        run = court.run(court.folder / "refused", 6, "--concurrency", "2", code=5)
    finally:
        court.server.fault_of = None
    assert len(court.server.log) - before <= 17
    found = account(run)
    assert 0 < found["asked"] < account(small)["asked"]
    court.run(run, 6)
    assert outputs(run) == outputs(small)
    assert totals(run).attempts["answer"] == totals(small).attempts["answer"]


def test_a_request_that_is_refused_for_its_content_is_one_item(court: Court) -> None:
    """Answers and verdicts that end without a text are failures with a reason, never a win and never a tie."""
    faults = {"第1题": "content", "第2题": "filter", "第3题": "only_reasoning", "第4题": "refusal", "第5题": "bad"}
    judged = {"第7题": "content", "第8题": "only_reasoning", "第12题": "refusal", "第10题": "bad", "第11题": "length"}

    def fault_of(body: dict[str, Any]) -> str:
        number = re.search("第[0-9]+题", str(body["messages"][-1]["content"]))
        assert number is not None
        return (judged if nonce_of(body) else faults).get(number[0], "ok")

    court.server.fault_of = fault_of
    try:
        run = court.run(court.folder / "content", 24)
        told = {row["question_id"]: row["state"] for row in rows(run, "answers.jsonl") if row["text"] is None}
        assert told == {"q0001": "refused", "q0002": "refused", "q0003": "empty", "q0004": "refused", "q0005": "error"}
        spoilt = {(row["question_id"], row["state"], row["fault"]) for row in verdicts(run) if row["call_id"]}
        for id, state, fault in (
            ("q0007", "invalid", "reply.filtered"),
            ("q0008", "invalid", "reply.empty"),
            ("q0012", "invalid", "reply.refused"),
            ("q0010", "error", "bad_request"),
            ("q0011", "invalid", "score.cut"),
        ):
            assert {one for one in spoilt if one[0] == id} == {(id, state, fault)}
        without = [row for row in verdicts(run) if row["state"] in ("invalid", "error")]
        assert all(row["choice"] is None and row["score_first"] is None for row in without)
        assert next(row for row in without if row["fault"] == "score.cut")["raw"]
        found = account(run)
        assert found["unanswered"] == 5 and found["pairs"] == 24 - 5
        assert found["asked"] == 2 * (found["pairs"] - found["identical"])
        with court.counted() as seen:
            court.run(run, 24)  # what failed is not asked again
            court.run(run, 24, "--max-bad", "0.01", code=6)
        assert not seen
    finally:
        court.server.fault_of = None
    court.run(run, 24, "--retry-failed")
    assert account(run)["unanswered"] == 0
    assert not [row for row in verdicts(run) if row["state"] == "error"]


@pytest.mark.parametrize("fault", ["reset", "half_closed", "bad_json", "no_choices", "empty", "no_usage", "gone"])
def test_broken_replies(court: Court, small: Path, fault: str) -> None:
    """Once each; the second try is good, and the verdicts are the same."""
    before = len(court.server.log)
    court.server.fault_of = once_each(fault, 4)
    try:
        run = court.run(court.folder / fault, 6)
    finally:
        court.server.fault_of = None
    assert outputs(run) == outputs(small)
    found = totals(run)
    # A request on a connection that the server is just closing is an attempt that it never saw.
    unseen = at_server(found) - (len(court.server.log) - before)
    assert 0 <= unseen <= found.attempts.get("connection", 0)
    assert found.spent_usd >= sum(entry.fault == "ok" for entry in court.server.log[before:]) * CALL_USD


@pytest.mark.parametrize("fault", ["huge", "bomb"])
def test_replies_that_are_too_large(court: Court, small: Path, fault: str) -> None:
    before = len(court.server.log)
    court.server.script = lambda number: fault if number == before + 14 else "ok"
    try:
        run = court.run(court.folder / fault, 6, "--concurrency", "1")
    finally:
        court.server.script = lambda number: "ok"
    assert totals(run).attempts["too_large"] == 1
    assert outputs(run) == outputs(small)


@pytest.mark.parametrize("fault", ["silent", "drip", "stalled"])
def test_replies_that_never_end(court: Court, fault: str) -> None:
    """One among the answers and one among the verdicts."""
    before = len(court.server.log)
    court.server.script = lambda number: fault if number in (before + 1, before + 9) else "ok"
    models = court.models(timeout_s=0.3)
    try:
        run = court.run(court.folder / f"never-{fault}", 4, "--models", models, "--concurrency", "1")
    finally:
        court.server.script = lambda number: "ok"
    assert totals(run).attempts["timeout"] >= 2
    assert set(totals(run).calls) == {"done"}


def test_an_endpoint_that_never_answers_a_verdict(court: Court) -> None:
    """Each call of a judge ends as an error of its own; no verdict stands in for it."""
    models = court.models(timeout_s=0.2)
    court.server.fault_of = lambda body: "no_choices" if nonce_of(body) else "ok"
    try:
        run = court.run(court.folder / "mute", 4, "--models", models)
    finally:
        court.server.fault_of = None
    found = account(run)
    assert found["ok"] == found["invalid"] == 0 < found["error"]
    assert found["reasons"] == {"bad_reply": found["error"]}
    assert found["incomplete"] == found["pairs"] - found["identical"]


def test_a_server_that_is_not_there(court: Court, capsys: pytest.CaptureFixture[str]) -> None:
    with courtroom() as gone:
        models = gone.models().rename(court.folder / "nobody.yaml")
    run = court.run(court.folder / "nobody", 4, "--models", models, "--concurrency", "2", code=4)
    err = capsys.readouterr().err
    assert err.count("Error: Cannot reach http://127.0.0.1:") == 1 and "Traceback" not in err
    assert [file.name for file in run.iterdir()] == [".lock"]


def test_a_budget_needs_a_price(court: Court, capsys: pytest.CaptureFixture[str]) -> None:
    out = court.folder / "unpriced"
    with court.counted() as seen:
        court.run(out, 4, "--models", court.models(price=None), "--budget", "1", code=2)
        assert "price of a is not known" in capsys.readouterr().err
        assert run_app(app, court.words(out, 4, "--budget", "0.0001")) == 5
    assert not seen
    err = capsys.readouterr().err
    assert "The budget of 0.0001 USD leaves no room for another call: 0.0000 are spent" in err
    assert err.index("About 16 calls") < err.index("The budget of")


def test_texts_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither answers nor a judge's reasons, nor what the endpoint says; markup is shown as it is."""
    with courtroom(answer=lambda body: HOSTILE + say_as_court(body)) as own:
        run = own.run(own.folder / "run", 8)
        assert run_app(app, ["report", str(run)]) == 0
        own.server.script = lambda number: "404"
        own.run(own.folder / "refused", 8, code=5)
        out, err = capsys.readouterr()
        assert not CONTROL.search(out + err), repr(CONTROL.search(out + err))
        assert not CONTROL.search((run / "report.html").read_text("utf-8"))
        assert HOSTILE in rows(run, "answers.jsonl")[0]["text"]  # data is kept as it came
        assert states(run)["ok"]
