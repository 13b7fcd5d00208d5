"""Point clouds of meshes: sampling, hidden surfaces, and training clouds with primitive labels (Sec. 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import trimesh.ray.ray_pyembree
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from models.iseg3d.reshuffle import reshuffled
from models.iseg3d.surface import Primitive, into_unit_ball, sample_surface
from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.shapes import random_shape

POINTS = 4096  # of a cloud (Sec. 4.1)
RAYS = 10
LEAST_POINTS = 16  # of a small component of a mesh
SMALLEST = 20  # points of a primitive; what has fewer is given to its neighbours
RESHUFFLED_SHARE = 0.35


@dataclass(frozen=True)
class Cloud:
    """Points sampled on a mesh.

    points     (N, 3) float32, the middle of their box in the origin, the farthest at distance 1
    normals    (N, 3) float32 unit
    faces      (N,) int64, the face of the mesh that each point lies on
    positions  (N, 3) float64, the points in the frame of `Mesh.normalized`
    """

    points: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True)
class LabelledCloud:
    """A training cloud: points and normals (N, 3) float32 as in `Cloud`, labels (N,) int64 of primitives, numbered from 0."""

    points: np.ndarray
    normals: np.ndarray
    labels: np.ndarray


def sample_cloud(mesh: Mesh, count: int = POINTS, seed: int = 0) -> Cloud:
    """Cloud of a mesh, the same for the same seed, whatever the number of its vertices; normals are those of the faces, outwards.

    Points are uniform by area, but a small component gets at least `LEAST_POINTS`, as long as that takes a quarter of the points at
    most: the largest of the small components come first. UserError if no face has an area.
    """
    if not mesh.face_areas.sum() > 0:
        raise UserError(
            f"{mesh.path or 'the mesh'} has no face with an area, so no points can be sampled on it; export it again"
        )
    rng = np.random.default_rng(seed)
    vertices = mesh.normalized.astype(np.float64)
    small = _small_components(mesh, count)
    own = [sample_surface(vertices, mesh.faces[faces], LEAST_POINTS, rng) for faces in small]
    points, normals, chosen = sample_surface(vertices, mesh.faces, count - LEAST_POINTS * len(own), rng)
    points, normals = (
        np.concatenate([first, *rest])
        for first, rest in ((points, [o[0] for o in own]), (normals, [o[1] for o in own]))
    )
    chosen = np.concatenate([chosen, *(faces[o[2]] for faces, o in zip(small, own))])
    return Cloud(into_unit_ball(points).astype(np.float32), (normals * mesh.winding).astype(np.float32), chosen, points)


def _small_components(mesh: Mesh, count: int) -> list[np.ndarray]:
    """Faces of the components that `count` points by area would give fewer than `LEAST_POINTS`, as many as there is room for."""
    component = face_components(mesh)
    area = np.bincount(component, mesh.face_areas)
    small = np.flatnonzero((area > 0) & (area * count < LEAST_POINTS * area.sum()))
    small = small[np.argsort(-area[small], kind="stable")][: count // 4 // LEAST_POINTS]
    return [np.flatnonzero(component == label) for label in small]


def face_components(mesh: Mesh) -> np.ndarray:
    """(F,) int64 connected component of every face; vertices in the same place count as one."""
    place = np.unique(mesh.vertices, axis=0, return_inverse=True)[1].reshape(-1)
    corners = place[mesh.faces]
    first, second = corners[:, [0, 0]].ravel(), corners[:, 1:].ravel()
    graph = sp.coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(len(mesh.vertices),) * 2)
    component = connected_components(graph, directed=False)[1][corners[:, 0]]
    return np.unique(component, return_inverse=True)[1].reshape(-1)


def exposed(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) bool: a ray from the point in one of some random directions leaves the shape. Inside other primitives none does."""
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    hits = trimesh.ray.ray_pyembree.RayMeshIntersector(mesh)
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


def labelled_cloud(seed: int, repository: list[Primitive] | None = None, count: int = POINTS) -> LabelledCloud:
    """Training cloud `seed`: primitives reshuffled at random, or a composed shape of our generator with its parts.

    repository: primitives to reshuffle, for instance of ABC models (`models.iseg3d.abc`), and then every cloud is of these;
    None: our own primitives. Deterministic by seed. Only what can be seen from outside is sampled.
    """
    rng = np.random.default_rng([seed, 11])
    if repository is not None or rng.random() < RESHUFFLED_SHARE:
        vertices, faces, labels = reshuffled(rng, repository)
    else:
        shape = random_shape(seed)
        vertices, faces, labels = shape.vertices, shape.faces, shape.part
    kept: list[tuple[np.ndarray, ...]] = []
    held = 0
    for _ in range(6):
        points, normals, chosen = sample_surface(vertices, faces, count + count // 2, rng)
        free = exposed(points, vertices, faces, rng)
        kept.append((points[free], normals[free], labels[chosen[free]]))
        held += int(free.sum())
        if held >= count:
            break
    else:
        raise ValueError(f"shape {seed} can hardly be seen from outside")
    points, normals, labels = (np.concatenate(arrays) for arrays in zip(*kept))
    pick = np.sort(rng.choice(len(points), count, replace=False))
    points = into_unit_ball(points[pick]).astype(np.float32)
    return LabelledCloud(points, normals[pick].astype(np.float32), without_tiny(points, labels[pick]))


def without_tiny(points: np.ndarray, labels: np.ndarray, smallest: int = SMALLEST) -> np.ndarray:
    """Labels (N,) numbered from 0, points (N, 3) of primitives with fewer than `smallest` points taken by the nearest other."""
    large = (np.bincount(labels) >= smallest)[labels]
    if large.any() and not large.all():
        labels = labels.copy()
        labels[~large] = labels[large][cKDTree(points[large]).query(points[~large])[1]]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)
