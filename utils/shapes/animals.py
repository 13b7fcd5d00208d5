"""Families of animals. Units: the body is about one long, +y is up, +x is ahead."""

from __future__ import annotations

import itertools

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import SIDES, arc, eyes, frame_along, horn_pair
from utils.shapes.solids import Ellipsoid, RoundCone, Torus, Tube, rod, rotation_about, rotation_to, unit


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
        b.add(b.part("chest", "torso"), Ellipsoid(shoulder, (depth * 0.9, depth * 1.1, girth * 1.05)))
        b.add(b.part("rump", "torso"), Ellipsoid(hip, (depth * 0.95, depth * 1.05, girth * 1.08)))
    for i in range(b.n(1, 2) if b.chance(0.12) else 0):
        b.add(b.part(f"hump {i}", "torso"), Ellipsoid((-0.2 + 0.35 * i, depth * 0.9, 0), (0.16, 0.22, girth * 0.7)))
    neck = b.u(0.12, 0.75) if b.chance(0.85) else b.u(0.8, 1.3)
    rise = b.u(0.15, 1.35)
    base = shoulder + [0.02, depth * 0.45, 0]
    top = base + neck * np.array([np.cos(rise), np.sin(rise), 0])
    rn = girth * b.u(0.35, 0.6)
    b.add(b.part("neck", "neck"), RoundCone(base, top, rn * b.u(1.1, 1.5), rn))
    head_group = "head"
    hr = girth * b.u(0.55, 0.9)
    tilt = b.u(-0.7, 0.25)
    ahead = np.array([np.cos(tilt), np.sin(tilt), 0])
    skull = top + ahead * hr * 0.4
    b.add(b.part("skull", head_group), Ellipsoid(skull, (hr * b.u(1, 1.3), hr, hr * b.u(0.7, 1))))
    muzzle = hr * b.u(0.8, 2.2)
    tip = skull + ahead * (hr * 0.6 + muzzle)
    mr = hr * b.u(0.35, 0.65)
    b.add(b.part("muzzle", head_group), RoundCone(skull + ahead * hr * 0.5, tip, mr * 1.25, mr))
    if b.chance(0.35):
        b.add(
            b.part("jaw", head_group),
            RoundCone(skull + ahead * hr * 0.4 - [0, hr * 0.4, 0], tip - [0.05, mr * 1.1, 0], mr * 0.7, mr * 0.55),
        )
    if b.chance(0.3):
        b.add(b.part("nose", head_group), Ellipsoid(tip + ahead * mr * 0.9, mr * 0.4), softness=0.2)
    if b.chance(0.12):
        points = arc(tip, tip + [hr * 0.8, -leg * 0.9, 0], [hr * b.u(0.2, 0.8), 0, 0], 9)
        b.add(b.part("trunk", head_group), Tube(points, np.linspace(mr, mr * 0.35, 9)))
        for side, name in SIDES:
            b.add(
                b.part(f"{name} tusk", head_group),
                Tube(
                    arc(
                        skull + [hr * 0.5, -hr * 0.5, side * hr * 0.5],
                        tip + [hr * 0.6, -hr * 0.3, side * hr * 0.7],
                        [0, -hr * 0.3, 0],
                    ),
                    np.linspace(mr * 0.3, mr * 0.1, 7),
                ),
            )
    if b.chance(0.85):
        ear, kind = hr * b.u(0.5, 1.7), b.pick(["leaf", "round", "hanging"])
        up = b.u(-0.2, 0.4)
        for side, name in SIDES:
            at = skull + [-0.3 * hr, hr * 0.65, side * hr * 0.6]
            way = unit([-0.3, {"leaf": 1.0, "round": 0.6, "hanging": -0.9}[kind], side * (0.4 + up)])
            wide = ear * (0.42 if kind == "leaf" else 0.6 if kind == "round" else 0.4)
            b.add(
                b.part(f"{name} ear", head_group),
                Ellipsoid(at + way * ear * 0.45, (wide, ear * 0.6, wide * 0.3), rotation_to(way)),
                softness=0.4,
            )
    if b.chance(0.4):
        horn_pair(b, skull + [0, hr * 0.75, hr * 0.3], hr * b.u(0.14, 0.26), hr * b.u(0.8, 3.0), head_group)
    if b.chance(0.5):
        eyes(b, skull + ahead * hr * 0.5 + [0, hr * 0.4, 0], hr * 0.55, hr * b.u(0.12, 0.24), ahead, head_group)
    if b.chance(0.2):
        points = np.stack(
            [skull + [-hr * 0.8, hr * 0.6, 0], (base + top) / 2 + [-rn, rn * 0.8, 0], base + [-rn * 1.6, rn * 0.6, 0]]
        )
        b.add(b.part("mane", "neck"), Tube(points, [rn * 0.35, rn * 0.5, rn * 0.35]), softness=0.3)
    if b.chance(0.9):
        tail, tr = b.u(0.15, 1.0), girth * b.u(0.08, 0.3)
        start = hip + [-depth * 0.7, depth * 0.5, 0]
        end = start + tail * unit([-1, b.u(-1.4, 1.0), b.u(-0.3, 0.3)])
        points = arc(start, end, [0, tail * b.u(-0.2, 0.25), 0])
        b.add(b.part("tail", "tail"), Tube(points, np.linspace(tr, tr * b.u(0.3, 1.0), 7)))
        if b.chance(0.3):
            b.add(b.part("tail tuft", "tail"), Ellipsoid(points[-1], (tr * 2, tr * 2.6, tr * 2)))
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
            b.add(b.part(f"{group} upper" if split else group, group), RoundCone(top_leg, knee, upper, thick))
            b.add(b.part(f"{group} lower" if split else group, group), RoundCone(knee, foot, thick, thick * 0.65))
            if hoof:
                b.add(
                    b.part(f"{group} hoof", group),
                    rod(foot + [0, thick * 0.8, 0], foot - [0, thick * 0.7, 0], hoof_r * 0.7, hoof_r, 0.15)
                    if b.chance(0.5)
                    else Ellipsoid(foot + [hoof_r * 0.5, 0, 0], (hoof_r * 1.4, hoof_r * 0.7, hoof_r)),
                    softness=0.25,
                )


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
        b.add(b.part(name, "body"), Ellipsoid(centers[-1], radii[-1]))
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
            b.add(b.part(f"{group} upper", group), RoundCone(root, knee, thin * 1.2, thin), softness=0.3)
            b.add(b.part(f"{group} lower", group), RoundCone(knee, foot, thin, thin * 0.6), softness=0.3)
            if joints == 3:
                b.add(
                    b.part(f"{group} foot", group),
                    RoundCone(foot, foot + unit(way) * 0.08, thin * 0.7, thin * 0.4),
                    softness=0.3,
                )
    head, hr = centers[0], radii[0]
    if b.chance(0.75):
        feel = b.u(0.2, 0.6)
        for side, name in SIDES:
            points = arc(
                head + [hr[0] * 0.6, hr[1] * 0.6, side * hr[2] * 0.4],
                head + [hr[0] + feel, feel * b.u(0.2, 1), side * feel * 0.5],
                [0, feel * 0.2, 0],
            )
            b.add(
                b.part(f"{name} feeler", "head parts"),
                Tube(points, np.linspace(thin * 0.8, thin * 0.45, 7)),
                softness=0.3,
            )
            if b.chance(0.3):
                b.add(b.part(f"{name} feeler tip", "head parts"), Ellipsoid(points[-1], thin * 1.6), softness=0.2)
    if b.chance(0.5):
        eyes(b, head + [hr[0] * 0.6, hr[1] * 0.4, 0], hr[2] * 0.6, hr[1] * b.u(0.2, 0.45), (1, 0, 0), "head parts")
    if b.chance(0.35):
        for side, name in SIDES:
            group = f"{name} claw"
            arm = head + [hr[0] * 1.6, 0, side * 0.22]
            b.add(
                b.part(f"{name} claw arm", group),
                RoundCone(head + [0, 0, side * hr[2] * 0.7], arm, thin * 1.5, thin * 1.3),
            )
            b.add(b.part(f"{name} claw palm", group), Ellipsoid(arm + [0.06, 0, 0], (0.09, 0.04, 0.06)))
            for j, f in enumerate((-0.5, 0.5)):
                b.add(
                    b.part(f"{name} pincer {j}", group),
                    Tube(
                        arc(arm + [0.1, 0, f * 0.05], arm + [0.26, 0, f * 0.04], [0, 0, f * 0.08]),
                        np.linspace(0.022, 0.008, 7),
                    ),
                    softness=0.2,
                )
    if b.chance(0.25):
        for side, name in SIDES:
            for k in range(b.n(1, 2)):
                way = unit([-0.9 - 0.3 * k, 0.35 - 0.25 * k, side])
                b.add(
                    b.part(f"{name} wing {k}", f"{name} wings"),
                    Ellipsoid(
                        body + [0, radii[1][1] * 0.8, 0] + way * 0.35,
                        (0.13, 0.36, 0.012),
                        rotation_to(way, b.u(-0.2, 0.2)) @ rotation_about("y", np.pi / 2),
                    ),
                    smooth=False,
                )
    if b.chance(0.3):
        end = centers[-1] - [radii[-1][0] * 0.8, 0, 0]
        points = arc(end, end + [b.u(-0.2, 0.4), b.u(0.3, 0.6), 0], [-b.u(0.1, 0.35), 0, 0], 9)
        for i in range(4):
            b.add(
                b.part(f"tail {i}", "tail"),
                Tube(points[2 * i : 2 * i + 3], np.linspace(0.06, 0.05, 3) * (1 - 0.18 * i)),
                softness=0.3,
            )
        b.add(b.part("sting", "tail"), RoundCone(points[-1], points[-1] + [0.1, -0.06, 0], 0.03, 0.006), softness=0.3)


