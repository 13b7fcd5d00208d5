"""Directions and rotations, and the triangles of grids of points and of polygons, of which solids are made."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

Array = np.ndarray


def unit(vector: Sequence[float] | Array) -> Array:
    """The vector divided by its length; zero vectors stay zero."""
    vector = np.asarray(vector, dtype=np.float64)
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return vector / np.where(length > 0, length, 1.0)


def row_norm(vectors: Array) -> Array:
    """Length (N,) of each row; much faster than `numpy.linalg.norm` for many short rows."""
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


def rotation_to(axis: Sequence[float] | Array, spin: float = 0.0) -> Array:
    """(3, 3) rotation that maps +y to `axis`, after turning by `spin` radians about +y."""
    axis = unit(axis)
    helper = np.array([1.0, 0.0, 0.0]) if abs(axis[0]) < 0.9 else np.array([0.0, 0.0, 1.0])
    x = unit(helper - axis * (helper @ axis))
    frame = np.stack([x, axis, np.cross(x, axis)], axis=1)
    return frame @ rotation_about("y", spin)


def rotation_about(axis: str, angle: float) -> Array:
    """(3, 3) right-handed rotation about a coordinate axis, `angle` in radians."""
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    rotation = np.eye(3)
    rotation[j, j] = rotation[k, k] = np.cos(angle)
    rotation[k, j], rotation[j, k] = np.sin(angle), -np.sin(angle)
    return rotation


def polygon_distance(points: Array, polygon: Array) -> Array:
    """Signed distance (N,) of 2D points (N, 2) to a closed polygon (K, 2), negative inside (even-odd rule)."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    px, py = points[:, 0], points[:, 1]
    best = np.full(len(points), np.inf)
    inside = np.zeros(len(points), dtype=bool)
    for (ax, ay), (bx, by) in zip(start, end):
        ex, ey = bx - ax, by - ay
        wx, wy = px - ax, py - ay
        t = np.clip((wx * ex + wy * ey) / max(ex * ex + ey * ey, 1e-18), 0.0, 1.0)
        np.minimum(best, (wx - ex * t) ** 2 + (wy - ey * t) ** 2, out=best)
        if ay != by:
            inside ^= ((ay > py) != (by > py)) & (px < ex * (py - ay) / ey + ax)
    return np.sqrt(best) * np.where(inside, -1.0, 1.0)


def revolve(profile: Array, segments: int) -> tuple[Array, Array]:
    """Surface of revolution about +y of a profile (K, 2) of (radius, height) given from bottom to top.

    Points with zero radius become poles. Outward normals for a profile that rises outside of the axis.
    """
    angles = np.arange(segments) * (2 * np.pi / segments)
    radius, height = profile[:, :1], np.repeat(profile[:, 1:], segments, 1)
    grid = np.stack([radius * np.cos(angles), height, radius * np.sin(angles)], -1)
    return ring_mesh(grid, np.flatnonzero(radius <= 1e-12))


def densify(profile: Array, detail: float) -> Array:
    """Adds points to long profile edges, so that warps of the surface bend smoothly."""
    longest = 0.25 * np.ptp(profile, axis=0).max() / max(detail, 0.3)
    pieces = []
    for a, b in itertools.pairwise(profile):
        count = max(1, int(np.ceil(np.linalg.norm(b - a) / max(longest, 1e-9))))
        pieces.append(a + (b - a) * (np.arange(count) / count)[:, None])
    return np.concatenate([*pieces, profile[-1:]])


def ring_mesh(grid: Array, poles: Array | list[int]) -> tuple[Array, Array]:
    """Mesh of rings of points (R, C, 3), one above the other; rings that are `poles` become single points."""
    rows, columns = grid.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    index[poles] = index[poles, :1]
    return drop_degenerate(grid.reshape(-1, 3), index.reshape(-1)[grid_faces(rows, columns, wrap=True)])


