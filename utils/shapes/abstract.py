"""Letters and outlines, buildings, and soups of primitives."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import beam, circle, random_solid, star_outline
from utils.shapes.solids import Box, Ellipsoid, Prism, RoundCone, Superquadric, Torus, rod, rotation_about, unit


LETTERS = {  # strokes of letters on a 2 x 4 grid
    "A": [((0, 0), (1, 4)), ((1, 4), (2, 0)), ((.4, 1.5), (1.6, 1.5))], "E": [((0, 0), (0, 4)), ((0, 4), (2, 4)), ((0, 2), (1.6, 2)), ((0, 0), (2, 0))],
    "F": [((0, 0), (0, 4)), ((0, 4), (2, 4)), ((0, 2), (1.6, 2))], "H": [((0, 0), (0, 4)), ((2, 0), (2, 4)), ((0, 2), (2, 2))],
    "K": [((0, 0), (0, 4)), ((0, 2), (2, 4)), ((.4, 2.3), (2, 0))], "L": [((0, 0), (0, 4)), ((0, 0), (2, 0))],
    "N": [((0, 0), (0, 4)), ((0, 4), (2, 0)), ((2, 0), (2, 4))], "T": [((1, 0), (1, 4)), ((-.2, 4), (2.2, 4))],
    "X": [((0, 0), (2, 4)), ((0, 4), (2, 0))], "Y": [((1, 0), (1, 2)), ((1, 2), (0, 4)), ((1, 2), (2, 4))], "Z": [((0, 4), (2, 4)), ((2, 4), (0, 0)), ((0, 0), (2, 0))],
}


def letters(b: Builder) -> None:
    """Letters of strokes, signs, stars and outlines with holes, extruded, on plates or posts."""
    if b.chance(.55):
        count = b.n(1, 3)
        depth, width = b.u(.06, .2), b.u(.05, .12)
        round_stroke = b.chance(.3)
        for i in range(count):
            letter = b.pick(list(LETTERS))
            for j, stroke in enumerate(LETTERS[letter]):
                p, q = (np.array([s[0] * .25 + (i - (count - 1) / 2) * .8 - .25, s[1] * .25 - .5, 0]) for s in stroke)
                part = b.part(f"letter {i} stroke {j}", f"letter {i}")
                if round_stroke:
                    b.add(part, RoundCone(p, q, width))
                else:
                    way = unit(q - p)
                    frame = np.stack([np.cross(way, [0, 0, 1]), way, [0, 0, 1]], 1)
                    b.add(part, Box((p + q) / 2, (width, np.linalg.norm(q - p) / 2 + width * .6, depth * b.u(.9, 1.1)), frame))
        if b.chance(.35):
            b.add(b.part("plate", "plate"), Box((0, 0, -depth), (.45 * count + .1, .65, .04)))
        if b.chance(.3):
            b.add(b.part("stand", "plate"), Box((0, -.62, 0), (.42 * count + .1, .08, depth * 2)))
        return
    z = 0.0
    for i in range(b.n(1, 4)):
        outline = star_outline(b) * b.u(.8, 1.3) * (1 - .18 * i)
        half = b.u(.04, .14)
        holes = [circle(b.u(.05, .12), 14)] if b.chance(.3) and i == 0 else []
        b.add(b.part(f"layer {i}", "layers"), Prism((0, 0, z), outline, half, rotation_about("z", b.u(0, 6)), holes=holes, bevel=.02))
        z += half * 1.6
    if b.chance(.5):
        b.add(b.part("post", "post"), beam((0, -1.1, 0), (0, -.2, 0), .05, b.chance(.5)))
        if b.chance(.6):
            b.add(b.part("foot", "post"), rod((0, -1.15, 0), (0, -1.08, 0), .25, .2))
    for i in range(b.n(0, 4)):
        a = b.u(0, 6.28)
        b.add(b.part(f"stud {i}", "studs"), Ellipsoid((np.cos(a) * .25, np.sin(a) * .25, z), b.u(.03, .07)))


def building(b: Builder) -> None:
    """House, tower, castle, temple: bodies, roofs, windows, doors, chimneys, columns, battlements, steps."""
    kind = b.pick(["house", "tower", "castle", "temple", "block"])
    if kind in ("house", "block"):
        w, d, h = b.u(.3, .5), b.u(.3, .7), b.u(.25, .4) if kind == "house" else b.u(.5, .9)
        b.add(b.part("walls", "house"), Box((0, 0, 0), (w, h, d)))
        if kind == "house":
            rise = b.u(.2, .5)
            gable = np.array([(-w * 1.15, 0), (w * 1.15, 0), (0, rise)])
            b.add(b.part("roof", "roof"), Prism((0, h * .98, 0), gable, d * 1.1) if b.chance(.7)
                  else rod((0, h * .98, 0), (0, h + rise, 0), max(w, d) * 1.5, .02, segments=4, spin=np.pi / 4))
            if b.chance(.7):
                x = b.u(-.6, .6) * w
                b.add(b.part("chimney", "roof"), Box((x, h + rise * .7, d * .4), (.06, .2, .06)))
                if b.chance(.5):
                    b.add(b.part("chimney pot", "roof"), rod((x, h + rise * .7 + .2, d * .4), (x, h + rise * .7 + .28, d * .4), .045))
            if b.chance(.4):
                b.add(b.part("dormer", "dormer"), Box((w * .6, h + rise * .35, 0), (w * .35, .1, .12)))
                b.add(b.part("dormer roof", "dormer"), Prism((w * .6, h + rise * .35 + .09, 0), np.array([(-.15, 0), (.15, 0), (0, .12)]), w * .4, rotation_about("y", np.pi / 2)))
        else:
            b.add(b.part("roof slab", "roof"), Box((0, h, 0), (w * 1.06, .03, d * 1.06)))
            for i in range(b.n(0, 3)):
                b.add(b.part(f"roof unit {i}", "roof"), Box((b.u(-.5, .5) * w, h + .08, b.u(-.6, .6) * d), b.rng.uniform(.05, .12, 3)))
        rows, cols = (b.n(1, 2), b.n(2, 3)) if kind == "house" else (b.n(3, 5), b.n(2, 4))
        for face, name in ((1, "front"), (-1, "rear")):
            for i in range(rows):
                for j in range(cols):
                    y, z = -h + 2 * h * (i + .6) / rows, -d + 2 * d * (j + .5) / cols
                    b.add(b.part(f"{name} window {i}.{j}", f"{name} windows"), Box((face * w, y, z), (.025, h / rows * .35, d / cols * .4)))
        b.add(b.part("door", "entrance"), Box((0, -h * .6, d), (.1, h * .4, .025)))
        if b.chance(.5):
            b.add(b.part("porch", "entrance"), Box((0, -h * .1, d + .1), (.17, .02, .13)))
            for s in (-1, 1):
                b.add(b.part(f"porch post {s}", "entrance"), rod((s * .15, -h, d + .2), (s * .15, -h * .1, d + .2), .02))
        for i in range(b.n(0, 3)):
            b.add(b.part(f"step {i}", "entrance"), Box((0, -h + .03 * (3 - i), d + .06 * (i + 1)), (.14, .03 * (3 - i), .03)))
        return
    if kind == "temple":
        return _temple(b)
    towers = 1 if kind == "tower" else b.n(2, 4)
    spots = [(0, 0)] if towers == 1 else [(.5, .5), (-.5, .5), (-.5, -.5), (.5, -.5)][:towers]
    round_tower = b.chance(.6)
    for i, (x, z) in enumerate(spots):
        h, r = b.u(.6, 1.2) * (1.4 if towers == 1 else 1), b.u(.13, .22)
        g = f"tower {i}"
        sides = 24 if round_tower else 4
        foot = np.array([x, -.5, z])
        b.add(b.part(f"{g} shaft", g), rod(foot, foot + [0, h, 0], r * 1.1, r, segments=sides))
        if b.chance(.5):
            b.add(b.part(f"{g} gallery", g), rod(foot + [0, h * .95, 0], foot + [0, h * 1.05, 0], r * 1.3, segments=sides))
        if b.chance(.6):
            b.add(b.part(f"{g} roof", g), rod(foot + [0, h, 0], foot + [0, h + b.u(.2, .5), 0], r * 1.35, .01, segments=sides))
            if b.chance(.4):
                b.add(b.part(f"{g} flag pole", g), rod(foot + [0, h + .15, 0], foot + [0, h + .65, 0], .015))
                b.add(b.part(f"{g} flag", g), Box(foot + [.09, h + .58, 0], (.08, .05, .008)))
        else:
            for k in range(6):
                a = k * np.pi / 3
                b.add(b.part(f"{g} merlon {k}", g), Box(foot + [np.cos(a) * r * .9, h + .04, np.sin(a) * r * .9], (.04, .06, .04), rotation_about("y", -a)))
        for k in range(b.n(1, 4)):
            a = b.u(0, 6.28)
            b.add(b.part(f"{g} window {k}", g), Box(foot + [np.cos(a) * r, h * b.u(.3, .9), np.sin(a) * r], (.03, .06, .035), rotation_about("y", -a)))
    for i in range(towers if towers > 2 else towers - 1):
        p, q = np.array(spots[i]), np.array(spots[(i + 1) % towers])
        middle, along = (p + q) / 2, q - p
        b.add(b.part(f"wall {i}", f"wall {i}"), Box((middle[0], -.25, middle[1]), (np.linalg.norm(along) / 2, .25, .05), rotation_about("y", -float(np.arctan2(along[1], along[0])))))
    if b.chance(.5):
        b.add(b.part("mound", "mound"), rod((0, -.62, 0), (0, -.48, 0), .95, .85))


def _temple(b: Builder) -> None:
    """Steps, columns with capitals, architrave, pediment."""
    w, d = b.u(.35, .5), b.u(.5, .8)
    for i in range(b.n(1, 3)):
        b.add(b.part(f"step {i}", "base"), Box((0, -.4 - .06 * i, 0), (w + .06 * i, .03, d + .06 * i)))
    n = b.n(3, 6)
    for j in range(n):
        z = -d * .88 + 2 * d * .88 * j / (n - 1)
        for s in (-1, 1):
            g = f"column {j} {s}"
            b.add(b.part(f"{g} shaft", g), rod((s * w * .85, -.38, z), (s * w * .85, .2, z), .05, .042))
            b.add(b.part(f"{g} capital", g), Box((s * w * .85, .2, z), (.065, .03, .065)))
            if b.chance(.5):
                b.add(b.part(f"{g} base", g), Torus((s * w * .85, -.36, z), .05, .02))
    b.add(b.part("architrave", "roof"), Box((0, .26, 0), (w, .04, d)))
    b.add(b.part("pediment", "roof"), Prism((0, .29, 0), np.array([(-w * 1.08, 0), (w * 1.08, 0), (0, b.u(.15, .35))]), d * 1.05))
    if b.chance(.5):
        b.add(b.part("cella", "cella"), Box((0, -.1, 0), (w * .5, .32, d * .6)))


def soup(b: Builder) -> None:
    """Primitives attached to each other in a random tree, with small parts on large ones; groups are subtrees."""
    count = b.n(3, 12)
    nodes = [(np.zeros(3), .5, "core")]
    core = b.part("core", "core")
    b.add(core, random_solid(b, (0, 0, 0), .5))
    for _ in range(b.n(1, 3) if b.smooth and b.chance(.35) else 0):  # dents and holes
        b.add(core, random_solid(b, unit(b.rng.normal(size=3)) * .45, b.u(.12, .35)), softness=.1, carve=True)
    symmetric = b.chance(.4)
    for i in range(count):
        at, size, group = nodes[b.n(0, len(nodes) - 1)]
        way = unit(b.rng.normal(size=3))
        small = size * b.u(.25, .75)
        center = at + way * (size * .75 + small * .3)
        name = f"branch {i}" if group == "core" else group
        solid = random_solid(b, center, small)
        b.add(b.part(f"piece {i}", name), solid)
        nodes.append((center, small, name))
        if symmetric and abs(center[2]) > .1 and isinstance(solid, (Ellipsoid, Superquadric)):
            b.add(b.part(f"piece {i} mirrored", name + " mirrored"), Ellipsoid(center * [1, 1, -1], solid.radii, np.diag([1, 1, -1.]) @ solid.rotation @ np.diag([1, 1, -1.])))