def octopus(b: Builder) -> None:
    """A head with many curling arms: octopus, squid, jellyfish, hydra."""
    r = b.u(0.2, 0.32)
    b.add(b.part("head", "head"), Ellipsoid((0, r * 0.6, 0), (r, r * b.u(0.9, 1.8), r)))
    if b.chance(0.5):
        b.add(b.part("mantle", "head"), Ellipsoid((-r * 0.3, r * 1.6, 0), (r * 0.85, r * 1.1, r * 0.85)))
    if b.chance(0.7):
        eyes(b, (r * 0.8, r * 0.7, 0), r * 0.5, r * b.u(0.14, 0.25), (1, 0, 0), "head")
    arms = b.n(5, 10)
    length, thick = b.u(0.5, 0.95), r * b.u(0.16, 0.3)
    rings = b.chance(0.3)
    drop, wave = b.u(0.1, 1.2), b.u(0.02, 0.16)
    for i in range(arms):
        a = 2 * np.pi * (i + b.u(-0.15, 0.15)) / arms
        out = np.array([np.cos(a), 0, np.sin(a)])
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
        b.add(b.part(f"arm {i} upper" if rings else group, group), Tube(points[:split], width[:split]), softness=0.5)
        if rings:
            b.add(b.part(f"arm {i} tip", group), Tube(points[split - 1 :], width[split - 1 :]), softness=0.3)


