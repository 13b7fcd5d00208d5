"""The per-mesh pipeline in a process of its own, with its progress, so that the page stays alive."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

# Where each stage of scripts/pipeline.py --preset refine begins, as a share of the whole (its measured times on the hammer).
STAGES = {
    "views and feature field": (0.0, 0.05),
    "click supervision": (0.05, 0.41),
    "decoder training": (0.41, 0.97),
    "queries": (0.97, 0.99),
    "contact sheet": (0.99, 1.0),
}
_PERCENT = re.compile(r"(\d{1,3})%\|")


class Refinement:
    """One run of a command that trains a decoder for a mesh.

    command  the program and its arguments
    on_change  is called, on a thread of this object, whenever `progress`, `stage` or `state` changes
    """

    def __init__(self, command: list[str], on_change: Callable[[], None], cwd: str | Path | None = None) -> None:
        self.state = "running"  # then "done", "failed" or "cancelled"
        self.stage, self.progress, self.message = "starting", 0.0, ""
        self._on_change, self._tail = on_change, deque(maxlen=30)
        self._cancelled = False
        reader, writer = _terminal()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(writer)
        self._thread = threading.Thread(target=self._follow, args=(reader,), daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End the run and all its processes. What it finished is kept, and the next run goes on from there."""
        if self.state != "running":
            return
        self._cancelled = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> str:
        """Wait for the end; returns `state`."""
        self._thread.join(timeout)
        return self.state

    def _follow(self, reader: int) -> None:
        pending = b""
        while True:
            try:
                chunk = os.read(reader, 4096)
            except OSError:  # a terminal whose other side is closed
                chunk = b""
            if not chunk:
                break
            *lines, pending = re.split(rb"[\r\n]+", pending + chunk)
            for line in [*lines, pending]:
                self._read(line.decode("utf-8", errors="replace").strip(), whole=line is not pending)
        os.close(reader)
        code = self._process.wait()
        self.state = "cancelled" if self._cancelled else "done" if code == 0 else "failed"
        self.progress = 1.0 if self.state == "done" else self.progress
        self.message = "" if self.state == "done" else self._reason(code)
        self._on_change()

    def _read(self, line: str, whole: bool) -> None:
        if not line:
            return
        if whole and "%|" not in line:
            self._tail.append(line)
        if whole and line.startswith("== ") and line[3:] in STAGES:
            self.stage, self.progress = line[3:], STAGES[line[3:]][0]
            self._on_change()
        elif found := _PERCENT.search(line):
            # Stages draw several bars one after another: progress never goes back.
            low, high = STAGES.get(self.stage, (0.0, 0.0))
            place = low + (high - low) * min(int(found[1]), 100) / 100
            if place > self.progress + 0.004:
                self.progress = place
                self._on_change()

    def _reason(self, code: int) -> str:
        errors = [line for line in self._tail if line.startswith("error: ")]
        last = (
            errors[-1].removeprefix("error: ")
            if errors
            else self._tail[-1]
            if self._tail
            else f"it ended with code {code}"
        )
        return last[:300]


def pipeline_command(
    root: Path, mesh_path: Path, out_dir: Path, query: str, options: tuple[str, ...] = ()
) -> list[str]:
    """The command that refines the prior decoder on one mesh."""
    return [
        sys.executable,
        str(root / "scripts" / "pipeline.py"),
        "--obj_path",
        str(mesh_path),
        "--out_dir",
        str(out_dir),
        "--preset",
        "refine",
        *options,
        "--queries",
        query,
    ]


def _terminal() -> tuple[int, int]:
    """Both ends of something the process writes to: a terminal where there is one, since progress bars ask for it."""
    try:
        import fcntl
        import pty
        import struct
        import termios

        reader, writer = pty.openpty()
    except (ImportError, OSError):
        return os.pipe()
    fcntl.ioctl(
        writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0)
    )  # in one without columns bars have no percentage
    return reader, writer
