"""RUN/report.html of `corpus decontaminate`: which test items stand in the documents, each beside what was found.

In: a finished run and its summary. Out: one file that depends on these alone; everything is escaped by `runkit.report`.
"""

from typing import Any

from corpus.decontaminate_report_text import LABELS
from corpus.report_text import reason_text
from runkit import report as r
from runkit.config import dump_yaml
from runkit.files import write_text
from runkit.report import Column, Content, Html, number, percent
from runkit.rundir import RunDir

MOST_ROWS = 60
ROWS_OPEN = 15
KEYS = ("items", "found", "half", "whole", "too_short")


def write_report(run: RunDir, summary: dict[str, Any], lang: str) -> None:
    """Write the file."""
    write_text(run.file("report.html"), _Report(run, summary, lang).page())


class _Report:
    """The page of one run, section by section."""

    def __init__(self, run: RunDir, summary: dict[str, Any], lang: str) -> None:
        self.run, self.summary, self.lang = run, summary, lang

    def t(self, key: str, **values: Any) -> str:
        text = LABELS[self.lang][key]
        return text.format(**values) if values else text

    def page(self) -> str:
        inputs = self.summary["inputs"]
        return r.page(
            self.t("title"),
            self.headline(),
            self.sets(),
            self.matches(),
            self.sources(),
            self.settings(),
            lang="zh-CN" if self.lang == "zh" else "en",
            subtitle=self.t("subtitle", files=number(inputs["files"]), size=f"{inputs['bytes'] / 1e6:,.1f} MB"),
            contents=self.t("contents"),
            foot=self.t("foot"),
        )

    def headline(self) -> Html:
        documents, items = self.summary["documents"], self.summary["items"]
        cut = self.t("of_read", share=percent(documents["cut"], documents["read"]))
        found = self.t("of_items", share=percent(items["found"], items["items"]))
        return r.figures(
            [
                r.Figure(self.t("items"), items["items"]),
                r.Figure(self.t("found"), items["found"], found),
                r.Figure(self.t("whole"), items["whole"]),
                r.Figure(self.t("read"), documents["read"]),
                r.Figure(self.t("cut"), documents["cut"], cut),
                r.Figure(self.t("rejected"), documents["rejected"]),
            ]
        )

    def sets(self) -> Html:
        columns = [Column(self.t("set")), *(Column(self.t(key), numeric=True) for key in KEYS)]
        columns.append(Column(self.t("share"), numeric=True))
        rows: list[list[Content]] = [
            [name, *(entry[key] for key in KEYS), percent(entry["found"], entry["items"])]
            for name, entry in list(self.summary["sets"].items())[:MOST_ROWS]
        ]
        return r.section(self.t("sets"), r.table(columns, rows), name="sets", note=self.t("sets_note"))

    def matches(self) -> Html:
        columns = [Column(self.t("share"), numeric=True), Column(self.t("documents"), numeric=True)]
        columns += [Column(self.t("item"), wide=True), Column(self.t("text"), wide=True)]
        rows: list[list[Content]] = []
        for shown in self.summary["shown"][:MOST_ROWS]:
            item = r.join(r.element("code", shown["item"]), r.element("div", shown["question"], class_="raw"))
            place = f"{shown['id']} · {shown['source']} · {shown['action']}"
            text = r.join(r.element("code", place), r.element("div", shown["text"], class_="raw"))
            rows.append([percent(shown["share"], 1), shown["documents"], item, text])
        content: list[Content] = [r.table(columns, rows[:ROWS_OPEN]) if rows else r.paragraph(self.t("none"))]
        if rows[ROWS_OPEN:]:
            content.append(r.folded(self.t("more", count=len(rows) - ROWS_OPEN), r.table(columns, rows[ROWS_OPEN:])))
        reasons = [
            r.join(r.element("code", reason), f" {number(count)}: {reason_text(reason, self.lang)}")
            for reason, count in self.summary["reasons"].items()
        ]
        if reasons:
            content.append(r.bullets(reasons))
        return r.section(self.t("matches"), *content, name="matches", note=self.t("matches_note"))

    def sources(self) -> Html:
        sources, cut = self.summary["sources"], self.summary["cut_sources"]
        columns = [Column(self.t("source"))]
        columns += [Column(self.t(f"state.{state}"), numeric=True) for state in ("kept", "cut", "rejected")]
        kept, rejected = sources["kept"], sources["rejected"]
        rows: list[list[Content]] = [
            [name, kept.get(name, 0), cut.get(name, 0), rejected.get(name, 0)] for name in sorted({**kept, **rejected})
        ]
        return r.section(self.t("sources"), r.table(columns, rows[:MOST_ROWS]), name="sources")

    def settings(self) -> Html:
        config = r.element("pre", dump_yaml(self.run.manifest["config"]))
        columns = [Column(self.t("file")), Column(self.t("bytes"), numeric=True), Column("sha256")]
        rows: list[list[Content]] = [
            [file["name"], file["size"], r.element("code", str(file["fingerprint"])[:16])]
            for file in self.run.manifest["inputs"][:MOST_ROWS]
        ]
        return r.section(
            self.t("config"), r.table(columns, rows), r.folded(self.t("config_open"), config), name="config"
        )
