"""Devices: shells of several components with a wall, and many small things on a large flat face."""

from __future__ import annotations

import itertools

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import around, ball, box, grid, polar, put, rod, row, span, torus, tube
from utils.shapes.containers import boards, hollow
from utils.shapes.elements import arc
from utils.shapes.hollow import Loft, Sheet, walled
from utils.shapes.solids import Box, Lathe, Solid, rotation_about, rotation_to


def gadget(b: Builder) -> None:
    """Remote control, keyboard, telephone, camera, laptop, printer, console, switch board, toaster, kettle."""
    b.floating = True
    b.pick([_remote, _keyboard, _phone, _camera, _laptop, _printer, _mixer, _toaster, _kettle, _calculator])(b)


def shell(b: Builder, path: str, center, half, rounding: float = 0.03) -> None:
    """A device's case lying flat (thin along y): one solid, with a hidden inside, two half shells, or plates."""
    c, (x, y, z) = np.asarray(center, float), half
    r = float(min(rounding, 0.8 * x, 0.8 * z))
    core, w = (x - r, z - r), 0.15 * min(y, 0.1)

    def slab(low: float, high: float) -> Solid:
        return Loft(c, [(0, low), (r * 0.85, low), (r, low + 0.2 * (high - low)), (r, high), (0, high)], core)

    kind = b.pick(["one", "hidden", "halves", "halves", "open"])
    if kind == "halves":
        gap = b.u(-0.6, 0.6) * y
        for name, low, high in (("bottom", -y, gap), ("top", gap + w, y)):
            put(b, f"{path} {name}" if b.chance(0.5) else path, slab(low, high))
    elif kind == "open":  # nobody modelled the bottom
        put(b, path, Sheet(slab(-y, y), lambda m, n: n[:, 1] > -0.8))
    else:
        put(b, path, slab(-y, y))
    if kind == "hidden":
        box(b, path, c, (x - 3 * w, y - 2 * w, z - 3 * w))


def keys(b: Builder, path: str, name: str, places, form) -> None:
    """Many equal small things: one part, a part for each, or a part for each row."""
    kind = b.pick(["one", "one", "each", "rows"])
    for i, j, u, v in places:
        own = {"one": path, "each": f"{path}/{name} {i}.{j}", "rows": f"{path}/row {i} of {path.split('/')[-1]}"}[kind]
        put(b, own, form(u, v))


def _cap(b: Builder, size: float, high: float, y: float):
    """Forms of a key of `size` at a height: box, tapered, round, pill."""
    kind, wide = b.pick(["box", "taper", "round", "pill"]), b.u(0.7, 1.0)

    def form(x: float, z: float) -> Solid:
        if kind == "round":
            return Lathe((x, y, z), [(0, 0), (size, 0), (size * 0.9, high), (0, high)], segments=14)
        half = (size, high / 2, size * (wide if kind != "pill" else 1.6))
        return Box((x, y + high / 2, z), half, taper=0.75 if kind == "taper" else 1.0)

    return form


def _feet(b: Builder, x: float, y: float, z: float) -> None:
    if b.chance(0.5):
        together = b.chance(0.6)
        for i, (sx, sz) in enumerate(itertools.product((-0.85, 0.85), (-0.85, 0.85))):
            rod(b, "feet" if together else f"feet/foot {i}", *span(sx * x, (-y - 0.015, -y + 0.005), sz * z), 0.02)


def _remote(b: Builder) -> None:
    """Long case, keys, ring, window, battery cover."""
    x, y, z = b.u(0.12, 0.22), b.u(0.03, 0.06), b.u(0.5, 0.75)
    shell(b, "case/case", (0, 0, 0), (x, y, z), b.u(0.02, 0.1))
    rows, cols, size = b.n(4, 9), b.n(2, 4), b.u(0.016, 0.026)
    form = _cap(b, size, b.u(0.012, 0.03), y - 0.004)
    keys(b, "keys", "key", ((i, j, u, v) for i, j, v, u in grid(row(rows, -z * 0.85, z * 0.4), row(cols, -x, x))), form)
    torus(b, "ring", (0, y, z * 0.62), x * 0.45, 0.02, section=0.8)
    rod(b, b.pick(["ring", "ring button"]), *span(0, (y - 0.01, y + 0.02), z * 0.62), x * 0.18)
    box(b, "window", (0, 0, z), (x * 0.5, y * 0.5, 0.012))
    if b.chance(0.5):
        box(b, "battery cover", (0, -y, -z * 0.4), (x * 0.75, 0.008, z * 0.4))


