"""Vertices at the same place, which files keep apart for their texture or normals."""

from __future__ import annotations

import numpy as np


def weld(vertices: np.ndarray) -> np.ndarray:
    """(V,) int64, the number of each vertex's place among the distinct places of (V, 3), in lexicographic order."""
    place, *others = map(_ranks, np.asarray(vertices).T)
    for axis in others:  # numbers are sorted several times as fast as rows
        place = _ranks(place * len(axis) + axis)
    return place


def first_of_each(place: np.ndarray) -> np.ndarray:
    """The first vertex at each of the places that `weld` gave."""
    return np.unique(place, return_index=True)[1]


def _ranks(values: np.ndarray) -> np.ndarray:
    """(N,) int64, the place of each of (N,) values among the distinct ones."""
    order = np.argsort(values)
    ordered = values[order]
    rank = np.empty(len(values), dtype=np.int64)
    rank[order[:1]], rank[order[1:]] = 0, np.cumsum(ordered[1:] != ordered[:-1])
    return rank
