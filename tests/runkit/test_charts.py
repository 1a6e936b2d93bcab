"""Line charts: what is drawn can be read back to the numbers that went in."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html as parser

from runkit.charts import COLUMNS, HEIGHT, WIDTH, Series, line_chart, running_median
from runkit.report import page

VALUES = st.one_of(st.none(), st.floats(-1e9, 1e9), st.just(math.nan), st.just(math.inf))


def tree_of(*series: Series, **kind: Any) -> Any:
    drawn = line_chart(series, label="Loss", x_title="step", y_title="nats", **kind)
    return parser.document_fromstring(page("Title", drawn, lang="en").encode())


def paths(tree: Any, kind: str) -> list[list[tuple[float, float]]]:
    """The unbroken stretches of the line of a class."""
    (path,) = [found for found in tree.xpath("//path") if found.get("class") == kind]
    stretches = [re.findall(r"[ML]?(-?[\d.]+) (-?[\d.]+)", part) for part in path.get("d").split("M")[1:]]
    return [[(float(x), float(y)) for x, y in stretch] for stretch in stretches]


def scale(tree: Any, side: str) -> list[tuple[float, float]]:
    """(place, value) of each labelled tick."""
    if side == "y":
        found = tree.xpath("//text[@text-anchor='end' and not(@class) and number(@x) < 120]")
        return [(float(text.get("y")) - 4, float(text.text.replace(",", ""))) for text in found]
    lines = [line for line in tree.xpath("//svg/line[@class='axis']") if line.get("x1") == line.get("x2")]
    return [(float(line.get("x1")), float(line.getnext().text.replace(",", ""))) for line in lines]


def read_back(place: float, ticks: Sequence[tuple[float, float]], logarithmic: bool = False) -> float:
    """The value at a place, from the first and the last tick alone."""
    (start, low), (end, high) = ticks[0], ticks[-1]
    share = (place - start) / (end - start)
    return float(low * (high / low) ** share if logarithmic else low + (high - low) * share)


@pytest.mark.parametrize(
    ("ys", "logarithmic"),
    [
        ([9.2, 5.1, 3.3, 2.41, 2.4], False),
        ([0.0003, 0.0002, 0.00005, 0.00011, 0.0], False),
        ([17_000, 21_345, 90_000, 123_456, 5], False),
        ([-3, -2.5, 4, 0, 1], False),
        ([0.31, 12.0, 0.52, 0.5, 7.0], True),
        ([1e-6, 1.0, 1e5, 3e3, 2e-2], True),
        ([3.1, 3.2, 3.3, 3.4, 3.5], True),
    ],
)
def test_points_stand_where_the_axes_say(ys: list[float], logarithmic: bool) -> None:
    xs = [1, 300, 500, 1100, 2000]
    tree = tree_of(Series("a", xs, ys), logarithmic=logarithmic)
    (line,) = paths(tree, "s0")
    across, up = scale(tree, "x"), scale(tree, "y")
    assert len(across) >= 3 and len(up) >= 3
    tall = math.log(max(ys) / min(ys)) if logarithmic else max(ys) - min(ys)
    for (x, y), wanted_x, wanted_y in zip(line, xs, ys, strict=True):
        assert read_back(x, across) == pytest.approx(wanted_x, abs=2)
        found = read_back(y, up, logarithmic)
        assert (math.log(found / wanted_y) if logarithmic else found - wanted_y) == pytest.approx(0, abs=tall / 300)


def test_every_tick_is_round_and_evenly_spaced() -> None:
    tree = tree_of(Series("a", range(1, 1_234), [math.sin(x) * 0.037 + 2.2 for x in range(1, 1_234)]))
    for side in ("x", "y"):
        ticks = scale(tree, side)
        steps = [after - before for (_, before), (_, after) in pairwise(ticks)]
        assert max(steps) == pytest.approx(min(steps))
        assert float(f"{steps[0]:.0e}"[0]) in {1, 2, 5}


def test_a_spike_among_many_points_is_drawn() -> None:
    ys: list[float | None] = [2.0 + 0.01 * (x % 7) for x in range(100_000)]
    ys[61_803], ys[20_000] = 7.5, 0.1
    tree = tree_of(Series("a", range(100_000), ys, smooth=True))
    (line,) = paths(tree, "raw-line s0")
    assert len(line) <= 2 * COLUMNS
    up, across = scale(tree, "y"), scale(tree, "x")
    assert read_back(min(y for _, y in line), up) == pytest.approx(7.5, abs=0.02)
    assert read_back(max(y for _, y in line), up) == pytest.approx(0.1, abs=0.02)
    assert read_back(min(line, key=lambda point: point[1])[0], across) == pytest.approx(61_803, abs=200)
    (smooth,) = paths(tree, "s0")  # which neither moves
    assert all(1.98 <= read_back(y, up) <= 2.1 for _, y in smooth)


def test_gaps_stay_gaps() -> None:
    tree = tree_of(Series("a", range(1, 9), [1, 2, None, 4, math.nan, 6, math.inf, 8]))
    assert [len(stretch) for stretch in paths(tree, "s0")] == [2, 1, 1, 1]
    tree = tree_of(Series("a", range(1, 5), [1, 0, -3, 10]), logarithmic=True)
    assert [len(stretch) for stretch in paths(tree, "s0")] == [1, 1]
    ys = [None if 30_000 <= x < 40_000 else 1.0 + x for x in range(100_000)]
    tree = tree_of(Series("a", range(100_000), ys, smooth=True))
    assert len(paths(tree, "raw-line s0")) == len(paths(tree, "s0")) == 2


def test_the_values_under_the_pointer_are_those_of_the_points() -> None:
    ys: list[float | None] = [float((7 * x) % 101) for x in range(1, 2_001)]
    tree = tree_of(Series("first", range(1, 2_001), ys), Series("<second>", [1_000], [250.5]))
    begins, covered = [], 0
    for group in tree.xpath("//g"):
        strip, _, _, *texts = group
        begins.append((float(strip.get("x")), float(strip.get("width"))))
        rows = [text.text for text in texts]
        first, last = (int(part.replace(",", "")) for part in re.findall(r"[\d,]+", rows[0]))
        assert first == covered + 1  # no step is told twice, none is left out
        covered = last
        inside = [y for y in ys[first - 1 : last] if y is not None]
        assert rows[1] == f"first {min(inside):.4g} – {max(inside):.4g}"
        assert rows[2:] == (["<second> 250.5"] if first <= 1_000 <= last else [])
    assert covered == 2_000
    for (x, width), (after, _) in pairwise(begins):
        assert x + width == pytest.approx(after, abs=0.02)


def test_a_running_median_keeps_a_steep_start() -> None:
    points = [(float(x), 9.0 - x if x < 5 else 4.0) for x in range(1, 2_001)]
    found = [point for point in running_median(points) if point is not None]
    assert found[0] == (1.0, 8.0) and found[-1] == (2_000.0, 4.0) and len(found) <= 150
    spiked = [(x, 99.0 if x == 1_000 else y) for x, y in points]
    assert running_median(spiked) == running_median(points)


def test_more_lines_than_colours_differ_and_are_named() -> None:
    tree = tree_of(*(Series(f"<b>{number}</b>", [1, 2], [number, number + 1]) for number in range(20)))
    kinds = [path.get("class") for path in tree.xpath("//path") if "mark" not in path.get("class")]
    assert len(set(kinds)) == 20 and not tree.xpath("//main//b[not(parent::figcaption)]")
    assert [key.text_content() for key in tree.xpath("//*[@class='key']")] == [f"<b>{n}</b>" for n in range(20)]


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, max_size=40), st.booleans(), st.booleans(), st.integers(0, 10**7))
def test_a_chart_stays_in_its_frame(ys: list[float | None], logarithmic: bool, from_zero: bool, first: int) -> None:
    kind = {"logarithmic": logarithmic, "from_zero": from_zero and not logarithmic}
    tree = tree_of(Series("a", range(first, first + len(ys)), ys, smooth=True), **kind)
    for path in tree.xpath("//path"):
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d")):
            assert 0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT
    for other in tree.xpath("//figure//svg[@class='chart']//line | //figure//svg[@class='chart']//text"):
        for name in ("x", "x1", "x2"):
            assert -1 <= float(other.get(name, 0)) <= WIDTH + 150  # a box beside the pointer may stand out
