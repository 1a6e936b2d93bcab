"""What is minimised, as one module, so that processes can share the work of it: DDP or FSDP2.

In: a model. Out: `placed` brings it to its device, under `fsdp` a part of every weight to each process; `Objective`
gives the loss of some rows. Price of ddp (arXiv:2006.15704): the whole model and its optimizer in each process. Price
of fsdp (arXiv:2304.11277): each block's weights travel twice a part, in fp32, whole gradients are held while the parts
of a step add up, and each product within Muon travels too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from runkit.errors import UsageError
from train.distributed import World
from train.loss import cross_entropy
from train.model import Model
from train.pretrain_config import LoopConfig


def placed(model: Model, config: LoopConfig, world: World) -> Model:
    """The same model on its device; call it before the optimizers are made, for fsdp replaces the weights.

    UsageError: a setting that fsdp does not know.
    """
    if world.size == 1 or config.parallel == "ddp":
        return model.to(world.device)
    if config.dtype == "fp16":
        # The parts of a gradient would disagree whether it overflowed.
        world.end(UsageError("dtype = fp16 does not go with parallel = fsdp; use dtype = bf16 or parallel = ddp."))
    # Imported here, for one process does without them and their 1.4 s.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    mesh = init_device_mesh(world.device.type, (world.size,))
    for block in model.model.layers:
        fully_shard(block, mesh=mesh)
    # The root holds the embedding and the output matrix; they stay whole until the backward pass has used them, for
    # the loss and whoever samples need them after `hidden` has returned.
    fully_shard(model, mesh=mesh, reshard_after_forward=False)
    register_fsdp_forward_method(model, "hidden")
    return model.to(world.device)  # buffers


class Objective(nn.Module):
    """The summed loss of rows, under autocast."""

    def __init__(self, model: Model, dtype: torch.dtype, compiled: bool, world: World) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype
        self.hidden = model.hidden
        if compiled and world.size == 1:
            self.hidden = torch.compile(model.hidden)
        elif compiled:
            # Block by block: a whole graph would hold gradients back until all are there, and fsdp has hooks between.
            for block in model.model.layers:
                block.forward = _compiled(block.forward)

    def forward(self, inputs: Tensor, documents: Tensor | None, targets: Tensor, scale: float) -> Tensor:
        """`scale` times the summed loss, a scalar; all of (B, T), `documents` None: one text a row."""
        with torch.autocast(inputs.device.type, self.dtype, enabled=self.dtype != torch.float32):
            hidden = self.hidden(inputs, documents)  # (B, T, D)
            return cross_entropy(hidden.flatten(0, 1), self.model.lm_head.weight, targets.flatten(), scale)


def _compiled(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compiled for training; whoever samples a text gives another shape with each token."""
    fast = torch.compile(forward)

    def chosen(*given: Any) -> Tensor:
        return (fast if torch.is_grad_enabled() else forward)(*given)

    return chosen


def spread(objective: Objective, world: World) -> nn.Module:
    """The module whose gradients are the means over all processes."""
    if world.size == 1 or sharded(objective.model):
        return objective
    return DistributedDataParallel(
        objective,
        device_ids=[world.local_rank] if world.device.type == "cuda" else None,
        forward_sync_buffers=False,  # they never change
        gradient_as_bucket_view=True,
    )


def sharded(model: Model) -> bool:
    """Whether each process has a part of the weights only."""
    return hasattr(model, "set_requires_gradient_sync")  # a method of torch's FSDPModule, which `placed` made it


@contextmanager
def exchanging(module: nn.Module, last: bool) -> Iterator[None]:
    """Let gradients of parts of a step add up here, and travel with its last part only."""
    if isinstance(module, DistributedDataParallel) and not last:
        with module.no_sync():
            yield
        return
    if isinstance(module, Objective) and sharded(module.model):
        module.model.set_requires_gradient_sync(last)  # type: ignore[operator]
    yield
