"""A product with one matrix, laid out for few rows at a time.

In: x (N, in). Out: x Wᵀ (N, out). On a CPU a product with one row is bound by reading the matrix, and how it lies in
memory decides. Measured with the matrices of SmolLM2-135M in fp32, one core, milliseconds of CPU for a token of all:
one row 71 as torch's linear has them, 56 transposed; eight rows 177, 116 transposed, 87 in oneDNN's blocks. So the
transposed one is kept, the model's own weights become views of it, and a packed copy is made when there are several
rows for the first time. Price: that copy, as large as the matrix, unless it is forgone. On a GPU, and in other number
types, the matrix stays as it is.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

PACKED_FOR: Final = 32  # rows that oneDNN chooses its blocks for; 8 gives the same, 1 is 1.4 times as slow for 8 rows


class Matrix:
    """Several matrices (out_i, in) joined to one (out, in)."""

    def __init__(
        self, weights: Sequence[Tensor], biases: Sequence[Tensor] = (), *, share: bool = True, pack: bool = True
    ) -> None:
        """With `share`, the parameters become views of the joined matrix, so that it takes no memory of its own.

        `pack`: a copy for several rows may be made.
        """
        first = weights[0]
        self.bias = torch.cat([bias.detach() for bias in biases]) if biases else None
        self.few = first.device.type == "cpu" and first.dtype == torch.float32
        self.packs = pack and self.few and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        joined = torch.cat([weight.detach() for weight in weights]) if len(weights) > 1 else first.detach()
        self.turned = joined.t().contiguous() if self.few else joined.t()  # (in, out)
        self.packed: Any = None
        if share:
            start = 0
            for weight in weights:
                weight.data = self.turned.t()[start : start + len(weight)]
                start += len(weight)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, in) to (N, out)."""
        if self.packs and len(x) > 1:
            return self._packed(x)
        return x @ self.turned if self.bias is None else torch.addmm(self.bias, x, self.turned)

    def added(self, base: Tensor, x: Tensor) -> Tensor:
        """base (N, out) + x Wᵀ."""
        if self.packs and len(x) > 1:
            return self._packed(x).add_(base)
        return torch.addmm(base, x, self.turned)

    def _packed(self, x: Tensor) -> Tensor:
        if self.packed is None:
            self.packed = torch.ops.mkldnn._reorder_linear_weight(self.turned.t(), PACKED_FOR)
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
