"""Case furniture and kitchen machines with insides: carcasses of boards, drawers, doors in frames, cavities, trays."""

from __future__ import annotations

import itertools

import numpy as np

from utils.shapes.builder import Builder
from utils.shapes.combinators import ball, bar, box, grid, put, rod, row, span, torus
from utils.shapes.containers import boards
from utils.shapes.elements import SIDES, circle
from utils.shapes.hollow import Loft, Sheet, walled
from utils.shapes.solids import Box, Lathe, Prism, rotation_about, rotation_to


def cabinet(b: Builder) -> None:
    """Chest of drawers, cupboard, desk, oven, refrigerator, washing machine, a door or a window in its frame."""
    b.floating = True
    b.pick([_drawers, _drawers, _cupboard, _cupboard, _desk, _oven, _fridge, _washer, _doorway])(b)


def carcass(b: Builder, path: str, half, t: float, backs: float = 0.85) -> None:
    """A case of boards that is open to +x: sides, top, bottom, back, together one part or each its own."""
    x, y, z = half
    each = b.chance(0.2)
    plates = [(f"{name} side", (0, 0, s * (z - t)), (x, y, t)) for s, name in SIDES]
    plates += [("top", (0, y - t, 0), (x, t, z)), ("bottom", (0, t - y, 0), (x, t, z))]
    plates += [("back", (-x + t, 0, 0), (t, y, z))] if b.chance(backs) else []
    for name, at, size in plates:
        box(b, f"{path}/{name}" if each else f"{path}/case", at, size)


def grip(b: Builder, path: str, at, along: int, kind: str, size: float) -> None:
    """A handle on a front that faces +x: a knob, a bar on two posts along an axis (1 or 2), or a shell."""
    at = np.asarray(at, float)
    way = np.eye(3)[along] * size
    if kind == "knob":
        rod(b, path, at, at + [0.05, 0, 0], 0.012, 0.025)
    elif kind == "bar":
        bar(b, path, at - way + [0.05, 0, 0], at + way + [0.05, 0, 0], 0.012, False)
        for s in (-0.8, 0.8):
            bar(b, path, at + s * way - [0.01, 0, 0], at + s * way + [0.05, 0, 0], 0.009, False)
    elif kind == "shell":
        ball(b, path, at, (0.035, 0.03, max(size, 0.05)))


def drawer(b: Builder, path: str, center, half, t: float, pull: float, kind: str) -> None:
    """A box of boards with a front and a handle; center and half of its place, `pull` is how far it stands out."""
    c = np.asarray(center, float) + [pull, 0, 0]
    x, y, z = half
    box(b, f"{path} front", c + [x + t, 0, 0], (t, y * 0.97, z * 0.98))
    boards(b, f"{path} box", c - [0.01, y * 0.1, 0], (x * 0.95, y * 0.75, z * 0.92), t * 0.6, b.chance(0.5), False)
    rows = (-0.5, 0.5) if z > 0.4 and kind == "knob" else (0.0,)
    for s in rows:
        grip(b, f"{path} handle", c + [x + 2 * t, 0, s * z], 2, kind, min(0.12, z * 0.5))


def _feet(b: Builder, half, tall: float, path: str = "feet") -> None:
    """Four feet below a case, or a plinth."""
    x, y, z = half
    if b.chance(0.3):
        box(b, "plinth", (-0.02, -y - tall / 2, 0), (x * 0.9, tall / 2, z * 0.96))
        return
    together, square, thick = b.chance(0.5), b.chance(0.5), b.u(0.018, 0.035)
    for i, (sx, sz) in enumerate(itertools.product((-1, 1), (-1, 1))):
        ends = span(sx * x * 0.88, (-y - tall, -y + 0.01), sz * z * 0.92)
        bar(b, path if together else f"{path}/foot {i}", *ends, thick, square)


