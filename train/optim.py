"""Optimizers of a model: AdamW for everything, or Muon for the matrices of the blocks and AdamW for the rest.

In: a model and an `OptimConfig`. Out: `Optimizers`, which moves the weights, and whose state is named by weight, so
that a checkpoint does not depend on their order. Muon orthogonalises each update. Price: AdamW keeps
two numbers a weight and Muon one; Muon's five matrix products cost about 1 % of a step of 500,000 tokens, and much
more where a step is small.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from runkit.errors import InputError
from train.distributed import parted, whole
from train.muon import Muon
from train.optim_config import OptimConfig


class Optimizers:
    """One or two optimizers that are used as one; weights that need no gradient are left alone."""

    def __init__(self, model: nn.Module, config: OptimConfig) -> None:
        named = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.names: dict[Tensor, str] = {weight: name for name, weight in named.items()}
        self.weights = list(named.values())
        muon = {name for name, weight in named.items() if config.kind == "muon" and _in_block(name, weight)}
        rest = [weight for name, weight in named.items() if name not in muon]
        self.parts: list[torch.optim.Optimizer] = []
        if rest:
            self.parts.append(_adamw(rest, config))
        if muon:
            matrices = [named[name] for name in named if name in muon]
            self.parts.append(Muon(matrices, config.muon_lr, config.weight_decay))
        self._highest = [[float(group["lr"]) for group in part.param_groups] for part in self.parts]

    def set_rate(self, share: float) -> float:
        """Set each learning rate to a share of its highest; returns that of the first group."""
        for part, highest in zip(self.parts, self._highest, strict=True):
            for group, rate in zip(part.param_groups, highest, strict=True):
                group["lr"] = rate * share
        return self._highest[0][0] * share

    def clip(self, scaler: GradScaler, limit: float) -> Tensor:
        """Scale the gradient down to a norm of at most `limit`; returns its norm before, a scalar."""
        for part in self.parts:
            scaler.unscale_(part)
        return whole(nn.utils.clip_grad_norm_(self.weights, limit))

    def step(self, scaler: GradScaler, norm: float) -> None:
        """Move the weights; with fp16, a gradient that overflowed, so that its `norm` is no number, moves nothing.

        The scaler looks at each part by itself; here all are moved or none.
        """
        if not scaler.is_enabled() or math.isfinite(norm):
            for part in self.parts:
                scaler.step(part)
        scaler.update()
        self.zero_grad()

    def zero_grad(self) -> None:
        """Forget the gradient."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """The state, named "<what>/<weight>"; empty before the first step. Under fsdp: this process' parts."""
        found = {}
        for part in self.parts:
            for weight, state in part.state.items():
                for what, value in state.items():
                    found[f"{what}/{self.names[weight]}"] = value
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave. InputError: it belongs to other weights or another optimizer."""
        states: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            what, _, name = key.partition("/")
            states.setdefault(name, {})[what] = value
        if tensors and states.keys() != set(self.names.values()):
            odd = sorted(states.keys() ^ set(self.names.values()))
            raise InputError(
                f"The optimizer's state does not fit the model at {odd[0]}; use the config it was made by."
            )
        for part in self.parts:
            ordered = [weight for group in part.param_groups for weight in group["params"]]
            own = {}
            for number, weight in enumerate(ordered if states else []):
                own[number] = {what: parted(value, weight) for what, value in states[self.names[weight]].items()}
            part.load_state_dict({"state": own, "param_groups": part.state_dict()["param_groups"]})


def _in_block(name: str, weight: Tensor) -> bool:
    # An adapter is no matrix that acts alone: of A and B only the product counts, and orthogonal factors are not its.
    return ".layers." in name and weight.ndim == 2 and ".lora_" not in name


def _adamw(weights: Iterable[nn.Parameter], config: OptimConfig) -> torch.optim.AdamW:
    weights = list(weights)
    matrices = [weight for weight in weights if weight.ndim >= 2]
    vectors = [weight for weight in weights if weight.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        fused=all(weight.device.type in ("cpu", "cuda") for weight in weights),
    )
