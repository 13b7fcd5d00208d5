"""Connected components as natural answers: what a modelling program selects with one command is often the part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.prior.corrections import NodeAnswer
from models.prior.inputs import FIRM
from models.prior.votes import Parts

CRUMB, WHOLE = 0.003, 0.9  # share of the area from which on a component is no crumb, and up to which not everything
AGREED = 0.85  # votes that agree so far on one click know better


@dataclass(frozen=True, eq=False)
class Components:
    """The components of a mesh of N nodes, or other pieces of it: component (N,) int64, area (N,) summing to 1."""

    component: np.ndarray
    area: np.ndarray

    @cached_property
    def natural(self) -> np.ndarray:
        """(C,) bool, neither a crumb nor the whole shape."""
        share = np.bincount(self.component, self.area)
        return (share > CRUMB) & (share < WHOLE)

    def instead_of(self, answer: NodeAnswer, node: int) -> NodeAnswer:
        """The answer to one click on `node`: where the votes disagree on it, the component that was clicked.

        What was elected stays within reach, as the finer or the coarser answer.
        """
        if answer.quality[1] >= AGREED or not self.natural[self.component[node]]:
            return answer
        finer, elected, coarser = answer.logits
        middle = np.where(self.component == self.component[node], FIRM, -FIRM)
        smaller = elected if (elected[middle > 0] < 0).any() else finer
        larger = elected if (elected[middle < 0] > 0).any() else coarser
        logits = np.stack([np.minimum(smaller, middle), middle, np.maximum(larger, middle)])
        return NodeAnswer(logits.astype(np.float32), answer.quality)

    def beside(self, parts: Parts, node: int) -> Parts:
        """What one click on `node` may mean: the `parts` that hold it, and its component if it is natural."""
        if not self.natural[self.component[node]]:
            return parts
        return parts.beside(self.component == self.component[node])
