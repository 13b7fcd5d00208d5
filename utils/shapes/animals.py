"""Families of animals. Units: the body is about one long, +y is up, +x is ahead."""

from __future__ import annotations

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
        b.add(b.part("jaw", head_group), RoundCone(skull + ahead * hr * 0.4 - [0, hr * 0.4, 0], tip - [0.05, mr * 1.1, 0], mr * 0.7, mr * 0.55))
    if b.chance(0.3):
        b.add(b.part("nose", head_group), Ellipsoid(tip + ahead * mr * 0.9, mr * 0.4), softness=0.2)
    if b.chance(0.12):
        points = arc(tip, tip + [hr * 0.8, -leg * 0.9, 0], [hr * b.u(0.2, 0.8), 0, 0], 9)
        b.add(b.part("trunk", head_group), Tube(points, np.linspace(mr, mr * 0.35, 9)))
        for side, name in SIDES:
            b.add(b.part(f"{name} tusk", head_group), Tube(arc(skull + [hr * .5, -hr * .5, side * hr * .5], tip + [hr * .6, -hr * .3, side * hr * .7], [0, -hr * .3, 0]), np.linspace(mr * .3, mr * .1, 7)))
    if b.chance(0.85):
        ear, kind = hr * b.u(0.5, 1.7), b.pick(["leaf", "round", "hanging"])
        up = b.u(-0.2, 0.4)
        for side, name in SIDES:
            at = skull + [-0.3 * hr, hr * 0.65, side * hr * 0.6]
            way = unit([-0.3, {"leaf": 1.0, "round": 0.6, "hanging": -0.9}[kind], side * (0.4 + up)])
            wide = ear * (0.42 if kind == "leaf" else 0.6 if kind == "round" else 0.4)
            b.add(b.part(f"{name} ear", head_group), Ellipsoid(at + way * ear * 0.45, (wide, ear * 0.6, wide * 0.3), rotation_to(way)), softness=0.4)
    if b.chance(0.4):
        horn_pair(b, skull + [0, hr * 0.75, hr * 0.3], hr * b.u(0.14, 0.26), hr * b.u(0.8, 3.0), head_group)
    if b.chance(0.5):
        eyes(b, skull + ahead * hr * 0.5 + [0, hr * 0.4, 0], hr * 0.55, hr * b.u(0.12, 0.24), ahead, head_group)
    if b.chance(0.2):
        points = np.stack([skull + [-hr * .8, hr * .6, 0], (base + top) / 2 + [-rn, rn * .8, 0], base + [-rn * 1.6, rn * .6, 0]])
        b.add(b.part("mane", "neck"), Tube(points, [rn * .35, rn * .5, rn * .35]), softness=0.3)
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
                b.add(b.part(f"{group} hoof", group),
                      rod(foot + [0, thick * 0.8, 0], foot - [0, thick * 0.7, 0], hoof_r * 0.7, hoof_r, 0.15) if b.chance(0.5)
                      else Ellipsoid(foot + [hoof_r * 0.5, 0, 0], (hoof_r * 1.4, hoof_r * 0.7, hoof_r)), softness=0.25)