def _keyboard(b: Builder) -> None:
    """Flat case with rows of keys, a wide one among them, cable, feet, lamps."""
    rows, cols, pitch = b.n(4, 6), b.n(10, 15), 0.1
    x, z, y = rows * pitch / 2 + 0.05, cols * pitch / 2 + 0.05, b.u(0.02, 0.045)
    shell(b, "case/case", (0, 0, 0), (x, y, z), 0.03)
    wide = b.n(3, 6)
    every = [
        (i, j, (i - (rows - 1) / 2) * pitch, (j - (cols - 1) / 2) * pitch)
        for i, j in itertools.product(range(rows), range(cols))
        if i < rows - 1 or abs(j - (cols - 1) / 2) > wide / 2
    ]
    keys(b, "keys", "key", every, _cap(b, pitch * 0.42, b.u(0.02, 0.05), y - 0.004))
    space = Box(((rows - 1) / 2 * pitch, y + 0.012, 0), (pitch * 0.4, 0.016, wide * pitch / 2 - 0.01))
    put(b, b.pick(["keys/space bar", "space bar"]), space)
    if b.chance(0.4):
        tube(b, "cable", arc((-x, 0, 0), (-x - 0.5, 0, b.u(-0.4, 0.4)), (0, 0, 0.15), 9), 0.015)
    for i, at in row(b.n(0, 3), z * 0.6, z * 0.95):
        rod(b, b.pick(["lamps", f"lamps/lamp {i}"]), *span(-x + 0.025, (y - 0.01, y + 0.01), at), 0.012)
    _feet(b, x, y, z)


def _phone(b: Builder) -> None:
    """Flat telephone: case, screen, lenses, side keys, port; or one with keys."""
    x, y, z = b.u(0.28, 0.36), b.u(0.02, 0.04), b.u(0.6, 0.7)
    shell(b, "case/case", (0, 0, 0), (x, y, z), b.u(0.03, 0.09))
    old = b.chance(0.3)
    end = b.u(-0.1, 0.2) * z if old else -z * 0.93
    middle, half = (end + z * 0.93) / 2, (z * 0.93 - end) / 2
    box(b, "screen", (0, y, middle), (x * 0.92, 0.006, half))
    if old:
        places = ((i, j, u, v) for i, j, v, u in grid(row(4, -z * 0.9, end), row(3, -x * 0.9, x * 0.9)))
        keys(b, "keys", "key", places, _cap(b, x * 0.18, 0.02, y - 0.004))
    bump = (x * 0.5, -y, z * 0.7)
    box(b, "camera/bump", bump, (x * 0.36, 0.014, x * 0.36), rounding=0.01)
    for i, (_, a) in enumerate(around(b.n(1, 3))):
        at = np.array(bump) + polar(a, x * 0.17)
        rod(b, b.pick(["camera/lenses", f"camera/lens {i}"]), at, at - [0, 0.03, 0], x * 0.12)
    for i, at in row(b.n(1, 3), 0, z * 0.6):
        box(b, b.pick(["side keys", f"side keys/side key {i}"]), (x, 0, at), (0.01, y * 0.4, z * 0.07))
    box(b, "port", (0, 0, -z), (x * 0.12, y * 0.4, 0.008))


