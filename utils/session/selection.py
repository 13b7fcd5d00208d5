"""What is selected at a moment, and what of it kept parts have a say in."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from utils.geometry.soft_borders import Certain
from utils.session.answers import Answer
from utils.session.state import State


@dataclass(frozen=True, eq=False)
class Selection:
    """What is selected at the moment.

    faces        (F,) bool
    probability  (V,) float32 of the clicks, None without a positive one
    threshold    that the clicks' selection starts from
    answered     (F,) bool what the clicks select before it is corrected by hand; None without a positive one
    answer       of the clicks, which rung it is and how good it is expected to be
    overlap      how many faces of each kept part, by its id, are meant as well: with `State.taking` they are selected
                 and keeping takes them, without they stay where they are
    """

    faces: np.ndarray
    probability: np.ndarray | None = None
    threshold: float | None = None
    answered: np.ndarray | None = None
    answer: Answer = field(default_factory=Answer)
    overlap: dict[int, int] = field(default_factory=dict)

    def certain(self, label: int, labels: np.ndarray, own: np.ndarray) -> Certain | None:
        """Where the border of the selection runs: where the probability crosses the threshold.

        label  of the selection among labels (F,); own (F,) bool: faces that belong to kept parts
        """
        if self.probability is None or self.answered is None or self.threshold is None:
            return None
        return Certain(label, self.probability - self.threshold, (self.answered == (labels == label)) & ~own)


def free_faces(state: State, alive: np.ndarray) -> np.ndarray:
    """(F,) bool, faces that may be selected, of those that are not deleted (F,) bool."""
    closed = [part.id for part in state.parts if part.locked or not (state.taking or part.id == state.reselected)]
    return alive & ~np.isin(state.labels, closed) if closed else alive.copy()


def overlaps(state: State, faces: np.ndarray) -> dict[int, int]:
    """How many of the faces (F,) bool each part has that is not locked, by its id."""
    count = np.bincount(state.labels[faces], minlength=1 + max([0, *(part.id for part in state.parts)]))
    return {part.id: int(count[part.id]) for part in state.parts if count[part.id] and not part.locked}
