"""Primitive solids: each one can be sampled as a signed distance and tessellated as a closed triangle mesh.

Lengths are in the shape's own units; `distance` is negative inside. Distances are exact or close lower-order
approximations near the surface (ellipsoids, superquadrics), which is what blending and marching cubes need.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

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


# ---------------------------------------------------------------------------------------------- tessellation


def revolve(profile: Array, segments: int, turn: float = 2 * np.pi) -> tuple[Array, Array]:
    """Surface of revolution about +y of a profile (K, 2) of (radius, height) given from bottom to top.

    Points with zero radius become poles. Outward normals for a profile that rises outside of the axis.
    A `turn` below a full one leaves the two cut sides open.
    """
    closed = turn >= 2 * np.pi - 1e-9
    columns = segments if closed else segments + 1
    angles = np.arange(columns) * (turn / segments)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    vertices = np.empty((len(profile), columns, 3))
    vertices[..., 0] = profile[:, None, 0] * ring[None, :, 0]
    vertices[..., 1] = profile[:, None, 1]
    vertices[..., 2] = profile[:, None, 0] * ring[None, :, 1]
    faces = grid_faces(len(profile), columns, wrap=closed)
    index = np.arange(len(profile) * columns).reshape(len(profile), columns)
    index[profile[:, 0] <= 1e-12] = index[profile[:, 0] <= 1e-12, :1]
    return drop_degenerate(vertices.reshape(-1, 3), index.reshape(-1)[faces])


def grid_faces(rows: int, columns: int, wrap: bool) -> Array:
    """Two triangles for each cell of a (rows, columns) grid of vertices; `wrap` closes the columns."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns if wrap else columns - 1), indexing="ij")
    k = (j + 1) % columns
    a, b, c, d = i * columns + j, i * columns + k, (i + 1) * columns + k, (i + 1) * columns + j
    return np.concatenate([np.stack([a, d, b], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])


def drop_degenerate(vertices: Array, faces: Array) -> tuple[Array, Array]:
    """Removes triangles with a repeated vertex and vertices that no triangle uses."""
    keep = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[keep]
    used = np.zeros(len(vertices), dtype=bool)
    used[faces] = True
    return vertices[used], (np.cumsum(used) - 1)[faces]


def triangulate_polygon(polygon: Array) -> Array:
    """Ear clipping of a simple counter-clockwise polygon (K, 2) -> triangles (K - 2, 3); bridges to holes allowed."""

    def cross(o: Array, a: Array, b: Array) -> float:
        return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])

    remaining = list(range(len(polygon)))
    triangles = []
    while len(remaining) > 3:
        best = None
        for i in range(len(remaining)):
            ia, ib, ic = remaining[i - 1], remaining[i], remaining[(i + 1) % len(remaining)]
            a, b, c = polygon[ia], polygon[ib], polygon[ic]
            if cross(a, b, c) <= 1e-14:
                continue
            others = polygon[[r for r in remaining if r not in (ia, ib, ic)]]
            others = others[~((others == a).all(1) | (others == b).all(1) | (others == c).all(1))]
            inside = np.ones(len(others), dtype=bool)
            for s, e in ((a, b), (b, c), (c, a)):
                inside &= (e[0] - s[0]) * (others[:, 1] - s[1]) - (e[1] - s[1]) * (others[:, 0] - s[0]) >= -1e-14
            if not inside.any():
                best = i
                break
        if best is None:  # numerically stuck: clip the flattest corner, which changes the outline least
            best = int(
                np.argmin(
                    [
                        abs(
                            cross(
                                polygon[remaining[i - 1]],
                                polygon[remaining[i]],
                                polygon[remaining[(i + 1) % len(remaining)]],
                            )
                        )
                        for i in range(len(remaining))
                    ]
                )
            )
        triangles.append((remaining[best - 1], remaining[best], remaining[(best + 1) % len(remaining)]))
        del remaining[best]
    triangles.append(tuple(remaining))
    return np.array(triangles, dtype=np.int64)


def signed_area(polygon: Array) -> float:
    """Area of a closed polygon (K, 2), positive when counter-clockwise."""
    x, y = polygon.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def bridge_hole(outer: Array, hole: Array) -> Array:
    """One polygon (with a double bridge edge) for a counter-clockwise outline and a hole inside it."""
    hole = hole[::-1] if signed_area(hole) > 0 else hole
    start = int(np.argmax(hole[:, 0]))
    gaps = np.linalg.norm(outer - hole[start], axis=1)
    for candidate in np.argsort(gaps):
        if not _crosses(outer, hole[start], outer[candidate]) and not _crosses(hole, hole[start], outer[candidate]):
            break
    ring = np.roll(hole, -start, axis=0)
    return np.concatenate([outer[: candidate + 1], ring, ring[:1], outer[candidate:]])


