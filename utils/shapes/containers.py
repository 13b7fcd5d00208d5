"""Containers: hollow bodies whose part is the outside together with the inside, with lids, flaps, handles, labels."""

from __future__ import annotations

import itertools

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import around, ball, bar, box, polar, put, rod, row, torus, tube
from utils.shapes.elements import SIDES, arc, random_profile
from utils.shapes.hollow import Loft, Sheet, wall_profile, wall_sheets, walled
from utils.shapes.solids import Box, Lathe, rotation_about, rotation_to


def hollow(b: Builder, path: str, outer, wall: float, core=None, turn=None, center=(0, 0, 0)) -> None:
    """A vessel with a wall, round or about the rectangle `core`: one closed solid, four sheets, or two shells."""
    profile = wall_profile(np.asarray(outer, float), wall)

    def solid() -> Lathe:
        segments = b.n(18, 40)
        if core is None:
            return walled(Lathe(center, profile, turn, segments=segments), wall)
        return walled(Loft(center, profile, core, turn), wall)

    dress = b.pick(["solid", "solid", "sheets", "shells"])
    if dress == "solid":
        put(b, path, solid())
        return
    sheets = wall_sheets(solid(), wall)
    if dress == "shells":  # the outside and the inside, each with its bottom; nobody modelled the rim
        whole = solid()
        out, inside = sheets[0].kept, sheets[1].kept
        sheets = [Sheet(whole, lambda m, n: out(m, n) | (n[:, 1] < -0.97)), Sheet(whole, lambda m, n: inside(m, n))]
        sheets.append(Sheet(whole, lambda m, n: n[:, 1] > 0.97))
    put(b, path, *sheets)


def container(b: Builder) -> None:
    """Bucket, bin, carton, drawer, mug, pan, basket, bottle, tub: walls with two sides, and what is on them."""
    b.floating = True
    b.pick([_bucket, _bin, _carton, _tray, _mug, _pan, _basket, _bottle, _chest])(b)
    if len(b.part_names) == 1:  # a body alone would be the whole
        ball(b, "contents", (0, 0.12, 0), 0.1)


def _bail(b: Builder, path: str, radius: float, height: float, thick: float, lean: float = 0.0) -> None:
    """A handle over a vessel, from ear to ear, leaning by an angle."""
    a = np.linspace(0, np.pi, 15)[:, None]
    reach = radius * 1.04
    out = np.hstack([np.sin(a) * np.sin(lean), np.sin(a) * np.cos(lean), np.zeros_like(a)]) * reach
    tube(b, path, out + np.hstack([0 * a, 0 * a + height, np.cos(a) * reach]), thick)


def _bucket(b: Builder) -> None:
    """Body with wall, rim, ears, bail with grip."""
    r, h, wall = b.u(0.26, 0.4), b.u(0.5, 0.85), b.u(0.012, 0.03)
    top = r * b.u(1.05, 1.4)
    hollow(b, "bucket/body", [(r, 0), ((r + top) / 2, h / 2), (top, h)], wall)
    if b.chance(0.5):
        torus(b, b.pick(["bucket/rim", "bucket/body"]), (0, h, 0), top, wall * b.u(0.8, 1.5))
    for _ in range(b.n(0, 2)):
        at = b.u(0.2, 0.9)
        torus(b, "bucket/hoops", (0, h * at, 0), r + (top - r) * at, wall * 0.7)
    lean = b.pick([0.0, b.u(-1.5, 1.5)])
    _bail(b, "handle/wire", top, h * 0.92, b.u(0.01, 0.018), lean)
    if b.chance(0.6):
        middle = np.array([np.sin(lean), np.cos(lean), 0]) * top * 1.04 + [0, h * 0.92, 0]
        rod(b, "handle/grip", middle - [0, 0, 0.12], middle + [0, 0, 0.12], b.u(0.025, 0.04))
    for side, name in SIDES if b.chance(0.5) else ():
        path = b.pick(["bucket/ears", f"bucket/{name} ear"])
        ball(b, path, (0, h * 0.92, side * top), (0.035, 0.035, 0.02))


