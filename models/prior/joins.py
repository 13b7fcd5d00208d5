"""Pieces of a mesh joined pairwise into a tree, the nearest two first.

How far two pieces are apart is half a rule (how few answers hold both, less across a border that turns little or
through a wall) and half what small networks expect, by more numbers known of the pair: that two points of them would
be in different parts, and in different groups of parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from models.prior.inputs import RADIUS, NodeTensors
from models.prior.nodes import NodeGraph
from models.prior.scores import Scores, load_scores
from models.prior.votes import LEVELS, Votes

KIND = "networks for joining pieces"
WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "joins.pt"
LEARNED = 0.5  # share of the networks in the distance of two pieces
# The rule, chosen on the first two meshes of each Princeton category; docs/parts.md says how flat each optimum is.
FLAT_SHARE = 0.3  # what a border without any concave turn keeps of the distance between its sides ...
TURN_SCALE = 0.1  # ... and radians of mean turn along it over which the rest comes back
FACING_SHARE = 0.5  # what two sides of one wall lose of their distance
APART = 0.05  # added to the distance of pieces that do not touch
SMALL = 0.0005  # share of the area at which a piece loses half of its distance: one or two nodes are no evidence
TINY = 1e-9
MOST = 160  # pieces up to which the networks are asked
AT_ONCE = 2048  # pairs whose votes are compared at once
# What is known of a pair of pieces; "first" is the smaller one, "both" what they would be together.
KNOWN = (
    *("together", "together, in first", "together, in second", "together, default", "together, all levels"),
    *("touch", "border", "border, of first", "border, of second", "turn", "flat", "facing"),
    *("size, first", "size, second", "size, both"),
    *("embedding", "field", "thickness", "normal"),
    *("votes, both", "votes, first", "votes, second"),
    *("consent, both", "consent, first", "consent, second", "consent, first with both"),
    *("component, same", "component, first", "component, both", "components, many"),
    *("rule", "left"),
)


@dataclass(frozen=True)
class Association:
    """(N, N) float32 each, how often answers that hold one node hold another: the finer and the default answers, the
    default ones alone, and all of the network's before the vote."""

    elected: np.ndarray
    default: np.ndarray
    network: np.ndarray


