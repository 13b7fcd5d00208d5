"""Parts of the whole mesh: the tree of its nodes (`models.prior.tree`), drawn as borders on the faces."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from models.prior.alike import Lookout
from models.prior.borders import HOLE, Borders
from models.prior.inputs import NodeTensors
from models.prior.nodes import Patches
from models.prior.tree import NodeTree
from utils.geometry.part_tree import NodeInfo, Part, PartTree

PARTS_VERSION = 4  # counts up where measured results would change


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
