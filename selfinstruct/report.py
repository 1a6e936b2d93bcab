"""The page about a set of instructions: is it varied, is it balanced, what was thrown away, and what did it cost.

In: the figures of `selfinstruct stats` and the items of the run, of which samples are shown. Out: one self-contained
HTML page, in English or Chinese, the same for the same run. Price: 50 ms beside reading the items.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson

from runkit import report as r
from runkit.report import Column, Content, Html, number, percent
from selfinstruct.report_text import REASONS, WORDS
from selfinstruct.scales import LENGTHS, NEAREST

KEPT_SHOWN: Final = 40
REJECTED_SHOWN: Final = 6  # of each reason
MOST_LINE_BYTES: Final = 200_000


def report(run: Path, found: Mapping[str, Any], lang: str) -> str:
    """The whole page."""
    return _Report(run, found, lang).page()


class _Report:
    def __init__(self, run: Path, found: Mapping[str, Any], lang: str) -> None:
        self.run, self.found, self.lang = run, found, lang

    def t(self, key: str, **values: Any) -> str:
        text = WORDS[self.lang][key]
        return text.format(**values) if values else text

    def page(self) -> str:
        return r.page(
            self.t("title"),
            self.headline(),
            self.look(),
            self.kinds(),
            self.why(),
            self.lengths(),
            self.novelty(),
            self.verbs(),
            self.kept_samples(),
            self.rejected_samples(),
            self.settings(),
            lang="zh-CN" if self.lang == "zh" else "en",
            subtitle=self.run.name,
            contents=self.t("contents"),
        )

    def headline(self) -> Html:
        found = self.found
        whole = found["kept"] + found["rejected"]
        cards = [
            r.Figure(self.t("kept"), found["kept"], self.t("of_items", share=percent(found["kept"], whole))),
            r.Figure(self.t("rejected"), found["rejected"], percent(found["rejected"], whole)),
            r.Figure(self.t("with_input"), found["with_input"], percent(found["with_input"], found["kept"])),
        ]
        if found["novelty"]["mean"] is not None:
            cards.append(r.Figure(self.t("mean_nearest"), f"{found['novelty']['mean']:.2f}", self.t("mean_note")))
        if found["requests"] is not None:
            calls = found["requests"]
            name = "drafts" if "template" in found["models"] else "requests"
            cards.append(r.Figure(self.t(name), calls["made"], self.t("failed", count=number(calls["failed"]))))
        if found["tokens"]:
            tokens = found["tokens"]
            note = self.t("completion", count=number(tokens["completion"]))
            cards.append(r.Figure(self.t("tokens"), tokens["prompt"] + tokens["completion"], note))
        if found["cost_usd"] is not None:
            each = found["cost_usd_per_kept"]
            note = "" if each is None else self.t("each", usd=f"{each:.6f}")
            cards.append(r.Figure(self.t("cost"), f"{found['cost_usd']:.4f} USD", note))
        return r.figures(cards)

    def look(self) -> Html:
        """What a reader should not overlook."""
        found, hints = self.found, []
        models = found["models"]
        if "template" in models:
            hints.append(self.t("no_model", count=number(models["template"])))
        if models:
            hints.append(self.t("models", names=", ".join(f"{name} ({count:,})" for name, count in models.items())))
        missing = [name for name, one in found["kinds"].items() if one["wanted"] and not one["kept"]]
        if missing:
            hints.append(self.t("missing_kinds", names=", ".join(missing)))
        if found["acceptance"] is not None and found["acceptance"] < 0.5:
            hints.append(self.t("much_rejected", share=f"{1 - found['acceptance']:.0%}"))
        top = found["verbs"]["top"]
        if top and top[0]["count"] > 0.2 * found["kept"]:
            hints.append(self.t("one_verb", verb=top[0]["verb"], share=percent(top[0]["count"], found["kept"])))
        if found["stopped"]:
            hints.append(found["stopped"])
        return r.section(self.t("look"), r.bullets(hints or [self.t("look_none")]), name="look")

    def kinds(self) -> Html:
        found = self.found["kinds"]
        most = max((one["kept"] for one in found.values()), default=0)
        columns = [Column(self.t("kind")), Column("", wide=True)]
        columns += [Column(self.t(key), numeric=True) for key in ("kept", "share", "wanted", "rejected")]
        rows: list[list[Content]] = []
        for name, one in found.items():
            wanted = "–" if one["wanted"] is None else f"{one['wanted']:.1%}"
            shape = r.bar([("kept", one["kept"])], most)
            share = percent(one["kept"], self.found["kept"])
            rows.append([r.element("code", name or "–"), shape, one["kept"], share, wanted, one["rejected"]])
        return r.section(self.t("kinds"), r.table(columns, rows), name="kinds", note=self.t("kinds_note"))

    def why(self) -> Html:
        reasons = self.found["reasons"]
        if not reasons:
            return r.section(self.t("reasons"), r.paragraph(self.t("nothing_rejected")), name="reasons")
        most = max(one["items"] for one in reasons.values())
        columns = [
            Column(self.t("reason")),
            *(Column(self.t(key), numeric=True) for key in ("items", "share", "alone")),
        ]
        columns.append(Column("", wide=True))
        rows: list[list[Content]] = []
        for name, one in reasons.items():
            cell = r.join(
                r.link(f"reason-{name}", r.element("code", name)),
                r.element("span", self._explained(name), class_="why"),
            )
            shape = r.bar([("rejected", one["alone"]), ("lost", one["items"] - one["alone"])], most)
            rows.append([cell, one["items"], percent(one["items"], self.found["rejected"]), one["alone"], shape])
        return r.section(self.t("reasons"), r.table(columns, rows), name="reasons", note=self.t("reasons_note"))

    def _explained(self, reason: str) -> str:
        texts = REASONS[self.lang]
        return texts.get(reason) or texts.get(reason.partition(".")[0], "")

    def lengths(self) -> Html:
        drawn = []
        for field, one in self.found["lengths"].items():
            if one["median"] is None:
                continue
            caption = r.element("figcaption", r.element("code", field), self.t("median", count=number(one["median"])))
            edges = [float(edge) for edge in LENGTHS]
            shape = r.histogram(edges, one["kept"], one["rejected"], logarithmic=True, label=field)
            drawn.append(r.element("figure", caption, shape))
        body = r.element("div", *drawn, class_="grid") if drawn else r.paragraph(self.t("nothing"))
        return r.section(self.t("lengths"), self._keys(), body, name="lengths", note=self.t("lengths_note"))

    def _keys(self) -> Html:
        keys = [r.element("span", r.bar([(kind, 1)], 1), self.t(kind), class_="key") for kind in ("kept", "rejected")]
        return r.paragraph(*keys)

    def novelty(self) -> Html:
        one = self.found["novelty"]
        if one["mean"] is None:
            return r.section(self.t("novelty"), r.paragraph(self.t("nothing")), name="novelty")
        limit = self.found.get("threshold")
        marks = [] if limit is None else [r.Line(limit, f"≤\u00a0{limit:g}")]
        shape = r.histogram(list(NEAREST), one["kept"], one["rejected"], marks, label=self.t("novelty"))
        caption = r.element("figcaption", self.t("novelty_caption"))
        body = r.element("div", r.element("figure", caption, shape), class_="grid")
        return r.section(self.t("novelty"), self._keys(), body, name="novelty", note=self.t("novelty_note"))

    def verbs(self) -> Html:
        found = self.found["verbs"]
        if not found["top"]:
            return r.section(self.t("verbs"), r.paragraph(self.t("nothing")), name="verbs")
        most = found["top"][0]["count"]
        columns = [Column(self.t("verb")), Column("", wide=True), Column(self.t("items"), numeric=True)]
        columns.append(Column(self.t("nouns")))
        rows: list[list[Content]] = []
        for one in found["top"]:
            nouns = "　".join(f"{noun} {count}" for noun, count in one["nouns"].items())
            rows.append([one["verb"], r.bar([("kept", one["count"])], most), one["count"], nouns])
        note = self.t(
            "verbs_note",
            distinct=number(found["distinct"]),
            pairs=number(found["pairs"]),
            without=number(found["without"]),
        )
        return r.section(self.t("verbs"), r.table(columns, rows), name="verbs", note=note)

    def kept_samples(self) -> Html:
        shown = _drawn(self.run / "instructions.jsonl", KEPT_SHOWN)
        body = [self._sample(item) for item in shown] or [r.paragraph(self.t("nothing"))]
        note = self.t("samples_note", shown=len(shown), all=number(self.found["kept"]))
        return r.section(self.t("kept_samples"), *body, name="samples", note=note)

    def rejected_samples(self) -> Html:
        by_reason: dict[str, list[dict[str, Any]]] = {name: [] for name in self.found["reasons"]}
        for item in _drawn(self.run / "rejected.jsonl", None):
            for reason in item.get("reasons", ())[:1]:
                if len(by_reason.get(reason, ())) < REJECTED_SHOWN:
                    by_reason.setdefault(reason, []).append(item)
        parts: list[Html] = []
        for reason, items in by_reason.items():
            heading = r.element("h3", r.element("code", reason), id=r.anchor(f"reason-{reason}"))
            parts += [heading, *(self._sample(item) for item in items)]
        body = parts or [r.paragraph(self.t("nothing_rejected"))]
        return r.section(self.t("rejected_samples"), *body, name="rejected")

    def _sample(self, item: Mapping[str, Any]) -> Html:
        chips = [str(chip) for chip in (item.get("category"), *item.get("reasons", ())) if chip]
        text = "\n".join(str(item[field]) for field in ("input", "output") if item.get(field))
        facts: list[tuple[str, Content]] = [
            (self.t(f"field_{field}"), str(item[field]))
            for field in ("instruction", "input", "output")
            if item.get(field)
        ]
        if item.get("nearest"):
            score = item.get("nearest_rouge_l")
            facts.append(
                (self.t("nearest"), f"{item['nearest']}  {score:.2f}" if score is not None else item["nearest"])
            )
        facts += [(name, str(item[key])) for name, key in ((self.t("why"), "detail"), ("id", "id")) if item.get(key)]
        return r.sample(str(item.get("instruction") or ""), "", chips, text, facts)

    def settings(self) -> Html:
        file = self.run / "resolved.yaml"
        if not file.is_file():
            return r.join()
        text = r.element("pre", file.read_text("utf-8", "replace"))
        return r.section(self.t("settings"), r.folded(self.t("settings_fold"), text), name="settings")


def _drawn(path: Path, count: int | None) -> Sequence[dict[str, Any]]:
    """Some records in the order of the file, drawn fairly and the same each time; None: all, in a drawn order."""
    data = path.read_bytes().split(b"\n") if path.is_file() else []
    rows = [row for row in data if row and len(row) < MOST_LINE_BYTES]
    rng = Random(0)
    if count is None:
        chosen = rng.sample(rows, len(rows))
    else:
        chosen = [rows[place] for place in sorted(rng.sample(range(len(rows)), min(count, len(rows))))]
    return [orjson.loads(row) for row in chosen]