def bird(b: Builder) -> None:
    """Body, neck, head with beak and crest, wings in two segments, tail feathers, legs with toes."""
    r = b.u(0.16, 0.26)
    b.add(
        b.part("body", "torso"),
        Ellipsoid((0, 0, 0), (b.u(0.34, 0.5), r, r * b.u(0.8, 1)), rotation_about("z", b.u(0, 0.5))),
    )
    if b.chance(0.35):
        b.add(b.part("breast", "torso"), Ellipsoid((0.18, -0.02, 0), (r, r * 0.95, r * 0.9)))
    neck, rise = b.u(0.1, 0.6), b.u(0.4, 1.4)
    base = np.array([0.3, 0.1, 0])
    top = base + neck * np.array([np.cos(rise), np.sin(rise), 0])
    hr = r * b.u(0.45, 0.75)
    b.add(
        b.part("neck", "neck"),
        Tube(arc(base - [0.05, 0.05, 0], top, [b.u(-0.1, 0.1) * neck * 2, 0, 0]), np.linspace(hr * 1.3, hr * 0.7, 7)),
    )
    head = top + [hr * 0.3, hr * 0.3, 0]
    b.add(b.part("skull", "head"), Ellipsoid(head, (hr * 1.1, hr, hr * 0.9)))
    beak = hr * b.u(0.8, 2.6)
    tip = head + [hr * 0.8 + beak, -hr * b.u(0.1, 0.5), 0]
    if b.chance(0.4):
        for k, dy in enumerate((0.12, -0.18)):
            b.add(
                b.part(f"beak {k}", "head"),
                RoundCone(head + [hr * 0.7, dy * hr, 0], tip + [0, dy * hr, 0], hr * 0.3, hr * 0.08),
                softness=0.1,
            )
    else:
        b.add(b.part("beak", "head"), RoundCone(head + [hr * 0.7, 0, 0], tip, hr * 0.45, hr * 0.1), softness=0.1)
    if b.chance(0.3):
        for k in range(b.n(1, 3)):
            b.add(
                b.part("crest", "head"),
                Ellipsoid(
                    head + [-0.25 * hr * k, hr * 1.1, 0],
                    (hr * 0.2, hr * 0.5, hr * 0.1),
                    rotation_about("z", 0.4 + 0.3 * k),
                ),
                softness=0.2,
            )
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
        b.add(
            b.part(f"{name} inner wing" if two else group, group),
            Ellipsoid(root + way * inner * 0.5, (chord, inner * 0.65, 0.03), frame_along(way)),
            softness=0.3,
        )
        if two:
            way2 = unit(way + [-0.4, -0.3, 0])
            b.add(
                b.part(f"{name} outer wing", group),
                Ellipsoid(
                    root + way * inner + way2 * inner * 0.45, (chord * 0.8, inner * 0.65, 0.024), frame_along(way2)
                ),
                softness=0.3,
            )
    feathers = b.n(1, 4)
    tail = b.u(0.2, 0.55)
    for k in range(feathers):
        z = k - (feathers - 1) / 2
        way = unit([-1, b.u(-0.3, 0.25) if k == 0 else 0.0, z * 0.35])
        b.add(
            b.part(f"tail feather {k}", "tail"),
            Ellipsoid([-0.32, 0, 0] + way * tail * 0.6, (0.07, tail * 0.6, 0.022), frame_along(way)),
            softness=0.2,
        )
    if b.chance(0.75):
        leg = b.u(0.12, 0.6)
        thin = b.u(0.018, 0.035)
        for side, name in SIDES:
            group = f"{name} leg"
            hip = np.array([-0.03, -r * 0.6, side * r * 0.45])
            knee, foot = hip + [-0.03, -0.12 - leg * 0.4, 0], hip + [0.0, -0.14 - leg, 0]
            b.add(b.part(f"{name} thigh", group), RoundCone(hip, knee, thin * 2.6, thin * 1.2))
            b.add(b.part(f"{name} shank", group), RoundCone(knee, foot, thin, thin * 0.9), softness=0.3)
            for toe in range(3):
                a = (toe - 1) * 0.6
                b.add(
                    b.part(f"{name} foot", group),
                    RoundCone(foot, foot + [0.14 * np.cos(a), -0.02, 0.14 * np.sin(a)], thin * 0.9, thin * 0.5),
                    softness=0.2,
                )
            b.add(
                b.part(f"{name} foot", group),
                RoundCone(foot, foot + [-0.07, -0.02, 0], thin * 0.8, thin * 0.5),
                softness=0.2,
            )


