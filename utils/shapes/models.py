"""The sample objects of `meshes/`: designed by hand from the same primitives, with named parts."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import SIDES
from utils.shapes.solids import (
    Box,
    Ellipsoid,
    Lathe,
    Prism,
    RoundCone,
    Superquadric,
    Tube,
    rod,
    rotation_about,
    rotation_to,
    unit,
)


def smooth_profile(points, count: int = 40) -> np.ndarray:
    """(count, 2) Catmull-Rom curve through (radius, height) points."""
    points = np.asarray(points, float)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, len(points) - 1, count)
    i = np.minimum(t.astype(int), len(points) - 2)
    s = (t - i)[:, None]
    p0, p1, p2, p3 = padded[i], padded[i + 1], padded[i + 2], padded[i + 3]
    return 0.5 * (2 * p1 + (p2 - p0) * s + (2 * p0 - 5 * p1 + 4 * p2 - p3) * s**2 + (3 * p1 - p0 - 3 * p2 + p3) * s**3)


def curve(points, count: int = 20) -> np.ndarray:
    """(count, 3) Catmull-Rom curve through points (K, 3)."""
    points = np.asarray(points, float)
    flat, deep = smooth_profile(points[:, :2], count), smooth_profile(points[:, 1:], count)
    return np.concatenate([flat, deep[:, 1:]], 1)


def hammer(b: Builder) -> None:
    """Claw hammer, about 1.6 high: striking face, neck, cheek and a split claw; shaft, grip and its end."""
    y = 0.62
    claw = b.part("claw", "head")
    upper = smooth_profile([(0.0, 0.085), (-0.12, 0.088), (-0.24, 0.062), (-0.345, -0.004), (-0.425, -0.105)], 16)
    lower = smooth_profile([(-0.418, -0.112), (-0.33, -0.048), (-0.235, -0.008), (-0.13, -0.018), (0.0, -0.07)], 16)
    for side, _ in SIDES:
        spin = rotation_about("y", side * 0.095)
        outline = np.concatenate([upper, lower])
        b.add(claw, Prism((-0.04, y, side * 0.033), outline, 0.031, spin, bevel=0.02), softness=0.2)
    cheek = b.part("cheek", "head")
    b.add(cheek, Box((0, y, 0), (0.088, 0.092, 0.066), rounding=0.03), softness=0.4)
    b.add(cheek, rod((0, y - 0.13, 0), (0, y - 0.02, 0), 0.058, 0.062, 0.2), softness=0.3)
    b.add(
        b.part("neck", "head"),
        Lathe(
            (0.05, y, 0),
            [(0, 0), (0.066, 0), (0.056, 0.07), (0.052, 0.11), (0.054, 0.16), (0, 0.16)],
            rotation_to((1, 0, 0)),
        ),
        softness=0.35,
    )
    b.add(
        b.part("face", "head"),
        Lathe(
            (0.19, y, 0),
            [
                (0, 0),
                (0.05, 0),
                (0.074, 0.022),
                (0.082, 0.035),
                (0.082, 0.125),
                (0.076, 0.136),
                (0.05, 0.142),
                (0, 0.144),
            ],
            rotation_to((1, 0, 0)),
        ),
        softness=0.12,
    )
    shaft = [
        (0, -0.3),
        *smooth_profile([(0.048, -0.3), (0.043, -0.05), (0.041, 0.22), (0.047, y - 0.08)], 14),
        (0, y - 0.08),
    ]
    b.add(b.part("shaft", "handle"), Lathe((0, 0, 0), shaft, squash=0.82), softness=0.15)
    grip = smooth_profile(
        [(0.066, -0.84), (0.071, -0.79), (0.060, -0.66), (0.063, -0.5), (0.069, -0.35), (0.062, -0.22), (0.055, -0.19)],
        30,
    )
    b.add(
        b.part("grip", "handle"),
        Lathe((0, 0, 0), [(0, -0.86), (0.05, -0.86), *grip, (0, -0.185)], squash=0.82),
        softness=0.1,
    )
    b.add(
        b.part("grip end", "handle"),
        Lathe(
            (0, 0, 0),
            [(0, -0.92), (0.055, -0.92), (0.072, -0.91), (0.08, -0.89), (0.08, -0.85), (0.07, -0.835), (0, -0.83)],
            squash=0.85,
        ),
        softness=0.12,
    )


def chair(b: Builder) -> None:
    """Dining chair: dished seat, front and back legs, stretchers; back of two posts, a top rail and two rails."""
    seat, floor = 0.0, -0.78
    b.add(b.part("seat", "seat"), Box((0, seat, 0), (0.43, 0.042, 0.45), rounding=0.036), softness=0.3)
    b.add(b.part("seat", "seat"), Ellipsoid((0, 0.42, 0), (0.62, 0.395, 0.66)), softness=0.1, carve=True)
    legs = {}
    for sx, where in ((1, "front"), (-1, "back")):
        for side, name in SIDES:
            top, foot = np.array([sx * 0.35, seat - 0.01, side * 0.36]), np.array([sx * 0.40, floor, side * 0.40])
            legs[sx, side] = (top, foot)
            part = b.part(f"{where} {name} leg", "base")
            profile = [
                (0, 0),
                (0.026, 0),
                (0.033, 0.03),
                (0.045, 0.5),
                (0.046, 0.6),
                (0.038, 0.74),
                (0.034, 0.78),
                (0, 0.78),
            ]
            b.add(part, Lathe(foot, profile, rotation_to(top - foot)), softness=0.5)
    at = lambda key, t: legs[key][0] * (1 - t) + legs[key][1] * t  # noqa: E731
    for side, name in SIDES:
        b.add(
            b.part(f"{name} stretcher", "base"),
            rod(at((1, side), 0.62), at((-1, side), 0.62), 0.024, bevel=0.3),
            softness=0.4,
        )
    mid = [(at((1, s), 0.62) + at((-1, s), 0.62)) / 2 for s, _ in SIDES]
    b.add(b.part("middle stretcher", "base"), rod(mid[0], mid[1], 0.024, bevel=0.3), softness=0.4)
    b.add(b.part("front stretcher", "base"), rod(at((1, -1), 0.45), at((1, 1), 0.45), 0.024, bevel=0.3), softness=0.4)
    lean = np.array([-0.2, 1.0, 0])

    def back(level, z, push=0.0):
        return np.array([-0.36, 0.02, z]) + lean * level - np.array([push, 0, 0])

    for side, name in SIDES:
        part = b.part(f"{name} back post", "back")
        b.add(part, RoundCone(back(-0.03, side * 0.385), back(0.93, side * 0.413), 0.04, 0.03), softness=0.4)
    for name, level, tall in (("lower rail", 0.3, 0.042), ("middle rail", 0.55, 0.042), ("top rail", 0.83, 0.085)):
        reach = 0.375 + 0.03 * level - 0.9 * tall  # the round ends stay inside the posts
        z = np.linspace(-reach, reach, 25)
        points = np.stack([back(level, t, 0.05 * (1 - (t / 0.4) ** 2)) for t in z])
        way = unit(lean)
        # A rail is a strap: tall along the posts, thin across them.
        normal = unit(np.cross(way, [0, 0, 1.0]))
        b.add(b.part(name, "back"), Tube(points, tall, flat=0.024 / tall, normal=normal), softness=0.3)


def lamp(b: Builder) -> None:
    """Desk lamp: weighted base with a switch, two arms with joints, a conical shade with its neck, and a bulb."""
    floor = -0.78
    foot = np.array([-0.3, floor, 0])
    profile = smooth_profile([(0.30, 0.012), (0.31, 0.03), (0.29, 0.06), (0.2, 0.085), (0.08, 0.105)], 14)
    b.add(b.part("base", "base"), Lathe(foot, [(0, 0), (0.29, 0), *profile, (0.04, 0.13), (0, 0.13)]), softness=0.2)
    b.add(
        b.part("switch", "base"),
        rod(foot + [0.17, 0.06, 0.0], foot + [0.178, 0.14, 0], 0.042, 0.038, 0.3),
        softness=0.1,
    )
    first, second, third = foot + [0, 0.17, 0], np.array([-0.5, 0.12, 0]), np.array([0.16, 0.56, 0])
    arm = 0.026
    b.add(b.part("lower arm", "arm"), rod(first, second, arm), softness=0.2)
    b.add(b.part("upper arm", "arm"), rod(second, third, arm), softness=0.2)
    for name, p, r in (("base joint", first, 0.062), ("elbow joint", second, 0.06), ("head joint", third, 0.055)):
        b.add(b.part(name, "arm"), rod(p - [0, 0, 0.06], p + [0, 0, 0.06], r, bevel=0.25), softness=0.15)
    way = unit([0.42, -0.9, 0])
    neck = third + way * 0.02
    b.add(
        b.part("shade neck", "head"),
        Lathe(neck, [(0, 0), (0.06, 0.0), (0.072, 0.02), (0.08, 0.12), (0.07, 0.14), (0, 0.14)], rotation_to(way)),
        softness=0.2,
    )
    outer = smooth_profile([(0.05, 0.13), (0.1, 0.155), (0.155, 0.23), (0.215, 0.35), (0.27, 0.5)], 18)
    inner = outer[::-1] - [0.026, 0]
    inner = inner[inner[:, 0] > 0.05] + [0, 0.012]
    rim = [(0.28, 0.515), (0.262, 0.528), (0.246, 0.518)]
    b.add(
        b.part("shade", "head"),
        Lathe(neck, [(0, 0.13), *outer, *rim, *inner[1:], (0, 0.19)], rotation_to(way)),
        softness=0.1,
    )
    b.add(
        b.part("bulb", "head"),
        Lathe(
            neck,
            [
                (0, 0.15),
                (0.035, 0.15),
                *smooth_profile([(0.036, 0.24), (0.06, 0.3), (0.092, 0.39), (0.075, 0.47), (0.03, 0.497)], 14),
                (0, 0.5),
            ],
            rotation_to(way),
        ),
        softness=0.1,
    )


def goat(b: Builder) -> None:
    """Billy goat, looking along +x: body, neck, head with muzzle, beard, ears and horns, jointed legs with hooves, tail."""
    body = b.part("body", "body")
    b.add(body, Ellipsoid((0.24, 0.02, 0), (0.26, 0.265, 0.185)), softness=0.5)
    b.add(body, Ellipsoid((-0.02, -0.02, 0), (0.42, 0.25, 0.2)), softness=0.5)
    b.add(body, Ellipsoid((-0.33, 0.035, 0), (0.22, 0.225, 0.175)), softness=0.5)
    b.add(body, RoundCone((-0.35, 0.16, 0), (0.3, 0.18, 0), 0.1, 0.1), softness=0.8)
    neck = b.part("neck", "head and neck")
    b.add(neck, RoundCone((0.36, 0.12, 0), (0.62, 0.5, 0), 0.165, 0.1), softness=0.55)
    skull = b.part("skull", "head and neck")
    b.add(skull, Ellipsoid((0.69, 0.585, 0), (0.125, 0.105, 0.088), rotation_about("z", -0.5)), softness=0.4)
    for side, _ in SIDES:
        b.add(
            skull, Ellipsoid((0.735, 0.64, side * 0.062), (0.05, 0.032, 0.03), rotation_about("z", -0.5)), softness=0.6
        )  # brows
    muzzle = b.part("muzzle", "head and neck")
    b.add(muzzle, RoundCone((0.76, 0.545, 0), (0.92, 0.425, 0), 0.078, 0.056, flat=0.88, spin=np.pi / 2), softness=0.5)
    b.add(muzzle, RoundCone((0.74, 0.48, 0), (0.89, 0.385, 0), 0.05, 0.036), softness=0.5)
    b.add(
        b.part("beard", "head and neck"),
        Tube(
            curve([(0.855, 0.375, 0), (0.85, 0.3, 0), (0.82, 0.22, 0), (0.80, 0.17, 0)], 20),
            np.linspace(0.036, 0.012, 20),
        ),
        softness=0.4,
    )
    for side, name in SIDES:
        b.add(
            b.part(f"{name} eye", "head and neck"),
            Ellipsoid((0.762, 0.598, side * 0.078), (0.024, 0.022, 0.018)),
            softness=0.05,
        )
        way = unit([-0.35, -0.28, side])
        up = unit(np.array([0.25, 1, 0]) - way * (np.array([0.25, 1, 0]) @ way))
        frame = np.stack([up, way, np.cross(up, way)], 1)
        at = np.array([0.635, 0.6, side * 0.075])
        b.add(
            b.part(f"{name} ear", "head and neck"), Ellipsoid(at + way * 0.1, (0.045, 0.125, 0.02), frame), softness=0.4
        )
        points = curve(
            [
                (0.665, 0.64, side * 0.048),
                (0.66, 0.76, side * 0.07),
                (0.6, 0.89, side * 0.11),
                (0.48, 0.97, side * 0.17),
                (0.35, 0.96, side * 0.22),
            ],
            48,
        )
        b.add(b.part(f"{name} horn", "head and neck"), Tube(points, np.linspace(0.043, 0.012, 48)), softness=0.25)
    b.add(
        b.part("tail", "body"),
        Tube(
            curve([(-0.5, 0.16, 0), (-0.58, 0.22, 0), (-0.65, 0.3, 0), (-0.68, 0.36, 0)], 30),
            np.interp(np.linspace(0, 1, 30), [0, 0.3, 0.7, 1], [0.05, 0.052, 0.042, 0.02]),
        ),
        softness=0.4,
    )
    for side, name in SIDES:
        group = f"front {name} leg"
        z = side * 0.125
        b.add(
            b.part(f"{group} upper", group),
            RoundCone((0.27, -0.06, z * 0.95), (0.3, -0.4, z), 0.105, 0.055),
            softness=0.6,
        )
        lower = b.part(f"{group} lower", group)
        b.add(lower, Ellipsoid((0.302, -0.43, z), (0.054, 0.058, 0.05)), softness=0.5)
        b.add(lower, RoundCone((0.302, -0.44, z), (0.295, -0.77, z), 0.043, 0.034), softness=0.4)
        b.add(lower, Ellipsoid((0.298, -0.775, z), (0.042, 0.036, 0.04)), softness=0.5)
        b.add(
            b.part(f"{group} hoof", group),
            Lathe((0.303, -0.92, z), [(0, 0), (0.062, 0), (0.067, 0.012), (0.045, 0.12), (0.03, 0.13), (0, 0.13)]),
            softness=0.12,
        )
        group = f"hind {name} leg"
        b.add(
            b.part(f"{group} upper", group),
            RoundCone((-0.36, 0, z * 0.85), (-0.3, -0.33, z), 0.15, 0.072, flat=0.8, spin=0),
            softness=0.5,
        )
        lower = b.part(f"{group} lower", group)
        b.add(lower, RoundCone((-0.3, -0.34, z), (-0.44, -0.55, z), 0.066, 0.042), softness=0.4)
        b.add(lower, Ellipsoid((-0.45, -0.555, z), (0.046, 0.046, 0.042)), softness=0.5)
        b.add(lower, RoundCone((-0.445, -0.56, z), (-0.415, -0.78, z), 0.04, 0.034), softness=0.4)
        b.add(lower, Ellipsoid((-0.412, -0.785, z), (0.042, 0.036, 0.04)), softness=0.5)
        b.add(
            b.part(f"{group} hoof", group),
            Lathe((-0.405, -0.92, z), [(0, 0), (0.062, 0), (0.067, 0.012), (0.045, 0.12), (0.03, 0.13), (0, 0.13)]),
            softness=0.12,
        )


def humanoid(b: Builder) -> None:
    """Standing figure that looks along +x, arms away from the body: head, torso, arms with hands, legs with feet."""
    head = b.part("head", "head")
    c = np.array([0.01, 0.80, 0])
    b.add(head, Ellipsoid(c + [-0.008, 0.02, 0], (0.112, 0.118, 0.092)), softness=0.4)
    b.add(head, Ellipsoid(c + [0.03, -0.055, 0], (0.078, 0.085, 0.07)), softness=0.5)
    b.add(head, RoundCone(c + [0.105, 0.018, 0], c + [0.128, -0.022, 0], 0.014, 0.02), softness=0.6)
    b.add(head, Ellipsoid(c + [0.075, -0.115, 0], (0.03, 0.022, 0.032)), softness=0.8)
    for side, _ in SIDES:
        b.add(
            head,
            Ellipsoid(c + [-0.01, 0.0, side * 0.092], (0.022, 0.034, 0.013), rotation_about("y", -side * 0.35)),
            softness=0.4,
        )
        b.add(head, Ellipsoid(c + [0.088, 0.035, side * 0.036], (0.018, 0.01, 0.022)), softness=0.5)
    b.add(b.part("neck", "head"), RoundCone((-0.012, 0.56, 0), (0.0, 0.70, 0), 0.064, 0.056), softness=0.5)
    chest = b.part("chest", "torso")
    b.add(chest, Ellipsoid((0, 0.4, 0), (0.125, 0.2, 0.195)), softness=0.5)
    b.add(chest, RoundCone((-0.01, 0.50, -0.13), (-0.01, 0.50, 0.13), 0.075, 0.075), softness=0.7)
    for side, _ in SIDES:
        b.add(chest, Ellipsoid((0.065, 0.42, side * 0.085), (0.062, 0.07, 0.085)), softness=0.6)
    b.add(b.part("belly", "torso"), Ellipsoid((0.008, 0.2, 0), (0.112, 0.15, 0.152)), softness=0.6)
    b.add(b.part("hips", "torso"), Ellipsoid((-0.005, 0.04, 0), (0.122, 0.125, 0.178)), softness=0.6)
    for side, name in SIDES:
        group = f"{name} arm"
        shoulder, elbow, wrist = (
            np.array(p) * [1, 1, side] for p in ((-0.005, 0.505, 0.21), (-0.03, 0.265, 0.335), (0.06, 0.04, 0.425))
        )
        upper = b.part(f"{name} upper arm", group)
        b.add(upper, Ellipsoid(shoulder, (0.066, 0.07, 0.064)), softness=0.9)
        b.add(upper, RoundCone(shoulder, elbow, 0.06, 0.047), softness=0.5)
        fore = b.part(f"{name} forearm", group)
        b.add(fore, RoundCone(elbow, elbow + (wrist - elbow) * 0.35, 0.047, 0.052), softness=0.4)
        b.add(fore, RoundCone(elbow + (wrist - elbow) * 0.35, wrist, 0.052, 0.032), softness=0.4)
        way = unit(wrist - elbow + np.array([0.02, -0.05, 0]))
        flat = unit(np.array([1.0, 0, 0]) - way * way[0])  # across the palm
        frame = np.stack([flat, way, np.cross(flat, way)], 1)
        hand = b.part(f"{name} hand", group)
        b.add(hand, Ellipsoid(wrist + way * 0.065, (0.062, 0.068, 0.028), frame), softness=0.4)
        for length, off in ((0.085, 1.5), (0.1, 0.5), (0.092, -0.5), (0.07, -1.5)):
            root = wrist + way * 0.105 + flat * off * 0.033
            tip = root + (way + flat * off * 0.13) * length
            b.add(b.part(f"{name} fingers", group), RoundCone(root, tip, 0.0150, 0.0130), softness=0.1)
        root = wrist + way * 0.045 + flat * 0.045
        b.add(
            b.part(f"{name} thumb", group),
            RoundCone(root, root + unit(way * 0.8 + flat * 0.75) * 0.075, 0.0185, 0.0145),
            softness=0.5,
        )
        group = f"{name} leg"
        hip, knee, ankle = (
            np.array(p) * [1, 1, side] for p in ((-0.005, -0.03, 0.095), (0.015, -0.43, 0.115), (-0.03, -0.83, 0.125))
        )
        thigh = b.part(f"{name} thigh", group)
        b.add(thigh, RoundCone(hip, knee, 0.105, 0.066), softness=0.4)
        shin = b.part(f"{name} shin", group)
        b.add(shin, RoundCone(knee, knee + (ankle - knee) * 0.32 + [-0.02, 0, 0], 0.064, 0.066), softness=0.5)
        b.add(shin, RoundCone(knee + (ankle - knee) * 0.32 + [-0.02, 0, 0], ankle, 0.066, 0.038), softness=0.5)
        foot = b.part(f"{name} foot", group)
        b.add(foot, Ellipsoid(ankle + [-0.02, -0.035, 0], (0.05, 0.05, 0.042)), softness=0.6)
        b.add(foot, RoundCone(ankle + [0, -0.03, 0], ankle + [0.125, -0.065, side * 0.022], 0.043, 0.03), softness=0.5)
        b.add(foot, Ellipsoid(ankle + [0.11, -0.068, side * 0.018], (0.075, 0.028, 0.048)), softness=0.6)


def teapot(b: Builder) -> None:
    """Round teapot: body on a foot, lid with a knob, spout, handle."""
    body = smooth_profile([(0.3, -0.38), (0.44, -0.25), (0.5, -0.05), (0.45, 0.14), (0.31, 0.26)], 30)
    b.add(
        b.part("body", "pot"),
        Lathe((0, 0, 0), [(0, -0.40), (0.26, -0.40), *body, (0.27, 0.275), (0, 0.275)]),
        softness=0.05,
    )
    b.add(
        b.part("foot", "pot"),
        Lathe((0, 0, 0), [(0, -0.47), (0.28, -0.47), (0.31, -0.45), (0.30, -0.42), (0.27, -0.38), (0, -0.38)]),
        softness=0.2,
    )
    lid = smooth_profile([(0.315, 0.30), (0.30, 0.335), (0.22, 0.385), (0.1, 0.42)], 16)
    b.add(
        b.part("lid", "lid"),
        Lathe((0, 0, 0), [(0, 0.25), (0.25, 0.25), (0.275, 0.275), (0.315, 0.285), *lid, (0, 0.43)]),
        softness=0.05,
    )
    b.add(
        b.part("knob", "lid"),
        Lathe(
            (0, 0, 0),
            [
                (0, 0.4),
                (0.05, 0.4),
                *smooth_profile([(0.04, 0.44), (0.045, 0.465), (0.085, 0.51), (0.08, 0.56), (0.04, 0.59)], 14),
                (0, 0.595),
            ],
        ),
        softness=0.12,
    )
    spout = curve([(0.36, -0.16, 0), (0.56, -0.1, 0), (0.68, 0.08, 0), (0.74, 0.24, 0), (0.86, 0.32, 0)], 60)
    b.add(
        b.part("spout", "spout"),
        Tube(spout, smooth_profile([(0, 0.15), (0.33, 0.10), (0.67, 0.066), (1, 0.056)], 60)[:, 1]),
        softness=0.5,
    )
    b.add(b.part("spout", "spout"), RoundCone((0.83, 0.31, 0), (0.95, 0.39, 0), 0.034, 0.036), softness=0.2, carve=True)
    handle = curve(
        [(-0.38, 0.17, 0), (-0.6, 0.25, 0), (-0.82, 0.19, 0), (-0.86, -0.02, 0), (-0.7, -0.2, 0), (-0.42, -0.24, 0)], 60
    )
    b.add(b.part("handle", "handle"), Tube(handle, 0.05), softness=0.5)


def camel(b: Builder) -> None:
    """Dromedary, looking along +x: body with a hump, long neck, head, ears, tail, legs with feet."""
    body = b.part("body", "body")
    b.add(body, Ellipsoid((0, 0, 0), (0.46, 0.23, 0.19)), softness=0.5)
    b.add(body, Ellipsoid((0.26, -0.01, 0), (0.22, 0.24, 0.17)), softness=0.5)
    b.add(body, Ellipsoid((-0.32, 0.02, 0), (0.2, 0.2, 0.16)), softness=0.5)
    b.add(b.part("hump", "body"), Ellipsoid((-0.02, 0.23, 0), (0.2, 0.2, 0.11)), softness=0.7)
    neck = curve([(0.4, -0.02, 0), (0.58, -0.05, 0), (0.70, 0.1, 0), (0.73, 0.35, 0), (0.76, 0.5, 0)], 48)
    b.add(
        b.part("neck", "head and neck"),
        Tube(neck, smooth_profile([(0, 0.155), (0.33, 0.108), (0.67, 0.08), (1, 0.066)], 48)[:, 1]),
        softness=0.6,
    )
    b.add(
        b.part("head", "head and neck"),
        Ellipsoid((0.8, 0.56, 0), (0.115, 0.085, 0.075), rotation_about("z", -0.2)),
        softness=0.4,
    )
    b.add(b.part("muzzle", "head and neck"), RoundCone((0.87, 0.54, 0), (1.0, 0.495, 0), 0.062, 0.05), softness=0.4)
    for side, name in SIDES:
        b.add(
            b.part(f"{name} ear", "head and neck"),
            Ellipsoid((0.73, 0.65, side * 0.06), (0.028, 0.055, 0.02), rotation_about("x", side * 0.5)),
            softness=0.3,
        )
    b.add(
        b.part("tail", "body"),
        Tube(
            curve([(-0.5, 0.08, 0), (-0.58, 0.0, 0), (-0.61, -0.15, 0), (-0.6, -0.28, 0)], 30),
            smooth_profile([(0, 0.04), (0.33, 0.03), (0.67, 0.026), (0.85, 0.036), (1, 0.016)], 30)[:, 1],
        ),
        softness=0.4,
    )
    for x, where in ((0.27, "front"), (-0.33, "hind")):
        for side, name in SIDES:
            group = f"{where} {name} leg"
            z = side * 0.105
            bend = 0.03 if where == "front" else -0.05
            knee = (x + bend, -0.46, z)
            b.add(b.part(f"{group} upper", group), RoundCone((x, -0.08, z), knee, 0.115, 0.056), softness=0.5)
            lower = b.part(f"{group} lower", group)
            b.add(lower, Ellipsoid(knee, 0.06), softness=0.4)
            b.add(lower, RoundCone(knee, (x, -0.86, z), 0.048, 0.036), softness=0.4)
            b.add(
                b.part(f"{group} foot", group),
                Superquadric((x + 0.025, -0.905, z), (0.082, 0.042, 0.066), 0.6, 0.9),
                softness=0.3,
            )
