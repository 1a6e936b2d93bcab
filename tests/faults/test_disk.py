"""Row 11: the disk is full: exit 4 with path and bytes, what was finished stays, and the rest comes later."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runkit.files import is_temp
from tests.faults.kill import assert_same, look, tree
from tests.faults.launch import FAST, FULL, SHARDS, Ended, Setup, run

pytestmark = pytest.mark.timeout(600 if FULL else 120)
SENTENCE = re.compile(
    r"Error: Cannot write (\S+): (file too large|no space left on device) \((.*)\); free some space.*"
)


def go(dump: Path, out: Path, setup: Setup | None = None) -> Ended:
    return run(["clean", dump, "--out", out, *FAST, *SHARDS, "--workers", "2"], out.parent / "streams", setup)


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


@pytest.mark.parametrize("file_bytes", [8_000, 45_000])
def test_files_that_may_not_grow(tmp_path: Path, dump: Path, expected: dict[str, str], file_bytes: int) -> None:
    """Whatever the first file above the limit is: a part, an index, a document file or a mark."""
    out = tmp_path / "run"
    assert_full(go(dump, out, Setup(file_bytes=file_bytes)), out)
    print(f"\nfile size limit {file_bytes}: stopped while {look(out).phase}")
    assert go(dump, out).code == 0
    assert_same(out, expected)


def test_old_outputs_stay(tmp_path: Path, dump: Path, whole: Path, expected: dict[str, str]) -> None:
    """A finished run that is being mended when the disk fills up."""
    out = Path(shutil.copytree(whole, tmp_path / "run"))
    lost = "documents/00002-000.parquet"
    (out / lost).unlink()
    assert_full(go(dump, out, Setup(file_bytes=8_000)), out)
    now = tree(out)
    assert {name: now.get(name) for name in expected if name != lost} == {
        name: digest for name, digest in expected.items() if name != lost
    }
    assert go(dump, out).code == 0
    assert_same(out, expected)


Resize = Callable[[str], Path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Resize]:
    """A file system in memory whose size can be set."""
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root and mount")
    place = tmp_path / "disk"
    place.mkdir()

    def resize(size: str) -> Path:
        options = f"size={size}" + (",remount" if os.path.ismount(place) else "")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip(f"this system mounts no tmpfs: {done.stderr.strip()}")
        return place

    yield resize
    if os.path.ismount(place):
        subprocess.run(["umount", place], check=False)


@pytest.mark.parametrize("size", ["400k", "1200k"])
def test_a_small_disk(tmp_path: Path, dump: Path, expected: dict[str, str], small_disk: Resize, size: str) -> None:
    out = small_disk(size) / "run"
    words = ["clean", dump, "--out", out, *FAST, *SHARDS, "--workers", "2"]
    assert_full(run(words, tmp_path / "streams"), out)
    print(f"\ndisk of {size}: stopped while {look(out).phase}")
    small_disk("64m")
    assert run(words, tmp_path / "streams").code == 0
    assert_same(out, expected)
