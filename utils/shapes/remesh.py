"""Resamples a closed surface to a wanted number of vertices with triangles of even size.

Clusters of a fine mesh's vertices (Lloyd's algorithm) approximate a centroidal Voronoi diagram of the surface; its dual
is the new mesh (Valette and Chassery, "Approximated Centroidal Voronoi Diagrams for Uniform Polygonal Mesh Coarsening",
2004).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from utils.geometry.graphs import symmetric
from utils.geometry.mesh import area_normals
from utils.shapes.tessellation import of_three

Array = np.ndarray


def edges_of(faces: Array) -> Array:
    """(3 F, 2) directed edges in the order of the faces' corners."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def gather(index: Array, values: Array, count: int) -> Array:
    """(count, D) sum of the values (N, D) with each index (N,)."""
    return np.stack([np.bincount(index, column, count) for column in values.T], 1)


def cluster_means(cluster: Array, points: Array, weight: Array, count: int) -> Array:
    """(count, D) weighted mean of the points (N, D) of each cluster; zero for those without any."""
    total = np.maximum(np.bincount(cluster, weight, count), 1e-300)
    return gather(cluster, weight[:, None] * points, count) / total[:, None]


def to_mean(vertices: Array, pairs: Array) -> Array:
    """(V, 3) way from each vertex to the mean of those that it is paired with (N, 2)."""
    number = np.bincount(pairs[:, 0], minlength=len(vertices))
    return gather(pairs[:, 0], vertices[pairs[:, 1]], len(vertices)) / np.maximum(number, 1)[:, None] - vertices


def components(pairs: Array, count: int) -> Array:
    """(count,) connected component of each of the nodes that pairs (N, 2) join."""
    return connected_components(sp.coo_matrix((np.ones(len(pairs)), pairs.T), (count, count)), directed=False)[1]


def vertex_normals(vertices: Array, faces: Array) -> Array:
    """(V, 3) unit normals, weighted by area."""
    normals = area_normals(vertices, faces)
    result = gather(faces.ravel(), np.repeat(normals, 3, axis=0), len(vertices))
    return result / np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-300)


def vertex_areas(vertices: Array, faces: Array) -> Array:
    """(V,) third of the area of the faces around each vertex."""
    areas = np.linalg.norm(area_normals(vertices, faces), axis=1) / 2
    return np.bincount(faces.ravel(), np.repeat(areas / 3, 3), len(vertices))


def is_closed_manifold(faces: Array) -> bool:
    """Whether every directed edge occurs once and its opposite once."""
    edges = edges_of(faces)
    count = int(faces.max()) + 1
    forward = np.sort(edges[:, 0] * count + edges[:, 1])
    backward = np.sort(edges[:, 1] * count + edges[:, 0])
    return bool(np.all(np.diff(forward) > 0) and np.array_equal(forward, backward))


def topology(faces: Array) -> tuple[int, int]:
    """Number of connected components and Euler number of a closed manifold without stray vertices."""
    edges = edges_of(faces)
    count = int(faces.max()) + 1
    return int(components(edges, count).max()) + 1, count - len(edges) // 2 + len(faces)


def bending(vertices: Array, faces: Array, normals: Array) -> Array:
    """(V,) mean turn of the normal along the edges at a vertex, in radians per unit length."""
    edges = edges_of(faces)
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    turn = np.linalg.norm(normals[edges[:, 0]] - normals[edges[:, 1]], axis=1)
    total = np.bincount(edges.ravel(), np.repeat(turn, 2), len(vertices))
    return total / np.maximum(np.bincount(edges.ravel(), np.repeat(length, 2), len(vertices)), 1e-12)


def spread(values: Array, faces: Array, rounds: int) -> Array:
    """Averages vertex values over their neighbourhood `rounds` times."""
    edges = edges_of(faces)
    count = len(values)
    weight = sp.csr_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count)) + sp.identity(count)
    weight = sp.diags(1 / np.asarray(weight.sum(1)).ravel()) @ weight
    for _ in range(rounds):
        values = weight @ values
    return values