def door(b: Builder, path: str, hinge, size, t: float, angle: float, side: int, kind: str, glass: bool) -> None:
    """A door on a vertical hinge (3,): `size` (height / 2, width), opened by an angle; `side` of the hinge, -1 or 1."""
    hinge, (h, w) = np.asarray(hinge, float), size
    turn = rotation_about("y", -side * angle)

    def at(x: float, y: float, z: float) -> np.ndarray:
        return hinge + turn @ np.array([x, y, -side * z])

    form = b.pick(["panel", "frame", "frame"]) if not glass else "frame"
    if form == "panel":
        box(b, f"{path} panel", at(t, 0, w / 2), (t, h, w / 2), turn)
    else:
        rim = min(0.3 * w, 0.3 * h, b.u(0.04, 0.09))
        for s in (-1, 1):  # four boards are one frame
            box(b, f"{path} frame", at(t, s * (h - rim / 2), w / 2), (t, rim / 2, w / 2), turn)
            place = at(t, 0, w / 2 + s * (w / 2 - rim / 2))
            box(b, f"{path} frame", place, (t * 0.98, h - rim, rim / 2), turn)
        box(b, f"{path} " + ("glass" if glass else "filling"), at(t, 0, w / 2), (t * 0.3, h - rim, w / 2 - rim), turn)
    if kind != "none":
        root = at(2 * t, b.u(-0.3, 0.3) * h, w * 0.9)
        tall = min(0.12, h * 0.5)
        if kind == "knob":
            rod(b, f"{path} handle", root, root + turn @ [0.05, 0, 0], 0.012, 0.025)
        else:
            out = turn @ [0.045, 0, 0]
            bar(b, f"{path} handle", root + out - [0, tall, 0], root + out + [0, tall, 0], 0.012, False)
            for s in (-0.8, 0.8):
                bar(b, f"{path} handle", root + [0, s * tall, 0], root + out + [0, s * tall, 0], 0.009, False)
    if b.chance(0.5):
        for s in (-0.7, 0.7):
            rod(b, b.pick(["hinges", f"{path} hinges"]), *(hinge + [0, s * h + e, 0] for e in (-0.035, 0.035)), 0.014)


def _drawers(b: Builder) -> None:
    """Chest of drawers: case, drawers of boards, some pulled out, legs."""
    x, y, z, t = b.u(0.22, 0.4), b.u(0.3, 0.8), b.u(0.3, 0.8), b.u(0.012, 0.025)
    carcass(b, "body", (x, y, z), t)
    rows, cols = b.n(1, 5), b.pick([1, 1, 2])
    kind = b.pick(["knob", "bar", "bar", "shell", "none"])
    for i, j, at_y, at_z in grid(row(rows, -y + t, y - t), row(cols, -z + t, z - t)):
        pull = b.pick([0.0, 0.0, 0.0, b.u(0.1, 1.2) * x])
        half = (x - t, (y - t) / rows - 0.006, (z - t) / cols - 0.006)
        drawer(b, f"drawers/drawer {i}.{j}/{i}.{j}", (0, at_y, at_z), half, t, pull, kind)
    _dividers(b, rows, cols, (x, y, z), t)
    if b.chance(0.5):
        box(b, b.pick(["top", "body/top board"]), (0, y + t, 0), (x * 1.05, t, z * 1.04))
    if b.chance(0.8):
        _feet(b, (x, y, z), b.u(0.05, 0.3))


def _dividers(b: Builder, rows: int, cols: int, half, t: float) -> None:
    x, y, z = half
    if b.chance(0.4):
        for i in range(1, rows):
            box(b, "body/shelves", (0, -y + t + (2 * y - 2 * t) * i / rows, 0), (x * 0.98, t * 0.5, z - t))
    if cols > 1 and b.chance(0.7):
        box(b, "body/partition", (0, 0, 0), (x * 0.98, y - t, t * 0.5))


