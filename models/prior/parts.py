"""The whole mesh in nested parts, from the answers to the clicks that vote: nothing is clicked.

Two nodes belong together as often as the answers that hold one hold the other (evidence accumulation clustering: Fred
and Jain 2005). Average linkage groups the nodes into small pieces; the pieces are joined pairwise, the nearest first
(`models.prior.joins`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import squareform

from models.prior.alike import Lookout
from models.prior.borders import HOLE, Borders
from models.prior.inputs import NodeTensors
from models.prior.joins import Association, Distance, LearnedDistance, Pieces, join_all
from models.prior.nodes import NodeGraph, Patches
from models.prior.votes import Votes, pairwise_iou
from utils.geometry.part_tree import NodeInfo, Part, PartTree

PARTS_VERSION = 3  # counts up where measured results would change
# Chosen on the first two meshes of each Princeton category; docs/parts.md says how flat each optimum is.
PIECE_HEIGHT = 0.1  # of average linkage up to which nodes are one piece
MOST_PIECES = 256
CRUMB = 0.001  # share of the area below which a detached bit of a piece goes to its neighbour


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


def grow_tree(graph: NodeGraph, tensors: NodeTensors, votes: Votes, distance: Distance | None = None) -> NodeTree:
    """The tree of a mesh that clicks were answered on; about 0.6 s of one core.

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
    """The small pieces that are to be joined, and (K, N) bool, what each click selects by consent."""
    chosen = elected(votes)
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


# --- on the mesh ------------------------------------------------------------------------------------


class PriorPartTree(PartTree):
    """The tree on the mesh: each join is drawn as a border on the fine faces when it is first needed."""

    def __init__(
        self, patches: Patches, borders: Borders, tree: NodeTree, vertex_means: sp.csr_matrix, tensors: NodeTensors
    ) -> None:
        """vertex_means (V, E): means of the vertices over the fine faces around them."""
        super().__init__(tree.children, tree.heights)
        self.patches, self.borders, self.tree = patches, borders, tree
        self.vertex_means, self.tensors = vertex_means, tensors
        self._sides: dict[int, np.ndarray] = {}

    def nodes(self, part: Part) -> np.ndarray:
        """(N,) bool, the nodes of the graph that a part holds."""
        return np.isin(self.tree.leaf, [leaf for node in part for leaf in self.leaves(node)])

    def labels(self, parts: Sequence[Part]) -> np.ndarray:
        fine = self.fine_labels(parts)
        size, parent = len(parts) + 1, self.patches.fine.parent
        votes = np.bincount(parent * size + fine + 1, self.patches.fine.area, self.patches.mesh.num_faces * size)
        return votes.reshape(-1, size).argmax(axis=1) - 1

    def membership(self, parts: Sequence[Part]) -> np.ndarray:
        fields = [self.vertex_means @ self.borders.spread(self.nodes(part).astype(np.float64), 0.5) for part in parts]
        return np.stack(fields, axis=1)

    def fine_labels(self, parts: Sequence[Part]) -> np.ndarray:
        """(E,) int64, as `labels`, on the fine faces."""
        place = {node: index for index, part in enumerate(parts) for node in part}
        result = np.full(len(self.patches.fine), -1, dtype=np.int64)
        waiting = [(2 * self.num_leaves - 2, np.arange(len(result)))]
        while waiting:
            node, faces = waiting.pop()
            if node in place:
                result[faces] = place[node]
            elif len(below := self.children_of(node)):
                side = self._side(node, faces)
                waiting += [(below[0], faces[side]), (below[1], faces[~side])]
        return result

    def _side(self, node: int, faces: np.ndarray) -> np.ndarray:
        """(M,) bool, which of the fine faces (M,) of a node belong to its first child."""
        if node in self._sides:
            return self._sides[node]
        first, second = (self.nodes((child,)) for child in self.children_of(node))
        value = self.borders.spread(first.astype(np.float64) - second)
        value[self.patches.center[first]] = np.inf  # so that neither is left without a face
        value[self.patches.center[second]] = -np.inf
        inside = np.zeros(len(value), dtype=bool)
        inside[faces] = True
        chosen = _without_crumbs(value > 0, inside, self.patches)[faces]
        self._sides[node] = chosen
        return chosen

    def alike(self, part: Part) -> list[Part]:
        return [(row,) for row in self._lookout.matches(self.nodes(part))]

    @cached_property
    def _lookout(self) -> Lookout:
        everything = np.stack([self.nodes((node,)) for node in range(2 * self.num_leaves - 1)])
        return Lookout(self.patches.graph, self.tensors, everything)

    @cached_property
    def _weights(self) -> np.ndarray:
        return self.patches.fine.area / self.patches.fine.area.sum()

    def info(self, node: int) -> NodeInfo:
        faces = np.flatnonzero(self.fine_labels([(node,)]) == 0)
        depth = self.patches.graph.depth_inside(self.nodes((node,)))
        middle = self.patches.fine.parent[self.patches.center[int(depth.argmax())]]
        return NodeInfo(
            float(self._weights[faces].sum()),
            float(self.tree.agreement[node]),
            int(self.patches.mesh.faces[middle, 0]),
            self.children_of(node),
        )


def _without_crumbs(side: np.ndarray, inside: np.ndarray, patches: Patches) -> np.ndarray:
    """(E,) bool: `side`, where detached small bits of either side within `inside` (E,) bool change over."""
    fine, code = patches.fine, np.where(inside, side.astype(np.int64), -1)
    same = fine.pairs[(code[fine.pairs[:, 0]] == code[fine.pairs[:, 1]]) & inside[fine.pairs[:, 0]]]
    size = len(side)
    joined = sp.csr_matrix((np.ones(len(same), dtype=bool), same.T), shape=(size, size))
    piece = sp.csgraph.connected_components(joined, directed=False)[1]
    area = np.bincount(piece, fine.area)
    across = fine.pairs[(code[fine.pairs[:, 0]] + code[fine.pairs[:, 1]]) == 1]
    beside = np.zeros(len(area), dtype=bool)
    beside[piece[across].ravel()] = True
    crumb = np.zeros(size, dtype=bool)
    for each in (True, False):
        mine = inside & (side == each)
        if mine.any():
            own = area[piece[mine]]
            crumb[mine] = (own < HOLE * fine.area[mine].sum()) & (own < own.max()) & beside[piece[mine]]
    return side ^ crumb
