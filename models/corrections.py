"""Further clicks: how far a correction reaches, and answers that each correct the one before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from utils.files import Recent

Answer = TypeVar("Answer")
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


def first_positive_first(clicked: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The clicks in order, but for the first positive one, which begins."""
    first = int(np.flatnonzero(positive)[0])
    order = np.r_[first, np.delete(np.arange(len(clicked)), first)]
    return clicked[order], positive[order]


class InOrder(Generic[Answer]):
    """Answers to clicks in the order in which they were made; the `capacity` that were asked for last are held."""

    def __init__(self, capacity: int) -> None:
        self._recent, self._lock = Recent[Answer](capacity), threading.RLock()

    def __call__(
        self,
        clicked: np.ndarray,
        positive: np.ndarray,
        first: Callable[[int], Answer],
        corrected: Callable[[Answer, np.ndarray, np.ndarray], Answer],
    ) -> Answer:
        """The answer to clicks (C,) int64, (C,) bool, of which the first is positive.

        first: the answer to one click; corrected: an answer, by the last of the clicks. One after the other, however
        many there are, from the longest beginning that is held.
        """
        keys = [tuple(zip(clicked[:count].tolist(), positive[:count].tolist())) for count in range(1, len(clicked) + 1)]
        with self._lock:  # what is held may not be dropped meanwhile
            known = next((place for place in range(len(keys) - 1, 0, -1) if keys[place] in self._recent), 0)
            answer = self._recent.get(keys[known], lambda: first(int(clicked[0])))
            for place in range(known + 1, len(keys)):
                step = partial(corrected, answer, clicked[: place + 1], positive[: place + 1])
                answer = self._recent.get(keys[place], step)
        return answer