def _cupboard(b: Builder) -> None:
    """Cupboard, wardrobe, bookcase: case, shelves, doors that stand open or shut, what stands on the shelves."""
    x, y, z, t = b.u(0.18, 0.35), b.u(0.4, 1.0), b.u(0.3, 0.8), b.u(0.012, 0.025)
    carcass(b, "body", (x, y, z), t)
    doors = b.pick([0, 1, 2, 2])
    glass = b.chance(0.35)
    levels, together = b.n(1, 4), b.chance(0.5)
    for i, at in row(levels, -y, y, 1):
        box(b, "shelves" if together else f"shelves/shelf {i}", (0, at, 0), (x * 0.93, t * 0.7, z - 2 * t))
        for j, at_z in row(b.n(0, 5), -z * 0.8, z * 0.8):
            s = min(b.u(0.04, 0.12), 0.7 * y / (levels + 1))
            book = Box((0, at + t + s * 1.3, at_z), (x * 0.6, s * 1.3, s * 0.3))
            put(b, b.pick([f"things/thing {i}.{j}", f"things/row {i}"]), book)
    kind = b.pick(["knob", "bar", "bar", "none"])
    wide = 2 * z / max(doors, 1)
    for i in range(doors):
        side = 1 if i else -1
        angle = b.pick([0.0, 0.0, b.u(0.3, 2.2)])
        hinge = (x, 0, side * z)
        door(b, f"doors/door {i}/door {i}", hinge, (y * 0.99, wide * 0.99), t * 0.7, angle, side, kind, glass)
    if b.chance(0.4):
        rod(b, "rail", (0, y * 0.75, -z), (0, y * 0.75, z), 0.015)
    if b.chance(0.4):
        box(b, "cornice", (0, y + t, 0), (x * 1.08, t * 1.5, z * 1.05))
    if b.chance(0.7):
        _feet(b, (x, y, z), b.u(0.05, 0.25))


def _desk(b: Builder) -> None:
    """Desk or side table: board, legs, a pedestal with drawers, a modesty panel."""
    x, z, h, t = b.u(0.25, 0.4), b.u(0.5, 0.9), b.u(0.5, 0.8), b.u(0.012, 0.03)
    box(b, "top", (0, h, 0), (x, t, z))
    y, wide = h * b.u(0.2, 0.48), z * b.u(0.2, 0.35)
    kind = b.pick(["knob", "bar", "shell"])
    for side, name in SIDES if b.chance(0.4) else SIDES[:1]:
        middle = np.array([0, h - t - y, side * (z - wide - t)])
        path = f"{name} pedestal/{name} pedestal body"
        for s, _ in SIDES:
            box(b, path, middle + [0, 0, s * (wide - t)], (x * 0.92, y, t))
        box(b, path, middle - [0, y - t, 0], (x * 0.92, t, wide))
        box(b, path, middle - [x * 0.92 - t, 0, 0], (t, y, wide))
        count = b.n(1, 4)
        for i, at in row(count, -y + 2 * t, y):
            pull = b.pick([0.0, 0.0, b.u(0.1, 0.9) * x])
            half = (x * 0.9 - t, (y - t) / count - 0.006, wide - 2.2 * t)
            own = f"{name} pedestal/{name} drawer {i}/{name} {i}"
            drawer(b, own, middle + [0, at, 0], half, t * 0.7, pull, kind)
    square, thick = b.chance(0.5), b.u(0.018, 0.04)
    together = b.chance(0.5)
    for i, (sx, sz) in enumerate(itertools.product((-1, 1), (-1, 1))):
        bar(b, "legs" if together else f"legs/leg {i}", *span(sx * x * 0.9, (0, h), sz * z * 0.95), thick, square)
    if b.chance(0.5):
        box(b, "panel", (-x * 0.9, h * 0.7, 0), (t * 0.6, h * 0.28, z * 0.94))


