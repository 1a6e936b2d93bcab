"""Muon makes the steps of torch.optim.Muon, but for the bf16 in which that one multiplies."""

import pytest
import torch
from torch import nn

from train.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(16, 48), (48, 16), (24, 24)])
def test_an_update_has_all_singular_values_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(matrix)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6 and values.max() < 1.3
    turned = u.T @ found @ v.T  # diagonal: no direction is mixed with another
    assert (turned - turned.diag().diag()).abs().max() < 1e-3


@pytest.mark.parametrize("shape", [(16, 48), (48, 16)])
def test_the_steps_are_those_of_torch(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    first = torch.randn(shape, generator=generator)
    mine, theirs = nn.Parameter(first.clone()), nn.Parameter(first.clone())
    pair = (Muon([mine], 0.02, 0.1), torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1))
    for _ in range(4):
        slope = torch.randn(shape, generator=generator)
        for weight, optimizer in zip((mine, theirs), pair, strict=True):
            weight.grad = slope.clone()
            optimizer.step()
    moved = (theirs - first).norm()
    assert (mine - theirs).norm() < 0.02 * moved, "bf16 has three digits"
    buffers = [
        optimizer.state[weight]["momentum_buffer"] for weight, optimizer in zip((mine, theirs), pair, strict=True)
    ]
    assert torch.allclose(buffers[0], buffers[1])
