"""Training clouds with primitive labels (Sec. 3.1), of what can be seen from outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh.ray.ray_pyembree
from scipy.spatial import KDTree

from models.iseg3d.reshuffle import reshuffled
from models.points.clouds import POINTS, Cloud
from models.points.surface import Primitive, into_unit_ball, sample_surface
from utils.shapes import random_shape

RAYS = 10
SMALLEST = 20  # points of a primitive; what has fewer is given to its neighbours
RESHUFFLED_SHARE = 0.35


@dataclass(frozen=True)
class LabelledCloud(Cloud):
    """A training cloud; labels (N,) int64 of primitives, numbered from 0."""

    labels: np.ndarray


def exposed(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) bool: a ray from the point in one of some random directions leaves the shape, as none inside it does."""
    hits = trimesh.ray.ray_pyembree.RayMeshIntersector(trimesh.Trimesh(vertices, faces, process=False))
    size = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    free = np.zeros(len(points), dtype=bool)
    for _ in range(RAYS):
        left = np.flatnonzero(~free)
        if len(left) == 0:
            break
        way = rng.normal(size=(len(left), 3))
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        free[left] = ~hits.intersects_any(points[left] + way * (1e-3 * size), way)
    return free


def sample_exposed(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`sample_surface` of what can be seen from outside; ValueError where that is next to nothing."""
    kept: list[tuple[np.ndarray, ...]] = []
    while sum(len(points) for points, *_ in kept) < count:
        if len(kept) == 6:
            raise ValueError("the shape can hardly be seen from outside")
        points, normals, chosen = sample_surface(vertices, faces, count + count // 2, rng)
        free = exposed(points, vertices, faces, rng)
        kept.append((points[free], normals[free], chosen[free]))
    points, normals, chosen = (np.concatenate(arrays) for arrays in zip(*kept))
    pick = np.sort(rng.choice(len(points), count, replace=False))
    return points[pick], normals[pick], chosen[pick]


def labelled_cloud(seed: int, repository: list[Primitive] | None = None, count: int = POINTS) -> LabelledCloud:
    """Training cloud `seed`: primitives reshuffled at random, or a composed shape of our generator with its parts.

    repository: primitives to reshuffle (`models.iseg3d.abc`), and then every cloud is of these; None: our own.
    Deterministic by seed. Raises ValueError for a shape that cannot be sampled.
    """
    rng = np.random.default_rng([seed, 11])
    if repository is not None or rng.random() < RESHUFFLED_SHARE:
        vertices, faces, labels = reshuffled(rng, repository)
    else:
        shape = random_shape(seed)
        vertices, faces, labels = shape.vertices, shape.faces, shape.part
    points, normals, chosen = sample_exposed(vertices, faces, count, rng)
    points = into_unit_ball(points).astype(np.float32)
    return LabelledCloud(points, normals.astype(np.float32), without_tiny(points, labels[chosen]))


def without_tiny(points: np.ndarray, labels: np.ndarray, smallest: int = SMALLEST) -> np.ndarray:
    """Labels (N,) numbered from 0; points (N, 3) of primitives with fewer than `smallest` go to the nearest other."""
    large = (np.bincount(labels) >= smallest)[labels]
    if large.any() and not large.all():
        labels = labels.copy()
        labels[~large] = labels[large][KDTree(points[large]).query(points[~large])[1]]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)