def crawler(b: Builder) -> None:
    """Insects, spiders, scorpions: body in segments, six to ten jointed thin legs, feelers, claws, wings."""
    segments = b.n(2, 4)
    x, centers, radii = 0.0, [], []
    for i in range(segments):
        r = b.u(.1, .26) if i else b.u(.1, .18)
        x -= (r + radii[-1][0]) * b.u(.75, .98) if i else 0
        centers.append(np.array([x, b.u(-.02, .05), 0]))
        radii.append((r * b.u(1, 1.6), r * b.u(.7, 1), r * b.u(.8, 1.1)))
        name = ["head", "thorax", "abdomen", "rear"][i]
        b.add(b.part(name, "body"), Ellipsoid(centers[-1], radii[-1]))
    pairs = b.pick([3, 3, 4, 4, 5])
    reach, thin = b.u(.4, .8), b.u(.015, .035)
    lift, joints = b.u(.05, .35), b.n(2, 3)
    body = centers[1]
    for i in range(pairs):
        t = (i - (pairs - 1) / 2) / max(pairs - 1, 1)
        for side, name in SIDES:
            group = f"leg {i} {name}"
            way = np.array([-t * 1.5 + b.u(-.1, .1), 0, side])
            root = body + [-t * radii[1][0] * 1.5, -radii[1][1] * .3, side * radii[1][2] * .7]
            knee = root + unit(way) * reach * .45 + [0, lift, 0]
            foot = root + unit(way) * reach - [0, radii[1][1] + .12, 0]
            b.add(b.part(f"{group} upper", group), RoundCone(root, knee, thin * 1.2, thin), softness=.3)
            b.add(b.part(f"{group} lower", group), RoundCone(knee, foot, thin, thin * .6), softness=.3)
            if joints == 3:
                b.add(b.part(f"{group} foot", group), RoundCone(foot, foot + unit(way) * .08, thin * .7, thin * .4), softness=.3)
    head, hr = centers[0], radii[0]
    if b.chance(.75):
        feel = b.u(.2, .6)
        for side, name in SIDES:
            points = arc(head + [hr[0] * .6, hr[1] * .6, side * hr[2] * .4], head + [hr[0] + feel, feel * b.u(.2, 1), side * feel * .5], [0, feel * .2, 0])
            b.add(b.part(f"{name} feeler", "head parts"), Tube(points, np.linspace(thin * .8, thin * .45, 7)), softness=.3)
            if b.chance(.3):
                b.add(b.part(f"{name} feeler tip", "head parts"), Ellipsoid(points[-1], thin * 1.6), softness=.2)
    if b.chance(.5):
        eyes(b, head + [hr[0] * .6, hr[1] * .4, 0], hr[2] * .6, hr[1] * b.u(.2, .45), (1, 0, 0), "head parts")
    if b.chance(.35):
        for side, name in SIDES:
            group = f"{name} claw"
            arm = head + [hr[0] * 1.6, 0, side * .22]
            b.add(b.part(f"{name} claw arm", group), RoundCone(head + [0, 0, side * hr[2] * .7], arm, thin * 1.5, thin * 1.3))
            b.add(b.part(f"{name} claw palm", group), Ellipsoid(arm + [.06, 0, 0], (.09, .04, .06)))
            for j, f in enumerate((-.5, .5)):
                b.add(b.part(f"{name} pincer {j}", group), Tube(arc(arm + [.1, 0, f * .05], arm + [.26, 0, f * .04], [0, 0, f * .08]), np.linspace(.022, .008, 7)), softness=.2)
    if b.chance(.25):
        for side, name in SIDES:
            for k in range(b.n(1, 2)):
                way = unit([-.9 - .3 * k, .35 - .25 * k, side])
                b.add(b.part(f"{name} wing {k}", f"{name} wings"), Ellipsoid(body + [0, radii[1][1] * .8, 0] + way * .35, (.13, .36, .012), rotation_to(way, b.u(-.2, .2)) @ rotation_about("y", np.pi / 2)), smooth=False)
    if b.chance(.3):
        end = centers[-1] - [radii[-1][0] * .8, 0, 0]
        points = arc(end, end + [b.u(-.2, .4), b.u(.3, .6), 0], [-b.u(.1, .35), 0, 0], 9)
        for i in range(4):
            b.add(b.part(f"tail {i}", "tail"), Tube(points[2 * i:2 * i + 3], np.linspace(.06, .05, 3) * (1 - .18 * i)), softness=.3)
        b.add(b.part("sting", "tail"), RoundCone(points[-1], points[-1] + [.1, -.06, 0], .03, .006), softness=.3)


