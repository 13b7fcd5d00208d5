"""Families of people: figures, hands, heads. +y is up, +x is ahead."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import SIDES, eyes, horn_pair
from utils.shapes.solids import Ellipsoid, RoundCone, Superquadric, Torus, rod, rotation_about, rotation_to, unit


def face(b: Builder, center, radius: float, ahead, group: str = "head") -> None:
    """Features of a head of `radius` that looks along +x: nose, ears, eyes, mouth, hair or hat."""
    c = np.asarray(center, float)
    r = radius
    if b.chance(0.7):
        b.add(b.part("nose", group), RoundCone(c + [r * .85, r * .15, 0], c + [r * b.u(1.05, 1.3), -r * .12, 0], r * .1, r * b.u(.12, .22)))
    if b.chance(0.7):
        for side, name in SIDES:
            b.add(b.part(f"{name} ear", group), Ellipsoid(c + [-.05 * r, 0, side * r * .85], (r * .16, r * .26, r * .1), rotation_about("y", -side * .4)), softness=0.3)
    if b.chance(0.6):
        eyes(b, c + [r * .8, r * .22, 0], r * .33, r * b.u(.1, .2), ahead, group)
    if b.chance(0.35):
        b.add(b.part("mouth", group), Ellipsoid(c + [r * .82, -r * .42, 0], (r * .16, r * .07, r * .3)), softness=0.2)
    if b.chance(0.3):
        b.add(b.part("chin", group), Ellipsoid(c + [r * .65, -r * .75, 0], r * .25))
    top = b.pick(["none", "hair", "hat", "cap", "helmet", "bun"])
    if top == "hair":
        b.add(b.part("hair", group), Ellipsoid(c + [-r * .22, r * .22, 0], (r * .98, r * .98, r * .98)), softness=0.1)
    elif top == "bun":
        b.add(b.part("bun", group), Ellipsoid(c + [-r * .7, r * .8, 0], r * .4), softness=0.2)
    elif top in ("hat", "cap"):
        b.add(b.part("hat brim", "hat"), rod(c + [0.3 * r * (top == "cap"), r * .55, 0], c + [0.3 * r * (top == "cap"), r * .65, 0], r * (1.5 if top == "hat" else 1.05)), smooth=False)
        b.add(b.part("hat crown", "hat"), rod(c + [0, r * .6, 0], c + [0, r * b.u(1.1, 1.9), 0], r * .88, r * b.u(.5, .9), .2), smooth=False)
    elif top == "helmet":
        b.add(b.part("helmet", "hat"), Ellipsoid(c + [-r * .1, r * .35, 0], (r * 1.08, r * .9, r * 1.08)), smooth=False)


def hand(b: Builder, wrist, way, size: float, group: str, name: str, fingers: bool) -> None:
    """A small hand at the end of an arm, with or without fingers."""
    wrist, way = np.asarray(wrist, float), unit(way)
    part = b.part(f"{name} hand", group)
    frame = rotation_to(way)
    b.add(part, Ellipsoid(wrist + way * size, (size * .75, size * 1.2, size * .5), frame))
    if not fingers:
        return
    for i in range(4):
        across = frame[:, 0] * size * (i - 1.5) * .42
        root = wrist + way * size * 1.7 + across
        b.add(b.part(f"{name} fingers", group), RoundCone(root, root + way * size * b.u(.9, 1.2) + across * .3, size * .19, size * .15), softness=.2)
    root = wrist + way * size * .7 + frame[:, 0] * size * .6
    b.add(b.part(f"{name} thumb", group), RoundCone(root, root + unit(way + frame[:, 0]) * size * 1.1, size * .22, size * .17), softness=.3)


def humanoid(b: Builder) -> None:
    """Two-legged figure: head, neck, torso (chest, belly, hips), jointed arms and legs, hands and feet."""
    broad = b.u(0.14, 0.24)
    deep = broad * b.u(0.5, 0.85)
    chest, hips = np.array([0, 0.3, 0]), np.array([0, 0.0, 0])
    whole = b.chance(0.4)
    b.add(b.part("torso" if whole else "chest", "torso"), Ellipsoid(chest - [0, .05, 0], (deep, b.u(.17, .24), broad)))
    b.add(b.part("torso" if whole else "hips", "torso"), Ellipsoid(hips, (deep * b.u(.85, 1.1), .14, broad * b.u(.75, 1.05))))
    if not whole or b.chance(0.5):
        b.add(b.part("torso" if whole else "belly", "torso"), Ellipsoid((hips + chest) / 2 + [deep * .15, -.02, 0], (deep * b.u(.8, 1.3), .15, broad * b.u(.7, 1.1))))
    head = b.u(0.09, 0.17)
    neck_top = chest + [0, .24 + b.u(0, .06), 0]
    b.add(b.part("neck", "head"), RoundCone(chest + [0, .12, 0], neck_top, head * .5, head * .42))
    c = neck_top + [head * .15, head * .8, 0]
    b.add(b.part("skull", "head"), Ellipsoid(c, (head, head * b.u(1.0, 1.25), head * b.u(.8, 1))))
    if b.chance(0.65):
        face(b, c, head, (1, 0, 0))
    arm, limb = b.u(0.42, 0.62), b.u(0.03, 0.065)
    pose_mirror = b.chance(0.5)
    pose = None
    fingers = b.chance(0.35)
    sleeves, shoes = b.chance(0.25), b.chance(0.5)
    elbows = b.chance(0.2)
    for side, name in SIDES:
        if pose is None or not pose_mirror:
            pose = (b.u(-1.4, 1.2), b.u(-.5, .9), b.u(-.6, 1.2), b.u(-.2, 1.0))
        lift, swing, bend, ahead = pose
        group = f"{name} arm"
        start = chest + [0, .09, side * broad * .9]
        way = unit([swing * .5, np.sin(lift), side * max(np.cos(lift), .25)])
        elbow = start + way * arm * .5
        lower = unit(way + [bend * .9 + ahead * .3, bend * .4, 0])
        wrist = elbow + lower * arm * .45
        if sleeves:
            b.add(b.part(f"{name} sleeve", group), RoundCone(start, start + way * arm * .22, limb * 1.55, limb * 1.45), softness=.2)
        b.add(b.part(f"{name} upper arm", group), RoundCone(start, elbow, limb * 1.2, limb))
        if elbows:
            b.add(b.part(f"{name} elbow", group), Ellipsoid(elbow, limb * 1.25))
        b.add(b.part(f"{name} forearm", group), RoundCone(elbow, wrist, limb, limb * .72))
        hand(b, wrist, lower, limb * b.u(1.1, 1.5), group, name, fingers)
    leg, thick = b.u(.42, .62), b.u(.05, .095)
    pose = None
    for side, name in SIDES:
        if pose is None or not pose_mirror:
            pose = (b.u(0, .3), b.u(-.5, .6), b.u(0, .6))
        out, swing, bend = pose
        group = f"{name} leg"
        start = hips + [0, -.05, side * broad * .5]
        way = unit([swing * .7, -1, side * out])
        knee = start + way * leg * .5
        shin = unit(way + [-bend, 0, 0])
        ankle = knee + shin * leg * .5
        b.add(b.part(f"{name} thigh", group), RoundCone(start, knee, thick * 1.2, thick * .85))
        b.add(b.part(f"{name} shin", group), RoundCone(knee, ankle, thick * .85, thick * .55))
        foot = b.part(f"{name} foot", group)
        b.add(foot, RoundCone(ankle + [-.01, -.01, 0], ankle + [.11, -.025, side * .02], thick * .55, thick * .5), softness=.4)
        if shoes:
            b.add(b.part(f"{name} sole", group), Superquadric(ankle + [.05, -.05, side * .01], (.115, .022, thick * .75), .3, .6), smooth=False)
    if b.chance(0.25):
        b.add(b.part("belt", "torso"), Torus(hips + [0, .1, 0], broad * .82, .018, section=1.4), smooth=False)
    if b.chance(0.2):
        b.add(b.part("backpack", "backpack"), Superquadric(chest + [-deep * 1.3, -.02, 0], (deep * .8, .17, broad * .7), .4, .4), smooth=False)
    if b.chance(0.2):
        b.add(b.part("skirt", "torso"), rod(hips + [0, -.22, 0], hips + [0, .08, 0], broad * 1.25, broad * .8), smooth=False)


def open_hand(b: Builder) -> None:
    """A large hand: palm, fingers in two or three segments, thumb, wrist, perhaps nails, rings, a cuff."""
    palm, wide = b.u(.38, .5), b.u(.3, .42)
    thick = b.u(.09, .14)
    b.softness *= .5
    b.add(b.part("palm", "palm"), Superquadric((0, 0, 0), (wide, palm, thick * 1.2), .6, .7))
    if b.chance(.8):
        b.add(b.part("wrist", "forearm"), RoundCone((0, -palm * .8, 0), (0, -palm * 1.5, 0), wide * .62, wide * .58, flat=.75))
        if b.chance(.35):
            b.add(b.part("cuff", "forearm"), rod((0, -palm * 1.35, 0), (0, -palm * 1.9, 0), wide * .8, wide * .85), smooth=False)
    count = b.pick([3, 4, 4, 4, 4])
    bones = b.pick([1, 2, 3, 3])
    curl_all, spread = b.u(-.1, .9), b.u(.04, .3)
    nails = b.chance(.3)
    ring = b.n(0, count - 1) if b.chance(.25) else -1
    for i in range(count + 1):
        thumb = i == count
        name = "thumb" if thumb else f"finger {i}"
        s = (i - (count - 1) / 2) / max(count - 1, 1) * 2
        if thumb:
            root, way = np.array([-wide * .75, -palm * .35, thick * .3]), unit([-1, b.u(.3, 1.1), .3])
        else:
            root, way = np.array([s * wide * .76, palm * .85 - abs(s) * .05, 0]), unit([s * spread, 1, 0])
        total = (b.u(.38, .5) if thumb else b.u(.55, .75) * (1 - .18 * abs(s) - (.1 if i == count - 1 else 0)))
        radius = (wide * (.22 if thumb else .85 / count)) * b.u(.8, .98)
        curl = np.clip(curl_all + b.u(-.25, .35), -.1, 1.3) * (.6 if thumb else 1)
        at, share = root - way * radius * .4, [1.0, .8, .65][:bones]
        for k in range(bones):
            step = total * share[k] / sum(share)
            end = at + way * step
            b.add(b.part(f"{name} segment {k}", name), RoundCone(at, end, radius * (1 - .1 * k), radius * (.9 - .1 * k)), softness=.25)
            at = end
            axis = unit(np.cross(way, [0, 0, 1]))
            c, s_ = np.cos(curl * .8), np.sin(curl * .8)
            way = way * c + np.cross(axis, way) * s_ * -1 + axis * (axis @ way) * (1 - c)
        if nails:
            b.add(b.part(f"{name} nail", name), Ellipsoid(at - [0, 0, radius * .55], (radius * .5, radius * .6, radius * .2)), smooth=False)
        if i == ring:
            b.add(b.part("ring", name), Torus(root + unit([s * spread, 1, 0]) * total * .22, radius * 1.02, radius * .22, rotation_to([s * spread, 1, 0])), smooth=False)


def bust(b: Builder) -> None:
    """A head on shoulders, on a plinth or alone, with large features."""
    r = b.u(.36, .44)
    c = np.array([0, .5, 0])
    b.add(b.part("skull", "head"), Ellipsoid(c, (r, r * b.u(1.05, 1.3), r * b.u(.75, .95))))
    if b.chance(.5):
        b.add(b.part("jaw", "head"), Ellipsoid(c + [r * .25, -r * .6, 0], (r * .65, r * .5, r * .6)))
    face(b, c, r, (1, 0, 0))
    for side, name in SIDES:
        if b.chance(.6):
            b.add(b.part(f"{name} brow", "face"), Ellipsoid(c + [r * .82, r * .45, side * r * .33], (r * .12, r * .06, r * .2)), softness=.3)
        if b.chance(.4):
            b.add(b.part(f"{name} cheek", "face"), Ellipsoid(c + [r * .68, -r * .15, side * r * .42], r * .24))
    if b.chance(.85):
        b.add(b.part("neck", "bust"), RoundCone(c - [0, r * .8, 0], (-.02, -.15, 0), r * .5, r * .55))
        if b.chance(.7):
            b.add(b.part("shoulders", "bust"), Ellipsoid((-.05, -.28, 0), (r * .6, .22, b.u(.45, .65))))
    if b.chance(.35):
        b.add(b.part("plinth", "base"), rod((0, -.75, 0), (0, -.42, 0), .3, .22, .1), smooth=False)
        b.add(b.part("foot plate", "base"), rod((0, -.82, 0), (0, -.74, 0), .36, .36, .02), smooth=False)
    if b.chance(.2):
        for side, name in SIDES:
            b.add(b.part(f"{name} glass", "spectacles"), Torus(c + [r * .95, r * .2, side * r * .36], r * .26, r * .04, rotation_to([1, 0, 0])), smooth=False)
            b.add(b.part(f"{name} temple", "spectacles"), rod(c + [r * .95, r * .25, side * r * .62], c + [-r * .2, r * .25, side * r * .95], r * .035), smooth=False)
    if b.chance(.2):
        horn_pair(b, c + [0, r * .9, r * .45], r * .16, r * b.u(.5, 1.2), "horns")
    if b.chance(.25):
        b.add(b.part("beard", "head"), Ellipsoid(c + [r * .55, -r * .95, 0], (r * .35, r * b.u(.4, .8), r * .45)))
