"""Vertices at the same place, which files keep apart for their texture or normals."""

from __future__ import annotations

import numpy as np


def weld(vertices: np.ndarray) -> np.ndarray:
    """(V,) int64, the number of each vertex's place among the distinct places of (V, 3)."""
    return np.unique(vertices, axis=0, return_inverse=True)[1].reshape(-1)


def first_of_each(place: np.ndarray) -> np.ndarray:
    """The first vertex at each of the places that `weld` gave."""
    return np.unique(place, return_index=True)[1]
