"""Memory of the machine and of this process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from utils.errors import UserError


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
