"""A mesh as a graph of about 1,500 patches of its surface ("nodes"), so that costs do not grow with the mesh.

Nodes grow from evenly spread seeds over the faces and stop at concave creases, along which people cut objects into
parts. Faces that are long compared with a node are subdivided first; what is computed on nodes goes back to the faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import eigsh
from scipy.spatial import KDTree

from models.prior.fine_faces import FineFaces, components, fine_faces
from utils.geometry.geodesics import CONVEX_SHARE, CREASE_LENGTH, UNREACHABLE
from utils.geometry.graphs import depth_inside, distinct_pairs, symmetric
from utils.geometry.mesh import Mesh

NODES = 1536
EIGENVECTORS = 48
SEED_POINTS = 24_000  # seeds are chosen among at most so many faces
CREASE_DECAY = 0.3  # radians of concave turn at which an edge conducts 1/e of a flat one
THICKNESS_RAYS = 8
THICKNESS_CONE = np.pi / 5  # radians between a ray and the inward normal
WALL = 0.1  # thickness up to which both sides of a solid are one wall
OPPOSITE = 0.7  # cosine between a ray through a wall and the normal where it comes out
FREE = 2.0  # the length reported for a ray that meets nothing


@dataclass(frozen=True, eq=False)
class NodeGraph:
    """Everything about the geometry that the prior reads, in units where the object has radius 1.

    position, normal (N, 3) float32; area (N,) float32, summing to 1
    curvature        (N,) float32 mean signed turn per length, convex positive
    thickness        (N, 2) float32, depth of the solid below the node and of the free space above it
    pairs            (E, 2) int64 adjacent nodes
    length           (E, 2) float32 plain and concavity-weighted length of each pair (`utils.geometry.geodesics`)
    conductance      (E, 2) float32, shared border / distance, plain and falling with the concave turn
    modes, rates     (N, K), (K,) float32: smoothest modes of diffusion under the second conductance, and their decay
    walls            (M, 2) int64 nodes back to back on a thin wall; they conduct as neighbours do
    component        (N,) int64 connected component of the surface
    """

    position: np.ndarray
    normal: np.ndarray
    area: np.ndarray
    curvature: np.ndarray
    thickness: np.ndarray
    pairs: np.ndarray
    length: np.ndarray
    conductance: np.ndarray
    modes: np.ndarray
    rates: np.ndarray
    walls: np.ndarray
    component: np.ndarray

    def __len__(self) -> int:
        return len(self.position)

    @cached_property
    def distance_graphs(self) -> tuple[sp.csr_matrix, ...]:
        """Symmetric (N, N) lengths of each kind: plain, concave, and concave with a way through walls."""
        plain, concave = np.maximum(self.length, 1e-6).T
        through = np.linalg.norm(self.position[self.walls[:, 0]] - self.position[self.walls[:, 1]], axis=1)
        pairs = np.concatenate([self.walls, self.pairs])
        walled = np.concatenate([np.maximum(through, 1e-6), concave])
        graphs = (self.pairs, plain), (self.pairs, concave), (pairs, walled)
        return tuple(symmetric(ends, lengths, len(self)) for ends, lengths in graphs)

    @cached_property
    def flatness(self) -> np.ndarray:
        """(E,) of the borders between adjacent nodes: 1 where flat or convex, falling with the concave turn."""
        return np.exp(-(self.length[:, 1] - self.length[:, 0]) / 0.25)

    @cached_property
    def neighbours(self) -> sp.csr_matrix:
        """(N, N) how far the values of adjacent nodes, and of a node itself, count for each other across creases."""
        return sp.csr_matrix(symmetric(self.pairs, self.flatness, len(self)) + sp.identity(len(self), format="csr"))

    def distances_from(self, nodes: np.ndarray) -> np.ndarray:
        """(C, N, 3) float32 shortest paths from each of C nodes, as `distance_graphs`; 8 where there is none."""
        found = [dijkstra(graph, indices=np.asarray(nodes, dtype=np.int64)) for graph in self.distance_graphs]
        return np.minimum(np.stack(found, axis=-1), UNREACHABLE).astype(np.float32)

    def depth_inside(self, region: np.ndarray) -> np.ndarray:
        """(N,) distance of the nodes of `region` (N,) bool to its border, 0 outside; all 1 if there is no outside."""
        depth = depth_inside(self.distance_graphs[0], self.pairs, region)
        if np.isinf(depth[region]).all():
            return region.astype(np.float64)
        return np.minimum(depth, UNREACHABLE)


@dataclass(frozen=True, eq=False)
class Patches:
    """A mesh cut into N nodes, and the way back.

    mesh    the given one; fine: its E `FineFaces`
    node    (E,) int64 node of each fine face; center (N,) int64 fine face at the node's middle
    graph   the nodes
    """

    mesh: Mesh
    fine: FineFaces
    node: np.ndarray
    center: np.ndarray
    graph: NodeGraph

    @cached_property
    def interpolation(self) -> sp.csr_matrix:
        """(E, N) weights, rows summing to 1: node values at the fine faces, from nodes on the same side of creases."""
        return interpolation(self.graph, self.fine.spacing(len(self.graph)), self.fine.centroid, self.node)


def interpolation(graph: NodeGraph, spacing: float, place: np.ndarray, node: np.ndarray) -> sp.csr_matrix:
    """(M, N) weights, rows summing to 1: node values at places (M, 3) that lie in nodes (M,)."""
    size = len(graph)
    near = graph.neighbours
    counts = np.diff(near.indptr)[node]
    row = np.repeat(np.arange(len(node)), counts)
    start = near.indptr[node]
    entry = np.repeat(start - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
    column = near.indices[entry]
    squared = ((place[row] - graph.position[column]) ** 2).sum(axis=1)
    value = near.data[entry] * np.exp(-squared / (2 * (0.6 * spacing) ** 2)) + 1e-9
    matrix = sp.csr_matrix((value, (row, column)), shape=(len(node), size))
    return sp.csr_matrix(sp.diags(1 / np.asarray(matrix.sum(axis=1)).ravel()) @ matrix)


def cut(mesh: Mesh, nodes: int = NODES) -> Patches:
    """Cut a mesh into about so many nodes."""
    fine = fine_faces(mesh, nodes)
    node = grow(fine, _seeds(fine, min(nodes, len(fine))))
    size = int(node.max()) + 1
    area = np.bincount(node, fine.area, size)
    position, normal = (_means(node, fine.area, values, area) for values in (fine.centroid, fine.normal))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    away, nearest = np.linalg.norm(fine.centroid - position[node], axis=1), np.full(size, np.inf)
    np.minimum.at(nearest, node, away)
    middle = np.flatnonzero(away == nearest[node])[::-1]
    center = np.empty(size, dtype=np.int64)
    center[node[middle]] = middle  # of several at one distance the first is written last
    return Patches(mesh, fine, node, center, _node_graph(fine, node, center, area, position, normal))


def _means(node: np.ndarray, weight: np.ndarray, values: np.ndarray, total: np.ndarray) -> np.ndarray:
    """(N, 3) weighted means of values (E, 3) over the faces of each node."""
    sums = [np.bincount(node, weight * column, len(total)) for column in values.T]
    return np.stack(sums, axis=1) / total[:, None]


def _seeds(fine: FineFaces, count: int) -> np.ndarray:
    """(count,) faces spread over positions and normals."""
    chosen = np.arange(len(fine))
    if len(fine) > SEED_POINTS:
        share = fine.area / fine.area.sum()
        chosen = np.sort(np.random.default_rng(0).choice(len(fine), SEED_POINTS, replace=False, p=share))
    points = np.concatenate([fine.centroid[chosen], 0.6 * fine.spacing(count) * fine.normal[chosen]], axis=1)
    return chosen[spread_out(points.astype(np.float32), count)]


def grow(fine: FineFaces, seeds: np.ndarray) -> np.ndarray:
    """(E,) number of the seed that is nearest to each face along the concave distance, from 0 without gaps."""
    cost = fine.length + CREASE_LENGTH * np.where(fine.turn > 0, fine.turn, CONVEX_SHARE * -fine.turn)
    graph = symmetric(fine.pairs, np.maximum(cost, 1e-9), len(fine))
    _, _, source = dijkstra(graph, indices=seeds, min_only=True, return_predecessors=True)
    place = np.full(len(fine), -1, dtype=np.int64)
    place[seeds] = np.arange(len(seeds))
    lost = source < 0
    node = place[np.where(lost, seeds[0], source)]
    if lost.any():  # components that could not be joined: to the nearest seed in space
        node[lost] = KDTree(fine.centroid[seeds]).query(fine.centroid[lost])[1]
    return np.unique(node, return_inverse=True)[1].astype(np.int64)


def _node_graph(
    fine: FineFaces, node: np.ndarray, center: np.ndarray, area: np.ndarray, position: np.ndarray, normal: np.ndarray
) -> NodeGraph:
    size, ends = len(area), node[fine.pairs]
    bend = sum(np.bincount(end, -fine.turn * fine.border, size) for end in ends.T)
    cross = ends[:, 0] != ends[:, 1]
    code, inverse = np.unique(ends[cross].min(axis=1) * np.int64(size) + ends[cross].max(axis=1), return_inverse=True)
    pairs = np.stack([code // size, code % size], axis=1)
    border = np.bincount(inverse, fine.border[cross], len(pairs))
    turns = np.bincount(inverse, (fine.border * fine.turn)[cross], len(pairs))
    distance = np.linalg.norm(position[pairs[:, 0]] - position[pairs[:, 1]], axis=1)
    concave, weighted = turn_between(position, normal, pairs, turns / np.maximum(border, 1e-12))
    plain = np.minimum(border / np.maximum(distance, 1e-6), 4.0) + 1e-3
    conductance = np.stack([plain, plain * (np.exp(-concave / CREASE_DECAY) + 0.01)], axis=1)
    share = area / area.sum()
    component = components(fine)[center]
    walls = _walls(fine, node, center, component)
    linked, conducting = np.concatenate([pairs, walls]), np.concatenate([conductance[:, 1], np.ones(len(walls))])
    modes, rates = diffusion_modes(linked, conducting, share, EIGENVECTORS)
    return NodeGraph(
        position.astype(np.float32),
        normal.astype(np.float32),
        share.astype(np.float32),
        np.arcsinh(bend / (2 * area) / 5).astype(np.float32),
        _thickness(fine, center, normal).astype(np.float32),
        pairs,
        np.stack([distance, distance + CREASE_LENGTH * weighted], axis=1).astype(np.float32),
        conductance.astype(np.float32),
        modes,
        rates,
        walls,
        component,
    )


def _walls(fine: FineFaces, node: np.ndarray, center: np.ndarray, component: np.ndarray) -> np.ndarray:
    """(M, 2) nodes that face away from each other at both sides of a thin wall of one component."""
    way = -fine.normal[center]
    starts = (fine.centroid[center] + 1e-4 * way).astype(np.float32)
    hit = fine.scene.run(starts, way.astype(np.float32), query="INTERSECT", output=True)
    face, length = np.asarray(hit["primID"], dtype=np.int64), np.asarray(hit["tfar"])
    found = (face >= 0) & (length < WALL)
    face = np.where(found, face, 0)
    other = node[face]
    found &= (component[other] == component) & ((fine.normal[face] * way).sum(axis=1) > OPPOSITE)
    first = np.flatnonzero(found & (other != np.arange(len(other))))
    return distinct_pairs(np.stack([first, other[first]], axis=1), len(other))


def _thickness(fine: FineFaces, center: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """(N, 2) median length of rays into the solid and out of it (shape diameter function)."""
    helper = np.where(np.abs(normal[:, :1]) < 0.7, [[1.0, 0, 0]], [[0, 1.0, 0]])
    side = np.cross(normal, helper)
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    other = np.cross(normal, side)
    turn = np.arange(THICKNESS_RAYS - 1) * 2 * np.pi / (THICKNESS_RAYS - 1)
    around = np.cos(turn)[None, :, None] * side[:, None] + np.sin(turn)[None, :, None] * other[:, None]
    result = []
    for sign in (-1.0, 1.0):
        axis = sign * fine.normal[center]
        cone = np.cos(THICKNESS_CONE) * axis[:, None] + np.sin(THICKNESS_CONE) * around
        rays = np.concatenate([axis[:, None], cone], axis=1).reshape(-1, 3).astype(np.float32)
        starts = np.repeat(fine.centroid[center] + 1e-4 * axis, THICKNESS_RAYS, axis=0).astype(np.float32)
        length = fine.scene.run(starts, rays, query="DISTANCE")
        length = np.asarray(length, dtype=np.float64).reshape(-1, THICKNESS_RAYS)
        result.append(np.median(np.minimum(np.where(np.isfinite(length), length, FREE), FREE), axis=1))
    return np.stack(result, axis=1)


def spread_out(points: np.ndarray, count: int) -> np.ndarray:
    """(count,) ascending rows of float32 `points` (P, D): farthest-point sampling from row 0.

    In single precision, whose rounding decides ties; in double some meshes would get other nodes (and other answers)
    than the weights were measured with.
    """
    chosen = np.zeros(count, dtype=np.int64)
    squared = (points**2).sum(axis=1)
    nearest = np.full(len(points), np.inf, dtype=np.float32)
    for k in range(1, count):
        last = chosen[k - 1]
        distance = points @ (-2 * points[last])
        distance += squared
        distance += squared[last]
        np.minimum(nearest, distance, out=nearest)
        chosen[k] = nearest.argmax()
    return np.unique(chosen)


def turn_between(
    position: np.ndarray, normal: np.ndarray, pairs: np.ndarray, rim_turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Concave turn of each pair in radians (0 where convex), and the turn with convex ones at a tenth.

    The larger of the turn between the nodes' mean normals and that along their shared border (`rim_turn`).
    """
    first, second = pairs.T
    angle = np.arccos(np.clip((normal[first] * normal[second]).sum(axis=1), -1.0, 1.0))
    opening = ((normal[second] - normal[first]) * (position[second] - position[first])).sum(axis=1)
    concave = np.maximum(np.where(opening < 0, angle, 0.0), np.maximum(rim_turn, 0.0))
    return concave, np.maximum(concave, CONVEX_SHARE * angle)


