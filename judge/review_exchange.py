"""People's verdicts as JSON lines, so that reviewers at different machines come together.

In: the file of verdicts of a run, or such lines. Out: such lines, or verdicts in the file. A line names both systems,
so it is for whoever reads the figures, not for reviewers. Taking the same lines twice changes nothing; where two
machines have a verdict of one person about one item, the newer one holds. A line about other texts than this run's is
left out. Price: one transaction for a whole file.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

from judge.review_items import Item, Key
from judge.review_plan import Slot
from judge.review_store import CHOICES, Event, Reviewer, ReviewStore, Standing, clean_name
from runkit.errors import UsageError
from runkit.files import write_bytes
from runkit.jsonl import JsonLineError, iter_lines, parse_object


@dataclass(slots=True)
class Taken:
    """What came of an import."""

    taken: int = 0
    known: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def record(self) -> dict[str, Any]:
        return {"taken": self.taken, "known": self.known, "left_out": dict(sorted(self.refused.items()))}


def export_verdicts(store: ReviewStore, path: Path) -> int:
    """Write all verdicts that hold; returns how many."""
    found = store.verdicts()
    write_bytes(path, b"".join(orjson.dumps(_line(one), option=orjson.OPT_APPEND_NEWLINE) for one in found))
    return len(found)


def import_verdicts(store: ReviewStore, path: Path, items: Sequence[Item]) -> Taken:
    """Take the verdicts of a file, and count the lines that are none. `items` empty: whatever is named is taken."""
    result, known = Taken(), {item.key: item for item in items}
    places: dict[str, tuple[Reviewer, list[Slot]]] = {}
    with store.together():
        for row, broken in _lines(path):
            fault = broken or _fault(row, known)
            if fault is not None:
                result.refused[fault] += 1
                continue
            name = str(row["reviewer"])
            if name not in places:
                reviewer = store.join(name)
                places[name] = reviewer, store.slots(reviewer)
            reviewer, slots = places[name]
            slot = next((slot for slot in slots if _same(slot, row)), None)
            if slot is None:
                slot = _new_slot(row, slots, known)
                store.add_slots(reviewer, [slot])
                slots.append(slot)
            if store.supersede(reviewer, _event(row, slot.number)):
                result.taken += 1
            else:
                result.known += 1
    return result


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Objects; for a line that is none, why."""
    try:
        with path.open("rb") as file:
            for line in iter_lines(file):
                try:
                    yield ({}, line.reason) if line.data is None else (parse_object(line.data), "")
                except JsonLineError as error:
                    yield {}, error.reason
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}; name a file of `judge review --export`.") from error


_TEXTS: Final = ("choice", "note", "principles_sha256", "lang")
_KEPT: Final = ("choice", "score_left", "score_right", "note", "principles_version", "principles_sha256", "lang")


def _line(one: Standing) -> dict[str, Any]:
    slot, event = one.slot, one.event
    return {
        "reviewer": one.reviewer,
        "question_id": slot.question_id,
        "left": slot.left,
        "right": slot.right,
        "repeat": slot.repeat_of is not None,
        **{name: getattr(event, name) for name in _KEPT},
        "seconds": event.seconds,
        "at": event.at,
        "uid": event.uid,
        "fingerprint": slot.fingerprint,
    }


def _key(row: Mapping[str, Any]) -> Key:
    a, b = sorted((str(row["left"]), str(row["right"])))
    return str(row["question_id"]), a, b


def _fault(row: Mapping[str, Any], known: Mapping[Key, Item]) -> str | None:
    """Why the line is not taken."""
    for name in ("reviewer", "question_id", "left", "right"):
        if not isinstance(row.get(name), str | int) or not str(row[name]):
            return f"no {name}"
    try:
        clean_name(str(row["reviewer"]))
    except UsageError:
        return "no name of a reviewer"
    if str(row["left"]) == str(row["right"]):
        return "left and right are the same system"
    if row.get("choice") not in CHOICES:
        return "no choice"
    for name in ("score_left", "score_right"):
        value = row.get(name)
        if value is not None and (type(value) not in (int, float) or not 1 <= value <= 10):
            return f"{name} is no score"
    if known:
        item = known.get(_key(row))
        if item is None:
            return "no such question and systems in this run"
        if row.get("fingerprint") not in (None, "", item.fingerprint):
            return "given about other texts"
    return None


def _same(slot: Slot, row: Mapping[str, Any]) -> bool:
    """A repetition has its sides swapped, so these three tell it from the first showing."""
    shown = slot.question_id, slot.left, slot.right
    return shown == (str(row["question_id"]), str(row["left"]), str(row["right"]))


def _new_slot(row: Mapping[str, Any], slots: Sequence[Slot], known: Mapping[Key, Item]) -> Slot:
    left, right = str(row["left"]), str(row["right"])
    first = None
    if row.get("repeat") is True:
        firsts = (slot for slot in slots if slot.question_id == str(row["question_id"]) and slot.left == right)
        first = next((slot.number for slot in firsts if slot.right == left), None)
    item = known.get(_key(row))
    return Slot(
        number=max((slot.number for slot in slots), default=0) + 1,
        question_id=str(row["question_id"]),
        left=left,
        right=right,
        fingerprint=item.fingerprint if item else str(row.get("fingerprint") or ""),
        repeat_of=first,
    )


def _event(row: Mapping[str, Any], slot: int) -> Event:
    """Fields that are not there are unknown; an event without a name of its own gets one from what it says."""
    uid, at, seconds = row.get("uid"), row.get("at"), row.get("seconds")
    if not isinstance(uid, str) or not uid:
        uid = "line-" + sha256(orjson.dumps(dict(row), option=orjson.OPT_SORT_KEYS)).hexdigest()[:40]
    # What is of another kind than it should be is unknown as well.
    kinds = {name: str if name in _TEXTS else int for name in _KEPT}
    numbers = {"score_left": (int, float), "score_right": (int, float)}
    kept: dict[str, Any] = {
        name: row[name] for name, kind in kinds.items() if isinstance(row.get(name), numbers.get(name, kind))
    }
    return Event(
        uid=uid,
        slot=slot,
        kind="verdict",
        at=float(at) if isinstance(at, int | float) else 0.0,
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        **kept,
    )
