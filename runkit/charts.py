"""Line charts for report pages: several series over one axis, read by pointing at them, without a script.

In: series of points, where None or NaN is a gap. Out: a figure with an SVG drawing for `runkit.report.page`. However
many points a series has, each of `COLUMNS` parts keeps its lowest and its highest, so that no spike is lost; the
smooth line is a running median, which a spike does not bend. Price: 0.2 s for 100,000 points, and up to 40 kB a
chart, most of it for the values that appear under the pointer.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import median
from typing import Final
from unicodedata import east_asian_width

from runkit.report import Html, element
from runkit.report import number as number_text

WIDTH: Final = 560  # of the drawing, in its own units, which are pixels where a page has two charts side by side
HEIGHT: Final = 250
COLUMNS: Final = 300  # parts of a long line, each drawn by two points
SMOOTH_POINTS: Final = 150
MEDIAN_OF: Final = 200
SMOOTH_FROM: Final = 30  # points; fewer are read without help
MARKED: Final = 40  # points, up to which each has a mark
READINGS: Final = 80  # places that tell their values when pointed at
COLOURS: Final = 8  # in the style sheet; then they come again, dashed
_TOP, _BOTTOM, _RIGHT = 24, 38, 14
_CHARACTER = 6.8  # width of a figure or Latin letter
_ROW = 15  # height of a line of text

Point = tuple[float, float]
_height = itemgetter(1)


@dataclass(frozen=True, slots=True)
class Series:
    """One line. `x` rises; `y` is None or not finite where there is no value."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    smooth: bool = False  # draw a running median, and the line itself thin behind it