class Pieces:
    """L pieces of a mesh of N nodes, and what is known of them and of their pairs. `join` adds one to another.

    leaf (N,) int64, the piece that each node is in
    """

    def __init__(
        self, graph: NodeGraph, tensors: NodeTensors, votes: Votes, leaf: np.ndarray, association: Association
    ) -> None:
        self.size, area = int(leaf.max()) + 1, graph.area.astype(np.float64)
        nodes, one = np.arange(len(leaf)), np.ones(len(leaf), dtype=np.float32)
        member = sp.csr_matrix((one, (leaf, nodes)), shape=(self.size, len(leaf)))
        self.leaf = leaf
        self.alive = np.ones(self.size, dtype=bool)
        self.count, self.area = np.bincount(leaf).astype(np.float64), np.bincount(leaf, area)
        # of pairs: sums over their nodes and over their common border
        self.held, self.held_default, self.held_network = (
            np.asarray((member @ (member @ values).T).T, dtype=np.float64)
            for values in (association.elected, association.default, association.network)
        )
        border = np.maximum(graph.conductance[:, 0] - 1e-3, 0) * graph.length[:, 0] + 1e-6
        self.border = self._between(graph.pairs, border)
        self.turn = self._between(graph.pairs, border * (graph.length[:, 1] - graph.length[:, 0]))
        self.flat = self._between(graph.pairs, border * graph.flatness)
        self.facing = self._between(graph.walls, area[graph.walls].mean(axis=1))
        # of pieces: sums over their area
        weighted = {
            "embedding": tensors.embedding.numpy() / RADIUS,
            "field": tensors.features.numpy() / np.sqrt(tensors.features.shape[1]),
            "thickness": np.log(graph.thickness[:, :1] + 0.01),
            "normal": graph.normal,
        }
        self.sums = {name: np.asarray(member @ (each * area[:, None]), np.float64) for name, each in weighted.items()}
        self.overlap = np.asarray(member @ (votes.selected.T * graph.area[:, None]), dtype=np.float32)
        self.clicks = np.zeros((self.size, len(votes.nodes)), dtype=np.float32)
        self.clicks[leaf[votes.nodes], np.arange(len(votes.nodes))] = 1
        self._vote_area = (votes.selected @ graph.area).astype(np.float32)
        self._trust = (votes.quality.astype(np.float32) ** 2).max(axis=1)
        component = np.unique(graph.component, return_inverse=True)[1]
        self._component_area = np.bincount(component, area)
        self.components = np.zeros((self.size, len(self._component_area)))
        np.add.at(self.components, (leaf, component), area)
        self.fit, self.consent = self._fits(np.arange(self.size))

    def _between(self, pairs: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(L, L) symmetric sums of values (E,) of pairs of nodes (E, 2); twice what lies within a piece."""
        first, second = self.leaf[pairs].T
        sums = np.bincount(first * self.size + second, values, self.size**2).reshape(self.size, self.size)
        return sums + sums.T

    def _fits(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(P,) each, of pieces: the largest IoU with an answer, and the mean one with the answers to clicks in it."""
        best, levels = self._iou(self.overlap[rows], self.area[rows])
        return best, self._mean_of(levels, self.clicks[rows])

    def _iou(self, overlap: np.ndarray, area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of sets of nodes: the largest IoU (P,) with an answer, and (P, K) with the best one to each click, trusted so
        far."""
        iou = overlap / np.maximum(area[:, None] + self._vote_area - overlap, TINY)
        return iou.max(axis=1), iou.reshape(len(iou), -1, LEVELS).max(axis=2) * self._trust

    def _mean_of(self, levels: np.ndarray, clicks: np.ndarray) -> np.ndarray:
        return (levels * clicks).sum(axis=1) / np.maximum((clicks * self._trust).sum(axis=1), 1e-6)

    def join(self, kept: int, gone: int) -> None:
        """Add a piece to another."""
        for sums in (self.count, self.area, self.overlap, self.clicks, self.components, *self.sums.values()):
            sums[kept] += sums[gone]
        between = self.held, self.held_default, self.held_network, self.border, self.turn, self.flat, self.facing
        for sums in between:
            sums[kept] += sums[gone]
            sums[:, kept] += sums[:, gone]
            sums[gone] = sums[:, gone] = 0
        self.alive[gone] = False
        self.fit[[kept]], self.consent[[kept]] = self._fits(np.array([kept]))

    # --- pairs ---------------------------------------------------------------------------------------

    def rule(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(P,) distance of pairs of pieces (P,), (P,) by the rule: 0 to 1, a little more where they do not touch."""
        apart = 1.0 - self.held[first, second] / (self.count[first] * self.count[second])
        border = self.border[first, second]
        concave = 1.0 - np.exp(-self.turn[first, second] / np.maximum(border, 1e-12) / TURN_SCALE)
        smaller = np.maximum(np.minimum(self.area[first], self.area[second]), 1e-12)
        touching = apart * (FLAT_SHARE + (1.0 - FLAT_SHARE) * concave) * smaller / (smaller + SMALL)
        facing = np.clip(self.facing[first, second] / (2 * smaller), 0.0, 1.0)
        return np.where(border > 0, touching, apart + APART) * (1.0 - FACING_SHARE * facing)

    def describe(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(P, len(KNOWN)) float32 of pairs of pieces (P,), (P,)."""
        larger = self.area[first] > self.area[second]
        first, second = np.where(larger, second, first), np.where(larger, first, second)
        found = {
            **self._of_answers(first, second),
            **self._of_border(first, second),
            **self._of_components(first, second),
            "rule": self.rule(first, second),
            "left": np.full(len(first), np.log(max(int(self.alive.sum()), 1)) / 3),
        }
        apart = {name: self._apart(sums, first, second) for name, sums in self.sums.items()}
        found |= {name: np.minimum(apart[name], 6 if name == "embedding" else 4) for name in apart}
        return np.stack([found[name] for name in KNOWN], axis=1).astype(np.float32)

    def _apart(self, sums: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(P,) distance of the pieces' means."""
        one, other = (sums[rows] / np.maximum(self.area[rows], TINY)[:, None] for rows in (first, second))
        return np.linalg.norm(one - other, axis=1)

    def _of_answers(self, first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
        """How often answers hold both, and how well some fit what the two would be together."""
        count, within = self.count[first] * self.count[second], np.diag(self.held) / np.maximum(self.count**2, 1)
        both, consent, of_first = np.empty((3, len(first)))
        for start in range(0, len(first), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            one, other = first[some], second[some]
            both[some], levels = self._iou(self.overlap[one] + self.overlap[other], self.area[one] + self.area[other])
            consent[some] = self._mean_of(levels, self.clicks[one] + self.clicks[other])
            of_first[some] = self._mean_of(levels, self.clicks[one])
        return {
            "together": self.held[first, second] / count,
            "together, in first": within[first],
            "together, in second": within[second],
            "together, default": self.held_default[first, second] / count,
            "together, all levels": self.held_network[first, second] / count,
            **{"votes, both": both, "votes, first": self.fit[first], "votes, second": self.fit[second]},
            **{"consent, both": consent, "consent, first with both": of_first},
            **{"consent, first": self.consent[first], "consent, second": self.consent[second]},
        }

    def _of_border(self, first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
        """The border between them, and their sizes."""
        border, around = self.border[first, second], self.border.sum(axis=1) - np.diag(self.border)
        touch, length = border > 0, np.maximum(border, TINY)
        one, other = self.area[first], self.area[second]
        sizes = {"size, first": one, "size, second": other, "size, both": one + other}
        return {
            "touch": touch,
            "border": np.minimum(border / np.sqrt(np.maximum(one, 1e-5)), 8),
            "border, of first": border / np.maximum(around[first], 1e-6),
            "border, of second": border / np.maximum(around[second], 1e-6),
            "turn": 3 * np.where(touch, self.turn[first, second] / length, 0.3),
            "flat": np.where(touch, self.flat[first, second] / length, 0),
            "facing": np.minimum(self.facing[first, second] / np.maximum(2 * one, TINY), 1),
            **{name: np.log(np.maximum(size, 1e-5)) / 3 for name, size in sizes.items()},
        }

    def _of_components(self, first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
        """How likely two points of them are in one component, and how much of their components they are."""
        one, other = self.components[first], self.components[second]

        def whole(areas: np.ndarray) -> np.ndarray:
            share = areas / np.maximum(areas.sum(axis=1), TINY)[:, None]
            return (share * areas / self._component_area).sum(axis=1)

        both = (one * other).sum(axis=1) / np.maximum(self.area[first] * self.area[second], TINY**2)
        return {
            "component, same": both,
            "component, first": whole(one),
            "component, both": whole(one + other),
            "components, many": np.full(len(first), float(len(self._component_area) > 1)),
        }


Distance = Callable[[Pieces, np.ndarray, np.ndarray], np.ndarray]  # of pairs (P,), (P,) -> (P,)


class LearnedDistance:
    """The distance of pairs of pieces: half the rule, half what the networks expect."""

    @cached_property
    def _scores(self) -> Scores:
        return load_scores(WEIGHTS, KIND, KNOWN)

    def __call__(self, pieces: Pieces, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        known = pieces.describe(first, second)
        together = self._scores(known).mean(axis=1)  # in one part, and in one group
        return (1 - LEARNED) * known[:, KNOWN.index("rule")] + LEARNED * (1 - together)


def join_all(
    pieces: Pieces, distance: Distance, on_join: Callable[[np.ndarray, int, int], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Children (L - 1, 2) and ascending heights (L - 1,): always the two nearest pieces are joined.

    distance: where more than `MOST` are left, as of a thousand crumbs, the rule alone, which is faster
    on_join: hears of the distances (L, L) and the two before they are
    """
    size = pieces.size
    children, heights, name = np.zeros((size - 1, 2), dtype=np.int64), np.zeros(size - 1), np.arange(size)
    apart, measure = np.zeros((size, size)), Pieces.rule
    for step in range(size - 1):
        if step == 0 or size - step == MOST:
            measure = Pieces.rule if size - step > MOST else distance
            apart = _all_apart(pieces, measure)
        kept, gone = divmod(int(apart.argmin()), size)
        if on_join:
            on_join(apart, kept, gone)
        children[step], heights[step] = (name[kept], name[gone]), apart[kept, gone]
        pieces.join(kept, gone)
        name[kept] = size + step
        apart[gone] = apart[:, gone] = np.inf
        others = np.flatnonzero(pieces.alive & (np.arange(size) != kept))
        if len(others):
            apart[kept, others] = apart[others, kept] = measure(pieces, np.full(len(others), kept), others)
    return children, np.maximum.accumulate(heights) if size > 1 else heights


def _all_apart(pieces: Pieces, distance: Distance) -> np.ndarray:
    """(L, L) distances of the pieces that are left, infinite elsewhere."""
    left = np.flatnonzero(pieces.alive)
    first, second = (left[rows] for rows in np.triu_indices(len(left), 1))
    apart = np.full((pieces.size, pieces.size), np.inf)
    apart[first, second] = apart[second, first] = distance(pieces, first, second)
    return apart
