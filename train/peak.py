"""How many products a device makes in a second: measured on this machine, or as its vendor states it.

In: a device and a type of number, or a device's name. Out: FLOP/s of dense matrix products. The table holds what the
tensor cores make without sparsity and with sums in fp32, for that is what training gets; many datasheets print twice
as much. Price of measuring: 0.3 s, and 0.8 GB on a GPU.
"""

import difflib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runkit.errors import UsageError

if TYPE_CHECKING:
    import torch

TERA: Final = 1e12
GB: Final = 1_000_000_000
FEWEST_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU as its vendor states it."""

    name: str
    bf16: float | None  # FLOP/s, dense; None: its tensor cores do not have it
    fp16: float  # FLOP/s, dense, with sums in fp32
    fp32: float  # FLOP/s without TF32, as PyTorch multiplies where nobody allows it
    memory_bytes: int  # the GB of its name, times 10⁹: what is left of GiB after error correction is a little more
    source: str

    def peak(self, dtype: str) -> float:
        """FLOP/s for a `LoopConfig.dtype`. UsageError: the device does not have the type."""
        if dtype == "fp32":
            return self.fp32
        if dtype == "bf16" and self.bf16 is None:
            raise UsageError(f"{self.name} has no bf16; set dtype to fp16 or auto.")
        return self.fp16 if dtype == "fp16" or self.bf16 is None else self.bf16


def _device(name: str, bf16: float | None, fp16: float, fp32: float, memory_gb: int, source: str) -> tuple[str, Device]:
    half = None if bf16 is None else bf16 * TERA
    return name, Device(name, half, fp16 * TERA, fp32 * TERA, memory_gb * GB, source)


DEVICES: Final = dict(
    [
        _device("B200", 2250, 2250, 75, 180, "NVIDIA HGX B200 datasheet, an eighth, half of the sparse figure"),
        _device("H200", 989.4, 989.4, 67, 141, "NVIDIA H200 datasheet, SXM, half of the sparse figure"),
        _device("H100", 989.4, 989.4, 67, 80, "NVIDIA H100 datasheet, SXM, half of the sparse figure"),
        _device("H100-NVL", 835.5, 835.5, 60, 94, "NVIDIA H100 datasheet, NVL, half of the sparse figure"),
        _device("H100-PCIe", 756, 756, 51, 80, "NVIDIA H100 PCIe product brief, half of the sparse figure"),
        _device("H800", 989.4, 989.4, 67, 80, "NVIDIA H800 SXM: an H100 with a slower link"),
        _device("H20", 148, 148, 44, 96, "NVIDIA H20 datasheet"),
        _device("A100-80", 312, 312, 19.5, 80, "NVIDIA A100 datasheet"),
        _device("A100-40", 312, 312, 19.5, 40, "NVIDIA A100 datasheet"),
        _device("A800", 312, 312, 19.5, 80, "NVIDIA A800 datasheet: an A100 with a slower link"),
        _device("L40S", 362, 362, 91.6, 48, "NVIDIA L40S datasheet"),
        _device("L40", 181, 181, 90.5, 48, "NVIDIA L40 datasheet"),
        _device("L4", 121, 121, 30.3, 24, "NVIDIA L4 datasheet, half of the sparse figure"),
        _device("A40", 149.7, 149.7, 37.4, 48, "NVIDIA A40 datasheet"),
        _device("A10", 125, 125, 31.2, 24, "NVIDIA A10 datasheet"),
        _device("RTX-A6000", 154.8, 154.8, 38.7, 48, "NVIDIA GA102 whitepaper, half of the sparse figure"),
        _device("RTX-5090", 209.5, 209.5, 104.8, 32, "NVIDIA RTX Blackwell whitepaper, sums in fp32"),
        _device("RTX-4090", 165.2, 165.2, 82.6, 24, "NVIDIA Ada whitepaper, sums in fp32"),
        _device("RTX-3090", 71, 71, 35.6, 24, "NVIDIA GA102 whitepaper, sums in fp32"),
        _device("V100-32", None, 125, 15.7, 32, "NVIDIA V100 datasheet, SXM2"),
        _device("V100-16", None, 125, 15.7, 16, "NVIDIA V100 datasheet, SXM2"),
        _device("T4", None, 65, 8.1, 16, "NVIDIA T4 datasheet"),
        _device("MI300X", 1307.4, 1307.4, 163.4, 192, "AMD MI300X datasheet"),
    ]
)


def find_device(name: str) -> Device:
    """The device of a name, whatever its case and signs. UsageError: there is none."""
    plain = {_plain(known): known for known in DEVICES}
    wanted = _plain(name).removeprefix("nvidia").removeprefix("geforce")
    if wanted in plain:
        return DEVICES[plain[wanted]]
    near = [known for key, known in plain.items() if wanted and (wanted in key or key in wanted)]
    near = near or [plain[key] for key in difflib.get_close_matches(wanted, list(plain), 3, 0.5)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"give one of {', '.join(DEVICES)}."
    raise UsageError(f"No device is called {name}; {hint}")


def matmul_peak(device: "torch.device", dtype: "torch.dtype", seconds: float = 0.3) -> float:
    """FLOP/s of products of square matrices, the best of all rounds, at the current number of threads.

    Leaves torch's random numbers as they are.
    """
    import torch

    size = 8192 if device.type == "cuda" else 1024  # 1.1 ms on an H100, 20 ms on a core of 100 GFLOP/s
    if device.type == "cpu" and dtype != torch.float32 and not torch.cpu._is_amx_tile_supported():
        size = 256  # such cores may make 0.6 GFLOP/s of it, 4 s for the larger product
    # Not zeros: a GPU's clock rises when nothing toggles, so it would look faster than it is.
    generator = torch.Generator(device).manual_seed(0)
    left, right = (torch.randn(size, size, generator=generator, device=device).to(dtype) for _ in range(2))
    product = torch.empty(size, size, device=device, dtype=dtype)
    times: list[float] = []
    end = time.perf_counter() + seconds
    with torch.no_grad():
        while len(times) <= FEWEST_ROUNDS or time.perf_counter() < end:
            started = time.perf_counter()
            torch.mm(left, right, out=product)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
