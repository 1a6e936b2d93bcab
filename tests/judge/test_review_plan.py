"""Who sees what, and on which side; what is kept, taken back and exchanged."""

import hashlib
import json
import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from judge.records import ANSWERS, VERDICTS
from judge.review import ReviewCall, review
from judge.review_exchange import export_verdicts, import_verdicts
from judge.review_items import Item, read_items
from judge.review_plan import BLOCK, GAP, plan, sample
from judge.review_session import NotAllowed, Session, Settings, named_in_texts, principles, seed_of
from judge.review_store import FILE, Event, ReviewStore, Taken, clean_name
from runkit.errors import InputError, UsageError
from tests.judge.review_runs import SYSTEMS, write_run

# Whoever changes the principles raises their version: verdicts by other rules are other verdicts.
PRINCIPLES = {
    ("en", 1): "40357f30ad23ddf74685d847ec67c55cb3eae56da5983850828f74fdfeec59b3",
    ("zh", 1): "4aabdb72e281a900b245e365ff8cf83325ca8b885fa75decef6f9375fce4e32b",
}


def items(questions: int, pairs: tuple[tuple[str, str], ...] = (("a", "b"),)) -> list[Item]:
    return [
        Item(
            question_id=f"q{number}",
            category="c",
            question=f"问题 {number}",
            reference=None,
            a=a,
            b=b,
            text_a=f"{a} {number}",
            text_b=f"{b} {number}",
        )
        for number in range(questions)
        for a, b in pairs
    ]


def event(uid: str, slot: int, choice: str | None = "left", **more: object) -> Event:
    kind = "verdict" if choice else "skip"
    return Event(uid=uid * 16, slot=slot, kind=kind, choice=choice, **more)  # type: ignore[arg-type]


