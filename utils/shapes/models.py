"""The sample objects of `meshes/`: designed by hand from the same primitives, with named parts."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import SIDES
from utils.shapes.solids import (Box, Ellipsoid, Lathe, Prism, RoundCone, Superquadric, Tube, rod, rotation_about, rotation_to,
                                 unit)


def smooth_profile(points, count: int = 40) -> np.ndarray:
    """(count, 2) Catmull-Rom curve through (radius, height) points."""
    points = np.asarray(points, float)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, len(points) - 1, count)
    i = np.minimum(t.astype(int), len(points) - 2)
    s = (t - i)[:, None]
    p0, p1, p2, p3 = padded[i], padded[i + 1], padded[i + 2], padded[i + 3]
    return 0.5 * (2 * p1 + (p2 - p0) * s + (2 * p0 - 5 * p1 + 4 * p2 - p3) * s ** 2 + (3 * p1 - p0 - 3 * p2 + p3) * s ** 3)


def curve(points, count: int = 20) -> np.ndarray:
    """(count, 3) Catmull-Rom curve through points (K, 3)."""
    points = np.asarray(points, float)
    flat, deep = smooth_profile(points[:, :2], count), smooth_profile(points[:, 1:], count)
    return np.concatenate([flat, deep[:, 1:]], 1)


def hammer(b: Builder) -> None:
    """Claw hammer, about 1.6 high: striking face, neck, cheek and a split claw; shaft, grip and its end."""
    y = 0.62
    claw = b.part("claw", "head")
    upper = smooth_profile([(0.0, 0.085), (-.12, .088), (-.24, .062), (-.345, -.004), (-.425, -.105)], 16)
    lower = smooth_profile([(-.418, -.112), (-.33, -.048), (-.235, -.008), (-.13, -.018), (0.0, -.07)], 16)
    for side, _ in SIDES:
        spin = rotation_about("y", side * .095)
        outline = np.concatenate([upper, lower])
        b.add(claw, Prism((-.04, y, side * .033), outline, .031, spin, bevel=.02), softness=.2)
    cheek = b.part("cheek", "head")
    b.add(cheek, Box((0, y, 0), (.088, .092, .066), rounding=.03), softness=.4)
    b.add(cheek, rod((0, y - .13, 0), (0, y - .02, 0), .058, .062, .2), softness=.3)
    b.add(b.part("neck", "head"), Lathe((.05, y, 0), [(0, 0), (.066, 0), (.056, .07), (.052, .11), (.054, .16), (0, .16)], rotation_to((1, 0, 0))), softness=.35)
    b.add(b.part("face", "head"), Lathe((.19, y, 0), [(0, 0), (.05, 0), (.074, .022), (.082, .035), (.082, .125), (.076, .136), (.05, .142), (0, .144)], rotation_to((1, 0, 0))), softness=.12)
    shaft = [(0, -.3), *smooth_profile([(.048, -.3), (.043, -.05), (.041, .22), (.047, y - .08)], 14), (0, y - .08)]
    b.add(b.part("shaft", "handle"), Lathe((0, 0, 0), shaft, squash=.82), softness=.15)
    grip = smooth_profile([(.066, -.84), (.071, -.79), (.060, -.66), (.063, -.5), (.069, -.35), (.062, -.22), (.055, -.19)], 30)
    b.add(b.part("grip", "handle"), Lathe((0, 0, 0), [(0, -.86), (.05, -.86), *grip, (0, -.185)], squash=.82), softness=.1)
    b.add(b.part("grip end", "handle"), Lathe((0, 0, 0), [(0, -.92), (.055, -.92), (.072, -.91), (.08, -.89), (.08, -.85), (.07, -.835), (0, -.83)], squash=.85), softness=.12)


def chair(b: Builder) -> None:
    """Dining chair: dished seat, front and back legs, stretchers; back of two posts, a top rail and two rails."""
    seat, floor = 0.0, -.78
    b.add(b.part("seat", "seat"), Box((0, seat, 0), (.43, .042, .45), rounding=.036), softness=.3)
    b.add(b.part("seat", "seat"), Ellipsoid((0, .42, 0), (.62, .395, .66)), softness=.1, carve=True)
    legs = {}
    for sx, where in ((1, "front"), (-1, "back")):
        for side, name in SIDES:
            top, foot = np.array([sx * .35, seat - .01, side * .36]), np.array([sx * .40, floor, side * .40])
            legs[sx, side] = (top, foot)
            part = b.part(f"{where} {name} leg", "base")
            profile = [(0, 0), (.026, 0), (.033, .03), (.045, .5), (.046, .6), (.038, .74), (.034, .78), (0, .78)]
            b.add(part, Lathe(foot, profile, rotation_to(top - foot)), softness=.5)
    at = lambda key, t: legs[key][0] * (1 - t) + legs[key][1] * t  # noqa: E731
    for side, name in SIDES:
        b.add(b.part(f"{name} stretcher", "base"), rod(at((1, side), .62), at((-1, side), .62), .024, bevel=.3), softness=.4)
    mid = [(at((1, s), .62) + at((-1, s), .62)) / 2 for s, _ in SIDES]
    b.add(b.part("middle stretcher", "base"), rod(mid[0], mid[1], .024, bevel=.3), softness=.4)
    b.add(b.part("front stretcher", "base"), rod(at((1, -1), .45), at((1, 1), .45), .024, bevel=.3), softness=.4)
    lean = np.array([-.2, 1.0, 0])

    def back(level, z, push=0.0):
        return np.array([-.36, .02, z]) + lean * level - np.array([push, 0, 0])

    for side, name in SIDES:
        part = b.part(f"{name} back post", "back")
        b.add(part, RoundCone(back(-.03, side * .385), back(.93, side * .413), .04, .03), softness=.4)
    for name, level, tall in (("lower rail", .3, .042), ("middle rail", .55, .042), ("top rail", .83, .085)):
        reach = .375 + .03 * level - .9 * tall  # the round ends stay inside the posts
        z = np.linspace(-reach, reach, 25)
        points = np.stack([back(level, t, .05 * (1 - (t / .4) ** 2)) for t in z])
        way = unit(lean)
        # A rail is a strap: tall along the posts, thin across them.
        normal = unit(np.cross(way, [0, 0, 1.0]))
        b.add(b.part(name, "back"), Tube(points, tall, flat=.024 / tall, normal=normal), softness=.3)


def lamp(b: Builder) -> None:
    """Desk lamp: weighted base with a switch, two arms with joints, a conical shade with its neck, and a bulb."""
    floor = -.78
    foot = np.array([-.3, floor, 0])
    profile = smooth_profile([(.30, .012), (.31, .03), (.29, .06), (.2, .085), (.08, .105)], 14)
    b.add(b.part("base", "base"), Lathe(foot, [(0, 0), (.29, 0), *profile, (.04, .13), (0, .13)]), softness=.2)
    b.add(b.part("switch", "base"), rod(foot + [.17, .06, .0], foot + [.178, .14, 0], .042, .038, .3), softness=.1)
    first, second, third = foot + [0, .17, 0], np.array([-.5, .12, 0]), np.array([.16, .56, 0])
    arm = .026
    b.add(b.part("lower arm", "arm"), rod(first, second, arm), softness=.2)
    b.add(b.part("upper arm", "arm"), rod(second, third, arm), softness=.2)
    for name, p, r in (("base joint", first, .062), ("elbow joint", second, .06), ("head joint", third, .055)):
        b.add(b.part(name, "arm"), rod(p - [0, 0, .06], p + [0, 0, .06], r, bevel=.25), softness=.15)
    way = unit([.42, -.9, 0])
    neck = third + way * .02
    b.add(b.part("shade neck", "head"), Lathe(neck, [(0, 0), (.06, .0), (.072, .02), (.08, .12), (.07, .14), (0, .14)], rotation_to(way)), softness=.2)
    outer = smooth_profile([(.05, .13), (.1, .155), (.155, .23), (.215, .35), (.27, .5)], 18)
    inner = outer[::-1] - [.026, 0]
    inner = inner[inner[:, 0] > .05] + [0, .012]
    rim = [(.28, .515), (.262, .528), (.246, .518)]
    b.add(b.part("shade", "head"), Lathe(neck, [(0, .13), *outer, *rim, *inner[1:], (0, .19)], rotation_to(way)), softness=.1)
    b.add(b.part("bulb", "head"), Lathe(neck, [(0, .15), (.035, .15), *smooth_profile([(.036, .24), (.06, .3), (.092, .39), (.075, .47), (.03, .497)], 14), (0, .5)], rotation_to(way)), softness=.1)


def goat(b: Builder) -> None:
    """Billy goat, looking along +x: body, neck, head with muzzle, beard, ears and horns, jointed legs with hooves, tail."""
    body = b.part("body", "body")
    b.add(body, Ellipsoid((.24, .02, 0), (.26, .265, .185)), softness=.5)
    b.add(body, Ellipsoid((-.02, -.02, 0), (.42, .25, .2)), softness=.5)
    b.add(body, Ellipsoid((-.33, .035, 0), (.22, .225, .175)), softness=.5)
    b.add(body, RoundCone((-.35, .16, 0), (.3, .18, 0), .1, .1), softness=.8)
    neck = b.part("neck", "head and neck")
    b.add(neck, RoundCone((.36, .12, 0), (.62, .5, 0), .165, .1), softness=.55)
    skull = b.part("skull", "head and neck")
    b.add(skull, Ellipsoid((.69, .585, 0), (.125, .105, .088), rotation_about("z", -.5)), softness=.4)
    for side, name in SIDES:
        b.add(skull, Ellipsoid((.735, .64, side * .062), (.05, .032, .03), rotation_about("z", -.5)), softness=.6)  # brows
    muzzle = b.part("muzzle", "head and neck")
    b.add(muzzle, RoundCone((.76, .545, 0), (.92, .425, 0), .078, .056, flat=.88, spin=np.pi / 2), softness=.5)
    b.add(muzzle, RoundCone((.74, .48, 0), (.89, .385, 0), .05, .036), softness=.5)
    b.add(b.part("beard", "head and neck"), Tube(curve([(.855, .375, 0), (.85, .3, 0), (.82, .22, 0), (.80, .17, 0)], 20), np.linspace(.036, .012, 20)), softness=.4)
    for side, name in SIDES:
        b.add(b.part(f"{name} eye", "head and neck"), Ellipsoid((.762, .598, side * .078), (.024, .022, .018)), softness=.05)
        way = unit([-.35, -.28, side])
        up = unit(np.array([0.25, 1, 0]) - way * (np.array([0.25, 1, 0]) @ way))
        frame = np.stack([up, way, np.cross(up, way)], 1)
        at = np.array([.635, .6, side * .075])
        b.add(b.part(f"{name} ear", "head and neck"), Ellipsoid(at + way * .1, (.045, .125, .02), frame), softness=.4)
        points = curve([(.665, .64, side * .048), (.66, .76, side * .07), (.6, .89, side * .11), (.48, .97, side * .17), (.35, .96, side * .22)], 48)
        b.add(b.part(f"{name} horn", "head and neck"), Tube(points, np.linspace(.043, .012, 48)), softness=.25)
    b.add(b.part("tail", "body"), Tube(curve([(-.5, .16, 0), (-.58, .22, 0), (-.65, .3, 0), (-.68, .36, 0)], 30), np.interp(np.linspace(0, 1, 30), [0, .3, .7, 1], [.05, .052, .042, .02])), softness=.4)
    for side, name in SIDES:
        group = f"front {name} leg"
        z = side * .125
        b.add(b.part(f"{group} upper", group), RoundCone((.27, -.06, z * .95), (.3, -.4, z), .105, .055), softness=.6)
        lower = b.part(f"{group} lower", group)
        b.add(lower, Ellipsoid((.302, -.43, z), (.054, .058, .05)), softness=.5)
        b.add(lower, RoundCone((.302, -.44, z), (.295, -.77, z), .043, .034), softness=.4)
        b.add(lower, Ellipsoid((.298, -.775, z), (.042, .036, .04)), softness=.5)
        b.add(b.part(f"{group} hoof", group), Lathe((.303, -.92, z), [(0, 0), (.062, 0), (.067, .012), (.045, .12), (.03, .13), (0, .13)]), softness=.12)
        group = f"hind {name} leg"
        b.add(b.part(f"{group} upper", group), RoundCone((-.36, 0, z * .85), (-.3, -.33, z), .15, .072, flat=.8, spin=0), softness=.5)
        lower = b.part(f"{group} lower", group)
        b.add(lower, RoundCone((-.3, -.34, z), (-.44, -.55, z), .066, .042), softness=.4)
        b.add(lower, Ellipsoid((-.45, -.555, z), (.046, .046, .042)), softness=.5)
        b.add(lower, RoundCone((-.445, -.56, z), (-.415, -.78, z), .04, .034), softness=.4)
        b.add(lower, Ellipsoid((-.412, -.785, z), (.042, .036, .04)), softness=.5)
        b.add(b.part(f"{group} hoof", group), Lathe((-.405, -.92, z), [(0, 0), (.062, 0), (.067, .012), (.045, .12), (.03, .13), (0, .13)]), softness=.12)


def humanoid(b: Builder) -> None:
    """Standing figure that looks along +x, arms away from the body: head, torso, arms with hands, legs with feet."""
    head = b.part("head", "head")
    c = np.array([.01, .80, 0])
    b.add(head, Ellipsoid(c + [-.008, .02, 0], (.112, .118, .092)), softness=.4)
    b.add(head, Ellipsoid(c + [.03, -.055, 0], (.078, .085, .07)), softness=.5)
    b.add(head, RoundCone(c + [.105, .018, 0], c + [.128, -.022, 0], .014, .02), softness=.6)
    b.add(head, Ellipsoid(c + [.075, -.115, 0], (.03, .022, .032)), softness=.8)
    for side, name in SIDES:
        b.add(head, Ellipsoid(c + [-.01, .0, side * .092], (.022, .034, .013), rotation_about("y", -side * .35)), softness=.4)
        b.add(head, Ellipsoid(c + [.088, .035, side * .036], (.018, .01, .022)), softness=.5)
    b.add(b.part("neck", "head"), RoundCone((-.012, .56, 0), (.0, .70, 0), .064, .056), softness=.5)
    chest = b.part("chest", "torso")
    b.add(chest, Ellipsoid((0, .4, 0), (.125, .2, .195)), softness=.5)
    b.add(chest, RoundCone((-.01, .50, -.13), (-.01, .50, .13), .075, .075), softness=.7)
    for side, _ in SIDES:
        b.add(chest, Ellipsoid((.065, .42, side * .085), (.062, .07, .085)), softness=.6)
    b.add(b.part("belly", "torso"), Ellipsoid((.008, .2, 0), (.112, .15, .152)), softness=.6)
    b.add(b.part("hips", "torso"), Ellipsoid((-.005, .04, 0), (.122, .125, .178)), softness=.6)
    for side, name in SIDES:
        group = f"{name} arm"
        shoulder, elbow, wrist = (np.array(p) * [1, 1, side] for p in ((-.005, .505, .21), (-.03, .265, .335), (.06, .04, .425)))
        upper = b.part(f"{name} upper arm", group)
        b.add(upper, Ellipsoid(shoulder, (.066, .07, .064)), softness=.9)
        b.add(upper, RoundCone(shoulder, elbow, .06, .047), softness=.5)
        fore = b.part(f"{name} forearm", group)
        b.add(fore, RoundCone(elbow, elbow + (wrist - elbow) * .35, .047, .052), softness=.4)
        b.add(fore, RoundCone(elbow + (wrist - elbow) * .35, wrist, .052, .032), softness=.4)
        way = unit(wrist - elbow + np.array([.02, -.05, 0]))
        flat = unit(np.array([1.0, 0, 0]) - way * way[0])  # across the palm
        frame = np.stack([flat, way, np.cross(flat, way)], 1)
        hand = b.part(f"{name} hand", group)
        b.add(hand, Ellipsoid(wrist + way * .065, (.062, .068, .028), frame), softness=.4)
        for length, off in ((.085, 1.5), (.1, .5), (.092, -.5), (.07, -1.5)):
            root = wrist + way * .105 + flat * off * .033
            tip = root + (way + flat * off * .13) * length
            b.add(b.part(f"{name} fingers", group), RoundCone(root, tip, .0150, .0130), softness=.1)
        root = wrist + way * .045 + flat * .045
        b.add(b.part(f"{name} thumb", group), RoundCone(root, root + unit(way * .8 + flat * .75) * .075, .0185, .0145), softness=.5)
        group = f"{name} leg"
        hip, knee, ankle = (np.array(p) * [1, 1, side] for p in ((-.005, -.03, .095), (.015, -.43, .115), (-.03, -.83, .125)))
        thigh = b.part(f"{name} thigh", group)
        b.add(thigh, RoundCone(hip, knee, .105, .066), softness=.4)
        shin = b.part(f"{name} shin", group)
        b.add(shin, RoundCone(knee, knee + (ankle - knee) * .32 + [-.02, 0, 0], .064, .066), softness=.5)
        b.add(shin, RoundCone(knee + (ankle - knee) * .32 + [-.02, 0, 0], ankle, .066, .038), softness=.5)
        foot = b.part(f"{name} foot", group)
        b.add(foot, Ellipsoid(ankle + [-.02, -.035, 0], (.05, .05, .042)), softness=.6)
        b.add(foot, RoundCone(ankle + [0, -.03, 0], ankle + [.125, -.065, side * .022], .043, .03), softness=.5)
        b.add(foot, Ellipsoid(ankle + [.11, -.068, side * .018], (.075, .028, .048)), softness=.6)


def teapot(b: Builder) -> None:
    """Round teapot: body on a foot, lid with a knob, spout, handle."""
    body = smooth_profile([(.3, -.38), (.44, -.25), (.5, -.05), (.45, .14), (.31, .26)], 30)
    b.add(b.part("body", "pot"), Lathe((0, 0, 0), [(0, -.40), (.26, -.40), *body, (.27, .275), (0, .275)]), softness=.05)
    b.add(b.part("foot", "pot"), Lathe((0, 0, 0), [(0, -.47), (.28, -.47), (.31, -.45), (.30, -.42), (.27, -.38), (0, -.38)]), softness=.2)
    lid = smooth_profile([(.315, .30), (.30, .335), (.22, .385), (.1, .42)], 16)
    b.add(b.part("lid", "lid"), Lathe((0, 0, 0), [(0, .25), (.25, .25), (.275, .275), (.315, .285), *lid, (0, .43)]), softness=.05)
    b.add(b.part("knob", "lid"), Lathe((0, 0, 0), [(0, .4), (.05, .4), *smooth_profile([(.04, .44), (.045, .465), (.085, .51), (.08, .56), (.04, .59)], 14), (0, .595)]), softness=.12)
    spout = curve([(.36, -.16, 0), (.56, -.1, 0), (.68, .08, 0), (.74, .24, 0), (.86, .32, 0)], 60)
    b.add(b.part("spout", "spout"), Tube(spout, smooth_profile([(0, .15), (.33, .10), (.67, .066), (1, .056)], 60)[:, 1]), softness=.5)
    b.add(b.part("spout", "spout"), RoundCone((.83, .31, 0), (.95, .39, 0), .034, .036), softness=.2, carve=True)
    handle = curve([(-.38, .17, 0), (-.6, .25, 0), (-.82, .19, 0), (-.86, -.02, 0), (-.7, -.2, 0), (-.42, -.24, 0)], 60)
    b.add(b.part("handle", "handle"), Tube(handle, .05), softness=.5)


def camel(b: Builder) -> None:
    """Dromedary, looking along +x: body with a hump, long neck, head, ears, tail, legs with feet."""
    body = b.part("body", "body")
    b.add(body, Ellipsoid((0, 0, 0), (.46, .23, .19)), softness=.5)
    b.add(body, Ellipsoid((.26, -.01, 0), (.22, .24, .17)), softness=.5)
    b.add(body, Ellipsoid((-.32, .02, 0), (.2, .2, .16)), softness=.5)
    b.add(b.part("hump", "body"), Ellipsoid((-.02, .23, 0), (.2, .2, .11)), softness=.7)
    neck = curve([(.4, -.02, 0), (.58, -.05, 0), (.70, .1, 0), (.73, .35, 0), (.76, .5, 0)], 48)
    b.add(b.part("neck", "head and neck"), Tube(neck, smooth_profile([(0, .155), (.33, .108), (.67, .08), (1, .066)], 48)[:, 1]), softness=.6)
    b.add(b.part("head", "head and neck"), Ellipsoid((.8, .56, 0), (.115, .085, .075), rotation_about("z", -.2)), softness=.4)
    b.add(b.part("muzzle", "head and neck"), RoundCone((.87, .54, 0), (1.0, .495, 0), .062, .05), softness=.4)
    for side, name in SIDES:
        b.add(b.part(f"{name} ear", "head and neck"), Ellipsoid((.73, .65, side * .06), (.028, .055, .02), rotation_about("x", side * .5)), softness=.3)
    b.add(b.part("tail", "body"), Tube(curve([(-.5, .08, 0), (-.58, .0, 0), (-.61, -.15, 0), (-.6, -.28, 0)], 30), smooth_profile([(0, .04), (.33, .03), (.67, .026), (.85, .036), (1, .016)], 30)[:, 1]), softness=.4)
    for x, where in ((.27, "front"), (-.33, "hind")):
        for side, name in SIDES:
            group = f"{where} {name} leg"
            z = side * .105
            bend = .03 if where == "front" else -.05
            knee = (x + bend, -.46, z)
            b.add(b.part(f"{group} upper", group), RoundCone((x, -.08, z), knee, .115, .056), softness=.5)
            lower = b.part(f"{group} lower", group)
            b.add(lower, Ellipsoid(knee, .06), softness=.4)
            b.add(lower, RoundCone(knee, (x, -.86, z), .048, .036), softness=.4)
            b.add(b.part(f"{group} foot", group), Superquadric((x + .025, -.905, z), (.082, .042, .066), .6, .9), softness=.3)


