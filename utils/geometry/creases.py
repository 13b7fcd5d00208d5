"""Meshes that are smooth within surfaces and sharp between them, for shading."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from utils.geometry.mesh import Mesh

CREASE = math.radians(40)  # faces that meet at a larger angle keep their edge in the shading


def split_at_creases(mesh: Mesh, crease: float = CREASE) -> tuple[Mesh, np.ndarray]:
    """A copy of the mesh for shading whose vertices are doubled along sharp edges, and joined across texture seams.

    The faces keep their order and corners. Vertex normals of the copy are smooth within, and sharp between, the
    surfaces that meet at more than `crease` radians. Returns the copy and the original vertex (V',) of each of its own.
    """
    place = mesh.place.astype(np.int32)[mesh.faces]  # half as wide as ids elsewhere: most of the time is fetching
    start, end = place.ravel(), np.roll(place, -1, axis=1).ravel()  # of side k of face f, which is number 3 f + k
    forward, low, high = start < end, np.minimum(start, end), np.maximum(start, end)
    order = np.argsort(low.astype(np.int64) * mesh.num_vertices + high, kind="stable").astype(np.int32)
    low, high, forward = low[order], high[order], forward[order]
    # Only faces of one winding are joined: of opposite ones the normals would cancel.
    meet = np.flatnonzero((low[:-1] == low[1:]) & (high[:-1] == high[1:]) & (forward[:-1] != forward[1:]))
    first, second = order[meet], order[meet + 1]
    normals = mesh.face_normals
    smooth = np.einsum("ij,ij->i", normals[first // 3], normals[second // 3]) > math.cos(crease)
    first, second = first[smooth], second[smooth]
    joined = np.concatenate([np.stack([first, _next(second)]), np.stack([_next(first), second])], axis=1)
    size = 3 * mesh.num_faces
    graph = sp.coo_matrix((np.ones(joined.shape[1], dtype=np.int8), joined), shape=(size, size))
    count, group = connected_components(graph, directed=False)
    origin = np.zeros(count, dtype=np.int64)
    origin[group] = mesh.faces.ravel()
    return Mesh(mesh.vertices[origin], group.reshape(-1, 3).astype(np.int64)), origin


def corner_normals(mesh: Mesh, crease: float = CREASE) -> np.ndarray:
    """(F, 3, 3) float32 unit normals of the triangles' corners, those of `split_at_creases`.

    Where all faces around a place lie within half of `crease` of their mean, no two of them meet at a crease: only the
    others are split, so that a million smooth faces take a sixth of the time.
    """
    corner = mesh.place[mesh.faces]
    mean = np.stack([np.bincount(corner.ravel(), np.repeat(axis, 3)) for axis in mesh.face_vectors.T], axis=1)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-300)
    result = np.take(mean.astype(np.float32), corner, axis=0)
    near = np.einsum("fk,fck->fc", mesh.face_normals, result) > math.cos(crease / 2)
    sharp = np.zeros(len(mean), dtype=bool)
    sharp[corner[~near]] = True
    if sharp.any():
        doubtful = np.take(sharp, corner)
        around = np.flatnonzero(doubtful.any(axis=1))
        used, faces = np.unique(mesh.faces[around], return_inverse=True)
        split, _ = split_at_creases(Mesh(mesh.vertices[used], faces.reshape(-1, 3)), crease)
        result[doubtful] = split.vertex_normals[split.faces][doubtful[around]]
    return result


def _next(side: np.ndarray) -> np.ndarray:
    """The corner at which a side ends, as the side that starts there."""
    return side + np.where(side % 3 == 2, -2, 1).astype(np.int32)
