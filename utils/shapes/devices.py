"""Robots and devices."""

from __future__ import annotations

import itertools

import numpy as np

from utils.shapes import solids
from utils.shapes.builder import Builder
from utils.shapes.combinators import around, ball, bar, box, centred, cushion, grid, limb, put, rod, span, torus, tube
from utils.shapes.elements import SIDES, arc, slab, wheel
from utils.shapes.solids import Box, Ellipsoid, rotation_about, rotation_to, unit


def robot(b: Builder) -> None:
    """Jointed figure of simple solids: head with antennas, chest with buttons, limbs with joints, or wheels."""
    square, r = b.chance(0.6), b.u(0.035, 0.07)
    w, d, h = b.u(0.15, 0.26), b.u(0.1, 0.2), b.u(0.18, 0.3)
    for path, y, half in (("torso/chest", 0.2, (d, h * 0.7, w)), ("torso/hips", -0.13, (d * 0.8, 0.08, w * 0.8))):
        if square:
            put(b, path, slab(b, (0, y, 0), half))
        else:
            rod(b, path, *span(0, (y - half[1], y + half[1]), 0), min(half[0], half[2]) * 1.1, None, 0.15)
    if b.chance(0.5):
        rod(b, "torso/waist", (0, -0.1, 0), (0, 0.1, 0), d * 0.5)
    for i in range(b.n(0, 5)):
        rod(b, f"torso/button {i}", *span((d * 0.9, d * 1.15), 0.28 - 0.06 * i, -w * 0.4), 0.02)
    if b.chance(0.4):
        box(b, "torso/chest plate", (d, 0.22, w * 0.25), (0.02, 0.09, w * 0.4))
    top = 0.2 + h * 0.7
    _robot_head(b, top, b.u(0.09, 0.16))
    gripper = b.chance(0.6)
    for side, name in SIDES:
        _robot_arm(b, f"{name} arm", name, side, np.array([0, top - 0.06, side * (w + r * 0.8)]), r, square, gripper)
    if b.chance(0.25):
        for side, name in SIDES:
            wheel(b, (0, -0.4, side * w), b.u(0.15, 0.25), 0.09, f"{name} wheel")
            bar(b, f"{name} wheel/{name} fork", (0, -0.1, side * w * 0.7), (0, -0.4, side * w * 0.8), r, square)
        return
    for side, name in SIDES:
        group = f"{name} leg"
        joint = np.array([0, -0.18, side * w * 0.5])
        way = unit([b.u(-0.4, 0.5), -1, side * b.u(0, 0.2)])
        for bone, knob in (("thigh", "knee"), ("shin", "ankle")):
            root, joint = joint, joint + way * b.u(0.22, 0.3)
            bar(b, f"{group}/{name} {bone}", root, joint, r * 1.2, square)
            ball(b, f"{group}/{name} {knob}", joint, r * 1.4)
            way = unit(way * [0.3, 1, 1])
        put(b, f"{group}/{name} foot", slab(b, joint + [r, -r, 0], (r * 2.4, r * 0.8, r * 1.5)))


def _robot_head(b: Builder, top: float, r: float) -> None:
    """Head of radius `r` on a neck above the chest's `top`, with eyes, ears, antennas and mouth."""
    c = np.array([0, top + 0.05 + r, 0])
    rod(b, "head/neck", (0, top - 0.03, 0), (0, top + 0.08, 0), r * 0.4)
    drum = solids.rod(c - [0, r, 0], c + [0, r, 0], r, None, 0.2)
    put(b, "head/skull", b.pick([Box(c, (r, r, r), rounding=r * 0.2), Ellipsoid(c, r * 1.1), drum]))
    for side, name in SIDES:
        if b.chance(0.8):
            ends = c + [r * 0.8, r * 0.2, side * r * 0.45], c + [r * 1.12, r * 0.2, side * r * 0.45]
            rod(b, f"head/{name} eye", *ends, r * b.u(0.15, 0.3))
        if b.chance(0.5):
            rod(b, f"head/{name} ear", c + [0, 0, side * r * 0.8], c + [0, 0, side * r * 1.25], r * 0.35)
        if b.chance(0.3):
            tip = c + [0, r * 2.2, side * r * 0.5]
            rod(b, f"head/{name} antenna", c + [0, r * 0.8, side * r * 0.4], tip, r * 0.07)
            ball(b, f"head/{name} antenna ball", tip, r * 0.2)
    if b.chance(0.3):
        box(b, "head/mouth", c + [r, -r * 0.5, 0], (r * 0.1, r * 0.12, r * 0.5))


