"""Figures of verdicts in both orders: exact where they can be, complete, and mirrored bit for bit."""

import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.agreeing import between_judges
from judge.figures import accounting, disagreements, of_meetings
from judge.table import meeting, table_of
from tests.judge.verdicts import both_orders, row

QUALITY = {question: random.Random(question).choice([4.0, 5.0, 5.5, 6.0, 7.0, 7.5]) for question in range(200)}
BETTER = {
    question: random.Random(-question - 1).choice([-2.0, -0.5, 0.0, 0.0, 0.5, 1.0, 1.5]) for question in range(200)
}


def fair(question: int, system: str) -> float:
    return QUALITY[question] + (BETTER[question] if system == "a" else 0.0)


def figures(rows: list[dict[str, Any]], reference: str = "b", system: str = "a") -> dict[str, Any]:
    found: dict[str, Any] = of_meetings(table_of(rows), reference, {})[system]
    return found


@pytest.mark.parametrize("bias", [0.0, 0.5, 1.25, -2.0])
def test_a_preference_for_a_place_falls_out_exactly(bias: float) -> None:
    """On a scale without ends: the averaged difference is the true one, and the effect is the bias, to the last bit."""
    rows = both_orders(range(80), "a", "b", lambda q, system, place: fair(q, system) + (bias if place == 0 else 0.0))
    found = figures(rows)
    assert found["position_effect"] == bias
    assert found["swap_avg_diff"] == np.mean([BETTER[question] for question in range(80)])
    met = meeting(table_of(rows), "a", "b")
    assert ((met.d1 + met.d2) / 2 == [BETTER[question] for question in range(80)]).all()


def test_equal_systems_and_a_biased_judge_differ_by_nothing() -> None:
    rows = both_orders(range(50), "a", "b", lambda q, system, place: QUALITY[q] + 1.5 * (place == 0))
    found = figures(rows)
    assert found["swap_avg_diff"] == 0.0 and found["averaged"] == {"win": 0, "tie": 50, "loss": 0}
    assert found["position_effect"] == 1.5 and found["position_effect_interval"] == [1.5, 1.5]
    assert found["preferred_when_first"] == 1.0 and found["strict_flip"] == 50
    assert found["win_rate_averaged"] == found["win_rate_conservative"] == 0.5
    assert found["t_p"] == found["p"] == found["sign_test_p"] == 1.0


def test_a_saturated_judge_shrinks_and_never_flips() -> None:
    def clipped(question: int, system: str, place: int) -> float:
        return min(10.0, max(1.0, fair(question, system) + 4.0 * (place == 0)))

    found, true = (
        meeting(table_of(both_orders(range(200), "a", "b", clipped)), "a", "b"),
        np.array(list(BETTER.values())),
    )
    d = (found.d1 + found.d2) / 2
    assert (np.sign(d) * np.sign(true) >= 0).all() and (np.abs(d) <= np.abs(true)).all()


def noisy(seed: int, judges: int = 1, samples: int = 1) -> list[dict[str, Any]]:
    """Everything that may go wrong, in both orders."""
    rng = random.Random(seed)
    rows = []
    for question in range(60):
        category = rng.choice(["写作", "知识", "推理"])
        for judge in range(judges):
            if rng.random() < 0.05:
                same = {"state": "identical", "choice": "tie", "raw": None}
                rows.append(row(question, "a", "b", category=category, judge=f"j{judge}", **same))
                continue
            for first, second in (("a", "b"), ("b", "a")):
                for sample in range(samples):
                    common = {"category": category, "judge": f"j{judge}", "sample": sample}
                    kind = rng.random()
                    if kind < 0.1:
                        rows.append(row(question, first, second, **common, state="invalid", fault="score.missing"))
                    elif kind < 0.15:
                        rows.append(row(question, first, second, **common, state="error", fault="timeout", raw=None))
                    else:
                        scores = (rng.randint(2, 20) / 2, rng.randint(2, 20) / 2)
                        rows.append(row(question, first, second, scores, **common))
    return rows


