"""Families of people: figures, hands, heads. +y is up, +x is ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import ball, cushion, jointed, limb, rod, torus
from utils.shapes.elements import SIDES, eyes, horn_pair
from utils.shapes.solids import Ellipsoid, rotation_about, rotation_to, unit


def face(b: Builder, center, radius: float, ahead, group: str = "head") -> None:
    """Features of a head of `radius` that looks along +x: nose, ears, eyes, mouth, hair or hat."""
    c = np.asarray(center, float)
    r = radius
    if b.chance(0.7):
        bridge = c + [r * 0.85, r * 0.15, 0]
        limb(b, f"{group}/nose", bridge, c + [r * b.u(1.05, 1.3), -r * 0.12, 0], r * 0.1, r * b.u(0.12, 0.22))
    for side, name in SIDES if b.chance(0.7) else ():
        lobe = c + [-0.05 * r, 0, side * r * 0.85]
        size = (r * 0.16, r * 0.26, r * 0.1)
        ball(b, f"{group}/{name} ear", lobe, size, rotation_about("y", -side * 0.4), softness=0.3)
    if b.chance(0.6):
        eyes(b, c + [r * 0.8, r * 0.22, 0], r * 0.33, r * b.u(0.1, 0.2), ahead, group)
    if b.chance(0.35):
        ball(b, f"{group}/mouth", c + [r * 0.82, -r * 0.42, 0], (r * 0.16, r * 0.07, r * 0.3), softness=0.2)
    if b.chance(0.3):
        ball(b, f"{group}/chin", c + [r * 0.65, -r * 0.75, 0], r * 0.25)
    top = b.pick(["none", "hair", "hat", "cap", "helmet", "bun"])
    if top == "hair":
        ball(b, f"{group}/hair", c + [-r * 0.22, r * 0.22, 0], (r * 0.98, r * 0.98, r * 0.98), softness=0.1)
    elif top == "bun":
        ball(b, f"{group}/bun", c + [-r * 0.7, r * 0.8, 0], r * 0.4, softness=0.2)
    elif top in ("hat", "cap"):
        low = c + [0.3 * r * (top == "cap"), r * 0.55, 0]
        high = c + [0.3 * r * (top == "cap"), r * 0.65, 0]
        rod(b, "hat/hat brim", low, high, r * (1.5 if top == "hat" else 1.05), smooth=False)
        crown = c + [0, r * 0.6, 0]
        rod(b, "hat/hat crown", crown, c + [0, r * b.u(1.1, 1.9), 0], r * 0.88, r * b.u(0.5, 0.9), 0.2, smooth=False)
    elif top == "helmet":
        ball(b, "hat/helmet", c + [-r * 0.1, r * 0.35, 0], (r * 1.08, r * 0.9, r * 1.08), smooth=False)


def hand(b: Builder, wrist, way, size: float, group: str, name: str, fingers: bool) -> None:
    """A small hand at the end of an arm, with or without fingers."""
    wrist, way = np.asarray(wrist, float), unit(way)
    part = b.part(f"{name} hand", group)
    frame = rotation_to(way)
    b.add(part, Ellipsoid(wrist + way * size, (size * 0.75, size * 1.2, size * 0.5), frame))
    if not fingers:
        return
    for i in range(4):
        across = frame[:, 0] * size * (i - 1.5) * 0.42
        root = wrist + way * size * 1.7 + across
        end = root + way * size * b.u(0.9, 1.2) + across * 0.3
        limb(b, f"{group}/{name} fingers", root, end, size * 0.19, size * 0.15, softness=0.2)
    root = wrist + way * size * 0.7 + frame[:, 0] * size * 0.6
    end = root + unit(way + frame[:, 0]) * size * 1.1
    limb(b, f"{group}/{name} thumb", root, end, size * 0.22, size * 0.17, softness=0.3)


def humanoid(b: Builder) -> None:
    """Two-legged figure: head, neck, torso (chest, belly, hips), jointed arms and legs, hands and feet."""
    broad = b.u(0.14, 0.24)
    deep = broad * b.u(0.5, 0.85)
    chest, hips = np.array([0, 0.3, 0]), np.array([0, 0.0, 0])
    whole = b.chance(0.4)
    ball(b, "torso/" + ("torso" if whole else "chest"), chest - [0, 0.05, 0], (deep, b.u(0.17, 0.24), broad))
    ball(b, "torso/" + ("torso" if whole else "hips"), hips, (deep * b.u(0.85, 1.1), 0.14, broad * b.u(0.75, 1.05)))
    if not whole or b.chance(0.5):
        belly = (hips + chest) / 2 + [deep * 0.15, -0.02, 0]
        ball(b, "torso/" + ("torso" if whole else "belly"), belly, (deep * b.u(0.8, 1.3), 0.15, broad * b.u(0.7, 1.1)))
    head = b.u(0.09, 0.17)
    neck_top = chest + [0, 0.24 + b.u(0, 0.06), 0]
    limb(b, "head/neck", chest + [0, 0.12, 0], neck_top, head * 0.5, head * 0.42)
    skull = neck_top + [head * 0.15, head * 0.8, 0]
    ball(b, "head/skull", skull, (head, head * b.u(1.0, 1.25), head * b.u(0.8, 1)))
    if b.chance(0.65):
        face(b, skull, head, (1, 0, 0))
    arm, slim = b.u(0.42, 0.62), b.u(0.03, 0.065)
    mirrored, fingers = b.chance(0.5), b.chance(0.35)
    sleeves, shoes, elbows = b.chance(0.25), b.chance(0.5), b.chance(0.2)
    _arms(b, chest, broad, arm, slim, mirrored, fingers, sleeves, elbows)
    _legs(b, hips, broad, mirrored, shoes)
    if b.chance(0.25):
        torus(b, "torso/belt", hips + [0, 0.1, 0], broad * 0.82, 0.018, section=1.4, smooth=False)
    if b.chance(0.2):
        cushion(b, "backpack", chest + [-deep * 1.3, -0.02, 0], (deep * 0.8, 0.17, broad * 0.7), 0.4, 0.4, smooth=False)
    if b.chance(0.2):
        rod(b, "torso/skirt", hips + [0, -0.22, 0], hips + [0, 0.08, 0], broad * 1.25, broad * 0.8, smooth=False)


def _poses(mirrored: bool, drawn: Callable[[], tuple[float, ...]]) -> Iterator[tuple[float, ...]]:
    """The pose of either side, the same for both when `mirrored`; each is drawn when it is asked for."""
    pose = drawn()
    yield pose
    yield pose if mirrored else drawn()


def _arms(
    b: Builder, chest, broad: float, arm: float, slim: float, mirrored: bool, fingers: bool, sleeves: bool, elbows: bool
) -> None:
    """Arms of length `arm` and radius `slim` at the sides of a chest `broad` wide."""
    poses = _poses(mirrored, lambda: (b.u(-1.4, 1.2), b.u(-0.5, 0.9), b.u(-0.6, 1.2), b.u(-0.2, 1.0)))
    for (side, name), (lift, swing, bend, ahead) in zip(SIDES, poses):
        group = f"{name} arm"
        shoulder = chest + [0, 0.09, side * broad * 0.9]
        way = unit([swing * 0.5, np.sin(lift), side * max(np.cos(lift), 0.25)])
        elbow = shoulder + way * arm * 0.5
        lower = unit(way + [bend * 0.9 + ahead * 0.3, bend * 0.4, 0])
        wrist = elbow + lower * arm * 0.45
        if sleeves:
            cuff = shoulder + way * arm * 0.22
            limb(b, f"{group}/{name} sleeve", shoulder, cuff, slim * 1.55, slim * 1.45, softness=0.2)
        segments, knob = (f"{name} upper arm", f"{name} forearm"), (f"{name} elbow", slim * 1.25) if elbows else None
        jointed(b, group, segments, (shoulder, elbow, wrist), (slim * 1.2, slim, slim * 0.72), knob)
        hand(b, wrist, lower, slim * b.u(1.1, 1.5), group, name, fingers)


def _legs(b: Builder, hips, broad: float, mirrored: bool, shoes: bool) -> None:
    """Legs of a random length below hips `broad` wide."""
    leg, thick = b.u(0.42, 0.62), b.u(0.05, 0.095)
    poses = _poses(mirrored, lambda: (b.u(0, 0.3), b.u(-0.5, 0.6), b.u(0, 0.6)))
    for (side, name), (out, swing, bend) in zip(SIDES, poses):
        group = f"{name} leg"
        hip = hips + [0, -0.05, side * broad * 0.5]
        way = unit([swing * 0.7, -1, side * out])
        knee = hip + way * leg * 0.5
        ankle = knee + unit(way + [-bend, 0, 0]) * leg * 0.5
        radii = (thick * 1.2, thick * 0.85, thick * 0.55)
        jointed(b, group, (f"{name} thigh", f"{name} shin"), (hip, knee, ankle), radii)
        heel, toes = ankle + [-0.01, -0.01, 0], ankle + [0.11, -0.025, side * 0.02]
        limb(b, f"{group}/{name} foot", heel, toes, thick * 0.55, thick * 0.5, softness=0.4)
        if shoes:
            sole = ankle + [0.05, -0.05, side * 0.01]
            cushion(b, f"{group}/{name} sole", sole, (0.115, 0.022, thick * 0.75), 0.3, 0.6, smooth=False)


def open_hand(b: Builder) -> None:
    """A large hand: palm, fingers in two or three segments, thumb, wrist, perhaps nails, rings, a cuff."""
    palm, wide = b.u(0.38, 0.5), b.u(0.3, 0.42)
    thick = b.u(0.09, 0.14)
    b.softness *= 0.5
    cushion(b, "palm", (0, 0, 0), (wide, palm, thick * 1.2), 0.6, 0.7)
    if b.chance(0.8):
        limb(b, "forearm/wrist", (0, -palm * 0.8, 0), (0, -palm * 1.5, 0), wide * 0.62, wide * 0.58, flat=0.75)
        if b.chance(0.35):
            rod(b, "forearm/cuff", (0, -palm * 1.35, 0), (0, -palm * 1.9, 0), wide * 0.8, wide * 0.85, smooth=False)
    count = b.pick([3, 4, 4, 4, 4])
    bones = b.pick([1, 2, 3, 3])
    curl_all, spread = b.u(-0.1, 0.9), b.u(0.04, 0.3)
    nails = b.chance(0.3)
    ring = b.n(0, count - 1) if b.chance(0.25) else -1
    for i in range(count + 1):
        thumb = i == count
        name = "thumb" if thumb else f"finger {i}"
        s = (i - (count - 1) / 2) / max(count - 1, 1) * 2
        if thumb:
            root, way = np.array([-wide * 0.75, -palm * 0.35, thick * 0.3]), unit([-1, b.u(0.3, 1.1), 0.3])
        else:
            root, way = np.array([s * wide * 0.76, palm * 0.85 - abs(s) * 0.05, 0]), unit([s * spread, 1, 0])
        total = b.u(0.38, 0.5) if thumb else b.u(0.55, 0.75) * (1 - 0.18 * abs(s) - (0.1 if i == count - 1 else 0))
        radius = (wide * (0.22 if thumb else 0.85 / count)) * b.u(0.8, 0.98)
        curl = np.clip(curl_all + b.u(-0.25, 0.35), -0.1, 1.3) * (0.6 if thumb else 1)
        joint, share = root - way * radius * 0.4, [1.0, 0.8, 0.65][:bones]
        for k in range(bones):
            end = joint + way * (total * share[k] / sum(share))
            width = radius * (1 - 0.1 * k), radius * (0.9 - 0.1 * k)
            limb(b, f"{name}/{name} segment {k}", joint, end, *width, softness=0.25)
            joint = end
            axis = unit(np.cross(way, [0, 0, 1]))
            cos, sin = np.cos(curl * 0.8), np.sin(curl * 0.8)
            way = way * cos + np.cross(axis, way) * sin * -1 + axis * (axis @ way) * (1 - cos)
        if nails:
            center = joint - [0, 0, radius * 0.55]
            ball(b, f"{name}/{name} nail", center, (radius * 0.5, radius * 0.6, radius * 0.2), smooth=False)
        if i == ring:
            straight = [s * spread, 1, 0]
            middle, turn = root + unit(straight) * total * 0.22, rotation_to(straight)
            torus(b, f"{name}/ring", middle, radius * 1.02, radius * 0.22, turn, smooth=False)


def bust(b: Builder) -> None:
    """A head on shoulders, on a plinth or alone, with large features."""
    r = b.u(0.36, 0.44)
    c = np.array([0, 0.5, 0])
    ball(b, "head/skull", c, (r, r * b.u(1.05, 1.3), r * b.u(0.75, 0.95)))
    if b.chance(0.5):
        ball(b, "head/jaw", c + [r * 0.25, -r * 0.6, 0], (r * 0.65, r * 0.5, r * 0.6))
    face(b, c, r, (1, 0, 0))
    for side, name in SIDES:
        if b.chance(0.6):
            brow = c + [r * 0.82, r * 0.45, side * r * 0.33]
            ball(b, f"face/{name} brow", brow, (r * 0.12, r * 0.06, r * 0.2), softness=0.3)
        if b.chance(0.4):
            ball(b, f"face/{name} cheek", c + [r * 0.68, -r * 0.15, side * r * 0.42], r * 0.24)
    if b.chance(0.85):
        limb(b, "bust/neck", c - [0, r * 0.8, 0], (-0.02, -0.15, 0), r * 0.5, r * 0.55)
        if b.chance(0.7):
            ball(b, "bust/shoulders", (-0.05, -0.28, 0), (r * 0.6, 0.22, b.u(0.45, 0.65)))
    if b.chance(0.35):
        rod(b, "base/plinth", (0, -0.75, 0), (0, -0.42, 0), 0.3, 0.22, 0.1, smooth=False)
        rod(b, "base/foot plate", (0, -0.82, 0), (0, -0.74, 0), 0.36, 0.36, 0.02, smooth=False)
    for side, name in SIDES if b.chance(0.2) else ():
        glass = c + [r * 0.95, r * 0.2, side * r * 0.36]
        torus(b, f"spectacles/{name} glass", glass, r * 0.26, r * 0.04, rotation_to([1, 0, 0]), smooth=False)
        end = c + [-r * 0.2, r * 0.25, side * r * 0.95]
        rod(b, f"spectacles/{name} temple", c + [r * 0.95, r * 0.25, side * r * 0.62], end, r * 0.035, smooth=False)
    if b.chance(0.2):
        horn_pair(b, c + [0, r * 0.9, r * 0.45], r * 0.16, r * b.u(0.5, 1.2), "horns")
    if b.chance(0.25):
        ball(b, "head/beard", c + [r * 0.55, -r * 0.95, 0], (r * 0.35, r * b.u(0.4, 0.8), r * 0.45))
