"""The device that computes: which it is, and the number format its matrix products are fastest in."""

from __future__ import annotations

import timeit
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch

from utils.errors import UserError

PROBED, CLEARLY = 512, 1.2  # size of the products that are timed, and the ratio from which on one format is the faster


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
    """bfloat16 where matrix products are faster in it (CUDA, processors with AMX, most of AMD's), else float32."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type != "cpu" or not has_bfloat16_kernels():
        return torch.float32
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    faster = (probe is not None and probe()) or _multiplies_bfloat16_faster()
    return torch.bfloat16 if faster else torch.float32


@cache
def _multiplies_bfloat16_faster() -> bool:
    """Measured, once and in some 20 ms: AVX512-BF16 has 2.3 times the rate of float32 on one maker's processors and
    0.6 on another's, so that noise does not decide."""
    seconds = []
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            square = torch.ones(PROBED, PROBED, dtype=dtype)
            seconds.append(min(timeit.repeat(lambda square=square: square @ square, number=1, repeat=6)))
    return seconds[0] > seconds[1] * CLEARLY


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
