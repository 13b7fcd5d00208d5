"""Vehicles, aircraft and boats, cycles."""

from __future__ import annotations

import numpy as np

from utils.shapes import solids
from utils.shapes.builder import Builder
from utils.shapes.combinators import (
    ball,
    bar,
    box,
    cushion,
    lathe,
    limb,
    polar,
    prism,
    put,
    rod,
    row,
    span,
    torus,
    tube,
)
from utils.shapes.elements import SIDES, arc, frame_along, gear_outline, rounded_rectangle, slab, wheel
from utils.shapes.solids import Box, Ellipsoid, rotation_about, rotation_to, unit


def vehicle(b: Builder) -> None:
    """Car, truck, bus, train, tractor, tank, cart: body, cabin, wheels, lamps, bumpers, loads."""
    kind = b.pick(["car", "truck", "tank", "tractor", "train"])
    w = b.u(0.24, 0.36)
    boxy = b.u(0.15, 0.5)
    if kind == "tank":
        return _tank(b, w)
    if kind == "car":
        cushion(b, "body", (0, 0, 0), (0.85, b.u(0.14, 0.2), w), boxy, boxy)
        middle = (b.u(-0.2, 0.05), 0.24, 0)
        box(b, "cabin", middle, (b.u(0.3, 0.5), 0.16, w * 0.85), rounding=0.05, taper=b.u(0.65, 0.95))
        if b.chance(0.4):
            box(b, "body/bonnet", (0.58, 0.1, 0), (0.25, 0.06, w * 0.8), rounding=0.03)
    elif kind == "truck":
        box(b, "body/chassis", (0, -0.1, 0), (0.9, 0.05, w * 0.8))
        box(b, "cabin", (0.65, 0.15, 0), (0.22, 0.25, w), rounding=b.u(0.01, 0.06), taper=b.u(0.8, 1))
        container, flat = Box((-0.25, 0.2, 0), (0.6, 0.3, w)), Box((-0.25, 0.05, 0), (0.6, 0.12, w))
        put(b, "load", b.pick([container, solids.rod((-0.85, 0.15, 0), (0.35, 0.15, 0), w * 0.85, bevel=0.2), flat]))
    elif kind == "tractor":
        box(b, "body/engine", (0.4, 0.1, 0), (0.4, 0.15, w * 0.55), rounding=0.04)
        box(b, "cabin", (-0.3, 0.3, 0), (0.27, 0.32, w * 0.8), taper=b.u(0.8, 1))
        rod(b, "body/exhaust", (0.5, 0.2, 0), (0.5, 0.6, 0), 0.03)
        box(b, "cabin/roof", (-0.3, 0.62, 0), (0.32, 0.03, w * 0.95))
    else:
        rod(b, "body/boiler", (-0.3, 0.12, 0), (0.8, 0.12, 0), w * 0.8, bevel=0.1)
        box(b, "cabin", (-0.55, 0.22, 0), (0.27, 0.35, w))
        box(b, "cabin/roof", (-0.55, 0.58, 0), (0.33, 0.03, w * 1.1))
        rod(b, "body/chimney", (0.6, 0.3, 0), (0.6, 0.62, 0), 0.06, 0.1)
        ball(b, "body/dome", (0.15, 0.37, 0), (0.12, 0.13, 0.12))
        box(b, "frame", (0, -0.16, 0), (0.88, 0.05, w * 0.9))
    axles = b.n(2, 4) if kind in ("train", "truck") else 2
    radius = b.u(0.13, 0.2)
    for i, x in row(axles, -0.58, 0.58, 0):
        r = radius * (1.9 if kind == "tractor" and i == 0 else 1)
        for side, name in SIDES:
            wheel(b, (x, -0.2 + (r - radius), side * w), r, b.u(0.08, 0.14), f"wheel {i} {name}")
        if b.chance(0.3):
            rod(b, f"axle {i}", (x, -0.2, -w), (x, -0.2, w), 0.025)
    for side, name in SIDES if b.chance(0.6) else ():
        rod(b, f"front/{name} lamp", *span((0.83, 0.9), 0.03, side * w * 0.65), b.u(0.03, 0.06))
    if b.chance(0.5):
        box(b, "front/front bumper", (0.88, -0.1, 0), (0.03, 0.03, w * 0.95), rounding=0.02)
    for side, name in SIDES if b.chance(0.3) else ():
        box(b, f"cabin/{name} mirror", (0.45, 0.22, side * (w + 0.04)), (0.02, 0.04, 0.03))


