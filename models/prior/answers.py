"""The prior's answers on the nodes of a mesh: to one click, to corrections, and to clicks on several parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from models.prior.borders import pieces
from models.prior.inputs import Distances, NodeTensors, click_batch, held_distances
from models.prior.network import PriorNetwork
from models.prior.nodes import NodeGraph, spread_out
from models.prior.votes import Votes
from utils.files import Recent

ASKED_TOGETHER = 16  # clicks that the votes come from
HELD_ANSWERS = 64
# Agreement of the votes from which on corrections of an answer are local: near the correcting click, within so many
# times its distance from the border that it moves, and at least `NEAREST` (the object has radius 1).
TRUSTED, REACH, NEAREST = 0.8, 3.0, 0.02


@dataclass(frozen=True, eq=False)
class NodeAnswer:
    """logits (3, N) float32, ascending (finer, default, coarser); quality (3,) float32, the IoU expected of each."""

    logits: np.ndarray
    quality: np.ndarray


Ask = Callable[[np.ndarray, np.ndarray], NodeAnswer]  # of clicked nodes (C,) int64, positive (C,) bool


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
    def of_network(self, sets: Sequence[tuple[Sequence[int], Sequence[bool]]]) -> tuple[np.ndarray, np.ndarray]:
        """Logits (B, 3, N) and qualities (B, 3) float32 for B sets of clicked nodes and signs."""
        clicks = click_batch(self.tensors, self.distances, sets)
        logits, quality = self.network(self.tensors, self.encoded, clicks)
        return logits.float().numpy(), quality.float().sigmoid().numpy()

    def together(self, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
        """The answer to clicked nodes (C,), positive (C,) bool, all understood as one wish, in whatever order."""
        order = np.lexsort((nodes, ~positive))
        clicks = tuple(nodes[order].tolist()), tuple(positive[order].tolist())

        def ask() -> NodeAnswer:
            logits, quality = (values[0] for values in self.of_network([clicks]))
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

        def in_order(nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
            return correct_locally(self.together, self.distances, nodes, positive)

        return join_parts(in_order if self.votes else self.together, self.graph.pairs, nodes, positive)


def ask_around(answers: NodeAnswers, seen: np.ndarray, voters: int) -> Votes:
    """The network's own answers to up to so many clicks, spread over the nodes that are `seen` (N,) in some view."""
    shown = np.flatnonzero(seen > 0) if seen.any() else np.arange(len(seen))
    nodes = shown[spread_out(answers.graph.position[shown], min(voters, len(shown)))]
    chunks = np.array_split(nodes, -(-len(nodes) // ASKED_TOGETHER))
    found = [answers.of_network([([node], [True]) for node in chunk.tolist()]) for chunk in chunks]
    logits, quality = zip(*found)
    logits = np.concatenate([each.astype(np.float16) for each in logits])
    return Votes(nodes, logits, np.concatenate(quality), answers.graph.area)


def join_parts(ask: Ask, pairs: np.ndarray, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
    """Positive clicks whose selections do not touch are wishes for several parts.

    Each such group is answered by itself, with all negative clicks, and the answers are put together. A positive click
    that corrects a selection touches it. pairs (E, 2): adjacent nodes.
    """
    whole = ask(nodes, positive)
    selected = whole.logits[1] > 0
    selected[nodes[positive]] = True
    group = pieces(selected, pairs)[nodes]
    if len(np.unique(group[positive])) < 2:
        return whole
    kept = [~positive | (group == part) for part in np.unique(group[positive])]
    answers = [ask(nodes[part], positive[part]) for part in kept]
    return NodeAnswer(
        np.max([each.logits for each in answers], axis=0), np.mean([each.quality for each in answers], axis=0)
    )


def correct_locally(ask: Ask, distances: Distances, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
    """If the votes agree on what the first positive click means, further clicks change the answer near themselves only.

    How far, its distance from the border that it moves says. So a small correction undoes nothing elsewhere. Otherwise
    all clicks are answered together.
    """
    first = int(np.flatnonzero(positive)[0])
    order = np.r_[first, np.delete(np.arange(len(nodes)), first)]
    nodes, positive = nodes[order], positive[order]
    answer = ask(nodes[:1], positive[:1])
    if len(nodes) == 1:
        return answer
    if answer.quality[1] < TRUSTED:
        return ask(nodes, positive)
    for count in range(2, len(nodes) + 1):
        corrected, logits = ask(nodes[:count], positive[:count]), answer.logits
        changed = corrected.logits
        agrees = (logits[1] > 0) == positive[count - 1]
        if not agrees[nodes[count - 1]] and agrees.any():
            away = distances([int(nodes[count - 1])])[0, :, 0].numpy()
            changed = np.where(away <= REACH * away[agrees].min() + NEAREST, changed, logits)
        answer = NodeAnswer(changed, corrected.quality)
    return answer


def blend(logits: np.ndarray, granularity: float | None) -> np.ndarray:
    """(N,) between the three candidates (3, N): 0 finer, 0.5 default, 1 coarser."""
    place = 1.0 if granularity is None else 2.0 * min(max(float(granularity), 0.0), 1.0)
    low = min(int(place), 1)
    return logits[low] + (place - low) * (logits[low + 1] - logits[low])
