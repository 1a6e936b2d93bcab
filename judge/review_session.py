"""What a reviewer may do, without a server: join, see the next item, judge, skip, undo.

In: items and the file of verdicts. Out: plain objects for the page, in which no system, no question's id and no sign of
a repetition stands. Each reviewer's slots are laid down when they join; items that are added later come behind. Price:
all calls are for one thread, some milliseconds each.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from judge.review_items import Item
from judge.review_plan import Slot, plan, sample
from judge.review_store import Event, Reviewer, ReviewStore, clean_name
from runkit.errors import UsageError

_FOLDER: Final = Path(__file__).parent
_VERSION: Final = re.compile(r"version: (\d+)\n\s*")


class NotAllowed(Exception):
    """The reviewer is not on the list of those who may judge, or did not join."""


@dataclass(frozen=True, slots=True)
class Principles:
    """The rules people judge by, in one language; the version and the sum are kept with each verdict."""

    version: int
    sha256: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What shapes a reviewer's slots."""

    count: int | None = None
    repeat: float = 0.1
    seed: int = 0
    reviewers: tuple[str, ...] = ()
    """Who may judge; empty: whoever opens the page."""


def principles(lang: str) -> Principles:
    """Of the package, in English or Chinese."""
    data = (_FOLDER / f"principles_{lang}.md").read_bytes()
    text = data.decode()
    found = _VERSION.match(text)
    assert found is not None, lang
    return Principles(int(found[1]), hashlib.sha256(data).hexdigest(), text[found.end() :])


class Session:
    """One run under review."""

    def __init__(self, items: Sequence[Item], store: ReviewStore, settings: Settings) -> None:
        self.store, self.settings = store, settings
        self.principles = {lang: principles(lang) for lang in ("en", "zh")}
        self._items = {item.key: item for item in items}
        self._chosen = sample(items, settings.count, settings.seed)
        self._allowed = {clean_name(name).casefold() for name in settings.reviewers}

    @property
    def chosen(self) -> int:
        """Items that each reviewer sees, without repetitions."""
        return len(self._chosen)

    def join(self, name: str) -> dict[str, Any]:
        """The state of this reviewer, who is new or comes back. NotAllowed, UsageError: nobody of this name."""
        name = clean_name(name)
        if self._allowed and name.casefold() not in self._allowed:
            raise NotAllowed
        reviewer = self.store.join(name)
        known = self.store.slots(reviewer)
        have = {(slot.question_id, *sorted((slot.left, slot.right))) for slot in known if self._item(slot)}
        new = [item for item in self._chosen if item.key not in have]
        seen: dict[tuple[str, str], int] = {}
        for slot in known:
            if slot.repeat_of is None:
                a, b = sorted((slot.left, slot.right))
                seen[a, b] = seen.get((a, b), 0) + 1
        number = max((slot.number for slot in known), default=0) + 1
        settings = self.settings
        self.store.add_slots(
            reviewer, plan(new, reviewer.name.casefold(), settings.seed, settings.repeat, number, seen)
        )
        return self.state(name)

    def state(self, name: str, skipped: bool = False) -> dict[str, Any]:
        """The next item; with `skipped`, of those that were skipped. NotAllowed: join first."""
        reviewer = self._reviewer(name)
        slots, standing = self._slots(reviewer), self.store.standing(reviewer)
        done = {number for number, event in standing.items() if event.kind == "verdict"}
        passed = {number for number, event in standing.items() if event.kind == "skip"}
        # A repetition of what was skipped measures nothing.
        wanted = [slot for slot in slots if slot.repeat_of not in passed or slot.number in standing]
        waiting = [slot for slot in wanted if slot.number not in done and (slot.number in passed) == skipped]
        return {
            "reviewer": reviewer.name,
            "done": sum(slot.number in done for slot in wanted),
            "skipped": sum(slot.number in passed for slot in wanted),
            "total": len(wanted),
            "undo": bool(standing),
            "item": self._shown(waiting[0]) if waiting else None,
        }

    def verdict(self, name: str, event: Event, skipped: bool = False) -> dict[str, Any]:
        """Keep a verdict or a skip, and give the next item. Taken: the slot has one. UsageError: it fits no slot."""
        reviewer = self._reviewer(name)
        if event.slot not in {slot.number for slot in self._slots(reviewer)}:
            raise UsageError("There is no such item; load the page again.")
        self.store.add(reviewer, event)
        return self.state(name, skipped)

    def undo(self, name: str, uid: str) -> dict[str, Any]:
        """Take the latest back: its item, with what was said of it in `before`."""
        reviewer = self._reviewer(name)
        taken = self.store.undo(reviewer, uid)
        state = self.state(name)
        slots = {slot.number: slot for slot in self._slots(reviewer)}
        if taken is not None and taken.slot in slots:
            state["item"] = self._shown(slots[taken.slot]) | {"before": _before(taken)}
        return state

    def _reviewer(self, name: str) -> Reviewer:
        reviewer = self.store.reviewer(name)
        if reviewer is None or (self._allowed and reviewer.name.casefold() not in self._allowed):
            raise NotAllowed
        return reviewer

    def _slots(self, reviewer: Reviewer) -> list[Slot]:
        """Those whose texts are still what they were."""
        return [slot for slot in self.store.slots(reviewer) if self._item(slot) is not None]

    def _item(self, slot: Slot) -> Item | None:
        a, b = sorted((slot.left, slot.right))
        item = self._items.get((slot.question_id, a, b))
        return item if item is not None and item.fingerprint == slot.fingerprint else None

    def _shown(self, slot: Slot) -> dict[str, Any]:
        item = self._item(slot)
        assert item is not None
        texts = {item.a: item.text_a, item.b: item.text_b}
        return {
            "slot": slot.number,
            "category": item.category,
            "question": item.question,
            "reference": item.reference,
            "left": texts[slot.left],
            "right": texts[slot.right],
            "before": None,
        }


def seed_of(store: ReviewStore, given: int | None) -> int:
    """The seed of this review: the first one given stays. UsageError: another one is asked for."""
    seed = int(store.setting("seed", str(given or 0)))
    if given is not None and given != seed:
        raise UsageError(f"This review began with --seed {seed}; leave --seed out, or review another run.")
    return seed


def named_in_texts(items: Sequence[Item]) -> int:
    """Answers that say the name of a system of the run, which a reviewer can read."""
    names = {name.casefold() for item in items for name in (item.a, item.b)}
    texts = {text for item in items for text in (item.text_a, item.text_b)}
    return sum(any(name in text.casefold() for name in names) for text in texts)


def _before(event: Event) -> Mapping[str, Any]:
    return {
        "choice": event.choice,
        "score_left": event.score_left,
        "score_right": event.score_right,
        "note": event.note,
    }


def checked_event(event: Event) -> Event:
    """UsageError: scores and verdict contradict each other."""
    left, right = event.score_left, event.score_right
    if left is not None and right is not None:
        contrary = {"left": left < right, "right": right < left}.get(event.choice or "", False)
        if contrary:
            raise UsageError("The scores say the opposite of the verdict; change one of them.")
    return event
