"""How far further clicks reach: what a correction changes, and which clicks are wishes for parts of their own."""

from __future__ import annotations

import numpy as np

from utils.geometry.graphs import pieces

NEAREST = 0.02  # within which a correction counts in any case; the object has radius 1


def near_click(selected: np.ndarray, away: np.ndarray, positive: bool, reach: float) -> np.ndarray | None:
    """(N,) bool, where a click changes a selection (N,) bool; None: it corrects nothing, or there is no border.

    away (N,): distances from the click along the surface, normalised units; positive: does it include? reach: how far
    a correction counts, in its distances from the border that it moves.
    """
    agrees = selected == positive
    if agrees[away.argmin()] or not agrees.any():
        return None
    return away <= reach * away[agrees].min() + NEAREST


def wished_parts(
    selected: np.ndarray, clicked: np.ndarray, positive: np.ndarray, pairs: np.ndarray
) -> list[np.ndarray]:
    """The clicks (C,) bool of each part that is wished for, with all the negative ones; one if all are for the same.

    Positive clicks whose selections do not touch are wishes for several parts; one that corrects a selection touches
    it. selected (N,) bool: the answer to all; clicked (C,) int64, positive (C,) bool; pairs (E, 2) adjacent elements.
    """
    selected = selected.copy()
    selected[clicked[positive]] = True
    group = pieces(selected, pairs)[clicked]
    return [~positive | (group == part) for part in np.unique(group[positive])]


def first_positive_first(clicked: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The clicks in order, but for the first positive one, which begins."""
    first = int(np.flatnonzero(positive)[0])
    order = np.r_[first, np.delete(np.arange(len(clicked)), first)]
    return clicked[order], positive[order]
