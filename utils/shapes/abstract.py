"""Letters and outlines, buildings, and soups of primitives."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import ball, bar, box, centred, limb, polar, prism, put, rod, row, span, torus
from utils.shapes.elements import circle, random_solid, star_outline
from utils.shapes.solids import Ellipsoid, Superquadric, rotation_about, unit

LETTERS = {  # strokes of letters on a 2 x 4 grid
    "A": [((0, 0), (1, 4)), ((1, 4), (2, 0)), ((0.4, 1.5), (1.6, 1.5))],
    "E": [((0, 0), (0, 4)), ((0, 4), (2, 4)), ((0, 2), (1.6, 2)), ((0, 0), (2, 0))],
    "F": [((0, 0), (0, 4)), ((0, 4), (2, 4)), ((0, 2), (1.6, 2))],
    "H": [((0, 0), (0, 4)), ((2, 0), (2, 4)), ((0, 2), (2, 2))],
    "K": [((0, 0), (0, 4)), ((0, 2), (2, 4)), ((0.4, 2.3), (2, 0))],
    "L": [((0, 0), (0, 4)), ((0, 0), (2, 0))],
    "N": [((0, 0), (0, 4)), ((0, 4), (2, 0)), ((2, 0), (2, 4))],
    "T": [((1, 0), (1, 4)), ((-0.2, 4), (2.2, 4))],
    "X": [((0, 0), (2, 4)), ((0, 4), (2, 0))],
    "Y": [((1, 0), (1, 2)), ((1, 2), (0, 4)), ((1, 2), (2, 4))],
    "Z": [((0, 4), (2, 4)), ((2, 4), (0, 0)), ((0, 0), (2, 0))],
}


def letters(b: Builder) -> None:
    """Letters of strokes, signs, stars and outlines with holes, extruded, on plates or posts."""
    if b.chance(0.55):
        return _word(b)
    z = 0.0
    for i in range(b.n(1, 4)):
        outline = star_outline(b) * b.u(0.8, 1.3) * (1 - 0.18 * i)
        half = b.u(0.04, 0.14)
        holes = [circle(b.u(0.05, 0.12), 14)] if b.chance(0.3) and i == 0 else []
        prism(b, f"layers/layer {i}", (0, 0, z), outline, half, rotation_about("z", b.u(0, 6)), holes=holes, bevel=0.02)
        z += half * 1.6
    if b.chance(0.5):
        bar(b, "post", (0, -1.1, 0), (0, -0.2, 0), 0.05, b.chance(0.5))
        if b.chance(0.6):
            rod(b, "post/foot", (0, -1.15, 0), (0, -1.08, 0), 0.25, 0.2)
    for i in range(b.n(0, 4)):
        a = b.u(0, 6.28)
        ball(b, f"studs/stud {i}", (np.cos(a) * 0.25, np.sin(a) * 0.25, z), b.u(0.03, 0.07))


def _word(b: Builder) -> None:
    """One to three letters of square or round strokes, perhaps on a plate or stand."""
    count = b.n(1, 3)
    depth, width = b.u(0.06, 0.2), b.u(0.05, 0.12)
    round_stroke = b.chance(0.3)
    for i, x in centred(count, 0.8):
        for j, stroke in enumerate(LETTERS[b.pick(list(LETTERS))]):
            p, q = (np.array([s[0] * 0.25 + x - 0.25, s[1] * 0.25 - 0.5, 0]) for s in stroke)
            path = f"letter {i}/letter {i} stroke {j}"
            if round_stroke:
                limb(b, path, p, q, width)
                continue
            way = unit(q - p)
            half = (width, np.linalg.norm(q - p) / 2 + width * 0.6, depth * b.u(0.9, 1.1))
            box(b, path, (p + q) / 2, half, np.stack([np.cross(way, [0, 0, 1]), way, [0, 0, 1]], 1))
    if b.chance(0.35):
        box(b, "plate", (0, 0, -depth), (0.45 * count + 0.1, 0.65, 0.04))
    if b.chance(0.3):
        box(b, "plate/stand", (0, -0.62, 0), (0.42 * count + 0.1, 0.08, depth * 2))


def building(b: Builder) -> None:
    """House, tower, castle, temple: bodies, roofs, windows, doors, chimneys, columns, battlements, steps."""
    kind = b.pick(["house", "tower", "castle", "temple", "block"])
    if kind == "temple":
        return _temple(b)
    return _house(b, kind) if kind in ("house", "block") else _castle(b, kind)


def _house(b: Builder, kind: str) -> None:
    """House with a gable, chimney and dormer, or block with a flat roof; windows, door, porch, steps."""
    w, d, h = b.u(0.3, 0.5), b.u(0.3, 0.7), b.u(0.25, 0.4) if kind == "house" else b.u(0.5, 0.9)
    box(b, "house/walls", (0, 0, 0), (w, h, d))
    if kind == "house":
        _gable(b, w, d, h)
    else:
        box(b, "roof/roof slab", (0, h, 0), (w * 1.06, 0.03, d * 1.06))
        for i in range(b.n(0, 3)):
            middle = (b.u(-0.5, 0.5) * w, h + 0.08, b.u(-0.6, 0.6) * d)
            box(b, f"roof/roof unit {i}", middle, b.rng.uniform(0.05, 0.12, 3))
    rows, cols = (b.n(1, 2), b.n(2, 3)) if kind == "house" else (b.n(3, 5), b.n(2, 4))
    size = (0.025, h / rows * 0.35, d / cols * 0.4)
    for side, name in ((1, "front"), (-1, "rear")):
        for i in range(rows):
            for j, z in row(cols, -d, d):
                y = -h + 2 * h * (i + 0.6) / rows
                box(b, f"{name} windows/{name} window {i}.{j}", (side * w, y, z), size)
    box(b, "entrance/door", (0, -h * 0.6, d), (0.1, h * 0.4, 0.025))
    if b.chance(0.5):
        box(b, "entrance/porch", (0, -h * 0.1, d + 0.1), (0.17, 0.02, 0.13))
        for s in (-1, 1):
            rod(b, f"entrance/porch post {s}", (s * 0.15, -h, d + 0.2), (s * 0.15, -h * 0.1, d + 0.2), 0.02)
    for i in range(b.n(0, 3)):
        box(b, f"entrance/step {i}", (0, -h + 0.03 * (3 - i), d + 0.06 * (i + 1)), (0.14, 0.03 * (3 - i), 0.03))


def _gable(b: Builder, w: float, d: float, h: float) -> None:
    """Gabled or pointed roof of a house, with chimney and dormer."""
    rise = b.u(0.2, 0.5)
    gable = np.array([(-w * 1.15, 0), (w * 1.15, 0), (0, rise)])
    if b.chance(0.7):
        prism(b, "roof", (0, h * 0.98, 0), gable, d * 1.1)
    else:
        rod(b, "roof", (0, h * 0.98, 0), (0, h + rise, 0), max(w, d) * 1.5, 0.02, segments=4, spin=np.pi / 4)
    if b.chance(0.7):
        x, top = b.u(-0.6, 0.6) * w, h + rise * 0.7
        box(b, "roof/chimney", (x, top, d * 0.4), (0.06, 0.2, 0.06))
        if b.chance(0.5):
            rod(b, "roof/chimney pot", *span(x, (top + 0.2, top + 0.28), d * 0.4), 0.045)
    if b.chance(0.4):
        y = h + rise * 0.35
        box(b, "dormer", (w * 0.6, y, 0), (w * 0.35, 0.1, 0.12))
        outline = np.array([(-0.15, 0), (0.15, 0), (0, 0.12)])
        prism(b, "dormer/dormer roof", (w * 0.6, y + 0.09, 0), outline, w * 0.4, rotation_about("y", np.pi / 2))


def _castle(b: Builder, kind: str) -> None:
    """One tower, or several with walls between them; roofs with flags or battlements."""
    towers = 1 if kind == "tower" else b.n(2, 4)
    spots = [(0, 0)] if towers == 1 else [(0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5)][:towers]
    round_tower = b.chance(0.6)
    for i, (x, z) in enumerate(spots):
        h, r = b.u(0.6, 1.2) * (1.4 if towers == 1 else 1), b.u(0.13, 0.22)
        g = f"tower {i}"
        sides = 24 if round_tower else 4
        foot = np.array([x, -0.5, z])
        rod(b, f"{g}/{g} shaft", foot, foot + [0, h, 0], r * 1.1, r, segments=sides)
        if b.chance(0.5):
            rod(b, f"{g}/{g} gallery", foot + [0, h * 0.95, 0], foot + [0, h * 1.05, 0], r * 1.3, segments=sides)
        if b.chance(0.6):
            rod(b, f"{g}/{g} roof", foot + [0, h, 0], foot + [0, h + b.u(0.2, 0.5), 0], r * 1.35, 0.01, segments=sides)
            if b.chance(0.4):
                rod(b, f"{g}/{g} flag pole", foot + [0, h + 0.15, 0], foot + [0, h + 0.65, 0], 0.015)
                box(b, f"{g}/{g} flag", foot + [0.09, h + 0.58, 0], (0.08, 0.05, 0.008))
        else:
            for k in range(6):
                a = k * np.pi / 3
                place = foot + polar(a, r * 0.9, h + 0.04)
                box(b, f"{g}/{g} merlon {k}", place, (0.04, 0.06, 0.04), rotation_about("y", -a))
        for k in range(b.n(1, 4)):
            a = b.u(0, 6.28)
            place = foot + [np.cos(a) * r, h * b.u(0.3, 0.9), np.sin(a) * r]
            box(b, f"{g}/{g} window {k}", place, (0.03, 0.06, 0.035), rotation_about("y", -a))
    for i in range(towers if towers > 2 else towers - 1):
        p, q = np.array(spots[i]), np.array(spots[(i + 1) % towers])
        middle, along = (p + q) / 2, q - p
        turn = rotation_about("y", -float(np.arctan2(along[1], along[0])))
        box(b, f"wall {i}", (middle[0], -0.25, middle[1]), (np.linalg.norm(along) / 2, 0.25, 0.05), turn)
    if b.chance(0.5):
        rod(b, "mound", (0, -0.62, 0), (0, -0.48, 0), 0.95, 0.85)


def _temple(b: Builder) -> None:
    """Steps, columns with capitals, architrave, pediment."""
    w, d = b.u(0.35, 0.5), b.u(0.5, 0.8)
    for i in range(b.n(1, 3)):
        box(b, f"base/step {i}", (0, -0.4 - 0.06 * i, 0), (w + 0.06 * i, 0.03, d + 0.06 * i))
    n = b.n(3, 6)
    for j in range(n):
        z = -d * 0.88 + 2 * d * 0.88 * j / (n - 1)
        for s in (-1, 1):
            g = f"column {j} {s}"
            rod(b, f"{g}/{g} shaft", (s * w * 0.85, -0.38, z), (s * w * 0.85, 0.2, z), 0.05, 0.042)
            box(b, f"{g}/{g} capital", (s * w * 0.85, 0.2, z), (0.065, 0.03, 0.065))
            if b.chance(0.5):
                torus(b, f"{g}/{g} base", (s * w * 0.85, -0.36, z), 0.05, 0.02)
    box(b, "roof/architrave", (0, 0.26, 0), (w, 0.04, d))
    prism(b, "roof/pediment", (0, 0.29, 0), np.array([(-w * 1.08, 0), (w * 1.08, 0), (0, b.u(0.15, 0.35))]), d * 1.05)
    if b.chance(0.5):
        box(b, "cella", (0, -0.1, 0), (w * 0.5, 0.32, d * 0.6))


def soup(b: Builder) -> None:
    """Primitives attached to each other in a random tree, with small parts on large ones; groups are subtrees."""
    count = b.n(3, 12)
    nodes = [(np.zeros(3), 0.5, "core")]
    core = b.part("core", "core")
    b.add(core, random_solid(b, (0, 0, 0), 0.5))
    for _ in range(b.n(1, 3) if b.smooth and b.chance(0.35) else 0):  # dents and holes
        b.add(core, random_solid(b, unit(b.rng.normal(size=3)) * 0.45, b.u(0.12, 0.35)), softness=0.1, carve=True)
    symmetric = b.chance(0.4)
    for i in range(count):
        origin, size, group = nodes[b.n(0, len(nodes) - 1)]
        way = unit(b.rng.normal(size=3))
        small = size * b.u(0.25, 0.75)
        center = origin + way * (size * 0.75 + small * 0.3)
        name = f"branch {i}" if group == "core" else group
        solid = random_solid(b, center, small)
        put(b, f"{name}/piece {i}", solid)
        nodes.append((center, small, name))
        if symmetric and abs(center[2]) > 0.1 and isinstance(solid, (Ellipsoid, Superquadric)):
            turn = np.diag([1, 1, -1.0]) @ solid.rotation @ np.diag([1, 1, -1.0])
            ball(b, (name + " mirrored") + f"/piece {i} mirrored", center * [1, 1, -1], solid.radii, turn)
