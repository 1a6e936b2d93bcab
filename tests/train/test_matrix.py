"""Joined matrices give what they give one by one, for one row and for several, and the weights stay what they were."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from train.matrix import Matrix


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_products(pack: bool, share: bool, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    parts = [nn.Linear(24, width, dtype=kind) for width in (16, 8, 40)]
    kept = [part.weight.detach().clone() for part in parts]
    biased = Matrix([part.weight for part in parts], [part.bias for part in parts], share=share, pack=pack)
    plain = Matrix([parts[0].weight], share=share, pack=pack)
    # Half precision is summed in other orders; the products are about 1.
    near = {"atol": 1e-5 if kind == torch.float32 else 0.05, "rtol": 0.0}
    with torch.no_grad():
        for rows in (1, 2, 8, 50):
            x, base = torch.randn(rows, 24, dtype=kind), torch.randn(rows, 16, dtype=kind)
            expected = torch.cat([functional.linear(x, w, p.bias) for w, p in zip(kept, parts, strict=True)], -1)
            assert torch.allclose(biased(x), expected, **near)
            assert torch.allclose(plain(x), functional.linear(x, kept[0]), **near)
            assert torch.allclose(plain.added(base, x), base + functional.linear(x, kept[0]), **near)
            assert torch.allclose(parts[1](x), functional.linear(x, kept[1], parts[1].bias), **near)
    assert all(torch.equal(part.weight, weight) for part, weight in zip(parts, kept, strict=True))
    assert (plain.packed is not None) == (pack and kind == torch.float32)
