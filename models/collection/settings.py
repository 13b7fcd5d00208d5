"""What a run over a collection can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.collection.guard import Job
from models.collection.manifest import Entry
from utils.files import digest
from utils.geometry.part_tree import DETAIL
from utils.options import SEED, Checked, option, positive_int

WORKS = ("parts", "answers", "ready", "instant")
WITH_CLICKS = ("answers", "instant")  # works that ask the manifest's clicks
ROWS_VERSION = 1  # of what is made of a mesh; counts up where rows would change


@dataclass(frozen=True, kw_only=True)
class CollectionSettings(Checked):
    """Which meshes, what is done with them, and where."""

    input: str = option(
        help="a folder, a quoted glob, or a manifest: .csv, .jsonl or .parquet with the column path and, if wanted, id "
        'and clicks ("5141 -10795"); here or any fsspec path',
        metavar="PATH",
        group="what",
    )
    out: Path = option(help="folder of the rows (Parquet) and of summary.html", metavar="DIR")
    work: str = option(
        "parts",
        "parts: the automatic partition; answers: of the prior to the manifest's clicks; instant: of iSeg3D; ready: "
        "caches for the page, in OUT/ready",
        choices=WORKS,
    )
    detail: float = option(DETAIL, "of parts: 0 few, 1 many", within="[0, 1]")
    parts: int | None = option(None, "of parts: exactly so many, instead of --detail", type=positive_int, metavar="N")
    seed: int = option(0, "of all randomness", within=SEED)
    device: str = option("cpu", "of the networks; cuda: every worker takes a GPU of the cluster", group="where")
    address: str = option("local", "local: this machine; or HOST:PORT of a Ray cluster that this machine is part of")
    workers: int | None = option(None, "processes; default: one for every core", type=positive_int, metavar="N")
    seconds: float = option(600.0, "a mesh may take", within="(0, 1000000]", group="limits")
    memory: float = option(8.0, "GiB that a mesh may take", within="(0, 100000]")
    rows: int = option(1000, "of a file", type=positive_int, group="output")
    pictures: int = option(12, "of a sample, and of the worst, in summary.html", within="[0, 1000]")
    overwrite: bool = option(False, "start over instead of going on")

    @property
    def job(self) -> Job:
        """What a worker does."""
        options: dict[str, Any] = {"work": self.work, "device": self.device, "seed": self.seed}
        if self.work == "parts":
            options |= {"detail": self.detail, "count": self.parts}
        if self.work == "ready":
            options["folder"] = str(self.out.resolve() / "ready")
        return Job("models.collection.works:make", options, self.seconds, self.memory)

    def manifest(self, entries: list[Entry], answers: str) -> dict[str, Any]:
        """What the rows depend on; answers: what those of the networks depend on."""
        kept = ("work", "detail", "parts", "seed", "seconds", "memory", "rows")
        return {
            "input": digest(*(text for entry in entries for text in entry)),
            "meshes": len(entries),
            **{name: getattr(self, name) for name in kept},
            "answers": answers,
            "version": ROWS_VERSION,
        }
