"""Tools and long things with small parts."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import around, ball, bar, box, cushion, lathe, limb, polar, prism, rod, span, torus, tube
from utils.shapes.elements import SIDES, arc, circle, random_profile, rounded_rectangle
from utils.shapes.solids import rotation_about, rotation_to


def hammer_like(b: Builder) -> None:
    """Hammer, axe, mallet, pick: a handle with grip and pommel, a head with face, cheek, claw or blade."""
    r, grip, flat = b.u(0.035, 0.07), b.u(0.3, 0.5), b.u(0.6, 1)
    profile = [(0, 0), (r, 0), (r * 0.85, 0.6), (r * 0.8, 1.25), (0, 1.25)]
    lathe(b, "handle", (0, -0.6, 0), profile, squash=flat, segments=20)
    if b.chance(0.75):
        profile = [(0, 0), (r * 1.3, 0.02), (r * 1.5, 0.1), (r * 1.25, grip * 0.5), (r * 1.4, grip), (0, grip)]
        lathe(b, "handle/grip", (0, -0.66, 0), profile, squash=flat, segments=20)
    if b.chance(0.4):
        ball(b, "handle/pommel", (0, -0.66, 0), (r * 1.7, r * 1.1, r * 1.7 * flat))
    if b.chance(0.4):
        rod(b, "handle/ferrule", (0, 0.42, 0), (0, 0.5, 0), r * 1.15)
    y, hr = 0.58, b.u(0.07, 0.13)
    box(b, "head/cheek", (0, y, 0), (0.11, hr, hr * 0.8), rounding=hr * 0.25)
    front = b.pick(["face", "face", "blade", "pick"])
    for s, end in ((1, front), (-1, b.pick(["face", "claw", "blade", "pick", "ball", "none"]))):
        if end == "face":
            rod(b, f"head/neck {s}", (s * 0.08, y, 0), (s * 0.22, y, 0), hr * 0.75, hr * 0.65)
            rod(b, f"head/face {s}", (s * 0.2, y, 0), (s * b.u(0.3, 0.4), y, 0), hr * 1.0, hr * 1.05, 0.12)
        elif end == "ball":
            ball(b, "head/ball", (s * 0.2, y, 0), hr * 1.1)
        elif end == "pick":
            spike = arc((s * 0.08, y, 0), (s * 0.6, y - 0.12, 0), (0, 0.07, 0))
            tube(b, f"head/pick {s}", spike, np.linspace(hr * 0.8, 0.012, 7))
        elif end == "blade":
            low = [(0.05, -hr * 0.6), (0.25, -hr * 1.6), (0.38, -hr * 2.3)]
            outline = np.array([*low, (0.43, 0), (0.38, hr * 2), (0.2, hr * 1.1), (0.05, hr * 0.6)])
            prism(b, f"head/blade {s}", (0, y, 0), outline * [s, 1], hr * 0.3)
        elif end == "claw":
            for side, name in SIDES:
                root, tip = (s * 0.07, y + 0.01, side * hr * 0.35), (s * 0.38, y - 0.1, side * hr * 0.75)
                width = np.linspace(hr * 0.5, hr * 0.22, 9)
                tube(b, f"claw/{name} prong", arc(root, tip, (0, 0.06, 0), 9), width, flat=0.7, normal=(0, 0, 1))


def pivot_tool(b: Builder) -> None:
    """Scissors, pliers, compasses, clippers: two crossing levers, a pivot, handles or finger rings."""
    opening = b.u(0.05, 0.5)
    kind = b.pick(["scissors", "pliers", "compass"])
    thick = b.u(0.025, 0.05)
    for side, name in SIDES:
        spin = rotation_about("z", side * opening / 2)
        path, z = f"{name} lever/{name}", side * thick * (0.8 if kind == "scissors" else 0.3)

        def place(x, y, spin=spin, z=z):
            return spin @ np.array([x, y, z])

        if kind == "scissors":
            blade = np.array([(-0.06, 0), (0.05, -0.02), (0.075, 0.3), (0.01, b.u(0.7, 1.0)), (-0.02, 0.6)]) * [side, 1]
            prism(b, f"{path} blade", (0, 0, z), blade @ spin[:2, :2].T, thick * 0.7)
            shank = np.stack([place(0, 0.05), place(-side * 0.05, -0.2), place(-side * 0.14, -0.42)])
            tube(b, f"{path} shank", shank, [0.05, 0.04, 0.035], flat=0.7, normal=(0, 0, 1))
            r = b.u(0.11, 0.17)
            middle, turn = place(-side * 0.16, -0.42 - r), spin @ rotation_about("x", np.pi / 2)
            torus(b, f"{path} finger ring", middle, r, b.u(0.025, 0.045), turn)
        elif kind == "pliers":
            bend = [(side * 0.01, 0.0), (side * 0.1, 0.14), (side * 0.05, 0.32), (side * 0.015, b.u(0.45, 0.6))]
            jaw = np.stack([place(*point) for point in bend])
            tube(b, f"jaws/{name} jaw", jaw, [0.07, 0.07, 0.05, 0.03], flat=0.7, normal=(0, 0, 1))
            bow = spin @ np.array([-side * b.u(0.03, 0.12), 0, 0])
            handle = arc(place(0, -0.05), place(-side * 0.12, -0.95), bow, 9)
            tube(b, f"{name} handle/{name} shank", handle[:4], 0.04)
            tube(b, f"{name} handle/{name} grip", handle[3:], b.u(0.05, 0.065))
        else:
            bar(b, f"{path} leg", place(0, 0), place(0, -0.8), 0.04, b.chance(0.5), 0.04)
            rod(b, f"{path} point", place(0, -0.75), place(0, -1.0), 0.03, 0.004)
    rod(b, "pivot", (0, 0, -thick * 2.4), (0, 0, thick * 2.4), b.u(0.04, 0.075), bevel=0.2)
    if kind == "compass":
        rod(b, "pivot/grip", (0, 0, 0), (0, 0.25, 0), 0.035, 0.045)
    if b.chance(0.3):
        ball(b, "pivot/screw", (0, 0, thick * 2.4), (0.035, 0.035, 0.02))


def hand_tool(b: Builder) -> None:
    """Screwdriver, wrench, saw, shovel, brush, knife, spoon: a handle and a working end."""
    kind = b.pick(["screwdriver", "wrench", "saw", "shovel", "brush", "knife", "spoon", "drill"])
    r = b.u(0.045, 0.075)
    if kind == "wrench":
        return _wrench(b)
    if kind == "drill":
        return _drill(b)
    squash = b.u(0.6, 1)
    waves = b.u(0, 0.2)
    t = np.linspace(0, 1, 9)
    radius = r * (1 + waves * np.sin(t * b.u(4, 12) + b.u(0, 6)))
    lathe(b, "handle", (0, -0.6, 0), [(0, 0), *zip(radius, 0.55 * t), (0, 0.55)], squash=squash, segments=20)
    if b.chance(0.5):
        ball(b, "handle/end cap", (0, -0.6, 0), (r * 1.1, r * 0.7, r * 1.1 * squash))
    if b.chance(0.6):
        rod(b, "handle/collar", (0, -0.07, 0), (0, 0.03, 0), r * 1.0, r * 0.6)
    if kind == "screwdriver":
        rod(b, "blade/shaft", (0, -0.05, 0), (0, 0.6, 0), 0.022, 0.022)
        box(b, "blade/tip", (0, 0.63, 0), (0.035, 0.06, 0.012))
    elif kind == "saw":
        teeth = b.n(8, 16)
        x = np.linspace(0.0, 0.95, 2 * teeth + 1)
        low = np.stack([np.where(np.arange(2 * teeth + 1) % 2, -0.0, -0.04) - 0.08, x], 1)
        prism(b, "blade", (0, 0, 0), np.concatenate([low, [(0.05, 0.95), (0.13, 0)]]), 0.012)
        tube(b, "blade/spine", np.array([(0.13, 0, 0), (0.05, 0.95, 0)]), 0.022)
    elif kind == "shovel":
        rod(b, "handle/shaft", (0, -0.1, 0), (0, 0.5, 0), r * 0.6)
        scale = b.u(0.16, 0.26)
        cushion(b, "blade", (0, 0.72, 0), (scale, 0.28, 0.03), 0.8, 0.6)
        rod(b, "blade/socket", (0, 0.4, 0), (0, 0.55, 0), r * 0.8, r * 0.5)
    elif kind == "brush":
        w = b.u(0.1, 0.2)
        box(b, "head/ferrule", (0, 0.1, 0), (w, 0.1, 0.05))
        box(b, "head/bristles", (0, 0.35, 0), (w * 0.95, 0.17, 0.045), taper=b.u(0.7, 1.1))
    elif kind == "knife":
        blade = np.array([(-0.06, 0), (0.05, 0), (0.06, 0.5), (0.02, 0.8), (-0.05, 0.95)])
        prism(b, "blade", (0, 0, 0), blade, 0.012)
        box(b, "handle/guard", (0, 0, 0), (b.u(0.08, 0.2), 0.02, 0.05), rounding=0.01)
        for i in range(b.n(0, 3)):
            rod(b, f"handle/rivet {i}", *span(0, -0.5 + 0.15 * i, (-r * squash * 1.2, r * squash * 1.2)), 0.016)
    else:
        limb(b, "bowl/stem", (0, -0.1, 0), (0, 0.4, 0), 0.025, 0.02)
        if b.chance(0.6):
            ball(b, "bowl", (0, 0.55, 0), (b.u(0.1, 0.16), 0.2, 0.035))
        else:
            cushion(b, "bowl/root", (0, 0.46, 0), (0.09, 0.1, 0.02), 0.6, 0.6)
            for i in range(4):
                limb(b, f"tines/tine {i}", ((i - 1.5) * 0.045, 0.5, 0), ((i - 1.5) * 0.045, 0.82, 0.02), 0.014, 0.008)


def _wrench(b: Builder) -> None:
    """Shank with an open jaw and a ring."""
    w, t = b.u(0.05, 0.08), b.u(0.03, 0.05)
    box(b, "shank", (0, 0, 0), (w, 0.6, t * 0.7), rounding=t * 0.3)
    jaw = circle(b.u(0.15, 0.2), 22, start=np.pi / 2 + 0.45)[:-3]
    mouth = np.array([(jaw[-1] * 0.25), jaw[0] * 0.25])
    prism(b, "open end/open jaw", (0, 0.7, 0), np.concatenate([jaw, mouth]), t)
    if b.chance(0.7):
        prism(b, "ring end/ring jaw", (0, -0.68, 0), circle(0.15), t, holes=[circle(0.085, 6)])
    if b.chance(0.3):
        rod(b, "open end/worm", (w * 1.2, 0.5, 0), (w * 1.2, 0.62, 0), 0.05)


def _drill(b: Builder) -> None:
    """Motor, gear case, chuck, bit, grip, trigger, battery."""
    rod(b, "body/motor", (-0.35, 0.2, 0), (0.2, 0.2, 0), 0.16, 0.15, 0.15)
    rod(b, "body/gear case", (0.18, 0.2, 0), (0.36, 0.2, 0), 0.13, 0.08, 0.1)
    rod(b, "bit/chuck", (0.34, 0.2, 0), (0.48, 0.2, 0), 0.065, 0.045)
    rod(b, "bit", (0.46, 0.2, 0), (0.85, 0.2, 0), 0.018, 0.015)
    cushion(b, "handle/grip", (-0.15, -0.15, 0), (0.1, 0.3, 0.075), 0.5, 0.6, rotation_about("z", -0.15))
    box(b, "handle/trigger", (-0.02, 0.0, 0), (0.04, 0.07, 0.03), rounding=0.02)
    if b.chance(0.7):
        box(b, "battery", (-0.17, -0.47, 0), (0.17, 0.07, 0.1), rounding=0.02)


def glasses(b: Builder) -> None:
    """Spectacles: rims, lenses, bridge, temples with hinges and tips, nose pads."""
    r, gap, wire = b.u(0.2, 0.3), b.u(0.06, 0.12), b.u(0.015, 0.045)
    square, lens, bow = b.chance(0.5), b.chance(0.5), b.u(0.6, 1.0)
    for side, name in SIDES:
        c = np.array([0, 0, side * (r + gap)])
        outline = rounded_rectangle(r, r * bow * 0.8, r * b.u(0.2, 0.6), 5) if square else circle(r, 24) * [1, bow]
        closed = np.concatenate([outline, outline[:1]])
        tube(b, f"front/{name} rim", np.c_[np.zeros(len(closed)), closed[:, ::-1]] + c, wire, sides=8)
        if lens:
            prism(b, f"front/{name} lens", c, outline, wire * 0.3, rotation_about("y", -np.pi / 2))
        hinge = c + [0, r * bow * 0.3, side * r]
        path = f"{name} temple/{name}"
        back = hinge + [-b.u(0.7, 0.95), -0.02, b.u(-0.08, 0.05) * side]
        box(b, f"{path} hinge", hinge, (wire * 1.8, wire * 1.6, wire * 1.6))
        tube(b, f"{path} arm", np.stack([hinge, (hinge + back) / 2, back]), wire * 0.9, flat=0.6, normal=(0, 0, 1))
        tube(b, f"{path} tip", arc(back, back + [-0.2, -0.18, -0.03 * side], (0, 0.05, 0)), wire * b.u(1, 1.4))
        if b.chance(0.4):
            ball(b, f"front/{name} nose pad", (-0.05, -0.05, side * gap * 0.7), (0.02, 0.05, 0.015))
    tube(b, "front/bridge", arc((0, r * 0.2, -gap * 1.1), (0, r * 0.2, gap * 1.1), (0, b.u(0, 0.08), 0)), wire)
    if b.chance(0.2):
        rod(b, "front/brow bar", (0, r * 0.6, -gap - r * 0.4), (0, r * 0.6, gap + r * 0.4), wire * 0.8)


def instrument(b: Builder) -> None:
    """Guitar, violin, candelabrum, trophy, key, umbrella, telescope, robot arm: long things with small parts."""
    b.pick([_guitar, _candelabrum, _key, _umbrella, _telescope, _robot_arm, _dumbbell])(b)


def _guitar(b: Builder) -> None:
    """Body with sound ring and bridge, neck, pegs."""
    w, t = b.u(0.25, 0.36), b.u(0.05, 0.1)
    a = np.linspace(0, 2 * np.pi, 41)[:-1]
    waist = 1 - b.u(0.15, 0.35) * np.exp(-(((np.sin(a)) / 0.4) ** 2)) * 1.0
    prism(b, "body", (0, -0.35, 0), np.stack([np.cos(a) * w * waist, np.sin(a) * 0.42 - 0.1], 1), t, bevel=0.02)
    box(b, "neck", (0, 0.4, t * 0.5), (0.04, 0.5, 0.025))
    box(b, "neck/head", (0, 0.98, t * 0.4), (0.07, 0.12, 0.02), rounding=0.01)
    box(b, "body/bridge", (0, -0.6, t), (0.12, 0.025, 0.02))
    torus(b, "body/sound ring", (0, -0.3, t), 0.09, 0.015, rotation_to((0, 0, 1)))
    for i in range(6):
        s = -1 if i < 3 else 1
        y = 0.91 + 0.07 * (i % 3)
        rod(b, f"pegs/peg {i}", (s * 0.05, y, t * 0.4), (s * 0.13, y, t * 0.4), 0.012)
        ball(b, f"pegs/peg {i} knob", (s * 0.14, y, t * 0.4), (0.022, 0.026, 0.012))


def _candelabrum(b: Builder) -> None:
    """Foot, column, arms with candles."""
    lathe(b, "stand/foot", (0, -0.7, 0), [(0, 0), (0.3, 0), (0.28, 0.05), (0.06, 0.12), (0, 0.14)])
    profile = random_profile(b, 0.9, 0.03, 0.1, 15)
    lathe(b, "stand/column", (0, -0.62, 0), np.concatenate([[(0, 0)], profile, [(0, 0.9)]]), segments=20)
    arms = b.n(2, 6)
    tops = [np.array([0, 0.28, 0])]
    for i, a in around(arms):
        end = polar(a, 0.45, 0.25)
        tube(b, f"branch {i}/arm {i}", arc((0, 0.05, 0), end, (0, -0.2, 0), 9), 0.028)
        tops.append(end)
    for i, p in enumerate(tops):
        g = f"branch {i - 1}" if i else "centre"
        lathe(b, f"{g}/cup {i}", p, [(0, 0), (0.04, 0), (0.08, 0.06), (0.07, 0.08), (0, 0.08)], segments=16)
        rod(b, f"{g}/candle {i}", p + [0, 0.05, 0], p + [0, b.u(0.25, 0.4), 0], 0.032)
        ball(b, f"{g}/flame {i}", p + [0, 0.42, 0], (0.02, 0.05, 0.02))


def _key(b: Builder) -> None:
    """Shaft with bits and a ring."""
    rod(b, "shaft", (0, -0.6, 0), (0, 0.4, 0), b.u(0.035, 0.06))
    r = b.u(0.16, 0.26)
    torus(b, "bow", (0, 0.4 + r, 0), r, b.u(0.03, 0.06), rotation_to((0, 0, 1)))
    if b.chance(0.5):
        torus(b, "shaft/collar", (0, 0.33, 0), 0.06, 0.03)
    for i in range(b.n(1, 4)):
        box(b, f"bit/bit {i}", (0.1, -0.55 + 0.11 * i, 0), (b.u(0.06, 0.13), 0.035, 0.02))


def _umbrella(b: Builder) -> None:
    """Canopy on a stick with a crook."""
    r, h = b.u(0.6, 0.85), b.u(0.25, 0.45)
    n = b.n(6, 10)
    a = np.linspace(0, np.pi / 2, 8)
    outer = np.stack([r * np.sin(a), 0.5 + h * np.cos(a) - h], 1)[::-1]
    lathe(b, "canopy", (0, 0.2, 0), np.concatenate([outer, (outer - [0.02, 0.025])[:-1][::-1].clip(0)]), segments=n)
    rod(b, "canopy/ferrule", (0, 0.68, 0), (0, 0.82, 0), 0.02, 0.012)
    rod(b, "stick/pole", (0, -0.75, 0), (0, 0.7, 0), 0.018)
    points = np.stack([[0.1 - 0.1 * np.cos(t), -0.75 - 0.12 * np.sin(t), 0] for t in np.linspace(0, np.pi * 1.1, 9)])
    tube(b, "stick/handle", points, 0.032)
    rod(b, "stick/runner", (0, 0.15, 0), (0, 0.22, 0), 0.035)


def _telescope(b: Builder) -> None:
    """Tubes and rings on a tripod."""
    x, r = -0.7, b.u(0.09, 0.12)
    for i in range(b.n(2, 4)):
        reach = b.u(0.3, 0.5)
        rod(b, f"tube/tube {i}", (x, 0.2, 0), (x + reach, 0.2, 0), r)
        rod(b, f"tube/ring {i}", (x + reach - 0.04, 0.2, 0), (x + reach + 0.02, 0.2, 0), r * 1.25)
        x, r = x + reach, r * 1.2
    rod(b, "tube/eyepiece", (-0.8, 0.2, 0), (-0.68, 0.2, 0), 0.06, 0.05)
    ball(b, "tripod/mount", (0, 0.05, 0), 0.09)
    for i in range(3):
        a = i * 2 * np.pi / 3 + 0.4
        foot = polar(a, 0.4, -0.8)
        rod(b, f"tripod/leg {i}", (0, 0.03, 0), foot, 0.03, 0.022)
        if b.chance(0.6):
            ball(b, f"tripod/foot {i}", foot, 0.04)


def _robot_arm(b: Builder) -> None:
    """Links and joints with a gripper."""
    rod(b, "base", (0, -0.7, 0), (0, -0.55, 0), 0.28, 0.22)
    rod(b, "base/turret", (0, -0.56, 0), (0, -0.4, 0), 0.16)
    joint, angle = np.array([0, -0.35, 0.0]), b.u(1.2, 2.0)
    for i in range(b.n(2, 4)):
        rod(b, f"link {i}/joint {i}", joint - [0, 0, 0.12], joint + [0, 0, 0.12], 0.11 - 0.015 * i, bevel=0.15)
        end = joint + np.array([np.cos(angle), np.sin(angle), 0]) * b.u(0.3, 0.5)
        bar(b, f"link {i}", joint, end, 0.07 - 0.01 * i, b.chance(0.5))
        joint, angle = end, angle - b.u(0.4, 1.2)
    ball(b, "gripper/wrist", joint, 0.07)
    way = np.array([np.cos(angle), np.sin(angle), 0])
    for side, name in SIDES:
        finger = np.stack([joint, joint + way * 0.12 + [0, 0, side * 0.1], joint + way * 0.28 + [0, 0, side * 0.05]])
        tube(b, f"gripper/{name} finger", finger, [0.03, 0.028, 0.015])


def _dumbbell(b: Builder) -> None:
    """Bar with weights and collars."""
    reach = b.u(0.3, 0.6)
    rod(b, "bar", (-reach - 0.1, 0, 0), (reach + 0.1, 0, 0), b.u(0.03, 0.06))
    if b.chance(0.6):
        rod(b, "bar/grip", (-reach * 0.5, 0, 0), (reach * 0.5, 0, 0), b.u(0.065, 0.08))
    for s, name in SIDES:
        for i in range(b.n(1, 3)):
            x, r = s * (reach + 0.08 * i), b.u(0.18, 0.35)
            end = (x + s * 0.075, 0, 0)
            rod(b, f"{name} weights/{name} weight {i}", (x, 0, 0), end, r, bevel=0.08, segments=b.pick([6, 28]))
        rod(b, f"{name} weights/{name} collar", (s * (reach + 0.25), 0, 0), (s * (reach + 0.32), 0, 0), 0.07)
