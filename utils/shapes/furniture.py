"""Furniture."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from utils.shapes import solids
from utils.shapes.builder import Builder
from utils.shapes.combinators import (
    around,
    ball,
    bar,
    box,
    centred,
    cushion,
    grid,
    lathe,
    polar,
    put,
    rod,
    row,
    span,
    torus,
    tube,
)
from utils.shapes.elements import SIDES, arc, slab
from utils.shapes.solids import Box, Ellipsoid, rotation_about, rotation_to, unit


def chair(b: Builder) -> None:
    """Seat, back (posts with rails, slats, spindles or a panel), legs with stretchers, arm rests, cushions."""
    wx, wz = b.u(0.3, 0.45), b.u(0.3, 0.5) if b.chance(0.8) else b.u(0.6, 1.1)
    thick, legs = b.u(0.02, 0.05), b.u(0.35, 0.75)
    seat = b.u(0.02, 0.07)
    if b.chance(0.15):
        rod(b, "seat", (0, -seat, 0), (0, seat, 0), wx, wx, 0.1)
    else:
        put(b, "seat", slab(b, (0, 0, 0), (wx, seat, wz)))
    if b.chance(0.25):
        cushion(b, "seat/cushion", (0, seat * 1.5, 0), (wx * 0.9, 0.06, wz * 0.9), 0.5, 0.3)
    legs_and_rails(b, -seat * 0.5, -legs, wx, wz, thick)
    if b.chance(0.12):
        return  # a stool
    high, lean = b.u(0.4, 0.85), b.u(0, 0.22)
    square = b.chance(0.5)

    def back(level: float, z: float) -> np.ndarray:
        return np.array([-wx * 0.9 - lean * level, seat + high * level, z])

    _chair_back(b, back, wz, thick, seat, square)
    if b.chance(0.35):
        level, reach = b.u(0.25, 0.45), wx * b.u(0.6, 1)
        for side, name in SIDES:
            z, path = side * wz * 0.98, f"{name} arm rest/{name}"
            front = (reach, seat + high * level, z)
            bar(b, f"{path} arm pad", back(level, z), front, thick * b.u(1, 1.5), square)
            bar(b, f"{path} arm post", (reach * 0.8, 0, z), (reach * 0.85, seat + high * level, z), thick, square)
    if b.chance(0.12):
        cushion(b, "back/head rest", back(1.12, 0), (0.06, 0.1, wz * 0.5), 0.5, 0.5)


def _chair_back(
    b: Builder, back: Callable[[float, float], np.ndarray], wz: float, thick: float, seat: float, square: bool
) -> None:
    """The back of a chair of half width `wz`; `back` gives its point at a level (0: the seat, 1: the top) and z."""
    kind = b.pick(["rails", "slats", "spindles", "panel", "cushion", "ladder", "hoop"])

    def rail(name: str, level: float, width: float) -> None:
        bar(b, f"back/{name}", back(level, -wz * 0.9), back(level, wz * 0.9), width, square)

    def upright(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, float]:
        """Frame (3, 3) with y from low to high and z to the side, and the length."""
        axis = high - low
        return np.stack([unit(np.cross(axis, [0, 0, 1])), unit(axis), [0, 0, 1]], 1), float(np.linalg.norm(axis))

    if kind in ("rails", "slats", "spindles", "ladder") or b.chance(0.25):
        for side, name in SIDES:
            bar(b, f"back/{name} back post", back(-0.1, side * wz * 0.9), back(1, side * wz * 0.9), thick, square)
            if b.chance(0.3):
                ball(b, f"back/{name} finial", back(1, side * wz * 0.9), thick * 1.5)
    if kind == "hoop":
        a = np.linspace(0, np.pi, 15)
        tube(b, "back/back hoop", np.stack([back(np.sin(t) ** 0.6, np.cos(t) * wz * 0.9) for t in a]), thick)
    if kind in ("slats", "spindles", "rails"):
        rail("top rail", 0.96, thick * b.u(0.9, 1.6))
        if b.chance(0.6):
            rail("lower rail", 0.25, thick * 0.9)
    if kind in ("rails", "ladder"):
        count = b.n(2, 5)
        for i in range(count):
            rail(f"rail {i}", 0.35 + 0.6 * i / count, thick * b.u(0.5, 0.9))
    if kind in ("slats", "spindles", "hoop"):
        count = b.n(2, 7)
        for i in range(count):
            z = (i + 1 - (count + 1) / 2) / (count + 1) * 2 * wz * 0.85
            top = 0.94 if kind != "hoop" else (1 - (z / wz) ** 2) ** 0.3 * 0.93
            if kind == "slats":
                frame, length = upright(back(0.05, z), back(top, z))
                size = (thick * 0.3, length / 2, wz / (count + 1) * 0.55)
                box(b, f"back/slat {i}", (back(0.05, z) + back(top, z)) / 2, size, frame)
            else:
                bar(b, f"back/spindle {i}", back(0, z), back(top, z), thick * 0.5, False)
    if kind in ("panel", "cushion"):
        middle, (frame, length) = back(0.5 if b.chance(0.5) else 0.45, 0), upright(back(0, 0), back(1, 0))
        half = (seat, length * 0.48, wz * b.u(0.7, 1))
        if kind == "cushion":
            cushion(b, "back/back panel", middle, (max(half[0], 0.05), *half[1:]), 0.4, 0.4, frame)
        else:
            put(b, "back/back panel", slab(b, middle, half, frame))


def table(b: Builder) -> None:
    """Table, desk, bench, shelf: top, legs, stretchers, drawers with knobs, things on it."""
    wx, wz = b.u(0.35, 0.6), b.u(0.5, 1.0)
    top, height, thick = b.u(0.02, 0.06), b.u(0.35, 0.9), b.u(0.025, 0.06)
    kind = b.pick(["rect", "rect", "round", "shelf"])
    if kind == "round":
        wz = wx
        rod(b, "top", (0, -top, 0), (0, top, 0), wx * 1.1, wx * 1.1, 0.1, segments=40)
        if b.chance(0.4):
            torus(b, "top/rim", (0, top * 0.4, 0), wx * 1.1, top * 0.9)
    else:
        put(b, "top", slab(b, (0, 0, 0), (wx, top, wz)))
    legs_and_rails(b, -top * 0.5, -height, wx, wz, thick)
    for i in range(b.n(1, 3) if kind == "shelf" else 0):
        box(b, f"shelves/shelf {i}", (0, -height * (i + 1) / 4, 0), (wx * 0.88, top * 0.6, wz * 0.88))
    for i in range(b.n(1, 3) if b.chance(0.4) and kind != "round" else 0):
        y, z = -top - 0.08 - 0.15 * i, b.pick([-1, 1]) * wz * 0.5
        box(b, f"drawer {i}", (0.02, y, z), (wx * 0.85, 0.065, wz * 0.38))
        front = wx * 0.85 + 0.02
        if b.chance(0.6):
            ball(b, f"drawer {i}/knob {i}", (front + 0.02, y, z), b.u(0.018, 0.035))
        else:
            tube(b, f"drawer {i}/handle {i}", arc((front, y, z - 0.08), (front, y, z + 0.08), (0.05, 0, 0)), 0.012)
    for i in range(b.n(0, 3)):
        foot = np.array([b.u(-0.6, 0.6) * wx, top, b.u(-0.7, 0.7) * wz])
        r = b.u(0.05, 0.12)
        book = Box(foot + [0, r, 0], (r, r, r * 1.5), rotation_about("y", b.u(0, 3)))
        jar, globe = solids.rod(foot, foot + [0, r * 2.5, 0], r * 0.8, r), Ellipsoid(foot + [0, r * 0.9, 0], r)
        put(b, f"object {i}", b.pick([jar, globe, book]))


def turned_leg(b: Builder, top, foot, thick: float, name: str, group: str, square: bool, fancy: str) -> None:
    """A leg of one to four parts: plain, with a foot, with rings, or turned on a lathe."""
    top, foot = np.asarray(top, float), np.asarray(foot, float)
    path = f"{group}/{name}"
    if fancy == "turned":
        h = np.linalg.norm(top - foot)
        t = np.linspace(0, 1, 9)
        r = thick * (1 + 0.35 * np.sin(t * b.u(8, 16) + b.u(0, 6)))
        lathe(b, path, foot, [(0, 0), *zip(r, t * h), (0, h)], rotation_to(top - foot), segments=16)
    else:
        bar(b, path, foot, top, thick, square, thick * b.u(1, 1.4))
    way = unit(foot - top)
    if fancy in ("foot", "ring"):
        if b.chance(0.4):
            ball(b, f"{path} foot", foot, thick * 1.5)
        else:
            rod(b, f"{path} foot", foot - way * thick * 1.2, foot + way * thick * 0.6, thick * 1.25, thick * 1.5)
    if fancy == "ring":
        torus(b, f"{path} ring", top + (foot - top) * b.u(0.2, 0.4), thick * 1.2, thick * 0.5, rotation_to(way))


def legs_and_rails(b: Builder, top: float, floor: float, wx: float, wz: float, thick: float) -> None:
    """Four legs (or a column, or sled frames) under a plate at height `top`, sometimes with stretchers between them."""
    square = b.chance(0.5)
    fancy = b.pick(["plain", "plain", "foot", "ring", "turned"])
    splay = b.u(0, 0.12)
    style = b.pick(["four", "four", "four", "four", "column", "sled", "slab"])
    if style == "column":
        return _column(b, top, floor, wx, wz, thick, square)
    if style == "slab":
        for side, name in SIDES:
            middle = (0, (top + floor) / 2, side * wz * 0.92)
            box(b, f"{name} panel", middle, (wx * 0.9, (top - floor) / 2, thick * 0.7))
        if b.chance(0.5):
            box(b, "shelf", (0, floor + (top - floor) * b.u(0.2, 0.6), 0), (wx * 0.85, thick * 0.6, wz * 0.9))
        return
    corners = {}
    for (sx, where), (side, name) in itertools.product(((1, "front"), (-1, "back")), SIDES):
        foot = np.array([sx * (wx * 0.88 + splay), floor, side * (wz * 0.88 + splay)])
        head = np.array([sx * wx * 0.88, top, side * wz * 0.88])
        corners[sx, side] = (head, foot)
        group = f"{where} {name} leg" if style == "four" else f"{name} frame"
        turned_leg(b, head, foot, thick, f"{where} {name} leg", group, square, fancy)
    if style == "sled":
        for side, name in SIDES:
            bar(b, f"{name} frame/{name} runner", corners[1, side][1], corners[-1, side][1], thick, square)
    elif b.chance(0.5):
        t, rail = b.u(0.25, 0.8), thick * b.u(0.45, 0.8)
        places = {key: head * (1 - t) + foot * t for key, (head, foot) in corners.items()}
        for i, (p, q) in enumerate((((1, 1), (1, -1)), ((-1, 1), (-1, -1)), ((1, 1), (-1, 1)), ((1, -1), (-1, -1)))):
            if b.chance(0.75):
                bar(b, f"stretchers/stretcher {i}", places[p], places[q], rail, square)
    if b.chance(0.35):
        deep = thick * b.u(1, 2)
        for side, name in SIDES:
            box(b, f"aprons/{name} apron", (0, top - deep, side * wz * 0.88), (wx * 0.88, deep, thick * 0.4))
            path = f"aprons/{'front' if side > 0 else 'back'} apron"
            box(b, path, (side * wx * 0.88, top - deep, 0), (thick * 0.4, deep, wz * 0.88))


def _column(b: Builder, top: float, floor: float, wx: float, wz: float, thick: float, square: bool) -> None:
    """A column on a plate or on spokes, perhaps with castors."""
    bar(b, "foot frame/column", (0, floor + 0.05, 0), (0, top, 0), thick * 1.8, square)
    spokes = b.n(3, 6)
    if b.chance(0.3):
        rod(b, "foot frame/base plate", (0, floor, 0), (0, floor + 0.06, 0), max(wx, wz) * 0.8, max(wx, wz) * 0.7)
        return
    for i, a in around(spokes):
        end = polar(a, wx, 0) * 0.9
        bar(b, f"foot frame/spoke {i}", (0, floor + 0.1, 0), end + [0, floor + 0.05, 0], thick * 0.9, square)
        if b.chance(0.75):
            axle = end + [0, floor + 0.02, -thick], end + [0, floor + 0.02, thick]
            rod(b, f"foot frame/castor {i}", *axle, thick * 1.1)


def furniture(b: Builder) -> None:
    """Bed, cabinet, sofa, crib: bodies with panels, rails, doors, knobs, cushions, feet."""
    b.pick([_bed, _cabinet, _sofa, _fence])(b)


def _bed(b: Builder) -> None:
    """Mattress, pillows, head and foot boards."""
    wz, thick, h = b.u(0.5, 0.8), b.u(0.025, 0.05), b.u(0.15, 0.3)
    cushion(b, "bedding/mattress", (0, h + 0.06, 0), (0.95, 0.1, wz), 0.3, 0.2)
    box(b, "frame/bed frame", (0, h - 0.04, 0), (1.0, 0.05, wz * 1.05))
    for i in range(b.n(1, 2)):
        middle = (-0.72, h + 0.2, (i * 2 - 1) * wz * 0.45 if i or wz > 0.6 else 0)
        cushion(b, f"bedding/pillow {i}", middle, (0.17, 0.07, wz * 0.4), 0.7, 0.5)
    for x, name, tall in ((-1.02, "head board", b.u(0.5, 0.9)), (1.02, "foot board", b.u(0.25, 0.5))):
        path, posts = f"{name}/{name}", b.chance(0.6)
        for side, s in SIDES:
            bar(b, f"{path} {s} post", (x, 0, side * wz), (x, tall, side * wz), thick, posts)
            if b.chance(0.4):
                ball(b, f"{path} {s} knob", (x, tall + thick, side * wz), thick * 1.5)
        if b.chance(0.5):
            box(b, f"{path} panel", (x, (h + tall) / 2, 0), (0.02, (tall - h) / 2, wz))
        else:
            bar(b, f"{path} rail", (x, tall * 0.95, -wz), (x, tall * 0.95, wz), thick * 0.9, posts)
            for i, z in itertools.islice(row(8, -wz, wz), b.n(3, 8)):
                bar(b, f"{path} bar {i}", (x, h, z), (x, tall * 0.95, z), thick * 0.45, False)
    for i, (x, z) in enumerate(itertools.product((-0.9, 0.9), (-1, 1))):
        bar(b, f"frame/foot {i}", (x, -0.05, z * wz * 0.9), (x, h, z * wz * 0.9), thick, True)


def _cabinet(b: Builder) -> None:
    """Carcass with doors, knobs and feet."""
    wz, thick = b.u(0.5, 0.8), b.u(0.025, 0.05)
    h, d = b.u(0.5, 1.0), b.u(0.25, 0.4)
    box(b, "carcass", (0, 0, 0), (d, h, wz))
    if b.chance(0.5):
        box(b, "carcass/cornice", (0, h, 0), (d * 1.08, 0.04, wz * 1.05))
    rows, cols = b.n(1, 4), b.n(1, 2)
    for i, j, y, z in grid(row(rows, -h, h), row(cols, -wz, wz)):
        box(b, f"door {i}.{j}", (d, y, z), (0.025, h / rows * 0.9, wz / cols * 0.9))
        knob = (d + 0.04, y, z + wz / cols * 0.7 * (1 if j == 0 else -1))
        ball(b, f"door {i}.{j}/knob {i}.{j}", knob, b.u(0.02, 0.04))
    for sx, (side, s) in itertools.product((-1, 1), SIDES):
        ends = span(sx * d * 0.85, (-h - b.u(0.08, 0.2), -h), side * wz * 0.9)
        rod(b, f"feet/foot {sx} {s}", *ends, thick, thick * 1.5)


def _sofa(b: Builder) -> None:
    """Base, back, arms, cushions, feet."""
    w = b.u(0.6, 1.1)
    put(b, "base", slab(b, (0, 0, 0), (0.4, 0.13, w)))
    cushion(b, "back", (-0.36, 0.35, 0), (0.13, 0.4, w), 0.4, 0.3, rotation_about("z", 0.12))
    for side, s in SIDES:
        put(b, f"{s} arm", slab(b, (0.02, 0.16, side * (w + 0.06)), (0.4, 0.3, 0.1)))
        if b.chance(0.4):
            rod(b, f"{s} arm/{s} arm roll", *span((-0.38, 0.42), 0.46, side * (w + 0.06)), 0.12)
    seats = b.n(1, 3)
    for i, z in row(seats, -w, w):
        cushion(b, f"cushions/seat cushion {i}", (0.06, 0.2, z), (0.36, 0.1, w / seats * 0.96), 0.4, 0.3)
        if b.chance(0.7):
            size = (0.12, 0.22, w / seats * 0.9)
            cushion(b, f"cushions/back cushion {i}", (-0.2, 0.45, z), size, 0.5, 0.4, rotation_about("z", 0.15))
    for sx, (side, s) in itertools.product((-1, 1), SIDES):
        rod(b, f"feet/foot {sx} {s}", *span(sx * 0.33, (-0.25, -0.1), side * w * 0.9), 0.03, 0.045)


def _fence(b: Builder) -> None:
    """Posts with caps, and rails."""
    thick, n, square = b.u(0.025, 0.05), b.n(3, 6), b.chance(0.5)
    for i, z in centred(n, 0.3):
        bar(b, f"post {i}", (0, -0.4, z), (0, 0.4, z), thick * 1.2, square)
        if b.chance(0.6):
            ball(b, f"post {i}/post {i} cap", (0, 0.42, z), thick * 1.7)
    for j in range(b.n(2, 4)):
        y = -0.3 + 0.22 * j
        bar(b, f"rails/rail {j}", (0, y, -n * 0.16), (0, y, n * 0.16), thick * 0.7, square)
