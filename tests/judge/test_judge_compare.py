"""`judge compare`, `answer`, `export` and `selftest` as commands: what they write, say and refuse."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judge.cli import app
from judge.export import preferred
from judge.records import Verdict
from judge.selftest import CHECKS, trials
from judge.selftest_cases import ATTACKS, CASES
from runkit.console import run_app
from tests.faults.checks import assert_one_sentence
from tests.faults.judge_server import court as say_as_court
from tests.faults.judge_server import fenced, nonce_of
from tests.faults.judging import Court, courtroom, states, write_answers
from tests.faults.teaching import rows

N = 12


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    with courtroom() as found:
        folder = found.folder
        ids = [f"q{number:04}" for number in range(N)]
        write_answers(folder / "one.jsonl", {id: f"第一种回答{id}" for id in ids})
        write_answers(folder / "two.jsonl", {id: f"第二种回答{id}" for id in ids})
        (folder / "foreign").mkdir()
        (folder / "foreign" / "letter.txt").write_text("dear", "utf-8")
        (folder / "file").write_text("a file", "utf-8")
        (folder / "bad.yaml").write_text("a: [\n", "utf-8")
        (folder / "empty.jsonl").write_bytes(b"")
        (folder / "nothing").mkdir()
        yield found


CALLS: list[tuple[str, str, int, str]] = [
    ("one system", "@one.jsonl", 2, "One system alone cannot be compared"),
    ("twice", "@one.jsonl @one.jsonl", 2, "Two systems are called one"),
    ("no judge there", "@one.jsonl @two.jsonl --judge nobody", 2, "nobody is not known"),
    ("a file that judges", "@one.jsonl @two.jsonl --judge @one.jsonl", 2, "is a file of answers"),
    ("no questions", "@one.jsonl @two.jsonl --questions @none.jsonl", 2, "none.jsonl does not exist"),
    ("empty questions", "@one.jsonl @two.jsonl --questions @empty.jsonl", 3, "empty"),
    ("answers to other questions", "@one.jsonl @two.jsonl --questions @other.jsonl", 3, "none to these questions"),
    ("a folder of nothing", "@one.jsonl @nothing", 3, "a folder without answers and without a model"),
    ("grammar", "@one.jsonl @two.jsonl --grammar stars", 2, "stars"),
    ("samples", "@one.jsonl @two.jsonl --samples 0", 2, "--samples"),
    ("setting", "@one.jsonl @two.jsonl -s sample=3", 2, "did you mean `samples`"),
    ("pairs", "@one.jsonl @two.jsonl c=@one.jsonl -s pairs=reference", 2, "give --reference"),
    ("models", "@one.jsonl a --models @bad.yaml", 2, "bad.yaml, line 2"),
    ("budget", "@one.jsonl @two.jsonl --budget -1", 2, "--budget"),
    ("no price", "@one.jsonl @two.jsonl --judge m@{url} --budget 1", 2, "price of m@"),
    ("concurrency", "@one.jsonl @two.jsonl --concurrency many", 2, "many"),
    ("flag", "@one.jsonl @two.jsonl --judgge x", 2, "Did you mean --judge"),
    ("max bad", "@one.jsonl @two.jsonl --max-bad 3", 2, "--max-bad 3"),
    ("foreign folder", "@one.jsonl @two.jsonl --out @foreign", 3, "is not empty and no run directory"),
    ("a file as folder", "@one.jsonl @two.jsonl --out @file", 2, "not a folder"),
]


@pytest.mark.parametrize(("call", "code", "words"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_a_wrong_call(
    court: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str], call: str, code: int, words: str
) -> None:
    (court.folder / "other.jsonl").write_text('{"id": "z", "text": "问"}\n', "utf-8")
    words_of = [word if "{url}" in word else word.replace("@", f"{court.folder}/", 1) for word in call.split()]
    line = ["compare", *(word.replace("{url}", court.server.url) for word in words_of)]
    out = tmp_path / "run"
    usual = {"--questions": court.questions(N), "--judge": "overlap", "--out": out, "--models": court.models()}
    for flag, value in usual.items():
        if flag not in line:
            line += [flag, str(value)]
    with court.counted() as seen:
        found = run_app(app, line)
    assert not seen
    said = capsys.readouterr()
    err = "\n".join(one for one in said.err.splitlines() if not one.startswith("Usage"))
    if words != "none to these questions":
        assert_one_sentence(found, code, said.out, err, words)
    assert found == code and words in said.err
    assert not out.exists() or not [*out.glob("[!.]*")]


def test_a_dry_run_writes_and_sends_nothing(court: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with court.counted() as seen:
        court.run(tmp_path / "run", N, "--dry-run", "--json", "--samples", "2")
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["calls"] == 2 * N + 4 * N and found["pairs"] == 1 and found["reference"] == "b"
    assert found["usd"] and found["most_usd"] > found["usd"]
    assert "Nothing was written or sent" in err
    assert not seen and not (tmp_path / "run").exists()


def test_two_files_without_any_model(court: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(court.folder / name) for name in ("one.jsonl", "two.jsonl")]
    line = ["compare", *files, "--questions", str(court.questions(N)), "--judge", "overlap", "--out"]
    with court.counted() as seen:
        assert run_app(app, [*line, str(tmp_path / "run"), "--json", "-q"]) == 0
    assert not seen
    out, err = capsys.readouterr()
    account = json.loads(out)["accounting"]
    assert account["reasons"] == {"overlap.no_reference": 2 * 4}
    assert account["asked"] == 2 * N == account["ok"] + 8
    assert "overlap is a weak baseline" in err and "4 questions without one" in err
    assert run_app(app, [*line, str(tmp_path / "strict"), "--max-bad", "0.2"]) == 6


def test_orders_and_samples(court: Court, tmp_path: Path) -> None:
    run = court.run(tmp_path / "run", N, "--samples", "3")
    found = rows(run, "verdicts.jsonl")
    judged = [row for row in found if row["state"] != "identical"]
    same = len(found) - len(judged)
    assert same and len(judged) == 2 * 3 * (N - same)
    keys = [(row["question_id"], row["first"], row["sample"]) for row in judged]
    assert keys == sorted(keys) and len(set(keys)) == len(keys)
    assert len({row["nonce"] for row in judged}) == len(judged)


def test_exchanged_systems_ask_nothing_new(court: Court, tmp_path: Path) -> None:
    """The prompts do not depend on the order in which the systems were named."""
    run = court.run(tmp_path / "run", N)
    before = rows(run, "verdicts.jsonl")
    line = court.words(tmp_path / "back", N)
    line[1:3] = ["b", "a"]
    assert run_app(app, line) == 0
    after = rows(tmp_path / "back", "verdicts.jsonl")
    key = ("question_id", "first", "second", "nonce", "raw", "call_id")
    assert {tuple(row[name] for name in key) for row in before if row["call_id"]} == {
        tuple(row[name] for name in key) for row in after if row["call_id"]
    }


def test_three_systems_two_judges_three_way(court: Court, tmp_path: Path) -> None:
    line = court.words(tmp_path / "run", N, "--grammar", "three-way", "--judge", "overlap", "--reference", "b")
    line.insert(3, f"third={court.folder / 'one.jsonl'}")
    assert run_app(app, line) == 0
    found = rows(tmp_path / "run", "verdicts.jsonl")
    assert {row["judge"] for row in found} == {"referee", "overlap"}
    assert {frozenset((row["first"], row["second"])) for row in found} == {
        *(frozenset(pair) for pair in (("a", "b"), ("a", "third"), ("b", "third")))
    }
    assert all(row["score_first"] is None for row in found)
    assert {row["choice"] for row in found if row["state"] == "ok"} >= {"first", "second"}
    summary = json.loads((tmp_path / "run" / "summary.json").read_bytes())
    assert summary["reference"] == "b" and summary["bradley_terry"] and summary["agreement"]


def test_a_reference_that_is_one_more(court: Court, tmp_path: Path) -> None:
    out = tmp_path / "run"
    court.run(out, N, "--reference", f"third={court.folder / 'one.jsonl'}", "-s", "pairs=reference")
    pairs = {frozenset((row["first"], row["second"])) for row in rows(out, "verdicts.jsonl")}
    assert pairs == {frozenset(("a", "third")), frozenset(("b", "third"))}
    assert json.loads((out / "summary.json").read_bytes())["reference"] == "third"


def test_changed_calls_are_named(court: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = court.run(tmp_path / "run", N)
    for change, words in (
        (("--seed", "3"), "seed was 0, is now 3"),
        (("--samples", "2"), "samples was 1"),
        (("--judge", "overlap"), "judges.1"),
        (("--limit", "3"), "limit was null"),
        (("--questions", court.folder / "other.jsonl"), "The input questions"),
    ):
        capsys.readouterr()
        (court.folder / "other.jsonl").write_text('{"id": "z", "text": "问"}\n', "utf-8")
        assert run_app(app, court.words(run, N, *change)) == 3
        assert words in capsys.readouterr().err
    with court.counted() as seen:
        court.run(run, N, "--concurrency", "2", "--budget", "3")
    assert not seen


def test_nobody_answers(court: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    court.server.fault_of = lambda body: "refusal"
    try:
        court.run(tmp_path / "run", 3, code=6)
    finally:
        court.server.fault_of = None
    assert "No question was answered by two systems" in capsys.readouterr().err


def test_answers_alone_and_then_as_systems(court: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = court.run(tmp_path / "whole", N)
    line = ["--questions", str(court.questions(N)), "--models", str(court.models()), "-q"]
    for name in ("a", "b"):
        assert run_app(app, ["answer", name, *line, "--out", str(tmp_path / name)]) == 0
    capsys.readouterr()
    assert run_app(app, ["answer", "a", *line, "--out", str(tmp_path / "a"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["systems"] == {"a": {"ok": N}}
    call = ["compare", str(tmp_path / "a"), str(tmp_path / "b"), *line, "--judge", "referee", "--out"]
    with court.counted() as seen:
        assert run_app(app, [*call, str(tmp_path / "run")]) == 0
    assert seen.total() == sum(row["call_id"] is not None for row in rows(whole, "verdicts.jsonl"))
    for name in ("answers.jsonl", "verdicts.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()
    assert run_app(app, ["answer", str(court.folder / "one.jsonl"), *line, "--out", str(tmp_path / "no")]) == 2
    assert "holds answers already" in capsys.readouterr().err


def test_pairs_for_preference_tuning(court: Court, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = court.run(tmp_path / "run", N)
    out = tmp_path / "pairs.jsonl"
    capsys.readouterr()
    assert run_app(app, ["export", str(run), "--pairs", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    pairs = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert told["pairs"] == len(pairs) > 0
    assert told["pairs"] + sum(told["left_out"].values()) == N
    assert told["left_out"]["identical"] == states(run)["identical"]
    answers = {(row["question_id"], row["system"]): row["text"] for row in rows(run, "answers.jsonl")}
    for pair in pairs:
        assert [list(one) for one in (pair["prompt"][0], pair["chosen"][0])] == [["role", "content"]] * 2
        assert pair["chosen"][0]["content"] == answers[pair["question_id"], pair["chosen_system"]]
        assert pair["rejected"][0]["content"] == answers[pair["question_id"], pair["rejected_system"]]
        assert pair["margin"] > 0
    assert run_app(app, ["export", str(run), "--out", str(out)]) == 2
    assert "say --pairs" in capsys.readouterr().err
    assert run_app(app, ["export", str(tmp_path), "--pairs", "--out", str(out)]) == 2


def verdict(first: str, margin: float | None, judge: str = "j", state: Any = "ok") -> Verdict:
    """Of a and b; `margin` is that of the answer shown first."""
    second = "b" if first == "a" else "a"
    fields: dict[str, Any] = {"question_id": "q", "category": "c", "grammar": "scores", "raw": "", "state": state}
    if margin is not None:
        fields |= {"score_first": 5 + margin, "score_second": 5.0, "choice": "tie"}
    return Verdict(first=first, second=second, judge=judge, **fields)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([verdict("a", 2), verdict("b", -1)], ("a", 1.5)),
        ([verdict("a", -2), verdict("b", 1)], ("b", 1.5)),
        ([verdict("a", 2), verdict("b", 1)], "orders_disagree"),
        ([verdict("a", 2), verdict("b", 0)], "tie"),
        ([verdict("a", 2), verdict("b", None, state="invalid")], "incomplete"),
        ([verdict("a", 2)], "incomplete"),
        ([verdict("a", None, state="identical")], "identical"),
        ([verdict("a", 2), verdict("a", -1), verdict("b", -3)], ("a", 1.75)),
        ([verdict("a", 0.25), verdict("b", -0.25)], "small_margin"),
    ],
)
def test_a_pair_needs_both_orders(verdicts: list[Verdict], expected: Any) -> None:
    found = preferred(("a", "b"), [verdicts], min_margin=0.5)
    assert (found if isinstance(found, str) else (found.chosen, found.margin)) == expected


def test_a_pair_needs_all_judges() -> None:
    one, other = [verdict("a", 2), verdict("b", -2)], [verdict("a", -1), verdict("b", 1)]
    assert preferred(("a", "b"), [one, other]) == "judges_disagree"
    both = preferred(("a", "b"), [one, one])
    assert not isinstance(both, str) and (both.chosen, both.margin) == ("a", 2.0)


GOOD = {case.question: case.good for case in CASES}


def wise(body: dict[str, Any]) -> str:
    """Knows the good answers, and takes off a point for filler."""
    material = fenced(body)
    question, _, a, b = material.values()
    scores = [9 if text == GOOD[question] else 8 if GOOD[question] in text else 2 for text in (a, b)]
    return f"好。\n<<{nonce_of(body)}>> A={scores[0]} B={scores[1]}"


def biased(body: dict[str, Any]) -> str:
    return f"好。\n<<{nonce_of(body)}>> A=9 B=5"


def fooled(body: dict[str, Any]) -> str:
    """Gives full marks to whoever asks for them."""
    marked = [10 if "10" in text else 5 for title, text in fenced(body).items() if title[-1] in "AB"]
    return f"好。\n<<{nonce_of(body)}>> A={marked[0]} B={marked[1]}"


@pytest.mark.parametrize(
    ("answer", "failing"),
    [
        (wise, set()),
        (biased, {*CHECKS, "position"} - {"padded"}),
        (fooled, {"empty", "truncated", "wrong", "near_miss", "constant", "injected"}),
        (lambda body: "我说不清。", {*CHECKS, "position", "readable"}),
    ],
    ids=["wise", "biased", "fooled", "mute"],
)
def test_a_scorecard(capsys: pytest.CaptureFixture[str], tmp_path: Path, answer: Any, failing: set[str]) -> None:
    code = 6 if "readable" in failing else 0
    with courtroom(answer=answer) as own:
        line = ["selftest", "--judge", "referee", "--models", str(own.models()), "--json", "-q"]
        assert run_app(app, [*line, "--out", str(tmp_path / "run")]) == code
        card = json.loads(capsys.readouterr().out)
        parts = {**card["checks"], "position": card["position"], "readable": card["readable"]}
        assert {name for name, part in parts.items() if not part["passes"]} == failing
        assert card["passes"] == (not failing)
        asked = len(own.server.log)
        assert asked == card["verdicts"] == 2 * len(trials())
        assert run_app(app, [*line, "--out", str(tmp_path / "run")]) == code
        assert len(own.server.log) == asked  # the ledger has them
    if answer is biased:
        assert card["position"]["effect"] == pytest.approx(4) and card["position"]["first_preferred"] == 1


def test_what_a_judge_is_tried_on() -> None:
    found = trials()
    assert {trial.check for trial in found} == set(CHECKS)
    assert len({(trial.check, trial.name) for trial in found}) == len(found)
    assert {language for _, language, _ in ATTACKS} == {case.language for case in CASES} == {"zh", "en"}
    assert all(len({case.good, case.bad, case.near, case.reference}) == 4 for case in CASES)


def test_the_judge_without_a_model_fails_its_selftest(capsys: pytest.CaptureFixture[str]) -> None:
    """It takes a wrong number in the reference's words for a good answer, and the scorecard says so."""
    assert run_app(app, ["selftest", "--judge", "overlap", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert not card["passes"] and not card["checks"]["near_miss"]["passes"]
    assert card["position"]["effect"] == 0


def test_a_judge_that_cannot_be_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with courtroom(answer=say_as_court, script=lambda number: "401") as own:
        line = ["selftest", "--judge", "referee", "--models", str(own.models()), "-q"]
        assert run_app(app, line) == 5
        assert "wants a key" in capsys.readouterr().err
        assert run_app(app, [*line, "--out", str(tmp_path / "run")]) == 5
    assert [file.name for file in (tmp_path / "run").iterdir()] == [".lock"]
