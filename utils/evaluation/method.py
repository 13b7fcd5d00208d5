"""What is measured: something that answers clicks on faces, how it is made ready for a mesh, and what that takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from utils.files import load_json, save_json
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.segmenter import Candidates


class FaceSegmenter(Protocol):
    """Answers clicks on the faces of one mesh, as every `utils.segmenter.Segmenter` does."""

    def face_probability(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """(F,) float, above 0.5 is selected; for clicked faces (C,) int64 and their signs (C,) bool."""
        ...

    def face_candidates(self, faces: np.ndarray, positive: np.ndarray) -> Candidates:
        """The alternatives that it offers to the clicks, on faces."""
        return Candidates(self.face_probability(faces, positive)[None])

    def face_ladder(self, faces: np.ndarray, positive: np.ndarray) -> Candidates:
        """What the clicks may mean, from small to large, on faces."""
        return self.face_candidates(faces, positive)


class Stopwatch:
    """Adds up the seconds spent inside `with`: on the wall, and of the processor in all threads."""

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0

    def __enter__(self) -> Stopwatch:
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began[0]
        self.cpu_seconds += time.process_time() - self._began[1]


@dataclass(frozen=True)
class Prepared:
    """A method made ready for one mesh.

    seconds, cpu_seconds  that this takes when nothing is read back from disk; None: not known
    choice                it offers its candidates to choose from, so what a right choice would gain is measured
    """

    segmenter: FaceSegmenter
    seconds: float | None
    cpu_seconds: float | None
    choice: bool = False


@dataclass(frozen=True)
class Method:
    """A segmentation method: made ready once a mesh, then clicked any number of times.

    identity  everything that its answers depend on, as text; results are kept under it
    """

    name: str
    identity: str
    prepare: Callable[[Mesh, FaceGraph], Prepared]

    @classmethod
    def opening(
        cls, name: str, identity: str, open: Callable[[Mesh, FaceGraph], FaceSegmenter], choice: bool = False
    ) -> Method:
        """Made ready by `open` alone; choice: see `Prepared`."""

        def prepare(mesh: Mesh, graph: FaceGraph) -> Prepared:
            with Stopwatch() as watch:
                segmenter = open(mesh, graph)
            return Prepared(segmenter, watch.seconds, watch.cpu_seconds, choice)

        return cls(name, identity, prepare)


class StageClock:
    """Times stages that resume by themselves, and remembers on disk what each took.

    A stage that was interrupted and finished later has an unknown time (None): what it took before is not known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages: dict[str, dict] = load_json(path, "record of times") if path.is_file() else {}

    def run(self, stage: str, work: Callable[[], object]) -> None:
        """Do the work; it is called also if it finished before, to check what is there."""
        held = self.stages.get(stage)
        if held is None:
            save_json(self.path, self.stages | {stage: {"done": False}})
        with Stopwatch() as watch:
            work()
        if held is None or not held["done"]:
            times = {"seconds": watch.seconds, "cpu_seconds": watch.cpu_seconds}
            self.stages[stage] = {"done": True} | (times if held is None else dict.fromkeys(times))
            save_json(self.path, self.stages)

    def total(self, key: str, stages: Iterable[str], more: float = 0.0) -> float | None:
        """Of "seconds" or "cpu_seconds", over some stages, and what was measured besides."""
        values = [self.stages[stage][key] for stage in stages]
        return None if None in values else sum(values, more)
