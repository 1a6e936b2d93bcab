"""One self-contained HTML page: sections, tables, figures, charts and samples of text that nobody has vetted.

In: plain strings and numbers. Out: one string, to be written with `runkit.files.write_text`. A `str` is escaped where it
enters, and only this module makes `Html`, so mypy refuses the page that forgot to. Nothing on the page can run or load:
no script, no address but `#anchors` on the same page, and a policy that forbids both should all that fail. Price: crawled
addresses are shown and cannot be clicked, and control or reordering characters are shown as a sign, not as themselves.
Escaping costs 3 ms a megabyte of Chinese.
"""

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Html:
    """Markup whose text is escaped already. No `str`, so that it cannot be glued to one by accident."""

    markup: str


Content = str | int | float | Html

# Controls, half characters, what reorders the text around it (Unicode UAX 9), separators that are no newline to HTML,
# non-characters, and the tag characters in which text can be hidden.
_SPECIAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef"
    "\ufffe\uffff\U000e0000-\U000e007f]"
)
_ELEMENTS = frozenset(
    "a b body br caption code dd details div dl dt figcaption figure footer g h1 h2 h3 header i li line main nav p path "
    "pre rect section span summary svg table tbody td text th thead tr ul".split()  # noqa: SIM905
)
_ATTRIBUTES = frozenset(
    "aria-label class colspan d height href id lang open preserveAspectRatio role scope text-anchor title viewBox width "
    "x x1 x2 y y1 y2".split()  # noqa: SIM905
)


def visible(text: str) -> str:
    """`text` with a sign in place of every character that is unseen and not harmless: ␛ for escape, else U+FFFD."""
    return _SPECIAL.sub(_sign, text)


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "\ufffd"


def escape(text: str) -> str:
    """The one way from text to markup, for content and for quoted attributes alike."""
    return html.escape(visible(text))


def number(value: int | float) -> str:
    """`1,117`, `0.25`: thousands separated, at most four significant digits after none before the point."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def percent(part: float, whole: float) -> str:
    """`73.7%`; a dash where there is no whole, and never `0.0%` for something or `100.0%` for less than all."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.05:
        return "<0.1%"
    return ">99.9%" if 99.95 <= share < 100 else f"{share:.1f}%"


def markup(content: Content) -> str:
    """Content as markup: `Html` as it is, everything else escaped."""
    if isinstance(content, Html):
        return content.markup
    return escape(content) if isinstance(content, str) else number(content)


def join(*parts: Content) -> Html:
    """Parts one after another."""
    return Html("".join(map(markup, parts)))


def element(name: str, *children: Content, **attributes: Content) -> Html:
    """`<name attribute="…">children</name>`; a name's trailing `_` goes, its other `_` become `-`."""
    assert name in _ELEMENTS, name
    written = []
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        assert key in _ATTRIBUTES and not isinstance(value, Html), key
        assert key != "href" or str(value).startswith("#"), value
        written.append(f' {key}="{escape(value) if isinstance(value, str) else _short(value)}"')
    inner = "".join(map(markup, children))
    return Html(f"<{name}{''.join(written)}>" + ("" if name == "br" else f"{inner}</{name}>"))


