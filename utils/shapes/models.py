"""The sample objects of `meshes/`: designed by hand from the same primitives, with named parts."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import SIDES
from utils.shapes.solids import Array, Box, Ellipsoid, Lathe, Prism, RoundCone, Solid, Superquadric, Tube, rod
from utils.shapes.tessellation import rotation_about, rotation_to, unit


def curve(points, count: int = 20) -> Array:
    """(count, D) Catmull-Rom curve through points (K, D): a path, or a profile of (radius, height)."""
    points = np.asarray(points, float)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, len(points) - 1, count)
    i = np.minimum(t.astype(int), len(points) - 2)
    s = (t - i)[:, None]
    p0, p1, p2, p3 = padded[i], padded[i + 1], padded[i + 2], padded[i + 3]
    return 0.5 * (2 * p1 + (p2 - p0) * s + (2 * p0 - 5 * p1 + 4 * p2 - p3) * s**2 + (3 * p1 - p0 - 3 * p2 + p3) * s**3)


def along(pairs, count: int) -> Array:
    """(count,) smooth values from (position, value) pairs evenly spread along a path."""
    return curve(pairs, count)[:, 1]


def put(b: Builder, part: str, group: str, softness: float, *solids: Solid, carve: bool = False) -> None:
    """Adds solids to a named part."""
    b.add(b.part(part, group), *solids, softness=softness, carve=carve)


def hammer(b: Builder) -> None:
    """Claw hammer, about 1.6 high: striking face, neck, cheek and a split claw; shaft, grip and its end."""
    y, origin, ahead = 0.62, (0, 0, 0), rotation_to((1, 0, 0))
    upper = curve([(0.0, 0.085), (-0.12, 0.088), (-0.24, 0.062), (-0.345, -0.004), (-0.425, -0.105)], 16)
    lower = curve([(-0.418, -0.112), (-0.33, -0.048), (-0.235, -0.008), (-0.13, -0.018), (0.0, -0.07)], 16)
    outline = np.concatenate([upper, lower])
    for side, _ in SIDES:
        spin = rotation_about("y", side * 0.095)
        put(b, "claw", "head", 0.2, Prism((-0.04, y, side * 0.033), outline, 0.031, spin, bevel=0.02))
    put(b, "cheek", "head", 0.4, Box((0, y, 0), (0.088, 0.092, 0.066), rounding=0.03))
    put(b, "cheek", "head", 0.3, rod((0, y - 0.13, 0), (0, y - 0.02, 0), 0.058, 0.062, 0.2))
    neck = [(0, 0), (0.066, 0), (0.056, 0.07), (0.052, 0.11), (0.054, 0.16), (0, 0.16)]
    put(b, "neck", "head", 0.35, Lathe((0.05, y, 0), neck, ahead))
    cheek = [(0, 0), (0.05, 0), (0.074, 0.022), (0.082, 0.035)]
    face = [*cheek, (0.082, 0.125), (0.076, 0.136), (0.05, 0.142), (0, 0.144)]
    put(b, "face", "head", 0.12, Lathe((0.19, y, 0), face, ahead))
    shaft = curve([(0.048, -0.3), (0.043, -0.05), (0.041, 0.22), (0.047, y - 0.08)], 14)
    put(b, "shaft", "handle", 0.15, Lathe(origin, [(0, -0.3), *shaft, (0, y - 0.08)], squash=0.82))
    lower = [(0.066, -0.84), (0.071, -0.79), (0.060, -0.66), (0.063, -0.5)]
    upper = [(0.069, -0.35), (0.062, -0.22), (0.055, -0.19)]
    grip = [(0, -0.86), (0.05, -0.86), *curve([*lower, *upper], 30), (0, -0.185)]
    put(b, "grip", "handle", 0.1, Lathe(origin, grip, squash=0.82))
    end = [(0, -0.92), (0.055, -0.92), (0.072, -0.91), (0.08, -0.89), (0.08, -0.85), (0.07, -0.835), (0, -0.83)]
    put(b, "grip end", "handle", 0.12, Lathe(origin, end, squash=0.85))


def chair(b: Builder) -> None:
    """Dining chair: dished seat, front and back legs, stretchers; back of two posts, a top rail and two rails."""
    put(b, "seat", "seat", 0.3, Box((0, 0, 0), (0.43, 0.042, 0.45), rounding=0.036))
    put(b, "seat", "seat", 0.1, Ellipsoid((0, 0.42, 0), (0.62, 0.395, 0.66)), carve=True)
    profile = [(0, 0), (0.026, 0), (0.033, 0.03), (0.045, 0.5), (0.046, 0.6), (0.038, 0.74), (0.034, 0.78), (0, 0.78)]

    def leg(x: int, side: int, t: float) -> Array:
        """A point of a leg: t = 0 is its top, 1 its foot."""
        return np.array([x * 0.35, -0.01, side * 0.36]) * (1 - t) + np.array([x * 0.40, -0.78, side * 0.40]) * t

    for x, where in ((1, "front"), (-1, "back")):
        for side, name in SIDES:
            foot = leg(x, side, 1)
            put(b, f"{where} {name} leg", "base", 0.5, Lathe(foot, profile, rotation_to(leg(x, side, 0) - foot)))
    right, left = ((leg(1, side, 0.62), leg(-1, side, 0.62)) for side, _ in SIDES)
    for name, (start, end) in {
        "right stretcher": right,
        "left stretcher": left,
        "middle stretcher": (sum(right) / 2, sum(left) / 2),
        "front stretcher": (leg(1, -1, 0.45), leg(1, 1, 0.45)),
    }.items():
        put(b, name, "base", 0.4, rod(start, end, 0.024, bevel=0.3))
    lean = np.array([-0.2, 1.0, 0])

    def back(level: float, z: float, push: float = 0.0) -> Array:
        return np.array([-0.36, 0.02, z]) + lean * level - np.array([push, 0, 0])

    for side, name in SIDES:
        post = RoundCone(back(-0.03, side * 0.385), back(0.93, side * 0.413), 0.04, 0.03)
        put(b, f"{name} back post", "back", 0.4, post)
    normal = unit(np.cross(lean, [0, 0, 1.0]))  # a rail is a strap: tall along the posts, thin across them
    for name, level, tall in (("lower rail", 0.3, 0.042), ("middle rail", 0.55, 0.042), ("top rail", 0.83, 0.085)):
        reach = 0.375 + 0.03 * level - 0.9 * tall  # the round ends stay inside the posts
        points = [back(level, z, 0.05 * (1 - (z / 0.4) ** 2)) for z in np.linspace(-reach, reach, 25)]
        put(b, name, "back", 0.3, Tube(points, tall, flat=0.024 / tall, normal=normal))


def lamp(b: Builder) -> None:
    """Desk lamp: weighted base with a switch, two arms with joints, a conical shade with its neck, and a bulb."""
    foot = np.array([-0.3, -0.78, 0])
    base = curve([(0.30, 0.012), (0.31, 0.03), (0.29, 0.06), (0.2, 0.085), (0.08, 0.105)], 14)
    put(b, "base", "base", 0.2, Lathe(foot, [(0, 0), (0.29, 0), *base, (0.04, 0.13), (0, 0.13)]))
    put(b, "switch", "base", 0.1, rod(foot + [0.17, 0.06, 0.0], foot + [0.178, 0.14, 0], 0.042, 0.038, 0.3))
    first, second, third = foot + [0, 0.17, 0], np.array([-0.5, 0.12, 0]), np.array([0.16, 0.56, 0])
    put(b, "lower arm", "arm", 0.2, rod(first, second, 0.026))
    put(b, "upper arm", "arm", 0.2, rod(second, third, 0.026))
    for name, p, r in (("base joint", first, 0.062), ("elbow joint", second, 0.06), ("head joint", third, 0.055)):
        put(b, name, "arm", 0.15, rod(p - [0, 0, 0.06], p + [0, 0, 0.06], r, bevel=0.25))
    way = unit([0.42, -0.9, 0])
    at, turn = third + way * 0.02, rotation_to(way)
    neck = [(0, 0), (0.06, 0.0), (0.072, 0.02), (0.08, 0.12), (0.07, 0.14), (0, 0.14)]
    put(b, "shade neck", "head", 0.2, Lathe(at, neck, turn))
    outer = curve([(0.05, 0.13), (0.1, 0.155), (0.155, 0.23), (0.215, 0.35), (0.27, 0.5)], 18)
    inner = outer[::-1] - [0.026, 0]
    inner = inner[inner[:, 0] > 0.05] + [0, 0.012]
    rim = [(0.28, 0.515), (0.262, 0.528), (0.246, 0.518)]
    put(b, "shade", "head", 0.1, Lathe(at, [(0, 0.13), *outer, *rim, *inner[1:], (0, 0.19)], turn))
    bulb = curve([(0.036, 0.24), (0.06, 0.3), (0.092, 0.39), (0.075, 0.47), (0.03, 0.497)], 14)
    put(b, "bulb", "head", 0.1, Lathe(at, [(0, 0.15), (0.035, 0.15), *bulb, (0, 0.5)], turn))


def goat(b: Builder) -> None:
    """Billy goat that looks along +x: body, neck, head with muzzle, beard, ears, horns, legs with hooves, tail."""
    put(b, "body", "body", 0.5, Ellipsoid((0.24, 0.02, 0), (0.26, 0.265, 0.185)))
    put(b, "body", "body", 0.5, Ellipsoid((-0.02, -0.02, 0), (0.42, 0.25, 0.2)))
    put(b, "body", "body", 0.5, Ellipsoid((-0.33, 0.035, 0), (0.22, 0.225, 0.175)))
    put(b, "body", "body", 0.8, RoundCone((-0.35, 0.16, 0), (0.3, 0.18, 0), 0.1, 0.1))
    _goat_head(b, "head and neck", rotation_about("z", -0.5))
    tail = curve([(-0.5, 0.16, 0), (-0.58, 0.22, 0), (-0.65, 0.3, 0), (-0.68, 0.36, 0)], 30)
    radii = np.interp(np.linspace(0, 1, 30), [0, 0.3, 0.7, 1], [0.05, 0.052, 0.042, 0.02])
    put(b, "tail", "body", 0.4, Tube(tail, radii))
    hoof = [(0, 0), (0.062, 0), (0.067, 0.012), (0.045, 0.12), (0.03, 0.13), (0, 0.13)]
    for side, name in SIDES:
        z, leg = side * 0.125, f"front {name} leg"
        put(b, f"{leg} upper", leg, 0.6, RoundCone((0.27, -0.06, z * 0.95), (0.3, -0.4, z), 0.105, 0.055))
        put(b, f"{leg} lower", leg, 0.5, Ellipsoid((0.302, -0.43, z), (0.054, 0.058, 0.05)))
        put(b, f"{leg} lower", leg, 0.4, RoundCone((0.302, -0.44, z), (0.295, -0.77, z), 0.043, 0.034))
        put(b, f"{leg} lower", leg, 0.5, Ellipsoid((0.298, -0.775, z), (0.042, 0.036, 0.04)))
        put(b, f"{leg} hoof", leg, 0.12, Lathe((0.303, -0.92, z), hoof))
        leg = f"hind {name} leg"
        put(b, f"{leg} upper", leg, 0.5, RoundCone((-0.36, 0, z * 0.85), (-0.3, -0.33, z), 0.15, 0.072, flat=0.8))
        put(b, f"{leg} lower", leg, 0.4, RoundCone((-0.3, -0.34, z), (-0.44, -0.55, z), 0.066, 0.042))
        put(b, f"{leg} lower", leg, 0.5, Ellipsoid((-0.45, -0.555, z), (0.046, 0.046, 0.042)))
        put(b, f"{leg} lower", leg, 0.4, RoundCone((-0.445, -0.56, z), (-0.415, -0.78, z), 0.04, 0.034))
        put(b, f"{leg} lower", leg, 0.5, Ellipsoid((-0.412, -0.785, z), (0.042, 0.036, 0.04)))
        put(b, f"{leg} hoof", leg, 0.12, Lathe((-0.405, -0.92, z), hoof))


def _goat_head(b: Builder, group: str, nod: Array) -> None:
    put(b, "neck", group, 0.55, RoundCone((0.36, 0.12, 0), (0.62, 0.5, 0), 0.165, 0.1))
    put(b, "skull", group, 0.4, Ellipsoid((0.69, 0.585, 0), (0.125, 0.105, 0.088), nod))
    for side, _ in SIDES:  # brows
        put(b, "skull", group, 0.6, Ellipsoid((0.735, 0.64, side * 0.062), (0.05, 0.032, 0.03), nod))
    muzzle = RoundCone((0.76, 0.545, 0), (0.92, 0.425, 0), 0.078, 0.056, flat=0.88, spin=np.pi / 2)
    put(b, "muzzle", group, 0.5, muzzle, RoundCone((0.74, 0.48, 0), (0.89, 0.385, 0), 0.05, 0.036))
    beard = curve([(0.855, 0.375, 0), (0.85, 0.3, 0), (0.82, 0.22, 0), (0.80, 0.17, 0)], 20)
    put(b, "beard", group, 0.4, Tube(beard, np.linspace(0.036, 0.012, 20)))
    horn = [(0.665, 0.64, 0.048), (0.66, 0.76, 0.07), (0.6, 0.89, 0.11), (0.48, 0.97, 0.17), (0.35, 0.96, 0.22)]
    for side, name in SIDES:
        put(b, f"{name} eye", group, 0.05, Ellipsoid((0.762, 0.598, side * 0.078), (0.024, 0.022, 0.018)))
        way = unit([-0.35, -0.28, side])
        at = np.array([0.635, 0.6, side * 0.075]) + way * 0.1
        ear = Ellipsoid(at, (0.045, 0.125, 0.02), _frame([0.25, 1, 0], way))
        put(b, f"{name} ear", group, 0.4, ear)
        horn_path = curve(np.array(horn) * [1, 1, side], 48)
        put(b, f"{name} horn", group, 0.25, Tube(horn_path, np.linspace(0.043, 0.012, 48)))


def _frame(across, way: Array) -> Array:
    """Rotation with local y along `way` and local x as near to `across` as possible."""
    x = unit(np.asarray(across, float) - way * (across @ way))
    return np.stack([x, way, np.cross(x, way)], 1)


def humanoid(b: Builder) -> None:
    """Standing figure that looks along +x, arms away from the body: head, torso, arms with hands, legs with feet."""
    c = np.array([0.01, 0.80, 0])
    put(b, "head", "head", 0.4, Ellipsoid(c + [-0.008, 0.02, 0], (0.112, 0.118, 0.092)))
    put(b, "head", "head", 0.5, Ellipsoid(c + [0.03, -0.055, 0], (0.078, 0.085, 0.07)))
    put(b, "head", "head", 0.6, RoundCone(c + [0.105, 0.018, 0], c + [0.128, -0.022, 0], 0.014, 0.02))
    put(b, "head", "head", 0.8, Ellipsoid(c + [0.075, -0.115, 0], (0.03, 0.022, 0.032)))
    for side, _ in SIDES:
        turn = rotation_about("y", -side * 0.35)
        put(b, "head", "head", 0.4, Ellipsoid(c + [-0.01, 0.0, side * 0.092], (0.022, 0.034, 0.013), turn))
        put(b, "head", "head", 0.5, Ellipsoid(c + [0.088, 0.035, side * 0.036], (0.018, 0.01, 0.022)))
    put(b, "neck", "head", 0.5, RoundCone((-0.012, 0.56, 0), (0.0, 0.70, 0), 0.064, 0.056))
    put(b, "chest", "torso", 0.5, Ellipsoid((0, 0.4, 0), (0.125, 0.2, 0.195)))
    put(b, "chest", "torso", 0.7, RoundCone((-0.01, 0.50, -0.13), (-0.01, 0.50, 0.13), 0.075, 0.075))
    for side, _ in SIDES:
        put(b, "chest", "torso", 0.6, Ellipsoid((0.065, 0.42, side * 0.085), (0.062, 0.07, 0.085)))
    put(b, "belly", "torso", 0.6, Ellipsoid((0.008, 0.2, 0), (0.112, 0.15, 0.152)))
    put(b, "hips", "torso", 0.6, Ellipsoid((-0.005, 0.04, 0), (0.122, 0.125, 0.178)))
    for side, name in SIDES:
        _arm(b, side, name, f"{name} arm")
        _leg(b, side, name, f"{name} leg")


def _arm(b: Builder, side: int, name: str, group: str) -> None:
    joints = [(-0.005, 0.505, 0.21), (-0.03, 0.265, 0.335), (0.06, 0.04, 0.425)]
    shoulder, elbow, wrist = np.array(joints) * [1, 1, side]
    put(b, f"{name} upper arm", group, 0.9, Ellipsoid(shoulder, (0.066, 0.07, 0.064)))
    put(b, f"{name} upper arm", group, 0.5, RoundCone(shoulder, elbow, 0.06, 0.047))
    thickest = elbow + (wrist - elbow) * 0.35
    put(b, f"{name} forearm", group, 0.4, RoundCone(elbow, thickest, 0.047, 0.052))
    put(b, f"{name} forearm", group, 0.4, RoundCone(thickest, wrist, 0.052, 0.032))
    way = unit(wrist - elbow + np.array([0.02, -0.05, 0]))
    frame = _frame([1.0, 0, 0], way)
    flat = frame[:, 0]  # across the palm
    put(b, f"{name} hand", group, 0.4, Ellipsoid(wrist + way * 0.065, (0.062, 0.068, 0.028), frame))
    for length, off in ((0.085, 1.5), (0.1, 0.5), (0.092, -0.5), (0.07, -1.5)):
        root = wrist + way * 0.105 + flat * off * 0.033
        finger = RoundCone(root, root + (way + flat * off * 0.13) * length, 0.0150, 0.0130)
        put(b, f"{name} fingers", group, 0.1, finger)
    root = wrist + way * 0.045 + flat * 0.045
    thumb = RoundCone(root, root + unit(way * 0.8 + flat * 0.75) * 0.075, 0.0185, 0.0145)
    put(b, f"{name} thumb", group, 0.5, thumb)


def _leg(b: Builder, side: int, name: str, group: str) -> None:
    hip, knee, ankle = np.array([(-0.005, -0.03, 0.095), (0.015, -0.43, 0.115), (-0.03, -0.83, 0.125)]) * [1, 1, side]
    put(b, f"{name} thigh", group, 0.4, RoundCone(hip, knee, 0.105, 0.066))
    calf = knee + (ankle - knee) * 0.32 + [-0.02, 0, 0]
    put(b, f"{name} shin", group, 0.5, RoundCone(knee, calf, 0.064, 0.066), RoundCone(calf, ankle, 0.066, 0.038))
    sole = RoundCone(ankle + [0, -0.03, 0], ankle + [0.125, -0.065, side * 0.022], 0.043, 0.03)
    put(b, f"{name} foot", group, 0.6, Ellipsoid(ankle + [-0.02, -0.035, 0], (0.05, 0.05, 0.042)))
    put(b, f"{name} foot", group, 0.5, sole)
    put(b, f"{name} foot", group, 0.6, Ellipsoid(ankle + [0.11, -0.068, side * 0.018], (0.075, 0.028, 0.048)))


def teapot(b: Builder) -> None:
    """Round teapot: body on a foot, lid with a knob, spout, handle."""
    origin = (0, 0, 0)
    body = curve([(0.3, -0.38), (0.44, -0.25), (0.5, -0.05), (0.45, 0.14), (0.31, 0.26)], 30)
    put(b, "body", "pot", 0.05, Lathe(origin, [(0, -0.40), (0.26, -0.40), *body, (0.27, 0.275), (0, 0.275)]))
    foot = [(0, -0.47), (0.28, -0.47), (0.31, -0.45), (0.30, -0.42), (0.27, -0.38), (0, -0.38)]
    put(b, "foot", "pot", 0.2, Lathe(origin, foot))
    lid = curve([(0.315, 0.30), (0.30, 0.335), (0.22, 0.385), (0.1, 0.42)], 16)
    lid = [(0, 0.25), (0.25, 0.25), (0.275, 0.275), (0.315, 0.285), *lid, (0, 0.43)]
    put(b, "lid", "lid", 0.05, Lathe(origin, lid))
    knob = curve([(0.04, 0.44), (0.045, 0.465), (0.085, 0.51), (0.08, 0.56), (0.04, 0.59)], 14)
    put(b, "knob", "lid", 0.12, Lathe(origin, [(0, 0.4), (0.05, 0.4), *knob, (0, 0.595)]))
    spout = curve([(0.36, -0.16, 0), (0.56, -0.1, 0), (0.68, 0.08, 0), (0.74, 0.24, 0), (0.86, 0.32, 0)], 60)
    radii = along([(0, 0.15), (0.33, 0.10), (0.67, 0.066), (1, 0.056)], 60)
    put(b, "spout", "spout", 0.5, Tube(spout, radii))
    put(b, "spout", "spout", 0.2, RoundCone((0.83, 0.31, 0), (0.95, 0.39, 0), 0.034, 0.036), carve=True)
    bend = [(-0.82, 0.19, 0), (-0.86, -0.02, 0), (-0.7, -0.2, 0)]
    handle = [(-0.38, 0.17, 0), (-0.6, 0.25, 0), *bend, (-0.42, -0.24, 0)]
    put(b, "handle", "handle", 0.5, Tube(curve(handle, 60), 0.05))


def camel(b: Builder) -> None:
    """Dromedary, looking along +x: body with a hump, long neck, head, ears, tail, legs with feet."""
    group = "head and neck"
    put(b, "body", "body", 0.5, Ellipsoid((0, 0, 0), (0.46, 0.23, 0.19)))
    put(b, "body", "body", 0.5, Ellipsoid((0.26, -0.01, 0), (0.22, 0.24, 0.17)))
    put(b, "body", "body", 0.5, Ellipsoid((-0.32, 0.02, 0), (0.2, 0.2, 0.16)))
    put(b, "hump", "body", 0.7, Ellipsoid((-0.02, 0.23, 0), (0.2, 0.2, 0.11)))
    neck = curve([(0.4, -0.02, 0), (0.58, -0.05, 0), (0.70, 0.1, 0), (0.73, 0.35, 0), (0.76, 0.5, 0)], 48)
    put(b, "neck", group, 0.6, Tube(neck, along([(0, 0.155), (0.33, 0.108), (0.67, 0.08), (1, 0.066)], 48)))
    put(b, "head", group, 0.4, Ellipsoid((0.8, 0.56, 0), (0.115, 0.085, 0.075), rotation_about("z", -0.2)))
    put(b, "muzzle", group, 0.4, RoundCone((0.87, 0.54, 0), (1.0, 0.495, 0), 0.062, 0.05))
    for side, name in SIDES:
        turn = rotation_about("x", side * 0.5)
        put(b, f"{name} ear", group, 0.3, Ellipsoid((0.73, 0.65, side * 0.06), (0.028, 0.055, 0.02), turn))
    tail = curve([(-0.5, 0.08, 0), (-0.58, 0.0, 0), (-0.61, -0.15, 0), (-0.6, -0.28, 0)], 30)
    radii = along([(0, 0.04), (0.33, 0.03), (0.67, 0.026), (0.85, 0.036), (1, 0.016)], 30)
    put(b, "tail", "body", 0.4, Tube(tail, radii))
    for x, bend, where in ((0.27, 0.03, "front"), (-0.33, -0.05, "hind")):
        for side, name in SIDES:
            z, leg = side * 0.105, f"{where} {name} leg"
            knee = (x + bend, -0.46, z)
            put(b, f"{leg} upper", leg, 0.5, RoundCone((x, -0.08, z), knee, 0.115, 0.056))
            put(b, f"{leg} lower", leg, 0.4, Ellipsoid(knee, 0.06), RoundCone(knee, (x, -0.86, z), 0.048, 0.036))
            foot = Superquadric((x + 0.025, -0.905, z), (0.082, 0.042, 0.066), 0.6, 0.9)
            put(b, f"{leg} foot", leg, 0.3, foot)
