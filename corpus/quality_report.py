"""RUN/report.html of `corpus quality fit`, `fit-perplexity` and `score`.

In: a run's manifest and its summary. Out: one file that depends on these alone; texts of the sets are escaped by
`runkit.report` and were masked before. Price: 20 ms and 60 kB.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from corpus.quality_text import LABELS
from runkit import report as r
from runkit.config import dump_yaml
from runkit.files import write_text
from runkit.report import Column, Content, Html, number, percent
from runkit.rundir import RunDir

MOST_ROWS: Final = 20
DECADES: Final = 5  # of perplexities
BINS_A_DECADE: Final = 12


def write_fit_report(run: RunDir, summary: dict[str, Any], lang: str) -> None:
    """Of `corpus quality fit`."""
    write_text(run.file("report.html"), _Fit(run, summary, lang).page())


def write_perplexity_report(run: RunDir, summary: dict[str, Any], lang: str) -> None:
    """Of `corpus quality fit-perplexity`."""
    write_text(run.file("report.html"), _Perplexity(run, summary, lang).page())


def write_score_report(run: RunDir, summary: dict[str, Any], lang: str) -> None:
    """Of `corpus quality score`."""
    write_text(run.file("report.html"), _Score(run, summary, lang).page())


class _Report:
    """What the pages share."""

    def __init__(self, run: RunDir, summary: dict[str, Any], lang: str) -> None:
        self.run, self.summary, self.lang = run, summary, lang

    def t(self, key: str, **values: Any) -> str:
        text = LABELS[self.lang][key]
        return text.format(**values) if values else text

    def whole(self, title: str, subtitle: str, *content: Html) -> str:
        return r.page(
            title,
            *content,
            self.settings(),
            lang="zh-CN" if self.lang == "zh" else "en",
            subtitle=subtitle,
            contents=self.t("contents"),
            foot=self.t("foot"),
        )

    def settings(self) -> Html:
        inputs = self.run.manifest["inputs"]
        rows: list[list[Content]] = [
            [file["name"], file["size"], r.element("code", str(file["fingerprint"])[:16])]
            for file in inputs[:MOST_ROWS]
        ]
        columns = [Column(self.t("file")), Column("bytes", numeric=True), Column("sha256")]
        config = r.folded(self.t("config_open"), r.element("pre", dump_yaml(self.run.manifest["config"])))
        return r.section(self.t("config"), r.table(columns, rows), config, name="config")

    def sets(self) -> Html:
        keys = ("read", "drawn", "learnt", "characters")
        columns = [Column(self.t("set")), *(Column(self.t(key), numeric=True) for key in keys)]
        columns += [Column(self.t("held_by")), Column(self.t("left_out"))]
        rows: list[list[Content]] = []
        found = self.summary["sets"]  # as they were named: a mark keeps names by the alphabet
        for name in [name for name in ("good", "bad", "terciles") if name in found]:
            one = found[name]
            left = ", ".join(f"{reason} {count:,}" for reason, count in one["left_out"].items())
            held = self.t("site" if one["by_site"] else "document")
            rows.append([self.t(name) if name in ("good", "bad") else name, *(one[key] for key in keys), held, left])
        return r.section(self.t("sets"), r.table(columns, rows), name="sets")

    def sample(self, one: Mapping[str, Any], value: str) -> Html:
        text = one["text"] + (" …" if one["characters"] > len(one["text"]) else "")
        chips: list[Content] = [value, *([self.t(one["set"])] if one.get("set") in ("good", "bad") else [])]
        facts: list[tuple[str, Content]] = [(self.t("source"), one["source"]), ("id", one["id"])]
        facts.append((self.t("characters"), one["characters"]))
        return r.sample(one["title"] or self.t("no_title"), one["url"], chips, text, facts)

    def groups(self, groups: Mapping[str, Sequence[Html]], note: str) -> Html:
        content: list[Content] = []
        for title, boxes in groups.items():
            content += [r.element("h3", title), *(boxes or [r.paragraph(self.t("none"), class_="note")])]
        return r.section(self.t("samples"), *content, name="samples", note=note)


class _Fit(_Report):
    def page(self) -> str:
        sets = self.summary["sets"]
        subtitle = self.t(
            "fit_subtitle",
            good=number(sets["good"]["learnt"]),
            bad=number(sets["bad"]["learnt"]),
            languages=", ".join(self.summary["languages"]),
        )
        parts = (self.headline(), self.scores(), self.thresholds(), self.ngrams(), self.texts(), self.sets())
        return self.whole(self.t("fit_title"), subtitle, *parts)

    def headline(self) -> Html:
        measured, kept = self.summary["held_out"], self.summary["thresholds"][1]
        good, bad = number(measured["good"]), number(measured["bad"])
        cards = [
            r.Figure(self.t("auc"), f"{measured['auc']:.4f}", self.t("auc_note", good=good, bad=bad)),
            r.Figure(self.t("length"), f"{measured['auc_of_length']:.4f}", self.t("length_note")),
            r.Figure(
                self.t("bad_kept"),
                percent(kept["bad"], 1),
                self.t("bad_kept_note", share=percent(kept["good"], 1)),
            ),
            r.Figure(
                self.t("calibration_error"),
                f"{measured['calibration_error']:.3f}",
                self.t("calibration_error_note"),
            ),
        ]
        return r.figures(cards)

    def scores(self) -> Html:
        good, bad = self.summary["histogram"]
        edges = [place / len(good) for place in range(len(good) + 1)]
        drawing = r.histogram(edges, good, bad, label=self.t("scores"))
        keys = [
            r.element("span", r.bar([(kind, 1)], 1), self.t(name), class_="key")
            for kind, name in (("kept", "good"), ("rejected", "bad"))
        ]
        figure = r.element("figure", r.element("figcaption", *keys), drawing)
        columns = [Column(self.t(key), numeric=True) for key in ("mean_score", "share_good", "good", "bad")]
        rows: list[list[Content]] = [
            [f"{mean:.3f}", f"{share:.3f}", count, other] for mean, share, count, other in self.summary["calibration"]
        ]
        table = r.element(
            "div",
            r.element("h3", self.t("calibration")),
            r.paragraph(self.t("calibration_note"), class_="note"),
            r.table(columns, rows),
        )
        both = r.element("div", figure, table, class_="pair")
        return r.section(self.t("scores"), both, name="scores", note=self.t("scores_note"))

    def thresholds(self) -> Html:
        columns = [Column(self.t(key), numeric=True) for key in ("min", "good_kept", "bad_through")]
        rows: list[list[Content]] = [
            [f"{row['min']:.4f}", percent(row["good"], 1), percent(row["bad"], 1)] for row in self.summary["thresholds"]
        ]
        return r.section(
            self.t("thresholds"), r.table(columns, rows), name="thresholds", note=self.t("thresholds_note")
        )

    def ngrams(self) -> Html:
        columns = [
            Column(self.t("ngram")),
            *(Column(self.t(key), numeric=True) for key in ("weight", "in_good", "in_bad")),
        ]
        tables = []
        for side, title in (("good", "for"), ("bad", "against")):
            rows: list[list[Content]] = []
            for row in self.summary["ngrams"][side]:
                name = r.element("code", row["ngram"].replace("\n", "⏎").replace(" ", "␣"))
                rows.append([name, f"{row['weight']:+.2f}", percent(row["good"], 1), percent(row["bad"], 1)])
            tables.append(r.element("div", r.element("h3", self.t(title)), r.table(columns, rows)))
        both = r.element("div", *tables, class_="pair")
        return r.section(self.t("ngrams"), both, name="ngrams", note=self.t("ngrams_note"))

    def texts(self) -> Html:
        shown = self.summary["texts"]
        groups = {
            self.t(name): [self.sample(one, f"{one['score']:.3f}") for one in shown[name]]
            for name in ("border", "bad_high", "good_low")
        }
        return self.groups(groups, self.t("samples_note"))


def perplexity_edges() -> list[float]:
    """Of the histograms of perplexities."""
    return [10 ** (place / BINS_A_DECADE) for place in range(BINS_A_DECADE * DECADES + 1)]


class _Perplexity(_Report):
    def page(self) -> str:
        summary = self.summary
        subtitle = self.t(
            "perplexity_subtitle",
            texts=number(summary["sets"]["good"]["learnt"]),
            order=summary["order"],
            languages=", ".join(summary["languages"]),
        )
        parts = (self.headline(), self.distribution(), self.texts(), self.by_order(), self.sets())
        return self.whole(self.t("perplexity_title"), subtitle, *parts)

    def headline(self) -> Html:
        summary = self.summary
        head, middle = summary["terciles"]
        of = self.t("of_set" if "terciles" in summary["sets"] else "of_held_out")
        cards = [
            r.Figure(
                self.t("median"),
                number(float(summary["median"])),
                self.t("median_note", texts=number(summary["measured"])),
            ),
            r.Figure(
                f"{self.t('head')} / {self.t('middle')} / {self.t('tail')}",
                f"{head:,.0f} / {middle:,.0f}",
                self.t("terciles_note", head=head, middle=middle, of=of),
            ),
            r.Figure(
                self.t("ngrams_kept"),
                sum(summary["ngrams"]),
                self.t("ngrams_kept_note", fewest=summary["fewest"]),
            ),
            r.Figure(self.t("size"), f"{summary['bytes'] / 1e6:,.1f} MB"),
        ]
        return r.figures(cards)

    def distribution(self) -> Html:
        above, below = self.summary["histogram"]
        lines = [r.Line(bound, number(float(f"{bound:.4g}"))) for bound in self.summary["terciles"]]
        drawing = r.histogram(perplexity_edges(), above, below, lines, logarithmic=True, label=self.t("distribution"))
        figure = r.element("figure", r.element("figcaption", self.t("perplexity")), drawing)
        shown = r.element("div", figure, class_="grid")
        return r.section(self.t("distribution"), shown, name="distribution", note=self.t("distribution_note"))

    def texts(self) -> Html:
        shown = self.summary["texts"]
        groups = {
            self.t(f"samples_{name}"): [self.sample(one, number(float(one["perplexity"]))) for one in shown[name]]
            for name in ("lowest", "median", "highest")
        }
        return self.groups(groups, self.t("perplexity_samples_note"))

    def by_order(self) -> Html:
        columns = [Column(self.t("length_of"), numeric=True), Column(self.t("ngrams_kept"), numeric=True)]
        rows: list[list[Content]] = [[place, count] for place, count in enumerate(self.summary["ngrams"], 1)]
        return r.section(self.t("by_order"), r.table(columns, rows), name="orders")


class _Score(_Report):
    def page(self) -> str:
        summary = self.summary
        subtitle = self.t("score_subtitle", documents=number(summary["documents"]), scored=number(summary["scored"]))
        parts = [self.distribution(name) for name in ("quality", "perplexity") if name in summary["histograms"]]
        if summary["buckets"]:
            parts.append(self.buckets())
        return self.whole(self.t("score_title"), subtitle, *parts)

    def distribution(self, name: str) -> Html:
        counts = self.summary["histograms"][name]
        whole = len(counts)
        edges = perplexity_edges() if name == "perplexity" else [place / whole for place in range(whole + 1)]
        drawing = r.histogram(edges, counts, [0] * whole, logarithmic=name == "perplexity", label=self.t(name))
        figure = r.element("figure", r.element("figcaption", self.t(name)), drawing)
        shown = r.element("div", figure, class_="grid")
        return r.section(self.t(name), shown, name=name, note=self.t("score_distribution_note"))

    def buckets(self) -> Html:
        columns = [Column(self.t("bucket")), *(Column(self.t(k), numeric=True) for k in ("documents", "share"))]
        columns.append(Column(self.t("characters"), numeric=True))
        rows: list[list[Content]] = [
            [self.t(name), row["documents"], percent(row["documents"], self.summary["scored"]), row["characters"]]
            for name, row in self.summary["buckets"].items()
        ]
        return r.section(self.t("bucket"), r.table(columns, rows), name="buckets")
