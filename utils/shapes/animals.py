"""Families of animals. Units: the body is about one long, +y is up, +x is ahead."""

from __future__ import annotations

import numpy as np

from utils.shapes import solids
from utils.shapes.builder import Builder
from utils.shapes.combinators import ball, limb, polar, put, torus, tube
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
        points = np.stack(
            [skull + [-hr * 0.8, hr * 0.6, 0], (base + top) / 2 + [-rn, rn * 0.8, 0], base + [-rn * 1.6, rn * 0.6, 0]]
        )
        tube(b, "neck/mane", points, [rn * 0.35, rn * 0.5, rn * 0.35], softness=0.3)
    if b.chance(0.9):
        tail, tr = b.u(0.15, 1.0), girth * b.u(0.08, 0.3)
        start = hip + [-depth * 0.7, depth * 0.5, 0]
        end = start + tail * unit([-1, b.u(-1.4, 1.0), b.u(-0.3, 0.3)])
        points = arc(start, end, [0, tail * b.u(-0.2, 0.25), 0])
        tube(b, "tail", points, np.linspace(tr, tr * b.u(0.3, 1.0), 7))
        if b.chance(0.3):
            ball(b, "tail/tail tuft", points[-1], (tr * 2, tr * 2.6, tr * 2))
    _legs(b, hip, shoulder, depth, girth, leg, thick)


def _head_features(b: Builder, skull, tip, ahead, hr: float, mr: float, leg: float) -> None:
    """Jaw, nose, trunk with tusks, ears, horns, eyes of a head of radius `hr`; muzzle of radius `mr` to `tip`."""
    if b.chance(0.35):
        low = skull + ahead * hr * 0.4 - [0, hr * 0.4, 0]
        limb(b, "head/jaw", low, tip - [0.05, mr * 1.1, 0], mr * 0.7, mr * 0.55)
    if b.chance(0.3):
        ball(b, "head/nose", tip + ahead * mr * 0.9, mr * 0.4, softness=0.2)
    if b.chance(0.12):
        points = arc(tip, tip + [hr * 0.8, -leg * 0.9, 0], [hr * b.u(0.2, 0.8), 0, 0], 9)
        tube(b, "head/trunk", points, np.linspace(mr, mr * 0.35, 9))
        for side, name in SIDES:
            curve = arc(
                skull + [hr * 0.5, -hr * 0.5, side * hr * 0.5],
                tip + [hr * 0.6, -hr * 0.3, side * hr * 0.7],
                [0, -hr * 0.3, 0],
            )
            tube(b, f"head/{name} tusk", curve, np.linspace(mr * 0.3, mr * 0.1, 7))
    if b.chance(0.85):
        ear, kind = hr * b.u(0.5, 1.7), b.pick(["leaf", "round", "hanging"])
        up = b.u(-0.2, 0.4)
        for side, name in SIDES:
            at = skull + [-0.3 * hr, hr * 0.65, side * hr * 0.6]
            way = unit([-0.3, {"leaf": 1.0, "round": 0.6, "hanging": -0.9}[kind], side * (0.4 + up)])
            wide = ear * (0.42 if kind == "leaf" else 0.6 if kind == "round" else 0.4)
            center = at + way * ear * 0.45
            ball(b, f"head/{name} ear", center, (wide, ear * 0.6, wide * 0.3), rotation_to(way), softness=0.4)
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
            top_leg = np.array([x, -0.1 * depth, side * girth * spread])
            sign = 1 if where == "front" else -1
            knee = top_leg + [sign * bend * leg * 0.6 + swing * 0.5, -leg * 0.55, side * 0.02]
            foot = top_leg + [swing + (0 if where == "front" else -0.3 * bend * leg), -leg - depth * 0.5, side * 0.02]
            upper = thick * b.u(1.0, 1.5)
            limb(b, f"{group}/" + (f"{group} upper" if split else group), top_leg, knee, upper, thick)
            limb(b, f"{group}/" + (f"{group} lower" if split else group), knee, foot, thick, thick * 0.65)
            if hoof:
                solid = (
                    solids.rod(foot + [0, thick * 0.8, 0], foot - [0, thick * 0.7, 0], hoof_r * 0.7, hoof_r, 0.15)
                    if b.chance(0.5)
                    else Ellipsoid(foot + [hoof_r * 0.5, 0, 0], (hoof_r * 1.4, hoof_r * 0.7, hoof_r))
                )
                put(b, f"{group}/{group} hoof", solid, softness=0.25)


