"""Lamps, and things of many equal parts in a row."""

from __future__ import annotations

import itertools

import numpy as np

from utils.shapes import solids
from utils.shapes.builder import Builder
from utils.shapes.combinators import around, ball, bar, box, centred, lathe, polar, put, rod, row, span, torus, tube
from utils.shapes.elements import SIDES, arc, circle, rounded_rectangle, spiral
from utils.shapes.solids import Box, Ellipsoid, Lathe, Prism, rotation_about, rotation_to, unit


def lamp(b: Builder) -> None:
    """Desk, floor, table and hanging lamps: base, stand or jointed arms, shade, bulb, switch."""
    kind = b.pick(["desk", "desk", "table", "floor", "hanging"])
    thin = b.u(0.015, 0.035)
    if kind == "hanging":
        rod(b, "mount/canopy", (0, 0.7, 0), (0, 0.78, 0), 0.15, 0.12)
        rod(b, "mount/cord", (0, 0.1, 0), (0, 0.72, 0), thin * 0.6)
        shade(b, np.array([0, 0.1, 0]), np.array([0, -1, 0.0]), b.u(0.25, 0.5))
        return
    r, floor = b.u(0.2, 0.38), -0.7
    drum = solids.rod((0, floor, 0), (0, floor + 0.08, 0), r, r * 0.9, 0.1)
    plate = Box((0, floor + 0.04, 0), (r, 0.04, r * 0.8), rounding=0.02)
    dome = Lathe((0, floor, 0), [(0, 0), (r, 0), (r, 0.03), (r * 0.4, 0.09), (r * 0.15, 0.16), (0, 0.17)])
    put(b, "base", b.pick([drum, plate, dome]))
    if b.chance(0.4):
        rod(b, "base/switch", (r * 0.55, floor + 0.05, 0), (r * 0.55, floor + 0.12, 0), 0.035, 0.03)
    if kind == "desk":
        return _lamp_arms(b, floor, thin)
    height = b.u(0.5, 0.8) if kind == "table" else b.u(1.0, 1.5)
    top = np.array([0, floor + height, 0])
    if b.chance(0.5) and kind == "table":
        t = np.linspace(0, 1, 11)
        radius = b.u(0.07, 0.16) * (1 + 0.5 * np.sin(t * b.u(3, 9) + b.u(0, 6)))
        lathe(b, "stand/body", (0, floor + 0.06, 0), [(0, 0), *zip(radius, t * (height - 0.08)), (0, height - 0.08)])
    else:
        rod(b, "stand/pole", (0, floor, 0), top, thin)
        for i in range(b.n(0, 2)):
            torus(b, f"stand/collar {i}", (0, floor + height * b.u(0.2, 0.9), 0), thin * 1.3, thin * 0.8)
    rod(b, "stand/socket", top - [0, 0.1, 0], top + [0, 0.05, 0], thin * 1.8)
    if b.chance(0.8):
        shade(b, top + [0, b.u(0.25, 0.4), 0], np.array([0, -1.0, 0]), b.u(0.25, 0.45))
    else:
        ball(b, "shade/globe", top + [0, 0.15, 0], b.u(0.13, 0.25))
    if b.chance(0.3):
        pull = top + [0.12, -0.3, 0]
        rod(b, "stand/chain", top + [0.12, 0, 0], pull, 0.008)
        ball(b, "stand/pull", pull, 0.025)


def _lamp_arms(b: Builder, floor: float, thin: float) -> None:
    """The jointed arms of a desk lamp, perhaps in pairs or with springs, and its shade."""
    knob = thin * b.u(1.6, 2.6)
    joint, angle = np.array([b.u(-0.1, 0.1), floor + 0.08, 0]), b.u(1.3, 2.3)
    arms, twin = b.n(1, 3), b.chance(0.35)
    for i in range(arms):
        way = np.array([np.cos(angle), np.sin(angle), 0])
        end = joint + way * b.u(0.4, 0.75)
        for side, name in SIDES if twin else ((0, "main"),):
            off = np.array([0, 0, side * thin * 1.5])
            bar(b, f"arm {i}/arm {i} {name}", joint + off, end + off, thin, b.chance(0.2))
        if b.chance(0.6):
            ends = joint - [0, 0, knob * 1.3], joint + [0, 0, knob * 1.3]
            rod(b, f"joints/joint {i}", *ends, knob, bevel=0.2)
        else:
            ball(b, f"joints/joint {i}", joint, knob * 1.2)
        if b.chance(0.25):
            spring = spiral(joint + way * 0.05 + [0, thin * 2, 0], way, thin * 0.7, 5, 0.25, 40)
            tube(b, f"arm {i}/spring {i}", spring, thin * 0.28, sides=6)
        joint, angle = end, angle - b.u(0.7, 1.6)
    ball(b, "joints/head joint", joint, knob * 1.2)
    shade(b, joint, np.array([np.cos(b.u(-2.2, -0.4)), -1.0, b.u(-0.3, 0.3)]), b.u(0.17, 0.32))


