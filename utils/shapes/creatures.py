"""Creatures of random plans: spines with heads, tails and limbs. +y is up, +x is ahead."""

from __future__ import annotations

import itertools

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import ball, limb, rod, tube
from utils.shapes.elements import SIDES, arc, eyes, frame_along, horn_pair
from utils.shapes.solids import rotation_about, rotation_to, unit

UP = np.array([0, 1.0, 0])


def creature(b: Builder) -> None:
    """Any animal that never was: a curved spine, a head, any number of limbs, wings, fins, spikes, a shell."""
    upright = b.chance(0.3)
    long = b.u(0.5, 1.1)
    points = np.stack([np.linspace(-0.5, 0.5, 5) * long, b.rng.normal(0, 0.06, 5), np.zeros(5)], 1)
    if upright:
        points = points @ rotation_about("z", b.u(0.9, 1.5)).T
    spine = np.stack([np.interp(np.linspace(0, 4, 17), np.arange(5), points[:, k]) for k in range(3)], 1)
    girth = b.u(0.12, 0.28)
    widths = np.append(b.rng.uniform(0.6, 1.2, 4), b.u(0.5, 0.9))
    radius = girth * np.interp(np.linspace(0, 1, 17), np.linspace(0, 1, 5), widths)
    cuts = np.linspace(0, 16, b.n(1, 3) + 1).astype(int)
    for i, (p, q) in enumerate(itertools.pairwise(cuts)):
        tube(b, f"torso/body {i}", spine[p : q + 1], radius[p : q + 1])
    ahead, behind = unit(spine[-1] - spine[-3]), unit(spine[0] - spine[2])
    heads = 2 if b.chance(0.06) else 1
    for h in range(heads):
        group = "head" if heads == 1 else f"head {h}"
        aim = unit(ahead + UP * b.u(-0.3, 0.8) + [0, 0, (h - (heads - 1) / 2) * 1.2])
        neck = b.u(0.0, 0.5) if heads == 1 else b.u(0.25, 0.5)
        top = spine[-1] + aim * (radius[-1] * 0.6 + neck)
        size = girth * b.u(0.5, 1.1)
        if neck > 0.1:
            path = (group if heads > 1 else "neck") + f"/{group} neck"
            limb(b, path, spine[-1], top, radius[-1] * 0.8, size * 0.6)
        _head(b, group, top, aim, size)
    if b.chance(0.8):
        _tail(b, spine[0], behind, radius[0])
    pairs = b.n(0, 4)
    for i in range(pairs):
        k = int(np.clip(16 * (i + 0.5 + b.u(-0.3, 0.3)) / pairs, 0, 16))
        kind = b.pick(["leg", "leg", "leg", "arm", "fin"]) if not upright or i else b.pick(["leg", "leg", "fin"])
        limb_pair(b, spine[k], radius[k], f"{kind} {i}", kind)
    if b.chance(0.2):
        k = b.n(7, 13)
        span, slant, chord = b.u(0.4, 0.9), b.u(0.1, 1.0), b.u(0.12, 0.2)
        for side, name in SIDES:
            way = unit([-0.4, slant, side])
            root = spine[k] + [0, radius[k] * 0.6, side * radius[k] * 0.4]
            limb(b, f"{name} wing/{name} wing arm", root, root + way * span, 0.035, 0.015, softness=0.3)
            middle = root + way * span * 0.5 - [chord * 0.8, 0, 0]
            ball(b, f"{name} wing", middle, (chord, span * 0.5, 0.014), frame_along(way), softness=0.2)
    if b.chance(0.3):
        count, size = b.n(3, 9), girth * b.u(0.2, 0.5)
        for i in range(count):
            k = int(1 + 14 * i / max(count - 1, 1))
            root, way = spine[k] + UP * radius[k] * 0.9, unit(UP + behind * b.u(0, 0.6))
            ends = root - way * size * 0.3, root + way * size
            rod(b, f"spikes/spike {i}", *ends, size * 0.4, size * 0.04, softness=0.2)
    elif b.chance(0.2):
        ball(b, "shell", spine[8] + UP * girth * 0.35, (long * 0.42, girth * 1.2, girth * 1.4), softness=0.1)
    for i in range(b.n(2, 6) if b.chance(0.15) else 0):
        k = b.n(2, 14)
        angle = b.u(0.2, 2.9)
        way = np.array([0, np.sin(angle), np.cos(angle)])
        ball(b, f"warts/wart {i}", spine[k] + way * radius[k] * 0.95, girth * b.u(0.1, 0.25), softness=0.3)


