"""A training in a process of its own, so that the page stays alive; imports little, since that process does too."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

from utils.errors import UserError
from utils.progress import Progress, Step

# Which share of a refinement its stages take, by `Step.stage`: processor seconds on Human 12 of the benchmark (5,600
# vertices, vit_t), 36 in all.
SHARES = {
    "render and embed views": (0.0, 0.12),
    "find visible vertices": (0.12, 0.15),
    "single clicks": (0.15, 0.67),
    "cut the mesh": (0.67, 0.7),
    "look at the mesh": (0.7, 0.82),
    "ask around": (0.82, 0.96),
    "lift masks": (0.96, 0.99),
}


class Refinement:
    """One run of a function that trains.

    work       picklable; tells its progress
    on_change  is called, on a thread of this object, whenever `progress`, `stage` or `state` changes
    shares     of the whole that each stage takes; a stage that is not among them only shows its name
    """

    def __init__(
        self,
        work: Callable[[Progress], None],
        on_change: Callable[[], None],
        shares: Mapping[str, tuple[float, float]] = SHARES,
    ) -> None:
        self._began = time.monotonic()
        self.state = "running"  # then "done", "failed" or "cancelled"
        self.stage, self.progress, self.message = "starting", 0.0, ""
        self._on_change, self._shares, self._cancelled = on_change, shares, False
        context = multiprocessing.get_context("spawn")
        reader, writer = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(work, writer))
        self._process.start()
        writer.close()  # so that the end of the process is the end of the pipe
        self._thread = threading.Thread(target=self._follow, args=(reader,), daemon=True)
        self._thread.start()

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None where that says too little."""
        spent = time.monotonic() - self._began
        return spent * (1 / self.progress - 1) if self.progress > 0.02 else None

    def cancel(self) -> None:
        """End the run and all its processes. What it finished is kept, and the next run goes on from there."""
        if self.state != "running":
            return
        self._cancelled = True
        self._end(signal.SIGTERM)
        self._process.join(5)
        if self._process.is_alive():
            self._end(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> str:
        """Wait for the end; returns `state`."""
        self._thread.join(timeout)
        return self.state

    def _end(self, number: int) -> None:
        pid = self._process.pid
        assert pid is not None
        try:
            os.killpg(pid, number)
        except (ProcessLookupError, PermissionError):  # it has no group of its own yet
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _follow(self, reader: Connection) -> None:
        message = None
        with contextlib.suppress(EOFError, OSError):
            while message is None:
                told = reader.recv()
                if isinstance(told, Step):
                    self._hear(told)
                else:
                    message = str(told)
        self._process.join()
        reader.close()
        if self._cancelled:
            self.state = "cancelled"
        elif message == "":
            self.state, self.progress = "done", 1.0
        else:
            self.state, self.message = "failed", message or f"it ended with code {self._process.exitcode}"
        self._on_change()

    def _hear(self, step: Step) -> None:
        low, high = self._shares.get(step.stage, (0.0, 0.0))
        place = low + (high - low) * min(step.done / max(step.total, 1), 1.0)
        if step.stage != self.stage or place > self.progress + 0.004:
            self.stage, self.progress = step.stage, max(place, self.progress)  # progress never goes back
            self._on_change()


def _run(work: Callable[[Progress], None], told: Connection) -> None:
    """In the process: tells every step, and in the end why it failed, or "" where it did not."""
    if os.name == "posix":
        os.setsid()  # a group of its own: Ctrl-C is for the page, and what this process starts ends with it
    message = ""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            work(told.send)
    except UserError as error:
        message = str(error) or type(error).__name__
    except Exception as error:  # the page says it
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
    told.send(message[:300])
