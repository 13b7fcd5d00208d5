"""Random labelled shapes: a family, a way of composing, and a warp, all from one seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from utils.shapes import living, made
from utils.shapes.builder import Builder, LabelledMesh, attach_loose_pieces, compose
from utils.shapes.solids import rotation_about, rotation_to

# Family -> (recipe, how often its solids are blended smoothly rather than placed sharply, weight when families are drawn)
RECIPES: dict[str, tuple[Callable[[Builder], None], float, float]] = {
    "quadruped": (living.quadruped, .85, 1.3),
    "humanoid": (living.humanoid, .8, 1.3),
    "hand": (living.open_hand, .85, 1.0),
    "crawler": (living.crawler, .6, 1.0),
    "octopus": (living.octopus, .8, .7),
    "bird": (living.bird, .8, 1.0),
    "fish": (living.fish, .8, .8),
    "bust": (living.bust, .85, .8),
    "plant": (living.plant, .4, .8),
    "blob": (made.blob, .95, .6),
    "chair": (made.chair, .12, 1.2),
    "table": (made.table, .1, 1.0),
    "furniture": (made.furniture, .08, .8),
    "hammer": (made.hammer_like, .35, .7),
    "pivot_tool": (made.pivot_tool, .3, .8),
    "hand_tool": (made.hand_tool, .25, .8),
    "lamp": (made.lamp, .12, 1.0),
    "vessel": (made.vessel, .4, 1.3),
    "mechanical": (made.mechanical, .25, 1.3),
    "vehicle": (made.vehicle, .15, 1.0),
    "aircraft": (made.aircraft, .3, 1.0),
    "letters": (made.letters, .2, .6),
    "glasses": (made.glasses, .2, .6),
    "instrument": (made.instrument, .15, .8),
    "soup": (made.soup, .45, 1.5),
}
FAMILIES: tuple[str, ...] = tuple(RECIPES)


def random_shape(seed: int, families: Sequence[str] | None = None) -> LabelledMesh:
    """A random shape, the same for the same seed, centred in the unit ball.

    seed: any non-negative integer. families: the families to draw from (default: all, by weight).
    """
    rng = np.random.default_rng(seed)
    names = FAMILIES if families is None else tuple(families)
    unknown = [name for name in names if name not in RECIPES]
    if unknown:
        raise ValueError(f"unknown shape families {unknown}; known: {', '.join(FAMILIES)}")
    weights = np.array([RECIPES[name][2] for name in names])
    for attempt in range(8):
        family = names[rng.choice(len(names), p=weights / weights.sum())]
        try:
            shape = _one_shape(rng, family)
        except ValueError:  # a blended cluster thinner than its grid: draw again
            continue
        if len(shape.faces) and np.isfinite(shape.vertices).all():
            return shape
    raise RuntimeError(f"no shape for seed {seed} and families {names}")


def _one_shape(rng: np.random.Generator, family: str) -> LabelledMesh:
    recipe, smooth_share, _ = RECIPES[family]
    builder = Builder(rng, smooth=bool(rng.random() < smooth_share), softness=float(rng.choice([.15, .5, .9, 1.3])),
                      detail=float(np.exp(rng.uniform(np.log(.45), np.log(1.6)))))
    recipe(builder)
    attach_loose_pieces(builder.pieces)
    resolution = int(np.exp(rng.uniform(np.log(40), np.log(100))))
    shape = compose(builder, resolution, family)
    warp(shape, rng)
    return shape


def warp(shape: LabelledMesh, rng: np.random.Generator) -> None:
    """Stretches, tapers, twists, bends, bumps and turns the vertices in place, and fits them into the unit ball."""
    v = shape.vertices
    v -= (v.min(0) + v.max(0)) / 2
    v /= np.linalg.norm(v, axis=1).max()
    v *= np.exp(rng.normal(0, .12, 3))
    if rng.random() < .15:
        axis = rng.integers(3)
        v *= 1 + rng.uniform(-.35, .35) * np.delete(np.eye(3), axis, 0).sum(0) * v[:, axis:axis + 1]
    if rng.random() < .12:
        angle = rng.uniform(-.8, .8) * v[:, 1]
        c, s = np.cos(angle), np.sin(angle)
        v[:, 0], v[:, 2] = c * v[:, 0] - s * v[:, 2], s * v[:, 0] + c * v[:, 2]
    if rng.random() < .15:
        bend(v, rng.uniform(-.8, .8), rng)
    if rng.random() < .2:
        bump(v, rng)
    turn = rotation_about("y", rng.uniform(0, 2 * np.pi))
    draw = rng.random()
    if draw < .2:
        turn = rotation_to(rng.normal(size=3), rng.uniform(0, 2 * np.pi))
    elif draw < .5:
        turn = rotation_about("x", rng.normal(0, .25)) @ turn
    v[:] = v @ turn.T
    v -= (v.min(0) + v.max(0)) / 2
    v /= np.linalg.norm(v, axis=1).max()


def bend(v: np.ndarray, curvature: float, rng: np.random.Generator) -> None:
    """Bends a random axis into a circle of the given curvature (1 / length), in place."""
    i, j = rng.permutation(3)[:2]
    if abs(curvature) < 1e-3:
        return
    angle = v[:, i] * curvature
    radius = 1 / curvature - v[:, j]
    v[:, i], v[:, j] = np.sin(angle) * radius, 1 / curvature - np.cos(angle) * radius


def bump(v: np.ndarray, rng: np.random.Generator) -> None:
    """Adds a smooth random displacement field (three sine waves), in place."""
    for _ in range(3):
        wave = rng.normal(size=3) * rng.choice([3.0, 6.0, 12.0])
        size = rng.uniform(.01, .05) / (1 + np.linalg.norm(wave) / 6)
        v += np.sin(v @ wave + rng.uniform(0, 6.28))[:, None] * rng.normal(size=3) * size
