"""A run over a collection: settings in, rows out. Which processes do the work is not known here (`Pool`)."""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.collection.guard import Job, Packed, answered
from models.collection.ledger import UNFINISHED, Ledger
from models.collection.manifest import Entry, read_entries, require_own_names
from models.collection.rows import Shards, Store, arrow_and_parquet
from models.collection.settings import WITH_CLICKS, CollectionSettings
from utils.errors import UserError
from utils.folders import claim_folder
from utils.progress import Progress, Step, silent

MANIFEST = "run.json"


class Pool(Protocol):
    """Does the work on many entries, in any order."""

    def results(self, entries: list[Entry], todo: Iterable[int]) -> Iterator[tuple[int, Packed]]:
        """The place of each entry, and its row; the generator's `close` ends all work."""
        ...


@dataclass(frozen=True)
class Loop:
    """In this process, one after another, without limits: what a pool is compared with."""

    job: Job

    def results(self, entries: list[Entry], todo: Iterable[int]) -> Iterator[tuple[int, Packed]]:
        work = self.job.make()
        for place in todo:
            yield place, answered(work, entries[place])


@dataclass(frozen=True)
class Outcome:
    """Of a run: rows of the collection, those made now, and those of them without an answer."""

    total: int
    made: int
    failed: int


def run_collection(settings: CollectionSettings, on_progress: Progress = silent) -> Outcome:
    """The work on every mesh, by Ray; then the summary. Finished rows are kept, and the same call goes on.

    Raises UserError before any work begins: for an input that cannot be read or is not complete, a folder of another
    run or that another process writes into, a package that is missing, or a cluster that is not there.
    """
    from models.collection.cluster import RayPool, ray_module
    from models.collection.summary import write_summary
    from models.collection.works import identity  # torch takes seconds

    arrow_and_parquet()
    ray_module()
    entries = read_entries(settings.input, clicks=settings.work in WITH_CLICKS)
    if settings.work == "ready":
        require_own_names(entries)
    claim = settings.manifest(entries, identity(settings.work))
    with claimed(settings.out, claim, settings.overwrite):
        ledger = Ledger(settings.out, len(entries), settings.rows, Shards())
        outcome = Outcome(len(entries), 0, 0)
        if ledger.done < len(entries):
            pool = RayPool.connect(settings.job, settings.address, settings.workers, settings.device)
            outcome = work_off(ledger, entries, pool, on_progress)
        write_summary(settings.out, settings.work, settings.pictures, on_progress)
    return outcome


def work_off(ledger: Ledger, entries: list[Entry], pool: Pool, on_progress: Progress = silent) -> Outcome:
    """Make the rows that are missing."""
    before = done = ledger.done
    failed = 0
    on_progress(Step("meshes", done, len(entries), "mesh"))
    with closing(ledger), closing(pool.results(entries, ledger.missing())) as results:  # type: ignore[type-var]
        for place, (found, packed) in results:
            ledger.add(place, packed)
            done, failed = done + 1, failed + (not found)
            on_progress(Step("meshes", done, len(entries), "mesh", f"{failed} failed" if failed else ""))
    return Outcome(len(entries), done - before, failed)


@contextmanager
def claimed(folder: Path, manifest: dict, overwrite: bool, store: Store | None = None) -> Iterator[None]:
    """Hold the folder of a run; UserError for one of another run, or that another process writes into."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"another process writes into {folder}; wait for it, or choose another folder") from error
        stale = [f"rows-*{(store or Shards()).suffix}", f"{UNFINISHED}/*.rows"]
        claim_folder(folder / MANIFEST, manifest, stale, "rows", overwrite)
        yield