def _crosses(polygon: Array, a: Array, b: Array) -> bool:
    """Whether the open segment a-b properly crosses an edge of the polygon."""
    s, e = polygon, np.roll(polygon, -1, axis=0)

    def side(p: Array, q: Array, r: Array) -> Array:
        return (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])

    return bool(np.any((side(s, e, a) * side(s, e, b) < -1e-18) & (side(a, b, s) * side(a, b, e) < -1e-18)))


# ---------------------------------------------------------------------------------------------- solids


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
    return max(least, int(round(base * detail)))


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


class Superquadric(Solid):
    """Superellipsoid with radii (3,) and exponents: `e1` along y, `e2` around it (1 is an ellipsoid, small is boxy)."""

    def __init__(self, center, radii, e1, e2, rotation=None):
        super().__init__(center, rotation)
        self.radii = np.asarray(radii, dtype=np.float64)
        self.e1, self.e2 = float(e1), float(e2)
        self.size = float(self.radii.min())

    def _distance(self, p):
        q = np.abs(p / self.radii) + 1e-9
        around = (q[:, 0] ** (2 / self.e2) + q[:, 2] ** (2 / self.e2)) ** (self.e2 / self.e1)
        f = (around + q[:, 1] ** (2 / self.e1)) ** (self.e1 / 2)
        # Distance along the ray to the centre, shortened by the obliqueness of an ellipsoid's normal.
        length = row_norm(p)
        oblique = self.size / np.maximum(length / np.maximum(f, 1e-6), self.size)
        return length * (1.0 - 1.0 / f) * np.sqrt(oblique)

    def _box(self):
        return -self.radii, self.radii

    def _mesh(self, detail):
        rows, columns = segments_for(detail, 20, 6), segments_for(detail, 28, 8)
        v = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
        u = np.arange(columns) * (2 * np.pi / columns)

        def power(x, e):
            return np.sign(x) * np.abs(x) ** e

        cv, sv = power(np.cos(v), self.e1), power(np.sin(v), self.e1)
        cv[[0, -1]] = 0.0
        grid = np.stack(
            [
                cv[:, None] * power(np.cos(u), self.e2)[None],
                np.repeat(sv[:, None], columns, 1),
                cv[:, None] * power(np.sin(u), self.e2)[None],
            ],
            -1,
        )
        index = np.arange(grid.shape[0] * columns).reshape(-1, columns)
        index[[0, -1]] = index[[0, -1], :1]
        faces = index.reshape(-1)[grid_faces(rows + 1, columns, wrap=True)]
        return drop_degenerate(grid.reshape(-1, 3) * self.radii, faces)


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
        cuts = max(1, int(round(3 * detail)))
        axes = []
        for half in self.half:
            inner = np.linspace(-(half - r), half - r, cuts + 1)
            if r > 0:
                ends = half - r + r * np.array([0.35, 0.7, 1.0]) if detail > 0.5 else np.array([half])
                inner = np.concatenate([-ends[::-1], inner, ends])
            axes.append(inner)
        vertices, faces = _box_surface(axes)
        if r > 0:
            core = np.clip(vertices, -(self.half - r), self.half - r)
            vertices = core + r * unit(vertices - core)
        scale = self._scale(vertices[:, 1])
        return vertices * np.stack([scale, np.ones_like(scale), scale], 1), faces


def _box_surface(axes: list[Array]) -> tuple[Array, Array]:
    """The six sides of a box whose grid lines are given per axis (vertices of different sides are separate)."""
    vertices, faces, offset = [], [], 0
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for side in (0, -1):
            grid = np.empty((len(axes[u]), len(axes[v]), 3))
            grid[..., axis] = axes[axis][side]
            grid[..., u] = axes[u][:, None]
            grid[..., v] = axes[v][None, :]
            face = grid_faces(len(axes[u]), len(axes[v]), wrap=False)
            faces.append((face[:, ::-1] if side == 0 else face) + offset)
            vertices.append(grid.reshape(-1, 3))
            offset += grid.shape[0] * grid.shape[1]
    return np.concatenate(vertices), np.concatenate(faces)


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
        polygon = self.profile
        # On-axis ends are pushed across the axis so that the axis itself is no boundary.
        if polygon[0, 0] <= 1e-9 and polygon[-1, 0] <= 1e-9:
            far = -2 * polygon[:, 0].max() - 1
            polygon = np.concatenate([polygon, [[far, polygon[-1, 1]], [far, polygon[0, 1]]]])
        return polygon_distance(np.stack([radius, p[:, 1]], 1), polygon) * min(1.0, self.squash)

    def _box(self):
        r = self.profile[:, 0].max()
        return (
            np.array([-r, self.profile[:, 1].min(), -r * self.squash]),
            np.array([r, self.profile[:, 1].max(), r * self.squash]),
        )

    def _mesh(self, detail):
        profile = self.profile
        if not (profile[0, 0] <= 1e-9 and profile[-1, 0] <= 1e-9):
            profile = np.concatenate([profile, profile[:1]])
        vertices, faces = revolve(densify(profile, detail), segments_for(detail, self.segments, 5))
        vertices[:, 2] *= self.squash
        return vertices, faces


