"""Scribbles: lines drawn on the surface through a few vertices, as dense sets of clicks (Sec. 3.4)."""

from __future__ import annotations

import itertools

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import dijkstra

from utils.errors import UserError
from utils.geometry.mesh import Mesh


def along_surface(mesh: Mesh, vertices: list[int]) -> torch.Tensor:
    """(C,) int64: the vertices on the shortest paths along edges from each of `vertices` to the next.

    UserError for ids out of range, and for vertices that no path joins.
    """
    for vertex in vertices:
        if not 0 <= vertex < mesh.num_vertices:
            raise UserError(
                f"--scribble: vertex {vertex} does not exist; the mesh has vertices 0 to {mesh.num_vertices - 1}"
            )
    line = [vertices[0]]
    edges = mesh.edges
    length = np.linalg.norm(mesh.normalized[edges[:, 0]].astype(np.float64) - mesh.normalized[edges[:, 1]], axis=1)
    graph = sp.coo_matrix((np.maximum(length, 1e-12), edges.T), shape=(mesh.num_vertices,) * 2).tocsr()
    for start, end in itertools.pairwise(vertices):
        before = dijkstra(graph, directed=False, indices=end, return_predecessors=True)[1]
        while start != end:
            start = int(before[start])
            if start < 0:
                raise UserError(
                    f"--scribble: no path on the surface joins vertices {line[-1]} and {end}; draw on one piece"
                )
            line.append(start)
    return torch.tensor(list(dict.fromkeys(line)), dtype=torch.int64)