def _bin(b: Builder) -> None:
    """Waste bin, round or square, with a lid on a hinge, a pedal, wheels."""
    h, wall = b.u(0.7, 1.2), b.u(0.015, 0.03)
    square = b.chance(0.6)
    core = (b.u(0.12, 0.25), b.u(0.12, 0.3)) if square else None
    r = b.u(0.06, 0.12) if square else b.u(0.25, 0.36)
    top = r * b.u(1, 1.4)
    hollow(b, "bin/body", [(r, 0), (top, h)], wall, core)
    wx, wz = (np.array(core) if square else np.zeros(2)) + top
    if b.chance(0.75):
        lean = b.pick([0.0, 0.0, b.u(0.2, 1.7)])
        turn = rotation_about("z", lean)
        hinge = np.array([-wx, h + 0.01, 0])
        dome = b.u(0.03, 0.15)
        line = [(0, 0), (top * 1.03, 0), (top * 1.03, 0.03), (top * 0.6, 0.03 + dome), (0, 0.03 + dome)]
        at = hinge + turn @ [wx, 0, 0]
        put(b, "lid/cover", Loft(at, line, core, turn) if square else Lathe(at, line, turn))
        if b.chance(0.5):
            bar(b, "lid/lid handle", *(at + turn @ [wx * 0.6, 0.05 + dome, z] for z in (-0.1, 0.1)), 0.02, True)
        rod(b, b.pick(["hinge", "lid/hinge"]), hinge - [0, 0, wz * 0.7], hinge + [0, 0, wz * 0.7], 0.025)
    if b.chance(0.4):
        box(b, "pedal", (wx + 0.05, 0.05, 0), (0.09, 0.015, 0.06))
    for side, name in SIDES if b.chance(0.4) else ():
        path = b.pick(["wheels", f"wheels/{name} wheel"])
        rod(b, path, *((-wx * (1 if square else 0.5), 0.06, side * wz * 0.9 + z) for z in (-0.03, 0.03)), 0.1)


def _carton(b: Builder) -> None:
    """Box of boards or with a wall, with flaps or a lid, open or shut, tape, label, what lies in it."""
    wx, wz, h, t = b.u(0.25, 0.5), b.u(0.3, 0.7), b.u(0.2, 0.6), b.u(0.008, 0.02)
    if b.chance(0.5):
        boards(b, "box/body", (0, h / 2, 0), (wx, h / 2, wz), t)
    else:
        hollow(b, "box/body", [(0.03, 0), (0.03, h)], t * 1.3, (wx - 0.03, wz - 0.03))
    ends = [(np.array([s * wx, h, 0]), "x", s, wz, wx) for s in (-1, 1)]
    ends += [(np.array([0, h, s * wz]), "z", s, wx, wz) for s in (-1, 1)]
    kind = b.pick(["flaps", "flaps", "lid", "hinged", "open"])
    together = b.chance(0.3)
    for i, (at, axis, s, long, deep) in enumerate(ends if kind == "flaps" else ()):
        angle, reach = b.u(-0.5, 2.6), deep * b.u(0.5, 0.98) / 2  # 0 stands up, 1.6 lies outwards
        out = np.array([s, 0, 0]) if axis == "x" else np.array([0, 0, s])
        way = out * np.sin(angle) + np.array([0, np.cos(angle), 0])
        along = np.array([0, 0, 1.0]) if axis == "x" else np.array([1.0, 0, 0])
        turn = np.stack([np.cross(way, along), way, along], 1)
        path = "flaps" if together else f"flaps/flap {i}"
        put(b, path, Box(at + way * reach, (t, reach, long * 0.98), turn))
    if kind in ("lid", "hinged"):
        angle = b.u(0.3, 2.2) if kind == "hinged" else 0.0
        turn = rotation_about("z", angle)
        at = np.array([-wx, h + t, 0])
        rise = b.pick([0.0, b.u(0.1, 0.3)]) if kind == "lid" else 0.0
        depth = b.u(0.04, 0.15)
        lid = [(0.04, -depth), (0.04, 0)]
        flip = rotation_about("x", np.pi)
        profile = wall_profile(np.array(lid) + [0, depth], t * 1.3)
        place = at + turn @ [wx, t * 2, 0] + [0, rise, 0]
        put(b, "lid", walled(Loft(place, profile, (wx - 0.02, wz - 0.02), turn @ flip), t * 1.3))
    if b.chance(0.3):
        box(b, "label", (wx + 0.002, h * 0.5, b.u(-0.3, 0.3) * wz), (0.006, h * 0.2, wz * 0.3))
    for i in range(b.n(0, 3)):
        size = b.rng.uniform(0.06, 0.14, 3)
        place = (b.u(-0.5, 0.5) * wx, size[1] + t, b.u(-0.6, 0.6) * wz)
        put(b, f"contents/thing {i}", b.pick([Box(place, size), Lathe(place, [(0, -0.1), (0.1, -0.1), (0, 0.12)])]))


