"""Vessels and turned pieces."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import around, ball, bar, box, lathe, limb, polar, rod, torus, tube
from utils.shapes.elements import SIDES, arc, random_profile
from utils.shapes.solids import rotation_to


def vessel(b: Builder) -> None:
    """Vase, cup, jug, teapot, bottle, pot: walls, foot, neck, lip, handles, spout, lid with knob, cap."""
    kind = b.pick(["vase", "cup", "jug", "teapot", "bottle", "pot", "goblet"])
    if kind == "bottle":
        return _bottle(b)
    if kind == "goblet":
        return _goblet(b)
    h = b.u(0.5, 1.1) if kind in ("vase", "jug") else b.u(0.35, 0.65)
    low, high = {
        "vase": (0.1, 0.4),
        "cup": (0.26, 0.34),
        "jug": (0.16, 0.34),
        "teapot": (0.2, 0.42),
        "pot": (0.34, 0.45),
    }[kind]
    outer = random_profile(b, h, low, high, 14)
    if kind == "teapot":
        t = np.linspace(0, 1, 14)
        outer = np.stack([low + (high - low) * np.sin(np.pi * (0.12 + 0.76 * t)), t * h], 1)
    wall = b.u(0.02, 0.05)
    inner = np.clip(outer[::-1] - [wall, 0], 0.02, None)
    inner = inner[inner[:, 1] > wall]
    opened = kind != "teapot" and b.chance(0.8)
    profile = (
        np.concatenate([[(0, 0)], outer, inner, [(0, wall)]]) if opened else np.concatenate([[(0, 0)], outer, [(0, h)]])
    )
    lathe(b, "container/body", (0, 0, 0), profile, segments=b.n(20, 44))

    def radius(t):
        return float(np.interp(t * h, outer[:, 1], outer[:, 0]))

    if b.chance(0.5):
        root = (0, -b.u(0.03, 0.1), 0)
        rod(b, "container/foot", root, (0, 0.02, 0), radius(0) * b.u(0.8, 1.2), radius(0) * 0.95, smooth=False)
    if b.chance(0.45):
        torus(b, "container/lip", (0, h, 0), radius(1) - wall / 2, wall * b.u(0.8, 1.3))
    for _ in range(b.n(0, 2)):
        level = b.u(0.1, 0.9)
        torus(b, f"container/band {_}", (0, level * h, 0), radius(level), b.u(0.012, 0.035), section=b.u(0.6, 1.6))
    handles = {"cup": 1, "jug": 1, "teapot": 1, "pot": 2, "vase": b.pick([0, 0, 1, 2])}[kind]
    thick = b.u(0.025, 0.05)
    if kind == "pot" and b.chance(0.4):
        root = (0, h * 0.8, radius(0.8) * 0.9)
        bar(b, "handle", root, (0, h * 0.9, radius(0.8) + b.u(0.4, 0.8)), thick * 1.2, b.chance(0.4))
        handles = 0
    for i in range(handles):
        side = 1 if i == 0 else -1
        low_t, high_t = (b.u(0.1, 0.35), b.u(0.65, 0.92)) if kind != "pot" else (b.u(0.6, 0.7), b.u(0.72, 0.85))
        p = np.array([0, low_t * h, side * radius(low_t) * 0.97])
        q = np.array([0, high_t * h, side * radius(high_t) * 0.97])
        a = np.linspace(0, np.pi, 11)[:, None]
        bulge = b.u(0.15, 0.35) if kind != "pot" else b.u(0.07, 0.15)
        points = (
            p * (1 + np.cos(a)) / 2 + q * (1 - np.cos(a)) / 2 + np.sin(a) ** 0.7 * [0, b.u(-0.05, 0.1), side * bulge]
        )
        if kind == "pot":
            points = np.stack(
                [
                    np.array([np.cos(t) * 0.16, h * 0.75, side * (radius(0.75) * 0.95 + np.sin(t) * bulge)])
                    for t in a[:, 0]
                ]
            )
        tube(b, f"handle {i}", points, thick, flat=b.u(0.5, 1), normal=(1, 0, 0), softness=0.5)
        if b.chance(0.2):
            ball(b, f"handle {i}/thumb rest {i}", points[7], thick * 1.5)
    if kind in ("teapot", "jug") or b.chance(0.1):
        level = b.u(0.2, 0.5)
        start = np.array([0, level * h, -radius(level) * 0.8])
        end = np.array([0, h * b.u(0.85, 1.1), -radius(level) - b.u(0.25, 0.45)])
        if kind == "jug":
            limb(b, "container/beak", (0, h * 0.9, -radius(0.9) * 0.8), (0, h * 1.02, -radius(1) - 0.1), 0.09, 0.05)
        else:
            curve = arc(start, end, (0, -b.u(0, 0.08), -b.u(0, 0.08)), 9)
            tube(b, "spout", curve, np.linspace(b.u(0.09, 0.13), b.u(0.04, 0.06), 9), softness=0.8)
            if b.chance(0.3):
                torus(b, "spout/spout tip", end, 0.05, 0.018, rotation_to(end - start))
    if (kind in ("teapot", "pot") and b.chance(0.85)) or b.chance(0.12):
        r = radius(1)
        dome = b.u(0.03, 0.14)
        curve = [(0, 0), (r * 1.03, 0), (r * 1.03, 0.03), (r * 0.6, 0.03 + dome * 0.7), (0, 0.03 + dome)]
        lathe(b, "lid", (0, h - 0.01, 0), curve, segments=32, smooth=False)
        if b.chance(0.7):
            ball(b, "lid/knob", (0, h + dome + 0.06, 0), b.rng.uniform(0.03, 0.07, 3), smooth=False)
        else:
            torus(b, "lid/knob", (0, h + dome + 0.07, 0), 0.05, 0.02, rotation_to((1, 0, 0)), smooth=False)


def _bottle(b: Builder) -> None:
    """Body with shoulder, neck, label, cap, collar, pump."""
    r, h = b.u(0.16, 0.3), b.u(0.4, 0.8)
    nr, nh = r * b.u(0.25, 0.55), b.u(0.15, 0.4)
    shoulder = b.u(0.05, 0.2)
    squash = 1 if b.chance(0.75) else b.u(0.45, 0.8)
    profile = [
        (0, 0),
        (r * 0.92, 0),
        (r, 0.04),
        (r, h),
        (r * 0.8 + nr * 0.2, h + shoulder * 0.6),
        (nr, h + shoulder),
        (0, h + shoulder),
    ]
    lathe(b, "container/body", (0, 0, 0), profile, squash=squash)
    rod(b, "container/neck", (0, h, 0), (0, h + shoulder + nh, 0), nr)
    if b.chance(0.6):
        profile = [(0, h * 0.3), (r * 1.02, h * 0.3), (r * 1.02, h * b.u(0.6, 0.9)), (0, h * 0.9)]
        lathe(b, "container/label", (0, 0, 0), profile, squash=squash)
    top = h + shoulder + nh
    if b.chance(0.85):
        start = (0, top - 0.03, 0)
        rod(b, "closure/cap", start, (0, top + b.u(0.05, 0.12), 0), nr * b.u(1.1, 1.5), nr * b.u(0.9, 1.4), 0.1)
    if b.chance(0.5):
        torus(b, "closure/collar", (0, top - nh * 0.5, 0), nr, nr * 0.2)
    if b.chance(0.2):
        rod(b, "closure/pump", (0, top, 0), (0, top + 0.2, 0), nr * 0.3)
        limb(b, "closure/nozzle", (0, top + 0.2, 0), (nr * 2, top + 0.17, 0), nr * 0.4, nr * 0.3)


def _goblet(b: Builder) -> None:
    """Foot, stem, knop, bowl."""
    r = b.u(0.2, 0.34)
    lathe(b, "stand/foot", (0, 0, 0), [(0, 0), (r, 0), (r, 0.02), (r * 0.15, 0.08), (0, 0.09)])
    rod(b, "stand/stem", (0, 0.02, 0), (0, 0.42, 0), r * 0.12)
    if b.chance(0.6):
        ball(b, "stand/knop", (0, b.u(0.15, 0.35), 0), (r * 0.25, r * 0.2, r * 0.25))
    outer = np.array([(0.04, 0), (r * 0.8, 0.1), (r, 0.25), (r * b.u(0.75, 1), b.u(0.35, 0.6))])
    lathe(b, "bowl", (0, 0.4, 0), np.concatenate([[(0, 0)], outer, outer[:0:-1] - [0.03, 0], [(0, 0.05)]]))


def turned(b: Builder) -> None:
    """Turned on a lathe in bands: chessmen, balusters, finials, tops, bells; round, oval or faceted."""
    count = b.n(3, 7)
    segments = b.pick([32, 32, 32, 6, 8, 4])
    squash = b.pick([1, 1, 1, b.u(0.5, 0.8)])
    y, r = 0.0, b.u(0.15, 0.35)
    slim = b.u(0.3, 1)
    half = count // 2
    for i in range(count):
        h = b.u(0.08, 0.35)
        group = "lower half" if i <= half else "upper half"
        form = b.pick(["drum", "ball", "waist", "curve", "cone", "disc"])
        end = float(np.clip(r * b.u(0.5, 1.4), 0.06, 0.4))
        name = f"band {i} {form}"
        if form == "ball":
            ball(b, f"{group}/{name}", (0, y + h * 0.5, 0), (r, h * 0.6, r * squash))
            end = r * b.u(0.4, 0.8)
        elif form == "disc":
            h = b.u(0.03, 0.07)
            profile = [(0, 0), (r * 1.25, 0), (r * 1.25, h), (0, h)]
            lathe(b, f"{group}/{name}", (0, y - 0.005, 0), profile, squash=squash, segments=segments)
        else:
            t = np.linspace(0, 1, 9)
            line = r + (end - r) * t
            if form == "waist":
                line = line * (1 - 0.45 * slim * np.sin(np.pi * t))
            elif form == "curve":
                line = line * (1 + 0.35 * slim * np.sin(np.pi * t))
            profile = [(0, 0), *zip(line, t * (h + 0.01)), (0, h + 0.01)]
            lathe(b, f"{group}/{name}", (0, y - 0.005, 0), profile, squash=squash, segments=segments)
        if b.chance(0.3):
            torus(b, f"{group}/ring {i}", (0, y + h, 0), max(end, 0.05), b.u(0.012, 0.035), section=b.u(0.6, 1.4))
        y, r = y + h * (1 if form != "ball" else 1.0), max(end, 0.05)
    finish = b.pick(["ball", "cross", "crown", "point", "ring", "none", "horse"])
    top = np.array([0, y, 0])
    if finish == "ball":
        ball(b, "top/finial", top + [0, 0.04, 0], b.u(0.04, 0.12))
    elif finish == "cross":
        box(b, "top/cross post", top + [0, 0.09, 0], (0.025, 0.12, 0.025))
        box(b, "top/cross bar", top + [0, 0.12, 0], (0.025, 0.025, 0.09))
    elif finish == "crown":
        n = b.n(4, 7)
        for k, a in around(n):
            p = top + polar(a, r * 0.85)
            rod(b, f"top/spike {k}", p - [0, 0.03, 0], p + [0, b.u(0.06, 0.14), 0], 0.035, 0.008)
    elif finish == "point":
        rod(b, "top/spire", top, top + [0, b.u(0.15, 0.5), 0], r, 0.01, segments=segments)
    elif finish == "ring":
        torus(b, "top/eye ring", top + [0, 0.1, 0], 0.09, 0.025, rotation_to((0, 0, 1)))
    elif finish == "horse":
        tube(b, "top/neck", arc(top - [0, 0.05, 0], top + [0.05, 0.35, 0], (-0.1, 0, 0)), np.linspace(0.13, 0.09, 7))
        limb(b, "top/muzzle", top + [0.05, 0.35, 0], top + [0.24, 0.26, 0], 0.09, 0.055)
        for side, name in SIDES:
            rod(b, f"top/{name} ear", top + [0, 0.4, side * 0.04], top + [-0.02, 0.5, side * 0.05], 0.03, 0.005)
    if b.chance(0.25):
        for k in range(b.n(1, 3)):
            side = -1 if k else 1
            height = y * b.u(0.3, 0.8)
            points = arc(
                (0, height - 0.12, side * r * 0.6),
                (0, height + 0.12, side * r * 0.6),
                (0, 0, side * b.u(0.15, 0.35)),
                9,
            )
            tube(b, f"handle {k}", points, b.u(0.02, 0.035))
