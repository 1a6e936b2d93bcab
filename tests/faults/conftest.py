"""One dump and one uninterrupted run of it, for all tests that disturb a run and compare."""

from pathlib import Path

import pytest

from tests.faults.kill import tree
from tests.faults.launch import SHARDS, clean
from tests.faults.texts import Size, mixed_dump

SIZE = Size(warc=110, jsonl=160, files=10, sentences=12)  # 0.9 MB, 17 shards


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
