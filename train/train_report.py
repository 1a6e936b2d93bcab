"""The page about a training run: figures, curves, held-out loss by source, what the model wrote, settings.

In: the lines of the metrics, the run's summary, and `resolved.yaml` and `usage.json` as far as they are there. Out: one
self-contained HTML page, in English or Chinese. Price: 1.3 s for 100,000 steps; of many samples some are left out, so
that the page stays below 1 MB.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson

from runkit.charts import Series, line_chart
from runkit.report import (
    Column,
    Content,
    Figure,
    Html,
    bullets,
    element,
    figures,
    folded,
    page,
    paragraph,
    section,
    table,
)
from train.samples import TEMPERATURE, TOP_K
from train.train_report_text import WORDS

Row = Mapping[str, Any]
LAST: Final = 50  # steps whose median is the loss
LATE_FROM: Final = 100  # steps, from which a second chart leaves out the first tenth
RISE: Final = 0.02  # nats above the lowest held-out loss that are worth a word
MOST_SOURCES: Final = 12  # lines in a chart
NAMED: Final = 6  # sources that are named at the top
MOST_SAMPLES: Final = 24
SAMPLE_CHARACTERS: Final = 2_000
ALL_CHARACTERS: Final = 120_000  # of samples


def report(run: Path, rows: Sequence[Row], summary: Mapping[str, Any], lang: str) -> str:
    """The whole page. `summary` may lack any of its figures; a figure that is not known is not shown."""
    words = WORDS[lang]
    measured = [row for row in rows if row.get("held_out_loss") is not None]
    if rows:
        rates = tokens_per_second(rows)
        parts = [_head(rows, measured, rates, summary, words), *_circumstances(summary, words)]
        parts.append(_notices(run, rows, measured, summary, words))
        parts.append(_curves(rows, measured, rates, words))
        parts += [_sources(measured, words)] if measured else []
        parts += _dialogues(summary.get("data", {}), words)
        parts += _samples(rows, words)
    else:
        parts = [paragraph(words["nothing"])]
    parts += _config(run, words)
    subtitle = " · ".join(str(part) for part in (run.name, summary.get("checkpoint")) if part)
    language = "zh-CN" if lang == "zh" else "en"
    return page(words["title"], *parts, lang=language, subtitle=subtitle, contents=words["contents"])


def tokens_per_second(rows: Sequence[Row]) -> list[float | None]:
    """Of each step; None where the step before it has no line, so that its tokens are not known."""
    found: list[float | None] = []
    step = tokens = 0
    for row in rows:
        known = (row["step"] == step + 1 or "positions" in row) and row["seconds"] > 0
        found.append(row.get("positions", row["tokens"] - tokens) / row["seconds"] if known else None)
        step, tokens = row["step"], row["tokens"]
    return found


def _head(
    rows: Sequence[Row],
    measured: Sequence[Row],
    rates: Sequence[float | None],
    summary: Mapping[str, Any],
    words: Mapping[str, str],
) -> Html:
    last, cards, notes = rows[-1], [], [f"{rows[-1]['tokens']:,}"]
    if parameters := summary.get("parameters"):
        cards.append(Figure(words["parameters"], _short(parameters), f"{parameters:,}"))
        notes.append(words["per_parameter"].format(ratio=f"{last['tokens'] / parameters:.3g}"))
    short = _short(last["tokens"])
    name = "answer_tokens" if "dialogues" in summary.get("data", {}) else "tokens"
    cards.append(Figure(words[name], short, " · ".join(note for note in notes if note != short)))
    losses = [row["loss"] for row in rows[-LAST:] if row["loss"] is not None]
    if losses:
        cards.append(Figure(words["loss"], f"{median(losses):.4f}", words["loss_note"].format(steps=len(losses))))
    if measured:
        value = measured[-1]["held_out_loss"]
        at = words["held_out_note"].format(step=f"{measured[-1]['step']:,}")
        if (before := summary.get("held_out_loss_before")) is not None:
            at += words["before_note"].format(loss=f"{before:.4f}")
        cards.append(Figure(words["held_out_loss"], f"{value:.4f}", at))
        cards.append(Figure(words["perplexity"], _perplexity(value), words["perplexity_note"]))
    known = [rate for rate in rates if rate is not None]
    if known:
        cards.append(Figure(words["rate"], round(median(known)), words["rate_note"]))
    first = summary.get("first_step", 0)  # the machine whose peak is known made these steps
    known = [rate for row, rate in zip(rows, rates, strict=True) if rate is not None and row["step"] > first] or known
    if known and (peak_share := summary.get("peak_share")) is not None:
        cards.append(Figure(words["mfu"], f"{100 * median(known) * peak_share:.1f} %", words["mfu_note"]))
    steps = words["time_note"].format(steps=f"{last['step']:,}")
    cards.append(Figure(words["time"], _clock(sum(row["seconds"] for row in rows)), steps))
    return figures(cards)


def _circumstances(summary: Mapping[str, Any], words: Mapping[str, str]) -> list[Html]:
    """What it was trained on, and by which means."""
    found = []
    if data := summary.get("data"):
        numbers = {name: f"{data[name]:,}" for name in ("documents", "rows", "seq_len", "held_out_rows", "ids")}
        names = data["sources"]
        some = words["sources_some"].format(sources=f"{len(names):,}")
        line = "dialogue_line" if "dialogues" in data else "data_line"
        found.append(words[line].format(sources=", ".join(names) if len(names) <= NAMED else some, **numbers))
    if computing := summary.get("computing"):
        where = computing["device"]
        if computing["processes"] > 1:
            where = words["processes"].format(device=where, processes=f"{computing['processes']:,}")
        if computing["device"].startswith("CPU"):
            where += words["threads"].format(threads=f"{computing['threads']:,}")
        compiled = words[f"compile_{computing['compile']}"]
        found.append(words["computing_line"].format(dtype=computing["dtype"], where=where, compiled=compiled))
    return [paragraph(" ".join(found))] if found else []


def _short(count: int) -> str:
    """`25.8 M`: an exact number would not fit under its headline."""
    for size, sign in ((10**12, "T"), (10**9, "B"), (10**6, "M")):
        if count >= size:
            return f"{count / size:.3g} {sign}"
    return f"{count:,}"


def _perplexity(loss: float) -> str:
    # Beyond that a model knows less than nothing, and exp would overflow.
    return f"{math.exp(loss):,.2f}" if loss < 50 else f"e^{loss:.0f}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _notices(
    run: Path, rows: Sequence[Row], measured: Sequence[Row], summary: Mapping[str, Any], words: Mapping[str, str]
) -> Html:
    """What a reader must know before believing the curves."""
    found = list(summary.get("warnings", ()))
    if 0 < rows[-1]["step"] < (steps := summary.get("steps_in_all", 0)):
        found.append(words["unfinished"].format(step=f"{rows[-1]['step']:,}", steps=f"{steps:,}"))
    if (starts := _starts(run)) > 1:
        found.append(words["starts"].format(starts=starts))
    if overflows := sum("grad_norm" in row and row["grad_norm"] is None for row in rows):
        found.append(words["overflows"].format(steps=f"{overflows:,}"))
    if missing := rows[-1]["step"] - len(rows):
        found.append(words["missing"].format(steps=f"{missing:,}"))
    if measured:
        lowest = min(measured, key=lambda row: float(row["held_out_loss"]))
        rise = measured[-1]["held_out_loss"] - lowest["held_out_loss"]
        if rise > RISE:
            numbers = {"lowest": f"{lowest['held_out_loss']:.4f}", "rise": f"{rise:.4f}"}
            found.append(words["rising"].format(step=f"{lowest['step']:,}", **numbers))
    else:
        data = summary.get("data", {})
        why = "no_eval" if data.get("eval_rows") == 0 else "not_yet" if data.get("held_out_rows") else "no_held_out"
        found.append(words[why])
    return section(words["notices"], bullets(found) if found else paragraph(words["no_notices"]), name="notices")


def _starts(run: Path) -> int:
    """How often the run was started, as usage.json says; 1 without one."""
    file = run / "usage.json"
    if not file.is_file():
        return 1
    try:
        return int(orjson.loads(file.read_bytes())["all_starts"]["starts"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return 1  # cut by hand; nothing hangs on it


def _curves(
    rows: Sequence[Row], measured: Sequence[Row], rates: Sequence[float | None], words: Mapping[str, str]
) -> Html:
    steps = [row["step"] for row in rows]
    losses = [row["loss"] for row in rows]
    at, held_out = [row["step"] for row in measured], [row["held_out_loss"] for row in measured]

    def chart(label: str, y_title: str, *series: Series, note: str = "", **kind: bool) -> Html:
        return line_chart(series, label=label, x_title=words["step"], y_title=y_title, note=note, **kind)

    def of_loss(label: str, first: int) -> Html:
        behind = sum(step < steps[first] for step in at)
        lines = [Series(words["training"], steps[first:], losses[first:], smooth=True)]
        lines += [Series(words["held_out"], at[behind:], held_out[behind:])] if at[behind:] else []
        return chart(label, words["nats"], *lines)

    charts = [of_loss(words["loss"], 0)]
    if len(rows) >= LATE_FROM:
        charts.append(of_loss(words["loss_late"], len(rows) // 10))
    if len(names := _names(measured)) > 1:
        # The ones that are worst in the end tell most.
        shown = sorted(names, key=lambda name: -_last(measured, name))[:MOST_SOURCES]
        lines = [
            Series(name, at, [row.get("held_out", {}).get(name) for row in measured]) for name in names if name in shown
        ]
        some = words["by_source_some"].format(shown=len(shown), all=len(names)) if len(names) > len(shown) else ""
        charts.append(chart(words["by_source"], words["nats"], *lines, note=some))
    charts.append(chart(words["lr"], "", Series("", steps, [row["lr"] for row in rows]), from_zero=True))
    norms = [row.get("grad_norm") for row in rows]
    if any(norm is not None for norm in norms):
        line = Series("", steps, norms, smooth=True)
        charts.append(chart(words["grad_norm"], words["norm"], line, note=words["grad_norm_note"], logarithmic=True))
    if any(rate is not None for rate in rates):
        line = Series("", steps, rates, smooth=True)
        charts.append(chart(words["throughput"], words["per_second"], line, from_zero=True))
    body = element("div", *charts, class_="charts")
    return section(words["curves"], body, name="curves", note=words["curves_note"])


def _names(measured: Sequence[Row]) -> list[str]:
    """Sources that have a loss, in the order in which they came."""
    found = ((name, loss) for row in measured for name, loss in row.get("held_out", {}).items())
    return list(dict.fromkeys(name for name, loss in found if loss is not None))


def _last(measured: Sequence[Row], name: str) -> float:
    losses = (row.get("held_out", {}).get(name) for row in reversed(measured))
    return next(float(loss) for loss in losses if loss is not None)


def _sources(measured: Sequence[Row], words: Mapping[str, str]) -> Html:
    first, last = measured[0], measured[-1]
    columns = [Column(words["source"]), Column(words["at"].format(step=f"{first['step']:,}"), numeric=True)]
    if last is not first:
        columns.append(Column(words["at"].format(step=f"{last['step']:,}"), numeric=True))
        columns.append(Column(words["change"], numeric=True))
    columns.append(Column(words["perplexity"], numeric=True))

    def line(name: str, before: float | None, after: float | None) -> list[str]:
        cells = [name, _loss(before)]
        if last is not first:
            change = f"{after - before:+.4f}" if before is not None and after is not None else "–"
            cells += [_loss(after), change.replace("-", "−")]
        return [*cells, _perplexity(after) if after is not None else "–"]

    names = _names(measured)
    held = [row.get("held_out", {}) for row in (first, last)]
    lines = [line(name, held[0].get(name), held[1].get(name)) for name in names]
    if len(names) != 1:
        lines.append(line(words["all"], first["held_out_loss"], last["held_out_loss"]))
    return section(words["sources"], table(columns, lines), name="sources", note=words["sources_note"])


def _dialogues(data: Mapping[str, Any], words: Mapping[str, str]) -> list[Html]:
    """What became of the records of instruction data; none where text was trained on."""
    counts = data.get("dialogues")
    if not counts:
        return []
    note = words["dialogues_note"].format(template=data["template"], answers=f"{data['answer_tokens']:,}")
    columns = [Column(words["outcome"]), Column(words["dialogues"], numeric=True)]
    rows: list[list[Content]] = [
        [element("code", name), f"{count:,}"] for name, count in sorted(counts.items(), key=lambda pair: -pair[1])
    ]
    return [section(words["dialogues"], table(columns, rows), name="dialogues", note=note)]


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _samples(rows: Sequence[Row], words: Mapping[str, str]) -> list[Html]:
    """Newest first and open, the earlier ones folded; none: no section."""
    written = [row for row in rows if row.get("samples")][::-1]
    if not written:
        return []
    size = max(sum(len(_shown(sample)) for sample in row["samples"]) for row in written)
    count = min(len(written), MOST_SAMPLES, max(1, ALL_CHARACTERS // max(1, size)))
    chosen = sorted({round(index * (len(written) - 1) / max(1, count - 1)) for index in range(count)})
    parts = []
    for index in chosen:
        row, step = written[index], f"{written[index]['step']:,}"
        texts = [
            element("p", element("b", sample["prompt"][:SAMPLE_CHARACTERS]), _shown(sample), class_="raw written")
            for sample in row["samples"]
        ]
        if index == 0:
            parts += [element("h3", words["at_step"].format(step=step)), *texts]
        else:
            parts.append(folded(words["earlier"].format(step=step), *texts))
    note = words["samples_note"].format(temperature=TEMPERATURE, top_k=TOP_K)
    if len(chosen) < len(written):
        note += " " + words["samples_some"].format(shown=len(chosen), all=len(written))
    return [section(words["samples"], *parts, name="samples", note=note)]


def _shown(sample: Mapping[str, str]) -> str:
    text = sample["text"]
    return text if len(text) <= SAMPLE_CHARACTERS else f"{text[:SAMPLE_CHARACTERS]}…"


def _config(run: Path, words: Mapping[str, str]) -> list[Html]:
    """The settings that made the run; none where resolved.yaml is not there."""
    file = run / "resolved.yaml"
    if not file.is_file():
        return []
    text = element("pre", file.read_text("utf-8", "replace"))
    return [section(words["config"], folded(words["config_fold"], text), name="config")]