def _head(b: Builder, group: str, top, aim, size: float) -> None:
    """Skull of radius `size` at the end `top` of a neck that points along `aim`, snout, jaw, eyes, horns or ears."""
    look = unit(aim * [1, 0.3, 1] + [0.8, b.u(-0.3, 0.1), 0])
    c = top + look * size * 0.5
    radii = (size * b.u(0.9, 1.4), size * b.u(0.8, 1.1), size * b.u(0.7, 1.1))
    ball(b, f"{group}/{group} skull", c, radii, rotation_about("z", float(np.arctan2(look[1], look[0]))))
    snout = size * b.u(0.2, 1.6)
    if b.chance(0.7):
        tip = c + look * (size * 0.6 + snout)
        limb(b, f"{group}/{group} snout", c + look * size * 0.5, tip, size * b.u(0.4, 0.7), size * b.u(0.2, 0.5))
    if b.chance(0.4):
        drop = unit(look - UP * b.u(0.2, 0.6))
        chin = c - UP * size * 0.35 + drop * (size * 0.7 + snout)
        limb(b, f"{group}/{group} jaw", c - UP * size * 0.3, chin, size * 0.4, size * 0.2)
    if b.chance(0.7):
        eyes(b, c + look * size * 0.5 + UP * size * 0.5, size * 0.5, size * b.u(0.12, 0.3), look, group)
    if b.chance(0.45):
        horn_pair(b, c + UP * size * 0.7 + [0, 0, size * 0.35], size * b.u(0.12, 0.25), size * b.u(0.6, 2.2), group)
    elif b.chance(0.6):
        ear = size * b.u(0.4, 1.4)
        for side, name in SIDES:
            way = unit([-0.3, b.u(0.2, 1.2), side])
            middle = c + [0, size * 0.5, side * size * 0.6] + way * ear * 0.5
            radii = (ear * 0.35, ear * 0.6, ear * 0.12)
            ball(b, f"{group}/{group} {name} ear", middle, radii, rotation_to(way), softness=0.4)


def _tail(b: Builder, root, behind, radius: float) -> None:
    """A bowed tail in one or two parts, perhaps with a club."""
    length, r = b.u(0.2, 1.2), radius * b.u(0.3, 0.8)
    tail = arc(root, root + unit(behind + UP * b.u(-0.6, 0.5)) * length, UP * length * b.u(-0.25, 0.3), 13)
    cut = b.pick([12, 12, 6])
    width = np.linspace(r, r * b.u(0.1, 0.6), 13)
    tube(b, "tail", tail[: cut + 1], width[: cut + 1])
    if cut < 12:
        tube(b, "tail/tail end", tail[cut:], width[cut:])
    if b.chance(0.25):
        ball(b, "tail/tail club", tail[-1], r * b.u(0.5, 1.2), softness=0.3)


def limb_pair(b: Builder, root, radius: float, name: str, kind: str) -> None:
    """Two mirrored limbs from a point of the spine: jointed legs or arms that end in a foot, claws or a ball; fins."""
    leg = kind == "leg"
    out, forward, length = b.u(0.15, 0.9), b.u(-0.4, 0.4), b.u(0.3, 0.85)
    thick = radius * b.u(0.2, 0.5)
    joints = b.n(1, 3)
    end = b.pick(["foot", "claws", "ball", "none", "hoof"])
    way = unit([forward, -1.0 if leg else b.u(-0.5, 0.7), out if leg else out + 0.5])
    swing = np.array([b.u(-0.5, 0.7) if leg else b.u(0.2, 1.0), -0.3 if leg else b.u(-0.3, 0.4), -0.25])
    for side, which in SIDES:
        group = f"{which} {name}"
        joint = np.asarray(root, float) + np.array([0, -0.1, side * 0.75]) * radius
        aim = way * [1, 1, side]
        if kind == "fin":
            center = joint + aim * length * 0.35
            ball(b, group, center, (length * 0.16, length * 0.45, 0.02), frame_along(aim), softness=0.4)
            continue
        r = thick
        for j in range(joints):
            tip = joint + aim * length / joints * (1.15 if j == 0 else 0.95)
            limb(b, f"{group}/{group} {j}", joint, tip, r * (1.25 if j == 0 else 1), r * 0.78)
            joint, r = tip, r * 0.78
            aim = unit(aim + swing * [1, 1, side] * 0.7)
        if end == "foot":
            ball(b, f"{group}/{group} foot", joint + [r * 0.8, -r * 0.3, 0], (r * 2.2, r * 0.8, r * 1.4), softness=0.3)
        elif end == "ball":
            ball(b, f"{group}/{group} ball", joint, r * 1.9, softness=0.3)
        elif end == "hoof":
            rod(b, f"{group}/{group} hoof", joint + [0, r, 0], joint - [0, r, 0], r * 1.1, r * 1.6, softness=0.2)
        elif end == "claws":
            for a in (-0.6, 0.0, 0.6):
                toe = joint + np.array([np.cos(a), -0.25, np.sin(a)]) * r * 3
                limb(b, f"{group}/{group} claws", joint, toe, r * 0.55, r * 0.2, softness=0.2)
