"""`train pretrain` from shards to a folder that transformers reads: the same after kills, clear when it cannot be."""

import hashlib
import json
import shutil
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import transformers
from pydantic import ValidationError

from runkit.console import run_app
from runkit.errors import InputError, UsageError
from tests.train.making import small_model
from tests.train.token_runs import ROOT, make_call, write_documents
from train.checkpoint import FOLDER, newest, step_of
from train.cli import app
from train.data import Documents, held_out_rows
from train.loop import METRICS, Diverged, read_metrics
from train.model_config import ModelConfig
from train.optim_config import OptimConfig, rate
from train.pretrain import PretrainCall, pretrain
from train.pretrain_config import PretrainConfig
from train.shards import open_shards
from train.tokens import tokens

SETTINGS: dict[str, Any] = {
    "model": {"vocab": 300, "dim": 32, "layers": 2, "heads": 4, "kv_heads": 2, "seq_len": 64},
    "data": {"seq_len": 64, "held_out": 0.1},
    "optim": {"lr": 1e-2, "warmup": 2},
    **{"batch_rows": 4, "steps": 20, "checkpoint_every": 10, "eval_every": 8, "eval_rows": 1000, "threads": 1},
    "prompt_tokens": 2,  # tests/train/test_samples.py has longer ones
    "dtype": "fp32",  # whatever `auto` would be on this processor: results are held against computations in it
}


def config(**changes: Any) -> PretrainConfig:
    return PretrainConfig.model_validate({**SETTINGS, **changes})


def call(shards: Path, out: Path, as_json: bool = False, **changes: Any) -> PretrainCall:
    return PretrainCall(
        shards=[shards], out=out, config=config(**changes), as_json=as_json, quiet=True, started=time.monotonic()
    )