def shade(b: Builder, at, way, size: float) -> None:
    """A thin-walled lampshade that opens along `way` from its neck `at`, with a bulb in it."""
    way = unit(way)
    deep, neck, wall = size * b.u(0.9, 1.6), size * b.u(0.15, 0.7), size * 0.06
    if b.chance(0.5):
        profile = [(neck, 0), (size, deep), (size - wall, deep), (max(neck - wall, 0.01), 0.02)]
    else:
        a = np.linspace(0, np.pi / 2, 7)
        outer = np.stack([neck * 0.3 + (size - neck * 0.3) * np.sin(a), deep * (1 - np.cos(a))], 1)
        inner = outer[::-1] * [1 - 0.08, 1]
        profile = np.concatenate([outer, inner + [0, 0.01]])
    lathe(b, "shade", at, profile, rotation_to(way), segments=36, softness=0.1)
    if b.chance(0.7):
        ball(b, "light/bulb", at + way * deep * 0.6, size * b.u(0.2, 0.4), smooth=False)
        rod(b, "light/bulb socket", at, at + way * deep * 0.45, size * 0.14, smooth=False)
    if b.chance(0.3):
        torus(b, "shade/rim", at + way * deep, size, wall * 0.8, rotation_to(way), smooth=False)
    if b.chance(0.25):
        ball(b, "shade/finial", at - way * size * 0.1, max(neck * 0.5, 0.03), smooth=False)


def rack(b: Builder) -> None:
    """Ladders, shelves, baskets, gratings, stairs, chains, swings: many equal thin parts in a row."""
    b.pick([_ladder, _shelf, _basket, _grate, _stairs, _chain, _xylophone])(b)


def _ladder(b: Builder) -> None:
    """Rails and rungs."""
    t, square = b.u(0.015, 0.045), b.chance(0.5)
    w, h, n = b.u(0.18, 0.35), 0.9, b.n(4, 9)
    for side, name in SIDES:
        bar(b, f"rails/{name} rail", (0, -h, side * w), (0, h, side * w * b.u(0.7, 1)), t * 1.3, square)
    for i, y in row(n, -h, h, 0.7):
        bar(b, f"rungs/rung {i}", (0, y, -w), (0, y, w), t, b.chance(0.5))
    for side, name in SIDES if b.chance(0.4) else ():
        bar(b, f"prop/{name} prop", (0, h * 0.95, side * w * 0.8), (-0.5, -h, side * w), t, square)


def _shelf(b: Builder) -> None:
    """Boards with things on them between posts."""
    t, square = b.u(0.015, 0.045), b.chance(0.5)
    w, d, n = b.u(0.4, 0.7), b.u(0.15, 0.25), b.n(3, 5)
    for i, y in row(n, -0.8, 0.8, 0):
        box(b, f"level {i}/board {i}", (0, y, 0), (d, 0.025, w))
        for j in range(b.n(0, 4)):
            z, s = -w * 0.8 + b.u(0, 0.4) * w + j * w * 0.4, b.u(0.05, 0.12)
            book, jar = Box((0, y + s, z), (s * 0.8, s, s * 0.5)), solids.rod((0, y, z), (0, y + s * 2, z), s * 0.6)
            put(b, f"level {i}/item {i}.{j}", b.pick([book, jar, Ellipsoid((0, y + s * 0.9, z), s * 0.8)]))
    for sx, (side, name) in itertools.product((-1, 1), SIDES):
        bar(b, f"posts/post {sx} {name}", *span(sx * d * 0.9, (-0.95, 0.9), side * w * 0.97), t, square)


def _basket(b: Builder) -> None:
    """Stakes and hoops."""
    t = b.u(0.015, 0.045)
    r, h, n = b.u(0.3, 0.45), b.u(0.3, 0.5), b.n(8, 14)
    flare = b.u(1, 1.4)
    rod(b, "bottom", (0, -0.02, 0), (0, 0.03, 0), r)
    for i, a in around(n):
        out = polar(a, 1)
        rod(b, f"stakes/stake {i}", out * r * 0.95, out * r * flare + [0, h, 0], t * 0.7)
    for i in range(b.n(1, 4)):
        s = (i + 1) / 4
        torus(b, f"hoops/hoop {i}", (0, h * s, 0), r * (1 + (flare - 1) * s), t * 0.8)
    torus(b, "rim", (0, h, 0), r * flare, t * 1.3)
    if b.chance(0.6):
        tube(b, "handle", arc((0, h, -r * flare), (0, h, r * flare), (0, b.u(0.3, 0.5), 0), 13), t * 1.2)


