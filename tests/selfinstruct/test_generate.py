"""`selfinstruct generate` from seeds to items, against the loopback teacher: what is kept, where it comes from, and
that timing, starts and the size of the set change none of it."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from rapidfuzz.distance import LCSseq

from runkit.ledger import Ledger
from selfinstruct import generate as generating
from selfinstruct.kinds import BY_KEY
from selfinstruct.novelty import tokens_of
from selfinstruct.prompts import SCHEMA, VERSION
from tests.faults.teacher import said, teach
from tests.faults.teaching import CALL_USD, SEEDS, School, outputs, rows, school, totals
from tests.faults.texts import text

N = 300


@pytest.fixture(scope="module")
def lesson() -> Iterator[School]:
    with school() as found:
        yield found


@pytest.fixture(scope="module")
def whole(lesson: School) -> Path:
    return lesson.run(lesson.folder / "whole", N, "--concurrency", "8")


def seeds() -> dict[str, str]:
    return {seed["id"]: seed["instruction"] for seed in map(json.loads, SEEDS.read_text("utf-8").splitlines())}


def test_every_item_says_where_it_comes_from(whole: Path) -> None:
    items = rows(whole)
    assert len(items) == N
    assert len({item["id"] for item in items}) == N
    known = set(seeds())
    with Ledger.open(whole / "ledger.sqlite") as ledger:
        asked = {key: orjson.loads(body) for key, body in ledger._reader.execute("SELECT key, request FROM calls")}
        for item in items:
            call = ledger.find(item["call_id"])
            assert call is not None and call.state == "done" and call.reply is not None
            reply = orjson.loads(call.reply)["choices"][0]["message"]["content"]
            assert item["instruction"] in reply and json.dumps(item["output"], ensure_ascii=False)[1:-1] in reply
            body = asked[item["call_id"]]
            messages = [{"role": one["role"], "content": one["content"]} for one in body["messages"]]
            assert body["response_format"] == SCHEMA
            shown = orjson.dumps([VERSION, messages, SCHEMA])
            assert item["prompt_sha256"] == hashlib.sha256(shown).hexdigest()
            assert BY_KEY[item["category"]].chinese in said(body) and item["topic"] in said(body)
            assert item["model"] == "loop"
            assert item["seed_ids"] and set(item["seed_ids"]) <= known
            known.add(item["id"])  # a later item may have it as an example


def test_the_nearest_is_the_nearest(whole: Path) -> None:
    """By plain arithmetic over every seed and every item before."""
    cut = tokens_of("char")
    before = {name: cut(words) for name, words in seeds().items()}
    for number, item in enumerate(rows(whole)):
        own = cut(item["instruction"])
        if number % 10 == 0:
            scores = {
                name: 2 * LCSseq.similarity(own, other) / (len(own) + len(other)) for name, other in before.items()
            }
            best = max(scores.values())
            assert item["nearest_rouge_l"] == round(best, 4) <= 0.7
            assert item["nearest"] == next(name for name, score in scores.items() if score == best)
        before[item["id"]] = own


def test_what_is_rejected_has_its_reasons(whole: Path) -> None:
    rejected = rows(whole, "rejected.jsonl")
    summary = json.loads((whole / "summary.json").read_bytes())
    assert summary["rejected"] == len(rejected) > 20
    assert all(item["reasons"] for item in rejected)
    assert Counter(reason for item in rejected for reason in item["reasons"]) == summary["reasons"]
    assert {"refusal", "arithmetic", "placeholder", "personal", "loop", "parse.no_output", "cannot_do"} <= set(
        summary["reasons"]
    )
    kept = {item["id"] for item in rows(whole)}
    assert not kept & {item["id"] for item in rejected if "id" in item}


def test_kinds_are_balanced(lesson: School, whole: Path) -> None:
    counts = Counter(item["category"] for item in rows(whole))
    assert set(counts) == set(BY_KEY)
    assert all(count == pytest.approx(N / 12, abs=8) for count in counts.values()), counts  # two requests' worth
    weights = lesson.run(lesson.folder / "weights", 120, "-s", "kinds={math: 3, chat: 1}")
    assert Counter(item["category"] for item in rows(weights)) == pytest.approx({"math": 90, "chat": 30}, abs=4)


def test_a_kind_that_yields_little_is_asked_more_often() -> None:
    def poor(body: dict[str, Any]) -> str:
        reply = teach(body)
        items = json.loads(reply)["items"] if reply.endswith("]}") else []
        return json.dumps({"items": items[:1]}) if "类别：数学" in said(body) and items else reply

    with school(answer=poor) as lesson:
        run = lesson.run(lesson.folder / "run", 150, "-s", "kinds={math: 1, chat: 1, code: 1}", "-s", "window=8")
        counts = Counter(item["category"] for item in rows(run))
        assert all(count == pytest.approx(50, abs=6) for count in counts.values()), counts
        asked = Counter("数学" in said(entry.body).partition("——")[0] for entry in lesson.server.log)
    assert asked[True] > asked[False]


@pytest.mark.parametrize("at_once", [1, 64])
def test_calls_at_a_time_change_nothing(lesson: School, whole: Path, at_once: int) -> None:
    run = lesson.run(lesson.folder / f"at-once-{at_once}", N, "--concurrency", str(at_once))
    assert outputs(run) == outputs(whole)


def test_the_same_seed_is_the_same_set_and_another_is_not(lesson: School, whole: Path) -> None:
    again = lesson.run(lesson.folder / "again", N)
    assert outputs(again) == outputs(whole)
    other = lesson.run(lesson.folder / "other", 60, "--seed", "7")
    ours = {item["instruction"] for item in rows(whole)}
    assert len(ours & {item["instruction"] for item in rows(other)}) < 3


def test_a_second_start_pays_for_nothing(lesson: School, whole: Path) -> None:
    before = outputs(whole)
    with lesson.counted() as seen:
        lesson.run(whole, N)
    assert not seen
    assert outputs(whole) == before


@pytest.mark.parametrize("phases", [(), ("--two-phase",)])
def test_more_items_begin_with_the_same(lesson: School, phases: tuple[str, ...]) -> None:
    """Up to any size, in one run directory as in several; what was paid for is used."""
    run = lesson.folder / f"grown-{len(phases)}"
    found: list[bytes] = []
    with lesson.counted() as grown:
        for n in (20, 150, 330):
            lesson.run(run, n, *phases)
            found.append((run / "instructions.jsonl").read_bytes())
            assert len(rows(run)) == n
    assert found[1].startswith(found[0]) and found[2].startswith(found[1])
    assert sum(totals(run).attempts.values()) == grown.total() == sum(totals(run).calls.values())
    once = lesson.run(lesson.folder / f"once-{len(phases)}", 330, *phases)
    assert (once / "instructions.jsonl").read_bytes() == found[2]


def bodies(lesson: School, before: int) -> list[dict[str, Any]]:
    return [entry.body for entry in lesson.server.log[before:]]


@pytest.mark.parametrize(("structured", "probes", "schemas"), [("auto", 1, True), ("on", 0, True), ("off", 0, False)])
def test_the_form_of_answers(lesson: School, structured: str, probes: int, schemas: bool) -> None:
    before = len(lesson.server.log)
    run = lesson.run(lesson.folder / structured, 24, "-s", f"structured={structured}")
    asked = bodies(lesson, before)
    assert sum("请编写" not in said(body) for body in asked) == probes
    assert {"response_format" in body for body in asked} == {schemas}
    assert json.loads((run / "summary.json").read_bytes())["requests"]["structured"] == schemas
    assert len(rows(run)) == 24


@pytest.mark.parametrize("how", ["refuses", "ignores"])
def test_an_endpoint_without_schemas_is_asked_for_lists(how: str) -> None:
    def plain(body: dict[str, Any]) -> str:
        return "好的，蓝色。" if "response_format" in body else teach(body)

    with school(answer=plain) as lesson:
        if how == "refuses":
            lesson.server.fault_of = lambda body: "bad" if "response_format" in body else "ok"
        run = lesson.run(lesson.folder / "run", 24)
        assert sum("response_format" in entry.body for entry in lesson.server.log) == 1
        assert len(rows(run)) == 24
        told = json.loads((run / "summary.json").read_bytes())["requests"]
    assert (told["structured"], told["failed"]) == (False, 0)


def test_two_phases(lesson: School) -> None:
    before = len(lesson.server.log)
    run = lesson.run(lesson.folder / "phases", 60, "--two-phase")
    asked = bodies(lesson, before)
    tasks = [body for body in asked if "输出一律" in said(body)]
    answers = [body for body in asked if "请编写" not in said(body) and "response_format" not in body]
    assert len(tasks) + len(answers) + 1 == len(asked)
    assert {body["temperature"] for body in tasks} == {0.9} and {body["temperature"] for body in answers} == {0.3}
    texts = {body["messages"][-1]["content"] for body in answers}
    for item in rows(run):
        assert (f"{item['instruction']}\n\n{item['input']}" if item["input"] else item["instruction"]) in texts
        assert item["call_id"] != item["task_call_id"]


def documents(folder: Path) -> Path:
    rng = random.Random(3)
    file = folder / "documents.jsonl"
    lines = [json.dumps({"id": f"d{n}", "text": text(rng, 8), "title": f"第{n}篇"}) for n in range(40)]
    file.write_text("\n".join(lines), "utf-8")
    return file


@pytest.mark.parametrize("phases", [(), ("--two-phase",)])
def test_tasks_about_documents(lesson: School, tmp_path: Path, phases: tuple[str, ...]) -> None:
    file = documents(tmp_path)
    texts = {line["text"].strip() for line in map(json.loads, file.read_text("utf-8").splitlines())}
    run = lesson.run(lesson.folder / f"documents-{len(phases)}", 60, "--from-docs", file, *phases)
    about = [item for item in rows(run) if "document_ids" in item]
    kinds = {kind.key for kind in BY_KEY.values() if kind.from_document}
    assert {item["category"] for item in about} == kinds
    assert len(about) == sum(item["category"] in kinds for item in rows(run))
    assert all(item["input"] in texts for item in about)
    assert len({item["document_ids"][0] for item in about}) > 4


def test_a_dry_run_sends_and_writes_nothing(lesson: School, capsys: pytest.CaptureFixture[str]) -> None:
    out = lesson.folder / "dry"
    with lesson.counted() as seen:
        lesson.run(out, 1000, "--dry-run", "--json", "--two-phase")
    assert not seen
    assert not out.exists()
    told = json.loads(capsys.readouterr().out)
    assert told["calls"] > 1000 and 0 < told["usd"] < told["most_usd"]
    assert (told["n"], told["seeds"]) == (1000, len(seeds()))


@pytest.mark.parametrize("phases", [(), ("--two-phase",), ("-s", "structured=off")])
def test_the_estimate_comes_first_and_is_near(
    lesson: School, monkeypatch: pytest.MonkeyPatch, phases: tuple[str, ...]
) -> None:
    """Within a factor of two of the bytes that were sent, once the prompts' tokens are counted as the estimate does."""
    told: list[tuple[int, str]] = []
    monkeypatch.setattr(generating, "say", lambda words: told.append((len(lesson.server.log), words)))
    before = len(lesson.server.log)
    lesson.run(lesson.folder / f"estimate-{'-'.join(phases)}", 120, *phases, "--seed", "3")
    at, words = told[0]
    assert at == before and words.startswith("For 120 items about ")
    calls, tokens = (int(part.replace(",", "")) for part in (words.split()[4], words.split()[6]))
    sent = [len(orjson.dumps(body)) / 3 for body in bodies(lesson, before)]
    assert 0.7 < calls / len(sent) < 2
    assert 0.7 < tokens / sum(sent) < 2


def test_a_budget_that_is_raised(lesson: School, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = lesson.folder / "budget"
    for calls, code in ((30, 5), (50, 5), (10_000, 0)):
        budget = calls * CALL_USD + 0.1  # what one call reserves
        with lesson.counted() as seen:
            lesson.run(run, N, "--budget", f"{budget:.6f}", code=code)
        err = capsys.readouterr().err
        spent = totals(run).spent_usd
        assert spent == pytest.approx(sum(totals(run).attempts.values()) * CALL_USD)
        if code:
            assert spent <= budget and seen.total() > 0
            assert "raise --budget and run the same command again" in err
            stopped = json.loads((run / "summary.json").read_bytes())["stopped"]
            assert "The budget of" in stopped
            assert 0 < len(rows(run)) < N and (run / "report.html").is_file()
    assert outputs(run) == outputs(whole)


def test_what_the_json_says(lesson: School, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lesson.run(whole, N, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["kept"], told["n"], told["run"], told["stopped"]) == (N, N, str(whole), None)
    assert told["calls"]["spent_usd"] == pytest.approx(sum(told["calls"]["attempts"].values()) * CALL_USD)
    assert told["calls"]["cost_usd"] == told["calls"]["spent_usd"]
