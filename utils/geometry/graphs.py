"""Sparse matrices of graphs."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components, dijkstra


def symmetric(pairs: np.ndarray, values: np.ndarray, size: int) -> sp.csr_matrix:
    """(size, size) with each value (E,) at both places of its pair (E, 2); of several values the first counts."""
    both, twice = np.concatenate([pairs, pairs[:, ::-1]]), np.concatenate([values, values])
    # As csr_matrix would, which then adds up what lies at one place: sorted by columns, then, stably, by rows.
    places = sp.csr_matrix((np.arange(len(both)), (both[:, 0], both[:, 1])), shape=(size, size), copy=False)
    if places.nnz == len(both):
        return sp.csr_matrix(
            (twice[np.asarray(places.data, dtype=np.int64)], places.indices, places.indptr), shape=(size, size)
        )
    code, first = np.unique(both[:, 0] * np.int64(size) + both[:, 1], return_index=True)
    return sp.csr_matrix((twice[first], (code // size, code % size)), shape=(size, size))


def distinct_pairs(pairs: np.ndarray, size: int) -> np.ndarray:
    """(E, 2) each undirected pair of (N, 2) once, the lower first, ascending; all below `size`."""
    bits, (first, second) = size.bit_length(), pairs.astype(np.int64, copy=False).T
    code = (np.minimum(first, second) << bits) | np.maximum(first, second)
    code.sort()
    code = code[np.diff(code, prepend=-1) != 0]
    return np.stack([code >> bits, code & ((1 << bits) - 1)], axis=1)


def numbered_pairs(pairs: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """`distinct_pairs`, and (N,) which of them each pair is."""
    bits, ordered = size.bit_length(), np.sort(pairs.astype(np.int64, copy=False), axis=1)
    code, number = np.unique((ordered[:, 0] << bits) | ordered[:, 1], return_inverse=True)
    return np.stack([code >> bits, code & ((1 << bits) - 1)], axis=1), number


def depth_inside(graph: sp.csr_matrix, pairs: np.ndarray, region: np.ndarray) -> np.ndarray:
    """(N,) distance of every element of `region` (N,) bool to the nearest one outside; 0 outside it.

    graph (N, N) holds the lengths of the adjacent `pairs` (E, 2). What no path leads out of gets inf.
    """
    ends = region[pairs]
    border = np.unique(pairs[(ends[:, 0] != ends[:, 1])[:, None] & ~ends])
    if len(border) == 0:
        return np.where(region, np.inf, 0.0)
    return np.where(region, dijkstra(graph, indices=border, min_only=True), 0.0)


def pieces(selected: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(N,) connected piece that each element is in, of a selection (N,) bool or the rest, or of one label of (N,) int.

    pairs (P, 2): adjacent elements
    """
    return _joined(pairs[selected[pairs[:, 0]] == selected[pairs[:, 1]]], len(selected))


def _joined(pairs: np.ndarray, size: int) -> np.ndarray:
    """(size,) number of the piece of each, where the two of each pair (P, 2) are in one."""
    graph = sp.csr_matrix((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1]


class Regions:
    """`pieces` of many selections of the same N elements, three times as fast where many follow a division (N,) int.

    A connected region of the division that is selected as a whole, or not at all, counts as one element.
    """

    def __init__(self, division: np.ndarray, pairs: np.ndarray) -> None:
        self.pairs, self.region = pairs, pieces(division, pairs)
        self.size = np.bincount(self.region)
        between = self.region[pairs]
        self.between = distinct_pairs(between[between[:, 0] != between[:, 1]], len(self.size))

    def pieces(self, selected: np.ndarray) -> np.ndarray:
        """(N,) of a selection (N,) bool, numbered otherwise."""
        chosen = np.bincount(self.region, selected)
        divided = (chosen > 0) & (chosen < self.size)
        alone = divided[self.region]
        unit = np.where(alone, len(self.size) - 1 + np.cumsum(alone), self.region)
        first, second = self.between.T
        whole = self.between[~divided[first] & ~divided[second] & ((chosen[first] > 0) == (chosen[second] > 0))]
        single = self.pairs[alone[self.pairs[:, 0]] | alone[self.pairs[:, 1]]]
        single = single[selected[single[:, 0]] == selected[single[:, 1]]]
        return _joined(np.concatenate([whole, unit[single]]), len(self.size) + int(alone.sum()))[unit]
