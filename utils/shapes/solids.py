"""Primitive solids: each one can be sampled as a signed distance and tessellated as a closed triangle mesh.

Lengths are in the shape's own units; `distance` is negative inside. Distances are exact or close lower-order
approximations near the surface (ellipsoids, superquadrics), which is what blending and marching cubes need.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from utils.shapes.tessellation import (
    bridge_hole,
    counter_clockwise,
    densify,
    grids_mesh,
    polygon_distance,
    revolve,
    ring_mesh,
    rotation_about,
    rotation_to,
    row_norm,
    signed_area,
    triangulate_polygon,
    unit,
)

Array = np.ndarray
__all__ = ["Box", "Ellipsoid", "Lathe", "Prism", "RoundCone", "Solid", "Superquadric", "Torus", "Tube", "rod"]
__all__ += ["rotation_about", "rotation_to", "unit"]  # which recipes take together with the solids


class Solid:
    """A primitive in its own frame, placed by a rotation (3, 3) and a translation (3,).

    `size` is the typical thin radius: the unit in which blending radii are given.
    """

    def __init__(self, center: Sequence[float] | Array = (0, 0, 0), rotation: Array | None = None):
        self.center = np.asarray(center, dtype=np.float64)
        self.rotation = np.eye(3) if rotation is None else np.asarray(rotation, dtype=np.float64)
        self.size = 1.0

    def distance(self, points: Array) -> Array:
        """Signed distance (N,) of world points (N, 3)."""
        return self._distance((points - self.center) @ self.rotation)

    def move(self, shift: Array) -> None:
        """Translates the solid by (3,)."""
        self.center = self.center + shift

    def bounds(self) -> Array:
        """(2, 3) axis-aligned box around the placed solid."""
        low, high = self._box()
        middle = self.rotation @ ((low + high) / 2) + self.center
        half = np.abs(self.rotation) @ ((high - low) / 2)
        return np.stack([middle - half, middle + half])

    def mesh(self, detail: float = 1.0) -> tuple[Array, Array]:
        """Vertices (V, 3) and faces (F, 3); `detail` scales the number of segments."""
        vertices, faces = self._mesh(detail)
        if np.linalg.det(self.rotation) < 0:  # a mirrored frame turns triangles inside out
            faces = faces[:, ::-1]
        return vertices @ self.rotation.T + self.center, faces

    def _distance(self, p: Array) -> Array:
        raise NotImplementedError

    def _box(self) -> tuple[Array, Array]:
        raise NotImplementedError

    def _mesh(self, detail: float) -> tuple[Array, Array]:
        raise NotImplementedError


def segments_for(detail: float, base: int, least: int = 3) -> int:
    """Number of segments for a detail level."""
    return max(least, round(base * detail))


class Ellipsoid(Solid):
    """Ellipsoid with radii (3,)."""

    def __init__(self, center, radii, rotation=None):
        super().__init__(center, rotation)
        self.radii = np.broadcast_to(np.asarray(radii, dtype=np.float64), (3,)).copy()
        self.size = float(self.radii.min())

    def _distance(self, p):
        q = p / self.radii
        k0 = row_norm(q)
        k1 = row_norm(q / self.radii)
        return np.where(k1 > 1e-9, k0 * (k0 - 1.0) / np.maximum(k1, 1e-9), -self.size)

    def _box(self):
        return -self.radii, self.radii

    def _mesh(self, detail):
        rows = segments_for(detail, 16, 4)
        angle = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
        profile = np.stack([np.cos(angle), np.sin(angle)], 1)
        profile[[0, -1], 0] = 0.0
        vertices, faces = revolve(profile, segments_for(detail, 24, 5))
        return vertices * self.radii, faces


class Superquadric(Ellipsoid):
    """Superellipsoid with radii (3,) and exponents: `e1` along y, `e2` around it (1 is an ellipsoid, small is boxy)."""

    def __init__(self, center, radii, e1, e2, rotation=None):
        super().__init__(center, radii, rotation)
        self.e1, self.e2 = float(e1), float(e2)

    def _distance(self, p):
        q = np.abs(p / self.radii) + 1e-9
        around = (q[:, 0] ** (2 / self.e2) + q[:, 2] ** (2 / self.e2)) ** (self.e2 / self.e1)
        f = (around + q[:, 1] ** (2 / self.e1)) ** (self.e1 / 2)
        # Distance along the ray to the centre, shortened by the obliqueness of an ellipsoid's normal.
        length = row_norm(p)
        oblique = self.size / np.maximum(length / np.maximum(f, 1e-6), self.size)
        return length * (1.0 - 1.0 / f) * np.sqrt(oblique)

    def _mesh(self, detail):
        v = np.linspace(-np.pi / 2, np.pi / 2, segments_for(detail, 20, 6) + 1)
        columns = segments_for(detail, 28, 8)
        u = np.arange(columns) * (2 * np.pi / columns)

        def power(x, e):
            return np.sign(x) * np.abs(x) ** e

        out, up = power(np.cos(v), self.e1)[:, None], power(np.sin(v), self.e1)[:, None]
        out[[0, -1]] = 0.0
        x, z = out * power(np.cos(u), self.e2), out * power(np.sin(u), self.e2)
        return ring_mesh(np.stack([x, np.broadcast_to(up, x.shape), z], -1) * self.radii, [0, -1])


class Box(Solid):
    """Box with half sizes (3,), edges rounded by `rounding`, narrowed towards +y by `taper` (1 keeps the size)."""

    def __init__(self, center, half, rotation=None, rounding=0.0, taper=1.0):
        super().__init__(center, rotation)
        self.half = np.asarray(half, dtype=np.float64)
        self.size = float(self.half.min())
        self.rounding = float(min(rounding, 0.95 * self.size))
        self.taper = float(taper)

    def _scale(self, y):
        t = np.clip((y / self.half[1] + 1) / 2, 0, 1)
        return 1 + (self.taper - 1) * t

    def _distance(self, p):
        if self.taper != 1.0:
            scale = self._scale(p[:, 1])
            p = np.stack([p[:, 0] / scale, p[:, 1], p[:, 2] / scale], 1)
        q = np.abs(p) - (self.half - self.rounding)
        outside = row_norm(np.maximum(q, 0))
        d = outside + np.minimum(q.max(1), 0) - self.rounding
        return d * scale if self.taper != 1.0 else d

    def _box(self):
        return -self.half * max(1, self.taper), self.half * max(1, self.taper)

    def _mesh(self, detail):
        r = self.rounding
        cuts = max(1, round(3 * detail))
        axes = []
        for half in self.half:
            inner = np.linspace(-(half - r), half - r, cuts + 1)
            if r > 0:
                ends = half - r + r * np.array([0.35, 0.7, 1.0]) if detail > 0.5 else np.array([half])
                inner = np.concatenate([-ends[::-1], inner, ends])
            axes.append(inner)
        vertices, faces = grids_mesh(_box_sides(axes))
        if r > 0:
            core = np.clip(vertices, -(self.half - r), self.half - r)
            vertices = core + r * unit(vertices - core)
        scale = self._scale(vertices[:, 1])
        return vertices * np.stack([scale, np.ones_like(scale), scale], 1), faces


def _box_sides(axes: list[Array]) -> Iterator[tuple[Array, bool, bool]]:
    """The six sides of a box whose grid lines are given per axis, as `grids_mesh` takes them."""
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for side in (0, -1):
            grid = np.empty((len(axes[u]), len(axes[v]), 3))
            grid[..., axis] = axes[axis][side]
            grid[..., u] = axes[u][:, None]
            grid[..., v] = axes[v][None, :]
            yield grid, False, side == 0


class Lathe(Solid):
    """Solid of revolution of a simple polygon (K, 2) of (radius, height), listed from the bottom of the axis outwards
    and up; the polygon is closed along the axis if its ends are on it, else it is a ring (a wall with thickness).
    `squash` scales the z axis for elliptical sections."""

    def __init__(self, center, profile, rotation=None, squash=1.0, segments=32):
        super().__init__(center, rotation)
        self.profile = np.asarray(profile, dtype=np.float64)
        self.squash, self.segments = float(squash), int(segments)
        extent = np.ptp(self.profile, axis=0)
        self.size = float(min(extent[0], max(extent[1], 1e-6)) * min(1.0, self.squash))

    def _distance(self, p):
        radius = np.sqrt(p[:, 0] ** 2 + (p[:, 2] / self.squash) ** 2)
        return self._section_distance(radius, p[:, 1]) * min(1.0, self.squash)

    def _section_distance(self, radius, height):
        polygon, far = self.profile, -2 * self.profile[:, 0].max() - 1
        # On-axis ends are pushed across the axis so that the axis itself is no boundary.
        if polygon[0, 0] <= 1e-9 and polygon[-1, 0] <= 1e-9:
            polygon = np.concatenate([polygon, [[far, polygon[-1, 1]], [far, polygon[0, 1]]]])
        return polygon_distance(np.stack([radius, height], 1), polygon)

    def _box(self):
        (_, low), (r, high) = self.profile.min(0), self.profile.max(0)
        return np.array([-r, low, -r * self.squash]), np.array([r, high, r * self.squash])

    def _mesh(self, detail):
        on_axis = self.profile[[0, -1], 0].max() <= 1e-9
        profile = self.profile if on_axis else np.concatenate([self.profile, self.profile[:1]])
        vertices, faces = revolve(densify(profile, detail), segments_for(detail, self.segments, 5))
        vertices[:, 2] *= self.squash
        return vertices, faces


def rod(a, b, ra: float, rb: float | None = None, bevel: float = 0.0, segments: int = 24, spin: float = 0.0) -> Lathe:
    """Flat-ended cylinder or cone from point a to b, with its rims bevelled by a share of the radius."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    rb = ra if rb is None else rb
    h = float(np.linalg.norm(b - a))
    cut_a, cut_b = min(bevel * ra, 0.45 * h), min(bevel * rb, 0.45 * h)
    profile = [(0, 0), (ra - cut_a, 0), (ra, cut_a), (rb, h - cut_b), (rb - cut_b, h), (0, h)]
    if bevel <= 0:
        profile = [(0, 0), (ra, 0), (rb, h), (0, h)]
    solid = Lathe(a, profile, rotation_to(b - a, spin), segments=segments)
    solid.size = min(ra, rb, h / 2) if min(ra, rb) > 0 else min(max(ra, rb) / 2, h / 2)
    return solid