def _camera(b: Builder) -> None:
    """Body, grip, lens of nested tubes with glass deep in them, dials, keys on the back, screen, strap lugs."""
    x, y, z = b.u(0.14, 0.2), b.u(0.24, 0.32), b.u(0.36, 0.5)
    turn = rotation_about("z", -np.pi / 2)
    core = (y - 0.05, z - 0.05)
    put(b, "body/case", Loft((-x, 0, 0), [(0, 0), (0.05, 0), (0.05, 2 * x), (0, 2 * x)], core, turn))
    if b.chance(0.7):
        box(b, "body/grip", (x, -0.02, -z * 0.8), (0.07, y * 0.9, z * 0.18), rounding=0.05)
    r, at, w = b.u(0.15, 0.2), x - 0.03, 0.02
    for i in range(b.n(1, 3)):
        long = b.u(0.08, 0.2)
        pipe = [(r - w, 0), (r, 0), (r, long), (r - w, long)]
        put(b, f"lens/barrel {i}", walled(Lathe((at, 0, 0), pipe, rotation_to((1, 0, 0))), w))
        at, r = at + long * 0.9, r * b.u(0.88, 0.98)
    ball(b, "lens/glass", (at * 0.5 + x * 0.5, 0, 0), (0.03, r * 0.95, r * 0.95))
    box(b, "finder", (0, y + 0.05, 0), (x * 0.8, 0.08, z * 0.25), taper=0.7)
    for i, s in enumerate((-0.8, -0.55, 0.7)):
        rod(b, b.pick([f"dials/dial {i}", "dials"]), *span(0, (y - 0.01, y + b.u(0.02, 0.05)), s * z), b.u(0.03, 0.055))
    box(b, "screen", (-x, -0.03, z * 0.2), (0.012, y * 0.65, z * 0.55))
    places = (
        (i, j, u, v) for i, j, u, v in grid(row(b.n(2, 4), -y * 0.8, y * 0.6), row(b.n(1, 2), -z * 0.9, -z * 0.45))
    )
    back = rotation_to((-1, 0, 0))
    button = [(0, 0), (0.02, 0), (0.02, 0.025), (0, 0.025)]
    keys(b, "buttons", "button", places, lambda u, v: Lathe((-x + 0.005, u, v), button, back, segments=12))
    for s in (-1, 1):
        torus(b, "lugs", (0, y * 0.7, s * (z + 0.015)), 0.02, 0.006)


def _laptop(b: Builder) -> None:
    """Base with keys and pad, lid with screen on a hinge, ports, feet."""
    x, y, z = b.u(0.38, 0.5), b.u(0.015, 0.03), b.u(0.55, 0.7)
    shell(b, "base/deck", (0, 0, 0), (x, y, z), 0.03)
    rows, cols = b.n(4, 6), b.n(9, 13)
    places = ((i, j, u, v) for i, j, u, v in grid(row(rows, -x * 0.75, x * 0.25), row(cols, -z * 0.88, z * 0.88)))
    keys(b, "base/keys", "key", places, _cap(b, min(x / rows, z * 1.76 / cols) * 0.42, 0.012, y - 0.003))
    box(b, "base/pad", (x * 0.62, y, 0), (x * 0.26, 0.004, z * 0.26))
    turn = rotation_about("z", b.pick([b.u(-0.5, 0.5), b.u(-0.6, 1.2)]))
    hinge = np.array([-x, y + 0.012, 0])
    box(b, "lid/cover", hinge + turn @ [0, x, 0], (0.014, x * 0.99, z), turn, rounding=0.008)
    box(b, "lid/screen", hinge + turn @ [0.014, x, 0], (0.004, x * 0.88, z * 0.93), turn)
    rod(b, "lid/lens", *(hinge + turn @ [e, x * 1.93, 0] for e in (0, 0.02)), 0.01)
    for i, s in enumerate((-0.7, 0.7)):
        rod(
            b,
            b.pick(["hinges", f"hinges/hinge {i}"]),
            hinge + [0, 0, s * z - 0.08],
            hinge + [0, 0, s * z + 0.08],
            0.018,
        )
    for i, at in row(b.n(0, 4), -x * 0.7, x * 0.5):
        box(b, b.pick(["ports", f"ports/port {i}"]), (at, 0, z), (0.03, y * 0.4, 0.006))
    _feet(b, x, y, z)


