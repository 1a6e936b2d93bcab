"""RUN/report.html of `corpus stats`: the set at a glance.

In: a run's manifest and its summary. Out: one file that depends on these alone. Price: 50 ms and 0.1 MB.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from corpus.report_text import reason_text
from corpus.stats_text import LABELS
from runkit import report as r
from runkit.charts import Series, line_chart
from runkit.config import dump_yaml
from runkit.files import write_text
from runkit.report import Column, Content, Html, number, percent
from runkit.rundir import RunDir

MOST_ROWS: Final = 20
VOCABULARY: Final = ("characters", "units", "pairs")


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
            self.lengths(),
            self.origins(),
            self.classes(),
            self.vocabulary(),
            self.duplicates(),
            self.lines(),
            self.not_read(),
            self.settings(),
            lang="zh-CN" if self.lang == "zh" else "en",
            subtitle=self.t("subtitle", files=number(inputs["files"]), size=f"{inputs['bytes'] / 1e6:,.1f} MB"),
            contents=self.t("contents"),
            foot=self.t("foot"),
        )

    def headline(self) -> Html:
        summary = self.summary
        duplicates, lines = summary["duplicates"], summary["repeated_lines"]
        cards = [
            r.Figure(self.t("documents"), summary["documents"]),
            r.Figure(self.t("characters"), summary["characters"], f"{summary['bytes'] / 1e6:,.1f} MB UTF-8"),
            r.Figure(
                self.t("mean"),
                number(round(summary["lengths"]["mean"])),
                self.t("median", value=number(summary["lengths"]["percentiles"]["50"])),
            ),
            r.Figure(self.t("copies"), percent(duplicates["share"], 1), self.t("copies_note")),
        ]
        if (near := duplicates["near"]) is not None:
            note = self.t("near_note", sample=number(near["sample"]))
            cards.append(r.Figure(self.t("near"), percent(near["near_share"], 1), note))
        note = self.t("lines_note", chars=lines["of_at_least"])
        cards.append(r.Figure(self.t("lines"), percent(lines["share"], 1), note))
        return r.figures(cards)

    def lengths(self) -> Html:
        lengths = self.summary["lengths"]
        together = lengths["bins_a_decade"] // 10
        counts = [sum(lengths["histogram"][at : at + together]) for at in range(0, len(lengths["histogram"]), together)]
        edges = [10 ** (place / 10) for place in range(len(counts) + 1)]
        drawing = r.histogram(edges, counts, [0] * len(counts), logarithmic=True, label=self.t("lengths"))
        columns = [Column(self.t("percentile")), Column(self.t("below"), numeric=True)]
        rows = [[f"{share} %", value] for share, value in lengths["percentiles"].items()]
        figure = r.element("figure", r.element("figcaption", self.t("documents")), drawing)
        both = r.element("div", figure, r.table(columns, rows), class_="pair")
        return r.section(self.t("lengths"), both, name="lengths", note=self.t("lengths_note"))

    def origins(self) -> Html:
        summary = self.summary
        tables = [
            self._shares("languages", "language", summary["languages"]),
            self._shares("sources", "source", summary["sources"]),
            self._counts("domains", "domain", summary["domains"]["top"]),
            self._counts("years", "year", summary["years"]),
        ]
        note = self.t(
            "different_domains",
            count=number(summary["domains"]["different"]),
            without=number(summary["without_url"]),
        )
        return r.section(self.t("origins"), r.element("div", *tables, class_="pair"), name="origins", note=note)

    def _shares(self, title: str, first: str, table: Mapping[str, Mapping[str, int]]) -> Html:
        columns = [
            Column(self.t(first)),
            *(Column(self.t(k), numeric=True) for k in ("documents", "characters", "share")),
        ]
        whole = self.summary["characters"]
        rows: list[list[Content]] = [
            [name, row["documents"], row["characters"], percent(row["characters"], whole)]
            for name, row in list(table.items())[:MOST_ROWS]
        ]
        return r.element("div", r.element("h3", self.t(title)), r.table(columns, rows))

    def _counts(self, title: str, first: str, table: Mapping[str, int]) -> Html:
        rows: list[list[Content]] = [[name, count] for name, count in list(table.items())[:MOST_ROWS]]
        columns = [Column(self.t(first)), Column(self.t("documents"), numeric=True)]
        shown = r.table(columns, rows) if rows else r.paragraph(self.t("none"), class_="note")
        return r.element("div", r.element("h3", self.t(title)), shown)

    def classes(self) -> Html:
        whole = self.summary["characters"]
        ranked = sorted(self.summary["classes"].items(), key=lambda item: (-item[1], item[0]))
        rows: list[list[Content]] = [
            [self.t(f"class.{name}"), count, percent(count, whole), r.bar([("kept", count)], whole)]
            for name, count in ranked
        ]
        columns = [Column(self.t("class")), Column(self.t("characters"), numeric=True)]
        columns += [Column(self.t("share"), numeric=True), Column("", wide=True)]
        return r.section(self.t("classes"), r.table(columns, rows), name="classes")

    def vocabulary(self) -> Html:
        found = self.summary["vocabulary"]
        rows: list[list[Content]] = []
        charts = []
        for name in VOCABULARY:
            one = found[name]
            different = number(one["different"]) + ("" if one["exact"] else f" ({self.t('estimated')})")
            beta = number(one["heaps"]["beta"]) if one["heaps"] else "–"
            rows.append([self.t(f"kind.{name}"), one["read"], different, beta])
            curve = Series(self.t(f"kind.{name}"), found["read"], one["curve"])
            charts.append(
                line_chart(
                    [curve],
                    label=self.t(f"kind.{name}"),
                    x_title=self.t("axis"),
                    y_title=self.t("different"),
                    from_zero=True,
                )
            )
        columns = [Column(self.t("kind")), *(Column(self.t(k), numeric=True) for k in ("read", "different", "beta"))]
        drawn = r.element("div", *charts, class_="charts")
        content = [r.table(columns, rows), drawn]
        return r.section(self.t("vocabulary"), *content, name="vocabulary", note=self.t("vocabulary_note"))

    def duplicates(self) -> Html:
        found = self.summary["duplicates"]
        near = found["near"]
        rows: list[list[Content]] = [[self.t("copies"), self._estimated(percent(found["share"], 1), found["exact"])]]
        rows[0].append(self.t("of_characters", share=percent(found["characters_share"], 1)))
        if near is not None:
            note = self.t("near_note", sample=number(near["sample"]))
            rows.append([self.t("near"), percent(near["near_share"], 1), note])
        columns = [Column(""), Column(self.t("share"), numeric=True), Column("")]
        note = self.t("duplicates_note", jaccard=self.run.manifest["config"]["jaccard"])
        return r.section(self.t("duplicates"), r.table(columns, rows), name="duplicates", note=note)

    def _estimated(self, text: str, exact: bool) -> str:
        return text if exact else f"{text} ({self.t('estimated')})"

    def lines(self) -> Html:
        found = self.summary["repeated_lines"]
        rows: list[Sequence[Content]] = [
            [r.element("span", row["text"], class_="raw"), row["times"]] for row in found["top"]
        ]
        columns = [Column(self.t("line")), Column(self.t("count"), numeric=True)]
        about = self.t(
            "lines_about",
            share=percent(found["share"], 1),
            lines=number(found["lines"]),
            chars=found["of_at_least"],
            characters=percent(found["characters_share"], 1),
        )
        shown = r.table(columns, rows) if rows else r.paragraph(self.t("none"))
        return r.section(self.t("top_lines"), shown, name="lines", note=about)

    def not_read(self) -> Html:
        rows: list[list[Content]] = [
            [r.join(r.element("code", name), r.element("span", reason_text(name, self.lang), class_="why")), count]
            for name, count in self.summary["quarantined"].items()
        ]
        rows += [[f"{file['path']}: {file['reason']}", ""] for file in self.summary["inputs"]["not_read"][:MOST_ROWS]]
        columns = [Column(self.t("reason")), Column(self.t("records"), numeric=True)]
        shown = r.table(columns, rows) if rows else r.paragraph(self.t("none"), class_="note")
        return r.section(self.t("not_read"), shown, name="not-read")

    def settings(self) -> Html:
        inputs = self.run.manifest["inputs"]
        rows: list[list[Content]] = [
            [file["name"], file["size"], r.element("code", str(file["fingerprint"])[:16])]
            for file in inputs[:MOST_ROWS]
        ]
        columns = [Column(self.t("file")), Column("bytes", numeric=True), Column("sha256")]
        config = r.element("pre", dump_yaml(self.run.manifest["config"]))
        content = [r.table(columns, rows), r.folded(self.t("config_open"), config)]
        return r.section(self.t("config"), *content, name="config")