class RoundCone(Solid):
    """Capsule from a to b with radius `ra` at a and `rb` at b; `flat` squashes it along its local z axis."""

    def __init__(self, a, b, ra, rb=None, flat=1.0, spin=0.0):
        a, b = np.asarray(a, float), np.asarray(b, float)
        axis = b - a
        self.h = float(np.linalg.norm(axis))
        super().__init__(a, rotation_to(axis if self.h > 1e-9 else (0, 1, 0), spin))
        self.ra, self.rb = float(ra), float(ra if rb is None else rb)
        self.flat = float(flat)
        self.size = min(self.ra, self.rb) * min(1.0, self.flat)

    def _distance(self, p):
        r = np.sqrt(p[:, 0] ** 2 + (p[:, 2] / self.flat) ** 2)
        y = p[:, 1]
        if self.h <= abs(self.ra - self.rb) + 1e-9:
            at, radius = (0.0, self.ra) if self.ra >= self.rb else (self.h, self.rb)
            return (np.hypot(r, y - at) - radius) * min(1.0, self.flat)
        slope = (self.ra - self.rb) / self.h
        along = np.sqrt(1 - slope * slope)
        k = y * along - r * slope
        d = np.where(
            k < 0,
            np.hypot(r, y) - self.ra,
            np.where(k > along * self.h, np.hypot(r, y - self.h) - self.rb, r * along + y * slope - self.ra),
        )
        return d * min(1.0, self.flat)

    def _box(self):
        r, low, high = max(self.ra, self.rb), min(-self.ra, self.h - self.rb), max(self.h + self.rb, self.ra)
        return np.array([-r, low, -r * self.flat]), np.array([r, high, r * self.flat])

    def _mesh(self, detail):
        slope = np.clip((self.ra - self.rb) / max(self.h, 1e-9), -1, 1)
        tilt = np.arcsin(slope)
        rows = segments_for(detail, 6, 2) + 1
        low, high = np.linspace(-np.pi / 2, tilt, rows), np.linspace(tilt, np.pi / 2, rows)
        ends = ((0, self.ra, low), (self.h, self.rb, high))
        profile = np.concatenate([np.stack([r * np.cos(a), y + r * np.sin(a)], 1) for y, r, a in ends])
        profile[[0, -1], 0] = 0.0
        vertices, faces = revolve(densify(profile, detail), segments_for(detail, 16, 5))
        vertices[:, 2] *= self.flat
        return vertices, faces