def resample(
    vertices: Array,
    faces: Array,
    count: int,
    project: Callable[[Array], Array],
    adaptivity: float = 0.5,
    rounds: int = 40,
    attempts: int = 6,
) -> tuple[Array, Array]:
    """Closed mesh of exactly `count` vertices on the surface of a fine closed mesh.

    vertices (V, 3), faces (F, 3): the fine mesh, some 15 vertices for each wanted one. `project` moves points (N, 3)
    onto the exact surface. `adaptivity` 0 gives even triangles, 1 strongly smaller ones where the surface bends.
    ValueError if no attempt gives a closed manifold of the fine mesh's topology.
    """
    normals = vertex_normals(vertices, faces)
    area = vertex_areas(vertices, faces)
    edge = np.sqrt(area.sum() / count * 2 / np.sqrt(3))  # of an equilateral triangulation
    bend = spread(bending(vertices, faces, normals), faces, 6) * edge
    weight = area * (1 + 4 * adaptivity * np.minimum(bend, 2.0)) ** 2
    for attempt in range(attempts):
        cluster = lloyd(vertices, normals * edge * 0.7, weight, count, rounds, np.random.default_rng(attempt))
        cluster = make_connected(cluster, faces)
        dual = dual_triangles(cluster, faces)
        if len(np.unique(dual)) == count and is_closed_manifold(dual) and topology(dual) == topology(faces):
            break
    else:
        raise ValueError(f"no closed mesh of {count} vertices; make the fine mesh finer or the count larger")
    return relax(project(cluster_means(cluster, vertices, weight, count)), dual, project)


def lloyd(points: Array, offsets: Array, weight: Array, count: int, rounds: int, rng: np.random.Generator) -> Array:
    """(N,) cluster of each point; `offsets` (scaled normals) keep the two sides of a thin wall apart."""
    features = np.concatenate([points, offsets], 1)
    chance = np.sqrt(weight * weight.mean())
    centers = features[rng.choice(len(points), count, replace=False, p=chance / chance.sum())]
    for _ in range(rounds):
        cluster = np.asarray(KDTree(centers, leafsize=16).query(features)[1])
        filled = np.bincount(cluster, weight, count) > 0
        centers[filled] = cluster_means(cluster, features, weight, count)[filled]
        if not filled.all():
            centers[~filled] = features[rng.choice(len(points), int((~filled).sum()), replace=False)]
    return np.asarray(KDTree(centers, leafsize=16).query(features)[1])


def make_connected(cluster: Array, faces: Array) -> Array:
    """Keeps the largest connected piece of each cluster and gives the other vertices to a neighbouring cluster."""
    edges = edges_of(faces)
    cluster = cluster.copy()
    inside = cluster[edges[:, 0]] == cluster[edges[:, 1]]
    component = components(edges[inside], len(cluster))
    size = np.bincount(component)
    order = np.lexsort((np.arange(len(cluster)), -size[component]))
    _, first = np.unique(cluster[order], return_index=True)
    main = component[order[first]]
    cluster[~np.isin(component, main)] = -1
    while (cluster < 0).any():
        open_ = (cluster[edges[:, 0]] < 0) & (cluster[edges[:, 1]] >= 0)
        if not open_.any():
            break
        cluster[edges[open_, 0]] = cluster[edges[open_, 1]]
    return cluster


def dual_triangles(cluster: Array, faces: Array) -> Array:
    """A triangle of clusters for each fine face whose corners are in three clusters; each only once."""
    return np.unique(smallest_first(of_three(cluster[faces])), axis=0)


def smallest_first(faces: Array) -> Array:
    """The triangles (F, 3) turned so that their smallest vertex comes first."""
    return np.take_along_axis(faces, (faces.argmin(1)[:, None] + np.arange(3)) % 3, axis=1)


def relax(vertices: Array, faces: Array, project: Callable[[Array], Array], rounds: int = 6) -> tuple[Array, Array]:
    """Moves vertices towards their neighbours' mean within the tangent plane, back onto the surface; flips edges."""
    for _ in range(rounds):
        faces = flip_edges(vertices, faces)
        normals = vertex_normals(vertices, faces)
        step = to_mean(vertices, edges_of(faces))
        step -= normals * (step * normals).sum(1, keepdims=True)
        vertices = project(vertices + 0.5 * step)
    return vertices, flip_edges(vertices, faces)


def face_pairs(faces: Array) -> tuple[Array, Array]:
    """Undirected edges (E, 2) of a closed manifold and the two faces (E, 2) at each."""
    edges = np.sort(edges_of(faces), axis=1)
    order = np.lexsort(edges.T)
    return edges[order[::2]], (order % len(faces)).reshape(-1, 2)


