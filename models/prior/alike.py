"""Parts that match a chosen one (legs, spokes, buttons): networks judge pairs by shape and by what is read there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from models.prior.inputs import RADIUS, NodeTensors
from models.prior.nodes import NodeGraph
from models.prior.scores import Scores, load_scores

KIND = "networks for parts that match"
WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "alike.pt"
MATCH = 0.65  # likelihood from which on a part matches, chosen on shapes whose repeats are known (docs/parts.md)
SIZES = 1.6  # ratio of areas beyond which nothing matches
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
# How far descriptors of two parts may lie apart, in the order of `descriptors`, to count 1.
SCALES = {"area": 0.25, "extents": 0.2, "distances": 0.15, "thickness": 0.2, "field": 0.4}
MEMBERS = 96  # nodes of a part that distances are taken between, at most
NEAR = 1e-4
# What is known of a part beside the chosen one.
KNOWN = (
    "area",
    *(f"extent {axis}" for axis in range(3)),
    *(f"distances {quantile}" for quantile in QUANTILES),
    *(f"thickness {quantile}" for quantile in QUANTILES),
    *("field", "embedding", "unlikeness", "unlikeness, beyond the best"),
    *("size", "apart", "from the middle", "component", "component, of chosen"),
)


@dataclass(frozen=True, eq=False)
class Lookout:
    """M sets of nodes of a mesh, inside (M, N) bool, among which parts that match are looked for."""

    graph: NodeGraph
    tensors: NodeTensors
    inside: np.ndarray

    @cached_property
    def _scores(self) -> Scores:
        return load_scores(WEIGHTS, KIND, KNOWN)

    @cached_property
    def _area(self) -> np.ndarray:
        return np.maximum(self.inside @ self.graph.area, NEAR**2)

    def matches(self, chosen: np.ndarray) -> list[int]:
        """The sets that match `chosen` (N,) bool, the best first, none sharing a node with another."""
        rows = self.of_its_size(chosen)
        if not len(rows):
            return []
        likely = self._scores(self.describe(rows, chosen))[:, 0]
        found, taken = [], np.zeros(len(chosen), dtype=bool)
        for place in np.argsort(-likely, kind="stable"):
            if likely[place] > MATCH and not taken[self.inside[rows[place]]].any():
                found.append(int(rows[place]))
                taken |= self.inside[rows[place]]
        return found

    def of_its_size(self, chosen: np.ndarray) -> np.ndarray:
        """The sets about as large as `chosen` that share no node with it."""
        ratio = np.abs(np.log(self._area / max(float(self.graph.area[chosen].sum()), NEAR**2)))
        return np.flatnonzero((ratio < np.log(SIZES)) & ~self.inside[:, chosen].any(axis=1))

    def describe(self, rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """(R, len(KNOWN)) float32 of some of the sets beside `chosen` (N,) bool."""
        field = self.tensors.features.numpy()
        found = descriptors(self.graph, field, self.inside[rows])
        own = descriptors(self.graph, field, chosen[None])
        differs = {name: found[name] - own[name] for name in found}
        unlike, (size,) = unlikeness(found, own), own["area"][0]
        middle, of_chosen = (self._means(sets, self.graph.position) for sets in (self.inside[rows], chosen[None]))
        read, of_chosen_read = (
            self._means(sets, self.tensors.embedding.numpy() / RADIUS) for sets in (self.inside[rows], chosen[None])
        )
        away = [np.linalg.norm(place, axis=1) for place in (middle, of_chosen)]
        columns = [
            *np.abs(
                np.concatenate([differs[name] for name in ("area", "extents", "distances", "thickness")], axis=1)
            ).T,
            np.sqrt((differs["field"] ** 2).mean(axis=1)) / SCALES["field"],
            np.linalg.norm(read - of_chosen_read, axis=1),
            unlike,
            unlike - unlike.min(initial=np.inf),
            np.full(len(rows), size / 3),
            np.linalg.norm(middle - of_chosen, axis=1),
            np.abs(away[0] - away[1]),
            self._broken(self.inside[rows]),
            np.full(len(rows), self._broken(chosen[None])[0]),
        ]
        return np.nan_to_num(np.stack(columns, axis=1)).astype(np.float32)

    def _means(self, sets: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(R, D) means over the area of sets (R, N) bool of values (N, D)."""
        weight = sets * self.graph.area
        return weight @ values / np.maximum(weight.sum(axis=1), NEAR**2)[:, None]

    def _broken(self, sets: np.ndarray) -> np.ndarray:
        """(R,) how much of components that they cut through is inside or outside of sets (R, N), of their areas."""
        component = np.unique(self.graph.component, return_inverse=True)[1]
        one = np.zeros((len(component), int(component.max()) + 1), dtype=np.float32)
        one[np.arange(len(component)), component] = self.graph.area
        held = sets @ one
        return np.minimum(held, one.sum(axis=0) - held).sum(axis=1) / np.maximum(held.sum(axis=1), NEAR**2)


def descriptors(graph: NodeGraph, field: np.ndarray, inside: np.ndarray) -> dict[str, np.ndarray]:
    """Of M sets of nodes, (M, N) bool, what does not change when a part is moved, turned or mirrored; (M, D) each.

    area       logarithm of the area
    extents    logarithm of the deviations along the principal axes
    distances  logarithm of quantiles of the distances between two points of the part
    thickness  logarithm of quantiles of the depth of the solid
    field      (M, C) mean of `field` (N, C)
    """
    weight = inside * graph.area
    area = weight.sum(axis=1)
    share = weight / area[:, None]
    position = graph.position.astype(np.float64)
    mean = share @ position
    second = np.einsum("mn,ni,nj->mij", share, position, position) - mean[:, :, None] * mean[:, None, :]
    # A node is a disc of its own area, so that a part of one node has a size too.
    second += np.eye(3) * (share @ graph.area)[:, None, None] / 4
    extents = 0.5 * np.log(np.maximum(np.linalg.eigvalsh(second), NEAR**2))
    distances = np.zeros((len(inside), len(QUANTILES)))
    thickness = np.zeros((len(inside), len(QUANTILES)))
    for row in range(len(inside)):
        member = np.flatnonzero(inside[row])
        some = member[:: -(-len(member) // MEMBERS)]
        apart = np.linalg.norm(position[some][:, None] - position[some][None], axis=2).ravel()
        distances[row] = _quantiles(
            apart + 0.05 * np.sqrt(area[row]), np.outer(share[row, some], share[row, some]).ravel()
        )
        thickness[row] = _quantiles(graph.thickness[member, 0] + 0.01, share[row, member])
    return {
        "area": np.log(area)[:, None],
        "extents": extents,
        "distances": np.log(distances),
        "thickness": np.log(thickness),
        "field": share @ field,
    }


def _quantiles(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return np.interp(np.multiply(QUANTILES, reached[-1]), reached - weights[order] / 2, values[order])


def unlikeness(found: dict[str, np.ndarray], chosen: dict[str, np.ndarray]) -> np.ndarray:
    """(M,) how much each of M parts differs from the one `chosen`; 1: as far as two repeats may be.

    The median over the descriptors: one or two may mislead, as the depth of a leg that ends open.
    """
    apart = [np.sqrt(((found[name] - chosen[name]) ** 2).mean(axis=1)) / scale for name, scale in SCALES.items()]
    return np.median(apart, axis=0)
