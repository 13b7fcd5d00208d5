"""Plants and soft lobes."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import SIDES, arc, frame_along
from utils.shapes.solids import Ellipsoid, RoundCone, Torus, Tube, rod, rotation_to, unit


def plant(b: Builder) -> None:
    """Pot, stem with branches, leaves, flowers; trees, cacti, mushrooms."""
    kind = b.pick(["pot plant", "tree", "cactus", "mushroom", "flower"])
    if kind in ("pot plant", "cactus", "flower") or b.chance(0.3):
        r = b.u(0.2, 0.35)
        b.add(b.part("pot", "pot"), rod((0, -0.5, 0), (0, -0.1, 0), r * b.u(0.55, 0.95), r), smooth=False)
        if b.chance(0.7):
            b.add(b.part("pot rim", "pot"), Torus((0, -0.1, 0), r, r * 0.13, section=b.u(0.6, 1.5)), smooth=False)
        if b.chance(0.4):
            b.add(b.part("saucer", "pot"), rod((0, -0.55, 0), (0, -0.49, 0), r * 1.15, r * 1.3), smooth=False)
    if kind == "mushroom":
        return _mushroom(b)
    if kind == "cactus":
        return _cactus(b)
    height = b.u(0.4, 1.0)
    stem = arc((0, -0.25, 0), (b.u(-0.2, 0.2), height, b.u(-0.2, 0.2)), (b.u(-0.15, 0.15), 0, b.u(-0.15, 0.15)), 9)
    thick = b.u(0.02, 0.05) if kind != "tree" else b.u(0.05, 0.11)
    b.add(b.part("stem", "stem"), Tube(stem, np.linspace(thick, thick * 0.5, 9)))
    ends = [stem[-1]]
    for i in range(b.n(2, 6)):
        root = stem[b.n(3, 7)]
        a, up = b.u(0, 6.28), b.u(-0.1, 1.0)
        way = unit([np.cos(a), up, np.sin(a)])
        end = root + way * b.u(0.2, 0.45)
        b.add(
            b.part(f"branch {i}", f"twig {i}"),
            Tube(arc(root, end, (0, b.u(-0.05, 0.08), 0)), np.linspace(thick * 0.6, thick * 0.35, 7)),
        )
        ends.append(end)
    crown = b.pick(["leaf", "ball", "flower"]) if kind != "flower" else "flower"
    for i, end in enumerate(ends):
        group = f"twig {i - 1}" if i else "top"
        if crown == "ball":
            b.add(b.part(f"foliage {i}", group), Ellipsoid(end, b.rng.uniform(0.12, 0.28, 3)), softness=0.1)
        elif crown == "leaf":
            for j in range(b.n(1, 3)):
                way = unit(b.rng.normal(size=3) + [end[0] * 2, 0.6, end[2] * 2])
                s = b.u(0.15, 0.3)
                b.add(
                    b.part(f"leaf {i}.{j}", group),
                    Ellipsoid(end + way * s * 0.7, (s * b.u(0.3, 0.5), s, 0.018), frame_along(way)),
                    softness=0.2,
                )
        else:
            r = b.u(0.05, 0.09)
            b.add(b.part(f"blossom {i}", group), Ellipsoid(end, (r, r * 0.6, r)), softness=0.1)
            petals = b.n(4, 7)
            for j in range(petals):
                a = 2 * np.pi * j / petals
                way = unit([np.cos(a), 0.25, np.sin(a)])
                b.add(
                    b.part(f"petal {i}.{j}", group),
                    Ellipsoid(end + way * r * 1.5, (r * 0.6, r * 1.1, 0.014), frame_along(way)),
                    smooth=False,
                )


def _mushroom(b: Builder) -> None:
    """A group of mushrooms."""
    for i in range(b.n(1, 4)):
        at = np.array([b.u(-0.4, 0.4), -0.3, b.u(-0.4, 0.4)]) * (i > 0)
        h, r = b.u(0.25, 0.6), b.u(0.15, 0.4)
        b.add(b.part(f"stalk {i}", f"mushroom {i}"), RoundCone(at, at + [0, h, 0], r * 0.35, r * 0.25))
        b.add(b.part(f"cap {i}", f"mushroom {i}"), Ellipsoid(at + [0, h, 0], (r, r * b.u(0.35, 0.8), r)), softness=0.2)


def _cactus(b: Builder) -> None:
    """Trunk with arms and flowers."""
    r = b.u(0.1, 0.18)
    b.add(b.part("trunk", "trunk"), RoundCone((0, -0.15, 0), (0, b.u(0.4, 0.8), 0), r, r * 0.9))
    for i in range(b.n(1, 4)):
        a, y = b.u(0, 6.28), b.u(0.0, 0.4)
        out = np.array([np.cos(a), 0, np.sin(a)])
        elbow = out * b.u(0.25, 0.4) + [0, y, 0]
        b.add(b.part(f"arm {i} base", f"arm {i}"), RoundCone((0, y, 0), elbow, r * 0.6, r * 0.55))
        b.add(b.part(f"arm {i}", f"arm {i}"), RoundCone(elbow, elbow + [0, b.u(0.15, 0.4), 0], r * 0.55, r * 0.5))
        if b.chance(0.3):
            b.add(b.part(f"flower {i}", f"arm {i}"), Ellipsoid(elbow + [0, 0.4, 0], r * 0.4), softness=0.2)


def blob(b: Builder) -> None:
    """Two to six soft lobes in a chain or star, with seams and no creases: peanuts, bones, puppets, teddy bears."""
    kind = b.pick(["chain", "star", "bear"])
    if kind == "bear":
        return _bear(b)
    at = np.zeros(3)
    way = unit(b.rng.normal(size=3))
    for i in range(b.n(2, 6)):
        r = b.rng.uniform(0.15, 0.4, 3)
        b.add(b.part(f"lobe {i}", "first half" if i < 2 else "second half"), Ellipsoid(at, r, rotation_to(way)))
        if kind == "chain":
            at = at + way * r[1] * b.u(1.1, 1.6)
            way = unit(way + b.rng.normal(size=3) * 0.4)
        else:
            at = unit(b.rng.normal(size=3)) * b.u(0.35, 0.6)
    if b.chance(0.5):
        for i in range(b.n(1, 5)):
            way = unit(b.rng.normal(size=3))
            b.add(b.part(f"bud {i}", "buds"), Ellipsoid(way * 0.4, b.u(0.05, 0.1)), softness=0.2)


def _bear(b: Builder) -> None:
    """Teddy bear."""
    b.add(b.part("belly", "torso"), Ellipsoid((0, 0, 0), (0.3, 0.38, 0.3)))
    b.add(b.part("head", "head"), Ellipsoid((0.03, 0.55, 0), (0.25, 0.25, 0.28)))
    b.add(b.part("snout", "head"), Ellipsoid((0.27, 0.5, 0), (0.1, 0.09, 0.12)))
    for side, name in SIDES:
        b.add(b.part(f"{name} ear", "head"), Ellipsoid((0, 0.77, side * 0.2), (0.05, 0.1, 0.1)), softness=0.3)
        b.add(
            b.part(f"{name} arm", f"{name} arm"),
            RoundCone((0.05, 0.2, side * 0.25), (0.25, b.u(-0.1, 0.4), side * 0.5), 0.12, 0.1),
        )
        b.add(
            b.part(f"{name} leg", f"{name} leg"),
            RoundCone((0.05, -0.25, side * 0.18), (0.4, b.u(-0.5, -0.3), side * 0.3), 0.14, 0.12),
        )
        if b.chance(0.5):
            b.add(
                b.part(f"{name} sole", f"{name} leg"),
                Ellipsoid((0.5, -0.38, side * 0.3), (0.05, 0.12, 0.1)),
                softness=0.2,
            )
