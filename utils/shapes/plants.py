"""Plants and soft lobes."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import around, ball, limb, polar, rod, torus, tube
from utils.shapes.elements import SIDES, arc, frame_along
from utils.shapes.solids import rotation_to, unit


def plant(b: Builder) -> None:
    """Pot, stem with branches, leaves, flowers; trees, cacti, mushrooms."""
    kind = b.pick(["pot plant", "tree", "cactus", "mushroom", "flower"])
    if kind in ("pot plant", "cactus", "flower") or b.chance(0.3):
        r = b.u(0.2, 0.35)
        rod(b, "pot", (0, -0.5, 0), (0, -0.1, 0), r * b.u(0.55, 0.95), r, smooth=False)
        if b.chance(0.7):
            torus(b, "pot/pot rim", (0, -0.1, 0), r, r * 0.13, section=b.u(0.6, 1.5), smooth=False)
        if b.chance(0.4):
            rod(b, "pot/saucer", (0, -0.55, 0), (0, -0.49, 0), r * 1.15, r * 1.3, smooth=False)
    if kind == "mushroom":
        return _mushroom(b)
    if kind == "cactus":
        return _cactus(b)
    height = b.u(0.4, 1.0)
    stem = arc((0, -0.25, 0), (b.u(-0.2, 0.2), height, b.u(-0.2, 0.2)), (b.u(-0.15, 0.15), 0, b.u(-0.15, 0.15)), 9)
    thick = b.u(0.02, 0.05) if kind != "tree" else b.u(0.05, 0.11)
    tube(b, "stem", stem, np.linspace(thick, thick * 0.5, 9))
    ends = [stem[-1]]
    for i in range(b.n(2, 6)):
        root = stem[b.n(3, 7)]
        a, up = b.u(0, 6.28), b.u(-0.1, 1.0)
        way = unit([np.cos(a), up, np.sin(a)])
        end = root + way * b.u(0.2, 0.45)
        points = arc(root, end, (0, b.u(-0.05, 0.08), 0))
        tube(b, f"twig {i}/branch {i}", points, np.linspace(thick * 0.6, thick * 0.35, 7))
        ends.append(end)
    crown = b.pick(["leaf", "ball", "flower"]) if kind != "flower" else "flower"
    for i, end in enumerate(ends):
        group = f"twig {i - 1}" if i else "top"
        if crown == "ball":
            ball(b, f"{group}/foliage {i}", end, b.rng.uniform(0.12, 0.28, 3), softness=0.1)
        elif crown == "leaf":
            for j in range(b.n(1, 3)):
                way = unit(b.rng.normal(size=3) + [end[0] * 2, 0.6, end[2] * 2])
                s = b.u(0.15, 0.3)
                middle = end + way * s * 0.7
                ball(b, f"{group}/leaf {i}.{j}", middle, (s * b.u(0.3, 0.5), s, 0.018), frame_along(way), softness=0.2)
        else:
            r = b.u(0.05, 0.09)
            ball(b, f"{group}/blossom {i}", end, (r, r * 0.6, r), softness=0.1)
            petals = b.n(4, 7)
            for j, a in around(petals):
                way = unit([np.cos(a), 0.25, np.sin(a)])
                middle = end + way * r * 1.5
                ball(b, f"{group}/petal {i}.{j}", middle, (r * 0.6, r * 1.1, 0.014), frame_along(way), smooth=False)


def _mushroom(b: Builder) -> None:
    """A group of mushrooms."""
    for i in range(b.n(1, 4)):
        foot = np.array([b.u(-0.4, 0.4), -0.3, b.u(-0.4, 0.4)]) * (i > 0)
        h, r = b.u(0.25, 0.6), b.u(0.15, 0.4)
        limb(b, f"mushroom {i}/stalk {i}", foot, foot + [0, h, 0], r * 0.35, r * 0.25)
        ball(b, f"mushroom {i}/cap {i}", foot + [0, h, 0], (r, r * b.u(0.35, 0.8), r), softness=0.2)


def _cactus(b: Builder) -> None:
    """Trunk with arms and flowers."""
    r = b.u(0.1, 0.18)
    limb(b, "trunk", (0, -0.15, 0), (0, b.u(0.4, 0.8), 0), r, r * 0.9)
    for i in range(b.n(1, 4)):
        a, y = b.u(0, 6.28), b.u(0.0, 0.4)
        out = polar(a, 1)
        elbow = out * b.u(0.25, 0.4) + [0, y, 0]
        limb(b, f"arm {i}/arm {i} base", (0, y, 0), elbow, r * 0.6, r * 0.55)
        limb(b, f"arm {i}", elbow, elbow + [0, b.u(0.15, 0.4), 0], r * 0.55, r * 0.5)
        if b.chance(0.3):
            ball(b, f"arm {i}/flower {i}", elbow + [0, 0.4, 0], r * 0.4, softness=0.2)


def blob(b: Builder) -> None:
    """Two to six soft lobes in a chain or star, with seams and no creases: peanuts, bones, puppets, teddy bears."""
    kind = b.pick(["chain", "star", "bear"])
    if kind == "bear":
        return _bear(b)
    center = np.zeros(3)
    way = unit(b.rng.normal(size=3))
    for i in range(b.n(2, 6)):
        r = b.rng.uniform(0.15, 0.4, 3)
        ball(b, ("first half" if i < 2 else "second half") + f"/lobe {i}", center, r, rotation_to(way))
        if kind == "chain":
            center = center + way * r[1] * b.u(1.1, 1.6)
            way = unit(way + b.rng.normal(size=3) * 0.4)
        else:
            center = unit(b.rng.normal(size=3)) * b.u(0.35, 0.6)
    for i in range(b.n(1, 5) if b.chance(0.5) else 0):
        way = unit(b.rng.normal(size=3))
        ball(b, f"buds/bud {i}", way * 0.4, b.u(0.05, 0.1), softness=0.2)


def _bear(b: Builder) -> None:
    """Teddy bear."""
    ball(b, "torso/belly", (0, 0, 0), (0.3, 0.38, 0.3))
    ball(b, "head", (0.03, 0.55, 0), (0.25, 0.25, 0.28))
    ball(b, "head/snout", (0.27, 0.5, 0), (0.1, 0.09, 0.12))
    for side, name in SIDES:
        ball(b, f"head/{name} ear", (0, 0.77, side * 0.2), (0.05, 0.1, 0.1), softness=0.3)
        limb(b, f"{name} arm", (0.05, 0.2, side * 0.25), (0.25, b.u(-0.1, 0.4), side * 0.5), 0.12, 0.1)
        limb(b, f"{name} leg", (0.05, -0.25, side * 0.18), (0.4, b.u(-0.5, -0.3), side * 0.3), 0.14, 0.12)
        if b.chance(0.5):
            ball(b, f"{name} leg/{name} sole", (0.5, -0.38, side * 0.3), (0.05, 0.12, 0.1), softness=0.2)
