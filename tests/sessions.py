"""Segmenters without weights, and bits of work with them, for tests of sessions and of the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from utils.clicks import Clicks
from utils.geometry.mesh import Mesh, load_mesh
from utils.geometry.part_tree import PartTree
from utils.segmenter import Candidates, Segmenter
from utils.session.answers import Answers
from utils.session.session import Session


class BallSegmenter(Segmenter):
    """Selects what is near a positive click and nearer to it than to a negative one; 0.5 at distance `radius`."""

    threshold = None

    def __init__(self, mesh: Mesh, radius: float = 1.0, kind: str = "prior", identity: str = "") -> None:
        super().__init__(mesh)
        self.kind, self.label, self.identity = kind, "test", identity
        self.points, self.radius, self.calls = torch.from_numpy(mesh.normalized), radius, 0

    def probability(self, clicks: Clicks, granularity: float | None = None) -> np.ndarray:
        self.calls += 1
        return self._probability(clicks.validate(len(self.points)), self.radius)

    def _probability(self, clicks: Clicks, radius: float) -> np.ndarray:
        near = torch.cdist(self.points, self.points[clicks.positives]).amin(1)
        limit = torch.full_like(near, radius)
        if len(clicks.negatives):
            limit = torch.minimum(limit, torch.cdist(self.points, self.points[clicks.negatives]).amin(1))
        return (limit / (near + limit).clamp_min(1e-9)).numpy().astype(np.float32)


class CandidateSegmenter(BallSegmenter):
    """Also gives three nested candidates, as `models.prior.segmenter.PriorSegmenter` does."""

    nested = True
    threshold = 0.5

    def probability(self, clicks: Clicks, granularity: float | None = None) -> np.ndarray:
        self.calls += 1
        granularity = 0.5 if granularity is None else granularity
        return self._probability(clicks.validate(len(self.points)), self.radius * 2 ** (2 * granularity - 1))

    def candidates(self, clicks: Clicks) -> Candidates:
        answers = np.stack([self.probability(clicks, stop) for stop in (0.0, 0.5, 1.0)])
        return Candidates(probability=answers, quality=np.array([0.5, 0.8, 0.6], dtype=np.float32))


class LearningSegmenter(CandidateSegmenter):
    """Also learns, as `Iseg3dSegmenter` does: every lesson takes something off the radius, down to 0.2."""

    learns = True

    def __init__(self, mesh: Mesh, radius: float = 1.0, kind: str = "instant", identity: str = "") -> None:
        super().__init__(mesh, radius, kind, identity)
        self.lessons: list[tuple[Clicks, list[Clicks]]] = []
        self._radii: list[float] = []

    def candidates(self, clicks: Clicks) -> Candidates:
        return Candidates(probability=super().candidates(clicks).probability, quality=None)

    def fine_tune(self, clicks: Clicks, others: list[Clicks] = ()) -> bool:
        for asked in (clicks, *others):
            asked.validate(len(self.points))
        if self.radius < 0.2 or len(clicks.negatives) == 0:
            return False
        self.lessons.append((clicks, list(others)))
        self._radii.append(self.radius)
        self.radius *= 0.6 + 0.1 / len(clicks)
        return True

    def undo_fine_tuning(self) -> bool:
        if not self._radii:
            return False
        self.radius = self._radii.pop()
        return True


class Quarters(PartTree):
    """A mesh in quarters by the signs of x and y: 0 and 1 (y > 0) are joined first, then 2 and 3, then all."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__(np.array([[0, 1], [2, 3], [4, 5]]), np.array([0.45, 0.6, 0.8]))
        middle = mesh.normalized[mesh.faces].mean(axis=1)
        self.quarter = (middle[:, 0] < 0) + 2 * (middle[:, 1] < 0)

    def labels(self, parts):
        place = {leaf: k for k, part in enumerate(parts) for node in part for leaf in self.leaves(node)}
        return np.array([place.get(leaf, -1) for leaf in range(4)])[self.quarter]

    def membership(self, parts):
        raise NotImplementedError

    def alike(self, part):
        own = [leaf for node in part for leaf in self.leaves(node)]
        same = [node for node in range(6) if len(self.leaves(node)) == len(own)]
        return [(node,) for node in same if not set(self.leaves(node)) & set(own)]

    def info(self, node):
        raise NotImplementedError


class ProposingSegmenter(CandidateSegmenter):
    """Also proposes `Quarters`, and has five answers to a single click."""

    def ladder(self, clicks: Clicks) -> Candidates:
        if len(clicks) > 1:
            return self.candidates(clicks)
        self.calls += 1
        clicks = clicks.validate(len(self.points))
        rows = np.stack([self._probability(clicks, self.radius * wide) for wide in (0.5, 1.0, 1.3, 1.6, 2.0)])
        return Candidates(rows, np.array([0.3, 0.8, 0.6, 0.5, 0.4], dtype=np.float32), 1)

    @property
    def part_tree(self) -> Quarters:
        return Quarters(self.mesh)


def peak(mesh: Mesh, axis: int = 1, sign: float = 1.0) -> int:
    """The vertex that is farthest along an axis."""
    return int((sign * mesh.vertices[:, axis]).argmax())


def write_obj(mesh: Mesh, path: Path) -> Mesh:
    """The mesh as a file, read again."""
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in mesh.vertices.tolist()] + [
        f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.faces.tolist()
    ]
    path.write_text("\n".join(lines) + "\n")
    return load_mesh(path)


def work_a_bit(session: Session, mesh: Mesh) -> None:
    """A bit of everything."""
    session.click(peak(mesh))
    session.click(np.int64(peak(mesh, axis=0)), positive=False)
    session.set_granularity(0.3)
    session.set_granularity(0.7)
    session.undo()
    session.grow()
    session.paint(np.arange(mesh.num_faces) < 5, add=True, stroke=1)
    session.paint(np.arange(mesh.num_faces) < 9, add=True, stroke=1)
    session.keep_part("one")
    session.click(peak(mesh, sign=-1.0))
    session.shrink()
    session.undo()
    session.redo()
    session.keep_part("two")
    session.set_locked(1, True)
    session.click(peak(mesh, axis=2))
    session.largest()
    session.edit("extrude", 0.1)
    session.undo()
    session.edit("shrink", 0.8)
    session.rename_part(2, "three")
    session.undo()


def learn_and_change(session: Session, mesh: Mesh, other: Answers) -> None:
    """Lessons before and after another segmenter answered; the session has a click of each sign."""
    own = session.answers
    session.learn()
    session.keep_part("learnt")
    session.click(peak(mesh, axis=2))
    session.learn()
    session.undo()
    session.use(other)
    session.click(peak(mesh, axis=2, sign=-1.0), positive=False)
    session.keep_part("other")
    session.use(own)
    session.undo()
    session.click(peak(mesh, axis=0))
    session.learn()
