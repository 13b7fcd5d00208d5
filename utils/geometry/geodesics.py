"""Distances along the surface from clicked vertices: plain, and longer across concave creases.

Both are shortest paths on the graph of the mesh's edges (Dijkstra), in normalised coordinates, where the object has
radius 1. People cut objects into parts along concave creases, so a path that crosses one is made longer there.
Components that do not touch are joined by straight bridges, so that every distance on the used vertices is finite.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from utils.geometry.mesh import Mesh

UNREACHABLE = 8.0  # stands for no path; longer than nearly all real ones, and finite for a network
CREASE_LENGTH = 1.0  # added to the concave distance for each radian of concave turn ...
CONVEX_SHARE = 0.1  # ... and this share of it for each radian of convex turn
BRIDGE_TURN = np.pi / 2  # a bridge between components counts as a concave crease of this angle
BRIDGE_NEIGHBORS = 8
HELD_BYTES = 64 << 20  # of distances from vertices that were asked about before
LONE_COMPONENTS = 256  # beyond so many components without a near neighbour, the smallest stay unreachable


class SurfaceDistances:
    """Geodesic distances on one mesh.

    KINDS names the last axis of what the methods return: "plain" is the length of the shortest path along edges;
    "concave" adds `CREASE_LENGTH` per radian by which the vertex normal turns over each edge, convex turns at a tenth.
    On the labelled Princeton meshes, ordering the surface by this holds a part better than by the plain length
    (best-radius IoU 0.87 against 0.84), and better at one radius for all than scaling the length by the angle.
    """

    KINDS = ("plain", "concave")

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self._held: OrderedDict[int, np.ndarray] = OrderedDict()

    @cached_property
    def graphs(self) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Symmetric (V, V) edge lengths of each kind."""
        edges, bridges = self.mesh.edges, bridge_components(self.mesh)
        turn = np.concatenate([crease_angles(self.mesh, edges), np.full(len(bridges), BRIDGE_TURN)])
        pairs = np.concatenate([edges, bridges])
        points = self.mesh.normalized.astype(np.float64)
        length = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
        size = self.mesh.num_vertices
        return _graph(pairs, length, size), _graph(pairs, length + CREASE_LENGTH * turn, size)

    def from_each(self, vertices: np.ndarray) -> np.ndarray:
        """(K, V, 2) float32: both distances from each of K vertices to all. About 1 ms for 10,000 vertices and kind."""
        vertices = np.asarray(vertices, dtype=np.int64).reshape(-1)
        result = np.empty((len(vertices), self.mesh.num_vertices, len(self.KINDS)), dtype=np.float32)
        for kind, graph in enumerate(self.graphs):
            for row, vertex in enumerate(
                vertices
            ):  # one at a time: dijkstra's float64 answer for all would be twice the size
                result[row, :, kind] = dijkstra(graph, indices=int(vertex))
        return np.minimum(result, np.float32(UNREACHABLE), out=result)

    def from_nearest(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 2) float32: both distances from the nearest of K >= 1 vertices.

        Clicks come one after another, so what was computed for the earlier ones is held (up to `HELD_BYTES`) and only
        the new ones are searched from.
        """
        vertices = np.unique(np.asarray(vertices, dtype=np.int64))
        rows = [self._from_one(int(vertex)) for vertex in vertices]
        return rows[0].copy() if len(rows) == 1 else np.minimum.reduce(rows)

    def forget(self) -> None:
        """Drop what is held."""
        self._held.clear()

    def _from_one(self, vertex: int) -> np.ndarray:
        """(V, 2) float32 from one vertex; not to be written to."""
        held = self._held.pop(vertex, None)
        if held is None:
            held = self.from_each([vertex])[0]
            while self._held and (len(self._held) + 1) * held.nbytes > HELD_BYTES:
                self._held.popitem(last=False)
        self._held[vertex] = held  # the most recent last
        return held


def crease_angles(mesh: Mesh, pairs: np.ndarray) -> np.ndarray:
    """(E,) float64 radians between the vertex normals at both ends of (E, 2) edges, convex turns counted at a tenth."""
    normals = mesh.vertex_normals.astype(np.float64) * mesh.winding
    points = mesh.normalized.astype(np.float64)
    first, second = pairs.T
    angle = np.arccos(np.clip(np.einsum("ij,ij->i", normals[first], normals[second]), -1.0, 1.0))
    angle[~(normals[first].any(axis=1) & normals[second].any(axis=1))] = 0.0
    opening = np.einsum("ij,ij->i", normals[second] - normals[first], points[second] - points[first])
    return np.where(opening >= 0, CONVEX_SHARE * angle, angle)


def bridge_components(mesh: Mesh) -> np.ndarray:
    """(B, 2) int64 vertex pairs that join the components of a mesh where they come close.

    Vertices of different components that are among each other's nearest join if they are no farther apart than a typical
    edge (parts that touch); components that remain apart are joined to the nearest other vertex.
    """
    count, label = connected_components(mesh.vertex_adjacency, directed=False)
    used = np.flatnonzero(mesh.referenced)
    if len(np.unique(label[used])) <= 1:
        return np.empty((0, 2), dtype=np.int64)
    points = mesh.normalized.astype(np.float64)
    touching = _touching(points, used, label, _typical_edge(mesh, points))
    size = mesh.num_vertices
    joined = mesh.vertex_adjacency + _graph(touching, np.ones(len(touching)), size).astype(bool)
    return np.concatenate([touching, _join_lone(points, used, connected_components(joined, directed=False)[1])])


def _typical_edge(mesh: Mesh, points: np.ndarray) -> float:
    length = np.linalg.norm(points[mesh.edges[:, 0]] - points[mesh.edges[:, 1]], axis=1)
    return float(np.median(length[length > 0])) if (length > 0).any() else 0.0


def _touching(points: np.ndarray, used: np.ndarray, label: np.ndarray, reach: float) -> np.ndarray:
    """(B, 2) pairs of near neighbours that lie in different components."""
    neighbors = min(BRIDGE_NEIGHBORS, len(used))
    distance, index = cKDTree(points[used]).query(points[used], k=neighbors)
    first, second = np.repeat(used, neighbors), used[index.reshape(-1)]
    chosen = (label[first] != label[second]) & (distance.reshape(-1) <= reach)
    return np.unique(np.sort(np.stack([first[chosen], second[chosen]], axis=1), axis=1), axis=0)


def _join_lone(points: np.ndarray, used: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(B, 2) the shortest bridge from each component but the largest to any vertex outside it, until all are joined."""
    pairs = []
    while True:
        names, size = np.unique(label[used], return_counts=True)
        if len(names) == 1 or len(pairs) >= LONE_COMPONENTS:
            break
        name = names[size.argsort()[-2]]  # the second largest: many small ones must not use up the limit
        inside, outside = used[label[used] == name], used[label[used] != name]
        distance, index = cKDTree(points[outside]).query(points[inside])
        nearest = int(distance.argmin())
        pairs.append((inside[nearest], outside[index[nearest]]))
        label = np.where(label == name, label[pairs[-1][1]], label)
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _graph(pairs: np.ndarray, length: np.ndarray, size: int) -> sp.csr_matrix:
    """Symmetric (V, V) matrix of lengths; scipy reads a stored 0 as no edge, so coincident vertices get a tiny length."""
    length = np.maximum(length, 1e-9)
    first, second = pairs.T
    both = (np.concatenate([first, second]), np.concatenate([second, first]))
    return sp.csr_matrix((np.concatenate([length, length]), both), shape=(size, size))