def fish(b: Builder) -> None:
    """Body, head, tail stalk, fins; sharks, dolphins, submarines of flesh."""
    length, tall = 0.6, b.u(0.13, 0.34)
    wide = tall * b.u(0.3, 0.95)
    b.add(b.part("body", "body"), Ellipsoid((0, 0, 0), (length, tall, wide)))
    if b.chance(0.6):
        b.add(
            b.part("head", "body"),
            Ellipsoid((length * 0.62, 0, 0), (length * b.u(0.35, 0.5), tall * 0.75, wide * 0.85)),
        )
    stalk = np.array([-length * 0.95, 0, 0])
    b.add(b.part("tail stalk", "tail"), RoundCone((-length * 0.5, 0, 0), stalk, tall * 0.55, tall * 0.2, flat=1))
    upright = b.chance(0.75)
    fluke = tall * b.u(0.7, 1.3)
    for s, name in ((1, "upper"), (-1, "lower")):
        way = unit([-0.8, s, 0]) if upright else unit([-0.8, 0, s])
        frame = np.stack(
            [unit(np.cross(way, [0, 0, 1] if upright else [0, 1, 0])), way, [0, 0, 1] if upright else [0, 1, 0]], 1
        )
        b.add(
            b.part(f"{name} fluke", "tail"),
            Ellipsoid(stalk + way * fluke * 0.45, (fluke * 0.24, fluke * 0.6, 0.03), frame),
            softness=0.4,
        )
    for k in range(b.n(1, 3)):
        x = b.u(0.15, 0.3) - 0.32 * k
        way = unit([-0.7, 1, 0])
        frame = np.stack([unit(np.cross(way, [0, 0, 1])), way, [0, 0, 1]], 1)
        size = tall * b.u(0.35, 0.8)
        b.add(
            b.part(f"back fin {k}", "fins"),
            Ellipsoid(np.array([x, tall * 0.85, 0]) + way * size * 0.3, (size * 0.45, size * 0.75, 0.026), frame),
            softness=0.4,
        )
    drop = b.u(-0.8, 0.1)
    for side, name in SIDES:
        way = unit([-0.6, drop, side])
        size = tall * b.u(0.6, 1.3)
        b.add(
            b.part(f"{name} fin", "fins"),
            Ellipsoid(
                np.array([length * 0.25, -tall * 0.3, side * wide * 0.75]) + way * size * 0.35,
                (size * 0.25, size * 0.6, 0.024),
                frame_along(way),
            ),
            softness=0.4,
        )
        if b.chance(0.4):
            b.add(
                b.part(f"{name} belly fin", "fins"),
                Ellipsoid(
                    np.array([-length * 0.35, -tall * 0.6, side * wide * 0.3]) + way * size * 0.2,
                    (size * 0.15, size * 0.35, 0.022),
                    frame_along(way),
                ),
                softness=0.4,
            )
    if b.chance(0.8):
        eyes(b, (length * 0.75, tall * 0.2, 0), wide * 0.55, tall * b.u(0.1, 0.2), (1, 0, 0), "body")
    if b.chance(0.3):
        b.add(
            b.part("lip", "body"),
            Torus((length * 1.02, -0.02, 0), wide * 0.35, 0.03, rotation_to([1, 0, 0])),
            softness=0.2,
        )
    if b.chance(0.15):
        b.add(
            b.part("sword", "body"), RoundCone((length * 0.9, 0, 0), (length * 1.6, 0.02, 0), 0.05, 0.008), softness=0.4
        )