def _printer(b: Builder) -> None:
    """Case with a slot, trays in and out, scanner lid, panel with keys, paper."""
    x, y, z = b.u(0.3, 0.4), b.u(0.15, 0.28), b.u(0.4, 0.55)
    boards(b, "body/case", (0, 0, 0), (x, y, z), 0.015, front=False, each=False)
    box(b, "body/case", (x - 0.01, y * 0.5, 0), (0.012, y * 0.5, z))
    box(b, "body/top", (0, y, 0), (x, 0.015, z))
    turn = rotation_about("z", b.pick([0.0, b.u(0.3, 1.3)]))
    hinge = np.array([-x, y + 0.02, 0])
    box(b, "lid", hinge + turn @ [x * 0.95, 0.03, 0], (x * 0.93, 0.028, z * 0.95), turn, rounding=0.01)
    box(b, "out tray", (x * 1.2, -y * 0.6, 0), (x * 0.5, 0.012, z * 0.7))
    boards(b, "cassette/box", (0.01, -y * 0.8, 0), (x * 0.95, y * 0.15, z * 0.85), 0.01, each=False)
    box(b, "cassette/front", (x + 0.012, -y * 0.8, 0), (0.012, y * 0.18, z * 0.9))
    if b.chance(0.5):
        box(b, "paper", (x * 1.1, -y * 0.6 + 0.02, 0), (x * 0.5, 0.008, z * 0.55))
    tilt = rotation_about("z", -0.5)
    at = np.array([x * 1.03, y * 0.75, 0])
    box(b, "panel/plate", at, (0.07, 0.012, z * 0.6), tilt)
    box(b, "panel/display", at + tilt @ [0, 0.014, -z * 0.3], (0.04, 0.004, z * 0.2), tilt)
    for i, s in row(b.n(3, 8), 0, z * 0.58):
        own = b.pick(["panel/buttons", "panel/buttons", f"panel/buttons/button {i}"])
        rod(b, own, *(at + tilt @ [0, e, s] for e in (0.005, 0.025)), 0.015)
    _feet(b, x, y, z)


def _mixer(b: Builder) -> None:
    """A desk of knobs and sliders in rows, sockets behind, a display."""
    x, y, z = b.u(0.4, 0.55), b.u(0.05, 0.09), b.u(0.5, 0.75)
    shell(b, "case/case", (0, 0, 0), (x, y, z), 0.02)
    cols = b.n(4, 8)
    size = min(0.035, z / cols * 0.5)
    places = [(i, j, u, v) for i, j, u, v in grid(row(b.n(2, 4), -x * 0.8, x * 0.05), row(cols, -z * 0.95, z * 0.95))]
    keys(b, "knobs", "knob", places, _cap(b, size, 0.05, y - 0.004))
    for j, at in row(cols, -z * 0.95, z * 0.95):
        slot, top = f"sliders/slider {j}", b.u(0.25, 0.8) * x
        box(b, "slots", (x * 0.55, y, at), (x * 0.3, 0.005, 0.008))
        box(b, b.pick([slot, "sliders"]), (top, y + 0.025, at), (0.03, 0.025, 0.018), taper=0.7)
    for i, at in row(b.n(0, 6), -z * 0.9, z * 0.9):
        rod(b, b.pick(["sockets", f"sockets/socket {i}"]), *span((-x - 0.03, -x + 0.01), 0, at), 0.025)
    if b.chance(0.5):
        box(b, "display", (-x * 0.9, y + 0.01, z * 0.3), (0.03, 0.01, z * 0.4))
    _feet(b, x, y, z)


