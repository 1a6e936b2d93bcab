"""Does training on a GPU compute what the CPU computes, and what share of the GPU's peak does it reach?

    python bench/gpu.py [--minutes 9] [--only checks|steps|parts ...] [--profile] [--json]
    python bench/gpu.py --device cpu --tiny [--eager]        # the same in miniature, to see that it runs

Checks: logits and gradients of random Llama and Qwen shapes against the CPU in fp32; the loss falls on rows that
repeat. Steps: configs/model-110m.yaml and model-350m.yaml with rows of 2,048, bf16 autocast, torch.compile and fused
AdamW, by the classes that `train pretrain` uses, with one text a row and with several under a mask; the largest of 64,
32, 16, 8, 4 rows at once that fits, parts added up to steps of 131,072 positions; the median of 10 steps behind those
that compile and warm up. Parts: the loss and the attention alone, forward and backward. Rows lie on the GPU already:
serving them takes 90 µs a row of one CPU core, during which the GPU waits.

MFU is tokens/s times FLOPs a token over the dense bf16 peak of the datasheet (train/peak.py); beside it stands the
share of what square products reach here. Half of the square of attention counts, under a mask too, where short texts
would need less: between layouts compare tokens/s. Asked on an H100: 38 % at 110 M, 44 % at 350 M, one text a row.

With several texts a row, train/model.py gives PyTorch's attention a mask (B, 1, T, T). FlashAttention takes none, so
the memory-efficient or the cuDNN kernel computes the whole square, and the mask becomes numbers, 2 B T² bytes, in each
layer anew unless the compiler shares them. `Parts` shows that beside ways that leave out what is not seen: varlen_attn
(FlashAttention over texts of different lengths) and FlexAttention. Not tried: these two inside the model,
FlashAttention 3 and 4, fp8, CUDA graphs (mode="reduce-overhead"), several GPUs, GPUs without bf16.
"""

import argparse
import gc
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from gpu_parts import (
    BF16,
    LAYOUTS,
    Bench,
    Parts,
    check_learning,
    check_shape,
    first_line,
    median_s,
    parts,
    random_shapes,
    say,
    texts,
    trainer,
)

from runkit.errors import UsageError
from train.model_config import ModelConfig
from train.optim_config import OptimConfig
from train.peak import find_device, matmul_peak
from train.plan_sizes import Rows, memory
from train.pretrain_config import PretrainConfig

ROOT: Final = Path(__file__).parent.parent
ASKED: Final = {"110m": 0.38, "350m": 0.44}
SURELY_TOO_MUCH: Final = 1.5  # times the memory: torch.compile keeps less than train/plan_sizes.py counts