def densify(profile: Array, detail: float) -> Array:
    """Adds points to long profile edges, so that warps of the surface bend smoothly."""
    longest = 0.25 * np.ptp(profile, axis=0).max() / max(detail, 0.3)
    pieces = []
    for a, b in itertools.pairwise(profile):
        count = max(1, int(np.ceil(np.linalg.norm(b - a) / max(longest, 1e-9))))
        pieces.append(a + (b - a) * (np.arange(count) / count)[:, None])
    return np.concatenate([*pieces, profile[-1:]])


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
        r = max(self.ra, self.rb)
        return (
            np.array([-r, min(-self.ra, self.h - self.rb), -r * self.flat]),
            np.array([r, max(self.h + self.rb, self.ra), r * self.flat]),
        )

    def _mesh(self, detail):
        slope = np.clip((self.ra - self.rb) / max(self.h, 1e-9), -1, 1)
        tilt = np.arcsin(slope)
        rows = segments_for(detail, 6, 2)
        low = np.linspace(-np.pi / 2, tilt, rows + 1)
        high = np.linspace(tilt, np.pi / 2, rows + 1)
        profile = np.concatenate(
            [
                np.stack([self.ra * np.cos(low), self.ra * np.sin(low)], 1),
                np.stack([self.rb * np.cos(high), self.h + self.rb * np.sin(high)], 1),
            ]
        )
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
        # Round ends: two shrunken rings and a pole on either side.
        cap = np.array([0.5, 0.87])
        first = [
            points[0] - tangents[0] * radii[0] * min(1, self.flat) * s + (rows[0] - points[0]) * c
            for s, c in zip(cap[::-1], cap)
        ]
        last = [
            points[-1] + tangents[-1] * radii[-1] * min(1, self.flat) * s + (rows[-1] - points[-1]) * c
            for s, c in zip(cap, cap[::-1])
        ]
        poles = [
            np.repeat((points[k] + sign * tangents[k] * radii[k] * min(1, self.flat))[None], n, 0)
            for k, sign in ((0, -1), (-1, 1))
        ]
        grid = np.stack([poles[0], *first, *rows, *last, poles[1]])
        index = np.arange(grid.shape[0] * n).reshape(-1, n)
        index[[0, -1]] = index[[0, -1], :1]
        return drop_degenerate(grid.reshape(-1, 3), index.reshape(-1)[grid_faces(len(grid), n, wrap=True)])


class Prism(Solid):
    """Outline (K, 2) in the local x-y plane, with holes, extruded by `half` to either side along local z."""

    def __init__(self, center, outline, half, rotation=None, holes=(), bevel=0.0):
        super().__init__(center, rotation)
        outline = np.asarray(outline, dtype=np.float64)
        self.outline = outline if signed_area(outline) > 0 else outline[::-1]
        self.holes = [np.asarray(hole, dtype=np.float64) for hole in holes]
        self.half, self.bevel = float(half), float(bevel)
        width = (
            2
            * abs(signed_area(self.outline))
            / np.linalg.norm(np.diff(outline, axis=0, append=outline[:1]), axis=1).sum()
        )
        self.size = float(min(self.half, width))

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
        caps = triangulate_polygon(polygon)
        n = len(polygon)
        bottom, top = np.c_[polygon, np.full(n, -self.half)], np.c_[polygon, np.full(n, self.half)]
        vertices, faces, offset = [bottom, top], [caps[:, ::-1], caps + n], 2 * n
        layers = np.linspace(-self.half, self.half, segments_for(detail, 2, 1) + 1)
        for ring, outward in [(self.outline, True)] + [
            (h if signed_area(h) > 0 else h[::-1], False) for h in self.holes
        ]:
            grid = np.stack([np.c_[ring, np.full(len(ring), z)] for z in layers])
            side = grid_faces(len(layers), len(ring), wrap=True)
            faces.append((side[:, ::-1] if outward else side) + offset)
            vertices.append(grid.reshape(-1, 3))
            offset += grid.shape[0] * grid.shape[1]
        return np.concatenate(vertices), np.concatenate(faces)
