"""A run without work: virtual workers take as long as meshes did, so that what drives them is measured alone."""

from __future__ import annotations

import asyncio
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.collection.cluster import OBJECTS, QUIET, RayPool, ray_module
from models.collection.guard import Job, Packed
from models.collection.ledger import Ledger
from models.collection.manifest import Entry
from models.collection.rows import Shards, pack
from models.collection.run import work_off
from models.collection.summary import write_summary
from utils.errors import UserError
from utils.files import json_line
from utils.memory import peak_memory_gib
from utils.options import SEED, Checked, option, positive_int
from utils.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class VirtualSettings(Checked):
    """A collection that is not there, and who pretends to label it."""

    measured: Path = option(help="folder of a finished run: its rows are drawn from, with their seconds", metavar="DIR")
    out: Path = option(help="folder of the rows, which must be empty", metavar="DIR")
    meshes: int = option(1_000_000, "rows", type=positive_int)
    workers: int = option(1000, "virtual workers", type=positive_int)
    speed: float = option(60.0, "so many seconds pass in one", within="[1, 1000000]")
    processes: int = option(1, "that the virtual workers live in", type=positive_int)
    seed: int = option(0, "of which row a mesh gets", within=SEED)


class Crowd:
    """An actor: many virtual workers in one process. rows: seconds and the row as JSON, without its id."""

    def __init__(self, rows: list[tuple[float, str]], speed: float, seed: int) -> None:
        self.rows, self.speed, self.seed = rows, speed, seed

    async def ready(self) -> None:
        """Nothing to load."""

    async def work(self, entry: Entry) -> Packed:
        """A measured row, after its seconds; which one depends on the entry and the seed alone."""
        seconds, row = self.rows[zlib.crc32(f"{self.seed} {entry.id}".encode()) % len(self.rows)]
        await asyncio.sleep(seconds / self.speed)
        return True, f'{{"id": {json_line(entry.id)}, {row[1:]}'.encode()


@dataclass
class VirtualPool(RayPool):
    """The pool of a real run, whose workers share a few actors."""

    crowds: tuple[Any, ...] = ()

    @classmethod
    def of(cls, rows: list[tuple[float, str]], settings: VirtualSettings) -> VirtualPool:
        ray = ray_module()
        ray.init("local", num_cpus=settings.processes, object_store_memory=OBJECTS, **QUIET)
        kind = ray.remote(Crowd).options(num_cpus=1, max_concurrency=settings.workers)
        crowds = tuple(kind.remote(rows, settings.speed, settings.seed) for _ in range(settings.processes))
        ray.get([crowd.ready.remote() for crowd in crowds])
        return cls(Job(""), settings.workers, {}, crowds=crowds)

    def _start(self, ray: Any, number: int) -> None:
        self._actors[number] = self.crowds[number % len(self.crowds)]
        self._expect(self._actors[number].ready.remote(), number, None)


@dataclass(frozen=True)
class Figures:
    """What the driver took.

    offered, rate     rows a second that the virtual workers could have made, and that were kept
    cpu_milliseconds  of the driver, a row; memory_gib: its peak; output_gib: of all files of rows
    summary_seconds   of the page without pictures; summary_gib: peak memory after it
    """

    rows: int
    workers: int
    offered: float
    rate: float
    cpu_milliseconds: float
    memory_gib: float
    output_gib: float
    summary_seconds: float
    summary_gib: float


def simulate(settings: VirtualSettings, on_progress: Progress = silent) -> Figures:
    """Drive the virtual workers. UserError for a folder without measured rows, or an output that is not empty."""
    rows = _measured(settings.measured)
    settings.out.mkdir(parents=True, exist_ok=True)
    if any(settings.out.iterdir()):
        raise UserError(f"{settings.out} is not empty; give a new --out")
    entries = [Entry(f"{number:08d}", f"/collection/{number:08d}.obj") for number in range(settings.meshes)]
    pool = VirtualPool.of(rows, settings)
    ledger = Ledger(settings.out, len(entries), 1000, Shards())
    began, processor = time.perf_counter(), time.process_time()
    work_off(ledger, entries, pool, on_progress)
    wall, processor = time.perf_counter() - began, time.process_time() - processor
    memory, began = peak_memory_gib(), time.perf_counter()
    write_summary(settings.out, "ready", 0)
    mean = sum(seconds for seconds, _ in rows) / len(rows)
    return Figures(
        rows=len(entries),
        workers=settings.workers,
        offered=settings.workers * settings.speed / mean,
        rate=len(entries) / wall,
        cpu_milliseconds=1000 * processor / len(entries),
        memory_gib=memory,
        output_gib=sum(path.stat().st_size for path in settings.out.glob("rows-*")) / 2**30,
        summary_seconds=time.perf_counter() - began,
        summary_gib=peak_memory_gib(),
    )


def _measured(folder: Path) -> list[tuple[float, str]]:
    """Seconds, and JSON without the id, of the rows of a run that have an answer."""
    found = [
        (row["seconds"], pack({key: value for key, value in row.items() if key != "id"}).decode())
        for row in Shards().read(folder)
        if row["error"] is None
    ]
    if not found:
        raise UserError(f"{folder} holds no rows with an answer; give the --out of a finished run")
    return found