def _short(value: float) -> str:
    """A coordinate: two decimals are finer than a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def anchor(name: str) -> str:
    """An id for any text; texts that differ keep ids that differ."""
    return re.sub(r"[^A-Za-z0-9.-]", lambda match: f"_{ord(match[0]):x}_", name) or "_"


def link(name: str, text: Content) -> Html:
    """A link to `anchor(name)` on this page."""
    return element("a", text, href="#" + anchor(name))


def paragraph(*content: Content, class_: str = "") -> Html:
    return element("p", *content, **({"class_": class_} if class_ else {}))


def bullets(items: Iterable[Content]) -> Html:
    return element("ul", *(element("li", item) for item in items))


def section(title: str, *content: Content, name: str, note: Content = "") -> Html:
    """A titled part of the page; `name` is what links and the list of contents point to."""
    head = [element("h2", title)]
    if note:
        head.append(paragraph(note, class_="note"))
    return element("section", *head, *content, id=anchor(name))


def folded(title: Content, *content: Content) -> Html:
    """Content behind a title that is clicked to open it."""
    return element("details", element("summary", title), *content, class_="folded")


@dataclass(frozen=True, slots=True)
class Figure:
    """One headline number: what it is, how much, and a line of context."""

    label: str
    value: Content
    note: str = ""


def figures(items: Iterable[Figure]) -> Html:
    """Headline numbers side by side."""
    cards = [
        element(
            "div",
            element("dt", item.label),
            element("dd", element("b", item.value), element("span", item.note)),
        )
        for item in items
    ]
    return element("dl", *cards, class_="figures")


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title; numbers stand on the right."""

    title: str
    numeric: bool = False
    wide: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[Content]], caption: str = "") -> Html:
    """A table that scrolls by itself where the screen is too narrow for it."""
    classes = [" ".join(["n"] * column.numeric + ["w"] * column.wide) for column in columns]
    head = [
        element("th", column.title, scope="col", class_=kind)
        for column, kind in zip(columns, classes, strict=True)
    ]
    body = [
        element("tr", *(element("td", cell, class_=kind) for cell, kind in zip(row, classes, strict=True)))
        for row in rows
    ]
    parts = [element("caption", caption)] if caption else []
    whole = element("table", *parts, element("thead", element("tr", *head)), element("tbody", *body))
    return element("div", whole, class_="scroll")


def bar(parts: Sequence[tuple[str, float]], whole: float) -> Html:
    """A horizontal bar of stacked parts (class, amount), `whole` being its full width."""
    start, drawn = 0.0, []
    for kind, amount in parts:
        width = 100 * amount / whole if whole else 0.0
        drawn.append(element("rect", x=start, y=0, width=width, height=1, class_=kind))
        start += width
    return _stretched(*drawn)


