"""The prior's answers on the nodes of a mesh: to one click, to corrections, and to clicks on several parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from models.prior.corrections import NodeAnswer, TaughtCorrections, correct_locally, join_parts
from models.prior.inputs import Asked, Distances, NodeTensors, click_batch, held_distances
from models.prior.network import PriorNetwork
from models.prior.nodes import NodeGraph, spread_out
from models.prior.taught import TaughtVotes
from models.prior.votes import Votes
from utils.files import Recent

ASKED_TOGETHER = 16  # clicks that the votes come from
HELD_ANSWERS = 64


@dataclass(frozen=True, eq=False)
class NodeAnswers:
    """Answers on one mesh's nodes; with `votes`, single clicks are answered by consent."""

    graph: NodeGraph
    network: PriorNetwork
    tensors: NodeTensors
    votes: Votes | None = None
    _recent: Recent[NodeAnswer] = field(default_factory=lambda: Recent(HELD_ANSWERS))

    @cached_property
    @torch.inference_mode()
    def encoded(self) -> Tensor:
        return self.network.encode(self.tensors)

    @cached_property
    def distances(self) -> Distances:
        return held_distances(self.graph)

    @torch.inference_mode()
    def of_network(self, sets: Sequence[Asked]) -> tuple[np.ndarray, np.ndarray]:
        """Logits (B, 3, N) and qualities (B, 3) float32 for B sets of clicks."""
        clicks = click_batch(self.tensors, self.distances, sets)
        logits, quality = self.network(self.tensors, self.encoded, clicks)
        return logits.float().numpy(), quality.float().sigmoid().numpy()

    def together(self, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
        """The answer to clicked nodes (C,), positive (C,) bool, all understood as one wish, in whatever order."""
        order = np.lexsort((nodes, ~positive))
        clicks = tuple(nodes[order].tolist()), tuple(positive[order].tolist())

        def ask() -> NodeAnswer:
            logits, quality = (values[0] for values in self.of_network([Asked(*clicks)]))
            if len(nodes) == 1:
                return NodeAnswer(
                    *(self.votes.elect(int(nodes[0]), logits, quality) if self.votes else (logits, quality))
                )
            # Later clicks are corrections: the candidate that is expected to be best is the default.
            best = int(quality.argmax())
            logits[1], quality[1] = logits[best], quality[best]
            return NodeAnswer(logits, quality)

        return self._recent.get(clicks, ask)

    def answer(self, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
        """The answer to clicked nodes (C,), positive (C,) bool, in the order in which they were made."""
        if self._taught is not None:
            return self._taught(nodes, positive)

        def in_order(nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
            return correct_locally(self.together, self.distances, nodes, positive)

        return join_parts(in_order if self.votes else self.together, self.graph.pairs, nodes, positive)

    @cached_property
    def _taught(self) -> TaughtCorrections | None:
        """How a trusted teacher, if one votes, corrects."""
        votes = self.votes
        if not isinstance(votes, TaughtVotes) or not votes.lifted.leads:
            return None

        def single(node: int) -> NodeAnswer:
            return self.together(np.array([node]), np.array([True]))

        spacing = float(np.median(self.graph.length[:, 0]))
        return TaughtCorrections(single, self.together, self.distances, votes.lifted, self.graph.area, spacing)


def ask_around(answers: NodeAnswers, seen: np.ndarray, voters: int) -> Votes:
    """The network's own answers to up to so many clicks, spread over the nodes that are `seen` (N,) in some view."""
    shown = np.flatnonzero(seen > 0) if seen.any() else np.arange(len(seen))
    nodes = shown[spread_out(answers.graph.position[shown], min(voters, len(shown)))]
    chunks = np.array_split(nodes, -(-len(nodes) // ASKED_TOGETHER))
    found = [answers.of_network([Asked([node], [True]) for node in chunk.tolist()]) for chunk in chunks]
    logits, quality = zip(*found)
    logits = np.concatenate([each.astype(np.float16) for each in logits])
    return Votes(nodes, logits, np.concatenate(quality), answers.graph.area)


def blend(logits: np.ndarray, granularity: float | None) -> np.ndarray:
    """(N,) between the three candidates (3, N): 0 finer, 0.5 default, 1 coarser."""
    place = 1.0 if granularity is None else 2.0 * min(max(float(granularity), 0.0), 1.0)
    low = min(int(place), 1)
    return logits[low] + (place - low) * (logits[low + 1] - logits[low])
