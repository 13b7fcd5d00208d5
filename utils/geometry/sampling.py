"""Choosing vertices that cover a mesh, and joining those that are close."""

from __future__ import annotations

import numpy as np


def farthest_point_sampling(points: np.ndarray, count: int, start: int = 0) -> np.ndarray:
    """Indices of `count` points, each the farthest from those chosen before (the published choice of clicked vertices).

    points: (V, 3) float. Returns (min(count, distinct points),) int64, beginning with `start`; the lowest index wins
    a tie, and points that coincide with a chosen one are never chosen. Euclidean distances in double precision;
    time V x count.
    Raises ValueError if `points` is empty, `start` is not a point or `count` is below one.
    """
    columns = np.ascontiguousarray(np.asarray(points, dtype=np.float64).T)  # one contiguous row a coordinate
    total = columns.shape[1]
    if not 0 <= start < total or count < 1:
        raise ValueError(f"cannot choose {count} of {total} points from point {start}")
    chosen = np.empty(min(count, total), dtype=np.int64)
    nearest = np.full(total, np.inf)
    squared, offset = np.empty(total), np.empty(total)
    current = start
    for k in range(len(chosen)):
        chosen[k] = current
        squared.fill(0)
        for column in columns:
            np.subtract(column, column[current], out=offset)
            np.multiply(offset, offset, out=offset)
            squared += offset
        np.minimum(nearest, squared, out=nearest)
        current = int(nearest.argmax())
        if nearest[current] == 0:  # only copies of chosen points are left
            return chosen[: k + 1]
    return chosen


def close_together(points: np.ndarray, most: int) -> np.ndarray:
    """(V,) int64, which of at most `most` groups each point (V, 3) is in: those that share a cell of the finest grid
    with so few cells in use. Every point alone where there are no more than that."""
    if len(points) <= most:
        return np.arange(len(points))
    low, extent = points.min(axis=0), max(float(np.ptp(points, axis=0).max()), 1e-12)

    def cells(fineness: int) -> np.ndarray:
        place = np.minimum(((points - low) / extent * fineness).astype(np.int64), fineness - 1)
        return (place[:, 0] * fineness + place[:, 1]) * fineness + place[:, 2]

    def in_use(fineness: int) -> int:
        return 1 + int(np.count_nonzero(np.diff(np.sort(cells(fineness)))))  # `np.unique` takes ten times as long

    coarse, fine = 1, 1 << 20
    while fine - coarse > 1:
        middle = (coarse + fine) // 2
        coarse, fine = (middle, fine) if in_use(middle) <= most else (coarse, middle)
    return np.unique(cells(coarse), return_inverse=True)[1].reshape(-1)
