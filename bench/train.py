"""How fast are training steps on a CPU, beside Hugging Face's Llama, minimind, nanochat and litgpt?

    python bench/train.py [--rounds 7] [--threads 1] [--compiled] [--minimind FOLDER] [--nanochat FOLDER]
                          [--litgpt FOLDER] [--only NAME ...] [--json]

One process, the same shape for all (d 512, 8 layers, 8 / 2 heads, feed-forward 1,408, vocabulary 6,400, rows of 512),
fp32, forward, backward, clipping and AdamW, fused but for minimind, whose trainer does not. In each round every
contender makes its steps, in one order and then in the other, so that a slow minute hits all alike; a ratio is that of
one round, and the figures are medians with their quartiles. The share of the peak is ours: FLOPs of the step for each
CPU second by those of square matrix products in the same round. Folders are clones of the peers' repositories; one that
is not given is left out.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from torch.amp.grad_scaler import GradScaler  # noqa: E402

from train.loss import cross_entropy  # noqa: E402
from train.model import Model  # noqa: E402
from train.model_config import ModelConfig  # noqa: E402
from train.optim import Optimizers  # noqa: E402
from train.optim_config import OptimConfig  # noqa: E402

SHAPE = ModelConfig(vocab=6400, dim=512, layers=8, heads=8, kv_heads=2, seq_len=512)
ROWS, LENGTH = 4, 512
STEPS = 2  # in a round
Step = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], float]


def ours(compiled: bool, masked: bool = False) -> Step:
    torch.manual_seed(0)
    model = Model(SHAPE)
    model.initialize(torch.Generator().manual_seed(0))
    optimizers = Optimizers(model.train(), OptimConfig())
    scaler = GradScaler("cpu", enabled=False)
    hidden = torch.compile(model.hidden) if compiled else model.hidden

    def step(ids: torch.Tensor, targets: torch.Tensor, documents: torch.Tensor | None) -> float:
        states = hidden(ids, documents if masked else None)
        loss = cross_entropy(states.flatten(0, 1), model.lm_head.weight, targets.flatten(), 1 / targets.numel())
        loss.backward()
        optimizers.clip(scaler, 1.0)
        optimizers.step(scaler, 0.0)
        return float(loss.detach())

    return step


def peer(model: torch.nn.Module, loss_of: Callable[..., torch.Tensor], fused: bool = True) -> Step:
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=fused)

    def step(ids: torch.Tensor, targets: torch.Tensor, documents: torch.Tensor | None) -> float:
        loss = loss_of(ids, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def flat_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def hf_llama(compiled: bool) -> Step:
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=SHAPE.vocab,
        hidden_size=SHAPE.dim,
        intermediate_size=SHAPE.hidden_width,
        num_hidden_layers=SHAPE.layers,
        num_attention_heads=SHAPE.heads,
        num_key_value_heads=SHAPE.key_heads,
        max_position_embeddings=LENGTH,
        tie_word_embeddings=True,
        attn_implementation="sdpa",
    )
    model = transformers.LlamaForCausalLM(config).train()
    run: Any = torch.compile(model) if compiled else model
    return peer(model, lambda ids, targets: flat_loss(run(input_ids=ids, use_cache=False).logits, targets))


def minimind(folder: Path, compiled: bool) -> Step:
    sys.path.insert(0, str(folder))
    from model.model_minimind import MiniMindConfig, MiniMindForCausalLM

    config = MiniMindConfig(
        hidden_size=SHAPE.dim,
        num_hidden_layers=SHAPE.layers,
        num_attention_heads=SHAPE.heads,
        num_key_value_heads=SHAPE.key_heads,
        intermediate_size=SHAPE.hidden_width,
        vocab_size=SHAPE.vocab,
    )
    model = MiniMindForCausalLM(config).train()
    run: Any = torch.compile(model) if compiled else model
    # Its own trainer does not ask for the fused optimizer.
    return peer(model, lambda ids, targets: flat_loss(run(ids).logits, targets), fused=False)


def nanochat(folder: Path, compiled: bool) -> Step:
    sys.path.insert(0, str(folder))
    from nanochat.gpt import GPT, GPTConfig

    config = GPTConfig(LENGTH, SHAPE.vocab, SHAPE.layers, SHAPE.heads, SHAPE.key_heads, SHAPE.dim, "L")
    model = GPT(config)
    model.init_weights()
    run: Any = torch.compile(model) if compiled else model
    return peer(model.train(), lambda ids, targets: run(ids, targets))


def litgpt(folder: Path, compiled: bool) -> Step:
    sys.path.insert(0, str(folder))
    from litgpt import GPT, Config

    config = Config(
        name="bench",
        block_size=LENGTH,
        vocab_size=SHAPE.vocab,
        padded_vocab_size=SHAPE.vocab,
        n_layer=SHAPE.layers,
        n_head=SHAPE.heads,
        n_query_groups=SHAPE.key_heads,
        n_embd=SHAPE.dim,
        head_size=SHAPE.head_width,
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        mlp_class_name="LLaMAMLP",
        intermediate_size=SHAPE.hidden_width,
    )
    model = GPT(config).train()
    model.lm_head.weight = model.transformer.wte.weight
    run: Any = torch.compile(model) if compiled else model
    return peer(model, lambda ids, targets: flat_loss(run(ids), targets))


def contenders(call: argparse.Namespace) -> dict[str, Step]:
    makers: dict[str, Callable[[], Step]] = {
        "ours": lambda: ours(False),
        "ours, several texts a row": lambda: ours(False, masked=True),
        "Llama of transformers": lambda: hf_llama(False),
    }
    if call.compiled:
        makers["ours, compiled"] = lambda: ours(True)
        makers["Llama of transformers, compiled"] = lambda: hf_llama(True)
    for name, make in (("minimind", minimind), ("nanochat", nanochat), ("litgpt", litgpt)):
        folder = getattr(call, name)
        if folder is None:
            print(f"{name} is left out: give --{name} FOLDER, a clone of its repository.", file=sys.stderr)
            continue
        makers[name] = lambda make=make, folder=folder: make(folder, False)
        if call.compiled and name == "minimind":
            makers[f"{name}, compiled"] = lambda make=make, folder=folder: make(folder, True)
    chosen = {name: make for name, make in makers.items() if not call.only or name in call.only}
    return {name: make() for name, make in chosen.items()}


def peak() -> float:
    """FLOPs for each CPU second of square matrix products, the best of several."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best = 0.0
    for _ in range(6):
        started = time.process_time()
        for _ in range(3):
            a @ b
        best = max(best, 3 * 2 * 1024**3 / (time.process_time() - started))
    return best


