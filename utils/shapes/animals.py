"""Families of animals. Units: the body is about one long, +y is up, +x is ahead."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import ball, jointed, limb, polar, rod, torus, tube
from utils.shapes.elements import SIDES, arc, eyes, frame_along, horn_pair
from utils.shapes.solids import Ellipsoid, RoundCone, rotation_about, rotation_to, unit


def quadruped(b: Builder) -> None:
    """Four-legged animal: body, neck, head with muzzle, ears, horns, tail, jointed legs."""
    length, girth = 1.0, b.u(0.15, 0.34)
    depth = girth * b.u(0.8, 1.3)
    leg = b.u(0.3, 0.95)
    thick = girth * b.u(0.22, 0.42)
    body = b.part("body", "torso")
    hip, shoulder = np.array([-0.42 * length, 0, 0]), np.array([0.42 * length, b.u(-0.05, 0.08), 0])
    if b.chance(0.5):
        b.add(body, Ellipsoid((0, 0, 0), (0.55 * length, depth, girth)))
    else:
        b.add(body, RoundCone(hip, shoulder, depth * b.u(0.75, 1.1), depth * b.u(0.8, 1.15), flat=girth / depth))
    if b.chance(0.4):
        ball(b, "torso/chest", shoulder, (depth * 0.9, depth * 1.1, girth * 1.05))
        ball(b, "torso/rump", hip, (depth * 0.95, depth * 1.05, girth * 1.08))
    for i in range(b.n(1, 2) if b.chance(0.12) else 0):
        ball(b, f"torso/hump {i}", (-0.2 + 0.35 * i, depth * 0.9, 0), (0.16, 0.22, girth * 0.7))
    neck = b.u(0.12, 0.75) if b.chance(0.85) else b.u(0.8, 1.3)
    rise = b.u(0.15, 1.35)
    base = shoulder + [0.02, depth * 0.45, 0]
    top = base + neck * np.array([np.cos(rise), np.sin(rise), 0])
    rn = girth * b.u(0.35, 0.6)
    limb(b, "neck", base, top, rn * b.u(1.1, 1.5), rn)
    hr = girth * b.u(0.55, 0.9)
    tilt = b.u(-0.7, 0.25)
    ahead = np.array([np.cos(tilt), np.sin(tilt), 0])
    skull = top + ahead * hr * 0.4
    ball(b, "head/skull", skull, (hr * b.u(1, 1.3), hr, hr * b.u(0.7, 1)))
    muzzle = hr * b.u(0.8, 2.2)
    tip = skull + ahead * (hr * 0.6 + muzzle)
    mr = hr * b.u(0.35, 0.65)
    limb(b, "head/muzzle", skull + ahead * hr * 0.5, tip, mr * 1.25, mr)
    _head_features(b, skull, tip, ahead, hr, mr, leg)
    if b.chance(0.2):
        crest, middle = skull + [-hr * 0.8, hr * 0.6, 0], (base + top) / 2 + [-rn, rn * 0.8, 0]
        mane = np.stack([crest, middle, base + [-rn * 1.6, rn * 0.6, 0]])
        tube(b, "neck/mane", mane, [rn * 0.35, rn * 0.5, rn * 0.35], softness=0.3)
    if b.chance(0.9):
        tail, tr = b.u(0.15, 1.0), girth * b.u(0.08, 0.3)
        root = hip + [-depth * 0.7, depth * 0.5, 0]
        tip = root + tail * unit([-1, b.u(-1.4, 1.0), b.u(-0.3, 0.3)])
        path = arc(root, tip, [0, tail * b.u(-0.2, 0.25), 0])
        tube(b, "tail", path, np.linspace(tr, tr * b.u(0.3, 1.0), 7))
        if b.chance(0.3):
            ball(b, "tail/tail tuft", path[-1], (tr * 2, tr * 2.6, tr * 2))
    _legs(b, hip, shoulder, depth, girth, leg, thick)


def _head_features(b: Builder, skull, tip, ahead, hr: float, mr: float, leg: float) -> None:
    """Jaw, nose, trunk with tusks, ears, horns, eyes of a head of radius `hr`; muzzle of radius `mr` to `tip`."""
    if b.chance(0.35):
        limb(b, "head/jaw", skull + ahead * hr * 0.4 - [0, hr * 0.4, 0], tip - [0.05, mr * 1.1, 0], mr * 0.7, mr * 0.55)
    if b.chance(0.3):
        ball(b, "head/nose", tip + ahead * mr * 0.9, mr * 0.4, softness=0.2)
    if b.chance(0.12):
        points = arc(tip, tip + [hr * 0.8, -leg * 0.9, 0], [hr * b.u(0.2, 0.8), 0, 0], 9)
        tube(b, "head/trunk", points, np.linspace(mr, mr * 0.35, 9))
        for side, name in SIDES:
            root, point = skull + [hr * 0.5, -hr * 0.5, side * hr * 0.5], tip + [hr * 0.6, -hr * 0.3, side * hr * 0.7]
            tube(b, f"head/{name} tusk", arc(root, point, [0, -hr * 0.3, 0]), np.linspace(mr * 0.3, mr * 0.1, 7))
    if b.chance(0.85):
        ear, kind = hr * b.u(0.5, 1.7), b.pick(["leaf", "round", "hanging"])
        up = b.u(-0.2, 0.4)
        for side, name in SIDES:
            root = skull + [-0.3 * hr, hr * 0.65, side * hr * 0.6]
            way = unit([-0.3, {"leaf": 1.0, "round": 0.6, "hanging": -0.9}[kind], side * (0.4 + up)])
            wide = ear * (0.42 if kind == "leaf" else 0.6 if kind == "round" else 0.4)
            middle = root + way * ear * 0.45
            ball(b, f"head/{name} ear", middle, (wide, ear * 0.6, wide * 0.3), rotation_to(way), softness=0.4)
    if b.chance(0.4):
        horn_pair(b, skull + [0, hr * 0.75, hr * 0.3], hr * b.u(0.14, 0.26), hr * b.u(0.8, 3.0), "head")
    if b.chance(0.5):
        eyes(b, skull + ahead * hr * 0.5 + [0, hr * 0.4, 0], hr * 0.55, hr * b.u(0.12, 0.24), ahead, "head")


def _legs(b: Builder, hip, shoulder, depth: float, girth: float, leg: float, thick: float) -> None:
    """Four jointed legs of length `leg`, perhaps with hooves or paws."""
    bend, spread = b.u(0.0, 0.22), b.u(0.5, 0.85)
    split, hoof = b.chance(0.8), b.chance(0.75)
    hoof_r = thick * b.u(0.75, 1.4)
    stride = b.u(0, 0.25)
    for x, where in ((shoulder[0] * 0.92, "front"), (hip[0] * 0.95, "hind")):
        for side, name in SIDES:
            swing = stride * b.u(-1, 1)
            group = f"{where} {name} leg"
            top = np.array([x, -0.1 * depth, side * girth * spread])
            sign = 1 if where == "front" else -1
            knee = top + [sign * bend * leg * 0.6 + swing * 0.5, -leg * 0.55, side * 0.02]
            foot = top + [swing + (0 if where == "front" else -0.3 * bend * leg), -leg - depth * 0.5, side * 0.02]
            names = (f"{group} upper", f"{group} lower") if split else (group, group)
            jointed(b, group, names, (top, knee, foot), (thick * b.u(1.0, 1.5), thick, thick * 0.65))
            if hoof and b.chance(0.5):
                ankle, ground = foot + [0, thick * 0.8, 0], foot - [0, thick * 0.7, 0]
                rod(b, f"{group}/{group} hoof", ankle, ground, hoof_r * 0.7, hoof_r, 0.15, softness=0.25)
            elif hoof:
                size = (hoof_r * 1.4, hoof_r * 0.7, hoof_r)
                ball(b, f"{group}/{group} hoof", foot + [hoof_r * 0.5, 0, 0], size, softness=0.25)


def crawler(b: Builder) -> None:
    """Insects, spiders, scorpions: body in segments, six to ten jointed thin legs, feelers, claws, wings."""
    x, centers, radii = 0.0, [], []
    for i, name in enumerate(["head", "thorax", "abdomen", "rear"][: b.n(2, 4)]):
        r = b.u(0.1, 0.26) if i else b.u(0.1, 0.18)
        x -= (r + radii[-1][0]) * b.u(0.75, 0.98) if i else 0
        centers.append(np.array([x, b.u(-0.02, 0.05), 0]))
        radii.append((r * b.u(1, 1.6), r * b.u(0.7, 1), r * b.u(0.8, 1.1)))
        ball(b, f"body/{name}", centers[-1], radii[-1])
    thin = _crawler_legs(b, centers[1], radii[1])
    _crawler_head(b, centers[0], radii[0], thin)
    for side, name in SIDES if b.chance(0.25) else ():
        for k in range(b.n(1, 2)):
            way = unit([-0.9 - 0.3 * k, 0.35 - 0.25 * k, side])
            middle = centers[1] + [0, radii[1][1] * 0.8, 0] + way * 0.35
            turn = rotation_to(way, b.u(-0.2, 0.2)) @ rotation_about("y", np.pi / 2)
            ball(b, f"{name} wings/{name} wing {k}", middle, (0.13, 0.36, 0.012), turn, smooth=False)
    if b.chance(0.3):
        rear = centers[-1] - [radii[-1][0] * 0.8, 0, 0]
        tail = arc(rear, rear + [b.u(-0.2, 0.4), b.u(0.3, 0.6), 0], [-b.u(0.1, 0.35), 0, 0], 9)
        for i in range(4):
            width = np.linspace(0.06, 0.05, 3) * (1 - 0.18 * i)
            tube(b, f"tail/tail {i}", tail[2 * i : 2 * i + 3], width, softness=0.3)
        limb(b, "tail/sting", tail[-1], tail[-1] + [0.1, -0.06, 0], 0.03, 0.006, softness=0.3)


def _crawler_legs(b: Builder, body, radii) -> float:
    """Three to five pairs of thin legs at the segment `body` with radii (3,); returns how thin they are."""
    pairs = b.pick([3, 3, 4, 4, 5])
    reach, thin = b.u(0.4, 0.8), b.u(0.015, 0.035)
    lift, joints = b.u(0.05, 0.35), b.n(2, 3)
    for i in range(pairs):
        t = (i - (pairs - 1) / 2) / max(pairs - 1, 1)
        for side, name in SIDES:
            group = f"leg {i} {name}"
            way = unit([-t * 1.5 + b.u(-0.1, 0.1), 0, side])
            root = body + [-t * radii[0] * 1.5, -radii[1] * 0.3, side * radii[2] * 0.7]
            points = (root, root + way * reach * 0.45 + [0, lift, 0], root + way * reach - [0, radii[1] + 0.12, 0])
            names = (f"{group} upper", f"{group} lower")
            jointed(b, group, names, points, (thin * 1.2, thin, thin * 0.6), softness=0.3)
            if joints == 3:
                foot = points[-1]
                limb(b, f"{group}/{group} foot", foot, foot + way * 0.08, thin * 0.7, thin * 0.4, softness=0.3)
    return thin


def _crawler_head(b: Builder, head, radii, thin: float) -> None:
    """Feelers, eyes and claws of a head with radii (3,)."""
    if b.chance(0.75):
        feel = b.u(0.2, 0.6)
        for side, name in SIDES:
            root = head + [radii[0] * 0.6, radii[1] * 0.6, side * radii[2] * 0.4]
            tip = head + [radii[0] + feel, feel * b.u(0.2, 1), side * feel * 0.5]
            feeler = arc(root, tip, [0, feel * 0.2, 0])
            tube(b, f"head parts/{name} feeler", feeler, np.linspace(thin * 0.8, thin * 0.45, 7), softness=0.3)
            if b.chance(0.3):
                ball(b, f"head parts/{name} feeler tip", feeler[-1], thin * 1.6, softness=0.2)
    if b.chance(0.5):
        place = head + [radii[0] * 0.6, radii[1] * 0.4, 0]
        eyes(b, place, radii[2] * 0.6, radii[1] * b.u(0.2, 0.45), (1, 0, 0), "head parts")
    for side, name in SIDES if b.chance(0.35) else ():
        group = f"{name} claw"
        wrist = head + [radii[0] * 1.6, 0, side * 0.22]
        limb(b, f"{group}/{name} claw arm", head + [0, 0, side * radii[2] * 0.7], wrist, thin * 1.5, thin * 1.3)
        ball(b, f"{group}/{name} claw palm", wrist + [0.06, 0, 0], (0.09, 0.04, 0.06))
        for j, f in enumerate((-0.5, 0.5)):
            pincer = arc(wrist + [0.1, 0, f * 0.05], wrist + [0.26, 0, f * 0.04], [0, 0, f * 0.08])
            tube(b, f"{group}/{name} pincer {j}", pincer, np.linspace(0.022, 0.008, 7), softness=0.2)


def octopus(b: Builder) -> None:
    """A head with many curling arms: octopus, squid, jellyfish, hydra."""
    r = b.u(0.2, 0.32)
    ball(b, "head", (0, r * 0.6, 0), (r, r * b.u(0.9, 1.8), r))
    if b.chance(0.5):
        ball(b, "head/mantle", (-r * 0.3, r * 1.6, 0), (r * 0.85, r * 1.1, r * 0.85))
    if b.chance(0.7):
        eyes(b, (r * 0.8, r * 0.7, 0), r * 0.5, r * b.u(0.14, 0.25), (1, 0, 0), "head")
    arms = b.n(5, 10)
    length, thick = b.u(0.5, 0.95), r * b.u(0.16, 0.3)
    rings = b.chance(0.3)
    drop, wave = b.u(0.1, 1.2), b.u(0.02, 0.16)
    for i in range(arms):
        a = 2 * np.pi * (i + b.u(-0.15, 0.15)) / arms
        out = polar(a, 1)
        side = np.array([-np.sin(a), 0, np.cos(a)])
        t = np.linspace(0, 1, 13)
        phase, curl = b.u(0, 6.28), b.u(-0.5, 0.9)
        points = (
            out * (r * 0.5 + length * t[:, None])
            + np.outer(-drop * length * np.sin(t * 1.5) + curl * length * t**3, [0, 1, 0])
            + np.outer(wave * np.sin(t * 6 + phase) * t, side)
        )
        split = b.n(5, 8) if rings else 13
        group = f"arm {i}"
        width = np.linspace(thick, thick * 0.22, 13)
        tube(b, f"{group}/" + (f"arm {i} upper" if rings else group), points[:split], width[:split], softness=0.5)
        if rings:
            tube(b, f"{group}/arm {i} tip", points[split - 1 :], width[split - 1 :], softness=0.3)


def bird(b: Builder) -> None:
    """Body, neck, head with beak and crest, wings in two segments, tail feathers, legs with toes."""
    r = b.u(0.16, 0.26)
    ball(b, "torso/body", (0, 0, 0), (b.u(0.34, 0.5), r, r * b.u(0.8, 1)), rotation_about("z", b.u(0, 0.5)))
    if b.chance(0.35):
        ball(b, "torso/breast", (0.18, -0.02, 0), (r, r * 0.95, r * 0.9))
    neck, rise = b.u(0.1, 0.6), b.u(0.4, 1.4)
    base = np.array([0.3, 0.1, 0])
    _bird_head(b, r * b.u(0.45, 0.75), base, base + neck * np.array([np.cos(rise), np.sin(rise), 0]), neck)
    _bird_wings(b, r)
    feathers, tail = b.n(1, 4), b.u(0.2, 0.55)
    for k in range(feathers):
        z = k - (feathers - 1) / 2
        way = unit([-1, b.u(-0.3, 0.25) if k == 0 else 0.0, z * 0.35])
        middle = [-0.32, 0, 0] + way * tail * 0.6
        ball(b, f"tail/tail feather {k}", middle, (0.07, tail * 0.6, 0.022), frame_along(way), softness=0.2)
    if b.chance(0.75):
        leg, thin = b.u(0.12, 0.6), b.u(0.018, 0.035)
        for side, name in SIDES:
            group = f"{name} leg"
            hip = np.array([-0.03, -r * 0.6, side * r * 0.45])
            knee, foot = hip + [-0.03, -0.12 - leg * 0.4, 0], hip + [0.0, -0.14 - leg, 0]
            limb(b, f"{group}/{name} thigh", hip, knee, thin * 2.6, thin * 1.2)
            limb(b, f"{group}/{name} shank", knee, foot, thin, thin * 0.9, softness=0.3)
            for a in (-0.6, 0.0, 0.6):
                toe = foot + [0.14 * np.cos(a), -0.02, 0.14 * np.sin(a)]
                limb(b, f"{group}/{name} foot", foot, toe, thin * 0.9, thin * 0.5, softness=0.2)
            limb(b, f"{group}/{name} foot", foot, foot + [-0.07, -0.02, 0], thin * 0.8, thin * 0.5, softness=0.2)


def _bird_head(b: Builder, r: float, base, top, neck: float) -> None:
    """Neck of length `neck` from `base` to `top`; head of radius `r` with beak, crest and eyes."""
    bow = [b.u(-0.1, 0.1) * neck * 2, 0, 0]
    tube(b, "neck", arc(base - [0.05, 0.05, 0], top, bow), np.linspace(r * 1.3, r * 0.7, 7))
    head = top + [r * 0.3, r * 0.3, 0]
    ball(b, "head/skull", head, (r * 1.1, r, r * 0.9))
    beak = r * b.u(0.8, 2.6)
    tip = head + [r * 0.8 + beak, -r * b.u(0.1, 0.5), 0]
    if b.chance(0.4):
        for k, dy in enumerate((0.12, -0.18)):
            root = head + [r * 0.7, dy * r, 0]
            limb(b, f"head/beak {k}", root, tip + [0, dy * r, 0], r * 0.3, r * 0.08, softness=0.1)
    else:
        limb(b, "head/beak", head + [r * 0.7, 0, 0], tip, r * 0.45, r * 0.1, softness=0.1)
    for k in range(b.n(1, 3) if b.chance(0.3) else 0):
        middle, turn = head + [-0.25 * r * k, r * 1.1, 0], rotation_about("z", 0.4 + 0.3 * k)
        ball(b, "head/crest", middle, (r * 0.2, r * 0.5, r * 0.1), turn, softness=0.2)
    if b.chance(0.6):
        eyes(b, head + [r * 0.45, r * 0.3, 0], r * 0.7, r * 0.2, (1, 0, 0), "head")


def _bird_wings(b: Builder, r: float) -> None:
    """Wings in one or two segments on a body of radius `r`."""
    slant, span = b.u(-0.9, 0.6), b.u(0.35, 0.8)
    two = b.chance(0.6)
    chord = b.u(0.12, 0.22)
    for side, name in SIDES:
        group = f"{name} wing"
        way = unit([-0.25 + b.u(-0.1, 0.1), slant, side * max(0.3, 1 - abs(slant))])
        root, inner = np.array([0.08, r * 0.45, side * r * 0.6]), span * (0.5 if two else 1)
        path, size = f"{group}/" + (f"{name} inner wing" if two else group), (chord, inner * 0.65, 0.03)
        ball(b, path, root + way * inner * 0.5, size, frame_along(way), softness=0.3)
        if two:
            bent = unit(way + [-0.4, -0.3, 0])
            middle, size = root + way * inner + bent * inner * 0.45, (chord * 0.8, inner * 0.65, 0.024)
            ball(b, f"{group}/{name} outer wing", middle, size, frame_along(bent), softness=0.3)


def fish(b: Builder) -> None:
    """Body, head, tail stalk, fins; sharks, dolphins, submarines of flesh."""
    length, tall = 0.6, b.u(0.13, 0.34)
    wide = tall * b.u(0.3, 0.95)
    ball(b, "body", (0, 0, 0), (length, tall, wide))
    if b.chance(0.6):
        ball(b, "body/head", (length * 0.62, 0, 0), (length * b.u(0.35, 0.5), tall * 0.75, wide * 0.85))
    stalk = np.array([-length * 0.95, 0, 0])
    limb(b, "tail/tail stalk", (-length * 0.5, 0, 0), stalk, tall * 0.55, tall * 0.2, flat=1)
    upright = b.chance(0.75)
    fluke = tall * b.u(0.7, 1.3)

    def fin(path: str, root, way, size: float, shares, thin: float, across=None) -> None:
        """A flat fin along `way` from its root. `shares` of its size: place of its middle, radii across and along."""
        out, wide, long = shares
        frame = frame_along(way) if across is None else np.stack([unit(np.cross(way, across)), way, across], 1)
        ball(b, path, np.asarray(root) + way * size * out, (size * wide, size * long, thin), frame, softness=0.4)

    for s, name in ((1, "upper"), (-1, "lower")):
        way, across = (unit([-0.8, s, 0]), [0, 0, 1]) if upright else (unit([-0.8, 0, s]), [0, 1, 0])
        fin(f"tail/{name} fluke", stalk, way, fluke, (0.45, 0.24, 0.6), 0.03, across)
    for k in range(b.n(1, 3)):
        root, size = [b.u(0.15, 0.3) - 0.32 * k, tall * 0.85, 0], tall * b.u(0.35, 0.8)
        fin(f"fins/back fin {k}", root, unit([-0.7, 1, 0]), size, (0.3, 0.45, 0.75), 0.026, [0, 0, 1])
    drop = b.u(-0.8, 0.1)
    for side, name in SIDES:
        way, size = unit([-0.6, drop, side]), tall * b.u(0.6, 1.3)
        fin(f"fins/{name} fin", [length * 0.25, -tall * 0.3, side * wide * 0.75], way, size, (0.35, 0.25, 0.6), 0.024)
        if b.chance(0.4):
            root = [-length * 0.35, -tall * 0.6, side * wide * 0.3]
            fin(f"fins/{name} belly fin", root, way, size, (0.2, 0.15, 0.35), 0.022)
    if b.chance(0.8):
        eyes(b, (length * 0.75, tall * 0.2, 0), wide * 0.55, tall * b.u(0.1, 0.2), (1, 0, 0), "body")
    if b.chance(0.3):
        torus(b, "body/lip", (length * 1.02, -0.02, 0), wide * 0.35, 0.03, rotation_to([1, 0, 0]), softness=0.2)
    if b.chance(0.15):
        limb(b, "body/sword", (length * 0.9, 0, 0), (length * 1.6, 0.02, 0), 0.05, 0.008, softness=0.4)
