"""Attention by blocks gives what PyTorch's attention gives under the mask that says the same, and its gradients."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from train.attention import BLOCK, first_seen, packed_attention


def made(heads: int, key_heads: int, length: int, rows: int = 2, width: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(heads * 1000 + length)
    shapes = [(rows, count, length, width) for count in (heads, key_heads, key_heads)]
    return tuple(torch.randn(shape, generator=generator).requires_grad_() for shape in shapes)  # type: ignore[return-value]


def masked(q: Tensor, k: Tensor, v: Tensor, documents: Tensor) -> Tensor:
    """PyTorch's, (B, T, H, W)."""
    place = torch.arange(q.shape[2])
    same = documents[:, :, None] == documents[:, None, :]
    mask = (same & (place[:, None] >= place[None]))[:, None]
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True).transpose(1, 2)


def test_first_seen_is_where_the_text_begins() -> None:
    documents = torch.tensor([[0, 0, 1, 2, 2, 2, -1, -1], [0, 0, 0, 0, 0, 0, 0, 0]])
    assert first_seen(documents).tolist() == [[0, 0, 2, 3, 3, 3, 6, 6], [0] * 8]


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("length", [1, 5, BLOCK, 2 * BLOCK + 9])
def test_it_is_attention_under_a_mask(heads: int, key_heads: int, length: int) -> None:
    q, k, v = made(heads, key_heads, length)
    lengths = torch.tensor([[length] + [0] * 4, [1, 3, 70, 1, length]])  # one text; five, one of them over a block
    ends = lengths.cumsum(1)
    documents = (torch.arange(length)[None, :, None] >= ends[:, None, :]).sum(-1)
    found, expected = packed_attention(q, k, v, first_seen(documents)), masked(q, k, v, documents)
    assert torch.allclose(found, expected, atol=2e-6)
    slope = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    for mine, theirs in zip(*(torch.autograd.grad(one, (q, k, v), slope) for one in (found, expected)), strict=True):
        assert torch.allclose(mine, theirs, atol=5e-6)


def test_keys_of_another_text_are_not_read() -> None:
    """Not multiplied by zero either: a number that is none stays where it is."""
    q, k, v = made(4, 2, 100)
    with torch.no_grad():
        k[:, :, :64], v[:, :, :64] = float("nan"), float("nan")
    documents = (torch.arange(100) >= 64).long().expand(2, 100)
    found = packed_attention(q, k, v, first_seen(documents))
    assert found[:, 64:].isfinite().all() and found[:, :64].isnan().all()


def test_torch_knows_what_it_does() -> None:
    """Shapes and gradients as torch.compile and autograd are told them."""
    q, k, v = made(4, 2, 70)
    first = first_seen((torch.arange(70) // 30).expand(2, 70))
    torch.library.opcheck(packed_attention, (q, k, v, first))
