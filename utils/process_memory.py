"""How much memory this process has needed."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_memory_gib() -> float:
    """Peak resident memory of this process so far, GiB."""
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss of a child process begins with what its parent had
        kib = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return kib / 2**20
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS and in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