def octopus(b: Builder) -> None:
    """A head with many curling arms: octopus, squid, jellyfish, hydra."""
    r = b.u(.2, .32)
    b.add(b.part("head", "head"), Ellipsoid((0, r * .6, 0), (r, r * b.u(.9, 1.8), r)))
    if b.chance(.5):
        b.add(b.part("mantle", "head"), Ellipsoid((-r * .3, r * 1.6, 0), (r * .85, r * 1.1, r * .85)))
    if b.chance(.7):
        eyes(b, (r * .8, r * .7, 0), r * .5, r * b.u(.14, .25), (1, 0, 0), "head")
    arms = b.n(5, 10)
    length, thick = b.u(.5, .95), r * b.u(.16, .3)
    rings = b.chance(.3)
    drop, wave = b.u(.1, 1.2), b.u(.02, .16)
    for i in range(arms):
        a = 2 * np.pi * (i + b.u(-.15, .15)) / arms
        out = np.array([np.cos(a), 0, np.sin(a)])
        side = np.array([-np.sin(a), 0, np.cos(a)])
        t = np.linspace(0, 1, 13)
        phase, curl = b.u(0, 6.28), b.u(-.5, .9)
        points = (out * (r * .5 + length * t[:, None]) + np.outer(-drop * length * np.sin(t * 1.5) + curl * length * t ** 3, [0, 1, 0])
                  + np.outer(wave * np.sin(t * 6 + phase) * t, side))
        split = b.n(5, 8) if rings else 13
        group = f"arm {i}"
        width = np.linspace(thick, thick * .22, 13)
        b.add(b.part(f"arm {i} upper" if rings else group, group), Tube(points[:split], width[:split]), softness=.5)
        if rings:
            b.add(b.part(f"arm {i} tip", group), Tube(points[split - 1:], width[split - 1:]), softness=.3)


def bird(b: Builder) -> None:
    """Body, neck, head with beak and crest, wings in two segments, tail feathers, legs with toes."""
    r = b.u(.16, .26)
    b.add(b.part("body", "torso"), Ellipsoid((0, 0, 0), (b.u(.34, .5), r, r * b.u(.8, 1)), rotation_about("z", b.u(0, .5))))
    if b.chance(.35):
        b.add(b.part("breast", "torso"), Ellipsoid((.18, -.02, 0), (r, r * .95, r * .9)))
    neck, rise = b.u(.1, .6), b.u(.4, 1.4)
    base = np.array([.3, .1, 0])
    top = base + neck * np.array([np.cos(rise), np.sin(rise), 0])
    hr = r * b.u(.45, .75)
    b.add(b.part("neck", "neck"), Tube(arc(base - [.05, .05, 0], top, [b.u(-.1, .1) * neck * 2, 0, 0]), np.linspace(hr * 1.3, hr * .7, 7)))
    head = top + [hr * .3, hr * .3, 0]
    b.add(b.part("skull", "head"), Ellipsoid(head, (hr * 1.1, hr, hr * .9)))
    beak = hr * b.u(.8, 2.6)
    tip = head + [hr * .8 + beak, -hr * b.u(.1, .5), 0]
    if b.chance(.4):
        for k, dy in enumerate((.12, -.18)):
            b.add(b.part(f"beak {k}", "head"), RoundCone(head + [hr * .7, dy * hr, 0], tip + [0, dy * hr, 0], hr * .3, hr * .08), softness=.1)
    else:
        b.add(b.part("beak", "head"), RoundCone(head + [hr * .7, 0, 0], tip, hr * .45, hr * .1), softness=.1)
    if b.chance(.3):
        for k in range(b.n(1, 3)):
            b.add(b.part("crest", "head"), Ellipsoid(head + [-.25 * hr * k, hr * 1.1, 0], (hr * .2, hr * .5, hr * .1), rotation_about("z", .4 + .3 * k)), softness=.2)
    if b.chance(.6):
        eyes(b, head + [hr * .45, hr * .3, 0], hr * .7, hr * .2, (1, 0, 0), "head")
    spreadout, span = b.u(-.9, .6), b.u(.35, .8)
    two = b.chance(.6)
    chord = b.u(.12, .22)
    for side, name in SIDES:
        group = f"{name} wing"
        way = unit([-.25 + b.u(-.1, .1), spreadout, side * max(.3, 1 - abs(spreadout))])
        root = np.array([.08, r * .45, side * r * .6])
        inner = span * (.5 if two else 1)
        b.add(b.part(f"{name} inner wing" if two else group, group), Ellipsoid(root + way * inner * .5, (chord, inner * .65, .03), frame_along(way)), softness=.3)
        if two:
            way2 = unit(way + [-.4, -.3, 0])
            b.add(b.part(f"{name} outer wing", group), Ellipsoid(root + way * inner + way2 * inner * .45, (chord * .8, inner * .65, .024), frame_along(way2)), softness=.3)
    feathers = b.n(1, 4)
    tail = b.u(.2, .55)
    for k in range(feathers):
        z = (k - (feathers - 1) / 2)
        way = unit([-1, b.u(-.3, .25) if k == 0 else .0, z * .35])
        b.add(b.part(f"tail feather {k}", "tail"), Ellipsoid([-.32, 0, 0] + way * tail * .6, (.07, tail * .6, .022), frame_along(way)), softness=.2)
    if b.chance(.75):
        leg = b.u(.12, .6)
        thin = b.u(.018, .035)
        for side, name in SIDES:
            group = f"{name} leg"
            hip = np.array([-.03, -r * .6, side * r * .45])
            knee, foot = hip + [-.03, -.12 - leg * .4, 0], hip + [.0, -.14 - leg, 0]
            b.add(b.part(f"{name} thigh", group), RoundCone(hip, knee, thin * 2.6, thin * 1.2))
            b.add(b.part(f"{name} shank", group), RoundCone(knee, foot, thin, thin * .9), softness=.3)
            for toe in range(3):
                a = (toe - 1) * .6
                b.add(b.part(f"{name} foot", group), RoundCone(foot, foot + [.14 * np.cos(a), -.02, .14 * np.sin(a)], thin * .9, thin * .5), softness=.2)
            b.add(b.part(f"{name} foot", group), RoundCone(foot, foot + [-.07, -.02, 0], thin * .8, thin * .5), softness=.2)


