"""The parts of the report about the judge: order, scores, length, ranking, other judges, and what was lost.

In: a page. Out: its sections; an empty one where there is nothing to say.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from judge.report_parts import Page, Scale, drawn, figure, keys, share, signed
from runkit import report as r
from runkit.report import Column, Content, Html

MOST_SYSTEMS: Final = 60
MOST_HISTOGRAMS: Final = 12


def position(page: Page) -> Html:
    """What being shown first is worth."""
    found = {name: one for name, one in page.systems.items() if one["position_effect"] is not None}
    if not found:
        return r.join()
    shown = list(found.items())[:MOST_SYSTEMS]
    scale = Scale.around([one["position_effect_interval"] for _, one in shown])
    columns = [Column(page.t("system")), Column("", wide=True), Column(page.t("effect"), numeric=True)]
    names = ("interval", "ref_first", "sys_first", "preferred", "interval", "changes", "reversed")
    columns += [Column(page.t(key), numeric=True) for key in names]
    rows: list[list[Content]] = []
    for name, one in shown:
        row: list[Content] = [name, drawn(one["position_effect"], one["position_effect_interval"], scale)]
        row += [signed(one["position_effect"]), page.range(one["position_effect_interval"])]
        for order in ("ref_first", "sys_first"):
            row.append(_difference(one, order))
        row += [share(one["preferred_when_first"]), page.range(one["preferred_when_first_interval"], share)]
        row += [share(one["verdict_changed_rate"]), share(one["strict_flip_rate"])]
        rows.append(row)
    return r.section(page.t("position"), r.table(columns, rows), name="position", note=page.t("position_note"))


def _difference(one: Mapping[str, Any], order: str) -> str:
    """Of scores; without them wins less losses, as a share."""
    sys, ref = one[f"sys_mean_{order}"], one[f"ref_mean_{order}"]
    if sys is not None and ref is not None:
        return signed(sys - ref)
    count = one[f"{order}_only"]
    return signed((count["win"] - count["loss"]) / max(1, sum(count.values())))


def scores(page: Page) -> Html:
    """Histograms of both sides."""
    found = [(name, one["histogram"]) for name, one in page.systems.items() if one.get("histogram")]
    if not found:
        return r.join()
    drawn_ = []
    for name, one in found[:MOST_HISTOGRAMS]:
        caption = r.element("figcaption", r.element("code", name))
        drawn_.append(r.element("figure", caption, r.histogram(one["edges"], one["sys"], one["ref"], label=name)))
    sides = [("kept", page.t("system") if len(found) > 1 else found[0][0]), ("rejected", str(page.found["reference"]))]
    body = r.element("div", *drawn_, class_="grid")
    return r.section(page.t("scores"), keys(sides), body, name="scores", note=page.t("scores_note"))


def lengths(page: Page) -> Html:
    found = [(name, one["length"]) for name, one in page.systems.items() if one.get("length")]
    if not found:
        return r.join()
    columns = [Column(page.t("system"))]
    names = ("n", "sys_length", "ref_length", "longer", "correlation", "interval", "win_rate", "adjusted", "interval")
    columns += [Column(page.t(key), numeric=True) for key in names]
    rows: list[list[Content]] = []
    for name, one in found[:MOST_SYSTEMS]:
        spearman = one["spearman"]
        row: list[Content] = [
            name,
            one["n"],
            round(one["sys_mean"]),
            round(one["ref_mean"]),
            share(one["longer_share"]),
        ]
        if spearman is None:
            row += ["–", "–"]
        else:
            interval = None if spearman["low"] is None else (spearman["low"], spearman["high"])
            row += [signed(spearman["value"]), page.range(interval)]
        row += [share(page.systems[name]["win_rate_averaged"]), share(one["win_rate_adjusted"])]
        row.append(page.range(one["win_rate_adjusted_interval"], share))
        rows.append(row)
    return r.section(page.t("lengths"), r.table(columns, rows), name="lengths", note=page.t("lengths_note"))


def ranking(page: Page) -> Html:
    """Bradley–Terry, of three systems or more."""
    found = page.found["bradley_terry"]
    if not found:
        return r.join()
    shown = found["systems"][:MOST_SYSTEMS]
    sure = [one["difference_interval"] for one in shown if not one["separated"]]
    scale = Scale.around(
        [*sure, *([one["difference"]] * 2 for one in shown if one["difference"] is not None)], least=0.5
    )
    columns = [Column(page.t("system")), Column("", wide=True), Column(page.t("strength"), numeric=True)]
    columns += [Column(page.t(key), numeric=True) for key in ("interval", "row_chance", "interval", "verdicts")]
    rows: list[list[Content]] = []
    for place, one in enumerate(shown, 1):
        name: Content = f"{place}. {one['system']}"
        if one["separated"]:
            name = r.join(name, r.element("span", page.t("separated"), class_="why"))
        row: list[Content] = [name, drawn(one["difference"], one["difference_interval"], scale)]
        row += [signed(one["difference"]), page.range(one["difference_interval"]), share(one["win_probability"])]
        rows.append([*row, page.range(one["win_probability_interval"], share), one["verdicts"]])
    parts = [r.table(columns, rows)]
    if found["order"] is not None:
        low, high = found["order_interval"]
        odds = {"factor": _odds(found["order"]), "low": _odds(low), "high": _odds(high)}
        parts.append(r.paragraph(page.t("order_term", **odds)))
    return r.section(page.t("ranking"), *parts, name="ranking", note=page.t("ranking_note"))


def _odds(logit: float) -> str:
    return f"{math.exp(min(logit, 20.0)):.2f}"


def judges(page: Page) -> Html:
    """Each judge alone, and how far they agree."""
    found = page.found["agreement"]
    if not found:
        return r.join()
    each = [(name, judge, own) for name, one in page.systems.items() for judge, own in one.get("by_judge", {}).items()]
    each = [(name, judge, own) for name, judge, own in each if own["n"]]
    scale = Scale.around([own["diff_t_interval"] for _, _, own in each])
    columns = [Column(page.t("judge")), Column(page.t("system")), Column("", wide=True)]
    names = ("difference", "interval", "n", "win_rate", "shown_first", "changes")
    columns += [Column(page.t(key), numeric=True) for key in names]
    rows: list[list[Content]] = []
    for name, judge, own in each[: 2 * MOST_SYSTEMS]:
        row: list[Content] = [judge, name, drawn(own["swap_avg_diff"], own["diff_t_interval"], scale)]
        row += [signed(own["swap_avg_diff"]), page.range(own["diff_t_interval"]), own["n"]]
        row += [share(own["win_rate_averaged"]), signed(own["position_effect"]), share(own.get("verdict_changed_rate"))]
        rows.append(row)
    parts = [r.table(columns, rows)]
    columns = [Column(page.t("judges"))]
    columns += [Column(page.t(key), numeric=True) for key in ("n", "agree", "opposite", "kappa", "weighted_kappa")]
    pairs: list[list[Content]] = [
        [
            " · ".join(one["judges"]),
            one["n"],
            share(one["agree"]),
            share(one["opposite"]),
            figure(one["kappa"]),
            figure(one["weighted_kappa"]),
        ]
        for one in found["pairs"]
    ]
    parts.append(r.table(columns, pairs))
    alphas = {"result": figure(found["alpha_result"]), "margin": figure(found["alpha_margin"])}
    parts.append(r.paragraph(page.t("alphas", **alphas)))
    return r.section(page.t("judges"), *parts, name="judges", note=page.t("judges_note"))


def accounting(page: Page) -> Html:
    """Where every verdict went."""
    found = page.found["accounting"]
    keys_ = ("asked", "ok", "invalid", "error", "pairs", "identical", "incomplete")
    line = page.t("accounting_line", **{key: f"{found[key]:,}" for key in keys_})
    columns = [Column(page.t("class"))]
    columns += [
        Column(page.t(key), numeric=True) for key in ("asked", "ok", "invalid", "error", "identical", "share_bad")
    ]
    rows: list[list[Content]] = []
    for name, one in sorted(found["by_category"].items()):
        counts = [one[key] for key in ("asked", "ok", "invalid", "error", "identical")]
        rows.append([name, *counts, r.percent(one["invalid"] + one["error"], one["asked"])])
    parts = [r.paragraph(line), r.table(columns, rows)]
    for title, key in (("reasons", "reasons"), ("quarantined", "quarantined")):
        if found[key]:
            columns = [Column(page.t(title)), Column(page.t("count"), numeric=True)]
            parts.append(r.table(columns, [[r.element("code", name), count] for name, count in found[key].items()]))
    return r.section(page.t("accounting"), *parts, name="accounting")
