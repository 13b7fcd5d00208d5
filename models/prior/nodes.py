"""A mesh as a graph of about 1,500 surface patches ("nodes"), so that what the prior costs does not grow with the mesh.

Nodes grow from evenly spread seeds over the faces and stop at concave creases, along which people cut objects into parts.
Faces that are long compared with a node are subdivided first; what is computed on nodes is carried back to the faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import eigsh

from utils.geometry.face_graph import FaceGraph
from utils.geometry.geodesics import BRIDGE_TURN, CONVEX_SHARE, CREASE_LENGTH, bridge_components
from utils.geometry.mesh import Mesh

NODES = 1536
EIGENVECTORS = 48
SUBDIVIDE_ABOVE = 1.6  # edges longer than so many node spacings are halved ...
MOST_ELEMENTS = 40_000  # ... until there are so many faces
SEED_POINTS = 24_000  # seeds are chosen among at most so many faces
CREASE_DECAY = 0.3  # radians of concave turn at which an edge conducts 1/e of a flat one
THICKNESS_RAYS = 8
THICKNESS_CONE = np.pi / 5  # radians between a ray and the inward normal
FREE = 2.0  # the length reported for a ray that meets nothing


@dataclass(frozen=True, eq=False)
class NodeGraph:
    """Everything about the geometry that the prior reads, in units where the object has radius 1.

    position, normal (N, 3) float32; area (N,) float32, summing to 1
    curvature        (N,) float32 mean signed turn per length, convex positive
    thickness        (N, 2) float32, depth of the solid below the node and of the free space above it
    pairs            (E, 2) int64 adjacent nodes
    length           (E, 2) float32 plain and concavity-weighted length of each pair (`utils.geometry.geodesics.SurfaceDistances`)
    conductance      (E, 2) float32, shared border / distance, plain and falling with the concave turn
    modes, rates     (N, K), (K,) float32: smoothest modes of diffusion under the second conductance, and how fast each decays
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

    def __len__(self) -> int:
        return len(self.position)

    @cached_property
    def distance_graphs(self) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Symmetric (N, N) lengths of each kind."""
        return tuple(symmetric(self.pairs, np.maximum(self.length[:, kind], 1e-6), len(self)) for kind in range(2))

    def distances_from(self, nodes: np.ndarray) -> np.ndarray:
        """(C, N, 2) float32 plain and concave shortest paths from each of C nodes; 8 where there is none."""
        found = [dijkstra(graph, indices=np.asarray(nodes, dtype=np.int64)) for graph in self.distance_graphs]
        return np.minimum(np.stack(found, axis=-1), 8.0).astype(np.float32)


class Patches:
    """A mesh cut into nodes, and the way back.

    mesh      the given one; fine: the subdivided one (or the same); parent (E,) the face of `mesh` each fine face is part of
    node      (E,) int64 node of each fine face; faces: `FaceGraph` of the fine mesh; center (N,) fine face at the node's middle
    graph     `NodeGraph`
    """

    def __init__(self, mesh: Mesh, nodes: int = NODES) -> None:
        self.mesh = mesh
        spacing = np.sqrt(mesh.face_areas.sum() / nodes)
        self.fine, self.parent = subdivided(mesh, SUBDIVIDE_ABOVE * spacing)
        self.faces = FaceGraph(self.fine)
        self.points = self.fine.normalized.astype(np.float64)
        self.centroids = self.points[self.fine.faces].mean(axis=1)
        self.areas = np.maximum(self.fine.face_areas, 1e-12)
        self.normals = self.fine.face_normals.astype(np.float64) * self.fine.winding
        self._join_faces()
        self._grow(nodes)
        self.graph = self._node_graph()

    def _join_faces(self) -> None:
        """Adjacency of the fine faces with bridges between components: pairs, length, signed turn, shared border."""
        first, second = self.faces.pairs.T
        diagonal = np.linalg.norm(np.ptp(self.points[self.fine.referenced], axis=0))
        length = self.faces.length * diagonal
        turn = np.where(self.faces.concave, self.faces.dihedral, -self.faces.dihedral)
        bridges = bridge_components(self.fine)
        owner = np.zeros(self.fine.num_vertices, dtype=np.int64)
        owner[self.fine.faces.ravel()] = np.repeat(np.arange(self.fine.num_faces), 3)
        across = owner[bridges]
        gap = np.linalg.norm(self.centroids[across[:, 0]] - self.centroids[across[:, 1]], axis=1)
        self.face_pairs = np.concatenate([self.faces.pairs, across])
        self.face_length = np.concatenate([length, gap])
        self.face_turn = np.concatenate([turn, np.full(len(across), BRIDGE_TURN)])
        self.face_border = np.concatenate([self._shared_sides(first, second), gap])

    def _shared_sides(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Length of the edge that each pair of faces shares."""
        _, welded = np.unique(self.fine.vertices, axis=0, return_inverse=True)
        corners = welded.ravel()[self.fine.faces]
        same = (corners[first][:, :, None] == corners[second][:, None, :]).any(axis=2)
        opposite = np.argmin(same, axis=1)
        ends = self.fine.faces[first[:, None], np.stack([(opposite + 1) % 3, (opposite + 2) % 3], axis=1)]
        return np.linalg.norm(self.points[ends[:, 0]] - self.points[ends[:, 1]], axis=1)

    def _grow(self, count: int) -> None:
        """Seeds spread over positions and normals, then every face to its nearest seed along the concave distance."""
        size = len(self.centroids)
        seeds = self._seeds(min(count, size))
        cost = self.face_length + CREASE_LENGTH * np.where(
            self.face_turn > 0, self.face_turn, CONVEX_SHARE * -self.face_turn
        )
        graph = symmetric(self.face_pairs, np.maximum(cost, 1e-9), size)
        self.face_cost = graph
        _, _, source = dijkstra(graph, indices=seeds, min_only=True, return_predecessors=True)
        place = np.full(size, -1, dtype=np.int64)
        place[seeds] = np.arange(len(seeds))
        lost = source < 0
        source = np.where(lost, seeds[0], source)
        node = place[source]
        if lost.any():  # components that could not be joined: to the nearest seed in space
            from scipy.spatial import cKDTree

            node[lost] = cKDTree(self.centroids[seeds]).query(self.centroids[lost])[1]
        self.node = np.unique(node, return_inverse=True)[1].astype(np.int64)

    def _seeds(self, count: int) -> np.ndarray:
        size = len(self.centroids)
        chosen = np.arange(size)
        if size > SEED_POINTS:
            generator = np.random.default_rng(0)
            chosen = np.sort(generator.choice(size, SEED_POINTS, replace=False, p=self.areas / self.areas.sum()))
        spacing = np.sqrt(self.areas.sum() / count)
        points = np.concatenate([self.centroids[chosen], 0.6 * spacing * self.normals[chosen]], axis=1).astype(
            np.float32
        )
        return chosen[spread_out(points, count)]

    def _node_graph(self) -> NodeGraph:
        size = int(self.node.max()) + 1
        area = np.bincount(self.node, self.areas, size)

        def mean(values: np.ndarray) -> np.ndarray:
            return (
                np.stack([np.bincount(self.node, self.areas * values[:, k], size) for k in range(3)], axis=1)
                / area[:, None]
            )

        position, normal = mean(self.centroids), mean(self.normals)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        away = np.linalg.norm(self.centroids - position[self.node], axis=1)
        order = np.lexsort((away, self.node))
        self.center = order[np.searchsorted(self.node[order], np.arange(size))]
        ends = self.node[self.face_pairs]
        bend = np.bincount(ends[:, 0], -self.face_turn * self.face_border, size) + np.bincount(
            ends[:, 1], -self.face_turn * self.face_border, size
        )
        cross = ends[:, 0] != ends[:, 1]
        code = ends[cross].min(axis=1) * np.int64(size) + ends[cross].max(axis=1)
        code, inverse = np.unique(code, return_inverse=True)
        pairs = np.stack([code // size, code % size], axis=1)
        border = np.bincount(inverse, self.face_border[cross], len(pairs))
        rim_turn = np.bincount(inverse, (self.face_border * self.face_turn)[cross], len(pairs)) / np.maximum(
            border, 1e-12
        )
        distance = np.linalg.norm(position[pairs[:, 0]] - position[pairs[:, 1]], axis=1)
        concave, weighted = turn_between(position, normal, pairs, rim_turn)
        length = np.stack([distance, distance + CREASE_LENGTH * weighted], axis=1)
        plain = np.minimum(border / np.maximum(distance, 1e-6), 4.0) + 1e-3
        conductance = np.stack([plain, plain * (np.exp(-concave / CREASE_DECAY) + 0.01)], axis=1)
        share = area / area.sum()
        modes, rates = diffusion_modes(pairs, conductance[:, 1], share, EIGENVECTORS)
        thickness = self._thickness(normal)
        return NodeGraph(
            *(
                array.astype(np.float32)
                for array in (position, normal, share, np.arcsinh(bend / (2 * area) / 5), thickness)
            ),
            pairs,
            length.astype(np.float32),
            conductance.astype(np.float32),
            modes,
            rates,
        )

    def _thickness(self, normal: np.ndarray) -> np.ndarray:
        """(N, 2) median length of rays into the solid and out of it (shape diameter function)."""
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh

        scene = rtcore_scene.EmbreeScene()
        TriangleMesh(scene, self.fine.normalized, self.fine.faces.astype(np.int32))
        helper = np.where(np.abs(normal[:, :1]) < 0.7, [[1.0, 0, 0]], [[0, 1.0, 0]])
        side = np.cross(normal, helper)
        side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
        other = np.cross(normal, side)
        turn = np.arange(THICKNESS_RAYS - 1) * 2 * np.pi / (THICKNESS_RAYS - 1)
        around = np.cos(turn)[None, :, None] * side[:, None] + np.sin(turn)[None, :, None] * other[:, None]
        result = []
        for sign in (-1.0, 1.0):
            axis = sign * self.normals[self.center]
            rays = np.concatenate(
                [axis[:, None], np.cos(THICKNESS_CONE) * axis[:, None] + np.sin(THICKNESS_CONE) * around], axis=1
            )
            starts = np.repeat(self.centroids[self.center] + 1e-4 * axis, THICKNESS_RAYS, axis=0)
            length = scene.run(starts.astype(np.float32), rays.reshape(-1, 3).astype(np.float32), query="DISTANCE")
            length = np.asarray(length, dtype=np.float64).reshape(len(normal), THICKNESS_RAYS)
            result.append(np.median(np.minimum(np.where(np.isfinite(length), length, FREE), FREE), axis=1))
        return np.stack(result, axis=1)

    @cached_property
    def interpolation(self) -> sp.csr_matrix:
        """(E, N) weights, rows summing to 1: a value on nodes at the fine faces, from the nodes around on the same side of creases."""
        graph, size = self.graph, len(self.graph)
        spacing = np.sqrt(self.areas.sum() / size)
        weight = np.exp(-(graph.length[:, 1] - graph.length[:, 0]) / 0.25)
        near = symmetric(graph.pairs, weight, size) + sp.identity(size, format="csr")
        counts = np.diff(near.indptr)[self.node]
        row = np.repeat(np.arange(len(self.node)), counts)
        start = near.indptr[self.node]
        entry = np.repeat(start - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
        column = near.indices[entry]
        squared = ((self.centroids[row] - graph.position[column]) ** 2).sum(axis=1)
        value = near.data[entry] * np.exp(-squared / (2 * (0.6 * spacing) ** 2)) + 1e-9
        matrix = sp.csr_matrix((value, (row, column)), shape=(len(self.node), size))
        return sp.diags(1 / np.asarray(matrix.sum(axis=1)).ravel()) @ matrix


def subdivided(mesh: Mesh, longest: float) -> tuple[Mesh, np.ndarray]:
    """The mesh with edges above `longest` (normalised units) halved, conformingly, and for each new face the old one."""
    vertices, faces, parent = mesh.normalized.astype(np.float64), mesh.faces, np.arange(mesh.num_faces)
    changed = False
    for _ in range(7):
        sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        code, inverse = np.unique(sides[:, 0] * np.int64(len(vertices)) + sides[:, 1], return_inverse=True)
        edge = np.stack([code // len(vertices), code % len(vertices)], axis=1)
        # decided by place, not by index, so that both sides of a seam are halved alike
        split = np.linalg.norm(vertices[edge[:, 0]] - vertices[edge[:, 1]], axis=1) > longest
        if not split.any() or len(faces) + 2 * split.sum() > max(MOST_ELEMENTS, len(mesh.faces) * 1.2):
            break
        changed = True
        middle = np.full(len(edge), -1, dtype=np.int64)
        middle[split] = len(vertices) + np.arange(split.sum())
        vertices = np.concatenate([vertices, vertices[edge[split]].mean(axis=1)])
        faces, parent = _split_faces(faces, middle[inverse.reshape(-1, 3)], parent)
    if not changed:
        return mesh, np.arange(mesh.num_faces)
    return Mesh(vertices, faces), parent


def _split_faces(faces: np.ndarray, middle: np.ndarray, parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles cut at the given midpoints (F, 3) of their sides 01, 12, 20; -1 is an uncut side."""
    cut = middle >= 0
    count = cut.sum(axis=1)
    new_faces, new_parent = [faces[count == 0]], [parent[count == 0]]

    def add(rows: np.ndarray, turn: np.ndarray, build) -> None:
        if len(rows):
            index = (np.arange(3)[None] + turn[:, None]) % 3
            corner, mid = np.take_along_axis(faces[rows], index, 1), np.take_along_axis(middle[rows], index, 1)
            for triangle in build(corner.T, mid.T):
                new_faces.append(np.stack(triangle, axis=1))
                new_parent.append(parent[rows])

    one = np.flatnonzero(count == 1)
    add(one, np.argmax(cut[one], axis=1), lambda c, m: [(c[0], m[0], c[2]), (m[0], c[1], c[2])])
    two = np.flatnonzero(count == 2)  # turned so that the uncut side is 20
    add(
        two,
        (np.argmin(cut[two], axis=1) + 1) % 3,
        lambda c, m: [(m[0], c[1], m[1]), (c[0], m[0], m[1]), (c[0], m[1], c[2])],
    )
    three = np.flatnonzero(count == 3)
    add(
        three,
        np.zeros(len(three), dtype=np.int64),
        lambda c, m: [(c[0], m[0], m[2]), (m[0], c[1], m[1]), (m[2], m[1], c[2]), (m[0], m[1], m[2])],
    )
    return np.concatenate(new_faces), np.concatenate(new_parent)


def spread_out(points: np.ndarray, count: int) -> np.ndarray:
    """(count,) rows of float32 `points` (P, D), each the farthest from those before (farthest-point sampling from row 0)."""
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

    The larger of the turn between the nodes' mean normals and of that along their shared border (`rim_turn`, concave positive).
    """
    first, second = pairs.T
    angle = np.arccos(np.clip((normal[first] * normal[second]).sum(axis=1), -1.0, 1.0))
    opening = ((normal[second] - normal[first]) * (position[second] - position[first])).sum(axis=1)
    concave = np.maximum(np.where(opening < 0, angle, 0.0), np.maximum(rim_turn, 0.0))
    return concave, np.maximum(concave, CONVEX_SHARE * angle)


def diffusion_modes(
    pairs: np.ndarray, conductance: np.ndarray, share: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) float32 modes and (K,) float32 decay rates of M dx/dt = -L x, orthonormal under the areas M (summing to 1).

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


def symmetric(pairs: np.ndarray, values: np.ndarray, size: int) -> sp.csr_matrix:
    """(size, size) with each value at both places of its pair; of values for the same place the first counts."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    code, first = np.unique(both[:, 0] * np.int64(size) + both[:, 1], return_index=True)
    return sp.csr_matrix((np.concatenate([values, values])[first], (code // size, code % size)), shape=(size, size))
