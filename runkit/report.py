"""One self-contained HTML page: sections, tables, figures, charts, and text that nobody has vetted.

In: plain strings and numbers. Out: one string, to be written with `runkit.files.write_text`. A `str` is
escaped where it enters, and only this module makes `Html`, so mypy refuses the page that forgot to. Nothing
on the page can run or load: no script, no address but `#anchors` and files of ours (`file_link`), and a policy that
forbids both should all that fail. Price: crawled addresses are shown and cannot be clicked, and control or reordering
characters are shown as a sign, not as themselves. Escaping costs 9 ms a megabyte of Chinese.
"""

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from runkit.report_style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Html:
    """Markup whose text is escaped already. No `str`, so that it cannot be glued to one by accident."""

    markup: str


Content = str | int | float | Html

# Controls, half characters, what reorders the text around it (Unicode UAX 9), separators that are no newline
# to HTML, non-characters, and the tag characters in which text can be hidden.
_SPECIAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef"
    "\ufffe\uffff\U000e0000-\U000e007f]"
)
_ELEMENTS = set(
    "a b body caption code dd details div dl dt figcaption figure footer g h1 h2 h3 header li line main nav p "  # noqa: SIM905
    "path pre rect section span summary svg table tbody td text th thead tr ul".split()
)
_ATTRIBUTES = set(
    "aria-label class d height href id open preserveAspectRatio role scope text-anchor title viewBox width x x1 x2 "  # noqa: SIM905
    "y y1 y2".split()
)


def visible(text: str) -> str:
    """`text` with a sign for every character that is unseen and not harmless: ␛ for escape, mostly U+FFFD."""
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
    """`73.7%`; never `0.0%` for something or `100.0%` for less than all, a dash where there is no whole."""
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
    return Html(f"<{name}{''.join(written)}>{inner}</{name}>")


def _short(value: float) -> str:
    """A coordinate: two decimals are finer than a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def anchor(name: str) -> str:
    """An id for any text; texts that differ keep ids that differ."""
    return re.sub(r"[^A-Za-z0-9.-]", lambda match: f"_{ord(match[0]):x}_", name) or "_"


def link(name: str, text: Content) -> Html:
    """A link to `anchor(name)` on this page."""
    return element("a", text, href="#" + anchor(name))


def file_link(path: str, *content: Content) -> Html:
    """A link to a file, by its path from the page's own folder; a name in it can be no scheme and no host."""
    address = "/".join(quote(part, safe="") for part in path.split("/"))
    assert not path.startswith("/"), path
    return Html(f'<a href="{escape(address)}">{join(*content).markup}</a>')


def switch(name: str, choices: Sequence[tuple[str, str, Html]]) -> Html:
    """The same content in several languages (its code, its name, the content), of which one is shown; no script."""
    code = anchor(name)
    picks = [
        f'<input type="radio" name="{code}" id="{code}-{lang}" class="pick"{"" if place else " checked"}>'
        f'<label for="{code}-{lang}" lang="{lang}">{escape(label)}</label>'
        for place, (lang, label, _) in enumerate(choices)
    ]
    parts = [f'<div class="picked" lang="{lang}">{content.markup}</div>' for lang, _, content in choices]
    return Html(f'<div class="switch">{"".join(picks)}{"".join(parts)}</div>')


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
        element("th", column.title, scope="col", class_=kind) for column, kind in zip(columns, classes, strict=True)
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


_WIDTH, _HALF, _ROW = (
    360,
    46,
    13,
)  # of a histogram: its width, the height above and below its axis, a label's height
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
    # Labels point inwards; the outer ones stand higher, so that no other line runs through them.
    spots = [(_WIDTH * (mark - low) / span, text) for mark, text in marks]
    spots.sort(key=lambda spot: -abs(spot[0] - _WIDTH / 2))
    for row, (at, text) in enumerate(spots):
        y = _ROW * (row + 1) - 2
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


def sample(title: str, address: str, chips: Sequence[Content], text: str, facts: Sequence[tuple[str, Content]]) -> Html:
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


def page(
    title: str, *content: Content, lang: str, subtitle: str = "", contents: str = "", foot: str = "", style: str = ""
) -> str:
    """The whole document. With `contents` (its title) the sections are listed below the headline; `style` is added."""
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
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n"
        f"{element('body', *parts).markup}\n</html>\n"
    )