def creature(b: Builder) -> None:
    """Any animal that never was: a curved spine, a head, any number of limbs, wings, fins, spikes, a shell."""
    upright = b.chance(0.3)
    long = b.u(0.5, 1.1)
    points = np.stack([np.linspace(-0.5, 0.5, 5) * long, b.rng.normal(0, 0.06, 5), np.zeros(5)], 1)
    if upright:
        points = points @ rotation_about("z", b.u(0.9, 1.5)).T
    spine = np.stack([np.interp(np.linspace(0, 4, 17), np.arange(5), points[:, k]) for k in range(3)], 1)
    girth = b.u(0.12, 0.28)
    radius = girth * np.interp(
        np.linspace(0, 1, 17), np.linspace(0, 1, 5), np.append(b.rng.uniform(0.6, 1.2, 4), b.u(0.5, 0.9))
    )
    sections = b.n(1, 3)
    cuts = np.linspace(0, 16, sections + 1).astype(int)
    for i, (p, q) in enumerate(itertools.pairwise(cuts)):
        b.add(b.part(f"body {i}", "torso"), Tube(spine[p : q + 1], radius[p : q + 1]))
    ahead, behind = unit(spine[-1] - spine[-3]), unit(spine[0] - spine[2])
    up = np.array([0, 1.0, 0])
    heads = 2 if b.chance(0.06) else 1
    for h in range(heads):
        group = "head" if heads == 1 else f"head {h}"
        aim = unit(ahead + up * b.u(-0.3, 0.8) + [0, 0, (h - (heads - 1) / 2) * 1.2])
        neck = b.u(0.0, 0.5) if heads == 1 else b.u(0.25, 0.5)
        base = spine[-1]
        top = base + aim * (radius[-1] * 0.6 + neck)
        size = girth * b.u(0.5, 1.1)
        if neck > 0.1:
            b.add(
                b.part(f"{group} neck", group if heads > 1 else "neck"),
                RoundCone(base, top, radius[-1] * 0.8, size * 0.6),
            )
        look = unit(aim * [1, 0.3, 1] + [0.8, b.u(-0.3, 0.1), 0])
        c = top + look * size * 0.5
        b.add(
            b.part(f"{group} skull", group),
            Ellipsoid(
                c,
                (size * b.u(0.9, 1.4), size * b.u(0.8, 1.1), size * b.u(0.7, 1.1)),
                rotation_about("z", float(np.arctan2(look[1], look[0]))),
            ),
        )
        snout = size * b.u(0.2, 1.6)
        if b.chance(0.7):
            b.add(
                b.part(f"{group} snout", group),
                RoundCone(
                    c + look * size * 0.5, c + look * (size * 0.6 + snout), size * b.u(0.4, 0.7), size * b.u(0.2, 0.5)
                ),
            )
        if b.chance(0.4):
            drop = unit(look - up * b.u(0.2, 0.6))
            b.add(
                b.part(f"{group} jaw", group),
                RoundCone(
                    c - up * size * 0.3, c - up * size * 0.35 + drop * (size * 0.7 + snout), size * 0.4, size * 0.2
                ),
            )
        if b.chance(0.7):
            eyes(b, c + look * size * 0.5 + up * size * 0.5, size * 0.5, size * b.u(0.12, 0.3), look, group)
        if b.chance(0.45):
            horn_pair(b, c + up * size * 0.7 + [0, 0, size * 0.35], size * b.u(0.12, 0.25), size * b.u(0.6, 2.2), group)
        elif b.chance(0.6):
            ear = size * b.u(0.4, 1.4)
            for side, name in SIDES:
                way = unit([-0.3, b.u(0.2, 1.2), side])
                b.add(
                    b.part(f"{group} {name} ear", group),
                    Ellipsoid(
                        c + [0, size * 0.5, side * size * 0.6] + way * ear * 0.5,
                        (ear * 0.35, ear * 0.6, ear * 0.12),
                        rotation_to(way),
                    ),
                    softness=0.4,
                )
    if b.chance(0.8):
        length, r = b.u(0.2, 1.2), radius[0] * b.u(0.3, 0.8)
        tail = arc(spine[0], spine[0] + unit(behind + up * b.u(-0.6, 0.5)) * length, up * length * b.u(-0.25, 0.3), 13)
        cut = b.pick([12, 12, 6])
        width = np.linspace(r, r * b.u(0.1, 0.6), 13)
        b.add(b.part("tail", "tail"), Tube(tail[: cut + 1], width[: cut + 1]))
        if cut < 12:
            b.add(b.part("tail end", "tail"), Tube(tail[cut:], width[cut:]))
        if b.chance(0.25):
            b.add(b.part("tail club", "tail"), Ellipsoid(tail[-1], r * b.u(0.5, 1.2)), softness=0.3)
    pairs = b.n(0, 4)
    for i in range(pairs):
        k = int(np.clip(16 * (i + 0.5 + b.u(-0.3, 0.3)) / pairs, 0, 16))
        kind = b.pick(["leg", "leg", "leg", "arm", "fin"]) if not upright or i else b.pick(["leg", "leg", "fin"])
        limb_pair(b, spine[k], radius[k], f"{kind} {i}", kind)
    if b.chance(0.2):
        k = b.n(7, 13)
        span, slant, chord = b.u(0.4, 0.9), b.u(0.1, 1.0), b.u(0.12, 0.2)
        for side, name in SIDES:
            way = unit([-0.4, slant, side])
            root = spine[k] + [0, radius[k] * 0.6, side * radius[k] * 0.4]
            b.add(
                b.part(f"{name} wing arm", f"{name} wing"),
                RoundCone(root, root + way * span, 0.035, 0.015),
                softness=0.3,
            )
            b.add(
                b.part(f"{name} wing", f"{name} wing"),
                Ellipsoid(root + way * span * 0.5 - [chord * 0.8, 0, 0], (chord, span * 0.5, 0.014), frame_along(way)),
                softness=0.2,
            )
    if b.chance(0.3):
        count, size = b.n(3, 9), girth * b.u(0.2, 0.5)
        for i in range(count):
            k = int(1 + 14 * i / max(count - 1, 1))
            root = spine[k] + up * radius[k] * 0.9
            way = unit(up + behind * b.u(0, 0.6))
            b.add(
                b.part(f"spike {i}", "spikes"),
                rod(root - way * size * 0.3, root + way * size, size * 0.4, size * 0.04),
                softness=0.2,
            )
    elif b.chance(0.2):
        b.add(
            b.part("shell", "shell"),
            Ellipsoid(spine[8] + up * girth * 0.35, (long * 0.42, girth * 1.2, girth * 1.4)),
            softness=0.1,
        )
    for i in range(b.n(2, 6) if b.chance(0.15) else 0):
        k = b.n(2, 14)
        angle = b.u(0.2, 2.9)
        way = np.array([0, np.sin(angle), np.cos(angle)])
        b.add(
            b.part(f"wart {i}", "warts"),
            Ellipsoid(spine[k] + way * radius[k] * 0.95, girth * b.u(0.1, 0.25)),
            softness=0.3,
        )


