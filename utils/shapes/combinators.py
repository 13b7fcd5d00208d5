"""The vocabulary of the recipes: a line adds one named part; rings place many of a kind.

`put(b, "group/part", *solids)` adds solids to a part. Each solid has a short form that takes the solid's own arguments
after the path, as in `ball(b, "head/skull", center, radii)`, and `smooth`, `softness` and `carve` of `Builder.add`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from utils.shapes import solids
from utils.shapes.builder import Builder
from utils.shapes.elements import beam
from utils.shapes.solids import Solid


def put(
    b: Builder,
    path: str,
    *pieces: Solid,
    smooth: bool | None = None,
    softness: float | None = None,
    carve: bool = False,
) -> None:
    """Adds solids to a part, named "group/part" or, where it is a group of its own, "part"; assemblies of groups come
    before, as in "arm/hand/thumb"."""
    *above, group, name = path.split("/") if "/" in path else (path, path)
    b.add(b.part(name, group, *reversed(above)), *pieces, smooth=smooth, softness=softness, carve=carve)


def _short_form(solid: Callable[..., Solid]) -> Callable[..., None]:
    """`put` of one solid, given its arguments."""

    def place(b: Builder, path: str, *shape, smooth=None, softness=None, carve=False, **form) -> None:
        put(b, path, solid(*shape, **form), smooth=smooth, softness=softness, carve=carve)

    return place


ball = _short_form(solids.Ellipsoid)
bar = _short_form(beam)
box = _short_form(solids.Box)
cushion = _short_form(solids.Superquadric)
lathe = _short_form(solids.Lathe)
limb = _short_form(solids.RoundCone)
prism = _short_form(solids.Prism)
rod = _short_form(solids.rod)
torus = _short_form(solids.Torus)
tube = _short_form(solids.Tube)


def around(count: int) -> Iterator[tuple[int, float]]:
    """(index, angle in radians) of `count` things at equal angles."""
    return ((i, 2 * np.pi * i / count) for i in range(count))


def polar(angle: float, radius: float, height: float = 0.0) -> np.ndarray:
    """(3,) point at an angle about the y axis."""
    return np.array([np.cos(angle) * radius, height, np.sin(angle) * radius])


def span(x, y, z) -> tuple[tuple, tuple]:
    """The two ends of a bar: of each coordinate one number, or a pair (start, end) where the ends differ."""
    pairs = [c if isinstance(c, tuple) else (c, c) for c in (x, y, z)]
    return tuple(start for start, _ in pairs), tuple(end for _, end in pairs)


def row(count: int, low: float, high: float, margin: float = 0.5) -> Iterator[tuple[int, float]]:
    """(index, position) of `count` things at equal steps between two ends, the outer ones `margin` steps from them."""
    return ((i, low + (high - low) * (i + margin) / (count - 1 + 2 * margin)) for i in range(count))


def centred(count: int, pitch: float) -> Iterator[tuple[int, float]]:
    """(index, position) of `count` things, `pitch` apart, about the origin."""
    return ((i, (i - (count - 1) / 2) * pitch) for i in range(count))


def grid(rows: Iterator[tuple[int, float]], columns: Iterator[tuple[int, float]]) -> Iterator[tuple]:
    """(row, column, place of the row, place of the column) of things in rows and columns, the columns fastest."""
    return ((i, j, y, z) for (i, y), (j, z) in itertools.product(rows, columns))


def jointed(
    b: Builder, group: str, names: Sequence[str], points: Sequence, radii: Sequence[float], knob=None, **form
) -> None:
    """A limb of named segments through the points, one more than names, with a radius at each; `knob`: (name, radius)
    of balls at its inner joints."""
    for i, name in enumerate(names):
        limb(b, f"{group}/{name}", points[i], points[i + 1], radii[i], radii[i + 1], **form)
        if knob and i + 1 < len(names):
            ball(b, f"{group}/{knob[0]}", points[i + 1], knob[1])
