"""Shape families that are made: furniture, tools, vessels, machines, vehicles, lamps, letters, instruments, soups of primitives."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.living import SIDES, arc, frame_along, spiral
from utils.shapes.solids import (Box, Ellipsoid, Lathe, Prism, RoundCone, Solid, Superquadric, Torus, Tube, rod,
                                 rotation_about, rotation_to, unit)


def beam(b: Builder, a, c, thick: float, square: bool, tip: float | None = None) -> Solid:
    """A straight bar from a to c, square or round."""
    a, c = np.asarray(a, float), np.asarray(c, float)
    if not square:
        return rod(a, c, thick, tip, bevel=.15)
    axis = c - a
    h = np.linalg.norm(axis) / 2
    return Box((a + c) / 2, (thick * .9, h, thick * .9), frame_along(axis), rounding=.15 * thick, taper=1 if tip is None else tip / thick)


def circle(radius: float, count: int = 24, center=(0, 0), start: float = 0.0) -> np.ndarray:
    """(count, 2) regular polygon, counter-clockwise."""
    a = start + np.arange(count) * (2 * np.pi / count)
    return np.stack([np.cos(a), np.sin(a)], 1) * radius + np.asarray(center, float)


def rounded_rectangle(half_x: float, half_y: float, radius: float, count: int = 5) -> np.ndarray:
    """(4 * count, 2) outline, counter-clockwise."""
    radius = min(radius, half_x * .99, half_y * .99)
    corners = []
    for k, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        a = np.linspace(k * np.pi / 2, (k + 1) * np.pi / 2, count)
        corners.append(np.stack([sx * (half_x - radius) + radius * np.cos(a), sy * (half_y - radius) + radius * np.sin(a)], 1))
    return np.concatenate(corners)


def slab(b: Builder, center, half, rotation=None) -> Solid:
    """A plate: box, rounded board or puffed cushion."""
    kind = b.pick(["box", "box", "rounded", "cushion"])
    if kind == "rounded":
        return Box(center, half, rotation, rounding=b.u(.3, .9) * min(half))
    if kind == "cushion":
        return Superquadric(center, half, b.u(.3, .7), b.u(.15, .5), rotation)
    return Box(center, half, rotation)


def turned_leg(b: Builder, top, foot, thick: float, name: str, group: str, square: bool, fancy: str) -> None:
    """A leg of one to four parts: plain, with a foot, with rings, or turned on a lathe."""
    top, foot = np.asarray(top, float), np.asarray(foot, float)
    if fancy == "turned":
        h = np.linalg.norm(top - foot)
        t = np.linspace(0, 1, 9)
        r = thick * (1 + .35 * np.sin(t * b.u(8, 16) + b.u(0, 6)))
        profile = [(0, 0), *zip(r, t * h), (0, h)]
        b.add(b.part(name, group), Lathe(foot, profile, rotation_to(top - foot), segments=16))
    else:
        b.add(b.part(name, group), beam(b, foot, top, thick, square, thick * b.u(1, 1.4)))
    way = unit(foot - top)
    if fancy in ("foot", "ring"):
        b.add(b.part(f"{name} foot", group), Ellipsoid(foot, thick * 1.5) if b.chance(.4) else rod(foot - way * thick * 1.2, foot + way * thick * .6, thick * 1.25, thick * 1.5))
    if fancy == "ring":
        mid = top + (foot - top) * b.u(.2, .4)
        b.add(b.part(f"{name} ring", group), Torus(mid, thick * 1.2, thick * .5, rotation_to(way)))


def legs_and_rails(b: Builder, top: float, floor: float, wx: float, wz: float, thick: float) -> None:
    """Four legs (or a column, or sled frames) under a plate at height `top`, sometimes with stretchers between them."""
    square = b.chance(.5)
    fancy = b.pick(["plain", "plain", "foot", "ring", "turned"])
    splay = b.u(0, .12)
    style = b.pick(["four", "four", "four", "four", "column", "sled", "slab"])
    if style == "column":
        b.add(b.part("column", "foot frame"), beam(b, (0, floor + .05, 0), (0, top, 0), thick * 1.8, square))
        spokes = b.n(3, 6)
        if b.chance(.3):
            b.add(b.part("base plate", "foot frame"), rod((0, floor, 0), (0, floor + .06, 0), max(wx, wz) * .8, max(wx, wz) * .7))
            return
        for i in range(spokes):
            a = 2 * np.pi * i / spokes
            end = np.array([np.cos(a) * wx, 0, np.sin(a) * wx]) * .9
            b.add(b.part(f"spoke {i}", "foot frame"), beam(b, (0, floor + .1, 0), end + [0, floor + .05, 0], thick * .9, square))
            if b.chance(.75):
                b.add(b.part(f"castor {i}", "foot frame"), rod(end + [0, floor + .02, -thick], end + [0, floor + .02, thick], thick * 1.1))
        return
    if style == "slab":
        for side, name in SIDES:
            b.add(b.part(f"{name} panel", f"{name} panel"), Box((0, (top + floor) / 2, side * wz * .92), (wx * .9, (top - floor) / 2, thick * .7)))
        if b.chance(.5):
            b.add(b.part("shelf", "shelf"), Box((0, floor + (top - floor) * b.u(.2, .6), 0), (wx * .85, thick * .6, wz * .9)))
        return
    corners = {}
    for sx, where in ((1, "front"), (-1, "back")):
        for side, name in SIDES:
            foot = np.array([sx * (wx * .88 + splay), floor, side * (wz * .88 + splay)])
            head = np.array([sx * wx * .88, top, side * wz * .88])
            corners[sx, side] = (head, foot)
            group = f"{where} {name} leg" if style == "four" else f"{name} frame"
            turned_leg(b, head, foot, thick, f"{where} {name} leg", group, square, fancy)
    if style == "sled":
        for side, name in SIDES:
            b.add(b.part(f"{name} runner", f"{name} frame"), beam(b, corners[1, side][1], corners[-1, side][1], thick, square))
    elif b.chance(.5):
        t, rail = b.u(.25, .8), thick * b.u(.45, .8)

        def at(key, level):
            return corners[key][0] * (1 - level) + corners[key][1] * level

        for i, (p, q) in enumerate((((1, 1), (1, -1)), ((-1, 1), (-1, -1)), ((1, 1), (-1, 1)), ((1, -1), (-1, -1)))):
            if b.chance(.75):
                b.add(b.part(f"stretcher {i}", "stretchers"), beam(b, at(p, t), at(q, t), rail, square))
    if b.chance(.35):
        deep = thick * b.u(1, 2)
        for side, name in SIDES:
            b.add(b.part(f"{name} apron", "aprons"), Box((0, top - deep, side * wz * .88), (wx * .88, deep, thick * .4)))
            b.add(b.part(f"{'front' if side > 0 else 'back'} apron", "aprons"), Box((side * wx * .88, top - deep, 0), (thick * .4, deep, wz * .88)))


def chair(b: Builder) -> None:
    """Seat, back (posts with rails, slats, spindles or a panel), legs with stretchers, arm rests, cushions."""
    wx, wz = b.u(.3, .45), b.u(.3, .5) if b.chance(.8) else b.u(.6, 1.1)
    thick, legs = b.u(.02, .05), b.u(.35, .75)
    seat = b.u(.02, .07)
    round_seat = b.chance(.15)
    b.add(b.part("seat", "seat"), rod((0, -seat, 0), (0, seat, 0), wx, wx, .1) if round_seat else slab(b, (0, 0, 0), (wx, seat, wz)))
    if b.chance(.25):
        b.add(b.part("cushion", "seat"), Superquadric((0, seat * 1.5, 0), (wx * .9, .06, wz * .9), .5, .3))
    legs_and_rails(b, -seat * .5, -legs, wx, wz, thick)
    if b.chance(.12):
        return  # a stool
    high, lean = b.u(.4, .85), b.u(0, .22)
    square = b.chance(.5)
    kind = b.pick(["rails", "slats", "spindles", "panel", "cushion", "ladder", "hoop"])

    def back(level, z):
        return np.array([-wx * .9 - lean * level, seat + high * level, z])

    if kind in ("rails", "slats", "spindles", "ladder") or b.chance(.25):
        for side, name in SIDES:
            b.add(b.part(f"{name} back post", "back"), beam(b, back(-.1, side * wz * .9), back(1, side * wz * .9), thick, square))
            if b.chance(.3):
                b.add(b.part(f"{name} finial", "back"), Ellipsoid(back(1, side * wz * .9), thick * 1.5))
    if kind == "hoop":
        a = np.linspace(0, np.pi, 15)
        b.add(b.part("back hoop", "back"), Tube(np.stack([back(np.sin(t) ** .6, np.cos(t) * wz * .9) for t in a]), thick))
    if kind in ("slats", "spindles", "rails"):
        b.add(b.part("top rail", "back"), beam(b, back(.96, -wz * .9), back(.96, wz * .9), thick * b.u(.9, 1.6), square))
        if b.chance(.6):
            b.add(b.part("lower rail", "back"), beam(b, back(.25, -wz * .9), back(.25, wz * .9), thick * .9, square))
    if kind in ("rails", "ladder"):
        count = b.n(2, 5)
        for i in range(count):
            level = .35 + .6 * i / count
            b.add(b.part(f"rail {i}", "back"), beam(b, back(level, -wz * .9), back(level, wz * .9), thick * b.u(.5, .9), square))
    if kind in ("slats", "spindles", "hoop"):
        count = b.n(2, 7)
        for i in range(count):
            z = (i + 1 - (count + 1) / 2) / (count + 1) * 2 * wz * .85
            top = .94 if kind != "hoop" else (1 - (z / wz) ** 2) ** .3 * .93
            if kind == "slats":
                middle, axis = (back(.05, z) + back(top, z)) / 2, back(top, z) - back(.05, z)
                frame = np.stack([unit(np.cross(axis, [0, 0, 1])), unit(axis), [0, 0, 1]], 1)
                b.add(b.part(f"slat {i}", "back"), Box(middle, (thick * .3, np.linalg.norm(axis) / 2, wz / (count + 1) * .55), frame))
            else:
                b.add(b.part(f"spindle {i}", "back"), beam(b, back(0, z), back(top, z), thick * .5, False))
    if kind in ("panel", "cushion"):
        low, axis = back(.5 if b.chance(.5) else .45, 0), back(1, 0) - back(0, 0)
        frame = np.stack([unit(np.cross(axis, [0, 0, 1])), unit(axis), [0, 0, 1]], 1)
        half = (seat, np.linalg.norm(axis) * .48, wz * b.u(.7, 1))
        b.add(b.part("back panel", "back"), Superquadric(low, (max(half[0], .05), *half[1:]), .4, .4, frame) if kind == "cushion" else slab(b, low, half, frame))
    if b.chance(.35):
        level, reach = b.u(.25, .45), wx * b.u(.6, 1)
        for side, name in SIDES:
            group = f"{name} arm rest"
            z = side * wz * .98
            b.add(b.part(f"{name} arm pad", group), beam(b, back(level, z), (reach, seat + high * level, z), thick * b.u(1, 1.5), square))
            b.add(b.part(f"{name} arm post", group), beam(b, (reach * .8, 0, z), (reach * .85, seat + high * level, z), thick, square))
    if b.chance(.12):
        b.add(b.part("head rest", "back"), Superquadric(back(1.12, 0), (.06, .1, wz * .5), .5, .5))


def table(b: Builder) -> None:
    """Table, desk, bench, shelf: top, legs, stretchers, drawers with knobs, things on it."""
    wx, wz = b.u(.35, .6), b.u(.5, 1.0)
    top, height, thick = b.u(.02, .06), b.u(.35, .9), b.u(.025, .06)
    kind = b.pick(["rect", "rect", "round", "shelf"])
    if kind == "round":
        wz = wx
        b.add(b.part("top", "top"), rod((0, -top, 0), (0, top, 0), wx * 1.1, wx * 1.1, .1, segments=40))
        if b.chance(.4):
            b.add(b.part("rim", "top"), Torus((0, top * .4, 0), wx * 1.1, top * .9))
    else:
        b.add(b.part("top", "top"), slab(b, (0, 0, 0), (wx, top, wz)))
    legs_and_rails(b, -top * .5, -height, wx, wz, thick)
    if kind == "shelf":
        for i in range(b.n(1, 3)):
            b.add(b.part(f"shelf {i}", "shelves"), Box((0, -height * (i + 1) / 4, 0), (wx * .88, top * .6, wz * .88)))
    if b.chance(.4) and kind != "round":
        for i in range(b.n(1, 3)):
            y, z = -top - .08 - .15 * i, b.pick([-1, 1]) * wz * .5
            b.add(b.part(f"drawer {i}", f"drawer {i}"), Box((0.02, y, z), (wx * .85, .065, wz * .38)))
            front = wx * .85 + .02
            if b.chance(.6):
                b.add(b.part(f"knob {i}", f"drawer {i}"), Ellipsoid((front + .02, y, z), b.u(.018, .035)))
            else:
                b.add(b.part(f"handle {i}", f"drawer {i}"), Tube(arc((front, y, z - .08), (front, y, z + .08), (.05, 0, 0)), .012))
    for i in range(b.n(0, 3)):
        at = np.array([b.u(-.6, .6) * wx, top, b.u(-.7, .7) * wz])
        r = b.u(.05, .12)
        b.add(b.part(f"object {i}", f"object {i}"), b.pick([
            rod(at, at + [0, r * 2.5, 0], r * .8, r), Ellipsoid(at + [0, r * .9, 0], r), Box(at + [0, r, 0], (r, r, r * 1.5), rotation_about("y", b.u(0, 3)))]))


def furniture(b: Builder) -> None:
    """Bed, cabinet, sofa, crib: bodies with panels, rails, doors, knobs, cushions, feet."""
    kind = b.pick(["bed", "cabinet", "sofa", "fence"])
    wx, wz = b.u(.4, .6), b.u(.5, .8)
    thick = b.u(.025, .05)
    if kind == "bed":
        h = b.u(.15, .3)
        b.add(b.part("mattress", "bedding"), Superquadric((0, h + .06, 0), (.95, .1, wz), .3, .2))
        b.add(b.part("bed frame", "frame"), Box((0, h - .04, 0), (1.0, .05, wz * 1.05)))
        for i in range(b.n(1, 2)):
            b.add(b.part(f"pillow {i}", "bedding"), Superquadric((-.72, h + .2, (i * 2 - 1) * wz * .45 if i or wz > .6 else 0), (.17, .07, wz * .4), .7, .5))
        for x, name, tall in ((-1.02, "head board", b.u(.5, .9)), (1.02, "foot board", b.u(.25, .5))):
            posts = b.chance(.6)
            for side, s in SIDES:
                b.add(b.part(f"{name} {s} post", name), beam(b, (x, 0, side * wz), (x, tall, side * wz), thick, posts))
                if b.chance(.4):
                    b.add(b.part(f"{name} {s} knob", name), Ellipsoid((x, tall + thick, side * wz), thick * 1.5))
            if b.chance(.5):
                b.add(b.part(f"{name} panel", name), Box((x, (h + tall) / 2, 0), (.02, (tall - h) / 2, wz)))
            else:
                b.add(b.part(f"{name} rail", name), beam(b, (x, tall * .95, -wz), (x, tall * .95, wz), thick * .9, posts))
                for i in range(b.n(3, 8)):
                    z = -wz + 2 * wz * (i + .5) / 8
                    b.add(b.part(f"{name} bar {i}", name), beam(b, (x, h, z), (x, tall * .95, z), thick * .45, False))
        for i, (x, z) in enumerate(((-.9, -1), (-.9, 1), (.9, -1), (.9, 1))):
            b.add(b.part(f"foot {i}", "frame"), beam(b, (x, -.05, z * wz * .9), (x, h, z * wz * .9), thick, True))
    elif kind == "cabinet":
        h, d = b.u(.5, 1.0), b.u(.25, .4)
        b.add(b.part("carcass", "carcass"), Box((0, 0, 0), (d, h, wz)))
        if b.chance(.5):
            b.add(b.part("cornice", "carcass"), Box((0, h, 0), (d * 1.08, .04, wz * 1.05)))
        rows, cols = b.n(1, 4), b.n(1, 2)
        for i in range(rows):
            for j in range(cols):
                y, z = -h + 2 * h * (i + .5) / rows, -wz + 2 * wz * (j + .5) / cols
                g = f"door {i}.{j}"
                b.add(b.part(g, g), Box((d, y, z), (.025, h / rows * .9, wz / cols * .9)))
                b.add(b.part(f"knob {i}.{j}", g), Ellipsoid((d + .04, y, z + wz / cols * .7 * (1 if j == 0 else -1)), b.u(.02, .04)))
        for sx in (-1, 1):
            for side, s in SIDES:
                b.add(b.part(f"foot {sx} {s}", "feet"), rod((sx * d * .85, -h - b.u(.08, .2), side * wz * .9), (sx * d * .85, -h, side * wz * .9), thick, thick * 1.5))
    elif kind == "sofa":
        w = b.u(.6, 1.1)
        b.add(b.part("base", "base"), slab(b, (0, 0, 0), (.4, .13, w)))
        back = b.part("back", "back")
        b.add(back, Superquadric((-.36, .35, 0), (.13, .4, w), .4, .3, rotation_about("z", .12)))
        for side, s in SIDES:
            b.add(b.part(f"{s} arm", f"{s} arm"), slab(b, (.02, .16, side * (w + .06)), (.4, .3, .1)))
            if b.chance(.4):
                b.add(b.part(f"{s} arm roll", f"{s} arm"), rod((-.38, .46, side * (w + .06)), (.42, .46, side * (w + .06)), .12))
        seats = b.n(1, 3)
        for i in range(seats):
            z = -w + 2 * w * (i + .5) / seats
            b.add(b.part(f"seat cushion {i}", "cushions"), Superquadric((.06, .2, z), (.36, .1, w / seats * .96), .4, .3))
            if b.chance(.7):
                b.add(b.part(f"back cushion {i}", "cushions"), Superquadric((-.2, .45, z), (.12, .22, w / seats * .9), .5, .4, rotation_about("z", .15)))
        for sx in (-1, 1):
            for side, s in SIDES:
                b.add(b.part(f"foot {sx} {s}", "feet"), rod((sx * .33, -.25, side * w * .9), (sx * .33, -.1, side * w * .9), .03, .045))
    else:
        n = b.n(3, 6)
        square = b.chance(.5)
        for i in range(n):
            z = (i - (n - 1) / 2) * .3
            b.add(b.part(f"post {i}", f"post {i}"), beam(b, (0, -.4, z), (0, .4, z), thick * 1.2, square))
            if b.chance(.6):
                b.add(b.part(f"post {i} cap", f"post {i}"), Ellipsoid((0, .42, z), thick * 1.7))
        for j in range(b.n(2, 4)):
            y = -.3 + .22 * j
            b.add(b.part(f"rail {j}", "rails"), beam(b, (0, y, -n * .16), (0, y, n * .16), thick * .7, square))


def hammer_like(b: Builder) -> None:
    """Hammer, axe, mallet, pick: a handle with grip and pommel, a head with face, cheek, claw or blade."""
    r = b.u(.035, .07)
    grip = b.u(.3, .5)
    flat = b.u(.6, 1)
    handle = b.part("handle", "handle")
    b.add(handle, Lathe((0, -.6, 0), [(0, 0), (r, 0), (r * .85, .6), (r * .8, 1.25), (0, 1.25)], squash=flat, segments=20))
    if b.chance(.75):
        b.add(b.part("grip", "handle"), Lathe((0, -.66, 0), [(0, 0), (r * 1.3, .02), (r * 1.5, .1), (r * 1.25, grip * .5), (r * 1.4, grip), (0, grip)], squash=flat, segments=20))
    if b.chance(.4):
        b.add(b.part("pommel", "handle"), Ellipsoid((0, -.66, 0), (r * 1.7, r * 1.1, r * 1.7 * flat)))
    if b.chance(.4):
        b.add(b.part("ferrule", "handle"), rod((0, .42, 0), (0, .5, 0), r * 1.15))
    y = .58
    hr = b.u(.07, .13)
    b.add(b.part("cheek", "head"), Box((0, y, 0), (.11, hr, hr * .8), rounding=hr * .25))
    for s, end in ((1, b.pick(["face", "face", "blade", "pick"])), (-1, b.pick(["face", "claw", "blade", "pick", "ball", "none"]))):
        if end == "face":
            b.add(b.part(f"neck {s}", "head"), rod((s * .08, y, 0), (s * .22, y, 0), hr * .75, hr * .65))
            b.add(b.part(f"face {s}", "head"), rod((s * .2, y, 0), (s * b.u(.3, .4), y, 0), hr * 1.0, hr * 1.05, .12))
        elif end == "ball":
            b.add(b.part("ball", "head"), Ellipsoid((s * .2, y, 0), hr * 1.1))
        elif end == "pick":
            b.add(b.part(f"pick {s}", "head"), Tube(arc((s * .08, y, 0), (s * .6, y - .12, 0), (0, .07, 0)), np.linspace(hr * .8, .012, 7)))
        elif end == "blade":
            outline = np.array([(.05, -hr * .6), (.25, -hr * 1.6), (.38, -hr * 2.3), (.43, 0), (.38, hr * 2), (.2, hr * 1.1), (.05, hr * .6)]) * [s, 1]
            b.add(b.part(f"blade {s}", "head"), Prism((0, y, 0), outline, hr * .3))
        elif end == "claw":
            for side, name in SIDES:
                points = arc((s * .07, y + .01, side * hr * .35), (s * .38, y - .1, side * hr * .75), (0, .06, 0), 9)
                b.add(b.part(f"{name} prong", "claw"), Tube(points, np.linspace(hr * .5, hr * .22, 9), flat=.7, normal=(0, 0, 1)))


def pivot_tool(b: Builder) -> None:
    """Scissors, pliers, compasses, clippers: two crossing levers, a pivot, handles or finger rings."""
    opening = b.u(.05, .5)
    kind = b.pick(["scissors", "pliers", "compass"])
    thick = b.u(.025, .05)
    for side, name in SIDES:
        spin = rotation_about("z", side * opening / 2)
        group = f"{name} lever"
        z = side * thick * (.8 if kind == "scissors" else .3)

        def at(x, y):
            return spin @ np.array([x, y, z])

        if kind == "scissors":
            blade = np.array([(-.06, 0), (.05, -.02), (.075, .3), (.01, b.u(.7, 1.0)), (-.02, .6)]) * [side, 1]
            b.add(b.part(f"{name} blade", group), Prism((0, 0, z), blade @ spin[:2, :2].T, thick * .7))
            b.add(b.part(f"{name} shank", group), Tube(np.stack([at(0, .05), at(-side * .05, -.2), at(-side * .14, -.42)]), [.05, .04, .035], flat=.7, normal=(0, 0, 1)))
            r = b.u(.11, .17)
            b.add(b.part(f"{name} finger ring", group), Torus(at(-side * .16, -.42 - r), r, b.u(.025, .045), spin @ rotation_about("x", np.pi / 2)))
        elif kind == "pliers":
            b.add(b.part(f"{name} jaw", "jaws"), Tube(np.stack([at(side * .01, .0), at(side * .1, .14), at(side * .05, .32), at(side * .015, b.u(.45, .6))]), [.07, .07, .05, .03], flat=.7, normal=(0, 0, 1)))
            curve = arc(at(0, -.05), at(-side * .12, -.95), spin @ np.array([-side * b.u(.03, .12), 0, 0]), 9)
            b.add(b.part(f"{name} shank", f"{name} handle"), Tube(curve[:4], .04))
            b.add(b.part(f"{name} grip", f"{name} handle"), Tube(curve[3:], b.u(.05, .065)))
        else:
            b.add(b.part(f"{name} leg", group), beam(b, at(0, 0), at(0, -.8), .04, b.chance(.5), .04))
            b.add(b.part(f"{name} point", group), rod(at(0, -.75), at(0, -1.0), .03, .004))
    b.add(b.part("pivot", "pivot"), rod((0, 0, -thick * 2.4), (0, 0, thick * 2.4), b.u(.04, .075), bevel=.2))
    if kind == "compass":
        b.add(b.part("grip", "pivot"), rod((0, 0, 0), (0, .25, 0), .035, .045))
    if b.chance(.3):
        b.add(b.part("screw", "pivot"), Ellipsoid((0, 0, thick * 2.4), (.035, .035, .02)))


def hand_tool(b: Builder) -> None:
    """Screwdriver, wrench, saw, shovel, brush, knife, spoon: a handle and a working end."""
    kind = b.pick(["screwdriver", "wrench", "saw", "shovel", "brush", "knife", "spoon", "drill"])
    r = b.u(.045, .075)
    if kind == "wrench":
        w, t = b.u(.05, .08), b.u(.03, .05)
        b.add(b.part("shank", "shank"), Box((0, 0, 0), (w, .6, t * .7), rounding=t * .3))
        jaw = circle(b.u(.15, .2), 22, start=np.pi / 2 + .45)[:-3]
        mouth = np.array([(jaw[-1] * .25), jaw[0] * .25])
        b.add(b.part("open jaw", "open end"), Prism((0, .7, 0), np.concatenate([jaw, mouth]), t))
        if b.chance(.7):
            b.add(b.part("ring jaw", "ring end"), Prism((0, -.68, 0), circle(.15), t, holes=[circle(.085, 6)]))
        if b.chance(.3):
            b.add(b.part("worm", "open end"), rod((w * 1.2, .5, 0), (w * 1.2, .62, 0), .05))
        return
    if kind == "drill":
        b.add(b.part("motor", "body"), rod((-.35, .2, 0), (.2, .2, 0), .16, .15, .15))
        b.add(b.part("gear case", "body"), rod((.18, .2, 0), (.36, .2, 0), .13, .08, .1))
        b.add(b.part("chuck", "bit"), rod((.34, .2, 0), (.48, .2, 0), .065, .045))
        b.add(b.part("bit", "bit"), rod((.46, .2, 0), (.85, .2, 0), .018, .015))
        b.add(b.part("grip", "handle"), Superquadric((-.15, -.15, 0), (.1, .3, .075), .5, .6, rotation_about("z", -.15)))
        b.add(b.part("trigger", "handle"), Box((-.02, 0.0, 0), (.04, .07, .03), rounding=.02))
        if b.chance(.7):
            b.add(b.part("battery", "battery"), Box((-.17, -.47, 0), (.17, .07, .1), rounding=.02))
        return
    squash = b.u(.6, 1)
    waves = b.u(0, .2)
    t = np.linspace(0, 1, 9)
    radius = r * (1 + waves * np.sin(t * b.u(4, 12) + b.u(0, 6)))
    b.add(b.part("handle", "handle"), Lathe((0, -.6, 0), [(0, 0), *zip(radius, .55 * t), (0, .55)], squash=squash, segments=20))
    if b.chance(.5):
        b.add(b.part("end cap", "handle"), Ellipsoid((0, -.6, 0), (r * 1.1, r * .7, r * 1.1 * squash)))
    if b.chance(.6):
        b.add(b.part("collar", "handle"), rod((0, -.07, 0), (0, .03, 0), r * 1.0, r * .6))
    if kind == "screwdriver":
        b.add(b.part("shaft", "blade"), rod((0, -.05, 0), (0, .6, 0), .022, .022))
        b.add(b.part("tip", "blade"), Box((0, .63, 0), (.035, .06, .012)))
    elif kind == "saw":
        teeth = b.n(8, 16)
        x = np.linspace(.0, .95, 2 * teeth + 1)
        low = np.stack([np.where(np.arange(2 * teeth + 1) % 2, -.0, -.04) - .08, x], 1)
        b.add(b.part("blade", "blade"), Prism((0, 0, 0), np.concatenate([low, [(.05, .95), (.13, 0)]]), .012))
        b.add(b.part("spine", "blade"), Tube(np.array([(.13, 0, 0), (.05, .95, 0)]), .022))
    elif kind == "shovel":
        b.add(b.part("shaft", "handle"), rod((0, -.1, 0), (0, .5, 0), r * .6))
        scale = b.u(.16, .26)
        b.add(b.part("blade", "blade"), Superquadric((0, .72, 0), (scale, .28, .03), .8, .6))
        b.add(b.part("socket", "blade"), rod((0, .4, 0), (0, .55, 0), r * .8, r * .5))
    elif kind == "brush":
        w = b.u(.1, .2)
        b.add(b.part("ferrule", "head"), Box((0, .1, 0), (w, .1, .05)))
        b.add(b.part("bristles", "head"), Box((0, .35, 0), (w * .95, .17, .045), taper=b.u(.7, 1.1)))
    elif kind == "knife":
        blade = np.array([(-.06, 0), (.05, 0), (.06, .5), (.02, .8), (-.05, .95)])
        b.add(b.part("blade", "blade"), Prism((0, 0, 0), blade, .012))
        b.add(b.part("guard", "handle"), Box((0, 0, 0), (b.u(.08, .2), .02, .05), rounding=.01))
        for i in range(b.n(0, 3)):
            b.add(b.part(f"rivet {i}", "handle"), rod((0, -.5 + .15 * i, -r * squash * 1.2), (0, -.5 + .15 * i, r * squash * 1.2), .016))
    else:
        b.add(b.part("stem", "bowl"), RoundCone((0, -.1, 0), (0, .4, 0), .025, .02))
        if b.chance(.6):
            b.add(b.part("bowl", "bowl"), Ellipsoid((0, .55, 0), (b.u(.1, .16), .2, .035)))
        else:
            b.add(b.part("root", "bowl"), Superquadric((0, .46, 0), (.09, .1, .02), .6, .6))
            for i in range(4):
                b.add(b.part(f"tine {i}", "tines"), RoundCone(((i - 1.5) * .045, .5, 0), ((i - 1.5) * .045, .82, 0.02), .014, .008))


def lamp(b: Builder) -> None:
    """Desk, floor, table and hanging lamps: base, stand or jointed arms, shade, bulb, switch."""
    kind = b.pick(["desk", "desk", "table", "floor", "hanging"])
    thin = b.u(.015, .035)
    if kind == "hanging":
        b.add(b.part("canopy", "mount"), rod((0, .7, 0), (0, .78, 0), .15, .12))
        b.add(b.part("cord", "mount"), rod((0, .1, 0), (0, .72, 0), thin * .6))
        shade(b, np.array([0, .1, 0]), np.array([0, -1, 0.0]), b.u(.25, .5))
        return
    r = b.u(.2, .38)
    floor = -.7
    b.add(b.part("base", "base"), b.pick([
        rod((0, floor, 0), (0, floor + .08, 0), r, r * .9, .1), Box((0, floor + .04, 0), (r, .04, r * .8), rounding=.02),
        Lathe((0, floor, 0), [(0, 0), (r, 0), (r, .03), (r * .4, .09), (r * .15, .16), (0, .17)])]))
    if b.chance(.4):
        b.add(b.part("switch", "base"), rod((r * .55, floor + .05, 0), (r * .55, floor + .12, 0), .035, .03))
    if kind == "desk":
        joint = thin * b.u(1.6, 2.6)
        at = np.array([b.u(-.1, .1), floor + .08, 0])
        angle = b.u(1.3, 2.3)
        arms = b.n(1, 3)
        twin = b.chance(.35)
        for i in range(arms):
            way = np.array([np.cos(angle), np.sin(angle), 0])
            end = at + way * b.u(.4, .75)
            for side, name in (SIDES if twin else ((0, "main"),)):
                off = np.array([0, 0, side * thin * 1.5])
                b.add(b.part(f"arm {i} {name}", f"arm {i}"), beam(b, at + off, end + off, thin, b.chance(.2)))
            b.add(b.part(f"joint {i}", "joints"), rod(at - [0, 0, joint * 1.3], at + [0, 0, joint * 1.3], joint, bevel=.2) if b.chance(.6) else Ellipsoid(at, joint * 1.2))
            if b.chance(.25):
                b.add(b.part(f"spring {i}", f"arm {i}"), Tube(spiral(at + way * .05 + [0, thin * 2, 0], way, thin * .7, 5, .25, 40), thin * .28, sides=6))
            at, angle = end, angle - b.u(.7, 1.6)
        b.add(b.part("head joint", "joints"), Ellipsoid(at, joint * 1.2))
        shade(b, at, np.array([np.cos(b.u(-2.2, -.4)), -1.0, b.u(-.3, .3)]), b.u(.17, .32))
        return
    height = b.u(.5, .8) if kind == "table" else b.u(1.0, 1.5)
    top = np.array([0, floor + height, 0])
    if b.chance(.5) and kind == "table":
        t = np.linspace(0, 1, 11)
        radius = b.u(.07, .16) * (1 + .5 * np.sin(t * b.u(3, 9) + b.u(0, 6)))
        b.add(b.part("body", "stand"), Lathe((0, floor + .06, 0), [(0, 0), *zip(radius, t * (height - .08)), (0, height - .08)]))
    else:
        b.add(b.part("pole", "stand"), rod((0, floor, 0), top, thin))
        for i in range(b.n(0, 2)):
            b.add(b.part(f"collar {i}", "stand"), Torus((0, floor + height * b.u(.2, .9), 0), thin * 1.3, thin * .8))
    b.add(b.part("socket", "stand"), rod(top - [0, .1, 0], top + [0, .05, 0], thin * 1.8))
    if b.chance(.8):
        shade(b, top + [0, b.u(.25, .4), 0], np.array([0, -1.0, 0]), b.u(.25, .45))
    else:
        b.add(b.part("globe", "shade"), Ellipsoid(top + [0, .15, 0], b.u(.13, .25)))
    if b.chance(.3):
        end = top + [.12, -.3, 0]
        b.add(b.part("chain", "stand"), rod(top + [.12, 0, 0], end, .008))
        b.add(b.part("pull", "stand"), Ellipsoid(end, .025))


def shade(b: Builder, at, way, size: float) -> None:
    """A thin-walled lampshade that opens along `way` from its neck `at`, with a bulb in it."""
    way = unit(way)
    deep, neck, wall = size * b.u(.9, 1.6), size * b.u(.15, .7), size * .06
    if b.chance(.5):
        profile = [(neck, 0), (size, deep), (size - wall, deep), (max(neck - wall, .01), .02)]
    else:
        a = np.linspace(0, np.pi / 2, 7)
        outer = np.stack([neck * .3 + (size - neck * .3) * np.sin(a), deep * (1 - np.cos(a))], 1)
        inner = outer[::-1] * [1 - .08, 1]
        profile = np.concatenate([outer, inner + [0, .01]])
    b.add(b.part("shade", "shade"), Lathe(at, profile, rotation_to(way), segments=36), softness=.1)
    if b.chance(.7):
        b.add(b.part("bulb", "light"), Ellipsoid(at + way * deep * .6, size * b.u(.2, .4)), smooth=False)
        b.add(b.part("bulb socket", "light"), rod(at, at + way * deep * .45, size * .14), smooth=False)
    if b.chance(.3):
        b.add(b.part("rim", "shade"), Torus(at + way * deep, size, wall * .8, rotation_to(way)), smooth=False)
    if b.chance(.25):
        b.add(b.part("finial", "shade"), Ellipsoid(at - way * size * .1, max(neck * .5, .03)), smooth=False)


def random_profile(b: Builder, height: float, low: float, high: float, count: int = 12) -> np.ndarray:
    """(count, 2) smooth (radius, height) curve from bottom to top."""
    t = np.linspace(0, 1, count)
    r = b.u(.4, 1) + sum(b.u(-.5, .5) / k * np.sin(k * np.pi * t + b.u(0, 6.28)) for k in (1, 2, 3))
    r = (r - r.min()) / max(np.ptp(r), 1e-6) * (high - low) + low
    return np.stack([r, t * height], 1)


def vessel(b: Builder) -> None:
    """Vase, cup, jug, teapot, bottle, pot: walls, foot, neck, lip, handles, spout, lid with knob, cap."""
    kind = b.pick(["vase", "cup", "jug", "teapot", "bottle", "pot", "goblet"])
    if kind == "bottle":
        r, h = b.u(.16, .3), b.u(.4, .8)
        nr, nh = r * b.u(.25, .55), b.u(.15, .4)
        shoulder = b.u(.05, .2)
        squash = 1 if b.chance(.75) else b.u(.45, .8)
        b.add(b.part("body", "container"), Lathe((0, 0, 0), [(0, 0), (r * .92, 0), (r, .04), (r, h), (r * .8 + nr * .2, h + shoulder * .6), (nr, h + shoulder), (0, h + shoulder)], squash=squash))
        b.add(b.part("neck", "container"), rod((0, h, 0), (0, h + shoulder + nh, 0), nr), )
        if b.chance(.6):
            b.add(b.part("label", "container"), Lathe((0, 0, 0), [(0, h * .3), (r * 1.02, h * .3), (r * 1.02, h * b.u(.6, .9)), (0, h * .9)], squash=squash))
        top = h + shoulder + nh
        if b.chance(.85):
            b.add(b.part("cap", "closure"), rod((0, top - .03, 0), (0, top + b.u(.05, .12), 0), nr * b.u(1.1, 1.5), nr * b.u(.9, 1.4), .1))
        if b.chance(.5):
            b.add(b.part("collar", "closure"), Torus((0, top - nh * .5, 0), nr, nr * .2))
        if b.chance(.2):
            b.add(b.part("pump", "closure"), rod((0, top, 0), (0, top + .2, 0), nr * .3))
            b.add(b.part("nozzle", "closure"), RoundCone((0, top + .2, 0), (nr * 2, top + .17, 0), nr * .4, nr * .3))
        return
    if kind == "goblet":
        r = b.u(.2, .34)
        b.add(b.part("foot", "stand"), Lathe((0, 0, 0), [(0, 0), (r, 0), (r, .02), (r * .15, .08), (0, .09)]))
        b.add(b.part("stem", "stand"), rod((0, .02, 0), (0, .42, 0), r * .12))
        if b.chance(.6):
            b.add(b.part("knop", "stand"), Ellipsoid((0, b.u(.15, .35), 0), (r * .25, r * .2, r * .25)))
        outer = np.array([(.04, 0), (r * .8, .1), (r, .25), (r * b.u(.75, 1), b.u(.35, .6))])
        b.add(b.part("bowl", "bowl"), Lathe((0, .4, 0), np.concatenate([[(0, 0)], outer, outer[:0:-1] - [.03, 0], [(0, .05)]])))
        return
    h = b.u(.5, 1.1) if kind in ("vase", "jug") else b.u(.35, .65)
    low, high = {"vase": (.1, .4), "cup": (.26, .34), "jug": (.16, .34), "teapot": (.2, .42), "pot": (.34, .45)}[kind]
    outer = random_profile(b, h, low, high, 14)
    if kind == "teapot":
        t = np.linspace(0, 1, 14)
        outer = np.stack([low + (high - low) * np.sin(np.pi * (.12 + .76 * t)), t * h], 1)
    wall = b.u(.02, .05)
    inner = np.clip(outer[::-1] - [wall, 0], .02, None)
    inner = inner[inner[:, 1] > wall]
    opened = kind != "teapot" and b.chance(.8)
    profile = np.concatenate([[(0, 0)], outer, inner, [(0, wall)]]) if opened else np.concatenate([[(0, 0)], outer, [(0, h)]])
    b.add(b.part("body", "container"), Lathe((0, 0, 0), profile, segments=b.n(20, 44)))

    def radius(t):
        return float(np.interp(t * h, outer[:, 1], outer[:, 0]))

    if b.chance(.5):
        b.add(b.part("foot", "container"), rod((0, -b.u(.03, .1), 0), (0, .02, 0), radius(0) * b.u(.8, 1.2), radius(0) * .95), smooth=False)
    if b.chance(.45):
        b.add(b.part("lip", "container"), Torus((0, h, 0), radius(1) - wall / 2, wall * b.u(.8, 1.3)))
    for _ in range(b.n(0, 2)):
        level = b.u(.1, .9)
        b.add(b.part(f"band {_}", "container"), Torus((0, level * h, 0), radius(level), b.u(.012, .035), section=b.u(.6, 1.6)))
    handles = {"cup": 1, "jug": 1, "teapot": 1, "pot": 2, "vase": b.pick([0, 0, 1, 2])}[kind]
    thick = b.u(.025, .05)
    if kind == "pot" and b.chance(.4):
        b.add(b.part("handle", "handle"), beam(b, (0, h * .8, radius(.8) * .9), (0, h * .9, radius(.8) + b.u(.4, .8)), thick * 1.2, b.chance(.4)))
        handles = 0
    for i in range(handles):
        side = 1 if i == 0 else -1
        low_t, high_t = (b.u(.1, .35), b.u(.65, .92)) if kind != "pot" else (b.u(.6, .7), b.u(.72, .85))
        p = np.array([0, low_t * h, side * radius(low_t) * .97])
        q = np.array([0, high_t * h, side * radius(high_t) * .97])
        a = np.linspace(0, np.pi, 11)[:, None]
        bulge = b.u(.15, .35) if kind != "pot" else b.u(.07, .15)
        points = p * (1 + np.cos(a)) / 2 + q * (1 - np.cos(a)) / 2 + np.sin(a) ** .7 * [0, b.u(-.05, .1), side * bulge]
        if kind == "pot":
            points = np.stack([np.array([np.cos(t) * .16, h * .75, side * (radius(.75) * .95 + np.sin(t) * bulge)]) for t in a[:, 0]])
        b.add(b.part(f"handle {i}", f"handle {i}"), Tube(points, thick, flat=b.u(.5, 1), normal=(1, 0, 0)), softness=.5)
        if b.chance(.2):
            b.add(b.part(f"thumb rest {i}", f"handle {i}"), Ellipsoid(points[7], thick * 1.5))
    if kind in ("teapot", "jug") or b.chance(.1):
        level = b.u(.2, .5)
        start = np.array([0, level * h, -radius(level) * .8])
        end = np.array([0, h * b.u(.85, 1.1), -radius(level) - b.u(.25, .45)])
        if kind == "jug":
            b.add(b.part("beak", "container"), RoundCone((0, h * .9, -radius(.9) * .8), (0, h * 1.02, -radius(1) - .1), .09, .05))
        else:
            b.add(b.part("spout", "spout"), Tube(arc(start, end, (0, -b.u(0, .08), -b.u(0, .08)), 9), np.linspace(b.u(.09, .13), b.u(.04, .06), 9)), softness=.8)
            if b.chance(.3):
                b.add(b.part("spout tip", "spout"), Torus(end, .05, .018, rotation_to(end - start)))
    if kind in ("teapot", "pot") and b.chance(.85) or b.chance(.12):
        r = radius(1)
        dome = b.u(.03, .14)
        b.add(b.part("lid", "lid"), Lathe((0, h - .01, 0), [(0, 0), (r * 1.03, 0), (r * 1.03, .03), (r * .6, .03 + dome * .7), (0, .03 + dome)], segments=32), smooth=False)
        b.add(b.part("knob", "lid"), Ellipsoid((0, h + dome + .06, 0), b.rng.uniform(.03, .07, 3)) if b.chance(.7) else Torus((0, h + dome + .07, 0), .05, .02, rotation_to((1, 0, 0))), smooth=False)


def gear_outline(b: Builder, radius: float, teeth: int, deep: float) -> np.ndarray:
    """(4 teeth, 2) outline of a toothed wheel."""
    a = np.arange(4 * teeth) * (2 * np.pi / (4 * teeth))
    r = np.where(np.arange(4 * teeth) % 4 < 2, radius, radius - deep)
    a = a + np.tile([.15, -.15, -.0, .0], teeth) * (2 * np.pi / (4 * teeth))
    return np.stack([np.cos(a), np.sin(a)], 1) * r[:, None]


def mechanical(b: Builder) -> None:
    """Flange, bracket with bosses, shaft with steps and gear, knob, valve, bearing block, bolt."""
    kind = b.pick(["flange", "bracket", "shaft", "valve", "bolt", "pipe", "block"])
    flat = rotation_about("x", -np.pi / 2)  # extrudes along y
    if kind == "flange":
        r, t, holes = b.u(.4, .6), b.u(.04, .1), b.n(3, 8)
        bore, bolt = r * b.u(.2, .35), r * b.u(.07, .11)
        drilled = b.chance(.6)
        where = [circle(bolt, 10, (np.cos(a) * r * .78, np.sin(a) * r * .78)) for a in np.arange(holes) * 2 * np.pi / holes]
        b.add(b.part("disc", "flange"), Prism((0, 0, 0), circle(r, 40), t, flat, holes=([circle(bore, 20)] if b.chance(.5) else []) + (where if drilled else [])))
        if not drilled:
            for i, a in enumerate(np.arange(holes) * 2 * np.pi / holes):
                p = np.array([np.cos(a) * r * .78, 0, np.sin(a) * r * .78])
                b.add(b.part(f"bolt {i}", "bolts"), rod(p + [0, t * .5, 0], p + [0, t + bolt * 1.2, 0], bolt, segments=6))
        hub = bore * b.u(1.2, 1.9)
        h = b.u(.15, .6)
        b.add(b.part("hub", "hub"), Lathe((0, 0, 0), [(bore, 0), (hub, 0), (hub * b.u(.8, 1), h), (bore, h)]))
        if b.chance(.4):
            b.add(b.part("collar", "hub"), Torus((0, h, 0), hub * .95, hub * .12))
        for i in range(b.n(3, 6) if b.chance(.5) else 0):
            a = 2 * np.pi * (i + .5) / 6
            rib = np.array([(hub * .9, t), (r * .9, t), (hub * .9, h * .9)])
            b.add(b.part(f"rib {i}", "ribs"), Prism((0, 0, 0), rib, .025, rotation_about("y", a)))
    elif kind == "bracket":
        w, t, l = b.u(.25, .45), b.u(.04, .08), b.u(.4, .7)
        b.add(b.part("foot", "foot"), Prism((0, 0, 0), rounded_rectangle(l, w, b.u(.02, .12)), t, flat, holes=[circle(.06, 12, (sx * l * .7, sz * w * .6)) for sx in (-1, 1) for sz in (-1, 1)]))
        for i, s in enumerate((-1, 1) if b.chance(.5) else (0,)):
            x = s * l * .4
            h = b.u(.4, .7)
            outline = np.concatenate([[(-w * .8, 0), (w * .8, 0)], circle(w * .5, 16, (0, h))[:9]])
            frame = rotation_about("y", np.pi / 2)
            b.add(b.part(f"lug {i}", f"lug {i}"), Prism((x, 0, 0), outline, t, frame, holes=[circle(w * .22, 14, (0, h))]))
            b.add(b.part(f"boss {i}", f"lug {i}"), Lathe((x - t * 2, h, 0), [(w * .22, 0), (w * .36, 0), (w * .36, t * 4), (w * .22, t * 4)], rotation_to((1, 0, 0))))
            if b.chance(.5):
                b.add(b.part(f"pin {i}", f"pin {i}"), rod((x - t * 4, h, 0), (x + t * 4, h, 0), w * .2, bevel=.2))
            if b.chance(.4):
                b.add(b.part(f"web {i}", f"lug {i}"), Prism((x, t, 0), np.array([(0, 0), (l * .45, 0), (0, h * .6)]), .03))
        if b.chance(.5):
            for i in range(b.n(1, 4)):
                p = np.array([(-1) ** i * l * .7, t, (-1) ** (i // 2) * w * .6])
                b.add(b.part(f"bolt {i}", "bolts"), rod(p, p + [0, .07, 0], .085, segments=6))
    elif kind == "shaft":
        x = -.8
        for i in range(b.n(3, 7)):
            l, r = b.u(.1, .4), b.u(.06, .18)
            form = b.pick(["rod", "rod", "cone", "gear", "ring"])
            if form == "gear":
                rr, half = b.u(.25, .42), b.u(.05, .09)
                b.add(b.part(f"gear {i}", f"gear {i}"), Prism((x + half, 0, 0), gear_outline(b, rr, b.n(8, 20), rr * .18), half, rotation_to((1, 0, 0)) @ rotation_about("x", np.pi / 2)))
                b.add(b.part(f"gear hub {i}", f"gear {i}"), rod((x - .03, 0, 0), (x + 2 * half + .03, 0, 0), rr * .5))
                l = 2 * half
            else:
                b.add(b.part(f"step {i}", "shaft"), rod((x, 0, 0), (x + l + .01, 0, 0), r, r * b.u(.4, 1.2) if form == "cone" else r, .08 if b.chance(.5) else 0))
                if form == "ring":
                    b.add(b.part(f"ring {i}", "shaft"), Torus((x + l / 2, 0, 0), r, r * .3, rotation_to((1, 0, 0))))
            x += l
        if b.chance(.4):
            b.add(b.part("crank", "crank"), Box((x, .2, 0), (.04, .28, .06), rounding=.02))
            b.add(b.part("crank grip", "crank"), rod((x, .42, 0), (x + .35, .42, 0), .05, .06, .2))
    elif kind == "valve":
        r = b.u(.1, .18)
        b.add(b.part("pipe", "pipe"), rod((-.7, 0, 0), (.7, 0, 0), r))
        for s, name in SIDES:
            b.add(b.part(f"{name} flange", "pipe"), rod((s * .66, 0, 0), (s * .76, 0, 0), r * b.u(1.6, 2.2)))
        b.add(b.part("body", "body"), Ellipsoid((0, 0, 0), (r * 2, r * 1.7, r * 1.7)))
        b.add(b.part("bonnet", "body"), rod((0, r, 0), (0, r * 2.6, 0), r * 1.1, r * .7))
        b.add(b.part("stem", "wheel"), rod((0, r * 2, 0), (0, .65, 0), r * .25))
        wheel = b.u(.25, .38)
        b.add(b.part("wheel rim", "wheel"), Torus((0, .62, 0), wheel, wheel * b.u(.08, .16)))
        for i in range(b.n(3, 5)):
            a = i * 2 * np.pi / 4
            b.add(b.part(f"spoke {i}", "wheel"), rod((0, .62, 0), (np.cos(a) * wheel, .62, np.sin(a) * wheel), wheel * .07))
        b.add(b.part("wheel hub", "wheel"), Ellipsoid((0, .63, 0), r * .5))
    elif kind == "bolt":
        r = b.u(.08, .16)
        b.add(b.part("shank", "bolt"), rod((0, -.7, 0), (0, .5, 0), r))
        b.add(b.part("head", "bolt"), rod((0, .45, 0), (0, .45 + r * 1.4, 0), r * 1.9, bevel=.1, segments=b.pick([4, 6, 6, 24])))
        if b.chance(.6):
            b.add(b.part("thread", "bolt"), Tube(spiral((-r, -.68, 0), (0, 1, 0), r, 8, .6, 90), r * .16, sides=5))
        for i in range(b.n(0, 2)):
            y = -.3 + .35 * i
            b.add(b.part(f"nut {i}", f"nut {i}"), rod((0, y, 0), (0, y + r * 1.3, 0), r * 1.8, bevel=.1, segments=6))
            b.add(b.part(f"washer {i}", f"nut {i}"), rod((0, y - r * .25, 0), (0, y + .01, 0), r * 2.3))
    elif kind == "pipe":
        r = b.u(.1, .17)
        at, way = np.zeros(3), np.array([0.0, 1, 0])
        for i in range(b.n(2, 5)):
            end = at + way * b.u(.35, .7)
            b.add(b.part(f"pipe {i}", f"run {i}"), rod(at, end, r))
            if b.chance(.6):
                mid = at + (end - at) * .5
                b.add(b.part(f"sleeve {i}", f"run {i}"), rod(mid - way * r * .5, mid + way * r * .5, r * 1.25, bevel=.1))
            b.add(b.part(f"elbow {i}", f"elbow {i}"), Ellipsoid(end, r * 1.2) if b.chance(.6) else Torus(end, r, r * .3, rotation_to(way)))
            at, way = end, np.roll(way, b.n(1, 2)) * b.pick([-1, 1])
        b.add(b.part("end flange", "end"), rod(at, at + way * .1, r * 1.9))
    else:
        w = b.rng.uniform(.25, .6, 3)
        block = b.part("block", "block")
        b.add(block, Box((0, 0, 0), w, rounding=b.pick([0, .04])))
        for _ in range(b.n(1, 4) if b.smooth else 0):  # drilled and milled away
            axis, at = b.n(0, 2), b.rng.uniform(-.7, .7, 3) * w
            way, r = np.eye(3)[axis], b.u(.06, .2)
            b.add(block, b.pick([rod(at - way * 2 * w[axis], at + way * b.pick([0, 2 * w[axis]]), r), Box(at + way * w[axis], b.rng.uniform(.1, .3, 3))]), softness=.05, carve=True)
        for i in range(b.n(2, 7)):
            axis = b.n(0, 2)
            s = b.pick([-1, 1])
            p = b.rng.uniform(-.7, .7, 3) * w
            p[axis] = s * w[axis]
            way = np.eye(3)[axis] * s
            r = b.u(.05, .16)
            g = f"feature {i}"
            b.add(b.part(f"boss {i}", g), rod(p - way * .02, p + way * b.u(.06, .3), r, r * b.u(.7, 1), segments=b.pick([6, 24, 24])))
            if b.chance(.4):
                b.add(b.part(f"cap {i}", g), Ellipsoid(p + way * .2, r * .8) if b.chance(.5) else rod(p, p + way * .38, r * .5))


def wheel(b: Builder, at, radius: float, width: float, name: str, axis=(0, 0, 1)) -> None:
    """Tyre, rim and hub about `axis`; sometimes one part, sometimes spoked."""
    at, axis = np.asarray(at, float), unit(axis)
    group = name
    if b.chance(.45):
        b.add(b.part(f"{name} tyre", group), Torus(at, radius * .8, radius * .24, rotation_to(axis), section=b.u(.8, 1.3)))
        if b.chance(.5):
            for i in range(5):
                a = i * 2 * np.pi / 5
                p = rotation_to(axis) @ np.array([np.cos(a), 0, np.sin(a)]) * radius * .75
                b.add(b.part(f"{name} spokes", group), rod(at, at + p, radius * .07))
        else:
            b.add(b.part(f"{name} rim", group), rod(at - axis * width * .35, at + axis * width * .35, radius * .68))
    else:
        b.add(b.part(f"{name} tyre", group), rod(at - axis * width / 2, at + axis * width / 2, radius, bevel=.12))
        b.add(b.part(f"{name} rim", group), rod(at - axis * width * .54, at + axis * width * .54, radius * .6))
    if b.chance(.6):
        b.add(b.part(f"{name} hub", group), rod(at - axis * width * .62, at + axis * width * .62, radius * .2))


def vehicle(b: Builder) -> None:
    """Car, truck, bus, train, tractor, tank, cart: body, cabin, wheels, lamps, bumpers, loads."""
    kind = b.pick(["car", "truck", "tank", "tractor", "train"])
    w = b.u(.24, .36)
    boxy = b.u(.15, .5)
    if kind == "car":
        b.add(b.part("body", "body"), Superquadric((0, 0, 0), (.85, b.u(.14, .2), w), boxy, boxy))
        b.add(b.part("cabin", "cabin"), Box((b.u(-.2, .05), .24, 0), (b.u(.3, .5), .16, w * .85), rounding=.05, taper=b.u(.65, .95)))
        if b.chance(.4):
            b.add(b.part("bonnet", "body"), Box((.58, .1, 0), (.25, .06, w * .8), rounding=.03))
    elif kind == "truck":
        b.add(b.part("chassis", "body"), Box((0, -.1, 0), (.9, .05, w * .8)))
        b.add(b.part("cabin", "cabin"), Box((.65, .15, 0), (.22, .25, w), rounding=b.u(.01, .06), taper=b.u(.8, 1)))
        b.add(b.part("load", "load"), b.pick([Box((-.25, .2, 0), (.6, .3, w)), rod((-.85, .15, 0), (.35, .15, 0), w * .85, bevel=.2), Box((-.25, .05, 0), (.6, .12, w))]))
    elif kind == "tank":
        b.add(b.part("hull", "body"), Box((0, 0, 0), (.75, .13, w), taper=.85))
        b.add(b.part("turret", "turret"), b.pick([Ellipsoid((0, .22, 0), (.33, .15, w * .8)), rod((0, .1, 0), (0, .34, 0), .3, .22)]))
        b.add(b.part("barrel", "turret"), rod((.2, .24, 0), (b.u(.8, 1.2), .27, 0), .035))
        b.add(b.part("muzzle", "turret"), rod((.8, .25, 0), (.92, .255, 0), .055))
        b.add(b.part("hatch", "turret"), rod((-.1, .28, .08), (-.1, .4, .08), .08))
        for side, name in SIDES:
            b.add(b.part(f"{name} track", f"{name} drive"), Prism((0, -.12, side * w), rounded_rectangle(.78, .13, .12), .1))
            for i in range(b.n(3, 5)):
                x = -.6 + .3 * i
                b.add(b.part(f"{name} roller {i}", f"{name} drive"), rod((x, -.13, side * (w - .02)), (x, -.13, side * (w + .13)), .1))
        return
    elif kind == "tractor":
        b.add(b.part("engine", "body"), Box((.4, .1, 0), (.4, .15, w * .55), rounding=.04))
        b.add(b.part("cabin", "cabin"), Box((-.3, .3, 0), (.27, .32, w * .8), taper=b.u(.8, 1)))
        b.add(b.part("exhaust", "body"), rod((.5, .2, 0), (.5, .6, 0), .03))
        b.add(b.part("roof", "cabin"), Box((-.3, .62, 0), (.32, .03, w * .95)))
    else:
        b.add(b.part("boiler", "body"), rod((-.3, .12, 0), (.8, .12, 0), w * .8, bevel=.1))
        b.add(b.part("cabin", "cabin"), Box((-.55, .22, 0), (.27, .35, w)))
        b.add(b.part("roof", "cabin"), Box((-.55, .58, 0), (.33, .03, w * 1.1)))
        b.add(b.part("chimney", "body"), rod((.6, .3, 0), (.6, .62, 0), .06, .1))
        b.add(b.part("dome", "body"), Ellipsoid((.15, .37, 0), (.12, .13, .12)))
        b.add(b.part("frame", "frame"), Box((0, -.16, 0), (.88, .05, w * .9)))
    axles = b.n(2, 4) if kind in ("train", "truck") else 2
    radius = b.u(.13, .2)
    for i in range(axles):
        x = -.58 + 1.16 * i / (axles - 1)
        r = radius * (1.9 if kind == "tractor" and i == 0 else 1)
        for side, name in SIDES:
            wheel(b, (x, -.2 + (r - radius), side * w), r, b.u(.08, .14), f"wheel {i} {name}")
        if b.chance(.3):
            b.add(b.part(f"axle {i}", f"axle {i}"), rod((x, -.2, -w), (x, -.2, w), .025))
    if b.chance(.6):
        for side, name in SIDES:
            b.add(b.part(f"{name} lamp", "front"), rod((.83, .03, side * w * .65), (.9, .03, side * w * .65), b.u(.03, .06)))
    if b.chance(.5):
        b.add(b.part("front bumper", "front"), Box((.88, -.1, 0), (.03, .03, w * .95), rounding=.02))
    if b.chance(.3):
        for side, name in SIDES:
            b.add(b.part(f"{name} mirror", "cabin"), Box((.45, .22, side * (w + .04)), (.02, .04, .03)))


def aircraft(b: Builder) -> None:
    """Aeroplane, rocket, helicopter, boat: hull, wings, tail, engines, propellers, cockpit, masts."""
    kind = b.pick(["plane", "plane", "plane", "rocket", "helicopter", "boat"])
    r = b.u(.08, .16)
    if kind == "rocket":
        b.add(b.part("body", "body"), rod((0, -.6, 0), (0, .4, 0), r * 1.3))
        b.add(b.part("nose", "body"), Lathe((0, .4, 0), [(0, 0), (r * 1.3, 0), (r, .2), (r * .5, .38), (0, .5)]))
        fins = b.n(3, 5)
        for i in range(fins):
            outline = np.array([(r, 0), (r * 3, -.25), (r * 3, -.4), (r, -.2)]) * [1, b.u(.8, 1.0)]
            b.add(b.part(f"fin {i}", "fins"), Prism((0, -.3, 0), outline, .02, rotation_about("y", i * 2 * np.pi / fins)))
        b.add(b.part("nozzle", "engine"), rod((0, -.75, 0), (0, -.58, 0), r * 1.0, r * .6))
        for i in range(b.n(0, 4)):
            a = (i + .5) * np.pi / 2
            p = np.array([np.cos(a), 0, np.sin(a)]) * r * 1.8
            b.add(b.part(f"booster {i}", f"booster {i}"), rod(p + [0, -.6, 0], p + [0, 0, 0], r * .5))
            b.add(b.part(f"booster nose {i}", f"booster {i}"), rod(p, p + [0, .2, 0], r * .5, 0.002))
        if b.chance(.5):
            b.add(b.part("window", "body"), Torus((r * 1.25, .2, 0), r * .4, r * .12, rotation_to((1, 0, 0))))
        return
    if kind == "boat":
        outline = np.array([(-.8, -.22), (.3, -.24), (.65, -.15), (.95, 0), (.65, .15), (.3, .24), (-.8, .22)])
        b.add(b.part("hull", "hull"), Prism((0, 0, 0), outline, .12, rotation_about("x", np.pi / 2)))
        b.add(b.part("deck house", "house"), Box((-.2, .2, 0), (b.u(.2, .4), .1, .15)))
        if b.chance(.7):
            b.add(b.part("bridge", "house"), Box((-.1, .36, 0), (.14, .07, .12)))
        for i in range(b.n(1, 3)):
            x = .4 - .35 * i
            b.add(b.part(f"mast {i}", f"mast {i}"), rod((x, .1, 0), (x, b.u(.6, 1.1), 0), .022))
            if b.chance(.6):
                b.add(b.part(f"sail {i}", f"mast {i}"), Prism((x, .3, 0), np.array([(0, 0), (-.3, 0), (0, .5)]), .01))
            b.add(b.part(f"boom {i}", f"mast {i}"), rod((x, .28, 0), (x - .32, .28, 0), .016))
        if b.chance(.5):
            b.add(b.part("funnel", "house"), rod((-.4, .2, 0), (-.42, .55, 0), .08, .07))
        return
    length = b.u(.7, 1.0)
    if kind == "helicopter":
        b.add(b.part("cabin", "body"), Ellipsoid((.25, 0, 0), (.4, .26, .24)))
        b.add(b.part("boom", "body"), RoundCone((0, .06, 0), (-.85, .12, 0), .11, .045))
        b.add(b.part("mast", "rotor"), rod((.2, .2, 0), (.2, .38, 0), .035))
        blades = b.n(2, 5)
        for i in range(blades):
            a = i * 2 * np.pi / blades + .3
            way = np.array([np.cos(a), 0, np.sin(a)])
            b.add(b.part(f"blade {i}", "rotor"), Box(np.array([.2, .38, 0]) + way * .42, (.045, .42, .012), frame_along(way)))
        b.add(b.part("tail fin", "tail"), Box((-.85, .22, 0), (.07, .13, .015)))
        for i in range(2):
            b.add(b.part("tail rotor", "tail"), Box((-.88, .15, .06), (.03, .16, .01), rotation_about("z", i * np.pi / 2)))
        for side, name in SIDES:
            b.add(b.part(f"{name} skid", "gear"), RoundCone((-.15, -.35, side * .2), (.6, -.35, side * .2), .025))
            for k, x in enumerate((0, .4)):
                b.add(b.part(f"{name} strut {k}", "gear"), rod((x, -.35, side * .2), (x, -.1, side * .1), .018))
        return
    b.add(b.part("fuselage", "body"), RoundCone((length * .5, 0, 0), (-length * .5, .02, 0), r, r * .6) if b.chance(.4)
          else Ellipsoid((0, 0, 0), (length * .85, r, r)))
    if b.chance(.6):
        b.add(b.part("nose", "body"), Ellipsoid((length * .55, 0, 0), (length * .25, r * .95, r * .95)))
    if b.chance(.6):
        b.add(b.part("cockpit", "body"), Ellipsoid((length * .35, r * .75, 0), (length * .17, r * .6, r * .6)), softness=.2)
    span, chord, sweep = b.u(.6, 1.0), b.u(.15, .28), b.u(-.1, .6)
    dihedral, tipc = b.u(-.1, .15), b.u(.3, .9)
    height = b.pick([-.5, 0, .6]) * r
    engines = b.pick([0, 0, 1, 2])
    for side, name in SIDES:
        outline = np.array([(chord, 0), (chord - sweep * span, span), (chord - sweep * span - chord * 2 * tipc, span), (-chord, 0)])
        frame = np.stack([[1.0, 0, 0], unit([0, dihedral, side]), np.cross([1.0, 0, 0], unit([0, dihedral, side]))], 1)
        b.add(b.part(f"{name} wing", f"{name} wing"), Prism((0, height, 0), outline, b.u(.012, .03), frame))
        if b.chance(.3):
            tip = np.array([chord - sweep * span - chord, height + span * dihedral, side * span])
            b.add(b.part(f"{name} winglet", f"{name} wing"), Box(tip + [0, .07, 0], (chord * tipc * .8, .09, .012)))
        for k in range(engines):
            z = span * (.35 + .3 * k)
            p = np.array([chord * .9 - sweep * z, height + dihedral * z - .07, side * z])
            b.add(b.part(f"{name} engine {k}", f"{name} wing"), rod(p - [.18, 0, 0], p + [.12, 0, 0], .05, .06, .1))
            if b.chance(.4):
                b.add(b.part(f"{name} propeller {k}", f"{name} wing"), Box(p + [.14, 0, 0], (.008, .14, .02)))
    tail = -length * .62
    for side, name in SIDES:
        s = span * b.u(.28, .42)
        outline = np.array([(chord * .6, 0), (chord * .6 - sweep * s, s), (-chord * .4 - sweep * s, s), (-chord * .5, 0)])
        frame = np.stack([[1.0, 0, 0], [0, 0, float(side)], np.cross([1.0, 0, 0], [0, 0, float(side)])], 1)
        b.add(b.part(f"{name} tailplane", "tail"), Prism((tail, .03, 0), outline, .012, frame))
    s = b.u(.2, .35)
    b.add(b.part("rudder", "tail"), Prism((tail, 0, 0), np.array([(chord * .6, 0), (-.1, s), (-chord * .7 - .1, s), (-chord * .6, 0)]), .014))
    if b.chance(.35):
        for k in range(b.n(2, 4)):
            b.add(b.part("propeller", "nose set"), Box((length * .87, 0, 0), (.01, b.u(.18, .25), .03), rotation_about("x", k * np.pi / 3)))
        b.add(b.part("spinner", "nose set"), Ellipsoid((length * .88, 0, 0), (.07, .04, .04)))
    if b.chance(.35):
        for i, p in enumerate(((.35, 0), (-.05, .2), (-.05, -.2))):
            b.add(b.part(f"strut {i}", f"gear {i}"), rod((p[0], -r * .5, p[1]), (p[0], -r - .14, p[1]), .014))
            b.add(b.part(f"wheel {i}", f"gear {i}"), rod((p[0], -r - .15, p[1] - .025), (p[0], -r - .15, p[1] + .025), .05))


LETTERS = {  # strokes of letters on a 2 x 4 grid
    "A": [((0, 0), (1, 4)), ((1, 4), (2, 0)), ((.4, 1.5), (1.6, 1.5))], "E": [((0, 0), (0, 4)), ((0, 4), (2, 4)), ((0, 2), (1.6, 2)), ((0, 0), (2, 0))],
    "F": [((0, 0), (0, 4)), ((0, 4), (2, 4)), ((0, 2), (1.6, 2))], "H": [((0, 0), (0, 4)), ((2, 0), (2, 4)), ((0, 2), (2, 2))],
    "K": [((0, 0), (0, 4)), ((0, 2), (2, 4)), ((.4, 2.3), (2, 0))], "L": [((0, 0), (0, 4)), ((0, 0), (2, 0))],
    "N": [((0, 0), (0, 4)), ((0, 4), (2, 0)), ((2, 0), (2, 4))], "T": [((1, 0), (1, 4)), ((-.2, 4), (2.2, 4))],
    "X": [((0, 0), (2, 4)), ((0, 4), (2, 0))], "Y": [((1, 0), (1, 2)), ((1, 2), (0, 4)), ((1, 2), (2, 4))], "Z": [((0, 4), (2, 4)), ((2, 4), (0, 0)), ((0, 0), (2, 0))],
}


def star_outline(b: Builder) -> np.ndarray:
    """(K, 2) star, flower, cross or random star-shaped polygon about the origin."""
    kind = b.pick(["star", "wave", "polygon", "blob"])
    n = b.n(3, 9)
    if kind == "star":
        a = np.arange(2 * n) * np.pi / n
        return np.stack([np.cos(a), np.sin(a)], 1) * np.where(np.arange(2 * n) % 2, b.u(.3, .7), 1)[:, None] * .5
    if kind == "polygon":
        return circle(.5, n)
    a = np.arange(40) * np.pi / 20
    r = 1 + (b.u(.1, .35) * np.cos(n * a) if kind == "wave" else sum(b.u(-.3, .3) / k * np.cos(k * a + b.u(0, 6)) for k in (1, 2, 3, 4)))
    return np.stack([np.cos(a), np.sin(a)], 1) * (r * .4)[:, None]


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
        b.add(b.part("post", "post"), beam(b, (0, -1.1, 0), (0, -.2, 0), .05, b.chance(.5)))
        if b.chance(.6):
            b.add(b.part("foot", "post"), rod((0, -1.15, 0), (0, -1.08, 0), .25, .2))
    for i in range(b.n(0, 4)):
        a = b.u(0, 6.28)
        b.add(b.part(f"stud {i}", "studs"), Ellipsoid((np.cos(a) * .25, np.sin(a) * .25, z), b.u(.03, .07)))


def glasses(b: Builder) -> None:
    """Spectacles: rims, lenses, bridge, temples with hinges and tips, nose pads."""
    r, gap, wire = b.u(.2, .3), b.u(.06, .12), b.u(.015, .045)
    square = b.chance(.5)
    lens = b.chance(.5)
    bow = b.u(.6, 1.0)
    for side, name in SIDES:
        c = np.array([0, 0, side * (r + gap)])
        outline = rounded_rectangle(r, r * bow * .8, r * b.u(.2, .6), 5) if square else circle(r, 24) * [1, bow]
        loop = np.stack([np.zeros(len(outline) + 1), np.r_[outline[:, 1], outline[0, 1]], np.r_[outline[:, 0], outline[0, 0]]], 1) + c
        b.add(b.part(f"{name} rim", "front"), Tube(loop, wire, sides=8))
        if lens:
            b.add(b.part(f"{name} lens", "front"), Prism(c, outline, wire * .3, rotation_about("y", -np.pi / 2)))
        hinge = c + [0, r * bow * .3, side * r]
        group = f"{name} temple"
        back = hinge + [-b.u(.7, .95), -.02, b.u(-.08, .05) * side]
        b.add(b.part(f"{name} hinge", group), Box(hinge, (wire * 1.8, wire * 1.6, wire * 1.6)))
        b.add(b.part(f"{name} arm", group), Tube(np.stack([hinge, (hinge + back) / 2, back]), wire * .9, flat=.6, normal=(0, 0, 1)))
        b.add(b.part(f"{name} tip", group), Tube(arc(back, back + [-.2, -.18, -.03 * side], (0, .05, 0)), wire * b.u(1, 1.4)))
        if b.chance(.4):
            b.add(b.part(f"{name} nose pad", "front"), Ellipsoid((-.05, -.05, side * gap * .7), (.02, .05, .015)))
    b.add(b.part("bridge", "front"), Tube(arc((0, r * .2, -gap * 1.1), (0, r * .2, gap * 1.1), (0, b.u(0, .08), 0)), wire))
    if b.chance(.2):
        b.add(b.part("brow bar", "front"), rod((0, r * .6, -gap - r * .4), (0, r * .6, gap + r * .4), wire * .8))


def instrument(b: Builder) -> None:
    """Guitar, violin, candelabrum, trophy, key, umbrella, telescope, robot arm: long things with small parts."""
    kind = b.pick(["guitar", "candelabrum", "key", "umbrella", "telescope", "robot arm", "dumbbell"])
    if kind == "guitar":
        w, t = b.u(.25, .36), b.u(.05, .1)
        a = np.linspace(0, 2 * np.pi, 41)[:-1]
        waist = 1 - b.u(.15, .35) * np.exp(-((np.sin(a)) / .4) ** 2) * 1.0
        outline = np.stack([np.cos(a) * w * waist, np.sin(a) * .42 - .1], 1)
        b.add(b.part("body", "body"), Prism((0, -.35, 0), outline, t, bevel=.02))
        b.add(b.part("neck", "neck"), Box((0, .4, t * .5), (.04, .5, .025)))
        b.add(b.part("head", "neck"), Box((0, .98, t * .4), (.07, .12, .02), rounding=.01))
        b.add(b.part("bridge", "body"), Box((0, -.6, t), (.12, .025, .02)))
        b.add(b.part("sound ring", "body"), Torus((0, -.3, t), .09, .015, rotation_to((0, 0, 1))))
        for i in range(6):
            s = -1 if i < 3 else 1
            y = .91 + .07 * (i % 3)
            b.add(b.part(f"peg {i}", "pegs"), rod((s * .05, y, t * .4), (s * .13, y, t * .4), .012))
            b.add(b.part(f"peg {i} knob", "pegs"), Ellipsoid((s * .14, y, t * .4), (.022, .026, .012)))
    elif kind == "candelabrum":
        b.add(b.part("foot", "stand"), Lathe((0, -.7, 0), [(0, 0), (.3, 0), (.28, .05), (.06, .12), (0, .14)]))
        profile = random_profile(b, .9, .03, .1, 15)
        b.add(b.part("column", "stand"), Lathe((0, -.62, 0), np.concatenate([[(0, 0)], profile, [(0, .9)]]), segments=20))
        arms = b.n(2, 6)
        tops = [np.array([0, .28, 0])]
        for i in range(arms):
            a = i * 2 * np.pi / arms
            end = np.array([np.cos(a) * .45, .25, np.sin(a) * .45])
            b.add(b.part(f"arm {i}", f"branch {i}"), Tube(arc((0, .05, 0), end, (0, -.2, 0), 9), .028))
            tops.append(end)
        for i, p in enumerate(tops):
            g = f"branch {i - 1}" if i else "centre"
            b.add(b.part(f"cup {i}", g), Lathe(p, [(0, 0), (.04, 0), (.08, .06), (.07, .08), (0, .08)], segments=16))
            b.add(b.part(f"candle {i}", g), rod(p + [0, .05, 0], p + [0, b.u(.25, .4), 0], .032))
            b.add(b.part(f"flame {i}", g), Ellipsoid(p + [0, .42, 0], (.02, .05, .02)))
    elif kind == "key":
        b.add(b.part("shaft", "shaft"), rod((0, -.6, 0), (0, .4, 0), b.u(.035, .06)))
        r = b.u(.16, .26)
        b.add(b.part("bow", "bow"), Torus((0, .4 + r, 0), r, b.u(.03, .06), rotation_to((0, 0, 1))))
        if b.chance(.5):
            b.add(b.part("collar", "shaft"), Torus((0, .33, 0), .06, .03))
        for i in range(b.n(1, 4)):
            b.add(b.part(f"bit {i}", "bit"), Box((.1, -.55 + .11 * i, 0), (b.u(.06, .13), .035, .02)))
    elif kind == "umbrella":
        r, h = b.u(.6, .85), b.u(.25, .45)
        n = b.n(6, 10)
        a = np.linspace(0, np.pi / 2, 8)
        outer = np.stack([r * np.sin(a), .5 + h * np.cos(a) - h], 1)[::-1]
        b.add(b.part("canopy", "canopy"), Lathe((0, .2, 0), np.concatenate([outer, (outer - [.02, .025])[:-1][::-1].clip(0)]), segments=n))
        b.add(b.part("ferrule", "canopy"), rod((0, .68, 0), (0, .82, 0), .02, .012))
        b.add(b.part("pole", "stick"), rod((0, -.75, 0), (0, .7, 0), .018))
        b.add(b.part("handle", "stick"), Tube(np.stack([[.1 - .1 * np.cos(t), -.75 - .12 * np.sin(t), 0] for t in np.linspace(0, np.pi * 1.1, 9)]), .032))
        b.add(b.part("runner", "stick"), rod((0, .15, 0), (0, .22, 0), .035))
    elif kind == "telescope":
        at, r = -.7, b.u(.09, .12)
        for i in range(b.n(2, 4)):
            l = b.u(.3, .5)
            b.add(b.part(f"tube {i}", "tube"), rod((at, .2, 0), (at + l, .2, 0), r))
            b.add(b.part(f"ring {i}", "tube"), rod((at + l - .04, .2, 0), (at + l + .02, .2, 0), r * 1.25))
            at, r = at + l, r * 1.2
        b.add(b.part("eyepiece", "tube"), rod((-.8, .2, 0), (-.68, .2, 0), .06, .05))
        b.add(b.part("mount", "tripod"), Ellipsoid((0, .05, 0), .09))
        for i in range(3):
            a = i * 2 * np.pi / 3 + .4
            foot = np.array([np.cos(a) * .4, -.8, np.sin(a) * .4])
            b.add(b.part(f"leg {i}", "tripod"), rod((0, .03, 0), foot, .03, .022))
            if b.chance(.6):
                b.add(b.part(f"foot {i}", "tripod"), Ellipsoid(foot, .04))
    elif kind == "robot arm":
        b.add(b.part("base", "base"), rod((0, -.7, 0), (0, -.55, 0), .28, .22))
        b.add(b.part("turret", "base"), rod((0, -.56, 0), (0, -.4, 0), .16))
        at, angle = np.array([0, -.35, 0.0]), b.u(1.2, 2.0)
        for i in range(b.n(2, 4)):
            b.add(b.part(f"joint {i}", f"link {i}"), rod(at - [0, 0, .12], at + [0, 0, .12], .11 - .015 * i, bevel=.15))
            end = at + np.array([np.cos(angle), np.sin(angle), 0]) * b.u(.3, .5)
            b.add(b.part(f"link {i}", f"link {i}"), beam(b, at, end, .07 - .01 * i, b.chance(.5)))
            at, angle = end, angle - b.u(.4, 1.2)
        b.add(b.part("wrist", "gripper"), Ellipsoid(at, .07))
        way = np.array([np.cos(angle), np.sin(angle), 0])
        for side, name in SIDES:
            b.add(b.part(f"{name} finger", "gripper"), Tube(np.stack([at, at + way * .12 + [0, 0, side * .1], at + way * .28 + [0, 0, side * .05]]), [.03, .028, .015]))
    else:
        l = b.u(.3, .6)
        b.add(b.part("bar", "bar"), rod((-l - .1, 0, 0), (l + .1, 0, 0), b.u(.03, .06)))
        if b.chance(.6):
            b.add(b.part("grip", "bar"), rod((-l * .5, 0, 0), (l * .5, 0, 0), b.u(.065, .08)))
        for s, name in SIDES:
            for i in range(b.n(1, 3)):
                x, r = s * (l + .08 * i), b.u(.18, .35)
                b.add(b.part(f"{name} weight {i}", f"{name} weights"), rod((x, 0, 0), (x + s * .075, 0, 0), r, bevel=.08, segments=b.pick([6, 28])))
            b.add(b.part(f"{name} collar", f"{name} weights"), rod((s * (l + .25), 0, 0), (s * (l + .32), 0, 0), .07))


def random_solid(b: Builder, center, size: float) -> Solid:
    """Any primitive, at any angle."""
    turn = rotation_to(b.rng.normal(size=3), b.u(0, 6.28)) if b.chance(.7) else np.eye(3)
    r = size * b.rng.uniform(.35, 1.0, 3)
    center = np.asarray(center, float)
    way = turn[:, 1]
    kind = b.n(0, 9)
    if kind == 0:
        return Box(center, r, turn, rounding=b.pick([0, 0, .3, .8]) * r.min(), taper=b.pick([1, 1, b.u(.3, 1)]))
    if kind == 1:
        return rod(center - way * r[0], center + way * r[0], r[1], r[1] * b.pick([1, 1, b.u(0, .9)]) + 1e-3, b.pick([0, .2]), segments=b.pick([4, 6, 8, 24, 36]))
    if kind == 2:
        return RoundCone(center - way * r[0], center + way * r[0], r[1] * .5, r[2] * .5)
    if kind == 3:
        return Torus(center, size * .7, size * b.u(.1, .35), turn)
    if kind == 4:
        return Superquadric(center, r, b.u(.2, 1.6), b.u(.2, 1.6), turn)
    if kind == 5:
        return Tube(arc(center - way * size, center + way * size, b.rng.normal(size=3) * size * .5, 11), np.linspace(b.u(.1, .3), b.u(.05, .3), 11) * size)
    if kind == 6:
        profile = random_profile(b, size * 2, size * .2, size * .8, 10)
        return Lathe(center - way * size, np.concatenate([[(0, 0)], profile, [(0, size * 2)]]), turn, segments=b.n(5, 32))
    if kind == 7:
        return Prism(center, star_outline(b) * size * 2, size * b.u(.1, .6), turn, bevel=.05 * size)
    if kind == 8:
        return Tube(spiral(center - way * size * .5, way, size * .4, b.u(.5, 2.5), size * 1.2, 24), size * b.u(.06, .15))
    return Ellipsoid(center, r, turn)


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


def blob(b: Builder) -> None:
    """Two to six soft lobes in a chain or star, with seams and no creases: peanuts, bones, puppets, teddy bears."""
    kind = b.pick(["chain", "star", "bear"])
    if kind == "bear":
        b.add(b.part("belly", "torso"), Ellipsoid((0, 0, 0), (.3, .38, .3)))
        b.add(b.part("head", "head"), Ellipsoid((.03, .55, 0), (.25, .25, .28)))
        b.add(b.part("snout", "head"), Ellipsoid((.27, .5, 0), (.1, .09, .12)))
        for side, name in SIDES:
            b.add(b.part(f"{name} ear", "head"), Ellipsoid((0, .77, side * .2), (.05, .1, .1)), softness=.3)
            b.add(b.part(f"{name} arm", f"{name} arm"), RoundCone((.05, .2, side * .25), (.25, b.u(-.1, .4), side * .5), .12, .1))
            b.add(b.part(f"{name} leg", f"{name} leg"), RoundCone((.05, -.25, side * .18), (.4, b.u(-.5, -.3), side * .3), .14, .12))
            if b.chance(.5):
                b.add(b.part(f"{name} sole", f"{name} leg"), Ellipsoid((.5, -.38, side * .3), (.05, .12, .1)), softness=.2)
        return
    at = np.zeros(3)
    way = unit(b.rng.normal(size=3))
    for i in range(b.n(2, 6)):
        r = b.rng.uniform(.15, .4, 3)
        b.add(b.part(f"lobe {i}", "first half" if i < 2 else "second half"), Ellipsoid(at, r, rotation_to(way)))
        if kind == "chain":
            at = at + way * r[1] * b.u(1.1, 1.6)
            way = unit(way + b.rng.normal(size=3) * .4)
        else:
            at = unit(b.rng.normal(size=3)) * b.u(.35, .6)
    if b.chance(.5):
        for i in range(b.n(1, 5)):
            way = unit(b.rng.normal(size=3))
            b.add(b.part(f"bud {i}", "buds"), Ellipsoid(way * .4, b.u(.05, .1)), softness=.2)
