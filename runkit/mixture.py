"""How much of each source is drawn when sources are mixed by weight under a budget.

In: the size of each source, its weight, a budget, all in one unit (tokens, or characters). Out: for each source its
share, what is drawn of it and how often that goes round it, and a sentence for whatever deserves a second look. The
arithmetic is that of GPT-3, which saw some sources three times and others not even once (arXiv:2005.14165, table 2.2).
Only arithmetic: nothing is read. Trade-off: what is drawn is not rounded to documents; whoever draws does that, and
is off by half a document for each source at most.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runkit.errors import UsageError

# Up to here repeated tokens are worth nearly as much as new ones (arXiv:2305.16264, figure 1).
MANY_EPOCHS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Part:
    """One source in a mixture."""

    source: str
    size: int
    weight: float  # of all that is drawn; all weights of a mixture add up to 1
    drawn: float  # in the unit of `size`
    epochs: float  # drawn / size; 0 for an empty source


@dataclass(frozen=True, slots=True)
class Mixture:
    """All sources in the order in which they were given."""

    parts: tuple[Part, ...]
    budget: float
    warnings: tuple[str, ...]  # sentences


def mix(sizes: Mapping[str, int], weights: Mapping[str, float], budget: float | None = None) -> Mixture:
    """Divide the budget by weight; weights need not add up to 1.

    Without weights the sources are taken as large as they are. Without a budget the mixture ends with one epoch of
    the source that would run out first, so nothing is repeated. UsageError: a weight for a source that does not
    exist or is empty, no weight above 0, nothing in any source.
    """
    _check(sizes, weights)
    chosen = dict(weights) if weights else {source: float(size) for source, size in sizes.items()}
    highest = max(chosen.values())
    # Divided by the highest first: the sum of very large weights would be infinite.
    total = sum(weight / highest for weight in chosen.values())
    shares = {source: chosen.get(source, 0.0) / highest / total for source in sizes}
    if budget is None:
        budget = min(sizes[source] / share for source, share in shares.items() if share > 0)
    parts = tuple(_part(source, size, shares[source], budget) for source, size in sizes.items())
    return Mixture(parts, budget, tuple(_warnings(parts, weights)))


def _part(source: str, size: int, share: float, budget: float) -> Part:
    drawn = share * budget
    return Part(source, size, share, drawn, drawn / size if size else 0.0)


def _check(sizes: Mapping[str, int], weights: Mapping[str, float]) -> None:
    for source, weight in weights.items():
        if source not in sizes:
            near = difflib.get_close_matches(source, list(sizes), 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sizes) or 'none'}."
            raise UsageError(f"There is no source {source}, yet it has a weight; {hint}")
        if weight > 0 and not sizes[source]:
            raise UsageError(f"The source {source} has weight {weight:g} but nothing to draw; take its weight away.")
    if weights and not any(weight > 0 for weight in weights.values()):
        raise UsageError("Every weight is 0; give at least one source a weight.")
    if not any(sizes.values()):
        raise UsageError("There is nothing to draw from: every source is empty.")


def _warnings(parts: tuple[Part, ...], weights: Mapping[str, float]) -> list[str]:
    found = []
    for part in parts:
        if weights and part.source not in weights:
            found.append(f"{part.source} has no weight, so nothing of it is drawn; give it 0 if that is meant.")
        elif weights and weights[part.source] == 0:
            found.append(f"{part.source} has weight 0, so nothing of it is drawn.")
        elif part.epochs > MANY_EPOCHS:
            found.append(
                f"{part.source} is drawn {part.epochs:,.1f} times; beyond {MANY_EPOCHS:g} times the same text "
                "teaches little that is new."
            )
    return found