def result(out: Path) -> dict[str, Any]:
    """All that must be the same in two runs."""
    files = [file for file in sorted(out.rglob("*")) if file.is_file() and file.parent.name != "marks"]
    skipped = {"usage.json", ".lock", "report.html", "probe.json", METRICS}  # times stand in them
    sums = {str(f.relative_to(out)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.name not in skipped}
    metrics = [{key: row[key] for key in row if key != "seconds"} for row in read_metrics(out / METRICS)]
    return {"files": sums, "metrics": metrics}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    tokens(make_call(write_documents(folder / "set"), small_model(folder / "tokenizer", 300), folder / "shards"))
    return folder / "shards"


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    pretrain(call(shards, out))
    return out


def test_it_learns_and_transformers_reads_it(whole: Path, shards: Path) -> None:
    """The held-out loss is that of transformers' Llama on the same rows, one text at a time."""
    checkpoint, warnings = newest(whole)
    assert checkpoint is not None and not warnings and step_of(checkpoint) == 20
    theirs = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    rows = held_out_rows(Documents([open_shards(shards)]), config().data)
    total = count = 0.0
    for row in range(len(rows)):
        for piece in rows.pieces(row):
            ids = torch.from_numpy(rows.ids(piece)).long()[None]
            with torch.no_grad():
                logits = theirs(ids[:, :-1]).logits[0]
            total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
            count += piece.length
    metrics = read_metrics(whole / METRICS)
    assert metrics[-1]["held_out_loss"] == pytest.approx(total / count, abs=1e-4)
    assert metrics[-1]["loss"] < metrics[0]["loss"] - 3
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["checkpoint"] == f"{FOLDER}/step-00000020" and summary["loss"] == metrics[-1]["loss"]
    assert summary["tokens"] == metrics[-1]["tokens"] <= 20 * 4 * 64
    assert (checkpoint / "tokenizer.model").read_bytes() == open_shards(shards).tokenizer.read_bytes()


def test_a_finished_run_stays(whole: Path, shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = result(whole)
    pretrain(call(shards, whole, as_json=True))
    assert result(whole) == before
    assert json.loads(capsys.readouterr().out)["steps"] == 20


def test_another_seed_gives_another_model(tmp_path: Path, whole: Path, shards: Path) -> None:
    pretrain(call(shards, tmp_path / "same"))
    assert result(tmp_path / "same") == result(whole)
    pretrain(call(shards, tmp_path / "other", seed=1, steps=2))
    assert read_metrics(tmp_path / "other" / METRICS)[0]["loss"] != read_metrics(whole / METRICS)[0]["loss"]


def test_micro_rows_change_roundings_only(tmp_path: Path, whole: Path, shards: Path) -> None:
    pretrain(call(shards, tmp_path / "run", micro_rows=3, checkpointing=True))
    losses = [[row["loss"] for row in read_metrics(out / METRICS)] for out in (tmp_path / "run", whole)]
    assert losses[0][:10] == pytest.approx(losses[1][:10], abs=1e-4)  # later ones drift apart


def test_without_steps_all_rows_are_trained_on_once(tmp_path: Path, shards: Path) -> None:
    pretrain(call(shards, tmp_path / "run", steps=None, batch_rows=24, eval_rows=0, checkpoint_every=1000))
    last = read_metrics(tmp_path / "run" / METRICS)[-1]
    opened = open_shards(shards)
    kept = opened.length[~opened.held_out(0.1) & (opened.length > 1)] - 1
    assert kept.sum() - 24 * 64 < last["tokens"] <= kept.sum() and "held_out_loss" not in last


def test_what_cannot_be(tmp_path: Path, whole: Path, shards: Path) -> None:
    small = {**SETTINGS["model"], "vocab": 299}
    with pytest.raises(UsageError, match=r"model\.vocab = 299 is smaller than the tokenizer .* 300 ids"):
        pretrain(call(shards, tmp_path / "a", model=small))
    with pytest.raises(InputError, match="fewer than the 100,000 that training takes; lower batch_rows"):
        pretrain(call(shards, tmp_path / "b", steps=None, batch_rows=100_000))
    again = Path(shutil.copytree(whole, tmp_path / "c"))
    with pytest.raises(InputError, match=r"made with another config: optim\.lr was 0\.01, is now 0\.02"):
        pretrain(call(shards, again, optim={"lr": 2e-2, "warmup": 2}))
    assert not (tmp_path / "a").exists()

    with pytest.raises(UsageError, match="lora trains a part of a model that is there; give it with --from"):
        pretrain(call(shards, tmp_path / "d", lora={"rank": 2}))
    with pytest.raises(UsageError, match="train_only = embeddings trains a part"):
        pretrain(call(shards, tmp_path / "d", train_only="embeddings"))
    with pytest.raises(UsageError, match=r"steps = 10,000,000,000 are too many"):
        pretrain(call(shards, tmp_path / "d", steps=10_000_000_000))


def test_a_run_that_ran_away_says_so_in_its_report_and_counts(
    tmp_path: Path, shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    wild = call(shards, out, optim={"lr": 1.0, "warmup": 30, "clip": 1e9}, spike=0.001, eval_every=1000)
    for start in (1, 2):
        with pytest.raises(Diverged) as caught:
            pretrain(wild)
        page = (out / "report.html").read_text()
        assert str(caught.value).partition(";")[0] in page and "Held-out text was not measured yet" in page
        assert json.loads((out / "usage.json").read_text())["all_starts"]["starts"] == start
    told = capsys.readouterr().err
    assert "optim.warmup = 30 is no less than the 20 steps" in told and "Goes on from step" in told


def test_shards_and_settings_by_flag(tmp_path: Path, shards: Path, whole: Path) -> None:
    """--data, --keep and --train-only are other names for what SHARDS and -s say."""
    write_yaml = tmp_path / "config.yaml"
    write_yaml.write_text(json.dumps(SETTINGS))
    arguments = ["pretrain", "--config", str(write_yaml), "--data", str(shards), "--out", str(tmp_path / "run"), "-q"]
    assert run_app(app, [*arguments, "--keep", "2", "--train-only", "all"]) == 0
    assert result(tmp_path / "run") == result(whole)
    assert run_app(app, [*arguments[:3], *arguments[5:]]) == 2


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
@pytest.mark.parametrize(("warmup", "steps"), [(0, 1), (0, 7), (3, 10), (9, 10), (10, 10), (20, 10)])
def test_the_rate_rises_falls_and_ends_low(schedule: Literal["cosine", "wsd"], warmup: int, steps: int) -> None:
    optim = OptimConfig(schedule=schedule, warmup=warmup, decay=0.9, min_lr=0.1)
    rates = [rate(optim, step, steps) for step in range(steps)]
    risen = min(warmup, steps)
    assert rates[:risen] == pytest.approx([(step + 1) / warmup for step in range(risen)])
    assert all(after <= before for before, after in pairwise(rates[max(0, risen - 1) :]))
    assert max(rates) <= 1 and (warmup >= steps or rates[-1] == pytest.approx(0.1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"micro_rows": 5}, "`micro_rows` = 5 and `batch_rows` = 4"),
        ({"data": {"seq_len": 128}}, "`data.seq_len` = 128 and `model.seq_len` = 64"),
        ({"data": {"seq_len": 64, "tokens": 1000}}, "`steps` = 20 and `data.tokens` = 1000"),
    ],
)
def test_settings_that_contradict_each_other(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(**changes)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # embedding + layers · (queries and output + keys and values + feed-forward + two norms) + last norm
        ("5m", 6400 * 192 + 10 * (2 * 192 * 192 + 2 * 192 * 64 + 3 * 192 * 512 + 2 * 192) + 192),
        ("26m", 6400 * 512 + 8 * (2 * 512 * 512 + 2 * 512 * 128 + 3 * 512 * 1408 + 2 * 512) + 512),
        ("110m", 32_000 * 768 + 12 * (4 * 768 * 768 + 3 * 768 * 2048 + 2 * 768) + 768),
        ("350m", 32_000 * 1024 + 24 * (4 * 1024 * 1024 + 3 * 1024 * 2752 + 2 * 1024) + 1024),
        ("1b", 32_000 * 2048 + 22 * (2 * 2048 * 2048 + 2 * 2048 * 512 + 3 * 2048 * 5504 + 2 * 2048) + 2048),
    ],
)
def test_presets(name: str, parameters: int) -> None:
    loaded = PretrainConfig.load(ROOT / "configs" / f"model-{name}.yaml")
    assert loaded.model.parameters == parameters
    assert parameters == pytest.approx({"m": 1e6, "b": 1e9}[name[-1]] * int(name[:-1]), rel=0.05)
    assert isinstance(loaded.model, ModelConfig) and loaded.batch_rows % (loaded.micro_rows or 1) == 0