def leaves(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(found, dict):
        for key, value in found.items():
            yield from leaves(value, (*path, str(key)))
    else:
        yield path, found


NEGATED = {"swap_avg_diff", "diff", "observed"}
INTERVALS = {"diff_t_interval", "diff_bootstrap_interval", "interval"}
RATES = {"win_rate_averaged", "win_rate_conservative", "win_rate"}


@pytest.mark.parametrize(("seed", "judges", "samples"), [(1, 1, 1), (2, 1, 3), (3, 2, 1), (4, 3, 2)])
def test_exchanging_the_two_negates_every_figure_bit_for_bit(seed: int, judges: int, samples: int) -> None:
    """Both ways: another reference, and the names exchanged in every verdict."""
    rows = noisy(seed, judges, samples)
    one = figures(rows)
    other = figures(rows, reference="a", system="b")
    swap = {"a": "b", "b": "a"}
    named = figures([{**line, "first": swap[line["first"]], "second": swap[line["second"]]} for line in rows])
    assert one["n"] > 20 and (one["incomplete"] > 0 or samples * judges > 1)
    for found in (other, named):
        mirrored = dict(leaves(found))
        for path, value in leaves(one):
            check_mirrored(path, value, mirrored[mirror(path)])


def mirror(path: tuple[str, ...]) -> tuple[str, ...]:
    """Where the same figure stands once the two have changed places."""
    names = {"win": "loss", "loss": "win", "sys": "ref", "ref": "sys", "ref_first_only": "sys_first_only"}
    names |= {"sys_first_only": "ref_first_only", "swap_avg_sys": "swap_avg_ref", "swap_avg_ref": "swap_avg_sys"}
    for order in ("ref_first", "sys_first"):
        for who in ("sys", "ref"):
            back = {"ref": "sys", "sys": "ref"}
            names[f"{who}_mean_{order}"] = f"{back[who]}_mean_{back[order[:3]]}_first"
    return tuple(names.get(key, key) for key in path)


def check_mirrored(path: tuple[str, ...], value: Any, found: Any) -> None:
    name = path[-1]
    if name in ("reference", "incomplete_questions", "ratio_percent", "ratio_percent_interval"):
        return
    if path[-2:] == ("bounds", "diff") or name in INTERVALS:
        assert value is found is None or value == [-found[1], -found[0]], path
    elif path[-2:] == ("bounds", "win_rate_averaged") or (name.startswith("win_rate") and name.endswith("interval")):
        ends = zip(value or [], reversed(found or []), strict=True)
        assert all(one == 1 - other or other == 1 - one for one, other in ends), path
    elif name in NEGATED:
        assert value is found is None or value == -found, path
    elif name in RATES:
        assert value is found is None or value == 1 - found or found == 1 - value, path
    else:
        assert value == found, path


def test_every_verdict_is_accounted_for() -> None:
    for samples in (1, 2):
        table = table_of(noisy(7, judges=2, samples=samples))
        found = accounting(table, 3)
        assert found["asked"] == found["ok"] + found["invalid"] + found["error"]
        assert found["asked"] == 2 * samples * (found["pairs"] - found["identical"])
        assert found["invalid"] + found["error"] == sum(found["reasons"].values())
        assert found["unanswered"] == 3 and found["orders_not_recorded"] == 0
        for key in ("asked", "ok", "invalid", "error", "identical"):
            assert sum(one[key] for one in found["by_category"].values()) == found[key]


def test_a_pair_with_an_order_missing_is_listed_and_bounded() -> None:
    rows = [
        *both_orders(range(3), "a", "b", lambda q, system, place: 6.0 if system == "a" else 5.0),
        row(3, "a", "b", (9, 4)),
        row(3, "b", "a", state="invalid", fault="verdict.refused"),
        row(4, "a", "b", (3, 4)),
    ]
    found = figures(rows)
    assert found["n"] == 3 and found["swap_avg_diff"] == 1.0 and found["incomplete"] == 2
    assert found["incomplete_questions"] == [
        {"question_id": "3", "missing": ["ref_first"]},
        {"question_id": "4", "missing": ["ref_first"]},
    ]
    # The scale of recorded texts reaches from 0 to 10: the missing order of question 3 is worth -10 or 10.
    assert found["bounds"]["diff"] == [(3 + (5 - 10) / 2 + (-1 - 10) / 2) / 5, (3 + (5 + 10) / 2 + (-1 + 10) / 2) / 5]
    assert found["bounds"]["win_rate_averaged"] == [3 / 5, 1.0]
    account = accounting(table_of(rows), 0)
    assert account["incomplete"] == 2 and account["orders_not_recorded"] == 1
    assert account["reasons"] == {"verdict.refused": 1}


def test_what_one_of_two_judges_did_not_say_is_bounded_too() -> None:
    first = [row(0, "a", "b", (6, 4), judge="x"), row(0, "b", "a", (4, 6), judge="x")]
    second = [row(0, "a", "b", (8, 4), judge="y"), row(0, "b", "a", state="error", fault="timeout", judge="y")]
    found = figures([*first, *second])
    assert found["n"] == 1 and found["swap_avg_diff"] == 2.0  # of the judge that gave both
    assert found["bounds"]["diff"] == [(2 + (4 - 10) / 2) / 2, (2 + (4 + 10) / 2) / 2]
    assert found["bounds"]["win_rate_averaged"] == [0.0, 1.0]


def test_answers_that_are_alike_are_ties_without_scores() -> None:
    rows = both_orders(range(4), "a", "b", lambda q, system, place: 8.0 if system == "a" else 6.0)
    rows += [row(q, "a", "b", state="identical", choice="tie", raw=None) for q in (4, 5, 6, 7)]
    found = figures(rows)
    assert found["n"] == 8 and found["identical"] == 4
    assert found["swap_avg_diff"] == 1.0 and (found["swap_avg_sys"], found["swap_avg_ref"]) == (8.0, 6.0)
    assert found["averaged"] == {"win": 4, "tie": 4, "loss": 0} and found["win_rate_averaged"] == 0.75
    assert found["position_effect"] == 0.0 and found["preferred_when_first"] == 0.5


def test_samples_and_judges_are_averaged_first() -> None:
    """Two samples of one order count as much as one of the other; a judge without both orders is left out."""
    rows = [
        row(0, "a", "b", (8, 5), judge="x"),
        row(0, "a", "b", (6, 5), judge="x", sample=1),
        row(0, "b", "a", (5, 6), judge="x"),
        row(0, "a", "b", (10, 1), judge="y"),
    ]
    found = figures(rows)
    assert found["n"] == 1 and found["swap_avg_diff"] == 1.5 and found["t_p"] is None
    assert found["by_judge"]["x"]["swap_avg_diff"] == 1.5 and found["by_judge"]["y"]["n"] == 0
    both = figures([*rows, row(0, "b", "a", (1, 10), judge="y")])
    assert both["swap_avg_diff"] == (1.5 + 9) / 2


def test_choices_without_scores() -> None:
    def choose(question: int, first: str, choice: str) -> dict[str, Any]:
        other = "b" if first == "a" else "a"
        return row(question, first, other, grammar="three-way", choice=choice)

    rows = [
        *(choose(0, "a", "first"), choose(0, "b", "second")),  # a, whatever the order
        *(choose(1, "a", "first"), choose(1, "b", "first")),  # the first, whoever it is
        *(choose(2, "a", "tie"), choose(2, "b", "first")),
    ]
    found = figures(rows)
    assert found["averaged"] == {"win": 1, "tie": 1, "loss": 1}
    assert found["conservative"] == {"win": 1, "tie": 2, "loss": 0}
    assert found["swap_avg_sys"] is None and found["ratio_percent"] is None and "histogram" not in found
    assert found["swap_avg_diff"] == pytest.approx((1 + 0 - 0.5) / 3)
    assert found["p"] == found["sign_test_p"]


def test_where_the_orders_disagree_most_comes_first() -> None:
    rows = [row(0, "a", "b", (9, 8)), row(0, "b", "a", (9, 1)), row(1, "a", "b", (9, 5)), row(1, "b", "a", (9, 5))]
    rows += [row(2, "a", "b", (7, 5)), row(2, "b", "a", (5, 7))]
    table = table_of(rows)
    found = disagreements(table, meeting(table, "a", "b"), 10)
    assert [one["question_id"] for one in found] == ["0", "1"]
    assert found[0] == {"question_id": "0", "system": "a", "ref_first": -8.0, "sys_first": 1.0}


def test_judges_are_compared_on_what_counts() -> None:
    rows = both_orders(range(20), "a", "b", lambda q, system, place: fair(q, system) + (place == 0), judge="x")
    rows += both_orders(range(20), "a", "b", lambda q, system, place: fair(q, system) - (place == 0), judge="y")
    found = between_judges(table_of(rows))
    [pair] = found["pairs"]
    assert pair["judges"] == ["x", "y"] and pair["n"] == 20
    assert pair["agree"] == pair["kappa"] == found["alpha_result"] == found["alpha_margin"] == 1.0
    opposite = [{**line, "judge": "z", "first": line["second"], "second": line["first"]} for line in rows[:40]]
    [pair] = between_judges(table_of([*rows[:40], *opposite]))["pairs"]
    assert pair["opposite"] == np.mean([value != 0 for value in list(BETTER.values())[:20]]) and pair["kappa"] < 0


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 20), st.integers(0, 20), st.integers(0, 3)),
        max_size=30,
    )
)
def test_any_verdicts_have_figures(drawn: list[tuple[int, bool, int, int, int]]) -> None:
    """One question, none, all alike, all lost: a figure that the data cannot give is None, never NaN."""
    rows = []
    for question, swapped, one, other, kind in drawn:
        first, second = ("b", "a") if swapped else ("a", "b")
        if kind == 0:
            rows.append(row(question, first, second, state="invalid", fault="verdict.empty"))
        else:
            rows.append(row(question, first, second, (one / 2, other / 2)))
    table = table_of(rows, ["a", "b"])
    found = {"accounting": accounting(table, 0), "systems": of_meetings(table, "b", {})}
    for path, value in leaves(found):
        for number in value if isinstance(value, list) else [value]:
            assert not isinstance(number, float) or math.isfinite(number), path
