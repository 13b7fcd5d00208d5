"""What a teacher's masks, lifted to the nodes of one mesh, say about clicks (paper Sec. 3.3): how the prior is refined.

Nothing is trained. The masks of many single clicks are averaged over the clicks that hold each other ("second order"):
smoother than one mask, and known where no view of one click reaches. They vote beside the prior's own answers on what
a click means. How far they are trusted, their agreement with each other says.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.spatial import KDTree

from models.prior.nodes import NodeGraph
from models.prior.votes import Ballot, Votes
from utils.geometry.graphs import symmetric

# Consistency of a teacher from which on it leads, and how steeply its share of the votes rises there: an embedded
# teacher has .48 to .66 on the meshes of the benchmark, people .56 to .98, one that is always right .92 and more.
LEADS, STEEP = 0.67, 30.0
CERTAIN = 0.9  # consistency above which it alone says what corrections mean; below, the judge chooses
SHARES = 0.3, 0.55  # of the votes, for a teacher that is not trusted and one that is
SURE = 6.0  # logit of a node that all masks hold
DIFFUSION_ROUNDS = 60


@dataclass(frozen=True, eq=False)
class LiftedMasks:
    """The masks of K clicks on the N nodes of a mesh.

    nodes        (K,) int64 clicked
    inside       (K, N) float32 share of each node that is inside, second order; known everywhere
    consistency  mean IoU of a click's own mask with those of the other clicks inside it
    """

    nodes: np.ndarray
    inside: np.ndarray
    consistency: float

    @classmethod
    def of(cls, graph: NodeGraph, nodes: np.ndarray, masks: np.ndarray, shown: np.ndarray) -> LiftedMasks | None:
        """From masks (K, N) in [0, 1], known where `shown` (K, N) bool. None if no mask shows its own click."""
        own = np.arange(len(nodes)), nodes
        kept = shown[own]
        nodes, masks, shown = nodes[kept], masks[kept].astype(np.float32), shown[kept]
        if not len(nodes):
            return None
        own = np.arange(len(nodes)), nodes
        masks[own] = np.maximum(masks[own], 0.51)
        known, holds = shown[:, nodes], masks[:, nodes] > 0.5
        mutual = (holds & holds.T & known & known.T).astype(np.float32)
        weight = mutual @ shown.astype(np.float32)
        inside = (mutual @ (masks * shown)) / np.maximum(weight, 1e-6)
        inside = diffused(inside.T, weight.T > 0, graph.pairs).T
        iou = _iou_where_shown((masks > 0.5) & shown, shown, graph.area)
        others = holds & known
        each = (iou * others).sum(axis=1) / others.sum(axis=1)
        area = graph.area[nodes]
        return cls(nodes, np.ascontiguousarray(inside), float((each * area).sum() / area.sum()))

    def state(self, graph: NodeGraph) -> dict[str, object]:
        """What `restore` reads, with the nodes' positions."""
        inside = torch.from_numpy((self.inside * 255).round().astype(np.uint8))
        nodes, position = torch.from_numpy(self.nodes), torch.from_numpy(graph.position)
        return {"nodes": nodes, "inside": inside, "consistency": self.consistency, "position": position}

    @classmethod
    def restore(cls, state: dict[str, Any], graph: NodeGraph) -> LiftedMasks:
        """What was kept of one mesh; its nodes may since have moved a little, on another machine.

        Raises KeyError, TypeError or ValueError for what is not such a state.
        """
        inside = state["inside"].numpy().astype(np.float32) / 255
        nodes, position = state["nodes"].numpy(), state["position"].numpy()
        if inside.shape != (len(nodes), len(position)) or not 0 <= nodes.min() <= nodes.max() < len(position):
            raise ValueError("masks, clicks and nodes do not fit together")
        return cls(nodes, inside, float(state["consistency"])).on(position, graph)

    def on(self, position: np.ndarray, graph: NodeGraph) -> LiftedMasks:
        """These masks of nodes at `position` (M, 3), on the nodes of `graph`, each as the nearest."""
        if np.array_equal(position, graph.position):
            return self
        nearest = KDTree(position).query(graph.position)[1]
        nodes = np.asarray(KDTree(graph.position).query(position[self.nodes])[1], dtype=np.int64)
        return LiftedMasks(nodes, self.inside[:, nearest], self.consistency)

    @property
    def leads(self) -> bool:
        """Is this teacher trusted more than the prior?"""
        return self.consistency > LEADS

    @property
    def certain(self) -> bool:
        """Is it trusted alone, even in what corrections mean?"""
        return self.consistency > CERTAIN

    @property
    def share(self) -> float:
        """Of the votes."""
        low, high = SHARES
        return low + (high - low) / (1 + float(np.exp(-STEEP * (self.consistency - LEADS))))

    @cached_property
    def logits(self) -> np.ndarray:
        """(K, N) float32."""
        clipped = np.clip(self.inside, 1e-3, 1 - 1e-3)
        return np.clip(np.log(clipped / (1 - clipped)), -SURE, SURE)

    @cached_property
    def selected(self) -> np.ndarray:
        """(K, N) bool."""
        return self.inside > 0.5

    def keeping(self, nodes: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """(R,) which of the masks hold all nodes clicked to include, and none clicked to exclude."""
        included, excluded = self.selected[:, nodes[positive]], self.selected[:, nodes[~positive]]
        return np.flatnonzero(included.all(axis=1) & ~excluded.any(axis=1))


@dataclass(frozen=True, eq=False)
class TaughtVotes(Votes):
    """The votes of the prior's answers, and of a teacher's masks."""

    lifted: LiftedMasks

    @classmethod
    def joining(cls, votes: Votes, lifted: LiftedMasks) -> TaughtVotes:
        return cls(**{field.name: getattr(votes, field.name) for field in fields(Votes)}, lifted=lifted)

    @cached_property
    def of_network(self) -> Votes:
        """Those of the network's answers alone."""
        return Votes(self.nodes, self.logits, self.quality, self.area)

    @cached_property
    def selected(self) -> np.ndarray:
        return np.vstack([super().selected, self.lifted.selected])

    def row(self, index: int) -> np.ndarray:
        prior = self.logits.shape[0] * self.logits.shape[1]
        return super().row(index) if index < prior else self.lifted.logits[index - prior]

    def ballot(self, node: int, proposal: np.ndarray, holders: np.ndarray, quality: np.ndarray) -> Ballot:
        prior = self.logits.shape[0] * self.logits.shape[1]
        masks = holders[holders >= prior] - prior
        own = super().ballot(node, proposal, holders[holders < prior], quality)
        surely = self.lifted.inside[masks, node].astype(np.float64)
        share = self.lifted.share if len(masks) else 0.0
        taught = share * surely / max(surely.sum(), 1e-9)
        joined = (
            np.r_[(1 - share) * part[:-3] / part.sum(), taught, (1 - share) * part[-3:] / part.sum()]
            for part in (own.votes, own.cover)
        )
        votes, cover = joined
        network = None
        if not self.lifted.leads:
            network = np.r_[own.votes[:-3], np.zeros(len(masks)), own.votes[-3:]] / own.votes.sum()
        return Ballot(votes, cover, network)


def diffused(values: np.ndarray, known: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Values (N, K) where `known` (N, K); elsewhere the mean of the neighbours along `pairs` that are known first."""
    adjacency = symmetric(pairs, np.ones(len(pairs), dtype=np.float32), len(values))
    values, known = values * known, known.astype(np.float32)
    for _ in range(DIFFUSION_ROUNDS):
        count = adjacency @ known
        reached = (known == 0) & (count > 0)
        if not reached.any():
            break
        values = np.where(reached, (adjacency @ values) / np.maximum(count, 1), values)
        known = np.where(reached, 1, known)
    return values


def _iou_where_shown(masks: np.ndarray, shown: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(K, K) IoU of masks (K, N) bool on the nodes that both of two show."""
    weighted, seen = masks * area, shown.astype(np.float32)
    both = weighted @ masks.T.astype(np.float32)
    one = weighted @ seen.T
    return both / np.maximum(one + one.T - both, 1e-9)
