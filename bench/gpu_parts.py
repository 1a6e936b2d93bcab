"""What bench/gpu.py checks and what it times by itself: logits, gradients, learning, the loss, ways of attention.

In: a `Bench`, which says what the command line said, and shapes of models. Out: rows as dicts. What fails is a row that
says why. Price: the checks take half a minute on a GPU, the parts another, most of it compiling FlexAttention.
"""

import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from torch.nn.attention.varlen import varlen_attn

sys.path.insert(0, str(Path(__file__).parent.parent))
from torch.amp.grad_scaler import GradScaler

from train.attention import first_seen
from train.distributed import World
from train.loss import cross_entropy
from train.model import Model, _sdpa
from train.model_config import ModelConfig
from train.objective import Objective
from train.optim import Optimizers
from train.optim_config import OptimConfig

LAYOUTS: Final = ("one text a row", "several, masked")
LIMITS: Final = {torch.float32: 1e-3, torch.bfloat16: 0.15}  # largest difference of a logit, over their deviation
BF16: Final = torch.bfloat16
REFERENCE: Final = ("one text a row, is_causal", "several, mask as in train/model.py")
Parts = list[tuple[Tensor, Tensor | None, Tensor]]  # ids, texts, targets: (B, T) each


@dataclass(frozen=True, slots=True)
class Bench:
    """What the command line says."""

    device: torch.device
    tiny: bool
    eager: bool
    profile: bool
    deadline: float  # a `time.perf_counter()`, after which nothing new is begun

    @property
    def sizes(self) -> list[int]:
        """Rows at once that are tried."""
        return [4, 2] if self.tiny else [64, 32, 16, 8, 4]

    @property
    def seq_len(self) -> int:
        return 128 if self.tiny else 2048

    @property
    def steps(self) -> int:
        return 3 if self.tiny else 10

    @property
    def late(self) -> bool:
        return time.perf_counter() > self.deadline

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def texts(rows: int, seq_len: int, seed: int) -> Tensor:
    """Which text each position belongs to, (B, T) of int32; texts of T / 32 to T / 2 tokens."""
    rng = random.Random(seed)
    found = torch.empty(rows, seq_len, dtype=torch.int32)
    for row in found:
        start, number = 0, 0
        while start < seq_len:
            end = start + rng.randint(seq_len // 32, seq_len // 2)
            row[start:end] = number
            start, number = end, number + 1
    return found


def random_shapes() -> Iterator[tuple[str, ModelConfig]]:
    """Small models of each kind that are read from other projects' folders."""
    rng = random.Random(0)
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("Llama", {"tied": False}),
        ("Llama 3.1", {"rope_scaling": {"kind": "llama3", "factor": 8.0, "original_seq_len": 64}}),
        ("Qwen2", {"qkv_bias": True}),
        ("Qwen3", {"qk_norm": True, "head_dim": 64, "rope_theta": 1e6}),
        ("ALiBi", {"position": "alibi"}),
    ]
    for name, more in kinds:
        heads = rng.choice([4, 8])
        given = {"vocab": rng.randrange(500, 3000), "dim": heads * 32, "layers": rng.randint(2, 4), "heads": heads}
        yield name, ModelConfig(**{**given, "kv_heads": rng.choice([1, 2, heads]), "seq_len": 256, **more})


