"""Works without meshes or networks: what happens to an entry is written in its path ("work:sleep 2")."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from models.collection.guard import Job
from models.collection.manifest import Entry
from utils.errors import UserError


class Pretend:
    """Every path does as it says; without orders, a few labels that depend on the id."""

    def __init__(self, pause: float = 0.0, log: str = "", broken: bool = False) -> None:
        if broken:
            raise UserError("the weights are damaged")
        self.pause, self.log = pause, Path(log) if log else None

    def __call__(self, entry: Entry) -> dict:
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{entry.id} {os.getpid()}\n")
        order, _, value = entry.path.removeprefix("work:").partition(" ")
        if order == "refuse":
            raise UserError("a surface mesh is needed")
        if order == "break":
            raise ValueError("no such\nthing")
        if order == "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        if order == "once" and not Path(value).exists():  # dies the first time
            Path(value).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if order == "sleep":
            time.sleep(float(value))
        if order == "grow":
            held = [np.ones(1 << 24) for _ in range(int(float(value) * 8))]  # 1/8 GiB each
            time.sleep(5)
            del held
        time.sleep(self.pause)
        number = sum(entry.id.encode())
        labels = np.arange(number % 50 + 1)
        return {"vertices": number, "labels": labels, "ladder": labels % 3, "quality": [number % 10 / 10], "parts": 3}


def job(seconds: float = 30.0, memory: float = 2.0, **options) -> Job:
    return Job("tests.collection_works:Pretend", options, seconds, memory)


def entries(count: int, **orders: str) -> list[Entry]:
    """Numbered from 0; some with an order, by `n7="sleep 2"`."""
    return [Entry(f"{number:04d}", f"work:{orders.get(f'n{number}', 'do')}") for number in range(count)]


def main(out: str, log: str, orders: str) -> None:
    """A driver that can be killed: 40 meshes, files of 7 rows, two workers on this machine."""
    from models.collection.cluster import RayPool
    from models.collection.ledger import Ledger
    from models.collection.rows import Shards
    from models.collection.run import work_off

    pool = RayPool.connect(job(3.0, log=log, pause=0.1), "local", 2)
    work_off(Ledger(Path(out), 40, 7, Shards()), entries(40, **json.loads(orders)), pool)


if __name__ == "__main__":
    main(*sys.argv[1:])