def _cavity(b: Builder, path: str, half, wall: float) -> None:
    """A machine's case with an opening to +x: the outside and the cavity are one part."""
    x, y, z = half
    rim = max(wall, 0.02)
    if b.chance(0.5):  # sheets: the case without its front, the cavity, the rim between them
        profile = [(0, 0), (0.02, 0), (0.02, 2 * x), (0, 2 * x)]
        case = Loft((-x, 0, 0), profile, (y - 0.02, z - 0.02), rotation_about("z", -np.pi / 2))
        put(b, path, Sheet(case, lambda m, n: (n[:, 1] < 0.9) | (m[:, 1] < x)))
        cavity = Box((rim / 2, 0, 0), (x - rim / 2, y - rim, z - rim))
        put(b, path, Sheet(cavity, lambda m, n: n[:, 0] < 0.9))
        for s in (-1, 1):
            box(b, path, (x - 0.004, s * (y - rim / 2), 0), (0.004, rim / 2, z))
            box(b, path, (x - 0.004, 0, s * (z - rim / 2)), (0.004, y - rim, rim / 2))
        return
    for s in (-1, 1):
        box(b, path, (0, s * (y - rim / 2), 0), (x, rim / 2, z))
        box(b, path, (0, 0, s * (z - rim / 2)), (x, y - rim, rim / 2))
    box(b, path, (-x + rim / 2, 0, 0), (rim / 2, y, z))
    if b.chance(0.6):  # a lining, as sheet metal inside of sheet metal
        boxes = [((0, s * (y - 1.6 * rim), 0), (x * 0.9, 0.004, z - 1.5 * rim)) for s in (-1, 1)]
        boxes += [((0, 0, s * (z - 1.6 * rim)), (x * 0.9, y - 1.5 * rim, 0.004)) for s in (-1, 1)]
        for at, size in boxes:
            box(b, b.pick([path, "lining"]), at, size)


def _oven(b: Builder) -> None:
    """Oven, cooker or microwave: case with cavity, door with glass and handle, racks, panel with knobs, burners."""
    microwave = b.chance(0.4)
    x, y, z = (b.u(0.25, 0.35), b.u(0.2, 0.3), b.u(0.35, 0.5)) if microwave else (0.35, b.u(0.35, 0.55), b.u(0.35, 0.5))
    wall = b.u(0.02, 0.05)
    _cavity(b, "case/shell", (x, y, z), wall)
    open_ = b.pick([0.0, b.u(0.4, 1.5)])
    strip = b.u(0.14, 0.2)
    if microwave:
        wide = 2 * z - strip
        hinge = (x, 0, -z)
        door(b, "door/door", hinge, (y * 0.97, wide * 0.98), 0.015, open_, -1, b.pick(["bar", "none"]), True)
        box(b, "panel/front plate", (x + 0.012, 0, z - strip / 2), (0.012, y * 0.97, strip / 2))
        together = b.chance(0.6)
        for i, j, at_y, at_z in grid(row(b.n(2, 5), -y * 0.8, y * 0.4), row(b.n(2, 3), z - strip, z)):
            key = f"panel/keys/key {i}.{j}"
            box(b, "panel/keys" if together else key, (x + 0.028, at_y, at_z), (0.006, 0.018, 0.018))
        box(b, "panel/display", (x + 0.026, y * 0.7, z - strip / 2), (0.004, 0.03, strip * 0.35))
        rod(b, "turntable", (0, -y + wall + 0.02, -strip / 2), (0, -y + wall + 0.035, -strip / 2), min(x, z) * 0.75)
    else:
        top = y - strip
        turn = rotation_about("z", -open_)
        hinge, tall = np.array([x, -y + 0.02, 0]), top + y - 0.04
        rim = 0.06

        def at(out: float, up: float, across: float = 0.0) -> np.ndarray:
            return hinge + turn @ [out, up, across]

        for s in (0, 1):
            box(b, "door/door frame", at(0.02, rim / 2 + s * (tall - rim)), (0.02, rim / 2, z * 0.97), turn)
            side = at(0.02, tall / 2, (2 * s - 1) * (z * 0.97 - rim / 2))
            box(b, "door/door frame", side, (0.02, tall / 2 - rim, rim / 2), turn)
        box(b, "door/glass", at(0.02, tall / 2), (0.006, tall / 2 - rim, z * 0.97 - rim), turn)
        bar(b, "door/handle", at(0.08, tall * 0.93, -z * 0.7), at(0.08, tall * 0.93, z * 0.7), 0.015, False)
        for s in (-0.65, 0.65):
            bar(b, "door/handle", at(0.02, tall * 0.93, z * s), at(0.08, tall * 0.93, z * s), 0.012, False)
        box(b, "panel/front plate", (x + 0.01, y - strip / 2, 0), (0.01, strip / 2, z))
        for i, at_z in row(b.n(2, 6), -z * 0.9, z * 0.9):
            path = b.pick(["panel/knobs", f"panel/knobs/knob {i}"])
            rod(b, path, *span((x + 0.015, x + 0.06), y - strip / 2, at_z), b.u(0.025, 0.035), bevel=0.2)
        for i, (sx, sz) in enumerate(itertools.product((-0.5, 0.5), (-0.5, 0.5)) if b.chance(0.6) else ()):
            r = b.u(0.06, 0.12)
            path = b.pick(["hob", f"hob/burner {i}"])
            rod(b, path, (sx * x, y - 0.005, sz * z), (sx * x, y + 0.015, sz * z), r)
    for i, at_y in row(b.n(0, 2), -y, y - strip * (not microwave), 1):
        path = f"racks/rack {i}"
        for _, at_z in row(b.n(5, 10), -z + 2 * wall, z - 2 * wall):
            bar(b, path, (-x * 0.8, at_y, at_z), (x * 0.85, at_y, at_z), 0.006, False)
        for s in (-0.8, 0.85):
            bar(b, path, (s * x, at_y, -z + wall), (s * x, at_y, z - wall), 0.008, False)
    if b.chance(0.6):
        _feet(b, (x, y, z), 0.04)