def check_shape(bench: Bench, name: str, shape: ModelConfig) -> Iterator[dict[str, Any]]:
    """Logits in both types of number, whole and in several texts; the gradient in fp32."""
    reference, model = Model(shape), Model(shape)
    reference.initialize(torch.Generator().manual_seed(1))
    model.load_state_dict(reference.state_dict())
    model.to(bench.device)
    ids = torch.randint(shape.vocab, (3, 257), generator=torch.Generator().manual_seed(2))  # (B, T + 1)
    for layout, documents in zip(LAYOUTS, (None, texts(3, 256, 3)), strict=True):
        there = None if documents is None else documents.to(bench.device)
        with torch.no_grad():
            wanted = reference.logits(reference.hidden(ids[:, :-1], documents))  # (B, T, V)
        for dtype, limit in LIMITS.items():
            with torch.no_grad(), torch.autocast(bench.device.type, dtype, enabled=dtype != torch.float32):
                found = model.logits(model.hidden(ids[:, :-1].to(bench.device), there)).float().cpu()
            error = float((found - wanted).abs().max() / wanted.std())
            yield _checked(f"logits, {name}, {layout}, {str(dtype).removeprefix('torch.')}", error, limit)
        gradients = []
        for one, where in ((reference, "cpu"), (model, bench.device.type)):
            loss = Objective(one, torch.float32, False, World(torch.device(where)))
            one.zero_grad()
            given = (ids[:, :-1].to(where), documents if where == "cpu" else there, ids[:, 1:].to(where))
            loss(*given, 1 / 768).backward()
            gradients.append(torch.cat([_gradient(weight) for weight in one.parameters()]))
        error = float((gradients[1] - gradients[0]).norm() / gradients[0].norm())
        yield _checked(f"gradient, {name}, {layout}, float32", error, LIMITS[torch.float32])


def _checked(what: str, error: float, limit: float) -> dict[str, Any]:
    return {"check": what, "error": error, "limit": limit, "passed": error <= limit}  # not a number: not passed


