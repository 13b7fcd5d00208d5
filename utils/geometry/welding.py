"""Vertices at the same place, which files keep apart for their texture or normals."""

from __future__ import annotations

import numpy as np


def weld(vertices: np.ndarray) -> np.ndarray:
    """(V,) int64, the number of each vertex's place among the distinct places of (V, 3), in lexicographic order."""
    vertices = np.asarray(vertices)
    order = np.lexsort(vertices.T[::-1])
    rows = vertices[order]
    place = np.empty(len(vertices), dtype=np.int64)
    place[order[:1]], place[order[1:]] = 0, np.cumsum((rows[1:] != rows[:-1]).any(axis=1))
    return place


def first_of_each(place: np.ndarray) -> np.ndarray:
    """The first vertex at each of the places that `weld` gave."""
    return np.unique(place, return_index=True)[1]
