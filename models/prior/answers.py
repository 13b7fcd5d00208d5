"""The prior's answers on the nodes of a mesh: to one click, and to corrections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from models.corrections import InOrder, first_positive_first
from models.prior.components import Components
from models.prior.corrections import TRUSTED, NodeAnswer, TaughtCorrections, correct_locally, without_unlike_pieces
from models.prior.earlier_clicks import REMEMBERED, Earlier
from models.prior.inputs import Asked, Distances, NodeTensors, click_batch, held_distances
from models.prior.judge import Judge
from models.prior.network import PriorNetwork
from models.prior.nodes import NodeGraph, spread_out
from models.prior.readings import Asking, Terrain
from models.prior.taught import TaughtVotes
from models.prior.tree import MEANT, NodeTree, grow_tree
from models.prior.votes import VOTERS, Votes
from utils.device import fast_autocast
from utils.files import Recent

ASKED_TOGETHER = 4  # clicks that the votes come from; more no longer fit a core's cache
HELD_ANSWERS = 64
HELD_KINDS = 8  # sets of clicks of one kind whose channels are kept, 0.2 MB each


@dataclass(frozen=True, eq=False)
class NodeAnswers:
    """Answers on one mesh's nodes; with `votes`, single clicks are answered by consent.

    tree: the parts that the votes divide the mesh into, which vote as well
    judge: chooses among what a correction may mean, of which the votes are a part
    """

    graph: NodeGraph
    network: PriorNetwork
    tensors: NodeTensors
    votes: Votes | None = None
    tree: NodeTree | None = None
    judge: Judge | None = None
    _held: InOrder[NodeAnswer] = field(init=False, default_factory=lambda: InOrder(HELD_ANSWERS))
    _kinds: Recent[Tensor] = field(init=False, default_factory=lambda: Recent(HELD_KINDS))

    @cached_property
    @torch.inference_mode()
    def encoded(self) -> Tensor:
        return self.network.encode(self.tensors)

    @cached_property
    def components(self) -> Components:
        return Components(self.graph.component, self.graph.area)

    @cached_property
    def distances(self) -> Distances:
        return held_distances(self.graph)

    @torch.inference_mode()
    def of_network(self, sets: Sequence[Asked]) -> tuple[np.ndarray, np.ndarray]:
        """Logits (B, 3, N) and qualities (B, 3) float32 for B sets of clicks."""
        clicks = click_batch(self.tensors, self.distances, sets, self._kinds)
        logits, quality = self.network(self.tensors, self.encoded, clicks)
        return logits.float().numpy(), quality.float().sigmoid().numpy()

    def single(self, node: int) -> NodeAnswer:
        """The answer to one click."""
        return self._in_order(np.array([node]), np.array([True]))

    def of_correction(self, before: NodeAnswer, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
        """The network's answers to clicked nodes (C,), positive (C,) bool, the last of which corrects one."""
        asked = Asked(nodes.tolist(), positive.tolist(), np.asarray(before.logits[1], dtype=np.float32))
        return NodeAnswer(*(values[0] for values in self.of_network([asked])))

    def correct(self, before: NodeAnswer, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
        """The same, the one expected to be best as the default."""
        return best_as_default(self.of_correction(before, nodes, positive))

    def answer(self, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
        """The answer to clicked nodes (C,), positive (C,) bool, in the order in which they were made."""
        return self._in_order(*first_positive_first(nodes, positive))

    def ladder(
        self, nodes: np.ndarray, positive: np.ndarray, facet: np.ndarray | None = None
    ) -> tuple[NodeAnswer, int]:
        """What clicks may mean, from small to large: an answer of K rungs, and which is the default.

        More than three for a single click that is answered by vote. facet (N,) bool: what else that may mean
        """
        default = self.answer(nodes, positive)
        if self.votes is None or len(nodes) > 1:
            return default, 1
        node = int(nodes[0])
        logits, quality = (values[0] for values in self.of_network([Asked([node], [True])]))
        parts = self.components.beside(self.tree.parts_at(node, MEANT), node) if self.tree else None
        if parts and facet is not None:
            parts = parts.beside(facet)
        rungs, support, row = self.votes.ladder(node, logits, quality, default.logits[1], parts)
        return NodeAnswer(rungs, support, self._expected(rungs > 0, node)), row

    def _in_order(self, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
        """The first is a positive one; each other one corrects what those before it got."""
        return self._held(nodes, positive, self._first, self._corrected)

    def _first(self, node: int) -> NodeAnswer:
        """The answer to one click: by consent, or its component."""
        logits, quality = (values[0] for values in self.of_network([Asked([node], [True])]))
        if self.votes is None:
            return NodeAnswer(logits, quality)
        taught = self._taught  # a trusted teacher knows better than components do, a certain one than parts, too
        parts = self.tree.parts_at(node) if self.tree and not (taught and taught.lifted.certain) else None
        answer = NodeAnswer(*self.votes.elect(node, logits, quality, parts))
        if taught:
            return answer
        answer = self.components.instead_of(answer, node)
        return replace(answer, expected=self._expected(answer.logits > 0, node))

    def _expected(self, selected: np.ndarray, node: int) -> np.ndarray | None:
        """(R,) float32 IoU of selections (R, N) bool with what a click means; None where parts do not say it."""
        if self.tree is None or self._taught:
            return None
        return self.tree.parts_at(node).match(selected, self.graph.area).astype(np.float32)

    def _corrected(self, before: NodeAnswer, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
        """The answer `before`, corrected by the last of the clicks."""
        if self._taught is not None and (self.judge is None or self._taught.lifted.certain):
            return self._taught(before, nodes, positive)
        if self.judge is None or self.votes is None:
            return self._unjudged(before, self.of_correction(before, nodes, positive), nodes, positive)
        asking = self.asking(before, nodes, positive, self._earlier(nodes, positive))
        readings = self.terrain.readings(asking)
        row, expected = self.judge.choose(self.terrain.describe(readings, asking), readings.allowed)
        answer = readings.answer(row, asking)
        answer = replace(answer, expected=np.array([answer.quality[0], expected, answer.quality[2]], dtype=np.float32))
        if len(nodes) > 2:  # later, clicks have said more of what is meant
            return answer
        embedding, _ = self.terrain.likeness
        return without_unlike_pieces(before, answer, self.graph, embedding, int(nodes[-1]), bool(positive[-1]))

    def _earlier(self, nodes: np.ndarray, positive: np.ndarray) -> list[Earlier]:
        """The last few corrections before the last of the clicks."""
        places = range(max(1, len(nodes) - 1 - REMEMBERED), len(nodes) - 1)
        before = (self._in_order(nodes[:place], positive[:place]).selected for place in places)
        return [(selected, int(nodes[place]), bool(positive[place])) for place, selected in zip(places, before)]

    def asking(
        self, before: NodeAnswer, nodes: np.ndarray, positive: np.ndarray, earlier: Sequence[Earlier] = ()
    ) -> Asking:
        """What there is to know of a correction: `before`, clicks of which the last corrects it, and those earlier."""
        network = self.of_correction(before, nodes, positive)
        unjudged = self._unjudged(before, network, nodes, positive)
        return Asking(before, nodes, positive, network, unjudged, self.single(int(nodes[0])), earlier)

    def _unjudged(self, before: NodeAnswer, network: NodeAnswer, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
        """What a trusted teacher would; without one what the network answers, near the last click only if the votes
        agree on the first click's answer."""
        if self._taught is not None:
            return self._taught(before, nodes, positive)
        corrected = best_as_default(network)
        if self.single(int(nodes[0])).quality[1] < TRUSTED:
            return corrected
        return correct_locally(before, corrected, self.distances, nodes, positive)

    @cached_property
    def terrain(self) -> Terrain:
        """The mesh as readings are looked at. Raises ValueError without votes."""
        if self.votes is None:
            raise ValueError("readings come from votes, and there are none")
        return Terrain(self.graph, self.tensors, self.votes.of_network, self.components, self.distances)

    @cached_property
    def _taught(self) -> TaughtCorrections | None:
        """How a trusted teacher, if one votes, corrects."""
        votes = self.votes
        if not isinstance(votes, TaughtVotes) or not votes.lifted.leads:
            return None
        spacing = float(np.median(self.graph.length[:, 0]))
        return TaughtCorrections(self.single, self.correct, self.distances, votes.lifted, self.graph.area, spacing)


def consulted(answers: NodeAnswers, seen: np.ndarray) -> NodeAnswers:
    """The same with the votes of clicks spread over the nodes that are `seen` (N,), and the tree grown from them."""
    votes = ask_around(answers, seen, VOTERS)
    return replace(answers, votes=votes, tree=grow_tree(answers.graph, answers.tensors, votes))


def ask_around(answers: NodeAnswers, seen: np.ndarray, voters: int, fast: bool = False) -> Votes:
    """The network's own answers to up to so many clicks, spread over the nodes that are `seen` (N,) in some view.

    fast: in bfloat16 where that is faster
    """
    shown = np.flatnonzero(seen > 0) if seen.any() else np.arange(len(seen))
    nodes = shown[spread_out(answers.graph.position[shown], min(voters, len(shown)))]
    answers.distances(nodes.tolist())  # from all at once
    chunks = np.array_split(nodes, -(-len(nodes) // ASKED_TOGETHER))
    with fast_autocast(enabled=fast):
        found = [answers.of_network([Asked([node], [True]) for node in chunk.tolist()]) for chunk in chunks]
    logits, quality = zip(*found)
    logits = np.concatenate([each.astype(np.float16) for each in logits])
    return Votes(nodes, logits, np.concatenate(quality), answers.graph.area)


def best_as_default(answer: NodeAnswer) -> NodeAnswer:
    """After a correction, the candidate expected to be best is the default."""
    logits, quality, best = answer.logits.copy(), answer.quality.copy(), int(answer.quality.argmax())
    logits[1], quality[1] = logits[best], quality[best]
    return NodeAnswer(logits, quality)


def blend(logits: np.ndarray, granularity: float | None) -> np.ndarray:
    """(N,) between the three candidates (3, N): 0 finer, 0.5 default, 1 coarser."""
    place = 1.0 if granularity is None else 2.0 * min(max(float(granularity), 0.0), 1.0)
    low = min(int(place), 1)
    return logits[low] + (place - low) * (logits[low + 1] - logits[low])
