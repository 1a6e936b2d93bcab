"""The parts of the report that show texts: questions with both answers and the judge's reasons, flags, unread verdicts.

In: a page. Out: its sections. Nothing that a model wrote is shortened without a sign, and all of it is shown as it is.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from judge.position import averaged
from judge.report_parts import Page, cut, signed
from judge.store import Row
from judge.table import Meeting, meeting
from runkit import report as r
from runkit.report import Column, Content, Html

MOST_DISAGREEING: Final = 12
MOST_APART: Final = 5  # of each side
MOST_UNREAD: Final = 10
MOST_FLAGS: Final = 30
ANSWER_CHARACTERS: Final = 4_000
REASON_CHARACTERS: Final = 2_500
QUESTION_CHARACTERS: Final = 1_500
MOST_REASONS: Final = 6  # verdicts shown for a question


def disagreeing(page: Page) -> Html:
    """Where the two orders say the most different things."""
    found = page.found["disagreements"][:MOST_DISAGREEING]
    if not page.systems:
        return r.join()
    shown = [_question(page, one["question_id"], one["system"], (one["ref_first"], one["sys_first"])) for one in found]
    body = shown or [r.paragraph(page.t("none"))]
    return r.section(page.t("disagree"), *body, name="disagree", note=page.t("disagree_note"))


def far_apart(page: Page) -> Html:
    """Of a comparison of two: where each is furthest ahead."""
    if len(page.systems) != 1 or page.run.reference is None:
        return r.join()
    [system] = page.systems
    met = meeting(page.run.table, system, page.run.reference)
    d = averaged(met.d1, met.d2)
    order = np.lexsort((met.question, -d))
    parts = []
    for key, places in (("wins", order[:MOST_APART]), ("losses", order[::-1][:MOST_APART])):
        sign = 1.0 if key == "wins" else -1.0
        shown = [_of_meeting(page, met, int(place)) for place in places if sign * d[place] > 0]
        body = shown or [r.paragraph(page.t("none"))]
        parts.append(r.section(page.t(key, system=system), *body, name=key))
    return r.join(*parts)


def _of_meeting(page: Page, met: Meeting, place: int) -> Html:
    id = page.run.table.questions[int(met.question[place])]
    return _question(page, id, met.system, (float(met.d1[place]), float(met.d2[place])))


def _question(page: Page, id: str, system: str, margins: tuple[float, float]) -> Html:
    """A question that opens to both answers and all verdicts."""
    run, reference = page.run, str(page.run.reference)
    asked = run.questions.get(id)
    category = next(
        (name for name, one in zip(run.table.categories, run.table.questions, strict=True) if one == id), ""
    )
    title = r.element("b", page.t("question", id=id), class_="raw")
    chips = [category, *([system] if len(page.found["systems"]) > 1 else [])]
    chips += [f"{page.t('ref_first')} {signed(margins[0])}", f"{page.t('sys_first')} {signed(margins[1])}"]
    head = r.element(
        "span", title, *(r.element("span", chip, class_="chip raw") for chip in chips if chip), class_="head"
    )
    text = asked.text if asked is not None and asked.text else ""
    summary = [head, *([r.element("span", cut(text, QUESTION_CHARACTERS), class_="raw text")] if text else [])]
    parts: list[Html] = []
    answers = [_answer(page, id, name) for name in (system, reference)]
    if any(answers):
        parts.append(r.element("div", *(one for one in answers if one is not None), class_="pair"))
    if asked is not None and asked.reference:
        answer = r.element("div", cut(asked.reference, ANSWER_CHARACTERS), class_="raw written")
        parts.append(r.folded(page.t("reference_answer"), answer))
    reasons = [_reason(page, row) for row in _rows_of(page, id, system, reference)]
    parts.append(r.element("div", *reasons, class_="pair"))
    return r.element("details", r.element("summary", *summary), *parts, class_="sample")


def _answer(page: Page, id: str, system: str) -> Html | None:
    answer = page.run.answers.get((id, system))
    if answer is None:
        return None
    text = answer.text if answer.text is not None else page.t("no_answer", state=answer.detail or answer.state)
    return r.element(
        "div", r.element("h3", system), r.element("div", cut(text, ANSWER_CHARACTERS), class_="raw written")
    )


def _rows_of(page: Page, id: str, system: str, reference: str) -> Sequence[Row]:
    """Verdicts about the two on this question, those with the reference first before the others."""
    table = page.run.table
    numbers = [table.systems.index(name) for name in (system, reference)]
    there = (
        (table.question == table.questions.index(id)) & np.isin(table.first, numbers) & np.isin(table.second, numbers)
    )
    rows = [page.run.rows[place] for place in np.flatnonzero(there).tolist()]
    rows.sort(key=lambda row: (row["judge"], row["first"] != reference, row["sample"]))
    return rows[:MOST_REASONS]


def _reason(page: Page, row: Row) -> Html:
    said = page.t("no_text") if row["raw"] is None else row["explanation"] or row["raw"]
    head = r.element("h3", page.t("reasons_of", judge=row["judge"], first=row["first"]))
    result = r.element("span", _result(page, row), class_="chip raw")
    text = r.element("div", cut(said.strip(), REASON_CHARACTERS), class_="raw written")
    return r.element("div", head, result, text)


def _result(page: Page, row: Row) -> str:
    names = {"first": row["first"], "second": row["second"]}
    if row["state"] not in ("ok", "identical"):
        return page.t("not_read", fault=row["fault"])
    if row["score_first"] is None:
        return page.t(f"choice_{row['choice']}", **names)
    scores = {"first_score": f"{row['score_first']:g}", "second_score": f"{row['score_second']:g}"}
    return page.t("order_scores", **names, **scores)


def flagged(page: Page) -> Html:
    """Answers that address the judge, and systems that answer everything alike."""
    flags = page.found["flags"]
    if not page.run.answers:
        return r.join()
    rows: list[list[Content]] = []
    for one in flags["constant"]:
        count = page.t("flag_constant", count=f"{one['answers']:,}", of=f"{one['of']:,}")
        rows.append([one["system"], count, one["text"]])
    for one in flags["injections"][:MOST_FLAGS]:
        where = f"{page.t('flag_injection')}: {page.t('question', id=one['question_id'])}"
        rows.append([one["system"], where, one["passage"]])
    columns = [Column(page.t("system")), Column(page.t("reason")), Column("", wide=True)]
    body = r.table(columns, rows) if rows else r.paragraph(page.t("flags_none"))
    more = flags["injections_in_all"] - min(MOST_FLAGS, len(flags["injections"]))
    parts = [body, *([r.paragraph(page.t("and_more", count=f"{more:,}"))] if more > 0 else [])]
    return r.section(page.t("flags"), *parts, name="flags", note=page.t("flags_note"))


def unread(page: Page) -> Html:
    """Some verdicts that could not be read, with the judge's text."""
    rows = [row for row in page.run.rows if row["state"] == "invalid"]
    if not rows:
        return r.join()
    shown = list(_spread(rows, MOST_UNREAD))
    parts = [_unread_one(page, row) for row in shown]
    note = page.t("unread_note", shown=len(shown), all=f"{len(rows):,}")
    return r.section(page.t("unread"), *parts, name="unread", note=note)


def _spread(rows: Sequence[Row], most: int) -> Iterable[Row]:
    """Some of each fault before more of the same."""
    by_fault: dict[str, list[Row]] = {}
    for row in rows:
        by_fault.setdefault(row["fault"], []).append(row)
    chosen: list[Row] = []
    depth = 0
    while len(chosen) < min(most, len(rows)):
        chosen += [group[depth] for group in by_fault.values() if depth < len(group)]
        depth += 1
    return chosen[:most]


def _unread_one(page: Page, row: Row) -> Html:
    facts: list[tuple[str, Any]] = [(page.t("judge"), row["judge"]), (page.t("class"), row["category"])]
    chips: list[Content] = [row["fault"], f"{row['first']} · {row['second']}"]
    text = page.t("no_text") if row["raw"] is None else cut(row["raw"], REASON_CHARACTERS)
    return r.sample(page.t("question", id=row["question_id"]), "", chips, text, facts)
