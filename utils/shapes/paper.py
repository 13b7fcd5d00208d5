"""Objects like those of the paper's figures that `meshes/` lacks: designed by hand, with named parts, facing +x."""

from __future__ import annotations

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.elements import SIDES
from utils.shapes.models import curve, put
from utils.shapes.samples import Sample
from utils.shapes.solids import Array, Box, Ellipsoid, Lathe, Prism, RoundCone, Superquadric, Torus, Tube, rod
from utils.shapes.tessellation import rotation_about, rotation_to, unit


def guitar(b: Builder) -> None:
    """Upright guitar that shows its front to +x: body with sound hole and bridge, neck, head with six pegs."""
    half = curve(
        [(0, -0.92), (0.24, -0.88), (0.37, -0.62), (0.3, -0.36), (0.22, -0.18), (0.26, 0.04), (0.22, 0.22), (0, 0.3)],
        40,
    )
    outline = np.concatenate([half, half[-2:0:-1] * [-1, 1]])
    put(b, "body", "body", 0.05, Prism((0, 0, 0), outline, 0.095, rotation_about("y", np.pi / 2), bevel=0.02))
    put(b, "sound hole", "body", 0.05, rod((0.03, -0.2, 0), (0.2, -0.2, 0), 0.095), carve=True)
    put(b, "bridge", "body", 0.1, Box((0.105, -0.6, 0), (0.03, 0.036, 0.17), rounding=0.01))
    put(b, "neck", "neck", 0.1, Box((0.075, 0.5, 0), (0.04, 0.4, 0.052), rounding=0.015))
    put(b, "head", "neck", 0.1, Box((0.06, 1.02, 0), (0.036, 0.15, 0.085), rounding=0.015, taper=1.15))
    for side, name in SIDES:
        for i in range(3):
            y = 0.93 + 0.085 * i
            put(
                b,
                f"{name} peg {i}",
                "pegs",
                0.1,
                rod((0.06, y, side * 0.07), (0.06, y, side * 0.165), 0.024, bevel=0.3),
            )


def alien(b: Builder) -> None:
    """Alien: a cubic trunk, a flat-topped head with three antennae and eyes, two arms, four legs with feet."""
    put(b, "trunk", "trunk", 0.1, Box((0, 0, 0), (0.24, 0.22, 0.24), rounding=0.04))
    put(b, "neck", "head", 0.2, rod((0, 0.2, 0), (0, 0.36, 0), 0.075))
    head = [(0, 0.32), (0.12, 0.32), *curve([(0.17, 0.36), (0.26, 0.5), (0.29, 0.6)], 12), (0.28, 0.62), (0, 0.62)]
    put(b, "head", "head", 0.08, Lathe((0, 0, 0), head))
    for name, z in (("right", -0.17), ("middle", 0.0), ("left", 0.17)):
        path = curve([(-0.02, 0.6, z), (-0.06, 0.74, 1.2 * z), (-0.02, 0.9, 1.5 * z)], 20)
        put(b, f"{name} antenna", "antennae", 0.1, Tube(path, np.full(20, 0.026)))
        put(b, f"{name} antenna", "antennae", 0.1, Ellipsoid((-0.02, 0.93, 1.5 * z), (0.058, 0.058, 0.058)))
    for side, name in SIDES:
        put(b, f"{name} eye", "head", 0.1, Ellipsoid((0.22, 0.5, side * 0.11), (0.06, 0.065, 0.055)))
        shoulder, elbow = np.array([0.02, 0.1, side * 0.22]), np.array([0.06, -0.04, side * 0.48])
        wrist = np.array([0.3, 0.02, side * 0.55])
        put(b, f"{name} upper arm", f"{name} arm", 0.3, RoundCone(shoulder, elbow, 0.065, 0.05))
        put(b, f"{name} forearm", f"{name} arm", 0.3, RoundCone(elbow, wrist, 0.05, 0.042))
        put(b, f"{name} hand", f"{name} arm", 0.3, Ellipsoid(wrist + [0.05, 0, 0], (0.085, 0.06, 0.06)))
        for where, x in (("front", 1), ("hind", -1)):
            _alien_leg(b, f"{where} {name} leg", x, side)


def _alien_leg(b: Builder, leg: str, x: int, side: int) -> None:
    hip, knee = np.array([x * 0.14, -0.18, side * 0.14]), np.array([x * 0.36, -0.4, side * 0.3])
    ankle = np.array([x * 0.26, -0.82, side * 0.24])
    put(b, f"{leg} upper", leg, 0.3, RoundCone(hip, knee, 0.085, 0.06))
    lower = curve([knee, (knee + ankle) / 2 + [x * 0.06, 0, side * 0.04], ankle], 24)
    put(b, f"{leg} lower", leg, 0.3, Tube(lower, np.linspace(0.056, 0.042, 24)))
    foot = Superquadric(ankle + [0.05, -0.05, 0], (0.12, 0.045, 0.075), 0.7, 0.9)
    put(b, f"{leg} foot", leg, 0.2, foot)


