"""Sparse matrices of graphs."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra


def symmetric(pairs: np.ndarray, values: np.ndarray, size: int) -> sp.csr_matrix:
    """(size, size) with each value (E,) at both places of its pair (E, 2); of several values the first counts."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    code, first = np.unique(both[:, 0] * np.int64(size) + both[:, 1], return_index=True)
    return sp.csr_matrix((np.concatenate([values, values])[first], (code // size, code % size)), shape=(size, size))


def depth_inside(graph: sp.csr_matrix, pairs: np.ndarray, region: np.ndarray) -> np.ndarray:
    """(N,) distance of every element of `region` (N,) bool to the nearest one outside; 0 outside it.

    graph (N, N) holds the lengths of the adjacent `pairs` (E, 2). What no path leads out of gets inf.
    """
    ends = region[pairs]
    border = np.unique(pairs[(ends[:, 0] != ends[:, 1])[:, None] & ~ends])
    if len(border) == 0:
        return np.where(region, np.inf, 0.0)
    return np.where(region, dijkstra(graph, indices=border, min_only=True), 0.0)
