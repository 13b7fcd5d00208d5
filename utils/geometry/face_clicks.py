"""Clicks on faces for a segmenter that works on vertices."""

from __future__ import annotations

import numpy as np

from utils.clicks import Clicks
from utils.geometry.mesh import Mesh


class FaceClicks:
    """Turns clicked faces into clicked vertices, and values on vertices into values on faces.

    A clicked face becomes the corner that belongs most to it: the one whose vertex normal agrees best with the face's,
    so that a face beside a crease is not clicked on the crease, and of those that agree alike the one nearest to its
    centre. A corner that an earlier click uses with the other sign is passed over; if all three are, the click is left
    out.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.faces = mesh.faces
        corners = mesh.normalized[mesh.faces]
        away = np.linalg.norm(corners - corners.mean(axis=1, keepdims=True), axis=2)
        agreement = np.einsum("fkd,fd->fk", mesh.vertex_normals[mesh.faces], mesh.face_normals)
        order = np.lexsort((away, -np.round(agreement, 1)), axis=1)  # a tenth: about 25 degrees beside a flat vertex
        self.corners = np.take_along_axis(mesh.faces, order, axis=1)

    def on_vertices(self, faces: np.ndarray, positive: np.ndarray) -> Clicks:
        """Clicked faces (C,) int64 and signs (C,) bool as clicks on vertices."""
        signs: dict[int, bool] = {}
        for corners, sign in zip(self.corners[faces].tolist(), positive.tolist()):
            free = next((vertex for vertex in corners if signs.get(vertex, sign) == sign), None)
            if free is not None:
                signs[free] = sign
        return Clicks.of(signs.items())

    def on_faces(self, values: np.ndarray) -> np.ndarray:
        """Vertex values (..., V) -> (..., F): the mean of a face's corners."""
        return np.asarray(values)[..., self.faces].mean(axis=-1)