def test_sides_are_balanced_in_blocks_for_each_pair_of_systems() -> None:
    pairs = (("a", "b"), ("a", "c"), ("b", "c"))
    for reviewer in ("甲", "乙", "丙"):
        slots = plan(items(41, pairs), reviewer, seed=5)
        for a, b in pairs:
            left = [slot.left == a for slot in slots if {slot.left, slot.right} == {a, b}]
            blocks = [left[at : at + BLOCK] for at in range(0, len(left), BLOCK)]
            assert all(sum(block) == BLOCK // 2 for block in blocks if len(block) == BLOCK)
            assert len({tuple(block) for block in blocks}) > 3, "an order that can be foreseen"


def test_order_and_sides_are_each_reviewers_own_and_always_the_same() -> None:
    first, again, other = (plan(items(60), name, seed=1, repeat=0.2) for name in ("甲", "甲", "乙"))
    assert first == again
    assert [slot.question_id for slot in first] != [slot.question_id for slot in other]
    assert plan(items(60), "甲", seed=2) != plan(items(60), "甲", seed=1)
    turned = list(reversed(items(60)))
    assert plan(turned, "甲", seed=1, repeat=0.2) == first, "the order of the file must not matter"
    digest = hashlib.sha256(repr([(slot.question_id, slot.left) for slot in first]).encode()).hexdigest()
    assert digest.startswith("f6d783b94b805df4"), "another plan for the same seed: reviews that run would change"


def test_repeats_come_later_with_sides_swapped() -> None:
    slots = plan(items(100), "甲", seed=1, repeat=0.1)
    assert len(slots) == 110 and [slot.number for slot in slots] == list(range(1, 111))
    by_number = {slot.number: slot for slot in slots}
    repeats = [slot for slot in slots if slot.repeat_of is not None]
    assert len({slot.repeat_of for slot in repeats}) == 10
    for slot in repeats:
        first = by_number[slot.repeat_of or 0]
        assert first.repeat_of is None and slot.number - first.number >= GAP
        assert (slot.question_id, slot.left, slot.right) == (first.question_id, first.right, first.left)
    assert max(slot.number for slot in repeats) > 60 > min(slot.number for slot in repeats)
    for few in range(1, 6):  # as far as there is room
        assert len(plan(items(few), "甲", seed=1, repeat=1.0)) == few + (few - few // 2 if few > 1 else 0)


def test_a_sample_is_the_beginning_of_a_larger_one_and_takes_pairs_in_turn() -> None:
    all_items = items(30, (("a", "b"), ("a", "c")))
    few, more = sample(all_items, 10, seed=3), sample(all_items, 20, seed=3)
    assert more[:10] == few and sample(all_items, None, seed=3)[:20] == more
    assert Counter(item.b for item in few) == {"b": 5, "c": 5}
    drawn = Counter(item.question_id for seed in range(400) for item in sample(items(10), 3, seed))
    assert all(70 < drawn[f"q{number}"] < 170 for number in range(10)), drawn  # 120 each are expected


def test_what_can_be_reviewed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 8, SYSTEMS).path
    found = read_items(run)
    assert len(found) == 24 and {(item.a, item.b) for item in found} == {
        tuple(sorted(pair)) for pair in ((SYSTEMS[0], SYSTEMS[1]), (SYSTEMS[0], SYSTEMS[2]), (SYSTEMS[1], SYSTEMS[2]))
    }
    assert named_in_texts(found) == 0
    lines = (run / ANSWERS).read_text("utf-8").splitlines()
    one, other = (json.loads(line) for line in lines[:2])
    empty = json.dumps(json.loads(lines[3]) | {"text": None, "state": "empty"})
    lines = [json.dumps(one), json.dumps(other | {"text": one["text"]}), lines[2], empty, *lines[4:]]
    (run / ANSWERS).write_text("\n".join(lines) + "\n", "utf-8")
    # q000: two answers alike; q001: one answer missing, so only the pair of the two others is left
    assert len(read_items(run)) == 24 - 1 - 2
    (run / VERDICTS).unlink()
    assert len(read_items(run)) == 21
    (run / ANSWERS).write_text("[1]\n", "utf-8")
    with pytest.raises(InputError, match="line 1: "):
        read_items(run)
    (run / ANSWERS).unlink()
    with pytest.raises(InputError, match="without the answers"):
        read_items(run)
    with pytest.raises(InputError, match="no run of"):
        read_items(tmp_path)


def test_a_session_goes_on_skips_and_undoes(tmp_path: Path) -> None:
    with ReviewStore.open(tmp_path / FILE) as store:
        session = Session(items(8), store, Settings(repeat=0.25, seed=1))
        state = session.join(" 林　小雨 ")
        assert state["reviewer"] == "林 小雨" and (state["done"], state["total"]) == (0, 10) and not state["undo"]
        numbers = []
        for at in range(10):
            numbers.append(state["item"]["slot"])
            state = session.verdict("林 小雨", event(f"{at:x}", numbers[-1]))
        assert numbers == list(range(1, 11)) and state["item"] is None and state["done"] == 10
        state = session.undo("林 小雨", "u" * 16)
        assert state["item"]["slot"] == 10 and state["item"]["before"]["choice"] == "left"
        assert session.undo("林 小雨", "u" * 16)["done"] == 9, "sent twice, undone once"
        assert session.undo("林 小雨", "v" * 16)["item"]["slot"] == 9
        assert session.verdict("林 小雨", event("s", 9, None))["item"]["slot"] == 10
        assert session.state("林 小雨", skipped=True)["item"]["slot"] == 9
        state = session.verdict("林 小雨", event("w", 10, "tie"))
        assert state["item"] is None and state["skipped"] == 1
        assert session.verdict("林 小雨", event("x", 9, "right"), skipped=True)["done"] == 10
        with pytest.raises(Taken):
            session.verdict("林 小雨", event("y", 9, "left"))
        assert session.verdict("林 小雨", event("x", 9, "right"))["done"] == 10, "the same once more is no fault"
        with pytest.raises(UsageError):
            session.verdict("林 小雨", event("z", 99))
        with pytest.raises(NotAllowed):
            session.state("nobody")
        rows = sqlite3.connect(tmp_path / FILE).execute("SELECT kind, count(*) FROM events GROUP BY kind").fetchall()
        assert dict(rows) == {"verdict": 12, "undo": 2, "skip": 1}, "history stays"


def test_a_repetition_of_what_was_skipped_is_not_shown(tmp_path: Path) -> None:
    with ReviewStore.open(tmp_path / FILE) as store:
        session = Session(items(20), store, Settings(repeat=0.5, seed=1))
        assert session.join("甲")["total"] == 30
        for at in range(20):
            state = session.state("甲")
            session.verdict("甲", event(f"skip{at}", state["item"]["slot"], None))
        state = session.state("甲")
        assert (state["total"], state["skipped"], state["item"]) == (20, 20, None)


def test_more_items_come_behind_and_changed_texts_are_shown_anew(tmp_path: Path) -> None:
    with ReviewStore.open(tmp_path / FILE) as store:
        first = Session(items(20), store, Settings(count=6, repeat=0, seed=1))
        first.join("甲")
        before = store.slots(store.reviewers()[0])
        first.verdict("甲", event("a", before[0].number))
        more = Session(items(20), store, Settings(count=12, repeat=0, seed=1))
        assert more.join("甲")["total"] == 12
        after = store.slots(store.reviewers()[0])
        assert after[:6] == before
        left = [slot.left == "a" for slot in after]
        assert [sum(left[at : at + BLOCK]) for at in (0, 4, 8)] == [2, 2, 2], "blocks go on where they stopped"
        changed = [
            replace(item, text_a="neu") if item.question_id == before[0].question_id else item for item in items(20)
        ]
        state = Session(changed, store, Settings(count=12, repeat=0, seed=1)).join("甲")
        assert (state["done"], state["total"]) == (0, 12)


def test_only_listed_reviewers(tmp_path: Path) -> None:
    with ReviewStore.open(tmp_path / FILE) as store:
        Session(items(3), store, Settings()).join("乙")
        session = Session(items(3), store, Settings(reviewers=("Ann", "甲")))
        assert session.join("ANN")["total"] and session.join("甲")["total"]
        for refused in (session.join, session.state):
            with pytest.raises(NotAllowed):
                refused("乙")
        assert seed_of(store, 4) == 4 and seed_of(store, None) == 4
        with pytest.raises(UsageError, match="--seed 4"):
            seed_of(store, 5)
    for bad in ("", "  ", "x" * 61, "a\x00b", "\u202eabc"):
        with pytest.raises(UsageError):
            clean_name(bad)


def test_verdicts_of_two_machines_come_together(tmp_path: Path) -> None:
    files = []
    for machine, reviewer in enumerate(("甲", "乙", "甲")):
        with ReviewStore.open(tmp_path / f"{machine}.sqlite") as store:
            session = Session(items(12), store, Settings(repeat=0.25, seed=1))
            session.join(reviewer)
            for at in range(6):
                slot = session.state(reviewer)["item"]["slot"]
                said = event(
                    f"{machine}-{at}-", slot, "right" if machine == 2 else "left", note="因为", at=100.0 + machine
                )
                session.verdict(reviewer, said)
            files.append(tmp_path / f"{machine}.jsonl")
            assert export_verdicts(store, files[-1]) == 6
    with ReviewStore.open(tmp_path / "all.sqlite") as store:
        for file in files[:2]:
            found = import_verdicts(store, file, items(12))
            assert (found.taken, found.known, dict(found.refused)) == (6, 0, {})
        assert import_verdicts(store, files[0], items(12)).known == 6, "twice is once"
        assert len(store.verdicts()) == 12
        assert import_verdicts(store, files[2], items(12)).taken == 6, "the newer verdict holds"
        assert import_verdicts(store, files[0], items(12)).known == 6, "and an older one changes nothing"
        said = {(one.reviewer, one.event.choice): one for one in store.verdicts()}
        assert set(said) == {("甲", "right"), ("乙", "left")} and said["甲", "right"].event.note == "因为"
        export_verdicts(store, tmp_path / "once.jsonl")
        # Who goes on at this machine sees what is left, not what was judged elsewhere.
        assert Session(items(12), store, Settings(repeat=0, seed=1)).join("乙")["done"] == 6
    with ReviewStore.open(tmp_path / "twice.sqlite") as store:
        import_verdicts(store, tmp_path / "once.jsonl", items(12))
        export_verdicts(store, tmp_path / "twice.jsonl")
    once, twice = ((tmp_path / name).read_bytes() for name in ("once.jsonl", "twice.jsonl"))
    assert once == twice


def test_lines_that_are_no_verdicts_are_counted(tmp_path: Path) -> None:
    odd = {"note": None, "lang": [], "principles_version": {}, "seconds": "x", "at": None, "uid": 5, "repeat": 1}
    good = {"reviewer": "甲", "question_id": "q1", "left": "b", "right": "a", "choice": "tie"} | odd
    lines = [
        good,
        good | {"choice": "maybe"},
        good | {"reviewer": ""},
        good | {"reviewer": "x" * 99},
        good | {"question_id": "q99"},
        good | {"left": "a"},
        good | {"score_left": 11},
        good | {"question_id": "q2", "fingerprint": "0" * 64},
        {},
    ]
    file = tmp_path / "people.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + "{\n[]\n", "utf-8")
    with ReviewStore.open(tmp_path / FILE) as store:
        found = import_verdicts(store, file, items(5))
        assert found.taken == 1 and found.refused.total() == 10
        assert found.refused["given about other texts"] == 1 and found.refused["no choice"] == 1
        one = store.verdicts()[0]
        assert (one.slot.left, one.event.choice, one.slot.fingerprint) == ("b", "tie", items(5)[1].fingerprint)


def test_files_that_are_no_reviews(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, but long enough to be read as one " * 30)
    sqlite3.connect(tmp_path / "other").execute("CREATE TABLE t (x)")
    for name, words in (("text", "damaged"), ("other", "no file of verdicts")):
        with pytest.raises(InputError, match=words), ReviewStore.open(tmp_path / name):
            pass
    with pytest.raises(InputError, match="judge review"), ReviewStore.open(tmp_path / FILE, create=False):
        pass
    assert not (tmp_path / FILE).exists()
    with pytest.raises(UsageError, match="does not exist"):
        review(ReviewCall(run=tmp_path / "none"))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_principles_have_a_version(lang: str) -> None:
    found = principles(lang)
    assert PRINCIPLES.get((lang, found.version)) == found.sha256, "raise `version:` and note its sum here"
    assert found.text.startswith("# ") and "version:" not in found.text[:40]