def _tank(b: Builder, w: float) -> None:
    """Hull, turret with barrel and hatch, tracks with rollers."""
    box(b, "body/hull", (0, 0, 0), (0.75, 0.13, w), taper=0.85)
    dome, drum = Ellipsoid((0, 0.22, 0), (0.33, 0.15, w * 0.8)), solids.rod((0, 0.1, 0), (0, 0.34, 0), 0.3, 0.22)
    put(b, "turret", b.pick([dome, drum]))
    rod(b, "turret/barrel", (0.2, 0.24, 0), (b.u(0.8, 1.2), 0.27, 0), 0.035)
    rod(b, "turret/muzzle", (0.8, 0.25, 0), (0.92, 0.255, 0), 0.055)
    rod(b, "turret/hatch", (-0.1, 0.28, 0.08), (-0.1, 0.4, 0.08), 0.08)
    for side, name in SIDES:
        prism(b, f"{name} drive/{name} track", (0, -0.12, side * w), rounded_rectangle(0.78, 0.13, 0.12), 0.1)
        for i in range(b.n(3, 5)):
            z = (side * (w - 0.02), side * (w + 0.13))
            rod(b, f"{name} drive/{name} roller {i}", *span(-0.6 + 0.3 * i, -0.13, z), 0.1)


def _bicycle(b: Builder, pipe: float, rear: np.ndarray, head: np.ndarray, seat: np.ndarray) -> None:
    """Tubes of the frame, chain ring, cranks with pedals."""
    crank = np.array([-0.06, -0.3, 0])
    top, down = (seat, head - [0, 0.05, 0]), (crank, head - [0, 0.15, 0])
    for i, ends in enumerate(((seat, crank), down, top, (rear, crank), (rear, seat))):
        rod(b, f"frame/tube {i}", *ends, pipe)
    prism(b, "drive/chain ring", crank + [0, 0, 0.04], gear_outline(0.1, 14, 0.015), 0.01)
    for side, name in SIDES:
        pedal = crank + [side * 0.13, -side * 0.05, side * 0.08]
        rod(b, f"drive/{name} crank", crank + [0, 0, side * 0.06], pedal, 0.015)
        box(b, f"drive/{name} pedal", pedal + [0, 0, side * 0.05], (0.05, 0.015, 0.045))


def _motorcycle(b: Builder, pipe: float, rear: np.ndarray) -> None:
    """Engine with fins, tank, tail, exhaust, swing arm."""
    cushion(b, "engine", (0, -0.2, 0), (0.2, 0.16, 0.12), 0.5, 0.5)
    ball(b, "body/tank", (0.12, 0.2, 0), (0.24, 0.12, 0.12))
    limb(b, "body/tail", (-0.2, 0.12, 0), (-0.6, 0.2, 0), 0.1, 0.05)
    for i in range(b.n(0, 3)):
        rod(b, f"engine/fin {i}", (0, -0.1 + 0.05 * i, 0), (0, -0.08 + 0.05 * i, 0), 0.14)
    exhaust = np.array([(0.1, -0.3, 0.1), (-0.1, -0.38, 0.13), (-0.6, -0.3, 0.14)])
    tube(b, "exhaust", exhaust, [0.03, 0.035, 0.05])
    rod(b, "frame/swing arm", rear, (0, -0.25, 0), pipe * 1.6)