def diffusion_modes(
    pairs: np.ndarray, conductance: np.ndarray, share: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) float32 modes and (K,) float32 decay rates of M dx/dt = -L x, orthonormal under the areas M (sum 1).

    The columns beyond the number of nodes are 0, with rates that decay at once.
    """
    size = len(share)
    weights = symmetric(pairs, conductance, size)
    root = 1 / np.sqrt(np.maximum(share, 1e-9))
    laplacian = sp.diags(np.asarray(weights.sum(axis=1)).ravel()) - weights
    scaled = sp.csc_matrix(sp.diags(root) @ laplacian @ sp.diags(root))
    scaled = (scaled + scaled.T) * 0.5
    modes, rates = np.zeros((size, count), dtype=np.float32), np.full(count, 1e6, dtype=np.float32)
    if size <= count + 2:
        values, vectors = np.linalg.eigh(scaled.toarray())
        values, vectors = values[:count], vectors[:, :count]
    else:
        start = np.random.default_rng(0).normal(size=size)  # eigsh draws its own otherwise, differently each time
        values, vectors = eigsh(scaled, count, sigma=-0.05 * scaled.diagonal().mean() / size, v0=start)
        order = values.argsort()
        values, vectors = values[order], vectors[:, order]
    modes[:, : len(values)] = vectors * root[:, None]
    rates[: len(values)] = np.maximum(values, 0)
    return modes, rates
