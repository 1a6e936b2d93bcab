"""Row 11: the disk is full: exit 4 with path and bytes, what was finished stays, and the rest comes later."""

import shutil
from pathlib import Path

import pytest

from tests.faults.checks import Resize, assert_full
from tests.faults.kill import assert_same, look, tree
from tests.faults.launch import FAST, FULL, SHARDS, Ended, Setup, run

pytestmark = pytest.mark.timeout(600 if FULL else 120)


def go(dump: Path, out: Path, setup: Setup | None = None) -> Ended:
    return run(["clean", dump, "--out", out, *FAST, *SHARDS, "--workers", "2"], out.parent / "streams", setup)


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
    now, gone = tree(out), {lost, "marks/done-00002.json"}  # what a mark names is damaged, so it is taken back
    assert {name: digest for name, digest in now.items() if name in expected} == {
        name: digest for name, digest in expected.items() if name not in gone
    }
    assert go(dump, out).code == 0
    assert_same(out, expected)


@pytest.mark.parametrize("size", ["400k", "1200k"])
def test_a_small_disk(tmp_path: Path, dump: Path, expected: dict[str, str], small_disk: Resize, size: str) -> None:
    out = small_disk(size) / "run"
    words = ["clean", dump, "--out", out, *FAST, *SHARDS, "--workers", "2"]
    assert_full(run(words, tmp_path / "streams"), out)
    print(f"\ndisk of {size}: stopped while {look(out).phase}")
    small_disk("64m")
    assert run(words, tmp_path / "streams").code == 0
    assert_same(out, expected)
