"""One dump and one uninterrupted run of it, for all tests that disturb a run and compare."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kill import tree
from tests.faults.launch import FULL, SHARDS, clean
from tests.faults.texts import Size, mixed_dump

SIZE = Size(warc=70, jsonl=90, files=6, sentences=12)  # 0.5 MB, 12 shards

MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In the small counts a folder in memory: a kill leaves the same there, and a run spares 2 s of fsync."""
    if FULL or not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < 2**28:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="wenhai-", dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mixed_dump(tmp_path_factory.mktemp("dump") / "mixed", 7, SIZE)


@pytest.fixture(scope="session")
def whole(dump: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of `dump` that nothing disturbed; copy it before changing anything."""
    out = tmp_path_factory.mktemp("whole") / "run"
    clean([dump], out, *SHARDS, "--workers", "2")
    return out


@pytest.fixture(scope="session")
def expected(whole: Path) -> dict[str, str]:
    return tree(whole)
