"""The page builder: what goes in as text comes out as text, and nothing on a page can load or run."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html as parser

from runkit import report as r

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=60)


def body_of(content: r.Content) -> parser.HtmlElement:
    return parser.document_fromstring(r.page("Title", content, lang="en").encode())


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_any_text_comes_out_as_it_went_in(text: str) -> None:
    """The sign that stands for an unseen character is all that may differ."""
    found = body_of(r.element("pre", "|", text, "|")).xpath("//main/pre")
    assert [pre.text_content() for pre in found] == [f"|{r.visible(text)}|"]
    assert not found[0].getchildren()


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_any_text_stays_inside_its_attribute(text: str) -> None:
    found = body_of(r.element("p", "inside", aria_label=text)).xpath("//main/p")
    assert len(found) == 1 and set(found[0].attrib) == {"aria-label"}
    assert found[0].get("aria-label") == r.visible(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "␛[31m"),
        ("a\0b\x7f", "a␀b␡"),
        ("\r", "␍"),
        ("\x9b2J", "\ufffd2J"),
        ("gpj.\u202eexe", "gpj.\ufffdexe"),
        ("\ud800x\udfff", "\ufffdx\ufffd"),
        ("\u2028\ufffe\U000e0041", "\ufffd\ufffd\ufffd"),
        ("中文\t表\n👨‍👩‍👧 &amp;", "中文\t表\n👨‍👩‍👧 &amp;"),
    ],
)
def test_what_is_unseen_becomes_a_sign(text: str, shown: str) -> None:
    assert r.visible(text) == shown
    assert r.escape("<&>\"'") == "&lt;&amp;&gt;&quot;&#x27;"


@settings(max_examples=200, deadline=None)
@given(ANYTHING, ANYTHING)
def test_anchors_are_plain_and_differ(one: str, other: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]+", r.anchor(one))
    assert one == other or r.anchor(one) != r.anchor(other)


def test_a_page_loads_nothing() -> None:
    page = r.page("T", r.section("S", "x", name="s"), lang="zh-CN", contents="Contents")
    tree = parser.document_fromstring(page.encode())
    policy = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy and policy[0].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert tree.xpath("//nav/a/@href") == ["#s"] and tree.get("lang") == "zh-CN"
    assert not tree.xpath("//script | //link | //img | //iframe | //form | //*[@src] | //base")
    style = tree.findtext(".//style")
    assert "url(" not in style and "@import" not in style


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("script", {}),
        ("iframe", {}),
        ("p", {"onclick": "x"}),
        ("a", {"href": "https://x.example"}),
        ("p", {"style": "x"}),
    ],
)
def test_the_builder_refuses_what_could_run_or_load(name: str, attributes: dict[str, str]) -> None:
    with pytest.raises(AssertionError):
        r.element(name, **attributes)


@pytest.mark.parametrize(
    ("value", "shown"), [(1117, "1,117"), (0, "0"), (0.25, "0.25"), (0.123456, "0.1235"), (98765.4, "98,765")]
)
def test_numbers(value: float, shown: str) -> None:
    assert r.number(value) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (823, 1117, "73.7%"),
        (0, 5, "0.0%"),
        (1, 100_000, "<0.1%"),
        (99_999, 100_000, ">99.9%"),
        (5, 5, "100.0%"),
        (0, 0, "–"),
    ],
)
def test_shares_never_say_none_or_all_for_some(part: int, whole: int, shown: str) -> None:
    assert r.percent(part, whole) == shown


def test_numbers_stand_on_the_right() -> None:
    table = body_of(r.table([r.Column("名"), r.Column("数", numeric=True)], [["<b>", 1234567]])).find(".//table")
    assert [cell.text_content() for cell in table.findall(".//td")] == ["<b>", "1,234,567"]
    assert [cell.get("class") for cell in table.findall(".//td")] == ["", "n"]


def test_a_funnel_draws_what_is_left_and_what_went() -> None:
    drawn = body_of(r.funnel([r.Column("step")], [r.Stage("read", 200, []), r.Stage("rules", 50, [])]))
    widths = [(rect.get("class"), float(rect.get("width"))) for rect in drawn.findall(".//rect")]
    assert widths == [("lost", 100), ("kept", 100), ("lost", 100), ("kept", 25)]


def heights(drawing: r.Html) -> dict[str, list[float]]:
    """Distance of every step of both outlines from the axis."""
    tree = parser.fragment_fromstring(drawing.markup)
    axis = float(tree.find(".//line[@class='axis']").get("y1"))
    paths = {path.get("class"): path.get("d") for path in tree.findall(".//path")}
    return {
        kind: [round(abs(float(y) - axis), 1) for y in re.findall(r"V([\d.]+)H", shape)]
        for kind, shape in paths.items()
    }


def test_a_histogram_is_to_scale() -> None:
    above, below = [0, 100, 25, *[0] * 7], [4, 0, 0, *[0] * 7]
    drawn = r.histogram(list(range(11)), above, below)
    assert heights(drawn)["kept"][:3] == [0, 46, 23]  # square roots of 100 and 25
    assert heights(drawn)["rejected"][:2] == [9.2, 0]


@pytest.mark.parametrize("logarithmic", [False, True])
def test_thresholds_stand_where_they_belong(logarithmic: bool) -> None:
    edges = [10.0**power for power in range(9)] if logarithmic else [float(step) for step in range(9)]
    drawn = r.histogram(edges, [1] * 8, [1] * 8, [r.Line(edges[2], "zh ≥ 2")], logarithmic=logarithmic)
    tree = parser.fragment_fromstring(drawn.markup)
    assert float(tree.find(".//line[@class='threshold']").get("x1")) == 90  # 2 of 8, in a drawing 360 wide
    assert "zh ≥ 2" in tree.text_content()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=48),
    st.lists(st.floats(-10, 1e7), max_size=4),
)
def test_a_histogram_stays_in_its_frame(counts: list[tuple[int, int]], bounds: list[float]) -> None:
    edges = [1 + step * 2.5 for step in range(len(counts) + 1)]
    above, below = [a for a, _ in counts], [b for _, b in counts]
    drawn = r.histogram(edges, above, below, [r.Line(bound, "x") for bound in bounds])
    left, top, width, height = map(float, re.search('viewBox="([^"]*)"', drawn.markup)[1].split())
    for name, value in re.findall(r' ([xy][12]?)="([^"]*)"', drawn.markup):
        low, size = (left, width) if name.startswith("x") else (top, height)
        assert low - 4 <= float(value) <= low + size + 4, (name, value)


def test_samples_hold_their_text_once() -> None:
    box = r.sample("<i>title</i>", "javascript:alert(1)", ["0.2 > 0.1"], "line\n</details>", [("id", "x")])
    tree = body_of(box)
    assert tree.xpath("count(//details)") == 1 and not tree.xpath("//main//a | //main//i")
    assert tree.xpath("string(//span[contains(@class, 'text')])") == "line\n</details>"
    assert tree.xpath("string(//span[contains(@class, 'address')])") == "javascript:alert(1)"