def _toaster(b: Builder) -> None:
    """Case with slots down into it, bread, lever, dial, tray, cord."""
    x, y, z, t = b.u(0.2, 0.28), b.u(0.2, 0.28), b.u(0.35, 0.45), 0.015
    for s in (-1, 1):
        box(b, "case", (s * (x - t), 0, 0), (t, y, z))
        box(b, "case", (0, 0, s * (z - t)), (x, y, t))
        box(b, b.pick(["case", f"end {s}"]), (0, 0, s * (z + t)), (x * 1.03, y * 1.02, t * 2), rounding=0.02)
    slots = b.pick([1, 2, 2])
    for _, at in row(slots + 1, -x, x, 0):
        box(b, "case", (at, y - t, 0), (x * 0.12, t, z))
    for i, at in row(slots, -x, x):
        if b.chance(0.6):
            box(
                b,
                b.pick(["bread", f"bread/slice {i}"]),
                (at, y * b.u(0.2, 0.9), 0),
                (0.035, y * 0.7, z * 0.7),
                rounding=0.02,
            )
        for s in (-1, 1):
            for _, up in row(4, -y * 0.7, y * 0.7):
                rod(b, b.pick(["grid", "grid", f"grid/grid {i}"]), *span(at + s * 0.06, up, (-z + t, z - t)), 0.005)
    box(b, "lever", (0, y * b.u(0, 0.5), z + 0.07), (0.05, 0.02, 0.03))
    rod(b, "dial", *span(-x * 0.4, -y * 0.5, (z + 0.02, z + 0.07)), 0.04, bevel=0.2)
    for i, at in row(b.n(0, 3), -0.1, 0.12):
        rod(b, b.pick(["buttons", f"buttons/button {i}"]), *span(x * 0.4, at, (z + 0.02, z + 0.055)), 0.018)
    _feet(b, x, y, z)


def _kettle(b: Builder) -> None:
    """Jug with wall, spout, lid, handle, base plate, switch, window."""
    r, h, w = b.u(0.24, 0.3), b.u(0.5, 0.7), 0.015
    top = r * b.u(0.65, 0.95)
    hollow(b, "jug/body", [(r, 0), ((r + top) / 2 + b.u(0, 0.03), h / 2), (top, h)], w)
    rod(b, "base", (0, -0.06, 0), (0, -0.005, 0), r * 1.08, r * 1.02, 0.1)
    rod(b, "lid/disc", (0, h - 0.01, 0), (0, h + 0.03, 0), top * 1.01, top * 0.9)
    ball(b, "lid/knob", (0, h + 0.05, 0), (0.05, 0.035, 0.05))
    path = np.array(
        [(0, h * 0.95, top), (0, h, top + 0.16), (0, h * 0.6, r + 0.22), (0, h * 0.15, r + 0.08), (0, h * 0.1, r)]
    )
    tube(b, b.pick(["handle", "jug/handle"]), path, b.u(0.028, 0.045))
    spout = arc((0, h * 0.8, -top * 0.9), (0, h * 1.02, -top - 0.12), (0, 0, 0), 5)
    tube(b, "jug/spout", spout, np.linspace(0.09, 0.045, 5))
    box(b, "switch", (0, -0.02, r * 1.12), (0.035, 0.02, 0.04))
    if b.chance(0.5):
        box(b, "jug/window", (r * 0.97, h * 0.45, 0), (0.02, h * 0.3, 0.03))


def _calculator(b: Builder) -> None:
    """Flat or sloping case with a display, a solar strip and a field of keys; a till with a drawer."""
    x, z = b.u(0.4, 0.6), b.u(0.3, 0.45)
    y = b.u(0.03, 0.08)
    shell(b, "case/case", (0, 0, 0), (x, y, z), b.u(0.02, 0.06))
    rows, cols = b.n(4, 6), b.n(3, 5)
    size = min(x * 1.2 / rows, z * 1.8 / cols) * b.u(0.25, 0.42)
    places = ((i, j, u, v) for i, j, u, v in grid(row(rows, -x * 0.3, x * 0.9), row(cols, -z * 0.9, z * 0.9)))
    keys(b, "keys", "key", places, _cap(b, size, b.u(0.015, 0.05), y - 0.004))
    box(b, "display", (-x * 0.62, y, 0), (x * 0.18, 0.012, z * 0.85))
    if b.chance(0.5):
        box(b, b.pick(["solar cells", "display/solar cells"]), (-x * 0.88, y, z * 0.3), (x * 0.05, 0.006, z * 0.4))
    if b.chance(0.3):
        boards(b, "till/till box", (0, -y - 0.09, 0), (x * 0.95, 0.07, z * 0.97), 0.01, each=False)
        box(b, "till/till front", (x, -y - 0.09, 0), (0.015, 0.08, z))
    _feet(b, x, y, z)