def _fridge(b: Builder) -> None:
    """Refrigerator: case with cavity, one or two doors with shelves on their inside, shelves, drawers."""
    x, y, z, wall = b.u(0.28, 0.36), b.u(0.6, 0.9), b.u(0.28, 0.42), b.u(0.03, 0.06)
    _cavity(b, "body/cabinet", (x, y, z), wall)
    share = b.u(0.5, 0.75)
    spans = [(-y, y)] if b.chance(0.4) else [(-y, -y + 2 * y * share), (-y + 2 * y * share, y)]
    for i, (low, high) in enumerate(spans):
        middle, half = (low + high) / 2, (high - low) / 2 * 0.985
        angle = b.pick([0.0, b.u(0.3, 1.9)])
        turn = rotation_about("y", angle)
        hinge = np.array([x + 0.005, middle, -z])
        path = f"doors/door {i}"
        thick = 0.035
        box(b, f"{path}/panel {i}", hinge + turn @ [thick, 0, z], (thick, half, z * 0.99), turn, rounding=0.015)
        root = hinge + turn @ [2 * thick, 0, 2 * z * 0.9]
        out = turn @ [0.05, 0, 0]
        bar(b, f"{path}/handle {i}", root + out - [0, half * 0.4, 0], root + out + [0, half * 0.4, 0], 0.014, False)
        for s in (-0.36, 0.36):
            bar(b, f"{path}/handle {i}", root + [0, s * half, 0], root + out + [0, s * half, 0], 0.01, False)
        if angle:
            for _, up in row(b.n(1, 4), -half, half):
                at = hinge + turn @ [-0.05, up, z]
                own = b.pick([f"{path}/racks {i}", f"{path}/racks {i}", "door racks"])
                box(b, own, at, (0.045, 0.006, z * 0.8), turn)
                box(b, own, at + turn @ [-0.045, 0.03, 0], (0.005, 0.035, z * 0.8), turn)
        if i:
            box(b, "body/divider", (0, low, 0), (x * 0.97, wall / 2, z - wall))
    together = b.chance(0.6)
    for i, up in row(b.n(2, 5), -y * 0.5, y):
        path = "shelves" if together else f"shelves/shelf {i}"
        box(b, path, (-0.02, up, 0), (x * 0.85, 0.006, z - wall * 1.2))
    if b.chance(0.6):
        middle, half = (-0.02, -y + wall + 0.12, 0), (x * 0.8, 0.09, z - wall * 1.5)
        boards(b, "bin/bin box", middle, half, 0.008, each=False)


