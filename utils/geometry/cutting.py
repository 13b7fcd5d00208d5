"""Borders of parts drawn across the triangles instead of along them, and parts closed where they were cut off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from utils.geometry.graphs import distinct_pairs
from utils.geometry.mesh import SIDES, Mesh
from utils.geometry.welding import first_of_each

CREASE = math.radians(30)  # edges at which the faces turn by more attract the border ...
CREASE_REACH = 0.5  # ... within so much of a crossed edge's length
REACH = 0.15  # any vertex does within so much, so that no sliver is cut off


@dataclass(frozen=True, eq=False)
class CutMesh:
    """A mesh whose triangles were split along the borders of parts.

    mesh      the vertices of the given one come first, in its order; polygons that were not split stay as they were
    labels    (F',) int64, the part of each triangle
    parent    (F',) int64, the triangle of the given mesh that each lies in
    weights   (F', 3, 3) float64, of the parent's corners at each of its own: what interpolates attributes
    """

    mesh: Mesh
    labels: np.ndarray
    parent: np.ndarray
    weights: np.ndarray


def cut_smooth(mesh: Mesh, labels: np.ndarray, membership: np.ndarray, firm: np.ndarray | None = None) -> CutMesh:
    """Split the triangles where the membership of two parts is equal, as the border between them.

    labels      (F,) int64, the part of each triangle, 0 to P - 1; the border stays within its triangles
    membership  (V, P) how much each vertex belongs to each part: which of those around it, and where edges are crossed
    firm        (F,) bool, triangles that are not split

    A border at a crease stays there, and one that comes near a crease or a vertex goes through it. Both sides of a seam
    are split alike, so nothing comes apart; a part that would vanish keeps its triangles.
    """
    place = mesh.place
    corners = first_of_each(place)[place][mesh.faces]
    firm = np.zeros(mesh.num_faces, dtype=bool) if firm is None else firm.copy()
    while True:
        result = _split(mesh, corners, labels, membership, firm)
        lost = np.setdiff1d(np.unique(labels), np.unique(result.labels))
        if not len(lost):
            return result
        firm |= np.isin(labels, lost)


def _split(mesh: Mesh, corners: np.ndarray, labels: np.ndarray, membership: np.ndarray, firm: np.ndarray) -> CutMesh:
    """`cut_smooth` with the triangles `firm` (F,) bool left as they are; corners (F, 3) with seams closed."""
    of_vertex, held, sharp = vertex_parts(mesh, corners, labels, membership)
    held[corners[firm].ravel()] = True
    ends, share = _crossings(corners, of_vertex, held, membership)
    # A crossed edge that begins near a vertex is not crossed, but meets the border in that vertex.
    for side, along in ((0, share), (1, 1 - share)):
        reach = np.where(sharp[ends[:, side]], CREASE_REACH, REACH)
        held[ends[along < reach, side]] = True
    ends, share = _crossings(corners, of_vertex, held, membership)

    sides = np.sort(corners[:, SIDES], axis=2)
    size = np.int64(mesh.num_vertices)
    code, wanted = ends[:, 0] * size + ends[:, 1], sides[..., 0] * size + sides[..., 1]
    at = np.minimum(np.searchsorted(code, wanted), max(len(code) - 1, 0))
    crossed = code[at] == wanted if len(code) else np.zeros(wanted.shape, dtype=bool)
    forward = corners[:, SIDES][..., 0] == sides[..., 0]
    where = np.where(crossed, np.where(forward, share[at], 1 - share[at]) if len(code) else 0.0, np.nan)
    parts = np.where(held[corners], -1, of_vertex[corners])
    pieces = [(f, *piece) for f in np.flatnonzero(crossed.any(axis=1)) for piece in _pieces(parts[f], where[f])]
    whole = np.flatnonzero(~crossed.any(axis=1))
    whole_label = np.where(firm[whole] | (parts[whole] < 0).all(axis=1), labels[whole], parts[whole].max(axis=1))
    parent = np.array([*whole, *(piece[0] for piece in pieces)], dtype=np.int64)
    label = np.array([*whole_label, *(piece[1] for piece in pieces)], dtype=np.int64)
    weights = np.concatenate([np.broadcast_to(np.eye(3), (len(whole), 3, 3)), *(piece[2][None] for piece in pieces)])
    order = np.argsort(parent, kind="stable")
    return _assembled(mesh, corners, label[order], parent[order], weights[order])


def vertex_parts(
    mesh: Mesh, corners: np.ndarray, labels: np.ndarray, membership: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each vertex: the part around it that it belongs to most, whether a border along a crease runs through it, and
    whether a crease does."""
    size, parts = mesh.num_vertices, membership.shape[1]
    around = np.zeros((size, parts), dtype=bool)
    around[corners.ravel(), np.repeat(labels, 3)] = True
    of_vertex = np.where(around, membership, -np.inf).argmax(axis=1)
    sides = np.sort(corners[:, SIDES].reshape(-1, 2), axis=1)
    code = sides[:, 0] * np.int64(size) + sides[:, 1]
    order = np.argsort(code, kind="stable")
    first, second = order[:-1], order[1:]
    meet = code[first] == code[second]
    first, second = first[meet], second[meet]
    normals = mesh.face_normals.astype(np.float64)
    turned = (normals[first // 3] * normals[second // 3]).sum(axis=1) < math.cos(CREASE)
    held, sharp = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    sharp[sides[first[turned]].ravel()] = True
    held[sides[first[turned & (labels[first // 3] != labels[second // 3])]].ravel()] = True
    return of_vertex, held, sharp


def _crossings(
    corners: np.ndarray, of_vertex: np.ndarray, held: np.ndarray, membership: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The edges (K, 2), ascending, that a border crosses, and where (K,), from 0 at the first end to 1."""
    sides = distinct_pairs(corners[:, SIDES].reshape(-1, 2), len(of_vertex))
    own = of_vertex[sides]
    sides = sides[(own[:, 0] != own[:, 1]) & ~held[sides].any(axis=1)]
    (first, second), own = sides.T, of_vertex[sides].T
    ahead = membership[first, own[0]] - membership[first, own[1]]
    behind = membership[second, own[1]] - membership[second, own[0]]
    sure = (ahead > 0) & (behind > 0)
    return sides, np.where(sure, ahead / np.where(sure, ahead + behind, 1.0), 0.5)


def _pieces(parts: np.ndarray, where: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """The pieces of one triangle, each its part and the weights (3, 3) of the triangle's corners at its own.

    parts  (3,) of the corners, -1 where the border goes through one; where
    (3,) the sides 01, 12, 20 are crossed, or nan
    """
    corner, crossed = np.eye(3), ~np.isnan(where)
    cut = [(1 - t) * corner[k] + t * corner[(k + 1) % 3] for k, t in enumerate(where)]
    if crossed.sum() == 3:
        middle = np.mean(cut, axis=0)
        around = [(k, corner[k], cut[k], middle, cut[k - 1]) for k in range(3)]
        return [(int(parts[k]), np.stack(each)) for k, a, b, c, d in around for each in ((a, b, c), (a, c, d))]
    if crossed.sum() == 1:  # from a side to the corner across from it
        k = int(np.flatnonzero(crossed)[0])
        a, b, c = corner[k], corner[(k + 1) % 3], corner[(k + 2) % 3]
        return [(int(parts[k]), np.stack([a, cut[k], c])), (int(parts[(k + 1) % 3]), np.stack([cut[k], b, c]))]
    k = (int(np.flatnonzero(~crossed)[0]) + 2) % 3  # the corner between the two crossed sides
    a, b, c, ab, ca = corner[k], corner[(k + 1) % 3], corner[(k + 2) % 3], cut[k], cut[k - 1]
    other = int(parts[(k + 1) % 3])
    return [(int(parts[k]), np.stack([a, ab, ca])), (other, np.stack([ab, b, c])), (other, np.stack([ab, c, ca]))]


def _assembled(mesh: Mesh, corners: np.ndarray, labels: np.ndarray, parent: np.ndarray, weights: np.ndarray) -> CutMesh:
    """The mesh of triangles given by `weights` (F', 3, 3) of the corners of their `parent` (F',)."""
    rows = weights.reshape(-1, 3)
    ids = np.repeat(mesh.faces[parent], 3, axis=0)
    at_corner = rows.max(axis=1) == 1
    faces = np.where(at_corner, ids[np.arange(len(ids)), rows.argmax(axis=1)], -1)
    new = np.flatnonzero(~at_corner)
    # A point on a side is the same for both triangles that share it; one inside belongs to its triangle.
    inside = (rows[new] > 0).all(axis=1)
    on_side = np.where(rows[new] > 0, ids[new], -1)
    key = np.sort(on_side, axis=1)
    key[inside] = np.stack([np.repeat(parent, 3)[new][inside]] * 3, axis=1) + mesh.num_vertices
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    # Added up in an order that both sides of a seam agree on, so that they stay at one place.
    welded = np.repeat(corners[parent], 3, axis=0)[new][first]
    order = np.argsort(welded, axis=1)
    points = mesh.vertices[np.take_along_axis(ids[new][first], order, 1)]
    added = (np.take_along_axis(rows[new][first], order, 1)[..., None] * points).sum(axis=1)
    faces[new] = mesh.num_vertices + inverse.reshape(-1)
    polygon = _polygons(mesh, labels, parent)
    result = Mesh(np.concatenate([mesh.vertices, added]), faces.reshape(-1, 3), mesh.path, polygon)
    return CutMesh(result, labels, parent, weights)


def _polygons(mesh: Mesh, labels: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """(F',) int64 polygon of each triangle: those of the mesh that lie in one part whole, all others in triangles."""
    of_piece = mesh.face_polygon[parent]
    pieces = np.bincount(parent, minlength=mesh.num_faces)
    split = np.zeros(mesh.num_polygons, dtype=bool)
    split[mesh.face_polygon[pieces > 1]] = True
    change = (np.diff(of_piece) == 0) & (np.diff(labels) != 0)
    split[of_piece[1:][change]] = True
    opens = np.r_[True, np.diff(of_piece) != 0] | split[of_piece]
    return np.cumsum(opens) - 1


# --- caps -----------------------------------------------------------------------------------------------


def cap_parts(mesh: Mesh, labels: np.ndarray) -> tuple[Mesh, np.ndarray]:
    """The mesh with a cap on every hole that its parts leave in each other, and the labels (F',) with those of caps.

    Each part gets its own cap, around a new vertex in the middle of the hole. Holes that the mesh has itself stay open.
    """
    place = mesh.place
    first = first_of_each(place)[place]
    vertices, faces, added = [mesh.vertices], [mesh.faces], []
    count = mesh.num_vertices
    for part in np.unique(labels):
        for loop in _holes(first[mesh.faces], labels == part):
            ring = np.array(loop)
            vertices.append(mesh.vertices[ring].mean(axis=0, keepdims=True))
            faces.append(np.stack([np.roll(ring, -1), ring, np.full(len(ring), count)], axis=1))
            added.append(np.full(len(ring), part))
            count += 1
    caps = np.concatenate(added) if added else np.zeros(0, dtype=np.int64)
    polygon = np.concatenate([mesh.face_polygon, mesh.num_polygons + np.arange(len(caps))])
    return Mesh(np.concatenate(vertices), np.concatenate(faces), mesh.path, polygon), np.concatenate([labels, caps])


def _holes(corners: np.ndarray, inside: np.ndarray) -> list[list[int]]:
    """The loops of vertices along which the triangles `inside` (F,) bool end and others of the mesh go on."""
    size = np.int64(corners.max()) + 1
    directed = corners[:, SIDES].reshape(-1, 2)
    owner = np.repeat(inside, 3)
    code = np.sort(directed, axis=1) @ np.array([size, 1])
    _, edge = np.unique(code, return_inverse=True)
    edge = edge.reshape(-1)
    mine, others = (np.bincount(edge[chosen], minlength=int(edge.max()) + 1) for chosen in (owner, ~owner))
    open_here = owner & (mine[edge] % 2 == 1) & (others[edge] > 0) & (directed[:, 0] != directed[:, 1])
    onward: dict[int, list[int]] = {}
    for start, end in directed[open_here].tolist():
        onward.setdefault(start, []).append(end)
    loops = []
    for start in list(onward):
        while onward.get(start):
            loop, at = [start], onward[start].pop()
            while at != start and onward.get(at):
                loop.append(at)
                at = onward[at].pop()
            if at == start and len(loop) > 2:
                loops.append(loop)
    return loops
