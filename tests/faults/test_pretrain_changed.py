"""Rows 2, 10 and 11 for `train pretrain`: what changed between two starts, damaged checkpoints, a full disk."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.checks import PNG, Harm, Resize, assert_full, assert_one_sentence, cut, flip, remove
from tests.faults.launch import FULL
from tests.faults.pretrain_runs import STEPS, assert_same, outcome, pretrain, start_here, sums
from train.checkpoint import FOLDER, STATE, WEIGHTS, folders, step_of
from train.loop import METRICS
from train.probe import FILE as PROBE

pytestmark = pytest.mark.timeout(600 if FULL else 120)
NEWEST = f"{FOLDER}/step-{STEPS:08}"


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optim__lr": 2e-2}, "optim.lr was 0.01, is now 0.02"),
        ({"data__seed": 5}, "data.seed was 0, is now 5"),
        ({"seed": 1}, "seed was 0, is now 1"),
        ({"steps": STEPS + 1}, f"steps was {STEPS}, is now {STEPS + 1}"),
        ({"threads": 2}, "threads was 1, is now 2"),
    ],
)
def test_another_config(
    copy: Path, shards: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], told: str
) -> None:
    before = sums(copy)
    ended = start_here(capsys, shards, copy, **changes)
    assert_one_sentence(ended.code, 3, ended.out, ended.err.splitlines()[-1], told)
    assert sums(copy) == before


def test_other_shards(
    copy: Path, shards: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A document more or less, a file of the shards that was cut, a model to go on from that was not there before."""
    before = sums(copy)
    fewer = Path(shutil.copytree(shards, tmp_path / "shards"))
    ids = fewer / "shards" / "00003.bin"
    ids.write_bytes(ids.read_bytes()[:-2])
    for place, more, told in (
        (fewer, (), "00003.bin"),
        (tmp_path / "nowhere", (), "nowhere"),
        (shards, ("--from", model), "config"),
    ):
        ended = start_here(capsys, place, copy, *more)
        assert_one_sentence(ended.code, 2 if "nowhere" in told else 3, ended.out, ended.err.splitlines()[-1], told)
        assert sums(copy) == before


