"""The page about a comparison: which is better, how sure that is, and what to look at before believing it.

In: a run and its summary. Out: one self-contained HTML page, in English or Chinese, the same for the same run. It opens
with one line that answers the question. Price: 0.1 s, and 0.3 MB at most.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from judge.report_order import accounting, judges, lengths, position, ranking, scores
from judge.report_parts import (
    Page,
    Scale,
    drawn,
    figure,
    probability,
    rows_of,
    share,
    signed,
    whole,
)
from judge.report_questions import disagreeing, far_apart, flagged, unread
from judge.report_text import WORDS, headline
from judge.summary import ALPHA, Run
from runkit import report as r
from runkit.report import Column, Content, Html

MOST_SYSTEMS: Final = 60
MOST_DETAILS: Final = 24  # systems whose classes and figures are shown
MOST_CLASSES: Final = 16  # columns
FEW: Final = 5  # questions of a class
SATURATED: Final = 0.3  # of scores at the top of the scale
CORRELATED: Final = 0.2
LOST: Final = 0.02  # of the verdicts of a class, and twice the whole's share


def report(run: Run, found: Mapping[str, Any], lang: str) -> str:
    """The whole page."""
    page = Page(run, found, lang)
    parts = [look(page)]
    if page.systems:
        parts = [cards(page), *parts, overall(page), classes(page), position(page), scores(page)]
        parts += [lengths(page), ranking(page), judges(page)]
    parts += [accounting(page), disagreeing(page), far_apart(page), flagged(page), unread(page), settings(page)]
    return r.page(
        headline(found, WORDS[lang]),
        *parts,
        lang="zh-CN" if lang == "zh" else "en",
        subtitle=_subtitle(page),
        contents=page.t("contents"),
    )


def _subtitle(page: Page) -> str:
    found, names = page.found, list(page.found["systems"])
    if not names:
        return page.run.path.name
    systems = ", ".join(names) if len(names) <= 3 else page.t("some_systems", count=len(names))
    return page.t(
        "subtitle",
        systems=systems,
        reference=found["reference"],
        judges=", ".join(found["judges"]),
        questions=f"{found['questions']:,}",
    )


def cards(page: Page) -> Html:
    """Headline figures; of several systems those of all verdicts."""
    account, items = page.found["accounting"], []
    if len(page.systems) == 1:
        [one] = page.systems.values()
        items += _cards_of(page, one)
    else:
        items += [r.Figure(page.t("systems"), len(page.systems)), r.Figure(page.t("n"), page.found["questions"])]
        helped, effects = _helped(page)
        if effects:
            note = page.t("helps_note", low=signed(min(effects)), high=signed(max(effects)))
            items.append(r.Figure(page.t("helps"), page.t("of", part=helped, whole=len(effects)), note))
    note = page.t("verdicts_note", **{key: f"{account[key]:,}" for key in ("ok", "invalid", "error")})
    items.append(r.Figure(page.t("verdicts"), account["asked"], note))
    return r.figures(items)


def _cards_of(page: Page, one: Mapping[str, Any]) -> list[r.Figure]:
    def note(key: str, interval: Any, show: Any, **more: str) -> str:
        if interval is None:
            return ""
        return page.t(key, low=show(interval[0]), high=show(interval[1]), **more)

    items = [
        r.Figure(
            page.t("difference" if page.scored else "margin"),
            signed(one["swap_avg_diff"]),
            note("difference_note", one["diff_t_interval"], signed),
        ),
        r.Figure(
            page.t("win_rate"),
            share(one["win_rate_averaged"]),
            note("win_rate_note", one["win_rate_averaged_interval"], share),
        ),
    ]
    if one["ratio_percent"] is not None:
        means = {"sys": figure(one["swap_avg_sys"]), "ref": figure(one["swap_avg_ref"])}
        percent = f"{one['ratio_percent']:.1f}%"
        items.append(
            r.Figure(page.t("ratio"), percent, note("ratio_note", one["ratio_percent_interval"], _percent, **means))
        )
    if one["position_effect"] is not None:
        items.append(
            r.Figure(
                page.t("shown_first"),
                signed(one["position_effect"]),
                note("shown_first_note", one["position_effect_interval"], signed),
            )
        )
        flips = share(one["strict_flip_rate"])
        items.append(
            r.Figure(page.t("changed"), share(one["verdict_changed_rate"]), page.t("changed_note", flips=flips))
        )
    return items


def _helped(page: Page) -> tuple[int, list[float]]:
    """In how many systems being shown first helps beyond doubt, and all effects."""
    found = [one for one in page.systems.values() if one["position_effect_interval"] is not None]
    return sum(one["position_effect_interval"][0] > 0 for one in found), [one["position_effect"] for one in found]


def _percent(value: float) -> str:
    return f"{value:.1f}%"


def look(page: Page) -> Html:
    """What a reader should not overlook."""
    found, account = page.found, page.found["accounting"]
    hints: list[Content] = []
    if len(page.systems) == 1:
        [(name, one)] = page.systems.items()
        hints += _position_hints(page, name, one)
    else:
        helped, effects = _helped(page)
        hints += [page.t("look_helped", part=helped, whole=len(effects))] if 2 * helped > len(effects) else []
    lost = account["invalid"] + account["error"]
    if lost:
        hints.append(page.t("look_invalid", count=f"{lost:,}", share=r.percent(lost, account["asked"])))
        hints += _worst_category(page, lost / account["asked"])
    if len(page.systems) == 1:
        [one] = page.systems.values()
        low, high = one["bounds"]["diff"]
        if low < high:
            hints.append(page.t("look_bounds", low=signed(low), high=signed(high)))
    for key, count in (
        ("look_unanswered", account["unanswered"]),
        ("look_identical", account["identical"]),
        ("look_not_recorded", account["orders_not_recorded"]),
        ("look_injection", found["flags"]["injections_in_all"]),
    ):
        hints += [page.t(key, count=f"{count:,}")] if count else []
    for one in found["flags"]["constant"]:
        hints.append(
            page.t(
                "look_constant",
                system=one["system"],
                count=f"{one['answers']:,}",
                of=f"{one['of']:,}",
                text=one["text"][:60],
            )
        )
    if "overlap" in found["judges"]:
        hints.append(page.t("look_overlap"))
    if page.systems and not page.scored:
        hints.append(page.t("look_grammar"))
    hints += _system_hints(page)
    agreement = found["agreement"]
    if agreement and agreement["alpha_result"] is not None and agreement["alpha_result"] < 0.6:
        hints.append(page.t("look_judges", alpha=figure(agreement["alpha_result"])))
    return r.section(page.t("look"), r.bullets(hints or [page.t("look_none")]), name="look")


def _position_hints(page: Page, name: str, one: Mapping[str, Any]) -> list[Content]:
    hints: list[Content] = []
    interval, effect = one["position_effect_interval"], one["position_effect"]
    if interval and (interval[0] > 0 or interval[1] < 0):
        side = page.t("side_first" if effect > 0 else "side_second")
        hints.append(
            page.t(
                "look_position",
                side=side,
                effect=signed(effect),
                low=signed(interval[0]),
                high=signed(interval[1]),
            )
        )
    first, second = one["ref_first_only"], one["sys_first_only"]
    if (first["win"] - first["loss"]) * (second["win"] - second["loss"]) < 0:
        counts = {"first": first["win"], "first_lost": first["loss"]}
        counts |= {"second": second["win"], "second_lost": second["loss"]}
        hints.append(page.t("look_one_order", system=name, **counts))
    elif one.get("verdict_changed_rate") is not None and one["verdict_changed_rate"] > 0.2:
        hints.append(page.t("look_flips", system=name, share=share(one["verdict_changed_rate"])))
    return hints


def _worst_category(page: Page, rate: float) -> list[Content]:
    """The class that loses far more than the others."""
    rates = {
        name: ((one["invalid"] + one["error"]) / one["asked"], one["asked"])
        for name, one in page.found["accounting"]["by_category"].items()
        if one["asked"]
    }
    name = max(rates, key=lambda key: rates[key])
    if len(rates) < 2 or rates[name][0] < max(LOST, 2 * rate):
        return []
    return [page.t("look_category", category=name, share=share(rates[name][0]), asked=f"{rates[name][1]:,}")]


def _system_hints(page: Page) -> list[Content]:
    hints: list[Content] = []
    for name, one in page.systems.items():
        histogram = one.get("histogram")
        if histogram and sum(histogram["sys"]):
            top = histogram["sys"][-1] / sum(histogram["sys"])
            hints += [page.t("look_saturated", system=name, share=share(top))] if top >= SATURATED else []
        length = one.get("length")
        spearman = length and length["spearman"]
        if spearman and spearman["value"] > CORRELATED and (spearman["low"] or 0) > 0:
            rate = share(length["win_rate_adjusted"])
            hints.append(page.t("look_length", value=figure(spearman["value"]), system=name, rate=rate))
    return hints[:6]


def overall(page: Page) -> Html:
    """Every system against the reference."""
    shown = list(page.systems.items())[:MOST_SYSTEMS]
    scale = Scale.around([one["diff_t_interval"] for _, one in shown])
    columns = [Column(page.t("system")), Column(page.t("answer"))]
    columns += [Column("", wide=True), Column(page.t("difference"), numeric=True)]
    columns.append(Column(page.t("interval"), numeric=True))
    if page.scored:
        columns += [Column(page.t(key), numeric=True) for key in ("mean", "reference_mean")]
    columns += [Column(page.t(key), numeric=True) for key in ("n", "results", "win_rate", "interval")]
    columns.append(Column(page.t("p_holm" if len(shown) > 1 else "p"), numeric=True))
    rows: list[list[Content]] = []
    for name, one in shown:
        row: list[Content] = [
            name,
            page.t(f"answer_{one['answer']}"),
            drawn(one["swap_avg_diff"], one["diff_t_interval"], scale),
        ]
        row += [signed(one["swap_avg_diff"]), page.range(one["diff_t_interval"])]
        if page.scored:
            row += [figure(one["swap_avg_sys"]), figure(one["swap_avg_ref"])]
        counts = one["averaged"]
        row += [one["n"], f"{counts['win']:,} / {counts['tie']:,} / {counts['loss']:,}"]
        row += [share(one["win_rate_averaged"]), page.range(one["win_rate_averaged_interval"], share)]
        row.append(probability(one["p_holm"]))
        rows.append(row)
    parts = [r.table(columns, rows)]
    if len(page.systems) > MOST_SYSTEMS:
        parts.append(r.paragraph(page.t("and_more", count=f"{len(page.systems) - MOST_SYSTEMS:,}")))
    for name, one in shown[:MOST_DETAILS]:
        if len(shown) == 1:
            parts.append(details_of(page, one))
        else:
            both = details_of(page, one), _classes_of(page, one, _scale_of([one]))
            parts.append(r.folded(page.t("details", system=name), *both))
    return r.section(page.t("overall"), *parts, name="overall", note=page.t("overall_note"))


def details_of(page: Page, one: Mapping[str, Any]) -> Html:
    """All figures of one system."""
    t, plan = page.t, one["questions_for"]
    rows: list[tuple[str, Content]] = [
        (t("row_t"), f"{signed(one['swap_avg_diff'], 3)} ({page.range(one['diff_t_interval'])})"),
        (t("row_bootstrap"), page.range(one["diff_bootstrap_interval"])),
    ]
    for policy in ("averaged", "conservative"):
        interval = page.range(one[f"win_rate_{policy}_interval"], share)
        rows.append((t(f"row_{policy}"), f"{share(one[f'win_rate_{policy}'])} ({interval})"))
    if one["ratio_percent"] is not None:
        interval = page.range(one["ratio_percent_interval"], _percent)
        rows.append((t("row_ratio"), f"{one['ratio_percent']:.1f}% ({interval})"))
    for key, name in (("t_p", "row_t_p"), ("wilcoxon_p", "row_wilcoxon"), ("sign_test_p", "row_sign")):
        rows.append((t(name), probability(one[key])))
    rows.append((t("row_detectable"), figure(one["minimum_detectable_effect"])))
    rows.append((t("row_detectable_rate"), share(one["minimum_detectable_win_rate"])))
    rows.append((t("row_questions"), whole(plan["observed_difference"])))
    rows += [(t("row_questions_for", difference=key), whole(count)) for key, count in plan["differences"].items()]
    rows += [
        (t("row_questions_for_rate", rate=share(float(key))), whole(count)) for key, count in plan["win_rates"].items()
    ]
    if one["incomplete"] or one["unanswered"]:
        rows.append((t("row_bounds"), page.range(one["bounds"]["diff"])))
        rows.append((t("row_bounds_rate"), page.range(one["bounds"]["win_rate_averaged"], share)))
    half = (len(rows) + 1) // 2
    columns = [Column(t("figure")), Column(t("value"), numeric=True)]
    return r.element("div", *(r.table(columns, rows_of(part)) for part in (rows[:half], rows[half:])), class_="pair")


def classes(page: Page) -> Html:
    """Each class of question with its interval; of several systems their differences side by side."""
    systems = list(page.systems.items())[:MOST_SYSTEMS]
    if len(systems) == 1:
        [(_, one)] = systems
        body = _classes_of(page, one, _scale_of([one]))
        return r.section(page.t("classes"), body, name="classes", note=page.t("classes_note"))
    names = sorted({name for _, one in systems for name in one["per_category"]})[:MOST_CLASSES]
    columns = [Column(page.t("system")), *(Column(name, numeric=True) for name in names)]
    rows: list[list[Content]] = []
    for system, one in systems:
        cells = [one["per_category"].get(name) for name in names]
        rows.append([system, *("–" if cell is None else _cell(cell) for cell in cells)])
    note = f"{page.t('classes_side_by_side')} {page.t('classes_note')}"
    return r.section(page.t("classes"), r.table(columns, rows), name="classes", note=note)


def _cell(part: Mapping[str, Any]) -> Content:
    text = signed(part["diff"])
    return r.element("b", text) if part["p_holm"] is not None and part["p_holm"] < ALPHA else text


def _scale_of(systems: Sequence[Mapping[str, Any]]) -> Scale:
    """For classes of few questions, whose intervals are far wider than all others, the scale is not widened."""
    parts = [part for one in systems for part in one["per_category"].values() if part["diff"] is not None]
    many = [part for part in parts if part["n"] >= FEW] or parts
    return Scale.around([*(part["interval"] for part in many), *([part["diff"]] * 2 for part in parts)])


def _classes_of(page: Page, one: Mapping[str, Any], scale: Scale) -> Html:
    columns = [Column(page.t("class")), Column("", wide=True), Column(page.t("difference"), numeric=True)]
    columns.append(Column(page.t("interval"), numeric=True))
    if page.scored:
        columns += [Column(page.t(key), numeric=True) for key in ("mean", "reference_mean")]
    columns += [Column(page.t(key), numeric=True) for key in ("n", "win_rate", "interval", "p_holm", "missing")]
    rows: list[list[Content]] = []
    for name, part in one["per_category"].items():
        row: list[Content] = [
            name,
            drawn(part["diff"], part["interval"], scale),
            signed(part["diff"]),
        ]
        row.append(page.range(part["interval"]))
        if page.scored:
            row += [figure(part["sys"]), figure(part["ref"])]
        row += [part["n"], share(part.get("win_rate")), page.range(part.get("win_rate_interval"), share)]
        row += [probability(part["p_holm"]), part["incomplete"]]
        rows.append(row)
    return r.table(columns, rows)


def settings(page: Page) -> Html:
    file = page.run.path / "resolved.yaml"
    if not file.is_file():
        return r.join()
    text = r.element("pre", file.read_text("utf-8", "replace"))
    return r.section(page.t("settings"), r.folded(page.t("settings_fold"), text), name="settings")
