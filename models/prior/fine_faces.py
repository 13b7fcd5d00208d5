"""The faces of a mesh made small enough for nodes: long ones subdivided, components joined where they come close."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from utils.geometry.face_graph import FaceGraph
from utils.geometry.geodesics import BRIDGE_TURN, bridge_components
from utils.geometry.graphs import pieces
from utils.geometry.mesh import SIDES, Mesh
from utils.rendering.rays import ray_scene

SUBDIVIDE_ABOVE = 1.6  # edges longer than so many node spacings are halved ...
MOST_ELEMENTS = 40_000  # ... until there are so many faces
EVEN = 0.5  # radians between neighbours up to which a surface is even


@dataclass(frozen=True, eq=False)
class FineFaces:
    """The E faces of a mesh whose long ones were subdivided, in its normalised frame, and how they join.

    mesh              the subdivided mesh, or the given one; parent (E,) int64, the face of the given one
    centroid, normal  (E, 3) float64, normals outward; area (E,) float64
    pairs             (P, 2) int64 adjacent faces, also across the gaps between components
    length            (P,) float64 distance of their centroids; border: length of the edge they share, or of the gap
    turn              (P,) float64 radians between their normals, concave positive
    surface_pairs     so many of the pairs, the first, share an edge; the others are across gaps
    """

    mesh: Mesh
    parent: np.ndarray
    centroid: np.ndarray
    normal: np.ndarray
    area: np.ndarray
    pairs: np.ndarray
    length: np.ndarray
    border: np.ndarray
    turn: np.ndarray
    surface_pairs: int

    def __len__(self) -> int:
        return len(self.area)

    @cached_property
    def scene(self) -> Any:
        """What rays are cast at; large, see `without_scene`."""
        return ray_scene(self.mesh.normalized, self.mesh.faces)

    @cached_property
    def facets(self) -> np.ndarray:
        """(E,) int64, the piece of even surface that each face is in: what edges of more than `EVEN` bound."""
        return self.within(EVEN)

    def within(self, turn: float) -> np.ndarray:
        """(E,) int64, the piece of surface that each face is in, bounded by edges that turn by so many radians."""
        even = np.abs(self.turn[: self.surface_pairs]) < turn
        return pieces(np.ones(len(self), dtype=bool), self.pairs[: self.surface_pairs][even]).astype(np.int64)

    def without_scene(self) -> None:
        """Give its memory back; it is made again when it is needed."""
        vars(self).pop("scene", None)

    def spacing(self, nodes: int) -> float:
        """The typical distance of so many nodes."""
        return float(np.sqrt(self.area.sum() / nodes))


def fine_faces(mesh: Mesh, nodes: int) -> FineFaces:
    """The faces of `mesh` made small enough for so many nodes, joined by the edges they share and by bridges."""
    fine, parent = subdivided(mesh, SUBDIVIDE_ABOVE * float(np.sqrt(mesh.face_areas.sum() / nodes)))
    graph, points = FaceGraph(fine), fine.normalized.astype(np.float64)
    centroid = fine.face_centroids
    diagonal = np.linalg.norm(np.ptp(points[fine.referenced], axis=0))
    owner = np.zeros(fine.num_vertices, dtype=np.int64)
    owner[fine.faces.ravel()] = np.repeat(np.arange(fine.num_faces), 3)
    across = owner[bridge_components(fine)]
    gap = np.linalg.norm(centroid[across[:, 0]] - centroid[across[:, 1]], axis=1)
    return FineFaces(
        fine,
        parent,
        centroid,
        fine.face_normals.astype(np.float64) * fine.winding,
        np.maximum(fine.face_areas, 1e-12),
        np.concatenate([graph.pairs, across]),
        np.concatenate([graph.length * diagonal, gap]),
        np.concatenate([_shared_sides(fine, points, graph.pairs), gap]),
        np.concatenate([np.where(graph.concave, 1, -1) * graph.dihedral, np.full(len(across), BRIDGE_TURN)]),
        len(graph.pairs),
    )


def _shared_sides(mesh: Mesh, points: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(P,) length of the edge that each pair of faces shares."""
    first, second = pairs.T
    mine, others = (np.ascontiguousarray(mesh.place[mesh.faces][end].T) for end in (first, second))
    same = [(others[0] == corner) | (others[1] == corner) | (others[2] == corner) for corner in mine]
    opposite = np.select([~each for each in same], [0, 1, 2], 0)
    ends = mesh.faces[first[:, None], np.stack([(opposite + 1) % 3, (opposite + 2) % 3], axis=1)]
    return np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1)


def components(fine: FineFaces) -> np.ndarray:
    """(E,) connected component of each fine face, without the bridges."""
    return pieces(np.ones(len(fine), dtype=bool), fine.pairs[: fine.surface_pairs]).astype(np.int64)


def subdivided(mesh: Mesh, longest: float) -> tuple[Mesh, np.ndarray]:
    """Edges above `longest` (normalised units) halved conformingly, and the old face of each new."""
    vertices, faces, parent = mesh.normalized.astype(np.float64), mesh.faces, np.arange(mesh.num_faces)
    changed = False
    for _ in range(7):
        if not changed and _longest_side(vertices, faces) < longest * (1 - 1e-9):
            break
        sides = np.sort(faces[:, SIDES].reshape(-1, 2), axis=1)
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
        faces, parent = split_faces(faces, middle[inverse.reshape(-1, 3)], parent)
    if not changed:
        return mesh, np.arange(mesh.num_faces)
    return Mesh(vertices, faces), parent


def _longest_side(vertices: np.ndarray, faces: np.ndarray) -> float:
    squares = []
    for start, end in SIDES:
        way = vertices[faces[:, end]] - vertices[faces[:, start]]
        squares.append(np.einsum("fi,fi->f", way, way).max())
    return float(np.sqrt(max(squares)))


# Of a triangle with so many cut sides, turned so that those come first: corners 0 to 2, midpoints 3 to 5 of its sides.
PIECES = {
    0: [(0, 1, 2)],
    1: [(0, 3, 2), (3, 1, 2)],
    2: [(3, 1, 4), (0, 3, 4), (0, 4, 2)],
    3: [(0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)],
}


def split_faces(faces: np.ndarray, middle: np.ndarray, parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles cut at the given midpoints (F, 3) of their sides 01, 12, 20; -1 is an uncut side."""
    cut = middle >= 0
    count = cut.sum(axis=1)
    first = np.select([count == 1, count == 2], [cut.argmax(axis=1), (cut.argmin(axis=1) + 1) % 3], 0)
    turned = (np.arange(3) + first[:, None]) % 3
    points = np.hstack([np.take_along_axis(faces, turned, 1), np.take_along_axis(middle, turned, 1)])
    cuts = [(count == number, piece) for number, together in PIECES.items() for piece in together]
    new_faces = [points[rows][:, piece] for rows, piece in cuts]
    return np.concatenate(new_faces), np.concatenate([parent[rows] for rows, _ in cuts])
