"""Partitions of a mesh without training, to compare with: connected components, k-means, and the shape diameter."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import breadth_first_order, connected_components, dijkstra, maximum_flow
from scipy.stats import norm

from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.rendering.rasterize import ray_scene

ROUNDS = 20  # of k-means
CREASES = 10.0  # of its distance, see `FaceGraph.matrix`
RAYS, CONE = 25, np.pi / 3  # of the shape diameter: so many within so many radians of the inward normal
DIAMETERS = 5  # levels of the diameter, and ...
SMOOTHNESS = 0.26  # ... weight of their borders, as CGAL's defaults
CONVEX = 0.08  # weight of a convex edge's angle against a concave one's
SCALE = 1000  # energies are whole numbers in the minimum cut


def components(mesh: Mesh, graph: FaceGraph) -> np.ndarray:
    """(F,) the connected component of each face."""
    return _pieces(np.zeros(mesh.num_faces, dtype=np.int64), graph)


def k_means(mesh: Mesh, graph: FaceGraph, count: int) -> np.ndarray:
    """(F,) the nearest of `count` faces, each in the middle of those it is nearest to.

    Shlafman, Tal and Katz (2002): distances along the surface, longer where it turns. The first is the face nearest to
    the middle of the mesh, each further one the farthest from those before.
    """
    matrix = graph.matrix(CREASES)
    middle = mesh.face_centroids
    centers = [int(np.linalg.norm(middle - middle.mean(axis=0), axis=1).argmin())]
    while len(centers) < min(count, mesh.num_faces):
        far = dijkstra(matrix, indices=centers, min_only=True)
        centers.append(int(np.where(np.isinf(far), 1e9, far).argmax()))
    labels = np.zeros(mesh.num_faces, dtype=np.int64)
    for _ in range(ROUNDS):
        labels = dijkstra(matrix, indices=centers).argmin(axis=0)
        moved = []
        for place, center in enumerate(centers):
            mine = np.flatnonzero(labels == place)
            mean = np.average(middle[mine], axis=0, weights=mesh.face_areas[mine] + 1e-12) if len(mine) else None
            moved.append(center if mean is None else int(mine[((middle[mine] - mean) ** 2).sum(axis=1).argmin()]))
        if moved == centers:
            break
        centers = moved
    return labels


def shape_diameter(mesh: Mesh, graph: FaceGraph) -> np.ndarray:
    """(F,) connected regions of similar thickness.

    Shapira, Shamir and Cohen-Or (2008): the median length of rays into the solid, a mixture of Gaussians over its
    logarithm, and a minimum cut that prefers concave borders.
    """
    value = _diameters(mesh, graph)
    mean, spread, share = _mixture(value)
    cost = -norm.logpdf(value[:, None], mean, spread) - np.log(share)
    angle = np.where(graph.concave, 1.0, CONVEX) * np.maximum(graph.dihedral, 1e-5) / np.pi
    labels = expand(cost, graph.pairs, -SMOOTHNESS * np.log(np.minimum(angle, 1.0)))
    return _pieces(labels, graph)


def _diameters(mesh: Mesh, graph: FaceGraph) -> np.ndarray:
    """(F,) log of the shape diameter from 0 to 1, evened out over neighbours."""
    normal = mesh.face_normals.astype(np.float64) * -mesh.winding
    middle = mesh.face_centroids
    generator = np.random.default_rng(0)
    side = np.cross(normal, np.where(np.abs(normal[:, :1]) < 0.7, [[1.0, 0, 0]], [[0, 1.0, 0]]))
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    other, scene, found = np.cross(normal, side), ray_scene(mesh.normalized, mesh.faces), []
    for tilt, turn in zip(CONE * np.sqrt(generator.random(RAYS)), 2 * np.pi * generator.random(RAYS)):
        way = np.cos(tilt) * normal + np.sin(tilt) * (np.cos(turn) * side + np.sin(turn) * other)
        starts = (middle + 1e-4 * normal).astype(np.float32)
        found.append(np.asarray(scene.run(starts, way.astype(np.float32), query="DISTANCE"), dtype=np.float64))
    found = np.where(np.isfinite(found) & (np.array(found) < 4), found, np.nan)
    known = ~np.isnan(found).all(axis=0)
    value = np.full(mesh.num_faces, 2.0)
    value[known] = np.nanmedian(found[:, known], axis=0)
    value = np.log1p(4 * (value - value.min()) / max(float(np.ptp(value)), 1e-9)) / np.log(5)
    near = graph.matrix().astype(bool).astype(np.float64) + sp.identity(mesh.num_faces)
    return np.asarray(near @ value) / np.asarray(near.sum(axis=1)).ravel()


def _mixture(value: np.ndarray, rounds: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, deviations and shares (DIAMETERS,) of Gaussians fitted to values (F,) by expectation maximisation."""
    mean = np.quantile(value, (np.arange(DIAMETERS) + 0.5) / DIAMETERS)
    spread, share = np.full(DIAMETERS, max(float(value.std()), 1e-3)), np.full(DIAMETERS, 1 / DIAMETERS)
    for _ in range(rounds):
        weight = share * norm.pdf(value[:, None], mean, spread) + 1e-12
        weight /= weight.sum(axis=1, keepdims=True)
        total = weight.sum(axis=0)
        mean, share = (weight * value[:, None]).sum(axis=0) / total, total / len(value)
        spread = np.sqrt((weight * (value[:, None] - mean) ** 2).sum(axis=0) / total) + 1e-3
    return mean, spread, share


