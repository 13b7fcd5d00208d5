"""Machine parts."""

from __future__ import annotations

import numpy as np

from utils.shapes import solids
from utils.shapes.builder import Builder
from utils.shapes.combinators import around, ball, box, lathe, polar, prism, put, rod, torus, tube
from utils.shapes.elements import SIDES, circle, gear_outline, rounded_rectangle, spiral
from utils.shapes.solids import Box, Ellipsoid, Torus, rotation_about, rotation_to


def mechanical(b: Builder) -> None:
    """Flange, bracket with bosses, shaft with steps and gear, knob, valve, bearing block, bolt."""
    b.pick([_flange, _bracket, _shaft, _valve, _bolt, _pipe, _block])(b)


def _flange(b: Builder) -> None:
    """Disc with a bore, bolts or holes, a hub with ribs."""
    flat = rotation_about("x", -np.pi / 2)  # extrudes along y
    r, t, holes = b.u(0.4, 0.6), b.u(0.04, 0.1), b.n(3, 8)
    bore, bolt = r * b.u(0.2, 0.35), r * b.u(0.07, 0.11)
    drilled = b.chance(0.6)
    bores = [circle(bore, 20)] if b.chance(0.5) else []
    if drilled:
        bores += [circle(bolt, 10, (np.cos(a) * r * 0.78, np.sin(a) * r * 0.78)) for _, a in around(holes)]
    prism(b, "flange/disc", (0, 0, 0), circle(r, 40), t, flat, holes=bores)
    for i, a in () if drilled else around(holes):
        p = polar(a, r * 0.78)
        rod(b, f"bolts/bolt {i}", p + [0, t * 0.5, 0], p + [0, t + bolt * 1.2, 0], bolt, segments=6)
    hub = bore * b.u(1.2, 1.9)
    h = b.u(0.15, 0.6)
    lathe(b, "hub", (0, 0, 0), [(bore, 0), (hub, 0), (hub * b.u(0.8, 1), h), (bore, h)])
    if b.chance(0.4):
        torus(b, "hub/collar", (0, h, 0), hub * 0.95, hub * 0.12)
    for i in range(b.n(3, 6) if b.chance(0.5) else 0):
        rib = np.array([(hub * 0.9, t), (r * 0.9, t), (hub * 0.9, h * 0.9)])
        prism(b, f"ribs/rib {i}", (0, 0, 0), rib, 0.025, rotation_about("y", 2 * np.pi * (i + 0.5) / 6))


