"""What does tuning on dialogues cost, beside pretraining at the same shape and beside a padded loop of transformers?

    python bench/sft.py [--data FILE] [--tokenizer DIR] [--rounds 5] [--dialogues 64] [--json]

One process and one thread, the 26 M shape of bench/train.py with the tokenizer's size, rows of 512, fp32, forward,
backward, clipping and fused AdamW, by turns in each round. Ours packs whole dialogues into rows; pretraining takes the
same rows with every token as a target and one text a row; the peer is transformers' Llama with the dialogues padded to
the longest of each batch of 16, labels of -100 but for answers, drawn in random order as its Trainer does. Positions
that hold a token, and dialogues, for each CPU second; medians of ratios within a round, with quartiles. Packed and one
by one the loss of the same dialogues is compared.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from bench.train import flat_loss, peer  # noqa: E402
from runkit.instructions import find_items  # noqa: E402
from train.chat_template import usual_template  # noqa: E402
from train.data import NO_TARGET, Batch, Rows  # noqa: E402
from train.dialogues import Dialogues, read_dialogues  # noqa: E402
from train.loss import cross_entropy  # noqa: E402
from train.model import Model  # noqa: E402
from train.model_config import ModelConfig  # noqa: E402
from train.optim import Optimizers  # noqa: E402
from train.optim_config import OptimConfig  # noqa: E402
from train.packing import pack  # noqa: E402
from train.tokenizer import load  # noqa: E402

LENGTH, PADDED = 512, 16
DATA = ROOT.parent / "shared/data/instructions/alpaca_zh.jsonl.zst"
SCALER = torch.amp.GradScaler("cpu", enabled=False)


def tokenizer_of(folder: Path | None, data: Path, made: Path) -> Any:
    if folder is not None:
        return load(folder)
    words = ["--vocab", "6400", "-s", "text_field=output", "-s", "sample_mb=8", "--out", str(made), "-q"]
    subprocess.run([sys.executable, "-m", "train", "tokenizer", "fit", str(data), *words], cwd=ROOT, check=True)
    return load(made)


class Ours:
    """Rows with a document mask, answers alone as targets; or the same rows as pretraining takes them."""

    def __init__(self, shape: ModelConfig) -> None:
        self.model = Model(shape)
        self.model.initialize(torch.Generator().manual_seed(0))
        self.optimizers = Optimizers(self.model.train(), OptimConfig(lr=1e-5))

    def step(self, batch: Batch, every: bool = False) -> None:
        ids = torch.from_numpy(batch.inputs).long()
        targets = torch.from_numpy(batch.targets).long()
        documents = None if every else torch.from_numpy(batch.documents)
        targets = ids.roll(-1, 1) if every else targets
        hidden = self.model.hidden(ids, documents)
        count = int((targets != NO_TARGET).sum())
        cross_entropy(hidden.flatten(0, 1), self.model.lm_head.weight, targets.flatten(), 1 / count).backward()
        self.optimizers.clip(SCALER, 1.0)
        self.optimizers.step(SCALER, 0.0)


def llama(shape: ModelConfig) -> Any:
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=shape.vocab, hidden_size=shape.dim, intermediate_size=shape.hidden_width,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.key_heads,
        max_position_embeddings=LENGTH, tie_word_embeddings=True, attn_implementation="sdpa",
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).train()

    def loss(both: tuple[torch.Tensor, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
        ids, mask = both
        return flat_loss(model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1], targets[:, 1:])

    return peer(model, loss)


def padded(dialogues: Dialogues, chosen: list[int]) -> tuple[Any, torch.Tensor]:
    longest = max(int(dialogues.length[number]) for number in chosen)
    ids = np.zeros((len(chosen), longest), np.int64)
    mask, labels = np.zeros_like(ids), np.full_like(ids, NO_TARGET)
    for row, number in enumerate(chosen):
        own = slice(0, int(dialogues.length[number]))
        ids[row, own], mask[row, own] = dialogues.tokens(number), 1
        labels[row, own] = np.where(dialogues.learnt(number), dialogues.tokens(number), NO_TARGET)
    return (torch.from_numpy(ids), torch.from_numpy(mask)), torch.from_numpy(labels)


def cpu_s(action: Any) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


def round_of(dialogues: Dialogues, chosen: list[int], contenders: dict[str, Any], first: bool) -> dict[str, float]:
    lengths = dialogues.length[chosen] - 1
    layout = pack(lengths, LENGTH, 1.0)

    rows = Rows(dialogues, replace(layout, document=np.array(chosen)[layout.document]), LENGTH)
    batches = [rows.batch(start, min(4, len(rows) - start)) for start in range(0, len(rows), 4)]
    groups = [padded(dialogues, chosen[start : start + PADDED]) for start in range(0, len(chosen), PADDED)]
    work = {
        "packed": lambda: [contenders["packed"].step(batch) for batch in batches],
        "pretraining": lambda: [contenders["pretraining"].step(batch, every=True) for batch in batches],
        "transformers, padded": lambda: [contenders["llama"](both, labels, None) for both, labels in groups],
    }
    order = list(work) if first else list(work)[::-1]
    spent = {name: cpu_s(work[name]) for name in order}
    filled = int(lengths.sum())
    return {
        "packed, positions a CPU s": filled / spent["packed"],
        "pretraining, positions a CPU s": len(rows) * LENGTH / spent["pretraining"],
        "transformers, padded, positions a CPU s": filled / spent["transformers, padded"],
        "packed / pretraining": (filled / spent["packed"]) / (len(rows) * LENGTH / spent["pretraining"]),
        "packed / transformers, padded": spent["transformers, padded"] / spent["packed"],
        "empty": rows.waste,
    }


def loss_difference(model: Model, dialogues: Dialogues, chosen: list[int]) -> float:
    """Mean loss of packed dialogues less that of each by itself."""

    layout = pack(dialogues.length[chosen] - 1, LENGTH, 1.0)
    rows = Rows(dialogues, replace(layout, document=np.array(chosen)[layout.document]), LENGTH)
    packed, alone, count = 0.0, 0.0, 0
    with torch.no_grad():
        for row in range(len(rows)):
            batch = rows.batch(row, 1)
            hidden = model.hidden(torch.from_numpy(batch.inputs).long(), torch.from_numpy(batch.documents))
            targets = torch.from_numpy(batch.targets).long().flatten()
            packed += float(cross_entropy(hidden[0], model.lm_head.weight, targets))
            count += int((targets != NO_TARGET).sum())
        for number in chosen:
            ids = torch.from_numpy(dialogues.tokens(number).astype(np.int64))[None]
            targets = ids[0, 1:].where(torch.from_numpy(dialogues.learnt(number)[1:]), NO_TARGET)
            alone += float(cross_entropy(model.hidden(ids[:, :-1])[0], model.lm_head.weight, targets))
    return abs(packed - alone) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dialogues", type=int, default=64, help="in a round")
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = tokenizer_of(call.tokenizer, call.data, Path(folder, "tokenizer"))
        started = time.process_time()
        dialogues, _ = read_dialogues({"data": find_items([str(call.data)])}, usual_template(tokenizer), LENGTH + 1)
        encoding = time.process_time() - started
        shape = ModelConfig(vocab=tokenizer.size, dim=512, layers=8, heads=8, kv_heads=2, seq_len=LENGTH)
        contenders = {"packed": Ours(shape), "pretraining": Ours(shape), "llama": llama(shape)}
        rng = random.Random(0)
        found = [
            round_of(dialogues, rng.sample(range(len(dialogues)), call.dialogues), contenders, bool(number % 2))
            for number in range(call.rounds + 1)
        ][1:]  # the first warms up
        difference = loss_difference(contenders["packed"].model, dialogues, list(range(200)))
    figures: dict[str, Any] = {
        "loss, packed less alone": difference,
        "encoding, ms a dialogue": 1000 * encoding / len(dialogues),
    }
    for name in found[0]:
        values = sorted(one[name] for one in found)
        low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values * 3)
        figures[name] = {"median": statistics.median(values), "quartiles": [low, high]}
        print(f"{name:<36} {statistics.median(values):10.3f}   {low:.3f} to {high:.3f}", file=sys.stderr)
    print(f"loss, packed less alone: {difference:.2e}; {len(dialogues):,} dialogues encoded", file=sys.stderr)
    if call.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