class Torus(Solid):
    """Torus about local y with the two radii; `section` squashes the tube along y."""

    def __init__(self, center, major, minor, rotation=None, section=1.0):
        super().__init__(center, rotation)
        self.major, self.minor, self.section = float(major), float(minor), float(section)
        self.size = self.minor * min(1.0, self.section)

    def _distance(self, p):
        ring = np.hypot(p[:, 0], p[:, 2]) - self.major
        return (np.hypot(ring, p[:, 1] / self.section) - self.minor) * min(1.0, self.section)

    def _box(self):
        r = self.major + self.minor
        return np.array([-r, -self.minor * self.section, -r]), np.array([r, self.minor * self.section, r])

    def _mesh(self, detail):
        n = segments_for(detail, 12, 4)
        angle = np.arange(n + 1) * (2 * np.pi / n) - np.pi / 2
        profile = np.stack([self.major + self.minor * np.cos(angle), self.section * self.minor * np.sin(angle)], 1)
        return revolve(profile, segments_for(detail, 32, 6))


class Tube(Solid):
    """Swept round tube along a polyline (K, 3) with radii (K,); `flat` < 1 makes a strap, thin along `normal`.

    Ends are round in the distance and flat in the tessellation unless `round_ends`.
    """

    def __init__(self, points, radii, flat=1.0, normal=None, sides=12):
        super().__init__()
        self.points = np.asarray(points, dtype=np.float64)
        self.radii = np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(self.points),)).copy()
        self.flat, self.sides = float(flat), int(sides)
        self.normal = None if normal is None else unit(normal)
        self.size = float(self.radii.min()) * min(1.0, self.flat)

    def _squashed(self, p):
        """Stretches space along the strap's normal, so that the strap becomes a round tube."""
        if self.flat == 1.0 or self.normal is None:
            return p
        return p + np.outer(p @ self.normal, self.normal) * (1 / self.flat - 1)

    def _distance(self, p):
        p, points = self._squashed(p), self._squashed(self.points)
        best = np.full(len(p), np.inf)
        for a, b, ra, rb in zip(points[:-1], points[1:], self.radii[:-1], self.radii[1:]):
            axis = b - a
            t = np.clip((p - a) @ axis / max(axis @ axis, 1e-18), 0, 1)
            np.minimum(best, row_norm(p - a - t[:, None] * axis) - (ra + (rb - ra) * t), out=best)
        return best * min(1.0, self.flat)

    def _box(self):
        return (self.points - self.radii[:, None]).min(0), (self.points + self.radii[:, None]).max(0)

    def _mesh(self, detail):
        points, radii = self.points, self.radii
        n = segments_for(detail, self.sides, 4)
        tangents = unit(np.gradient(points, axis=0))
        side = np.empty_like(points)
        seed = np.cross(tangents[0], [0.31, 0.95, 0.11]) if self.normal is None else np.cross(tangents[0], self.normal)
        side[0] = unit(seed if np.linalg.norm(seed) > 1e-6 else np.cross(tangents[0], [0.9, 0.1, 0.4]))
        for i in range(1, len(points)):  # parallel transport keeps the section from spinning
            side[i] = unit(side[i - 1] - tangents[i] * (side[i - 1] @ tangents[i]))
        other = np.cross(side, tangents)
        angle = np.arange(n) * (2 * np.pi / n)
        rows = points[:, None] + radii[:, None, None] * (
            side[:, None] * np.cos(angle)[None, :, None] + self.flat * other[:, None] * np.sin(angle)[None, :, None]
        )
        ends = []  # two shrunken rings and a pole on either side make it round
        for k, sign in ((0, -1), (-1, 1)):
            reach = sign * tangents[k] * radii[k] * min(1, self.flat)
            ends.append(
                [points[k] + reach * s + (rows[k] - points[k]) * c for s, c in ((1, 0), (0.87, 0.5), (0.5, 0.87))]
            )
        return ring_mesh(np.stack([*ends[0], *rows, *ends[1][::-1]]), [0, -1])


