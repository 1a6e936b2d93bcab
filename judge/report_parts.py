"""What the parts of the report share: its words, numbers as text, and intervals drawn into table cells.

In: figures of a summary. Out: markup. A bar is coloured by the side of the line that it lies on, so that one sees how
much of an interval speaks for whom.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judge.report_text import WORDS
from judge.summary import Run
from runkit import report as r
from runkit.report import Content, Html

Interval = Sequence[float] | None


@dataclass(frozen=True, slots=True)
class Page:
    """What every part needs."""

    run: Run
    found: Mapping[str, Any]
    lang: str

    def t(self, key: str, **values: Any) -> str:
        text = WORDS[self.lang][key]
        return text.format(**values) if values else text

    @property
    def systems(self) -> Mapping[str, Any]:
        """Those that have a question with both orders."""
        return {name: one for name, one in self.found["systems"].items() if one["n"]}

    @property
    def scored(self) -> bool:
        return any(one["swap_avg_sys"] is not None for one in self.systems.values())

    def range(self, interval: Interval, show: Any = None) -> str:
        if interval is None:
            return "–"
        show = signed if show is None else show
        return self.t("to", low=show(interval[0]), high=show(interval[1]))


def signed(value: float | None, digits: int = 2) -> str:
    """`+0.18`, `−1.20`; zero has no sign."""
    if value is None:
        return "–"
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def figure(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"


def probability(value: float | None) -> str:
    if value is None:
        return "–"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}" if value < 0.01 else f"{value:.3f}"


def whole(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


@dataclass(frozen=True, slots=True)
class Scale:
    """From figures to places in a cell; `middle` is where nobody is better."""

    low: float
    high: float
    middle: float = 0.0

    @classmethod
    def around(cls, intervals: Iterable[Interval], middle: float = 0.0, least: float = 0.1) -> "Scale":
        """Wide enough for all; the middle is always on it. What lies beyond is drawn at the edge."""
        ends = [end for interval in intervals if interval is not None for end in interval]
        low, high = min([*ends, middle - least]), max([*ends, middle + least])
        margin = 0.04 * (high - low)
        return cls(low - margin, high + margin, middle)

    def place(self, value: float) -> float:
        return 100.0 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)


def drawn(value: float | None, interval: Interval, scale: Scale) -> Html:
    """An interval as a bar, its estimate as a mark; one colour on each side of the middle."""
    parts: list[Html] = []
    middle = scale.place(scale.middle)
    if interval is not None:
        low, high = (scale.place(end) for end in interval)
        for kind, start, end in (("rejected", low, min(high, middle)), ("kept", max(low, middle), high)):
            if end > start:
                parts.append(r.element("rect", x=start, y=0.3, width=end - start, height=0.4, class_=kind))
    if value is not None:
        kind = "kept" if value >= scale.middle else "rejected"
        parts.append(r.element("rect", x=scale.place(value) - 0.6, y=0, width=1.2, height=1, class_=kind))
    parts.append(r.element("line", x1=middle, x2=middle, y1=0, y2=1, class_="axis"))
    return r.element("svg", *parts, viewBox="0 0 100 1", preserveAspectRatio="none", class_="bar", role="img")


def keys(names: Iterable[tuple[str, str]]) -> Html:
    """Colours and what they stand for: (class, name)."""
    return r.paragraph(*(r.element("span", r.bar([(kind, 1)], 1), name, class_="key") for kind, name in names))


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def rows_of(pairs: Iterable[tuple[str, Content]]) -> list[list[Content]]:
    return [[name, value] for name, value in pairs]