def boards(b: Builder, path: str, center, half, t: float, front: bool = True, each: bool | None = None) -> None:
    """An open-topped box of five boards (four without a front), one part unless `each` board is one (default: seldom).

    center, half (3,) of its outside; the front faces +x."""
    c, (x, y, z) = np.asarray(center, float), half
    each = b.chance(0.15) if each is None else each
    plates = [("bottom", (0, -y + t, 0), (x, t, z)), ("back", (-x + t, 0, 0), (t, y, z))]
    plates += [(f"{name} side", (0, 0, s * (z - t)), (x, y, t)) for s, name in SIDES]
    plates += [("front", (x - t, 0, 0), (t, y, z))] if front else []
    group, _, name = path.rpartition("/")
    for plate, at, size in plates:
        inner = f"{group or name}/{name}/{name} {plate}" if group else f"{name}/{name} {plate}"
        box(b, inner if each else path, c + at, size)


def _tray(b: Builder) -> None:
    """Drawer, tray, crate: shallow, with a grip, dividers, feet."""
    wx, wz, h, t = b.u(0.3, 0.5), b.u(0.35, 0.7), b.u(0.1, 0.3), b.u(0.01, 0.025)
    kind = b.pick(["drawer", "tray", "crate"])
    if kind == "drawer":
        boards(b, "drawer/box", (0, h / 2, 0), (wx, h / 2, wz), t)
        box(b, b.pick(["drawer/front", "front"]), (wx + t, h / 2, 0), (t, h * b.u(0.5, 0.7), wz * b.u(1, 1.12)))
        bar(b, "drawer/handle", *((wx + t * 3, h / 2, z) for z in (-0.12, 0.12)), 0.018, b.chance(0.5))
    elif kind == "tray":
        hollow(b, "tray", [(0.05, 0), (b.u(0.05, 0.12), h)], t, (wx - 0.05, wz - 0.05))
        for side, name in SIDES if b.chance(0.7) else ():
            path = arc((-0.12, h, side * wz), (0.12, h, side * wz), (0, 0.08, side * 0.05))
            tube(b, b.pick([f"handles/{name} handle", "handles"]), path, 0.016)
    else:
        slats, tied = b.n(2, 4), b.chance(0.6)
        box(b, "crate/floor", (0, t, 0), (wx, t, wz))
        for i, y in row(slats, 0, h * 1.6):
            for s in (-1, 1):
                half = h * 0.6 / slats
                box(b, "crate/slats" if tied else f"crate/long slat {i}.{s}", (s * wx, y, 0), (t, half, wz))
                box(b, "crate/slats" if tied else f"crate/short slat {i}.{s}", (0, y, s * wz), (wx, half, t))
        for sx, sz in itertools.product((-1, 1), (-1, 1)):
            box(b, "crate/posts", (sx * wx * 0.94, h * 0.8, sz * wz * 0.95), (t * 1.5, h * 0.8, t * 1.5))
    for i, z in row(b.n(0, 3), -wz, wz, 1):
        box(b, b.pick(["dividers", f"dividers/divider {i}"]), (0, h * 0.5, z), (wx * 0.95, h * 0.4, t * 0.6))