def batch(number: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, targets and documents (B, T); each row holds three texts."""
    ids = torch.from_numpy(np.random.default_rng(number).integers(3, SHAPE.vocab, (ROWS, LENGTH + 1)))
    documents = (torch.arange(LENGTH) // 200).expand(ROWS, LENGTH).contiguous()
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous(), documents


def measure(steps: dict[str, Step], rounds: int) -> tuple[dict[str, list[float]], list[float]]:
    """Tokens for each CPU second of each contender in each round, and the peak in each round."""
    rates: dict[str, list[float]] = {name: [] for name in steps}
    peaks = []
    for name, step in steps.items():  # compiles, and touches all memory once
        for number in range(2):
            step(*batch(number))
        print(f"ready: {name}", file=sys.stderr)
    order = list(steps)
    for number in range(rounds):
        peaks.append(peak())
        for name in order if number % 2 == 0 else reversed(order):
            started = time.process_time()
            for part in range(STEPS):
                steps[name](*batch(number * STEPS + part))
            rates[name].append(STEPS * ROWS * LENGTH / (time.process_time() - started))
    return rates, peaks


def ratio(mine: list[float], theirs: list[float]) -> list[float]:
    """Lower quartile, median, upper quartile of the ratios of single rounds."""
    return statistics.quantiles([a / b for a, b in zip(mine, theirs, strict=True)], n=4, method="inclusive")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--json", action="store_true")
    for name in ("minimind", "nanochat", "litgpt"):
        parser.add_argument(f"--{name}", type=Path)
    call = parser.parse_args()
    torch.set_num_threads(call.threads)
    steps = contenders(call)
    rates, peaks = measure(steps, call.rounds)
    flops = SHAPE.flops_per_token(LENGTH)
    figures = {
        "threads": call.threads,
        "parameters": SHAPE.parameters,
        "peak_gflops": statistics.median(peaks) / 1e9,
        "tokens_per_cpu_second": {name: statistics.median(found) for name, found in rates.items()},
        "ours_by": {name: ratio(rates["ours"], found) for name, found in rates.items() if name != "ours"},
        "share_of_peak": {
            name: ratio([rate * flops for rate in found], peaks) for name, found in rates.items() if "ours" in name
        },
    }
    if "ours, compiled" in rates:
        figures["ours_compiled_by"] = {
            name: ratio(rates["ours, compiled"], found) for name, found in rates.items() if name != "ours, compiled"
        }
    if call.json:
        print(json.dumps(figures))
        return
    print(f"{SHAPE.parameters:,} parameters, {call.threads} threads, peak {figures['peak_gflops']:.0f} GFLOP/s")
    for name, rate in figures["tokens_per_cpu_second"].items():
        line = f"{name:34} {rate:7.1f} tokens/CPU s"
        for title, group in (("ours", "ours_by"), ("compiled", "ours_compiled_by"), ("of peak", "share_of_peak")):
            if name in figures.get(group, {}):
                low, middle, high = figures[group][name]
                line += f"   {title} {middle:.3f} ({low:.3f} to {high:.3f})"
        print(line)


if __name__ == "__main__":
    main()
