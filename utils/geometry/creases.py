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
    corner_vertex = mesh.place[mesh.faces]
    face = np.repeat(np.arange(mesh.num_faces), 3)
    start, end = corner_vertex.ravel(), np.roll(corner_vertex, -1, axis=1).ravel()
    here = np.arange(3 * mesh.num_faces)  # corner 3 f + k is where side k of face f starts
    there = 3 * face + (here + 1) % 3
    forward = start < end
    low_corner, high_corner = np.where(forward, here, there), np.where(forward, there, here)
    low, high = np.minimum(start, end), np.maximum(start, end)

    order = np.lexsort((high, low))
    first, second = order[:-1], order[1:]
    # Only faces of one winding are joined: of opposite ones the normals would cancel.
    meet = (low[first] == low[second]) & (high[first] == high[second]) & (forward[first] != forward[second])
    first, second = first[meet], second[meet]
    normals = mesh.face_normals
    smooth = np.einsum("ij,ij->i", normals[face[first]], normals[face[second]]) > math.cos(crease)
    first, second = first[smooth], second[smooth]
    joined = np.concatenate(
        [np.stack([low_corner[first], low_corner[second]]), np.stack([high_corner[first], high_corner[second]])], axis=1
    )
    graph = sp.coo_matrix((np.ones(joined.shape[1]), joined), shape=(len(here),) * 2)
    count, group = connected_components(graph, directed=False)
    origin = np.zeros(count, dtype=np.int64)
    origin[group] = mesh.faces.ravel()
    return Mesh(mesh.vertices[origin], group.reshape(-1, 3).astype(np.int64)), origin
