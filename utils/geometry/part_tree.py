"""A hierarchy of nested parts of a mesh, and partitions as cuts through it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.errors import UserError
from utils.geometry.mesh import Mesh

Part = tuple[int, ...]  # the nodes of the tree that make up a part: one, or several that a person merged
DETAIL = 0.5
COARSEST, FINEST = 0.9, 0.4  # heights at which detail 0 and 1 cut


@dataclass(frozen=True)
class NodeInfo:
    """What is known of one node of the tree.

    area       share of the surface
    agreement  mean IoU of the part with what clicks inside it select
    vertex     of the mesh, innermost in the part
    children   the two nodes that it consists of; empty for a leaf
    """

    area: float
    agreement: float
    vertex: int
    children: tuple[int, ...]


class PartTree(ABC):
    """Nested parts of a mesh: L leaves, numbered 0 to L - 1, and the L - 1 nodes that join two others each.

    children  (L - 1, 2) int64, the nodes that node L + i joins; the last one is the whole mesh
    heights   (L - 1,) float64, ascending: how far apart the parts are that node L + i joins, from 0 to 1
    """

    def __init__(self, children: np.ndarray, heights: np.ndarray) -> None:
        self.children = np.asarray(children, dtype=np.int64).reshape(-1, 2)
        self.heights = np.asarray(heights, dtype=np.float64)

    @property
    def num_leaves(self) -> int:
        return len(self.children) + 1

    def children_of(self, node: int) -> tuple[int, ...]:
        """The two nodes that make up a node; empty for a leaf."""
        inner = node - self.num_leaves
        return tuple(self.children[inner].tolist()) if inner >= 0 else ()

    def leaves(self, node: int) -> list[int]:
        """The leaves below a node (itself, if it is one)."""
        below = self.children_of(node)
        return [leaf for child in below for leaf in self.leaves(child)] if below else [node]

    @cached_property
    def numbers(self) -> np.ndarray:
        """(2 L - 1,) int64: a number of each node. A cut into k parts has 0 to k - 1, and splitting a part changes no
        other's: the larger piece keeps the number of the whole."""
        count = [1] * self.num_leaves
        for first, second in self.children.tolist():
            count.append(count[first] + count[second])
        result = np.zeros(len(count), dtype=np.int64)
        for number, node in enumerate(range(len(count) - 1, self.num_leaves - 1, -1), start=1):
            first, second = sorted(self.children_of(node), key=lambda child: -count[child])
            result[first], result[second] = result[node], number
        return result

    def nearest(self, selected: np.ndarray, areas: np.ndarray) -> tuple[int, float]:
        """The node that is most like the faces `selected` (F,) bool, and their IoU; areas (F,) of the faces."""
        size = 2 * self.num_leaves - 1
        labels = self.labels([(leaf,) for leaf in range(self.num_leaves)])
        there = labels >= 0
        own = np.bincount(labels[there], areas[there], size)
        shared = np.bincount(labels[there & selected], areas[there & selected], size)
        for node, (first, second) in enumerate(self.children.tolist(), start=self.num_leaves):
            own[node], shared[node] = own[first] + own[second], shared[first] + shared[second]
        iou = shared / np.maximum(own + areas[selected].sum() - shared, 1e-12)
        return int(iou.argmax()), float(iou.max())

    # --- cuts ------------------------------------------------------------------------------------

    def cut(self, detail: float = DETAIL) -> list[Part]:
        """The parts at a level of detail, from 0 (fewest) to 1 (most)."""
        if not 0 <= detail <= 1:
            raise UserError(f"detail {detail:g} must be from 0 (few parts) to 1 (many)")
        height = COARSEST + (FINEST - COARSEST) * detail
        return self._after(int(np.searchsorted(self.heights, height, side="right")))

    def cut_into(self, count: int) -> list[Part]:
        """Exactly so many parts."""
        if not 1 <= count <= self.num_leaves:
            raise UserError(f"{count} parts cannot be had of this mesh; ask for 1 to {self.num_leaves}")
        return self._after(self.num_leaves - count)

    def _after(self, joins: int) -> list[Part]:
        """The nodes that are there after the first so many joins."""
        joined = set(self.children[:joins].ravel().tolist())
        return [(node,) for node in range(self.num_leaves + joins) if node not in joined]

    # --- a person's changes ----------------------------------------------------------------------

    def merge(self, parts: Sequence[Part], first: int, second: int) -> list[Part]:
        """The parts with those at two places joined, at the place of the first."""
        if first == second:
            raise UserError("choose two different parts to merge")
        joined = [part for place, part in enumerate(parts) if place != second]
        joined[first - (second < first)] = (*parts[first], *parts[second])
        return joined

    def split(self, parts: Sequence[Part], place: int) -> list[Part]:
        """The parts with the one at a place taken apart: into what it was merged from, or else into its children."""
        first, *others = parts[place]
        pieces = [(node,) for node in ((first, *others) if others else self.children_of(first))]
        if not pieces:
            raise UserError("this part cannot be split further here: click what you want of it instead")
        return [*parts[:place], *pieces, *parts[place + 1 :]]

    # --- on the mesh -----------------------------------------------------------------------------

    @abstractmethod
    def labels(self, parts: Sequence[Part]) -> np.ndarray:
        """(F,) int64, the place in `parts` of the part that each face of the mesh is in; -1 for none."""

    @abstractmethod
    def membership(self, parts: Sequence[Part]) -> np.ndarray:
        """(V, P) float64, how much each vertex belongs to each part, from 0 to 1: equal where a border runs."""

    @abstractmethod
    def alike(self, part: Part) -> list[Part]:
        """What matches a part wherever it lies, turned or mirrored too, the best first; no two overlap, nor `part`."""

    @abstractmethod
    def info(self, node: int) -> NodeInfo:
        """What is known of a node."""


@dataclass(frozen=True, eq=False)
class Partition:
    """The whole mesh in parts: the tree, the nodes of each part, and (F,) int64 the part of each face."""

    tree: PartTree
    parts: list[Part]
    labels: np.ndarray

    @classmethod
    def of(cls, tree: PartTree, parts: Sequence[Part]) -> Partition:
        """With parts that no face of the mesh is large enough for left out."""
        labels = tree.labels(parts)
        used, labels = np.unique(labels, return_inverse=True)
        return cls(tree, [parts[place] for place in used.tolist()], labels.reshape(-1))

    def on_polygons(self, mesh: Mesh) -> np.ndarray:
        """(F,) labels where all triangles of a polygon are in the part of most of it."""
        size = len(self.parts)
        place = mesh.face_polygon * size + self.labels
        votes = np.bincount(place, mesh.face_areas + 1e-12, mesh.num_polygons * size)
        return votes.reshape(-1, size).argmax(axis=1)[mesh.face_polygon]
