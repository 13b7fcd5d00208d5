"""Which number format the matrix products of a device are fastest in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def fast_dtype(device: str | torch.device = "cpu") -> torch.dtype:
    """bfloat16 where the processor multiplies matrices of it natively (AMX, AVX512-BF16, CUDA), else float32.

    Elsewhere bfloat16 is emulated and slower than float32.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return torch.float32
    probes = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return torch.bfloat16 if any(probe is not None and probe() for probe in probes) else torch.float32


def fast_autocast(device: str | torch.device = "cpu", enabled: bool = True) -> AbstractContextManager:
    """Autocast to `fast_dtype`, or nothing where that is float32."""
    dtype = fast_dtype(device)
    if not enabled or dtype == torch.float32:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=dtype)