def candle(b: Builder) -> None:
    """Candle on a stick: dish with a ring to hold it, stem, cup, wax, wick, flame."""
    dish = [(0, -0.8), (0.4, -0.8), (0.47, -0.72), (0.44, -0.7), (0.36, -0.745), (0, -0.745)]
    put(b, "dish", "stick", 0.05, Lathe((0, 0, 0), dish))
    put(b, "ring", "stick", 0.15, Torus((-0.57, -0.68, 0), 0.125, 0.034, rotation_about("x", np.pi / 2)))
    stem = curve([(0.13, -0.75), (0.06, -0.66), (0.1, -0.55), (0.055, -0.44), (0.09, -0.34)], 24)
    put(b, "stem", "stick", 0.05, Lathe((0, 0, 0), [(0, -0.77), (0.15, -0.77), *stem, (0, -0.34)]))
    cup = [(0, -0.36), (0.1, -0.36), (0.19, -0.26), (0.185, -0.22), (0, -0.22)]
    put(b, "cup", "stick", 0.05, Lathe((0, 0, 0), cup))
    put(b, "wax", "candle", 0.04, rod((0, -0.24, 0), (0, 0.5, 0), 0.12, bevel=0.2))
    put(b, "wick", "candle", 0.1, rod((0, 0.48, 0), (0, 0.6, 0), 0.03))
    flame = curve([(0.03, 0.57), (0.1, 0.66), (0.085, 0.77), (0.03, 0.9), (0.004, 0.98)], 24)
    put(b, "flame", "candle", 0.05, Lathe((0, 0, 0), [(0, 0.56), *flame, (0, 0.985)]))


def truck(b: Builder) -> None:
    """Trailer truck: box of the trailer, chassis, cab with hood and exhausts, ten wheels."""
    put(b, "trailer box", "trailer", 0.04, Box((-0.32, 0.17, 0), (0.65, 0.27, 0.22), rounding=0.02))
    put(b, "trailer chassis", "trailer", 0.05, Box((-0.2, -0.16, 0), (0.62, 0.08, 0.12), rounding=0.02))
    put(b, "cab", "tractor", 0.06, Box((0.57, 0.1, 0), (0.13, 0.24, 0.19), rounding=0.03))
    put(b, "hood", "tractor", 0.06, Box((0.8, -0.05, 0), (0.15, 0.11, 0.15), rounding=0.03))
    put(b, "tractor chassis", "tractor", 0.05, Box((0.6, -0.17, 0), (0.36, 0.07, 0.125), rounding=0.02))
    for side, name in SIDES:
        at = np.array([0.47, 0.0, side * 0.2])
        put(b, f"{name} exhaust", "tractor", 0.1, rod(at + [0, -0.1, 0], at + [0, 0.48, 0], 0.032, bevel=0.3))
        for i, x in enumerate((0.84, 0.54, 0.25, -0.56, -0.87)):
            near, far = (x, -0.3, side * 0.09), (x, -0.3, side * 0.23)
            put(b, f"{name} wheel {i}", "wheels", 0.04, rod(near, far, 0.11, bevel=0.15))


