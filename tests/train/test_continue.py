"""Going on from a model that is there: the same tokenizer, one with more pieces, parts of the weights, adapters."""

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from tests.faults.texts import text
from tests.train.making import byte_level
from tests.train.model_runs import TINY
from tests.train.token_runs import make_call
from train.added import read_added
from train.checkpoint import WEIGHTS, folders
from train.config import ExtendConfig
from train.convert import ConvertCall, export_model, load_model
from train.extend import ExtendCall, extend
from train.loop import METRICS, read_metrics
from train.lora import ADAPTER, ADAPTER_WEIGHTS
from train.pretrain import PretrainCall, pretrain
from train.pretrain_config import PretrainConfig
from train.reading import Reading
from train.tokens import tokens

PIECES, MORE, STEPS = 500, 30, 15
EMBEDDING = "model.embed_tokens.weight"
SETTINGS: dict[str, Any] = {
    **{"data": {"seq_len": 64, "held_out": 0.1}, "optim": {"lr": 3e-3, "warmup": 2}, "batch_rows": 4, "steps": STEPS},
    **{"eval_rows": 0, "prompt_tokens": 0, "threads": 1},
}


def run(shards: Path, out: Path, source: Path | None = None, **changes: Any) -> Path:
    """The newest checkpoint of a finished training."""
    config = PretrainConfig.model_validate({**SETTINGS, **changes})
    times: dict[str, Any] = {"as_json": False, "quiet": True, "started": time.monotonic()}
    pretrain(PretrainCall(shards=[shards], out=out, config=config, source=source, **times))
    return folders(out)[0]


def encode(folder: Path, name: str, tokenizer: Path) -> Path:
    tokens(make_call(folder / "texts.jsonl", tokenizer, folder / name))
    return folder / name


def losses(checkpoint: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(checkpoint.parents[1] / METRICS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """texts.jsonl; a tokenizer `base` and `longer`, which has more pieces; shards of both; `model`, exported."""
    folder = tmp_path_factory.mktemp("continue")
    texts = [text(random.Random(seed), 30) for seed in range(60)]
    lines = [json.dumps({"id": str(number), "text": one}) + "\n" for number, one in enumerate(texts)]
    (folder / "texts.jsonl").write_text("".join(lines))
    base = byte_level(folder / "base", PIECES).parent
    (base / "tokenizer_config.json").write_text('{"eos_token": "<|endoftext|>"}')
    extend(
        ExtendCall(
            base=base,
            documents=[str(folder / "texts.jsonl")],
            add_list=None,
            out=folder / "longer",
            config=ExtendConfig.load(None, [f"add={MORE}"]),
            reading=Reading(1, quiet=True),
            dry_run=False,
            as_json=False,
            lang="en",
            started=time.monotonic(),
        )
    )
    shards = encode(folder, "shards", base)
    encode(folder, "longer shards", folder / "longer")
    shape = {**TINY, "vocab": PIECES, "tied": False}
    run(shards, folder / "run", model=shape, steps=40, optim={"lr": 1e-2, "warmup": 2})
    export_model(ConvertCall(source=folder / "run", out=folder / "model"))
    return folder


def test_going_on_begins_where_the_other_ended(folder: Path, tmp_path: Path) -> None:
    """From the export, the run and its checkpoint the same: a first loss like the last one, then a lower one."""
    found = [
        run(folder / "shards", tmp_path / str(number), source)
        for number, source in enumerate((folder / "model", folder / "run", folders(folder / "run")[0]))
    ]
    weights = [(checkpoint / WEIGHTS).read_bytes() for checkpoint in found]
    assert weights[0] == weights[1] == weights[2]
    before, after = losses(folders(folder / "run")[0]), losses(found[0])
    assert before[0] - before[-1] > 1.5
    assert abs(after[0] - before[-1]) < 0.3 * (before[0] - before[-1])
    assert sum(after[-5:]) < sum(after[:5]) - 0.5


def test_more_pieces(folder: Path, tmp_path: Path) -> None:
    """A step of a rate near 0 shows the rows that training began with: each the mean of those it replaces."""
    slow = {"optim": {"lr": 1e-12, "warmup": 0, "weight_decay": 0}, "steps": 1}
    begun = load_file(run(folder / "longer shards", tmp_path / "begun", folder / "model", **slow) / WEIGHTS)
    old = load_file(folder / "model" / WEIGHTS)
    added = read_added(folder / "longer" / "added.jsonl")
    assert added.first == PIECES and len(begun[EMBEDDING]) == PIECES + len(added.pieces) > PIECES
    for name in (EMBEDDING, "lm_head.weight"):
        torch.testing.assert_close(begun[name][:PIECES], old[name], atol=1e-10, rtol=0)
        for number, ids in enumerate(added.base_ids, PIECES):
            torch.testing.assert_close(begun[name][number], old[name][ids].mean(0), atol=1e-7, rtol=0)
    checkpoint = run(folder / "longer shards", tmp_path / "run", folder / "model")
    curve = losses(checkpoint)
    assert sum(curve[-5:]) < sum(curve[:5]) - 0.5
    theirs = transformers.AutoModelForCausalLM.from_pretrained(checkpoint)
    assert theirs.config.vocab_size == PIECES + len(added.pieces)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(str(checkpoint))
    assert len(tokenizer) == theirs.config.vocab_size


def test_only_embeddings(folder: Path, tmp_path: Path) -> None:
    checkpoint = run(folder / "longer shards", tmp_path / "run", folder / "model", train_only="embeddings")
    old, new = load_file(folder / "model" / WEIGHTS), load_file(checkpoint / WEIGHTS)
    assert old.keys() == new.keys()
    same = {name for name in old if torch.equal(old[name], new[name][: len(old[name])])}
    assert same == old.keys() - {EMBEDDING, "lm_head.weight"}
    assert sum(losses(checkpoint)[-5:]) < sum(losses(checkpoint)[:5]) - 0.2


@torch.no_grad()
def test_adapters(folder: Path, tmp_path: Path) -> None:
    """The checkpoint has W + B·A·alpha/r, computed here by hand; transformers and our own model agree on it."""
    settings = {"rank": 4, "alpha": 6.0, "targets": ["q_proj", "down_proj"]}
    with torch.enable_grad():
        checkpoint = run(folder / "shards", tmp_path / "run", folder / "model", lora=settings)
    old, new = load_file(folder / "model" / WEIGHTS), load_file(checkpoint / WEIGHTS)
    adapter = load_file(checkpoint / ADAPTER / ADAPTER_WEIGHTS)
    assert old.keys() == new.keys() and len(adapter) == 2 * 2 * 2
    for name, weight in old.items():
        stem = "base_model.model." + name.removesuffix(".weight")
        if f"{stem}.lora_A.weight" in adapter:
            weight = weight + adapter[f"{stem}.lora_B.weight"] @ adapter[f"{stem}.lora_A.weight"] * (6.0 / 4)
            assert not torch.equal(weight, old[name])
        torch.testing.assert_close(new[name], weight, atol=1e-7, rtol=1e-6)
    assert sum(losses(checkpoint)[-5:]) < sum(losses(checkpoint)[:5]) - 0.1
    ids = torch.randint(0, PIECES, (2, 30), generator=torch.Generator().manual_seed(1))
    theirs, ours = transformers.AutoModelForCausalLM.from_pretrained(checkpoint), load_model(checkpoint).model
    torch.testing.assert_close(ours.logits(ours.hidden(ids)), theirs(ids).logits, atol=1e-4, rtol=0)
