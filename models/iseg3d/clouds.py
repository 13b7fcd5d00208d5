"""Point clouds of meshes: sampling, hidden surfaces, and training clouds with primitive labels (Sec. 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from models.iseg3d.surface import Primitive, into_unit_ball, sample_surface
from utils.errors import UserError
from utils.geometry.mesh import Mesh

POINTS = 4096  # of a cloud (Sec. 4.1)
RAYS = 10
LEAST_POINTS = 16  # of a small component of a mesh
SMALLEST = 20  # points of a primitive; what has fewer is given to its neighbours
RESHUFFLED_SHARE = 0.35


@dataclass(frozen=True)
class Cloud:
    """Points on a surface: points (N, 3) float32, the middle of their box in the origin, the farthest at distance 1;
    normals (N, 3) float32 unit."""

    points: np.ndarray
    normals: np.ndarray


@dataclass(frozen=True)
class MeshCloud(Cloud):
    """Points sampled on a mesh.

    faces      (N,) int64, the face that each point lies on
    positions  (N, 3) float64, the points in the frame of `Mesh.normalized`
    """

    faces: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True)
class LabelledCloud(Cloud):
    """A training cloud; labels (N,) int64 of primitives, numbered from 0."""

    labels: np.ndarray


def sample_cloud(mesh: Mesh, count: int = POINTS, seed: int = 0) -> MeshCloud:
    """Cloud of a mesh, the same for the same seed, whatever its number of vertices; normals of the faces, outwards.

    Points are uniform by area, but a small component gets at least `LEAST_POINTS`, as long as that takes a quarter of
    the points at most: the largest of the small components come first. UserError if no face has an area.
    """
    if not mesh.face_areas.sum() > 0:
        raise UserError(
            f"{mesh.path or 'the mesh'} has no face with an area, so no points can be sampled on it; export it again"
        )
    rng, vertices = np.random.default_rng(seed), mesh.normalized.astype(np.float64)
    small = []
    for faces in _small_components(mesh, count):
        points, normals, chosen = sample_surface(vertices, mesh.faces[faces], LEAST_POINTS, rng)
        small.append((points, normals, faces[chosen]))
    whole = sample_surface(vertices, mesh.faces, count - LEAST_POINTS * len(small), rng)
    points, normals, faces = (np.concatenate(arrays) for arrays in zip(whole, *small))
    unit = into_unit_ball(points).astype(np.float32)
    return MeshCloud(unit, (normals * mesh.winding).astype(np.float32), faces, points)


def _small_components(mesh: Mesh, count: int) -> list[np.ndarray]:
    """Faces of the components that would get fewer than `LEAST_POINTS` of `count` by area, as many as have room."""
    component = face_components(mesh)
    area = np.bincount(component, mesh.face_areas)
    small = np.flatnonzero((area > 0) & (area * count < LEAST_POINTS * area.sum()))
    small = small[np.argsort(-area[small], kind="stable")][: count // 4 // LEAST_POINTS]
    return [np.flatnonzero(component == label) for label in small]


def face_components(mesh: Mesh) -> np.ndarray:
    """(F,) int64 connected component of every face; vertices in the same place count as one."""
    corners = mesh.place[mesh.faces]
    first, second = corners[:, [0, 0]].ravel(), corners[:, 1:].ravel()
    graph = sp.coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(len(mesh.vertices),) * 2)
    component = connected_components(graph, directed=False)[1][corners[:, 0]]
    return np.unique(component, return_inverse=True)[1].reshape(-1)


def exposed(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) bool: a ray from the point in one of some random directions leaves the shape, as none inside it does."""
    import trimesh.ray.ray_pyembree  # answers need neither it nor shapes

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
    from models.iseg3d.reshuffle import reshuffled
    from utils.shapes import random_shape

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
