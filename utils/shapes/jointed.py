"""People and animals of one skin: limbs nest (arm, lower arm, hand, finger) and no crease lies between their parts.

Lengths are in metres, +y is up, +x is ahead. A limb is a chain of round cones that share their radii at the ends, so
that it bulges and dips along its bones and not at the borders of its parts, which run across it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import SIDES
from utils.shapes.solids import Ellipsoid, RoundCone, Tube, rotation_about, rotation_to, unit

ARM = (0.052, 0.047, 0.047, 0.043, 0.037)  # radii from the shoulder to the elbow, of a person of 1.75 m
FOREARM = (0.037, 0.042, 0.039, 0.031, 0.025)
THIGH = (0.084, 0.08, 0.07, 0.06, 0.051)
CALF = (0.051, 0.054, 0.05, 0.04, 0.034)


def body(b: Builder) -> None:
    """A person or an animal with a smooth skin, in any pose."""
    (_person if b.chance(0.72) else _animal)(b)


def bone(b: Builder, path: str, start, end, radii: Sequence[float] | np.ndarray, blend: float = 0.0) -> None:
    """A part of a limb: radii at equal steps from start to end. `blend`: radius of its joint to what is there, m."""
    t = np.linspace(0, 1, len(radii))[:, None]
    solid = Tube(np.asarray(start, float) * (1 - t) + np.asarray(end, float) * t, radii)
    b.add(_part(b, path), solid, smooth=True, softness=blend / solid.size)


def flesh(b: Builder, path: str, solid, blend: float) -> None:
    """A solid blended with what is there over a radius in metres."""
    b.add(_part(b, path), solid, smooth=True, softness=blend / solid.size)


def _part(b: Builder, path: str) -> int:
    *above, group, name = path.split("/") if "/" in path else (path, path)
    return b.part(name, group, *reversed(above))


def _turned(way, axis: str, angle: float) -> np.ndarray:
    return rotation_about(axis, angle) @ np.asarray(way, float)


def _person(b: Builder) -> None:
    """Head, neck, torso, arms down to the fingers, legs down to the feet."""
    fat, build = b.u(0.85, 1.3), b.u(0.85, 1.15)
    pose = b.pick(["stand", "stand", "walk", "sit", "reach", "spread", "any"])
    broad, long = 0.17 * build, 0.5 * b.u(0.92, 1.08)
    lean = rotation_about("z", b.u(-0.15, 0.25) if pose != "any" else b.u(-0.3, 0.9))
    twist = lean @ rotation_about("x", b.u(-0.12, 0.12))

    def at(x: float, y: float, z: float) -> np.ndarray:
        return twist @ [x, y, z]

    _torso(b, at, twist, broad, long, fat)
    neck = at(0.0, long, 0)
    nod = twist @ rotation_about("z", b.u(-0.35, 0.25)) @ rotation_about("y", b.u(-0.5, 0.5))
    skull = neck + nod @ [0.025, 0.185, 0]
    bone(
        b,
        "head/neck",
        neck - twist @ [0.01, 0.05, 0],
        neck + nod @ [0.0, 0.11, 0],
        np.array([0.066, 0.055, 0.053]) * fat**0.5,
        0.05,
    )
    _head(b, skull, nod)
    mirrored = b.chance(0.4)
    arm, leg, plan = b.n(0, 10**6), b.n(0, 10**6), b.n(0, 10**6)
    for side, name in SIDES:
        rng = b.rng
        if mirrored or pose == "stand":  # both sides draw the same
            b.rng = np.random.default_rng(arm)
        _arm(b, at(0, long - 0.055, side * (broad + 0.01)), twist, side, name, pose, fat, plan)
        b.rng = np.random.default_rng(leg) if mirrored or pose in ("stand", "sit") else rng
        _leg(b, at(0, -0.02, side * 0.095 * build), side, name, pose, fat, plan)
        b.rng = rng


def _torso(b: Builder, at, twist, broad: float, long: float, fat: float) -> None:
    """Chest, abdomen, hips of one skin; sometimes one part or two."""
    names = b.pick(
        [("chest", "abdomen", "hips"), ("chest", "chest", "hips"), ("torso",) * 3, ("chest", "belly", "belly")]
    )
    deep = 0.105 * fat
    paths = [f"torso/{name}" for name in names]
    flesh(b, paths[2], Ellipsoid(at(0, 0.02, 0), (deep * 1.1, 0.13, 0.165 * fat**0.6), twist), 0.05)
    belly = b.u(0.9, 1.25)
    flesh(b, paths[1], Ellipsoid(at(deep * 0.12, long * 0.42, 0), (deep * belly, 0.14, 0.14 * fat), twist), 0.09)
    flesh(b, paths[0], Ellipsoid(at(0, long * 0.72, 0), (deep * 1.12, 0.17, 0.16 * fat**0.6), twist), 0.09)
    yoke = RoundCone(at(-0.01, long - 0.06, -broad), at(-0.01, long - 0.06, broad), 0.062, 0.062)
    flesh(b, paths[0], yoke, 0.07)
    for side, _ in SIDES:
        if b.chance(0.5):
            flesh(b, paths[0], Ellipsoid(at(deep * 0.75, long * 0.74, side * 0.075), (0.055, 0.06, 0.065), twist), 0.06)
        flesh(b, paths[2], Ellipsoid(at(-deep * 0.6, -0.03, side * 0.075), (0.085, 0.09, 0.085), twist), 0.06)


def _head(b: Builder, skull, nod) -> None:
    """Skull with jaw, nose and ears, most often one part."""
    size = b.u(0.92, 1.08)
    flesh(b, "head/head", Ellipsoid(skull, np.array([0.1, 0.115, 0.077]) * size, nod), 0.03)
    flesh(b, "head/head", Ellipsoid(skull + nod @ [0.03, -0.07, 0], np.array([0.062, 0.06, 0.055]) * size, nod), 0.04)
    face = b.pick(["head/head", "head/head", "head/face"])
    tip = skull + nod @ np.array([0.115, -0.025, 0]) * size
    flesh(b, face, RoundCone(skull + nod @ [0.092, 0.02, 0], tip, 0.011, 0.016), 0.02)
    for side, name in SIDES:
        ear = Ellipsoid(skull + nod @ np.array([-0.01, -0.01, side * 0.079]) * size, (0.018, 0.032, 0.01), nod)
        flesh(b, b.pick(["head/head", f"head/{name} ear"]), ear, 0.012)
    style = b.pick(["bald", "bald", "hair", "long", "bun"])
    if style != "bald":
        cap = Ellipsoid(skull + nod @ [-0.018, 0.025, 0], np.array([0.1, 0.115, 0.085]) * size, nod)
        flesh(b, "head/hair", cap, 0.015)
    if style == "long":
        flesh(b, "head/hair", Ellipsoid(skull + nod @ [-0.075, -0.09, 0], (0.04, 0.14, 0.08), nod), 0.03)
    elif style == "bun":
        flesh(b, "head/hair", Ellipsoid(skull + nod @ [-0.12, 0.04, 0], 0.05), 0.015)


def _arm(b: Builder, shoulder, twist, side: int, name: str, pose: str, fat: float, plan: int) -> None:
    """Upper arm, forearm, hand, fingers; +z of `side` is outwards."""
    down = b.u(0.08, 0.35)  # away from the trunk, radians
    swing, bend = b.u(-0.2, 0.3), b.u(0.05, 0.6)
    if pose == "spread":
        down, bend = b.u(1.2, 1.7), b.u(0, 0.3)
    elif pose == "reach":
        swing, bend = b.u(0.6, 2.6), b.u(0, 0.7)
    elif pose == "walk":
        swing = b.u(0.3, 0.7) * (1 if side > 0 else -1)
    elif pose == "any":
        down, swing, bend = b.u(0.1, 2.4), b.u(-0.6, 2.0), b.u(0, 2.2)
    elif pose == "sit":
        swing, bend = b.u(0.1, 0.6), b.u(0.6, 1.6)
    upper = twist @ _turned(_turned([0, -1, 0], "x", -side * down), "z", swing)
    fore = rotation_about("x", -side * b.u(-0.3, 0.1)) @ rotation_about("z", bend) @ upper
    elbow = shoulder + upper * 0.29
    wrist = elbow + fore * 0.25
    girth = fat**0.7
    tree = np.random.default_rng(plan)
    arm, lower = f"{name} arm", f"{name} lower arm"
    deep = f"{arm}/{lower}" if tree.random() < 0.6 else arm
    bone(b, f"{arm}/{name} upper arm", shoulder, elbow, np.array(ARM) * girth, 0.05)
    bone(b, f"{deep}/{name} forearm", elbow, wrist, np.array(FOREARM) * [*([girth] * 4), 1.0])
    _hand(b, f"{deep}/{name} hand", name, wrist, fore, side, tree)


def _hand(b: Builder, path: str, name: str, wrist, way, side: int, tree: np.random.Generator) -> None:
    """Palm and fingers, one part or several; the thumb is ahead."""
    apart = tree.random() < 0.5  # the fingers are parts
    each = tree.random() < 0.6
    palm = f"{path}/{name} palm" if apart else path
    way = unit(way)
    ahead = np.array([1.0, 0, 0]) - way * way[0]
    ahead = unit(ahead if np.linalg.norm(ahead) > 0.2 else np.array([0.0, 0, 1]) - way * way[2])
    flat = np.cross(ahead, way)
    frame = np.stack([ahead, way, np.cross(ahead, way)], 1)
    flesh(b, palm, Ellipsoid(wrist + way * 0.055, (0.041, 0.058, 0.0185), frame), 0.015)
    flesh(b, palm, Ellipsoid(wrist + way * 0.08, (0.04, 0.03, 0.0165), frame), 0.012)
    curl, fist = b.u(0.0, 0.7), b.chance(0.2)
    if fist:
        flesh(
            b,
            path if not apart else f"{path}/{name} fingers",
            Ellipsoid(wrist + way * 0.085, (0.042, 0.04, 0.032), frame),
            0.015,
        )
        return
    fingers = [(0.028, 0.072), (0.0095, 0.08), (-0.0095, 0.075), (-0.028, 0.06)]
    for i, (across, long) in enumerate(fingers):
        own = palm if not apart else f"{path}/{name} finger {i}" if each else f"{path}/{name} fingers"
        root = wrist + way * 0.098 + ahead * across
        bent = unit(way * np.cos(curl) - flat * side * np.sin(curl) + ahead * across * 3 * b.u(0, 1.5))
        tip = unit(way * np.cos(2 * curl) - flat * side * np.sin(2 * curl) + ahead * across * 2)
        middle = root + bent * long * 0.5
        flesh(b, own, Tube(np.array([root, middle, middle + tip * long * 0.5]), [0.0098, 0.0092, 0.008]), 0.004)
    own = palm if not apart else f"{path}/{name} thumb" if each else f"{path}/{name} fingers"
    root = wrist + way * 0.035 + ahead * 0.03
    knuckle = root + unit(way + ahead * b.u(0.5, 1.0)) * 0.045
    flesh(
        b, own, Tube(np.array([root, knuckle, knuckle + unit(way + ahead * 0.3) * 0.035]), [0.014, 0.012, 0.009]), 0.008
    )


def _leg(b: Builder, hip, side: int, name: str, pose: str, fat: float, plan: int) -> None:
    """Thigh, calf, foot, perhaps toes."""
    out, swing, bend = b.u(0.0, 0.12), b.u(-0.08, 0.08), b.u(0, 0.12)
    if pose == "walk":
        swing, bend = b.u(0.15, 0.5) * (1 if side < 0 else -1), b.u(0.05, 0.5)
    elif pose == "sit":
        out, swing, bend = b.u(0.05, 0.35), b.u(1.2, 1.7), b.u(1.2, 1.8)
    elif pose == "spread":
        out = b.u(0.2, 0.5)
    elif pose in ("any", "reach"):
        out, swing, bend = b.u(0, 0.5), b.u(-0.4, 1.2), b.u(0, 1.6)
    thigh = _turned(_turned([0, -1, 0], "x", -side * out), "z", swing)
    shin = rotation_about("z", -bend) @ thigh
    knee = hip + thigh * 0.42
    ankle = knee + shin * 0.39
    girth = fat**0.7
    tree = np.random.default_rng(plan + 1)
    leg = f"{name} leg"
    lower = f"{leg}/{name} lower leg" if tree.random() < 0.6 else leg
    bone(b, f"{leg}/{name} thigh", hip, knee, np.array(THIGH) * girth, 0.04)
    bone(b, f"{lower}/{name} calf", knee, ankle, np.array(CALF) * [*([girth] * 4), 1.0])
    toes = rotation_about("z", np.pi / 2 + b.u(-0.15, 0.5)) @ shin
    toes = unit(toes + [0, 0, side * b.u(0, 0.3)])
    foot, split = f"{lower}/{name} foot", tree.random() < 0.3
    heel, tip = ankle + shin * 0.045 - toes * 0.03, ankle + shin * 0.06 + toes * 0.13
    flesh(b, foot + (f"/{name} foot body" if split else ""), RoundCone(heel, tip, 0.037, 0.027), 0.03)
    across = unit(np.cross(toes, shin))
    for i in range(3):
        root = tip + across * (i - 1) * 0.022
        flesh(b, foot + (f"/{name} toes" if split else ""), RoundCone(root, root + toes * 0.05, 0.019, 0.014), 0.015)


def _animal(b: Builder) -> None:
    """Four legs of thigh, shank and paw, trunk, neck, head with muzzle and ears, tail."""
    long, tall, fat = b.u(0.5, 0.9), b.u(0.3, 0.75), b.u(0.8, 1.25)
    r = 0.15 * fat * b.u(0.8, 1.1)
    spine = b.u(-0.08, 0.08)
    names = b.pick([("chest", "belly", "rump"), ("trunk",) * 3, ("chest", "belly", "belly")])
    paths = [f"trunk/{name}" if names[0] != "trunk" else "trunk" for name in names]
    front, back = np.array([long / 2, spine, 0]), np.array([-long / 2, 0, 0])
    flesh(b, paths[2], Ellipsoid(back, (r * 1.15, r * 1.05, r * 0.95)), 0.08)
    flesh(b, paths[1], Ellipsoid((front + back) / 2, (long * 0.42, r * b.u(0.75, 1.0), r * 0.9)), 0.1)
    flesh(b, paths[0], Ellipsoid(front, (r * 1.15, r * 1.2, r * 0.9)), 0.09)
    rise, reach = b.u(-0.1, 1.2), b.u(0.15, 0.5)
    way = unit([np.cos(rise), np.sin(rise), b.u(-0.2, 0.2)])
    head = front + way * (r + reach)
    path = b.pick(["head", "neck"])
    bone(b, f"{path}/neck", front + way * r * 0.4, head, np.array([0.85, 0.62, 0.52]) * r, 0.07)
    look = rotation_about("z", b.u(-1.0, 0.1)) @ unit([way[0] + 0.4, way[1] * 0.4, way[2]])
    flesh(
        b,
        "head/skull",
        Ellipsoid(head, (r * 0.62, r * 0.55, r * 0.5), rotation_to(look) @ rotation_about("z", np.pi / 2)),
        0.04,
    )
    muzzle = b.pick(["head/skull", "head/muzzle"])
    flesh(
        b, muzzle, RoundCone(head + look * r * 0.3, head + look * r * b.u(0.9, 1.6), r * 0.38, r * b.u(0.18, 0.3)), 0.04
    )
    size, up = r * b.u(0.3, 0.9), unit(np.cross([0, 0, 1], look))
    for side, name in SIDES:
        root = head + up * r * 0.4 + [0, 0, side * r * 0.3]
        ear = RoundCone(root, root + unit(up + [0, 0, side * b.u(0.1, 0.8)]) * size, r * 0.16, r * 0.05, flat=0.6)
        flesh(b, f"head/{name} ear", ear, 0.015)
    deep = b.chance(0.6)
    walk = b.u(0, 0.5)
    thick = r * b.u(0.3, 0.45)
    for (end, kind), (side, name) in ((e, s) for e in ((front, "fore"), (back, "hind")) for s in SIDES):
        own = f"{name} {kind} leg"
        swing = walk * b.u(-1, 1)
        root = end + [0, -r * 0.35, side * r * 0.55]
        fold = 0.35 if kind == "hind" else -0.25
        upper = unit([np.sin(swing) + fold, -1, side * 0.05])
        under = unit([np.sin(swing) - fold, -1, 0])
        knee = root + upper * tall * 0.45
        ankle = knee + under * tall * 0.45
        lower = f"{own}/{name} {kind} lower leg" if deep else own
        bone(b, f"{own}/{name} {kind} thigh", root, knee, np.array([1.7, 1.4, 1.0, 0.8]) * thick, 0.06)
        bone(b, f"{lower}/{name} {kind} shank", knee, ankle, np.array([0.8, 0.72, 0.56, 0.5]) * thick)
        paw = RoundCone(ankle, ankle + [thick * b.u(0.6, 1.4), -thick * 0.3, 0], thick * 0.6, thick * 0.5)
        flesh(b, f"{lower}/{name} {kind} paw", paw, 0.02)
    tail = back - [r * 0.9, -r * 0.4, 0]
    bow = tail + np.array([-b.u(0.1, 0.3), b.u(-0.2, 0.2), 0])
    tip = bow + np.array([-b.u(0.05, 0.2), b.u(-0.3, 0.3), b.u(-0.1, 0.1)])
    thin = r * b.u(0.12, 0.25)
    solid = Tube(np.array([tail, bow, tip]), np.array([1.3, 1.0, 0.7]) * thin)
    flesh(b, "tail", solid, 0.04)
