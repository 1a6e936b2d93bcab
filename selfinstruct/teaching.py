"""A run of the template teacher: drafts by rules, offered like items of a model.

In: seeds and documents. Out: the same files as with a model, each item marked as made by a rule. Price: 1 ms a draft.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Protocol

from runkit.console import progress
from selfinstruct.balance import Balance
from selfinstruct.collect import Collector, Offered
from selfinstruct.config import GenerateConfig
from selfinstruct.kinds import BY_KEY
from selfinstruct.material import Material
from selfinstruct.seeds import Seed
from selfinstruct.template import NAME, Teacher, text_of

_MOST_BARREN: Final = 60  # drafts of a kind in a row that gave nothing new: its material is used up


class TeachingCall(Protocol):
    """The part of a `GenerateCall` that matters here."""

    @property
    def config(self) -> GenerateConfig: ...
    @property
    def quiet(self) -> bool: ...


def teach(
    call: TeachingCall,
    seeds: Sequence[Seed],
    materials: Sequence[Material],
    collector: Collector,
    balance: Balance,
) -> dict[str, Any]:
    """Offer drafts until the set is full or no kind has new ones; returns the counts of drafts."""
    texts = [text_of(one.id, one.title, one.text) for one in materials]
    named = [(one.id, one.instruction, BY_KEY[one.category].chinese) for one in seeds if one.category]
    teacher = Teacher(texts, named, call.config.seed)
    open_kinds = [kind for kind in teacher.kinds() if kind in balance.shares]
    drafts: Counter[str] = Counter()
    barren: Counter[str] = Counter()
    with progress("Generating", collector.wanted, "items", call.quiet) as advance:
        while open_kinds and not collector.full:
            kind = balance.next_kind(open_kinds)
            assert kind is not None
            draft = teacher.draft(kind, drafts[kind])
            drafts[kind] += 1
            kept = False
            if draft is not None:
                item = Offered(
                    id=f"{kind}-{drafts[kind]:05}",
                    instruction=draft.instruction,
                    input=draft.input,
                    output=draft.output,
                    category=kind,
                    model=NAME,
                    seed_ids=draft.seed_ids,
                    document_ids=draft.document_ids,
                    rule=draft.rule,
                )
                kept = collector.offer(item)
                advance(kept)
            balance.kept[kind] += kept
            barren[kind] = 0 if kept else barren[kind] + 1
            if barren[kind] >= _MOST_BARREN:
                open_kinds.remove(kind)
    return {"made": sum(drafts.values()), "failed": 0, "surplus": 0}
