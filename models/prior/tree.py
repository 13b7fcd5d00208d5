"""The nodes of a mesh in nested groups, from the answers to the clicks that vote: nothing is clicked.

Two nodes belong together as often as the answers that hold one hold the other (evidence accumulation clustering: Fred
and Jain 2005). Average linkage groups the nodes into small pieces; the pieces are joined pairwise, the nearest first
(`models.prior.joins`). Cut at a height, the tree has a part for every click, and such parts vote as well on what a
click means (`models.prior.votes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import squareform

from models.prior.inputs import NodeTensors
from models.prior.joins import Association, Distance, LearnedDistance, Pieces, join_all
from models.prior.nodes import NodeGraph
from models.prior.votes import Parts, Votes
from utils.selection import pairwise_iou

# Chosen on the first two meshes of each Princeton category; docs/parts.md says how flat each optimum is.
PIECE_HEIGHT = 0.1  # of average linkage up to which nodes are one piece
MOST_PIECES = 256
CRUMB = 0.001  # share of the area below which a detached bit of a piece goes to its neighbour
MEANT = (0.2, 0.95)  # heights between which the part under a click is something that it may mean ...
VOTING = (0.3, 0.8)  # ... and between which it votes on what it means by default; docs/prior_trials.md


@dataclass(frozen=True, eq=False)
class NodeTree:
    """Nested groups of N nodes; see `PartTree` for `children` and `heights`.

    leaf       (N,) int64, the leaf that each node is in
    agreement  (2 L - 1,) float64, mean IoU of each group with the answers to clicks in it
    """

    leaf: np.ndarray
    children: np.ndarray
    heights: np.ndarray
    agreement: np.ndarray

    @cached_property
    def groups(self) -> np.ndarray:
        """(2 L - 1, N) bool, the nodes of the mesh in each node of the tree."""
        return groups(self.leaf, self.children)

    @cached_property
    def parent(self) -> np.ndarray:
        """(2 L - 1,) int64, the node of the tree that each is joined into; -1 for the last."""
        parent, leaves = np.full(2 * len(self.children) + 1, -1), len(self.children) + 1
        parent[self.children[:, 0]] = parent[self.children[:, 1]] = np.arange(leaves, len(parent))
        return parent

    def parts_at(self, node: int, between: tuple[float, float] = VOTING) -> Parts:
        """What a click on a node of the mesh means when the tree is cut `between` two heights; the weight of each part
        is the share of these heights at which it is one, so that little changes where heights change a little."""
        path = [int(self.leaf[node])]
        while self.parent[path[-1]] >= 0:
            path.append(int(self.parent[path[-1]]))
        joined = np.clip(self.heights[self.parent[path[:-1]] - len(self.children) - 1], *between)
        weight = np.diff(np.r_[between[0], joined, between[1]]) / (between[1] - between[0])
        return Parts(self.groups[np.array(path)[weight > 0]], weight[weight > 0])


def grow_tree(graph: NodeGraph, tensors: NodeTensors, votes: Votes, distance: Distance | None = None) -> NodeTree:
    """The tree of a mesh that clicks were answered on; a quarter to half a second of one core.

    distance: of pieces; default: the `LearnedDistance`
    """
    pieces, default = cut_into_pieces(graph, tensors, votes)
    leaf = pieces.leaf
    children, heights = join_all(pieces, distance or LearnedDistance())
    return NodeTree(leaf, children, heights, _agreement(groups(leaf, children), default, votes))


def groups(leaf: np.ndarray, children: np.ndarray) -> np.ndarray:
    """(2 L - 1, N) bool, the nodes of the mesh in each node of the tree; see `NodeTree`."""
    inside = np.zeros((2 * len(children) + 1, len(leaf)), dtype=bool)
    inside[leaf, np.arange(len(leaf))] = True
    for node, (first, second) in enumerate(children.tolist(), start=len(children) + 1):
        inside[node] = inside[first] | inside[second]
    return inside


def cut_into_pieces(graph: NodeGraph, tensors: NodeTensors, votes: Votes) -> tuple[Pieces, np.ndarray]:
    """The small pieces that are to be joined, and (K, N) bool, what each click selects by consent.

    What a teacher's masks know goes into the consent; all else is of the network's answers.
    """
    chosen, votes = elected(votes), votes.of_network
    association = Association(
        co_association(np.concatenate([chosen[:, 0], chosen[:, 1]])),
        co_association(chosen[:, 1]),
        co_association(votes.selected),
    )
    leaf = _grouped(graph, association.elected, held=np.asarray(chosen[:, :2].any(axis=(0, 1))))
    return Pieces(graph, tensors, votes, leaf, association), chosen[:, 1]


def elected(votes: Votes) -> np.ndarray:
    """(K, 3, N) bool, what each of the voting clicks selects by consent: finer, default, coarser."""
    return np.stack([votes.elect_among(click) for click in range(len(votes.nodes))])


def co_association(selected: np.ndarray) -> np.ndarray:
    """(N, N) float32: of the selections (K, N) bool that hold either node, the share that hold both; 1 to itself."""
    rows = selected.astype(np.float32)
    both = rows.T @ rows
    count = np.diag(both)
    result = both / np.maximum(count[:, None] + count[None] - both, 1.0)
    np.fill_diagonal(result, 1.0)
    return np.clip(result, 0.0, 1.0)


def _agreement(inside: np.ndarray, default: np.ndarray, votes: Votes) -> np.ndarray:
    """(M,) mean IoU of groups (M, N) bool with the answers (K, N) to clicks in them; 0 where none was clicked."""
    clicked = inside[:, votes.nodes]
    iou = pairwise_iou(inside, default, votes.area)
    return (iou * clicked).sum(axis=1) / np.maximum(clicked.sum(axis=1), 1)


def _grouped(graph: NodeGraph, together: np.ndarray, held: np.ndarray) -> np.ndarray:
    """(N,) int64, the connected piece of nodes that each is in; what no answer holds goes to the nearest piece."""
    size = len(together)
    if size == 1:
        return np.zeros(1, dtype=np.int64)
    levels = linkage(squareform(1.0 - together, checks=False), "average")
    group = fcluster(levels, PIECE_HEIGHT, "distance")
    if group.max() > MOST_PIECES:
        group = fcluster(levels, MOST_PIECES, "maxclust")
    same = graph.pairs[group[graph.pairs[:, 0]] == group[graph.pairs[:, 1]]]
    joined = sp.csr_matrix((np.ones(len(same)), same.T), shape=(size, size))
    piece = sp.csgraph.connected_components(joined, directed=False)[1]
    area = np.bincount(piece, graph.area)
    largest = np.zeros(group.max() + 1)
    np.maximum.at(largest, group, area[piece])
    lost = ~held | ((area[piece] < CRUMB) & (area[piece] < largest[group]))
    if lost.any() and not lost.all():
        firm = np.flatnonzero(~lost)
        _, _, source = dijkstra(graph.distance_graphs[1], indices=firm, min_only=True, return_predecessors=True)
        piece = np.where(lost & (source >= 0), piece[np.maximum(source, 0)], piece)
    return np.unique(piece, return_inverse=True)[1].reshape(-1).astype(np.int64)
