"""numba's `njit`, for kernels that are compiled once and loaded from numba's cache ever after.

In: functions for `njit(cache=True)`. Out: the same, at a start of 0.1 s. Numba itself makes ready to compile before it
loads the first compiled function: it fills its registries and imports scipy.linalg, 0.4 s in each process. Here that
is left to the first function that the cache does not hold.
"""

from typing import Any

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys

__all__ = ["njit"]


def _load_overload(self: FunctionCache, signature: Any, context: Any) -> Any:
    """As numba's, without `context.refresh()`; what is compiled may call numba's allocator, so that is there."""
    rtsys.initialize(context)
    with self._guard_against_spurious_io_errors():
        return self._load_overload(signature, context)


if hasattr(FunctionCache, "_load_overload") and hasattr(FunctionCache, "_guard_against_spurious_io_errors"):
    FunctionCache.load_overload = _load_overload  # another numba that has them no more starts as it always did
