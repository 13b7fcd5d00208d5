"""How well parts that match a chosen one are found, on generated shapes whose repeats are known."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from utils.geometry.mesh import Mesh
from utils.geometry.part_tree import PartTree
from utils.shapes import LabelledMesh
from utils.shapes.generate import random_shape

FAMILIES = (
    *("chair", "table", "octopus", "crawler", "cycle", "vehicle", "rack"),
    *("glasses", "hand", "robot", "furniture", "aircraft", "creature", "quadruped"),
)
SIDES = ("left", "right", "front", "back")
LARGER = 1.25  # ratio of areas from which on two parts are no repeats of each other
LONGER = 0.2  # logarithm of the ratio of extents, likewise, for parts of different names
IN_TREE, FOUND = 0.8, 0.5  # IoU from which a part is a node of the tree, and a match is that part
MOST_FACES = 40_000


@dataclass
class Score:
    """Of the repeats of chosen parts that the tree holds: how many were found and missed; matches that are none; and
    repeats that the tree does not hold."""

    found: int = 0
    missed: int = 0
    wrong: int = 0
    absent: int = 0

    @property
    def recall(self) -> float:
        return self.found / max(self.found + self.missed, 1)

    @property
    def precision(self) -> float:
        return self.found / max(self.found + self.wrong, 1)

    def __add__(self, other: Score) -> Score:
        return Score(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values())))


def kind(name: str) -> str:
    """The name of a part without its number and side: repeats have the same."""
    return " ".join(word for word in re.sub(r"\d+", "", name).split() if word not in SIDES)


def repeats(shape: LabelledMesh) -> tuple[np.ndarray, np.ndarray]:
    """(P, P) bool: which parts are repeats of each other by their names and areas, and which at least of one size."""
    mesh = Mesh(shape.vertices, shape.faces)
    middle = mesh.face_centroids
    count = len(shape.names["part"])
    area = np.bincount(shape.part, mesh.face_areas, count)
    extents = np.array(
        [_extents(middle[shape.part == part], mesh.face_areas[shape.part == part]) for part in range(count)]
    )
    kinds = np.array([kind(name) for name in shape.names["part"]])
    close = np.abs(np.log(area[:, None] / area[None])) < np.log(LARGER)
    close &= ~np.eye(count, dtype=bool)
    alike = close & (np.abs(extents[:, None] - extents[None]).max(axis=2) < LONGER)
    return close & (kinds[:, None] == kinds[None]), alike


def _extents(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(3,) logarithm of the deviations along the principal axes."""
    centred = points - np.average(points, axis=0, weights=weights + 1e-12)
    second = (centred * (weights + 1e-12)[:, None]).T @ centred / (weights + 1e-12).sum()
    return 0.5 * np.log(np.maximum(np.linalg.eigvalsh(second), 1e-6))


def score(tree: PartTree, shape: LabelledMesh, areas: np.ndarray) -> Score:
    """Every part of a shape that has repeats chosen once, as the node of the tree that fits it; areas (F,)."""
    inside = np.stack([tree.labels([(node,)]) == 0 for node in range(2 * tree.num_leaves - 1)]).astype(np.float32)
    wanted = (shape.part[None] == np.arange(len(shape.names["part"]))[:, None]).astype(np.float32) * areas
    both = inside @ wanted.T
    iou = both / np.maximum((inside @ areas)[:, None] + wanted.sum(axis=1) - both, 1e-12)
    same, alike = repeats(shape)
    held, total = iou.max(axis=0) >= IN_TREE, Score()
    for part in np.flatnonzero(same.any(axis=1) & held):
        matches = [node for (node,) in tree.alike((int(iou[:, part].argmax()),))]
        covered = iou[matches] >= FOUND
        hit = same[part] & held & covered.any(axis=0)
        wrong = ~(covered & (same[part] | alike[part])).any(axis=1)
        total += Score(
            int(hit.sum()), int((same[part] & held & ~hit).sum()), int(wrong.sum()), int((same[part] & ~held).sum())
        )
    return total


def measure_repeats(open_tree: Callable[[Mesh], PartTree], seed: int) -> dict[str, Score]:
    """A shape of each family, from the seeds `seed`, `seed` + 1, ...; those of more than 40,000 faces are left out."""
    scores = {}
    for number, family in enumerate(FAMILIES):
        shape = random_shape(seed + number, [family])
        if len(shape.faces) <= MOST_FACES:
            mesh = Mesh(shape.vertices, shape.faces)
            scores[family] = score(open_tree(mesh), shape, mesh.face_areas)
            print(f"{family}: {scores[family]}", flush=True)
    return scores
