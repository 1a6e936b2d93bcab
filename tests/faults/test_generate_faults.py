"""Rows 5 to 8 and 21 for the whole command `selfinstruct generate`: an endpoint that fails in every way."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from runkit.console import run_app
from selfinstruct.cli import app
from tests.faults.launch import FULL
from tests.faults.server import mixed, once_each
from tests.faults.teacher import teach
from tests.faults.teaching import CALL_USD, School, at_server, outputs, rows, school, totals

pytestmark = pytest.mark.timeout(1800 if FULL else 60)
N = 6800 if FULL else 100  # 2,000 calls
HOSTILE = "\x1b]0;owned\x07\x1b[31m[red]\x9b2J\u202e[/red]"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def lesson() -> Iterator[School]:
    with school() as found:
        yield found


def test_a_third_of_all_requests_fails(lesson: School) -> None:
    """The set is that of a good day, and the ledger counts what the server saw."""
    whole = lesson.run(lesson.folder / "whole", N)
    lesson.server.script = mixed(0.3, 5, ("429", "429:0.01", "408", "500", "502", "503"))
    before = len(lesson.server.log)
    try:
        run = lesson.run(lesson.folder / "run", N, "--concurrency", "16")
    finally:
        lesson.server.script = lambda number: "ok"
    assert outputs(run) == outputs(whole)
    found = totals(run)
    seen = Counter(
        "answer" if entry.fault == "ok" else f"http_{entry.fault[:3]}" for entry in lesson.server.log[before:]
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
    ("404", 5, "does not answer for the model loop"),
    ("bad", 5, "refused 8 requests in a row"),
]


@pytest.mark.parametrize(("fault", "code", "words"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_no_call_gets_past(capsys: pytest.CaptureFixture[str], fault: str, code: int, words: str) -> None:
    """One sentence, few requests, and the same command goes on when it is mended."""
    with school(script=lambda number: fault) as lesson:
        run = lesson.run(lesson.folder / "run", 12, "--concurrency", "4", code=code)
        out, err = capsys.readouterr()
        assert out == ""
        errors = [line for line in err.splitlines() if line.startswith("Error")]
        assert len(errors) == 1 and words in errors[0] and "Traceback" not in err
        assert len(lesson.server.log) <= (12 if fault == "bad" else 4)
        if fault == "bad":
            assert at_server(totals(run)) == len(lesson.server.log)
        else:  # nothing came of it, so the folder is free for another address, key or model
            assert [file.name for file in run.iterdir()] == [".lock"]
        lesson.server.script = lambda number: "ok"
        lesson.run(run, 12)
        assert len(rows(run)) == 12


def test_a_refusal_in_the_middle_keeps_what_there_is(lesson: School) -> None:
    whole = lesson.run(lesson.folder / "unrefused", 40)
    before = len(lesson.server.log)
    lesson.server.script = lambda number: "ok" if number < before + 6 else "401"
    try:
        run = lesson.run(lesson.folder / "refused", 40, "--concurrency", "4", code=5)
    finally:
        lesson.server.script = lambda number: "ok"
    assert 6 <= len(lesson.server.log) - before <= 10
    assert totals(run).calls["done"] == 6 and (run / "report.html").is_file()
    assert json.loads((run / "summary.json").read_bytes())["stopped"].startswith("127.0.0.1:")
    lesson.run(run, 40)
    assert outputs(run) == outputs(whole)
    assert totals(run).attempts["answer"] == totals(whole).attempts["answer"]


def test_a_request_that_is_refused_for_its_content_is_one_item(lesson: School) -> None:
    """Those about one topic are refused, others end cut or empty; all of them are failures with a reason."""
    faults = {"家居": "content", "学校": "filter", "求职": "only_reasoning", "办公": "refusal"}

    def fault_of(body: dict[str, Any]) -> str:
        topic = re.search("题材：(.+?)·", str(body["messages"]))
        return faults.get(topic[1], "ok") if topic else "ok"

    lesson.server.fault_of = fault_of
    try:
        run = lesson.run(lesson.folder / "content", 100)
        failures = rows(run, "failures.jsonl")
        assert {failure["kind"] for failure in failures} <= {"content_filter", "empty", "refusal"} and failures
        assert len(failures) == totals(run).calls["failed"]
        assert len(rows(run)) == 100
        assert not [item for item in rows(run) if item["topic"].partition("·")[0] in faults]
        with lesson.counted() as seen:
            lesson.run(run, 100)  # what failed is not asked again
            lesson.run(run, 100, "--max-bad", "0.01", code=6)
        assert not seen
    finally:
        lesson.server.fault_of = None


@pytest.mark.parametrize("fault", ["reset", "half_closed", "bad_json", "no_choices", "empty", "no_usage", "gone"])
def test_broken_replies(lesson: School, fault: str) -> None:
    """Once each; the second try is good, and the set is the same."""
    whole = lesson.run(lesson.folder / "good", 12)
    before = len(lesson.server.log)
    lesson.server.fault_of = once_each(fault, 4)
    try:
        run = lesson.run(lesson.folder / fault, 12)
    finally:
        lesson.server.fault_of = None
    assert outputs(run) == outputs(whole)
    found = totals(run)
    # A request on a connection that the server is just closing is an attempt that it never saw.
    unseen = at_server(found) - (len(lesson.server.log) - before)
    assert 0 <= unseen <= found.attempts.get("connection", 0)
    # What nobody knows the price of costs what was reserved: more than it can have cost.
    assert found.spent_usd >= sum(entry.fault == "ok" for entry in lesson.server.log[before:]) * CALL_USD


@pytest.mark.parametrize(("fault", "limits"), [("silent", {"timeout_s": 0.2}), ("drip", {"timeout_s": 0.2})])
def test_replies_that_never_end(lesson: School, fault: str, limits: dict[str, float]) -> None:
    before = len(lesson.server.log)
    lesson.server.script = lambda number: fault if number == before + 1 else "ok"
    try:
        run = lesson.run(lesson.folder / fault, 4, "--models", lesson.models(**limits))
    finally:
        lesson.server.script = lambda number: "ok"
    assert totals(run).attempts["timeout"] == 1
    assert len(rows(run)) == 4


def test_a_server_that_is_not_there(lesson: School, capsys: pytest.CaptureFixture[str]) -> None:
    with school() as gone:
        models = gone.models()
        models = models.rename(lesson.folder / "nobody.yaml")
    run = lesson.run(lesson.folder / "nobody", 4, "--models", models, "--concurrency", "2", code=4)
    err = capsys.readouterr().err
    assert err.count("Error: Cannot reach http://127.0.0.1:") == 1 and "Traceback" not in err
    assert [file.name for file in run.iterdir()] == [".lock"]


def test_a_budget_needs_a_price(lesson: School, capsys: pytest.CaptureFixture[str]) -> None:
    free = lesson.models(price=None)
    out = lesson.folder / "unpriced"
    with lesson.counted() as seen:
        lesson.run(out, 4, "--models", free, "--budget", "1", code=2)
        assert "price of loop is not known" in capsys.readouterr().err
        assert run_app(app, lesson.words(out, 4, "--budget", "0.0001")) == 5
    assert not seen
    assert "The budget of 0.0001 USD leaves no room for another call: 0.0000 are spent" in capsys.readouterr().err


def hostile(body: dict[str, Any]) -> str:
    """Control sequences and markup in every text of a reply."""
    reply = json.loads(teach(body)) if "response_format" in body else {}
    for item in reply.get("items", ()):
        item["instruction"] = f"{HOSTILE}写{item['instruction']}{HOSTILE}"
        item["output"] += HOSTILE
    return json.dumps(reply, ensure_ascii=False)


def test_texts_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a model's texts nor what the endpoint says of its errors; markup is shown as it is."""
    with school(answer=lambda body: hostile(body)) as lesson:
        run = lesson.run(lesson.folder / "run", 20)
        assert run_app(app, ["stats", str(run)]) == 0
        lesson.server.script = lambda number: "404"
        lesson.run(lesson.folder / "refused", 20, code=5)
        out, err = capsys.readouterr()
        assert not CONTROL.search(out + err), repr(CONTROL.search(out + err))
        page = (run / "report.html").read_text("utf-8")
        assert "[red]" in page
        assert not CONTROL.search(page), repr(CONTROL.search(page))
        assert HOSTILE[0] in rows(run)[0]["instruction"]  # data is kept as it came
