"""The page of `corpus index`: the flow of runs, what each took and brought, and links to their reports.

In: an index. Out: one self-contained page in English, Chinese or both, with a switch that needs no script. Price: of
each run the first inputs and outputs are listed.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from corpus import index_text, trace_text
from corpus.index_flow import Card, flow
from corpus.runs_links import Link
from corpus.runs_roles import in_order, stage_of
from corpus.trace_show import fact
from runkit import report as r

if TYPE_CHECKING:
    from corpus.index import Entry, Index

MOST: Final = 12  # inputs and outputs of a run that are listed
MOST_ALONE: Final = 8  # runs without an arrow that are drawn
STAGES: Final = ("corpus", "selfinstruct", "train", "judge")
# The figure that stands on a run's card, the first that it has.
_ON_CARD: Final = ("accuracy", "held_out_loss", "loss", "kept", "tokens", "pieces", "questions", "documents", "passed")
STYLE: Final = """
.flow { display: block; max-width: 100%; height: auto; margin: 6px 0; }
.flow.long { max-width: none; }
@media (max-width: 900px) { .flow { max-width: none; } }
.flow .card { fill: var(--card); stroke: var(--line); rx: 9px; }
.flow .band { rx: 2.5px; }
.flow .name { font-size: 14px; font-weight: 600; fill: var(--ink); }
.flow .about { font-size: 11.5px; fill: var(--soft); }
.flow .figure { font-size: 12px; fill: var(--ink); font-variant-numeric: tabular-nums; }
.flow a:hover .card, .flow a:focus-visible .card { stroke: var(--kept); stroke-width: 1.6; }
.flow a:hover { text-decoration: none; }
.flow .unfinished .card { stroke-dasharray: 5 3; stroke: var(--rejected); }
.flow .wire { fill: none; stroke: var(--soft); stroke-width: 1.4; opacity: .55; }
.flow .head-of-wire { fill: var(--soft); opacity: .8; }
.corpus .band, .dot.corpus { fill: var(--s0); background: var(--s0); }
.selfinstruct .band, .dot.selfinstruct { fill: var(--s2); background: var(--s2); }
.train .band, .dot.train { fill: var(--s3); background: var(--s3); }
.judge .band, .dot.judge { fill: var(--s1); background: var(--s1); }
.other .band, .dot.other { fill: var(--s7); background: var(--s7); }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 7px; }
.steps td:first-child { white-space: nowrap; }
.warn { color: var(--rejected); }
.steps .bar { height: 5px; margin: 4px 0 0 auto; min-width: 64px; max-width: 130px; }
"""


def index_page(index: "Index", lang: str) -> str:
    """The whole page; `lang` is en, zh or both."""
    languages = ("en", "zh") if lang == "both" else (lang,)
    words = index_text.WORDS
    contents = [(one, words[one]["language"], _body(index, one)) for one in languages]
    heading = " · ".join(words[one]["heading"] for one in languages)
    shown = r.switch("lang", contents) if len(contents) > 1 else contents[0][2]
    about = " · ".join(
        words[one]["about"].format(runs=r.number(len(index.entries)), place=index.place) for one in languages
    )
    foot = " ".join(words[one]["foot"] for one in languages)
    return r.page(heading, shown, lang=languages[0], subtitle=about, foot=foot, style=STYLE)


def _body(index: "Index", lang: str) -> r.Html:
    words = index_text.WORDS[lang]
    parts: list[r.Content] = [r.figures(_cards(index, words, lang))]
    drawn, arrows = _drawn(index)
    cards = [_card(entry, words, lang) for entry in drawn]
    legend = [
        r.element("span", r.element("span", class_=f"dot {stage}"), words[f"stage_{stage}"], class_="key")
        for stage in in_order(list({_stage(entry) for entry in index.entries}))
    ]
    alone = len(index.entries) - len(drawn)
    more = [r.paragraph(words["alone"].format(count=r.number(alone)), class_="note")] if alone else []
    drawing = flow(cards, arrows, words["flow"])
    parts.append(
        r.section(words["flow"], drawing, r.paragraph(*legend), *more, name=f"{lang}-flow", note=words["flow_note"])
    )
    parts.append(r.section(words["steps"], _steps(index, words, lang), name=f"{lang}-steps", note=words["steps_note"]))
    if index.beside:
        parts.append(r.section(words["beside"], _beside(index, words, lang), name=f"{lang}-beside"))
    details = [_details(entry, words, lang) for entry in index.entries]
    parts.append(r.section(words["details"], *details, name=f"{lang}-details", note=words["details_note"]))
    if index.unread:
        parts.append(r.paragraph(words["unread"].format(names=", ".join(index.unread)), class_="warn"))
    return r.join(*parts)


def _drawn(index: "Index") -> tuple[list["Entry"], list[tuple[int, int]]]:
    """The runs that are drawn, and the arrows between them: many that go with no other would hide the rest."""
    joined = sorted({place for arrow in index.arrows for place in arrow})
    if not joined or len(index.entries) - len(joined) <= MOST_ALONE:
        return index.entries, index.arrows
    place = {old: new for new, old in enumerate(joined)}
    return [index.entries[old] for old in joined], [(place[one], place[other]) for one, other in index.arrows]


def _beside(index: "Index", words: Mapping[str, str], lang: str) -> r.Html:
    rows: list[list[r.Content]] = []
    for one in index.beside:
        figures = [" ".join(fact(trace_text.WORDS[lang], key, value)) for key, value in one.figures]
        rows.append([r.file_link(one.path, one.name), one.about or "–", " · ".join(figures) or "–"])
    return r.table([r.Column(words[key]) for key in ("file", "run", "figures")], rows)


def _cards(index: "Index", words: Mapping[str, str], lang: str) -> list[r.Figure]:
    totals = index.totals
    finished = sum(entry.run.finished for entry in index.entries)
    left = len(index.entries) - finished
    note = words["runs_note"].format(finished=r.number(finished))
    if left:
        note += ", " + words["unfinished_note"].format(unfinished=r.number(left))
    found = [
        r.Figure(words["runs"], len(index.entries), note),
        r.Figure(words["time"], duration(totals["seconds"], lang), words["time_note"]),
        r.Figure(words["cpu"], duration(totals["cpu_seconds"], lang), words["cpu_note"]),
    ]
    if index.largest is not None:
        memory = size(index.largest.spent["peak_memory_bytes"])
        found.append(r.Figure(words["memory"], memory, words["memory_note"].format(run=index.largest.run.name)))
    if totals["cost_usd"] is not None:
        known = all(not entry.has_calls or entry.cost_usd is not None for entry in index.entries)
        note = words["cost_note"] if known else words["cost_unknown"]
        found.append(r.Figure(words["cost"], f"{totals['cost_usd']:.4g} USD", note))
    return found


def _stage(entry: "Entry") -> str:
    stage = stage_of(entry.run.command)
    return stage if stage in STAGES else "other"


def _figures(entry: "Entry", lang: str) -> list[tuple[str, str]]:
    return [fact(trace_text.WORDS[lang], key, value) for key, value in entry.figures]


def _card(entry: "Entry", words: Mapping[str, str], lang: str) -> Card:
    values = dict(entry.figures)
    key = next((key for key in _ON_CARD if key in values), next(iter(values), None))
    figure = words["unfinished"] if not entry.run.finished else ""
    if key is not None and entry.run.finished:
        label, shown = fact(trace_text.WORDS[lang], key, values[key])
        figure = f"{label} {shown}"
    kind = _stage(entry) + ("" if entry.run.finished else " unfinished")
    hint = f"{entry.run.name}: {entry.run.command}"
    return Card(entry.run.name, entry.run.command, figure, kind, entry.report, hint)


def _steps(index: "Index", words: Mapping[str, str], lang: str) -> r.Html:
    columns = [
        r.Column(words["run"]),
        r.Column(words["command"]),
        r.Column(words["from"]),
        r.Column(words["figures"]),
        r.Column(words["spent"], numeric=True),
        r.Column(words["memory_short"], numeric=True),
        r.Column(words["cost_short"], numeric=True),
    ]
    longest = max((entry.spent.get("seconds", 0.0) for entry in index.entries), default=0.0)
    rows = [_step(entry, words, lang, longest) for entry in index.entries]
    return r.element("div", r.table(columns, rows), class_="steps")


def _step(entry: "Entry", words: Mapping[str, str], lang: str, longest: float) -> list[r.Content]:
    spent = entry.spent
    name: r.Content = entry.run.name
    if entry.report is not None:
        name = r.file_link(entry.report, entry.run.name)
    marked = [r.element("span", class_=f"dot {_stage(entry)}"), name]
    for state in entry.states:
        marked.append(r.element("span", words[state], class_="why warn"))
    figures = [f"{label} {value}" for label, value in _figures(entry, lang)]
    outside = [link for link in entry.links if not link.sources and link.input.size]
    made: list[r.Content] = [", ".join(entry.sources)]
    if outside:
        total = size(sum(link.input.size for link in outside))
        said = words["outside_inputs"].format(count=r.number(len(outside)), size=total)
        made.append(r.element("span", said, class_="why"))
    seconds = spent.get("seconds")
    time: r.Content = "–"
    if seconds is not None:
        time = r.join(duration(seconds, lang), r.bar([("kept", seconds)], longest or 1.0))
    memory = size(spent["peak_memory_bytes"]) if "peak_memory_bytes" in spent else "–"
    cost = f"{entry.cost_usd:.4g} USD" if entry.cost_usd is not None else "–"
    return [r.join(*marked), entry.run.command, r.join(*made), " · ".join(figures) or "–", time, memory, cost]


def _details(entry: "Entry", words: Mapping[str, str], lang: str) -> r.Html:
    parts: list[r.Content] = []
    links = [
        r.file_link(path, words[key])
        for path, key in ((entry.report, "report"), (entry.settings, "settings"))
        if path is not None
    ]
    parts.append(r.paragraph(*_between(links, " · ")) if links else r.paragraph(words["no_report"], class_="note"))
    inputs = [link for link in entry.links if link.role not in {"system", "judge"} or link.sources]
    if inputs:
        columns = [r.Column(words[key], numeric=key == "size") for key in ("input", "role", "size")]
        columns += [r.Column(words["origin"]), r.Column("sha256")]
        rows = [_input(link, words, lang) for link in inputs[:MOST]]
        parts.append(r.table(columns, rows, caption=words["inputs"]))
        parts += _more(len(inputs), words)
    if entry.outputs:
        columns = [r.Column(words["file"]), r.Column(words["size"], numeric=True), r.Column("sha256")]
        shown: list[list[r.Content]] = [
            [name, size(amount), r.element("code", sha256[:16] if sha256 else "–")]
            for name, amount, sha256 in entry.outputs[:MOST]
        ]
        parts.append(r.table(columns, shown, caption=words["outputs"]))
        parts += _more(len(entry.outputs), words)
    return r.folded(
        r.join(r.element("b", entry.run.name), " ", r.element("span", entry.run.command, class_="chip")), *parts
    )


def _input(link: Link, words: Mapping[str, str], lang: str) -> list[r.Content]:
    origin = ", ".join(one.name for one in link.likely) or (
        words["changed"].format(name=link.changed) if link.changed else words["outside"]
    )
    role = trace_text.WORDS[lang].get(f"role_{link.role}", link.role)
    amount = size(link.input.size) if link.role not in {"shards", "model", "system", "judge"} else "–"
    return [link.label, role, amount, origin, r.element("code", link.input.fingerprint[:16])]


def _more(count: int, words: Mapping[str, str]) -> list[r.Content]:
    return [r.paragraph(words["more"].format(count=r.number(count - MOST)), class_="note")] if count > MOST else []


def _between(parts: Sequence[r.Html], sign: str) -> list[r.Content]:
    found: list[r.Content] = []
    for part in parts:
        found += [sign, part] if found else [part]
    return found


def duration(seconds: float, lang: str) -> str:
    """`2.5 s`, `3 min 20 s`, `1 h 5 min`."""
    hour, minute, second = ("h", "min", "s") if lang == "en" else ("小时", "分", "秒")
    if seconds < 60:
        return f"{seconds:.1f} {second}" if seconds < 10 else f"{seconds:.0f} {second}"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} {minute} {whole % 60} {second}"
    return f"{whole // 3600:,} {hour} {whole % 3600 // 60} {minute}"


def size(amount: float) -> str:
    """`72.9 kB`, in powers of a thousand."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(amount) < 1000:
            return f"{amount:.3g} {unit}" if unit != "B" else f"{amount:.0f} B"
        amount /= 1000
    return f"{amount:,.3g} TB"