def test_another_model_to_go_on_from(
    tmp_path: Path, shards: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = Path(shutil.copytree(model, tmp_path / "model")), tmp_path / "run"
    assert start_here(capsys, shards, out, "--from", source, steps=2).code == 0
    before = sums(out)
    raw = bytearray((source / "model.safetensors").read_bytes())
    raw[-3] ^= 1  # the last number, a little
    (source / "model.safetensors").write_bytes(raw)
    ended = start_here(capsys, shards, out, "--from", source, steps=2)
    assert_one_sentence(ended.code, 3, ended.out, ended.err.splitlines()[-1], "The input --from has changed")
    assert sums(out) == before


def pickled(file: Path) -> None:
    """A picture is no less foreign; what happens to real pickles is in tests/train/test_checkpoint.py."""
    file.write_bytes(PNG)


@pytest.mark.parametrize(
    ("name", "harm", "told"),
    [
        (f"{NEWEST}/{WEIGHTS}", flip, "that of step 36 is used"),
        (f"{NEWEST}/{STATE}", remove, "that of step 36 is used"),
        (f"{NEWEST}/state/optimizer.safetensors", cut, "that of step 36 is used"),
        (f"{NEWEST}/state/random.safetensors", pickled, "that of step 36 is used"),
        (f"{NEWEST}/manifest.json", flip, "that of step 36 is used"),
        (NEWEST, shutil.rmtree, ""),
        ("summary.json", remove, ""),
        ("summary.json", flip, ""),
        ("report.html", remove, ""),
        ("resolved.yaml", flip, ""),
        (PROBE, remove, ""),
        (PROBE, cut, ""),
        (PROBE, lambda file: file.write_text('{"device": 1}'), ""),
        (PROBE, lambda file: file.write_text(file.read_text().replace('"threads": 1', '"threads": "many"')), ""),
        (PROBE, lambda file: file.write_text(file.read_text().replace("fp32", "fp33")), ""),
    ],
)
def test_a_changed_output_is_made_again(
    copy: Path, shards: Path, trained: Path, capsys: pytest.CaptureFixture[str], name: str, harm: Harm, told: str
) -> None:
    harm(copy / name)
    ended = start_here(capsys, shards, copy)
    assert ended.code == 0 and told in ended.err, ended.err
    assert not told or f"step-{STEPS:08} is damaged: {Path(name).name}" in ended.err.replace("state/", ""), ended.err
    assert_same(copy, outcome(trained))
    assert (copy / "report.html").stat().st_size > 10_000


def test_lost_lines_of_the_metrics_are_told(
    copy: Path, shards: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They cannot be made again; the model is not concerned."""
    lines = (copy / METRICS).read_bytes().splitlines(keepends=True)
    (copy / METRICS).write_bytes(b"".join(lines[:30]) + lines[30][:9])
    ended = start_here(capsys, shards, copy)
    assert ended.code == 0 and f"lacks {STEPS - 30} of the {STEPS} steps" in ended.err, ended.err
    ours, theirs = outcome(copy), outcome(trained)
    assert ours.pop(METRICS) == theirs.pop(METRICS)[:30]
    ours.pop("summary.json"), theirs.pop("summary.json")
    assert ours == theirs


def test_a_damaged_manifest(copy: Path, shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(copy / "manifest.json")
    before = sums(copy)
    ended = start_here(capsys, shards, copy)
    assert_one_sentence(ended.code, 3, ended.out, ended.err.splitlines()[-1], "manifest.json was damaged or edited")
    assert sums(copy) == before


@pytest.fixture
def halfway(tmp_path: Path, shards: Path, trained: Path) -> Callable[[Path], Path]:
    """A run as a kill behind its checkpoint in the middle leaves it."""

    def make(out: Path) -> Path:
        shutil.copytree(trained, out, ignore=shutil.ignore_patterns("step-*", "report.html", "summary.json"))
        shutil.copytree(trained / f"{FOLDER}/step-{STEPS - 4:08}", out / f"{FOLDER}/step-{STEPS - 4:08}")
        return out

    return make


@pytest.mark.parametrize("file_bytes", [1_000, 3_000, 230_000])
def test_files_that_may_not_grow(
    tmp_path: Path, shards: Path, trained: Path, halfway: Callable[[Path], Path], file_bytes: int
) -> None:
    """The first file above the limit is the manifest, the metrics, or the optimizer; then the report is too."""
    out = halfway(tmp_path / "run")
    if file_bytes == 1_000:
        shutil.rmtree(out)
    before = sums(out / FOLDER) if out.exists() else {}
    ended = pretrain(shards, out, file_bytes=file_bytes)
    assert_full(ended, out)
    print(f"\nfile size limit {file_bytes}: {ended.err.splitlines()[-1]}")
    assert (sums(out / FOLDER) if before else {}) == before
    assert pretrain(shards, out).code == 0
    assert_same(out, outcome(trained))


@pytest.mark.parametrize("size", ["700k", "1400k"])
def test_a_small_disk(
    tmp_path: Path, shards: Path, trained: Path, halfway: Callable[[Path], Path], small_disk: Resize, size: str
) -> None:
    """Full behind a checkpoint of an earlier start, and behind the second checkpoint of the first start."""
    out = small_disk(size) / "run"
    if size == "700k":
        halfway(out)
    ended = pretrain(shards, out, "-s", "keep=2")
    assert_full(ended, out)
    steps = [step_of(folder) for folder in folders(out)]
    print(f"\ndisk of {size}: checkpoints {steps}; {ended.err.splitlines()[-1]}")
    assert steps and not (out / FOLDER / ".saving").exists()
    before = sums(folders(out)[0])
    small_disk("64m")
    if size == "700k":
        assert before == sums(trained / FOLDER / folders(out)[0].name)
    assert pretrain(shards, out, "-s", "keep=2").code == 0
    assert_same(out, outcome(trained))
