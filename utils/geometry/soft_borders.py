"""Borders between labels of triangles, drawn across the triangles instead of along them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from utils.geometry.cutting import vertex_parts
from utils.geometry.graphs import symmetric
from utils.geometry.mesh import SIDES, Mesh

ROUNDS = 3  # of smoothing
LEAST = 0.02  # how far from either end of an edge a border crosses it at least
STRAIGHT = (
    0.8  # length of the sum of the two unit vectors along a border from a vertex, up to which it is straight there
)
THIN = 0.25  # share of a piece's triangles that would be lost, from which all are drawn as they are
NONE = -1  # label of what has no borders


@dataclass(frozen=True, eq=False)
class Certain:
    """What is known of a border beyond the triangles: of a label where a vertex has it and where it does not.

    label     it
    value     (V,) float, above 0 where a vertex has it; the border is where it is 0
    fits      (F,) bool, triangles whose label says the same as `value`
    """

    label: int
    value: np.ndarray
    fits: np.ndarray


@dataclass(frozen=True, eq=False)
class Drawn:
    """Triangles that a border runs through.

    faces       (B,) int64
    own, other  (B,) int64, labels of the two sides
    side        (B, 3) float, from -1 to 1 at the corners, linear between: above 0 is `own`
    """

    faces: np.ndarray
    own: np.ndarray
    other: np.ndarray
    side: np.ndarray


@dataclass(frozen=True, eq=False)
class Zone:
    """The triangles around all borders, with seams closed.

    mesh        of N vertices and Z triangles
    faces       (Z,) int64, which of the whole mesh's they are
    vertices    (N,) int64, numbers of the places
    labels      (Z,) int64, numbers in `names`, which holds L labels
    membership  (N, L) how much each vertex belongs to each label; equal where a border is
    certain     (N,) bool, where that is known; else it is as smooth as the triangles let it be
    """

    mesh: Mesh
    faces: np.ndarray
    vertices: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    membership: np.ndarray
    certain: np.ndarray

    @classmethod
    def around(cls, mesh: Mesh, corners: np.ndarray, labels: np.ndarray, certain: Certain | None = None) -> Zone | None:
        """The zone of the borders between labels (F,); None where there are none.

        corners  (F, 3) numbers of the places of the triangles' corners (`weld`)
        """
        seen, size = labels != NONE, int(corners.max()) + 1
        low, high = np.full(size, np.iinfo(np.int64).max), np.full(size, NONE)
        np.minimum.at(low, corners[seen], labels[seen, None])
        np.maximum.at(high, corners[seen], labels[seen, None])
        touched = low < high
        for _ in range(2):
            near = seen & touched[corners].any(axis=1)
            touched = np.zeros(size, dtype=bool)
            touched[corners[near]] = True
        if not near.any():
            return None
        faces = np.flatnonzero(near)
        vertices, first, local = np.unique(corners[near].ravel(), return_index=True, return_inverse=True)
        local, original = local.reshape(-1, 3), mesh.faces[near].ravel()[first]
        names, own = np.unique(labels[near], return_inverse=True)
        membership = _smoothed(local, own.reshape(-1), len(vertices), len(names))
        sure = np.full(len(vertices), certain is not None and certain.label in names)
        if certain is not None and sure.any():
            sure[local[~certain.fits[near]]] = False
            _correct(membership, sure, certain.value[original], int(np.searchsorted(names, certain.label)))
        return cls(Mesh(mesh.vertices[original], local), faces, vertices, own.reshape(-1), names, membership, sure)

    def draw(self) -> Drawn:
        """Where the borders run."""
        top, held, _ = vertex_parts(self.mesh, self.mesh.faces, self.labels, self.membership)
        top = np.where(self.certain, self.membership.argmax(axis=1), top)
        held &= self._straight()
        held[self.mesh.faces[self._thin(top)]] = True
        free = np.where(held[self.mesh.faces], NONE, top[self.mesh.faces])
        own = free.max(axis=1)
        other = np.where(free == own[:, None], NONE, free).max(axis=1)
        third = ((free != own[:, None]) & (free != other[:, None]) & (free != NONE)).any(axis=1)
        whole = (other == NONE) & (own != NONE) & (own != self.labels)
        chosen = np.flatnonzero(~third & ((other != NONE) | whole))
        own, other = own[chosen], np.where(other[chosen] == NONE, own[chosen], other[chosen])
        rows, free = self.mesh.faces[chosen], free[chosen]
        ahead = np.take_along_axis(self.membership[rows], own[:, None, None], 2)[..., 0]
        ahead = ahead - np.take_along_axis(self.membership[rows], other[:, None, None], 2)[..., 0]
        least = np.where(self.certain[rows], 0.0, LEAST)
        side = np.where(free == own[:, None], np.maximum(ahead, least), np.minimum(ahead, -least))
        side[(free == NONE) | (own == other)[:, None]] = 0.0
        side /= np.maximum(np.abs(side).max(axis=1, keepdims=True), 1e-12)
        return Drawn(self.faces[chosen], self.names[own], self.names[other], side)

    @cached_property
    def _sides(self) -> np.ndarray:
        """(3 Z, 2) the sides of the triangles, the lower end first."""
        return np.sort(self.mesh.faces[:, SIDES].reshape(-1, 2), axis=1)

    @cached_property
    def _meeting(self) -> tuple[np.ndarray, np.ndarray]:
        """(E,) and (E,): numbers of sides at the same place."""
        code = self._sides[:, 0] * np.int64(self.mesh.num_vertices) + self._sides[:, 1]
        order = np.argsort(code, kind="stable")
        first, second = order[:-1], order[1:]
        meet = code[first] == code[second]
        return first[meet], second[meet]

    def _thin(self, top: np.ndarray) -> np.ndarray:
        """(Z,) bool, triangles of pieces so thin that smoothing would take them away; top (N,): what it leaves."""
        lost = ~(top[self.mesh.faces] == self.labels[:, None]).any(axis=1)
        pairs = np.stack(self._meeting, axis=1) // 3
        same = pairs[self.labels[pairs[:, 0]] == self.labels[pairs[:, 1]]]
        joined = sp.csr_matrix((np.ones(len(same), dtype=bool), same.T), shape=(len(lost),) * 2)
        piece = connected_components(joined, directed=False)[1]
        return (np.bincount(piece, lost) > THIN * np.bincount(piece))[piece]

    def _straight(self) -> np.ndarray:
        """(N,) bool, vertices through which one border runs along edges without turning much, and single corners."""
        first, second = self._meeting
        ends = self._sides[first[self.labels[first // 3] != self.labels[second // 3]]]
        along = self.mesh.vertices[ends[:, 1]] - self.mesh.vertices[ends[:, 0]]
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
        away = np.zeros((self.mesh.num_vertices, 3))
        np.add.at(away, ends[:, 0], along)
        np.subtract.at(away, ends[:, 1], along)
        count = np.bincount(ends.ravel(), minlength=self.mesh.num_vertices)
        straight = (count == 2) & (np.linalg.norm(away, axis=1) < STRAIGHT)
        beside = np.bincount(ends.ravel(), straight[ends[:, ::-1]].ravel(), self.mesh.num_vertices)
        return straight | ((count == 2) & (beside == 2))


def memberships(mesh: Mesh, corners: np.ndarray, labels: np.ndarray, count: int, certain: Certain | None) -> np.ndarray:
    """(V, count) how much each vertex belongs to each of the labels (F,), 0 to count - 1, for `cut_smooth`."""
    place = np.zeros(mesh.num_vertices, dtype=np.int64)
    place[mesh.faces] = corners
    result = np.zeros((int(corners.max()) + 1, count))
    seen = labels != NONE
    result[corners[seen].ravel(), np.repeat(labels[seen], 3)] = 1.0
    zone = Zone.around(mesh, corners, labels, certain)
    if zone is not None:
        result[zone.vertices] = 0.0
        result[np.ix_(zone.vertices, zone.names)] = zone.membership
    return result[place]


def _smoothed(corners: np.ndarray, labels: np.ndarray, size: int, count: int) -> np.ndarray:
    """(size, count): of the triangles (Z, 3) around each vertex the share with each label, smoothed."""
    code = corners.ravel() * np.int64(count) + np.repeat(labels, 3)
    share = np.bincount(code, minlength=size * count).reshape(size, count).astype(np.float64)
    share /= share.sum(axis=1, keepdims=True)
    sides = corners[:, SIDES].reshape(-1, 2)
    graph = symmetric(sides, np.ones(len(sides)), size)
    mean = sp.diags(1.0 / np.maximum(np.asarray(graph.sum(axis=1)).ravel(), 1.0)) @ graph
    for _ in range(ROUNDS):
        share = (share + mean @ share) / 2
    return share


def _correct(membership: np.ndarray, sure: np.ndarray, value: np.ndarray, column: int) -> None:
    """Take the memberships of the vertices `sure` (N,) bool from `value` (N,), above 0 for the label in a column."""
    share = np.clip(value[sure, None] / 2, -0.5, 0.5)
    own = membership[sure]
    own[:, column] = 0.0
    membership[sure] = 0.5 - share + 1e-9 * own  # of the others the one that is nearest counts
    membership[sure, column] = 0.5 + share[:, 0]
