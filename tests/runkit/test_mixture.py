"""Mixtures, against the published table of GPT-3 and arithmetic by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runkit.errors import UsageError
from runkit.mixture import mix

# arXiv:2005.14165, table 2.2: tokens, weights in percent, for 300 B tokens of training. The percentages were rounded
# for print and add up to 101, so the epochs that follow from them differ from the printed ones by up to a fifth.
GPT3_TOKENS = {
    "common_crawl": 410_000_000_000,
    "webtext2": 19_000_000_000,
    "books1": 12_000_000_000,
    "books2": 55_000_000_000,
    "wikipedia": 3_000_000_000,
}
GPT3_WEIGHTS = {"common_crawl": 60.0, "webtext2": 22.0, "books1": 8.0, "books2": 8.0, "wikipedia": 3.0}

sizes_of = st.dictionaries(st.text(min_size=1, max_size=5), st.integers(1, 10**13), min_size=1, max_size=8)


def test_gpt3() -> None:
    mixture = mix(GPT3_TOKENS, GPT3_WEIGHTS, 300_000_000_000)
    epochs = {part.source: f"{part.epochs:.2g}" for part in mixture.parts}
    assert epochs == {"common_crawl": "0.43", "webtext2": "3.4", "books1": "2", "books2": "0.43", "wikipedia": "3"}
    assert sum(part.drawn for part in mixture.parts) == pytest.approx(300e9)
    assert sum(part.weight for part in mixture.parts) == pytest.approx(1)
    assert mixture.warnings == ()


def test_without_a_budget_nothing_is_repeated() -> None:
    mixture = mix({"small": 100, "large": 1000}, {"small": 1.0, "large": 3.0})
    small, large = mixture.parts
    assert (small.drawn, small.epochs) == (100, 1) and (large.drawn, large.epochs) == (300, 0.3)
    assert mixture.budget == 400


def test_without_weights_sources_are_taken_as_they_are() -> None:
    mixture = mix({"a": 30, "empty": 0, "b": 10}, {}, 80)
    assert [(part.weight, part.drawn, part.epochs) for part in mixture.parts] == [
        (0.75, 60, 2),
        (0, 0, 0),
        (0.25, 20, 2),
    ]
    assert mixture.warnings == ()


@settings(max_examples=100, deadline=None)
@given(sizes_of, st.data())
def test_shares_follow_the_weights(sizes: dict[str, int], data: st.DataObject) -> None:
    weight = st.one_of(st.floats(1e-3, 1e3), st.floats(1e305, 1.7e308))
    weights = {source: data.draw(weight) for source in sizes}
    mixture = mix(sizes, weights)
    assert max(part.epochs for part in mixture.parts) == pytest.approx(1)
    assert sum(part.drawn for part in mixture.parts) == pytest.approx(mixture.budget)
    heaviest = max(mixture.parts, key=lambda part: weights[part.source])
    for part in mixture.parts:
        assert part.weight / heaviest.weight == pytest.approx(weights[part.source] / weights[heaviest.source], rel=1e-9)


def test_warnings() -> None:
    mixture = mix({"wiki": 100, "web": 1000, "news": 50, "books": 1000}, {"wiki": 5.0, "web": 4.0, "news": 0.0}, 900)
    assert [part.drawn for part in mixture.parts] == pytest.approx([500, 400, 0, 0])
    wiki, news, books = mixture.warnings
    assert "wiki is drawn 5.0 times" in wiki
    assert "news has weight 0" in news
    assert "books has no weight" in books
    assert mix({"wiki": 100}, {}, 400).warnings == ()


@pytest.mark.parametrize(
    ("sizes", "weights", "expected"),
    [
        ({"wikipedia": 10, "web": 10}, {"wikpedia": 1.0}, "did you mean wikipedia?"),
        ({"a": 10, "b": 10}, {"xyz": 1.0}, "there are a, b."),
        ({"a": 10, "b": 0}, {"a": 1.0, "b": 1.0}, "The source b has weight 1 but nothing to draw"),
        ({"a": 10}, {"a": 0.0}, "Every weight is 0"),
        ({"a": 0}, {}, "every source is empty"),
        ({}, {}, "every source is empty"),
    ],
)
def test_errors(sizes: dict[str, int], weights: dict[str, float], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        mix(sizes, weights)
    assert expected in str(caught.value)
