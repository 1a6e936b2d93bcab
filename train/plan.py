"""`train plan`: what a training will take, before it takes it: parameters, memory, disk, tokens, hours.

In: a `PretrainConfig`, perhaps folders of token shards, names of GPUs. Out: a table on stderr, the same as JSON. All is
arithmetic (train/plan_sizes.py) but the speed of this machine, which is measured when the caller brings the means to.
Price: nothing to speak of; 1 s for a million documents of shards; some seconds to measure.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from runkit.console import emit_json
from runkit.errors import InputError, UsageError
from train.data import Documents, DrawnSource, training_data
from train.model_config import ModelConfig
from train.optim_config import warmup_fault
from train.peak import Device, find_device
from train.plan_report import tell
from train.plan_sizes import Memory, Rows, checkpoint_bytes, memory, parameters, recomputed_flops
from train.pretrain_config import PretrainConfig
from train.shards import open_shards

MFU: Final = 0.40  # what others reach: 41 % with 12 layers, 50 % with 24 on an H100 (nanochat's log)
GPU_SHARE: Final = MFU
CPU_SHARE: Final = 0.75  # of the matmul peak; 0.88 was measured for 26 million parameters on one core
USABLE: Final = 0.90  # of a GPU's memory; CUDA itself and gaps between tensors take the rest
BEST: Final = 20  # tokens a parameter that give the lowest loss for the compute (arXiv:2203.15556, table 3)
SMALL_MODELS: Final = (100, 200)  # what models are trained on that shall be small rather than cheap to train
GOOD_EPOCHS: Final = 4  # nearly as good as new data (arXiv:2305.16264)
FADING: Final = 15.4  # repetitions after which those that follow are worth 1/e (arXiv:2305.16264, section 6)


@dataclass(frozen=True, slots=True)
class PlanCall:
    """The command line of `train plan`, parsed."""

    config: PretrainConfig
    shards: list[Path]  # may be none
    devices: list[str]  # names of `train.peak.DEVICES`
    gpus: int
    mfu: float | None
    tokens: int | None
    as_json: bool
    quiet: bool  # nothing but the JSON, if that is asked for


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that this runs on, measured."""

    name: str
    gpu: bool
    dtype: str
    memory_bytes: int
    peak: float  # FLOP/s of matrix products
    tokens_per_s: float | None  # of forward and backward
    why_not: str | None  # a reason where that is None


@dataclass(frozen=True, slots=True)
class Tokens:
    """How much is trained on."""

    tokens: int  # positions of all steps
    steps: int
    because: str
    sources: list[DrawnSource]  # of the shards, if there are some


@dataclass(frozen=True, slots=True)
class Estimate:
    """One way to train: on this machine or on a number of named GPUs."""

    device: str
    count: int
    dtype: str
    peak: float  # FLOP/s of one
    share: float  # of it that is reached; what checkpointing computes again counts as work
    share_is: str  # measured, given or assumed
    tokens_per_s: float  # of all
    hours: float
    device_hours: float
    memory: Memory  # of one process
    memory_bytes: int  # that one device has
    micro_rows: int
    fits: bool
    largest_micro_rows: int  # that fit; 0: none
    source: str


def plan(call: PlanCall, measure: Callable[[PretrainConfig, ModelConfig], Machine] | None = None) -> None:
    """Tell; `measure` is `train.plan_machine.measured`, None: nothing is said of this machine.

    UsageError: no model, an unknown device. InputError: shards without a whole step, and what `open_shards` raises.
    """
    model = _checked(call)
    devices = [find_device(name) for name in call.devices]
    tokens = _tokens(call, model)
    machine = measure(call.config, model) if measure is not None else None
    estimates = [] if machine is None else [_here(machine, call, model, tokens)]
    estimates += [_elsewhere(device, call, model, tokens) for device in devices]
    found = _figures(call.config, model, tokens, machine, estimates)
    if call.as_json:
        emit_json(found)
    if not (call.as_json and call.quiet):
        tell(found)


def worth(fresh: float, epochs: float) -> float:
    """New tokens that `epochs` over `fresh` ones are as good as (arXiv:2305.16264, equation 5)."""
    if epochs <= 1:
        return fresh * epochs
    return fresh * (1 + FADING * (1 - math.exp(-(epochs - 1) / FADING)))


def _checked(call: PlanCall) -> ModelConfig:
    config = call.config
    if config.model is None:
        raise UsageError("The config has no model; give its shape, as configs/model-26m.yaml does.")
    if config.lora is not None or config.train_only != "all":
        raise UsageError("A plan counts the training of all weights; leave lora and train_only out of its config.")
    if call.gpus < 1 or config.batch_rows % call.gpus:
        raise UsageError(
            f"batch_rows = {config.batch_rows} cannot be split evenly over gpus = {call.gpus}; change one of them."
        )
    return config.model


