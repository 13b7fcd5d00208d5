"""More made families: robots, buildings, devices, cycles, turned pieces."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.living import SIDES, arc
from utils.shapes.made import beam, circle, gear_outline, random_profile, rounded_rectangle, slab, wheel
from utils.shapes.solids import Box, Ellipsoid, Lathe, Prism, RoundCone, Superquadric, Torus, Tube, rod, rotation_about, rotation_to, unit


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
            b.add(b.part(f"{name} {label}", group), beam(b, at, tip, r, square))
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
            b.add(b.part(f"{name} fork", f"{name} wheel"), beam(b, (0, -.1, side * w * .7), (0, -.4, side * w * .8), r, square))
        return
    for side, name in SIDES:
        group = f"{name} leg"
        at = np.array([0, -.18, side * w * .5])
        way = unit([b.u(-.4, .5), -1, side * b.u(0, .2)])
        for label in ("thigh", "shin"):
            tip = at + way * b.u(.22, .3)
            b.add(b.part(f"{name} {label}", group), beam(b, at, tip, r * 1.2, square))
            b.add(b.part(f"{name} {'knee' if label == 'thigh' else 'ankle'}", group), Ellipsoid(tip, r * 1.4))
            at, way = tip, unit(way * [0.3, 1, 1])
        b.add(b.part(f"{name} foot", group), slab(b, at + [r, -r, 0], (r * 2.4, r * .8, r * 1.5)))


def building(b: Builder) -> None:
    """House, tower, castle, temple: bodies, roofs, windows, doors, chimneys, columns, battlements, steps."""
    kind = b.pick(["house", "tower", "castle", "temple", "block"])
    if kind in ("house", "block"):
        w, d, h = b.u(.3, .5), b.u(.3, .7), b.u(.25, .4) if kind == "house" else b.u(.5, .9)
        b.add(b.part("walls", "house"), Box((0, 0, 0), (w, h, d)))
        if kind == "house":
            rise = b.u(.2, .5)
            gable = np.array([(-w * 1.15, 0), (w * 1.15, 0), (0, rise)])
            b.add(b.part("roof", "roof"), Prism((0, h * .98, 0), gable, d * 1.1) if b.chance(.7)
                  else rod((0, h * .98, 0), (0, h + rise, 0), max(w, d) * 1.5, .02, segments=4, spin=np.pi / 4))
            if b.chance(.7):
                x = b.u(-.6, .6) * w
                b.add(b.part("chimney", "roof"), Box((x, h + rise * .7, d * .4), (.06, .2, .06)))
                if b.chance(.5):
                    b.add(b.part("chimney pot", "roof"), rod((x, h + rise * .7 + .2, d * .4), (x, h + rise * .7 + .28, d * .4), .045))
            if b.chance(.4):
                b.add(b.part("dormer", "dormer"), Box((w * .6, h + rise * .35, 0), (w * .35, .1, .12)))
                b.add(b.part("dormer roof", "dormer"), Prism((w * .6, h + rise * .35 + .09, 0), np.array([(-.15, 0), (.15, 0), (0, .12)]), w * .4, rotation_about("y", np.pi / 2)))
        else:
            b.add(b.part("roof slab", "roof"), Box((0, h, 0), (w * 1.06, .03, d * 1.06)))
            for i in range(b.n(0, 3)):
                b.add(b.part(f"roof unit {i}", "roof"), Box((b.u(-.5, .5) * w, h + .08, b.u(-.6, .6) * d), b.rng.uniform(.05, .12, 3)))
        rows, cols = (b.n(1, 2), b.n(2, 3)) if kind == "house" else (b.n(3, 5), b.n(2, 4))
        for face, name in ((1, "front"), (-1, "rear")):
            for i in range(rows):
                for j in range(cols):
                    y, z = -h + 2 * h * (i + .6) / rows, -d + 2 * d * (j + .5) / cols
                    b.add(b.part(f"{name} window {i}.{j}", f"{name} windows"), Box((face * w, y, z), (.025, h / rows * .35, d / cols * .4)))
        b.add(b.part("door", "entrance"), Box((0, -h * .6, d), (.1, h * .4, .025)))
        if b.chance(.5):
            b.add(b.part("porch", "entrance"), Box((0, -h * .1, d + .1), (.17, .02, .13)))
            for s in (-1, 1):
                b.add(b.part(f"porch post {s}", "entrance"), rod((s * .15, -h, d + .2), (s * .15, -h * .1, d + .2), .02))
        for i in range(b.n(0, 3)):
            b.add(b.part(f"step {i}", "entrance"), Box((0, -h + .03 * (3 - i), d + .06 * (i + 1)), (.14, .03 * (3 - i), .03)))
        return
    if kind == "temple":
        w, d = b.u(.35, .5), b.u(.5, .8)
        for i in range(b.n(1, 3)):
            b.add(b.part(f"step {i}", "base"), Box((0, -.4 - .06 * i, 0), (w + .06 * i, .03, d + .06 * i)))
        n = b.n(3, 6)
        for j in range(n):
            z = -d * .88 + 2 * d * .88 * j / (n - 1)
            for s in (-1, 1):
                g = f"column {j} {s}"
                b.add(b.part(f"{g} shaft", g), rod((s * w * .85, -.38, z), (s * w * .85, .2, z), .05, .042))
                b.add(b.part(f"{g} capital", g), Box((s * w * .85, .2, z), (.065, .03, .065)))
                if b.chance(.5):
                    b.add(b.part(f"{g} base", g), Torus((s * w * .85, -.36, z), .05, .02))
        b.add(b.part("architrave", "roof"), Box((0, .26, 0), (w, .04, d)))
        b.add(b.part("pediment", "roof"), Prism((0, .29, 0), np.array([(-w * 1.08, 0), (w * 1.08, 0), (0, b.u(.15, .35))]), d * 1.05))
        if b.chance(.5):
            b.add(b.part("cella", "cella"), Box((0, -.1, 0), (w * .5, .32, d * .6)))
        return
    towers = 1 if kind == "tower" else b.n(2, 4)
    spots = [(0, 0)] if towers == 1 else [(.5, .5), (-.5, .5), (-.5, -.5), (.5, -.5)][:towers]
    round_tower = b.chance(.6)
    for i, (x, z) in enumerate(spots):
        h, r = b.u(.6, 1.2) * (1.4 if towers == 1 else 1), b.u(.13, .22)
        g = f"tower {i}"
        sides = 24 if round_tower else 4
        foot = np.array([x, -.5, z])
        b.add(b.part(f"{g} shaft", g), rod(foot, foot + [0, h, 0], r * 1.1, r, segments=sides))
        if b.chance(.5):
            b.add(b.part(f"{g} gallery", g), rod(foot + [0, h * .95, 0], foot + [0, h * 1.05, 0], r * 1.3, segments=sides))
        if b.chance(.6):
            b.add(b.part(f"{g} roof", g), rod(foot + [0, h, 0], foot + [0, h + b.u(.2, .5), 0], r * 1.35, .01, segments=sides))
            if b.chance(.4):
                b.add(b.part(f"{g} flag pole", g), rod(foot + [0, h + .15, 0], foot + [0, h + .65, 0], .015))
                b.add(b.part(f"{g} flag", g), Box(foot + [.09, h + .58, 0], (.08, .05, .008)))
        else:
            for k in range(6):
                a = k * np.pi / 3
                b.add(b.part(f"{g} merlon {k}", g), Box(foot + [np.cos(a) * r * .9, h + .04, np.sin(a) * r * .9], (.04, .06, .04), rotation_about("y", -a)))
        for k in range(b.n(1, 4)):
            a = b.u(0, 6.28)
            b.add(b.part(f"{g} window {k}", g), Box(foot + [np.cos(a) * r, h * b.u(.3, .9), np.sin(a) * r], (.03, .06, .035), rotation_about("y", -a)))
    for i in range(towers if towers > 2 else towers - 1):
        p, q = np.array(spots[i]), np.array(spots[(i + 1) % towers])
        middle, along = (p + q) / 2, q - p
        b.add(b.part(f"wall {i}", f"wall {i}"), Box((middle[0], -.25, middle[1]), (np.linalg.norm(along) / 2, .25, .05), rotation_about("y", -float(np.arctan2(along[1], along[0])))))
    if b.chance(.5):
        b.add(b.part("mound", "mound"), rod((0, -.62, 0), (0, -.48, 0), .95, .85))


def device(b: Builder) -> None:
    """Monitor, keyboard, camera, radio, clock, fan, telephone, padlock, pistol, game pad."""
    kind = b.pick(["monitor", "keyboard", "camera", "radio", "clock", "fan", "telephone", "padlock", "pistol", "pad"])
    if kind == "monitor":
        w, h = b.u(.5, .8), b.u(.3, .45)
        b.add(b.part("case", "display"), Box((0, .3, 0), (.05, h, w), rounding=b.u(0, .03)))
        b.add(b.part("screen", "display"), Box((.045, .32, 0), (.012, h * .85, w * .92)))
        for i in range(b.n(0, 5)):
            b.add(b.part(f"button {i}", "display"), rod((.04, .3 - h * .93, w * .8 - .07 * i), (.065, .3 - h * .93, w * .8 - .07 * i), .016))
        b.add(b.part("neck", "stand"), Box((-.02, -.15, 0), (.03, b.u(.12, .2), .07)))
        b.add(b.part("foot", "stand"), slab(b, (0, -.34, 0), (.2, .025, .3)))
        if b.chance(.3):
            b.add(b.part("web camera", "display"), Box((0, .32 + h, 0), (.03, .03, .05), rounding=.01))
    elif kind == "keyboard":
        rows, cols = b.n(2, 4), b.n(5, 9)
        pitch = .16
        b.add(b.part("plate", "plate"), Box((0, 0, 0), (rows * pitch * .5 + .06, .04, cols * pitch * .5 + .06), rounding=.015))
        black = b.chance(.3)
        for i in range(rows):
            for j in range(cols):
                x, z = (i - (rows - 1) / 2) * pitch, (j - (cols - 1) / 2) * pitch
                b.add(b.part(f"key {i}.{j}", f"row {i}"), Box((x, .06, z), (pitch * .4, .035 + .03 * (black and (i + j) % 2), pitch * .4), taper=b.pick([1, .8])))
    elif kind == "camera":
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
    elif kind == "radio":
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
    elif kind == "clock":
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
    elif kind == "fan":
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
    elif kind == "telephone":
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
    elif kind == "padlock":
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
    elif kind == "pistol":
        b.add(b.part("slide", "barrel"), Box((.1, .2, 0), (.5, .09, .06), rounding=.02))
        b.add(b.part("muzzle", "barrel"), rod((.58, .21, 0), (.68, .21, 0), .045))
        b.add(b.part("grip", "handle"), Superquadric((-.32, -.15, 0), (.1, .32, .06), .3, .4, rotation_about("z", -b.u(.1, .3))))
        b.add(b.part("guard", "trigger"), Torus((-.1, .02, 0), .1, .018, rotation_to((0, 0, 1))))
        b.add(b.part("trigger", "trigger"), Tube(arc((-.1, .1, 0), (-.08, -.03, 0), (.04, 0, 0)), .016))
        b.add(b.part("hammer", "barrel"), Box((-.42, .27, 0), (.03, .06, .025), rotation_about("z", .4)))
        b.add(b.part("front sight", "barrel"), Box((.5, .3, 0), (.02, .025, .012)))
        if b.chance(.3):
            b.add(b.part("drum", "barrel"), rod((-.2, .17, 0), (.1, .17, 0), .12, segments=8))
    else:
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


def cycle(b: Builder) -> None:
    """Bicycle, motorcycle, barrow, pram, scooter: thin frames, wheels, seats, bars with grips."""
    kind = b.pick(["bicycle", "motorcycle", "barrow", "scooter", "pram"])
    tube = b.u(.018, .035)
    if kind == "barrow":
        wheel(b, (.6, -.35, 0), b.u(.16, .24), .08, "wheel")
        b.add(b.part("tray", "tray"), Box((0, 0, 0), (.38, .14, .28), taper=b.u(1.1, 1.4)))
        for side, name in SIDES:
            b.add(b.part(f"{name} shaft", f"{name} side"), beam(b, (.62, -.33, side * .07), (-.8, .02, side * .28), tube * 1.2, False))
            b.add(b.part(f"{name} grip", f"{name} side"), rod((-.7, 0, side * .27), (-.9, .04, side * .29), tube * 1.8))
            b.add(b.part(f"{name} leg", f"{name} side"), beam(b, (-.3, -.1, side * .22), (-.35, -.5, side * .24), tube, False))
        return
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
        b.add(b.part("basket", "basket"), Superquadric((0, .15, 0), (.5, .2, .25), .5, .4))
        b.add(b.part("hood", "basket"), Ellipsoid((.2, .35, 0), (.3, .25, .26)))
        for side, name in SIDES:
            b.add(b.part(f"{name} strut a", "frame"), rod(rear + [0, 0, side * .22], (.2, .1, side * .22), tube))
            b.add(b.part(f"{name} strut b", "frame"), rod(front + [0, 0, side * .22], (-.2, .1, side * .22), tube))
            b.add(b.part(f"{name} arm", "handle"), rod((-.4, .2, side * .22), (-.75, .5, side * .22), tube))
        b.add(b.part("bar", "handle"), rod((-.75, .5, -.24), (-.75, .5, .24), tube * 1.4))
        return
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
            b.add(b.part("chain ring", "drive"), Prism(crank + [0, 0, .04], gear_outline(b, .1, 14, .015), .01))
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


def turned(b: Builder) -> None:
    """Turned on a lathe in bands: chessmen, balusters, finials, spinning tops, rockets, bells; round, oval or faceted."""
    count = b.n(3, 7)
    segments = b.pick([32, 32, 32, 6, 8, 4])
    squash = b.pick([1, 1, 1, b.u(.5, .8)])
    y, r = 0.0, b.u(.15, .35)
    slim = b.u(.3, 1)
    half = count // 2
    for i in range(count):
        h = b.u(.08, .35)
        group = "lower half" if i <= half else "upper half"
        form = b.pick(["drum", "ball", "waist", "curve", "cone", "disc"])
        end = float(np.clip(r * b.u(.5, 1.4), .06, .4))
        name = f"band {i} {form}"
        if form == "ball":
            b.add(b.part(name, group), Ellipsoid((0, y + h * .5, 0), (r, h * .6, r * squash)))
            end = r * b.u(.4, .8)
        elif form == "disc":
            h = b.u(.03, .07)
            b.add(b.part(name, group), Lathe((0, y - .005, 0), [(0, 0), (r * 1.25, 0), (r * 1.25, h), (0, h)], squash=squash, segments=segments))
        else:
            t = np.linspace(0, 1, 9)
            line = r + (end - r) * t
            if form == "waist":
                line = line * (1 - .45 * slim * np.sin(np.pi * t))
            elif form == "curve":
                line = line * (1 + .35 * slim * np.sin(np.pi * t))
            b.add(b.part(name, group), Lathe((0, y - .005, 0), [(0, 0), *zip(line, t * (h + .01)), (0, h + .01)], squash=squash, segments=segments))
        if b.chance(.3):
            b.add(b.part(f"ring {i}", group), Torus((0, y + h, 0), max(end, .05), b.u(.012, .035), section=b.u(.6, 1.4)))
        y, r = y + h * (1 if form != "ball" else 1.0), max(end, .05)
    finish = b.pick(["ball", "cross", "crown", "point", "ring", "none", "horse"])
    top = np.array([0, y, 0])
    if finish == "ball":
        b.add(b.part("finial", "top"), Ellipsoid(top + [0, .04, 0], b.u(.04, .12)))
    elif finish == "cross":
        b.add(b.part("cross post", "top"), Box(top + [0, .09, 0], (.025, .12, .025)))
        b.add(b.part("cross bar", "top"), Box(top + [0, .12, 0], (.025, .025, .09)))
    elif finish == "crown":
        n = b.n(4, 7)
        for k in range(n):
            a = 2 * np.pi * k / n
            p = top + np.array([np.cos(a), 0, np.sin(a)]) * r * .85
            b.add(b.part(f"spike {k}", "top"), rod(p - [0, .03, 0], p + [0, b.u(.06, .14), 0], .035, .008))
    elif finish == "point":
        b.add(b.part("spire", "top"), rod(top, top + [0, b.u(.15, .5), 0], r, .01, segments=segments))
    elif finish == "ring":
        b.add(b.part("eye ring", "top"), Torus(top + [0, .1, 0], .09, .025, rotation_to((0, 0, 1))))
    elif finish == "horse":
        b.add(b.part("neck", "top"), Tube(arc(top - [0, .05, 0], top + [.05, .35, 0], (-.1, 0, 0)), np.linspace(.13, .09, 7)))
        b.add(b.part("muzzle", "top"), RoundCone(top + [.05, .35, 0], top + [.24, .26, 0], .09, .055))
        for side, name in SIDES:
            b.add(b.part(f"{name} ear", "top"), rod(top + [0, .4, side * .04], top + [-.02, .5, side * .05], .03, .005))
    if b.chance(.25):
        for k in range(b.n(1, 3)):
            side = -1 if k else 1
            height = y * b.u(.3, .8)
            b.add(b.part(f"handle {k}", f"handle {k}"), Tube(arc((0, height - .12, side * r * .6), (0, height + .12, side * r * .6), (0, 0, side * b.u(.15, .35)), 9), b.u(.02, .035)))


def rack(b: Builder) -> None:
    """Ladders, shelves, baskets, gratings, stairs, chains, swings: many equal thin parts in a row."""
    kind = b.pick(["ladder", "shelf", "basket", "grate", "stairs", "chain", "xylophone"])
    t = b.u(.015, .045)
    square = b.chance(.5)
    if kind == "ladder":
        w, h, n = b.u(.18, .35), .9, b.n(4, 9)
        for side, name in SIDES:
            b.add(b.part(f"{name} rail", "rails"), beam(b, (0, -h, side * w), (0, h, side * w * b.u(.7, 1)), t * 1.3, square))
        for i in range(n):
            y = -h + 2 * h * (i + .7) / (n + .4)
            b.add(b.part(f"rung {i}", "rungs"), beam(b, (0, y, -w), (0, y, w), t, b.chance(.5)))
        if b.chance(.4):
            for side, name in SIDES:
                b.add(b.part(f"{name} prop", "prop"), beam(b, (0, h * .95, side * w * .8), (-.5, -h, side * w), t, square))
    elif kind == "shelf":
        w, d, n = b.u(.4, .7), b.u(.15, .25), b.n(3, 5)
        for i in range(n):
            y = -.8 + 1.6 * i / (n - 1)
            b.add(b.part(f"board {i}", f"level {i}"), Box((0, y, 0), (d, .025, w)))
            for j in range(b.n(0, 4)):
                z, s = -w * .8 + b.u(0, .4) * w + j * w * .4, b.u(.05, .12)
                b.add(b.part(f"item {i}.{j}", f"level {i}"), b.pick([Box((0, y + s, z), (s * .8, s, s * .5)), rod((0, y, z), (0, y + s * 2, z), s * .6), Ellipsoid((0, y + s * .9, z), s * .8)]))
        for sx in (-1, 1):
            for side, name in SIDES:
                b.add(b.part(f"post {sx} {name}", "posts"), beam(b, (sx * d * .9, -.95, side * w * .97), (sx * d * .9, .9, side * w * .97), t, square))
    elif kind == "basket":
        r, h, n = b.u(.3, .45), b.u(.3, .5), b.n(8, 14)
        flare = b.u(1, 1.4)
        b.add(b.part("bottom", "bottom"), rod((0, -.02, 0), (0, .03, 0), r))
        for i in range(n):
            a = 2 * np.pi * i / n
            out = np.array([np.cos(a), 0, np.sin(a)])
            b.add(b.part(f"stake {i}", "stakes"), rod(out * r * .95, out * r * flare + [0, h, 0], t * .7))
        for i in range(b.n(1, 4)):
            s = (i + 1) / 4
            b.add(b.part(f"hoop {i}", "hoops"), Torus((0, h * s, 0), r * (1 + (flare - 1) * s), t * .8))
        b.add(b.part("rim", "rim"), Torus((0, h, 0), r * flare, t * 1.3))
        if b.chance(.6):
            b.add(b.part("handle", "handle"), Tube(arc((0, h, -r * flare), (0, h, r * flare), (0, b.u(.3, .5), 0), 13), t * 1.2))
    elif kind == "grate":
        w, h, n = b.u(.4, .8), b.u(.4, .6), b.n(4, 10)
        for s in (-1, 1):
            b.add(b.part(f"frame side {s}", "frame"), beam(b, (0, -h, s * w), (0, h, s * w), t * 1.5, square))
            b.add(b.part(f"frame end {s}", "frame"), beam(b, (0, s * h, -w), (0, s * h, w), t * 1.5, square))
        for i in range(n):
            z = -w + 2 * w * (i + 1) / (n + 1)
            b.add(b.part(f"bar {i}", "bars"), beam(b, (0, -h, z), (0, h, z), t * .8, square))
        for i in range(b.n(0, 3)):
            y = -h + 2 * h * (i + 1) / 4
            b.add(b.part(f"cross bar {i}", "cross bars"), beam(b, (t, y, -w), (t, y, w), t * .8, square))
    elif kind == "stairs":
        n, w = b.n(4, 8), b.u(.25, .45)
        step, rise = 1.3 / n, b.u(.8, 1.2) / n
        solid = b.chance(.5)
        for i in range(n):
            x, y = -.65 + step * (i + .5), -.5 + rise * (i + 1)
            half = (y + .5) / 2 if solid else .025
            b.add(b.part(f"tread {i}", "treads"), Box((x, y - half, 0), (step * .5 if solid else step * .55, half, w)))
        for side, name in SIDES:
            if b.chance(.7):
                for i in range(0, n, b.n(1, 2)):
                    x, y = -.65 + step * (i + .5), -.5 + rise * (i + 1)
                    b.add(b.part(f"{name} baluster {i}", f"{name} railing"), rod((x, y - .05, side * w * .92), (x, y + .35, side * w * .92), t * .7))
                b.add(b.part(f"{name} hand rail", f"{name} railing"), beam(b, (-.65, -.5 + rise * .5 + .35, side * w * .92), (.65, -.5 + rise * (n + .5) + .35, side * w * .92), t * 1.1, square))
    elif kind == "chain":
        n = b.n(3, 6)
        major, minor = b.u(.12, .17), b.u(.03, .05)
        loop = rounded_rectangle(major * 1.6, major, major * .9, 7)
        pitch = 2 * (major * 1.6 - minor)
        for i in range(n):
            x = (i - (n - 1) / 2) * pitch
            ring = np.c_[loop, np.zeros(len(loop))]
            ring = np.concatenate([ring, ring[:1]]) @ rotation_about("x", i % 2 * np.pi / 2).T + [x, 0, 0]
            b.add(b.part(f"link {i}", "first half" if i < n / 2 else "second half"), Tube(ring, minor, sides=10))
        if b.chance(.6):
            end = (n - 1) / 2 * pitch + major * 1.4
            b.add(b.part("pendant", "pendant"), b.pick([Ellipsoid((end + .15, 0, 0), .18), Box((end + .15, 0, 0), (.18, .14, .06)), Prism((end + .15, 0, 0), circle(.2, 6), .05)]))
    else:
        n = b.n(4, 9)
        for i in range(n):
            z = (i - (n - 1) / 2) * .17
            b.add(b.part(f"bar {i}", "bars"), Box((0, .06, z), (.45 - .028 * i, .025, .065), rounding=.01))
            for s in (-1, 1):
                b.add(b.part(f"nail {i} {s}", "nails"), rod((s * .25, .07, z), (s * .25, .115, z), .018))
        for s in (-1, 1):
            b.add(b.part(f"runner {s}", "runners"), beam(b, (s * .27, 0, -n * .09), (s * .22, 0, n * .09), t * 1.3, True))
        if b.chance(.6):
            b.add(b.part("mallet stick", "mallet"), rod((-.2, .16, -.3), (.3, .13, .25), .016))
            b.add(b.part("mallet head", "mallet"), Ellipsoid((.3, .13, .25), .05))
