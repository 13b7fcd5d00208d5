"""Reshuffled primitives (Sec. 3.1, Fig. 3): primitives of a repository, put together at random into new shapes."""

from __future__ import annotations

import numpy as np

from models.points.surface import Primitive, sample_surface
from utils.shapes import Builder
from utils.shapes.elements import random_solid
from utils.shapes.solids import rotation_to

FEWEST, MOST = 2, 14  # primitives of a shape
Surface = tuple[np.ndarray, np.ndarray]  # vertices (V, 3), faces (F, 3)


def own_primitive(rng: np.random.Generator) -> Primitive:
    """A random box, cylinder, cone, torus, superquadric, tube, lathe, prism, ... of our shape generator."""
    solid = random_solid(Builder(rng), np.zeros(3), 1.0)
    return Primitive(type(solid).__name__, *solid.mesh(1.0))


def reshuffled(
    rng: np.random.Generator, repository: list[Primitive] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3), faces (F, 3), labels (F,) int64 of a random shape; each primitive is a label.

    The first primitive has size 1; each further one is attached to the surface of an earlier one, smaller and turned at
    random. Often a primitive comes with its mirror images or turned copies, as most made and grown things have them.
    """
    symmetry = _symmetry(rng)
    surfaces: list[Surface] = []
    sizes: list[float] = []
    for index in range(int(rng.integers(FEWEST, MOST + 1))):
        primitive = own_primitive(rng) if repository is None else repository[int(rng.integers(len(repository)))]
        vertices, copies, size = _stretched(primitive.vertices, rng), [np.eye(3)], 1.0
        if index > 0:
            onto = int(rng.integers(len(surfaces)))
            size = sizes[onto] * rng.uniform(0.3, 0.95)
            vertices = _attached((vertices * size, primitive.faces), surfaces[onto], rng, size)
            copies = symmetry if rng.random() < 0.6 else symmetry[:1]
        for turn in copies:
            faces = primitive.faces if np.linalg.det(turn) > 0 else primitive.faces[:, ::-1]
            surfaces.append((vertices @ turn.T, faces))
            sizes.append(size)
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in surfaces)])
    return (
        np.concatenate([vertices for vertices, _ in surfaces]),
        np.concatenate([faces + start for (_, faces), start in zip(surfaces, starts)]),
        np.repeat(np.arange(len(surfaces)), [len(faces) for _, faces in surfaces]),
    )


def _symmetry(rng: np.random.Generator) -> list[np.ndarray]:
    """The identity, and with it a mirror image, or turns about the upright axis."""
    draw = rng.random()
    if draw < 0.4:
        return [np.eye(3), np.diag([-1.0, 1.0, 1.0])]
    if draw < 0.6:
        count = int(rng.integers(3, 6))
        angles = 2 * np.pi * np.arange(count) / count
        return [np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]) for a in angles]
    return [np.eye(3)]


def _stretched(vertices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """About the middle of its box, of size 1, each axis stretched a little, sometimes made long or flat."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    factor = np.exp(rng.normal(0, 0.25, 3))
    if rng.random() < 0.35:
        factor[rng.integers(3)] *= rng.choice([0.3, 2.5])
    stretched = (vertices - (low + high) / 2) * factor
    return stretched / max(float(np.linalg.norm(stretched, axis=1).max()), 1e-9)


def _attached(primitive: Surface, onto: Surface, rng: np.random.Generator, size: float) -> np.ndarray:
    """The primitive's vertices, moved so that a point of it touches one of `onto`, normals opposed, a little sunk."""
    at, out, _ = sample_surface(*onto, 1, rng)
    own, own_out, _ = sample_surface(*primitive, 1, rng)
    turn = rotation_to(-out[0], rng.uniform(0, 2 * np.pi)) @ rotation_to(own_out[0], 0.0).T
    return (primitive[0] - own[0]) @ turn.T + at[0] - out[0] * size * rng.uniform(0.0, 0.25)
