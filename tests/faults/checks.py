"""What the tests of both programs share: how they do harm to files, and what a proper refusal is."""

import re
from collections.abc import Callable
from pathlib import Path

from runkit.files import is_temp
from tests.faults.launch import Ended

Harm = Callable[[Path], object]
Resize = Callable[[str], Path]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
SENTENCE = re.compile(
    r"Error: Cannot write (\S+): (file too large|no space left on device) \((.*)\); free some space.*"
)


def flip(file: Path) -> None:
    """Another byte in the middle; the size stays."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def remove(file: Path) -> None:
    file.unlink()


def assert_full(ended: Ended, out: Path) -> None:
    """Exit 4 with one sentence that names a file of the run and bytes, and no half file left."""
    assert ended.code == 4, ended.err
    lines = ended.err.strip().splitlines()
    found = SENTENCE.fullmatch(lines[-1])
    assert found, ended.err
    assert len([line for line in lines if line.startswith("Error")]) == 1
    assert Path(found[1]).is_relative_to(out)
    assert "bytes" in found[3]
    assert "Traceback" not in ended.err
    assert not [file for file in out.rglob("*") if is_temp(file.name)]


def assert_one_sentence(code: int, wanted: int, out: str, err: str, words: str) -> None:
    assert (code, out) == (wanted, ""), err
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("Error: ")
    assert words in lines[0]