def aircraft(b: Builder) -> None:
    """Aeroplane, rocket, helicopter, boat: hull, wings, tail, engines, propellers, cockpit, masts."""
    kind = b.pick(["plane", "plane", "plane", "rocket", "helicopter", "boat"])
    r = b.u(0.08, 0.16)
    if kind == "rocket":
        return _rocket(b, r)
    if kind == "boat":
        return _boat(b)
    length = b.u(0.7, 1.0)
    if kind == "helicopter":
        return _helicopter(b)
    if b.chance(0.4):
        limb(b, "body/fuselage", (length * 0.5, 0, 0), (-length * 0.5, 0.02, 0), r, r * 0.6)
    else:
        ball(b, "body/fuselage", (0, 0, 0), (length * 0.85, r, r))
    if b.chance(0.6):
        ball(b, "body/nose", (length * 0.55, 0, 0), (length * 0.25, r * 0.95, r * 0.95))
    if b.chance(0.6):
        ball(b, "body/cockpit", (length * 0.35, r * 0.75, 0), (length * 0.17, r * 0.6, r * 0.6), softness=0.2)
    _plane_wings(b, length, r)
    if b.chance(0.35):
        for k in range(b.n(2, 4)):
            size, turn = (0.01, b.u(0.18, 0.25), 0.03), rotation_about("x", k * np.pi / 3)
            box(b, "nose set/propeller", (length * 0.87, 0, 0), size, turn)
        ball(b, "nose set/spinner", (length * 0.88, 0, 0), (0.07, 0.04, 0.04))
    if b.chance(0.35):
        for i, (x, z) in enumerate(((0.35, 0), (-0.05, 0.2), (-0.05, -0.2))):
            rod(b, f"gear {i}/strut {i}", (x, -r * 0.5, z), (x, -r - 0.14, z), 0.014)
            rod(b, f"gear {i}/wheel {i}", (x, -r - 0.15, z - 0.025), (x, -r - 0.15, z + 0.025), 0.05)


def _plane_wings(b: Builder, length: float, r: float) -> None:
    """Wings with winglets and engines, tailplanes, rudder."""
    span, chord, sweep = b.u(0.6, 1.0), b.u(0.15, 0.28), b.u(-0.1, 0.6)
    dihedral, tipc = b.u(-0.1, 0.15), b.u(0.3, 0.9)
    height = b.pick([-0.5, 0, 0.6]) * r
    engines = b.pick([0, 0, 1, 2])

    def outward(rise: float, side: int) -> np.ndarray:
        """Frame (3, 3) of a wing: x ahead, y outwards and up."""
        out = unit([0, rise, side])
        return np.stack([[1.0, 0, 0], out, np.cross([1.0, 0, 0], out)], 1)

    front = chord - sweep * span
    for side, name in SIDES:
        outline = np.array([(chord, 0), (front, span), (front - chord * 2 * tipc, span), (-chord, 0)])
        prism(b, f"{name} wing", (0, height, 0), outline, b.u(0.012, 0.03), outward(dihedral, side))
        if b.chance(0.3):
            tip = np.array([front - chord, height + span * dihedral, side * span])
            box(b, f"{name} wing/{name} winglet", tip + [0, 0.07, 0], (chord * tipc * 0.8, 0.09, 0.012))
        for k in range(engines):
            z = span * (0.35 + 0.3 * k)
            p = np.array([chord * 0.9 - sweep * z, height + dihedral * z - 0.07, side * z])
            rod(b, f"{name} wing/{name} engine {k}", p - [0.18, 0, 0], p + [0.12, 0, 0], 0.05, 0.06, 0.1)
            if b.chance(0.4):
                box(b, f"{name} wing/{name} propeller {k}", p + [0.14, 0, 0], (0.008, 0.14, 0.02))
    tail = -length * 0.62
    for side, name in SIDES:
        s = span * b.u(0.28, 0.42)
        front, back = chord * 0.6 - sweep * s, -chord * 0.4 - sweep * s
        outline = np.array([(chord * 0.6, 0), (front, s), (back, s), (-chord * 0.5, 0)])
        prism(b, f"tail/{name} tailplane", (tail, 0.03, 0), outline, 0.012, outward(0, side))
    s = b.u(0.2, 0.35)
    rudder = np.array([(chord * 0.6, 0), (-0.1, s), (-chord * 0.7 - 0.1, s), (-chord * 0.6, 0)])
    prism(b, "tail/rudder", (tail, 0, 0), rudder, 0.014)


