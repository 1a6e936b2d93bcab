"""Judges against people: by hand, by other libraries, and where nothing can be said."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from scipy import stats as scipy_stats

from judge.agreement import AgreementCall, agreement, agreement_of
from judge.agreement_figures import kendall_tau
from judge.cli import app
from judge.intervals import wilson
from judge.ppi import ppi_mean, ppi_win_rate
from judge.records import VERDICTS, Verdict
from judge.review import ReviewCall, review
from judge.review_exchange import import_verdicts
from judge.review_items import read_items
from judge.review_store import FILE, ReviewStore
from runkit.console import run_app
from runkit.errors import InputError, UsageError
from tests.judge.review_runs import SYSTEMS, both_orders, write_lines, write_run

A, B, C = SYSTEMS  # a judge of `write_run` likes A best and C least


def run_of(path: Path, judged: dict[tuple[str, str, str], float], identical: int = 0) -> Path:
    """A run without answers: margins of the first system of each pair, in points from 5, the same in both orders."""
    path.mkdir()
    rows: list[Verdict] = []
    for (question, a, b), margin in judged.items():
        rows += both_orders(question, "odd" if int(question[1:]) % 2 else "even", a, b, [5 + margin, 5])
    for number in range(identical):
        row = rows[0]
        same: dict[str, Any] = {"state": "identical", "raw": None, "score_first": None, "score_second": None}
        rows.append(Verdict(**{**asdict(row), **same, "choice": "tie", "question_id": f"same{number}"}))
    write_lines(path / VERDICTS, rows)
    return path


def say(run: Path, *lines: tuple[Any, ...]) -> None:
    """reviewer, question, left, right, choice, and perhaps both scores."""
    names = ("reviewer", "question_id", "left", "right", "choice", "score_left", "score_right")
    file = run.parent / "people.jsonl"
    file.write_bytes(b"".join(orjson.dumps(dict(zip(names, line, strict=False))) + b"\n" for line in lines))
    review(ReviewCall(run=run, take=file, quiet=True))


def person(name: str, said: Sequence[float], left: str = "a", right: str = "b") -> list[tuple[Any, ...]]:
    """One verdict for each question: 1 `a` is better, -1 `b`, 0 a tie; NaN none. Sides take turns."""
    lines = []
    for number, value in enumerate(said):
        if math.isnan(value):
            continue
        sides = (left, right) if number % 2 else (right, left)
        better = left if value > 0 else right
        lines.append((name, f"q{number}", *sides, "tie" if value == 0 else "left" if sides[0] == better else "right"))
    return lines


def test_by_hand(tmp_path: Path) -> None:
    judge = [2.0, 1, -1, 0, 3, -2, 1, 1]
    one = [1.0, 1, -1, 1, 1, 1, 0, -1]
    other = [1.0, -1, -1, 0, 1, -1, 1, math.nan]
    run = run_of(tmp_path / "run", {(f"q{n}", "a", "b"): margin for n, margin in enumerate(judge)})
    say(run, *person("甲", one), *person("乙", other))
    found = agreement_of(run)
    assert (found["pairs"], found["questions"], found["verdicts"], found["left_out"]) == (8, 8, 15, 0)
    # majorities: 1 0 -1 1(of 1, 0) 1 0 1(of 0, 1) -1; the judge: 1 1 -1 0 1 -1 1 1
    against = found["judges"]["the-judge"]
    assert against["n"] == 8 and against["accuracy"]["n"] == 5 and against["accuracy"]["value"] == 4 / 5
    assert against["same"]["value"] == 4 / 8
    assert against["accuracy"]["interval"] == pytest.approx(list(wilson(4, 5) or ()), abs=1e-9)
    # judge and people: observed 4/8, by chance (5·4 + 1·2 + 2·2) / 64
    chance = (5 * 4 + 1 * 2 + 2 * 2) / 64
    assert against["kappa"] == pytest.approx((0.5 - chance) / (1 - chance))
    even, odd = against["per_category"]["even"], against["per_category"]["odd"]
    assert (even["n"], even["accuracy"]["n"], even["accuracy"]["value"]) == (4, 4, 1.0)
    assert (odd["n"], odd["accuracy"]["n"], odd["accuracy"]["value"]) == (4, 1, 0.0)
    assert against["per_reviewer"]["乙"]["accuracy"]["value"] == 5 / 6
    # both people decided: q0 1 2 4 5, of which 1 and 5 differ
    assert found["people"]["ceiling"]["another"]["n"] == 5 and found["people"]["ceiling"]["another"]["value"] == 3 / 5
    # the judge against each of them where both judged: 甲 q0 1 2 4 5 right but 5; 乙 q0 1 2 4 5 6 right but 1
    assert (against["ceiling"]["another"]["n"], against["ceiling"]["another"]["value"]) == (11, 9 / 11)
    assert found["people"]["ceiling"]["others"]["n"] == 0
    assert found["rank"]["systems"]["a"]["people"] == pytest.approx(0.5 + (1 + 0 - 1 + 0.5 + 1 + 0 + 0.5 - 1) / 16)
    assert found["rank"]["systems"]["a"]["judge"] == 0.5 + (5 - 2) / 16 and found["rank"]["tau"] == 1.0


def test_against_other_libraries(tmp_path: Path) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth = rng.integers(-2, 3, 80)
    people = [np.sign(truth + rng.integers(-1, 2, 80)).astype(float) for _ in range(3)]
    for said in people:
        said[rng.random(80) < 0.2] = np.nan
    judge = truth + rng.integers(-2, 3, 80)
    run = run_of(tmp_path / "run", {(f"q{n}", "a", "b"): float(margin) for n, margin in enumerate(judge)})
    say(run, *(line for n, said in enumerate(people) for line in person(f"p{n}", said.tolist())))
    found = agreement_of(run)
    units = [int(unit[1:]) for unit in [line[1] for line in person("p0", people[0].tolist())]]
    assert len(units) == found["reviewers"]["p0"]["pairs"]
    values = np.stack(people)
    for level, name in (("nominal", "alpha"), ("ordinal", "alpha_ordinal")):
        assert found["people"][name] == pytest.approx(krippendorff.alpha(values, level_of_measurement=level), abs=1e-6)
    low, high = found["people"]["alpha_interval"]
    assert low < found["people"]["alpha"] < high
    for pair in found["people"]["pairs"]:
        a, b = (people[int(name[1])] for name in pair["reviewers"])
        both = ~np.isnan(a) & ~np.isnan(b)
        assert pair["kappa"] == pytest.approx(metrics.cohen_kappa_score(a[both], b[both]), abs=1e-6)
        assert pair["weighted_kappa"] == pytest.approx(
            metrics.cohen_kappa_score(a[both], b[both], weights="linear"), abs=1e-6
        )
    for number in range(3):
        both = ~np.isnan(people[number])
        kappa = metrics.cohen_kappa_score(np.sign(judge)[both], people[number][both])
        assert found["judges"]["the-judge"]["per_reviewer"][f"p{number}"]["kappa"] == pytest.approx(kappa, abs=1e-6)
    # one person against the majority of the two others, counted the long way
    hits = []
    for one in range(3):
        for n in range(80):
            others = [people[k][n] for k in range(3) if k != one]
            if np.isnan(people[one][n]) or np.isnan(others).any():
                continue
            most = np.sign(sum(others))
            if most and people[one][n]:
                hits.append(most == people[one][n])
    ceiling = found["people"]["ceiling"]["others"]
    assert (ceiling["n"], ceiling["value"]) == (len(hits), pytest.approx(np.mean(hits)))
    assert ceiling["interval"][0] < ceiling["value"] < ceiling["interval"][1]


def test_kendall_against_scipy() -> None:
    rng = random.Random(3)
    for size in range(2, 12):
        a, b = ([rng.randrange(5) / 4 for _ in range(size)] for _ in range(2))
        expected = scipy_stats.kendalltau(a, b).statistic
        found = kendall_tau(a, b)
        assert (found is None and math.isnan(expected)) or found == pytest.approx(expected, abs=1e-12)


def test_consistency_and_position(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", {(f"q{n}", "a", "b"): 1.0 for n in range(6)})
    say(
        run,
        *(("甲", f"q{n}", "a", "b", "left") for n in range(6)),
        ("甲", "q0", "b", "a", "right"),  # the same system again
        ("甲", "q1", "b", "a", "left"),  # the same side again
        ("甲", "q2", "b", "a", "both_bad"),
        ("乙", "q0", "a", "b", "both_bad"),
        ("乙", "q0", "b", "a", "tie"),
    )
    found = agreement_of(run)
    first, second = found["reviewers"]["甲"], found["reviewers"]["乙"]
    assert (first["pairs"], first["again"]["n"], first["again"]["value"], first["again"]["opposite"]) == (
        6,
        3,
        1 / 3,
        1,
    )
    assert (first["position"]["left"], first["position"]["right"]) == (7, 1)
    assert first["position"]["p"] == pytest.approx(scipy_stats.binomtest(7, 8).pvalue)
    assert (second["pairs"], second["both_bad"], second["ties"], second["again"]["value"]) == (1, 1, 0, 1.0)
    assert second["position"]["left_share"] is None
    assert found["again"]["n"] == 4 and found["position"]["left"] == 7


def test_three_systems_are_ranked(tmp_path: Path) -> None:
    judged = {}
    for n in range(10):
        judged |= {(f"q{n}", "a", "b"): 1.0, (f"q{n}", "a", "c"): 2.0, (f"q{n}", "b", "c"): 1.0}
    run = run_of(tmp_path / "run", judged)
    lines = [*person("甲", [1.0] * 8), *person("甲", [1.0] * 8, "a", "c"), *person("甲", [-1.0] * 8, "b", "c")]
    say(run, *lines)
    rank = agreement_of(run)["rank"]
    assert rank["n"] == 24 and list(rank["systems"]) == ["a", "c", "b"]
    assert [rank["systems"][name]["judge_rank"] for name in ("a", "b", "c")] == [1, 2, 3]
    assert [rank["systems"][name]["people_rank"] for name in ("a", "b", "c")] == [1, 3, 2]
    assert rank["tau"] == pytest.approx(scipy_stats.kendalltau([3, 1, 2], [3, 2, 1]).statistic)
    assert rank["systems"]["a"]["judge_everywhere"] == 1.0


def test_people_calibrate_the_judge(tmp_path: Path) -> None:
    """Seen from the system that is not the reference; identical answers are ties whoever looks at them."""
    rng = np.random.default_rng(1)
    truth = rng.normal(1, 2, 200)
    judge = np.round(truth + 1 + rng.normal(0, 1, 200))
    people = [float(np.clip(np.round(value), -4, 4)) for value in truth[:40]]
    run = run_of(tmp_path / "run", {(f"q{n}", "a", "b"): float(one) for n, one in enumerate(judge)}, identical=50)
    say(
        run,
        *(
            ("甲", f"q{n}", "b", "a", "tie" if one == 0 else "right" if one > 0 else "left", 5, 5 + one)
            for n, one in enumerate(people)
        ),
    )
    found = agreement_of(run)["calibrated"]
    assert len(found) == 1 and (found[0]["system"], found[0]["reference"]) == ("a", "b")
    assert (found[0]["questions"], found[0]["identical"]) == (250, 50)
    rest, human = judge[40:], np.array(people)
    expected = ppi_mean(human, judge[:40], rest)
    part = found[0]["difference"]
    assert part["value"] == pytest.approx(0.8 * expected.value) and part["low"] == pytest.approx(0.8 * expected.low)
    assert part["human"] == pytest.approx(0.8 * human.mean()) and part["judge"] == pytest.approx(0.8 * judge.mean())
    assert part["high"] - part["low"] < 0.8 * (part["human_high"] - part["human_low"])
    rate = ppi_win_rate(np.sign(human), np.sign(judge[:40]), np.sign(rest))
    assert found[0]["win_rate"]["value"] == pytest.approx(0.5 + 0.8 * (rate.value - 0.5))
    turned = agreement_of(run, reference="a")["calibrated"][0]
    assert (turned["system"], turned["reference"]) == ("b", "a")
    assert turned["difference"]["value"] == pytest.approx(-part["value"], abs=1e-12)
    assert turned["win_rate"]["low"] == pytest.approx(1 - found[0]["win_rate"]["high"], abs=1e-12)


def test_verdicts_about_other_texts_do_not_count(tmp_path: Path) -> None:
    made = write_run(tmp_path / "run", 4, verdicts=True)
    with ReviewStore.open(made.path / FILE) as store:
        file = tmp_path / "people.jsonl"
        rows = [{"reviewer": "甲", "question_id": f"q00{n}", "left": A, "right": B, "choice": "left"} for n in range(4)]
        file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        assert import_verdicts(store, file, read_items(made.path)).taken == 4
    assert agreement_of(made.path)["pairs"] == 4
    answers = (made.path / "answers.jsonl").read_text("utf-8").replace("24−15=9", "24−15=8")
    (made.path / "answers.jsonl").write_text(answers, "utf-8")
    found = agreement_of(made.path)
    assert (found["pairs"], found["left_out"]) == (3, 1)
    (made.path / VERDICTS).unlink()
    alone = agreement_of(made.path)
    assert alone["judges"] == {} and alone["rank"] is None and alone["pairs"] == 3


def test_where_nothing_can_be_said(tmp_path: Path) -> None:
    recorded = run_of(tmp_path / "recorded", {("q1", "a", "b"): 1.0})
    with pytest.raises(InputError, match="Nothing can be reviewed"):
        agreement_of(recorded)
    with pytest.raises(InputError, match="Nothing can be reviewed"):
        review(ReviewCall(run=recorded, port=0))
    made = write_run(tmp_path / "run", 4)
    with pytest.raises(InputError, match="judge review"):
        agreement_of(made.path)
    with ReviewStore.open(made.path / FILE) as store:
        store.join("甲")
    with pytest.raises(InputError, match="judge review"):
        agreement_of(made.path)
    with pytest.raises(UsageError, match="does not exist"):
        agreement_of(tmp_path / "nothing")
    # One verdict: everything is there, nothing is known.
    say(recorded, ("甲", "q1", "b", "a", "tie"))
    found = agreement_of(recorded)
    assert found["judges"]["the-judge"]["accuracy"] == {"n": 0, "value": None, "interval": None}
    assert found["people"]["alpha"] is None and found["calibrated"][0]["win_rate"]["low"] is None
    assert found["calibrated"][0]["difference"] is None


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge = [2.0, 1, -1, 0, 3, -2, 1, 1]
    run = run_of(tmp_path / "run", {(f"q{n}", "a", "b"): margin for n, margin in enumerate(judge)})
    lines = [*person("甲", [1, 1, -1, 1, 1, 1, 0, -1]), *person("[red]乙", [1.0] * 6)]
    say(run, *lines, *person("丙", [1.0, 0, 1, 1, 1, 1, 0]), ("甲", "q3", "b", "a", "left"))
    capsys.readouterr()
    assert run_app(app, ["agreement", str(run), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["pairs"] == 8 and json.loads(out) == agreement_of(run)
    for words in (
        "[red]乙: 6 pairs",
        "Krippendorff's alpha",
        "one left out",
        "Kendall's tau",
        "win rate",
        "the same again",
    ):
        assert words in err, err
    assert "nan" not in (out + err).lower()
    agreement(AgreementCall(run=run, quiet=True))
    assert capsys.readouterr() == ("", "")
    # To another machine and back: the same figures.
    other, file = run_of(tmp_path / "other", {("q0", "a", "b"): 0.0}), tmp_path / "all.jsonl"
    (other / VERDICTS).write_bytes((run / VERDICTS).read_bytes())
    assert run_app(app, ["review", str(run), "--export", str(file), "-q", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(file), "verdicts": 22}
    assert run_app(app, ["review", str(other), "--import", str(file)]) == 0
    assert "22 verdicts taken, 0 known" in capsys.readouterr().err
    assert agreement_of(other) == agreement_of(run)
    assert run_app(app, ["review", str(run), "--export", str(file), "--import", str(file)]) == 2
    assert run_app(app, ["review", str(run), "--import", str(tmp_path / "none")]) == 2