def _stretched(*drawn: Html) -> Html:
    return element("svg", *drawn, viewBox="0 0 100 1", preserveAspectRatio="none", class_="bar", role="img")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a funnel: how much is left, and the cells that say so."""

    label: str
    left: float
    cells: Sequence[Content]


def funnel(columns: Sequence[Column], stages: Sequence[Stage]) -> Html:
    """Stages from the widest to the narrowest, centred; what each one takes away is shown pale beside it."""
    whole = stages[0].left if stages else 0.0
    rows, before = [], whole
    for stage in stages:
        drawn = []
        for kind, amount in (("lost", before), ("kept", stage.left)):
            width = 100 * amount / whole if whole else 0.0
            drawn.append(element("rect", x=50 - width / 2, y=0, width=width, height=1, class_=kind))
        rows.append([stage.label, _stretched(*drawn), *stage.cells])
        before = stage.left
    return element("div", table([columns[0], Column("", wide=True), *columns[1:]], rows), class_="funnel")


@dataclass(frozen=True, slots=True)
class Line:
    """A threshold drawn into a histogram."""

    value: float
    text: str


_WIDTH, _HALF, _ROW = 360, 46, 13  # of a histogram: its width, the height above and below its axis, a label's height
_FEWEST_BINS = 8


def histogram(
    edges: Sequence[float],
    above: Sequence[int],
    below: Sequence[int],
    lines: Sequence[Line] = (),
    *,
    logarithmic: bool = False,
    label: str = "",
) -> Html:
    """Two groups mirrored at the axis over the same bins, with thresholds.

    Heights go with the square root, so that ten documents show beside ten thousand; empty ends are cut off.
    """
    position = math.log if logarithmic else float
    place = [position(edge) for edge in edges]
    marks = [(min(max(position(max(line.value, edges[0])), place[0]), place[-1]), line.text) for line in lines]
    first, last = _shown(above, below, place, [mark for mark, _ in marks])
    low, span = place[first], place[last] - place[first]
    x = [_WIDTH * (value - low) / span for value in place]
    top = _ROW * len(marks) + 4
    axis, highest = top + _HALF, max([*above, *below, 1])
    drawn = []
    for kind, counts, sign in (("kept", above, -1), ("rejected", below, 1)):
        shape = f"M0 {axis}"
        for bin_ in range(first, last):
            height = axis + sign * _HALF * math.sqrt(counts[bin_] / highest)
            shape += f"V{_short(height)}H{_short(x[bin_ + 1])}"
        drawn.append(element("path", d=f"{shape}V{axis}Z", class_=kind))
    drawn.append(element("line", x1=0, x2=_WIDTH, y1=axis, y2=axis, class_="axis"))
    for row, (mark, text) in enumerate(sorted(marks)):
        at, y = _WIDTH * (mark - low) / span, _ROW * (row + 1) - 2
        side = ("start", 4) if at < _WIDTH / 2 else ("end", -4)
        drawn.append(element("line", x1=at, x2=at, y1=y - 9, y2=axis + _HALF, class_="threshold"))
        drawn.append(element("text", text, x=at + side[1], y=y, text_anchor=side[0], class_="threshold"))
    middle = (first + last) // 2
    for index, side_ in ((first, "start"), (middle, "middle"), (last, "end")):
        text = number(float(f"{edges[index]:.2g}"))
        drawn.append(element("text", text, x=x[index], y=axis + _HALF + 13, text_anchor=side_, class_="tick"))
    box = f"-2 0 {_WIDTH + 4} {axis + _HALF + 18}"
    return element("svg", *drawn, viewBox=box, class_="histogram", role="img", aria_label=label)


def _shown(
    above: Sequence[int], below: Sequence[int], place: Sequence[float], marks: Sequence[float]
) -> tuple[int, int]:
    """The first and last edge worth drawing: all filled bins and thresholds, and a few bins at least."""
    filled = [index for index, pair in enumerate(zip(above, below, strict=True)) if any(pair)] or [0]
    inside = [next((i for i, edge in enumerate(place[1:]) if mark <= edge), len(above) - 1) for mark in marks]
    first, last = min([*filled, *inside]), max([*filled, *inside]) + 2
    last = min(max(last, first + _FEWEST_BINS), len(above))
    return max(0, min(first - 1, last - _FEWEST_BINS)), last


def sample(
    title: str, address: str, chips: Sequence[Content], text: str, facts: Sequence[tuple[str, Content]]
) -> Html:
    """A document's beginning, three lines of it until it is clicked; `facts` come with the rest."""
    head = [element("b", title, class_="raw")] if title else []
    head += [element("span", chip, class_="chip") for chip in chips]
    summary = [element("span", *head, class_="head")]
    if address:
        summary.append(element("span", address, class_="raw address"))
    summary.append(element("span", text, class_="raw text"))
    listed = [element("dt", name) if side == 0 else element("dd", value, class_="raw")
              for name, value in facts for side in (0, 1)]  # fmt: skip
    return element("details", element("summary", *summary), element("dl", *listed), class_="sample")


def page(title: str, *content: Content, lang: str, subtitle: str = "", contents: str = "", foot: str = "") -> str:
    """The whole document. With `contents` (its title) the sections are listed below the headline."""
    body = join(*content)
    head = [element("h1", title), paragraph(subtitle, class_="note")]
    if contents:
        found = re.findall(r'<section id="([^"]*)"><h2>(.*?)</h2>', body.markup)
        links = [element("a", Html(name), href="#" + html.unescape(target)) for target, name in found]
        head.append(element("nav", *links, aria_label=contents))
    parts = [element("header", *head), element("main", body), element("footer", foot)]
    return (
        f'<!doctype html>\n<html lang="{escape(lang)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"{element('body', *parts).markup}\n</html>\n"
    )


