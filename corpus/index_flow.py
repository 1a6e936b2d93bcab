"""Which run was made from which, drawn from left to right: layers of runs, and curves between them that cross no run.

In: runs with a label each, and arrows. Out: one inline SVG. A run stands one layer behind the last of those that it was
made from; a curve over several layers gets a place in each; places are ordered by where their neighbours are. Price:
0.1 s for a thousand runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from runkit.report import Html, element, file_link, join

WIDTH, HEIGHT = 158, 60  # of a card
_GAP_X, _GAP_Y, _THIN = 40, 16, 10
MOST_LAYERS: Final = 8  # that are made to fit a wide screen; more are scrolled
_ROUNDS: Final = 8  # of ordering
_LINE: Final = 18  # of a card's text, in half-widths


@dataclass(frozen=True, slots=True)
class Card:
    """One run."""

    name: str
    about: str  # its command
    figure: str
    kind: str  # a class: of the stage, and of what is unfinished
    report: str | None  # path of its report from the page
    hint: str  # read aloud


@dataclass(slots=True)
class _Place:
    """A card, or the point where a curve passes a layer."""

    layer: int
    card: Card | None
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    y: float = 0.0

    @property
    def height(self) -> int:
        return HEIGHT if self.card is not None else _THIN


def flow(cards: Sequence[Card], arrows: Sequence[tuple[int, int]], label: str) -> Html:
    """The drawing; `arrows` are pairs of places in `cards`, which lie in an order in which they may be made."""
    places = _places(cards, arrows)
    layers: list[list[int]] = [[] for _ in range(1 + max((place.layer for place in places), default=0))]
    for number, place in enumerate(places):
        layers[place.layer].append(number)
    _order(places, layers)
    height = max((_set(places, layer) for layer in layers), default=0)
    for layer in layers:
        rest = (height - _set(places, layer)) / 2
        for number in layer:
            places[number].y += rest
    drawn = [_curve(places, start, end) for start, place in enumerate(places) for end in place.after]
    drawn += [_heads(places, number) for number, place in enumerate(places) if place.card is not None and place.before]
    drawn += [_card(place) for place in places if place.card is not None]
    width = len(layers) * (WIDTH + _GAP_X) - _GAP_X
    box = f"-2 -2 {width + 4} {height + 4}"
    kind = "flow" if len(layers) <= MOST_LAYERS else "flow long"
    drawing = element("svg", *drawn, viewBox=box, class_=kind, role="img", aria_label=label, width=width + 4)
    return element("div", drawing, class_="scroll")


def _places(cards: Sequence[Card], arrows: Sequence[tuple[int, int]]) -> list[_Place]:
    layer = [0] * len(cards)
    for start, end in sorted(arrows, key=lambda arrow: arrow[1]):
        layer[end] = max(layer[end], layer[start] + 1)
    places = [_Place(of, card) for of, card in zip(layer, cards, strict=True)]
    for start, end in arrows:
        before = start
        for between in range(layer[start] + 1, layer[end]):
            places.append(_Place(between, None))
            _join(places, before, len(places) - 1)
            before = len(places) - 1
        _join(places, before, end)
    return places


def _join(places: list[_Place], start: int, end: int) -> None:
    places[start].after.append(end)
    places[end].before.append(start)


def _order(places: Sequence[_Place], layers: list[list[int]]) -> None:
    """Bring each layer into the order of its neighbours' means, to and fro."""
    for turn in range(_ROUNDS):
        forward = turn % 2 == 0
        rank = {number: place for layer in layers for place, number in enumerate(layer)}
        for layer in layers if forward else reversed(layers):
            mean = {}
            for number in layer:
                near = places[number].before if forward else places[number].after
                mean[number] = sum(rank[one] for one in near) / len(near) if near else float(rank[number])
            layer.sort(key=lambda number: (mean[number], rank[number]))
            rank |= {number: place for place, number in enumerate(layer)}


def _set(places: Sequence[_Place], layer: Sequence[int]) -> float:
    """Put a layer's places below one another; its height."""
    y = 0.0
    for number in layer:
        places[number].y = y
        y += places[number].height + _GAP_Y
    return max(0.0, y - _GAP_Y)


def _x(layer: int) -> int:
    return layer * (WIDTH + _GAP_X)


def _middle(place: _Place) -> float:
    return place.y + place.height / 2


def _curve(places: Sequence[_Place], start: int, end: int) -> Html:
    one, other = places[start], places[end]
    x1, y1, x2, y2 = _x(one.layer) + WIDTH, _middle(one), _x(other.layer), _middle(other)
    bend = _GAP_X * 0.55
    path = f"M{x1} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2} {y2:.1f}"
    if other.card is None:  # straight on through the layer
        path += f"H{x2 + WIDTH}"
    return element("path", d=path, class_="wire")


def _heads(places: Sequence[_Place], number: int) -> Html:
    x, y = _x(places[number].layer), _middle(places[number])
    return element("path", d=f"M{x - 7} {y - 4:.1f}L{x} {y:.1f}L{x - 7} {y + 4:.1f}Z", class_="head-of-wire")


def _card(place: _Place) -> Html:
    card = place.card
    assert card is not None
    x, y = _x(place.layer), place.y
    drawn = join(
        element("rect", x=x, y=y, width=WIDTH, height=HEIGHT, class_="card"),
        element("rect", x=x, y=y, width=5, height=HEIGHT, class_="band"),
        element("text", short(card.name), x=x + 15, y=y + 20, class_="name"),
        element("text", short(card.about, _LINE + 6), x=x + 15, y=y + 35, class_="about"),
        element("text", short(card.figure, _LINE + 4), x=x + 15, y=y + 51, class_="figure"),
    )
    inner = file_link(card.report, drawn) if card.report is not None else drawn
    return element("g", inner, class_=f"run {card.kind}", aria_label=card.hint)


def short(text: str, most: int = _LINE) -> str:
    """The end of a name that is too long for its card matters most; wide characters count twice."""
    if wide(text) <= most:
        return text
    kept = ""
    for character in reversed(text):
        if wide(kept) + wide(character) >= most:
            break
        kept = character + kept
    return "…" + kept


def wide(text: str) -> int:
    """Width in half-widths."""
    return sum(2 if character >= "\u1100" else 1 for character in text)


def arrows_of(order: Mapping[str, int], made_from: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    """Pairs of names as pairs of places, each once and forward alone."""
    pairs = dict.fromkeys((order[start], order[end]) for start, end in made_from if start in order and end in order)
    return [pair for pair in pairs if pair[0] < pair[1]]
