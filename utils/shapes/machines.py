"""Machine parts, vehicles, robots, devices."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import SIDES, arc, beam, circle, frame_along, gear_outline, rounded_rectangle, slab, spiral, wheel
from utils.shapes.solids import Box, Ellipsoid, Lathe, Prism, RoundCone, Superquadric, Torus, Tube, rod, rotation_about, rotation_to, unit


def mechanical(b: Builder) -> None:
    """Flange, bracket with bosses, shaft with steps and gear, knob, valve, bearing block, bolt."""
    b.pick([_flange, _bracket, _shaft, _valve, _bolt, _pipe, _block])(b)


def _flange(b: Builder) -> None:
    """Disc with a bore, bolts or holes, a hub with ribs."""
    flat = rotation_about("x", -np.pi / 2)  # extrudes along y
    r, t, holes = b.u(.4, .6), b.u(.04, .1), b.n(3, 8)
    bore, bolt = r * b.u(.2, .35), r * b.u(.07, .11)
    drilled = b.chance(.6)
    where = [circle(bolt, 10, (np.cos(a) * r * .78, np.sin(a) * r * .78)) for a in np.arange(holes) * 2 * np.pi / holes]
    b.add(b.part("disc", "flange"), Prism((0, 0, 0), circle(r, 40), t, flat, holes=([circle(bore, 20)] if b.chance(.5) else []) + (where if drilled else [])))
    if not drilled:
        for i, a in enumerate(np.arange(holes) * 2 * np.pi / holes):
            p = np.array([np.cos(a) * r * .78, 0, np.sin(a) * r * .78])
            b.add(b.part(f"bolt {i}", "bolts"), rod(p + [0, t * .5, 0], p + [0, t + bolt * 1.2, 0], bolt, segments=6))
    hub = bore * b.u(1.2, 1.9)
    h = b.u(.15, .6)
    b.add(b.part("hub", "hub"), Lathe((0, 0, 0), [(bore, 0), (hub, 0), (hub * b.u(.8, 1), h), (bore, h)]))
    if b.chance(.4):
        b.add(b.part("collar", "hub"), Torus((0, h, 0), hub * .95, hub * .12))
    for i in range(b.n(3, 6) if b.chance(.5) else 0):
        a = 2 * np.pi * (i + .5) / 6
        rib = np.array([(hub * .9, t), (r * .9, t), (hub * .9, h * .9)])
        b.add(b.part(f"rib {i}", "ribs"), Prism((0, 0, 0), rib, .025, rotation_about("y", a)))


def _bracket(b: Builder) -> None:
    """Foot plate with lugs, bosses, pins, webs and bolts."""
    flat = rotation_about("x", -np.pi / 2)  # extrudes along y
    w, t, l = b.u(.25, .45), b.u(.04, .08), b.u(.4, .7)
    b.add(b.part("foot", "foot"), Prism((0, 0, 0), rounded_rectangle(l, w, b.u(.02, .12)), t, flat, holes=[circle(.06, 12, (sx * l * .7, sz * w * .6)) for sx in (-1, 1) for sz in (-1, 1)]))
    for i, s in enumerate((-1, 1) if b.chance(.5) else (0,)):
        x = s * l * .4
        h = b.u(.4, .7)
        outline = np.concatenate([[(-w * .8, 0), (w * .8, 0)], circle(w * .5, 16, (0, h))[:9]])
        frame = rotation_about("y", np.pi / 2)
        b.add(b.part(f"lug {i}", f"lug {i}"), Prism((x, 0, 0), outline, t, frame, holes=[circle(w * .22, 14, (0, h))]))
        b.add(b.part(f"boss {i}", f"lug {i}"), Lathe((x - t * 2, h, 0), [(w * .22, 0), (w * .36, 0), (w * .36, t * 4), (w * .22, t * 4)], rotation_to((1, 0, 0))))
        if b.chance(.5):
            b.add(b.part(f"pin {i}", f"pin {i}"), rod((x - t * 4, h, 0), (x + t * 4, h, 0), w * .2, bevel=.2))
        if b.chance(.4):
            b.add(b.part(f"web {i}", f"lug {i}"), Prism((x, t, 0), np.array([(0, 0), (l * .45, 0), (0, h * .6)]), .03))
    if b.chance(.5):
        for i in range(b.n(1, 4)):
            p = np.array([(-1) ** i * l * .7, t, (-1) ** (i // 2) * w * .6])
            b.add(b.part(f"bolt {i}", "bolts"), rod(p, p + [0, .07, 0], .085, segments=6))


def _shaft(b: Builder) -> None:
    """Stepped shaft with rings, gears and a crank."""
    x = -.8
    for i in range(b.n(3, 7)):
        l, r = b.u(.1, .4), b.u(.06, .18)
        form = b.pick(["rod", "rod", "cone", "gear", "ring"])
        if form == "gear":
            rr, half = b.u(.25, .42), b.u(.05, .09)
            b.add(b.part(f"gear {i}", f"gear {i}"), Prism((x + half, 0, 0), gear_outline(rr, b.n(8, 20), rr * .18), half, rotation_to((1, 0, 0)) @ rotation_about("x", np.pi / 2)))
            b.add(b.part(f"gear hub {i}", f"gear {i}"), rod((x - .03, 0, 0), (x + 2 * half + .03, 0, 0), rr * .5))
            l = 2 * half
        else:
            b.add(b.part(f"step {i}", "shaft"), rod((x, 0, 0), (x + l + .01, 0, 0), r, r * b.u(.4, 1.2) if form == "cone" else r, .08 if b.chance(.5) else 0))
            if form == "ring":
                b.add(b.part(f"ring {i}", "shaft"), Torus((x + l / 2, 0, 0), r, r * .3, rotation_to((1, 0, 0))))
        x += l
    if b.chance(.4):
        b.add(b.part("crank", "crank"), Box((x, .2, 0), (.04, .28, .06), rounding=.02))
        b.add(b.part("crank grip", "crank"), rod((x, .42, 0), (x + .35, .42, 0), .05, .06, .2))


def _valve(b: Builder) -> None:
    """Pipe with flanges, a bonnet and a hand wheel."""
    r = b.u(.1, .18)
    b.add(b.part("pipe", "pipe"), rod((-.7, 0, 0), (.7, 0, 0), r))
    for s, name in SIDES:
        b.add(b.part(f"{name} flange", "pipe"), rod((s * .66, 0, 0), (s * .76, 0, 0), r * b.u(1.6, 2.2)))
    b.add(b.part("body", "body"), Ellipsoid((0, 0, 0), (r * 2, r * 1.7, r * 1.7)))
    b.add(b.part("bonnet", "body"), rod((0, r, 0), (0, r * 2.6, 0), r * 1.1, r * .7))
    b.add(b.part("stem", "wheel"), rod((0, r * 2, 0), (0, .65, 0), r * .25))
    wheel = b.u(.25, .38)
    b.add(b.part("wheel rim", "wheel"), Torus((0, .62, 0), wheel, wheel * b.u(.08, .16)))
    for i in range(b.n(3, 5)):
        a = i * 2 * np.pi / 4
        b.add(b.part(f"spoke {i}", "wheel"), rod((0, .62, 0), (np.cos(a) * wheel, .62, np.sin(a) * wheel), wheel * .07))
    b.add(b.part("wheel hub", "wheel"), Ellipsoid((0, .63, 0), r * .5))


def _bolt(b: Builder) -> None:
    """Bolt with a thread, nuts and washers."""
    r = b.u(.08, .16)
    b.add(b.part("shank", "bolt"), rod((0, -.7, 0), (0, .5, 0), r))
    b.add(b.part("head", "bolt"), rod((0, .45, 0), (0, .45 + r * 1.4, 0), r * 1.9, bevel=.1, segments=b.pick([4, 6, 6, 24])))
    if b.chance(.6):
        b.add(b.part("thread", "bolt"), Tube(spiral((-r, -.68, 0), (0, 1, 0), r, 8, .6, 90), r * .16, sides=5))
    for i in range(b.n(0, 2)):
        y = -.3 + .35 * i
        b.add(b.part(f"nut {i}", f"nut {i}"), rod((0, y, 0), (0, y + r * 1.3, 0), r * 1.8, bevel=.1, segments=6))
        b.add(b.part(f"washer {i}", f"nut {i}"), rod((0, y - r * .25, 0), (0, y + .01, 0), r * 2.3))


def _pipe(b: Builder) -> None:
    """Pipe runs with elbows, sleeves and an end flange."""
    r = b.u(.1, .17)
    at, way = np.zeros(3), np.array([0.0, 1, 0])
    for i in range(b.n(2, 5)):
        end = at + way * b.u(.35, .7)
        b.add(b.part(f"pipe {i}", f"run {i}"), rod(at, end, r))
        if b.chance(.6):
            mid = at + (end - at) * .5
            b.add(b.part(f"sleeve {i}", f"run {i}"), rod(mid - way * r * .5, mid + way * r * .5, r * 1.25, bevel=.1))
        b.add(b.part(f"elbow {i}", f"elbow {i}"), Ellipsoid(end, r * 1.2) if b.chance(.6) else Torus(end, r, r * .3, rotation_to(way)))
        at, way = end, np.roll(way, b.n(1, 2)) * b.pick([-1, 1])
    b.add(b.part("end flange", "end"), rod(at, at + way * .1, r * 1.9))


def _block(b: Builder) -> None:
    """Block with bosses and caps, perhaps drilled and milled."""
    w = b.rng.uniform(.25, .6, 3)
    block = b.part("block", "block")
    b.add(block, Box((0, 0, 0), w, rounding=b.pick([0, .04])))
    for _ in range(b.n(1, 4) if b.smooth else 0):  # drilled and milled away
        axis, at = b.n(0, 2), b.rng.uniform(-.7, .7, 3) * w
        way, r = np.eye(3)[axis], b.u(.06, .2)
        b.add(block, b.pick([rod(at - way * 2 * w[axis], at + way * b.pick([0, 2 * w[axis]]), r), Box(at + way * w[axis], b.rng.uniform(.1, .3, 3))]), softness=.05, carve=True)
    for i in range(b.n(2, 7)):
        axis = b.n(0, 2)
        s = b.pick([-1, 1])
        p = b.rng.uniform(-.7, .7, 3) * w
        p[axis] = s * w[axis]
        way = np.eye(3)[axis] * s
        r = b.u(.05, .16)
        g = f"feature {i}"
        b.add(b.part(f"boss {i}", g), rod(p - way * .02, p + way * b.u(.06, .3), r, r * b.u(.7, 1), segments=b.pick([6, 24, 24])))
        if b.chance(.4):
            b.add(b.part(f"cap {i}", g), Ellipsoid(p + way * .2, r * .8) if b.chance(.5) else rod(p, p + way * .38, r * .5))


def vehicle(b: Builder) -> None:
    """Car, truck, bus, train, tractor, tank, cart: body, cabin, wheels, lamps, bumpers, loads."""
    kind = b.pick(["car", "truck", "tank", "tractor", "train"])
    w = b.u(.24, .36)
    boxy = b.u(.15, .5)
    if kind == "car":
        b.add(b.part("body", "body"), Superquadric((0, 0, 0), (.85, b.u(.14, .2), w), boxy, boxy))
        b.add(b.part("cabin", "cabin"), Box((b.u(-.2, .05), .24, 0), (b.u(.3, .5), .16, w * .85), rounding=.05, taper=b.u(.65, .95)))
        if b.chance(.4):
            b.add(b.part("bonnet", "body"), Box((.58, .1, 0), (.25, .06, w * .8), rounding=.03))
    elif kind == "truck":
        b.add(b.part("chassis", "body"), Box((0, -.1, 0), (.9, .05, w * .8)))
        b.add(b.part("cabin", "cabin"), Box((.65, .15, 0), (.22, .25, w), rounding=b.u(.01, .06), taper=b.u(.8, 1)))
        b.add(b.part("load", "load"), b.pick([Box((-.25, .2, 0), (.6, .3, w)), rod((-.85, .15, 0), (.35, .15, 0), w * .85, bevel=.2), Box((-.25, .05, 0), (.6, .12, w))]))
    elif kind == "tank":
        b.add(b.part("hull", "body"), Box((0, 0, 0), (.75, .13, w), taper=.85))
        b.add(b.part("turret", "turret"), b.pick([Ellipsoid((0, .22, 0), (.33, .15, w * .8)), rod((0, .1, 0), (0, .34, 0), .3, .22)]))
        b.add(b.part("barrel", "turret"), rod((.2, .24, 0), (b.u(.8, 1.2), .27, 0), .035))
        b.add(b.part("muzzle", "turret"), rod((.8, .25, 0), (.92, .255, 0), .055))
        b.add(b.part("hatch", "turret"), rod((-.1, .28, .08), (-.1, .4, .08), .08))
        for side, name in SIDES:
            b.add(b.part(f"{name} track", f"{name} drive"), Prism((0, -.12, side * w), rounded_rectangle(.78, .13, .12), .1))
            for i in range(b.n(3, 5)):
                x = -.6 + .3 * i
                b.add(b.part(f"{name} roller {i}", f"{name} drive"), rod((x, -.13, side * (w - .02)), (x, -.13, side * (w + .13)), .1))
        return
    elif kind == "tractor":
        b.add(b.part("engine", "body"), Box((.4, .1, 0), (.4, .15, w * .55), rounding=.04))
        b.add(b.part("cabin", "cabin"), Box((-.3, .3, 0), (.27, .32, w * .8), taper=b.u(.8, 1)))
        b.add(b.part("exhaust", "body"), rod((.5, .2, 0), (.5, .6, 0), .03))
        b.add(b.part("roof", "cabin"), Box((-.3, .62, 0), (.32, .03, w * .95)))
    else:
        b.add(b.part("boiler", "body"), rod((-.3, .12, 0), (.8, .12, 0), w * .8, bevel=.1))
        b.add(b.part("cabin", "cabin"), Box((-.55, .22, 0), (.27, .35, w)))
        b.add(b.part("roof", "cabin"), Box((-.55, .58, 0), (.33, .03, w * 1.1)))
        b.add(b.part("chimney", "body"), rod((.6, .3, 0), (.6, .62, 0), .06, .1))
        b.add(b.part("dome", "body"), Ellipsoid((.15, .37, 0), (.12, .13, .12)))
        b.add(b.part("frame", "frame"), Box((0, -.16, 0), (.88, .05, w * .9)))
    axles = b.n(2, 4) if kind in ("train", "truck") else 2
    radius = b.u(.13, .2)
    for i in range(axles):
        x = -.58 + 1.16 * i / (axles - 1)
        r = radius * (1.9 if kind == "tractor" and i == 0 else 1)
        for side, name in SIDES:
            wheel(b, (x, -.2 + (r - radius), side * w), r, b.u(.08, .14), f"wheel {i} {name}")
        if b.chance(.3):
            b.add(b.part(f"axle {i}", f"axle {i}"), rod((x, -.2, -w), (x, -.2, w), .025))
    if b.chance(.6):
        for side, name in SIDES:
            b.add(b.part(f"{name} lamp", "front"), rod((.83, .03, side * w * .65), (.9, .03, side * w * .65), b.u(.03, .06)))
    if b.chance(.5):
        b.add(b.part("front bumper", "front"), Box((.88, -.1, 0), (.03, .03, w * .95), rounding=.02))
    if b.chance(.3):
        for side, name in SIDES:
            b.add(b.part(f"{name} mirror", "cabin"), Box((.45, .22, side * (w + .04)), (.02, .04, .03)))


def aircraft(b: Builder) -> None:
    """Aeroplane, rocket, helicopter, boat: hull, wings, tail, engines, propellers, cockpit, masts."""
    kind = b.pick(["plane", "plane", "plane", "rocket", "helicopter", "boat"])
    r = b.u(.08, .16)
    if kind == "rocket":
        return _rocket(b, r)
    if kind == "boat":
        return _boat(b)
    length = b.u(.7, 1.0)
    if kind == "helicopter":
        return _helicopter(b)
    b.add(b.part("fuselage", "body"), RoundCone((length * .5, 0, 0), (-length * .5, .02, 0), r, r * .6) if b.chance(.4)
          else Ellipsoid((0, 0, 0), (length * .85, r, r)))
    if b.chance(.6):
        b.add(b.part("nose", "body"), Ellipsoid((length * .55, 0, 0), (length * .25, r * .95, r * .95)))
    if b.chance(.6):
        b.add(b.part("cockpit", "body"), Ellipsoid((length * .35, r * .75, 0), (length * .17, r * .6, r * .6)), softness=.2)
    span, chord, sweep = b.u(.6, 1.0), b.u(.15, .28), b.u(-.1, .6)
    dihedral, tipc = b.u(-.1, .15), b.u(.3, .9)
    height = b.pick([-.5, 0, .6]) * r
    engines = b.pick([0, 0, 1, 2])
    for side, name in SIDES:
        outline = np.array([(chord, 0), (chord - sweep * span, span), (chord - sweep * span - chord * 2 * tipc, span), (-chord, 0)])
        frame = np.stack([[1.0, 0, 0], unit([0, dihedral, side]), np.cross([1.0, 0, 0], unit([0, dihedral, side]))], 1)
        b.add(b.part(f"{name} wing", f"{name} wing"), Prism((0, height, 0), outline, b.u(.012, .03), frame))
        if b.chance(.3):
            tip = np.array([chord - sweep * span - chord, height + span * dihedral, side * span])
            b.add(b.part(f"{name} winglet", f"{name} wing"), Box(tip + [0, .07, 0], (chord * tipc * .8, .09, .012)))
        for k in range(engines):
            z = span * (.35 + .3 * k)
            p = np.array([chord * .9 - sweep * z, height + dihedral * z - .07, side * z])
            b.add(b.part(f"{name} engine {k}", f"{name} wing"), rod(p - [.18, 0, 0], p + [.12, 0, 0], .05, .06, .1))
            if b.chance(.4):
                b.add(b.part(f"{name} propeller {k}", f"{name} wing"), Box(p + [.14, 0, 0], (.008, .14, .02)))
    tail = -length * .62
    for side, name in SIDES:
        s = span * b.u(.28, .42)
        outline = np.array([(chord * .6, 0), (chord * .6 - sweep * s, s), (-chord * .4 - sweep * s, s), (-chord * .5, 0)])
        frame = np.stack([[1.0, 0, 0], [0, 0, float(side)], np.cross([1.0, 0, 0], [0, 0, float(side)])], 1)
        b.add(b.part(f"{name} tailplane", "tail"), Prism((tail, .03, 0), outline, .012, frame))
    s = b.u(.2, .35)
    b.add(b.part("rudder", "tail"), Prism((tail, 0, 0), np.array([(chord * .6, 0), (-.1, s), (-chord * .7 - .1, s), (-chord * .6, 0)]), .014))
    if b.chance(.35):
        for k in range(b.n(2, 4)):
            b.add(b.part("propeller", "nose set"), Box((length * .87, 0, 0), (.01, b.u(.18, .25), .03), rotation_about("x", k * np.pi / 3)))
        b.add(b.part("spinner", "nose set"), Ellipsoid((length * .88, 0, 0), (.07, .04, .04)))
    if b.chance(.35):
        for i, p in enumerate(((.35, 0), (-.05, .2), (-.05, -.2))):
            b.add(b.part(f"strut {i}", f"gear {i}"), rod((p[0], -r * .5, p[1]), (p[0], -r - .14, p[1]), .014))
            b.add(b.part(f"wheel {i}", f"gear {i}"), rod((p[0], -r - .15, p[1] - .025), (p[0], -r - .15, p[1] + .025), .05))


def _rocket(b: Builder, r: float) -> None:
    """Body, nose, fins, nozzle, boosters."""
    b.add(b.part("body", "body"), rod((0, -.6, 0), (0, .4, 0), r * 1.3))
    b.add(b.part("nose", "body"), Lathe((0, .4, 0), [(0, 0), (r * 1.3, 0), (r, .2), (r * .5, .38), (0, .5)]))
    fins = b.n(3, 5)
    for i in range(fins):
        outline = np.array([(r, 0), (r * 3, -.25), (r * 3, -.4), (r, -.2)]) * [1, b.u(.8, 1.0)]
        b.add(b.part(f"fin {i}", "fins"), Prism((0, -.3, 0), outline, .02, rotation_about("y", i * 2 * np.pi / fins)))
    b.add(b.part("nozzle", "engine"), rod((0, -.75, 0), (0, -.58, 0), r * 1.0, r * .6))
    for i in range(b.n(0, 4)):
        a = (i + .5) * np.pi / 2
        p = np.array([np.cos(a), 0, np.sin(a)]) * r * 1.8
        b.add(b.part(f"booster {i}", f"booster {i}"), rod(p + [0, -.6, 0], p + [0, 0, 0], r * .5))
        b.add(b.part(f"booster nose {i}", f"booster {i}"), rod(p, p + [0, .2, 0], r * .5, 0.002))
    if b.chance(.5):
        b.add(b.part("window", "body"), Torus((r * 1.25, .2, 0), r * .4, r * .12, rotation_to((1, 0, 0))))


def _boat(b: Builder) -> None:
    """Hull, deck house, masts with sails, funnel."""
    outline = np.array([(-.8, -.22), (.3, -.24), (.65, -.15), (.95, 0), (.65, .15), (.3, .24), (-.8, .22)])
    b.add(b.part("hull", "hull"), Prism((0, 0, 0), outline, .12, rotation_about("x", np.pi / 2)))
    b.add(b.part("deck house", "house"), Box((-.2, .2, 0), (b.u(.2, .4), .1, .15)))
    if b.chance(.7):
        b.add(b.part("bridge", "house"), Box((-.1, .36, 0), (.14, .07, .12)))
    for i in range(b.n(1, 3)):
        x = .4 - .35 * i
        b.add(b.part(f"mast {i}", f"mast {i}"), rod((x, .1, 0), (x, b.u(.6, 1.1), 0), .022))
        if b.chance(.6):
            b.add(b.part(f"sail {i}", f"mast {i}"), Prism((x, .3, 0), np.array([(0, 0), (-.3, 0), (0, .5)]), .01))
        b.add(b.part(f"boom {i}", f"mast {i}"), rod((x, .28, 0), (x - .32, .28, 0), .016))
    if b.chance(.5):
        b.add(b.part("funnel", "house"), rod((-.4, .2, 0), (-.42, .55, 0), .08, .07))


def _helicopter(b: Builder) -> None:
    """Cabin, boom, rotors, fin, skids."""
    b.add(b.part("cabin", "body"), Ellipsoid((.25, 0, 0), (.4, .26, .24)))
    b.add(b.part("boom", "body"), RoundCone((0, .06, 0), (-.85, .12, 0), .11, .045))
    b.add(b.part("mast", "rotor"), rod((.2, .2, 0), (.2, .38, 0), .035))
    blades = b.n(2, 5)
    for i in range(blades):
        a = i * 2 * np.pi / blades + .3
        way = np.array([np.cos(a), 0, np.sin(a)])
        b.add(b.part(f"blade {i}", "rotor"), Box(np.array([.2, .38, 0]) + way * .42, (.045, .42, .012), frame_along(way)))
    b.add(b.part("tail fin", "tail"), Box((-.85, .22, 0), (.07, .13, .015)))
    for i in range(2):
        b.add(b.part("tail rotor", "tail"), Box((-.88, .15, .06), (.03, .16, .01), rotation_about("z", i * np.pi / 2)))
    for side, name in SIDES:
        b.add(b.part(f"{name} skid", "gear"), RoundCone((-.15, -.35, side * .2), (.6, -.35, side * .2), .025))
        for k, x in enumerate((0, .4)):
            b.add(b.part(f"{name} strut {k}", "gear"), rod((x, -.35, side * .2), (x, -.1, side * .1), .018))


def cycle(b: Builder) -> None:
    """Bicycle, motorcycle, barrow, pram, scooter: thin frames, wheels, seats, bars with grips."""
    kind = b.pick(["bicycle", "motorcycle", "barrow", "scooter", "pram"])
    tube = b.u(.018, .035)
    if kind == "barrow":
        return _barrow(b, tube)
    r = b.u(.22, .34) if kind != "scooter" else b.u(.1, .15)
    base = b.u(.45, .6)
    rear, front = np.array([-base, -.3, 0]), np.array([base, -.3, 0])
    for name, at in (("rear wheel", rear), ("front wheel", front)):
        if kind == "bicycle":
            b.add(b.part(f"{name} tyre", name), Torus(at, r, b.u(.02, .035), rotation_to((0, 0, 1))))
            b.add(b.part(f"{name} hub", name), rod(at - [0, 0, .05], at + [0, 0, .05], .035))
            for k in range(b.n(4, 8)):
                a = k * np.pi / 4
                b.add(b.part(f"{name} spokes", name), rod(at, at + np.array([np.cos(a), np.sin(a), 0]) * r, .007, segments=6))
        elif kind == "pram":
            for side, which in SIDES:
                wheel(b, at + [0, 0, side * .25], r * .7, .06, f"{name} {which}")
        else:
            wheel(b, at, r, b.u(.08, .14), name)
    if kind == "pram":
        return _pram(b, tube, rear, front)
    head = front + np.array([-.16, .55, 0]) if kind != "scooter" else front + np.array([-.1, .9, 0])
    if kind == "scooter":
        b.add(b.part("deck", "deck"), slab(b, (0, -.28, 0), (base * .9, .025, .1)))
        b.add(b.part("stem", "steering"), rod(front, head, tube * 1.3))
    else:
        seat = np.array([-.2, .2, 0])
        crank = np.array([-.06, -.3, 0])
        if kind == "bicycle":
            for i, (p, q) in enumerate(((seat, crank), (crank, head - [0, .15, 0]), (seat, head - [0, .05, 0]), (rear, crank), (rear, seat))):
                b.add(b.part(f"tube {i}", "frame"), rod(p, q, tube))
            b.add(b.part("chain ring", "drive"), Prism(crank + [0, 0, .04], gear_outline(.1, 14, .015), .01))
            for side, name in SIDES:
                tip = crank + [side * .13, -side * .05, side * .08]
                b.add(b.part(f"{name} crank", "drive"), rod(crank + [0, 0, side * .06], tip, .015))
                b.add(b.part(f"{name} pedal", "drive"), Box(tip + [0, 0, side * .05], (.05, .015, .045)))
        else:
            b.add(b.part("engine", "engine"), Superquadric((0, -.2, 0), (.2, .16, .12), .5, .5))
            b.add(b.part("tank", "body"), Ellipsoid((.12, .2, 0), (.24, .12, .12)))
            b.add(b.part("tail", "body"), RoundCone((-.2, .12, 0), (-.6, .2, 0), .1, .05))
            for i in range(b.n(0, 3)):
                b.add(b.part(f"fin {i}", "engine"), rod((0, -.1 + .05 * i, 0), (0, -.08 + .05 * i, 0), .14))
            b.add(b.part("exhaust", "exhaust"), Tube(np.array([(.1, -.3, .1), (-.1, -.38, .13), (-.6, -.3, .14)]), [.03, .035, .05]))
            b.add(b.part("swing arm", "frame"), rod(rear, (0, -.25, 0), tube * 1.6))
        b.add(b.part("saddle", "seat"), Superquadric(seat + [0, .1, 0], (b.u(.1, .2), .035, b.u(.05, .09)), .7, .7))
        b.add(b.part("seat post", "seat"), rod(seat - [0, .05, 0], seat + [0, .1, 0], tube * .9))
        for side, name in SIDES:
            b.add(b.part(f"{name} fork", "steering"), rod(front + [0, 0, side * .05], head - [0, .1, -side * .02], tube * .9))
    b.add(b.part("head tube", "steering"), rod(head - [0, .18, 0], head + [0, .05, 0], tube * 1.5))
    for side, name in SIDES:
        tip = head + [-.12, .07, side * .26]
        b.add(b.part(f"{name} bar", "steering"), Tube(arc(head + [0, .05, 0], tip, (.04, .03, 0)), tube))
        b.add(b.part(f"{name} grip", "steering"), rod(tip + [.03, 0, -side * .05], tip + [-.02, 0, side * .04], tube * 1.5))
    if b.chance(.5):
        b.add(b.part("lamp", "steering"), rod(head + [.03, -.02, 0], head + [.12, -.03, 0], .05, .06))


def _barrow(b: Builder, tube: float) -> None:
    """Tray, wheel, two shafts with grips and legs."""
    wheel(b, (.6, -.35, 0), b.u(.16, .24), .08, "wheel")
    b.add(b.part("tray", "tray"), Box((0, 0, 0), (.38, .14, .28), taper=b.u(1.1, 1.4)))
    for side, name in SIDES:
        b.add(b.part(f"{name} shaft", f"{name} side"), beam((.62, -.33, side * .07), (-.8, .02, side * .28), tube * 1.2, False))
        b.add(b.part(f"{name} grip", f"{name} side"), rod((-.7, 0, side * .27), (-.9, .04, side * .29), tube * 1.8))
        b.add(b.part(f"{name} leg", f"{name} side"), beam((-.3, -.1, side * .22), (-.35, -.5, side * .24), tube, False))


def _pram(b: Builder, tube: float, rear: np.ndarray, front: np.ndarray) -> None:
    """Basket with hood, frame and handle."""
    b.add(b.part("basket", "basket"), Superquadric((0, .15, 0), (.5, .2, .25), .5, .4))
    b.add(b.part("hood", "basket"), Ellipsoid((.2, .35, 0), (.3, .25, .26)))
    for side, name in SIDES:
        b.add(b.part(f"{name} strut a", "frame"), rod(rear + [0, 0, side * .22], (.2, .1, side * .22), tube))
        b.add(b.part(f"{name} strut b", "frame"), rod(front + [0, 0, side * .22], (-.2, .1, side * .22), tube))
        b.add(b.part(f"{name} arm", "handle"), rod((-.4, .2, side * .22), (-.75, .5, side * .22), tube))
    b.add(b.part("bar", "handle"), rod((-.75, .5, -.24), (-.75, .5, .24), tube * 1.4))


def robot(b: Builder) -> None:
    """Jointed figure of boxes, cylinders and balls: head with antennas, chest with buttons, limbs with joints, or wheels."""
    square, r = b.chance(.6), b.u(.035, .07)
    w, d, h = b.u(.15, .26), b.u(.1, .2), b.u(.18, .3)

    def bulk(center, half):
        return slab(b, center, half) if square else rod(np.subtract(center, (0, half[1], 0)), np.add(center, (0, half[1], 0)), min(half[0], half[2]) * 1.1, None, .15)

    b.add(b.part("chest", "torso"), bulk((0, .2, 0), (d, h * .7, w)))
    b.add(b.part("hips", "torso"), bulk((0, -.13, 0), (d * .8, .08, w * .8)))
    if b.chance(.5):
        b.add(b.part("waist", "torso"), rod((0, -.1, 0), (0, .1, 0), d * .5))
    for i in range(b.n(0, 5)):
        b.add(b.part(f"button {i}", "torso"), rod((d * .9, .28 - .06 * i, -w * .4), (d * 1.15, .28 - .06 * i, -w * .4), .02))
    if b.chance(.4):
        b.add(b.part("chest plate", "torso"), Box((d, .22, w * .25), (.02, .09, w * .4)))
    top = .2 + h * .7
    hr = b.u(.09, .16)
    c = np.array([0, top + .05 + hr, 0])
    b.add(b.part("neck", "head"), rod((0, top - .03, 0), (0, top + .08, 0), hr * .4))
    b.add(b.part("skull", "head"), b.pick([Box(c, (hr, hr, hr), rounding=hr * .2), Ellipsoid(c, hr * 1.1), rod(c - [0, hr, 0], c + [0, hr, 0], hr, None, .2)]))
    for side, name in SIDES:
        if b.chance(.8):
            b.add(b.part(f"{name} eye", "head"), rod(c + [hr * .8, hr * .2, side * hr * .45], c + [hr * 1.12, hr * .2, side * hr * .45], hr * b.u(.15, .3)))
        if b.chance(.5):
            b.add(b.part(f"{name} ear", "head"), rod(c + [0, 0, side * hr * .8], c + [0, 0, side * hr * 1.25], hr * .35))
        if b.chance(.3):
            tip = c + [0, hr * 2.2, side * hr * .5]
            b.add(b.part(f"{name} antenna", "head"), rod(c + [0, hr * .8, side * hr * .4], tip, hr * .07))
            b.add(b.part(f"{name} antenna ball", "head"), Ellipsoid(tip, hr * .2))
    if b.chance(.3):
        b.add(b.part("mouth", "head"), Box(c + [hr, -hr * .5, 0], (hr * .1, hr * .12, hr * .5)))
    gripper = b.chance(.6)
    for side, name in SIDES:
        group = f"{name} arm"
        at = np.array([0, top - .06, side * (w + r * .8)])
        swing, out = b.u(-.8, 1.0), b.u(.0, .9)
        way = unit([swing, -1, side * out])
        b.add(b.part(f"{name} shoulder", group), Ellipsoid(at, r * 1.5))
        for k, label in enumerate(("upper arm", "forearm")):
            tip = at + way * b.u(.2, .28)
            b.add(b.part(f"{name} {label}", group), beam(at, tip, r, square))
            b.add(b.part(f"{name} {'elbow' if k == 0 else 'wrist'}", group), Ellipsoid(tip, r * 1.25) if b.chance(.6) else rod(tip - [0, 0, r * 1.2], tip + [0, 0, r * 1.2], r * 1.1))
            at, way = tip, unit(way + [b.u(0, 1.2), b.u(0, .5), 0])
        if gripper:
            for k in (-1, 1):
                f = np.cross(way, [0, 0, 1]) * k * r
                b.add(b.part(f"{name} claw {k}", group), Tube(np.stack([at + f * .3, at + way * r * 1.6 + f * 1.6, at + way * r * 3.2 + f * .6]), r * .35))
        else:
            b.add(b.part(f"{name} fist", group), slab(b, at + way * r * 1.3, (r * 1.3, r * 1.3, r)))
    if b.chance(.25):
        for side, name in SIDES:
            wheel(b, (0, -.4, side * w), b.u(.15, .25), .09, f"{name} wheel")
            b.add(b.part(f"{name} fork", f"{name} wheel"), beam((0, -.1, side * w * .7), (0, -.4, side * w * .8), r, square))
        return
    for side, name in SIDES:
        group = f"{name} leg"
        at = np.array([0, -.18, side * w * .5])
        way = unit([b.u(-.4, .5), -1, side * b.u(0, .2)])
        for label in ("thigh", "shin"):
            tip = at + way * b.u(.22, .3)
            b.add(b.part(f"{name} {label}", group), beam(at, tip, r * 1.2, square))
            b.add(b.part(f"{name} {'knee' if label == 'thigh' else 'ankle'}", group), Ellipsoid(tip, r * 1.4))
            at, way = tip, unit(way * [0.3, 1, 1])
        b.add(b.part(f"{name} foot", group), slab(b, at + [r, -r, 0], (r * 2.4, r * .8, r * 1.5)))


def device(b: Builder) -> None:
    """Monitor, keyboard, camera, radio, clock, fan, telephone, padlock, pistol, game pad."""
    b.pick([_monitor, _keyboard, _camera, _radio, _clock, _fan, _telephone, _padlock, _pistol, _pad])(b)


def _monitor(b: Builder) -> None:
    """Screen in a case on a stand."""
    w, h = b.u(.5, .8), b.u(.3, .45)
    b.add(b.part("case", "display"), Box((0, .3, 0), (.05, h, w), rounding=b.u(0, .03)))
    b.add(b.part("screen", "display"), Box((.045, .32, 0), (.012, h * .85, w * .92)))
    for i in range(b.n(0, 5)):
        b.add(b.part(f"button {i}", "display"), rod((.04, .3 - h * .93, w * .8 - .07 * i), (.065, .3 - h * .93, w * .8 - .07 * i), .016))
    b.add(b.part("neck", "stand"), Box((-.02, -.15, 0), (.03, b.u(.12, .2), .07)))
    b.add(b.part("foot", "stand"), slab(b, (0, -.34, 0), (.2, .025, .3)))
    if b.chance(.3):
        b.add(b.part("web camera", "display"), Box((0, .32 + h, 0), (.03, .03, .05), rounding=.01))


def _keyboard(b: Builder) -> None:
    """Plate with rows of keys."""
    rows, cols = b.n(2, 4), b.n(5, 9)
    pitch = .16
    b.add(b.part("plate", "plate"), Box((0, 0, 0), (rows * pitch * .5 + .06, .04, cols * pitch * .5 + .06), rounding=.015))
    black = b.chance(.3)
    for i in range(rows):
        for j in range(cols):
            x, z = (i - (rows - 1) / 2) * pitch, (j - (cols - 1) / 2) * pitch
            b.add(b.part(f"key {i}.{j}", f"row {i}"), Box((x, .06, z), (pitch * .4, .035 + .03 * (black and (i + j) % 2), pitch * .4), taper=b.pick([1, .8])))


def _camera(b: Builder) -> None:
    """Body with lens rings, viewfinder, shutter and dial."""
    w, h, d = b.u(.4, .55), b.u(.22, .34), b.u(.12, .2)
    b.add(b.part("body", "body"), Box((0, 0, 0), (d, h, w), rounding=b.u(0, .06)))
    z = b.u(-.15, .15)
    x, r = d, b.u(.15, .2)
    for i in range(b.n(1, 4)):
        l = b.u(.06, .16)
        b.add(b.part(f"lens ring {i}", "lens"), rod((x - .03, 0, z), (x + l, 0, z), r, r * b.u(.85, 1)))
        x, r = x + l, r * b.u(.85, 1.02)
    b.add(b.part("glass", "lens"), Ellipsoid((x - .02, 0, z), (.05, r * .8, r * .8)))
    if b.chance(.6):
        b.add(b.part("viewfinder", "top"), Box((0, h + .05, z), (d * .7, .07, .12), taper=.7))
    b.add(b.part("shutter", "top"), rod((.03, h - .01, w * .7), (.03, h + .05, w * .7), .04))
    if b.chance(.6):
        b.add(b.part("dial", "top"), rod((-.04, h - .01, -w * .65), (-.04, h + .06, -w * .65), .09))
    if b.chance(.4):
        b.add(b.part("grip", "body"), RoundCone((d, -h * .7, w * .85), (d, h * .6, w * .85), .08))


def _radio(b: Builder) -> None:
    """Case with speakers, knobs, handle and antenna."""
    w, h = b.u(.5, .7), b.u(.25, .4)
    b.add(b.part("case", "case"), Box((0, 0, 0), (.17, h, w), rounding=b.u(0, .08)))
    for s in (-1, 1) if b.chance(.6) else (1,):
        b.add(b.part(f"speaker {s}", f"speaker {s}"), rod((.14, -.02, s * w * .55), (.2, -.02, s * w * .55), h * .6))
        b.add(b.part(f"speaker cone {s}", f"speaker {s}"), Ellipsoid((.2, -.02, s * w * .55), (.04, h * .25, h * .25)))
    for i in range(b.n(1, 5)):
        b.add(b.part(f"knob {i}", "controls"), rod((.15, h * .6 - .13 * i, 0), (.24, h * .6 - .13 * i, 0), b.u(.03, .055), bevel=.2))
    if b.chance(.6):
        b.add(b.part("handle", "handle"), Tube(arc((0, h * .9, -w * .7), (0, h * .9, w * .7), (0, .2, 0), 11), .03))
    if b.chance(.6):
        b.add(b.part("antenna", "antenna"), rod((-.08, h * .8, w * .85), (-.08, h + .7, w * b.u(.2, 1.2)), .012))
        b.add(b.part("antenna tip", "antenna"), Ellipsoid((-.08, h + .7, w * .85), .025))


def _clock(b: Builder) -> None:
    """Dial with marks and hands, perhaps bells and feet."""
    r = b.u(.4, .5)
    b.add(b.part("case", "case"), rod((-.12, 0, 0), (.05, 0, 0), r, None, .1, segments=40))
    b.add(b.part("rim", "case"), Torus((.05, 0, 0), r * .95, .04, rotation_to((1, 0, 0))))
    for i in range(12 if b.chance(.6) else 4):
        a = i * 2 * np.pi / 12
        b.add(b.part(f"mark {i}", "dial"), Box((.055, np.sin(a) * r * .78, np.cos(a) * r * .78), (.012, .035, .015), rotation_about("x", -a + np.pi / 2)))
    for i, l in enumerate((.45, .7)):
        a = b.u(0, 6.28)
        b.add(b.part(f"hand {i}", "hands"), RoundCone((.08, 0, 0), (.08, np.sin(a) * r * l, np.cos(a) * r * l), .022, .012))
    b.add(b.part("axle", "hands"), rod((.04, 0, 0), (.11, 0, 0), .035))
    if b.chance(.6):
        for side, name in SIDES:
            b.add(b.part(f"{name} bell", "bells"), Ellipsoid((-.03, r * .95, side * r * .5), (.12, .12, .14)))
            b.add(b.part(f"{name} foot", "feet"), rod((-.03, -r * .7, side * r * .6), (-.03, -r * 1.15, side * r * .75), .035))


def _fan(b: Builder) -> None:
    """Blades in a cage on a stand."""
    r = b.u(.35, .45)
    b.add(b.part("base", "stand"), rod((0, -.8, 0), (0, -.72, 0), .28, .24))
    b.add(b.part("pole", "stand"), rod((0, -.75, 0), (-.05, 0, 0), .035))
    b.add(b.part("motor", "motor"), RoundCone((-.25, 0, 0), (-.05, 0, 0), .1, .12))
    for k in range(b.n(3, 5)):
        a = k * 2 * np.pi / 4
        way = np.array([0, np.sin(a), np.cos(a)])
        b.add(b.part(f"blade {k}", "rotor"), Ellipsoid(way * r * .5 + [.08, 0, 0], (.02, r * .45, r * .22), rotation_to(way, .5)))
    b.add(b.part("hub", "rotor"), Ellipsoid((.1, 0, 0), (.06, .07, .07)))
    b.add(b.part("front ring", "cage"), Torus((.1, 0, 0), r, .02, rotation_to((1, 0, 0))))
    for k in range(b.n(4, 9)):
        a = k * 2 * np.pi / 9
        b.add(b.part("cage wires", "cage"), Tube(arc((.17, 0, 0), (.1, np.sin(a) * r, np.cos(a) * r), (.03, 0, 0)), .01))


def _telephone(b: Builder) -> None:
    """Base with dial or keys, and a handset."""
    b.add(b.part("base", "base"), Box((0, 0, 0), (.35, .12, .3), rounding=.05, taper=.75))
    if b.chance(.5):
        b.add(b.part("dial", "dial"), rod((.1, .1, 0), (.12, .17, 0), .17))
        for i in range(8):
            a = i * np.pi / 4.5
            b.add(b.part(f"finger hole {i}", "dial"), rod((.12 + .11 * np.cos(a), .15, .11 * np.sin(a)), (.12 + .11 * np.cos(a), .185, .11 * np.sin(a)), .025))
    else:
        for i in range(12):
            x, z = -.02 + .085 * (i // 3), (i % 3 - 1) * .09
            b.add(b.part(f"key {i}", "keys"), Box((x, .14, z), (.03, .02, .033)))
    y = b.u(.2, .28)
    b.add(b.part("handle", "handset"), Tube(arc((-.15, y, -.3), (-.15, y, .3), (0, .07, 0), 9), .045))
    for side, name in SIDES:
        b.add(b.part(f"{name} shell", "handset"), rod((-.15, y - .06, side * .32), (-.15, y + .03, side * .32), .09, .07))


def _padlock(b: Builder) -> None:
    """Body with shackle, key plate and key."""
    w, h = b.u(.25, .35), b.u(.22, .32)
    b.add(b.part("body", "body"), slab(b, (0, 0, 0), (.1, h, w)))
    a = np.linspace(0, np.pi, 15)
    rise = b.u(.1, .3)
    loop = np.stack([np.zeros(15), h + rise + np.sin(a) * w * .65, np.cos(a) * w * .65], 1)
    b.add(b.part("shackle", "shackle"), Tube(np.concatenate([[(0, h * .8, w * .65)], loop, [(0, h * .8, -w * .65)]]), b.u(.04, .07)))
    b.add(b.part("key plate", "body"), rod((.08, -.05, 0), (.13, -.05, 0), .09))
    if b.chance(.5):
        b.add(b.part("key shaft", "key"), rod((.1, -.05, 0), (.4, -.05, 0), .02))
        b.add(b.part("key bow", "key"), Torus((.5, -.05, 0), .09, .025, rotation_to((0, 0, 1))))


def _pistol(b: Builder) -> None:
    """Barrel, grip, guard and trigger."""
    b.add(b.part("slide", "barrel"), Box((.1, .2, 0), (.5, .09, .06), rounding=.02))
    b.add(b.part("muzzle", "barrel"), rod((.58, .21, 0), (.68, .21, 0), .045))
    b.add(b.part("grip", "handle"), Superquadric((-.32, -.15, 0), (.1, .32, .06), .3, .4, rotation_about("z", -b.u(.1, .3))))
    b.add(b.part("guard", "trigger"), Torus((-.1, .02, 0), .1, .018, rotation_to((0, 0, 1))))
    b.add(b.part("trigger", "trigger"), Tube(arc((-.1, .1, 0), (-.08, -.03, 0), (.04, 0, 0)), .016))
    b.add(b.part("hammer", "barrel"), Box((-.42, .27, 0), (.03, .06, .025), rotation_about("z", .4)))
    b.add(b.part("front sight", "barrel"), Box((.5, .3, 0), (.02, .025, .012)))
    if b.chance(.3):
        b.add(b.part("drum", "barrel"), rod((-.2, .17, 0), (.1, .17, 0), .12, segments=8))


def _pad(b: Builder) -> None:
    """Game pad with sticks, buttons and a cross."""
    w = b.u(.35, .45)
    b.add(b.part("shell", "body"), Superquadric((0, 0, 0), (.22, .09, w), .7, .5))
    for side, name in SIDES:
        b.add(b.part(f"{name} horn", "body"), RoundCone((0, 0, side * w * .7), (-.35, -.05, side * w * 1.0), .12, .1))
        b.add(b.part(f"{name} stick", "sticks"), rod((-.08, .05, side * .16), (-.08, .14, side * .16), .035))
        b.add(b.part(f"{name} stick cap", "sticks"), rod((-.08, .13, side * .16), (-.08, .16, side * .16), .065))
    for i in range(4):
        a = i * np.pi / 2
        b.add(b.part(f"button {i}", "buttons"), rod((.07 + .06 * np.cos(a), .06, w * .65 + .06 * np.sin(a)), (.07 + .06 * np.cos(a), .115, w * .65 + .06 * np.sin(a)), .028))
    b.add(b.part("cross", "buttons"), Box((.07, .09, -w * .65), (.08, .02, .025)))
    b.add(b.part("cross", "buttons"), Box((.07, .09, -w * .65), (.025, .02, .08)))