def _grate(b: Builder) -> None:
    """Bars in a frame."""
    t, square = b.u(0.015, 0.045), b.chance(0.5)
    w, h, n = b.u(0.4, 0.8), b.u(0.4, 0.6), b.n(4, 10)
    for s in (-1, 1):
        bar(b, f"frame/frame side {s}", (0, -h, s * w), (0, h, s * w), t * 1.5, square)
        bar(b, f"frame/frame end {s}", (0, s * h, -w), (0, s * h, w), t * 1.5, square)
    for i, z in row(n, -w, w, 1):
        bar(b, f"bars/bar {i}", (0, -h, z), (0, h, z), t * 0.8, square)
    for i, y in itertools.islice(row(3, -h, h, 1), b.n(0, 3)):
        bar(b, f"cross bars/cross bar {i}", (t, y, -w), (t, y, w), t * 0.8, square)


def _stairs(b: Builder) -> None:
    """Treads with railings."""
    t, square = b.u(0.015, 0.045), b.chance(0.5)
    n, w = b.n(4, 8), b.u(0.25, 0.45)
    step, rise = 1.3 / n, b.u(0.8, 1.2) / n
    solid = b.chance(0.5)
    treads = [(-0.65 + step * (i + 0.5), -0.5 + rise * (i + 1)) for i in range(n)]
    for i, (x, y) in enumerate(treads):
        half = (y + 0.5) / 2 if solid else 0.025
        box(b, f"treads/tread {i}", (x, y - half, 0), (step * 0.5 if solid else step * 0.55, half, w))
    for side, name in SIDES:
        if b.chance(0.7):
            z = side * w * 0.92
            for i in range(0, n, b.n(1, 2)):
                x, y = treads[i]
                rod(b, f"{name} railing/{name} baluster {i}", (x, y - 0.05, z), (x, y + 0.35, z), t * 0.7)
            low, high = -0.5 + rise * 0.5 + 0.35, -0.5 + rise * (n + 0.5) + 0.35
            bar(b, f"{name} railing/{name} hand rail", (-0.65, low, z), (0.65, high, z), t * 1.1, square)


def _chain(b: Builder) -> None:
    """Links, perhaps with a pendant."""
    n = b.n(3, 6)
    major, minor = b.u(0.12, 0.17), b.u(0.03, 0.05)
    loop = rounded_rectangle(major * 1.6, major, major * 0.9, 7)
    pitch = 2 * (major * 1.6 - minor)
    for i, x in centred(n, pitch):
        ring = np.c_[loop, np.zeros(len(loop))]
        ring = np.concatenate([ring, ring[:1]]) @ rotation_about("x", i % 2 * np.pi / 2).T + [x, 0, 0]
        tube(b, ("first half" if i < n / 2 else "second half") + f"/link {i}", ring, minor, sides=10)
    if b.chance(0.6):
        middle = ((n - 1) / 2 * pitch + major * 1.4 + 0.15, 0, 0)
        medal = Prism(middle, circle(0.2, 6), 0.05)
        put(b, "pendant", b.pick([Ellipsoid(middle, 0.18), Box(middle, (0.18, 0.14, 0.06)), medal]))


def _xylophone(b: Builder) -> None:
    """Bars on runners, with a mallet."""
    t = b.u(0.015, 0.045)
    n = b.n(4, 9)
    for i, z in centred(n, 0.17):
        box(b, f"bars/bar {i}", (0, 0.06, z), (0.45 - 0.028 * i, 0.025, 0.065), rounding=0.01)
        for s in (-1, 1):
            rod(b, f"nails/nail {i} {s}", (s * 0.25, 0.07, z), (s * 0.25, 0.115, z), 0.018)
    for s in (-1, 1):
        bar(b, f"runners/runner {s}", (s * 0.27, 0, -n * 0.09), (s * 0.22, 0, n * 0.09), t * 1.3, True)
    if b.chance(0.6):
        rod(b, "mallet/mallet stick", (-0.2, 0.16, -0.3), (0.3, 0.13, 0.25), 0.016)
        ball(b, "mallet/mallet head", (0.3, 0.13, 0.25), 0.05)