def datasheet_peak(device: torch.device) -> float | None:
    """Dense bf16 FLOP/s that the vendor states; None: train/peak.py does not know the device."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    words = [word for word in name.replace("-", " ").split() if word not in ("NVIDIA", "GeForce", "Tesla", "AMD")]
    if not words or "MIG" in words:
        return None
    size = next((word.removesuffix("GB") for word in words if word.endswith("GB")), "")
    kind = next((word for word in words if word in ("PCIe", "NVL")), "")
    # From the most to the least that a name says; "NVIDIA H100 80GB HBM3" is found as H100, never A100 as A10.
    for name in ("-".join(words), f"{words[0]}-{kind}", f"{words[0]}-{size}", words[0]):
        try:
            return find_device(name).bf16
        except UsageError:
            continue
    return None


def steps(bench: Bench, name: str, config: PretrainConfig, layout: str) -> dict[str, Any]:
    """Training steps with the largest number of rows at once that fits."""
    assert config.model is not None
    room = torch.cuda.get_device_properties(bench.device).total_memory if bench.device.type == "cuda" else math.inf
    row: dict[str, Any] = {"model": name, "layout": layout, "failed": "out of time"}
    for rows in bench.sizes:
        needed = memory(config.model, config, Rows(rows, bench.seq_len, True, True, False), 1).total
        if needed > SURELY_TOO_MUCH * room:
            continue
        if bench.late:
            break
        say(f"{name}, {layout}: {rows} rows at once …")
        try:
            return row | {"failed": None} | timed(bench, config.model, config.optim, layout, rows)
        except torch.OutOfMemoryError as error:
            row["failed"] = first_line(error)
        except Exception as error:
            return row | {"failed": first_line(error)}
        finally:
            gc.collect()
            torch.compiler.reset()  # or the next size would be compiled for any size
            if bench.device.type == "cuda":
                torch.cuda.empty_cache()
    return row


def timed(bench: Bench, shape: ModelConfig, optim: OptimConfig, layout: str, rows: int) -> dict[str, Any]:
    """Figures of steps with so many rows at once. OutOfMemoryError: they do not fit."""
    step = trainer(bench, shape, optim, compiled=not bench.eager)
    generator = torch.Generator().manual_seed(1)
    given: Parts = []
    for number in range(bench.sizes[0] // rows):
        ids = torch.randint(shape.vocab, (rows, bench.seq_len + 1), generator=generator).to(bench.device)
        documents = texts(rows, bench.seq_len, number).to(bench.device) if layout != LAYOUTS[0] else None
        given.append((ids[:, :-1].contiguous(), documents, ids[:, 1:].contiguous()))
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(bench.device)
    started = time.perf_counter()
    step(given)
    first_s = time.perf_counter() - started
    seconds = median_s(bench, lambda: step(given), bench.steps)
    positions = bench.sizes[0] * bench.seq_len
    found = {
        "rows_at_once": rows,
        "positions": positions,
        "first_step_s": first_s,  # compiling
        "step_s": seconds,
        "tokens_per_s": positions / seconds,
        "flops_per_s": positions / seconds * shape.flops_per_token(bench.seq_len),
        "memory_bytes": torch.cuda.max_memory_allocated(bench.device) if bench.device.type == "cuda" else None,
    }
    return found | ({"kernels": kernels(bench, lambda: step(given))} if bench.profile else {})


def kernels(bench: Bench, action: Callable[[], object]) -> list[dict[str, Any]]:
    """The twelve kernels that take most of a step's time on the device, with their share of it."""
    on_gpu = bench.device.type == "cuda"
    activity = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[activity.CUDA if on_gpu else activity.CPU]) as profile:
        action()
        bench.wait()
    times = {
        one.key: one.self_device_time_total if on_gpu else one.self_cpu_time_total for one in profile.key_averages()
    }
    whole = sum(times.values())
    most = sorted(times, key=times.__getitem__, reverse=True)[:12]
    return [{"kernel": key[:100], "share": times[key] / whole} for key in most]


def shapes(bench: Bench) -> dict[str, PretrainConfig]:
    """What is timed: the shipped configs with rows of 2,048."""
    length = bench.seq_len
    more = [f"model.seq_len={length}", f"data.seq_len={length}", f"batch_rows={bench.sizes[0]}", "micro_rows=null"]
    if bench.tiny:
        more += ["model.vocab=512", "model.dim=64", "model.layers=2", "model.heads=2"]
    return {name: PretrainConfig.load(ROOT / "configs" / f"model-{name}.yaml", more) for name in ASKED}


def judged(row: dict[str, Any], stated: float | None, measured: float) -> dict[str, Any]:
    """A row of steps with its shares of both peaks and what was asked."""
    asked = ASKED[row["model"]] if row["layout"] == LAYOUTS[0] else None
    if row["failed"] is not None:
        return row | {"mfu": None, "share_of_measured": None, "asked_mfu": asked}
    mfu = None if stated is None else row["flops_per_s"] / stated
    return row | {"mfu": mfu, "share_of_measured": row["flops_per_s"] / measured, "asked_mfu": asked}


