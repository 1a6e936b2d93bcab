"""How weights are moved, and the learning rate of each step; no torch is needed to read it."""

import math
from typing import Annotated, Literal

from pydantic import Field

from runkit.config import Config


class OptimConfig(Config):
    """How weights are moved."""

    kind: Literal["adamw", "muon"] = "adamw"
    """muon: matrices of the blocks by Muon; everything else, adapters too, by AdamW."""
    lr: Annotated[float, Field(gt=0, le=1)] = 6e-4
    """Highest learning rate of AdamW."""
    muon_lr: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Highest learning rate of Muon."""
    min_lr: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the highest rate that is left at the end."""
    warmup: Annotated[int, Field(ge=0)] = 100
    """Steps from 0 to the highest rate."""
    schedule: Literal["cosine", "wsd"] = "cosine"
    """wsd: warm-up, stable, then a linear decay over the last `decay` of the steps, behind the warm-up."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of the steps that the decay of wsd takes."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.1
    """Of matrices; norms and biases have none."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """AdamW's memory of the gradient."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """AdamW's memory of its square."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient."""


def rate(config: OptimConfig, step: int, steps: int) -> float:
    """Share of the highest learning rate in `step` (from 0) of `steps`."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    left = config.min_lr
    if config.schedule == "wsd":
        start = max(config.warmup, steps - max(1, round(config.decay * steps)))
        done = max(0.0, (step - start + 1) / (steps - start))
        return 1 - (1 - left) * done
    done = (step - config.warmup + 1) / (steps - config.warmup)
    return left + (1 - left) * 0.5 * (1 + math.cos(math.pi * done))


def warmup_fault(config: OptimConfig, steps: int) -> str | None:
    """A sentence when the highest rate is never reached, or only in the last step."""
    if config.warmup < steps:
        return None
    return (
        f"optim.warmup = {config.warmup:,} is no less than the {steps:,} {'step' if steps == 1 else 'steps'} of the "
        "training, so the learning rate rises to the end; lower optim.warmup."
    )