def grid_faces(rows: int, columns: int, wrap: bool) -> Array:
    """Two triangles for each cell of a (rows, columns) grid of vertices; `wrap` closes the columns."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns if wrap else columns - 1), indexing="ij")
    k = (j + 1) % columns
    a, b, c, d = i * columns + j, i * columns + k, (i + 1) * columns + k, (i + 1) * columns + j
    return np.concatenate([np.stack([a, d, b], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])


def grids_mesh(grids: Iterable[tuple[Array, bool, bool]]) -> tuple[Array, Array]:
    """Grids of points (R, C, 3), each with whether its columns close and its triangles turn around, as one mesh."""
    vertices, faces, offset = [], [], 0
    for grid, wrap, turned in grids:
        face = grid_faces(grid.shape[0], grid.shape[1], wrap) + offset
        faces.append(face[:, ::-1] if turned else face)
        vertices.append(grid.reshape(-1, 3))
        offset += len(vertices[-1])
    return np.concatenate(vertices), np.concatenate(faces)


def in_unit_ball(vertices: Array) -> Array:
    """The vertices (V, 3) with the middle of their box moved to the origin and the farthest at distance 1."""
    vertices = vertices - (vertices.min(0) + vertices.max(0)) / 2
    return vertices / np.linalg.norm(vertices, axis=1).max()


def of_three(faces: Array) -> Array:
    """The triangles (F, 3) without a repeated vertex."""
    return faces[(faces != np.roll(faces, -1, axis=1)).all(1)]


def drop_degenerate(vertices: Array, faces: Array) -> tuple[Array, Array]:
    """Removes triangles with a repeated vertex and vertices that no triangle uses."""
    faces = of_three(faces)
    used = np.zeros(len(vertices), dtype=bool)
    used[faces] = True
    return vertices[used], (np.cumsum(used) - 1)[faces]


def cross(o: Array, a: Array, b: Array) -> Array:
    """(...) twice the signed area of the 2D triangles o, a, b (..., 2), which broadcast."""
    return (a[..., 0] - o[..., 0]) * (b[..., 1] - o[..., 1]) - (a[..., 1] - o[..., 1]) * (b[..., 0] - o[..., 0])


def triangulate_polygon(polygon: Array) -> Array:
    """Ear clipping of a simple counter-clockwise polygon (K, 2) -> triangles (K - 2, 3); bridges to holes allowed."""
    remaining = np.arange(len(polygon))
    triangles = []
    while len(remaining) > 3:
        corners = np.stack([np.roll(remaining, 1), remaining, np.roll(remaining, -1)], 1)
        turn = cross(*polygon[corners].swapaxes(0, 1))
        # Numerically stuck: clip the flattest corner, which changes the outline least.
        ears = (i for i in np.flatnonzero(turn > 1e-14) if _is_ear(polygon[remaining], polygon[corners[i]]))
        best = next(ears, int(np.abs(turn).argmin()))
        triangles.append(corners[best])
        remaining = np.delete(remaining, best)
    return np.array([*triangles, remaining], dtype=np.int64)


def _is_ear(outline: Array, triangle: Array) -> bool:
    """Whether no other point of the outline (K, 2) lies in a counter-clockwise triangle (3, 2)."""
    others = outline[~(outline[:, None] == triangle).all(2).any(1)]
    sides = zip(triangle, np.roll(triangle, -1, axis=0))
    return not np.logical_and.reduce([cross(a, b, others) >= -1e-14 for a, b in sides]).any()


def signed_area(polygon: Array) -> float:
    """Area of a closed polygon (K, 2), positive when counter-clockwise."""
    x, y = polygon.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def counter_clockwise(polygon: Array) -> Array:
    """The closed polygon (K, 2), turned around if need be."""
    return polygon if signed_area(polygon) > 0 else polygon[::-1]


def bridge_hole(outer: Array, hole: Array) -> Array:
    """One polygon (with a double bridge edge) for a counter-clockwise outline and a hole inside it."""
    hole = hole[::-1] if signed_area(hole) > 0 else hole
    hole = np.roll(hole, -int(np.argmax(hole[:, 0])), axis=0)
    order = np.argsort(np.linalg.norm(outer - hole[0], axis=1))
    free = (k for k in order if not any(_crosses(ring, hole[0], outer[k]) for ring in (outer, hole)))
    nearest = next(free, order[-1])
    return np.concatenate([outer[: nearest + 1], hole, hole[:1], outer[nearest:]])


def _crosses(polygon: Array, a: Array, b: Array) -> bool:
    """Whether the open segment a-b properly crosses an edge of the polygon."""
    s, e = polygon, np.roll(polygon, -1, axis=0)
    return bool(np.any((cross(s, e, a) * cross(s, e, b) < -1e-18) & (cross(a, b, s) * cross(a, b, e) < -1e-18)))
