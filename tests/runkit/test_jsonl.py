"""Bad lines are quarantined exactly, good ones are kept, and no line costs more memory than the cap."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runkit.jsonl import JsonLineError, iter_lines, parse_object

FULL = os.environ.get("WENHAI_FULL") == "1"

BAD = {
    "json.invalid_utf8": b'{"text": "caf\xe9"}',
    "json.not_an_object": b'["a list"]',
    "json.nul": b'{"text": "a\x00b"}',
    "json.bom": b'\xef\xbb\xbf{"text": "late"}',
    "json.lone_surrogate": b'{"text": "\\ud83d alone"}',
    "json.number_too_large": b'{"n": ' + b"7" * 5_000 + b"}",
    "json.too_deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "json.syntax": b'{"text": "cut off',
}


@pytest.mark.parametrize(("reason", "line"), BAD.items())
def test_every_kind_of_bad_line_is_named(reason: str, line: bytes) -> None:
    with pytest.raises(JsonLineError) as caught:
        parse_object(line)
    assert caught.value.reason == reason


@pytest.mark.parametrize("line", [b"null", b"1", b'"text"', b"true", b"[" * 100_000])
def test_whatever_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(JsonLineError):
        parse_object(line)


def test_a_bom_at_the_start_is_no_fault_and_offsets_count_it() -> None:
    lines = list(iter_lines(io.BytesIO(b'\xef\xbb\xbf{"a":1}\r\n\n  \n{"b":2}')))
    assert [(line.number, line.offset) for line in lines] == [(1, 0), (4, 16)]
    assert [parse_object(line.data or b"") for line in lines] == [{"a": 1}, {"b": 2}]


def test_10000_lines_lose_exactly_the_bad_ones() -> None:
    """Row 12: the truth is which lines were written bad, and the standard library on the good ones."""
    bad = [*BAD.values(), b"null"]
    bad = [line for line in bad if len(line) < 10_000] + [b"[" * 2_000]
    written: list[bytes] = []
    broken: dict[int, int] = {}
    offset = 0
    for number in range(1, 10_001):
        if number % 37 == 5:
            line = bad[number // 37 % len(bad)]
            broken[number] = offset
        else:
            line = json.dumps({"text": f"第{number}行\n好的", "n": number}, ensure_ascii=number % 2 == 0).encode()
        written.append(line)
        offset += len(line) + 1
    met: dict[int, int] = {}
    kept = []
    for item in iter_lines(io.BytesIO(b"\n".join(written))):
        try:
            kept.append(parse_object(item.data or b""))
        except JsonLineError:
            met[item.number] = item.offset
    assert met == broken
    assert kept == [json.loads(line) for number, line in enumerate(written, 1) if number not in broken]


class Dribble:
    """A stream that hands out pieces of given lengths."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes, self._at = data, sizes, 0

    def read(self, size: int = -1, /) -> bytes:
        step = self._sizes[self._at % len(self._sizes)]
        self._at += 1
        piece, self._data = self._data[:step], self._data[step:]
        return piece


@given(
    st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=12),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.integers(1, 25),
)
@settings(max_examples=2_000 if FULL else 150, deadline=None)
def test_lines_do_not_depend_on_how_the_pieces_fall(lines: list[bytes], sizes: list[int], cap: int) -> None:
    data = b"\n".join(lines)
    expected = []
    offset = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        body = line.removeprefix(b"\xef\xbb\xbf") if offset == 0 else line
        if len(line) > cap:
            expected.append((number, offset, None))
        elif body and not body.isspace():
            expected.append((number, offset, body))
        offset += len(line) + 1
    met = [(line.number, line.offset, line.data) for line in iter_lines(Dribble(data, sizes), cap)]
    assert met == expected


MEMORY_PROBE = """
import resource, sys
from runkit.jsonl import iter_lines, parse_object
from runkit.source import Source
from runkit.streams import Stream
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with Source(sys.argv[1]) as source:
    lines = list(iter_lines(Stream(source, ""), 64_000_000))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle
print(len(lines), lines[0].reason, parse_object(lines[1].data)["text"], grown // 1024)
"""


def test_a_500_mb_line_is_skipped_in_little_memory(tmp_path: Path) -> None:
    """Row 13: a sparse file, so the disk holds next to nothing of it."""
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.seek(500_000_000)
        file.write(b'\n{"text": "next"}\n')
    result = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    count, reason, text, grown_mb = result.stdout.split()
    assert (count, reason, text) == ("2", "line.too_long", "next")
    assert int(grown_mb) < 100