def _robot_arm(b: Builder, group: str, name: str, side: int, joint, r: float, square: bool, gripper: bool) -> None:
    """Arm of bars of radius `r` from a shoulder, with a gripper or a fist."""
    swing, out = b.u(-0.8, 1.0), b.u(0.0, 0.9)
    way = unit([swing, -1, side * out])
    ball(b, f"{group}/{name} shoulder", joint, r * 1.5)
    for bone, knob in (("upper arm", "elbow"), ("forearm", "wrist")):
        root, joint = joint, joint + way * b.u(0.2, 0.28)
        bar(b, f"{group}/{name} {bone}", root, joint, r, square)
        if b.chance(0.6):
            ball(b, f"{group}/{name} {knob}", joint, r * 1.25)
        else:
            rod(b, f"{group}/{name} {knob}", joint - [0, 0, r * 1.2], joint + [0, 0, r * 1.2], r * 1.1)
        way = unit(way + [b.u(0, 1.2), b.u(0, 0.5), 0])
    if gripper:
        for k in (-1, 1):
            off = np.cross(way, [0, 0, 1]) * k * r
            claw = np.stack([joint + off * 0.3, joint + way * r * 1.6 + off * 1.6, joint + way * r * 3.2 + off * 0.6])
            tube(b, f"{group}/{name} claw {k}", claw, r * 0.35)
    else:
        put(b, f"{group}/{name} fist", slab(b, joint + way * r * 1.3, (r * 1.3, r * 1.3, r)))


def device(b: Builder) -> None:
    """Monitor, keyboard, camera, radio, clock, fan, telephone, padlock, pistol, game pad."""
    b.pick([_monitor, _keyboard, _camera, _radio, _clock, _fan, _telephone, _padlock, _pistol, _pad])(b)


def _monitor(b: Builder) -> None:
    """Screen in a case on a stand."""
    w, h = b.u(0.5, 0.8), b.u(0.3, 0.45)
    box(b, "display/case", (0, 0.3, 0), (0.05, h, w), rounding=b.u(0, 0.03))
    box(b, "display/screen", (0.045, 0.32, 0), (0.012, h * 0.85, w * 0.92))
    for i in range(b.n(0, 5)):
        rod(b, f"display/button {i}", *span((0.04, 0.065), 0.3 - h * 0.93, w * 0.8 - 0.07 * i), 0.016)
    box(b, "stand/neck", (-0.02, -0.15, 0), (0.03, b.u(0.12, 0.2), 0.07))
    put(b, "stand/foot", slab(b, (0, -0.34, 0), (0.2, 0.025, 0.3)))
    if b.chance(0.3):
        box(b, "display/web camera", (0, 0.32 + h, 0), (0.03, 0.03, 0.05), rounding=0.01)


def _keyboard(b: Builder) -> None:
    """Plate with rows of keys."""
    rows, cols = b.n(2, 4), b.n(5, 9)
    pitch = 0.16
    box(b, "plate", (0, 0, 0), (rows * pitch * 0.5 + 0.06, 0.04, cols * pitch * 0.5 + 0.06), rounding=0.015)
    black = b.chance(0.3)
    for i, j, x, z in grid(centred(rows, pitch), centred(cols, pitch)):
        half = (pitch * 0.4, 0.035 + 0.03 * (black and (i + j) % 2), pitch * 0.4)
        box(b, f"row {i}/key {i}.{j}", (x, 0.06, z), half, taper=b.pick([1, 0.8]))


def _camera(b: Builder) -> None:
    """Body with lens rings, viewfinder, shutter and dial."""
    w, h, d = b.u(0.4, 0.55), b.u(0.22, 0.34), b.u(0.12, 0.2)
    box(b, "body", (0, 0, 0), (d, h, w), rounding=b.u(0, 0.06))
    z = b.u(-0.15, 0.15)
    x, r = d, b.u(0.15, 0.2)
    for i in range(b.n(1, 4)):
        reach = b.u(0.06, 0.16)
        rod(b, f"lens/lens ring {i}", (x - 0.03, 0, z), (x + reach, 0, z), r, r * b.u(0.85, 1))
        x, r = x + reach, r * b.u(0.85, 1.02)
    ball(b, "lens/glass", (x - 0.02, 0, z), (0.05, r * 0.8, r * 0.8))
    if b.chance(0.6):
        box(b, "top/viewfinder", (0, h + 0.05, z), (d * 0.7, 0.07, 0.12), taper=0.7)
    rod(b, "top/shutter", (0.03, h - 0.01, w * 0.7), (0.03, h + 0.05, w * 0.7), 0.04)
    if b.chance(0.6):
        rod(b, "top/dial", (-0.04, h - 0.01, -w * 0.65), (-0.04, h + 0.06, -w * 0.65), 0.09)
    if b.chance(0.4):
        limb(b, "body/grip", (d, -h * 0.7, w * 0.85), (d, h * 0.6, w * 0.85), 0.08)


