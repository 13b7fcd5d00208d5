"""Random labelled shapes: a family, a way of composing, and a warp, all from one seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from utils.shapes import (
    abstract,
    animals,
    cabinets,
    containers,
    creatures,
    devices,
    fixtures,
    furniture,
    gadgets,
    jointed,
    mechanical,
    panels,
    people,
    plants,
    tools,
    vehicles,
    vessels,
)
from utils.shapes.builder import Builder, LabelledMesh, attach_loose_pieces, compose
from utils.shapes.solids import rotation_about, rotation_to
from utils.shapes.tessellation import drop_degenerate, in_unit_ball

# Family -> (recipe, how often its solids are blended smoothly and not placed sharply, weight when families are drawn)
RECIPES: dict[str, tuple[Callable[[Builder], None], float, float]] = {
    "quadruped": (animals.quadruped, 0.85, 1.3),
    "humanoid": (people.humanoid, 0.8, 1.3),
    "hand": (people.open_hand, 0.85, 1.0),
    "crawler": (animals.crawler, 0.6, 1.0),
    "octopus": (animals.octopus, 0.8, 0.7),
    "bird": (animals.bird, 0.8, 1.0),
    "fish": (animals.fish, 0.8, 0.8),
    "bust": (people.bust, 0.85, 0.8),
    "plant": (plants.plant, 0.4, 0.8),
    "blob": (plants.blob, 0.95, 0.6),
    "chair": (furniture.chair, 0.12, 1.2),
    "table": (furniture.table, 0.1, 1.0),
    "furniture": (furniture.furniture, 0.08, 0.8),
    "hammer": (tools.hammer_like, 0.35, 0.7),
    "pivot_tool": (tools.pivot_tool, 0.3, 0.8),
    "hand_tool": (tools.hand_tool, 0.25, 0.8),
    "lamp": (fixtures.lamp, 0.12, 1.0),
    "vessel": (vessels.vessel, 0.4, 1.3),
    "mechanical": (mechanical.mechanical, 0.25, 1.3),
    "vehicle": (vehicles.vehicle, 0.15, 1.0),
    "aircraft": (vehicles.aircraft, 0.3, 1.0),
    "letters": (abstract.letters, 0.2, 0.6),
    "glasses": (tools.glasses, 0.2, 0.6),
    "instrument": (tools.instrument, 0.15, 0.8),
    "soup": (abstract.soup, 0.45, 1.5),
    "creature": (creatures.creature, 0.85, 1.6),
    "robot": (devices.robot, 0.1, 0.8),
    "building": (abstract.building, 0.05, 0.7),
    "device": (devices.device, 0.12, 1.0),
    "cycle": (vehicles.cycle, 0.1, 0.7),
    "turned": (vessels.turned, 0.35, 0.9),
    "rack": (fixtures.rack, 0.1, 0.7),
    "container": (containers.container, 0.1, 4.0),
    "cabinet": (cabinets.cabinet, 0.02, 4.0),
    "gadget": (gadgets.gadget, 0.05, 3.2),
    "grille": (panels.grille, 0.08, 3.4),
    "body": (jointed.body, 1.0, 4.5),
}
FAMILIES: tuple[str, ...] = tuple(RECIPES)


def random_shape(seed: int, families: Sequence[str] | None = None, detail: float | None = None) -> LabelledMesh:
    """A random shape, the same for the same seed, centred in the unit ball.

    seed: any non-negative integer. families: the families to draw from (default: all, by weight). detail: of the
    tessellation (default: random); 0.2 makes boxes of twelve triangles.
    """
    rng = np.random.default_rng(seed)
    names = FAMILIES if families is None else tuple(families)
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        raise ValueError(f"unknown shape families {unknown}; known: {', '.join(FAMILIES)}")
    shape = _shape_of(rng, names, detail)
    return assembly(shape, _shape_of(rng, names, detail), rng) if rng.random() < 0.08 else shape


def _shape_of(rng: np.random.Generator, names: Sequence[str], detail: float | None = None) -> LabelledMesh:
    """A shape of one of the families, drawn by weight."""
    weights = np.array([RECIPES[name][2] for name in names])
    for _ in range(8):
        family = names[rng.choice(len(names), p=weights / weights.sum())]
        try:
            shape = _one_shape(rng, family, detail)
        except ValueError:  # a blended cluster that vanished between the points of its grid: draw again
            continue
        if len(shape.faces) >= 50 and np.isfinite(shape.vertices).all():
            return shape
    raise RuntimeError(f"no shape of the families {names}")


def _one_shape(rng: np.random.Generator, family: str, detail: float | None = None) -> LabelledMesh:
    """`detail`: of the tessellation, in place of a random one."""
    recipe, smooth_share, _ = RECIPES[family]
    builder = Builder(
        rng,
        smooth=bool(rng.random() < smooth_share),
        softness=float(rng.choice([0.15, 0.5, 0.9, 1.3])),
        detail=float(np.exp(rng.uniform(np.log(0.45), np.log(1.6)))),
    )
    builder.detail = builder.detail if detail is None else detail
    recipe(builder)
    if not builder.floating:
        attach_loose_pieces(builder.pieces)
    resolution = int(np.exp(rng.uniform(np.log(40), np.log(100))))
    coarse = int(np.exp(rng.uniform(np.log(250), np.log(4000)))) if rng.random() < 0.4 else None
    shape = compose(builder, resolution, family, coarse_vertices=coarse)
    if rng.random() < 0.05:
        shape = opened(shape, rng)
    warp(shape, rng)
    return shape


def opened(shape: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    """The shape without the faces beyond a plane near its boundary: an open surface, as scans and shells have."""
    way = rng.normal(size=3)
    height = shape.vertices[shape.faces].mean(1) @ way
    keep = height < np.quantile(height, rng.uniform(0.85, 0.98))
    vertices, faces = drop_degenerate(shape.vertices, shape.faces[keep])
    return shape.of_faces(vertices, faces, np.flatnonzero(keep))


def assembly(first: LabelledMesh, second: LabelledMesh, rng: np.random.Generator) -> LabelledMesh:
    """Two shapes that touch: a smaller one on, beside or partly inside a larger one; half the time each is a group."""
    scale = rng.uniform(0.3, 0.8)
    spot = first.vertices[rng.integers(len(first.vertices))]
    way = spot / max(np.linalg.norm(spot), 1e-9)
    moved = second.vertices * scale
    moved = moved + spot - way * (moved @ way).min() - way * scale * rng.uniform(0.02, 0.2)
    names = {
        level: [f"{shape.family} {i} {name}" for i, shape in enumerate((first, second)) for name in shape.names[level]]
        for level in ("part", "group")
    }
    group = np.concatenate([first.group, second.group + len(first.names["group"])])
    above, names_above = _levels_of_both(first, second)
    if rng.random() < 0.5:
        whole = np.repeat([0, 1], [len(first.faces), len(second.faces)])
        wholes = [f"{shape.family} {i}" for i, shape in enumerate((first, second))]
        if len(above):
            above = np.concatenate([above, whole[None] + len(names_above)])
            names_above += wholes
        else:
            group, names["group"] = whole, wholes
    return LabelledMesh(
        in_unit_ball(np.concatenate([first.vertices, moved])),
        np.concatenate([first.faces, second.faces + len(first.vertices)]),
        np.concatenate([first.part, second.part + len(first.names["part"])]),
        group.astype(np.int64),
        names | ({"above": names_above} if len(above) else {}),
        first.family,
        above,
    )


def _levels_of_both(first: LabelledMesh, second: LabelledMesh) -> tuple[np.ndarray, list[str]]:
    """(L, F) levels above the groups of two shapes together, and their names; the coarsest level of the shape with
    fewer ones, or its groups, stands for those that it lacks."""
    depth = max(len(first.above), len(second.above))
    if not depth:
        return np.zeros((0, len(first.faces) + len(second.faces)), dtype=np.int64), []
    columns, names = [], []
    for i, shape in enumerate((first, second)):
        own = shape.above if len(shape.above) else shape.group[None]
        columns.append(own[np.minimum(np.arange(depth), len(own) - 1)] + len(names))
        names += [f"{shape.family} {i} {name}" for name in shape.names["above" if len(shape.above) else "group"]]
    return np.concatenate(columns, axis=1), names


def warp(shape: LabelledMesh, rng: np.random.Generator) -> None:
    """Stretches, tapers, twists, bends, bumps and turns the vertices in place, and fits them into the unit ball."""
    v = shape.vertices
    v[:] = in_unit_ball(v)
    v *= np.exp(rng.normal(0, 0.12, 3))
    if rng.random() < 0.15:
        axis = rng.integers(3)
        v *= 1 + rng.uniform(-0.35, 0.35) * np.delete(np.eye(3), axis, 0).sum(0) * v[:, axis : axis + 1]
    if rng.random() < 0.12:
        angle = rng.uniform(-0.8, 0.8) * v[:, 1]
        c, s = np.cos(angle), np.sin(angle)
        v[:, 0], v[:, 2] = c * v[:, 0] - s * v[:, 2], s * v[:, 0] + c * v[:, 2]
    if rng.random() < 0.15:
        bend(v, rng.uniform(-0.8, 0.8), rng)
    if rng.random() < 0.2:
        bump(v, rng, (3.0, 6.0, 12.0), 0.03)
    if rng.random() < 0.12:  # texture
        bump(v, rng, (20.0, 35.0, 60.0), 0.015)
    turn = rotation_about("y", rng.uniform(0, 2 * np.pi))
    draw = rng.random()
    if draw < 0.2:
        turn = rotation_to(rng.normal(size=3), rng.uniform(0, 2 * np.pi))
    elif draw < 0.5:
        turn = rotation_about("x", rng.normal(0, 0.25)) @ turn
    v[:] = in_unit_ball(v @ turn.T)


def bend(v: np.ndarray, curvature: float, rng: np.random.Generator) -> None:
    """Bends a random axis into a circle of the given curvature (1 / length), in place."""
    i, j = rng.permutation(3)[:2]
    if abs(curvature) < 1e-3:
        return
    angle = v[:, i] * curvature
    radius = 1 / curvature - v[:, j]
    v[:, i], v[:, j] = np.sin(angle) * radius, 1 / curvature - np.cos(angle) * radius


def bump(v: np.ndarray, rng: np.random.Generator, frequencies: Sequence[float], size: float) -> None:
    """Adds a smooth random displacement field (three sine waves, about `size` high when slow), in place."""
    for _ in range(3):
        wave = rng.normal(size=3) * rng.choice(frequencies)
        height = size * rng.uniform(0.3, 1.7) / (1 + np.linalg.norm(wave) / 6)
        v += np.sin(v @ wave + rng.uniform(0, 6.28))[:, None] * rng.normal(size=3) * height