def _rocket(b: Builder, r: float) -> None:
    """Body, nose, fins, nozzle, boosters."""
    rod(b, "body", (0, -0.6, 0), (0, 0.4, 0), r * 1.3)
    lathe(b, "body/nose", (0, 0.4, 0), [(0, 0), (r * 1.3, 0), (r, 0.2), (r * 0.5, 0.38), (0, 0.5)])
    fins = b.n(3, 5)
    for i in range(fins):
        outline = np.array([(r, 0), (r * 3, -0.25), (r * 3, -0.4), (r, -0.2)]) * [1, b.u(0.8, 1.0)]
        prism(b, f"fins/fin {i}", (0, -0.3, 0), outline, 0.02, rotation_about("y", i * 2 * np.pi / fins))
    rod(b, "engine/nozzle", (0, -0.75, 0), (0, -0.58, 0), r * 1.0, r * 0.6)
    for i in range(b.n(0, 4)):
        a = (i + 0.5) * np.pi / 2
        p = polar(a, r * 1.8)
        rod(b, f"booster {i}", p + [0, -0.6, 0], p + [0, 0, 0], r * 0.5)
        rod(b, f"booster {i}/booster nose {i}", p, p + [0, 0.2, 0], r * 0.5, 0.002)
    if b.chance(0.5):
        torus(b, "body/window", (r * 1.25, 0.2, 0), r * 0.4, r * 0.12, rotation_to((1, 0, 0)))


def _boat(b: Builder) -> None:
    """Hull, deck house, masts with sails, funnel."""
    outline = np.array([(-0.8, -0.22), (0.3, -0.24), (0.65, -0.15), (0.95, 0), (0.65, 0.15), (0.3, 0.24), (-0.8, 0.22)])
    prism(b, "hull", (0, 0, 0), outline, 0.12, rotation_about("x", np.pi / 2))
    box(b, "house/deck house", (-0.2, 0.2, 0), (b.u(0.2, 0.4), 0.1, 0.15))
    if b.chance(0.7):
        box(b, "house/bridge", (-0.1, 0.36, 0), (0.14, 0.07, 0.12))
    for i in range(b.n(1, 3)):
        x = 0.4 - 0.35 * i
        rod(b, f"mast {i}", (x, 0.1, 0), (x, b.u(0.6, 1.1), 0), 0.022)
        if b.chance(0.6):
            prism(b, f"mast {i}/sail {i}", (x, 0.3, 0), np.array([(0, 0), (-0.3, 0), (0, 0.5)]), 0.01)
        rod(b, f"mast {i}/boom {i}", (x, 0.28, 0), (x - 0.32, 0.28, 0), 0.016)
    if b.chance(0.5):
        rod(b, "house/funnel", (-0.4, 0.2, 0), (-0.42, 0.55, 0), 0.08, 0.07)


def _helicopter(b: Builder) -> None:
    """Cabin, boom, rotors, fin, skids."""
    ball(b, "body/cabin", (0.25, 0, 0), (0.4, 0.26, 0.24))
    limb(b, "body/boom", (0, 0.06, 0), (-0.85, 0.12, 0), 0.11, 0.045)
    rod(b, "rotor/mast", (0.2, 0.2, 0), (0.2, 0.38, 0), 0.035)
    blades = b.n(2, 5)
    for i in range(blades):
        a = i * 2 * np.pi / blades + 0.3
        way = polar(a, 1)
        box(b, f"rotor/blade {i}", np.array([0.2, 0.38, 0]) + way * 0.42, (0.045, 0.42, 0.012), frame_along(way))
    box(b, "tail/tail fin", (-0.85, 0.22, 0), (0.07, 0.13, 0.015))
    for i in range(2):
        box(b, "tail/tail rotor", (-0.88, 0.15, 0.06), (0.03, 0.16, 0.01), rotation_about("z", i * np.pi / 2))
    for side, name in SIDES:
        limb(b, f"gear/{name} skid", (-0.15, -0.35, side * 0.2), (0.6, -0.35, side * 0.2), 0.025)
        for k, x in enumerate((0, 0.4)):
            rod(b, f"gear/{name} strut {k}", (x, -0.35, side * 0.2), (x, -0.1, side * 0.1), 0.018)


