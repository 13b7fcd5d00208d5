"""The device that computes: which it is, the number format its matrix products are fastest in, and memory."""

from __future__ import annotations

import resource
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from utils.errors import UserError


def choose_device(name: str) -> torch.device:
    """Resolve --device; UserError if it is not to be had."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device '{name}'; use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA GPU is usable here; use --device cpu")
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device '{name}' is not supported; use auto, cpu or cuda")
    return device


def fast_dtype(device: str | torch.device = "cpu") -> torch.dtype:
    """bfloat16 where the processor multiplies matrices of it natively (AMX, AVX512-BF16, CUDA), else float32.

    Elsewhere bfloat16 is emulated and slower than float32.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type != "cpu" or not has_bfloat16_kernels():
        return torch.float32
    probes = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return torch.bfloat16 if any(probe is not None and probe() for probe in probes) else torch.float32


def has_bfloat16_kernels() -> bool:
    """Whether oneDNN has bfloat16 kernels for this CPU: without AVX-512 it has none, and refuses when it is asked."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return torch.backends.mkldnn.is_available() and supported is not None and bool(supported())


def fast_autocast(device: str | torch.device = "cpu", enabled: bool = True) -> AbstractContextManager:
    """Autocast to `fast_dtype`, or nothing where that is float32."""
    dtype = fast_dtype(device)
    if not enabled or dtype == torch.float32:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=dtype)


def require_memory(gib: float, what: str, remedy: str) -> None:
    """UserError, ending in `remedy`, if `what` would take more memory than this machine has free."""
    free = free_memory_gib()
    if free is not None and gib > free:
        raise UserError(f"{what} would take {gib:.1f} GiB of memory and {free:.1f} are free; {remedy}")


def free_memory_gib() -> float | None:
    """Memory that this process may still take, GiB; None where the system does not say."""
    info, limit, used = Path("/proc/meminfo"), *(Path(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if not info.is_file():
        return None
    free = next(int(row.split()[1]) for row in info.read_text().splitlines() if row.startswith("MemAvailable")) / 2**20
    if limit.is_file() and (most := limit.read_text().strip()).isdigit():  # of the container
        free = min(free, (int(most) - int(used.read_text())) / 2**30)
    return free


def peak_memory_gib() -> float:
    """Peak resident memory of this process so far, GiB."""
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss of a child process begins with what its parent had
        kib = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return kib / 2**20
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS and in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
