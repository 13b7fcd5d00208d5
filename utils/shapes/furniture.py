"""Furniture, lamps, and things of many equal parts in a row."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import SIDES, arc, beam, circle, rounded_rectangle, slab, spiral
from utils.shapes.solids import (
    Box,
    Ellipsoid,
    Lathe,
    Prism,
    Superquadric,
    Torus,
    Tube,
    rod,
    rotation_about,
    rotation_to,
    unit,
)


def chair(b: Builder) -> None:
    """Seat, back (posts with rails, slats, spindles or a panel), legs with stretchers, arm rests, cushions."""
    wx, wz = b.u(0.3, 0.45), b.u(0.3, 0.5) if b.chance(0.8) else b.u(0.6, 1.1)
    thick, legs = b.u(0.02, 0.05), b.u(0.35, 0.75)
    seat = b.u(0.02, 0.07)
    round_seat = b.chance(0.15)
    b.add(
        b.part("seat", "seat"),
        rod((0, -seat, 0), (0, seat, 0), wx, wx, 0.1) if round_seat else slab(b, (0, 0, 0), (wx, seat, wz)),
    )
    if b.chance(0.25):
        b.add(b.part("cushion", "seat"), Superquadric((0, seat * 1.5, 0), (wx * 0.9, 0.06, wz * 0.9), 0.5, 0.3))
    legs_and_rails(b, -seat * 0.5, -legs, wx, wz, thick)
    if b.chance(0.12):
        return  # a stool
    high, lean = b.u(0.4, 0.85), b.u(0, 0.22)
    square = b.chance(0.5)
    kind = b.pick(["rails", "slats", "spindles", "panel", "cushion", "ladder", "hoop"])

    def back(level, z):
        return np.array([-wx * 0.9 - lean * level, seat + high * level, z])

    if kind in ("rails", "slats", "spindles", "ladder") or b.chance(0.25):
        for side, name in SIDES:
            b.add(
                b.part(f"{name} back post", "back"),
                beam(back(-0.1, side * wz * 0.9), back(1, side * wz * 0.9), thick, square),
            )
            if b.chance(0.3):
                b.add(b.part(f"{name} finial", "back"), Ellipsoid(back(1, side * wz * 0.9), thick * 1.5))
    if kind == "hoop":
        a = np.linspace(0, np.pi, 15)
        b.add(
            b.part("back hoop", "back"),
            Tube(np.stack([back(np.sin(t) ** 0.6, np.cos(t) * wz * 0.9) for t in a]), thick),
        )
    if kind in ("slats", "spindles", "rails"):
        b.add(
            b.part("top rail", "back"), beam(back(0.96, -wz * 0.9), back(0.96, wz * 0.9), thick * b.u(0.9, 1.6), square)
        )
        if b.chance(0.6):
            b.add(b.part("lower rail", "back"), beam(back(0.25, -wz * 0.9), back(0.25, wz * 0.9), thick * 0.9, square))
    if kind in ("rails", "ladder"):
        count = b.n(2, 5)
        for i in range(count):
            level = 0.35 + 0.6 * i / count
            b.add(
                b.part(f"rail {i}", "back"),
                beam(back(level, -wz * 0.9), back(level, wz * 0.9), thick * b.u(0.5, 0.9), square),
            )
    if kind in ("slats", "spindles", "hoop"):
        count = b.n(2, 7)
        for i in range(count):
            z = (i + 1 - (count + 1) / 2) / (count + 1) * 2 * wz * 0.85
            top = 0.94 if kind != "hoop" else (1 - (z / wz) ** 2) ** 0.3 * 0.93
            if kind == "slats":
                middle, axis = (back(0.05, z) + back(top, z)) / 2, back(top, z) - back(0.05, z)
                frame = np.stack([unit(np.cross(axis, [0, 0, 1])), unit(axis), [0, 0, 1]], 1)
                b.add(
                    b.part(f"slat {i}", "back"),
                    Box(middle, (thick * 0.3, np.linalg.norm(axis) / 2, wz / (count + 1) * 0.55), frame),
                )
            else:
                b.add(b.part(f"spindle {i}", "back"), beam(back(0, z), back(top, z), thick * 0.5, False))
    if kind in ("panel", "cushion"):
        low, axis = back(0.5 if b.chance(0.5) else 0.45, 0), back(1, 0) - back(0, 0)
        frame = np.stack([unit(np.cross(axis, [0, 0, 1])), unit(axis), [0, 0, 1]], 1)
        half = (seat, np.linalg.norm(axis) * 0.48, wz * b.u(0.7, 1))
        b.add(
            b.part("back panel", "back"),
            Superquadric(low, (max(half[0], 0.05), *half[1:]), 0.4, 0.4, frame)
            if kind == "cushion"
            else slab(b, low, half, frame),
        )
    if b.chance(0.35):
        level, reach = b.u(0.25, 0.45), wx * b.u(0.6, 1)
        for side, name in SIDES:
            group = f"{name} arm rest"
            z = side * wz * 0.98
            b.add(
                b.part(f"{name} arm pad", group),
                beam(back(level, z), (reach, seat + high * level, z), thick * b.u(1, 1.5), square),
            )
            b.add(
                b.part(f"{name} arm post", group),
                beam((reach * 0.8, 0, z), (reach * 0.85, seat + high * level, z), thick, square),
            )
    if b.chance(0.12):
        b.add(b.part("head rest", "back"), Superquadric(back(1.12, 0), (0.06, 0.1, wz * 0.5), 0.5, 0.5))


def table(b: Builder) -> None:
    """Table, desk, bench, shelf: top, legs, stretchers, drawers with knobs, things on it."""
    wx, wz = b.u(0.35, 0.6), b.u(0.5, 1.0)
    top, height, thick = b.u(0.02, 0.06), b.u(0.35, 0.9), b.u(0.025, 0.06)
    kind = b.pick(["rect", "rect", "round", "shelf"])
    if kind == "round":
        wz = wx
        b.add(b.part("top", "top"), rod((0, -top, 0), (0, top, 0), wx * 1.1, wx * 1.1, 0.1, segments=40))
        if b.chance(0.4):
            b.add(b.part("rim", "top"), Torus((0, top * 0.4, 0), wx * 1.1, top * 0.9))
    else:
        b.add(b.part("top", "top"), slab(b, (0, 0, 0), (wx, top, wz)))
    legs_and_rails(b, -top * 0.5, -height, wx, wz, thick)
    if kind == "shelf":
        for i in range(b.n(1, 3)):
            b.add(
                b.part(f"shelf {i}", "shelves"), Box((0, -height * (i + 1) / 4, 0), (wx * 0.88, top * 0.6, wz * 0.88))
            )
    if b.chance(0.4) and kind != "round":
        for i in range(b.n(1, 3)):
            y, z = -top - 0.08 - 0.15 * i, b.pick([-1, 1]) * wz * 0.5
            b.add(b.part(f"drawer {i}", f"drawer {i}"), Box((0.02, y, z), (wx * 0.85, 0.065, wz * 0.38)))
            front = wx * 0.85 + 0.02
            if b.chance(0.6):
                b.add(b.part(f"knob {i}", f"drawer {i}"), Ellipsoid((front + 0.02, y, z), b.u(0.018, 0.035)))
            else:
                b.add(
                    b.part(f"handle {i}", f"drawer {i}"),
                    Tube(arc((front, y, z - 0.08), (front, y, z + 0.08), (0.05, 0, 0)), 0.012),
                )
    for i in range(b.n(0, 3)):
        at = np.array([b.u(-0.6, 0.6) * wx, top, b.u(-0.7, 0.7) * wz])
        r = b.u(0.05, 0.12)
        b.add(
            b.part(f"object {i}", f"object {i}"),
            b.pick(
                [
                    rod(at, at + [0, r * 2.5, 0], r * 0.8, r),
                    Ellipsoid(at + [0, r * 0.9, 0], r),
                    Box(at + [0, r, 0], (r, r, r * 1.5), rotation_about("y", b.u(0, 3))),
                ]
            ),
        )


def turned_leg(b: Builder, top, foot, thick: float, name: str, group: str, square: bool, fancy: str) -> None:
    """A leg of one to four parts: plain, with a foot, with rings, or turned on a lathe."""
    top, foot = np.asarray(top, float), np.asarray(foot, float)
    if fancy == "turned":
        h = np.linalg.norm(top - foot)
        t = np.linspace(0, 1, 9)
        r = thick * (1 + 0.35 * np.sin(t * b.u(8, 16) + b.u(0, 6)))
        profile = [(0, 0), *zip(r, t * h), (0, h)]
        b.add(b.part(name, group), Lathe(foot, profile, rotation_to(top - foot), segments=16))
    else:
        b.add(b.part(name, group), beam(foot, top, thick, square, thick * b.u(1, 1.4)))
    way = unit(foot - top)
    if fancy in ("foot", "ring"):
        b.add(
            b.part(f"{name} foot", group),
            Ellipsoid(foot, thick * 1.5)
            if b.chance(0.4)
            else rod(foot - way * thick * 1.2, foot + way * thick * 0.6, thick * 1.25, thick * 1.5),
        )
    if fancy == "ring":
        mid = top + (foot - top) * b.u(0.2, 0.4)
        b.add(b.part(f"{name} ring", group), Torus(mid, thick * 1.2, thick * 0.5, rotation_to(way)))


def legs_and_rails(b: Builder, top: float, floor: float, wx: float, wz: float, thick: float) -> None:
    """Four legs (or a column, or sled frames) under a plate at height `top`, sometimes with stretchers between them."""
    square = b.chance(0.5)
    fancy = b.pick(["plain", "plain", "foot", "ring", "turned"])
    splay = b.u(0, 0.12)
    style = b.pick(["four", "four", "four", "four", "column", "sled", "slab"])
    if style == "column":
        b.add(b.part("column", "foot frame"), beam((0, floor + 0.05, 0), (0, top, 0), thick * 1.8, square))
        spokes = b.n(3, 6)
        if b.chance(0.3):
            b.add(
                b.part("base plate", "foot frame"),
                rod((0, floor, 0), (0, floor + 0.06, 0), max(wx, wz) * 0.8, max(wx, wz) * 0.7),
            )
            return
        for i in range(spokes):
            a = 2 * np.pi * i / spokes
            end = np.array([np.cos(a) * wx, 0, np.sin(a) * wx]) * 0.9
            b.add(
                b.part(f"spoke {i}", "foot frame"),
                beam((0, floor + 0.1, 0), end + [0, floor + 0.05, 0], thick * 0.9, square),
            )
            if b.chance(0.75):
                b.add(
                    b.part(f"castor {i}", "foot frame"),
                    rod(end + [0, floor + 0.02, -thick], end + [0, floor + 0.02, thick], thick * 1.1),
                )
        return
    if style == "slab":
        for side, name in SIDES:
            b.add(
                b.part(f"{name} panel", f"{name} panel"),
                Box((0, (top + floor) / 2, side * wz * 0.92), (wx * 0.9, (top - floor) / 2, thick * 0.7)),
            )
        if b.chance(0.5):
            b.add(
                b.part("shelf", "shelf"),
                Box((0, floor + (top - floor) * b.u(0.2, 0.6), 0), (wx * 0.85, thick * 0.6, wz * 0.9)),
            )
        return
    corners = {}
    for sx, where in ((1, "front"), (-1, "back")):
        for side, name in SIDES:
            foot = np.array([sx * (wx * 0.88 + splay), floor, side * (wz * 0.88 + splay)])
            head = np.array([sx * wx * 0.88, top, side * wz * 0.88])
            corners[sx, side] = (head, foot)
            group = f"{where} {name} leg" if style == "four" else f"{name} frame"
            turned_leg(b, head, foot, thick, f"{where} {name} leg", group, square, fancy)
    if style == "sled":
        for side, name in SIDES:
            b.add(
                b.part(f"{name} runner", f"{name} frame"),
                beam(corners[1, side][1], corners[-1, side][1], thick, square),
            )
    elif b.chance(0.5):
        t, rail = b.u(0.25, 0.8), thick * b.u(0.45, 0.8)

        def at(key, level):
            return corners[key][0] * (1 - level) + corners[key][1] * level

        for i, (p, q) in enumerate((((1, 1), (1, -1)), ((-1, 1), (-1, -1)), ((1, 1), (-1, 1)), ((1, -1), (-1, -1)))):
            if b.chance(0.75):
                b.add(b.part(f"stretcher {i}", "stretchers"), beam(at(p, t), at(q, t), rail, square))
    if b.chance(0.35):
        deep = thick * b.u(1, 2)
        for side, name in SIDES:
            b.add(
                b.part(f"{name} apron", "aprons"),
                Box((0, top - deep, side * wz * 0.88), (wx * 0.88, deep, thick * 0.4)),
            )
            b.add(
                b.part(f"{'front' if side > 0 else 'back'} apron", "aprons"),
                Box((side * wx * 0.88, top - deep, 0), (thick * 0.4, deep, wz * 0.88)),
            )


def furniture(b: Builder) -> None:
    """Bed, cabinet, sofa, crib: bodies with panels, rails, doors, knobs, cushions, feet."""
    b.pick([_bed, _cabinet, _sofa, _fence])(b)


def _bed(b: Builder) -> None:
    """Mattress, pillows, head and foot boards."""
    wz = b.u(0.5, 0.8)
    thick = b.u(0.025, 0.05)
    h = b.u(0.15, 0.3)
    b.add(b.part("mattress", "bedding"), Superquadric((0, h + 0.06, 0), (0.95, 0.1, wz), 0.3, 0.2))
    b.add(b.part("bed frame", "frame"), Box((0, h - 0.04, 0), (1.0, 0.05, wz * 1.05)))
    for i in range(b.n(1, 2)):
        b.add(
            b.part(f"pillow {i}", "bedding"),
            Superquadric(
                (-0.72, h + 0.2, (i * 2 - 1) * wz * 0.45 if i or wz > 0.6 else 0), (0.17, 0.07, wz * 0.4), 0.7, 0.5
            ),
        )
    for x, name, tall in ((-1.02, "head board", b.u(0.5, 0.9)), (1.02, "foot board", b.u(0.25, 0.5))):
        posts = b.chance(0.6)
        for side, s in SIDES:
            b.add(b.part(f"{name} {s} post", name), beam((x, 0, side * wz), (x, tall, side * wz), thick, posts))
            if b.chance(0.4):
                b.add(b.part(f"{name} {s} knob", name), Ellipsoid((x, tall + thick, side * wz), thick * 1.5))
        if b.chance(0.5):
            b.add(b.part(f"{name} panel", name), Box((x, (h + tall) / 2, 0), (0.02, (tall - h) / 2, wz)))
        else:
            b.add(b.part(f"{name} rail", name), beam((x, tall * 0.95, -wz), (x, tall * 0.95, wz), thick * 0.9, posts))
            for i in range(b.n(3, 8)):
                z = -wz + 2 * wz * (i + 0.5) / 8
                b.add(b.part(f"{name} bar {i}", name), beam((x, h, z), (x, tall * 0.95, z), thick * 0.45, False))
    for i, (x, z) in enumerate(((-0.9, -1), (-0.9, 1), (0.9, -1), (0.9, 1))):
        b.add(b.part(f"foot {i}", "frame"), beam((x, -0.05, z * wz * 0.9), (x, h, z * wz * 0.9), thick, True))


def _cabinet(b: Builder) -> None:
    """Carcass with doors, knobs and feet."""
    wz = b.u(0.5, 0.8)
    thick = b.u(0.025, 0.05)
    h, d = b.u(0.5, 1.0), b.u(0.25, 0.4)
    b.add(b.part("carcass", "carcass"), Box((0, 0, 0), (d, h, wz)))
    if b.chance(0.5):
        b.add(b.part("cornice", "carcass"), Box((0, h, 0), (d * 1.08, 0.04, wz * 1.05)))
    rows, cols = b.n(1, 4), b.n(1, 2)
    for i in range(rows):
        for j in range(cols):
            y, z = -h + 2 * h * (i + 0.5) / rows, -wz + 2 * wz * (j + 0.5) / cols
            g = f"door {i}.{j}"
            b.add(b.part(g, g), Box((d, y, z), (0.025, h / rows * 0.9, wz / cols * 0.9)))
            b.add(
                b.part(f"knob {i}.{j}", g),
                Ellipsoid((d + 0.04, y, z + wz / cols * 0.7 * (1 if j == 0 else -1)), b.u(0.02, 0.04)),
            )
    for sx in (-1, 1):
        for side, s in SIDES:
            b.add(
                b.part(f"foot {sx} {s}", "feet"),
                rod(
                    (sx * d * 0.85, -h - b.u(0.08, 0.2), side * wz * 0.9),
                    (sx * d * 0.85, -h, side * wz * 0.9),
                    thick,
                    thick * 1.5,
                ),
            )


def _sofa(b: Builder) -> None:
    """Base, back, arms, cushions, feet."""
    w = b.u(0.6, 1.1)
    b.add(b.part("base", "base"), slab(b, (0, 0, 0), (0.4, 0.13, w)))
    back = b.part("back", "back")
    b.add(back, Superquadric((-0.36, 0.35, 0), (0.13, 0.4, w), 0.4, 0.3, rotation_about("z", 0.12)))
    for side, s in SIDES:
        b.add(b.part(f"{s} arm", f"{s} arm"), slab(b, (0.02, 0.16, side * (w + 0.06)), (0.4, 0.3, 0.1)))
        if b.chance(0.4):
            b.add(
                b.part(f"{s} arm roll", f"{s} arm"),
                rod((-0.38, 0.46, side * (w + 0.06)), (0.42, 0.46, side * (w + 0.06)), 0.12),
            )
    seats = b.n(1, 3)
    for i in range(seats):
        z = -w + 2 * w * (i + 0.5) / seats
        b.add(
            b.part(f"seat cushion {i}", "cushions"),
            Superquadric((0.06, 0.2, z), (0.36, 0.1, w / seats * 0.96), 0.4, 0.3),
        )
        if b.chance(0.7):
            b.add(
                b.part(f"back cushion {i}", "cushions"),
                Superquadric((-0.2, 0.45, z), (0.12, 0.22, w / seats * 0.9), 0.5, 0.4, rotation_about("z", 0.15)),
            )
    for sx in (-1, 1):
        for side, s in SIDES:
            b.add(
                b.part(f"foot {sx} {s}", "feet"),
                rod((sx * 0.33, -0.25, side * w * 0.9), (sx * 0.33, -0.1, side * w * 0.9), 0.03, 0.045),
            )


def _fence(b: Builder) -> None:
    """Posts with caps, and rails."""
    thick = b.u(0.025, 0.05)
    n = b.n(3, 6)
    square = b.chance(0.5)
    for i in range(n):
        z = (i - (n - 1) / 2) * 0.3
        b.add(b.part(f"post {i}", f"post {i}"), beam((0, -0.4, z), (0, 0.4, z), thick * 1.2, square))
        if b.chance(0.6):
            b.add(b.part(f"post {i} cap", f"post {i}"), Ellipsoid((0, 0.42, z), thick * 1.7))
    for j in range(b.n(2, 4)):
        y = -0.3 + 0.22 * j
        b.add(b.part(f"rail {j}", "rails"), beam((0, y, -n * 0.16), (0, y, n * 0.16), thick * 0.7, square))


def lamp(b: Builder) -> None:
    """Desk, floor, table and hanging lamps: base, stand or jointed arms, shade, bulb, switch."""
    kind = b.pick(["desk", "desk", "table", "floor", "hanging"])
    thin = b.u(0.015, 0.035)
    if kind == "hanging":
        b.add(b.part("canopy", "mount"), rod((0, 0.7, 0), (0, 0.78, 0), 0.15, 0.12))
        b.add(b.part("cord", "mount"), rod((0, 0.1, 0), (0, 0.72, 0), thin * 0.6))
        shade(b, np.array([0, 0.1, 0]), np.array([0, -1, 0.0]), b.u(0.25, 0.5))
        return
    r = b.u(0.2, 0.38)
    floor = -0.7
    b.add(
        b.part("base", "base"),
        b.pick(
            [
                rod((0, floor, 0), (0, floor + 0.08, 0), r, r * 0.9, 0.1),
                Box((0, floor + 0.04, 0), (r, 0.04, r * 0.8), rounding=0.02),
                Lathe((0, floor, 0), [(0, 0), (r, 0), (r, 0.03), (r * 0.4, 0.09), (r * 0.15, 0.16), (0, 0.17)]),
            ]
        ),
    )
    if b.chance(0.4):
        b.add(b.part("switch", "base"), rod((r * 0.55, floor + 0.05, 0), (r * 0.55, floor + 0.12, 0), 0.035, 0.03))
    if kind == "desk":
        joint = thin * b.u(1.6, 2.6)
        at = np.array([b.u(-0.1, 0.1), floor + 0.08, 0])
        angle = b.u(1.3, 2.3)
        arms = b.n(1, 3)
        twin = b.chance(0.35)
        for i in range(arms):
            way = np.array([np.cos(angle), np.sin(angle), 0])
            end = at + way * b.u(0.4, 0.75)
            for side, name in SIDES if twin else ((0, "main"),):
                off = np.array([0, 0, side * thin * 1.5])
                b.add(b.part(f"arm {i} {name}", f"arm {i}"), beam(at + off, end + off, thin, b.chance(0.2)))
            b.add(
                b.part(f"joint {i}", "joints"),
                rod(at - [0, 0, joint * 1.3], at + [0, 0, joint * 1.3], joint, bevel=0.2)
                if b.chance(0.6)
                else Ellipsoid(at, joint * 1.2),
            )
            if b.chance(0.25):
                b.add(
                    b.part(f"spring {i}", f"arm {i}"),
                    Tube(
                        spiral(at + way * 0.05 + [0, thin * 2, 0], way, thin * 0.7, 5, 0.25, 40), thin * 0.28, sides=6
                    ),
                )
            at, angle = end, angle - b.u(0.7, 1.6)
        b.add(b.part("head joint", "joints"), Ellipsoid(at, joint * 1.2))
        shade(b, at, np.array([np.cos(b.u(-2.2, -0.4)), -1.0, b.u(-0.3, 0.3)]), b.u(0.17, 0.32))
        return
    height = b.u(0.5, 0.8) if kind == "table" else b.u(1.0, 1.5)
    top = np.array([0, floor + height, 0])
    if b.chance(0.5) and kind == "table":
        t = np.linspace(0, 1, 11)
        radius = b.u(0.07, 0.16) * (1 + 0.5 * np.sin(t * b.u(3, 9) + b.u(0, 6)))
        b.add(
            b.part("body", "stand"),
            Lathe((0, floor + 0.06, 0), [(0, 0), *zip(radius, t * (height - 0.08)), (0, height - 0.08)]),
        )
    else:
        b.add(b.part("pole", "stand"), rod((0, floor, 0), top, thin))
        for i in range(b.n(0, 2)):
            b.add(b.part(f"collar {i}", "stand"), Torus((0, floor + height * b.u(0.2, 0.9), 0), thin * 1.3, thin * 0.8))
    b.add(b.part("socket", "stand"), rod(top - [0, 0.1, 0], top + [0, 0.05, 0], thin * 1.8))
    if b.chance(0.8):
        shade(b, top + [0, b.u(0.25, 0.4), 0], np.array([0, -1.0, 0]), b.u(0.25, 0.45))
    else:
        b.add(b.part("globe", "shade"), Ellipsoid(top + [0, 0.15, 0], b.u(0.13, 0.25)))
    if b.chance(0.3):
        end = top + [0.12, -0.3, 0]
        b.add(b.part("chain", "stand"), rod(top + [0.12, 0, 0], end, 0.008))
        b.add(b.part("pull", "stand"), Ellipsoid(end, 0.025))


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
    b.add(b.part("shade", "shade"), Lathe(at, profile, rotation_to(way), segments=36), softness=0.1)
    if b.chance(0.7):
        b.add(b.part("bulb", "light"), Ellipsoid(at + way * deep * 0.6, size * b.u(0.2, 0.4)), smooth=False)
        b.add(b.part("bulb socket", "light"), rod(at, at + way * deep * 0.45, size * 0.14), smooth=False)
    if b.chance(0.3):
        b.add(b.part("rim", "shade"), Torus(at + way * deep, size, wall * 0.8, rotation_to(way)), smooth=False)
    if b.chance(0.25):
        b.add(b.part("finial", "shade"), Ellipsoid(at - way * size * 0.1, max(neck * 0.5, 0.03)), smooth=False)


def rack(b: Builder) -> None:
    """Ladders, shelves, baskets, gratings, stairs, chains, swings: many equal thin parts in a row."""
    b.pick([_ladder, _shelf, _basket, _grate, _stairs, _chain, _xylophone])(b)


def _ladder(b: Builder) -> None:
    """Rails and rungs."""
    t = b.u(0.015, 0.045)
    square = b.chance(0.5)
    w, h, n = b.u(0.18, 0.35), 0.9, b.n(4, 9)
    for side, name in SIDES:
        b.add(b.part(f"{name} rail", "rails"), beam((0, -h, side * w), (0, h, side * w * b.u(0.7, 1)), t * 1.3, square))
    for i in range(n):
        y = -h + 2 * h * (i + 0.7) / (n + 0.4)
        b.add(b.part(f"rung {i}", "rungs"), beam((0, y, -w), (0, y, w), t, b.chance(0.5)))
    if b.chance(0.4):
        for side, name in SIDES:
            b.add(b.part(f"{name} prop", "prop"), beam((0, h * 0.95, side * w * 0.8), (-0.5, -h, side * w), t, square))


def _shelf(b: Builder) -> None:
    """Boards with things on them between posts."""
    t = b.u(0.015, 0.045)
    square = b.chance(0.5)
    w, d, n = b.u(0.4, 0.7), b.u(0.15, 0.25), b.n(3, 5)
    for i in range(n):
        y = -0.8 + 1.6 * i / (n - 1)
        b.add(b.part(f"board {i}", f"level {i}"), Box((0, y, 0), (d, 0.025, w)))
        for j in range(b.n(0, 4)):
            z, s = -w * 0.8 + b.u(0, 0.4) * w + j * w * 0.4, b.u(0.05, 0.12)
            b.add(
                b.part(f"item {i}.{j}", f"level {i}"),
                b.pick(
                    [
                        Box((0, y + s, z), (s * 0.8, s, s * 0.5)),
                        rod((0, y, z), (0, y + s * 2, z), s * 0.6),
                        Ellipsoid((0, y + s * 0.9, z), s * 0.8),
                    ]
                ),
            )
    for sx in (-1, 1):
        for side, name in SIDES:
            b.add(
                b.part(f"post {sx} {name}", "posts"),
                beam((sx * d * 0.9, -0.95, side * w * 0.97), (sx * d * 0.9, 0.9, side * w * 0.97), t, square),
            )


def _basket(b: Builder) -> None:
    """Stakes and hoops."""
    t = b.u(0.015, 0.045)
    r, h, n = b.u(0.3, 0.45), b.u(0.3, 0.5), b.n(8, 14)
    flare = b.u(1, 1.4)
    b.add(b.part("bottom", "bottom"), rod((0, -0.02, 0), (0, 0.03, 0), r))
    for i in range(n):
        a = 2 * np.pi * i / n
        out = np.array([np.cos(a), 0, np.sin(a)])
        b.add(b.part(f"stake {i}", "stakes"), rod(out * r * 0.95, out * r * flare + [0, h, 0], t * 0.7))
    for i in range(b.n(1, 4)):
        s = (i + 1) / 4
        b.add(b.part(f"hoop {i}", "hoops"), Torus((0, h * s, 0), r * (1 + (flare - 1) * s), t * 0.8))
    b.add(b.part("rim", "rim"), Torus((0, h, 0), r * flare, t * 1.3))
    if b.chance(0.6):
        b.add(
            b.part("handle", "handle"),
            Tube(arc((0, h, -r * flare), (0, h, r * flare), (0, b.u(0.3, 0.5), 0), 13), t * 1.2),
        )


def _grate(b: Builder) -> None:
    """Bars in a frame."""
    t = b.u(0.015, 0.045)
    square = b.chance(0.5)
    w, h, n = b.u(0.4, 0.8), b.u(0.4, 0.6), b.n(4, 10)
    for s in (-1, 1):
        b.add(b.part(f"frame side {s}", "frame"), beam((0, -h, s * w), (0, h, s * w), t * 1.5, square))
        b.add(b.part(f"frame end {s}", "frame"), beam((0, s * h, -w), (0, s * h, w), t * 1.5, square))
    for i in range(n):
        z = -w + 2 * w * (i + 1) / (n + 1)
        b.add(b.part(f"bar {i}", "bars"), beam((0, -h, z), (0, h, z), t * 0.8, square))
    for i in range(b.n(0, 3)):
        y = -h + 2 * h * (i + 1) / 4
        b.add(b.part(f"cross bar {i}", "cross bars"), beam((t, y, -w), (t, y, w), t * 0.8, square))


def _stairs(b: Builder) -> None:
    """Treads with railings."""
    t = b.u(0.015, 0.045)
    square = b.chance(0.5)
    n, w = b.n(4, 8), b.u(0.25, 0.45)
    step, rise = 1.3 / n, b.u(0.8, 1.2) / n
    solid = b.chance(0.5)
    for i in range(n):
        x, y = -0.65 + step * (i + 0.5), -0.5 + rise * (i + 1)
        half = (y + 0.5) / 2 if solid else 0.025
        b.add(b.part(f"tread {i}", "treads"), Box((x, y - half, 0), (step * 0.5 if solid else step * 0.55, half, w)))
    for side, name in SIDES:
        if b.chance(0.7):
            for i in range(0, n, b.n(1, 2)):
                x, y = -0.65 + step * (i + 0.5), -0.5 + rise * (i + 1)
                b.add(
                    b.part(f"{name} baluster {i}", f"{name} railing"),
                    rod((x, y - 0.05, side * w * 0.92), (x, y + 0.35, side * w * 0.92), t * 0.7),
                )
            b.add(
                b.part(f"{name} hand rail", f"{name} railing"),
                beam(
                    (-0.65, -0.5 + rise * 0.5 + 0.35, side * w * 0.92),
                    (0.65, -0.5 + rise * (n + 0.5) + 0.35, side * w * 0.92),
                    t * 1.1,
                    square,
                ),
            )


def _chain(b: Builder) -> None:
    """Links, perhaps with a pendant."""
    n = b.n(3, 6)
    major, minor = b.u(0.12, 0.17), b.u(0.03, 0.05)
    loop = rounded_rectangle(major * 1.6, major, major * 0.9, 7)
    pitch = 2 * (major * 1.6 - minor)
    for i in range(n):
        x = (i - (n - 1) / 2) * pitch
        ring = np.c_[loop, np.zeros(len(loop))]
        ring = np.concatenate([ring, ring[:1]]) @ rotation_about("x", i % 2 * np.pi / 2).T + [x, 0, 0]
        b.add(b.part(f"link {i}", "first half" if i < n / 2 else "second half"), Tube(ring, minor, sides=10))
    if b.chance(0.6):
        end = (n - 1) / 2 * pitch + major * 1.4
        b.add(
            b.part("pendant", "pendant"),
            b.pick(
                [
                    Ellipsoid((end + 0.15, 0, 0), 0.18),
                    Box((end + 0.15, 0, 0), (0.18, 0.14, 0.06)),
                    Prism((end + 0.15, 0, 0), circle(0.2, 6), 0.05),
                ]
            ),
        )


def _xylophone(b: Builder) -> None:
    """Bars on runners, with a mallet."""
    t = b.u(0.015, 0.045)
    n = b.n(4, 9)
    for i in range(n):
        z = (i - (n - 1) / 2) * 0.17
        b.add(b.part(f"bar {i}", "bars"), Box((0, 0.06, z), (0.45 - 0.028 * i, 0.025, 0.065), rounding=0.01))
        for s in (-1, 1):
            b.add(b.part(f"nail {i} {s}", "nails"), rod((s * 0.25, 0.07, z), (s * 0.25, 0.115, z), 0.018))
    for s in (-1, 1):
        b.add(b.part(f"runner {s}", "runners"), beam((s * 0.27, 0, -n * 0.09), (s * 0.22, 0, n * 0.09), t * 1.3, True))
    if b.chance(0.6):
        b.add(b.part("mallet stick", "mallet"), rod((-0.2, 0.16, -0.3), (0.3, 0.13, 0.25), 0.016))
        b.add(b.part("mallet head", "mallet"), Ellipsoid((0.3, 0.13, 0.25), 0.05))
