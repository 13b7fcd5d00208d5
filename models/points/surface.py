"""Triangle surfaces: primitives, and points sampled on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.geometry.mesh import area_normals


@dataclass(frozen=True, eq=False)
class Primitive:
    """A surface patch of a CAD model, or the surface of a solid.

    kind      in words: Plane, Cylinder, Torus, ...
    vertices  (V, 3) float64, only such as faces use
    faces     (F, 3) int64 into `vertices`
    """

    kind: str
    vertices: np.ndarray
    faces: np.ndarray


def sample_surface(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`count` points uniform by area: positions and face normals (count, 3) float64, faces (count,) int64.

    Raises ValueError if the surface has no area.
    """
    cross = area_normals(vertices, faces)
    area = np.linalg.norm(cross, axis=1)
    total = area.sum()
    if not total > 0:
        raise ValueError("the surface has no area")
    # One draw in each of `count` equal strata of the area: uniform, but evener than independent draws.
    ends = np.cumsum(area) / total
    chosen = np.minimum(np.searchsorted(ends, (np.arange(count) + rng.random(count)) / count), len(faces) - 1)
    first, second = np.sqrt(rng.random(count)), rng.random(count)
    a, b, c = vertices[faces[chosen]].transpose(1, 0, 2)
    points = a * (1 - first)[:, None] + b * (first * (1 - second))[:, None] + c * (first * second)[:, None]
    return points, cross[chosen] / np.maximum(area[chosen], 1e-30)[:, None], chosen


def into_unit_ball(points: np.ndarray) -> np.ndarray:
    """Points (N, 3) about the middle of their box, the farthest at distance 1."""
    centred = points - (points.min(axis=0) + points.max(axis=0)) / 2
    return centred / max(float(np.linalg.norm(centred, axis=1).max()), 1e-12)
