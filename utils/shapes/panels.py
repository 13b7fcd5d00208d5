"""Parts made of many components: railings, grilles, spokes, slats, foliage of cards, and small tools in one hand."""

from __future__ import annotations

import itertools

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import around, ball, bar, box, limb, polar, put, rod, row, span, torus, tube
from utils.shapes.containers import hollow
from utils.shapes.elements import SIDES, arc, circle
from utils.shapes.hollow import Sheet, walled
from utils.shapes.solids import Box, Lathe, Prism, Solid, rotation_about, rotation_to, unit


def grille(b: Builder) -> None:
    """Railing, gate, blind, grille, spoked wheel, potted plant, tree, pen, scissors, stapler, hanging lamp."""
    b.floating = True
    makers = [_railing, _gate, _blind, _fan_grille, _spoked, _potted, _potted, _tree, _pen, _scissors, _stapler]
    b.pick([*makers, _pendant, _brush, _bench])(b)


def _many(b: Builder, path: str, name: str, one: float = 0.65):
    """Path of the i-th of many equal things: one part together, or each its own."""
    together = b.chance(one)
    return lambda i: path if together else f"{path}/{name} {i}"


def _railing(b: Builder) -> None:
    """Posts, rails and many balusters, perhaps along stairs or around a corner; a fence of pickets."""
    n, h, t, square = b.n(8, 26), b.u(0.3, 0.5), b.u(0.008, 0.02), b.chance(0.5)
    slope, pitch = b.pick([0.0, 0.0, b.u(0.2, 0.6)]), b.u(0.07, 0.12)
    picket = b.chance(0.35)
    long = n * pitch / 2

    def at(z: float, y: float, x: float = 0.0) -> np.ndarray:
        return np.array([x, y + slope * z, z])

    each = _many(b, "pickets" if picket else "balusters", "bar")
    for i, z in row(n, -long, long):
        if picket:
            half = np.array([(-1, -h), (1, -h), (1, h * 0.85), (0, h), (-1, h * 0.85)]) * [pitch * 0.35, 1]
            put(b, each(i), Prism(at(z, 0, t * 1.5), half, t * 0.6, rotation_about("y", np.pi / 2)))
        else:
            bar(b, each(i), at(z, -h), at(z, h * 0.95), t, square)
    for j, y in enumerate((h * 0.95, -h * 0.85, 0.0)[: b.n(1, 3)]):
        bar(b, b.pick(["rails", f"rails/rail {j}"]), at(-long, y), at(long, y), t * b.u(1.2, 2.5), square)
    posts = _many(b, "posts", "post", 0.4)
    for i, z in row(b.n(2, 4), -long, long, 0):
        bar(b, posts(i), at(z, -h * 1.15), at(z, h * 1.1), t * 2.5, square)
        if b.chance(0.5):
            ball(b, b.pick(["caps", posts(i)]), at(z, h * 1.13), t * 3.2)
    for i in range(n // 2 if slope > 0.2 and b.chance(0.6) else 0):
        z = -long + (i + 0.5) * 2 * pitch
        box(b, b.pick(["steps", "steps", "stairs"]), at(z, -h * 1.2, -0.25), (0.25, 0.02, pitch * 1.1))


def _gate(b: Builder) -> None:
    """Two leaves of frames and bars between pillars, with hinges and a lock."""
    w, h, t, square = b.u(0.35, 0.6), b.u(0.5, 0.8), b.u(0.008, 0.016), b.chance(0.5)
    for s, name in SIDES:
        bar(
            b, f"pillars/{name} pillar", (0, -h - 0.05, s * (w + 0.1)), (0, h * 1.1, s * (w + 0.1)), 0.07, b.chance(0.6)
        )
        turn = rotation_about("y", s * b.pick([0.0, b.u(0.2, 1.2)]))
        hinge = np.array([0, 0, s * (w + 0.02)])
        own = f"leaves/{name} leaf"
        bars = f"{own}/{name} bars" if b.chance(0.7) else f"{own}/{name} grille"
        each = b.chance(0.5)

        def at(y: float, z: float, hinge=hinge, turn=turn, s=s) -> np.ndarray:
            return hinge + turn @ [0, y, -s * z]

        frame = f"{own}/{name} frame" if each else bars
        for y in (-h, h * 0.95):
            bar(b, frame, at(y, 0), at(y, w), t * 1.8, square)
        for z in (0.0, w):
            bar(b, frame, at(-h, z), at(h * 0.95, z), t * 1.8, square)
        for _, z in row(b.n(4, 10), 0, w, 1):
            bar(b, bars, at(-h, z), at(h * b.u(0.9, 1.15), z), t, square)
        for y in (-0.6 * h, 0.5 * h):
            rod(b, b.pick(["hinges", f"{own}/{name} hinges"]), at(y - 0.03, -0.03), at(y + 0.03, -0.03), 0.022)
    box(b, "lock", (0, 0, 0.02), (0.03, 0.06, 0.04))


def _blind(b: Builder) -> None:
    """Slats on cords below a head rail; shutters and radiators."""
    w, n, turn = b.u(0.4, 0.7), b.n(10, 24), rotation_about("z", b.u(-1.2, 1.2))
    pitch = b.u(0.05, 0.08)
    top = n * pitch / 2 + 0.04
    each = _many(b, "slats", "slat", 0.75)
    for i, y in row(n, -n * pitch / 2, n * pitch / 2):
        put(b, each(i), Box((0, y, 0), (pitch * 0.48, 0.003, w), turn))
    box(b, "head rail", (0, top, 0), (0.04, 0.03, w * 1.02))
    box(b, b.pick(["slats", "bottom rail"]), (0, -top, 0), (0.03, 0.015, w))
    cords = b.pick(["cords", "cords", "slats"])
    for _, z in row(b.n(2, 3), -w, w):
        rod(b, cords, (0, -top, z), (0, top, z), 0.005, segments=6)
    rod(b, "wand", (0.06, top, w * 0.9), (0.07, b.u(-0.6, 0.2) * top, w * 0.9), 0.008)


def _fan_grille(b: Builder) -> None:
    """Fan: cage of two baskets of wires, blades, motor, pole, base with buttons."""
    r, n = b.u(0.32, 0.42), b.n(14, 30)
    deep = b.u(0.06, 0.12)
    for s, name in ((1, "front"), (-1, "back")):
        path = b.pick(["cage", f"cage/{name} cage"])
        for _, a in around(n):
            middle = np.array([s * deep, np.sin(a) * r * 0.55, np.cos(a) * r * 0.55])
            points = [(s * deep, np.sin(a) * 0.06, np.cos(a) * 0.06), middle, (0, np.sin(a) * r, np.cos(a) * r)]
            tube(b, path, np.array(points), 0.005, sides=5)
        rod(b, path, (s * deep * 0.95, 0, 0), (s * deep * 1.1, 0, 0), 0.07)
    torus(b, b.pick(["cage", "rim"]), (0, 0, 0), r, 0.012, rotation_to((1, 0, 0)))
    each, blades = _many(b, "rotor/blades", "blade", 0.5), b.n(3, 5)
    for i, a in around(blades):
        way = np.array([0, np.sin(a), np.cos(a)])
        ball(b, each(i), way * r * 0.5, (r * 0.22, r * 0.42, 0.008), rotation_to(way, 0.5))
    ball(b, "rotor/hub", (0, 0, 0), 0.06)
    limb(b, "motor", (-deep - 0.02, 0, 0), (-deep - 0.16, 0, 0), 0.09, 0.07)
    rod(b, "stand/pole", (-deep - 0.09, -1.0, 0), (-deep - 0.09, 0, 0), 0.025)
    rod(b, "stand/base", (-deep - 0.09, -1.05, 0), (-deep - 0.09, -1.0, 0), 0.26, 0.22)
    for i, z in row(b.n(2, 5), -0.1, 0.1):
        own = b.pick(["stand/buttons", f"stand/button {i}"])
        rod(b, own, (-deep + 0.06, -1.01, z), (-deep + 0.06, -0.97, z), 0.016)


def _spoked(b: Builder) -> None:
    """Wheel with many spokes in a fork, or a Ferris wheel with gondolas, or a ship's wheel."""
    n, r, t = b.n(8, 28), b.u(0.4, 0.5), b.u(0.004, 0.014)
    axis = rotation_to((1, 0, 0))
    torus(b, "wheel/tyre", (0, 0, 0), r, b.u(0.03, 0.06), axis, section=b.u(0.8, 1.4))
    if b.chance(0.6):
        torus(b, "wheel/rim", (0, 0, 0), r * 0.93, 0.022, axis, section=1.5)
    rod(b, "wheel/hub", (-0.06, 0, 0), (0.06, 0, 0), b.u(0.03, 0.07))
    cross = b.u(0, 0.5)
    for i, a in around(n):
        lean, side = a + cross * (-1) ** i, 0.05 * (-1) ** (i // 2)
        start = np.array([side, np.sin(lean) * 0.04, np.cos(lean) * 0.04])
        rod(b, "wheel/spokes", start, (0, np.sin(a) * r * 0.94, np.cos(a) * r * 0.94), t, segments=8)
    if b.chance(0.4):
        each = _many(b, "handles", "handle")
        for i, a in around(b.n(6, 8)):
            way = np.array([0, np.sin(a), np.cos(a)])
            rod(b, each(i), way * r, way * (r + 0.2), 0.022, 0.03)
        return
    for s, name in SIDES:
        rod(b, b.pick(["fork", f"fork/{name} blade"]), (s * 0.09, 0, 0), (s * 0.06, r * 1.2, 0.05), 0.02)
    rod(b, b.pick(["fork", "steerer"]), (0, r * 1.2, 0.05), (0, r * 1.6, 0.12), 0.03)
    rod(b, b.pick(["axle", "wheel/hub"]), (-0.12, 0, 0), (0.12, 0, 0), 0.015)


def _leaf(b: Builder, size: float):
    """Forms of a leaf at a point along a direction: a card of two triangles or more, a blade, a solid leaf."""
    kind, slim = b.pick(["card", "card", "quad", "solid"]), b.u(0.25, 0.6)
    outline = {
        "card": [(0, 0), (slim, 0.4), (slim * 0.7, 0.8), (0, 1), (-slim * 0.7, 0.8), (-slim, 0.4)],
        "quad": [(-slim, 0), (slim, 0), (slim, 1), (-slim, 1)],
        "solid": [(0, 0), (slim, 0.5), (0, 1), (-slim, 0.5)],
    }[kind]

    def form(at, way, scale: float) -> Solid:
        plate = Prism(at, np.array(outline) * size * scale, size * 0.02, rotation_to(way, b.u(0, 6.28)))
        return plate if kind == "solid" else Sheet(plate, lambda m, n: n[:, 2] > 0.5)

    return form


def _pot(b: Builder, r: float, h: float) -> None:
    """A pot with wall and soil, perhaps on a saucer."""
    square = (r * 0.6, r * 0.6) if b.chance(0.3) else None
    inner = r * 0.4 if square else r
    top = inner * b.u(1.05, 1.4)
    hollow(b, "pot/pot", [(inner * 0.9, 0), (top, h)], b.u(0.015, 0.03), square)
    if b.chance(0.4) and not square:
        torus(b, b.pick(["pot/pot", "pot/pot rim"]), (0, h, 0), top, 0.025)
    if square:
        box(b, "soil", (0, h * 0.8, 0), (square[0] + inner * 0.8, 0.015, square[1] + inner * 0.8))
    else:
        rod(b, "soil", (0, h * 0.75, 0), (0, h * 0.85, 0), inner * 0.97)
    if b.chance(0.3) and not square:
        hollow(b, "saucer", [(r * 1.0, -0.03), (r * 1.3, 0.03)], 0.012)


def _potted(b: Builder) -> None:
    """Plant in a pot: all leaves are one part (or each plant's part), stems, flowers."""
    r, h = b.u(0.16, 0.26), b.u(0.2, 0.4)
    _pot(b, r, h)
    stems, tall = b.n(1, 7), b.u(0.3, 0.8)
    count = b.n(25, 70) // stems + 1
    form = _leaf(b, b.u(0.12, 0.28))
    leaves, grass = b.pick(["plant/leaves", "leaves"]), b.chance(0.25)
    stalk = b.pick(["plant/stems", "plant/stems", leaves])
    flowers = _many(b, "flowers", "flower", 0.6)
    for i in range(stems):
        root = polar(b.u(0, 6.28), b.u(0, 0.5) * r, h * 0.8)
        lean = unit([b.u(-0.5, 0.5), 1, b.u(-0.5, 0.5)])
        tip = root + lean * tall * b.u(0.6, 1)
        if grass:
            for _ in range(count):
                out = polar(b.u(0, 6.28), b.u(0.1, 0.5))
                blade = arc(root, root + [out[0], tall * b.u(0.5, 1), out[2]], (0, tall * 0.15, 0), 5)
                tube(b, leaves, blade, np.linspace(0.016, 0.004, 5), flat=0.3, normal=unit(out), sides=6)
            continue
        path = arc(root, tip, b.rng.normal(size=3) * 0.06, 6)
        tube(b, stalk, path, np.linspace(0.016, 0.008, 6), sides=6)
        for _ in range(count):
            place = b.u(0.25, 1) * 4.99
            at = path[int(place)] + (path[int(place) + 1] - path[int(place)]) * (place % 1)
            way = unit(b.rng.normal(size=3) * [1, 0.4, 1] + [0, 0.35, 0])
            put(b, leaves, form(at, way, b.u(0.6, 1.1)))
        if b.chance(0.3):
            ball(b, flowers(i), tip, b.u(0.03, 0.07))


def _tree(b: Builder) -> None:
    """Trunk, boughs, a crown of cards or of tufts that is one part, fruit."""
    tall, r = b.u(0.7, 1.0), b.u(0.04, 0.08)
    trunk, bough = "tree/trunk", b.pick(["tree/boughs", "tree/trunk"])
    rod(b, trunk, (0, 0, 0), (0, tall, 0), r, r * 0.6)
    form = _leaf(b, b.u(0.14, 0.3))
    crown, tufts = b.pick(["crown", "crown/leaves"]), b.chance(0.4)
    boughs = b.n(5, 10)
    fruit = _many(b, "fruit", "apple", 0.7)
    for i, a in around(boughs):
        start = np.array([0, tall * b.u(0.55, 0.98), 0])
        tip = start + polar(a + b.u(-0.2, 0.2), b.u(0.25, 0.45), b.u(0.1, 0.45))
        rod(b, bough, start, tip, r * 0.45, r * 0.2, segments=8)
        if tufts:
            ball(b, crown, tip, b.rng.uniform(0.14, 0.26, 3))
        for _ in range(0 if tufts else b.n(6, 12)):
            way = unit(b.rng.normal(size=3) + [0, 0.3, 0])
            put(b, crown, form(start + (tip - start) * b.u(0.4, 1.05), way, b.u(0.6, 1.2)))
        if b.chance(0.25):
            ball(b, fruit(i), tip - [0, 0.12, 0], 0.045)
    if b.chance(0.4):
        _pot(b, b.u(0.16, 0.25), 0.2)


def _pen(b: Builder) -> None:
    """Pen of barrel, grip, tip, cap beside or on it, clip, button; a marker, a lipstick."""
    r, long = b.u(0.035, 0.07), b.u(0.5, 0.75)
    rod(b, "barrel", (0, -long, 0), (0, long * 0.6, 0), r, bevel=0.1)
    rod(b, "tip/cone", (0, -long - 0.16, 0), (0, -long, 0), 0.008, r * 0.95)
    if b.chance(0.5):
        rod(b, "tip/point", (0, -long - 0.2, 0), (0, -long - 0.14, 0), 0.007)
    if b.chance(0.6):
        rod(b, b.pick(["grip", "barrel/grip"]), (0, -long * 0.95, 0), (0, -long * 0.5, 0), r * 1.06)
    shift = b.pick([0.0, 0.0, b.u(0.1, 0.3)])
    low, high = (long * 0.35 + shift, long + shift)
    pipe = [
        (r * 1.02, 0),
        (r * 1.2, 0),
        (r * 1.2, high - low),
        (0, high - low),
        (0, high - low - 0.02),
        (r * 1.02, high - low - 0.02),
    ]
    put(b, "cap/cap", walled(Lathe((0, low, 0), pipe), 0.2 * r))
    clip = np.array(
        [(0, high - 0.02, r * 1.15), (0, high - 0.03, r * 1.75), (0, low + 0.08, r * 1.55), (0, low + 0.05, r * 1.25)]
    )
    tube(b, "cap/clip", clip, 0.016, flat=0.5, normal=(0, 0, 1), sides=8)
    if b.chance(0.5):
        rod(b, "cap/button", (0, high - 0.01, 0), (0, high + 0.06, 0), r * 0.5)
    torus(b, b.pick(["ring", "cap/ring"]), (0, low, 0), r * 1.15, 0.012)


def _scissors(b: Builder) -> None:
    """Two blades that each run on into a loop, a screw; each half is a group, or blades and loops are."""
    angle, long, t = b.u(0.05, 0.5), b.u(0.5, 0.8), b.u(0.012, 0.02)
    halves = b.chance(0.6)
    for s, name in SIDES:
        turn = rotation_about("z", s * angle)
        z = s * t
        outline = np.array([(-0.05, -0.1), (0.05, -0.1), (0.05, long * 0.5), (0.0, long), (-0.05, long * 0.4)]) * [s, 1]
        blade = f"{name} half/{name} blade" if halves else f"blades/{name} blade"
        loop = f"{name} half/{name} loop" if halves else f"handles/{name} loop"
        put(b, blade, Prism((0, 0, z), outline, t, turn))
        ring = np.array([(np.cos(a) * 0.1, np.sin(a) * 0.15, 0) for a in np.linspace(0, 2 * np.pi, 17)])
        center = turn @ [-s * 0.1, -0.48, z]
        tube(b, loop, ring @ turn.T + center, 0.03)
        bar(b, loop, turn @ [0, -0.05, z], turn @ [-s * 0.05, -0.34, z], 0.032, b.chance(0.5), 0.028)
    rod(b, "screw", (0, 0, -3.5 * t), (0, 0, 3.5 * t), 0.028)


def _stapler(b: Builder) -> None:
    """Base, arm with a hollow magazine, hinge, anvil, cover, spring; a hole punch."""
    long, w = b.u(0.5, 0.65), b.u(0.07, 0.1)
    turn = rotation_about("z", b.u(0.05, 0.4))
    hinge = np.array([-long, 0.08, 0])

    def at(x: float, y: float, z: float = 0.0) -> np.ndarray:
        return hinge + turn @ [x, y, z]

    box(b, "base/foot", (0, 0, 0), (long * 1.05, 0.02, w * 1.2), rounding=0.01)
    box(b, b.pick(["base/anvil", "anvil"]), (long * 0.85, 0.022, 0), (0.08, 0.008, w * 0.6))
    for s in (-1, 1):
        box(b, "base/cheeks", hinge + [0.06, 0, s * w], (0.1, 0.07, 0.012))
        box(b, "magazine", at(long, 0.03, s * w * 0.7), (long * 0.98, 0.04, 0.01), turn)
    box(b, "magazine", at(long, -0.005), (long * 0.98, 0.008, w * 0.7), turn)
    box(b, "arm/cover", at(long, 0.1), (long, 0.03, w), turn, rounding=0.025)
    if b.chance(0.6):
        box(b, "arm/pad", at(long * 1.75, 0.135), (0.12, 0.012, w * 0.8), turn, rounding=0.008)
    rod(b, "pin", hinge - [0, 0, w * 1.2], hinge + [0, 0, w * 1.2], 0.022)
    if b.chance(0.5):
        box(b, "staples", at(long * 1.1, 0.025), (long * 0.5, 0.025, w * 0.5), turn)


def _pendant(b: Builder) -> None:
    """Lamps hanging from chains or cords: links are one part, shades have two sides, bulbs are within."""
    arms = b.pick([1, 1, 3, 5])
    wide = 0.0 if arms == 1 else b.u(0.3, 0.5)
    drop = b.u(0.4, 0.8)
    rod(b, "rose", (0, drop, 0), (0, drop + 0.05, 0), 0.12, 0.07)
    chain = b.chance(0.6)
    links = b.n(6, 12)
    for i, y in row(links if chain else 0, 0.05, drop):
        way = rotation_to((1, 0, 0)) if i % 2 else rotation_to((0, 0, 1))
        size = (drop - 0.05) / links * 0.55
        torus(b, "chain", (0, y, 0), size, size * 0.28, way)
    if not chain:
        rod(b, "cord", (0, 0, 0), (0, drop, 0), 0.012)
    ball(b, "body/hub", (0, 0, 0), b.u(0.05, 0.09))
    r, h, down = b.u(0.12, 0.24), b.u(0.12, 0.25), b.chance(0.6)
    for i, a in around(arms):
        tip = polar(a, wide, -0.06)
        if arms > 1:
            tube(b, b.pick(["body/arms", f"body/arm {i}"]), arc((0, 0, 0), tip, (0, -0.12, 0)), 0.016)
        s = -1 if down else 1
        turn = rotation_about("x", np.pi) if down else None
        own = f"lights/light {i}"
        top = tip + [0, s * 0.03, 0]
        hollow(b, f"{own}/shade {i}", [(0.05, 0), (r * 0.8, h * 0.5), (r, h)], 0.01, turn=turn, center=top)
        rod(b, f"{own}/socket {i}", tip, top + [0, s * 0.07, 0], 0.03)
        ball(b, f"{own}/bulb {i}", top + [0, s * 0.12, 0], (0.045, 0.06, 0.045))


def _brush(b: Builder) -> None:
    """Brush, broom, rake or comb: a head with many bristles or teeth that are one part, and a handle."""
    wide, n = b.u(0.2, 0.45), b.n(8, 18)
    box(b, "head", (0, 0, 0), (0.05, 0.03, wide), rounding=0.015)
    rows = b.pick([1, 1, 2, 3])
    t = min(0.018, wide / n * 0.6)
    for _, z in row(n, -wide, wide):
        for _, x in row(rows, -0.05, 0.05):
            lean = b.u(-0.02, 0.02)
            rod(b, "bristles", (x, -0.02, z), (x + lean, -0.28, z + lean), t, t * 0.7, segments=6)
    turn = b.chance(0.5)
    end = (0, 1.1, 0) if turn else (-0.1, 0.1, wide + 0.7)
    rod(b, "handle/stick", (0, 0, 0), end, 0.024)
    if b.chance(0.5):
        limb(b, "handle/grip", np.array(end) * 0.75, end, 0.034)
    if b.chance(0.4):
        rod(b, b.pick(["collar", "handle/collar"]), (0, 0, 0), np.array(end) * 0.12, 0.04)


def _bench(b: Builder) -> None:
    """Bench, pallet, deck chair: seat and back of slats, each one part; frames of bars at the ends."""
    w, d, n, t = b.u(0.5, 0.9), b.u(0.2, 0.3), b.n(3, 7), b.u(0.012, 0.025)
    seat = _many(b, "seat", "seat slat", 0.7)
    for i, x in row(n, -d, d):
        box(b, seat(i), (x, 0, 0), (d / n * 0.8, t, w))
    back, lean = _many(b, "back", "back slat", 0.7), rotation_about("z", 0.2)
    for i, y in row(b.n(2, 6) if b.chance(0.8) else 0, 0.12, 0.5):
        box(b, back(i), np.array([-d - 0.02, 0, 0]) + lean @ [0, y, 0], (t, 0.03, w), lean)
    ends = _many(b, "frames", "frame", 0.4)
    for i, z in row(b.n(2, 3), -w, w, 0.2):
        for x in (-d * 0.95, d * 0.9):
            bar(b, ends(i), (x, -0.45, z), (x, -t, z), t * 1.8, True)
        bar(b, ends(i), (-d, -t * 2, z), (d, -t * 2, z), t * 1.5, True)
        bar(b, ends(i), (-d, 0, z), np.array([-d - 0.02, 0, z]) + lean @ [-0.03, 0.52, 0], t * 1.5, True)
        if b.chance(0.5):
            bar(b, b.pick(["arm rests", f"arm rests/rest {i}"]), *span((-d * 1.1, d), 0.22, z), t * 1.6, True)
            bar(b, b.pick(["arm rests", ends(i)]), *span(d * 0.9, (0, 0.22), z), t * 1.4, True)
    for i, (x, z) in enumerate(itertools.product((-0.6, 0.6), (-0.5, 0.5)) if b.chance(0.25) else ()):
        put(b, f"cushions/cushion {i}", Prism((x * d, 0.05, z * w), circle(d * 0.4, 18), 0.03, rotation_to((1, 0, 0))))
