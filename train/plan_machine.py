"""How fast this machine trains a model, by doing it for a few seconds.

In: a `PretrainConfig`. Out: a `Machine`: the peak of its matrix products and the tokens a second of real forward and
backward passes. Nothing is compiled and no weight is moved: the first takes a minute to save 15 to 23 %, the second
costs little where a step is large. Price: 1 to 8 s.
"""

import os
import time
from typing import Final

import torch

from train.loss import cross_entropy
from train.model import Model
from train.model_config import ModelConfig
from train.number_types import DTYPES, by_rule
from train.peak import matmul_peak
from train.plan import CPU_SHARE, GPU_SHARE, Machine
from train.plan_sizes import FP32, Rows, activations, working
from train.pretrain_config import PretrainConfig

ONE_PASS_S: Final = 2.0  # what a pass over the rows should take
LONGEST_PASS_S: Final = 4.0  # of one row; there is one to warm up and one at least that counts
TEXTS: Final = 4  # in a row


def measured(config: PretrainConfig, model: ModelConfig) -> Machine:
    """Measure on the GPU if there is one, with `config.threads` of the CPU."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    named = by_rule(config.dtype, device)
    dtype = DTYPES[named]
    gpu = device.type == "cuda"
    peak = matmul_peak(device, dtype)
    seq_len = config.data.seq_len
    row_s = model.flops_per_token(seq_len) * seq_len / (peak * (GPU_SHARE if gpu else CPU_SHARE))
    wanted = max(1, min(config.micro_rows or config.batch_rows, int(ONE_PASS_S / row_s)))
    total, free = torch.cuda.mem_get_info(device)[::-1] if gpu else (_physical_bytes(), _physical_bytes() // 2)
    rows = Rows(wanted, seq_len, dtype != torch.float32, gpu, config.checkpointing)
    needed = 2 * FP32 * model.parameters + activations(model, rows) + working(model, rows)
    speed, why_not = None, None
    if row_s > LONGEST_PASS_S:
        why_not = f"one row would take about {row_s:,.0f} s"
    elif needed > free:
        why_not = f"it would take {needed / 1e9:,.1f} GB of memory"
    else:
        speed = _tokens_per_s(model, rows, device, dtype)
    return Machine(
        name=torch.cuda.get_device_name(device) if gpu else f"CPU × {torch.get_num_threads()}",
        gpu=gpu,
        dtype=named,
        memory_bytes=total,
        peak=peak,
        tokens_per_s=speed,
        why_not=why_not,
    )


def _tokens_per_s(config: ModelConfig, rows: Rows, device: torch.device, dtype: torch.dtype) -> float:
    """Of the fastest pass; the first is left out, as it fills caches and allocates."""
    generator = torch.Generator().manual_seed(0)
    model = Model(config)
    model.initialize(generator)
    model.checkpointing = rows.checkpointing
    model.to(device).train()
    ids = torch.randint(config.vocab, (rows.rows, rows.seq_len + 1), generator=generator).to(device)  # (B, T + 1)
    texts = (torch.arange(rows.seq_len, device=device) * TEXTS // rows.seq_len).expand(rows.rows, -1)  # (B, T)
    times: list[float] = []
    while len(times) < 2 or sum(times) < ONE_PASS_S:
        started = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            hidden = model.hidden(ids[:, :-1], texts)  # (B, T, D)
            loss = cross_entropy(hidden.flatten(0, 1), model.lm_head.weight, ids[:, 1:].flatten(), 1 / rows.positions)
        loss.backward()  # type: ignore[no-untyped-call]
        model.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return rows.positions / min(times[1:])


def _physical_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