def fish(b: Builder) -> None:
    """Body, head, tail stalk, fins; sharks, dolphins, submarines of flesh."""
    length, tall = .6, b.u(.13, .34)
    wide = tall * b.u(.3, .95)
    b.add(b.part("body", "body"), Ellipsoid((0, 0, 0), (length, tall, wide)))
    if b.chance(.6):
        b.add(b.part("head", "body"), Ellipsoid((length * .62, 0, 0), (length * b.u(.35, .5), tall * .75, wide * .85)))
    stalk = np.array([-length * .95, 0, 0])
    b.add(b.part("tail stalk", "tail"), RoundCone((-length * .5, 0, 0), stalk, tall * .55, tall * .2, flat=1))
    upright = b.chance(.75)
    fluke = tall * b.u(.7, 1.3)
    for s, name in ((1, "upper"), (-1, "lower")):
        way = unit([-.8, s, 0]) if upright else unit([-.8, 0, s])
        frame = np.stack([unit(np.cross(way, [0, 0, 1] if upright else [0, 1, 0])), way, [0, 0, 1] if upright else [0, 1, 0]], 1)
        b.add(b.part(f"{name} fluke", "tail"), Ellipsoid(stalk + way * fluke * .45, (fluke * .24, fluke * .6, .03), frame), softness=.4)
    for k in range(b.n(1, 3)):
        x = b.u(.15, .3) - .32 * k
        way = unit([-.7, 1, 0])
        frame = np.stack([unit(np.cross(way, [0, 0, 1])), way, [0, 0, 1]], 1)
        size = tall * b.u(.35, .8)
        b.add(b.part(f"back fin {k}", "fins"), Ellipsoid(np.array([x, tall * .85, 0]) + way * size * .3, (size * .45, size * .75, .026), frame), softness=.4)
    drop = b.u(-.8, .1)
    for side, name in SIDES:
        way = unit([-.6, drop, side])
        size = tall * b.u(.6, 1.3)
        b.add(b.part(f"{name} fin", "fins"), Ellipsoid(np.array([length * .25, -tall * .3, side * wide * .75]) + way * size * .35, (size * .25, size * .6, .024), frame_along(way)), softness=.4)
        if b.chance(.4):
            b.add(b.part(f"{name} belly fin", "fins"), Ellipsoid(np.array([-length * .35, -tall * .6, side * wide * .3]) + way * size * .2, (size * .15, size * .35, .022), frame_along(way)), softness=.4)
    if b.chance(.8):
        eyes(b, (length * .75, tall * .2, 0), wide * .55, tall * b.u(.1, .2), (1, 0, 0), "body")
    if b.chance(.3):
        b.add(b.part("lip", "body"), Torus((length * 1.02, -.02, 0), wide * .35, .03, rotation_to([1, 0, 0])), softness=.2)
    if b.chance(.15):
        b.add(b.part("sword", "body"), RoundCone((length * .9, 0, 0), (length * 1.6, .02, 0), .05, .008), softness=.4)


