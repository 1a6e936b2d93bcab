"""Inputs and one uninterrupted run of each command, for all tests that disturb a run and compare."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.checks import Resize
from tests.faults.kill import tree
from tests.faults.launch import FULL, SHARDS, clean
from tests.faults.pretrain_runs import pretrain
from tests.faults.texts import Size, mixed_dump
from tests.faults.train_runs import begin_extend, fit, tokens, write_documents
from train.convert import ConvertCall, export_model

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


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_documents(tmp_path_factory.mktemp("documents") / "set", 60)


@pytest.fixture(scope="session")
def tokenizer(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of `fit` that nothing disturbed; copy it before changing anything."""
    out = tmp_path_factory.mktemp("fitted") / "run"
    assert fit(documents, out).code == 0
    return out


@pytest.fixture(scope="session")
def extended(documents: Path, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of `extend` that nothing disturbed."""
    out = tmp_path_factory.mktemp("extended") / "run"
    assert begin_extend(tokenizer, documents, out).result().code == 0
    return out


@pytest.fixture(scope="session")
def shards(documents: Path, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Token shards that nothing disturbed; copy them before changing anything."""
    out = tmp_path_factory.mktemp("shards") / "run"
    assert tokens(documents, tokenizer, out).code == 0
    return out


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


@pytest.fixture(scope="session")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that nothing disturbed while it was trained; copy it before changing anything."""
    out = tmp_path_factory.mktemp("trained") / "run"
    ended = pretrain(shards, out)
    assert ended.code == 0, ended.err
    return out


@pytest.fixture(scope="session")
def model(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `train export` makes of it."""
    out = tmp_path_factory.mktemp("model") / "exported"
    export_model(ConvertCall(source=trained, out=out))
    return out
