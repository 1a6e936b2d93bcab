"""Which model is better for the same tokens: ours, or Hugging Face's Llama under a well-set loop of its own?

    python bench/quality.py SHARDS DOCS --out FOLDER [--steps 250] [--side ours|llama] [-s key=value ...]

26 M parameters (the shape of configs/model-26m.yaml), the same rows of the same shards in the same order, 8 rows of 512
a step. Llama: transformers' class and initial weights, AdamW (0.9, 0.95), learning rate 6e-4 with a warm-up of a tenth
and a cosine to a tenth, weight decay 0.1 on matrices, clipping at 1. Ours: `train pretrain` with configs/model-26m.yaml
and what -s says. Out: bits for each character of the held-out documents of DOCS by `train eval ppl`, and CPU seconds.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from train.data import Documents, training_data  # noqa: E402
from train.optim_config import OptimConfig, rate  # noqa: E402
from train.pretrain_config import PretrainConfig  # noqa: E402
from train.shards import open_shards  # noqa: E402

ROWS = 8
CONFIG = ROOT / "configs" / "model-26m.yaml"


def llama(call: argparse.Namespace, folder: Path) -> None:
    import transformers

    shape = PretrainConfig.load(CONFIG, []).model
    documents = Documents([open_shards(call.shards)])
    data = PretrainConfig.load(CONFIG, [f"data.tokens={(call.steps + 20) * ROWS * 512}"]).data
    rows = training_data(documents, data).rows
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=shape.vocab,
            hidden_size=shape.dim,
            intermediate_size=shape.hidden_width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.key_heads,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
        )
    ).train()
    matrices = [weight for weight in model.parameters() if weight.ndim >= 2]
    vectors = [weight for weight in model.parameters() if weight.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95), fused=True)
    schedule = OptimConfig(warmup=call.steps // 10)
    for step in range(call.steps):
        for group in optimizer.param_groups:
            group["lr"] = 6e-4 * rate(schedule, step, call.steps)
        batch = rows.batch(step * ROWS, ROWS)
        ids, targets = torch.from_numpy(batch.inputs).long(), torch.from_numpy(batch.targets).long()
        logits = model(input_ids=ids, use_cache=False).logits  # (B, T, V)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 10 == 9:
            print(f"llama {step + 1} {loss.item():.4f} {time.process_time():.0f} CPU s", file=sys.stderr)
    model.save_pretrained(folder)
    for file in (call.shards / "tokenizer").iterdir():
        shutil.copy(file, folder)


def ours(call: argparse.Namespace, folder: Path) -> None:
    given = [f"steps={call.steps}", f"batch_rows={ROWS}", "micro_rows=8", "compile=off", "threads=1", *call.settings]
    settings = [word for value in given for word in ("-s", value)]
    line = [sys.executable, "-m", "train", "pretrain", str(call.shards), "--config", str(CONFIG), "--out", str(folder)]
    subprocess.run([*line, *settings], check=True, cwd=ROOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("documents")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--side", choices=["ours", "llama"])
    parser.add_argument("-s", dest="settings", action="append", default=[])
    call = parser.parse_args()
    torch.set_num_threads(1)
    for side, make in (("llama", llama), ("ours", ours)):
        if call.side not in (None, side):
            continue
        who = resource.RUSAGE_SELF if side == "llama" else resource.RUSAGE_CHILDREN
        before = resource.getrusage(who).ru_utime
        folder = call.out / side
        make(call, folder)
        seconds = resource.getrusage(who).ru_utime - before
        measured = [sys.executable, "-m", "train", "eval", "ppl", str(folder), call.documents]
        words = ["--held-out", "0.01", "--seq-len", "512", "--json", "-q"]
        figures = json.loads(subprocess.run([*measured, *words], check=True, capture_output=True, cwd=ROOT).stdout)
        print(json.dumps({"side": side, "cpu_seconds": round(seconds), "bpc": figures["bits_per_character"]}))


if __name__ == "__main__":
    main()
