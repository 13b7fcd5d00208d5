"""Workers on the cores of this machine or of a cluster, by Ray. The only module that imports it.

Actors that one small loop feeds, not Ray Data: limits for each mesh, workers that die and rows kept one by one are
then a few lines here, where Ray Data hands over blocks.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from models.collection.guard import ROOT, Guard, Job, Packed, failure
from models.collection.manifest import Entry
from models.collection.rows import INSTALL
from utils.errors import UserError

LOST = 3  # times that a mesh's worker may vanish, with its machine say, before that is its row
STARTS = 3  # failed starts of workers before the run ends, where none has started yet
REACH_SECONDS = 5.0  # for a cluster to answer
PATIENCE = 60.0  # seconds without a worker before that is said
OBJECTS = 256 << 20  # bytes of shared memory on this machine; rows are small
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # a frame of HTTP/2: three bytes of length, then its type
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS
QUIET: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
NOT_SENT = ["/.*", "/docs", "/experiments", "/meshes", "/data", "/demo", "/figures"]  # to a cluster, with the code
Event = tuple[int, int | None, Any]  # number of a worker, place of an entry (None: it started), future


class Worker:
    """An actor: one process on one core, and who watches it."""

    def __init__(self, job: Job) -> None:
        self.guard = Guard(job)

    def ready(self) -> None:
        self.guard.start()

    def work(self, entry: Entry) -> Packed:
        return self.guard.work(entry)


@dataclass
class RayPool:
    """Actors that are fed one mesh after another; see `models.collection.run.Pool`."""

    job: Job
    workers: int
    options: dict[str, Any]
    _actors: dict[int, Any] = field(default_factory=dict)
    _events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)

    @classmethod
    def connect(cls, job: Job, address: str = "local", workers: int | None = None, device: str = "cpu") -> RayPool:
        """Start Ray here, or join a cluster; UserError if there is none."""
        ray = ray_module()
        if address == "local":
            cores = workers or os.cpu_count() or 1
            ray.init("local", num_cpus=cores, object_store_memory=OBJECTS, **QUIET)
        else:
            _require_reachable(address)
            code = {"working_dir": str(ROOT), "excludes": NOT_SENT}
            try:
                ray.init(address, runtime_env=code, log_to_driver=False, logging_level="error")
            except Exception as error:
                reason = " ".join(str(error).split())[:200]
                raise UserError(
                    f"the Ray cluster at {address} cannot be joined from here: {reason}; is this machine part of it "
                    f"(ray start --address {address}), with the same versions of Ray and Python?"
                ) from error
        found = int(ray.cluster_resources().get("GPU" if device.startswith("cuda") else "CPU", 0))
        options = {"num_cpus": 1, "num_gpus": 1 if device.startswith("cuda") else 0, "max_restarts": 0}
        return cls(job, workers or max(found, 1), options | {"scheduling_strategy": "SPREAD"})

    def results(self, entries: list[Entry], todo: Iterable[int]) -> Iterator[tuple[int, Packed]]:
        """See `Pool`. UserError if no worker can be started."""
        ray = ray_module()
        try:
            yield from self._results(ray, entries, deque(todo))
        finally:
            for actor in self._actors.values():
                with suppress(Exception):
                    ray.kill(actor)
            ray.shutdown()

    def _results(self, ray: Any, entries: list[Entry], waiting: deque[int]) -> Iterator[tuple[int, Packed]]:
        """Every worker that is free is asked; one that vanished is replaced, and its mesh is the next."""
        numbers, losses = count(), Counter[int]()
        free: list[int] = []
        in_flight = starting = failed = 0  # failed: starts of workers, one after another
        while waiting or in_flight:
            while waiting and free:
                self._ask(free.pop(), waiting.popleft(), entries)
                in_flight += 1
            while starting + in_flight < min(self.workers, len(waiting) + in_flight) and failed < STARTS:
                self._start(ray, next(numbers))
                starting += 1
            number, place, future = self._next(in_flight)
            error = future.exception()
            starting, in_flight = starting - (place is None), in_flight - (place is not None)
            if error is None:
                free.append(number)
                failed = 0
                if place is not None:
                    yield place, future.result()
                continue
            with suppress(Exception):
                ray.kill(self._actors.pop(number))
            if place is None:
                failed += 1
            elif losses[place] + 1 < LOST:
                losses[place] += 1
                waiting.appendleft(place)
            else:
                yield place, failure(entries[place], f"its worker vanished {LOST} times: {_told(error)}")
            if waiting and failed >= STARTS and not starting and not in_flight:
                raise UserError(_told(error))

    def _start(self, ray: Any, number: int) -> None:
        self._actors[number] = ray.remote(Worker).options(**self.options).remote(self.job)
        self._expect(self._actors[number].ready.remote(), number, None)

    def _ask(self, number: int, place: int, entries: list[Entry]) -> None:
        self._expect(self._actors[number].work.remote(entries[place]), number, place)

    def _expect(self, reference: Any, number: int, place: int | None) -> None:
        """An event when there is a result: nothing is polled."""
        reference.future().add_done_callback(lambda future: self._events.put((number, place, future)))

    def _next(self, in_flight: int) -> Event:
        while True:
            with suppress(queue.Empty):
                return self._events.get(timeout=PATIENCE)
            if not in_flight:
                print(f"note: no worker for {PATIENCE:.0f} s; are the cluster's cores all taken?", file=sys.stderr)


def ray_module() -> Any:
    """The module `ray`, which then tells nobody that it is used; UserError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(f"collections need Ray: {INSTALL}") from error
    return ray


def _require_reachable(address: str) -> None:
    """UserError if nothing answers at HOST:PORT, or what answers does not speak as Ray does, HTTP/2.

    Ray itself would try for minutes.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise UserError(f"--address {address} is neither local nor HOST:PORT of a cluster's head (its port is 6379)")
    try:
        with socket.create_connection((host, int(port)), REACH_SECONDS) as connection:
            connection.sendall(GREETING)
            answer = connection.recv(len(SETTINGS))
    except (OSError, OverflowError) as error:
        raise UserError(f"no Ray cluster answers at {address} ({error}); start it, or correct --address") from error
    if answer[3:4] != SETTINGS[3:4] and not os.environ.get("RAY_USE_TLS"):
        raise UserError(f"what answers at {address} is no Ray cluster; correct --address (the head's port is 6379)")


def _told(error: BaseException) -> str:
    """The reason in one line."""
    cause = getattr(error, "cause", None) or error
    return " ".join(str(cause).split())[:300]
