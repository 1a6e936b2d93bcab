"""Sets of instructions as they lie about: which files are read, in which order, and what of them is an item."""

from pathlib import Path

import orjson
import pytest

from runkit.errors import InputError, UsageError
from runkit.fields import Fault
from runkit.instructions import Item, Items, find_items
from tests.selfinstruct.calling import PACK, item, lines, write, write_parquet


def told(items: Items) -> list[str]:
    return [
        one.instruction if isinstance(one, Item) else f"{one.line or one.offset}:{one.reason}" for one in items.read()
    ]


def names(items: Items) -> list[str]:
    return [str(entry["name"]) for entry in items.inputs()]


def test_files_come_in_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    b = write(tmp_path / "b.jsonl", [item("1")])
    a = write(tmp_path / "a.json", [item("2")], "", True)
    c = write_parquet(tmp_path / "c.parquet", [item("3"), item("4")])
    assert told(find_items([str(b), str(a), str(c)])) == ["1", "2", "3", "4"]
    assert told(find_items([str(c), str(b)])) == ["3", "4", "1"]
    assert len(set(names(find_items([str(b), str(a), str(c)])))) == 3


def test_of_a_folder_what_was_kept_or_all(tmp_path: Path) -> None:
    write(tmp_path / "run" / "instructions.jsonl", [item("kept")])
    write(tmp_path / "run" / "rejected.jsonl", [item("rejected")])
    write(tmp_path / "set" / "b.jsonl", [item("b")])
    write(tmp_path / "set" / "sub" / "a.jsonl", [item("a")])
    assert told(find_items([str(tmp_path / "run")])) == ["kept"]
    assert told(find_items([str(tmp_path / "run" / "rejected.jsonl")])) == ["rejected"]
    assert told(find_items([str(tmp_path / "set")])) == ["b", "a"]


@pytest.mark.parametrize("pack", ["", ".gz", ".bz2", ".zst"])
@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf", b" \r\n\t"])
def test_arrays(tmp_path: Path, pack: str, head: bytes) -> None:
    file = tmp_path / f"x.json{pack}"
    file.write_bytes(PACK[pack](head + orjson.dumps([item("甲"), item("乙")], option=orjson.OPT_INDENT_2)))
    assert told(find_items([str(file)])) == ["甲", "乙"]


def test_lines_that_are_arrays_are_bad_lines(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b'[{"instruction": "x"}]\n' + lines([item("甲")]))
    assert told(find_items([str(file)])) == ["1:json.not_an_object", "甲"]


def test_ids(tmp_path: Path) -> None:
    records = [item("a", id="x"), item("a", id=7), item("a"), item("a", id=""), item("a", id=True), item("b")]
    found = [one.id for one in find_items([str(write(tmp_path / "x.jsonl", records))]).read() if isinstance(one, Item)]
    assert found[:2] == ["x", "7"] and found[2] == found[3] == found[4] != found[5]


def test_a_field_of_its_own_named_like_a_column_of_ours_stays(tmp_path: Path) -> None:
    """`more` is unpacked only in the table that `export` writes."""
    records = [item("a", more="{}"), item("b", more='{"x":1}', nearest_rouge_l=0.1), item("c", more=5)]
    found = find_items([str(write(tmp_path / "x.jsonl", records))]).read()
    assert [one.record for one in found if isinstance(one, Item)] == records


def test_a_changed_file_has_another_fingerprint(tmp_path: Path) -> None:
    for file in (tmp_path / "x.jsonl", tmp_path / "x.json"):
        write(file, [item("a")], "", file.suffix == ".json")
        before = find_items([str(file)]).inputs()
        write(file, [item("b")], "", file.suffix == ".json")
        after = find_items([str(file)]).inputs()
        assert before != after and before[0]["size"] == after[0]["size"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        find_items([str(tmp_path / "missing.json")])
    broken = tmp_path / "x.json"
    broken.write_bytes(b'[{"instruction": "a"}, {]')
    with pytest.raises(InputError, match="is no JSON"):
        list(find_items([str(broken)]).read())
    gone = find_items([str(write(tmp_path / "y.json", [item("a")], "", True))])
    (tmp_path / "y.json").unlink()
    with pytest.raises(InputError, match=r"y\.json"):
        list(gone.read())
    damaged = write(tmp_path / "z.jsonl", [item(f"{n}") for n in range(2000)], ".gz")
    damaged.write_bytes(damaged.read_bytes()[:-200])
    found = list(find_items([str(damaged)]).read())
    assert isinstance(found[-1], Fault) and sum(isinstance(one, Item) for one in found) > 100
