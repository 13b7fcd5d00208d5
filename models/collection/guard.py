"""One worker: a process of its own that loads the networks once, with limits of time and memory for every mesh.

The process (`models.collection.child`) answers over a pipe. Whoever watches it stops it where a mesh takes too long or
too much memory, and starts another; so a crash inside of a library is a row too.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from models.collection.manifest import Entry
from models.collection.rows import pack
from utils.errors import OUT_OF_MEMORY, UserError
from utils.memory import peak_memory_gib

ROOT = Path(__file__).resolve().parents[2]
GLANCE = 0.05  # seconds between two looks at the memory
START_SECONDS = 600  # for loading the networks
DYING_SECONDS = 10  # for a process whose pipe has ended
TRIES = 2  # of a mesh on which the process dies by itself
READY, FAILED, FOUND = b"r", b"f", b"a"  # first byte of what the process says
Packed = tuple[bool, bytes]  # whether there is an answer, and the packed row
Work = Callable[[Entry], dict[str, Any]]  # what is found of a mesh: columns of `rows.COLUMNS`


@dataclass(frozen=True)
class Job:
    """What is done with every mesh.

    maker    "module:name" of what makes the `Work`; options: its arguments, plain values
    seconds  limit for a mesh; memory: likewise, GiB of the whole process (where the system has /proc)
    """

    maker: str
    options: dict[str, Any] = field(default_factory=dict)
    seconds: float = 600.0
    memory: float = 8.0

    def make(self) -> Work:
        module, _, name = self.maker.partition(":")
        return getattr(importlib.import_module(module), name)(**self.options)


def answered(work: Work, entry: Entry) -> Packed:
    """Do the work on one mesh; whatever it raises is a row with a reason."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    started, processor = time.perf_counter(), time.process_time()

    def row(**found: Any) -> bytes:
        measured = {
            "seconds": round(time.perf_counter() - started, 4),
            "cpu_seconds": round(time.process_time() - processor, 4),
            "memory_mib": round(1024 * peak_memory_gib(), 1),
        }
        return pack({"id": entry.id, "path": entry.path, "error": None} | found | measured)

    try:
        return True, row(**work(entry))
    except Exception as error:
        return False, row(error=_reason(error))


def failure(entry: Entry, reason: str, seconds: float | None = None, memory: float | None = None) -> Packed:
    """The row of a mesh whose process could not answer; memory: GiB."""
    row = {"id": entry.id, "path": entry.path, "error": reason, "seconds": seconds and round(seconds, 4)}
    return False, pack(row | {"memory_mib": memory and round(1024 * memory, 1)})


def _reason(error: Exception) -> str:
    """In one line."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        return f"not enough memory: {text}" if text else "not enough memory"
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


class Guard:
    """Runs the process of a worker. Not for several threads."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._process: subprocess.Popen | None = None
        self._pipe: Any = None  # a Connection while there is a process

    def start(self) -> None:
        """Until the networks are loaded; UserError with the reason if that fails."""
        self.close()
        self._pipe, theirs = Pipe()
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        with tempfile.TemporaryFile() as said:
            command = [sys.executable, "-m", "models.collection.child", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, env=variables, pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL, stderr=said
            )
            theirs.close()
            try:
                self._pipe.send_bytes(json.dumps([self.job.maker, self.job.options]).encode())
                in_time = self._pipe.poll(START_SECONDS)
                said_first = self._pipe.recv_bytes() if in_time else FAILED + b"it takes too long"
            except (EOFError, OSError):
                said.seek(0)
                said_first = FAILED + (said.read().strip().splitlines() or [b"it died"])[-1]
        if said_first != READY:
            self.close()
            raise UserError(f"no worker could be started: {said_first[1:].decode(errors='replace')[:300]}")

    def work(self, entry: Entry) -> Packed:
        """The row of one mesh, within the limits."""
        seconds, code = 0.0, None
        for _ in range(TRIES):
            if self._process is None or self._process.poll() is not None:
                self.start()
            started = time.perf_counter()
            try:
                self._pipe.send_bytes(json.dumps(entry).encode())
                reason = self._watch(started)
                if reason is None:
                    said = self._pipe.recv_bytes()
                    self._rest()
                    return said[:1] == FOUND, said[1:]
            except (EOFError, OSError):
                reason = None
                self._let_die()
            seconds, memory = time.perf_counter() - started, self.memory()
            code = self.close()
            if reason is not None:
                return failure(entry, reason, seconds, memory)
        how = f"signal {-code}" if code is not None and code < 0 else f"code {code}"
        return failure(entry, f"the worker's process died of it, twice ({how})", seconds)

    def memory(self) -> float:
        """Resident memory of the process, GiB; 0 where that is not known."""
        with suppress(OSError, AttributeError, IndexError, ValueError):
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])  # type: ignore[union-attr]
            return pages * os.sysconf("SC_PAGE_SIZE") / 2**30
        return 0.0

    def close(self) -> int | None:
        """End the process; how it ended."""
        process, self._process = self._process, None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if process is None:
            return None
        process.kill()  # where it has not died by itself
        return process.wait()

    def _watch(self, started: float) -> str | None:
        """Wait for the answer; why it is not waited for any longer. EOFError and OSError: the process died."""
        while not self._pipe.poll(GLANCE):
            if time.perf_counter() - started > self.job.seconds:
                return f"over the limit of {self.job.seconds:g} s"
            if self.memory() > self.job.memory:
                return f"over the limit of {self.job.memory:g} GiB"
        return None

    def _let_die(self) -> None:
        """Its pipe ends before it does: killed in between, it would say the kill and not what it died of."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(DYING_SECONDS)  # type: ignore[union-attr]

    def _rest(self) -> None:
        """A process that kept much of what it had makes room for a fresh one, so that the limit means one mesh."""
        if self.memory() > self.job.memory / 2:
            self.close()
