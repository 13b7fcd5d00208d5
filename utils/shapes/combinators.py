"""The vocabulary of the recipes: a line adds one named part; rings place many of a kind.

`put(b, "group/part", *solids)` adds solids to a part. Each solid has a short form that takes the solid's own arguments
after the path, as in `ball(b, "head/skull", center, radii)`, and `smooth`, `softness` and `carve` of `Builder.add`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
    """Adds solids to a part, named "group/part" or, where it is a group of its own, "part"."""
    group, _, name = path.rpartition("/")
    b.add(b.part(name, group or name), *pieces, smooth=smooth, softness=softness, carve=carve)


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