def tell(found: dict[str, Any]) -> None:
    """The table, to stdout."""
    stated = found["datasheet_peak"]
    by_datasheet = "unknown to train/peak.py" if stated is None else f"{stated / 1e12:,.1f} by its datasheet"
    print(f"{found['device']}, torch {found['torch']}")
    print(f"{found['measured_peak'] / 1e12:,.1f} TFLOP/s measured in products of bf16, {by_datasheet}.")
    failed = [row for row in found["checks"] if not row["passed"]]
    print(f"{len(found['checks']) - len(failed)} of {len(found['checks'])} checks passed.")
    for row in failed:
        print(f"FAILED: {row['check']}: {row['error']:.3g}, at most {row['limit']:g}")
    print("\nmodel  layout             rows   tokens/s     MFU   of measured   asked   memory GB   first step s")
    for row in found["steps"]:
        start = f"{row['model']:<6} {row['layout']:<17}"
        if row["failed"] is not None:
            print(f"{start}  not measured: {row['failed']}")
            continue
        gb = "–" if row["memory_bytes"] is None else f"{row['memory_bytes'] / 1e9:.1f}"
        mfu, of_measured, asked = (_percent(row[key]) for key in ("mfu", "share_of_measured", "asked_mfu"))
        speed = f"{row['rows_at_once']:>5} {row['tokens_per_s']:>10,.0f}"
        print(f"{start} {speed} {mfu:>7} {of_measured:>13} {asked:>7} {gb:>11} {row['first_step_s']:>14.1f}")
        for kernel in row.get("kernels", []):
            print(f"       {kernel['share']:6.1%} {kernel['kernel']}")
    print("\nmodel  part, forward and backward                        ms   of measured peak   error")
    for row in found["parts"]:
        figures = row["failed"]
        if figures is None:
            error = "" if row["error"] is None else f"{row['error']:.3f}"
            figures = f"{row['seconds'] * 1e3:>9.2f} {_percent(row['share']):>18} {error:>7}"
        print(f"{row['model']:<6} {row['part']:<46} {figures}")
    if found["out_of_time"]:
        print("The time was over before all was measured; give more --minutes, or some of it by --only.")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def run(bench: Bench, only: set[str]) -> dict[str, Any]:
    """All that is measured, the asked figures first."""
    checks: list[dict[str, Any]] = []
    if "checks" in only:
        for name, shape in random_shapes():
            say(f"Checking {name} …")
            checks += check_shape(bench, name, shape)
        checks.append(check_learning(bench))
    stated, measured = datasheet_peak(bench.device), matmul_peak(bench.device, BF16)
    configs = shapes(bench)
    timed_rows: list[dict[str, Any]] = []
    part_rows: list[dict[str, Any]] = []
    for layout in LAYOUTS if "steps" in only else ():
        timed_rows += [judged(steps(bench, name, configs[name], layout), stated, measured) for name in configs]
    for name, config in configs.items() if "parts" in only else ():
        say(f"{name}, parts …")
        assert config.model is not None
        part_rows += parts(bench, name, config.model, measured)
    return {
        "device": torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "CPU",
        "torch": torch.__version__,
        "datasheet_peak": stated,
        "measured_peak": measured,
        "checks": checks,
        "steps": timed_rows,
        "parts": part_rows,
        "out_of_time": bench.late,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small shapes and few steps; its figures mean nothing")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which no new measurement is begun")
    parser.add_argument("--only", nargs="+", choices=["checks", "steps", "parts"], default=["checks", "steps", "parts"])
    parser.add_argument("--profile", action="store_true", help="list the kernels that take most of a step")
    parser.add_argument("--json", action="store_true")
    call = parser.parse_args()
    if call.device == "cuda" and not torch.cuda.is_available():
        say("PyTorch finds no CUDA device here; run this on a machine with a GPU, or give --device cpu --tiny.")
        return 2
    if call.device == "cpu" and not call.tiny:
        say("A CPU would take hours for these shapes; give --tiny.")
        return 2
    deadline = time.perf_counter() + 60 * call.minutes
    bench = Bench(torch.device(call.device), call.tiny, call.eager, call.profile, deadline)
    if call.device == "cpu":
        torch.set_num_threads(1)
    found = run(bench, set(call.only))
    if call.json:
        print(json.dumps(found))
    else:
        tell(found)
    return 0 if all(row["passed"] for row in found["checks"]) else 1


if __name__ == "__main__":
    sys.exit(main())
