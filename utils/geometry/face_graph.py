"""The dual graph of a mesh: one node a face, and geodesic distances on it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp

from utils.geometry.graphs import depth_inside, distinct_pairs, symmetric
from utils.geometry.mesh import SIDES, Mesh


class FaceGraph:
    """Faces that share an edge, the distance of their centroids, and the angle by which the surface turns between them.

    pairs    (E, 2) int64 adjacent faces
    length   (E,) float64 distance of the two centroids / bounding-box diagonal
    dihedral (E,) float64 angle between the two normals, radians
    concave  (E,) bool, the surface folds inwards there
    """

    def __init__(self, mesh: Mesh) -> None:
        self.num_faces = mesh.num_faces
        self.pairs = _adjacent_faces(mesh)
        points = mesh.normalized.astype(np.float64)
        centroids = mesh.face_centroids
        normals = mesh.face_normals.astype(np.float64) * mesh.winding
        first, second = self.pairs.T
        offset = centroids[second] - centroids[first]
        diagonal = np.linalg.norm(np.ptp(points[mesh.referenced], axis=0))
        self.length = np.linalg.norm(offset, axis=1) / diagonal
        self.dihedral = np.arccos(np.clip((normals[first] * normals[second]).sum(axis=1), -1, 1))
        self.concave = ((normals[first] - normals[second]) * offset).sum(axis=1) > 0

    def matrix(self, crease_factor: float = 0.0, convex_share: float = 0.1) -> sp.csr_matrix:
        """(F, F) symmetric edge lengths x (1 + crease_factor x dihedral angle), the angle at a share on convex edges.

        crease_factor 0 is the plain geodesic graph.
        """
        angle = np.where(self.concave, self.dihedral, convex_share * self.dihedral)
        weight = np.maximum(self.length * (1 + crease_factor * angle), 1e-12)
        return symmetric(self.pairs, weight, self.num_faces)

    def depth_inside(self, region: np.ndarray) -> np.ndarray:
        """(F,) plain distance of every face of `region` (F,) bool to the nearest face outside; 0 outside it.

        A component without an outside gets inf everywhere.
        """
        return depth_inside(self._plain, self.pairs, region)

    @cached_property
    def _plain(self) -> sp.csr_matrix:
        return self.matrix()


def _adjacent_faces(mesh: Mesh) -> np.ndarray:
    """(E, 2) faces that share an edge; around a non-manifold edge, each face and the next. Seams join."""
    first, second = mesh.place[mesh.faces[:, SIDES].reshape(-1, 2)].T
    owner = np.repeat(np.arange(mesh.num_faces), 3)
    valid = first != second
    code = (np.minimum(first, second) * np.int64(len(mesh.vertices)) + np.maximum(first, second))[valid]
    code, owner = _sorted_with(code, owner[valid], mesh.num_faces)
    same = code[1:] == code[:-1]
    pairs = np.stack([owner[:-1][same], owner[1:][same]], axis=1)
    return distinct_pairs(pairs[pairs[:, 0] != pairs[:, 1]], mesh.num_faces)


def _sorted_with(code: np.ndarray, owner: np.ndarray, owners: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N,) ascending, and of equal ones the ascending owners (N,), below `owners`."""
    bits = owners.bit_length()
    if int(code.max(initial=0)) < 1 << (62 - bits):  # as one number: sorting is several times faster than its order
        both = (code << bits) | owner
        both.sort()
        return both >> bits, both & ((1 << bits) - 1)
    order = np.argsort(code, kind="stable")
    return code[order], owner[order]
