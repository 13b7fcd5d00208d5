"""Curves, outlines and small assemblies that several families share."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.solids import Box, Ellipsoid, Lathe, Prism, RoundCone, Solid, Superquadric, Torus, Tube, rod
from utils.shapes.tessellation import rotation_to, unit

SIDES = ((-1, "right"), (1, "left"))


def arc(start, end, bow, count: int = 7) -> np.ndarray:
    """(count, 3) points from start to end on a parabola that passes `bow` beside the middle."""
    t = np.linspace(0, 1, count)[:, None]
    start, end, bow = (np.asarray(v, float) for v in (start, end, bow))
    return start * (1 - t) + end * t + 4 * t * (1 - t) * bow


def spiral(start, direction, radius: float, turns: float, length: float, count: int = 14) -> np.ndarray:
    """(count, 3) points that leave `start` along `direction` and wind around an axis beside it (horns, tendrils)."""
    t = np.linspace(0, 1, count)
    frame = rotation_to(direction)
    angle = 2 * np.pi * turns * t
    local = np.stack([radius * (1 - np.cos(angle)), length * t, radius * np.sin(angle)], 1)
    return np.asarray(start, float) + local @ frame.T


def circle(radius: float, count: int = 24, center=(0, 0), start: float = 0.0) -> np.ndarray:
    """(count, 2) regular polygon, counter-clockwise."""
    return polar_points(radius, start + np.arange(count) * (2 * np.pi / count)) + np.asarray(center, float)


def polar_points(radius: float | np.ndarray, angle: np.ndarray) -> np.ndarray:
    """(N, 2) points of one or N radii at angles (N,)."""
    return np.stack([np.cos(angle), np.sin(angle)], 1) * np.reshape(radius, (-1, 1))


def rounded_rectangle(half_x: float, half_y: float, radius: float, count: int = 5) -> np.ndarray:
    """(4 * count, 2) outline, counter-clockwise."""
    radius = min(radius, half_x * 0.99, half_y * 0.99)
    corners = []
    for k, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        around = polar_points(radius, np.linspace(k * np.pi / 2, (k + 1) * np.pi / 2, count))
        corners.append(around + [sx * (half_x - radius), sy * (half_y - radius)])
    return np.concatenate(corners)


def star_outline(b: Builder) -> np.ndarray:
    """(K, 2) star, flower, cross or random star-shaped polygon about the origin."""
    kind = b.pick(["star", "wave", "polygon", "blob"])
    n = b.n(3, 9)
    if kind == "star":
        a = np.arange(2 * n) * np.pi / n
        return polar_points(np.where(np.arange(2 * n) % 2, b.u(0.3, 0.7), 1), a) * 0.5
    if kind == "polygon":
        return circle(0.5, n)
    a = np.arange(40) * np.pi / 20
    if kind == "wave":
        waves = b.u(0.1, 0.35) * np.cos(n * a)
    else:
        waves = np.sum([b.u(-0.3, 0.3) / k * np.cos(k * a + b.u(0, 6)) for k in (1, 2, 3, 4)], axis=0)
    return polar_points((1 + waves) * 0.4, a)


def random_profile(b: Builder, height: float, low: float, high: float, count: int = 12) -> np.ndarray:
    """(count, 2) smooth (radius, height) curve from bottom to top."""
    t = np.linspace(0, 1, count)
    middle = b.u(0.4, 1)
    r = middle + np.sum([b.u(-0.5, 0.5) / k * np.sin(k * np.pi * t + b.u(0, 6.28)) for k in (1, 2, 3)], axis=0)
    r = (r - r.min()) / max(np.ptp(r), 1e-6) * (high - low) + low
    return np.stack([r, t * height], 1)


def gear_outline(radius: float, teeth: int, deep: float) -> np.ndarray:
    """(4 teeth, 2) outline of a toothed wheel."""
    a = np.arange(4 * teeth) * (2 * np.pi / (4 * teeth))
    r = np.where(np.arange(4 * teeth) % 4 < 2, radius, radius - deep)
    a = a + np.tile([0.15, -0.15, -0.0, 0.0], teeth) * (2 * np.pi / (4 * teeth))
    return polar_points(r, a)


def frame_along(way) -> np.ndarray:
    """Rotation with local y along `way` and local z as vertical as possible: for flat wings and fins."""
    y = unit(way)
    up = np.array([0.0, 1, 0]) if abs(y[1]) < 0.95 else np.array([1.0, 0, 0])
    z = unit(up - y * (y @ up))
    return np.stack([np.cross(y, z), y, z], 1)


def beam(a, c, thick: float, square: bool, tip: float | None = None) -> Solid:
    """A straight bar from a to c, square or round."""
    a, c = np.asarray(a, float), np.asarray(c, float)
    if not square:
        return rod(a, c, thick, tip, bevel=0.15)
    axis = c - a
    half, taper = (thick * 0.9, np.linalg.norm(axis) / 2, thick * 0.9), 1 if tip is None else tip / thick
    return Box((a + c) / 2, half, frame_along(axis), rounding=0.15 * thick, taper=taper)


def slab(b: Builder, center, half, rotation=None) -> Solid:
    """A plate: box, rounded board or puffed cushion."""
    kind = b.pick(["box", "box", "rounded", "cushion"])
    if kind == "rounded":
        return Box(center, half, rotation, rounding=b.u(0.3, 0.9) * min(half))
    if kind == "cushion":
        return Superquadric(center, half, b.u(0.3, 0.7), b.u(0.15, 0.5), rotation)
    return Box(center, half, rotation)


def random_solid(b: Builder, center, size: float) -> Solid:
    """Any primitive, at any angle."""
    turn = rotation_to(b.rng.normal(size=3), b.u(0, 6.28)) if b.chance(0.7) else np.eye(3)
    r = size * b.rng.uniform(0.35, 1.0, 3)
    center = np.asarray(center, float)
    way = turn[:, 1]
    kind = b.n(0, 9)
    if kind == 0:
        return Box(center, r, turn, rounding=b.pick([0, 0, 0.3, 0.8]) * r.min(), taper=b.pick([1, 1, b.u(0.3, 1)]))
    if kind == 1:
        tip, bevel = r[1] * b.pick([1, 1, b.u(0, 0.9)]) + 1e-3, b.pick([0, 0.2])
        return rod(center - way * r[0], center + way * r[0], r[1], tip, bevel, segments=b.pick([4, 6, 8, 24, 36]))
    if kind == 2:
        return RoundCone(center - way * r[0], center + way * r[0], r[1] * 0.5, r[2] * 0.5)
    if kind == 3:
        return Torus(center, size * 0.7, size * b.u(0.1, 0.35), turn)
    if kind == 4:
        return Superquadric(center, r, b.u(0.2, 1.6), b.u(0.2, 1.6), turn)
    if kind == 5:
        path = arc(center - way * size, center + way * size, b.rng.normal(size=3) * size * 0.5, 11)
        return Tube(path, np.linspace(b.u(0.1, 0.3), b.u(0.05, 0.3), 11) * size)
    if kind == 6:
        profile = [(0, 0), *random_profile(b, size * 2, size * 0.2, size * 0.8, 10), (0, size * 2)]
        return Lathe(center - way * size, profile, turn, segments=b.n(5, 32))
    if kind == 7:
        return Prism(center, star_outline(b) * size * 2, size * b.u(0.1, 0.6), turn, bevel=0.05 * size)
    if kind == 8:
        path = spiral(center - way * size * 0.5, way, size * 0.4, b.u(0.5, 2.5), size * 1.2, 24)
        return Tube(path, size * b.u(0.06, 0.15))
    return Ellipsoid(center, r, turn)


def wheel(b: Builder, center, radius: float, width: float, name: str, axis=(0, 0, 1)) -> None:
    """Tyre, rim and hub about `axis`; sometimes one part, sometimes spoked."""
    center, axis = np.asarray(center, float), unit(axis)
    frame = rotation_to(axis)

    def disc(part: str, half: float, outer: float, bevel: float = 0.0) -> None:
        reach = axis * width * half
        b.add(b.part(f"{name} {part}", name), rod(center - reach, center + reach, outer, bevel=bevel))

    if b.chance(0.45):
        tyre = Torus(center, radius * 0.8, radius * 0.24, frame, section=b.u(0.8, 1.3))
        b.add(b.part(f"{name} tyre", name), tyre)
        if b.chance(0.5):
            for x, z in circle(0.75 * radius, 5):
                b.add(b.part(f"{name} spokes", name), rod(center, center + frame @ [x, 0, z], radius * 0.07))
        else:
            disc("rim", 0.35, radius * 0.68)
    else:
        disc("tyre", 0.5, radius, bevel=0.12)
        disc("rim", 0.54, radius * 0.6)
    if b.chance(0.6):
        disc("hub", 0.62, radius * 0.2)


def eyes(b: Builder, center, spread: float, radius: float, ahead, group: str) -> None:
    """Two balls, sometimes with a pupil each, `spread` to either side along z."""
    pupil = b.chance(0.3)
    smooth = b.chance(0.4) and b.smooth
    for side, name in SIDES:
        eye = np.asarray(center, float) + [0, 0, side * spread]
        b.add(b.part(f"{name} eye", group), Ellipsoid(eye, radius), smooth=smooth, softness=0.05)
        if pupil:
            look = unit(np.asarray(ahead, float) + [0, 0, 0.5 * side])
            ball = Ellipsoid(eye + look * radius * 0.7, radius * 0.5)
            b.add(b.part(f"{name} pupil", group), ball, smooth=smooth, softness=0.05)


def horn_pair(b: Builder, base, radius: float, length: float, group: str) -> None:
    """Two horns: straight, curved or wound."""
    kind = b.pick(["straight", "curved", "wound", "antler"])
    lean = b.u(-0.6, 0.3)
    out = b.u(0.2, 0.9)
    bow = b.u(0.1, 0.35) * length
    turns, wind = b.u(0.4, 1.2), b.u(0.15, 0.4)
    for side, name in SIDES:
        root = np.asarray(base, float) * [1, 1, side]
        way = unit([lean, 1.0, side * out])
        part = b.part(f"{name} horn", group)
        if kind == "wound":
            points = spiral(root, way, wind * length, turns, length)
        else:
            points = arc(root, root + way * length, np.array([bow, 0, side * bow]) * (kind != "straight"), 9)
        b.add(part, Tube(points, np.linspace(radius, radius * 0.25, len(points))), softness=0.3)
        if kind == "antler":
            for t in (3, 5):
                tip = points[t] + unit([0.8, 0.5, side * 0.3]) * length * 0.35
                b.add(part, RoundCone(points[t], tip, radius * 0.6, radius * 0.25), softness=0.3)