def limb_pair(b: Builder, root, radius: float, name: str, kind: str) -> None:
    """Two mirrored limbs from a point of the spine: jointed legs or arms that end in a foot, claws or a ball; fins."""
    out, forward, length = b.u(0.15, 0.9), b.u(-0.4, 0.4), b.u(0.3, 0.85)
    thick = radius * b.u(0.2, 0.5)
    joints = b.n(1, 3)
    end = b.pick(["foot", "claws", "ball", "none", "hoof"])
    way = unit([forward, -1.0 if kind == "leg" else b.u(-0.5, 0.7), out if kind == "leg" else out + 0.5])
    swing = np.array(
        [b.u(-0.5, 0.7) if kind == "leg" else b.u(0.2, 1.0), -0.3 if kind == "leg" else b.u(-0.3, 0.4), -0.25]
    )
    for side, which in SIDES:
        group = f"{which} {name}"
        at = np.asarray(root, float) + np.array([0, -0.1, side * 0.75]) * radius
        aim = way * [1, 1, side]
        if kind == "fin":
            b.add(
                b.part(group, group),
                Ellipsoid(at + aim * length * 0.35, (length * 0.16, length * 0.45, 0.02), frame_along(aim)),
                softness=0.4,
            )
            continue
        r = thick
        for j in range(joints):
            tip = at + aim * length / joints * (1.15 if j == 0 else 0.95)
            b.add(b.part(f"{group} {j}", group), RoundCone(at, tip, r * (1.25 if j == 0 else 1), r * 0.78))
            at, r = tip, r * 0.78
            aim = unit(aim + swing * [1, 1, side] * 0.7)
        if end == "foot":
            b.add(
                b.part(f"{group} foot", group),
                Ellipsoid(at + [r * 0.8, -r * 0.3, 0], (r * 2.2, r * 0.8, r * 1.4)),
                softness=0.3,
            )
        elif end == "ball":
            b.add(b.part(f"{group} ball", group), Ellipsoid(at, r * 1.9), softness=0.3)
        elif end == "hoof":
            b.add(b.part(f"{group} hoof", group), rod(at + [0, r, 0], at - [0, r, 0], r * 1.1, r * 1.6), softness=0.2)
        elif end == "claws":
            for k in range(3):
                a = (k - 1) * 0.6
                toe = at + np.array([np.cos(a), -0.25, np.sin(a)]) * r * 3
                b.add(b.part(f"{group} claws", group), RoundCone(at, toe, r * 0.55, r * 0.2), softness=0.2)