def _tokens(call: PlanCall, model: ModelConfig) -> Tokens:
    """How much is trained on, and which of the settings says so."""
    config = call.config
    step = config.batch_rows * config.data.seq_len
    sources: list[DrawnSource] = []
    rows = 0
    if call.shards:
        documents = Documents([open_shards(path) for path in call.shards])
        data = training_data(documents, config.data)
        sources, rows = data.sources, len(data.rows)
    if call.tokens is not None:
        steps, because = call.tokens // step, "as asked"
    elif config.steps is not None:
        steps, because = config.steps, "steps of the config"
    elif config.data.tokens is not None:
        steps, because = config.data.tokens // step, "data.tokens of the config"
    elif call.shards:
        steps, because = rows // config.batch_rows, "one epoch of the source that runs out first"
        if steps == 0:
            raise InputError(
                f"The shards make {rows:,} rows, fewer than batch_rows = {config.batch_rows:,}; give more documents or "
                "lower batch_rows."
            )
    else:
        steps, because = BEST * model.parameters // step, f"{BEST} a parameter, since neither config nor shards say"
    steps = max(1, steps)
    return Tokens(steps * step, steps, because, sources)


def _here(machine: Machine, call: PlanCall, model: ModelConfig, tokens: Tokens) -> Estimate:
    """One process on this machine."""
    work = _work(call.config, model)
    if machine.tokens_per_s is not None:
        share, why = machine.tokens_per_s * work / machine.peak, "measured"
    else:
        share, why = (GPU_SHARE if machine.gpu else CPU_SHARE), f"assumed, not measured: {machine.why_not}"
    speed = share * machine.peak / work
    device = Device(machine.name, None, 0.0, 0.0, machine.memory_bytes, "measured")
    return _estimate(device, 1, machine.dtype, (machine.peak, share, why, speed), call, model, tokens, machine.gpu)


def _elsewhere(device: Device, call: PlanCall, model: ModelConfig, tokens: Tokens) -> Estimate:
    """`call.gpus` of a named device."""
    dtype = call.config.dtype
    if dtype == "auto":
        dtype = "fp16" if device.bf16 is None else "bf16"
    peak, share = device.peak(dtype), call.mfu or MFU
    speed = call.gpus * peak * share / _work(call.config, model)
    why = "given" if call.mfu else "assumed"
    return _estimate(device, call.gpus, dtype, (peak, share, why, speed), call, model, tokens, gpu=True)


def _estimate(
    device: Device,
    count: int,
    dtype: str,
    speed: tuple[float, float, str, float],
    call: PlanCall,
    model: ModelConfig,
    tokens: Tokens,
    gpu: bool,
) -> Estimate:
    config = call.config
    most = config.batch_rows // count
    rows = Rows(min(config.micro_rows or most, most), config.data.seq_len, dtype != "fp32", gpu, config.checkpointing)
    needed = memory(model, config, rows, count)
    room = USABLE * device.memory_bytes
    largest = _largest(lambda n: memory(model, config, replace(rows, rows=n), count).total <= room, most)
    hours = tokens.tokens / speed[3] / 3600
    return Estimate(
        device=device.name,
        count=count,
        dtype=dtype,
        peak=speed[0],
        share=speed[1],
        share_is=speed[2],
        tokens_per_s=speed[3],
        hours=hours,
        device_hours=hours * count,
        memory=needed,
        memory_bytes=device.memory_bytes,
        micro_rows=rows.rows,
        fits=needed.total <= room,
        largest_micro_rows=largest,
        source=device.source,
    )


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number up to `most` that fits; 0: none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _work(config: PretrainConfig, model: ModelConfig) -> float:
    """FLOPs of a token, those that are computed again among them."""
    seq_len = config.data.seq_len
    again = recomputed_flops(model, seq_len) if config.checkpointing else 0.0
    return model.flops_per_token(seq_len) + again


def _figures(
    config: PretrainConfig, model: ModelConfig, tokens: Tokens, machine: Machine | None, estimates: list[Estimate]
) -> dict[str, Any]:
    flops = model.flops_per_token(config.data.seq_len)
    disk = checkpoint_bytes(model, config)
    return {
        "config": config.model_dump(mode="json"),
        "parameters": asdict(parameters(model)),
        "checkpoint_bytes": disk,
        "disk_bytes": disk * (config.keep + 1),  # the oldest goes when the newest is whole
        "flops_per_token": flops,
        "recomputed_flops_per_token": _work(config, model) - flops,
        "flops": flops * tokens.tokens,
        "tokens": tokens.tokens,
        "tokens_because": tokens.because,
        "steps": tokens.steps,
        "positions_per_step": config.batch_rows * config.data.seq_len,
        "tokens_per_parameter": tokens.tokens / model.parameters,
        "best_tokens": BEST * model.parameters,
        "small_model_tokens": [times * model.parameters for times in SMALL_MODELS],
        "warnings": [fault] if (fault := warmup_fault(config.optim, tokens.steps)) is not None else [],
        "sources": [_epochs(source, tokens.tokens) for source in tokens.sources],
        "machine": None if machine is None else asdict(machine),
        "estimates": [asdict(one) | {"memory": asdict(one.memory) | {"total": one.memory.total}} for one in estimates],
    }


def _epochs(source: DrawnSource, tokens: int) -> dict[str, Any]:
    """How often the run goes round a source."""
    wanted = tokens * source.weight
    epochs = wanted / source.tokens if source.tokens else 0.0
    return {
        "source": source.source,
        "tokens": source.tokens,
        "weight": source.weight,
        "epochs": epochs,
        "worth_tokens": worth(source.tokens, epochs),
        "too_often": epochs > GOOD_EPOCHS,
    }
