"""Several processes as one: who is who, what they agree on, and a fault of one that ends all.

In: the environment that torchrun sets. Out: a `World`. Small numbers are agreed on by CPU over gloo, so that no GPU has
to be waited for; NCCL moves what is large. Without torchrun there is one process and no group, and nothing here does
anything. Price: 0.5 ms for each agreement of two processes on two busy cores.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import torch
from torch import Tensor, distributed

from runkit.console import Terminated
from runkit.errors import EnvironmentFault, UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """This process among all. A method that is given an action is called by all processes at the same place."""

    device: torch.device
    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on its machine

    @property
    def main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def share(self, first: int, count: int) -> tuple[int, int]:
        """First and number of this process' rows, of rows first … first + count − 1 of a step. UsageError: uneven."""
        if count % self.size:
            fault = f"batch_rows = {count} cannot be shared out evenly to {self.size} processes"
            self.end(UsageError(f"{fault}; make it a multiple of {self.size}."))
        own = count // self.size
        return first + self.rank * own, own

    def agree(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes, the same numbers everywhere."""
        return self.counted(lambda: (None, values), len(values))[1]

    def together(self, action: Callable[[], T]) -> T:
        """Do something in every process; what it raises in one ends all."""
        return self.counted(lambda: (action(), ()), 0)[0]

    def counted(self, action: Callable[[], tuple[T, Sequence[float]]], count: int) -> tuple[T, list[float]]:
        """`together` and `agree` in one exchange: `action` gives its result and `count` numbers to sum up.

        Of several processes that fail, the first raises its own error; all others leave without a word.
        """
        if self.size == 1:
            result, values = action()
            return result, list(values)
        sums = torch.zeros(self.size + count, dtype=torch.float64)
        error: BaseException | None = None
        try:
            result, values = action()
            sums[self.size :] = torch.tensor(values, dtype=torch.float64)
        except BaseException as caught:
            error = caught
            sums[self.rank] = _exit_code(caught)
        distributed.all_reduce(sums)
        codes = sums[: self.size].tolist()
        failed = next((rank for rank, code in enumerate(codes) if code), None)
        if failed is None:
            return result, sums[self.size :].tolist()
        if error is not None and failed == self.rank:
            raise error
        raise SystemExit(int(codes[failed]))

    def on_main(self, action: Callable[[], T]) -> T:
        """Do something in the main process; all others wait for its result, which must be picklable."""
        found = self.together(lambda: [action()] if self.main else [None])
        if self.size > 1:
            distributed.broadcast_object_list(found, src=0, device=torch.device("cpu"))
        return found[0]  # type: ignore[return-value]

    @contextmanager
    def held_by_main(self, context: AbstractContextManager[T]) -> Iterator[T]:
        """`with context`, which only the main process enters and leaves; all get what it gave."""
        with ExitStack() as stack:
            yield self.on_main(lambda: stack.enter_context(context))

    def end(self, error: BaseException) -> NoReturn:
        """End all processes, which all came here; only the main one says why."""
        raise error if self.main else SystemExit(_exit_code(error))


@contextmanager
def world() -> Iterator[World]:
    """The process group of torchrun; one process without.

    UsageError: the environment is not that of torchrun. EnvironmentFault: another process is gone.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if size == 1:
        yield World(torch.device("cuda" if gpus else "cpu"))
        return
    try:
        rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    except KeyError as error:
        raise UsageError(f"WORLD_SIZE = {size}, but {error.args[0]} is not set; start with torchrun.") from error
    if gpus and local_rank >= gpus:
        raise UsageError(f"Process {local_rank} has no GPU of its own; give torchrun --nproc-per-node {gpus}.")
    if gpus:
        torch.cuda.set_device(local_rank)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
    try:
        yield World(torch.device("cuda", local_rank) if gpus else torch.device("cpu"), rank, size, local_rank)
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            raise EnvironmentFault(
                f"Process {rank} of {size} lost another one; see what that one or the system said, and start again: "
                "the run goes on from its newest checkpoint."
            ) from error
        raise
    finally:
        distributed.destroy_process_group()


def is_part(tensor: Tensor) -> bool:
    """Whether it is a DTensor; asked this way, one process needs not import them for 1.2 s."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor of which this process may have a part only; all processes ask for it together."""
    return tensor.full_tensor() if is_part(tensor) else tensor  # type: ignore[attr-defined]


def parted(tensor: Tensor, weight: Tensor) -> Tensor:
    """This process' part of a tensor of a weight's shape, when it has a part of the weight."""
    if not is_part(weight) or tensor.shape != weight.shape:
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(weight, DTensor)
    # None: nothing travels, for every process read the same file.
    return distribute_tensor(tensor.to(weight.device), weight.device_mesh, weight.placements, src_data_rank=None)


def _exit_code(error: BaseException) -> int:
    """What the command will exit with, never 0."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) and error.code else 1
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 143 if isinstance(error, Terminated) else int(getattr(error, "exit_code", 1))