def creature(b: Builder) -> None:
    """Any animal that never was: a curved spine, a head, any number of limbs, wings, fins, spikes, a shell."""
    upright = b.chance(.3)
    long = b.u(.5, 1.1)
    points = np.stack([np.linspace(-.5, .5, 5) * long, b.rng.normal(0, .06, 5), np.zeros(5)], 1)
    if upright:
        points = points @ rotation_about("z", b.u(.9, 1.5)).T
    spine = np.stack([np.interp(np.linspace(0, 4, 17), np.arange(5), points[:, k]) for k in range(3)], 1)
    girth = b.u(.12, .28)
    radius = girth * np.interp(np.linspace(0, 1, 17), np.linspace(0, 1, 5), np.append(b.rng.uniform(.6, 1.2, 4), b.u(.5, .9)))
    sections = b.n(1, 3)
    cuts = np.linspace(0, 16, sections + 1).astype(int)
    for i, (p, q) in enumerate(zip(cuts[:-1], cuts[1:])):
        b.add(b.part(f"body {i}", "torso"), Tube(spine[p:q + 1], radius[p:q + 1]))
    ahead, behind = unit(spine[-1] - spine[-3]), unit(spine[0] - spine[2])
    up = np.array([0, 1.0, 0])
    heads = 2 if b.chance(.06) else 1
    for h in range(heads):
        group = "head" if heads == 1 else f"head {h}"
        aim = unit(ahead + up * b.u(-.3, .8) + [0, 0, (h - (heads - 1) / 2) * 1.2])
        neck = b.u(.0, .5) if heads == 1 else b.u(.25, .5)
        base = spine[-1]
        top = base + aim * (radius[-1] * .6 + neck)
        size = girth * b.u(.5, 1.1)
        if neck > .1:
            b.add(b.part(f"{group} neck", group if heads > 1 else "neck"), RoundCone(base, top, radius[-1] * .8, size * .6))
        look = unit(aim * [1, .3, 1] + [.8, b.u(-.3, .1), 0])
        c = top + look * size * .5
        b.add(b.part(f"{group} skull", group), Ellipsoid(c, (size * b.u(.9, 1.4), size * b.u(.8, 1.1), size * b.u(.7, 1.1)), rotation_about("z", float(np.arctan2(look[1], look[0])))))
        snout = size * b.u(.2, 1.6)
        if b.chance(.7):
            b.add(b.part(f"{group} snout", group), RoundCone(c + look * size * .5, c + look * (size * .6 + snout), size * b.u(.4, .7), size * b.u(.2, .5)))
        if b.chance(.4):
            drop = unit(look - up * b.u(.2, .6))
            b.add(b.part(f"{group} jaw", group), RoundCone(c - up * size * .3, c - up * size * .35 + drop * (size * .7 + snout), size * .4, size * .2))
        if b.chance(.7):
            eyes(b, c + look * size * .5 + up * size * .5, size * .5, size * b.u(.12, .3), look, group)
        if b.chance(.45):
            horn_pair(b, c + up * size * .7 + [0, 0, size * .35], size * b.u(.12, .25), size * b.u(.6, 2.2), group)
        elif b.chance(.6):
            ear = size * b.u(.4, 1.4)
            for side, name in SIDES:
                way = unit([-.3, b.u(.2, 1.2), side])
                b.add(b.part(f"{group} {name} ear", group), Ellipsoid(c + [0, size * .5, side * size * .6] + way * ear * .5, (ear * .35, ear * .6, ear * .12), rotation_to(way)), softness=.4)
    if b.chance(.8):
        length, r = b.u(.2, 1.2), radius[0] * b.u(.3, .8)
        tail = arc(spine[0], spine[0] + unit(behind + up * b.u(-.6, .5)) * length, up * length * b.u(-.25, .3), 13)
        cut = b.pick([12, 12, 6])
        width = np.linspace(r, r * b.u(.1, .6), 13)
        b.add(b.part("tail", "tail"), Tube(tail[:cut + 1], width[:cut + 1]))
        if cut < 12:
            b.add(b.part("tail end", "tail"), Tube(tail[cut:], width[cut:]))
        if b.chance(.25):
            b.add(b.part("tail club", "tail"), Ellipsoid(tail[-1], r * b.u(.5, 1.2)), softness=.3)
    pairs = b.n(0, 4)
    for i in range(pairs):
        k = int(np.clip(16 * (i + .5 + b.u(-.3, .3)) / pairs, 0, 16))
        kind = b.pick(["leg", "leg", "leg", "arm", "fin"]) if not upright or i else b.pick(["leg", "leg", "fin"])
        limb_pair(b, spine[k], radius[k], f"{kind} {i}", kind)
    if b.chance(.2):
        k = b.n(7, 13)
        span, slant, chord = b.u(.4, .9), b.u(.1, 1.0), b.u(.12, .2)
        for side, name in SIDES:
            way = unit([-.4, slant, side])
            root = spine[k] + [0, radius[k] * .6, side * radius[k] * .4]
            b.add(b.part(f"{name} wing arm", f"{name} wing"), RoundCone(root, root + way * span, .035, .015), softness=.3)
            b.add(b.part(f"{name} wing", f"{name} wing"), Ellipsoid(root + way * span * .5 - [chord * .8, 0, 0], (chord, span * .5, .014), frame_along(way)), softness=.2)
    if b.chance(.3):
        count, size = b.n(3, 9), girth * b.u(.2, .5)
        for i in range(count):
            k = int(1 + 14 * i / max(count - 1, 1))
            root = spine[k] + up * radius[k] * .9
            way = unit(up + behind * b.u(0, .6))
            b.add(b.part(f"spike {i}", "spikes"), rod(root - way * size * .3, root + way * size, size * .4, size * .04), softness=.2)
    elif b.chance(.2):
        b.add(b.part("shell", "shell"), Ellipsoid(spine[8] + up * girth * .35, (long * .42, girth * 1.2, girth * 1.4)), softness=.1)
    for i in range(b.n(2, 6) if b.chance(.15) else 0):
        k = b.n(2, 14)
        angle = b.u(.2, 2.9)
        way = np.array([0, np.sin(angle), np.cos(angle)])
        b.add(b.part(f"wart {i}", "warts"), Ellipsoid(spine[k] + way * radius[k] * .95, girth * b.u(.1, .25)), softness=.3)