def cycle(b: Builder) -> None:
    """Bicycle, motorcycle, barrow, pram, scooter: thin frames, wheels, seats, bars with grips."""
    kind = b.pick(["bicycle", "motorcycle", "barrow", "scooter", "pram"])
    pipe = b.u(0.018, 0.035)
    if kind == "barrow":
        return _barrow(b, pipe)
    r = b.u(0.22, 0.34) if kind != "scooter" else b.u(0.1, 0.15)
    base = b.u(0.45, 0.6)
    rear, front = np.array([-base, -0.3, 0]), np.array([base, -0.3, 0])
    for name, axle in (("rear wheel", rear), ("front wheel", front)):
        if kind == "bicycle":
            torus(b, f"{name}/{name} tyre", axle, r, b.u(0.02, 0.035), rotation_to((0, 0, 1)))
            rod(b, f"{name}/{name} hub", axle - [0, 0, 0.05], axle + [0, 0, 0.05], 0.035)
            for k in range(b.n(4, 8)):
                a = k * np.pi / 4
                rod(b, f"{name}/{name} spokes", axle, axle + np.array([np.cos(a), np.sin(a), 0]) * r, 0.007, segments=6)
        elif kind == "pram":
            for side, which in SIDES:
                wheel(b, axle + [0, 0, side * 0.25], r * 0.7, 0.06, f"{name} {which}")
        else:
            wheel(b, axle, r, b.u(0.08, 0.14), name)
    if kind == "pram":
        return _pram(b, pipe, rear, front)
    head = front + (np.array([-0.16, 0.55, 0]) if kind != "scooter" else np.array([-0.1, 0.9, 0]))
    if kind == "scooter":
        put(b, "deck", slab(b, (0, -0.28, 0), (base * 0.9, 0.025, 0.1)))
        rod(b, "steering/stem", front, head, pipe * 1.3)
    else:
        seat = np.array([-0.2, 0.2, 0])
        _bicycle(b, pipe, rear, head, seat) if kind == "bicycle" else _motorcycle(b, pipe, rear)
        cushion(b, "seat/saddle", seat + [0, 0.1, 0], (b.u(0.1, 0.2), 0.035, b.u(0.05, 0.09)), 0.7, 0.7)
        rod(b, "seat/seat post", seat - [0, 0.05, 0], seat + [0, 0.1, 0], pipe * 0.9)
        for side, name in SIDES:
            rod(b, f"steering/{name} fork", front + [0, 0, side * 0.05], head - [0, 0.1, -side * 0.02], pipe * 0.9)
    rod(b, "steering/head tube", head - [0, 0.18, 0], head + [0, 0.05, 0], pipe * 1.5)
    for side, name in SIDES:
        tip = head + [-0.12, 0.07, side * 0.26]
        tube(b, f"steering/{name} bar", arc(head + [0, 0.05, 0], tip, (0.04, 0.03, 0)), pipe)
        rod(b, f"steering/{name} grip", tip + [0.03, 0, -side * 0.05], tip + [-0.02, 0, side * 0.04], pipe * 1.5)
    if b.chance(0.5):
        rod(b, "steering/lamp", head + [0.03, -0.02, 0], head + [0.12, -0.03, 0], 0.05, 0.06)


def _barrow(b: Builder, pipe: float) -> None:
    """Tray, wheel, two shafts with grips and legs."""
    wheel(b, (0.6, -0.35, 0), b.u(0.16, 0.24), 0.08, "wheel")
    box(b, "tray", (0, 0, 0), (0.38, 0.14, 0.28), taper=b.u(1.1, 1.4))
    for side, name in SIDES:
        bar(b, f"{name} side/{name} shaft", (0.62, -0.33, side * 0.07), (-0.8, 0.02, side * 0.28), pipe * 1.2, False)
        rod(b, f"{name} side/{name} grip", (-0.7, 0, side * 0.27), (-0.9, 0.04, side * 0.29), pipe * 1.8)
        bar(b, f"{name} side/{name} leg", (-0.3, -0.1, side * 0.22), (-0.35, -0.5, side * 0.24), pipe, False)


def _pram(b: Builder, pipe: float, rear: np.ndarray, front: np.ndarray) -> None:
    """Basket with hood, frame and handle."""
    cushion(b, "basket", (0, 0.15, 0), (0.5, 0.2, 0.25), 0.5, 0.4)
    ball(b, "basket/hood", (0.2, 0.35, 0), (0.3, 0.25, 0.26))
    for side, name in SIDES:
        rod(b, f"frame/{name} strut a", rear + [0, 0, side * 0.22], (0.2, 0.1, side * 0.22), pipe)
        rod(b, f"frame/{name} strut b", front + [0, 0, side * 0.22], (-0.2, 0.1, side * 0.22), pipe)
        rod(b, f"handle/{name} arm", (-0.4, 0.2, side * 0.22), (-0.75, 0.5, side * 0.22), pipe)
    rod(b, "handle/bar", (-0.75, 0.5, -0.24), (-0.75, 0.5, 0.24), pipe * 1.4)
