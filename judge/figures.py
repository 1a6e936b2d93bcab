"""The figures of a run: verdicts in, one summary out, the same for the same verdicts.

In: a table of verdicts. Out: plain numbers for summary.json; what the data cannot say is None. For each system all is
against the reference: question by question, system minus reference, averaged over both orders. Exchanging the two
negates differences and mirrors rates bit for bit. Price: 0.3 s for 100,000 verdicts of two systems, most of it for the
bootstrap; 20 ms for each system with 80 questions.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from judge import power
from judge.intervals import bootstrap_columns, ratio_interval, win_rate_interval
from judge.position import agreed, averaged, position
from judge.stats import Array, holm, sign_test, signs, t_test, wilcoxon, win_tie_loss
from judge.table import ERROR, IDENTICAL, INVALID, OK, Meeting, Table, distinct, meeting

FORMAT: Final = 1
WANTED_DIFFERENCES: Final = (0.1, 0.25, 0.5, 1.0)  # points of score
WANTED_WIN_RATES: Final = (0.52, 0.55, 0.6)
MOST_LISTED: Final = 1000
_POLICIES: Final = ("ref_first_only", "sys_first_only", "averaged", "conservative")


def accounting(table: Table, unanswered: int) -> dict[str, Any]:
    """asked = ok + invalid + error; pairs: of a question, two systems and a judge, identical ones among them."""
    counts = _states(table.state)
    low, high = np.minimum(table.first, table.second), np.maximum(table.first, table.second)
    width, judges = len(table.systems), len(table.judges)
    pair = ((table.question * width + low) * width + high) * judges + table.judge
    orders = pair * 2 + (table.first > table.second)
    same, pairs = distinct(pair[table.state == IDENTICAL]), distinct(pair)
    known = distinct(orders[table.state == OK]) // 2  # twice where both orders are known
    complete = known[1:][known[1:] == known[:-1]]
    asked_orders = distinct(orders[table.state != IDENTICAL])
    by_category: dict[str, dict[str, int]] = {}
    numbers = {name: place for place, name in enumerate(dict.fromkeys(table.categories))}
    category = np.array([numbers[name] for name in table.categories], dtype=np.int64)[table.question]
    for name, place in numbers.items():
        by_category[name] = _states(table.state[category == place])
    faults = Counter(
        fault for fault, bad in zip(table.faults, np.isin(table.state, (INVALID, ERROR)), strict=True) if bad
    )
    return {
        **counts,
        "pairs": len(pairs),
        "unanswered": unanswered,
        "incomplete": len(pairs) - len(distinct(np.concatenate([complete, same]))),
        "orders_not_recorded": 2 * (len(pairs) - len(same)) - len(asked_orders),
        "reasons": dict(sorted(faults.items(), key=lambda one: (-one[1], one[0]))),
        "by_category": by_category,
    }


def _states(state: Any) -> dict[str, int]:
    count = np.bincount(state, minlength=4)
    ok, invalid, error, identical = (int(count[one]) for one in (OK, INVALID, ERROR, IDENTICAL))
    return {"asked": ok + invalid + error, "ok": ok, "invalid": invalid, "error": error, "identical": identical}


def system_figures(table: Table, met: Meeting, unanswered: Sequence[str] = ()) -> dict[str, Any]:
    """All of one system against the reference; `unanswered`: questions that one of the two did not answer."""
    found = _missing(table, met, unanswered)
    if met.n == 0:
        return {"reference": met.reference, "n": 0, **found, "bounds": _bounds(table, met, len(unanswered))}
    d = averaged(met.d1, met.d2)
    found = {
        "reference": met.reference,
        "n": met.n,
        **_means(table, met, d),
        **_policies(met, d),
        **_tests(table, d),
        **_position(met),
        **_planning(table, met, d),
        **found,
        "bounds": _bounds(table, met, len(unanswered)),
        "per_category": _per_category(table, met),
    }
    if table.scored:
        found["histogram"] = _histogram(met)
    return found


def _means(table: Table, met: Meeting, d: Array) -> dict[str, Any]:
    """Scores are None where verdicts have none; a question with identical answers has no scores and d = 0."""
    t = t_test(d)
    names = ("sys_mean_ref_first", "ref_mean_ref_first", "sys_mean_sys_first", "ref_mean_sys_first")
    columns = (met.sys_1, met.ref_1, met.sys_2, met.ref_2)
    sys, ref = (met.sys_1 + met.sys_2) / 2.0, (met.ref_1 + met.ref_2) / 2.0
    ratio = ratio_interval(sys, ref) if table.scored and not np.isnan(sys).all() else None
    sys_mean, ref_mean = _mean(sys), _mean(ref)
    return {
        **{name: _mean(column) for name, column in zip(names, columns, strict=True)},
        "swap_avg_sys": sys_mean,
        "swap_avg_ref": ref_mean,
        "swap_avg_diff": t.mean,
        "diff_sem": t.sem,
        "diff_t_interval": _pair(None if t.low is None or t.high is None else (t.low, t.high)),
        "diff_bootstrap_interval": None,  # of all systems at once
        "ratio_percent": 100.0 * sys_mean / ref_mean if sys_mean is not None and ref_mean else None,
        "ratio_percent_interval": None if ratio is None else [100.0 * ratio[0], 100.0 * ratio[1]],
        "identical": int(met.identical.sum()),
    }


def _policies(met: Meeting, d: Array) -> dict[str, Any]:
    results = (signs(met.d1), signs(met.d2), signs(d), agreed(met.d1, met.d2))
    found: dict[str, Any] = {}
    for name, result in zip(_POLICIES, results, strict=True):
        count = win_tie_loss(result)
        found[name] = {"win": count.win, "tie": count.tie, "loss": count.loss}
        if name in ("averaged", "conservative"):
            found[f"win_rate_{name}"] = count.win_rate
            found[f"win_rate_{name}_interval"] = _pair(win_rate_interval(result))
    return found


def _tests(table: Table, d: Array) -> dict[str, Any]:
    """`p` is the one that decides: of the t test, and of the sign test where there are no scores or no spread."""
    sign, t = sign_test(d), t_test(d).p
    p = t if table.scored and t is not None else sign
    return {"sign_test_p": sign, "wilcoxon_p": wilcoxon(d), "t_p": t, "p": p}


def _position(met: Meeting) -> dict[str, Any]:
    """Of the questions that a judge saw; identical answers were shown to nobody."""
    seen = ~met.identical
    if not seen.any():
        return {"position_effect": None, "position_effect_interval": None, "verdict_changed": 0, "strict_flip": 0}
    found = position(met.d1[seen], met.d2[seen])
    return {
        "position_effect": found.effect,
        "position_effect_interval": _pair(found.effect_interval),
        "preferred_when_first": found.preferred_when_first,
        "preferred_when_first_interval": _pair(found.preferred_when_first_interval),
        "verdict_changed": found.verdict_changed,
        "verdict_changed_rate": found.verdict_changed_rate,
        "verdict_changed_rate_interval": _pair(found.verdict_changed_interval),
        "strict_flip": found.strict_flip,
        "strict_flip_rate": found.strict_flip_rate,
        "strict_flip_rate_interval": _pair(found.strict_flip_interval),
    }


def _planning(table: Table, met: Meeting, d: Array) -> dict[str, Any]:
    """What so many questions can show, and how many a wanted effect needs; 5 %, 80 % power."""
    count = win_tie_loss(signs(d))
    ties, rate = count.tie / count.n, count.win_rate
    spread = float(d.std(ddof=1)) if met.n > 1 else None
    # All differ alike, or there is but one: as many as the sign test needs if that goes on.
    alike = power.LEAST_IN_A_ROW if met.n and d[0] != 0 else None
    wanted = WANTED_DIFFERENCES if table.scored else ()
    return {
        "minimum_detectable_effect": power.detectable_difference(met.n, spread) if spread else None,
        "minimum_detectable_win_rate": _above_half(power.detectable_win_rate(met.n, ties)),
        "questions_for": {
            "observed_difference": power.questions_for_difference(float(d.mean()), spread) if spread else alike,
            "observed_win_rate": None if rate is None else power.questions_for_win_rate(rate, ties),
            "differences": {
                f"{one:g}": power.questions_for_difference(one, spread) if spread else None for one in wanted
            },
            "win_rates": {f"{one:g}": power.questions_for_win_rate(one, ties) for one in WANTED_WIN_RATES},
        },
    }


def _above_half(distance: float | None) -> float | None:
    return None if distance is None else 0.5 + distance


def _missing(table: Table, met: Meeting, unanswered: Sequence[str]) -> dict[str, Any]:
    left = met.partial
    listed = [
        {
            "question_id": table.questions[question],
            "missing": [name for name, known in (("ref_first", d1), ("sys_first", d2)) if np.isnan(known)],
        }
        for question, d1, d2 in zip(left.question.tolist(), left.d1, left.d2, strict=True)
    ]
    return {
        "incomplete": len(listed),
        "incomplete_questions": listed[:MOST_LISTED],
        "unanswered": len(unanswered),
        "unanswered_questions": list(unanswered[:MOST_LISTED]),
    }


def _bounds(table: Table, met: Meeting, unanswered: int) -> dict[str, Any]:
    """Where the figures would lie if all that is missing were lost, or won, by as much as the scale allows."""
    nothing = np.full(unanswered, table.span)
    lost = np.concatenate([met.lowest, met.partial.lowest, -nothing])
    won = np.concatenate([met.highest, met.partial.highest, nothing])
    if len(lost) == 0:
        return {"diff": None, "win_rate_averaged": None}
    gone = np.ones(len(lost) - met.n)
    ends = ((-1.0, met.lowest), (1.0, met.highest))
    rates = [win_tie_loss(np.concatenate([signs(known), sign * gone])).win_rate for sign, known in ends]
    return {"diff": [float(lost.mean()) + 0.0, float(won.mean()) + 0.0], "win_rate_averaged": rates}


def _per_category(table: Table, met: Meeting) -> dict[str, Any]:
    """Each class with its own interval; p values also adjusted for the number of classes (Holm)."""
    number = {name: place for place, name in enumerate(dict.fromkeys(table.categories))}
    code = np.array([number[name] for name in table.categories], dtype=np.int64)
    own, left = code[met.question], code[met.partial.question]
    there = {*own.tolist(), *left.tolist()}
    found = {
        name: _category(table, met.where(own == place, left == place))
        for name, place in sorted(number.items())
        if place in there
    }
    ps = [np.nan if one["p"] is None else one["p"] for one in found.values()]
    for one, p in zip(found.values(), holm(ps), strict=True):
        one["p_holm"] = None if np.isnan(p) else float(p)
    return found


def _category(table: Table, met: Meeting) -> dict[str, Any]:
    if met.n == 0:
        return {
            "n": 0,
            "sys": None,
            "ref": None,
            "diff": None,
            "interval": None,
            "p": None,
            "incomplete": len(met.partial.question),
        }
    d = averaged(met.d1, met.d2)
    count, t = win_tie_loss(signs(d)), t_test(d)
    effect = (met.d2 - met.d1)[~met.identical] / 2.0
    return {
        "n": met.n,
        "sys": _mean((met.sys_1 + met.sys_2) / 2.0),
        "ref": _mean((met.ref_1 + met.ref_2) / 2.0),
        "diff": float(d.mean()) + 0.0,
        "interval": _pair(None if t.low is None or t.high is None else (t.low, t.high)),
        "p": t.p if table.scored and t.p is not None else sign_test(d),
        "win": count.win,
        "tie": count.tie,
        "loss": count.loss,
        "win_rate": count.win_rate,
        "win_rate_interval": _pair(win_rate_interval(signs(d))),
        "position_effect": _mean(effect),
        "incomplete": len(met.partial.question),
    }


def _histogram(met: Meeting) -> dict[str, Any]:
    """Scores averaged over both orders, in half points: how many lie at each edge or up to the next."""
    edges = [place / 2.0 for place in range(22)]
    found: dict[str, Any] = {"edges": edges}
    for name, scores in (("sys", (met.sys_1 + met.sys_2) / 2.0), ("ref", (met.ref_1 + met.ref_2) / 2.0)):
        found[name] = np.histogram(scores[~np.isnan(scores)], bins=edges)[0].tolist()
    return found


def disagreements(table: Table, met: Meeting, most: int) -> list[dict[str, Any]]:
    """Questions on which the two orders differ most, first those where they say opposite things."""
    apart = np.abs(met.d2 - met.d1)
    flips = signs(met.d1) * signs(met.d2) < 0
    order = np.lexsort((met.question, -apart, ~flips))
    return [
        {
            "question_id": table.questions[int(met.question[place])],
            "system": met.system,
            "ref_first": float(met.d1[place]),
            "sys_first": float(met.d2[place]),
        }
        for place in order[:most]
        if apart[place] > 0
    ]


def _mean(values: Array) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) + 0.0 if len(known) else None


def _pair(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [interval[0], interval[1]]


def of_meetings(table: Table, reference: str, unanswered: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """`systems` of the summary; of several judges also what each of them says."""
    each = range(len(table.judges)) if len(table.judges) > 1 else ()
    met: dict[tuple[str, int | None], Meeting] = {}
    for system in table.systems:
        for judge in (None, *each) if system != reference else ():
            found = meeting(table, system, reference, judge)
            if found.n or len(found.partial.question):  # else the two never met
                met[system, judge] = found
    drawn = _bootstrapped(table, met.values())
    figures: dict[str, Any] = {}
    for ((system, judge), found), interval in zip(met.items(), drawn, strict=True):
        own = system_figures(table, found, unanswered.get(system, ()) if judge is None else ())
        if found.n:
            own["diff_bootstrap_interval"] = interval
        if judge is None:
            figures[system] = own
        else:
            figures[system].setdefault("by_judge", {})[table.judges[judge]] = own
    return figures


def _bootstrapped(table: Table, met: Collection[Meeting]) -> list[list[float] | None]:
    """Of each mean difference; the same questions are drawn for all, which takes a tenth of the time of one by one."""
    values = np.full((len(table.questions), len(met)), np.nan)
    for column, one in enumerate(met):
        values[one.question, column] = averaged(one.d1, one.d2)
    rows = ~np.isnan(values).all(axis=1)
    low, high = bootstrap_columns(values[rows])
    return [None if np.isnan(a) else [float(a), float(b)] for a, b in zip(low, high, strict=True)]
