"""The curve over a run's checkpoints: each measured as it would be alone, in order, the damaged ones left out."""

import functools
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch

from runkit.errors import InputError, TooManyFailures, UsageError
from tests.train.making import TEXTS
from tests.train.model_runs import tiny, training
from tests.train.question_files import question_folder
from train.checkpoint import folders
from train.curve import mcq_curve, ppl_curve
from train.evaluate import PplCall, measure_ppl
from train.loop import train
from train.mcq import McqCall, measure_mcq

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints at 3, 6 and 9."""
    run = tmp_path_factory.mktemp("curve") / "run"
    train(training(run, steps=9, model=tiny(seq_len=1024), checkpoint_every=3, keep=5))
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def documents(tmp_path: Path) -> list[str]:
    file = tmp_path / "documents.jsonl"
    rows = [{"id": str(n), "text": text[:60], "source": "ab"[n % 2] + "<i>"} for n, text in enumerate(TEXTS[:6])]
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows) + b"no json\n")
    return [str(file)]


def printed(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(orjson.loads(capfd.readouterr().out))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_perplexity_at_each_checkpoint(
    lang: str, run: Path, documents: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    call = functools.partial(PplCall, run=run, documents=documents, seq_len=64, as_json=True, quiet=True)
    page = tmp_path / "page.html"
    ppl_curve(call(), page, lang)
    found = printed(capfd)["curve"]
    assert [row["step"] for row in found] == [3, 6, 9]
    for row, checkpoint in zip(found, folders(run)[::-1], strict=True):
        alone, faults = measure_ppl(call(run=checkpoint))
        assert row == {"step": row["step"]} | alone | {"run": str(checkpoint)} and len(faults) == 1
    assert len({row["loss"] for row in found}) == 3
    written = page.read_text("utf-8")
    assert f'lang="{lang}"' in written and "a&lt;i&gt;" in written and written.count("<svg") >= 2
    assert f"{found[1]['loss']:,.4f}" in written and "<script" not in written
    ppl_curve(call(as_json=False))
    table = capfd.readouterr()
    assert table.out == ""
    lines = [line.split() for line in table.err.splitlines()]
    assert [str(row["step"]) for row in found] == [line[0] for line in lines if line[0].isdigit()]
    assert [f"{row['bits_per_byte']:.4f}" for row in found] == [line[-1] for line in lines if line[0].isdigit()]
    with pytest.raises(TooManyFailures):
        ppl_curve(call(max_bad=0.0))


def test_accuracy_at_each_checkpoint_goes_on_where_it_was_stopped(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, out, page = question_folder(tmp_path / "mcq"), tmp_path / "out", tmp_path / "page.html"
    call = McqCall(run=run, folder=folder, out=out, shots=0, as_json=True, quiet=True)
    mcq_curve(call, page, "zh")
    found = printed(capfd)["curve"]
    assert [row["step"] for row in found] == [3, 6, 9]
    alone = measure_mcq(McqCall(run=folders(run)[0], folder=folder, shots=0, quiet=True))
    assert found[-1] == orjson.loads(orjson.dumps({"step": 9} | alone))
    assert sorted(path.name for path in out.iterdir()) == ["step-00000003", "step-00000006", "step-00000009"]
    assert "STEM" in page.read_text("utf-8") and f"{found[0]['all']['accuracy']:.1%}" in page.read_text("utf-8")

    def never(*more: Any) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr("train.mcq.answer", never)
    mcq_curve(call)
    assert printed(capfd)["curve"] == found
    mcq_curve(McqCall(run=run, folder=folder, out=out, shots=0, quiet=True))
    assert f"{found[0]['all']['low']:.1%}" in capfd.readouterr().err


def test_damaged_checkpoints_are_left_out_and_told(
    run: Path, documents: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    call = PplCall(run=run, documents=documents, seq_len=64, as_json=True, quiet=True)
    newest, middle, oldest = (folder / "model.safetensors" for folder in folders(run))
    middle.write_bytes(middle.read_bytes()[:-1])
    ppl_curve(call)
    told = capfd.readouterr()
    assert [row["step"] for row in orjson.loads(told.out)["curve"]] == [3, 9]
    assert "step-00000006 is damaged" in told.err
    newest.unlink()
    oldest.write_bytes(b"")
    with pytest.raises(InputError, match="whole"):
        ppl_curve(call)
    with pytest.raises(UsageError, match="no checkpoints"):
        ppl_curve(PplCall(run=run / "checkpoints", documents=documents))
