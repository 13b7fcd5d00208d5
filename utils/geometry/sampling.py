"""Choosing vertices that cover a mesh."""

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
