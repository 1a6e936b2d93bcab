"""A tiny model on a few rows of made-up tokens, for the tests of training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.train.making import small_model
from train.checkpoint import Checkpoints
from train.data import Batch
from train.loop import Training
from train.model import Model
from train.model_config import ModelConfig
from train.optim import Optimizers
from train.pretrain_config import LoopConfig
from train.tokenizer import files_in, load

VOCAB, LENGTH = 300, 24
TINY: dict[str, Any] = {"vocab": VOCAB, "dim": 32, "layers": 2, "heads": 4, "kv_heads": 2, "seq_len": 64}


def rows(seed: int, count: int = 4) -> Batch:
    """Rows of two texts each, with empty places at the end of all but the first; sequences that can be learnt."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 40, (count, 1))
    ids = ((start + 3 * np.arange(LENGTH + 1)) % VOCAB).astype(np.int32)
    inputs, targets = ids[:, :-1].copy(), ids[:, 1:].copy()
    documents = np.broadcast_to(np.arange(LENGTH) // 10 % 2, inputs.shape).astype(np.int32)
    for row in range(1, count):
        end = LENGTH - row
        inputs[row, end:], targets[row, end:], documents[row, end:] = 0, -100, -1
    return Batch(inputs, targets, documents, np.zeros_like(inputs))


def part(batch: Batch, first: int, end: int) -> Batch:
    columns = (batch.inputs, batch.targets, batch.documents, batch.positions)
    return Batch(*(column[first:end] for column in columns))


def tiny(seed: int = 0, **changes: Any) -> Model:
    model = Model(ModelConfig(**{**TINY, **changes}))
    model.initialize(torch.Generator().manual_seed(seed))
    return model.train()


def training(
    run: Path,
    steps: int = 20,
    on_step: Callable[[dict[str, Any]], None] = lambda row: None,
    model: Model | None = None,
    batches: Callable[[int], list[Batch]] = lambda step: [rows(step)],
    **config: Any,
) -> Training:
    """A new start on `run`; what lies there already decides where it begins."""
    torch.set_num_threads(1)
    optim = {"lr": 1e-2, "warmup": 2, **config.pop("optim", {})}
    # fp32 whatever `auto` would be on this processor: what is compared is computed in it.
    chosen = LoopConfig(
        **{"dtype": "fp32", "checkpoint_every": 5, "eval_every": 7, "batch_rows": 4, "optim": optim, **config}
    )
    model = model or tiny()
    tokenizer = run.parent / "tokenizer"
    if not tokenizer.exists():
        small_model(tokenizer, VOCAB)
    return Training(
        run=run,
        model=model,
        optimizers=Optimizers(model, chosen.optim),
        config=chosen,
        steps=steps,
        batches=batches,
        held_out={"made up": [rows(1000)]},
        data_sha256="0" * 64,
        checkpoints=Checkpoints(run, chosen.keep, load(tokenizer).special, files_in(tokenizer)),
        on_step=on_step,
    )
