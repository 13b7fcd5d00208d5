"""Machine parts, vehicles, robots, devices."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import (
    SIDES,
    arc,
    beam,
    circle,
    frame_along,
    gear_outline,
    rounded_rectangle,
    slab,
    spiral,
    wheel,
)
from utils.shapes.solids import (
    Box,
    Ellipsoid,
    Lathe,
    Prism,
    RoundCone,
    Superquadric,
    Torus,
    Tube,
    rod,
    rotation_about,
    rotation_to,
    unit,
)


def mechanical(b: Builder) -> None:
    """Flange, bracket with bosses, shaft with steps and gear, knob, valve, bearing block, bolt."""
    b.pick([_flange, _bracket, _shaft, _valve, _bolt, _pipe, _block])(b)


def _flange(b: Builder) -> None:
    """Disc with a bore, bolts or holes, a hub with ribs."""
    flat = rotation_about("x", -np.pi / 2)  # extrudes along y
    r, t, holes = b.u(0.4, 0.6), b.u(0.04, 0.1), b.n(3, 8)
    bore, bolt = r * b.u(0.2, 0.35), r * b.u(0.07, 0.11)
    drilled = b.chance(0.6)
    where = [
        circle(bolt, 10, (np.cos(a) * r * 0.78, np.sin(a) * r * 0.78)) for a in np.arange(holes) * 2 * np.pi / holes
    ]
    b.add(
        b.part("disc", "flange"),
        Prism(
            (0, 0, 0),
            circle(r, 40),
            t,
            flat,
            holes=([circle(bore, 20)] if b.chance(0.5) else []) + (where if drilled else []),
        ),
    )
    if not drilled:
        for i, a in enumerate(np.arange(holes) * 2 * np.pi / holes):
            p = np.array([np.cos(a) * r * 0.78, 0, np.sin(a) * r * 0.78])
            b.add(b.part(f"bolt {i}", "bolts"), rod(p + [0, t * 0.5, 0], p + [0, t + bolt * 1.2, 0], bolt, segments=6))
    hub = bore * b.u(1.2, 1.9)
    h = b.u(0.15, 0.6)
    b.add(b.part("hub", "hub"), Lathe((0, 0, 0), [(bore, 0), (hub, 0), (hub * b.u(0.8, 1), h), (bore, h)]))
    if b.chance(0.4):
        b.add(b.part("collar", "hub"), Torus((0, h, 0), hub * 0.95, hub * 0.12))
    for i in range(b.n(3, 6) if b.chance(0.5) else 0):
        a = 2 * np.pi * (i + 0.5) / 6
        rib = np.array([(hub * 0.9, t), (r * 0.9, t), (hub * 0.9, h * 0.9)])
        b.add(b.part(f"rib {i}", "ribs"), Prism((0, 0, 0), rib, 0.025, rotation_about("y", a)))


def _bracket(b: Builder) -> None:
    """Foot plate with lugs, bosses, pins, webs and bolts."""
    flat = rotation_about("x", -np.pi / 2)  # extrudes along y
    w, t, reach = b.u(0.25, 0.45), b.u(0.04, 0.08), b.u(0.4, 0.7)
    b.add(
        b.part("foot", "foot"),
        Prism(
            (0, 0, 0),
            rounded_rectangle(reach, w, b.u(0.02, 0.12)),
            t,
            flat,
            holes=[circle(0.06, 12, (sx * reach * 0.7, sz * w * 0.6)) for sx in (-1, 1) for sz in (-1, 1)],
        ),
    )
    for i, s in enumerate((-1, 1) if b.chance(0.5) else (0,)):
        x = s * reach * 0.4
        h = b.u(0.4, 0.7)
        outline = np.concatenate([[(-w * 0.8, 0), (w * 0.8, 0)], circle(w * 0.5, 16, (0, h))[:9]])
        frame = rotation_about("y", np.pi / 2)
        b.add(b.part(f"lug {i}", f"lug {i}"), Prism((x, 0, 0), outline, t, frame, holes=[circle(w * 0.22, 14, (0, h))]))
        b.add(
            b.part(f"boss {i}", f"lug {i}"),
            Lathe(
                (x - t * 2, h, 0),
                [(w * 0.22, 0), (w * 0.36, 0), (w * 0.36, t * 4), (w * 0.22, t * 4)],
                rotation_to((1, 0, 0)),
            ),
        )
        if b.chance(0.5):
            b.add(b.part(f"pin {i}", f"pin {i}"), rod((x - t * 4, h, 0), (x + t * 4, h, 0), w * 0.2, bevel=0.2))
        if b.chance(0.4):
            b.add(
                b.part(f"web {i}", f"lug {i}"),
                Prism((x, t, 0), np.array([(0, 0), (reach * 0.45, 0), (0, h * 0.6)]), 0.03),
            )
    if b.chance(0.5):
        for i in range(b.n(1, 4)):
            p = np.array([(-1) ** i * reach * 0.7, t, (-1) ** (i // 2) * w * 0.6])
            b.add(b.part(f"bolt {i}", "bolts"), rod(p, p + [0, 0.07, 0], 0.085, segments=6))


def _shaft(b: Builder) -> None:
    """Stepped shaft with rings, gears and a crank."""
    x = -0.8
    for i in range(b.n(3, 7)):
        reach, r = b.u(0.1, 0.4), b.u(0.06, 0.18)
        form = b.pick(["rod", "rod", "cone", "gear", "ring"])
        if form == "gear":
            rr, half = b.u(0.25, 0.42), b.u(0.05, 0.09)
            b.add(
                b.part(f"gear {i}", f"gear {i}"),
                Prism(
                    (x + half, 0, 0),
                    gear_outline(rr, b.n(8, 20), rr * 0.18),
                    half,
                    rotation_to((1, 0, 0)) @ rotation_about("x", np.pi / 2),
                ),
            )
            b.add(b.part(f"gear hub {i}", f"gear {i}"), rod((x - 0.03, 0, 0), (x + 2 * half + 0.03, 0, 0), rr * 0.5))
            reach = 2 * half
        else:
            b.add(
                b.part(f"step {i}", "shaft"),
                rod(
                    (x, 0, 0),
                    (x + reach + 0.01, 0, 0),
                    r,
                    r * b.u(0.4, 1.2) if form == "cone" else r,
                    0.08 if b.chance(0.5) else 0,
                ),
            )
            if form == "ring":
                b.add(b.part(f"ring {i}", "shaft"), Torus((x + reach / 2, 0, 0), r, r * 0.3, rotation_to((1, 0, 0))))
        x += reach
    if b.chance(0.4):
        b.add(b.part("crank", "crank"), Box((x, 0.2, 0), (0.04, 0.28, 0.06), rounding=0.02))
        b.add(b.part("crank grip", "crank"), rod((x, 0.42, 0), (x + 0.35, 0.42, 0), 0.05, 0.06, 0.2))


def _valve(b: Builder) -> None:
    """Pipe with flanges, a bonnet and a hand wheel."""
    r = b.u(0.1, 0.18)
    b.add(b.part("pipe", "pipe"), rod((-0.7, 0, 0), (0.7, 0, 0), r))
    for s, name in SIDES:
        b.add(b.part(f"{name} flange", "pipe"), rod((s * 0.66, 0, 0), (s * 0.76, 0, 0), r * b.u(1.6, 2.2)))
    b.add(b.part("body", "body"), Ellipsoid((0, 0, 0), (r * 2, r * 1.7, r * 1.7)))
    b.add(b.part("bonnet", "body"), rod((0, r, 0), (0, r * 2.6, 0), r * 1.1, r * 0.7))
    b.add(b.part("stem", "wheel"), rod((0, r * 2, 0), (0, 0.65, 0), r * 0.25))
    wheel = b.u(0.25, 0.38)
    b.add(b.part("wheel rim", "wheel"), Torus((0, 0.62, 0), wheel, wheel * b.u(0.08, 0.16)))
    for i in range(b.n(3, 5)):
        a = i * 2 * np.pi / 4
        b.add(
            b.part(f"spoke {i}", "wheel"), rod((0, 0.62, 0), (np.cos(a) * wheel, 0.62, np.sin(a) * wheel), wheel * 0.07)
        )
    b.add(b.part("wheel hub", "wheel"), Ellipsoid((0, 0.63, 0), r * 0.5))


def _bolt(b: Builder) -> None:
    """Bolt with a thread, nuts and washers."""
    r = b.u(0.08, 0.16)
    b.add(b.part("shank", "bolt"), rod((0, -0.7, 0), (0, 0.5, 0), r))
    b.add(
        b.part("head", "bolt"),
        rod((0, 0.45, 0), (0, 0.45 + r * 1.4, 0), r * 1.9, bevel=0.1, segments=b.pick([4, 6, 6, 24])),
    )
    if b.chance(0.6):
        b.add(b.part("thread", "bolt"), Tube(spiral((-r, -0.68, 0), (0, 1, 0), r, 8, 0.6, 90), r * 0.16, sides=5))
    for i in range(b.n(0, 2)):
        y = -0.3 + 0.35 * i
        b.add(b.part(f"nut {i}", f"nut {i}"), rod((0, y, 0), (0, y + r * 1.3, 0), r * 1.8, bevel=0.1, segments=6))
        b.add(b.part(f"washer {i}", f"nut {i}"), rod((0, y - r * 0.25, 0), (0, y + 0.01, 0), r * 2.3))


def _pipe(b: Builder) -> None:
    """Pipe runs with elbows, sleeves and an end flange."""
    r = b.u(0.1, 0.17)
    at, way = np.zeros(3), np.array([0.0, 1, 0])
    for i in range(b.n(2, 5)):
        end = at + way * b.u(0.35, 0.7)
        b.add(b.part(f"pipe {i}", f"run {i}"), rod(at, end, r))
        if b.chance(0.6):
            mid = at + (end - at) * 0.5
            b.add(b.part(f"sleeve {i}", f"run {i}"), rod(mid - way * r * 0.5, mid + way * r * 0.5, r * 1.25, bevel=0.1))
        b.add(
            b.part(f"elbow {i}", f"elbow {i}"),
            Ellipsoid(end, r * 1.2) if b.chance(0.6) else Torus(end, r, r * 0.3, rotation_to(way)),
        )
        at, way = end, np.roll(way, b.n(1, 2)) * b.pick([-1, 1])
    b.add(b.part("end flange", "end"), rod(at, at + way * 0.1, r * 1.9))


def _block(b: Builder) -> None:
    """Block with bosses and caps, perhaps drilled and milled."""
    w = b.rng.uniform(0.25, 0.6, 3)
    block = b.part("block", "block")
    b.add(block, Box((0, 0, 0), w, rounding=b.pick([0, 0.04])))
    for _ in range(b.n(1, 4) if b.smooth else 0):  # drilled and milled away
        axis, at = b.n(0, 2), b.rng.uniform(-0.7, 0.7, 3) * w
        way, r = np.eye(3)[axis], b.u(0.06, 0.2)
        b.add(
            block,
            b.pick(
                [
                    rod(at - way * 2 * w[axis], at + way * b.pick([0, 2 * w[axis]]), r),
                    Box(at + way * w[axis], b.rng.uniform(0.1, 0.3, 3)),
                ]
            ),
            softness=0.05,
            carve=True,
        )
    for i in range(b.n(2, 7)):
        axis = b.n(0, 2)
        s = b.pick([-1, 1])
        p = b.rng.uniform(-0.7, 0.7, 3) * w
        p[axis] = s * w[axis]
        way = np.eye(3)[axis] * s
        r = b.u(0.05, 0.16)
        g = f"feature {i}"
        b.add(
            b.part(f"boss {i}", g),
            rod(p - way * 0.02, p + way * b.u(0.06, 0.3), r, r * b.u(0.7, 1), segments=b.pick([6, 24, 24])),
        )
        if b.chance(0.4):
            b.add(
                b.part(f"cap {i}", g),
                Ellipsoid(p + way * 0.2, r * 0.8) if b.chance(0.5) else rod(p, p + way * 0.38, r * 0.5),
            )


def vehicle(b: Builder) -> None:
    """Car, truck, bus, train, tractor, tank, cart: body, cabin, wheels, lamps, bumpers, loads."""
    kind = b.pick(["car", "truck", "tank", "tractor", "train"])
    w = b.u(0.24, 0.36)
    boxy = b.u(0.15, 0.5)
    if kind == "car":
        b.add(b.part("body", "body"), Superquadric((0, 0, 0), (0.85, b.u(0.14, 0.2), w), boxy, boxy))
        b.add(
            b.part("cabin", "cabin"),
            Box((b.u(-0.2, 0.05), 0.24, 0), (b.u(0.3, 0.5), 0.16, w * 0.85), rounding=0.05, taper=b.u(0.65, 0.95)),
        )
        if b.chance(0.4):
            b.add(b.part("bonnet", "body"), Box((0.58, 0.1, 0), (0.25, 0.06, w * 0.8), rounding=0.03))
    elif kind == "truck":
        b.add(b.part("chassis", "body"), Box((0, -0.1, 0), (0.9, 0.05, w * 0.8)))
        b.add(
            b.part("cabin", "cabin"), Box((0.65, 0.15, 0), (0.22, 0.25, w), rounding=b.u(0.01, 0.06), taper=b.u(0.8, 1))
        )
        b.add(
            b.part("load", "load"),
            b.pick(
                [
                    Box((-0.25, 0.2, 0), (0.6, 0.3, w)),
                    rod((-0.85, 0.15, 0), (0.35, 0.15, 0), w * 0.85, bevel=0.2),
                    Box((-0.25, 0.05, 0), (0.6, 0.12, w)),
                ]
            ),
        )
    elif kind == "tank":
        b.add(b.part("hull", "body"), Box((0, 0, 0), (0.75, 0.13, w), taper=0.85))
        b.add(
            b.part("turret", "turret"),
            b.pick([Ellipsoid((0, 0.22, 0), (0.33, 0.15, w * 0.8)), rod((0, 0.1, 0), (0, 0.34, 0), 0.3, 0.22)]),
        )
        b.add(b.part("barrel", "turret"), rod((0.2, 0.24, 0), (b.u(0.8, 1.2), 0.27, 0), 0.035))
        b.add(b.part("muzzle", "turret"), rod((0.8, 0.25, 0), (0.92, 0.255, 0), 0.055))
        b.add(b.part("hatch", "turret"), rod((-0.1, 0.28, 0.08), (-0.1, 0.4, 0.08), 0.08))
        for side, name in SIDES:
            b.add(
                b.part(f"{name} track", f"{name} drive"),
                Prism((0, -0.12, side * w), rounded_rectangle(0.78, 0.13, 0.12), 0.1),
            )
            for i in range(b.n(3, 5)):
                x = -0.6 + 0.3 * i
                b.add(
                    b.part(f"{name} roller {i}", f"{name} drive"),
                    rod((x, -0.13, side * (w - 0.02)), (x, -0.13, side * (w + 0.13)), 0.1),
                )
        return
    elif kind == "tractor":
        b.add(b.part("engine", "body"), Box((0.4, 0.1, 0), (0.4, 0.15, w * 0.55), rounding=0.04))
        b.add(b.part("cabin", "cabin"), Box((-0.3, 0.3, 0), (0.27, 0.32, w * 0.8), taper=b.u(0.8, 1)))
        b.add(b.part("exhaust", "body"), rod((0.5, 0.2, 0), (0.5, 0.6, 0), 0.03))
        b.add(b.part("roof", "cabin"), Box((-0.3, 0.62, 0), (0.32, 0.03, w * 0.95)))
    else:
        b.add(b.part("boiler", "body"), rod((-0.3, 0.12, 0), (0.8, 0.12, 0), w * 0.8, bevel=0.1))
        b.add(b.part("cabin", "cabin"), Box((-0.55, 0.22, 0), (0.27, 0.35, w)))
        b.add(b.part("roof", "cabin"), Box((-0.55, 0.58, 0), (0.33, 0.03, w * 1.1)))
        b.add(b.part("chimney", "body"), rod((0.6, 0.3, 0), (0.6, 0.62, 0), 0.06, 0.1))
        b.add(b.part("dome", "body"), Ellipsoid((0.15, 0.37, 0), (0.12, 0.13, 0.12)))
        b.add(b.part("frame", "frame"), Box((0, -0.16, 0), (0.88, 0.05, w * 0.9)))
    axles = b.n(2, 4) if kind in ("train", "truck") else 2
    radius = b.u(0.13, 0.2)
    for i in range(axles):
        x = -0.58 + 1.16 * i / (axles - 1)
        r = radius * (1.9 if kind == "tractor" and i == 0 else 1)
        for side, name in SIDES:
            wheel(b, (x, -0.2 + (r - radius), side * w), r, b.u(0.08, 0.14), f"wheel {i} {name}")
        if b.chance(0.3):
            b.add(b.part(f"axle {i}", f"axle {i}"), rod((x, -0.2, -w), (x, -0.2, w), 0.025))
    if b.chance(0.6):
        for side, name in SIDES:
            b.add(
                b.part(f"{name} lamp", "front"),
                rod((0.83, 0.03, side * w * 0.65), (0.9, 0.03, side * w * 0.65), b.u(0.03, 0.06)),
            )
    if b.chance(0.5):
        b.add(b.part("front bumper", "front"), Box((0.88, -0.1, 0), (0.03, 0.03, w * 0.95), rounding=0.02))
    if b.chance(0.3):
        for side, name in SIDES:
            b.add(b.part(f"{name} mirror", "cabin"), Box((0.45, 0.22, side * (w + 0.04)), (0.02, 0.04, 0.03)))


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
    b.add(
        b.part("fuselage", "body"),
        RoundCone((length * 0.5, 0, 0), (-length * 0.5, 0.02, 0), r, r * 0.6)
        if b.chance(0.4)
        else Ellipsoid((0, 0, 0), (length * 0.85, r, r)),
    )
    if b.chance(0.6):
        b.add(b.part("nose", "body"), Ellipsoid((length * 0.55, 0, 0), (length * 0.25, r * 0.95, r * 0.95)))
    if b.chance(0.6):
        b.add(
            b.part("cockpit", "body"),
            Ellipsoid((length * 0.35, r * 0.75, 0), (length * 0.17, r * 0.6, r * 0.6)),
            softness=0.2,
        )
    span, chord, sweep = b.u(0.6, 1.0), b.u(0.15, 0.28), b.u(-0.1, 0.6)
    dihedral, tipc = b.u(-0.1, 0.15), b.u(0.3, 0.9)
    height = b.pick([-0.5, 0, 0.6]) * r
    engines = b.pick([0, 0, 1, 2])
    for side, name in SIDES:
        outline = np.array(
            [(chord, 0), (chord - sweep * span, span), (chord - sweep * span - chord * 2 * tipc, span), (-chord, 0)]
        )
        frame = np.stack([[1.0, 0, 0], unit([0, dihedral, side]), np.cross([1.0, 0, 0], unit([0, dihedral, side]))], 1)
        b.add(b.part(f"{name} wing", f"{name} wing"), Prism((0, height, 0), outline, b.u(0.012, 0.03), frame))
        if b.chance(0.3):
            tip = np.array([chord - sweep * span - chord, height + span * dihedral, side * span])
            b.add(b.part(f"{name} winglet", f"{name} wing"), Box(tip + [0, 0.07, 0], (chord * tipc * 0.8, 0.09, 0.012)))
        for k in range(engines):
            z = span * (0.35 + 0.3 * k)
            p = np.array([chord * 0.9 - sweep * z, height + dihedral * z - 0.07, side * z])
            b.add(
                b.part(f"{name} engine {k}", f"{name} wing"), rod(p - [0.18, 0, 0], p + [0.12, 0, 0], 0.05, 0.06, 0.1)
            )
            if b.chance(0.4):
                b.add(b.part(f"{name} propeller {k}", f"{name} wing"), Box(p + [0.14, 0, 0], (0.008, 0.14, 0.02)))
    tail = -length * 0.62
    for side, name in SIDES:
        s = span * b.u(0.28, 0.42)
        outline = np.array(
            [(chord * 0.6, 0), (chord * 0.6 - sweep * s, s), (-chord * 0.4 - sweep * s, s), (-chord * 0.5, 0)]
        )
        frame = np.stack([[1.0, 0, 0], [0, 0, float(side)], np.cross([1.0, 0, 0], [0, 0, float(side)])], 1)
        b.add(b.part(f"{name} tailplane", "tail"), Prism((tail, 0.03, 0), outline, 0.012, frame))
    s = b.u(0.2, 0.35)
    b.add(
        b.part("rudder", "tail"),
        Prism((tail, 0, 0), np.array([(chord * 0.6, 0), (-0.1, s), (-chord * 0.7 - 0.1, s), (-chord * 0.6, 0)]), 0.014),
    )
    if b.chance(0.35):
        for k in range(b.n(2, 4)):
            b.add(
                b.part("propeller", "nose set"),
                Box((length * 0.87, 0, 0), (0.01, b.u(0.18, 0.25), 0.03), rotation_about("x", k * np.pi / 3)),
            )
        b.add(b.part("spinner", "nose set"), Ellipsoid((length * 0.88, 0, 0), (0.07, 0.04, 0.04)))
    if b.chance(0.35):
        for i, p in enumerate(((0.35, 0), (-0.05, 0.2), (-0.05, -0.2))):
            b.add(b.part(f"strut {i}", f"gear {i}"), rod((p[0], -r * 0.5, p[1]), (p[0], -r - 0.14, p[1]), 0.014))
            b.add(
                b.part(f"wheel {i}", f"gear {i}"),
                rod((p[0], -r - 0.15, p[1] - 0.025), (p[0], -r - 0.15, p[1] + 0.025), 0.05),
            )


def _rocket(b: Builder, r: float) -> None:
    """Body, nose, fins, nozzle, boosters."""
    b.add(b.part("body", "body"), rod((0, -0.6, 0), (0, 0.4, 0), r * 1.3))
    b.add(b.part("nose", "body"), Lathe((0, 0.4, 0), [(0, 0), (r * 1.3, 0), (r, 0.2), (r * 0.5, 0.38), (0, 0.5)]))
    fins = b.n(3, 5)
    for i in range(fins):
        outline = np.array([(r, 0), (r * 3, -0.25), (r * 3, -0.4), (r, -0.2)]) * [1, b.u(0.8, 1.0)]
        b.add(b.part(f"fin {i}", "fins"), Prism((0, -0.3, 0), outline, 0.02, rotation_about("y", i * 2 * np.pi / fins)))
    b.add(b.part("nozzle", "engine"), rod((0, -0.75, 0), (0, -0.58, 0), r * 1.0, r * 0.6))
    for i in range(b.n(0, 4)):
        a = (i + 0.5) * np.pi / 2
        p = np.array([np.cos(a), 0, np.sin(a)]) * r * 1.8
        b.add(b.part(f"booster {i}", f"booster {i}"), rod(p + [0, -0.6, 0], p + [0, 0, 0], r * 0.5))
        b.add(b.part(f"booster nose {i}", f"booster {i}"), rod(p, p + [0, 0.2, 0], r * 0.5, 0.002))
    if b.chance(0.5):
        b.add(b.part("window", "body"), Torus((r * 1.25, 0.2, 0), r * 0.4, r * 0.12, rotation_to((1, 0, 0))))


def _boat(b: Builder) -> None:
    """Hull, deck house, masts with sails, funnel."""
    outline = np.array([(-0.8, -0.22), (0.3, -0.24), (0.65, -0.15), (0.95, 0), (0.65, 0.15), (0.3, 0.24), (-0.8, 0.22)])
    b.add(b.part("hull", "hull"), Prism((0, 0, 0), outline, 0.12, rotation_about("x", np.pi / 2)))
    b.add(b.part("deck house", "house"), Box((-0.2, 0.2, 0), (b.u(0.2, 0.4), 0.1, 0.15)))
    if b.chance(0.7):
        b.add(b.part("bridge", "house"), Box((-0.1, 0.36, 0), (0.14, 0.07, 0.12)))
    for i in range(b.n(1, 3)):
        x = 0.4 - 0.35 * i
        b.add(b.part(f"mast {i}", f"mast {i}"), rod((x, 0.1, 0), (x, b.u(0.6, 1.1), 0), 0.022))
        if b.chance(0.6):
            b.add(b.part(f"sail {i}", f"mast {i}"), Prism((x, 0.3, 0), np.array([(0, 0), (-0.3, 0), (0, 0.5)]), 0.01))
        b.add(b.part(f"boom {i}", f"mast {i}"), rod((x, 0.28, 0), (x - 0.32, 0.28, 0), 0.016))
    if b.chance(0.5):
        b.add(b.part("funnel", "house"), rod((-0.4, 0.2, 0), (-0.42, 0.55, 0), 0.08, 0.07))


def _helicopter(b: Builder) -> None:
    """Cabin, boom, rotors, fin, skids."""
    b.add(b.part("cabin", "body"), Ellipsoid((0.25, 0, 0), (0.4, 0.26, 0.24)))
    b.add(b.part("boom", "body"), RoundCone((0, 0.06, 0), (-0.85, 0.12, 0), 0.11, 0.045))
    b.add(b.part("mast", "rotor"), rod((0.2, 0.2, 0), (0.2, 0.38, 0), 0.035))
    blades = b.n(2, 5)
    for i in range(blades):
        a = i * 2 * np.pi / blades + 0.3
        way = np.array([np.cos(a), 0, np.sin(a)])
        b.add(
            b.part(f"blade {i}", "rotor"),
            Box(np.array([0.2, 0.38, 0]) + way * 0.42, (0.045, 0.42, 0.012), frame_along(way)),
        )
    b.add(b.part("tail fin", "tail"), Box((-0.85, 0.22, 0), (0.07, 0.13, 0.015)))
    for i in range(2):
        b.add(
            b.part("tail rotor", "tail"),
            Box((-0.88, 0.15, 0.06), (0.03, 0.16, 0.01), rotation_about("z", i * np.pi / 2)),
        )
    for side, name in SIDES:
        b.add(b.part(f"{name} skid", "gear"), RoundCone((-0.15, -0.35, side * 0.2), (0.6, -0.35, side * 0.2), 0.025))
        for k, x in enumerate((0, 0.4)):
            b.add(b.part(f"{name} strut {k}", "gear"), rod((x, -0.35, side * 0.2), (x, -0.1, side * 0.1), 0.018))


def cycle(b: Builder) -> None:
    """Bicycle, motorcycle, barrow, pram, scooter: thin frames, wheels, seats, bars with grips."""
    kind = b.pick(["bicycle", "motorcycle", "barrow", "scooter", "pram"])
    tube = b.u(0.018, 0.035)
    if kind == "barrow":
        return _barrow(b, tube)
    r = b.u(0.22, 0.34) if kind != "scooter" else b.u(0.1, 0.15)
    base = b.u(0.45, 0.6)
    rear, front = np.array([-base, -0.3, 0]), np.array([base, -0.3, 0])
    for name, at in (("rear wheel", rear), ("front wheel", front)):
        if kind == "bicycle":
            b.add(b.part(f"{name} tyre", name), Torus(at, r, b.u(0.02, 0.035), rotation_to((0, 0, 1))))
            b.add(b.part(f"{name} hub", name), rod(at - [0, 0, 0.05], at + [0, 0, 0.05], 0.035))
            for k in range(b.n(4, 8)):
                a = k * np.pi / 4
                b.add(
                    b.part(f"{name} spokes", name),
                    rod(at, at + np.array([np.cos(a), np.sin(a), 0]) * r, 0.007, segments=6),
                )
        elif kind == "pram":
            for side, which in SIDES:
                wheel(b, at + [0, 0, side * 0.25], r * 0.7, 0.06, f"{name} {which}")
        else:
            wheel(b, at, r, b.u(0.08, 0.14), name)
    if kind == "pram":
        return _pram(b, tube, rear, front)
    head = front + np.array([-0.16, 0.55, 0]) if kind != "scooter" else front + np.array([-0.1, 0.9, 0])
    if kind == "scooter":
        b.add(b.part("deck", "deck"), slab(b, (0, -0.28, 0), (base * 0.9, 0.025, 0.1)))
        b.add(b.part("stem", "steering"), rod(front, head, tube * 1.3))
    else:
        seat = np.array([-0.2, 0.2, 0])
        crank = np.array([-0.06, -0.3, 0])
        if kind == "bicycle":
            for i, (p, q) in enumerate(
                ((seat, crank), (crank, head - [0, 0.15, 0]), (seat, head - [0, 0.05, 0]), (rear, crank), (rear, seat))
            ):
                b.add(b.part(f"tube {i}", "frame"), rod(p, q, tube))
            b.add(b.part("chain ring", "drive"), Prism(crank + [0, 0, 0.04], gear_outline(0.1, 14, 0.015), 0.01))
            for side, name in SIDES:
                tip = crank + [side * 0.13, -side * 0.05, side * 0.08]
                b.add(b.part(f"{name} crank", "drive"), rod(crank + [0, 0, side * 0.06], tip, 0.015))
                b.add(b.part(f"{name} pedal", "drive"), Box(tip + [0, 0, side * 0.05], (0.05, 0.015, 0.045)))
        else:
            b.add(b.part("engine", "engine"), Superquadric((0, -0.2, 0), (0.2, 0.16, 0.12), 0.5, 0.5))
            b.add(b.part("tank", "body"), Ellipsoid((0.12, 0.2, 0), (0.24, 0.12, 0.12)))
            b.add(b.part("tail", "body"), RoundCone((-0.2, 0.12, 0), (-0.6, 0.2, 0), 0.1, 0.05))
            for i in range(b.n(0, 3)):
                b.add(b.part(f"fin {i}", "engine"), rod((0, -0.1 + 0.05 * i, 0), (0, -0.08 + 0.05 * i, 0), 0.14))
            b.add(
                b.part("exhaust", "exhaust"),
                Tube(np.array([(0.1, -0.3, 0.1), (-0.1, -0.38, 0.13), (-0.6, -0.3, 0.14)]), [0.03, 0.035, 0.05]),
            )
            b.add(b.part("swing arm", "frame"), rod(rear, (0, -0.25, 0), tube * 1.6))
        b.add(
            b.part("saddle", "seat"),
            Superquadric(seat + [0, 0.1, 0], (b.u(0.1, 0.2), 0.035, b.u(0.05, 0.09)), 0.7, 0.7),
        )
        b.add(b.part("seat post", "seat"), rod(seat - [0, 0.05, 0], seat + [0, 0.1, 0], tube * 0.9))
        for side, name in SIDES:
            b.add(
                b.part(f"{name} fork", "steering"),
                rod(front + [0, 0, side * 0.05], head - [0, 0.1, -side * 0.02], tube * 0.9),
            )
    b.add(b.part("head tube", "steering"), rod(head - [0, 0.18, 0], head + [0, 0.05, 0], tube * 1.5))
    for side, name in SIDES:
        tip = head + [-0.12, 0.07, side * 0.26]
        b.add(b.part(f"{name} bar", "steering"), Tube(arc(head + [0, 0.05, 0], tip, (0.04, 0.03, 0)), tube))
        b.add(
            b.part(f"{name} grip", "steering"),
            rod(tip + [0.03, 0, -side * 0.05], tip + [-0.02, 0, side * 0.04], tube * 1.5),
        )
    if b.chance(0.5):
        b.add(b.part("lamp", "steering"), rod(head + [0.03, -0.02, 0], head + [0.12, -0.03, 0], 0.05, 0.06))


def _barrow(b: Builder, tube: float) -> None:
    """Tray, wheel, two shafts with grips and legs."""
    wheel(b, (0.6, -0.35, 0), b.u(0.16, 0.24), 0.08, "wheel")
    b.add(b.part("tray", "tray"), Box((0, 0, 0), (0.38, 0.14, 0.28), taper=b.u(1.1, 1.4)))
    for side, name in SIDES:
        b.add(
            b.part(f"{name} shaft", f"{name} side"),
            beam((0.62, -0.33, side * 0.07), (-0.8, 0.02, side * 0.28), tube * 1.2, False),
        )
        b.add(
            b.part(f"{name} grip", f"{name} side"), rod((-0.7, 0, side * 0.27), (-0.9, 0.04, side * 0.29), tube * 1.8)
        )
        b.add(
            b.part(f"{name} leg", f"{name} side"),
            beam((-0.3, -0.1, side * 0.22), (-0.35, -0.5, side * 0.24), tube, False),
        )


def _pram(b: Builder, tube: float, rear: np.ndarray, front: np.ndarray) -> None:
    """Basket with hood, frame and handle."""
    b.add(b.part("basket", "basket"), Superquadric((0, 0.15, 0), (0.5, 0.2, 0.25), 0.5, 0.4))
    b.add(b.part("hood", "basket"), Ellipsoid((0.2, 0.35, 0), (0.3, 0.25, 0.26)))
    for side, name in SIDES:
        b.add(b.part(f"{name} strut a", "frame"), rod(rear + [0, 0, side * 0.22], (0.2, 0.1, side * 0.22), tube))
        b.add(b.part(f"{name} strut b", "frame"), rod(front + [0, 0, side * 0.22], (-0.2, 0.1, side * 0.22), tube))
        b.add(b.part(f"{name} arm", "handle"), rod((-0.4, 0.2, side * 0.22), (-0.75, 0.5, side * 0.22), tube))
    b.add(b.part("bar", "handle"), rod((-0.75, 0.5, -0.24), (-0.75, 0.5, 0.24), tube * 1.4))


def robot(b: Builder) -> None:
    """Jointed figure of boxes, cylinders and balls: head with antennas, chest with buttons, limbs with joints, or wheels."""
    square, r = b.chance(0.6), b.u(0.035, 0.07)
    w, d, h = b.u(0.15, 0.26), b.u(0.1, 0.2), b.u(0.18, 0.3)

    def bulk(center, half):
        return (
            slab(b, center, half)
            if square
            else rod(
                np.subtract(center, (0, half[1], 0)),
                np.add(center, (0, half[1], 0)),
                min(half[0], half[2]) * 1.1,
                None,
                0.15,
            )
        )

    b.add(b.part("chest", "torso"), bulk((0, 0.2, 0), (d, h * 0.7, w)))
    b.add(b.part("hips", "torso"), bulk((0, -0.13, 0), (d * 0.8, 0.08, w * 0.8)))
    if b.chance(0.5):
        b.add(b.part("waist", "torso"), rod((0, -0.1, 0), (0, 0.1, 0), d * 0.5))
    for i in range(b.n(0, 5)):
        b.add(
            b.part(f"button {i}", "torso"),
            rod((d * 0.9, 0.28 - 0.06 * i, -w * 0.4), (d * 1.15, 0.28 - 0.06 * i, -w * 0.4), 0.02),
        )
    if b.chance(0.4):
        b.add(b.part("chest plate", "torso"), Box((d, 0.22, w * 0.25), (0.02, 0.09, w * 0.4)))
    top = 0.2 + h * 0.7
    hr = b.u(0.09, 0.16)
    c = np.array([0, top + 0.05 + hr, 0])
    b.add(b.part("neck", "head"), rod((0, top - 0.03, 0), (0, top + 0.08, 0), hr * 0.4))
    b.add(
        b.part("skull", "head"),
        b.pick(
            [
                Box(c, (hr, hr, hr), rounding=hr * 0.2),
                Ellipsoid(c, hr * 1.1),
                rod(c - [0, hr, 0], c + [0, hr, 0], hr, None, 0.2),
            ]
        ),
    )
    for side, name in SIDES:
        if b.chance(0.8):
            b.add(
                b.part(f"{name} eye", "head"),
                rod(
                    c + [hr * 0.8, hr * 0.2, side * hr * 0.45],
                    c + [hr * 1.12, hr * 0.2, side * hr * 0.45],
                    hr * b.u(0.15, 0.3),
                ),
            )
        if b.chance(0.5):
            b.add(
                b.part(f"{name} ear", "head"), rod(c + [0, 0, side * hr * 0.8], c + [0, 0, side * hr * 1.25], hr * 0.35)
            )
        if b.chance(0.3):
            tip = c + [0, hr * 2.2, side * hr * 0.5]
            b.add(b.part(f"{name} antenna", "head"), rod(c + [0, hr * 0.8, side * hr * 0.4], tip, hr * 0.07))
            b.add(b.part(f"{name} antenna ball", "head"), Ellipsoid(tip, hr * 0.2))
    if b.chance(0.3):
        b.add(b.part("mouth", "head"), Box(c + [hr, -hr * 0.5, 0], (hr * 0.1, hr * 0.12, hr * 0.5)))
    gripper = b.chance(0.6)
    for side, name in SIDES:
        group = f"{name} arm"
        at = np.array([0, top - 0.06, side * (w + r * 0.8)])
        swing, out = b.u(-0.8, 1.0), b.u(0.0, 0.9)
        way = unit([swing, -1, side * out])
        b.add(b.part(f"{name} shoulder", group), Ellipsoid(at, r * 1.5))
        for k, label in enumerate(("upper arm", "forearm")):
            tip = at + way * b.u(0.2, 0.28)
            b.add(b.part(f"{name} {label}", group), beam(at, tip, r, square))
            b.add(
                b.part(f"{name} {'elbow' if k == 0 else 'wrist'}", group),
                Ellipsoid(tip, r * 1.25)
                if b.chance(0.6)
                else rod(tip - [0, 0, r * 1.2], tip + [0, 0, r * 1.2], r * 1.1),
            )
            at, way = tip, unit(way + [b.u(0, 1.2), b.u(0, 0.5), 0])
        if gripper:
            for k in (-1, 1):
                f = np.cross(way, [0, 0, 1]) * k * r
                b.add(
                    b.part(f"{name} claw {k}", group),
                    Tube(
                        np.stack([at + f * 0.3, at + way * r * 1.6 + f * 1.6, at + way * r * 3.2 + f * 0.6]), r * 0.35
                    ),
                )
        else:
            b.add(b.part(f"{name} fist", group), slab(b, at + way * r * 1.3, (r * 1.3, r * 1.3, r)))
    if b.chance(0.25):
        for side, name in SIDES:
            wheel(b, (0, -0.4, side * w), b.u(0.15, 0.25), 0.09, f"{name} wheel")
            b.add(
                b.part(f"{name} fork", f"{name} wheel"),
                beam((0, -0.1, side * w * 0.7), (0, -0.4, side * w * 0.8), r, square),
            )
        return
    for side, name in SIDES:
        group = f"{name} leg"
        at = np.array([0, -0.18, side * w * 0.5])
        way = unit([b.u(-0.4, 0.5), -1, side * b.u(0, 0.2)])
        for label in ("thigh", "shin"):
            tip = at + way * b.u(0.22, 0.3)
            b.add(b.part(f"{name} {label}", group), beam(at, tip, r * 1.2, square))
            b.add(b.part(f"{name} {'knee' if label == 'thigh' else 'ankle'}", group), Ellipsoid(tip, r * 1.4))
            at, way = tip, unit(way * [0.3, 1, 1])
        b.add(b.part(f"{name} foot", group), slab(b, at + [r, -r, 0], (r * 2.4, r * 0.8, r * 1.5)))


def device(b: Builder) -> None:
    """Monitor, keyboard, camera, radio, clock, fan, telephone, padlock, pistol, game pad."""
    b.pick([_monitor, _keyboard, _camera, _radio, _clock, _fan, _telephone, _padlock, _pistol, _pad])(b)


def _monitor(b: Builder) -> None:
    """Screen in a case on a stand."""
    w, h = b.u(0.5, 0.8), b.u(0.3, 0.45)
    b.add(b.part("case", "display"), Box((0, 0.3, 0), (0.05, h, w), rounding=b.u(0, 0.03)))
    b.add(b.part("screen", "display"), Box((0.045, 0.32, 0), (0.012, h * 0.85, w * 0.92)))
    for i in range(b.n(0, 5)):
        b.add(
            b.part(f"button {i}", "display"),
            rod((0.04, 0.3 - h * 0.93, w * 0.8 - 0.07 * i), (0.065, 0.3 - h * 0.93, w * 0.8 - 0.07 * i), 0.016),
        )
    b.add(b.part("neck", "stand"), Box((-0.02, -0.15, 0), (0.03, b.u(0.12, 0.2), 0.07)))
    b.add(b.part("foot", "stand"), slab(b, (0, -0.34, 0), (0.2, 0.025, 0.3)))
    if b.chance(0.3):
        b.add(b.part("web camera", "display"), Box((0, 0.32 + h, 0), (0.03, 0.03, 0.05), rounding=0.01))


def _keyboard(b: Builder) -> None:
    """Plate with rows of keys."""
    rows, cols = b.n(2, 4), b.n(5, 9)
    pitch = 0.16
    b.add(
        b.part("plate", "plate"),
        Box((0, 0, 0), (rows * pitch * 0.5 + 0.06, 0.04, cols * pitch * 0.5 + 0.06), rounding=0.015),
    )
    black = b.chance(0.3)
    for i in range(rows):
        for j in range(cols):
            x, z = (i - (rows - 1) / 2) * pitch, (j - (cols - 1) / 2) * pitch
            b.add(
                b.part(f"key {i}.{j}", f"row {i}"),
                Box(
                    (x, 0.06, z),
                    (pitch * 0.4, 0.035 + 0.03 * (black and (i + j) % 2), pitch * 0.4),
                    taper=b.pick([1, 0.8]),
                ),
            )


def _camera(b: Builder) -> None:
    """Body with lens rings, viewfinder, shutter and dial."""
    w, h, d = b.u(0.4, 0.55), b.u(0.22, 0.34), b.u(0.12, 0.2)
    b.add(b.part("body", "body"), Box((0, 0, 0), (d, h, w), rounding=b.u(0, 0.06)))
    z = b.u(-0.15, 0.15)
    x, r = d, b.u(0.15, 0.2)
    for i in range(b.n(1, 4)):
        reach = b.u(0.06, 0.16)
        b.add(b.part(f"lens ring {i}", "lens"), rod((x - 0.03, 0, z), (x + reach, 0, z), r, r * b.u(0.85, 1)))
        x, r = x + reach, r * b.u(0.85, 1.02)
    b.add(b.part("glass", "lens"), Ellipsoid((x - 0.02, 0, z), (0.05, r * 0.8, r * 0.8)))
    if b.chance(0.6):
        b.add(b.part("viewfinder", "top"), Box((0, h + 0.05, z), (d * 0.7, 0.07, 0.12), taper=0.7))
    b.add(b.part("shutter", "top"), rod((0.03, h - 0.01, w * 0.7), (0.03, h + 0.05, w * 0.7), 0.04))
    if b.chance(0.6):
        b.add(b.part("dial", "top"), rod((-0.04, h - 0.01, -w * 0.65), (-0.04, h + 0.06, -w * 0.65), 0.09))
    if b.chance(0.4):
        b.add(b.part("grip", "body"), RoundCone((d, -h * 0.7, w * 0.85), (d, h * 0.6, w * 0.85), 0.08))


def _radio(b: Builder) -> None:
    """Case with speakers, knobs, handle and antenna."""
    w, h = b.u(0.5, 0.7), b.u(0.25, 0.4)
    b.add(b.part("case", "case"), Box((0, 0, 0), (0.17, h, w), rounding=b.u(0, 0.08)))
    for s in (-1, 1) if b.chance(0.6) else (1,):
        b.add(
            b.part(f"speaker {s}", f"speaker {s}"),
            rod((0.14, -0.02, s * w * 0.55), (0.2, -0.02, s * w * 0.55), h * 0.6),
        )
        b.add(
            b.part(f"speaker cone {s}", f"speaker {s}"),
            Ellipsoid((0.2, -0.02, s * w * 0.55), (0.04, h * 0.25, h * 0.25)),
        )
    for i in range(b.n(1, 5)):
        b.add(
            b.part(f"knob {i}", "controls"),
            rod((0.15, h * 0.6 - 0.13 * i, 0), (0.24, h * 0.6 - 0.13 * i, 0), b.u(0.03, 0.055), bevel=0.2),
        )
    if b.chance(0.6):
        b.add(
            b.part("handle", "handle"), Tube(arc((0, h * 0.9, -w * 0.7), (0, h * 0.9, w * 0.7), (0, 0.2, 0), 11), 0.03)
        )
    if b.chance(0.6):
        b.add(b.part("antenna", "antenna"), rod((-0.08, h * 0.8, w * 0.85), (-0.08, h + 0.7, w * b.u(0.2, 1.2)), 0.012))
        b.add(b.part("antenna tip", "antenna"), Ellipsoid((-0.08, h + 0.7, w * 0.85), 0.025))


def _clock(b: Builder) -> None:
    """Dial with marks and hands, perhaps bells and feet."""
    r = b.u(0.4, 0.5)
    b.add(b.part("case", "case"), rod((-0.12, 0, 0), (0.05, 0, 0), r, None, 0.1, segments=40))
    b.add(b.part("rim", "case"), Torus((0.05, 0, 0), r * 0.95, 0.04, rotation_to((1, 0, 0))))
    for i in range(12 if b.chance(0.6) else 4):
        a = i * 2 * np.pi / 12
        b.add(
            b.part(f"mark {i}", "dial"),
            Box(
                (0.055, np.sin(a) * r * 0.78, np.cos(a) * r * 0.78),
                (0.012, 0.035, 0.015),
                rotation_about("x", -a + np.pi / 2),
            ),
        )
    for i, reach in enumerate((0.45, 0.7)):
        a = b.u(0, 6.28)
        b.add(
            b.part(f"hand {i}", "hands"),
            RoundCone((0.08, 0, 0), (0.08, np.sin(a) * r * reach, np.cos(a) * r * reach), 0.022, 0.012),
        )
    b.add(b.part("axle", "hands"), rod((0.04, 0, 0), (0.11, 0, 0), 0.035))
    if b.chance(0.6):
        for side, name in SIDES:
            b.add(b.part(f"{name} bell", "bells"), Ellipsoid((-0.03, r * 0.95, side * r * 0.5), (0.12, 0.12, 0.14)))
            b.add(
                b.part(f"{name} foot", "feet"),
                rod((-0.03, -r * 0.7, side * r * 0.6), (-0.03, -r * 1.15, side * r * 0.75), 0.035),
            )


def _fan(b: Builder) -> None:
    """Blades in a cage on a stand."""
    r = b.u(0.35, 0.45)
    b.add(b.part("base", "stand"), rod((0, -0.8, 0), (0, -0.72, 0), 0.28, 0.24))
    b.add(b.part("pole", "stand"), rod((0, -0.75, 0), (-0.05, 0, 0), 0.035))
    b.add(b.part("motor", "motor"), RoundCone((-0.25, 0, 0), (-0.05, 0, 0), 0.1, 0.12))
    for k in range(b.n(3, 5)):
        a = k * 2 * np.pi / 4
        way = np.array([0, np.sin(a), np.cos(a)])
        b.add(
            b.part(f"blade {k}", "rotor"),
            Ellipsoid(way * r * 0.5 + [0.08, 0, 0], (0.02, r * 0.45, r * 0.22), rotation_to(way, 0.5)),
        )
    b.add(b.part("hub", "rotor"), Ellipsoid((0.1, 0, 0), (0.06, 0.07, 0.07)))
    b.add(b.part("front ring", "cage"), Torus((0.1, 0, 0), r, 0.02, rotation_to((1, 0, 0))))
    for k in range(b.n(4, 9)):
        a = k * 2 * np.pi / 9
        b.add(
            b.part("cage wires", "cage"),
            Tube(arc((0.17, 0, 0), (0.1, np.sin(a) * r, np.cos(a) * r), (0.03, 0, 0)), 0.01),
        )


def _telephone(b: Builder) -> None:
    """Base with dial or keys, and a handset."""
    b.add(b.part("base", "base"), Box((0, 0, 0), (0.35, 0.12, 0.3), rounding=0.05, taper=0.75))
    if b.chance(0.5):
        b.add(b.part("dial", "dial"), rod((0.1, 0.1, 0), (0.12, 0.17, 0), 0.17))
        for i in range(8):
            a = i * np.pi / 4.5
            b.add(
                b.part(f"finger hole {i}", "dial"),
                rod(
                    (0.12 + 0.11 * np.cos(a), 0.15, 0.11 * np.sin(a)),
                    (0.12 + 0.11 * np.cos(a), 0.185, 0.11 * np.sin(a)),
                    0.025,
                ),
            )
    else:
        for i in range(12):
            x, z = -0.02 + 0.085 * (i // 3), (i % 3 - 1) * 0.09
            b.add(b.part(f"key {i}", "keys"), Box((x, 0.14, z), (0.03, 0.02, 0.033)))
    y = b.u(0.2, 0.28)
    b.add(b.part("handle", "handset"), Tube(arc((-0.15, y, -0.3), (-0.15, y, 0.3), (0, 0.07, 0), 9), 0.045))
    for side, name in SIDES:
        b.add(
            b.part(f"{name} shell", "handset"),
            rod((-0.15, y - 0.06, side * 0.32), (-0.15, y + 0.03, side * 0.32), 0.09, 0.07),
        )


def _padlock(b: Builder) -> None:
    """Body with shackle, key plate and key."""
    w, h = b.u(0.25, 0.35), b.u(0.22, 0.32)
    b.add(b.part("body", "body"), slab(b, (0, 0, 0), (0.1, h, w)))
    a = np.linspace(0, np.pi, 15)
    rise = b.u(0.1, 0.3)
    loop = np.stack([np.zeros(15), h + rise + np.sin(a) * w * 0.65, np.cos(a) * w * 0.65], 1)
    b.add(
        b.part("shackle", "shackle"),
        Tube(np.concatenate([[(0, h * 0.8, w * 0.65)], loop, [(0, h * 0.8, -w * 0.65)]]), b.u(0.04, 0.07)),
    )
    b.add(b.part("key plate", "body"), rod((0.08, -0.05, 0), (0.13, -0.05, 0), 0.09))
    if b.chance(0.5):
        b.add(b.part("key shaft", "key"), rod((0.1, -0.05, 0), (0.4, -0.05, 0), 0.02))
        b.add(b.part("key bow", "key"), Torus((0.5, -0.05, 0), 0.09, 0.025, rotation_to((0, 0, 1))))


def _pistol(b: Builder) -> None:
    """Barrel, grip, guard and trigger."""
    b.add(b.part("slide", "barrel"), Box((0.1, 0.2, 0), (0.5, 0.09, 0.06), rounding=0.02))
    b.add(b.part("muzzle", "barrel"), rod((0.58, 0.21, 0), (0.68, 0.21, 0), 0.045))
    b.add(
        b.part("grip", "handle"),
        Superquadric((-0.32, -0.15, 0), (0.1, 0.32, 0.06), 0.3, 0.4, rotation_about("z", -b.u(0.1, 0.3))),
    )
    b.add(b.part("guard", "trigger"), Torus((-0.1, 0.02, 0), 0.1, 0.018, rotation_to((0, 0, 1))))
    b.add(b.part("trigger", "trigger"), Tube(arc((-0.1, 0.1, 0), (-0.08, -0.03, 0), (0.04, 0, 0)), 0.016))
    b.add(b.part("hammer", "barrel"), Box((-0.42, 0.27, 0), (0.03, 0.06, 0.025), rotation_about("z", 0.4)))
    b.add(b.part("front sight", "barrel"), Box((0.5, 0.3, 0), (0.02, 0.025, 0.012)))
    if b.chance(0.3):
        b.add(b.part("drum", "barrel"), rod((-0.2, 0.17, 0), (0.1, 0.17, 0), 0.12, segments=8))


def _pad(b: Builder) -> None:
    """Game pad with sticks, buttons and a cross."""
    w = b.u(0.35, 0.45)
    b.add(b.part("shell", "body"), Superquadric((0, 0, 0), (0.22, 0.09, w), 0.7, 0.5))
    for side, name in SIDES:
        b.add(
            b.part(f"{name} horn", "body"), RoundCone((0, 0, side * w * 0.7), (-0.35, -0.05, side * w * 1.0), 0.12, 0.1)
        )
        b.add(b.part(f"{name} stick", "sticks"), rod((-0.08, 0.05, side * 0.16), (-0.08, 0.14, side * 0.16), 0.035))
        b.add(b.part(f"{name} stick cap", "sticks"), rod((-0.08, 0.13, side * 0.16), (-0.08, 0.16, side * 0.16), 0.065))
    for i in range(4):
        a = i * np.pi / 2
        b.add(
            b.part(f"button {i}", "buttons"),
            rod(
                (0.07 + 0.06 * np.cos(a), 0.06, w * 0.65 + 0.06 * np.sin(a)),
                (0.07 + 0.06 * np.cos(a), 0.115, w * 0.65 + 0.06 * np.sin(a)),
                0.028,
            ),
        )
    b.add(b.part("cross", "buttons"), Box((0.07, 0.09, -w * 0.65), (0.08, 0.02, 0.025)))
    b.add(b.part("cross", "buttons"), Box((0.07, 0.09, -w * 0.65), (0.025, 0.02, 0.08)))
