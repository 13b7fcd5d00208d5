"""Points sampled on a mesh, from which a network reads its shape (iSeg3D paper, Sec. 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from models.points.surface import into_unit_ball, sample_surface
from utils.errors import UserError
from utils.geometry.mesh import Mesh

POINTS = 4096  # of a cloud (Sec. 4.1)
LEAST_POINTS = 16  # of a small component of a mesh


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
