"""Before a run begins: which number type, how many threads, and whether torch.compile pays, by trying.

In: the model, the rows of the first step and the settings. Out: a `Choice`, kept in `probe.json`, because a run that
goes on must compute as it began; another machine is probed anew. Nothing of the model is changed. Price: a few steps on
at most 512 positions of one row, 1 s for 26 M parameters on one core; compiling, half a minute to two, is only tried
where a run takes long enough to gain that back several times over.
"""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson
import torch

from runkit.console import say
from runkit.files import write_json
from train.data import Batch
from train.loss import cross_entropy
from train.model import Model
from train.number_types import DTYPES, by_rule
from train.peak import matmul_peak
from train.pretrain_config import LoopConfig

Settings = TypeVar("Settings", bound=LoopConfig)
FILE: Final = "probe.json"
_POSITIONS: Final = 512  # of a row that is tried
_WORTH_S: Final = 60.0  # a shorter run is not probed: it could gain less than it costs
_COMPILE_GAIN: Final = 0.12  # share of the time that compiling saves on a CPU, the least of what was measured
_COMPILE_S: Final = 120.0  # what compiling may take
_CLEARLY: Final = 1.05  # so much faster, or it is noise


@dataclass(frozen=True, slots=True)
class Choice:
    """How a run computes, on which device, and what was measured."""

    device: str
    dtype: str
    compile: str
    threads: int
    peak_flops: float  # FLOP/s of large matrix products so
    why: str  # a sentence for people

    def applied(self, config: Settings) -> Settings:
        """`config` with nothing left to be chosen."""
        return config.model_copy(update={"dtype": self.dtype, "compile": self.compile, "threads": self.threads})


def probe(run: Path, model: Model, parts: Sequence[Batch], config: LoopConfig, steps: int) -> Choice:
    """What the run was begun with, or else what is fastest; the number of threads is set.

    `parts` are the rows of one step.
    """
    device = model.lm_head.weight.device
    kept = _kept(run / FILE, _name(device))
    choice = kept if kept is not None else _choose(model, parts, config, steps)
    torch.set_num_threads(choice.threads)
    if kept is None:
        write_json(run / FILE, asdict(choice))
    say(choice.why)
    return choice


def fixed(run: Path, device: torch.device, config: LoopConfig) -> Choice:
    """The choice for one of several processes, which must compute alike: as the run was begun by one, else by rule.

    It is not kept: with another number of processes another number of threads is right.
    """
    kept = _kept(run / FILE, _name(device))
    dtype = by_rule(config.dtype, device) if kept is None else kept.dtype
    compiled = _compiled_by_rule(config, device)
    threads = config.threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    peak = matmul_peak(device, DTYPES[dtype])
    return Choice(_name(device), dtype, compiled, threads, peak, _sentence(dtype, compiled, threads, device, ""))


def _choose(model: Model, parts: Sequence[Batch], config: LoopConfig, steps: int) -> Choice:
    device = model.lm_head.weight.device
    positions = sum(part.inputs.size for part in parts)
    few = _cut(parts[0])
    before = torch.get_num_threads()
    threads = config.threads or before
    torch.set_num_threads(threads)
    dtype, why = by_rule(config.dtype, device), []
    first_s = _seconds(model, model.hidden, few, dtype)
    left_s = first_s / few.inputs.size * positions * steps
    if left_s > _WORTH_S and device.type == "cpu":
        if config.threads is None:
            threads, first_s = _best_threads(model, few, dtype, before, first_s)
            torch.set_num_threads(threads)
        if config.dtype == "auto":
            other = "fp32" if dtype == "bf16" else "bf16"
            tried = {dtype: first_s, other: _seconds(model, model.hidden, few, other)}
            dtype = "bf16" if tried["fp32"] > _CLEARLY * tried["bf16"] else "fp32"
            why.append(f"bf16 is {tried['fp32'] / tried['bf16']:.2f} times as fast as fp32")
            first_s = tried[dtype]
        left_s = first_s / few.inputs.size * positions * steps
    compiled = _compiled_by_rule(config, device)
    if config.compile == "auto" and device.type == "cpu" and left_s * _COMPILE_GAIN > 2 * _COMPILE_S:
        compiled, told = _try_compile(model, parts[0], dtype)
        why.append(told)
    peak = matmul_peak(device, DTYPES[dtype])
    model.zero_grad(set_to_none=True)
    sentence = _sentence(dtype, compiled, threads, device, "; ".join(why))
    torch.set_num_threads(before)
    return Choice(_name(device), dtype, compiled, threads, peak, sentence)