def _gradient(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.grad.flatten().cpu()


def check_learning(bench: Bench) -> dict[str, Any]:
    """The share of the first loss that is left after 30 steps on the same random rows."""
    shape = ModelConfig(vocab=512, dim=128, layers=2, heads=4, kv_heads=2, seq_len=128)
    step = trainer(bench, shape, OptimConfig(lr=3e-3), compiled=False)
    ids = torch.randint(shape.vocab, (4, 129), generator=torch.Generator().manual_seed(0)).to(bench.device)
    documents = texts(4, 128, 0).to(bench.device)
    losses = [step([(ids[:, :-1], documents, ids[:, 1:])]) for _ in range(30)]
    return _checked("loss after 30 steps on the same rows, over the first", losses[-1] / losses[0], 0.5)


def trainer(bench: Bench, shape: ModelConfig, optim: OptimConfig, compiled: bool) -> Callable[[Parts], float]:
    """A step as train/loop.py makes it, which returns its loss."""
    torch.manual_seed(0)
    model = Model(shape)
    model.initialize(torch.Generator().manual_seed(0))
    model.to(bench.device).train()
    optimizers = Optimizers(model, optim)
    scaler = GradScaler(bench.device.type, enabled=False)
    objective = Objective(model, BF16, compiled, World(bench.device))

    def step(parts: Parts) -> float:
        total = torch.zeros((), device=bench.device)
        positions = sum(ids.numel() for ids, _, _ in parts)
        for ids, documents, targets in parts:
            loss = objective(ids, documents, targets, 1 / positions)
            loss.backward()
            total += loss.detach()
        norm = float(optimizers.clip(scaler, 1.0))
        value = float(total)
        assert math.isfinite(norm) and math.isfinite(value), (norm, value)
        optimizers.step(scaler, 0.0)
        return value

    return step


def median_s(bench: Bench, action: Callable[[], object], rounds: int, warm: int = 2) -> float:
    """Seconds of an action, the median."""
    times = []
    for number in range(warm + rounds):
        bench.wait()
        started = time.perf_counter()
        action()
        bench.wait()
        if number >= warm:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def loss_part(bench: Bench, shape: ModelConfig) -> Callable[[], None]:
    positions = bench.sizes[-1] * bench.seq_len
    # In fp32, as the last norm gives it.
    hidden = torch.randn(positions, shape.dim, device=bench.device, requires_grad=True)
    weight = torch.randn(shape.vocab, shape.dim, device=bench.device).mul_(0.02).requires_grad_()
    targets = torch.randint(shape.vocab, (positions,), device=bench.device)

    def action() -> None:
        with torch.autocast(bench.device.type, BF16):
            cross_entropy(hidden, weight, targets, 1 / positions).backward()  # type: ignore[no-untyped-call]

    return action


def attention_ways(bench: Bench, shape: ModelConfig) -> tuple[list[Tensor], dict[str, Callable[[], Tensor]]]:
    """q, k and v of one layer, (B, H, T, W), and ways to compute its attention; all but the first for several texts."""
    rows, length = bench.sizes[-1], bench.seq_len
    heads, width = shape.heads, shape.head_width
    size = (rows, heads, length, width)
    q, k, v = (torch.randn(size, device=bench.device, dtype=BF16, requires_grad=True) for _ in range(3))
    first = first_seen(texts(rows, length, 0).to(bench.device))  # (B, T)
    place = torch.arange(length, device=bench.device)
    mask = (place[:, None] >= place)[None, None] & (place >= first[:, None, :, None])  # (B, 1, T, T)
    begins = (first == place).flatten().nonzero().flatten()
    ends = torch.cat((begins, begins.new_tensor([rows * length]))).to(torch.int32)  # of the texts, row after row

    def varlen() -> Tensor:
        flat_q, flat_k, flat_v = (x.transpose(1, 2).reshape(-1, heads, width) for x in (q, k, v))
        found = varlen_attn(flat_q, flat_k, flat_v, ends, ends, length, length, window_size=(-1, 0))
        assert isinstance(found, Tensor)
        return found.view(rows, length, heads, width).transpose(1, 2)

    def seen(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (key >= first[row, query])

    found = {REFERENCE[0]: lambda: _sdpa(q, k, v, None), REFERENCE[1]: lambda: _sdpa(q, k, v, mask)}
    if bench.device.type == "cuda":  # neither has a backward pass on a CPU
        blocks = create_block_mask(seen, rows, None, length, length, device=bench.device.type)
        fast: Callable[..., Tensor] = torch.compile(flex_attention)
        found["several, varlen_attn"] = varlen
        found["several, FlexAttention compiled"] = lambda: fast(q, k, v, block_mask=blocks)
    return [q, k, v], found


def parts(bench: Bench, name: str, shape: ModelConfig, measured: float) -> Iterator[dict[str, Any]]:
    """Loss and attention by themselves; the share is of the measured peak, `error` the distance from `REFERENCE[1]`."""
    if bench.late:
        return
    positions = bench.sizes[-1] * bench.seq_len
    start: dict[str, Any] = {"model": name, "positions": positions, "failed": None, "error": None}
    flops = 6.0 * positions * shape.dim * shape.vocab
    yield start | {"part": "loss"} | _timed(bench, loss_part(bench, shape), flops / measured)
    inputs, ways = attention_ways(bench, shape)
    reference = ways[REFERENCE[1]]().detach()
    slope = torch.randn_like(reference)
    flops = 6.0 * positions * bench.seq_len * shape.heads * shape.head_width

    def both(attention: Callable[[], Tensor]) -> None:
        torch.autograd.grad(attention(), inputs, slope)

    for way, attention in ways.items():
        if bench.late:
            return
        row = start | {"part": f"attention, {way}", "seconds": None, "share": None}
        try:
            if way not in REFERENCE:
                row["error"] = float((attention().detach() - reference).abs().max())
            row |= _timed(bench, partial(both, attention), flops / measured)
        except Exception as error:  # one way of several; why it does not go is a result
            row["failed"] = first_line(error)
        yield row


def _timed(bench: Bench, action: Callable[[], object], ideal_s: float) -> dict[str, Any]:
    seconds = median_s(bench, action, bench.steps)
    return {"seconds": seconds, "share": ideal_s / seconds}


def first_line(error: Exception) -> str:
    """A fault in one line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
