"""A file that is written again changes only where it differs, and never loses what an earlier start had."""

from pathlib import Path

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct.output import Lines

Records = st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(0, 2), max_size=2), max_size=6)


@given(before=Records, after=Records, cut=st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_the_file_is_what_was_written_last(tmp_path_factory, before, after, cut) -> None:  # type: ignore[no-untyped-def]
    path: Path = tmp_path_factory.mktemp("lines") / "x.jsonl"
    for records in (before, after):
        lines = Lines(path)
        for record in records:
            lines.write(record)
        lines.close()
        assert path.read_bytes() == b"".join(orjson.dumps(record) + b"\n" for record in records)
        assert lines.count == len(records)
        path.write_bytes(path.read_bytes()[: len(path.read_bytes()) - cut])  # the end that a power cut took


def test_what_an_earlier_start_had_stays_until_it_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":2}\n{"a":3}\n')
    lines = Lines(path)
    lines.write({"a": 1})
    assert path.read_bytes() == b'{"a":1}\n{"a":2}\n{"a":3}\n'
    lines.write({"a": 9})
    assert path.read_bytes() == b'{"a":1}\n{"a":9}\n'