def crawler(b: Builder) -> None:
    """Insects, spiders, scorpions: body in segments, six to ten jointed thin legs, feelers, claws, wings."""
    segments = b.n(2, 4)
    x, centers, radii = 0.0, [], []
    for i in range(segments):
        r = b.u(0.1, 0.26) if i else b.u(0.1, 0.18)
        x -= (r + radii[-1][0]) * b.u(0.75, 0.98) if i else 0
        centers.append(np.array([x, b.u(-0.02, 0.05), 0]))
        radii.append((r * b.u(1, 1.6), r * b.u(0.7, 1), r * b.u(0.8, 1.1)))
        name = ["head", "thorax", "abdomen", "rear"][i]
        ball(b, f"body/{name}", centers[-1], radii[-1])
    pairs = b.pick([3, 3, 4, 4, 5])
    reach, thin = b.u(0.4, 0.8), b.u(0.015, 0.035)
    lift, joints = b.u(0.05, 0.35), b.n(2, 3)
    body = centers[1]
    for i in range(pairs):
        t = (i - (pairs - 1) / 2) / max(pairs - 1, 1)
        for side, name in SIDES:
            group = f"leg {i} {name}"
            way = np.array([-t * 1.5 + b.u(-0.1, 0.1), 0, side])
            root = body + [-t * radii[1][0] * 1.5, -radii[1][1] * 0.3, side * radii[1][2] * 0.7]
            knee = root + unit(way) * reach * 0.45 + [0, lift, 0]
            foot = root + unit(way) * reach - [0, radii[1][1] + 0.12, 0]
            limb(b, f"{group}/{group} upper", root, knee, thin * 1.2, thin, softness=0.3)
            limb(b, f"{group}/{group} lower", knee, foot, thin, thin * 0.6, softness=0.3)
            if joints == 3:
                limb(b, f"{group}/{group} foot", foot, foot + unit(way) * 0.08, thin * 0.7, thin * 0.4, softness=0.3)
    head, hr = centers[0], radii[0]
    if b.chance(0.75):
        feel = b.u(0.2, 0.6)
        for side, name in SIDES:
            points = arc(
                head + [hr[0] * 0.6, hr[1] * 0.6, side * hr[2] * 0.4],
                head + [hr[0] + feel, feel * b.u(0.2, 1), side * feel * 0.5],
                [0, feel * 0.2, 0],
            )
            tube(b, f"head parts/{name} feeler", points, np.linspace(thin * 0.8, thin * 0.45, 7), softness=0.3)
            if b.chance(0.3):
                ball(b, f"head parts/{name} feeler tip", points[-1], thin * 1.6, softness=0.2)
    if b.chance(0.5):
        eyes(b, head + [hr[0] * 0.6, hr[1] * 0.4, 0], hr[2] * 0.6, hr[1] * b.u(0.2, 0.45), (1, 0, 0), "head parts")
    if b.chance(0.35):
        for side, name in SIDES:
            group = f"{name} claw"
            arm = head + [hr[0] * 1.6, 0, side * 0.22]
            limb(b, f"{group}/{name} claw arm", head + [0, 0, side * hr[2] * 0.7], arm, thin * 1.5, thin * 1.3)
            ball(b, f"{group}/{name} claw palm", arm + [0.06, 0, 0], (0.09, 0.04, 0.06))
            for j, f in enumerate((-0.5, 0.5)):
                curve = arc(arm + [0.1, 0, f * 0.05], arm + [0.26, 0, f * 0.04], [0, 0, f * 0.08])
                tube(b, f"{group}/{name} pincer {j}", curve, np.linspace(0.022, 0.008, 7), softness=0.2)
    if b.chance(0.25):
        for side, name in SIDES:
            for k in range(b.n(1, 2)):
                way = unit([-0.9 - 0.3 * k, 0.35 - 0.25 * k, side])
                at = body + [0, radii[1][1] * 0.8, 0] + way * 0.35
                turn = rotation_to(way, b.u(-0.2, 0.2)) @ rotation_about("y", np.pi / 2)
                ball(b, f"{name} wings/{name} wing {k}", at, (0.13, 0.36, 0.012), turn, smooth=False)
    if b.chance(0.3):
        end = centers[-1] - [radii[-1][0] * 0.8, 0, 0]
        points = arc(end, end + [b.u(-0.2, 0.4), b.u(0.3, 0.6), 0], [-b.u(0.1, 0.35), 0, 0], 9)
        for i in range(4):
            curve = points[2 * i : 2 * i + 3]
            tube(b, f"tail/tail {i}", curve, np.linspace(0.06, 0.05, 3) * (1 - 0.18 * i), softness=0.3)
        limb(b, "tail/sting", points[-1], points[-1] + [0.1, -0.06, 0], 0.03, 0.006, softness=0.3)


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
    top = base + neck * np.array([np.cos(rise), np.sin(rise), 0])
    hr = r * b.u(0.45, 0.75)
    points = arc(base - [0.05, 0.05, 0], top, [b.u(-0.1, 0.1) * neck * 2, 0, 0])
    tube(b, "neck", points, np.linspace(hr * 1.3, hr * 0.7, 7))
    head = top + [hr * 0.3, hr * 0.3, 0]
    ball(b, "head/skull", head, (hr * 1.1, hr, hr * 0.9))
    beak = hr * b.u(0.8, 2.6)
    tip = head + [hr * 0.8 + beak, -hr * b.u(0.1, 0.5), 0]
    if b.chance(0.4):
        for k, dy in enumerate((0.12, -0.18)):
            start = head + [hr * 0.7, dy * hr, 0]
            limb(b, f"head/beak {k}", start, tip + [0, dy * hr, 0], hr * 0.3, hr * 0.08, softness=0.1)
    else:
        limb(b, "head/beak", head + [hr * 0.7, 0, 0], tip, hr * 0.45, hr * 0.1, softness=0.1)
    if b.chance(0.3):
        for k in range(b.n(1, 3)):
            at = head + [-0.25 * hr * k, hr * 1.1, 0]
            ball(b, "head/crest", at, (hr * 0.2, hr * 0.5, hr * 0.1), rotation_about("z", 0.4 + 0.3 * k), softness=0.2)
    if b.chance(0.6):
        eyes(b, head + [hr * 0.45, hr * 0.3, 0], hr * 0.7, hr * 0.2, (1, 0, 0), "head")
    spreadout, span = b.u(-0.9, 0.6), b.u(0.35, 0.8)
    two = b.chance(0.6)
    chord = b.u(0.12, 0.22)
    for side, name in SIDES:
        group = f"{name} wing"
        way = unit([-0.25 + b.u(-0.1, 0.1), spreadout, side * max(0.3, 1 - abs(spreadout))])
        root = np.array([0.08, r * 0.45, side * r * 0.6])
        inner = span * (0.5 if two else 1)
        at = root + way * inner * 0.5
        size = (chord, inner * 0.65, 0.03)
        ball(b, f"{group}/" + (f"{name} inner wing" if two else group), at, size, frame_along(way), softness=0.3)
        if two:
            way2 = unit(way + [-0.4, -0.3, 0])
            at = root + way * inner + way2 * inner * 0.45
            size = (chord * 0.8, inner * 0.65, 0.024)
            ball(b, f"{group}/{name} outer wing", at, size, frame_along(way2), softness=0.3)
    feathers = b.n(1, 4)
    tail = b.u(0.2, 0.55)
    for k in range(feathers):
        z = k - (feathers - 1) / 2
        way = unit([-1, b.u(-0.3, 0.25) if k == 0 else 0.0, z * 0.35])
        at = [-0.32, 0, 0] + way * tail * 0.6
        ball(b, f"tail/tail feather {k}", at, (0.07, tail * 0.6, 0.022), frame_along(way), softness=0.2)
    if b.chance(0.75):
        leg = b.u(0.12, 0.6)
        thin = b.u(0.018, 0.035)
        for side, name in SIDES:
            group = f"{name} leg"
            hip = np.array([-0.03, -r * 0.6, side * r * 0.45])
            knee, foot = hip + [-0.03, -0.12 - leg * 0.4, 0], hip + [0.0, -0.14 - leg, 0]
            limb(b, f"{group}/{name} thigh", hip, knee, thin * 2.6, thin * 1.2)
            limb(b, f"{group}/{name} shank", knee, foot, thin, thin * 0.9, softness=0.3)
            for toe in range(3):
                a = (toe - 1) * 0.6
                end = foot + [0.14 * np.cos(a), -0.02, 0.14 * np.sin(a)]
                limb(b, f"{group}/{name} foot", foot, end, thin * 0.9, thin * 0.5, softness=0.2)
            limb(b, f"{group}/{name} foot", foot, foot + [-0.07, -0.02, 0], thin * 0.8, thin * 0.5, softness=0.2)


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
    for s, name in ((1, "upper"), (-1, "lower")):
        way = unit([-0.8, s, 0]) if upright else unit([-0.8, 0, s])
        frame = np.stack(
            [unit(np.cross(way, [0, 0, 1] if upright else [0, 1, 0])), way, [0, 0, 1] if upright else [0, 1, 0]], 1
        )
        at = stalk + way * fluke * 0.45
        ball(b, f"tail/{name} fluke", at, (fluke * 0.24, fluke * 0.6, 0.03), frame, softness=0.4)
    for k in range(b.n(1, 3)):
        x = b.u(0.15, 0.3) - 0.32 * k
        way = unit([-0.7, 1, 0])
        frame = np.stack([unit(np.cross(way, [0, 0, 1])), way, [0, 0, 1]], 1)
        size = tall * b.u(0.35, 0.8)
        at = np.array([x, tall * 0.85, 0]) + way * size * 0.3
        ball(b, f"fins/back fin {k}", at, (size * 0.45, size * 0.75, 0.026), frame, softness=0.4)
    drop = b.u(-0.8, 0.1)
    for side, name in SIDES:
        way = unit([-0.6, drop, side])
        size = tall * b.u(0.6, 1.3)
        at = np.array([length * 0.25, -tall * 0.3, side * wide * 0.75]) + way * size * 0.35
        ball(b, f"fins/{name} fin", at, (size * 0.25, size * 0.6, 0.024), frame_along(way), softness=0.4)
        if b.chance(0.4):
            at = np.array([-length * 0.35, -tall * 0.6, side * wide * 0.3]) + way * size * 0.2
            ball(b, f"fins/{name} belly fin", at, (size * 0.15, size * 0.35, 0.022), frame_along(way), softness=0.4)
    if b.chance(0.8):
        eyes(b, (length * 0.75, tall * 0.2, 0), wide * 0.55, tall * b.u(0.1, 0.2), (1, 0, 0), "body")
    if b.chance(0.3):
        torus(b, "body/lip", (length * 1.02, -0.02, 0), wide * 0.35, 0.03, rotation_to([1, 0, 0]), softness=0.2)
    if b.chance(0.15):
        limb(b, "body/sword", (length * 0.9, 0, 0), (length * 1.6, 0.02, 0), 0.05, 0.008, softness=0.4)
