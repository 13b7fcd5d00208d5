"""Solids as CAD has them: hollow ones with a wall, and sheets, which are a side of a solid without the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from utils.shapes.elements import rounded_rectangle
from utils.shapes.solids import Lathe, Solid, segments_for
from utils.shapes.tessellation import densify, drop_degenerate, ring_mesh

Array = np.ndarray


class Loft(Lathe):
    """A profile (K, 2) of (radius, height), as `Lathe` takes it but with flat ends, led around a rectangle of half
    sizes `core` (2,) in the x-z plane: a box with rounded corners, a tray, a drawer, the shell of a device."""

    def __init__(self, center, profile, core, rotation=None):
        super().__init__(center, profile, rotation)
        self.core = np.asarray(core, dtype=np.float64)
        self.size = float(min(self.size, np.ptp(self.profile[:, 0]) + self.core.min()))

    def _distance(self, p):
        out = np.abs(p[:, [0, 2]]) - self.core
        radius = np.hypot(*np.maximum(out, 0).T) + np.minimum(out.max(axis=1), 0)  # negative within the core
        return self._section_distance(radius, p[:, 1])

    def _box(self):
        (_, low), (r, high) = self.profile.min(0), self.profile.max(0)
        reach = self.core + r
        return np.array([-reach[0], low, -reach[1]]), np.array([reach[0], high, reach[1]])

    def _mesh(self, detail):
        closed = self.profile[0, 0] <= 1e-9 and self.profile[-1, 0] <= 1e-9
        profile = self.profile if closed else np.concatenate([self.profile, self.profile[:1]])
        profile = densify(profile, detail) if detail > 0.5 else profile
        corner = segments_for(detail, 4, 2)
        turn = rounded_rectangle(2, 2, 1, corner) - np.repeat([(1, 1), (-1, 1), (-1, -1), (1, -1)], corner, axis=0)
        base = np.sign(rounded_rectangle(2, 2, 1, corner)) * self.core
        rings = [np.c_[base + r * turn, np.full(len(base), y)][:, [0, 2, 1]] for r, y in profile]
        poles = []
        if closed:  # the flat ends are fans about their middle, from the outermost ring on
            low, high = (np.tile([0.0, y, 0.0], (len(base), 1)) for y in profile[[0, -1], 1])
            rings, poles = [low, *rings[1:-1], high], [0, -1]
        return ring_mesh(np.stack(rings), poles)


class Sheet(Solid):
    """The triangles of a solid whose middle and normal (N, 3), in its frame, are `kept`; an open surface. Where solids
    are blended it counts as the whole solid."""

    def __init__(self, solid: Solid, kept: Callable[[Array, Array], Array]):
        super().__init__()
        self.solid, self.kept, self.size = solid, kept, solid.size

    def distance(self, points):
        return self.solid.distance(points)

    def move(self, shift):
        self.solid.move(shift)

    def bounds(self):
        return self.solid.bounds()

    def mesh(self, detail=1.0):
        vertices, faces = self.solid.mesh(detail)
        local = (vertices - self.solid.center) @ self.solid.rotation
        corners = local[faces]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        kept = self.kept(corners.mean(1), normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12))
        return drop_degenerate(vertices, faces[kept]) if kept.any() else (vertices, faces)


def walled(solid: Lathe, wall: float) -> Lathe:
    """The solid with the thin radius of its wall, so that a grid which blends it shows the wall or leaves it apart."""
    solid.size = min(solid.size, 0.6 * wall)
    return solid


def wall_profile(outer: Array, wall: float) -> Array:
    """(2 K + 2, 2) profile of a vessel that is open at the top: `outer` (K, 2) from bottom to top, and its inside."""
    outer = np.asarray(outer, dtype=np.float64)
    inner = outer[::-1] - [wall, 0]
    inner = inner[(inner[:, 1] > outer[0, 1] + wall * 1.5) & (inner[:, 0] > 0.2 * wall)]
    floor = outer[0, 1] + wall
    ends = np.interp(floor, outer[:, 1], outer[:, 0]) - wall
    return np.concatenate([[(0, outer[0, 1])], outer, inner, [(max(ends, 0.2 * wall), floor), (0, floor)]])


def wall_sheets(solid: Lathe, wall: float) -> list[Sheet]:
    """A vessel of `wall_profile` as four open surfaces: outside, inside, rim and the two sides of the bottom."""
    low, high = solid.profile[:, 1].min(), solid.profile[:, 1].max()
    core = getattr(solid, "core", np.zeros(2))

    def outwards(middle: Array, normal: Array) -> Array:
        way = np.sign(middle[:, [0, 2]]) * np.maximum(np.abs(middle[:, [0, 2]]) - core, 0)
        return (normal[:, [0, 2]] * way).sum(1)

    def rim(middle: Array, normal: Array) -> Array:
        return (normal[:, 1] > 0.8) & (middle[:, 1] > high - 0.6 * wall)

    def bottom(middle: Array, normal: Array) -> Array:
        return (np.abs(normal[:, 1]) > 0.97) & (middle[:, 1] < low + 1.2 * wall)

    def side(sign: int) -> Callable[[Array, Array], Array]:
        return lambda m, n: (sign * outwards(m, n) > 0) & ~rim(m, n) & ~bottom(m, n)

    return [Sheet(solid, kept) for kept in (side(1), side(-1), rim, bottom)]
