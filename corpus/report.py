"""RUN/report.html and RUN/README.md: is the data good, what was thrown away, and why.

In: a finished run, its summary and the sums of its parts' statistics. Out: two files that depend on these
alone, so the same run gives the same bytes. Every figure comes from the statistics; of the documents only
samples are read (corpus/samples.py). Price: a run of 1,117 documents takes 0.15 CPU seconds and gives 0.4 MB.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from corpus.card import card
from corpus.config import CleanConfig
from corpus.finish import SCALES, bin_edges
from corpus.report_text import LABELS, reason_text, signal_text
from corpus.samples import KEPT, SHORT_CHARACTERS, Broken, Sample, draw
from corpus.signals import ALL_SIGNALS
from runkit import report as r
from runkit.config import dump_yaml
from runkit.files import write_text
from runkit.personal import mask_personal
from runkit.report import Column, Content, Html, number, percent
from runkit.rundir import RunDir

SAMPLES_OPEN = 2  # of the samples of a reason
MOST_ROWS = 20  # of a list of domains, files, languages


def write_report(run: RunDir, summary: dict[str, Any], total: dict[str, Any], config: CleanConfig, lang: str) -> None:
    """Write both files."""
    write_text(run.file("report.html"), _Report(run, summary, total, config, lang).page())
    write_text(run.file("README.md"), card(run.manifest, summary, config, lang))


class _Report:
    """The page of one run, section by section."""

    def __init__(
        self, run: RunDir, summary: dict[str, Any], total: dict[str, Any], config: CleanConfig, lang: str
    ) -> None:
        self.run, self.summary, self.total, self.config, self.lang = run, summary, total, config, lang
        self.read: int = summary["documents"]["read"]
        self.reasons: dict[str, int] = _ranked(summary["reasons"])
        rules = run.manifest["config"]["rules"]
        self.rejected = draw(run.path, rules, "rejected", self.reasons)
        self.kept = draw(run.path, rules, "documents", {KEPT: summary["documents"]["kept"]})[KEPT]

    def t(self, key: str, **values: Any) -> str:
        text = LABELS[self.lang][key]
        return text.format(**values) if values else text

    def page(self) -> str:
        files, size = self.summary["inputs"]["files"], self.summary["inputs"]["bytes"]
        return r.page(
            self.t("title"),
            self.headline(),
            self.look(),
            self.funnel(),
            self.why(),
            self.signals(),
            self.origins(),
            self.not_read(),
            self.kept_samples(),
            self.rejected_samples(),
            self.settings(),
            lang="zh-CN" if self.lang == "zh" else "en",
            subtitle=self.t("subtitle", files=number(files), size=_megabytes(size)),
            contents=self.t("contents"),
            foot=self.t("foot"),
        )

    def headline(self) -> Html:
        documents, characters = self.summary["documents"], self.summary["characters"]
        records = self.summary["records"]
        copies = sum(count for reason, count in self.reasons.items() if reason.startswith("dedup."))

        def mean(state: str) -> str:
            return number(round(characters[state] / documents[state])) if documents[state] else "–"

        def share(part: int, whole: int) -> str:
            return self.t("of_read", share=percent(part, whole))

        figures = [
            r.Figure(self.t("documents_read"), self.read),
            r.Figure(self.t("documents_kept"), documents["kept"], share(documents["kept"], self.read)),
            r.Figure(self.t("characters_kept"), characters["kept"], share(characters["kept"], characters["read"])),
            r.Figure(self.t("mean_length"), mean("kept"), self.t("rejected_mean", value=mean("rejected"))),
            r.Figure(self.t("copies"), copies, self.t("copies_note")),
            r.Figure(
                self.t("not_readable"),
                records["quarantined"],
                self.t("skipped_note", count=number(records["skipped"])),
            ),
        ]
        return r.figures(figures)

    def look(self) -> Html:
        """What a reader should not overlook, by thresholds that are guesses; a hint costs a glance."""
        found = self._hints() if self.read else [self.t("look_nothing")]
        return r.section(self.t("look"), r.bullets(found or [self.t("look_none")]), name="look")

    def _hints(self) -> list[Content]:
        read, kept = self.read, self.summary["documents"]["kept"]
        bad = self.summary["records"]["quarantined"]
        domains = _ranked(self.summary["domains"]["kept"])
        domain, most = next(iter(domains.items()), ("", 0))
        copies = sum(count for reason, count in self.reasons.items() if reason.startswith("dedup."))
        checks: list[tuple[bool, str, float, float]] = [
            (kept < 0.3 * read, "look_few", kept, read),
            (copies > 0.2 * read, "look_copies", copies, read),
            (bad > 0.01 * (read + bad), "look_bad", bad, read + bad),
        ]
        for key, name, least in (
            ("look_language", "language.not_kept", 0.1),
            ("look_empty", "extract.no_main_text", 0.05),
        ):
            checks.append((self.reasons.get(name, 0) > least * read, key, self.reasons.get(name, 0), read))
        bytes_ = self.summary["flags"].get("charset.bad_bytes", 0)
        checks.append((bytes_ > 0.02 * read, "look_bytes", bytes_, read))
        hints: list[Content] = [self.t(key, share=percent(part, whole)) for hit, key, part, whole in checks if hit]
        if most > 0.2 * kept and len(domains) > 1:
            hints.append(self.t("look_domain", share=percent(most, kept), domain=domain))
        for reason, count in _ranked(self.summary["only_reason"]).items():
            if reason.startswith("rules.") and count > 0.025 * read:
                text = self.t("look_reason", share=percent(count, read), reason="\0").split("\0")
                hints.append(r.join(text[0], r.link(f"reason-{reason}", r.element("code", reason)), text[1]))
        return hints

    def funnel(self) -> Html:
        columns = [Column(self.t("step"))]
        columns += [
            Column(self.t(key), numeric=True) for key in ("documents", "lost", "share", "characters", "lost", "share")
        ]
        stages, before = [], self.summary["funnel"][0]
        first = before
        for stage in self.summary["funnel"]:
            cells: list[Content] = []
            for unit in ("documents", "characters"):
                lost = before[unit] - stage[unit]
                cells += [stage[unit], f"−{lost:,}" if lost else "", percent(stage[unit], first[unit])]
            label = LABELS[self.lang].get(f"step.{stage['step']}", stage["step"])
            stages.append(r.Stage(label, stage["documents"], cells))
            before = stage
        return r.section(self.t("funnel"), r.funnel(columns, stages), name="funnel", note=self.t("funnel_note"))

    def why(self) -> Html:
        if not self.reasons:
            return r.section(self.t("reasons"), r.paragraph(self.t("nothing_rejected")), name="reasons")
        columns = [Column(self.t("reason"))]
        columns += [Column(self.t(key), numeric=True) for key in ("documents", "share", "alone")]
        columns.append(Column("", wide=True))
        most = max(self.reasons.values())
        rows = []
        for reason, count in self.reasons.items():
            alone = self.summary["only_reason"].get(reason, 0)
            name = r.link(f"reason-{reason}", r.element("code", reason))
            cell = r.join(name, r.element("span", self._explained(reason), class_="why"))
            shape = r.bar([("rejected", alone), ("lost", count - alone)], most)
            rows.append([cell, count, percent(count, self.read), alone, shape])
        table = r.table(columns, rows)
        return r.section(self.t("reasons"), table, name="reasons", note=self.t("reasons_note"))

    def _explained(self, reason: str) -> str:
        text = reason_text(reason, self.lang)
        if not reason.startswith("rules."):
            return text
        between, gap = ("；", "") if self.lang == "zh" else ("; ", " ")
        bounds = between.join(line.text for line in self._lines(f"s_{reason.removeprefix('rules.')}"))
        return text + gap + self.t("bounds", bounds=bounds) if bounds else text

    def _lines(self, signal: str) -> list[r.Line]:
        """The thresholds of a signal, languages with the same one together."""
        lines: dict[tuple[str, float], list[str]] = {}
        for rule in self.config.rules:
            if f"s_{rule.signal}" == signal:
                for sign, bound in (("≥", rule.min), ("≤", rule.max)):
                    if bound is not None:
                        lines.setdefault((sign, bound), []).append(rule.language or "*")
        return [
            r.Line(bound, f"{', '.join(languages)}\u00a0{sign}\u00a0{number(bound)}")
            for (sign, bound), languages in lines.items()
        ]

    def signals(self) -> Html:
        drawn: dict[bool, list[Html]] = {True: [], False: []}
        for signal in ALL_SIGNALS:
            counts = self.total["histograms"].get(signal)
            if counts:
                lines = self._lines(signal)
                drawn[bool(lines)].append(self._histogram(signal, counts, lines))
        keys = [
            r.element("span", r.bar([(kind, 1)], 1), self.t(f"key_{kind}"), class_="key")
            for kind in ("kept", "rejected")
        ]
        content = [r.paragraph(*keys), r.element("div", *drawn[True], class_="grid")]
        if drawn[False]:
            title = self.t("more_signals", count=len(drawn[False]))
            content.append(r.folded(title, r.element("div", *drawn[False], class_="grid")))
        return r.section(self.t("signals"), *content, name="signals", note=self.t("signals_note"))

    def _histogram(self, signal: str, counts: Mapping[str, Sequence[int]], lines: Sequence[r.Line]) -> Html:
        text = signal_text(signal, self.lang)
        reason = f"rules.{signal.removeprefix('s_')}"
        caption: list[Content] = [r.element("code", signal.removeprefix("s_")), text]
        if reason in self.reasons:
            alone = number(self.summary["only_reason"].get(reason, 0))
            rejects = self.t("rejects", count=number(self.reasons[reason]), alone=alone)
            caption += [" · ", r.link(f"reason-{reason}", rejects)]
        logarithmic = SCALES.get(signal, (0, 1, False))[2]
        edges = bin_edges(signal).tolist()
        drawing = r.histogram(edges, counts["kept"], counts["rejected"], lines, logarithmic=logarithmic, label=text)
        return r.element("figure", r.element("figcaption", *caption), drawing)

    def origins(self) -> Html:
        domains, summary = self.total["domains"], self.summary
        tables = [
            self._split("most_kept", "domain", domains, by="kept"),
            self._split("most_rejected", "domain", domains, by="rejected"),
            self._split("languages", "language", summary["languages"]),
            self._split("sources", "source", summary["sources"]),
            self._list("encodings", "encoding", summary["encodings"]),
            self._list("flags", "flag", summary["flags"], "flag."),
        ]
        if self.config.personal.mask:
            tables.append(self._list("masked", "kind", summary["masked"], "masked."))
        else:
            tables.append(r.element("div", r.element("h3", self.t("masked")), r.paragraph(self.t("masked_off"))))
        return r.section(self.t("origins"), r.element("div", *tables, class_="pair"), name="origins")

    def _split(self, title: str, first: str, counts: Mapping[str, Mapping[str, int]], by: str = "") -> Html:
        """Kept and rejected for each name, by one of them or by both together."""
        kept, rejected = counts["kept"], counts["rejected"]
        sums = counts[by] if by else {key: kept.get(key, 0) + rejected.get(key, 0) for key in {**kept, **rejected}}
        columns = [Column(self.t(first)), Column(self.t("kept"), numeric=True)]
        columns += [Column(self.t("rejected"), numeric=True), Column(self.t("rate"), numeric=True)]
        rows: list[list[Content]] = []
        for name in list(_ranked(sums))[:MOST_ROWS]:
            parts = kept.get(name, 0), rejected.get(name, 0)
            rows.append([name, *parts, percent(parts[0], sum(parts))])
        return self._titled(title, columns, rows, len(sums))

    def _list(self, title: str, first: str, counts: Mapping[str, int], prefix: str = "") -> Html:
        rows: list[list[Content]] = []
        for name, count in list(_ranked(counts).items())[:MOST_ROWS]:
            text = LABELS[self.lang].get(prefix + name, "") if prefix else ""
            rows.append([r.join(r.element("code", name), r.element("span", text, class_="why")), count])
        unit = "places" if title == "masked" else "documents"
        columns = [Column(self.t(first)), Column(self.t(unit), numeric=True)]
        return self._titled(title, columns, rows, len(counts))

    def _titled(self, title: str, columns: list[Column], rows: list[list[Content]], count: int) -> Html:
        content = [r.table(columns, rows) if rows else r.paragraph(self.t("none"), class_="note")]
        if count > len(rows):
            content.append(r.paragraph(self.t("and_more", count=number(count - len(rows))), class_="note"))
        return r.element("div", r.element("h3", self.t(title)), *content)

    def not_read(self) -> Html:
        inputs, parts = self.summary["inputs"], []
        for title, kind in (("quarantined", "quarantined"), ("skipped", "skipped")):
            rows: list[list[Content]] = [
                [
                    r.join(r.element("code", name), r.element("span", reason_text(name, self.lang), class_="why")),
                    count,
                ]
                for name, count in _ranked(self.summary[kind]).items()
            ]
            if rows:
                columns = [Column(self.t("reason")), Column(self.t("count"), numeric=True)]
                parts.append(self._titled(title, columns, rows, len(rows)))
        if inputs["not_read"]:
            left_out: list[list[Content]] = [[file["path"], file["reason"]] for file in inputs["not_read"][:MOST_ROWS]]
            columns = [Column(self.t("file")), Column(self.t("reason"))]
            parts.append(self._titled("files_not_read", columns, left_out, len(inputs["not_read"])))
        content: list[Content] = [r.element("div", *parts, class_="pair")] if parts else []
        note = self.t("quarantined_note") if self.summary["quarantined"] else "" if parts else self.t("all_read")
        return r.section(self.t("not_read"), *content, name="not-read", note=note)

    def kept_samples(self) -> Html:
        content = [self._sample(sample) for sample in self.kept] or [r.paragraph(self.t("none"))]
        return r.section(self.t("kept_samples"), *content, name="kept", note=self.t("kept_note"))

    def rejected_samples(self) -> Html:
        note = self.t("samples_note")
        if self.config.personal.mask:
            note += ("" if self.lang == "zh" else " ") + self.t("samples_masked")
        content: list[Content] = []
        for reason, samples in self.rejected.items():
            count = f" · {number(self.reasons[reason])}"
            content.append(r.element("h3", r.element("code", reason), count, id=r.anchor(f"reason-{reason}")))
            content.append(r.paragraph(self._explained(reason), class_="note"))
            boxes = [self._sample(sample, reason) for sample in samples]
            if not boxes:
                content.append(r.paragraph(self.t("no_sample"), class_="note"))
            content += boxes[:SAMPLES_OPEN]
            if boxes[SAMPLES_OPEN:]:
                more = self.t("more_samples", count=len(boxes) - SAMPLES_OPEN)
                content.append(r.folded(more, *boxes[SAMPLES_OPEN:]))
        if not content:
            content = [r.paragraph(self.t("none"))]
        return r.section(self.t("rejected_samples"), *content, name="rejected", note=note)

    def _sample(self, sample: Sample, reason: str = KEPT) -> Html:
        title, text = sample.title, sample.text
        if self.config.personal.mask:
            title, text = mask_personal(title)[0], mask_personal(text)[0]
        text = text if len(text) <= SHORT_CHARACTERS else text[:SHORT_CHARACTERS] + " …"
        details = {broken.reason: self._detail(broken) for broken in sample.broken}
        chips: list[Content] = [sample.language or "und"]
        if details.get(reason):
            # The language and its certainty say the language once already.
            chips = [details[reason], *(chips if reason != "language.not_kept" else [])]
        facts: list[tuple[str, Content]] = []
        if details:
            every = r.join(*(r.element("div", f"{name}  {detail}".rstrip()) for name, detail in details.items()))
            facts.append((self.t("reasons_all"), every))
        facts += [(self.t("origin"), sample.origin), (self.t("source"), sample.source), ("id", sample.id)]
        if sample.date:
            facts.append((self.t("date"), sample.date))
        facts.append((self.t("length"), sample.characters))
        return r.sample(title or self.t("no_title"), sample.url, chips, text, facts)

    def _detail(self, broken: Broken) -> str:
        if broken.copy_of:
            return self.t("copy_of", id=broken.copy_of, similarity=broken.similarity)
        return broken.detail

    def settings(self) -> Html:
        columns = [Column(self.t("file")), Column(self.t("bytes"), numeric=True), Column("sha256")]
        inputs = self.run.manifest["inputs"]
        rows: list[list[Content]] = [
            [file["name"], file["size"], r.element("code", str(file["fingerprint"])[:16])]
            for file in inputs[:MOST_ROWS]
        ]
        config = r.element("pre", dump_yaml(self.run.manifest["config"]))
        content = [
            self._titled("inputs", columns, rows, len(inputs)),
            r.folded(self.t("config_open"), config),
        ]
        return r.section(self.t("config"), *content, name="config", note=self.t("config_note"))


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """Largest first, then by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _megabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
