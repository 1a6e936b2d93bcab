"""Cross-entropy without the logits of all positions at once.

In: hidden states (N, D), the output matrix (V, D), targets (N,). Out: the summed loss, differentiable. A chunk of
positions at a time gives logits, loss and both gradients, and its logits are dropped: 50,000 pieces and 8,192 positions
take 1.6 GB of logits in fp32 otherwise, and twice that for their gradient. Price: gradients are computed in the forward
pass even when nobody asks for them later (measuring uses `torch.no_grad`, where they are not).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from train.plan_sizes import LOGITS_BYTES

IGNORED = -100  # a target that does not count


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, scale: float, needed: bool) -> Tensor:
        chunk = max(1, LOGITS_BYTES[hidden.device.type] // (4 * weight.shape[0]))
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.empty_like(hidden) if needed else None
        wanted = needed and ctx.needs_input_grad[1]
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wanted else None
        kind = hidden.device.type
        number = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        matrix = weight.to(number)  # once, not for each chunk and product
        for start in range(0, hidden.shape[0], chunk):
            part = slice(start, start + chunk)
            x, y = hidden[part].to(number), targets[part]
            logits = (x @ matrix.T).float()  # (n, V)
            if not needed:
                total += functional.cross_entropy(logits, y, ignore_index=IGNORED, reduction="sum")
                continue
            assert grad_hidden is not None
            kept = (y != IGNORED)[:, None]  # (n, 1)
            label = y[:, None].where(kept, 0)
            logarithms = logits.log_softmax(-1)
            total -= (logarithms.gather(1, label) * kept).sum()
            slope = logarithms.exp_().scatter_add_(1, label, torch.full_like(label, -1.0, dtype=torch.float32))
            slope = slope.to(number)
            # On (n, D), a pass less over (n, V); after the products, for in fp16 small numbers are none.
            grad_hidden[part] = (slope @ matrix).to(hidden.dtype) * (kept * scale)
            if grad_weight is not None:
                grad_weight += slope.T @ (x * kept)
        if grad_weight is not None:
            grad_weight *= scale
        if needed:
            ctx.save_for_backward(grad_hidden, None if grad_weight is None else grad_weight.to(weight.dtype))
        return total * scale

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * slopes[0], None if grad_weight is None else grad_weight * slopes[0], None, None, None


def cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, scale: float = 1.0) -> Tensor:
    """`scale` times the sum of −log p(target) over targets that are not `IGNORED`; a scalar in fp32.

    hidden (N, D), weight (V, D), targets (N,).
    """
    learnt = targets != IGNORED
    if 10 * int(learnt.sum()) < 9 * len(targets):
        # Of dialogues only the answers are learnt; the rest would cost products over the whole vocabulary for nothing.
        hidden, targets = hidden[learnt], targets[learnt]
    # Inside of `forward` gradients are always off, so whether they are wanted is asked here.
    wanted = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    return _ChunkedLoss.apply(hidden, weight, targets, scale, wanted)  # type: ignore[no-untyped-call]