def _bracket(b: Builder) -> None:
    """Foot plate with lugs, bosses, pins, webs and bolts."""
    flat = rotation_about("x", -np.pi / 2)  # extrudes along y
    w, t, reach = b.u(0.25, 0.45), b.u(0.04, 0.08), b.u(0.4, 0.7)
    holes = [circle(0.06, 12, (sx * reach * 0.7, sz * w * 0.6)) for sx in (-1, 1) for sz in (-1, 1)]
    prism(b, "foot", (0, 0, 0), rounded_rectangle(reach, w, b.u(0.02, 0.12)), t, flat, holes=holes)
    for i, s in enumerate((-1, 1) if b.chance(0.5) else (0,)):
        x = s * reach * 0.4
        h = b.u(0.4, 0.7)
        outline = np.concatenate([[(-w * 0.8, 0), (w * 0.8, 0)], circle(w * 0.5, 16, (0, h))[:9]])
        frame = rotation_about("y", np.pi / 2)
        prism(b, f"lug {i}", (x, 0, 0), outline, t, frame, holes=[circle(w * 0.22, 14, (0, h))])
        profile = [(w * 0.22, 0), (w * 0.36, 0), (w * 0.36, t * 4), (w * 0.22, t * 4)]
        lathe(b, f"lug {i}/boss {i}", (x - t * 2, h, 0), profile, rotation_to((1, 0, 0)))
        if b.chance(0.5):
            rod(b, f"pin {i}", (x - t * 4, h, 0), (x + t * 4, h, 0), w * 0.2, bevel=0.2)
        if b.chance(0.4):
            prism(b, f"lug {i}/web {i}", (x, t, 0), np.array([(0, 0), (reach * 0.45, 0), (0, h * 0.6)]), 0.03)
    for i in range(b.n(1, 4) if b.chance(0.5) else 0):
        p = np.array([(-1) ** i * reach * 0.7, t, (-1) ** (i // 2) * w * 0.6])
        rod(b, f"bolts/bolt {i}", p, p + [0, 0.07, 0], 0.085, segments=6)


def _shaft(b: Builder) -> None:
    """Stepped shaft with rings, gears and a crank."""
    x = -0.8
    for i in range(b.n(3, 7)):
        reach, r = b.u(0.1, 0.4), b.u(0.06, 0.18)
        form = b.pick(["rod", "rod", "cone", "gear", "ring"])
        if form == "gear":
            wheel, half = b.u(0.25, 0.42), b.u(0.05, 0.09)
            turn = rotation_to((1, 0, 0)) @ rotation_about("x", np.pi / 2)
            prism(b, f"gear {i}", (x + half, 0, 0), gear_outline(wheel, b.n(8, 20), wheel * 0.18), half, turn)
            rod(b, f"gear {i}/gear hub {i}", (x - 0.03, 0, 0), (x + 2 * half + 0.03, 0, 0), wheel * 0.5)
            reach = 2 * half
        else:
            end = r * b.u(0.4, 1.2) if form == "cone" else r
            bevel = 0.08 if b.chance(0.5) else 0
            rod(b, f"shaft/step {i}", (x, 0, 0), (x + reach + 0.01, 0, 0), r, end, bevel)
            if form == "ring":
                torus(b, f"shaft/ring {i}", (x + reach / 2, 0, 0), r, r * 0.3, rotation_to((1, 0, 0)))
        x += reach
    if b.chance(0.4):
        box(b, "crank", (x, 0.2, 0), (0.04, 0.28, 0.06), rounding=0.02)
        rod(b, "crank/crank grip", (x, 0.42, 0), (x + 0.35, 0.42, 0), 0.05, 0.06, 0.2)


def _valve(b: Builder) -> None:
    """Pipe with flanges, a bonnet and a hand wheel."""
    r = b.u(0.1, 0.18)
    rod(b, "pipe", (-0.7, 0, 0), (0.7, 0, 0), r)
    for s, name in SIDES:
        rod(b, f"pipe/{name} flange", (s * 0.66, 0, 0), (s * 0.76, 0, 0), r * b.u(1.6, 2.2))
    ball(b, "body", (0, 0, 0), (r * 2, r * 1.7, r * 1.7))
    rod(b, "body/bonnet", (0, r, 0), (0, r * 2.6, 0), r * 1.1, r * 0.7)
    rod(b, "wheel/stem", (0, r * 2, 0), (0, 0.65, 0), r * 0.25)
    wheel = b.u(0.25, 0.38)
    torus(b, "wheel/wheel rim", (0, 0.62, 0), wheel, wheel * b.u(0.08, 0.16))
    for i in range(b.n(3, 5)):
        a = i * 2 * np.pi / 4
        rod(b, f"wheel/spoke {i}", (0, 0.62, 0), polar(a, wheel, 0.62), wheel * 0.07)
    ball(b, "wheel/wheel hub", (0, 0.63, 0), r * 0.5)


def _bolt(b: Builder) -> None:
    """Bolt with a thread, nuts and washers."""
    r = b.u(0.08, 0.16)
    rod(b, "bolt/shank", (0, -0.7, 0), (0, 0.5, 0), r)
    rod(b, "bolt/head", (0, 0.45, 0), (0, 0.45 + r * 1.4, 0), r * 1.9, bevel=0.1, segments=b.pick([4, 6, 6, 24]))
    if b.chance(0.6):
        tube(b, "bolt/thread", spiral((-r, -0.68, 0), (0, 1, 0), r, 8, 0.6, 90), r * 0.16, sides=5)
    for i in range(b.n(0, 2)):
        y = -0.3 + 0.35 * i
        rod(b, f"nut {i}", (0, y, 0), (0, y + r * 1.3, 0), r * 1.8, bevel=0.1, segments=6)
        rod(b, f"nut {i}/washer {i}", (0, y - r * 0.25, 0), (0, y + 0.01, 0), r * 2.3)


def _pipe(b: Builder) -> None:
    """Pipe runs with elbows, sleeves and an end flange."""
    r = b.u(0.1, 0.17)
    joint, way = np.zeros(3), np.array([0.0, 1, 0])
    for i in range(b.n(2, 5)):
        end = joint + way * b.u(0.35, 0.7)
        rod(b, f"run {i}/pipe {i}", joint, end, r)
        if b.chance(0.6):
            mid = joint + (end - joint) * 0.5
            rod(b, f"run {i}/sleeve {i}", mid - way * r * 0.5, mid + way * r * 0.5, r * 1.25, bevel=0.1)
        put(b, f"elbow {i}", Ellipsoid(end, r * 1.2) if b.chance(0.6) else Torus(end, r, r * 0.3, rotation_to(way)))
        joint, way = end, np.roll(way, b.n(1, 2)) * b.pick([-1, 1])
    rod(b, "end/end flange", joint, joint + way * 0.1, r * 1.9)


def _block(b: Builder) -> None:
    """Block with bosses and caps, perhaps drilled and milled."""
    w = b.rng.uniform(0.25, 0.6, 3)
    box(b, "block", (0, 0, 0), w, rounding=b.pick([0, 0.04]))
    for _ in range(b.n(1, 4) if b.smooth else 0):  # drilled and milled away
        axis, middle = b.n(0, 2), b.rng.uniform(-0.7, 0.7, 3) * w
        way, r = np.eye(3)[axis], b.u(0.06, 0.2)
        bore = solids.rod(middle - way * 2 * w[axis], middle + way * b.pick([0, 2 * w[axis]]), r)
        pocket = Box(middle + way * w[axis], b.rng.uniform(0.1, 0.3, 3))
        put(b, "block", b.pick([bore, pocket]), softness=0.05, carve=True)
    for i in range(b.n(2, 7)):
        axis, s = b.n(0, 2), b.pick([-1, 1])
        p = b.rng.uniform(-0.7, 0.7, 3) * w
        p[axis] = s * w[axis]
        way, r = np.eye(3)[axis] * s, b.u(0.05, 0.16)
        end = p + way * b.u(0.06, 0.3)
        path = f"feature {i}/boss {i}"
        rod(b, path, p - way * 0.02, end, r, r * b.u(0.7, 1), segments=b.pick([6, 24, 24]))
        if b.chance(0.4):
            cap = Ellipsoid(p + way * 0.2, r * 0.8) if b.chance(0.5) else solids.rod(p, p + way * 0.38, r * 0.5)
            put(b, f"feature {i}/cap {i}", cap)
