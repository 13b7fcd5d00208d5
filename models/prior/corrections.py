"""How further clicks change an answer: near themselves, or as a trusted teacher has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models.corrections import near_click
from models.prior.inputs import Distances
from models.prior.nodes import NodeGraph
from models.prior.taught import LiftedMasks
from utils.geometry.graphs import pieces
from utils.selection import pairwise_iou

# Agreement of the votes from which on corrections of an answer are local, and how far (`near_click`).
TRUSTED, REACH = 0.8, 3.0
# With a trusted teacher: so near the border, in node spacings, a click corrects the border alone; farther if the votes
# on the whole agree by `CERTAIN`. A part that the votes on it agree on by `ON_PART` is added or taken away whole.
AT_BORDER, FAR, CERTAIN, ON_PART = 2.0, 5.0, 0.95, 0.7
PUSHED = 0.5  # logit of a node at a corrected border: its faces beside the click's follow, others need not
UNLIKE = 2.0  # radii between the middles of two pieces in the point network's embedding: no part is wider
TAUGHT_SHARE = 0.9  # of the votes on several clicks, beside the network's own answer


@dataclass(frozen=True, eq=False)
class NodeAnswer:
    """logits (K, N) float32, ascending: finer, default and coarser, or the rungs of a ladder; quality (K,) float32, the
    IoU expected of each by the network, or how far those who vote on it agree; expected (K,): by who knows better, the
    parts of the mesh or the judge."""

    logits: np.ndarray
    quality: np.ndarray
    expected: np.ndarray | None = None

    @property
    def shown(self) -> np.ndarray:
        """(K,) float32, what a person is told of how good each is."""
        return self.quality if self.expected is None else self.expected

    @property
    def selected(self) -> np.ndarray:
        """(N,) bool, by default."""
        return self.logits[1] > 0


# An answer, by the last of the clicked nodes (C,) int64, positive (C,) bool.
Correct = Callable[[NodeAnswer, np.ndarray, np.ndarray], NodeAnswer]


def correct_locally(
    before: NodeAnswer, corrected: NodeAnswer, distances: Distances, nodes: np.ndarray, positive: np.ndarray
) -> NodeAnswer:
    """The last of the clicks changes the answer `before` it near itself only: there it is `corrected`.

    How far, its distance from the border that it moves says. So a small correction undoes nothing elsewhere.
    """
    away = distances([int(nodes[-1])])[0, :, 0].numpy()
    return _near_the_click(before, corrected, away, bool(positive[-1]))


def without_unlike_pieces(
    before: NodeAnswer, corrected: NodeAnswer, graph: NodeGraph, embedding: np.ndarray, node: int, adds: bool
) -> NodeAnswer:
    """`corrected`, but what a click on a node adds (or takes) elsewhere on its component stays as it was `before` where
    it neither touches the piece that is changed under the click nor is like that: who takes away a hammer's claw means
    both prongs and not its face.

    embedding (N, D): of the point network, in radii of a part
    """
    changed = (corrected.selected != before.selected) & (corrected.selected == adds)
    if not changed[node]:
        return corrected
    piece = np.where(changed, pieces(changed, graph.pairs), -1)
    apart = np.zeros(len(changed), dtype=bool)
    middle = np.average(embedding[piece == piece[node]], axis=0, weights=graph.area[piece == piece[node]])
    for other in np.setdiff1d(piece[changed & (graph.component == graph.component[node])], piece[node]):
        within = piece == other
        unlike = np.linalg.norm(np.average(embedding[within], axis=0, weights=graph.area[within]) - middle) > UNLIKE
        apart |= within & unlike
    return replace(corrected, logits=np.where(apart, before.logits, corrected.logits)) if apart.any() else corrected


def _near_the_click(answer: NodeAnswer, corrected: NodeAnswer, away: np.ndarray, sign: bool) -> NodeAnswer:
    """`corrected` near the click that `away` (N,) are the distances from, `answer` elsewhere."""
    near = near_click(answer.selected, away, sign, REACH)
    if near is None:
        return corrected
    return NodeAnswer(np.where(near, corrected.logits, answer.logits), corrected.quality)


@dataclass(frozen=True, eq=False)
class TaughtCorrections:
    """Corrections of what a trusted teacher answers to a first click.

    A click beside the border moves the border there. Another adds the part that the teacher knows under it, or takes it
    away. Where that goes against other clicks, the answer to all of them together counts near the click.

    single    the answer by vote to one click; correct: the network's to the last of some; spacing: of the nodes
    """

    single: Callable[[int], NodeAnswer]
    correct: Correct
    distances: Distances
    lifted: LiftedMasks
    area: np.ndarray
    spacing: float

    def __call__(self, answer: NodeAnswer, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
        """`answer` corrected by the last of the clicks."""
        clicked, sign = int(nodes[-1]), bool(positive[-1])
        away = self.distances([clicked])[0, :, 0].numpy()
        agrees = answer.selected == sign
        gap = float(away[agrees].min()) if agrees.any() else np.inf
        if gap <= (FAR if answer.quality[1] >= CERTAIN else AT_BORDER) * self.spacing:
            logits = answer.logits.copy()
            pushed = logits[:, clicked]
            logits[:, clicked] = np.maximum(pushed, PUSHED) if sign else np.minimum(pushed, -PUSHED)
            return NodeAnswer(logits, answer.quality)
        part = self.single(clicked)
        middle = part.logits[1]
        logits = np.maximum(answer.logits, middle) if sign else np.minimum(answer.logits, -middle)
        if part.quality[1] > ON_PART and np.array_equal(logits[1, nodes] > 0, positive):
            return NodeAnswer(logits, answer.quality)
        return _near_the_click(answer, self.elect(answer, nodes, positive), away, sign)

    def elect(self, answer: NodeAnswer, nodes: np.ndarray, positive: np.ndarray) -> NodeAnswer:
        """To all clicks: the one of the network's answer and the masks that keep to them which these agree on most."""
        network, keeping = self.correct(answer, nodes, positive), self.lifted.keeping(nodes, positive)
        if not len(keeping):
            return network
        candidates = np.vstack([network.selected, self.lifted.selected[keeping]])
        votes = np.r_[1 - TAUGHT_SHARE, np.full(len(keeping), TAUGHT_SHARE / len(keeping))]
        support = pairwise_iou(candidates, candidates, self.area) @ votes
        best = int(support.argmax())
        middle = self.lifted.logits[keeping[best - 1]] if best else network.logits[1]
        finer, _, coarser = network.logits
        logits = np.stack([np.minimum(finer, middle), middle, np.maximum(coarser, middle)])
        return NodeAnswer(logits, np.full(3, support[best], dtype=np.float32))