def _radio(b: Builder) -> None:
    """Case with speakers, knobs, handle and antenna."""
    w, h = b.u(0.5, 0.7), b.u(0.25, 0.4)
    box(b, "case", (0, 0, 0), (0.17, h, w), rounding=b.u(0, 0.08))
    for s in (-1, 1) if b.chance(0.6) else (1,):
        rod(b, f"speaker {s}", (0.14, -0.02, s * w * 0.55), (0.2, -0.02, s * w * 0.55), h * 0.6)
        ball(b, f"speaker {s}/speaker cone {s}", (0.2, -0.02, s * w * 0.55), (0.04, h * 0.25, h * 0.25))
    for i in range(b.n(1, 5)):
        rod(b, f"controls/knob {i}", *span((0.15, 0.24), h * 0.6 - 0.13 * i, 0), b.u(0.03, 0.055), bevel=0.2)
    if b.chance(0.6):
        tube(b, "handle", arc((0, h * 0.9, -w * 0.7), (0, h * 0.9, w * 0.7), (0, 0.2, 0), 11), 0.03)
    if b.chance(0.6):
        rod(b, "antenna", (-0.08, h * 0.8, w * 0.85), (-0.08, h + 0.7, w * b.u(0.2, 1.2)), 0.012)
        ball(b, "antenna/antenna tip", (-0.08, h + 0.7, w * 0.85), 0.025)


def _clock(b: Builder) -> None:
    """Dial with marks and hands, perhaps bells and feet."""
    r = b.u(0.4, 0.5)
    rod(b, "case", (-0.12, 0, 0), (0.05, 0, 0), r, None, 0.1, segments=40)
    torus(b, "case/rim", (0.05, 0, 0), r * 0.95, 0.04, rotation_to((1, 0, 0)))

    def dial(x: float, a: float, reach: float) -> tuple[float, float, float]:
        return (x, np.sin(a) * r * reach, np.cos(a) * r * reach)

    for i, a in itertools.islice(around(12), 12 if b.chance(0.6) else 4):
        box(b, f"dial/mark {i}", dial(0.055, a, 0.78), (0.012, 0.035, 0.015), rotation_about("x", -a + np.pi / 2))
    for i, reach in enumerate((0.45, 0.7)):
        limb(b, f"hands/hand {i}", (0.08, 0, 0), dial(0.08, b.u(0, 6.28), reach), 0.022, 0.012)
    rod(b, "hands/axle", (0.04, 0, 0), (0.11, 0, 0), 0.035)
    for side, name in SIDES if b.chance(0.6) else ():
        ball(b, f"bells/{name} bell", (-0.03, r * 0.95, side * r * 0.5), (0.12, 0.12, 0.14))
        rod(b, f"feet/{name} foot", (-0.03, -r * 0.7, side * r * 0.6), (-0.03, -r * 1.15, side * r * 0.75), 0.035)


def _fan(b: Builder) -> None:
    """Blades in a cage on a stand."""
    r = b.u(0.35, 0.45)
    rod(b, "stand/base", (0, -0.8, 0), (0, -0.72, 0), 0.28, 0.24)
    rod(b, "stand/pole", (0, -0.75, 0), (-0.05, 0, 0), 0.035)
    limb(b, "motor", (-0.25, 0, 0), (-0.05, 0, 0), 0.1, 0.12)
    for k in range(b.n(3, 5)):
        a = k * 2 * np.pi / 4
        way = np.array([0, np.sin(a), np.cos(a)])
        ball(b, f"rotor/blade {k}", way * r * 0.5 + [0.08, 0, 0], (0.02, r * 0.45, r * 0.22), rotation_to(way, 0.5))
    ball(b, "rotor/hub", (0.1, 0, 0), (0.06, 0.07, 0.07))
    torus(b, "cage/front ring", (0.1, 0, 0), r, 0.02, rotation_to((1, 0, 0)))
    for k in range(b.n(4, 9)):
        a = k * 2 * np.pi / 9
        tube(b, "cage/cage wires", arc((0.17, 0, 0), (0.1, np.sin(a) * r, np.cos(a) * r), (0.03, 0, 0)), 0.01)


