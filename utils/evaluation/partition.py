"""How far two partitions of a mesh are apart: the four measures of the Princeton Segmentation Benchmark.

Chen, Golovinskiy and Funkhouser, *A Benchmark for 3D Mesh Segmentation* (2009), section 5. All are errors: 0 for equal
partitions. The size of a set of faces is their number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from scipy.sparse.csgraph import dijkstra

from utils.geometry.geodesics import SurfaceDistances
from utils.geometry.mesh import SIDES, Mesh
from utils.geometry.welding import first_of_each


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P, Q) float64, how many faces each part of one partition (F,) shares with each of another (F,)."""
    rows, columns = (np.unique(labels, return_inverse=True)[1].reshape(-1) for labels in (first, second))
    shape = int(rows.max()) + 1, int(columns.max()) + 1
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def rand_index_error(shared: np.ndarray) -> float:
    """Share of the pairs of faces that are together in one partition and apart in the other; `shared`: `overlaps`."""
    faces = shared.sum()
    if faces < 2:
        return 0.0
    apart = (shared.sum(axis=1) ** 2).sum() + (shared.sum(axis=0) ** 2).sum() - 2 * (shared**2).sum()
    return float(apart / (faces * (faces - 1)))


def hamming(shared: np.ndarray) -> tuple[float, float]:
    """Missing and false-alarm rate of the first partition (rows) with the second (columns) as the truth.

    Each part of one goes to the part of the other that it shares most with; what lies outside of that is counted.
    """
    faces = shared.sum()
    return float(1 - shared.max(axis=0).sum() / faces), float(1 - shared.max(axis=1).sum() / faces)


def consistency(shared: np.ndarray) -> tuple[float, float]:
    """Global and local consistency error: 0 also where one partition refines the other."""
    faces, rows, columns = shared.sum(), shared.sum(axis=1, keepdims=True), shared.sum(axis=0, keepdims=True)
    of_first, of_second = (rows - shared) / rows, (columns - shared) / columns
    total = min((shared * of_first).sum(), (shared * of_second).sum())
    return float(total / faces), float((shared * np.minimum(of_first, of_second)).sum() / faces)


class Cuts:
    """Where the partitions of one mesh are cut; distances run along its edges."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        place = mesh.place
        self._corner = first_of_each(place)[place][mesh.faces]
        sides = np.sort(self._corner[:, SIDES].reshape(-1, 2), axis=1)
        self._code = sides[:, 0] * np.int64(mesh.num_vertices) + sides[:, 1]
        self._graph = SurfaceDistances(mesh).graphs[0]

    @cached_property
    def radius(self) -> float:
        """Mean distance of the surface from its centroid."""
        middle = self.mesh.face_centroids
        centroid = np.average(middle, axis=0, weights=self.mesh.face_areas)
        return float(np.average(np.linalg.norm(middle - centroid, axis=1), weights=self.mesh.face_areas))

    def vertices(self, labels: np.ndarray) -> np.ndarray:
        """The vertices of the edges between faces of different parts; labels (F,)."""
        owner = np.repeat(np.unique(labels, return_inverse=True)[1], 3)
        order = np.lexsort((owner, self._code))
        same = (self._code[order][1:] == self._code[order][:-1]) & (owner[order][1:] != owner[order][:-1])
        code = np.unique(self._code[order][1:][same])
        return np.unique(np.concatenate([code // self.mesh.num_vertices, code % self.mesh.num_vertices]))

    def distances(self, vertices: np.ndarray) -> np.ndarray:
        """(V,) of every vertex from the nearest of some."""
        return dijkstra(self._graph, indices=vertices, min_only=True)

    def discrepancy(self, first: np.ndarray, second: np.ndarray) -> float | None:
        """Cut discrepancy of two partitions (F,): the mean distance of each one's cuts from the other's, both added, in
        units of `radius`; None where one is not cut at all: there it is not defined."""
        mine, other = self.vertices(first), self.vertices(second)
        if not len(mine) or not len(other):
            return None
        return self.between(mine, self.distances(mine), other, self.distances(other))

    def between(self, mine: np.ndarray, from_mine: np.ndarray, other: np.ndarray, from_other: np.ndarray) -> float:
        """The same of two sets of cut vertices and the distances (V,) from them."""
        return float((from_other[mine].mean() + from_mine[other].mean()) / self.radius)


@dataclass(frozen=True)
class PartitionErrors:
    """Of one partition against those of people, means over them; cut_discrepancy: None where it is not defined."""

    rand_index: float
    hamming: float
    hamming_missing: float
    hamming_false_alarm: float
    global_consistency: float
    local_consistency: float
    cut_discrepancy: float | None


MEASURES = tuple(PartitionErrors.__dataclass_fields__)


class People:
    """The partitions (A, F) that people made of one mesh, to measure others and each other against."""

    def __init__(self, mesh: Mesh, segmentations: np.ndarray) -> None:
        self.cuts, self.segmentations = Cuts(mesh), segmentations
        self._of_each = [self._cut(labels) for labels in segmentations]

    def _cut(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vertices = self.cuts.vertices(labels)
        return vertices, self.cuts.distances(vertices) if len(vertices) else np.zeros(0)

    def against(self, labels: np.ndarray) -> PartitionErrors:
        """A partition (F,) against every person."""
        return self._means(labels, self._cut(labels), range(len(self.segmentations)))

    def each_other(self) -> PartitionErrors | None:
        """Every person against all others, the mean; None where there is one person only."""
        everyone = range(len(self.segmentations))
        if len(everyone) < 2:
            return None
        found = [
            self._means(self.segmentations[k], self._of_each[k], [other for other in everyone if other != k])
            for k in everyone
        ]
        return average(found)

    def _means(self, labels: np.ndarray, cut: tuple[np.ndarray, np.ndarray], people) -> PartitionErrors:
        found = []
        for person in people:
            shared = overlaps(labels, self.segmentations[person])
            missing, false_alarm = hamming(shared)
            theirs = self._of_each[person]
            discrepancy = self.cuts.between(*cut, *theirs) if len(cut[0]) and len(theirs[0]) else None
            found.append(
                PartitionErrors(
                    rand_index_error(shared),
                    (missing + false_alarm) / 2,
                    missing,
                    false_alarm,
                    *consistency(shared),
                    discrepancy,
                )
            )
        return average(found)


def average(errors: list[PartitionErrors]) -> PartitionErrors:
    """The means of each measure over those that have it."""
    columns = {name: [asdict(each)[name] for each in errors] for name in MEASURES}
    held = {name: [value for value in values if value is not None] for name, values in columns.items()}
    means = {name: float(np.mean(values)) if values else None for name, values in held.items()}
    return PartitionErrors(**means)  # type: ignore[arg-type]
