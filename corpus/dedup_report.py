"""RUN/report.html of `corpus dedup`: what repeated, what was taken out, and samples of each.

In: a finished run and its summary. Out: one file that depends on these alone. Everything that was crawled is escaped by
`runkit.report` and masked as in the report of `corpus clean`. Price: 0.1 CPU seconds and 0.2 MB.
"""

from typing import Any

import polars as pl

from corpus.dedup_decide import KINDS, REPEATS
from corpus.dedup_report_text import LABELS
from corpus.report_text import reason_text
from corpus.samples import SHORT_CHARACTERS, Sample, draw
from runkit import report as r
from runkit.config import dump_yaml
from runkit.files import write_text
from runkit.personal import mask_personal
from runkit.report import Column, Content, Html, number, percent
from runkit.rundir import RunDir

MOST_ROWS = 40  # of a list of repeats
ROWS_OPEN = 12
REPEAT_CHARACTERS = 240


def write_report(run: RunDir, summary: dict[str, Any], lang: str) -> None:
    """Write the file."""
    write_text(run.file("report.html"), _Report(run, summary, lang).page())


class _Report:
    """The page of one run, section by section."""

    def __init__(self, run: RunDir, summary: dict[str, Any], lang: str) -> None:
        self.run, self.summary, self.lang = run, summary, lang
        self.labels = LABELS[lang]
        self.rejected = draw(run.path, [], "rejected", summary["reasons"])
        self.repeats = pl.read_parquet(run.file(REPEATS))

    def t(self, key: str, **values: Any) -> str:
        return self.labels[key].format(**values) if values else self.labels[key]

    def page(self) -> str:
        inputs = self.summary["inputs"]
        return r.page(
            self.t("title"),
            self.headline(),
            self.funnel(),
            self.copies(),
            *(self.repeated(kind) for kind in KINDS),
            self.sources(),
            self.samples(),
            self.settings(),
            lang="zh-CN" if self.lang == "zh" else "en",
            subtitle=self.t("subtitle", files=number(inputs["files"]), size=f"{inputs['bytes'] / 1e6:,.1f} MB"),
            contents=self.t("contents"),
            foot=self.t("foot"),
        )

    def headline(self) -> Html:
        documents, characters = self.summary["documents"], self.summary["characters"]
        copies = sum(count for reason, count in self.summary["reasons"].items() if reason.startswith("dedup."))

        def share(part: int, whole: int) -> str:
            return self.t("of_read", share=percent(part, whole))

        return r.figures(
            [
                r.Figure(self.t("read"), documents["read"]),
                r.Figure(self.t("kept"), documents["kept"], share(documents["kept"], documents["read"])),
                r.Figure(self.t("copies"), copies, share(copies, documents["read"])),
                r.Figure(self.t("cut"), documents["cut"], share(documents["cut"], documents["read"])),
                r.Figure(self.t("characters_kept"), characters["kept"], share(characters["kept"], characters["read"])),
                r.Figure(self.t("not_readable"), self.summary["records"]["quarantined"]),
            ]
        )

    def funnel(self) -> Html:
        columns = [Column(self.t("step")), *(Column(self.t(k), numeric=True) for k in ("documents", "lost", "share"))]
        columns += [Column(self.t(key), numeric=True) for key in ("characters", "lost", "share")]
        first = before = self.summary["funnel"][0]
        stages = []
        for stage in self.summary["funnel"]:
            cells: list[Content] = []
            for unit in ("documents", "characters"):
                lost = before[unit] - stage[unit]
                cells += [stage[unit], f"−{lost:,}" if lost else "", percent(stage[unit], first[unit])]
            stages.append(r.Stage(self.t(f"step.{stage['step']}"), stage["characters"], cells))
            before = stage
        return r.section(self.t("funnel"), r.funnel(columns, stages), name="funnel", note=self.t("funnel_note"))

    def copies(self) -> Html:
        rows: list[list[Content]] = [
            [pair["source"], pair["duplicate_source"], pair["documents"]] for pair in self.summary["copies"][:MOST_ROWS]
        ]
        columns = [Column(self.t("copy_source")), Column(self.t("kept_source")), Column(self.t("copies"), numeric=True)]
        content = r.table(columns, rows) if rows else r.paragraph(self.t("none"))
        return r.section(self.t("pairs"), content, name="pairs", note=self.t("pairs_note"))

    def repeated(self, kind: str) -> Html:
        cut = self.summary["cuts"][kind]
        found = self.repeats.filter(pl.col("kind") == kind).head(MOST_ROWS)
        # A stretch of substrings may be longer in each document; only that it was cut is known of it as a whole.
        keys = [*([] if kind == "substrings" else ["documents"]), "times_cut", "characters"]
        columns = [Column(self.t("length" if key == "characters" else key), numeric=True) for key in keys]
        columns.append(Column(self.t("text"), wide=True))
        rows: list[list[Content]] = [
            [*(row[key] for key in keys), r.element("span", _short(row["text"]), class_="raw")]
            for row in found.iter_rows(named=True)
        ]
        content: list[Content] = [r.table(columns, rows[:ROWS_OPEN]) if rows else r.paragraph(self.t("none"))]
        if rows[ROWS_OPEN:]:
            content.append(r.folded(self.t("more", count=len(rows) - ROWS_OPEN), r.table(columns, rows[ROWS_OPEN:])))
        note = self.t(
            f"{kind}_note",
            pieces=number(cut["pieces"]),
            documents=number(cut["documents"]),
            characters=number(cut["characters"]),
        )
        return r.section(self.t(kind), *content, name=kind, note=note)

    def sources(self) -> Html:
        kept, rejected = self.summary["sources"]["kept"], self.summary["sources"]["rejected"]
        columns = [
            Column(self.t("source")),
            *(Column(self.t(key), numeric=True) for key in ("kept", "rejected", "rate")),
        ]
        names = sorted({**kept, **rejected}, key=lambda name: (-kept.get(name, 0) - rejected.get(name, 0), name))
        rows: list[list[Content]] = []
        for name in names[:MOST_ROWS]:
            parts = kept.get(name, 0), rejected.get(name, 0)
            rows.append([name, *parts, percent(parts[0], sum(parts))])
        return r.section(self.t("sources"), r.table(columns, rows), name="sources")

    def samples(self) -> Html:
        content: list[Content] = []
        for reason, samples in self.rejected.items():
            count = f" · {number(self.summary['reasons'][reason])}"
            content.append(r.element("h3", r.element("code", reason), count, id=r.anchor(f"reason-{reason}")))
            content.append(r.paragraph(reason_text(reason, self.lang), class_="note"))
            content += [self._sample(sample) for sample in samples[:3]]
        return r.section(self.t("samples"), *(content or [r.paragraph(self.t("none"))]), name="rejected")

    def _sample(self, sample: Sample) -> Html:
        text = mask_personal(sample.text)[0]
        text = text if len(text) <= SHORT_CHARACTERS else text[:SHORT_CHARACTERS] + " …"
        chips: list[Content] = [
            self.t("copy_of", id=broken.copy_of, similarity=broken.similarity)
            for broken in sample.broken
            if broken.copy_of
        ]
        facts: list[tuple[str, Content]] = [
            (self.t("origin"), sample.origin),
            (self.t("source"), sample.source),
            ("id", sample.id),
            (self.t("length"), sample.characters),
        ]
        return r.sample(mask_personal(sample.title)[0], sample.url, chips, text, facts)

    def settings(self) -> Html:
        config = r.element("pre", dump_yaml(self.run.manifest["config"]))
        columns = [Column(self.t("file")), Column(self.t("bytes"), numeric=True), Column("sha256")]
        rows: list[list[Content]] = [
            [file["name"], file["size"], r.element("code", str(file["fingerprint"])[:16])]
            for file in self.run.manifest["inputs"][:MOST_ROWS]
        ]
        content = [r.table(columns, rows), r.folded(self.t("config_open"), config)]
        return r.section(self.t("config"), *content, name="config")


def _short(text: str) -> str:
    text = mask_personal(text)[0]
    return text if len(text) <= REPEAT_CHARACTERS else text[:REPEAT_CHARACTERS] + " …"