def _mug(b: Builder) -> None:
    """Mug, cup or glass, perhaps on a saucer, with a spoon or straw, full or empty."""
    r, h, wall = b.u(0.24, 0.34), b.u(0.35, 0.8), b.u(0.015, 0.035)
    profile = random_profile(b, h, r * 0.7, r, 8) if b.chance(0.5) else np.array([(r, 0), (r, h * 0.5), (r, h)])
    hollow(b, "mug/body", profile, wall)
    if b.chance(0.75):
        a = np.linspace(0, np.pi, 11)[:, None]
        low, high = h * b.u(0.12, 0.3), h * b.u(0.7, 0.9)
        rim = np.interp([low, high], profile[:, 1], profile[:, 0])
        y = (low + high) / 2 + np.cos(a) * (high - low) / 2
        path = np.hstack([0 * a, y, np.interp(y, [low, high], rim) - wall / 2 + np.sin(a) * b.u(0.15, 0.25)])
        tube(b, "mug/handle", path, b.u(0.02, 0.04), flat=b.u(0.5, 1), normal=(1, 0, 0))
    if b.chance(0.3):
        level = h * b.u(0.5, 0.9)
        rod(b, "drink", (0, wall, 0), (0, level, 0), np.interp(level, *profile.T[::-1]) - wall * 1.2)
    if b.chance(0.35):
        hollow(b, "saucer", [(r * 0.7, 0), (r * 1.2, 0.04), (r * 1.7, 0.09)], wall, center=(0, -wall, 0))
    if b.chance(0.3):
        rod(b, b.pick(["straw", "spoon"]), (0.1, wall, 0), (-r * 0.8, h * 1.35, b.u(-0.1, 0.1)), 0.018)


def _pan(b: Builder) -> None:
    """Pan or pot with wall, long handle or ears, lid with knob, rivets."""
    r, h, wall = b.u(0.35, 0.5), b.u(0.1, 0.5), b.u(0.015, 0.03)
    top = r * b.u(1, 1.2)
    hollow(b, "pan/body", [(r * 0.9, 0), (r, 0.03), (top, h)], wall)
    if h < 0.3 or b.chance(0.3):
        end = (0, h + b.u(0, 0.25), top + b.u(0.5, 0.9))
        bar(b, "pan/handle", (0, h * 0.8, top * 0.98), end, b.u(0.03, 0.05), b.chance(0.5))
        if b.chance(0.4):
            torus(b, b.pick(["pan/handle", "pan/eye"]), end, 0.04, 0.012)
    else:
        for side, name in SIDES:
            path = arc((-0.12, h * 0.8, side * top), (0.12, h * 0.8, side * top), (0, 0, side * 0.14))
            tube(b, b.pick(["handles", f"handles/{name} handle"]), path, b.u(0.018, 0.03))
    if b.chance(0.6):
        dome, up = b.u(0.04, 0.15), b.pick([0, 0, b.u(0.05, 0.3)])
        line = np.array([(top * 1.03, 0), (top * 0.7, dome * 0.7), (0, dome)])
        shell = np.concatenate([[(0, dome - wall), (top * 0.7, dome * 0.7 - wall)], line[:1] - [0, wall], line])
        put(b, "lid/cover", walled(Lathe((0, h + wall + up, 0), shell), wall))
        rod(b, "lid/knob", (0, h + dome * 0.9 + up, 0), (0, h + dome + 0.09 + up, 0), 0.025, b.u(0.03, 0.06))


def _basket(b: Builder) -> None:
    """A basket of slats or wires: its body is one part made of all of them."""
    r, h, t = b.u(0.3, 0.42), b.u(0.3, 0.6), b.u(0.008, 0.016)
    flare, n = b.u(1, 1.35), b.n(12, 26)
    body = b.pick(["basket/body", "body"])
    rod(b, body, (0, -0.02, 0), (0, 0.02, 0), r)
    for _, a in around(n):
        rod(b, body, polar(a, r * 0.97), polar(a, r * flare, h), t, segments=8)
    for _, y in row(b.n(2, 6), 0, h):
        torus(b, body, (0, y, 0), r * (1 + (flare - 1) * y / h), t)
    torus(b, b.pick([body, "basket/rim"]), (0, h, 0), r * flare, t * 2)
    if b.chance(0.6):
        _bail(b, "handle", r * flare, h, t * 1.8)
    if b.chance(0.4):
        hollow(b, "lining", [(r * 0.9, 0.03), (r * flare * 0.93, h * 0.95)], 0.012)