def _compiled_by_rule(config: LoopConfig, device: torch.device) -> str:
    """Without trying: only on a GPU, where it always pays."""
    return "on" if config.compile == "on" or (config.compile == "auto" and device.type == "cuda") else "off"


def _best_threads(model: Model, part: Batch, dtype: str, most: int, seconds: float) -> tuple[int, float]:
    """Fewer threads than cores are faster where a container may not use all that it sees."""
    best, count = (most, seconds), most // 2
    while count >= 1:
        torch.set_num_threads(count)
        taken = _seconds(model, model.hidden, part, dtype)
        if taken * _CLEARLY > best[1] and best[0] != most:
            break
        if taken * _CLEARLY < best[1]:
            best = (count, taken)
        count //= 2
    return best


def _try_compile(model: Model, part: Batch, dtype: str) -> tuple[str, str]:
    """on or off, and a sentence."""
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++", "c++")):
        return "off", "there is no C++ compiler for torch.compile"
    say("Trying torch.compile, which takes a minute or two …")
    eager_s = _seconds(model, model.hidden, part, dtype)
    compiled_s = _seconds(model, torch.compile(model.hidden), part, dtype)
    told = f"torch.compile makes a step {eager_s / compiled_s:.2f} times as fast"
    return ("on" if eager_s > _CLEARLY * compiled_s else "off"), told


def _seconds(model: Model, hidden: Callable[..., torch.Tensor], part: Batch, dtype: str) -> float:
    """Of forward and backward over a part, the better of two behind one that warms up."""
    device = model.lm_head.weight.device
    inputs = torch.from_numpy(part.inputs).to(device, torch.int64)
    targets = torch.from_numpy(part.targets).to(device, torch.int64)
    documents = torch.from_numpy(part.documents).to(device) if part.documents.max() > 0 else None
    times = []
    for _ in range(3):
        started = time.perf_counter()
        with torch.autocast(device.type, DTYPES[dtype], enabled=dtype != "fp32"):
            states = hidden(inputs, documents)  # (B, T, D)
            loss = cross_entropy(states.flatten(0, 1), model.lm_head.weight, targets.flatten(), 1 / targets.numel())
        loss.backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
        model.zero_grad(set_to_none=True)
    return min(times[1:])


def _cut(part: Batch) -> Batch:
    """One row, its first positions."""
    columns = (part.inputs, part.targets, part.documents, part.positions)
    return Batch(*(column[:1, :_POSITIONS] for column in columns))


def _sentence(dtype: str, compiled: str, threads: int, device: torch.device, why: str) -> str:
    where = (
        f"{_name(device)}, {threads} {'thread' if threads == 1 else 'threads'}"
        if device.type == "cpu"
        else _name(device)
    )
    how = "with torch.compile" if compiled == "on" else "without torch.compile"
    return f"Computing in {dtype} on {where}, {how}{f' ({why})' if why else ''}."


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU of {os.cpu_count()} cores"


def _kept(path: Path, device: str) -> Choice | None:
    """What a run was begun with; None: its first start, another device now, or a file that was cut or edited."""
    try:
        stated: dict[str, Any] = orjson.loads(path.read_bytes())
        choice = Choice(**stated)
        usable = choice.dtype in DTYPES and choice.compile in ("on", "off") and choice.peak_flops > 0
        usable = usable and type(choice.threads) is int and choice.threads > 0 and isinstance(choice.why, str)
    except (OSError, ValueError, TypeError):
        return None
    return choice if usable and choice.device == device else None