def bicycle(b: Builder) -> None:
    """Bicycle: two wheels with spokes, frame of five tubes, fork, handlebar, seat, cranks with pedals, water bottle."""
    rear, front, crank = np.array([-0.55, -0.3, 0]), np.array([0.55, -0.3, 0]), np.array([-0.08, -0.32, 0])
    seat, neck = np.array([-0.24, 0.2, 0]), np.array([0.36, 0.22, 0])
    for name, hub in (("rear", rear), ("front", front)):
        put(b, f"{name} tyre", f"{name} wheel", 0.1, Torus(hub, 0.36, 0.036, rotation_about("x", np.pi / 2)))
        put(b, f"{name} hub", f"{name} wheel", 0.1, rod(hub - [0, 0, 0.05], hub + [0, 0, 0.05], 0.042))
        for i in range(8):
            rim = hub + 0.36 * np.array([np.cos(i * np.pi / 4), np.sin(i * np.pi / 4), 0])
            put(b, f"{name} spoke {i}", f"{name} wheel", 0.1, rod(hub, rim, 0.015))
    tubes = {"top tube": (seat, neck), "down tube": (crank, neck), "seat tube": (crank, seat + [-0.03, 0.1, 0])}
    for name, (start, end) in tubes.items():
        put(b, name, "frame", 0.2, rod(start, end, 0.03))
    for side, name in SIDES:
        off = np.array([0, 0, side * 0.06])
        for stay, top in (("chain stay", crank), ("seat stay", seat)):
            put(b, f"{name} {stay}", "frame", 0.2, rod(rear + off, top + off * 0.4, 0.018))
        put(b, f"{name} fork blade", "fork", 0.2, rod(front + off, neck + [0.02, -0.05, 0] + off * 0.6, 0.02))
        pedal = crank + [side * 0.1, -side * 0.12, side * 0.11]
        put(b, f"{name} crank", "drive", 0.1, rod(crank + [0, 0, side * 0.07], pedal - [0, 0, side * 0.02], 0.018))
        put(b, f"{name} pedal", "drive", 0.1, Box(pedal, (0.06, 0.018, 0.045), rounding=0.01))
        grip = curve([neck + [0.0, 0.17, 0], neck + [0.04, 0.2, side * 0.14], neck + [-0.05, 0.17, side * 0.27]], 20)
        put(b, "handlebar", "fork", 0.2, Tube(grip, np.full(20, 0.024)))
    put(b, "stem", "fork", 0.2, rod(neck - [-0.02, 0.08, 0], neck + [-0.01, 0.17, 0], 0.034))
    put(b, "chain ring", "drive", 0.1, rod(crank - [0, 0, 0.07], crank + [0, 0, 0.07], 0.055))
    put(b, "seat", "seat", 0.2, RoundCone(seat + [-0.12, 0.13, 0], seat + [0.12, 0.13, 0], 0.085, 0.036, flat=0.5))
    way = unit(neck - crank)
    bottle = crank + way * 0.24 + np.array([-way[1], way[0], 0]) * 0.075
    put(b, "water bottle", "frame", 0.1, rod(bottle - way * 0.11, bottle + way * 0.11, 0.055, bevel=0.3))


def airplane(b: Builder) -> None:
    """Airliner that flies along +x: fuselage with nose and cockpit, wings with engines, tailplanes, rudder."""
    hull = curve([(0.0, -0.95), (0.05, -0.9), (0.1, -0.6), (0.125, -0.2), (0.125, 0.55)], 30)
    nose = curve([(0.125, 0.55), (0.11, 0.75), (0.06, 0.9), (0.0, 0.95)], 16)
    along = rotation_to((1, 0, 0))
    put(b, "fuselage", "hull", 0.1, Lathe((0, 0, 0), [*hull, (0, 0.55)], along))
    put(b, "nose", "hull", 0.05, Lathe((0, 0, 0), [(0, 0.53), (0.124, 0.53), *nose], along))
    put(b, "cockpit", "hull", 0.3, Ellipsoid((0.66, 0.085, 0), (0.13, 0.06, 0.07)))
    for side, name in SIDES:
        frame = _wing_frame(0.1, side)
        outline = np.array([(0.2, 0), (-0.16, 0.86), (-0.27, 0.86), (-0.2, 0)])
        put(b, f"{name} wing", f"{name} wing", 0.15, Prism((0.08, -0.05, 0), outline, 0.026, frame, bevel=0.01))
        at = np.array([0.1, -0.1, side * 0.34])
        put(b, f"{name} engine", f"{name} wing", 0.1, rod(at - [0.13, 0, 0], at + [0.13, 0, 0], 0.066, bevel=0.15))
        outline = np.array([(0.13, 0), (-0.06, 0.34), (-0.15, 0.34), (-0.1, 0)])
        put(b, f"{name} tailplane", "tail", 0.15, Prism((-0.78, 0.03, 0), outline, 0.022, _wing_frame(0.15, side)))
    outline = np.array([(0.14, 0), (-0.1, 0.34), (-0.2, 0.34), (-0.14, 0)])
    put(b, "rudder", "tail", 0.15, Prism((-0.76, 0.04, 0), outline, 0.022))


def _wing_frame(rise: float, side: int) -> Array:
    """Frame (3, 3) of a wing: x ahead, y outwards and up."""
    out = unit([0, rise, side])
    return np.stack([[1.0, 0, 0], out, np.cross([1.0, 0, 0], out)], 1)


PAPER_SHAPES: dict[str, Sample] = {
    "guitar": Sample(guitar, 4000),
    "alien": Sample(alien, 4000),
    "candle": Sample(candle, 3000),
    "truck": Sample(truck, 8000),
    "bicycle": Sample(bicycle, 8000),
    "airplane": Sample(airplane, 3000),
}
