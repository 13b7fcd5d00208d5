"""From a ray of the mouse to a vertex: the ray caster that renders the mesh finds the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.rendering.rays import ray_scene


@dataclass(frozen=True, eq=False)
class Hit:
    """Where a ray meets a mesh: the triangle, its corner nearest to the point, the point (3,) and the distance from the
    ray's origin, normalised units."""

    face: int
    vertex: int
    point: np.ndarray
    distance: float


class Picker:
    """Finds what a ray hits first on a mesh, or on those of its triangles that are shown.

    vertices  (V, 3) float32, normalised frame
    faces     (F, 3)
    shown     (F,) bool, triangles that are there for the ray; default: all
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, shown: np.ndarray | None = None) -> None:
        self.vertices, self.faces = np.ascontiguousarray(vertices, dtype=np.float32), faces
        self.ids = np.arange(len(faces)) if shown is None else np.flatnonzero(shown)
        self._scene = ray_scene(self.vertices, faces[self.ids])

    def __call__(self, origin: np.ndarray, direction: np.ndarray) -> Hit | None:
        """The first hit of the ray from `origin` (3,) along `direction` (3,); None: background, or no ray at all."""
        origin, direction = np.asarray(origin, dtype=np.float64), np.asarray(direction, dtype=np.float64)
        if not len(self.ids) or origin.shape != (3,) or direction.shape != (3,):
            return None
        length = np.linalg.norm(direction)
        if not (np.isfinite(origin).all() and np.isfinite(length) and length > 0):
            return None
        direction = direction / length
        found = self._scene.run(origin[None].astype(np.float32), direction[None].astype(np.float32), query="INTERSECT")
        if found[0] < 0:
            return None
        face = int(self.ids[int(found[0])])
        corners = self.vertices[self.faces[face]].astype(np.float64)
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        slope = float(normal @ direction)
        # Edge-on, the plane gives no point; the nearest corner is as good.
        distance = (
            float(normal @ (corners[0] - origin)) / slope
            if abs(slope) > 1e-12
            else float((corners[0] - origin) @ direction)
        )
        point = origin + distance * direction
        nearest = int(np.linalg.norm(corners - point, axis=1).argmin())
        return Hit(face, int(self.faces[face, nearest]), point, distance)


def first_ball(
    origin: np.ndarray, direction: np.ndarray, centers: np.ndarray, radius: float
) -> tuple[int, float] | None:
    """Index and distance of the first ball that a ray hits; centers (N, 3). None if it hits none."""
    origin, direction = np.asarray(origin, dtype=np.float64), np.asarray(direction, dtype=np.float64)
    if not len(centers) or not np.isfinite(direction).all() or not np.linalg.norm(direction) > 0:
        return None
    direction = direction / np.linalg.norm(direction)
    offset = np.asarray(centers, dtype=np.float64) - origin
    along = offset @ direction
    gap = radius**2 - ((offset * offset).sum(axis=1) - along**2)
    distance = np.where((gap >= 0) & (along > 0), along - np.sqrt(np.maximum(gap, 0)), np.inf)
    index = int(distance.argmin())
    return (index, float(distance[index])) if np.isfinite(distance[index]) else None