def _washer(b: Builder) -> None:
    """Washing machine: case with a round hole, drum with holes inside, round door with glass, panel, soap drawer."""
    x, y, z = b.u(0.28, 0.34), b.u(0.38, 0.45), b.u(0.28, 0.36)
    r = b.u(0.16, 0.21)
    front = rotation_about("y", np.pi / 2)
    outline = np.array([(-z, -y), (z, -y), (z, y), (-z, y)])
    put(b, "case/shell", Prism((x, 0, 0), outline, 0.012, front, holes=[circle(r * 1.02, 28)]))
    for s in (-1, 1):
        box(b, "case/shell", (0, s * (y - 0.01), 0), (x, 0.01, z))
        box(b, "case/shell", (0, 0, s * (z - 0.01)), (x, y, 0.01))
    box(b, b.pick(["case/shell", "case/back"]), (-x, 0, 0), (0.01, y, z))
    t = b.u(0.008, 0.015)
    big = min(y, z) * 0.82
    drum = [(0, 0), (big, 0), (big, x * 1.5), (r, x * 1.8), (r - t, x * 1.8), (big - t, x * 1.5), (big - t, t), (0, t)]
    put(b, "drum/tub", walled(Lathe((-x * 0.85, 0, 0), drum, rotation_to((1, 0, 0))), t))
    for k in range(3):
        a = k * 2 * np.pi / 3
        place = np.array([-x * 0.1, np.sin(a) * big * 0.85, np.cos(a) * big * 0.85])
        box(b, b.pick(["drum/paddles", f"drum/paddle {k}"]), place, (x * 0.6, 0.03, 0.02), rotation_about("x", -a))
    angle = b.pick([0.0, b.u(0.5, 2.2)])
    turn = rotation_about("y", angle)
    hinge = np.array([x + 0.02, 0, -r * 1.2])
    center, axis = hinge + turn @ [0.01, 0, r * 1.2], turn @ [1.0, 0, 0]
    torus(b, "door/ring", center, r * 1.05, 0.035, rotation_to(axis))
    ball(b, "door/glass", center - 0.01 * axis, (r, 0.07, r), rotation_to(axis))
    box(b, "door/latch", hinge + turn @ [0.03, 0, r * 2.3], (0.012, 0.04, 0.02), turn)
    box(b, "panel/strip", (x + 0.014, y * 0.85, 0), (0.012, y * 0.13, z * 0.98))
    box(b, b.pick(["soap drawer", "panel/soap drawer"]), (x + 0.03, y * 0.85, z * 0.65), (0.01, y * 0.1, z * 0.28))
    rod(b, "panel/dial", *span((x + 0.02, x + 0.07), y * 0.85, -z * 0.1), 0.035, bevel=0.2)
    for i, at in row(b.n(0, 6), -z * 0.9, -z * 0.3):
        rod(b, b.pick(["panel/buttons", f"panel/buttons/button {i}"]), *span((x + 0.02, x + 0.04), y * 0.85, at), 0.012)
    _feet(b, (x, y, z), 0.03)


def _doorway(b: Builder) -> None:
    """A door or window in its frame: boards around, leaf of boards and panels, glass, hinges, handle, sill."""
    h, w, t = b.u(0.7, 1.0), b.u(0.35, 0.6), b.u(0.02, 0.04)
    rim = b.u(0.04, 0.09)
    each = b.chance(0.3)
    for s, name in SIDES:
        box(b, f"frame/{name} post" if each else "frame", (0, 0, s * (w + rim)), (t * 2, h + 2 * rim, rim))
    for s in (1, -1) if b.chance(0.5) else (1,):
        box(b, f"frame/beam {s}" if each else "frame", (0, s * (h + rim), 0), (t * 2, rim, w))
    leaves = b.pick([1, 1, 2])
    wide = 2 * w / leaves
    kind = b.pick(["bar", "knob", "knob"])
    for i in range(leaves):
        side = 1 if i else -1
        angle = b.pick([0.0, b.u(0.2, 1.8)])
        path = f"leaves/leaf {i}/leaf {i}"
        door(b, path, (0, 0, side * w), (h * 0.99, wide * 0.99), t, angle, side, kind, b.chance(0.5))
    if b.chance(0.3):
        box(b, "sill", (t * 2, -h - 2.5 * rim, 0), (t * 5, rim * 0.5, w * 1.3))
    if b.chance(0.3):
        box(b, "transom/pane", (0, h + 2 * rim + 0.1, 0), (t * 0.4, 0.12, w))
        box(b, "transom/bar", (0, h + 2 * rim + 0.22, 0), (t * 1.5, 0.02, w + rim))