def straighten_seams(
    vertices: Array, faces: Array, labels: Array, project: Callable[[Array], Array], rounds: int = 6
) -> tuple[Array, Array]:
    """Smooths the curves between differently labelled faces (F,), which otherwise zigzag along triangles.

    Curves keep their size (Taubin's alternating steps); the other vertices follow, and edges within a part are flipped.
    """
    edges, pair = face_pairs(faces)
    seam = edges[labels[pair[:, 0]] != labels[pair[:, 1]]]
    count = np.bincount(seam.ravel(), minlength=len(vertices))
    on_curve, corner = count == 2, count > 2  # corners: where three parts meet
    directed = np.concatenate([seam, seam[:, ::-1]])
    for _ in range(rounds):
        for share in (0.5, -0.52):
            vertices = project(vertices + share * np.where(on_curve[:, None], to_mean(vertices, directed), 0.0))
        for _ in range(2):
            faces = flip_edges(vertices, faces, labels)
            step = 0.5 * np.where((on_curve | corner)[:, None], 0.0, to_mean(vertices, edges_of(faces)))
            normals = vertex_normals(vertices, faces)
            vertices = project(vertices + step - normals * (step * normals).sum(1, keepdims=True))
    return vertices, flip_edges(vertices, faces, labels)


def flip_edges(vertices: Array, faces: Array, labels: Array | None = None) -> Array:
    """Flips edges of two nearly coplanar triangles whose opposite angles sum to more than pi (Delaunay), in one pass.

    With `labels` (F,), only between faces of the same label, so that they stay valid.
    """
    faces = faces.copy()
    edges = edges_of(faces)
    count = len(vertices)
    owner = {a * count + b: i for i, (a, b) in enumerate(edges.tolist())}
    normals = area_normals(vertices, faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    number = len(faces)
    touched = np.zeros(number, dtype=bool)
    twin = np.array([owner[b * count + a] for a, b in edges.tolist()])
    face, other = np.arange(len(edges)) % number, twin % number
    apex = faces[face, (np.arange(len(edges)) // number + 2) % 3]
    opposite = faces[other, (twin // number + 2) % 3]

    def angle(p: Array, q: Array, r: Array) -> Array:
        u, w = vertices[q] - vertices[p], vertices[r] - vertices[p]
        cosine = (u * w).sum(1) / np.maximum(np.linalg.norm(u, axis=1) * np.linalg.norm(w, axis=1), 1e-300)
        return np.arccos(np.clip(cosine, -1, 1))

    excess = angle(apex, edges[:, 0], edges[:, 1]) + angle(opposite, edges[:, 0], edges[:, 1]) - np.pi
    allowed = (normals[face] * normals[other]).sum(1) > 0.8
    if labels is not None:
        allowed &= labels[face] == labels[other]
    for i in np.argsort(-excess, kind="stable"):
        if excess[i] <= 1e-6:
            break
        f, g = int(face[i]), int(other[i])
        a, b, c, d = int(edges[i, 0]), int(edges[i, 1]), int(apex[i]), int(opposite[i])
        if touched[f] or touched[g] or not allowed[i] or c == d or c * count + d in owner or d * count + c in owner:
            continue
        faces[f], faces[g] = (c, a, d), (d, b, c)
        touched[f] = touched[g] = True
        owner[c * count + d] = owner[d * count + c] = -1
    return faces


def smooth_labels(labels: Array, faces: Array, smallest: int = 12, rounds: int = 3) -> Array:
    """Majority label among a face and its three neighbours, and no islands of fewer than `smallest` faces."""
    _, pair = face_pairs(faces)
    graph = symmetric(pair, np.ones(len(pair)), len(faces))
    labels = labels.copy()
    for _ in range(rounds):
        votes = graph @ np.eye(labels.max() + 1)[labels]
        votes[np.arange(len(faces)), labels] += 1.5
        labels = votes.argmax(1)
    for _ in range(8):
        same = labels[pair[:, 0]] == labels[pair[:, 1]]
        component = components(pair[same], len(faces))
        small = np.bincount(component)[component] < smallest
        if not small.any():
            break
        votes = graph @ np.where(small[:, None], 0, np.eye(labels.max() + 1)[labels])
        change = small & (votes.sum(1) > 0)
        labels[change] = votes[change].argmax(1)
    neighbors = graph.indices.reshape(len(faces), 3)
    for _ in range(100):  # teeth: a face with two sides on a seam would be squashed when the seam is straightened
        changed = False
        teeth = np.flatnonzero((labels[neighbors] != labels[:, None]).sum(1) >= 2)
        for face in teeth:  # one by one: pairs would swap forever
            around = labels[neighbors[face]]
            values, counts = np.unique(around, return_counts=True)
            if counts.max() >= 2 and values[counts.argmax()] != labels[face]:
                labels[face], changed = values[counts.argmax()], True
        if not changed:
            break
    return labels