def expand(cost: np.ndarray, pairs: np.ndarray, weight: np.ndarray, rounds: int = 2) -> np.ndarray:
    """(F,) labels of low energy by alpha expansion (Boykov, Veksler and Zabih 2001): `cost` (F, K) of each label, and
    `weight` (E,) of each pair of neighbours (E, 2) with different labels."""
    labels = cost.argmin(axis=1)
    for _ in range(rounds):
        before = labels
        for alpha in range(cost.shape[1]):
            labels = _expand_one(labels, alpha, cost, pairs, weight)
        if np.array_equal(labels, before):
            break
    return labels


def _expand_one(labels: np.ndarray, alpha: int, cost: np.ndarray, pairs: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Labels where every face keeps its own or takes `alpha`, whichever is cheapest for all together."""
    size, (first, second) = len(labels), pairs.T
    gain = cost[np.arange(size), labels] - cost[:, alpha]  # of taking alpha
    both_keep = weight * (labels[first] != labels[second])
    second_takes, first_takes = weight * (labels[first] != alpha), weight * (labels[second] != alpha)
    gain = gain - np.bincount(first, first_takes - both_keep, size) - np.bincount(second, -first_takes, size)
    link = second_takes + first_takes - both_keep
    source, sink = size, size + 1  # a face on the side of the source takes alpha
    rows = np.concatenate([np.full(size, source), np.arange(size), second])
    columns = np.concatenate([np.arange(size), np.full(size, sink), first])
    capacity = np.concatenate([np.maximum(gain, 0), np.maximum(-gain, 0), link])
    shape = (size + 2, size + 2)
    network = sp.csr_matrix((np.round(SCALE * capacity).astype(np.int32), (rows, columns)), shape=shape)
    residual = network - maximum_flow(network, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    taking = breadth_first_order(residual, source, return_predecessors=False)
    result = labels.copy()
    result[taking[taking < size]] = alpha
    return result


def _pieces(labels: np.ndarray, graph: FaceGraph) -> np.ndarray:
    """(F,) connected piece of faces of one label that each face is in."""
    same = graph.pairs[labels[graph.pairs[:, 0]] == labels[graph.pairs[:, 1]]]
    joined = sp.csr_matrix((np.ones(len(same)), same.T), shape=(len(labels),) * 2)
    return connected_components(joined, directed=False)[1].astype(np.int64)