@dataclass(frozen=True, slots=True)
class _Axis:
    """From values to places between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool
    ticks: Sequence[float]
    step: float  # between ticks, which says how many decimals they need; 0: each as many as it needs

    def place(self, value: float) -> float:
        scale = math.log if self.logarithmic else float
        low, high = scale(self.low), scale(self.high)
        return self.start + (self.end - self.start) * (scale(value) - low) / (high - low)

    def text(self, tick: float) -> str:
        if not tick:
            return "0"
        if abs(tick) >= 1e7 or abs(tick) < 1e-4 or 0 < self.step < 1e-6:
            return f"{tick:.10g}"
        return f"{tick:,.6g}" if not self.step else f"{tick:,.{max(0, -_exponent(self.step))}f}"


def line_chart(
    series: Sequence[Series],
    *,
    label: str,
    x_title: str,
    y_title: str,
    note: str = "",
    logarithmic: bool = False,
    from_zero: bool = False,
    whole: bool = True,
) -> Html:
    """A figure titled `label`. `logarithmic`: of y; what is not above zero is a gap then. `whole`: x counts things.

    Without a single value the axes are drawn and nothing else.
    """
    lines = [(one, _points(one, logarithmic)) for one in series]
    ys = [y for _, points in lines for _, y in filter(None, points)]
    low, high = min(ys, default=1.0 if logarithmic else 0.0), max(ys, default=1.0)
    vertical = _axis(min(low, 0.0) if from_zero else low, high, HEIGHT - _BOTTOM, _TOP, logarithmic, False)
    left = 12 + _CHARACTER * max(len(vertical.text(tick)) for tick in vertical.ticks)
    xs = [x for one in series if len(one.x) for x in (one.x[0], one.x[-1])]
    horizontal = _axis(min(xs, default=0.0), max(xs, default=1.0), left, WIDTH - _RIGHT, False, whole)
    drawn = [*_frame(horizontal, vertical, x_title, y_title)]
    for number, (one, points) in enumerate(lines):
        drawn += _line(points, one.smooth, _colour(number), horizontal, vertical)
    drawn += _readings(lines, horizontal, vertical, x_title)
    shown = element("svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="chart", role="img", aria_label=label)
    head = [element("b", label)] if label else []
    if len(series) > 1:
        head.append(element("div", *(_key(one.name, _colour(number)) for number, one in enumerate(series))))
    if note:
        head.append(element("div", note))
    return element("figure", element("figcaption", *head), shown)


def _points(series: Series, logarithmic: bool) -> list[Point | None]:
    """Points, None for a gap."""
    assert len(series.x) == len(series.y), series.name
    return [
        (x, y) if y is not None and math.isfinite(y) and (y > 1e-300 or not logarithmic) else None
        for x, y in zip(series.x, series.y, strict=True)
    ]


def _colour(number: int) -> str:
    dashes = ("", " dashed", " dotted")[number // COLOURS % 3]
    return f"s{number % COLOURS}{dashes}"


def _key(name: str, colour: str) -> Html:
    sign = element("line", x1=0, x2=18, y1=6, y2=6, class_=colour)
    return element("span", element("svg", sign, viewBox="0 0 18 12", class_="sign"), name, class_="key")


# Axes


def _axis(low: float, high: float, start: float, end: float, logarithmic: bool, whole: bool) -> _Axis:
    """An axis that reaches from a little below `low` to a little above `high`."""
    if logarithmic:
        low, high = (low / 1.5, high * 1.5) if high < low * 1.0001 else (low, high)
        ticks = _decades(low, high)
        if len(ticks) >= 2:
            return _Axis(min(low, ticks[0]), max(high, ticks[-1]), start, end, True, ticks, 0.0)
        step, ticks = _round_ticks(low, high, whole=False)
        return _Axis(low, high, start, end, True, [tick for tick in ticks if low <= tick <= high], step)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-300):
        margin = 0.5 if whole else 0.05 * abs(low) or 0.5
        low, high = low - margin, high + margin
    step, ticks = _round_ticks(low, high, whole)
    if not whole:  # values get the room up to the next ticks, x ends where the data end
        low, high = min(low, ticks[0]), max(high, ticks[-1])
    return _Axis(low, high, start, end, False, [tick for tick in ticks if low <= tick <= high], step)


def _round_ticks(low: float, high: float, whole: bool) -> tuple[float, list[float]]:
    """The distance 1, 2 or 5 · 10ⁿ that gives four to nine ticks, and the ticks from below `low` to above `high`."""
    rough = max((high - low) / 5, 1e-300)  # numbers so small that their differences are 0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return step, [index * step for index in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Round ticks of a logarithmic axis, all within a factor of two of the data; at most eight."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = math.ceil((last - first) / 6)
    if every > 1:
        return [10.0**power for power in range(first, last + 1, every)]
    for factors in ((1,), (1, 3), (1, 2, 5)):
        found = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        found = [tick for tick in found if low / 1.05 <= tick <= high * 1.05]
        if len(found) >= 4:
            return found
    return found


def _exponent(step: float) -> int:
    return math.floor(math.log10(step) + 1e-9)


def _frame(horizontal: _Axis, vertical: _Axis, x_title: str, y_title: str) -> Iterable[Html]:
    left, right, bottom = horizontal.start, horizontal.end, vertical.start
    yield element("text", y_title, x=0, y=12, class_="name")
    yield element("text", x_title, x=right, y=HEIGHT - 4, text_anchor="end", class_="name")
    for tick in vertical.ticks:
        y = vertical.place(tick)
        yield element("line", x1=left, x2=right, y1=y, y2=y, class_="gridline")
        yield element("text", vertical.text(tick), x=left - 6, y=y + 4, text_anchor="end")
    yield element("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis")
    for tick in horizontal.ticks:
        x = horizontal.place(tick)
        text = horizontal.text(tick)
        over = x + _CHARACTER * len(text) / 2 > WIDTH  # a long last number would leave the drawing
        yield element("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="axis")
        yield element("text", text, x=WIDTH if over else x, y=bottom + 17, text_anchor="end" if over else "middle")


# Lines


def _line(
    points: Sequence[Point | None], smooth: bool, colour: str, horizontal: _Axis, vertical: _Axis
) -> Iterable[Html]:
    there = list(filter(None, points))
    smooth = smooth and len(there) >= SMOOTH_FROM
    yield _path(_reduced(points, horizontal), f"raw-line {colour}" if smooth else colour, horizontal, vertical)
    if smooth:
        yield _path(running_median(points), colour, horizontal, vertical)
    elif len(there) <= MARKED:
        for x, y in there:
            at, high = horizontal.place(x), vertical.place(y)
            yield element("path", d=f"M{at:.1f} {high:.1f}h0", class_=f"mark {colour}")


def _reduced(points: Sequence[Point | None], axis: _Axis) -> list[Point | None]:
    """The lowest and the highest of each of `COLUMNS` parts of equal length; a part without values stays a gap."""
    if len(points) <= 2 * COLUMNS:
        return list(points)
    found: list[Point | None] = []
    size = len(points) / COLUMNS
    for column in range(COLUMNS):
        part = list(filter(None, points[int(column * size) : int((column + 1) * size)]))
        found += sorted({min(part, key=_height), max(part, key=_height)}) if part else [None]
    return found


def running_median(points: Sequence[Point | None]) -> list[Point | None]:
    """At most `SMOOTH_POINTS` points, each the median of the 75th of all points that lies on both sides of it.

    Towards the beginning the window shrinks, so that a steep start is not flattened. Of a long window some `MEDIAN_OF`
    points are taken, evenly spaced.
    """
    count = len(points)
    half = max(2, count // 75)
    found: list[Point | None] = []
    for index in range(min(count, SMOOTH_POINTS)):
        middle = index * (count - 1) // max(1, min(count, SMOOTH_POINTS) - 1)
        reach = min(half, middle)
        window = points[middle - reach : middle + reach + 1]
        part = list(filter(None, window[:: 1 + len(window) // MEDIAN_OF]))
        here = points[middle]
        x = here[0] if here else part[len(part) // 2][0] if part else 0.0
        found.append((x, median(map(_height, part))) if part else None)
    return found


def _path(points: Iterable[Point | None], class_: str, horizontal: _Axis, vertical: _Axis) -> Html:
    drawn, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        # A value alone between gaps is a line of no length, which round ends make visible.
        drawn.append(f"{pen}{horizontal.place(point[0]):.1f} {vertical.place(point[1]):.1f}{'h0' * (pen == 'M')}")
        pen = "L"
    return element("path", d="".join(drawn), class_=class_)


# Values under the pointer


def _readings(
    lines: Sequence[tuple[Series, Sequence[Point | None]]], horizontal: _Axis, vertical: _Axis, x_title: str
) -> Iterable[Html]:
    """Invisible strips side by side; the one under the pointer shows a box with its values."""
    parts = [(one.name if len(lines) > 1 else "", list(filter(None, points))) for one, points in lines]
    xs = sorted({point[0] for _, points in parts for point in points})
    every = max(1, math.ceil(len(xs) / READINGS))
    groups = [(xs[start], xs[min(start + every, len(xs)) - 1]) for start in range(0, len(xs), every)]
    for number, (first, last) in enumerate(groups):
        begin = (groups[number - 1][1] + first) / 2 if number else horizontal.low
        end = (last + groups[number + 1][0]) / 2 if number + 1 < len(groups) else horizontal.high
        rows = [f"{x_title} {horizontal.text(first)}{f' – {horizontal.text(last)}' if last > first else ''}"]
        for name, points in parts:
            inside = points[bisect_left(points, (first,)) : bisect_right(points, (last, math.inf))]
            if inside:
                rows.append(f"{_cut(name)} {_range([y for _, y in inside])}".strip())
        yield _reading(horizontal.place(begin), horizontal.place(end), rows, vertical.start)


def _range(values: Sequence[float]) -> str:
    low, high = number_text(min(values)), number_text(max(values))
    return low if low == high else f"{low} – {high}"


def _cut(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"


def _reading(begin: float, end: float, rows: Sequence[str], bottom: float) -> Html:
    middle = (begin + end) / 2
    width = max(map(_width, rows)) + 14
    x = middle + 8 if middle < WIDTH / 2 else middle - 8 - width
    drawn = [
        element("rect", x=begin, y=0, width=end - begin, height=HEIGHT, class_="strip"),
        element("line", x1=middle, x2=middle, y1=_TOP, y2=bottom, class_="axis"),
        element("rect", x=x, y=_TOP, width=width, height=_ROW * len(rows) + 8, class_="box"),
    ]
    drawn += [element("text", row, x=x + 7, y=_TOP + _ROW * (line + 1)) for line, row in enumerate(rows)]
    return element("g", *drawn, class_="reading")


def _width(text: str) -> float:
    return sum(_CHARACTER * (2 if east_asian_width(character) in "WF" else 1) for character in text)
