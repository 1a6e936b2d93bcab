"""Row 11 for `train`: the disk is full: exit 4 with path and bytes, what was finished stays, the rest comes later."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.checks import Resize, assert_full
from tests.faults.kill import assert_same, look, tree
from tests.faults.launch import FULL, TRAIN, run
from tests.faults.train_runs import begin_extend, fit, tokens

pytestmark = pytest.mark.timeout(600 if FULL else 120)


@pytest.mark.parametrize("file_bytes", [1_000, 13_000, 30_000])
def test_shards_that_may_not_grow(
    tmp_path: Path, documents: Path, tokenizer: Path, shards: Path, file_bytes: int
) -> None:
    """The first file above the limit is the manifest or the tokenizer, the ids of a shard, or the report."""
    out = tmp_path / "run"
    for workers in ("2", "1"):
        assert_full(tokens(documents, tokenizer, out, "--workers", workers, file_bytes=file_bytes), out)
    print(f"\nfile size limit {file_bytes}: stopped while {look(out).phase}")
    assert tokens(documents, tokenizer, out).code == 0
    assert_same(out, tree(shards))


@pytest.mark.parametrize("file_bytes", [1_000, 4_000, 12_000])
def test_a_tokenizer_that_may_not_grow(tmp_path: Path, documents: Path, tokenizer: Path, file_bytes: int) -> None:
    """The manifest, the tokenizer, the report."""
    out = tmp_path / "run"
    assert_full(fit(documents, out, file_bytes=file_bytes), out)
    assert fit(documents, out).code == 0
    assert_same(out, tree(tokenizer))


def test_an_extension_that_may_not_grow(tmp_path: Path, documents: Path, tokenizer: Path, extended: Path) -> None:
    out = tmp_path / "run"
    setup = replace(TRAIN, file_bytes=12_000)
    assert_full(begin_extend(tokenizer, documents, out, setup=setup).result(), out)
    assert begin_extend(tokenizer, documents, out).result().code == 0
    assert_same(out, tree(extended))


def test_old_outputs_stay(tmp_path: Path, documents: Path, tokenizer: Path, shards: Path) -> None:
    """Finished runs that are being mended when the disk fills up."""
    encoded = Path(shutil.copytree(shards, tmp_path / "shards"))
    fitted = Path(shutil.copytree(tokenizer, tmp_path / "fitted"))
    for out, lost in ((encoded, "shards/00002.bin"), (fitted, "tokenizer.model")):
        expected = tree(out)
        (out / lost).unlink()
        if out == encoded:
            assert_full(tokens(documents, tokenizer, out, file_bytes=8_000), out)
        else:
            assert_full(fit(documents, out, file_bytes=8_000), out)
        assert tree(out) == {name: digest for name, digest in expected.items() if name != lost}
    assert tokens(documents, tokenizer, encoded).code == 0
    assert_same(encoded, tree(shards))
    assert fit(documents, fitted).code == 0
    assert_same(fitted, tree(tokenizer))


def test_an_old_page_stays(tmp_path: Path, tokenizer: Path) -> None:
    page = tmp_path / "pages" / "view.html"
    words = ["tokenizer", "view", tokenizer, "春眠不觉晓", "--page", page]
    assert run(words, tmp_path / "streams", TRAIN).code == 0
    before = page.read_bytes()
    words[3] = "处处闻啼鸟"
    ended = run(words, tmp_path / "streams", replace(TRAIN, file_bytes=2_000))
    assert_full(ended, page.parent)
    assert ended.out == ""
    assert page.read_bytes() == before
    assert run(words, tmp_path / "streams", TRAIN).code == 0
    assert page.read_bytes() != before


@pytest.mark.parametrize("size", ["60k", "240k"])
def test_shards_on_a_small_disk(
    tmp_path: Path, documents: Path, tokenizer: Path, shards: Path, small_disk: Resize, size: str
) -> None:
    out = small_disk(size) / "run"
    words = ["tokens", documents, "--tokenizer", tokenizer, "--out", out, "-s", "shard_mb=0.02", "-s", "check=0.2"]
    assert_full(run(words, tmp_path / "streams", TRAIN), out)
    print(f"\ndisk of {size}: stopped while {look(out).phase}")
    small_disk("64m")
    assert run(words, tmp_path / "streams", TRAIN).code == 0
    assert_same(out, tree(shards))


@pytest.mark.parametrize("size", ["12k", "32k"])
def test_a_tokenizer_on_a_small_disk(
    tmp_path: Path, documents: Path, tokenizer: Path, small_disk: Resize, size: str
) -> None:
    out = small_disk(size) / "run"
    words = ["tokenizer", "fit", documents, "--out", out, "--vocab", "700", "-s", "held_out=0.1"]
    assert_full(run(words, tmp_path / "streams", TRAIN), out)
    small_disk("64m")
    assert run(words, tmp_path / "streams", TRAIN).code == 0
    assert_same(out, tree(tokenizer))