def limb_pair(b: Builder, root, radius: float, name: str, kind: str) -> None:
    """Two mirrored limbs from a point of the spine: jointed legs or arms that end in a foot, claws or a ball; fins."""
    out, forward, length = b.u(.15, .9), b.u(-.4, .4), b.u(.3, .85)
    thick = radius * b.u(.2, .5)
    joints = b.n(1, 3)
    end = b.pick(["foot", "claws", "ball", "none", "hoof"])
    way = unit([forward, -1.0 if kind == "leg" else b.u(-.5, .7), out if kind == "leg" else out + .5])
    swing = np.array([b.u(-.5, .7) if kind == "leg" else b.u(.2, 1.0), -.3 if kind == "leg" else b.u(-.3, .4), -.25])
    for side, which in SIDES:
        group = f"{which} {name}"
        at = np.asarray(root, float) + np.array([0, -.1, side * .75]) * radius
        aim = way * [1, 1, side]
        if kind == "fin":
            b.add(b.part(group, group), Ellipsoid(at + aim * length * .35, (length * .16, length * .45, .02), frame_along(aim)), softness=.4)
            continue
        r = thick
        for j in range(joints):
            tip = at + aim * length / joints * (1.15 if j == 0 else .95)
            b.add(b.part(f"{group} {j}", group), RoundCone(at, tip, r * (1.25 if j == 0 else 1), r * .78))
            at, r = tip, r * .78
            aim = unit(aim + swing * [1, 1, side] * .7)
        if end == "foot":
            b.add(b.part(f"{group} foot", group), Ellipsoid(at + [r * .8, -r * .3, 0], (r * 2.2, r * .8, r * 1.4)), softness=.3)
        elif end == "ball":
            b.add(b.part(f"{group} ball", group), Ellipsoid(at, r * 1.9), softness=.3)
        elif end == "hoof":
            b.add(b.part(f"{group} hoof", group), rod(at + [0, r, 0], at - [0, r, 0], r * 1.1, r * 1.6), softness=.2)
        elif end == "claws":
            for k in range(3):
                a = (k - 1) * .6
                toe = at + np.array([np.cos(a), -.25, np.sin(a)]) * r * 3
                b.add(b.part(f"{group} claws", group), RoundCone(at, toe, r * .55, r * .2), softness=.2)
