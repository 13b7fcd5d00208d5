"""Vessels and turned pieces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import around, ball, bar, box, lathe, limb, polar, rod, torus, tube
from utils.shapes.elements import SIDES, arc, random_profile
from utils.shapes.solids import rotation_to

WIDTHS = {  # least and largest radius
    "vase": (0.1, 0.4),
    "cup": (0.26, 0.34),
    "jug": (0.16, 0.34),
    "teapot": (0.2, 0.42),
    "pot": (0.34, 0.45),
}


def vessel(b: Builder) -> None:
    """Vase, cup, jug, teapot, bottle, pot: walls, foot, neck, lip, handles, spout, lid with knob, cap."""
    kind = b.pick(["vase", "cup", "jug", "teapot", "bottle", "pot", "goblet"])
    if kind == "bottle":
        return _bottle(b)
    if kind == "goblet":
        return _goblet(b)
    h = b.u(0.5, 1.1) if kind in ("vase", "jug") else b.u(0.35, 0.65)
    low, high = WIDTHS[kind]
    outer = random_profile(b, h, low, high, 14)
    if kind == "teapot":
        t = np.linspace(0, 1, 14)
        outer = np.stack([low + (high - low) * np.sin(np.pi * (0.12 + 0.76 * t)), t * h], 1)
    wall = b.u(0.02, 0.05)
    inner = np.clip(outer[::-1] - [wall, 0], 0.02, None)
    open_top = kind != "teapot" and b.chance(0.8)
    rest = [*inner[inner[:, 1] > wall], (0, wall)] if open_top else [(0, h)]
    lathe(b, "container/body", (0, 0, 0), [(0, 0), *outer, *rest], segments=b.n(20, 44))

    def radius(t: float) -> float:
        return float(np.interp(t * h, outer[:, 1], outer[:, 0]))

    if b.chance(0.5):
        root = (0, -b.u(0.03, 0.1), 0)
        rod(b, "container/foot", root, (0, 0.02, 0), radius(0) * b.u(0.8, 1.2), radius(0) * 0.95, smooth=False)
    if b.chance(0.45):
        torus(b, "container/lip", (0, h, 0), radius(1) - wall / 2, wall * b.u(0.8, 1.3))
    for i in range(b.n(0, 2)):
        level = b.u(0.1, 0.9)
        torus(b, f"container/band {i}", (0, level * h, 0), radius(level), b.u(0.012, 0.035), section=b.u(0.6, 1.6))
    _handles(b, kind, h, radius)
    if kind in ("teapot", "jug") or b.chance(0.1):
        level = b.u(0.2, 0.5)
        root = np.array([0, level * h, -radius(level) * 0.8])
        tip = np.array([0, h * b.u(0.85, 1.1), -radius(level) - b.u(0.25, 0.45)])
        if kind == "jug":
            limb(b, "container/beak", (0, h * 0.9, -radius(0.9) * 0.8), (0, h * 1.02, -radius(1) - 0.1), 0.09, 0.05)
        else:
            path = arc(root, tip, (0, -b.u(0, 0.08), -b.u(0, 0.08)), 9)
            tube(b, "spout", path, np.linspace(b.u(0.09, 0.13), b.u(0.04, 0.06), 9), softness=0.8)
            if b.chance(0.3):
                torus(b, "spout/spout tip", tip, 0.05, 0.018, rotation_to(tip - root))
    if (kind in ("teapot", "pot") and b.chance(0.85)) or b.chance(0.12):
        r, dome = radius(1), b.u(0.03, 0.14)
        profile = [(0, 0), (r * 1.03, 0), (r * 1.03, 0.03), (r * 0.6, 0.03 + dome * 0.7), (0, 0.03 + dome)]
        lathe(b, "lid", (0, h - 0.01, 0), profile, segments=32, smooth=False)
        if b.chance(0.7):
            ball(b, "lid/knob", (0, h + dome + 0.06, 0), b.rng.uniform(0.03, 0.07, 3), smooth=False)
        else:
            torus(b, "lid/knob", (0, h + dome + 0.07, 0), 0.05, 0.02, rotation_to((1, 0, 0)), smooth=False)


def _handles(b: Builder, kind: str, h: float, radius: Callable[[float], float]) -> None:
    """Handles of a vessel of height `h`; `radius` gives its radius at a share of the height."""
    count = {"cup": 1, "jug": 1, "teapot": 1, "pot": 2, "vase": b.pick([0, 0, 1, 2])}[kind]
    thick = b.u(0.025, 0.05)
    if kind == "pot" and b.chance(0.4):
        root = (0, h * 0.8, radius(0.8) * 0.9)
        bar(b, "handle", root, (0, h * 0.9, radius(0.8) + b.u(0.4, 0.8)), thick * 1.2, b.chance(0.4))
        return
    for i, side in enumerate((1, -1)[:count]):
        low, high = (b.u(0.1, 0.35), b.u(0.65, 0.92)) if kind != "pot" else (b.u(0.6, 0.7), b.u(0.72, 0.85))
        p = np.array([0, low * h, side * radius(low) * 0.97])
        q = np.array([0, high * h, side * radius(high) * 0.97])
        a = np.linspace(0, np.pi, 11)[:, None]
        bulge = b.u(0.15, 0.35) if kind != "pot" else b.u(0.07, 0.15)
        out = np.sin(a) ** 0.7 * [0, b.u(-0.05, 0.1), side * bulge]
        path = p * (1 + np.cos(a)) / 2 + q * (1 - np.cos(a)) / 2 + out
        if kind == "pot":
            z = side * (radius(0.75) * 0.95 + np.sin(a) * bulge)
            path = np.hstack([np.cos(a) * 0.16, np.full_like(a, h * 0.75), z])
        tube(b, f"handle {i}", path, thick, flat=b.u(0.5, 1), normal=(1, 0, 0), softness=0.5)
        if b.chance(0.2):
            ball(b, f"handle {i}/thumb rest {i}", path[7], thick * 1.5)


def _bottle(b: Builder) -> None:
    """Body with shoulder, neck, label, cap, collar, pump."""
    r, h = b.u(0.16, 0.3), b.u(0.4, 0.8)
    nr, nh = r * b.u(0.25, 0.55), b.u(0.15, 0.4)
    shoulder = b.u(0.05, 0.2)
    squash = 1 if b.chance(0.75) else b.u(0.45, 0.8)
    slope = [(r * 0.8 + nr * 0.2, h + shoulder * 0.6), (nr, h + shoulder), (0, h + shoulder)]
    lathe(b, "container/body", (0, 0, 0), [(0, 0), (r * 0.92, 0), (r, 0.04), (r, h), *slope], squash=squash)
    rod(b, "container/neck", (0, h, 0), (0, h + shoulder + nh, 0), nr)
    if b.chance(0.6):
        label = [(0, h * 0.3), (r * 1.02, h * 0.3), (r * 1.02, h * b.u(0.6, 0.9)), (0, h * 0.9)]
        lathe(b, "container/label", (0, 0, 0), label, squash=squash)
    top = h + shoulder + nh
    if b.chance(0.85):
        ends = (0, top - 0.03, 0), (0, top + b.u(0.05, 0.12), 0)
        rod(b, "closure/cap", *ends, nr * b.u(1.1, 1.5), nr * b.u(0.9, 1.4), 0.1)
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
    for i in range(count):
        h = b.u(0.08, 0.35)
        group = "lower half" if i <= count // 2 else "upper half"
        form = b.pick(["drum", "ball", "waist", "curve", "cone", "disc"])
        end = float(np.clip(r * b.u(0.5, 1.4), 0.06, 0.4))
        path = f"{group}/band {i} {form}"
        if form == "ball":
            ball(b, path, (0, y + h * 0.5, 0), (r, h * 0.6, r * squash))
            end = r * b.u(0.4, 0.8)
        elif form == "disc":
            h = b.u(0.03, 0.07)
            disc = [(0, 0), (r * 1.25, 0), (r * 1.25, h), (0, h)]
            lathe(b, path, (0, y - 0.005, 0), disc, squash=squash, segments=segments)
        else:
            t = np.linspace(0, 1, 9)
            swell = {"waist": -0.45, "curve": 0.35}.get(form, 0.0)
            line = (r + (end - r) * t) * (1 + swell * slim * np.sin(np.pi * t))
            band = [(0, 0), *zip(line, t * (h + 0.01)), (0, h + 0.01)]
            lathe(b, path, (0, y - 0.005, 0), band, squash=squash, segments=segments)
        if b.chance(0.3):
            torus(b, f"{group}/ring {i}", (0, y + h, 0), max(end, 0.05), b.u(0.012, 0.035), section=b.u(0.6, 1.4))
        y, r = y + h, max(end, 0.05)
    _finish(b, np.array([0, y, 0]), r, segments)
    for k in range(b.n(1, 3) if b.chance(0.25) else 0):
        side = -1 if k else 1
        middle, z = y * b.u(0.3, 0.8), side * r * 0.6
        path = arc((0, middle - 0.12, z), (0, middle + 0.12, z), (0, 0, side * b.u(0.15, 0.35)), 9)
        tube(b, f"handle {k}", path, b.u(0.02, 0.035))


def _finish(b: Builder, top: np.ndarray, r: float, segments: int) -> None:
    """What stands on a turned piece of radius `r` at its top."""
    finish = b.pick(["ball", "cross", "crown", "point", "ring", "none", "horse"])
    if finish == "ball":
        ball(b, "top/finial", top + [0, 0.04, 0], b.u(0.04, 0.12))
    elif finish == "cross":
        box(b, "top/cross post", top + [0, 0.09, 0], (0.025, 0.12, 0.025))
        box(b, "top/cross bar", top + [0, 0.12, 0], (0.025, 0.025, 0.09))
    elif finish == "crown":
        for k, a in around(b.n(4, 7)):
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