_STYLE = """
:root { --ink: #1d2327; --soft: #5d676e; --line: #dfe3e6; --paper: #fbfbfa; --card: #fff; --kept: #2f7f79;
  --rejected: #c8714c; --lost: #efd9ce; --mark: #6b4bb3; --chip: #eef1f2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e6e8; --soft: #98a3aa; --line: #323a40; --paper: #16191c;
  --card: #1d2226; --kept: #58aaa2; --rejected: #d98a66; --lost: #4a352b; --mark: #b49af0; --chip: #2a3137; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0 auto; padding: 0 24px 64px; max-width: 1180px; background: var(--paper); color: var(--ink);
  font: 15px/1.6 system-ui, -apple-system, "Segoe UI", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei",
  "Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 27px; margin: 40px 0 2px; line-height: 1.25; }
h2 { font-size: 19px; margin: 46px 0 6px; padding-top: 12px; border-top: 1px solid var(--line); }
h3 { font-size: 15.5px; margin: 28px 0 4px; }
p { margin: 6px 0; max-width: 84ch; }
.note, footer { color: var(--soft); }
footer { margin-top: 48px; font-size: 13px; }
a { color: var(--kept); text-decoration: none; }
a:hover { text-decoration: underline; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 14px 0 0; }
code, pre, .address { font-family: ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace;
  font-size: .88em; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px; overflow-x: auto;
  line-height: 1.45; overflow-wrap: normal; }
ul { padding-left: 20px; margin: 8px 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; margin: 22px 0 8px; }
.figures > div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px; }
.figures dt { color: var(--soft); font-size: 13.5px; }
.figures dd { margin: 0; }
.figures b { display: block; font-size: 25px; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.figures span { color: var(--soft); font-size: 13px; }
.scroll { overflow-x: auto; margin: 10px 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
caption { text-align: left; font-weight: 600; padding: 6px 0; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 13px; vertical-align: bottom; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); }
td { vertical-align: top; unicode-bidi: isolate; min-width: 3.2em; }
th:last-child, td:last-child { padding-right: 2px; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.w { width: 34%; min-width: 120px; }
td small, .why { display: block; color: var(--soft); font-size: 13px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 6px 40px; }
.bar { display: block; width: 100%; height: 12px; margin-top: 5px; border-radius: 2px; background: var(--chip); }
.funnel .bar { height: 32px; margin: 0; background: none; border-radius: 0; }
.funnel td { padding-top: 0; padding-bottom: 0; vertical-align: middle; border-bottom: 0; }
.kept { fill: var(--kept); } .rejected { fill: var(--rejected); } .lost { fill: var(--lost); }
.key { color: var(--soft); font-size: 13px; display: inline-flex; gap: 6px; align-items: center; margin-right: 18px; }
.key svg { width: 12px; height: 12px; margin: 0; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 14px; margin: 14px 0; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px 6px;
  display: flex; flex-direction: column; justify-content: space-between; }
figcaption { font-size: 13px; line-height: 1.45; color: var(--soft); margin-bottom: 8px; }
figcaption code { display: block; color: var(--ink); font-size: 13.5px; }
.histogram { width: 100%; height: auto; overflow: visible; }
.histogram text { font-size: 11.5px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.histogram text.threshold { fill: var(--mark); }
line.axis { stroke: var(--soft); stroke-width: .6; }
line.threshold { stroke: var(--mark); stroke-width: 1.3; stroke-dasharray: 4 2; }
summary { cursor: pointer; }
.folded { margin: 8px 0; }
.folded > summary { color: var(--kept); }
.sample { background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin: 8px 0; padding: 9px 14px; }
.sample > summary { list-style: none; }
.sample > summary::-webkit-details-marker { display: none; }
.sample .head { display: flex; flex-wrap: wrap; gap: 2px 8px; align-items: baseline; }
.raw { unicode-bidi: isolate; }
.sample .address { display: block; color: var(--soft); font-size: 12.5px; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
.sample .text { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; line-clamp: 3; overflow: hidden;
  white-space: pre-wrap; font-size: 14px; line-height: 1.55; margin-top: 3px; max-width: 100ch; }
.sample[open] .text { display: block; }
.sample[open] .address { white-space: normal; }
.chip { background: var(--chip); border-radius: 5px; padding: 0 7px; font-size: 12.5px; font-variant-numeric: tabular-nums; }
.sample dl { display: grid; grid-template-columns: max-content 1fr; gap: 1px 14px; margin: 8px 0 2px; font-size: 13px; }
.sample dt { color: var(--soft); } .sample dd { margin: 0; }
@media (max-width: 560px) { body { padding: 0 14px 40px; } h1 { font-size: 23px; margin-top: 24px; }
  .figures { grid-template-columns: 1fr 1fr; } .figures b { font-size: 20px; }
  .sample dl { grid-template-columns: 1fr; } .sample dd { margin-bottom: 4px; } }
@media print { .sample .text { display: block; } body { max-width: none; } }
"""