def _bottle(b: Builder) -> None:
    """Body with wall, neck, thread, cap, label around it: round or square."""
    r, h, wall = b.u(0.16, 0.26), b.u(0.5, 0.9), b.u(0.012, 0.025)
    core = (b.u(0.02, 0.1), b.u(0.05, 0.2)) if b.chance(0.3) else None
    neck, rise, slope = r * b.u(0.3, 0.6), b.u(0.1, 0.3), b.u(0.05, 0.25)
    outer = [(r * 0.93, 0), (r, 0.04), (r, h), (r * 0.75 + neck * 0.25, h + slope * 0.5)]
    top = h + slope + rise
    if b.chance(0.5) and core is None:  # blown in one, body and neck
        hollow(b, "bottle/glass", [*outer, (neck, h + slope), (neck, top)], wall)
    else:
        hollow(b, "bottle/body", [*outer, (neck, h + slope)], wall, core)
        hollow(b, "bottle/neck", [(neck, 0), (neck, rise)], wall * 0.8, core, center=(0, h + slope - wall, 0))
    place = 0.0 if b.chance(0.6) else b.u(0.1, 0.3)
    wide = neck * b.u(1.1, 1.3)
    if b.chance(0.85):
        tall, at = b.u(0.06, 0.16), (0, top + 0.01 + place, 0)
        line = wall_profile(np.array([(wide, 0), (wide, tall)]), wall * 0.7)
        flip = rotation_about("x", np.pi)
        cap = Lathe(at, line, flip) if core is None else Loft(at, line, core, flip)
        put(b, "closure/cap", walled(cap, wall * 0.7))
        for _, a in around(b.n(10, 20) if b.chance(0.4) and core is None else 0):
            ridge = polar(a, wide, top - tall / 2 + place)
            box(b, "closure/cap", ridge, (0.008, tall * 0.4, 0.008), rotation_about("y", -a))
    for _, y in row(b.n(1, 3) if core is None and b.chance(0.4) else 0, top - rise * 0.7, top):
        torus(b, "bottle/thread", (0, y, 0), neck, wall * 0.5)
    if b.chance(0.6):
        low, high = h * b.u(0.1, 0.35), h * b.u(0.55, 0.9)
        ring = [(r + 0.001, low), (r * 1.02, low), (r * 1.02, high), (r + 0.001, high)]
        put(b, "label", Lathe((0, 0, 0), ring) if core is None else Loft((0, 0, 0), ring, core))


def _chest(b: Builder) -> None:
    """Trunk or toolbox: base with wall, lid on hinges, latches, handles, corner pieces, a tray inside."""
    wx, wz, h, t = b.u(0.25, 0.4), b.u(0.4, 0.7), b.u(0.2, 0.4), b.u(0.015, 0.03)
    round_ = 0.03
    hollow(b, "base/base shell", [(round_, 0), (round_, h)], t, (wx - round_, wz - round_))
    turn = rotation_about("z", b.pick([0.0, b.u(0.4, 1.9)]))
    at, depth = np.array([-wx, h + 0.01, 0]), b.u(0.05, 0.2)
    lid = wall_profile(np.array([(round_, 0), (round_, depth)]), t)
    spin = turn @ rotation_about("x", np.pi)
    top = at + turn @ [wx, depth, 0]
    put(b, "lid/lid shell", walled(Loft(top, lid, (wx - round_, wz - round_), spin), t))
    for i, z in row(b.n(1, 3), -wz, wz):
        rod(b, b.pick(["hinges", f"hinges/hinge {i}"]), at + [0, 0, z - 0.06], at + [0, 0, z + 0.06], 0.018)
        place = at + turn @ [2 * wx + 0.01, 0, z]
        box(b, b.pick(["lid/latches", f"lid/latch {i}"]), place, (0.015, 0.05, 0.035), turn)
    for side, name in SIDES if b.chance(0.6) else ():
        path = arc((-0.1, h * 0.7, side * wz), (0.1, h * 0.7, side * wz), (0, -0.03, side * 0.06))
        tube(b, b.pick(["base/handles", f"base/{name} handle"]), path, 0.015)
    if b.chance(0.4):
        hollow(b, "tray", [(0.02, 0), (0.02, 0.08)], 0.012, (wx - 0.07, wz - 0.07), center=(0, h * 0.6, 0))
    if b.chance(0.4):
        path = "base/corners"
        for sx, sz in itertools.product((-1, 1), (-1, 1)):
            ball(b, path, (sx * (wx - 0.02), 0.03, sz * (wz - 0.02)), 0.04)
    if b.chance(0.3):
        tube(b, "lid/carrier", top + arc((0, 0, -0.15), (0, 0, 0.15), (0, 0.12, 0)) @ turn.T, 0.02)
    if b.chance(0.2):
        torus(b, "padlock", at + turn @ [2 * wx + 0.03, -0.05, 0], 0.035, 0.01, rotation_to((0, 0, 1)))
