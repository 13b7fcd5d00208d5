"""Sparse matrices of graphs."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def symmetric(pairs: np.ndarray, values: np.ndarray, size: int) -> sp.csr_matrix:
    """(size, size) with each value (E,) at both places of its pair (E, 2); of several values the first counts."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    code, first = np.unique(both[:, 0] * np.int64(size) + both[:, 1], return_index=True)
    return sp.csr_matrix((np.concatenate([values, values])[first], (code // size, code % size)), shape=(size, size))