class Prism(Solid):
    """Outline (K, 2) in the local x-y plane, with holes, extruded by `half` to either side along local z."""

    def __init__(self, center, outline, half, rotation=None, holes=(), bevel=0.0):
        super().__init__(center, rotation)
        outline = np.asarray(outline, dtype=np.float64)
        self.outline = counter_clockwise(outline)
        self.holes = [np.asarray(hole, dtype=np.float64) for hole in holes]
        self.half, self.bevel = float(half), float(bevel)
        around = np.linalg.norm(np.diff(outline, axis=0, append=outline[:1]), axis=1).sum()
        self.size = float(min(self.half, 2 * abs(signed_area(self.outline)) / around))

    def _distance(self, p):
        flat = polygon_distance(p[:, :2], self.outline)
        for hole in self.holes:
            flat = np.maximum(flat, -polygon_distance(p[:, :2], hole))
        r = min(self.bevel, 0.9 * self.size)
        q = np.stack([flat + r, np.abs(p[:, 2]) - self.half + r], 1)
        return np.minimum(q.max(1), 0) + row_norm(np.maximum(q, 0)) - r

    def _box(self):
        return np.append(self.outline.min(0), -self.half), np.append(self.outline.max(0), self.half)

    def _mesh(self, detail):
        polygon = self.outline
        for hole in sorted(self.holes, key=lambda h: -h[:, 0].max()):
            polygon = bridge_hole(polygon, hole)
        caps, n = triangulate_polygon(polygon), len(polygon)
        ends = np.concatenate([np.c_[polygon, np.full(n, z)] for z in (-self.half, self.half)])
        layers = np.linspace(-self.half, self.half, segments_for(detail, 2, 1) + 1)
        rings = [(self.outline, True)] + [(counter_clockwise(hole), False) for hole in self.holes]
        vertices, faces = grids_mesh(
            (np.stack([np.c_[ring, np.full(len(ring), z)] for z in layers]), True, outward) for ring, outward in rings
        )
        return np.concatenate([ends, vertices]), np.concatenate([caps[:, ::-1], caps + n, faces + 2 * n])