def _telephone(b: Builder) -> None:
    """Base with dial or keys, and a handset."""
    box(b, "base", (0, 0, 0), (0.35, 0.12, 0.3), rounding=0.05, taper=0.75)
    if b.chance(0.5):
        rod(b, "dial", (0.1, 0.1, 0), (0.12, 0.17, 0), 0.17)
        for i in range(8):
            a = i * np.pi / 4.5
            rod(b, f"dial/finger hole {i}", *span(0.12 + 0.11 * np.cos(a), (0.15, 0.185), 0.11 * np.sin(a)), 0.025)
    else:
        for i in range(12):
            x, z = -0.02 + 0.085 * (i // 3), (i % 3 - 1) * 0.09
            box(b, f"keys/key {i}", (x, 0.14, z), (0.03, 0.02, 0.033))
    y = b.u(0.2, 0.28)
    tube(b, "handset/handle", arc((-0.15, y, -0.3), (-0.15, y, 0.3), (0, 0.07, 0), 9), 0.045)
    for side, name in SIDES:
        rod(b, f"handset/{name} shell", (-0.15, y - 0.06, side * 0.32), (-0.15, y + 0.03, side * 0.32), 0.09, 0.07)


def _padlock(b: Builder) -> None:
    """Body with shackle, key plate and key."""
    w, h = b.u(0.25, 0.35), b.u(0.22, 0.32)
    put(b, "body", slab(b, (0, 0, 0), (0.1, h, w)))
    a = np.linspace(0, np.pi, 15)
    rise = b.u(0.1, 0.3)
    loop = np.stack([np.zeros(15), h + rise + np.sin(a) * w * 0.65, np.cos(a) * w * 0.65], 1)
    tube(b, "shackle", np.concatenate([[(0, h * 0.8, w * 0.65)], loop, [(0, h * 0.8, -w * 0.65)]]), b.u(0.04, 0.07))
    rod(b, "body/key plate", (0.08, -0.05, 0), (0.13, -0.05, 0), 0.09)
    if b.chance(0.5):
        rod(b, "key/key shaft", (0.1, -0.05, 0), (0.4, -0.05, 0), 0.02)
        torus(b, "key/key bow", (0.5, -0.05, 0), 0.09, 0.025, rotation_to((0, 0, 1)))


def _pistol(b: Builder) -> None:
    """Barrel, grip, guard and trigger."""
    box(b, "barrel/slide", (0.1, 0.2, 0), (0.5, 0.09, 0.06), rounding=0.02)
    rod(b, "barrel/muzzle", (0.58, 0.21, 0), (0.68, 0.21, 0), 0.045)
    cushion(b, "handle/grip", (-0.32, -0.15, 0), (0.1, 0.32, 0.06), 0.3, 0.4, rotation_about("z", -b.u(0.1, 0.3)))
    torus(b, "trigger/guard", (-0.1, 0.02, 0), 0.1, 0.018, rotation_to((0, 0, 1)))
    tube(b, "trigger", arc((-0.1, 0.1, 0), (-0.08, -0.03, 0), (0.04, 0, 0)), 0.016)
    box(b, "barrel/hammer", (-0.42, 0.27, 0), (0.03, 0.06, 0.025), rotation_about("z", 0.4))
    box(b, "barrel/front sight", (0.5, 0.3, 0), (0.02, 0.025, 0.012))
    if b.chance(0.3):
        rod(b, "barrel/drum", (-0.2, 0.17, 0), (0.1, 0.17, 0), 0.12, segments=8)


def _pad(b: Builder) -> None:
    """Game pad with sticks, buttons and a cross."""
    w = b.u(0.35, 0.45)
    cushion(b, "body/shell", (0, 0, 0), (0.22, 0.09, w), 0.7, 0.5)
    for side, name in SIDES:
        limb(b, f"body/{name} horn", (0, 0, side * w * 0.7), (-0.35, -0.05, side * w * 1.0), 0.12, 0.1)
        rod(b, f"sticks/{name} stick", (-0.08, 0.05, side * 0.16), (-0.08, 0.14, side * 0.16), 0.035)
        rod(b, f"sticks/{name} stick cap", (-0.08, 0.13, side * 0.16), (-0.08, 0.16, side * 0.16), 0.065)
    for i in range(4):
        a = i * np.pi / 2
        rod(b, f"buttons/button {i}", *span(0.07 + 0.06 * np.cos(a), (0.06, 0.115), w * 0.65 + 0.06 * np.sin(a)), 0.028)
    box(b, "buttons/cross", (0.07, 0.09, -w * 0.65), (0.08, 0.02, 0.025))
    box(b, "buttons/cross", (0.07, 0.09, -w * 0.65), (0.025, 0.02, 0.08))
